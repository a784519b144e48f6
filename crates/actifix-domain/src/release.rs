//! Releases of a project: what is kept of them, and which of two is the later one.

mod order;

pub use order::{compare, is_after, latest};

use crate::id::ProjectId;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Longest name of a release, characters. It stands in addresses, on pages and in keys of the store.
pub const RELEASE_CHARS_MAX: usize = 250;
/// Releases of one project.
pub const RELEASES_MAX: u64 = 10_000;
/// Deploys kept of one release; the oldest go first.
pub const DEPLOYS_MAX: usize = 100;
/// Tickets listed of a release because they began in it, or came back with it; the counts go on.
pub const RELEASE_TICKETS_MAX: u64 = 1_000;

/// One release of one project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its project.
    pub project: ProjectId,
    /// Its name, as events send it.
    pub version: String,
    /// Corrected time of its earliest event, or when a build told of it.
    pub first_seen: Timestamp,
    /// Corrected time of its latest event; none when no event came.
    pub last_seen: Option<Timestamp>,
    /// When it was first heard of, by our own clock.
    pub recorded_at: Timestamp,
    /// When it was finished, as its build said.
    pub released_at: Option<Timestamp>,
    /// A page about it, as its build said. Text: it is shown, not followed.
    pub url: Option<String>,
    /// Events counted, sampled and held ones included.
    pub events: u64,
    /// Tickets whose first event was of it.
    pub new_tickets: u64,
    /// Times that a resolved ticket came back with it.
    pub regressions: u64,
    /// Times that it was brought somewhere; at most [`DEPLOYS_MAX`].
    pub deploys: u64,
    /// Commits kept of it.
    pub commits: u64,
    /// A build, an upload or an event with a server's key told of it. Others anybody may have named, with any words.
    pub trusted: bool,
}

/// One time that a release was brought somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deploy {
    /// Rises with each.
    pub id: u64,
    /// Where to.
    pub environment: String,
    /// A name for people.
    pub name: Option<String>,
    /// A page about it. Text: it is shown, not followed.
    pub url: Option<String>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it was done.
    pub finished_at: Timestamp,
}

/// Why a ticket belongs to a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Its first event was of this release.
    New,
    /// It was resolved, and came back with this release.
    Regressed,
    /// This release fixes it.
    Resolved,
}

impl Part {
    /// The word used in SQL and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Regressed => "regressed",
            Self::Resolved => "resolved",
        }
    }
}

/// Whether `text` can name a release, whoever names it: an event, a build, an upload or a person. It is one line, and no
/// part of a path that a reader of addresses would shorten.
pub fn is_valid_version(text: &str) -> bool {
    let chars = text.chars().count();
    (1..=RELEASE_CHARS_MAX).contains(&chars)
        && text.trim() == text
        && !text.starts_with('/')
        && !text.ends_with('/')
        && !text.chars().any(char::is_control)
        && !matches!(text, "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_events_may_have() {
        for good in ["1", "web@5.1.0", "feature/x@1", "8be41d0", "a b", "🦀"] {
            assert!(is_valid_version(good), "{good}");
        }
        let long = "x".repeat(RELEASE_CHARS_MAX + 1);
        for bad in ["", " ", "/x", "x/", ".", "..", "a\nb", "a\u{0}", " a", &long] {
            assert!(!is_valid_version(bad), "{bad:?}");
        }
    }
}
