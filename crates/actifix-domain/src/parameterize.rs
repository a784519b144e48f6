//! Text without its accidents: ids, numbers, times and addresses become tokens, so that two reports of one
//! failure read the same (`ingest.md` §13.1).
//!
//! A hand-written scanner: the table needs to look at neighbouring bytes, and it runs on every event.

mod address;
mod id;
mod number;
mod time;

use std::borrow::Cow;

/// Lines of the text that are read; empty ones do not count.
pub const LINES_MAX: usize = 2;
/// Characters of the joined lines that are read.
pub const CHARS_MAX: usize = 1_024;
/// Bytes inside the brackets of a redaction token: a rule id of 64 and a hash, with room to spare.
const REDACTION_BYTES_MAX: usize = 128;

/// Replaces what differs between reports of one failure by tokens such as `<num>`, collapses white space.
///
/// Reads the first [`LINES_MAX`] non-empty lines, cut to [`CHARS_MAX`] characters. Time is linear in them.
pub fn parameterize(text: &str) -> String {
    let input = first_lines(text);
    let mut out = Output { text: String::with_capacity(input.len()) };
    let scan = Scan { bytes: input.as_bytes() };
    let mut runs = Runs::default();
    let mut at = 0;
    while let Some(byte) = scan.get(at) {
        if let Some(found) = scan.token_at(at, &mut runs) {
            match found.token {
                Some(token) => out.text.push_str(token),
                None => out.copy(input.get(at..found.end).unwrap_or_default()),
            }
            at = found.end;
            continue;
        }
        let next = scan.plain_end(at, byte);
        let piece = input.get(at..next).unwrap_or_default();
        if byte.is_ascii_graphic() {
            out.text.push_str(piece);
        } else {
            out.copy(piece);
        }
        at = next;
    }
    out.finish()
}

/// The first non-empty lines joined by a space, cut.
fn first_lines(text: &str) -> Cow<'_, str> {
    let mut lines = text.split('\n').filter(|line| !line.trim().is_empty()).take(LINES_MAX);
    let first = lines.next().unwrap_or_default();
    let joined = match lines.next() {
        None => Cow::Borrowed(first),
        Some(second) => Cow::Owned(format!("{} {}", cut(first), cut(second))),
    };
    match joined {
        Cow::Borrowed(line) => Cow::Borrowed(cut(line)),
        Cow::Owned(line) => Cow::Owned(cut(&line).to_owned()),
    }
}

fn cut(line: &str) -> &str {
    if line.len() <= CHARS_MAX {
        return line;
    }
    let end = line.char_indices().nth(CHARS_MAX).map_or(line.len(), |(at, _)| at);
    line.get(..end).unwrap_or(line)
}

/// The text under construction; white space runs are one space from the start.
struct Output {
    text: String,
}

impl Output {
    fn copy(&mut self, piece: &str) {
        for char in piece.chars() {
            if !char.is_whitespace() {
                self.text.push(char);
            } else if !self.text.is_empty() && !self.text.ends_with(' ') {
                self.text.push(' ');
            }
        }
    }

    fn finish(mut self) -> String {
        self.text.truncate(self.text.trim_end().len());
        self.text
    }
}

/// A match: where it ends, and its token (none: it is copied as it is).
struct Found {
    end: usize,
    token: Option<&'static str>,
}

/// The input as bytes. Positions beyond the end read as 0, which is no part of any match.
#[derive(Clone, Copy)]
struct Scan<'a> {
    bytes: &'a [u8],
}

/// What is known about the run of e-mail or scheme characters that the scan is in. Where such a run ends
/// does not depend on where in it one starts, so each run is looked at once: this keeps the scan linear.
#[derive(Default)]
struct Runs {
    email: Run,
    scheme: Run,
}

#[derive(Default)]
struct Run {
    /// One past the last byte of the run.
    end: usize,
    /// Where a match that starts in this run ends.
    found: Option<usize>,
}

impl Scan<'_> {
    fn get(self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn at(self, at: usize) -> u8 {
        self.get(at).unwrap_or(0)
    }

    /// The byte before `at`; 0 at the start.
    fn before(self, at: usize) -> u8 {
        at.checked_sub(1).map_or(0, |place| self.at(place))
    }

    /// A match may end at `end`: no letter or digit follows.
    fn ends(self, end: usize) -> bool {
        !self.at(end).is_ascii_alphanumeric()
    }

    fn starts_with(self, at: usize, word: &[u8]) -> bool {
        self.bytes.get(at..).is_some_and(|rest| rest.starts_with(word))
    }

    /// One past the last byte from `at` on that `belongs`, at most `max` bytes further.
    fn run(self, at: usize, max: usize, belongs: impl Fn(u8) -> bool) -> usize {
        let rest = self.bytes.get(at..).unwrap_or_default();
        at + rest.iter().take(max).take_while(|byte| belongs(**byte)).count()
    }

    /// `at` plus exactly `count` digits.
    fn digits(self, at: usize, count: usize) -> Option<usize> {
        (self.run(at, count, |byte| byte.is_ascii_digit()) == at + count).then_some(at + count)
    }

    /// `at` plus one byte, when it is `byte`.
    fn byte(self, at: usize, byte: u8) -> Option<usize> {
        (self.get(at) == Some(byte)).then_some(at + 1)
    }

    /// One past what is copied when nothing matches at `at`: within a run of letters and digits nothing can
    /// start, and a character is not torn apart.
    fn plain_end(self, at: usize, byte: u8) -> usize {
        if byte.is_ascii_alphanumeric() {
            return self.run(at, usize::MAX, |byte| byte.is_ascii_alphanumeric());
        }
        self.run(at + 1, 3, |byte| (0x80..0xC0).contains(&byte))
    }

    /// The first row of the table that matches at `at`.
    fn token_at(self, at: usize, runs: &mut Runs) -> Option<Found> {
        let byte = self.at(at);
        if byte == b'[' {
            return self.redaction(at);
        }
        if self.before(at).is_ascii_alphanumeric() {
            return None;
        }
        let token = |token: &'static str| move |end: usize| Found { end, token: Some(token) };
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => self
                .email(at, &mut runs.email)
                .map(token("<email>"))
                .or_else(|| self.url(at, &mut runs.scheme).map(token("<url>")))
                .or_else(|| self.uuid(at).map(token("<uuid>")))
                .or_else(|| self.mac(at).map(token("<mac>")))
                .or_else(|| self.timestamp(at).map(token("<ts>")))
                .or_else(|| self.address(at).map(token("<ip>")))
                .or_else(|| self.hex(at).map(token("<hex>")))
                .or_else(|| self.pod_hash(at).map(token("<hex>")))
                .or_else(|| self.pod_end(at).map(token("<id>")))
                .or_else(|| self.ulid(at).map(token("<id>")))
                .or_else(|| self.long_duration(at).map(token("<dur>")))
                .or_else(|| self.quantity(at))
                .or_else(|| self.boolean(at).map(token("<bool>")))
                .or_else(|| self.prefixed(at).map(token("<id>")))
                .or_else(|| self.temporary(at).map(token("tmp<id>"))),
            b'.' | b'_' | b'%' | b'+' => self.email(at, &mut runs.email).map(token("<email>")),
            b'-' => self.email(at, &mut runs.email).map(token("<email>")).or_else(|| self.quantity(at)),
            b':' => self.address(at).map(token("<ip>")),
            b'\'' | b'"' => self.quoted(at, byte).map(token("<str>")),
            _ => None,
        }
    }

    /// End of `[redacted:…]` at `at`.
    fn redaction_end(self, at: usize) -> Option<usize> {
        const OPENING: &[u8] = b"[redacted:";
        if !self.starts_with(at, OPENING) {
            return None;
        }
        let inner = at + OPENING.len();
        let end = self.run(inner, REDACTION_BYTES_MAX, |byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':')
        });
        (end > inner).then_some(end).and_then(|end| self.byte(end, b']'))
    }

    /// A masked address or e-mail reads like the bare one; every other redaction token is kept.
    fn redaction(self, at: usize) -> Option<Found> {
        let end = self.redaction_end(at)?;
        let is = |rule: &[u8]| {
            let after = at + b"[redacted:".len();
            self.starts_with(after, rule) && matches!(self.at(after + rule.len()), b']' | b':')
        };
        if is(b"ip") {
            return Some(Found { end: self.port(end).unwrap_or(end), token: Some("<ip>") });
        }
        let token = if is(b"email") { Some("<email>") } else { None };
        Some(Found { end, token })
    }

    fn email(self, at: usize, run: &mut Run) -> Option<usize> {
        let belongs =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-');
        if at >= run.end {
            run.end = self.run(at, usize::MAX, belongs);
            run.found = self.byte(run.end, b'@').and_then(|domain| self.email_domain(domain));
        }
        run.found
    }

    /// Labels, the last one of two or more letters.
    fn email_domain(self, at: usize) -> Option<usize> {
        let mut found = None;
        let mut label = at;
        let mut first = true;
        loop {
            let end = self.run(label, usize::MAX, |byte| byte.is_ascii_alphanumeric() || byte == b'-');
            if end == label {
                return found;
            }
            let letters = self.run(label, usize::MAX, |byte| byte.is_ascii_alphabetic());
            if !first && letters >= label + 2 && self.ends(letters) {
                found = Some(letters);
            }
            let Some(next) = self.byte(end, b'.') else { return found };
            label = next;
            first = false;
        }
    }

    fn url(self, at: usize, run: &mut Run) -> Option<usize> {
        if !self.at(at).is_ascii_alphabetic() {
            return None;
        }
        if at >= run.end {
            run.end = self.run(at, usize::MAX, |byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-')
            });
            run.found = self.starts_with(run.end, b"://").then(|| self.url_rest(run.end + 3));
        }
        run.found
    }

    /// Up to white space or a closing character; a redaction token inside belongs to the URL.
    fn url_rest(self, at: usize) -> usize {
        let mut at = at;
        loop {
            match self.get(at) {
                Some(b'[') => at = self.redaction_end(at).unwrap_or(at + 1),
                None | Some(b'\'' | b'"' | b'`' | b')' | b']' | b'}' | b'<' | b'>') => return at,
                Some(byte) if byte.is_ascii_whitespace() || byte == 0x0B => return at,
                // Non-ASCII white space (U+0085, U+00A0, U+1680, U+2000-200A, U+2028-2029, U+202F, U+205F, U+3000).
                Some(0xC2 | 0xE1 | 0xE2 | 0xE3) if self.wide_space(at) => return at,
                Some(_) => at += 1,
            }
        }
    }

    fn wide_space(self, at: usize) -> bool {
        let end = self.run(at + 1, 3, |byte| (0x80..0xC0).contains(&byte));
        let char = self.bytes.get(at..end).and_then(|bytes| std::str::from_utf8(bytes).ok());
        char.is_some_and(|text| text.chars().all(char::is_whitespace))
    }

    fn boolean(self, at: usize) -> Option<usize> {
        const WORDS: [&[u8]; 5] = [b"true", b"false", b"none", b"null", b"nil"];
        if self.before(at) != b'=' {
            return None;
        }
        let end = self.run(at, 6, |byte| byte.is_ascii_alphanumeric());
        let word = self.bytes.get(at..end)?;
        WORDS.iter().any(|known| known.eq_ignore_ascii_case(word)).then_some(end)
    }

    fn quoted(self, at: usize, quote: u8) -> Option<usize> {
        if self.before(at) != b'=' {
            return None;
        }
        let end = self.byte(self.run(at + 1, usize::MAX, |byte| byte != quote), quote)?;
        self.ends(end).then_some(end)
    }
}

#[cfg(test)]
mod tests;
