//! Decoded views of a text. Each keeps where every byte came from, so that a secret found in it can be cut out of the
//! original.
use base64::Engine as _;

use super::shape::LENIENT_URL;
use crate::bytes::{at, has, is_base64, run, slice};

/// Views of views: percent in percent in JSON.
pub(crate) const DEPTH_MAX: usize = 3;
/// Length gate for base64: 24 characters hold 18 bytes.
pub(crate) const BASE64_MIN: usize = 24;
const BASE64_MAX: usize = 256 << 10;
/// The same for hex: 32 digits hold 16 bytes.
pub(crate) const HEX_MIN: usize = 32;
const HEX_MAX: usize = 256 << 10;

/// A decoded text; `origin[i]` is where byte `i` began, and one entry more tells where the last one ended.
pub(crate) struct View {
    pub text: String,
    origin: Vec<u32>,
}

impl View {
    pub(crate) fn new(text: String, origin: Vec<u32>) -> Self {
        Self { text, origin }
    }

    /// A span of the view in the original.
    pub(crate) fn to_origin(&self, start: usize, end: usize) -> Option<(usize, usize)> {
        Some((*self.origin.get(start)? as usize, *self.origin.get(end)? as usize))
    }
}

fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Percent-decodes what is ASCII; none if nothing changes.
pub(crate) fn percent(text: &str) -> Option<View> {
    decode(text, |bytes, pos| {
        if at(bytes, pos) != b'%' {
            return None;
        }
        let byte = hex(at(bytes, pos + 1))? << 4 | hex(at(bytes, pos + 2))?;
        (byte < 0x80).then_some((byte, 3))
    })
}

/// Undoes one level of escapes of JSON and of other languages' literals, and of numeric HTML entities, that are ASCII;
/// none if nothing changes.
pub(crate) fn json_escapes(text: &str) -> Option<View> {
    decode(text, |bytes, pos| {
        match at(bytes, pos) {
            b'\\' => {}
            b'&' => return numeric_entity(bytes, pos),
            _ => return None,
        }
        match at(bytes, pos + 1) {
            b'u' => {
                let mut code = 0_u32;
                for offset in 2..6 {
                    code = code << 4 | u32::from(hex(at(bytes, pos + offset))?);
                }
                (code < 0x80).then_some((code as u8, 6))
            }
            b'x' => {
                let byte = hex(at(bytes, pos + 2))? << 4 | hex(at(bytes, pos + 3))?;
                (byte < 0x80).then_some((byte, 4))
            }
            byte @ (b'/' | b'"' | b'\\') => Some((byte, 2)),
            b'n' => Some((b'\n', 2)),
            b'r' => Some((b'\r', 2)),
            b't' => Some((b'\t', 2)),
            _ => None,
        }
    })
}

/// `&#112;` and `&#x70;` at `pos`.
fn numeric_entity(bytes: &[u8], pos: usize) -> Option<(u8, usize)> {
    const DIGITS_MAX: usize = 7;
    if at(bytes, pos + 1) != b'#' {
        return None;
    }
    let wide = matches!(at(bytes, pos + 2), b'x' | b'X');
    let start = pos + if wide { 3 } else { 2 };
    let end =
        run(bytes, start, DIGITS_MAX, |b| if wide { b.is_ascii_hexdigit() } else { b.is_ascii_digit() });
    let digits = std::str::from_utf8(slice(bytes, start, end)).ok()?;
    let code = u32::from_str_radix(digits, if wide { 16 } else { 10 }).ok()?;
    let byte = u8::try_from(code).ok().filter(|byte| (b' '..0x7f).contains(byte))?;
    (at(bytes, end) == b';').then_some((byte, end + 1 - pos))
}

/// Decodes a form: percent escapes, and `+` for a blank; none if nothing changes.
pub(crate) fn form(text: &str) -> Option<View> {
    let mut blanks = false;
    let view = replaced(text, |bytes, pos| match at(bytes, pos) {
        b'+' => {
            blanks = true;
            Some((b' ', 1))
        }
        b'%' => {
            let byte = hex(at(bytes, pos + 1))? << 4 | hex(at(bytes, pos + 2))?;
            (byte < 0x80).then_some((byte, 3))
        }
        _ => None,
    });
    view.filter(|_| blanks)
}

fn decode(text: &str, step: impl FnMut(&[u8], usize) -> Option<(u8, usize)>) -> Option<View> {
    replaced(text, step).filter(|view| view.text.len() < text.len())
}

fn replaced(text: &str, mut step: impl FnMut(&[u8], usize) -> Option<(u8, usize)>) -> Option<View> {
    let bytes = text.as_bytes();
    if u32::try_from(bytes.len()).is_err() {
        return None;
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut origin = Vec::with_capacity(bytes.len() + 1);
    let mut pos = 0;
    while pos < bytes.len() {
        origin.push(pos as u32);
        match step(bytes, pos) {
            Some((byte, length)) => {
                out.push(byte);
                pos += length;
            }
            None => {
                out.push(at(bytes, pos));
                pos += 1;
            }
        }
    }
    origin.push(pos as u32);
    String::from_utf8(out).ok().map(|text| View { text, origin })
}

/// Hex words that hold printable text, as bytes or in UTF-16: calls `found(start, end, text)`. `runs` tells where runs of
/// [`BASE64_MIN`] and more bytes of base64 begin.
pub(crate) fn hex_words(text: &[u8], runs: &[usize], mut found: impl FnMut(usize, usize, &str)) {
    for from in runs {
        let run_end = run(text, *from, text.len(), is_base64);
        let mut pos = *from;
        while pos + HEX_MIN <= run_end {
            // A word of 32 has one of its digits at every 32nd place.
            if !at(text, pos + HEX_MIN - 1).is_ascii_hexdigit() {
                pos += HEX_MIN;
                continue;
            }
            let mut start = pos + HEX_MIN - 1;
            while start > pos && at(text, start - 1).is_ascii_hexdigit() {
                start -= 1;
            }
            let end = run(text, start, HEX_MAX, |b| b.is_ascii_hexdigit());
            if end - start >= HEX_MIN
                && let Some(plain) = hex_text(slice(text, start, end))
            {
                found(start, end, &plain);
            }
            pos = end.max(pos + 1);
        }
    }
}

fn hex_text(word: &[u8]) -> Option<String> {
    let pairs = word.chunks_exact(2);
    let bytes = pairs.map_while(|pair| match pair {
        [high, low] => Some(hex(*high)? << 4 | hex(*low)?),
        _ => None,
    });
    let text = |byte: u8| matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t');
    // Most words are hashes: the first bytes tell. Every second byte of UTF-16 is 0.
    let head: Vec<u8> = bytes.clone().take(8).collect();
    let narrow = head.iter().all(|byte| text(*byte));
    let wide = |zero: usize| {
        head.iter().enumerate().all(|(index, byte)| if index % 2 == zero { *byte == 0 } else { text(*byte) })
    };
    if !narrow && !wide(0) && !wide(1) {
        return None;
    }
    let plain: Vec<u8> = bytes.filter(|byte| narrow || *byte != 0).collect();
    if plain.iter().all(|byte| text(*byte)) { String::from_utf8(plain).ok() } else { None }
}

/// Base64 words that hold printable text: calls `found(start, end, text)`. `runs` tells where runs of [`BASE64_MIN`] and more
/// such bytes begin.
pub(crate) fn base64_words(text: &[u8], runs: &[usize], mut found: impl FnMut(usize, usize, &str)) {
    for from in runs {
        let mut start = *from;
        loop {
            let whole = slice(text, start, start.saturating_add(BASE64_MAX));
            let is_text = head_is_text(whole);
            // Only of a very long run there is a rest, which has to be looked at.
            if !is_text && !whole.last().is_some_and(|last| whole.len() == BASE64_MAX && is_base64(*last)) {
                break;
            }
            let body = run(text, start, BASE64_MAX, is_base64);
            let end = run(text, body, 2, |b| b == b'=');
            let padded = run(text, body, 6, |b| b == b'=' || b == b'%' || b == b'3' || b == b'D');
            if is_text
                && body - start >= BASE64_MIN
                && let Some(plain) = printable(slice(text, start, body))
            {
                let whole = if has(text, body, b"%3D") { padded } else { end };
                found(start, whole, &plain);
            }
            if body - start < BASE64_MAX || !is_base64(at(text, body)) {
                break;
            }
            start = body;
        }
    }
}

/// Most words are no base64 of text: the first bytes tell, without decoding the rest.
fn head_is_text(word: &[u8]) -> bool {
    let sextet = |byte: u8| -> u32 {
        u32::from(match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            _ => 63,
        })
    };
    slice(word, 0, 12).chunks_exact(4).all(|chunk| {
        let bits = chunk.iter().fold(0, |bits, byte| bits << 6 | sextet(*byte));
        [bits >> 16, bits >> 8, bits]
            .iter()
            .all(|byte| matches!((byte & 0xff) as u8, b' '..=b'~' | b'\n' | b'\r' | b'\t'))
    })
}

fn printable(word: &[u8]) -> Option<String> {
    let normal = |part: &[u8]| -> Vec<u8> {
        part.iter()
            .map(|b| match b {
                b'+' => b'-',
                b'/' => b'_',
                other => *other,
            })
            .collect()
    };
    let text_like = |plain: &[u8]| plain.iter().all(|b| matches!(b, b' '..=b'~' | b'\n' | b'\r' | b'\t'));
    if !head_is_text(word) {
        return None;
    }
    let whole = if word.len() % 4 == 1 { slice(word, 0, word.len() - 1) } else { word };
    let plain = LENIENT_URL.decode(normal(whole)).ok()?;
    if !text_like(&plain) {
        return None;
    }
    String::from_utf8(plain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_know_where_bytes_came_from() {
        let view = percent("a%3Db%26c").unwrap();
        assert_eq!(view.text, "a=b&c");
        assert_eq!(view.to_origin(2, 3), Some((4, 5)));
        assert_eq!(view.to_origin(1, 2), Some((1, 4)));
        assert!(percent("100% sure").is_none());
        let view = json_escapes(r"\u0070w\/x").unwrap();
        assert_eq!(view.text, "pw/x");
        assert_eq!(view.to_origin(0, 2), Some((0, 7)));
    }
}
