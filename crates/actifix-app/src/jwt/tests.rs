//! Envelopes that our own key signed, and what they are worth; the forged ones of others are beside.

use super::*;
use crate::ports::Vault;
use actifix_domain::access::Role;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use serde_json::{Map, Value};
use sha2::Sha256;
use zeroize::Zeroizing;

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000 * SECOND);
const US: &str = "urn:actifix:test";

struct OpenVault;

impl Vault for OpenVault {
    fn derive(&self, _purpose: &'static str) -> [u8; 32] {
        [0; 32]
    }

    fn seal(&self, _purpose: &'static str, clear: &[u8]) -> Result<Vec<u8>> {
        Ok(clear.to_vec())
    }

    fn open(&self, _purpose: &'static str, sealed: &[u8]) -> Result<Vec<u8>> {
        Ok(sealed.to_vec())
    }
}

fn key(id: &str, seed: u8) -> Arc<SigningKey> {
    Arc::new(SigningKey::make(id.to_owned(), &Zeroizing::new([seed; 32]), &OpenVault, NOW).unwrap())
}

fn record() -> AccessRecord {
    AccessRecord {
        id: "0123456789abcdef0123456789abcdef".to_owned(),
        key_id: "k1".to_owned(),
        holder: HolderId::Token("t1".to_owned()),
        scopes: [Scope::TicketsRead, Scope::EventsWrite].into(),
        project: None,
        epoch: 0,
        created_at: NOW,
        expires_at: NOW.plus(ACCESS_MICROS),
    }
}

fn claims() -> Map<String, Value> {
    match serde_json::to_value(Claims::of(&record(), US)).unwrap() {
        Value::Object(map) => map,
        _ => unreachable!(),
    }
}

fn opened(text: &str) -> Result<Claims, AccessRefused> {
    open_envelope(text, &[key("k1", 1)], US, NOW)
}

#[track_caller]
fn refused(what: &str, text: &str, why: AccessRefused) {
    assert_eq!(opened(text), Err(why), "{what}");
}

/// A token with this header and payload that our own key signed.
fn signed(header: &str, payload: &str) -> String {
    key("k1", 1).sign_parts(header.as_bytes(), payload.as_bytes()).unwrap()
}

const HEADER: &str = r#"{"alg":"EdDSA","kid":"k1","typ":"actifix-access+jwt"}"#;

fn payload() -> String {
    Value::Object(claims()).to_string()
}

#[test]
fn what_was_signed_is_read_back() {
    let text = key("k1", 1).sign(&Claims::of(&record(), US)).unwrap();
    assert!(text.len() < 1_000, "{}", text.len());
    assert_eq!(opened(&text), Ok(Claims::of(&record(), US)));
    assert_eq!(opened(&signed(HEADER, &payload())), Ok(Claims::of(&record(), US)));
    // By the clock of another process, half a minute behind; and until the last second.
    let at = |micros: i64| open_envelope(&text, &[key("k1", 1)], US, NOW.plus(micros));
    assert!(at(-30 * SECOND).is_ok() && at(ACCESS_MICROS - SECOND).is_ok());
    assert_eq!(at(-31 * SECOND), Err(AccessRefused::Time));
    assert_eq!(at(ACCESS_MICROS), Err(AccessRefused::Time));
}

#[test]
fn a_header_that_is_not_exactly_ours_is_refused_although_our_key_signed_it() {
    use AccessRefused::{Algorithm, Header, Key};
    for (header, why) in [
        (r#"{"alg":"none","kid":"k1","typ":"actifix-access+jwt"}"#, Algorithm),
        (r#"{"alg":"nOnE","kid":"k1","typ":"actifix-access+jwt"}"#, Algorithm),
        (r#"{"alg":"eddsa","kid":"k1","typ":"actifix-access+jwt"}"#, Algorithm),
        (r#"{"alg":"Ed25519","kid":"k1","typ":"actifix-access+jwt"}"#, Algorithm),
        (r#"{"alg":"ES256","kid":"k1","typ":"actifix-access+jwt"}"#, Algorithm),
        (r#"{"alg":["EdDSA"],"kid":"k1","typ":"actifix-access+jwt"}"#, Algorithm),
        (r#"{"alg":null,"kid":"k1","typ":"actifix-access+jwt"}"#, Algorithm),
        (r#"{"kid":"k1","typ":"actifix-access+jwt"}"#, Algorithm),
        (r#"{"alg":"EdDSA","kid":"k1"}"#, Header),
        (r#"{"alg":"EdDSA","typ":"actifix-access+jwt"}"#, Header),
        (r#"{"alg":"EdDSA","kid":"k1","typ":"JWT"}"#, Header),
        (r#"{"alg":"EdDSA","kid":"k1","typ":"at+jwt"}"#, Header),
        (r#"{"alg":"EdDSA","kid":"k1","typ":"ACTIFIX-ACCESS+JWT"}"#, Header),
        (r#"{"alg":"EdDSA","kid":"k1","typ":"application/actifix-access+jwt"}"#, Header),
        (r#"{"alg":"EdDSA","kid":1,"typ":"actifix-access+jwt"}"#, Header),
        (r#"{"alg":"EdDSA","kid":["k1"],"typ":"actifix-access+jwt"}"#, Header),
        (r#"{"alg":"EdDSA","kid":"k2","typ":"actifix-access+jwt"}"#, Key),
        (r#"{"alg":"EdDSA","kid":"","typ":"actifix-access+jwt"}"#, Key),
        (r#"{"alg":"EdDSA","kid":"../../../../dev/null","typ":"actifix-access+jwt"}"#, Key),
        (r#"{"alg":"EdDSA","kid":"k1' OR '1'='1","typ":"actifix-access+jwt"}"#, Key),
        (r#"{"alg":"EdDSA","kid":"k1\u0000","typ":"actifix-access+jwt"}"#, Key),
        (r#"{"alg":"EdDSA","kid":"k1","typ":"actifix-access+jwt","jku":"https://evil.example/k"}"#, Header),
        (r#"{"alg":"EdDSA","kid":"k1","typ":"actifix-access+jwt","x5u":"https://evil.example/k"}"#, Header),
        (r#"{"alg":"EdDSA","kid":"k1","typ":"actifix-access+jwt","x5c":["MIIB"]}"#, Header),
        (r#"{"alg":"EdDSA","kid":"k1","typ":"actifix-access+jwt","jwk":{"kty":"OKP"}}"#, Header),
        (r#"{"alg":"EdDSA","kid":"k1","typ":"actifix-access+jwt","crit":["exp"]}"#, Header),
        (r#"{"alg":"EdDSA","kid":"k1","typ":"actifix-access+jwt","crit":[]}"#, Header),
        (r#"{"alg":"EdDSA","kid":"k1","typ":"actifix-access+jwt","b64":false,"crit":["b64"]}"#, Header),
        (r#"{"alg":"EdDSA","kid":"k1","typ":"actifix-access+jwt","zip":"DEF"}"#, Header),
        (r#"{"alg":"EdDSA","kid":"k1","typ":"actifix-access+jwt","cty":"JWT"}"#, Header),
        (r#"{"alg":"none","alg":"EdDSA","kid":"k1","typ":"actifix-access+jwt"}"#, Header),
        (r#"{"alg":"EdDSA","kid":"k2","kid":"k1","typ":"actifix-access+jwt"}"#, Header),
        (r#"{"alg":"EdDSA","\u0061lg":"EdDSA","kid":"k1","typ":"actifix-access+jwt"}"#, Header),
        (r#"[{"alg":"EdDSA","kid":"k1","typ":"actifix-access+jwt"}]"#, Header),
        (r#"{"alg":"EdDSA","kid":"k1","typ":"actifix-access+jwt"} x"#, Header),
        ("{}", Algorithm),
        ("null", Header),
        ("", AccessRefused::Shape),
    ] {
        refused(header, &signed(header, &payload()), why);
    }
}

#[test]
fn claims_that_are_not_exactly_ours_are_refused_although_our_key_signed_them() {
    let seconds = NOW.seconds();
    let with = |name: &str, value: Value| {
        let mut map = claims();
        map.insert(name.to_owned(), value);
        Value::Object(map).to_string()
    };
    let raw = |name: &str, text: &str| {
        let mark = "\"MARK\"";
        with(name, json!("MARK")).replace(mark, text)
    };
    for name in ["iss", "aud", "sub", "jti", "iat", "nbf", "exp", "epoch", "scopes", "project"] {
        let mut map = claims();
        map.remove(name);
        refused(
            &format!("without {name}"),
            &signed(HEADER, &Value::Object(map).to_string()),
            AccessRefused::Claims,
        );
        for wrong in [json!({}), json!(true), json!([1]), json!("1 OR 1"), json!(1.5), json!(-1)] {
            let claimed = with(name, wrong.clone());
            let text = signed(HEADER, &claimed);
            // The ids are texts of any kind here: the row decides about them. So does it about the project's number.
            let by_row =
                matches!(name, "sub" | "jti") && wrong.is_string() || name == "project" && wrong.is_i64();
            assert_eq!(opened(&text).is_ok(), by_row, "{name} {wrong}");
        }
        let twice = format!("{{\"{name}\":{},{}", claims()[name], &payload()[1..]);
        refused(&format!("{name} twice"), &signed(HEADER, &twice), AccessRefused::Claims);
    }
    for (what, payload) in [
        ("exp as a string", with("exp", json!((seconds + 60).to_string()))),
        ("exp as a float", raw("exp", &format!("{}.0", seconds + 60))),
        ("exp as a power", raw("exp", "18e8")),
        ("exp beyond every number", raw("exp", "1e400")),
        ("exp beyond 64 bits", raw("exp", "18446744073709551616")),
        ("exp negative", with("exp", json!(-1))),
        ("exp null", with("exp", Value::Null)),
        ("exp of a longer life than any of ours", with("exp", json!(seconds + 901))),
        ("exp at the end of time", with("exp", json!(i64::MAX))),
        ("nbf before iat", with("nbf", json!(0))),
        ("nbf in the future", with("nbf", json!(seconds + 3_600))),
        ("iat in the future", with("iat", json!(seconds + 3_600))),
        ("iat negative", with("iat", json!(i64::MIN))),
        ("another installation", with("iss", json!("urn:actifix:other"))),
        ("no audience of ours", with("aud", json!("urn:actifix:test:mcp"))),
        ("a list of audiences", with("aud", json!(["urn:actifix:test:api"]))),
        ("a scope that is none", with("scopes", json!(["root"]))),
        ("a scope twice", with("scopes", json!(["admin", "admin"]))),
        ("scopes as a string", with("scopes", json!("admin tickets:read"))),
        ("one more claim", with("admin", json!(true))),
        ("a nested member twice", raw("project", r#"{"a":1,"a":2}"#)),
        ("a list", format!("[{}]", payload())),
        ("text after it", format!("{} ", payload()) + "x"),
        ("nothing", String::new()),
        ("deep", "[".repeat(900)),
    ] {
        refused(what, &signed(HEADER, &payload), AccessRefused::Claims);
    }
    for (what, from, to) in [("over", -900, 0), ("to come", 31, 600)] {
        let mut map = claims();
        for (name, offset) in [("iat", from), ("nbf", from), ("exp", to)] {
            map.insert(name.to_owned(), json!(seconds + offset));
        }
        refused(what, &signed(HEADER, &Value::Object(map).to_string()), AccessRefused::Time);
    }
}

/// The order of the group of Ed25519, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

#[test]
fn signatures_that_are_not_ours_are_refused() {
    let good = signed(HEADER, &payload());
    let (body, signature) = good.rsplit_once('.').unwrap();
    let (_, claimed) = body.split_once('.').unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let with = |bytes: &[u8]| format!("{body}.{}", URL_SAFE_NO_PAD.encode(bytes));
    refused(
        "another key's",
        &key("k1", 2).sign_parts(HEADER.as_bytes(), payload().as_bytes()).unwrap(),
        AccessRefused::Signature,
    );
    // S + L is congruent to S: a verifier that does not compare it with L takes a second spelling of each signature.
    let mut malleated = bytes.clone();
    let mut carry = 0u16;
    for (byte, add) in malleated[32..].iter_mut().zip(ORDER) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    assert_eq!(carry, 0);
    refused("S + L", &with(&malleated), AccessRefused::Signature);
    refused("zeros", &with(&[0; 64]), AccessRefused::Signature);
    refused("one byte less", &with(&bytes[..63]), AccessRefused::Signature);
    refused("one byte more", &with(&[bytes.as_slice(), &[0]].concat()), AccessRefused::Signature);
    refused("none", &format!("{body}."), AccessRefused::Shape);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        refused("one bit", &with(&flipped), AccessRefused::Signature);
    }
    // HS256 with the public key as the secret.
    let public = key("k1", 1).row().public;
    for secret in
        [public.to_vec(), URL_SAFE_NO_PAD.encode(public).into_bytes(), hex::encode(public).into_bytes()]
    {
        let header = URL_SAFE_NO_PAD.encode(HEADER.replace("EdDSA", "HS256"));
        let text = format!("{header}.{claimed}");
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
        mac.update(text.as_bytes());
        let text = format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
        refused("HS256", &text, AccessRefused::Algorithm);
    }
}

#[test]
fn other_spellings_of_a_good_token_are_refused() {
    let good = signed(HEADER, &payload());
    assert!(opened(&good).is_ok());
    let parts: Vec<&str> = good.split('.').collect();
    let [header, claimed, signature] = parts[..] else { panic!() };
    let padded = |part: &str| URL_SAFE.encode(URL_SAFE_NO_PAD.decode(part).unwrap());
    // 64 bytes leave four spare bits in the last character: a lax decoder takes sixteen spellings of it.
    let spare: Vec<String> = (1..16u8)
        .map(|bits| {
            let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let last = signature.bytes().last().unwrap();
            let place = digits.iter().position(|digit| *digit == last).unwrap();
            let other = char::from(digits[place | usize::from(bits)]);
            format!("{header}.{claimed}.{}{other}", &signature[..signature.len() - 1])
        })
        .collect();
    for text in &spare {
        refused("spare bits", text, AccessRefused::Shape);
    }
    for text in [
        format!("{header}.{claimed}.{}", padded(signature)),
        format!("{}.{claimed}.{signature}=", padded(header)),
        format!("{header}.{claimed}.{signature}="),
        format!(" {good}"),
        format!("{good} "),
        format!("{good}\n"),
        format!("{header}.{claimed}\n.{signature}"),
        format!("{header} .{claimed}.{signature}"),
        format!("{header}.{claimed}.{}", STANDARD.encode([0xff; 64])),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{good}.{signature}.{signature}"),
        format!("{header}..{claimed}.{signature}.{signature}"),
        format!("{header}.{claimed}"),
        "..".to_owned(),
        String::new(),
        format!(r#"{{"protected":"{header}","payload":"{claimed}","signature":"{signature}"}}"#),
        format!(
            r#"{{"payload":"{claimed}","signatures":[{{"protected":"{header}","signature":"{signature}"}}]}}"#
        ),
        format!("{header}.{claimed}.{signature}{}", "A".repeat(100_000)),
        "A".repeat(100_000),
        format!("{}.{claimed}.{signature}", "e".repeat(100_000)),
    ] {
        refused(&text[..text.len().min(60)], &text, AccessRefused::Shape);
    }
    refused("a detached payload", &format!("{header}..{signature}"), AccessRefused::Signature);
}

#[test]
fn a_key_verifies_until_it_retires_and_two_do_during_a_change() {
    let former = SigningKey::make("k0".into(), &Zeroizing::new([7; 32]), &OpenVault, NOW).unwrap();
    let header = HEADER.replace("k1", "k0");
    let text = former.sign_parts(header.as_bytes(), payload().as_bytes()).unwrap();
    let mut row = former.row();
    row.retires_at = Some(NOW.plus(MINUTE));
    let keys = [key("k1", 1), Arc::new(SigningKey::open(row.clone(), &OpenVault).unwrap())];
    let at = |micros: i64| open_envelope(&text, &keys, US, NOW.plus(micros));
    assert!(at(0).is_ok() && at(MINUTE - 1).is_ok());
    assert_eq!(at(MINUTE), Err(AccessRefused::Key));
    assert!(open_envelope(&signed(HEADER, &payload()), &keys, US, NOW).is_ok());
    // A row whose halves do not belong together, or whose sealed half was that of another row, opens nothing.
    let other = key("k0", 8).row();
    assert!(
        SigningKey::open(crate::ports::SigningKeyRecord { public: other.public, ..row.clone() }, &OpenVault)
            .is_err()
    );
    assert!(SigningKey::open(crate::ports::SigningKeyRecord { id: "k9".into(), ..row }, &OpenVault).is_err());
}

fn token(role: Role) -> crate::ports::TokenRecord {
    crate::ports::TokenRecord {
        id: "t1".into(),
        name: "t".into(),
        hash: [0; 32],
        scopes: role.scopes(),
        project: None,
        created_at: NOW,
        expires_at: NOW.plus(ACCESS_MICROS * 2),
        revoked_at: None,
        replaced: false,
        last_used_at: None,
        warned_days: None,
    }
}

#[test]
fn the_rows_decide_and_not_the_token() {
    let claims = Claims::of(&record(), US);
    let alive = |row: &AccessRecord, token: crate::ports::TokenRecord, now| {
        judge(&claims, row, &Holder::Token(token), now)
    };
    let actor = alive(&record(), token(Role::Admin), NOW).unwrap();
    assert!(actor.may(Scope::TicketsRead, None) && !actor.may(Scope::Admin, None));
    let lowered = alive(&record(), token(Role::Viewer), NOW).unwrap();
    assert!(!lowered.may(Scope::EventsWrite, None), "its holder lost that");
    let mut revoked = token(Role::Admin);
    revoked.revoked_at = Some(NOW);
    assert!(alive(&record(), revoked, NOW).is_none());
    let mut ended = token(Role::Admin);
    ended.expires_at = NOW;
    assert!(alive(&record(), ended, NOW).is_none());
    assert!(alive(&record(), token(Role::Admin), NOW.plus(ACCESS_MICROS)).is_none());
    for change in [
        |row: &mut AccessRecord| row.scopes = [Scope::TicketsRead].into(),
        |row: &mut AccessRecord| row.project = Some(ProjectId(1)),
        |row: &mut AccessRecord| row.epoch = 1,
        |row: &mut AccessRecord| row.holder = HolderId::Session("t1".into()),
        |row: &mut AccessRecord| row.holder = HolderId::Token("t2".into()),
        |row: &mut AccessRecord| row.id = "another".into(),
        |row: &mut AccessRecord| row.expires_at = NOW.plus(SECOND),
    ] {
        let mut row = record();
        change(&mut row);
        assert!(alive(&row, token(Role::Admin), NOW).is_none(), "{row:?}");
    }
}
