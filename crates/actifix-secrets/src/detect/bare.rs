//! User and password of an address without a scheme: Go's database driver, proxies, Oracle, the parts of an address that
//! an error quotes.
use super::checks::is_nothing;
use super::hunt::Hunt;
use super::value::{Joint, blanks, value_at};
use crate::bytes::{before, has, is_name, run, slice};

/// Longest user and password together, and longest host.
const PAIR_BYTES_MAX: usize = 300;
const HOST_BYTES_MAX: usize = 253;

impl Hunt<'_> {
    /// `user:x@tcp(host)/db`; the `@` stands at `pos`.
    pub(super) fn driver(&mut self, pos: usize) {
        let start = self.back_to_blank(pos);
        let pair = slice(self.text, start, pos);
        if let Some(colon) = memchr::memchr(b':', pair)
            && memchr::memmem::find(pair, b"://").is_none()
        {
            self.bare_password(start + colon + 1, pos);
        }
    }

    /// `http_proxy=user:x@host:3128`; `pos` is behind the sign.
    pub(super) fn proxy(&mut self, pos: usize) {
        let value = value_at(self.text, blanks(self.text, pos), Joint::Assigned, PAIR_BYTES_MAX);
        let word = slice(self.text, value.start, value.end);
        self.work += 2 * word.len();
        let (Some(colon), Some(sign)) = (memchr::memchr(b':', word), memchr::memrchr(b'@', word)) else {
            return;
        };
        if colon < sign && memchr::memmem::find(word, b"://").is_none() {
            self.bare_password(value.start + colon + 1, value.start + sign);
        }
    }

    /// `scott/x@host:1521/db`; the port stands at `pos`.
    pub(super) fn listener(&mut self, pos: usize) {
        let text = self.text;
        let from = pos.saturating_sub(HOST_BYTES_MAX);
        let host = slice(text, from, pos);
        let length = host.iter().rev().take_while(|b| is_name(**b) || **b == b'/').count();
        self.work += length;
        let sign = pos - length;
        if before(text, sign) != b'@' {
            return;
        }
        let start = self.back_to_blank(sign - 1);
        let pair = slice(text, start, sign - 1);
        let Some(slash) = memchr::memchr(b'/', pair) else { return };
        let user = slice(pair, 0, slash);
        let plain = !user.is_empty() && user.iter().all(|b| is_name(*b) || matches!(b, b':' | b'$' | b'#'));
        if plain && pair.get(slash + 1).is_some_and(|b| *b != b'/') {
            self.bare_password(start + slash + 1, sign - 1);
        }
    }

    /// `invalid integer value "x@db1" for connection option "port"`; the phrase stands at `pos`.
    pub(super) fn option(&mut self, pos: usize) {
        let text = self.text;
        if !matches!(before(text, pos), b'"' | b'\'') {
            return;
        }
        let close = pos.saturating_sub(1);
        let from = pos.saturating_sub(PAIR_BYTES_MAX);
        let head = slice(text, from, close);
        self.work += head.len();
        let Some(open) = memchr::memrchr2(b'"', b'\'', head) else { return };
        let start = from + open + 1;
        if let Some(sign) = memchr::memrchr(b'@', slice(text, start, close)) {
            self.bare_password(start, start + sign);
        }
    }

    /// Where the word before `pos` begins: at a blank, quote or bracket.
    fn back_to_blank(&mut self, pos: usize) -> usize {
        let from = pos.saturating_sub(PAIR_BYTES_MAX);
        let head = slice(self.text, from, pos);
        let length = head
            .iter()
            .rev()
            .take_while(|b| **b > b' ' && !matches!(b, b'"' | b'\'' | b'`' | b'(' | b'<'))
            .count();
        self.work += length;
        pos - length
    }

    fn bare_password(&mut self, start: usize, end: usize) {
        let word = slice(self.text, start, end);
        if let Some(rule) = self.engine.special.url_password
            && !word.is_empty()
            && (word.len() < 2 || !is_nothing(word))
            && !has(word, 0, b"[redacted:")
            && run(word, 0, word.len(), |b| b > b' ') == word.len()
        {
            self.add(start, end, rule, true);
            self.covered = self.covered.max(end);
        }
    }
}
