//! Decisions about tickets, merge and split.

use super::{Case, id_of};
use crate::fixtures::{EventBuilder, finding};
use crate::{FakeClock, NOW};
use actifix_app::error::Error;
use actifix_app::ports::{Lease, Store};
use actifix_domain::approval::Origins;
use actifix_domain::event::Level;
use actifix_domain::id::TicketId;
use actifix_domain::outcome::Change;
use actifix_domain::ticket::{Priority, Status};
use actifix_domain::time::{HOUR, MINUTE};
use std::sync::Arc;

/// All cases.
pub async fn run(store: Arc<dyn Store>, clock: Arc<FakeClock>) {
    a_stale_version_is_refused(&Case::new(&store, &clock, "versions").await).await;
    leases_and_fences(&Case::new(&store, &clock, "leases").await).await;
    history_is_bounded(&Case::new(&store, &clock, "history").await).await;
    merged_tickets_are_one(&Case::new(&store, &clock, "merge").await).await;
    merge_refuses_nonsense(&store, &clock).await;
    a_merged_ticket_is_as_urgent_as_either(&Case::new(&store, &clock, "urgent").await).await;
    a_split_ticket_is_whole(&Case::new(&store, &clock, "whole").await).await;
    merged_events_are_never_a_strangers(&Case::new(&store, &clock, "strangers").await).await;
    split_gives_a_ticket_of_its_own(&Case::new(&store, &clock, "split").await).await;
    origins_are_kept(&Case::new(&store, &clock, "origins").await).await;
    similar_tickets_are_listed(&Case::new(&store, &clock, "similar").await).await;
}

async fn a_stale_version_is_refused(case: &Case) {
    let id = id_of(&case.one(EventBuilder::new(1, "a")).await);
    let mut save = case.decision(&id, "assigned").await;
    save.assignee = Some("jo".to_owned());
    save.priority = Priority::P0;
    save.priority_reason = "set by jo".to_owned();
    // Events in between do not make it stale.
    case.one(EventBuilder::new(2, "a")).await;
    let saved = case.store.save_ticket(save.clone()).await.unwrap();
    assert_eq!((saved.version, saved.count, saved.assignee.as_deref()), (2, 2, Some("jo")));
    let again = case.store.save_ticket(save.clone()).await;
    assert!(matches!(again, Err(Error::Conflict { stale: true, .. })), "{again:?}");
    save.id = "ACT-20260101-AAAAA".parse().unwrap();
    assert!(matches!(case.store.save_ticket(save).await, Err(Error::NotFound { .. })));
    // Events go on counting on what was saved.
    assert_eq!(case.one(EventBuilder::new(3, "a")).await.count, 3);
    let ticket = case.ticket(&id).await;
    assert_eq!((ticket.priority, ticket.version), (Priority::P0, 2));
    assert_eq!(case.titles("assigned:jo").await, ["a"]);
    assert_eq!(case.detail(&id).await.activity[0].kind, "assigned");
}

async fn leases_and_fences(case: &Case) {
    let id = id_of(&case.one(EventBuilder::new(1, "a")).await);
    let lease = |fence| Lease {
        lease_id: format!("lease-{fence}"),
        fence,
        holder: "agent".to_owned(),
        since: NOW,
        expires_at: NOW.plus(HOUR),
    };
    let mut claim = case.decision(&id, "claimed").await;
    claim.status = Status::InProgress;
    claim.lease = Some(lease(1));
    claim.approved = true;
    case.store.save_ticket(claim).await.unwrap();
    let detail = case.detail(&id).await;
    assert_eq!((detail.lease, detail.last_fence, detail.ticket.origins.approved), (Some(lease(1)), 1, true));
    let mut renewed = case.decision(&id, "renewed").await;
    renewed.activity = None;
    renewed.lease = Some(Lease { expires_at: NOW.plus(2 * HOUR), ..lease(1) });
    case.store.save_ticket(renewed).await.unwrap();
    let mut release = case.decision(&id, "released").await;
    release.lease = None;
    release.status = Status::Open;
    case.store.save_ticket(release).await.unwrap();
    let detail = case.detail(&id).await;
    assert_eq!((detail.lease, detail.last_fence), (None, 1));
    // A fence that does not rise is refused, whoever computed it.
    let mut old = case.decision(&id, "claimed").await;
    old.lease = Some(Lease { lease_id: "other".to_owned(), ..lease(1) });
    assert!(matches!(case.store.save_ticket(old).await, Err(Error::Conflict { stale: true, .. })));
}

async fn history_is_bounded(case: &Case) {
    let id = id_of(&case.one(EventBuilder::new(1, "a")).await);
    for number in 0..210 {
        let save = case.decision(&id, &format!("note {number}")).await;
        case.store.save_ticket(save).await.unwrap();
    }
    let activity = case.detail(&id).await.activity;
    assert_eq!((activity.len(), activity[0].kind.as_str()), (200, "note 209"));
}

async fn merged_tickets_are_one(case: &Case) {
    let into =
        id_of(&case.one(EventBuilder::new(1, "a").user(1).tag("os", "linux").at(NOW.plus(MINUTE))).await);
    let from = id_of(&case.one(EventBuilder::new(2, "b").user(1).tag("os", "linux")).await);
    case.one(EventBuilder::new(3, "b").user(2).finding(finding("aws", 1, "/a"))).await;
    let version = case.ticket(&into).await.version;
    let merged = case
        .store
        .merge_tickets(&into, None, std::slice::from_ref(&from), case.entry("merged"))
        .await
        .unwrap();
    assert_eq!((merged.count, merged.users, merged.version), (3, 2, version + 1));
    assert_eq!((merged.first_seen, merged.last_seen), (NOW, NOW.plus(MINUTE)));
    assert_eq!(case.ticket(&from).await.id, into, "the old id keeps resolving");
    assert_eq!(case.list("").await.items.len(), 1);
    let detail = case.detail(&from).await;
    assert_eq!(detail.fingerprints.len(), 2);
    assert_eq!(detail.facets[0].count, 2);
    assert_eq!(detail.hours[0].count, 3);
    assert_eq!(detail.redactions, [("aws".to_owned(), 1)]);
    assert_eq!(case.store.ticket_events(&into, None, 50).await.unwrap().items.len(), 3);
    let next = case.one(EventBuilder::new(4, "b")).await;
    assert_eq!((next.ticket_id.as_ref(), next.count, next.change), (Some(&into), 4, Change::Seen));
    let stats: u64 = case.list("").await.total.unwrap();
    assert_eq!(stats, 1);
    // A chain of merges resolves too.
    let last = id_of(&case.one(EventBuilder::new(5, "c")).await);
    case.store.merge_tickets(&last, None, std::slice::from_ref(&into), case.entry("merged")).await.unwrap();
    assert_eq!(case.ticket(&from).await.id, last);
    assert_eq!(case.one(EventBuilder::new(6, "a")).await.ticket_id, Some(last));
}

async fn a_merged_ticket_is_as_urgent_as_either(case: &Case) {
    let status_of = async |id: &TicketId, status: Status| {
        let mut save = case.decision(id, "decided").await;
        save.status = status;
        save.resolved_at = (status == Status::Resolved).then(|| case.now());
        case.store.save_ticket(save).await.unwrap();
    };
    let into = id_of(&case.one(EventBuilder::new(1, "a").priority(Priority::P3)).await);
    status_of(&into, Status::Resolved).await;
    let loud = EventBuilder::new(2, "b").priority(Priority::P1).at(NOW.plus(MINUTE)).with(|event| {
        event.level = Level::Fatal;
        event.culprit = "jobs.mail in drain".to_owned();
        event.exception[0].value = Some("the gateway did not answer".to_owned());
    });
    let from = id_of(&case.one(loud).await);
    let merged = case.store.merge_tickets(&into, None, &[from], case.entry("merged")).await.unwrap();
    assert_eq!((merged.status, merged.resolved_at), (Status::Open, None), "nothing open is hidden");
    assert_eq!((merged.priority, merged.level), (Priority::P1, Level::Fatal));
    assert_eq!((merged.title.as_str(), merged.culprit.as_str()), ("Declined: b", "jobs.mail in drain"));
    for word in ["gateway", "charge", "declined a", "is:open priority:P1"] {
        assert_eq!(case.titles(word).await, ["b"], "{word}");
    }
    // What was decided for good stays decided, and work that goes on goes on.
    for (number, status, other, after) in [
        (10, Status::Ignored, Status::Open, Status::Ignored),
        (20, Status::InReview, Status::Open, Status::InReview),
        (30, Status::Resolved, Status::Resolved, Status::Resolved),
        (40, Status::Held, Status::InProgress, Status::Open),
        (50, Status::Resolved, Status::Held, Status::Held),
    ] {
        let into = id_of(&case.one(EventBuilder::new(number, &format!("into {number}"))).await);
        let from = id_of(&case.one(EventBuilder::new(number + 1, &format!("from {number}"))).await);
        status_of(&into, status).await;
        status_of(&from, other).await;
        let merged = case.store.merge_tickets(&into, None, &[from], case.entry("merged")).await.unwrap();
        assert_eq!(merged.status, after, "{status:?} took over {other:?}");
        let listed = case.list(&format!("is:{}", after.as_str())).await;
        assert!(listed.items.iter().any(|ticket| ticket.id == into), "{after:?}");
    }
}

/// Split off, a ticket is what it would be had it never been merged, as far as its stored events tell.
async fn a_split_ticket_is_whole(case: &Case) {
    let ours = |number, name: &str| {
        EventBuilder::new(number, name).user(number).environment(name).tag("shop", name).release("web@1")
    };
    let into = id_of(&case.one(ours(1, "a")).await);
    let other = ours(2, "b").with(|event| {
        event.level = Level::Fatal;
        event.culprit = "jobs.mail in drain".to_owned();
        event.platform = Some("node".to_owned());
        event.exception[0].value = Some("the gateway did not answer".to_owned());
    });
    let near = actifix_domain::id::Fingerprint([7; 16]);
    let from = id_of(&case.one(other.clone().near_key(near)).await);
    case.clock.advance(HOUR);
    case.one(ours(3, "b").release("web@2").at(NOW.plus(MINUTE)).with(|event| event.level = Level::Fatal))
        .await;
    let whole = case.detail(&from).await;
    case.store.merge_tickets(&into, None, std::slice::from_ref(&from), case.entry("merged")).await.unwrap();
    case.one(ours(4, "a").at(NOW.plus(2 * MINUTE))).await;
    let split = case.store.split_ticket(&into, None, other.key(), case.entry("split")).await.unwrap();
    let detail = case.detail(&split.id).await;
    assert_eq!((detail.facets, detail.hours, detail.days), (whole.facets, whole.hours, whole.days));
    let expected = &whole.ticket;
    assert_eq!((split.count, split.users, split.level), (2, 2, Level::Fatal));
    assert_eq!(
        (&split.title, &split.culprit, &split.platform),
        (&expected.title, &expected.culprit, &expected.platform)
    );
    assert_eq!((split.near_key, split.first_seen, split.last_seen), (Some(near), NOW, NOW.plus(MINUTE)));
    assert_eq!(
        (split.first_release.as_deref(), split.last_release.as_deref()),
        (Some("web@1"), Some("web@2"))
    );
    assert_eq!(case.titles("shop:b").await, ["b"]);
    assert_eq!(case.titles("declined -b").await, ["a"]);
    let rest = case.detail(&into).await;
    assert!(rest.facets.iter().all(|facet| facet.value != "b"), "{:?}", rest.facets);
    assert_eq!(rest.hours.iter().map(|hour| hour.count).sum::<u64>(), 2);
    assert_eq!(rest.ticket.count, 2);
}

/// What names an event of a ticket that is gone by now leads to the one that took it over, never to a later one.
async fn merged_events_are_never_a_strangers(case: &Case) {
    let into = id_of(&case.one(EventBuilder::new(1, "a")).await);
    let from = id_of(&case.one(EventBuilder::new(2, "b")).await);
    let old = EventBuilder::new(2, "b").id();
    case.store.merge_tickets(&into, None, std::slice::from_ref(&from), case.entry("merged")).await.unwrap();
    let stranger = id_of(&case.one(EventBuilder::new(3, "c")).await);
    let feedback = case.one(EventBuilder::new(4, "words").attach_to(old)).await;
    assert_eq!(feedback.ticket_id.as_ref(), Some(&into), "not {stranger}");
    assert_eq!(case.one(EventBuilder::new(2, "b")).await.ticket_id, Some(into.clone()), "a duplicate too");
    assert_eq!((case.ticket(&stranger).await.count, case.ticket(&into).await.count), (1, 3));
    // Once more merged, then split off again: the event belongs to the ticket that has its key.
    let last = id_of(&case.one(EventBuilder::new(5, "d")).await);
    case.store.merge_tickets(&last, None, std::slice::from_ref(&into), case.entry("merged")).await.unwrap();
    case.one(EventBuilder::new(6, "e")).await;
    assert_eq!(case.one(EventBuilder::new(7, "w").attach_to(old)).await.ticket_id, Some(last.clone()));
    let key = EventBuilder::new(0, "b").key();
    let split = case.store.split_ticket(&last, None, key, case.entry("split")).await.unwrap();
    assert_eq!(case.one(EventBuilder::new(8, "w").attach_to(old)).await.ticket_id, Some(split.id));
    assert_eq!(
        case.one(EventBuilder::new(9, "w").attach_to(EventBuilder::new(1, "a").id())).await.ticket_id,
        Some(last)
    );
}

/// Where events came from decides what agents get: it survives merges, and a split claims nothing that is not known.
async fn origins_are_kept(case: &Case) {
    let anyone = |number, name: &str, peer| EventBuilder::new(number, name).from_anyone(peer);
    let id = id_of(&case.one(anyone(1, "a", 7)).await);
    case.send([anyone(2, "a", 3), anyone(3, "a", 7)]).await;
    let origins = case.ticket(&id).await.origins;
    assert_eq!((origins.trusted_events, origins.peers), (0, vec![3, 7]));
    let other = id_of(&case.one(anyone(4, "b", 9)).await);
    case.one(EventBuilder::new(5, "b")).await;
    // Feedback of a trusted sender says nothing about the error.
    case.one(EventBuilder::new(6, "words").attach_to(EventBuilder::new(1, "a").id())).await;
    assert_eq!(case.ticket(&id).await.origins.trusted_events, 0);
    let from = std::slice::from_ref(&other);
    let merged = case.store.merge_tickets(&id, None, from, case.entry("merged")).await.unwrap();
    assert_eq!((merged.origins.trusted_events, merged.origins.peers), (1, vec![3, 7, 9]));
    let key = EventBuilder::new(0, "b").key();
    let split = case.store.split_ticket(&id, None, key, case.entry("split")).await.unwrap();
    assert_eq!(split.origins, Origins::default());
    assert_eq!(case.ticket(&id).await.origins, Origins::default());
}

async fn merge_refuses_nonsense(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let (here, there) = (Case::new(store, clock, "here").await, Case::new(store, clock, "there").await);
    let ours = id_of(&here.one(EventBuilder::new(1, "a")).await);
    let theirs = id_of(&there.one(EventBuilder::new(1, "a")).await);
    assert_ne!(ours, theirs, "one error in two projects is two tickets");
    let missing: TicketId = "ACT-20260101-AAAAA".parse().unwrap();
    for from in [vec![theirs], vec![ours.clone()], vec![missing], vec![]] {
        assert!(
            here.store.merge_tickets(&ours, None, &from, here.entry("merged")).await.is_err(),
            "{from:?}"
        );
    }
    assert_eq!(here.ticket(&ours).await.count, 1);
}

async fn split_gives_a_ticket_of_its_own(case: &Case) {
    let into = id_of(&case.one(EventBuilder::new(1, "a")).await);
    let from = id_of(&case.one(EventBuilder::new(2, "b")).await);
    case.one(EventBuilder::new(3, "b").at(NOW.plus(MINUTE))).await;
    case.store.merge_tickets(&into, None, std::slice::from_ref(&from), case.entry("merged")).await.unwrap();
    let key = EventBuilder::new(0, "b").key();
    let split = case.store.split_ticket(&into, None, key, case.entry("split")).await.unwrap();
    assert_eq!((split.count, split.title.as_str(), split.fingerprint), (2, "Declined: b", key));
    assert_eq!((split.first_seen, split.last_seen), (NOW, NOW.plus(MINUTE)));
    assert_eq!(case.ticket(&into).await.count, 1);
    assert_eq!(case.store.ticket_events(&split.id, None, 10).await.unwrap().items.len(), 2);
    let next = case.one(EventBuilder::new(4, "b")).await;
    assert_eq!((next.ticket_id, next.count), (Some(split.id.clone()), 3));
    assert_eq!(case.list("").await.total, Some(2));
    for wrong in [key, case.ticket(&into).await.fingerprint] {
        assert!(case.store.split_ticket(&into, None, wrong, case.entry("split")).await.is_err());
    }
}

async fn similar_tickets_are_listed(case: &Case) {
    for (number, name) in [(1, "a"), (2, "b"), (3, "c")] {
        case.one(EventBuilder::new(number, name)).await;
    }
    let near = case.list("").await.items[0].near_key.unwrap();
    assert_eq!(case.store.similar(case.project, near, 2).await.unwrap().len(), 2);
    let other = actifix_domain::id::Fingerprint([9; 16]);
    assert!(case.store.similar(case.project, other, 10).await.unwrap().is_empty());
}
