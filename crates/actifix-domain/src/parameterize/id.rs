//! Ids, names and spans of time that no row of the table reads and that differ from report to report all the same:
//! network cards, sortable ids, ids with a prefix, temporary files, pods, durations of several units.
//!
//! Each of them stands after the rows of the table that could match there, so that what the table says holds.

use super::Scan;

/// Bytes of a hardware address.
const MAC_GROUPS: usize = 6;
/// Characters of a ULID.
const ULID_CHARS: usize = 26;
/// Characters of the random part of an id with a prefix.
const RANDOM_CHARS: std::ops::RangeInclusive<usize> = 10..=64;
/// Bytes of the prefix.
const PREFIX_BYTES: std::ops::RangeInclusive<usize> = 2..=16;
/// Random characters of temporary files: of Python's `mkstemp` and C's `mkstemps`, and of `mktemp`.
const TMP_CHARS: usize = 8;
const TMP_DOT_CHARS: usize = 10;
/// Characters of the hash and of the end of a pod's name.
const POD_HASH: std::ops::RangeInclusive<usize> = 7..=10;
const POD_END: usize = 5;
/// Units of a duration, from long to short.
const UNITS: [&[u8]; 8] = [b"d", b"h", b"m", b"s", b"ms", "\u{b5}s".as_bytes(), "\u{3bc}s".as_bytes(), b"ns"];

impl Scan<'_> {
    /// `f1:12:e2:91:52:b2`, or with `-` and a letter.
    pub(super) fn mac(self, at: usize) -> Option<usize> {
        let separator = self.at(at + 2);
        if !matches!(separator, b':' | b'-') || self.before(at) == separator {
            return None;
        }
        let mut place = at;
        for group in 0..MAC_GROUPS {
            if group > 0 {
                place = self.byte(place, separator)?;
            }
            let end = self.run(place, 3, |byte| byte.is_ascii_hexdigit());
            if end != place + 2 {
                return None;
            }
            place = end;
        }
        let letter = self.bytes.get(at..place)?.iter().any(u8::is_ascii_alphabetic);
        let whole = self.ends(place) && self.at(place) != separator;
        (whole && (letter || separator == b':')).then_some(place)
    }

    /// 26 characters of Crockford's base 32 in one case, the first one 0 to 7.
    pub(super) fn ulid(self, at: usize) -> Option<usize> {
        let end = at + ULID_CHARS;
        let text = self.bytes.get(at..end).filter(|_| self.ends(end))?;
        let belongs = |byte: &u8| {
            byte.is_ascii_alphanumeric() && !matches!(byte.to_ascii_uppercase(), b'I' | b'L' | b'O' | b'U')
        };
        let first = matches!(self.at(at), b'0'..=b'7');
        let (lower, upper) =
            (text.iter().any(u8::is_ascii_lowercase), text.iter().any(u8::is_ascii_uppercase));
        (first && text.iter().all(belongs) && lower != upper).then_some(end)
    }

    /// The random part of `req_HwAGcYHOhfAwN8`: after `_` and a short lower-case word, and like chance.
    pub(super) fn prefixed(self, at: usize) -> Option<usize> {
        if self.before(at) != b'_' {
            return None;
        }
        let end = self.run(at, RANDOM_CHARS.end() + 1, |byte| byte.is_ascii_alphanumeric());
        let text = self.bytes.get(at..end)?;
        if !RANDOM_CHARS.contains(&text.len()) || !self.ends(end) || self.at(end) == b'_' {
            return None;
        }
        let before = self.bytes.get(at.saturating_sub(PREFIX_BYTES.end() + 2)..at - 1)?;
        let prefix = before.iter().rev().take_while(|b| b.is_ascii_lowercase() || **b == b'_').count();
        let starts = before.len().checked_sub(prefix + 1).and_then(|place| before.get(place));
        let whole = PREFIX_BYTES.contains(&prefix) && starts.is_none_or(|byte| !byte.is_ascii_alphanumeric());
        let letter = text.iter().any(u8::is_ascii_alphabetic);
        let digit = text.iter().any(u8::is_ascii_digit);
        let chance = if digit { changes(text) * 3 } else { changes(text) * 2 } >= text.len();
        (whole && letter && chance).then_some(end)
    }

    /// `tmplbn43faa` or `tmp.Xy12Zk90ab` as the name of a file.
    pub(super) fn temporary(self, at: usize) -> Option<usize> {
        if !matches!(self.before(at), b'/' | b'\\') || !self.starts_with(at, b"tmp") {
            return None;
        }
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let (start, count) = match self.byte(at + 3, b'.') {
            Some(start) => (start, TMP_DOT_CHARS),
            None => (at + 3, TMP_CHARS),
        };
        let end = self.run(start, count + 1, word);
        let text = self.bytes.get(start..end).filter(|text| text.len() == count)?;
        // Elsewhere a word of eight letters after `tmp` may be somebody's name for a file.
        let folder = at.checked_sub(5).is_some_and(|place| self.starts_with(place, b"/tmp/"));
        (folder || text.iter().any(u8::is_ascii_digit)).then_some(end)
    }

    /// The hash in `checkout-7d9f8b6c5d-4wt4n`.
    pub(super) fn pod_hash(self, at: usize) -> Option<usize> {
        if self.before(at) != b'-' {
            return None;
        }
        let end = self.run(at, POD_HASH.end() + 1, is_safe);
        let start = self.byte(end, b'-').filter(|_| POD_HASH.contains(&(end - at)))?;
        self.pod_end(start).map(|_| end)
    }

    /// The end in `checkout-7d9f8b6c5d-4wt4n`.
    pub(super) fn pod_end(self, at: usize) -> Option<usize> {
        if self.before(at) != b'-' {
            return None;
        }
        let end = self.run(at, POD_END + 1, is_safe);
        if end != at + POD_END || !self.ends(end) || matches!(self.at(end), b'_' | b'-') {
            return None;
        }
        let before = self.bytes.get(at.saturating_sub(POD_HASH.end() + 2)..at - 1)?;
        let hash = before.iter().rev().take_while(|b| is_safe(**b) || b.is_ascii_hexdigit()).count();
        let joined = before.len().checked_sub(hash + 1).and_then(|place| before.get(place)) == Some(&b'-');
        (joined && POD_HASH.contains(&hash)).then_some(end)
    }

    /// `3h8m40s`, `5m10.9s`: two units or more, from long to short.
    pub(super) fn long_duration(self, at: usize) -> Option<usize> {
        if !self.at(at).is_ascii_digit() || matches!(self.before(at), b'.' | b'_') {
            return None;
        }
        let digit = |byte: u8| byte.is_ascii_digit();
        let (mut place, mut next, mut count) = (at, 0, 0);
        loop {
            let mut end = self.run(place, usize::MAX, digit);
            if end == place {
                break;
            }
            if let Some(fraction) = self.byte(end, b'.') {
                let fraction_end = self.run(fraction, usize::MAX, digit);
                end = if fraction_end > fraction { fraction_end } else { end };
            }
            // The last one that fits is the longest: `ms` is no `m`.
            let fits = |(_, unit): &(usize, &&[u8])| self.starts_with(end, unit);
            let (rank, unit) = UNITS.iter().enumerate().skip(next).rfind(fits)?;
            (place, next, count) = (end + unit.len(), rank + 1, count + 1);
        }
        (count >= 2 && self.ends(place) && self.at(place) != b'_').then_some(place)
    }
}

/// The letters and digits of which Kubernetes makes names: no vowels, so that they make no words.
fn is_safe(byte: u8) -> bool {
    matches!(byte, b'2' | b'4'..=b'9') || (byte.is_ascii_lowercase() && !b"aeiouy".contains(&byte))
}

/// How many neighbours are of different kinds: words have few, chance has many.
fn changes(text: &[u8]) -> usize {
    let kind = |byte: &u8| (byte.is_ascii_digit(), byte.is_ascii_uppercase());
    text.iter().zip(text.iter().skip(1)).filter(|(a, b)| kind(a) != kind(b)).count()
}
