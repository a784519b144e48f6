//! Issues of a GitHub repository that stand for tickets: opened with a redacted summary and a hidden marker, reopened
//! when the ticket comes back, closed when it is resolved.

use super::escape::{cut, markdown, quiet};
use super::{Attempting, Change, ChannelConfig, Message, Sent};
use crate::ports::{Courier, OutboundRequest};
use crate::secrets::SecretText;
use actifix_domain::alert::{Failure, Trigger};
use actifix_domain::id::TicketId;
use serde_json::{Value, json};
use std::sync::Arc;

/// Longest title, characters; GitHub takes 256.
const TITLE_CHARS_MAX: usize = 200;
/// Longest body, characters; GitHub takes 65,536.
const BODY_CHARS_MAX: usize = 8_000;
/// Issues that are looked at for a marker.
const LOOKED_AT: u32 = 100;

/// What tells the issue of a ticket from all others.
pub(super) fn marker(ticket: &TicketId) -> String {
    format!("<!-- actifix:{ticket} -->")
}

pub(super) async fn send(courier: &Arc<dyn Courier>, attempting: &Attempting<'_>) -> Result<Sent, Failure> {
    let Attempting { channel, message, .. } = attempting;
    let fine = Sent { failure: None, status: None, retry_after_seconds: None, issue: None };
    if message.test {
        // Opens nothing: whether the token may see the repository is what can be tried.
        let answer = courier.send(request(channel, "GET", "", &Value::Null)?).await?;
        return Ok(Sent::of(&answer));
    }
    let Some((change, ticket)) = message.first().and_then(|change| Some((change, change.ticket.as_ref()?)))
    else {
        return Ok(fine);
    };
    let mut issue = attempting.issue;
    // An earlier attempt may have opened it without our hearing of it.
    if issue.is_none() && attempting.attempts > 1 {
        issue = find(courier, channel, ticket).await?;
    }
    let answer = match (issue, change.trigger) {
        (None, Trigger::Resolved) => return Ok(fine),
        (None, _) => {
            courier.send(request(channel, "POST", "/issues", &opened(message, change, ticket))?).await?
        }
        (Some(number), trigger) => {
            let state = match trigger {
                Trigger::Resolved => json!({ "state": "closed", "state_reason": "completed" }),
                _ => json!({ "state": "open" }),
            };
            let answer =
                courier.send(request(channel, "PATCH", &format!("/issues/{number}"), &state)?).await?;
            match (answer.status, trigger) {
                // It was deleted or moved elsewhere, which is the affair of this ticket and not of the channel: there is
                // nothing left to close, and what is open needs an issue that is there.
                (301 | 404 | 410, Trigger::Resolved) => return Ok(fine),
                (301 | 404 | 410, _) => {
                    issue = None;
                    courier
                        .send(request(channel, "POST", "/issues", &opened(message, change, ticket))?)
                        .await?
                }
                _ => answer,
            }
        }
    };
    let number = serde_json::from_slice::<Value>(&answer.body)
        .ok()
        .and_then(|body| body.get("number").and_then(Value::as_u64));
    let mut sent = Sent { issue: number.or(issue), ..Sent::of(&answer) };
    // Issues may be switched off while the repository is there; that it is gone only its own path can say.
    if sent.failure == Some(Failure::Gone) {
        let whole = courier.send(request(channel, "GET", "", &Value::Null)?).await?;
        if whole.status != 410 {
            sent.failure = Some(Failure::Refused);
        }
    }
    Ok(sent)
}

pub(super) fn opened(message: &Message, change: &Change, ticket: &TicketId) -> Value {
    let facts: Vec<String> =
        change.facts().into_iter().map(|(name, value)| format!("- {name}: {}", markdown(&value))).collect();
    let text = format!("{}\n\n{}", markdown(&change.title), facts.join("\n"));
    let body =
        format!("{}\n\n[{ticket}]({})\n\n{}", cut(&text, BODY_CHARS_MAX), message.url(), marker(ticket));
    json!({ "title": cut(&quiet(&change.title), TITLE_CHARS_MAX), "body": body, "labels": ["actifix"] })
}

async fn find(
    courier: &Arc<dyn Courier>,
    channel: &ChannelConfig,
    ticket: &TicketId,
) -> Result<Option<u64>, Failure> {
    let path = format!("/issues?state=all&labels=actifix&per_page={LOOKED_AT}");
    let answer = courier.send(request(channel, "GET", &path, &Value::Null)?).await?;
    if !(200..300).contains(&answer.status) {
        return Err(match Failure::of_status(answer.status) {
            Failure::Gone => Failure::Refused,
            failure => failure,
        });
    }
    let issues: Vec<Value> = serde_json::from_slice(&answer.body).map_err(|_| Failure::Protocol)?;
    let marker = marker(ticket);
    let marked =
        |issue: &&Value| issue.get("body").and_then(Value::as_str).is_some_and(|body| body.contains(&marker));
    Ok(issues.iter().find(marked).and_then(|issue| issue.get("number")?.as_u64()))
}

fn request(
    channel: &ChannelConfig,
    method: &'static str,
    path: &str,
    body: &Value,
) -> Result<OutboundRequest, Failure> {
    let (Some(token), Some(repository)) = (&channel.token, &channel.target) else {
        return Err(Failure::Unusable);
    };
    let url = format!("{}/repos/{repository}{path}", channel.url.trim_end_matches('/'));
    let header = |name, value: &str| (name, SecretText::new(value.to_owned()));
    Ok(OutboundRequest {
        method,
        url: SecretText::new(url),
        headers: vec![
            header("authorization", &format!("Bearer {token}")),
            header("accept", "application/vnd.github+json"),
            header("x-github-api-version", "2022-11-28"),
            header("content-type", "application/json"),
        ],
        body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
    })
}
