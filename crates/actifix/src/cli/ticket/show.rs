//! `actifix ticket show`

use super::path;
use crate::cli::client::Client;
use crate::cli::output::{self, counted, number, text, time};
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
        counted(number(ticket, "count"), "event", "events"),
        counted(number(ticket, "users"), "user", "users"),
        time(ticket, "first_seen"),
        time(ticket, "last_seen"),
    ))?;
    if text(ticket, "status") == "held" {
        output::line(
            "held: the budget of new tickets was used up. Its first event is kept, the others are counted; \
             it opens when budget frees, or now by `actifix throttle promote ID` (`throttle status` tells more)",
        )?;
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
    let approval = text(ticket, "approval").replace('_', " ");
    facts.push(format!("agents: {approval} ({})", text(ticket, "approval_reason")));
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
    for entry in all.iter().take(ACTIVITY_MAX) {
        output::line(
            format!(
                "{} {} {} {}",
                style(time(entry, "at")).dim(),
                text(entry, "kind"),
                style(format!("by {}", text(entry, "actor"))).dim(),
                details(entry.get("data").unwrap_or(&Value::Null))
            )
            .trim_end(),
        )?;
    }
    if all.len() > ACTIVITY_MAX {
        output::line(style(format!("{} older entries: --json", all.len() - ACTIVITY_MAX)).dim().to_string())?;
    }
    Ok(())
}

/// What was said, given or changed, in words.
fn details(data: &Value) -> String {
    let mut parts = Vec::new();
    for key in [
        "text",
        "reason",
        "assignee",
        "priority",
        "resolved_in",
        "in_next_release_after",
        "from",
        "into",
        "fingerprint",
    ] {
        match data.get(key) {
            Some(Value::String(said)) if key == "text" || key == "reason" => parts.push(said.clone()),
            Some(Value::String(said)) => parts.push(format!("{} {said}", key.replace('_', " "))),
            _ => {}
        }
    }
    let evidence = data.get("evidence").unwrap_or(&Value::Null);
    for (key, name) in [
        ("root_cause", "root cause"),
        ("commit", "commit"),
        ("no_commit_reason", "no commit"),
        ("no_test_reason", "no test"),
    ] {
        if !text(evidence, key).is_empty() {
            parts.push(format!("{name}: {}", text(evidence, key)));
        }
    }
    if evidence.get("test").is_some_and(Value::is_object) {
        parts.push("with a test that failed before and passes now".to_owned());
    }
    parts.join("; ")
}
