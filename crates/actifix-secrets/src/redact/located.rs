//! Records of validation errors: one member says where, another one what stood there.
use serde_json::{Map, Value};

use super::session::Session;
use crate::rule::Strength;

/// Members of a record of an error; a map with more is something else.
const MEMBERS_MAX: usize = 12;
/// Longest name of a place, in bytes.
const PLACE_BYTES_MAX: usize = 128;
/// Members that say where.
const PLACES: [&str; 9] = [
    "loc",
    "path",
    "field",
    "propertyPath",
    "propertyName",
    "property",
    "instancePath",
    "param",
    "parameter",
];

/// Whether a member holds what stood in the place.
#[inline]
pub(super) fn is_located_value(key: &str) -> bool {
    matches!(
        key.as_bytes(),
        b"input"
            | b"received"
            | b"rejectedValue"
            | b"rejected_value"
            | b"invalidValue"
            | b"attemptedValue"
            | b"actual"
    )
}

impl Session<'_> {
    /// The sensitive name of the place in `{"loc": ["body", "password"], "input": "x"}`.
    pub(super) fn located(&self, map: &Map<String, Value>) -> Option<String> {
        if map.len() > MEMBERS_MAX || !map.keys().any(|key| is_located_value(key)) {
            return None;
        }
        let place = PLACES.iter().find_map(|key| map.get(*key))?;
        let place = match place {
            Value::Array(parts) => parts.iter().rev().find_map(Value::as_str)?,
            Value::String(place) => place.rsplit('/').next().unwrap_or(place),
            _ => return None,
        };
        if place.len() > PLACE_BYTES_MAX || !self.engine.has_name(self.settings, place.as_bytes()) {
            return None;
        }
        let named = self.named(place.as_bytes())?;
        (named.strength != Strength::About).then(|| place.to_owned())
    }
}
