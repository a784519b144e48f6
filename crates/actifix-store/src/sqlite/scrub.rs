//! Looks through everything that is kept for what the disk, or somebody, changed.
//!
//! Rows and bodies are read in steps, each a short question of a reader; the structure of the file is looked at table by
//! table on a connection of its own, so that no look holds the write-ahead log for long.

use super::events::Head;
use super::lists::whole;
use super::rows::{Columns, TICKET_COLUMNS, ticket_row};
use super::{body, connection, schema};
use crate::fault::{Fault, Result};
use actifix_app::ports::{Clock, DamagedRow, ScrubPlace, ScrubStep};
use rusqlite::{Connection, OpenFlags, params};
use std::path::Path;
use std::sync::Arc;

/// Rows of one step.
const STEP_ROWS: i64 = 500;
/// Bodies of one step: each is decompressed.
const STEP_BODIES: i64 = 200;
/// Longest look at one table, microseconds.
const TABLE_MICROS_MAX: i64 = 15 * 60 * 1_000_000;
/// Faults that are told of one table.
const FAULTS_MAX: u32 = 20;
/// Tables that are looked at.
const TABLES_MAX: usize = 200;
/// Steps of the engine between two looks at the clock.
const STEPS_PER_LOOK: i32 = 10_000;

/// One step from `place`.
pub(crate) fn step(db: &Connection, place: ScrubPlace) -> Result<ScrubStep> {
    let mut step = ScrubStep::default();
    let last = match place {
        ScrubPlace::Tickets(after) => tickets(db, after, &mut step)?,
        ScrubPlace::Events(after) => events(db, after, &mut step)?,
        ScrubPlace::Attachments(after) => attachments(db, after, &mut step)?,
    };
    step.next = match (place, last) {
        (ScrubPlace::Tickets(_), Some(last)) => Some(ScrubPlace::Tickets(last)),
        (ScrubPlace::Tickets(_), None) => Some(ScrubPlace::Events(0)),
        (ScrubPlace::Events(_), Some(last)) => Some(ScrubPlace::Events(last)),
        (ScrubPlace::Events(_), None) => Some(ScrubPlace::Attachments(0)),
        (ScrubPlace::Attachments(_), Some(last)) => Some(ScrubPlace::Attachments(last)),
        (ScrubPlace::Attachments(_), None) => None,
    };
    Ok(step)
}

fn tickets(db: &Connection, after: i64, step: &mut ScrubStep) -> Result<Option<i64>> {
    let sql = format!("SELECT {TICKET_COLUMNS} FROM tickets WHERE seq > ?1 ORDER BY seq LIMIT ?2");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params![after, STEP_ROWS])?;
    let (mut seen, mut last) = (0, None);
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        // A value that does not parse is as damaged as one with another hash.
        if !matches!(whole(ticket_row(row)), Ok(Some(_))) {
            step.damaged.push(DamagedRow { table: "tickets", row: seq });
        }
        (seen, last) = (seen + 1, Some(seq));
    }
    step.rows += u64::try_from(seen).unwrap_or(0);
    Ok(last.filter(|_| seen == STEP_ROWS))
}

fn events(db: &Connection, after: i64, step: &mut ScrubStep) -> Result<Option<i64>> {
    let sql = "SELECT e.seq, e.project_id, e.event_id, e.fingerprint, e.timestamp, e.received_at, e.outcome, e.title, \
         e.release, e.environment, e.user_hash, e.row_check, b.dict, b.data FROM events e \
         LEFT JOIN event_bodies b ON b.event_seq = e.seq WHERE e.seq > ?1 ORDER BY e.seq LIMIT ?2";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params![after, STEP_BODIES])?;
    let (mut seen, mut last) = (0, None);
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let mut columns = Columns::new(row);
        if Head::read(&mut columns).is_err() {
            step.damaged.push(DamagedRow { table: "events", row: seq });
        }
        let body = (row.get::<_, Option<u32>>(12), row.get::<_, Option<Vec<u8>>>(13));
        let opens = match body {
            (Ok(Some(dict)), Ok(Some(data))) => body::open(dict, &data).is_ok(),
            _ => false,
        };
        if !opens {
            step.damaged.push(DamagedRow { table: "event_bodies", row: seq });
        }
        (seen, last) = (seen + 1, Some(seq));
    }
    step.rows += u64::try_from(seen).unwrap_or(0);
    Ok(last.filter(|_| seen == STEP_BODIES))
}

fn attachments(db: &Connection, after: i64, step: &mut ScrubStep) -> Result<Option<i64>> {
    let sql = "SELECT rowid, dict, data FROM attachments WHERE rowid > ?1 ORDER BY rowid LIMIT ?2";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params![after, STEP_BODIES])?;
    let (mut seen, mut last) = (0, None);
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let opens = match (row.get::<_, u32>(1), row.get::<_, Option<Vec<u8>>>(2)) {
            (Ok(dict), Ok(Some(data))) => body::decompress(dict, &data).is_ok(),
            (Ok(_), Ok(None)) => true,
            _ => false,
        };
        if !opens {
            step.damaged.push(DamagedRow { table: "attachments", row: seq });
        }
        (seen, last) = (seen + 1, Some(seq));
    }
    step.rows += u64::try_from(seen).unwrap_or(0);
    Ok(last.filter(|_| seen == STEP_BODIES))
}

/// What the engine finds wrong with the structure of the file; empty is good. Blocks for as long as reading it takes.
pub(crate) fn structure(path: &Path, clock: &Arc<dyn Clock>) -> Result<Vec<String>> {
    let mut db = open_apart(path)?;
    let mut faults = schema::differences(&db)?;
    for table in tables(&db)? {
        let (clock, until) = (Arc::clone(clock), clock.monotonic_micros().saturating_add(TABLE_MICROS_MAX));
        db.progress_handler(STEPS_PER_LOOK, Some(move || clock.monotonic_micros() > until))?;
        faults.extend(structure_of(&db, Some(&table))?);
        if faults.len() >= TABLES_MAX {
            break;
        }
    }
    Ok(faults)
}

/// The same of one table, or of all.
pub(crate) fn structure_of(db: &Connection, table: Option<&str>) -> Result<Vec<String>> {
    // Names come from our own schema; quotes are doubled all the same.
    let sql = match table {
        Some(table) => format!("PRAGMA integrity_check('{}')", table.replace('\'', "''")),
        None => format!("PRAGMA integrity_check({FAULTS_MAX})"),
    };
    let mut found = Vec::new();
    let mut statement = match db.prepare(&sql) {
        Ok(statement) => statement,
        Err(error) => return damage(error).map(|text| vec![text]),
    };
    let mut rows = statement.query([])?;
    loop {
        match rows.next() {
            Ok(Some(row)) => {
                let text: String = row.get(0)?;
                if text != "ok" {
                    found.push(text);
                }
            }
            Ok(None) => return Ok(found),
            Err(error) => {
                found.push(damage(error)?);
                return Ok(found);
            }
        }
    }
}

/// A database so damaged that the look itself ends is damaged, not unavailable.
pub(crate) fn damage(error: rusqlite::Error) -> Result<String> {
    let fault = Fault::Sql(error);
    match &fault {
        Fault::Sql(rusqlite::Error::SqliteFailure(failure, _))
            if matches!(
                failure.code,
                rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase
            ) =>
        {
            Ok(fault.to_string())
        }
        _ => Err(fault),
    }
}

fn tables(db: &Connection) -> Result<Vec<String>> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 \
         UNION ALL SELECT 'sqlite_schema' ORDER BY 1";
    let mut statement = db.prepare(sql)?;
    let names = statement.query_map([], |row| row.get(0))?.take(TABLES_MAX);
    Ok(names.collect::<rusqlite::Result<_>>()?)
}

/// A connection that reads and belongs to no pool.
pub(crate) fn open_apart(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
    let db = Connection::open_with_flags(path, flags)?;
    connection::tune_reader(&db)?;
    Ok(db)
}
