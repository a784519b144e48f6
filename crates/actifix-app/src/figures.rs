//! Figures that are there from the start, with 0: an alert rule must tell nothing from not known.

use crate::app::App;
use crate::auth_log::REASONS;
use crate::error::Result;

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
        for endpoint in self.store.endpoints().await? {
            let name = endpoint.record.name;
            metrics::counter!("actifix_webhook_deliveries_total", "endpoint" => name, "result" => "delivered")
                .increment(0);
        }
        metrics::gauge!("actifix_webhook_oldest_pending_seconds").set(0.0);
        self.observe_clock().await?;
        self.restore_incident().await?;
        self.tend_reviews().await
    }
}
