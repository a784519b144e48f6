//! OpenTelemetry over HTTP (`ingest.md` §11): log records and spans become events of the Sentry shape.
//!
//! The same failure sent by a Sentry SDK and by OpenTelemetry should land in one ticket, so exception texts
//! are turned into frames ([`crate::stacktext`]). What comes out is a raw event: it is not redacted yet and
//! must not be stored or logged as it is.

use actifix_domain::id::ProjectId;
use actifix_domain::time::{SECOND, Timestamp};
use prost::Message as _;
use serde_json::{Value, json};

mod attributes;
mod json;
mod proto;
mod to_event;
mod wire;

/// Records (log records, spans) read of one request; those beyond are rejected and counted.
pub const RECORDS_MAX: u64 = 10_000;
/// Events made of one request; a span may hold several. Those beyond are rejected and counted.
pub const EVENTS_MAX: usize = 10_000;
/// Bytes of one record or span; larger ones are rejected and counted.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of one resource with its attributes; a larger one is left out, its records are read.
pub const RESOURCE_BYTES_MAX: usize = 64 * 1024;
/// Depth of attributes; deeper parts become `"[truncated]"`.
pub const ATTRIBUTE_DEPTH_MAX: usize = 16;
/// Attributes read of one record; the surplus is left out and counted.
pub const ATTRIBUTES_MAX: usize = 1_000;
/// Distinct problems reported of one request.
pub const PROBLEMS_MAX: usize = 16;
/// From this severity on a record without exception becomes an event; the default of `otlp_min_severity`.
pub const MIN_SEVERITY_DEFAULT: i32 = 17;
/// Two reports of one failure are at most this far apart, in microseconds.
pub const DUPLICATE_WITHIN: i64 = 10 * SECOND;

const TOO_MANY_RECORDS: &str = "more records than a request may have";

/// How a request is written; its answer is written the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `application/x-protobuf`
    Protobuf,
    /// `application/json`
    Json,
}

impl Format {
    /// The format of a content type, whatever its parameters; `None`: answer 415.
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or("").trim();
        if essence.eq_ignore_ascii_case("application/x-protobuf") || essence.eq_ignore_ascii_case("application/protobuf")
        {
            Some(Self::Protobuf)
        } else if essence.eq_ignore_ascii_case("application/json") {
            Some(Self::Json)
        } else {
            None
        }
    }

    /// Content type of an answer in this format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// What a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `/v1/logs`
    Logs,
    /// `/v1/traces`
    Traces,
}

/// What a request held.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OtlpBatch {
    /// Raw events, in the order of the request.
    pub events: Vec<OtlpEvent>,
    /// Records that are no errors: log records below the severity, spans without an exception.
    pub ignored: u64,
    /// Records and exceptions refused: over a bound, or unreadable. Goes into the answer's `partialSuccess`.
    pub rejected: u64,
    /// What was odd, in words of ours only; each once.
    pub problems: Vec<String>,
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct OtlpEvent {
    /// Raw event in the Sentry shape, with a derived `event_id`.
    pub value: Value,
    /// To find the same failure sent as log record and as span event.
    pub dedupe: DedupeKey,
}

/// What two reports of one failure have in common (`ingest.md` §11).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DedupeKey {
    /// 32 hex digits; empty when not part of a trace.
    pub trace_id: String,
    /// 16 hex digits; empty when not part of a span.
    pub span_id: String,
    /// Type of the exception after the split, empty when there is none.
    pub exception_type: String,
    /// First 16 bytes of SHA-256 over the message.
    pub message_hash: [u8; 16],
    /// When it happened; `None` when the sender did not say.
    pub at: Option<Timestamp>,
}

impl DedupeKey {
    /// True when `self` and `other` report one failure. Reports outside of a trace never do: equal text is
    /// then no evidence.
    pub fn is_same_failure(&self, other: &Self) -> bool {
        let near = match (self.at, other.at) {
            (Some(a), Some(b)) => a.since(b).saturating_abs() <= DUPLICATE_WITHIN,
            _ => true,
        };
        !self.trace_id.is_empty()
            && near
            && self.trace_id == other.trace_id
            && self.span_id == other.span_id
            && self.exception_type == other.exception_type
            && self.message_hash == other.message_hash
    }
}

/// Why a request as a whole is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OtlpError {
    /// Neither protobuf nor JSON.
    #[error("content type must be application/x-protobuf or application/json")]
    UnsupportedContentType,
    /// Framing is broken: not the protocol's protobuf.
    #[error("body is not a valid protobuf message")]
    BadProtobuf,
    /// Not JSON, nested too deep, or not the protocol's shape.
    #[error("body is not a valid OTLP/JSON message")]
    BadJson,
}

impl OtlpError {
    /// HTTP status of the answer.
    pub const fn status(self) -> u16 {
        match self {
            Self::UnsupportedContentType => 415,
            Self::BadProtobuf | Self::BadJson => 400,
        }
    }
}

/// Reads `/v1/logs`. `min_severity` is 1 to 24: records without exception below it are ignored.
pub fn decode_logs(
    project: ProjectId,
    content_type: &str,
    body: &[u8],
    min_severity: i32,
) -> Result<OtlpBatch, OtlpError> {
    decode(project, content_type, body, Kind::Logs, min_severity)
}

/// Reads `/v1/traces`: an event for each span event named `exception`.
pub fn decode_traces(project: ProjectId, content_type: &str, body: &[u8]) -> Result<OtlpBatch, OtlpError> {
    decode(project, content_type, body, Kind::Traces, MIN_SEVERITY_DEFAULT)
}

/// The answer to a request that was taken, wholly or in part. With nothing rejected and no message it is the
/// empty response.
pub fn answer(format: Format, kind: Kind, rejected: u64, message: &str) -> Vec<u8> {
    let partial = rejected > 0 || !message.is_empty();
    match format {
        Format::Protobuf => {
            let partial_success = partial.then(|| proto::PartialSuccess {
                rejected: i64::try_from(rejected).unwrap_or(i64::MAX),
                error_message: message.to_owned(),
            });
            proto::ExportResponse { partial_success }.encode_to_vec()
        }
        Format::Json if !partial => b"{}".to_vec(),
        Format::Json => {
            let name = match kind {
                Kind::Logs => "rejectedLogRecords",
                Kind::Traces => "rejectedSpans",
            };
            // 64-bit integers are text in the protocol's JSON.
            let success = json!({ name: rejected.to_string(), "errorMessage": message });
            json!({ "partialSuccess": success }).to_string().into_bytes()
        }
    }
}

/// The body of an error answer: a `google.rpc.Status`. `code` is a `google.rpc.Code` (3 invalid argument,
/// 7 permission denied, 8 resource exhausted, 14 unavailable, 16 unauthenticated).
pub fn error_body(format: Format, code: i32, message: &str) -> Vec<u8> {
    match format {
        Format::Protobuf => proto::RpcStatus { code, message: message.to_owned() }.encode_to_vec(),
        Format::Json => json!({ "code": code, "message": message }).to_string().into_bytes(),
    }
}

fn decode(
    project: ProjectId,
    content_type: &str,
    body: &[u8],
    kind: Kind,
    min_severity: i32,
) -> Result<OtlpBatch, OtlpError> {
    let format = Format::of_content_type(content_type).ok_or(OtlpError::UnsupportedContentType)?;
    let mut collector = Collector { batch: OtlpBatch::default(), records: 0, project, kind, min_severity };
    match format {
        Format::Protobuf => collector.protobuf(body).map_err(|_| OtlpError::BadProtobuf)?,
        Format::Json => collector.json(body).map_err(|_| OtlpError::BadJson)?,
    }
    Ok(collector.batch)
}

/// Walks a request record by record.
struct Collector {
    batch: OtlpBatch,
    records: u64,
    project: ProjectId,
    kind: Kind,
    min_severity: i32,
}

impl Collector {
    fn protobuf(&mut self, body: &[u8]) -> Result<(), wire::Malformed> {
        wire::members(body, |tag, group| if tag == 1 { self.protobuf_group(group) } else { Ok(()) })
    }

    /// `ResourceLogs` or `ResourceSpans`: 1 = resource, 2 = groups by library. Members may come in any order,
    /// so the resource is looked for first.
    fn protobuf_group(&mut self, group: &[u8]) -> Result<(), wire::Malformed> {
        let mut resource = None;
        wire::members(group, |tag, bytes| {
            if tag == 1 && bytes.len() <= RESOURCE_BYTES_MAX {
                resource = proto::Resource::decode(bytes).ok();
            }
            Ok(())
        })?;
        let resource = self.resource(resource);
        wire::members(group, |tag, scope| {
            if tag == 2 { self.protobuf_scope(&resource, scope) } else { Ok(()) }
        })
    }

    /// `ScopeLogs` or `ScopeSpans`: 1 = scope, 2 = records.
    fn protobuf_scope(&mut self, resource: &to_event::Resource, scope: &[u8]) -> Result<(), wire::Malformed> {
        let mut logger = String::new();
        wire::members(scope, |tag, bytes| {
            if tag == 1 && bytes.len() <= RESOURCE_BYTES_MAX {
                logger = proto::Scope::decode(bytes).map(|scope| attributes::lossy(&scope.name)).unwrap_or_default();
            }
            Ok(())
        })?;
        wire::members(scope, |tag, record| {
            if tag == 2 {
                self.record(record.len(), resource, &logger, |kind| match kind {
                    Kind::Logs => proto::LogRecord::decode(record).ok().map(Record::Log),
                    Kind::Traces => proto::Span::decode(record).ok().map(Record::Span),
                });
            }
            Ok(())
        })
    }

    fn json(&mut self, body: &[u8]) -> Result<(), serde_json::Error> {
        // Broken UTF-8 is repaired, not refused.
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}');
        for group in serde_json::from_str::<json::Request<'_>>(text)?.groups.items {
            let json::ResourceGroup { resource, scopes } = serde_json::from_str(group.get())?;
            let resource = resource.filter(|raw| raw.get().len() <= RESOURCE_BYTES_MAX);
            let resource = self.resource(resource.and_then(|raw| json::resource(raw.get())));
            for scope in scopes.items {
                let json::ScopeGroup { scope, records } = serde_json::from_str(scope.get())?;
                let scope = scope.and_then(|raw| json::scope(raw.get()));
                let logger = scope.map(|scope| attributes::lossy(&scope.name)).unwrap_or_default();
                self.surplus(records.surplus);
                for record in records.items {
                    let raw = record.get();
                    self.record(raw.len(), &resource, &logger, |kind| match kind {
                        Kind::Logs => json::log_record(raw).map(Record::Log),
                        Kind::Traces => json::span(raw).map(Record::Span),
                    });
                }
            }
        }
        Ok(())
    }

    fn resource(&mut self, resource: Option<proto::Resource>) -> to_event::Resource {
        let mut cut = false;
        let resource = to_event::Resource::read(resource.unwrap_or_default(), &mut cut);
        if cut {
            self.problem("attributes cut");
        }
        resource
    }

    /// Takes one record, within the bounds.
    fn record(
        &mut self,
        bytes: usize,
        resource: &to_event::Resource,
        logger: &str,
        read: impl FnOnce(Kind) -> Option<Record>,
    ) {
        self.records += 1;
        if self.records > RECORDS_MAX {
            return self.reject(TOO_MANY_RECORDS);
        }
        if bytes > RECORD_BYTES_MAX {
            return self.reject("record too large");
        }
        let found = match read(self.kind) {
            Some(Record::Log(record)) => {
                to_event::log_record(self.project, resource, logger, record, self.min_severity)
                    .into_iter()
                    .collect()
            }
            Some(Record::Span(span)) => to_event::span(self.project, resource, logger, span),
            None => return self.reject("record unreadable"),
        };
        if found.is_empty() {
            self.batch.ignored += 1;
        }
        for to_event::Made { event, cut } in found {
            if cut {
                self.problem("attributes cut");
            }
            if self.batch.events.len() >= EVENTS_MAX {
                self.reject("more exceptions than a request may have");
            } else {
                self.batch.events.push(event);
            }
        }
    }

    /// Counts records that were not even kept for reading.
    fn surplus(&mut self, count: u64) {
        if count > 0 {
            self.batch.rejected = self.batch.rejected.saturating_add(count);
            self.problem(TOO_MANY_RECORDS);
        }
    }

    fn reject(&mut self, why: &str) {
        self.batch.rejected += 1;
        self.problem(why);
    }

    fn problem(&mut self, what: &str) {
        let known = self.batch.problems.iter().any(|problem| problem == what);
        if !known && self.batch.problems.len() < PROBLEMS_MAX {
            self.batch.problems.push(what.to_owned());
        }
    }
}

/// A record of either kind.
enum Record {
    Log(proto::LogRecord),
    Span(proto::Span),
}
