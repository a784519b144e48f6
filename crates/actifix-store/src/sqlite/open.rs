//! Opening: files first, then the lock, then the engine, then the schema.

use super::connection::{self, ENGINE_MIN};
use super::guard::{self, Guard};
use super::ingest::Cache;
use super::log::{self, Unclosed};
use super::migrate::{self, SchemaError};
use super::readers::{READERS, Readers};
use super::space::{self, FreeBytes, Space};
use super::throttles::Settings;
use super::witness::Witness;
use super::writer::{OnFatal, QueueLimits, Start, Writer};
use super::{SqliteStore, care};
use crate::fault::Fault;
use crate::files::{self, FileError, Found};
use actifix_app::audit::AuditChain;
use actifix_app::ports::{AuditHead, Clock};
use actifix_domain::throttle::ThrottleConfig;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Name of the database in its directory.
const DATABASE: &str = "actifix.db";
/// Name of the lock.
const LOCK: &str = "actifix.lock";
/// Says that this directory held a database before.
const MARKER: &str = "installation";
/// What the marker holds.
const MARKER_TEXT: &str = "actifix 1\n";

/// How to open a store.
pub struct StoreOptions {
    /// Directory of the database; made if it is not there (its parent must be).
    pub data_dir: PathBuf,
    /// Settings of the throttle.
    pub throttle: ThrottleConfig,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Bounds of the queue of the writer.
    pub queue: QueueLimits,
    /// Connections that read.
    pub readers: usize,
    /// Told once when the database fails for good: the process should end then, and be started again.
    pub on_fatal: Option<OnFatal>,
    /// Key of the chain of the audit log, derived by the vault for it alone.
    pub audit_key: [u8; 32],
    /// How much is free on a disk, for tests to tell otherwise.
    pub free_bytes: FreeBytes,
    /// File outside the database that says where the audit log ends; none only in tests.
    pub audit_witness: Option<PathBuf>,
}

impl std::fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreOptions").field("data_dir", &self.data_dir).finish_non_exhaustive()
    }
}

impl StoreOptions {
    /// The defaults for a directory.
    pub fn new(data_dir: impl Into<PathBuf>, clock: Arc<dyn Clock>, audit_key: [u8; 32]) -> Self {
        Self {
            data_dir: data_dir.into(),
            throttle: ThrottleConfig::default(),
            clock,
            queue: QueueLimits::default(),
            readers: READERS,
            on_fatal: None,
            audit_key,
            free_bytes: Box::new(space::free_bytes),
            audit_witness: None,
        }
    }
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file or directory is not as it must be, or another process has it.
    #[error(transparent)]
    File(#[from] FileError),
    /// There was a database and now there is none.
    #[error(
        "{path} is missing or empty, but this home had a database: is the volume mounted? Restore a backup, or remove {marker} to begin anew"
    )]
    Lost {
        /// Where it should be.
        path: PathBuf,
        /// What says that it was there.
        marker: PathBuf,
    },
    /// There was a write-ahead log and now there is none.
    #[error(
        "{path} is missing or cut short, but whoever wrote it did not come to an orderly end: what was acknowledged last is in it. Put it back or restore a backup; remove {mark} to go on without what it held"
    )]
    LogLost {
        /// Where it should be.
        path: PathBuf,
        /// What says that it was there.
        mark: PathBuf,
    },
    /// The engine is one that can lose data.
    #[error("SQLite {found} can lose committed data; 3.51.3 or later is needed: build with the bundled one")]
    Engine {
        /// Its version.
        found: &'static str,
    },
    /// The schema is not ours.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The file is damaged.
    #[error(
        "the database is damaged ({0}): keep the files for analysis and restore a backup; nothing was changed"
    )]
    Damaged(String),
    /// The engine failed.
    #[error("cannot open the database: {0}")]
    Engined(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No thread could be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] std::io::Error),
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        if let Fault::Sql(rusqlite::Error::SqliteFailure(failure, _)) = &fault
            && matches!(
                failure.code,
                rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase
            )
        {
            return Self::Damaged(fault.to_string());
        }
        Self::Engined(Box::new(fault))
    }
}

impl SqliteStore {
    /// See [`crate::open`]. Blocks.
    pub(crate) fn open(options: StoreOptions) -> Result<Self, OpenError> {
        if rusqlite::version_number() < ENGINE_MIN {
            return Err(OpenError::Engine { found: rusqlite::version() });
        }
        files::private_dir(&options.data_dir)?;
        // Links above the directory are the operator's business; below it there are none.
        let dir = std::fs::canonicalize(&options.data_dir).map_err(|source| FileError::System {
            action: "resolve",
            path: options.data_dir.clone(),
            source,
        })?;
        files::check_parents(&dir)?;
        let lock = files::lock(&dir.join(LOCK))?;
        let path = dir.join(DATABASE);
        prepare_files(&dir, &path)?;
        guard::refuse_others(&path)?;
        let unclosed = check_log(&path)?;
        let mut connection = connection::open_writer(&path)?;
        check_pages(&connection)?;
        let now = options.clock.now();
        let chain = AuditChain::new(options.audit_key);
        let witness = Witness::new(options.audit_witness);
        // The witness comes before the log, and never later: where the log has begun, a witness that is not there was
        // taken away, also if no row is left for it to speak of.
        if migrate::is_before_audit(&connection).map_err(damaged_schema)? && !witness.is_there() {
            witness.begin(&chain, AuditHead { seq: 0, hash: chain.genesis() })?;
        }
        migrate::migrate(&mut connection, now).map_err(damaged_schema)?;
        for suffix in ["-wal", "-shm"] {
            files::check_in_place(&care::with_suffix(&path, suffix))?;
        }
        let guard = Arc::new(Guard::take(&path)?);
        files::write_note(&dir.join(MARKER), MARKER_TEXT)?;
        let readers = Arc::new(Readers::open(&path, options.readers, Arc::clone(&options.clock))?);
        let throttle = Settings::new(options.throttle);
        let cache = Cache::new(throttle.clone());
        let clock = Arc::clone(&options.clock);
        let space = Arc::new(Space::new(&dir, options.free_bytes));
        let start = Start {
            connection,
            cache,
            chain: chain.clone(),
            clock,
            space,
            guard: Arc::clone(&guard),
            limits: options.queue,
            on_fatal: options.on_fatal,
            unclosed,
        };
        let writer = Writer::start(start).map_err(OpenError::Thread)?;
        Ok(Self {
            path,
            readers,
            writer: Arc::new(writer),
            throttle,
            clock: options.clock,
            chain,
            witness: Arc::new(witness),
            _guard: guard,
            _lock: lock,
        })
    }
}

fn prepare_files(dir: &Path, path: &Path) -> Result<(), OpenError> {
    let marker = dir.join(MARKER);
    let known = std::fs::symlink_metadata(&marker).is_ok();
    let size = std::fs::symlink_metadata(path).ok().map(|found| found.len());
    if known && size.unwrap_or(0) == 0 {
        files::check_private_file(path)?;
        return Err(OpenError::Lost { path: path.to_owned(), marker });
    }
    if files::private_file(path)? == Found::Created {
        tracing::info!(path = %path.display(), "store.created");
    }
    for suffix in ["-wal", "-shm", "-journal"] {
        files::check_private_file(&care::with_suffix(path, suffix))?;
    }
    Ok(())
}

/// A log that is gone, or in which the engine would find an early end, is refused before the engine sees it.
fn check_log(path: &Path) -> Result<Unclosed, OpenError> {
    let unclosed = Unclosed::of(path);
    let log = care::log_path(path);
    if unclosed.is_there() && !unclosed.log_holds_frames() {
        return Err(OpenError::LogLost { path: log, mark: unclosed.path().to_owned() });
    }
    match log::damage(path) {
        Ok(None) => Ok(unclosed),
        Ok(Some(what)) => Err(OpenError::Damaged(what)),
        Err(source) => Err(FileError::System { action: "read", path: log, source }.into()),
    }
}

/// A damaged file must not be served as data. The quick check reads every page once, so it is left to `doctor` for
/// large ones; here the schema and its root are read.
fn check_pages(connection: &rusqlite::Connection) -> Result<(), OpenError> {
    connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
        .map(|_| ())
        .map_err(|error| Fault::Sql(error).into())
}

fn damaged_schema(error: SchemaError) -> OpenError {
    match error {
        SchemaError::Sql(error) => Fault::Sql(error).into(),
        other => other.into(),
    }
}
