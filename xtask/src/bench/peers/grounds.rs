//! What the scanners look at. It is made once, kept under `target`, and the same on every machine but for the tree.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process;
use crate::workspace::Workspace;

/// Commits and new bytes per commit of the generated history: about 300 MB in all.
const COMMITS: usize = 5_000;
const COMMIT_BYTES: usize = 60_000;
/// Files that these commits change in turn.
const FILES: usize = 400;
/// Files of the large staged change, and their size.
const MANY_FILES: usize = 1_000;
const MANY_BYTES: usize = 4_000;
/// Lines of the small staged change.
const SMALL_LINES: usize = 8;
/// Bytes of the tree: more say nothing new.
const TREE_BYTES_MAX: u64 = 150 << 20;
/// Folders in folders.
const DEPTH_MAX: usize = 32;
/// Written last: what is half made is made again.
const STAMP: &str = "made";

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Sources of the crates that we depend on, many authors and languages.
    Tree,
    /// A repository with a long history and eight staged lines.
    History,
    /// A repository with a thousand staged files.
    Many,
}

/// All of them.
pub struct Grounds {
    root: PathBuf,
}

impl Grounds {
    /// Makes what is not there.
    pub fn get(workspace: &Workspace) -> Result<Self> {
        let grounds = Self { root: workspace.path("target/bench-scan") };
        grounds.once(Place::Tree, |folder| copy_tree(workspace, folder))?;
        grounds.once(Place::History, make_history)?;
        grounds.once(Place::Many, make_many)?;
        fs::write(grounds.small_change(), small_change())?;
        Ok(grounds)
    }

    pub fn folder(&self, place: Place) -> PathBuf {
        self.root.join(match place {
            Place::Tree => "tree",
            Place::History => "history",
            Place::Many => "many",
        })
    }

    /// The eight lines as a file, for standard input.
    pub fn small_change(&self) -> PathBuf {
        self.root.join("eight-lines")
    }

    /// What the figures were measured on.
    pub fn describe(&self) -> Result<String> {
        let mut tree = Size::default();
        tree.add(&self.folder(Place::Tree), 0)?;
        let mut pack = Size::default();
        pack.add(&self.folder(Place::History).join(".git/objects/pack"), 0)?;
        Ok(format!(
            "tree: {} files, {} MB; history: {COMMITS} commits of {COMMIT_BYTES} bytes, packs of {} MB",
            tree.files,
            tree.bytes >> 20,
            pack.bytes >> 20
        ))
    }

    /// Fills the folder of a place unless that was done.
    fn once(&self, place: Place, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let folder = self.folder(place);
        let stamp = self.root.join(format!("{}-{STAMP}", folder.file_name().unwrap_or_default().display()));
        if stamp.exists() {
            return Ok(());
        }
        println!("  making {}", folder.display());
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot clear {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        make(&folder)?;
        fs::write(stamp, "").context("cannot record what was made")
    }
}

/// Files and bytes below a folder.
#[derive(Default)]
struct Size {
    files: u64,
    bytes: u64,
}

impl Size {
    fn add(&mut self, folder: &Path, depth: usize) -> Result<()> {
        if depth > DEPTH_MAX {
            bail!("{}: nested too deep", folder.display());
        }
        for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let entry = entry?;
            let meta = entry.metadata()?;
            if meta.is_dir() {
                self.add(&entry.path(), depth + 1)?;
            } else {
                self.files += 1;
                self.bytes += meta.len();
            }
        }
        Ok(())
    }
}

/// Copies the sources of crates in the order of the lock file, until there are enough.
///
/// What tells a scanner to leave files out is not copied, so that all of them read the same as `cat`.
fn copy_tree(workspace: &Workspace, to: &Path) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace.root()).args(["metadata", "--format-version", "1", "--locked"]);
    let metadata: Value = serde_json::from_str(&process::output(&mut command)?)?;
    let packages = metadata.get("packages").and_then(Value::as_array).context("cargo names no packages")?;
    let text = |package: &Value, field: &str| package.get(field).and_then(Value::as_str).map(str::to_owned);
    let mut left = TREE_BYTES_MAX;
    for package in packages.iter().filter(|package| text(package, "source").is_some()) {
        let (Some(name), Some(manifest)) = (text(package, "id"), text(package, "manifest_path")) else {
            continue;
        };
        let Some(from) = Path::new(&manifest).parent() else { continue };
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        copy(from, &to.join(name), &mut left, 0)?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path, left: &mut u64, depth: usize) -> Result<()> {
    const LEFT_OUT: &[&str] = &[".gitignore", ".ignore", ".gitattributes", ".gitleaksignore", ".git"];
    if depth > DEPTH_MAX {
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let entry = entry?;
        let (kind, name) = (entry.file_type()?, entry.file_name());
        if name.to_str().is_none_or(|name| LEFT_OUT.contains(&name)) {
            continue;
        }
        let target = to.join(&name);
        if kind.is_dir() {
            copy(&entry.path(), &target, left, depth + 1)?;
        } else if kind.is_file() {
            let Some(rest) = left.checked_sub(entry.metadata()?.len()) else { continue };
            *left = rest;
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn git(folder: &Path, arguments: &[&str]) -> Result<()> {
    process::run(Command::new("git").current_dir(folder).args(arguments))
}

/// A repository whose commits come from `git fast-import`.
fn make_history(folder: &Path) -> Result<()> {
    git(folder, &["init", "--quiet", "--initial-branch", "main"])?;
    let stream = folder.with_file_name("stream");
    write_stream(&stream)?;
    let import = Command::new("git")
        .current_dir(folder)
        .args(["fast-import", "--quiet"])
        .stdin(fs::File::open(&stream)?)
        .status()
        .context("cannot start git")?;
    if !import.success() {
        bail!("git fast-import failed ({import})");
    }
    fs::remove_file(&stream)?;
    git(folder, &["reset", "--quiet", "--hard"])?;
    git(folder, &["repack", "-adq", "--threads=2"])?;
    let file = folder.join("src/file000.txt");
    let text = fs::read_to_string(&file)? + &small_change();
    fs::write(&file, text)?;
    git(folder, &["add", "src/file000.txt"])
}

/// A repository in which every file has one changed line.
fn make_many(folder: &Path) -> Result<()> {
    git(folder, &["init", "--quiet", "--initial-branch", "main"])?;
    let mut words = Words(7);
    let mut texts = Vec::new();
    for number in 0..MANY_FILES {
        let mut text = String::new();
        while text.len() < MANY_BYTES {
            words.line(&mut text)?;
        }
        let file = folder.join(format!("src/part{:02}/file{number:04}.txt", number % 50));
        fs::create_dir_all(file.parent().context("a file without a folder")?)?;
        fs::write(&file, &text)?;
        texts.push((file, text));
    }
    git(folder, &["add", "."])?;
    let who = ["-c", "user.name=bench", "-c", "user.email=bench@example.com"];
    git(folder, &[&who[..], &["commit", "--quiet", "--message", "first"]].concat())?;
    for (file, mut text) in texts {
        words.line(&mut text)?;
        fs::write(&file, &text)?;
    }
    git(folder, &["add", "."])
}

fn small_change() -> String {
    let mut text = String::new();
    for line in 0..SMALL_LINES {
        let _infallible = writeln!(text, "    let changed_{line} = lookup(\"line {line}\")?;");
    }
    text
}

/// Words of a fixed pseudo-random sequence.
struct Words(u64);

impl Words {
    fn line(&mut self, text: &mut String) -> Result<()> {
        for _ in 0..8 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            write!(text, "word{:x} ", self.0 >> 33)?;
        }
        text.push('\n');
        Ok(())
    }
}

/// The history as `git fast-import` reads it: half of each file is new.
fn write_stream(path: &Path) -> Result<()> {
    let mut out = std::io::BufWriter::new(fs::File::create(path)?);
    let mut words = Words(0x2026_1124);
    let mut files: Vec<String> = vec![String::new(); FILES];
    for commit in 0..COMMITS {
        let name = commit % FILES;
        let Some(text) = files.get_mut(name) else { continue };
        let kept = text.floor_char_boundary(text.len() / 2);
        text.truncate(kept);
        while text.len() < COMMIT_BYTES {
            words.line(text)?;
        }
        let message = format!("commit {commit}");
        writeln!(out, "commit refs/heads/main")?;
        writeln!(out, "committer bench <bench@example.com> {} +0000", 1_790_000_000 + commit)?;
        writeln!(out, "data {}\n{message}", message.len())?;
        writeln!(out, "M 100644 inline src/file{name:03}.txt\ndata {}\n{text}", text.len())?;
    }
    out.flush()?;
    Ok(())
}
