//! The outbox: signals are written with the change, decisions with the removal of their signals, and deliveries keep
//! order, id and bounds.

use super::{Case, id_of};
use crate::FakeClock;
use crate::fixtures::{EventBuilder, act, submission};
use actifix_app::ports::{
    Attempt, AttemptEnd, Clock, DeliveryQuery, EndpointRecord, HookRecord, LeasedDelivery, NewDelivery,
    Routed, SealedEndpoint, SealedHook, Store,
};
use actifix_domain::alert::{
    AlertRule, Conditions, DELIVERY_AGE_MICROS_MAX, Failure, Mute, Rate, RuleState, Signal, Trigger,
};
use actifix_domain::id::ProjectId;
use actifix_domain::ticket::{Priority, Status};
use actifix_domain::time::{DAY, HOUR, MINUTE, SECOND};
use std::sync::Arc;

/// All cases.
pub async fn run(store: Arc<dyn Store>, clock: Arc<FakeClock>) {
    nobody_listens_nothing_is_written(&Case::new(&store, &clock, "silence").await).await;
    channels_are_kept(&store, &clock).await;
    changes_are_written_with_their_event(&Case::new(&store, &clock, "changes").await).await;
    thresholds_are_said_once(&Case::new(&store, &clock, "thresholds").await).await;
    a_decision_replaces_its_signals(&Case::new(&store, &clock, "decision").await).await;
    deliveries_keep_order_and_are_leased(&store, &clock).await;
    attempts_are_recorded_once(&store, &clock).await;
    a_clock_that_was_ahead_silences_nobody(&store, &clock).await;
    what_waits_is_bounded_by_count_and_age(&store, &clock).await;
    history_tells_what_a_rule_would_say(&Case::new(&store, &clock, "history").await).await;
    requests_are_taken_once(&store, &clock).await;
}

/// A channel of this name.
pub(super) fn endpoint(name: &str, clock: &FakeClock) -> SealedEndpoint {
    let now = clock.now();
    let record = EndpointRecord {
        id: format!("id-{name}"),
        name: name.to_owned(),
        kind: "webhook".to_owned(),
        project: None,
        place: "hooks.example.net/…".to_owned(),
        production: true,
        enabled: true,
        from_environment: false,
        disabled_reason: None,
        streak: 0,
        last_failure: None,
        last_failure_at: None,
        last_success_at: None,
        next_attempt_at: None,
        created_at: now,
        updated_at: now,
        version: 1,
    };
    SealedEndpoint { record, sealed: vec![1, 2, 3] }
}

async fn nobody_listens_nothing_is_written(case: &Case) {
    // A rule alone is not enough: there is no channel.
    let rule = AlertRule { name: "all".into(), triggers: Trigger::ALL[..3].to_vec(), ..AlertRule::default() };
    case.store.save_alert_rule(&rule, case.now(), Routed::default(), &act()).await.unwrap();
    case.one(EventBuilder::new(1, "a")).await;
    case.store.raise_signals(vec![Signal::new(Trigger::Expiry, case.now(), "token:1", "t")]).await.unwrap();
    assert_eq!(case.store.pending_signals(10).await.unwrap(), []);
    assert!(case.store.remove_alert_rule("all", Routed::default(), &act()).await.unwrap());
    assert!(!case.store.remove_alert_rule("all", Routed::default(), &act()).await.unwrap());
}

async fn channels_are_kept(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let made = endpoint("ops", clock);
    store.add_endpoint(&made, &act()).await.unwrap();
    assert!(store.add_endpoint(&endpoint("ops", clock), &act()).await.is_err(), "the name is taken");
    assert_eq!(store.endpoints().await.unwrap(), std::slice::from_ref(&made));
    let mut off = made.clone();
    off.record.enabled = false;
    off.sealed = vec![4];
    let saved = store.save_endpoint(&off, &act()).await.unwrap();
    assert_eq!((saved.enabled, saved.version), (false, 2));
    assert!(store.save_endpoint(&off, &act()).await.is_err(), "of a version that is gone");
    off.record = EndpointRecord { enabled: true, ..saved };
    assert!(store.save_endpoint(&off, &act()).await.unwrap().enabled);
    assert_eq!(store.endpoints().await.unwrap()[0].sealed, [4]);
}

/// Times that a clock which was ahead has written hold nothing up.
async fn a_clock_that_was_ahead_silences_nobody(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    put(store, clock, &[("ahead1", "ops"), ("ahead2", "ops")]).await;
    let only = ["id-ops".to_owned()];
    let future = clock.now().plus(400 * DAY);
    let leased = store.lease_deliveries(future, future.plus(30 * SECOND), &only).await.unwrap();
    assert_eq!(ids(&leased), ["ahead1"]);
    let leased = take(store, clock, &[]).await;
    assert_eq!(ids(&leased), ["ahead1"], "though it was leased until next year");
    let failed = AttemptEnd::Again { failure: Failure::Timeout, not_before: future };
    end(store, clock, &leased[0], failed).await.unwrap();
    for id in ["ahead1", "ahead2"] {
        let leased = take(store, clock, &[]).await;
        assert_eq!(ids(&leased), [id], "though its channel was to wait until next year");
        end(store, clock, &leased[0], AttemptEnd::Delivered).await.unwrap();
    }
}

/// Signals that wait, which are then forgotten.
async fn drain(store: &Arc<dyn Store>) -> Vec<Signal> {
    let pending = store.pending_signals(1_000).await.unwrap();
    let signals = pending.iter().map(|waiting| waiting.seq).collect();
    store.route(Routed { signals, ..Routed::default() }).await.unwrap();
    pending.into_iter().map(|waiting| waiting.signal).collect()
}

fn triggers(signals: &[Signal]) -> Vec<Trigger> {
    signals.iter().map(|signal| signal.trigger).collect()
}

async fn changes_are_written_with_their_event(case: &Case) {
    let rule = AlertRule {
        name: "changes".into(),
        triggers: vec![
            Trigger::New,
            Trigger::Regressed,
            Trigger::Raised,
            Trigger::Resolved,
            Trigger::Finding,
        ],
        ..AlertRule::default()
    };
    case.store.save_alert_rule(&rule, case.now(), Routed::default(), &act()).await.unwrap();
    let event = EventBuilder::new(1, "a")
        .priority(Priority::P3)
        .environment("prod")
        .release("1.0")
        .tag("region", "eu");
    let recorded = case.one(event).await;
    let told = drain(&case.store).await;
    assert_eq!(triggers(&told), [Trigger::New]);
    let new = &told[0];
    assert_eq!((new.project, new.ticket.as_ref()), (Some(case.project), recorded.ticket_id.as_ref()));
    assert_eq!((new.title.as_str(), new.priority), ("Declined: a", Some(Priority::P3)));
    assert_eq!((new.environment.as_deref(), new.release.as_deref()), (Some("prod"), Some("1.0")));
    assert_eq!(new.tags.get("region").map(String::as_str), Some("eu"));
    case.one(EventBuilder::new(2, "a")).await;
    assert_eq!(drain(&case.store).await, [], "an event of a known ticket says nothing");
    let id = id_of(&recorded);
    let mut save = case.decision(&id, "resolved").await;
    (save.status, save.resolved_at) = (Status::Resolved, Some(case.now()));
    case.store.save_ticket(save).await.unwrap();
    assert_eq!(triggers(&drain(&case.store).await), [Trigger::Resolved]);
    case.clock.advance(HOUR);
    case.one(EventBuilder::new(3, "a").at(case.now())).await;
    let told = drain(&case.store).await;
    assert_eq!(triggers(&told), [Trigger::Regressed, Trigger::Raised]);
    assert_eq!(told[1].priority, Some(Priority::P2));
    // A submission that is refused as a whole leaves nothing behind.
    let mut refused = submission(case.project, case.now(), [EventBuilder::new(9, "z")]);
    refused.released = Some("0".repeat(32));
    assert!(case.store.ingest(refused).await.is_err());
    assert_eq!(drain(&case.store).await, []);
    case.store.remove_alert_rule("changes", Routed::default(), &act()).await.unwrap();
}

async fn thresholds_are_said_once(case: &Case) {
    let rate = AlertRule {
        name: "busy".into(),
        triggers: vec![Trigger::Rate],
        rate: Some(Rate { count: 5, minutes: 10 }),
        when: Conditions { environment: vec!["prod".into()], ..Conditions::default() },
        ..AlertRule::default()
    };
    let users = AlertRule {
        name: "many".into(),
        triggers: vec![Trigger::Users],
        users: Some(3),
        project: Some(case.project),
        ..AlertRule::default()
    };
    for rule in [&rate, &users] {
        case.store.save_alert_rule(rule, case.now(), Routed::default(), &act()).await.unwrap();
    }
    let event = |number: u64, environment: &str| {
        EventBuilder::new(number, "a").environment(environment).user(number % 4).at(case.now())
    };
    for number in 1..=20 {
        case.one(event(number, "staging")).await;
    }
    let told = drain(&case.store).await;
    assert_eq!(triggers(&told), [Trigger::Users], "other environments do not count for the rate");
    assert_eq!((told[0].rule.as_deref(), told[0].users), (Some("many"), 3));
    for number in 21..=40 {
        case.one(event(number, "prod")).await;
    }
    let told = drain(&case.store).await;
    assert_eq!(triggers(&told), [Trigger::Rate]);
    assert_eq!(told[0].rule.as_deref(), Some("busy"));
    assert!(rate.matches(&told[0]) && !users.matches(&told[0]));
    for name in ["busy", "many"] {
        case.store.remove_alert_rule(name, Routed::default(), &act()).await.unwrap();
    }
}

fn delivery(id: &str, endpoint: &str, clock: &FakeClock) -> NewDelivery {
    NewDelivery {
        id: id.to_owned(),
        endpoint: format!("id-{endpoint}"),
        trigger: Some(Trigger::New),
        ticket: None,
        notice: "{}".to_owned(),
        created_at: clock.now(),
    }
}

async fn a_decision_replaces_its_signals(case: &Case) {
    let recorded = case.one(EventBuilder::new(1, "a").priority(Priority::P0)).await;
    let id = id_of(&recorded);
    let mute = Mute { until_count: Some(5), ..Mute::default() };
    case.store.mute_ticket(&id, Some(&mute), &act()).await.unwrap();
    assert_eq!(case.store.ticket_mute(&id).await.unwrap(), Some(mute.clone()));
    let pending = case.store.pending_signals(10).await.unwrap();
    assert_eq!((pending.len(), pending[0].mute.as_ref()), (1, Some(&mute)), "the defaults hold");
    let mut state = RuleState::default();
    state.offer(
        &AlertRule { triggers: vec![Trigger::New], ..AlertRule::default() },
        &pending[0].signal,
        case.now(),
    );
    let routed = Routed {
        signals: vec![pending[0].seq],
        states: vec![
            (("default-new".to_owned(), None), state.clone()),
            (("default-new".to_owned(), Some(case.project)), state.clone()),
        ],
        forgotten: Vec::new(),
        deliveries: vec![delivery("msg_x", "ops", &case.clock), delivery("msg_y", "gone", &case.clock)],
        unmuted: vec![id.clone()],
    };
    case.store.route(routed).await.unwrap();
    assert_eq!(case.store.pending_signals(10).await.unwrap(), []);
    let of = |project| ((String::from("default-new"), project), state.clone());
    assert_eq!(case.store.rule_states().await.unwrap(), [of(None), of(Some(case.project))]);
    let forgotten = vec![("default-new".to_owned(), None)];
    case.store.route(Routed { forgotten, ..Routed::default() }).await.unwrap();
    assert_eq!(case.store.rule_states().await.unwrap(), [of(Some(case.project))]);
    assert_eq!(case.store.ticket_mute(&id).await.unwrap(), None);
    let log = case.store.deliveries(DeliveryQuery { limit: 10, ..DeliveryQuery::default() }).await.unwrap();
    assert_eq!(log.items.len(), 1, "a channel that is gone gets nothing");
    // All or nothing: an id that exists already undoes the rest of the decision.
    let again = Routed {
        deliveries: vec![delivery("msg_z", "ops", &case.clock), delivery("msg_x", "ops", &case.clock)],
        ..Routed::default()
    };
    assert!(case.store.route(again).await.is_err());
    let log = case.store.deliveries(DeliveryQuery { limit: 10, ..DeliveryQuery::default() }).await.unwrap();
    assert_eq!(log.items.len(), 1);
    end(&case.store, &case.clock, &take(&case.store, &case.clock, &[]).await[0], AttemptEnd::Delivered).await;
}

async fn take(store: &Arc<dyn Store>, clock: &FakeClock, skip: &[String]) -> Vec<LeasedDelivery> {
    let mut only = store.due_channels(clock.now()).await.unwrap();
    only.retain(|channel| !skip.contains(channel));
    store.lease_deliveries(clock.now(), clock.now().plus(30 * SECOND), &only).await.unwrap()
}

async fn end(
    store: &Arc<dyn Store>,
    clock: &FakeClock,
    leased: &LeasedDelivery,
    end: AttemptEnd,
) -> Option<EndpointRecord> {
    let attempt = Attempt {
        delivery: leased.id.clone(),
        endpoint: leased.endpoint.clone(),
        attempts: leased.attempts,
        at: clock.now(),
        end,
        status: Some(200),
        disable: None,
        issue: None,
    };
    store.record_attempt(attempt).await.unwrap()
}

fn ids(leased: &[LeasedDelivery]) -> Vec<&str> {
    leased.iter().map(|leased| leased.id.as_str()).collect()
}

async fn put(store: &Arc<dyn Store>, clock: &FakeClock, names: &[(&str, &str)]) {
    let deliveries = names.iter().map(|(id, endpoint)| delivery(id, endpoint, clock)).collect();
    store.route(Routed { deliveries, ..Routed::default() }).await.unwrap();
}

async fn deliveries_keep_order_and_are_leased(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    store.add_endpoint(&endpoint("second", clock), &act()).await.unwrap();
    put(store, clock, &[("a1", "ops"), ("a2", "ops"), ("b1", "second")]).await;
    let first = take(store, clock, &[]).await;
    assert_eq!(ids(&first), ["a1", "b1"], "the oldest of each channel");
    assert!(take(store, clock, &[]).await.is_empty(), "each is held by one");
    // Whoever held them died: the lease ends, and they come again as what they were.
    clock.advance(31 * SECOND);
    assert!(take(store, clock, &["id-ops".to_owned(), "id-second".to_owned()]).await.is_empty());
    let again = take(store, clock, &["id-second".to_owned()]).await;
    assert_eq!((ids(&again), again[0].attempts), (vec!["a1"], 2));
    store.end_delivery_leases().await.unwrap();
    let again = take(store, clock, &[]).await;
    assert_eq!(ids(&again), ["a1", "b1"], "at the start of a process all leases end");
    // One that fails holds up its own channel, until the time that was named.
    let failed = AttemptEnd::Again { failure: Failure::Timeout, not_before: clock.now().plus(MINUTE) };
    let record = end(store, clock, &again[0], failed).await.unwrap();
    assert_eq!((record.streak, record.last_failure.as_deref()), (1, Some("timeout")));
    end(store, clock, &again[1], AttemptEnd::Delivered).await.unwrap();
    assert!(take(store, clock, &[]).await.is_empty(), "order holds: a2 waits for a1");
    clock.advance(MINUTE);
    let retried = take(store, clock, &[]).await;
    assert_eq!(ids(&retried), ["a1"]);
    let record = end(store, clock, &retried[0], AttemptEnd::Delivered).await.unwrap();
    assert_eq!((record.streak, record.next_attempt_at, record.last_success_at), (0, None, Some(clock.now())));
    let rest = take(store, clock, &[]).await;
    assert_eq!(ids(&rest), ["a2"]);
    end(store, clock, &rest[0], AttemptEnd::Delivered).await.unwrap();
    assert!(
        store.backlog().await.unwrap().iter().all(|waits| waits.pending == 0 && waits.oldest_at.is_none())
    );
}

async fn attempts_are_recorded_once(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    put(store, clock, &[("c1", "ops")]).await;
    let stale = take(store, clock, &[]).await.remove(0);
    clock.advance(31 * SECOND);
    let fresh = take(store, clock, &[]).await.remove(0);
    assert_eq!(end(store, clock, &stale, AttemptEnd::Delivered).await, None, "an attempt that came too late");
    let dead = AttemptEnd::Dead { failure: Failure::Refused, not_before: clock.now() };
    end(store, clock, &fresh, dead).await.unwrap();
    assert_eq!(end(store, clock, &fresh, AttemptEnd::Delivered).await, None, "once");
    let of =
        |state: &str| DeliveryQuery { state: Some(state.to_owned()), limit: 10, ..DeliveryQuery::default() };
    let dead = store.deliveries(of("dead")).await.unwrap().items;
    assert_eq!(
        (dead.len(), dead[0].id.as_str(), dead[0].last_failure.as_deref()),
        (1, "c1", Some("refused"))
    );
    // It is sent again with its id, before what came later.
    put(store, clock, &[("c2", "ops")]).await;
    assert!(store.redeliver("c1", clock.now(), &act()).await.unwrap());
    assert!(store.redeliver("c1", clock.now(), &act()).await.is_err(), "it waits already");
    assert!(!store.redeliver("nobody", clock.now(), &act()).await.unwrap());
    for id in ["c1", "c2"] {
        let leased = take(store, clock, &[]).await;
        assert_eq!(ids(&leased), [id]);
        end(store, clock, &leased[0], AttemptEnd::Delivered).await.unwrap();
    }
    // A test is in the log, is not sent by the outbox and not repeated.
    store.record_test(delivery("t1", "ops", clock), Some(Failure::Tls), None).await.unwrap();
    assert!(take(store, clock, &[]).await.is_empty());
    assert!(store.redeliver("t1", clock.now(), &act()).await.is_err());
    // What waits behind failures has its turn when a test arrived, and not when it did not.
    put(store, clock, &[("w1", "ops")]).await;
    let leased = take(store, clock, &[]).await.remove(0);
    let failed = AttemptEnd::Again { failure: Failure::TlsExpired, not_before: clock.now().plus(HOUR) };
    let record = end(store, clock, &leased, failed).await.unwrap();
    assert_eq!((record.streak, record.last_failure.as_deref()), (1, Some("tls_expired")));
    store.record_test(delivery("t2", "ops", clock), Some(Failure::Timeout), None).await.unwrap();
    assert!(take(store, clock, &[]).await.is_empty(), "the way is still closed");
    store.record_test(delivery("t3", "ops", clock), None, Some(200)).await.unwrap();
    let leased = take(store, clock, &[]).await;
    assert_eq!(ids(&leased), ["w1"]);
    let record = end(store, clock, &leased[0], AttemptEnd::Delivered).await.unwrap();
    assert_eq!((record.streak, record.next_attempt_at), (0, None));
    // The receiver is gone: the channel is off, and what waits is not sent.
    put(store, clock, &[("d1", "second"), ("d2", "second")]).await;
    let leased = take(store, clock, &[]).await.remove(0);
    let attempt = Attempt {
        delivery: leased.id,
        endpoint: leased.endpoint,
        attempts: leased.attempts,
        at: clock.now(),
        end: AttemptEnd::Dead { failure: Failure::Gone, not_before: clock.now() },
        status: Some(410),
        disable: Some("gone".to_owned()),
        issue: None,
    };
    let record = store.record_attempt(attempt).await.unwrap().unwrap();
    assert_eq!((record.enabled, record.disabled_reason.as_deref()), (false, Some("gone")));
    assert!(take(store, clock, &[]).await.is_empty());
    assert!(store.remove_endpoint("second", &act()).await.unwrap());
    assert!(!store.remove_endpoint("second", &act()).await.unwrap());
}

async fn what_waits_is_bounded_by_count_and_age(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    for round in 0..11 {
        let deliveries =
            (0..100).map(|number| delivery(&format!("e{round}-{number}"), "ops", clock)).collect();
        store.route(Routed { deliveries, ..Routed::default() }).await.unwrap();
    }
    let waits = store.backlog().await.unwrap();
    let ops = waits.iter().find(|waits| waits.endpoint == "ops").unwrap();
    assert_eq!((ops.pending, ops.dead), (1_000, 100), "the oldest are given up, and counted");
    // One was attempted once, and the others never.
    let tried = take(store, clock, &[]).await.remove(0);
    let failed = AttemptEnd::Again { failure: Failure::Timeout, not_before: clock.now().plus(MINUTE) };
    end(store, clock, &tried, failed).await.unwrap();
    clock.advance(DELIVERY_AGE_MICROS_MAX);
    let expired = store.expire_deliveries(clock.now()).await.unwrap();
    assert_eq!(
        expired
            .iter()
            .map(|gone| (gone.endpoint.name.as_str(), gone.count, gone.untried))
            .collect::<Vec<_>>(),
        [("ops", 1_000, 999)]
    );
    assert_eq!(store.expire_deliveries(clock.now()).await.unwrap(), [], "told once");
    assert!(take(store, clock, &[]).await.is_empty());
    let waits = store.backlog().await.unwrap();
    assert_eq!(waits.iter().map(|waits| waits.pending).sum::<u64>(), 0);
    clock.advance(31 * DAY);
    assert_eq!(store.tidy_deliveries(clock.now(), false).await.unwrap(), 0, "nothing goes for its age");
    store.tidy_deliveries(clock.now(), true).await.unwrap();
    let log = store.deliveries(DeliveryQuery { limit: 10, ..DeliveryQuery::default() }).await.unwrap();
    assert_eq!(log.items, [], "the log forgets");
}

async fn history_tells_what_a_rule_would_say(case: &Case) {
    let from = case.now();
    let event = EventBuilder::new(1, "a").priority(Priority::P3).environment("prod").at(case.now());
    let id = id_of(&case.one(event).await);
    let mut save = case.decision(&id, "resolved").await;
    (save.status, save.resolved_at) = (Status::Resolved, Some(case.now()));
    case.store.save_ticket(save).await.unwrap();
    case.clock.advance(MINUTE);
    case.one(EventBuilder::new(2, "a").at(case.now())).await;
    let past = case.store.past_signals(Some(case.project), from, 100).await.unwrap();
    let mut told = triggers(&past);
    told.sort_unstable();
    assert_eq!(told, [Trigger::New, Trigger::Regressed, Trigger::Raised, Trigger::Resolved]);
    assert!(past.iter().all(|signal| signal.environment.as_deref() == Some("prod")));
    assert!(past.is_sorted_by_key(|signal| signal.at));
    assert!(case.store.past_signals(Some(ProjectId(77)), from, 100).await.unwrap().is_empty());
    assert_eq!(case.store.past_signals(None, from, 2).await.unwrap().len(), 2);
}

async fn requests_are_taken_once(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let record = HookRecord {
        name: "ci".to_owned(),
        kind: "github".to_owned(),
        target: Some("acme/shop".to_owned()),
        project: ProjectId(1),
        created_at: clock.now(),
        last_used_at: None,
    };
    let hook = SealedHook { record, sealed: vec![9] };
    store.add_hook(&hook, &act()).await.unwrap();
    assert!(store.add_hook(&hook, &act()).await.is_err());
    assert_eq!(store.hook("ci").await.unwrap(), Some(hook.clone()));
    assert_eq!(store.hook("other").await.unwrap(), None);
    assert!(!store.hook_seen("ci", "m1").await.unwrap());
    assert!(store.first_sight("ci", "m1", clock.now()).await.unwrap());
    assert!(store.hook_seen("ci", "m1").await.unwrap() && !store.hook_seen("other", "m1").await.unwrap());
    assert!(!store.first_sight("ci", "m1", clock.now()).await.unwrap());
    assert!(store.first_sight("other", "m1", clock.now()).await.unwrap(), "each source has ids of its own");
    assert_eq!(store.hooks().await.unwrap()[0].last_used_at, Some(clock.now()));
    // Removing a source does not let its requests be sent again.
    assert!(store.remove_hook("ci", &act()).await.unwrap());
    assert!(!store.remove_hook("ci", &act()).await.unwrap());
    assert!(!store.first_sight("ci", "m1", clock.now()).await.unwrap());
    clock.advance(31 * DAY);
    store.tidy_deliveries(clock.now(), false).await.unwrap();
    assert!(!store.first_sight("ci", "m1", clock.now()).await.unwrap(), "not for its age");
    store.tidy_deliveries(clock.now(), true).await.unwrap();
    assert!(store.first_sight("ci", "m1", clock.now()).await.unwrap(), "after a month it is forgotten");
}
