//! Input that could not be redacted, sealed. Bounded: what comes when it is full is counted and let go, since the
//! oldest is what somebody may be looking at.

use super::projects::collect;
use super::rows::{self, Columns, Place, page_size, quantity};
use super::writer::Work;
use crate::fault::Result;
use actifix_app::ports::{Cursor, Page, QuarantineEntry, QuarantineItem, SealedInput};
use actifix_domain::id::ProjectId;
use actifix_domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// Entries of one installation.
const ENTRIES_MAX: u64 = 1_000;
/// Bytes of one installation.
const BYTES_MAX: u64 = 256 << 20;

const COLUMNS: &str = "seq, input_id, project_id, received_at, reason, kind, size";

/// Keeps an input, if there is room.
pub(crate) fn put(db: &Connection, project: ProjectId, input: &SealedInput, at: Timestamp) -> Result<()> {
    let bytes = u64::try_from(input.sealed.len()).unwrap_or(u64::MAX);
    let full = rows::counter_total(db, rows::QUARANTINE)? >= ENTRIES_MAX
        || rows::counter_total(db, rows::QUARANTINE_BYTES)?.saturating_add(bytes) > BYTES_MAX;
    if full {
        tracing::warn!(project = project.0, "store.quarantine_full: input was counted and let go");
        return rows::add_to_counter(db, project, rows::QUARANTINE_REFUSED, 1);
    }
    let added = db
        .prepare_cached(
            "INSERT INTO quarantine (project_id, input_id, received_at, reason, kind, size, sealed) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            project.0,
            input.id,
            at.micros(),
            input.reason,
            input.kind,
            quantity(input.size),
            input.sealed
        ])?;
    if added == 0 {
        return Ok(());
    }
    rows::add_to_counter(db, project, rows::QUARANTINE, 1)?;
    rows::add_to_counter(db, project, rows::QUARANTINE_BYTES, quantity(bytes))
}

pub(crate) fn list(
    db: &Connection,
    project: Option<ProjectId>,
    cursor: Option<&Cursor>,
    limit: u32,
) -> Result<Page<QuarantineEntry>> {
    let (limit, place) = (page_size(limit), Place::parse(cursor, "quarantine")?);
    let sql = format!(
        "SELECT {COLUMNS} FROM quarantine WHERE (received_at, seq) < (?1, ?2) AND (?3 IS NULL OR project_id = ?3) \
         ORDER BY received_at DESC, seq DESC LIMIT ?4"
    );
    let values = params![place.0, place.1, project.map(|project| project.0), rows::one_more(limit)];
    let found = collect(db, &sql, values, |row| Ok((row.get::<_, i64>(0)?, entry(row)?)))?;
    let place = |(seq, entry): &(i64, QuarantineEntry)| Place(entry.received_at.micros(), *seq);
    Ok(rows::page(found, limit, None, "quarantine", place))
}

pub(crate) fn get(db: &Connection, id: &str) -> Result<Option<QuarantineItem>> {
    let sql = format!("SELECT {COLUMNS}, sealed FROM quarantine WHERE input_id = ?1");
    let mut statement = db.prepare_cached(&sql)?;
    let mut found = statement.query([id])?;
    let Some(row) = found.next()? else { return Ok(None) };
    Ok(Some(QuarantineItem { entry: entry(row)?, sealed: row.get("sealed")? }))
}

pub(crate) fn delete(work: &mut Work<'_>, id: &str) -> Result<bool> {
    let gone: Option<(i64, i64)> = work
        .db
        .prepare_cached("DELETE FROM quarantine WHERE input_id = ?1 RETURNING project_id, length(sealed)")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((project, bytes)) = gone else { return Ok(false) };
    rows::add_to_counter(work.db, ProjectId(project), rows::QUARANTINE, -1)?;
    rows::add_to_counter(work.db, ProjectId(project), rows::QUARANTINE_BYTES, -bytes)?;
    Ok(true)
}

fn entry(row: &Row<'_>) -> Result<QuarantineEntry> {
    let mut c = Columns::new(row);
    c.skip();
    Ok(QuarantineEntry {
        id: c.take()?,
        project: ProjectId(c.take()?),
        received_at: c.time()?,
        reason: c.take()?,
        kind: c.take()?,
        size: c.count()?,
    })
}
