//! `actifix events|findings|quarantine|throttle …`

use super::client::{Client, encoded};
use super::output::{self, ago, grouped, items, number, number as number_of, text, time};
use super::sheet::{Fit, Look, Sheet};
use super::{CliError, Global};
use crate::home::Home;
use clap::Subcommand;
use console::style;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::io::{Read, Seek, SeekFrom};
use std::process::ExitCode;
use std::time::Duration;

/// Events.
#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Show one event.
    Show {
        /// Event id.
        id: String,
        /// Project, where ids collide.
        #[arg(long)]
        project: Option<String>,
    },
    /// Show tickets as events arrive, until interrupted.
    #[command(after_help = "Example:\n  actifix events tail --project shop")]
    Tail {
        /// Only this project.
        #[arg(long)]
        project: Option<String>,
    },
}

/// Findings.
#[derive(Debug, Subcommand)]
pub enum FindingsCommand {
    /// Which secrets leaked, from where, how often.
    #[command(after_help = "Example:\n  actifix findings list --state open")]
    List {
        /// Only this project.
        #[arg(long)]
        project: Option<String>,
        /// open, rotated or false-positive.
        #[arg(long)]
        state: Option<FindingWord>,
        /// Rule id.
        #[arg(long)]
        rule: Option<String>,
    },
    /// One finding.
    Show {
        /// Finding id.
        id: String,
    },
    /// Say what became of it.
    #[command(
        after_help = "Example:\n  actifix findings resolve ID --state rotated --note 'new key since Tuesday'"
    )]
    Resolve {
        /// Finding id.
        id: String,
        /// rotated, false-positive or open.
        #[arg(long, default_value = "rotated")]
        state: FindingWord,
        /// At most 1,000 characters.
        #[arg(long, default_value = "")]
        note: String,
    },
}

/// What became of a leaked secret.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum FindingWord {
    /// Nobody looked yet.
    Open,
    /// It was replaced at its issuer.
    Rotated,
    /// It was none.
    #[value(alias = "false_positive")]
    FalsePositive,
}

impl FindingWord {
    /// The word of the API.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Rotated => "rotated",
            Self::FalsePositive => "false_positive",
        }
    }
}

/// Quarantine.
#[derive(Debug, Subcommand)]
pub enum QuarantineCommand {
    /// What is isolated, and why.
    List {
        /// Only this project.
        #[arg(long)]
        project: Option<String>,
    },
    /// One entry, without its content.
    Show {
        /// Entry id.
        id: String,
    },
    /// Run it through the pipeline again, with a larger budget.
    Release {
        /// Entry id.
        id: String,
    },
    /// Delete it.
    Delete {
        /// Entry id.
        id: String,
    },
}

/// Throttle.
#[derive(Debug, Subcommand)]
pub enum ThrottleCommand {
    /// Limits, brake and held tickets.
    Status {
        /// Name or id.
        #[arg(long, default_value = "default")]
        project: String,
    },
    /// Forget windows and release the brake.
    Reset {
        /// Name or id.
        #[arg(long, default_value = "default")]
        project: String,
    },
    /// Open held tickets now.
    #[command(
        after_help = "Examples:\n  actifix throttle promote --limit 10\n  actifix throttle promote ACT-20261124-7K3QF"
    )]
    Promote {
        /// Only this ticket.
        ticket: Option<String>,
        /// Name or id.
        #[arg(long, default_value = "default")]
        project: String,
        /// The oldest n, 1 to 1,000.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
}

/// Own log.
#[derive(Debug, Subcommand)]
pub enum LogsCommand {
    /// Show the end of `.actifix/logs/actifix.log`.
    #[command(after_help = "Example:\n  actifix logs tail --lines 50 --follow")]
    Tail {
        /// Lines, at most 10,000.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        lines: u32,
        /// Go on as it grows, until interrupted.
        #[arg(long)]
        follow: bool,
    },
}

/// Bytes of the end of the log that are read.
const LOG_TAIL_BYTES: u64 = 4 << 20;

/// `actifix logs tail`
pub async fn logs(global: &Global, command: LogsCommand) -> Result<ExitCode, CliError> {
    let LogsCommand::Tail { lines, follow } = command;
    let path = Home::at(&global.home).logs().join("actifix.log");
    let mut file = std::fs::File::open(&path).map_err(|error| CliError::io(&path, error))?;
    let length = file.metadata().map_err(|error| CliError::io(&path, error))?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))
        .map_err(|error| CliError::io(&path, error))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(|error| CliError::io(&path, error))?;
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    for line in all.iter().skip(all.len().saturating_sub(usize::try_from(lines).unwrap_or(usize::MAX))) {
        output::line(line)?;
    }
    if !follow {
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        tokio::select! {
            () = tokio::time::sleep(TAIL_EVERY) => {}
            _ = tokio::signal::ctrl_c() => break,
        }
        let mut more = Vec::new();
        file.read_to_end(&mut more).map_err(|error| CliError::io(&path, error))?;
        output::raw(&more)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `actifix events …`
pub async fn events(global: &Global, command: EventsCommand) -> Result<ExitCode, CliError> {
    let client = Client::connect_existing(global).await?;
    let result = match command {
        EventsCommand::Show { id, project } => {
            let query: Vec<(&str, &str)> =
                project.iter().map(|project| ("project", project.as_str())).collect();
            match client.get(&format!("/api/v1/events/{}", encoded(&id)), &query).await {
                Ok(event) if global.json => output::json(&event),
                Ok(event) => super::records::print_event(&event),
                Err(error) => Err(error),
            }
        }
        EventsCommand::Tail { project } => tail(global, &client, project.as_deref()).await,
    };
    client.close().await?;
    result.map(|()| ExitCode::SUCCESS)
}

/// How often `tail` asks.
const TAIL_EVERY: Duration = Duration::from_secs(1);
/// Tickets that one look of `tail` reads.
const TAIL_LIMIT: &str = "50";
/// States that `tail` remembers before it forgets all.
const TAIL_SEEN_MAX: usize = 10_000;

async fn tail(global: &Global, client: &Client, project: Option<&str>) -> Result<(), CliError> {
    let mut seen: HashSet<(String, u64)> = HashSet::new();
    let mut first = true;
    loop {
        let mut query = vec![("sort", "last_seen"), ("limit", TAIL_LIMIT)];
        query.extend(project.map(|project| ("project", project)));
        let page = client.get("/api/v1/tickets", &query).await?;
        if seen.len() > TAIL_SEEN_MAX {
            seen.clear();
            first = true;
        }
        for ticket in items(&page).iter().rev() {
            let state = (text(ticket, "id").to_owned(), number(ticket, "count"));
            if !seen.insert(state) || first {
                continue;
            }
            if global.json {
                output::line(ticket.to_string())?;
            } else {
                output::line(format!(
                    "{} {} {} × {} {}",
                    style(time(ticket, "last_seen")).dim(),
                    text(ticket, "id"),
                    text(ticket, "priority"),
                    grouped(number(ticket, "count")),
                    text(ticket, "title"),
                ))?;
            }
        }
        first = false;
        tokio::select! {
            () = tokio::time::sleep(TAIL_EVERY) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

/// `actifix findings …`
pub async fn findings(global: &Global, command: FindingsCommand) -> Result<ExitCode, CliError> {
    let client = Client::connect_existing(global).await?;
    let result = match command {
        FindingsCommand::List { project, state, rule } => {
            let mut query = vec![("limit", "200")];
            for (name, value) in [("project", &project), ("rule", &rule)] {
                query.extend(value.as_deref().map(|value| (name, value)));
            }
            query.extend(state.map(|state| ("state", state.as_str())));
            client.get("/api/v1/findings", &query).await
        }
        FindingsCommand::Show { id } => client.get(&format!("/api/v1/findings/{}", encoded(&id)), &[]).await,
        FindingsCommand::Resolve { id, state, note } => {
            client
                .post(
                    &format!("/api/v1/findings/{}/resolve", encoded(&id)),
                    &json!({ "state": state.as_str(), "note": note }),
                )
                .await
        }
    };
    client.close().await?;
    let answer = result?;
    if global.json {
        output::json(&answer)?;
    } else if answer.get("items").is_some() {
        findings_table(&answer)?;
    } else {
        print_finding(&answer)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One finding: which secret, how often, since when, from where, and what to do.
fn print_finding(finding: &Value) -> Result<(), CliError> {
    output::line(format!(
        "{}  {} {}  {}",
        text(finding, "id"),
        text(finding, "severity"),
        text(finding, "rule"),
        text(finding, "masked"),
    ))?;
    output::line(format!(
        "{} times, first {} UTC, last {} UTC, project {}",
        grouped(number(finding, "count")),
        time(finding, "first_seen"),
        time(finding, "last_seen"),
        number(finding, "project"),
    ))?;
    let note = text(finding, "note");
    let note = if note.is_empty() { String::new() } else { format!(" ({note})") };
    output::line(format!("state: {}{note}", text(finding, "state").replace('_', " ")))?;
    output::line(format!("fix: {}", text(finding, "fix")))?;
    for place in finding.get("places").and_then(Value::as_array).into_iter().flatten() {
        output::line(format!("  {} {}", text(place, "ticket_id"), text(place, "path")))?;
    }
    Ok(())
}

fn findings_table(answer: &Value) -> Result<(), CliError> {
    if items(answer).is_empty() {
        return output::line("No secrets were found in events.");
    }
    let mut sheet = Sheet::new(&[
        ("ID", Fit::Whole),
        ("RULE", Fit::Whole),
        ("SEVERITY", Fit::Spare(2)),
        ("VALUE", Fit::Cut),
        ("TIMES", Fit::Whole),
        ("SINCE", Fit::Spare(4)),
        ("LAST SEEN", Fit::Spare(1)),
        ("STATE", Fit::Spare(3)),
        ("WHERE", Fit::Cut),
    ]);
    for item in items(answer) {
        let place = item
            .get("places")
            .and_then(Value::as_array)
            .and_then(|places| places.first())
            .map_or("", |place| text(place, "path"));
        sheet.row([
            text(item, "id").to_owned(),
            text(item, "rule").to_owned(),
            text(item, "severity").to_owned(),
            text(item, "masked").to_owned(),
            grouped(number(item, "count")),
            ago(item, "first_seen"),
            ago(item, "last_seen"),
            text(item, "state").replace('_', " "),
            place.to_owned(),
        ]);
    }
    output::line(sheet.render())
}

/// `actifix quarantine …`
pub async fn quarantine(global: &Global, command: QuarantineCommand) -> Result<ExitCode, CliError> {
    let client = Client::connect_existing(global).await?;
    let one = |id: &str| format!("/api/v1/quarantine/{}", encoded(id));
    let result = match &command {
        QuarantineCommand::List { project } => {
            let mut query = vec![("limit", "200")];
            query.extend(project.as_deref().map(|project| ("project", project)));
            client.get("/api/v1/quarantine", &query).await
        }
        QuarantineCommand::Show { id } => client.get(&one(id), &[]).await,
        QuarantineCommand::Release { id } => client.post(&format!("{}/release", one(id)), &json!({})).await,
        QuarantineCommand::Delete { id } => client.delete(&one(id)).await,
    };
    client.close().await?;
    let answer = result?;
    if global.json {
        output::json(&answer)?;
    } else if answer.get("items").is_some() {
        if items(&answer).is_empty() {
            output::line("The quarantine is empty.")?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut sheet = Sheet::new(&[
            ("ID", Fit::Whole),
            ("RECEIVED", Fit::Whole),
            ("KIND", Fit::Spare(1)),
            ("BYTES", Fit::Whole),
            ("REASON", Fit::Cut),
        ]);
        for item in items(&answer) {
            sheet.row([
                text(item, "id").to_owned(),
                ago(item, "received_at"),
                text(item, "kind").to_owned(),
                grouped(number(item, "size")),
                text(item, "reason").to_owned(),
            ]);
        }
        output::line(sheet.render())?;
    } else if answer.is_null() {
        output::line("deleted")?;
    } else {
        output::line(format!("{answer:#}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `actifix throttle …`
pub async fn throttle(global: &Global, command: ThrottleCommand) -> Result<ExitCode, CliError> {
    let client = Client::connect_existing(global).await?;
    let result = match &command {
        ThrottleCommand::Status { project } => client.get("/api/v1/throttle", &[("project", project)]).await,
        ThrottleCommand::Reset { project } => {
            client.post("/api/v1/throttle/reset", &json!({ "project": project })).await
        }
        ThrottleCommand::Promote { ticket, project, limit } => {
            let body = json!({ "project": project, "ticket": ticket, "limit": limit });
            client.post("/api/v1/throttle/promote", &body).await
        }
    };
    client.close().await?;
    let answer = result?;
    if global.json {
        output::json(&answer)?;
    } else if let Some(promoted) = answer.get("promoted").and_then(Value::as_array) {
        output::line(format!("promoted {}", promoted.len()))?;
    } else if answer.is_null() {
        output::line("The throttle was reset.")?;
    } else {
        output::line(throttle_text(&answer))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn throttle_text(answer: &Value) -> String {
    let empty = Value::Null;
    let throttle = answer.get("throttle").unwrap_or(&empty);
    let held = answer.get("held").unwrap_or(&empty);
    let sentence = match text(throttle, "brake") {
        "off" | "" => style("The brake is off.").green().to_string(),
        other => style(format!("The brake is on ({other}).")).red().bold().to_string(),
    };
    let by_priority: Vec<u64> =
        held.get("held").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_u64).collect();
    let mut sheet = Sheet::new(&[
        ("PRIO", Fit::Whole),
        ("OPENED", Fit::Whole),
        ("LIMIT", Fit::Whole),
        ("WINDOW", Fit::Whole),
        ("FREES AT (UTC)", Fit::Spare(1)),
        ("HELD", Fit::Whole),
    ]);
    for (number, held) in by_priority.iter().enumerate() {
        let name = format!("P{number}");
        let limits = throttle.get("priorities").and_then(Value::as_array).into_iter().flatten();
        let limit = limits.into_iter().find(|limit| text(limit, "priority") == name).unwrap_or(&empty);
        let limited = !limit.is_null();
        let or_dash = |text: String| if limited { text } else { "–".to_owned() };
        sheet.row([
            name.clone(),
            or_dash(grouped(number_of(limit, "used"))),
            or_dash(grouped(number_of(limit, "limit"))),
            or_dash(format!("{} h", number_of(limit, "window_seconds") / 3_600)),
            time(limit, "frees_at"),
            grouped(*held),
        ]);
        sheet.look(0, Look::priority(&name));
    }
    format!(
        "{sentence} {} new tickets in the last minute; it comes on above {}, hard above {}.\n{} tickets are held with {} events; {} events beyond the cap were only counted.\n{}",
        grouped(number_of(throttle, "new_last_minute")),
        grouped(number_of(throttle, "brake_new_per_minute")),
        grouped(number_of(throttle, "brake_hard_new_per_minute")),
        grouped(by_priority.iter().sum()),
        grouped(number_of(held, "events")),
        grouped(number_of(held, "beyond_cap")),
        sheet.render(),
    )
}
