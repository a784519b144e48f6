//! Receivers of alerts on loopback for `cargo xtask bench alerts`: `alert_sink CA_FILE COUNT` writes the certificate of
//! their authority, prints an address for each, and, when its standard input ends, how many requests came in all.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for measuring, never in a release; its receivers are those of the tests, which use all of them"
)]

use std::io::Read;

#[path = "../tests/it/authority.rs"]
mod authority;
#[path = "../tests/it/sink.rs"]
mod sink;

use authority::Authority;
use sink::{Behaviour, Sink};

/// Most receivers: each has a port and a thread.
const SINKS_MAX: usize = 100;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(count)) = (arguments.next(), arguments.next()) else {
        return Err("alert_sink CA_FILE COUNT".into());
    };
    let count = count.parse::<usize>()?.min(SINKS_MAX);
    let authority = Authority::new();
    std::fs::write(file, &authority.pem)?;
    let sinks: Vec<Sink> = (0..count).map(|_| Sink::start(&authority, Behaviour::ok())).collect();
    for sink in &sinks {
        println!("{}", sink.url());
    }
    // Whoever started it ends it by hanging up.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    println!("{}", sinks.iter().map(|sink| sink.received().len()).sum::<usize>());
    Ok(())
}
