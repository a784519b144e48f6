//! Redaction with the built-in rules and the settings that everybody starts with.

use actifix_secrets::{Engine, Settings};
use serde_json::Value;

/// A text as a reader sees it.
pub fn redact(text: &str) -> String {
    Engine::builtin().redact_text(text, &Settings::default()).0
}

/// An event as a reader sees it.
pub fn redact_value(mut value: Value) -> Value {
    let settings = Settings::default();
    let engine = Engine::builtin();
    let mut session = engine.session(&settings);
    session.value("event", &mut value).unwrap();
    session.echo_value(&mut value);
    value
}
