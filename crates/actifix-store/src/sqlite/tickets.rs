//! Tickets: views, decisions, merge and split.

use super::ingest::{add_day, add_hour, index_text, next_ticket, row_of};
use super::projects::collect;
use super::rows::{
    self, Columns, TICKET_COLUMNS, TicketRow, insert_ticket, key_hex, ticket_by_id, ticket_by_seq,
    ticket_row, update_ticket,
};
use super::writer::Work;
use super::{activity, events};
use crate::fault::{Fault, Result};
use actifix_app::error::Error;
use actifix_app::ports::{ActivityEntry, DayCount, Facet, HourCount, TicketDetail, TicketSave};
use actifix_domain::fingerprint::{self, Explanation, Step};
use actifix_domain::id::{Fingerprint, ProjectId, TicketId};
use actifix_domain::ticket::{Status, Ticket};
use actifix_domain::time::{DAY, HOUR, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use std::cmp::Ordering;

/// Tickets that one merge takes in.
const MERGE_MAX: usize = 100;
/// Keys of one ticket that are shown.
const KEYS_SHOWN: u32 = 200;
/// Values shown per facet key.
const VALUES_SHOWN: u32 = 20;
/// Facets shown in all: 50 keys of 20 values.
const FACETS_SHOWN: u32 = 1_000;
/// Longest list of similar tickets.
const SIMILAR_MAX: u32 = 100;
/// Tries to find a free ticket id.
const ID_ATTEMPTS: u32 = 1_000;

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
        approved: row.approved,
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
        ticket: row.ticket,
    }))
}

/// The last seven days by hour; the one that goes on is in the ticket itself.
fn hours(db: &Connection, row: &TicketRow, now: Timestamp) -> Result<Vec<HourCount>> {
    let sql = "SELECT hour, quantity FROM ticket_hours WHERE project_id = ?1 AND ticket_seq = ?2 AND hour > ?3 \
         ORDER BY hour LIMIT 168";
    let first = now.hour() - 168;
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
    let sql = format!(
        "SELECT {TICKET_COLUMNS} FROM tickets WHERE project_id = ?1 AND near_key = ?2 ORDER BY seq DESC LIMIT ?3"
    );
    let key = key_hex(near_key);
    let values = params![project.0, key.as_str(), limit.min(SIMILAR_MAX)];
    let mut found: Vec<Ticket> = collect(db, &sql, values, |row| Ok(ticket_row(row)?.ticket))?;
    found.sort_by_key(|ticket| std::cmp::Reverse(ticket.last_seen));
    Ok(found)
}

/// The row that a decision is about, if it is still what was decided on.
fn ticket_of_version(db: &Connection, id: &TicketId, expected_version: Option<u64>) -> Result<TicketRow> {
    let row = ticket_by_id(db, id)?.ok_or(Error::NotFound { what: "ticket" })?;
    if expected_version.is_some_and(|expected| expected != row.ticket.version) {
        return Err(Error::stale().into());
    }
    Ok(row)
}

/// Saves a decision that was made on `expected_version`.
pub(crate) fn save(work: &mut Work<'_>, save: &TicketSave) -> Result<Ticket> {
    let mut row = ticket_of_version(work.db, &save.id, Some(save.expected_version))?;
    let before = (row.ticket.status, row.ticket.priority, row.ticket.count);
    let ticket = &mut row.ticket;
    ticket.status = save.status;
    ticket.priority = save.priority;
    ticket.priority_reason.clone_from(&save.priority_reason);
    ticket.assignee.clone_from(&save.assignee);
    ticket.resolved_at = save.resolved_at;
    ticket.resolved_in.clone_from(&save.resolved_in);
    ticket.version += 1;
    if let Some(lease) = &save.lease {
        let renewed = row.lease.as_ref().is_some_and(|held| held.lease_id == lease.lease_id);
        if lease.fence < row.last_fence || (lease.fence == row.last_fence && !renewed) {
            // A fence that does not rise would let two holders write.
            return Err(Error::stale().into());
        }
        row.last_fence = lease.fence;
    }
    row.lease.clone_from(&save.lease);
    row.approved = save.approved;
    update_ticket(work.db, &row)?;
    move_counters(work, &row.ticket, Some(before))?;
    if let Some(entry) = &save.activity {
        activity::append(work.db, row.ticket.project, row.seq, entry)?;
    }
    work.cache.forget_ticket(row.seq);
    Ok(row.ticket)
}

/// Keeps the sums of tickets and of held events equal to the rows.
fn move_counters(
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

/// Moves all of `from` into `into`.
pub(crate) fn merge(
    work: &mut Work<'_>,
    into: &TicketId,
    expected_version: Option<u64>,
    from: &[TicketId],
    entry: &ActivityEntry,
) -> Result<Ticket> {
    if from.is_empty() || from.len() > MERGE_MAX {
        return Err(Error::invalid("from", format!("1 to {MERGE_MAX} tickets")).into());
    }
    let mut target = ticket_of_version(work.db, into, expected_version)?;
    let before = (target.ticket.status, target.ticket.priority, target.ticket.count);
    for id in from {
        let source = ticket_by_id(work.db, id)?.ok_or(Error::NotFound { what: "ticket" })?;
        if source.ticket.project != target.ticket.project {
            return Err(Error::invalid("from", "tickets of one project only").into());
        }
        if source.seq == target.seq {
            return Err(Error::invalid("from", "a ticket is not merged into itself").into());
        }
        move_rows(work.db, source.ticket.project, source.seq, target.seq)?;
        absorb(&mut target, &source);
        absorb_series(work.db, &mut target, &source)?;
        remove_row(work, &source, target.seq)?;
    }
    target.ticket.users = work
        .db
        .prepare_cached("SELECT count(*) FROM ticket_users WHERE project_id = ?1 AND ticket_seq = ?2")?
        .query_row(params![target.ticket.project.0, target.seq], |row| row.get::<_, i64>(0))
        .map(|users| u64::try_from(users).unwrap_or(0))?;
    target.latest_event_seq = newest_event(work.db, target.ticket.project, target.seq)?;
    // Whichever was only kept as the latest of its own ticket now stays.
    target.latest_transient = false;
    target.ticket.version += 1;
    update_ticket(work.db, &target)?;
    move_counters(work, &target.ticket, Some(before))?;
    activity::append(work.db, target.ticket.project, target.seq, entry)?;
    work.cache.clear();
    Ok(target.ticket)
}

/// Side rows of `from` become rows of `into`; where both have one they are added up.
fn move_rows(db: &Connection, project: ProjectId, from: i64, into: i64) -> Result<()> {
    let values = params![project.0, from, into];
    const MOVES: &[&str] = &[
        "UPDATE ticket_keys SET ticket_seq = ?3 WHERE project_id = ?1 AND ticket_seq = ?2",
        "UPDATE ticket_aliases SET ticket_seq = ?3 WHERE project_id = ?1 AND ticket_seq = ?2",
        "UPDATE events SET ticket_seq = ?3 WHERE project_id = ?1 AND ticket_seq = ?2",
        "INSERT INTO ticket_hours (project_id, ticket_seq, hour, quantity) \
         SELECT project_id, ?3, hour, quantity FROM ticket_hours WHERE project_id = ?1 AND ticket_seq = ?2 \
         ON CONFLICT (project_id, ticket_seq, hour) DO UPDATE SET quantity = quantity + excluded.quantity",
        "INSERT INTO ticket_days (project_id, ticket_seq, day, quantity) \
         SELECT project_id, ?3, day, quantity FROM ticket_days WHERE project_id = ?1 AND ticket_seq = ?2 \
         ON CONFLICT (project_id, ticket_seq, day) DO UPDATE SET quantity = quantity + excluded.quantity",
        "INSERT INTO ticket_facets (project_id, ticket_seq, key, value, quantity, first_seen, last_seen) \
         SELECT project_id, ?3, key, value, quantity, first_seen, last_seen FROM ticket_facets \
         WHERE project_id = ?1 AND ticket_seq = ?2 ON CONFLICT (project_id, ticket_seq, key, value) DO UPDATE SET \
         quantity = quantity + excluded.quantity, first_seen = min(first_seen, excluded.first_seen), \
         last_seen = max(last_seen, excluded.last_seen)",
        "INSERT INTO ticket_users (project_id, ticket_seq, user_hash) \
         SELECT project_id, ?3, user_hash FROM ticket_users WHERE project_id = ?1 AND ticket_seq = ?2 \
         ON CONFLICT DO NOTHING",
        "INSERT INTO ticket_redactions (project_id, ticket_seq, rule, quantity) \
         SELECT project_id, ?3, rule, quantity FROM ticket_redactions WHERE project_id = ?1 AND ticket_seq = ?2 \
         ON CONFLICT (project_id, ticket_seq, rule) DO UPDATE SET quantity = quantity + excluded.quantity",
        "INSERT INTO ticket_activity (project_id, ticket_seq, number, at, actor, kind, data) \
         SELECT project_id, ?3, number + coalesce((SELECT max(number) FROM ticket_activity \
         WHERE project_id = ?1 AND ticket_seq = ?3), 0), at, actor, kind, data FROM ticket_activity \
         WHERE project_id = ?1 AND ticket_seq = ?2",
    ];
    for sql in MOVES {
        let mut statement = db.prepare_cached(sql)?;
        statement.execute(values)?;
    }
    Ok(())
}

fn absorb(target: &mut TicketRow, source: &TicketRow) {
    let (t, s) = (&mut target.ticket, &source.ticket);
    t.count += s.count;
    t.regressions = t.regressions.saturating_add(s.regressions);
    if s.first_seen < t.first_seen {
        t.first_seen = s.first_seen;
        t.first_release.clone_from(&s.first_release);
    }
    if s.last_seen > t.last_seen {
        t.last_seen = s.last_seen;
        t.last_release.clone_from(&s.last_release);
    }
}

/// Adds the hour and day that go on in `source` to those of `target`; whichever is older has ended.
fn absorb_series(db: &Connection, target: &mut TicketRow, source: &TicketRow) -> Result<()> {
    let (project, seq) = (target.ticket.project, target.seq);
    match source.hour.cmp(&target.hour) {
        Ordering::Equal => target.hour_count += source.hour_count,
        Ordering::Less => add_hour(db, project, seq, source.hour, source.hour_count)?,
        Ordering::Greater => {
            add_hour(db, project, seq, target.hour, target.hour_count)?;
            (target.hour, target.hour_count) = (source.hour, source.hour_count);
        }
    }
    match source.day.cmp(&target.day) {
        Ordering::Equal => target.day_count += source.day_count,
        Ordering::Less => add_day(db, project, seq, source.day, source.day_count)?,
        Ordering::Greater => {
            add_day(db, project, seq, target.day, target.day_count)?;
            (target.day, target.day_count) = (source.day, source.day_count);
        }
    }
    Ok(())
}

/// Deletes a ticket that was merged away; its id keeps resolving.
fn remove_row(work: &mut Work<'_>, source: &TicketRow, target: i64) -> Result<()> {
    let (db, ticket) = (work.db, &source.ticket);
    db.prepare_cached(
        "INSERT INTO ticket_aliases (project_id, ticket_id, ticket_seq, old_seq) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT DO NOTHING",
    )?
    .execute(params![ticket.project.0, ticket.id.as_str(), target, source.seq])?;
    delete_ticket(db, ticket.project, source.seq)?;
    rows::add_to_counter(db, ticket.project, &rows::ticket_counter(ticket.status, ticket.priority), -1)?;
    if ticket.status == Status::Held {
        rows::add_to_counter(db, ticket.project, rows::HELD_EVENTS, -rows::quantity(ticket.count))?;
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
    ] {
        let sql = format!("DELETE FROM {table} WHERE project_id = ?1 AND ticket_seq = ?2");
        db.prepare_cached(&sql)?.execute(params![project.0, seq])?;
    }
    db.prepare_cached("DELETE FROM ticket_words WHERE rowid = ?1")?.execute([seq])?;
    db.prepare_cached("DELETE FROM tickets WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}

fn newest_event(db: &Connection, project: ProjectId, seq: i64) -> Result<Option<i64>> {
    Ok(db
        .prepare_cached("SELECT max(seq) FROM events WHERE project_id = ?1 AND ticket_seq = ?2")?
        .query_row(params![project.0, seq], |row| row.get(0))?)
}

/// Gives one of several keys a ticket of its own, with the events that are stored of it.
pub(crate) fn split(
    work: &mut Work<'_>,
    id: &TicketId,
    expected_version: Option<u64>,
    key: Fingerprint,
    entry: &ActivityEntry,
) -> Result<Ticket> {
    let (db, at) = (work.db, entry.at);
    let mut source = ticket_of_version(db, id, expected_version)?;
    let project = source.ticket.project;
    if source.ticket.fingerprint == key {
        return Err(
            Error::invalid("fingerprint", "the ticket's own key stays; name one that was merged in").into()
        );
    }
    let seq = next_ticket(db)?;
    let moved = db
        .prepare_cached(
            "UPDATE ticket_keys SET ticket_seq = ?4 WHERE project_id = ?1 AND fingerprint = ?2 AND ticket_seq = ?3",
        )?
        .execute(params![project.0, key_hex(key).as_str(), source.seq, seq])?;
    if moved == 0 {
        return Err(Error::invalid("fingerprint", "not one of the ticket's keys").into());
    }
    db.prepare_cached(
        "UPDATE events SET ticket_seq = ?4 WHERE project_id = ?1 AND ticket_seq = ?3 AND fingerprint = ?2",
    )?
    .execute(params![project.0, key_hex(key).as_str(), source.seq, seq])?;
    db.prepare_cached(
        "UPDATE event_ids SET ticket_seq = ?2 WHERE project_id = ?1 AND event_id IN \
         (SELECT event_id FROM events WHERE project_id = ?1 AND ticket_seq = ?2)",
    )?
    .execute(params![project.0, seq])?;
    let ticket = split_off(db, &source, key, seq, at)?;
    let mut row = row_of(seq, ticket);
    row.latest_event_seq = newest_event(db, project, seq)?;
    insert_ticket(db, &row)?;
    index_text(db, seq, &row.ticket.title, &row.ticket.culprit, "")?;
    source.ticket.count = source.ticket.count.saturating_sub(row.ticket.count);
    source.ticket.version += 1;
    source.latest_event_seq = newest_event(db, project, source.seq)?;
    source.latest_transient = false;
    let before = (source.ticket.status, source.ticket.priority, source.ticket.count + row.ticket.count);
    update_ticket(db, &source)?;
    move_counters(work, &source.ticket, Some(before))?;
    move_counters(work, &row.ticket, None)?;
    activity::append(db, project, source.seq, entry)?;
    activity::append(db, project, seq, entry)?;
    work.cache.clear();
    ticket_by_seq(db, seq)?.map(|row| row.ticket).ok_or_else(|| Fault::Defect("split".to_owned()))
}

/// The new ticket of a split, as far as the stored events of its key tell. Sampled events that were counted before
/// stay with the old ticket: nothing says which key they had.
fn split_off(
    db: &Connection,
    source: &TicketRow,
    key: Fingerprint,
    seq: i64,
    at: Timestamp,
) -> Result<Ticket> {
    let project = source.ticket.project;
    let (count, first, last): (i64, Option<i64>, Option<i64>) = db.query_row(
        "SELECT count(*), min(timestamp), max(timestamp) FROM events WHERE project_id = ?1 AND ticket_seq = ?2",
        params![project.0, seq],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let latest: Option<(String, Option<String>)> = db
        .query_row(
            "SELECT title, release FROM events WHERE project_id = ?1 AND ticket_seq = ?2 ORDER BY seq DESC LIMIT 1",
            params![project.0, seq],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let (title, release) = latest.unwrap_or_else(|| (source.ticket.title.clone(), None));
    let id = (0..ID_ATTEMPTS)
        .map(|attempt| TicketId::derive(project, key, at, attempt))
        .find_map(|id| match rows::ticket_seq(db, &id) {
            Ok(None) => Some(Ok(id)),
            Ok(Some(_)) => None,
            Err(fault) => Some(Err(fault)),
        })
        .ok_or_else(|| Fault::Defect("no free ticket id".to_owned()))??;
    Ok(Ticket {
        id,
        fingerprint: key,
        title,
        status: Status::Open,
        count: u64::try_from(count).unwrap_or(0),
        users: 0,
        first_seen: first.map_or(source.ticket.first_seen, Timestamp::from_micros),
        last_seen: last.map_or(source.ticket.last_seen, Timestamp::from_micros),
        first_release: release.clone(),
        last_release: release,
        resolved_at: None,
        resolved_in: None,
        regressions: 0,
        raised: false,
        assignee: None,
        created_at: at,
        version: 1,
        ..source.ticket.clone()
    })
}
