//! Regular maintenance: each line of the guide's lists with its evidence, and whether it is done.
//!
//! Some lines a program can judge; others somebody has to look at, and for these the evidence is put before them and
//! their name under it. A review that was signed is kept, and its successor tells what changed since.

mod items;
mod names;
mod parts;

pub use items::{Item, ItemState};
pub use names::{NAMES_MAX, NameFact};
pub use parts::Component;

use crate::app::App;
use crate::error::{Error, Result};
use crate::evidence::{Signature, is_signed};
use crate::ports::ReviewRecord;
use actifix_domain::access::{Actor, Scope};
use actifix_domain::alert::{Signal, Trigger};
use actifix_domain::audit::Action;
use actifix_domain::project::ProjectSettings;
use actifix_domain::review::Period;
use actifix_domain::time::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// When somebody last held `docs/SECURITY_HARDENING.md` against the code; a test compares the two.
pub const GUIDE_REVIEWED: &str = "2026-11-30";
/// Longest name of a reviewer, characters.
const REVIEWER_CHARS_MAX: usize = 64;

/// What reviews remember.
#[derive(Default)]
pub(crate) struct ReviewState {
    /// What is overdue, as it was told last: one count per period.
    told: Mutex<[u32; Period::ALL.len()]>,
    /// What the program is made of, given once at the start.
    components: OnceLock<Vec<Component>>,
}

/// A review.
#[derive(Clone, Debug, Serialize)]
pub struct Review {
    /// Which list.
    pub period: Period,
    /// Of which installation.
    pub installation: String,
    /// By which version.
    pub program: &'static str,
    /// When.
    pub made_at: Timestamp,
    /// Who signed the one before, and when.
    pub last: Option<Last>,
    /// When this one is or was due.
    pub due_at: Timestamp,
    /// Reviews that fell due since the last: 0 none yet, 1 this one, more: some were left out.
    pub missed: u32,
    /// Each line of the list.
    pub items: Vec<Item>,
    /// Who signs this one.
    pub reviewer: Option<String>,
    /// What the next one is compared with.
    pub facts: Value,
}

/// The review before.
#[derive(Clone, Debug, Serialize)]
pub struct Last {
    /// When.
    pub recorded_at: Timestamp,
    /// Who.
    pub reviewer: String,
}

impl Review {
    /// Lines that are not done.
    pub fn due(&self) -> usize {
        self.items.iter().filter(|item| item.state == ItemState::Due).count()
    }
}

/// A kept review with the proof that nobody changed it.
#[derive(Clone, Debug, Serialize)]
pub struct KeptReview {
    /// The row.
    #[serde(flatten)]
    pub record: ReviewRecord,
    /// The document is the one that was signed here.
    pub intact: bool,
}

impl App {
    /// Says what the program is made of. Called once, where the App is put together.
    pub fn is_made_of(&self, components: Vec<Component>) {
        // The first list stays: a program does not change while it runs.
        let _set_before = self.reviews.components.set(components);
    }

    /// Looks at each line of a list now. With a name it is signed and kept.
    pub async fn review(self: &Arc<Self>, actor: &Actor, period: Period, by: Option<&str>) -> Result<Review> {
        Self::require(actor, Scope::Admin, None)?;
        let reviewer = by.map(|name| self.reviewer(name)).transpose()?;
        let former = self.store.reviews(Some(period), 1).await?.pop();
        let now = self.now();
        let since = match &former {
            Some(former) => former.recorded_at,
            None => self.begun().await?,
        };
        let facts = former.as_ref().and_then(|former| serde_json::from_str::<Value>(&former.document).ok());
        let facts = facts.and_then(|document| document.get("facts").cloned()).unwrap_or(Value::Null);
        let (mut items, facts) = self.items_of(period, since, &facts).await?;
        if reviewer.is_some() {
            items.iter_mut().filter(|item| item.by_person).for_each(|item| item.state = ItemState::Pass);
        }
        let review = Review {
            period,
            installation: self.installation.clone(),
            program: env!("CARGO_PKG_VERSION"),
            made_at: now,
            due_at: period.due_after(since, 1),
            missed: period.due_since(since, now),
            last: former.map(|former| Last { recorded_at: former.recorded_at, reviewer: former.reviewer }),
            items,
            reviewer,
            facts,
        };
        if let Some(reviewer) = review.reviewer.clone() {
            self.keep_review(actor, &review, reviewer).await?;
        }
        Ok(review)
    }

    async fn keep_review(&self, actor: &Actor, review: &Review, reviewer: String) -> Result<()> {
        let document = json!(review).to_string();
        let signature = self.evidence.sign(document.as_bytes())?.signature;
        let detail = json!({ "period": review.period, "reviewer": reviewer, "due": review.due(), "missed": review.missed });
        let audit =
            self.audit(actor, Action::ReviewRecorded, format!("review:{}", review.period), None, detail);
        let record = ReviewRecord {
            id: 0,
            period: review.period,
            reviewer,
            recorded_at: review.made_at,
            document,
            signature,
        };
        self.store.add_review(&record, &audit).await?;
        self.tend_reviews().await
    }

    fn reviewer(&self, name: &str) -> Result<String> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > REVIEWER_CHARS_MAX || name.chars().any(char::is_control)
        {
            let form = format!("1 to {REVIEWER_CHARS_MAX} characters: who looked at the evidence");
            return Err(Error::invalid("by", form));
        }
        Ok(self.redact_text(&ProjectSettings::default(), name))
    }

    /// Reviews that were signed, latest first.
    pub async fn reviews(&self, actor: &Actor, period: Option<Period>) -> Result<Vec<KeptReview>> {
        Self::require(actor, Scope::Admin, None)?;
        let public_key = self.evidence_key(actor)?;
        let kept = |record: ReviewRecord| {
            let signature = Signature {
                algorithm: "Ed25519".to_owned(),
                public_key: public_key.clone(),
                signature: record.signature.clone(),
            };
            KeptReview { intact: is_signed(record.document.as_bytes(), &signature), record }
        };
        Ok(self.store.reviews(period, 200).await?.into_iter().map(kept).collect())
    }

    /// Since when there is something to review.
    async fn begun(&self) -> Result<Timestamp> {
        let first = self.store.projects().await?.into_iter().map(|project| project.created_at).min();
        Ok(first.unwrap_or_else(|| self.now()))
    }

    /// Tells which reviews are overdue. Called once an hour, and after each review.
    pub async fn tend_reviews(&self) -> Result<()> {
        let (now, begun) = (self.now(), self.begun().await?);
        let mut signals = Vec::new();
        for (place, period) in Period::ALL.into_iter().enumerate() {
            let last = self.store.reviews(Some(period), 1).await?.pop();
            let missed = period.due_since(last.map_or(begun, |last| last.recorded_at), now);
            metrics::gauge!("actifix_review_overdue", "period" => period.as_str()).set(f64::from(missed));
            let mut told = self.reviews.told.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(told) = told.get_mut(place) else { continue };
            if missed > *told {
                tracing::warn!(period = period.as_str(), missed, "review.overdue");
                let title = format!("The {period} review is due: actifix review {period}");
                signals.push(Signal::new(Trigger::Doctor, now, format!("review:{period}:{missed}"), title));
            }
            *told = missed;
        }
        if signals.is_empty() { Ok(()) } else { self.raise_signals(signals).await }
    }
}
