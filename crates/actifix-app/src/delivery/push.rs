//! ntfy and Telegram: plain text without markup.

use super::channel::topic_of;
use super::escape::{cut, one_line, plain};
use super::{Change, ChannelConfig, Message, post_json};
use crate::ports::OutboundRequest;
use crate::secrets::SecretText;
use actifix_domain::alert::Failure;
use serde_json::json;
use url::Url;

/// ntfy takes 4,096 bytes; a character has four at most.
const NTFY_CHARS_MAX: usize = 1_000;
/// Telegram takes 4,096 UTF-16 units; a character has two at most.
const TELEGRAM_CHARS_MAX: usize = 2_000;

/// Longest line about a change of a digest, characters.
const LINE_CHARS_MAX: usize = 200;

/// Lines of plain text, without the headline. In a digest each change has its share of `most` characters, so that the
/// line about those that are not named is never what is cut off.
pub(super) fn lines(message: &Message, most: usize) -> Vec<String> {
    match message.first() {
        Some(change) if message.count <= 1 => {
            let facts = change.facts().into_iter().map(|(name, value)| format!("{name}: {value}"));
            [change.title.clone()].into_iter().chain(facts).map(|line| plain(&line)).collect()
        }
        _ => {
            let rest = message.rest();
            let room = most.saturating_sub(rest.as_ref().map_or(0, |rest| rest.chars().count() + 1));
            let each = (room / message.changes.len().max(1)).saturating_sub(1).min(LINE_CHARS_MAX);
            let line = |change: &Change| {
                let text = one_line(&format!("{}: {}", change.headline(), change.title), LINE_CHARS_MAX);
                cut(&plain(&text), each)
            };
            message.changes.iter().map(line).chain(rest).collect()
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
        "message": cut(&lines(message, NTFY_CHARS_MAX).join("\n"), NTFY_CHARS_MAX),
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
    let (headline, page) = (plain(&message.headline()), cut(message.url(), 290));
    let room = TELEGRAM_CHARS_MAX.saturating_sub(headline.chars().count() + page.chars().count() + 2);
    let text = cut(&lines(message, room).join("\n"), room);
    // Without a parse mode the text is taken as it is.
    let body = json!({
        "chat_id": channel.target,
        "text": format!("{headline}\n{text}\n{page}"),
        "entities": [],
        "link_preview_options": { "is_disabled": true },
    });
    post_json(&url, &body)
}
