//! State and history of the throttle; promotion of held tickets.

use super::ingest::Cache;
use super::projects::{PROJECTS_MAX, collect};
use super::rows::{self, Columns, quantity, ticket_by_id, ticket_by_seq, update_ticket};
use super::writer::Work;
use super::{activity, outbox};
use crate::fault::Result;
use actifix_app::error::Error;
use actifix_app::ports::{ActivityEntry, HeldOverview, ThrottleRecord};
use actifix_domain::alert::Trigger;
use actifix_domain::id::{ProjectId, TicketId};
use actifix_domain::lifecycle::{self, Command};
use actifix_domain::throttle::{Brake, BrakeChange, ThrottleConfig, ThrottleState, ThrottleView};
use actifix_domain::ticket::{Priority, Status};
use actifix_domain::time::{MINUTE, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::{Arc, PoisonError, RwLock};

pub(crate) use super::ingest::Admission;

/// Settings that are replaced as a whole while the server runs; the writer and the readers share them.
#[derive(Clone, Debug)]
pub(crate) struct Settings(Arc<RwLock<ThrottleConfig>>);

impl Settings {
    pub(crate) fn new(config: ThrottleConfig) -> Self {
        Self(Arc::new(RwLock::new(config)))
    }

    /// As they are now.
    pub(crate) fn get(&self) -> ThrottleConfig {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on.
    pub(crate) fn replace(&self, config: ThrottleConfig) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
    }
}

/// Stands for "no priority" in a key column.
pub(crate) const NO_PRIORITY: u8 = 9;
/// Records kept over all projects.
const RECORDS_MAX: i64 = 5_000;
/// Promotions of one call.
const PROMOTE_MAX: u32 = 1_000;

/// The word for a change of the brake.
pub(crate) const fn brake_word(to: Brake) -> &'static str {
    match to {
        Brake::Off => "brake_off",
        Brake::Soft => "brake_soft",
        Brake::Hard => "brake_hard",
    }
}

/// The throttle of a project as it is on disk.
pub(crate) fn load(db: &Connection, project: ProjectId) -> Result<Admission> {
    let held = held_by_priority(db, project)?.iter().sum();
    Ok(Admission { throttle: state(db, project)?, held })
}

fn state(db: &Connection, project: ProjectId) -> Result<ThrottleState> {
    let text: Option<String> = db
        .prepare_cached("SELECT state FROM throttles WHERE project_id = ?1")?
        .query_row([project.0], |row| row.get(0))
        .optional()?;
    match text {
        Some(text) => Ok(serde_json::from_str(&text)?),
        None => Ok(ThrottleState::default()),
    }
}

pub(crate) fn save(db: &Connection, project: ProjectId, state: &ThrottleState) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO throttles (project_id, state) VALUES (?1, ?2) \
         ON CONFLICT (project_id) DO UPDATE SET state = excluded.state",
    )?
    .execute(params![project.0, serde_json::to_string(state)?])?;
    Ok(())
}

pub(crate) fn record(
    db: &Connection,
    project: ProjectId,
    at_micros: i64,
    decision: &str,
    priority: u8,
    reason: &str,
    many: u64,
) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO throttle_records (project_id, at, decision, priority, reason, quantity) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (project_id, at, decision, priority, reason) \
         DO UPDATE SET quantity = quantity + excluded.quantity",
    )?
    .execute(params![project.0, at_micros, decision, priority, reason, quantity(many)])?;
    Ok(())
}

/// Forgets the oldest records beyond the bound.
pub(crate) fn trim_records(db: &Connection) -> Result<()> {
    let border: Option<i64> = db
        .prepare_cached("SELECT at FROM throttle_records ORDER BY at DESC LIMIT 1 OFFSET ?1")?
        .query_row([RECORDS_MAX - 1], |row| row.get(0))
        .optional()?;
    if let Some(border) = border {
        db.prepare_cached("DELETE FROM throttle_records WHERE at < ?1")?.execute([border])?;
    }
    Ok(())
}

pub(crate) fn history(db: &Connection, limit: u32) -> Result<Vec<ThrottleRecord>> {
    let sql = "SELECT at, project_id, decision, priority, reason, quantity FROM throttle_records \
         ORDER BY at DESC, project_id, decision, priority, reason LIMIT ?1";
    collect(db, sql, [i64::from(limit).min(RECORDS_MAX)], |row| {
        let mut c = Columns::new(row);
        Ok(ThrottleRecord {
            at: c.time()?,
            project: ProjectId(c.take()?),
            decision: c.take()?,
            priority: Priority::from_number(c.take()?),
            reason: c.take()?,
            count: c.count()?,
        })
    })
}

fn held_by_priority(db: &Connection, project: ProjectId) -> Result<[u64; 5]> {
    let mut held = [0; 5];
    for (slot, priority) in held.iter_mut().zip(Priority::ALL) {
        *slot = rows::counter(db, project, &rows::ticket_counter(Status::Held, priority))?;
    }
    Ok(held)
}

pub(crate) fn view(
    db: &Connection,
    config: &ThrottleConfig,
    project: ProjectId,
    now: Timestamp,
) -> Result<(ThrottleView, HeldOverview)> {
    let held = HeldOverview {
        held: held_by_priority(db, project)?,
        events: rows::counter(db, project, rows::HELD_EVENTS)?,
        beyond_cap: rows::counter(db, project, rows::BEYOND_CAP)?,
    };
    Ok((state(db, project)?.view(config, now), held))
}

pub(crate) fn reset(work: &mut Work<'_>, project: ProjectId, now: Timestamp) -> Result<()> {
    let mut admission = take(work.db, work.cache, project)?;
    let change = admission.throttle.reset(now);
    record(work.db, project, now.micros(), "reset", NO_PRIORITY, "", 1)?;
    note_brake(work, project, change)?;
    save(work.db, project, &admission.throttle)?;
    work.cache.put_admission(project, admission);
    trim_records(work.db)
}

fn note_brake(work: &mut Work<'_>, project: ProjectId, change: Option<BrakeChange>) -> Result<()> {
    let Some(change) = change else { return Ok(()) };
    let word = brake_word(change.to);
    record(work.db, project, change.at.micros(), word, NO_PRIORITY, "", 1)?;
    outbox::tell(work, outbox::brake(change.at, project, word))
}

fn take(db: &Connection, cache: &mut Cache, project: ProjectId) -> Result<Admission> {
    match cache.take_admission(project) {
        Some(admission) => Ok(admission),
        None => load(db, project),
    }
}

/// Whether [`promote`] would find anything to do without being forced: the brake is due to change, or there is budget
/// for what is held. Asked once a second for each project, so that an idle one costs no transaction.
pub(crate) fn has_work(
    db: &Connection,
    config: &ThrottleConfig,
    project: ProjectId,
    now: Timestamp,
) -> Result<bool> {
    let mut state = state(db, project)?;
    if state.tick(config, now).is_some() {
        return Ok(true);
    }
    let held = held_by_priority(db, project)?;
    Ok(Priority::ALL
        .into_iter()
        .zip(held)
        .any(|(priority, held)| held > 0 && state.free_budget(config, priority, now) > 0))
}

/// Opens held tickets, oldest first, as far as the budget reaches, or one, or regardless of it.
pub(crate) fn promote(
    work: &mut Work<'_>,
    project: ProjectId,
    only: Option<&TicketId>,
    limit: u32,
    force: bool,
    now: Timestamp,
    actor: &str,
) -> Result<Vec<TicketId>> {
    let config = work.cache.throttle.get();
    let mut admission = take(work.db, work.cache, project)?;
    note_brake(work, project, admission.throttle.tick(&config, now))?;
    let mut promoted = Vec::new();
    let most = limit.min(PROMOTE_MAX);
    let room = |priority| {
        if force { most } else { most.min(admission.throttle.free_budget(&config, priority, now)) }
    };
    for seq in candidates(work.db, project, only, Priority::ALL.map(|priority| (priority, room(priority))))? {
        if promoted.len() >= usize::try_from(most).unwrap_or(usize::MAX) {
            break;
        }
        let Some(mut row) = ticket_by_seq(work.db, seq)? else { continue };
        let priority = row.ticket.priority;
        if row.ticket.status != Status::Held
            || (!force && !admission.throttle.take_promotion(&config, priority, now))
        {
            continue;
        }
        row.ticket.status = lifecycle::apply(Status::Held, Command::Promote)
            .map_err(|refused| Error::conflict(refused.to_string()))?;
        row.ticket.version += 1;
        update_ticket(work.db, &row)?;
        work.cache.forget_ticket(seq);
        rows::add_to_counter(work.db, project, &rows::ticket_counter(Status::Held, priority), -1)?;
        rows::add_to_counter(work.db, project, &rows::ticket_counter(row.ticket.status, priority), 1)?;
        rows::add_to_counter(work.db, project, rows::HELD_EVENTS, -quantity(row.ticket.count))?;
        admission.held = admission.held.saturating_sub(1);
        let reason = if force { "by_hand" } else { "budget" };
        let minute = now.micros().div_euclid(MINUTE) * MINUTE;
        record(work.db, project, minute, "promoted", priority.number(), reason, 1)?;
        let entry = ActivityEntry {
            at: now,
            actor: actor.to_owned(),
            kind: "promoted".to_owned(),
            data: serde_json::json!({ "why": reason }),
        };
        activity::append(work.db, project, seq, &entry)?;
        outbox::tell_of(work, Trigger::New, now, &row)?;
        promoted.push(row.ticket.id);
    }
    save(work.db, project, &admission.throttle)?;
    work.cache.put_admission(project, admission);
    trim_records(work.db)?;
    Ok(promoted)
}

/// Numbers of held tickets, oldest first; of each priority as many as may be opened at most, since one without budget
/// must not stop others.
fn candidates(
    db: &Connection,
    project: ProjectId,
    only: Option<&TicketId>,
    room: [(Priority, u32); 5],
) -> Result<Vec<i64>> {
    if let Some(id) = only {
        let row = ticket_by_id(db, id)?.filter(|row| row.ticket.project == project);
        let row = row.ok_or(Error::NotFound { what: "ticket" })?;
        return Ok(vec![row.seq]);
    }
    let mut found: Vec<(i64, i64)> = Vec::new();
    for (priority, limit) in room {
        if limit == 0 {
            continue;
        }
        let sql = "SELECT first_seen, seq FROM tickets WHERE project_id = ?1 AND status = 'held' AND priority = ?2 \
             ORDER BY first_seen, seq LIMIT ?3";
        found.extend(collect(db, sql, params![project.0, priority.number(), limit], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?);
    }
    found.sort_unstable();
    Ok(found.into_iter().map(|(_, seq)| seq).collect())
}

/// The strongest brake of all projects.
pub(crate) fn strongest_brake(db: &Connection, config: &ThrottleConfig, now: Timestamp) -> Result<Brake> {
    let texts: Vec<String> =
        collect(db, "SELECT state FROM throttles LIMIT ?1", [PROJECTS_MAX], |row| Ok(row.get(0)?))?;
    let mut strongest = Brake::Off;
    for text in texts {
        let state: ThrottleState = serde_json::from_str(&text)?;
        strongest = strongest.max(state.view(config, now).brake);
    }
    Ok(strongest)
}
