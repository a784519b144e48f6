//! `cargo xtask test` and `cargo xtask ci`: the checks in the order in which they fail fastest.

use std::process::Command;

use anyhow::Result;

use crate::process::{self, Steps};
use crate::tools::Tools;
use crate::workspace::Workspace;
use crate::{deny, docs, faults, tidy, tools};

/// Every check. Cheap ones first, so that a wrong space does not cost a build.
pub fn run_all(workspace: &Workspace) -> Result<()> {
    let mut steps = Steps::start();
    all_steps(workspace, &mut steps)?;
    steps.finish("cargo xtask test");
    Ok(())
}

/// Tidy and the tests, with the tools that are already there.
pub fn run_quick(workspace: &Workspace) -> Result<()> {
    let mut steps = Steps::start();
    steps.step("tidy", || tidy::run(workspace))?;
    steps.step("tests", || nextest(workspace, &Tools::expected(workspace)))?;
    steps.finish("cargo xtask test --quick");
    Ok(())
}

/// Every check, then what a release needs besides.
pub fn run_ci(workspace: &Workspace) -> Result<()> {
    let mut steps = Steps::start();
    all_steps(workspace, &mut steps)?;
    steps.step("generated docs unchanged", || docs::check(workspace))?;
    if deny::is_installed() {
        steps.step("deny", || deny::run(workspace, false))?;
    } else {
        println!("==> deny: not run, cargo-deny is not installed; `cargo xtask deny` installs and runs it");
    }
    steps.finish("cargo xtask ci");
    Ok(())
}

fn all_steps(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    steps.step("tidy", || tidy::run(workspace))?;
    steps.step("format", || cargo(workspace, &["fmt", "--all", "--check"]))?;
    let tools = steps.step("tools", || tools::install(workspace))?;
    steps.step("lints", || {
        cargo(workspace, &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])
    })?;
    steps.step("tests", || nextest(workspace, &tools))?;
    steps.step("faults", || faults::run_quick(workspace))?;
    steps.step("own secrets", || own_secrets(workspace))?;
    steps.step("documentation tests", || cargo(workspace, &["test", "--doc", "--workspace", "--locked"]))?;
    steps.step("documentation", || {
        let mut command = cargo_command(workspace);
        command.args(["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"]);
        process::run(command.env("RUSTDOCFLAGS", "-D warnings"))
    })
}

/// The tests, told where the SDKs are. On CI the profile that lists every failure.
fn nextest(workspace: &Workspace, tools: &Tools) -> Result<()> {
    let profile = if std::env::var_os("CI").is_some() { "ci" } else { "default" };
    let mut command = cargo_command(workspace);
    command.args(["nextest", "run", "--workspace", "--locked", "--profile", profile]);
    process::run(command.envs(tools.environment()))
}

/// Our scanner on our own files and on all of our commits: what it accepts stands in `.actifix-scan.toml`.
fn own_secrets(workspace: &Workspace) -> Result<()> {
    cargo(workspace, &["build", "--package", "actifix", "--locked"])?;
    let binary = workspace.target_folder().join("debug/actifix");
    for arguments in [&["scan", "--quiet"][..], &["scan", "--quiet", "--history"]] {
        process::run(Command::new(&binary).args(arguments).current_dir(workspace.root()))?;
    }
    Ok(())
}

fn cargo(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    process::run(cargo_command(workspace).args(arguments))
}

/// The cargo that runs us, so that a toolchain chosen on the command line stays chosen.
fn cargo_command(workspace: &Workspace) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace.root());
    command
}
