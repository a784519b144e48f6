//! What was seen, as a table; kept between runs, so that one scenario can be run again by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::workspace::Workspace;

/// What a scenario says that this machine cannot do.
pub const NOT_POSSIBLE: &str = "not possible here";
/// The page that holds the table, between two marks.
const PAGE: &str = "docs/reliability.md";
const BEGIN: &str = "<!-- written by `cargo xtask faults --write` -->";
const END: &str = "<!-- end of the table -->";
const HEAD: &str = "| name | fault | expected | seen | s | |\n| --- | --- | --- | --- | --- | --- |\n";

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Row {
    pub name: &'static str,
    pub fault: &'static str,
    pub expected: &'static str,
    pub seen: String,
    pub seconds: f64,
    pub verdict: &'static str,
    /// Where it was run, and whether in full.
    pub run: String,
}

impl Row {
    pub fn verdict_of(seen: &Result<String>) -> &'static str {
        match seen {
            Ok(text) if text.starts_with(NOT_POSSIBLE) => "not run",
            Ok(_) => "pass",
            Err(_) => "FAIL",
        }
    }

    fn cells(&self) -> String {
        let clean = |text: &str| text.replace('|', "\\|").replace('\n', " ");
        format!(
            "| {} | {} | {} | {} | {:.0} | {} |\n",
            self.name,
            clean(self.fault),
            clean(self.expected),
            clean(&self.seen),
            self.seconds,
            self.verdict
        )
    }
}

/// Keeps a line for a later table.
pub fn keep(folder: &Path, row: &Row) -> Result<()> {
    let text = json!({ "seen": row.seen, "seconds": row.seconds, "verdict": row.verdict, "run": row.run });
    fs::create_dir_all(folder).context("cannot make the folder of results")?;
    fs::write(file(folder, row.name), text.to_string()).context("cannot keep a result")
}

/// The kept line of a scenario.
pub fn kept(folder: &Path, name: &'static str, fault: &'static str, expected: &'static str) -> Option<Row> {
    let text = fs::read_to_string(file(folder, name)).ok()?;
    let value: Value = serde_json::from_str(&text).ok()?;
    let word = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let verdict = ["pass", "FAIL", "not run"].into_iter().find(|known| *known == word("verdict"))?;
    let seconds = value.get("seconds").and_then(Value::as_f64)?;
    Some(Row { name, fault, expected, seen: word("seen"), seconds, verdict, run: word("run") })
}

fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.json"))
}

/// The table of some lines.
pub fn table(rows: &[Row]) -> String {
    let mut text = HEAD.to_owned();
    text.extend(rows.iter().map(Row::cells));
    text
}

/// Puts the table into the page; `names` is the order of its lines. What was run in another checkout keeps its line.
pub fn write(workspace: &Workspace, names: &[&str], rows: &[Row], machine: &str) -> Result<()> {
    let page = workspace.read(PAGE)?;
    fs::write(workspace.path(PAGE), with_table(&page, names, rows, machine)?)
        .with_context(|| format!("cannot write {PAGE}"))
}

fn with_table(page: &str, names: &[&str], rows: &[Row], machine: &str) -> Result<String> {
    let (before, rest) =
        page.split_once(BEGIN).with_context(|| format!("{PAGE} has no place for the table"))?;
    let (former, after) = rest.split_once(END).with_context(|| format!("{PAGE} has no end of the table"))?;
    let line = |name: &&str| {
        let known = former.lines().find(|line| line.starts_with(&format!("| {name} |")));
        let row = rows.iter().find(|row| row.name == *name);
        row.map(Row::cells).or_else(|| known.map(|line| format!("{line}\n")))
    };
    let lines: Vec<String> = names.iter().filter_map(line).collect();
    let of = |verdict: &str| lines.iter().filter(|line| line.ends_with(&format!("| {verdict} |\n"))).count();
    Ok(format!(
        "{before}{BEGIN}\n\n{machine}: {} passed, {} failed, {} could not be run there.\n\n{HEAD}{}\n{END}{after}",
        of("pass"),
        of("FAIL"),
        of("not run"),
        lines.concat()
    ))
}

/// Fails if anything failed.
pub fn judge(rows: &[Row]) -> Result<()> {
    let failed: Vec<&str> = rows.iter().filter(|row| row.verdict == "FAIL").map(|row| row.name).collect();
    if failed.is_empty() {
        return Ok(());
    }
    bail!("failed: {}", failed.join(", "))
}

/// How long something took.
pub fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_other_runs_stay_in_their_places() {
        let row = |name, verdict| Row {
            name,
            fault: "f",
            expected: "e",
            seen: "new | words".to_owned(),
            seconds: 1.4,
            verdict,
            run: "full".to_owned(),
        };
        let page = format!(
            "above\n{BEGIN}\n\nold: 2 passed.\n\n{HEAD}| a | f | e | old | 2 | pass |\n| c | f | e | old | 2 | pass |\n\n{END}\nbelow\n"
        );
        let written =
            with_table(&page, &["a", "b", "c", "d"], &[row("b", "FAIL"), row("c", "pass")], "here").unwrap();
        let expected = format!(
            "above\n{BEGIN}\n\nhere: 2 passed, 1 failed, 0 could not be run there.\n\n{HEAD}| a | f | e | old | 2 | pass |\n\
             | b | f | e | new \\| words | 1 | FAIL |\n| c | f | e | new \\| words | 1 | pass |\n\n{END}\nbelow\n"
        );
        assert_eq!(written, expected);
    }
}
