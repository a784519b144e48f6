//! ntfy and Telegram: plain text without markup.

use super::channel::topic_of;
use super::escape::{cut, one_line, plain};
use super::{ChannelConfig, Message, post_json};
use crate::ports::OutboundRequest;
use crate::secrets::SecretText;
use actifix_domain::alert::Failure;
use serde_json::json;
use url::Url;

/// ntfy takes 4,096 bytes; a character has four at most.
const NTFY_CHARS_MAX: usize = 1_000;
/// Telegram takes 4,096 UTF-16 units; a character has two at most.
const TELEGRAM_CHARS_MAX: usize = 2_000;

/// Lines of plain text, without the headline.
pub(super) fn lines(message: &Message) -> Vec<String> {
    match message.first() {
        Some(change) if message.count <= 1 => {
            let facts = change.facts().into_iter().map(|(name, value)| format!("{name}: {value}"));
            [change.title.clone()].into_iter().chain(facts).collect()
        }
        _ => {
            let mut lines: Vec<String> = message
                .changes
                .iter()
                .map(|change| one_line(&format!("{}: {}", change.headline(), change.title), 200))
                .collect();
            if let Some(rest) = message.rest() {
                lines.push(rest);
            }
            lines
        }
    }
}

pub(super) fn ntfy(channel: &ChannelConfig, message: &Message) -> Result<OutboundRequest, Failure> {
    let mut url = Url::parse(&channel.url).map_err(|_| Failure::Unusable)?;
    let topic = topic_of(&url).ok_or(Failure::Unusable)?;
    url.set_path("/");
    url.set_query(None);
    let priority = match message.priority() {
        Some("P0") => 5,
        Some("P1") => 4,
        Some("P4") => 2,
        _ => 3,
    };
    let body = json!({
        "topic": topic,
        "title": plain(&message.headline()),
        "message": cut(&plain(&lines(message).join("\n")), NTFY_CHARS_MAX),
        "priority": priority,
        "click": message.url(),
        "markdown": false,
    });
    let mut request = post_json(url.as_str(), &body)?;
    if let Some(token) = &channel.token {
        request.headers.push(("authorization", SecretText::new(format!("Bearer {token}"))));
    }
    Ok(request)
}

pub(super) fn telegram(channel: &ChannelConfig, message: &Message) -> Result<OutboundRequest, Failure> {
    let token = channel.token.as_deref().ok_or(Failure::Unusable)?;
    let url = format!("{}/bot{token}/sendMessage", channel.url.trim_end_matches('/'));
    let text = plain(&format!("{}\n{}", message.headline(), lines(message).join("\n")));
    // Without a parse mode the text is taken as it is.
    let body = json!({
        "chat_id": channel.target,
        "text": format!("{}\n{}", cut(&text, TELEGRAM_CHARS_MAX - 300), cut(message.url(), 290)),
        "entities": [],
        "link_preview_options": { "is_disabled": true },
    });
    post_json(&url, &body)
}
