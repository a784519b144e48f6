//! The scanner never panics and reports spans inside of its input.
#![no_main]

use actifix_secrets::Engine;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for found in Engine::builtin().scan(bytes) {
        assert!(found.span.start < found.span.end && found.span.end <= bytes.len());
    }
});
