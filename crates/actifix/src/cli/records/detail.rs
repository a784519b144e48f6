//! What surrounds an error: variables, request, breadcrumbs, user, tags, what the application added.

use crate::cli::CliError;
use crate::cli::output::{self, cut, text};
use console::style;
use serde_json::Value;

/// Breadcrumbs that are shown, the last ones.
const BREADCRUMBS_MAX: usize = 10;
/// Variables of the innermost frame of the application that are shown.
const VARIABLES_MAX: usize = 15;
/// Names of one group that are shown.
const NAMES_MAX: usize = 30;
/// Lines of a text of several lines that are shown, the last ones.
const LINES_MAX: usize = 30;
/// Characters of one line.
const LINE_CHARS_MAX: usize = 200;

/// Prints all that `--json` has and a person asks for first.
pub fn print(event: &Value) -> Result<(), CliError> {
    variables(event)?;
    if let Some(request) = event.get("request") {
        line("request", &format!("{} {}", text(request, "method"), text(request, "url")))?;
    }
    breadcrumbs(event)?;
    group("user", event.get("user"))?;
    group("tags", event.get("tags"))?;
    group("extra", event.get("extra"))?;
    contexts(event)?;
    let facts: Vec<String> = ["release", "environment", "server_name", "platform", "transaction"]
        .iter()
        .filter(|key| !text(event, key).is_empty())
        .map(|key| format!("{key} {}", text(event, key)))
        .collect();
    if facts.is_empty() { Ok(()) } else { output::line(style(facts.join(" · ")).dim().to_string()) }
}

fn line(name: &str, said: &str) -> Result<(), CliError> {
    output::line(format!("{} {said}", style(name).bold()))
}

/// Variables of the frame in which the application was last at work.
fn variables(event: &Value) -> Result<(), CliError> {
    let chain = event.get("exception").and_then(Value::as_array);
    let trace = chain.and_then(|chain| chain.last()).and_then(|last| last.get("stacktrace"));
    let frames = trace.or_else(|| event.get("stacktrace")).and_then(|trace| trace.get("frames"));
    let Some(frames) = frames.and_then(Value::as_array) else { return Ok(()) };
    let holds =
        |frame: &&Value| frame.get("vars").and_then(Value::as_object).is_some_and(|vars| !vars.is_empty());
    let ours = |frame: &&Value| frame.get("in_app").and_then(Value::as_bool) == Some(true);
    let frame = frames.iter().rev().find(|frame| holds(frame) && ours(frame));
    let Some(vars) = frame.and_then(|frame| frame.get("vars")).and_then(Value::as_object) else {
        return Ok(());
    };
    line("variables", &style(frame.map_or("", |frame| text(frame, "function"))).dim().to_string())?;
    for (name, value) in vars.iter().take(VARIABLES_MAX) {
        output::line(format!("  {name} = {}", one_line(value)))?;
    }
    more(vars.len(), VARIABLES_MAX)
}

fn breadcrumbs(event: &Value) -> Result<(), CliError> {
    let all = event.get("breadcrumbs").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if all.is_empty() {
        return Ok(());
    }
    line("breadcrumbs", "")?;
    more(all.len(), BREADCRUMBS_MAX)?;
    for crumb in all.iter().skip(all.len().saturating_sub(BREADCRUMBS_MAX)) {
        let at = text(crumb, "timestamp").get(11..19).unwrap_or("        ");
        let said = match text(crumb, "message") {
            "" => crumb.get("data").map(one_line).unwrap_or_default(),
            message => cut(message, LINE_CHARS_MAX),
        };
        output::line(format!("  {} {} {said}", style(at).dim(), style(text(crumb, "category")).dim()))?;
    }
    Ok(())
}

/// One name a line, where there are several; texts of several lines keep them.
fn group(name: &str, map: Option<&Value>) -> Result<(), CliError> {
    let Some(map) = map.and_then(Value::as_object).filter(|map| !map.is_empty()) else { return Ok(()) };
    let short: Vec<String> = map.iter().map(|(key, value)| format!("{key}={}", one_line(value))).collect();
    let joined = short.join("  ");
    let several = map.values().any(|value| value.as_str().is_some_and(|text| text.contains('\n')));
    if joined.chars().count() <= 100 && !several {
        return line(name, &joined);
    }
    line(name, "")?;
    for (key, value) in map.iter().take(NAMES_MAX) {
        match value.as_str().filter(|text| text.trim_end().contains('\n')) {
            Some(text) => {
                output::line(format!("  {key}:"))?;
                let lines: Vec<&str> = text.trim_end().lines().collect();
                for said in lines.iter().skip(lines.len().saturating_sub(LINES_MAX)) {
                    output::line(format!("    {}", cut(said, LINE_CHARS_MAX)))?;
                }
            }
            None => output::line(format!("  {key} = {}", one_line(value)))?,
        }
    }
    more(map.len(), NAMES_MAX)
}

/// Own contexts of the application; those that SDKs add about runtime and machine in a word each.
fn contexts(event: &Value) -> Result<(), CliError> {
    let mut known = Vec::new();
    for (name, context) in event.get("contexts").and_then(Value::as_object).into_iter().flatten() {
        match name.as_str() {
            "trace" => {}
            "runtime" | "os" | "browser" | "device" | "app" => {
                let said = format!("{} {}", text(context, "name"), text(context, "version"));
                if !said.trim().is_empty() {
                    known.push(said.trim().to_owned());
                }
            }
            _ => group(name, Some(context))?,
        }
    }
    if known.is_empty() { Ok(()) } else { line("running on", &known.join(", ")) }
}

fn one_line(value: &Value) -> String {
    let said = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    cut(&said.replace('\n', "⏎"), LINE_CHARS_MAX)
}

fn more(all: usize, shown: usize) -> Result<(), CliError> {
    let left = all.saturating_sub(shown);
    if left == 0 { Ok(()) } else { output::line(style(format!("  {left} more: --json")).dim().to_string()) }
}
