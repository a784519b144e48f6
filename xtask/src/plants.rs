//! `cargo xtask plants`: plants known bugs into a copy of the sources and shows that the tests see each of them.
//!
//! The bugs stand in `xtask/plants/*.toml`. Nearly all are built in together, each asleep until the variable `PLANT`
//! names it; the few that cannot be (files that are read when tests are built) are built one at a time, at the end.
//! First all tests must pass with every bug asleep: else their failing would prove nothing.

mod field;
mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use self::field::{Field, Outcome};
use self::file::{Check, Plant, Plants};
use crate::workspace::Workspace;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask plants                          all of them, in the order of their files\n  cargo xtask plants --only accounts          those of one file\n  cargo xtask plants --like 'jwt:'            those whose description says so\n  cargo xtask plants --list                   what there is"
)]
pub struct PlantsArguments {
    /// Only the bugs of this file, without `.toml`; in this order if there are several
    #[arg(long, value_name = "FILE")]
    only: Vec<String>,
    /// Only bugs whose description contains this
    #[arg(long, value_name = "TEXT")]
    like: Option<String>,
    /// Say what there is, and plant nothing
    #[arg(long)]
    list: bool,
}

/// What became of a planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// A test failed, as it should.
    Red,
    /// All tests passed: they are blind.
    Green,
    /// Its tests do not exist, or could not be run.
    NotRun,
    /// The sources with it are no program.
    NotBuilt,
}

impl fmt::Display for Seen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Red => "seen",
            Self::Green => "NOT SEEN",
            Self::NotRun => "NOT RUN",
            Self::NotBuilt => "NOT BUILT",
        })
    }
}

/// One line of the table.
struct Row<'p> {
    plant: &'p Plant,
    seen: Seen,
    /// The first test that failed, or what was run and did not.
    by: String,
    time: Duration,
}

/// Plants and tests; fails when a bug went unseen.
pub fn run(workspace: &Workspace, arguments: &PlantsArguments) -> Result<()> {
    let plants = Plants::read(&workspace.path("xtask/plants"))?;
    let chosen = choose(&plants, arguments)?;
    if arguments.list {
        for plant in chosen {
            println!("{:<11} {}", plant.group, plant.what);
        }
        return Ok(());
    }
    let field = Field::prepare(workspace)?;
    field.sow(&plants, None)?;
    let began = Instant::now();
    println!("==> building all that can sleep");
    if !field.build()? {
        bail!("the sources with the planted bugs do not build");
    }
    println!("    built in {}", seconds(began.elapsed()));
    baseline(&field, &chosen)?;
    let rows = plant_all(&field, &plants, &chosen)?;
    let table = table(&rows, began.elapsed());
    print!("\n{table}");
    let results = field.folder().join("results.md");
    fs::write(&results, &table).with_context(|| format!("cannot write {}", results.display()))?;
    if rows.iter().any(|row| row.seen != Seen::Red) {
        bail!("not every planted bug was seen");
    }
    Ok(())
}

/// Those that are asked for; what is built by itself comes last, whatever file it stands in.
fn choose<'p>(plants: &'p Plants, arguments: &PlantsArguments) -> Result<Vec<&'p Plant>> {
    for name in &arguments.only {
        if !plants.list.iter().any(|plant| plant.group == *name) {
            bail!("there is no file xtask/plants/{name}.toml");
        }
    }
    let place = |plant: &Plant| arguments.only.iter().position(|name| *name == plant.group);
    let mut chosen: Vec<&Plant> = (plants.list.iter())
        .filter(|plant| arguments.only.is_empty() || place(plant).is_some())
        .filter(|plant| arguments.like.as_deref().is_none_or(|part| plant.what.contains(part)))
        .collect();
    chosen.sort_by_key(|plant| (!plant.sleeps(), place(plant)));
    if chosen.is_empty() {
        bail!("no planted bug has that description: `cargo xtask plants --list` shows all");
    }
    Ok(chosen)
}

/// With every bug asleep all must pass.
fn baseline(field: &Field, chosen: &[&Plant]) -> Result<()> {
    let began = Instant::now();
    let checks: BTreeSet<&Check> = chosen.iter().flat_map(|plant| &plant.checks).collect();
    println!("==> {} runs with every bug asleep", checks.len());
    let filters: Vec<&str> = (checks.iter())
        .filter_map(|check| match check {
            Check::Tests(filter) => Some(filter.as_str()),
            Check::Fault(_) => None,
        })
        .collect();
    let mut wrong = Vec::new();
    if !filters.is_empty() {
        wrong.extend(problem(field.tests(filters, None)?));
    }
    for check in checks {
        if let Check::Fault(name) = check {
            wrong.extend(problem(field.fault(name, None)?).map(|problem| format!("{name}: {problem}")));
        }
    }
    if !wrong.is_empty() {
        bail!("with every bug asleep this must pass, else what fails proves nothing: {}", wrong.join("; "));
    }
    println!("    passed in {}", seconds(began.elapsed()));
    Ok(())
}

fn problem(outcome: Outcome) -> Option<String> {
    match outcome {
        Outcome::Passed => None,
        Outcome::Failed(tests) => Some(tests.join(", ")),
        Outcome::NotRun(why) => Some(why),
    }
}

/// Wakes one after the other.
fn plant_all<'p>(field: &Field, plants: &Plants, chosen: &[&'p Plant]) -> Result<Vec<Row<'p>>> {
    let mut rows = Vec::new();
    for (number, plant) in chosen.iter().enumerate() {
        let began = Instant::now();
        let built = plant.sleeps() || {
            field.sow(plants, Some(plant))?;
            field.build()?
        };
        let (seen, by) = if built { see(field, plant)? } else { (Seen::NotBuilt, "the compiler".to_owned()) };
        let time = began.elapsed();
        println!(
            "[{:>3}/{}] {:>7} {seen:<9} {}: {} ({by})",
            number + 1,
            chosen.len(),
            seconds(time),
            plant.group,
            plant.what
        );
        rows.push(Row { plant, seen, by, time });
    }
    // What was planted last is not left there.
    field.sow(plants, None)?;
    Ok(rows)
}

/// Each that is said to see a bug must.
fn see(field: &Field, plant: &Plant) -> Result<(Seen, String)> {
    // What is built by itself is awake anyhow; the name does no harm.
    let name = Some(plant.what.as_str());
    let mut by = Vec::new();
    for check in &plant.checks {
        let (ran, outcome) = match check {
            Check::Tests(filter) => (filter, field.tests([filter.as_str()], name)?),
            Check::Fault(fault) => (fault, field.fault(fault, name)?),
        };
        match outcome {
            Outcome::Failed(tests) => by.extend(tests.into_iter().next()),
            Outcome::Passed => return Ok((Seen::Green, ran.clone())),
            Outcome::NotRun(why) => return Ok((Seen::NotRun, format!("{ran}: {why}"))),
        }
    }
    Ok((Seen::Red, by.join(", ")))
}

/// One line for each file of bugs, and one for each bug that was not seen.
fn table(rows: &[Row<'_>], time: Duration) -> String {
    let mut text = "| file | planted | seen | not seen | s |\n| --- | --- | --- | --- | --- |\n".to_owned();
    let mut groups: BTreeMap<&str, Vec<&Row<'_>>> = BTreeMap::new();
    for row in rows {
        groups.entry(&row.plant.group).or_default().push(row);
    }
    let all = ("all", rows.iter().collect::<Vec<_>>());
    for (name, rows) in groups.into_iter().chain([all]) {
        let seen = rows.iter().filter(|row| row.seen == Seen::Red).count();
        let spent: Duration = rows.iter().map(|row| row.time).sum();
        text += &format!(
            "| {name} | {} | {seen} | {} | {:.0} |\n",
            rows.len(),
            rows.len() - seen,
            spent.as_secs_f64()
        );
    }
    for Row { plant, seen, by, .. } in rows.iter().filter(|row| row.seen != Seen::Red) {
        text += &format!("\n- {seen}: {}: {} ({by})", plant.group, plant.what);
    }
    text + &format!("\nWith the build and the runs asleep: {}\n", seconds(time))
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
