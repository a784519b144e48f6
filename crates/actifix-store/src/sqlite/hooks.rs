//! Sources of signed requests, and the ids of those that were taken.

use super::SqliteStore;
use super::projects::collect;
use super::rows::Columns;
use super::writer::Work;
use crate::fault::Result;
use actifix_app::error::{Error, Result as AppResult};
use actifix_app::ports::{HookRecord, HookStore, SealedHook};
use actifix_domain::id::ProjectId;
use actifix_domain::time::{DAY, Timestamp};
use async_trait::async_trait;
use rusqlite::{Connection, params};

/// Sources of one installation.
const HOOKS_MAX: i64 = 50;
/// How long ids are remembered, microseconds. Receivers that name a time refuse what is older than minutes; GitHub
/// names none, and lets a delivery be repeated by hand for three days.
const REMEMBER_MICROS: i64 = 30 * DAY;
/// Ids remembered per source; the oldest are forgotten.
const MESSAGES_MAX: i64 = 50_000;

const COLUMNS: &str = "name, kind, project_id, created_at, last_used_at, target";

pub(crate) fn all(db: &Connection) -> Result<Vec<HookRecord>> {
    let sql = format!("SELECT {COLUMNS} FROM hooks ORDER BY name LIMIT ?1");
    collect(db, &sql, [HOOKS_MAX], |row| record(&mut Columns::new(row)))
}

pub(crate) fn get(db: &Connection, name: &str) -> Result<Option<SealedHook>> {
    let sql = format!("SELECT {COLUMNS}, sealed FROM hooks WHERE name = ?1");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query([name])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut c = Columns::new(row);
    Ok(Some(SealedHook { record: record(&mut c)?, sealed: c.take()? }))
}

pub(crate) fn add(work: &mut Work<'_>, hook: &SealedHook) -> Result<()> {
    let (db, record) = (work.db, &hook.record);
    let many: i64 = db.query_row("SELECT count(*) FROM hooks", [], |row| row.get(0))?;
    if many >= HOOKS_MAX {
        let message = format!("there are {HOOKS_MAX} sources, which is the most: remove one first");
        return Err(Error::conflict(message).into());
    }
    let made = db
        .prepare_cached(
            "INSERT INTO hooks (name, kind, project_id, created_at, sealed, target) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            record.name,
            record.kind,
            record.project.0,
            record.created_at.micros(),
            hook.sealed,
            record.target
        ])?;
    if made == 0 {
        return Err(Error::conflict(
            "a source with this name exists: remove it first, or choose another name",
        )
        .into());
    }
    Ok(())
}

pub(crate) fn save_secret(work: &mut Work<'_>, hook: &SealedHook) -> Result<bool> {
    let sql = "UPDATE hooks SET sealed = ?2 WHERE name = ?1";
    Ok(work.db.prepare_cached(sql)?.execute(params![hook.record.name, hook.sealed])? > 0)
}

pub(crate) fn remove(work: &mut Work<'_>, name: &str) -> Result<bool> {
    // The ids stay until they are old: a source of the same name and secret must not take them again.
    Ok(work.db.prepare_cached("DELETE FROM hooks WHERE name = ?1")?.execute([name])? > 0)
}

pub(crate) fn first_sight(work: &mut Work<'_>, hook: &str, message: &str, now: Timestamp) -> Result<bool> {
    let db = work.db;
    let new = db
        .prepare_cached(
            "INSERT INTO hook_messages (hook, message, at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        )?
        .execute(params![hook, message, now.micros()])?
        > 0;
    if new {
        db.prepare_cached("UPDATE hooks SET last_used_at = ?2 WHERE name = ?1")?
            .execute(params![hook, now.micros()])?;
    }
    Ok(new)
}

#[async_trait]
impl HookStore for SqliteStore {
    async fn hook_seen(&self, hook: &str, message: &str) -> AppResult<bool> {
        let key = [hook.to_owned(), message.to_owned()];
        self.read(move |db| {
            let sql = "SELECT EXISTS (SELECT 1 FROM hook_messages WHERE hook = ?1 AND message = ?2)";
            Ok(db.prepare_cached(sql)?.query_row(key, |row| row.get(0))?)
        })
        .await
    }
}

pub(crate) fn forget_old(db: &Connection, now: Timestamp) -> Result<()> {
    db.execute("DELETE FROM hook_messages WHERE at < ?1", [now.plus(-REMEMBER_MICROS).micros()])?;
    Ok(())
}

pub(crate) fn forget_excess(db: &Connection) -> Result<()> {
    // Each source by itself: one that is busy must not make those of others be forgotten.
    let full = "SELECT hook FROM hook_messages GROUP BY hook HAVING count(*) > ?1 LIMIT ?2";
    let full: Vec<String> = collect(db, full, [MESSAGES_MAX, HOOKS_MAX], |row| Ok(row.get(0)?))?;
    for hook in full {
        db.prepare_cached(
            "DELETE FROM hook_messages WHERE hook = ?1 AND message IN (SELECT message FROM hook_messages \
             WHERE hook = ?1 ORDER BY at DESC LIMIT 10000 OFFSET ?2)",
        )?
        .execute(params![hook, MESSAGES_MAX])?;
    }
    Ok(())
}

fn record(c: &mut Columns<'_, '_>) -> Result<HookRecord> {
    Ok(HookRecord {
        name: c.take()?,
        kind: c.take()?,
        project: ProjectId(c.take()?),
        created_at: c.time()?,
        last_used_at: c.time_optional()?,
        target: c.take()?,
    })
}
