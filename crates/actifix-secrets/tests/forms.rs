//! Forms of secrets that survived an attack by measurement: each loses its secret, and what looks alike stays.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use actifix_secrets::{Engine, Settings};
use serde_json::{Value, json};

fn redact(text: &str) -> String {
    Engine::builtin().redact_text(text, &Settings::default()).0
}

fn redact_value(mut value: Value) -> Value {
    let settings = Settings::default();
    let engine = Engine::builtin();
    let mut session = engine.session(&settings);
    session.value("event", &mut value).unwrap();
    session.echo_value(&mut value);
    value
}

/// Random, with signs, and words.
fn secrets() -> [String; 3] {
    [["Zx81kQm", "qPqw7Ab"].concat(), ["Harbor!", "sunset482"].concat(), ["winter", "harborabcd"].concat()]
}

/// A secret in each of some texts, where `§` stands, alone and in the middle of other text.
fn assert_gone(texts: &[&str]) {
    let mut wrong = Vec::new();
    for text in texts {
        for secret in secrets() {
            let text = text.replace('§', &secret);
            for text in [text.clone(), redact_value(json!({ "extra": { "detail": text } })).to_string()] {
                let got = redact(&text);
                if got.contains(secret.as_str()) || !got.contains("[redacted:") {
                    wrong.push(format!("{text}\n    got {got}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The same with random secrets only.
fn assert_random_gone(texts: &[&str]) {
    let secret = &secrets()[0];
    let wrong: Vec<String> = texts
        .iter()
        .map(|text| text.replace('§', secret))
        .map(|text| redact(&text))
        .filter(|got| got.contains(secret.as_str()))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn assert_kept(texts: &[&str]) {
    let wrong: Vec<String> = texts
        .iter()
        .filter(|text| redact(text) != **text)
        .map(|text| format!("{text}\n    got {}", redact(text)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn glued_and_foreign_names() {
    let names = "dbpass dbpwd dbpw DBPASS db_pw db_pwd userpass userpwd rootpass smtppass mysqlpass ftppass mailpass \
                 adminpass sshpass keypass storepass certpass authpass oldpass loginpwd passwrd bindpw ldap_bindpw requirepass \
                 masterauth masterkey encryptionkey enc_key aes_key aeskey signingkey signkey privkey priv_key hmackey hashkey \
                 cryptkey appkey preshared_key psk bottoken sastoken pepper pincode mdp wachtwoord has\u{142}o geheim \
                 \u{43f}\u{430}\u{440}\u{43e}\u{43b}\u{44c}";
    let mut wrong = Vec::new();
    for name in names.split_whitespace() {
        for secret in secrets() {
            let event = redact_value(json!({
                "message": format!("x {name}={secret} y"),
                "extra": { name: secret, "text": json!({ name: secret }).to_string(),
                    "ascii": format!("{{\"{}\": \"{secret}\"}}", escaped(name)) },
                "request": { "env": { name: secret } },
            }));
            if event.to_string().contains(&secret) {
                wrong.push(format!("{name} {event}"));
            }
        }
    }
    for name in ["auth", "basic_auth", "redis_auth", "sid", "sessionkey", "PHPSESSID", "sessid"] {
        let event = redact_value(json!({ "extra": { name: secrets()[2] } }));
        if event.to_string().contains(&secrets()[2]) {
            wrong.push(format!("{name} {event}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_kept(&[
        "compass: north2",
        "bypass=rule4",
        "OLDPWD=/srv/app",
        "renderPass: shadow",
        "sshpass: command not found",
        "TLS_PSK_WITH_AES_256_CBC_SHA: handshake failure",
    ]);
}

/// As JSON of ASCII only has it.
fn escaped(name: &str) -> String {
    name.chars()
        .map(
            |letter| {
                if letter.is_ascii() { letter.to_string() } else { format!("\\u{:04x}", u32::from(letter)) }
            },
        )
        .collect()
}

#[test]
fn states_references_and_code_stay() {
    assert_kept(&[
        "credentials: include",
        "fetch mode: cors, credentials: omit",
        "credentials: same-origin",
        "imagePullSecrets: regcred-prod",
        "existingSecret: postgres-credentials",
        "secretKeyRef: name: db-secret key: password",
        "redis key session:count:2026-11-24 expired",
        "id_token_signed_response_alg=RS256",
        "#login-form > div.password-wrapper:nth-child(2)",
        "api_key: (not set)",
        "password = fields.CharField(max_length=128)",
        "let token = self.next_token()?;",
        "token = tokens[i + 1]",
        "secret = Rails.application.credentials.secret_key_base",
        "'password' => $request->input('password')",
        "private readonly passwordService: PasswordService",
        "Password = model.Password,",
        "secret_id: \"arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-main\"",
    ]);
    let event = json!({ "extra": { "secret_id": "arn:x", "credentials": "include", "csrf": "missing" } });
    assert_eq!(redact_value(event.clone()), event);
}

#[test]
fn the_name_that_has_the_value_is_kept() {
    for name in ["password", "api_key", "dbpass"] {
        let text = format!("secret {name}={} z", secrets()[0]);
        let got = redact(&text);
        assert!(got.starts_with(&format!("secret {name}=[redacted:")) && got.ends_with("] z"), "{got}");
    }
}

#[test]
fn passwords_in_urls_that_nobody_encoded() {
    let mut texts = Vec::new();
    for sign in "?#&/@:%,;[]{}()^~!$*\"'` ".chars() {
        for scheme in ["postgres", "https"] {
            texts.push(format!("cannot parse {scheme}://shop:abc{sign}§@db1:5432/shop now"));
        }
    }
    texts.push("parse \"postgres://shop:99#§@db1/x\": invalid port \":99\" after host".to_owned());
    texts.push("parse \"postgres://shop:abc#§@db1/x\": invalid port \":abc\" after host".to_owned());
    assert_random_gone(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    for url in ["https://host:8080/#a@b", "GET http://host:80 by \"x\"@team", "see http://a:b then mail x"] {
        assert_kept(&[url]);
    }
}
