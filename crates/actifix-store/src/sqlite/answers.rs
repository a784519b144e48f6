//! Answers that are kept, so that a repeated request does nothing twice.

use super::writer::Work;
use crate::fault::{Fault, Result};
use actifix_app::ports::KeptAnswer;
use actifix_domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

/// Answers of one installation; beyond it the one that ends first goes.
const ANSWERS_MAX: i64 = 100_000;
/// Ended answers that one new one sweeps away.
const SWEPT_MAX: u32 = 16;

pub(crate) fn get(db: &Connection, key: &[u8; 32], now: Timestamp) -> Result<Option<KeptAnswer>> {
    let found: Option<(Vec<u8>, Vec<u8>, i64)> = db
        .prepare_cached("SELECT request, sealed, expires_at FROM answers WHERE key = ?1 AND expires_at > ?2")?
        .query_row(params![key.as_slice(), now.micros()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((request, sealed, expires_at)) = found else { return Ok(None) };
    let request =
        request.try_into().map_err(|_| Fault::Defect("hash of a request has a wrong length".to_owned()))?;
    Ok(Some(KeptAnswer { key: *key, request, sealed, expires_at: Timestamp::from_micros(expires_at) }))
}

pub(crate) fn keep(work: &mut Work<'_>, answer: &KeptAnswer, now: Timestamp) -> Result<()> {
    let db = work.db;
    db.prepare_cached(
        "DELETE FROM answers WHERE key IN \
         (SELECT key FROM answers WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
    )?
    .execute(params![now.micros(), SWEPT_MAX])?;
    let many: i64 = db.prepare_cached("SELECT count(*) FROM answers")?.query_row([], |row| row.get(0))?;
    if many >= ANSWERS_MAX {
        db.prepare_cached(
            "DELETE FROM answers WHERE key = (SELECT key FROM answers ORDER BY expires_at LIMIT 1)",
        )?
        .execute([])?;
    }
    db.prepare_cached(
        "INSERT INTO answers (key, request, sealed, expires_at) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (key) DO UPDATE SET request = excluded.request, sealed = excluded.sealed, \
         expires_at = excluded.expires_at",
    )?
    .execute(params![
        answer.key.as_slice(),
        answer.request.as_slice(),
        answer.sealed,
        answer.expires_at.micros()
    ])?;
    Ok(())
}
