//! `actifix hook`: puts the scanner before each commit, and takes it away again. A hook that was there before is kept
//! and runs first.

use super::{CliError, Global, output};
use crate::scan::git::Repo;
use clap::{Args, Subcommand, ValueEnum};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// By this line we know a hook of ours.
const MARK: &str = "# written by `actifix hook install`";
/// A hook that was there before has this at the end of its name.
const KEPT: &str = ".before-actifix";
/// A hook longer than this is not looked into; ours are shorter.
const HOOK_BYTES_MAX: u64 = 64 << 10;

#[derive(Debug, Subcommand)]
pub enum HookCommand {
    /// Scan before each commit. A hook that is there is kept and runs first.
    #[command(
        after_help = "Examples:\n  actifix hook install\n  actifix hook install --type commit-msg\n  actifix hook install --type pre-receive --repo /srv/git/shop.git"
    )]
    Install(InstallArgs),
    /// Take the hook away; one that was there before comes back.
    #[command(after_help = "Example:\n  actifix hook remove")]
    Remove(HookArgs),
    /// Say which hooks are in place. Exit 1 if the one asked for is not.
    #[command(after_help = "Example:\n  actifix hook status")]
    Status(HookArgs),
}

/// Which hook of which repository.
#[derive(Debug, Args)]
pub struct HookArgs {
    /// When git calls it.
    #[arg(long = "type", value_enum, default_value_t = Kind::PreCommit)]
    kind: Kind,
    /// The repository.
    #[arg(long, value_name = "DIR", default_value = ".")]
    repo: PathBuf,
}

#[derive(Debug, Args)]
pub struct InstallArgs {
    #[command(flatten)]
    hook: HookArgs,
    /// Also where `core.hooksPath` names a folder outside of the repository, whose hooks other repositories share.
    #[arg(long)]
    shared: bool,
    /// Rules and exceptions for the hook; a server takes no others.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The hooks of git that can carry a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Before each commit: what it adds.
    PreCommit,
    /// Before each commit: its message.
    CommitMsg,
    /// On a server, before a push is accepted.
    PreReceive,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::PreCommit => "pre-commit",
            Self::CommitMsg => "commit-msg",
            Self::PreReceive => "pre-receive",
        }
    }

    const fn command(self) -> &'static str {
        match self {
            Self::PreCommit => "scan --staged",
            Self::CommitMsg => "scan --commit-msg \"$1\"",
            Self::PreReceive => "scan --pre-receive",
        }
    }
}

/// Runs the command.
pub fn run(global: &Global, command: HookCommand) -> Result<ExitCode, CliError> {
    match command {
        HookCommand::Install(args) => install(global, &args),
        HookCommand::Remove(args) => remove(global, &args),
        HookCommand::Status(args) => status(global, &args),
    }
}

/// Where a hook lies.
struct Place {
    hook: PathBuf,
    kept: PathBuf,
    /// `core.hooksPath` names a folder outside of the repository.
    foreign: bool,
}

impl Place {
    fn find(args: &HookArgs) -> Result<Self, CliError> {
        let repo = Repo::discover(&args.repo).map_err(|error| CliError::usage(error.to_string()))?;
        let (folder, configured) = repo.hooks_dir();
        let inside = |root: &Path| is_inside(&folder, root);
        let foreign = configured && !inside(repo.common_dir()) && !repo.root().is_some_and(inside);
        let hook = folder.join(args.kind.name());
        let mut kept = hook.clone().into_os_string();
        kept.push(KEPT);
        Ok(Self { hook, kept: PathBuf::from(kept), foreign })
    }
}

/// Whether a folder, which need not be there yet, lies in another one.
fn is_inside(folder: &Path, root: &Path) -> bool {
    let Ok(root) = root.canonicalize() else { return false };
    let there = folder.ancestors().find_map(|above| above.canonicalize().ok());
    there.is_some_and(|there| there.starts_with(root))
}

fn install(global: &Global, args: &InstallArgs) -> Result<ExitCode, CliError> {
    let place = Place::find(&args.hook)?;
    if place.foreign && !args.shared {
        return Err(CliError::usage(format!(
            "core.hooksPath names {}, which other repositories share; use --shared to install it for all of them",
            place.hook.parent().unwrap_or(&place.hook).display()
        )));
    }
    let folder = place.hook.parent().unwrap_or(Path::new("."));
    crate::files::public_dir(folder).map_err(|error| CliError::io(folder, error))?;
    let kept = match state(&place.hook)? {
        State::Ours | State::Absent => place.kept.exists(),
        State::Other if place.kept.exists() => {
            return Err(CliError::usage(format!(
                "{} is not ours and {} is there already; put one of them away",
                place.hook.display(),
                place.kept.display()
            )));
        }
        State::Other => {
            fs::rename(&place.hook, &place.kept).map_err(|error| CliError::io(&place.hook, error))?;
            true
        }
    };
    let program = std::env::current_exe().map_err(CliError::other)?;
    let config = match &args.config {
        Some(path) => Some(readable_config(path)?),
        None => None,
    };
    let text = script(args.hook.kind, &program, config.as_deref());
    let before = fs::read(&place.hook).ok();
    let same = before.as_deref() == Some(text.as_bytes()) && is_executable(&place.hook);
    crate::files::replace_program(&place.hook, text.as_bytes())
        .map_err(|error| CliError::io(&place.hook, error))?;
    if global.json {
        output::json(&serde_json::json!({
            "installed": place.hook,
            "already": same,
            "chained": kept.then_some(&place.kept),
        }))?;
    } else {
        let word = match before {
            _ if same => "already installed:",
            Some(_) => "installed anew, another version of it was there:",
            None => "installed",
        };
        output::line(format!("{word} {}", place.hook.display()))?;
        if kept {
            output::line(format!("the hook that was there runs first: {}", place.kept.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The whole path of a configuration that can be used: a hook that fails for it would refuse everything.
fn readable_config(path: &Path) -> Result<PathBuf, CliError> {
    crate::scan::Config::read(path).map_err(|error| CliError::usage(error.to_string()))?;
    path.canonicalize().map_err(|error| CliError::io(path, error))
}

fn remove(global: &Global, args: &HookArgs) -> Result<ExitCode, CliError> {
    let place = Place::find(args)?;
    let removed = match state(&place.hook)? {
        State::Absent => false,
        State::Other => {
            return Err(CliError::usage(format!("{} is not ours, so it stays", place.hook.display())));
        }
        State::Ours => {
            let restored = if place.kept.exists() {
                fs::rename(&place.kept, &place.hook)
            } else {
                fs::remove_file(&place.hook)
            };
            restored.map_err(|error| CliError::io(&place.hook, error))?;
            true
        }
    };
    if global.json {
        output::json(&serde_json::json!({ "removed": removed }))?;
    } else if removed {
        output::line(format!("removed {}", place.hook.display()))?;
    } else {
        output::line(format!("{}: not installed, so nothing was removed", place.hook.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn status(global: &Global, args: &HookArgs) -> Result<ExitCode, CliError> {
    let place = Place::find(args)?;
    let state = state(&place.hook)?;
    let runs = state == State::Ours && is_executable(&place.hook);
    let chained = place.kept.exists();
    if global.json {
        output::json(&serde_json::json!({
            "hook": place.hook,
            "installed": state == State::Ours,
            "executable": is_executable(&place.hook),
            "chained": chained.then_some(&place.kept),
        }))?;
    } else {
        let word = match (state, runs) {
            (State::Ours, true) => "installed",
            (State::Ours, false) => "installed, but git does not run it: it is not executable",
            (State::Other, _) => "not installed; another hook is there",
            (State::Absent, _) => "not installed",
        };
        output::line(format!("{}: {word}", place.hook.display()))?;
        if chained && state == State::Ours {
            output::line(format!("runs first: {}", place.kept.display()))?;
        }
    }
    Ok(if runs { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Absent,
    Ours,
    Other,
}

fn state(hook: &Path) -> Result<State, CliError> {
    let meta = match fs::symlink_metadata(hook) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(State::Absent),
        Err(error) => return Err(CliError::io(hook, error)),
    };
    if !meta.is_file() || meta.len() > HOOK_BYTES_MAX {
        return Ok(State::Other);
    }
    let bytes = fs::read(hook).map_err(|error| CliError::io(hook, error))?;
    let ours = memchr::memmem::find(&bytes, MARK.as_bytes()).is_some();
    Ok(if ours { State::Ours } else { State::Other })
}

/// The hooks of ours that git runs in a repository, by name. One that cannot be looked at is none.
pub fn installed(repo: &Repo) -> Vec<&'static str> {
    let (folder, _) = repo.hooks_dir();
    let kinds = [Kind::PreCommit, Kind::CommitMsg, Kind::PreReceive].into_iter();
    let runs = |kind: &Kind| {
        let hook = folder.join(kind.name());
        matches!(state(&hook), Ok(State::Ours)) && is_executable(&hook)
    };
    kinds.filter(runs).map(Kind::name).collect()
}

fn is_executable(hook: &Path) -> bool {
    fs::metadata(hook).is_ok_and(|meta| meta.permissions().mode() & 0o111 != 0)
}

/// A hook that fails closed: without the program, nothing is committed.
fn script(kind: Kind, program: &Path, config: Option<&Path>) -> String {
    let name = kind.name();
    let mut command = kind.command().to_owned();
    if let Some(config) = config {
        command.push_str(" --config ");
        command.push_str(&quoted(config));
    }
    let program = quoted(program);
    // A pre-receive hook reads the updates from standard input, and the hook before it wants them as well.
    let (read, feed) = match kind {
        Kind::PreReceive => ("updates=$(cat) || exit 2\n", "printf '%s\\n' \"$updates\" | "),
        _ => ("", ""),
    };
    format!(
        "#!/bin/sh\n{MARK}\n# Scans for secrets. `actifix hook remove` takes it away.\n{read}\
         before=\"$(dirname \"$0\")/{name}{KEPT}\"\n\
         if [ -x \"$before\" ]; then\n  {feed}\"$before\" \"$@\" || exit $?\nfi\n\
         actifix={program}\n\
         [ -x \"$actifix\" ] || actifix=$(command -v actifix) || {{\n  \
         echo 'error: actifix is gone, so nothing was scanned; install it or run: git commit --no-verify' >&2\n  exit 2\n}}\n\
         {feed}\"$actifix\" {command}\n"
    )
}

/// A word for the shell, whatever is in it.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}
