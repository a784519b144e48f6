//! Figures, readiness.

use super::connection::busy_total;
use super::migrate::SCHEMA_VERSION;
use super::projects::collect;
use super::rows::Columns;
use super::writer::Work;
use super::{rows, throttles};
use crate::fault::Result;
use actifix_app::ports::StoreStats;
use actifix_domain::throttle::ThrottleConfig;
use actifix_domain::ticket::{Priority, Status};
use actifix_domain::time::Timestamp;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::Path;

/// Sizes and sums; nothing is counted anew.
pub(crate) fn stats(
    db: &Connection,
    path: &Path,
    config: &ThrottleConfig,
    now: Timestamp,
) -> Result<StoreStats> {
    let sums = sums(db)?;
    let sum = |name: &str| sums.get(name).copied().unwrap_or(0);
    let mut tickets = Vec::new();
    for status in Status::ALL {
        for priority in Priority::ALL {
            // Those that are none now are told too: a gauge keeps what it was last told.
            tickets.push((status, priority, sum(&rows::ticket_counter(status, priority))));
        }
    }
    let held_total = Priority::ALL.map(|priority| (priority, sum(&rows::held_total(priority)))).to_vec();
    Ok(StoreStats {
        brake: throttles::strongest_brake(db, config, now)?,
        held_total,
        db_size_bytes: size_of(path),
        wal_size_bytes: size_of(&log_path(path)),
        checkpointed_at: written_at(path),
        events: sum(rows::EVENTS),
        tickets,
        quarantine_entries: sum(rows::QUARANTINE),
        busy_total: busy_total(),
        engine_version: rusqlite::version().to_owned(),
        schema_version: SCHEMA_VERSION,
    })
}

/// Every counter over all projects, in one pass: each page of the dashboard shows some.
fn sums(db: &Connection) -> Result<BTreeMap<String, u64>> {
    let sql = "SELECT name, sum(quantity) FROM counters GROUP BY name";
    Ok(collect(db, sql, [], |row| {
        let mut c = Columns::new(row);
        Ok((c.take()?, c.count()?))
    })?
    .into_iter()
    .collect())
}

/// Path of the write-ahead log.
pub(crate) fn log_path(path: &Path) -> std::path::PathBuf {
    with_suffix(path, "-wal")
}

/// Path with something behind its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Beside a write-ahead log nothing but a checkpoint writes to the file itself.
fn written_at(path: &Path) -> i64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).map_or(0, |found| found.mtime())
}

fn size_of(path: &Path) -> u64 {
    std::fs::metadata(path).map(|found| found.len()).unwrap_or(0)
}

/// Writes a row, so that "ready" means more than "open".
pub(crate) fn touch(work: &mut Work<'_>) -> Result<()> {
    work.db
        .prepare_cached(
            "INSERT INTO counters (project_id, name, quantity) VALUES (0, 'ready_checks', 1) \
             ON CONFLICT (project_id, name) DO UPDATE SET quantity = quantity + 1",
        )?
        .execute([])?;
    Ok(())
}
