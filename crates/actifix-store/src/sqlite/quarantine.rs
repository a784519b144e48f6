//! Input that could not be redacted, sealed. Bounded, and by project too, so that one of them cannot shut out the
//! others. What finds it full is refused: neither stored nor sealed it would be lost behind a 200.

use super::projects::collect;
use super::rows::{self, Columns, Place, page_size, quantity};
use super::writer::Work;
use crate::fault::Result;
use actifix_app::error::Error;
use actifix_app::ports::{Cursor, Page, QuarantineEntry, QuarantineItem, SealedInput};
use actifix_domain::id::ProjectId;
use actifix_domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// Entries of one installation, and their bytes.
const ALL: Room = Room { entries: 1_000, bytes: 256 << 20 };
/// Entries of one project, and their bytes.
const PROJECT: Room = Room { entries: 500, bytes: 128 << 20 };
/// When to come again: somebody has to release or delete entries first.
const RETRY_AFTER_SECONDS: u64 = 60;

struct Room {
    entries: u64,
    bytes: u64,
}

impl Room {
    const fn holds(&self, entries: u64, bytes: u64) -> bool {
        entries <= self.entries && bytes <= self.bytes
    }
}

const COLUMNS: &str = "seq, input_id, project_id, received_at, reason, kind, size";

/// Why there is no room for these; nothing if there is.
pub(crate) fn lacks_room(
    db: &Connection,
    project: ProjectId,
    inputs: &[SealedInput],
) -> Result<Option<Error>> {
    if inputs.is_empty() {
        return Ok(None);
    }
    let more = quantity_of(inputs.len());
    let more_bytes = inputs.iter().map(|input| quantity_of(input.sealed.len())).sum::<u64>();
    let of_project = |name: &str| rows::counter(db, project, name);
    let fits = ALL.holds(
        rows::counter_total(db, rows::QUARANTINE)?.saturating_add(more),
        rows::counter_total(db, rows::QUARANTINE_BYTES)?.saturating_add(more_bytes),
    ) && PROJECT.holds(
        of_project(rows::QUARANTINE)?.saturating_add(more),
        of_project(rows::QUARANTINE_BYTES)?.saturating_add(more_bytes),
    );
    if fits {
        return Ok(None);
    }
    tracing::warn!(project = project.0, "store.quarantine_full: input is refused until entries are released");
    rows::add_to_counter(db, project, rows::QUARANTINE_REFUSED, quantity(more))?;
    let message = "the quarantine is full";
    Ok(Some(Error::Unavailable { message, retry_after_seconds: RETRY_AFTER_SECONDS }))
}

/// Keeps an input; [`lacks_room`] was asked before.
pub(crate) fn put(db: &Connection, project: ProjectId, input: &SealedInput, at: Timestamp) -> Result<()> {
    let bytes = quantity_of(input.sealed.len());
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

fn quantity_of(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
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
