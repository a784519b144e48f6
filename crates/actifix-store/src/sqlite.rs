//! The store on SQLite: one writer thread, a few readers, one file.

mod activity;
mod answers;
mod body;
mod care;
mod connection;
mod events;
mod findings;
mod ingest;
mod limits;
mod lists;
mod migrate;
mod monitors;
mod open;
mod ports;
mod projects;
mod quarantine;
mod readers;
mod regroup;
mod retention;
mod rows;
mod search;
mod throttles;
mod tickets;
mod tokens;
mod word;
mod writer;

#[cfg(test)]
mod tests;

pub use body::train_dictionary;
pub use migrate::SchemaError;
pub use open::{OpenError, StoreOptions};
pub use writer::{OnFatal, QueueLimits};

use crate::fault::Result;
use crate::files::Lock;
use actifix_app::error::Error;
use actifix_app::ports::Clock;
use actifix_domain::throttle::ThrottleConfig;
use readers::Readers;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::Arc;
use writer::{Work, Writer};

/// One open database.
pub(crate) struct SqliteStore {
    path: PathBuf,
    readers: Arc<Readers>,
    writer: Arc<Writer>,
    throttle: ThrottleConfig,
    clock: Arc<dyn Clock>,
    /// Held as long as anything may write.
    _lock: Lock,
}

impl SqliteStore {
    /// Asks a question on a connection that only reads.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.readers.read(question).await
    }

    /// Writes in a transaction of its own; returns after it is durable.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        action: impl FnOnce(&mut Work<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.writer.write(action).await
    }
}
