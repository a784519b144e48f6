//! Authorization and cookie values, bare `Bearer x` and `Basic x`.
use base64::Engine as _;

use super::checks::{is_gibberish, is_nothing, looks_random, secret_like};
use super::shape::LENIENT_URL;
use crate::bytes::{at, has, run, slice};

/// Schemes whose next word is the whole credential.
const ONE_WORD: &[&str] = &[
    "bearer",
    "basic",
    "token",
    "apikey",
    "api-key",
    "key",
    "negotiate",
    "ntlm",
    "jwt",
    "dpop",
    "bot",
    "genie-key",
    "ssws",
];
/// Schemes that are followed by parameters.
const PARAMETERS: &[&str] =
    &["digest", "hawk", "oauth", "aws4-hmac-sha256", "sentry", "signature", "mac", "scram-sha-256"];

/// The credential in an Authorization value from `start` to `end`; the scheme stays.
pub(crate) fn credential(text: &[u8], start: usize, end: usize) -> Option<(usize, usize)> {
    let mut from = run(text, start, 64, |b| b == b' ' || b == b'\'' || b == b'"').min(end);
    let word = run(text, from, 32, |b| b.is_ascii_alphanumeric() || b == b'-').min(end);
    let blank = blank(text, word);
    if blank > 0 && is_scheme(slice(text, from, word)) {
        from = (word + blank).min(end);
    }
    let mut to = end;
    while to > from && matches!(at(text, to - 1), b' ' | b'\'' | b'"') {
        to -= 1;
    }
    let value = slice(text, from, to);
    if is_nothing(value) { None } else { Some((from, to)) }
}

fn blank(text: &[u8], pos: usize) -> usize {
    if has(text, pos, b"%20") { 3 } else { run(text, pos, 8, |b| b == b' ' || b == b'+') - pos }
}

/// Whether a word is an authentication scheme.
pub(crate) fn is_scheme(word: &[u8]) -> bool {
    ONE_WORD.iter().chain(PARAMETERS).any(|scheme| word.eq_ignore_ascii_case(scheme.as_bytes()))
}

/// End of an unquoted Authorization value at `start`: the line for parameters, else the word after the scheme.
pub(crate) fn unquoted_end(text: &[u8], start: usize, max: usize) -> usize {
    let word = run(text, start, 32, |b| b.is_ascii_alphanumeric() || b == b'-');
    let scheme = slice(text, start, word);
    let gap = blank(text, word);
    if PARAMETERS.iter().any(|known| scheme.eq_ignore_ascii_case(known.as_bytes())) && gap > 0 {
        return line_end(text, word, max);
    }
    let from = if gap > 0 && is_scheme(scheme) { word + gap } else { start };
    super::value::word_end(text, from, max)
}

/// End of the line or of its quoted part, real or escaped.
pub(crate) fn line_end(text: &[u8], start: usize, max: usize) -> usize {
    let mut pos = start;
    let limit = text.len().min(start + max);
    while pos < limit {
        match at(text, pos) {
            b'\n' | b'\r' | b'\'' | b'`' => break,
            b'\\' if matches!(at(text, pos + 1), b'n' | b'r') => break,
            _ => pos += 1,
        }
    }
    #[cfg(test)]
    crate::bytes::steps::add(pos - start);
    pos
}

/// `Bearer x` anywhere: `pos` is the end of the scheme and its space.
pub(crate) fn bearer(text: &[u8], pos: usize) -> Option<(usize, usize)> {
    let start = run(text, pos, 8, |b| b == b' ');
    let body = run(text, start, 8_192, |b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b));
    let end = run(text, body, 2, |b| b == b'=');
    let word = slice(text, start, end);
    let word = word.strip_suffix(b".").unwrap_or(word);
    let secret = !is_nothing(word) && (secret_like(word) || is_gibberish(word) || word.len() >= 32);
    secret.then_some((start, start + word.len()))
}

/// `Basic x` anywhere, if it decodes to `user:password`.
pub(crate) fn basic(text: &[u8], pos: usize) -> Option<(usize, usize)> {
    let start = run(text, pos, 8, |b| b == b' ');
    let body = run(text, start, 8_192, |b| b.is_ascii_alphanumeric() || b"-_+/".contains(&b));
    let end = run(text, body, 2, |b| b == b'=');
    let word: Vec<u8> = slice(text, start, body)
        .iter()
        .map(|b| match b {
            b'+' => b'-',
            b'/' => b'_',
            other => *other,
        })
        .collect();
    let plain = LENIENT_URL.decode(&word).ok()?;
    let pair = body - start >= 4 && plain.contains(&b':') && plain.iter().all(|b| *b >= b' ');
    pair.then_some((start, end))
}

/// Pairs of a cookie value: calls `pair(name, value_start, value_end)`.
pub(crate) fn cookies(text: &[u8], start: usize, end: usize, mut pair: impl FnMut(&[u8], usize, usize)) {
    let mut pos = start;
    while pos < end {
        pos = run(text, pos, 64, |b| b == b' ' || b == b';' || b == b'\'' || b == b'"').min(end);
        let name_end = run(text, pos, 256, |b| !matches!(b, b'=' | b';')).min(end);
        let name = slice(text, pos, name_end);
        if at(text, name_end) != b'=' || name_end >= end {
            pos = if name_end >= end { end } else { name_end + 1 };
            continue;
        }
        let value_start = name_end + 1;
        let value_end = run(text, value_start, 8_192, |b| b != b';' && b != b'\'' && b != b'"').min(end);
        pair(name, value_start, value_end);
        pos = value_end.max(pos + 1);
    }
}

/// Whether the value of a cookie of unknown name is a session of some kind.
pub(crate) fn cookie_like_session(value: &[u8]) -> bool {
    !is_nothing(value) && looks_random(value, 20)
}
