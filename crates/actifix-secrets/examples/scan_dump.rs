//! Prints all candidates in all files below folders, to be compared between two versions of the engine:
//! `scan_dump FOLDER...`. What a scan costs, `scan_speed` prints.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for measuring, never in a release"
)]

use std::io::Write;
use std::path::PathBuf;

use actifix_secrets::Engine;

fn main() {
    let mut folders: Vec<PathBuf> = std::env::args().skip(1).map(PathBuf::from).collect();
    let engine = Engine::builtin();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    while let Some(path) = folders.pop() {
        if path.is_dir() && !path.is_symlink() {
            let mut entries: Vec<PathBuf> =
                std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
            entries.sort();
            folders.append(&mut entries);
        } else if path.is_file() {
            for found in engine.candidates(&std::fs::read(&path).unwrap()) {
                writeln!(out, "{} {found:?}", path.display()).unwrap();
            }
        }
    }
}
