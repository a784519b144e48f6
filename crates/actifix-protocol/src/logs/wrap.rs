//! What containers and terminals put around a line.

use super::{LogFormat, json_line};
use crate::stacktext;
use serde_json::Value;
use std::borrow::Cow;

/// A line as the program wrote it.
#[derive(Debug)]
pub(super) struct Line {
    pub text: String,
    /// Time that the wrapper knows.
    pub timestamp: Option<String>,
    /// Which of several programs wrote it.
    pub source: Option<String>,
}

/// Takes off the wrappers of Docker's JSON files, Kubernetes' CRI files and `docker compose logs`.
pub(super) fn unwrap(line: &str, format: LogFormat) -> Line {
    if format != LogFormat::Plain
        && let Some(inner) = docker(line)
    {
        return inner;
    }
    if let Some((timestamp, text)) = cri(line) {
        return Line { text: text.to_owned(), timestamp: Some(timestamp.to_owned()), source: None };
    }
    if let Some((source, text)) = compose(line) {
        return Line { text: text.to_owned(), timestamp: None, source: Some(source.to_owned()) };
    }
    Line { text: line.to_owned(), timestamp: None, source: None }
}

/// `{"log":"text\n","stream":"stderr","time":"…"}`
fn docker(line: &str) -> Option<Line> {
    if !line.starts_with("{\"log\":") {
        return None;
    }
    let map = json_line::object(line)?;
    let text = map.get("log")?.as_str()?;
    map.get("stream")?.as_str()?;
    let timestamp = map.get("time").and_then(Value::as_str).map(str::to_owned);
    let text = without_escapes(text.trim_end_matches(['\n', '\r'])).replace('\n', " ");
    Some(Line { text, timestamp, source: None })
}

/// `2026-11-24T09:47:29.123456789Z stderr F text`
fn cri(line: &str) -> Option<(&str, &str)> {
    let (timestamp, rest) = line.split_once(' ')?;
    let rest = rest.strip_prefix("stderr ").or_else(|| rest.strip_prefix("stdout "))?;
    let text = rest.strip_prefix("F ").or_else(|| rest.strip_prefix("P "))?;
    let is_time = timestamp.starts_with(|c: char| c.is_ascii_digit()) && timestamp.contains('T');
    is_time.then_some((timestamp, text))
}

/// `web-1  | text`
fn compose(line: &str) -> Option<(&str, &str)> {
    let (name, text) = stacktext::head(line, 256).split_once(" | ").map(|(name, _)| name).and_then(|name| {
        Some((name.trim_end(), line.get(name.len() + 3..)?))
    })?;
    let fine = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte))
        && name.rsplit_once(['-', '_']).is_some_and(|(_, n)| n.bytes().all(|byte| byte.is_ascii_digit()));
    fine.then_some((name, text))
}

/// Colours and other terminal escapes are taken out; they would hide levels.
pub(super) fn without_escapes(line: &str) -> Cow<'_, str> {
    if !line.contains('\u{1b}') {
        return Cow::Borrowed(line);
    }
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            out.push(c);
            continue;
        }
        if chars.as_str().starts_with('[') {
            chars.next();
            // Parameters, then one final letter.
            for c in chars.by_ref() {
                if ('@'..='~').contains(&c) {
                    break;
                }
            }
        }
    }
    Cow::Owned(out)
}
