//! Log records, of Sentry's own form and of OpenTelemetry's.

use crate::event::cut::{ENTRIES_MAX, cut_map};
use crate::event::field::{text, whole};
use crate::event::level;
use actifix_domain::event::{FreeMap, Level};
use serde_json::{Value, json};

/// Most records read of one item.
pub const LOG_RECORDS_MAX: usize = 1_000;
/// Severity (1 to 24) from which on a record is a failure.
pub const FAILURE_MIN: u8 = 17;

/// The members of one item, each to be limited, redacted and read by itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogList {
    /// At most [`LOG_RECORDS_MAX`].
    pub records: Vec<Value>,
    /// How many more there were.
    pub left_out: usize,
}

/// One record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogRecord {
    /// When, as sent; the normaliser reads and bounds it.
    pub timestamp: Value,
    /// 1 to 24 as in OpenTelemetry; 9 (info) if unknown.
    pub severity_number: u8,
    /// The text.
    pub body: String,
    /// Plain values by name.
    pub attributes: FreeMap,
    /// The trace it belongs to.
    pub trace_id: Option<String>,
    /// The span.
    pub span_id: Option<String>,
}

/// Takes a `log` item apart: `{"items":[…]}`, a list, or one record.
pub fn log_list(value: Value) -> LogList {
    let mut records = match value {
        Value::Object(mut map) => match map.remove("items") {
            Some(Value::Array(list)) => list,
            Some(other) => vec![other],
            None => vec![Value::Object(map)],
        },
        Value::Array(list) => list,
        other => vec![other],
    };
    let left_out = records.len().saturating_sub(LOG_RECORDS_MAX);
    records.truncate(LOG_RECORDS_MAX);
    LogList { records, left_out }
}

/// Reads an `otel_log` item: one OpenTelemetry record as JSON.
pub fn otel_log(value: Value) -> Option<LogRecord> {
    let Value::Object(mut map) = value else { return None };
    let mut take = |camel: &str, snake: &str| map.remove(camel).or_else(|| map.remove(snake));
    let nanos = take("timeUnixNano", "time_unix_nano")
        .or_else(|| take("observedTimeUnixNano", "observed_time_unix_nano"));
    let attributes = match take("attributes", "attributes") {
        Some(Value::Array(list)) => list
            .into_iter()
            .take(ENTRIES_MAX)
            .filter_map(|entry| {
                let Value::Object(mut entry) = entry else { return None };
                Some((text(entry.remove("key")?)?, any_value(entry.remove("value")?)))
            })
            .collect(),
        Some(Value::Object(map)) => map.into_iter().map(|(key, value)| (key, any_value(value))).collect(),
        _ => FreeMap::new(),
    };
    let number = take("severityNumber", "severity_number");
    let word = take("severityText", "severity_text");
    Some(LogRecord {
        timestamp: nanos.map(from_nanos).unwrap_or_default(),
        severity_number: severity(number.as_ref(), word.as_ref()),
        body: take("body", "body").map(any_value).and_then(text).unwrap_or_default(),
        attributes,
        trace_id: take("traceId", "trace_id").and_then(text),
        span_id: take("spanId", "span_id").and_then(text),
    })
}

/// The event that a record of severity `FAILURE_MIN` or more becomes: a raw one, to be redacted and normalised as
/// any other; `None` for lesser records.
pub fn log_to_event(record: LogRecord) -> Option<Value> {
    if record.severity_number < FAILURE_MIN {
        return None;
    }
    let mut attributes = record.attributes;
    let mut event = FreeMap::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value.filter(|value| !value.is_null()) {
            event.insert(key.to_owned(), value);
        }
    };
    let level = if record.severity_number > 20 { Level::Fatal } else { Level::Error };
    put("level", Some(json!(level.as_str())));
    put("timestamp", Some(record.timestamp));
    put("logger", attributes.remove("logger.name"));
    put("release", attributes.remove("sentry.release"));
    put("environment", attributes.remove("sentry.environment"));
    put("server_name", attributes.remove("server.address"));
    put("exception", exception(&mut attributes));
    put("stacktrace", place(&mut attributes));
    put("sdk", sdk(&mut attributes));
    put("contexts", trace(record.trace_id, record.span_id));
    put("logentry", Some(logentry(record.body, &mut attributes)));
    for spent in ["sentry.severity_number", "sentry.severity_text"] {
        attributes.remove(spent);
    }
    cut_map(&mut attributes);
    put("extra", Some(Value::Object(attributes)).filter(|map| map != &json!({})));
    Some(Value::Object(event))
}

/// Reads one member of a `log` item; `None` when it is no record.
pub fn log_record(value: Value) -> Option<LogRecord> {
    let Value::Object(mut map) = value else { return None };
    let attributes: FreeMap = match map.remove("attributes") {
        Some(Value::Object(map)) => {
            map.into_iter().take(ENTRIES_MAX).map(|(key, value)| (key, typed_value(value))).collect()
        }
        _ => FreeMap::new(),
    };
    let number = map.get("severity_number").or_else(|| attributes.get("sentry.severity_number"));
    Some(LogRecord {
        severity_number: severity(number, map.get("level").or_else(|| map.get("severity_text"))),
        timestamp: map.remove("timestamp").unwrap_or_default(),
        body: map.remove("body").and_then(text).unwrap_or_default(),
        trace_id: map.remove("trace_id").and_then(text),
        span_id: map.remove("span_id").and_then(text),
        attributes,
    })
}

fn severity(number: Option<&Value>, word: Option<&Value>) -> u8 {
    let number = number.and_then(whole).and_then(|n| u8::try_from(n).ok()).filter(|n| (1..=24).contains(n));
    number.unwrap_or_else(|| match word.and_then(level) {
        Some(Level::Debug) => 5,
        Some(Level::Warning) => 13,
        Some(Level::Error) => 17,
        Some(Level::Fatal) => 21,
        Some(Level::Info) | None => 9,
    })
}

/// `{"value": …, "type": …}` → the value.
fn typed_value(value: Value) -> Value {
    match value {
        Value::Object(mut map) if map.contains_key("value") => map.remove("value").unwrap_or_default(),
        other => other,
    }
}

/// `{"stringValue": …}` and its siblings → the value; structures stay as they are.
fn any_value(value: Value) -> Value {
    match value {
        Value::Object(mut map) if map.len() == 1 => {
            let key = ["stringValue", "intValue", "doubleValue", "boolValue", "bytesValue"]
                .into_iter()
                .find(|key| map.contains_key(*key));
            match key {
                Some(key) => map.remove(key).unwrap_or_default(),
                None => Value::Object(map),
            }
        }
        other => other,
    }
}

/// Nanoseconds, mostly as text, to seconds; microseconds survive a double until the year 2255.
fn from_nanos(value: Value) -> Value {
    match whole(&value) {
        Some(0) => Value::Null,
        Some(nanos) => json!((nanos / 1_000) as f64 / 1e6),
        None => value,
    }
}

fn logentry(body: String, attributes: &mut FreeMap) -> Value {
    const PARAMETER: &str = "sentry.message.parameter.";
    let template = attributes.remove("sentry.message.template");
    let names: Vec<String> = attributes.keys().filter(|key| key.starts_with(PARAMETER)).cloned().collect();
    let mut params = FreeMap::new();
    for name in names {
        if let (Some(value), Some(short)) = (attributes.remove(&name), name.strip_prefix(PARAMETER)) {
            params.insert(short.to_owned(), value);
        }
    }
    let params = if params.is_empty() { Value::Null } else { Value::Object(params) };
    json!({ "message": template, "formatted": body, "params": params })
}

fn exception(attributes: &mut FreeMap) -> Option<Value> {
    let mut take = |key: &str| attributes.remove(key);
    let (class, message) = (take("exception.type"), take("exception.message"));
    let stack = take("exception.stacktrace");
    (class.is_some() || message.is_some())
        .then(|| json!({ "values": [{ "type": class, "value": message, "stacktrace": stack }] }))
}

/// The line of code that logged, as one frame.
fn place(attributes: &mut FreeMap) -> Option<Value> {
    let mut take = |new: &str, old: &str| attributes.remove(new).or_else(|| attributes.remove(old));
    let function = take("code.function.name", "code.function");
    let file = take("code.file.path", "code.filepath");
    let line = take("code.line.number", "code.lineno");
    (function.is_some() || file.is_some())
        .then(|| json!({ "frames": [{ "function": function, "filename": file, "lineno": line }] }))
}

fn sdk(attributes: &mut FreeMap) -> Option<Value> {
    let name = attributes.remove("sentry.sdk.name")?;
    Some(json!({ "name": name, "version": attributes.remove("sentry.sdk.version") }))
}

fn trace(trace_id: Option<String>, span_id: Option<String>) -> Option<Value> {
    let trace_id = trace_id?;
    let mut trace = json!({ "trace_id": trace_id });
    if let (Some(span_id), Some(map)) = (span_id, trace.as_object_mut()) {
        map.insert("span_id".to_owned(), Value::String(span_id));
    }
    Some(json!({ "trace": trace }))
}
