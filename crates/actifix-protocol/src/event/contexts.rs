//! Contexts: maps by name.

use super::cut::{ENTRIES_MAX, FREE_BYTES_MAX, as_map, cut, cut_shared, is_void, left_out};
use actifix_domain::event::FreeMap;
use serde_json::Value;

/// Read first, so that a large one of the program's own can't push them out.
const WELL_KNOWN: [&str; 9] =
    ["trace", "os", "runtime", "device", "app", "browser", "response", "feedback", "culture"];

/// All contexts within 64 KiB; what is no map becomes `{"value": …}`.
pub(crate) fn contexts(value: Value) -> FreeMap {
    let mut sent = as_map(value);
    let mut left = FREE_BYTES_MAX;
    let mut contexts = FreeMap::new();
    for name in WELL_KNOWN {
        if let Some((name, value)) = sent.remove_entry(name) {
            add(&mut contexts, name, value, &mut left);
        }
    }
    let mut dropped = 0usize;
    for (name, value) in sent {
        if contexts.len() >= ENTRIES_MAX - 1 || left == 0 {
            dropped += 1;
        } else {
            add(&mut contexts, name, value, &mut left);
        }
    }
    if dropped > 0 {
        contexts.insert("…".to_owned(), Value::String(left_out(dropped)));
    }
    contexts
}

fn add(contexts: &mut FreeMap, name: String, value: Value, left: &mut usize) {
    if is_void(&value) {
        return;
    }
    let mut value = Value::Object(as_map(value));
    let name = cut(name);
    *left = left.saturating_sub(name.len());
    cut_shared(&mut value, 2, left);
    contexts.insert(name, value);
}
