//! Short keys and values: tags and modules.

use super::cut::{ENTRIES_MAX, cut_text, is_void};
use super::field::{Rest, line, text};
use serde_json::Value;
use std::collections::BTreeMap;

/// Longest key and longest value of a tag, in characters.
pub const TAG_CHARS_MAX: usize = 200;
/// Most modules kept.
pub const MODULES_MAX: usize = 1_000;

/// Tags out of a map, a list of pairs, or a list of `{key, value}`; those without value are left out.
pub(crate) fn tags(value: Value, rest: &mut Rest) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    for (key, value) in entries(value, "tags", rest) {
        let Some(mut value) = text(value) else { continue };
        let mut key = key;
        cut_text(&mut key, TAG_CHARS_MAX);
        cut_text(&mut value, TAG_CHARS_MAX);
        if key.is_empty() || tags.len() >= ENTRIES_MAX {
            rest.keep("tags", &key, Value::String(value));
        } else {
            tags.insert(key, value);
        }
    }
    tags
}

/// Modules out of a map or a list; Go sends one without name and version, which is none.
pub(crate) fn modules(value: Value, rest: &mut Rest) -> BTreeMap<String, String> {
    let mut modules = BTreeMap::new();
    for (mut key, value) in entries(value, "modules", rest) {
        let mut version = line(value);
        cut_text(&mut key, TAG_CHARS_MAX);
        cut_text(&mut version, TAG_CHARS_MAX);
        if (!key.is_empty() || !version.is_empty()) && modules.len() < MODULES_MAX {
            modules.insert(key, version);
        }
    }
    modules
}

fn entries(value: Value, path: &str, rest: &mut Rest) -> Vec<(String, Value)> {
    match value {
        Value::Object(map) => map.into_iter().collect(),
        Value::Array(list) => list.into_iter().filter_map(|entry| entry_of(entry, path, rest)).collect(),
        other => {
            rest.keep("", path, other);
            Vec::new()
        }
    }
}

fn entry_of(entry: Value, path: &str, rest: &mut Rest) -> Option<(String, Value)> {
    match entry {
        Value::Array(parts) => {
            let mut parts = parts.into_iter();
            let key = text(parts.next()?)?;
            Some((key, parts.next().unwrap_or_default()))
        }
        Value::Object(mut map) => {
            let key = map.remove("key").or_else(|| map.remove("name")).and_then(text)?;
            let value = map.remove("value").or_else(|| map.remove("version")).unwrap_or_default();
            Some((key, value))
        }
        // `pip freeze` style
        Value::String(line) if path == "modules" => match line.split_once("==") {
            Some((name, version)) => Some((name.to_owned(), Value::String(version.to_owned()))),
            None => Some((line, Value::Null)),
        },
        other => {
            if !is_void(&other) {
                let place = other.to_string();
                rest.keep(path, &super::cut::cut(place), other);
            }
            None
        }
    }
}
