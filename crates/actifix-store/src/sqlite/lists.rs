//! Pages of tickets.
//!
//! Indexes lead with status and priority, so a list is a merge of short ordered streams, one per status and priority
//! (and project), and costs the same however many tickets there are. Where a search asks for more, each stream looks
//! at a bounded number of tickets; a page may then hold fewer items than asked for and still name a next one.

use super::projects::collect;
use super::rows::{self, Place, TICKET_COLUMNS, page_size, ticket_row};
use super::search::{self, Filter, Plan};
use crate::fault::{Fault, Result};
use actifix_app::error::Error;
use actifix_app::ports::{Cursor, Page, Sort, TicketQuery};
use actifix_domain::id::ProjectId;
use actifix_domain::ticket::{Priority, Status, Ticket};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension};
use std::collections::BTreeSet;

/// Tickets that one page looks at where a filter must be checked ticket by ticket.
const LOOKED_AT_MAX: usize = 10_000;
/// Fewest tickets that each stream may look at.
const STREAM_MIN: usize = 100;
/// Projects that get streams of their own; beyond it all tickets are streamed and the project is a filter.
const PROJECTS_STREAMED: usize = 10;
/// Matches are counted up to this, and one more.
const TOTAL_MAX: u64 = Page::<Ticket>::TOTAL_MAX;

/// One status and priority, of one project or all.
struct Stream {
    project: Option<i64>,
    status: Status,
    priority: Priority,
}

/// Places and numbers, and down to which place they are complete; none is down to the end.
struct Found {
    items: Vec<Place>,
    complete_to: Option<Place>,
}

/// A page of tickets.
pub(crate) fn page(db: &Connection, query: &TicketQuery) -> Result<Page<Ticket>> {
    let mut plan = search::plan(db, query)?;
    if plan.is_hopeless() {
        return Ok(Page { items: Vec::new(), next_cursor: None, total: query.with_total.then_some(0) });
    }
    let streamed = if has_project_index(query.sort) { PROJECTS_STREAMED } else { 0 };
    let plain_total = if query.with_total && plan.is_plain() { Some(sum(db, &plan)?) } else { None };
    if let Some(projects) = plan.projects.take_if(|projects| projects.len() > streamed) {
        add_project_filter(&mut plan.filter, &projects);
    }
    let total = match plain_total {
        None if query.with_total => total(db, &plan, query.sort)?,
        total => total,
    };
    let limit = page_size(query.limit);
    let (seqs, next_cursor) = match query.sort {
        Sort::Priority => by_priority(db, &plan, query, limit)?,
        sort => {
            let list = list_name(sort);
            let place = plan.start(Place::parse(query.cursor.as_ref(), list)?);
            let priorities: Vec<Priority> = plan.priorities.iter().copied().collect();
            let found = merge(db, &plan, sort, &priorities, place, limit)?;
            cut(found, limit, list)
        }
    };
    Ok(Page { items: read(db, &seqs)?, next_cursor, total })
}

const fn list_name(sort: Sort) -> &'static str {
    match sort {
        Sort::LastSeen => "last",
        Sort::FirstSeen => "first",
        Sort::Count => "count",
        Sort::Priority => "priority",
    }
}

/// Lists by last event are the ones that everybody looks at: only they have an index that leads with the project.
/// The others have the project at the end of theirs, and pass over tickets of other projects without reading them.
const fn has_project_index(sort: Sort) -> bool {
    matches!(sort, Sort::LastSeen | Sort::Priority)
}

const fn index_name(sort: Sort) -> &'static str {
    match sort {
        Sort::LastSeen | Sort::Priority => "last",
        Sort::FirstSeen => "first",
        Sort::Count => "count",
    }
}

fn add_project_filter(filter: &mut Filter, projects: &[i64]) {
    let list = serde_json::Value::from(projects.to_vec()).to_string();
    let sql = "t.project_id IN (SELECT value FROM json_each(?))";
    let joined = if filter.sql.is_empty() { sql.to_owned() } else { format!("{} AND {sql}", filter.sql) };
    filter.sql = joined;
    filter.values.push(Value::Text(list));
}

/// P0 first, and within a priority the latest first: one priority after the other until the page is full.
fn by_priority(
    db: &Connection,
    plan: &Plan,
    query: &TicketQuery,
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
        let found = merge(db, plan, Sort::Priority, &[*priority], start, room)?;
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

/// The first places of all streams, in order.
fn merge(
    db: &Connection,
    plan: &Plan,
    sort: Sort,
    priorities: &[Priority],
    place: Place,
    limit: usize,
) -> Result<Found> {
    if let Some(candidates) = &plan.candidates {
        return among(db, plan, sort, priorities, place, limit, candidates);
    }
    let streams = streams(plan, priorities);
    let budget = (LOOKED_AT_MAX / streams.len().max(1)).max(STREAM_MIN);
    let mut all = Found { items: Vec::new(), complete_to: None };
    for stream in &streams {
        let found = read_stream(db, plan, sort, stream, place, limit, budget)?;
        all.items.extend(found.items);
        all.complete_to = all.complete_to.max(found.complete_to);
    }
    all.items.sort_unstable_by(|a, b| b.cmp(a));
    if let Some(border) = all.complete_to {
        all.items.retain(|item| *item >= border);
    }
    Ok(all)
}

fn streams(plan: &Plan, priorities: &[Priority]) -> Vec<Stream> {
    let projects: Vec<Option<i64>> = match &plan.projects {
        Some(projects) => projects.iter().copied().map(Some).collect(),
        None => vec![None],
    };
    let mut streams = Vec::new();
    for project in projects {
        for status in &plan.statuses {
            for priority in priorities {
                streams.push(Stream { project, status: *status, priority: *priority });
            }
        }
    }
    streams
}

/// At most `limit` + 1 places of a stream below `place`, having looked at `budget` tickets at most.
fn read_stream(
    db: &Connection,
    plan: &Plan,
    sort: Sort,
    stream: &Stream,
    place: Place,
    limit: usize,
    budget: usize,
) -> Result<Found> {
    let column = search::column(sort);
    let mut range =
        format!("t.status = ? AND t.priority = ? AND (t.{column}, t.seq) < (?, ?) AND t.{column} >= ?");
    let mut values = vec![
        Value::Text(stream.status.as_str().to_owned()),
        Value::Integer(i64::from(stream.priority.number())),
        Value::Integer(place.0),
        Value::Integer(place.1),
        Value::Integer(plan.from),
    ];
    if let Some(project) = stream.project {
        range.push_str(" AND t.project_id = ?");
        values.push(Value::Integer(project));
    }
    // Named, so that no statistics can talk the engine into sorting a million rows.
    let index = format!("tickets_{}{}", if stream.project.is_some() { "p_" } else { "" }, index_name(sort));
    let mut border = None;
    if !plan.filter.sql.is_empty() {
        let sql = format!(
            "SELECT t.{column}, t.seq FROM tickets t INDEXED BY {index} WHERE {range} ORDER BY t.{column} DESC, t.seq DESC \
             LIMIT 1 OFFSET {}",
            budget - 1
        );
        border = db
            .prepare_cached(&sql)?
            .query_row(rusqlite::params_from_iter(&values), |row| Ok(Place(row.get(0)?, row.get(1)?)))
            .optional()?;
        if let Some(border) = border {
            range.push_str(&format!(" AND (t.{column}, t.seq) >= (?, ?)"));
            values.extend([Value::Integer(border.0), Value::Integer(border.1)]);
        }
        range.push_str(&format!(" AND {}", plan.filter.sql));
        values.extend(plan.filter.values.iter().cloned());
    }
    let sql = format!(
        "SELECT t.{column}, t.seq FROM tickets t INDEXED BY {index} WHERE {range} ORDER BY t.{column} DESC, t.seq DESC LIMIT {}",
        limit + 1
    );
    let items =
        collect(db, &sql, rusqlite::params_from_iter(values), |row| Ok(Place(row.get(0)?, row.get(1)?)))?;
    let complete_to = if items.len() > limit { items.last().copied() } else { border };
    Ok(Found { items, complete_to })
}

/// Places of the only tickets that can match.
fn among(
    db: &Connection,
    plan: &Plan,
    sort: Sort,
    priorities: &[Priority],
    place: Place,
    limit: usize,
    candidates: &BTreeSet<i64>,
) -> Result<Found> {
    let column = search::column(sort);
    let (filter, mut values) = candidate_filter(plan, priorities, candidates);
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
    priorities: &[Priority],
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
    collect(db, &sql, [list], |row| Ok(ticket_row(row)?.ticket))
}

/// Matches of a search, as far as they can be counted in bounded work: from the maintained sums, or within what a
/// page would look at. None where that is not enough to know.
fn total(db: &Connection, plan: &Plan, sort: Sort) -> Result<Option<u64>> {
    let priorities: Vec<Priority> = plan.priorities.iter().copied().collect();
    if let Some(candidates) = &plan.candidates {
        let column = search::column(sort);
        let (filter, mut values) = candidate_filter(plan, &priorities, candidates);
        values.extend([Value::Integer(plan.from), Value::Integer(plan.to)]);
        let sql = format!(
            "SELECT count(*) FROM json_each(?) c JOIN tickets t ON t.seq = c.value WHERE {filter} \
             AND t.{column} >= ? AND t.{column} <= ?"
        );
        let many: i64 =
            db.prepare_cached(&sql)?.query_row(rusqlite::params_from_iter(values), |row| row.get(0))?;
        return Ok(u64::try_from(many).ok());
    }
    let streams = streams(plan, &priorities);
    let budget = (LOOKED_AT_MAX / streams.len().max(1)).max(STREAM_MIN);
    let limit = usize::try_from(TOTAL_MAX).unwrap_or(usize::MAX);
    let mut many = 0;
    let mut certain = true;
    for stream in &streams {
        let found = read_stream(db, plan, sort, stream, plan.start(Place::TOP), limit, budget)?;
        certain &= found.complete_to.is_none();
        many += u64::try_from(found.items.len()).unwrap_or(u64::MAX);
        if many > TOTAL_MAX {
            return Ok(Some(TOTAL_MAX + 1));
        }
    }
    Ok(certain.then_some(many))
}

fn sum(db: &Connection, plan: &Plan) -> Result<u64> {
    let mut many: u64 = 0;
    for status in &plan.statuses {
        for priority in &plan.priorities {
            let name = rows::ticket_counter(*status, *priority);
            many += match &plan.projects {
                None => rows::counter_total(db, &name)?,
                Some(projects) => {
                    let mut of_projects = 0;
                    for project in projects {
                        of_projects += rows::counter(db, ProjectId(*project), &name)?;
                    }
                    of_projects
                }
            };
        }
    }
    Ok(many.min(TOTAL_MAX + 1))
}
