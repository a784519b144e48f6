//! Stored events and attachments.

use super::body;
use super::check;
use super::lists::whole;
use super::projects::collect;
use super::rows::{self, Columns, Hex, Place, page_size, ticket_seq};
use crate::fault::{Fault, Result};
use actifix_app::ports::{Attachment, AttachmentInfo, Cursor, EventSummary, Page, StoredEvent};
use actifix_domain::event::Event;
use actifix_domain::id::{EventId, ProjectId, TicketId};
use actifix_domain::outcome::Outcome;
use actifix_domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

pub(crate) use super::ingest::stored_seq;

/// Stored events of a ticket, newest first.
pub(crate) fn of_ticket(
    db: &Connection,
    id: &TicketId,
    cursor: Option<&Cursor>,
    limit: u32,
) -> Result<Page<EventSummary>> {
    let (limit, place) = (page_size(limit), Place::parse(cursor, "events")?);
    let Some(seq) = ticket_seq(db, id)? else {
        return Ok(Page { items: Vec::new(), next_cursor: None, total: None });
    };
    let sql = "SELECT e.seq, e.project_id, e.event_id, e.fingerprint, e.timestamp, e.received_at, e.outcome, e.title, \
         e.release, e.environment, e.user_hash, e.row_check, t.ticket_id \
         FROM tickets t JOIN events e ON e.project_id = t.project_id AND e.ticket_seq = t.seq \
         WHERE t.seq = ?1 AND e.seq < ?2 ORDER BY e.seq DESC LIMIT ?3";
    let found = collect(db, sql, params![seq, place.0, rows::one_more(limit)], |row| {
        Ok((row.get::<_, i64>(0)?, whole(summary(row))?))
    })?;
    let Page { items, next_cursor, total } =
        rows::page(found, limit, None, "events", |(seq, _)| Place(*seq, 0));
    Ok(Page { items: items.into_iter().flatten().collect(), next_cursor, total })
}

fn summary(row: &Row<'_>) -> Result<EventSummary> {
    let mut c = Columns::new(row);
    let head = Head::read(&mut c)?;
    Ok(EventSummary {
        event_id: parsed(&head.event_id, "id of an event")?,
        ticket_id: c.parse()?,
        project: ProjectId(head.project),
        timestamp: Timestamp::from_micros(head.timestamp),
        received_at: Timestamp::from_micros(head.received_at),
        title: head.title,
        release: head.release,
        environment: head.environment,
    })
}

/// What of an event's row never changes, read and compared with its hash.
pub(crate) struct Head {
    project: i64,
    event_id: String,
    timestamp: i64,
    received_at: i64,
    outcome: String,
    title: String,
    release: Option<String>,
    environment: Option<String>,
}

impl Head {
    /// Columns seq, project_id, event_id, fingerprint, timestamp, received_at, outcome, title, release, environment,
    /// user_hash and row_check.
    pub(crate) fn read(c: &mut Columns<'_, '_>) -> Result<Self> {
        let seq = c.take()?;
        let (project, event_id) = (c.take()?, c.take()?);
        let fingerprint: String = c.take()?;
        let head = Self {
            project,
            event_id,
            timestamp: c.take()?,
            received_at: c.take()?,
            outcome: c.take()?,
            title: c.take()?,
            release: c.take()?,
            environment: c.take()?,
        };
        let (user_hash, noted): (Option<i64>, Option<i64>) = (c.take()?, c.take()?);
        let row = check::EventRow {
            seq,
            project,
            event_id: &head.event_id,
            fingerprint: &fingerprint,
            timestamp: head.timestamp,
            received_at: head.received_at,
            outcome: &head.outcome,
            title: &head.title,
            release: head.release.as_deref(),
            environment: head.environment.as_deref(),
            user_hash,
        };
        match noted {
            Some(noted) if noted != check::event(&row) => Err(Fault::damaged("events", seq)),
            _ => Ok(head),
        }
    }
}

fn parsed<T: std::str::FromStr>(text: &str, what: &str) -> Result<T> {
    text.parse().map_err(|_| Fault::Defect(what.to_owned()))
}

/// One event with its body. Without a project, of any.
pub(crate) fn get(db: &Connection, project: Option<ProjectId>, id: EventId) -> Result<Option<StoredEvent>> {
    let hex = Hex::of(&id.0);
    let projects = match project {
        Some(project) => vec![project.0],
        None => collect(
            db,
            "SELECT i.project_id FROM projects p JOIN event_ids i ON i.project_id = p.project_id AND i.event_id = ?1 \
             ORDER BY i.project_id",
            [hex.as_str()],
            |row| Ok(row.get(0)?),
        )?,
    };
    for project in projects {
        if let Some(seq) = stored_seq(db, ProjectId(project), id)? {
            return by_seq(db, seq);
        }
    }
    Ok(None)
}

fn by_seq(db: &Connection, seq: i64) -> Result<Option<StoredEvent>> {
    const SQL: &str = "SELECT e.seq, e.project_id, e.event_id, e.fingerprint, e.timestamp, e.received_at, e.outcome, \
         e.title, e.release, e.environment, e.user_hash, e.row_check, t.ticket_id, b.dict, b.data FROM events e \
         JOIN tickets t ON t.seq = e.ticket_seq JOIN event_bodies b ON b.event_seq = e.seq WHERE e.seq = ?1";
    let mut statement = db.prepare_cached(SQL)?;
    let mut found = statement.query([seq])?;
    let Some(row) = found.next()? else { return Ok(None) };
    let mut c = Columns::new(row);
    let head = Head::read(&mut c)?;
    let ticket_id = c.parse()?;
    let opened =
        body::open(c.take()?, &c.take::<Vec<u8>>()?).map_err(|_| Fault::damaged("event_bodies", seq))?;
    Ok(Some(StoredEvent {
        project: ProjectId(head.project),
        ticket_id,
        received_at: Timestamp::from_micros(head.received_at),
        outcome: outcome(&head.outcome)?,
        provenance: opened.provenance,
        body: opened.event.get().as_bytes().to_vec(),
        redactions: opened.redactions,
    }))
}

/// The event itself, by its number, where its body is stored.
pub(crate) fn body(db: &Connection, seq: i64) -> Result<Option<Event>> {
    let stored: Option<(u32, Vec<u8>)> = db
        .prepare_cached("SELECT dict, data FROM event_bodies WHERE event_seq = ?1")?
        .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((dict, data)) = stored else { return Ok(None) };
    Ok(Some(serde_json::from_str(body::open(dict, &data)?.event.get())?))
}

fn outcome(word: &str) -> Result<Outcome> {
    let found = Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == word);
    found.ok_or_else(|| Fault::Defect("outcome of an event".to_owned()))
}

const ATTACHMENT_COLUMNS: &str =
    "number, name, content_type, attachment_type, size, digest, data IS NOT NULL, dict, data";

pub(crate) fn attachments(db: &Connection, project: ProjectId, id: EventId) -> Result<Vec<AttachmentInfo>> {
    let Some(seq) = stored_seq(db, project, id)? else { return Ok(Vec::new()) };
    let sql = format!(
        "SELECT {ATTACHMENT_COLUMNS} FROM attachments WHERE project_id = ?1 AND event_seq = ?2 ORDER BY number LIMIT 100"
    );
    collect(db, &sql, params![project.0, seq], |row| info(&mut Columns::new(row)))
}

pub(crate) fn attachment(
    db: &Connection,
    project: ProjectId,
    id: EventId,
    number: u32,
) -> Result<Option<Attachment>> {
    let Some(seq) = stored_seq(db, project, id)? else { return Ok(None) };
    let sql = format!(
        "SELECT {ATTACHMENT_COLUMNS} FROM attachments WHERE project_id = ?1 AND event_seq = ?2 AND number = ?3"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let mut found = statement.query(params![project.0, seq, number])?;
    let Some(row) = found.next()? else { return Ok(None) };
    let mut c = Columns::new(row);
    let info = info(&mut c)?;
    let (dict, data): (u32, Option<Vec<u8>>) = (c.take()?, c.take()?);
    let opened = data.map(|data| body::decompress(dict, &data)).transpose();
    let bytes = opened.map_err(|_| Fault::damaged("attachments", seq))?;
    Ok(Some(Attachment { info, bytes }))
}

fn info(c: &mut Columns<'_, '_>) -> Result<AttachmentInfo> {
    Ok(AttachmentInfo {
        number: c.take()?,
        name: c.take()?,
        content_type: c.take()?,
        attachment_type: c.take()?,
        size: c.count()?,
        digest: c.take()?,
        kept: c.take()?,
    })
}

/// Id of a stored event by its number.
pub(crate) fn id_of(db: &Connection, seq: i64) -> Result<Option<EventId>> {
    let text: Option<String> = db
        .prepare_cached("SELECT event_id FROM events WHERE seq = ?1")?
        .query_row([seq], |row| row.get(0))
        .optional()?;
    Ok(text.and_then(|text| text.parse().ok()))
}
