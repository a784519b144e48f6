//! `actifix export`: what is kept, for other programs.

use super::client::{Client, encoded};
use super::output::{self, items, text};
use super::{CliError, Global, exit};
use clap::Args;
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Rows of one page.
const PAGE: &str = "200";
/// Columns of tickets in CSV.
const TICKET_COLUMNS: [&str; 15] = [
    "id",
    "project",
    "title",
    "culprit",
    "level",
    "status",
    "priority",
    "count",
    "users",
    "first_seen",
    "last_seen",
    "first_release",
    "last_release",
    "assignee",
    "fingerprint",
];
/// Columns of events in CSV.
const EVENT_COLUMNS: [&str; 12] = [
    "event_id",
    "ticket_id",
    "project",
    "timestamp",
    "received_at",
    "level",
    "title",
    "culprit",
    "release",
    "environment",
    "platform",
    "server_name",
];
/// Columns of findings in CSV.
const FINDING_COLUMNS: [&str; 9] =
    ["id", "project", "rule", "severity", "masked", "count", "first_seen", "last_seen", "state"];

/// Write out what is kept.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  actifix export > events.jsonl\n  actifix export --what tickets --format csv --out tickets.csv\n  actifix export --project shop | gzip > shop.jsonl.gz"
)]
pub struct ExportArgs {
    /// What to write.
    #[arg(long, value_enum, default_value = "events")]
    what: What,
    /// JSON lines, or CSV whose cells no spreadsheet takes for formulas.
    #[arg(long, value_enum, default_value = "jsonl")]
    format: Format,
    /// Only this project.
    #[arg(long)]
    project: Option<String>,
    /// New file to write to; default: standard output.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Tickets.
    Tickets,
    /// Stored events, redacted as they are kept.
    Events,
    /// Secrets found in events, never their values.
    Findings,
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One JSON object per line.
    Jsonl,
    /// RFC 4180, with a header.
    Csv,
}

/// `actifix export`
pub async fn run(global: &Global, args: ExportArgs) -> Result<ExitCode, CliError> {
    let client = Client::connect_existing(global).await?;
    let mut sheet = Out::begin(&args)?;
    let result = write(&client, &args, &mut sheet).await;
    client.close().await?;
    result?;
    let rows = sheet.end()?;
    output::note(format!("{} written", output::plural(rows, "row", "rows")));
    Ok(ExitCode::SUCCESS)
}

async fn write(client: &Client, args: &ExportArgs, out: &mut Out) -> Result<(), CliError> {
    let list = if args.what == What::Findings { "/api/v1/findings" } else { "/api/v1/tickets" };
    let mut query = vec![("limit", PAGE)];
    if args.what != What::Findings {
        // In an order that new events do not change.
        query.push(("sort", "first_seen"));
    }
    query.extend(args.project.as_deref().map(|project| ("project", project)));
    let mut cursor: Option<String> = None;
    loop {
        let mut asked = query.clone();
        asked.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page = client.get(list, &asked).await?;
        for item in items(&page) {
            match args.what {
                What::Events => events(client, text(item, "id"), out).await?,
                _ => out.row(item)?,
            }
        }
        cursor = page.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
        if cursor.is_none() {
            return Ok(());
        }
    }
}

/// All events of a ticket, each whole.
async fn events(client: &Client, ticket: &str, out: &mut Out) -> Result<(), CliError> {
    let path = format!("/api/v1/tickets/{}/events", encoded(ticket));
    let mut cursor: Option<String> = None;
    loop {
        let mut asked = vec![("limit", PAGE)];
        asked.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page = client.get(&path, &asked).await?;
        for item in items(&page) {
            let project = item.get("project").map(Value::to_string).unwrap_or_default();
            let path = format!("/api/v1/events/{}", encoded(text(item, "event_id")));
            match client.get(&path, &[("project", &project)]).await {
                Ok(event) => out.row(&event)?,
                // Retention may take one between the list and the look.
                Err(error) if error.exit_code() == exit::USAGE => {}
                Err(error) => return Err(error),
            }
        }
        cursor = page.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
        if cursor.is_none() {
            return Ok(());
        }
    }
}

enum Out {
    Lines(Target, u64),
    Csv(Box<csv::Writer<Target>>, &'static [&'static str], u64),
}

type Target = BufWriter<Box<dyn Write + Send>>;

impl Out {
    fn begin(args: &ExportArgs) -> Result<Self, CliError> {
        let target: Box<dyn Write + Send> = match &args.out {
            Some(path) => Box::new(create(path)?),
            None => Box::new(io::stdout()),
        };
        let target = BufWriter::new(target);
        if args.format == Format::Jsonl {
            return Ok(Self::Lines(target, 0));
        }
        let columns: &'static [&'static str] = match args.what {
            What::Tickets => &TICKET_COLUMNS,
            What::Events => &EVENT_COLUMNS,
            What::Findings => &FINDING_COLUMNS,
        };
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(target);
        writer.write_record(columns).map_err(CliError::written)?;
        Ok(Self::Csv(Box::new(writer), columns, 0))
    }

    fn row(&mut self, item: &Value) -> Result<(), CliError> {
        match self {
            Self::Lines(target, rows) => {
                *rows += 1;
                serde_json::to_writer(&mut *target, item).map_err(CliError::written)?;
                target.write_all(b"\n").map_err(CliError::written)
            }
            Self::Csv(writer, columns, rows) => {
                *rows += 1;
                let cells = columns.iter().map(|column| cell(item.get(*column).unwrap_or(&Value::Null)));
                writer.write_record(cells).map_err(CliError::written)
            }
        }
    }

    fn end(self) -> Result<u64, CliError> {
        match self {
            Self::Lines(mut target, rows) => target.flush().map_err(CliError::written).map(|()| rows),
            Self::Csv(mut writer, _, rows) => writer.flush().map_err(CliError::written).map(|()| rows),
        }
    }
}

fn create(path: &Path) -> Result<File, CliError> {
    actifix_store::files::create_new(path)
        .map_err(|error| CliError::new(exit::CANNOT_CREATE, error.to_string()))
}

/// A cell that a spreadsheet shows and never computes (OWASP, CSV injection): what begins like a formula gets an
/// apostrophe before it, and line ends within are blanks.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::Number(number) => return number.to_string(),
        Value::String(text) => text.replace(['\r', '\n'], " "),
        other => other.to_string(),
    };
    let first = text.trim_start().chars().next();
    // Full-width forms are computed by some programs too; a tab at the front is one way to hide a formula.
    let risky = matches!(first, Some('=' | '+' | '-' | '@' | '|' | '%' | '＝' | '＋' | '－' | '＠'))
        || text.starts_with(['\t', ' ']);
    if risky { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_cell_is_a_formula() {
        for (value, cell_text) in [
            (json!("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0"),
            (json!("+1"), "'+1"),
            (json!("-1+1"), "'-1+1"),
            (json!("@SUM(A1)"), "'@SUM(A1)"),
            (json!("\t=1"), "'\t=1"),
            (json!("\r\n=1"), "'  =1"),
            (json!(" =1"), "' =1"),
            (json!("＝1"), "'＝1"),
            (json!("fine = 1"), "fine = 1"),
            (json!(-3), "-3"),
            (json!(null), ""),
            (json!(["=1"]), "[\"=1\"]"),
        ] {
            assert_eq!(cell(&value), cell_text);
        }
    }
}
