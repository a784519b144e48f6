//! The store on SQLite: one writer thread, a few readers, one file.

mod accounts;
mod activity;
mod alerts;
mod answers;
mod audit;
mod body;
mod care;
mod check;
mod connection;
mod events;
mod factors;
mod findings;
mod guard;
mod hooks;
mod identities;
mod ingest;
mod inspect;
mod jwt;
mod limits;
mod lists;
mod log;
mod logins;
mod marks;
mod migrate;
mod monitors;
mod open;
mod operations;
mod outbox;
mod ports;
mod projects;
mod quarantine;
mod readers;
mod regroup;
mod releases;
mod retention;
mod rows;
mod schema;
mod scrub;
mod search;
mod secrets;
mod settings;
mod snapshot;
mod source_maps;
mod space;
mod throttles;
mod tickets;
mod tokens;
mod upkeep;
mod upkeep_ports;
mod uploads;
mod views;
mod witness;
mod word;
mod words;
mod writer;

#[cfg(test)]
mod audit_tests;
#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod tests;

pub use body::train_dictionary;
pub use inspect::{Inspection, inspect};
pub use migrate::SchemaError;
pub use open::{OpenError, StoreOptions};
pub use space::FreeBytes;
pub use writer::{OnFatal, QueueLimits};

use crate::fault::Result;
use crate::files::Lock;
use actifix_app::audit::AuditChain;
use actifix_app::error::Error;
use actifix_app::ports::Clock;
use actifix_domain::audit::AuditRecord;
use actifix_domain::throttle::ThrottleConfig;
use guard::Guard;
use readers::Readers;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::Arc;
use witness::Witness;
use writer::{Work, Writer};

/// One open database.
pub(crate) struct SqliteStore {
    path: PathBuf,
    readers: Arc<Readers>,
    writer: Arc<Writer>,
    throttle: ThrottleConfig,
    clock: Arc<dyn Clock>,
    chain: AuditChain,
    witness: Arc<Witness>,
    /// Keeps other programs out. After the connections, which must close before it does.
    _guard: Arc<Guard>,
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

    /// As [`SqliteStore::write`], with its record in the same transaction.
    pub(crate) async fn audited<T: Send + 'static>(
        &self,
        record: &AuditRecord,
        action: impl FnOnce(&mut Work<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.audited_if(record, |_| true, action).await
    }

    /// As [`SqliteStore::audited`], with a record only where `done` says that something changed.
    pub(crate) async fn audited_if<T: Send + 'static>(
        &self,
        record: &AuditRecord,
        done: fn(&T) -> bool,
        action: impl FnOnce(&mut Work<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let record = record.clone();
        self.write(move |work| {
            let value = action(work)?;
            if done(&value) {
                audit::append(work, &record)?;
            }
            Ok(value)
        })
        .await
    }
}
