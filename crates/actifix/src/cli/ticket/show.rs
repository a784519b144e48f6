//! `actifix ticket show`

use super::{agents, path};
use crate::cli::client::Client;
use crate::cli::output::{self, many, number, plural, text, time};
use crate::cli::throttle::held;
use crate::cli::{CliError, Global, ids, records};
use console::style;
use serde_json::Value;

/// Entries of the activity that are shown; the rest is in `--json`.
const ACTIVITY_MAX: usize = 20;

/// Runs the command.
pub async fn show(global: &Global, client: &Client, id: &str) -> Result<(), CliError> {
    let id = ids::ticket(client, id).await?;
    let ticket = client.get(&path(&id, ""), &[]).await?;
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
        records::print_event(&event)?;
    }
    suspects(&ticket)?;
    grouping(&ticket)?;
    activity(&ticket)
}

fn head(ticket: &Value) -> Result<(), CliError> {
    let place = text(ticket, "culprit");
    let place = if place.is_empty() { String::new() } else { format!("  {}", style(place).dim()) };
    output::line(format!("{}{place}", style(text(ticket, "title")).bold()))?;
    output::line(format!(
        "{}  {} ({})  {}",
        text(ticket, "id"),
        text(ticket, "priority"),
        text(ticket, "priority_reason"),
        text(ticket, "status"),
    ))?;
    output::line(format!(
        "{}, {}, first {} UTC, last {} UTC",
        many(number(ticket, "count"), "event"),
        many(number(ticket, "users"), "user"),
        time(ticket, "first_seen"),
        time(ticket, "last_seen"),
    ))?;
    if text(ticket, "status") == "held" {
        output::line(held(ticket.get("held_because"), text(ticket, "id")))?;
    }
    let mut facts = Vec::new();
    if !text(ticket, "assignee").is_empty() {
        facts.push(format!("assigned to {}", text(ticket, "assignee")));
    }
    if let Some(lease) = ticket.get("lease").filter(|lease| !lease.is_null()) {
        facts.push(format!("leased by {} until {} UTC", text(lease, "holder"), time(lease, "expires_at")));
    }
    if !text(ticket, "resolved_in").is_empty() {
        facts.push(format!("resolved in {}", text(ticket, "resolved_in")));
    }
    if !text(ticket, "resolved_after").is_empty() {
        facts.push(format!("resolved in the release after {}", text(ticket, "resolved_after")));
    }
    facts.push(agents(ticket));
    if ticket.get("needs_person") == Some(&Value::Bool(true)) {
        facts.push(
            "needs a person: agents gave up on it; `actifix ticket approve ID` lets them try again"
                .to_owned(),
        );
    }
    output::line(facts.join(", "))
}

/// Commits of its first release that changed files of its stack.
fn suspects(ticket: &Value) -> Result<(), CliError> {
    let suspects = ticket.get("suspect_commits").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if suspects.is_empty() {
        return Ok(());
    }
    output::line(format!("\n{}", style("suspect commits").bold()))?;
    for commit in suspects {
        let id = text(commit, "id");
        let who = format!("{}, {} UTC", text(commit, "author"), time(commit, "at"));
        output::line(format!(
            "  {} {}  {}",
            id.get(..12).unwrap_or(id),
            text(commit, "message"),
            style(who.trim_start_matches(", ")).dim(),
        ))?;
        let files: Vec<&str> = commit
            .get("files")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        output::line(format!("    {}: {}", text(commit, "why"), files.join(", ")))?;
        if !text(commit, "url").is_empty() {
            output::line(format!("    {}", text(commit, "url")))?;
        }
    }
    Ok(())
}

fn grouping(ticket: &Value) -> Result<(), CliError> {
    output::line(format!("\n{} {}", style("grouping").bold(), text(ticket, "grouping_sentence")))?;
    for fingerprint in ticket.get("fingerprints").and_then(Value::as_array).into_iter().flatten() {
        let fingerprint = fingerprint.as_str().unwrap_or_default();
        let own = if fingerprint == text(ticket, "fingerprint") { "its own" } else { "merged in" };
        output::line(format!("  key {fingerprint} ({own})"))?;
    }
    let redactions = ticket.get("redactions").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if !redactions.is_empty() {
        let list: Vec<String> = redactions
            .iter()
            .map(|item| format!("{} × {}", number(item, "count"), text(item, "rule")))
            .collect();
        output::line(format!("{} {}", style("redacted").bold(), list.join(", ")))?;
    }
    Ok(())
}

fn activity(ticket: &Value) -> Result<(), CliError> {
    let all = ticket.get("activity").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if !all.is_empty() {
        output::line(format!("\n{}", style("activity").bold()))?;
    }
    for entry in all.iter().take(ACTIVITY_MAX) {
        let told = entry.get("told").unwrap_or(&Value::Null);
        let when = style(format!("{} UTC", time(entry, "at"))).dim();
        output::line(format!("  {when} {} {}", style(text(told, "who")).bold(), text(told, "did")))?;
        if !text(told, "said").is_empty() {
            for line in text(told, "said").lines() {
                output::line(format!("      {line}"))?;
            }
        }
        for fact in told.get("facts").and_then(Value::as_array).into_iter().flatten() {
            let part = |place: usize| fact.get(place).and_then(Value::as_str).unwrap_or_default();
            output::line(format!("      {} {}", style(format!("{}:", part(0))).dim(), part(1)))?;
        }
    }
    if all.len() > ACTIVITY_MAX {
        let older = plural((all.len() - ACTIVITY_MAX) as u64, "older entry", "older entries");
        output::line(style(format!("  {older}: --json")).dim().to_string())?;
    }
    Ok(())
}
