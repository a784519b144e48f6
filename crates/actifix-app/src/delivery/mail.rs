//! Mail: plain text, of which programs make links: only the one to the ticket is left to them.

use super::escape::{one_line, plain};
use super::push::lines;
use super::{ChannelConfig, Message};
use crate::ports::OutboundMail;
use crate::secrets::SecretText;
use actifix_domain::alert::Failure;
use url::Url;

/// Longest text of a digest, characters; mail has no bound that it would meet.
const TEXT_CHARS_MAX: usize = 10_000;
/// Longest subject, characters.
const SUBJECT_CHARS_MAX: usize = 150;

pub(super) fn mail(channel: &ChannelConfig, message: &Message) -> Result<OutboundMail, Failure> {
    let url = Url::parse(&channel.url).map_err(|_| Failure::Unusable)?;
    let implicit_tls = url.scheme() == "smtps";
    let from = channel.from.clone().ok_or(Failure::Unusable)?;
    let domain = from.rsplit('@').next().unwrap_or("localhost").to_owned();
    let title = message.first().map(|change| change.title.as_str()).unwrap_or_default();
    let mut text = vec![plain(&message.headline()), String::new()];
    text.extend(lines(message, TEXT_CHARS_MAX));
    text.extend([String::new(), message.url().to_owned(), String::new(), format!("Rule {}", message.rule)]);
    Ok(OutboundMail {
        host: url.host_str().ok_or(Failure::Unusable)?.trim_matches(['[', ']']).to_owned(),
        port: url.port().unwrap_or(if implicit_tls { 465 } else { 587 }),
        implicit_tls,
        login: match (&channel.username, &channel.token) {
            (Some(name), Some(password)) => Some((name.clone(), SecretText::new(password.clone()))),
            _ => None,
        },
        subject: one_line(&plain(&format!("[Actifix] {}: {title}", message.headline())), SUBJECT_CHARS_MAX),
        text: text.join("\r\n"),
        message_id: format!("{}@{domain}", message.id),
        at: message.at,
        to: channel.to.clone(),
        from,
    })
}
