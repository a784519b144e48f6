//! Properties: nothing planted survives, redaction is stable, hostile input is survived.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use actifix_secrets::{Engine, Settings};
use proptest::prelude::*;
use serde_json::{Value, json};

fn redact(text: &str) -> String {
    Engine::builtin().redact_text(text, &Settings::default()).0
}

fn redact_value(value: &Value) -> Value {
    let engine = Engine::builtin();
    let settings = Settings::default();
    let mut value = value.clone();
    let mut session = engine.session(&settings);
    session.value("event", &mut value).unwrap();
    session.echo_value(&mut value);
    value
}

/// Token formats with a prefix, as templates.
const FORMATS: [&str; 12] = [
    "ghp_{62:36}",
    "AKIA{U:16}",
    "sk_live_{62:24}",
    "xoxb-{d:12}-{d:12}-{62:24}",
    "AIza{url:35}",
    "npm_{62:36}",
    "SG.{url:22}.{url:43}",
    "hvs.{url:24}",
    "sk-ant-api03-{url:93}AA",
    "glpat-{url:20}",
    "github_pat_{62:22}_{62:59}",
    "sk-proj-{62:60}",
];

fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let word =
            chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..4 {
            let digit = char::from(DIGITS[(word >> (18 - 6 * index) & 63) as usize]);
            out.push(if index > chunk.len() { '=' } else { digit });
        }
    }
    out
}

/// A secret in one of the shapes error events come in.
fn contexts(secret: &str) -> Vec<String> {
    let once = json!({ "note": format!("got {secret}"), "n": 1 }).to_string();
    let twice = json!({ "body": once }).to_string();
    let thrice = json!({ "body": twice }).to_string();
    vec![
        secret.to_owned(),
        format!("https://h.example.net/x?k={secret}&p=1"),
        format!("https%3A%2F%2Fh%2Fx%3Fk%3D{secret}%26p%3D1"),
        format!("X={secret}\nY=1"),
        format!("x = \"{secret}\"\n"),
        format!("a:\n  b: {secret}\n"),
        format!("f(a,b,\"{secret}\");g()"),
        format!("Authorization: Bearer {secret}"),
        format!("curl -H 'X: {secret}' h"),
        format!("line\\n{secret}\\nline"),
        format!("é{secret}ü"),
        format!("日本{secret}語"),
        format!("SELECT '{secret}'"),
        format!("a=1; b={secret}; c=2"),
        base64(&format!("token is {secret}.")),
        once,
        twice,
        thrice,
    ]
}

/// Pieces out of which hostile text is made: what the detectors look for, cut and glued.
fn piece() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "password",
        "token",
        "=",
        ": ",
        "\"",
        "\\\"",
        "'",
        "\\",
        "://",
        "@",
        ":",
        "[redacted:password]",
        "[redacted:",
        "]",
        "Bearer ",
        "Basic ",
        concat!("-----BEGIN ", "PRIVATE KEY-----"),
        "-----END ",
        "eyJ",
        "%3D",
        "%22",
        "%25",
        "\\u0070",
        "\\/",
        "{",
        "}",
        "(",
        ")",
        "&",
        ";",
        ",",
        "insert into t (password) values (",
        "cookie",
        "authorization",
        "session",
        "4242",
        " ",
        "\n",
        "é",
        "日",
        "203.0.113.9",
        "bob@ex.example",
        "ghp_",
        "AKIA",
        "sk-",
        "--",
        "->",
        "<",
        ">",
        "null",
        "api_key",
        "a1B2c3D4e5F6g7H8",
        "hunter2",
        "identified by ",
        "&quot;",
        "?key=",
    ]);
    prop_oneof![4 => fixed.prop_map(str::to_owned), 1 => "[ -~]{0,12}", 1 => "\\PC{0,4}"]
}

fn hostile() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..24).prop_map(|pieces| pieces.concat())
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        hostile().prop_map(Value::String),
        any::<u64>().prop_map(|n| json!(n)),
        Just(Value::Null)
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((piece(), inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn planted_tokens_do_not_survive(format in 0..FORMATS.len(), seed in any::<u32>(), noise in "[a-z ,.]{0,20}") {
        let secret = support::expand(FORMATS[format], u64::from(seed));
        for context in contexts(&secret) {
            let text = format!("{noise} {context} {noise}");
            let out = redact(&text);
            prop_assert!(!out.contains(&secret), "{text}\n -> {out}");
            if out == text {
                prop_assert!(false, "nothing was redacted in {text}");
            }
        }
    }

    #[test]
    fn planted_passwords_do_not_survive(secret in "[A-Za-z0-9!$^*_+~]{4,6}[0-9][A-Za-z][!$^*_+~][a-z0-9]{3,6}") {
        for text in [
            format!("password={secret}&x=1"), format!("{{\"password\":\"{secret}\"}}"), format!("--password {secret} -v"),
            json!({"a": json!({"password": secret}).to_string()}).to_string(), format!("postgres://u:{secret}@h/db"),
            format!("'password': '{secret}', 'x'"), format!("DB_PASSWORD={secret}\nX=1"), format!("pwd: {secret}"),
        ] {
            let out = redact(&text);
            prop_assert!(!out.contains(&secret), "{text}\n -> {out}");
        }
    }

    #[test]
    fn text_redaction_is_idempotent(text in hostile()) {
        let once = redact(&text);
        prop_assert_eq!(redact(&once), once, "{}", text);
    }

    #[test]
    fn value_redaction_is_idempotent(value in value()) {
        let once = redact_value(&value);
        prop_assert_eq!(redact_value(&once), once, "{}", value);
    }

    #[test]
    fn any_text_is_survived(text in any::<String>(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        redact(&text);
        for found in Engine::builtin().scan(&bytes) {
            prop_assert!(found.span.end <= bytes.len());
        }
    }

    #[test]
    fn case_of_names_does_not_matter(upper in any::<bool>()) {
        let name = if upper { "API_KEY" } else { "Api_Key" };
        prop_assert_eq!(redact(&format!("{name}=abc123 x")), format!("{name}=[redacted:api_key] x"));
    }
}
