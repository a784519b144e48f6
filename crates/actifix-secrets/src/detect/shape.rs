//! Formats that a regular expression says badly: PEM blocks, JWTs, card numbers, passwords in URLs.
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::checks::{is_hex, is_nothing, looks_random};
use crate::bytes::{at, before, has, is_token, run, slice, starts_token};

/// Decodes base64url with or without padding and ignores stray bits at the end.
pub(crate) const LENIENT_URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Longest PEM block, JWT and URL authority that are followed.
const PEM_BYTES_MAX: usize = 64 << 10;
const JWT_BYTES_MAX: usize = 16 << 10;
const JWT_HEADER_MAX: usize = 4 << 10;
const AUTHORITY_BYTES_MAX: usize = 1_024;
/// Longest host, and how far behind a blank or quote the rest of a password may stand.
const HOST_BYTES_MAX: usize = 253;
const ODD_BYTES_MAX: usize = 64;

/// A private-key block whose `-----BEGIN ` starts at `pos`. One that was cut ends where its body ends.
pub(crate) fn pem(text: &[u8], pos: usize) -> Option<(usize, usize)> {
    let label = pos + b"-----BEGIN ".len();
    let label_end = run(text, label, 64, |b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b' ');
    if memchr::memmem::find(slice(text, label, label_end), b"PRIVATE KEY").is_none()
        || !has(text, label_end, b"-----")
    {
        return None;
    }
    let body = label_end + 5;
    let window = slice(text, body, body.saturating_add(PEM_BYTES_MAX));
    if let Some(end) = memchr::memmem::find(window, b"-----END ") {
        let tail =
            run(text, body + end + 9, 64, |b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b' ');
        return Some((pos, if has(text, tail, b"-----") { tail + 5 } else { tail }));
    }
    let end = run(text, body, PEM_BYTES_MAX, |b| {
        b.is_ascii_alphanumeric() || b.is_ascii_whitespace() || b"+/=\\:,-.()".contains(&b)
    });
    Some((pos, end))
}

/// A JWT that starts with `eyJ` at `pos`; its header has to be JSON with an `alg`, `enc`, `typ` or `kid`.
pub(crate) fn jwt(text: &[u8], pos: usize) -> Option<(usize, usize)> {
    if !starts_token(text, pos) {
        return None;
    }
    let header_end = jwt_header_end(text, pos);
    if at(text, header_end) != b'.' || !jwt_header(slice(text, pos, header_end)) {
        return None;
    }
    let mut end = run(text, header_end + 1, JWT_BYTES_MAX, is_token);
    if end < header_end + 5 && at(text, end) != b'.' {
        return None;
    }
    for _ in 0..3 {
        if at(text, end) != b'.' || !(is_token(at(text, end + 1)) || at(text, end + 1) == b'.') {
            break;
        }
        end = run(text, end + 1, JWT_BYTES_MAX, is_token);
    }
    Some((pos, run(text, end, 2, |b| b == b'=')))
}

/// End of what would be the header of a JWT at `pos`.
pub(crate) fn jwt_header_end(text: &[u8], pos: usize) -> usize {
    run(text, pos, JWT_HEADER_MAX, is_token)
}

fn jwt_header(word: &[u8]) -> bool {
    let Ok(json) = LENIENT_URL.decode(word) else { return false };
    match serde_json::from_slice::<serde_json::Value>(&json) {
        Ok(serde_json::Value::Object(map)) => {
            ["alg", "enc", "typ", "kid"].iter().any(|key| map.contains_key(*key))
        }
        _ => false,
    }
}

/// Card numbers: 14 to 19 digits in one run, or in the groups cards are printed in, with issuer range and check digit.
pub(crate) fn cards(text: &[u8], mut found: impl FnMut(usize, usize)) {
    let mut pos = 0;
    while pos + 14 <= text.len() {
        // A run of 4 digits has one at every fourth byte.
        if !at(text, pos + 3).is_ascii_digit() {
            pos += 4;
            continue;
        }
        while pos < text.len() && !at(text, pos).is_ascii_digit() {
            pos += 1;
        }
        let mut start = pos;
        while start > 0 && before(text, start).is_ascii_digit() {
            start -= 1;
        }
        let end = run(text, start, 64, |b| b.is_ascii_digit());
        if let Some(card_end) = card_at(text, start, end) {
            found(start, card_end);
            pos = card_end;
        } else {
            pos = run(text, end, text.len(), |b| b.is_ascii_digit());
        }
    }
}

/// The same where a search told which numbers it could be.
pub(crate) fn cards_among(text: &[u8], numbers: &[usize], mut found: impl FnMut(usize, usize)) {
    let mut done = 0;
    for start in numbers.iter().copied() {
        if start < done {
            continue;
        }
        let end = run(text, start, 64, |b| b.is_ascii_digit());
        if let Some(card_end) = card_at(text, start, end) {
            found(start, card_end);
            done = card_end;
        }
    }
}

fn card_at(text: &[u8], start: usize, first_end: usize) -> Option<usize> {
    let prev = before(text, start);
    if !starts_token(text, start)
        || prev == b'_'
        || (prev == b'.' && before(text, start - 1).is_ascii_digit())
    {
        return None;
    }
    let mut digits = [0_u8; 19];
    let (end, count) = match first_end - start {
        14..=19 => collect(text, start, &[first_end - start], 0, &mut digits)?,
        4 if prev != b'-' => {
            let separator = at(text, first_end);
            if !matches!(separator, b' ' | b'-' | b'+' | b'.') {
                return None;
            }
            [&[4, 4, 4, 4, 3][..], &[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4]]
                .iter()
                .find_map(|groups| collect(text, start, groups, separator, &mut digits))?
        }
        _ => return None,
    };
    let next = at(text, end);
    let glued = next.is_ascii_alphanumeric()
        || next == b'_'
        || (matches!(next, b'-' | b'.') && at(text, end + 1).is_ascii_digit());
    let number = digits.get(..count)?;
    if glued || !issuer(number) || !luhn(number) {
        return None;
    }
    Some(end)
}

/// Digits of groups joined by one separator: (end, count).
fn collect(
    text: &[u8],
    start: usize,
    groups: &[usize],
    separator: u8,
    digits: &mut [u8; 19],
) -> Option<(usize, usize)> {
    let (mut pos, mut count) = (start, 0);
    for (index, length) in groups.iter().enumerate() {
        if index > 0 {
            if at(text, pos) != separator {
                return None;
            }
            pos += 1;
        }
        for _ in 0..*length {
            let byte = at(text, pos);
            if !byte.is_ascii_digit() {
                return None;
            }
            *digits.get_mut(count)? = byte - b'0';
            count += 1;
            pos += 1;
        }
    }
    if at(text, pos).is_ascii_digit() { None } else { Some((pos, count)) }
}

/// ISO/IEC 7812 ranges of the issuers whose cards are in use.
fn issuer(digits: &[u8]) -> bool {
    let head =
        |count: usize| digits.iter().take(count).fold(0_u32, |sum, digit| sum * 10 + u32::from(*digit));
    let (two, three, four) = (head(2), head(3), head(4));
    match digits.len() {
        14 => matches!(three, 300..=305 | 309) || matches!(two, 36 | 38 | 39),
        15 => matches!(two, 34 | 37),
        16 => {
            head(1) == 4
                || matches!(two, 51..=55 | 65 | 62 | 81)
                || matches!(four, 2221..=2720 | 6011 | 3528..=3589 | 2200..=2204)
                || matches!(three, 644..=649)
                || matches!(two, 36 | 38 | 39)
                || matches!(four, 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763)
        }
        17..=19 => {
            matches!(two, 62 | 65)
                || (digits.len() == 19 && head(1) == 4)
                || matches!(four, 6304 | 6759 | 5018)
        }
        _ => false,
    }
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| {
            let doubled = u32::from(*digit) * if index % 2 == 1 { 2 } else { 1 };
            if doubled > 9 { doubled - 9 } else { doubled }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Secret part of a URL's user information.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum UserInfo {
    Password(usize, usize),
    Token(usize, usize),
}

/// The user information after the `//` that ends at `pos`, and how many bytes were looked at. User, host and path stay.
/// `next_at` is where the next `@` stands.
pub(crate) fn user_info(text: &[u8], pos: usize, next_at: usize) -> (Option<UserInfo>, usize) {
    let outside = |b: u8| b <= b' ' || matches!(b, b'"' | b'\'' | b'`' | b'<' | b'>' | b'\\');
    let strict =
        run(text, pos, AUTHORITY_BYTES_MAX, |b| !outside(b) && !matches!(b, b'/' | b'?' | b'#')) - pos;
    let head = slice(text, pos, pos + strict);
    let colon = memchr::memchr(b':', head);
    if let Some(at_sign) = memchr::memrchr(b'@', head) {
        return (parts(head, pos, colon, at_sign), 2 * strict);
    }
    // `u:pa/ss@host`: a slash in the password, if what stands before the slash is no port.
    let port = colon.is_none_or(|colon| is_port(slice(head, colon + 1, strict)));
    // `u:99#x@host/`: a port ends no address at a number sign, if what follows the `@` is a host.
    let port = port && !(at(text, pos + strict) == b'#' && colon.is_some() && host_after(text, next_at));
    if port || next_at > pos + AUTHORITY_BYTES_MAX {
        return (None, strict);
    }
    // The next pair or item of a list has an `@` of its own, unless a host follows it.
    let lists = |b: u8| matches!(b, b'&' | b',');
    let host = host_after(text, next_at);
    if !host && head.iter().any(|b| lists(*b)) {
        return (None, strict);
    }
    let mut end =
        run(text, pos + strict, AUTHORITY_BYTES_MAX - strict, |b| !outside(b) && (host || !lists(b)));
    let looked = 2 * (end - pos);
    // `u:a"b@host/`: one blank or quote in a password that somebody did not encode.
    let odd = at(text, end);
    let inner = end == pos + strict && matches!(odd, b' ' | b'"' | b'\'' | b'`') && colon.is_some();
    if inner && next_at > end + 1 && next_at < end + ODD_BYTES_MAX && host {
        let rest =
            run(text, end + 1, ODD_BYTES_MAX, |b| !outside(b) && !matches!(b, b'&' | b',' | b')' | b'='));
        if rest > next_at {
            end = rest;
        }
    }
    let window = slice(text, pos, end);
    let info = memchr::memrchr(b'@', window).and_then(|at_sign| parts(window, pos, colon, at_sign));
    (info, looked + ODD_BYTES_MAX)
}

/// Whether a host and then a port or a path follow the `@` at `pos`.
fn host_after(text: &[u8], pos: usize) -> bool {
    let start = pos.saturating_add(1);
    let end =
        run(text, start, HOST_BYTES_MAX, |b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    let port = at(text, end) == b':' && at(text, end + 1).is_ascii_digit();
    end > start && (port || at(text, end) == b'/')
}

/// The secret part of `user:password@` or `token@`.
fn parts(window: &[u8], pos: usize, colon: Option<usize>, at_sign: usize) -> Option<UserInfo> {
    match colon.filter(|colon| *colon < at_sign) {
        Some(colon) => {
            let password = window.get(colon + 1..at_sign)?;
            if password.is_empty() || is_reference_only(password) {
                return None;
            }
            Some(UserInfo::Password(pos + colon + 1, pos + at_sign))
        }
        None => {
            let user = window.get(..at_sign)?;
            let plain = user.iter().all(|b| is_token(*b) || matches!(b, b'.' | b'~' | b'%'));
            // 32 hex digits are the public key of a DSN.
            let token = plain && looks_random(user, 20) && !is_hex(user);
            token.then_some(UserInfo::Token(pos, pos + at_sign))
        }
    }
}

fn is_port(part: &[u8]) -> bool {
    part.len() <= 5 && part.iter().all(u8::is_ascii_digit)
}

/// A password of one byte counts here, other than in [`is_nothing`].
fn is_reference_only(password: &[u8]) -> bool {
    password.len() > 1 && is_nothing(password) && !password.iter().all(|b| b.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let mut all = Vec::new();
        cards(text.as_bytes(), |start, end| all.push(text[start..end].to_owned()));
        all
    }

    #[test]
    fn cards_but_not_ids() {
        let card = ["4242", "4242", "4242", "4242"];
        assert_eq!(found(&format!("card {} declined", card.concat())), [card.concat()]);
        assert_eq!(found(&format!("a\\n{}", card.concat())), [card.concat()]);
        assert_eq!(found(&card.join("-")), [card.join("-")]);
        assert_eq!(found(&format!("{} 12/27", card.join(" "))), [card.join(" ")]);
        assert_eq!(found(&["3782", "822463", "10005"].concat()).len(), 1);
        for id in [
            "1795513699988229000",
            "1795514038185000000",
            "140584191232896",
            "20261124094816983633",
            "0.4242424242424242",
            "4242424242424243",
            "6f9619ff-4242-4242-4242-424242424242",
            "42424242-4242-4242-4242-424242424242",
            "x4242424242424242",
        ] {
            assert!(found(id).is_empty(), "{id}");
        }
    }

    #[test]
    fn url_passwords() {
        let part = |url: &str| {
            let pos = url.find("://").unwrap() + 3;
            user_info(url.as_bytes(), pos, pos).0.map(|info| match info {
                UserInfo::Password(start, end) | UserInfo::Token(start, end) => url[start..end].to_owned(),
            })
        };
        assert_eq!(part("postgres://shop:s3cret@db:5432/shop").as_deref(), Some("s3cret"));
        assert_eq!(part("redis://:s3cret@db/0").as_deref(), Some("s3cret"));
        assert_eq!(part("amqp://u:p@ss@db/0").as_deref(), Some("p@ss"));
        assert_eq!(part("amqp://u:p/s#s@db/0").as_deref(), Some("p/s#s"));
        for url in [
            "https://host:8080/a@b",
            "https://bob@host/",
            "http://a1b2c3d4e5f60718293a4b5c6d7e8f90@errors.test/42",
            "postgres://u:${PW}@db",
            "https://u:[redacted:url_password]@h/",
            "https://h/x?mail=a:b@c",
        ] {
            assert_eq!(part(url), None, "{url}");
        }
    }
}
