//! Monitors: their state, and which of them are late.

use super::projects::{MONITORS_MAX, collect};
use super::rows::Columns;
use crate::fault::Result;
use actifix_app::ports::{LateMonitor, MonitorTick, MonitorView};
use actifix_domain::cron::MonitorState;
use actifix_domain::id::ProjectId;
use actifix_domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// Late monitors of one call.
const DUE_MAX: u32 = 500;

pub(crate) fn list(db: &Connection, project: ProjectId) -> Result<Vec<MonitorView>> {
    let sql = "SELECT project_id, slug, environment, state FROM monitors WHERE project_id = ?1 \
         ORDER BY slug, environment LIMIT ?2";
    let found = collect(db, sql, params![project.0, MONITORS_MAX], view)?;
    Ok(found.into_iter().map(|(_, view)| view).collect())
}

pub(crate) fn save(
    db: &Connection,
    project: ProjectId,
    slug: &str,
    environment: &str,
    state: &MonitorState,
) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO monitors (project_id, slug, environment, state, deadline) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (project_id, slug, environment) \
         DO UPDATE SET state = excluded.state, deadline = excluded.deadline",
    )?
    .execute(params![
        project.0,
        slug,
        environment,
        serde_json::to_string(state)?,
        state.deadline().map(Timestamp::micros)
    ])?;
    Ok(())
}

/// What is late by `now`, longest overdue first.
pub(crate) fn late(db: &Connection, now: Timestamp) -> Result<Vec<LateMonitor>> {
    let sql = "SELECT project_id, slug, environment, state FROM monitors WHERE deadline < ?1 \
         ORDER BY deadline LIMIT ?2";
    let found = collect(db, sql, params![now.micros(), DUE_MAX], view)?;
    let late = found.into_iter().filter_map(|(project, view)| {
        let (failure, deadline) = (view.state.due(now)?, view.state.deadline()?);
        Some(LateMonitor { project, slug: view.slug, environment: view.environment, failure, deadline })
    });
    Ok(late.collect())
}

/// Takes the failure of a late monitor in; false when it is not late any more, or was taken in before.
pub(crate) fn tick(db: &Connection, project: ProjectId, tick: &MonitorTick, now: Timestamp) -> Result<bool> {
    let Some(mut state) = state(db, project, &tick.slug, &tick.environment)? else { return Ok(false) };
    if state.deadline() != Some(tick.deadline) || state.tick(now).is_none() {
        return Ok(false);
    }
    save(db, project, &tick.slug, &tick.environment, &state)?;
    Ok(true)
}

/// State of a monitor, if it is known.
pub(crate) fn state(
    db: &Connection,
    project: ProjectId,
    slug: &str,
    environment: &str,
) -> Result<Option<MonitorState>> {
    let text: Option<String> = db
        .prepare_cached(
            "SELECT state FROM monitors WHERE project_id = ?1 AND slug = ?2 AND environment = ?3",
        )?
        .query_row(params![project.0, slug, environment], |row| row.get(0))
        .optional()?;
    Ok(text.as_deref().map(serde_json::from_str).transpose()?)
}

fn view(row: &Row<'_>) -> Result<(ProjectId, MonitorView)> {
    let mut c = Columns::new(row);
    let project = ProjectId(c.take()?);
    Ok((project, MonitorView { slug: c.take()?, environment: c.take()?, state: c.json()? }))
}
