//! What a provider may say, and what it is worth. The sign-in as a whole is tested from outside, with a provider.

use super::id_token::{IdTokenError, Person, read};
use super::*;
use actifix_domain::time::{SECOND, Timestamp};
use serde_json::Value;

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000 * SECOND);
const ISSUER: &str = "https://id.example.net";

fn claims() -> Value {
    let seconds = NOW.seconds();
    json!({
        "iss": ISSUER, "aud": "us", "sub": "4711", "nonce": "n", "iat": seconds, "exp": seconds + 300,
        "email": "jo@example.net", "email_verified": true, "preferred_username": "jo", "groups": ["ops", 5, "dev"],
    })
}

fn person(change: impl FnOnce(&mut Value)) -> std::result::Result<Person, IdTokenError> {
    let mut claims = claims();
    change(&mut claims);
    read(claims.to_string().as_bytes(), ISSUER, "us", "n", NOW)
}

#[test]
fn every_claim_that_decides_is_checked() {
    use IdTokenError::{Audience, Issuer, Nonce, Subject, Time};
    let good = person(|_| ()).unwrap();
    assert_eq!((good.subject.as_str(), good.verified_email.as_deref()), ("4711", Some("jo@example.net")));
    assert_eq!(good.groups("groups"), ["ops", "dev"]);
    assert_eq!(person(|claims| claims["email_verified"] = json!("true")).unwrap().verified_email, None);
    assert_eq!(person(|claims| claims["email_verified"] = json!(false)).unwrap().verified_email, None);
    let seconds = NOW.seconds();
    for (name, value, expected) in [
        ("aud", json!(["us"]), None),
        ("azp", json!("us"), None),
        ("exp", json!(seconds - 59), None),
        ("iat", json!(seconds + 60), None),
        ("iss", json!("https://id.example.net/"), Some(Issuer)),
        ("iss", json!("https://evil.example"), Some(Issuer)),
        ("iss", Value::Null, Some(Issuer)),
        ("aud", json!("them"), Some(Audience)),
        ("aud", json!(["us", "them"]), Some(Audience)),
        ("aud", json!([]), Some(Audience)),
        ("aud", json!({ "us": true }), Some(Audience)),
        ("azp", json!("them"), Some(Audience)),
        ("azp", json!(["us"]), Some(Audience)),
        ("nonce", json!("m"), Some(Nonce)),
        ("nonce", Value::Null, Some(Nonce)),
        ("nonce", json!(["n"]), Some(Nonce)),
        ("exp", json!(seconds - 60), Some(Time)),
        ("exp", json!((seconds + 300).to_string()), Some(Time)),
        ("exp", json!(1.8e9 + 300.5), Some(Time)),
        ("exp", Value::Null, Some(Time)),
        ("iat", json!(seconds + 61), Some(Time)),
        ("iat", json!(seconds - 601), Some(Time)),
        ("iat", json!(i64::MIN), Some(Time)),
        ("iat", Value::Null, Some(Time)),
        ("nbf", json!(seconds + 61), Some(Time)),
        ("nbf", json!("0"), Some(Time)),
        ("sub", json!(""), Some(Subject)),
        ("sub", json!(4711), Some(Subject)),
        ("sub", json!("x".repeat(256)), Some(Subject)),
        ("sub", json!("a\nb"), Some(Subject)),
    ] {
        let read = person(|claims| claims[name] = value.clone());
        assert_eq!(read.err(), expected, "{name} {value}");
    }
    for name in ["iss", "aud", "sub", "nonce", "iat", "exp"] {
        let without = |claims: &mut Value| {
            claims.as_object_mut().unwrap().remove(name);
        };
        assert!(person(without).is_err(), "without {name}");
    }
    let twice = format!("{{\"iss\":\"{ISSUER}\",{}", &claims().to_string()[1..]);
    assert_eq!(read(twice.as_bytes(), ISSUER, "us", "n", NOW), Err(IdTokenError::Form));
}

#[test]
fn only_paths_of_ours_are_gone_to() {
    for good in ["/", "/tickets", "/tickets/a-1?status=open&x=y", "/a/b.html~"] {
        assert!(SafePath::try_from(good.to_owned()).is_ok(), "{good}");
    }
    for bad in [
        "",
        "tickets",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/%2fevil.example",
        "/%5cevil.example",
        "/a//evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "/..//evil.example",
        "/../x",
        "/a\r\nLocation: x",
        "/a b",
        "/\t/evil.example",
        "/<script>",
        "/\"x",
        "/@evil.example",
        "/a#b",
        "/\u{2215}evil.example",
        " /a",
    ] {
        assert!(SafePath::try_from(bad.to_owned()).is_err(), "{bad}");
    }
    assert!(SafePath::try_from(format!("/{}", "a".repeat(200))).is_err());
}

#[test]
fn an_issuer_is_https_or_on_this_machine_where_that_was_said() {
    for (text, loopback, good) in [
        ("https://id.example.net", false, true),
        ("https://id.example.net/realms/a", false, true),
        ("http://127.0.0.1:9", true, true),
        ("http://[::1]:9", true, true),
        ("http://localhost:9", true, true),
        ("http://127.0.0.1:9", false, false),
        ("http://id.example.net", true, false),
        ("http://127.0.0.1.evil.example", true, false),
        ("http://0.0.0.0:9", true, false),
        ("ftp://id.example.net", true, false),
        ("https://u:p@id.example.net", false, false),
        ("https://id.example.net/?a", false, false),
        ("https://id.example.net/#a", false, false),
        ("id.example.net", false, false),
    ] {
        assert_eq!(issuer_url(text, loopback).is_ok(), good, "{text}");
    }
}

struct Sealing;

impl crate::ports::Vault for Sealing {
    fn derive(&self, _purpose: &'static str) -> [u8; 32] {
        [3; 32]
    }

    fn seal(&self, purpose: &'static str, clear: &[u8]) -> Result<Vec<u8>> {
        let mac = blake3::keyed_hash(&[3; 32], &[purpose.as_bytes(), clear].concat());
        Ok([mac.as_bytes(), clear].concat())
    }

    fn open(&self, purpose: &'static str, sealed: &[u8]) -> Result<Vec<u8>> {
        let clear = sealed.get(32..).unwrap_or_default();
        if self.seal(purpose, clear)? == sealed {
            Ok(clear.to_vec())
        } else {
            Err(Error::conflict("changed"))
        }
    }
}

struct Counting(std::sync::atomic::AtomicU8);

impl crate::ports::Ids for Counting {
    fn event_id(&self) -> actifix_domain::id::EventId {
        unreachable!()
    }

    fn random(&self, out: &mut [u8]) {
        out.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
    }
}

#[test]
fn a_sign_in_is_of_one_browser_and_over_after_ten_minutes() {
    let ids = Counting(std::sync::atomic::AtomicU8::new(0));
    let flow = Flow::begin(&ids, NOW, SafePath::default());
    assert!(flow.state() != flow.nonce() && flow.nonce() != flow.verifier());
    assert_ne!(flow.challenge(), flow.verifier());
    let cookie = flow.seal(&Sealing).unwrap();
    let open = |cookie: &str, micros: i64| Flow::open(&Sealing, cookie, NOW.plus(micros));
    let opened = open(cookie.reveal(), SIGN_IN_MICROS - 1).unwrap();
    assert!(opened.is_of(Some(flow.state())) && !opened.is_of(None) && !opened.is_of(Some("")));
    assert!(open(cookie.reveal(), SIGN_IN_MICROS).is_none(), "over");
    assert!(open(cookie.reveal(), -SIGN_IN_MICROS).is_none(), "of a clock that was wrong");
    for place in 0..cookie.reveal().len() {
        let mut bytes = cookie.reveal().as_bytes().to_vec();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        let changed = open(&String::from_utf8(bytes).unwrap(), 0);
        // The last digit has spare bits, which base64 refuses; any other one changes what was sealed.
        assert!(changed.is_none(), "{place}");
    }
    assert!(open("", 0).is_none() && open(&"A".repeat(10_000), 0).is_none());
}
