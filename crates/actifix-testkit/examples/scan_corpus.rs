//! Scans the corpus and prints what was found as JSON: `scan_corpus [SEED] [ROUNDS] [--slips]`.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring program: it prints, and its clock is its own"
)]
use std::time::Instant;

use actifix_secrets::Engine;
use actifix_testkit::corpus::{Row, measure};
use serde_json::{Value, json};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |at: usize, other: u64| arguments.get(at).and_then(|word| word.parse().ok()).unwrap_or(other);
    let (seed, rounds) = (number(0, 1), number(1, 2));
    let engine = Engine::builtin();
    let start = Instant::now();
    let report = measure(&engine, seed, rounds);
    if arguments.iter().any(|word| word == "--slips") {
        for slip in &report.slips {
            println!("{} | {} | {}", slip.of, slip.at, slip.text.escape_debug());
        }
    }
    let row = |row: &Row| json!({"texts": row.texts, "share": row.share(), "whole": row.whole_share()});
    let rows = |rows: &std::collections::BTreeMap<&'static str, Row>| -> Value {
        rows.iter()
            .map(|(name, counts)| ((*name).to_owned(), row(counts)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let out = json!({
        "seed": seed,
        "rounds": rounds,
        "rules": engine.rules().count(),
        "seconds": start.elapsed().as_secs_f64(),
        "recall": report.all.share(),
        "whole": report.all.whole_share(),
        "false_positives": report.clean.share(),
        "credentials": report.all.texts,
        "clean": report.clean.texts,
        "families": rows(&report.families),
        "contexts": rows(&report.contexts),
        "kinds": rows(&report.kinds),
    });
    println!("{out}");
}
