//! Starting other programs, and the steps that `cargo xtask test` reports.

use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Runs a program with our standard streams; an exit other than 0 is an error that names the command.
pub fn run(command: &mut Command) -> Result<()> {
    let line = describe(command);
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start `{line}`; is it installed?"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// Runs a program silently and gives its standard output; an error holds what it wrote to stderr.
pub fn output(command: &mut Command) -> Result<String> {
    let line = describe(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{line}`; is it installed?"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{line}` failed ({}): {}", output.status, stderr.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed something not UTF-8"))
}

/// Whether a program starts and exits with 0; what it prints is dropped.
pub fn succeeds(command: &mut Command) -> bool {
    output(command).is_ok()
}

/// The steps of one run: each prints its name and time, all are summed up in one closing line.
#[derive(Debug)]
pub struct Steps {
    started: Instant,
    passed: usize,
}

impl Steps {
    pub fn start() -> Self {
        Self { started: Instant::now(), passed: 0 }
    }

    /// Runs one step. The first failure ends the run: later steps would only bury its message.
    pub fn step<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("==> {name}");
        let started = Instant::now();
        let result = work();
        let verdict = if result.is_ok() { "ok" } else { "FAILED" };
        println!("==> {name}: {verdict} in {}", seconds(started.elapsed()));
        let value = result.with_context(|| {
            format!(
                "step `{name}` failed after {} passed; total {}",
                self.passed,
                seconds(self.started.elapsed())
            )
        })?;
        self.passed += 1;
        Ok(value)
    }

    pub fn finish(&self, command: &str) {
        println!("==> {command}: all {} steps passed in {}", self.passed, seconds(self.started.elapsed()));
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_is_named_with_its_exit() {
        let error = run(Command::new("false").arg("--of-course")).unwrap_err().to_string();
        assert!(error.contains("false --of-course"), "{error}");
        assert!(error.contains("exit status: 1"), "{error}");
    }

    #[test]
    fn a_missing_program_asks_whether_it_is_installed() {
        let error = run(&mut Command::new("no-such-program-anywhere")).unwrap_err().to_string();
        assert!(error.contains("is it installed?"), "{error}");
    }

    #[test]
    fn a_failed_step_names_itself_and_ends_the_run() {
        let mut steps = Steps::start();
        steps.step("first", || Ok(())).unwrap();
        let error = steps.step("second", || -> Result<()> { bail!("the cause") }).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("step `second` failed after 1 passed"), "{text}");
        assert!(text.contains("the cause"), "{text}");
    }
}
