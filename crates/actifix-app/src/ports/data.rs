//! What crosses the ports: plain data, no behaviour.

use crate::ingest::Redacted;
use actifix_domain::access::Scope;
use actifix_domain::cron::{Failure, MonitorState};
use actifix_domain::event::{Event, Provenance};
use actifix_domain::fingerprint::{Explanation, Grouping};
use actifix_domain::id::{EventId, Fingerprint, ProjectId, PublicKey, TicketId};
use actifix_domain::outcome::{Change, Outcome, Reason};
use actifix_domain::project::ProjectKey;
use actifix_domain::search::Search;
use actifix_domain::ticket::{Priority, Status, Ticket};
use actifix_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page starts; none at the end.
    pub next_cursor: Option<Cursor>,
    /// How many match in all, where the list counts; capped at [`Page::<T>::TOTAL_MAX`] + 1.
    pub total: Option<u64>,
}

impl<T> Page<T> {
    /// Matches are counted up to this; one more means "more than".
    pub const TOTAL_MAX: u64 = 10_000;
}

/// Opaque place in a list: the sort key and id of the last row, as the store wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub String);

/// All that one request brought, redacted. Only the ingest pipeline can fill `events`.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Its project.
    pub project: ProjectId,
    /// When it was received.
    pub received_at: Timestamp,
    /// Events, with their attachments.
    pub events: Vec<Admitted>,
    /// Attachments of events that came earlier.
    pub late_attachments: Vec<(EventId, Attachment)>,
    /// Items that ended otherwise than as an event.
    pub counts: Vec<OutcomeCount>,
    /// What the SDK says it dropped itself.
    pub discards: Vec<Discard>,
    /// Release health counters.
    pub sessions: Vec<SessionCount>,
    /// Heartbeats.
    pub check_ins: Vec<CheckIn>,
    /// Sealed input that could not be redacted.
    pub quarantined: Vec<SealedInput>,
    /// A key, and the origin that sent with it without being listed.
    pub unlisted_origin: Option<(PublicKey, String)>,
}

impl Submission {
    /// An empty one.
    pub fn new(project: ProjectId, received_at: Timestamp) -> Self {
        Self {
            project,
            received_at,
            events: Vec::new(),
            late_attachments: Vec::new(),
            counts: Vec::new(),
            discards: Vec::new(),
            sessions: Vec::new(),
            check_ins: Vec::new(),
            quarantined: Vec::new(),
            unlisted_origin: None,
        }
    }

    /// Nothing to record.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.late_attachments.is_empty()
            && self.counts.is_empty()
            && self.discards.is_empty()
            && self.sessions.is_empty()
            && self.check_ins.is_empty()
            && self.quarantined.is_empty()
            && self.unlisted_origin.is_none()
    }
}

/// An event that passed decode, redact and group, and may be stored.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// The event; its title and culprit are set.
    pub event: Redacted<Event>,
    /// How it came in.
    pub provenance: Provenance,
    /// Its key and why.
    pub grouping: Grouping,
    /// Goes to the ticket of this event, if that is stored (feedback); else by `grouping`.
    pub attach_to: Option<EventId>,
    /// Priority for a new ticket.
    pub priority: Priority,
    /// Why.
    pub priority_reason: String,
    /// Most urgent priority that this sender may cause, raises included.
    pub ceiling: Priority,
    /// Keyed hash of the user, if the event names one.
    pub user_hash: Option<u64>,
    /// Bodies kept per ticket and clock hour before sampling; 0 = all.
    pub sample_after: u32,
    /// Secrets found in it.
    pub findings: Vec<FindingRecord>,
    /// Attachments.
    pub attachments: Vec<Attachment>,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// Its id.
    pub event_id: EventId,
    /// Its ticket; none when only flood counters moved.
    pub ticket_id: Option<TicketId>,
    /// Its fate.
    pub outcome: Outcome,
    /// What it did to the ticket.
    pub change: Change,
    /// Events of the ticket so far, this one included.
    pub count: u64,
}

/// An attachment; `bytes` only where they were redacted text or the project keeps binaries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Name, size and kind.
    pub info: AttachmentInfo,
    /// Content.
    pub bytes: Option<Vec<u8>>,
}

/// What is listed of an attachment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentInfo {
    /// Number within the event, from 0; set by the store.
    pub number: u32,
    /// File name as sent, redacted, at most 255 characters; never used as a path.
    pub name: String,
    /// Content type as sent.
    pub content_type: String,
    /// `event.attachment`, `event.minidump`, …
    pub attachment_type: String,
    /// Bytes as sent.
    pub size: u64,
    /// Keyed digest of the bytes as sent, 32 hex.
    pub digest: String,
    /// Whether the content was kept.
    pub kept: bool,
}

/// Items that ended otherwise than as an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutcomeCount {
    /// Their fate.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// Category of the protocol (`error`, `transaction`, …); from our own list.
    pub category: &'static str,
    /// How many.
    pub quantity: u64,
}

/// What an SDK dropped itself; words from our own lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discard {
    /// Why, or `other`.
    pub reason: &'static str,
    /// Of what, or `other`.
    pub category: &'static str,
    /// How many.
    pub quantity: u64,
}

/// Release health counters of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCount {
    /// Release.
    pub release: String,
    /// Environment.
    pub environment: String,
    /// Started.
    pub sessions: u64,
    /// Ended with an error.
    pub errored: u64,
    /// Crashed.
    pub crashed: u64,
}

/// One heartbeat of a monitor, with the state that follows from it.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckIn {
    /// Name of the monitor, at most 128 characters.
    pub slug: String,
    /// Environment, or empty.
    pub environment: String,
    /// `ok`, `in_progress`, `error`.
    pub status: &'static str,
    /// Seconds that the run took.
    pub duration_seconds: Option<f64>,
    /// Id by which a later check-in continues this one.
    pub check_in_id: Option<EventId>,
    /// Schedule and margins, when the SDK sends them.
    pub config: Option<Value>,
}

/// One secret found; never the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindingRecord {
    /// Rule id.
    pub rule: String,
    /// `critical`, `high`, `medium`, `low`.
    pub severity: &'static str,
    /// Field path.
    pub path: String,
    /// At most the first four characters and an ellipsis.
    pub masked: String,
    /// Keyed hash of the value.
    pub hash: [u8; 16],
}

/// Input that could not be redacted, encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedInput {
    /// Random id, 32 hex.
    pub id: String,
    /// Why, in words of ours.
    pub reason: String,
    /// Kind of input (`event`, `envelope`, …).
    pub kind: &'static str,
    /// Size in clear, bytes.
    pub size: u64,
    /// Ciphertext.
    pub sealed: Vec<u8>,
}

/// How a ticket list is ordered; always newest or largest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// By last event.
    #[default]
    LastSeen,
    /// By first event.
    FirstSeen,
    /// By number of events.
    Count,
    /// By priority, then last event.
    Priority,
}

/// A question to the ticket list.
#[derive(Clone, Debug)]
pub struct TicketQuery {
    /// Only this project.
    pub project: Option<ProjectId>,
    /// Filter.
    pub search: Search,
    /// Keyed hashes of the values of its `user:` terms, which only the vault's holder can make; a value without one
    /// is nobody.
    pub user_hashes: BTreeMap<String, u64>,
    /// Order.
    pub sort: Sort,
    /// Where to go on.
    pub cursor: Option<Cursor>,
    /// 1 to 200.
    pub limit: u32,
    /// Count matches too.
    pub with_total: bool,
}

/// A value of a tag, release or environment of a ticket, with how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Facet {
    /// `release`, `environment`, or a tag's name.
    pub key: String,
    /// The value.
    pub value: String,
    /// Events.
    pub count: u64,
    /// First event with it.
    pub first_seen: Timestamp,
    /// Last event with it.
    pub last_seen: Timestamp,
}

/// Events in one clock hour, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HourCount {
    /// Start of the hour.
    pub hour: Timestamp,
    /// Events.
    pub count: u64,
}

/// Events in one day, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DayCount {
    /// Start of the day.
    pub day: Timestamp,
    /// Events.
    pub count: u64,
}

/// A claim on a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lease {
    /// Random id.
    pub lease_id: String,
    /// Rises with each lease of the ticket; stale writers are refused by it.
    pub fence: u64,
    /// Who holds it.
    pub holder: String,
    /// When it was taken.
    pub since: Timestamp,
    /// When it ends unless renewed.
    pub expires_at: Timestamp,
}

/// One line of a ticket's history.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ActivityEntry {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What (`claimed`, `note`, `resolved`, …).
    pub kind: String,
    /// Details; redacted text.
    pub data: Value,
}

/// What a ticket's page shows beyond the ticket.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TicketDetail {
    /// The ticket.
    pub ticket: Ticket,
    /// Its keys: its own, and those merged into it.
    pub fingerprints: Vec<Fingerprint>,
    /// Why its events belong together.
    pub grouping: Explanation,
    /// Values of tags, releases, environments; at most 20 per key, 50 keys.
    pub facets: Vec<Facet>,
    /// The last 7 days by hour, hours without events left out.
    pub hours: Vec<HourCount>,
    /// The last 90 days, days without events left out.
    pub days: Vec<DayCount>,
    /// History, newest first; at most 200.
    pub activity: Vec<ActivityEntry>,
    /// Who works on it.
    pub lease: Option<Lease>,
    /// Highest fencing number given so far.
    pub last_fence: u64,
    /// Agents may have it (`agents.md` §1).
    pub approved: bool,
    /// Latest stored event.
    pub latest_event: Option<EventId>,
    /// Secrets found in its events, by rule.
    pub redactions: Vec<(String, u64)>,
}

/// A decision about one ticket. Counts and times of events are not touched by it.
#[derive(Clone, Debug)]
pub struct TicketSave {
    /// The ticket.
    pub id: TicketId,
    /// The version that the decision was made on.
    pub expected_version: u64,
    /// New status.
    pub status: Status,
    /// New priority.
    pub priority: Priority,
    /// Why.
    pub priority_reason: String,
    /// Who works on it.
    pub assignee: Option<String>,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// Release that fixes it.
    pub resolved_in: Option<String>,
    /// The lease after this; none ends it.
    pub lease: Option<Lease>,
    /// Agents may have it.
    pub approved: bool,
    /// What happened; none only for a renewed lease.
    pub activity: Option<ActivityEntry>,
}

/// An event in a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventSummary {
    /// Identity.
    pub event_id: EventId,
    /// Its ticket.
    pub ticket_id: TicketId,
    /// Its project.
    pub project: ProjectId,
    /// When it happened.
    pub timestamp: Timestamp,
    /// When it was received.
    pub received_at: Timestamp,
    /// One line.
    pub title: String,
    /// Release.
    pub release: Option<String>,
    /// Environment.
    pub environment: Option<String>,
}

/// An event with its body.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    /// Its project.
    pub project: ProjectId,
    /// Its ticket.
    pub ticket_id: TicketId,
    /// When it was received.
    pub received_at: Timestamp,
    /// `accepted` or `held`.
    pub outcome: Outcome,
    /// How it came in.
    pub provenance: Provenance,
    /// The event as JSON text.
    pub body: Vec<u8>,
    /// Secrets that were taken out of it: rule and path.
    pub redactions: Vec<(String, String)>,
}

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

/// A monitor that is late: each is one event, made by whoever asked.
#[derive(Clone, Debug, PartialEq)]
pub struct MonitorFailure {
    /// Its project.
    pub project: ProjectId,
    /// Name.
    pub slug: String,
    /// Environment, or empty.
    pub environment: String,
    /// What went wrong.
    pub failure: Failure,
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
}

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
    /// Field paths with the ticket where each was last seen; at most 20.
    pub places: Vec<(String, Option<TicketId>)>,
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
}

impl Default for RetentionPolicy {
    fn default() -> Self {
        Self {
            events_days: 90,
            events_bytes_max: 10 << 30,
            resolved_tickets_days: 365,
            quarantine_days: 30,
            findings_days: 365,
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
    /// Remembered ids of events without a body.
    pub remembered_ids: u64,
}

/// Sizes and counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StoreStats {
    /// Bytes of the database file.
    pub db_size_bytes: u64,
    /// Bytes of the write-ahead log.
    pub wal_size_bytes: u64,
    /// Stored events.
    pub events: u64,
    /// Tickets by status and priority.
    pub tickets: Vec<(Status, Priority, u64)>,
    /// Quarantine entries.
    pub quarantine_entries: u64,
    /// Times that the database was busy since start.
    pub busy_total: u64,
    /// Version of the database engine.
    pub engine_version: String,
    /// Version of the schema.
    pub schema_version: u32,
}
