//! Channels, rules, signals and deliveries.

use super::Cursor;
use actifix_domain::alert::{AlertRule, Failure, Mute, RuleState, Signal, Trigger};
use actifix_domain::id::{ProjectId, TicketId};
use actifix_domain::time::Timestamp;
use serde::Serialize;

/// A channel, without what is secret of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndpointRecord {
    /// Random id, 32 hex; part of what receivers see.
    #[serde(skip)]
    pub id: String,
    /// Name.
    pub name: String,
    /// `webhook`, `slack`, `discord`, `teams`, `ntfy`, `telegram`, `mail`, `github`.
    pub kind: String,
    /// Only signals of this project.
    pub project: Option<ProjectId>,
    /// Where it leads, masked: the host and no more.
    pub place: String,
    /// People are called out by it: tests ask first.
    pub production: bool,
    /// Switched on.
    pub enabled: bool,
    /// It comes from `ACTIFIX_WEBHOOK_URLS`, and goes with it.
    pub from_environment: bool,
    /// Why it was switched off, where the server did it.
    pub disabled_reason: Option<String>,
    /// Failed attempts in a row.
    pub streak: u32,
    /// Class of the last failure.
    pub last_failure: Option<String>,
    /// When that was.
    pub last_failure_at: Option<Timestamp>,
    /// When something was delivered last.
    pub last_success_at: Option<Timestamp>,
    /// Nothing is tried before.
    pub next_attempt_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// Counts changes by people.
    pub version: u64,
}

/// A channel with its sealed address and secrets.
#[derive(Clone, Debug, PartialEq)]
pub struct SealedEndpoint {
    /// What may be told.
    pub record: EndpointRecord,
    /// The rest.
    pub sealed: Vec<u8>,
}

/// A rule of somebody.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleRecord {
    /// The rule.
    #[serde(flatten)]
    pub rule: AlertRule,
    /// When it was made.
    pub created_at: Timestamp,
    /// Counts its changes.
    pub version: u64,
}

/// A signal that waits to be looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingSignal {
    /// Place in the outbox.
    pub seq: i64,
    /// What changed.
    pub signal: Signal,
    /// Silence about its ticket.
    pub mute: Option<Mute>,
}

/// A message for one channel.
#[derive(Clone, Debug, PartialEq)]
pub struct NewDelivery {
    /// Id that the receiver sees at each attempt; made once.
    pub id: String,
    /// Id of the channel.
    pub endpoint: String,
    /// What it is about.
    pub trigger: Option<Trigger>,
    /// The ticket, where it is about one.
    pub ticket: Option<TicketId>,
    /// What is said, as JSON; redacted.
    pub notice: String,
    /// When it was decided.
    pub created_at: Timestamp,
}

/// A rule by name, and the project of whose signals it remembers something; none for the installation. Projects do not
/// share a burst or a digest: one would hear of the other, or keep it silent.
pub type StateKey = (String, Option<ProjectId>);

/// What was decided about signals: all of it is kept, and the signals go, in one transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Routed {
    /// Signals that were looked at.
    pub signals: Vec<i64>,
    /// What rules remember.
    pub states: Vec<(StateKey, RuleState)>,
    /// What they need not remember any more.
    pub forgotten: Vec<StateKey>,
    /// Messages.
    pub deliveries: Vec<NewDelivery>,
    /// Tickets whose mute has ended.
    pub unmuted: Vec<TicketId>,
}

/// A delivery that this process may attempt until its lease ends.
#[derive(Clone, Debug, PartialEq)]
pub struct LeasedDelivery {
    /// Its id.
    pub id: String,
    /// Id of the channel.
    pub endpoint: String,
    /// What is said, as JSON.
    pub notice: String,
    /// The ticket, where it is about one.
    pub ticket: Option<TicketId>,
    /// Attempts so far, this one included.
    pub attempts: u32,
    /// When it was decided.
    pub created_at: Timestamp,
    /// When it is given up.
    pub expires_at: Timestamp,
}

/// What waited for a channel until it was too old.
#[derive(Clone, Debug, PartialEq)]
pub struct Expired {
    /// The channel.
    pub endpoint: EndpointRecord,
    /// How many messages.
    pub count: u64,
    /// How many of them were never attempted.
    pub untried: u64,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The receiver has it.
    Delivered,
    /// It is tried again, not before the time.
    Again {
        /// Why it failed.
        failure: Failure,
        /// Nothing is sent to the channel before.
        not_before: Timestamp,
    },
    /// It is given up; `not_before` as above.
    Dead {
        /// Why it failed.
        failure: Failure,
        /// Nothing is sent to the channel before.
        not_before: Timestamp,
    },
}

/// What is recorded of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// The delivery.
    pub delivery: String,
    /// Its channel.
    pub endpoint: String,
    /// Number of the attempt; a record of an earlier one that comes late changes nothing.
    pub attempts: u32,
    /// When it ended.
    pub at: Timestamp,
    /// How.
    pub end: AttemptEnd,
    /// Status of the answer, if there was one.
    pub status: Option<u16>,
    /// The channel is switched off, because of this.
    pub disable: Option<String>,
    /// The issue elsewhere that stands for the ticket.
    pub issue: Option<(TicketId, u64)>,
}

/// A delivery in the log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeliveryView {
    /// Its id, as the receiver sees it.
    pub id: String,
    /// Name of the channel.
    pub endpoint: String,
    /// What it is about; none for tests.
    pub trigger: Option<String>,
    /// The ticket, where it is about one.
    pub ticket: Option<TicketId>,
    /// `pending`, `delivered`, `dead`.
    pub state: String,
    /// It was sent to try the channel.
    pub test: bool,
    /// Attempts so far.
    pub attempts: u32,
    /// Class of the last failure.
    pub last_failure: Option<String>,
    /// Status of the last answer.
    pub last_status: Option<u16>,
    /// When it was decided.
    pub created_at: Timestamp,
    /// When it was attempted last.
    pub attempted_at: Option<Timestamp>,
    /// When it is given up.
    pub expires_at: Timestamp,
}

/// Which deliveries are asked for.
#[derive(Clone, Debug, Default)]
pub struct DeliveryQuery {
    /// Name of the channel.
    pub endpoint: Option<String>,
    /// Only these: `pending`, `delivered`, `dead`.
    pub state: Option<String>,
    /// Where to go on.
    pub cursor: Option<Cursor>,
    /// 1 to 200.
    pub limit: u32,
}

/// What waits, by channel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Backlog {
    /// Name of the channel.
    pub endpoint: String,
    /// Messages that wait.
    pub pending: u64,
    /// When the oldest of them was decided.
    pub oldest_at: Option<Timestamp>,
    /// Messages that were given up.
    pub dead: u64,
}

/// A source of signed requests.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HookRecord {
    /// Name; part of the path.
    pub name: String,
    /// `github` or `standard`.
    pub kind: String,
    /// The project whose tickets it may work on.
    pub project: ProjectId,
    /// The repository of GitHub that is believed; sources of before there were any have none, and resolve nothing.
    pub target: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When a signed request came last.
    pub last_used_at: Option<Timestamp>,
}

/// A source with its sealed secret.
#[derive(Clone, Debug, PartialEq)]
pub struct SealedHook {
    /// What may be told.
    pub record: HookRecord,
    /// The secret.
    pub sealed: Vec<u8>,
}
