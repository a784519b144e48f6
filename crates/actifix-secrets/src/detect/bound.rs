//! Parameters that stand apart from their statement: the placeholders of the statement say which column each is for.
use super::checks::{is_nothing, looks_random_far};
use super::hunt::Hunt;
use super::value::{FIRST_BYTES_MAX, Joint, Value, blanks, closed_by, quote, quoted_at};
use super::words::Named;
use crate::bytes::{at, before, has, is_name, run, slice};
use crate::rule::Strength;

/// Longest statement, and how many placeholders and parameters are followed.
const STATEMENT_BYTES_MAX: usize = 2_048;
const PARAMETERS_MAX: usize = 64;
const ROWS_MAX: usize = 100;
/// Longest list of columns of a key.
const KEY_BYTES_MAX: usize = 200;
/// What a byte of a statement costs in bytes of plain search.
const STATEMENT_WORK: usize = 3;

/// What is known of the parameters of a statement.
struct Bound {
    /// By position; none for columns that are not sensitive.
    columns: Vec<Option<Named>>,
    /// A sensitive column whose placeholder is not known.
    any: Option<Named>,
}

impl Bound {
    fn is_empty(&self) -> bool {
        self.any.is_none() && self.columns.iter().all(Option::is_none)
    }

    /// The reading of one parameter.
    fn at(&self, index: usize) -> Option<Named> {
        match self.columns.get(index) {
            Some(named) => *named,
            None => self.any,
        }
    }
}

impl Hunt<'_> {
    /// Parameters of a statement begin with the phrase at `start..end`.
    pub(super) fn parameters(&mut self, start: usize, end: usize) {
        let text = self.text;
        if start < self.bound_done {
            return;
        }
        self.work += STATEMENT_WORK * STATEMENT_BYTES_MAX;
        let numbered = slice(text, end.saturating_sub(5), end) == b"$1 = ";
        let first = if numbered { end - 5 } else { end };
        let head = slice(text, start.saturating_sub(STATEMENT_BYTES_MAX), start);
        let mut bound = self.bound(statement_in(head));
        if bound.is_empty() {
            // PostgreSQL logs the statement behind its parameters.
            let tail = slice(text, end, end + STATEMENT_BYTES_MAX);
            let Some(found) = memchr::memmem::find(tail, b"STATEMENT:") else { return };
            bound = self.bound(slice(tail, found, tail.len()));
        }
        if !bound.is_empty() {
            let stop = self.rows(first, numbered, &bound);
            self.work += STATEMENT_WORK * (stop - first);
            self.bound_done = stop;
        }
    }

    /// What the placeholders of a statement stand for.
    fn bound(&self, statement: &[u8]) -> Bound {
        let mut columns: Vec<Option<Named>> = Vec::new();
        let mut any = None;
        let listed = self.listed(statement);
        let mut placed = 0;
        let (mut pos, mut name): (usize, &[u8]) = (0, &[]);
        let values = find_ignoring_case(statement, b"values");
        while pos < statement.len() && columns.len() < PARAMETERS_MAX {
            let word = run(statement, pos, 128, |b| is_name(b) || b == b'`');
            if word > pos {
                let found = slice(statement, pos, word);
                if !is_operator(found) {
                    name = found;
                    any = any.or_else(|| self.sure(found));
                }
                pos = word;
                continue;
            }
            if let Some((length, number)) = placeholder(statement, pos) {
                let inserted = values.is_some_and(|values| pos > values) && !listed.is_empty();
                let column = if inserted {
                    listed.get(placed % listed.len()).copied().flatten()
                } else {
                    self.sure(name)
                };
                placed += usize::from(inserted);
                let index =
                    number.map_or(columns.len(), |number| number.saturating_sub(1)).min(PARAMETERS_MAX);
                if columns.len() <= index {
                    columns.resize(index + 1, None);
                }
                if let Some(slot) = columns.get_mut(index) {
                    *slot = column;
                }
                pos += length;
                continue;
            }
            pos += 1;
        }
        if columns.iter().any(Option::is_some) {
            any = None;
        }
        Bound { columns, any }
    }

    /// A name that is surely sensitive.
    fn sure(&self, name: &[u8]) -> Option<Named> {
        self.named(name).filter(|named| named.strength != Strength::About)
    }

    /// The columns of `INSERT INTO t (a, b)`.
    fn listed(&self, statement: &[u8]) -> Vec<Option<Named>> {
        let Some(insert) = find_ignoring_case(statement, b"insert into") else { return Vec::new() };
        let open = run(statement, insert, 256, |b| b != b'(');
        let close = run(statement, open, STATEMENT_BYTES_MAX, |b| b != b')');
        slice(statement, open + 1, close)
            .split(|b| *b == b',')
            .take(PARAMETERS_MAX)
            .map(|column| self.sure(column))
            .collect()
    }

    /// Takes parameters from `pos` on, one row or more: where they end.
    fn rows(&mut self, pos: usize, numbered: bool, bound: &Bound) -> usize {
        let text = self.text;
        let mut pos = pos;
        if numbered {
            return self.parameter_row(pos, true, bound);
        }
        for _ in 0..ROWS_MAX {
            pos = run(text, pos, 8, |b| matches!(b, b'(' | b'[' | b',' | b' '));
            if !matches!(before(text, pos), b'(' | b'[') {
                break;
            }
            pos = self.parameter_row(pos, false, bound);
        }
        pos
    }

    fn parameter_row(&mut self, pos: usize, numbered: bool, bound: &Bound) -> usize {
        let text = self.text;
        let mut pos = pos;
        for index in 0..PARAMETERS_MAX {
            pos = blanks(text, pos);
            if numbered {
                let digits = run(text, pos + 1, 4, |b| b.is_ascii_digit());
                if at(text, pos) != b'$' || !has(text, digits, b" = ") {
                    return pos;
                }
                pos = digits + 3;
            }
            let value = quoted_at(text, pos, Joint::Assigned, FIRST_BYTES_MAX).unwrap_or_else(|| Value {
                start: pos,
                end: run(text, pos, FIRST_BYTES_MAX, |b| !matches!(b, b',' | b')' | b']' | b'\n')),
                quoted: false,
                joint: Joint::Assigned,
            });
            let number = !value.quoted && bound.columns.get(index).is_none();
            if let Some(named) = bound.at(index).filter(|_| !number)
                && !is_nothing(slice(text, value.start, value.end))
            {
                self.add(value.start, value.end, named.rule, true);
                self.covered = self.covered.max(value.end);
            }
            let end = if value.quoted { closed_by(text, value.end) } else { value.end };
            let next = blanks(text, end);
            if at(text, next) != b',' {
                return (next + 1).max(pos + 1);
            }
            pos = next + 1;
        }
        pos
    }

    /// `Key (email, password)=(bob, x) already exists`; the phrase stands at `start..end`.
    pub(super) fn unique_key(&mut self, start: usize, end: usize) {
        let text = self.text;
        if is_name(before(text, start)) {
            return;
        }
        let close = run(text, end, KEY_BYTES_MAX, |b| b != b')' && b != b'\n');
        self.work += 2 * (close - end);
        if !has(text, close, b")=(") {
            return;
        }
        let from = close + 3;
        let to = run(text, from, KEY_BYTES_MAX, |b| b != b'\n');
        let row = slice(text, from, to);
        let Some(last) = memchr::memmem::rfind(row, b") ").or_else(|| memchr::memrchr(b')', row)) else {
            return;
        };
        self.work += 3 * row.len();
        let row = slice(row, 0, last);
        let names: Vec<&[u8]> = slice(text, end, close).split(|b| *b == b',').take(PARAMETERS_MAX).collect();
        let values: Vec<&[u8]> = row.split(|b| *b == b',').take(PARAMETERS_MAX).collect();
        let mut pos = from;
        for (index, part) in values.iter().enumerate() {
            let lead = part.iter().take_while(|b| **b == b' ').count();
            // A value may hold a comma: then the row as a whole is one.
            let named = if names.len() == values.len() {
                names.get(index).and_then(|name| self.named(name))
            } else {
                names.iter().find_map(|name| self.sure(name))
            };
            if let Some(named) = named {
                let value =
                    Value { start: pos + lead, end: pos + part.len(), quoted: true, joint: Joint::Assigned };
                self.apart(named, value);
            }
            pos += part.len() + 1;
        }
    }

    /// `COPY users (id, password) FROM stdin;` and rows with tabs between their values; the phrase stands at `start..end`.
    pub(super) fn copied(&mut self, start: usize, end: usize) {
        let text = self.text;
        let from = start.saturating_sub(STATEMENT_BYTES_MAX);
        let Some(open) = memchr::memrchr(b'(', slice(text, from, start)) else { return };
        let columns: Vec<Option<Named>> = slice(text, from + open + 1, start)
            .split(|b| *b == b',')
            .take(PARAMETERS_MAX)
            .map(|column| self.sure(column.trim_ascii()))
            .collect();
        self.work += STATEMENT_WORK * (end - from - open);
        if columns.iter().all(Option::is_none) {
            return;
        }
        let mut pos = run(text, end, STATEMENT_BYTES_MAX, |b| b != b'\n') + 1;
        for _ in 0..ROWS_MAX {
            let stop = run(text, pos, STATEMENT_BYTES_MAX, |b| b != b'\n');
            let row = slice(text, pos, stop);
            if row.is_empty() || row.starts_with(b"\\.") {
                return;
            }
            self.work += row.len();
            let mut at = pos;
            for (index, part) in row.split(|b| *b == b'\t').enumerate() {
                if let Some(named) = columns.get(index).copied().flatten()
                    && !is_nothing(part)
                    && part != b"\\N"
                {
                    self.add(at, at + part.len(), named.rule, true);
                }
                at += part.len() + 1;
            }
            self.covered = self.covered.max(stop);
            pos = stop + 1;
        }
    }

    /// `Failing row contains (1, bob, x)`: PostgreSQL names no columns here, so only what is surely random goes, and
    /// hashes of passwords; `pos` is behind the bracket.
    pub(super) fn failing_row(&mut self, pos: usize) {
        const HASHES: [&[u8]; 6] = [b"$2a$", b"$2b$", b"$2y$", b"$argon2", b"$6$", b"$scrypt"];
        let text = self.text;
        let end = run(text, pos, STATEMENT_BYTES_MAX, |b| b != b'\n');
        let row = slice(text, pos, end);
        let row = slice(row, 0, memchr::memrchr(b')', row).unwrap_or(row.len()));
        self.work += STATEMENT_WORK * row.len();
        let mut at = pos;
        for part in row.split(|b| *b == b',').take(PARAMETERS_MAX) {
            let lead = part.iter().take_while(|b| **b == b' ').count();
            let word = part.trim_ascii();
            let hash = HASHES.iter().any(|head| word.starts_with(head));
            if let Some(rule) = self.engine.special.secret_word.filter(|_| hash || looks_random_far(word)) {
                self.add(at + lead, at + lead + word.len(), rule, true);
            }
            at += part.len() + 1;
        }
    }

    /// `sp_executesql N'UPDATE … SET Pwd=@p', N'@p nvarchar(20)', @p=N'x'`; `pos` is behind the name.
    pub(super) fn executed(&mut self, pos: usize) {
        let text = self.text;
        if pos < self.bound_done {
            return;
        }
        let window = slice(text, pos, pos + STATEMENT_BYTES_MAX);
        self.work += STATEMENT_WORK * window.len();
        self.bound_done = pos + window.len();
        let mut secret: Vec<(&[u8], Named)> = Vec::new();
        for sign in memchr::memchr_iter(b'@', window).take(PARAMETERS_MAX) {
            let end = run(window, sign + 1, 64, is_name);
            let parameter = slice(window, sign, end);
            let equals = slice(window, 0, sign).trim_ascii_end();
            if let Some(head) = equals.strip_suffix(b"=") {
                let head = slice(head, head.len().saturating_sub(96), head.len()).trim_ascii_end();
                let name = head.rsplit(|b| !is_name(*b)).find(|part| !part.is_empty()).unwrap_or(&[]);
                secret.extend(self.sure(name).map(|named| (parameter, named)));
            }
            let value = blanks(window, end);
            let named = secret.iter().find(|(known, _)| *known == parameter).map(|(_, named)| *named);
            if at(window, value) == b'='
                && let Some(named) = named
                && let Some(value) =
                    quoted_at(text, pos + blanks(window, value + 1), Joint::Assigned, FIRST_BYTES_MAX)
            {
                self.apart(named, value);
            }
        }
    }
}

/// The last statement in a text.
fn statement_in(head: &[u8]) -> &[u8] {
    const VERBS: [&[u8]; 5] = [b"insert into", b"update ", b"select ", b"delete ", b"merge "];
    let lower = head.to_ascii_lowercase();
    let from = VERBS.iter().filter_map(|verb| memchr::memmem::rfind(&lower, verb)).max();
    from.map_or(&[], |from| slice(head, from, head.len()))
}

fn find_ignoring_case(text: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(&text.to_ascii_lowercase(), needle)
}

/// Words between a column and its placeholder.
fn is_operator(word: &[u8]) -> bool {
    const WORDS: [&[u8]; 12] = [
        b"like", b"ilike", b"in", b"not", b"is", b"lower", b"upper", b"cast", b"any", b"values", b"md5",
        b"crypt",
    ];
    WORDS.iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// A placeholder at `pos`: its length, and its number if it has one.
fn placeholder(text: &[u8], pos: usize) -> Option<(usize, Option<usize>)> {
    let digits = run(text, pos + 1, 4, |b| b.is_ascii_digit());
    match at(text, pos) {
        b'?' => Some((1, None)),
        b'%' if at(text, pos + 1) == b's' => Some((2, None)),
        b'$' | b':' if digits > pos + 1 && quote(text, digits).is_none() => {
            let number = std::str::from_utf8(slice(text, pos + 1, digits)).ok()?.parse().ok()?;
            Some((digits - pos, Some(number)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_of_all_kinds() {
        assert_eq!(placeholder(b"?", 0), Some((1, None)));
        assert_eq!(placeholder(b"%s", 0), Some((2, None)));
        assert_eq!(placeholder(b"$12,", 0), Some((3, Some(12))));
        assert_eq!(placeholder(b"$x", 0), None);
        assert_eq!(statement_in(b"x SELECT a; UPDATE t SET"), b"UPDATE t SET");
    }
}
