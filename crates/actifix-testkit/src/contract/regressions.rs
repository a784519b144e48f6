//! Resolved tickets come back when they should.

use super::{Case, id_of};
use crate::fixtures::EventBuilder;
use crate::{FakeClock, NOW};
use actifix_app::error::Error;
use actifix_app::ports::Store;
use actifix_domain::id::TicketId;
use actifix_domain::outcome::Change;
use actifix_domain::ticket::{Priority, Status, Ticket};
use actifix_domain::time::{HOUR, MINUTE};
use std::sync::Arc;

/// All cases.
pub async fn run(store: Arc<dyn Store>, clock: Arc<FakeClock>) {
    an_event_after_the_resolution_reopens(&Case::new(&store, &clock, "after").await).await;
    releases_decide_where_both_are_known(&Case::new(&store, &clock, "releases").await).await;
    names_that_are_no_versions_go_by_first_seen(&Case::new(&store, &clock, "names").await).await;
    ignored_tickets_only_count(&Case::new(&store, &clock, "ignored").await).await;
}

async fn resolve(case: &Case, id: &TicketId, release: Option<&str>) -> Ticket {
    let mut save = case.decision(id, "resolved").await;
    save.status = Status::Resolved;
    save.resolved_at = Some(case.now());
    save.resolved_in = release.map(str::to_owned);
    case.store.save_ticket(save).await.unwrap()
}

async fn an_event_after_the_resolution_reopens(case: &Case) {
    let id = id_of(&case.one(EventBuilder::new(1, "a").priority(Priority::P3)).await);
    case.clock.advance(HOUR);
    resolve(case, &id, None).await;
    let early = case.one(EventBuilder::new(2, "a").at(NOW.plus(MINUTE))).await;
    assert_eq!(early.change, Change::Seen, "it happened before the resolution");
    case.clock.advance(MINUTE);
    let mut meanwhile = case.decision(&id, "changed").await;
    meanwhile.assignee = Some("jo".to_owned());
    let late = case.one(EventBuilder::new(3, "a").at(case.now()).ceiling(Priority::P1)).await;
    assert_eq!((late.change, late.count), (Change::Regressed, 3));
    let ticket = case.ticket(&id).await;
    assert_eq!((ticket.status, ticket.regressions, ticket.raised), (Status::Open, 1, true));
    assert_eq!((ticket.priority, ticket.resolved_at), (Priority::P2, None));
    // What was decided on the resolved ticket must not resolve it again.
    let undone = case.store.save_ticket(meanwhile).await;
    assert!(matches!(undone, Err(Error::Conflict { stale: true, .. })), "{undone:?}");
    assert_eq!(case.ticket(&id).await.status, Status::Open);
    let kinds: Vec<String> = case.detail(&id).await.activity.into_iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, ["raised", "regressed", "resolved"]);
    assert_eq!(case.titles("is:regressed").await, ["a"]);
    // A second time it regresses, and is not raised again.
    case.clock.advance(MINUTE);
    resolve(case, &id, None).await;
    case.clock.advance(MINUTE);
    case.one(EventBuilder::new(4, "a").at(case.now())).await;
    let ticket = case.ticket(&id).await;
    assert_eq!((ticket.regressions, ticket.priority), (2, Priority::P2));
}

async fn releases_decide_where_both_are_known(case: &Case) {
    let id = id_of(&case.one(EventBuilder::new(1, "a").release("web@1.9.0")).await);
    resolve(case, &id, Some("web@1.10.0")).await;
    case.clock.advance(HOUR);
    let old = case.one(EventBuilder::new(2, "a").release("web@1.9.9").at(case.now())).await;
    assert_eq!(old.change, Change::Seen, "an old release still runs somewhere");
    let new = case.one(EventBuilder::new(3, "a").release("web@1.10.0").at(case.now())).await;
    assert_eq!(new.change, Change::Regressed);
}

async fn names_that_are_no_versions_go_by_first_seen(case: &Case) {
    case.one(EventBuilder::new(1, "a").release("kestrel").at(NOW)).await;
    case.clock.advance(HOUR);
    case.one(EventBuilder::new(2, "b").release("merlin").at(case.now())).await;
    let id = id_of(&case.one(EventBuilder::new(3, "a").release("kestrel").at(case.now())).await);
    resolve(case, &id, Some("merlin")).await;
    case.clock.advance(HOUR);
    let old = case.one(EventBuilder::new(4, "a").release("kestrel").at(case.now())).await;
    assert_eq!(old.change, Change::Seen);
    let new = case.one(EventBuilder::new(5, "a").release("osprey").at(case.now())).await;
    assert_eq!(new.change, Change::Regressed);
}

async fn ignored_tickets_only_count(case: &Case) {
    let id = id_of(&case.one(EventBuilder::new(1, "a")).await);
    let mut save = case.decision(&id, "ignored").await;
    save.status = Status::Ignored;
    case.store.save_ticket(save).await.unwrap();
    case.clock.advance(HOUR);
    let seen = case.one(EventBuilder::new(2, "a").at(case.now())).await;
    assert_eq!((seen.change, seen.count), (Change::Seen, 2));
    assert_eq!(case.ticket(&id).await.status, Status::Ignored);
}
