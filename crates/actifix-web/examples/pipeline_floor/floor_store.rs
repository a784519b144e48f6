//! A store that takes everything and keeps nothing.

use actifix_app::error::{Error, Result};
use actifix_app::ports::{AccessRecord, AccessStore, Holder, HolderId, SigningKeyRecord};
use actifix_app::ports::{
    AccountStore, FactorRecord, FactorStore, LoginKey, LoginSettled, LoginTaken, SessionRecord, SessionsOf,
    UserRecord,
};
use actifix_app::ports::{
    ActivityEntry, Admitted, AnswerStore, ApiCounter, Attachment, AttachmentInfo, AuditHead, AuditQuery,
    AuditReport, AuditRow, AuditStore, CareStore, Cursor, EventSummary, FindingQuery, FindingState,
    FindingView, HeldOverview, IngestStore, Ingested, KeptAnswer, KeyRecord, LateMonitor, LimitStore,
    MonitorView, OutcomeTotal, Page, Pending, ProjectStore, QuarantineEntry, QuarantineItem, Recorded,
    RetentionPolicy, RetentionReport, SealedSecret, SecretRecord, SecretStore, StoreStats, StoredEvent,
    Submission, ThrottleRecord, TicketDetail, TicketQuery, TicketSave, TicketStore, TokenRecord, TokenStore,
};
use actifix_app::ports::{
    AlertStore, Attempt, Backlog, DeliveryQuery, DeliveryView, EndpointRecord, Expired, HookRecord,
    HookStore, LeasedDelivery, NewDelivery, PendingSignal, Routed, RuleRecord, SealedEndpoint, SealedHook,
};
use actifix_app::ports::{
    BundleKey, BundleView, Checksum, ChunkRoom, ChunkUsage, MapKey, MapUsage, NewSourceMap, SealedChunk,
    SourceMapStore,
};
use actifix_app::ports::{DatabaseFacts, IncidentRow, OperationStore, ReviewRecord};
use actifix_app::ports::{
    HourCount, LegalHold, ScrubPlace, ScrubStep, SnapshotFacts, SnapshotSink, UpkeepKind, UpkeepRun,
    UpkeepStore,
};
use actifix_app::ports::{IdentityRecord, IdentityStore};
use actifix_app::ports::{ReleaseChange, ReleaseDetail, ReleaseQuery, ReleaseStore, SavedView, ViewStore};
use actifix_domain::alert::{AlertRule, Failure, Mute, RuleState, Signal};
use actifix_domain::audit::AuditRecord;
use actifix_domain::commit::Commit;
use actifix_domain::id::{EventId, Fingerprint, ProjectId, PublicKey, TicketId};
use actifix_domain::outcome::{Change, Outcome};
use actifix_domain::project::{KeyKind, Project, ProjectKey, ProjectSettings};
use actifix_domain::release::{Deploy, Release};
use actifix_domain::throttle::{Brake, ThrottleConfig, ThrottleView};
use actifix_domain::ticket::Ticket;
use actifix_domain::time::Timestamp;
use async_trait::async_trait;
use std::collections::BTreeMap;

/// The one key that it knows.
pub const KEY: &str = "0123456789abcdef0123456789abcdef";
/// Its answer to all but ingest.
const NOTHING: Error = Error::Unavailable { message: "the floor keeps nothing", retry_after_seconds: 1 };

/// Acknowledges events at once.
#[derive(Debug)]
pub struct NullStore;

#[async_trait]
impl IngestStore for NullStore {
    fn enqueue(&self, submission: Submission) -> Result<Pending> {
        let recorded = |event: &Admitted| Recorded {
            event_id: event.event.event_id,
            ticket_id: None,
            outcome: Outcome::Accepted,
            change: Change::Seen,
            count: 1,
        };
        let events = submission.events.iter().map(recorded).collect();
        Ok(Box::pin(std::future::ready(Ok(Ingested { events, side: Vec::new() }))))
    }

    fn queue_depth(&self) -> usize {
        0
    }
}

#[async_trait]
impl TicketStore for NullStore {
    async fn ticket(&self, _id: &TicketId) -> Result<Option<Ticket>> {
        Err(NOTHING)
    }

    async fn tickets(&self, _query: TicketQuery) -> Result<Page<Ticket>> {
        Err(NOTHING)
    }

    async fn ticket_detail(&self, _id: &TicketId) -> Result<Option<TicketDetail>> {
        Err(NOTHING)
    }

    async fn trends(&self, _: &[TicketId], _: Timestamp) -> Result<Vec<(TicketId, Vec<HourCount>)>> {
        Err(NOTHING)
    }

    async fn similar(&self, _project: ProjectId, _near_key: Fingerprint, _limit: u32) -> Result<Vec<Ticket>> {
        Err(NOTHING)
    }

    async fn ticket_events(
        &self,
        _id: &TicketId,
        _cursor: Option<Cursor>,
        _limit: u32,
    ) -> Result<Page<EventSummary>> {
        Err(NOTHING)
    }

    async fn event(&self, _project: Option<ProjectId>, _id: EventId) -> Result<Option<StoredEvent>> {
        Err(NOTHING)
    }

    async fn attachments(&self, _project: ProjectId, _id: EventId) -> Result<Vec<AttachmentInfo>> {
        Err(NOTHING)
    }

    async fn attachment(
        &self,
        _project: ProjectId,
        _id: EventId,
        _number: u32,
    ) -> Result<Option<Attachment>> {
        Err(NOTHING)
    }

    async fn save_ticket(&self, _save: TicketSave) -> Result<Ticket> {
        Err(NOTHING)
    }

    async fn merge_tickets(
        &self,
        _into: &TicketId,
        _expected_version: Option<u64>,
        _from: &[TicketId],
        _activity: ActivityEntry,
    ) -> Result<Ticket> {
        Err(NOTHING)
    }

    async fn split_ticket(
        &self,
        _id: &TicketId,
        _expected_version: Option<u64>,
        _fingerprint: Fingerprint,
        _activity: ActivityEntry,
    ) -> Result<Ticket> {
        Err(NOTHING)
    }

    async fn promote_held(
        &self,
        _project: ProjectId,
        _only: Option<&TicketId>,
        _limit: u32,
        _force: bool,
        _now: Timestamp,
        _audit: Option<&AuditRecord>,
    ) -> Result<Vec<TicketId>> {
        Err(NOTHING)
    }

    fn set_throttle(&self, _config: ThrottleConfig) {}

    async fn throttle(&self, _project: ProjectId, _now: Timestamp) -> Result<(ThrottleView, HeldOverview)> {
        Err(NOTHING)
    }

    async fn brake(&self, _now: Timestamp) -> Result<Brake> {
        Err(NOTHING)
    }

    async fn throttle_history(&self, _limit: u32) -> Result<Vec<ThrottleRecord>> {
        Err(NOTHING)
    }

    async fn reset_throttle(&self, _project: ProjectId, _now: Timestamp, _audit: &AuditRecord) -> Result<()> {
        Err(NOTHING)
    }
}

#[async_trait]
impl ProjectStore for NullStore {
    async fn create_project(
        &self,
        _id: Option<ProjectId>,
        _name: &str,
        _first_key: Option<&ProjectKey>,
        _now: Timestamp,
        _audit: &AuditRecord,
    ) -> Result<Project> {
        Err(NOTHING)
    }

    async fn project(&self, id: ProjectId) -> Result<Option<Project>> {
        Ok((id == ProjectId(1)).then(|| Project {
            id,
            name: "floor".to_owned(),
            settings: ProjectSettings::default(),
            created_at: Timestamp::from_micros(0),
            version: 1,
        }))
    }

    async fn project_by_name(&self, _name: &str) -> Result<Option<Project>> {
        Err(NOTHING)
    }

    async fn projects(&self) -> Result<Vec<Project>> {
        Err(NOTHING)
    }

    async fn save_project(&self, _project: &Project, _audit: &AuditRecord) -> Result<Project> {
        Err(NOTHING)
    }

    async fn add_key(&self, _key: &ProjectKey, _audit: &AuditRecord) -> Result<()> {
        Err(NOTHING)
    }

    async fn save_key(&self, _key: &ProjectKey, _audit: &AuditRecord) -> Result<ProjectKey> {
        Err(NOTHING)
    }

    async fn replace_key(&self, _old: &ProjectKey, _new: &ProjectKey, _audit: &AuditRecord) -> Result<()> {
        Err(NOTHING)
    }

    async fn key(&self, public_key: &PublicKey) -> Result<Option<ProjectKey>> {
        if public_key.to_string() != KEY {
            return Ok(None);
        }
        Ok(Some(ProjectKey {
            project: ProjectId(1),
            public_key: public_key.clone(),
            label: "floor".to_owned(),
            kind: KeyKind::Browser,
            enabled: true,
            allowed_origins: Vec::new(),
            rate_per_minute: None,
            created_at: Timestamp::from_micros(0),
            version: 1,
        }))
    }

    async fn keys(&self, _project: ProjectId) -> Result<Vec<KeyRecord>> {
        Err(NOTHING)
    }

    async fn monitors(&self, _project: ProjectId) -> Result<Vec<MonitorView>> {
        Err(NOTHING)
    }

    async fn late_monitors(&self, _now: Timestamp) -> Result<Vec<LateMonitor>> {
        Err(NOTHING)
    }

    async fn outcomes(&self, _project: ProjectId, _from: Timestamp) -> Result<Vec<OutcomeTotal>> {
        Err(NOTHING)
    }
}

#[async_trait]
impl TokenStore for NullStore {
    async fn add_token(&self, _token: &TokenRecord, _audit: &AuditRecord) -> Result<()> {
        Err(NOTHING)
    }

    async fn token_by_hash(&self, _hash: &[u8; 32]) -> Result<Option<TokenRecord>> {
        Err(NOTHING)
    }

    async fn tokens(&self) -> Result<Vec<TokenRecord>> {
        Err(NOTHING)
    }

    async fn rotate_token(
        &self,
        _old: &str,
        _old_ends_at: Timestamp,
        _new: &TokenRecord,
        _audit: &AuditRecord,
    ) -> Result<()> {
        Err(NOTHING)
    }

    async fn note_token_uses(&self, _uses: Vec<(String, Timestamp)>) -> Result<()> {
        Err(NOTHING)
    }

    async fn note_token_warning(&self, _id: &str, _days: u32) -> Result<bool> {
        Err(NOTHING)
    }

    async fn revoke_tokens(&self, _id: Option<&str>, _now: Timestamp, _audit: &AuditRecord) -> Result<u64> {
        Err(NOTHING)
    }
}

#[async_trait]
impl AccessStore for NullStore {
    async fn signing_keys(&self, _now: Timestamp) -> Result<Vec<SigningKeyRecord>> {
        Err(NOTHING)
    }

    async fn replace_signing_key(
        &self,
        _former: Option<&str>,
        _former_retires_at: Timestamp,
        _new: &SigningKeyRecord,
        _audit: &AuditRecord,
    ) -> Result<()> {
        Err(NOTHING)
    }

    async fn holder(&self, _id: &HolderId) -> Result<Option<Holder>> {
        Err(NOTHING)
    }

    async fn add_access(&self, _access: &AccessRecord, _audit: &AuditRecord) -> Result<()> {
        Err(NOTHING)
    }

    async fn access(&self, _id: &str) -> Result<Option<(AccessRecord, Holder)>> {
        Err(NOTHING)
    }

    async fn end_access(&self, _id: &str, _audit: &AuditRecord) -> Result<bool> {
        Err(NOTHING)
    }
}

#[async_trait]
impl IdentityStore for NullStore {
    async fn identity(&self, _issuer: &str, _subject: &str) -> Result<Option<UserRecord>> {
        Err(NOTHING)
    }

    async fn identities(&self, _user_id: &str) -> Result<Vec<IdentityRecord>> {
        Err(NOTHING)
    }

    async fn link_identity(
        &self,
        _identity: &IdentityRecord,
        _new_user: Option<&UserRecord>,
        _audit: &[AuditRecord],
    ) -> Result<()> {
        Err(NOTHING)
    }

    async fn unlink_identities(&self, _user_id: &str, _audit: &AuditRecord) -> Result<u64> {
        Err(NOTHING)
    }

    async fn spend_sign_in(&self, _hash: &[u8; 32], _expires_at: Timestamp, _now: Timestamp) -> Result<bool> {
        Err(NOTHING)
    }
}

#[async_trait]
impl AccountStore for NullStore {
    async fn add_user(&self, _user: &UserRecord, _audit: &AuditRecord) -> Result<()> {
        Err(NOTHING)
    }

    async fn user(&self, _name: &str) -> Result<Option<UserRecord>> {
        Err(NOTHING)
    }

    async fn user_by_id(&self, _id: &str) -> Result<Option<UserRecord>> {
        Err(NOTHING)
    }

    async fn users(&self) -> Result<Vec<UserRecord>> {
        Err(NOTHING)
    }

    async fn save_user(
        &self,
        _user: &UserRecord,
        _end_sessions: bool,
        _audit: &AuditRecord,
    ) -> Result<UserRecord> {
        Err(NOTHING)
    }

    async fn upgrade_verifier(&self, _user_id: &str, _old: &str, _new: &str) -> Result<()> {
        Err(NOTHING)
    }

    async fn begin_session(
        &self,
        _session: &SessionRecord,
        _user: &UserRecord,
        _audit: &AuditRecord,
    ) -> Result<()> {
        Err(NOTHING)
    }

    async fn session(&self, _hash: &[u8; 32]) -> Result<Option<(SessionRecord, UserRecord)>> {
        Err(NOTHING)
    }

    async fn touch_session(&self, _hash: &[u8; 32], _at: Timestamp, _authenticated: bool) -> Result<()> {
        Err(NOTHING)
    }

    async fn sessions(&self, _user_id: Option<&str>, _now: Timestamp) -> Result<Vec<SessionRecord>> {
        Err(NOTHING)
    }

    async fn end_sessions(&self, _which: SessionsOf, _audit: &AuditRecord) -> Result<u64> {
        Err(NOTHING)
    }
}

#[async_trait]
impl FactorStore for NullStore {
    async fn factor(&self, _user_id: &str) -> Result<Option<FactorRecord>> {
        Err(NOTHING)
    }

    async fn begin_factor(&self, _factor: &FactorRecord, _audit: &AuditRecord) -> Result<()> {
        Err(NOTHING)
    }

    async fn confirm_factor(
        &self,
        _factor: &FactorRecord,
        _step: i64,
        _recovery: Vec<[u8; 32]>,
        _keep_session: &str,
        _now: Timestamp,
        _audit: &AuditRecord,
    ) -> Result<()> {
        Err(NOTHING)
    }

    async fn take_step(&self, _user_id: &str, _step: i64) -> Result<bool> {
        Err(NOTHING)
    }

    async fn take_recovery_code(
        &self,
        _user_id: &str,
        _hash: &[u8; 32],
        _now: Timestamp,
        _audit: &AuditRecord,
    ) -> Result<bool> {
        Err(NOTHING)
    }

    async fn replace_recovery_codes(
        &self,
        _user_id: &str,
        _recovery: Vec<[u8; 32]>,
        _audit: &AuditRecord,
    ) -> Result<()> {
        Err(NOTHING)
    }

    async fn remove_factor(&self, _user_id: &str, _end: bool, _audit: &AuditRecord) -> Result<bool> {
        Err(NOTHING)
    }
}

#[async_trait]
impl AuditStore for NullStore {
    async fn append_audit(&self, _records: Vec<AuditRecord>) -> Result<()> {
        Err(NOTHING)
    }

    async fn note_settings(
        &self,
        _settings: BTreeMap<String, String>,
        _record: &AuditRecord,
    ) -> Result<Vec<String>> {
        Err(NOTHING)
    }

    async fn audit_log(&self, _query: AuditQuery) -> Result<Page<AuditRow>> {
        Err(NOTHING)
    }

    async fn verify_audit(&self) -> Result<AuditReport> {
        Err(NOTHING)
    }

    async fn witness_audit(&self) -> Result<AuditHead> {
        Err(NOTHING)
    }

    async fn renew_witness(&self, _audit: &AuditRecord) -> Result<AuditHead> {
        Err(NOTHING)
    }
}

#[async_trait]
impl AnswerStore for NullStore {
    async fn kept_answer(&self, _key: &[u8; 32], _now: Timestamp) -> Result<Option<KeptAnswer>> {
        Err(NOTHING)
    }

    async fn keep_answer(&self, _answer: KeptAnswer, _now: Timestamp) -> Result<()> {
        Err(NOTHING)
    }
}

#[async_trait]
impl SecretStore for NullStore {
    async fn secrets(&self) -> Result<Vec<SecretRecord>> {
        Err(NOTHING)
    }

    async fn secret(&self, _name: &str) -> Result<Option<SealedSecret>> {
        Err(NOTHING)
    }

    async fn save_secret(
        &self,
        _name: &str,
        _sealed: Vec<u8>,
        _size: u64,
        _now: Timestamp,
        _audit: &AuditRecord,
    ) -> Result<SecretRecord> {
        Err(NOTHING)
    }

    async fn remove_secret(&self, _name: &str, _audit: &AuditRecord) -> Result<bool> {
        Err(NOTHING)
    }

    async fn vault_mark(&self, _mark: [u8; 16]) -> Result<[u8; 16]> {
        Err(NOTHING)
    }
}

#[async_trait]
impl LimitStore for NullStore {
    async fn login_wait(&self, _keys: &[LoginKey], _per_minute: u32, _now: Timestamp) -> Result<i64> {
        Err(NOTHING)
    }

    async fn take_login(&self, _keys: &[LoginKey], _per_minute: u32, _now: Timestamp) -> Result<LoginTaken> {
        Err(NOTHING)
    }

    async fn settle_login(&self, _settled: &[LoginSettled]) -> Result<()> {
        Err(NOTHING)
    }

    async fn login_failures(&self, _keys: &[LoginKey]) -> Result<Vec<u32>> {
        Err(NOTHING)
    }

    async fn forget_login(&self, _keys: &[LoginKey], _audit: &AuditRecord) -> Result<()> {
        Err(NOTHING)
    }

    async fn save_api_counters(&self, _rows: Vec<ApiCounter>, _now: Timestamp) -> Result<()> {
        Err(NOTHING)
    }

    async fn api_counters(&self, _now: Timestamp) -> Result<Vec<ApiCounter>> {
        Err(NOTHING)
    }
}

#[async_trait]
impl CareStore for NullStore {
    async fn findings(&self, _query: FindingQuery) -> Result<Page<FindingView>> {
        Err(NOTHING)
    }

    async fn finding(&self, _id: &str) -> Result<Option<FindingView>> {
        Err(NOTHING)
    }

    async fn set_finding_state(
        &self,
        _id: &str,
        _expected_version: Option<u64>,
        _state: FindingState,
        _note: &str,
        _audit: &AuditRecord,
    ) -> Result<FindingView> {
        Err(NOTHING)
    }

    async fn quarantine(
        &self,
        _project: Option<ProjectId>,
        _cursor: Option<Cursor>,
        _limit: u32,
    ) -> Result<Page<QuarantineEntry>> {
        Err(NOTHING)
    }

    async fn quarantined(&self, _id: &str) -> Result<Option<QuarantineItem>> {
        Err(NOTHING)
    }

    async fn delete_quarantined(&self, _id: &str, _audit: &AuditRecord) -> Result<bool> {
        Err(NOTHING)
    }

    async fn run_retention(
        &self,
        _policy: &RetentionPolicy,
        _now: Option<Timestamp>,
        _dry_run: bool,
    ) -> Result<RetentionReport> {
        Err(NOTHING)
    }

    async fn stats(&self) -> Result<StoreStats> {
        Err(NOTHING)
    }

    async fn ready(&self) -> Result<()> {
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl AlertStore for NullStore {
    async fn endpoints(&self) -> Result<Vec<SealedEndpoint>> {
        Err(NOTHING)
    }

    async fn add_endpoint(&self, _endpoint: &SealedEndpoint, _audit: &AuditRecord) -> Result<()> {
        Err(NOTHING)
    }

    async fn save_endpoint(
        &self,
        _endpoint: &SealedEndpoint,
        _audit: &AuditRecord,
    ) -> Result<EndpointRecord> {
        Err(NOTHING)
    }

    async fn remove_endpoint(&self, _name: &str, _audit: &AuditRecord) -> Result<bool> {
        Err(NOTHING)
    }

    async fn alert_rules(&self) -> Result<Vec<RuleRecord>> {
        Err(NOTHING)
    }

    async fn save_alert_rule(
        &self,
        _rule: &AlertRule,
        _now: Timestamp,
        _told: Routed,
        _audit: &AuditRecord,
    ) -> Result<RuleRecord> {
        Err(NOTHING)
    }

    async fn remove_alert_rule(&self, _name: &str, _told: Routed, _audit: &AuditRecord) -> Result<bool> {
        Err(NOTHING)
    }

    async fn mute_ticket(&self, _id: &TicketId, _mute: Option<&Mute>, _audit: &AuditRecord) -> Result<()> {
        Err(NOTHING)
    }

    async fn ticket_mute(&self, _id: &TicketId) -> Result<Option<Mute>> {
        Err(NOTHING)
    }

    async fn raise_signals(&self, _signals: Vec<Signal>) -> Result<()> {
        Err(NOTHING)
    }

    async fn take_lost_signals(&self) -> Result<u64> {
        Err(NOTHING)
    }

    async fn pending_signals(&self, _limit: u32) -> Result<Vec<PendingSignal>> {
        Err(NOTHING)
    }

    async fn rule_states(&self) -> Result<Vec<(actifix_app::ports::StateKey, RuleState)>> {
        Err(NOTHING)
    }

    async fn route(&self, _routed: Routed) -> Result<()> {
        Err(NOTHING)
    }

    async fn past_signals(
        &self,
        _project: Option<ProjectId>,
        _from: Timestamp,
        _limit: u32,
    ) -> Result<Vec<Signal>> {
        Err(NOTHING)
    }

    async fn due_channels(&self, _now: Timestamp) -> Result<Vec<String>> {
        Err(NOTHING)
    }

    async fn lease_deliveries(
        &self,
        _now: Timestamp,
        _until: Timestamp,
        _only: &[String],
    ) -> Result<Vec<LeasedDelivery>> {
        Err(NOTHING)
    }

    async fn end_delivery_leases(&self) -> Result<()> {
        Err(NOTHING)
    }

    async fn record_attempt(&self, _attempt: Attempt) -> Result<Option<EndpointRecord>> {
        Err(NOTHING)
    }

    async fn record_test(
        &self,
        _delivery: NewDelivery,
        _failure: Option<Failure>,
        _status: Option<u16>,
    ) -> Result<()> {
        Err(NOTHING)
    }

    async fn deliveries(&self, _query: DeliveryQuery) -> Result<Page<DeliveryView>> {
        Err(NOTHING)
    }

    async fn redeliver(&self, _id: &str, _now: Timestamp, _audit: &AuditRecord) -> Result<bool> {
        Err(NOTHING)
    }

    async fn backlog(&self) -> Result<Vec<Backlog>> {
        Err(NOTHING)
    }

    async fn expire_deliveries(&self, _now: Timestamp) -> Result<Vec<Expired>> {
        Err(NOTHING)
    }

    async fn tidy_deliveries(&self, _now: Timestamp, _by_age: bool) -> Result<u64> {
        Err(NOTHING)
    }

    async fn issue_of(&self, _endpoint: &str, _ticket: &TicketId) -> Result<Option<u64>> {
        Err(NOTHING)
    }

    async fn hooks(&self) -> Result<Vec<HookRecord>> {
        Err(NOTHING)
    }

    async fn hook(&self, _name: &str) -> Result<Option<SealedHook>> {
        Err(NOTHING)
    }

    async fn add_hook(&self, _hook: &SealedHook, _audit: &AuditRecord) -> Result<()> {
        Err(NOTHING)
    }

    async fn save_hook_secret(&self, _hook: &SealedHook, _audit: &AuditRecord) -> Result<bool> {
        Err(NOTHING)
    }

    async fn remove_hook(&self, _name: &str, _audit: &AuditRecord) -> Result<bool> {
        Err(NOTHING)
    }

    async fn first_sight(&self, _hook: &str, _message: &str, _now: Timestamp) -> Result<bool> {
        Err(NOTHING)
    }
}

#[async_trait]
impl HookStore for NullStore {
    async fn hook_seen(&self, _hook: &str, _message: &str) -> Result<bool> {
        Err(NOTHING)
    }
}

#[async_trait]
impl UpkeepStore for NullStore {
    async fn snapshot(&self, _: Box<dyn SnapshotSink>) -> Result<(SnapshotFacts, Box<dyn SnapshotSink>)> {
        Err(NOTHING)
    }

    async fn scrub(&self, _: ScrubPlace) -> Result<ScrubStep> {
        Err(NOTHING)
    }

    async fn check_structure(&self) -> Result<Vec<String>> {
        Err(NOTHING)
    }

    async fn record_run(&self, _: &UpkeepRun, _: Option<&AuditRecord>) -> Result<()> {
        Err(NOTHING)
    }

    async fn runs(&self, _: Option<UpkeepKind>, _: u32) -> Result<Vec<UpkeepRun>> {
        Err(NOTHING)
    }

    async fn clock_mark(&self) -> Result<Option<Timestamp>> {
        Err(NOTHING)
    }

    async fn set_clock_mark(&self, _: Timestamp) -> Result<()> {
        Err(NOTHING)
    }

    async fn hold(&self, _: ProjectId, _: Option<&TicketId>, _: &str, _: &AuditRecord) -> Result<LegalHold> {
        Err(NOTHING)
    }

    async fn release_hold(&self, _: u64, _: &AuditRecord) -> Result<bool> {
        Err(NOTHING)
    }

    async fn holds(&self) -> Result<Vec<LegalHold>> {
        Err(NOTHING)
    }
}

#[async_trait]
impl OperationStore for NullStore {
    async fn incident(&self) -> Result<IncidentRow> {
        Err(NOTHING)
    }

    async fn save_incident(&self, _: u64, _: &serde_json::Value, _: &AuditRecord) -> Result<u64> {
        Err(NOTHING)
    }

    async fn add_review(&self, _: &ReviewRecord, _: &AuditRecord) -> Result<u64> {
        Err(NOTHING)
    }

    async fn reviews(&self, _: Option<actifix_domain::review::Period>, _: u32) -> Result<Vec<ReviewRecord>> {
        Err(NOTHING)
    }

    async fn database_facts(&self) -> Result<DatabaseFacts> {
        Err(NOTHING)
    }
}

#[async_trait]
impl ViewStore for NullStore {
    async fn views(&self, _: &str) -> Result<Vec<SavedView>> {
        Err(NOTHING)
    }

    async fn save_view(&self, _: &str, _: &SavedView, _: u32, _: Timestamp) -> Result<()> {
        Err(NOTHING)
    }

    async fn remove_view(&self, _: &str, _: &str) -> Result<bool> {
        Err(NOTHING)
    }
}

#[async_trait]
impl ReleaseStore for NullStore {
    async fn releases(&self, _: ReleaseQuery) -> Result<Page<Release>> {
        Err(NOTHING)
    }

    async fn release_detail(&self, _: ProjectId, _: &str) -> Result<Option<ReleaseDetail>> {
        Err(NOTHING)
    }

    async fn releases_named(&self, _: &str) -> Result<Vec<Release>> {
        Err(NOTHING)
    }

    async fn known_releases(&self, _: ProjectId) -> Result<Vec<(String, Timestamp)>> {
        Err(NOTHING)
    }

    async fn save_release(
        &self,
        _: ProjectId,
        _: &str,
        _: ReleaseChange,
        _: Timestamp,
        _: &AuditRecord,
    ) -> Result<Option<Release>> {
        Err(NOTHING)
    }

    async fn remove_release(&self, _: ProjectId, _: &str, _: &AuditRecord) -> Result<bool> {
        Err(NOTHING)
    }

    async fn previous_with_commits(&self, _: ProjectId, _: &str) -> Result<Option<(Release, String)>> {
        Err(NOTHING)
    }

    async fn commits_leading_to(&self, _: ProjectId, _: &str) -> Result<Vec<(String, Vec<Commit>)>> {
        Err(NOTHING)
    }

    async fn add_deploy(&self, _: ProjectId, _: &str, _: Deploy, _: &AuditRecord) -> Result<Option<Deploy>> {
        Err(NOTHING)
    }

    async fn deploys(&self, _: ProjectId, _: &str) -> Result<Vec<Deploy>> {
        Err(NOTHING)
    }
}

#[async_trait]
impl SourceMapStore for NullStore {
    async fn put_chunks(
        &self,
        _: Option<ProjectId>,
        _: Vec<SealedChunk>,
        _: ChunkRoom,
        _: Timestamp,
    ) -> Result<()> {
        Err(NOTHING)
    }

    async fn missing_chunks(&self, _: Option<ProjectId>, _: Vec<Checksum>) -> Result<Vec<Checksum>> {
        Err(NOTHING)
    }

    async fn chunk(&self, _: Option<ProjectId>, _: Checksum) -> Result<Option<Vec<u8>>> {
        Err(NOTHING)
    }

    async fn chunk_usage(&self, _: Option<ProjectId>) -> Result<ChunkUsage> {
        Err(NOTHING)
    }

    async fn drop_chunks(&self, _: Option<ProjectId>, _: Vec<Checksum>) -> Result<()> {
        Err(NOTHING)
    }

    async fn has_bundle(&self, _: &BundleKey) -> Result<bool> {
        Err(NOTHING)
    }

    async fn begin_bundle(&self, _: &BundleKey, _: Timestamp) -> Result<u64> {
        Err(NOTHING)
    }

    async fn add_source_map(&self, _: u64, _: NewSourceMap) -> Result<u64> {
        Err(NOTHING)
    }

    async fn finish_bundle(&self, _: u64, _: &AuditRecord) -> Result<()> {
        Err(NOTHING)
    }

    async fn remove_bundle(&self, _: ProjectId, _: u64, _: Option<&AuditRecord>) -> Result<bool> {
        Err(NOTHING)
    }

    async fn sweep_bundles(&self, _: Timestamp) -> Result<()> {
        Err(NOTHING)
    }

    async fn bundles(&self, _: ProjectId, _: Option<Cursor>, _: u32) -> Result<Page<BundleView>> {
        Err(NOTHING)
    }

    async fn map_usage(&self, _: ProjectId) -> Result<MapUsage> {
        Err(NOTHING)
    }

    async fn find_source_map(&self, _: ProjectId, _: &MapKey) -> Result<Option<u64>> {
        Err(NOTHING)
    }

    async fn source_map(&self, _: u64) -> Result<Option<Vec<u8>>> {
        Err(NOTHING)
    }

    async fn map_source(&self, _: u64, _: u32) -> Result<Option<String>> {
        Err(NOTHING)
    }

    async fn note_map_uses(&self, _: Vec<(u64, Timestamp)>) -> Result<()> {
        Err(NOTHING)
    }
}
