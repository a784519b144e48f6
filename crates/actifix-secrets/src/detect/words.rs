//! Which names are sensitive: by word, so that `auth` does not match `author`.
use std::collections::HashMap;

use super::glued::{is_other_word, is_quality};
use crate::rule::{Detector, Rule, Strength};

/// Longest name that is looked at, in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 128;
/// Words of a name that are looked at.
const WORDS_MAX: usize = 16;

/// After a sensitive word these say that the value is about the secret, not the secret: `token_type`, `session_count`.
const ABOUT_AFTER: &[&str] = &[
    "age",
    "alg",
    "algorithm",
    "allowed",
    "at",
    "attempts",
    "available",
    "bytes",
    "cache",
    "changed",
    "class",
    "configured",
    "controller",
    "count",
    "counts",
    "created",
    "date",
    "description",
    "duration",
    "enabled",
    "encoding",
    "endpoint",
    "error",
    "errors",
    "exists",
    "expire",
    "expired",
    "expires",
    "expiration",
    "expiry",
    "failed",
    "field",
    "fields",
    "file",
    "filename",
    "format",
    "handler",
    "helper",
    "hint",
    "id",
    "ids",
    "idle",
    "index",
    "invalid",
    "iterations",
    "kind",
    "label",
    "last",
    "length",
    "len",
    "lifetime",
    "limit",
    "line",
    "manager",
    "max",
    "max_age",
    "message",
    "method",
    "middleware",
    "min",
    "minutes",
    "missing",
    "mode",
    "model",
    "module",
    "name",
    "names",
    "number",
    "offset",
    "ok",
    "options",
    "parser",
    "path",
    "placeholder",
    "policy",
    "port",
    "position",
    "present",
    "prompt",
    "provider",
    "reason",
    "ref",
    "refs",
    "region",
    "repository",
    "required",
    "reset",
    "result",
    "rotation",
    "rule",
    "rules",
    "schema",
    "scheme",
    "scope",
    "scopes",
    "seconds",
    "set",
    "service",
    "size",
    "source",
    "started",
    "state",
    "status",
    "store",
    "strategy",
    "strength",
    "table",
    "time",
    "timeout",
    "timestamp",
    "total",
    "ttl",
    "type",
    "types",
    "updated",
    "uri",
    "url",
    "usage",
    "used",
    "valid",
    "validated",
    "validation",
    "validator",
    "verified",
    "version",
    "visible",
    "vendor",
];

/// Before a sensitive word these say the same: `has_password`, `max_tokens`, `next_page_token`, `public_key`.
const ABOUT_BEFORE: &[&str] = &[
    "avg",
    "cancel",
    "cancellation",
    "completion",
    "continuation",
    "cursor",
    "disable",
    "enable",
    "eof",
    "existing",
    "forgot",
    "has",
    "is",
    "lexer",
    "max",
    "min",
    "missing",
    "next",
    "no",
    "num",
    "output",
    "page",
    "pagination",
    "parse",
    "parser",
    "prev",
    "public",
    "pull",
    "publishable",
    "remaining",
    "require",
    "requires",
    "sync",
    "syntax",
    "total",
    "unexpected",
    "used",
    "without",
];

/// Of these, the ones that count before the surest names too: `next_password` is a password.
const ABOUT_BEFORE_STRONG: &[&str] = &[
    "disable",
    "enable",
    "existing",
    "forgot",
    "has",
    "is",
    "max",
    "min",
    "missing",
    "no",
    "num",
    "public",
    "pull",
    "publishable",
    "require",
    "requires",
    "total",
    "without",
];

/// A name that is sensitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub rule: u16,
    pub strength: Strength,
    pub detector: Detector,
    /// People choose such values: plain words and numbers count.
    pub chosen: bool,
}

struct Entry {
    words: Vec<String>,
    named: Named,
}

/// All names of all rules, by their last word.
#[derive(Default)]
pub(crate) struct Names {
    by_last: HashMap<String, Vec<Entry>>,
    suffixes: Vec<(String, Named)>,
}

impl Names {
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let mut names = Self::default();
        for (index, rule) in rules.iter().enumerate() {
            if rule.names.is_empty() && rule.suffixes.is_empty() {
                continue;
            }
            let named = Named {
                rule: u16::try_from(index).unwrap_or(u16::MAX),
                strength: rule.strength,
                detector: rule.detector,
                chosen: rule.chosen,
            };
            for name in &rule.names {
                let words: Vec<String> = name.split(' ').map(str::to_owned).collect();
                if let Some(last) = words.last().cloned() {
                    names.by_last.entry(last).or_default().push(Entry { words, named });
                }
            }
            for suffix in &rule.suffixes {
                names.suffixes.push((suffix.clone(), named));
            }
        }
        // The longest name wins: `csrf token` before `token`.
        for entries in names.by_last.values_mut() {
            entries.sort_by_key(|entry| std::cmp::Reverse(entry.words.len()));
        }
        names.suffixes.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        names
    }

    /// The strongest sensitive reading of a name.
    pub(crate) fn lookup(&self, name: &[u8]) -> Option<Named> {
        let name = if name.len() > NAME_BYTES_MAX { name.get(name.len() - NAME_BYTES_MAX..)? } else { name };
        let mut lower: Vec<u8> = name.to_ascii_lowercase();
        // `passw0rd`
        for index in 1..lower.len().saturating_sub(1) {
            let letters = |at: usize| lower.get(at).is_some_and(u8::is_ascii_alphabetic);
            let between = letters(index - 1) && letters(index + 1);
            if let Some(byte) = lower.get_mut(index).filter(|byte| between && **byte == b'0') {
                *byte = b'o';
            }
        }
        let plain = lower.clone();
        let restless = is_restless(name);
        let words = split(if restless || plain != name.to_ascii_lowercase() { &plain } else { name }, &lower);
        let mut best: Option<Named> = None;
        for index in (0..words.len()).rev() {
            let Some(found) = self.at(&words, index) else { continue };
            if best.is_none_or(|best| found.strength > best.strength) {
                best = Some(found);
            }
        }
        best
    }

    fn at(&self, words: &[&[u8]], index: usize) -> Option<Named> {
        let word = std::str::from_utf8(words.get(index)?).ok()?;
        let found = self.entry(words, index, word).or_else(|| {
            let hit = self.suffixes.iter().find(|(suffix, _)| word.ends_with(suffix.as_str()));
            hit.filter(|_| !is_other_word(word)).map(|(_, named)| (1, *named))
        });
        let (length, named) = found?;
        let after = words.get(index + 1);
        let last = words.last().filter(|_| index + 1 < words.len());
        let after = after.filter(|word| ABOUT_AFTER.iter().any(|about| about.as_bytes() == **word));
        let after = after.or(last.filter(|word| is_quality(word)));
        let about = Named { strength: Strength::About, detector: Detector::Name, ..named };
        if after.is_some() {
            return Some(about);
        }
        let first = (index + 1).checked_sub(length)?;
        let speaks_of = first.checked_sub(1).and_then(|before| words.get(before)).is_some_and(|word| {
            let list = if named.strength == Strength::Strong { ABOUT_BEFORE_STRONG } else { ABOUT_BEFORE };
            list.iter().any(|about| about.as_bytes() == *word)
        });
        Some(if speaks_of { about } else { named })
    }

    fn entry(&self, words: &[&[u8]], index: usize, word: &str) -> Option<(usize, Named)> {
        for entry in self.by_last.get(word)? {
            let length = entry.words.len();
            let Some(first) = (index + 1).checked_sub(length) else { continue };
            let part = words.get(first..=index)?;
            if part.iter().zip(&entry.words).all(|(have, want)| *have == want.as_bytes()) {
                return Some((length, entry.named));
            }
        }
        None
    }
}

/// Whether a key says something about a value next to it: `type`, `expires_at`.
pub(crate) fn is_about(key: &str) -> bool {
    let lower = key.as_bytes().to_ascii_lowercase();
    split(key.as_bytes(), &lower)
        .last()
        .is_some_and(|word| ABOUT_AFTER.iter().any(|about| about.as_bytes() == *word))
}

/// `pAsSwOrD`: case that changes more often than words do tells no words apart.
fn is_restless(name: &[u8]) -> bool {
    let changes = name
        .windows(2)
        .filter(|pair| matches!(pair, [a, b] if a.is_ascii_lowercase() && b.is_ascii_uppercase()));
    let changes = changes.count();
    changes >= 3 && name.len() < changes * 3
}

/// Splits snake, kebab, dotted and camel case; the last 16 words. `lower` is the name in lower case.
fn split<'n>(name: &[u8], lower: &'n [u8]) -> Vec<&'n [u8]> {
    let mut words: Vec<&[u8]> = Vec::with_capacity(8);
    let mut start = 0;
    for index in 0..=name.len() {
        let byte = name.get(index).copied().unwrap_or(b' ');
        let last = index.checked_sub(1).and_then(|i| name.get(i)).copied().unwrap_or(b' ');
        let next = name.get(index + 1).copied().unwrap_or(b' ');
        let letter = byte.is_ascii_alphabetic() || byte >= 0x80;
        let camel = byte.is_ascii_uppercase()
            && (last.is_ascii_lowercase() || (last.is_ascii_uppercase() && next.is_ascii_lowercase()));
        if !letter || camel {
            if let Some(word) = lower.get(start..index)
                && !word.is_empty()
            {
                words.push(word);
            }
            start = if letter { index } else { index + 1 };
        }
    }
    if words.len() > WORDS_MAX { words.split_off(words.len() - WORDS_MAX) } else { words }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn names_split_into_words() {
        let words = |name: &str| -> Vec<String> {
            split(name.as_bytes(), name.to_ascii_lowercase().as_bytes())
                .iter()
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect()
        };
        assert_eq!(words("AWS_SECRET_ACCESS_KEY"), ["aws", "secret", "access", "key"]);
        assert_eq!(words("db.password"), ["db", "password"]);
        assert_eq!(words("apiKey"), ["api", "key"]);
        assert_eq!(words("XAPIKeyV2"), ["xapi", "key", "v"]);
        assert_eq!(words("x-auth-token"), ["x", "auth", "token"]);
        assert_eq!(words("'password'"), ["password"]);
    }
}
