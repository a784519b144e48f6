//! `cargo xtask deny`: licences, sources and the deny list, by cargo-deny and `deny.toml`.
//!
//! The floors of the deny list are also checked by tidy, without cargo-deny and without a network.

use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use crate::{process, tools};

pub fn is_installed() -> bool {
    tools::has_cargo_tool("deny")
}

/// Checks bans, licences and sources; `advisories` adds RustSec, whose database is fetched then.
pub fn run(workspace: &Workspace, advisories: bool) -> Result<()> {
    tools::install_cargo_tool("deny", "cargo-deny")?;
    process::run(cargo_deny(workspace).args(["check", "bans", "licenses", "sources"]))?;
    if advisories {
        process::run(cargo_deny(workspace).args(["check", "advisories"]))
            .context("RustSec reports something, or its database cannot be fetched (see above)")?;
    }
    Ok(())
}

fn cargo_deny(workspace: &Workspace) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(workspace.root()).args(["deny", "--locked", "--workspace"]);
    command
}
