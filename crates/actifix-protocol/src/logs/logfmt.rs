//! `time=… level=error msg="…" order=12` lines.

use super::header::{Header, level_of_word};
use actifix_domain::event::Level;
use serde_json::{Map, Value};

/// Pairs read of one line.
const PAIRS_MAX: usize = 100;

/// Reads a line of pairs that has a level; `None` for others.
pub(super) fn parse(line: &str) -> Option<Header> {
    let looks = ["level=", "lvl=", "severity="].iter().any(|word| line.contains(word));
    let starts = line.split(' ').next().is_some_and(|word| word.contains('='));
    if !looks || !starts {
        return None;
    }
    let mut fields = pairs(line)?;
    let word = take(&mut fields, &["level", "lvl", "severity"])?;
    let level = level_of_word(word.split(['+', '-']).next().unwrap_or(&word)).unwrap_or(Level::Info);
    let timestamp = take(&mut fields, &["time", "ts", "timestamp", "t"]);
    let logger = take(&mut fields, &["logger", "component", "target"]);
    let error = fields.get("error").or_else(|| fields.get("err")).and_then(Value::as_str).map(str::to_owned);
    let message = take(&mut fields, &["msg", "message", "event"]).or(error).unwrap_or_default();
    Some(Header {
        level: Some(level),
        timestamp: timestamp.filter(|text| text.starts_with(|c: char| c.is_ascii_digit())),
        logger,
        message,
        fields,
        ..Header::default()
    })
}

fn take(fields: &mut Map<String, Value>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| match fields.remove(*name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    })
}

/// All pairs; words without `=` are skipped.
fn pairs(line: &str) -> Option<Map<String, Value>> {
    let mut fields = Map::new();
    let mut rest = line.trim();
    while !rest.is_empty() && fields.len() < PAIRS_MAX {
        let end = rest.find([' ', '='])?.min(rest.len());
        let key = rest.get(..end)?;
        rest = rest.get(end..)?;
        let Some(after) = rest.strip_prefix('=') else {
            rest = rest.trim_start();
            if !rest.contains('=') {
                break;
            }
            continue;
        };
        let (value, length) = match after.strip_prefix('"') {
            Some(quoted) => quoted_text(quoted),
            None => {
                let word = after.split(' ').next().unwrap_or("");
                (word.to_owned(), word.len())
            }
        };
        if !key.is_empty() {
            fields.insert(key.to_owned(), Value::String(value));
        }
        rest = after.get(length..).unwrap_or("").trim_start();
        if !rest.contains('=') {
            break;
        }
    }
    Some(fields)
}

/// The text up to the closing quote, escapes undone; the length counts both quotes.
fn quoted_text(text: &str) -> (String, usize) {
    let mut out = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if escaped {
            out.push(match c {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other => other,
            });
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == '"' {
            return (out, at + 2);
        } else {
            out.push(c);
        }
    }
    (out, text.len() + 1)
}
