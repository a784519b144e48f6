//! `cargo xtask`: the project's automation, in Rust so that it is reviewed and tested like the rest.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "automation reads the clock, writes files and prints; none of it is in a release build"
)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod bench;
mod checks;
mod deny;
mod docs;
mod faults;
mod pentest;
mod picture;
mod plants;
mod process;
mod screenshots;
mod tidy;
mod tools;
#[allow(dead_code, reason = "shared with the walks through the pages, which need more of it")]
#[path = "../../crates/actifix/tests/browser/webdriver.rs"]
mod webdriver;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Checks, generators and tools of this repository", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run every check: tools, format, lints, tests, documentation, tidy
    Test {
        /// Only tidy and the tests: the inner loop
        #[arg(long)]
        quick: bool,
    },
    /// What CI runs: `test`, then generated documentation unchanged, then `deny` where it is installed
    Ci,
    /// Check the house rules: crate graph, file rules, secrets, decisions
    Tidy,
    /// Write the generated reference in docs/reference
    Docs {
        /// Write nothing; fail if a generated file differs from what is on disk
        #[arg(long)]
        check: bool,
    },
    /// Draw docs/terminal.svg anew: the output of a demo of the release binary
    Picture,
    /// Take pictures of every page, full, empty and failing: target/screenshots, and docs/overview.png and docs/ticket.png anew
    Screenshots,
    /// Check licences, sources and the deny list with cargo-deny, installing it when missing
    Deny {
        /// Also fetch the RustSec database and check it
        #[arg(long)]
        advisories: bool,
    },
    /// Measure the release binary: ingest, redaction, lists, start-up; each beside its floor and its target
    Bench(bench::BenchArguments),
    /// Attack a real server on loopback with outside tools; fails on any finding above info
    Pentest(pentest::PentestArguments),
    /// Break the real server in every way of the fault plan: kills, power, disks, clocks, memory, damage
    Faults(faults::FaultsArguments),
    /// Plant known bugs in a copy of the sources, and show that the tests see each of them
    Plants(plants::PlantsArguments),
    /// Install what the tests run: Python and Node SDKs into target/test-tools, Chromium, cargo-nextest
    InstallTools,
}

fn main() -> ExitCode {
    match run(&Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<()> {
    let workspace = Workspace::locate()?;
    match command {
        Command::Test { quick: false } => checks::run_all(&workspace),
        Command::Test { quick: true } => checks::run_quick(&workspace),
        Command::Ci => checks::run_ci(&workspace),
        Command::Tidy => tidy::run(&workspace),
        Command::Docs { check: false } => docs::write(&workspace),
        Command::Docs { check: true } => docs::check(&workspace),
        Command::Picture => picture::draw(&workspace),
        Command::Screenshots => screenshots::take(&workspace),
        Command::Deny { advisories } => deny::run(&workspace, *advisories),
        Command::Bench(arguments) => bench::run(&workspace, arguments),
        Command::Pentest(arguments) => pentest::run(&workspace, arguments),
        Command::Faults(arguments) => faults::run(&workspace, arguments),
        Command::Plants(arguments) => plants::run(&workspace, arguments),
        Command::InstallTools => tools::install(&workspace).map(|_| ()),
    }
}
