//! Second factors: sealed secrets, time steps that were taken, hashes of recovery codes.

use super::SqliteStore;
use super::accounts;
use super::rows::Columns;
use super::writer::Work;
use crate::fault::Result;
use actifix_app::error::{Error, Result as AppResult};
use actifix_app::ports::{FactorRecord, FactorStore, SessionsOf};
use actifix_domain::audit::AuditRecord;
use actifix_domain::time::Timestamp;
use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

#[async_trait]
impl FactorStore for SqliteStore {
    async fn factor(&self, user_id: &str) -> AppResult<Option<FactorRecord>> {
        let id = user_id.to_owned();
        self.read(move |db| get(db, &id)).await
    }

    async fn begin_factor(&self, factor: &FactorRecord, audit: &AuditRecord) -> AppResult<()> {
        let factor = factor.clone();
        self.audited(audit, move |work| begin(work, &factor)).await
    }

    async fn confirm_factor(
        &self,
        factor: &FactorRecord,
        step: i64,
        recovery: Vec<[u8; 32]>,
        keep_session: &str,
        now: Timestamp,
        audit: &AuditRecord,
    ) -> AppResult<()> {
        let (factor, keep) = (factor.clone(), keep_session.to_owned());
        self.audited(audit, move |work| {
            confirm(work, &factor, step, now)?;
            set_codes(work, &factor.user_id, &recovery)?;
            accounts::end_others(work, &factor.user_id, &keep)
        })
        .await
    }

    async fn take_step(&self, user_id: &str, step: i64) -> AppResult<bool> {
        let id = user_id.to_owned();
        self.write(move |work| take_step(work, &id, step)).await
    }

    async fn take_recovery_code(
        &self,
        user_id: &str,
        hash: &[u8; 32],
        now: Timestamp,
        audit: &AuditRecord,
    ) -> AppResult<bool> {
        let (id, hash) = (user_id.to_owned(), *hash);
        self.audited_if(audit, |taken| *taken, move |work| take_code(work, &id, &hash, now)).await
    }

    async fn replace_recovery_codes(
        &self,
        user_id: &str,
        recovery: Vec<[u8; 32]>,
        audit: &AuditRecord,
    ) -> AppResult<()> {
        let id = user_id.to_owned();
        self.audited(audit, move |work| match get(work.db, &id)? {
            Some(factor) if factor.confirmed_at.is_some() => set_codes(work, &id, &recovery),
            _ => Err(Error::NotFound { what: "second factor" }.into()),
        })
        .await
    }

    async fn remove_factor(&self, user_id: &str, end_sessions: bool, audit: &AuditRecord) -> AppResult<bool> {
        let id = user_id.to_owned();
        self.audited_if(audit, |removed| *removed, move |work| remove(work, &id, end_sessions)).await
    }
}

fn get(db: &Connection, user_id: &str) -> Result<Option<FactorRecord>> {
    let mut statement = db.prepare_cached(
        "SELECT f.user_id, f.sealed, f.created_at, f.confirmed_at, f.last_step, \
         (SELECT count(*) FROM recovery_codes c WHERE c.user_id = f.user_id AND c.used_at IS NULL) \
         FROM second_factors f WHERE f.user_id = ?1",
    )?;
    let mut rows = statement.query([user_id])?;
    rows.next()?.map(factor).transpose()
}

fn begin(work: &mut Work<'_>, factor: &FactorRecord) -> Result<()> {
    let begun = work
        .db
        .prepare_cached(
            "INSERT INTO second_factors (user_id, sealed, created_at) VALUES (?1, ?2, ?3) \
             ON CONFLICT (user_id) DO UPDATE SET sealed = excluded.sealed, created_at = excluded.created_at, \
             last_step = 0 WHERE confirmed_at IS NULL",
        )?
        .execute(params![factor.user_id, factor.sealed, factor.created_at.micros()])?;
    match begun {
        0 => Err(Error::conflict("a second factor is in use: disable it first").into()),
        _ => Ok(()),
    }
}

/// Confirms the one that was begun, and no other that was begun meanwhile.
fn confirm(work: &mut Work<'_>, factor: &FactorRecord, step: i64, now: Timestamp) -> Result<()> {
    let confirmed = work
        .db
        .prepare_cached(
            "UPDATE second_factors SET confirmed_at = ?3, last_step = ?4 \
             WHERE user_id = ?1 AND sealed = ?2 AND confirmed_at IS NULL",
        )?
        .execute(params![factor.user_id, factor.sealed, now.micros(), step])?;
    match confirmed {
        0 => {
            Err(Error::conflict("the enrolment was begun anew or finished meanwhile: begin it again").into())
        }
        _ => Ok(()),
    }
}

/// Takes a time step, once. Of two that bring the same code at once, the second finds it taken.
fn take_step(work: &mut Work<'_>, user_id: &str, step: i64) -> Result<bool> {
    let taken = work
        .db
        .prepare_cached(
            "UPDATE second_factors SET last_step = ?2 \
             WHERE user_id = ?1 AND last_step < ?2 AND confirmed_at IS NOT NULL",
        )?
        .execute(params![user_id, step])?;
    Ok(taken > 0)
}

fn take_code(work: &mut Work<'_>, user_id: &str, hash: &[u8; 32], now: Timestamp) -> Result<bool> {
    let taken = work
        .db
        .prepare_cached(
            "UPDATE recovery_codes SET used_at = ?3 WHERE user_id = ?1 AND hash = ?2 AND used_at IS NULL",
        )?
        .execute(params![user_id, hash.as_slice(), now.micros()])?;
    Ok(taken > 0)
}

fn set_codes(work: &mut Work<'_>, user_id: &str, recovery: &[[u8; 32]]) -> Result<()> {
    work.db.prepare_cached("DELETE FROM recovery_codes WHERE user_id = ?1")?.execute([user_id])?;
    let mut insert = work.db.prepare_cached("INSERT INTO recovery_codes (user_id, hash) VALUES (?1, ?2)")?;
    for hash in recovery {
        insert.execute(params![user_id, hash.as_slice()])?;
    }
    Ok(())
}

fn remove(work: &mut Work<'_>, user_id: &str, end_sessions: bool) -> Result<bool> {
    work.db.prepare_cached("DELETE FROM recovery_codes WHERE user_id = ?1")?.execute([user_id])?;
    let removed =
        work.db.prepare_cached("DELETE FROM second_factors WHERE user_id = ?1")?.execute([user_id])?;
    if removed > 0 && end_sessions {
        accounts::end(work, &SessionsOf::User(user_id.to_owned()))?;
    }
    Ok(removed > 0)
}

fn factor(row: &Row<'_>) -> Result<FactorRecord> {
    let mut c = Columns::new(row);
    Ok(FactorRecord {
        user_id: c.take()?,
        sealed: c.take()?,
        created_at: c.time()?,
        confirmed_at: c.time_optional()?,
        last_step: c.take()?,
        recovery_left: c.take()?,
    })
}
