//! Figures that are there from the start, with 0: an alert rule must tell nothing from not known.

use crate::app::App;
use crate::auth_log::REASONS;
use crate::error::Result;
use actifix_domain::alert::Failure;
use actifix_domain::id::ProjectId;

/// Counters without labels.
const COUNTERS: [&str; 8] = [
    "actifix_alerts_lost_total",
    "actifix_audit_lost_total",
    "actifix_db_busy_total",
    "actifix_db_damaged_reads_total",
    "actifix_db_group_retries_total",
    "actifix_limit_writes_total",
    "actifix_panics_total",
    "actifix_retention_failures_total",
];
/// Gauges that are set only when something is wrong.
const GAUGES: [&str; 3] = ["actifix_db_failed", "actifix_disk_tight", "actifix_files_unsafe"];
/// Classes of limits whose words do not depend on a project.
const CLASSES: [&str; 8] = ["api", "anonymous", "keyless", "login", "key", "project", "instance", "overload"];
/// What SDKs drop without being told to, of the kind that matters most: a rule that looks at losses reads these.
const LOST_BY_SDKS: [&str; 4] = ["queue_overflow", "network_error", "ratelimit_backoff", "send_error"];
/// Projects whose figures are there from the start: each label is kept in memory, and there may be ten thousand projects.
const PROJECTS_ANNOUNCED_MAX: usize = 100;

impl App {
    /// Makes them known. Called once, after the recorder was put in place and before anybody can ask.
    pub async fn announce_figures(&self) -> Result<()> {
        COUNTERS.into_iter().for_each(|name| metrics::counter!(name).increment(0));
        GAUGES.into_iter().for_each(|name| metrics::gauge!(name).set(0.0));
        for reason in REASONS {
            metrics::counter!("actifix_auth_failures_total", "reason" => reason).increment(0);
        }
        for class in CLASSES {
            metrics::counter!("actifix_rate_limited_total", "class" => class).increment(0);
        }
        for step in ["create", "verify"] {
            metrics::counter!("actifix_backup_failures_total", "step" => step).increment(0);
        }
        let _no_sample_yet = metrics::histogram!("actifix_ingest_seconds");
        for rule in self.engine.rules() {
            metrics::counter!("actifix_redactions_total", "rule" => rule.id().to_string()).increment(0);
        }
        for project in self.store.projects().await?.into_iter().take(PROJECTS_ANNOUNCED_MAX) {
            announce_discards(project.id);
        }
        for endpoint in self.store.endpoints().await? {
            announce_deliveries(&endpoint.record.name);
        }
        metrics::gauge!("actifix_webhook_oldest_pending_seconds").set(0.0);
        self.observe_clock().await?;
        self.restore_incident().await?;
        self.tend_reviews().await
    }
}

fn announce_discards(project: ProjectId) {
    for reason in LOST_BY_SDKS {
        metrics::counter!(
            "actifix_sdk_discarded_total",
            "project" => project.to_string(), "reason" => reason, "category" => "error"
        )
        .increment(0);
    }
}

/// Every end that an attempt can have at this channel, so that the first failure counts up from 0 too.
pub(crate) fn announce_deliveries(endpoint: &str) {
    for result in Failure::ALL.into_iter().map(Failure::as_str).chain(["delivered"]) {
        let name = endpoint.to_owned();
        metrics::counter!("actifix_webhook_deliveries_total", "endpoint" => name, "result" => result)
            .increment(0);
    }
}
