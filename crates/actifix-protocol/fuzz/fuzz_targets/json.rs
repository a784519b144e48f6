//! Any bytes as JSON: no panic, strings come out clean, and what was read reads the same again.
#![no_main]

use actifix_protocol::json::{self, JsonLimits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let limits = JsonLimits { depth_max: 20, depth_refused: 200, values_max: 10_000 };
    let Ok(value) = json::parse(data, &limits) else { return };
    let text = value.to_string();
    let again = json::parse(text.as_bytes(), &limits).expect("what we write we can read");
    assert_eq!(again.to_string(), text);
    let shown = String::from_utf8_lossy(data);
    let cleaned = json::clean(&shown);
    assert_eq!(json::clean(&cleaned), cleaned);
});
