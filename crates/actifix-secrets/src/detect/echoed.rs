//! Errors that say which field was wrong and print its value: the name and the value stand in different phrases of one
//! sentence, at a bounded distance.
use super::hunt::Hunt;
use super::value::{FIRST_BYTES_MAX, Joint, Value, blanks, closed_by, quote, quoted_at, value_at};
use crate::bytes::{at, before, has, is_name, run, slice};

/// How far from a phrase its other half is looked for.
const NEAR_BYTES_MAX: usize = 200;
/// Longest line above a phrase, and longest list of the parts of a place.
const LINE_BYTES_MAX: usize = 400;
const PLACE_BYTES_MAX: usize = 200;
/// How far behind a place its value is looked for.
const RECORD_BYTES_MAX: usize = 500;
/// Keys of the value in such a record.
const VALUE_KEYS: &[&[u8]] = &[b"input", b"received", b"rejectedValue", b"value", b"actual"];

/// Where a name or value stands.
#[derive(Clone, Copy, Debug)]
enum Where {
    /// Right after the phrase.
    Here,
    /// Behind some words after it.
    After(&'static [u8]),
    /// Behind some words before it.
    Before(&'static [u8]),
    /// On the line above.
    Above,
}

/// A phrase with the places of the name and the value.
struct Phrase {
    keyword: &'static str,
    name: Where,
    value: Where,
}

/// Their keywords are rare in texts that echo nothing.
const PHRASES: &[Phrase] = &[
    // pydantic
    Phrase { keyword: "input_value=", name: Where::Above, value: Where::Here },
    // Spring
    Phrase { keyword: "rejected value [", name: Where::Before(b"field "), value: Where::Here },
    Phrase { keyword: "property: ", name: Where::Here, value: Where::After(b"value: ") },
    // Bean Validation
    Phrase { keyword: "invalidvalue=", name: Where::Before(b"propertypath="), value: Where::Here },
    // .NET
    Phrase { keyword: "actual value was ", name: Where::Before(b"parameter "), value: Where::Here },
    // Mongoose
    Phrase { keyword: " at path ", name: Where::Here, value: Where::Before(b"value ") },
    Phrase { keyword: "path `", name: Where::Here, value: Where::After(b"` (") },
    // Go
    Phrase { keyword: "struct field ", name: Where::Here, value: Where::After(b": ") },
    // Python
    Phrase { keyword: "invalid literal for ", name: Where::After(b"field "), value: Where::After(b": ") },
    // Go, Rust, Python: arguments of a command
    Phrase { keyword: "invalid value ", name: Where::After(b" for flag -"), value: Where::Here },
    Phrase { keyword: "invalid value ", name: Where::After(b" for '--"), value: Where::Here },
    Phrase { keyword: "argument --", name: Where::Here, value: Where::After(b" value: ") },
    // .NET configuration
    Phrase { keyword: "configuration value ", name: Where::After(b" at "), value: Where::Here },
    // Prisma
    Phrase {
        keyword: "invalid value provided",
        name: Where::Before(b"argument "),
        value: Where::After(b"provided string "),
    },
    // MySQL, SQL Server
    Phrase { keyword: "duplicate entry ", name: Where::After(b" for key "), value: Where::Here },
    Phrase { keyword: "duplicate key value is (", name: Where::Before(b"constraint "), value: Where::Here },
];

/// The keywords with their numbers.
pub(super) fn phrases() -> impl Iterator<Item = (u8, &'static str)> {
    (0..).zip(PHRASES.iter().map(|phrase| phrase.keyword))
}

impl Hunt<'_> {
    /// A phrase stands at `start..end`.
    pub(super) fn phrase(&mut self, number: u8, start: usize, end: usize) {
        let Some(phrase) = PHRASES.get(usize::from(number)) else { return };
        if end <= self.covered {
            return;
        }
        self.work += NEAR_BYTES_MAX;
        let Some(name) = self.find(phrase.name, start, end) else { return };
        let Some((from, to)) = self.place_name(name) else { return };
        let Some(named) = self.named(slice(self.text, from, to)) else { return };
        let Some(pos) = self.find(phrase.value, start, end) else { return };
        let text = self.text;
        let value = match before(text, pos) {
            b'[' => self.until(pos, b']'),
            b'(' if quote(text, pos).is_none() => self.until(pos, b')'),
            _ => value_at(text, pos, Joint::Assigned, FIRST_BYTES_MAX),
        };
        self.name_done = self.name_done.max(to);
        self.apart(named, value);
    }

    /// Where a part of a phrase that stands at `start..end` begins.
    fn find(&mut self, part: Where, start: usize, end: usize) -> Option<usize> {
        let text = self.text;
        match part {
            Where::Here => Some(end),
            Where::After(words) => {
                let window = string_end(slice(text, end, end + NEAR_BYTES_MAX)).to_ascii_lowercase();
                memchr::memmem::find(&window, words).map(|found| blanks(text, end + found + words.len()))
            }
            Where::Before(words) => {
                let from = start.saturating_sub(NEAR_BYTES_MAX);
                let window = string_start(slice(text, from, start));
                let from = start - window.len();
                let window = window.to_ascii_lowercase();
                memchr::memmem::rfind(&window, words).map(|found| from + found + words.len())
            }
            Where::Above => {
                self.work += 2 * LINE_BYTES_MAX;
                let from = start.saturating_sub(LINE_BYTES_MAX);
                let window = slice(text, from, start);
                let line = from + line_break(window, window.len())?;
                if at(text, line + newline(text, line)) != b' ' {
                    return None;
                }
                let above = slice(text, from, line);
                Some(line_break(above, above.len()).map_or(from, |found| {
                    let found = from + found;
                    found + newline(text, found)
                }))
            }
        }
    }

    /// The name at `pos`, without quotes around it.
    fn place_name(&self, pos: usize) -> Option<(usize, usize)> {
        let start = pos + quote(self.text, pos).map_or(0, |(length, ..)| length);
        let end = run(self.text, start, 96, |b| is_name(b) || matches!(b, b'[' | b']' | b':'));
        let end = if matches!(before(self.text, end), b'.' | b':') { end - 1 } else { end };
        (start < end).then_some((start, end))
    }

    /// The value from `pos` to a closing bracket.
    fn until(&self, pos: usize, close: u8) -> Value {
        let end = run(self.text, pos, NEAR_BYTES_MAX, |b| b != close && b != b'\n');
        Value { start: pos, end, quoted: true, joint: Joint::Assigned }
    }

    /// `'loc': ('body', 'password'), …, 'input': 'x'`, `path: [ 'password' ], received: 'x'`; `pos` is behind the key.
    pub(super) fn placed(&mut self, pos: usize) {
        let text = self.text;
        let start = if before(text, pos) == b'[' { pos } else { blanks(text, pos) + 1 };
        if !matches!(before(text, start), b'[' | b'(') {
            return;
        }
        let end = run(text, start, PLACE_BYTES_MAX, |b| !matches!(b, b']' | b')' | b'\n'));
        let list = slice(text, start, end);
        self.work += 2 * list.len() + RECORD_BYTES_MAX;
        let Some(last) = list.rsplit(|b| *b == b',').find(|part| part.iter().any(u8::is_ascii_alphabetic))
        else {
            return;
        };
        let name = last.trim_ascii();
        let name = slice(name, name.iter().take_while(|b| !is_name(**b)).count(), name.len());
        let name = slice(name, 0, name.iter().take_while(|b| is_name(**b)).count());
        let Some(named) = self.named(name) else { return };
        // The record ends where the next one begins.
        let window = slice(text, end, end + RECORD_BYTES_MAX);
        let next =
            [&b"loc"[..], b"path"].iter().filter_map(|key| key_in(window, key)).min().unwrap_or(window.len());
        let window = slice(window, 0, next);
        for key in VALUE_KEYS {
            let Some(found) = key_in(window, key) else { continue };
            let value = value_at(text, blanks(text, end + found), Joint::Assigned, FIRST_BYTES_MAX);
            self.apart(named, value);
            return;
        }
    }

    /// `assert 'x' == user.password`, `where 'x' = <User bob>.password`; `pos` is behind the opening quote.
    pub(super) fn assertion(&mut self, pos: usize) {
        let text = self.text;
        let Some(left) = quoted_at(text, pos - 1, Joint::Assigned, NEAR_BYTES_MAX) else { return };
        self.work += 2 * NEAR_BYTES_MAX;
        let sign = blanks(text, closed_by(text, left.end));
        let right = run(text, sign, 2, |b| matches!(b, b'=' | b'!'));
        if right == sign {
            return;
        }
        let right = blanks(text, right);
        let end = run(text, right, NEAR_BYTES_MAX, |b| !matches!(b, b'\n' | b'\r'));
        // The member that ends the line.
        let line = slice(text, right, end).trim_ascii_end();
        let name = line.rsplit(|b| !is_name(*b)).next().unwrap_or(line);
        if let Some(named) = self.named(name).filter(|_| !name.is_empty() && !is_quoted(line)) {
            self.apart(named, left);
        }
    }

    /// `failed: password\n  left: "x"\n right: "y"`; the phrase stands at `start..end`.
    pub(super) fn sides(&mut self, start: usize, end: usize) {
        let text = self.text;
        self.work += 3 * NEAR_BYTES_MAX;
        let from = start.saturating_sub(NEAR_BYTES_MAX);
        let head = slice(text, from, start);
        let Some(failed) = memchr::memmem::rfind(head, b"failed: ") else { return };
        let message = slice(head, failed + b"failed: ".len(), head.len());
        let named =
            message.split(|b| !is_name(*b)).filter(|word| word.len() > 2).find_map(|word| self.named(word));
        let Some(named) = named else { return };
        let Some(left) = quoted_at(text, end - 1, Joint::Assigned, NEAR_BYTES_MAX) else { return };
        let right = run(text, closed_by(text, left.end), 8, |b| b.is_ascii_whitespace());
        self.apart(named, left);
        if has(text, right, b"right: ")
            && let Some(right) = quoted_at(text, right + b"right: ".len(), Joint::Assigned, NEAR_BYTES_MAX)
        {
            self.apart(named, right);
        }
    }

    /// The value of `LIKE 'x'`, `IN ('x')`, `<> 'x'` after a name that ends at `pos`.
    pub(super) fn compared(&self, pos: usize, max: usize) -> Option<Value> {
        const SIGNS: &[&[u8]] =
            &[b"like ", b"ilike ", b"in (", b"not in (", b"not like ", b"<> ", b"!= ", b"<>", b"!="];
        let text = self.text;
        let next = blanks(text, closed_by(text, pos));
        let sign = SIGNS.iter().find(|sign| has(text, next, sign))?;
        quoted_at(text, blanks(text, next + sign.len()), Joint::Assigned, max)
    }

    /// `DECLARE @password nvarchar(50) = N'x'`; `pos` is where the name starts.
    pub(super) fn declared(&mut self, pos: usize) {
        let text = self.text;
        let end = run(text, pos, 96, is_name);
        self.work += NEAR_BYTES_MAX;
        let Some(named) = self.named(slice(text, pos, end)) else { return };
        let sign =
            run(text, end, 64, |b| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'(' | b')' | b','));
        if at(text, sign) == b'='
            && let Some(value) = quoted_at(text, blanks(text, sign + 1), Joint::Assigned, FIRST_BYTES_MAX)
        {
            self.apart(named, value);
        }
    }

    /// `PASSWORD('x')` of SQL; the phrase stands at `start..end`.
    pub(super) fn function(&mut self, start: usize, end: usize) {
        let text = self.text;
        let value = quoted_at(text, end - 1, Joint::Assigned, NEAR_BYTES_MAX);
        if let Some(value) = value
            && matches!(before(text, start), b' ' | b'=' | b'(')
            && at(text, closed_by(text, value.end)) == b')'
            && !slice(text, value.start, value.end).contains(&b' ')
            && let Some(named) = self.named(b"password")
        {
            self.apart(named, value);
        }
    }

    /// `IDENTIFIED WITH plugin BY 'x'`; `pos` is where the plugin starts.
    pub(super) fn identified_with(&mut self, pos: usize) {
        let text = self.text;
        let end = blanks(text, run(text, pos, 64, |b| is_name(b) || matches!(b, b'\'' | b'"' | b'`')));
        let verb = [&b"by "[..], b"as "].iter().any(|verb| has(text, end, verb));
        let value = quoted_at(text, blanks(text, end + 3), Joint::Assigned, NEAR_BYTES_MAX).filter(|_| verb);
        if let Some(value) = value
            && let Some(named) = self.named(b"password")
        {
            self.apart(named, value);
        }
    }
}

/// Whether a string of JSON ends here: what follows is another matter, and may stand elsewhere once the keys are sorted.
fn ends_string(pair: &[u8]) -> bool {
    matches!(pair, [b'"', b',' | b']' | b'}' | b':'])
}

/// The part of a text before the end of the string that it begins in.
fn string_end(window: &[u8]) -> &[u8] {
    let end = window.windows(2).position(ends_string);
    slice(window, 0, end.unwrap_or(window.len()))
}

/// The part of a text behind the last end of a string.
fn string_start(window: &[u8]) -> &[u8] {
    let end = window.windows(2).rposition(ends_string);
    slice(window, end.map_or(0, |end| end + 1), window.len())
}

/// The last line break before `end`, real or escaped.
fn line_break(text: &[u8], end: usize) -> Option<usize> {
    let head = slice(text, 0, end);
    let real = memchr::memrchr(b'\n', head);
    real.or_else(|| memchr::memmem::rfind(head, b"\\n"))
}

/// Length of the line break at `pos`.
fn newline(text: &[u8], pos: usize) -> usize {
    if at(text, pos) == b'\n' { 1 } else { 2 }
}

fn is_quoted(word: &[u8]) -> bool {
    matches!(word.last(), Some(b'\'' | b'"' | b'`'))
}

/// Where the value of a key begins in a record: `input: `, `'input': `, `\"input\":`.
fn key_in(window: &[u8], key: &[u8]) -> Option<usize> {
    memchr::memmem::find_iter(window, key).take(8).find_map(|found| {
        if is_name(before(window, found)) {
            return None;
        }
        let colon = closed_by(window, found + key.len());
        (at(window, colon) == b':').then_some(colon + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_records() {
        assert_eq!(key_in(b"'input': 'x'", b"input"), Some(8));
        assert_eq!(key_in(b"my_input: 1, input: 2", b"input"), Some(19));
        assert_eq!(key_in(b"input_value=2", b"input"), None);
        assert!(PHRASES.len() < 255);
    }
}
