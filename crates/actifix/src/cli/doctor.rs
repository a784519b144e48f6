//! `actifix doctor`: the checklist of the deployment. The server that runs looks, or this process where none runs.

use super::client::Client;
use super::output::{self, number, text};
use super::{CliError, Global};
use actifix_app::doctor::{Group, State};
use clap::Args;
use console::{StyledObject, style};
use serde_json::Value;
use std::process::ExitCode;

/// Exit code where a check fails.
const FAILED: u8 = 1;
/// Columns of the state and the id before the text of a check.
const INDENT: usize = 4;
/// Narrowest text that is wrapped.
const TEXT_MIN: usize = 40;
/// Widest text, for the eye.
const TEXT_MAX: usize = 100;

/// Look at the deployment: a check per line, with evidence and what to do.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  actifix doctor                what is not as it should be, and what to do\n  actifix doctor --production   as strictly as a server needs that others reach\n  actifix doctor --json | jq '.checks[] | select(.state != \"pass\")'\n\nExit code 1 if a check fails. Each check: docs/doctor.md."
)]
pub struct DoctorArgs {
    /// As strictly as `serve --production`: what only matters where others reach the server fails, not warns.
    #[arg(long)]
    production: bool,
}

/// `actifix doctor`
pub async fn run(global: &Global, args: &DoctorArgs) -> Result<ExitCode, CliError> {
    let client = Client::connect_existing(global).await?;
    let path = if args.production { "/api/v1/doctor?production=true" } else { "/api/v1/doctor" };
    let result = client.get_long(path).await;
    client.close().await?;
    let report = result?;
    if global.json {
        output::json(&report)?;
    } else {
        show(&report)?;
    }
    let healthy = report.get("healthy").and_then(Value::as_bool).unwrap_or_default();
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn show(report: &Value) -> Result<(), CliError> {
    let checks = report.get("checks").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let width = output::width().saturating_sub(INDENT).clamp(TEXT_MIN, TEXT_MAX);
    for group in Group::ALL {
        let mut members = checks.iter().filter(|check| text(check, "group") == group.as_str()).peekable();
        if members.peek().is_none() {
            continue;
        }
        output::line(style(heading(group)).bold().underlined().to_string())?;
        for check in members {
            tell(check, width)?;
        }
        output::line("")?;
    }
    summary(report)
}

const fn heading(group: Group) -> &'static str {
    match group {
        Group::Access => "Access",
        Group::Secrets => "Secrets",
        Group::Network => "Network",
        Group::Data => "Data",
        Group::Operation => "Operation",
    }
}

fn tell(check: &Value, width: usize) -> Result<(), CliError> {
    let state = state_of(check);
    let head = format!("{} {}", text(check, "id"), style(text(check, "title")).dim());
    let severity =
        if state == State::Fail { format!(" [{}]", text(check, "severity")) } else { String::new() };
    output::line(format!("  {} {head}{severity}", mark(state)))?;
    for line in wrapped(text(check, "evidence"), width) {
        output::line(format!("{:INDENT$}{}", "", style(line).dim()))?;
    }
    if state != State::Pass {
        let advice = format!("-> {}", text(check, "advice"));
        for line in wrapped(&advice, width) {
            output::line(format!("{:INDENT$}{line}", ""))?;
        }
    }
    Ok(())
}

fn state_of(check: &Value) -> State {
    let word = text(check, "state");
    // A word of a newer server is none that passes.
    State::ALL.into_iter().find(|state| state.as_str() == word).unwrap_or(State::Unknown)
}

fn mark(state: State) -> StyledObject<&'static str> {
    match state {
        State::Pass => style("pass   ").green(),
        State::Warn => style("warn   ").yellow(),
        State::Unknown => style("unknown").cyan(),
        State::Fail => style("FAIL   ").red().bold(),
    }
}

fn summary(report: &Value) -> Result<(), CliError> {
    let counts = report.get("counts").unwrap_or(&Value::Null);
    let count = |name: &str| number(counts, name);
    let text = format!(
        "{} pass, {} warn, {} unknown, {} fail",
        count("pass"),
        count("warn"),
        count("unknown"),
        count("fail")
    );
    let strict = report.get("production").and_then(Value::as_bool).unwrap_or_default();
    let how = if strict {
        "judged as a production server"
    } else {
        "before production run `actifix doctor --production`"
    };
    let text = match (count("fail"), count("warn") + count("unknown")) {
        (0, 0) => style(text).green().bold(),
        (0, _) => style(text).yellow().bold(),
        _ => style(text).red().bold(),
    };
    output::line(format!("{text}; {how}"))
}

/// Lines of at most `width` columns; words are not cut, so that commands can be copied.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line)
                if console::measure_text_width(line) + 1 + console::measure_text_width(word) <= width =>
            {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_between_words() {
        assert_eq!(wrapped("run `actifix x` now", 9), ["run", "`actifix", "x` now"]);
        assert_eq!(wrapped("averyveryverylongword b", 5), ["averyveryverylongword", "b"]);
        assert_eq!(wrapped("", 5), [""]);
    }

    #[test]
    fn a_state_that_is_not_known_is_none_that_passes() {
        assert_eq!(state_of(&serde_json::json!({ "state": "brilliant" })), State::Unknown);
        assert_eq!(state_of(&serde_json::json!({ "state": "pass" })), State::Pass);
    }
}
