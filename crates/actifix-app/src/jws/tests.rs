//! Signatures of others: the vectors of the Wycheproof project, and keys that nobody should use.

use super::*;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
};
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

/// The vectors are not ours to ship: they are read where they are, and elsewhere the test says that it did nothing, which
/// `.config/nextest.toml` lets be seen. What of them must hold everywhere is in
/// [`signatures_that_somebody_changed_are_refused_whatever_the_algorithm`].
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

/// Signs a text.
type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// Somebody who signs, and the key that shows it.
struct Signer {
    alg: &'static str,
    key: PublicKey,
    sign: Sign,
}

/// One of each algorithm.
fn signers() -> [Signer; 3] {
    let text = |bytes: &[u8]| json!(URL_SAFE_NO_PAD.encode(bytes));
    let public = |jwk: Value| PublicKey::from_jwk(&object(jwk)).unwrap();
    let ed = Ed25519KeyPair::generate().unwrap();
    let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let of_ed = json!({ "kty": "OKP", "crv": "Ed25519", "x": text(ed.public_key().as_ref()) });
    let point = ec.public_key().as_ref().to_vec();
    let of_ec = json!({ "kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..]) });
    // PKCS#1 of a key of 2,048 bits: a sequence of the modulus, at a fixed place, and the exponent 65,537.
    let of_rsa = json!({ "kty": "RSA", "n": text(&rsa.public_key().as_ref()[9..265]), "e": "AQAB" });
    [
        Signer {
            alg: "EdDSA",
            key: public(of_ed),
            sign: Box::new(move |text| ed.sign(text).as_ref().to_vec()),
        },
        Signer {
            alg: "ES256",
            key: public(of_ec),
            sign: Box::new(move |text| ec.sign(&SystemRandom::new(), text).unwrap().as_ref().to_vec()),
        },
        Signer {
            alg: "RS256",
            key: public(of_rsa),
            sign: Box::new(move |text| {
                let mut bytes = vec![0; rsa.public_modulus_len()];
                rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut bytes).unwrap();
                bytes
            }),
        },
    ]
}

/// The order of the group of P-256, big endian, and that of Ed25519, little endian.
const ORDER_OF_P256: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
const ORDER_OF_ED25519: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|place| u8::from_str_radix(&text[2 * place..2 * place + 2], 16).unwrap())
        .collect()
}

/// Signatures that others would have taken once, made of a good one.
fn spoilt(alg: &str, good: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let (half, last) = (good.len() / 2, good.len() - 1);
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.to_vec();
        change(&mut bytes);
        bytes
    };
    let mut all = vec![
        ("none", Vec::new()),
        ("one byte", vec![0]),
        ("a bit of its start", with(&|bytes| bytes[0] ^= 1)),
        ("a bit of its middle", with(&|bytes| bytes[half] ^= 0x80)),
        ("a bit of its end", with(&|bytes| bytes[last] ^= 1)),
        ("cut short", with(&|bytes| bytes.truncate(last))),
        ("a byte more", with(&|bytes| bytes.push(0))),
        ("a zero before it", with(&|bytes| bytes.insert(0, 0))),
        ("twice", good.repeat(2)),
        ("all zero", vec![0; good.len()]),
        ("all ones", vec![0xff; good.len()]),
    ];
    let (r, s) = good.split_at(half);
    let zero = vec![0; half];
    if alg == "ES256" {
        let order = unhex(ORDER_OF_P256);
        // CVE-2022-21449 took 0 for both; X9.62 DER is not what RFC 7518 asks for.
        let der = |number: &[u8]| {
            let sign = if number[0] & 0x80 == 0 { &[][..] } else { &[0][..] };
            let length = u8::try_from(number.len() + sign.len()).unwrap();
            [&[2, length][..], sign, number].concat()
        };
        let inner = [der(r), der(s)].concat();
        all.extend([
            ("r is 0", [&zero, s].concat()),
            ("s is 0", [r, &zero].concat()),
            ("r is the order", [&order, s].concat()),
            ("s is the order", [r, &order].concat()),
            ("r and s exchanged", [s, r].concat()),
            ("in DER", [&[0x30, u8::try_from(inner.len()).unwrap()][..], &inner].concat()),
        ]);
    }
    if alg == "EdDSA" {
        // S + L is the same number to a verifier that does not look (RFC 8032, 5.1.7).
        let mut carry = 0u16;
        let larger = s.iter().zip(unhex(ORDER_OF_ED25519)).map(|(left, right)| {
            carry += u16::from(*left) + u16::from(right);
            let [low, high] = carry.to_le_bytes();
            carry = u16::from(high);
            low
        });
        let larger: Vec<u8> = larger.collect();
        all.extend([("S past the order", [r, &larger].concat()), ("S is 0", [r, &zero].concat())]);
    }
    all
}

/// The classes of attack of Wycheproof's file, with keys and signatures of our own, wherever this is tested.
#[test]
fn signatures_that_somebody_changed_are_refused_whatever_the_algorithm() {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let [first, second, third] = signers();
    for (signer, other) in [(&first, &second), (&second, &third), (&third, &first)] {
        let signed =
            format!("{}.{}", part(&format!("{{\"alg\":\"{}\"}}", signer.alg)), part("{\"sub\":\"jo\"}"));
        let good = (signer.sign)(signed.as_bytes());
        let text = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&good));
        assert!(accepts(&signer.key, &text), "{}", signer.alg);
        assert!(!accepts(&other.key, &text), "{} under a key of {}", signer.alg, other.alg);
        for (what, bytes) in spoilt(signer.alg, &good) {
            let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bytes));
            assert!(!accepts(&signer.key, &forged), "{}: {what}", signer.alg);
        }
        // The same signature around other words, and other spellings of the same bytes.
        let forged =
            format!("{}.{}", part(&format!("{{\"alg\":\"{}\"}}", signer.alg)), part("{\"sub\":\"al\"}"));
        let signature = text.rsplit_once('.').unwrap().1;
        for (what, text) in [
            ("another payload", format!("{forged}.{signature}")),
            ("no payload", format!("{}..{signature}", signed.split_once('.').unwrap().0)),
            ("padded", format!("{text}=")),
            ("a line end", format!("{text}\n")),
            ("a fourth part", format!("{text}.")),
            ("the alphabet of base64", text.replace('-', "+").replace('_', "/") + "+"),
        ] {
            assert!(!accepts(&signer.key, &text), "{}: {what}", signer.alg);
        }
        // A header that says something else is signed as well as any; what it says is not done.
        for header in [
            "{\"alg\":\"none\"}".to_owned(),
            "{\"alg\":\"HS256\"}".to_owned(),
            "{}".to_owned(),
            format!("{{\"alg\":\"{}\"}}", other.alg),
            format!("{{\"alg\":\"{}\"}}", signer.alg.to_lowercase()),
            format!("{{\"alg\":[\"{}\"]}}", signer.alg),
            format!("{{\"alg\":\"none\",\"alg\":\"{}\"}}", signer.alg),
            format!("{{\"alg\":\"{}\",\"crit\":[\"b64\"],\"b64\":false}}", signer.alg),
        ] {
            let signed = format!("{}.{}", part(&header), part("{\"sub\":\"jo\"}"));
            let text = format!("{signed}.{}", URL_SAFE_NO_PAD.encode((signer.sign)(signed.as_bytes())));
            assert!(!accepts(&signer.key, &text), "{header}");
        }
    }
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
