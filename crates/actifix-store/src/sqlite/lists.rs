//! Pages of tickets.
//!
//! The index of each order leads with project, status and priority, so a list is a merge of ordered streams, one for
//! each of these that has tickets at all. The merge reads short pieces, always of the stream whose next ticket comes
//! first, and costs the same however many tickets there are. Where a search asks for more than an index knows, the
//! merge looks at a bounded number of tickets; a page may then hold fewer items than asked for and still name a next.

use super::projects::collect;
use super::rows::{self, Place, TICKET_COLUMNS, page_size, ticket_row};
use super::search::{self, Plan};
use crate::fault::{Fault, Result};
use actifix_app::error::Error;
use actifix_app::ports::{Cursor, Page, Sort, TicketQuery};
use actifix_domain::ticket::{Priority, Status, Ticket};
use rusqlite::Connection;
use rusqlite::types::Value;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// Tickets that one page looks at.
const LOOKED_AT_MAX: usize = 5_000;
/// The same where each ticket is looked up in the index of words.
const LOOKED_UP_MAX: usize = 1_000;
/// Tickets read at once from one stream where a filter passes over some.
const PIECE: usize = 256;
/// The same where each is looked up in the index of words: what is read of one stream and not needed is paid for too.
const LOOKUP_PIECE: usize = 16;
/// Matches are counted up to this, and one more.
const TOTAL_MAX: u64 = Page::<Ticket>::TOTAL_MAX;

/// One project, status and priority that has tickets.
struct Stream {
    project: i64,
    status: Status,
    priority: Priority,
    /// How many it has.
    tickets: u64,
}

/// Places in order, and down to which one they are complete; none is down to the end.
struct Found {
    items: Vec<Place>,
    complete_to: Option<Place>,
}

/// A page of tickets.
pub(crate) fn page(db: &Connection, query: &TicketQuery) -> Result<Page<Ticket>> {
    let plan = search::plan(db, query)?;
    if plan.is_hopeless() {
        return Ok(Page { items: Vec::new(), next_cursor: None, total: query.with_total.then_some(0) });
    }
    let streams = streams(db, &plan)?;
    let total = if query.with_total { total(db, &plan, query.sort, &streams)? } else { None };
    let limit = page_size(query.limit);
    let (seqs, next_cursor) = match query.sort {
        Sort::Priority => by_priority(db, &plan, query, &streams, limit)?,
        sort => {
            let list = list_name(sort);
            let place = plan.start(Place::parse(query.cursor.as_ref(), list)?);
            let found = merge(db, &plan, sort, &streams.iter().collect::<Vec<_>>(), place, limit)?;
            cut(found, limit, list)
        }
    };
    let items = read(db, &seqs)?;
    // To count what the index of words is asked for ticket by ticket would cost many pages: only one page is counted.
    let is_all = plan.asks_index && query.cursor.is_none() && next_cursor.is_none();
    let counted = (query.with_total && is_all).then(|| u64::try_from(items.len()).unwrap_or(u64::MAX));
    Ok(Page { items, next_cursor, total: total.or(counted) })
}

const fn list_name(sort: Sort) -> &'static str {
    match sort {
        Sort::LastSeen => "last",
        Sort::FirstSeen => "first",
        Sort::Count => "count",
        Sort::Priority => "priority",
    }
}

const fn index_name(sort: Sort) -> &'static str {
    match sort {
        Sort::LastSeen | Sort::Priority => "last",
        Sort::FirstSeen => "first",
        Sort::Count => "count",
    }
}

/// P0 first, and within a priority the latest first: one priority after the other until the page is full.
fn by_priority(
    db: &Connection,
    plan: &Plan,
    query: &TicketQuery,
    streams: &[Stream],
    limit: usize,
) -> Result<(Vec<i64>, Option<Cursor>)> {
    let wrong = || Fault::App(Error::invalid("cursor", "not a cursor of this list; start without one"));
    let (mut first, mut place) = (Priority::P0, Place::TOP);
    if let Some(Cursor(text)) = &query.cursor {
        let (number, rest) =
            text.strip_prefix("priority").and_then(|t| t.split_once('.')).ok_or_else(wrong)?;
        first = number.parse().ok().and_then(Priority::from_number).ok_or_else(wrong)?;
        place = Place::parse(Some(&Cursor(format!("p.{rest}"))), "p")?;
    }
    let mut seqs = Vec::new();
    let priorities: Vec<Priority> = plan.priorities.iter().copied().filter(|p| *p >= first).collect();
    for (at, priority) in priorities.iter().enumerate() {
        let start = plan.start(if *priority == first { place } else { Place::TOP });
        let room = limit - seqs.len();
        let own: Vec<&Stream> = streams.iter().filter(|stream| stream.priority == *priority).collect();
        let found = merge(db, plan, Sort::Priority, &own, start, room)?;
        let (more, cursor) = cut(found, room, &format!("priority{}", priority.number()));
        seqs.extend(more);
        if cursor.is_some() {
            return Ok((seqs, cursor));
        }
        let next = priorities.get(at + 1);
        if let (true, Some(next)) = (seqs.len() >= limit, next) {
            return Ok((seqs, Some(Place::TOP.cursor(&format!("priority{}", next.number())))));
        }
    }
    Ok((seqs, None))
}

/// What there is to merge, from the maintained sums.
fn streams(db: &Connection, plan: &Plan) -> Result<Vec<Stream>> {
    let projects = match &plan.projects {
        Some(projects) => projects.clone(),
        None => super::projects::all(db)?.iter().map(|project| project.id.0).collect(),
    };
    let mut streams = Vec::new();
    for project in projects {
        let sums = collect(
            db,
            "SELECT name, quantity FROM counters WHERE project_id = ?1 AND name >= 'tickets:' AND name < 'tickets;'",
            [project],
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)),
        )?;
        for (name, many) in sums {
            let Some((status, priority)) = rows::parse_ticket_counter(&name) else { continue };
            let tickets = u64::try_from(many).unwrap_or(0);
            if tickets > 0 && plan.statuses.contains(&status) && plan.priorities.contains(&priority) {
                streams.push(Stream { project, status, priority, tickets });
            }
        }
    }
    Ok(streams)
}

/// The first places of all streams below `place`: one more than `limit`, if there are as many.
fn merge(
    db: &Connection,
    plan: &Plan,
    sort: Sort,
    streams: &[&Stream],
    place: Place,
    limit: usize,
) -> Result<Found> {
    if let Some(candidates) = &plan.candidates {
        return among(db, plan, sort, streams, place, limit, candidates);
    }
    let mut heads = BinaryHeap::new();
    for (number, stream) in streams.iter().enumerate() {
        if let Some(head) = piece(db, plan, sort, stream, place, 1, false)?.first() {
            heads.push((head.0, number));
        }
    }
    let size = match plan.filter.sql.is_empty() {
        true => limit + 1,
        false if plan.asks_index => LOOKUP_PIECE,
        false => PIECE,
    };
    let mut found: BTreeSet<Reverse<Place>> = BTreeSet::new();
    let mut looked_at = 0;
    while let Some((head, number)) = heads.pop() {
        if found.iter().nth(limit).is_some_and(|last| last.0 > head) {
            return Ok(Found { items: in_order(found, limit), complete_to: None });
        }
        if looked_at >= if plan.asks_index { LOOKED_UP_MAX } else { LOOKED_AT_MAX } {
            found.retain(|item| item.0 > head);
            // Nothing is known from the head on, so the next page begins right above it.
            let border = Place(head.0, head.1.saturating_add(1));
            return Ok(Found { items: in_order(found, limit), complete_to: Some(border) });
        }
        let Some(stream) = streams.get(number) else { continue };
        // From the head itself on.
        let above = Place(head.0, head.1.saturating_add(1));
        let mut read = piece(db, plan, sort, stream, above, size + 1, true)?;
        if read.len() > size
            && let Some((next, _)) = read.pop()
        {
            heads.push((next, number));
        }
        looked_at += read.len();
        found.extend(read.into_iter().filter(|(_, fits)| *fits).map(|(place, _)| Reverse(place)));
    }
    Ok(Found { items: in_order(found, limit), complete_to: None })
}

fn in_order(found: BTreeSet<Reverse<Place>>, limit: usize) -> Vec<Place> {
    found.into_iter().take(limit + 1).map(|place| place.0).collect()
}

/// The next `size` places of a stream below `place`, and whether each fits the filter.
fn piece(
    db: &Connection,
    plan: &Plan,
    sort: Sort,
    stream: &Stream,
    place: Place,
    size: usize,
    filtered: bool,
) -> Result<Vec<(Place, bool)>> {
    let column = search::column(sort);
    let filter = if filtered && !plan.filter.sql.is_empty() { plan.filter.sql.as_str() } else { "1" };
    let mut values = if filtered { plan.filter.values.clone() } else { Vec::new() };
    values.extend([
        Value::Integer(stream.project),
        Value::Text(stream.status.as_str().to_owned()),
        Value::Integer(i64::from(stream.priority.number())),
        Value::Integer(place.0),
        Value::Integer(place.1),
        Value::Integer(plan.from),
    ]);
    // The index is named, so that no statistics can talk the engine into sorting a million rows.
    let sql = format!(
        "SELECT t.{column}, t.seq, {filter} FROM tickets t INDEXED BY tickets_{} WHERE t.project_id = ? \
         AND t.status = ? AND t.priority = ? AND (t.{column}, t.seq) < (?, ?) AND t.{column} >= ? \
         ORDER BY t.{column} DESC, t.seq DESC LIMIT {size}",
        index_name(sort)
    );
    collect(db, &sql, rusqlite::params_from_iter(values), |row| {
        Ok((Place(row.get(0)?, row.get(1)?), row.get(2)?))
    })
}

/// Places of the only tickets that can match.
fn among(
    db: &Connection,
    plan: &Plan,
    sort: Sort,
    streams: &[&Stream],
    place: Place,
    limit: usize,
    candidates: &BTreeSet<i64>,
) -> Result<Found> {
    let column = search::column(sort);
    let priorities: BTreeSet<Priority> = streams.iter().map(|stream| stream.priority).collect();
    let (filter, mut values) = candidate_filter(plan, &priorities, candidates);
    let sql = format!(
        "SELECT t.{column}, t.seq FROM json_each(?) c JOIN tickets t ON t.seq = c.value WHERE {filter} \
         AND (t.{column}, t.seq) < (?, ?) AND t.{column} >= ? ORDER BY t.{column} DESC, t.seq DESC LIMIT {}",
        limit + 1
    );
    values.extend([Value::Integer(place.0), Value::Integer(place.1), Value::Integer(plan.from)]);
    let items =
        collect(db, &sql, rusqlite::params_from_iter(values), |row| Ok(Place(row.get(0)?, row.get(1)?)))?;
    Ok(Found { items, complete_to: None })
}

fn candidate_filter(
    plan: &Plan,
    priorities: &BTreeSet<Priority>,
    candidates: &BTreeSet<i64>,
) -> (String, Vec<Value>) {
    let statuses: Vec<&str> = plan.statuses.iter().map(|status| status.as_str()).collect();
    let numbers: Vec<u8> = priorities.iter().map(|priority| priority.number()).collect();
    let mut filter =
        "t.status IN (SELECT value FROM json_each(?)) AND t.priority IN (SELECT value FROM json_each(?))"
            .to_owned();
    let mut values = vec![
        Value::Text(serde_json::Value::from(candidates.iter().copied().collect::<Vec<i64>>()).to_string()),
        Value::Text(serde_json::Value::from(statuses).to_string()),
        Value::Text(serde_json::Value::from(numbers).to_string()),
    ];
    if let Some(projects) = &plan.projects {
        filter.push_str(" AND t.project_id IN (SELECT value FROM json_each(?))");
        values.push(Value::Text(serde_json::Value::from(projects.clone()).to_string()));
    }
    if !plan.filter.sql.is_empty() {
        filter.push_str(&format!(" AND {}", plan.filter.sql));
        values.extend(plan.filter.values.iter().cloned());
    }
    (filter, values)
}

/// The numbers of a page, and where the next one starts.
fn cut(found: Found, limit: usize, list: &str) -> (Vec<i64>, Option<Cursor>) {
    let next = if found.items.len() > limit {
        limit.checked_sub(1).and_then(|last| found.items.get(last)).copied().or(Some(Place::TOP))
    } else {
        found.complete_to
    };
    let seqs = found.items.iter().take(limit).map(|place| place.1).collect();
    (seqs, next.map(|place| place.cursor(list)))
}

fn read(db: &Connection, seqs: &[i64]) -> Result<Vec<Ticket>> {
    let list = serde_json::Value::from(seqs.to_vec()).to_string();
    let columns: Vec<String> =
        TICKET_COLUMNS.split(", ").map(|column| format!("t.{}", column.trim())).collect();
    let sql = format!(
        "SELECT {} FROM json_each(?1) c JOIN tickets t ON t.seq = c.value ORDER BY c.key",
        columns.join(", ")
    );
    let found = collect(db, &sql, [list], |row| whole(ticket_row(row)))?;
    Ok(found.into_iter().flatten().map(|row| row.ticket).collect())
}

/// A list leaves a damaged row out, which is told elsewhere: one of them must not hide all the others.
pub(crate) fn whole<T>(row: Result<T>) -> Result<Option<T>> {
    match row {
        Ok(row) => Ok(Some(row)),
        Err(fault) if fault.is_damage() => {
            fault.tell();
            Ok(None)
        }
        Err(fault) => Err(fault),
    }
}

/// Matches of a search, as far as they can be counted in bounded work: from the maintained sums, or within what a
/// page would look at. None where that is not enough to know.
fn total(db: &Connection, plan: &Plan, sort: Sort, streams: &[Stream]) -> Result<Option<u64>> {
    if let Some(candidates) = &plan.candidates {
        let column = search::column(sort);
        let (filter, mut values) = candidate_filter(plan, &plan.priorities, candidates);
        values.extend([Value::Integer(plan.from), Value::Integer(plan.to)]);
        let sql = format!(
            "SELECT count(*) FROM json_each(?) c JOIN tickets t ON t.seq = c.value WHERE {filter} \
             AND t.{column} >= ? AND t.{column} <= ?"
        );
        let many: i64 =
            db.prepare_cached(&sql)?.query_row(rusqlite::params_from_iter(values), |row| row.get(0))?;
        return Ok(u64::try_from(many).ok());
    }
    if plan.is_plain() {
        let many: u64 = streams.iter().map(|stream| stream.tickets).sum();
        return Ok(Some(many.min(TOTAL_MAX + 1)));
    }
    if plan.asks_index {
        return Ok(None);
    }
    let limit = usize::try_from(TOTAL_MAX).unwrap_or(usize::MAX);
    let own: Vec<&Stream> = streams.iter().collect();
    let found = merge(db, plan, sort, &own, plan.start(Place::TOP), limit)?;
    let many = u64::try_from(found.items.len()).unwrap_or(u64::MAX);
    Ok((found.complete_to.is_none() || many > TOTAL_MAX).then_some(many))
}
