//! API tokens: hashes, never the tokens.

use super::projects::collect;
use super::rows::Columns;
use super::writer::Work;
use crate::fault::{Fault, Result};
use actifix_app::error::Error;
use actifix_app::ports::{TOKEN_USE_MICROS, TokenRecord};
use actifix_domain::id::ProjectId;
use actifix_domain::time::Timestamp;
use rusqlite::{Connection, Row, params};

/// Tokens of one installation, revoked and expired ones included.
const TOKENS_MAX: u32 = 1_000;

const COLUMNS: &str = "token_id, name, hash, scopes, project_id, created_at, expires_at, revoked_at";
/// What becomes of a token after it was made.
const LATER: &str = "replaced_by IS NOT NULL, last_used_at, warned_days";

pub(crate) fn add(work: &mut Work<'_>, token: &TokenRecord) -> Result<()> {
    let db = work.db;
    let many: u32 = db.query_row("SELECT count(*) FROM tokens", [], |row| row.get(0))?;
    if many >= TOKENS_MAX && forget_dead(db, token.created_at)? == 0 {
        return Err(Error::conflict(format!(
            "there are {TOKENS_MAX} tokens in use, which is the most: revoke one first"
        ))
        .into());
    }
    let sql = format!(
        "INSERT INTO tokens ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING"
    );
    let made = db.prepare_cached(&sql)?.execute(params![
        token.id,
        token.name,
        token.hash.as_slice(),
        serde_json::to_string(&token.scopes)?,
        token.project.map(|project| project.0),
        token.created_at.micros(),
        token.expires_at.micros(),
        token.revoked_at.map(Timestamp::micros),
    ])?;
    if made == 0 {
        return Err(Error::conflict("a token with this id exists").into());
    }
    Ok(())
}

/// Makes room: of the tokens that were revoked or have ended the one that is dead for longest goes.
fn forget_dead(db: &Connection, now: Timestamp) -> Result<usize> {
    Ok(db.execute(
        "DELETE FROM tokens WHERE token_id = (SELECT token_id FROM tokens \
         WHERE revoked_at IS NOT NULL OR expires_at <= ?1 \
         ORDER BY min(coalesce(revoked_at, expires_at), expires_at), token_id LIMIT 1)",
        [now.micros()],
    )?)
}

pub(crate) fn by_hash(db: &Connection, hash: &[u8; 32]) -> Result<Option<TokenRecord>> {
    let sql = format!("SELECT {COLUMNS}, {LATER} FROM tokens WHERE hash = ?1");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query([hash.as_slice()])?;
    rows.next()?.map(token).transpose()
}

pub(crate) fn by_id(db: &Connection, id: &str) -> Result<Option<TokenRecord>> {
    let sql = format!("SELECT {COLUMNS}, {LATER} FROM tokens WHERE token_id = ?1");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query([id])?;
    rows.next()?.map(token).transpose()
}

pub(crate) fn all(db: &Connection) -> Result<Vec<TokenRecord>> {
    let sql = format!(
        "SELECT {COLUMNS}, {LATER} FROM tokens ORDER BY created_at DESC, token_id LIMIT {TOKENS_MAX}"
    );
    collect(db, &sql, [], token)
}

/// Adds `new` in the place of `old`. Of two that try, the second finds it replaced.
pub(crate) fn rotate(
    work: &mut Work<'_>,
    old: &str,
    old_ends_at: Timestamp,
    new: &TokenRecord,
) -> Result<()> {
    let replaced = work
        .db
        .prepare_cached(
            "UPDATE tokens SET replaced_by = ?2, expires_at = min(expires_at, ?3) WHERE token_id = ?1 \
             AND revoked_at IS NULL AND replaced_by IS NULL AND expires_at > ?4",
        )?
        .execute(params![old, new.id, old_ends_at.micros(), new.created_at.micros()])?;
    if replaced == 0 {
        let known = work.db.prepare_cached("SELECT 1 FROM tokens WHERE token_id = ?1")?.exists([old])?;
        return Err(if known {
            Error::conflict("the token was replaced or revoked, or has ended: make a new one")
        } else {
            Error::NotFound { what: "token" }
        }
        .into());
    }
    add(work, new)
}

pub(crate) fn revoke(work: &mut Work<'_>, id: Option<&str>, now: Timestamp) -> Result<u64> {
    let changed = match id {
        Some(id) => work
            .db
            .prepare_cached("UPDATE tokens SET revoked_at = ?2 WHERE token_id = ?1 AND revoked_at IS NULL")?
            .execute(params![id, now.micros()])?,
        None => work
            .db
            .prepare_cached("UPDATE tokens SET revoked_at = ?1 WHERE revoked_at IS NULL")?
            .execute([now.micros()])?,
    };
    Ok(u64::try_from(changed).unwrap_or(0))
}

/// Notes uses, each at most once in [`TOKEN_USE_MICROS`].
pub(crate) fn note_uses(work: &mut Work<'_>, uses: &[(String, Timestamp)]) -> Result<()> {
    let mut note = work.db.prepare_cached(
        "UPDATE tokens SET last_used_at = ?2 WHERE token_id = ?1 AND (last_used_at IS NULL OR last_used_at <= ?3)",
    )?;
    for (id, at) in uses {
        note.execute(params![id, at.micros(), at.plus(-TOKEN_USE_MICROS).micros()])?;
    }
    Ok(())
}

pub(crate) fn note_warning(work: &mut Work<'_>, id: &str, days: u32) -> Result<bool> {
    let noted = work
        .db
        .prepare_cached(
            "UPDATE tokens SET warned_days = ?2 WHERE token_id = ?1 AND coalesce(warned_days, 1000000) > ?2",
        )?
        .execute(params![id, days])?;
    Ok(noted > 0)
}

fn token(row: &Row<'_>) -> Result<TokenRecord> {
    let mut c = Columns::new(row);
    Ok(TokenRecord {
        id: c.take()?,
        name: c.take()?,
        hash: c
            .take::<Vec<u8>>()?
            .try_into()
            .map_err(|_| Fault::Defect("hash of a token has a wrong length".to_owned()))?,
        scopes: c.json()?,
        project: c.take::<Option<i64>>()?.map(ProjectId),
        created_at: c.time()?,
        expires_at: c.time()?,
        revoked_at: c.time_optional()?,
        replaced: c.take()?,
        last_used_at: c.time_optional()?,
        warned_days: c.take()?,
    })
}
