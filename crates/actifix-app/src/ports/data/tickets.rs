//! Tickets and events as they are asked for and shown.

use super::Cursor;
use crate::releases::SuspectCommit;
use actifix_domain::event::Provenance;
use actifix_domain::fingerprint::Explanation;
use actifix_domain::id::{EventId, Fingerprint, ProjectId, TicketId};
use actifix_domain::outcome::Outcome;
use actifix_domain::search::Search;
use actifix_domain::throttle::Waiting;
use actifix_domain::ticket::{Priority, Status, Ticket};
use actifix_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

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
    /// Latest stored event.
    pub latest_event: Option<EventId>,
    /// Secrets found in its events, by rule.
    pub redactions: Vec<(String, u64)>,
    /// Commits that may have caused it, the likeliest first; the store leaves them empty.
    pub suspect_commits: Vec<SuspectCommit>,
    /// What holds it at the moment, if it is held; the store leaves it out.
    pub held_because: Option<Waiting>,
    /// Agents failed at it so often that a person has to look; the store leaves that to the App.
    pub needs_person: bool,
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
    /// Resolved in the next release: the latest one known.
    pub resolved_after: Option<String>,
    /// The lease after this; none ends it.
    pub lease: Option<Lease>,
    /// A person let agents have it.
    pub approved: bool,
    /// Who decided it; what the audit log names.
    pub actor: String,
    /// A new lease is refused to a holder of so many live ones; none for people.
    pub leases_max: Option<u32>,
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
