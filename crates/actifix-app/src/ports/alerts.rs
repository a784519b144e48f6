//! Ports of alerts: what is kept of them, and the way out of the house.

use super::{
    Attempt, Backlog, DeliveryQuery, DeliveryView, EndpointRecord, Expired, HookRecord, LeasedDelivery,
    NewDelivery, Page, PendingSignal, Routed, RuleRecord, SealedEndpoint, SealedHook, StateKey,
};
use crate::error::Result;
use crate::secrets::SecretText;
use actifix_domain::alert::{AlertRule, Failure, Mute, RuleState, Signal};
use actifix_domain::audit::AuditRecord;
use actifix_domain::id::{ProjectId, TicketId};
use actifix_domain::time::Timestamp;
use async_trait::async_trait;

/// Channels, rules, and the outbox between a change and whoever is told of it.
///
/// Signals of tickets are not written through here: the verbs that change a ticket write them in the same
/// transaction, where some rule listens for them.
#[async_trait]
pub trait AlertStore {
    /// All channels by name; at most [`actifix_domain::alert::ENDPOINTS_MAX`].
    async fn endpoints(&self) -> Result<Vec<SealedEndpoint>>;
    /// Adds a channel. `Conflict` when its name is taken or there are as many as there may be.
    async fn add_endpoint(&self, endpoint: &SealedEndpoint, audit: &AuditRecord) -> Result<()>;
    /// Saves what people set of a channel. `Conflict` (stale) when its version moved. Switching it on forgets its
    /// failures, and so does a record without any.
    async fn save_endpoint(&self, endpoint: &SealedEndpoint, audit: &AuditRecord) -> Result<EndpointRecord>;
    /// Removes a channel with its deliveries; false when there is none.
    async fn remove_endpoint(&self, name: &str, audit: &AuditRecord) -> Result<bool>;

    /// Rules that somebody wrote, by name.
    async fn alert_rules(&self) -> Result<Vec<RuleRecord>>;
    /// Adds a rule, or replaces the one of this name, and keeps what is told for that. `Conflict` when there are as many
    /// as there may be.
    async fn save_alert_rule(
        &self,
        rule: &AlertRule,
        now: Timestamp,
        told: Routed,
        audit: &AuditRecord,
    ) -> Result<RuleRecord>;
    /// Removes a rule with what it remembers, and keeps what is told for that; false when there is none.
    async fn remove_alert_rule(&self, name: &str, told: Routed, audit: &AuditRecord) -> Result<bool>;
    /// Sets or ends the silence about a ticket.
    async fn mute_ticket(&self, id: &TicketId, mute: Option<&Mute>, audit: &AuditRecord) -> Result<()>;
    /// The silence about a ticket.
    async fn ticket_mute(&self, id: &TicketId) -> Result<Option<Mute>>;

    /// Writes signals about the installation, where some rule listens for them.
    async fn raise_signals(&self, signals: Vec<Signal>) -> Result<()>;
    /// Signals for which there was no room since the last call: told once.
    async fn take_lost_signals(&self) -> Result<u64>;
    /// Signals that wait, oldest first, at most `limit`.
    async fn pending_signals(&self, limit: u32) -> Result<Vec<PendingSignal>>;
    /// What rules remember; at most [`actifix_domain::alert::RULE_STATES_MAX`].
    async fn rule_states(&self) -> Result<Vec<(StateKey, RuleState)>>;
    /// Keeps what was decided about signals.
    async fn route(&self, routed: Routed) -> Result<()>;
    /// What changed since `from`, oldest first, at most `limit`, from the history of tickets: for trying a rule.
    async fn past_signals(
        &self,
        project: Option<ProjectId>,
        from: Timestamp,
        limit: u32,
    ) -> Result<Vec<Signal>>;

    /// Ids of the channels with a delivery that may be attempted now, by the age of their oldest; at most
    /// [`actifix_domain::alert::ENDPOINTS_MAX`].
    async fn due_channels(&self, now: Timestamp) -> Result<Vec<String>>;
    /// Takes the oldest waiting delivery of each of the channels `only` that may be attempted now.
    async fn lease_deliveries(
        &self,
        now: Timestamp,
        until: Timestamp,
        only: &[String],
    ) -> Result<Vec<LeasedDelivery>>;
    /// Ends all leases: only one process delivers, and it has just started.
    async fn end_delivery_leases(&self) -> Result<()>;
    /// Records how an attempt ended; the channel afterwards. None when the attempt is no longer the latest, or the
    /// channel is gone.
    async fn record_attempt(&self, attempt: Attempt) -> Result<Option<EndpointRecord>>;
    /// Records a message that was sent to try a channel. One that arrived ends the failures of the channel: what waits
    /// behind them may be attempted at once.
    async fn record_test(
        &self,
        delivery: NewDelivery,
        failure: Option<Failure>,
        status: Option<u16>,
    ) -> Result<()>;
    /// The log of deliveries, newest first.
    async fn deliveries(&self, query: DeliveryQuery) -> Result<Page<DeliveryView>>;
    /// Lets a delivery that ended be sent again, with its id; false when there is none.
    async fn redeliver(&self, id: &str, now: Timestamp, audit: &AuditRecord) -> Result<bool>;
    /// What waits, by channel.
    async fn backlog(&self) -> Result<Vec<Backlog>>;
    /// Gives up what waited too long, by channel.
    async fn expire_deliveries(&self, now: Timestamp) -> Result<Vec<Expired>>;
    /// Forgets ended deliveries and message ids that are too many and, where it goes `by_age`, old ones; returns how many
    /// deliveries.
    async fn tidy_deliveries(&self, now: Timestamp, by_age: bool) -> Result<u64>;
    /// The issue elsewhere that stands for a ticket.
    async fn issue_of(&self, endpoint: &str, ticket: &TicketId) -> Result<Option<u64>>;

    /// Sources of signed requests, by name.
    async fn hooks(&self) -> Result<Vec<HookRecord>>;
    /// One with its secret.
    async fn hook(&self, name: &str) -> Result<Option<SealedHook>>;
    /// Adds one. `Conflict` when its name is taken or there are as many as there may be.
    async fn add_hook(&self, hook: &SealedHook, audit: &AuditRecord) -> Result<()>;
    /// Gives one another secret; false when there is none of its name.
    async fn save_hook_secret(&self, hook: &SealedHook, audit: &AuditRecord) -> Result<bool>;
    /// Removes one; false when there is none.
    async fn remove_hook(&self, name: &str, audit: &AuditRecord) -> Result<bool>;
    /// Remembers the id of a request that was done; false when it was remembered before.
    async fn first_sight(&self, hook: &str, message: &str, now: Timestamp) -> Result<bool>;
}

/// Signed requests that were done.
#[async_trait]
pub trait HookStore {
    /// Whether the request was done already.
    async fn hook_seen(&self, hook: &str, message: &str) -> Result<bool>;
}

/// A request to somebody else's server. Nothing of it is printed: addresses and headers hold secrets.
#[derive(Clone)]
pub struct OutboundRequest {
    /// `POST`, `PUT`, `PATCH` or `GET`.
    pub method: &'static str,
    /// Where to.
    pub url: SecretText,
    /// Header fields, lower-case names.
    pub headers: Vec<(&'static str, SecretText)>,
    /// Body.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for OutboundRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutboundRequest").field("method", &self.method).finish_non_exhaustive()
    }
}

/// What came back, whatever the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundAnswer {
    /// HTTP status.
    pub status: u16,
    /// Seconds of `Retry-After`.
    pub retry_after_seconds: Option<u64>,
    /// Body, at most what the implementation reads.
    pub body: Vec<u8>,
}

/// A mail, and the server that takes it.
#[derive(Clone, Debug)]
pub struct OutboundMail {
    /// Host of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// TLS from the first byte, rather than by STARTTLS. Without either nothing is sent.
    pub implicit_tls: bool,
    /// Name and password, if the server asks for them.
    pub login: Option<(String, SecretText)>,
    /// Sender.
    pub from: String,
    /// Receivers.
    pub to: Vec<String>,
    /// Subject, one line.
    pub subject: String,
    /// Text.
    pub text: String,
    /// `Message-ID` without its brackets; the same at each attempt.
    pub message_id: String,
    /// `Date`.
    pub at: Timestamp,
}

/// The way out of the house: https or SMTP with TLS, to permitted addresses, within a deadline.
#[async_trait]
pub trait Courier: Send + Sync + 'static {
    /// Sends a request and reads the answer.
    ///
    /// # Errors
    /// The class of what went wrong, never its text.
    async fn send(&self, request: OutboundRequest) -> Result<OutboundAnswer, Failure>;
    /// Hands a mail over to its server.
    ///
    /// # Errors
    /// As of [`Courier::send`].
    async fn mail(&self, mail: OutboundMail) -> Result<(), Failure>;
}
