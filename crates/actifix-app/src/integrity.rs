//! Looking through everything that is kept, so that what the disk changed is found before somebody needs it.

use crate::app::App;
use crate::error::Result;
use crate::ports::{IntegrityReport, ScrubPlace, UpkeepKind, UpkeepRun};
use crate::retention::seconds;
use actifix_domain::access::{Actor, Scope};
use actifix_domain::time::HOUR;
use serde_json::json;
use std::time::Duration;

/// Time between two looks.
const EVERY: i64 = 24 * HOUR;
/// Rest between two steps of the daily look, each of which works for some milliseconds: the look takes about a tenth of
/// one core from whoever sends and reads meanwhile, and twenty minutes for five million events.
const REST: Duration = Duration::from_millis(45);
/// Damaged rows and lines about the structure that are told.
const TOLD_MAX: usize = 100;

impl App {
    /// Looks through everything now. Damage is told, counted and recorded; nothing is changed.
    pub async fn check_integrity(&self, actor: &Actor) -> Result<IntegrityReport> {
        Self::require(actor, Scope::Admin, None)?;
        // Somebody waits.
        self.look_through(Duration::ZERO).await
    }

    async fn look_through(&self, rest: Duration) -> Result<IntegrityReport> {
        let started_at = self.now();
        let mut report = IntegrityReport::default();
        let mut place = Some(ScrubPlace::Tickets(0));
        let mut damaged = 0usize;
        while let Some(from) = place {
            let step = self.store.scrub(from).await?;
            report.rows += step.rows;
            damaged += step.damaged.len();
            let room = TOLD_MAX.saturating_sub(report.damaged.len());
            report.damaged.extend(step.damaged.into_iter().take(room));
            place = step.next;
            // Others come first.
            if rest.is_zero() { tokio::task::yield_now().await } else { tokio::time::sleep(rest).await }
        }
        report.structure = self.store.check_structure().await?;
        let faults = damaged + report.structure.len();
        report.structure.truncate(TOLD_MAX);
        report.intact = faults == 0;
        let finished_at = self.now();
        metrics::gauge!("actifix_integrity_faults").set(faults as f64);
        metrics::gauge!("actifix_integrity_last_check_timestamp_seconds").set(seconds(finished_at));
        if !report.intact {
            tracing::error!(
                rows = damaged,
                structure = report.structure.len(),
                "integrity.damaged: stop the server, keep its files, restore a verified backup (docs/backups.md)"
            );
        }
        let run = UpkeepRun {
            kind: UpkeepKind::Integrity,
            target: String::new(),
            started_at,
            finished_at,
            ok: report.intact,
            detail: json!(report),
        };
        self.store.record_run(&run, None).await?;
        Ok(report)
    }

    /// The last look that ended, if there was one.
    pub async fn last_integrity(&self, actor: &Actor) -> Result<Option<UpkeepRun>> {
        Self::require(actor, Scope::Admin, None)?;
        Ok(self.store.runs(Some(UpkeepKind::Integrity), 1).await?.pop())
    }

    /// Looks through everything if that was not done for a day. Called once an hour.
    pub async fn tend_integrity(&self) -> Result<Option<IntegrityReport>> {
        let last = self.store.runs(Some(UpkeepKind::Integrity), 1).await?.pop();
        if let Some(last) = last {
            metrics::gauge!("actifix_integrity_last_check_timestamp_seconds").set(seconds(last.finished_at));
            if self.now().since(last.finished_at).abs() < EVERY {
                return Ok(None);
            }
        }
        self.look_through(REST).await.map(Some)
    }
}
