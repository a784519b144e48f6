//! What is kept: the ports of `actifix-app` on a database. SQL stays in this crate.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod fault;
pub mod files;
mod sqlite;

pub use sqlite::{
    FreeBytes, Inspection, OnFatal, OpenError, QueueLimits, SchemaError, StoreOptions, inspect,
    train_dictionary,
};

use actifix_app::ports::Store;
use std::sync::Arc;

/// Opens the database of an installation, or makes it; brings its schema up to date.
///
/// # Errors
/// See [`OpenError`]; nothing was changed then, but for modes of files of ours that others could read.
pub async fn open(options: StoreOptions) -> Result<Arc<dyn Store>, OpenError> {
    let opening = tokio::task::spawn_blocking(move || sqlite::SqliteStore::open(options));
    match opening.await {
        Ok(store) => Ok(Arc::new(store?)),
        Err(error) => Err(OpenError::Thread(error.into())),
    }
}
