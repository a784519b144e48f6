//! Ports of operations: incident response, reviews, facts for support.

use crate::error::Result;
use actifix_domain::audit::AuditRecord;
use actifix_domain::review::Period;
use actifix_domain::time::Timestamp;
use async_trait::async_trait;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Where incident response stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IncidentRow {
    /// Rises with each change; 0 before the first.
    pub version: u64,
    /// The state, `null` before the first change.
    pub state: Value,
}

/// A review that somebody signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReviewRecord {
    /// Number.
    pub id: u64,
    /// Which of the guide's lists.
    pub period: Period,
    /// Who looked, in their own words, redacted.
    pub reviewer: String,
    /// When.
    pub recorded_at: Timestamp,
    /// What was found: JSON, to the letter as it was signed.
    pub document: String,
    /// Signature over the document, hex.
    pub signature: String,
}

/// What may be told of a database to whoever helps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DatabaseFacts {
    /// Version of the schema.
    pub schema_version: u32,
    /// Version of the engine.
    pub engine_version: String,
    /// Rows of every table.
    pub rows: BTreeMap<String, u64>,
}

/// Incident response, reviews, facts for support.
#[async_trait]
pub trait OperationStore {
    /// Where incident response stands.
    async fn incident(&self) -> Result<IncidentRow>;
    /// Saves where it stands. `Conflict` (stale) when the version moved.
    async fn save_incident(&self, version: u64, state: &Value, audit: &AuditRecord) -> Result<u64>;
    /// Adds a review, whose number is given here.
    async fn add_review(&self, review: &ReviewRecord, audit: &AuditRecord) -> Result<u64>;
    /// Reviews, latest first, at most `limit` (200).
    async fn reviews(&self, period: Option<Period>, limit: u32) -> Result<Vec<ReviewRecord>>;
    /// Versions, and rows of every table.
    async fn database_facts(&self) -> Result<DatabaseFacts>;
}
