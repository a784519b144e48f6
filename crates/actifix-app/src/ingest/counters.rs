//! Outcomes that no transaction carries, and the metrics of all of them.
//!
//! A refused request must cost no write of its own, or a flood of refusals would be a flood of writes. Refusals
//! are added up here and written with the next tick of the worker.

use super::answer::Refusal;
use super::decode::outcome_of_dropped;
use crate::app::App;
use crate::error::Result;
use crate::ports::{Discard, Ingested, OutcomeCount, Recorded, Submission};
use actifix_domain::id::ProjectId;
use actifix_domain::outcome::{Outcome, Reason};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Different counts that are held between two ticks.
const COUNTS_MAX: usize = 10_000;

type Counts = BTreeMap<(ProjectId, Outcome, Reason, &'static str), u64>;

/// What a submission holds, taken before it is given away.
#[derive(Debug)]
pub(super) struct Tally {
    project: ProjectId,
    /// Items whose fate is known.
    counts: Vec<OutcomeCount>,
    discards: Vec<Discard>,
    /// Items whose fate the store decides, by category.
    open: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub(super) fn of(submission: &Submission) -> Self {
        let mut open = BTreeMap::new();
        let mut add = |category, quantity: usize| *open.entry(category).or_default() += quantity as u64;
        for event in &submission.events {
            add(event.category(), 1);
            add("attachment", event.attachments.len());
        }
        add("attachment", submission.late_attachments.len());
        // One that failed is an event.
        add("monitor", submission.check_ins.iter().filter(|check_in| check_in.status != "error").count());
        add("session", submission.sessions.len());
        Self {
            project: submission.project,
            counts: submission.counts.clone(),
            discards: submission.discards.clone(),
            open,
        }
    }
}

/// Refusals since the last tick.
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<Counts>);

impl Counters {
    /// Counts a request that was refused as a whole before its items were known.
    pub(super) fn refused(&self, project: ProjectId, category: &'static str, refusal: &Refusal) {
        self.refused_many(project, category, refusal, 1);
    }

    /// Counts an item that was not kept, of a request that was refused as a whole.
    pub(super) fn dropped(&self, project: ProjectId, category: &'static str, reason: Reason) {
        let outcome = outcome_of_dropped(reason);
        metric(project, outcome, 1);
        self.add((project, outcome, reason, category), 1);
    }

    /// Counts every item of a submission that the store did not take.
    pub(super) fn refused_all(&self, tally: &Tally, refusal: &Refusal) {
        for (category, quantity) in &tally.open {
            self.refused_many(tally.project, category, refusal, *quantity);
        }
        for count in &tally.counts {
            self.refused_many(tally.project, count.category, refusal, count.quantity);
        }
    }

    fn refused_many(&self, project: ProjectId, category: &'static str, refusal: &Refusal, quantity: u64) {
        let Some(reason) = refusal.reason().filter(|_| quantity > 0) else { return };
        let outcome = match refusal {
            Refusal::Origin => Outcome::Filtered,
            Refusal::Limited(_) | Refusal::Overload { .. } | Refusal::Internal => Outcome::RateLimited,
            _ => Outcome::Invalid,
        };
        metric(project, outcome, quantity);
        if outcome == Outcome::RateLimited {
            metrics::counter!("actifix_rate_limited_total", "class" => reason.as_str()).increment(quantity);
        }
        self.add((project, outcome, reason, category), quantity);
    }

    /// Metrics of a submission that was stored.
    pub(super) fn stored(&self, tally: &Tally, ingested: &Ingested) {
        for count in tally.counts.iter().chain(&ingested.side) {
            metric(tally.project, count.outcome, count.quantity);
        }
        for record in &ingested.events {
            metric(tally.project, record.outcome, 1);
        }
        for discard in &tally.discards {
            metrics::counter!(
                "actifix_sdk_discarded_total",
                "project" => tally.project.to_string(),
                "reason" => discard.reason,
                "category" => discard.category
            )
            .increment(discard.quantity);
        }
    }

    fn add(&self, key: (ProjectId, Outcome, Reason, &'static str), quantity: u64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = counts.len() < COUNTS_MAX || counts.contains_key(&key);
        // Beyond the bound what became of an item is still counted, only no longer why: there are as many of these as
        // projects and outcomes.
        let key = if known { key } else { (key.0, key.1, Reason::None, "default") };
        let sum = counts.entry(key).or_default();
        *sum = sum.saturating_add(quantity);
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
    /// Stores what did not come through the wire's door, and counts it.
    pub(crate) async fn keep(&self, submission: Submission) -> Result<Vec<Recorded>> {
        let tally = Tally::of(&submission);
        match self.store.ingest(submission).await {
            Ok(ingested) => {
                self.counters.stored(&tally, &ingested);
                Ok(ingested.events)
            }
            Err(error) => {
                if let crate::error::Error::Unavailable { .. } = &error {
                    self.counters.refused_all(&tally, &super::refuse_error(&error));
                }
                Err(error)
            }
        }
    }

    /// Writes the refusals since the last call; called by a worker and before a stop. What could not be written is
    /// kept for the next call.
    pub async fn flush_counters(&self) -> Result<()> {
        let mut by_project: BTreeMap<ProjectId, Submission> = BTreeMap::new();
        let now = self.now();
        for ((project, outcome, reason, category), quantity) in self.counters.take() {
            let submission = by_project.entry(project).or_insert_with(|| Submission::new(project, now));
            submission.counts.push(OutcomeCount { outcome, reason, category, quantity });
        }
        let mut failed = None;
        for (project, submission) in by_project {
            let counts = submission.counts.clone();
            if let Err(error) = self.store.ingest(submission).await {
                for count in counts {
                    self.counters.add((project, count.outcome, count.reason, count.category), count.quantity);
                }
                failed = Some(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }
}
