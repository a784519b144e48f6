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
const FINDING_COLUMNS: [&str; 10] =
    ["id", "project", "rule", "severity", "masked", "hash", "count", "first_seen", "last_seen", "state"];

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
        let mut writer = csv_writer(target);
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

/// Every cell stands in quotation marks, so that no character within ends one.
fn csv_writer<W: Write>(target: W) -> csv::Writer<W> {
    csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .quote_style(csv::QuoteStyle::Always)
        .from_writer(target)
}

fn create(path: &Path) -> Result<File, CliError> {
    actifix_store::files::create_new(path)
        .map_err(|error| CliError::new(exit::CANNOT_CREATE, error.to_string()))
}

/// What begins a formula. Full-width forms are computed by some programs too.
const FORMULA: [char; 10] = ['=', '+', '-', '@', '|', '%', '＝', '＋', '－', '＠'];

/// A cell that a spreadsheet shows and never computes (OWASP, CSV injection): what begins like a formula gets an
/// apostrophe before it, line ends and tabs within are blanks. A program may take another character than the comma for
/// the border of cells, so the same goes for what follows one of those; a quotation mark there is no hold.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::Number(number) => return number.to_string(),
        Value::String(text) => text.replace(['\r', '\n', '\t'], " "),
        other => other.to_string(),
    };
    let mut cell = String::with_capacity(text.len() + 1);
    let mut begins = true;
    if text.starts_with(' ') {
        cell.push('\'');
        begins = false;
    }
    for letter in text.chars() {
        if begins && FORMULA.contains(&letter) {
            cell.push('\'');
        }
        begins = matches!(letter, ',' | ';') || (begins && (letter == '"' || letter.is_whitespace()));
        cell.push(letter);
    }
    cell
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
            (json!("\t=1"), "' =1"),
            (json!("\r\n=1"), "'  =1"),
            (json!("x;=1;y"), "x;'=1;y"),
            (json!("x\t=1"), "x =1"),
            (json!("x; =1, \"@1"), "x; '=1, \"'@1"),
            (json!("x\";\"+1"), "x\";\"'+1"),
            (json!("a-b;c-d"), "a-b;c-d"),
            (json!(" =1"), "' =1"),
            (json!("＝1"), "'＝1"),
            (json!("fine = 1"), "fine = 1"),
            (json!(-3), "-3"),
            (json!(null), ""),
            (json!(["=1", "=2"]), "[\"=1\",\"'=2\"]"),
        ] {
            assert_eq!(cell(&value), cell_text);
        }
    }

    /// As a spreadsheet reads it, whichever border of cells it was told or guesses.
    #[test]
    fn no_cell_is_a_formula_whatever_separates_cells() {
        let hostile = [
            "x;=cmd|' /C calc'!A0;y",
            "x\t=1\ty",
            "a\n=1\n",
            "a\r\n@SUM(1)",
            "\";=1;\"",
            "\";\"=1",
            "1,+1,-1",
            ";;@1",
            "\"=1",
        ];
        let mut bytes = Vec::new();
        {
            let mut writer = csv_writer(&mut bytes);
            for left in hostile {
                for right in hostile {
                    writer.write_record([cell(&json!(left)), cell(&json!(right))]).unwrap();
                }
            }
            writer.flush().unwrap();
        }
        for separator in [b',', b';', b'\t'] {
            let mut reader = csv::ReaderBuilder::new()
                .delimiter(separator)
                .has_headers(false)
                .flexible(true)
                .from_reader(bytes.as_slice());
            let mut cells = 0;
            for record in reader.byte_records() {
                for cell in &record.unwrap() {
                    cells += 1;
                    let text = String::from_utf8_lossy(cell);
                    let start = text.trim_start_matches(' ').chars().next();
                    assert!(
                        !start.is_some_and(|c| FORMULA.contains(&c) || c == '\t' || c == '\r'),
                        "{}: {text}",
                        char::from(separator)
                    );
                }
            }
            assert!(cells >= hostile.len() * hostile.len(), "{cells}");
        }
    }
}
