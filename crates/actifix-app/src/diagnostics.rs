//! What may be told of an installation to whoever helps: a list of what is let out, not of what is kept back.
//!
//! Counts, states, versions and names of ours. No event, no ticket, no address, no person, no path.

use crate::app::App;
use crate::error::Result;
use crate::ports::UpkeepRun;
use actifix_domain::access::{Actor, Scope};
use actifix_domain::project::ProjectSettings;
use actifix_domain::review::Period;
use serde_json::{Value, json};

/// Runs of upkeep that are told.
const RUNS_MAX: u32 = 50;

impl App {
    /// Facts about this installation.
    pub async fn diagnostics(&self, actor: &Actor) -> Result<Value> {
        Self::require(actor, Scope::Admin, None)?;
        let stats = self.store.stats().await?;
        let tokens = self.live_tokens(&Actor::System).await?;
        let users = self.store.users().await?;
        let open = users.iter().filter(|user| user.disabled_at.is_none());
        let audit = self.store.verify_audit().await?;
        let incident = self.incident(&Actor::System).await?;
        let runs = self.store.runs(None, RUNS_MAX).await?;
        let mut facts = json!({
            "program": env!("CARGO_PKG_VERSION"),
            "installation": self.installation,
            "now": self.now(),
            "database": self.store.database_facts().await?,
            "sizes": {
                "database_bytes": stats.db_size_bytes, "log_bytes": stats.wal_size_bytes, "events": stats.events,
                "quarantine": stats.quarantine_entries, "busy": stats.busy_total, "queue": self.queue_depth(),
            },
            "brake": format!("{:?}", stats.brake),
            "ready": self.ready().await.is_ok(),
            "accounts": {
                "people": open.clone().count(), "second_factor": open.filter(|user| user.second_factor).count(),
                "tokens": tokens.len(), "sessions": self.sessions(&Actor::System, true).await?.len(),
            },
            "webhooks": self.webhook_states().await?,
            "audit_log": { "intact": audit.intact, "first": audit.first, "last": audit.last, "faults": audit.faults.len() },
            "incident": {
                "locked_down": incident.lockdown.is_some(), "under_way": incident.job.is_some(),
                "last": incident.last.map(|job| json!({ "what": job.what, "at": job.started_at, "clean": job.is_clean() })),
            },
            "reviews": self.review_dates().await?,
            "upkeep": runs.iter().map(run_facts).collect::<Vec<_>>(),
            "limits": self.busiest(&Actor::System)?,
            "root_key": self.vault.status().ok().map(|status| json!({
                "backend": status.backend, "state": status.state, "recorded_at": status.recorded_at, "pending": status.pending,
            })),
            "retention": self.settings.retention,
            "rate_limit_disabled": self.settings.rate_limit_disabled,
        });
        self.redact_value(&ProjectSettings::default(), &mut facts)?;
        Ok(facts)
    }

    async fn webhook_states(&self) -> Result<Vec<Value>> {
        let views = self.endpoints(&Actor::System).await?;
        let state = |view: crate::alerts::EndpointView| {
            json!({
                "kind": view.record.kind, "enabled": view.record.enabled, "breaker": view.breaker, "pending": view.pending,
                "dead": view.dead, "streak": view.record.streak, "last_failure": view.record.last_failure,
                "last_success_at": view.record.last_success_at,
            })
        };
        Ok(views.into_iter().map(state).collect())
    }

    async fn review_dates(&self) -> Result<Value> {
        let mut dates = serde_json::Map::new();
        for period in Period::ALL {
            let last = self.store.reviews(Some(period), 1).await?.pop();
            dates.insert(period.as_str().to_owned(), json!(last.map(|last| last.recorded_at)));
        }
        Ok(dates.into())
    }
}

/// Names of backups are ours; errors may name paths.
fn run_facts(run: &UpkeepRun) -> Value {
    json!({ "kind": run.kind, "ok": run.ok, "started_at": run.started_at, "finished_at": run.finished_at })
}
