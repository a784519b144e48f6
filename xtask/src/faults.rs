//! `cargo xtask faults`: every row of the fault plan, on the real binary. What was acknowledged is there once, and what was
//! not is never called stored.
//!
//! Some rows are integration tests, run here by name; the others are scenarios of this program, which drive the server
//! over HTTP on loopback, under strace, in namespaces and cgroups. What was seen is kept under `target/faults`.

mod catalogue;
mod damage;
mod disk;
mod http;
mod kill;
mod load;
mod machine;
mod node;
mod power;
mod report;
mod soak;
mod strangers;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;

use self::catalogue::{FAULTS, Fault, Way};
use self::node::Home;
use self::report::Row;
use crate::process;
use crate::tools::{self, Tools};
use crate::workspace::Workspace;

/// Programs of Debian, with their packages.
const PROGRAMS: [(&str, &str); 6] = [
    ("strace", "strace"),
    ("faketime", "faketime"),
    ("sqlite3", "sqlite3"),
    ("unshare", "util-linux"),
    ("python3", "python3"),
    ("mkfifo", "coreutils"),
];
/// Minutes of the soak unless told otherwise (`security.md`: 8 h scaled).
const SOAK_MINUTES: u64 = 20;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask faults --list                  what there is\n  cargo xtask faults --quick                 a short form of what is quick (2 minutes)\n  cargo xtask faults                         all of it (about 45 minutes)\n  cargo xtask faults --only power-loss       one of them\n  cargo xtask faults --write                 also put the table into docs/reliability.md"
)]
pub struct FaultsArguments {
    /// Run only these
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Run all but these
    #[arg(long, value_name = "NAME")]
    except: Vec<String>,
    /// A short form of the scenarios, and not those that are long by nature
    #[arg(long)]
    quick: bool,
    /// Say what there is, and run nothing
    #[arg(long)]
    list: bool,
    /// Put the table into docs/reliability.md: what was run now, and what was kept of earlier runs
    #[arg(long)]
    write: bool,
    /// Use this binary instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Minutes of the soak
    #[arg(long, default_value_t = SOAK_MINUTES, value_parser = clap::value_parser!(u64).range(1..=480))]
    soak_minutes: u64,
}

/// What every scenario needs.
#[derive(Debug)]
pub struct Field {
    binary: PathBuf,
    /// Where its homes and traces lie.
    folder: PathBuf,
    quick: bool,
    soak_minutes: u64,
}

impl Field {
    /// A new home that was used before.
    fn home(&self, name: &str) -> Result<Home> {
        self.home_with(name, "")
    }

    /// The same with more in its configuration.
    fn home_with(&self, name: &str, config: &str) -> Result<Home> {
        Home::new(&self.binary, &self.fresh(name)?, config)
    }

    /// A place for a home; nothing is there.
    fn fresh(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        if path.exists() {
            std::fs::remove_dir_all(&path).with_context(|| format!("cannot clear {}", path.display()))?;
        }
        Ok(path)
    }
}

/// The short form that belongs to every test run.
pub fn run_quick(workspace: &Workspace) -> Result<()> {
    let arguments = FaultsArguments {
        only: Vec::new(),
        except: Vec::new(),
        quick: true,
        list: false,
        write: false,
        binary: None,
        soak_minutes: SOAK_MINUTES,
    };
    run(workspace, &arguments)
}

pub fn run(workspace: &Workspace, arguments: &FaultsArguments) -> Result<()> {
    for name in arguments.only.iter().chain(&arguments.except) {
        if !FAULTS.iter().any(|fault| fault.name == name) {
            bail!("there is no fault {name}: `cargo xtask faults --list` shows all");
        }
    }
    if arguments.list {
        for fault in FAULTS {
            let way = match fault.way {
                Way::Scenario(_) => "scenario",
                Way::Tests(_) => "tests",
            };
            println!(
                "{:<14} {way:<9} {}{}",
                fault.name,
                fault.what,
                if fault.is_quick { " (quick too)" } else { "" }
            );
        }
        return Ok(());
    }
    tools::install_programs(&PROGRAMS)?;
    let binary = match &arguments.binary {
        Some(file) => std::fs::canonicalize(file).with_context(|| format!("{}", file.display()))?,
        None => build(workspace)?,
    };
    let results = workspace.path("target/faults/results");
    let mut rows = Vec::new();
    for fault in FAULTS.iter().filter(|fault| is_wanted(fault, arguments)) {
        println!("==> {}: {}", fault.name, fault.what);
        // A folder of its own: two runs may go on at the same time.
        let folder = workspace.path("target/faults").join(fault.name);
        let row = one(workspace, fault, arguments, &binary, &folder)?;
        println!("    {} in {:.1} s: {}", row.verdict, row.seconds, row.seen);
        // A short form does not stand in the page.
        if !arguments.quick {
            report::keep(&results, &row)?;
        }
        rows.push(row);
    }
    if rows.is_empty() {
        bail!("nothing was left to run");
    }
    print!("\n{}", report::table(&rows));
    if arguments.write {
        let all: Vec<Row> = FAULTS
            .iter()
            .filter_map(|fault| report::kept(&results, fault.name, fault.what, fault.expected))
            .collect();
        let names: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
        report::write(workspace, &names, &all, &machine()?)?;
    }
    report::judge(&rows)
}

fn is_wanted(fault: &Fault, arguments: &FaultsArguments) -> bool {
    let named = |list: &[String]| list.iter().any(|name| name == fault.name);
    if named(&arguments.except) {
        return false;
    }
    if arguments.only.is_empty() { fault.is_quick || !arguments.quick } else { named(&arguments.only) }
}

fn one(
    workspace: &Workspace,
    fault: &Fault,
    arguments: &FaultsArguments,
    binary: &Path,
    folder: &Path,
) -> Result<Row> {
    clear(folder)?;
    let began = Instant::now();
    let seen = match fault.way {
        Way::Scenario(scenario) => scenario(&Field {
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            quick: arguments.quick,
            soak_minutes: arguments.soak_minutes,
        }),
        Way::Tests(names) => by_name(workspace, names),
    };
    let verdict = Row::verdict_of(&seen);
    if verdict != "FAIL" {
        clear(folder)?;
    }
    Ok(Row {
        name: fault.name,
        fault: fault.what,
        expected: fault.expected,
        seconds: report::seconds(began.elapsed()),
        verdict,
        // Where this checkout lies is nobody's business.
        seen: seen
            .unwrap_or_else(|error| format!("{error:#}"))
            .replace(&format!("{}/", folder.display()), ""),
        run: if arguments.quick { "quick" } else { "full" }.to_owned(),
    })
}

/// Runs integration tests; all of them must be there.
fn by_name(workspace: &Workspace, names: &[&str]) -> Result<String> {
    let filter = format!("test(/(^|::)({})$/)", names.join("|"));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["nextest", "run", "--workspace", "--locked", "--no-fail-fast", "-E", &filter]);
    command.current_dir(workspace.root()).envs(Tools::expected(workspace).environment());
    let output = command.stdin(std::process::Stdio::null()).output().context("cannot start cargo nextest")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let summary = said.lines().find(|line| line.trim_start().starts_with("Summary")).unwrap_or_default();
    let passed = format!("{} tests run: {} passed", names.len(), names.len());
    if output.status.success() && said.contains(&passed) {
        return Ok(format!("{} tests passed: {}", names.len(), names.join(", ")));
    }
    let failed: Vec<&str> =
        said.lines().filter(|line| line.trim_start().starts_with("FAIL ")).map(str::trim).collect();
    bail!("{} {}", summary.trim(), failed.join("; "))
}

/// The debug build: overflows and assertions are seen.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // With all packages, so that the features of what is shared are those of the tests, and nothing is built twice.
    command
        .args(["build", "--quiet", "--locked", "--workspace", "--bin", "actifix"])
        .current_dir(workspace.root());
    process::run(&mut command)?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.path("target"), PathBuf::from);
    Ok(target.join("debug/actifix"))
}

/// What the table was made on.
fn machine() -> Result<String> {
    let text = |command: &mut Command| process::output(command).map(|said| said.trim().to_owned());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let day = text(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    let system = text(Command::new("uname").args(["-sr"]))?;
    Ok(format!("{day}, {system}, {cores} cores, debug build"))
}

fn clear(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            bail!("cannot clear {}: {error}", folder.display())
        }
        _ => std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display())),
    }
}
