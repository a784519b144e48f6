//! What the figures were measured on.

use std::fs;
use std::process::Command;

use anyhow::Result;
use serde_json::{Map, Value};

use super::BenchArguments;
use crate::process;
use crate::workspace::Workspace;

/// Facts about machine and build, in the order in which they are printed.
#[derive(Debug, Clone, Default)]
pub struct Machine(Vec<(&'static str, String)>);

impl Machine {
    pub fn lines(&self) -> &[(&'static str, String)] {
        &self.0
    }

    pub fn to_json(&self) -> Value {
        Value::Object(
            self.0
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.as_str().into()))
                .collect::<Map<_, _>>(),
        )
    }
}

pub fn describe(workspace: &Workspace, arguments: &BenchArguments) -> Result<Machine> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |path: &str, name: &str| {
        let text = read(path);
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let run = |command: &mut Command| {
        process::output(command).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
    };
    let commit = run(Command::new("git").current_dir(workspace.root()).args([
        "describe",
        "--always",
        "--dirty",
        "--exclude=*",
    ]));
    Ok(Machine(vec![
        ("time", run(Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]))),
        ("cpu", format!("{cores} cores, {}", field("/proc/cpuinfo", "model name"))),
        ("memory", field("/proc/meminfo", "MemTotal")),
        ("kernel", read("/proc/sys/kernel/osrelease").trim().to_owned()),
        ("load before", load_average()),
        ("commit", commit),
        ("rustc", run(Command::new("rustc").arg("--version"))),
        (
            "run",
            format!(
                "{:?}, {} s windows, {} clients on the same cores, scale {}",
                arguments.what,
                arguments.seconds,
                arguments.clients,
                arguments.scale.word()
            ),
        ),
    ]))
}

/// 1, 5 and 15 minutes. The bench itself is in those of its end.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
