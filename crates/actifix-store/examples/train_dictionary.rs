//! Trains the dictionary of event bodies: `cargo run --release -p actifix-store --example train_dictionary`.
//!
//! Reads `dict/001.samples.zst` (clear bodies, one per line: captured requests after redaction, and made-up events in
//! the shapes of ten SDKs) and writes `dict/001.zdict`. Parts of the samples become part of every installation: no
//! secrets in them, and never change a dictionary that was released, since stored bodies need it; add the next number.

#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::io::{BufRead, BufReader, Result};
use std::path::Path;

/// Size beyond which more of it saves little, bytes.
const DICTIONARY_BYTES: usize = 110 << 10;

fn main() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dict");
    let file = std::fs::File::open(folder.join("001.samples.zst"))?;
    let lines = BufReader::new(zstd::stream::read::Decoder::new(file)?).split(b'\n');
    let samples = lines.collect::<Result<Vec<_>>>()?;
    let dictionary = actifix_store::train_dictionary(&samples, DICTIONARY_BYTES)?;
    std::fs::write(folder.join("001.zdict"), &dictionary)?;
    println!("001.zdict: {} bytes from {} samples", dictionary.len(), samples.len());
    Ok(())
}
