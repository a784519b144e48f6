//! The mapping of `ingest.md` §11: one record becomes one raw event.

use super::attributes::{Attributes, Budget, lossy, text_of, to_value};
use super::proto::{Any, AnyValue, LogRecord, Resource as ProtoResource, Span, SpanEvent};
use super::{DedupeKey, OtlpEvent};
use crate::stacktext::{self, Frame, Language};
use actifix_domain::id::ProjectId;
use actifix_domain::time::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Bytes of a resource's further attributes that are copied to each of its events, as JSON.
const RESOURCE_EXTRA_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a resource's text that each of its events carries.
const RESOURCE_TEXT_BYTES_MAX: usize = 512;

/// Stands for a text that was too long.
const TRUNCATED: &str = "[truncated]";

/// Facts about the process that reports, the same for all records of a group.
pub(super) struct Resource {
    /// Members of the event, ready to copy.
    members: Map<String, Value>,
    extra: Map<String, Value>,
    language: Option<Language>,
}

impl Resource {
    pub fn read(resource: ProtoResource, budget: &mut Budget) -> Self {
        let mut attributes = Attributes::new(resource.attributes);
        let mut members = Map::new();
        let plain = [
            ("release", &["service.version"] as &[&str]),
            ("environment", &["deployment.environment.name", "deployment.environment"]),
            ("server_name", &["host.name"]),
        ];
        for (member, names) in plain {
            if let Some(text) = attributes.take_text(names) {
                members.insert(member.to_owned(), short(&text).into());
            }
        }
        if let Some(service) = attributes.take_text(&["service.name"]) {
            members.insert("tags".to_owned(), json!({ "service.name": short(&service) }));
        }
        let language = attributes.take_text(&["telemetry.sdk.language"]);
        if let Some(word) = &language {
            members.insert("platform".to_owned(), platform(word).into());
        }
        let mut extra = attributes.into_extra(budget);
        if Value::Object(extra.clone()).to_string().len() > RESOURCE_EXTRA_BYTES_MAX {
            extra.clear();
            budget.cut = true;
        }
        let language = language.as_deref().and_then(Language::from_platform);
        Self { members, extra, language }
    }
}

/// What is too long goes whole: redaction comes later, and must never meet half of a secret.
fn short(text: &str) -> String {
    if text.len() > RESOURCE_TEXT_BYTES_MAX { TRUNCATED.to_owned() } else { text.to_owned() }
}

/// The `platform` of a `telemetry.sdk.language`.
fn platform(language: &str) -> String {
    match language {
        "nodejs" | "webjs" => "javascript".to_owned(),
        "cpp" | "rust" | "swift" => "native".to_owned(),
        "dotnet" => "csharp".to_owned(),
        other => short(other),
    }
}

/// A log record, if it is an error.
pub(super) fn log_record(
    project: ProjectId,
    resource: &Resource,
    logger: &str,
    record: LogRecord,
    min_severity: i32,
    budget: &mut Budget,
) -> Option<OtlpEvent> {
    let mut attributes = Attributes::new(record.attributes);
    let is_exception = attributes.has(&["exception.type", "exception.message"]);
    if !is_exception && record.severity_number < min_severity.max(1) {
        return None;
    }
    let mut members = Map::new();
    let body = record.body.and_then(|body| body_text(body, &mut members, budget));
    let template =
        attributes.take_text(&["message_template.text", "{OriginalFormat}", "log.record.template"]);
    if let Some(entry) = log_entry(template, body.clone()) {
        members.insert("logentry".to_owned(), entry);
    }
    let level = level_of(record.severity_number, &lossy(&record.severity_text));
    let time = [record.time_unix_nano, record.observed_time_unix_nano].into_iter().find(|nanos| *nanos > 0);
    if !record.event_name.is_empty() {
        tag(&mut members, "event.name", &lossy(&record.event_name));
    }
    let source = Source { project, resource, logger, trace_id: &record.trace_id, span_id: &record.span_id };
    Some(source.event(members, attributes, level, time, body, budget))
}

/// One event for each exception recorded on the span; the span itself is dropped.
pub(super) fn span(
    project: ProjectId,
    resource: &Resource,
    logger: &str,
    span: Span,
    budget: &mut Budget,
) -> Vec<OtlpEvent> {
    let source = Source { project, resource, logger, trace_id: &span.trace_id, span_id: &span.span_id };
    span.events
        .into_iter()
        .filter(|event| event.name == b"exception")
        .map(|SpanEvent { time_unix_nano, attributes, .. }| {
            let time = (time_unix_nano > 0).then_some(time_unix_nano);
            source.event(Map::new(), Attributes::new(attributes), "error", time, None, budget)
        })
        .collect()
}

/// The message of a record. A structured body has none of its own: a member that is named like one is
/// taken, and the whole body is kept as extra.
fn body_text(body: AnyValue, members: &mut Map<String, Value>, budget: &mut Budget) -> Option<String> {
    if !matches!(body.value, Some(Any::Map(_))) {
        return text_of(&body, budget).filter(|text| !text.is_empty());
    }
    let value = to_value(body, 1, budget);
    let named = ["message", "msg", "event"].iter().find_map(|name| value.get(*name)?.as_str());
    let text = named.map_or_else(|| value.to_string(), str::to_owned);
    members.insert("extra".to_owned(), json!({ "body": value }));
    Some(text)
}

fn log_entry(template: Option<String>, body: Option<String>) -> Option<Value> {
    match (template, body) {
        (Some(template), Some(body)) => Some(json!({ "message": template, "formatted": body })),
        (Some(text), None) | (None, Some(text)) => Some(json!({ "message": text })),
        (None, None) => None,
    }
}

/// The level of a severity; of an unknown one the source's word counts, else it is an error.
fn level_of(severity: i32, text: &str) -> &'static str {
    match severity {
        1..=8 => "debug",
        9..=12 => "info",
        13..=16 => "warning",
        17..=20 => "error",
        21..=24 => "fatal",
        _ => text.parse().unwrap_or(actifix_domain::event::Level::Error).as_str(),
    }
}

fn tag(members: &mut Map<String, Value>, name: &str, text: &str) {
    if let Value::Object(tags) = members.entry("tags").or_insert_with(|| json!({})) {
        tags.insert(name.to_owned(), text.into());
    }
}

/// What an event shares with others of its group.
struct Source<'a> {
    project: ProjectId,
    resource: &'a Resource,
    logger: &'a str,
    trace_id: &'a [u8],
    span_id: &'a [u8],
}

impl Source<'_> {
    fn event(
        &self,
        mut members: Map<String, Value>,
        mut attributes: Attributes,
        level: &str,
        time: Option<u64>,
        body: Option<String>,
        budget: &mut Budget,
    ) -> OtlpEvent {
        let trace_id = hex_id(self.trace_id, 16);
        let span_id = hex_id(self.span_id, 8);
        let (exceptions, language) = self.exceptions(&mut attributes, budget);
        let last = exceptions.last().and_then(Value::as_object);
        let text = |name: &str| last.and_then(|last| last.get(name)).and_then(Value::as_str).unwrap_or("");
        let exception_type = text("type").to_owned();
        let message = if last.is_some() { text("value").to_owned() } else { body.unwrap_or_default() };
        let id = event_id(self.project, time, &trace_id, &span_id, &exception_type, &message);
        let at = time.map(|nanos| Timestamp::from_micros(i64::try_from(nanos / 1_000).unwrap_or(i64::MAX)));

        for (name, value) in &self.resource.members {
            match (name.as_str(), members.get_mut(name), value) {
                ("tags", Some(Value::Object(tags)), Value::Object(more)) => tags.extend(more.clone()),
                _ => {
                    members.insert(name.clone(), value.clone());
                }
            }
        }
        members.insert("event_id".to_owned(), id.into());
        members.insert("level".to_owned(), level.into());
        if let Some(at) = at {
            members.insert("timestamp".to_owned(), at.to_string().into());
        }
        if !self.logger.is_empty() {
            members.insert("logger".to_owned(), self.logger.into());
        }
        if let Some(language) = language
            && !members.contains_key("platform")
        {
            members.insert("platform".to_owned(), language.platform().into());
        }
        if !trace_id.is_empty() {
            let mut trace = json!({ "trace_id": trace_id });
            if let (false, Value::Object(trace)) = (span_id.is_empty(), &mut trace) {
                trace.insert("span_id".to_owned(), span_id.clone().into());
            }
            members.insert("contexts".to_owned(), json!({ "trace": trace }));
        }
        if exceptions.is_empty() {
            if let Some(frame) = code_frame(&mut attributes) {
                members.insert("stacktrace".to_owned(), json!({ "frames": [frame.to_value()] }));
            }
        } else {
            members.insert("exception".to_owned(), json!({ "values": exceptions }));
        }
        self.add_extra(&mut members, attributes, budget);
        let hash = Sha256::digest(message.as_bytes());
        let mut message_hash = [0; 16];
        message_hash.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        let dedupe = DedupeKey { trace_id, span_id, exception_type, message_hash, at };
        OtlpEvent { value: Value::Object(members), dedupe }
    }

    /// The chain of exceptions that the attributes tell, oldest first, and the language of its text.
    fn exceptions(&self, attributes: &mut Attributes, budget: &mut Budget) -> (Vec<Value>, Option<Language>) {
        let name = attributes.take_text(&["exception.type"]);
        let message = attributes.take_text(&["exception.message"]);
        let stack = attributes.take_text(&["exception.stacktrace"]);
        if name.is_none() && message.is_none() {
            // A stack alone still tells where; it is only read when an exception is reported.
            if let Some(stack) = stack {
                attributes.put_back("exception.stacktrace", stack);
            }
            return (Vec::new(), None);
        }
        let parsed = stack.as_deref().and_then(|stack| stacktext::parse(stack, self.resource.language));
        let language = parsed.as_ref().map(|trace| trace.language);
        // Without budget for its frames a stack stays the text that it is.
        let frames = parsed.as_ref().map_or(0, stacktext::ParsedTrace::frame_count);
        let parsed = parsed.filter(|_| frames <= budget.frames);
        budget.cut |= frames > budget.frames;
        budget.frames = budget.frames.saturating_sub(frames);
        let mut values = parsed.map(|trace| trace.to_values()).unwrap_or_default();
        let spoken = language.or(self.resource.language);
        values.iter_mut().for_each(|value| split_type(value, spoken));
        if values.is_empty() {
            let mut value = Map::new();
            if let Some(stack) = stack {
                value.insert("stacktrace".to_owned(), json!({ "raw": stack }));
            } else if let Some(frame) = code_frame(attributes) {
                value.insert("stacktrace".to_owned(), json!({ "frames": [frame.to_value()] }));
            }
            values.push(Value::Object(value));
        }
        if let Some(Value::Object(last)) = values.last_mut() {
            overlay(last, name, message, spoken);
        }
        (values, language)
    }

    fn add_extra(&self, members: &mut Map<String, Value>, attributes: Attributes, budget: &mut Budget) {
        let extra = attributes.into_extra(budget);
        let mut all = match members.remove("extra") {
            Some(Value::Object(map)) => map,
            _ => Map::new(),
        };
        all.extend(extra);
        if !self.resource.extra.is_empty() {
            all.insert("resource".to_owned(), Value::Object(self.resource.extra.clone()));
        }
        if !all.is_empty() {
            members.insert("extra".to_owned(), Value::Object(all));
        }
    }
}

/// What the attributes say of the exception wins over what its stack says.
fn overlay(
    last: &mut Map<String, Value>,
    name: Option<String>,
    message: Option<String>,
    language: Option<Language>,
) {
    if let Some(name) = name {
        let (module, class) = split_name(&name, language);
        // A bare class keeps the module that the stack knows.
        let same = last.get("type").and_then(Value::as_str) == Some(class);
        if let Some(module) = module {
            last.insert("module".to_owned(), module.into());
        } else if !same {
            last.remove("module");
        }
        last.insert("type".to_owned(), class.into());
    }
    if let Some(message) = message {
        last.insert("value".to_owned(), message.into());
    }
}

/// `sqlite3.OperationalError` → module `sqlite3`, type `OperationalError`, as SDKs send it. Those of .NET and Go send
/// the whole name (Go without the path of the package), and so do stacks in logs: one failure, one ticket.
fn split_name(name: &str, language: Option<Language>) -> (Option<&str>, &str) {
    let name = name.trim();
    match language {
        Some(Language::DotNet) => return (None, name),
        Some(Language::Go) => return (None, name.rsplit_once('/').map_or(name, |(_, class)| class)),
        _ => {}
    }
    match name.rsplit_once('.') {
        Some((module, class)) if !module.is_empty() && !class.is_empty() => (Some(module), class),
        _ => (None, name),
    }
}

/// The same split for the other exceptions of a chain, where the language's parser left the name whole.
fn split_type(value: &mut Value, language: Option<Language>) {
    let Value::Object(map) = value else { return };
    let Some(name) = map.get("type").and_then(Value::as_str).map(str::to_owned) else { return };
    if let (Some(module), class) = split_name(&name, language)
        && !map.contains_key("module")
    {
        map.insert("module".to_owned(), module.into());
        map.insert("type".to_owned(), class.into());
    }
}

/// Where the record was made, for reports without a stack.
fn code_frame(attributes: &mut Attributes) -> Option<Frame> {
    let function = attributes.take_text(&["code.function.name", "code.function"]);
    let path = attributes.take_text(&["code.file.path", "code.filepath"]);
    let lineno = attributes.take_number(&["code.line.number", "code.lineno"]);
    let module = attributes.take_text(&["code.namespace"]);
    let colno = attributes.take_number(&["code.column.number", "code.column"]);
    (function.is_some() || path.is_some()).then(|| Frame {
        function,
        module,
        filename: path.as_deref().map(|path| path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned()),
        abs_path: path,
        lineno,
        colno,
        ..Frame::default()
    })
}

/// Lower-case hex of an id of the right length that is not all zero, else empty.
fn hex_id(bytes: &[u8], length: usize) -> String {
    if bytes.len() != length || bytes.iter().all(|byte| *byte == 0) {
        return String::new();
    }
    hex::encode(bytes)
}

/// A retried request must give the same ids. Parts are ended by a zero byte, so that none can run into the next.
fn event_id(
    project: ProjectId,
    time: Option<u64>,
    trace_id: &str,
    span_id: &str,
    exception_type: &str,
    message: &str,
) -> String {
    let mut hasher = Sha256::new();
    let project = project.to_string();
    let time = time.unwrap_or(0).to_string();
    for part in [&project, &time, trace_id, span_id, exception_type, message] {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    hex::encode(hasher.finalize().get(..16).unwrap_or_default())
}
