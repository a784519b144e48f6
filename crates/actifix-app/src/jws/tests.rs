//! Signatures of others: the vectors of the Wycheproof project, and keys that nobody should use.

use super::*;
use serde_json::json;
use std::path::PathBuf;

const ALL: [Algorithm; 3] = [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256];
/// Larger than any vector.
const BYTES_MAX: usize = 64 << 10;

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other}"),
    }
}

fn accepts(key: &PublicKey, text: &str) -> bool {
    Unverified::parse(text, BYTES_MAX, &ALL).and_then(|unverified| unverified.verify(key)).is_ok()
}

/// The vectors are not ours to ship: they are read where they are, and elsewhere the test says that it did nothing.
#[allow(clippy::disallowed_methods, reason = "where the vectors are is a fact about the machine that tests")]
fn vectors() -> Option<Value> {
    let name = "wycheproof_json_web_signature.json";
    let folder = std::env::var_os("ACTIFIX_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
        PathBuf::from,
    );
    let path = folder.join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).unwrap()),
        Err(error) => {
            println!(
                "skipped: {}: {error}; set ACTIFIX_VECTORS to the folder that holds {name}",
                path.display()
            );
            None
        }
    }
}

#[test]
fn wycheproof_no_vector_that_must_fail_is_accepted_and_of_our_algorithms_all_that_must_pass_are() {
    let Some(vectors) = vectors() else { return };
    let (mut tests, mut invalid, mut accepted) = (0, 0, 0);
    for group in vectors["testGroups"].as_array().unwrap() {
        let jwk =
            object(if group["public"].is_object() { &group["public"] } else { &group["private"] }.clone());
        let key = PublicKey::from_jwk(&jwk);
        for test in group["tests"].as_array().unwrap() {
            let (text, id) = (test["jws"].as_str().unwrap(), &test["tcId"]);
            let what = format!("{id} of {}: {}", group["comment"], test["comment"]);
            let taken = key.as_ref().is_ok_and(|key| accepts(key, text));
            tests += 1;
            if test["result"] == "invalid" {
                invalid += 1;
                assert!(!taken, "{what}");
            }
            let header = text.split('.').next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
            let header = header.and_then(|header| strict_object(&header).ok()).unwrap_or_default();
            let ours =
                ALL.iter().any(|algorithm| header.get("alg").is_some_and(|alg| alg == algorithm.as_str()));
            if test["result"] == "valid" && ours {
                assert!(taken, "{what}");
                accepted += 1;
            }
            // Our own tokens are of one algorithm and header, whatever the key.
            let own = crate::jwt::ACCESS_BYTES_MAX;
            if let Ok(unverified) = Unverified::parse(text, own, &[Algorithm::EdDsa]) {
                panic!("{what}: taken as {:?}", unverified.algorithm());
            }
        }
    }
    println!("{tests} vectors, {invalid} that must fail, {accepted} accepted");
    assert_eq!((tests, invalid), (401, 355), "the file is another one than this test was written for");
    assert!(accepted >= 8, "{accepted} of our algorithms");
}

#[test]
fn keys_of_other_kinds_and_weak_ones_are_refused() {
    let number = |bytes: usize| {
        let mut number = vec![0x99; bytes];
        number[bytes - 1] |= 1;
        URL_SAFE_NO_PAD.encode(number)
    };
    let rsa = |bytes: usize, e: &str| json!({ "kty": "RSA", "n": number(bytes), "e": e });
    assert!(PublicKey::from_jwk(&object(rsa(256, "AQAB"))).is_ok());
    let okp = |point: [u8; 32]| json!({ "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(point) });
    let mut with_alg = okp([9; 32]);
    assert!(PublicKey::from_jwk(&object(with_alg.clone())).is_ok());
    with_alg["alg"] = json!("HS256");
    let mut for_encryption = rsa(256, "AQAB");
    for_encryption["use"] = json!("enc");
    let mut for_signing = rsa(256, "AQAB");
    for_signing["key_ops"] = json!(["sign"]);
    let mut pss = rsa(256, "AQAB");
    pss["alg"] = json!("PS256");
    let mut even = rsa(256, "AQAB");
    even["n"] = json!(URL_SAFE_NO_PAD.encode([0x98; 256]));
    let mut spelt = rsa(256, "AQAB");
    spelt["n"] = json!(URL_SAFE_NO_PAD.encode([&[0][..], &[0x99; 256]].concat()));
    for jwk in [
        json!({}),
        json!({ "kty": "oct", "k": "AAAA" }),
        json!({ "kty": "EC", "crv": "P-384", "x": "AA", "y": "AA" }),
        json!({ "kty": "EC", "crv": "P-256", "x": number(31), "y": number(33) }),
        json!({ "kty": "OKP", "crv": "X25519", "x": number(32) }),
        json!({ "kty": "OKP", "crv": "Ed25519", "x": number(31) }),
        json!({ "kty": "OKP", "crv": "Ed25519", "x": format!("{}=", number(32)) }),
        json!({ "kty": "OKP", "crv": "Ed25519" }),
        json!({ "kty": ["OKP"], "crv": "Ed25519", "x": number(32) }),
        rsa(128, "AQAB"),
        rsa(2_048, "AQAB"),
        rsa(256, "AQ"),
        rsa(256, "Ag"),
        rsa(256, ""),
        rsa(256, &number(9)),
        with_alg,
        for_encryption,
        for_signing,
        pss,
        even,
        spelt,
    ] {
        assert!(PublicKey::from_jwk(&object(jwk.clone())).is_err(), "{jwk}");
    }
}

#[test]
fn under_a_point_of_small_order_nothing_is_signed() {
    let small = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    let mut forged = 0;
    for text in small {
        let mut point = [0u8; 32];
        for (place, byte) in point.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).unwrap();
        }
        for sign in [0, 0x80] {
            point[31] ^= sign;
            assert_eq!(PublicKey::ed25519(point), Err(KeyError::Numbers), "{text} {sign}");
            // What is kept out: R the neutral element and S = 0 is a signature under one of eight messages or more.
            let mut signature = [0u8; 64];
            signature[0] = 1;
            let unchecked = PublicKey::Ed25519(point);
            forged += (0..64u8).filter(|message| unchecked.verifies(&[*message], &signature)).count();
        }
    }
    assert!(forged > 0, "the library refuses them by itself: the list has become needless");
}

#[test]
fn json_with_a_member_twice_is_refused_at_every_depth() {
    for good in ["{}", " {\"a\": [1, {\"b\": null}]} ", r#"{"a":1,"A":1}"#] {
        assert!(strict_object(good.as_bytes()).is_ok(), "{good}");
    }
    for bad in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":1}"#,
        r#"{"b":{"a":1,"a":2}}"#,
        r#"{"b":[{"a":1,"a":2}]}"#,
        "{} {}",
        "[]",
        "1",
        "",
        "{\"a\":01}",
        "{\"a\":1e400}",
        "{\"a\":NaN}",
        "{'a':1}",
        "{\"a\":1,}",
        "\u{feff}{}",
    ] {
        assert_eq!(strict_object(bad.as_bytes()), Err(StrictError), "{bad}");
    }
    assert_eq!(strict_object(b"{\"a\":\"\xff\"}"), Err(StrictError));
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(strict_object(deep.as_bytes()), Err(StrictError));
}
