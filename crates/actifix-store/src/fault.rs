//! What goes wrong inside the store, and what the use cases see of it.

use actifix_app::error::Error;
use rusqlite::ErrorCode;

/// Result inside the store.
pub(crate) type Result<T, E = Fault> = std::result::Result<T, E>;

/// Why a statement or verb failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The database said no.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    /// The use case gets exactly this.
    #[error(transparent)]
    App(#[from] Error),
    /// A row is not what we wrote: the disk, or somebody, changed it.
    #[error("row {row} of {table} is damaged: restore it from a backup; nothing was deleted")]
    Damaged {
        /// In which table.
        table: &'static str,
        /// Its number.
        row: i64,
    },
    /// A row cannot even be decoded, so it is not what we wrote.
    #[error("a row of the database cannot be read: {0}")]
    Unreadable(String),
    /// What was read is not what we wrote, or code of ours broke.
    #[error("{0}")]
    Defect(String),
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        // The category and place only: the text of a JSON error may repeat the value.
        Self::Defect(format!("JSON of the store: {:?} at column {}", error.classify(), error.column()))
    }
}

/// What is told of a disk without room.
pub(crate) const DISK_FULL: &str = "the disk is full";

/// What a fault means for the store as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Only for what was asked.
    One,
    /// For now: no room, or somebody else holds the lock. Trying later helps.
    Now(&'static str),
    /// For good: what was written may not be on disk. Nothing more is acknowledged.
    Fatal,
}

impl Fault {
    /// A row whose hash differs. It is told loudly: somebody has to act.
    pub(crate) fn damaged(table: &'static str, row: i64) -> Self {
        metrics::counter!("actifix_db_damaged_reads_total").increment(1);
        tracing::error!(table, row, "store.row_damaged: it is not served; restore it from a backup");
        Self::Damaged { table, row }
    }

    /// Tells loudly of a row that cannot be decoded. Never its content.
    pub(crate) fn tell(&self) {
        if !matches!(self, Self::Damaged { .. }) {
            metrics::counter!("actifix_db_damaged_reads_total").increment(1);
            tracing::error!(error = %self, "store.row_unreadable: it is not served; restore it from a backup");
        }
    }

    /// Whether what is stored was changed, rather than code of ours broke: the schema is strict and what we write decodes.
    pub(crate) fn is_damage(&self) -> bool {
        use rusqlite::Error::{
            FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error,
        };
        matches!(
            self,
            Self::Damaged { .. }
                | Self::Unreadable(_)
                | Self::Sql(
                    FromSqlConversionFailure(..)
                        | IntegralValueOutOfRange(..)
                        | InvalidColumnType(..)
                        | Utf8Error(..)
                )
        )
    }

    /// How far it reaches.
    pub(crate) fn weight(&self) -> Weight {
        let Self::Sql(rusqlite::Error::SqliteFailure(failure, _)) = self else { return Weight::One };
        match failure.code {
            ErrorCode::DiskFull => Weight::Now(DISK_FULL),
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
                Weight::Now("another process holds the database")
            }
            ErrorCode::OperationInterrupted => Weight::Now("the query took too long"),
            ErrorCode::OutOfMemory => Weight::Now("out of memory"),
            ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly => Weight::Fatal,
            _ => Weight::One,
        }
    }

    /// What the caller sees.
    pub(crate) fn into_error(self) -> Error {
        match self.weight() {
            Weight::Now(message) => Error::Unavailable { message, retry_after_seconds: 5 },
            Weight::Fatal => {
                tracing::error!(error = %self, "store.io_error");
                Error::Unavailable { message: "the database failed", retry_after_seconds: 30 }
            }
            Weight::One => match self {
                Self::App(error) => error,
                Self::Damaged { table, row } => Error::Damaged { what: format!("row {row} of {table}") },
                damage if damage.is_damage() => {
                    damage.tell();
                    Error::Damaged { what: "something that is stored".to_owned() }
                }
                other => Error::internal(other),
            },
        }
    }
}
