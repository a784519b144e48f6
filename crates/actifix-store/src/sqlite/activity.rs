//! History of tickets.

use super::projects::collect;
use super::rows::Columns;
use crate::fault::Result;
use actifix_app::ports::ActivityEntry;
use actifix_domain::id::ProjectId;
use rusqlite::{Connection, params};

/// Lines kept per ticket; the oldest go first.
const ENTRIES_MAX: i64 = 1_000;
/// Lines shown.
const SHOWN_MAX: u32 = 200;

/// Adds a line.
pub(crate) fn append(db: &Connection, project: ProjectId, seq: i64, entry: &ActivityEntry) -> Result<()> {
    let number: i64 = db
        .prepare_cached(
            "INSERT INTO ticket_activity (project_id, ticket_seq, number, at, actor, kind, data) \
             SELECT ?1, ?2, coalesce(max(number), 0) + 1, ?3, ?4, ?5, ?6 FROM ticket_activity \
             WHERE project_id = ?1 AND ticket_seq = ?2 RETURNING number",
        )?
        .query_row(
            params![
                project.0,
                seq,
                entry.at.micros(),
                entry.actor,
                entry.kind,
                serde_json::to_string(&entry.data)?
            ],
            |row| row.get(0),
        )?;
    db.prepare_cached(
        "DELETE FROM ticket_activity WHERE project_id = ?1 AND ticket_seq = ?2 AND number <= ?3",
    )?
    .execute(params![project.0, seq, number - ENTRIES_MAX])?;
    Ok(())
}

/// The latest lines, newest first.
pub(crate) fn latest(db: &Connection, project: ProjectId, seq: i64) -> Result<Vec<ActivityEntry>> {
    let sql = "SELECT at, actor, kind, data FROM ticket_activity WHERE project_id = ?1 AND ticket_seq = ?2 \
         ORDER BY number DESC LIMIT ?3";
    collect(db, sql, params![project.0, seq, SHOWN_MAX], |row| {
        let mut c = Columns::new(row);
        Ok(ActivityEntry { at: c.time()?, actor: c.take()?, kind: c.take()?, data: c.json()? })
    })
}
