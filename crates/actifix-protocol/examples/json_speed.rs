//! Reads one event over and over, with our parser and with serde_json; prints MB/s of each.
//!
//! `cargo run --release -p actifix-protocol --example json_speed -- FILE...` (default: a made-up event)

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "it is a measuring tool")]

use std::hint::black_box;
use std::time::Instant;

use actifix_protocol::json::{JsonLimits, parse};

/// Bytes read in each measurement.
const TOTAL_BYTES: usize = 256 << 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        measure("made-up event", made_up_event().as_bytes());
    }
    for file in files {
        measure(&file, &std::fs::read(&file)?);
    }
    Ok(())
}

fn measure(name: &str, bytes: &[u8]) {
    let limits = JsonLimits::default();
    let rounds = (TOTAL_BYTES / bytes.len().max(1)).max(1);
    let ours = rate(rounds, bytes.len(), || parse(black_box(bytes), &limits).is_ok());
    let serde =
        rate(rounds, bytes.len(), || serde_json::from_slice::<serde_json::Value>(black_box(bytes)).is_ok());
    println!("{name}: {} bytes, ours {ours:.0} MB/s, serde_json {serde:.0} MB/s", bytes.len());
}

fn rate(rounds: usize, bytes: usize, mut read: impl FnMut() -> bool) -> f64 {
    let start = Instant::now();
    for _ in 0..rounds {
        black_box(read());
    }
    (rounds * bytes) as f64 / start.elapsed().as_secs_f64() / 1e6
}

fn made_up_event() -> String {
    let frames: Vec<_> = (0..40)
        .map(|n| {
            serde_json::json!({
                "filename": "shop/orders/payment.py", "abs_path": "/srv/app/shop/orders/payment.py",
                "module": "shop.orders.payment", "function": "place_order", "lineno": n, "in_app": true,
                "pre_context": ["    def place_order(self, order):", "        # the \"usual\" way", ""],
                "context_line": "        return gateway.charge(order.card, order.total_amount)",
                "post_context": ["", "    def cancel(self):", "        raise NotImplementedError(\"später\")"],
                "vars": {"order": "<Order 1234>", "self": "<PaymentService object at 0x7f3a2b1c>", "retries": 3},
            })
        })
        .collect();
    serde_json::json!({
        "event_id": "00000000000000000000000000000001", "platform": "python", "level": "error",
        "exception": {"values": [{"type": "PaymentError", "value": "card declined", "stacktrace": {"frames": frames}}]},
    })
    .to_string()
}
