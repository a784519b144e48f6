//! Named bounds of alerts: at each of them all is kept, beyond it somebody is told or what goes is the oldest.

use super::alerts::endpoint;
use crate::FakeClock;
use crate::fixtures::act;
use actifix_app::error::Error;
use actifix_app::ports::{Clock, DeliveryQuery, HookRecord, NewDelivery, Routed, SealedHook, Store};
use actifix_domain::alert::{AlertRule, Signal, Trigger};
use actifix_domain::id::ProjectId;
use actifix_domain::time::SECOND;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Signals that wait to be looked at.
const SIGNALS_MAX: u32 = 10_000;
/// Ended deliveries that the log keeps.
const LOG_MAX: usize = 10_000;
/// Messages that wait for one channel.
const PENDING_MAX: usize = 1_000;
/// Sources of signed requests.
const HOOKS_MAX: usize = 50;
/// Requests that are remembered of each.
const MESSAGES_MAX: i64 = 50_000;
/// Requests that are remembered at the same time, so that their writes share transactions.
const AT_ONCE: i64 = 1_000;

/// All cases.
pub async fn run(store: Arc<dyn Store>, clock: Arc<FakeClock>) {
    add_channel(&store, &clock).await;
    signals_beyond_the_room_are_counted_and_told_once(&store, &clock).await;
    the_log_keeps_the_newest(&store, &clock).await;
    sources_are_refused_beyond_the_bound(&store, &clock).await;
    each_source_remembers_its_newest_requests(&store, &clock).await;
}

async fn add_channel(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    store.add_endpoint(&endpoint("ops", clock), &act()).await.unwrap();
}

async fn signals_beyond_the_room_are_counted_and_told_once(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let rule = AlertRule { name: "ends".into(), triggers: vec![Trigger::Expiry], ..AlertRule::default() };
    store.save_alert_rule(&rule, clock.now(), Routed::default(), &act()).await.unwrap();
    let signal =
        |number: u32| Signal::new(Trigger::Expiry, clock.now(), format!("token:{number}"), "a token ends");
    store.raise_signals((0..SIGNALS_MAX).map(signal).collect()).await.unwrap();
    assert_eq!(store.take_lost_signals().await.unwrap(), 0, "at the bound all have room");
    store.raise_signals((0..7).map(|number| signal(SIGNALS_MAX + number)).collect()).await.unwrap();
    assert_eq!(store.take_lost_signals().await.unwrap(), 7, "each of those beyond it is counted");
    assert_eq!(store.take_lost_signals().await.unwrap(), 0, "and told once");
    let waiting = store.pending_signals(2 * SIGNALS_MAX).await.unwrap();
    assert_eq!((waiting.len(), waiting[0].signal.subject.as_str()), (10_000, "token:0"));
    // What was looked at makes room.
    let signals = waiting.iter().take(3).map(|waiting| waiting.seq).collect();
    store.route(Routed { signals, ..Routed::default() }).await.unwrap();
    store.raise_signals((0..5).map(|number| signal(20_000 + number)).collect()).await.unwrap();
    assert_eq!(store.take_lost_signals().await.unwrap(), 2);
}

async fn the_log_keeps_the_newest(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let delivery = |number: usize| NewDelivery {
        id: format!("msg_{number:05}"),
        endpoint: "id-ops".to_owned(),
        trigger: Some(Trigger::New),
        ticket: None,
        notice: "{}".to_owned(),
        created_at: clock.now(),
    };
    let all = LOG_MAX + PENDING_MAX + 300;
    // Those that too many wait before are given up, which ends them.
    store.route(Routed { deliveries: (0..all).map(delivery).collect(), ..Routed::default() }).await.unwrap();
    let waits = |backlog: Vec<actifix_app::ports::Backlog>| (backlog[0].pending, backlog[0].dead);
    assert_eq!(waits(store.backlog().await.unwrap()), (1_000, 10_300));
    assert_eq!(
        store.tidy_deliveries(clock.now(), false).await.unwrap(),
        300,
        "what is beyond the bound goes"
    );
    assert_eq!(store.tidy_deliveries(clock.now(), false).await.unwrap(), 0, "and no more");
    assert_eq!(waits(store.backlog().await.unwrap()), (1_000, 10_000), "what waits stays");
    let shown =
        |state: &str| DeliveryQuery { state: Some(state.to_owned()), limit: 200, ..DeliveryQuery::default() };
    let dead = store.deliveries(shown("dead")).await.unwrap().items;
    assert_eq!(
        (dead[0].id.as_str(), dead[0].last_failure.as_deref()),
        ("msg_10299", Some("overflow")),
        "the newest are there, and say why"
    );
    let refused = store.redeliver("msg_00299", clock.now(), &act()).await.unwrap();
    let kept = store.redeliver("msg_00300", clock.now(), &act()).await.unwrap();
    assert_eq!((refused, kept), (false, true), "the oldest of all went");
}

fn source(number: usize, clock: &FakeClock) -> SealedHook {
    let record = HookRecord {
        name: format!("source-{number:02}"),
        kind: "standard".to_owned(),
        target: None,
        project: ProjectId(1),
        created_at: clock.now(),
        last_used_at: None,
    };
    SealedHook { record, sealed: vec![9] }
}

async fn sources_are_refused_beyond_the_bound(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    for number in 0..HOOKS_MAX {
        store.add_hook(&source(number, clock), &act()).await.unwrap();
    }
    match store.add_hook(&source(HOOKS_MAX, clock), &act()).await {
        Err(Error::Conflict { message, stale: false }) => {
            assert!(message.contains("50 sources") && message.contains("remove one first"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(store.hooks().await.unwrap().len(), HOOKS_MAX, "all of them are shown");
    assert!(store.remove_hook("source-00", &act()).await.unwrap());
    store.add_hook(&source(HOOKS_MAX, clock), &act()).await.unwrap();
}

async fn each_source_remembers_its_newest_requests(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let at = |number: i64| clock.now().plus(number * SECOND);
    // Older than all others, but of another source.
    assert!(store.first_sight("source-02", "m", clock.now()).await.unwrap());
    let mut tasks = JoinSet::new();
    for part in 0..AT_ONCE {
        let (store, numbers) = (Arc::clone(store), (part..MESSAGES_MAX + 100).step_by(1_000));
        let times: Vec<_> = numbers.map(|number| (format!("m{number}"), at(number))).collect();
        tasks.spawn(async move {
            for (message, at) in times {
                assert!(store.first_sight("source-01", &message, at).await.unwrap());
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    store.tidy_deliveries(clock.now(), false).await.unwrap();
    let seen = async |source: &str, message: &str| store.hook_seen(source, message).await.unwrap();
    assert!(seen("source-01", "m50099").await && seen("source-01", "m100").await, "as many as may be");
    assert!(!seen("source-01", "m99").await, "the oldest went");
    assert!(seen("source-02", "m").await, "a busy source makes none of another be forgotten");
}
