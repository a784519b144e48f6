//! What is kept, what is deleted, and what must not be.

use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::{LegalHold, RetentionReport, UpkeepKind, UpkeepRun};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::audit::Action;
use actifix_domain::id::TicketId;
use actifix_domain::project::ProjectSettings;
use serde_json::json;

/// Longest reason of a hold, characters.
pub const REASON_CHARS_MAX: usize = 500;

impl App {
    /// Deletes what the policy no longer keeps, or with `dry_run` counts it. What was done is recorded.
    pub async fn run_retention(&self, actor: &Actor, dry_run: bool) -> Result<RetentionReport> {
        Self::require(actor, Scope::Admin, None)?;
        if !dry_run && *actor != Actor::System {
            // By hand the record comes first: what cannot be recorded is not deleted.
            self.record_act(actor, Action::RetentionRun, "retention", json!({ "act": "begun" })).await?;
        }
        let started_at = self.now();
        let report = self.store.run_retention(&self.settings.retention, started_at, dry_run).await;
        if dry_run {
            return report;
        }
        let finished_at = self.now();
        let detail = match &report {
            Ok(report) => json!(report),
            Err(error) => json!({ "error": error.to_string() }),
        };
        let ok = report.is_ok();
        if ok {
            metrics::gauge!("actifix_retention_last_success_timestamp_seconds").set(seconds(finished_at));
        } else {
            metrics::counter!("actifix_retention_failures_total").increment(1);
        }
        if let Ok(report) = &report {
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
        let recorded = self.store.record_run(&run, audit.as_ref()).await;
        let report = report?;
        recorded?;
        Ok(report)
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

/// A time as a metric tells it.
pub(crate) fn seconds(at: actifix_domain::time::Timestamp) -> f64 {
    at.seconds() as f64
}
