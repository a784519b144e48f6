//! Floods are held, counted, promoted. Wants a store with the default throttle, but at most three held tickets.

use super::{Case, id_of};
use crate::fixtures::EventBuilder;
use crate::fixtures::act;
use crate::{FakeClock, NOW};
use actifix_app::error::Error;
use actifix_app::ports::Store;
use actifix_domain::outcome::{Change, Outcome};
use actifix_domain::throttle::Brake;
use actifix_domain::ticket::{Priority, Status};
use actifix_domain::time::{DAY, HOUR, MINUTE};
use std::sync::Arc;

/// All cases.
pub async fn run(store: Arc<dyn Store>, clock: Arc<FakeClock>) {
    what_is_refused_is_held(&Case::new(&store, &clock, "held").await).await;
    beyond_the_cap_only_counters_move(&Case::new(&store, &clock, "cap").await).await;
    held_tickets_are_promoted(&Case::new(&store, &clock, "promotion").await).await;
    one_error_in_a_loop_is_no_flood(&Case::new(&store, &clock, "loop").await).await;
    nothing_to_promote_writes_nothing(&Case::new(&store, &clock, "idle").await).await;
    the_brake_is_recorded_and_reset(&Case::new(&store, &clock, "brake").await).await;
}

fn p4(number: u64, name: &str) -> EventBuilder {
    EventBuilder::new(number, name).priority(Priority::P4)
}

async fn what_is_refused_is_held(case: &Case) {
    // Two P4 tickets a day.
    for (number, name) in [(1, "a"), (2, "b")] {
        assert_eq!(case.one(p4(number, name)).await.outcome, Outcome::Accepted);
    }
    let held = case.one(p4(3, "c")).await;
    assert_eq!((held.outcome, held.change, held.count), (Outcome::Held, Change::New, 1));
    let id = id_of(&held);
    assert_eq!(case.ticket(&id).await.status, Status::Held);
    let sample =
        case.store.event(Some(case.project), held.event_id).await.unwrap().expect("one sample is kept");
    assert_eq!((sample.outcome, sample.ticket_id), (Outcome::Held, id.clone()));
    let second = case.one(p4(4, "c")).await;
    assert_eq!((second.outcome, second.count), (Outcome::Held, 2));
    assert!(case.store.event(Some(case.project), second.event_id).await.unwrap().is_none());
    assert_eq!(case.one(p4(4, "c")).await.outcome, Outcome::Duplicate);
    // Known tickets are never throttled.
    assert_eq!(case.one(p4(5, "a")).await.outcome, Outcome::Accepted);
    // Other priorities have budgets of their own.
    let urgent = EventBuilder::new(6, "d").priority(Priority::P1);
    assert_eq!(case.one(urgent).await.outcome, Outcome::Accepted);
    let (view, overview) = case.store.throttle(case.project, case.now()).await.unwrap();
    assert_eq!(overview.held, [0, 0, 0, 0, 1]);
    assert_eq!((overview.events, overview.beyond_cap), (2, 0));
    let p4_use = view.priorities.iter().find(|u| u.priority == Priority::P4).unwrap();
    assert_eq!((p4_use.used, p4_use.limit), (2, 2));
    assert_eq!(case.titles("is:held").await, ["c"]);
}

async fn beyond_the_cap_only_counters_move(case: &Case) {
    for number in 1..=2 {
        case.one(p4(number, &format!("open {number}"))).await;
    }
    for number in 3..=5 {
        assert!(case.one(p4(number, &format!("held {number}"))).await.ticket_id.is_some());
    }
    for number in 6..=8 {
        let refused = case.one(p4(number, &format!("refused {number}"))).await;
        assert_eq!((refused.outcome, refused.ticket_id), (Outcome::Held, None));
    }
    assert_eq!(case.one(p4(8, "refused 8")).await.outcome, Outcome::Duplicate);
    let (_, overview) = case.store.throttle(case.project, case.now()).await.unwrap();
    assert_eq!((overview.held[4], overview.beyond_cap), (3, 3));
    let flood = case.list("priority:P1").await;
    assert_eq!(
        (flood.items.len(), flood.items[0].title.as_str(), flood.items[0].count),
        (1, "Ticket flood", 3)
    );
    assert_eq!(case.detail(&flood.items[0].id).await.hours[0].count, 3);
    let counted: u64 = case
        .store
        .throttle_history(5_000)
        .await
        .unwrap()
        .iter()
        .filter(|record| record.project == case.project && record.decision == "counted")
        .map(|record| record.count)
        .sum();
    assert_eq!(counted, 3);
    let outcomes = case.store.outcomes(case.project, case.now()).await.unwrap();
    assert_eq!(outcomes.iter().find(|o| o.outcome == "held").unwrap().quantity, 6);
    // Resolved, it comes back with the next of the flood, and nobody's late decision undoes that.
    let id = &flood.items[0].id;
    let mut save = case.decision(id, "resolved").await;
    (save.status, save.resolved_at) = (Status::Resolved, Some(case.now()));
    case.store.save_ticket(save).await.unwrap();
    let meanwhile = case.decision(id, "changed").await;
    case.one(p4(9, "refused 9")).await;
    assert_eq!(case.ticket(id).await.status, Status::Open);
    let undone = case.store.save_ticket(meanwhile).await;
    assert!(matches!(undone, Err(Error::Conflict { stale: true, .. })), "{undone:?}");
}

async fn held_tickets_are_promoted(case: &Case) {
    for (number, name) in [(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e")] {
        case.one(p4(number, name).at(NOW.plus(i64::try_from(number).unwrap()))).await;
    }
    let promote = |only, limit, force| {
        let (store, project, now) = (Arc::clone(&case.store), case.project, case.now());
        async move { store.promote_held(project, only, limit, force, now, None).await.unwrap() }
    };
    assert!(promote(None, 10, false).await.is_empty(), "no budget yet");
    let newest = id_of(&case.one(p4(6, "e")).await);
    assert_eq!(promote(Some(&newest), 1, true).await, std::slice::from_ref(&newest), "by hand");
    let ticket = case.ticket(&newest).await;
    assert_eq!((ticket.status, ticket.version, ticket.count), (Status::Open, 2, 2));
    case.clock.advance(DAY + HOUR);
    let promoted = promote(None, 1, false).await;
    assert_eq!(case.ticket(&promoted[0]).await.title, "Declined: c", "oldest first");
    assert_eq!(promote(None, 10, false).await.len(), 1);
    let (_, overview) = case.store.throttle(case.project, case.now()).await.unwrap();
    assert_eq!((overview.held.iter().sum::<u64>(), overview.events), (0, 0));
    // From now on it is a ticket like any other.
    assert_eq!(case.one(p4(9, "c")).await.outcome, Outcome::Accepted);
    assert_eq!(case.one(p4(10, "f")).await.outcome, Outcome::Held, "promotions used the budget");
}

/// Beyond the cap an error has no row by which it would be known again; it is one new error a minute all the same.
async fn one_error_in_a_loop_is_no_flood(case: &Case) {
    for number in 1..=5 {
        case.one(p4(number, &format!("filler {number}"))).await;
    }
    for hundred in 1..=12_u64 {
        let same = (hundred * 100..hundred * 100 + 100).map(|number| p4(number, "loop"));
        case.send(same.collect::<Vec<_>>()).await;
    }
    let (view, overview) = case.store.throttle(case.project, case.now()).await.unwrap();
    assert_eq!((view.brake, view.new_last_minute, overview.beyond_cap), (Brake::Off, 6, 1_200));
    let urgent = EventBuilder::new(9_001, "on fire").priority(Priority::P0);
    assert_eq!(case.one(urgent).await.outcome, Outcome::Accepted, "it is not hidden by the loop");
    // A minute later it counts once more; and a real flood is one.
    case.clock.advance(2 * MINUTE);
    case.send([p4(9_002, "loop"), p4(9_003, "loop")]).await;
    let (view, _) = case.store.throttle(case.project, case.now()).await.unwrap();
    assert_eq!(view.new_last_minute, 1);
    let flood = (0..1_100_u64).map(|number| p4(20_000 + number, &format!("flood {number}")));
    case.send(flood.collect::<Vec<_>>()).await;
    let (view, _) = case.store.throttle(case.project, case.now()).await.unwrap();
    assert_eq!(view.brake, Brake::Hard);
    let stats = case.store.stats().await.unwrap();
    assert_eq!((stats.brake, stats.held_total.len()), (Brake::Hard, 5));
    assert_eq!(case.store.brake(case.now()).await.unwrap(), Brake::Hard, "of the worst project");
    assert!(stats.held_total[4].1 >= 3 + 1_200 + 2 + 1_100, "{:?}", stats.held_total);
    assert_eq!(stats.held_total[0], (Priority::P0, 0));
}

/// Once a second this is asked of every project: with nothing held, or no budget, the log must not grow.
async fn nothing_to_promote_writes_nothing(case: &Case) {
    for number in 1..=4 {
        case.one(p4(number, &format!("n{number}"))).await;
    }
    let log = async || case.store.stats().await.unwrap().wal_size_bytes;
    let before = log().await;
    for _ in 0..300 {
        case.clock.advance(1_000_000);
        let opened =
            case.store.promote_held(case.project, None, 1_000, false, case.now(), None).await.unwrap();
        assert!(opened.is_empty());
    }
    assert_eq!(log().await, before);
}

async fn the_brake_is_recorded_and_reset(case: &Case) {
    let flood =
        (1..=250_u64).map(|number| EventBuilder::new(number, &format!("n{number}")).priority(Priority::P1));
    let recorded = case.send(flood.collect::<Vec<_>>()).await;
    assert!(recorded.iter().all(|r| r.outcome == Outcome::Accepted), "the soft brake lets P1 through");
    let held = case.one(EventBuilder::new(900, "x")).await;
    assert_eq!(held.outcome, Outcome::Held);
    let history = case.store.throttle_history(100).await.unwrap();
    let words: Vec<&str> = history
        .iter()
        .filter(|record| record.project == case.project)
        .map(|record| record.decision.as_str())
        .collect();
    assert!(words.contains(&"brake_soft"), "{words:?}");
    case.store.reset_throttle(case.project, case.now(), &act()).await.unwrap();
    assert_eq!(case.one(EventBuilder::new(901, "y")).await.outcome, Outcome::Accepted);
    let (view, _) = case.store.throttle(case.project, case.now()).await.unwrap();
    assert_eq!(view.new_last_minute, 1);
}
