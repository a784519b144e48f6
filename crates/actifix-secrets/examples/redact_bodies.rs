//! Prints as JSON what the redaction of events costs: `redact_bodies FILE`, one event as JSON per line.
//!
//! `cargo xtask bench redact` gives it the events that it sends to the server.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for measuring, never in a release"
)]

use std::time::{Duration, Instant};

use actifix_secrets::{Engine, Settings};
use serde_json::{Value, json};

/// Time spent on rounds over all events, after a first one that is not counted.
const WINDOW: Duration = Duration::from_secs(3);

fn main() {
    let path = std::env::args().nth(1).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (engine, settings) = (Engine::builtin(), Settings::default());
    let (mut spent, mut counted, mut replaced) = (Duration::ZERO, 0u64, 0u64);
    let mut fastest = vec![Duration::MAX; events.len()];
    let mut round = 0;
    while round == 0 || spent < WINDOW {
        // Copies cost as much as redaction: they are made before and dropped after it.
        let mut copies = events.clone();
        let begin = cpu_time();
        for (event, fastest) in copies.iter_mut().zip(&mut fastest) {
            let begin = Instant::now();
            let mut session = engine.session(&settings);
            session.value("event", event).unwrap();
            session.echo_value(event);
            let report = session.finish();
            *fastest = (*fastest).min(begin.elapsed());
            if round > 0 {
                counted += 1;
                replaced += report.redactions.values().sum::<u64>();
            }
        }
        if round > 0 {
            spent += cpu_time().checked_sub(begin).unwrap();
        }
        round += 1;
    }
    let micros = spent.as_secs_f64() * 1e6 / counted.max(1) as f64;
    let kilobytes = text.len() as f64 / events.len().max(1) as f64 / 1e3;
    let slowest = fastest.iter().max().unwrap().as_secs_f64() * 1e6;
    let line = json!({
        "rules": engine.rules().count(),
        "micros_per_event": micros,
        "micros_per_kb": micros / kilobytes,
        "micros_max": slowest,
        "replaced_per_event": replaced as f64 / counted.max(1) as f64,
    });
    println!("{line}");
}

/// What this thread has used of a processor: on a machine that does other things too, the time on the clock tells more of
/// those.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}
