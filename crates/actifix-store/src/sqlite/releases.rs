//! Releases: what events and builds tell of them. Each event moves one row, whatever else it does.

mod commits;
mod ports;

use super::activity;
use super::lists::whole;
use super::projects::collect;
use super::rows::{
    self, Columns, TICKET_COLUMNS, one_more, page_size, quantity, ticket_by_seq, ticket_row, update_ticket,
};
use super::upkeep;
use super::writer::Work;
use crate::fault::Result;
use actifix_app::error::Error;
use actifix_app::ports::{
    ActivityEntry, Cursor, Page, ReleaseChange, ReleaseDetail, ReleaseQuery, SessionTotals,
};
use actifix_domain::id::ProjectId;
use actifix_domain::lifecycle;
use actifix_domain::release::{DEPLOYS_MAX, Deploy, Part, RELEASE_TICKETS_MAX, RELEASES_MAX, Release};
use actifix_domain::ticket::{Status, Ticket};
use actifix_domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// Counter of the releases of a project.
const RELEASES: &str = "releases";
/// Releases of a project up to which one that ran is never forgotten.
const RELEASES_KEPT: u64 = RELEASES_MAX / 2;
/// Releases that go at once where one needs room, so that not each new one looks through all.
const STRANGE_AT_ONCE: i64 = 100;
/// Tickets of each kind that the page of a release shows.
const TICKETS_SHOWN: u32 = 50;
/// Tickets that one new release ships the fix of; the others wait for the one after it.
const SHIPPED_MAX: u32 = 1_000;
/// Projects that may have a release of one name: as many as there may be.
const PROJECTS_MAX: u32 = 1_000;
/// How a cursor of this list begins.
const LIST: &str = "releases";

const COLUMNS: &str = "project_id, release, first_seen, last_seen, recorded_at, released_at, url, events, new_tickets, \
     regressions, deploys, commits, trusted";

/// What one batch of events tells of a release.
#[derive(Debug)]
pub(crate) struct Delta {
    first: Timestamp,
    last: Timestamp,
    heard_at: Timestamp,
    events: u64,
    trusted: bool,
    tickets: Vec<(Part, i64)>,
}

/// A release that somebody who is trusted told of for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Nobody knew it.
    New,
    /// Strangers named it before, at first then.
    Confirmed(Timestamp),
}

impl Delta {
    /// Nothing yet; `at` is the time of its first event, `heard_at` when that was received.
    pub(crate) const fn new(at: Timestamp, heard_at: Timestamp) -> Self {
        Self { first: at, last: at, heard_at, events: 0, trusted: false, tickets: Vec::new() }
    }

    /// Counts an event. Anyone may send what is not `trusted`.
    pub(crate) fn count(&mut self, at: Timestamp, trusted: bool) {
        self.events += 1;
        self.trusted |= trusted;
        self.first = self.first.min(at);
        self.last = self.last.max(at);
    }

    /// A ticket began in it, or came back with it.
    pub(crate) fn belongs(&mut self, part: Part, seq: i64) {
        self.tickets.push((part, seq));
    }

    /// When its first event of the batch was received.
    pub(crate) const fn heard_at(&self) -> Timestamp {
        self.heard_at
    }

    fn of_part(&self, part: Part) -> u64 {
        self.tickets.iter().filter(|(of, _)| *of == part).map(|_| 1).sum()
    }
}

/// Writes what a batch told of a release, and whether that is news of a trusted sender. Where a project has [`RELEASES_MAX`]
/// that somebody trusted told of, nothing is kept of a new one.
pub(crate) fn record(
    db: &Connection,
    project: ProjectId,
    release: &str,
    delta: &Delta,
) -> Result<Option<News>> {
    let (new, back) = (delta.of_part(Part::New), delta.of_part(Part::Regressed));
    let known: Option<(i64, i64, i64, bool, i64)> = db
        .prepare_cached(
            "UPDATE releases SET last_seen = max(coalesce(last_seen, ?3), ?3), events = events + ?4, \
             new_tickets = new_tickets + ?5, regressions = regressions + ?6 WHERE project_id = ?1 AND release = ?2 \
             RETURNING first_seen, new_tickets, regressions, trusted, recorded_at",
        )?
        .query_row(
            params![
                project.0,
                release,
                delta.last.micros(),
                quantity(delta.events),
                quantity(new),
                quantity(back)
            ],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
        )
        .optional()?;
    let is_new = match known {
        // The indexes hold this time: it is written only where it moves.
        Some((first_seen, ..)) if delta.first.micros() < first_seen => {
            db.prepare_cached("UPDATE releases SET first_seen = ?3 WHERE project_id = ?1 AND release = ?2")?
                .execute(params![project.0, release, delta.first.micros()])?;
            false
        }
        Some(_) => false,
        None => insert(db, project, release, delta, new, back)?,
    };
    let (new_before, back_before) = match known {
        Some((_, news, backs, ..)) => (news - quantity(new), backs - quantity(back)),
        None if is_new => (0, 0),
        None => return Ok(None),
    };
    for (part, before) in [(Part::New, new_before), (Part::Regressed, back_before)] {
        let room = RELEASE_TICKETS_MAX.saturating_sub(u64::try_from(before).unwrap_or(0));
        let of_part = delta.tickets.iter().filter(|(of, _)| *of == part);
        for (_, seq) in of_part.take(usize::try_from(room).unwrap_or(usize::MAX)) {
            belongs(db, project, release, part, *seq)?;
        }
    }
    Ok(match known {
        None => delta.trusted.then_some(News::New),
        Some((.., false, recorded_at)) if delta.trusted => {
            confirm(db, project, release)?;
            Some(News::Confirmed(Timestamp::from_micros(recorded_at)))
        }
        Some(_) => None,
    })
}

/// Somebody who is trusted told of it.
fn confirm(db: &Connection, project: ProjectId, release: &str) -> Result<()> {
    db.prepare_cached("UPDATE releases SET trusted = 1 WHERE project_id = ?1 AND release = ?2")?
        .execute(params![project.0, release])?;
    Ok(())
}

fn insert(
    db: &Connection,
    project: ProjectId,
    release: &str,
    delta: &Delta,
    new: u64,
    back: u64,
) -> Result<bool> {
    if !has_room(db, project)? {
        return Ok(false);
    }
    db.prepare_cached(
        "INSERT INTO releases (project_id, release, first_seen, last_seen, recorded_at, events, new_tickets, regressions, trusted) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        project.0,
        release,
        delta.first.micros(),
        delta.last.micros(),
        delta.heard_at.micros(),
        quantity(delta.events),
        quantity(new),
        quantity(back),
        delta.trusted,
    ])?;
    rows::add_to_counter(db, project, RELEASES, 1)?;
    Ok(true)
}

/// Whether one more release may be kept. Those that only strangers named make room, and of them first whichever was not
/// heard of for longest: anybody with a public key can name thousands.
fn has_room(db: &Connection, project: ProjectId) -> Result<bool> {
    if rows::counter(db, project, RELEASES)? < RELEASES_MAX {
        return Ok(true);
    }
    if upkeep::is_held(db, project, 0)? {
        return Ok(false);
    }
    let sql = "SELECT release FROM releases WHERE project_id = ?1 AND NOT trusted \
         ORDER BY coalesce(last_seen, first_seen), release LIMIT ?2";
    let strange: Vec<String> =
        collect(db, sql, params![project.0, STRANGE_AT_ONCE], |row| Columns::new(row).take())?;
    for release in &strange {
        remove(db, project, release)?;
    }
    Ok(!strange.is_empty())
}

/// Lists a ticket with a release.
pub(crate) fn belongs(
    db: &Connection,
    project: ProjectId,
    release: &str,
    part: Part,
    seq: i64,
) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO release_tickets (project_id, release, part, ticket_seq) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT DO NOTHING",
    )?
    .execute(params![project.0, release, part.as_str(), seq])?;
    Ok(())
}

/// When a release was first seen, and when it was first heard of by our own clock.
pub(crate) fn times(
    db: &Connection,
    project: ProjectId,
    release: &str,
) -> Result<Option<(Timestamp, Timestamp)>> {
    Ok(db
        .prepare_cached(
            "SELECT first_seen, recorded_at FROM releases WHERE project_id = ?1 AND release = ?2",
        )?
        .query_row(params![project.0, release], |row| {
            Ok((Timestamp::from_micros(row.get(0)?), Timestamp::from_micros(row.get(1)?)))
        })
        .optional()?)
}

/// A release is there of which nobody who is trusted told before: tickets that the next release resolves are resolved in
/// it, if it is later than what was known then. What strangers name ships nothing: a forged one would hide regressions.
pub(crate) fn ship(
    work: &mut Work<'_>,
    project: ProjectId,
    release: &str,
    news: News,
    now: Timestamp,
) -> Result<()> {
    let sql =
        "SELECT seq FROM tickets WHERE project_id = ?1 AND resolved_after IS NOT NULL ORDER BY seq LIMIT ?2";
    let waiting: Vec<i64> = collect(work.db, sql, params![project.0, SHIPPED_MAX], |row| Ok(row.get(0)?))?;
    for seq in waiting {
        let Some(mut row) = ticket_by_seq(work.db, seq)? else { continue };
        let Some(border) = row.ticket.resolved_after.take() else { continue };
        // Where names do not tell, one that ran before the resolution is not the next, whoever told of it.
        let known_before = match news {
            News::New => false,
            News::Confirmed(recorded_at) => row.ticket.resolved_at.is_some_and(|at| recorded_at <= at),
        };
        if row.ticket.status != Status::Resolved || !lifecycle::ships_fix(&border, release, known_before) {
            continue;
        }
        row.ticket.resolved_in = Some(release.to_owned());
        row.ticket.version += 1;
        update_ticket(work.db, &row)?;
        belongs(work.db, project, release, Part::Resolved, seq)?;
        let entry = ActivityEntry {
            at: now,
            actor: "system".to_owned(),
            kind: "shipped".to_owned(),
            data: serde_json::json!({ "resolved_in": release }),
        };
        activity::append(work.db, project, seq, &entry)?;
        work.cache.forget_ticket(seq);
    }
    Ok(())
}

/// A page, the latest first seen first.
fn page(db: &Connection, query: &ReleaseQuery) -> Result<Page<Release>> {
    let limit = page_size(query.limit);
    let place = Place::parse(query.cursor.as_ref())?;
    let sql = match query.project {
        Some(_) => format!(
            "SELECT {COLUMNS} FROM releases WHERE project_id = ?1 AND (first_seen, release) < (?2, ?4) \
             AND ?3 IS NOT NULL AND (trusted OR NOT ?6) ORDER BY first_seen DESC, release DESC LIMIT ?5"
        ),
        None => format!(
            "SELECT {COLUMNS} FROM releases WHERE (first_seen, project_id, release) < (?2, ?3, ?4) AND ?1 IS NULL \
             AND (trusted OR NOT ?6) ORDER BY first_seen DESC, project_id DESC, release DESC LIMIT ?5"
        ),
    };
    let project = query.project.map(|project| project.0);
    let values =
        params![project, place.first_seen, place.project, place.release, one_more(limit), query.trusted_only];
    let mut items = collect(db, &sql, values, release_row)?;
    let more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = items.last().filter(|_| more).map(|last| {
        Cursor(format!("{LIST}.{}.{}.{}", last.first_seen.micros(), last.project.0, last.version))
    });
    Ok(Page { items, next_cursor, total: None })
}

/// A place in the list.
struct Place {
    first_seen: i64,
    project: i64,
    release: String,
}

impl Place {
    fn parse(cursor: Option<&Cursor>) -> Result<Self> {
        let Some(Cursor(text)) = cursor else {
            return Ok(Self { first_seen: i64::MAX, project: i64::MAX, release: String::new() });
        };
        let place = text.strip_prefix(LIST).and_then(|rest| rest.strip_prefix('.')).and_then(|rest| {
            let mut parts = rest.splitn(3, '.');
            let (first_seen, project) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            Some(Self { first_seen, project, release: parts.next()?.to_owned() })
        });
        let wrong = || Error::invalid("cursor", "not a cursor of this list; start without one");
        Ok(place.ok_or_else(wrong)?)
    }
}

fn release_row(row: &Row<'_>) -> Result<Release> {
    let mut c = Columns::new(row);
    Ok(Release {
        project: ProjectId(c.take()?),
        version: c.take()?,
        first_seen: c.time()?,
        last_seen: c.time_optional()?,
        recorded_at: c.time()?,
        released_at: c.time_optional()?,
        url: c.take()?,
        events: c.count()?,
        new_tickets: c.count()?,
        regressions: c.count()?,
        deploys: c.count()?,
        commits: c.count()?,
        trusted: c.take()?,
    })
}

fn get(db: &Connection, project: ProjectId, version: &str) -> Result<Option<Release>> {
    let sql = format!("SELECT {COLUMNS} FROM releases WHERE project_id = ?1 AND release = ?2");
    Ok(collect(db, &sql, params![project.0, version], release_row)?.pop())
}

fn named(db: &Connection, version: &str) -> Result<Vec<Release>> {
    // By project, each by its key: an index over names alone would serve this question only.
    let sql = format!(
        "SELECT {COLUMNS} FROM projects p CROSS JOIN releases r USING (project_id) WHERE r.release = ?1 \
         ORDER BY project_id LIMIT ?2"
    );
    collect(db, &sql, params![version, PROJECTS_MAX], release_row)
}

fn known(db: &Connection, project: ProjectId) -> Result<Vec<(String, Timestamp)>> {
    let sql = "SELECT release, first_seen FROM releases WHERE project_id = ?1 AND trusted ORDER BY first_seen LIMIT ?2";
    collect(db, sql, params![project.0, quantity(RELEASES_MAX)], |row| {
        let mut c = Columns::new(row);
        Ok((c.take()?, c.time()?))
    })
}

fn detail(db: &Connection, project: ProjectId, version: &str) -> Result<Option<ReleaseDetail>> {
    let Some(release) = get(db, project, version)? else { return Ok(None) };
    Ok(Some(ReleaseDetail {
        deploys: deploys(db, project, version)?,
        commits: commits::of(db, project, version)?,
        sessions: sessions(db, project, version)?,
        new_tickets: tickets(db, project, version, Part::New)?,
        regressed: tickets(db, project, version, Part::Regressed)?,
        resolved: tickets(db, project, version, Part::Resolved)?,
        release,
    }))
}

fn tickets(db: &Connection, project: ProjectId, version: &str, part: Part) -> Result<Vec<Ticket>> {
    // A ticket that was opened again, or is fixed by another release by now, is not fixed by this one.
    let still = if part == Part::Resolved { "AND status = 'resolved' AND resolved_in = ?2" } else { "" };
    let sql = format!(
        "SELECT {TICKET_COLUMNS} FROM tickets WHERE seq IN (SELECT ticket_seq FROM release_tickets \
         WHERE project_id = ?1 AND release = ?2 AND part = ?3) {still} ORDER BY seq DESC LIMIT ?4"
    );
    let values = params![project.0, version, part.as_str(), TICKETS_SHOWN];
    let found = collect(db, &sql, values, |row| whole(ticket_row(row)))?;
    Ok(found.into_iter().flatten().map(|row| row.ticket).collect())
}

fn sessions(db: &Connection, project: ProjectId, version: &str) -> Result<SessionTotals> {
    let sql = "SELECT coalesce(sum(sessions), 0), coalesce(sum(errored), 0), coalesce(sum(crashed), 0) \
         FROM release_days WHERE project_id = ?1 AND release = ?2";
    let found = collect(db, sql, params![project.0, version], |row| {
        let mut c = Columns::new(row);
        Ok(SessionTotals { sessions: c.count()?, errored: c.count()?, crashed: c.count()? })
    })?;
    Ok(found.into_iter().next().unwrap_or_default())
}

/// Makes or changes a release.
fn save(
    work: &mut Work<'_>,
    project: ProjectId,
    version: &str,
    change: &ReleaseChange,
    now: Timestamp,
) -> Result<Option<Release>> {
    let db = work.db;
    let known = get(db, project, version)?;
    let is_new = known.is_none();
    if is_new {
        if !change.create {
            return Ok(None);
        }
        if !has_room(db, project)? {
            let message =
                format!("the project has {RELEASES_MAX} releases, which is the most: delete old ones first");
            return Err(Error::conflict(message).into());
        }
        db.prepare_cached(
            "INSERT INTO releases (project_id, release, first_seen, recorded_at) VALUES (?1, ?2, ?3, ?3)",
        )?
        .execute(params![project.0, version, now.micros()])?;
        rows::add_to_counter(db, project, RELEASES, 1)?;
    }
    db.prepare_cached(
        "UPDATE releases SET released_at = coalesce(?3, released_at), url = coalesce(?4, url) \
         WHERE project_id = ?1 AND release = ?2",
    )?
    .execute(params![project.0, version, change.released_at.map(Timestamp::micros), change.url])?;
    if let Some(list) = &change.commits {
        if commits::any(db, project, version)? {
            refuse_held(db, project)?;
        }
        commits::set(db, project, version, list, now)?;
    }
    let news = match known {
        None => Some(News::New),
        Some(known) if !known.trusted => Some(News::Confirmed(known.recorded_at)),
        Some(_) => None,
    };
    if let Some(news) = news {
        confirm(db, project, version)?;
        ship(work, project, version, news, now)?;
    }
    get(work.db, project, version)
}

/// Removes a release because somebody asks. One of which events are known stays: with its next event it would come back
/// as a new one, and tickets would be reopened by it or be said to be fixed in it.
fn remove_asked(db: &Connection, project: ProjectId, version: &str) -> Result<bool> {
    let Some(release) = get(db, project, version)? else { return Ok(false) };
    refuse_held(db, project)?;
    if release.events > 0 {
        let message =
            "events of this release are known, so it cannot be removed: only a release that never ran can";
        return Err(Error::conflict(message).into());
    }
    remove(db, project, version)
}

/// `Conflict` where the whole project is under a legal hold.
fn refuse_held(db: &Connection, project: ProjectId) -> Result<()> {
    if upkeep::is_held(db, project, 0)? {
        return Err(Error::conflict("its project is under a legal hold: release that first").into());
    }
    Ok(())
}

/// Removes a release with all that is only its own.
fn remove(db: &Connection, project: ProjectId, version: &str) -> Result<bool> {
    for table in ["release_deploys", "release_commits", "release_tickets"] {
        let sql = format!("DELETE FROM {table} WHERE project_id = ?1 AND release = ?2");
        db.prepare_cached(&sql)?.execute(params![project.0, version])?;
    }
    let gone = db
        .prepare_cached("DELETE FROM releases WHERE project_id = ?1 AND release = ?2")?
        .execute(params![project.0, version])?;
    rows::add_to_counter(db, project, RELEASES, -i64::try_from(gone).unwrap_or(0))?;
    Ok(gone > 0)
}

/// Removes releases of which nothing was heard since `before`, at most `limit`; how many. One that ran stays, as it would
/// come back as a new one with its next event; but where a project has more than [`RELEASES_KEPT`], room for new ones
/// matters more. A project under a legal hold keeps its own.
pub(crate) fn forget_old(db: &Connection, before: i64, limit: i64) -> Result<usize> {
    let sql = "SELECT project_id, release FROM releases r WHERE first_seen < ?1 AND recorded_at < ?1 \
         AND coalesce(last_seen, 0) < ?1 AND coalesce(released_at, 0) < ?1 \
         AND coalesce(commits_at, 0) < ?1 AND NOT EXISTS (SELECT 1 FROM release_deploys d \
         WHERE d.project_id = r.project_id AND d.release = r.release AND d.finished_at >= ?1) \
         AND (events = 0 OR (SELECT quantity FROM counters c WHERE c.project_id = r.project_id AND c.name = ?3) > ?4) \
         AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.project_id = r.project_id AND h.ticket_seq = 0) \
         ORDER BY first_seen LIMIT ?2";
    let kept = quantity(RELEASES_KEPT);
    let old: Vec<(i64, String)> = collect(db, sql, params![before, limit, RELEASES, kept], |row| {
        let mut c = Columns::new(row);
        Ok((c.take()?, c.take()?))
    })?;
    for (project, release) in &old {
        remove(db, ProjectId(*project), release)?;
    }
    Ok(old.len())
}

fn deploys(db: &Connection, project: ProjectId, version: &str) -> Result<Vec<Deploy>> {
    let sql = "SELECT id, environment, name, url, started_at, finished_at FROM release_deploys \
         WHERE project_id = ?1 AND release = ?2 ORDER BY id DESC LIMIT ?3";
    let most = i64::try_from(DEPLOYS_MAX).unwrap_or(i64::MAX);
    collect(db, sql, params![project.0, version, most], |row| {
        let mut c = Columns::new(row);
        Ok(Deploy {
            id: c.count()?,
            environment: c.take()?,
            name: c.take()?,
            url: c.take()?,
            started_at: c.time_optional()?,
            finished_at: c.time()?,
        })
    })
}

fn add_deploy(
    db: &Connection,
    project: ProjectId,
    version: &str,
    mut deploy: Deploy,
) -> Result<Option<Deploy>> {
    if times(db, project, version)?.is_none() {
        return Ok(None);
    }
    let id: i64 = db
        .prepare_cached(
            "INSERT INTO release_deploys (project_id, release, environment, name, url, started_at, finished_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING id",
        )?
        .query_row(
            params![
                project.0,
                version,
                deploy.environment,
                deploy.name,
                deploy.url,
                deploy.started_at.map(Timestamp::micros),
                deploy.finished_at.micros(),
            ],
            |row| row.get(0),
        )?;
    deploy.id = u64::try_from(id).unwrap_or(0);
    db.prepare_cached(
        "DELETE FROM release_deploys WHERE project_id = ?1 AND release = ?2 AND id NOT IN (SELECT id \
         FROM release_deploys WHERE project_id = ?1 AND release = ?2 ORDER BY id DESC LIMIT ?3)",
    )?
    .execute(params![project.0, version, i64::try_from(DEPLOYS_MAX).unwrap_or(i64::MAX)])?;
    db.prepare_cached(
        "UPDATE releases SET deploys = (SELECT count(*) FROM release_deploys WHERE project_id = ?1 AND release = ?2) \
         WHERE project_id = ?1 AND release = ?2",
    )?
    .execute(params![project.0, version])?;
    Ok(Some(deploy))
}
