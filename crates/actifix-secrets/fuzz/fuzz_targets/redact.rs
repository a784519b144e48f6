//! Redaction never panics and is stable: redacting its output changes nothing.
#![no_main]

use actifix_secrets::{Engine, Settings};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let engine = Engine::builtin();
    let settings = Settings::default();
    if let Ok(mut value) = serde_json::from_slice::<Value>(bytes) {
        let redact = |value: &mut Value| {
            let mut session = engine.session(&settings);
            if session.value("event", value).is_ok() {
                session.echo_value(value);
            }
        };
        redact(&mut value);
        let once = value.clone();
        redact(&mut value);
        assert_eq!(value, once);
    }
    let text = String::from_utf8_lossy(bytes);
    let (once, _) = engine.redact_text(&text, &settings);
    let (twice, _) = engine.redact_text(&once, &settings);
    assert_eq!(twice, once);
});
