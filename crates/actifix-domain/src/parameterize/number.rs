//! Rows of the table that count: durations, sizes and plain numbers.

use super::{Found, Scan};

const DURATION_UNITS: [&[u8]; 13] = [
    b"ns",
    b"us",
    "\u{b5}s".as_bytes(),
    "\u{3bc}s".as_bytes(),
    b"ms",
    b"s",
    b"sec",
    b"secs",
    b"seconds",
    b"min",
    b"minutes",
    b"h",
    b"hours",
];
const SIZE_UNITS: [&[u8]; 11] =
    [b"B", b"kB", b"bytes", b"KB", b"MB", b"GB", b"TB", b"KiB", b"MiB", b"GiB", b"TiB"];
/// Bytes of the longest unit.
const UNIT_BYTES_MAX: usize = 7;
/// Names whose number is part of the name (`utf-16`).
const NUMBERED_NAMES: [&[u8]; 8] = [b"utf-", b"UTF-", b"sha-", b"SHA-", b"iso-", b"ISO-", b"aes-", b"AES-"];

/// Names of workers are counted from one digit on: `Thread-1 (worker)`, `pool-1-thread-12`.
const WORKERS: [&[u8]; 7] = [b"thread", b"worker", b"process", b"task", b"pool", b"exec", b"executor"];
/// Letters of the longest of them, and one more.
const WORKER_BYTES_MAX: usize = 9;

/// `digits([.,]digits)*`: where the whole ends, and where it ends without its last group.
#[derive(Clone, Copy)]
struct Groups {
    end: usize,
    without_last: Option<usize>,
}

impl Scan<'_> {
    /// A duration, a size or a number at `at`, in this order.
    pub(super) fn quantity(self, at: usize) -> Option<Found> {
        let before = self.before(at);
        let negative = self.at(at) == b'-';
        let digits = if negative { at + 1 } else { at };
        if before == b'.' || !self.at(digits).is_ascii_digit() {
            return None;
        }
        let groups = self.groups(digits);
        if before != b'_'
            && let Some((end, token)) = self.unit(groups.end)
        {
            return Some(Found { end, token: Some(token) });
        }
        let allowed = if negative {
            // After a closing bracket it is a hyphen, not a sign.
            !matches!(before, b'_' | b'#' | b'-' | b')' | b']')
        } else {
            self.number_may_start(at, before)
        };
        let end = if allowed { self.number_end(groups) } else { None };
        end.map(|end| Found { end, token: Some("<num>") })
    }

    fn groups(self, at: usize) -> Groups {
        let digit = |byte: u8| byte.is_ascii_digit();
        let mut groups = Groups { end: self.run(at, usize::MAX, digit), without_last: None };
        while matches!(self.at(groups.end), b'.' | b',') {
            let end = self.run(groups.end + 1, usize::MAX, digit);
            if end == groups.end + 1 {
                break;
            }
            groups = Groups { end, without_last: Some(groups.end) };
        }
        groups
    }

    /// A unit after an optional space.
    fn unit(self, at: usize) -> Option<(usize, &'static str)> {
        let start = self.byte(at, b' ').unwrap_or(at);
        let end = self.run(start, UNIT_BYTES_MAX + 1, |byte| byte.is_ascii_alphabetic() || byte >= 0x80);
        let word = self.bytes.get(start..end)?;
        if word.is_empty() {
            return None;
        }
        // Other non-ASCII text may follow a unit directly, so known units are looked for at its start.
        let find = |units: &'static [&'static [u8]]| {
            units
                .iter()
                .map(|unit| start + unit.len())
                .zip(units)
                .find(|(end, unit)| word.starts_with(unit) && self.ends(*end))
                .map(|(end, _)| end)
        };
        let duration = find(&DURATION_UNITS).map(|end| (end, "<dur>"));
        duration.or_else(|| find(&SIZE_UNITS).map(|end| (end, "<size>")))
    }

    /// Whether a number without sign may start here, judged by what stands before it.
    fn number_may_start(self, at: usize, before: u8) -> bool {
        let two_digits = self.at(at + 1).is_ascii_digit();
        match before {
            b'_' | b'#' => two_digits,
            b'-' => {
                let name = at.checked_sub(4).and_then(|start| self.bytes.get(start..at));
                let named = name.is_some_and(|name| NUMBERED_NAMES.contains(&name));
                let joined = self.before(at - 1);
                let joined = joined.is_ascii_alphanumeric() || matches!(joined, b'_' | b')' | b']');
                (two_digits || self.counts_workers(at - 1)) && joined && !named
            }
            _ => true,
        }
    }

    /// Whether the word that ends before `at` is one of [`WORKERS`].
    fn counts_workers(self, at: usize) -> bool {
        let before = self.bytes.get(at.saturating_sub(WORKER_BYTES_MAX)..at).unwrap_or_default();
        let letters = before.iter().rev().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let word = before.get(before.len() - letters..).unwrap_or_default();
        // `MainThread` and `ThreadPoolExecutor` end in the word with a capital.
        WORKERS.iter().any(|worker| {
            let start = word.len().checked_sub(worker.len());
            start.and_then(|start| word.get(start..)).is_some_and(|end| {
                end.eq_ignore_ascii_case(worker)
                    && (end.len() == word.len() || end.first().is_some_and(u8::is_ascii_uppercase))
            })
        })
    }

    /// The longest number that neither a letter, a digit nor `_` follows.
    fn number_end(self, groups: Groups) -> Option<usize> {
        let ends = |end: usize| self.ends(end) && self.at(end) != b'_';
        let with_percent = |end: usize| self.byte(end, b'%').filter(|end| ends(*end));
        let exponent = self.exponent(groups.end);
        exponent
            .and_then(|end| with_percent(end).or_else(|| Some(end).filter(|end| ends(*end))))
            .or_else(|| with_percent(groups.end))
            .or_else(|| Some(groups.end).filter(|end| ends(*end)))
            .or(groups.without_last)
    }

    fn exponent(self, at: usize) -> Option<usize> {
        if !matches!(self.at(at), b'e' | b'E') {
            return None;
        }
        let sign = usize::from(matches!(self.at(at + 1), b'+' | b'-'));
        let digits = at + 1 + sign;
        let end = self.run(digits, usize::MAX, |byte| byte.is_ascii_digit());
        (end > digits).then_some(end)
    }
}
