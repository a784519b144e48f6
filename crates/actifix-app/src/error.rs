//! The one closed error of every use case; each face maps it exhaustively.

use std::fmt;

/// Result of a use case or a port.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One field that was wrong.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// Name of the field or option.
    pub field: String,
    /// What is wrong and what would be right; never the refused value.
    pub message: String,
}

/// Why a use case did not happen. Texts are ours and never repeat input that may hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not exist, or the actor may not know that it does.
    #[error("{what} not found")]
    NotFound {
        /// Kind of thing.
        what: &'static str,
    },
    /// The actor lacks a right.
    #[error("not allowed: this needs {needs}")]
    Forbidden {
        /// The scope or role that it takes.
        needs: &'static str,
    },
    /// Input is wrong.
    #[error("invalid input: {}", Fields(.0))]
    Invalid(Vec<FieldError>),
    /// The state does not permit it.
    #[error("{message}")]
    Conflict {
        /// What, why, what to do.
        message: String,
        /// It was a stale version (`If-Match`): 412 rather than 409.
        stale: bool,
    },
    /// Too much, too fast.
    #[error("rate limited, try again in {retry_after_seconds} s")]
    Throttled {
        /// Seconds to wait.
        retry_after_seconds: u64,
    },
    /// Not now: a queue or disk is full, or the server is stopping.
    #[error("not available now: {message}")]
    Unavailable {
        /// Why.
        message: &'static str,
        /// Seconds to wait.
        retry_after_seconds: u64,
    },
    /// What is stored is not what was written: the disk, or somebody, changed it. None of it is served.
    #[error(
        "{what} is damaged, so it is not shown; nothing was deleted: run `actifix doctor`, keep the files as they are, and restore a backup that was found whole (docs/backups.md)"
    )]
    Damaged {
        /// Which row of which table, as far as it is known.
        what: String,
    },
    /// A fault of ours.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

struct Fields<'a>(&'a [FieldError]);

impl fmt::Display for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, field) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{}: {}", field.field, field.message)?;
        }
        Ok(())
    }
}

impl Error {
    /// One wrong field.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { field: field.into(), message: message.into() }])
    }

    /// The state does not permit it.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::Conflict { message: message.into(), stale: false }
    }

    /// The version was not the expected one.
    pub fn stale() -> Self {
        Self::Conflict {
            message: "changed by somebody else in the meantime: read it again, then repeat the change"
                .to_owned(),
            stale: true,
        }
    }

    /// A fault of ours.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(source.into())
    }
}
