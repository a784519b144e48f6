//! Merge and split: which ticket events with a key belong to, decided anew by a person.

use super::ingest::{
    FacetDelta, Known, USERS_MAX, add_day, add_hour, event_facets, event_words, free_id, index_text,
    next_ticket, row_of, write_facets,
};
use super::projects::collect;
use super::rows::{self, TicketRow, insert_ticket, key_hex, ticket_by_id, ticket_by_seq, update_ticket};
use super::tickets::{delete_ticket, move_counters, ticket_of_version};
use super::writer::Work;
use super::{activity, events, upkeep};
use crate::fault::{Fault, Result};
use actifix_app::error::Error;
use actifix_app::ports::ActivityEntry;
use actifix_app::tickets::MERGE_MAX;
use actifix_domain::approval::Origins;
use actifix_domain::id::{Fingerprint, ProjectId, TicketId};
use actifix_domain::lifecycle;
use actifix_domain::ticket::{Status, Ticket};
use actifix_domain::time::{DAY, HOUR, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use std::cmp::Ordering;
use std::collections::HashMap;

/// Stored events that one merge moves. It is one transaction, and the only writer has nothing else to do meanwhile: this
/// many take about a second on a slow disk.
const MOVED_EVENTS_MAX: u32 = 20_000;
/// Words that a merged ticket is found by, bytes.
const MERGED_WORDS_BYTES_MAX: usize = 64 << 10;
/// Bodies that a split reads for the values of their tags.
const SPLIT_BODIES_MAX: u32 = 1_000;

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
    let mut text = words_of(work.db, &target)?;
    check_size(work.db, from)?;
    for id in from {
        let source = ticket_by_id(work.db, id)?.ok_or(Error::NotFound { what: "ticket" })?;
        if source.ticket.project != target.ticket.project {
            return Err(Error::invalid("from", "tickets of one project only").into());
        }
        if source.seq == target.seq {
            return Err(Error::invalid("from", "a ticket is not merged into itself").into());
        }
        text.push_str(&words_of(work.db, &source)?);
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
    index_text(work.db, target.seq, &target.ticket.title, &target.ticket.culprit, cut_words(&text))?;
    move_counters(work, &target.ticket, Some(before))?;
    activity::append(work.db, target.ticket.project, target.seq, entry)?;
    work.cache.clear();
    Ok(target.ticket)
}

/// Refuses a merge that would keep the writer for too long.
fn check_size(db: &Connection, from: &[TicketId]) -> Result<()> {
    let mut room = MOVED_EVENTS_MAX;
    for id in from {
        let source = ticket_by_id(db, id)?.ok_or(Error::NotFound { what: "ticket" })?;
        let sql =
            "SELECT count(*) FROM (SELECT 1 FROM events WHERE project_id = ?1 AND ticket_seq = ?2 LIMIT ?3)";
        let events: u32 = db
            .prepare_cached(sql)?
            .query_row(params![source.ticket.project.0, source.seq, i64::from(room) + 1], |row| row.get(0))?;
        room = room.checked_sub(events).ok_or_else(|| {
            Error::conflict(format!(
                "more than {MOVED_EVENTS_MAX} stored events would move: merge fewer tickets at a time, and into the one \
                 that holds most"
            ))
        })?;
    }
    Ok(())
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
        "INSERT INTO release_tickets (project_id, release, part, ticket_seq) \
         SELECT project_id, release, part, ?3 FROM release_tickets WHERE project_id = ?1 AND ticket_seq = ?2 \
         ON CONFLICT DO NOTHING",
    ];
    for sql in MOVES {
        let mut statement = db.prepare_cached(sql)?;
        statement.execute(values)?;
    }
    upkeep::hold_moves(db, project, from, into)
}

/// What `target` is after it took `source` over: as urgent and as open as either, and looking like the latest event.
fn absorb(target: &mut TicketRow, source: &TicketRow) {
    target.marks |= source.marks;
    let (t, s) = (&mut target.ticket, &source.ticket);
    t.count += s.count;
    t.regressions = t.regressions.saturating_add(s.regressions);
    t.raised |= s.raised;
    t.origins.absorb(&s.origins);
    t.near_key = t.near_key.or(s.near_key);
    let status = lifecycle::merged(t.status, s.status);
    if status != t.status {
        t.status = status;
        t.resolved_at = None;
        t.resolved_in = None;
        t.resolved_after = None;
    }
    if s.priority < t.priority {
        t.priority = s.priority;
        t.priority_reason.clone_from(&s.priority_reason);
    }
    if s.first_seen < t.first_seen {
        t.first_seen = s.first_seen;
        t.first_release.clone_from(&s.first_release);
    }
    if s.last_seen > t.last_seen {
        t.last_seen = s.last_seen;
        t.last_release.clone_from(&s.last_release);
        t.level = s.level;
        t.unhandled = s.unhandled;
        t.title.clone_from(&s.title);
        t.culprit.clone_from(&s.culprit);
        t.platform.clone_from(&s.platform);
    }
}

/// What a ticket is found by beside its title: the index cannot be read, so its latest event is.
fn words_of(db: &Connection, row: &TicketRow) -> Result<String> {
    let stored = row.latest_event_seq.map(|seq| events::body(db, seq)).transpose()?.flatten();
    let text = stored.as_ref().map(event_words).unwrap_or_default();
    Ok(format!("{} {} {text} ", row.ticket.title, row.ticket.culprit))
}

fn cut_words(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MERGED_WORDS_BYTES_MAX)).unwrap_or_default()
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

fn newest_event(db: &Connection, project: ProjectId, seq: i64) -> Result<Option<i64>> {
    Ok(db
        .prepare_cached("SELECT max(seq) FROM events WHERE project_id = ?1 AND ticket_seq = ?2")?
        .query_row(params![project.0, seq], |row| row.get(0))?)
}

/// Gives one of several keys a ticket of its own, with the events that are stored of it and what these tell. Sampled
/// events that were counted before stay with the old ticket: nothing says which key they had.
pub(crate) fn split(
    work: &mut Work<'_>,
    id: &TicketId,
    expected_version: Option<u64>,
    key: Fingerprint,
    entry: &ActivityEntry,
) -> Result<Ticket> {
    let db = work.db;
    let mut source = ticket_of_version(db, id, expected_version)?;
    let project = source.ticket.project;
    if source.ticket.fingerprint == key {
        return Err(
            Error::invalid("fingerprint", "the ticket's own key stays; name one that was merged in").into()
        );
    }
    let seq = next_ticket(db)?;
    move_key(db, project, key, source.seq, seq)?;
    let ticket = split_off(db, &source, key, seq, entry.at)?;
    let before = (source.ticket.status, source.ticket.priority, source.ticket.count);
    let mut row = row_of(seq, ticket);
    row.latest_event_seq = newest_event(db, project, seq)?;
    let mut known = Known::new(row);
    move_series(db, &mut source, &mut known.row)?;
    move_facets(db, source.seq, &mut known)?;
    known.row.ticket.users = copy_users(db, project, seq)?;
    let row = known.row;
    insert_ticket(db, &row)?;
    upkeep::hold_follows(db, project, source.seq, seq)?;
    index_text(db, seq, &row.ticket.title, &row.ticket.culprit, cut_words(&words_of(db, &row)?))?;
    source.ticket.count = source.ticket.count.saturating_sub(row.ticket.count);
    source.ticket.version += 1;
    source.ticket.origins.forget();
    source.latest_event_seq = newest_event(db, project, source.seq)?;
    source.latest_transient = false;
    update_ticket(db, &source)?;
    move_counters(work, &source.ticket, Some(before))?;
    move_counters(work, &row.ticket, None)?;
    activity::append(db, project, source.seq, entry)?;
    activity::append(db, project, seq, entry)?;
    work.cache.clear();
    ticket_by_seq(db, seq)?.map(|row| row.ticket).ok_or_else(|| Fault::Defect("split".to_owned()))
}

/// The key, its stored events and their ids go from one ticket to another.
fn move_key(db: &Connection, project: ProjectId, key: Fingerprint, from: i64, into: i64) -> Result<()> {
    let hex = key_hex(key);
    let values = params![project.0, hex.as_str(), from, into];
    let moved = db
        .prepare_cached(
            "UPDATE ticket_keys SET ticket_seq = ?4 WHERE project_id = ?1 AND fingerprint = ?2 AND ticket_seq = ?3",
        )?
        .execute(values)?;
    if moved == 0 {
        return Err(Error::invalid("fingerprint", "not one of the ticket's keys").into());
    }
    db.prepare_cached(
        "UPDATE events SET ticket_seq = ?4 WHERE project_id = ?1 AND ticket_seq = ?3 AND fingerprint = ?2",
    )?
    .execute(values)?;
    db.prepare_cached(
        "UPDATE event_ids SET ticket_seq = ?2 WHERE project_id = ?1 AND event_id IN \
         (SELECT event_id FROM events WHERE project_id = ?1 AND ticket_seq = ?2)",
    )?
    .execute(params![project.0, into])?;
    Ok(())
}

/// The new ticket of a split, as its stored events tell it; without any it looks like the one that it came from.
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
    let release = |order: &str| -> Result<Option<String>> {
        let sql = format!(
            "SELECT release FROM events WHERE project_id = ?1 AND ticket_seq = ?2 ORDER BY timestamp {order} LIMIT 1"
        );
        Ok(db.query_row(&sql, params![project.0, seq], |row| row.get(0)).optional()?.flatten())
    };
    let near_key = db
        .prepare_cached("SELECT near_key FROM ticket_keys WHERE project_id = ?1 AND fingerprint = ?2")?
        .query_row(params![project.0, key_hex(key).as_str()], |row| row.get::<_, Option<String>>(0))?;
    let ticket = Ticket {
        id: free_id(db, project, key, at, |_| true)?,
        fingerprint: key,
        near_key: near_key.and_then(|text| text.parse().ok()),
        status: Status::Open,
        count: u64::try_from(count).unwrap_or(0),
        users: 0,
        first_seen: first.map_or(source.ticket.first_seen, Timestamp::from_micros),
        last_seen: last.map_or(source.ticket.last_seen, Timestamp::from_micros),
        first_release: release("ASC")?,
        last_release: release("DESC")?,
        resolved_at: None,
        resolved_in: None,
        resolved_after: None,
        regressions: 0,
        raised: false,
        assignee: None,
        origins: Origins::default(),
        created_at: at,
        version: 1,
        ..source.ticket.clone()
    };
    let newest = newest_event(db, project, seq)?;
    Ok(match newest.map(|newest| events::body(db, newest)).transpose()?.flatten() {
        Some(event) => Ticket {
            level: event.level,
            unhandled: event.is_unhandled(),
            title: event.title,
            culprit: event.culprit,
            platform: event.platform,
            ..ticket
        },
        None => ticket,
    })
}

/// Hours and days of the events that went over.
fn move_series(db: &Connection, source: &mut TicketRow, target: &mut TicketRow) -> Result<()> {
    let (project, from, into) = (target.ticket.project, source.seq, target.seq);
    for (span, many) in events_by(db, project, into, HOUR)? {
        if span == source.hour {
            source.hour_count = source.hour_count.saturating_sub(many);
        } else {
            take_from(db, "ticket_hours", "hour", [project.0, from, span], many)?;
        }
        if span == target.hour {
            target.hour_count = many;
        } else {
            add_hour(db, project, into, span, many)?;
        }
    }
    for (span, many) in events_by(db, project, into, DAY)? {
        if span == source.day {
            source.day_count = source.day_count.saturating_sub(many);
        } else {
            take_from(db, "ticket_days", "day", [project.0, from, span], many)?;
        }
        if span == target.day {
            target.day_count = many;
        } else {
            add_day(db, project, into, span, many)?;
        }
    }
    Ok(())
}

/// Stored events of a ticket by spans of so many microseconds.
fn events_by(db: &Connection, project: ProjectId, seq: i64, micros: i64) -> Result<Vec<(i64, u64)>> {
    let sql = "SELECT received_at / ?3, count(*) FROM events WHERE project_id = ?1 AND ticket_seq = ?2 \
         GROUP BY received_at / ?3";
    collect(db, sql, params![project.0, seq, micros], |row| {
        Ok((row.get::<_, i64>(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0)))
    })
}

/// Takes events out of one span, named by project, ticket and start, of a series that ended.
fn take_from(db: &Connection, table: &str, column: &str, place: [i64; 3], many: u64) -> Result<()> {
    let [project, seq, span] = place;
    let sql = format!(
        "UPDATE {table} SET quantity = max(0, quantity - ?4) \
         WHERE project_id = ?1 AND ticket_seq = ?2 AND {column} = ?3"
    );
    db.prepare_cached(&sql)?.execute(params![project, seq, span, rows::quantity(many)])?;
    Ok(())
}

/// Values of the events that went over, of the latest ones where they are many.
fn move_facets(db: &Connection, from: i64, known: &mut Known) -> Result<()> {
    let (project, into) = (known.row.ticket.project, known.row.seq);
    let sql = "SELECT seq FROM events WHERE project_id = ?1 AND ticket_seq = ?2 ORDER BY seq DESC LIMIT ?3";
    let seqs: Vec<i64> = collect(db, sql, params![project.0, into, SPLIT_BODIES_MAX], |row| Ok(row.get(0)?))?;
    let mut values: Vec<(String, String, Timestamp)> = Vec::new();
    for seq in seqs {
        let Some(event) = events::body(db, seq)? else { continue };
        let at = event.timestamp;
        values.extend(event_facets(&event).into_iter().map(|(key, value)| (key, value, at)));
    }
    let mut deltas: HashMap<(&str, &str), FacetDelta> = HashMap::new();
    for (key, value, at) in &values {
        FacetDelta::count(&mut deltas, key, value, *at);
    }
    write_facets(db, project, known, true, &deltas)?;
    for ((key, value), delta) in &deltas {
        let values = params![project.0, from, key, value, rows::quantity(delta.quantity)];
        db.prepare_cached(
            "UPDATE ticket_facets SET quantity = quantity - ?5 \
             WHERE project_id = ?1 AND ticket_seq = ?2 AND key = ?3 AND value = ?4",
        )?
        .execute(values)?;
    }
    db.prepare_cached(
        "DELETE FROM ticket_facets WHERE project_id = ?1 AND ticket_seq = ?2 AND quantity <= 0",
    )?
    .execute(params![project.0, from])?;
    Ok(())
}

/// Whoever met the events that went over; the old ticket keeps them, as sampled events of it may be theirs too.
fn copy_users(db: &Connection, project: ProjectId, seq: i64) -> Result<u64> {
    let added = db
        .prepare_cached(
            "INSERT INTO ticket_users (project_id, ticket_seq, user_hash) \
             SELECT DISTINCT project_id, ticket_seq, user_hash FROM events \
             WHERE project_id = ?1 AND ticket_seq = ?2 AND user_hash IS NOT NULL LIMIT ?3",
        )?
        .execute(params![project.0, seq, rows::quantity(USERS_MAX)])?;
    Ok(u64::try_from(added).unwrap_or(0))
}
