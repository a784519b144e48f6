//! The hot path: submissions become tickets, events and counters.
//!
//! A batch loads each ticket that it touches once, decides in memory with the domain's pure rules, and writes each
//! row back once at the end. What is decided is durable, or nothing of it is: the writer commits the whole batch.

mod admit;
mod cache;
mod flush;
mod prepare;
mod side;
mod signals;

pub(crate) use admit::{free_id, row_of};
pub(crate) use cache::{Cache, next_ticket};
pub(crate) use flush::{add_day, add_hour, delete_event, index_text, write_facets};
pub(crate) use prepare::{
    Prepared, PreparedAttachment, PreparedEvent, facets as event_facets, prepare, words as event_words,
};
pub(crate) use side::stored_seq;

use super::findings::Sightings;
use super::rows::{self, Hex, key_hex, ticket_by_seq};
use super::writer::Work;
use super::{monitors, quarantine, releases};
use crate::fault::{Fault, Result};
use actifix_app::error::Error;
use actifix_app::ports::{ActivityEntry, Ingested, Recorded};
use actifix_domain::alert::{Signal, Trigger};
use actifix_domain::fingerprint::Explanation;
use actifix_domain::id::{EventId, Fingerprint, ProjectId, TicketId};
use actifix_domain::lifecycle::{self, EventFacts, ReleaseOrder, TicketFacts};
use actifix_domain::outcome::{Change, Outcome, Reason};
use actifix_domain::priority::{self, Raise};
use actifix_domain::release::Part;
use actifix_domain::sampling;
use actifix_domain::ticket::{Priority, Status};
use actifix_domain::time::{DAY, Timestamp};
pub(crate) use cache::Admission;
pub(crate) use cache::Known;
use rusqlite::{OptionalExtension, params};
use std::collections::{BTreeMap, HashMap, HashSet};

/// How long the ids of events without a body are remembered, microseconds.
pub(crate) const REMEMBER_MICROS: i64 = 7 * DAY;
/// Users counted per ticket; beyond it the number stays.
pub(crate) const USERS_MAX: u64 = 10_000;
/// Hours over which the mean is taken that a spike is measured by.
const TRAILING_HOURS: i64 = 24;

/// One transaction's worth of submissions.
pub(crate) struct Batch<'w, 'c, 'p> {
    work: &'w mut Work<'c>,
    touched: HashMap<i64, Touched<'p>>,
    new_keys: HashMap<(ProjectId, Fingerprint), NewKey<'p>>,
    admissions: HashMap<ProjectId, Admission>,
    ids: HashMap<(ProjectId, EventId), SeenId>,
    events: Vec<NewEvent<'p>>,
    /// Place in `events` by number.
    places: HashMap<i64, usize>,
    /// Stored events that were their ticket's latest and nothing more, and no longer are.
    replaced: Vec<(ProjectId, i64)>,
    releases: BTreeMap<(ProjectId, &'p str), releases::Delta>,
    /// Numbers of pending events and bytes, once per attachment that came later in the same batch.
    pending_late: Vec<(i64, i64)>,
    /// Ids given in this batch.
    new_ids: HashSet<TicketId>,
    tally: Tally,
    sightings: Sightings<'p>,
    /// Changes that some rule listens for, with the number of their ticket.
    signals: Vec<(Option<i64>, Signal)>,
}

/// Sums that are written once.
#[derive(Default)]
struct Tally {
    counters: BTreeMap<(ProjectId, String), i64>,
    hours: BTreeMap<(ProjectId, i64, &'static str, &'static str, &'static str), u64>,
    throttle: BTreeMap<(ProjectId, i64, &'static str, u8, &'static str), u64>,
}

struct NewKey<'p> {
    ticket_seq: i64,
    near_key: Option<Fingerprint>,
    explanation: Option<&'p Explanation>,
}

#[derive(Clone, Copy)]
struct SeenId {
    ticket_seq: Option<i64>,
    event_seq: Option<i64>,
    expires_at: Option<Timestamp>,
}

struct NewEvent<'p> {
    seq: i64,
    project: ProjectId,
    ticket_seq: i64,
    received_at: Timestamp,
    outcome: Outcome,
    event: &'p PreparedEvent,
    /// Replaced within the batch: never written.
    dropped: bool,
}

/// A ticket in work, and what the batch adds to its side tables.
struct Touched<'p> {
    known: Known,
    is_new: bool,
    /// Status and priority on disk, for the counters of tickets.
    before: Option<(Status, Priority)>,
    /// An event was counted on it.
    counted: bool,
    /// Hours and days that ended.
    hours: Vec<(i64, u64)>,
    days: Vec<(i64, u64)>,
    facets: HashMap<(&'p str, &'p str), FacetDelta>,
    users: HashSet<i64>,
    redactions: BTreeMap<&'p str, u64>,
    activity: Vec<ActivityEntry>,
    /// Words to index: title, culprit, text.
    words: Option<&'p PreparedEvent>,
    /// The event that was counted last.
    latest: Option<&'p PreparedEvent>,
}

/// What is added to the count of one value of a facet.
#[derive(Clone, Copy)]
pub(crate) struct FacetDelta {
    pub(crate) quantity: u64,
    first: Timestamp,
    last: Timestamp,
}

impl FacetDelta {
    /// Counts an event of time `at` that has the value.
    pub(crate) fn count<'a>(
        deltas: &mut HashMap<(&'a str, &'a str), Self>,
        key: &'a str,
        value: &'a str,
        at: Timestamp,
    ) {
        let delta = deltas.entry((key, value)).or_insert(Self { quantity: 0, first: at, last: at });
        delta.quantity += 1;
        delta.first = delta.first.min(at);
        delta.last = delta.last.max(at);
    }

    /// Adds what was counted for another value.
    fn add(&mut self, other: &Self) {
        self.quantity += other.quantity;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

impl<'p> Touched<'p> {
    fn new(known: Known, is_new: bool) -> Self {
        let before = (!is_new).then_some((known.row.ticket.status, known.row.ticket.priority));
        Self {
            known,
            is_new,
            before,
            counted: false,
            hours: Vec::new(),
            days: Vec::new(),
            facets: HashMap::new(),
            users: HashSet::new(),
            redactions: BTreeMap::new(),
            activity: Vec::new(),
            words: None,
            latest: None,
        }
    }
}

impl Touched<'_> {
    /// Counts one event. An hour that ended goes to its table; one that is behind the latest counts in that.
    fn tick(&mut self, received_at: Timestamp) {
        self.counted = true;
        let row = &mut self.known.row;
        let (hour, day) = (received_at.hour().max(row.hour), received_at.day().max(row.day));
        if row.hour != hour {
            self.hours.push((row.hour, std::mem::take(&mut row.hour_count)));
            row.hour = hour;
        }
        if row.day != day {
            self.days.push((row.day, std::mem::take(&mut row.day_count)));
            row.day = day;
        }
        row.hour_count += 1;
        row.day_count += 1;
        row.ticket.count += 1;
    }
}

impl<'w, 'c, 'p> Batch<'w, 'c, 'p> {
    /// An empty batch.
    pub(crate) fn new(work: &'w mut Work<'c>) -> Self {
        Self {
            work,
            touched: HashMap::new(),
            new_keys: HashMap::new(),
            admissions: HashMap::new(),
            ids: HashMap::new(),
            events: Vec::new(),
            places: HashMap::new(),
            replaced: Vec::new(),
            releases: BTreeMap::new(),
            pending_late: Vec::new(),
            new_ids: HashSet::new(),
            tally: Tally::default(),
            sightings: Sightings::default(),
            signals: Vec::new(),
        }
    }

    /// Why a submission cannot be taken as a whole; looked at before anything of it counts.
    pub(crate) fn refuses(&self, prepared: &Prepared) -> Result<Option<Error>> {
        if let Some(id) = &prepared.released
            && quarantine::get(self.work.db, id)?.is_none()
        {
            return Ok(Some(Error::NotFound { what: "quarantine entry" }));
        }
        quarantine::lacks_room(self.work.db, prepared.project, &prepared.quarantined)
    }

    /// Decides about all that `prepared` brings. Nothing counts before [`Batch::flush`] and the commit.
    pub(crate) fn apply(&mut self, prepared: &'p Prepared) -> Result<Ingested> {
        if let Some(tick) = &prepared.late_monitor
            && !monitors::tick(self.work.db, prepared.project, tick, prepared.received_at)?
        {
            // It was heard of in the meantime: what the events tell is not so.
            return Ok(Ingested::default());
        }
        let mut ingested = Ingested { events: Vec::with_capacity(prepared.events.len()), side: Vec::new() };
        for event in &prepared.events {
            let fate = self.event(prepared, event)?;
            self.count(prepared, fate.outcome, Reason::None, event.category, 1);
            self.findings(prepared, event, &fate);
            self.files(prepared, event, fate.outcome, &mut ingested.side);
            ingested.events.push(fate);
        }
        self.rest(prepared, &mut ingested.side)?;
        Ok(ingested)
    }

    fn count(
        &mut self,
        prepared: &Prepared,
        outcome: Outcome,
        reason: Reason,
        category: &'static str,
        quantity: u64,
    ) {
        let key =
            (prepared.project, prepared.received_at.hour(), outcome.as_str(), reason.as_str(), category);
        *self.tally.hours.entry(key).or_default() += quantity;
    }

    fn add_to_counter(&mut self, project: ProjectId, name: impl Into<String>, delta: i64) {
        *self.tally.counters.entry((project, name.into())).or_default() += delta;
    }

    fn event(&mut self, prepared: &'p Prepared, event: &'p PreparedEvent) -> Result<Recorded> {
        let project = prepared.project;
        if let Some(seen) = self.seen(project, event.id)? {
            return self.duplicate(event.id, seen);
        }
        if let Some(release) = event.release.as_deref() {
            let delta = self.releases.entry((project, release));
            delta
                .or_insert_with(|| releases::Delta::new(event.timestamp, prepared.received_at))
                .count(event.timestamp, event.trusted);
        }
        let attached = match event.attach_to {
            Some(target) => self.seen(project, target)?.and_then(|seen| seen.ticket_seq),
            None => None,
        };
        if let Some(seq) = attached
            && self.touch(seq)?.is_some()
        {
            return self.known_ticket(prepared, event, seq, true);
        }
        match self.resolve(project, event.key)? {
            Some(seq) => self.known_ticket(prepared, event, seq, false),
            None => self.new_ticket(prepared, event),
        }
    }

    /// Whether an id was seen, in this batch or before.
    fn seen(&self, project: ProjectId, id: EventId) -> Result<Option<SeenId>> {
        if let Some(seen) = self.ids.get(&(project, id)) {
            return Ok(Some(*seen));
        }
        let mut statement = self.work.db.prepare_cached(
            // The ticket may have been merged away since.
            "SELECT coalesce(a.ticket_seq, i.ticket_seq), i.event_seq, i.expires_at FROM event_ids i \
             LEFT JOIN ticket_aliases a ON a.old_seq = i.ticket_seq WHERE i.project_id = ?1 AND i.event_id = ?2",
        )?;
        let found = statement
            .query_row(params![project.0, Hex::of(&id.0).as_str()], |row| {
                Ok(SeenId {
                    ticket_seq: row.get(0)?,
                    event_seq: row.get(1)?,
                    expires_at: row.get::<_, Option<i64>>(2)?.map(Timestamp::from_micros),
                })
            })
            .optional()?;
        Ok(found)
    }

    fn duplicate(&mut self, event_id: EventId, seen: SeenId) -> Result<Recorded> {
        let ticket = match seen.ticket_seq {
            Some(seq) => self.touch(seq)?.map(|t| (t.known.row.ticket.id.clone(), t.known.row.ticket.count)),
            None => None,
        };
        let (ticket_id, count) = ticket.map_or((None, 0), |(id, count)| (Some(id), count));
        Ok(Recorded { event_id, ticket_id, outcome: Outcome::Duplicate, change: Change::Seen, count })
    }

    /// Brings a ticket into the batch.
    fn touch(&mut self, seq: i64) -> Result<Option<&mut Touched<'p>>> {
        if !self.touched.contains_key(&seq) {
            let known = match self.work.cache.take_ticket(seq) {
                Some(known) => known,
                None => match ticket_by_seq(self.work.db, seq)? {
                    Some(row) => Known::new(row),
                    None => return Ok(None),
                },
            };
            self.touched.insert(seq, Touched::new(known, false));
        }
        Ok(self.touched.get_mut(&seq))
    }

    /// The ticket of a key.
    fn resolve(&mut self, project: ProjectId, key: Fingerprint) -> Result<Option<i64>> {
        if let Some(new) = self.new_keys.get(&(project, key)) {
            return Ok(Some(new.ticket_seq));
        }
        if let Some(seq) = self.work.cache.key(project, key) {
            return Ok(Some(seq));
        }
        let seq: Option<i64> = self
            .work
            .db
            .prepare_cached("SELECT ticket_seq FROM ticket_keys WHERE project_id = ?1 AND fingerprint = ?2")?
            .query_row(params![project.0, key_hex(key).as_str()], |row| row.get(0))
            .optional()?;
        if let Some(seq) = seq {
            self.work.cache.put_key(project, key, seq);
        }
        Ok(seq)
    }

    /// Counts an event on a ticket that exists. An attached one (feedback) says nothing about the error itself.
    fn known_ticket(
        &mut self,
        prepared: &'p Prepared,
        event: &'p PreparedEvent,
        seq: i64,
        attached: bool,
    ) -> Result<Recorded> {
        let (project, received_at) = (prepared.project, prepared.received_at);
        let change = if attached { Change::Seen } else { self.transition(prepared, event, seq)? };
        let touched = self.touched_mut(seq)?;
        count_event(touched, event, received_at);
        if !attached {
            describe(touched, event);
        }
        let row = &mut touched.known.row;
        let status = row.ticket.status;
        let ordinal = row.hour_count;
        let (ticket_id, count) = (row.ticket.id.clone(), row.ticket.count);
        let outcome = if status == Status::Held {
            Outcome::Held
        } else if sampling::keeps_body(ordinal, event.sample_after) {
            Outcome::Accepted
        } else {
            Outcome::Sampled
        };
        if outcome == Outcome::Held || (attached && outcome == Outcome::Sampled) {
            // One sample is kept of a held ticket, its first event; and feedback never stands for the error.
            let expires_at = Some(received_at.plus(REMEMBER_MICROS));
            self.ids
                .insert((project, event.id), SeenId { ticket_seq: Some(seq), event_seq: None, expires_at });
        } else {
            self.store(prepared, event, seq, outcome, attached)?;
        }
        if outcome == Outcome::Held {
            self.add_to_counter(project, rows::HELD_EVENTS, 1);
        }
        if status != Status::Held {
            self.raise_on_spike(event, seq, received_at)?;
            self.count_rates(event, seq, received_at)?;
        }
        Ok(Recorded { event_id: event.id, ticket_id: Some(ticket_id), outcome, change, count })
    }

    /// What the event does to the ticket's status and priority.
    fn transition(&mut self, prepared: &Prepared, event: &'p PreparedEvent, seq: i64) -> Result<Change> {
        let order = self.release_order(prepared.project, event, seq)?;
        let touched = self.touched_mut(seq)?;
        let ticket = &mut touched.known.row.ticket;
        let facts = EventFacts {
            at: event.timestamp,
            received_at: prepared.received_at,
            release: event.release.as_deref(),
            release_order: order,
        };
        let effect = lifecycle::on_event(&TicketFacts::from(&*ticket), &facts);
        if effect.change == Change::Regressed {
            ticket.status = effect.status;
            ticket.version += 1;
            ticket.regressions = ticket.regressions.saturating_add(1);
            touched.activity.push(ActivityEntry {
                at: prepared.received_at,
                actor: "system".to_owned(),
                kind: "regressed".to_owned(),
                data: serde_json::json!({
                    "event_id": event.id, "release": event.release,
                    "resolved_at": ticket.resolved_at, "resolved_in": ticket.resolved_in,
                    "resolved_after": ticket.resolved_after,
                }),
            });
            ticket.resolved_at = None;
            ticket.resolved_in = None;
            ticket.resolved_after = None;
            let raised = raise(touched, event, Raise::Regressed, prepared.received_at);
            self.tell_of(Trigger::Regressed, event, seq, prepared.received_at)?;
            if raised {
                self.tell_of(Trigger::Raised, event, seq, prepared.received_at)?;
            }
            self.belongs(prepared.project, event, Part::Regressed, seq);
        }
        Ok(effect.change)
    }

    /// Order of the event's and the fixing release, looked up only where their names do not tell.
    fn release_order(&mut self, project: ProjectId, event: &PreparedEvent, seq: i64) -> Result<ReleaseOrder> {
        let ticket = &self.touch(seq)?.ok_or_else(gone)?.known.row.ticket;
        let release = event.release.as_deref();
        if !lifecycle::needs_release_order(&TicketFacts::from(ticket), release) {
            return Ok(ReleaseOrder::Unknown);
        }
        let (fix, resolved_at) = (ticket.resolved_in.clone(), ticket.resolved_at);
        let waits = ticket.resolved_after.is_some();
        let times = |name: Option<&str>| match name {
            Some(name) => releases::times(self.work.db, project, name),
            None => Ok(None),
        };
        let event = times(release)?;
        if waits {
            return Ok(ReleaseOrder::by_recorded(event.map(|(_, recorded)| recorded), resolved_at));
        }
        let first = |times: Option<(Timestamp, Timestamp)>| times.map(|(first_seen, _)| first_seen);
        Ok(ReleaseOrder::by_first_seen(first(event), first(times(fix.as_deref())?), resolved_at))
    }

    /// Notes that a ticket began in the event's release, or came back with it.
    fn belongs(&mut self, project: ProjectId, event: &'p PreparedEvent, part: Part, seq: i64) {
        let delta = event.release.as_deref().and_then(|release| self.releases.get_mut(&(project, release)));
        if let Some(delta) = delta {
            delta.belongs(part, seq);
        }
    }

    /// Raises a ticket whose rate of this hour is far above its past.
    fn raise_on_spike(&mut self, event: &PreparedEvent, seq: i64, at: Timestamp) -> Result<()> {
        let touched = self.touched_mut(seq)?;
        let row = &touched.known.row;
        if row.hour_count < priority::SPIKE_EVENTS_MIN {
            return Ok(());
        }
        // A ticket is raised once in its life, and a spike that goes on is told once.
        let (raised, project, hour) = (row.ticket.raised, row.ticket.project, row.hour);
        let told = touched.known.spiked == Some(hour);
        if raised && (told || !self.listens(project, Trigger::Spike)?) {
            return Ok(());
        }
        let mean = match self.touched_mut(seq)?.known.trailing {
            Some((of, mean)) if of == hour => mean,
            _ => self.trailing_mean(seq)?,
        };
        let touched = self.touched_mut(seq)?;
        touched.known.trailing = Some((touched.known.row.hour, mean));
        if priority::spike(touched.known.row.hour_count, mean) {
            let raised = raise(touched, event, Raise::Spike, at);
            // An hour without a spike must lie between two that are told.
            let goes_on = touched.known.spiked.is_some_and(|spiked| spiked.saturating_add(1) >= hour);
            touched.known.spiked = Some(hour);
            if !goes_on {
                self.tell_of(Trigger::Spike, event, seq, at)?;
            }
            if raised {
                self.tell_of(Trigger::Raised, event, seq, at)?;
            }
        }
        Ok(())
    }

    fn trailing_mean(&mut self, seq: i64) -> Result<f64> {
        let touched = self.touched_mut(seq)?;
        let (hour, project) = (touched.known.row.hour, touched.known.row.ticket.project);
        let age = hour.saturating_sub(touched.known.row.ticket.created_at.hour()).clamp(1, TRAILING_HOURS);
        let trailing = hour - TRAILING_HOURS..hour;
        let fresh: u64 =
            touched.hours.iter().filter(|(hour, _)| trailing.contains(hour)).map(|(_, many)| many).sum();
        let stored: i64 = self
            .work
            .db
            .prepare_cached(
                "SELECT coalesce(sum(quantity), 0) FROM ticket_hours \
                 WHERE project_id = ?1 AND ticket_seq = ?2 AND hour >= ?3 AND hour < ?4",
            )?
            .query_row(params![project.0, seq, hour - TRAILING_HOURS, hour], |row| row.get(0))?;
        #[allow(clippy::cast_precision_loss)] // counts of a day; the last digits do not matter
        let sum = stored as f64 + fresh as f64;
        #[allow(clippy::cast_precision_loss)] // at most 24
        let hours = age as f64;
        Ok(sum / hours)
    }

    /// Keeps the event with its body. A sampled one takes the place of the latest, until the next one comes.
    fn store(
        &mut self,
        prepared: &'p Prepared,
        event: &'p PreparedEvent,
        ticket_seq: i64,
        outcome: Outcome,
        attached: bool,
    ) -> Result<()> {
        let project = prepared.project;
        let transient = outcome == Outcome::Sampled;
        let seq = self.work.cache.next_event(self.work.db)?;
        if !attached {
            let row = &mut self.touched_mut(ticket_seq)?.known.row;
            let replaced = row.latest_event_seq.filter(|_| row.latest_transient);
            row.latest_event_seq = Some(seq);
            row.latest_transient = transient;
            if let Some(old) = replaced {
                match self.places.get(&old).and_then(|place| self.events.get_mut(*place)) {
                    Some(pending) => pending.dropped = true,
                    None => self.replaced.push((project, old)),
                }
            }
        }
        self.places.insert(seq, self.events.len());
        let received_at = prepared.received_at;
        self.events.push(NewEvent { seq, project, ticket_seq, received_at, outcome, event, dropped: false });
        let expires_at = transient.then(|| received_at.plus(REMEMBER_MICROS));
        let seen = SeenId { ticket_seq: Some(ticket_seq), event_seq: Some(seq), expires_at };
        self.ids.insert((project, event.id), seen);
        Ok(())
    }

    fn touched_mut(&mut self, seq: i64) -> Result<&mut Touched<'p>> {
        self.touch(seq)?.ok_or_else(gone)
    }
}

fn gone() -> Fault {
    Fault::Defect("a key points to a ticket that is gone".to_owned())
}

/// Moves the counters of a ticket.
fn count_event<'p>(touched: &mut Touched<'p>, event: &'p PreparedEvent, received_at: Timestamp) {
    touched.tick(received_at);
    touched.latest = Some(event);
    let row = &touched.known.row;
    for (key, value) in &event.facets {
        FacetDelta::count(&mut touched.facets, key, value, event.timestamp);
    }
    if let Some(user) = event.user_hash
        && row.ticket.users < USERS_MAX
    {
        touched.users.insert(user.cast_signed());
    }
    for finding in &event.findings {
        *touched.redactions.entry(finding.rule.as_str()).or_default() += 1;
    }
}

/// Lets the ticket look like its latest event.
fn describe<'p>(touched: &mut Touched<'p>, event: &'p PreparedEvent) {
    let row = &mut touched.known.row;
    let ticket = &mut row.ticket;
    ticket.origins.note(event.trusted, event.peer);
    if event.timestamp < ticket.first_seen {
        ticket.first_seen = event.timestamp;
        ticket.first_release.clone_from(&event.release);
    }
    if event.timestamp < ticket.last_seen {
        return;
    }
    ticket.last_seen = event.timestamp;
    if ticket.title != event.title || ticket.culprit != event.culprit {
        ticket.title.clone_from(&event.title);
        ticket.culprit.clone_from(&event.culprit);
        // Titles that differ in each event would make the index of words the most of the work.
        if row.indexed_hour != row.hour {
            row.indexed_hour = row.hour;
            touched.words = Some(event);
        }
    }
    ticket.level = event.level;
    ticket.unhandled = event.unhandled;
    if event.release.is_some() {
        ticket.last_release.clone_from(&event.release);
    }
    if event.platform.is_some() {
        ticket.platform.clone_from(&event.platform);
    }
}

/// Makes a ticket more urgent; whether it became so.
fn raise(touched: &mut Touched<'_>, event: &PreparedEvent, cause: Raise, at: Timestamp) -> bool {
    let ticket = &mut touched.known.row.ticket;
    let Some((raised, reason)) = priority::raise(ticket.priority, ticket.raised, event.ceiling, cause) else {
        return false;
    };
    touched.activity.push(ActivityEntry {
        at,
        actor: "system".to_owned(),
        kind: "raised".to_owned(),
        data: serde_json::json!({ "from": ticket.priority, "to": raised, "why": reason }),
    });
    ticket.priority = raised;
    ticket.version += 1;
    ticket.priority_reason = reason;
    ticket.raised = true;
    true
}
