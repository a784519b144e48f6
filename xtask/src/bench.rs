//! `cargo xtask bench`: what the release binary does on this machine, beside floors of the same run and the targets.
//!
//! Nothing here is a test: figures depend on the machine and on what else runs on it, so they are printed with
//! both, as ratios to floors that suffered the same, and a missed target never fails the command.

mod alerts;
mod bodies;
mod captures;
mod client;
mod floors;
mod ingest;
mod lists;
mod load;
mod machine;
mod pages;
mod peers;
mod redact;
mod report;
mod scan;
mod server;
mod starts;
mod synthetic;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use self::report::Report;
use crate::process;
use crate::tools::clear;
use crate::workspace::Workspace;

/// Most clients: each is a thread with a connection.
const CLIENTS_MAX: usize = 1_024;
/// Longest measured window of one workload, seconds.
const SECONDS_MAX: u64 = 3_600;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask bench                        everything, small scale\n  cargo xtask bench ingest --seconds 20    only ingest\n  cargo xtask bench alerts                 ingest with and without alert rules, in pairs\n  cargo xtask bench scan                   the scanner: recall, false positives, cost beside other scanners\n  cargo xtask bench list --scale full      lists at 1 M tickets and 5 M events (about 20 minutes)"
)]
pub struct BenchArguments {
    /// What to measure
    #[arg(value_enum, default_value = "all")]
    what: What,
    /// Length of the measured window of each workload
    #[arg(long, default_value_t = 10, value_name = "N")]
    seconds: u64,
    /// Connections that send at the same time
    #[arg(long, default_value_t = 64, value_name = "N")]
    clients: usize,
    /// Size of the filled home for lists, starts and growth: 20 k tickets / 100 k events, or 1 M / 5 M
    #[arg(long, value_enum, default_value = "small")]
    scale: Scale,
    /// Keep the filled home in target/bench and use one that is there
    #[arg(long)]
    keep: bool,
    /// Install the scanners that ours is compared with below target/peers, from PyPI
    #[arg(long)]
    install_peers: bool,
    /// Take the programs from this folder, such as target/debug, and build nothing; only a release build has figures
    /// that mean something
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
    /// Write the figures to a file as JSON too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    All,
    Ingest,
    Alerts,
    Redact,
    Scan,
    List,
    Start,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scale {
    Small,
    Full,
}

impl Scale {
    fn word(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Full => "full",
        }
    }

    fn tickets(self) -> u64 {
        match self {
            Self::Small => 20_000,
            Self::Full => 1_000_000,
        }
    }

    fn events(self) -> u64 {
        self.tickets() * 5
    }
}

/// What every part of the bench needs.
#[derive(Debug)]
pub struct Setting {
    /// Release binary under test.
    binary: PathBuf,
    /// The same server and pipeline with a store that keeps nothing.
    pipeline_floor: PathBuf,
    /// Receivers of alerts.
    alert_sink: PathBuf,
    /// Fills a home through the store.
    fill: PathBuf,
    /// Redacts events of a file.
    redact: PathBuf,
    /// Scratch folder, on the disk that is measured.
    scratch: PathBuf,
    /// Captured SDK requests.
    captures: PathBuf,
    window: Duration,
    clients: usize,
    scale: Scale,
    keep: bool,
}

pub fn run(workspace: &Workspace, arguments: &BenchArguments) -> Result<()> {
    if arguments.install_peers {
        peers::install(workspace)?;
    }
    if arguments.what == What::Scan {
        // Nothing of the server is measured, so nothing of it is built.
        let mut report = Report::new(machine::describe(workspace, arguments)?);
        scan::run(workspace, &mut report)?;
        peers::run(workspace, &mut report)?;
        return finish(report, arguments);
    }
    let setting = prepare(workspace, arguments)?;
    let mut report = Report::new(machine::describe(workspace, arguments)?);
    report.print_machine();
    let all = arguments.what == What::All;
    if all || arguments.what == What::Ingest {
        ingest::run(&setting, &mut report)?;
    }
    if all || arguments.what == What::Alerts {
        alerts::run(&setting, &mut report)?;
    }
    if all || arguments.what == What::Redact {
        redact::run(&setting, &mut report)?;
    }
    if all {
        scan::run(workspace, &mut report)?;
        peers::run(workspace, &mut report)?;
    }
    if all || matches!(arguments.what, What::List | What::Start) {
        let filled = lists::Filled::get(&setting, &mut report)?;
        if all || arguments.what == What::List {
            lists::run(&setting, &filled, &mut report)?;
            pages::run(&setting, &filled, &mut report)?;
        }
        if all || arguments.what == What::Start {
            starts::run(&setting, &filled, &mut report)?;
        }
        filled.finish(&setting)?;
    }
    finish(report, arguments)
}

/// Prints the figures and writes them where the user wants them.
fn finish(mut report: Report, arguments: &BenchArguments) -> Result<()> {
    report.finish(machine::load_average());
    report.print();
    if let Some(path) = &arguments.json {
        std::fs::write(path, format!("{:#}\n", report.to_json()))
            .with_context(|| format!("cannot write {}", path.display()))?;
        println!("figures written to {}", path.display());
    }
    Ok(())
}

/// Builds what is measured and makes an empty scratch folder under `target`.
fn prepare(workspace: &Workspace, arguments: &BenchArguments) -> Result<Setting> {
    if !(1..=CLIENTS_MAX).contains(&arguments.clients) {
        bail!("--clients {} is not between 1 and {CLIENTS_MAX}", arguments.clients);
    }
    if !(1..=SECONDS_MAX).contains(&arguments.seconds) {
        bail!("--seconds {} is not between 1 and {SECONDS_MAX}", arguments.seconds);
    }
    let target = workspace.target_folder();
    let programs = match &arguments.programs {
        Some(folder) => folder.canonicalize().with_context(|| format!("cannot find {}", folder.display()))?,
        None => {
            println!("building the release binary and the floors");
            build_binary(workspace)?;
            build(workspace, &["-p", "actifix-store", "--example", "fill"])?;
            build(workspace, &["-p", "actifix", "--example", "alert_sink"])?;
            target.join("release")
        }
    };
    let scratch = target.join("bench");
    std::fs::create_dir_all(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
    Ok(Setting {
        binary: programs.join("actifix"),
        pipeline_floor: programs.join("examples/pipeline_floor"),
        alert_sink: programs.join("examples/alert_sink"),
        fill: programs.join("examples/fill"),
        redact: programs.join("examples/redact_bodies"),
        scratch,
        captures: workspace.path("testdata/sentry"),
        window: Duration::from_secs(arguments.seconds),
        clients: arguments.clients,
        scale: arguments.scale,
        keep: arguments.keep,
    })
}

/// The release binary and what shares its crates, always together: cargo unites the features of all that it builds at
/// once, and another choice would compile all of it again.
fn build_binary(workspace: &Workspace) -> Result<()> {
    let packages = ["-p", "actifix", "-p", "actifix-web", "-p", "actifix-secrets"];
    let targets = ["--bin", "actifix", "--example", "pipeline_floor", "--example", "redact_bodies"];
    build(workspace, &[packages.as_slice(), targets.as_slice()].concat())
}

/// What stands on the testkit is built apart, so that the binary is the one that ships.
fn build(workspace: &Workspace, what: &[&str]) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace.root()).args(["build", "--release", "--locked", "--quiet"]).args(what);
    process::run(&mut command)
}

impl Setting {
    /// An empty folder of this name in the scratch folder.
    fn fresh(&self, name: &str) -> Result<PathBuf> {
        let path = self.scratch.join(name);
        clear(&path)?;
        std::fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(path)
    }
}
