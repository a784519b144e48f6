//! What a submission brings beside events.

use super::flush::write_attachment;
use super::prepare::ATTACHMENTS_MAX;
use super::{Batch, Prepared, PreparedEvent};
use crate::fault::Result;
use crate::sqlite::projects::{self, MONITORS_MAX};
use crate::sqlite::rows::{self, Hex, quantity};
use crate::sqlite::{audit, monitors, quarantine};
use actifix_app::ports::{CheckIn, OutcomeCount, Recorded, SessionCount};
use actifix_domain::cron::{CheckInFacts, CheckInStatus, MonitorConfig, MonitorState};
use actifix_domain::id::{EventId, ProjectId};
use actifix_domain::outcome::{Outcome, Reason};
use actifix_domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

/// Pairs of release and environment counted per project and day; further ones count as `other`.
const RELEASE_PAIRS_MAX: i64 = 1_000;

/// What became of an item beside events.
type Fate = (Outcome, Reason);

const TAKEN: Fate = (Outcome::Accepted, Reason::None);
/// Beyond a bound of ours.
const BEYOND_CAP: Fate = (Outcome::Invalid, Reason::TooLarge);

impl<'p> Batch<'_, '_, 'p> {
    /// Secrets that were found in an event. A duplicate brings none, as it changes nothing.
    pub(super) fn findings(&mut self, prepared: &Prepared, event: &'p PreparedEvent, fate: &Recorded) {
        if fate.outcome == Outcome::Duplicate {
            return;
        }
        for finding in &event.findings {
            self.sightings.add(prepared.project, finding, fate.ticket_id.as_ref(), prepared.received_at);
        }
    }

    /// The attachments that came with an event share its fate.
    pub(super) fn files(
        &mut self,
        prepared: &Prepared,
        event: &PreparedEvent,
        outcome: Outcome,
        side: &mut Vec<OutcomeCount>,
    ) {
        self.count_side(prepared, side, (outcome, Reason::None), "attachment", event.attachments.len());
        self.count_side(prepared, side, BEYOND_CAP, "attachment", event.attachments_cut);
    }

    /// Everything but events.
    pub(super) fn rest(&mut self, prepared: &'p Prepared, side: &mut Vec<OutcomeCount>) -> Result<()> {
        let (db, project, at) = (self.work.db, prepared.project, prepared.received_at);
        for count in &prepared.counts {
            self.count(prepared, count.outcome, count.reason, count.category, count.quantity);
        }
        for discard in &prepared.discards {
            let key = (project, at.hour(), "sdk_discarded", discard.reason, discard.category);
            *self.tally.hours.entry(key).or_default() += discard.quantity;
        }
        for session in &prepared.sessions {
            count_session(db, project, at, session)?;
        }
        self.count_side(prepared, side, TAKEN, "session", prepared.sessions.len());
        for check_in in &prepared.check_ins {
            let fate = take_in(db, project, check_in, at)?;
            // One that failed is counted as the event that it is.
            let items = usize::from(check_in.status != "error");
            self.count_side(prepared, side, fate, "monitor", items);
        }
        for finding in &prepared.findings {
            self.sightings.add(project, finding, None, at);
        }
        if let Some(id) = &prepared.released {
            quarantine::delete(self.work, id)?;
        }
        if let Some(record) = &prepared.audit {
            audit::append(self.work, record)?;
        }
        for input in &prepared.quarantined {
            quarantine::put(db, project, input, at)?;
        }
        if let Some((key, origin)) = &prepared.unlisted_origin {
            projects::note_origin(db, project, key, origin, at)?;
        }
        for (event, attachment) in &prepared.late_attachments {
            let fate = self.late_attachment(project, *event, attachment)?;
            self.count_side(prepared, side, fate, "attachment", 1);
        }
        Ok(())
    }

    fn count_side(
        &mut self,
        prepared: &Prepared,
        side: &mut Vec<OutcomeCount>,
        fate: Fate,
        category: &'static str,
        items: usize,
    ) {
        if items == 0 {
            return;
        }
        let quantity = u64::try_from(items).unwrap_or(u64::MAX);
        let (outcome, reason) = fate;
        self.count(prepared, outcome, reason, category, quantity);
        side.push(OutcomeCount { outcome, reason, category, quantity });
    }

    /// Adds to a stored event; where it is not stored the attachment is counted and let go.
    fn late_attachment(
        &mut self,
        project: ProjectId,
        event: EventId,
        attachment: &super::PreparedAttachment,
    ) -> Result<Fate> {
        let db = self.work.db;
        let pending = self.events.iter().rev().find(|new| new.project == project && new.event.id == event);
        if let Some(pending) = pending {
            // Its row is not written yet: the attachment goes right behind those it came with.
            let seq = pending.seq;
            let late = self.pending_late.iter().filter(|(other, _)| *other == seq).count();
            let number = pending.event.attachments.len() + late;
            if number >= ATTACHMENTS_MAX {
                return Ok(BEYOND_CAP);
            }
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            write_attachment(db, project, seq, number, attachment)?;
            self.pending_late.push((seq, content_bytes(attachment)));
            return Ok(TAKEN);
        }
        let seq = stored_seq(db, project, event)?;
        let Some(seq) = seq else { return Ok((Outcome::Filtered, Reason::Unsupported)) };
        let number: u32 = db
            .prepare_cached(
                "SELECT coalesce(max(number), -1) + 1 FROM attachments WHERE project_id = ?1 AND event_seq = ?2",
            )?
            .query_row(params![project.0, seq], |row| row.get(0))?;
        if usize::try_from(number).unwrap_or(usize::MAX) >= ATTACHMENTS_MAX {
            return Ok(BEYOND_CAP);
        }
        write_attachment(db, project, seq, number, attachment)?;
        let bytes = content_bytes(attachment);
        db.prepare_cached("UPDATE events SET body_bytes = body_bytes + ?2 WHERE seq = ?1")?
            .execute(params![seq, bytes])?;
        self.add_to_counter(project, rows::EVENT_BYTES, bytes);
        Ok(TAKEN)
    }
}

fn content_bytes(attachment: &super::PreparedAttachment) -> i64 {
    let bytes = attachment.content.as_ref().map_or(0, |content| content.data.len());
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Number of a stored event. The id is compared too: a number may have been given anew.
pub(crate) fn stored_seq(db: &Connection, project: ProjectId, event: EventId) -> Result<Option<i64>> {
    let id = Hex::of(&event.0);
    Ok(db
        .prepare_cached(
            "SELECT e.seq FROM event_ids i JOIN events e ON e.seq = i.event_seq AND e.event_id = i.event_id \
             AND e.project_id = i.project_id \
             WHERE i.project_id = ?1 AND i.event_id = ?2",
        )?
        .query_row(params![project.0, id.as_str()], |row| row.get(0))
        .optional()?)
}

fn count_session(db: &Connection, project: ProjectId, at: Timestamp, session: &SessionCount) -> Result<()> {
    let day = at.day();
    let update = |release: &str, environment: &str| -> Result<bool> {
        let changed = db
            .prepare_cached(
                "UPDATE release_days SET sessions = sessions + ?5, errored = errored + ?6, crashed = crashed + ?7 \
                 WHERE project_id = ?1 AND day = ?2 AND release = ?3 AND environment = ?4",
            )?
            .execute(params![
                project.0,
                day,
                release,
                environment,
                quantity(session.sessions),
                quantity(session.errored),
                quantity(session.crashed)
            ])?;
        Ok(changed > 0)
    };
    if update(&session.release, &session.environment)? {
        return Ok(());
    }
    let pairs: i64 = db
        .prepare_cached("SELECT count(*) FROM release_days WHERE project_id = ?1 AND day = ?2")?
        .query_row(params![project.0, day], |row| row.get(0))?;
    let (release, environment) = if pairs >= RELEASE_PAIRS_MAX {
        ("other", "other")
    } else {
        (session.release.as_str(), session.environment.as_str())
    };
    if update(release, environment)? {
        return Ok(());
    }
    db.prepare_cached(
        "INSERT INTO release_days (project_id, day, release, environment, sessions, errored, crashed) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        project.0,
        day,
        release,
        environment,
        quantity(session.sessions),
        quantity(session.errored),
        quantity(session.crashed)
    ])?;
    Ok(())
}

/// Moves a monitor's state. A failure that the job reports itself is an event of its own, made by the pipeline.
fn take_in(db: &Connection, project: ProjectId, check_in: &CheckIn, at: Timestamp) -> Result<Fate> {
    let Some(status) = CheckInStatus::parse(check_in.status) else {
        return Ok((Outcome::Invalid, Reason::Json));
    };
    let known = monitors::state(db, project, &check_in.slug, &check_in.environment)?;
    let mut state = match known {
        Some(state) => state,
        None => {
            let many: u32 = db
                .prepare_cached("SELECT count(*) FROM monitors WHERE project_id = ?1")?
                .query_row([project.0], |row| row.get(0))?;
            if many >= MONITORS_MAX {
                return Ok(BEYOND_CAP);
            }
            MonitorState::default()
        }
    };
    let facts = CheckInFacts {
        status,
        check_in_id: check_in.check_in_id,
        duration_seconds: check_in.duration_seconds,
        // A schedule that cannot be read leaves the one that is known.
        config: check_in.config.as_ref().and_then(|config| MonitorConfig::from_value(config).ok()),
    };
    state.on_check_in(&facts, at);
    monitors::save(db, project, &check_in.slug, &check_in.environment, &state)?;
    Ok(TAKEN)
}
