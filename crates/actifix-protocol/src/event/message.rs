//! The message of an event: template, parameters and the finished text.

use super::cut::cut_value;
use super::field::{Rest, text};
use actifix_domain::event::LogEntry;
use serde_json::Value;

/// `logentry` and the older `message`, which is text, or the same map. What `logentry` says wins; a message in text
/// beside a template is the finished text.
pub(crate) fn logentry(entry: Value, message: Value, rest: &mut Rest) -> Option<LogEntry> {
    let mut found = read(entry, rest);
    let older = read(message, rest);
    if found.formatted.is_none() && older.formatted != found.message {
        found.formatted = older.formatted;
    }
    found.message = found.message.or(older.message);
    found.params = found.params.or(older.params);
    (found != LogEntry::default()).then_some(found)
}

fn read(value: Value, rest: &mut Rest) -> LogEntry {
    let mut entry = LogEntry::default();
    let Value::Object(map) = value else {
        entry.formatted = text(value);
        return entry;
    };
    for (key, mut value) in map {
        if value.is_null() {
            continue;
        }
        match key.as_str() {
            "message" => entry.message = text(value),
            "formatted" => entry.formatted = text(value),
            "params" => {
                cut_value(&mut value);
                entry.params = Some(value).filter(|params| !super::cut::is_void(params));
            }
            _ => rest.keep("logentry", &key, value),
        }
    }
    entry
}
