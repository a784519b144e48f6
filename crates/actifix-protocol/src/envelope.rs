//! Envelopes: one header line, then items of a header line and a payload each (`ingest.md` §7, §8).
//!
//! Framing happens while the body is decompressed, so that an item over its limit or of a dropped kind passes by
//! without being held. What was whole before a fault is kept.

use std::io::Read;

use actifix_domain::id::EventId;
use actifix_domain::outcome::Reason;
use serde_json::{Map, Value};

use crate::answer;
use crate::dsn::Dsn;
use crate::encoding::DecodeError;
use crate::json::{self, JsonError, JsonLimits};
use crate::limits::{
    ENVELOPE_HEADER_VALUES_MAX, HEADER_DEPTH_MAX, ITEM_HEADER_VALUES_MAX, ITEM_TYPE_CHARS_MAX, Limits,
};

mod input;
mod kind;

pub use kind::{Category, Fate, ItemKind};

/// One decoded envelope.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Envelope {
    /// The first line.
    pub header: EnvelopeHeader,
    /// Items that were kept, in order.
    pub items: Vec<Item>,
    /// Items that were not, in order. Each of them needs its outcome counted.
    pub dropped: Vec<DroppedItem>,
}

/// Members of the envelope header that are used. A member with a bad value counts as absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EnvelopeHeader {
    /// Wins over the id in the payload.
    pub event_id: Option<EventId>,
    /// May be the only place that names the ingest key.
    pub dsn: Option<Dsn>,
    /// The SDK, as sent.
    pub sdk: Option<Value>,
    /// When the client sent it, as sent: any of the time formats.
    pub sent_at: Option<Value>,
    /// Trace context, as sent.
    pub trace: Option<Value>,
    /// All other members.
    pub other: Map<String, Value>,
}

/// One item that was kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What the item says about itself.
    pub header: ItemHeader,
    /// Its bytes, exactly.
    pub payload: Vec<u8>,
}

/// Header line of an item.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ItemHeader {
    /// The type word, as sent.
    pub item_type: String,
    /// Length of the payload in bytes; without it the payload ends at the next newline.
    pub length: Option<u64>,
    /// Name of an attached file, as sent: never a path to use.
    pub filename: Option<String>,
    /// Media type, as sent.
    pub content_type: Option<String>,
    /// What an attachment is for.
    pub attachment_type: Option<String>,
    /// All other members.
    pub other: Map<String, Value>,
}

impl ItemHeader {
    /// Kind of the item.
    pub fn kind(&self) -> ItemKind {
        ItemKind::of(&self.item_type)
    }
}

/// One item that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedItem {
    /// Its type word, at most [`ITEM_TYPE_CHARS_MAX`] characters.
    pub item_type: String,
    /// Its kind.
    pub kind: ItemKind,
    /// [`Reason::Unsupported`] (outcome filtered) or [`Reason::TooLarge`] (outcome invalid).
    pub reason: Reason,
    /// Length of its payload in bytes.
    pub length: u64,
}

/// What the caller wants of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Hold it, up to so many bytes.
    Keep {
        /// Most bytes of the payload.
        max: u64,
    },
    /// Let it pass by.
    Skip,
}

/// What is wrong with an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeFault {
    /// Nothing at all.
    #[error("{}", answer::EMPTY_BODY)]
    Empty,
    /// The first line is no JSON object.
    #[error("invalid envelope header")]
    Header,
    /// An item header is no JSON object.
    #[error("invalid item header")]
    ItemHeader,
    /// An item header without a type.
    #[error("item header without type")]
    ItemType,
    /// The payload ends before its length, or something follows it that is no newline.
    #[error("item length does not match its payload")]
    Length,
    /// A header line over the limit.
    #[error("envelope or item header too large")]
    HeaderTooLarge,
    /// More items than one envelope may have.
    #[error("too many items in envelope")]
    TooManyItems,
    /// An event over its limit.
    #[error("event too large")]
    EventTooLarge,
    /// The stream below could not be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl EnvelopeFault {
    /// The HTTP status that answers it.
    pub fn status(self) -> u16 {
        match self {
            Self::Empty | Self::Header | Self::ItemHeader | Self::ItemType | Self::Length => 400,
            Self::HeaderTooLarge | Self::TooManyItems | Self::EventTooLarge => 413,
            Self::Decode(error) => error.status(),
        }
    }

    /// The reason under which the outcome `invalid` is counted.
    pub fn reason(self) -> Reason {
        match self {
            Self::Decode(DecodeError::Corrupt | DecodeError::Unsupported) => Reason::Encoding,
            _ if self.status() == 413 => Reason::TooLarge,
            _ => Reason::Framing,
        }
    }

    /// True when the whole items before the fault are to be processed; an over-limit request is refused as a whole.
    pub fn keeps_partial(self) -> bool {
        self.status() == 400
    }
}

/// A faulty envelope, with what was whole before the fault.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{fault}")]
pub struct EnvelopeError {
    /// What is wrong.
    pub fault: EnvelopeFault,
    /// What came before; empty when the envelope header itself is broken. See [`EnvelopeFault::keeps_partial`].
    pub partial: Box<Envelope>,
}

impl From<EnvelopeFault> for EnvelopeError {
    fn from(fault: EnvelopeFault) -> Self {
        Self { fault, partial: Box::default() }
    }
}

/// The header of an envelope of which only the first bytes are there: who sends, before the rest is taken.
/// `None` as long as its line is not complete.
///
/// # Errors
/// [`EnvelopeFault`] when no further byte can make a usable header of it.
pub fn header_of_prefix<R: Read>(
    reader: R,
    limits: &Limits,
) -> Result<Option<EnvelopeHeader>, EnvelopeFault> {
    let mut input = input::Input::new(reader, limits.decoded_bytes_max);
    let line = match input.short_line(limits.header_line_bytes_max) {
        Ok(line) => line,
        // A stream that was cut cannot be told from a broken one.
        Err(DecodeError::Corrupt) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if line.over {
        return Err(EnvelopeFault::HeaderTooLarge);
    }
    if !line.complete {
        return Ok(None);
    }
    members(&line.bytes, ENVELOPE_HEADER_VALUES_MAX, EnvelopeFault::Header)
        .map(|members| Some(EnvelopeHeader::of(members)))
}

/// An envelope whose header line was read, and no more: enough to authenticate by its DSN.
pub struct EnvelopeReader<R> {
    input: input::Input<R>,
    limits: Limits,
    envelope: Envelope,
    attachment_bytes_left: u64,
}

impl<R> std::fmt::Debug for EnvelopeReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnvelopeReader").finish_non_exhaustive()
    }
}

impl<R: Read> EnvelopeReader<R> {
    /// Reads the header line.
    ///
    /// # Errors
    /// [`EnvelopeFault`] when there is no usable one.
    pub fn open(reader: R, limits: &Limits) -> Result<Self, EnvelopeFault> {
        let mut input = input::Input::new(reader, limits.decoded_bytes_max);
        if input.peek()?.is_none() {
            return Err(EnvelopeFault::Empty);
        }
        let line = input.short_line(limits.header_line_bytes_max)?;
        if line.over {
            return Err(EnvelopeFault::HeaderTooLarge);
        }
        let members = members(&line.bytes, ENVELOPE_HEADER_VALUES_MAX, EnvelopeFault::Header)?;
        let envelope = Envelope { header: EnvelopeHeader::of(members), ..Envelope::default() };
        let attachment_bytes_left = limits.attachments_bytes_max;
        Ok(Self { input, limits: limits.clone(), envelope, attachment_bytes_left })
    }

    /// The header line.
    pub fn header(&self) -> &EnvelopeHeader {
        &self.envelope.header
    }

    /// Reads the items; `want` says of each, by its header, whether to hold it.
    ///
    /// # Errors
    /// [`EnvelopeError`] with the items that were whole before the fault.
    pub fn read_items(
        mut self,
        mut want: impl FnMut(&ItemHeader) -> Want,
    ) -> Result<Envelope, EnvelopeError> {
        let mut count = 0u64;
        // Ends: each turn takes at least a byte, or finds the end of the input.
        loop {
            match self.item(&mut want, &mut count) {
                Ok(true) => {}
                Ok(false) => return Ok(self.envelope),
                Err(fault) => return Err(EnvelopeError { fault, partial: Box::new(self.envelope) }),
            }
        }
    }

    /// Reads one item or empty line; false at the end of the input.
    fn item(
        &mut self,
        want: &mut impl FnMut(&ItemHeader) -> Want,
        count: &mut u64,
    ) -> Result<bool, EnvelopeFault> {
        if self.input.peek()?.is_none() {
            return Ok(false);
        }
        let line = self.input.short_line(self.limits.header_line_bytes_max)?;
        if line.over {
            return Err(EnvelopeFault::HeaderTooLarge);
        }
        if line.bytes.trim_ascii().is_empty() {
            return Ok(true);
        }
        *count += 1;
        if *count > self.limits.items_max {
            return Err(EnvelopeFault::TooManyItems);
        }
        let members = members(&line.bytes, ITEM_HEADER_VALUES_MAX, EnvelopeFault::ItemHeader)?;
        let header = ItemHeader::of(members)?;
        let want = want(&header);
        self.payload(header, want)?;
        Ok(true)
    }

    /// Reads the payload of an item and puts it where it belongs.
    fn payload(&mut self, header: ItemHeader, want: Want) -> Result<(), EnvelopeFault> {
        let kind = header.kind();
        let max = match want {
            Want::Keep { max } if kind == ItemKind::Attachment => Some(max.min(self.attachment_bytes_left)),
            Want::Keep { max } => Some(max),
            Want::Skip => None,
        };
        let refuses = max.is_some() && kind.oversize_refuses_request();
        let announced_over = max.zip(header.length).is_some_and(|(max, length)| length > max);
        if announced_over && refuses {
            return Err(EnvelopeFault::EventTooLarge);
        }
        let taken = match header.length {
            Some(length) => self.sized(length, max.is_some() && !announced_over)?,
            // Nothing after an event that refuses the request needs to be read.
            None if refuses => self.input.short_line(max.unwrap_or(0))?,
            None => self.input.line(max)?,
        };
        let over = taken.over || announced_over;
        if over && refuses {
            return Err(EnvelopeFault::EventTooLarge);
        }
        if over || max.is_none() {
            let reason = if over { Reason::TooLarge } else { Reason::Unsupported };
            self.envelope.dropped.push(DroppedItem {
                item_type: header.item_type.chars().take(ITEM_TYPE_CHARS_MAX).collect(),
                kind,
                reason,
                length: taken.length,
            });
            return Ok(());
        }
        if kind == ItemKind::Attachment {
            self.attachment_bytes_left = self.attachment_bytes_left.saturating_sub(taken.length);
        }
        self.envelope.items.push(Item { header, payload: taken.bytes });
        Ok(())
    }

    /// A payload of known length, and the newline or end that has to follow it.
    fn sized(&mut self, length: u64, keep: bool) -> Result<input::Taken, EnvelopeFault> {
        let taken = self.input.exactly(length, keep)?;
        if !taken.complete {
            return Err(EnvelopeFault::Length);
        }
        match self.input.peek()? {
            Some(b'\n') => self.input.take_byte(),
            Some(_) => return Err(EnvelopeFault::Length),
            None => {}
        }
        Ok(taken)
    }
}

/// The members of a header line. Headers stay in memory as values, so they are bounded tighter than payloads.
fn members(
    line: &[u8],
    values_max: usize,
    broken: EnvelopeFault,
) -> Result<Map<String, Value>, EnvelopeFault> {
    let limits = JsonLimits { depth_max: HEADER_DEPTH_MAX, values_max, ..JsonLimits::default() };
    match json::parse(line, &limits) {
        Ok(Value::Object(members)) => Ok(members),
        Err(JsonError::TooManyValues) => Err(EnvelopeFault::HeaderTooLarge),
        _ => Err(broken),
    }
}

impl EnvelopeHeader {
    fn of(mut members: Map<String, Value>) -> Self {
        let mut given = |name: &str| members.remove(name).filter(|value| !value.is_null());
        Self {
            event_id: given("event_id").and_then(|id| id.as_str()?.trim().parse().ok()),
            dsn: given("dsn").and_then(|dsn| dsn.as_str()?.parse().ok()),
            sdk: given("sdk"),
            sent_at: given("sent_at"),
            trace: given("trace"),
            other: members,
        }
    }
}

impl ItemHeader {
    fn of(mut members: Map<String, Value>) -> Result<Self, EnvelopeFault> {
        let Some(Value::String(item_type)) = members.remove("type") else {
            return Err(EnvelopeFault::ItemType);
        };
        let length = members.remove("length").and_then(|length| length_of(&length));
        let mut text = |name: &str| match members.remove(name) {
            Some(Value::String(text)) => Some(text),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        Ok(Self {
            item_type,
            length,
            filename: text("filename"),
            content_type: text("content_type"),
            attachment_type: text("attachment_type"),
            other: members,
        })
    }
}

/// A length in any of the forms in which numbers come. What is no length counts as absent; a length beyond 64 bits
/// is one that no payload reaches.
fn length_of(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| {
            let float = number.as_f64().filter(|float| *float >= 0.0 && float.fract() == 0.0)?;
            // Exact below 2^53; above it no payload reaches it either.
            Some(float as u64)
        }),
        Value::String(text) => {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().unwrap_or(u64::MAX))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
