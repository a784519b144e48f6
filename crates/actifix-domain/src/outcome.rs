//! The one fate of every ingested item.

use serde::{Deserialize, Serialize};

/// What became of an ingested item (`product.md`). Each item ends in exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Stored with its body.
    Accepted,
    /// Counted on its ticket, body not kept.
    Sampled,
    /// Seen before; nothing changed.
    Duplicate,
    /// Not wanted: unsupported kind, refused origin, noise.
    Filtered,
    /// Refused by a limit.
    RateLimited,
    /// Its ticket was refused by the throttle; counted, one sample kept.
    Held,
    /// Could not be redacted safely; sealed away.
    Quarantined,
    /// Broken beyond repair.
    Invalid,
}

impl Outcome {
    /// All outcomes, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::Accepted,
        Self::Sampled,
        Self::Duplicate,
        Self::Filtered,
        Self::RateLimited,
        Self::Held,
        Self::Quarantined,
        Self::Invalid,
    ];

    /// The word used in JSON, SQL and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Sampled => "sampled",
            Self::Duplicate => "duplicate",
            Self::Filtered => "filtered",
            Self::RateLimited => "rate_limited",
            Self::Held => "held",
            Self::Quarantined => "quarantined",
            Self::Invalid => "invalid",
        }
    }
}

/// Why an item had its outcome (`ingest.md` §9). A closed set, so that metric labels stay bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No particular reason (accepted, sampled, duplicate, held).
    None,
    /// An item kind that is not stored.
    Unsupported,
    /// The key does not admit this origin.
    Origin,
    /// Browser extensions, bots.
    Noise,
    /// Broken envelope framing.
    Framing,
    /// JSON beyond repair.
    Json,
    /// Over a size limit.
    TooLarge,
    /// Unknown or broken content encoding.
    Encoding,
    /// Limit of the ingest key.
    Key,
    /// Limit of the project.
    Project,
    /// Limit of the instance.
    Instance,
    /// Queue, byte budget or disk full, or shutting down.
    Overload,
    /// Redaction could not finish within its budget.
    Redaction,
}

impl Reason {
    /// The word used in JSON, SQL and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Unsupported => "unsupported",
            Self::Origin => "origin",
            Self::Noise => "noise",
            Self::Framing => "framing",
            Self::Json => "json",
            Self::TooLarge => "too_large",
            Self::Encoding => "encoding",
            Self::Key => "key",
            Self::Project => "project",
            Self::Instance => "instance",
            Self::Overload => "overload",
            Self::Redaction => "redaction",
        }
    }
}

/// What an accepted event did to its ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It opened the ticket.
    New,
    /// It was counted on a known ticket.
    Seen,
    /// It reopened a resolved ticket.
    Regressed,
}

impl Change {
    /// The word used in JSON and on the terminal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Seen => "seen",
            Self::Regressed => "regressed",
        }
    }
}
