//! Prints what `Engine::scan` costs: `cargo run --release -p actifix-secrets --example scan_speed -- DIR [ENDING] [MB]`.
//!
//! All files below `DIR` whose names end in `ENDING` (default: any) are read into memory, `MB` (200) megabytes at most, and
//! then scanned in one thread: as they are, in one piece, and as so many letters, in which nothing stands.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for measuring, never in a release"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use actifix_secrets::Engine;

/// Rounds, of which the fastest counts: the machine is shared.
const ROUNDS: usize = 5;

fn main() {
    let mut words = std::env::args().skip(1);
    let top = words.next().unwrap();
    let ending = words.next().unwrap_or_default();
    let bytes_max = words.next().map_or(200, |word| word.parse().unwrap()) * 1_000_000;
    let mut folders = vec![PathBuf::from(top)];
    let (mut files, mut bytes) = (Vec::new(), 0);
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<PathBuf> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(&ending) && bytes < bytes_max {
                let file = std::fs::read(path).unwrap();
                bytes += file.len();
                files.push(file);
            }
        }
    }
    let engine = Engine::builtin();
    measure("by file", &engine, &files, bytes);
    let whole = vec![files.concat()];
    measure("in one", &engine, &whole, bytes);
    // Without hits: what the search alone costs.
    let plain: Vec<Vec<u8>> = files.iter().map(|file| vec![b'e'; file.len()]).collect();
    measure("no hits", &engine, &plain, bytes);
}

fn measure(name: &str, engine: &Engine, files: &[Vec<u8>], bytes: usize) {
    let (mut fastest, mut found) = (f64::MAX, BTreeMap::new());
    for _ in 0..ROUNDS {
        found.clear();
        let begin = Instant::now();
        for file in files {
            for hit in engine.scan(file) {
                *found.entry(hit.rule).or_insert(0_u64) += 1;
            }
        }
        fastest = fastest.min(begin.elapsed().as_secs_f64());
    }
    let (mega, nanos) = (bytes as f64 / 1e6, fastest * 1e9 / bytes as f64);
    let total: u64 = found.values().sum();
    println!("{name}: {mega:.1} MB, {} pieces, {total} findings, {nanos:.3} ns/byte", files.len());
    let mut often: Vec<_> = found.into_iter().collect();
    often.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (rule, count) in often.iter().take(8) {
        println!("  {rule}: {count}");
    }
}
