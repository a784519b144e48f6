//! The outbox at work: signals become messages by the rules, messages become deliveries, and each attempt is recorded.
//!
//! A signal is written with the change that it tells of. What is decided about it is written in one transaction with
//! its removal, so that each message is decided once; a delivery is recorded after it was attempted, so that each is
//! sent at least once, with the same id.

mod decision;

use crate::alerts::Opened;
use crate::app::App;
use crate::delivery::{Attempting, Kind, Notice, Sent, attempt};
use crate::error::{Error, Result};
use crate::ingest::OwnEvent;
use crate::ports::{
    Attempt, AttemptEnd, Backlog, DeliveryQuery, DeliveryView, EndpointRecord, Expired, LeasedDelivery, Page,
    StateKey, Store,
};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::alert::{
    ATTEMPTS_MAX, ATTEMPTS_OF_REFUSED_MAX, BREAKER_STREAK, ENDPOINTS_MAX, Failure, RuleState, Signal,
    Verdict, delay_micros,
};
use actifix_domain::audit::Action;
use actifix_domain::time::{SECOND, Timestamp};
use actifix_domain::words::plural;
use decision::{Decision, clamp};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// Time between two looks at the outbox, where nothing wakes it.
const LOOK: Duration = Duration::from_millis(500);
/// Looks after which ended deliveries are tidied: a minute.
const LOOKS_PER_TIDY: u32 = 120;
/// Signals of one decision.
const SIGNALS_PER_ROUTE: u32 = 256;
/// Decisions of one look.
const ROUTES_PER_LOOK: u32 = 20;
/// Deliveries under way. As many as there may be channels, and one per channel, so that channels that hang keep nobody
/// waiting.
const FLIGHTS_MAX: usize = ENDPOINTS_MAX;
/// Deliveries under way to one host.
const FLIGHTS_PER_HOST_MAX: usize = 2;
/// How long a delivery is ours; longer than an attempt may take.
const LEASE_MICROS: i64 = 40 * SECOND;

pub(crate) type States = BTreeMap<StateKey, RuleState>;

/// What rules remember between looks; read from the store when it is not known.
#[derive(Default)]
pub(crate) struct Routing {
    states: Option<States>,
}

impl Routing {
    /// Takes it all; what is not kept again is read from the store the next time, so that only what is on disk is
    /// remembered.
    pub(crate) async fn take(&mut self, store: &dyn Store) -> Result<States> {
        match self.states.take() {
            Some(states) => Ok(states),
            None => Ok(store.rule_states().await?.into_iter().collect()),
        }
    }

    pub(crate) fn keep(&mut self, states: States) {
        self.states = Some(states);
    }
}

/// Deliveries under way.
#[derive(Default)]
struct Flights {
    tasks: JoinSet<String>,
    /// Host of each channel that one is under way to, by the channel's id.
    hosts: HashMap<String, String>,
}

impl App {
    /// Works until `stop` turns true; what is under way then ends first, which takes one attempt at most.
    pub async fn run_outbox(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        if let Err(error) = self.store.end_delivery_leases().await {
            tracing::error!(error = %error, "outbox.leases_not_ended");
        }
        let mut flights = Flights::default();
        let mut interval = tokio::time::interval(LOOK);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks = 0u32;
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                () = self.alerts.wake.notified() => {}
                Some(done) = flights.tasks.join_next() => flights.landed(done),
                _ = stop.wait_for(|stop| *stop) => break,
            }
            if let Err(error) = self.route_signals().await {
                tracing::error!(error = %error, "outbox.signals_not_routed");
            }
            if let Err(error) = self.dispatch(&mut flights).await {
                tracing::error!(error = %error, "outbox.not_dispatched");
            }
            looks = looks.wrapping_add(1);
            if looks % LOOKS_PER_TIDY == 1
                && let Err(error) = self.tend_outbox().await
            {
                tracing::error!(error = %error, "outbox.not_tidied");
            }
        }
        while let Some(done) = flights.tasks.join_next().await {
            flights.landed(done);
        }
    }

    /// Attempts what may be attempted now, and waits for the ends of it; how many those were.
    pub async fn deliver_due(self: &Arc<Self>) -> Result<usize> {
        let mut flights = Flights::default();
        self.dispatch(&mut flights).await?;
        let many = flights.tasks.len();
        while let Some(done) = flights.tasks.join_next().await {
            flights.landed(done);
        }
        Ok(many)
    }

    /// Gives up what waited too long, forgets what is old, and tells the figures.
    pub async fn tend_outbox(self: &Arc<Self>) -> Result<()> {
        // A clock that leapt makes everything old at once.
        let expired = match self.clock_jump() {
            None => self.store.expire_deliveries(self.now()).await?,
            Some(_) => Vec::new(),
        };
        for expired in expired {
            let Expired { endpoint, count, untried } = expired;
            tracing::warn!(webhook = endpoint.name, count, untried, "webhook.expired");
            let name = endpoint.name.clone();
            metrics::counter!("actifix_webhook_deliveries_total", "endpoint" => name, "result" => "expired")
                .increment(count);
            // What was never tried left no failure that anybody could have seen. A channel that somebody switched off
            // is silent because they want it.
            if untried > 0 && endpoint.enabled {
                self.file_unreachable(&endpoint, "expired").await;
            }
        }
        let lost = self.store.take_lost_signals().await?;
        if lost > 0 {
            metrics::counter!("actifix_alerts_lost_total").increment(lost);
            tracing::error!(lost, "outbox.signals_lost");
            self.file_lost(lost).await;
        }
        // While the clock is not believed nothing is forgotten for its age.
        self.store.tidy_deliveries(self.now(), self.clock_jump().is_none()).await?;
        let oldest = self.store.backlog().await?.iter().filter_map(|waits| waits.oldest_at).min();
        let seconds = oldest.map_or(0.0, |at| self.now().since(at).max(0) as f64 / 1e6);
        metrics::gauge!("actifix_webhook_oldest_pending_seconds").set(seconds);
        Ok(())
    }

    /// Turns signals into messages, and says digests that are due.
    pub async fn route_signals(&self) -> Result<()> {
        let mut routing = self.alerts.routing.lock().await;
        let mut states = routing.take(&*self.store).await?;
        for _ in 0..ROUTES_PER_LOOK {
            let pending = self.store.pending_signals(SIGNALS_PER_ROUTE).await?;
            let now = self.now();
            let gathers = states.values().any(|state| state.digest_at().is_some());
            if pending.is_empty() && !gathers {
                break;
            }
            let many = pending.len();
            let rules = self.effective_rules().await?;
            let mut touched = clamp(&rules, &mut states, now);
            let due = states.values().any(|state| state.digest_at().is_some_and(|at| at <= now));
            if pending.is_empty() && !due && touched.is_empty() {
                break;
            }
            let endpoints = self.store.endpoints().await?;
            let mut decision = Decision::new(self, now, &endpoints);
            for waiting in pending {
                decision.routed.signals.push(waiting.seq);
                // Whoever silences a ticket wants to hear nothing of it; its issue is closed all the same.
                decision.begin(&waiting.signal)?;
                if let (Some(mute), Some(ticket)) = (&waiting.mute, &waiting.signal.ticket) {
                    if mute.holds(&waiting.signal, now) {
                        continue;
                    }
                    decision.routed.unmuted.push(ticket.clone());
                }
                for rule in rules.iter().filter(|rule| rule.matches(&waiting.signal)) {
                    let key = (rule.name.clone(), waiting.signal.project);
                    match states.entry(key.clone()).or_default().offer(rule, &waiting.signal, now) {
                        Verdict::Send => {
                            let notice = Notice::single(&rule.name, &waiting.signal);
                            decision.say(rule, waiting.signal.project, &notice)?;
                        }
                        Verdict::Gathered => decision.open_issues(rule, &waiting.signal)?,
                        Verdict::Repeated => {
                            decision.reopen_issues(rule, &waiting.signal)?;
                            continue;
                        }
                    }
                    touched.insert(key);
                }
            }
            decision.say_digests(&rules, &mut states, &mut touched).await?;
            decision.forget_states(&rules, &mut states).await?;
            let mut routed = decision.routed;
            routed.states = touched
                .into_iter()
                .filter_map(|key| states.get(&key).cloned().map(|state| (key, state)))
                .collect();
            self.store.route(routed).await?;
            if many < usize::try_from(SIGNALS_PER_ROUTE).unwrap_or(usize::MAX) {
                break;
            }
        }
        routing.keep(states);
        Ok(())
    }

    /// Begins what may be attempted now.
    async fn dispatch(self: &Arc<Self>, flights: &mut Flights) -> Result<()> {
        let room = FLIGHTS_MAX.saturating_sub(flights.tasks.len());
        if room == 0 {
            return Ok(());
        }
        let endpoints = self.store.endpoints().await?;
        if endpoints.is_empty() {
            return Ok(());
        }
        // None where the seal does not open: its messages fail as what they are. A channel that was added since is not
        // known here, and has its turn at the next look.
        let mut known: HashMap<String, Option<Arc<Opened>>> = HashMap::new();
        for sealed in endpoints.iter().filter(|sealed| sealed.record.enabled) {
            let opened = self.open(sealed);
            if let Err(error) = &opened {
                tracing::error!(webhook = sealed.record.name, error = %error, "webhook.not_opened");
            }
            known.insert(sealed.record.id.clone(), opened.ok());
        }
        let now = self.now();
        let due = self.store.due_channels(now).await?;
        let chosen = flights.choose(due, &known, room);
        if chosen.is_empty() {
            return Ok(());
        }
        for leased in self.store.lease_deliveries(now, now.plus(LEASE_MICROS), &chosen).await? {
            let known = known.get(&leased.endpoint).cloned().flatten();
            let host = known.as_ref().map(|known| known.host.clone()).unwrap_or_default();
            flights.hosts.insert(leased.endpoint.clone(), host);
            let app = Arc::clone(self);
            flights.tasks.spawn(async move {
                let endpoint = leased.endpoint.clone();
                if let Err(error) = app.fly(leased, known).await {
                    tracing::error!(error = %error, "outbox.attempt_not_recorded");
                }
                endpoint
            });
        }
        Ok(())
    }

    /// One attempt at one delivery, and its record.
    async fn fly(self: &Arc<Self>, leased: LeasedDelivery, known: Option<Arc<Opened>>) -> Result<()> {
        let sent = match &known {
            Some(known) => self.attempt_at(&leased, known).await?,
            None => Sent::failed(Failure::Unusable),
        };
        let now = self.now();
        let record = known.as_ref().map(|known| &known.record);
        let streak = record.map_or(0, |record| record.streak);
        let mut random = [0u8; 8];
        self.ids.random(&mut random);
        let end = end_of(&leased, &sent, streak, u64::from_le_bytes(random), now);
        // Of other kinds it is about something within: an archived room, a deleted issue.
        let whole =
            known.as_ref().is_some_and(|known| matches!(known.channel.kind, Kind::Webhook | Kind::Github));
        let disable = (whole && sent.failure == Some(Failure::Gone))
            .then(|| "its receiver said that it is gone (410)".to_owned());
        let recorded = self
            .store
            .record_attempt(Attempt {
                delivery: leased.id.clone(),
                endpoint: leased.endpoint.clone(),
                attempts: leased.attempts,
                at: now,
                end,
                status: sent.status,
                disable: disable.clone(),
                issue: leased.ticket.clone().zip(sent.issue),
            })
            .await?;
        let name = record.map(|record| record.name.clone()).unwrap_or_default();
        let result = sent.failure.map_or("delivered", Failure::as_str);
        metrics::counter!("actifix_webhook_deliveries_total", "endpoint" => name.clone(), "result" => result)
            .increment(1);
        match sent.failure {
            None => {
                tracing::info!(webhook = name, id = leased.id, attempt = leased.attempts, "webhook.delivered")
            }
            Some(_) => tracing::warn!(
                webhook = name,
                id = leased.id,
                attempt = leased.attempts,
                failure = result,
                status = sent.status,
                "webhook.failed"
            ),
        }
        let Some(after) = recorded else { return Ok(()) };
        if after.streak == BREAKER_STREAK || disable.is_some() {
            self.file_unreachable(&after, result).await;
        }
        if sent.failure.is_none() {
            // The next one of this channel need not wait for the next look.
            self.alerts.wake.notify_one();
        }
        Ok(())
    }

    async fn attempt_at(&self, leased: &LeasedDelivery, known: &Opened) -> Result<Sent> {
        // Whatever the row says by now: what would not be stored is not sent.
        if known.channel.validate(&self.settings.outbound).is_err() {
            return Ok(Sent::failed(Failure::Forbidden));
        }
        let Ok(notice) = serde_json::from_str::<Notice>(&leased.notice) else {
            return Ok(Sent::failed(Failure::Unusable));
        };
        let issue = match &leased.ticket {
            Some(ticket) if known.channel.kind == Kind::Github => {
                self.store.issue_of(&leased.endpoint, ticket).await?
            }
            _ => None,
        };
        let message = self.message(&leased.id, leased.created_at, &notice).await?;
        let attempting = Attempting {
            channel: &known.channel,
            message: &message,
            now: self.now(),
            attempts: leased.attempts,
            issue,
        };
        Ok(attempt(self.courier()?, &attempting, self.settings.outbound_timeout_seconds).await)
    }

    /// Files an event about a channel that cannot be reached. It has a key of its own, so that all of them are one
    /// ticket.
    async fn file_unreachable(self: &Arc<Self>, endpoint: &EndpointRecord, class: &str) {
        let project = endpoint.project.map(|project| project.to_string());
        let event = OwnEvent {
            message: format!("alerts to {} are not delivered: {class}", endpoint.name),
            error_type: Some("WebhookUnreachable".to_owned()),
            fingerprint: vec!["actifix-webhook".to_owned(), endpoint.id.clone()],
            project: match project {
                Some(project) => Some(project),
                None => self.first_project().await,
            },
            ..OwnEvent::default()
        };
        if let Err(error) = self.record(&Actor::System, event).await {
            tracing::error!(webhook = endpoint.name, error = %error, "webhook.unreachable_not_filed");
        }
    }

    /// Files an event about changes that nobody is told of. All of them are one ticket.
    async fn file_lost(self: &Arc<Self>, lost: u64) {
        let changes = plural(lost, "change is", "changes are");
        let event = OwnEvent {
            message: format!(
                "{changes} not told: more came at once than can wait; see `actifix ticket list` for what is new"
            ),
            error_type: Some("AlertsLost".to_owned()),
            fingerprint: vec!["actifix-alerts-lost".to_owned()],
            project: self.first_project().await,
            ..OwnEvent::default()
        };
        if let Err(error) = self.record(&Actor::System, event).await {
            tracing::error!(error = %error, "outbox.lost_not_filed");
        }
    }

    async fn first_project(&self) -> Option<String> {
        let projects = self.store.projects().await.ok()?;
        projects.first().map(|project| project.id.to_string())
    }

    /// Signals about the installation; repeated ones are held back by the cooldown of the rules.
    pub async fn raise_signals(&self, signals: Vec<Signal>) -> Result<()> {
        if signals.is_empty() {
            return Ok(());
        }
        self.store.raise_signals(signals).await?;
        self.alerts.wake.notify_one();
        Ok(())
    }

    /// The log of deliveries.
    pub async fn deliveries(&self, actor: &Actor, mut query: DeliveryQuery) -> Result<Page<DeliveryView>> {
        Self::require(actor, Scope::Admin, None)?;
        query.limit = match query.limit {
            0 => 50,
            limit @ 1..=200 => limit,
            _ => return Err(Error::invalid("limit", "1 to 200")),
        };
        if query.state.as_deref().is_some_and(|state| !matches!(state, "pending" | "delivered" | "dead")) {
            return Err(Error::invalid("state", "one of pending, delivered, dead"));
        }
        if let Some(name) = &query.endpoint {
            // An empty list would say that there is such a channel, and nothing was sent to it.
            self.sealed_named(name).await?;
        }
        self.store.deliveries(query).await
    }

    /// Sends an ended delivery again, with its id.
    pub async fn redeliver(&self, actor: &Actor, id: &str) -> Result<()> {
        Self::require(actor, Scope::Admin, None)?;
        let target = format!("delivery:{id}");
        let audit = self.audit(actor, Action::WebhookChanged, target, None, json!({ "act": "redelivered" }));
        if !self.store.redeliver(id, self.now(), &audit).await? {
            return Err(Error::NotFound { what: "delivery" });
        }
        self.alerts.wake.notify_one();
        Ok(())
    }

    /// What waits, by channel.
    pub async fn backlog(&self, actor: &Actor) -> Result<Vec<Backlog>> {
        Self::require(actor, Scope::Admin, None)?;
        self.store.backlog().await
    }
}

impl Flights {
    /// Which of the channels with something to send have their turn, oldest message first: those that are known and
    /// have nothing under way, and of one host only so many at the same time.
    fn choose(
        &self,
        due: Vec<String>,
        known: &HashMap<String, Option<Arc<Opened>>>,
        room: usize,
    ) -> Vec<String> {
        let mut taken: HashMap<&str, usize> = HashMap::new();
        for host in self.hosts.values() {
            *taken.entry(host).or_default() += 1;
        }
        let mut chosen = Vec::new();
        for id in due.into_iter().filter(|id| !self.hosts.contains_key(id)) {
            let Some(opened) = known.get(&id) else { continue };
            let host = opened.as_ref().map_or("", |opened| opened.host.as_str());
            let many = taken.entry(host).or_default();
            if *many < FLIGHTS_PER_HOST_MAX && chosen.len() < room {
                *many += 1;
                chosen.push(id);
            }
        }
        chosen
    }

    fn landed(&mut self, done: Result<String, tokio::task::JoinError>) {
        match done {
            Ok(endpoint) => drop(self.hosts.remove(&endpoint)),
            Err(error) => {
                // A panic of ours: which one is not told, so that all but the running ones are let go. The lease of
                // the lost one ends by itself.
                metrics::counter!("actifix_panics_total").increment(1);
                tracing::error!(error = %error, "outbox.attempt_panicked");
                if self.tasks.is_empty() {
                    self.hosts.clear();
                }
            }
        }
    }
}

/// What follows from an attempt.
fn end_of(leased: &LeasedDelivery, sent: &Sent, streak: u32, random: u64, now: Timestamp) -> AttemptEnd {
    let Some(failure) = sent.failure else { return AttemptEnd::Delivered };
    let delay = delay_micros(streak.saturating_add(1), random, sent.retry_after_seconds);
    let not_before = now.plus(delay);
    let given_up = failure == Failure::Gone
        || leased.attempts >= ATTEMPTS_MAX
        || (failure.is_of_message() && leased.attempts >= ATTEMPTS_OF_REFUSED_MAX)
        || not_before >= leased.expires_at;
    if given_up {
        AttemptEnd::Dead { failure, not_before }
    } else {
        AttemptEnd::Again { failure, not_before }
    }
}
