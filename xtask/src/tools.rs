//! What the tests run besides our own code: real SDKs in Python and Node, reverse proxies, a browser, and the test
//! runner.
//!
//! Everything goes to `target/test-tools`, never into the user's own environments. A tool that is
//! present in the pinned version costs no network access.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::workspace::Workspace;

/// Variable that tells the tests which Python interpreter has `sentry-sdk`.
pub const PYTHON_VARIABLE: &str = "ACTIFIX_TEST_PYTHON";
/// Variable that tells the tests which `node_modules` folder has `@sentry/node`.
pub const NODE_MODULES_VARIABLE: &str = "ACTIFIX_TEST_NODE_MODULES";

/// Oldest Node that the pinned `@sentry/node` supports: major, minor.
const NODE_VERSION_MIN: (u32, u32) = (20, 19);
/// Oldest Python that the pinned packages support: major, minor.
const PYTHON_VERSION_MIN: (u32, u32) = (3, 11);

const REQUIREMENTS: &str = "xtask/tools/requirements.txt";
const PACKAGE_JSON: &str = "xtask/tools/package.json";
const PACKAGE_LOCK: &str = "xtask/tools/package-lock.json";
/// Name of the file that holds the pins of a finished installation.
const STAMP: &str = "installed-pins";

/// Where the installed tools are. The tests look at these places too when the variables are unset.
#[derive(Debug, Clone)]
pub struct Tools {
    python_folder: PathBuf,
    node_folder: PathBuf,
}

impl Tools {
    /// The places, whether or not anything is there yet.
    pub fn expected(workspace: &Workspace) -> Self {
        let folder = workspace.path("target/test-tools");
        Self { python_folder: folder.join("python"), node_folder: folder.join("node") }
    }

    pub fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [(PYTHON_VARIABLE, self.python()), (NODE_MODULES_VARIABLE, self.node_modules())]
    }

    fn python(&self) -> PathBuf {
        self.python_folder.join("bin/python")
    }

    fn node_modules(&self) -> PathBuf {
        self.node_folder.join("node_modules")
    }
}

/// Installs what is missing and says what it did.
pub fn install(workspace: &Workspace) -> Result<Tools> {
    let tools = Tools::expected(workspace);
    install_system_packages()?;
    install_python_packages(workspace, &tools).context("cannot install the Python SDK for the tests")?;
    install_node_packages(workspace, &tools).context("cannot install the Node SDK for the tests")?;
    install_cargo_tool("nextest", "cargo-nextest")?;
    Ok(tools)
}

/// Builds a cargo subcommand from crates.io unless `cargo SUBCOMMAND` already works.
pub fn install_cargo_tool(subcommand: &str, package: &str) -> Result<()> {
    if has_cargo_tool(subcommand) {
        return Ok(());
    }
    println!("installing {package} with cargo; this takes some minutes");
    process::run(Command::new("cargo").args(["install", "--locked", package]))
        .with_context(|| format!("cannot install {package}; install it by hand and run again"))
}

pub fn has_cargo_tool(subcommand: &str) -> bool {
    process::succeeds(Command::new("cargo").args([subcommand, "--version"]))
}

/// Debian packages whose program is missing here, installed together in one go.
fn install_system_packages() -> Result<()> {
    let mut missing = Vec::new();
    if !process::succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"])) {
        missing.extend(["python3", "python3-venv"]);
    }
    for (program, version, package) in [
        ("node", "--version", "nodejs"),
        ("npm", "--version", "npm"),
        ("/usr/sbin/nginx", "-v", "nginx-light"),
        ("/usr/bin/caddy", "version", "caddy"),
    ] {
        if !process::succeeds(Command::new(program).arg(version)) {
            missing.push(package);
        }
    }
    // A real Secret Service with its tools, what kills a process at a given call, and what drops rights.
    missing.extend(missing_programs(&[
        ("gnome-keyring-daemon", "gnome-keyring"),
        ("dbus-run-session", "dbus"),
        ("secret-tool", "libsecret-tools"),
        ("gdbus", "libglib2.0-bin"),
        ("strace", "strace"),
        ("setpriv", "util-linux"),
        ("script", "bsdutils"),
        ("unshare", "util-linux"),
        // Strangers that read our backups.
        ("age", "age"),
        ("zstd", "zstd"),
        ("ip", "iproute2"),
        // Judges the unit of the service.
        ("systemd-analyze", "systemd"),
        // A real browser for the pages, and what steers it.
        ("chromium", "chromium"),
        ("chromedriver", "chromium-driver"),
    ]));
    apt_install_missing(&missing)?;
    require_version("python3", PYTHON_VERSION_MIN)?;
    require_version("node", NODE_VERSION_MIN)
}

/// Installs the Debian packages of those programs that are not on the path.
pub fn install_programs(programs: &[(&str, &'static str)]) -> Result<()> {
    apt_install_missing(&missing_programs(programs))
}

/// Installs the Debian packages of those font families that are missing.
pub fn install_fonts(fonts: &[(&str, &'static str)]) -> Result<()> {
    let families = process::output(Command::new("fc-list").args([":", "family"]))?;
    let is_missing = |family: &str| !families.lines().any(|line| line.split(',').any(|name| name == family));
    let missing: Vec<_> =
        fonts.iter().filter(|(family, _)| is_missing(family)).map(|(_, package)| *package).collect();
    apt_install_missing(&missing)
}

fn missing_programs(programs: &[(&str, &'static str)]) -> Vec<&'static str> {
    programs.iter().filter(|(program, _)| !is_on_path(program)).map(|(_, package)| *package).collect()
}

fn apt_install_missing(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    println!("installing {} with apt-get", packages.join(", "));
    apt_install(packages).with_context(|| format!("install {} by hand and run again", packages.join(", ")))
}

/// Whether a program is there; some of them have no harmless way of being run.
fn is_on_path(program: &str) -> bool {
    let script = format!("command -v {program}");
    process::succeeds(Command::new("sh").args(["-c", &script]))
}

fn apt_install(packages: &[&str]) -> Result<()> {
    if !process::succeeds(Command::new("apt-get").arg("--version")) {
        bail!("this system has no apt-get");
    }
    process::run(as_root("apt-get").args(["update", "-qq"]))?;
    let mut install = as_root("apt-get");
    install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages);
    process::run(&mut install)
}

/// A command for root: as it is for root, else by `sudo -n`, which fails rather than asks.
fn as_root(program: &str) -> Command {
    let is_root = process::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    let mut command = if is_root { Command::new(program) } else { Command::new("sudo") };
    if !is_root {
        command.args(["-n", "--preserve-env=DEBIAN_FRONTEND", program]);
    }
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn require_version(program: &str, minimum: (u32, u32)) -> Result<()> {
    let text = process::output(Command::new(program).arg("--version"))?;
    let found = parse_version(&text).with_context(|| format!("`{program} --version` printed {text:?}"))?;
    if found < minimum {
        bail!(
            "{program} {}.{} is too old for the SDKs under test; install {}.{} or newer",
            found.0,
            found.1,
            minimum.0,
            minimum.1
        );
    }
    Ok(())
}

/// Major and minor number of `v20.19.2` or `Python 3.11.7`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let number = text.trim().rsplit(' ').next()?.trim_start_matches('v');
    let mut parts = number.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn install_python_packages(workspace: &Workspace, tools: &Tools) -> Result<()> {
    let import = "import sentry_sdk, flask, pre_commit, standardwebhooks";
    install_environment(workspace, &tools.python_folder, REQUIREMENTS, import)
}

/// A Python environment that holds exactly the pins of a file; `import` proves that it works.
pub fn install_environment(
    workspace: &Workspace,
    folder: &Path,
    requirements: &str,
    import: &str,
) -> Result<()> {
    let pins = workspace.read(requirements)?;
    let python = folder.join("bin/python");
    if is_installed(folder, &pins) && process::succeeds(Command::new(&python).arg("-V")) {
        return Ok(());
    }
    println!("installing the packages of {requirements} into {}", folder.display());
    clear(folder)?;
    process::run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--no-deps", "--requirement"]);
    process::run(pip.arg(workspace.path(requirements)))?;
    process::run(Command::new(&python).args(["-c", import]))?;
    stamp(folder, &pins)
}

fn install_node_packages(workspace: &Workspace, tools: &Tools) -> Result<()> {
    let lock = workspace.read(PACKAGE_LOCK)?;
    let pins = workspace.read(PACKAGE_JSON)? + &lock;
    if is_installed(&tools.node_folder, &pins) {
        return Ok(());
    }
    println!("installing Node packages into target/test-tools");
    clear(&tools.node_folder)?;
    fs::create_dir_all(&tools.node_folder).context("cannot create the folder of the Node packages")?;
    for file in [PACKAGE_JSON, PACKAGE_LOCK] {
        let name = Path::new(file).file_name().context("a manifest without a name")?;
        fs::copy(workspace.path(file), tools.node_folder.join(name))
            .with_context(|| format!("cannot copy {file}"))?;
    }
    // No package may run a script of its own at installation.
    let arguments = ["ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"];
    process::run(Command::new("npm").args(arguments).current_dir(&tools.node_folder))?;
    let load = Command::new("node")
        .args([
            "-e",
            "require('@sentry/node'); require('standardwebhooks'); require.resolve('axe-core/axe.min.js'); \
             require('child_process').execFileSync(require('@sentry/cli').SentryCli.getPath(), ['--version'])",
        ])
        .current_dir(&tools.node_folder)
        .env_remove("NODE_OPTIONS")
        .status()
        .context("cannot start node")?;
    if !load.success() {
        bail!("@sentry/node, @sentry/cli, axe-core or standardwebhooks is installed but does not load");
    }
    stamp(&tools.node_folder, &pins)
}

/// Whether a finished installation of exactly these pins is in the folder.
fn is_installed(folder: &Path, pins: &str) -> bool {
    fs::read_to_string(folder.join(STAMP)).is_ok_and(|installed| installed == pins)
}

/// Written last: an interrupted installation has no stamp and is done again.
fn stamp(folder: &Path, pins: &str) -> Result<()> {
    fs::write(folder.join(STAMP), pins).context("cannot record what was installed")
}

/// Removes a folder with all that it holds, if it is there.
pub fn clear(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot clear {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_programs_print_them() {
        assert_eq!(parse_version("v20.19.2\n"), Some((20, 19)));
        assert_eq!(parse_version("Python 3.11.7\n"), Some((3, 11)));
        assert_eq!(parse_version("node: not found"), None);
    }

    #[test]
    fn only_a_finished_installation_of_the_same_pins_counts() {
        let folder = std::env::temp_dir().join(format!("actifix-xtask-stamp-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert!(!is_installed(&folder, "a==1"));
        stamp(&folder, "a==1").unwrap();
        assert!(is_installed(&folder, "a==1"));
        assert!(!is_installed(&folder, "a==2"));
        clear(&folder).unwrap();
        clear(&folder).unwrap();
        assert!(!is_installed(&folder, "a==1"));
    }
}
