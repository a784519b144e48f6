//! Hashes over what is in a row. The engine checks how pages hang together; a byte that flips within a text or number
//! is a valid page. Rows that are shown to people carry a hash of what is shown, and a row whose hash differs is an
//! error where it is read. Bodies carry the checksum of their compression ([`super::body`]).

use super::rows::TicketRow;
use actifix_domain::time::Timestamp;
use blake3::Hasher;

/// Marks the form of what is hashed.
const TICKET: &[u8] = b"ticket/1";
const EVENT: &[u8] = b"event/1";

/// Feeds fields in which none can pose as two.
struct Fields(Hasher);

impl Fields {
    fn of(kind: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(kind);
        Self(hasher)
    }

    fn number(&mut self, value: i64) -> &mut Self {
        self.0.update(&value.to_le_bytes());
        self
    }

    fn count(&mut self, value: u64) -> &mut Self {
        self.number(super::rows::quantity(value))
    }

    fn optional(&mut self, value: Option<i64>) -> &mut Self {
        self.0.update(&[u8::from(value.is_some())]);
        self.number(value.unwrap_or(0))
    }

    fn text(&mut self, value: &str) -> &mut Self {
        self.0.update(&(value.len() as u64).to_le_bytes());
        self.0.update(value.as_bytes());
        self
    }

    fn text_optional(&mut self, value: Option<&str>) -> &mut Self {
        self.0.update(&[u8::from(value.is_some())]);
        self.text(value.unwrap_or_default())
    }

    fn end(&self) -> i64 {
        let hash = self.0.finalize();
        let (first, _) = hash.as_bytes().split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
        i64::from_le_bytes(*first)
    }
}

/// The hash of a ticket.
pub(crate) fn ticket(row: &TicketRow) -> i64 {
    let (t, lease) = (&row.ticket, row.lease.as_ref());
    let micros = |at: Option<Timestamp>| at.map(Timestamp::micros);
    let mut fields = Fields::of(TICKET);
    fields
        .number(row.seq)
        .number(t.project.0)
        .text(t.id.as_str())
        .text_optional(t.near_key.map(|key| key.to_string()).as_deref())
        .text(&t.title)
        .text(&t.culprit)
        .text(t.level.as_str())
        .text(t.status.as_str())
        .number(t.priority.number().into())
        .text(&t.priority_reason)
        .count(t.count)
        .count(t.users)
        .number(t.first_seen.micros())
        .number(t.last_seen.micros())
        .text_optional(t.first_release.as_deref())
        .text_optional(t.last_release.as_deref())
        .text_optional(t.platform.as_deref())
        .number(t.unhandled.into())
        .optional(micros(t.resolved_at))
        .text_optional(t.resolved_in.as_deref())
        .number(t.regressions.into())
        .number(t.raised.into())
        .text_optional(t.assignee.as_deref())
        .number(t.created_at.micros())
        .count(t.version);
    fields.0.update(&t.fingerprint.0);
    fields
        .optional(row.latest_event_seq)
        .number(row.latest_transient.into())
        .number(row.hour)
        .count(row.hour_count)
        .number(row.day)
        .count(row.day_count)
        .number(row.indexed_hour)
        .text_optional(lease.map(|lease| lease.lease_id.as_str()))
        .optional(lease.map(|lease| super::rows::quantity(lease.fence)))
        .text_optional(lease.map(|lease| lease.holder.as_str()))
        .optional(lease.map(|lease| lease.since.micros()))
        .optional(lease.map(|lease| lease.expires_at.micros()))
        .count(row.last_fence)
        .number(t.origins.approved.into())
        .count(t.origins.trusted_events)
        .count(t.origins.peers.len() as u64);
    for peer in &t.origins.peers {
        fields.0.update(&peer.to_le_bytes());
    }
    // Rows of before have none: what is hashed of those stays as it was.
    if let Some(border) = &t.resolved_after {
        fields.text(border);
    }
    fields.end()
}

/// What of an event's row never changes.
pub(crate) struct EventRow<'a> {
    pub(crate) seq: i64,
    pub(crate) project: i64,
    pub(crate) event_id: &'a str,
    pub(crate) fingerprint: &'a str,
    pub(crate) timestamp: i64,
    pub(crate) received_at: i64,
    pub(crate) outcome: &'a str,
    pub(crate) title: &'a str,
    pub(crate) release: Option<&'a str>,
    pub(crate) environment: Option<&'a str>,
    pub(crate) user_hash: Option<i64>,
}

/// The hash of an event's row; its ticket and size move and are not in it.
pub(crate) fn event(row: &EventRow<'_>) -> i64 {
    let mut fields = Fields::of(EVENT);
    fields
        .number(row.seq)
        .number(row.project)
        .text(row.event_id)
        .text(row.fingerprint)
        .number(row.timestamp)
        .number(row.received_at)
        .text(row.outcome)
        .text(row.title)
        .text_optional(row.release)
        .text_optional(row.environment)
        .optional(row.user_hash)
        .end()
}
