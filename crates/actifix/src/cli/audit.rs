//! `actifix audit …`

use super::client::Client;
use super::output::{self, ago, items, number, text, time};
use super::sheet::{Fit, Look, Sheet};
use super::{CliError, Global};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Rows of one request of an export.
const EXPORT_PAGE: &str = "200";

/// Who did what: a log that shows when it was tampered with.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Latest acts, failed logins included.
    #[command(
        after_help = "Examples:\n  actifix audit list --action login.failed --since 2026-11-24T00:00:00Z\n  actifix audit list --ip 192.0.2.7\n  actifix audit list --user jo --result refused"
    )]
    List {
        #[command(flatten)]
        filter: Filter,
        /// Rows, 1 to 200.
        #[arg(long, default_value = "50")]
        limit: u32,
        /// `next_cursor` of the last page.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Compare the whole log with its hashes, and its end with the witness outside the database; exit code 1 when
    /// something was edited, deleted, moved, cut off or forked.
    #[command(
        after_help = "Examples:\n  actifix audit verify\n  actifix audit verify --renew-witness    (after a backup was put back)"
    )]
    Verify {
        /// Begin the witness anew, after a backup was put back; the log says that it was.
        #[arg(long)]
        renew_witness: bool,
    },
    /// All rows as lines of JSON, latest first.
    #[command(after_help = "Example:\n  actifix audit export --since 2026-11-01T00:00:00Z > audit.jsonl")]
    Export {
        #[command(flatten)]
        filter: Filter,
    },
}

/// Which rows.
#[derive(Debug, Args)]
pub struct Filter {
    /// Not before this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Exact label of who acted, such as token:ID.
    #[arg(long)]
    actor: Option<String>,
    /// What was done, such as login.failed.
    #[arg(long)]
    action: Option<String>,
    /// Address of the client.
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<String>,
    /// Name of a person, as actor or as target.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// ok, refused or failed.
    #[arg(long)]
    result: Option<String>,
    /// Name or id of a project.
    #[arg(long)]
    project: Option<String>,
}

impl Filter {
    fn query(&self) -> Vec<(&'static str, &str)> {
        [
            ("since", &self.since),
            ("until", &self.until),
            ("actor", &self.actor),
            ("action", &self.action),
            ("ip", &self.ip),
            ("user", &self.user),
            ("result", &self.result),
            ("project", &self.project),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .collect()
    }
}

/// `actifix audit …`
pub async fn run(global: &Global, command: AuditCommand) -> Result<ExitCode, CliError> {
    let client = Client::connect_existing(global).await?;
    let result = audit(global, &client, command).await;
    client.close().await?;
    result
}

async fn audit(global: &Global, client: &Client, command: AuditCommand) -> Result<ExitCode, CliError> {
    match command {
        AuditCommand::List { filter, limit, cursor } => {
            let limit = limit.to_string();
            let mut query = filter.query();
            query.push(("limit", &limit));
            if let Some(cursor) = &cursor {
                query.push(("cursor", cursor));
            }
            let answer = client.get("/api/v1/audit", &query).await?;
            if global.json {
                output::json(&answer)?
            } else {
                table(&answer)?
            }
            Ok(ExitCode::SUCCESS)
        }
        AuditCommand::Verify { renew_witness } => {
            if renew_witness {
                client.post("/api/v1/audit/witness", &json!({})).await?;
            }
            verify(global, &client.get("/api/v1/audit/verify", &[]).await?)
        }
        AuditCommand::Export { filter } => {
            let mut cursor = String::new();
            loop {
                let mut query = filter.query();
                query.push(("limit", EXPORT_PAGE));
                if !cursor.is_empty() {
                    query.push(("cursor", &cursor));
                }
                let answer = client.get("/api/v1/audit", &query).await?;
                for item in items(&answer) {
                    output::line(item.to_string())?;
                }
                match answer.get("next_cursor").and_then(Value::as_str) {
                    Some(next) => cursor = next.to_owned(),
                    None => return Ok(ExitCode::SUCCESS),
                }
            }
        }
    }
}

/// Columns of a terminal on which whole times have room.
const WIDE: usize = 100;

fn table(answer: &Value) -> Result<(), CliError> {
    let mut sheet = Sheet::new(&[
        ("NO", Fit::Spare(2)),
        ("AT (UTC)", Fit::Whole),
        ("ACTOR", Fit::Cut),
        ("ACTION", Fit::Whole),
        ("TARGET", Fit::Cut),
        ("FROM", Fit::Spare(1)),
        ("RESULT", Fit::Whole),
    ]);
    let wide = output::width() >= WIDE;
    for item in items(answer) {
        let result = text(item, "result");
        sheet.row([
            number(item, "seq").to_string(),
            if wide { time(item, "at") } else { ago(item, "at") },
            text(item, "actor").to_owned(),
            text(item, "action").to_owned(),
            text(item, "target").to_owned(),
            text(item, "network").to_owned(),
            result.to_owned(),
        ]);
        if result != "ok" {
            sheet.look(6, Look::Strong);
        }
    }
    sheet.print("No entry matches; without a filter `actifix audit list` shows the latest.")?;
    match answer.get("next_cursor").and_then(Value::as_str) {
        Some(cursor) => output::dim(format!("next page: --cursor {cursor}")),
        None => Ok(()),
    }
}

fn verify(global: &Global, report: &Value) -> Result<ExitCode, CliError> {
    let intact = report.get("intact").and_then(Value::as_bool).unwrap_or_default();
    if global.json {
        output::json(report)?;
    } else if intact {
        output::line(format!(
            "intact: {}, {} to {}",
            output::many(number(report, "rows"), "row"),
            number(report, "first"),
            number(report, "last")
        ))?;
    } else {
        for fault in report.get("faults").and_then(Value::as_array).into_iter().flatten() {
            output::line(format!(
                "{} at row {}: {}",
                text(fault, "kind"),
                number(fault, "seq"),
                text(fault, "message")
            ))?;
        }
    }
    Ok(if intact { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
