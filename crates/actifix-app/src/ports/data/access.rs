//! Keys, tokens, monitors, totals.

use actifix_domain::access::Scope;
use actifix_domain::cron::{Failure, MonitorState};
use actifix_domain::id::ProjectId;
use actifix_domain::project::ProjectKey;
use actifix_domain::time::{MINUTE, Timestamp};
use serde::Serialize;
use std::collections::BTreeSet;

/// A key and when it was last used.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeyRecord {
    /// The key.
    #[serde(flatten)]
    pub key: ProjectKey,
    /// Origins that used it without being listed, at most 20.
    pub unlisted_origins: Vec<String>,
}

/// A monitor and its state.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MonitorView {
    /// Name.
    pub slug: String,
    /// Environment, or empty.
    pub environment: String,
    /// State.
    pub state: MonitorState,
}

/// A monitor that is late. It stays so until a submission with its event and its [`MonitorTick`] is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct LateMonitor {
    /// Its project.
    pub project: ProjectId,
    /// Name.
    pub slug: String,
    /// Environment, or empty.
    pub environment: String,
    /// What went wrong.
    pub failure: Failure,
    /// When it became late.
    pub deadline: Timestamp,
}

/// Takes the failure of a late monitor in, together with the event that tells of it: both or neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitorTick {
    /// Name.
    pub slug: String,
    /// Environment, or empty.
    pub environment: String,
    /// When it became late. A monitor that was heard of since has another one: then nothing is recorded.
    pub deadline: Timestamp,
}

/// Sum of items by fate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutcomeTotal {
    /// Fate, or `sdk_discarded`.
    pub outcome: String,
    /// Why.
    pub reason: String,
    /// Category.
    pub category: String,
    /// How many.
    pub quantity: u64,
}

/// A row of the token table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenRecord {
    /// Id, safe to show.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// SHA-256 of the token's text.
    #[serde(skip)]
    pub hash: [u8; 32],
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// Bound to one project.
    pub project: Option<ProjectId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Another one took its place; it is good for the overlap alone.
    pub replaced: bool,
    /// When it was last used, to [`TOKEN_USE_MICROS`].
    pub last_used_at: Option<Timestamp>,
    /// For how few days of its life people were warned last.
    #[serde(skip)]
    pub warned_days: Option<u32>,
}

/// Uses of a token are noted once in this time.
pub const TOKEN_USE_MICROS: i64 = 10 * MINUTE;

/// What one principal used of the API's limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiCounter {
    /// Keyed hash of the token, session or network.
    pub principal: [u8; 16],
    /// Wall time of the writing.
    pub saved_at: Timestamp,
    /// Counts by slot, oldest first: of a minute, then of an hour; of the whole instance, of a day.
    pub counts: Vec<u32>,
}

/// An answer that is given again when its request is repeated.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// Keyed hash of the actor and its Idempotency-Key.
    pub key: [u8; 32],
    /// Keyed hash of the request.
    pub request: [u8; 32],
    /// The answer under the vault: it may hold a token that is shown once.
    pub sealed: Vec<u8>,
    /// When it is forgotten.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for KeptAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptAnswer").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}
