//! What is kept, what is deleted, and what must not be.

use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::{LegalHold, RetentionReport, UpkeepKind, UpkeepRun};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::audit::Action;
use actifix_domain::clock::Jump;
use actifix_domain::id::TicketId;
use actifix_domain::project::ProjectSettings;
use actifix_domain::time::Timestamp;
use actifix_domain::words::many;
use serde_json::json;

/// Longest reason of a hold, characters.
pub const REASON_CHARS_MAX: usize = 500;

impl App {
    /// Counts what the policy no longer keeps, as if the clock were right.
    pub async fn count_retention(&self, actor: &Actor) -> Result<RetentionReport> {
        Self::require(actor, Scope::Admin, None)?;
        self.observe_clock().await?;
        self.store.run_retention(&self.settings.retention, Some(self.now()), true).await
    }

    /// Deletes what the policy no longer keeps. What was done is recorded. While the clock cannot be believed only what is
    /// too much goes, and the answer is `Conflict`; with `accept_clock` it is believed from now on.
    pub async fn run_retention(&self, actor: &Actor, accept_clock: bool) -> Result<RetentionReport> {
        Self::require(actor, Scope::Admin, None)?;
        if *actor != Actor::System {
            // By hand the record comes first: what cannot be recorded is not deleted.
            let begun = json!({ "act": "begun", "clock_accepted": accept_clock });
            self.record_act(actor, Action::RetentionRun, "retention", begun).await?;
        }
        if accept_clock {
            self.accept_clock().await?;
        }
        let jump = self.observe_clock().await?;
        let started_at = self.now();
        let by_age = jump.is_none().then_some(started_at);
        let report = self.store.run_retention(&self.settings.retention, by_age, false).await;
        let report = match (report, jump) {
            (Ok(report), Some(jump)) => Err(refused(&report, jump)),
            (report, _) => report,
        };
        self.note_retention(actor, started_at, &report).await?;
        report
    }

    /// Figures, the audit log and the record of runs.
    async fn note_retention(
        &self,
        actor: &Actor,
        started_at: Timestamp,
        report: &Result<RetentionReport>,
    ) -> Result<()> {
        let finished_at = self.now();
        let detail = match report {
            Ok(report) => json!(report),
            Err(error) => json!({ "error": error.to_string() }),
        };
        let ok = report.is_ok();
        if ok {
            metrics::gauge!("actifix_retention_last_success_timestamp_seconds").set(seconds(finished_at));
        } else {
            metrics::counter!("actifix_retention_failures_total").increment(1);
        }
        if let Ok(report) = report {
            for (what, many) in [
                ("events", report.events),
                ("tickets", report.tickets),
                ("quarantine", report.quarantine),
                ("findings", report.findings),
                ("source_maps", report.source_maps),
                ("audit", report.audit),
            ] {
                metrics::counter!("actifix_retention_deleted_total", "what" => what).increment(many);
            }
            metrics::gauge!("actifix_retention_held_events").set(report.held_events as f64);
        }
        // A run that deleted nothing is a figure, not an act.
        let acted = report.as_ref().map_or(true, RetentionReport::deleted_anything);
        let audit = acted.then(|| self.audit(actor, Action::RetentionRun, "retention", None, detail.clone()));
        let kind = UpkeepKind::Retention;
        let run = UpkeepRun { kind, target: String::new(), started_at, finished_at, ok, detail };
        self.store.record_run(&run, audit.as_ref()).await
    }

    /// The last run that ended, if there was one.
    pub async fn last_retention(&self, actor: &Actor) -> Result<Option<UpkeepRun>> {
        Self::require(actor, Scope::Admin, None)?;
        Ok(self.store.runs(Some(UpkeepKind::Retention), 1).await?.pop())
    }

    /// What must not be deleted.
    pub async fn holds(&self, actor: &Actor) -> Result<Vec<LegalHold>> {
        Self::require(actor, Scope::Admin, None)?;
        self.store.holds().await
    }

    /// Keeps a ticket, or with none a whole project, from retention until the hold is released.
    pub async fn hold(
        &self,
        actor: &Actor,
        project: Option<&str>,
        ticket: Option<&TicketId>,
        reason: &str,
    ) -> Result<LegalHold> {
        Self::require(actor, Scope::Admin, None)?;
        let project = match (project, ticket) {
            (Some(_), Some(_)) | (None, None) => {
                return Err(Error::invalid("ticket", "expected either a ticket or a project"));
            }
            (Some(name), None) => self.project(actor, name).await?.id,
            (None, Some(id)) => {
                self.store.ticket(id).await?.ok_or(Error::NotFound { what: "ticket" })?.project
            }
        };
        if reason.trim().is_empty() || reason.chars().count() > REASON_CHARS_MAX {
            let wanted = format!("1 to {REASON_CHARS_MAX} characters that say why");
            return Err(Error::invalid("reason", wanted));
        }
        let reason = self.redact_text(&ProjectSettings::default(), reason);
        let target = ticket.map_or_else(|| format!("project:{project}"), ToString::to_string);
        let audit = self.audit(actor, Action::HoldSet, target, Some(project), json!({ "reason": reason }));
        self.store.hold(project, ticket, &reason, &audit).await
    }

    /// Ends a hold: what it kept is deleted as soon as it is old enough.
    pub async fn release_hold(&self, actor: &Actor, id: u64) -> Result<()> {
        Self::require(actor, Scope::Admin, None)?;
        let audit = self.audit(actor, Action::HoldReleased, format!("hold:{id}"), None, json!({}));
        if self.store.release_hold(id, &audit).await? {
            Ok(())
        } else {
            Err(Error::NotFound { what: "legal hold" })
        }
    }
}

/// Why nothing went by its age.
fn refused(report: &RetentionReport, jump: Jump) -> Error {
    let room = match report.events {
        0 => String::new(),
        events => format!(" ({} went for room)", many(events, "event")),
    };
    Error::conflict(format!(
        "{jump}, so nothing was deleted by its age{room}: set the clock; if it is right, `actifix retention run --accept-clock`"
    ))
}

/// A time as a metric tells it.
pub(crate) fn seconds(at: Timestamp) -> f64 {
    at.seconds() as f64
}
