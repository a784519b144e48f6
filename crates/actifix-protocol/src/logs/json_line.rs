//! One JSON object per line, in the field names of the usual loggers: pino, bunyan, winston, zap, logrus, slog,
//! zerolog, structlog, python-json-logger, logback, log4j, ECS, Serilog, tracing-subscriber, journald, cloud logs.

use super::header::{level_of_syslog, level_of_word};
use crate::stacktext::{self, ParsedTrace};
use actifix_domain::event::Level;
use serde_json::{Map, Value, json};

const LEVEL: [&str; 11] = [
    "level", "severity", "lvl", "levelname", "log.level", "@l", "level_name", "loglevel", "logLevel", "LogLevel",
    "severity_text",
];
const MESSAGE: [&str; 8] = ["msg", "message", "@m", "event", "textPayload", "MESSAGE", "short_message", "Message"];
const TEMPLATE: [&str; 3] = ["@mt", "message_template", "MessageTemplate"];
const TIME: [&str; 9] =
    ["time", "ts", "timestamp", "@timestamp", "@t", "datetime", "asctime", "Timestamp", "timeMillis"];
const LOGGER: [&str; 8] =
    ["logger", "logger_name", "loggerName", "log.logger", "target", "SourceContext", "channel", "name"];
const STACK: [&str; 9] = [
    "stack_trace", "stack", "stacktrace", "exc_info", "exception", "@x", "error.stack_trace", "errorVerbose",
    "traceback",
];
const ERROR: [&str; 6] = ["err", "error", "exception", "thrown", "exc", "Error"];
/// Exceptions followed through `cause`.
const CAUSES_MAX: usize = 20;

/// The line as an object, if it is one.
pub(super) fn object(line: &str) -> Option<Map<String, Value>> {
    let line = line.trim();
    if !line.starts_with('{') || !line.ends_with('}') {
        return None;
    }
    match serde_json::from_str(line).ok()? {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

/// The event of a line that is severe enough or has a stack.
pub(super) fn event(mut map: Map<String, Value>, min_level: Level) -> Option<Value> {
    flatten(&mut map);
    let level = level(&mut map);
    let exceptions = exceptions(&mut map);
    let severe = level.is_some_and(|level| level >= min_level);
    if !severe && !exceptions.has_frames {
        return None;
    }
    let level = level.unwrap_or(if exceptions.fatal { Level::Fatal } else { Level::Error });
    let mut members = Map::new();
    members.insert("level".to_owned(), level.as_str().into());
    if let Some(time) = time(&mut map) {
        members.insert("timestamp".to_owned(), time);
    }
    let message = take_text(&mut map, &MESSAGE).or(exceptions.text);
    let template = take_text(&mut map, &TEMPLATE);
    match (template, message) {
        (Some(template), Some(message)) => {
            members.insert("logentry".to_owned(), json!({ "message": template, "formatted": message }));
        }
        (Some(text), None) | (None, Some(text)) => {
            members.insert("logentry".to_owned(), json!({ "message": text }));
        }
        (None, None) => {}
    }
    if let Some(platform) = exceptions.platform {
        members.insert("platform".to_owned(), platform.into());
    }
    if !exceptions.values.is_empty() {
        members.insert("exception".to_owned(), json!({ "values": exceptions.values }));
    }
    let plain: [(&str, &[&str]); 4] = [
        ("logger", &LOGGER),
        ("server_name", &["hostname", "host.name", "HOSTNAME", "_HOSTNAME"]),
        ("environment", &["environment", "env", "service.environment"]),
        ("release", &["release", "service.version"]),
    ];
    for (member, names) in plain {
        if let Some(text) = take_text(&mut map, names) {
            members.insert(member.to_owned(), text.into());
        }
    }
    if let Some(service) = take_text(&mut map, &["service.name", "service"]) {
        members.insert("tags".to_owned(), json!({ "service.name": service }));
    }
    if let Some(trace) = trace(&mut map) {
        members.insert("contexts".to_owned(), json!({ "trace": trace }));
    }
    if !map.is_empty() {
        members.insert("extra".to_owned(), Value::Object(map));
    }
    Some(Value::Object(members))
}

/// Brings fields that loggers nest to the top: `fields.message` (tracing), `log.level` and `error.type` (ECS).
fn flatten(map: &mut Map<String, Value>) {
    if let Some(Value::Object(fields)) = map.remove("fields") {
        for (key, value) in fields {
            map.entry(key).or_insert(value);
        }
    }
    for parent in ["log", "service", "host"] {
        if let Some(Value::Object(inner)) = map.get(parent).cloned() {
            map.remove(parent);
            for (key, value) in inner {
                map.entry(format!("{parent}.{key}")).or_insert(value);
            }
        }
    }
}

fn take_text(map: &mut Map<String, Value>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| {
        let text = map.get(*name)?.as_str().filter(|text| !text.trim().is_empty())?.to_owned();
        map.remove(*name);
        Some(text)
    })
}

/// Words, the numbers of pino and bunyan (10 to 60), of journald and GELF (0 to 7).
fn level(map: &mut Map<String, Value>) -> Option<Level> {
    for name in LEVEL {
        let found = match map.get(name) {
            Some(Value::String(word)) => {
                let bare = word.trim().split(['+', '-']).next().unwrap_or("");
                level_of_word(bare).or_else(|| word.trim().parse().ok().and_then(level_of_number))
            }
            Some(Value::Number(number)) => number.as_u64().and_then(level_of_number),
            Some(Value::Object(inner)) => inner.get("name").and_then(Value::as_str).and_then(level_of_word),
            _ => None,
        };
        if found.is_some() {
            map.remove(name);
            return found;
        }
    }
    if let Some(priority) = map.remove("PRIORITY") {
        let number = priority.as_u64().or_else(|| priority.as_str().and_then(|text| text.parse().ok()));
        return number.and_then(|number| u8::try_from(number).ok()).map(level_of_syslog);
    }
    // Serilog leaves the level out for information.
    map.contains_key("@t").then_some(Level::Info)
}

fn level_of_number(number: u64) -> Option<Level> {
    Some(match number {
        0..=7 => level_of_syslog(u8::try_from(number).unwrap_or(7)),
        8..=29 => Level::Debug,
        30..=39 => Level::Info,
        40..=49 => Level::Warning,
        50..=59 => Level::Error,
        60..=100 => Level::Fatal,
        // Monolog's numbers.
        101..=199 => Level::Debug,
        200..=299 => Level::Info,
        300..=399 => Level::Warning,
        400..=499 => Level::Error,
        500..=699 => Level::Fatal,
        _ => return None,
    })
}

/// Time as sent; log4j splits it into seconds and nanoseconds.
fn time(map: &mut Map<String, Value>) -> Option<Value> {
    for name in TIME {
        let fine = match map.get(name) {
            Some(Value::Number(_)) => true,
            Some(Value::String(text)) => text.starts_with(|c: char| c.is_ascii_digit()),
            _ => false,
        };
        if fine {
            let time = map.remove(name)?;
            // `2026-11-24 09:47:29,123` is how Python writes a fraction.
            return Some(match time {
                Value::String(text) => Value::String(text.replace(',', ".")),
                other => other,
            });
        }
    }
    let instant = map.remove("instant")?;
    let seconds = instant.get("epochSecond")?.as_u64()?;
    let nanos = instant.get("nanoOfSecond").and_then(Value::as_u64).unwrap_or(0);
    Some(Value::String(format!("{seconds}.{nanos:09}")))
}

fn trace(map: &mut Map<String, Value>) -> Option<Value> {
    let trace = take_text(map, &["trace_id", "traceId", "trace.id", "traceid", "@tr"])?;
    let span = take_text(map, &["span_id", "spanId", "span.id", "spanid", "@sp"]);
    Some(match span {
        Some(span) => json!({ "trace_id": trace, "span_id": span }),
        None => json!({ "trace_id": trace }),
    })
}

/// What the error fields of a line say.
#[derive(Default)]
struct Found {
    values: Vec<Value>,
    platform: Option<&'static str>,
    has_frames: bool,
    fatal: bool,
    /// The error as text, for lines without a message.
    text: Option<String>,
}

impl Found {
    fn of_trace(trace: &ParsedTrace) -> Self {
        Self {
            values: trace.to_values(),
            platform: Some(trace.language.platform()),
            has_frames: trace.frame_count() > 0,
            fatal: trace.fatal,
            text: None,
        }
    }
}

fn exceptions(map: &mut Map<String, Value>) -> Found {
    // Error objects first: they name type and text exactly.
    for name in ERROR {
        if let Some(Value::Object(error)) = map.get(name) {
            let found = of_object(error);
            if !found.values.is_empty() {
                map.remove(name);
                return found;
            }
        }
    }
    let error_type = take_text(map, &["error.type", "exception.type", "exc_type", "error_type", "exception_class"]);
    let error_text = take_text(map, &["error.message", "exception.message", "exc_value", "exception_message"]);
    let stack = STACK.iter().find_map(|name| {
        let text = map.get(*name).and_then(stack_text)?;
        let trace = stacktext::parse(&text, None)?;
        map.remove(*name);
        Some(trace)
    });
    let plain = ERROR.iter().find_map(|name| map.get(*name)?.as_str().map(str::to_owned));
    let mut found = stack.as_ref().map(Found::of_trace).unwrap_or_default();
    if found.values.is_empty() && error_type.is_some() {
        found.values.push(json!({}));
    }
    if let Some(Value::Object(last)) = found.values.last_mut() {
        name_exception(last, error_type, error_text.or_else(|| plain.clone()));
    }
    found.text = plain;
    found
}

/// Fills in type and text where the stack does not tell them; a type given in words wins.
fn name_exception(last: &mut Map<String, Value>, error_type: Option<String>, text: Option<String>) {
    if let Some(name) = error_type {
        let ends_alike = last.get("type").and_then(Value::as_str).is_some_and(|known| name.ends_with(known));
        if !ends_alike {
            last.insert("type".to_owned(), name.into());
        }
    }
    if let Some(text) = text
        && !last.contains_key("value")
    {
        last.insert("value".to_owned(), text.into());
    }
}

/// A stack as text or as a list of lines.
fn stack_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(lines) => {
            let lines: Option<Vec<&str>> = lines.iter().map(Value::as_str).collect();
            lines.map(|lines| lines.join("\n"))
        }
        _ => None,
    }
}

/// `{type, message, stack, cause}` in the names of pino, bunyan, log4j, Monolog and ECS.
fn of_object(error: &Map<String, Value>) -> Found {
    let mut found = Found::default();
    let mut next = Some(error);
    for _ in 0..CAUSES_MAX {
        let Some(error) = next else { break };
        let text = |names: &[&str]| names.iter().find_map(|name| error.get(*name)?.as_str().map(str::to_owned));
        let name = text(&["type", "name", "class", "kind", "exc_type"]);
        let message = text(&["message", "msg", "localizedMessage", "exc_value"]);
        let stack = ["stack", "stack_trace", "extendedStackTrace", "stacktrace", "trace"];
        let stack = stack.iter().find_map(|name| stack_text(error.get(*name)?));
        let trace = stack.as_deref().and_then(|stack| stacktext::parse(stack, None));
        if name.is_none() && message.is_none() && trace.is_none() {
            break;
        }
        let cause = error.get("cause").or_else(|| error.get("previous")).and_then(Value::as_object);
        let mut values = match &trace {
            Some(trace) => {
                found.platform.get_or_insert(trace.language.platform());
                found.has_frames |= trace.frame_count() > 0;
                // A stack that holds its causes already is not read twice.
                next = cause.filter(|_| trace.exceptions.len() < 2);
                trace.to_values()
            }
            None => {
                next = cause;
                vec![json!({})]
            }
        };
        if let Some(Value::Object(last)) = values.last_mut() {
            if let Some(message) = message {
                last.insert("value".to_owned(), message.into());
            }
            name_exception(last, name, None);
        }
        // Oldest first: causes go before what they caused.
        values.append(&mut found.values);
        found.values = values;
    }
    found
}
