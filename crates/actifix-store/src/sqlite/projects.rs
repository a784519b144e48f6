//! Projects, keys, outcome totals.

use super::rows::Columns;
use super::writer::Work;
use crate::fault::{Fault, Result};
use actifix_app::error::Error;
use actifix_app::ports::{KeyRecord, OutcomeTotal};
use actifix_domain::id::{ProjectId, PublicKey};
use actifix_domain::project::{KEYS_MAX, KeyKind, Project, ProjectKey, ProjectSettings};
use actifix_domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// Projects of one installation.
pub(crate) const PROJECTS_MAX: u32 = 1_000;
/// Monitors of one project.
pub(crate) const MONITORS_MAX: u32 = 1_000;
/// Unlisted origins kept per key.
const UNLISTED_MAX: u32 = 20;

const PROJECT_COLUMNS: &str = "project_id, name, settings, created_at, version";
const KEY_COLUMNS: &str =
    "project_id, public_key, label, kind, enabled, allowed_origins, rate_per_minute, created_at, version";

pub(crate) fn create(
    work: &mut Work<'_>,
    id: Option<ProjectId>,
    name: &str,
    first_key: Option<ProjectKey>,
    now: Timestamp,
) -> Result<Project> {
    let db = work.db;
    if !Project::is_valid_name(name) {
        return Err(Error::invalid("name", "1 to 64 letters, digits, `-`, `_`, `.`; not only digits").into());
    }
    let many: u32 = db.query_row("SELECT count(*) FROM projects", [], |row| row.get(0))?;
    if many >= PROJECTS_MAX {
        return Err(Error::conflict(format!("there are {PROJECTS_MAX} projects, which is the most")).into());
    }
    let id = match id {
        Some(id) if id.0 < 1 => return Err(Error::invalid("id", "a number from 1").into()),
        Some(id) => id,
        None => {
            ProjectId(
                db.query_row("SELECT coalesce(max(project_id), 0) + 1 FROM projects", [], |row| row.get(0))?,
            )
        }
    };
    let project = Project {
        id,
        name: name.to_owned(),
        settings: ProjectSettings::default(),
        created_at: now,
        version: 1,
    };
    let made = db.prepare_cached(
        "INSERT INTO projects (project_id, name, settings, created_at, version) VALUES (?1, ?2, ?3, ?4, 1) \
         ON CONFLICT DO NOTHING",
    )?
    .execute(params![id.0, name, serde_json::to_string(&project.settings)?, now.micros()])?;
    if made == 0 {
        return Err(Error::conflict("a project with this id or name exists: choose another").into());
    }
    if let Some(key) = first_key {
        add_key(work, &ProjectKey { project: id, ..key })?;
    }
    Ok(project)
}

pub(crate) fn get(db: &Connection, id: ProjectId) -> Result<Option<Project>> {
    one(db, &format!("SELECT {PROJECT_COLUMNS} FROM projects WHERE project_id = ?1"), params![id.0])
}

pub(crate) fn by_name(db: &Connection, name: &str) -> Result<Option<Project>> {
    one(db, &format!("SELECT {PROJECT_COLUMNS} FROM projects WHERE name = ?1"), params![name])
}

pub(crate) fn all(db: &Connection) -> Result<Vec<Project>> {
    let sql = format!("SELECT {PROJECT_COLUMNS} FROM projects ORDER BY project_id LIMIT {PROJECTS_MAX}");
    collect(db, &sql, [], project)
}

pub(crate) fn save(work: &mut Work<'_>, project: &Project) -> Result<Project> {
    if !Project::is_valid_name(&project.name) {
        return Err(Error::invalid("name", "1 to 64 letters, digits, `-`, `_`, `.`; not only digits").into());
    }
    let db = work.db;
    let taken: Option<i64> = db
        .prepare_cached("SELECT project_id FROM projects WHERE name = ?1 AND project_id <> ?2")?
        .query_row(params![project.name, project.id.0], |row| row.get(0))
        .optional()?;
    if taken.is_some() {
        return Err(Error::conflict("another project has this name: choose another").into());
    }
    let changed = db
        .prepare_cached(
            "UPDATE projects SET name = ?2, settings = ?3, version = version + 1 \
             WHERE project_id = ?1 AND version = ?4",
        )?
        .execute(params![
            project.id.0,
            project.name,
            serde_json::to_string(&project.settings)?,
            super::rows::quantity(project.version)
        ])?;
    if changed == 0 {
        return Err(if get(db, project.id)?.is_some() {
            Error::stale()
        } else {
            Error::NotFound { what: "project" }
        }
        .into());
    }
    get(db, project.id)?.ok_or_else(|| Error::NotFound { what: "project" }.into())
}

pub(crate) fn add_key(work: &mut Work<'_>, key: &ProjectKey) -> Result<()> {
    if get(work.db, key.project)?.is_none() {
        return Err(Error::NotFound { what: "project" }.into());
    }
    let many: i64 = work.db.query_row(
        "SELECT count(*) FROM project_keys WHERE project_id = ?1",
        [key.project.0],
        |row| row.get(0),
    )?;
    if usize::try_from(many).unwrap_or(usize::MAX) >= KEYS_MAX {
        return Err(Error::conflict(format!("the project has {KEYS_MAX} keys, which is the most")).into());
    }
    let sql = format!(
        "INSERT INTO project_keys ({KEY_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING"
    );
    if write_key(work.db, &sql, key)? == 0 {
        return Err(Error::conflict("this key exists").into());
    }
    Ok(())
}

/// Saves what was decided on the key's version.
pub(crate) fn save_key(work: &mut Work<'_>, key: &ProjectKey) -> Result<ProjectKey> {
    const SQL: &str = "UPDATE project_keys SET label = ?3, kind = ?4, enabled = ?5, allowed_origins = ?6, \
         rate_per_minute = ?7, created_at = ?8, version = version + 1 \
         WHERE project_id = ?1 AND public_key = ?2 AND version = ?9";
    let saved = write_key(work.db, SQL, key)? > 0;
    match self::key(work.db, &key.public_key)?.filter(|known| known.project == key.project) {
        Some(known) if saved => Ok(known),
        Some(_) => Err(Error::stale().into()),
        None => Err(Error::NotFound { what: "key" }.into()),
    }
}

/// A new key takes the place of `old`, which is disabled.
pub(crate) fn replace_key(work: &mut Work<'_>, old: &ProjectKey, new: &ProjectKey) -> Result<()> {
    add_key(work, new)?;
    save_key(work, &ProjectKey { enabled: false, ..old.clone() })?;
    Ok(())
}

fn write_key(db: &Connection, sql: &str, key: &ProjectKey) -> Result<usize> {
    let kind = match key.kind {
        KeyKind::Browser => "browser",
        KeyKind::Server => "server",
    };
    Ok(db.prepare_cached(sql)?.execute(params![
        key.project.0,
        key.public_key.as_str(),
        key.label,
        kind,
        key.enabled,
        serde_json::to_string(&key.allowed_origins)?,
        key.rate_per_minute,
        key.created_at.micros(),
        super::rows::quantity(key.version),
    ])?)
}

pub(crate) fn key(db: &Connection, public_key: &PublicKey) -> Result<Option<ProjectKey>> {
    let sql = format!("SELECT {KEY_COLUMNS} FROM project_keys WHERE public_key = ?1");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query([public_key.as_str()])?;
    rows.next()?.map(key_row).transpose()
}

pub(crate) fn keys(db: &Connection, project: ProjectId) -> Result<Vec<KeyRecord>> {
    let sql = format!(
        "SELECT {KEY_COLUMNS} FROM project_keys WHERE project_id = ?1 ORDER BY created_at, public_key LIMIT {KEYS_MAX}"
    );
    let keys = collect(db, &sql, params![project.0], key_row)?;
    keys.into_iter()
        .map(|key| {
            let unlisted_origins = collect(
                db,
                "SELECT origin FROM unlisted_origins WHERE project_id = ?1 AND public_key = ?2 ORDER BY last_seen DESC",
                params![project.0, key.public_key.as_str()],
                |row| Ok(row.get(0)?),
            )?;
            Ok(KeyRecord { key, unlisted_origins })
        })
        .collect()
}

/// Remembers an origin that used a key without being listed; the latest 20 of each key.
pub(crate) fn note_origin(
    db: &Connection,
    project: ProjectId,
    key: &PublicKey,
    origin: &str,
    at: Timestamp,
) -> Result<()> {
    let values = params![project.0, key.as_str(), origin, at.micros()];
    db.prepare_cached(
        "INSERT INTO unlisted_origins (project_id, public_key, origin, last_seen) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (project_id, public_key, origin) DO UPDATE SET last_seen = excluded.last_seen",
    )?
    .execute(values)?;
    db.prepare_cached(
        "DELETE FROM unlisted_origins WHERE project_id = ?1 AND public_key = ?2 AND origin IN ( \
           SELECT origin FROM unlisted_origins WHERE project_id = ?1 AND public_key = ?2 \
           ORDER BY last_seen DESC, origin LIMIT -1 OFFSET ?3)",
    )?
    .execute(params![project.0, key.as_str(), UNLISTED_MAX])?;
    Ok(())
}

pub(crate) fn outcomes(db: &Connection, project: ProjectId, from: Timestamp) -> Result<Vec<OutcomeTotal>> {
    const SQL: &str = "SELECT outcome, reason, category, sum(quantity) FROM project_hours \
         WHERE project_id = ?1 AND hour >= ?2 GROUP BY outcome, reason, category ORDER BY outcome, reason, category \
         LIMIT 1000";
    collect(db, SQL, params![project.0, from.hour()], |row| {
        let mut c = Columns::new(row);
        Ok(OutcomeTotal { outcome: c.take()?, reason: c.take()?, category: c.take()?, quantity: c.count()? })
    })
}

fn one(db: &Connection, sql: &str, values: impl rusqlite::Params) -> Result<Option<Project>> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    rows.next()?.map(project).transpose()
}

fn project(row: &Row<'_>) -> Result<Project> {
    let mut c = Columns::new(row);
    Ok(Project {
        id: ProjectId(c.take()?),
        name: c.take()?,
        settings: c.json()?,
        created_at: c.time()?,
        version: c.count()?,
    })
}

fn key_row(row: &Row<'_>) -> Result<ProjectKey> {
    let mut c = Columns::new(row);
    Ok(ProjectKey {
        project: ProjectId(c.take()?),
        public_key: c.parse()?,
        label: c.take()?,
        kind: match c.take::<String>()?.as_str() {
            "browser" => KeyKind::Browser,
            "server" => KeyKind::Server,
            _ => return Err(Fault::Defect("kind of a key".to_owned())),
        },
        enabled: c.take()?,
        allowed_origins: c.json()?,
        rate_per_minute: c.take()?,
        created_at: c.time()?,
        version: c.count()?,
    })
}

/// All rows of a bounded question.
pub(crate) fn collect<T>(
    db: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    #[cfg(test)]
    super::plan_tests::note(sql);
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}
