//! The generic webhook: JSON signed by Standard Webhooks.

use super::{Change, ChannelConfig, Message, post_json, sign};
use crate::ports::OutboundRequest;
use crate::secrets::SecretText;
use actifix_domain::alert::Failure;
use actifix_domain::time::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// The body. Its members are the contract with receivers: they are added to, never changed.
#[derive(Serialize)]
struct Payload<'a> {
    /// `alert.new`, `alert.digest`, `alert.test`, …
    r#type: String,
    /// When it was decided.
    timestamp: Timestamp,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    test: bool,
    rule: &'a str,
    count: u64,
    muted: u64,
    changes: Vec<ChangeData<'a>>,
    url: &'a str,
}

#[derive(Serialize)]
struct ChangeData<'a> {
    trigger: &'static str,
    at: Timestamp,
    ticket: Option<&'a str>,
    project: Option<&'a str>,
    title: &'a str,
    culprit: &'a str,
    level: Option<&'static str>,
    priority: Option<&'static str>,
    environment: Option<&'a str>,
    release: Option<&'a str>,
    tags: &'a BTreeMap<String, String>,
    count: u64,
    users: u64,
    detail: &'a str,
    url: Option<&'a str>,
}

pub(super) fn request(
    channel: &ChannelConfig,
    message: &Message,
    now: Timestamp,
) -> Result<OutboundRequest, Failure> {
    let kind = match message.first() {
        _ if message.test => "test",
        Some(change) if message.count <= 1 => change.trigger.as_str(),
        _ => "digest",
    };
    let payload = Payload {
        r#type: format!("alert.{kind}"),
        timestamp: message.at,
        data: Data {
            test: message.test,
            rule: &message.rule,
            count: message.count,
            muted: message.muted,
            changes: message.changes.iter().map(change_data).collect(),
            url: message.url(),
        },
    };
    let mut request = post_json(&channel.url, &payload)?;
    let list = sign::signatures(channel, &message.id, now, &request.body)?;
    for (name, value) in [
        ("webhook-id", message.id.clone()),
        ("webhook-timestamp", now.seconds().to_string()),
        ("webhook-signature", list),
    ] {
        request.headers.push((name, SecretText::new(value)));
    }
    Ok(request)
}

fn change_data(change: &Change) -> ChangeData<'_> {
    ChangeData {
        trigger: change.trigger.as_str(),
        at: change.at,
        ticket: change.ticket.as_ref().map(actifix_domain::id::TicketId::as_str),
        project: change.project.as_deref(),
        title: &change.title,
        culprit: &change.culprit,
        level: change.level,
        priority: change.priority,
        environment: change.environment.as_deref(),
        release: change.release.as_deref(),
        tags: &change.tags,
        count: change.count,
        users: change.users,
        detail: &change.detail,
        url: change.url.as_deref(),
    }
}
