//! What a value looks like: random, trivial, a reference, a placeholder; and offline checksums.
use crate::bytes::{at, is_uuid, redaction_token, slice};
use crate::rule::Checksum;

/// Shannon entropy in bits per byte, over at most the first 4 KiB.
pub(crate) fn entropy(value: &[u8]) -> f32 {
    let value = slice(value, 0, 4_096);
    if value.is_empty() {
        return 0.0;
    }
    let mut counts = [0_u16; 256];
    for byte in value {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let total = value.len() as f32;
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let p = f32::from(*count) / total;
            -p * p.log2()
        })
        .sum()
}

#[derive(PartialEq, Clone, Copy)]
enum Class {
    Lower,
    Upper,
    Digit,
    Symbol,
}

fn class(byte: u8) -> Class {
    match byte {
        b'a'..=b'z' => Class::Lower,
        b'A'..=b'Z' => Class::Upper,
        b'0'..=b'9' => Class::Digit,
        _ => Class::Symbol,
    }
}

/// Runs of one class, where `Abc` counts as one run, and how many classes there are.
fn runs(value: &[u8]) -> (usize, usize) {
    let (mut runs, mut last) = (0, None);
    let mut seen = [false; 4];
    for byte in value {
        let now = class(*byte);
        if let Some(slot) = seen.get_mut(now as usize) {
            *slot = true;
        }
        if last != Some(now) && !(last == Some(Class::Upper) && now == Class::Lower) {
            runs += 1;
        }
        last = Some(now);
    }
    (runs, seen.iter().filter(|seen| **seen).count())
}

/// Whether a word is no word of a language and no identifier: classes change every three bytes or so, with a digit.
pub(crate) fn looks_random(value: &[u8], len_min: usize) -> bool {
    if value.len() < len_min
        || value.len() > 4_096
        || is_uuid(value)
        || !value.iter().all(u8::is_ascii_graphic)
    {
        return false;
    }
    if !value.iter().any(u8::is_ascii_digit) || !value.iter().any(u8::is_ascii_alphabetic) {
        return false;
    }
    let (runs, _) = runs(value);
    runs * 7 >= value.len() * 2 && entropy(value) > 2.5 && !holds_token(value)
}

/// A redaction token in a value makes it look random; what it replaced is gone, so the rest is judged no more.
fn holds_token(value: &[u8]) -> bool {
    memchr::memmem::find(value, b"[redacted:").is_some()
}

/// Like [`looks_random`] for words that do not stand right after a sensitive word: three classes, and no path, host,
/// version, date or hash.
pub(crate) fn looks_random_far(value: &[u8]) -> bool {
    let plain = value.iter().all(|b| b.is_ascii_alphanumeric() || b"!@#$%^&*+=_-~?".contains(b));
    plain && looks_random(value, 12) && {
        let (_, classes) = runs(value);
        let letters_mixed =
            value.iter().any(u8::is_ascii_lowercase) && value.iter().any(u8::is_ascii_uppercase);
        classes >= 3 && letters_mixed && !value.iter().all(u8::is_ascii_hexdigit)
    }
}

/// Whether a value after a weak name could be a secret at all.
pub(crate) fn secret_like(value: &[u8]) -> bool {
    if value.len() < 6 || is_uuid(value) || value.iter().any(|b| b.is_ascii_whitespace()) {
        return false;
    }
    let digit = value.iter().any(u8::is_ascii_digit);
    let letter = value.iter().any(u8::is_ascii_alphabetic);
    if !letter || !digit {
        return false;
    }
    let (runs, classes) = runs(value);
    let path = value.first() == Some(&b'/') || value.windows(3).any(|part| part == b"://");
    !path && !holds_token(value) && (classes >= 3 || value.len() >= 12 || runs >= 3)
}

/// A random word of one piece with both cases and a digit: no hash, no path, no number.
pub(crate) fn random_in_two_cases(value: &[u8]) -> bool {
    let plain = value.iter().all(|b| b.is_ascii_alphanumeric() || b"!@#$%^&*+=_-~".contains(b));
    plain
        && looks_random(value, 12)
        && value.iter().any(u8::is_ascii_lowercase)
        && value.iter().any(u8::is_ascii_uppercase)
}

/// Letters that no language puts together like this: five consonants in a row or few vowels. For names after which words
/// of prose stand as often as secrets.
pub(crate) fn is_unpronounceable(value: &[u8]) -> bool {
    let vowel = |b: &u8| matches!(b.to_ascii_lowercase(), b'a' | b'e' | b'i' | b'o' | b'u' | b'y');
    if !(8..=256).contains(&value.len()) || !value.iter().all(u8::is_ascii_alphabetic) {
        return false;
    }
    let vowels = value.iter().filter(|b| vowel(b)).count();
    let cluster = value.windows(5).any(|part| !part.iter().any(vowel));
    let start = value.get(..4).is_some_and(|part| !part.iter().any(vowel));
    !is_constant_case(value) && (cluster || start || vowels * 5 < value.len())
}

/// The same where a value is more likely than prose: long words count that do not end as words do.
pub(crate) fn is_gibberish(value: &[u8]) -> bool {
    is_unpronounceable(value) || is_long(value)
}

/// More lower-case letters than words have that do not end as long words do.
fn is_long(value: &[u8]) -> bool {
    const ENDINGS: [&[u8]; 17] = [
        b"ion", b"ions", b"ed", b"ing", b"ment", b"ments", b"able", b"ible", b"ive", b"ness", b"ity",
        b"ance", b"ence", b"ate", b"tor", b"ers", b"al",
    ];
    value.len() >= 13
        && value.len() <= 256
        && value.iter().all(u8::is_ascii_lowercase)
        && !ENDINGS.iter().any(|ending| value.ends_with(ending))
}

/// `BACKGROUND`: words in capitals are names of constants.
fn is_constant_case(value: &[u8]) -> bool {
    value.iter().all(u8::is_ascii_uppercase)
}

/// A value that people choose, after a short name for one (`pass`, `pin`): a word or a number, but no state.
pub(crate) fn chosen_word(named: super::words::Named, value: &[u8]) -> bool {
    const STATES: &[&str] = &[
        "passed",
        "success",
        "succeeded",
        "disabled",
        "enabled",
        "changed",
        "skipped",
        "pending",
        "complete",
        "completed",
        "default",
        "ignored",
        "verified",
        "blocked",
        "locked",
        "active",
        "inactive",
        "correct",
        "closed",
        "opened",
        "through",
    ];
    if !named.chosen || is_prose(value) || is_nothing(value) {
        return false;
    }
    if value.iter().all(u8::is_ascii_digit) {
        return (4..=12).contains(&value.len());
    }
    let plain =
        value.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%^&*+~@".contains(b));
    value.len() >= 6 && plain && !STATES.iter().any(|state| state.as_bytes() == value)
}

/// Whether the bytes are hex digits only.
pub(crate) fn is_hex(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(u8::is_ascii_hexdigit)
}

/// Words that stand where a secret would be without being one.
const EMPTY_WORDS: &[&str] = &[
    "null",
    "none",
    "nil",
    "undefined",
    "true",
    "false",
    "nan",
    "n/a",
    "na",
    "empty",
    "unset",
    "redacted",
    "filtered",
    "masked",
    "hidden",
    "removed",
    "omitted",
    "secret",
    "password",
    "token",
    "sensitive",
    "<nil>",
    "nullptr",
    "optional",
    "yes",
    "no",
    // How a browser sends credentials.
    "include",
    "omit",
    "same-origin",
];

/// Words of prose that follow `password:` or `token:` in messages.
const PROSE_WORDS: &[&str] = &[
    "a",
    "an",
    "and",
    "are",
    "at",
    "bad",
    "bytes",
    "can",
    "cannot",
    "could",
    "denied",
    "does",
    "error",
    "expected",
    "expired",
    "failed",
    "failure",
    "for",
    "found",
    "got",
    "has",
    "in",
    "incorrect",
    "invalid",
    "is",
    "it",
    "malformed",
    "may",
    "mismatch",
    "missing",
    "must",
    "my",
    "not",
    "of",
    "ok",
    "on",
    "or",
    "please",
    "present",
    "rejected",
    "required",
    "requires",
    "revoked",
    "should",
    "str",
    "string",
    "the",
    "this",
    "to",
    "too",
    "unable",
    "unauthorized",
    "unexpected",
    "unknown",
    "unsupported",
    "use",
    "using",
    "valid",
    "value",
    "was",
    "will",
    "with",
    "wrong",
    "you",
    "your",
    "int",
    "bool",
    "option",
    "vec",
    "number",
    "any",
    "self",
    "new",
    "object",
    "await",
    "async",
    "function",
    "lambda",
    "return",
    "throw",
    "typeof",
    "yield",
];

/// Whether a word is prose, not a value.
pub(crate) fn is_prose(value: &[u8]) -> bool {
    let word = value.strip_suffix(b".").or_else(|| value.strip_suffix(b",")).unwrap_or(value);
    PROSE_WORDS.iter().any(|prose| word.eq_ignore_ascii_case(prose.as_bytes()))
}

/// Whether a value is nothing to hide: empty, null, masked already, or a reference to where the secret is.
pub(crate) fn is_nothing(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    let inner = unquoted(value);
    inner.len() < 2
        || EMPTY_WORDS.iter().any(|word| inner.eq_ignore_ascii_case(word.as_bytes()))
        || inner.iter().all(|b| matches!(b, b'*' | b'.' | b'-' | b'_' | b'#' | b'?'))
        || (inner.iter().all(|b| matches!(b, b'x' | b'X')))
        || is_masked(inner)
        || is_reference(inner)
}

fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

/// `[redacted:x]`, `[Filtered]`, `<redacted>`, several of them, or `…****`.
fn is_masked(value: &[u8]) -> bool {
    let mut pos = 0;
    let mut tokens = 0;
    while pos < value.len() {
        let token = redaction_token(value, pos);
        if token > 0 {
            tokens += 1;
            pos += token;
        } else if at(value, pos).is_ascii_whitespace()
            || matches!(
                at(value, pos),
                b',' | b';' | b':' | b'\'' | b'"' | b'{' | b'}' | b'(' | b')' | b'[' | b']'
            )
        {
            pos += 1;
        } else {
            break;
        }
    }
    if pos >= value.len() {
        return tokens > 0;
    }
    let bracketed =
        matches!((value.first(), value.last()), (Some(b'['), Some(b']')) | (Some(b'<'), Some(b'>')));
    let inner = value.get(1..value.len().saturating_sub(1)).unwrap_or(&[]);
    bracketed
        && (inner.is_empty()
            || EMPTY_WORDS.iter().any(|word| inner.eq_ignore_ascii_case(word.as_bytes()))
            || (inner.len() <= 24
                && inner.iter().all(|b| b.is_ascii_alphabetic() || matches!(b, b' ' | b'_' | b'-'))))
}

/// `${X}`, `$X`, `{{ x }}`, `{x}`, `%s`, `:name`, `process.env.X`, `os.environ[…`, `getenv(…`.
fn is_reference(value: &[u8]) -> bool {
    let name = |part: &[u8]| {
        !part.is_empty() && part.iter().all(|b| b.is_ascii_alphanumeric() || b"_.: -".contains(b))
    };
    match value {
        [b'$', b'{', inner @ .., b'}'] | [b'$', b'(', inner @ .., b')'] | [b'#', b'{', inner @ .., b'}'] => {
            !inner.contains(&b'}')
        }
        [b'{', b'{', inner @ .., b'}', b'}'] => !inner.contains(&b'}'),
        [b'{', inner @ .., b'}'] => name(inner) && !inner.contains(&b':'),
        [b'$', rest @ ..] => {
            !rest.is_empty()
                && rest.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_')
        }
        [b'%', b'(', inner @ .., b')', b's'] => name(inner),
        [b'%', rest @ .., last] => {
            last.is_ascii_alphabetic()
                && rest.len() <= 3
                && rest.iter().all(|b| b"0123456789.-+#".contains(b))
        }
        [b':', rest @ ..] => rest.iter().all(|b| b.is_ascii_alphabetic() || *b == b'_'),
        _ => {
            const HEADS: [&[u8]; 10] = [
                b"arn:",
                b"process.env",
                b"os.environ",
                b"os.getenv",
                b"getenv(",
                b"env(",
                b"ENV[",
                b"import.meta.env",
                b"System.getenv",
                b"secrets.",
            ];
            HEADS.iter().any(|head| value.starts_with(head))
        }
    }
}

/// Whether an unquoted value in source code is an expression: a name, a member, a call.
pub(crate) fn is_expression(value: &[u8]) -> bool {
    let head = value.first().is_some_and(|b| b.is_ascii_alphabetic() || b"_$&*(!{[".contains(b));
    let code = value.iter().all(|b| b.is_ascii_alphanumeric() || b"_.$()[]{}&*:?!-><|+\"'/\\".contains(b));
    head && code && !looks_random(value, 12) && {
        let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
        let punctuation = value.iter().any(|b| b"()[].:>_".contains(b));
        digits == 0 || (punctuation && digits <= 2)
    }
}

/// Whether a value is a documented example, a placeholder or a repetition. For the scanner only.
pub(crate) fn is_placeholder(value: &[u8]) -> bool {
    const MARKS: [&str; 16] = [
        "example",
        "placeholder",
        "changeme",
        "change_me",
        "your_",
        "your-",
        "yourkey",
        "dummy",
        "sample",
        "xxxxx",
        "00000000",
        "12345678",
        "abcdefgh",
        "insert",
        "replace",
        "todo",
    ];
    let lower = slice(value, 0, 512).to_ascii_lowercase();
    let found = MARKS.iter().any(|mark| {
        // Random letters make `tOdO` now and then: a mark is written in one case, and a short one stands alone.
        memchr::memmem::find_iter(&lower, mark.as_bytes()).take(8).any(|at| {
            let end = at + mark.len();
            let alone = !crate::bytes::before(value, at).is_ascii_alphanumeric()
                && !crate::bytes::at(value, end).is_ascii_alphanumeric();
            in_one_case(slice(value, at, end)) && (mark.len() > 4 || alone)
        })
    });
    let mut distinct = lower.clone();
    distinct.sort_unstable();
    distinct.dedup();
    found || is_nothing(value) || (lower.len() >= 12 && distinct.len() <= 4)
}

/// `word`, `WORD`, `Word`.
fn in_one_case(word: &[u8]) -> bool {
    let rest = word.get(1..).unwrap_or(&[]);
    !rest.iter().any(u8::is_ascii_uppercase) || !word.iter().any(u8::is_ascii_lowercase)
}

/// Values too common to be replaced everywhere in an envelope.
pub(crate) fn is_trivial_echo(value: &str) -> bool {
    const COMMON: &[&str] = &[
        "password",
        "passw0rd",
        "changeme",
        "username",
        "undefined",
        "localhost",
        "production",
        "development",
        "staging",
        "testing",
        "anonymous",
        "disabled",
        "enabled",
        "required",
        "redacted",
        "filtered",
        "function",
        "internal",
        "external",
        "optional",
        "exception",
        "information",
        "authorization",
        "application",
        "application/json",
        "text/html",
        "text/plain",
        "keep-alive",
        "multipart/form-data",
        "gzip, deflate",
        "javascript",
        "python",
        "administrator",
        "sensitive",
        "postgres",
        "postgresql",
        "database",
        "container",
        "kubernetes",
        "anything",
        "something",
        "document",
        "security",
        "settings",
        "response",
        "requests",
    ];
    let bytes = value.as_bytes();
    value.chars().count() < 8
        || COMMON.iter().any(|word| value.eq_ignore_ascii_case(word))
        || bytes.windows(2).all(|pair| pair.first() == pair.last())
        || is_nothing(bytes)
}

/// Checks a token offline.
pub(crate) fn checksum_ok(kind: Checksum, token: &[u8]) -> bool {
    let Some(split) = token.len().checked_sub(6) else { return false };
    let (body, sum) = (slice(token, 0, split), slice(token, split, token.len()));
    let body = match kind {
        Checksum::Crc32Base62All => body,
        Checksum::Crc32Base62Body => {
            let prefix = body.iter().position(|byte| *byte == b'_').map_or(0, |index| index + 1);
            slice(body, prefix, body.len())
        }
    };
    base62(crc32fast::hash(body)) == *sum
}

/// Six base62 digits, most significant first, in the order 0-9 A-Z a-z.
pub(crate) fn base62(mut number: u32) -> [u8; 6] {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut out = [b'0'; 6];
    for slot in out.iter_mut().rev() {
        *slot = at(DIGITS, (number % 62) as usize);
        number /= 62;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_do_not_look_random() {
        for word in [
            "Base64UrlDecoder",
            "GatewaySession2Impl",
            "HTTPServerError500",
            "utf8_general_ci",
            "internal-server-error",
            "sha256WithRSAEncryption",
            "2026-11-24T09:48:16Z",
            "6f9619ff-8b86-d011-b42d-00c04fc964ff",
        ] {
            assert!(!looks_random_far(word.as_bytes()), "{word}");
        }
        for parts in [["2ql71DXC", "zUjyhzyO"], ["YE0T4wNBS!", "gVTQpu"], ["Jfi9ta7HE8", "iGPYVbSi"]] {
            let word = parts.concat();
            assert!(looks_random_far(word.as_bytes()), "{word}");
        }
    }

    #[test]
    fn references_and_masks_are_nothing() {
        for value in [
            "",
            "''",
            "null",
            "None",
            "${DB_PASSWORD}",
            "$DB_PASSWORD",
            "{{ .Values.password }}",
            "%s",
            "%(password)s",
            "{password}",
            "process.env.X",
            "[Filtered]",
            "[redacted:password]",
            "'[redacted:password]'",
            "********",
            "<password>",
            ":password",
            "?",
        ] {
            assert!(is_nothing(value.as_bytes()), "{value}");
        }
        for value in ["hunter2", "$ecret", "{\"a\":1}", "12", "[redacted:password]x", "null1"] {
            assert!(!is_nothing(value.as_bytes()), "{value}");
        }
    }
}
