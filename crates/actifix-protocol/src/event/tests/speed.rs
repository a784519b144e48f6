//! Work per event must stay linear: no field makes it quadratic.

use super::read;
use serde_json::{Value, json};

#[test]
fn large_events_are_cut_to_a_bounded_size() {
    let frame = json!({"function": "f", "vars": {"a": "x".repeat(9_000)}, "pre_context": vec!["y"; 100]});
    let event = read(json!({
        "exception": vec![json!({"type": "E", "stacktrace": {"frames": vec![frame; 300]}}); 3],
        "extra": (0..5_000).map(|n| (n.to_string(), json!("z".repeat(100)))).collect::<serde_json::Map<_, _>>(),
        "tags": (0..5_000).map(|n| (n.to_string(), json!("z"))).collect::<serde_json::Map<_, _>>(),
        "fingerprint": vec!["p"; 5_000],
        "debug_meta": {"images": vec![json!({"type": "elf"}); 5_000]},
    }));
    let stack = event.exception[0].stacktrace.as_ref().unwrap();
    assert_eq!((stack.frames.len(), stack.frames[0].pre_context.len()), (100, 20));
    assert_eq!((event.extra.len(), event.tags.len()), (200, 200));
    assert_eq!((event.fingerprint.len(), event.debug_images.len()), (64, 1_000));
    assert!(event.other.len() <= 200);
    let _: Value = serde_json::to_value(&event).unwrap();
}
