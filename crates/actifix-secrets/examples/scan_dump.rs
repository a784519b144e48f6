//! Scans all files below folders in one thread: `scan_dump FOLDER...` prints what it costs per byte. With `--dump` as the
//! first word it prints all candidates instead, to be compared between two versions of the engine.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for measuring, never in a release"
)]

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use actifix_secrets::Engine;

/// Rounds, of which the fastest counts: the machine is shared.
const ROUNDS: usize = 7;

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let dump = words.first().is_some_and(|word| word == "--dump");
    if dump {
        words.remove(0);
    }
    let mut folders: Vec<PathBuf> = words.into_iter().map(PathBuf::from).collect();
    let mut files = Vec::new();
    while let Some(path) = folders.pop() {
        if path.is_dir() && !path.is_symlink() {
            let mut entries: Vec<PathBuf> =
                std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
            entries.sort();
            folders.append(&mut entries);
        } else if path.is_file() {
            files.push((path.clone(), std::fs::read(path).unwrap()));
        }
    }
    let engine = Engine::builtin();
    if dump {
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        for (path, text) in &files {
            for found in engine.candidates(text) {
                writeln!(out, "{} {found:?}", path.display()).unwrap();
            }
        }
        return;
    }
    let bytes: usize = files.iter().map(|(_, text)| text.len()).sum();
    let (mut fastest, mut found) = (f64::MAX, 0);
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        found = files.iter().map(|(_, text)| engine.candidates(text).len()).sum();
        fastest = fastest.min(begin.elapsed().as_secs_f64());
    }
    let nanos = fastest * 1e9 / bytes as f64;
    println!("{} files, {bytes} bytes, {found} candidates: {nanos:.3} ns/byte", files.len());
}
