//! What a program costs, by the kernel's own account of it and of what it starts.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// A program with what it is asked.
pub struct Program {
    pub name: &'static str,
    pub path: PathBuf,
    pub arguments: Vec<String>,
    /// Exits of a finished scan.
    pub exits: &'static [i64],
}

/// What one run of a program cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub wall_s: f64,
    pub cpu_s: f64,
    /// Of the largest process.
    pub rss_mb: f64,
    pub exit: i64,
}

/// The cheapest of some runs by CPU, with the median of their walls: on a busy machine neither the fastest nor the
/// slowest wall says much.
pub fn measure(program: &Program, at: &Path, input: Option<&Path>, runs: usize) -> Result<Cost> {
    // `time` of GNU would have to be installed; Python is there for the tests.
    let mut command = Command::new("python3");
    command.current_dir(at).args(["-c", ACCOUNT]).arg(runs.to_string());
    command.arg(input.unwrap_or_else(|| Path::new("/dev/null")));
    let text = process::output(command.arg(&program.path).args(&program.arguments))?;
    let costs: Vec<Cost> = text
        .lines()
        .map(parse)
        .collect::<Option<_>>()
        .with_context(|| format!("the account of {} is not complete: {text:?}", program.name))?;
    summary(&costs).with_context(|| format!("{} was not run", program.name))
}

fn parse(line: &str) -> Option<Cost> {
    let mut numbers = line.split_whitespace();
    let mut next = || numbers.next()?.parse::<f64>().ok();
    let (wall_s, cpu_s, rss_mb) = (next()?, next()?, next()?);
    Some(Cost { wall_s, cpu_s, rss_mb, exit: numbers.next()?.parse().ok()? })
}

fn summary(costs: &[Cost]) -> Option<Cost> {
    let mut walls: Vec<f64> = costs.iter().map(|cost| cost.wall_s).collect();
    walls.sort_by(f64::total_cmp);
    let wall_s = *walls.get(walls.len() / 2)?;
    let cheapest = costs.iter().min_by(|a, b| a.cpu_s.total_cmp(&b.cpu_s))?;
    let rss_mb = costs.iter().map(|cost| cost.rss_mb).fold(0.0, f64::max);
    // One run that failed is a failure.
    let exit = costs.iter().map(|cost| cost.exit).max()?;
    Some(Cost { wall_s, rss_mb, exit, ..*cheapest })
}

/// `RUNS INPUT PROGRAM ARGUMENT…`: runs a program with its output thrown away; prints for each run wall and CPU seconds,
/// MB of the largest process, exit code. The size of a child starts with that of the Python process, about 10 MB.
const ACCOUNT: &str = "
import os, sys, time
runs, given, argv = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
for _ in range(runs):
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, given, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, '/dev/null', os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, '/dev/null', os.O_WRONLY, 0),
    ]
    start = time.monotonic()
    child = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)
    _, status, usage = os.wait4(child, 0)
    wall = time.monotonic() - start
    print(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status))
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_run_counts_and_one_failure_is_one() {
        let costs: Vec<Cost> = ["0.5 0.30 12.0 0", "0.1 0.10 14.0 2", "0.2 0.20 13.0 0"]
            .iter()
            .map(|line| parse(line).unwrap())
            .collect();
        let cost = summary(&costs).unwrap();
        assert_eq!((cost.wall_s, cost.cpu_s, cost.rss_mb, cost.exit), (0.2, 0.1, 14.0, 2));
        assert!(summary(&[]).is_none() && parse("0.5 0.3").is_none());
    }

    #[test]
    fn a_program_is_measured_with_its_exit() {
        let program = Program {
            name: "sh",
            path: PathBuf::from("/bin/sh"),
            arguments: vec!["-c".to_owned(), "read line; test \"$line\" = word; exit $((3 + $?))".to_owned()],
            exits: &[3],
        };
        let file = std::env::temp_dir().join(format!("actifix-xtask-account-{}", std::process::id()));
        std::fs::write(&file, "word\n").unwrap();
        let cost = measure(&program, Path::new("/"), Some(&file), 2).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(cost.exit, 3);
        assert!(cost.wall_s > 0.0 && cost.rss_mb > 0.0);
    }
}
