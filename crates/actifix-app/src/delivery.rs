//! One message to one channel: opened, redacted once more, put into the channel's form, signed, sent.
//!
//! What leaves the house is typed: a channel gets the members of `Message` and nothing else. Each text is redacted
//! again here, whatever was done before, and escaped for its target: nobody is mentioned, nothing is formatted, and no
//! link is made but the one to the ticket.

mod channel;
mod chat;
mod escape;
mod generic;
mod github;
mod mail;
mod push;
mod sign;

pub(crate) use channel::is_repository;
pub use channel::{ChannelConfig, Kind, SECRETS_MAX};
pub use sign::{SigningSecret, Verdict, is_secret, new_secret, new_seed, public_key, verify, verify_github};

use crate::app::App;
use crate::error::Result;
use crate::ports::{Courier, OutboundAnswer, OutboundRequest};
use actifix_domain::alert::{Failure, Signal, Trigger};
use actifix_domain::id::TicketId;
use actifix_domain::time::Timestamp;
use actifix_domain::words::many;
use escape::one_line;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Time for one attempt where nothing else is set: name, connection, TLS, headers and body of all its requests.
pub const TIMEOUT_SECONDS: u64 = 5;
/// Longest such time that may be set.
pub const TIMEOUT_SECONDS_MAX: u64 = 30;
/// Longest title, characters.
const TITLE_CHARS_MAX: usize = 200;
/// Longest other text, characters.
const TEXT_CHARS_MAX: usize = 300;
/// Tags that are shown.
const TAGS_SHOWN: usize = 20;

/// What is said, as it waits in the outbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Name of the rule.
    pub rule: String,
    /// It only tries the channel.
    #[serde(default)]
    pub test: bool,
    /// What changed: one, or the first of a digest.
    pub signals: Vec<Signal>,
    /// How many there were in all.
    pub count: u64,
    /// How many besides are about tickets that somebody silenced: they are counted and not named.
    #[serde(default)]
    pub muted: u64,
}

impl Notice {
    /// Of one signal.
    pub fn single(rule: &str, signal: &Signal) -> Self {
        Self { rule: rule.to_owned(), test: false, signals: vec![signal.clone()], count: 1, muted: 0 }
    }

    /// Whether it stands for several.
    pub fn is_digest(&self) -> bool {
        self.count > 1
    }
}

/// A notice that may leave the house: redacted, bounded, with links.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// The same at each attempt.
    pub id: String,
    /// When it was decided.
    pub at: Timestamp,
    /// The rule that says it.
    pub rule: String,
    /// It only tries the channel.
    pub test: bool,
    /// How many changes it stands for.
    pub count: u64,
    /// Changes of muted tickets besides.
    pub muted: u64,
    /// The changes that are shown.
    pub changes: Vec<Change>,
    /// Where the list of tickets is.
    pub home: String,
}

/// One change as it is shown.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub trigger: Trigger,
    pub at: Timestamp,
    pub ticket: Option<TicketId>,
    pub project: Option<String>,
    pub title: String,
    pub culprit: String,
    pub level: Option<&'static str>,
    pub priority: Option<&'static str>,
    pub environment: Option<String>,
    pub release: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub count: u64,
    pub users: u64,
    pub detail: String,
    pub url: Option<String>,
}

impl Change {
    /// `New P1 ticket`: what happened, in words of ours.
    pub fn headline(&self) -> String {
        let priority = self.priority.unwrap_or_default();
        let what = match self.trigger {
            Trigger::New => format!("New {priority} ticket"),
            Trigger::Regressed => format!("{priority} ticket came back"),
            Trigger::Raised => format!("Ticket raised to {priority}"),
            Trigger::Rate => format!("{priority} ticket: {}", self.detail),
            Trigger::Spike => format!("{priority} ticket spikes"),
            Trigger::Users => format!("{priority} ticket: {}", self.detail),
            Trigger::Brake => "Flood protection".to_owned(),
            Trigger::Finding => "Leaked secret".to_owned(),
            Trigger::Resolved => "Ticket resolved".to_owned(),
            Trigger::Doctor => "Check failed".to_owned(),
            Trigger::Expiry => "Ends soon".to_owned(),
            Trigger::Backup => "Backup failed".to_owned(),
        };
        what.trim().to_owned()
    }

    /// Names and values of what is known besides title and place.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        let mut fact = |name, value: Option<String>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                facts.push((name, value));
            }
        };
        fact("Project", self.project.clone());
        fact("Priority", self.priority.map(str::to_owned));
        fact("Level", self.level.map(str::to_owned));
        fact("Environment", self.environment.clone());
        fact("Release", self.release.clone());
        fact("Events", (self.count > 0).then(|| self.count.to_string()));
        fact("Users", (self.users > 0).then(|| self.users.to_string()));
        fact("Where", Some(self.culprit.clone()));
        fact("Why", Some(self.detail.clone()));
        facts
    }
}

impl Message {
    /// One line about all of it, in words of ours.
    pub fn headline(&self) -> String {
        let what = match self.changes.first() {
            Some(change) if self.count <= 1 => change.headline(),
            _ => many(self.count, "change"),
        };
        if self.test { format!("TEST: {what}") } else { what }
    }

    /// The first change.
    pub fn first(&self) -> Option<&Change> {
        self.changes.first()
    }

    /// Changes beyond those that are shown.
    pub fn more(&self) -> u64 {
        self.count.saturating_sub(u64::try_from(self.changes.len()).unwrap_or(u64::MAX))
    }

    /// What a digest does not name, in words of ours.
    pub fn rest(&self) -> Option<String> {
        match (self.more(), self.muted) {
            (0, 0) => None,
            (more, 0) => Some(format!("and {more} more")),
            (0, muted) => Some(format!("and {muted} of muted tickets")),
            (more, muted) => Some(format!("and {more} more, and {muted} of muted tickets")),
        }
    }

    /// Where people look.
    pub fn url(&self) -> &str {
        self.first().and_then(|change| change.url.as_deref()).unwrap_or(&self.home)
    }

    /// The most urgent priority of all.
    pub fn priority(&self) -> Option<&'static str> {
        self.changes.iter().filter_map(|change| change.priority).min()
    }
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub failure: Option<Failure>,
    pub status: Option<u16>,
    pub retry_after_seconds: Option<u64>,
    pub issue: Option<u64>,
}

impl Sent {
    pub(crate) const fn failed(failure: Failure) -> Self {
        Self { failure: Some(failure), status: None, retry_after_seconds: None, issue: None }
    }

    /// Of an answer: 2xx is success, everything else is not.
    fn of(answer: &OutboundAnswer) -> Self {
        let fine = (200..300).contains(&answer.status);
        Self {
            failure: (!fine).then(|| Failure::of_status(answer.status)),
            status: Some(answer.status),
            retry_after_seconds: answer.retry_after_seconds,
            issue: None,
        }
    }
}

/// One attempt at one message.
pub(crate) struct Attempting<'a> {
    pub channel: &'a ChannelConfig,
    pub message: &'a Message,
    pub now: Timestamp,
    /// Number of this attempt, from 1.
    pub attempts: u32,
    /// The issue elsewhere that stands for the ticket, where one is known.
    pub issue: Option<u64>,
}

/// Sends a message within `seconds`.
pub(crate) async fn attempt(courier: &Arc<dyn Courier>, attempting: &Attempting<'_>, seconds: u64) -> Sent {
    let sending = send(courier, attempting);
    match tokio::time::timeout(Duration::from_secs(seconds.clamp(1, TIMEOUT_SECONDS_MAX)), sending).await {
        Ok(Ok(sent)) => sent,
        Ok(Err(failure)) => Sent::failed(failure),
        Err(_) => Sent::failed(Failure::Timeout),
    }
}

async fn send(courier: &Arc<dyn Courier>, attempting: &Attempting<'_>) -> Result<Sent, Failure> {
    let Attempting { channel, message, now, .. } = attempting;
    let request = match channel.kind {
        Kind::Webhook => generic::request(channel, message, *now)?,
        Kind::Slack => chat::slack(channel, message)?,
        Kind::Discord => chat::discord(channel, message)?,
        Kind::Teams => chat::teams(channel, message)?,
        Kind::Ntfy => push::ntfy(channel, message)?,
        Kind::Telegram => push::telegram(channel, message)?,
        Kind::Mail => {
            courier.mail(mail::mail(channel, message)?).await?;
            return Ok(Sent { failure: None, status: None, retry_after_seconds: None, issue: None });
        }
        Kind::Github => return github::send(courier, attempting).await,
    };
    Ok(Sent::of(&courier.send(request).await?))
}

/// A request with a JSON body.
fn post_json(url: &str, body: &impl Serialize) -> Result<OutboundRequest, Failure> {
    Ok(OutboundRequest {
        method: "POST",
        url: crate::secrets::SecretText::new(url.to_owned()),
        headers: vec![("content-type", crate::secrets::SecretText::new("application/json".to_owned()))],
        body: serde_json::to_vec(body).map_err(|_| Failure::Unusable)?,
    })
}

impl App {
    /// What of a notice may leave the house.
    pub(crate) async fn message(&self, id: &str, at: Timestamp, notice: &Notice) -> Result<Message> {
        let mut changes = Vec::with_capacity(notice.signals.len());
        for signal in &notice.signals {
            changes.push(self.change(signal).await?);
        }
        Ok(Message {
            id: id.to_owned(),
            at,
            rule: notice.rule.clone(),
            test: notice.test,
            count: notice.count,
            muted: notice.muted,
            changes,
            home: format!("{}/", self.settings.public_url),
        })
    }

    async fn change(&self, signal: &Signal) -> Result<Change> {
        let project = match signal.project {
            Some(id) => self.store.project(id).await?,
            None => None,
        };
        let settings = project.as_ref().map(|project| project.settings.clone()).unwrap_or_default();
        let text = |text: &str, most| one_line(&self.redact_text(&settings, text), most);
        let optional = |value: &Option<String>| value.as_deref().map(|value| text(value, TEXT_CHARS_MAX));
        // Name and value in one text: some secrets are only known by what they are called.
        let tags = signal.tags.iter().take(TAGS_SHOWN).filter_map(|(key, value)| {
            let pair = self.redact_text(&settings, &format!("{key}={value}"));
            let (key, value) = pair.split_once('=')?;
            Some((one_line(key, TEXT_CHARS_MAX), one_line(value, TEXT_CHARS_MAX)))
        });
        Ok(Change {
            trigger: signal.trigger,
            at: signal.at,
            url: signal.ticket.as_ref().map(|id| format!("{}/tickets/{id}", self.settings.public_url)),
            ticket: signal.ticket.clone(),
            project: project.map(|project| project.name),
            title: text(&signal.title, TITLE_CHARS_MAX),
            culprit: text(&signal.culprit, TEXT_CHARS_MAX),
            level: signal.level.map(actifix_domain::event::Level::as_str),
            priority: signal.priority.map(actifix_domain::ticket::Priority::as_str),
            environment: optional(&signal.environment),
            release: optional(&signal.release),
            tags: tags.collect(),
            count: signal.count,
            users: signal.users,
            detail: text(&signal.detail, TEXT_CHARS_MAX),
        })
    }
}

#[cfg(test)]
mod tests;
