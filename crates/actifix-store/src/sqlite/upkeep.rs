//! The record of upkeep, and legal holds.

use super::projects::collect;
use super::rows::{Columns, quantity, ticket_by_id};
use super::writer::Work;
use crate::fault::{Fault, Result};
use actifix_app::error::Error;
use actifix_app::ports::{LegalHold, UpkeepKind, UpkeepRun};
use actifix_domain::id::{ProjectId, TicketId};
use actifix_domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

/// Runs that are kept of each kind.
const RUNS_MAX: u32 = 1_000;
/// Holds of one installation.
const HOLDS_MAX: i64 = 1_000;

/// Adds a run; the oldest of its kind beyond the bound goes.
pub(crate) fn record(work: &Work<'_>, run: &UpkeepRun) -> Result<()> {
    work.db
        .prepare_cached(
            "INSERT INTO upkeep_runs (kind, target, started_at, finished_at, result, detail) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            run.kind.as_str(),
            run.target,
            run.started_at.micros(),
            run.finished_at.micros(),
            if run.ok { "ok" } else { "failed" },
            run.detail.to_string(),
        ])?;
    work.db
        .prepare_cached(
            "DELETE FROM upkeep_runs WHERE kind = ?1 AND run_id <= (SELECT run_id FROM upkeep_runs WHERE kind = ?1 \
             ORDER BY run_id DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![run.kind.as_str(), RUNS_MAX])?;
    Ok(())
}

/// Runs, latest first.
pub(crate) fn runs(db: &Connection, kind: Option<UpkeepKind>, limit: u32) -> Result<Vec<UpkeepRun>> {
    let sql = "SELECT kind, target, started_at, finished_at, result, detail FROM upkeep_runs \
         WHERE ?1 IS NULL OR kind = ?1 ORDER BY run_id DESC LIMIT ?2";
    collect(db, sql, params![kind.map(UpkeepKind::as_str), limit.min(RUNS_MAX)], |row| {
        let mut c = Columns::new(row);
        let word: String = c.take()?;
        let kind = UpkeepKind::ALL.into_iter().find(|kind| kind.as_str() == word);
        Ok(UpkeepRun {
            kind: kind.ok_or_else(|| Fault::Defect("kind of upkeep".to_owned()))?,
            target: c.take()?,
            started_at: c.time()?,
            finished_at: c.time()?,
            ok: c.take::<String>()? == "ok",
            detail: c.json()?,
        })
    })
}

/// The newest wall time that was believed.
pub(crate) fn clock_mark(db: &Connection) -> Result<Option<Timestamp>> {
    let at: Option<i64> =
        db.query_row("SELECT at FROM clock_mark WHERE id = 1", [], |row| row.get(0)).optional()?;
    Ok(at.map(Timestamp::from_micros))
}

/// Sets it.
pub(crate) fn set_clock_mark(work: &Work<'_>, at: Timestamp) -> Result<()> {
    work.db
        .prepare_cached(
            "INSERT INTO clock_mark (id, at) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET at = excluded.at",
        )?
        .execute([at.micros()])?;
    Ok(())
}

/// Sets a hold.
pub(crate) fn hold(
    work: &Work<'_>,
    project: ProjectId,
    ticket: Option<&TicketId>,
    reason: &str,
    actor: &str,
    at: Timestamp,
) -> Result<LegalHold> {
    let seq = match ticket {
        Some(id) => ticket_by_id(work.db, id)?.ok_or(Error::NotFound { what: "ticket" })?.seq,
        None => 0,
    };
    let many: i64 = work.db.query_row("SELECT count(*) FROM legal_holds", [], |row| row.get(0))?;
    if many >= HOLDS_MAX {
        return Err(Error::conflict(format!("there are {HOLDS_MAX} legal holds: release some first")).into());
    }
    let id: Option<i64> = work
        .db
        .prepare_cached(
            "INSERT INTO legal_holds (project_id, ticket_seq, reason, actor, created_at) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT DO NOTHING RETURNING hold_id",
        )?
        .query_row(params![project.0, seq, reason, actor, at.micros()], |row| row.get(0))
        .optional()?;
    let id = id.ok_or_else(|| Error::conflict("it is held already"))?;
    Ok(LegalHold {
        id: u64::try_from(id).unwrap_or(0),
        project,
        ticket: ticket.cloned(),
        reason: reason.to_owned(),
        actor: actor.to_owned(),
        created_at: at,
    })
}

/// Releases a hold; false when there is none.
pub(crate) fn release(work: &Work<'_>, id: u64) -> Result<bool> {
    let gone =
        work.db.prepare_cached("DELETE FROM legal_holds WHERE hold_id = ?1")?.execute([quantity(id)])?;
    Ok(gone > 0)
}

/// All holds, latest first.
pub(crate) fn holds(db: &Connection) -> Result<Vec<LegalHold>> {
    let sql = "SELECT h.hold_id, h.project_id, t.ticket_id, h.reason, h.actor, h.created_at FROM legal_holds h \
         LEFT JOIN tickets t ON t.seq = h.ticket_seq ORDER BY h.hold_id DESC LIMIT ?1";
    collect(db, sql, [HOLDS_MAX], |row| {
        let mut c = Columns::new(row);
        Ok(LegalHold {
            id: c.count()?,
            project: ProjectId(c.take()?),
            ticket: c.parse_optional()?,
            reason: c.take()?,
            actor: c.take()?,
            created_at: c.time()?,
        })
    })
}

/// Whether anything is held at all.
pub(crate) fn any_hold(db: &Connection) -> Result<bool> {
    Ok(db.query_row("SELECT EXISTS (SELECT 1 FROM legal_holds)", [], |row| row.get(0))?)
}

/// Whether a project, or this ticket of it, is held.
pub(crate) fn is_held(db: &Connection, project: ProjectId, ticket_seq: i64) -> Result<bool> {
    let mut statement = db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM legal_holds WHERE project_id = ?1 AND ticket_seq IN (0, ?2))",
    )?;
    Ok(statement.query_row(params![project.0, ticket_seq], |row| row.get(0))?)
}

/// A hold on a ticket that is merged into another goes with it.
pub(crate) fn hold_moves(db: &Connection, project: ProjectId, from: i64, into: i64) -> Result<()> {
    hold_follows(db, project, from, into)?;
    db.prepare_cached("DELETE FROM legal_holds WHERE project_id = ?1 AND ticket_seq = ?2")?
        .execute(params![project.0, from])?;
    Ok(())
}

/// A hold on a ticket that a part of leaves holds that part too.
pub(crate) fn hold_follows(db: &Connection, project: ProjectId, from: i64, into: i64) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO legal_holds (project_id, ticket_seq, reason, actor, created_at) \
         SELECT project_id, ?3, reason, actor, created_at FROM legal_holds WHERE project_id = ?1 AND ticket_seq = ?2 \
         ON CONFLICT DO NOTHING",
    )?
    .execute(params![project.0, from, into])?;
    Ok(())
}
