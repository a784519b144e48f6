//! The outbox: signals that were written with a change, and deliveries until somebody has them.

mod due;

use super::alerts;
use super::ingest::{PreparedEvent, event_facets};
use super::projects::collect;
use super::rows::{self, Columns, Place, TicketRow, page_size};
use super::writer::Work;
use super::{SqliteStore, events, hooks};
use crate::fault::Result;
use actifix_app::error::{Error, Result as AppResult};
use actifix_app::ports::{
    AlertStore, Attempt, AttemptEnd, Backlog, DeliveryQuery, DeliveryView, EndpointRecord, Expired,
    HookRecord, LeasedDelivery, NewDelivery, Page, PendingSignal, Routed, RuleRecord, SealedEndpoint,
    SealedHook, StateKey,
};
use actifix_domain::alert::{
    AlertRule, DELIVERY_AGE_MICROS_MAX, ENDPOINTS_MAX, Failure, Interest, Mute, RuleState, Signal, TAGS_MAX,
    Trigger,
};
use actifix_domain::audit::AuditRecord;
use actifix_domain::id::{ProjectId, TicketId};
use actifix_domain::ticket::Ticket;
use actifix_domain::time::{DAY, Timestamp};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::sync::Arc;

/// Signals that wait to be looked at; further ones are only counted, which the outbox tells of.
const SIGNALS_MAX: i64 = 10_000;
/// Messages that wait for one channel; the oldest are given up.
const PENDING_MAX: i64 = 1_000;
/// Ended deliveries that the log keeps, over all channels.
const LOG_MAX: i64 = 10_000;
/// Age at which the log forgets, microseconds.
const LOG_AGE_MICROS: i64 = 30 * DAY;
/// Rows that one tidying ends or forgets.
const TIDY_MAX: i64 = 5_000;
/// Counter of signals for which there was no room.
const BEYOND_CAP: &str = "signals_beyond_cap";

const VIEW: &str = "d.seq, d.delivery_id, e.name, d.\"trigger\", d.ticket_id, d.state, d.test, d.attempts, \
     d.last_failure, d.last_status, d.created_at, d.attempted_at, d.expires_at";

/// What an event did to its ticket, for those who listen.
pub(crate) fn of_event(trigger: Trigger, at: Timestamp, ticket: &Ticket, event: &PreparedEvent) -> Signal {
    Signal {
        title: event.title.clone(),
        culprit: event.culprit.clone(),
        level: Some(event.level),
        environment: event.environment.clone(),
        release: event.release.clone(),
        tags: event.facets.iter().filter(|(key, _)| !is_own(key)).take(TAGS_MAX).cloned().collect(),
        ..Signal::of_ticket(trigger, at, ticket)
    }
}

/// Writes signals in the caller's transaction.
pub(crate) fn write(db: &Connection, signals: &[(Option<i64>, Signal)]) -> Result<()> {
    if signals.is_empty() {
        return Ok(());
    }
    // Numbers rise and the oldest go first, so that their span bounds how many there are.
    let waiting: i64 = db
        .prepare_cached("SELECT coalesce(max(seq) - min(seq) + 1, 0) FROM signals")?
        .query_row([], |row| row.get(0))?;
    let room = usize::try_from(SIGNALS_MAX - waiting).unwrap_or(0);
    for (ticket_seq, signal) in signals.iter().take(room) {
        db.prepare_cached("INSERT INTO signals (ticket_seq, data) VALUES (?1, ?2)")?
            .execute(params![ticket_seq, serde_json::to_string(signal)?])?;
    }
    let beyond = i64::try_from(signals.len().saturating_sub(room)).unwrap_or(i64::MAX);
    rows::add_to_counter(db, ProjectId(0), BEYOND_CAP, beyond)
}

/// Writes a signal that is about no ticket, if somebody listens.
pub(crate) fn tell(work: &mut Work<'_>, signal: Signal) -> Result<()> {
    let interest = interest(work, signal.project)?;
    if interest.has(signal.trigger) {
        write(work.db, &[(None, signal)])?;
    }
    Ok(())
}

/// Writes what became of a ticket without an event, if somebody listens.
pub(crate) fn tell_of(work: &mut Work<'_>, trigger: Trigger, at: Timestamp, row: &TicketRow) -> Result<()> {
    if interest(work, Some(row.ticket.project))?.has(trigger) {
        let signal = as_latest(work.db, row.seq, Signal::of_ticket(trigger, at, &row.ticket))?;
        write(work.db, &[(Some(row.seq), signal)])?;
    }
    Ok(())
}

/// Environment and tags of the ticket's latest stored event, which rules have conditions on; where none is left, as most
/// of its events had them.
fn as_latest(db: &Connection, seq: i64, mut signal: Signal) -> Result<Signal> {
    let Some(project) = signal.project else { return Ok(signal) };
    let latest: Option<i64> = db
        .prepare_cached("SELECT max(seq) FROM events WHERE project_id = ?1 AND ticket_seq = ?2")?
        .query_row(params![project.0, seq], |row| row.get(0))?;
    // A body that does not open is told of by those who read it, and must not keep anybody from working on the ticket.
    let Some(event) = latest.and_then(|latest| events::body(db, latest).ok().flatten()) else {
        return with_facets(db, seq, signal);
    };
    let (own, tags): (Vec<_>, Vec<_>) = event_facets(&event).into_iter().partition(|(key, _)| is_own(key));
    signal.environment =
        own.into_iter().find(|(key, _)| key == "environment").map(|(_, environment)| environment);
    signal.tags = tags.into_iter().take(TAGS_MAX).collect();
    Ok(signal)
}

/// Facets that a signal has members for.
fn is_own(key: &str) -> bool {
    matches!(key, "environment" | "release")
}

/// What is listened for in a project, or everywhere.
pub(crate) fn interest(work: &mut Work<'_>, project: Option<ProjectId>) -> Result<Arc<Interest>> {
    let interests = work.cache.interests(work.db)?;
    Ok(Arc::clone(interests.of(project.unwrap_or(ProjectId(0)))))
}

fn pending(db: &Connection, limit: u32) -> Result<Vec<PendingSignal>> {
    let sql = "SELECT s.seq, s.data, m.mute FROM signals s LEFT JOIN ticket_mutes m ON m.ticket_seq = s.ticket_seq \
         ORDER BY s.seq LIMIT ?1";
    collect(db, sql, [limit], |row| {
        let mut c = Columns::new(row);
        let (seq, signal) = (c.take()?, c.json()?);
        let mute: Option<String> = c.take()?;
        Ok(PendingSignal { seq, signal, mute: mute.map(|text| serde_json::from_str(&text)).transpose()? })
    })
}

fn route(work: &mut Work<'_>, routed: &Routed) -> Result<()> {
    let db = work.db;
    for seq in &routed.signals {
        db.prepare_cached("DELETE FROM signals WHERE seq = ?1")?.execute([seq])?;
    }
    for key in &routed.forgotten {
        alerts::forget_state(db, key)?;
    }
    for (key, state) in &routed.states {
        alerts::save_state(db, key, state)?;
    }
    for id in &routed.unmuted {
        alerts::mute(work, id, None)?;
    }
    for delivery in &routed.deliveries {
        insert(db, delivery, "pending", false, None, None)?;
        give_up_oldest(db, &delivery.endpoint)?;
    }
    Ok(())
}

fn insert(
    db: &Connection,
    new: &NewDelivery,
    state: &str,
    test: bool,
    failure: Option<Failure>,
    status: Option<u16>,
) -> Result<()> {
    // A channel that was removed meanwhile gets nothing.
    db.prepare_cached(
        "INSERT INTO deliveries (delivery_id, endpoint_id, \"trigger\", ticket_id, notice, test, state, attempts, \
         last_failure, last_status, created_at, attempted_at, expires_at) \
         SELECT ?1, endpoint_id, ?3, ?4, ?5, ?6, ?7, ?6, ?8, ?9, ?10, CASE WHEN ?6 THEN ?10 END, ?11 \
         FROM endpoints WHERE endpoint_id = ?2",
    )?
    .execute(params![
        new.id,
        new.endpoint,
        new.trigger.map(Trigger::as_str),
        new.ticket.as_ref().map(TicketId::as_str),
        new.notice,
        test,
        state,
        failure.map(Failure::as_str),
        status,
        new.created_at.micros(),
        new.created_at.plus(DELIVERY_AGE_MICROS_MAX).micros(),
    ])?;
    Ok(())
}

/// A test that arrived shows that the way is open: what waits behind failures is sent at once.
fn record_test(
    work: &mut Work<'_>,
    delivery: &NewDelivery,
    failure: Option<Failure>,
    status: Option<u16>,
) -> Result<()> {
    let state = if failure.is_none() { "delivered" } else { "dead" };
    insert(work.db, delivery, state, true, failure, status)?;
    if failure.is_none() {
        work.db
            .prepare_cached(
                "UPDATE endpoints SET streak = 0, next_attempt_at = NULL, last_success_at = ?2 WHERE endpoint_id = ?1",
            )?
            .execute(params![delivery.endpoint, delivery.created_at.micros()])?;
    }
    Ok(())
}

/// Bounds what waits for one channel: an hour of silence must not be followed by a thousand messages.
fn give_up_oldest(db: &Connection, endpoint: &str) -> Result<()> {
    db.prepare_cached(
        "UPDATE deliveries SET state = 'dead', last_failure = 'overflow', leased_until = NULL WHERE seq <= ( \
           SELECT seq FROM deliveries WHERE endpoint_id = ?1 AND state = 'pending' ORDER BY seq DESC LIMIT 1 OFFSET ?2) \
         AND endpoint_id = ?1 AND state = 'pending'",
    )?
    .execute(params![endpoint, PENDING_MAX])?;
    Ok(())
}

fn record_attempt(work: &mut Work<'_>, attempt: &Attempt) -> Result<Option<EndpointRecord>> {
    let db = work.db;
    let (state, failure, not_before) = match attempt.end {
        AttemptEnd::Delivered => ("delivered", None, None),
        AttemptEnd::Again { failure, not_before } => ("pending", Some(failure), Some(not_before)),
        AttemptEnd::Dead { failure, not_before } => ("dead", Some(failure), Some(not_before)),
    };
    let known = db
        .prepare_cached(
            "UPDATE deliveries SET state = ?3, leased_until = NULL, last_failure = coalesce(?4, last_failure), \
             last_status = ?5, attempted_at = ?6 WHERE delivery_id = ?1 AND attempts = ?2 AND state = 'pending'",
        )?
        .execute(params![
            attempt.delivery,
            attempt.attempts,
            state,
            failure.map(Failure::as_str),
            attempt.status,
            attempt.at.micros()
        ])?;
    if known == 0 {
        return Ok(None);
    }
    match failure {
        None => db
            .prepare_cached(
                "UPDATE endpoints SET streak = 0, next_attempt_at = NULL, last_success_at = ?2 WHERE endpoint_id = ?1",
            )?
            .execute(params![attempt.endpoint, attempt.at.micros()])?,
        Some(failure) => db
            .prepare_cached(
                "UPDATE endpoints SET streak = streak + 1, next_attempt_at = ?3, last_failure = ?4, last_failure_at = ?2 \
                 WHERE endpoint_id = ?1",
            )?
            .execute(params![
                attempt.endpoint,
                attempt.at.micros(),
                not_before.map(Timestamp::micros),
                failure.as_str()
            ])?,
    };
    if let Some((ticket, issue)) = &attempt.issue {
        db.prepare_cached(
            "INSERT INTO issue_links (endpoint_id, ticket_id, issue) VALUES (?1, ?2, ?3) \
             ON CONFLICT (endpoint_id, ticket_id) DO UPDATE SET issue = excluded.issue",
        )?
        .execute(params![attempt.endpoint, ticket.as_str(), rows::quantity(*issue)])?;
    }
    if let Some(reason) = &attempt.disable {
        alerts::disable(work, &attempt.endpoint, reason)?;
    }
    alerts::by_id(work.db, &attempt.endpoint)
}

fn list(db: &Connection, query: &DeliveryQuery) -> Result<Page<DeliveryView>> {
    let limit = page_size(query.limit);
    let place = Place::parse(query.cursor.as_ref(), "deliveries")?;
    let sql = format!(
        "SELECT {VIEW} FROM deliveries d JOIN endpoints e ON e.endpoint_id = d.endpoint_id \
         WHERE d.seq < ?1 AND (?2 IS NULL OR e.name = ?2) AND (?3 IS NULL OR d.state = ?3) ORDER BY d.seq DESC LIMIT ?4"
    );
    let asked = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let values = params![place.0, query.endpoint, query.state, asked];
    let mut found = collect(db, &sql, values, view)?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next_cursor = found.last().filter(|_| more).map(|(seq, _)| Place(*seq, 0).cursor("deliveries"));
    Ok(Page { items: found.into_iter().map(|(_, view)| view).collect(), next_cursor, total: None })
}

fn view(row: &Row<'_>) -> Result<(i64, DeliveryView)> {
    let mut c = Columns::new(row);
    let seq = c.take()?;
    let view = DeliveryView {
        id: c.take()?,
        endpoint: c.take()?,
        trigger: c.take()?,
        ticket: c.parse_optional()?,
        state: c.take()?,
        test: c.take()?,
        attempts: c.take()?,
        last_failure: c.take()?,
        last_status: c.take()?,
        created_at: c.time()?,
        attempted_at: c.time_optional()?,
        expires_at: c.time()?,
    };
    Ok((seq, view))
}

fn redeliver(work: &mut Work<'_>, id: &str, now: Timestamp) -> Result<bool> {
    let db = work.db;
    let found: Option<(String, bool)> = db
        .prepare_cached("SELECT state, test FROM deliveries WHERE delivery_id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match found {
        None => return Ok(false),
        Some((_, true)) => {
            return Err(Error::conflict("it was a test: run `actifix webhook test` again").into());
        }
        Some((state, _)) if state == "pending" => {
            return Err(Error::conflict("it waits to be sent already").into());
        }
        Some(_) => {}
    }
    db.prepare_cached(
        "UPDATE deliveries SET state = 'pending', leased_until = NULL, expires_at = ?2 WHERE delivery_id = ?1",
    )?
    .execute(params![id, now.plus(DELIVERY_AGE_MICROS_MAX).micros()])?;
    // Whoever asks for it wants to see it happen, whatever happened before.
    db.prepare_cached(
        "UPDATE endpoints SET next_attempt_at = NULL WHERE endpoint_id = \
         (SELECT endpoint_id FROM deliveries WHERE delivery_id = ?1)",
    )?
    .execute([id])?;
    Ok(true)
}

fn backlog(db: &Connection) -> Result<Vec<Backlog>> {
    let sql = "SELECT e.name, \
         (SELECT count(*) FROM deliveries WHERE endpoint_id = e.endpoint_id AND state = 'pending'), \
         (SELECT created_at FROM deliveries WHERE endpoint_id = e.endpoint_id AND state = 'pending' ORDER BY seq LIMIT 1), \
         (SELECT count(*) FROM deliveries WHERE endpoint_id = e.endpoint_id AND state = 'dead' AND test = 0) \
         FROM endpoints e ORDER BY e.name LIMIT ?1";
    collect(db, sql, [i64::try_from(ENDPOINTS_MAX).unwrap_or(i64::MAX)], |row| {
        let mut c = Columns::new(row);
        Ok(Backlog {
            endpoint: c.take()?,
            pending: c.count()?,
            oldest_at: c.time_optional()?,
            dead: c.count()?,
        })
    })
}

fn tidy(work: &mut Work<'_>, now: Option<Timestamp>) -> Result<u64> {
    let db = work.db;
    let mut forgotten = 0;
    if let Some(now) = now {
        forgotten = db.execute(
            "DELETE FROM deliveries WHERE seq IN (SELECT seq FROM deliveries WHERE state <> 'pending' AND created_at < ?1 LIMIT ?2)",
            params![now.plus(-LOG_AGE_MICROS).micros(), TIDY_MAX],
        )?;
        hooks::forget_old(db, now)?;
    }
    let cut = db.execute(
        "DELETE FROM deliveries WHERE seq IN (SELECT seq FROM deliveries WHERE state <> 'pending' \
         ORDER BY seq DESC LIMIT ?1 OFFSET ?2)",
        params![TIDY_MAX, LOG_MAX],
    )?;
    db.execute("DELETE FROM ticket_mutes WHERE ticket_seq NOT IN (SELECT seq FROM tickets)", [])?;
    hooks::forget_excess(db)?;
    Ok(u64::try_from(forgotten + cut).unwrap_or(u64::MAX))
}

fn past(db: &Connection, project: Option<ProjectId>, from: Timestamp, limit: u32) -> Result<Vec<Signal>> {
    let only = project.map(|project| project.0);
    let mut found = past_tickets(db, only, from, limit)?;
    let sql = "SELECT ticket_seq, at, kind, data FROM ticket_activity WHERE at >= ?1 AND (?2 IS NULL OR project_id = ?2) \
         AND kind IN ('regressed', 'raised', 'resolved') ORDER BY at LIMIT ?3";
    let lines: Vec<(i64, Timestamp, String, String)> =
        collect(db, sql, params![from.micros(), only, limit], |row| {
            let mut c = Columns::new(row);
            Ok((c.take()?, c.time()?, c.take()?, c.take()?))
        })?;
    for (seq, at, kind, data) in lines {
        let Some(row) = rows::ticket_by_seq(db, seq)? else { continue };
        let spiked = data.contains("its rate spiked");
        let triggers: &[Trigger] = match kind.as_str() {
            "regressed" => &[Trigger::Regressed],
            "resolved" => &[Trigger::Resolved],
            _ if spiked => &[Trigger::Raised, Trigger::Spike],
            _ => &[Trigger::Raised],
        };
        for trigger in triggers {
            found.push(with_facets(db, seq, Signal::of_ticket(*trigger, at, &row.ticket))?);
        }
    }
    found.extend(past_rest(db, only, from, limit)?);
    found.sort_by_key(|signal| signal.at);
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(found)
}

fn past_tickets(db: &Connection, only: Option<i64>, from: Timestamp, limit: u32) -> Result<Vec<Signal>> {
    let sql = format!(
        "SELECT {} FROM tickets WHERE created_at >= ?1 AND (?2 IS NULL OR project_id = ?2) AND status <> 'held' \
         ORDER BY created_at LIMIT ?3",
        rows::TICKET_COLUMNS
    );
    let tickets = collect(db, &sql, params![from.micros(), only, limit], rows::ticket_row)?;
    tickets
        .into_iter()
        .map(|row| {
            with_facets(db, row.seq, Signal::of_ticket(Trigger::New, row.ticket.created_at, &row.ticket))
        })
        .collect()
}

/// Hours of tickets (as rates), the brake, and findings.
fn past_rest(db: &Connection, only: Option<i64>, from: Timestamp, limit: u32) -> Result<Vec<Signal>> {
    let mut found = Vec::new();
    let sql = "SELECT ticket_seq, hour, quantity FROM ticket_hours WHERE hour >= ?1 AND (?2 IS NULL OR project_id = ?2) \
         ORDER BY hour LIMIT ?3";
    let hours: Vec<(i64, i64, u64)> = collect(db, sql, params![from.hour(), only, limit], |row| {
        let mut c = Columns::new(row);
        Ok((c.take()?, c.take()?, c.count()?))
    })?;
    for (seq, hour, quantity) in hours {
        let Some(row) = rows::ticket_by_seq(db, seq)? else { continue };
        let at = Timestamp::from_micros(hour.saturating_mul(actifix_domain::time::HOUR));
        let signal = with_facets(db, seq, Signal::of_ticket(Trigger::Rate, at, &row.ticket))?;
        found.push(Signal { count: quantity, ..signal });
    }
    let sql = "SELECT at, project_id, decision FROM throttle_records WHERE at >= ?1 AND (?2 IS NULL OR project_id = ?2) \
         AND decision IN ('brake_off', 'brake_soft', 'brake_hard') ORDER BY at LIMIT ?3";
    found.extend(collect(db, sql, params![from.micros(), only, limit], |row| {
        let mut c = Columns::new(row);
        let (at, project, word): (Timestamp, i64, String) = (c.time()?, c.take()?, c.take()?);
        Ok(brake(at, ProjectId(project), &word))
    })?);
    let sql = "SELECT first_seen, project_id, finding_id, rule, severity FROM findings WHERE first_seen >= ?1 \
         AND (?2 IS NULL OR project_id = ?2) ORDER BY first_seen LIMIT ?3";
    found.extend(collect(db, sql, params![from.micros(), only, limit], |row| {
        let mut c = Columns::new(row);
        let (at, project): (Timestamp, i64) = (c.time()?, c.take()?);
        let (id, rule, severity): (String, String, String) = (c.take()?, c.take()?, c.take()?);
        Ok(finding(at, ProjectId(project), &id, &rule, &severity))
    })?);
    Ok(found)
}

/// Environment, release and tags as most of the ticket's events have them.
fn with_facets(db: &Connection, seq: i64, mut signal: Signal) -> Result<Signal> {
    let Some(project) = signal.project else { return Ok(signal) };
    let sql = "SELECT key, value FROM ticket_facets WHERE project_id = ?1 AND ticket_seq = ?2 ORDER BY quantity LIMIT 500";
    let facets: Vec<(String, String)> =
        collect(db, sql, params![project.0, seq], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (key, value) in facets {
        match key.as_str() {
            "environment" => signal.environment = Some(value),
            "release" => signal.release = Some(value),
            _ => drop(signal.tags.insert(key, value)),
        }
    }
    Ok(signal)
}

/// The brake of a project went to the level of this word.
pub(crate) fn brake(at: Timestamp, project: ProjectId, word: &str) -> Signal {
    let (title, detail) = match word {
        "brake_soft" => ("Emergency brake on", "new tickets of P2 to P4 are held"),
        "brake_hard" => ("Emergency brake on, fully", "all new tickets are held"),
        _ => ("Emergency brake off", "new tickets are announced again"),
    };
    let mut signal = Signal::new(Trigger::Brake, at, format!("{word}:{project}"), title);
    signal.project = Some(project);
    detail.clone_into(&mut signal.detail);
    signal
}

/// A secret was found for the first time.
pub(crate) fn finding(at: Timestamp, project: ProjectId, id: &str, rule: &str, severity: &str) -> Signal {
    let mut signal =
        Signal::new(Trigger::Finding, at, format!("finding:{id}"), format!("Secret found: {rule}"));
    signal.project = Some(project);
    signal.detail = format!("severity {severity}; see `actifix findings show {id}`");
    signal
}

#[async_trait]
impl AlertStore for SqliteStore {
    async fn endpoints(&self) -> AppResult<Vec<SealedEndpoint>> {
        self.read(alerts::endpoints).await
    }

    async fn add_endpoint(&self, endpoint: &SealedEndpoint, audit: &AuditRecord) -> AppResult<()> {
        let endpoint = endpoint.clone();
        self.audited(audit, move |work| alerts::add(work, &endpoint)).await
    }

    async fn save_endpoint(
        &self,
        endpoint: &SealedEndpoint,
        audit: &AuditRecord,
    ) -> AppResult<EndpointRecord> {
        let endpoint = endpoint.clone();
        self.audited(audit, move |work| alerts::save(work, &endpoint)).await
    }

    async fn remove_endpoint(&self, name: &str, audit: &AuditRecord) -> AppResult<bool> {
        let name = name.to_owned();
        self.audited_if(audit, |gone| *gone, move |work| alerts::remove(work, &name)).await
    }

    async fn alert_rules(&self) -> AppResult<Vec<RuleRecord>> {
        self.read(alerts::rules).await
    }

    async fn save_alert_rule(
        &self,
        rule: &AlertRule,
        now: Timestamp,
        told: Routed,
        audit: &AuditRecord,
    ) -> AppResult<RuleRecord> {
        let rule = rule.clone();
        self.audited(audit, move |work| {
            let saved = alerts::save_rule(work, &rule, now)?;
            route(work, &told)?;
            Ok(saved)
        })
        .await
    }

    async fn remove_alert_rule(&self, name: &str, told: Routed, audit: &AuditRecord) -> AppResult<bool> {
        let name = name.to_owned();
        let remove = move |work: &mut Work<'_>| {
            let removed = alerts::remove_rule(work, &name)?;
            if removed {
                route(work, &told)?;
            }
            Ok(removed)
        };
        self.audited_if(audit, |gone| *gone, remove).await
    }

    async fn mute_ticket(&self, id: &TicketId, mute: Option<&Mute>, audit: &AuditRecord) -> AppResult<()> {
        let (id, mute) = (id.clone(), mute.cloned());
        self.audited(audit, move |work| alerts::mute(work, &id, mute.as_ref())).await
    }

    async fn ticket_mute(&self, id: &TicketId) -> AppResult<Option<Mute>> {
        let id = id.clone();
        self.read(move |db| alerts::muted(db, &id)).await
    }

    async fn raise_signals(&self, signals: Vec<Signal>) -> AppResult<()> {
        self.write(move |work| signals.into_iter().try_for_each(|signal| tell(work, signal))).await
    }

    async fn take_lost_signals(&self) -> AppResult<u64> {
        let lost = |db: &Connection| rows::counter(db, ProjectId(0), BEYOND_CAP);
        // Mostly none, which costs no transaction.
        if self.read(lost).await? == 0 {
            return Ok(0);
        }
        self.write(move |work| {
            let many = lost(work.db)?;
            rows::add_to_counter(work.db, ProjectId(0), BEYOND_CAP, -rows::quantity(many))?;
            Ok(many)
        })
        .await
    }

    async fn pending_signals(&self, limit: u32) -> AppResult<Vec<PendingSignal>> {
        self.read(move |db| pending(db, limit)).await
    }

    async fn rule_states(&self) -> AppResult<Vec<(StateKey, RuleState)>> {
        self.read(alerts::states).await
    }

    async fn route(&self, routed: Routed) -> AppResult<()> {
        self.write(move |work| route(work, &routed)).await
    }

    async fn past_signals(
        &self,
        project: Option<ProjectId>,
        from: Timestamp,
        limit: u32,
    ) -> AppResult<Vec<Signal>> {
        self.read(move |db| past(db, project, from, limit)).await
    }

    async fn due_channels(&self, now: Timestamp) -> AppResult<Vec<String>> {
        // Asked often and mostly for nothing, which costs no transaction.
        self.read(move |db| due::channels(db, now)).await
    }

    async fn lease_deliveries(
        &self,
        now: Timestamp,
        until: Timestamp,
        only: &[String],
    ) -> AppResult<Vec<LeasedDelivery>> {
        let only = only.to_vec();
        self.write(move |work| due::lease(work, now, until, &only)).await
    }

    async fn end_delivery_leases(&self) -> AppResult<()> {
        let sql =
            "UPDATE deliveries SET leased_until = NULL WHERE leased_until IS NOT NULL AND state = 'pending'";
        self.write(move |work| Ok(work.db.execute(sql, []).map(drop)?)).await
    }

    async fn record_attempt(&self, attempt: Attempt) -> AppResult<Option<EndpointRecord>> {
        self.write(move |work| record_attempt(work, &attempt)).await
    }

    async fn record_test(
        &self,
        delivery: NewDelivery,
        failure: Option<Failure>,
        status: Option<u16>,
    ) -> AppResult<()> {
        self.write(move |work| record_test(work, &delivery, failure, status)).await
    }

    async fn deliveries(&self, query: DeliveryQuery) -> AppResult<Page<DeliveryView>> {
        self.read(move |db| list(db, &query)).await
    }

    async fn redeliver(&self, id: &str, now: Timestamp, audit: &AuditRecord) -> AppResult<bool> {
        let id = id.to_owned();
        self.audited_if(audit, |found| *found, move |work| redeliver(work, &id, now)).await
    }

    async fn backlog(&self) -> AppResult<Vec<Backlog>> {
        self.read(backlog).await
    }

    async fn expire_deliveries(&self, now: Timestamp) -> AppResult<Vec<Expired>> {
        self.write(move |work| due::expire(work, now, TIDY_MAX)).await
    }

    async fn tidy_deliveries(&self, now: Timestamp, by_age: bool) -> AppResult<u64> {
        self.write(move |work| tidy(work, by_age.then_some(now))).await
    }

    async fn issue_of(&self, endpoint: &str, ticket: &TicketId) -> AppResult<Option<u64>> {
        let (endpoint, ticket) = (endpoint.to_owned(), ticket.clone());
        let sql = "SELECT issue FROM issue_links WHERE endpoint_id = ?1 AND ticket_id = ?2";
        self.read(move |db| {
            let found: Option<i64> = db
                .prepare_cached(sql)?
                .query_row(params![endpoint, ticket.as_str()], |row| row.get(0))
                .optional()?;
            Ok(found.and_then(|issue| u64::try_from(issue).ok()))
        })
        .await
    }

    async fn hooks(&self) -> AppResult<Vec<HookRecord>> {
        self.read(hooks::all).await
    }

    async fn hook(&self, name: &str) -> AppResult<Option<SealedHook>> {
        let name = name.to_owned();
        self.read(move |db| hooks::get(db, &name)).await
    }

    async fn add_hook(&self, hook: &SealedHook, audit: &AuditRecord) -> AppResult<()> {
        let hook = hook.clone();
        self.audited(audit, move |work| hooks::add(work, &hook)).await
    }

    async fn save_hook_secret(&self, hook: &SealedHook, audit: &AuditRecord) -> AppResult<bool> {
        let hook = hook.clone();
        self.audited_if(audit, |changed| *changed, move |work| hooks::save_secret(work, &hook)).await
    }

    async fn remove_hook(&self, name: &str, audit: &AuditRecord) -> AppResult<bool> {
        let name = name.to_owned();
        self.audited_if(audit, |gone| *gone, move |work| hooks::remove(work, &name)).await
    }

    async fn first_sight(&self, hook: &str, message: &str, now: Timestamp) -> AppResult<bool> {
        let (hook, message) = (hook.to_owned(), message.to_owned());
        self.write(move |work| hooks::first_sight(work, &hook, &message, now)).await
    }
}
