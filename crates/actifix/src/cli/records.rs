//! `actifix record`, `actifix run`, and how an event looks on a terminal.

mod detail;

use super::client::Client;
use super::output::{self, number, text};
use super::throttle::held;
use super::{CliError, Global};
use clap::{Args, ValueEnum};
use console::style;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr};
use tokio::signal::unix::{SignalKind, signal};

/// Longest stack trace that `--stack -` reads, bytes.
const STACK_BYTES_MAX: u64 = 1 << 20;
/// Lines of standard error that a failed program's event keeps.
const TAIL_LINES: usize = 200;
/// Bytes of standard error that a failed program's event keeps.
const TAIL_BYTES: usize = 64 << 10;

/// Characters of the last line that become part of the message.
const LAST_LINE_CHARS: usize = 200;
/// Exit code for a program that does not exist.
const NOT_FOUND: u8 = 127;
/// Exit code for a program that cannot be run.
const NOT_RUNNABLE: u8 = 126;
/// Programs whose first argument is the program that people mean.
const INTERPRETERS: [&str; 14] = [
    "sh", "bash", "dash", "zsh", "python", "pypy", "node", "deno", "bun", "ruby", "perl", "php", "Rscript",
    "lua",
];

/// After the program has ended, its standard error may stay silent for this time.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Record an error.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  actifix record 'disk is full' --priority P1 --source backup.sh:17\n  some-command 2>&1 | actifix record 'some-command failed' --stack -"
)]
pub struct RecordArgs {
    /// What went wrong.
    message: String,
    /// Class of the error.
    #[arg(long = "type", value_name = "T")]
    error_type: Option<String>,
    /// P0 to P4.
    #[arg(long)]
    priority: Option<String>,
    /// debug, info, warning, error or fatal.
    #[arg(long)]
    level: Option<String>,
    /// Where.
    #[arg(long, value_name = "FILE:LINE")]
    source: Option<String>,
    /// Project name or id.
    #[arg(long, default_value = "default")]
    project: String,
    /// Read a stack trace from standard input (`-`).
    #[arg(long, value_name = "-")]
    stack: Option<Stdin>,
    /// Version of the program.
    #[arg(long)]
    release: Option<String>,
    /// Where it runs.
    #[arg(long)]
    environment: Option<String>,
    /// KEY=VALUE, to search by.
    #[arg(long, value_name = "KEY=VALUE")]
    tag: Vec<String>,
}

/// The only source that a stack trace is read from.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Stdin {
    /// Standard input.
    #[value(name = "-")]
    Stdin,
}

/// Run a program.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  actifix run -- python nightly.py --full")]
pub struct RunArgs {
    /// Project name or id.
    #[arg(long, default_value = "default")]
    project: String,
    /// Program and arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    command: Vec<String>,
}

/// `actifix record`
pub async fn record(global: &Global, args: RecordArgs) -> Result<ExitCode, CliError> {
    let stack = match args.stack {
        Some(Stdin::Stdin) => {
            let mut bytes = Vec::new();
            std::io::stdin().take(STACK_BYTES_MAX).read_to_end(&mut bytes).map_err(CliError::other)?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
        None => None,
    };
    let mut tags = Map::new();
    for pair in &args.tag {
        let (key, value) =
            pair.split_once('=').ok_or_else(|| CliError::usage("--tag: expected KEY=VALUE"))?;
        tags.insert(key.to_owned(), json!(value));
    }
    let priority = match &args.priority {
        Some(word) => Some(
            word.parse::<actifix_domain::ticket::Priority>()
                .map_err(|why| CliError::usage(format!("--priority: {why}")))?,
        ),
        None => None,
    };
    let level = match &args.level {
        Some(word) => Some(
            word.parse::<actifix_domain::event::Level>()
                .map_err(|why| CliError::usage(format!("--level: {why}")))?,
        ),
        None => None,
    };
    let body = json!({
        "message": args.message,
        "type": args.error_type,
        "priority": priority,
        "level": level,
        "source": args.source,
        "project": args.project,
        "stacktrace": stack,
        "release": args.release,
        "environment": args.environment,
        "tags": tags,
        "transport": "cli",
    });
    let client = Client::connect(global).await?;
    let answer = client.post("/api/v1/events", &body).await;
    client.close().await?;
    print_recorded(global, &answer?)?;
    Ok(ExitCode::SUCCESS)
}

/// Ticket id and what the event did.
pub fn print_recorded(global: &Global, answer: &Value) -> Result<(), CliError> {
    if global.json {
        return output::json(answer);
    }
    let did = match (text(answer, "outcome"), text(answer, "change")) {
        ("held", _) => {
            output::note(held(answer.get("held_because"), text(answer, "ticket_id")));
            "held".to_owned()
        }
        ("duplicate", _) => "duplicate".to_owned(),
        (_, "seen") => format!("seen ({})", output::grouped(number(answer, "count"))),
        (_, change) => change.to_owned(),
    };
    output::line(format!("{} {did}", text(answer, "ticket_id")))
}

/// `actifix run`
pub async fn run(global: &Global, args: RunArgs) -> Result<ExitCode, CliError> {
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(CliError::usage("a program to run"));
    };
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        // Our credentials are nobody else's business, and where systemd keeps them neither.
        .env_remove("ACTIFIX_MASTER_KEY")
        .env_remove("ACTIFIX_MASTER_KEY_FILE")
        .env_remove("ACTIFIX_TOKEN")
        .env_remove("ACTIFIX_TOKEN_FILE")
        .env_remove("CREDENTIALS_DIRECTORY")
        .stderr(Stdio::piped())
        .spawn();
    let mut tail = Tail::default();
    let (code, ended) = match &mut child {
        Ok(child) => {
            let status = watch(child, &mut tail).await.map_err(CliError::other)?;
            if status.success() {
                return Ok(ExitCode::SUCCESS);
            }
            (exit_code(status), ended(status))
        }
        // A program that is gone is a failure like any other; the codes are those of shells.
        Err(error) => {
            output::note(format!("actifix: {program}: {error}"));
            tail.push(error.to_string().as_bytes());
            let code = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_RUNNABLE };
            (code, "could not be started".to_owned())
        }
    };
    match record_failure(global, &args, &ended, &tail).await {
        Ok(answer) => {
            let held = if text(&answer, "outcome") == "held" { " (held)" } else { "" };
            output::note(format!("actifix: recorded as {}{held}", text(&answer, "ticket_id")));
        }
        Err(error) => output::note(format!("actifix: not recorded: {error}")),
    }
    Ok(ExitCode::from(code))
}

fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// What people know a command by: the program, or the script that an interpreter runs.
fn label(command: &[String]) -> &str {
    let base = |path: &'_ str| path.rfind('/').map_or(0, |slash| slash + 1);
    let Some(program) = command.first() else { return "" };
    let program = program.get(base(program)..).unwrap_or(program);
    let is_interpreter = INTERPRETERS.iter().any(|known| {
        program.strip_prefix(known).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
    });
    match command.get(1) {
        Some(script) if is_interpreter && !script.starts_with('-') => {
            script.get(base(script)..).unwrap_or(script)
        }
        _ => program,
    }
}

/// Passes standard error on and signals through, until the program has ended.
async fn watch(child: &mut Child, tail: &mut Tail) -> io::Result<ExitStatus> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut stderr = child.stderr.take();
    let mut chunk = [0u8; 8 << 10];
    let status = loop {
        tokio::select! {
            // What was written before the end is read before the end is seen.
            biased;
            length = read_some(&mut stderr, &mut chunk) => pass_on(length, &mut stderr, &chunk, tail),
            status = child.wait() => break status?,
            _ = terminate.recv() => forward(child, Signal::TERM),
            _ = hangup.recv() => forward(child, Signal::HUP),
            // On a terminal the program is in the same group and has got its own.
            _ = interrupt.recv() => if !io::stdin().is_terminal() { forward(child, Signal::INT) },
        }
    };
    // A child of the program may hold its standard error for ever: only what comes soon is waited for.
    while stderr.is_some() {
        match tokio::time::timeout(LAST_WORDS, read_some(&mut stderr, &mut chunk)).await {
            Ok(length) => pass_on(length, &mut stderr, &chunk, tail),
            Err(_) => break,
        }
    }
    Ok(status)
}

/// Waits for ever when there is nothing to read from.
async fn read_some(stderr: &mut Option<ChildStderr>, chunk: &mut [u8]) -> usize {
    match stderr {
        Some(stderr) => stderr.read(chunk).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}

fn pass_on(length: usize, stderr: &mut Option<ChildStderr>, chunk: &[u8], tail: &mut Tail) {
    match chunk.get(..length).filter(|bytes| !bytes.is_empty()) {
        Some(bytes) => {
            let _closed = io::stderr().write_all(bytes);
            tail.push(bytes);
        }
        None => *stderr = None,
    }
}

fn forward(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _already_gone = kill_process(pid, signal);
    }
}

async fn record_failure(
    global: &Global,
    args: &RunArgs,
    ended: &str,
    tail: &Tail,
) -> Result<Value, CliError> {
    let name = label(&args.command);
    let stderr = tail.text();
    // The last words tell one failure of a program from another.
    let last = stderr.lines().rev().find(|line| !line.trim().is_empty()).map(str::trim).unwrap_or_default();
    let message = if last.is_empty() {
        format!("{name} {ended}")
    } else {
        format!("{name} {ended}: {}", output::cut(last, LAST_LINE_CHARS))
    };
    let mut body = json!({
        "message": message,
        "project": args.project,
        "level": "error",
        "tags": { "command": name },
        "extra": { "command": args.command, "stderr": stderr },
        "transport": "cli",
    });
    // A stack trace at the end of standard error says more than the exit code.
    if let Some(trace) = actifix_protocol::stacktext::parse(&stderr, None)
        && let Some(map) = body.as_object_mut()
        && let Some(last) = trace.exceptions.last()
    {
        map.insert("stacktrace".into(), json!(stderr));
        map.insert("type".into(), json!(last.exception_type));
        map.insert("message".into(), json!(format!("{name} {ended}")));
        // Nobody caught it: as urgent as an unhandled error of an SDK.
        map.insert("priority".into(), json!("P1"));
    }
    let client = Client::connect(global).await?;
    let answer = client.post("/api/v1/events", &body).await;
    client.close().await?;
    answer
}

/// The exit code of the program, as a shell shows it: 128 + n for signal n.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code & 0xff).unwrap_or(1)
}

/// The last lines of a stream, in bounded memory.
#[derive(Debug, Default)]
struct Tail {
    bytes: VecDeque<u8>,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        let over = self.bytes.len().saturating_sub(TAIL_BYTES);
        self.bytes.drain(..over);
    }

    fn text(&self) -> String {
        let bytes: Vec<u8> = self.bytes.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(TAIL_LINES)).copied().collect::<Vec<_>>().join("\n")
    }
}

/// An event as a person reads it: chain, frames of the application first, request, breadcrumbs.
pub fn print_event(event: &Value) -> Result<(), CliError> {
    output::line(
        style(format!("\nevent {} {}", text(event, "event_id"), output::time(event, "timestamp")))
            .dim()
            .to_string(),
    )?;
    let chain = event.get("exception").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (place, exception) in chain.iter().rev().enumerate() {
        let lead = if place == 0 { "" } else { "caused by " };
        output::line(format!(
            "{lead}{}: {}",
            style(text(exception, "type")).bold(),
            output::cut(text(exception, "value").lines().next().unwrap_or_default(), 200)
        ))?;
        print_frames(exception.get("stacktrace"))?;
    }
    if let Some(entry) = event.get("logentry") {
        let formatted = text(entry, "formatted");
        let said = if formatted.is_empty() { text(entry, "message") } else { formatted };
        let lead = if chain.is_empty() { String::new() } else { format!("{} ", style("message").bold()) };
        output::line(format!("{lead}{said}"))?;
    }
    if chain.is_empty() {
        print_frames(event.get("stacktrace"))?;
    }
    detail::print(event)
}

fn print_frames(stacktrace: Option<&Value>) -> Result<(), CliError> {
    let frames = stacktrace.and_then(|trace| trace.get("frames")).and_then(Value::as_array);
    for frame in frames.into_iter().flatten().rev() {
        let ours = frame.get("in_app").and_then(Value::as_bool) == Some(true);
        let file =
            if text(frame, "filename").is_empty() { text(frame, "module") } else { text(frame, "filename") };
        let line = frame.get("lineno").map(|line| format!(":{line}")).unwrap_or_default();
        let at = format!("  at {} ({file}{line})", text(frame, "function"));
        output::line(if ours { at } else { style(at).dim().to_string() })?;
        if ours && !text(frame, "context_line").is_empty() {
            output::line(style(format!("     {}", text(frame, "context_line").trim())).cyan().to_string())?;
        }
    }
    Ok(())
}
