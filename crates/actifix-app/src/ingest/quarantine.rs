//! Quarantine: what could not be redacted, listed, released through the pipeline again, or deleted.

use super::answer::Refusal;
use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::{Cursor, Page, QuarantineEntry, Recorded};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::audit::Action;
use serde_json::json;
use std::sync::Arc;

/// A released input may cost this many times the usual budget.
const RELEASE_FACTOR: u64 = 8;

impl App {
    /// A page of entries.
    pub async fn quarantine(
        &self,
        actor: &Actor,
        project: Option<&str>,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<QuarantineEntry>> {
        let asked = match project {
            Some(name) => Some(self.project(actor, name).await?.id),
            None => None,
        };
        let project = Self::confine(actor, Scope::Quarantine, asked)?;
        let limit = match limit {
            0 => 50,
            limit @ 1..=200 => limit,
            _ => return Err(Error::invalid("limit", "1 to 200")),
        };
        self.store.quarantine(project, cursor, limit).await
    }

    /// One entry, without its content.
    pub async fn quarantined(&self, actor: &Actor, id: &str) -> Result<QuarantineEntry> {
        let item = self.store.quarantined(id).await?.ok_or(Error::NotFound { what: "quarantine entry" })?;
        Self::require_visible(actor, Scope::Quarantine, item.entry.project, "quarantine entry")?;
        Ok(item.entry)
    }

    /// Runs an entry through the pipeline again with a larger budget: with the identity, times, sender and files that
    /// it came with. It stays when that is not enough either. What was in an event, and only once: the entry goes
    /// in the transaction that stores it.
    pub async fn release_quarantined(self: &Arc<Self>, actor: &Actor, id: &str) -> Result<Vec<Recorded>> {
        let item = self.store.quarantined(id).await?.ok_or(Error::NotFound { what: "quarantine entry" })?;
        Self::require_visible(actor, Scope::Quarantine, item.entry.project, "quarantine entry")?;
        let project =
            self.store.project(item.entry.project).await?.ok_or(Error::NotFound { what: "project" })?;
        let permit = Arc::clone(&self.gate.decoders).acquire_owned().await.map_err(Error::internal)?;
        let app = Arc::clone(self);
        let received_at = item.entry.received_at;
        let sealed = item.sealed;
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let (source, decoded) = app.unseal(&project, &sealed, received_at)?;
            let event_of_file = decoded.files_of;
            let (_, submission) = app.refine(&source, RELEASE_FACTOR, decoded).map_err(not_now)?;
            Ok::<_, Error>((submission, event_of_file))
        });
        let (mut submission, event_of_file) = work.await.map_err(Error::internal)??;
        if !submission.quarantined.is_empty() {
            return Err(Error::conflict(
                "it could not be redacted with a larger budget either: it stays in quarantine",
            ));
        }
        if let Some(event_id) = event_of_file
            && self.store.event(Some(submission.project), event_id).await?.is_none()
        {
            return Err(Error::conflict("its event is not stored: release that first, or delete the file"));
        }
        submission.released = Some(id.to_owned());
        let detail = json!({ "reason": item.entry.reason, "kind": item.entry.kind, "size": item.entry.size });
        submission.audit = Some(self.audit(
            actor,
            Action::QuarantineReleased,
            format!("quarantine:{id}"),
            Some(item.entry.project),
            detail,
        ));
        self.keep(submission).await
    }

    /// Deletes an entry.
    pub async fn delete_quarantined(&self, actor: &Actor, id: &str) -> Result<()> {
        let entry = self.quarantined(actor, id).await?;
        let detail = json!({ "reason": entry.reason, "kind": entry.kind, "size": entry.size });
        let audit = self.audit(
            actor,
            Action::QuarantineDeleted,
            format!("quarantine:{id}"),
            Some(entry.project),
            detail,
        );
        self.store.delete_quarantined(id, &audit).await?;
        Ok(())
    }
}

/// What a person is told where a sender would get a 503.
pub(super) fn not_now(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Overload { message, retry_after } => {
            Error::Unavailable { message, retry_after_seconds: retry_after }
        }
        _ => Error::Unavailable { message: "the vault did not answer", retry_after_seconds: 5 },
    }
}
