//! `actifix scan`: secrets in files, in what is staged, in histories and in streams. Exit 0: clean, 1: findings, 2: the
//! scan is not complete.

mod tell;

use super::{CliError, Global, exit, output};
use crate::config::environment;
use crate::scan::git::{Extent, GitError, Repo, file_in_head, scan_history, scan_staged};
use crate::scan::{
    Baseline, Batch, CONFIG_NAME, Config, Format, Place, Progress, Scanner, Trees, View, printable,
    scan_reader, scan_trees, write,
};
use clap::{Args, Subcommand};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tell::{explain, tell};

/// Bytes of a commit message that are read; git itself cuts nobody off, people stop earlier.
const MESSAGE_BYTES_MAX: u64 = 16 << 20;
/// Bytes of ref updates on standard input.
const UPDATES_BYTES_MAX: u64 = 64 << 20;
/// More threads than this bring nothing.
const THREADS_MAX: usize = 64;
/// Below this line of a commit message git shows the change itself.
const SCISSORS: &str = "# ------------------------ >8 ------------------------";
/// Switched-off things that are named one by one.
const OFF_SHOWN: usize = 20;

/// Look for secrets in files, commits and histories.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Exit: 0 nothing found, 1 secrets found, 2 the scan could not be completed.\n\nExamples:\n  actifix scan                              this folder, without what .gitignore names\n  actifix scan --staged                     what the next commit adds\n  actifix scan --history                    all commits of this repository\n  actifix scan --history main..HEAD --format sarif > scan.sarif\n  git log -p | actifix scan --stdin\n  actifix scan baseline && actifix scan --baseline .actifix-baseline.json\n\n--history remembers in actifix/scanned.json below the .git folder which commits it has read, and where something was\nfound: the next scan with the same rules reads what is new, and tells the same. --anew reads everything again."
)]
pub struct ScanArgs {
    #[command(subcommand)]
    command: Option<ScanCommand>,
    #[command(flatten)]
    what: WhatArgs,
    #[command(flatten)]
    how: HowArgs,
    /// How findings are printed.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Accept the findings in this file; entries that are not needed any more are told.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Also print what could have been a secret, and why it is none.
    #[arg(long)]
    explain: bool,
    /// Print findings only.
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum ScanCommand {
    /// Accept all that is found now: write it to a file for `--baseline`.
    Baseline(BaselineArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  actifix scan baseline --history --output known.json")]
struct BaselineArgs {
    #[command(flatten)]
    what: WhatArgs,
    #[command(flatten)]
    how: HowArgs,
    /// Where to write it. An existing file is replaced.
    #[arg(long, short, value_name = "FILE", default_value = ".actifix-baseline.json")]
    output: PathBuf,
}

/// What is scanned. Without any of the flags: files.
#[derive(Debug, Args)]
struct WhatArgs {
    /// Files and folders; with `--history` or `--staged` the repository.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// What the next commit adds: the index, not the files.
    #[arg(long, group = "what")]
    staged: bool,
    /// All commits, or those of a range such as `main..HEAD`.
    #[arg(long, group = "what", value_name = "RANGE", num_args = 0..=1, require_equals = false)]
    history: Option<Option<String>>,
    /// The commits after this one.
    #[arg(long, group = "what", value_name = "REV")]
    since_commit: Option<String>,
    /// Standard input.
    #[arg(long, group = "what")]
    stdin: bool,
    /// A commit message, as git gives it to a `commit-msg` hook.
    #[arg(long, group = "what", value_name = "FILE")]
    commit_msg: Option<PathBuf>,
    /// What a push brings, as git gives it to a `pre-receive` hook. Markers and configuration in it do not count.
    #[arg(long, group = "what")]
    pre_receive: bool,
    /// Also files that .gitignore names.
    #[arg(long)]
    no_ignore: bool,
    /// With `--history`: also read what a former scan has read.
    #[arg(long)]
    anew: bool,
}

/// How it is scanned.
#[derive(Debug, Args)]
struct HowArgs {
    /// Own rules and exceptions; default: `.actifix-scan.toml` in the root of the repository.
    #[arg(long, value_name = "FILE", conflicts_with = "no_config")]
    config: Option<PathBuf>,
    /// Read no configuration from the scanned tree.
    #[arg(long)]
    no_config: bool,
    /// Also report tokens whose checksum is wrong, as low.
    #[arg(long)]
    strict: bool,
    /// Also honour the markers of other scanners, such as `gitleaks:allow`.
    #[arg(long)]
    foreign_markers: bool,
    /// Threads; default: one per core.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Runs the command.
pub fn run(global: &Global, args: ScanArgs) -> Result<ExitCode, CliError> {
    if let Some(ScanCommand::Baseline(args)) = args.command {
        return write_baseline(&args);
    }
    let format = args.format.unwrap_or(if global.json { Format::Json } else { Format::Text });
    let (mut batch, scanner) = scan(&args.what, &args.how, args.explain, args.quiet)?;
    let baseline = args.baseline.or_else(|| scanner.config().baseline.clone());
    let unused = match baseline {
        Some(path) => {
            let baseline = Baseline::read(&path).map_err(CliError::usage)?;
            let whole = args.what.is_whole() && batch.totals.unread == 0;
            baseline.apply(&mut batch, whole)
        }
        None => Vec::new(),
    };
    let colours = console::colors_enabled();
    let report = write(format, &batch, scanner.config(), &unused, colours).map_err(failed)?;
    output::raw(report.as_bytes())?;
    if args.explain && !args.quiet {
        explain(&batch, scanner.config(), format);
    }
    tell(&batch, &unused, &args.what, format, args.quiet);
    Ok(code(&batch))
}

/// Scans and says what is found in a file instead of on the screen.
fn write_baseline(args: &BaselineArgs) -> Result<ExitCode, CliError> {
    let (batch, _) = scan(&args.what, &args.how, false, false)?;
    if batch.totals.unread > 0 || batch.totals.hits_more > 0 {
        tell(&batch, &[], &args.what, Format::Text, false);
        return Err(failed("the scan is not complete, so no baseline was written"));
    }
    let baseline = Baseline::of(&batch.hits);
    let text = baseline.to_text().map_err(failed)?;
    crate::files::replace_public(&args.output, text.as_bytes())
        .map_err(|error| failed(format!("{}: {error}", args.output.display())))?;
    output::line(format!(
        "{}: {} accepted",
        args.output.display(),
        output::plural(baseline.len() as u64, "finding", "findings")
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn scan(what: &WhatArgs, how: &HowArgs, explain: bool, quiet: bool) -> Result<(Batch, Scanner), CliError> {
    let threads = threads(how);
    let wants_repo = what.staged || what.pre_receive || what.history.is_some() || what.since_commit.is_some();
    let (folder, range) = what.place()?;
    let repo = if wants_repo { Some(open_repo(&folder)?) } else { None };
    let root = match &repo {
        Some(repo) => repo.root().map(Path::to_owned),
        None => Some(root_of(&folder)),
    };
    let config = config(how, what, root.as_deref())?;
    let mut scanner = Scanner::new(config);
    scanner.explain = explain;
    scanner.strict = how.strict;
    scanner.foreign_markers = how.foreign_markers;
    scanner.markers = !what.pre_receive;
    let progress = if quiet || what.staged { Progress::hidden() } else { Progress::on_terminal() };
    let mut batch = match &repo {
        Some(repo) if what.staged => {
            let mut batch = scan_staged(repo, &scanner, threads).map_err(git)?;
            if how.config.is_none() {
                tell_switched_off(repo, scanner.config(), &mut batch);
            }
            batch
        }
        Some(repo) => {
            let extent = what.extent(range)?;
            scan_history(repo, &scanner, &extent, what.anew, threads, &progress).map_err(git)?
        }
        None if what.stdin => scan_stdin(&scanner)?,
        None => match &what.commit_msg {
            Some(path) => scan_message(&scanner, path)?,
            None => scan_trees(&scanner, &trees(what, root.unwrap_or_default(), threads)?, &progress),
        },
    };
    drop(progress);
    batch.settle();
    Ok((batch, scanner))
}

impl WhatArgs {
    /// The folder that decides about repository and configuration, and the range if `--history` has one.
    fn place(&self) -> Result<(PathBuf, Option<String>), CliError> {
        let mut range = self.history.clone().flatten();
        let mut folder = self.paths.first().cloned();
        if self.paths.len() > 1 && (self.staged || self.history.is_some()) {
            return Err(CliError::usage("one repository at a time: give one PATH"));
        }
        // `--history FOLDER`: a folder is no revision. `../shop` is a folder although it has the dots of a range.
        let is_folder = |range: &mut String| {
            (range.starts_with(['.', '/']) || !range.contains("..")) && Path::new(range.as_str()).is_dir()
        };
        if folder.is_none()
            && let Some(path) = range.take_if(is_folder)
        {
            folder = Some(PathBuf::from(path));
        }
        Ok((folder.unwrap_or_else(|| PathBuf::from(".")), range))
    }

    fn extent(&self, range: Option<String>) -> Result<Extent, CliError> {
        if self.pre_receive {
            return Ok(Extent::Push(read_stdin_text()?));
        }
        if let Some(revision) = &self.since_commit {
            return Ok(Extent::Range(format!("{revision}..HEAD")));
        }
        Ok(range.map_or(Extent::All, Extent::Range))
    }

    /// Whether the scan sees all that a baseline could speak of.
    fn is_whole(&self) -> bool {
        let part = self.staged || self.stdin || self.pre_receive || self.since_commit.is_some();
        let ranged = matches!(self.history, Some(Some(_)));
        !part && !ranged && self.commit_msg.is_none() && self.paths.is_empty()
    }
}

fn open_repo(folder: &Path) -> Result<Repo, CliError> {
    let repo = Repo::discover(folder).map_err(git)?;
    // What git names in the environment is meant for the repository that it names as well.
    let mut folders: Vec<PathBuf> =
        environment("GIT_OBJECT_DIRECTORY").map(PathBuf::from).into_iter().collect();
    folders.extend(environment("GIT_ALTERNATE_OBJECT_DIRECTORIES").iter().flat_map(|list| alternates(list)));
    // As for git, a folder that is not there has no objects; what is missed is reported.
    folders.retain(|folder| folder.is_dir());
    repo.with_objects_in(folders).map_err(git)
}

/// Paths with colons between them; one in double quotes has escapes as in C.
fn alternates(list: &str) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut rest = list;
    while !rest.is_empty() {
        let Some(quoted) = rest.strip_prefix('"') else {
            let (path, tail) = rest.split_once(':').unwrap_or((rest, ""));
            if !path.is_empty() {
                paths.push(PathBuf::from(path));
            }
            rest = tail;
            continue;
        };
        let (mut path, mut chars) = (String::new(), quoted.chars());
        while let Some(character) = chars.next().filter(|character| *character != '"') {
            let escaped = if character == '\\' { chars.next() } else { Some(character) };
            path.extend(escaped);
        }
        paths.push(PathBuf::from(path));
        rest = chars.as_str().trim_start_matches(':');
    }
    paths
}

/// A configuration that comes with the commit which it excuses is told: whoever reads the hook's output must know.
fn tell_switched_off(repo: &Repo, config: &Config, batch: &mut Batch) {
    if config.off().is_empty() {
        return;
    }
    let committed = match file_in_head(repo, CONFIG_NAME) {
        Ok(text) => text.and_then(|text| String::from_utf8(text).ok()),
        Err(error) => return batch.note(error.to_string()),
    };
    // One that cannot be read has switched nothing off.
    let before = committed.and_then(|text| Config::parse(Path::new(CONFIG_NAME), text).ok());
    let before = before.as_ref().map(Config::off).unwrap_or_default();
    let new: Vec<&str> =
        config.off().iter().filter(|phrase| !before.contains(phrase)).map(String::as_str).collect();
    if !new.is_empty() {
        let (shown, more) = new.split_at(new.len().min(OFF_SHOWN));
        let more = if more.is_empty() { String::new() } else { format!("; and {} more", more.len()) };
        batch.note(format!(
            "{CONFIG_NAME} is not committed like this yet, and switches off: {}{more}",
            printable(shown.join("; ").as_bytes())
        ));
    }
}

/// The nearest folder above that git works in, else the current one.
fn root_of(folder: &Path) -> PathBuf {
    let Ok(full) = folder.canonicalize() else { return PathBuf::from(".") };
    let git = full.ancestors().find(|above| above.join(".git").exists());
    git.map(Path::to_owned).or_else(|| Path::new(".").canonicalize().ok()).unwrap_or(full)
}

fn config(how: &HowArgs, what: &WhatArgs, root: Option<&Path>) -> Result<Config, CliError> {
    if let Some(path) = &how.config {
        return Config::read(path).map_err(failed);
    }
    // Whoever pushes must not decide what is found.
    if how.no_config || what.pre_receive {
        return Ok(Config::builtin());
    }
    match root.map(|root| root.join(CONFIG_NAME)).filter(|path| path.is_file()) {
        Some(path) => Config::read(&path).map_err(failed),
        None => Ok(Config::builtin()),
    }
}

fn trees(what: &WhatArgs, root: PathBuf, threads: usize) -> Result<Trees, CliError> {
    let mut paths = Vec::new();
    let here = [PathBuf::from(".")];
    let asked = if what.paths.is_empty() { &here[..] } else { &what.paths };
    for path in asked {
        let full = path.canonicalize().map_err(|error| failed(format!("{}: {error}", path.display())))?;
        paths.push(full);
    }
    let mut tracked = Vec::new();
    if !what.no_ignore && root.join(".git").exists() {
        match Repo::discover(&root).and_then(|repo| repo.tracked()) {
            Ok(files) => tracked = files,
            Err(error) => {
                output::note(format!("warning: files that are tracked but ignored are not scanned: {error}"))
            }
        }
    }
    Ok(Trees { paths, root, no_ignore: what.no_ignore, threads, tracked })
}

fn scan_stdin(scanner: &Scanner) -> Result<Batch, CliError> {
    let place = Place { path: Arc::from(&b"<stdin>"[..]), commit: None };
    let (mut buffer, mut batch) = (Vec::new(), Batch::default());
    scan_reader(scanner, &place, std::io::stdin().lock(), &mut buffer, &mut batch)
        .map_err(|error| failed(format!("standard input: {error}")))?;
    Ok(batch)
}

fn scan_message(scanner: &Scanner, path: &Path) -> Result<Batch, CliError> {
    let fail = |error: std::io::Error| failed(format!("{}: {error}", path.display()));
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(fail)?;
    file.take(MESSAGE_BYTES_MAX).read_to_end(&mut text).map_err(fail)?;
    let end = text.windows(SCISSORS.len()).position(|part| part == SCISSORS.as_bytes());
    text.truncate(end.unwrap_or(text.len()));
    let place = Place { path: Arc::from(path.as_os_str().as_encoded_bytes()), commit: None };
    let mut batch = Batch::default();
    scanner.text(&place, &text, &View::whole(&text), &mut batch);
    batch.totals.files = 1;
    Ok(batch)
}

fn read_stdin_text() -> Result<String, CliError> {
    let mut text = String::new();
    let mut stdin = std::io::stdin().lock().take(UPDATES_BYTES_MAX + 1);
    stdin.read_to_string(&mut text).map_err(|error| failed(format!("standard input: {error}")))?;
    if text.len() as u64 > UPDATES_BYTES_MAX {
        return Err(failed(format!("more than {UPDATES_BYTES_MAX} bytes of updates")));
    }
    Ok(text)
}

fn threads(how: &HowArgs) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    how.threads.unwrap_or_else(cores).clamp(1, THREADS_MAX)
}

fn code(batch: &Batch) -> ExitCode {
    if !batch.hits.is_empty() || batch.totals.hits_more > 0 {
        return ExitCode::from(1);
    }
    if batch.totals.unread > 0 { ExitCode::from(exit::USAGE) } else { ExitCode::SUCCESS }
}

/// Every failure of a scan is 2: a hook tells findings from failures by it.
fn failed(error: impl std::fmt::Display) -> CliError {
    CliError::usage(error.to_string())
}

fn git(error: GitError) -> CliError {
    failed(error)
}
