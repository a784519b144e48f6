//! `actifix import`: events of another tracker.

use super::client::Client;
use super::output::{self, plural, text};
use super::{CliError, Global, exit};
use actifix_app::import::{Tracker, events};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Largest document, bytes: what is longer must come as one event per line.
const DOCUMENT_BYTES_MAX: u64 = 256 << 20;
/// Longest line, bytes.
const LINE_BYTES_MAX: u64 = 16 << 20;
/// Refused events that are named.
const NAMED_MAX: u64 = 10;

/// Import.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Events of Bugsink: answers of its API (/api/canonical/0/events/), or raw events.
    #[command(after_help = "Example:\n  actifix import bugsink events.jsonl --project shop")]
    Bugsink(ImportArgs),
    /// Events of Sentry: answers of its API (…/events/?full=true), or the stored JSON of events.
    #[command(after_help = "Example:\n  actifix import sentry events.json --project shop")]
    Sentry(ImportArgs),
}

/// What to import, and where to.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// JSON document, or one JSON object per line; `-` is standard input.
    file: PathBuf,
    /// Project that gets the events: name or id.
    #[arg(long, default_value = "default")]
    project: String,
}

#[derive(Default)]
struct Tally {
    new: u64,
    known: u64,
    refused: u64,
}

/// `actifix import …`
pub async fn run(global: &Global, command: ImportCommand) -> Result<ExitCode, CliError> {
    let (tracker, args) = match command {
        ImportCommand::Bugsink(args) => (Tracker::Bugsink, args),
        ImportCommand::Sentry(args) => (Tracker::Sentry, args),
    };
    let client = Client::connect_existing(global).await?;
    let mut tally = Tally::default();
    let result = import(&client, tracker, &args, &mut tally).await;
    client.close().await?;
    if global.json {
        output::json(&json!({ "new": tally.new, "known": tally.known, "refused": tally.refused }))?;
    } else {
        output::line(format!(
            "{} taken over, {} known before, {} refused",
            plural(tally.new, "event", "events"),
            tally.known,
            tally.refused
        ))?;
    }
    result?;
    Ok(if tally.refused > 0 { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

async fn import(
    client: &Client,
    tracker: Tracker,
    args: &ImportArgs,
    tally: &mut Tally,
) -> Result<(), CliError> {
    let mut reader = open(&args.file)?;
    let wrong = |place: String, why: &str| CliError::usage(format!("{}: {place}{why}", args.file.display()));
    let first = peek(&mut reader).map_err(|error| CliError::io(&args.file, error))?;
    if first == Some(b'[') {
        let mut bytes = Vec::new();
        let read = reader.take(DOCUMENT_BYTES_MAX + 1).read_to_end(&mut bytes);
        let read = read.map_err(|error| CliError::io(&args.file, error))?;
        if read as u64 > DOCUMENT_BYTES_MAX {
            return Err(wrong(String::new(), "larger than 256 MiB: give one event per line"));
        }
        let document = serde_json::from_slice(&bytes).map_err(|error| wrong(not_json(&error), ""))?;
        let list = events(tracker, document).map_err(|why| wrong(String::new(), why))?;
        for event in list {
            send(client, &args.project, event, tally).await?;
        }
        return Ok(());
    }
    let (mut text, mut number) = (Vec::new(), 0u64);
    loop {
        // An object may lie over several lines: lines are gathered until they are one.
        let mut line = Vec::new();
        let limit = LINE_BYTES_MAX.saturating_sub(text.len() as u64) + 1;
        let read = (&mut reader).take(limit).read_until(b'\n', &mut line);
        let read = read.map_err(|error| CliError::io(&args.file, error))?;
        number += 1;
        text.extend_from_slice(&line);
        if text.len() as u64 > LINE_BYTES_MAX {
            return Err(wrong(format!("line {number}: "), "longer than 16 MiB"));
        }
        if text.trim_ascii().is_empty() {
            if read == 0 {
                return Ok(());
            }
            text.clear();
            continue;
        }
        match serde_json::from_slice::<Value>(&text) {
            Ok(document) => {
                text.clear();
                let list = events(tracker, document).map_err(|why| wrong(format!("line {number}: "), why))?;
                for event in list {
                    send(client, &args.project, event, tally).await?;
                }
            }
            Err(error) if error.is_eof() && read > 0 => {}
            Err(error) => return Err(wrong(format!("line {number}: {}", not_json(&error)), "")),
        }
    }
}

/// Where it is wrong; never what stands there.
fn not_json(error: &serde_json::Error) -> String {
    format!("not JSON at column {} of its line {}", error.column(), error.line())
}

fn open(path: &Path) -> Result<BufReader<Box<dyn Read + Send>>, CliError> {
    let reader: Box<dyn Read + Send> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).map_err(|error| CliError::io(path, error))?)
    };
    Ok(BufReader::new(reader))
}

fn peek(reader: &mut impl BufRead) -> std::io::Result<Option<u8>> {
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(None);
        }
        match bytes.iter().position(|byte| !byte.is_ascii_whitespace()) {
            Some(place) => {
                let first = bytes.get(place).copied();
                reader.consume(place);
                return Ok(first);
            }
            None => {
                let all = bytes.len();
                reader.consume(all);
            }
        }
    }
}

/// Through the door of every event of our own: redaction, grouping, throttle. A known id counts once.
async fn send(
    client: &Client,
    project: &str,
    event: Map<String, Value>,
    tally: &mut Tally,
) -> Result<(), CliError> {
    let id = event.get("event_id").and_then(Value::as_str).unwrap_or_default().to_owned();
    match client.post("/api/v1/events", &json!({ "project": project, "event": event })).await {
        Ok(recorded) if text(&recorded, "outcome") == "duplicate" => tally.known += 1,
        Ok(_) => tally.new += 1,
        Err(error) if error.exit_code() == exit::USAGE => {
            tally.refused += 1;
            if tally.refused <= NAMED_MAX {
                output::note(format!("{id}: {error}"));
            }
        }
        Err(error) => return Err(error),
    }
    Ok(())
}
