//! Monitors: their state, and which of them are late.

use super::projects::{MONITORS_MAX, collect};
use super::rows::Columns;
use super::writer::Work;
use crate::fault::Result;
use actifix_app::ports::{MonitorFailure, MonitorView};
use actifix_domain::cron::MonitorState;
use actifix_domain::id::ProjectId;
use actifix_domain::time::Timestamp;
use rusqlite::{Connection, Row, params};

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

/// Takes in what is late by `now`, longest overdue first.
pub(crate) fn tick(work: &mut Work<'_>, now: Timestamp) -> Result<Vec<MonitorFailure>> {
    let sql = "SELECT project_id, slug, environment, state FROM monitors WHERE deadline < ?1 \
         ORDER BY deadline LIMIT ?2";
    let mut failures = Vec::new();
    for (project, mut view) in collect(work.db, sql, params![now.micros(), DUE_MAX], view)? {
        let failure = view.state.tick(now);
        save(work.db, project, &view.slug, &view.environment, &view.state)?;
        if let Some(failure) = failure {
            failures.push(MonitorFailure {
                project,
                slug: view.slug,
                environment: view.environment,
                failure,
            });
        }
    }
    Ok(failures)
}

fn view(row: &Row<'_>) -> Result<(ProjectId, MonitorView)> {
    let mut c = Columns::new(row);
    let project = ProjectId(c.take()?);
    Ok((project, MonitorView { slug: c.take()?, environment: c.take()?, state: c.json()? }))
}
