//! Quarantine: what could not be redacted, listed, released through the pipeline again, or deleted.

use super::admit::Source;
use super::decode::Decoded;
use super::redact::{QUARANTINE, shape_of};
use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::{Cursor, Page, QuarantineEntry, Recorded};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::event::{OriginClass, Provenance, Transport};
use actifix_domain::ticket::Priority;
use serde_json::Value;
use std::sync::Arc;

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

    /// Runs an entry through the pipeline again with a larger budget. It stays when that is not enough either.
    pub async fn release_quarantined(self: &Arc<Self>, actor: &Actor, id: &str) -> Result<Vec<Recorded>> {
        let item = self.store.quarantined(id).await?.ok_or(Error::NotFound { what: "quarantine entry" })?;
        Self::require_visible(actor, Scope::Quarantine, item.entry.project, "quarantine entry")?;
        let project =
            self.store.project(item.entry.project).await?.ok_or(Error::NotFound { what: "project" })?;
        let clear = self.vault.open(QUARANTINE, &item.sealed)?;
        let mut parsed: Value = serde_json::from_slice(&clear).map_err(Error::internal)?;
        let shape = parsed.get("kind").and_then(Value::as_str).and_then(shape_of);
        let shape =
            shape.ok_or_else(|| Error::conflict("this kind of input cannot be released: delete it"))?;
        let value = parsed.get_mut("value").map(Value::take).unwrap_or_default();
        let app = Arc::clone(self);
        let received_at = item.entry.received_at;
        let work = tokio::task::spawn_blocking(move || {
            let mut decoded = Decoded::new(received_at, Transport::Sentry);
            decoded.items.push(app.raw(shape, value));
            let clean = app.redact_released(&project.settings, decoded);
            let source = Source {
                provenance: Provenance {
                    key: None,
                    transport: Transport::Sentry,
                    origin_class: OriginClass::Anyone,
                },
                ceiling: Priority::P1,
                priority: None,
                project: &project,
            };
            app.admit_from(&source, clean)
        });
        let (_, submission) = work.await.map_err(Error::internal)?;
        if !submission.quarantined.is_empty() {
            return Err(Error::conflict(
                "it could not be redacted with a larger budget either: it stays in quarantine",
            ));
        }
        let recorded = self.store.ingest(submission).await?;
        self.store.delete_quarantined(id).await?;
        Ok(recorded)
    }

    /// Deletes an entry.
    pub async fn delete_quarantined(&self, actor: &Actor, id: &str) -> Result<()> {
        self.quarantined(actor, id).await?;
        self.store.delete_quarantined(id).await?;
        Ok(())
    }
}
