//! The binary: command line, configuration, wiring. Everything that it does is a use case of `actifix-app`.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::disallowed_methods
    )
)]

mod alarms;
mod backup;
mod bundle;
mod certificate;
mod channels;
mod cli;
mod config;
mod demo;
mod files;
mod home;
mod lifecycle;
mod outbound;
mod process;
mod scan;
mod served;
mod site;
mod system;
mod telemetry;
mod terminal;
mod vault;
mod wire;
mod workers;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
