//! Tickets: views, decisions, merge and split.

use super::lists::whole;
use super::projects::collect;
use super::rows::{
    self, Columns, TICKET_COLUMNS, TicketRow, key_hex, ticket_by_id, ticket_row, update_ticket,
};
use super::writer::Work;
use super::{activity, audit, events, outbox, releases};
use crate::fault::Result;
use actifix_app::error::Error;
use actifix_app::ports::{DayCount, Facet, HourCount, TicketDetail, TicketSave};
use actifix_domain::alert::Trigger;
use actifix_domain::fingerprint::{self, Explanation, Step};
use actifix_domain::id::{Fingerprint, ProjectId, TicketId};
use actifix_domain::release::Part;
use actifix_domain::ticket::{Status, Ticket};
use actifix_domain::time::{DAY, HOUR, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

/// Keys of one ticket that are shown.
const KEYS_SHOWN: u32 = 200;
/// Values shown per facet key.
const VALUES_SHOWN: u32 = 20;
/// Facets shown in all: 50 keys of 20 values.
const FACETS_SHOWN: u32 = 1_000;
/// Longest list of similar tickets.
const SIMILAR_MAX: u32 = 100;

pub(crate) fn get(db: &Connection, id: &TicketId) -> Result<Option<Ticket>> {
    Ok(ticket_by_id(db, id)?.map(|row| row.ticket))
}

pub(crate) fn detail(db: &Connection, id: &TicketId, now: Timestamp) -> Result<Option<TicketDetail>> {
    let Some(row) = ticket_by_id(db, id)? else { return Ok(None) };
    let (project, seq) = (row.ticket.project, row.seq);
    let latest_event = match row.latest_event_seq {
        Some(event) => events::id_of(db, event)?,
        None => None,
    };
    Ok(Some(TicketDetail {
        fingerprints: collect(
            db,
            "SELECT fingerprint FROM ticket_keys WHERE project_id = ?1 AND ticket_seq = ?2 \
             ORDER BY fingerprint <> ?3, fingerprint LIMIT ?4",
            params![project.0, seq, key_hex(row.ticket.fingerprint).as_str(), KEYS_SHOWN],
            |row| Columns::new(row).parse(),
        )?,
        grouping: explanation(db, project, row.ticket.fingerprint)?,
        facets: facets(db, project, seq)?,
        hours: hours(db, &row, now)?,
        days: days(db, &row, now)?,
        activity: activity::latest(db, project, seq)?,
        lease: row.lease,
        last_fence: row.last_fence,
        latest_event,
        redactions: collect(
            db,
            "SELECT rule, quantity FROM ticket_redactions WHERE project_id = ?1 AND ticket_seq = ?2 \
             ORDER BY rule LIMIT 1000",
            params![project.0, seq],
            |row| {
                let mut c = Columns::new(row);
                Ok((c.take()?, c.count()?))
            },
        )?,
        suspect_commits: Vec::new(),
        held_because: None,
        needs_person: false,
        ticket: row.ticket,
    }))
}

/// Hours of several tickets at once, for the small charts of a list.
pub(crate) fn trends(
    db: &Connection,
    ids: &[TicketId],
    since: Timestamp,
) -> Result<Vec<(TicketId, Vec<HourCount>)>> {
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let Some(row) = ticket_by_id(db, id)? else { continue };
        found.push((id.clone(), hours_since(db, &row, since.hour())?));
    }
    Ok(found)
}

/// The last seven days by hour; the one that goes on is in the ticket itself.
fn hours(db: &Connection, row: &TicketRow, now: Timestamp) -> Result<Vec<HourCount>> {
    hours_since(db, row, now.hour() - 168)
}

fn hours_since(db: &Connection, row: &TicketRow, first: i64) -> Result<Vec<HourCount>> {
    let sql = "SELECT hour, quantity FROM ticket_hours WHERE project_id = ?1 AND ticket_seq = ?2 AND hour > ?3 \
         ORDER BY hour LIMIT 168";
    let at = |hour: i64| Timestamp::from_micros(hour.saturating_mul(HOUR));
    let mut found = collect(db, sql, params![row.ticket.project.0, row.seq, first], |row| {
        let mut c = Columns::new(row);
        Ok(HourCount { hour: at(c.take()?), count: c.count()? })
    })?;
    if row.hour_count > 0 && row.hour > first {
        found.push(HourCount { hour: at(row.hour), count: row.hour_count });
    }
    Ok(found)
}

/// The last 90 days; the one that goes on is in the ticket itself.
fn days(db: &Connection, row: &TicketRow, now: Timestamp) -> Result<Vec<DayCount>> {
    let sql = "SELECT day, quantity FROM ticket_days WHERE project_id = ?1 AND ticket_seq = ?2 AND day > ?3 \
         ORDER BY day LIMIT 90";
    let first = now.day() - 90;
    let at = |day: i64| Timestamp::from_micros(day.saturating_mul(DAY));
    let mut found = collect(db, sql, params![row.ticket.project.0, row.seq, first], |row| {
        let mut c = Columns::new(row);
        Ok(DayCount { day: at(c.take()?), count: c.count()? })
    })?;
    if row.day_count > 0 && row.day > first {
        found.push(DayCount { day: at(row.day), count: row.day_count });
    }
    Ok(found)
}

fn explanation(db: &Connection, project: ProjectId, key: Fingerprint) -> Result<Explanation> {
    let text: Option<String> = db
        .prepare_cached("SELECT explanation FROM ticket_keys WHERE project_id = ?1 AND fingerprint = ?2")?
        .query_row(params![project.0, key_hex(key).as_str()], |row| row.get(0))
        .optional()?;
    match text.filter(|text| !text.is_empty()) {
        Some(text) => Ok(serde_json::from_str(&text)?),
        // The ticket that stands for a flood has no event to explain it.
        None => Ok(Explanation {
            version: fingerprint::VERSION.to_owned(),
            step: Step::Fallback,
            rule: None,
            lines: Vec::new(),
            in_app: false,
            place: None,
        }),
    }
}

fn facets(db: &Connection, project: ProjectId, seq: i64) -> Result<Vec<Facet>> {
    let sql = "SELECT key, value, quantity, first_seen, last_seen FROM ( \
           SELECT *, row_number() OVER (PARTITION BY key ORDER BY quantity DESC, value) AS place FROM ticket_facets \
           WHERE project_id = ?1 AND ticket_seq = ?2) \
         WHERE place <= ?3 ORDER BY key, place LIMIT ?4";
    collect(db, sql, params![project.0, seq, VALUES_SHOWN, FACETS_SHOWN], |row| {
        let mut c = Columns::new(row);
        Ok(Facet {
            key: c.take()?,
            value: c.take()?,
            count: c.count()?,
            first_seen: c.time()?,
            last_seen: c.time()?,
        })
    })
}

pub(crate) fn similar(
    db: &Connection,
    project: ProjectId,
    near_key: Fingerprint,
    limit: u32,
) -> Result<Vec<Ticket>> {
    // The index is named: where most tickets look alike, statistics talk the engine into reading all tickets.
    let sql = format!(
        "SELECT {TICKET_COLUMNS} FROM tickets INDEXED BY tickets_near WHERE project_id = ?1 AND near_key = ?2 \
         ORDER BY seq DESC LIMIT ?3"
    );
    let key = key_hex(near_key);
    let values = params![project.0, key.as_str(), limit.min(SIMILAR_MAX)];
    let mut found: Vec<Ticket> = collect(db, &sql, values, |row| whole(ticket_row(row)))?
        .into_iter()
        .flatten()
        .map(|row| row.ticket)
        .collect();
    found.sort_by_key(|ticket| std::cmp::Reverse(ticket.last_seen));
    Ok(found)
}

/// The row that a decision is about, if it is still what was decided on.
pub(crate) fn ticket_of_version(
    db: &Connection,
    id: &TicketId,
    expected_version: Option<u64>,
) -> Result<TicketRow> {
    let row = ticket_by_id(db, id)?.ok_or(Error::NotFound { what: "ticket" })?;
    if expected_version.is_some_and(|expected| expected != row.ticket.version) {
        return Err(Error::stale().into());
    }
    Ok(row)
}

/// Saves a decision that was made on `expected_version`.
pub(crate) fn save(
    work: &mut Work<'_>,
    save: &TicketSave,
    network: Option<String>,
    now: Timestamp,
) -> Result<Ticket> {
    let mut row = ticket_of_version(work.db, &save.id, Some(save.expected_version))?;
    let former = row.clone();
    let before = (row.ticket.status, row.ticket.priority, row.ticket.count);
    let ticket = &mut row.ticket;
    ticket.status = save.status;
    ticket.priority = save.priority;
    ticket.priority_reason.clone_from(&save.priority_reason);
    ticket.assignee.clone_from(&save.assignee);
    ticket.resolved_at = save.resolved_at;
    ticket.resolved_in.clone_from(&save.resolved_in);
    ticket.resolved_after.clone_from(&save.resolved_after);
    ticket.version += 1;
    if let Some(lease) = &save.lease {
        let renewed = row.lease.as_ref().is_some_and(|held| held.lease_id == lease.lease_id);
        if lease.fence < row.last_fence || (lease.fence == row.last_fence && !renewed) {
            // A fence that does not rise would let two holders write.
            return Err(Error::stale().into());
        }
        if let (false, Some(most)) = (renewed, save.leases_max) {
            check_leases(work.db, &lease.holder, most, now)?;
        }
        row.last_fence = lease.fence;
    }
    row.lease.clone_from(&save.lease);
    row.ticket.origins.approved = save.approved;
    update_ticket(work.db, &row)?;
    move_counters(work, &row.ticket, Some(before))?;
    if let Some(entry) = &save.activity {
        activity::append(work.db, row.ticket.project, row.seq, entry)?;
    }
    if row.ticket.status == Status::Resolved
        && let Some(release) = &row.ticket.resolved_in
    {
        releases::belongs(work.db, row.ticket.project, release, Part::Resolved, row.seq)?;
    }
    audit::of_ticket(work, &former, &row, save, network, now)?;
    if row.ticket.status == Status::Resolved && former.ticket.status != Status::Resolved {
        outbox::tell_of(work, Trigger::Resolved, now, &row)?;
    }
    work.cache.forget_ticket(row.seq);
    Ok(row.ticket)
}

/// Refuses one lease more to whoever holds so many already. Within the transaction of the claim, so that claims at the same
/// time do not each see room.
fn check_leases(db: &Connection, holder: &str, most: u32, now: Timestamp) -> Result<()> {
    let live: u32 = db
        .prepare_cached("SELECT count(*) FROM tickets WHERE lease_holder = ?1 AND lease_expires_at > ?2")?
        .query_row(params![holder, now.micros()], |row| row.get(0))?;
    if live >= most {
        return Err(Error::conflict(format!(
            "you hold {live} leases, which is the most: complete or release one first"
        ))
        .into());
    }
    Ok(())
}

/// Keeps the sums of tickets and of held events equal to the rows.
pub(crate) fn move_counters(
    work: &mut Work<'_>,
    ticket: &Ticket,
    before: Option<(Status, actifix_domain::ticket::Priority, u64)>,
) -> Result<()> {
    let (db, project) = (work.db, ticket.project);
    let mut held = 0;
    if let Some((status, priority, count)) = before {
        rows::add_to_counter(db, project, &rows::ticket_counter(status, priority), -1)?;
        if status == Status::Held {
            rows::add_to_counter(db, project, rows::HELD_EVENTS, -rows::quantity(count))?;
            held -= 1;
        }
    }
    rows::add_to_counter(db, project, &rows::ticket_counter(ticket.status, ticket.priority), 1)?;
    if ticket.status == Status::Held {
        rows::add_to_counter(db, project, rows::HELD_EVENTS, rows::quantity(ticket.count))?;
        held += 1;
    }
    if held != 0 {
        work.cache.forget_admission(project);
    }
    Ok(())
}

/// Deletes the row of a ticket and its side rows, but not its events, keys and aliases.
pub(crate) fn delete_ticket(db: &Connection, project: ProjectId, seq: i64) -> Result<()> {
    for table in [
        "ticket_hours",
        "ticket_days",
        "ticket_facets",
        "ticket_users",
        "ticket_redactions",
        "ticket_activity",
        "release_tickets",
    ] {
        let sql = format!("DELETE FROM {table} WHERE project_id = ?1 AND ticket_seq = ?2");
        db.prepare_cached(&sql)?.execute(params![project.0, seq])?;
    }
    db.prepare_cached("DELETE FROM ticket_words WHERE rowid = ?1")?.execute([seq])?;
    db.prepare_cached("DELETE FROM tickets WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}
