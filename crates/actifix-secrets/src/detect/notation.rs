//! Notations in which the value does not simply follow its name: YAML blocks, XML, tuples, dumps of PHP, forms.
use super::value::{Joint, Value, blanks, closed_by, is_placeholder, quote, quoted_at, value_at, word_end};
use crate::bytes::{at, before, has, is_name, run, slice};

/// Longest tag, header or indentation that is followed.
const TAG_BYTES_MAX: usize = 256;
/// Lines of a block, items of a list.
const LINES_MAX: usize = 64;

/// The name and what stands around it.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a> {
    pub text: &'a [u8],
    pub start: usize,
    pub end: usize,
    /// How much of a value is looked at.
    pub max: usize,
}

impl Around<'_> {
    /// The values of a name in one of the notations, none if it stands in no such notation.
    pub(crate) fn values(self) -> Vec<Value> {
        if let Some(value) =
            self.element().or_else(|| self.tuple()).or_else(|| self.dump()).or_else(|| self.form())
        {
            return vec![value];
        }
        let dumped = self.dumped();
        if !dumped.is_empty() {
            return dumped;
        }
        self.lines()
    }

    /// Where the name ends with the quote after it, if there is one.
    fn unquoted(self) -> (usize, bool) {
        match quote(self.text, self.end) {
            Some((length, ..)) => (self.end + length, true),
            None => (self.end, false),
        }
    }

    fn value(self, start: usize, end: usize) -> Option<Value> {
        (start < end).then_some(Value { start, end, quoted: true, joint: Joint::Element })
    }

    /// `<ns:name attr="x">value<`, `<name><![CDATA[value]]>`, `<property name="name">value<`,
    /// `<key>name</key><string>value<`, `&lt;name&gt;value&lt;`.
    fn element(self) -> Option<Value> {
        let Self { text, start, end, max } = self;
        let mut open = start;
        while open > start.saturating_sub(32) && (is_name(before(text, open)) || before(text, open) == b':') {
            open -= 1;
        }
        if has(text, open.saturating_sub(4), b"&lt;") && has(text, end, b"&gt;") {
            let from = end + 4;
            let length = memchr::memchr(b'&', slice(text, from, from + max))?;
            return self.value(from, from + length);
        }
        if before(text, open) == b'<' && !is_placeholder(text, open) {
            let close = run(text, end, TAG_BYTES_MAX, |b| !matches!(b, b'<' | b'>' | b'\n'));
            let attributes = matches!(at(text, end), b' ' | b'\t' | b'>');
            if at(text, close) != b'>' || before(text, close) == b'/' || !attributes {
                return None;
            }
            return self.content(close + 1);
        }
        let (next, quoted) = self.unquoted();
        if quoted && at(text, next) == b'>' && self.after_attribute(&[b"name=", b"key="]) {
            return self
                .content(next + 1)
                .filter(|value| !slice(text, value.start, value.end).contains(&b' '));
        }
        if before(text, start) == b'>' && has(text, end, b"</") {
            let tag = run(text, end + 2, 32, is_name);
            let gap = run(text, tag + 1, 64, |b| b.is_ascii_whitespace());
            let inner = run(text, gap + 1, 16, |b| b.is_ascii_alphabetic());
            let known = [&b"string"[..], b"value", b"data"].contains(&slice(text, gap + 1, inner));
            if at(text, tag) == b'>' && at(text, gap) == b'<' && at(text, inner) == b'>' && known {
                return self.content(inner + 1);
            }
        }
        None
    }

    /// The text of an element that starts at `pos`.
    fn content(self, pos: usize) -> Option<Value> {
        const CDATA: &[u8] = b"<![CDATA[";
        let from = run(self.text, pos, 64, |b| b.is_ascii_whitespace());
        if has(self.text, from, CDATA) {
            let from = from + CDATA.len();
            let window = slice(self.text, from, from + self.max);
            return self.value(from, from + memchr::memmem::find(window, b"]]>").unwrap_or(window.len()));
        }
        // `<value><string>x<`
        let from = if has(self.text, from, b"<string>") { from + 8 } else { from };
        self.value(from, run(self.text, from, self.max, |b| b != b'<'))
    }

    /// Whether one of some attribute names stands before the quoted name.
    fn after_attribute(self, attributes: &[&[u8]]) -> bool {
        let mut open = self.start;
        while open > 0 && open + 8 > self.start && matches!(before(self.text, open), b'"' | b'\'' | b'\\') {
            open -= 1;
        }
        open < self.start
            && attributes.iter().any(|name| {
                open >= name.len() && slice(self.text, open - name.len(), open).eq_ignore_ascii_case(name)
            })
    }

    /// `('name', 'value')`, `define('NAME', 'value')`, `{name,"value"}`, `["name", "value"]`.
    fn tuple(self) -> Option<Value> {
        let Self { text, max, .. } = self;
        let (next, quoted) = self.unquoted();
        let mut open = self.start;
        while quoted
            && open > 0
            && open + 4 > self.start
            && matches!(before(text, open), b'"' | b'\'' | b'\\')
        {
            open -= 1;
        }
        // `b'name'` and `u'name'`.
        if quoted && matches!(before(text, open), b'b' | b'u') {
            open -= 1;
        }
        // An atom of Elixir, and a blank after the bracket.
        if matches!(
            (before(text, open), before(text, open.saturating_sub(1))),
            (b':', b'{') | (b' ', b'(' | b'[')
        ) {
            open -= 1;
        }
        let comma = blanks(text, next);
        let opener = before(text, open);
        if at(text, comma) != b',' || !(opener == b'{' || (quoted && matches!(opener, b'(' | b'['))) {
            return None;
        }
        let start = blanks(text, comma + 1);
        // A binary of Erlang.
        let binary = has(text, start, b"<<");
        let value = quoted_at(text, if binary { start + 2 } else { start }, Joint::Tuple, max)?;
        let after = blanks(text, closed_by(text, value.end));
        let after = if binary && has(text, after, b">>") { blanks(text, after + 2) } else { after };
        matches!((opener, at(text, after)), (b'{', b'}') | (b'(', b')' | b',') | (b'[', b']'))
            .then_some(value)
    }

    /// `["name"]=> string(9) "value"` and `s:4:"name";s:9:"value";` of PHP, `name="x"` of a form part with more headers.
    fn dump(self) -> Option<Value> {
        let Self { text, max, .. } = self;
        let (next, quoted) = self.unquoted();
        if !quoted {
            return None;
        }
        if has(text, next, b";s:") {
            let digits = run(text, next + 3, 8, |b| b.is_ascii_digit());
            return quoted_at(text, digits + 1, Joint::Assigned, max).filter(|_| at(text, digits) == b':');
        }
        if has(text, next, b"]=>") {
            let gap = run(text, next + 3, 64, |b| b.is_ascii_whitespace() || matches!(b, b'\\' | b'n'));
            if has(text, gap, b"string(") {
                let digits = run(text, gap + 7, 8, |b| b.is_ascii_digit());
                return quoted_at(text, blanks(text, digits + 1), Joint::Assigned, max);
            }
        }
        if self.after_attribute(&[b"name="])
            && (has(text, next, b"\r\nContent-") || has(text, next, b"\nContent-"))
        {
            let window = slice(text, next, next + 2 * TAG_BYTES_MAX);
            let found = memchr::memmem::find(window, b"\r\n\r\n").map(|found| found + 4);
            let found = found.or_else(|| memchr::memmem::find(window, b"\n\n").map(|found| found + 2))?;
            return Some(value_at(text, next + found, Joint::Assigned, max));
        }
        None
    }

    /// `<input value="x" name="name">`: the value stands before.
    fn form(self) -> Option<Value> {
        if !self.after_attribute(&[b"name=", b"id=", b"key="]) {
            return None;
        }
        let from = self.start.saturating_sub(TAG_BYTES_MAX);
        let tag = from + memchr::memrchr(b'<', slice(self.text, from, self.start))?;
        let found = memchr::memmem::find(slice(self.text, tag, self.start), b" value=")?;
        quoted_at(self.text, tag + found + 7, Joint::Assigned, self.max)
            .filter(|value| value.end < self.start)
    }

    /// YAML: a block, a list or a word on the lines after `name:`; a here-document after `name =`.
    fn lines(self) -> Vec<Value> {
        let Self { text, max, .. } = self;
        let (next, _) = self.unquoted();
        let sign = blanks(text, next);
        let colon = at(text, sign) == b':';
        let mut pos = blanks(text, sign + 1);
        if colon && matches!(at(text, pos), b'&' | b'!') {
            let word = run(text, pos, 64, |b| b > b' ');
            let value = blanks(text, word);
            if word < value {
                return vec![value_at(text, value, Joint::Assigned, max)];
            }
        }
        let block = colon && matches!(at(text, pos), b'|' | b'>');
        let here = at(text, sign) == b'=' && has(text, pos, b"<<");
        if block || here {
            pos = run(text, pos, 64, |b| b > b' ');
        }
        pos = blanks(text, pos);
        let line = match (at(text, pos), at(text, pos + 1)) {
            (b'\r', b'\n') => pos + 2,
            (b'\n', _) => pos + 1,
            _ => return Vec::new(),
        };
        if !(colon || here) {
            return Vec::new();
        }
        if block || here {
            return self.block(line, here).into_iter().collect();
        }
        self.items(line)
    }

    /// Lines that are indented as the first one, or up to the word that ends a here-document.
    fn block(self, line: usize, here: bool) -> Option<Value> {
        let text = self.text;
        let start = blanks(text, line);
        let indent = start - line;
        let mut end = start;
        let mut pos = line;
        for _ in 0..LINES_MAX {
            let from = blanks(text, pos);
            let to = run(text, from, self.max, |b| b != b'\n' && b != b'\r');
            let empty = from == to;
            let word = !here || !slice(text, from, to).iter().all(u8::is_ascii_uppercase);
            let inside = empty || (from - pos >= indent && (here || indent > 0) && word);
            if !inside || to >= text.len() {
                end = if inside && !empty { to } else { end };
                break;
            }
            end = if empty { end } else { to };
            pos = to + if has(text, to, b"\r\n") { 2 } else { 1 };
        }
        self.value(start, end)
    }

    /// Words on lines of their own after a name, with or without a dash.
    fn items(self, line: usize) -> Vec<Value> {
        let text = self.text;
        let mut values = Vec::new();
        let mut pos = line;
        for index in 0..LINES_MAX {
            let start = blanks(text, pos);
            let dash = at(text, start) == b'-' && at(text, start + 1) == b' ';
            if !dash && index > 0 {
                break;
            }
            let start = if dash { blanks(text, start + 2) } else { start };
            let value = value_at(text, start, Joint::Line, self.max);
            let after = blanks(text, if value.quoted { closed_by(text, value.end) } else { value.end });
            let alone = matches!(at(text, after), b'\n' | b'\r') || after >= text.len();
            if value.start >= value.end || !alone {
                break;
            }
            values.push(value);
            if !dash {
                break;
            }
            pos = after + if has(text, after, b"\r\n") { 2 } else { 1 };
        }
        values
    }
}

/// `name;value` without blanks: the second cell of a list.
pub(crate) fn cell(text: &[u8], pos: usize, max: usize) -> Option<Value> {
    if at(text, pos) != b';' || !at(text, pos + 1).is_ascii_graphic() {
        return None;
    }
    let end = word_end(text, pos + 1, max);
    Some(Value { start: pos + 1, end, quoted: false, joint: Joint::Space })
}

/// `userPassword:: dmFsdWU=` of LDIF.
pub(crate) fn doubled(text: &[u8], pos: usize, max: usize) -> Option<Value> {
    let start = blanks(text, pos + 2);
    (has(text, pos, b"::") && start > pos + 2).then(|| value_at(text, start, Joint::Assigned, max))
}
