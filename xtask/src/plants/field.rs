//! The copy of the sources that bugs are planted in, its build, and what runs there.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

use super::file::{Plant, Plants};
use crate::process;
use crate::tools::{Tools, clear};
use crate::workspace::Workspace;

/// What nextest answers when tests failed, as opposed to a build that did.
const TESTS_FAILED: i32 = 100;
/// What it answers when no test has the name.
const NO_TESTS: i32 = 4;
/// The variable that wakes a bug.
const WAKES: &str = "PLANT";

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    Passed,
    /// With the tests that failed.
    Failed(Vec<String>),
    /// With the reason.
    NotRun(String),
}

/// What is committed, so that nothing of the working tree is touched. Files keep their age from run to run where they
/// do not change, so that little is built again.
#[derive(Debug)]
pub struct Field {
    folder: PathBuf,
    /// As it is committed.
    source: PathBuf,
    /// With bugs.
    tree: PathBuf,
    target: PathBuf,
    files: BTreeSet<String>,
    tools: [(&'static str, PathBuf); 2],
    runs: Cell<u32>,
}

impl Field {
    pub fn prepare(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.path("target/plants");
        let (source, tree) = (folder.join("source"), folder.join("tree"));
        clear(&source)?;
        clear(&folder.join("logs"))?;
        fs::create_dir_all(folder.join("logs")).context("cannot make a folder for what runs say")?;
        let mut clone = Command::new("git");
        clone.args(["clone", "--quiet", "--no-hardlinks"]).arg(workspace.root()).arg(&source);
        process::run(&mut clone)?;
        let list = process::output(Command::new("git").arg("-C").arg(&source).args(["ls-files", "-z"]))?;
        let files: BTreeSet<String> = list.split_terminator('\0').map(str::to_owned).collect();
        let known = folder.join("files");
        for gone in
            fs::read_to_string(&known).unwrap_or_default().lines().filter(|file| !files.contains(*file))
        {
            match fs::remove_file(tree.join(gone)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        fs::write(&known, Vec::from_iter(files.iter().map(String::as_str)).join("\n"))?;
        // The programs that tests run are installed already.
        let (tools, linked) = (workspace.path("target/test-tools"), tree.join("target/test-tools"));
        fs::create_dir_all(tree.join("target"))?;
        if tools.exists() && !linked.exists() {
            std::os::unix::fs::symlink(tools, linked)?;
        }
        let target = folder.join("target");
        let tools = Tools::expected(workspace).environment();
        Ok(Self { folder, source, tree, target, files, tools, runs: Cell::new(0) })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Plants what sleeps, and one bug that does not.
    pub fn sow(&self, plants: &Plants, awake: Option<&Plant>) -> Result<()> {
        let committed = |file: &str| {
            fs::read_to_string(self.source.join(file)).with_context(|| format!("cannot read {file}"))
        };
        let planted = plants.sources(committed, awake)?;
        for file in &self.files {
            let (from, to) = (self.source.join(file), self.tree.join(file));
            let wanted = match planted.get(file) {
                Some(text) => text.clone().into_bytes(),
                None => fs::read(&from).with_context(|| format!("cannot read {file}"))?,
            };
            if fs::read(&to).is_ok_and(|present| present == wanted) {
                continue;
            }
            fs::create_dir_all(to.parent().context("a file without a folder")?)?;
            // With its mode.
            fs::copy(&from, &to).with_context(|| format!("cannot copy {file}"))?;
            fs::write(&to, wanted).with_context(|| format!("cannot write {file}"))?;
        }
        Ok(())
    }

    /// Builds all tests and the program; whether that could be done.
    pub fn build(&self) -> Result<bool> {
        let mut tests = self.cargo("nextest");
        tests.args(["list", "--workspace", "--locked", "--list-type", "binaries-only"]);
        tests.args(["--message-format", "json"]).stdout(File::create(self.binaries())?);
        let (built, said) = self.log(&mut tests, "build", true)?;
        if !built.success() {
            println!("    it does not build: see {}", said.display());
            return Ok(false);
        }
        let mut metadata = self.cargo("metadata");
        metadata.args(["--format-version", "1", "--locked"]).stdout(File::create(self.metadata())?);
        let (known, said) = self.log(&mut metadata, "metadata", true)?;
        if !known.success() {
            bail!("cargo metadata failed: see {}", said.display());
        }
        Ok(true)
    }

    /// Runs the tests of some filters; with a bug awake only until the first of them fails.
    pub fn tests<'f>(
        &self,
        filters: impl IntoIterator<Item = &'f str>,
        plant: Option<&str>,
    ) -> Result<Outcome> {
        let mut command = self.cargo("nextest");
        command.args(["run", "--profile", "plants", "--color", "never", "--status-level", "fail"]);
        command.arg("--binaries-metadata").arg(self.binaries()).arg("--cargo-metadata").arg(self.metadata());
        command.arg(if plant.is_some() { "--fail-fast" } else { "--no-fail-fast" });
        for filter in filters {
            command.args(["-E", filter]);
        }
        if let Some(plant) = plant {
            command.env(WAKES, plant);
        }
        let (status, said) = self.log(&mut command, plant.unwrap_or("asleep"), false)?;
        let text = String::from_utf8_lossy(&fs::read(&said)?).into_owned();
        Ok(match status.code() {
            Some(0) => Outcome::Passed,
            Some(TESTS_FAILED) => Outcome::Failed(failed(&text)),
            Some(NO_TESTS) => Outcome::NotRun("there is no such test".to_owned()),
            _ => Outcome::NotRun(format!("nextest ended with {status}: see {}", said.display())),
        })
    }

    /// Runs a scenario of `cargo xtask faults` in its short form.
    pub fn fault(&self, name: &str, plant: Option<&str>) -> Result<Outcome> {
        let mut command = Command::new(std::env::current_exe().context("this program has no path")?);
        command
            .args(["faults", "--quick", "--only", name, "--binary"])
            .arg(self.target.join("debug/actifix"));
        self.surround(&mut command);
        // So it finds its root.
        command.env("CARGO_MANIFEST_DIR", self.tree.join("xtask"));
        if let Some(plant) = plant {
            command.env(WAKES, plant);
        }
        let (status, said) = self.log(&mut command, plant.unwrap_or(name), false)?;
        let text = String::from_utf8_lossy(&fs::read(&said)?).into_owned();
        Ok(if text.lines().any(|line| line.starts_with("    not run in ")) {
            Outcome::NotRun("this machine cannot do that".to_owned())
        } else if status.success() {
            Outcome::Passed
        } else if text.lines().any(|line| line.starts_with("    FAIL in ")) {
            Outcome::Failed(vec![format!("faults {name}")])
        } else {
            Outcome::NotRun(format!("the scenario could not be run: see {}", said.display()))
        })
    }

    fn binaries(&self) -> PathBuf {
        self.folder.join("binaries.json")
    }

    fn metadata(&self) -> PathBuf {
        self.folder.join("cargo.json")
    }

    fn cargo(&self, subcommand: &str) -> Command {
        let mut command = Command::new("cargo");
        command.arg(subcommand);
        self.surround(&mut command);
        command
    }

    fn surround(&self, command: &mut Command) {
        command.current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.target).env_remove(WAKES);
        command.envs(self.tools.iter().map(|(name, path)| (name, path))).stdin(Stdio::null());
    }

    /// Runs a command, and keeps what it says, or what it says of errors.
    fn log(&self, command: &mut Command, name: &str, errors_only: bool) -> Result<(ExitStatus, PathBuf)> {
        self.runs.set(self.runs.get() + 1);
        let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let path = self.folder.join("logs").join(format!("{:03}-{plain}.txt", self.runs.get()));
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        if !errors_only {
            command.stdout(file.try_clone()?);
        }
        let status =
            command.stderr(file).status().context("cannot start a run; is cargo-nextest installed?")?;
        Ok((status, path))
    }
}

/// Names of the tests that failed, as nextest tells them.
fn failed(said: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in said.lines().map(str::trim) {
        let is_end = ["FAIL", "TIMEOUT", "ABORT", "SIG"].iter().any(|word| line.starts_with(word));
        if let Some(name) = line.split_whitespace().last().filter(|_| is_end && line.contains('['))
            && !names.iter().any(|known| known == name)
        {
            names.push(name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_that_failed_are_named_once() {
        let said = "\
        FAIL [   0.007s] (1/3) actifix-app jws::tests::one\n  stdout ───\n    assertion failed: FAIL here\n\
     TIMEOUT [  60.000s] (2/3) actifix::it accounts::two\n\
     SIGABRT [   0.100s] (3/3) actifix::it accounts::three\n────\n     Summary [   1.0s] 3 tests run: 3 failed\n\
        FAIL [   0.007s] (1/3) actifix-app jws::tests::one\n";
        assert_eq!(failed(said), ["jws::tests::one", "accounts::two", "accounts::three"]);
    }
}
