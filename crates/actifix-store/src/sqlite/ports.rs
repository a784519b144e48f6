//! The ports: each verb hands its work to a reader or to the writer.

use super::{
    SqliteStore, accounts, answers, audit, care, events, findings, ingest, lists, monitors, projects,
    quarantine, regroup, retention, settings, throttles, tickets, tokens, upkeep,
};
use crate::fault::Fault;
use actifix_app::error::{Error, Result};
use actifix_app::ports::HourCount;
use actifix_app::ports::{
    AccountStore, ActivityEntry, AnswerStore, Attachment, AttachmentInfo, AuditHead, AuditQuery, AuditReport,
    AuditRow, AuditStore, CareStore, Cursor, EventSummary, FindingQuery, FindingState, FindingView,
    HeldOverview, IngestStore, Ingested, KeptAnswer, KeyRecord, LateMonitor, MonitorView, OutcomeTotal, Page,
    Pending, ProjectStore, QuarantineEntry, QuarantineItem, RetentionPolicy, RetentionReport, StoreStats,
    StoredEvent, Submission, ThrottleRecord, TicketDetail, TicketQuery, TicketSave, TicketStore, TokenRecord,
    TokenStore,
};
use actifix_app::ports::{SessionRecord, SessionsOf, UserRecord};
use actifix_domain::audit::AuditRecord;
use actifix_domain::id::{EventId, Fingerprint, ProjectId, PublicKey, TicketId};
use actifix_domain::project::{Project, ProjectKey};
use actifix_domain::throttle::{Brake, ThrottleConfig, ThrottleView};
use actifix_domain::ticket::Ticket;
use actifix_domain::time::Timestamp;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How often a check of the audit log begins anew because retention ran meanwhile.
const VERIFY_TRIES: u32 = 3;

#[async_trait]
impl IngestStore for SqliteStore {
    fn enqueue(&self, submission: Submission) -> Result<Pending> {
        if submission.is_empty() {
            return Ok(Box::pin(std::future::ready(Ok(Ingested::default()))));
        }
        let prepared = ingest::prepare(submission).map_err(Fault::into_error)?;
        self.writer.enqueue(prepared)
    }

    fn queue_depth(&self) -> usize {
        self.writer.depth()
    }
}

#[async_trait]
impl TicketStore for SqliteStore {
    async fn ticket(&self, id: &TicketId) -> Result<Option<Ticket>> {
        let id = id.clone();
        self.read(move |db| tickets::get(db, &id)).await
    }

    async fn tickets(&self, query: TicketQuery) -> Result<Page<Ticket>> {
        self.read(move |db| lists::page(db, &query)).await
    }

    async fn ticket_detail(&self, id: &TicketId) -> Result<Option<TicketDetail>> {
        let (id, now) = (id.clone(), self.clock.now());
        self.read(move |db| tickets::detail(db, &id, now)).await
    }

    async fn trends(&self, ids: &[TicketId], since: Timestamp) -> Result<Vec<(TicketId, Vec<HourCount>)>> {
        let ids = ids.iter().take(200).cloned().collect::<Vec<_>>();
        self.read(move |db| tickets::trends(db, &ids, since)).await
    }

    async fn similar(&self, project: ProjectId, near_key: Fingerprint, limit: u32) -> Result<Vec<Ticket>> {
        self.read(move |db| tickets::similar(db, project, near_key, limit)).await
    }

    async fn ticket_events(
        &self,
        id: &TicketId,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<EventSummary>> {
        let id = id.clone();
        self.read(move |db| events::of_ticket(db, &id, cursor.as_ref(), limit)).await
    }

    async fn event(&self, project: Option<ProjectId>, id: EventId) -> Result<Option<StoredEvent>> {
        self.read(move |db| events::get(db, project, id)).await
    }

    async fn attachments(&self, project: ProjectId, id: EventId) -> Result<Vec<AttachmentInfo>> {
        self.read(move |db| events::attachments(db, project, id)).await
    }

    async fn attachment(&self, project: ProjectId, id: EventId, number: u32) -> Result<Option<Attachment>> {
        self.read(move |db| events::attachment(db, project, id, number)).await
    }

    async fn save_ticket(&self, save: TicketSave) -> Result<Ticket> {
        let (network, now) = (network(), self.clock.now());
        self.write(move |work| tickets::save(work, &save, network, now)).await
    }

    async fn merge_tickets(
        &self,
        into: &TicketId,
        expected_version: Option<u64>,
        from: &[TicketId],
        activity: ActivityEntry,
    ) -> Result<Ticket> {
        let (into, from, network) = (into.clone(), from.to_vec(), network());
        self.write(move |work| {
            let ticket = regroup::merge(work, &into, expected_version, &from, &activity)?;
            audit::regrouped(work, &ticket, &activity, network)?;
            Ok(ticket)
        })
        .await
    }

    async fn split_ticket(
        &self,
        id: &TicketId,
        expected_version: Option<u64>,
        fingerprint: Fingerprint,
        activity: ActivityEntry,
    ) -> Result<Ticket> {
        let (id, network) = (id.clone(), network());
        self.write(move |work| {
            let ticket = regroup::split(work, &id, expected_version, fingerprint, &activity)?;
            audit::regrouped(work, &ticket, &activity, network)?;
            Ok(ticket)
        })
        .await
    }

    async fn promote_held(
        &self,
        project: ProjectId,
        only: Option<&TicketId>,
        limit: u32,
        force: bool,
        now: Timestamp,
        audit: Option<&AuditRecord>,
    ) -> Result<Vec<TicketId>> {
        if !force && only.is_none() {
            let config = self.throttle.get();
            if !self.read(move |db| throttles::has_work(db, &config, project, now)).await? {
                return Ok(Vec::new());
            }
        }
        let (only, record) = (only.cloned(), audit.cloned());
        self.write(move |work| {
            let actor = record.as_ref().map_or("system", |record| record.actor.as_str());
            let promoted = throttles::promote(work, project, only.as_ref(), limit, force, now, actor)?;
            if let Some(mut record) = record {
                record.detail = serde_json::json!({ "tickets": promoted.len() });
                audit::append(work, &record)?;
            }
            Ok(promoted)
        })
        .await
    }

    fn set_throttle(&self, config: ThrottleConfig) {
        self.throttle.replace(config);
    }

    async fn throttle(&self, project: ProjectId, now: Timestamp) -> Result<(ThrottleView, HeldOverview)> {
        let config = self.throttle.get();
        self.read(move |db| throttles::view(db, &config, project, now)).await
    }

    async fn brake(&self, now: Timestamp) -> Result<Brake> {
        let config = self.throttle.get();
        self.read(move |db| throttles::strongest_brake(db, &config, now)).await
    }

    async fn throttle_history(&self, limit: u32) -> Result<Vec<ThrottleRecord>> {
        self.read(move |db| throttles::history(db, limit)).await
    }

    async fn reset_throttle(&self, project: ProjectId, now: Timestamp, audit: &AuditRecord) -> Result<()> {
        self.audited(audit, move |work| throttles::reset(work, project, now)).await
    }
}

#[async_trait]
impl ProjectStore for SqliteStore {
    async fn create_project(
        &self,
        id: Option<ProjectId>,
        name: &str,
        first_key: Option<&ProjectKey>,
        now: Timestamp,
        audit: &AuditRecord,
    ) -> Result<Project> {
        let (name, first_key) = (name.to_owned(), first_key.cloned());
        self.audited(audit, move |work| projects::create(work, id, &name, first_key, now)).await
    }

    async fn project(&self, id: ProjectId) -> Result<Option<Project>> {
        self.read(move |db| projects::get(db, id)).await
    }

    async fn project_by_name(&self, name: &str) -> Result<Option<Project>> {
        let name = name.to_owned();
        self.read(move |db| projects::by_name(db, &name)).await
    }

    async fn projects(&self) -> Result<Vec<Project>> {
        self.read(projects::all).await
    }

    async fn save_project(&self, project: &Project, audit: &AuditRecord) -> Result<Project> {
        let project = project.clone();
        self.audited(audit, move |work| projects::save(work, &project)).await
    }

    async fn add_key(&self, key: &ProjectKey, audit: &AuditRecord) -> Result<()> {
        let key = key.clone();
        self.audited(audit, move |work| projects::add_key(work, &key)).await
    }

    async fn save_key(&self, key: &ProjectKey, audit: &AuditRecord) -> Result<ProjectKey> {
        let key = key.clone();
        self.audited(audit, move |work| projects::save_key(work, &key)).await
    }

    async fn replace_key(&self, old: &ProjectKey, new: &ProjectKey, audit: &AuditRecord) -> Result<()> {
        let (old, new) = (old.clone(), new.clone());
        self.audited(audit, move |work| projects::replace_key(work, &old, &new)).await
    }

    async fn key(&self, public_key: &PublicKey) -> Result<Option<ProjectKey>> {
        let key = public_key.clone();
        self.read(move |db| projects::key(db, &key)).await
    }

    async fn keys(&self, project: ProjectId) -> Result<Vec<KeyRecord>> {
        self.read(move |db| projects::keys(db, project)).await
    }

    async fn monitors(&self, project: ProjectId) -> Result<Vec<MonitorView>> {
        self.read(move |db| monitors::list(db, project)).await
    }

    async fn late_monitors(&self, now: Timestamp) -> Result<Vec<LateMonitor>> {
        self.read(move |db| monitors::late(db, now)).await
    }

    async fn outcomes(&self, project: ProjectId, from: Timestamp) -> Result<Vec<OutcomeTotal>> {
        self.read(move |db| projects::outcomes(db, project, from)).await
    }
}

#[async_trait]
impl TokenStore for SqliteStore {
    async fn add_token(&self, token: &TokenRecord, audit: &AuditRecord) -> Result<()> {
        let token = token.clone();
        self.audited(audit, move |work| tokens::add(work, &token)).await
    }

    async fn token_by_hash(&self, hash: &[u8; 32]) -> Result<Option<TokenRecord>> {
        let hash = *hash;
        self.read(move |db| tokens::by_hash(db, &hash)).await
    }

    async fn tokens(&self) -> Result<Vec<TokenRecord>> {
        self.read(tokens::all).await
    }

    async fn rotate_token(
        &self,
        old: &str,
        old_ends_at: Timestamp,
        new: &TokenRecord,
        audit: &AuditRecord,
    ) -> Result<()> {
        let (old, new) = (old.to_owned(), new.clone());
        self.audited(audit, move |work| tokens::rotate(work, &old, old_ends_at, &new)).await
    }

    async fn note_token_uses(&self, uses: Vec<(String, Timestamp)>) -> Result<()> {
        self.write(move |work| tokens::note_uses(work, &uses)).await
    }

    async fn note_token_warning(&self, id: &str, days: u32) -> Result<bool> {
        let id = id.to_owned();
        self.write(move |work| tokens::note_warning(work, &id, days)).await
    }

    async fn revoke_tokens(&self, id: Option<&str>, now: Timestamp, audit: &AuditRecord) -> Result<u64> {
        let id = id.map(str::to_owned);
        self.audited_if(audit, |revoked| *revoked > 0, move |work| tokens::revoke(work, id.as_deref(), now))
            .await
    }
}

#[async_trait]
impl AccountStore for SqliteStore {
    async fn add_user(&self, user: &UserRecord, audit: &AuditRecord) -> Result<()> {
        let user = user.clone();
        self.audited(audit, move |work| accounts::add(work, &user)).await
    }

    async fn user(&self, name: &str) -> Result<Option<UserRecord>> {
        let name = name.to_owned();
        self.read(move |db| accounts::by_name(db, &name)).await
    }

    async fn user_by_id(&self, id: &str) -> Result<Option<UserRecord>> {
        let id = id.to_owned();
        self.read(move |db| accounts::by_id(db, &id)).await
    }

    async fn users(&self) -> Result<Vec<UserRecord>> {
        self.read(accounts::all).await
    }

    async fn save_user(
        &self,
        user: &UserRecord,
        end_sessions: bool,
        audit: &AuditRecord,
    ) -> Result<UserRecord> {
        let user = user.clone();
        self.audited(audit, move |work| accounts::save(work, &user, end_sessions)).await
    }

    async fn upgrade_verifier(&self, user_id: &str, old: &str, new: &str) -> Result<()> {
        let (id, old, new) = (user_id.to_owned(), old.to_owned(), new.to_owned());
        self.write(move |work| accounts::upgrade(work, &id, &old, &new)).await
    }

    async fn begin_session(
        &self,
        session: &SessionRecord,
        user: &UserRecord,
        audit: &AuditRecord,
    ) -> Result<()> {
        let (session, user) = (session.clone(), user.clone());
        self.audited(audit, move |work| accounts::begin(work, &session, &user)).await
    }

    async fn session(&self, hash: &[u8; 32]) -> Result<Option<(SessionRecord, UserRecord)>> {
        let hash = *hash;
        self.read(move |db| accounts::session(db, &hash)).await
    }

    async fn touch_session(&self, hash: &[u8; 32], seen_at: Timestamp, authenticated: bool) -> Result<()> {
        let hash = *hash;
        self.write(move |work| accounts::touch(work, &hash, seen_at, authenticated)).await
    }

    async fn sessions(&self, user_id: Option<&str>, now: Timestamp) -> Result<Vec<SessionRecord>> {
        let user_id = user_id.map(str::to_owned);
        self.read(move |db| accounts::sessions(db, user_id.as_deref(), now)).await
    }

    async fn end_sessions(&self, which: SessionsOf, audit: &AuditRecord) -> Result<u64> {
        match which {
            SessionsOf::One(_) => {
                self.audited_if(audit, |ended| *ended > 0, move |work| accounts::end(work, &which)).await
            }
            // Their epoch rises, sessions or not.
            _ => self.audited(audit, move |work| accounts::end(work, &which)).await,
        }
    }
}

#[async_trait]
impl AuditStore for SqliteStore {
    async fn append_audit(&self, records: Vec<AuditRecord>) -> Result<()> {
        self.write(move |work| records.iter().try_for_each(|record| audit::append(work, record))).await
    }

    async fn note_settings(
        &self,
        settings: BTreeMap<String, String>,
        record: &AuditRecord,
    ) -> Result<Vec<String>> {
        let record = record.clone();
        self.write(move |work| settings::note(work, &settings, &record)).await
    }

    async fn audit_log(&self, query: AuditQuery) -> Result<Page<AuditRow>> {
        self.read(move |db| audit::list(db, &query)).await
    }

    async fn verify_audit(&self) -> Result<AuditReport> {
        let mut tries = 0;
        loop {
            tries += 1;
            // The witness first: what is written meanwhile lies behind it.
            let (chain, witness) = (self.chain.clone(), self.witness.read(&self.chain));
            let mut check = self.read(move |db| audit::Check::begin(db, &chain, witness)).await?;
            let mut more = true;
            let mut overtaken = false;
            while more {
                (check, more, overtaken) = self
                    .read(move |db| {
                        let more = check.page(db)?;
                        let overtaken = check.is_overtaken(db)?;
                        Ok((check, more, overtaken))
                    })
                    .await?;
            }
            // Rows that retention deleted between two pages are not missing: read again from where the log begins now.
            if !overtaken || tries >= VERIFY_TRIES {
                return Ok(check.end(self.witness.is_wanted()));
            }
        }
    }

    async fn witness_audit(&self) -> Result<AuditHead> {
        let (chain, witness) = (self.chain.clone(), Arc::clone(&self.witness));
        self.read(move |db| {
            let head = audit::head(db, &chain)?;
            witness.write(db, &chain, head)?;
            Ok(head)
        })
        .await
    }

    async fn renew_witness(&self, audit: &AuditRecord) -> Result<AuditHead> {
        let (chain, witness) = (self.chain.clone(), Arc::clone(&self.witness));
        self.audited(audit, |_| Ok(())).await?;
        self.read(move |db| {
            let head = audit::head(db, &chain)?;
            witness.begin(&chain, head)?;
            Ok(head)
        })
        .await
    }
}

/// Address of the client that the present task works for.
fn network() -> Option<String> {
    actifix_app::audit::address().map(|address| address.to_string())
}

#[async_trait]
impl CareStore for SqliteStore {
    async fn findings(&self, query: FindingQuery) -> Result<Page<FindingView>> {
        self.read(move |db| findings::list(db, &query)).await
    }

    async fn finding(&self, id: &str) -> Result<Option<FindingView>> {
        let id = id.to_owned();
        self.read(move |db| findings::get(db, &id)).await
    }

    async fn set_finding_state(
        &self,
        id: &str,
        expected_version: Option<u64>,
        state: FindingState,
        note: &str,
        audit: &AuditRecord,
    ) -> Result<FindingView> {
        let (id, note) = (id.to_owned(), note.to_owned());
        self.audited(audit, move |work| findings::set_state(work, &id, expected_version, state, &note)).await
    }

    async fn quarantine(
        &self,
        project: Option<ProjectId>,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<QuarantineEntry>> {
        self.read(move |db| quarantine::list(db, project, cursor.as_ref(), limit)).await
    }

    async fn quarantined(&self, id: &str) -> Result<Option<QuarantineItem>> {
        let id = id.to_owned();
        self.read(move |db| quarantine::get(db, &id)).await
    }

    async fn delete_quarantined(&self, id: &str, audit: &AuditRecord) -> Result<bool> {
        let id = id.to_owned();
        self.audited_if(
            audit,
            |gone| *gone,
            move |work| {
                if let Some(item) = quarantine::get(work.db, &id)?
                    && upkeep::is_held(work.db, item.entry.project, 0)?
                {
                    return Err(
                        Error::conflict("its project is under a legal hold: release that first").into()
                    );
                }
                quarantine::delete(work, &id)
            },
        )
        .await
    }

    async fn run_retention(
        &self,
        policy: &RetentionPolicy,
        now: Option<Timestamp>,
        dry_run: bool,
    ) -> Result<RetentionReport> {
        retention::run(self, policy, now, dry_run).await
    }

    async fn stats(&self) -> Result<StoreStats> {
        let (path, config, now) = (self.path.clone(), self.throttle.get(), self.clock.now());
        self.read(move |db| care::stats(db, &path, &config, now)).await
    }

    async fn ready(&self) -> Result<()> {
        self.write(care::touch).await?;
        self.read(|db| Ok(db.query_row("SELECT 1", [], |_| Ok(()))?)).await
    }

    async fn close(&self) -> Result<()> {
        let (writer, readers) = (Arc::clone(&self.writer), Arc::clone(&self.readers));
        readers.close();
        let stop = move || writer.stop();
        tokio::task::spawn_blocking(stop).await.map_err(Error::internal)?;
        if self.writer.has_failed() {
            return Err(Error::Unavailable { message: "the database failed", retry_after_seconds: 30 });
        }
        Ok(())
    }
}

#[async_trait]
impl AnswerStore for SqliteStore {
    async fn kept_answer(&self, key: &[u8; 32], now: Timestamp) -> Result<Option<KeptAnswer>> {
        let key = *key;
        self.read(move |db| answers::get(db, &key, now)).await
    }

    async fn keep_answer(&self, answer: KeptAnswer, now: Timestamp) -> Result<()> {
        self.write(move |work| answers::keep(work, &answer, now)).await
    }
}
