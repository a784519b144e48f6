//! `actifix release …`

use super::client::{Client, encoded};
use super::output::{self, ago, dim, grouped, items, number, plural, text, time};
use super::sheet::{Fit, Sheet};
use super::{CliError, Global};
use clap::{Args, Subcommand};
use console::style;
use serde_json::Value;
use std::process::ExitCode;

/// Commits that `show` prints; all are in `--json`.
const COMMITS_SHOWN: usize = 20;
/// Characters of a commit's id that are printed.
const ID_CHARS: usize = 12;

/// Releases.
#[derive(Debug, Subcommand)]
pub enum ReleaseCommand {
    /// Releases, the latest first seen first.
    #[command(
        after_help = "Examples:\n  actifix release list --project shop\n  actifix release list --json | jq -r '.items[].version'"
    )]
    List {
        /// Project name or id.
        #[arg(long)]
        project: Option<String>,
        /// Releases per page, 1 to 200.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
        /// Go on where the last page ended.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// One release: tickets that began in it, came back with it, are fixed by it; deploys; commits.
    #[command(after_help = "Example:\n  actifix release show shop@1.4.0")]
    Show(OneArgs),
    /// Where a release was brought, the latest first.
    #[command(after_help = "Example:\n  actifix release deploys shop@1.4.0")]
    Deploys(OneArgs),
}

/// Which release.
#[derive(Debug, Args)]
pub struct OneArgs {
    /// Its name.
    version: String,
    /// Project name or id; needed where several have a release of this name.
    #[arg(long)]
    project: Option<String>,
}

/// `actifix release …`
pub async fn run(global: &Global, command: ReleaseCommand) -> Result<ExitCode, CliError> {
    let client = Client::connect_existing(global).await?;
    let result = dispatch(global, &client, command).await;
    client.close().await?;
    result.map(|()| ExitCode::SUCCESS)
}

async fn dispatch(global: &Global, client: &Client, command: ReleaseCommand) -> Result<(), CliError> {
    match command {
        ReleaseCommand::List { project, limit, cursor } => {
            let limit = limit.to_string();
            let mut query = vec![("limit", limit.as_str())];
            query.extend(project.as_deref().map(|project| ("project", project)));
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page = client.get("/api/v1/releases", &query).await?;
            if global.json { output::json(&page) } else { list(&page) }
        }
        ReleaseCommand::Show(args) => {
            let detail = one(client, &args).await?;
            if global.json { output::json(&detail) } else { show(&detail) }
        }
        ReleaseCommand::Deploys(args) => {
            let detail = one(client, &args).await?;
            let deploys = detail.get("deploys").unwrap_or(&Value::Null);
            if global.json {
                output::json(deploys)
            } else {
                self::deploys(deploys, "No deploys: `sentry-cli deploys new` tells of them.")
            }
        }
    }
}

async fn one(client: &Client, args: &OneArgs) -> Result<Value, CliError> {
    let query: Vec<_> = args.project.iter().map(|project| ("project", project.as_str())).collect();
    client.get(&format!("/api/v1/releases/{}", encoded(&args.version)), &query).await
}

fn list(page: &Value) -> Result<(), CliError> {
    let mut sheet = Sheet::new(&[
        ("RELEASE", Fit::Cut),
        ("PROJECT", Fit::Whole),
        ("FIRST SEEN", Fit::Whole),
        ("LAST SEEN", Fit::Spare(2)),
        ("EVENTS", Fit::Whole),
        ("NEW", Fit::Whole),
        ("BACK", Fit::Whole),
        ("DEPLOYS", Fit::Spare(1)),
    ]);
    for release in items(page) {
        sheet.row([
            text(release, "version").to_owned(),
            grouped(number(release, "project")),
            ago(release, "first_seen"),
            ago(release, "last_seen"),
            grouped(number(release, "events")),
            grouped(number(release, "new_tickets")),
            grouped(number(release, "regressions")),
            grouped(number(release, "deploys")),
        ]);
    }
    sheet.print("No releases: set `release` in the SDK, or tell of one with `sentry-cli releases new`.")?;
    match page.get("next_cursor").and_then(Value::as_str) {
        Some(cursor) => dim(format!("next page: --cursor {cursor}")),
        None => Ok(()),
    }
}

fn show(detail: &Value) -> Result<(), CliError> {
    let release = detail.get("release").unwrap_or(&Value::Null);
    let sessions = detail.get("sessions").unwrap_or(&Value::Null);
    output::line(format!(
        "{}  project {}",
        style(text(release, "version")).bold(),
        grouped(number(release, "project"))
    ))?;
    let mut facts = vec![
        plural(number(release, "events"), "event", "events"),
        plural(number(release, "new_tickets"), "new ticket", "new tickets"),
        plural(number(release, "regressions"), "regression", "regressions"),
        format!("first seen {} UTC", time(release, "first_seen")),
    ];
    for (name, said) in [("last_seen", "last seen"), ("released_at", "finished")] {
        if !text(release, name).is_empty() {
            facts.push(format!("{said} {} UTC", time(release, name)));
        }
    }
    if number(sessions, "sessions") > 0 {
        facts.push(format!(
            "{}, {} crashed",
            plural(number(sessions, "sessions"), "session", "sessions"),
            grouped(number(sessions, "crashed"))
        ));
    }
    output::line(facts.join(", "))?;
    for (name, said) in [("new_tickets", "new"), ("regressed", "came back"), ("resolved", "fixed")] {
        for ticket in detail.get(name).and_then(Value::as_array).into_iter().flatten() {
            output::line(format!(
                "{} {} {} {}  {}",
                style(said).dim(),
                text(ticket, "id"),
                text(ticket, "priority"),
                text(ticket, "status"),
                text(ticket, "title")
            ))?;
        }
    }
    deploys(detail.get("deploys").unwrap_or(&Value::Null), "")?;
    commits(detail.get("commits").and_then(Value::as_array).map_or(&[][..], Vec::as_slice))
}

/// `none` is what is said where there are none; nothing where it is empty.
fn deploys(list: &Value, none: &'static str) -> Result<(), CliError> {
    let list = list.as_array().map_or(&[][..], Vec::as_slice);
    if list.is_empty() && none.is_empty() {
        return Ok(());
    }
    let mut sheet = Sheet::new(&[
        ("ENVIRONMENT", Fit::Whole),
        ("FINISHED", Fit::Whole),
        ("NAME", Fit::Cut),
        ("ADDRESS", Fit::Cut),
    ]);
    for deploy in list {
        sheet.row([
            text(deploy, "environment").to_owned(),
            ago(deploy, "finished_at"),
            text(deploy, "name").to_owned(),
            text(deploy, "url").to_owned(),
        ]);
    }
    sheet.print(none)
}

fn commits(list: &[Value]) -> Result<(), CliError> {
    for commit in list.iter().take(COMMITS_SHOWN) {
        let id = text(commit, "id");
        let message = text(commit, "message").lines().next().unwrap_or_default();
        output::line(format!(
            "{} {message}  {}",
            id.get(..ID_CHARS).unwrap_or(id),
            style(text(commit, "author")).dim()
        ))?;
    }
    match list.len().checked_sub(COMMITS_SHOWN) {
        Some(more) if more > 0 => dim(format!("{}: --json", output::many(more as u64, "older commit"))),
        _ => Ok(()),
    }
}
