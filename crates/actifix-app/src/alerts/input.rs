//! A rule as it comes in: what has the right form and means nothing is told with the name of its member.

use crate::app::App;
use crate::error::{Error, Result};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::alert::{AlertRule, Conditions, QuietHours, Rate, Trigger};
use actifix_domain::id::ProjectId;
use actifix_domain::ticket::Priority;
use serde::Deserialize;

/// A rule that somebody writes. What is not named is as [`AlertRule::default`] says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleInput {
    /// Name.
    pub name: String,
    /// Only this project.
    #[serde(default)]
    pub project: Option<ProjectRef>,
    /// Switched on.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// What it listens for.
    pub triggers: Vec<Trigger>,
    /// For the trigger `rate`.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// For the trigger `users`.
    #[serde(default)]
    pub users: Option<u64>,
    /// What must hold besides.
    #[serde(default)]
    pub when: Option<Conditions>,
    /// Names of the channels.
    #[serde(default)]
    pub endpoints: Vec<String>,
    /// Minutes within which the same is not said again.
    #[serde(default)]
    pub cooldown_minutes: Option<u32>,
    /// Messages within the window.
    #[serde(default)]
    pub burst: Option<u32>,
    /// The window, minutes.
    #[serde(default)]
    pub digest_minutes: Option<u32>,
    /// Hours in which nothing is said.
    #[serde(default)]
    pub quiet: Option<QuietInput>,
}

/// A project by its number or its name.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum ProjectRef {
    /// Its number.
    Id(ProjectId),
    /// Its name, or its number as text.
    Name(String),
}

/// Quiet hours as they come in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuietInput {
    /// `22:00-07:00 Europe/Berlin`.
    pub hours: String,
    /// What is at least this urgent is said at once.
    #[serde(default)]
    pub except: Option<Priority>,
}

impl App {
    /// The rule that somebody means; whether it can hold is looked at when it is saved or tried.
    pub async fn read_rule(&self, actor: &Actor, input: RuleInput) -> Result<AlertRule> {
        Self::require(actor, Scope::Admin, None)?;
        let project = match input.project {
            None => None,
            Some(ProjectRef::Id(id)) => Some(id),
            Some(ProjectRef::Name(name)) => match self.project(actor, &name).await {
                Err(Error::NotFound { .. }) => return Err(Error::invalid("project", "no such project")),
                found => Some(found?.id),
            },
        };
        let quiet = match input.quiet {
            None => None,
            Some(QuietInput { hours, except }) => {
                let hours = hours.parse().map_err(|why| Error::invalid("quiet", format!("hours: {why}")))?;
                Some(QuietHours { hours, except })
            }
        };
        let usual = AlertRule::default();
        Ok(AlertRule {
            name: input.name,
            project,
            enabled: input.enabled.unwrap_or(usual.enabled),
            triggers: input.triggers,
            rate: input.rate,
            users: input.users,
            when: input.when.unwrap_or_default(),
            endpoints: input.endpoints,
            cooldown_minutes: input.cooldown_minutes.unwrap_or(usual.cooldown_minutes),
            burst: input.burst.unwrap_or(usual.burst),
            digest_minutes: input.digest_minutes.unwrap_or(usual.digest_minutes),
            quiet,
        })
    }
}
