//! Deleting what is no longer kept, in steps so small that events never wait for them.
//!
//! What is old is found by readers; each step then deletes at most [`STEP`] rows on the writer, in its turn. A ticket
//! keeps its latest event whatever its age.

use super::ingest::{REMEMBER_MICROS, delete_event};
use super::projects::collect;
use super::rows::{self, quantity, ticket_by_seq};
use super::tickets::delete_ticket;
use super::writer::Work;
use super::{SqliteStore, audit, releases, upkeep};
use crate::fault::Result;
use actifix_app::error::Error;
use actifix_app::ports::{RetentionPolicy, RetentionReport, SourceMapStore};
use actifix_domain::id::ProjectId;
use actifix_domain::ticket::Status;
use actifix_domain::time::{DAY, HOUR, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

/// Rows that one transaction deletes.
const STEP: usize = 500;
/// The same for SQL.
const STEP_ROWS: i64 = 500;
/// Events that one question looks at.
const LOOK: i64 = 5_000;
/// Hours and days kept of series.
const TICKET_HOURS_KEPT: i64 = 8 * 24;
const TICKET_DAYS_KEPT: i64 = 91;
const PROJECT_DAYS_KEPT: i64 = 400;
/// Source maps that are used still are kept so many times as long as unused ones.
const MAP_AGE_FACTOR: u32 = 4;
/// An upload that takes longer than this was broken off.
const UPLOAD_MICROS: i64 = HOUR;

/// An event that may go.
#[derive(Clone, Copy, Debug)]
struct Old {
    seq: i64,
    bytes: i64,
}

/// Deletes, or with `dry_run` counts, what `policy` no longer keeps; without `now` only what is too much.
pub(crate) async fn run(
    store: &SqliteStore,
    policy: &RetentionPolicy,
    now: Option<Timestamp>,
    dry_run: bool,
) -> Result<RetentionReport, Error> {
    let mut report = RetentionReport::default();
    if let Some(now) = now.filter(|_| policy.events_days > 0) {
        old_events(store, border(now, policy.events_days), dry_run, &mut report).await?;
    }
    if policy.events_bytes_max > 0 {
        excess_events(store, policy.events_bytes_max, dry_run, &mut report).await?;
    }
    if let Some(now) = now {
        old_things(store, policy, now, dry_run, &mut report).await?;
    }
    Ok(report)
}

/// What goes by its age and is no event.
async fn old_things(
    store: &SqliteStore,
    policy: &RetentionPolicy,
    now: Timestamp,
    dry_run: bool,
    report: &mut RetentionReport,
) -> Result<(), Error> {
    if policy.resolved_tickets_days > 0 {
        let sql = "SELECT seq FROM tickets t WHERE status = 'resolved' AND resolved_at < ?1 AND seq > ?2 \
             AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.project_id = t.project_id AND h.ticket_seq IN (0, t.seq)) \
             ORDER BY seq LIMIT ?3";
        report.tickets =
            each(store, sql, border(now, policy.resolved_tickets_days), dry_run, drop_ticket).await?;
    }
    if policy.quarantine_days > 0 {
        let sql = "SELECT seq FROM quarantine q WHERE received_at < ?1 AND seq > ?2 AND NOT EXISTS (SELECT 1 \
             FROM legal_holds h WHERE h.project_id = q.project_id AND h.ticket_seq = 0) ORDER BY seq LIMIT ?3";
        report.quarantine =
            each(store, sql, border(now, policy.quarantine_days), dry_run, drop_quarantined).await?;
    }
    if policy.findings_days > 0 {
        let sql = "SELECT seq FROM findings f WHERE last_seen < ?1 AND seq > ?2 AND NOT EXISTS (SELECT 1 \
             FROM legal_holds h WHERE h.project_id = f.project_id AND h.ticket_seq = 0) ORDER BY seq LIMIT ?3";
        report.findings = each(store, sql, border(now, policy.findings_days), dry_run, drop_finding).await?;
    }
    if policy.source_maps_days > 0 {
        report.source_maps = old_source_maps(store, now, policy.source_maps_days, dry_run).await?;
    }
    if !dry_run {
        store.sweep_bundles(now.plus(-UPLOAD_MICROS)).await?;
    }
    // The log tells what was done to what is held; a part of it cannot be kept, so all is.
    if policy.audit_days > 0 && !store.read(upkeep::any_hold).await? {
        report.audit = old_audit(store, now, policy.audit_days, dry_run).await?;
    }
    report.remembered_ids = remembered_ids(store, now, dry_run).await?;
    if !dry_run {
        series(store, now).await?;
    }
    Ok(())
}

/// Uploads of source maps that no event needed for so many days, and those that are [`MAP_AGE_FACTOR`] times as old.
async fn old_source_maps(
    store: &SqliteStore,
    now: Timestamp,
    days: u32,
    dry_run: bool,
) -> Result<u64, Error> {
    let unused = "SELECT seq FROM map_bundles b WHERE state = 1 AND coalesce(used_at, uploaded_at) < ?1 AND seq > ?2 \
         AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.project_id = b.project_id AND h.ticket_seq = 0) \
         ORDER BY seq LIMIT ?3";
    let old = "SELECT seq FROM map_bundles b WHERE state = 1 AND uploaded_at < ?1 AND seq > ?2 AND NOT EXISTS (SELECT 1 \
         FROM legal_holds h WHERE h.project_id = b.project_id AND h.ticket_seq = 0) ORDER BY seq LIMIT ?3";
    let many = each(store, unused, border(now, days), dry_run, drop_unused_bundle).await?;
    let border = border(now, days.saturating_mul(MAP_AGE_FACTOR));
    let old = each(store, old, border, dry_run, drop_old_bundle).await?;
    // What is counted only may be counted for both reasons.
    Ok(if dry_run { many.max(old) } else { many + old })
}

/// Lets go of a bundle that was not used meanwhile; its rows are swept afterwards.
fn drop_unused_bundle(work: &mut Work<'_>, seq: i64, before: i64) -> Result<bool> {
    let sql = "UPDATE map_bundles SET state = 2 WHERE seq = ?1 AND state = 1 AND coalesce(used_at, uploaded_at) < ?2";
    Ok(work.db.prepare_cached(sql)?.execute(params![seq, before])? > 0)
}

fn drop_old_bundle(work: &mut Work<'_>, seq: i64, before: i64) -> Result<bool> {
    let sql = "UPDATE map_bundles SET state = 2 WHERE seq = ?1 AND state = 1 AND uploaded_at < ?2";
    Ok(work.db.prepare_cached(sql)?.execute(params![seq, before])? > 0)
}

fn border(now: Timestamp, days: u32) -> i64 {
    now.plus(-i64::from(days).saturating_mul(DAY)).micros()
}

/// Rows of the audit log, from its old end; what stands for them keeps the chain whole.
async fn old_audit(store: &SqliteStore, now: Timestamp, days: u32, dry_run: bool) -> Result<u64, Error> {
    let before = Timestamp::from_micros(border(now, days));
    let mut many = 0;
    while let Some((first, up_to)) = store.read(move |db| audit::prunable(db, before)).await? {
        if dry_run {
            return Ok(up_to - first + 1);
        }
        many += store.write(move |work| audit::prune(work, first, up_to, now)).await?;
    }
    Ok(many)
}

/// Events received before `before`. Numbers rise with the time of receipt, so the walk ends at the first later one.
async fn old_events(
    store: &SqliteStore,
    before: i64,
    dry_run: bool,
    report: &mut RetentionReport,
) -> Result<(), Error> {
    let mut after = 0;
    loop {
        let (found, held, last) = store.read(move |db| deletable(db, after, Some(before))).await?;
        report.held_events += held;
        remove(store, &found, dry_run, report).await?;
        match last {
            Some(last) => after = last,
            None => return Ok(()),
        }
    }
}

/// The oldest events, until the rest fits.
async fn excess_events(
    store: &SqliteStore,
    bytes_max: u64,
    dry_run: bool,
    report: &mut RetentionReport,
) -> Result<(), Error> {
    let kept = store.read(|db| rows::counter_total(db, rows::EVENT_BYTES)).await?;
    let mut excess = quantity(kept.saturating_sub(bytes_max));
    if dry_run {
        // What age takes is not gone yet; it counts towards the excess.
        excess = excess.saturating_sub(quantity(report.event_bytes));
    }
    let mut after = 0;
    while excess > 0 {
        let (mut found, _, last) = store.read(move |db| deletable(db, after, None)).await?;
        let mut taken = 0;
        found.retain(|old| {
            let wanted = taken < excess;
            taken += if wanted { old.bytes } else { 0 };
            wanted
        });
        remove(store, &found, dry_run, report).await?;
        excess -= taken;
        match last {
            Some(last) => after = last,
            None => return Ok(()),
        }
    }
    Ok(())
}

/// Of the next events those that are not their ticket's latest and not held; how many of the others are held; and where
/// to go on, if there is more.
fn deletable(db: &Connection, after: i64, before: Option<i64>) -> Result<(Vec<Old>, u64, Option<i64>)> {
    let sql = "SELECT e.seq, e.body_bytes, e.received_at, t.latest_event_seq = e.seq, EXISTS (SELECT 1 FROM legal_holds h \
         WHERE h.project_id = e.project_id AND h.ticket_seq IN (0, e.ticket_seq)) FROM events e \
         LEFT JOIN tickets t ON t.seq = e.ticket_seq WHERE e.seq > ?1 ORDER BY e.seq LIMIT ?2";
    let mut statement = db.prepare_cached(sql)?;
    let mut found_rows = statement.query(params![after, LOOK])?;
    let (mut found, mut held, mut seen, mut last) = (Vec::new(), 0, 0, None);
    while let Some(row) = found_rows.next()? {
        let (seq, bytes, received_at, latest): (i64, i64, i64, Option<bool>) =
            (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        if before.is_some_and(|before| received_at >= before) {
            return Ok((found, held, None));
        }
        seen += 1;
        last = Some(seq);
        if row.get(4)? {
            held += 1;
        } else if latest != Some(true) {
            found.push(Old { seq, bytes });
        }
    }
    Ok((found, held, if seen < LOOK { None } else { last }))
}

async fn remove(
    store: &SqliteStore,
    found: &[Old],
    dry_run: bool,
    report: &mut RetentionReport,
) -> Result<(), Error> {
    for step in found.chunks(STEP) {
        if dry_run {
            report.events += u64::try_from(step.len()).unwrap_or(0);
            report.event_bytes += step.iter().map(|old| u64::try_from(old.bytes).unwrap_or(0)).sum::<u64>();
            continue;
        }
        let seqs: Vec<i64> = step.iter().map(|old| old.seq).collect();
        let (events, bytes) = store.write(move |work| drop_events(work, &seqs)).await?;
        report.events += events;
        report.event_bytes += bytes;
    }
    Ok(())
}

/// Deletes events that are still not their ticket's latest, with their ids.
fn drop_events(work: &mut Work<'_>, seqs: &[i64]) -> Result<(u64, u64)> {
    let (mut events, mut bytes) = (0, 0);
    for seq in seqs {
        let known: Option<(i64, String, i64)> = work
            .db
            .prepare_cached(
                "SELECT e.project_id, e.event_id, e.ticket_seq FROM events e LEFT JOIN tickets t ON t.seq = e.ticket_seq \
                 WHERE e.seq = ?1 AND t.latest_event_seq IS NOT e.seq",
            )?
            .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((project, id, ticket_seq)) = known else { continue };
        if upkeep::is_held(work.db, ProjectId(project), ticket_seq)? {
            continue;
        }
        bytes += forget_event(work.db, ProjectId(project), *seq, &id)?;
        events += 1;
    }
    Ok((events, bytes))
}

fn forget_event(db: &Connection, project: ProjectId, seq: i64, id: &str) -> Result<u64> {
    let bytes = delete_event(db, project, seq)?.unwrap_or(0);
    db.prepare_cached(
        "DELETE FROM event_ids WHERE project_id = ?1 AND event_id = ?2 AND event_seq = ?3 AND expires_at IS NULL",
    )?
    .execute(params![project.0, id, seq])?;
    rows::add_to_counter(db, project, rows::EVENTS, -1)?;
    rows::add_to_counter(db, project, rows::EVENT_BYTES, -bytes)?;
    Ok(u64::try_from(bytes).unwrap_or(0))
}

/// Finds rows by number, in steps, and hands each to `drop_one`; how many were dropped, or would be.
async fn each(
    store: &SqliteStore,
    sql: &'static str,
    before: i64,
    dry_run: bool,
    drop_one: fn(&mut Work<'_>, i64, i64) -> Result<bool>,
) -> Result<u64, Error> {
    let (mut after, mut many) = (0, 0);
    loop {
        let seqs: Vec<i64> = store
            .read(move |db| collect(db, sql, params![before, after, STEP_ROWS], |row| Ok(row.get(0)?)))
            .await?;
        let Some(last) = seqs.last().copied() else { return Ok(many) };
        after = last;
        if dry_run {
            many += u64::try_from(seqs.len()).unwrap_or(0);
            continue;
        }
        many += store
            .write(move |work| {
                let mut dropped = 0;
                for seq in seqs {
                    dropped += u64::from(drop_one(work, seq, before)?);
                }
                Ok(dropped)
            })
            .await?;
    }
}

/// A resolved ticket with all that belongs to it. One with very many events goes over several runs.
fn drop_ticket(work: &mut Work<'_>, seq: i64, before: i64) -> Result<bool> {
    let db = work.db;
    let Some(row) = ticket_by_seq(db, seq)? else { return Ok(false) };
    let ticket = row.ticket;
    let due = ticket.status == Status::Resolved && ticket.resolved_at.is_some_and(|at| at.micros() < before);
    if !due || upkeep::is_held(db, ticket.project, seq)? {
        return Ok(false);
    }
    let events = collect(
        db,
        "SELECT seq, event_id FROM events WHERE project_id = ?1 AND ticket_seq = ?2 ORDER BY seq LIMIT ?3",
        params![ticket.project.0, seq, STEP_ROWS + 1],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)),
    )?;
    for (event, id) in events.iter().take(STEP) {
        forget_event(db, ticket.project, *event, id)?;
    }
    work.cache.clear();
    if events.len() > STEP {
        return Ok(false);
    }
    for table in ["ticket_keys", "ticket_aliases"] {
        let sql = format!("DELETE FROM {table} WHERE project_id = ?1 AND ticket_seq = ?2");
        db.prepare_cached(&sql)?.execute(params![ticket.project.0, seq])?;
    }
    delete_ticket(db, ticket.project, seq)?;
    rows::add_to_counter(db, ticket.project, &rows::ticket_counter(ticket.status, ticket.priority), -1)?;
    Ok(true)
}

fn drop_quarantined(work: &mut Work<'_>, seq: i64, _before: i64) -> Result<bool> {
    let known: Option<(String, i64)> = work
        .db
        .prepare_cached("SELECT input_id, project_id FROM quarantine WHERE seq = ?1")?
        .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match known {
        Some((id, project)) if !upkeep::is_held(work.db, ProjectId(project), 0)? => {
            super::quarantine::delete(work, &id)
        }
        _ => Ok(false),
    }
}

fn drop_finding(work: &mut Work<'_>, seq: i64, before: i64) -> Result<bool> {
    let project: Option<i64> = work
        .db
        .prepare_cached(
            "DELETE FROM findings WHERE seq = ?1 AND last_seen < ?2 AND NOT EXISTS (SELECT 1 FROM legal_holds h \
             WHERE h.project_id = findings.project_id AND h.ticket_seq = 0) RETURNING project_id",
        )?
        .query_row([seq, before], |row| row.get(0))
        .optional()?;
    let Some(project) = project else { return Ok(false) };
    rows::add_to_counter(work.db, ProjectId(project), rows::FINDINGS, -1)?;
    Ok(true)
}

/// Ids whose time has come. Those of events that are stored still (the latest of their ticket) get another term: the
/// next event may take their place.
async fn remembered_ids(store: &SqliteStore, now: Timestamp, dry_run: bool) -> Result<u64, Error> {
    let at = now.micros();
    if dry_run {
        return store
            .read(move |db| {
                let many: i64 = db.query_row(
                    "SELECT count(*) FROM (SELECT 1 FROM event_ids WHERE expires_at < ?1 LIMIT 1000000)",
                    [at],
                    |row| row.get(0),
                )?;
                Ok(u64::try_from(many).unwrap_or(0))
            })
            .await;
    }
    let mut many = 0;
    loop {
        let (found, gone) = store.write(move |work| forget_ids(work.db, at)).await?;
        many += gone;
        if found < STEP {
            return Ok(many);
        }
    }
}

fn forget_ids(db: &Connection, at: i64) -> Result<(usize, u64)> {
    let due = collect(
        db,
        "SELECT i.project_id, i.event_id, e.seq IS NOT NULL FROM event_ids i \
         LEFT JOIN events e ON e.seq = i.event_seq AND e.event_id = i.event_id \
         WHERE i.expires_at < ?1 ORDER BY i.expires_at LIMIT ?2",
        params![at, STEP_ROWS],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, bool>(2)?)),
    )?;
    let mut gone = 0;
    for (project, id, stored) in &due {
        if *stored {
            db.prepare_cached(
                "UPDATE event_ids SET expires_at = ?3 WHERE project_id = ?1 AND event_id = ?2",
            )?
            .execute(params![project, id, at.saturating_add(REMEMBER_MICROS)])?;
        } else {
            db.prepare_cached("DELETE FROM event_ids WHERE project_id = ?1 AND event_id = ?2")?
                .execute(params![project, id])?;
            gone += 1;
        }
    }
    Ok((due.len(), gone))
}

/// Old hours and days of series.
async fn series(store: &SqliteStore, now: Timestamp) -> Result<(), Error> {
    let (hour, day) = (now.hour(), now.day());
    let steps: [(&'static str, i64); 2] = [
        ("DELETE FROM project_hours WHERE hour < ?1", hour - PROJECT_DAYS_KEPT * 24),
        ("DELETE FROM release_days WHERE day < ?1", day - PROJECT_DAYS_KEPT),
    ];
    for (sql, border) in steps {
        store.write(move |work| Ok(work.db.prepare_cached(sql)?.execute([border])?)).await?;
    }
    let before = now.plus(-PROJECT_DAYS_KEPT * DAY).micros();
    while store.write(move |work| releases::forget_old(work.db, before, STEP_ROWS)).await? >= STEP {}
    let mut after = 0;
    loop {
        let seqs: Vec<(i64, i64)> = store
            .read(move |db| {
                let sql = "SELECT project_id, seq FROM tickets WHERE seq > ?1 ORDER BY seq LIMIT ?2";
                collect(db, sql, params![after, STEP_ROWS], |row| Ok((row.get(0)?, row.get(1)?)))
            })
            .await?;
        let Some((_, last)) = seqs.last().copied() else { return Ok(()) };
        after = last;
        store
            .write(move |work| {
                for (project, seq) in seqs {
                    work.db
                        .prepare_cached(
                            "DELETE FROM ticket_hours WHERE project_id = ?1 AND ticket_seq = ?2 AND hour < ?3",
                        )?
                        .execute(params![project, seq, hour - TICKET_HOURS_KEPT])?;
                    work.db
                        .prepare_cached(
                            "DELETE FROM ticket_days WHERE project_id = ?1 AND ticket_seq = ?2 AND day < ?3",
                        )?
                        .execute(params![project, seq, day - TICKET_DAYS_KEPT])?;
                }
                Ok(())
            })
            .await?;
    }
}
