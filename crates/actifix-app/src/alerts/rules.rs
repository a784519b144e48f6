//! Rules and mutes.

use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::RuleRecord;
use actifix_domain::access::{Actor, Scope};
use actifix_domain::alert::{AlertRule, Mute, RuleState, Signal, Trigger, Verdict, default_rules};
use actifix_domain::audit::Action;
use actifix_domain::id::{ProjectId, TicketId};
use actifix_domain::time::{DAY, Timestamp};
use actifix_domain::words::counted;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

/// Days that a rule is tried on.
const DRY_RUN_DAYS: i64 = 7;
/// Changes that a rule is tried on.
const DRY_RUN_SIGNALS_MAX: u32 = 10_000;
/// Messages of a trial that are shown.
const DRY_RUN_SHOWN: usize = 20;

/// A rule that holds.
#[derive(Clone, Debug, Serialize)]
pub struct RuleView {
    /// The rule.
    #[serde(flatten)]
    pub rule: AlertRule,
    /// It holds because nobody wrote one.
    pub is_default: bool,
    /// When it was made; none for defaults.
    pub created_at: Option<Timestamp>,
}

impl From<RuleRecord> for RuleView {
    fn from(record: RuleRecord) -> Self {
        Self { rule: record.rule, is_default: false, created_at: Some(record.created_at) }
    }
}

/// What a rule would have said.
#[derive(Clone, Debug, Serialize)]
pub struct DryRun {
    /// Since when.
    pub from: Timestamp,
    /// Changes that matched.
    pub matched: u64,
    /// Messages that would have been sent, digests included.
    pub would_have_sent: u64,
    /// Of these, digests.
    pub digests: u64,
    /// Changes that were repetitions within the cooldown.
    pub repeated: u64,
    /// The first messages.
    pub messages: Vec<String>,
    /// Triggers of the rule that the history does not tell exactly: rates are known by the hour, users not at all.
    pub inexact: Vec<&'static str>,
}

impl App {
    /// Rules that hold: those that somebody wrote, else the defaults.
    pub async fn rules(&self, actor: &Actor) -> Result<Vec<RuleView>> {
        Self::require(actor, Scope::Admin, None)?;
        let own: Vec<RuleView> = self.store.alert_rules().await?.into_iter().map(RuleView::from).collect();
        if !own.is_empty() {
            return Ok(own);
        }
        let defaults = default_rules().into_iter();
        Ok(defaults.map(|rule| RuleView { rule, is_default: true, created_at: None }).collect())
    }

    /// The rules that are applied.
    pub(crate) async fn effective_rules(&self) -> Result<Vec<AlertRule>> {
        Ok(or_defaults(self.own_rules().await?))
    }

    async fn own_rules(&self) -> Result<Vec<AlertRule>> {
        Ok(self.store.alert_rules().await?.into_iter().map(|record| record.rule).collect())
    }

    /// Adds a rule, or replaces the one of this name. The first one ends the defaults. What the former ones gathered is
    /// told at once.
    pub async fn save_rule(&self, actor: &Actor, rule: AlertRule) -> Result<RuleView> {
        Self::require(actor, Scope::Admin, None)?;
        self.check_rule(&rule).await?;
        let target = format!("alert-rule:{}", rule.name);
        let detail = json!({ "act": "saved", "rule": rule });
        let audit = self.audit(actor, Action::AlertRuleChanged, target, rule.project, detail);
        let mut routing = self.alerts.routing.lock().await;
        let mut after = self.own_rules().await?;
        after.retain(|known| known.name != rule.name);
        after.push(rule.clone());
        let mut states = routing.take(&*self.store).await?;
        let told = self.flush_digests(&mut states, &self.effective_rules().await?, &after).await?;
        let saved = self.store.save_alert_rule(&rule, self.now(), told, &audit).await?;
        routing.keep(states);
        self.alerts.wake.notify_one();
        Ok(saved.into())
    }

    async fn check_rule(&self, rule: &AlertRule) -> Result<()> {
        rule.validate().map_err(|(field, why)| Error::invalid(field, why))?;
        if let Some(project) = rule.project
            && self.store.project(project).await?.is_none()
        {
            return Err(Error::invalid("project", "no such project"));
        }
        let known = self.store.endpoints().await?;
        for name in &rule.endpoints {
            if !known.iter().any(|sealed| sealed.record.name == *name) {
                return Err(Error::invalid(
                    "endpoints",
                    "no channel of this name: see `actifix webhook list`",
                ));
            }
        }
        Ok(())
    }

    /// Removes a rule, and tells what it gathered.
    pub async fn remove_rule(&self, actor: &Actor, name: &str) -> Result<()> {
        Self::require(actor, Scope::Admin, None)?;
        let target = format!("alert-rule:{name}");
        let audit = self.audit(actor, Action::AlertRuleChanged, target, None, json!({ "act": "removed" }));
        let mut routing = self.alerts.routing.lock().await;
        let (before, mut after) = (self.effective_rules().await?, self.own_rules().await?);
        after.retain(|known| known.name != name);
        let after = or_defaults(after);
        let mut states = routing.take(&*self.store).await?;
        let told = self.flush_digests(&mut states, &before, &after).await?;
        if !self.store.remove_alert_rule(name, told, &audit).await? {
            return Err(Error::NotFound { what: "alert rule" });
        }
        routing.keep(states);
        self.alerts.wake.notify_one();
        Ok(())
    }

    /// What a rule would have said in the last seven days.
    pub async fn dry_run_rule(&self, actor: &Actor, rule: AlertRule) -> Result<DryRun> {
        Self::require(actor, Scope::Admin, None)?;
        self.check_rule(&rule).await?;
        let now = self.now();
        let from = now.plus(-DRY_RUN_DAYS * DAY);
        let past = self.store.past_signals(rule.project, from, DRY_RUN_SIGNALS_MAX).await?;
        let mut run = DryRun {
            from,
            matched: 0,
            would_have_sent: 0,
            digests: 0,
            repeated: 0,
            messages: Vec::new(),
            inexact: inexact(&rule),
        };
        let mut states: BTreeMap<Option<ProjectId>, RuleState> = BTreeMap::new();
        for signal in past.iter().filter(|signal| rule.matches(signal) && reaches(&rule, signal)) {
            let state = states.entry(signal.project).or_default();
            run.take_digest(state, &rule, signal.at);
            run.matched += 1;
            match state.offer(&rule, signal, signal.at) {
                Verdict::Send => {
                    run.say(format!("{} {} {}", signal.at, signal.trigger.as_str(), signal.title))
                }
                Verdict::Repeated => run.repeated += 1,
                Verdict::Gathered => {}
            }
        }
        // What is still gathered is said after its time.
        for state in states.values_mut() {
            while let Some(at) = state.digest_at() {
                let before = run.would_have_sent;
                run.take_digest(state, &rule, at.max(now));
                if run.would_have_sent == before && state.digest_at() == Some(at) {
                    break;
                }
            }
        }
        Ok(run)
    }

    /// Says nothing about a ticket until the mute ends.
    pub async fn mute_ticket(
        &self,
        actor: &Actor,
        id: &TicketId,
        mute: Option<Mute>,
    ) -> Result<Option<Mute>> {
        let ticket = self.visible_ticket(actor, Scope::TicketsTriage, id).await?.ticket;
        if mute.as_ref().and_then(|mute| mute.until).is_some_and(|until| until <= self.now()) {
            return Err(Error::invalid("until", "a time to come"));
        }
        let act = if mute.is_some() { "muted" } else { "unmuted" };
        let detail = json!({ "act": act, "mute": mute });
        let audit =
            self.audit(actor, Action::TicketChanged, ticket.id.as_str(), Some(ticket.project), detail);
        self.store.mute_ticket(&ticket.id, mute.as_ref(), &audit).await?;
        Ok(mute)
    }
}

/// The rules that hold where somebody wrote these.
fn or_defaults(own: Vec<AlertRule>) -> Vec<AlertRule> {
    if own.is_empty() { default_rules() } else { own }
}

impl DryRun {
    fn say(&mut self, text: String) {
        self.would_have_sent += 1;
        if self.messages.len() < DRY_RUN_SHOWN {
            self.messages.push(text);
        }
    }

    fn take_digest(&mut self, state: &mut RuleState, rule: &AlertRule, now: Timestamp) {
        while let Some(due) = state.digest_at().filter(|due| *due <= now) {
            match state.take_digest(rule, due) {
                Some(digest) => {
                    self.digests += 1;
                    self.say(format!("{due} digest of {}", counted(digest.count, "change", "changes")));
                }
                None if state.digest_at() == Some(due) => break,
                None => {}
            }
        }
    }
}

/// Of an hour of the history, whether the rate could have been reached in it.
fn reaches(rule: &AlertRule, signal: &Signal) -> bool {
    signal.trigger != Trigger::Rate || rule.rate.is_some_and(|rate| signal.count >= u64::from(rate.count))
}

fn inexact(rule: &AlertRule) -> Vec<&'static str> {
    let known = |trigger: &&Trigger| {
        matches!(trigger, Trigger::Rate | Trigger::Users) || trigger.is_of_installation()
    };
    rule.triggers.iter().filter(known).map(|trigger| trigger.as_str()).collect()
}
