//! What an SDK is told. Statuses, headers and texts are those of `ingest.md` §9.

use actifix_domain::id::EventId;
use actifix_domain::outcome::Reason;
use actifix_protocol::answer;

/// A finished answer; the web face only writes it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestAnswer {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: AnswerBody,
    /// `Retry-After`, seconds.
    pub retry_after: Option<u64>,
    /// `X-Sentry-Rate-Limits`.
    pub rate_limits: Option<String>,
}

/// Body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerBody {
    /// Nothing.
    Empty,
    /// `{"id": …}`, or `{}` without one.
    Id(Option<EventId>),
    /// The hyphenated id as text.
    IdText(EventId),
    /// A transparent pixel.
    Gif,
    /// Bytes in the client's own format.
    Bytes {
        /// Content type.
        content_type: &'static str,
        /// Content.
        bytes: Vec<u8>,
    },
    /// `{"detail": …, "causes": […]}`; also sent as `X-Sentry-Error`. Never repeats input.
    Error {
        /// One line.
        detail: String,
        /// Further lines.
        causes: Vec<String>,
    },
}

impl IngestAnswer {
    /// An answer without extras.
    pub fn new(status: u16, body: AnswerBody) -> Self {
        Self { status, body, retry_after: None, rate_limits: None }
    }

    /// An error without extras.
    pub fn error(status: u16, detail: impl Into<String>) -> Self {
        Self::new(status, AnswerBody::Error { detail: detail.into(), causes: Vec::new() })
    }
}

/// Why a request was refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No key anywhere.
    NoKey,
    /// Several keys that differ.
    ConflictingKeys,
    /// Unknown, disabled, or of another project: one text for all three.
    UnknownKey,
    /// Its network asked for too many keys that nobody has: this one is not looked up.
    TooManyKeys {
        /// Seconds.
        retry_after: u64,
    },
    /// The key does not admit the origin.
    Origin,
    /// Over a limit.
    Limited(Limited),
    /// Over a size.
    TooLarge(&'static str),
    /// Unknown content encoding or type.
    Unsupported(&'static str),
    /// Bytes that do not decode.
    Broken {
        /// Framing, JSON or encoding.
        reason: Reason,
        /// What and where, in words of ours.
        detail: String,
    },
    /// Not now.
    Overload {
        /// Why.
        message: &'static str,
        /// Seconds.
        retry_after: u64,
    },
    /// A fault of ours; logged, not shown.
    Internal,
}

/// Which limit was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limited {
    /// Key, project or instance.
    pub reason: Reason,
    /// Seconds until there is room again.
    pub retry_after: u64,
    /// Categories that are limited; empty = all.
    pub categories: Vec<&'static str>,
}

impl Limited {
    /// `X-Sentry-Rate-Limits` for this limit.
    pub fn header(&self) -> String {
        let scope = match self.reason {
            Reason::Key => "key",
            Reason::Project => "project",
            _ => "organization",
        };
        format!("{}:{}:{scope}:{}", self.retry_after, self.categories.join(";"), self.reason.as_str())
    }
}

impl Refusal {
    /// The answer to it.
    pub fn answer(&self) -> IngestAnswer {
        match self {
            Self::NoKey => IngestAnswer::error(401, answer::MISSING_AUTH),
            Self::ConflictingKeys => IngestAnswer::error(403, answer::CONFLICTING_AUTH),
            Self::UnknownKey => IngestAnswer::error(403, answer::DENIED),
            Self::TooManyKeys { retry_after } => IngestAnswer {
                retry_after: Some(*retry_after),
                ..IngestAnswer::error(429, "too many unknown keys from this network")
            },
            Self::Origin => IngestAnswer::error(403, answer::ORIGIN_DENIED),
            Self::Limited(limited) => IngestAnswer {
                retry_after: Some(limited.retry_after),
                rate_limits: Some(limited.header()),
                ..IngestAnswer::error(429, answer::RATE_LIMITED)
            },
            Self::TooLarge(what) => IngestAnswer::error(413, format!("{what} is too large")),
            Self::Unsupported(what) => IngestAnswer::error(415, format!("unsupported {what}")),
            Self::Broken { detail, .. } => IngestAnswer::error(400, detail.clone()),
            Self::Overload { message, retry_after } => {
                IngestAnswer { retry_after: Some(*retry_after), ..IngestAnswer::error(503, *message) }
            }
            Self::Internal => {
                IngestAnswer { retry_after: Some(5), ..IngestAnswer::error(503, "not available now") }
            }
        }
    }

    /// Outcome reason, where the refusal is an outcome of an item.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::NoKey | Self::ConflictingKeys | Self::UnknownKey | Self::TooManyKeys { .. } => None,
            Self::Origin => Some(Reason::Origin),
            Self::Limited(limited) => Some(limited.reason),
            Self::TooLarge(_) => Some(Reason::TooLarge),
            Self::Unsupported(_) => Some(Reason::Encoding),
            Self::Broken { reason, .. } => Some(*reason),
            Self::Overload { .. } | Self::Internal => Some(Reason::Overload),
        }
    }
}
