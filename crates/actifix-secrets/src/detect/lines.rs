//! Lines of protocols and commands in which the secret is a word at a fixed place.
use super::calls::is_likely;
use super::checks::is_nothing;
use super::hunt::Hunt;
use super::value::{Joint, blanks, closed_by, value_at};
use crate::bytes::{at, before, has, slice, starts_token};

/// Longest word.
const WORD_BYTES_MAX: usize = 256;
/// How far before a flag the program stands that pipes into it.
const PIPE_BYTES_MAX: usize = 300;

/// A command with the number of words before its secret.
struct Line {
    keyword: &'static str,
    skip: usize,
    /// Written in capitals, as commands of a protocol are.
    capitals: bool,
}

const fn line(keyword: &'static str, skip: usize) -> Line {
    Line { keyword, skip, capitals: false }
}

const LINES: &[Line] = &[
    line("add_user ", 1),
    line("change_password ", 1),
    line("vault login ", 0),
    line("alias set ", 3),
    line("net user ", 1),
    line("htpasswd -b ", 2),
    line("htpasswd -bc ", 2),
    line("htpasswd -cb ", 2),
    line("requirepass ", 0),
    line("masterauth ", 0),
    line("_authtoken ", 0),
    Line { keyword: "login ", skip: 1, capitals: true },
];

/// The keywords with their numbers.
pub(super) fn lines() -> impl Iterator<Item = (u8, &'static str)> {
    (0..).zip(LINES.iter().map(|line| line.keyword))
}

impl Hunt<'_> {
    /// The words of a command stand at `start..end`.
    pub(super) fn line(&mut self, number: u8, start: usize, end: usize) {
        let text = self.text;
        let Some(line) = LINES.get(usize::from(number)) else { return };
        let capitals = slice(text, start, end).iter().all(|b| !b.is_ascii_lowercase());
        if (line.capitals && !capitals) || !starts_token(text, start) {
            return;
        }
        if let Some((from, to)) = self.word_after(end, line.skip) {
            self.likely(from, to);
        }
    }

    /// The word after some others: (start, end).
    fn word_after(&mut self, pos: usize, skip: usize) -> Option<(usize, usize)> {
        let text = self.text;
        let mut next = blanks(text, pos);
        for index in 0..=skip {
            let value = value_at(text, next, Joint::Flag, WORD_BYTES_MAX);
            self.work += value.end - value.start;
            if value.start == value.end || at(text, value.start) == b'-' {
                return None;
            }
            if index == skip {
                return Some((value.start, value.end));
            }
            let after = if value.quoted { closed_by(text, value.end) } else { value.end };
            next = blanks(text, after);
            if next == after {
                return None;
            }
        }
        None
    }

    fn likely(&mut self, start: usize, end: usize) {
        let word = slice(self.text, start, end);
        let file = word.contains(&b'/') || memchr::memmem::find(word, b"://").is_some();
        let uuid = crate::bytes::is_uuid(word);
        if !file && (is_likely(word) || uuid) {
            self.password(start, end);
        }
    }

    /// `PASS x`, `AUTH x`, `AUTH default x`, `"AUTH" "default" "x"`: whether the name at `start..end` is such a command.
    pub(super) fn protocol(&mut self, start: usize, end: usize) -> bool {
        let text = self.text;
        let name = slice(text, start, end);
        let edge = matches!(before(text, start), 0 | b'\n' | b'\r' | b'"' | b'\'' | b' ');
        if !matches!(name, b"PASS" | b"AUTH") || !edge {
            return false;
        }
        let after = closed_by(text, end);
        let found = self.spans.len();
        for skip in 0..=usize::from(name == b"AUTH") {
            let Some((from, to)) = self.word_after(after, skip) else { continue };
            if is_file_name(slice(text, from, to)) {
                return true;
            }
            self.likely(from, to);
        }
        self.spans.len() > found
    }

    /// `ACL SETUSER bob on >x ~*`; `pos` is behind the command.
    pub(super) fn access_list(&mut self, pos: usize) {
        let text = self.text;
        let mut next = blanks(text, pos);
        for _ in 0..16 {
            let end =
                crate::bytes::run(text, next, WORD_BYTES_MAX, |b| b > b' ' && !matches!(b, b'"' | b'\''));
            self.work += end - next;
            if end == next {
                return;
            }
            if at(text, next) == b'>' && !is_nothing(slice(text, next + 1, end)) {
                self.password(next + 1, end);
            }
            next = crate::bytes::run(text, end, 4, |b| matches!(b, b' ' | b'"' | b'\''));
        }
    }

    /// `echo x | docker login --password-stdin`; the flag stands at `pos`.
    pub(super) fn standard_input(&mut self, pos: usize) {
        let text = self.text;
        let from = pos.saturating_sub(PIPE_BYTES_MAX);
        let head = slice(text, from, pos);
        self.work += 2 * head.len();
        let Some(pipe) = memchr::memrchr(b'|', head) else { return };
        let Some(echo) = memchr::memmem::rfind(slice(head, 0, pipe), b"echo ") else { return };
        let mut start = blanks(text, from + echo + 5);
        if has(text, start, b"-n ") {
            start = blanks(text, start + 3);
        }
        let value = value_at(text, start, Joint::Flag, WORD_BYTES_MAX);
        if value.end <= from + pipe {
            self.password(value.start, value.end);
        }
    }
}

/// `login.test.ts`: what a test runner says after PASS.
fn is_file_name(word: &[u8]) -> bool {
    memchr::memrchr(b'.', word).is_some_and(|dot| {
        let ending = slice(word, dot + 1, word.len());
        (1..=4).contains(&ending.len()) && ending.iter().all(u8::is_ascii_lowercase)
    })
}
