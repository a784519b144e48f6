//! Byte classes and boundaries.
//!
//! A token starts after a byte outside its alphabet or after an escape such as `\n` or `%3D`, and ends at the first
//! byte outside its alphabet. Lists of delimiters miss the normal shapes of error events: URL queries and JSON
//! escaped in JSON.

/// The byte at `at`, 0 beyond the end: all classes are false for 0.
#[inline]
pub(crate) fn at(text: &[u8], at: usize) -> u8 {
    text.get(at).copied().unwrap_or(0)
}

/// The byte before `at`, 0 at the start.
#[inline]
pub(crate) fn before(text: &[u8], pos: usize) -> u8 {
    pos.checked_sub(1).map_or(0, |pos| at(text, pos))
}

/// The bytes from `start` to `end`, empty if there are none.
#[inline]
pub(crate) fn slice(text: &[u8], start: usize, end: usize) -> &[u8] {
    text.get(start..end.min(text.len())).unwrap_or(&[])
}

/// Whether `text` has `needle` at `at`, ASCII case ignored.
#[inline]
pub(crate) fn has(text: &[u8], pos: usize, needle: &[u8]) -> bool {
    text.get(pos..pos.saturating_add(needle.len())).is_some_and(|part| part.eq_ignore_ascii_case(needle))
}

/// Letters, digits, `_`, `-`: the alphabet of most tokens.
#[inline]
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// Bytes of both base64 alphabets, without padding.
#[inline]
pub(crate) fn is_base64(byte: u8) -> bool {
    BASE64.get(usize::from(byte)).copied().unwrap_or(false)
}

/// A look costs less than five comparisons, and most bytes of a text are looked at.
#[allow(clippy::indexing_slicing, reason = "the compiler evaluates it")]
static BASE64: [bool; 256] = {
    let mut set = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let known = byte as u8;
        set[byte] = known.is_ascii_alphanumeric() || matches!(known, b'+' | b'/' | b'_' | b'-');
        byte += 1;
    }
    set
};

/// Bytes of a name: `db.password`, `X-Api-Key`, `user_token`.
#[inline]
pub(crate) fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// How many bytes before `pos` are an escape (`\n`, `%3D`, `\u003d`, `\x3d`) whose last byte would pass for a letter.
pub(crate) fn escape_before(text: &[u8], pos: usize) -> usize {
    let last = before(text, pos);
    if matches!(last, b'n' | b't' | b'r' | b'f' | b'b' | b'v' | b'0')
        && before(text, pos.saturating_sub(1)) == b'\\'
    {
        return 2;
    }
    if !last.is_ascii_hexdigit() || !before(text, pos.saturating_sub(1)).is_ascii_hexdigit() {
        return 0;
    }
    if before(text, pos.saturating_sub(2)) == b'%' {
        return 3;
    }
    let four = pos.saturating_sub(4);
    if pos >= 4 && before(text, pos - 2) == b'x' && at(text, four) == b'\\' {
        return 4;
    }
    let six = pos.saturating_sub(6);
    if pos >= 6 && at(text, six) == b'\\' && at(text, six + 1) == b'u' {
        return 6;
    }
    0
}

/// Whether a token may start at `pos`.
#[inline]
pub(crate) fn starts_token(text: &[u8], pos: usize) -> bool {
    !before(text, pos).is_ascii_alphanumeric() || escape_before(text, pos) > 0
}

/// End of the run of bytes of a class from `pos`, at most `max` bytes.
#[inline]
pub(crate) fn run(text: &[u8], pos: usize, max: usize, class: impl Fn(u8) -> bool) -> usize {
    let part = slice(text, pos, pos.saturating_add(max));
    let length = part.iter().position(|byte| !class(*byte)).unwrap_or(part.len());
    #[cfg(test)]
    steps::add(length);
    pos + length
}

/// Whether the word is a UUID with or without hyphens in upper or lower case.
pub(crate) fn is_uuid(word: &[u8]) -> bool {
    word.len() == 36
        && word.iter().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Length in bytes of the redaction token at `pos`, 0 if there is none.
pub(crate) fn redaction_token(text: &[u8], pos: usize) -> usize {
    const HEAD: &[u8] = b"[redacted:";
    if at(text, pos) != b'[' || !slice(text, pos, pos + HEAD.len()).eq(HEAD) {
        return 0;
    }
    let start = pos + HEAD.len();
    let mut end = run(text, start, 64, |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if end == start {
        return 0;
    }
    if at(text, end) == b':' {
        let hash = run(text, end + 1, 8, |b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'));
        if hash != end + 9 {
            return 0;
        }
        end = hash;
    }
    if at(text, end) == b']' { end + 1 - pos } else { 0 }
}

/// What the searches really looked at, for the test that the work counted is the work done.
#[cfg(test)]
pub(crate) mod steps {
    use std::cell::Cell;

    thread_local!(static STEPS: Cell<u64> = const { Cell::new(0) });

    pub(crate) fn add(bytes: usize) {
        STEPS.set(STEPS.get() + bytes as u64 + 1);
    }

    /// The steps since the last call.
    pub(crate) fn take() -> u64 {
        STEPS.replace(0)
    }
}
