//! What GitHub tells: an issue was closed, a pull request merged with `Fixes ACT-…`, a workflow finished.
//!
//! The signature says that GitHub sent the body, not that whoever wrote its texts may be believed: titles, messages,
//! branches and forks are those of strangers. So a source believes one repository, a merge into its default branch only,
//! and takes over numbers and words of a known list, as notes are read by agents.

use super::{TICKETS_MAX, Wish, is_commit, text};
use actifix_domain::id::TicketId;
use actifix_domain::time::{DAY, MINUTE, Timestamp};
use serde_json::Value;

/// How old what GitHub tells may be, microseconds: deliveries can be repeated by hand for three days. Bodies are
/// remembered for longer than that, so that none of them is taken twice.
const AGE_MICROS_MAX: i64 = 3 * DAY;
/// How far a clock of GitHub may be ahead of ours, microseconds.
const AHEAD_MICROS_MAX: i64 = 5 * MINUTE;
/// Longest name of an account, characters; GitHub's own limit is 39, and bots end with `[bot]`.
const LOGIN_CHARS_MAX: usize = 60;

const UNBOUND: &str =
    "the source is bound to no repository: remove it, and add it again with --target owner/repository";
const ANOTHER: &str = "the request is about another repository than that of the source";
const BRANCH: &str = "the pull request was not merged into the default branch of the repository";
const FORK: &str = "the workflow ran for a fork";

/// Whether what the body tells happened lately. Events that ask for nothing need no time.
pub(super) fn is_recent(event: &str, body: &[u8], now: Timestamp) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return true };
    let at = match (event, text(&body, "/action")) {
        ("issues", "closed") => text(&body, "/issue/closed_at"),
        ("pull_request", "closed") if is_merged(&body) => text(&body, "/pull_request/merged_at"),
        ("workflow_run", "completed") => text(&body, "/workflow_run/updated_at"),
        _ => return true,
    };
    Timestamp::parse(at).is_some_and(|at| {
        let age = now.micros().saturating_sub(at.micros());
        (-AHEAD_MICROS_MAX..=AGE_MICROS_MAX).contains(&age)
    })
}

fn is_merged(body: &Value) -> bool {
    body.pointer("/pull_request/merged") == Some(&Value::Bool(true))
}

pub(super) fn issue_number(body: &Value) -> Option<u64> {
    number(body, "/issue/number")
}

fn number(body: &Value, path: &str) -> Option<u64> {
    body.pointer(path).and_then(Value::as_u64)
}

/// Name of an account, or nothing where it is none.
fn login(body: &Value) -> &str {
    let login = text(body, "/sender/login");
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '[' | ']');
    if !login.is_empty() && login.len() <= LOGIN_CHARS_MAX && login.chars().all(known) {
        login
    } else {
        "somebody"
    }
}

/// What the event asks for, of tickets that it names; issues are to be looked up by the caller.
pub(super) fn wishes(event: &str, body: &Value, bound: Option<&str>) -> Vec<Wish> {
    let wishes = match (event, text(body, "/action")) {
        ("issues", "closed") => of_issue(body),
        ("pull_request", "closed") if is_merged(body) => of_pull_request(body),
        ("workflow_run", "completed") => of_workflow(body, bound.unwrap_or_default()),
        _ => Vec::new(),
    };
    let repository = text(body, "/repository/full_name");
    let why = match (event, bound) {
        (_, None) => UNBOUND,
        (_, Some(bound)) if !same(repository, bound) => ANOTHER,
        ("pull_request", _) if !same(text(body, "/pull_request/base/repo/full_name"), repository) => ANOTHER,
        ("pull_request", _) if !is_into_default(body) => BRANCH,
        ("workflow_run", _) if !same(text(body, "/workflow_run/head_repository/full_name"), repository) => {
            FORK
        }
        _ => return wishes,
    };
    let ticket = |wish| match wish {
        Wish::Note { ticket, .. } | Wish::Resolve { ticket, .. } | Wish::Refuse { ticket, .. } => ticket,
    };
    wishes.into_iter().map(|wish| Wish::Refuse { ticket: ticket(wish), why }).collect()
}

fn same(one: &str, other: &str) -> bool {
    !one.is_empty() && one.eq_ignore_ascii_case(other)
}

fn is_into_default(body: &Value) -> bool {
    let base = text(body, "/pull_request/base/ref");
    !base.is_empty() && base == text(body, "/repository/default_branch")
}

fn of_issue(body: &Value) -> Vec<Wish> {
    let number = issue_number(body).unwrap_or(0);
    let what = format!("GitHub issue #{number} was closed by {}", login(body));
    let wish = |ticket| match text(body, "/issue/state_reason") {
        "" | "completed" => Wish::Resolve { ticket, why: what.clone(), commit: None },
        "not_planned" => Wish::Note { ticket, text: format!("{what} as not planned") },
        "duplicate" => Wish::Note { ticket, text: format!("{what} as a duplicate") },
        _ => Wish::Note { ticket, text: format!("{what}, not as completed") },
    };
    marked(text(body, "/issue/body")).into_iter().map(wish).collect()
}

fn of_pull_request(body: &Value) -> Vec<Wish> {
    let (title, words) = (text(body, "/pull_request/title"), text(body, "/pull_request/body"));
    let number = number(body, "/pull_request/number").unwrap_or(0);
    let commit = Some(text(body, "/pull_request/merge_commit_sha")).filter(|sha| is_commit(sha));
    let why = format!("GitHub pull request #{number} was merged by {}", login(body));
    fixes(&format!("{title}\n{words}"))
        .into_iter()
        .map(|ticket| Wish::Resolve { ticket, why: why.clone(), commit: commit.map(str::to_owned) })
        .collect()
}

fn of_workflow(body: &Value, repository: &str) -> Vec<Wish> {
    const CONCLUSIONS: [&str; 9] = [
        "success",
        "failure",
        "cancelled",
        "skipped",
        "neutral",
        "timed_out",
        "action_required",
        "stale",
        "startup_failure",
    ];
    let run = number(body, "/workflow_run/id").unwrap_or(0);
    let told = text(body, "/workflow_run/conclusion");
    let conclusion = CONCLUSIONS.into_iter().find(|known| *known == told).unwrap_or("unknown");
    let mut note = format!("GitHub workflow run {run} finished: {conclusion}");
    let commit = text(body, "/workflow_run/head_sha");
    if is_commit(commit) {
        note.push_str(", commit ");
        note.push_str(commit);
    }
    // The link is built of what we know: those of the body lead where its writer wants.
    note.push_str(&format!(", https://github.com/{repository}/actions/runs/{run}"));
    let (title, message) =
        (text(body, "/workflow_run/display_title"), text(body, "/workflow_run/head_commit/message"));
    fixes(&format!("{title}\n{message}"))
        .into_iter()
        .map(|ticket| Wish::Note { ticket, text: note.clone() })
        .collect()
}

/// Tickets behind one of GitHub's closing words: `Fixes ACT-…`.
fn fixes(text: &str) -> Vec<TicketId> {
    const WORDS: [&str; 9] =
        ["fix", "fixes", "fixed", "close", "closes", "closed", "resolve", "resolves", "resolved"];
    let mut words = text
        .split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '(' | ')'))
        .filter(|w| !w.is_empty());
    let mut found = Vec::new();
    let mut closing = false;
    for word in &mut words {
        let plain = word.trim_end_matches([':', '.', '!', ',']).to_ascii_lowercase();
        match word.trim_end_matches(['.', '!', ',', ':']).parse::<TicketId>() {
            Ok(ticket) if closing => {
                if !found.contains(&ticket) && found.len() < TICKETS_MAX {
                    found.push(ticket);
                }
                // `Fixes ACT-1, ACT-2` closes both.
            }
            _ => closing = WORDS.contains(&plain.as_str()) || (closing && plain == "and"),
        }
    }
    found
}

/// Tickets of the hidden markers that issues of ours carry.
fn marked(text: &str) -> Vec<TicketId> {
    text.split("<!-- actifix:")
        .skip(1)
        .filter_map(|rest| rest.split(" -->").next()?.parse().ok())
        .take(TICKETS_MAX)
        .collect()
}

#[cfg(test)]
mod tests;
