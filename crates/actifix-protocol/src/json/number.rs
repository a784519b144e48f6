//! Numbers by the grammar of RFC 8259.

use serde_json::{Number, Value};

use super::TRUNCATED;
use crate::limits::JSON_NUMBER_TEXT_BYTES_MAX;

/// Digits that surely fit an i64.
const SURE_DIGITS: usize = 18;

/// The number at the start of `bytes` and its length; `None` when none stands there.
pub(super) fn parse(bytes: &[u8]) -> Option<(Value, usize)> {
    let negative = bytes.first() == Some(&b'-');
    let start = usize::from(negative);
    let whole = digits(bytes, start);
    if whole == 0 || (whole > 1 && bytes.get(start) == Some(&b'0')) {
        return None;
    }
    let mut end = start + whole;
    let mut integer = true;
    if bytes.get(end) == Some(&b'.') {
        let count = digits(bytes, end + 1);
        if count == 0 {
            return None;
        }
        end += 1 + count;
        integer = false;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let count = digits(bytes, end + 1 + sign);
        if count == 0 {
            return None;
        }
        end += 1 + sign + count;
        integer = false;
    }
    if integer && whole <= SURE_DIGITS {
        let size = bytes.get(start..end)?.iter().fold(0i64, |sum, b| sum * 10 + i64::from(b - b'0'));
        // Minus zero stays apart from zero, as in every other reader: it is a float.
        if !(negative && size == 0) {
            return Some((Value::from(if negative { -size } else { size }), end));
        }
    }
    let text = std::str::from_utf8(bytes.get(..end)?).ok()?;
    Some((slow(text, integer), end))
}

fn slow(text: &str, integer: bool) -> Value {
    if integer && text != "-0" {
        if let Ok(value) = text.parse::<u64>() {
            return value.into();
        }
        if let Ok(value) = text.parse::<i64>() {
            return value.into();
        }
    } else if let Some(number) = text.parse().ok().and_then(Number::from_f64) {
        return Value::Number(number);
    }
    Value::from(if text.len() <= JSON_NUMBER_TEXT_BYTES_MAX { text } else { TRUNCATED })
}

fn digits(bytes: &[u8], from: usize) -> usize {
    bytes.get(from..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count()
}
