//! How connections are opened and tuned; the engine's version is checked here.

use crate::fault::Result;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Oldest engine that is used: earlier ones can lose committed data when two connections share a write-ahead log.
pub(crate) const ENGINE_MIN: i32 = 3_051_003;
/// Size of a page of a new database, bytes: two or three bodies of usual events fit without waste.
const PAGE_BYTES: u32 = 8 << 10;
/// Pages after which a commit also moves the log into the database.
const CHECKPOINT_PAGES: u32 = 5_000;
/// The log keeps this size after it was reused, bytes.
const LOG_BYTES: u32 = 64 << 20;
/// Memory for pages of the writer, KiB.
const WRITER_CACHE_KIB: u32 = 24 << 10;
/// Memory for pages of one reader, KiB.
const READER_CACHE_KIB: u32 = 4 << 10;
/// Statements that the writer keeps compiled.
const STATEMENTS: usize = 256;
/// Tries of the writer to get a lock that another process holds, 5 ms apart: 5 s in all.
const LOCK_TRIES: i32 = 1_000;
/// Time between two tries.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

static BUSY: AtomicU64 = AtomicU64::new(0);

/// Times that the database was found locked since start.
pub(crate) fn busy_total() -> u64 {
    BUSY.load(Ordering::Relaxed)
}

/// Opens the one connection that writes.
pub(crate) fn open_writer(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_handler(Some(wait_for_lock))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Plans never depend on the values bound: else a statement that could use a partial index is parsed anew each time.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let pragmas = format!(
        "PRAGMA page_size = {PAGE_BYTES};
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA secure_delete = FAST;
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;
         PRAGMA mmap_size = 0;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -{WRITER_CACHE_KIB};
         PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
         PRAGMA journal_size_limit = {LOG_BYTES};"
    );
    connection.execute_batch(&pragmas)?;
    Ok(connection)
}

/// Settings of a connection that only reads.
pub(crate) fn tune_reader(connection: &Connection) -> Result<()> {
    connection.busy_timeout(Duration::from_secs(2))?;
    let pragmas = format!(
        "PRAGMA query_only = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;
         PRAGMA mmap_size = 0;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -{READER_CACHE_KIB};"
    );
    connection.execute_batch(&pragmas)?;
    super::word::register(connection)?;
    Ok(())
}

#[allow(
    clippy::disallowed_methods,
    reason = "the engine calls this on the writer's own thread and wants it to wait"
)]
fn wait_for_lock(tries: i32) -> bool {
    if tries == 0 {
        BUSY.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("actifix_db_busy_total").increment(1);
    }
    if tries >= LOCK_TRIES {
        return false;
    }
    std::thread::sleep(LOCK_PAUSE);
    true
}
