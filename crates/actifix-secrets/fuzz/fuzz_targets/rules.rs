//! Rule files are refused or compiled, never a panic; what compiles can be used.
#![no_main]

use actifix_secrets::{Engine, RuleSource, Settings};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let source = RuleSource { name: "fuzz.toml".to_owned(), text: text.to_owned() };
    if let Ok(engine) = Engine::from_rules(&[source]) {
        let _ = engine.redact_text(text, &Settings::default());
    }
});
