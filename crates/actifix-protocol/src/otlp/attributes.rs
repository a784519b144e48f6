//! Attributes: lists of key and value, turned into JSON within bounds.

use super::proto::{Any, AnyValue, KeyValue};
use super::{ATTRIBUTE_DEPTH_MAX, ATTRIBUTES_MAX};
use crate::json::clean;
use serde_json::{Map, Number, Value};
use std::borrow::Cow;
use std::collections::HashMap;

/// What stands where attributes nest too deep.
const TRUNCATED: &str = "[truncated]";

/// Values that one attribute may have inside where it is wanted as text.
const TEXT_VALUES_MAX: usize = 1_000;

/// What a request may still become in memory: small input must not grow large.
#[derive(Debug)]
pub(super) struct Budget {
    /// JSON values.
    pub values: usize,
    /// Stack frames.
    pub frames: usize,
    /// Something was left out of the record at hand.
    pub cut: bool,
}

impl Budget {
    /// Takes one value; `false`: there is none left.
    fn take(&mut self) -> bool {
        if self.values == 0 {
            self.cut = true;
            return false;
        }
        self.values -= 1;
        true
    }
}

/// The attributes of one record by name. Those that mean something to us are taken out; what stays is extra.
pub(super) struct Attributes {
    map: HashMap<String, AnyValue>,
    cut: bool,
}

impl Attributes {
    /// At most [`ATTRIBUTES_MAX`]; of two with one name the last counts.
    pub fn new(list: Vec<KeyValue>) -> Self {
        let cut = list.len() > ATTRIBUTES_MAX;
        let pairs = list.into_iter().take(ATTRIBUTES_MAX);
        let map = pairs.map(|pair| (lossy(&pair.key), pair.value.unwrap_or_default())).collect();
        Self { map, cut }
    }

    /// Takes out the first of `names` that is there and not empty, as text.
    pub fn take_text(&mut self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| {
            let value = self.map.get(*name)?;
            let mut small = Budget { values: TEXT_VALUES_MAX, frames: 0, cut: false };
            let text = text_of(value, &mut small)?;
            self.cut |= small.cut;
            if text.is_empty() {
                return None;
            }
            self.map.remove(*name);
            Some(text)
        })
    }

    /// Takes out the first of `names` that holds a whole number.
    pub fn take_number(&mut self, names: &[&str]) -> Option<u32> {
        names.iter().find_map(|name| {
            let number = match &self.map.get(*name)?.value {
                Some(Any::Int(number)) => u32::try_from(*number).ok(),
                Some(Any::Text(text)) => lossy(text).trim().parse().ok(),
                _ => None,
            }?;
            self.map.remove(*name);
            Some(number)
        })
    }

    /// Puts a text back that was taken out.
    pub fn put_back(&mut self, name: &str, text: String) {
        self.map.insert(name.to_owned(), AnyValue { value: Some(Any::Text(text.into_bytes())) });
    }

    /// True when one of `names` is there.
    pub fn has(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.map.contains_key(*name))
    }

    /// All that was not taken out.
    pub fn into_extra(self, budget: &mut Budget) -> Map<String, Value> {
        budget.cut |= self.cut;
        self.map.into_iter().map(|(key, value)| (key, to_value(value, 1, budget))).collect()
    }
}

/// Bytes as text; broken parts become U+FFFD, what a reader does not see goes: this text has not passed the JSON
/// parser that takes it out elsewhere.
pub(super) fn lossy(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match clean(&text) {
        Cow::Owned(cleaned) => cleaned,
        Cow::Borrowed(_) => text.into_owned(),
    }
}

/// A value as text: texts as they are, others as JSON. `None` for an empty value.
pub(super) fn text_of(value: &AnyValue, budget: &mut Budget) -> Option<String> {
    match value.value.as_ref()? {
        Any::Text(text) => Some(lossy(text)),
        _ => Some(to_value(value.clone(), 1, budget).to_string()),
    }
}

/// A value as JSON. `depth` counts from 1.
pub(super) fn to_value(value: AnyValue, depth: usize, budget: &mut Budget) -> Value {
    if !budget.take() {
        return Value::Null;
    }
    match value.value {
        None => Value::Null,
        Some(Any::Text(text)) => Value::String(lossy(&text)),
        Some(Any::Bool(flag)) => Value::Bool(flag),
        Some(Any::Int(number)) => Value::from(number),
        Some(Any::Double(number)) => {
            Number::from_f64(number).map_or_else(|| Value::String(number.to_string()), Value::Number)
        }
        Some(Any::Bytes(bytes)) => {
            use base64::Engine as _;
            Value::String(base64::engine::general_purpose::STANDARD.encode(bytes))
        }
        Some(Any::Array(_) | Any::Map(_)) if depth >= ATTRIBUTE_DEPTH_MAX => {
            budget.cut = true;
            Value::String(TRUNCATED.to_owned())
        }
        Some(Any::Array(list)) => {
            let members = list.values.into_iter().map_while(|member| member_value(member, depth, budget));
            Value::Array(members.collect())
        }
        Some(Any::Map(list)) => {
            let pairs = list.values.into_iter().map_while(|pair| {
                Some((lossy(&pair.key), member_value(pair.value.unwrap_or_default(), depth, budget)?))
            });
            Value::Object(pairs.collect())
        }
    }
}

/// A member of a list or map; `None` ends it, the budget is spent.
fn member_value(value: AnyValue, depth: usize, budget: &mut Budget) -> Option<Value> {
    if budget.values == 0 {
        budget.cut = true;
        return None;
    }
    Some(to_value(value, depth + 1, budget))
}
