//! `actifix webhook rule …`

use super::super::client::{Client, encoded};
use super::super::output::{self, items, number, text};
use super::super::sheet::{Fit, Look, Sheet};
use super::super::{CliError, Global};
use super::said;
use actifix_domain::alert::{DailyHours, Trigger};
use actifix_domain::event::Level;
use actifix_domain::ticket::Priority;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

/// Rules of alerts.
#[derive(Debug, Subcommand)]
pub enum RuleCommand {
    /// Rules that hold; the defaults where nobody wrote one.
    #[command(after_help = "Example:\n  actifix webhook rule list")]
    List,
    /// Add a rule, or replace the one of this name. The first one ends the defaults.
    #[command(
        after_help = "Examples:\n  actifix webhook rule add urgent --on new,regressed --priority P1 --environment 'prod*'\n  actifix webhook rule add busy --on rate --rate 100/10 --to ops\n  actifix webhook rule add night --on new --quiet '22:00-07:00 Europe/Berlin' --quiet-except P0"
    )]
    Add(Box<RuleArgs>),
    /// What a rule would have said in the last seven days.
    #[command(after_help = "Example:\n  actifix webhook rule dry-run urgent --on new --priority P1")]
    DryRun(Box<RuleArgs>),
    /// Remove a rule. With the last one the defaults return.
    #[command(after_help = "Example:\n  actifix webhook rule remove urgent")]
    Remove {
        /// Which.
        name: String,
    },
}

/// What a rule says.
#[derive(Debug, Args)]
pub struct RuleArgs {
    /// Name: lower-case letters, digits, `.`, `_`, `-`.
    name: String,
    /// new, regressed, raised, rate, spike, users, brake, finding, resolved, doctor, expiry, backup; several with commas.
    #[arg(long = "on", value_name = "TRIGGERS", value_delimiter = ',', required = true)]
    triggers: Vec<Trigger>,
    /// Only this project (name or id).
    #[arg(long)]
    project: Option<String>,
    /// With `--on rate`: EVENTS/MINUTES.
    #[arg(long, value_name = "EVENTS/MINUTES")]
    rate: Option<String>,
    /// With `--on users`: how many.
    #[arg(long)]
    users: Option<u64>,
    /// At least this urgent, P0 to P4.
    #[arg(long)]
    priority: Option<Priority>,
    /// At least this severe: debug, info, warning, error, fatal.
    #[arg(long)]
    level: Option<Level>,
    /// Environment (glob); may be repeated.
    #[arg(long)]
    environment: Vec<String>,
    /// Release (glob); may be repeated.
    #[arg(long)]
    release: Vec<String>,
    /// Place of the failure (glob); may be repeated.
    #[arg(long)]
    source: Vec<String>,
    /// Tag as NAME=GLOB; may be repeated.
    #[arg(long)]
    tag: Vec<String>,
    /// Channel; may be repeated. Default: all.
    #[arg(long = "to", value_name = "CHANNEL")]
    endpoints: Vec<String>,
    /// Minutes within which the same is not said again.
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    cooldown: u32,
    /// Messages within `--digest` minutes; the rest goes into one digest.
    #[arg(long, default_value_t = 10)]
    burst: u32,
    /// Window of the burst, minutes.
    #[arg(long, value_name = "MINUTES", default_value_t = 10)]
    digest: u32,
    /// Hours in which nothing is said: `22:00-07:00 Europe/Berlin`.
    #[arg(long, value_name = "HOURS")]
    quiet: Option<DailyHours>,
    /// What is at least this urgent is said in quiet hours too.
    #[arg(long, value_name = "PRIORITY", requires = "quiet")]
    quiet_except: Option<Priority>,
    /// Keep it, but switched off.
    #[arg(long)]
    disabled: bool,
}

pub(super) async fn run(global: &Global, command: RuleCommand, client: &Client) -> Result<(), CliError> {
    match command {
        RuleCommand::List => list(global, client).await,
        RuleCommand::Add(args) => {
            let name = args.name.clone();
            let saved = client.post("/api/v1/alert-rules", &rule(*args)?).await?;
            said(global, &saved, format!("saved {name}; try it with `actifix webhook rule dry-run`"))
        }
        RuleCommand::DryRun(args) => dry_run(global, client, *args).await,
        RuleCommand::Remove { name } => {
            client.delete(&format!("/api/v1/alert-rules/{}", encoded(&name))).await?;
            said(global, &json!({ "removed": name }), format!("removed {name}"))
        }
    }
}

fn rule(args: RuleArgs) -> Result<Value, CliError> {
    let rate = match &args.rate {
        Some(text) => {
            let form = || CliError::usage("--rate: write it as EVENTS/MINUTES, such as 100/10");
            let (count, minutes) = text.split_once('/').ok_or_else(form)?;
            let numbers = (count.parse::<u32>(), minutes.parse::<u32>());
            let (Ok(count), Ok(minutes)) = numbers else { return Err(form()) };
            Some(json!({ "count": count, "minutes": minutes }))
        }
        None => None,
    };
    let mut tags = Map::new();
    for tag in &args.tag {
        let pair = tag.split_once('=');
        let (name, pattern) = pair.ok_or_else(|| CliError::usage("--tag: write it as NAME=GLOB"))?;
        tags.insert(name.to_owned(), json!(pattern));
    }
    let quiet = args.quiet.map(|hours| json!({ "hours": hours, "except": args.quiet_except }));
    Ok(json!({
        "name": args.name, "project": args.project, "enabled": !args.disabled, "triggers": args.triggers, "rate": rate,
        "users": args.users, "endpoints": args.endpoints, "cooldown_minutes": args.cooldown, "burst": args.burst,
        "digest_minutes": args.digest, "quiet": quiet,
        "when": {
            "priority_min": args.priority, "level_min": args.level, "environment": args.environment,
            "release": args.release, "source": args.source, "tags": tags,
        },
    }))
}

/// Minutes in the largest unit that leaves none over.
fn lasting(minutes: u64) -> String {
    match minutes {
        0 => "none".to_owned(),
        days if days.is_multiple_of(24 * 60) => format!("{} d", days / (24 * 60)),
        hours if hours.is_multiple_of(60) => format!("{} h", hours / 60),
        minutes => format!("{minutes} min"),
    }
}

async fn list(global: &Global, client: &Client) -> Result<(), CliError> {
    let answer = client.get("/api/v1/alert-rules", &[]).await?;
    if global.json {
        return output::json(&answer);
    }
    let mut sheet = Sheet::new(&[
        ("NAME", Fit::Whole),
        ("ON", Fit::Cut),
        ("CONDITIONS", Fit::Cut),
        ("CHANNELS", Fit::Cut),
        ("COOLDOWN", Fit::Spare(2)),
        ("BURST", Fit::Spare(3)),
        ("QUIET", Fit::Spare(1)),
    ]);
    for item in items(&answer) {
        let list = |key: &str| {
            let words = item.get(key).and_then(Value::as_array);
            words.into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
        };
        let is = |key: &str| item.get(key).and_then(Value::as_bool).unwrap_or_default();
        let channels = list("endpoints");
        let quiet = item.pointer("/quiet/hours").and_then(Value::as_str).unwrap_or_default();
        sheet.row([
            text(item, "name").to_owned(),
            list("triggers"),
            conditions(item),
            if channels.is_empty() { "all".to_owned() } else { channels },
            lasting(number(item, "cooldown_minutes")),
            format!("{} in {}", number(item, "burst"), lasting(number(item, "digest_minutes"))),
            quiet.to_owned(),
        ]);
        if is("is_default") || !is("enabled") {
            sheet.look(0, Look::Dim);
        }
    }
    output::line(sheet.render())
}

fn conditions(item: &Value) -> String {
    let Some(when) = item.get("when").and_then(Value::as_object) else { return String::new() };
    let given = when.iter().filter(|(_, value)| match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    });
    let shown = given.map(|(name, value)| match value {
        Value::String(text) => format!("{name}:{text}"),
        other => format!("{name}:{other}"),
    });
    shown.collect::<Vec<_>>().join(" ")
}

async fn dry_run(global: &Global, client: &Client, args: RuleArgs) -> Result<(), CliError> {
    let run = client.post("/api/v1/alert-rules/dry-run", &rule(args)?).await?;
    if global.json {
        return output::json(&run);
    }
    output::line(format!(
        "would have sent {} in 7 days ({}); {} matched, {} of an earlier one",
        output::many(number(&run, "would_have_sent"), "message"),
        output::many(number(&run, "digests"), "digest"),
        output::many(number(&run, "matched"), "change"),
        output::plural(number(&run, "repeated"), "a repetition", "repetitions")
    ))?;
    for message in run.get("messages").and_then(Value::as_array).into_iter().flatten() {
        output::line(format!("  {}", message.as_str().unwrap_or_default()))?;
    }
    let inexact: Vec<&str> = run
        .get("inexact")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if !inexact.is_empty() {
        output::note(format!(
            "the history does not tell {} exactly: rates are known by the hour, the others not at all",
            inexact.join(", ")
        ));
    }
    Ok(())
}
