//! What the middle asks of the outside world. Edges implement these; nothing else crosses the wall.
//!
//! Store verbs are coarse: one verb is one transaction. Lookups return `Option`; a write on an aggregate takes
//! the version that the decision was made on.

mod alerts;
mod data;
mod operations;
mod releases;
mod source_maps;
mod views;

pub use alerts::{AlertStore, Courier, HookStore, OutboundAnswer, OutboundMail, OutboundRequest};
pub use data::{AccessRecord, Holder, HolderId, SigningKeyRecord};
pub use data::{
    ActivityEntry, Admitted, ApiCounter, Attachment, AttachmentInfo, AuditFault, AuditHead, AuditQuery,
    AuditReport, AuditRow, Authenticity, BackupFile, BackupMade, BackupVerdict, BackupView, CheckIn, Cursor,
    DamagedRow, DayCount, Discard, EventSummary, Facet, FactorRecord, FindingPlace, FindingQuery,
    FindingRecord, FindingState, FindingView, HeldOverview, HourCount, Ingested, IntegrityReport, KeptAnswer,
    KeyRecord, LateMonitor, Lease, LegalHold, LoginKey, LoginSettled, LoginTaken, MonitorTick, MonitorView,
    OutcomeCount, OutcomeTotal, Page, QuarantineEntry, QuarantineItem, Recorded, RetentionPolicy,
    RetentionReport, Rotation, ScrubPlace, ScrubStep, SealedInput, SealedSecret, SecretRecord, SessionCount,
    SessionRecord, SessionsOf, SnapshotFacts, Sort, StoreStats, StoredEvent, Submission, TOKEN_USE_MICROS,
    ThrottleRecord, TicketDetail, TicketQuery, TicketSave, TokenRecord, UpkeepKind, UpkeepRun, UserRecord,
    VaultStatus,
};
pub use data::{
    Attempt, AttemptEnd, Backlog, DeliveryQuery, DeliveryView, EndpointRecord, Expired, HookRecord,
    LeasedDelivery, NewDelivery, PendingSignal, Routed, RuleRecord, SealedEndpoint, SealedHook, StateKey,
};
pub use data::{
    BundleKey, BundleView, Checksum, ChunkRoom, ChunkUsage, MapKey, MapUsage, NewSourceMap, SealedChunk,
};
pub use data::{IdentityRecord, PROVIDER_BODY_BYTES_MAX, ProviderAnswer, ProviderFault, ProviderRequest};
pub use operations::{DatabaseFacts, IncidentRow, OperationStore, ReviewRecord};
pub use releases::{ReleaseChange, ReleaseDetail, ReleaseQuery, ReleaseStore, SessionTotals};
pub use source_maps::SourceMapStore;
pub use views::{SavedView, ViewStore};

use crate::doctor::Deployment;
use crate::error::{Error, Result};
use crate::review::NameFact;
use actifix_domain::audit::AuditRecord;
use actifix_domain::id::{EventId, Fingerprint, ProjectId, PublicKey, TicketId};
use actifix_domain::project::{Project, ProjectKey};
use actifix_domain::throttle::{Brake, ThrottleConfig, ThrottleView};
use actifix_domain::ticket::Ticket;
use actifix_domain::time::Timestamp;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::pin::Pin;

/// Wall time. The only source of "now".
pub trait Clock: Send + Sync + 'static {
    /// Now, UTC.
    fn now(&self) -> Timestamp;
    /// Microseconds of a clock that never goes back, from an arbitrary start.
    fn monotonic_micros(&self) -> i64;
}

/// Source of identities and secrets.
pub trait Ids: Send + Sync + 'static {
    /// A new random event id (version 4 layout).
    fn event_id(&self) -> EventId;
    /// Fills `out` from the operating system's generator.
    fn random(&self, out: &mut [u8]);
}

/// Keyed secrets of the installation. What it derives never leaves it in clear.
pub trait Vault: Send + Sync + 'static {
    /// A 256-bit key for `purpose`, derived from the root key; stable over restarts.
    fn derive(&self, purpose: &'static str) -> [u8; 32];
    /// Encrypts and authenticates; the result names its nonce.
    fn seal(&self, purpose: &'static str, clear: &[u8]) -> Result<Vec<u8>>;
    /// Reverse of [`Vault::seal`]; fails on any change.
    fn open(&self, purpose: &'static str, sealed: &[u8]) -> Result<Vec<u8>>;
    /// Where the root key comes from. A vault of tests has none.
    fn status(&self) -> Result<VaultStatus> {
        Err(Error::conflict("this vault has no root key"))
    }
    /// Replaces the root key; derived keys and what is sealed stay. Blocks for seconds at most.
    fn rotate(&self, _rotation: Rotation, _now: Timestamp) -> Result<VaultStatus> {
        Err(Error::conflict("this vault has no root key"))
    }
}

/// Looks at what is around the App: configuration, files, machine, and the server itself from outside.
#[async_trait]
pub trait Surroundings: Send + Sync + 'static {
    /// What is there now. With a `probe` key also what a running server answers; its requests name that key where they
    /// try the limits.
    async fn look(&self, probe: Option<&str>) -> Result<Deployment>;
    /// The names of the configuration that others know, or that are trusted, each asked for once and together within
    /// seconds; at most [`crate::review::NAMES_MAX`].
    async fn names(&self) -> Vec<NameFact>;
}

/// Everything that is kept. Implemented once per database.
pub trait Store:
    IngestStore
    + TicketStore
    + ProjectStore
    + TokenStore
    + AccessStore
    + AccountStore
    + IdentityStore
    + FactorStore
    + AuditStore
    + CareStore
    + AnswerStore
    + SecretStore
    + LimitStore
    + UpkeepStore
    + OperationStore
    + AlertStore
    + ViewStore
    + ReleaseStore
    + HookStore
    + SourceMapStore
    + Send
    + Sync
    + 'static
{
}

impl<T> Store for T where
    T: IngestStore
        + TicketStore
        + ProjectStore
        + TokenStore
        + AccessStore
        + AccountStore
        + IdentityStore
        + FactorStore
        + AuditStore
        + CareStore
        + AnswerStore
        + SecretStore
        + LimitStore
        + UpkeepStore
        + OperationStore
        + AlertStore
        + ViewStore
        + ReleaseStore
        + HookStore
        + SourceMapStore
        + Send
        + Sync
        + 'static
{
}

/// The end of a submission that was queued: resolves when it is durable, or refused.
pub type Pending = Pin<Box<dyn Future<Output = Result<Ingested>> + Send>>;

/// The hot path.
#[async_trait]
pub trait IngestStore: Send + Sync {
    /// Queues all that one request brought, to be recorded in one transaction. A full queue is `Unavailable`, and so
    /// is a full quarantine where the submission brings something for it.
    ///
    /// Serialises and compresses at once: call it where CPU work may be done, and wait for the end elsewhere.
    fn enqueue(&self, submission: Submission) -> Result<Pending>;

    /// Queues a small submission of our own and waits for its end.
    async fn ingest(&self, submission: Submission) -> Result<Ingested> {
        let pending = self.enqueue(submission)?;
        pending.await
    }

    /// Number of submissions waiting for the writer.
    fn queue_depth(&self) -> usize;
}

/// Tickets and their events.
#[async_trait]
pub trait TicketStore {
    /// One ticket; merged ids resolve to the ticket that took them over.
    async fn ticket(&self, id: &TicketId) -> Result<Option<Ticket>>;
    /// A page of tickets, newest first by the sort's key, and the number of matches (capped).
    async fn tickets(&self, query: TicketQuery) -> Result<Page<Ticket>>;
    /// What a ticket's page shows beyond the ticket.
    async fn ticket_detail(&self, id: &TicketId) -> Result<Option<TicketDetail>>;
    /// Events of each ticket by clock hour, those since `since`; at most 200 tickets, unknown ids left out.
    async fn trends(&self, ids: &[TicketId], since: Timestamp) -> Result<Vec<(TicketId, Vec<HourCount>)>>;
    /// Tickets of the project with this near key, most recent first, at most `limit`.
    async fn similar(&self, project: ProjectId, near_key: Fingerprint, limit: u32) -> Result<Vec<Ticket>>;
    /// Stored events of a ticket, newest first.
    async fn ticket_events(
        &self,
        id: &TicketId,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<EventSummary>>;
    /// One event with its body. Without a project, of any project.
    async fn event(&self, project: Option<ProjectId>, id: EventId) -> Result<Option<StoredEvent>>;
    /// Names and sizes of an event's attachments.
    async fn attachments(&self, project: ProjectId, id: EventId) -> Result<Vec<AttachmentInfo>>;
    /// One attachment with its bytes, where those were kept.
    async fn attachment(&self, project: ProjectId, id: EventId, number: u32) -> Result<Option<Attachment>>;
    /// Saves a decision about one ticket: fields, lease, activity. `Conflict` when the version moved.
    async fn save_ticket(&self, save: TicketSave) -> Result<Ticket>;
    /// Moves keys, events and counts of `from` into `into`; the old id keeps resolving. Same project only.
    async fn merge_tickets(
        &self,
        into: &TicketId,
        expected_version: Option<u64>,
        from: &[TicketId],
        activity: ActivityEntry,
    ) -> Result<Ticket>;
    /// Pins `fingerprint`, one of several of the ticket, to a ticket of its own, with its stored events.
    async fn split_ticket(
        &self,
        id: &TicketId,
        expected_version: Option<u64>,
        fingerprint: Fingerprint,
        activity: ActivityEntry,
    ) -> Result<Ticket>;
    /// Opens up to `limit` held tickets, oldest first, as the throttle's budget allows; with `force` regardless of it.
    async fn promote_held(
        &self,
        project: ProjectId,
        only: Option<&TicketId>,
        limit: u32,
        force: bool,
        now: Timestamp,
        audit: Option<&AuditRecord>,
    ) -> Result<Vec<TicketId>>;
    /// Settings of the throttle from now on; they were validated.
    fn set_throttle(&self, config: ThrottleConfig);
    /// State of the throttle.
    async fn throttle(&self, project: ProjectId, now: Timestamp) -> Result<(ThrottleView, HeldOverview)>;
    /// Strongest emergency brake of all projects.
    async fn brake(&self, now: Timestamp) -> Result<Brake>;
    /// Latest decisions of the throttle over all projects, newest first, at most `limit` (5,000).
    async fn throttle_history(&self, limit: u32) -> Result<Vec<ThrottleRecord>>;
    /// Forgets windows and releases the brake.
    async fn reset_throttle(&self, project: ProjectId, now: Timestamp, audit: &AuditRecord) -> Result<()>;
}

/// Projects and keys.
#[async_trait]
pub trait ProjectStore {
    /// Creates a project, with `first_key` if there is one, whatever project that names. `Conflict` when id, name or
    /// key is taken. `id: None` takes the next free one.
    async fn create_project(
        &self,
        id: Option<ProjectId>,
        name: &str,
        first_key: Option<&ProjectKey>,
        now: Timestamp,
        audit: &AuditRecord,
    ) -> Result<Project>;
    /// One project.
    async fn project(&self, id: ProjectId) -> Result<Option<Project>>;
    /// One project by name.
    async fn project_by_name(&self, name: &str) -> Result<Option<Project>>;
    /// All projects by id; at most 1,000.
    async fn projects(&self) -> Result<Vec<Project>>;
    /// Saves name and settings. `Conflict` (stale) when the version moved.
    async fn save_project(&self, project: &Project, audit: &AuditRecord) -> Result<Project>;
    /// Adds a key. `Conflict` when it exists, or the project has as many as it may have.
    async fn add_key(&self, key: &ProjectKey, audit: &AuditRecord) -> Result<()>;
    /// Saves a key. `Conflict` (stale) when its version moved.
    async fn save_key(&self, key: &ProjectKey, audit: &AuditRecord) -> Result<ProjectKey>;
    /// Adds `new` and disables `old`, both or neither. `Conflict` as for each of the two.
    async fn replace_key(&self, old: &ProjectKey, new: &ProjectKey, audit: &AuditRecord) -> Result<()>;
    /// A key by its public part.
    async fn key(&self, public_key: &PublicKey) -> Result<Option<ProjectKey>>;
    /// Keys of a project.
    async fn keys(&self, project: ProjectId) -> Result<Vec<KeyRecord>>;
    /// Monitors of a project, at most 1,000.
    async fn monitors(&self, project: ProjectId) -> Result<Vec<MonitorView>>;
    /// Which monitors are late by `now`, longest overdue first; at most 500 of one call. Changes nothing.
    async fn late_monitors(&self, now: Timestamp) -> Result<Vec<LateMonitor>>;
    /// Outcome totals of a project since `from` (hour resolution), SDK discards included.
    async fn outcomes(&self, project: ProjectId, from: Timestamp) -> Result<Vec<OutcomeTotal>>;
}

/// API tokens; only hashes are kept.
#[async_trait]
pub trait TokenStore {
    /// Adds a token's row.
    async fn add_token(&self, token: &TokenRecord, audit: &AuditRecord) -> Result<()>;
    /// The row of a token by the hash of its text.
    async fn token_by_hash(&self, hash: &[u8; 32]) -> Result<Option<TokenRecord>>;
    /// All rows, newest first; at most 1,000.
    async fn tokens(&self) -> Result<Vec<TokenRecord>>;
    /// Adds `new` in the place of the token `old`, which ends at `old_ends_at` at the latest. `Conflict` when that was
    /// replaced, revoked or has ended: of two at once one wins.
    async fn rotate_token(
        &self,
        old: &str,
        old_ends_at: Timestamp,
        new: &TokenRecord,
        audit: &AuditRecord,
    ) -> Result<()>;
    /// Notes that tokens were used; what was noted within [`TOKEN_USE_MICROS`] is left as it is.
    async fn note_token_uses(&self, uses: Vec<(String, Timestamp)>) -> Result<()>;
    /// Remembers that people were warned that a token has so few days left. False when they were already, by whoever
    /// else.
    async fn note_token_warning(&self, id: &str, days: u32) -> Result<bool>;
    /// Revokes one, or all when `id` is none; returns how many.
    async fn revoke_tokens(&self, id: Option<&str>, now: Timestamp, audit: &AuditRecord) -> Result<u64>;
}

/// Short-lived access tokens and the keys that sign them.
#[async_trait]
pub trait AccessStore {
    /// Keys that sign or verify, the latest first; at most [`SIGNING_KEYS_MAX`].
    async fn signing_keys(&self, now: Timestamp) -> Result<Vec<SigningKeyRecord>>;
    /// Lets `new` sign in the place of `former`, which then verifies until `former_retires_at`; keys that retired by the
    /// time that `new` was made go. `Conflict` when another key signs than `former` (none: when any does), or when more
    /// than [`SIGNING_KEYS_MAX`] would verify.
    async fn replace_signing_key(
        &self,
        former: Option<&str>,
        former_retires_at: Timestamp,
        new: &SigningKeyRecord,
        audit: &AuditRecord,
    ) -> Result<()>;
    /// A holder as its rows say; none when there is no such token or session.
    async fn holder(&self, id: &HolderId) -> Result<Option<Holder>>;
    /// Adds the row of an access token. `Throttled` when its holder, or everybody together, has as many as may be.
    async fn add_access(&self, access: &AccessRecord, audit: &AuditRecord) -> Result<()>;
    /// The row of an access token with its holder; none when either is gone.
    async fn access(&self, id: &str) -> Result<Option<(AccessRecord, Holder)>>;
    /// Ends an access token; false when it is gone already.
    async fn end_access(&self, id: &str, audit: &AuditRecord) -> Result<bool>;
}

/// Keys that verify access tokens at the same time: the one that signs and the one before.
pub const SIGNING_KEYS_MAX: usize = 2;

/// People and their sessions; of passwords and cookies only verifiers and hashes are kept.
#[async_trait]
pub trait AccountStore {
    /// Adds an account. `Conflict` when its name is taken.
    async fn add_user(&self, user: &UserRecord, audit: &AuditRecord) -> Result<()>;
    /// An account by its canonical name.
    async fn user(&self, name: &str) -> Result<Option<UserRecord>>;
    /// An account by its id.
    async fn user_by_id(&self, id: &str) -> Result<Option<UserRecord>>;
    /// All accounts by name; at most 1,000.
    async fn users(&self) -> Result<Vec<UserRecord>>;
    /// Saves role, verifier, state. `Conflict` (stale) when the version moved; `Conflict` when no open administrator
    /// would be left. With `end_sessions` all its sessions
    /// end in the same transaction, and its epoch rises.
    async fn save_user(
        &self,
        user: &UserRecord,
        end_sessions: bool,
        audit: &AuditRecord,
    ) -> Result<UserRecord>;
    /// Takes a stronger verifier of the same password.
    async fn upgrade_verifier(&self, user_id: &str, old: &str, new: &str) -> Result<()>;
    /// Begins a session if the account is open and still has the verifier and the epoch of `user`, on which the login
    /// was decided; else `Conflict`.
    async fn begin_session(
        &self,
        session: &SessionRecord,
        user: &UserRecord,
        audit: &AuditRecord,
    ) -> Result<()>;
    /// A session and whose it is, by the hash of its cookie.
    async fn session(&self, hash: &[u8; 32]) -> Result<Option<(SessionRecord, UserRecord)>>;
    /// Says that a session was used, and whether its password was given again.
    async fn touch_session(&self, hash: &[u8; 32], seen_at: Timestamp, authenticated: bool) -> Result<()>;
    /// Sessions that go on, of one person or all; at most 1,000.
    async fn sessions(&self, user_id: Option<&str>, now: Timestamp) -> Result<Vec<SessionRecord>>;
    /// Ends sessions; returns how many. Where all of a person, or of everybody, end, the epoch rises.
    async fn end_sessions(&self, which: SessionsOf, audit: &AuditRecord) -> Result<u64>;
}

/// Accounts as a sign-in provider names their owners.
#[async_trait]
pub trait IdentityStore {
    /// Whose account somebody at a provider may open.
    async fn identity(&self, issuer: &str, subject: &str) -> Result<Option<UserRecord>>;
    /// All identities of an account; at most [`IDENTITIES_MAX`].
    async fn identities(&self, user_id: &str) -> Result<Vec<IdentityRecord>>;
    /// Links one with an account, which is made with it where `new_user` is given. `Conflict` when it is linked, the
    /// account has as many as it may have, or the name of the new one is taken.
    async fn link_identity(
        &self,
        identity: &IdentityRecord,
        new_user: Option<&UserRecord>,
        audit: &[AuditRecord],
    ) -> Result<()>;
    /// Takes all identities from an account; returns how many.
    async fn unlink_identities(&self, user_id: &str, audit: &AuditRecord) -> Result<u64>;
    /// Remembers a sign-in that came back until nobody could bring it again; false when it did before.
    async fn spend_sign_in(&self, hash: &[u8; 32], expires_at: Timestamp, now: Timestamp) -> Result<bool>;
}

/// Identities of one account.
pub const IDENTITIES_MAX: usize = 10;

/// The way to the sign-in provider: https, to hosts that the configuration names, bounded in time and size.
#[async_trait]
pub trait ProviderWire: Send + Sync + 'static {
    /// Sends a request and reads the answer.
    async fn exchange(&self, request: ProviderRequest) -> Result<ProviderAnswer, ProviderFault>;
}

/// Second factors of people. Secrets come sealed, recovery codes hashed.
#[async_trait]
pub trait FactorStore {
    /// The second factor of a person, begun or confirmed.
    async fn factor(&self, user_id: &str) -> Result<Option<FactorRecord>>;
    /// Begins one, in the place of one that was begun before. `Conflict` when one is confirmed.
    async fn begin_factor(&self, factor: &FactorRecord, audit: &AuditRecord) -> Result<()>;
    /// Confirms the one that was begun, by a code of `step`, which is taken; sets its recovery codes; ends all other
    /// sessions of the person, and raises the epoch. `Conflict` when another was begun since, or this one confirmed.
    async fn confirm_factor(
        &self,
        factor: &FactorRecord,
        step: i64,
        recovery: Vec<[u8; 32]>,
        keep_session: &str,
        now: Timestamp,
        audit: &AuditRecord,
    ) -> Result<()>;
    /// Takes a time step of a confirmed one; false when this or a later one was taken. Of two at once one wins.
    async fn take_step(&self, user_id: &str, step: i64) -> Result<bool>;
    /// Takes a recovery code; false when there is no such, or it was taken. Of two at once one wins.
    async fn take_recovery_code(
        &self,
        user_id: &str,
        hash: &[u8; 32],
        now: Timestamp,
        audit: &AuditRecord,
    ) -> Result<bool>;
    /// Sets other recovery codes; the former are void. `NotFound` when no factor is confirmed.
    async fn replace_recovery_codes(
        &self,
        user_id: &str,
        recovery: Vec<[u8; 32]>,
        audit: &AuditRecord,
    ) -> Result<()>;
    /// Removes it with its recovery codes; false when there is none. With `end_sessions` all sessions of the person
    /// end, and the epoch rises.
    async fn remove_factor(&self, user_id: &str, end_sessions: bool, audit: &AuditRecord) -> Result<bool>;
}

/// The audit log. Verbs that change something take the record of it, and do both or neither; where the record cannot
/// be written they are `Unavailable`.
#[async_trait]
pub trait AuditStore {
    /// Adds records that have no change to go with.
    async fn append_audit(&self, records: Vec<AuditRecord>) -> Result<()>;
    /// Adds `record`, and before it one of each setting that differs from those of the last call; returns their
    /// names. The first call finds none to differ from.
    async fn note_settings(
        &self,
        settings: BTreeMap<String, String>,
        record: &AuditRecord,
    ) -> Result<Vec<String>>;
    /// A page, latest first.
    async fn audit_log(&self, query: AuditQuery) -> Result<Page<AuditRow>>;
    /// Reads all of it and compares it with its hashes and the witness.
    async fn verify_audit(&self) -> Result<AuditReport>;
    /// Writes its end to the witness outside the database, and tells it.
    async fn witness_audit(&self) -> Result<AuditHead>;
    /// Begins the witness anew, after a backup was put back, and records that.
    async fn renew_witness(&self, audit: &AuditRecord) -> Result<AuditHead>;
}

/// Secrets under the vault; the store never sees a clear one.
#[async_trait]
pub trait SecretStore {
    /// All, by name.
    async fn secrets(&self) -> Result<Vec<SecretRecord>>;
    /// One with its sealed bytes.
    async fn secret(&self, name: &str) -> Result<Option<SealedSecret>>;
    /// Adds one or replaces its bytes. `Conflict` when there are as many as there may be.
    async fn save_secret(
        &self,
        name: &str,
        sealed: Vec<u8>,
        size: u64,
        now: Timestamp,
        audit: &AuditRecord,
    ) -> Result<SecretRecord>;
    /// Removes one; false when there is none.
    async fn remove_secret(&self, name: &str, audit: &AuditRecord) -> Result<bool>;
    /// The mark of the vault that this database belongs to: the first one that was ever given.
    async fn vault_mark(&self, mark: [u8; 16]) -> Result<[u8; 16]>;
}

/// Answers to requests that may be repeated.
#[async_trait]
pub trait AnswerStore {
    /// The answer that was kept under this key, unless it has ended.
    async fn kept_answer(&self, key: &[u8; 32], now: Timestamp) -> Result<Option<KeptAnswer>>;
    /// Keeps an answer; beyond the store's bound the one that ends first goes.
    async fn keep_answer(&self, answer: KeptAnswer, now: Timestamp) -> Result<()>;
}

/// What was used of the API's limits, and what was tried at the door.
#[async_trait]
pub trait LimitStore {
    /// Microseconds until all of these could be taken from; 0 is now. Only reads: for a glance before the cost of
    /// [`LimitStore::take_login`].
    async fn login_wait(&self, keys: &[LoginKey], per_minute: u32, now: Timestamp) -> Result<i64>;
    /// Counts one attempt on all of these, or on none where one of them has none left (`actifix_domain::login`).
    /// Exact, whoever else asks at the same time, and durable when it returns.
    async fn take_login(&self, keys: &[LoginKey], per_minute: u32, now: Timestamp) -> Result<LoginTaken>;
    /// Corrects counts when it is known how an attempt ended.
    async fn settle_login(&self, settled: &[LoginSettled]) -> Result<()>;
    /// Failures in a row, in the order of the keys.
    async fn login_failures(&self, keys: &[LoginKey]) -> Result<Vec<u32>>;
    /// Forgets all that was counted on these.
    async fn forget_login(&self, keys: &[LoginKey], audit: &AuditRecord) -> Result<()>;
    /// Writes these rows, and forgets what is older than a day.
    async fn save_api_counters(&self, rows: Vec<ApiCounter>, now: Timestamp) -> Result<()>;
    /// All rows that are not older than a day; at most 20,000.
    async fn api_counters(&self, now: Timestamp) -> Result<Vec<ApiCounter>>;
}

/// Takes the pages of a snapshot, one after the other, and keeps them as a backup.
pub trait SnapshotSink: Send {
    /// What comes; called once, first.
    fn begin(&mut self, facts: &SnapshotFacts) -> std::io::Result<()>;
    /// The next page.
    fn page(&mut self, page: &[u8]) -> std::io::Result<()>;
    /// All pages came: makes them durable under their name. Dropped without, nothing of it is left.
    fn finish(self: Box<Self>) -> std::io::Result<BackupFile>;
}

/// Where backups are kept. All of it blocks.
pub trait BackupShelf: Send + Sync + 'static {
    /// Who can read every new one: the configured recipients, as they were at the start.
    fn recipients(&self) -> Vec<String>;
    /// Begins a backup that these may read besides the configured recipients. `Conflict` when nobody could.
    fn begin(&self, at: Timestamp, recipients: &[String]) -> Result<Box<dyn SnapshotSink>>;
    /// All, newest first; at most 1,000.
    fn list(&self) -> Result<Vec<BackupFile>>;
    /// Restores one into a temporary home, looks at everything, and removes that again.
    fn verify(&self, name: &str) -> Result<BackupVerdict>;
    /// Removes one.
    fn remove(&self, name: &str) -> Result<()>;
    /// Removes what an earlier process left half-done.
    fn tidy(&self) -> Result<()>;
}

/// Snapshots, integrity, legal holds, the record of upkeep.
#[async_trait]
pub trait UpkeepStore {
    /// Reads the whole database as it is at one moment into `sink`; writers do not wait. The caller finishes the sink.
    async fn snapshot(&self, sink: Box<dyn SnapshotSink>) -> Result<(SnapshotFacts, Box<dyn SnapshotSink>)>;
    /// Looks at the next rows for damage.
    async fn scrub(&self, place: ScrubPlace) -> Result<ScrubStep>;
    /// What is wrong with the structure of the database; empty is good. Takes as long as reading all of it.
    async fn check_structure(&self) -> Result<Vec<String>>;
    /// Records that something was done for upkeep; of each kind the last 1,000 are kept.
    async fn record_run(&self, run: &UpkeepRun, audit: Option<&AuditRecord>) -> Result<()>;
    /// What was done, latest first, at most `limit` (1,000).
    async fn runs(&self, kind: Option<UpkeepKind>, limit: u32) -> Result<Vec<UpkeepRun>>;
    /// The newest wall time that was believed; none before the first.
    async fn clock_mark(&self) -> Result<Option<Timestamp>>;
    /// Sets it.
    async fn set_clock_mark(&self, at: Timestamp) -> Result<()>;
    /// Holds a ticket, or with none the whole project. `Conflict` when it is held, or as many are as may be.
    async fn hold(
        &self,
        project: ProjectId,
        ticket: Option<&TicketId>,
        reason: &str,
        audit: &AuditRecord,
    ) -> Result<LegalHold>;
    /// Releases a hold; false when there is none.
    async fn release_hold(&self, id: u64, audit: &AuditRecord) -> Result<bool>;
    /// All holds, latest first; at most 1,000.
    async fn holds(&self) -> Result<Vec<LegalHold>>;
}

/// Findings, quarantine, retention, figures.
#[async_trait]
pub trait CareStore {
    /// A page of findings, last seen first.
    async fn findings(&self, query: FindingQuery) -> Result<Page<FindingView>>;
    /// One finding with its places.
    async fn finding(&self, id: &str) -> Result<Option<FindingView>>;
    /// Sets the state of a finding. `Conflict` when its version is not the expected one.
    async fn set_finding_state(
        &self,
        id: &str,
        expected_version: Option<u64>,
        state: FindingState,
        note: &str,
        audit: &AuditRecord,
    ) -> Result<FindingView>;
    /// A page of quarantined input, newest first.
    async fn quarantine(
        &self,
        project: Option<ProjectId>,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<QuarantineEntry>>;
    /// One entry with its sealed bytes.
    async fn quarantined(&self, id: &str) -> Result<Option<QuarantineItem>>;
    /// Deletes one entry; false when there is none.
    async fn delete_quarantined(&self, id: &str, audit: &AuditRecord) -> Result<bool>;
    /// Deletes what the policy no longer keeps, in small batches; with `dry_run` only counts. Without `now` nothing goes
    /// by its age, only what is too much.
    async fn run_retention(
        &self,
        policy: &RetentionPolicy,
        now: Option<Timestamp>,
        dry_run: bool,
    ) -> Result<RetentionReport>;
    /// Sizes and counts for metrics and `doctor`.
    async fn stats(&self) -> Result<StoreStats>;
    /// Cheap proof that reads and writes work.
    async fn ready(&self) -> Result<()>;
    /// Stops taking work, finishes what was taken, checkpoints. Idempotent.
    async fn close(&self) -> Result<()>;
}
