//! `actifix events|findings|quarantine …`

use super::client::{Client, encoded};
use super::ids;
use super::interrupt::Interrupt;
use super::output::{self, ago, grouped, items, number, text, time};
use super::sheet::{Fit, Sheet};
use super::{CliError, Global};
use clap::Subcommand;
use console::style;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::process::ExitCode;
use std::time::Duration;

/// Events.
#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Show one event.
    #[command(
        after_help = "Example:\n  actifix events show 9ec79c33ec9942ab8353589fcb2e04dc --json | jq .exception"
    )]
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
    #[command(after_help = "Example:\n  actifix findings show 3f9a")]
    Show {
        /// Finding id, or its start.
        id: String,
    },
    /// Say what became of it.
    #[command(
        after_help = "Example:\n  actifix findings resolve 3f9a --state rotated --note 'new key since Tuesday'"
    )]
    Resolve {
        /// Finding id, or its start.
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
    #[command(after_help = "Example:\n  actifix quarantine list --project shop")]
    List {
        /// Only this project.
        #[arg(long)]
        project: Option<String>,
    },
    /// One entry, without its content.
    #[command(after_help = "Example:\n  actifix quarantine show 01f3")]
    Show {
        /// Entry id, or its start.
        id: String,
    },
    /// Run it through the pipeline again, with a larger budget.
    #[command(after_help = "Example:\n  actifix quarantine release 01f3")]
    Release {
        /// Entry id, or its start.
        id: String,
    },
    /// Delete it.
    #[command(after_help = "Example:\n  actifix quarantine delete 01f3")]
    Delete {
        /// Entry id, or its start.
        id: String,
    },
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
    if !global.json {
        output::note("waiting for new events; Ctrl-C ends. `actifix ticket list` shows what is there");
    }
    let mut interrupt = Interrupt::install().map_err(CliError::other)?;
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
                output::stream(ticket.to_string())?;
            } else {
                output::stream(format!(
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
            () = interrupt.came() => return Ok(()),
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
        FindingsCommand::Show { id } => match ids::finding(&client, &id).await {
            Ok(id) => client.get(&format!("/api/v1/findings/{id}"), &[]).await,
            Err(error) => Err(error),
        },
        FindingsCommand::Resolve { id, state, note } => match ids::finding(&client, &id).await {
            Ok(id) => {
                let body = json!({ "state": state.as_str(), "note": note });
                client.post(&format!("/api/v1/findings/{id}/resolve"), &body).await
            }
            Err(error) => Err(error),
        },
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
        "sent {}, first {} UTC, last {} UTC, project {}",
        output::times(number(finding, "count")),
        time(finding, "first_seen"),
        time(finding, "last_seen"),
        number(finding, "project"),
    ))?;
    let note = text(finding, "note");
    let note = if note.is_empty() { String::new() } else { format!(" ({note})") };
    output::line(format!("state: {}{note}", text(finding, "state").replace('_', " ")))?;
    let hash = text(finding, "hash");
    if !hash.is_empty() {
        output::line(format!("hash: {hash} (keyed; the same value has it in every project)"))?;
    }
    output::line(format!("fix: {}", text(finding, "fix")))?;
    for place in finding.get("places").and_then(Value::as_array).into_iter().flatten() {
        output::line(format!("  {} {}", text(place, "ticket_id"), text(place, "path")))?;
    }
    Ok(())
}

fn findings_table(answer: &Value) -> Result<(), CliError> {
    let mut sheet = Sheet::new(&[
        ("ID", Fit::Start(8)),
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
    sheet.print("No secrets were found in events. Those in a repository are found by `actifix scan`.")
}

/// `actifix quarantine …`
pub async fn quarantine(global: &Global, command: QuarantineCommand) -> Result<ExitCode, CliError> {
    let client = Client::connect_existing(global).await?;
    let result = quarantine_command(&client, &command).await;
    client.close().await?;
    let answer = result?;
    if global.json {
        output::json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    match command {
        QuarantineCommand::List { .. } => quarantine_table(&answer)?,
        QuarantineCommand::Show { .. } => print_quarantined(&answer)?,
        QuarantineCommand::Release { .. } => {
            let released = answer.as_array().map_or(&[][..], Vec::as_slice);
            for recorded in released {
                super::records::print_recorded(global, recorded)?;
            }
            if released.is_empty() {
                output::line("released; it held no event")?;
            }
        }
        QuarantineCommand::Delete { .. } => output::line("deleted")?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn quarantine_command(client: &Client, command: &QuarantineCommand) -> Result<Value, CliError> {
    const LIST: &str = "/api/v1/quarantine";
    let typed = match command {
        QuarantineCommand::List { project } => {
            let mut query = vec![("limit", "200")];
            query.extend(project.as_deref().map(|project| ("project", project)));
            return client.get(LIST, &query).await;
        }
        QuarantineCommand::Show { id }
        | QuarantineCommand::Release { id }
        | QuarantineCommand::Delete { id } => id,
    };
    let id = ids::listed(client, LIST, "entry", typed, "actifix quarantine list").await?;
    let path = format!("{LIST}/{}", encoded(&id));
    match command {
        QuarantineCommand::Release { .. } => client.post(&format!("{path}/release"), &json!({})).await,
        QuarantineCommand::Delete { .. } => client.delete(&path).await,
        _ => client.get(&path, &[]).await,
    }
}

fn quarantine_table(answer: &Value) -> Result<(), CliError> {
    let mut sheet = Sheet::new(&[
        ("ID", Fit::Start(8)),
        ("RECEIVED", Fit::Whole),
        ("KIND", Fit::Spare(1)),
        ("BYTES", Fit::Whole),
        ("REASON", Fit::Cut),
    ]);
    for item in items(answer) {
        sheet.row([
            text(item, "id").to_owned(),
            ago(item, "received_at"),
            text(item, "kind").to_owned(),
            grouped(number(item, "size")),
            text(item, "reason").to_owned(),
        ]);
    }
    sheet.print("The quarantine is empty: everything that came in could be redacted.")
}

fn print_quarantined(entry: &Value) -> Result<(), CliError> {
    output::line(format!(
        "{}  {}  {} bytes",
        text(entry, "id"),
        text(entry, "kind"),
        grouped(number(entry, "size"))
    ))?;
    output::line(format!(
        "received {} UTC, project {}",
        time(entry, "received_at"),
        number(entry, "project")
    ))?;
    output::line(format!("why: {}", text(entry, "reason")))?;
    output::dim(
        "sealed; `actifix quarantine release` runs it through the pipeline with a larger budget, `delete` drops it",
    )
}
