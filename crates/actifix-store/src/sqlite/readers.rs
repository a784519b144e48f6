//! A small pool of read-only connections. Reads never wait for the writer, and never hold a thread of the runtime.

use crate::fault::{Fault, Result};
use actifix_app::error::Error;
use actifix_app::ports::Clock;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Connections, unless told otherwise.
pub(crate) const READERS: usize = 4;
/// Reads that may wait for a connection; more are refused.
const WAITING_MAX: usize = 1_024;
/// Longest time of one read, microseconds.
const READ_MICROS_MAX: i64 = 5_000_000;
/// Steps of the database engine between two looks at the clock.
const STEPS_PER_LOOK: i32 = 10_000;
/// Statements that a connection keeps compiled.
const STATEMENTS: usize = 128;

/// The pool.
pub(crate) struct Readers {
    free: Mutex<Vec<Reader>>,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    clock: Arc<dyn Clock>,
}

struct Reader {
    connection: Connection,
    /// End of the read that runs, on the monotonic clock, microseconds.
    deadline: Arc<AtomicI64>,
}

impl Readers {
    /// Opens `count` read-only connections.
    pub(crate) fn open(path: &Path, count: usize, clock: Arc<dyn Clock>) -> Result<Self> {
        let readers = (0..count.max(1)).map(|_| Reader::open(path, &clock)).collect::<Result<Vec<_>>>()?;
        let permits = Arc::new(Semaphore::new(readers.len()));
        Ok(Self { free: Mutex::new(readers), permits, waiting: AtomicUsize::new(0), clock })
    }

    /// Runs `question` on a blocking thread with a connection of its own.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        const BUSY: Error = Error::Unavailable { message: "too many readers wait", retry_after_seconds: 1 };
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(BUSY);
        }
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let permit = permit
            .map_err(|_| Error::Unavailable { message: "the server is stopping", retry_after_seconds: 5 })?;
        let pool = Arc::clone(self);
        let work = move || {
            let _permit = permit;
            let reader = pool.free.lock().unwrap_or_else(PoisonError::into_inner).pop().ok_or(BUSY)?;
            reader.deadline.store(pool.clock.monotonic_micros() + READ_MICROS_MAX, Ordering::Relaxed);
            let reader = Returned { reader: Some(reader), pool: &pool };
            let connection = reader.connection().ok_or(BUSY)?;
            let answer = question(connection);
            drop(reader);
            answer.map_err(Fault::into_error)
        };
        tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
    }

    /// Closes the pool: reads that come later are refused.
    pub(crate) fn close(&self) {
        self.permits.close();
        self.free.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Gives the connection back even when the question panics.
struct Returned<'a> {
    reader: Option<Reader>,
    pool: &'a Readers,
}

impl Returned<'_> {
    fn connection(&self) -> Option<&Connection> {
        self.reader.as_ref().map(|reader| &reader.connection)
    }
}

impl Drop for Returned<'_> {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.take()
            && !self.pool.permits.is_closed()
        {
            self.pool.free.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
        }
    }
}

impl Reader {
    fn open(path: &Path, clock: &Arc<dyn Clock>) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW
            | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
        let mut connection = Connection::open_with_flags(path, flags)?;
        super::connection::tune_reader(&connection)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let deadline = Arc::new(AtomicI64::new(i64::MAX));
        let (seen, clock) = (Arc::clone(&deadline), Arc::clone(clock));
        let late = move || clock.monotonic_micros() > seen.load(Ordering::Relaxed);
        connection.progress_handler(STEPS_PER_LOOK, Some(late))?;
        Ok(Self { connection, deadline })
    }
}
