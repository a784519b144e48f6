//! The scanner on the generated corpus: recall, false positives and whole spans, by family and context.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::report::{Figure, Report};
use super::{build, build_binary};
use crate::process;
use crate::workspace::Workspace;

/// Texts of each family in each context.
const ROUNDS: u64 = 4;
/// Seed of the corpus.
const SEED: u64 = 20_261_125;

/// Scans, prints a table and adds the figures that have targets.
pub fn run(workspace: &Workspace, report: &mut Report) -> Result<()> {
    println!("scanner");
    build_binary(workspace)?;
    build(workspace, &["-p", "actifix-testkit", "--example", "scan_corpus"])?;
    let mut command = Command::new(workspace.target_folder().join("release/examples/scan_corpus"));
    command.arg(SEED.to_string()).arg(ROUNDS.to_string());
    let text = process::output(&mut command)?;
    let last = text.trim().lines().last().unwrap_or_default();
    let measured: Value = serde_json::from_str(last).context("scan_corpus printed no JSON")?;
    print_rows(&measured, "contexts", "context", false);
    print_rows(&measured, "kinds", "clean text", true);
    print_rows(&measured, "families", "family below 1", false);
    let field = |name: &str| measured.get(name).and_then(Value::as_f64).with_context(|| format!("no {name}"));
    let group = "scanner";
    report.add(Figure::new(group, "recall", field("recall")? * 100.0, "%").at_least(97.0));
    report.add(Figure::new(group, "whole secret in span", field("whole")? * 100.0, "%").at_least(99.0));
    report.add(Figure::new(group, "false positives", field("false_positives")? * 100.0, "%").at_most(3.0));
    report.add(Figure::new(group, "credentials", field("credentials")?, "texts"));
    report.add(Figure::new(group, "clean texts", field("clean")?, "texts"));
    report.add(Figure::new(
        group,
        "families",
        measured.get("families").and_then(Value::as_object).map_or(0.0, |all| all.len() as f64),
        "",
    ));
    Ok(())
}

/// A row for each name; of families only those that are not perfect, because there are hundreds.
fn print_rows(measured: &Value, key: &str, title: &str, clean: bool) {
    let Some(rows) = measured.get(key).and_then(Value::as_object) else { return };
    let heading = if clean { "reported" } else { "recall" };
    println!("  {title:<36} {:>7} {heading:>9} {:>7}", "texts", if clean { "" } else { "whole" });
    for (name, row) in rows {
        let value = |field: &str| row.get(field).and_then(Value::as_f64).unwrap_or(0.0);
        let (share, whole) = (value("share"), value("whole"));
        if key == "families" && share >= 1.0 && whole >= 1.0 {
            continue;
        }
        let whole = if clean { String::new() } else { format!("{:.1}%", whole * 100.0) };
        println!("  {name:<36} {:>7} {:>8.1}% {whole:>7}", value("texts"), share * 100.0);
    }
}
