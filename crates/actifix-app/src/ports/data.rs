//! What crosses the ports: plain data, no behaviour.

mod access;
mod accounts;
mod alerts;
mod audit;
mod care;
mod ingest;
mod jwt;
mod oidc;
mod source_maps;
mod tickets;
mod upkeep;
mod vault;

pub use access::{
    ApiCounter, KeptAnswer, KeyRecord, LateMonitor, MonitorTick, MonitorView, OutcomeTotal, TOKEN_USE_MICROS,
    TokenRecord,
};
pub use accounts::{FactorRecord, LoginKey, LoginSettled, LoginTaken, SessionRecord, SessionsOf, UserRecord};
pub use alerts::{
    Attempt, AttemptEnd, Backlog, DeliveryQuery, DeliveryView, EndpointRecord, Expired, HookRecord,
    LeasedDelivery, NewDelivery, PendingSignal, Routed, RuleRecord, SealedEndpoint, SealedHook, StateKey,
};
pub use audit::{AuditFault, AuditHead, AuditQuery, AuditReport, AuditRow};
pub use care::{
    FindingPlace, FindingQuery, FindingState, FindingView, HeldOverview, QuarantineEntry, QuarantineItem,
    RetentionPolicy, RetentionReport, StoreStats, ThrottleRecord,
};
pub use ingest::{
    Admitted, Attachment, AttachmentInfo, CheckIn, Discard, FindingRecord, Ingested, OutcomeCount, Recorded,
    SealedInput, SessionCount, Submission,
};
pub use jwt::{AccessRecord, Holder, HolderId, SigningKeyRecord};
pub use oidc::{IdentityRecord, PROVIDER_BODY_BYTES_MAX, ProviderAnswer, ProviderFault, ProviderRequest};
pub use source_maps::{
    BundleKey, BundleView, Checksum, ChunkRoom, ChunkUsage, MapKey, MapUsage, NewSourceMap, SealedChunk,
};
pub use tickets::{
    ActivityEntry, DayCount, EventSummary, Facet, HourCount, Lease, Sort, StoredEvent, TicketDetail,
    TicketQuery, TicketSave,
};
pub use upkeep::{
    Authenticity, BackupFile, BackupMade, BackupVerdict, BackupView, DamagedRow, IntegrityReport, LegalHold,
    ScrubPlace, ScrubStep, SnapshotFacts, UpkeepKind, UpkeepRun,
};
pub use vault::{Rotation, SealedSecret, SecretRecord, VaultStatus};

use serde::{Deserialize, Serialize};

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page starts; none at the end.
    pub next_cursor: Option<Cursor>,
    /// How many match in all, where the list counts; capped at [`Page::<T>::TOTAL_MAX`] + 1.
    pub total: Option<u64>,
}

impl<T> Page<T> {
    /// Matches are counted up to this; one more means "more than".
    pub const TOTAL_MAX: u64 = 10_000;
}

/// Opaque place in a list: the sort key and id of the last row, as the store wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub String);
