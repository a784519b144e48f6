//! Values that are code, a state or a part of a path although the text around them is no source code: a message quotes
//! a line, a selector or a key of a cache.
use super::checks::is_prose;
use super::hunt::Hunt;
use super::value::Value;
use super::words::is_about;
use crate::bytes::{at, before, has, slice};

/// Longest chain of members that is followed, in bytes.
const CHAIN_BYTES_MAX: usize = 128;

/// Classes of elements that follow a colon in selectors.
const PSEUDO: &[&[u8]] = &[
    b"nth-",
    b"first-",
    b"last-",
    b"only-",
    b"hover",
    b"focus",
    b"not(",
    b"has(",
    b"is(",
    b"where(",
    b"checked",
    b"before",
    b"after",
    b"visible",
    b"placeholder-shown",
];

impl Hunt<'_> {
    /// Whether an unquoted value is no value of its name but what else follows a name in code and paths.
    pub(super) fn is_code_value(&self, name_start: usize, value: Value) -> bool {
        let text = self.text;
        let word = slice(text, value.start, value.end);
        if value.quoted {
            // `env('DB_PASSWORD', 'x')`: the name of a variable.
            let call = [&b"env("[..], b"env.get(", b"env.fetch(", b"config("];
            let open = value.start.saturating_sub(1);
            return call.iter().any(|name| open >= name.len() && has(text, open - name.len(), name));
        }
        if word.len() > CHAIN_BYTES_MAX {
            return false;
        }
        // `api_key: (not set)`
        if matches!(word, [b'(', rest @ ..] if is_prose(rest)) {
            return true;
        }
        let glued = before(text, value.start) == b':';
        // `div.password-wrapper:nth-child(2)`
        let name = slice(text, name_start, value.start);
        let selected = matches!(before(text, name_start), b'#' | b'.' | b' ' | b'>' | 0)
            && name.iter().any(|b| matches!(b, b'.' | b'-'));
        if glued && selected && PSEUDO.iter().any(|class| has(word, 0, class)) {
            return true;
        }
        // `session:count:2026-11-24`
        if glued
            && let Some(part) = memchr::memchr(b':', word).and_then(|colon| word.get(..colon))
            && std::str::from_utf8(part).is_ok_and(is_about)
        {
            return true;
        }
        self.is_chain(word, value.end)
    }

    /// `fields.CharField(…)`, `self.next_token()?`, `tokens[i + 1]`, `$request->input(…)`, `model.Password`.
    fn is_chain(&self, word: &[u8], end: usize) -> bool {
        let text = self.text;
        let name = |b: u8| b.is_ascii_alphabetic() || matches!(b, b'_' | b'$');
        let links = |b: u8| name(b) || matches!(b, b'.' | b':');
        if !word.first().is_some_and(|b| name(*b)) {
            return false;
        }
        let chain = word.iter().position(|b| !links(*b)).unwrap_or(word.len());
        let head = slice(word, 0, chain);
        let member = head.contains(&b'.') || memchr::memmem::find(head, b"::").is_some();
        let after = slice(word, chain, word.len());
        match after {
            // A call of a member, and an element by a name of its place.
            [b'(', ..] => member && !head.ends_with(b"."),
            [b'[', index @ ..] => {
                let index = index.split(|b| *b == b']').next().unwrap_or(index);
                index.len() <= 8 && !index.is_empty() && index.iter().all(|b| name(*b)) && chain > 2
            }
            [b'-'] => head.first() == Some(&b'$') && at(text, end) == b'>',
            [] if member => {
                let last = head.rsplit(|b| matches!(b, b'.' | b':')).next().unwrap_or(head);
                let owner = head.iter().position(|b| matches!(b, b'.' | b':')).unwrap_or(0);
                owner > 1 && self.named(last).is_some()
            }
            _ => false,
        }
    }
}
