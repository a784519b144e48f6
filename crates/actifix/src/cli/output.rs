//! What a person sees: colours on a terminal, plain text in a pipe, JSON when asked.

pub use actifix_domain::words::{are, grouped, many, plural, times};

use super::CliError;
use actifix_app::ports::Clock;
use actifix_domain::time::{DAY, HOUR, MINUTE, Timestamp};
use console::{Term, style};
use serde_json::Value;
use std::io::{self, Write};

/// Prints one line on standard output. A closed pipe (`| head`) is not an error.
pub fn line(text: impl AsRef<str>) -> Result<(), CliError> {
    raw(format!("{}\n", text.as_ref()).as_bytes())
}

/// Prints bytes on standard output.
pub fn raw(bytes: &[u8]) -> Result<(), CliError> {
    match write(bytes) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(CliError::other),
    }
}

/// Prints a line of many: when nobody reads on, the command is over.
pub fn stream(text: impl AsRef<str>) -> Result<(), CliError> {
    write(format!("{}\n", text.as_ref()).as_bytes()).map_err(CliError::written)
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush())
}

/// Prints a line in the background: what to do next, what was left out.
pub fn dim(text: impl AsRef<str>) -> Result<(), CliError> {
    line(style(text.as_ref()).dim().to_string())
}

/// Prints JSON, indented on a terminal.
pub fn json(value: &Value) -> Result<(), CliError> {
    let text = if Term::stdout().is_term() { format!("{value:#}") } else { value.to_string() };
    line(text)
}

/// A remark on standard error.
pub fn note(text: impl AsRef<str>) {
    let _closed = writeln!(io::stderr(), "{}", text.as_ref());
}

/// The one line of an error.
pub fn error(error: &CliError, json: bool) {
    let mut err = io::stderr();
    // What libraries say may have several lines.
    let text = error.to_string();
    let text = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let _closed = if json {
        writeln!(err, "{}", serde_json::json!({ "error": text, "code": error.exit_code() }))
    } else {
        writeln!(err, "{} {text}", style("error:").for_stderr().red().bold())
    };
}

/// Columns of the terminal; of a pipe, enough for every column of ours.
pub fn width() -> usize {
    Term::stdout().size_checked().map_or(160, |(_, width)| usize::from(width).max(60))
}

/// Text of a member, or nothing.
pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Number of a member, or 0.
pub fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or_default()
}

/// Items of a list answer.
pub fn items(value: &Value) -> &[Value] {
    value.get("items").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A time without its fraction: `2026-11-24 09:47:29`.
pub fn time(value: &Value, key: &str) -> String {
    text(value, key).get(..19).unwrap_or_default().replace('T', " ")
}

/// How long ago, for tables on a terminal (`5 min`); in a pipe the time itself, since it is read later.
pub fn ago(value: &Value, key: &str) -> String {
    let Some(then) = Timestamp::parse(text(value, key)) else { return String::new() };
    if !Term::stdout().is_term() {
        return time(value, key);
    }
    span(crate::system::SystemClock::new().now().since(then))
}

fn span(micros: i64) -> String {
    if micros < MINUTE {
        "now".to_owned()
    } else if micros < HOUR {
        format!("{} min", micros / MINUTE)
    } else if micros < DAY {
        format!("{} h", micros / HOUR)
    } else {
        format!("{} d", micros / DAY)
    }
}

/// At most `max` characters, cut with an ellipsis.
pub fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(max.saturating_sub(1)).collect();
    short.push('…');
    short
}
