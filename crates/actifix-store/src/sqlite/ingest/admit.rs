//! New tickets: admitted, held, or only counted.

use super::cache::{Admission, Known, next_ticket};
use super::{Batch, NewKey, Prepared, PreparedEvent, REMEMBER_MICROS, SeenId, Touched, count_event};
use crate::fault::{Fault, Result};
use crate::sqlite::rows::{self, TicketRow};
use crate::sqlite::{outbox, throttles};
use actifix_app::ports::Recorded;
use actifix_domain::alert::{Signal, Trigger};
use actifix_domain::approval::{Approval, Origins};
use actifix_domain::event::Level;
use actifix_domain::fingerprint;
use actifix_domain::id::{Fingerprint, ProjectId, TicketId};
use actifix_domain::outcome::{Change, Outcome};
use actifix_domain::release::Part;
use actifix_domain::ticket::{Priority, Status, Ticket};
use actifix_domain::time::{MINUTE, Timestamp};
use rusqlite::Connection;

/// Tries to find a free ticket id; 33 million fit into a day.
const ID_ATTEMPTS: u32 = 1_000;

impl<'p> Batch<'_, '_, 'p> {
    /// An event whose key no ticket has.
    pub(super) fn new_ticket(
        &mut self,
        prepared: &'p Prepared,
        event: &'p PreparedEvent,
    ) -> Result<Recorded> {
        let (project, now) = (prepared.project, prepared.received_at);
        let config = self.work.cache.throttle_config.clone();
        let room = self.admission(project)?.held < u64::from(config.held_max);
        // Without room there is no row by which the next event of this error would be known.
        let again = !room && self.work.cache.was_refused(project, event.key, now);
        let throttle = &mut self.admission(project)?.throttle;
        let decision = if again {
            throttle.decide_again(&config, event.priority, now)
        } else {
            throttle.decide(&config, event.priority, now)
        };
        if let Some(change) = decision.brake_change {
            let word = throttles::brake_word(change.to);
            self.note(project, change.at.micros(), word, None, "");
            self.tell(outbox::brake(change.at, project, word), None)?;
        }
        let minute = now.micros().div_euclid(MINUTE) * MINUTE;
        let reason = decision.reason.map_or("", |reason| reason.as_str());
        if !decision.admitted {
            self.add_to_counter(project, rows::held_total(event.priority), 1);
        }
        if !decision.admitted && !room {
            self.note(project, minute, "counted", Some(event.priority), reason);
            return self.beyond_cap(prepared, event);
        }
        let status = if decision.admitted { Status::Open } else { Status::Held };
        self.note(
            project,
            minute,
            if decision.admitted { "admitted" } else { "held" },
            Some(event.priority),
            reason,
        );
        let row = self.ticket_of(prepared, event, status)?;
        let (seq, ticket_id) = (row.seq, row.ticket.id.clone());
        let (near_key, explanation) = (event.near_key, Some(&event.explanation));
        self.new_keys.insert((project, event.key), NewKey { ticket_seq: seq, near_key, explanation });
        let mut touched = Touched::new(Known::new(row), true);
        touched.words = Some(event);
        count_event(&mut touched, event, now);
        touched.known.row.ticket.origins.note(event.trusted, event.peer);
        self.touched.insert(seq, touched);
        self.belongs(project, event, Part::New, seq);
        let outcome = if decision.admitted { Outcome::Accepted } else { Outcome::Held };
        self.store(prepared, event, seq, outcome, false)?;
        if status == Status::Held {
            self.admission(project)?.held += 1;
            self.add_to_counter(project, rows::HELD_EVENTS, 1);
        } else {
            self.tell_of(Trigger::New, event, seq, now)?;
            self.count_rates(event, seq, now)?;
        }
        Ok(Recorded {
            event_id: event.id,
            ticket_id: Some(ticket_id),
            outcome,
            change: Change::New,
            count: 1,
        })
    }

    /// Too many held tickets: only counters move, and one ticket stands for all.
    fn beyond_cap(&mut self, prepared: &'p Prepared, event: &'p PreparedEvent) -> Result<Recorded> {
        let (project, now) = (prepared.project, prepared.received_at);
        let expires_at = Some(now.plus(REMEMBER_MICROS));
        self.ids.insert((project, event.id), SeenId { ticket_seq: None, event_seq: None, expires_at });
        self.add_to_counter(project, rows::BEYOND_CAP, 1);
        let seq = self.flood_ticket(project, now)?;
        let touched = self.touched_mut(seq)?;
        touched.tick(now);
        let row = &mut touched.known.row;
        row.ticket.last_seen = row.ticket.last_seen.max(now);
        if row.ticket.status == Status::Resolved {
            row.ticket.status = Status::Open;
            row.ticket.version += 1;
            row.ticket.regressions = row.ticket.regressions.saturating_add(1);
            row.ticket.resolved_at = None;
            row.ticket.resolved_in = None;
            row.ticket.resolved_after = None;
        }
        Ok(Recorded {
            event_id: event.id,
            ticket_id: None,
            outcome: Outcome::Held,
            change: Change::Seen,
            count: 0,
        })
    }

    fn flood_ticket(&mut self, project: ProjectId, now: Timestamp) -> Result<i64> {
        let key = fingerprint::flood_key();
        if let Some(seq) = self.resolve(project, key)? {
            return Ok(seq);
        }
        let ticket = Ticket {
            title: "Ticket flood".to_owned(),
            priority: Priority::P1,
            priority_reason: "more new tickets than are held one by one; they are counted here".to_owned(),
            ..self.blank(project, key, Status::Open, now)?
        };
        let seq = next_ticket(self.work.db)?;
        self.tell(Signal::of_ticket(Trigger::New, now, &ticket), Some(seq))?;
        self.new_keys.insert((project, key), NewKey { ticket_seq: seq, near_key: None, explanation: None });
        self.touched.insert(seq, Touched::new(Known::new(row_of(seq, ticket)), true));
        Ok(seq)
    }

    fn ticket_of(&mut self, prepared: &Prepared, event: &PreparedEvent, status: Status) -> Result<TicketRow> {
        let ticket = Ticket {
            title: event.title.clone(),
            culprit: event.culprit.clone(),
            level: event.level,
            priority: event.priority,
            priority_reason: event.priority_reason.clone(),
            first_seen: event.timestamp,
            last_seen: event.timestamp,
            near_key: event.near_key,
            first_release: event.release.clone(),
            last_release: event.release.clone(),
            platform: event.platform.clone(),
            unhandled: event.unhandled,
            ..self.blank(prepared.project, event.key, status, prepared.received_at)?
        };
        let seq = next_ticket(self.work.db)?;
        Ok(row_of(seq, ticket))
    }

    /// A ticket of which only identity, status and birth are set.
    fn blank(
        &mut self,
        project: ProjectId,
        key: Fingerprint,
        status: Status,
        now: Timestamp,
    ) -> Result<Ticket> {
        Ok(Ticket {
            id: self.free_id(project, key, now)?,
            project,
            title: String::new(),
            culprit: String::new(),
            level: Level::Error,
            status,
            priority: Priority::P4,
            priority_reason: String::new(),
            count: 0,
            users: 0,
            first_seen: now,
            last_seen: now,
            fingerprint: key,
            near_key: None,
            first_release: None,
            last_release: None,
            platform: None,
            unhandled: false,
            resolved_at: None,
            resolved_in: None,
            resolved_after: None,
            regressions: 0,
            raised: false,
            assignee: None,
            approval: Approval::default(),
            approval_reason: String::new(),
            origins: Origins::default(),
            created_at: now,
            version: 1,
        })
    }

    fn free_id(&mut self, project: ProjectId, key: Fingerprint, now: Timestamp) -> Result<TicketId> {
        let id = free_id(self.work.db, project, key, now, |id| !self.new_ids.contains(id))?;
        self.new_ids.insert(id.clone());
        Ok(id)
    }

    /// The throttle of a project, brought into the batch.
    fn admission(&mut self, project: ProjectId) -> Result<&mut Admission> {
        if !self.admissions.contains_key(&project) {
            let admission = match self.work.cache.take_admission(project) {
                Some(admission) => admission,
                None => throttles::load(self.work.db, project)?,
            };
            self.admissions.insert(project, admission);
        }
        self.admissions
            .get_mut(&project)
            .ok_or_else(|| Fault::Defect("the throttle of a project is not there".to_owned()))
    }

    fn note(
        &mut self,
        project: ProjectId,
        at_micros: i64,
        decision: &'static str,
        priority: Option<Priority>,
        reason: &'static str,
    ) {
        let number = priority.map_or(throttles::NO_PRIORITY, Priority::number);
        *self.tally.throttle.entry((project, at_micros, decision, number, reason)).or_default() += 1;
    }
}

/// An id that no ticket has, none that was merged away either, and that `is_free` lets pass.
pub(crate) fn free_id(
    db: &Connection,
    project: ProjectId,
    key: Fingerprint,
    now: Timestamp,
    is_free: impl Fn(&TicketId) -> bool,
) -> Result<TicketId> {
    for attempt in 0..ID_ATTEMPTS {
        let id = TicketId::derive(project, key, now, attempt);
        if is_free(&id) && rows::ticket_seq(db, &id)?.is_none() {
            return Ok(id);
        }
    }
    Err(Fault::Defect("no free ticket id: too many tickets in one day".to_owned()))
}

pub(crate) fn row_of(seq: i64, ticket: Ticket) -> TicketRow {
    TicketRow {
        seq,
        hour: ticket.created_at.hour(),
        day: ticket.created_at.day(),
        indexed_hour: ticket.created_at.hour(),
        ticket,
        latest_event_seq: None,
        latest_transient: false,
        hour_count: 0,
        day_count: 0,
        lease: None,
        last_fence: 0,
        marks: 0,
    }
}
