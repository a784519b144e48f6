//! Step 1: bytes into values. Lenient, bounded, never panics; nothing here is redacted yet, so nothing of it may
//! be logged, grouped or stored.

use super::answer::{Limited, Refusal};
use super::gate::Pass;
use super::special::Crash;
use super::{Delivery, Kind, OtlpSignal};
use crate::app::App;
use crate::ports::OutcomeCount;
use actifix_domain::event::Transport;
use actifix_domain::id::{EventId, PublicKey};
use actifix_domain::network::client_network;
use actifix_domain::outcome::{Outcome, Reason};
use actifix_domain::time::Timestamp;
use actifix_protocol::encoding::{self, DecodeError};
use actifix_protocol::envelope::{
    self, Envelope, EnvelopeError, EnvelopeHeader, EnvelopeReader, Fate, Item, ItemKind,
};
use actifix_protocol::limits::Limits;
use actifix_protocol::otlp::DedupeKey;
use actifix_protocol::{items, json, security};
use bytes::Bytes;
use serde_json::Value;

/// Why a value of another form is no event.
const NO_OBJECT: &str = "the event is not a JSON object";

/// What a value is, and so what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Event,
    Feedback,
    UserReport,
    CheckIn,
    ClientReport,
    Log,
    OtelLog,
    Session,
    Sessions,
    Security,
}

impl Shape {
    /// Category of the protocol under which it is limited and counted.
    pub(super) const fn category(&self) -> &'static str {
        match self {
            Self::Event => "error",
            Self::Feedback | Self::UserReport => "feedback",
            Self::CheckIn => "monitor",
            Self::ClientReport => "internal",
            Self::Log | Self::OtelLog => "log_item",
            Self::Session | Self::Sessions => "session",
            Self::Security => "security",
        }
    }

    /// Sessions and client reports are never limited.
    pub(super) const fn is_limited(&self) -> bool {
        !matches!(self, Self::Session | Self::Sessions | Self::ClientReport)
    }
}

/// What the first bytes of an envelope tell about its sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderKey {
    /// The header names this key.
    Key(PublicKey),
    /// Its line is not complete yet.
    Incomplete,
    /// It names none, or cannot be read.
    None,
}

/// One value of a request, not redacted.
#[derive(Clone, Debug)]
pub(super) struct RawItem {
    pub shape: Shape,
    pub value: Value,
    /// Keyed hash of the user, taken before redaction makes all users look alike.
    pub user_hash: Option<u64>,
    /// Its identity; every event has one before anything else is done with it.
    pub event_id: Option<EventId>,
    /// Names of exceptions were taken apart here, not by the sender.
    pub apart: bool,
    /// What OTLP's other signal may report too; remembered once it is stored.
    pub seen: Option<Box<DedupeKey>>,
    /// Report of the native crash that it is of; read once the event passed the limits.
    pub crash: Option<Box<Crash>>,
    /// What was odd about it, in words of ours.
    pub notes: Vec<String>,
}

impl RawItem {
    pub(super) const fn new(shape: Shape, value: Value) -> Self {
        Self {
            shape,
            value,
            user_hash: None,
            event_id: None,
            apart: false,
            seen: None,
            crash: None,
            notes: Vec::new(),
        }
    }
}

/// One file of a request, not redacted.
#[derive(Clone, Debug)]
pub(super) struct RawFile {
    pub name: String,
    pub content_type: String,
    pub attachment_type: String,
    pub bytes: Bytes,
}

/// What a request held, not redacted.
#[derive(Clone, Debug)]
pub(super) struct Decoded {
    pub received_at: Timestamp,
    pub transport: Transport,
    /// Wins over the id in the payload.
    pub header_event_id: Option<EventId>,
    first_event: Option<EventId>,
    pub sent_at: Option<Value>,
    pub items: Vec<RawItem>,
    pub files: Vec<RawFile>,
    /// Files belong to this earlier event.
    pub files_of: Option<EventId>,
    pub counts: Vec<OutcomeCount>,
    pub fault: Option<Refusal>,
    pub limited: Option<Limited>,
    pub dropped_kinds: bool,
    pub rejected: (u64, String),
    /// Bytes that the request may still unpack to, out of `decoded_bytes_max`.
    pub unpack_left_bytes: u64,
    pub query: String,
    pub user_agent: String,
    pub peer: Option<std::net::IpAddr>,
}

impl Decoded {
    pub(super) fn new(received_at: Timestamp, transport: Transport) -> Self {
        Self {
            received_at,
            transport,
            header_event_id: None,
            first_event: None,
            sent_at: None,
            items: Vec::new(),
            files: Vec::new(),
            files_of: None,
            counts: Vec::new(),
            fault: None,
            limited: None,
            dropped_kinds: false,
            rejected: (0, String::new()),
            unpack_left_bytes: 0,
            query: String::new(),
            user_agent: String::new(),
            peer: None,
        }
    }

    pub(super) fn count(&mut self, outcome: Outcome, reason: Reason, category: &'static str, quantity: u64) {
        if quantity > 0 {
            self.counts.push(OutcomeCount { outcome, reason, category, quantity });
        }
    }

    /// The first event of the request.
    pub(super) fn first_event(&self) -> Option<EventId> {
        self.first_event
    }

    /// The event that the files belong to.
    pub(super) fn event_of_files(&self) -> Option<EventId> {
        self.files_of.or(self.first_event).or(self.header_event_id)
    }
}

impl App {
    /// Undoes encoding and framing, and parses.
    pub(super) fn decode(
        &self,
        pass: &Pass,
        delivery: &Delivery,
        received_at: Timestamp,
    ) -> Result<Decoded, Refusal> {
        let transport =
            if matches!(delivery.kind, Kind::Otlp(_)) { Transport::Otlp } else { Transport::Sentry };
        let mut decoded = Decoded::new(received_at, transport);
        decoded.query.clone_from(&delivery.query);
        decoded.user_agent.clone_from(&delivery.user_agent);
        decoded.peer = delivery.peer;
        match &delivery.kind {
            Kind::Envelope => self.decode_envelope(pass, delivery, &mut decoded)?,
            Kind::Store if is_envelope_type(&delivery.content_type) => {
                self.decode_envelope(pass, delivery, &mut decoded)?
            }
            Kind::Store => {
                let body = self.whole(delivery, self.settings.limits.event_bytes_max.saturating_mul(2))?;
                let text = actifix_protocol::legacy::store_body(&body, &self.settings.limits)
                    .map_err(refuse_decode)?;
                self.one_event(&text, &mut decoded)?;
            }
            Kind::StoreQuery => {
                let text = actifix_protocol::legacy::store_query(&delivery.query, &self.settings.limits)
                    .map_err(refuse_decode)?
                    .ok_or_else(|| broken(Reason::Json, "no sentry_data in the query"))?;
                self.one_event(&text, &mut decoded)?;
            }
            Kind::Security => {
                security::check_content_type(&delivery.content_type)
                    .map_err(|_| Refusal::Unsupported("content type"))?;
                let body = self.whole(delivery, self.settings.limits.event_bytes_max)?;
                let value = self.parse(&body)?;
                self.push(Shape::Security, value, &mut decoded);
            }
            Kind::Minidump => self.decode_minidump(delivery, &mut decoded)?,
            Kind::Unreal => {
                decoded.count(Outcome::Filtered, Reason::Unsupported, "error", 1);
                decoded.header_event_id = Some(self.ids.event_id());
            }
            Kind::Attachments(event_id) => self.decode_attachments(delivery, *event_id, &mut decoded)?,
            Kind::Cron { slug } => {
                let value = super::special::check_in_value(slug, &delivery.query);
                self.push(Shape::CheckIn, value, &mut decoded);
            }
            Kind::Otlp(signal) => self.decode_otlp(pass, delivery, *signal, &mut decoded)?,
            Kind::Ignored(category) => decoded.count(Outcome::Filtered, Reason::Unsupported, category, 1),
        }
        self.identify(&mut decoded);
        Ok(decoded)
    }

    /// Adds a value, taken apart where it holds several things to limit, redact and count by themselves.
    pub(super) fn push(&self, shape: Shape, value: Value, decoded: &mut Decoded) {
        let (shape, values, left_out) = match shape {
            Shape::Log => {
                let list = items::log_list(value);
                (shape, list.records, list.left_out)
            }
            Shape::Security => {
                let list = security::list(value);
                (shape, list.reports, list.left_out)
            }
            _ => return decoded.items.push(self.raw(shape, value)),
        };
        if values.is_empty() {
            decoded.count(Outcome::Filtered, Reason::Unsupported, shape.category(), 1);
        }
        decoded.count(Outcome::Invalid, Reason::TooLarge, shape.category(), left_out as u64);
        decoded.items.extend(values.into_iter().map(|value| self.raw(shape, value)));
    }

    /// Gives every event its id: what is sealed, stored or answered later is the same event then. Several events in
    /// one envelope keep their own ids; only the first takes the header's.
    pub(super) fn identify(&self, decoded: &mut Decoded) {
        let mut header = decoded.header_event_id;
        for item in decoded.items.iter_mut().filter(|item| item.shape == Shape::Event) {
            let own = || item.value.get("event_id")?.as_str()?.trim().parse().ok();
            let id = header.take().or_else(own).unwrap_or_else(|| self.ids.event_id());
            item.event_id = Some(id);
            decoded.first_event.get_or_insert(id);
        }
    }

    /// The key that an envelope's header names, from the first bytes of the request; `ended` when these are all.
    /// Decodes no more than that line, and answers the more sparingly the less it knows the sender.
    pub fn key_of_header(
        &self,
        content_encoding: &str,
        seen: &[u8],
        ended: bool,
    ) -> Result<HeaderKey, Refusal> {
        let line_max = self.settings.limits.header_line_bytes_max;
        // Each coding of a list is cut at this, so that an inner bomb costs nothing.
        let limits = Limits { decoded_bytes_max: line_max.saturating_mul(4), ..self.settings.limits.clone() };
        let reader = encoding::decoder(content_encoding, seen, &limits).map_err(refuse_decode)?;
        let header = if ended {
            EnvelopeReader::open(reader, &limits).map(|reader| Some(reader.header().clone()))
        } else {
            envelope::header_of_prefix(reader, &limits)
        };
        Ok(match header {
            Ok(Some(EnvelopeHeader { dsn: Some(dsn), .. })) => HeaderKey::Key(dsn.public_key().clone()),
            Ok(None) => HeaderKey::Incomplete,
            // Without a readable header there is no key: 401 rather than a hint about framing.
            Ok(Some(_)) | Err(_) => HeaderKey::None,
        })
    }

    fn decode_envelope(
        &self,
        pass: &Pass,
        delivery: &Delivery,
        decoded: &mut Decoded,
    ) -> Result<(), Refusal> {
        let limits = &self.settings.limits;
        let mut reader =
            encoding::decoder(&delivery.content_encoding, &delivery.body, limits).map_err(refuse_decode)?;
        let read = EnvelopeReader::open(&mut reader, limits)
            .map_err(EnvelopeError::from)
            .and_then(|reader| reader.read_items(|header| header.kind().want(limits)));
        decoded.unpack_left_bytes = reader.left_bytes();
        let envelope = match read {
            Ok(whole) => whole,
            Err(error) => {
                let refusal = refuse_fault(error.fault);
                let nothing = error.partial.items.is_empty() && error.partial.dropped.is_empty();
                if nothing || !error.fault.keeps_partial() {
                    self.count_refused_items(pass, &error.partial, &refusal);
                    return Err(refusal);
                }
                decoded.fault = Some(refusal);
                decoded.count(Outcome::Invalid, error.fault.reason(), "default", 1);
                *error.partial
            }
        };
        // The envelope's own key must agree with the one that opened the door.
        if envelope.header.dsn.as_ref().is_some_and(|dsn| *dsn.public_key() != pass.known.key.public_key) {
            return Err(Refusal::ConflictingKeys);
        }
        decoded.header_event_id = envelope.header.event_id;
        decoded.sent_at = envelope.header.sent_at;
        for dropped in &envelope.dropped {
            let outcome = outcome_of_dropped(dropped.reason);
            decoded.count(outcome, dropped.reason, dropped.kind.category().as_str(), 1);
            decoded.dropped_kinds |= dropped.kind.fate() == Fate::Drop
                && !matches!(dropped.kind, ItemKind::Unknown | ItemKind::Statsd);
        }
        for item in envelope.items {
            self.decode_item(item, decoded);
        }
        self.find_crash(decoded);
        Ok(())
    }

    /// Items that an envelope held before the one that had it refused as a whole; the caller counts that one. What
    /// comes after it is not read, so nobody knows of it.
    fn count_refused_items(&self, pass: &Pass, partial: &Envelope, refusal: &Refusal) {
        let project = pass.known.project.id;
        for item in &partial.items {
            self.counters.refused(project, item.header.kind().category().as_str(), refusal);
        }
        for dropped in &partial.dropped {
            self.counters.dropped(project, dropped.kind.category().as_str(), dropped.reason);
        }
    }

    /// One whole item. JSON beyond repair costs that item alone, and the answer says so.
    fn decode_item(&self, item: Item, decoded: &mut Decoded) {
        let kind = item.header.kind();
        let shape = match kind {
            ItemKind::Attachment => {
                decoded.files.push(RawFile {
                    name: item.header.filename.unwrap_or_else(|| "attachment".to_owned()),
                    content_type: item.header.content_type.unwrap_or_default(),
                    attachment_type: item
                        .header
                        .attachment_type
                        .unwrap_or_else(|| "event.attachment".to_owned()),
                    bytes: item.payload.into(),
                });
                return;
            }
            ItemKind::Event => Shape::Event,
            ItemKind::Feedback => Shape::Feedback,
            ItemKind::UserReport => Shape::UserReport,
            ItemKind::CheckIn => Shape::CheckIn,
            ItemKind::ClientReport => Shape::ClientReport,
            ItemKind::Log => Shape::Log,
            ItemKind::OtelLog => Shape::OtelLog,
            ItemKind::Session => Shape::Session,
            ItemKind::Sessions => Shape::Sessions,
            ItemKind::Security | ItemKind::RawSecurity => Shape::Security,
            _ => return decoded.count(Outcome::Filtered, Reason::Unsupported, kind.category().as_str(), 1),
        };
        let problem = match json::parse(&item.payload, &self.settings.limits.json()) {
            Ok(value) if shape != Shape::Event || value.is_object() => {
                return self.push(shape, value, decoded);
            }
            Ok(_) => broken(Reason::Json, NO_OBJECT),
            Err(error) => broken(Reason::Json, &error.to_string()),
        };
        decoded.count(Outcome::Invalid, Reason::Json, kind.category().as_str(), 1);
        decoded.fault.get_or_insert(problem);
    }

    fn one_event(&self, text: &[u8], decoded: &mut Decoded) -> Result<(), Refusal> {
        if text.len() as u64 > self.settings.limits.event_bytes_max {
            return Err(Refusal::TooLarge("event"));
        }
        let value = self.parse(text)?;
        if !value.is_object() {
            return Err(broken(Reason::Json, NO_OBJECT));
        }
        decoded.items.push(self.raw(Shape::Event, value));
        Ok(())
    }

    fn decode_otlp(
        &self,
        pass: &Pass,
        delivery: &Delivery,
        signal: OtlpSignal,
        decoded: &mut Decoded,
    ) -> Result<(), Refusal> {
        let body = self.whole(delivery, self.settings.limits.decoded_bytes_max)?;
        let project = &pass.known.project;
        let batch = match signal {
            OtlpSignal::Logs => actifix_protocol::otlp::decode_logs(
                project.id,
                &delivery.content_type,
                &body,
                i32::from(project.settings.otlp_min_severity),
            ),
            OtlpSignal::Traces => {
                actifix_protocol::otlp::decode_traces(project.id, &delivery.content_type, &body)
            }
        };
        let batch = batch.map_err(|error| match error.status() {
            415 => Refusal::Unsupported("content type"),
            _ => broken(Reason::Framing, &error.to_string()),
        })?;
        let category = match signal {
            OtlpSignal::Logs => "log_item",
            OtlpSignal::Traces => "span",
        };
        decoded.count(Outcome::Filtered, Reason::Unsupported, category, batch.ignored);
        decoded.count(Outcome::Invalid, Reason::TooLarge, category, batch.rejected);
        decoded.rejected = (batch.rejected, batch.problems.join("; "));
        for event in batch.events {
            if self.gate.seen_by_other_signal(project.id, signal, &event.dedupe) {
                decoded.count(Outcome::Duplicate, Reason::None, "error", 1);
                continue;
            }
            let seen = Some(Box::new(event.dedupe));
            decoded.items.push(RawItem { seen, ..self.raw(Shape::Event, event.value) });
        }
        Ok(())
    }

    /// The whole decoded body, at most `bytes_max`.
    pub(super) fn whole(&self, delivery: &Delivery, bytes_max: u64) -> Result<Vec<u8>, Refusal> {
        let reader = encoding::decoder(&delivery.content_encoding, &delivery.body, &self.settings.limits)
            .map_err(refuse_decode)?;
        let body = reader.read_all(bytes_max).map_err(refuse_decode)?;
        if body.is_empty() && delivery.content_type.starts_with("application/x-protobuf") {
            return Ok(body);
        }
        if body.is_empty() {
            return Err(broken(Reason::Framing, actifix_protocol::answer::EMPTY_BODY));
        }
        Ok(body)
    }

    fn parse(&self, text: &[u8]) -> Result<Value, Refusal> {
        json::parse(text, &self.settings.limits.json())
            .map_err(|error| broken(Reason::Json, &error.to_string()))
    }

    /// Wraps a value and takes the user's hash off it.
    pub(super) fn raw(&self, shape: Shape, mut value: Value) -> RawItem {
        if let (Shape::Event, Some(event)) = (shape, value.as_object_mut()) {
            // What an SDK says of its own scrubbing is not kept; names of secrets in it are no findings.
            event.retain(|name, _| name != "_meta");
        }
        let user_hash = (shape == Shape::Event).then(|| self.user_hash(&value)).flatten();
        RawItem { user_hash, ..RawItem::new(shape, value) }
    }

    /// Keyed hash of whatever names the user: id, else name, else e-mail, else address.
    fn user_hash(&self, event: &Value) -> Option<u64> {
        let user = event.get("user").or_else(|| event.get("sentry.interfaces.User"))?;
        let named = ["id", "username", "email", "ip_address"].into_iter().find_map(|field| {
            let text = match user.get(field)? {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => return None,
            };
            (!text.trim().is_empty() && text != "{{auto}}").then_some(text)
        })?;
        Some(self.hash_of_user(&named))
    }

    /// Keyed hash of one name of a user, also for searching.
    pub(crate) fn hash_of_user(&self, name: &str) -> u64 {
        short_hash(&self.user_key, name.trim().as_bytes())
    }

    /// Keyed hash of a sender's address, of its network where one sender has many.
    pub(super) fn hash_of_peer(&self, peer: std::net::IpAddr) -> u64 {
        short_hash(&self.peer_key, client_network(peer).to_string().as_bytes())
    }
}

fn short_hash(key: &[u8; 32], text: &[u8]) -> u64 {
    let digest = blake3::keyed_hash(key, text);
    let mut short = [0u8; 8];
    for (to, from) in short.iter_mut().zip(digest.as_bytes()) {
        *to = *from;
    }
    u64::from_le_bytes(short)
}

pub(super) fn is_envelope_type(content_type: &str) -> bool {
    content_type.trim_start().to_ascii_lowercase().starts_with("application/x-sentry-envelope")
}

/// Outcome of an item that was not kept, by its reason.
pub(super) fn outcome_of_dropped(reason: Reason) -> Outcome {
    match reason {
        Reason::Unsupported => Outcome::Filtered,
        _ => Outcome::Invalid,
    }
}

pub(super) fn broken(reason: Reason, detail: &str) -> Refusal {
    Refusal::Broken { reason, detail: detail.to_owned() }
}

pub(super) fn refuse_decode(error: DecodeError) -> Refusal {
    match error {
        DecodeError::TooLarge => Refusal::TooLarge("request body"),
        DecodeError::Unsupported => Refusal::Unsupported("content encoding"),
        DecodeError::Corrupt => broken(Reason::Encoding, &error.to_string()),
    }
}

fn refuse_fault(fault: actifix_protocol::envelope::EnvelopeFault) -> Refusal {
    match fault.status() {
        413 => Refusal::TooLarge("envelope, or an item of it,"),
        415 => Refusal::Unsupported("content encoding"),
        _ => broken(fault.reason(), &fault.to_string()),
    }
}
