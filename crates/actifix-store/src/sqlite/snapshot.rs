//! All pages of the database as they were at one moment, one after the other.
//!
//! One read transaction sees one state whatever is written meanwhile, and the engine itself gives the pages
//! (`sqlite_dbpage`), so that the write-ahead log is taken into account. Memory is one page and a small cache, nothing is
//! copied to disk, and writers do not wait. What is read is byte for byte a database file.

use super::scrub::open_apart;
use super::{audit, care, witness};
use crate::fault::{Fault, Result};
use actifix_app::audit::AuditChain;
use actifix_app::ports::{SnapshotFacts, SnapshotSink};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::Path;

/// The log may grow to this while a snapshot is read, bytes: it cannot be taken into the database meanwhile.
const LOG_BYTES_MAX: u64 = 4 << 30;
/// Pages between two looks at the log.
const PAGES_PER_LOOK: u64 = 4_096;
/// Tables that are counted.
const TABLES_MAX: usize = 200;

/// Hands what is to be known and then every page to `sink`.
pub(crate) fn read(path: &Path, chain: &AuditChain, sink: &mut dyn SnapshotSink) -> Result<SnapshotFacts> {
    let db = open_apart(path)?;
    db.execute_batch("PRAGMA cache_size = -1024; BEGIN;")?;
    let facts = facts(&db, chain)?;
    let stopped = |error: std::io::Error| Fault::App(from_io(error));
    sink.begin(&facts).map_err(stopped)?;
    let mut statement = db.prepare("SELECT pgno, data FROM sqlite_dbpage ORDER BY pgno")?;
    let mut rows = statement.query([])?;
    let mut pages = 0u64;
    while let Some(row) = rows.next()? {
        let page =
            row.get_ref(1)?.as_blob().map_err(|_| Fault::Defect("a page that is no blob".to_owned()))?;
        if u64::try_from(page.len()).ok() != Some(facts.page_bytes) {
            return Err(Fault::Defect(format!("page {} has another size", pages + 1)));
        }
        sink.page(page).map_err(stopped)?;
        pages += 1;
        if pages.is_multiple_of(PAGES_PER_LOOK)
            && std::fs::metadata(care::log_path(path)).is_ok_and(|found| found.len() > LOG_BYTES_MAX)
        {
            return Err(Fault::Defect("more was written during the backup than the log may hold".to_owned()));
        }
    }
    if pages != facts.pages {
        return Err(Fault::Defect(format!("{pages} pages were read of {}", facts.pages)));
    }
    Ok(facts)
}

fn from_io(error: std::io::Error) -> actifix_app::error::Error {
    if error.kind() == std::io::ErrorKind::StorageFull {
        return actifix_app::error::Error::Unavailable {
            message: "the disk of the backups is full",
            retry_after_seconds: 60,
        };
    }
    actifix_app::error::Error::internal(error)
}

fn facts(db: &Connection, chain: &AuditChain) -> Result<SnapshotFacts> {
    let number = |pragma: &str| -> Result<u64> {
        let found: i64 = db.query_row(pragma, [], |row| row.get(0))?;
        Ok(u64::try_from(found).unwrap_or(0))
    };
    let head = audit::head(db, chain)?;
    let counts = counts(db)?;
    Ok(SnapshotFacts {
        page_bytes: number("PRAGMA page_size")?,
        pages: number("PRAGMA page_count")?,
        schema_version: number("PRAGMA user_version")?,
        engine_version: rusqlite::version().to_owned(),
        last_event: number("SELECT coalesce(max(seq), 0) FROM events")?,
        counts,
        audit: head,
        witness: witness::text(chain, head)?,
    })
}

/// Rows of every table.
pub(crate) fn counts(db: &Connection) -> Result<BTreeMap<String, u64>> {
    let mut names = db.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 AND name NOT LIKE 'sqlite!_%' ESCAPE '!' \
         AND name NOT LIKE 'ticket!_words!_%' ESCAPE '!'",
    )?;
    let names: Vec<String> =
        names.query_map([], |row| row.get(0))?.take(TABLES_MAX).collect::<rusqlite::Result<_>>()?;
    let mut counts = BTreeMap::new();
    for name in names {
        let sql = format!("SELECT count(*) FROM \"{}\"", name.replace('"', "\"\""));
        let many: i64 = db.query_row(&sql, [], |row| row.get(0))?;
        counts.insert(name, u64::try_from(many).unwrap_or(0));
    }
    Ok(counts)
}
