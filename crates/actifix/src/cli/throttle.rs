//! `actifix throttle …`: floods, and requests that no key lets in.

use super::client::{Client, encoded};
use super::ids;
use super::output::{self, ago, counted, grouped, number, text, time};
use super::sheet::{Fit, Look, Sheet};
use super::{CliError, Global};
use clap::Subcommand;
use console::style;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Kinds of refused requests that are told; the rest is in `--json`.
const REFUSED_MAX: usize = 10;

/// Flood protection.
#[derive(Debug, Subcommand)]
pub enum ThrottleCommand {
    /// Limits, brake and held tickets.
    #[command(after_help = "Example:\n  actifix throttle status --project shop")]
    Status {
        /// Name or id; by default `default`, and a word on others that hold tickets.
        #[arg(long)]
        project: Option<String>,
    },
    /// Forget windows and release the brake.
    #[command(after_help = "Example:\n  actifix throttle reset --project shop")]
    Reset {
        /// Name or id.
        #[arg(long, default_value = "default")]
        project: String,
    },
    /// Open held tickets now.
    #[command(
        after_help = "Examples:\n  actifix throttle promote --limit 10\n  actifix throttle promote 7K3QF"
    )]
    Promote {
        /// Only this ticket: its id, or the end of it.
        ticket: Option<String>,
        /// Name or id.
        #[arg(long, default_value = "default")]
        project: String,
        /// The oldest n, 1 to 1,000.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
}

/// `actifix throttle …`
pub async fn throttle(global: &Global, command: ThrottleCommand) -> Result<ExitCode, CliError> {
    let client = Client::connect_existing(global).await?;
    let names_one = matches!(&command, ThrottleCommand::Promote { ticket: Some(_), .. });
    let mut elsewhere = Vec::new();
    let result = match &command {
        ThrottleCommand::Status { project } => {
            if project.is_none() && !global.json {
                elsewhere = held_elsewhere(&client).await?;
            }
            let project = project.as_deref().unwrap_or("default");
            client.get("/api/v1/throttle", &[("project", project)]).await
        }
        ThrottleCommand::Reset { project } => {
            client.post("/api/v1/throttle/reset", &json!({ "project": project })).await
        }
        ThrottleCommand::Promote { ticket, project, limit } => {
            promote(&client, ticket.as_deref(), project, *limit).await
        }
    };
    client.close().await?;
    let answer = result?;
    if global.json {
        output::json(&answer)?;
    } else if let Some(promoted) = answer.get("promoted").and_then(Value::as_array) {
        output::line(match promoted.len() {
            0 if names_one => "That ticket is not held: it is open already.".to_owned(),
            0 => "Nothing is held: no ticket waits to be opened.".to_owned(),
            many => format!("opened {}", counted(many as u64, "ticket", "tickets")),
        })?;
    } else if answer.is_null() {
        output::line("The throttle was reset.")?;
    } else {
        output::line(throttle_text(&answer))?;
        for line in elsewhere.into_iter().chain(refused_lines(&answer)) {
            output::line(line)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A line for each other project that holds tickets: a flood need not be where one looks first.
async fn held_elsewhere(client: &Client) -> Result<Vec<String>, CliError> {
    let projects = client.get("/api/v1/projects", &[]).await?;
    let mut lines = Vec::new();
    for project in projects.get("items").and_then(Value::as_array).into_iter().flatten() {
        let name = text(project, "name");
        if name == "default" {
            continue;
        }
        let id = number(project, "id").to_string();
        let held: u64 =
            held_by_priority(&client.get("/api/v1/throttle", &[("project", &id)]).await?).iter().sum();
        if held > 0 {
            let held = counted(held, "ticket is", "tickets are");
            let line = format!("{held} held in project {name}: actifix throttle status --project {name}");
            lines.push(style(line).yellow().to_string());
        }
    }
    Ok(lines)
}

fn held_by_priority(answer: &Value) -> Vec<u64> {
    let held = answer.get("held").and_then(|held| held.get("held")).and_then(Value::as_array);
    held.into_iter().flatten().filter_map(Value::as_u64).collect()
}

async fn promote(
    client: &Client,
    ticket: Option<&str>,
    project: &str,
    limit: u32,
) -> Result<Value, CliError> {
    let body = match ticket {
        Some(typed) => {
            let id = ids::ticket(client, typed).await?;
            let held = client.get(&format!("/api/v1/tickets/{}", encoded(&id)), &[]).await?;
            // Its project is known: nobody needs to name it.
            json!({ "project": number(&held, "project").to_string(), "ticket": id, "limit": limit })
        }
        None => json!({ "project": project, "limit": limit }),
    };
    client.post("/api/v1/throttle/promote", &body).await
}

fn throttle_text(answer: &Value) -> String {
    let empty = Value::Null;
    let throttle = answer.get("throttle").unwrap_or(&empty);
    let held = answer.get("held").unwrap_or(&empty);
    let sentence = match text(throttle, "brake") {
        "off" | "" => style("The brake is off.").green().to_string(),
        other => style(format!("The brake is on ({other}).")).red().bold().to_string(),
    };
    let by_priority = held_by_priority(answer);
    let mut sheet = Sheet::new(&[
        ("PRIO", Fit::Whole),
        ("OPENED", Fit::Whole),
        ("LIMIT", Fit::Whole),
        ("WINDOW", Fit::Whole),
        ("FREES AT (UTC)", Fit::Spare(1)),
        ("HELD", Fit::Whole),
    ]);
    for (place, held) in by_priority.iter().enumerate() {
        let name = format!("P{place}");
        let limits = throttle.get("priorities").and_then(Value::as_array).into_iter().flatten();
        let limit = limits.into_iter().find(|limit| text(limit, "priority") == name).unwrap_or(&empty);
        let limited = !limit.is_null();
        let or_dash = |text: String| if limited { text } else { "–".to_owned() };
        sheet.row([
            name.clone(),
            or_dash(grouped(number(limit, "used"))),
            or_dash(grouped(number(limit, "limit"))),
            or_dash(format!("{} h", number(limit, "window_seconds") / 3_600)),
            time(limit, "frees_at"),
            grouped(*held),
        ]);
        sheet.look(0, Look::priority(&name));
    }
    format!(
        "{sentence} {} in the last minute; it comes on above {}, hard above {}.\n{} held with {}; {} only counted, beyond the cap.\n{}",
        counted(number(throttle, "new_last_minute"), "new ticket", "new tickets"),
        grouped(number(throttle, "brake_new_per_minute")),
        grouped(number(throttle, "brake_hard_new_per_minute")),
        counted(by_priority.iter().sum(), "ticket is", "tickets are"),
        counted(number(held, "events"), "event", "events"),
        counted(number(held, "beyond_cap"), "event was", "events were"),
        sheet.render(),
    )
}

/// Requests whose key was refused, in a line for each kind: what is wrong with a DSN somewhere.
pub fn refused_lines(answer: &Value) -> Vec<String> {
    let all = answer.get("refused").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut lines: Vec<String> = all.iter().take(REFUSED_MAX).map(refused_line).collect();
    if all.len() > REFUSED_MAX {
        lines.push(
            style(format!("{} more kinds of refusals: --json", all.len() - REFUSED_MAX)).dim().to_string(),
        );
    }
    if !lines.is_empty() {
        let advice =
            "counted since the start; a DSN is wrong there: `actifix project key list` shows the right ones";
        lines.push(style(advice).dim().to_string());
    }
    lines
}

fn refused_line(refused: &Value) -> String {
    let id = |name: &str| refused.get(name).and_then(Value::as_i64);
    let why = match (text(refused, "reason"), id("project"), id("asked_project")) {
        ("unknown_key", _, Some(asked)) => format!("with a key that nobody has, to project {asked}"),
        ("unknown_key", _, None) => "with a key that nobody has".to_owned(),
        ("disabled_key", Some(project), _) => format!("with a disabled key of project {project}"),
        ("disabled_key", ..) => "with a disabled key".to_owned(),
        ("wrong_project", Some(project), Some(asked)) => {
            format!("with a key of project {project}, to project {asked}")
        }
        ("wrong_project", ..) => "with a key of another project".to_owned(),
        ("no_key", _, Some(asked)) => format!("without a key, to project {asked}"),
        ("no_key", ..) => "without a key".to_owned(),
        ("conflict", ..) => "with several keys that differ".to_owned(),
        (other, ..) => other.to_owned(),
    };
    let when = match ago(refused, "last_seen").as_str() {
        "now" => "just now".to_owned(),
        ago if ago.contains(':') => format!("{ago} UTC"),
        ago => format!("{ago} ago"),
    };
    format!(
        "{} {} {why}; the last {when}",
        style("refused:").red().bold(),
        counted(number(refused, "count"), "request", "requests"),
    )
}
