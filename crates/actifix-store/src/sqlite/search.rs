//! Searches to SQL. Everything that came from outside is a bound value; the text of a statement is ours.

use super::projects::{self, collect};
use super::rows::Place;
use super::word;
use crate::fault::Result;
use actifix_app::ports::{Sort, TicketQuery};
use actifix_domain::search::{Condition, Pattern, Range, Term};
use actifix_domain::ticket::{Priority, Status};
use rusqlite::Connection;
use rusqlite::types::Value;
use std::collections::BTreeSet;

/// A condition that fits at most this many tickets is answered by listing them; others are checked ticket by ticket.
const CANDIDATES_MAX: usize = 2_000;
/// The same for words, which cost more to check.
const WORD_CANDIDATES_MAX: usize = 10_000;
/// Matches of a word over all projects that are looked at for those of the projects that are asked for.
const MATCHES_MAX: usize = 20_000;
/// Fewest characters of a word's start that is looked for.
const PREFIX_CHARS_MIN: usize = 3;

/// A search, ready to be asked.
pub(crate) struct Plan {
    /// Projects; none is all.
    pub(crate) projects: Option<Vec<i64>>,
    pub(crate) statuses: BTreeSet<Status>,
    pub(crate) priorities: BTreeSet<Priority>,
    /// Range of the column that the list is sorted by, both included.
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// Conditions on a ticket `t`, joined by AND; empty is none.
    pub(crate) filter: Filter,
    /// Numbers of the only tickets that can match.
    pub(crate) candidates: Option<BTreeSet<i64>>,
    /// The filter asks the index of words, which takes some hundred times as long as any other condition.
    pub(crate) asks_index: bool,
}

/// Text of conditions with the values that belong to its `?`.
#[derive(Default)]
pub(crate) struct Filter {
    pub(crate) sql: String,
    pub(crate) values: Vec<Value>,
}

impl Filter {
    fn and(&mut self, sql: &str, values: impl IntoIterator<Item = Value>) {
        if !self.sql.is_empty() {
            self.sql.push_str(" AND ");
        }
        self.sql.push_str(sql);
        self.values.extend(values);
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
    /// It is about words. Their index knows no projects: a project must not lose its few matches among those of others.
    is_word: bool,
}

impl Driver {
    fn most(&self) -> usize {
        if self.is_word { WORD_CANDIDATES_MAX } else { CANDIDATES_MAX }
    }
}

/// Takes a search apart.
pub(crate) fn plan(db: &Connection, query: &TicketQuery) -> Result<Plan> {
    let mut plan = Plan {
        projects: query.project.map(|project| vec![project.0]),
        statuses: Status::ALL.into_iter().collect(),
        priorities: Priority::ALL.into_iter().collect(),
        from: i64::MIN,
        to: i64::MAX,
        filter: Filter::default(),
        candidates: None,
        asks_index: false,
    };
    let mut drivers = Vec::new();
    for term in &query.search.terms {
        narrow(db, &mut plan, &mut drivers, query, term)?;
    }
    for driver in drivers {
        let Some(found) = candidates(db, &driver, plan.projects.as_deref())? else {
            plan.asks_index |= driver.is_word;
            check(&mut plan, false, &driver.check, driver.check_values);
            continue;
        };
        plan.candidates = Some(match plan.candidates.take() {
            Some(known) => known.intersection(&found).copied().collect(),
            None => found,
        });
    }
    Ok(plan)
}

/// The tickets of a condition; none where they are too many to list.
fn candidates(db: &Connection, driver: &Driver, projects: Option<&[i64]>) -> Result<Option<BTreeSet<i64>>> {
    let sql = format!("{} LIMIT {}", driver.sql, driver.most() + 1);
    let found = collect(db, &sql, rusqlite::params_from_iter(&driver.values), |row| Ok(row.get(0)?))?;
    if found.len() <= driver.most() {
        return Ok(Some(found.into_iter().collect()));
    }
    match projects {
        Some(projects) if driver.is_word && projects.len() < projects::all(db)?.len() => {
            candidates_of(db, driver, projects)
        }
        _ => Ok(None),
    }
}

/// As [`candidates`], those of some projects among the matches of all.
fn candidates_of(db: &Connection, driver: &Driver, projects: &[i64]) -> Result<Option<BTreeSet<i64>>> {
    let sql = format!(
        "SELECT m.rowid, EXISTS (SELECT 1 FROM tickets t WHERE t.seq = m.rowid \
         AND t.project_id IN (SELECT value FROM json_each(?))) FROM ({} LIMIT {}) m",
        driver.sql,
        MATCHES_MAX + 1
    );
    let own = Value::Text(serde_json::Value::from(projects.to_vec()).to_string());
    let values = std::iter::once(&own).chain(&driver.values);
    let matches =
        collect(db, &sql, rusqlite::params_from_iter(values), |row| Ok((row.get(0)?, row.get(1)?)))?;
    if matches.len() > MATCHES_MAX {
        return Ok(None);
    }
    let found: BTreeSet<i64> = matches.into_iter().filter(|(_, own)| *own).map(|(seq, _)| seq).collect();
    Ok((found.len() <= driver.most()).then_some(found))
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
        Condition::Regressed => check(plan, negated, "t.status = 'open' AND t.regressions > 0", []),
        Condition::Unhandled => check(plan, negated, "t.unhandled = 1", []),
        Condition::Assigned => check(plan, negated, "t.assignee IS NOT NULL", []),
        Condition::Level(set) => {
            // Words of our own list.
            let words: Vec<String> = set.iter().map(|level| format!("'{}'", level.as_str())).collect();
            check(plan, negated, &format!("t.level IN ({})", words.join(", ")), []);
        }
        Condition::Id(end) => ids(plan, drivers, negated, end),
        Condition::Platform(pattern) => check_pattern(plan, negated, "t.platform", pattern),
        Condition::AssignedTo(pattern) => check_pattern(plan, negated, "t.assignee", pattern),
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
        Condition::Text(text) => words(db, plan, drivers, negated, text)?,
    }
    Ok(())
}

fn check(plan: &mut Plan, negated: bool, sql: &str, values: impl IntoIterator<Item = Value>) {
    // Null is neither true nor false; here it is false.
    let not = if negated { "NOT " } else { "" };
    plan.filter.and(&format!("{not}coalesce(({sql}), 0)"), values);
}

fn check_pattern(plan: &mut Plan, negated: bool, column: &str, pattern: &Pattern) {
    let (sql, value) = pattern_sql(&format!("coalesce({column}, '')"), pattern);
    check(plan, negated, &sql, [value]);
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
    check(plan, negated, &sql, [Value::Integer(min), Value::Integer(max)]);
}

/// A ticket's id or its end. Ends have no index: the index of all ids is read through, which is some megabytes of a
/// million tickets.
fn ids(plan: &mut Plan, drivers: &mut Vec<Driver>, negated: bool, end: &str) {
    // Letters, digits and hyphens: nothing that GLOB would take for more.
    let glob = || Value::Text(format!("*{end}"));
    let exists = "t.ticket_id GLOB ? OR EXISTS (SELECT 1 FROM ticket_aliases a WHERE a.project_id = t.project_id \
                  AND a.ticket_seq = t.seq AND a.ticket_id GLOB ?)";
    if negated {
        return check(plan, true, exists, [glob(), glob()]);
    }
    drivers.push(Driver {
        sql: "SELECT seq FROM tickets WHERE ticket_id GLOB ? \
              UNION SELECT ticket_seq FROM ticket_aliases WHERE ticket_id GLOB ?"
            .to_owned(),
        values: vec![glob(), glob()],
        check: exists.to_owned(),
        check_values: vec![glob(), glob()],
        is_word: false,
    });
}

/// A value of a tag, release or environment that events of the ticket had.
fn facet(plan: &mut Plan, drivers: &mut Vec<Driver>, negated: bool, key: &str, pattern: &Pattern) {
    const BELONGS: &str =
        "SELECT 1 FROM ticket_facets f WHERE f.project_id = t.project_id AND f.ticket_seq = t.seq";
    if pattern.as_exact() == Some("") {
        let sql = format!("NOT EXISTS ({BELONGS} AND f.key = ?)");
        check(plan, negated, &sql, [Value::Text(key.to_owned())]);
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
        _ => return check(plan, negated, &exists, check_values),
    };
    let mut driver = Driver {
        sql: format!("SELECT ticket_seq FROM ticket_facets WHERE key = ?{narrow_sql}"),
        values: std::iter::once(Value::Text(key.to_owned())).chain(narrow_values).collect(),
        check: exists,
        check_values,
        is_word: false,
    };
    if let Some([project]) = plan.projects.as_deref() {
        driver.sql.push_str(" AND project_id = ?");
        driver.values.push(Value::Integer(*project));
    }
    drivers.push(driver);
}

/// What a pattern with wildcards begins with, if it is long enough to narrow anything.
fn literal_start(pattern: &Pattern) -> Option<String> {
    let glob = pattern.to_glob();
    let start: String = glob.chars().take_while(|c| !matches!(c, '*' | '[')).collect();
    (start.chars().count() >= 3).then_some(start)
}

fn user(plan: &mut Plan, negated: bool, hash: Option<i64>) {
    let Some(hash) = hash else {
        check(plan, negated, "0", []);
        return;
    };
    let exists = "EXISTS (SELECT 1 FROM ticket_users u WHERE u.project_id = t.project_id AND u.ticket_seq = t.seq \
                  AND u.user_hash = ?)";
    // No index leads with the user: it would cost each event more than these rare searches are worth.
    check(plan, negated, exists, [Value::Integer(hash)]);
}

/// Words in title, culprit or message, by the index of words. A text that more tickets have than are worth listing,
/// and one that must not be there, is looked for in the same index ticket by ticket.
fn words(
    db: &Connection,
    plan: &mut Plan,
    drivers: &mut Vec<Driver>,
    negated: bool,
    text: &str,
) -> Result<()> {
    const SQL: &str = "SELECT rowid FROM ticket_words WHERE ticket_words MATCH ?";
    if !text.chars().any(char::is_alphanumeric) {
        let pieces = vec![String::new(), text.to_owned(), String::new()];
        let like = Value::Text(Pattern::from_pieces(pieces).to_like());
        let contains = "t.title LIKE ? ESCAPE '\\' OR t.culprit LIKE ? ESCAPE '\\'";
        check(plan, negated, contains, [like.clone(), like]);
        return Ok(());
    }
    let phrase = format!("\"{}\"", text.replace('"', "\"\""));
    let known = collect(db, &format!("{SQL} LIMIT 1"), [&phrase], |row| Ok(row.get::<_, i64>(0)?))?;
    // A whole word is found at once; the start of a word costs more, so it is only tried where there is none.
    let prefix = known.is_empty() && text.chars().count() >= PREFIX_CHARS_MIN;
    let (wanted, in_index) = if prefix {
        // Asked ticket by ticket the index would gather all words of this start anew each time.
        (Value::Text(format!("{phrase} *")), format!("t.seq IN ({SQL})"))
    } else {
        (Value::Text(phrase), format!("EXISTS ({SQL} AND rowid = t.seq)"))
    };
    let (check_sql, check_values) = if word::is_plain(text) {
        let title = vec![Value::Text(text.to_owned()), Value::Integer(i64::from(prefix)), wanted.clone()];
        (format!("has_word(t.title, t.culprit, ?, ?) OR {in_index}"), title)
    } else {
        (in_index, vec![wanted.clone()])
    };
    let driver = Driver {
        sql: format!("{SQL} ORDER BY rowid DESC"),
        values: vec![wanted],
        check: check_sql,
        check_values,
        is_word: true,
    };
    if !negated {
        drivers.push(driver);
        return Ok(());
    }
    match candidates(db, &driver, None)? {
        Some(found) => {
            let list = serde_json::Value::from(found.into_iter().collect::<Vec<i64>>()).to_string();
            check(plan, true, "t.seq IN (SELECT value FROM json_each(?))", [Value::Text(list)]);
        }
        None => {
            plan.asks_index = true;
            check(plan, true, &driver.check, driver.check_values);
        }
    }
    Ok(())
}

impl Plan {
    /// What is read is worth nothing: no ticket can match.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.statuses.is_empty()
            || self.priorities.is_empty()
            || self.from > self.to
            || self.projects.as_ref().is_some_and(Vec::is_empty)
            || self.candidates.as_ref().is_some_and(BTreeSet::is_empty)
    }

    /// Only what the counters of tickets know.
    pub(crate) fn is_plain(&self) -> bool {
        self.filter.sql.is_empty()
            && self.candidates.is_none()
            && self.from == i64::MIN
            && self.to == i64::MAX
    }

    /// The later of a place and the start of the range.
    pub(crate) fn start(&self, place: Place) -> Place {
        if self.to == i64::MAX { place } else { place.min(Place(self.to, i64::MAX)) }
    }
}
