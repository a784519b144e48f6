//! Secrets that are known by their place among the arguments of a call.
use super::checks::{is_gibberish, is_nothing, is_prose, looks_random, secret_like};
use super::hunt::Hunt;
use super::value::{Joint, blanks, closed_by, quoted_at};
use crate::bytes::{at, before, run, slice};

/// Longest argument, and longest argument that is no text.
const ARGUMENT_BYTES_MAX: usize = 256;
/// Items of a list of headers.
const HEADERS_MAX: usize = 64;

/// A function with the place of its secret.
struct Function {
    keyword: &'static str,
    /// From 0.
    argument: usize,
    /// Others have this name too: only what looks like a secret.
    shared: bool,
}

const fn sure(keyword: &'static str, argument: usize) -> Function {
    Function { keyword, argument, shared: false }
}

const fn shared(keyword: &'static str, argument: usize) -> Function {
    Function { keyword, argument, shared: true }
}

const FUNCTIONS: &[Function] = &[
    sure("auth=(", 1),
    sure("basicauth(", 1),
    sure("networkcredential(", 1),
    sure("simple_bind_s(", 1),
    sure("password_verify(", 0),
    sure("password_hash(", 0),
    sure("jwt.encode(", 1),
    sure("jwt.decode(", 1),
    sure("jwt.verify(", 1),
    sure("jwt.sign(", 1),
    sure("hmac.new(", 0),
    sure("fernet(", 0),
    sure("createhmac(", 1),
    sure("pgp_sym_encrypt(", 1),
    sure("pgp_sym_decrypt(", 1),
    sure("aes_encrypt(", 1),
    sure("aes_decrypt(", 1),
    shared("login(", 1),
    shared("login() got unexpected args (", 1),
    shared("authenticate(", 1),
    shared("ftp(", 2),
    shared("connect(", 2),
];

/// The keywords with their numbers.
pub(super) fn functions() -> impl Iterator<Item = (u8, &'static str)> {
    (0..).zip(FUNCTIONS.iter().map(|function| function.keyword))
}

/// Whether a word that stands where a secret may stand is one.
pub(super) fn is_likely(word: &[u8]) -> bool {
    !is_nothing(word) && !is_prose(word) && (secret_like(word) || is_gibberish(word) || looks_random(word, 8))
}

impl Hunt<'_> {
    /// The name of a function ends with its bracket at `end`.
    pub(super) fn argument_of(&mut self, number: u8, end: usize) {
        let Some(function) = FUNCTIONS.get(usize::from(number)) else { return };
        let text = self.text;
        let mut place = function.argument;
        let mut pos = end;
        let mut index = 0;
        while index <= place {
            let start = blanks(text, pos);
            let value = quoted_at(text, start, Joint::Flag, ARGUMENT_BYTES_MAX);
            let Some(value) = value else {
                let next = skip_argument(text, start);
                self.work += 2 * (next - start);
                // `connect(host, 22, user, x)`: a port comes second in some.
                let number = slice(text, start, next).iter().all(u8::is_ascii_digit);
                place += usize::from(number && index == 1 && next > start && function.shared);
                if at(text, next) != b',' {
                    return;
                }
                pos = next + 1;
                index += 1;
                continue;
            };
            self.work += value.end - value.start;
            if index == place {
                let word = slice(text, value.start, value.end);
                let taken = if function.shared || self.code { is_likely(word) } else { word.len() >= 4 };
                if taken && !word.contains(&b' ') && !word.starts_with(b"$2") {
                    self.password(value.start, value.end);
                }
                return;
            }
            let after = blanks(text, closed_by(text, value.end));
            if at(text, after) != b',' {
                return;
            }
            pos = after + 1;
            index += 1;
        }
    }

    /// `ConvertTo-SecureString 'x'`, `ConvertTo-SecureString -String "x"`; `pos` is behind the name.
    pub(super) fn secure_string(&mut self, pos: usize) {
        let text = self.text;
        let mut pos = blanks(text, pos);
        if crate::bytes::has(text, pos, b"-string ") {
            pos = blanks(text, pos + 8);
        }
        if let Some(value) = quoted_at(text, pos, Joint::Flag, ARGUMENT_BYTES_MAX) {
            self.password(value.start, value.end);
        }
    }

    /// `rawHeaders: [ 'Host', 'api', 'X-Api-Key', 'x' ]`; `pos` is behind the bracket.
    pub(super) fn raw_headers(&mut self, pos: usize) {
        let text = self.text;
        let mut next = pos;
        let mut named = None;
        for index in 0..HEADERS_MAX {
            let start = run(text, next, 16, |b| b.is_ascii_whitespace());
            let Some(value) = quoted_at(text, start, Joint::Tuple, 4 * ARGUMENT_BYTES_MAX) else { return };
            self.work += value.end - value.start;
            let word = slice(text, value.start, value.end);
            if index % 2 == 0 {
                named = self.named(word);
            } else if let Some(named) = named {
                self.apart(named, super::value::Value { joint: Joint::Element, ..value });
            }
            let after = blanks(text, closed_by(text, value.end));
            if at(text, after) != b',' {
                return;
            }
            next = after + 1;
        }
    }
}

/// End of an argument that is no text, at its comma or bracket.
fn skip_argument(text: &[u8], start: usize) -> usize {
    let mut open = 0_usize;
    let limit = text.len().min(start + ARGUMENT_BYTES_MAX);
    let mut pos = start;
    while pos < limit {
        match at(text, pos) {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' if open == 0 => break,
            b')' | b']' | b'}' => open -= 1,
            b',' | b'\n' if open == 0 => break,
            _ => {}
        }
        pos += 1;
    }
    #[cfg(test)]
    crate::bytes::steps::add(pos - start);
    if before(text, pos) == b' ' && pos > start { pos - 1 } else { pos }
}
