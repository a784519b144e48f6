//! Stored events: bodies, lists, who sees which.

use super::{Case, id_of};
use crate::fixtures::{EventBuilder, finding};
use crate::{FakeClock, NOW};
use actifix_app::ports::Store;
use actifix_domain::event::Event;
use actifix_domain::id::{EventId, ProjectId};
use actifix_domain::outcome::Outcome;
use std::sync::Arc;

/// All cases.
pub async fn run(store: Arc<dyn Store>, clock: Arc<FakeClock>) {
    bodies_come_back_as_they_went(&Case::new(&store, &clock, "bodies").await).await;
    events_are_paged(&Case::new(&store, &clock, "paged").await).await;
    one_id_in_two_projects(&store, &clock).await;
}

async fn bodies_come_back_as_they_went(case: &Case) {
    let builder = EventBuilder::new(1, "a")
        .release("web@1")
        .tag("emoji", "🦀 ü")
        .finding(finding("aws", 3, "/extra/key"))
        .with(|event| {
            event.extra.insert("deep".to_owned(), serde_json::json!({ "a": [1, 2.5, null, "x\u{1}"] }));
            event.extra.insert("long".to_owned(), "y".repeat(100_000).into());
        });
    let sent = builder.clone().build();
    let recorded = case.one(builder).await;
    let stored = case.store.event(Some(case.project), recorded.event_id).await.unwrap().unwrap();
    let event: Event = serde_json::from_slice(&stored.body).unwrap();
    assert_eq!(event, *sent.event);
    assert_eq!((stored.outcome, stored.ticket_id), (Outcome::Accepted, id_of(&recorded)));
    assert_eq!((stored.provenance, stored.received_at), (sent.provenance, case.now()));
    assert_eq!(stored.redactions, [("aws".to_owned(), "/extra/key".to_owned())]);
    assert!(case.store.event(Some(case.project), EventId([7; 16])).await.unwrap().is_none());
    assert!(case.store.event(None, EventId([7; 16])).await.unwrap().is_none());
}

async fn events_are_paged(case: &Case) {
    let events = (1..=25_u64).map(|number| EventBuilder::new(number, "a").release("web@1"));
    let id = id_of(&case.send(events.collect::<Vec<_>>()).await[0]);
    let (mut cursor, mut seen) = (None, Vec::new());
    loop {
        let page = case.store.ticket_events(&id, cursor, 10).await.unwrap();
        seen.extend(page.items.iter().map(|event| event.event_id.0[15]));
        assert!(page.items.iter().all(|event| event.ticket_id == id && event.timestamp == NOW));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, (1..=25).rev().collect::<Vec<u8>>());
}

async fn one_id_in_two_projects(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let (one, two) = (Case::new(store, clock, "left").await, Case::new(store, clock, "right").await);
    for case in [&one, &two] {
        let recorded = case.one(EventBuilder::new(77, "a")).await;
        assert_eq!(recorded.outcome, Outcome::Accepted);
        let stored = store.event(Some(case.project), recorded.event_id).await.unwrap().unwrap();
        assert_eq!(stored.project, case.project);
    }
    let id = EventBuilder::new(77, "a").id();
    assert!(store.event(Some(ProjectId(999_999)), id).await.unwrap().is_none());
    assert!(store.event(None, id).await.unwrap().is_some());
}
