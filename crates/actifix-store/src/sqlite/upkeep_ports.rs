//! The port of upkeep: each verb hands its work to a reader, to the writer, or to a connection of its own.

use super::{SqliteStore, audit, scrub, snapshot, upkeep};
use crate::fault::Fault;
use actifix_app::error::{Error, Result};
use actifix_app::ports::{
    LegalHold, ScrubPlace, ScrubStep, SnapshotFacts, SnapshotSink, UpkeepKind, UpkeepRun, UpkeepStore,
};
use actifix_domain::audit::AuditRecord;
use actifix_domain::id::{ProjectId, TicketId};
use actifix_domain::time::Timestamp;
use async_trait::async_trait;
use std::sync::Arc;

#[async_trait]
impl UpkeepStore for SqliteStore {
    async fn snapshot(
        &self,
        mut sink: Box<dyn SnapshotSink>,
    ) -> Result<(SnapshotFacts, Box<dyn SnapshotSink>)> {
        let (path, chain) = (self.path.clone(), self.chain.clone());
        let work = move || {
            let facts = snapshot::read(&path, &chain, sink.as_mut()).map_err(Fault::into_error)?;
            Ok((facts, sink))
        };
        tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
    }

    async fn scrub(&self, place: ScrubPlace) -> Result<ScrubStep> {
        self.read(move |db| scrub::step(db, place)).await
    }

    async fn check_structure(&self) -> Result<Vec<String>> {
        let (path, clock) = (self.path.clone(), Arc::clone(&self.clock));
        let work = move || scrub::structure(&path, &clock).map_err(Fault::into_error);
        tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
    }

    async fn record_run(&self, run: &UpkeepRun, audit: Option<&AuditRecord>) -> Result<()> {
        let (run, record) = (run.clone(), audit.cloned());
        self.write(move |work| {
            upkeep::record(work, &run)?;
            record.iter().try_for_each(|record| audit::append(work, record))
        })
        .await
    }

    async fn runs(&self, kind: Option<UpkeepKind>, limit: u32) -> Result<Vec<UpkeepRun>> {
        self.read(move |db| upkeep::runs(db, kind, limit)).await
    }

    async fn clock_mark(&self) -> Result<Option<Timestamp>> {
        self.read(upkeep::clock_mark).await
    }

    async fn set_clock_mark(&self, at: Timestamp) -> Result<()> {
        self.write(move |work| upkeep::set_clock_mark(work, at)).await
    }

    async fn hold(
        &self,
        project: ProjectId,
        ticket: Option<&TicketId>,
        reason: &str,
        audit: &AuditRecord,
    ) -> Result<LegalHold> {
        let (ticket, reason) = (ticket.cloned(), reason.to_owned());
        let (actor, at) = (audit.actor.clone(), audit.at);
        self.audited(audit, move |work| upkeep::hold(work, project, ticket.as_ref(), &reason, &actor, at))
            .await
    }

    async fn release_hold(&self, id: u64, audit: &AuditRecord) -> Result<bool> {
        self.audited_if(audit, |released| *released, move |work| upkeep::release(work, id)).await
    }

    async fn holds(&self) -> Result<Vec<LegalHold>> {
        self.read(upkeep::holds).await
    }
}
