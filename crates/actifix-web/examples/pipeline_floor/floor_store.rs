//! A store that takes everything and keeps nothing.

use actifix_app::error::{Error, Result};
use actifix_app::ports::{
    ActivityEntry, Admitted, AnswerStore, ApiCounter, Attachment, AttachmentInfo, CareStore, Cursor,
    EventSummary, FindingQuery, FindingState, FindingView, HeldOverview, IngestStore, Ingested, KeptAnswer,
    KeyRecord, LateMonitor, LimitStore, MonitorView, OutcomeTotal, Page, Pending, ProjectStore,
    QuarantineEntry, QuarantineItem, Recorded, RetentionPolicy, RetentionReport, StoreStats, StoredEvent,
    Submission, ThrottleRecord, TicketDetail, TicketQuery, TicketSave, TicketStore, TokenRecord, TokenStore,
};
use actifix_domain::id::{EventId, Fingerprint, ProjectId, PublicKey, TicketId};
use actifix_domain::outcome::{Change, Outcome};
use actifix_domain::project::{KeyKind, Project, ProjectKey, ProjectSettings};
use actifix_domain::throttle::ThrottleView;
use actifix_domain::ticket::Ticket;
use actifix_domain::time::Timestamp;
use async_trait::async_trait;

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
    ) -> Result<Vec<TicketId>> {
        Err(NOTHING)
    }

    async fn throttle(&self, _project: ProjectId, _now: Timestamp) -> Result<(ThrottleView, HeldOverview)> {
        Err(NOTHING)
    }

    async fn throttle_history(&self, _limit: u32) -> Result<Vec<ThrottleRecord>> {
        Err(NOTHING)
    }

    async fn reset_throttle(&self, _project: ProjectId, _now: Timestamp) -> Result<()> {
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

    async fn save_project(&self, _project: &Project) -> Result<Project> {
        Err(NOTHING)
    }

    async fn add_key(&self, _key: &ProjectKey) -> Result<()> {
        Err(NOTHING)
    }

    async fn save_key(&self, _key: &ProjectKey) -> Result<ProjectKey> {
        Err(NOTHING)
    }

    async fn replace_key(&self, _old: &ProjectKey, _new: &ProjectKey) -> Result<()> {
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
    async fn add_token(&self, _token: &TokenRecord) -> Result<()> {
        Err(NOTHING)
    }

    async fn token_by_hash(&self, _hash: &[u8; 32]) -> Result<Option<TokenRecord>> {
        Err(NOTHING)
    }

    async fn tokens(&self) -> Result<Vec<TokenRecord>> {
        Err(NOTHING)
    }

    async fn revoke_tokens(&self, _id: Option<&str>, _now: Timestamp) -> Result<u64> {
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
impl LimitStore for NullStore {
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

    async fn delete_quarantined(&self, _id: &str) -> Result<bool> {
        Err(NOTHING)
    }

    async fn run_retention(
        &self,
        _policy: &RetentionPolicy,
        _now: Timestamp,
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
