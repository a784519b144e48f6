//! `actifix ingest logs`

use super::client::Client;
use super::output;
use super::{CliError, Global};
use actifix_domain::event::Level;
use actifix_protocol::logs::{LogEvent, LogFormat, LogOptions, LogReader};
use clap::{Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 64 << 10;
/// With `--follow`: an unfinished stack trace is taken as finished after this time without a line.
const IDLE: Duration = Duration::from_secs(2);
/// With `--follow`: how often a file is looked at.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);

/// Turn other sources into events.
#[derive(Debug, Subcommand)]
pub enum IngestCommand {
    /// Log lines and multi-line stack traces (Python, JavaScript, Java, Go, Ruby, .NET, Rust, PHP).
    #[command(
        after_help = "Examples:\n  actifix ingest logs /var/log/shop.log\n  journalctl -fu shop -o cat | actifix ingest logs - --project shop\n  actifix ingest logs app.log --follow"
    )]
    Logs {
        /// File, or `-` for standard input.
        file: String,
        /// Form of the lines.
        #[arg(long, value_enum, default_value_t = Format::Auto)]
        format: Format,
        /// Go on as the file grows, until interrupted.
        #[arg(long)]
        follow: bool,
        /// Least level that becomes an event.
        #[arg(long, default_value = "error")]
        min_level: String,
        /// Project name or id.
        #[arg(long, default_value = "default")]
        project: String,
    },
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Format {
    /// Each line for itself.
    Auto,
    /// JSON lines.
    Json,
    /// Text.
    Plain,
}

/// Runs the command.
pub async fn run(global: &Global, command: IngestCommand) -> Result<ExitCode, CliError> {
    let IngestCommand::Logs { file, format, follow, min_level, project } = command;
    let min_level: Level = min_level.parse().map_err(|why| CliError::usage(format!("--min-level: {why}")))?;
    let format = match format {
        Format::Auto => LogFormat::Auto,
        Format::Json => LogFormat::Json,
        Format::Plain => LogFormat::Plain,
    };
    let reader = LogReader::new(LogOptions { format, min_level });
    let client = Client::connect(global).await?;
    let mut sink = Sink { global, client: &client, project: &project, sent: 0, progress: progress() };
    let result = if file == "-" {
        sink.pump(tokio::io::stdin(), reader, false).await
    } else {
        let path = PathBuf::from(&file);
        let opened = tokio::fs::File::open(&path).await.map_err(|error| CliError::io(&path, error))?;
        sink.pump(opened, reader, follow).await
    };
    sink.progress.finish_and_clear();
    let sent = sink.sent;
    client.close().await?;
    result?;
    if global.json {
        output::json(&json!({ "events": sent }))?;
    } else {
        output::note(format!("{sent} events"));
    }
    Ok(ExitCode::SUCCESS)
}

fn progress() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {bytes} read, {msg}") {
        bar.set_style(style);
    }
    bar
}

struct Sink<'a> {
    global: &'a Global,
    client: &'a Client,
    project: &'a str,
    sent: u64,
    progress: ProgressBar,
}

impl Sink<'_> {
    async fn pump(
        &mut self,
        mut input: impl AsyncRead + Unpin,
        mut reader: LogReader,
        follow: bool,
    ) -> Result<(), CliError> {
        let mut chunk = vec![0u8; CHUNK_BYTES];
        let mut idle = Duration::ZERO;
        loop {
            let read = tokio::select! {
                read = input.read(&mut chunk) => read.map_err(CliError::other)?,
                _ = tokio::signal::ctrl_c() => break,
            };
            if let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) {
                idle = Duration::ZERO;
                self.progress.inc(read as u64);
                let events = reader.feed(bytes);
                self.send(events).await?;
                continue;
            }
            if !follow {
                break;
            }
            if idle >= IDLE {
                let events = reader.flush();
                self.send(events).await?;
                idle = Duration::ZERO;
            }
            tokio::select! {
                () = tokio::time::sleep(FOLLOW_EVERY) => idle += FOLLOW_EVERY,
                _ = tokio::signal::ctrl_c() => break,
            }
        }
        let events = reader.flush();
        self.send(events).await
    }

    async fn send(&mut self, events: Vec<LogEvent>) -> Result<(), CliError> {
        for event in events {
            let body = json!({ "event": event.value, "project": self.project, "transport": "log" });
            let answer: Value = self.client.post("/api/v1/events", &body).await?;
            self.sent += 1;
            self.progress.set_message(format!("{} events", self.sent));
            if !self.global.json {
                super::records::print_recorded(self.global, &answer)?;
            }
        }
        Ok(())
    }
}
