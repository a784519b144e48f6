//! Findings, quarantine, retention, figures.

use super::{Case, id_of};
use crate::FakeClock;
use crate::fixtures::act;
use crate::fixtures::{EventBuilder, finding, submission};
use actifix_app::error::Error;
use actifix_app::ports::{
    Clock, FindingPlace, FindingQuery, FindingState, RetentionPolicy, SealedInput, Store, Submission,
};
use actifix_domain::outcome::Outcome;
use actifix_domain::ticket::{Priority, Status};
use actifix_domain::time::{DAY, HOUR, MINUTE};
use std::sync::Arc;

/// All cases. The last one closes the store.
pub async fn run(store: Arc<dyn Store>, clock: Arc<FakeClock>) {
    findings_are_one_per_value(&Case::new(&store, &clock, "findings").await).await;
    quarantine_is_listed_and_deleted(&Case::new(&store, &clock, "quarantine").await).await;
    figures_follow_what_happens(&store, &clock).await;
    old_events_go_but_the_latest_stays(&Case::new(&store, &clock, "ages").await).await;
    ids_of_replaced_events_are_forgotten(&Case::new(&store, &clock, "replaced").await).await;
    old_things_go(&Case::new(&store, &clock, "old").await).await;
    the_oldest_bodies_go_when_there_are_too_many(&Case::new(&store, &clock, "bytes").await).await;
    without_a_clock_nothing_goes_by_age(&Case::new(&store, &clock, "clockless").await).await;
    what_is_held_stays(&Case::new(&store, &clock, "held").await, &Case::new(&store, &clock, "free").await)
        .await;
    closing_is_final(&store, &clock).await;
}

async fn findings_are_one_per_value(case: &Case) {
    let first =
        EventBuilder::new(1, "a").finding(finding("aws", 1, "/extra/a")).finding(finding("jwt", 1, "/b"));
    let id = id_of(&case.one(first).await);
    case.clock.advance(MINUTE);
    case.one(
        EventBuilder::new(2, "b").finding(finding("aws", 1, "/extra/a")).finding(finding("aws", 2, "/c")),
    )
    .await;
    let query = FindingQuery { project: Some(case.project), limit: 2, ..FindingQuery::default() };
    let page = case.store.findings(query.clone()).await.unwrap();
    assert_eq!(page.items.len(), 2);
    let rest = FindingQuery { cursor: page.next_cursor.clone(), ..query.clone() };
    let rest = case.store.findings(rest).await.unwrap();
    assert_eq!((rest.items.len(), rest.next_cursor), (1, None));
    let jwt = &rest.items[0];
    assert_eq!(
        (jwt.rule.as_str(), jwt.count, jwt.places.clone()),
        ("jwt", 1, vec![FindingPlace { path: "/b".to_owned(), ticket_id: Some(id) }])
    );
    let aws = page.items.iter().find(|f| f.count == 2).unwrap();
    assert_eq!((aws.id.len(), aws.places.len(), aws.state), (32, 1, FindingState::Open));
    let other = page.items.iter().find(|f| f.count == 1).unwrap();
    assert_eq!(aws.hash.as_ref().map(String::len), Some(32));
    assert!(aws.hash == jwt.hash && aws.hash != other.hash, "one value under two rules, and another value");
    let state = FindingState::Rotated;
    let set = case.store.set_finding_state(&aws.id, Some(1), state, "new key", &act()).await.unwrap();
    assert_eq!((set.state, set.note.as_str(), set.version), (state, "new key", 2));
    let stale = case.store.set_finding_state(&aws.id, Some(1), FindingState::Open, "", &act()).await;
    assert!(matches!(stale, Err(Error::Conflict { stale: true, .. })), "{stale:?}");
    let rotated = FindingQuery { state: Some(state), limit: 10, ..query.clone() };
    assert_eq!(case.store.findings(rotated).await.unwrap().items, std::slice::from_ref(&set));
    let by_id = FindingQuery { id: set.id.get(..31).map(str::to_owned), limit: 10, ..query.clone() };
    assert_eq!(case.store.findings(by_id).await.unwrap().items, std::slice::from_ref(&set));
    let other = if set.id.starts_with('0') { "1" } else { "0" };
    let by_id =
        FindingQuery { id: Some(format!("{other}{}", set.id.get(1..).unwrap_or_default())), ..query.clone() };
    assert_eq!(case.store.findings(by_id).await.unwrap().items, []);
    let by_rule = FindingQuery { rule: Some("jwt".to_owned()), limit: 10, ..query };
    assert_eq!(case.store.findings(by_rule).await.unwrap().items.len(), 1);
    assert_eq!(case.store.finding(&set.id).await.unwrap(), Some(set));
    let unknown = case.store.set_finding_state("00", None, state, "", &act()).await;
    assert!(matches!(unknown, Err(Error::NotFound { .. })));
}

fn sealed(number: u64) -> SealedInput {
    SealedInput {
        id: format!("{number:032x}"),
        reason: "redaction took too long".to_owned(),
        kind: "event",
        size: 100,
        sealed: vec![7; 40],
    }
}

async fn quarantine_is_listed_and_deleted(case: &Case) {
    for number in 1..=3 {
        case.clock.advance(MINUTE);
        let mut sent = Submission::new(case.project, case.now());
        sent.quarantined.push(sealed(number));
        case.store.ingest(sent).await.unwrap();
    }
    let page = case.store.quarantine(Some(case.project), None, 2).await.unwrap();
    let ids: Vec<&str> = page.items.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids, [sealed(3).id, sealed(2).id]);
    let rest = case.store.quarantine(None, page.next_cursor, 2).await.unwrap();
    assert_eq!((rest.items.len(), rest.next_cursor), (1, None));
    let item = case.store.quarantined(&sealed(1).id).await.unwrap().unwrap();
    assert_eq!((item.sealed, item.entry.size), (sealed(1).sealed, 100));
    assert!(case.store.delete_quarantined(&sealed(1).id, &act()).await.unwrap());
    assert!(!case.store.delete_quarantined(&sealed(1).id, &act()).await.unwrap());
    assert!(case.store.quarantined(&sealed(1).id).await.unwrap().is_none());
    assert_eq!(case.store.stats().await.unwrap().quarantine_entries, 2);
    // What finds it full is refused as a whole: its sender is to keep it.
    let mut flood = submission(case.project, case.now(), [EventBuilder::new(77, "beside")]);
    flood.quarantined = (10..600).map(sealed).collect();
    let refused = case.store.ingest(flood).await;
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
    assert_eq!(case.store.stats().await.unwrap().quarantine_entries, 2);
    assert!(
        case.store.event(Some(case.project), EventBuilder::new(77, "beside").id()).await.unwrap().is_none()
    );
    let mut fits = Submission::new(case.project, case.now());
    fits.quarantined = (10..508).map(sealed).collect();
    case.store.ingest(fits).await.unwrap();
    let mut more = Submission::new(case.project, case.now());
    more.quarantined.push(sealed(5_000));
    assert!(case.store.ingest(more).await.is_err());
    // Another project still has room.
    let other = case.store.create_project(None, "quarantine-2", None, case.now(), &act()).await.unwrap();
    let mut elsewhere = Submission::new(other.id, case.now());
    elsewhere.quarantined.push(sealed(5_001));
    case.store.ingest(elsewhere).await.unwrap();
    release_happens_once(case, &sealed(2).id).await;
}

/// The entry goes with what is made of it, or nothing does.
async fn release_happens_once(case: &Case, id: &str) {
    let released = |number: u64| {
        let mut sent = submission(case.project, case.now(), [EventBuilder::new(number, "released")]);
        sent.released = Some(id.to_owned());
        sent
    };
    let (one, two) = tokio::join!(case.store.ingest(released(101)), case.store.ingest(released(102)));
    let gone = |result: &Result<_, Error>| matches!(result, Err(Error::NotFound { .. }));
    assert!(one.is_ok() && gone(&two), "{one:?} {two:?}");
    assert!(case.store.quarantined(id).await.unwrap().is_none());
    assert!(
        case.store
            .event(Some(case.project), EventBuilder::new(102, "released").id())
            .await
            .unwrap()
            .is_none()
    );
}

async fn figures_follow_what_happens(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let case = Case::new(store, clock, "figures").await;
    store.ready().await.unwrap();
    let of = |stats: &actifix_app::ports::StoreStats, status, priority| {
        stats.tickets.iter().find(|t| (t.0, t.1) == (status, priority)).map_or(0, |t| t.2)
    };
    let before = store.stats().await.unwrap();
    let id = id_of(&case.one(EventBuilder::new(1, "a").priority(Priority::P0)).await);
    case.one(EventBuilder::new(2, "a")).await;
    let after = store.stats().await.unwrap();
    assert_eq!(after.events, before.events + 2);
    assert_eq!(of(&after, Status::Open, Priority::P0), of(&before, Status::Open, Priority::P0) + 1);
    let mut save = case.decision(&id, "resolved").await;
    (save.status, save.priority) = (Status::Resolved, Priority::P4);
    save.resolved_at = Some(case.now());
    store.save_ticket(save).await.unwrap();
    let resolved = store.stats().await.unwrap();
    assert_eq!(of(&resolved, Status::Open, Priority::P0), of(&before, Status::Open, Priority::P0));
    assert_eq!(of(&resolved, Status::Resolved, Priority::P4), 1);
    assert!(resolved.db_size_bytes > 0 && resolved.schema_version > 0 && !resolved.engine_version.is_empty());
    assert_eq!(store.queue_depth(), 0);
}

async fn old_events_go_but_the_latest_stays(case: &Case) {
    let id = id_of(&case.one(EventBuilder::new(1, "a").attachment("x.log", b"x")).await);
    case.one(EventBuilder::new(2, "a")).await;
    case.one(EventBuilder::new(3, "b")).await;
    case.clock.advance(100 * DAY);
    case.one(EventBuilder::new(4, "c").at(case.now())).await;
    let policy = RetentionPolicy { quarantine_days: 0, findings_days: 0, ..RetentionPolicy::default() };
    let dry = case.store.run_retention(&policy, Some(case.now()), true).await.unwrap();
    assert!(dry.events >= 1);
    let real = case.store.run_retention(&policy, Some(case.now()), false).await.unwrap();
    assert_eq!((real.events, real.event_bytes), (dry.events, dry.event_bytes));
    let kept: Vec<u8> = case
        .store
        .ticket_events(&id, None, 10)
        .await
        .unwrap()
        .items
        .iter()
        .map(|event| event.event_id.0[15])
        .collect();
    assert_eq!(kept, [2]);
    assert!(case.store.attachments(case.project, EventBuilder::new(1, "a").id()).await.unwrap().is_empty());
    assert_eq!(case.ticket(&id).await.count, 2, "counts stay");
    assert_eq!(case.one(EventBuilder::new(1, "a")).await.outcome, Outcome::Accepted, "its id is forgotten");
    assert_eq!(case.one(EventBuilder::new(2, "a")).await.outcome, Outcome::Duplicate, "this one is stored");
    let again = case.store.run_retention(&policy, Some(case.now()), false).await.unwrap();
    assert_eq!(again.events, 1, "number 2 is no longer the latest");
}

/// A sampled event is stored as long as it is the latest, however long that is; its id goes some time after it.
async fn ids_of_replaced_events_are_forgotten(case: &Case) {
    let hot = |number| EventBuilder::new(number, "hot").sample_after(1);
    case.send([hot(1), hot(2)]).await;
    assert_eq!(case.one(hot(3)).await.outcome, Outcome::Sampled);
    let policy = RetentionPolicy {
        events_days: 0,
        resolved_tickets_days: 0,
        quarantine_days: 0,
        findings_days: 0,
        ..RetentionPolicy::default()
    };
    let run = async || {
        case.clock.advance(8 * DAY);
        case.store.run_retention(&policy, Some(case.now()), false).await.unwrap().remembered_ids
    };
    assert_eq!(run().await, 0);
    assert_eq!(case.one(hot(3)).await.outcome, Outcome::Duplicate, "it is stored");
    case.send([hot(4), hot(5), hot(6)]).await;
    let gone = case.store.event(Some(case.project), hot(3).id()).await.unwrap();
    assert!(gone.is_none(), "another is the latest now");
    assert!(run().await >= 1);
    assert_ne!(case.one(hot(3)).await.outcome, Outcome::Duplicate, "its id is forgotten");
}

async fn old_things_go(case: &Case) {
    let id =
        id_of(&case.one(EventBuilder::new(1, "a").finding(finding("old", 5, "/a")).at(case.now())).await);
    let sampled = [EventBuilder::new(2, "s").sample_after(1), EventBuilder::new(3, "s").sample_after(1)];
    case.send(sampled).await;
    for number in [4, 5] {
        case.one(EventBuilder::new(number, "s").sample_after(1)).await;
    }
    let mut save = case.decision(&id, "resolved").await;
    save.status = Status::Resolved;
    save.resolved_at = Some(case.now());
    case.store.save_ticket(save).await.unwrap();
    assert_eq!(case.one(EventBuilder::new(4, "s")).await.outcome, Outcome::Duplicate);
    case.clock.advance(400 * DAY);
    let report =
        case.store.run_retention(&RetentionPolicy::default(), Some(case.now()), false).await.unwrap();
    assert!(report.tickets >= 1 && report.findings >= 1 && report.quarantine >= 1, "{report:?}");
    assert!(report.remembered_ids >= 1, "{report:?}");
    assert!(case.store.ticket(&id).await.unwrap().is_none());
    let query = FindingQuery { project: Some(case.project), limit: 10, ..FindingQuery::default() };
    assert!(case.store.findings(query).await.unwrap().items.is_empty());
    assert_eq!(case.store.stats().await.unwrap().quarantine_entries, 0);
    let back = case.one(EventBuilder::new(9, "a").at(case.now())).await;
    assert_eq!((back.outcome, back.count), (Outcome::Accepted, 1), "the error begins anew");
}

async fn without_a_clock_nothing_goes_by_age(case: &Case) {
    assert_eq!(case.store.clock_mark().await.unwrap(), None);
    for at in [case.now(), case.now().plus(-DAY)] {
        case.store.set_clock_mark(at).await.unwrap();
        assert_eq!(case.store.clock_mark().await.unwrap(), Some(at), "the last one stands");
    }
    let id =
        id_of(&case.one(EventBuilder::new(1, "a").finding(finding("aged", 6, "/a")).at(case.now())).await);
    for number in [2, 3] {
        case.one(EventBuilder::new(number, "a")).await;
    }
    let mut save = case.decision(&id, "resolved").await;
    save.status = Status::Resolved;
    save.resolved_at = Some(case.now());
    case.store.save_ticket(save).await.unwrap();
    case.clock.advance(4_000 * DAY);
    let policy = RetentionPolicy::default();
    let report = case.store.run_retention(&policy, None, false).await.unwrap();
    assert_eq!(report, Default::default(), "nothing goes by its age");
    assert_eq!(case.store.ticket_events(&id, None, 10).await.unwrap().items.len(), 3);
    let tight = RetentionPolicy { events_bytes_max: 1, ..policy.clone() };
    let report = case.store.run_retention(&tight, None, false).await.unwrap();
    assert!(report.events >= 2 && report.tickets == 0, "room is made all the same: {report:?}");
    let report = case.store.run_retention(&policy, Some(case.now()), false).await.unwrap();
    assert!(report.tickets >= 1 && report.findings >= 1, "{report:?}");
}

async fn the_oldest_bodies_go_when_there_are_too_many(case: &Case) {
    for number in 1..=20 {
        case.clock.advance(HOUR);
        case.one(EventBuilder::new(number, "a").at(case.now())).await;
    }
    let policy = RetentionPolicy {
        events_days: 0,
        events_bytes_max: 1,
        resolved_tickets_days: 0,
        quarantine_days: 0,
        findings_days: 0,
        audit_days: 400,
        ..RetentionPolicy::default()
    };
    let report = case.store.run_retention(&policy, Some(case.now()), false).await.unwrap();
    assert!(report.events >= 19, "{report:?}");
    let list = case.list("").await;
    let kept = case.store.ticket_events(&list.items[0].id, None, 50).await.unwrap().items;
    assert_eq!((kept.len(), kept[0].event_id.0[15]), (1, 20));
}

async fn what_is_held_stays(held: &Case, free: &Case) {
    let policy = RetentionPolicy { events_days: 10, ..RetentionPolicy::default() };
    // Of one project a ticket is held, of the other all; each has two tickets with two old events.
    for case in [held, free] {
        case.send([EventBuilder::new(1, "kept"), EventBuilder::new(2, "kept")]).await;
        case.send([EventBuilder::new(3, "gone"), EventBuilder::new(4, "gone")]).await;
    }
    let kept = id_of(&held.one(EventBuilder::new(1, "kept")).await);
    let other = id_of(&held.one(EventBuilder::new(3, "gone")).await);
    held.store.hold(held.project, Some(&kept), "case 17", &act()).await.unwrap();
    let again = held.store.hold(held.project, Some(&kept), "case 17", &act()).await;
    assert!(matches!(again, Err(Error::Conflict { .. })), "{again:?}");
    let whole = free.store.hold(free.project, None, "all of it", &act()).await.unwrap();
    assert_eq!((whole.ticket.clone(), whole.project), (None, free.project));
    held.clock.advance(11 * DAY);
    let stored = async |case: &Case| {
        let mut many = 0;
        for ticket in case.list("").await.items {
            many += case.store.ticket_events(&ticket.id, None, 50).await.unwrap().items.len();
        }
        many
    };
    let dry = held.store.run_retention(&policy, Some(held.now()), true).await.unwrap();
    let done = held.store.run_retention(&policy, Some(held.now()), false).await.unwrap();
    assert_eq!((dry.events, dry.held_events), (done.events, done.held_events), "a dry run tells the same");
    assert_eq!(done.held_events, 2 + 4);
    assert_eq!((stored(held).await, stored(free).await), (2 + 1, 4), "each ticket keeps its latest");
    // A hold follows its ticket into the one that takes it over.
    let entry = held.entry("merged");
    held.store.merge_tickets(&other, None, std::slice::from_ref(&kept), entry).await.unwrap();
    let holds = held.store.holds().await.unwrap();
    assert_eq!(holds.iter().map(|hold| hold.ticket.clone()).collect::<Vec<_>>(), [Some(other), None]);
    for hold in holds {
        assert!(held.store.release_hold(hold.id, &act()).await.unwrap());
        assert!(!held.store.release_hold(hold.id, &act()).await.unwrap());
    }
    let done = held.store.run_retention(&policy, Some(held.now()), false).await.unwrap();
    assert_eq!(done.held_events, 0);
    assert_eq!((stored(held).await, stored(free).await), (1, 2), "released, they go");
}

async fn closing_is_final(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let project = store.projects().await.unwrap()[0].id;
    store.close().await.unwrap();
    store.close().await.unwrap();
    let mut sent = Submission::new(project, clock.now());
    sent.quarantined.push(sealed(1));
    assert!(matches!(store.ingest(sent).await, Err(Error::Unavailable { .. })));
    assert!(matches!(store.projects().await, Err(Error::Unavailable { .. })));
    assert!(matches!(store.ready().await, Err(Error::Unavailable { .. })));
}
