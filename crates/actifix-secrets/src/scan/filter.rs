//! Why a candidate is not reported. Filters judge one value and the text right around it, cheap tests first; none of them
//! weakens redaction.
use crate::bytes::{at, before, has, is_uuid, run, slice};
use crate::detect::checks::{is_expression, is_hex, looks_random, looks_random_far};
use crate::detect::shape::LENIENT_URL;
use crate::finding::Dropped;
use crate::rule::{Detector, Rule};

use super::looks::{
    is_long_hash, is_long_hex, is_path, is_public, is_run, is_symbol, is_template, is_text, public_name,
    unquote,
};
use super::place::{Place, place};
use super::words::{holds_words, is_wordy, known_weak};
use base64::Engine as _;

/// Least entropy of the part of a token after its prefix, bits per byte.
const TOKEN_ENTROPY_MIN: f32 = 2.3;
/// Shortest values of names that are reported.
const CHOSEN_BYTES_MIN: usize = 6;
const CHOSEN_BYTES_MAX: usize = 128;
const MADE_BYTES_MIN: usize = 12;
/// A private key has at least this many bytes of base64 in one piece, the rest of its lines may be cut.
const PEM_RUN_MIN: usize = 40;

/// A candidate with the text around it.
pub(crate) struct Case<'t> {
    pub rule: &'t Rule,
    pub text: &'t [u8],
    pub start: usize,
    pub end: usize,
    pub value: &'t [u8],
    pub checksum: Option<bool>,
    pub placeholder: bool,
    pub entropy: f32,
}

/// Why a candidate is not reported; none if it is.
pub(crate) fn verdict(case: &Case<'_>) -> Option<Dropped> {
    if case.rule.redact_only {
        return Some(Dropped::RedactOnly);
    }
    match case.rule.detector {
        Detector::Pem => pem(case),
        Detector::Jwt => jwt(case),
        Detector::Card => card(case),
        Detector::UrlPassword | Detector::UrlToken => url(case),
        Detector::Pattern | Detector::Vendor | Detector::Near => token(case),
        Detector::Authorization | Detector::Cookie | Detector::QueryToken => carried(case),
        Detector::Name | Detector::Custom => named(case),
        Detector::SecretWord | Detector::Email | Detector::Ip => Some(Dropped::RedactOnly),
    }
}

/// Values of a vendor's format.
fn token(case: &Case<'_>) -> Option<Dropped> {
    if case.placeholder {
        return Some(Dropped::Placeholder);
    }
    if case.checksum == Some(false) {
        return Some(Dropped::Checksum);
    }
    let body = body(case.rule, case.value);
    if case.entropy < case.rule.entropy
        || (body.len() >= 12 && crate::detect::checks::entropy(body) < TOKEN_ENTROPY_MIN)
    {
        return Some(Dropped::LowEntropy);
    }
    let one_case =
        !body.iter().any(u8::is_ascii_uppercase) || body.iter().any(|b| matches!(b, b'_' | b'-' | b' '));
    let plain_words = body.len() >= 8 && one_case && !body.iter().any(u8::is_ascii_digit) && is_wordy(body);
    if plain_words || is_template(case.value) || inside_blob(case.text, case.start) {
        return Some(Dropped::Identifier);
    }
    let public = case.rule.detector == Detector::Vendor && public_name(place(case.text, case.start).name);
    public.then_some(Dropped::Public)
}

/// Whether what stands right before a token is the beginning of a longer base64 word: `sha256=qaN-fw_…`.
fn inside_blob(text: &[u8], start: usize) -> bool {
    if !matches!(before(text, start), b'-' | b'_' | b'+' | b'/') {
        return false;
    }
    let mut from = start;
    while from > 0 && start - from < 48 && crate::bytes::is_base64(before(text, from)) {
        from -= 1;
    }
    let head = slice(text, from, start);
    let hash = matches!(before(text, from), b'=' | b':')
        && (has(text, from.saturating_sub(7), b"sha256") || has(text, from.saturating_sub(7), b"sha512"));
    hash || (head.len() >= 12 && looks_random(head, 12) && !head.contains(&b'/'))
        || (head.len() >= 40 && looks_random(head, 40))
}

/// What follows the rule's keyword in a token.
fn body<'v>(rule: &Rule, value: &'v [u8]) -> &'v [u8] {
    let prefix =
        rule.keywords.iter().filter(|keyword| has(value, 0, keyword.as_bytes())).map(String::len).max();
    slice(value, prefix.unwrap_or(0), value.len())
}

fn pem(case: &Case<'_>) -> Option<Dropped> {
    let value = case.value;
    let body = memchr::memmem::find(value, b"KEY").map_or(0, |found| found + 3);
    let mut pos = body;
    while pos < value.len() {
        let end =
            run(value, pos, value.len(), |b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='));
        let word = slice(value, pos, end);
        if word.len() >= PEM_RUN_MIN {
            let repeated = crate::detect::checks::entropy(word) < 3.0;
            return repeated.then_some(Dropped::Placeholder);
        }
        pos = end + 1;
    }
    Some(Dropped::Placeholder)
}

fn jwt(case: &Case<'_>) -> Option<Dropped> {
    let mut parts = case.value.split(|b| *b == b'.');
    let (_, payload) = (parts.next(), parts.next().unwrap_or(&[]));
    let encrypted = parts.clone().count() >= 3;
    let Ok(json) = LENIENT_URL.decode(payload) else {
        // Cut or encrypted: the header was one.
        return (!encrypted && payload.len() < 16).then_some(Dropped::Placeholder);
    };
    let has = |needle: &[u8]| memchr::memmem::find(&json, needle).is_some();
    if has(b"\"1234567890\"") || has(b"\"some\":\"payload\"") || case.placeholder && json.len() < 8 {
        return Some(Dropped::Placeholder);
    }
    if has(b"\"role\":\"anon\"") {
        return Some(Dropped::Public);
    }
    let signature = parts.next().unwrap_or(&[]);
    (signature.len() < 8 && !encrypted).then_some(Dropped::Placeholder)
}

/// Names under which many digits are no card.
const ID_NAMES: [&[u8]; 14] = [
    b"id",
    b"ids",
    b"time",
    b"timestamp",
    b"nonce",
    b"seed",
    b"offset",
    b"size",
    b"hash",
    b"serial",
    b"sequence",
    b"imei",
    b"phone",
    b"version",
];

fn card(case: &Case<'_>) -> Option<Dropped> {
    let digits: Vec<u8> = case.value.iter().copied().filter(u8::is_ascii_digit).collect();
    if super::documented::is_test_card(&digits) {
        return Some(Dropped::Placeholder);
    }
    let mut distinct = digits;
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 4 {
        return Some(Dropped::Placeholder);
    }
    let place = place(case.text, case.start);
    if ID_NAMES.iter().any(|id| last_word_is(place.name, id)) {
        return Some(Dropped::Identifier);
    }
    if in_table(case.text, case.start, case.end) {
        return Some(Dropped::Identifier);
    }
    let in_word = matches!(before(case.text, case.start), b'.' | b'/' | b'_' | b'#' | b'+')
        || matches!(at(case.text, case.end), b'.' | b'/' | b'_' | b'L' | b'%')
            && at(case.text, case.end + 1) > b' ';
    in_word.then_some(Dropped::Identifier)
}

/// Whether a number stands among others of its kind: tables of constants, code points, measurements.
fn in_table(text: &[u8], start: usize, end: usize) -> bool {
    const AROUND: usize = 160;
    let (mut long, mut short) = (0, 0);
    for part in
        [slice(text, start.saturating_sub(AROUND), start), slice(text, end, end.saturating_add(AROUND))]
    {
        for word in part.split(|b| !b.is_ascii_alphanumeric() && *b != b'.' && *b != b'_') {
            let digits = word.iter().filter(|b| b.is_ascii_digit()).count();
            long += usize::from(digits >= 9 && digits * 4 >= word.len() * 3);
            short += usize::from(word.len() == 4 && is_hex(word));
        }
    }
    long >= 2 || short >= 8
}

fn last_word_is(name: &[u8], word: &[u8]) -> bool {
    let Some(start) = name.len().checked_sub(word.len()) else { return false };
    let tail = slice(name, start, name.len());
    let boundary = start == 0
        || !before(name, start).is_ascii_alphabetic()
        || (before(name, start).is_ascii_lowercase() && at(name, start).is_ascii_uppercase());
    tail.eq_ignore_ascii_case(word) && boundary
}

/// Passwords and tokens in URLs.
fn url(case: &Case<'_>) -> Option<Dropped> {
    let value = case.value;
    let host_end =
        run(case.text, case.end + 1, 64, |b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    let host = slice(case.text, case.end + 1, host_end);
    if case.placeholder
        || known_weak(value)
        || holds_words(value, &[b"pass", b"word", b"secret", b"token"]) && is_wordy(value)
    {
        return Some(Dropped::Placeholder);
    }
    if is_template(value)
        || value.iter().any(|b| b"[](){}<>|^\\ ,;\"'$`".contains(b)) && !looks_random(value, 10)
    {
        return Some(Dropped::Reference);
    }
    let user = user_of(case.text, case.start);
    if value.eq_ignore_ascii_case(user) || host.is_empty() && at(case.text, case.end + 1) != b'[' {
        return Some(Dropped::Placeholder);
    }
    let documented_host =
        [&b"example.com"[..], b"example.org", b"example.net", b"host", b"hostname", b"server"]
            .contains(&host);
    let letters = value.iter().all(u8::is_ascii_alphabetic);
    let digits = value.iter().all(u8::is_ascii_digit);
    let thin =
        value.len() < 5 || (letters && (value.len() < 8 || is_wordy(value))) || (digits && value.len() < 8);
    (thin || (documented_host && !looks_random(value, 8))).then_some(Dropped::Placeholder)
}

/// The user before the password that starts at `start`.
fn user_of(text: &[u8], start: usize) -> &[u8] {
    let end = start.saturating_sub(1);
    let mut from = end;
    while from > 0 && end - from < 128 && !matches!(before(text, from), b'/' | b' ' | b'"' | b'\'') {
        from -= 1;
    }
    slice(text, from, end)
}

/// Values that a header, cookie or URL carries.
fn carried(case: &Case<'_>) -> Option<Dropped> {
    let value = unquote(case.value);
    let cut = memchr::memmem::find(value, b"...").is_some();
    if case.placeholder || known_weak(value) || cut {
        return Some(Dropped::Placeholder);
    }
    if is_template(value) {
        return Some(Dropped::Reference);
    }
    // Codes of OAuth work once and for seconds, and a signature with parameters is good for one request.
    let unquoted = !place(case.text, case.start).quoted;
    if value.contains(&b' ')
        || is_text(value)
        || (unquoted && is_symbol(value))
        || last_word_is(place(case.text, case.start).name, b"code")
    {
        return Some(Dropped::Identifier);
    }
    if is_public(value) {
        return Some(Dropped::Public);
    }
    if is_wordy(value) || value.iter().any(|b| b"(){}<>[]|^".contains(b)) || is_path(value) {
        return Some(Dropped::Identifier);
    }
    if case.rule.detector != Detector::Authorization && is_uuid(value) {
        return Some(Dropped::Hash);
    }
    if let Some(pair) = basic_pair(case, value) {
        let weak = known_weak(&pair) || pair.len() < 4 || crate::detect::checks::is_placeholder(&pair);
        return weak.then_some(Dropped::Placeholder);
    }
    let mixed = value.len() >= 16 && value.iter().any(u8::is_ascii_digit) && case.entropy >= 3.3;
    let made = mixed
        || is_scrambled(value)
        || value.len() >= MADE_BYTES_MIN
            && (looks_random(value, MADE_BYTES_MIN) || is_long_hex(value) || is_uuid(value));
    if !made || case.entropy < 3.0 {
        return Some(Dropped::LowEntropy);
    }
    None
}

/// The password in `Basic dXNlcjpwYXNz`.
fn basic_pair(case: &Case<'_>, value: &[u8]) -> Option<Vec<u8>> {
    let head = slice(case.text, case.start.saturating_sub(6), case.start);
    if case.rule.detector != Detector::Authorization || !head.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let word: Vec<u8> = value
        .iter()
        .map(|b| {
            if *b == b'+' {
                b'-'
            } else if *b == b'/' {
                b'_'
            } else {
                *b
            }
        })
        .collect();
    let plain = LENIENT_URL.decode(&word).ok()?;
    let colon = memchr::memchr(b':', &plain)?;
    plain.get(colon + 1..).map(<[u8]>::to_vec)
}

/// Values of names that say what they are.
fn named(case: &Case<'_>) -> Option<Dropped> {
    let value = unquote(case.value.trim_ascii());
    let place = place(case.text, case.start);
    if case.placeholder || known_weak(value) {
        return Some(Dropped::Placeholder);
    }
    if is_template(value) {
        return Some(Dropped::Reference);
    }
    if is_public(value) || public_name(place.name) {
        return Some(Dropped::Public);
    }
    if value.iter().any(|b| b.is_ascii_whitespace() || b.is_ascii_control()) || is_path(value) {
        return Some(Dropped::Identifier);
    }
    if is_text(value) || !place.quoted && !bare(case, value) {
        return Some(Dropped::Identifier);
    }
    if case.rule.chosen { chosen(case, value, place) } else { made(case, value, place) }
}

/// Whether a value without quotes may be one: not what code assigns.
fn bare(case: &Case<'_>, value: &[u8]) -> bool {
    let call = value.iter().any(|b| b"(){}[]<>;\"'`".contains(b))
        || matches!(at(case.text, case.end), b'(' | b'[' | b'<');
    let member = value.split(|b| *b == b'.').count() >= 2 && !looks_random(value, 12);
    !call && !member && !is_symbol(value) && (!is_expression(value) || is_scrambled(value))
}

/// Passwords that a person may have chosen.
fn chosen(case: &Case<'_>, value: &[u8], place: Place<'_>) -> Option<Dropped> {
    if !(CHOSEN_BYTES_MIN..=CHOSEN_BYTES_MAX).contains(&value.len()) {
        return Some(Dropped::LowEntropy);
    }
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    let letters = value.iter().filter(|b| b.is_ascii_alphabetic()).count();
    let marks = value.iter().filter(|b| b"!@#$%^&*+=~?/|".contains(b)).count();
    let mixed =
        letters >= 3 && (digits >= 1 || marks >= 1) || (digits >= 4 && marks >= 1) || is_scrambled(value);
    let ascii = value.iter().filter(|b| b.is_ascii()).count() * 2 >= value.len();
    if !mixed || !ascii || (marks == 0 && is_wordy(value)) || is_long_hash(value, place) {
        return Some(Dropped::Identifier);
    }
    if case.entropy < 2.5 || is_run(value) {
        return Some(Dropped::LowEntropy);
    }
    let quoted = place.quoted && !value.iter().any(|b| matches!(b, b'-' | b'_'));
    let told = place.assigned || quoted || place.name.starts_with(b"-");
    let sure =
        looks_random_far(value) || (looks_random(value, 7) && !value.iter().any(|b| b"/.:-_".contains(b)));
    (!told && !sure).then_some(Dropped::Identifier)
}

/// Letters of both cases in no order of words.
fn is_scrambled(value: &[u8]) -> bool {
    let turns = value
        .windows(2)
        .filter(|pair| matches!(pair, [a, b] if a.is_ascii_lowercase() != b.is_ascii_lowercase()))
        .count();
    value.len() >= 12 && turns >= 4 && value.iter().all(u8::is_ascii_alphanumeric) && !is_wordy(value)
}

/// Keys and tokens that a machine made.
fn made(case: &Case<'_>, value: &[u8], place: Place<'_>) -> Option<Dropped> {
    if is_wordy(value) {
        return Some(Dropped::Identifier);
    }
    let random = looks_random(value, MADE_BYTES_MIN) || is_long_hex(value) || is_uuid(value);
    let mixed = value.len() >= 16 && value.iter().any(u8::is_ascii_digit) && case.entropy >= 3.5;
    let letters = value.len() >= 20 && case.entropy >= 3.9 && is_scrambled(value);
    // A secret under a sure name may be chosen by a person too.
    let strong = value.len() >= 8
        && place.assigned
        && looks_random(value, 8)
        && value.iter().any(|b| b"!@#$%^&*".contains(b));
    if !(random || mixed || letters || strong) || (case.entropy < 3.0 && !strong) {
        return Some(Dropped::LowEntropy);
    }
    let told = place.assigned || place.quoted || place.name.starts_with(b"-");
    (!told && !looks_random(value, MADE_BYTES_MIN) && !is_long_hex(value) && !mixed)
        .then_some(Dropped::Identifier)
}
