//! Secrets that were found in events: where and how often, never which.

use super::outbox;
use super::projects::collect;
use super::rows::{self, Columns, Place, page_size};
use super::writer::Work;
use crate::fault::{Fault, Result};
use actifix_app::error::Error;
use actifix_app::ports::{FindingPlace, FindingQuery, FindingRecord, FindingState, FindingView, Page};
use actifix_domain::alert::Signal;
use actifix_domain::id::{ProjectId, TicketId};
use actifix_domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use std::collections::HashMap;

/// Findings per project; a sender of made-up secrets must not fill the disk. Further ones are only counted.
const FINDINGS_MAX: u64 = 50_000;
/// Places listed per finding; the latest stay.
const PLACES_MAX: usize = 20;
/// Longest note, characters.
const NOTE_CHARS_MAX: usize = 2_000;

const COLUMNS: &str = "seq, finding_id, project_id, rule, severity, masked, quantity, first_seen, last_seen, state, \
     note, places, version, hash";

type Places = Vec<(String, Option<TicketId>)>;

/// Findings that a batch brings. One value in many events is the rule, and is written once.
#[derive(Default)]
pub(crate) struct Sightings<'p> {
    /// In the order of the first sight of each.
    found: Vec<Sighted<'p>>,
    /// Place in `found` by what one finding is.
    places: HashMap<(ProjectId, &'p str, [u8; 16]), usize>,
}

struct Sighted<'p> {
    project: ProjectId,
    finding: &'p FindingRecord,
    quantity: u64,
    first_seen: Timestamp,
    last_seen: Timestamp,
    /// The latest first, each path once.
    places: Vec<(&'p str, Option<TicketId>)>,
}

impl<'p> Sightings<'p> {
    /// Counts a finding.
    pub(crate) fn add(
        &mut self,
        project: ProjectId,
        finding: &'p FindingRecord,
        ticket: Option<&TicketId>,
        at: Timestamp,
    ) {
        let key = (project, finding.rule.as_str(), finding.hash);
        let place = *self.places.entry(key).or_insert_with(|| {
            self.found.push(Sighted {
                project,
                finding,
                quantity: 0,
                first_seen: at,
                last_seen: at,
                places: Vec::new(),
            });
            self.found.len() - 1
        });
        let Some(sighted) = self.found.get_mut(place) else { return };
        sighted.quantity += 1;
        sighted.last_seen = sighted.last_seen.max(at);
        sighted.places.retain(|(path, _)| *path != finding.path);
        sighted.places.insert(0, (finding.path.as_str(), ticket.cloned()));
        sighted.places.truncate(PLACES_MAX);
    }

    /// Writes each once, and tells those that are new. The commit is the caller's.
    pub(crate) fn write(&self, db: &Connection) -> Result<Vec<Signal>> {
        let mut new = Vec::new();
        for sighted in &self.found {
            if let Some(id) = write(db, sighted)? {
                let finding = sighted.finding;
                new.push(outbox::finding(
                    sighted.first_seen,
                    sighted.project,
                    &id,
                    &finding.rule,
                    finding.severity,
                ));
            }
        }
        Ok(new)
    }
}

/// Writes a finding; its id where it is new.
fn write(db: &Connection, sighted: &Sighted<'_>) -> Result<Option<String>> {
    let (project, finding, many) = (sighted.project, sighted.finding, rows::quantity(sighted.quantity));
    let id = finding.id(project);
    let known: Option<String> = db
        .prepare_cached("SELECT places FROM findings WHERE project_id = ?1 AND finding_id = ?2")?
        .query_row(params![project.0, id], |row| row.get(0))
        .optional()?;
    if known.is_none() && rows::counter(db, project, rows::FINDINGS)? >= FINDINGS_MAX {
        rows::add_to_counter(db, project, "findings_beyond_cap", many)?;
        return Ok(None);
    }
    let before: Places = known.as_deref().map(serde_json::from_str).transpose()?.unwrap_or_default();
    let fresh = sighted.places.iter().map(|(path, ticket)| ((*path).to_owned(), ticket.clone()));
    let mut places: Places = fresh.collect();
    places
        .extend(before.into_iter().filter(|(path, _)| sighted.places.iter().all(|(fresh, _)| fresh != path)));
    places.truncate(PLACES_MAX);
    let places = serde_json::to_string(&places)?;
    let hash = hex::encode(finding.hash);
    let (first, last) = (sighted.first_seen.micros(), sighted.last_seen.micros());
    if known.is_some() {
        db.prepare_cached(
            "UPDATE findings SET quantity = quantity + ?5, last_seen = max(last_seen, ?3), places = ?4, hash = ?6 \
             WHERE project_id = ?1 AND finding_id = ?2",
        )?
        .execute(params![project.0, id, last, places, many, hash])?;
        return Ok(None);
    }
    db.prepare_cached(
        "INSERT INTO findings (project_id, finding_id, rule, severity, masked, quantity, first_seen, last_seen, state, \
         note, places, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?9, ?6, ?8, 'open', '', ?7, ?10)",
    )?
    .execute(params![
        project.0,
        id,
        finding.rule,
        finding.severity,
        finding.masked,
        first,
        places,
        last,
        many,
        hash
    ])?;
    rows::add_to_counter(db, project, rows::FINDINGS, 1)?;
    Ok(Some(id))
}

pub(crate) fn list(db: &Connection, query: &FindingQuery) -> Result<Page<FindingView>> {
    let limit = page_size(query.limit);
    let place = Place::parse(query.cursor.as_ref(), "findings")?;
    let mut sql = format!("SELECT {COLUMNS} FROM findings WHERE (last_seen, seq) < (?1, ?2)");
    let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(place.0), Box::new(place.1)];
    let mut add = |condition: &str, value: Box<dyn ToSql>, sql: &mut String| {
        values.push(value);
        sql.push_str(&format!(" AND {condition} = ?{}", values.len()));
    };
    if let Some(project) = query.project {
        add("project_id", Box::new(project.0), &mut sql);
    }
    if let Some(state) = query.state {
        add("state", Box::new(state.as_str()), &mut sql);
    }
    if let Some(rule) = &query.rule {
        add("rule", Box::new(rule.clone()), &mut sql);
    }
    if let Some(start) = &query.id {
        // Behind every hex digit comes `g`: the range is what an index could be asked for.
        values.push(Box::new(start.clone()));
        values.push(Box::new(format!("{start}g")));
        let last = values.len();
        sql.push_str(&format!(" AND finding_id >= ?{} AND finding_id < ?{last}", last - 1));
    }
    sql.push_str(&format!(" ORDER BY last_seen DESC, seq DESC LIMIT {}", limit + 1));
    let found = collect(db, &sql, rusqlite::params_from_iter(values), |row| {
        let seq: i64 = row.get(0)?;
        Ok((seq, view(row)?))
    })?;
    Ok(rows::page(found, limit, None, "findings", |(seq, view)| Place(view.last_seen.micros(), *seq)))
}

pub(crate) fn get(db: &Connection, id: &str) -> Result<Option<FindingView>> {
    let sql = format!("SELECT {COLUMNS} FROM findings WHERE finding_id = ?1");
    let mut statement = db.prepare_cached(&sql)?;
    let mut found = statement.query([id])?;
    found.next()?.map(view).transpose()
}

pub(crate) fn set_state(
    work: &mut Work<'_>,
    id: &str,
    expected_version: Option<u64>,
    state: FindingState,
    note: &str,
) -> Result<FindingView> {
    if note.chars().count() > NOTE_CHARS_MAX {
        return Err(Error::invalid("note", format!("at most {NOTE_CHARS_MAX} characters")).into());
    }
    let changed = work
        .db
        .prepare_cached(
            "UPDATE findings SET state = ?2, note = ?3, version = version + 1 \
             WHERE finding_id = ?1 AND version = coalesce(?4, version)",
        )?
        .execute(params![id, state.as_str(), note, expected_version.map(rows::quantity)])?;
    match get(work.db, id)? {
        Some(finding) if changed > 0 => Ok(finding),
        Some(_) => Err(Error::stale().into()),
        None => Err(Error::NotFound { what: "finding" }.into()),
    }
}

fn view(row: &Row<'_>) -> Result<FindingView> {
    let mut c = Columns::new(row);
    c.skip();
    Ok(FindingView {
        id: c.take()?,
        project: ProjectId(c.take()?),
        rule: c.take()?,
        severity: c.take()?,
        masked: c.take()?,
        count: c.count()?,
        first_seen: c.time()?,
        last_seen: c.time()?,
        state: match c.take::<String>()?.as_str() {
            "open" => FindingState::Open,
            "rotated" => FindingState::Rotated,
            "false_positive" => FindingState::FalsePositive,
            _ => return Err(Fault::Defect("state of a finding".to_owned())),
        },
        note: c.take()?,
        fix: String::new(),
        places: c
            .json::<Places>()?
            .into_iter()
            .map(|(path, ticket_id)| FindingPlace { path, ticket_id })
            .collect(),
        version: c.count()?,
        hash: c.take()?,
    })
}
