//! How numbers, times and foreign text look on a page.

pub use actifix_domain::words::{are, grouped, many, plural, times};

use actifix_domain::time::{DAY, HOUR, MINUTE, SECOND, Timestamp};
use askama::filters::HtmlSafe;
use std::fmt;

/// A number at the start of a sentence.
pub fn counted(number: u64) -> String {
    let words = ["No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine"];
    let word = usize::try_from(number).ok().and_then(|number| words.get(number));
    word.map_or_else(|| grouped(number), |word| (*word).to_owned())
}

/// A span of time in its largest unit.
pub fn span(micros: i64) -> String {
    let micros = micros.max(0);
    match micros {
        m if m < MINUTE => format!("{} s", m / SECOND),
        m if m < HOUR => format!("{} min", m / MINUTE),
        m if m < 2 * DAY => format!("{} h", m / HOUR),
        m => format!("{} d", m / DAY),
    }
}

/// A time: what a reader sees, and the exact one.
#[derive(Clone, Debug)]
pub struct When {
    /// How long ago.
    pub ago: String,
    /// RFC 3339, UTC.
    pub exact: String,
}

impl When {
    /// `at`, seen from `now`.
    pub fn new(at: Timestamp, now: Timestamp) -> Self {
        Self { ago: span(now.since(at)), exact: at.to_string() }
    }
}

/// Foreign text as HTML: escaped, and what was taken out of it shown as the chip of its rule.
#[derive(Clone, Debug)]
pub struct Marked(String);

impl HtmlSafe for Marked {}

impl Marked {
    /// Nothing to show.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a redaction looks like in text.
const OPEN: &str = "[redacted:";

/// Marks the redactions of `text`, at most `chars_max` characters of it.
pub fn marked(text: &str, chars_max: usize) -> Marked {
    let cut = text.char_indices().nth(chars_max).map(|(at, _)| at);
    let mut rest = cut.and_then(|at| text.get(..at)).unwrap_or(text);
    let mut out = String::with_capacity(rest.len() + 64);
    while let Some(at) = rest.find(OPEN) {
        let after = rest.get(at + OPEN.len()..).unwrap_or_default();
        let end = after.bytes().position(|byte| !(byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)));
        let Some(end) = end.filter(|end| *end > 0 && after.as_bytes().get(*end) == Some(&b']')) else {
            escape(rest.get(..at + OPEN.len()).unwrap_or_default(), &mut out);
            rest = after;
            continue;
        };
        escape(rest.get(..at).unwrap_or_default(), &mut out);
        out.push_str(&chip(after.get(..end).unwrap_or_default()).0);
        rest = after.get(end + 1..).unwrap_or_default();
    }
    escape(rest, &mut out);
    if cut.is_some() {
        out.push('…');
    }
    Marked(out)
}

/// The chip of a rule.
pub fn chip(rule: &str) -> Marked {
    let mut name = String::new();
    escape(rule, &mut name);
    Marked(format!(
        "<span class=\"red\"><span class=\"vh\">[redacted:</span><b>{name}</b><span class=\"vh\">]</span></span>"
    ))
}

/// Escapes for text and attributes. Characters that turn the direction of text or hide in it are shown as signs.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}' | '\u{061C}' => {
                out.push('\u{FFFD}')
            }
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
}

/// A title in two parts: the type, and what it says.
#[derive(Clone, Debug)]
pub struct Title {
    /// With its colon.
    pub kind: Marked,
    /// The rest.
    pub rest: Marked,
}

/// Takes a title apart.
pub fn title(text: &str) -> Title {
    match text.split_once(": ") {
        Some((kind, rest)) if !kind.contains(' ') => {
            Title { kind: marked(&format!("{kind}:"), 200), rest: marked(rest, 400) }
        }
        _ => Title { kind: marked(text, 400), rest: Marked(String::new()) },
    }
}

/// Bars of a sparkline, 24 of 3 px in 96 by 20: the path of all but the last two, and of those.
pub fn spark(counts: &[u64; 24]) -> (String, String) {
    let highest = counts.iter().copied().max().unwrap_or(0).max(1);
    let (mut before, mut now) = (String::new(), String::new());
    for (index, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let height = (u128::from(*count) * 18 / u128::from(highest)).max(1);
        let bar = format!("M{} 19h3v-{height}h-3z", index * 4);
        if index >= 22 { now.push_str(&bar) } else { before.push_str(&bar) }
    }
    (before, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_text() {
        let hostile = "<script>alert(1)</script> [redacted:stripe_key] [redacted:<img src=x>] [redacted: \u{202E}x\u{1b}[31m";
        let shown = marked(hostile, 1_000).to_string();
        assert!(!shown.contains("<script") && !shown.contains("<img"), "{shown}");
        assert!(shown.contains("<b>stripe_key</b>"), "{shown}");
        assert!(!shown.contains('\u{202E}') && !shown.contains('\u{1b}'), "{shown}");
        assert_eq!(marked("abcdef", 3).to_string(), "abc…");
    }

    #[test]
    fn numbers_and_times_are_short() {
        assert_eq!(span(90 * SECOND), "1 min");
        assert_eq!(span(25 * HOUR), "25 h");
        assert_eq!(span(49 * HOUR), "2 d");
    }

    #[test]
    fn bars_fit() {
        let mut counts = [0; 24];
        counts[0] = 1;
        counts[23] = u64::MAX;
        let (before, now) = spark(&counts);
        assert_eq!((before.as_str(), now.as_str()), ("M0 19h3v-1h-3z", "M92 19h3v-18h-3z"));
    }
}
