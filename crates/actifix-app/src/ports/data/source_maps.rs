//! Source maps: what builds upload so that minified frames can be shown as they were written.

use actifix_domain::debug_id::DebugId;
use actifix_domain::id::ProjectId;
use actifix_domain::time::Timestamp;
use serde::Serialize;

/// Name of a chunk, of a bundle: the SHA-1 of its bytes, as the protocol wants it. It tells uploads apart and protects
/// nothing: who may upload at all is trusted by the project.
pub type Checksum = [u8; 20];

/// A part of an upload that waits, sealed, for the others.
#[derive(Clone, Debug)]
pub struct SealedChunk {
    /// Its name.
    pub checksum: Checksum,
    /// Its bytes, sealed.
    pub sealed: Vec<u8>,
}

/// How many chunks may wait, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct ChunkRoom {
    /// Chunks of one owner.
    pub chunks_max: u64,
    /// Their bytes.
    pub bytes_max: u64,
    /// Chunks of all owners.
    pub all_chunks_max: u64,
    /// Their bytes.
    pub all_bytes_max: u64,
    /// What came before is forgotten.
    pub since: Timestamp,
}

/// What a bundle is known by within its project.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BundleKey {
    /// Its project.
    pub project: ProjectId,
    /// SHA-1 of its bytes.
    pub checksum: Checksum,
    /// Release that it is of; empty for none.
    pub release: String,
    /// Distribution of that release; empty for none.
    pub dist: String,
}

/// One map on its way into the store: redacted.
#[derive(Clone, Debug)]
pub struct NewSourceMap {
    /// Its debug id.
    pub debug_id: Option<DebugId>,
    /// Where it is served.
    pub url: String,
    /// Where scripts that refer to it are served.
    pub scripts: Vec<String>,
    /// The index of its places.
    pub index: Vec<u8>,
    /// Texts of its sources by number; what is not there was not sent, or could not be redacted.
    pub sources: Vec<(u32, String)>,
}

/// A bundle as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BundleView {
    /// Number of its row.
    pub id: u64,
    /// Release; empty for none.
    pub release: String,
    /// Distribution; empty for none.
    pub dist: String,
    /// Maps in it.
    pub maps: u64,
    /// Sources in it whose text is there.
    pub sources: u64,
    /// Bytes that it takes.
    pub bytes: u64,
    /// When it came.
    pub uploaded_at: Timestamp,
    /// When an event needed it last, to the hour.
    pub used_at: Option<Timestamp>,
    /// Debug ids of its maps, at most [`BundleView::DEBUG_IDS_MAX`].
    pub debug_ids: Vec<DebugId>,
}

impl BundleView {
    /// Debug ids that are told of one bundle.
    pub const DEBUG_IDS_MAX: u32 = 50;
}

/// How an event names a map.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MapKey {
    /// By debug id.
    DebugId(DebugId),
    /// By release, distribution (empty for none) and the places where its script may be served, the surest first.
    Script {
        /// Release of the event.
        release: String,
        /// Distribution of the event.
        dist: String,
        /// URLs, at most four.
        urls: Vec<String>,
    },
}

/// What a project's maps take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MapUsage {
    /// Bundles, at most [`MapUsage::BUNDLES_MAX`].
    pub bundles: u64,
    /// Maps.
    pub maps: u64,
    /// Bytes.
    pub bytes: u64,
}

impl MapUsage {
    /// Bundles of one project: years of daily builds, until those that nobody needs go.
    pub const BUNDLES_MAX: u64 = 5_000;
}

/// Chunks of an owner that wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkUsage {
    /// How many.
    pub chunks: u64,
    /// Their bytes, sealed.
    pub bytes: u64,
}
