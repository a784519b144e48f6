//! Values of sensitive columns and users in SQL statements.
use super::assign::STATEMENT_BYTES_MAX;
use super::checks::{is_nothing, is_prose, random_in_two_cases};
use super::hunt::Hunt;
use super::value::{Joint, VALUE_BYTES_MAX, Value, blanks, quote, value_at};
use super::words::Named;
use crate::bytes::{at, has, run, slice};
use crate::rule::Strength;

/// Bounds of an `INSERT INTO t (…) VALUES (…), (…)`, and what a byte of it costs in bytes of plain search.
const COLUMNS_MAX: usize = 64;
const ROWS_MAX: usize = 1_000;
const TABLE_BYTES_MAX: usize = 128;
const COLUMNS_BYTES_MAX: usize = 4_096;
const INSERT_WORK: usize = 3;

impl Hunt<'_> {
    /// `INSERT INTO users (name, password) VALUES ('bob', 'x'), (…)`; `pos` is after `INSERT INTO`.
    pub(super) fn insert(&mut self, pos: usize) {
        let text = self.text;
        if pos < self.insert_done {
            return;
        }
        let open = run(text, pos, TABLE_BYTES_MAX, |b| b != b'(' && b != b';');
        self.work += open - pos;
        if at(text, open) != b'(' {
            return;
        }
        let close = run(text, open, COLUMNS_BYTES_MAX, |b| b != b')');
        // A list of columns holds no other statement.
        self.insert_done = close;
        self.work += INSERT_WORK * (close - open);
        let sensitive: Vec<Option<Named>> = slice(text, open + 1, close)
            .split(|b| *b == b',')
            .take(COLUMNS_MAX)
            .map(|column| self.named(column).or_else(|| self.key_of(column, slice(text, pos, open))))
            .collect();
        let mut next = run(text, close + 1, 64, |b| b.is_ascii_whitespace() || b == b'\\' || b == b'n');
        if sensitive.iter().all(Option::is_none) || !has(text, next, b"values") {
            return;
        }
        next += 6;
        for _ in 0..ROWS_MAX {
            next = run(text, next, 64, |b| b.is_ascii_whitespace() || b == b',');
            if at(text, next) != b'(' {
                return;
            }
            let row = next + 1;
            next = self.row(row, &sensitive);
            self.work += INSERT_WORK * (next - row);
            self.insert_done = next;
        }
    }

    /// The column `key` of a table of keys: `api_keys(key, owner)`.
    fn key_of(&self, column: &[u8], table: &[u8]) -> Option<Named> {
        let word = column.trim_ascii();
        let key = [&b"key"[..], b"value", b"hash"].iter().any(|name| word.eq_ignore_ascii_case(name));
        if key { self.named(table.trim_ascii()) } else { None }
    }

    fn row(&mut self, start: usize, sensitive: &[Option<Named>]) -> usize {
        let text = self.text;
        let mut pos = start;
        for index in 0..COLUMNS_MAX {
            pos = run(text, pos, 64, |b| b.is_ascii_whitespace() || b == b',');
            if at(text, pos) == b')' || pos >= text.len() {
                return pos + 1;
            }
            let value = if quote(text, pos).is_some() {
                value_at(text, pos, Joint::Assigned, VALUE_BYTES_MAX)
            } else {
                Value {
                    start: pos,
                    end: run(text, pos, 4_096, |b| b != b',' && b != b')'),
                    quoted: false,
                    joint: Joint::Assigned,
                }
            };
            let named = sensitive.get(index).copied().flatten();
            let word = slice(text, value.start, value.end);
            if let Some(named) = named
                && !is_nothing(word)
                && (named.strength != Strength::About || random_in_two_cases(word))
            {
                self.add(value.start, value.end, named.rule, true);
                self.covered = self.covered.max(value.end);
            }
            pos = run(text, value.end.max(pos + 1), 16, |b| matches!(b, b'\'' | b'"' | b'\\' | b'`'));
        }
        pos
    }

    /// `IDENTIFIED BY 'x'`; `pos` is after it.
    pub(super) fn identified_by(&mut self, pos: usize) {
        let text = self.text;
        let mut start = blanks(text, pos);
        if has(text, start, b"password ") {
            start = blanks(text, start + b"password ".len());
        }
        let value = if quote(text, start).is_some() {
            value_at(text, start, Joint::Assigned, VALUE_BYTES_MAX)
        } else {
            // Without quotes only in a statement: things are identified by names, too.
            let head = slice(text, pos.saturating_sub(STATEMENT_BYTES_MAX), pos).to_ascii_lowercase();
            let statement = memchr::memmem::find(&head, b"user ").is_some()
                && [&b"alter"[..], b"create", b"grant"]
                    .iter()
                    .any(|verb| memchr::memmem::find(&head, verb).is_some());
            if !statement {
                return;
            }
            let end =
                run(text, start, 128, |b| b.is_ascii_graphic() && !matches!(b, b';' | b',' | b'"' | b'\''));
            Value { start, end, quoted: false, joint: Joint::Assigned }
        };
        let word = slice(text, value.start, value.end);
        if let Some(named) = self.named(b"password")
            && !is_nothing(word)
            && (value.quoted || !(is_prose(word) || word.eq_ignore_ascii_case(b"values")))
        {
            self.add(value.start, value.end, named.rule, true);
        }
    }
}
