//! Source maps: builds upload them, events whose frames they belong to are shown as they were written.
//!
//! Uploads come in chunks, which wait sealed. Of a whole bundle each map is read, redacted and kept as an index of its
//! places and the texts of its sources; nothing else of it is. When an event comes, the maps of its frames are looked
//! up before anything is redacted or grouped.

mod cache;
mod lines;
mod make;
mod room;
mod upload;

pub(crate) use lines::Lines;
pub use room::UploadRoom;
pub use upload::{
    Assembled, AssemblyInput, CHUNK_BYTES, CHUNKS_PER_REQUEST_MAX, PROJECTS_MAX, UPLOAD_BUNDLE_BYTES_MAX,
    UPLOAD_REQUEST_BYTES_MAX,
};

use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::{BundleView, Cursor, MapUsage, Page};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::audit::Action;
use actifix_domain::time::HOUR;
use cache::Cache;
use room::Uploads;
use serde::Serialize;
use serde_json::json;
use upload::{OWN_BYTES_MAX, OWN_CHUNKS_MAX};

/// Longest distribution of a build, characters.
pub(crate) const DIST_CHARS_MAX: usize = 64;

/// What is known of maps between requests.
#[derive(Default)]
pub(crate) struct SourceMaps {
    pub(crate) cache: Cache,
    uploads: Uploads,
}

/// What the source maps of a project take, and what they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SourceMapUsage {
    /// Uploads.
    pub uploads: u64,
    /// As many as may be.
    pub uploads_max: u64,
    /// Maps in them.
    pub maps: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// As many as may be; 0 for no limit.
    pub bytes_max: u64,
    /// Parts of uploads with tokens of the project that wait for the rest of theirs.
    pub waiting_parts: u64,
    /// As many as may be.
    pub waiting_parts_max: u64,
    /// Bytes of those parts.
    pub waiting_bytes: u64,
    /// As many as may be.
    pub waiting_bytes_max: u64,
}

impl App {
    /// Uploads of a project, latest first.
    pub async fn source_maps(
        &self,
        actor: &Actor,
        project: &str,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<BundleView>> {
        let project = self.project(actor, project).await?;
        let limit = match limit {
            0 => 50,
            limit @ 1..=200 => limit,
            _ => return Err(Error::invalid("limit", "1 to 200")),
        };
        self.store.bundles(project.id, cursor, limit).await
    }

    /// What a project's maps take together, and what they may.
    pub async fn source_map_usage(&self, actor: &Actor, project: &str) -> Result<SourceMapUsage> {
        let project = self.project(actor, project).await?;
        let there = self.store.map_usage(project.id).await?;
        let waiting = self.store.chunk_usage(Some(project.id)).await?;
        Ok(SourceMapUsage {
            uploads: there.bundles,
            uploads_max: MapUsage::BUNDLES_MAX,
            maps: there.maps,
            bytes: there.bytes,
            bytes_max: self.settings.retention.source_maps_bytes_max,
            waiting_parts: waiting.chunks,
            waiting_parts_max: OWN_CHUNKS_MAX,
            waiting_bytes: waiting.bytes,
            waiting_bytes_max: OWN_BYTES_MAX,
        })
    }

    /// Removes an upload; frames of later events stay as they are minified.
    pub async fn remove_source_maps(&self, actor: &Actor, project: &str, id: u64) -> Result<()> {
        let project = self.project_for(actor, Scope::Admin, project).await?;
        let target = format!("source_maps:{id}");
        let audit = self.audit(actor, Action::SourceMapsRemoved, target, Some(project.id), json!({}));
        if !self.store.remove_bundle(project.id, id, Some(&audit)).await? {
            return Err(Error::NotFound { what: "upload of source maps" });
        }
        self.source_maps.cache.forget();
        self.store.sweep_bundles(self.now().plus(-HOUR)).await
    }

    /// Writes which maps were needed; called by a worker. Events only remember it.
    pub async fn flush_source_map_uses(&self) -> Result<()> {
        let uses = self.source_maps.cache.take_uses();
        if uses.is_empty() {
            return Ok(());
        }
        self.store.note_map_uses(uses).await
    }
}
