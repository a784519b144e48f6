//! Trains the dictionary of event bodies from normalised fixtures:
//! `cargo run -p actifix-store --example train_dictionary OUT.zdict EVENT.json…`.
//!
//! Samples become part of every installation: give it redacted fixtures only, and never change a dictionary that was
//! released, since stored bodies need it; add the next number.

#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::io::{Error, ErrorKind, Result};

/// Size that is worth its place in the binary, bytes.
const DICTIONARY_BYTES: usize = 48 << 10;
/// Copies of each sample under other numbers, so that few fixtures are enough for the trainer.
const COPIES: u32 = 8;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let out = arguments.next().ok_or_else(|| Error::new(ErrorKind::InvalidInput, "OUT.zdict EVENT.json…"))?;
    let mut samples = Vec::new();
    for path in arguments {
        let text = std::fs::read_to_string(path)?;
        for copy in 0..COPIES {
            // Numbers and ids must not be what is learnt.
            let digit = char::from_digit(copy, 10).unwrap_or('0');
            samples.push(text.replace('1', &digit.to_string()).into_bytes());
        }
    }
    let dictionary = actifix_store::train_dictionary(&samples, DICTIONARY_BYTES)?;
    std::fs::write(&out, &dictionary)?;
    println!("{out}: {} bytes from {} samples", dictionary.len(), samples.len());
    Ok(())
}
