//! What the hot path must know of the rules: whether anybody listens at all, and the thresholds that are counted.

use super::{AlertRule, Rate, Signal, Trigger};
use crate::id::ProjectId;
use crate::sliding;
use crate::time::MINUTE;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A rule with the trigger `rate`.
#[derive(Clone, Debug, PartialEq)]
pub struct RateWatch {
    /// The rule; its conditions say which events count.
    pub rule: AlertRule,
    /// Its threshold.
    pub rate: Rate,
}

/// What is listened for in one project.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interest {
    triggers: u16,
    /// Rates that are counted.
    pub rates: Vec<RateWatch>,
    /// Rules with the trigger `users`: name and number of users.
    pub users: Vec<(String, u64)>,
}

impl Interest {
    /// Whether some rule listens for it.
    pub const fn has(&self, trigger: Trigger) -> bool {
        self.triggers & trigger.bit() != 0
    }

    /// Nobody listens for anything.
    pub const fn is_empty(&self) -> bool {
        self.triggers == 0
    }

    fn add(&mut self, rule: &AlertRule) {
        for trigger in &rule.triggers {
            self.triggers |= trigger.bit();
        }
        if let Some(rate) = rule.rate {
            self.rates.push(RateWatch { rule: rule.clone(), rate });
        }
        if let Some(users) = rule.users {
            self.users.push((rule.name.clone(), users));
        }
    }
}

/// Interests by project. Made once when a rule or channel changes, asked for with each batch.
#[derive(Clone, Debug, Default)]
pub struct Interests {
    everywhere: Arc<Interest>,
    projects: BTreeMap<ProjectId, Arc<Interest>>,
}

impl Interests {
    /// Of these rules. Without a channel that is switched on nobody can be told, and nothing is looked at;
    /// `closes_issues` where a channel keeps issues elsewhere in step, which must hear of resolved tickets.
    pub fn new(rules: &[AlertRule], any_channel: bool, closes_issues: bool) -> Self {
        if !any_channel {
            return Self::default();
        }
        let enabled = || rules.iter().filter(|rule| rule.enabled);
        let mut everywhere = Interest::default();
        if closes_issues {
            everywhere.triggers |= Trigger::Resolved.bit();
        }
        enabled().filter(|rule| rule.project.is_none()).for_each(|rule| everywhere.add(rule));
        let mut projects: BTreeMap<ProjectId, Interest> = BTreeMap::new();
        for rule in enabled() {
            if let Some(project) = rule.project {
                projects.entry(project).or_insert_with(|| everywhere.clone()).add(rule);
            }
        }
        let projects =
            projects.into_iter().map(|(project, interest)| (project, Arc::new(interest))).collect();
        Self { everywhere: Arc::new(everywhere), projects }
    }

    /// What is listened for in a project.
    pub fn of(&self, project: ProjectId) -> &Arc<Interest> {
        self.projects.get(&project).unwrap_or(&self.everywhere)
    }

    /// What is listened for everywhere.
    pub fn everywhere(&self) -> &Interest {
        &self.everywhere
    }
}

/// Events of one ticket that count for one rate.
#[derive(Clone, Debug, Default)]
pub struct Window {
    events: sliding::Window,
    /// It was said, and the rate has not fallen below half of the threshold since.
    said: bool,
}

impl Window {
    /// Counts an event at `now` (microseconds). True when the threshold is reached and was not since the rate was last
    /// below half of it: a rate that sways around the threshold is said once.
    pub fn count(&mut self, rate: Rate, now: i64) -> bool {
        let period = i64::from(rate.minutes) * MINUTE;
        if self.said && self.events.used(period, now).saturating_mul(2) < u64::from(rate.count) {
            self.said = false;
        }
        self.events.add(period, now);
        let reached = self.events.used(period, now) >= u64::from(rate.count);
        let says = reached && !self.said;
        self.said |= reached;
        says
    }
}

impl RateWatch {
    /// Whether the event behind this signal counts.
    pub fn counts(&self, event: &Signal) -> bool {
        self.rule.when.hold(event)
    }
}
