//! A line of the log: redacted, within bounds, one line whatever it tells of.

use actifix_secrets::{Engine, Settings};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt::Write as _;

/// Longest line, bytes; texts of longer ones are cut.
pub(super) const LINE_BYTES_MAX: usize = 64 << 10;
/// What is redacted of a text before it is cut to [`TEXT_BYTES_MAX`], bytes: far more, so that no half of a secret is
/// left at the cut.
const READ_BYTES_MAX: usize = 256 << 10;
/// What is left of a text of a line that is too long, bytes.
const TEXT_BYTES_MAX: usize = 8 << 10;
/// What is left of each of the few texts of a line of which nothing else fits, bytes.
const WORD_BYTES_MAX: usize = 200;

/// The line as it may be written, with its line break.
pub(super) fn safe(raw: &[u8], engine: &Engine, settings: &Settings) -> String {
    let text = String::from_utf8_lossy(raw);
    let text = text.trim_end_matches('\n');
    let read: Cow<'_, str> = if text.len() > READ_BYTES_MAX {
        Cow::Owned(shortened(text, READ_BYTES_MAX, usize::MAX))
    } else {
        Cow::Borrowed(text)
    };
    let (clean, _) = engine.redact_text(&read, settings);
    let clean = escaped(clean);
    let clean = if clean.len() > LINE_BYTES_MAX {
        escaped(shortened(&clean, TEXT_BYTES_MAX, LINE_BYTES_MAX))
    } else {
        clean
    };
    let mut line = clean;
    line.push('\n');
    line
}

/// The same object with each text cut to so many bytes; if that is more than `line_max`, only when, how bad and where.
fn shortened(text: &str, text_max: usize, line_max: usize) -> String {
    let Ok(Value::Object(mut members)) = serde_json::from_str::<Value>(text) else {
        return Value::Object(Map::from_iter([("cut".to_owned(), Value::Bool(true))])).to_string();
    };
    members.values_mut().for_each(|value| cut(value, text_max));
    members.insert("cut".to_owned(), Value::Bool(true));
    let whole = Value::Object(members).to_string();
    if whole.len() <= line_max {
        return whole;
    }
    let Ok(Value::Object(mut members)) = serde_json::from_str::<Value>(&whole) else {
        return "{}".to_owned();
    };
    members.retain(|name, _| matches!(name.as_str(), "timestamp" | "level" | "target" | "message" | "cut"));
    members.values_mut().for_each(|value| cut(value, WORD_BYTES_MAX));
    Value::Object(members).to_string()
}

fn cut(value: &mut Value, max: usize) {
    match value {
        Value::String(text) => text.truncate(text.floor_char_boundary(max.min(text.len()))),
        Value::Array(items) => items.iter_mut().for_each(|item| cut(item, max)),
        Value::Object(members) => members.values_mut().for_each(|member| cut(member, max)),
        _ => {}
    }
}

/// Beyond ASCII, JSON has no characters outside of its strings, so that each can stand there by its number: whatever
/// breaks lines, turns the direction of reading or cannot be seen does.
fn escaped(text: String) -> String {
    if !text.chars().any(deceives) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 64);
    for c in text.chars() {
        if deceives(c) {
            let mut units = [0u16; 2];
            for unit in c.encode_utf16(&mut units) {
                let _infallible = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

const fn deceives(c: char) -> bool {
    matches!(
        c,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(line: &Value) -> String {
        safe(format!("{line}\n").as_bytes(), &Engine::builtin(), &Settings::default())
    }

    #[test]
    fn nothing_that_is_told_makes_a_second_line_or_turns_the_terminal() {
        let evil =
            "a\r\nb\u{1b}[2Jc\u{2028}d\u{2029}e\u{202e}f\u{85}g\u{9b}31mh\u{200b}i\u{feff}j\u{e0041}k\0l";
        let line = written(&json!({ "level": "INFO", "message": evil, "evil\u{202e}\n": 1 }));
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.ends_with("}\n"));
        assert!(line.bytes().all(|byte| (0x20..0x7f).contains(&byte) || byte == b'\n'), "{line}");
        // It is all there, for a program.
        let back: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(back["message"], evil);
    }

    #[test]
    fn a_field_of_a_megabyte_is_cut_and_the_line_stays_json() {
        let token = ["gh", "p_", "16C7e42F292c6912E7710c838347Ae178B4a"].concat();
        // A secret across the place of the first cut, and one at the second.
        for before in [TEXT_BYTES_MAX - 20, READ_BYTES_MAX - 20, 10] {
            let field = format!("{} {token} {}", "x".repeat(before), "y".repeat(1 << 20));
            let line =
                written(&json!({ "timestamp": "t", "level": "ERROR", "message": "m", "field": field }));
            assert!(line.len() <= LINE_BYTES_MAX, "{}", line.len());
            let back: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(
                (&back["cut"], &back["level"], &back["message"]),
                (&json!(true), &json!("ERROR"), &json!("m"))
            );
            assert!(!line.contains(&token[4..16]), "half a secret at {before}");
        }
        let many: Map<String, Value> = (0..100)
            .map(|n| (format!("f{n}"), json!("z".repeat(4_000))))
            .chain([("level".into(), json!("WARN"))])
            .collect();
        let line = written(&Value::Object(many));
        assert!(line.len() <= LINE_BYTES_MAX);
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["level"], "WARN");
    }
}
