//! `actifix ticket …`

use super::client::{Client, encoded};
use super::output::{self, cut, grouped, items, number, text, time};
use super::{CliError, Global};
use clap::{Args, Subcommand};
use console::style;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Work on tickets.
#[derive(Debug, Subcommand)]
pub enum TicketCommand {
    /// Search tickets.
    #[command(
        after_help = "Examples:\n  actifix ticket list --priority P0,P1\n  actifix ticket list --search 'is:open release:web@* timeout'\n  actifix ticket list --json | jq '.items[].id'"
    )]
    List(ListArgs),
    /// One ticket: what, where, how often, why grouped so.
    Show {
        /// Ticket id.
        id: String,
    },
    /// Take a lease.
    Claim {
        /// Ticket id.
        id: String,
        /// Minutes, 1 to 240.
        #[arg(long, default_value_t = 30)]
        minutes: u32,
    },
    /// Prolong a lease.
    Renew {
        /// Ticket id.
        id: String,
        #[command(flatten)]
        lease: LeaseArgs,
        /// Minutes from now, 1 to 240.
        #[arg(long, default_value_t = 30)]
        minutes: u32,
    },
    /// End a lease.
    Release {
        /// Ticket id.
        id: String,
        #[command(flatten)]
        lease: LeaseArgs,
        /// Why, and what was learned.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Add a note.
    #[command(
        after_help = "Example:\n  actifix ticket note ACT-20261124-7K3QF 'happens only behind the proxy'"
    )]
    Note {
        /// Ticket id.
        id: String,
        /// The note.
        text: String,
        #[command(flatten)]
        lease: LeaseArgs,
    },
    /// Resolve it with evidence.
    #[command(
        after_help = "Example:\n  actifix ticket complete ACT-20261124-7K3QF --root-cause 'timeout was 2 s' \\\n      --commit 3f2a91c --no-test-reason 'configuration only' --resolved-in web@5.1.1"
    )]
    Complete(CompleteArgs),
    /// Let agents have it.
    Approve {
        /// Ticket id.
        id: String,
    },
    /// Open it again.
    Reopen {
        /// Ticket id.
        id: String,
    },
    /// Only count its events from now on.
    Ignore {
        /// Ticket id.
        id: String,
    },
    /// Give it to somebody.
    Assign {
        /// Ticket id.
        id: String,
        /// Name; none clears it.
        assignee: Option<String>,
    },
    /// Take other tickets over.
    #[command(after_help = "Example:\n  actifix ticket merge ACT-20261124-7K3QF ACT-20261124-0M2XA")]
    Merge {
        /// Ticket that stays.
        into: String,
        /// Tickets that become part of it.
        #[arg(required = true)]
        from: Vec<String>,
    },
    /// Pin one of its keys to a ticket of its own.
    Split {
        /// Ticket id.
        id: String,
        /// Fingerprint, as `ticket show` lists them.
        fingerprint: String,
    },
}

/// Filters of a list.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// open, held, in_progress, in_review, resolved, ignored.
    #[arg(long)]
    status: Option<String>,
    /// P0 to P4, several with commas.
    #[arg(long)]
    priority: Option<String>,
    /// Project name or id.
    #[arg(long)]
    project: Option<String>,
    /// Search text.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    search: String,
    /// last_seen, first_seen, count or priority.
    #[arg(long, default_value = "last_seen")]
    sort: String,
    /// Tickets per page, 1 to 200.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Go on where the last page ended.
    #[arg(long)]
    cursor: Option<String>,
}

/// Which lease a write belongs to.
#[derive(Debug, Args)]
pub struct LeaseArgs {
    /// Id of the lease.
    #[arg(long, env = "ACTIFIX_LEASE", requires = "fence")]
    lease: Option<String>,
    /// Its fencing number.
    #[arg(long, env = "ACTIFIX_FENCE", requires = "lease")]
    fence: Option<u64>,
}

/// Evidence.
#[derive(Debug, Args)]
pub struct CompleteArgs {
    /// Ticket id.
    id: String,
    /// What was wrong, in words.
    #[arg(long)]
    root_cause: String,
    /// Commit of the fix.
    #[arg(long)]
    commit: Option<String>,
    /// Why there is no commit.
    #[arg(long, conflicts_with = "commit")]
    no_commit_reason: Option<String>,
    /// Proof by a test: JSON of two runs of one command, as the API takes it.
    #[arg(long, value_name = "JSON")]
    test: Option<String>,
    /// Why there is no test.
    #[arg(long, conflicts_with = "test")]
    no_test_reason: Option<String>,
    /// Release that ships the fix.
    #[arg(long)]
    resolved_in: Option<String>,
    #[command(flatten)]
    lease: LeaseArgs,
}

impl LeaseArgs {
    fn lay(&self, body: &mut Value) {
        if let (Some(map), Some(lease), Some(fence)) = (body.as_object_mut(), &self.lease, self.fence) {
            map.insert("lease_id".into(), json!(lease));
            map.insert("fence".into(), json!(fence));
        }
    }
}

/// Runs the command.
pub async fn run(global: &Global, command: TicketCommand) -> Result<ExitCode, CliError> {
    let client = Client::connect_existing(global).await?;
    let result = dispatch(global, &client, command).await;
    client.close().await?;
    result.map(|()| ExitCode::SUCCESS)
}

async fn dispatch(global: &Global, client: &Client, command: TicketCommand) -> Result<(), CliError> {
    match command {
        TicketCommand::List(args) => list(global, client, &args).await,
        TicketCommand::Show { id } => show(global, client, &id).await,
        TicketCommand::Claim { id, minutes } => {
            let answer = client.post(&path(&id, "/claim"), &json!({ "minutes": minutes })).await?;
            lease(global, &answer)
        }
        TicketCommand::Renew { id, lease: proof, minutes } => {
            let mut body = json!({ "minutes": minutes });
            proof.lay(&mut body);
            let answer = client.post(&path(&id, "/renew"), &body).await?;
            lease(global, &answer)
        }
        TicketCommand::Release { id, lease, reason } => {
            let mut body = json!({ "reason": reason });
            lease.lay(&mut body);
            act(global, client, &id, "/release", &body).await
        }
        TicketCommand::Note { id, text, lease } => {
            let mut body = json!({ "text": text });
            lease.lay(&mut body);
            act(global, client, &id, "/notes", &body).await
        }
        TicketCommand::Complete(args) => complete(global, client, args).await,
        TicketCommand::Approve { id } => act(global, client, &id, "/approve", &json!({})).await,
        TicketCommand::Reopen { id } => act(global, client, &id, "/reopen", &json!({})).await,
        TicketCommand::Ignore { id } => act(global, client, &id, "/ignore", &json!({})).await,
        TicketCommand::Assign { id, assignee } => {
            act(global, client, &id, "/assign", &json!({ "assignee": assignee })).await
        }
        TicketCommand::Merge { into, from } => {
            act(global, client, &into, "/merge", &json!({ "from": from })).await
        }
        TicketCommand::Split { id, fingerprint } => {
            act(global, client, &id, "/split", &json!({ "fingerprint": fingerprint })).await
        }
    }
}

fn path(id: &str, tail: &str) -> String {
    format!("/api/v1/tickets/{}{tail}", encoded(id))
}

async fn act(global: &Global, client: &Client, id: &str, tail: &str, body: &Value) -> Result<(), CliError> {
    let answer = client.post(&path(id, tail), body).await?;
    if global.json {
        return output::json(&answer);
    }
    output::line(format!("{} {} {}", text(&answer, "id"), text(&answer, "status"), text(&answer, "title")))
}

async fn complete(global: &Global, client: &Client, args: CompleteArgs) -> Result<(), CliError> {
    let test: Value = match &args.test {
        Some(text) => {
            serde_json::from_str(text).map_err(|error| CliError::usage(format!("--test: {error}")))?
        }
        None => Value::Null,
    };
    let mut body = json!({
        "root_cause": args.root_cause,
        "commit": args.commit,
        "no_commit_reason": args.no_commit_reason,
        "test": test,
        "no_test_reason": args.no_test_reason,
        "resolved_in": args.resolved_in,
    });
    args.lease.lay(&mut body);
    act(global, client, &args.id, "/complete", &body).await
}

fn lease(global: &Global, answer: &Value) -> Result<(), CliError> {
    if global.json {
        return output::json(answer);
    }
    output::line(format!(
        "leased until {} (lease {}, fence {})",
        time(answer, "expires_at"),
        text(answer, "lease_id"),
        number(answer, "fence")
    ))
}

async fn list(global: &Global, client: &Client, args: &ListArgs) -> Result<(), CliError> {
    let limit = args.limit.to_string();
    let mut query = vec![("search", args.search.as_str()), ("sort", &args.sort), ("limit", &limit)];
    for (name, value) in [
        ("status", &args.status),
        ("priority", &args.priority),
        ("project", &args.project),
        ("cursor", &args.cursor),
    ] {
        if let Some(value) = value {
            query.push((name, value));
        }
    }
    let page = client.get("/api/v1/tickets", &query).await?;
    if global.json {
        return output::json(&page);
    }
    let tickets = items(&page);
    if tickets.is_empty() {
        return output::line("No tickets match.");
    }
    let mut table = output::table(&[
        "TICKET",
        "PRIO",
        "STATUS",
        "EVENTS",
        "USERS",
        "LAST SEEN (UTC)",
        "AGENTS",
        "TITLE",
        "WHERE",
    ]);
    // What is left of the line beside the fixed columns goes to title and place, so that a row stays one line.
    let free = output::width().saturating_sub(89).max(30);
    let place = (free / 3).min(40);
    for ticket in tickets {
        table.add_row(vec![
            text(ticket, "id").into(),
            output::priority(text(ticket, "priority")),
            text(ticket, "status").into(),
            grouped(number(ticket, "count")).into(),
            grouped(number(ticket, "users")).into(),
            time(ticket, "last_seen").into(),
            if text(ticket, "approval") == "needs_approval" { "approve?" } else { "yes" }.into(),
            cut(text(ticket, "title"), free - place - 2).into(),
            cut(text(ticket, "culprit"), place).into(),
        ]);
    }
    output::line(table.to_string())?;
    let total = number(&page, "total");
    let total = if total > 10_000 { "more than 10,000".to_owned() } else { grouped(total) };
    output::line(style(format!("{} of {total}", tickets.len())).dim().to_string())?;
    if let Some(cursor) = page.get("next_cursor").and_then(Value::as_str) {
        output::line(style(format!("next page: --cursor {cursor}")).dim().to_string())?;
    }
    Ok(())
}

async fn show(global: &Global, client: &Client, id: &str) -> Result<(), CliError> {
    let ticket = client.get(&path(id, ""), &[]).await?;
    if global.json {
        return output::json(&ticket);
    }
    let event = match ticket.get("latest_event").and_then(Value::as_str) {
        Some(event) => {
            let project = ticket.get("project").map(ToString::to_string).unwrap_or_default();
            Some(client.get(&format!("/api/v1/events/{event}"), &[("project", &project)]).await?)
        }
        None => None,
    };
    head(&ticket)?;
    if let Some(event) = event {
        super::records::print_event(&event)?;
    }
    tail(&ticket)
}

fn head(ticket: &Value) -> Result<(), CliError> {
    output::line(format!(
        "{}  {}",
        style(text(ticket, "title")).bold(),
        style(text(ticket, "culprit")).dim()
    ))?;
    output::line(format!(
        "{}  {} ({})  {}  level {}",
        text(ticket, "id"),
        text(ticket, "priority"),
        text(ticket, "priority_reason"),
        text(ticket, "status"),
        text(ticket, "level"),
    ))?;
    output::line(format!(
        "{} events, {} users, first {} UTC, last {} UTC",
        grouped(number(ticket, "count")),
        grouped(number(ticket, "users")),
        time(ticket, "first_seen"),
        time(ticket, "last_seen"),
    ))?;
    let approval = text(ticket, "approval").replace('_', " ");
    output::line(format!("agents: {approval} ({})", text(ticket, "approval_reason")))
}

fn tail(ticket: &Value) -> Result<(), CliError> {
    output::line(format!("\n{} {}", style("grouping").bold(), text(ticket, "grouping_sentence")))?;
    for fingerprint in ticket.get("fingerprints").and_then(Value::as_array).into_iter().flatten() {
        output::line(format!("  key {}", fingerprint.as_str().unwrap_or_default()))?;
    }
    let redactions = ticket.get("redactions").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if !redactions.is_empty() {
        let list: Vec<String> = redactions
            .iter()
            .map(|item| format!("{} × {}", number(item, "count"), text(item, "rule")))
            .collect();
        output::line(format!("{} {}", style("redacted").bold(), list.join(", ")))?;
    }
    let activity = ticket.get("activity").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for entry in activity.iter().take(10) {
        output::line(format!(
            "{} {} {} {}",
            style(time(entry, "at")).dim(),
            text(entry, "kind"),
            style(text(entry, "actor")).dim(),
            entry.get("data").and_then(|data| data.get("text")).and_then(Value::as_str).unwrap_or_default()
        ))?;
    }
    Ok(())
}
