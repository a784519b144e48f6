//! The audit log as it is asked for and proven.

use super::Cursor;
use actifix_domain::audit::{Action, AuditRecord, Verdict};
use actifix_domain::id::ProjectId;
use actifix_domain::time::Timestamp;
use serde::Serialize;

/// A question to the audit log; what is none does not matter.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Exact label of the actor.
    pub actor: Option<String>,
    /// What was done.
    pub action: Option<Action>,
    /// Exact address of the client.
    pub network: Option<String>,
    /// Name of a person: as actor or as target, so that failed logins are found too.
    pub user: Option<String>,
    /// How it ended.
    pub result: Option<Verdict>,
    /// Only this project.
    pub project: Option<ProjectId>,
    /// Where to go on.
    pub cursor: Option<Cursor>,
    /// 1 to 200.
    pub limit: u32,
}

/// One row of the log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditRow {
    /// Number, without holes.
    pub seq: u64,
    /// The act.
    #[serde(flatten)]
    pub record: AuditRecord,
    /// Keyed hash of the row and the hash before it, hex.
    pub hash: String,
}

/// The end of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditHead {
    /// Number of the last row; 0 in an empty log.
    pub seq: u64,
    /// Its hash.
    pub hash: [u8; 32],
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditFault {
    /// `changed`, `missing`, `truncated`, `forked`, `witness`, `base`.
    pub kind: &'static str,
    /// Row at which it shows.
    pub seq: u64,
    /// What is wrong there.
    pub message: String,
}

/// What a check of the whole log found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// Nothing is wrong.
    pub intact: bool,
    /// Rows that were read.
    pub rows: u64,
    /// Number of the first.
    pub first: u64,
    /// Number of the last.
    pub last: u64,
    /// Number of the last row that the witness outside the database saw; none without a witness.
    pub witnessed: Option<u64>,
    /// What is wrong, at most 20.
    pub faults: Vec<AuditFault>,
}
