//! Why a vault cannot be opened. Locked, absent and wrong are told apart: each needs another hand.

use std::path::PathBuf;

/// Why there is no open vault. Texts never repeat key material.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The text is not a key.
    #[error(
        "{origin}: not a root key: expected 64 hex digits; if it was cut short, put back a copy; for a new home make one with `openssl rand -hex 32`, or give a passphrase"
    )]
    Malformed {
        /// Variable or file.
        origin: String,
    },
    /// The text cannot be a passphrase.
    #[error("{origin}: not a usable passphrase: expected {min} to {max} characters")]
    Passphrase {
        /// Where it came from.
        origin: String,
        /// Characters at least.
        min: usize,
        /// Characters at most.
        max: usize,
    },
    /// A new passphrase that a guesser tries early.
    #[error("{origin}: not a usable passphrase: {why}")]
    Guessable {
        /// Where it came from.
        origin: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// Both variables are set, to different keys.
    #[error("ACTIFIX_MASTER_KEY and ACTIFIX_MASTER_KEY_FILE are both set and differ: keep one")]
    Ambiguous,
    /// A file cannot be read or made.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key file that others can read or exchange.
    #[error("{path}: refused as the place of a secret: {why}")]
    Refused {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        why: String,
    },
    /// The key is not where the home says that it is.
    #[error("the root key is absent: {origin}: {hint}; a new key could not open what is sealed")]
    Absent {
        /// Where it should be.
        origin: String,
        /// What to do.
        hint: String,
    },
    /// It is there, and its keeper does not give it out.
    #[error(
        "the root key is locked: {origin} does not give it out before somebody unlocks it: log in, or unlock it with the desktop's password dialog, then start again"
    )]
    Locked {
        /// The keeper.
        origin: String,
    },
    /// The keeper is there and does not answer.
    #[error(
        "the root key cannot be fetched: {origin} does not answer within {seconds} s: restart that service, then start again"
    )]
    NoAnswer {
        /// The keeper.
        origin: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The keeper is not there.
    #[error("the root key cannot be fetched: {origin} cannot be reached: {why}")]
    Unreachable {
        /// The keeper.
        origin: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// The key is not the one that this home was made with.
    #[error(
        "wrong root key: the key from {origin} is not the one of this home: use the key that this home was made with"
    )]
    Wrong {
        /// Variable, file or keeper.
        origin: String,
    },
    /// The record is not whole.
    #[error("{path}: damaged: {what}: put back a copy of this file from a backup; nothing was changed")]
    Damaged {
        /// The record.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Data exists, its record does not.
    #[error(
        "{path} is missing although this home holds data: put it back from a backup, with the root key that belongs to it; new keys could not open what is sealed"
    )]
    Lost {
        /// Where it should be.
        path: PathBuf,
    },
    /// The choice was made before.
    #[error(
        "this home has a root key already (backend `{backend}`): to move it, use `actifix secrets rotate-key --backend …`"
    )]
    Chosen {
        /// The backend.
        backend: &'static str,
    },
    /// A wish that cannot be.
    #[error("{0}")]
    Usage(String),
}

impl VaultError {
    /// One word for the state that it stands for.
    pub const fn state(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "locked",
            Self::Absent { .. } => "absent",
            Self::Wrong { .. } => "wrong_key",
            Self::NoAnswer { .. } | Self::Unreachable { .. } => "unreachable",
            Self::Damaged { .. } | Self::Lost { .. } => "damaged",
            Self::Malformed { .. }
            | Self::Passphrase { .. }
            | Self::Guessable { .. }
            | Self::Ambiguous
            | Self::Io { .. }
            | Self::Refused { .. }
            | Self::Chosen { .. }
            | Self::Usage(_) => "refused",
        }
    }
}
