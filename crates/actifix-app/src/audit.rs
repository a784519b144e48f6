//! Audit: what is recorded about each act, and how it is asked for and proven.
//!
//! A change and its record are one transaction of the store: where the record cannot be written, the change does not
//! happen. Refusals have no change to go with; they are written for themselves, and beyond a named count per minute
//! and network they are added up to one row, so that whoever guesses passwords cannot fill the disk.

mod chain;
mod rollup;

pub use chain::{AuditChain, ChainRow};
pub(crate) use rollup::Rollup;

use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::{AuditQuery, AuditReport, AuditRow, Page};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::audit::{Action, AuditRecord, Verdict};
use actifix_domain::id::ProjectId;
use actifix_domain::project::ProjectSettings;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;

tokio::task_local! {
    static ORIGIN: Option<IpAddr>;
}

/// Does `work` for a client at `address`: what is recorded meanwhile names it.
///
/// The address is a fact about the request and not about the actor, and every use case would have to hand it through
/// for the record alone; so it travels with the task. Who acts, and what they may do, never does.
pub async fn from_address<F: Future>(address: Option<IpAddr>, work: F) -> F::Output {
    ORIGIN.scope(address, work).await
}

/// Address of the client that the present task works for; none for acts of this machine.
pub fn address() -> Option<IpAddr> {
    ORIGIN.try_with(|address| *address).ok().flatten()
}

impl App {
    /// The record of an act that is about to be done.
    pub(crate) fn audit(
        &self,
        actor: &Actor,
        action: Action,
        target: impl Into<String>,
        project: Option<ProjectId>,
        mut detail: Value,
    ) -> AuditRecord {
        if self.redact_value(&ProjectSettings::default(), &mut detail).is_err() {
            detail = json!({ "cut": true });
        }
        AuditRecord {
            at: self.now(),
            actor: actor.label(),
            action,
            target: target.into(),
            project,
            network: address().map(|address| address.to_string()),
            result: Verdict::Ok,
            detail,
        }
        .bounded()
    }

    /// Records an act that has no change in the store to go with.
    pub async fn record_act(
        &self,
        actor: &Actor,
        action: Action,
        target: impl Into<String> + Send,
        detail: Value,
    ) -> Result<()> {
        let record = self.audit(actor, action, target, actor.bound_project(), detail);
        self.store.append_audit(vec![record]).await
    }

    /// Records a refusal; beyond a count per minute and network it is only added up. What is refused stays refused
    /// where the record cannot be written: that is logged.
    pub async fn record_refusal(
        &self,
        actor: Option<&Actor>,
        action: Action,
        target: impl Into<String> + Send,
        detail: Value,
    ) {
        let who = actor.unwrap_or(&Actor::System);
        let mut record = self.audit(who, action, target, who.bound_project(), detail);
        record.result = Verdict::Refused;
        if actor.is_none() {
            record.actor = "anonymous".to_owned();
        }
        let Some(record) = self.rollup.admit(record, self.clock.monotonic_micros()) else { return };
        if let Err(error) = self.store.append_audit(vec![record]).await {
            metrics::counter!("actifix_audit_lost_total").increment(1);
            tracing::error!(error = %error, "audit.refusal_not_recorded");
        }
    }

    /// Records that the server started (`how` is `start`) or that its configuration was read again (`reload`), and
    /// which settings differ from those of the last time, with both values. Returns the names of these.
    pub async fn record_settings(
        &self,
        how: &'static str,
        settings: BTreeMap<String, String>,
    ) -> Result<Vec<String>> {
        let plain = ProjectSettings::default();
        let settings =
            settings.into_iter().map(|(name, value)| (name, self.redact_text(&plain, &value))).collect();
        let detail = json!({
            "how": how, "version": env!("CARGO_PKG_VERSION"), "rate_limit_disabled": self.settings.rate_limit_disabled,
        });
        let record = self.audit(&Actor::System, Action::ServerStarted, "server", None, detail);
        self.store.note_settings(settings, &record).await
    }

    /// A page of the log, latest first.
    pub async fn audit_log(&self, actor: &Actor, mut query: AuditQuery) -> Result<Page<AuditRow>> {
        query.project = Self::confine(actor, Scope::Admin, query.project)?;
        query.limit = match query.limit {
            0 => 50,
            limit @ 1..=200 => limit,
            _ => return Err(Error::invalid("limit", "1 to 200")),
        };
        self.store.audit_log(query).await
    }

    /// Reads the whole log and compares it with its hashes and with the witness outside the database.
    pub async fn verify_audit(&self, actor: &Actor) -> Result<AuditReport> {
        Self::require(actor, Scope::Admin, None)?;
        self.store.verify_audit().await
    }

    /// Begins the witness anew, after a backup was put back: what was written since that backup is gone, and this
    /// says so in the log. Returns the number of its last row.
    pub async fn renew_audit_witness(&self, actor: &Actor) -> Result<u64> {
        Self::require(actor, Scope::Admin, None)?;
        let report = self.store.verify_audit().await?;
        let detail = json!({ "before": { "last": report.last, "faults": report.faults } });
        let record = self.audit(actor, Action::AuditWitnessRenewed, "audit", None, detail);
        Ok(self.store.renew_witness(&record).await?.seq)
    }

    /// Writes sums of refusals whose minute is over (all of them with `every`), and the end of the log to the
    /// witness outside the database. Called once a second, and at the end.
    pub async fn tend_audit(&self, every: bool) -> Result<()> {
        let due = self.rollup.due(self.clock.monotonic_micros(), self.now(), every);
        if !due.is_empty() {
            self.store.append_audit(due).await?;
        }
        let head = self.store.witness_audit().await?;
        metrics::gauge!("actifix_audit_head").set(head.seq as f64);
        Ok(())
    }
}
