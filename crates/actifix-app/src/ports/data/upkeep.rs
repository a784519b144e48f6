//! Backups, integrity, legal holds, and the record of what was done for upkeep.

use super::AuditHead;
use actifix_domain::id::{ProjectId, TicketId};
use actifix_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a snapshot of the database before its pages come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFacts {
    /// Size of a page, bytes.
    pub page_bytes: u64,
    /// Number of pages.
    pub pages: u64,
    /// Version of the schema.
    pub schema_version: u64,
    /// Version of the database engine.
    pub engine_version: String,
    /// Number of the last event.
    pub last_event: u64,
    /// Rows of every table.
    pub counts: BTreeMap<String, u64>,
    /// End of the audit log.
    pub audit: AuditHead,
    /// What the witness of the audit log would say at this moment.
    pub witness: String,
}

/// A backup as it lies on the shelf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackupFile {
    /// Name of its file.
    pub name: String,
    /// Size, bytes.
    pub size: u64,
    /// When it was begun.
    pub created_at: Timestamp,
}

/// A backup that was just made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackupMade {
    /// The file.
    #[serde(flatten)]
    pub file: BackupFile,
    /// Whose keys open it (`age1…`), besides that of the installation, by which it tries its own.
    pub recipients: BTreeSet<String>,
}

/// A backup with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackupView {
    /// The file.
    #[serde(flatten)]
    pub file: BackupFile,
    /// When it was last restored into a temporary home and found whole.
    pub verified_at: Option<Timestamp>,
    /// What was wrong when that was tried last; none where it was whole, or not tried.
    pub problem: Option<String>,
}

/// Whether a backup was made by the installation that it says it is of. Its recipients are public: whoever can write to
/// the place of the backups can encrypt to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Authenticity {
    /// Its seal takes the root key to make.
    Verified,
    /// Nobody could tell: the root key is not here.
    #[default]
    NotChecked,
    /// It has no seal of this installation: somebody else made or changed it.
    Failed,
}

/// What a restore into a temporary home found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BackupVerdict {
    /// Name of the backup.
    pub name: String,
    /// Nothing is wrong.
    pub intact: bool,
    /// What is wrong; empty is good.
    pub faults: Vec<String>,
    /// Rows of every table.
    pub counts: BTreeMap<String, u64>,
    /// Number of the last row of the audit log.
    pub audit_head: u64,
    /// Whether the chain of the audit log was computed anew, which takes the root key.
    pub audit_verified: bool,
    /// Whether this installation made it, which takes the root key too.
    pub authenticity: Authenticity,
    /// When the backup was begun.
    pub created_at: Option<Timestamp>,
    /// Id of the root key that its own record takes, if another one is in use now.
    pub former_root_key: Option<String>,
}

/// Where a look through everything goes on: after this row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScrubPlace {
    /// Tickets, by number.
    Tickets(i64),
    /// Events with their bodies, by number.
    Events(i64),
    /// Attachments, by row.
    Attachments(i64),
}

/// A row that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DamagedRow {
    /// In which table.
    pub table: &'static str,
    /// Its number.
    pub row: i64,
}

/// What one step of a look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrubStep {
    /// Rows that were looked at.
    pub rows: u64,
    /// Those that are damaged.
    pub damaged: Vec<DamagedRow>,
    /// Where to go on; none at the end.
    pub next: Option<ScrubPlace>,
}

/// What a look through everything found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IntegrityReport {
    /// Nothing is wrong.
    pub intact: bool,
    /// Rows that were looked at.
    pub rows: u64,
    /// Damaged rows, at most 100.
    pub damaged: Vec<DamagedRow>,
    /// What is wrong with the structure of the file, at most 100 lines.
    pub structure: Vec<String>,
}

/// Kind of work that is done for upkeep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpkeepKind {
    /// A backup was made.
    Backup,
    /// A backup was restored into a temporary home and looked at.
    Verification,
    /// A home was made from a backup.
    Restore,
    /// What is no longer kept was deleted.
    Retention,
    /// Everything was looked through for damage.
    Integrity,
}

impl UpkeepKind {
    /// All kinds.
    pub const ALL: [Self; 5] =
        [Self::Backup, Self::Verification, Self::Restore, Self::Retention, Self::Integrity];

    /// The word used in JSON and SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Verification => "verification",
            Self::Restore => "restore",
            Self::Retention => "retention",
            Self::Integrity => "integrity",
        }
    }
}

/// One time that it was done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UpkeepRun {
    /// What.
    pub kind: UpkeepKind,
    /// To which thing: the name of a backup; else empty.
    pub target: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Whether it went well.
    pub ok: bool,
    /// What it found or did.
    pub detail: Value,
}

/// What retention must not delete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LegalHold {
    /// Number, to release it by.
    pub id: u64,
    /// Its project.
    pub project: ProjectId,
    /// One ticket of it; none is the whole project.
    pub ticket: Option<TicketId>,
    /// Why, in somebody's words, redacted.
    pub reason: String,
    /// Who set it.
    pub actor: String,
    /// When.
    pub created_at: Timestamp,
}
