//! Slack, Discord, Microsoft Teams. Limits are those of their documents; a message never reaches them.

use super::escape::{cut, discord as md, entities, one_line, plain as unlinked, slack as esc};
use super::{Change, ChannelConfig, Message, post_json};
use crate::ports::OutboundRequest;
use actifix_domain::alert::Failure;
use serde_json::{Value, json};

/// Changes of a digest that are shown.
const SHOWN_MAX: usize = 10;
/// Slack: characters of a header.
const SLACK_HEADER_MAX: usize = 150;
/// Slack: characters of a text of a section; its own limit is 3,000, of a field 2,000.
const SLACK_TEXT_MAX: usize = 1_900;
/// Slack: fields of a section.
const SLACK_FIELDS_MAX: usize = 10;
/// Discord: characters of the title of an embed.
const DISCORD_TITLE_MAX: usize = 256;
/// Discord: characters of a description; its own limit is 4,096, of a whole message 6,000.
const DISCORD_TEXT_MAX: usize = 3_000;
/// Discord: characters of a line of a digest, so that all of them and what is not named fit into the description.
const DISCORD_LINE_MAX: usize = 280;
/// Discord: characters of the value of a field; its own limit is 1,024.
const DISCORD_VALUE_MAX: usize = 150;

/// Escaped text within a limit; an entity is never cut in two, and a text is never empty.
fn fitted(text: &str, most: usize) -> String {
    let mut text = text.to_owned();
    loop {
        let escaped = esc(&text);
        if escaped.chars().count() <= most {
            return if escaped.is_empty() { "-".to_owned() } else { escaped };
        }
        text = cut(&text, text.chars().count() / 2);
    }
}

/// One line about a change of a digest.
fn line(change: &Change) -> String {
    one_line(&format!("{}: {}", change.headline(), change.title), 180)
}

/// Texts of strangers are `plain_text`, in which Slack knows no markup; the one link is ours.
pub(super) fn slack(channel: &ChannelConfig, message: &Message) -> Result<OutboundRequest, Failure> {
    let plain =
        |text: &str, most| json!({ "type": "plain_text", "text": fitted(text, most), "emoji": false });
    let headline = message.headline();
    let mut blocks = vec![json!({ "type": "header", "text": plain(&headline, SLACK_HEADER_MAX) })];
    match message.first() {
        Some(change) if message.count <= 1 => {
            blocks.push(json!({ "type": "section", "text": plain(&change.title, SLACK_TEXT_MAX) }));
            let facts = change.facts().into_iter().take(SLACK_FIELDS_MAX);
            let fields: Vec<Value> =
                facts.map(|(name, value)| plain(&format!("{name}: {value}"), SLACK_TEXT_MAX)).collect();
            if !fields.is_empty() {
                blocks.push(json!({ "type": "section", "fields": fields }));
            }
        }
        _ => {
            for change in message.changes.iter().take(SHOWN_MAX) {
                blocks.push(json!({ "type": "section", "text": plain(&line(change), SLACK_TEXT_MAX) }));
            }
            if let Some(text) = message.rest() {
                blocks.push(json!({ "type": "section", "text": plain(&text, SLACK_TEXT_MAX) }));
            }
        }
    }
    let link = format!("<{}|Open in Actifix>", entities(message.url()));
    blocks.push(
        json!({ "type": "context", "elements": [{ "type": "mrkdwn", "text": link, "verbatim": true }] }),
    );
    let title = message.first().map(|change| change.title.as_str()).unwrap_or_default();
    let text = fitted(&format!("{headline}: {title}"), SLACK_TEXT_MAX);
    post_json(
        &channel.url,
        &json!({ "text": text, "mrkdwn": false, "parse": "none", "link_names": false, "unfurl_links": false,
            "unfurl_media": false, "blocks": blocks }),
    )
}

pub(super) fn discord(channel: &ChannelConfig, message: &Message) -> Result<OutboundRequest, Failure> {
    let color = match message.priority() {
        Some("P0") => 0x00d1_242f,
        Some("P1") => 0x00e1_6f24,
        Some("P2") => 0x00d4_a72c,
        _ => 0x006e_7781,
    };
    let mut embed = json!({
        "title": cut(&md(&message.headline()), DISCORD_TITLE_MAX),
        "url": message.url(),
        "color": color,
        "timestamp": message.at,
    });
    let (text, fields) = match message.first() {
        Some(change) if message.count <= 1 => {
            // Cut before it is escaped, so that no escape is cut in two.
            let field = |(name, value): (&str, String)| json!({ "name": name, "value": md(&cut(&value, DISCORD_VALUE_MAX)), "inline": true });
            (md(&change.title), change.facts().into_iter().map(field).collect::<Vec<Value>>())
        }
        _ => {
            let line = |change: &Change| cut(&md(&line(change)), DISCORD_LINE_MAX);
            let mut lines: Vec<String> = message.changes.iter().take(SHOWN_MAX).map(line).collect();
            if let Some(rest) = message.rest() {
                lines.push(rest);
            }
            (lines.join("\n"), Vec::new())
        }
    };
    if let Some(members) = embed.as_object_mut() {
        members.insert("description".into(), json!(cut(&text, DISCORD_TEXT_MAX)));
        if !fields.is_empty() {
            members.insert("fields".into(), json!(fields));
        }
    }
    post_json(
        &channel.url,
        &json!({ "username": "Actifix", "embeds": [embed], "allowed_mentions": { "parse": [] } }),
    )
}

/// An Adaptive Card whose texts are runs, which know no Markdown.
pub(super) fn teams(channel: &ChannelConfig, message: &Message) -> Result<OutboundRequest, Failure> {
    let run = |text: &str, weight: &str| json!({ "type": "RichTextBlock", "inlines": [{ "type": "TextRun", "text": unlinked(text), "weight": weight }] });
    let mut body = vec![run(&message.headline(), "Bolder")];
    match message.first() {
        Some(change) if message.count <= 1 => {
            body.push(run(&change.title, "Default"));
            body.extend(
                change.facts().iter().map(|(name, value)| run(&format!("{name}: {value}"), "Default")),
            );
        }
        _ => {
            body.extend(message.changes.iter().take(SHOWN_MAX).map(|change| run(&line(change), "Default")));
            if let Some(rest) = message.rest() {
                body.push(run(&rest, "Default"));
            }
        }
    }
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
        "actions": [{ "type": "Action.OpenUrl", "title": "Open in Actifix", "url": message.url() }],
    });
    let attachment = json!({ "contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card });
    post_json(&channel.url, &json!({ "type": "message", "attachments": [attachment] }))
}
