//! The ticket: all events of one fingerprint in one project, and what may become of it.

use crate::approval::{Approval, Origins};
use crate::event::Level;
use crate::id::{Fingerprint, ProjectId, TicketId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// P0 critical … P4 trivial. Ordered by urgency: `P0 < P1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Priority {
    /// Critical.
    P0,
    /// High.
    P1,
    /// Normal.
    P2,
    /// Low.
    P3,
    /// Trivial.
    P4,
}

impl Priority {
    /// All priorities, most urgent first.
    pub const ALL: [Self; 5] = [Self::P0, Self::P1, Self::P2, Self::P3, Self::P4];

    /// `P0` … `P4`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P0 => "P0",
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
            Self::P4 => "P4",
        }
    }

    /// 0 … 4.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// From 0 … 4.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// One step more urgent; P0 stays.
    pub const fn raised(self) -> Self {
        match self {
            Self::P0 | Self::P1 => Self::P0,
            Self::P2 => Self::P1,
            Self::P3 => Self::P2,
            Self::P4 => Self::P3,
        }
    }
}

impl FromStr for Priority {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|priority| priority.as_str().eq_ignore_ascii_case(text.trim()))
            .ok_or_else(|| "unknown priority; one of P0, P1, P2, P3, P4".to_owned())
    }
}

/// Where a ticket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// To be worked on.
    Open,
    /// Its creation was refused by the throttle; counted, not announced.
    Held,
    /// Leased.
    InProgress,
    /// Evidence given, waits for confirmation.
    InReview,
    /// Done, with evidence.
    Resolved,
    /// Only counted.
    Ignored,
}

impl Status {
    /// All, in the order of `product.md`.
    pub const ALL: [Self; 6] =
        [Self::Open, Self::Held, Self::InProgress, Self::InReview, Self::Resolved, Self::Ignored];

    /// The word used in JSON, SQL and search.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Held => "held",
            Self::InProgress => "in_progress",
            Self::InReview => "in_review",
            Self::Resolved => "resolved",
            Self::Ignored => "ignored",
        }
    }
}

impl FromStr for Status {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| format!("unknown status; one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// One ticket, as lists and the API show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    /// Identity.
    pub id: TicketId,
    /// Its project.
    pub project: ProjectId,
    /// One line that names it: the title of its latest event.
    pub title: String,
    /// Place of the failure.
    pub culprit: String,
    /// Level of its latest event.
    pub level: Level,
    /// Where it stands.
    pub status: Status,
    /// How urgent it is.
    pub priority: Priority,
    /// Why it has this priority, in words of ours.
    pub priority_reason: String,
    /// Events counted, sampled ones included.
    pub count: u64,
    /// Different users affected, counted by keyed hash.
    pub users: u64,
    /// Corrected time of the earliest event.
    pub first_seen: Timestamp,
    /// Corrected time of the latest event.
    pub last_seen: Timestamp,
    /// Its grouping key.
    pub fingerprint: Fingerprint,
    /// Key of tickets that look alike; only listed, never merged by itself.
    pub near_key: Option<Fingerprint>,
    /// Release of the earliest event.
    pub first_release: Option<String>,
    /// Release of the latest event.
    pub last_release: Option<String>,
    /// Language family.
    pub platform: Option<String>,
    /// Nobody caught the latest one.
    pub unhandled: bool,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// Release that fixes it, when one was named.
    pub resolved_in: Option<String>,
    /// Resolved in the next release: the latest one that was known then. Once that release is there, it is
    /// `resolved_in`.
    pub resolved_after: Option<String>,
    /// How often it came back after being resolved.
    pub regressions: u32,
    /// It was raised a step (regression, rate spike); happens once.
    pub raised: bool,
    /// Person or agent who works on it.
    pub assignee: Option<String>,
    /// Whether agents may have it, by the policy of its project; set where it is shown.
    pub approval: Approval,
    /// Why, in words of ours.
    pub approval_reason: String,
    /// What that is decided on.
    #[serde(skip)]
    pub origins: Origins,
    /// When its row was made.
    pub created_at: Timestamp,
    /// Counts up with each write by a person or agent; `If-Match` compares it. Events do not raise it.
    pub version: u64,
}
