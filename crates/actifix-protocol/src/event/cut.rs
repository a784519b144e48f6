//! The cuts of §10.2: how much of one string, list or map is kept.
//!
//! Runs after redaction: a cut before it could leave the first half of a secret that no rule knows any more.

use actifix_domain::event::{FreeMap, STRING_CHARS_MAX};
use serde_json::Value;

/// Deepest map or list inside `vars`, `extra`, `contexts` and other free data; the outermost one counts as 1.
pub const DEPTH_MAX: usize = 10;
/// Most entries of one free map or list, the note on those left out included.
pub const ENTRIES_MAX: usize = 200;
/// Most text of one free map, in bytes of keys and values.
pub const FREE_BYTES_MAX: usize = 64 * 1024;
/// Longest rest of a structure that is too deep, as JSON text, in characters.
const DEEP_CHARS_MAX: usize = 200;
/// What a value costs beside its text: quotes, comma, colon.
const ENTRY_BYTES: usize = 4;
/// The key under which a map says what was left out.
const LEFT_OUT_KEY: &str = "…";

/// Cuts a text to `chars_max` characters, the last one then being `…`.
pub(crate) fn cut_text(text: &mut String, chars_max: usize) {
    if text.len() <= chars_max {
        return;
    }
    let mut places = text.char_indices();
    let Some((last, _)) = places.nth(chars_max.saturating_sub(1)) else { return };
    if places.next().is_some() {
        text.truncate(last);
        text.push('…');
    }
}

/// A text cut to [`STRING_CHARS_MAX`].
pub(crate) fn cut(mut text: String) -> String {
    cut_text(&mut text, STRING_CHARS_MAX);
    text
}

/// How many entries are left out, in words.
pub(crate) fn left_out(count: usize) -> String {
    format!("… {count} more left out")
}

/// Any value as a free map within all bounds: a map as it is, nothing for null, else `{"value": …}`.
pub(crate) fn free_map(value: Value) -> FreeMap {
    let mut map = as_map(value);
    cut_map(&mut map);
    map
}

/// [`free_map`] without the cut, for what is put together from parts.
pub(crate) fn as_map(value: Value) -> FreeMap {
    match value {
        Value::Object(map) => map,
        other if is_void(&other) => FreeMap::new(),
        other => FreeMap::from_iter([("value".to_owned(), other)]),
    }
}

/// Applies all bounds to a free map.
pub(crate) fn cut_map(map: &mut FreeMap) {
    if !map.is_empty() {
        let mut left = FREE_BYTES_MAX;
        cut_members(map, 1, &mut left);
    }
}

/// Applies all bounds to a free value.
pub(crate) fn cut_value(value: &mut Value) {
    let mut left = FREE_BYTES_MAX;
    cut_part(value, 1, &mut left);
}

/// Applies all bounds to one member, taking its size from a budget that it shares with others.
pub(crate) fn cut_shared(value: &mut Value, depth: usize, left: &mut usize) {
    cut_part(value, depth, left);
}

/// Nothing that a reader would miss: null, and empty text, lists and maps.
pub(crate) fn is_void(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn cut_part(value: &mut Value, depth: usize, left: &mut usize) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => *left = left.saturating_sub(ENTRY_BYTES),
        Value::String(text) => cut_budgeted(text, left),
        Value::Array(_) | Value::Object(_) if depth > DEPTH_MAX => {
            let mut text = serde_json::to_string(value).unwrap_or_default();
            cut_text(&mut text, DEEP_CHARS_MAX);
            cut_budgeted(&mut text, left);
            *value = Value::String(text);
        }
        Value::Array(list) => cut_list(list, depth, left),
        Value::Object(map) => cut_members(map, depth, left),
    }
}

fn cut_budgeted(text: &mut String, left: &mut usize) {
    // A byte is at most one character, so this never keeps more bytes of ASCII than are left.
    cut_text(text, STRING_CHARS_MAX.min((*left).max(1)));
    *left = left.saturating_sub(text.len() + ENTRY_BYTES);
}

fn entries_max(len: usize) -> usize {
    if len > ENTRIES_MAX { ENTRIES_MAX - 1 } else { ENTRIES_MAX }
}

fn cut_list(list: &mut Vec<Value>, depth: usize, left: &mut usize) {
    let max = entries_max(list.len());
    let mut kept = 0;
    for value in list.iter_mut() {
        if kept == max || *left == 0 {
            break;
        }
        cut_part(value, depth + 1, left);
        kept += 1;
    }
    if kept < list.len() {
        let note = left_out(list.len() - kept);
        list.truncate(kept);
        list.push(Value::String(note));
    }
}

fn cut_members(map: &mut FreeMap, depth: usize, left: &mut usize) {
    let len = map.len();
    let max = entries_max(len);
    let mut kept = 0;
    let mut long_key = false;
    map.retain(|key, value| {
        if kept == max || *left == 0 {
            return false;
        }
        long_key |= key.len() > STRING_CHARS_MAX;
        *left = left.saturating_sub(key.len());
        cut_part(value, depth + 1, left);
        kept += 1;
        true
    });
    if long_key {
        *map = std::mem::take(map).into_iter().map(|(key, value)| (cut(key), value)).collect();
    }
    if kept < len {
        map.insert(LEFT_OUT_KEY.to_owned(), Value::String(left_out(len - kept)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn long_text_ends_in_an_ellipsis_and_counts_characters() {
        let mut text = "ä".repeat(8_192);
        cut_text(&mut text, 8_192);
        assert_eq!(text, "ä".repeat(8_192));
        text.push('x');
        cut_text(&mut text, 8_192);
        assert_eq!(text.chars().count(), 8_192);
        assert!(text.ends_with("ä…"));
    }

    #[test]
    fn wide_maps_and_lists_say_how_much_was_left_out() {
        let wide: FreeMap = (0..500).map(|n| (format!("k{n:03}"), json!(n))).collect();
        let cut = free_map(json!({"list": (0..500).collect::<Vec<_>>(), "map": wide}));
        let list = cut["list"].as_array().unwrap();
        assert_eq!((list.len(), &list[199]), (200, &json!("… 301 more left out")));
        assert_eq!(cut["map"].as_object().unwrap().len(), 200);
        assert_eq!(cut["map"]["…"], json!("… 301 more left out"));
    }

    #[test]
    fn deep_structures_become_text() {
        let mut deep = json!({"secretless": "bottom"});
        for _ in 0..10 {
            deep = json!({ "a": deep });
        }
        let cut = free_map(deep);
        let text = serde_json::to_string(&cut).unwrap();
        assert!(text.contains(r#"{\"secretless\":\"bottom\"}"#), "{text}");
    }

    #[test]
    fn one_map_keeps_64_kib() {
        let big: FreeMap = (0..100).map(|n| (format!("k{n:03}"), json!("x".repeat(4_000)))).collect();
        let text = serde_json::to_string(&free_map(Value::Object(big))).unwrap();
        assert!((60_000..67_000).contains(&text.len()), "{}", text.len());
        assert!(text.contains("more left out"));
    }
}
