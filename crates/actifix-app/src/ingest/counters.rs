//! Outcomes that no transaction carries, and the metrics of all of them.
//!
//! A refused request must cost no write of its own, or a flood of refusals would be a flood of writes. Refusals
//! are added up here and written with the next tick of the worker.

use super::answer::Refusal;
use crate::app::App;
use crate::error::Result;
use crate::ports::{OutcomeCount, Recorded, Submission};
use actifix_domain::id::ProjectId;
use actifix_domain::outcome::{Outcome, Reason};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Different counts that are held between two ticks.
const COUNTS_MAX: usize = 10_000;

type Counts = BTreeMap<(ProjectId, Outcome, Reason, &'static str), u64>;

/// Refusals since the last tick.
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<Counts>);

impl Counters {
    /// Counts a request that was refused as a whole.
    pub(super) fn refused(&self, project: ProjectId, category: &'static str, refusal: &Refusal) {
        let Some(reason) = refusal.reason() else { return };
        let outcome = match refusal {
            Refusal::Origin => Outcome::Filtered,
            Refusal::Limited(_) | Refusal::Overload { .. } | Refusal::Internal => Outcome::RateLimited,
            _ => Outcome::Invalid,
        };
        metric(project, outcome, 1);
        if outcome == Outcome::RateLimited {
            metrics::counter!("actifix_rate_limited_total", "class" => reason.as_str()).increment(1);
        }
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (project, outcome, reason, category);
        if counts.len() < COUNTS_MAX || counts.contains_key(&key) {
            *counts.entry(key).or_default() += 1;
        }
    }

    /// Metrics of what goes into a submission without being an event.
    pub(super) fn submitted(&self, submission: &Submission) {
        for count in &submission.counts {
            metric(submission.project, count.outcome, count.quantity);
        }
        for discard in &submission.discards {
            metrics::counter!(
                "actifix_sdk_discarded_total",
                "project" => submission.project.to_string(),
                "reason" => discard.reason,
                "category" => discard.category
            )
            .increment(discard.quantity);
        }
    }

    /// Metrics of what became of events.
    pub(crate) fn recorded(&self, project: ProjectId, recorded: &[Recorded]) {
        for record in recorded {
            metric(project, record.outcome, 1);
        }
    }

    fn take(&self) -> Counts {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn metric(project: ProjectId, outcome: Outcome, quantity: u64) {
    metrics::counter!("actifix_events_total", "project" => project.to_string(), "outcome" => outcome.as_str())
        .increment(quantity);
}

impl App {
    /// Writes the refusals since the last call; called by a worker and before a stop.
    pub async fn flush_counters(&self) -> Result<()> {
        let mut by_project: BTreeMap<ProjectId, Submission> = BTreeMap::new();
        let now = self.now();
        for ((project, outcome, reason, category), quantity) in self.counters.take() {
            let submission = by_project.entry(project).or_insert_with(|| Submission::new(project, now));
            submission.counts.push(OutcomeCount { outcome, reason, category, quantity });
        }
        for submission in by_project.into_values() {
            self.store.ingest(submission).await?;
        }
        Ok(())
    }
}
