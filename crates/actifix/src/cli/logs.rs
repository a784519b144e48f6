//! `actifix logs …`

use super::interrupt::Interrupt;
use super::output;
use super::{CliError, Global};
use crate::home::Home;
use crate::telemetry::{AUTH, LOG, closed, read_closed};
use actifix_protocol::json::clean;
use clap::Subcommand;
use console::style;
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Own log.
#[derive(Debug, Subcommand)]
pub enum LogsCommand {
    /// Show the end of `.actifix/logs/actifix.log`, and with --json its lines as they are.
    #[command(
        after_help = "Examples:\n  actifix logs tail --lines 50 --follow\n  actifix logs tail --lines 10000 --json | grep '\"level\":\"ERROR\"'\n  actifix logs tail --auth                  who was refused, and from where"
    )]
    Tail {
        /// Lines, at most 10,000; those of closed files too.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        lines: u32,
        /// Go on as it grows, until interrupted.
        #[arg(long)]
        follow: bool,
        /// `auth.log` instead: refused logins and tokens with addresses.
        #[arg(long)]
        auth: bool,
    },
}

/// Bytes of the end of an open log that are read.
const TAIL_BYTES: u64 = 4 << 20;
/// Bytes of one closed file that are read.
const CLOSED_BYTES_MAX: u64 = 64 << 20;
/// How often `--follow` looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// `actifix logs …`
pub async fn run(global: &Global, command: LogsCommand) -> Result<ExitCode, CliError> {
    let LogsCommand::Tail { lines, follow, auth } = command;
    let name = if auth { AUTH } else { LOG };
    let home = Home::at(&global.home);
    if !home.private().exists() {
        return Err(CliError::no_home(&home));
    }
    let dir = home.logs();
    let wanted = usize::try_from(lines).unwrap_or(usize::MAX);
    let mut tail = Tail { path: dir.join(format!("{name}.log")), file: None, half: Vec::new() };
    let told = |error: io::Error| CliError::io(&dir, error);
    let mut last = tail.begin().map_err(told)?;
    if last.len() < wanted {
        last = earlier(&dir, name, wanted - last.len()).map_err(told)?.into_iter().chain(last).collect();
    }
    let over = last.len().saturating_sub(wanted);
    for line in last.iter().skip(over) {
        print(line, global.json)?;
    }
    if !follow {
        return Ok(ExitCode::SUCCESS);
    }
    let mut interrupt = Interrupt::install().map_err(CliError::other)?;
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = interrupt.came() => break,
        }
        for line in tail.more().map_err(told)? {
            print(&line, global.json)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The last lines of closed files, oldest first.
pub fn earlier(dir: &Path, name: &str, wanted: usize) -> io::Result<VecDeque<String>> {
    let mut lines = VecDeque::new();
    for file in closed(dir, name)?.iter().rev() {
        if lines.len() >= wanted {
            break;
        }
        let bytes = match read_closed(file, CLOSED_BYTES_MAX) {
            // It was compressed, or removed, a moment ago.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        for line in String::from_utf8_lossy(&bytes).lines().rev().take(wanted - lines.len()) {
            lines.push_front(line.to_owned());
        }
    }
    Ok(lines)
}

/// Reads a log on, over the ends of its files.
struct Tail {
    path: PathBuf,
    file: Option<File>,
    /// A line whose end was not written yet.
    half: Vec<u8>,
}

impl Tail {
    fn begin(&mut self) -> io::Result<Vec<String>> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            // Closed a moment ago: the next line makes a new one.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && self.path.parent().is_some_and(Path::is_dir) =>
            {
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        let from = file.metadata()?.len().saturating_sub(TAIL_BYTES);
        file.seek(SeekFrom::Start(from))?;
        self.file = Some(file);
        let mut lines = self.read()?;
        if from > 0 && !lines.is_empty() {
            lines.remove(0);
        }
        Ok(lines)
    }

    /// What came since. A file that lost its name is read to its end before the next one is opened.
    fn more(&mut self) -> io::Result<Vec<String>> {
        let named = match std::fs::symlink_metadata(&self.path) {
            Ok(meta) => Some((meta.dev(), meta.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let mut lines = self.read()?;
        let open = match &self.file {
            Some(file) => file.metadata().map(|meta| Some((meta.dev(), meta.ino())))?,
            None => None,
        };
        if named.is_some() && named != open {
            self.half.clear();
            self.file = Some(File::open(&self.path)?);
            lines.extend(self.read()?);
        }
        Ok(lines)
    }

    fn read(&mut self) -> io::Result<Vec<String>> {
        let Some(file) = &mut self.file else { return Ok(Vec::new()) };
        file.read_to_end(&mut self.half)?;
        let Some(end) = self.half.iter().rposition(|byte| *byte == b'\n') else { return Ok(Vec::new()) };
        let rest = self.half.split_off(end + 1);
        let whole = std::mem::replace(&mut self.half, rest);
        Ok(String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect())
    }
}

fn print(line: &str, json: bool) -> Result<(), CliError> {
    match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(members)) if !json => output::stream(for_people(&members)),
        _ => output::stream(clean(line)),
    }
}

/// `2026-11-30 20:15:02 WARN  login.failed reason=password`
fn for_people(members: &Map<String, Value>) -> String {
    let text = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default();
    let time = text("timestamp").get(..19).unwrap_or_default().replace('T', " ");
    let level = match text("level") {
        level @ "ERROR" => style(level).red().bold(),
        level @ "WARN" => style(level).yellow(),
        level => style(level),
    };
    let mut line = format!("{time} {level:<5} {}", clean(text("message")));
    for (name, value) in members {
        if matches!(name.as_str(), "timestamp" | "level" | "message" | "target") {
            continue;
        }
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        line.push_str(&format!(" {}={}", clean(name), clean(&value).replace('\n', " ")));
    }
    line
}
