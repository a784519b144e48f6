//! What becomes of signals: messages to the channels of their rules, and issues that are kept in step with tickets.

use super::States;
use crate::app::App;
use crate::delivery::{Kind, Notice};
use crate::error::{Error, Result};
use crate::ports::{EndpointRecord, NewDelivery, Routed, SealedEndpoint, StateKey};
use actifix_domain::alert::{AlertRule, Digest, RULE_STATES_MAX, Signal, Trigger};
use actifix_domain::id::ProjectId;
use actifix_domain::time::Timestamp;
use std::collections::BTreeSet;

/// Brings states within what their rules say now; those that were not.
pub(super) fn clamp(rules: &[AlertRule], states: &mut States, now: Timestamp) -> BTreeSet<StateKey> {
    let mut changed = BTreeSet::new();
    for (key, state) in states {
        let rule = rules.iter().find(|rule| rule.name == key.0);
        if rule.is_some_and(|rule| state.clamp(rule, now)) {
            changed.insert(key.clone());
        }
    }
    changed
}

impl App {
    /// Rules become others: what the former ones have gathered is told at once, to those for whom it was gathered. Neither
    /// may it be lost with its rule, nor wait for one that is switched off, nor reach whom the new rule names.
    pub(crate) async fn flush_digests(
        &self,
        states: &mut States,
        before: &[AlertRule],
        after: &[AlertRule],
    ) -> Result<Routed> {
        let endpoints = self.store.endpoints().await?;
        let now = self.now();
        let mut decision = Decision::new(self, now, &endpoints);
        let mut flushed = Vec::new();
        for (key, state) in states.iter_mut() {
            let Some(rule) = before.iter().find(|rule| rule.name == key.0) else { continue };
            if !after.contains(rule)
                && let Some(digest) = state.take_gathered()
            {
                decision.say_digest(rule, key.1, digest).await?;
                flushed.push((key.clone(), state.clone()));
            }
        }
        let stays = |key: &StateKey| after.iter().any(|rule| rule.name == key.0);
        let mut routed = decision.routed;
        routed.states = flushed.into_iter().filter(|(key, _)| stays(key)).collect();
        routed.forgotten = states.keys().filter(|key| !stays(key)).cloned().collect();
        states.retain(|key, _| stays(key));
        Ok(routed)
    }
}

/// What is decided about some signals.
pub(super) struct Decision<'a> {
    pub(super) app: &'a App,
    pub(super) now: Timestamp,
    pub(super) endpoints: &'a [SealedEndpoint],
    pub(super) routed: Routed,
    /// Channels that were told already to keep the issue of the present signal in step, by id.
    kept: Vec<String>,
}

fn keeps_issues(record: &EndpointRecord) -> bool {
    record.kind == Kind::Github.as_str()
}

impl<'a> Decision<'a> {
    pub(super) fn new(app: &'a App, now: Timestamp, endpoints: &'a [SealedEndpoint]) -> Self {
        Self { app, now, endpoints, routed: Routed::default(), kept: Vec::new() }
    }

    /// A signal begins. Issues are closed with their tickets, whatever the rules say.
    pub(super) fn begin(&mut self, signal: &Signal) -> Result<()> {
        self.kept.clear();
        self.close_issues(signal)
    }

    /// Digests that are due, each to those who hear of its project.
    pub(super) async fn say_digests(
        &mut self,
        rules: &[AlertRule],
        states: &mut States,
        touched: &mut BTreeSet<StateKey>,
    ) -> Result<()> {
        for (key, state) in states {
            let Some(rule) = rules.iter().find(|rule| rule.name == key.0) else { continue };
            if state.digest_at().is_none_or(|at| self.now < at) {
                continue;
            }
            touched.insert(key.clone());
            if let Some(digest) = state.take_digest(rule, self.now) {
                self.say_digest(rule, key.1, digest).await?;
            }
        }
        Ok(())
    }

    /// Bounds what is remembered. A state without a rule has nothing to say any more, and one that is idle decides like
    /// a new one; of too many, those that were used longest ago go, after they have said what they held back.
    pub(super) async fn forget_states(&mut self, rules: &[AlertRule], states: &mut States) -> Result<()> {
        let now = self.now;
        let forgotten = &mut self.routed.forgotten;
        states.retain(|key, state| {
            let rule = rules.iter().find(|rule| rule.name == key.0);
            let stays = rule.is_some_and(|rule| !state.is_idle(rule, now));
            if !stays {
                forgotten.push(key.clone());
            }
            stays
        });
        let beyond = states.len().saturating_sub(RULE_STATES_MAX);
        if beyond == 0 {
            return Ok(());
        }
        let mut keys: Vec<StateKey> = states.keys().cloned().collect();
        keys.sort_by_cached_key(|key| {
            states.get(key).map(|state| (state.digest_at().is_some(), state.used_at()))
        });
        for key in keys.into_iter().take(beyond) {
            let digest = states.remove(&key).and_then(|mut state| state.take_gathered());
            let rule = rules.iter().find(|rule| rule.name == key.0);
            if let (Some(rule), Some(digest)) = (rule, digest) {
                self.say_digest(rule, key.1, digest).await?;
            }
            self.routed.forgotten.push(key);
        }
        Ok(())
    }

    /// Whoever silenced a ticket meanwhile wants to hear nothing of it: it is counted and not named.
    async fn say_digest(
        &mut self,
        rule: &AlertRule,
        project: Option<ProjectId>,
        digest: Digest,
    ) -> Result<()> {
        let (mut signals, mut muted) = (Vec::with_capacity(digest.samples.len()), 0);
        for signal in digest.samples {
            let mute = match &signal.ticket {
                Some(ticket) => self.app.store.ticket_mute(ticket).await?,
                None => None,
            };
            if mute.is_some_and(|mute| mute.holds(&signal, self.now)) {
                muted += 1;
            } else {
                signals.push(signal);
            }
        }
        let count = digest.count.saturating_sub(muted);
        if count == 0 {
            return Ok(());
        }
        let notice = Notice { rule: rule.name.clone(), test: false, signals, count, muted };
        for record in self.targets(rule, project).filter(|record| !keeps_issues(record)) {
            self.deliver(record, notice.signals.first(), &notice)?;
        }
        Ok(())
    }

    /// A message about one signal to each channel of the rule.
    pub(super) fn say(
        &mut self,
        rule: &AlertRule,
        project: Option<ProjectId>,
        notice: &Notice,
    ) -> Result<()> {
        let signal = notice.signals.first();
        // An issue stands for one ticket.
        let has_ticket = signal.is_some_and(|signal| signal.ticket.is_some());
        for record in self.targets(rule, project).filter(|record| has_ticket || !keeps_issues(record)) {
            self.deliver(record, signal, notice)?;
        }
        Ok(())
    }

    /// An issue stands for one ticket, so that none of them is lost in a digest.
    pub(super) fn open_issues(&mut self, rule: &AlertRule, signal: &Signal) -> Result<()> {
        if signal.ticket.is_none() {
            return Ok(());
        }
        let notice = Notice::single(&rule.name, signal);
        for record in self.targets(rule, signal.project).filter(|record| keeps_issues(record)) {
            self.deliver(record, Some(signal), &notice)?;
        }
        Ok(())
    }

    /// An issue is closed with its ticket whenever that is resolved, and so it is opened with it whenever it comes back:
    /// the cooldown is for people.
    pub(super) fn reopen_issues(&mut self, rule: &AlertRule, signal: &Signal) -> Result<()> {
        if signal.trigger == Trigger::Regressed { self.open_issues(rule, signal) } else { Ok(()) }
    }

    /// The channels of a rule that hear of a project. A channel of a project hears of that project only; what is about
    /// the installation is for the others.
    fn targets(
        &self,
        rule: &AlertRule,
        project: Option<ProjectId>,
    ) -> std::vec::IntoIter<&'a EndpointRecord> {
        let endpoints: &'a [SealedEndpoint] = self.endpoints;
        let hears = |record: &&EndpointRecord| {
            record.enabled
                && (rule.endpoints.is_empty() || rule.endpoints.contains(&record.name))
                && (record.project.is_none() || record.project == project)
        };
        let found: Vec<&'a EndpointRecord> =
            endpoints.iter().map(|sealed| &sealed.record).filter(hears).collect();
        found.into_iter()
    }

    fn close_issues(&mut self, signal: &Signal) -> Result<()> {
        if signal.trigger != Trigger::Resolved {
            return Ok(());
        }
        let notice = Notice::single("issues", signal);
        let endpoints = self.endpoints;
        for sealed in endpoints.iter().filter(|sealed| keeps_issues(&sealed.record)) {
            let record = &sealed.record;
            if record.enabled && (record.project.is_none() || record.project == signal.project) {
                self.deliver(record, Some(signal), &notice)?;
            }
        }
        Ok(())
    }

    fn deliver(&mut self, record: &EndpointRecord, signal: Option<&Signal>, notice: &Notice) -> Result<()> {
        // What several rules say of one change opens or closes its issue once.
        if keeps_issues(record) {
            if self.kept.contains(&record.id) {
                return Ok(());
            }
            self.kept.push(record.id.clone());
        }
        let single = signal.filter(|_| !notice.is_digest());
        self.routed.deliveries.push(NewDelivery {
            id: self.app.delivery_id(),
            endpoint: record.id.clone(),
            trigger: signal.map(|signal| signal.trigger),
            ticket: single.and_then(|signal| signal.ticket.clone()),
            notice: serde_json::to_string(notice).map_err(Error::internal)?,
            created_at: self.now,
        });
        Ok(())
    }
}
