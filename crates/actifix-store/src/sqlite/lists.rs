//! Pages of tickets.
//!
//! The index of each order leads with project, status and priority, so a list is a merge of ordered streams, one for
//! each of these that has tickets at all. The merge reads short pieces, always of the stream whose next ticket comes
//! first, and costs the same however many tickets there are. The index has the marks of each ticket, by which a search
//! passes over most that do not match; the others are looked up. The work of a page is bounded: it may then hold fewer
//! items than asked for and still name a next.

use super::projects::collect;
use super::rows::{self, Place, TICKET_COLUMNS, page_size, ticket_row};
use super::search::{self, CANDIDATES_MAX, Numbers, Plan};
use crate::fault::{Fault, Result};
use actifix_app::error::Error;
use actifix_app::ports::{Cursor, Page, Sort, TicketQuery};
use actifix_domain::ticket::{Priority, Status, Ticket};
use rusqlite::Connection;
use rusqlite::types::Value;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// Work of one page, in looks at a ticket in the index of an order: about 10 ms.
const UNITS_MAX: usize = 30_000;
/// Work to count matches, likewise.
const COUNT_UNITS_MAX: usize = 16_000;
/// Work to look a ticket up where its row or its facets lie.
pub(crate) const ROW_UNITS: usize = 16;
/// Tickets read at once from one stream where a search passes over some, at first and at most: what is read of one stream
/// and not needed is paid for too.
const PIECE: usize = 64;
const PIECE_MAX: usize = 512;
/// The same where tickets may be looked up in the index of words.
const WORDS_PIECE: usize = 16;
const WORDS_PIECE_MAX: usize = 64;
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

/// A ticket as the index of an order has it.
struct Entry {
    place: Place,
    marks: i64,
}

/// How the tickets of a search are found.
enum Way {
    /// By the streams.
    Merge(Vec<Stream>),
    /// These are all, with their priorities, in order.
    Known(Vec<(Priority, Place)>),
}

/// Places in order, and down to which one they are complete; none is down to the end.
struct Found {
    items: Vec<Place>,
    complete_to: Option<Place>,
    /// The work that it took.
    units: usize,
}

/// Below which place a page begins, how many it has, and the work that it may take.
#[derive(Clone, Copy)]
struct Asked {
    place: Place,
    limit: usize,
    units_max: usize,
}

/// A page of tickets.
pub(crate) fn page(db: &Connection, query: &TicketQuery) -> Result<Page<Ticket>> {
    let plan = search::plan(db, query)?;
    if plan.is_hopeless() {
        return Ok(Page { items: Vec::new(), next_cursor: None, total: query.with_total.then_some(0) });
    }
    let way = match &plan.only {
        Some(only) if only.len() <= CANDIDATES_MAX => Way::Known(known(db, &plan, query.sort, only)?),
        _ => Way::Merge(streams(db, &plan)?),
    };
    let total = if query.with_total { total(db, &plan, query.sort, &way)? } else { None };
    let limit = page_size(query.limit);
    let (seqs, next_cursor) = match query.sort {
        Sort::Priority => by_priority(db, &plan, query, &way, limit)?,
        sort => {
            let list = list_name(sort);
            let place = plan.start(Place::parse(query.cursor.as_ref(), list)?);
            let asked = Asked { place, limit, units_max: UNITS_MAX };
            cut(way.below(db, &plan, sort, None, asked)?, limit, list)
        }
    };
    let items = read(db, &seqs)?;
    // Where only some of the matches were found at a bounded price, at least a list of one page is counted.
    let is_all = query.cursor.is_none() && next_cursor.is_none();
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
    way: &Way,
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
    let (mut seqs, mut units_left) = (Vec::new(), UNITS_MAX);
    let priorities: Vec<Priority> = plan.priorities.iter().copied().filter(|p| *p >= first).collect();
    for (at, priority) in priorities.iter().enumerate() {
        let start = plan.start(if *priority == first { place } else { Place::TOP });
        let room = limit - seqs.len();
        let asked = Asked { place: start, limit: room, units_max: units_left };
        let found = way.below(db, plan, Sort::Priority, Some(*priority), asked)?;
        units_left = units_left.saturating_sub(found.units);
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

impl Way {
    /// The first places that are asked for, of one priority or of all: one more than the limit, if there are as many.
    fn below(
        &self,
        db: &Connection,
        plan: &Plan,
        sort: Sort,
        priority: Option<Priority>,
        asked: Asked,
    ) -> Result<Found> {
        let is_asked = |of: Priority| priority.is_none_or(|priority| priority == of);
        match self {
            Self::Merge(streams) => {
                let own: Vec<&Stream> = streams.iter().filter(|stream| is_asked(stream.priority)).collect();
                merge(db, plan, sort, &own, asked)
            }
            Self::Known(known) => {
                let own = known.iter().filter(|(of, at)| is_asked(*of) && *at < asked.place);
                let items = own.map(|(_, at)| *at).take(asked.limit + 1).collect();
                Ok(Found { items, complete_to: None, units: 0 })
            }
        }
    }
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

/// The first places of all streams that are asked for: one more than the limit, if there are as many.
fn merge(db: &Connection, plan: &Plan, sort: Sort, streams: &[&Stream], asked: Asked) -> Result<Found> {
    let Asked { place, limit, units_max } = asked;
    let (first_size, size_max) = match (plan.takes_all(), plan.words.is_empty()) {
        (true, _) => (limit + 1, limit + 1),
        (false, true) => (PIECE, PIECE_MAX),
        (false, false) => (WORDS_PIECE, WORDS_PIECE_MAX),
    };
    let mut heads = BinaryHeap::new();
    for (number, stream) in streams.iter().enumerate() {
        if let Some(head) = piece(db, plan, sort, stream, place, 1)?.first() {
            heads.push((head.place, number, first_size));
        }
    }
    let mut found: BTreeSet<Reverse<Place>> = BTreeSet::new();
    let mut units = 0;
    while let Some((head, number, size)) = heads.pop() {
        if found.len() > limit && found.iter().nth(limit).is_some_and(|last| last.0 > head) {
            return Ok(Found { items: in_order(found, limit), complete_to: None, units });
        }
        // From the head itself on.
        let above = Place(head.0, head.1.saturating_add(1));
        if units >= units_max {
            // Nothing is known from the head on, so the next page begins right above it.
            found.retain(|item| item.0 > head);
            return Ok(Found { items: in_order(found, limit), complete_to: Some(above), units });
        }
        let Some(stream) = streams.get(number) else { continue };
        let mut read = piece(db, plan, sort, stream, above, size + 1)?;
        if read.len() > size
            && let Some(next) = read.pop()
        {
            heads.push((next.place, number, (size * 2).min(size_max)));
        }
        units += read.len();
        read.retain(|entry| plan.may_have(entry.place.1, entry.marks));
        let seqs = read.iter().map(|entry| entry.place.1).collect();
        let (fitting, cost) = plan.look_up(db, Some(stream.project), seqs)?;
        units += cost;
        let fitting = read.iter().filter(|entry| fitting.has(entry.place.1));
        found.extend(fitting.map(|entry| Reverse(entry.place)));
    }
    Ok(Found { items: in_order(found, limit), complete_to: None, units })
}

fn in_order(found: BTreeSet<Reverse<Place>>, limit: usize) -> Vec<Place> {
    found.into_iter().take(limit + 1).map(|place| place.0).collect()
}

/// The next `size` tickets of a stream below `place`. Nothing but the index is read.
fn piece(
    db: &Connection,
    plan: &Plan,
    sort: Sort,
    stream: &Stream,
    place: Place,
    size: usize,
) -> Result<Vec<Entry>> {
    let values = rusqlite::params![
        stream.project,
        stream.status.as_str(),
        stream.priority.number(),
        place.0,
        place.1,
        plan.from,
        i64::try_from(size).unwrap_or(i64::MAX),
    ];
    collect(db, &piece_sql(sort), values, |row| {
        Ok(Entry { place: Place(row.get(0)?, row.get(1)?), marks: row.get(2)? })
    })
}

pub(super) fn piece_sql(sort: Sort) -> String {
    let column = search::column(sort);
    // The index is named, so that no statistics can talk the engine into sorting a million rows.
    format!(
        "SELECT t.{column}, t.seq, t.marks FROM tickets t INDEXED BY tickets_{} WHERE t.project_id = ?1 \
         AND t.status = ?2 AND t.priority = ?3 AND (t.{column}, t.seq) < (?4, ?5) AND t.{column} >= ?6 \
         ORDER BY t.{column} DESC, t.seq DESC LIMIT ?7",
        index_name(sort)
    )
}

/// Those of the only tickets that can match that do.
fn known(db: &Connection, plan: &Plan, sort: Sort, only: &Numbers) -> Result<Vec<(Priority, Place)>> {
    let mut sql = format!(
        "SELECT t.priority, t.status, t.{}, t.seq, t.marks FROM json_each(?) v CROSS JOIN tickets t ON t.seq = v.value",
        search::column(sort)
    );
    let mut values = vec![Value::Text(search::json(only.as_slice()))];
    if let Some(projects) = &plan.projects {
        sql.push_str(" WHERE t.project_id IN (SELECT value FROM json_each(?))");
        values.push(Value::Text(search::json(projects)));
    }
    let rows = collect(db, &sql, rusqlite::params_from_iter(values), |row| {
        let mut c = rows::Columns::new(row);
        let (priority, status): (u8, String) = (c.take()?, c.take()?);
        Ok((priority, status, Entry { place: Place(c.take()?, c.take()?), marks: c.take()? }))
    })?;
    let mut found: Vec<(Priority, Place)> = rows
        .into_iter()
        .filter_map(|(priority, status, Entry { place, marks })| {
            let (priority, status) = (Priority::from_number(priority)?, status.parse().ok()?);
            let fits = plan.priorities.contains(&priority)
                && plan.statuses.contains(&status)
                && (plan.from..=plan.to).contains(&place.0)
                && plan.may_have(place.1, marks);
            fits.then_some((priority, place))
        })
        .collect();
    let (fitting, _) = plan.look_up(db, None, found.iter().map(|(_, place)| place.1).collect())?;
    found.retain(|(_, place)| fitting.has(place.1));
    found.sort_unstable_by_key(|(_, place)| Reverse(*place));
    Ok(found)
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
    let columns: Vec<String> =
        TICKET_COLUMNS.split(", ").map(|column| format!("t.{}", column.trim())).collect();
    let sql = format!(
        "SELECT {} FROM json_each(?1) c CROSS JOIN tickets t ON t.seq = c.value ORDER BY c.key",
        columns.join(", ")
    );
    let found = collect(db, &sql, [search::json(seqs)], |row| whole(ticket_row(row)))?;
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

/// Matches of a search, as far as they can be counted in bounded work: from the maintained sums, or by as many looks as
/// may be had. None where that is not enough to know.
fn total(db: &Connection, plan: &Plan, sort: Sort, way: &Way) -> Result<Option<u64>> {
    let streams = match way {
        Way::Known(known) => return Ok(u64::try_from(known.len()).ok().map(|many| many.min(TOTAL_MAX + 1))),
        Way::Merge(streams) => streams,
    };
    let tickets: u64 = streams.iter().map(|stream| stream.tickets).sum();
    if plan.takes_all() && plan.is_unbounded() {
        return Ok(Some(tickets.min(TOTAL_MAX + 1)));
    }
    // To count what the index of words is asked for would cost many pages, and a look at each of so many is too much.
    let too_many = plan.is_unbounded() && tickets > u64::try_from(COUNT_UNITS_MAX).unwrap_or(u64::MAX);
    if !plan.words.is_empty() || too_many {
        return Ok(None);
    }
    let limit = usize::try_from(TOTAL_MAX).unwrap_or(usize::MAX);
    let own: Vec<&Stream> = streams.iter().collect();
    let asked = Asked { place: plan.start(Place::TOP), limit, units_max: COUNT_UNITS_MAX };
    let found = merge(db, plan, sort, &own, asked)?;
    let many = u64::try_from(found.items.len()).unwrap_or(u64::MAX);
    Ok((found.complete_to.is_none() || many > TOTAL_MAX).then_some(many))
}
