//! Which candidates of the engine a person has to see.
//!
//! Redaction takes everything that could be a secret; a scan that did the same on source code would be switched off in
//! a day. So formats with a vendor's prefix stay unless they are examples, and values of names have to look like values.

use actifix_secrets::{Match, Severity};
use std::fmt;

/// Two parts of one credential stand within this many bytes of each other.
const PAIR_BYTES_MAX: usize = 2_048;
/// An access key id, which is half of a credential.
const AWS_ID_RULE: &str = "aws_access_key_id";
/// Length of an AWS secret access key.
const AWS_SECRET_BYTES: usize = 40;

/// Shortest value of a name that is no word.
const VALUE_BYTES_MIN: usize = 8;
/// From here on a value needs [`LONG_ENTROPY_MIN`].
const LONG_VALUE_BYTES: usize = 16;
/// Bits per byte.
const LONG_ENTROPY_MIN: f32 = 3.0;
/// Bits per byte.
const SHORT_ENTROPY_MIN: f32 = 2.5;
/// Bits per byte; a word that only stands near a sensitive one has to be random.
const FAR_ENTROPY_MIN: f32 = 3.5;
/// A shorter word near a sensitive one is not told.
const FAR_BYTES_MIN: usize = 20;

/// Source code, where an unquoted value is an expression.
const CODE_ENDINGS: &[&str] = &[
    "c", "cc", "cjs", "clj", "cpp", "cs", "cxx", "dart", "erl", "ex", "exs", "fs", "go", "groovy", "h",
    "hpp", "hs", "java", "jl", "js", "jsx", "kt", "kts", "lua", "m", "mjs", "ml", "mm", "php", "pl", "pm",
    "proto", "ps1", "py", "pyi", "rb", "rs", "scala", "svelte", "swift", "ts", "tsx", "vue", "zig",
];

/// Card numbers that payment providers print in their documentation.
const TEST_CARDS: &[&str] = &[
    "4242424242424242",
    "4111111111111111",
    "4000056655665556",
    "4012888888881881",
    "5555555555554444",
    "5105105105105100",
    "2223003122003222",
    "378282246310005",
    "371449635398431",
    "6011111111111117",
    "30569309025904",
    "3530111333300000",
    "3566002020360505",
];

/// Why a candidate is no finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The check digits of the format are wrong.
    Checksum,
    /// A documented example, placeholder, reference or repetition.
    Placeholder,
    /// Too regular for a secret.
    Entropy,
    /// Too short for the value of a name.
    Short,
    /// Words of a language, an identifier or a path.
    Words,
    /// Code that yields a value.
    Expression,
    /// A stronger finding covers it.
    Covered,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checksum => "its checksum is wrong",
            Self::Placeholder => "it is an example, a placeholder or a reference",
            Self::Entropy => "it is too regular for a secret",
            Self::Short => "it is too short for a secret",
            Self::Words => "it is words, an identifier or a path",
            Self::Expression => "it is an expression of the program",
            Self::Covered => "a stronger finding covers it",
        })
    }
}

/// A candidate with what became of it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// What the engine saw.
    pub found: Match,
    /// How bad it is here.
    pub severity: Severity,
    /// None: it is a finding.
    pub dropped: Option<Reason>,
}

/// What the judgement depends on besides the text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context {
    /// The text is source code.
    pub code: bool,
    /// Tokens with a wrong checksum are findings of severity low.
    pub strict: bool,
}

/// Whether a path ends like source code.
pub fn is_code(path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    let Some(dot) = memchr::memrchr(b'.', name) else { return false };
    let ending = name.get(dot + 1..).unwrap_or_default();
    CODE_ENDINGS.iter().any(|code| ending.eq_ignore_ascii_case(code.as_bytes()))
}

/// Weighs all candidates of one text, in order of their start.
pub fn judge(text: &[u8], found: Vec<Match>, context: Context) -> Vec<Judged> {
    let mut judged: Vec<Judged> = found
        .into_iter()
        .map(|found| {
            let value = text.get(found.span.clone()).unwrap_or_default();
            let mut dropped = weigh(text, value, &found, context);
            let mut severity = found.severity;
            if context.strict && dropped == Some(Reason::Checksum) {
                (dropped, severity) = (None, Severity::Low);
            }
            Judged { found, severity, dropped }
        })
        .collect();
    cover(&mut judged);
    pair(text, &mut judged);
    judged
}

fn weigh(text: &[u8], value: &[u8], found: &Match, context: Context) -> Option<Reason> {
    if found.checksum == Some(false) {
        return Some(Reason::Checksum);
    }
    if found.placeholder || is_test_card(&found.rule, value) {
        return Some(Reason::Placeholder);
    }
    if found.low_entropy {
        return Some(Reason::Entropy);
    }
    match found.tier {
        1 if &*found.rule == "url_password" => url_password(value),
        1 => None,
        tier => named_value(text, value, found, context, tier),
    }
}

/// The value of a sensitive name, or a word near one.
fn named_value(text: &[u8], value: &[u8], found: &Match, context: Context, tier: u8) -> Option<Reason> {
    let quoted = is_quoted(text, found);
    let far = tier > 2;
    if value.len() < if far { FAR_BYTES_MIN } else { VALUE_BYTES_MIN } {
        return Some(Reason::Short);
    }
    if value.iter().any(|byte| byte.is_ascii_whitespace() || !byte.is_ascii_graphic()) {
        return Some(Reason::Words);
    }
    if (context.code && !quoted) || is_expression(value) {
        return Some(Reason::Expression);
    }
    if is_wordy(value) {
        return Some(Reason::Words);
    }
    let needs = match value.len() {
        _ if far => FAR_ENTROPY_MIN,
        LONG_VALUE_BYTES.. => LONG_ENTROPY_MIN,
        _ => SHORT_ENTROPY_MIN,
    };
    (found.entropy < needs).then_some(Reason::Entropy)
}

/// Passwords of databases that run on the developer's own machine.
fn url_password(value: &[u8]) -> Option<Reason> {
    const COMMON: &[&str] = &[
        "password", "passwd", "pass", "postgres", "root", "admin", "user", "guest", "test", "secret",
        "mysql", "pw",
    ];
    if COMMON.iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes())) {
        return Some(Reason::Placeholder);
    }
    if matches!(value.first(), Some(b'$' | b'{' | b'<' | b'%' | b'[')) && !is_percent_escape(value) {
        return Some(Reason::Placeholder);
    }
    (value.len() < 4).then_some(Reason::Short)
}

fn is_percent_escape(value: &[u8]) -> bool {
    matches!(value, [b'%', a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit())
}

fn is_quoted(text: &[u8], found: &Match) -> bool {
    let is_quote = |byte: Option<&u8>| matches!(byte, Some(b'"' | b'\'' | b'`'));
    let before = found.span.start.checked_sub(1).and_then(|at| text.get(at));
    // At any level of escaping: `\"value\"`.
    let after = text.get(found.span.end..).unwrap_or_default().iter().find(|byte| **byte != b'\\');
    is_quote(before) && is_quote(after)
}

/// References, calls, templates, format strings.
fn is_expression(value: &[u8]) -> bool {
    let has = |needle: &[u8]| memchr::memmem::find(value, needle).is_some();
    matches!(value.first(), Some(b'$' | b'{' | b'<' | b'[' | b'(' | b'&' | b'@'))
        || has(b"()")
        || has(b"${")
        || has(b"{{")
        || has(b"{}")
        || has(b"%s")
        || has(b"::")
        || has(b"->")
        || has(b"=>")
        || has(b"[redacted")
        || (value.contains(&b'(') && value.contains(&b')'))
        || (value.contains(&b'[')
            && value.contains(&b']')
            && value.first().is_some_and(u8::is_ascii_alphabetic))
}

/// Identifiers, dotted names, file and web paths, words with separators: parts without a digit between letters.
fn is_wordy(value: &[u8]) -> bool {
    if value.starts_with(b"/") || value.starts_with(b"./") || value.starts_with(b"~/") {
        return memchr::memchr_iter(b'/', value).count() > 1 || value.starts_with(b".");
    }
    if memchr::memmem::find(value, b"://").is_some() {
        return true;
    }
    let separator = |byte: &u8| matches!(byte, b'_' | b'-' | b'.' | b'/' | b':' | b',' | b'#' | b'|' | b'\\');
    value.split(separator).all(|part| {
        let letters = part.iter().all(|byte| byte.is_ascii_alphabetic());
        let digits = part.iter().all(u8::is_ascii_digit);
        (letters && is_pronounceable(part)) || (digits && part.len() <= 4)
    })
}

/// Whether letters could be words: camel case with humps of some length and with vowels. `xKqZpWvRtLm` is none.
fn is_pronounceable(part: &[u8]) -> bool {
    if part.len() < 12 {
        return true;
    }
    let upper = part.iter().filter(|byte| byte.is_ascii_uppercase()).count();
    let humps = part
        .windows(2)
        .filter(|pair| matches!(pair, [a, b] if a.is_ascii_lowercase() && b.is_ascii_uppercase()))
        .count();
    let vowels = part.iter().filter(|byte| b"aeiouyAEIOUY".contains(byte)).count();
    let whole = upper == part.len() || upper == 0;
    vowels * 5 >= part.len() && (whole || (upper <= humps + 3 && humps * 3 <= part.len()))
}

fn is_test_card(rule: &str, value: &[u8]) -> bool {
    if rule != "card_number" && rule != "card" {
        return false;
    }
    let digits: Vec<u8> = value.iter().copied().filter(u8::is_ascii_digit).collect();
    TEST_CARDS.iter().any(|card| card.as_bytes() == digits)
}

/// Of findings that overlap the strongest stays: lowest tier, then severity, then length.
fn cover(judged: &mut [Judged]) {
    let mut best: Option<usize> = None;
    for index in 0..judged.len() {
        let Some(now) = judged.get(index).filter(|now| now.dropped.is_none()) else { continue };
        let Some(before) = best.and_then(|at| judged.get(at)) else {
            best = Some(index);
            continue;
        };
        if now.found.span.start >= before.found.span.end {
            best = Some(index);
            continue;
        }
        let strength = |one: &Judged| (u8::MAX - one.found.tier, one.severity, one.found.span.len());
        let weaker = if strength(now) > strength(before) { best.replace(index) } else { Some(index) };
        if let Some(weaker) = weaker.and_then(|at| judged.get_mut(at)) {
            weaker.dropped = Some(Reason::Covered);
        }
    }
}

/// An AWS key id is half of a credential: low alone, critical beside its secret.
fn pair(text: &[u8], judged: &mut [Judged]) {
    let secrets: Vec<usize> = judged
        .iter()
        .filter(|one| one.dropped.is_none() && is_aws_secret(text, one))
        .map(|one| one.found.span.start)
        .collect();
    let mut beside = Vec::new();
    for one in judged.iter_mut().filter(|one| one.dropped.is_none() && &*one.found.rule == AWS_ID_RULE) {
        let at = one.found.span.start;
        let first = secrets.partition_point(|secret| secret + PAIR_BYTES_MAX < at);
        let near = secrets.get(first).filter(|secret| **secret <= at.saturating_add(PAIR_BYTES_MAX));
        one.severity = if near.is_some() { Severity::Critical } else { Severity::Low };
        beside.extend(near.copied());
    }
    for one in judged.iter_mut().filter(|one| one.dropped.is_none()) {
        if beside.contains(&one.found.span.start) && is_aws_secret(text, one) {
            one.severity = Severity::Critical;
        }
    }
}

fn is_aws_secret(text: &[u8], one: &Judged) -> bool {
    let value = text.get(one.found.span.clone()).unwrap_or_default();
    value.len() == AWS_SECRET_BYTES
        && one.found.tier > 1
        && value.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actifix_secrets::Engine;

    /// Rules and severities of the findings in a text.
    fn found(text: &str, path: &str) -> Vec<(String, Severity)> {
        let context = Context { code: is_code(path.as_bytes()), strict: false };
        judge(text.as_bytes(), Engine::builtin().scan(text.as_bytes()), context)
            .into_iter()
            .filter(|one| one.dropped.is_none())
            .map(|one| (one.found.rule.to_string(), one.severity))
            .collect()
    }

    fn aws_id() -> String {
        ["AK", "IA", "Q3EGRTZ5WKPLMXN7"].concat()
    }

    fn aws_secret() -> String {
        ["wJ4lrXUtnFEMI7K", "MDENGbPxRfiCYz8Qk2", "vB3nL0s"].concat()
    }

    #[test]
    fn a_key_id_alone_is_low_and_beside_its_secret_critical() {
        assert_eq!(found(&aws_id(), "a.txt"), [("aws_access_key_id".to_owned(), Severity::Low)]);
        let both = format!(
            "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
            aws_id(),
            aws_secret()
        );
        let severities: Vec<Severity> =
            found(&both, "credentials").iter().map(|(_, severity)| *severity).collect();
        assert_eq!(severities, [Severity::Critical, Severity::Critical], "{both}");
    }

    #[test]
    fn code_around_secrets_is_no_secret() {
        for (text, path) in [
            ("password = self.config.database_password", "a.py"),
            ("let token = read_token(&request)?;", "a.rs"),
            ("api_key: process.env.API_KEY_PRODUCTION,", "a.js"),
            ("password: ${DB_PASSWORD_FROM_VAULT}", "a.yaml"),
            ("secret: kubernetes-secret-name", "a.yaml"),
            ("token: {{ .Values.registryToken }}", "a.yaml"),
            ("postgres://user:password@localhost/db", "README.md"),
            ("The password is stored as an argon2id hash.", "README.md"),
            ("const TOKEN_HEADER = \"X-Request-Token\";", "a.ts"),
            ("secret_key = \"projects/acme/secrets/session\"", "a.tf"),
        ] {
            assert_eq!(found(text, path), [], "{text}");
        }
    }

    #[test]
    fn values_of_names_are_secrets() {
        let value = ["tr0ub4dor", "&3xYq"].concat();
        for (text, path) in [
            (format!("DB_PASSWORD={value}"), ".env"),
            (format!("password: \"{value}\""), "a.yaml"),
            (format!("password = '{value}'"), "a.py"),
            (format!("{{\"password\":\"{value}\"}}"), "a.json"),
            (format!("postgres://app:{value}@db.internal/app"), "a.txt"),
        ] {
            assert_eq!(found(&text, path).len(), 1, "{text}");
        }
    }

    #[test]
    fn of_overlapping_findings_one_stays() {
        let text = format!("api_key = \"{}\"", ["sk", "_live_", "4eC39HqLyjWDarjtT1zdp7dc"].concat());
        let all = found(&text, "a.py");
        assert_eq!(all.len(), 1, "{all:?}");
        assert!(all[0].0.starts_with("stripe"), "the format names the vendor: {all:?}");
    }
}
