//! More notations in which something stands between a name and its value: types and visibility that a dump prints, lists
//! of one value, attributes, braces.
use super::checks::is_prose;
use super::notation::Around;
use super::value::{Joint, Value, after_name, blanks, closed_by, quote, quoted_at, value_at};
use crate::bytes::{at, before, has, is_name, run, slice};

/// Longest type, visibility or list of attributes that is followed, and longest blank between lines.
const TYPE_BYTES_MAX: usize = 96;
const GAP_BYTES_MAX: usize = 64;
/// Values of a list.
const ITEMS_MAX: usize = 16;

impl Around<'_> {
    /// The values of a name in one of these notations.
    pub(super) fn dumped(self) -> Vec<Value> {
        let Self { text, end, .. } = self;
        let (next, quoted) = match quote(text, end) {
            Some((length, ..)) => (end + length, true),
            None => (end, false),
        };
        let one = match at(text, next) {
            b':' | b'=' | b' ' => {
                let items = self.listed(next);
                if !items.is_empty() {
                    return items;
                }
                self.visible(next).or_else(|| self.wrapped(next)).or_else(|| self.braced(next)).or_else(
                    || {
                        if quoted { self.attributes(next) } else { None }
                    },
                )
            }
            b',' => self.parameter(next),
            b')' | b'(' => self.returned(next),
            _ => None,
        };
        one.into_iter().collect()
    }

    /// Behind the separator at `pos`, over blanks and line breaks.
    fn behind(self, pos: usize) -> Option<usize> {
        let text = self.text;
        let sign = blanks(text, pos);
        let length = match (at(text, sign), at(text, sign + 1)) {
            (b'=' | b'-', b'>') | (b':', b'=') => 2,
            (b':', b':') => return None,
            (b':' | b'=', _) => 1,
            _ => return None,
        };
        Some(run(text, sign + length, GAP_BYTES_MAX, |b| b.is_ascii_whitespace()))
    }

    /// `'name' =>\n  string(9) "x"` of PHP, `name: (string) (len=9) "x"` and `"Name":[]string{"x"}` of Go,
    /// `name: Some(\n    "x",\n)` of Rust.
    fn wrapped(self, pos: usize) -> Option<Value> {
        let text = self.text;
        let start = self.behind(pos)?;
        let value = if has(text, start, b"string(") {
            let digits = run(text, start + 7, 8, |b| b.is_ascii_digit());
            digits + 1
        } else if has(text, start, b"(string) (len=") {
            let digits = run(text, start + 14, 8, |b| b.is_ascii_digit());
            digits + 1
        } else if has(text, start, b"[]string{") {
            start + 9
        } else {
            let name = run(text, start, 24, |b| b.is_ascii_alphanumeric() || b == b'_');
            if name == start || at(text, name) != b'(' || !matches!(at(text, name + 1), b'\n' | b'\r' | b'\\')
            {
                return None;
            }
            let gap = name + 1 + usize::from(at(text, name + 1) == b'\\');
            let gap = if gap > name + 1 && at(text, gap) == b'n' { gap + 1 } else { name + 1 };
            run(text, gap, GAP_BYTES_MAX, |b| b.is_ascii_whitespace())
        };
        quoted_at(text, blanks(text, value), Joint::Assigned, self.max)
    }

    /// `["name":"Class":private]=>\n  string(9) "x"`, `[name:Class:private] => x`.
    fn visible(self, pos: usize) -> Option<Value> {
        let Self { text, max, .. } = self;
        let close = run(text, pos, TYPE_BYTES_MAX, |b| !matches!(b, b']' | b'\n' | b' ' | b'='));
        let inside = slice(text, pos, close);
        if at(text, pos) != b':' || at(text, close) != b']' {
            return None;
        }
        if !(inside.ends_with(b"private") || inside.ends_with(b"protected")) {
            return None;
        }
        let start = self.behind(close + 1)?;
        if has(text, start, b"string(") {
            let digits = run(text, start + 7, 8, |b| b.is_ascii_digit());
            return quoted_at(text, blanks(text, digits + 1), Joint::Assigned, max);
        }
        Some(value_at(text, start, Joint::Assigned, max))
    }

    /// `'name': ['x', 'y']`: words, not the sentences of a validation.
    fn listed(self, pos: usize) -> Vec<Value> {
        let Self { text, max, .. } = self;
        let mut values = Vec::new();
        let Some(start) = self.behind(pos) else { return values };
        if !matches!(at(text, start), b'[' | b'(') || quote(text, blanks(text, start + 1)).is_none() {
            return values;
        }
        let mut next = start + 1;
        for _ in 0..ITEMS_MAX {
            let Some(value) = quoted_at(text, blanks(text, next), Joint::Tuple, max) else { break };
            let word = slice(text, value.start, value.end);
            let code = word.iter().all(|b| b.is_ascii_lowercase() || *b == b'_') && word.contains(&b'_');
            if word.len() < 6 || word.contains(&b' ') || is_prose(word) || code {
                return Vec::new();
            }
            values.push(value);
            let after = blanks(text, closed_by(text, value.end));
            if at(text, after) != b',' {
                break;
            }
            next = after + 1;
        }
        values
    }

    /// `PWD={x};` of ODBC.
    fn braced(self, pos: usize) -> Option<Value> {
        let Self { text, start, max, .. } = self;
        let before_it = matches!(before(text, start), b';' | b'"' | b'\'');
        if !before_it || at(text, pos) != b'=' || at(text, pos + 1) != b'{' {
            return None;
        }
        let from = pos + 2;
        let window = slice(text, from, from + max.min(256));
        // Two closing braces stand for one.
        let close = memchr::memchr_iter(b'}', window).take(8).find(|at| {
            window.get(at + 1).is_none_or(|b| matches!(b, b';' | b'"' | b'\'' | b' ' | b'\n' | b'\\'))
        })?;
        let value = Value { start: from, end: from + close, quoted: true, joint: Joint::Assigned };
        (close > 0).then_some(value)
    }

    /// `<setting name="name" serializeAs="String">\n  <value>x<`.
    fn attributes(self, pos: usize) -> Option<Value> {
        let Self { text, max, .. } = self;
        let close = run(text, pos, TYPE_BYTES_MAX, |b| !matches!(b, b'<' | b'>'));
        if at(text, close) != b'>' || before(text, close) == b'/' {
            return None;
        }
        let gap = run(text, close + 1, GAP_BYTES_MAX, |b| b.is_ascii_whitespace());
        if !has(text, gap, b"<value>") {
            return None;
        }
        let start = gap + 7;
        let end = run(text, start, max, |b| b != b'<');
        (start < end).then_some(Value { start, end, quoted: true, joint: Joint::Element })
    }

    /// `"ParameterKey":"name","ParameterValue":"x"` of CloudFormation.
    fn parameter(self, pos: usize) -> Option<Value> {
        const KEY: &[u8] = b"ParameterValue";
        let text = self.text;
        let gap = run(text, pos + 1, GAP_BYTES_MAX, |b| {
            b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b'\\')
        });
        if !has(text, gap, KEY) {
            return None;
        }
        after_name(text, gap, gap + KEY.len(), self.max).filter(|value| value.joint != Joint::Space)
    }

    /// `getItem("name") -> "x"`, `name() -> 'x'`.
    fn returned(self, pos: usize) -> Option<Value> {
        let text = self.text;
        let close = run(text, pos, 2, |b| matches!(b, b'(' | b')'));
        let arrow = blanks(text, close);
        if before(text, close) != b')' || !has(text, arrow, b"->") || is_name(at(text, arrow + 2)) {
            return None;
        }
        quoted_at(text, blanks(text, arrow + 2), Joint::Assigned, self.max)
    }
}
