//! Findings, quarantine, floods, retention, figures.

use super::Cursor;
use actifix_domain::id::{ProjectId, TicketId};
use actifix_domain::throttle::Brake;
use actifix_domain::ticket::{Priority, Status};
use actifix_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What became of a leaked secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingState {
    /// Nobody looked yet.
    Open,
    /// The secret was replaced at its issuer.
    Rotated,
    /// It was none.
    FalsePositive,
}

impl FindingState {
    /// The word used in JSON and SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Rotated => "rotated",
            Self::FalsePositive => "false_positive",
        }
    }
}

/// A question to the list of findings.
#[derive(Clone, Debug, Default)]
pub struct FindingQuery {
    /// Only this project.
    pub project: Option<ProjectId>,
    /// Only this state.
    pub state: Option<FindingState>,
    /// Only this rule.
    pub rule: Option<String>,
    /// Only those whose id begins with this: lower-case hex digits.
    pub id: Option<String>,
    /// Where to go on.
    pub cursor: Option<Cursor>,
    /// 1 to 200.
    pub limit: u32,
}

/// One leaked secret over all its places.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FindingView {
    /// 32 hex: the keyed hash, with project and rule.
    pub id: String,
    /// Its project.
    pub project: ProjectId,
    /// Rule id.
    pub rule: String,
    /// Severity.
    pub severity: String,
    /// At most four characters and an ellipsis.
    pub masked: String,
    /// How often it was sent.
    pub count: u64,
    /// First time.
    pub first_seen: Timestamp,
    /// Last time.
    pub last_seen: Timestamp,
    /// What became of it.
    pub state: FindingState,
    /// Note of whoever set the state.
    pub note: String,
    /// Where to revoke or replace it; set where it is shown.
    pub fix: String,
    /// Field paths with the ticket where each was last seen; at most 20.
    pub places: Vec<FindingPlace>,
    /// Counts up with each write of its state; being seen again does not count.
    pub version: u64,
    /// 32 hex: keyed hash of the value alone, the same for it under any rule and in any project. None for what was last
    /// seen by a release that did not keep it.
    pub hash: Option<String>,
}

/// Where a secret was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FindingPlace {
    /// Path of the field.
    pub path: String,
    /// The ticket in which it was last seen there.
    pub ticket_id: Option<TicketId>,
}

/// A quarantined input in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuarantineEntry {
    /// Id.
    pub id: String,
    /// Its project.
    pub project: ProjectId,
    /// When it came.
    pub received_at: Timestamp,
    /// Why it is here.
    pub reason: String,
    /// Kind of input.
    pub kind: String,
    /// Bytes in clear.
    pub size: u64,
}

/// A quarantined input with its ciphertext.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineItem {
    /// What is listed.
    pub entry: QuarantineEntry,
    /// Ciphertext.
    pub sealed: Vec<u8>,
}

/// Held tickets of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HeldOverview {
    /// Held tickets by priority, P0 first.
    pub held: [u64; 5],
    /// Events counted on held tickets.
    pub events: u64,
    /// Events whose fingerprints were beyond the cap; only counted.
    pub beyond_cap: u64,
}

/// Decisions of the throttle in one minute, summed, so that a flood writes few of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ThrottleRecord {
    /// Start of the minute; for changes of the brake the exact time.
    pub at: Timestamp,
    /// Its project.
    pub project: ProjectId,
    /// `admitted`, `held`, `counted` (beyond the cap), `promoted`, `brake_soft`, `brake_hard`, `brake_off`, `reset`.
    pub decision: String,
    /// Priority, where the decision has one.
    pub priority: Option<Priority>,
    /// Why, in one of the words of the domain.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// What is kept, and for how long. A zero means without limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionPolicy {
    /// Bodies of events, days.
    pub events_days: u32,
    /// All bodies together, bytes; oldest go first, a ticket keeps its latest event.
    pub events_bytes_max: u64,
    /// Resolved tickets, days since they were resolved.
    pub resolved_tickets_days: u32,
    /// Quarantine, days.
    pub quarantine_days: u32,
    /// Findings, days since last seen.
    pub findings_days: u32,
    /// Source maps, days since an event needed them; those that are needed still go after four times as many.
    pub source_maps_days: u32,
    /// Source maps of one project, bytes; an upload beyond is refused.
    pub source_maps_bytes_max: u64,
    /// Rows of the audit log, days.
    pub audit_days: u32,
    /// Days of which the newest backup is kept; with a zero here and below all are.
    pub backups_daily: u32,
    /// Weeks of which the newest backup is kept.
    pub backups_weekly: u32,
    /// Closed files of the server's own log, days since their last line.
    pub logs_days: u32,
    /// All files of the server's own log together, bytes; oldest go first.
    pub logs_bytes_max: u64,
}

impl RetentionPolicy {
    /// A log that is kept within fewer bytes would lose what was written a moment ago.
    pub const LOGS_BYTES_MIN: u64 = 1 << 20;

    /// Figures that make sense together.
    ///
    /// # Errors
    /// What is wrong, with the name of its key.
    pub fn validate(&self) -> Result<(), String> {
        if self.logs_bytes_max != 0 && self.logs_bytes_max < Self::LOGS_BYTES_MIN {
            return Err(format!("logs_bytes_max: 0 (no limit), or at least {}", Self::LOGS_BYTES_MIN));
        }
        Ok(())
    }
}

impl Default for RetentionPolicy {
    fn default() -> Self {
        Self {
            events_days: 90,
            events_bytes_max: 10 << 30,
            resolved_tickets_days: 365,
            quarantine_days: 30,
            findings_days: 365,
            source_maps_days: 90,
            source_maps_bytes_max: 1 << 30,
            audit_days: 400,
            backups_daily: 7,
            backups_weekly: 4,
            logs_days: 30,
            logs_bytes_max: 500_000_000,
        }
    }
}

/// What retention deleted, or would.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RetentionReport {
    /// Events.
    pub events: u64,
    /// Bytes of bodies.
    pub event_bytes: u64,
    /// Tickets.
    pub tickets: u64,
    /// Quarantine entries.
    pub quarantine: u64,
    /// Findings.
    pub findings: u64,
    /// Uploads of source maps.
    pub source_maps: u64,
    /// Rows of the audit log.
    pub audit: u64,
    /// Remembered ids of events without a body.
    pub remembered_ids: u64,
    /// Events that are old enough and stay because of a legal hold.
    pub held_events: u64,
}

impl RetentionReport {
    /// Whether anything but remembered ids went.
    pub const fn deleted_anything(&self) -> bool {
        self.events + self.tickets + self.quarantine + self.findings + self.source_maps + self.audit > 0
    }
}

/// Sizes and counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StoreStats {
    /// Bytes of the database file.
    pub db_size_bytes: u64,
    /// Bytes of the write-ahead log.
    pub wal_size_bytes: u64,
    /// When the log was last applied to the database file, seconds since 1970.
    pub checkpointed_at: i64,
    /// Stored events.
    pub events: u64,
    /// Tickets by status and priority; each of the pairs is there.
    pub tickets: Vec<(Status, Priority, u64)>,
    /// Strongest emergency brake of all projects.
    pub brake: Brake,
    /// Would-be new tickets that the throttle ever refused, by priority; each of the five is there.
    pub held_total: Vec<(Priority, u64)>,
    /// Quarantine entries.
    pub quarantine_entries: u64,
    /// Times that the database was busy since start.
    pub busy_total: u64,
    /// Version of the database engine.
    pub engine_version: String,
    /// Version of the schema.
    pub schema_version: u32,
}
