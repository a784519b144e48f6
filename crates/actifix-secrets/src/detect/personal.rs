//! E-mail and IP addresses.
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::bytes::{at, before, has, run, slice};

/// Longest local part and domain, RFC 5321.
const LOCAL_BYTES_MAX: usize = 64;
const DOMAIN_BYTES_MAX: usize = 255;

const fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-')
}

/// E-mail addresses; the last label has two or more letters, so `native@1.4` is none.
pub(crate) fn emails(text: &[u8], mut found: impl FnMut(usize, usize)) {
    for sign in memchr::memchr_iter(b'@', text) {
        let from = sign.saturating_sub(LOCAL_BYTES_MAX);
        let mut start = sign;
        while start > from && is_local(before(text, start)) && crate::bytes::escape_before(text, start) == 0 {
            start -= 1;
        }
        while start < sign && matches!(at(text, start), b'.' | b'-' | b'%') {
            start += 1;
        }
        let Some(end) = domain_end(text, sign + 1) else { continue };
        let in_url = has(text, start.saturating_sub(3), b"://");
        let git = slice(text, start, sign) == b"git";
        // `onBuy@app.js:12:75` is a stack frame.
        let frame = at(text, end) == b':' && at(text, end + 1).is_ascii_digit();
        if start < sign && !in_url && !git && !frame {
            found(start, end);
        }
    }
}

fn domain_end(text: &[u8], start: usize) -> Option<usize> {
    let mut end = run(text, start, DOMAIN_BYTES_MAX, |b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    while end > start && matches!(before(text, end), b'.' | b'-') {
        end -= 1;
    }
    let domain = slice(text, start, end);
    let dot = memchr::memrchr(b'.', domain)?;
    let last = domain.get(dot + 1..)?;
    let labels = domain.split(|b| *b == b'.').all(|label| !label.is_empty());
    (dot > 0 && labels && last.len() >= 2 && last.iter().all(u8::is_ascii_alphabetic)).then_some(end)
}

/// Public IPv4 addresses.
pub(crate) fn ips_v4(text: &[u8], mut found: impl FnMut(usize, usize)) {
    for dot in memchr::memchr_iter(b'.', text) {
        // The first dot of four numbers.
        if before(text, dot).is_ascii_digit()
            && at(text, dot + 1).is_ascii_digit()
            && let Some((start, end)) = v4_at(text, dot)
        {
            found(start, end);
        }
    }
}

/// Public IPv6 addresses.
pub(crate) fn ips_v6(text: &[u8], mut found: impl FnMut(usize, usize)) {
    let mut done = 0;
    for colon in memchr::memchr_iter(b':', text) {
        let (prev, next) = (before(text, colon), at(text, colon + 1));
        // A group of an address stands on one side at least, and something of it follows.
        if colon < done
            || !(next.is_ascii_hexdigit() || next == b':')
            || (!prev.is_ascii_hexdigit() && next != b':')
        {
            continue;
        }
        if let Some((start, end, public)) = v6_at(text, colon) {
            done = end;
            if public {
                found(start, end);
            }
        }
    }
}

fn v4_at(text: &[u8], dot: usize) -> Option<(usize, usize)> {
    let mut start = dot;
    while start > 0 && dot - start < 4 && before(text, start).is_ascii_digit() {
        start -= 1;
    }
    let prev = before(text, start);
    let glued = (prev.is_ascii_alphanumeric() && crate::bytes::escape_before(text, start) == 0)
        || matches!(prev, b'.' | b'_');
    if glued || dot - start > 3 {
        return None;
    }
    let end = run(text, start, 16, |b| b.is_ascii_digit() || b == b'.');
    let end = if before(text, end) == b'.' { end - 1 } else { end };
    let next = at(text, end);
    if next.is_ascii_alphanumeric()
        || next == b'_'
        || (next == b'-' && at(text, end + 1).is_ascii_alphanumeric())
    {
        return None;
    }
    let address: Ipv4Addr = std::str::from_utf8(slice(text, start, end)).ok()?.parse().ok()?;
    (is_public_v4(address) && !is_version(text, start, address)).then_some((start, end))
}

/// `version 1.2.3.4`, `v1.2.3.4`, `pkg@1.2.3.4`, `Chrome/156.0.0.0`.
fn is_version(text: &[u8], start: usize, address: Ipv4Addr) -> bool {
    let prev = before(text, start);
    if prev == b'@'
        && before(text, start - 1).is_ascii_alphanumeric()
        && !has(text, start.saturating_sub(5), b"root@")
    {
        // `user@203.0.113.9` is an address; a package's version starts low.
        return address.octets().iter().all(|octet| *octet < 100);
    }
    if prev == b'/' && before(text, start - 1).is_ascii_alphabetic() {
        let [_, second, _, last] = address.octets();
        return second == 0 || last == 0;
    }
    let head = slice(text, start.saturating_sub(12), start).to_ascii_lowercase();
    let head = head.trim_ascii_end();
    let head = head.strip_suffix(b":").or_else(|| head.strip_suffix(b"=")).unwrap_or(head).trim_ascii_end();
    [&b"version"[..], b"release", b"build", b"ver", b"ver.", b"driver", b"firmware"]
        .iter()
        .any(|word| head.ends_with(word))
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    let shared = first == 100 && (64..128).contains(&second);
    !(address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || first == 0
        || first >= 240
        || shared)
}

fn v6_at(text: &[u8], colon: usize) -> Option<(usize, usize, bool)> {
    let class = |b: u8| b.is_ascii_hexdigit() || b == b':';
    let mut start = colon;
    while start > 0
        && colon - start < 5
        && class(before(text, start))
        && crate::bytes::escape_before(text, start) == 0
    {
        start -= 1;
    }
    let prev = before(text, start);
    if (prev.is_ascii_alphanumeric() && crate::bytes::escape_before(text, start) == 0)
        || matches!(prev, b'_' | b'.' | b'-')
    {
        return None;
    }
    let end = run(text, start, 40, class);
    if end - start < 8 || at(text, end).is_ascii_alphanumeric() || matches!(at(text, end), b'_') {
        return None;
    }
    let word = slice(text, start, end);
    let address: Ipv6Addr = std::str::from_utf8(word).ok()?.parse().ok()?;
    // Global unicast is 2000::/3; the rest is private, link-local, loopback or no address at all.
    let [first, ..] = address.segments();
    Some((start, end, (0x2000..0x4000).contains(&first)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        let mut spans = Vec::new();
        emails(text.as_bytes(), |start, end| spans.push((start, end)));
        ips_v4(text.as_bytes(), |start, end| spans.push((start, end)));
        ips_v6(text.as_bytes(), |start, end| spans.push((start, end)));
        spans.sort_unstable();
        let mut out = text.to_owned();
        for (start, end) in spans.into_iter().rev() {
            out.replace_range(start..end, "#");
        }
        out
    }

    #[test]
    fn addresses_go_and_versions_stay() {
        for (text, want) in [
            ("from bob.x+y@mail.example.com.", "from #."),
            ("native@1.4 shop@2.4.1 a@b", "native@1.4 shop@2.4.1 a@b"),
            ("onBuy@app.js:12:75", "onBuy@app.js:12:75"),
            ("git@github.com:a/b https://bob@example.com/", "git@github.com:a/b https://bob@example.com/"),
            ("peer 203.0.113.9:443, 10.0.0.1 127.0.0.1", "peer #:443, 10.0.0.1 127.0.0.1"),
            ("Chrome/156.0.0.0 v1.2.3.4 version 8.8.8.8", "Chrome/156.0.0.0 v1.2.3.4 version 8.8.8.8"),
            ("1.2.3 1.2.3.4.5 300.1.1.1", "1.2.3 1.2.3.4.5 300.1.1.1"),
            ("http://203.0.113.9/x", "http://#/x"),
            (
                "[2001:db8::8a2e:370:7334]:80 fe80::1 ::1 Foo::bar 12:34:56",
                "[#]:80 fe80::1 ::1 Foo::bar 12:34:56",
            ),
            ("::ffff:203.0.113.9", "::ffff:#"),
            (r"a\n203.0.113.9", r"a\n#"),
        ] {
            assert_eq!(masked(text), want);
        }
    }
}
