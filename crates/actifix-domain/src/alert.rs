//! Alerts: which changes somebody is told of, when, and how often.
//!
//! A [`Signal`] says that something changed. A [`AlertRule`] says which signals matter, and [`RuleState`] holds back
//! what was just said, what comes at night, and what comes too fast. Nothing that matches a rule is lost: it is sent,
//! or counted in a digest, or a repetition of what was sent within the cooldown.

mod address;
mod conditions;
mod flow;
mod mute;
mod quiet;
mod retry;
mod watch;

pub use address::{AddressPolicy, is_public};
pub use conditions::Conditions;
pub use flow::{Digest, RULE_STATES_MAX, RuleState, SAMPLES_MAX, TOLD_MAX, URGENT_MAX, Verdict};
pub use mute::Mute;
pub use quiet::{DailyHours, HOURS_PATTERN, QuietHours};
pub use retry::{
    ATTEMPTS_MAX, ATTEMPTS_OF_REFUSED_MAX, BREAKER_STREAK, DELAY_MICROS_MAX, DELIVERY_AGE_MICROS_MAX,
    Failure, WAIT_MICROS_MAX, delay_micros, explain,
};
pub use watch::{Interest, Interests, RateWatch, Window};

use crate::event::Level;
use crate::id::{ProjectId, TicketId};
use crate::ticket::{Priority, Ticket};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::str::FromStr;

/// Rules of one installation.
pub const RULES_MAX: usize = 100;
/// Channels of one installation. One delivery of each may be under way at the same time.
pub const ENDPOINTS_MAX: usize = 200;
/// Channels that one rule names.
pub const RULE_ENDPOINTS_MAX: usize = 50;
/// Longest name of a rule or channel, characters.
pub const NAME_CHARS_MAX: usize = 64;
/// Tags that a signal carries.
pub const TAGS_MAX: usize = 50;
/// Largest cooldown, minutes: one week.
pub const COOLDOWN_MINUTES_MAX: u32 = 10_080;
/// Largest window of a rate or digest, minutes.
pub const WINDOW_MINUTES_MAX: u32 = 1_440;
/// Largest number of messages of a rule within its digest window.
pub const BURST_MAX: u32 = 100;

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A ticket that did not exist, or that was held until now.
    New,
    /// A resolved ticket came back.
    Regressed,
    /// A ticket became more urgent.
    Raised,
    /// So many events of a ticket within so many minutes.
    Rate,
    /// A ticket comes at ten times its usual rate or more, and at least a hundred times an hour.
    Spike,
    /// So many different users met a ticket.
    Users,
    /// The emergency brake of a project went on, up, or off.
    Brake,
    /// A secret was found in events for the first time.
    Finding,
    /// A ticket was resolved.
    Resolved,
    /// A check of the deployment failed.
    Doctor,
    /// A token or certificate ends soon.
    Expiry,
    /// A backup failed.
    Backup,
}

impl Trigger {
    /// All, in the order of the documentation.
    pub const ALL: [Self; 12] = [
        Self::New,
        Self::Regressed,
        Self::Raised,
        Self::Rate,
        Self::Spike,
        Self::Users,
        Self::Brake,
        Self::Finding,
        Self::Resolved,
        Self::Doctor,
        Self::Expiry,
        Self::Backup,
    ];

    /// The word used in JSON, SQL and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Regressed => "regressed",
            Self::Raised => "raised",
            Self::Rate => "rate",
            Self::Spike => "spike",
            Self::Users => "users",
            Self::Brake => "brake",
            Self::Finding => "finding",
            Self::Resolved => "resolved",
            Self::Doctor => "doctor",
            Self::Expiry => "expiry",
            Self::Backup => "backup",
        }
    }

    /// Its bit in a set of triggers.
    pub(crate) const fn bit(self) -> u16 {
        1 << (self as u16)
    }

    /// Whether it is about the installation rather than about a project.
    pub const fn is_of_installation(self) -> bool {
        matches!(self, Self::Doctor | Self::Expiry | Self::Backup)
    }
}

impl FromStr for Trigger {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|trigger| trigger.as_str() == text).ok_or_else(|| {
            format!("unknown trigger; one or more of {}", Self::ALL.map(Self::as_str).join(", "))
        })
    }
}

/// So many events within so many minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Events, 1 to 1,000,000.
    pub count: u32,
    /// Minutes, 1 to [`WINDOW_MINUTES_MAX`].
    pub minutes: u32,
}

/// What somebody wants to be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertRule {
    /// Name; names the rule among all.
    pub name: String,
    /// Only this project.
    pub project: Option<ProjectId>,
    /// Switched on.
    pub enabled: bool,
    /// What it listens for.
    pub triggers: Vec<Trigger>,
    /// For the trigger `rate`.
    pub rate: Option<Rate>,
    /// For the trigger `users`: how many.
    pub users: Option<u64>,
    /// What must hold besides.
    pub when: Conditions,
    /// Names of the channels; empty = every channel that is there for the project.
    pub endpoints: Vec<String>,
    /// Minutes within which the same is not said again; 0 = always said.
    pub cooldown_minutes: u32,
    /// Messages within [`AlertRule::digest_minutes`]; what is beyond goes into one digest.
    pub burst: u32,
    /// Window of the burst, and how long a digest gathers, minutes.
    pub digest_minutes: u32,
    /// Hours in which nothing is said.
    pub quiet: Option<QuietHours>,
}

impl Default for AlertRule {
    fn default() -> Self {
        Self {
            name: String::new(),
            project: None,
            enabled: true,
            triggers: Vec::new(),
            rate: None,
            users: None,
            when: Conditions::default(),
            endpoints: Vec::new(),
            cooldown_minutes: 60,
            burst: 10,
            digest_minutes: 10,
            quiet: None,
        }
    }
}

impl AlertRule {
    /// Whether all of it is within bounds and makes sense.
    ///
    /// # Errors
    /// The first member that is not, and what would be right.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        if !is_name(&self.name) {
            return Err(("name", NAME_FORM.to_owned()));
        }
        if self.triggers.is_empty() {
            return Err((
                "triggers",
                format!("one or more of {}", Trigger::ALL.map(Trigger::as_str).join(", ")),
            ));
        }
        if self.triggers.len() > Trigger::ALL.len() {
            return Err(("triggers", "each at most once".to_owned()));
        }
        let has = |trigger| self.triggers.contains(&trigger);
        match (has(Trigger::Rate), self.rate) {
            (true, None) => return Err(("rate", "the trigger rate needs a count and minutes".to_owned())),
            (false, Some(_)) => return Err(("rate", "given without the trigger rate".to_owned())),
            (true, Some(rate))
                if !(1..=1_000_000).contains(&rate.count)
                    || !(1..=WINDOW_MINUTES_MAX).contains(&rate.minutes) =>
            {
                let form = format!("1 to 1000000 events in 1 to {WINDOW_MINUTES_MAX} minutes");
                return Err(("rate", form));
            }
            _ => {}
        }
        match (has(Trigger::Users), self.users) {
            (true, None) => return Err(("users", "the trigger users needs a number of users".to_owned())),
            (false, Some(_)) => return Err(("users", "given without the trigger users".to_owned())),
            (true, Some(users)) if !(1..=10_000).contains(&users) => {
                return Err(("users", "1 to 10000".to_owned()));
            }
            _ => {}
        }
        if self.endpoints.len() > RULE_ENDPOINTS_MAX {
            return Err(("endpoints", format!("at most {RULE_ENDPOINTS_MAX} names")));
        }
        if self.cooldown_minutes > COOLDOWN_MINUTES_MAX {
            return Err(("cooldown_minutes", format!("0 to {COOLDOWN_MINUTES_MAX}")));
        }
        if !(1..=BURST_MAX).contains(&self.burst) {
            return Err(("burst", format!("1 to {BURST_MAX} messages")));
        }
        if !(1..=WINDOW_MINUTES_MAX).contains(&self.digest_minutes) {
            return Err(("digest_minutes", format!("1 to {WINDOW_MINUTES_MAX}")));
        }
        self.when.validate().map_err(|why| ("when", why))
    }

    /// Whether the rule listens for this signal and its conditions hold. Quiet hours, cooldown and burst come later.
    pub fn matches(&self, signal: &Signal) -> bool {
        self.enabled
            && self.triggers.contains(&signal.trigger)
            && self.project.is_none_or(|project| signal.project == Some(project))
            && signal.rule.as_ref().is_none_or(|rule| *rule == self.name)
            && self.when.hold(signal)
    }
}

/// What a name of a rule or channel looks like.
pub const NAME_FORM: &str =
    "1 to 64 lower-case letters, digits, `.`, `_`, `-`, the first one a letter or digit";

/// Whether this may be the name of a rule or channel.
pub fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut bytes = text.bytes();
    bytes.next().is_some_and(plain)
        && bytes.all(|byte| plain(byte) || matches!(byte, b'.' | b'_' | b'-'))
        && text.len() <= NAME_CHARS_MAX
}

/// What holds where nobody wrote a rule: new P0 and P1, what came back, spikes, the brake, what ends soon and backups
/// that failed.
pub fn default_rules() -> Vec<AlertRule> {
    let rule = |name: &str, triggers: &[Trigger], priority_min: Option<Priority>| AlertRule {
        name: name.to_owned(),
        triggers: triggers.to_vec(),
        when: Conditions { priority_min, ..Conditions::default() },
        ..AlertRule::default()
    };
    vec![
        rule("default-new", &[Trigger::New], Some(Priority::P1)),
        rule("default-regressed", &[Trigger::Regressed], None),
        rule("default-spike", &[Trigger::Spike], None),
        AlertRule { cooldown_minutes: 0, ..rule("default-brake", &[Trigger::Brake], None) },
        AlertRule {
            // Each has subjects for each span of time, so that it is told a few times and not each day.
            cooldown_minutes: COOLDOWN_MINUTES_MAX,
            ..rule("default-upkeep", &[Trigger::Expiry, Trigger::Backup], None)
        },
    ]
}

/// Something changed. All text in it is redacted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// What changed.
    pub trigger: Trigger,
    /// When.
    pub at: Timestamp,
    /// In which project; none for the installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectId>,
    /// What it is about: a ticket id, `token:ID`, `brake`; with the trigger it tells repetitions.
    pub subject: String,
    /// The ticket, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<TicketId>,
    /// Only for the rule of this name, whose threshold was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// One line.
    pub title: String,
    /// Place of the failure.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub culprit: String,
    /// Level of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// Priority of the ticket after the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Environment of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Release of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Tags of the event, at most [`TAGS_MAX`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Events of the ticket.
    #[serde(default)]
    pub count: u64,
    /// Users who met it.
    #[serde(default)]
    pub users: u64,
    /// Why, in words of ours.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl Signal {
    /// About the installation or a project as a whole.
    pub fn new(
        trigger: Trigger,
        at: Timestamp,
        subject: impl Into<String>,
        title: impl Into<String>,
    ) -> Self {
        Self {
            trigger,
            at,
            project: None,
            subject: subject.into(),
            ticket: None,
            rule: None,
            title: title.into(),
            culprit: String::new(),
            level: None,
            priority: None,
            environment: None,
            release: None,
            tags: BTreeMap::new(),
            count: 0,
            users: 0,
            detail: String::new(),
        }
    }

    /// About a ticket.
    pub fn of_ticket(trigger: Trigger, at: Timestamp, ticket: &Ticket) -> Self {
        Self {
            project: Some(ticket.project),
            ticket: Some(ticket.id.clone()),
            culprit: ticket.culprit.clone(),
            level: Some(ticket.level),
            priority: Some(ticket.priority),
            release: ticket.last_release.clone(),
            count: ticket.count,
            users: ticket.users,
            ..Self::new(trigger, at, ticket.id.as_str(), ticket.title.clone())
        }
    }

    /// What tells a repetition: the trigger and its subject.
    pub fn key(&self) -> String {
        format!("{}:{}", self.trigger.as_str(), self.subject)
    }
}

#[cfg(test)]
mod tests;
