//! What quarantine holds: the input as it came, sealed, with all that is needed to take it through the pipeline again
//! as if it had just come.

use super::admit::Source;
use super::answer::Refusal;
use super::decode::{Decoded, RawFile, RawItem, Shape};
use super::redact::path_of;
use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::SealedInput;
use actifix_domain::event::{OriginClass, Provenance, Transport};
use actifix_domain::id::EventId;
use actifix_domain::outcome::{Outcome, Reason};
use actifix_domain::project::Project;
use actifix_domain::ticket::Priority;
use actifix_domain::time::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Vault purpose of quarantined input.
const QUARANTINE: &str = "quarantine";
/// Kind of a file alone.
const ATTACHMENT: &str = "attachment";

/// The clear form. Members that older entries lack have defaults.
#[derive(Debug, Serialize, Deserialize)]
struct Clear {
    kind: String,
    #[serde(default)]
    value: Value,
    #[serde(default)]
    user_hash: Option<u64>,
    /// The event, or the event of the file.
    #[serde(default)]
    event_id: Option<EventId>,
    #[serde(default)]
    sent_at: Option<Value>,
    #[serde(default = "from_anyone")]
    provenance: Provenance,
    #[serde(default = "ceiling_of_anyone")]
    ceiling: Priority,
    #[serde(default)]
    priority: Option<Priority>,
    #[serde(default)]
    peer: Option<u64>,
    #[serde(default)]
    query: String,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    files: Vec<ClearFile>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ClearFile {
    name: String,
    content_type: String,
    attachment_type: String,
    /// Base64.
    bytes: String,
}

fn from_anyone() -> Provenance {
    Provenance { key: None, transport: Transport::Sentry, origin_class: OriginClass::Anyone }
}

const fn ceiling_of_anyone() -> Priority {
    Priority::P1
}

impl App {
    /// Seals a value that could not be redacted, and its files.
    pub(super) fn seal_item(
        &self,
        source: &Source<'_>,
        decoded: &Decoded,
        item: RawItem,
        files: Vec<RawFile>,
    ) -> Result<SealedInput, Refusal> {
        let kind = path_of(&item.shape);
        let clear = Clear {
            value: item.value,
            user_hash: item.user_hash,
            // Feedback alone takes the header's id, as it did when it came.
            event_id: item.event_id.or(decoded.header_event_id.filter(|_| decoded.first_event().is_none())),
            ..clear(kind, source, decoded, files)
        };
        self.seal(kind, &clear)
    }

    /// Seals a file that could not be redacted, with the event that it belongs to.
    pub(super) fn seal_file(
        &self,
        source: &Source<'_>,
        decoded: &mut Decoded,
        file: RawFile,
    ) -> Result<SealedInput, Refusal> {
        decoded.count(Outcome::Quarantined, Reason::Redaction, ATTACHMENT, 1);
        let event_id = decoded.event_of_files();
        self.seal(ATTACHMENT, &Clear { event_id, ..clear(ATTACHMENT, source, decoded, vec![file]) })
    }

    fn seal(&self, kind: &'static str, clear: &Clear) -> Result<SealedInput, Refusal> {
        let sealed = serde_json::to_vec(clear).map_err(Error::internal).and_then(|bytes| {
            let size = bytes.len() as u64;
            self.vault.seal(QUARANTINE, &bytes).map(|sealed| (size, sealed))
        });
        // Neither stored nor sealed it would be lost behind a 200: the sender is to keep it.
        let (size, sealed) = sealed.map_err(|error| super::refuse_error(&error))?;
        let mut id = [0u8; 16];
        self.ids.random(&mut id);
        Ok(SealedInput {
            id: hex::encode(id),
            reason: "redaction did not finish within its budget".to_owned(),
            kind,
            size,
            sealed,
        })
    }

    /// Opens an entry: who sent it and what it was, as decoded then.
    pub(super) fn unseal<'p>(
        &self,
        project: &'p Project,
        sealed: &[u8],
        received_at: Timestamp,
    ) -> Result<(Source<'p>, Decoded)> {
        let bytes = self.vault.open(QUARANTINE, sealed)?;
        let clear: Clear = serde_json::from_slice(&bytes).map_err(|_| unreleasable())?;
        let mut decoded = Decoded::new(received_at, clear.provenance.transport);
        decoded.sent_at = clear.sent_at;
        decoded.query = clear.query;
        decoded.user_agent = clear.user_agent;
        for file in clear.files {
            decoded.files.push(RawFile {
                name: file.name,
                content_type: file.content_type,
                attachment_type: file.attachment_type,
                bytes: STANDARD.decode(file.bytes).map_err(|_| unreleasable())?.into(),
            });
        }
        if clear.kind == ATTACHMENT {
            decoded.files_of = Some(clear.event_id.ok_or_else(unreleasable)?);
        } else {
            let shape = shape_of(&clear.kind).ok_or_else(unreleasable)?;
            decoded.header_event_id = clear.event_id;
            decoded.items.push(RawItem { user_hash: clear.user_hash, ..RawItem::new(shape, clear.value) });
            self.identify(&mut decoded);
        }
        let source = Source {
            project,
            provenance: clear.provenance,
            ceiling: clear.ceiling,
            priority: clear.priority,
            peer: clear.peer,
        };
        Ok((source, decoded))
    }
}

fn clear(kind: &str, source: &Source<'_>, decoded: &Decoded, files: Vec<RawFile>) -> Clear {
    let files = files.into_iter().map(|file| ClearFile {
        name: file.name,
        content_type: file.content_type,
        attachment_type: file.attachment_type,
        bytes: STANDARD.encode(file.bytes),
    });
    Clear {
        kind: kind.to_owned(),
        value: Value::Null,
        user_hash: None,
        event_id: None,
        sent_at: decoded.sent_at.clone(),
        provenance: source.provenance.clone(),
        ceiling: source.ceiling,
        priority: source.priority,
        peer: source.peer,
        query: decoded.query.clone(),
        user_agent: decoded.user_agent.clone(),
        files: files.collect(),
    }
}

fn unreleasable() -> Error {
    Error::conflict("this kind of input cannot be released: delete it")
}

/// Reverse of [`path_of`].
fn shape_of(kind: &str) -> Option<Shape> {
    Some(match kind {
        "event" => Shape::Event,
        "feedback" => Shape::Feedback,
        "user_report" => Shape::UserReport,
        "check_in" => Shape::CheckIn,
        "client_report" => Shape::ClientReport,
        "log" => Shape::Log,
        "otel_log" => Shape::OtelLog,
        "session" => Shape::Session,
        "sessions" => Shape::Sessions,
        "security" => Shape::Security,
        _ => return None,
    })
}
