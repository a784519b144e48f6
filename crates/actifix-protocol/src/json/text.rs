//! String literals: found by words of eight bytes, repaired and cleaned only when they need it.

use std::borrow::Cow;

use super::clean::{clean, is_suspect_lead};

/// Why a literal could not be read.
pub(super) enum Broken {
    /// The input ends before the closing quote.
    Ends,
    /// An escape that does not exist, at this offset.
    At(usize),
}

/// The string whose first byte after the opening quote is the first of `bytes`, and its length with closing quote.
pub(super) fn parse(bytes: &[u8]) -> Result<(String, usize), Broken> {
    let (length, seen) = run(bytes);
    if seen == 0
        && bytes.get(length) == Some(&b'"')
        && let Some(Ok(text)) = bytes.get(..length).map(std::str::from_utf8)
    {
        return Ok((text.to_owned(), length + 1));
    }
    parse_repairing(bytes, length, seen)
}

/// The long way, for a string whose first run and its classes are known: repairs, resolves escapes, cleans.
fn parse_repairing(bytes: &[u8], first: usize, first_seen: u8) -> Result<(String, usize), Broken> {
    let mut out = String::with_capacity(first.saturating_add(EXTRA_BYTES));
    let mut at = 0usize;
    let (mut length, mut seen) = (first, first_seen);
    let mut suspect = false;
    // Each turn takes a run and what ends it.
    loop {
        suspect |= seen & (CONTROL | SUSPECT) != 0;
        let run_bytes = bytes.get(at..at + length).unwrap_or_default();
        match std::str::from_utf8(run_bytes) {
            Ok(text) => out.push_str(text),
            Err(_) => out.push_str(&String::from_utf8_lossy(run_bytes)),
        }
        at += length;
        match bytes.get(at) {
            Some(b'"') if !suspect => return Ok((out, at + 1)),
            Some(b'"') => {
                return Ok(match clean(&out) {
                    Cow::Borrowed(_) => (out, at + 1),
                    Cow::Owned(cleaned) => (cleaned, at + 1),
                });
            }
            Some(_) => {
                let (c, used) = escape(bytes.get(at..).unwrap_or_default()).ok_or(Broken::At(at))?;
                suspect |= suspect_char(c);
                out.push(c);
                at += used;
            }
            None => return Err(Broken::Ends),
        }
        (length, seen) = run(bytes.get(at..).unwrap_or_default());
    }
}

/// Room for what follows the first escape, so that most strings are allocated once.
const EXTRA_BYTES: usize = 32;

/// The length of the literal with its closing quote, without reading it; `None` when it does not end.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let mut at = 0usize;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        match bytes.get(at) {
            Some(b'"') => return Some(at + 1),
            _ => at += 2,
        }
    }
}

/// Ends a run: quote or backslash.
const STOP: u8 = 1;
/// An ASCII control character that does not belong into text.
const CONTROL: u8 = 2;
/// A byte of a multi-byte character.
const HIGH: u8 = 4;
/// May begin a character that has to go.
const SUSPECT: u8 = 8;

const CLASS: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut byte = 0usize;
    #[allow(clippy::indexing_slicing, reason = "evaluated while compiling")]
    while byte < 256 {
        table[byte] = match byte {
            0x22 | 0x5C => STOP,
            0x09 | 0x0A => 0,
            0x00..=0x1F | 0x7F => CONTROL,
            0x80.. if is_suspect_lead(byte as u8) => HIGH | SUSPECT,
            0x80.. => HIGH,
            _ => 0,
        };
        byte += 1;
    }
    table
};

/// The length of the run up to a quote, a backslash or the end, and the classes of the bytes in it.
fn run(bytes: &[u8]) -> (usize, u8) {
    let mut at = 0usize;
    let mut seen = 0u8;
    loop {
        // Words of plain ASCII text need no table.
        while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            if !plain_word(u64::from_le_bytes(*word)) {
                break;
            }
            at += 8;
        }
        let mut left = 8;
        while left > 0 {
            let Some(&byte) = bytes.get(at) else { return (at, seen) };
            let class = CLASS.get(usize::from(byte)).copied().unwrap_or(STOP);
            if class == STOP {
                return (at, seen);
            }
            seen |= class;
            at += 1;
            left -= 1;
        }
    }
}

/// True only if no byte of the word is below 0x20, a quote, a backslash, DEL or above.
fn plain_word(word: u64) -> bool {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);
    // The borrow trick may name a byte too many next to a real hit, never one too few.
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES.wrapping_mul(bound)) & !word & TOPS;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & TOPS;
    let quote = zero(word ^ ONES.wrapping_mul(0x22));
    let slash = zero(word ^ ONES.wrapping_mul(0x5C));
    let delete = zero(word ^ ONES.wrapping_mul(0x7F));
    (word & TOPS) | below(word, 0x20) | quote | slash | delete == 0
}

/// The character of the escape at the start of `bytes`, and the length of the escape.
fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let c = match bytes.get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(bytes),
        _ => return None,
    };
    Some((c, 2))
}

/// `\uXXXX`, or two of them that make one character. A surrogate without its mate is U+FFFD.
fn unicode(bytes: &[u8]) -> Option<(char, usize)> {
    let first = hex4(bytes.get(2..6)?)?;
    if (0xD800..0xDC00).contains(&first)
        && bytes.get(6..8) == Some(b"\\u")
        && let Some(second) = bytes.get(8..12).and_then(hex4)
        && (0xDC00..0xE000).contains(&second)
    {
        let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        return Some((char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12));
    }
    Some((char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6))
}

fn hex4(bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(0u32, |sum, &byte| Some(sum * 16 + char::from(byte).to_digit(16)?))
}

fn suspect_char(c: char) -> bool {
    if matches!(c, '\n' | '\t' | ' '..='~') {
        return false;
    }
    let mut utf8 = [0u8; 4];
    let lead = c.encode_utf8(&mut utf8).bytes().next().unwrap_or(0);
    CLASS.get(usize::from(lead)).is_some_and(|class| class & (CONTROL | SUSPECT) != 0)
}
