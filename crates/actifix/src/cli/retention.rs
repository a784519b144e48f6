//! `actifix retention …`

use super::client::Client;
use super::output::{self, many, number, plural, text, time};
use super::sheet::{Fit, Sheet};
use super::{CliError, Global};
use clap::Subcommand;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Retention.
#[derive(Debug, Subcommand)]
pub enum RetentionCommand {
    /// What is kept, what is held, and what the last run did.
    #[command(after_help = "Example:\n  actifix retention show")]
    Show,
    /// Delete what is no longer kept.
    #[command(after_help = "Example:\n  actifix retention run --dry-run")]
    Run {
        /// Only count.
        #[arg(long)]
        dry_run: bool,
        /// Believe the clock, however far it leapt since the last time that was believed.
        #[arg(long, conflicts_with = "dry_run")]
        accept_clock: bool,
    },
    /// Keep a ticket, or a whole project, from retention until the hold is released.
    #[command(
        after_help = "Examples:\n  actifix retention hold --ticket ACT-20261124-7K3QF --reason 'case 17'\n  actifix retention hold --project shop --reason 'audit 2026'"
    )]
    Hold {
        /// Id of a ticket.
        #[arg(long, conflicts_with = "project", required_unless_present = "project")]
        ticket: Option<String>,
        /// Name or id of a project.
        #[arg(long)]
        project: Option<String>,
        /// Why, at most 500 characters.
        #[arg(long)]
        reason: String,
    },
    /// End a hold.
    #[command(after_help = "Example:\n  actifix retention release 1")]
    Release {
        /// Number of the hold, as `retention show` tells it.
        id: u64,
    },
}

/// Names of the policy with what they mean.
const POLICY: [(&str, &str, &str, &str); 12] = [
    ("events_days", "events", "day", ""),
    ("events_bytes_max", "events", "byte", "in all"),
    ("resolved_tickets_days", "resolved tickets", "day", ""),
    ("quarantine_days", "quarantine", "day", ""),
    ("findings_days", "findings", "day", "since last seen"),
    ("source_maps_days", "source maps", "day", "since last used"),
    ("source_maps_bytes_max", "source maps", "byte", "of a project"),
    ("audit_days", "audit log", "day", ""),
    ("backups_daily", "backups", "day", "with one"),
    ("backups_weekly", "backups", "week", "with one"),
    ("logs_days", "own log", "day", ""),
    ("logs_bytes_max", "own log", "byte", "in all"),
];

/// `actifix retention …`
pub async fn run(global: &Global, command: RetentionCommand) -> Result<ExitCode, CliError> {
    let client = Client::connect_existing(global).await?;
    let result = match &command {
        RetentionCommand::Show => client.get("/api/v1/retention", &[]).await,
        RetentionCommand::Run { dry_run, accept_clock } => {
            let body = json!({ "dry_run": dry_run, "accept_clock": accept_clock });
            client.post_long("/api/v1/retention/run", &body).await
        }
        RetentionCommand::Hold { ticket, project, reason } => {
            let body = json!({ "ticket": ticket, "project": project, "reason": reason });
            client.post("/api/v1/retention/holds", &body).await
        }
        RetentionCommand::Release { id } => client.delete(&format!("/api/v1/retention/holds/{id}")).await,
    };
    client.close().await?;
    let answer = result?;
    if global.json {
        output::json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    match command {
        RetentionCommand::Show => show(&answer)?,
        RetentionCommand::Run { dry_run, .. } => {
            let done = answer.get("deleted").unwrap_or(&Value::Null);
            let verb = if dry_run { "would delete" } else { "deleted" };
            output::line(format!("{verb} {}", report(done)))?;
            tell_clock(&answer)?;
        }
        RetentionCommand::Hold { .. } => {
            output::line(format!("hold {}: kept until it is released", number(&answer, "id")))?;
        }
        RetentionCommand::Release { .. } => {
            output::line("released: what is old enough goes with the next run")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Why nothing goes by its age, while that is so.
fn tell_clock(answer: &Value) -> Result<(), CliError> {
    match text(answer, "clock") {
        "" => Ok(()),
        why => output::line(format!(
            "{why}: nothing is deleted by its age. Set the clock; if it is right: actifix retention run --accept-clock"
        )),
    }
}

fn show(answer: &Value) -> Result<(), CliError> {
    let policy = answer.get("policy").unwrap_or(&Value::Null);
    let mut sheet = Sheet::new(&[("KEPT", Fit::Whole), ("FOR", Fit::Whole), ("SETTING", Fit::Whole)]);
    for (key, what, unit, further) in POLICY {
        let limit = number(policy, key);
        let limit = match limit {
            0 => "without limit".to_owned(),
            limit => format!("{} {further}", many(limit, unit)).trim_end().to_owned(),
        };
        sheet.row([what.to_owned(), limit, format!("retention.{key}")]);
    }
    output::line(sheet.render())?;
    let last = answer.get("last_run").unwrap_or(&Value::Null);
    if last.is_null() {
        output::line("It has not run yet.")?;
    } else {
        let detail = last.get("detail").unwrap_or(&Value::Null);
        let done = match text(detail, "error") {
            "" => format!("deleted {}", report(detail)),
            why => format!("failed: {why}"),
        };
        output::line(format!("last run {} UTC: {done}", time(last, "finished_at")))?;
    }
    tell_clock(answer)?;
    for hold in answer.get("holds").and_then(Value::as_array).into_iter().flatten() {
        let ticket = text(hold, "ticket");
        let what = if ticket.is_empty() {
            format!("project {}", number(hold, "project"))
        } else {
            ticket.to_owned()
        };
        output::line(format!(
            "hold {}: {what}, by {} since {} UTC: {}",
            number(hold, "id"),
            text(hold, "actor"),
            time(hold, "created_at"),
            text(hold, "reason"),
        ))?;
    }
    Ok(())
}

fn report(done: &Value) -> String {
    let counts =
        ["events", "event_bytes", "tickets", "quarantine", "findings", "source_maps", "audit", "held_events"];
    if counts.iter().all(|name| number(done, name) == 0) {
        return "nothing".to_owned();
    }
    let mut told = format!(
        "{} ({}), {}, {} of the quarantine, {}, {} of source maps, {} of the audit log",
        plural(number(done, "events"), "event", "events"),
        many(number(done, "event_bytes"), "byte"),
        plural(number(done, "tickets"), "ticket", "tickets"),
        plural(number(done, "quarantine"), "entry", "entries"),
        plural(number(done, "findings"), "finding", "findings"),
        plural(number(done, "source_maps"), "upload", "uploads"),
        plural(number(done, "audit"), "row", "rows"),
    );
    let held = number(done, "held_events");
    if held > 0 {
        told.push_str(&format!("; {} under a legal hold", plural(held, "event stays", "events stay")));
    }
    told
}
