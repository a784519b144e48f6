//! Writing a batch back: each row once.

use super::cache::Known;
use super::prepare::{FACET_KEYS_MAX, PreparedAttachment};
use super::{Batch, FacetDelta, NewEvent, Touched};
use crate::fault::Result;
use crate::sqlite::check::{self, EventRow};
use crate::sqlite::rows::{self, Hex, key_hex, quantity};
use crate::sqlite::{activity, marks, outbox, releases, throttles};
use actifix_domain::id::ProjectId;
use actifix_domain::ticket::Status;
use actifix_domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::{BTreeMap, HashMap};

/// Values per facet key; further ones count as [`OTHER`].
const FACET_VALUES_MAX: usize = 100;
/// Stands for all values beyond the bound.
const OTHER: &str = "other";

impl Batch<'_, '_, '_> {
    /// Writes all that was decided. The commit is the caller's.
    pub(crate) fn flush(mut self) -> Result<()> {
        let db = self.work.db;
        let mut touched: Vec<(i64, Touched<'_>)> = self.touched.drain().collect();
        // In the order of numbers, neighbours on disk are written one after the other.
        touched.sort_unstable_by_key(|(seq, _)| *seq);
        for (seq, ticket) in &mut touched {
            let before = ticket.known.row.ticket.users;
            write_ticket(db, ticket, &mut self.tally.counters)?;
            let (latest, ticket) = (ticket.latest, &ticket.known.row.ticket);
            if ticket.users > before && ticket.status != Status::Held {
                self.tell_of_users(ticket, latest, *seq, before)?;
            }
        }
        for ((project, key), new) in &self.new_keys {
            let explanation = match new.explanation {
                Some(explanation) => serde_json::to_string(explanation)?,
                None => String::new(),
            };
            db.prepare_cached(
                "INSERT INTO ticket_keys (project_id, fingerprint, ticket_seq, explanation, near_key) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                project.0,
                key_hex(*key).as_str(),
                new.ticket_seq,
                explanation,
                new.near_key.map(|key| key.to_string()),
            ])?;
            self.work.cache.put_key(*project, *key, new.ticket_seq);
        }
        self.write_events()?;
        self.write_ids()?;
        let mut new_releases = Vec::new();
        for ((project, release), delta) in &self.releases {
            if let Some(news) = releases::record(db, *project, release, delta)? {
                new_releases.push((*project, *release, news, delta.heard_at()));
            }
        }
        self.write_tally()?;
        for signal in self.sightings.write(db)? {
            self.tell(signal, None)?;
        }
        outbox::write(db, &self.signals)?;
        for (project, admission) in self.admissions.drain() {
            throttles::save(db, project, &admission.throttle)?;
            self.work.cache.put_admission(project, admission);
        }
        for (_, ticket) in touched {
            self.work.cache.put_ticket(ticket.known);
        }
        // After the tickets of this batch, whose rows are among those that it may change.
        for (project, release, news, at) in new_releases {
            releases::ship(self.work, project, release, news, at)?;
        }
        Ok(())
    }

    fn write_events(&mut self) -> Result<()> {
        let db = self.work.db;
        for new in &self.events {
            let late = self.pending_late.iter().filter(|(seq, _)| *seq == new.seq);
            if new.dropped {
                if late.count() > 0 {
                    delete_attachments(db, new.project, new.seq)?;
                }
                continue;
            }
            let bytes = write_event(db, new, late.map(|(_, bytes)| bytes).sum())?;
            *self.tally.counters.entry((new.project, rows::EVENTS.to_owned())).or_default() += 1;
            *self.tally.counters.entry((new.project, rows::EVENT_BYTES.to_owned())).or_default() += bytes;
        }
        for (project, seq) in std::mem::take(&mut self.replaced) {
            let bytes = delete_event(db, project, seq)?;
            self.add_to_counter(project, rows::EVENTS, -i64::from(bytes.is_some()));
            self.add_to_counter(project, rows::EVENT_BYTES, -bytes.unwrap_or(0));
        }
        Ok(())
    }

    fn write_ids(&self) -> Result<()> {
        let mut statement = self.work.db.prepare_cached(
            "INSERT INTO event_ids (project_id, event_id, ticket_seq, event_seq, expires_at) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        for ((project, id), seen) in &self.ids {
            statement.execute(params![
                project.0,
                Hex::of(&id.0).as_str(),
                seen.ticket_seq,
                seen.event_seq,
                seen.expires_at.map(Timestamp::micros),
            ])?;
        }
        Ok(())
    }

    fn write_tally(&self) -> Result<()> {
        let db = self.work.db;
        for ((project, name), delta) in &self.tally.counters {
            rows::add_to_counter(db, *project, name, *delta)?;
        }
        for ((project, hour, outcome, reason, category), many) in &self.tally.hours {
            db.prepare_cached(
                "INSERT INTO project_hours (project_id, hour, outcome, reason, category, quantity) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (project_id, hour, outcome, reason, category) \
                 DO UPDATE SET quantity = quantity + excluded.quantity",
            )?
            .execute(params![project.0, hour, outcome, reason, category, quantity(*many)])?;
        }
        for ((project, at, decision, priority, reason), many) in &self.tally.throttle {
            throttles::record(db, *project, *at, decision, *priority, reason, *many)?;
        }
        if !self.tally.throttle.is_empty() {
            throttles::trim_records(db)?;
        }
        Ok(())
    }
}

fn write_ticket(
    db: &Connection,
    touched: &mut Touched<'_>,
    counters: &mut BTreeMap<(ProjectId, String), i64>,
) -> Result<()> {
    if touched.is_untouched() {
        return Ok(());
    }
    let (project, seq) = (touched.known.row.ticket.project, touched.known.row.seq);
    touched.known.row.ticket.users += write_users(db, project, seq, touched)?;
    // Before the row, which tells by its marks what values there are.
    write_facets(db, project, &mut touched.known, touched.is_new, &touched.facets)?;
    let row = &touched.known.row;
    if touched.is_new {
        rows::insert_ticket(db, row)?
    } else {
        rows::update_ticket(db, row)?
    };
    let now = (row.ticket.status, row.ticket.priority);
    if touched.before != Some(now) {
        *counters.entry((project, rows::ticket_counter(now.0, now.1))).or_default() += 1;
        if let Some((status, priority)) = touched.before {
            *counters.entry((project, rows::ticket_counter(status, priority))).or_default() -= 1;
        }
    }
    for (hour, many) in &touched.hours {
        add_hour(db, project, seq, *hour, *many)?;
    }
    for (day, many) in &touched.days {
        add_day(db, project, seq, *day, *many)?;
    }
    for (rule, many) in &touched.redactions {
        db.prepare_cached(
            "INSERT INTO ticket_redactions (project_id, ticket_seq, rule, quantity) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (project_id, ticket_seq, rule) DO UPDATE SET quantity = quantity + excluded.quantity",
        )?
        .execute(params![project.0, seq, rule, quantity(*many)])?;
    }
    for entry in &touched.activity {
        activity::append(db, project, seq, entry)?;
    }
    if let Some(event) = touched.words {
        index_text(db, seq, &event.title, &event.culprit, &event.text)?;
    }
    Ok(())
}

fn write_users(db: &Connection, project: ProjectId, seq: i64, touched: &Touched<'_>) -> Result<u64> {
    let mut added = 0;
    if touched.users.is_empty() {
        return Ok(added);
    }
    let mut statement = db.prepare_cached(
        "INSERT INTO ticket_users (project_id, ticket_seq, user_hash) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
    )?;
    for user in &touched.users {
        added += u64::from(statement.execute(params![project.0, seq, user])? > 0);
    }
    Ok(added)
}

/// Adds an hour that ended.
pub(crate) fn add_hour(db: &Connection, project: ProjectId, seq: i64, hour: i64, many: u64) -> Result<()> {
    if many == 0 {
        return Ok(());
    }
    db.prepare_cached(
        "INSERT INTO ticket_hours (project_id, ticket_seq, hour, quantity) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (project_id, ticket_seq, hour) DO UPDATE SET quantity = quantity + excluded.quantity",
    )?
    .execute(params![project.0, seq, hour, quantity(many)])?;
    Ok(())
}

/// Adds a day that ended.
pub(crate) fn add_day(db: &Connection, project: ProjectId, seq: i64, day: i64, many: u64) -> Result<()> {
    if many == 0 {
        return Ok(());
    }
    db.prepare_cached(
        "INSERT INTO ticket_days (project_id, ticket_seq, day, quantity) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (project_id, ticket_seq, day) DO UPDATE SET quantity = quantity + excluded.quantity",
    )?
    .execute(params![project.0, seq, day, quantity(many)])?;
    Ok(())
}

/// Adds to the values of facets, within their bounds. The row gets the marks of new ones, and is to be written after it.
pub(crate) fn write_facets(
    db: &Connection,
    project: ProjectId,
    known: &mut Known,
    is_new: bool,
    facets: &HashMap<(&str, &str), FacetDelta>,
) -> Result<()> {
    let seq = known.row.seq;
    if is_new {
        known.facets = Some(BTreeMap::new());
    }
    let mut update = db.prepare_cached(
        "UPDATE ticket_facets SET quantity = quantity + ?5, first_seen = min(first_seen, ?6), \
         last_seen = max(last_seen, ?7) WHERE project_id = ?1 AND ticket_seq = ?2 AND key = ?3 AND value = ?4",
    )?;
    let mut insert = db.prepare_cached(
        "INSERT INTO ticket_facets (project_id, ticket_seq, key, value, quantity, first_seen, last_seen) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    // Values beyond the bound, by key: an event of fifty random tags is not to cost fifty more writes for each of them.
    let mut others: BTreeMap<&str, FacetDelta> = BTreeMap::new();
    for ((key, value), delta) in facets {
        let (many, first, last) = (quantity(delta.quantity), delta.first.micros(), delta.last.micros());
        if !is_new && update.execute(params![project.0, seq, key, value, many, first, last])? > 0 {
            continue;
        }
        let shape = match known.facets.take() {
            Some(shape) => known.facets.insert(shape),
            None => known.facets.insert(facet_shape(db, project, seq)?),
        };
        if !shape.contains_key(*key) && shape.len() >= FACET_KEYS_MAX {
            continue;
        }
        let values = shape.entry((*key).to_owned()).or_default();
        if *values >= FACET_VALUES_MAX {
            others.entry(key).and_modify(|other| other.add(delta)).or_insert(*delta);
            continue;
        }
        *values += 1;
        insert.execute(params![project.0, seq, key, value, many, first, last])?;
        known.row.marks |= marks::facet(key, value);
    }
    for (key, delta) in others {
        let (many, first, last) = (quantity(delta.quantity), delta.first.micros(), delta.last.micros());
        if update.execute(params![project.0, seq, key, OTHER, many, first, last])? == 0 {
            insert.execute(params![project.0, seq, key, OTHER, many, first, last])?;
            known.row.marks |= marks::facet(key, OTHER);
        }
    }
    Ok(())
}

/// Values per key that a ticket has.
fn facet_shape(db: &Connection, project: ProjectId, seq: i64) -> Result<BTreeMap<String, usize>> {
    let mut statement = db.prepare_cached(
        "SELECT key, count(*) FROM ticket_facets WHERE project_id = ?1 AND ticket_seq = ?2 GROUP BY key",
    )?;
    let mut found = statement.query(params![project.0, seq])?;
    let mut shape = BTreeMap::new();
    while let Some(row) = found.next()? {
        shape.insert(row.get(0)?, usize::try_from(row.get::<_, i64>(1)?).unwrap_or(usize::MAX));
    }
    Ok(shape)
}

/// Makes the words of a ticket searchable, in place of those before.
pub(crate) fn index_text(db: &Connection, seq: i64, title: &str, culprit: &str, text: &str) -> Result<()> {
    db.prepare_cached("REPLACE INTO ticket_words (rowid, title, culprit, text) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![seq, title, culprit, text])?;
    Ok(())
}

fn write_event(db: &Connection, new: &NewEvent<'_>, late_bytes: i64) -> Result<i64> {
    let event = new.event;
    let contents: usize =
        event.attachments.iter().map(|a| a.content.as_ref().map_or(0, |content| content.data.len())).sum();
    let body_bytes =
        i64::try_from(event.body.data.len() + contents).unwrap_or(i64::MAX).saturating_add(late_bytes);
    let (id, fingerprint) = (Hex::of(&event.id.0), key_hex(event.key));
    let noted = check::event(&EventRow {
        seq: new.seq,
        project: new.project.0,
        event_id: id.as_str(),
        fingerprint: fingerprint.as_str(),
        timestamp: event.timestamp.micros(),
        received_at: new.received_at.micros(),
        outcome: new.outcome.as_str(),
        title: &event.title,
        release: event.release.as_deref(),
        environment: event.environment.as_deref(),
        user_hash: event.user_hash.map(u64::cast_signed),
    });
    db.prepare_cached(
        "INSERT INTO events (seq, project_id, ticket_seq, event_id, fingerprint, timestamp, received_at, outcome, \
         title, release, environment, body_bytes, user_hash, row_check) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?
    .execute(params![
        new.seq,
        new.project.0,
        new.ticket_seq,
        id.as_str(),
        fingerprint.as_str(),
        event.timestamp.micros(),
        new.received_at.micros(),
        new.outcome.as_str(),
        event.title,
        event.release,
        event.environment,
        body_bytes,
        event.user_hash.map(u64::cast_signed),
        noted,
    ])?;
    db.prepare_cached("INSERT INTO event_bodies (event_seq, dict, data) VALUES (?1, ?2, ?3)")?
        .execute(params![new.seq, event.body.dict, event.body.data])?;
    for (number, attachment) in (0..).zip(&event.attachments) {
        write_attachment(db, new.project, new.seq, number, attachment)?;
    }
    Ok(body_bytes)
}

pub(super) fn write_attachment(
    db: &Connection,
    project: ProjectId,
    event_seq: i64,
    number: u32,
    attachment: &PreparedAttachment,
) -> Result<()> {
    let info = &attachment.info;
    db.prepare_cached(
        "INSERT INTO attachments (project_id, event_seq, number, name, content_type, attachment_type, size, digest, \
         dict, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        project.0,
        event_seq,
        number,
        info.name,
        info.content_type,
        info.attachment_type,
        quantity(info.size),
        info.digest,
        attachment.content.as_ref().map_or(0, |content| content.dict),
        attachment.content.as_ref().map(|content| content.data.as_slice()),
    ])?;
    Ok(())
}

/// Deletes a stored event with its body and attachments; its bytes, or nothing when it was not there.
pub(crate) fn delete_event(db: &Connection, project: ProjectId, seq: i64) -> Result<Option<i64>> {
    let bytes: Option<i64> = db
        .prepare_cached("DELETE FROM events WHERE seq = ?1 RETURNING body_bytes")?
        .query_row([seq], |row| row.get(0))
        .optional()?;
    if bytes.is_some() {
        db.prepare_cached("DELETE FROM event_bodies WHERE event_seq = ?1")?.execute([seq])?;
        delete_attachments(db, project, seq)?;
    }
    Ok(bytes)
}

fn delete_attachments(db: &Connection, project: ProjectId, event_seq: i64) -> Result<()> {
    db.prepare_cached("DELETE FROM attachments WHERE project_id = ?1 AND event_seq = ?2")?
        .execute(params![project.0, event_seq])?;
    Ok(())
}

impl Touched<'_> {
    /// Only looked at (a duplicate): nothing is written.
    fn is_untouched(&self) -> bool {
        !self.is_new && !self.counted
    }
}
