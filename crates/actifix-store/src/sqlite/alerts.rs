//! Channels, rules and mutes; what the hot path must know of them.

use super::projects::collect;
use super::rows::{self, Columns};
use super::writer::Work;
use crate::fault::{Fault, Result};
use actifix_app::error::Error;
use actifix_app::ports::{EndpointRecord, RuleRecord, SealedEndpoint, StateKey};
use actifix_domain::alert::{
    AlertRule, ENDPOINTS_MAX, Interests, Mute, RULE_STATES_MAX, RULES_MAX, RuleState, default_rules,
};
use actifix_domain::id::{ProjectId, TicketId};
use actifix_domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

const COLUMNS: &str = "endpoint_id, name, kind, project_id, place, production, enabled, from_environment, \
     disabled_reason, streak, last_failure, last_failure_at, last_success_at, next_attempt_at, created_at, updated_at, \
     version";
/// Longest reason for which a channel is switched off, characters.
const REASON_CHARS_MAX: usize = 200;
/// The kind of channel that keeps issues elsewhere in step with tickets.
const ISSUES: &str = "github";
/// Stands for the installation where a project is named; no project has it.
const INSTALLATION: i64 = 0;

/// What is listened for, from what is on disk.
pub(crate) fn interests(db: &Connection) -> Result<Interests> {
    let any: bool =
        db.query_row("SELECT exists(SELECT 1 FROM endpoints WHERE enabled = 1)", [], |row| row.get(0))?;
    let issues: bool = db.query_row(
        "SELECT exists(SELECT 1 FROM endpoints WHERE enabled = 1 AND kind = ?1)",
        [ISSUES],
        |row| row.get(0),
    )?;
    let own: Vec<AlertRule> = rules(db)?.into_iter().map(|record| record.rule).collect();
    Ok(if own.is_empty() {
        Interests::new(&default_rules(), any, issues)
    } else {
        Interests::new(&own, any, issues)
    })
}

pub(crate) fn endpoints(db: &Connection) -> Result<Vec<SealedEndpoint>> {
    let sql = format!("SELECT {COLUMNS}, sealed FROM endpoints ORDER BY name LIMIT ?1");
    collect(db, &sql, [limit(ENDPOINTS_MAX)], sealed)
}

fn by_name(db: &Connection, name: &str) -> Result<Option<EndpointRecord>> {
    one(db, "name", name)
}

pub(crate) fn by_id(db: &Connection, id: &str) -> Result<Option<EndpointRecord>> {
    one(db, "endpoint_id", id)
}

fn one(db: &Connection, column: &str, value: &str) -> Result<Option<EndpointRecord>> {
    let sql = format!("SELECT {COLUMNS} FROM endpoints WHERE {column} = ?1");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query([value])?;
    rows.next()?.map(|row| record(&mut Columns::new(row))).transpose()
}

pub(crate) fn add(work: &mut Work<'_>, endpoint: &SealedEndpoint) -> Result<()> {
    let (db, record) = (work.db, &endpoint.record);
    let many: i64 = db.query_row("SELECT count(*) FROM endpoints", [], |row| row.get(0))?;
    if many >= limit(ENDPOINTS_MAX) {
        let message = format!("there are {ENDPOINTS_MAX} channels, which is the most: remove one first");
        return Err(Error::conflict(message).into());
    }
    let made = db
        .prepare_cached(
            "INSERT INTO endpoints (endpoint_id, name, kind, project_id, place, production, enabled, from_environment, \
             streak, created_at, updated_at, version, sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9, ?9, 1, ?10) \
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            record.id,
            record.name,
            record.kind,
            record.project.map(|project| project.0),
            record.place,
            record.production,
            record.enabled,
            record.from_environment,
            record.created_at.micros(),
            endpoint.sealed,
        ])?;
    if made == 0 {
        return Err(Error::conflict(
            "a channel with this name exists: remove it first, or choose another name",
        )
        .into());
    }
    work.cache.forget_interests();
    Ok(())
}

pub(crate) fn save(work: &mut Work<'_>, endpoint: &SealedEndpoint) -> Result<EndpointRecord> {
    let (db, record) = (work.db, &endpoint.record);
    let saved = db
        .prepare_cached(
            "UPDATE endpoints SET place = ?3, production = ?4, streak = CASE WHEN ?5 = 1 AND (enabled = 0 OR ?11) THEN 0 ELSE streak END, \
             next_attempt_at = CASE WHEN ?5 = 1 AND (enabled = 0 OR ?11) THEN NULL ELSE next_attempt_at END, enabled = ?5, \
             disabled_reason = ?6, updated_at = ?7, sealed = ?8, kind = ?9, project_id = ?10, version = version + 1 \
             WHERE endpoint_id = ?1 AND version = ?2",
        )?
        .execute(params![
            record.id,
            rows::quantity(record.version),
            record.place,
            record.production,
            record.enabled,
            record.disabled_reason,
            record.updated_at.micros(),
            endpoint.sealed,
            record.kind,
            record.project.map(|project| project.0),
            record.streak == 0 && record.next_attempt_at.is_none(),
        ])?;
    work.cache.forget_interests();
    match (saved, by_id(db, &record.id)?) {
        (1, Some(record)) => Ok(record),
        (_, Some(_)) => Err(Error::stale().into()),
        (_, None) => Err(Error::NotFound { what: "webhook" }.into()),
    }
}

pub(crate) fn remove(work: &mut Work<'_>, name: &str) -> Result<bool> {
    let db = work.db;
    let Some(record) = by_name(db, name)? else { return Ok(false) };
    for sql in [
        "DELETE FROM deliveries WHERE endpoint_id = ?1",
        "DELETE FROM issue_links WHERE endpoint_id = ?1",
        "DELETE FROM endpoints WHERE endpoint_id = ?1",
    ] {
        db.prepare_cached(sql)?.execute([&record.id])?;
    }
    work.cache.forget_interests();
    Ok(true)
}

/// Switches a channel off, because of what its receiver said.
pub(crate) fn disable(work: &mut Work<'_>, id: &str, reason: &str) -> Result<()> {
    let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
    work.db
        .prepare_cached("UPDATE endpoints SET enabled = 0, disabled_reason = ?2, version = version + 1 WHERE endpoint_id = ?1")?
        .execute(params![id, reason])?;
    work.cache.forget_interests();
    Ok(())
}

pub(crate) fn rules(db: &Connection) -> Result<Vec<RuleRecord>> {
    let sql = "SELECT definition, created_at, version FROM alert_rules ORDER BY name LIMIT ?1";
    collect(db, sql, [limit(RULES_MAX)], |row| {
        let mut c = Columns::new(row);
        Ok(RuleRecord { rule: c.json()?, created_at: c.time()?, version: c.count()? })
    })
}

pub(crate) fn save_rule(work: &mut Work<'_>, rule: &AlertRule, now: Timestamp) -> Result<RuleRecord> {
    let db = work.db;
    let others: i64 =
        db.query_row("SELECT count(*) FROM alert_rules WHERE name <> ?1", [&rule.name], |row| row.get(0))?;
    if others >= limit(RULES_MAX) {
        let message = format!("there are {RULES_MAX} rules, which is the most: remove one first");
        return Err(Error::conflict(message).into());
    }
    db.prepare_cached(
        "INSERT INTO alert_rules (name, definition, created_at, version) VALUES (?1, ?2, ?3, 1) \
         ON CONFLICT (name) DO UPDATE SET definition = excluded.definition, version = version + 1",
    )?
    .execute(params![rule.name, serde_json::to_string(rule)?, now.micros()])?;
    work.cache.forget_interests();
    rules(db)?
        .into_iter()
        .find(|record| record.rule.name == rule.name)
        .ok_or_else(|| Fault::Defect("a rule vanished".to_owned()))
}

pub(crate) fn remove_rule(work: &mut Work<'_>, name: &str) -> Result<bool> {
    let removed = work.db.prepare_cached("DELETE FROM alert_rules WHERE name = ?1")?.execute([name])? > 0;
    work.db.prepare_cached("DELETE FROM alert_states WHERE name = ?1")?.execute([name])?;
    work.cache.forget_interests();
    Ok(removed)
}

pub(crate) fn states(db: &Connection) -> Result<Vec<(StateKey, RuleState)>> {
    let sql = "SELECT name, project_id, state FROM alert_states ORDER BY name, project_id LIMIT ?1";
    collect(db, sql, [limit(RULE_STATES_MAX)], |row| {
        let mut c = Columns::new(row);
        let (name, project): (String, i64) = (c.take()?, c.take()?);
        Ok(((name, (project != INSTALLATION).then_some(ProjectId(project))), c.json()?))
    })
}

pub(crate) fn save_state(db: &Connection, (name, project): &StateKey, state: &RuleState) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO alert_states (name, project_id, state) VALUES (?1, ?2, ?3) \
         ON CONFLICT (name, project_id) DO UPDATE SET state = excluded.state",
    )?
    .execute(params![name, project.map_or(INSTALLATION, |id| id.0), serde_json::to_string(state)?])?;
    Ok(())
}

pub(crate) fn forget_state(db: &Connection, (name, project): &StateKey) -> Result<()> {
    db.prepare_cached("DELETE FROM alert_states WHERE name = ?1 AND project_id = ?2")?
        .execute(params![name, project.map_or(INSTALLATION, |id| id.0)])?;
    Ok(())
}

pub(crate) fn mute(work: &mut Work<'_>, id: &TicketId, mute: Option<&Mute>) -> Result<()> {
    let db = work.db;
    let seq = rows::ticket_seq(db, id)?.ok_or(Error::NotFound { what: "ticket" })?;
    match mute {
        Some(mute) => db
            .prepare_cached(
                "INSERT INTO ticket_mutes (ticket_seq, mute) VALUES (?1, ?2) \
                 ON CONFLICT (ticket_seq) DO UPDATE SET mute = excluded.mute",
            )?
            .execute(params![seq, serde_json::to_string(mute)?])?,
        None => db.prepare_cached("DELETE FROM ticket_mutes WHERE ticket_seq = ?1")?.execute([seq])?,
    };
    Ok(())
}

pub(crate) fn muted(db: &Connection, id: &TicketId) -> Result<Option<Mute>> {
    let Some(seq) = rows::ticket_seq(db, id)? else { return Ok(None) };
    let text: Option<String> = db
        .prepare_cached("SELECT mute FROM ticket_mutes WHERE ticket_seq = ?1")?
        .query_row([seq], |row| row.get(0))
        .optional()?;
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
}

fn record(c: &mut Columns<'_, '_>) -> Result<EndpointRecord> {
    Ok(EndpointRecord {
        id: c.take()?,
        name: c.take()?,
        kind: c.take()?,
        project: c.take::<Option<i64>>()?.map(ProjectId),
        place: c.take()?,
        production: c.take()?,
        enabled: c.take()?,
        from_environment: c.take()?,
        disabled_reason: c.take()?,
        streak: c.take()?,
        last_failure: c.take()?,
        last_failure_at: c.time_optional()?,
        last_success_at: c.time_optional()?,
        next_attempt_at: c.time_optional()?,
        created_at: c.time()?,
        updated_at: c.time()?,
        version: c.count()?,
    })
}

fn sealed(row: &Row<'_>) -> Result<SealedEndpoint> {
    let mut c = Columns::new(row);
    Ok(SealedEndpoint { record: record(&mut c)?, sealed: c.take()? })
}

fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}
