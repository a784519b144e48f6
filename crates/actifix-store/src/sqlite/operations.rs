//! Incident response, reviews, facts for support.

use super::SqliteStore;
use super::migrate::SCHEMA_VERSION;
use super::projects::collect;
use super::rows::Columns;
use super::snapshot;
use super::writer::Work;
use crate::fault::{Fault, Result};
use actifix_app::error::{Error, Result as AppResult};
use actifix_app::ports::{DatabaseFacts, IncidentRow, OperationStore, ReviewRecord};
use actifix_domain::audit::AuditRecord;
use actifix_domain::review::Period;
use actifix_domain::time::Timestamp;
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

/// Reviews that are told at once.
const REVIEWS_MAX: u32 = 200;

#[async_trait]
impl OperationStore for SqliteStore {
    async fn incident(&self) -> AppResult<IncidentRow> {
        self.read(incident).await
    }

    async fn save_incident(&self, version: u64, state: &Value, audit: &AuditRecord) -> AppResult<u64> {
        let (state, at) = (state.to_string(), audit.at);
        self.audited(audit, move |work| save_incident(work, version, &state, at)).await
    }

    async fn add_review(&self, review: &ReviewRecord, audit: &AuditRecord) -> AppResult<u64> {
        let review = review.clone();
        self.audited(audit, move |work| add_review(work, &review)).await
    }

    async fn reviews(&self, period: Option<Period>, limit: u32) -> AppResult<Vec<ReviewRecord>> {
        self.read(move |db| reviews(db, period, limit)).await
    }

    async fn database_facts(&self) -> AppResult<DatabaseFacts> {
        self.read(|db| {
            Ok(DatabaseFacts {
                schema_version: SCHEMA_VERSION,
                engine_version: rusqlite::version().to_owned(),
                rows: snapshot::counts(db)?,
            })
        })
        .await
    }
}

fn incident(db: &Connection) -> Result<IncidentRow> {
    let row: Option<(i64, String)> = db
        .query_row("SELECT version, state FROM incident WHERE id = 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((version, state)) = row else { return Ok(IncidentRow::default()) };
    let state =
        serde_json::from_str(&state).map_err(|_| Fault::Defect("state of the incident".to_owned()))?;
    Ok(IncidentRow { version: u64::try_from(version).unwrap_or(0), state })
}

fn save_incident(work: &mut Work<'_>, version: u64, state: &str, at: Timestamp) -> Result<u64> {
    let next = version.saturating_add(1);
    let expected = i64::try_from(version).unwrap_or(i64::MAX);
    let values = params![expected, i64::try_from(next).unwrap_or(i64::MAX), state, at.micros()];
    let sql = if version == 0 {
        "INSERT INTO incident (id, version, state, updated_at) SELECT 1, ?2, ?3, ?4 WHERE ?1 = 0 ON CONFLICT DO NOTHING"
    } else {
        "UPDATE incident SET version = ?2, state = ?3, updated_at = ?4 WHERE id = 1 AND version = ?1"
    };
    if work.db.prepare_cached(sql)?.execute(values)? == 0 {
        return Err(Error::stale().into());
    }
    Ok(next)
}

fn add_review(work: &mut Work<'_>, review: &ReviewRecord) -> Result<u64> {
    let id: i64 = work
        .db
        .prepare_cached(
            "INSERT INTO reviews (period, reviewer, recorded_at, document, signature) VALUES (?1, ?2, ?3, ?4, ?5) \
             RETURNING review_id",
        )?
        .query_row(
            params![
                review.period.as_str(),
                review.reviewer,
                review.recorded_at.micros(),
                review.document,
                review.signature
            ],
            |row| row.get(0),
        )?;
    Ok(u64::try_from(id).unwrap_or(0))
}

fn reviews(db: &Connection, period: Option<Period>, limit: u32) -> Result<Vec<ReviewRecord>> {
    let sql = "SELECT review_id, period, reviewer, recorded_at, document, signature FROM reviews \
         WHERE ?1 IS NULL OR period = ?1 ORDER BY review_id DESC LIMIT ?2";
    collect(db, sql, params![period.map(Period::as_str), limit.min(REVIEWS_MAX)], |row| {
        let mut c = Columns::new(row);
        let id = c.count()?;
        let word: String = c.take()?;
        Ok(ReviewRecord {
            id,
            period: word.parse().map_err(|_| Fault::Defect("period of a review".to_owned()))?,
            reviewer: c.take()?,
            recorded_at: c.time()?,
            document: c.take()?,
            signature: c.take()?,
        })
    })
}
