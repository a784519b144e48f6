//! The text fields beside a dump.

use crate::json::clean;
use actifix_domain::event::FreeMap;
use serde_json::Value;

/// Most fields of one form that are read.
pub const FORM_FIELDS_MAX: usize = 1_000;
/// Deepest `sentry[a][b]…`.
pub const FORM_DEPTH_MAX: usize = 10;
/// Most bytes of one value.
const VALUE_BYTES_MAX: usize = 1024 * 1024;

/// Joins a form's text fields to one raw event: `sentry` as JSON (also in pieces, `sentry__1`, `sentry__2`, …, as
/// Crashpad sends it, for its values are short), `sentry[a][b]` as nested members that win over the JSON, and all
/// others as `extra`. `parse_json` is the lenient parser of the pipeline.
pub fn form_fields_to_value(
    fields: Vec<(String, String)>,
    parse_json: impl Fn(&str) -> Option<Value>,
) -> Value {
    let mut event = FreeMap::new();
    let mut extra = FreeMap::new();
    let mut json = String::new();
    let mut pieces: Vec<(u32, String)> = Vec::new();
    let mut nested = Vec::new();
    for (name, value) in fields.into_iter().take(FORM_FIELDS_MAX) {
        if value.len() > VALUE_BYTES_MAX {
            continue;
        }
        if name == "sentry" {
            json = value;
        } else if let Some(number) = name.strip_prefix("sentry__").and_then(|n| n.parse().ok()) {
            pieces.push((number, value));
        } else if let Some(path) = name.strip_prefix("sentry[").and_then(path) {
            nested.push((path, clean(&value).into_owned()));
        } else {
            extra.insert(clean(&name).into_owned(), Value::String(clean(&value).into_owned()));
        }
    }
    pieces.sort_by_key(|(number, _)| *number);
    json.extend(pieces.into_iter().map(|(_, piece)| piece));
    if !json.trim().is_empty() {
        match parse_json(&json) {
            Some(Value::Object(map)) => event = map,
            // Not what it should be, and still what the program wanted to say.
            _ => {
                extra.insert("sentry".to_owned(), Value::String(clean(&json).into_owned()));
            }
        }
    }
    for (path, value) in nested {
        place(&mut event, &path, value);
    }
    event.values_mut().for_each(|value| number_lists(value, 0));
    join_extra(&mut event, extra);
    Value::Object(event)
}

/// `a][b]` → `a`, `b`
fn path(rest: &str) -> Option<Vec<String>> {
    let parts: Vec<String> =
        rest.strip_suffix(']')?.split("][").map(|part| clean(part).into_owned()).collect();
    let fine = parts.len() <= FORM_DEPTH_MAX && parts.iter().all(|part| !part.is_empty());
    fine.then_some(parts)
}

fn place(map: &mut FreeMap, path: &[String], value: String) {
    match path {
        [] => {}
        [last] => {
            map.insert(last.clone(), Value::String(value));
        }
        [first, rest @ ..] => {
            let slot = map.entry(first.clone()).or_insert_with(|| Value::Object(FreeMap::new()));
            if !slot.is_object() {
                *slot = Value::Object(FreeMap::new());
            }
            if let Value::Object(inner) = slot {
                place(inner, rest, value);
            }
        }
    }
}

/// `a[0]`, `a[1]`, …: a map whose keys count up from 0 is a list.
fn number_lists(value: &mut Value, depth: usize) {
    let Value::Object(map) = value else { return };
    if depth < FORM_DEPTH_MAX {
        map.values_mut().for_each(|inner| number_lists(inner, depth + 1));
    }
    let len = map.len();
    if len > 0 && (0..len).all(|n| map.contains_key(n.to_string().as_str())) {
        *value = Value::Array((0..len).filter_map(|n| map.remove(n.to_string().as_str())).collect());
    }
}

fn join_extra(event: &mut FreeMap, extra: FreeMap) {
    if extra.is_empty() {
        return;
    }
    match event.get_mut("extra") {
        Some(Value::Object(sent)) => {
            for (key, value) in extra {
                // What the program put into its event means more than a stray field of the same name.
                sent.entry(key).or_insert(value);
            }
        }
        _ => {
            event.insert("extra".to_owned(), Value::Object(extra));
        }
    }
}
