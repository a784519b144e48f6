//! What a session remembers between texts (keys, clean texts, buffers) changes nothing of what comes out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use actifix_secrets::{Engine, Finding, Settings};
use serde_json::{Value, json};

/// A generator with a seed, so that a failure comes again.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, max: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % max as u64) as usize
    }

    fn word(&mut self, letters: &[u8], max: usize) -> String {
        (0..self.below(max)).map(|_| char::from(letters[self.below(letters.len())])).collect()
    }
}

const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const PIECES: [&str; 34] = [
    "password",
    "token",
    "=",
    ": ",
    "\"",
    "\\\"",
    "://",
    "@",
    "Bearer ",
    "%3D",
    "\\u0070",
    "{\"a\":\"",
    "\"}",
    "cookie",
    "session",
    "key",
    "secret",
    " ",
    "src/app.py",
    "203.0.113.9",
    "2001:db8::1:2",
    "bob@example.com",
    "4242 4242 4242 4242",
    "AKIA",
    "ghp_",
    "eyJ",
    "version ",
    "is ",
    "postgres://u:",
    "&",
    "\n",
    "é",
    "x",
    "--token ",
];

fn text(seeded: &mut Seeded) -> String {
    let mut text = String::new();
    for _ in 0..=seeded.below(7) {
        match seeded.below(4) {
            0 => text.push_str(&seeded.word(LETTERS, 44)),
            1 => text.push_str(&seeded.word(b"0123456789.:abcdef", 20)),
            _ => text.push_str(PIECES[seeded.below(PIECES.len())]),
        }
    }
    text
}

/// Redacts each text in a session of its own.
fn alone(settings: &Settings, path: &str, text: &str) -> (String, Vec<Finding>) {
    let engine = Engine::builtin();
    let mut session = engine.session(settings);
    let mut text = text.to_owned();
    session.text(path, &mut text).unwrap();
    (text, session.finish().findings)
}

#[test]
fn texts_of_one_session_are_redacted_like_texts_of_their_own() {
    let settings = Settings::default();
    let engine = Engine::builtin();
    let mut seeded = Seeded(0x9e37_79b9_7f4a_7c15);
    for _ in 0..200 {
        let texts: Vec<String> = (0..12).map(|_| text(&mut seeded)).collect();
        let mut session = engine.session(&settings);
        let (mut found, mut expected) = (0, Vec::new());
        // Twice: the second time clean texts are known.
        for _ in 0..2 {
            for text in &texts {
                let mut redacted = text.clone();
                session.text("file", &mut redacted).unwrap();
                let (want, findings) = alone(&settings, "file", text);
                assert_eq!(redacted, want, "{text:?}");
                found += findings.len();
                expected.extend(findings);
            }
        }
        let report = session.finish();
        assert_eq!(report.findings.len(), found);
        assert_eq!(report.findings, expected);
    }
}

#[test]
fn equal_parts_of_an_event_are_redacted_equally() {
    let settings = Settings::default();
    let engine = Engine::builtin();
    let mut seeded = Seeded(0xd1b5_4a32_d192_ed03);
    for _ in 0..200 {
        let mut part = serde_json::Map::new();
        for _ in 0..6 {
            let key = match seeded.below(3) {
                0 => text(&mut seeded),
                1 => seeded.word(LETTERS, 20),
                _ => PIECES[seeded.below(PIECES.len())].to_owned(),
            };
            part.insert(
                key,
                json!([text(&mut seeded), {"context_line": text(&mut seeded), "id": text(&mut seeded)}]),
            );
        }
        let part = Value::Object(part);
        let mut once = json!({ "a": part });
        let mut often = json!({ "a": part, "b": part, "c": part });
        for value in [&mut once, &mut often] {
            let mut session = engine.session(&settings);
            session.value("event", value).unwrap();
            session.echo_value(value);
        }
        assert_eq!(often["a"], often["b"], "{part}");
        assert_eq!(often["a"], often["c"], "{part}");
        assert_eq!(often["a"], once["a"], "{part}");
    }
}
