//! `actifix review …`

use super::client::Client;
use super::output::{self, items, number, plural, text, time};
use super::{CliError, Global};
use clap::{Args, ValueEnum};
use console::style;
use serde_json::{Value, json};
use std::process::ExitCode;

/// A list of the hardening guide, looked at line by line.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  actifix review weekly\n  actifix review weekly --record --by jo\n  actifix review history\nEnds with 1 while a line is due."
)]
pub struct ReviewArgs {
    /// weekly, monthly, quarterly; or history: what was signed.
    list: List,
    /// Sign it: whoever is named looked at the evidence.
    #[arg(long, requires = "by")]
    record: bool,
    /// Who looked.
    #[arg(long, value_name = "NAME", requires = "record")]
    by: Option<String>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum List {
    /// Logs, limits, backups.
    Weekly,
    /// Tokens, origins, webhooks, dependencies.
    Monthly,
    /// Code, guide, penetration test, service accounts.
    Quarterly,
    /// Reviews that were signed.
    History,
}

impl List {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Quarterly => "quarterly",
            Self::History => "history",
        }
    }
}

/// `actifix review …`
pub async fn run(global: &Global, args: ReviewArgs) -> Result<ExitCode, CliError> {
    let client = Client::connect_existing(global).await?;
    let answer = match args.list {
        List::History => client.get("/api/v1/reviews", &[]).await,
        list => {
            let path = format!("/api/v1/reviews/{}", list.as_str());
            client.post_long(&path, &json!({ "by": args.by })).await
        }
    };
    client.close().await?;
    let answer = answer?;
    if global.json {
        output::json(&answer)?;
    } else if args.list == List::History {
        history(&answer)?;
    } else {
        show(&answer)?;
    }
    let wrong = if args.list == List::History {
        items(&answer).iter().any(|item| item.get("intact") != Some(&Value::Bool(true)))
    } else {
        lines(&answer).iter().any(|line| text(line, "state") == "DUE")
    };
    Ok(if wrong { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn lines(review: &Value) -> &[Value] {
    review.get("items").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn show(review: &Value) -> Result<(), CliError> {
    for line in lines(review) {
        let state = match text(line, "state") {
            "PASS" => style("PASS").green(),
            state => style(state).yellow().bold(),
        };
        output::line(format!("{state} {}", text(line, "line")))?;
        for evidence in line.get("evidence").and_then(Value::as_array).into_iter().flatten() {
            output::line(format!("       {}", evidence.as_str().unwrap_or_default()))?;
        }
        if text(line, "state") == "DUE" {
            output::line(format!("     > {}", text(line, "next")))?;
        }
    }
    let due = lines(review).iter().filter(|line| text(line, "state") == "DUE").count();
    let last = review.get("last").filter(|last| !last.is_null());
    let reviewer = text(review, "reviewer");
    let before = match last {
        Some(last) => format!("signed last {} UTC by {}", time(last, "recorded_at"), text(last, "reviewer")),
        None => "it was never signed".to_owned(),
    };
    let missed = match number(review, "missed") {
        0 => format!("due {} UTC", time(review, "due_at")),
        1 => format!("due since {} UTC", time(review, "due_at")),
        more => format!(
            "due since {} UTC, {} left out",
            time(review, "due_at"),
            plural(more - 1, "one was", "were")
        ),
    };
    let lines_due = plural(u64::try_from(due).unwrap_or(0), "line", "lines");
    if reviewer.is_empty() {
        return output::line(format!("{lines_due} due; {before}; {missed}"));
    }
    let until_now = last.map_or_else(|| "for the first time".to_owned(), |_| format!("before: {before}"));
    output::line(format!("{lines_due} due; signed by {reviewer} and kept ({until_now})"))
}

fn history(answer: &Value) -> Result<(), CliError> {
    if items(answer).is_empty() {
        return output::line("Nothing was signed yet: `actifix review weekly --record --by NAME`.");
    }
    for item in items(answer) {
        let intact = item.get("intact") == Some(&Value::Bool(true));
        let document: Value = serde_json::from_str(text(item, "document")).unwrap_or_default();
        let due = lines(&document).iter().filter(|line| text(line, "state") == "DUE").count();
        output::line(format!(
            "{:>4}  {} UTC  {:<9} {:<20} {} due{}",
            number(item, "id"),
            time(item, "recorded_at"),
            text(item, "period"),
            text(item, "reviewer"),
            due,
            if intact { "" } else { "  CHANGED SINCE IT WAS SIGNED" },
        ))?;
    }
    Ok(())
}
