//! OTLP in JSON, read into the same messages as protobuf.
//!
//! Lenient where senders differ: 64-bit integers as text or number, names in lowerCamelCase or snake_case,
//! `null` for absent, unknown members skipped. Ids are hex. Records are kept as raw text until their turn
//! comes, for the reason given in [`super::proto`].

use super::RECORDS_MAX;
use super::proto::{
    Any, AnyValue, ArrayValue, KeyValue, KeyValueList, LogRecord, Resource, Scope, Span, SpanEvent,
};
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::fmt;

/// `LogsData` and `TracesData`.
#[derive(Deserialize)]
pub(super) struct Request<'a> {
    #[serde(borrow, default, alias = "resourceLogs", alias = "resource_logs", alias = "resourceSpans")]
    #[serde(alias = "resource_spans")]
    pub groups: RawList<'a>,
}

/// `ResourceLogs` and `ResourceSpans`: who reports, and the groups by library.
#[derive(Deserialize)]
pub(super) struct ResourceGroup<'a> {
    #[serde(borrow, default)]
    pub resource: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "scopeLogs", alias = "scope_logs", alias = "scopeSpans")]
    #[serde(alias = "scope_spans")]
    pub scopes: RawList<'a>,
}

/// `ScopeLogs` and `ScopeSpans`: the library, and the records.
#[derive(Deserialize)]
pub(super) struct ScopeGroup<'a> {
    #[serde(borrow, default)]
    pub scope: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "logRecords", alias = "log_records", alias = "spans")]
    pub records: RawList<'a>,
}

/// A list whose members are not read yet. Only as many are kept as may be read at all, so that a list of
/// two-byte members does not grow in memory.
#[derive(Default)]
pub(super) struct RawList<'a> {
    /// The first [`RECORDS_MAX`] members.
    pub items: Vec<&'a RawValue>,
    /// How many more there were.
    pub surplus: u64,
}

impl<'de: 'a, 'a> Deserialize<'de> for RawList<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawListVisitor)
    }
}

struct RawListVisitor;

impl<'de> Visitor<'de> for RawListVisitor {
    type Value = RawList<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(RawList::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut list = RawList::default();
        while (list.items.len() as u64) < RECORDS_MAX {
            match seq.next_element()? {
                Some(item) => list.items.push(item),
                None => return Ok(list),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {
            list.surplus += 1;
        }
        Ok(list)
    }
}

pub(super) fn resource(raw: &str) -> Option<Resource> {
    let map = object(raw)?;
    Some(Resource { attributes: attributes(get(&map, &["attributes"])) })
}

pub(super) fn scope(raw: &str) -> Option<Scope> {
    let map = object(raw)?;
    Some(Scope { name: text(get(&map, &["name"])) })
}

pub(super) fn log_record(raw: &str) -> Option<LogRecord> {
    let map = object(raw)?;
    Some(LogRecord {
        time_unix_nano: unsigned(get(&map, &["timeUnixNano", "time_unix_nano"])),
        observed_time_unix_nano: unsigned(get(&map, &["observedTimeUnixNano", "observed_time_unix_nano"])),
        severity_number: severity(get(&map, &["severityNumber", "severity_number"])),
        severity_text: text(get(&map, &["severityText", "severity_text"])),
        body: get(&map, &["body"]).map(any_value),
        attributes: attributes(get(&map, &["attributes"])),
        trace_id: hex(get(&map, &["traceId", "trace_id"])),
        span_id: hex(get(&map, &["spanId", "span_id"])),
        event_name: text(get(&map, &["eventName", "event_name"])),
    })
}

pub(super) fn span(raw: &str) -> Option<Span> {
    let map = object(raw)?;
    let events = match get(&map, &["events"]) {
        Some(Value::Array(events)) => events.iter().filter_map(Value::as_object).map(span_event).collect(),
        _ => Vec::new(),
    };
    Some(Span {
        trace_id: hex(get(&map, &["traceId", "trace_id"])),
        span_id: hex(get(&map, &["spanId", "span_id"])),
        events,
    })
}

fn span_event(map: &Map<String, Value>) -> SpanEvent {
    SpanEvent {
        time_unix_nano: unsigned(get(map, &["timeUnixNano", "time_unix_nano"])),
        name: text(get(map, &["name"])),
        attributes: attributes(get(map, &["attributes"])),
    }
}

fn object(raw: &str) -> Option<Map<String, Value>> {
    match serde_json::from_str(raw).ok()? {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

fn get<'a>(map: &'a Map<String, Value>, names: &[&str]) -> Option<&'a Value> {
    names.iter().find_map(|name| map.get(*name)).filter(|value| !value.is_null())
}

fn attributes(value: Option<&Value>) -> Vec<KeyValue> {
    let Some(Value::Array(list)) = value else { return Vec::new() };
    list.iter()
        .filter_map(Value::as_object)
        .map(|map| KeyValue { key: text(get(map, &["key"])), value: get(map, &["value"]).map(any_value) })
        .collect()
}

/// Recursion is bounded: the JSON reader refuses texts nested deeper than 128.
fn any_value(value: &Value) -> AnyValue {
    let Value::Object(map) = value else {
        // Not the protocol, but its sense is clear: a plain text or number.
        return AnyValue { value: plain(value) };
    };
    let found = map.iter().find_map(|(key, value)| match key.as_str() {
        "stringValue" | "string_value" => Some(Any::Text(text(Some(value)))),
        "boolValue" | "bool_value" => {
            Some(Any::Bool(value.as_bool().unwrap_or(value.as_str() == Some("true"))))
        }
        "intValue" | "int_value" => Some(Any::Int(signed(value))),
        "doubleValue" | "double_value" => Some(Any::Double(double(value))),
        "arrayValue" | "array_value" => {
            let list = value.get("values").and_then(Value::as_array);
            let values = list.map(|list| list.iter().map(any_value).collect()).unwrap_or_default();
            Some(Any::Array(ArrayValue { values }))
        }
        "kvlistValue" | "kvlist_value" => {
            Some(Any::Map(KeyValueList { values: attributes(value.get("values")) }))
        }
        "bytesValue" | "bytes_value" => Some(Any::Bytes(base64(value))),
        _ => None,
    });
    AnyValue { value: found }
}

fn plain(value: &Value) -> Option<Any> {
    match value {
        Value::String(text) => Some(Any::Text(text.clone().into_bytes())),
        Value::Bool(flag) => Some(Any::Bool(*flag)),
        Value::Number(number) => number.as_i64().map(Any::Int).or_else(|| number.as_f64().map(Any::Double)),
        Value::Array(_) | Value::Object(_) | Value::Null => None,
    }
}

fn text(value: Option<&Value>) -> Vec<u8> {
    match value {
        Some(Value::String(text)) => text.clone().into_bytes(),
        Some(Value::Number(number)) => number.to_string().into_bytes(),
        Some(Value::Bool(flag)) => flag.to_string().into_bytes(),
        _ => Vec::new(),
    }
}

fn unsigned(value: Option<&Value>) -> u64 {
    match value {
        Some(Value::String(text)) => text.trim().parse().unwrap_or(0),
        Some(Value::Number(number)) => {
            // A sender that computes in doubles writes `1.795e18`.
            number.as_u64().or_else(|| number.as_f64().filter(|n| *n >= 0.0).map(|n| n as u64)).unwrap_or(0)
        }
        _ => 0,
    }
}

fn signed(value: &Value) -> i64 {
    match value {
        Value::String(text) => text.trim().parse().unwrap_or(0),
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|n| n as i64)).unwrap_or(0),
        _ => 0,
    }
}

fn double(value: &Value) -> f64 {
    match value {
        Value::Number(number) => number.as_f64().unwrap_or(0.0),
        // The protocol's JSON writes "NaN" and "Infinity" as text.
        Value::String(text) => text.trim().parse().unwrap_or(0.0),
        _ => 0.0,
    }
}

/// A number, or the name of one (`SEVERITY_NUMBER_ERROR2`), which older exporters wrote.
fn severity(value: Option<&Value>) -> i32 {
    match value {
        Some(Value::String(word)) => word.trim().parse().unwrap_or_else(|_| severity_of_name(word)),
        Some(Value::Number(number)) => number.as_i64().and_then(|n| i32::try_from(n).ok()).unwrap_or(0),
        _ => 0,
    }
}

fn severity_of_name(word: &str) -> i32 {
    let Some(name) = word.strip_prefix("SEVERITY_NUMBER_") else { return 0 };
    let step = name.chars().next_back().and_then(|c| c.to_digit(10)).and_then(|n| i32::try_from(n).ok());
    let base = match name.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "TRACE" => 1,
        "DEBUG" => 5,
        "INFO" => 9,
        "WARN" => 13,
        "ERROR" => 17,
        "FATAL" => 21,
        _ => return 0,
    };
    base + step.map_or(0, |step| (step - 1).clamp(0, 3))
}

/// Hex of any case; what is no hex counts as absent.
fn hex(value: Option<&Value>) -> Vec<u8> {
    match value {
        Some(Value::String(text)) if text.len() <= 64 => hex::decode(text).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn base64(value: &Value) -> Vec<u8> {
    use base64::Engine as _;
    let text = value.as_str().unwrap_or("");
    base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default()
}
