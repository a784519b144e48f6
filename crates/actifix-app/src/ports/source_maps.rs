//! Source maps.

use super::{
    BundleKey, BundleView, Checksum, ChunkRoom, ChunkUsage, Cursor, MapKey, MapUsage, NewSourceMap, Page,
    SealedChunk,
};
use crate::error::Result;
use actifix_domain::audit::AuditRecord;
use actifix_domain::id::ProjectId;
use actifix_domain::time::Timestamp;
use async_trait::async_trait;

/// Chunks of uploads, and the maps that were made of them. A bundle is written map by map, so that events need not wait
/// for it, and seen by nobody before its last map is there.
///
/// The owner of a chunk is the project that the credential of its upload is bound to, or none: others neither see nor
/// displace it.
#[async_trait]
pub trait SourceMapStore: Send + Sync {
    /// Keeps chunks; one that is there already begins its time anew. `Conflict` where `room` has no more of it.
    async fn put_chunks(
        &self,
        owner: Option<ProjectId>,
        chunks: Vec<SealedChunk>,
        room: ChunkRoom,
        now: Timestamp,
    ) -> Result<()>;
    /// Those of `wanted` that are not there.
    async fn missing_chunks(&self, owner: Option<ProjectId>, wanted: Vec<Checksum>) -> Result<Vec<Checksum>>;
    /// One chunk, sealed.
    async fn chunk(&self, owner: Option<ProjectId>, checksum: Checksum) -> Result<Option<Vec<u8>>>;
    /// What chunks of an owner take together.
    async fn chunk_usage(&self, owner: Option<ProjectId>) -> Result<ChunkUsage>;
    /// Forgets chunks.
    async fn drop_chunks(&self, owner: Option<ProjectId>, checksums: Vec<Checksum>) -> Result<()>;

    /// Whether a bundle is there, whole.
    async fn has_bundle(&self, key: &BundleKey) -> Result<bool>;
    /// Begins a bundle: its number.
    async fn begin_bundle(&self, key: &BundleKey, now: Timestamp) -> Result<u64>;
    /// Adds a map to a bundle that was begun; returns the bytes that it takes.
    async fn add_source_map(&self, bundle: u64, map: NewSourceMap) -> Result<u64>;
    /// Lets a bundle be seen. One of the same key that was there before goes.
    async fn finish_bundle(&self, bundle: u64, audit: &AuditRecord) -> Result<()>;
    /// Lets go of a bundle; false when the project has none of this number. Its rows go with [`Self::sweep_bundles`].
    async fn remove_bundle(
        &self,
        project: ProjectId,
        bundle: u64,
        audit: Option<&AuditRecord>,
    ) -> Result<bool>;
    /// Deletes, in small steps, what was let go of, and what was begun before `begun_before` and never finished.
    async fn sweep_bundles(&self, begun_before: Timestamp) -> Result<()>;

    /// Bundles of a project, latest first.
    async fn bundles(
        &self,
        project: ProjectId,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<BundleView>>;
    /// What they take together.
    async fn map_usage(&self, project: ProjectId) -> Result<MapUsage>;

    /// The number of a map; of several the latest.
    async fn find_source_map(&self, project: ProjectId, key: &MapKey) -> Result<Option<u64>>;
    /// The index of a map.
    async fn source_map(&self, map: u64) -> Result<Option<Vec<u8>>>;
    /// The text of one of its sources.
    async fn map_source(&self, map: u64, number: u32) -> Result<Option<String>>;
    /// Notes that maps were needed.
    async fn note_map_uses(&self, uses: Vec<(u64, Timestamp)>) -> Result<()>;
}
