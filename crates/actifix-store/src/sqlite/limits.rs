//! What was used of the API's limits.

use super::writer::Work;
use super::{SqliteStore, logins};
use crate::fault::{Fault, Result};
use actifix_app::error::Result as AppResult;
use actifix_app::ports::{ApiCounter, LimitStore, LoginKey, LoginSettled, LoginTaken};
use actifix_domain::audit::AuditRecord;
use actifix_domain::time::{DAY, Timestamp};
use async_trait::async_trait;
use rusqlite::{Connection, params};

/// Rows that are read at a start; the limiter tracks fewer.
const ROWS_MAX: u32 = 20_000;
/// Counts of one row.
const COUNTS_MAX: usize = 1_024;

#[async_trait]
impl LimitStore for SqliteStore {
    async fn login_wait(&self, keys: &[LoginKey], per_minute: u32, now: Timestamp) -> AppResult<i64> {
        let keys = keys.to_vec();
        self.read(move |db| logins::wait(db, &keys, per_minute, now)).await
    }

    async fn take_login(&self, keys: &[LoginKey], per_minute: u32, now: Timestamp) -> AppResult<LoginTaken> {
        let keys = keys.to_vec();
        self.write(move |work| logins::take(work, &keys, per_minute, now)).await
    }

    async fn settle_login(&self, settled: &[LoginSettled]) -> AppResult<()> {
        let settled = settled.to_vec();
        self.write(move |work| logins::settle(work, &settled)).await
    }

    async fn login_failures(&self, keys: &[LoginKey]) -> AppResult<Vec<u32>> {
        let keys = keys.to_vec();
        self.read(move |db| logins::failures(db, &keys)).await
    }

    async fn forget_login(&self, keys: &[LoginKey], audit: &AuditRecord) -> AppResult<()> {
        let keys = keys.to_vec();
        self.audited(audit, move |work| logins::forget(work, &keys)).await
    }

    async fn save_api_counters(&self, rows: Vec<ApiCounter>, now: Timestamp) -> AppResult<()> {
        self.write(move |work| save(work, &rows, now)).await
    }

    async fn api_counters(&self, now: Timestamp) -> AppResult<Vec<ApiCounter>> {
        self.read(move |db| all(db, now)).await
    }
}

fn save(work: &mut Work<'_>, rows: &[ApiCounter], now: Timestamp) -> Result<()> {
    let db = work.db;
    db.prepare_cached("DELETE FROM api_counters WHERE saved_at < ?1")?.execute([now.plus(-DAY).micros()])?;
    let mut upsert = db.prepare_cached(
        "INSERT INTO api_counters (principal, saved_at, counts) VALUES (?1, ?2, ?3) \
         ON CONFLICT (principal) DO UPDATE SET saved_at = excluded.saved_at, counts = excluded.counts",
    )?;
    for row in rows {
        let counts: Vec<u8> =
            row.counts.iter().take(COUNTS_MAX).flat_map(|count| count.to_le_bytes()).collect();
        upsert.execute(params![row.principal.as_slice(), row.saved_at.micros(), counts])?;
    }
    Ok(())
}

fn all(db: &Connection, now: Timestamp) -> Result<Vec<ApiCounter>> {
    let sql = format!(
        "SELECT principal, saved_at, counts FROM api_counters WHERE saved_at >= ?1 ORDER BY saved_at DESC LIMIT {ROWS_MAX}"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let mut found = statement.query([now.plus(-DAY).micros()])?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let principal: Vec<u8> = row.get(0)?;
        let principal = principal
            .try_into()
            .map_err(|_| Fault::Defect("a principal of the limits has a wrong length".to_owned()))?;
        let bytes: Vec<u8> = row.get(2)?;
        let (numbers, _) = bytes.as_chunks::<4>();
        let counts = numbers.iter().take(COUNTS_MAX).map(|number| u32::from_le_bytes(*number)).collect();
        rows.push(ApiCounter { principal, saved_at: Timestamp::from_micros(row.get(1)?), counts });
    }
    Ok(rows)
}
