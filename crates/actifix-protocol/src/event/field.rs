//! Reads one field of any JSON type as the type that is meant.
//!
//! Nothing here fails: redaction may have put `[redacted:<rule>]` where a number or a map was, and SDKs differ.

use super::cut::{ENTRIES_MAX, cut, cut_map, is_void};
use actifix_domain::event::FreeMap;
use serde_json::Value;

/// Text of any value: numbers and truth values as written, structures as JSON; `None` for null and empty text.
pub(crate) fn text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(cut(text)),
        other => Some(cut(other.to_string())),
    }
}

/// [`text`] that keeps empty text, and null as empty: lines of code.
pub(crate) fn line(value: Value) -> String {
    text(value).unwrap_or_default()
}

/// A whole number, also as text.
pub(crate) fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 9e15).map(|n| n as i64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A truth value, also as text or number.
pub(crate) fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if text.eq_ignore_ascii_case("true") || text == "1" => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") || text == "0" => Some(false),
        Value::Number(number) => match number.as_i64() {
            Some(1) => Some(true),
            Some(0) => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// The list that `{"values":[…]}`, a list, or a single value stands for, without its nulls.
pub(crate) fn list(value: Value) -> Vec<Value> {
    let mut list = match value {
        Value::Null => return Vec::new(),
        Value::Array(list) => list,
        Value::Object(mut map) => match map.remove("values") {
            Some(Value::Array(list)) => list,
            Some(Value::Null) => Vec::new(),
            Some(single) => vec![single],
            None if map.is_empty() => Vec::new(),
            None => vec![Value::Object(map)],
        },
        single => vec![single],
    };
    list.retain(|entry| !entry.is_null());
    list
}

/// What no field of the event is made for; ends in `other`.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    kept: FreeMap,
    left_out: bool,
}

impl Rest {
    /// Keeps a value under a dotted path, unless there is nothing in it.
    pub(crate) fn keep(&mut self, path: &str, key: &str, value: Value) {
        if is_void(&value) {
            return;
        }
        if self.kept.len() >= ENTRIES_MAX {
            self.left_out = true;
            return;
        }
        let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        self.kept.insert(path, value);
    }

    /// The map within bounds, and whether something did not fit.
    pub(crate) fn into_map(mut self) -> (FreeMap, bool) {
        cut_map(&mut self.kept);
        (self.kept, self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_of_any_type_become_text() {
        assert_eq!(text(json!({"a": [1, "b"]})).as_deref(), Some(r#"{"a":[1,"b"]}"#));
        assert_eq!(text(json!(1.5)).as_deref(), Some("1.5"));
        assert_eq!(text(json!(false)).as_deref(), Some("false"));
        assert_eq!(text(json!("")), None);
        assert_eq!(text(json!(null)), None);
    }

    #[test]
    fn numbers_and_truth_values_are_read_from_text() {
        assert_eq!([json!(7), json!("7"), json!(7.0)].map(|v| whole(&v)), [Some(7); 3]);
        assert_eq!([json!("x"), json!(7.5), json!([])].map(|v| whole(&v)), [None; 3]);
        assert_eq!([json!(true), json!("True"), json!(1)].map(|v| flag(&v)), [Some(true); 3]);
        assert_eq!([json!(false), json!("false"), json!(0)].map(|v| flag(&v)), [Some(false); 3]);
        assert_eq!([json!("[redacted:x]"), json!(2), json!(null)].map(|v| flag(&v)), [None; 3]);
    }
}
