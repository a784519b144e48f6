//! Searches to SQL. Everything that came from outside is a bound value; the text of a statement is ours.

use super::projects::{self, collect};
use super::rows::Place;
use super::words::{Listed, Texts, Words, of_signs};
use super::{lists, marks};
use crate::fault::Result;
use actifix_app::ports::{Sort, TicketQuery};
use actifix_domain::search::{Condition, Pattern, Range, Term};
use actifix_domain::ticket::{Priority, Status};
use rusqlite::Connection;
use rusqlite::types::Value;
use std::collections::BTreeSet;

/// A value that at most this many tickets have is answered by listing them; others are checked ticket by ticket.
pub(crate) const CANDIDATES_MAX: usize = 2_000;
/// Fewest characters of a pattern's start that an index narrows by.
const START_CHARS_MIN: usize = 3;

/// Characters of a ticket's id before those that differ within one day, and these.
const ID_START: usize = 13;
const ID_TAIL: usize = 5;

/// A search, ready to be asked. What is known without reading a ticket comes first.
pub(crate) struct Plan {
    /// Projects; none is all.
    pub(crate) projects: Option<Vec<i64>>,
    pub(crate) statuses: BTreeSet<Status>,
    pub(crate) priorities: BTreeSet<Priority>,
    /// Range of the column that the list is sorted by, both included.
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// Marks that every match has.
    pub(crate) marks: i64,
    /// The only tickets that can match.
    pub(crate) only: Option<Numbers>,
    /// Tickets that cannot.
    pub(crate) without: Vec<Numbers>,
    /// Conditions on a ticket `t`.
    pub(crate) filter: Filter,
    /// Words that the index is asked for ticket by ticket.
    pub(crate) words: Vec<Words>,
}

/// Numbers of tickets, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers(Vec<i64>);

impl Numbers {
    pub(crate) fn of(mut seqs: Vec<i64>) -> Self {
        seqs.sort_unstable();
        seqs.dedup();
        Self(seqs)
    }

    pub(crate) fn has(&self, seq: i64) -> bool {
        self.0.binary_search(&seq).is_ok()
    }

    pub(crate) fn first(&self) -> Option<i64> {
        self.0.first().copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = i64> {
        self.0.iter().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn as_slice(&self) -> &[i64] {
        &self.0
    }
}

/// A list of numbers as one value of a statement, for `json_each`.
pub(crate) fn json(seqs: &[i64]) -> String {
    serde_json::Value::from(seqs.to_vec()).to_string()
}

/// Text of conditions, joined by AND, with the values that belong to its `?`; empty is none.
#[derive(Default)]
pub(crate) struct Filter {
    sql: String,
    values: Vec<Value>,
    /// It asks for more of a ticket than its project and number.
    reads_row: bool,
}

impl Filter {
    fn and(&mut self, sql: &str, values: impl IntoIterator<Item = Value>, reads_row: bool) {
        if !self.sql.is_empty() {
            self.sql.push_str(" AND ");
        }
        self.sql.push_str(sql);
        self.values.extend(values);
        self.reads_row |= reads_row;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sql.is_empty()
    }

    /// Which of some tickets of a project fit; without a project, of any.
    pub(crate) fn among(&self, db: &Connection, project: Option<i64>, seqs: &[i64]) -> Result<Numbers> {
        // A condition stands where it cannot be turned into a join, which the engine might begin at the wrong end.
        let rest = format!("SELECT t.seq, CASE WHEN {} THEN 1 ELSE 0 END", self.sql);
        let (sql, source) = match project {
            Some(project) if !self.reads_row => (
                format!("{rest} FROM (SELECT value AS seq, ? AS project_id FROM json_each(?)) t"),
                vec![Value::Integer(project), Value::Text(json(seqs))],
            ),
            _ => (
                format!("{rest} FROM json_each(?) v CROSS JOIN tickets t ON t.seq = v.value"),
                vec![Value::Text(json(seqs))],
            ),
        };
        let values = self.values.iter().cloned().chain(source);
        let judged: Vec<(i64, bool)> =
            collect(db, &sql, rusqlite::params_from_iter(values), |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(Numbers::of(judged.into_iter().filter(|(_, fits)| *fits).map(|(seq, _)| seq).collect()))
    }
}

/// Column that a list is sorted by within one status and priority.
pub(crate) const fn column(sort: Sort) -> &'static str {
    match sort {
        Sort::LastSeen | Sort::Priority => "last_seen",
        Sort::FirstSeen => "first_seen",
        Sort::Count => "event_count",
    }
}

/// A way to find the tickets of a condition without looking at all of them, and how to check them one by one where
/// there are too many.
struct Driver {
    sql: String,
    values: Vec<Value>,
    check: String,
    check_values: Vec<Value>,
    /// Marks that those who fit have.
    marks: i64,
    /// What it reads can be narrowed to one project.
    has_project: bool,
    reads_row: bool,
}

/// Takes a search apart.
pub(crate) fn plan(db: &Connection, query: &TicketQuery) -> Result<Plan> {
    let mut plan = Plan {
        projects: query.project.map(|project| vec![project.0]),
        statuses: Status::ALL.into_iter().collect(),
        priorities: Priority::ALL.into_iter().collect(),
        from: i64::MIN,
        to: i64::MAX,
        marks: 0,
        only: None,
        without: Vec::new(),
        filter: Filter::default(),
        words: Vec::new(),
    };
    let (mut drivers, mut texts) = (Vec::new(), Texts::default());
    for term in &query.search.terms {
        match &term.cond {
            Condition::Text(text) if text.chars().any(char::is_alphanumeric) => {
                texts.add(db, text, term.negated)?;
            }
            _ => narrow(db, &mut plan, &mut drivers, query, term)?,
        }
    }
    for driver in drivers {
        match candidates(db, &driver, plan.projects.as_deref())? {
            Some(found) => plan.restrict(found),
            None => {
                plan.marks |= driver.marks;
                check(&mut plan, false, driver.reads_row, &driver.check, driver.check_values);
            }
        }
    }
    let (wanted, unwanted) = texts.ask(db)?;
    for listed in wanted.into_iter() {
        match listed {
            Listed::All(found) => plan.restrict(found),
            Listed::Latest(words) => plan.words.push(words),
        }
    }
    for listed in unwanted {
        match listed {
            Listed::All(found) => plan.without.push(found),
            Listed::Latest(words) => plan.words.push(words),
        }
    }
    Ok(plan)
}

/// The tickets of a condition; none where they are too many to list.
fn candidates(db: &Connection, driver: &Driver, projects: Option<&[i64]>) -> Result<Option<Numbers>> {
    let mut sql = driver.sql.clone();
    let mut values = driver.values.clone();
    if let (true, Some([project])) = (driver.has_project, projects) {
        sql.push_str(" AND project_id = ?");
        values.push(Value::Integer(*project));
    }
    sql.push_str(&format!(" LIMIT {}", CANDIDATES_MAX + 1));
    let found: Vec<i64> = collect(db, &sql, rusqlite::params_from_iter(values), |row| Ok(row.get(0)?))?;
    Ok((found.len() <= CANDIDATES_MAX).then(|| Numbers::of(found)))
}

fn narrow(
    db: &Connection,
    plan: &mut Plan,
    drivers: &mut Vec<Driver>,
    query: &TicketQuery,
    term: &Term,
) -> Result<()> {
    let negated = term.negated;
    match &term.cond {
        Condition::Status(set) => plan.statuses.retain(|status| set.contains(status) != negated),
        Condition::Priority(set) => plan.priorities.retain(|priority| set.contains(priority) != negated),
        Condition::Project(pattern) => narrow_projects(db, plan, pattern, negated)?,
        Condition::Regressed => {
            check_state(plan, negated, marks::REGRESSED, "t.status = 'open' AND t.regressions > 0");
        }
        Condition::Unhandled => check_state(plan, negated, marks::UNHANDLED, "t.unhandled = 1"),
        Condition::Assigned => check_state(plan, negated, marks::ASSIGNED, "t.assignee IS NOT NULL"),
        Condition::Level(set) => {
            // Words of our own list.
            let words: Vec<String> = set.iter().map(|level| format!("'{}'", level.as_str())).collect();
            let mark = match set.first() {
                Some(level) if set.len() == 1 => marks::level(*level),
                _ => 0,
            };
            check_state(plan, negated, mark, &format!("t.level IN ({})", words.join(", ")));
        }
        Condition::Id(end) => ids(plan, drivers, negated, end),
        Condition::Platform(pattern) => {
            let mark = |platform: &str| marks::facet("platform", platform);
            check_pattern(plan, negated, "t.platform", pattern, mark);
        }
        Condition::AssignedTo(pattern) => {
            check_pattern(plan, negated, "t.assignee", pattern, |_| marks::ASSIGNED);
        }
        Condition::Release(pattern) => facet(plan, drivers, negated, "release", pattern),
        Condition::Environment(pattern) => facet(plan, drivers, negated, "environment", pattern),
        Condition::Tag { key, value } => facet(plan, drivers, negated, key, value),
        Condition::User(text) => {
            let hash = query.user_hashes.get(text).map(|hash| hash.cast_signed());
            user(plan, negated, hash);
        }
        Condition::Count(range) => {
            number_range(plan, query.sort, negated, "event_count", &numbers(range));
        }
        Condition::Users(range) => number_range(plan, query.sort, negated, "user_count", &numbers(range)),
        Condition::FirstSeen(range) => {
            let range = (range.min.map(|t| t.micros()), range.max.map(|t| t.micros()));
            number_range(plan, query.sort, negated, "first_seen", &range);
        }
        Condition::LastSeen(range) => {
            let range = (range.min.map(|t| t.micros()), range.max.map(|t| t.micros()));
            number_range(plan, query.sort, negated, "last_seen", &range);
        }
        Condition::Text(text) => {
            let (sql, values) = of_signs(text);
            check(plan, negated, true, sql, values);
        }
    }
    Ok(())
}

fn check(
    plan: &mut Plan,
    negated: bool,
    reads_row: bool,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) {
    // Null is neither true nor false; here it is false.
    let not = if negated { "NOT " } else { "" };
    plan.filter.and(&format!("{not}coalesce(({sql}), 0)"), values, reads_row);
}

/// A state that has a mark; 0 is none.
fn check_state(plan: &mut Plan, negated: bool, mark: i64, sql: &str) {
    if !negated {
        plan.marks |= mark;
    }
    check(plan, negated, true, sql, []);
}

fn check_pattern(
    plan: &mut Plan,
    negated: bool,
    column: &str,
    pattern: &Pattern,
    mark: impl Fn(&str) -> i64,
) {
    if let (false, Some(value)) = (negated, pattern.as_exact().filter(|value| !value.is_empty())) {
        plan.marks |= mark(value);
    }
    let (sql, value) = pattern_sql(&format!("coalesce({column}, '')"), pattern);
    check(plan, negated, true, &sql, [value]);
}

fn pattern_sql(column: &str, pattern: &Pattern) -> (String, Value) {
    match pattern.as_exact() {
        Some(value) => (format!("{column} = ?"), Value::Text(value.to_owned())),
        None => (format!("{column} GLOB ?"), Value::Text(pattern.to_glob())),
    }
}

fn narrow_projects(db: &Connection, plan: &mut Plan, pattern: &Pattern, negated: bool) -> Result<()> {
    let known = projects::all(db)?;
    let matching = known
        .iter()
        .filter(|project| {
            (pattern.matches(&project.name) || pattern.matches(&project.id.to_string())) != negated
        })
        .map(|project| project.id.0);
    let matching: Vec<i64> = match &plan.projects {
        Some(before) => matching.filter(|id| before.contains(id)).collect(),
        None => matching.collect(),
    };
    plan.projects = Some(matching);
    Ok(())
}

fn numbers(range: &Range<u64>) -> (Option<i64>, Option<i64>) {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    (range.min.map(signed), range.max.map(signed))
}

fn number_range(
    plan: &mut Plan,
    sort: Sort,
    negated: bool,
    column_name: &str,
    range: &(Option<i64>, Option<i64>),
) {
    let (min, max) = (range.0.unwrap_or(i64::MIN), range.1.unwrap_or(i64::MAX));
    if !negated && column_name == column(sort) {
        plan.from = plan.from.max(min);
        plan.to = plan.to.min(max);
        return;
    }
    let sql = format!("t.{column_name} >= ? AND t.{column_name} <= ?");
    check(plan, negated, true, &sql, [Value::Integer(min), Value::Integer(max)]);
}

/// A ticket's id or its end. Ends have no index. An id is its day and five characters that differ, so where these are
/// known each day that has tickets is looked at once; for a shorter end the index of all ids is read through, which is
/// some megabytes of a million tickets.
fn ids(plan: &mut Plan, drivers: &mut Vec<Driver>, negated: bool, end: &str) {
    // Letters, digits and hyphens: nothing that GLOB would take for more.
    let glob = || Value::Text(format!("*{end}"));
    let exists = "t.ticket_id GLOB ? OR EXISTS (SELECT 1 FROM ticket_aliases a WHERE a.project_id = t.project_id \
                  AND a.ticket_seq = t.seq AND a.ticket_id GLOB ?)";
    if negated {
        return check(plan, true, true, exists, [glob(), glob()]);
    }
    let tail = end.len().checked_sub(ID_TAIL).and_then(|at| end.get(at..)).filter(|tail| !tail.contains('-'));
    let of = |table: &str, column: &str| match tail {
        Some(_) => format!(
            "SELECT * FROM (WITH RECURSIVE days (id) AS (SELECT min(ticket_id) FROM {table} UNION ALL \
             SELECT (SELECT min(n.ticket_id) FROM {table} n WHERE n.ticket_id > substr(days.id, 1, {ID_START}) || '~') \
             FROM days WHERE days.id IS NOT NULL) SELECT t.{column} FROM days CROSS JOIN {table} t \
             ON t.ticket_id = substr(days.id, 1, {ID_START}) || ? WHERE t.ticket_id GLOB ?)"
        ),
        None => format!("SELECT {column} FROM {table} WHERE ticket_id GLOB ?"),
    };
    let values = tail.map(|tail| Value::Text(tail.to_owned())).into_iter().chain([glob()]);
    drivers.push(Driver {
        sql: format!("{} UNION {}", of("tickets", "seq"), of("ticket_aliases", "ticket_seq")),
        values: values.clone().chain(values).collect(),
        check: exists.to_owned(),
        check_values: vec![glob(), glob()],
        marks: 0,
        has_project: false,
        reads_row: true,
    });
}

/// A value of a tag, release or environment that events of the ticket had.
fn facet(plan: &mut Plan, drivers: &mut Vec<Driver>, negated: bool, key: &str, pattern: &Pattern) {
    const BELONGS: &str =
        "SELECT 1 FROM ticket_facets f WHERE f.project_id = t.project_id AND f.ticket_seq = t.seq";
    if pattern.as_exact() == Some("") {
        let sql = format!("NOT EXISTS ({BELONGS} AND f.key = ?)");
        check(plan, negated, false, &sql, [Value::Text(key.to_owned())]);
        return;
    }
    let (sql, value) = pattern_sql("f.value", pattern);
    let check_values = vec![Value::Text(key.to_owned()), value];
    let exists = format!("EXISTS ({BELONGS} AND f.key = ? AND {sql})");
    let (narrow_sql, narrow_values) = match (negated, pattern.as_exact(), literal_start(pattern)) {
        (false, Some(value), _) => (" AND value = ?", vec![Value::Text(value.to_owned())]),
        // The index gives the range of the literal start; GLOB decides within it.
        (false, None, Some(start)) => (
            " AND value >= ? AND value < ? AND value GLOB ?",
            vec![
                Value::Text(start.clone()),
                Value::Text(format!("{start}\u{10FFFF}")),
                Value::Text(pattern.to_glob()),
            ],
        ),
        _ => return check(plan, negated, false, &exists, check_values),
    };
    drivers.push(Driver {
        sql: format!("SELECT ticket_seq FROM ticket_facets WHERE key = ?{narrow_sql}"),
        values: std::iter::once(Value::Text(key.to_owned())).chain(narrow_values).collect(),
        check: exists,
        check_values,
        marks: pattern.as_exact().map_or(0, |value| marks::facet(key, value)),
        has_project: true,
        reads_row: false,
    });
}

/// What a pattern with wildcards begins with, if it is long enough to narrow anything.
fn literal_start(pattern: &Pattern) -> Option<String> {
    let glob = pattern.to_glob();
    let start: String = glob.chars().take_while(|c| !matches!(c, '*' | '[')).collect();
    (start.chars().count() >= START_CHARS_MIN).then_some(start)
}

fn user(plan: &mut Plan, negated: bool, hash: Option<i64>) {
    let Some(hash) = hash else {
        check(plan, negated, false, "0", []);
        return;
    };
    let exists = "EXISTS (SELECT 1 FROM ticket_users u WHERE u.project_id = t.project_id AND u.ticket_seq = t.seq \
                  AND u.user_hash = ?)";
    // No index leads with the user: it would cost each event more than these rare searches are worth.
    check(plan, negated, false, exists, [Value::Integer(hash)]);
}

impl Plan {
    fn restrict(&mut self, found: Numbers) {
        self.only = Some(match self.only.take() {
            Some(known) => Numbers(known.iter().filter(|seq| found.has(*seq)).collect()),
            None => found,
        });
    }

    /// What is read is worth nothing: no ticket can match.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.statuses.is_empty()
            || self.priorities.is_empty()
            || self.from > self.to
            || self.projects.as_ref().is_some_and(Vec::is_empty)
            || self.only.as_ref().is_some_and(|only| only.len() == 0)
    }

    /// Nothing is asked of a ticket but its place.
    pub(crate) fn takes_all(&self) -> bool {
        self.marks == 0
            && self.only.is_none()
            && self.without.is_empty()
            && self.filter.is_empty()
            && self.words.is_empty()
    }

    /// The list is not cut by its order.
    pub(crate) fn is_unbounded(&self) -> bool {
        self.from == i64::MIN && self.to == i64::MAX
    }

    /// What can be said of a ticket without reading it.
    pub(crate) fn may_have(&self, seq: i64, marks: i64) -> bool {
        marks & self.marks == self.marks
            && self.only.as_ref().is_none_or(|only| only.has(seq))
            && self.without.iter().all(|without| !without.has(seq))
    }

    /// Which of some tickets match as to what must be looked up, and what it cost to know; without a project, of any.
    pub(crate) fn look_up(
        &self,
        db: &Connection,
        project: Option<i64>,
        seqs: Vec<i64>,
    ) -> Result<(Numbers, usize)> {
        let (mut left, mut units) = (Numbers::of(seqs), 0);
        if !self.filter.is_empty() && left.len() > 0 {
            units += left.len() * lists::ROW_UNITS;
            left = self.filter.among(db, project, left.as_slice())?;
        }
        for words in &self.words {
            let (having, cost) = words.among(db, left.as_slice())?;
            units += cost;
            left = Numbers(left.iter().filter(|seq| having.has(*seq) != words.is_negated).collect());
        }
        Ok((left, units))
    }

    /// The later of a place and the start of the range.
    pub(crate) fn start(&self, place: Place) -> Place {
        if self.to == i64::MAX { place } else { place.min(Place(self.to, i64::MAX)) }
    }
}
