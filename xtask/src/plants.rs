//! `cargo xtask plants`: plants known bugs into a copy of the sources and shows that the tests see each of them.
//!
//! The bugs stand in `xtask/plants/*.toml`. Most are planted one at a time and built each; those of a file that says
//! `guarded = true` are built in together, each asleep until the variable `PLANT` names it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;
use toml::Table;

use crate::process;
use crate::workspace::Workspace;

/// What nextest answers when tests failed, as opposed to a build that did.
const TESTS_FAILED: i32 = 100;

#[derive(Debug, Args)]
pub struct PlantsArguments {
    /// Only the bugs of this file, without `.toml`
    #[arg(long)]
    only: Option<String>,
    /// Only bugs whose description or name contains this
    #[arg(long)]
    like: Option<String>,
}

/// A change of one file.
struct Edit {
    file: String,
    old: String,
    new: String,
}

/// What became of a planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Red,
    Green,
    NotBuilt,
    NotPlanted,
}

/// Plants and tests; fails when a bug went unseen.
pub fn run(workspace: &Workspace, arguments: &PlantsArguments) -> Result<()> {
    let field = Field::prepare(workspace)?;
    let mut results = Vec::new();
    for (name, table) in groups(workspace, arguments.only.as_deref())? {
        println!("==> {name}");
        let like = |what: &str| arguments.like.as_deref().is_none_or(|part| what.contains(part));
        let guarded = table.get("guarded").and_then(toml::Value::as_bool).unwrap_or(false);
        results.extend(if guarded { field.guarded(&table, like)? } else { field.each(&table, like)? });
    }
    let count = |seen: Seen| results.iter().filter(|result| **result == seen).count();
    println!(
        "{} planted: {} seen by the tests, {} not seen, {} did not build, {} have no place in the sources any more",
        results.len(),
        count(Seen::Red),
        count(Seen::Green),
        count(Seen::NotBuilt),
        count(Seen::NotPlanted)
    );
    if count(Seen::Red) != results.len() {
        bail!("not every planted bug was seen");
    }
    Ok(())
}

fn groups(workspace: &Workspace, only: Option<&str>) -> Result<Vec<(String, Table)>> {
    let mut groups = Vec::new();
    let folder = workspace.path("xtask/plants");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if only.is_none_or(|only| only == name) {
            let text = fs::read_to_string(&path)?;
            groups.push((name, text.parse().with_context(|| format!("{}", path.display()))?));
        }
    }
    if groups.is_empty() {
        bail!("no file of planted bugs has that name in {}", folder.display());
    }
    Ok(groups)
}

/// The copy that bugs are planted in: what is committed, so that nothing of the working tree is touched.
struct Field {
    tree: PathBuf,
    target: PathBuf,
}

impl Field {
    fn prepare(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.path("target/plants");
        let field = Self { tree: folder.join("tree"), target: folder.join("target") };
        if field.tree.exists() {
            fs::remove_dir_all(&field.tree)?;
        }
        fs::create_dir_all(&folder)?;
        let mut clone = Command::new("git");
        clone.args(["clone", "--quiet", "--no-hardlinks"]).arg(workspace.path(".")).arg(&field.tree);
        process::run(&mut clone)?;
        // The programs that tests run are installed already.
        let tools = workspace.path("target/test-tools");
        fs::create_dir_all(field.tree.join("target"))?;
        if tools.exists() {
            std::os::unix::fs::symlink(tools, field.tree.join("target/test-tools"))?;
        }
        Ok(field)
    }

    fn each(&self, table: &Table, like: impl Fn(&str) -> bool) -> Result<Vec<Seen>> {
        let mut results = Vec::new();
        for plant in tables(table, "plant") {
            let what = text(plant, "what");
            if !like(&what) {
                continue;
            }
            let before = self.plant(&[edit(plant)])?;
            let seen = match before {
                Some(_) if plant.contains_key("faults") => self.faults(&text(plant, "faults"))?,
                Some(_) => self.test(&words(plant), None)?,
                None => Seen::NotPlanted,
            };
            self.take_back(before.unwrap_or_default())?;
            println!("{seen:?}: {what}");
            results.push(seen);
        }
        Ok(results)
    }

    fn guarded(&self, table: &Table, like: impl Fn(&str) -> bool) -> Result<Vec<Seen>> {
        let edits: Vec<Edit> = tables(table, "edit").map(edit).collect();
        let Some(before) = self.plant(&edits)? else { return Ok(vec![Seen::NotPlanted]) };
        let mut results = Vec::new();
        for check in tables(table, "check") {
            let name = text(check, "plant");
            if !like(&name) {
                continue;
            }
            // Asleep it must disturb nobody: else red would prove nothing.
            let asleep = self.test(&words(check), None)?;
            let seen = match asleep {
                Seen::Green => self.test(&words(check), Some(&name))?,
                other => other,
            };
            let seen = if asleep == Seen::Red { Seen::NotBuilt } else { seen };
            println!("{seen:?}: {name}, by {}", words(check).join(" "));
            results.push(seen);
        }
        self.take_back(before)?;
        Ok(results)
    }

    /// Makes the changes, all or none; what the files held before.
    fn plant(&self, edits: &[Edit]) -> Result<Option<Vec<(PathBuf, String)>>> {
        let mut before: Vec<(PathBuf, String)> = Vec::new();
        for edit in edits {
            let path = self.tree.join(&edit.file);
            let source = fs::read_to_string(&path).unwrap_or_default();
            if !source.contains(&edit.old) {
                println!("not in {}: {}", edit.file, edit.old.lines().next().unwrap_or_default());
                self.take_back(before)?;
                return Ok(None);
            }
            fs::write(&path, source.replacen(&edit.old, &edit.new, 1))?;
            before.push((path, source));
        }
        Ok(Some(before))
    }

    fn take_back(&self, before: Vec<(PathBuf, String)>) -> Result<()> {
        // The first copy of a file that was changed twice is the one that was there.
        for (path, source) in before.into_iter().rev() {
            fs::write(path, source)?;
        }
        Ok(())
    }

    fn test(&self, words: &[String], plant: Option<&str>) -> Result<Seen> {
        let mut command = Command::new("cargo");
        command.args(["nextest", "run", "--no-fail-fast"]).args(words).current_dir(&self.tree);
        command.env("CARGO_TARGET_DIR", &self.target).env_remove("PLANT");
        if let Some(plant) = plant {
            command.env("PLANT", plant);
        }
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        Ok(match status.code() {
            Some(0) => Seen::Green,
            Some(TESTS_FAILED) => Seen::Red,
            _ => Seen::NotBuilt,
        })
    }
}

impl Field {
    /// Runs a scenario of `cargo xtask faults` in its short form.
    fn faults(&self, name: &str) -> Result<Seen> {
        let cargo = |arguments: &[&str]| {
            let mut command = Command::new("cargo");
            command.args(arguments).current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.target);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()
        };
        if !cargo(&["build", "--workspace", "--bins"])?.success() {
            return Ok(Seen::NotBuilt);
        }
        let done = cargo(&["run", "-p", "xtask", "--", "faults", "--quick", "--only", name])?;
        Ok(if done.success() { Seen::Green } else { Seen::Red })
    }
}

fn tables<'t>(table: &'t Table, name: &str) -> impl Iterator<Item = &'t Table> {
    table.get(name).and_then(toml::Value::as_array).into_iter().flatten().filter_map(toml::Value::as_table)
}

fn text(table: &Table, name: &str) -> String {
    table.get(name).and_then(toml::Value::as_str).unwrap_or_default().to_owned()
}

fn edit(table: &Table) -> Edit {
    Edit { file: text(table, "file"), old: text(table, "old"), new: text(table, "new") }
}

/// The words behind `cargo nextest run`.
fn words(table: &Table) -> Vec<String> {
    let list = table.get("run").and_then(toml::Value::as_array).into_iter().flatten();
    list.filter_map(toml::Value::as_str).map(str::to_owned).collect()
}

/// Every planted bug still has its place in the sources: a plant that rots proves nothing.
#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn planted_bugs_have_a_place_in_the_sources() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut count = 0;
        for entry in fs::read_dir(root.join("xtask/plants")).unwrap() {
            let table: Table = fs::read_to_string(entry.unwrap().path()).unwrap().parse().unwrap();
            for plant in tables(&table, "plant").chain(tables(&table, "edit")) {
                let edit = edit(plant);
                let source = fs::read_to_string(root.join(&edit.file)).unwrap_or_default();
                assert!(source.contains(&edit.old), "{}: {}", edit.file, edit.old);
                assert_ne!(edit.old, edit.new);
                count += 1;
            }
        }
        assert!(count > 100, "{count}");
    }
}
