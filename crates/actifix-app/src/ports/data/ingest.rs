//! What one request brings, and what became of it.

use super::MonitorTick;
use crate::ingest::Redacted;
use actifix_domain::audit::AuditRecord;
use actifix_domain::event::{Event, EventType, Provenance};
use actifix_domain::fingerprint::Grouping;
use actifix_domain::id::{EventId, ProjectId, PublicKey, TicketId};
use actifix_domain::outcome::{Change, Outcome, Reason};
use actifix_domain::ticket::Priority;
use actifix_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    /// The monitor that the events are about, if they are because it is late.
    pub late_monitor: Option<MonitorTick>,
    /// Sealed input that could not be redacted.
    pub quarantined: Vec<SealedInput>,
    /// Secrets found in what did not become an event.
    pub findings: Vec<FindingRecord>,
    /// The quarantine entry that this comes from: deleted in the same transaction, and the whole refused with
    /// `NotFound` where it is gone, so that nothing is released twice.
    pub released: Option<String>,
    /// The record of that release.
    pub audit: Option<AuditRecord>,
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
            late_monitor: None,
            quarantined: Vec::new(),
            findings: Vec::new(),
            released: None,
            audit: None,
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
            && self.late_monitor.is_none()
            && self.quarantined.is_empty()
            && self.findings.is_empty()
            && self.released.is_none()
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
    /// Keyed hash of the sender's address, where one is known.
    pub peer: Option<u64>,
    /// Keyed hash of the user, if the event names one.
    pub user_hash: Option<u64>,
    /// Bodies kept per ticket and clock hour before sampling; 0 = all.
    pub sample_after: u32,
    /// Secrets found in it.
    pub findings: Vec<FindingRecord>,
    /// Attachments.
    pub attachments: Vec<Attachment>,
}

impl Admitted {
    /// Category of the protocol under which it is counted.
    pub fn category(&self) -> &'static str {
        match self.event.event_type {
            EventType::Error => "error",
            EventType::Default => "default",
            EventType::Csp => "security",
            EventType::Feedback => "feedback",
        }
    }
}

/// What became of a submission.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ingested {
    /// One per event, in order.
    pub events: Vec<Recorded>,
    /// What the store decided about all else: attachments, heartbeats, sessions.
    pub side: Vec<OutcomeCount>,
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

impl FindingRecord {
    /// 32 hex: project, rule and keyed hash of the value, so that one value is one finding per project and rule.
    pub fn id(&self, project: ProjectId) -> String {
        let mut hash = blake3::Hasher::new();
        hash.update(b"actifix-finding/1");
        hash.update(&project.0.to_be_bytes());
        hash.update(&self.hash);
        hash.update(self.rule.as_bytes());
        let mut id = hash.finalize().to_hex().to_string();
        id.truncate(32);
        id
    }
}

/// Input that could not be redacted, encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedInput {
    /// Random id, 32 hex.
    pub id: String,
    /// Why, in words of ours.
    pub reason: String,
    /// Kind of input (`event`, `attachment`, …).
    pub kind: &'static str,
    /// Size in clear, bytes.
    pub size: u64,
    /// Ciphertext.
    pub sealed: Vec<u8>,
}
