//! Events become tickets, exactly once, with exact counts.

use super::{Case, id_of};
use crate::fixtures::{EventBuilder, attachment, finding, submission};
use crate::{FakeClock, NOW};
use actifix_app::ports::{
    CheckIn, Discard, FindingQuery, LateMonitor, MonitorTick, OutcomeCount, SealedInput, SessionCount, Store,
    Submission,
};
use actifix_domain::cron::MonitorStatus;
use actifix_domain::id::{EventId, ProjectId};
use actifix_domain::outcome::{Change, Outcome, Reason};
use actifix_domain::ticket::{Priority, Status};
use actifix_domain::time::{DAY, HOUR, MINUTE};
use std::sync::Arc;

/// All cases.
pub async fn run(store: Arc<dyn Store>, clock: Arc<FakeClock>) {
    first_and_second_event(&Case::new(&store, &clock, "first").await).await;
    duplicates_change_nothing(&Case::new(&store, &clock, "duplicates").await).await;
    concurrent_duplicates_are_one(&Case::new(&store, &clock, "concurrent").await).await;
    one_request_with_many(&Case::new(&store, &clock, "many").await).await;
    latest_event_names_the_ticket(&Case::new(&store, &clock, "names").await).await;
    sampling_keeps_powers_of_two_and_the_latest(&Case::new(&store, &clock, "sampling").await).await;
    facets_are_counted_and_bounded(&Case::new(&store, &clock, "facets").await).await;
    users_are_counted_once(&Case::new(&store, &clock, "users").await).await;
    feedback_goes_to_its_event(&Case::new(&store, &clock, "feedback").await).await;
    spikes_raise_once(&Case::new(&store, &clock, "spikes").await).await;
    side_items_are_counted(&Case::new(&store, &clock, "sides").await).await;
    check_ins_move_monitors(&Case::new(&store, &clock, "monitors").await).await;
}

async fn first_and_second_event(case: &Case) {
    let first = case.one(EventBuilder::new(1, "a").release("web@1.0").user(7)).await;
    assert_eq!((first.outcome, first.change, first.count), (Outcome::Accepted, Change::New, 1));
    let later = NOW.plus(MINUTE);
    let second = case.one(EventBuilder::new(2, "a").release("web@1.1").at(later)).await;
    assert_eq!((second.outcome, second.change, second.count), (Outcome::Accepted, Change::Seen, 2));
    assert_eq!(first.ticket_id, second.ticket_id);
    let ticket = case.ticket(&id_of(&first)).await;
    assert_eq!((ticket.count, ticket.users, ticket.version), (2, 1, 1));
    assert_eq!((ticket.first_seen, ticket.last_seen), (NOW, later));
    assert_eq!(ticket.first_release.as_deref(), Some("web@1.0"));
    assert_eq!(ticket.last_release.as_deref(), Some("web@1.1"));
    assert_eq!((ticket.status, ticket.priority), (Status::Open, Priority::P2));
    assert_eq!(ticket.title, "Declined: a");
    // An event that happened before moves the start, not the end.
    case.one(EventBuilder::new(3, "a").release("web@0.9").at(NOW.plus(-HOUR))).await;
    let ticket = case.ticket(&id_of(&first)).await;
    assert_eq!((ticket.first_seen, ticket.last_seen), (NOW.plus(-HOUR), later));
    assert_eq!(ticket.first_release.as_deref(), Some("web@0.9"));
    assert_eq!(ticket.last_release.as_deref(), Some("web@1.1"));
    let other = case.one(EventBuilder::new(4, "b")).await;
    assert_ne!(other.ticket_id, first.ticket_id);
    let detail = case.detail(&id_of(&first)).await;
    assert_eq!(detail.hours.iter().map(|hour| hour.count).sum::<u64>(), 3);
    assert_eq!(detail.days.iter().map(|day| day.count).sum::<u64>(), 3);
    assert_eq!(detail.fingerprints, vec![ticket.fingerprint]);
    assert_eq!(detail.grouping.lines, vec!["c:Declined: a".to_owned()]);
    assert_eq!(detail.latest_event, Some(EventBuilder::new(3, "a").id()));
}

async fn duplicates_change_nothing(case: &Case) {
    let first = case.one(EventBuilder::new(1, "a").finding(finding("aws", 1, "/extra/key"))).await;
    let before = case.detail(&id_of(&first)).await;
    let again = EventBuilder::new(1, "a").title("other").user(9).finding(finding("aws", 1, "/extra/key"));
    let again = case.one(again).await;
    assert_eq!((again.outcome, again.change), (Outcome::Duplicate, Change::Seen));
    assert_eq!((again.event_id, again.ticket_id), (first.event_id, first.ticket_id.clone()));
    // Even of another error.
    assert_eq!(case.one(EventBuilder::new(1, "b")).await.outcome, Outcome::Duplicate);
    assert_eq!(case.detail(&id_of(&first)).await, before);
    let outcomes = case.store.outcomes(case.project, case.now()).await.unwrap();
    let of = |word: &str| outcomes.iter().filter(|o| o.outcome == word).map(|o| o.quantity).sum::<u64>();
    assert_eq!((of("accepted"), of("duplicate")), (1, 2));
    // Twice in one request.
    let both = case.send([EventBuilder::new(5, "c"), EventBuilder::new(5, "c")]).await;
    assert_eq!((both[0].outcome, both[1].outcome), (Outcome::Accepted, Outcome::Duplicate));
    assert_eq!(case.ticket(&id_of(&both[0])).await.count, 1);
    // Ids of sampled events are remembered for seven days.
    let id = EventBuilder::new(10, "d").sample_after(1);
    case.send([EventBuilder::new(8, "d").sample_after(1), EventBuilder::new(9, "d").sample_after(1)]).await;
    assert_eq!(case.one(id.clone()).await.outcome, Outcome::Sampled);
    case.one(EventBuilder::new(11, "d").sample_after(1)).await;
    assert_eq!(case.one(id).await.outcome, Outcome::Duplicate);
}

async fn concurrent_duplicates_are_one(case: &Case) {
    let mut tasks = Vec::new();
    for task in 0..16_u64 {
        let store = Arc::clone(&case.store);
        let (project, now) = (case.project, case.now());
        tasks.push(tokio::spawn(async move {
            let mut accepted = 0;
            for number in 0..20_u64 {
                // Each id is sent by all tasks, in different order.
                let id = (number + task) % 20 + 1;
                let sent = submission(project, now, [EventBuilder::new(id, "same")]);
                let recorded = store.ingest(sent).await.unwrap();
                accepted += u64::from(recorded.events[0].outcome == Outcome::Accepted);
            }
            accepted
        }));
    }
    let mut accepted = 0;
    for task in tasks {
        accepted += task.await.unwrap();
    }
    assert_eq!(accepted, 20);
    assert_eq!(case.list("").await.items[0].count, 20);
}

async fn one_request_with_many(case: &Case) {
    let events = (0..600).map(|n| EventBuilder::new(n + 1, &format!("kind {}", n % 3)));
    let recorded = case.send(events.collect::<Vec<_>>()).await;
    assert_eq!(recorded.len(), 600);
    assert_eq!(recorded.iter().filter(|r| r.change == Change::New).count(), 3);
    assert_eq!(recorded[599].count, 200);
    for ticket in case.list("").await.items {
        assert_eq!(ticket.count, 200);
    }
}

async fn latest_event_names_the_ticket(case: &Case) {
    let first = case.one(EventBuilder::new(1, "a").title("old words")).await;
    case.one(EventBuilder::new(2, "a").title("new words").at(NOW.plus(MINUTE))).await;
    case.one(EventBuilder::new(3, "a").title("late words").at(NOW.plus(-MINUTE))).await;
    assert_eq!(case.ticket(&id_of(&first)).await.title, "new words");
}

async fn sampling_keeps_powers_of_two_and_the_latest(case: &Case) {
    let mut last = None;
    for number in 1..=40_u64 {
        last = Some(case.one(EventBuilder::new(number, "hot").sample_after(10)).await);
    }
    let last = last.unwrap();
    assert_eq!((last.outcome, last.count), (Outcome::Sampled, 40));
    let page = case.store.ticket_events(&id_of(&last), None, 200).await.unwrap();
    let kept: Vec<u8> = page.items.iter().map(|event| event.event_id.0[15]).collect();
    // The latest, the powers of two, the first ten.
    assert_eq!(kept, [40, 32, 16, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    let stats = case.store.stats().await.unwrap();
    assert!(stats.events >= 13);
    // The same within one transaction.
    let events = (101..=140_u64).map(|number| EventBuilder::new(number, "hot2").sample_after(10));
    let recorded = case.send(events.collect::<Vec<_>>()).await;
    let page = case.store.ticket_events(&id_of(&recorded[0]), None, 200).await.unwrap();
    let kept: Vec<u8> = page.items.iter().map(|event| event.event_id.0[15] - 100).collect();
    assert_eq!(kept, [40, 32, 16, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    // In the next hour it begins again.
    case.clock.advance(HOUR);
    let next = case.one(EventBuilder::new(200, "hot").sample_after(10)).await;
    assert_eq!((next.outcome, next.count), (Outcome::Accepted, 41));
    let body = case.store.event(Some(case.project), EventId(40_u128.to_be_bytes())).await.unwrap();
    assert!(body.is_none(), "the former latest gave up its place");
}

async fn facets_are_counted_and_bounded(case: &Case) {
    let first = case.one(EventBuilder::new(1, "a").tag("browser", "Firefox 130").environment("prod")).await;
    case.one(EventBuilder::new(2, "a").tag("browser", "Firefox 130").at(NOW.plus(MINUTE))).await;
    let id = id_of(&first);
    let facet = |facets: &[actifix_app::ports::Facet], key: &str| {
        facets.iter().find(|facet| facet.key == key).cloned()
    };
    let detail = case.detail(&id).await;
    let browser = facet(&detail.facets, "browser").unwrap();
    assert_eq!((browser.value.as_str(), browser.count), ("Firefox 130", 2));
    assert_eq!((browser.first_seen, browser.last_seen), (NOW, NOW.plus(MINUTE)));
    assert_eq!(facet(&detail.facets, "environment").unwrap().value, "prod");
    // What an SDK sends as a tag too counts once; where only the tag has it, that counts.
    let twice = EventBuilder::new(3, "twice").release("web@1").tag("release", "web@1");
    let twice = case.one(twice.tag("environment", "qa")).await;
    let detail = case.detail(&id_of(&twice)).await;
    let counts: Vec<(&str, &str, u64)> =
        detail.facets.iter().map(|f| (f.key.as_str(), f.value.as_str(), f.count)).collect();
    assert_eq!(counts, [("environment", "qa", 1), ("release", "web@1", 1)]);
    // Values beyond a hundred count as other, keys beyond fifty not at all.
    for number in 0..130_u64 {
        case.one(EventBuilder::new(100 + number, "a").tag("request", &format!("r{number}"))).await;
    }
    let other = case.titles("request:other").await;
    assert_eq!(other, ["a"]);
    assert_eq!(case.titles("request:r99").await, ["a"]);
    assert!(case.titles("request:r129").await.is_empty());
    let mut wide = EventBuilder::new(1_000, "wide");
    for number in 0..80 {
        wide = wide.tag(&format!("k{number:02}"), "v");
    }
    let wide = case.one(wide).await;
    let keys: std::collections::BTreeSet<String> =
        case.detail(&id_of(&wide)).await.facets.into_iter().map(|facet| facet.key).collect();
    assert!(keys.len() <= 50, "{}", keys.len());
    let again = case.one(EventBuilder::new(1_001, "wide").tag("zz", "v")).await;
    assert!(facet(&case.detail(&id_of(&again)).await.facets, "zz").is_none());
}

async fn users_are_counted_once(case: &Case) {
    for (number, user) in [(1, 5), (2, 5), (3, u64::MAX), (4, 6)] {
        case.one(EventBuilder::new(number, "a").user(user)).await;
    }
    assert_eq!(case.list("").await.items[0].users, 3);
    let mut query = case.query("user:max");
    query.user_hashes.insert("max".to_owned(), u64::MAX);
    assert_eq!(case.store.tickets(query).await.unwrap().items.len(), 1);
    assert!(case.list("user:nobody").await.items.is_empty());
}

async fn feedback_goes_to_its_event(case: &Case) {
    let first = case.one(EventBuilder::new(1, "a")).await;
    let feedback = EventBuilder::new(2, "feedback").attach_to(first.event_id).title("It broke");
    let recorded = case.one(feedback).await;
    assert_eq!((recorded.ticket_id.clone(), recorded.count), (first.ticket_id.clone(), 2));
    assert_eq!(case.ticket(&id_of(&first)).await.title, "Declined: a");
    assert_eq!(case.detail(&id_of(&first)).await.latest_event, Some(first.event_id));
    // To nothing that is stored: by its own key.
    let lost = EventBuilder::new(3, "feedback").attach_to(EventId([9; 16]));
    assert_ne!(case.one(lost).await.ticket_id, first.ticket_id);
}

async fn spikes_raise_once(case: &Case) {
    let first = case.one(EventBuilder::new(1, "a").priority(Priority::P3)).await;
    case.clock.advance(3 * HOUR);
    let events = (2..=100_u64).map(|number| EventBuilder::new(number, "a").ceiling(Priority::P1));
    case.send(events.collect::<Vec<_>>()).await;
    let id = id_of(&first);
    assert_eq!(case.ticket(&id).await.priority, Priority::P3, "99 in this hour");
    case.one(EventBuilder::new(500, "a").ceiling(Priority::P1)).await;
    let ticket = case.ticket(&id).await;
    assert_eq!((ticket.priority, ticket.raised), (Priority::P2, true));
    assert!(ticket.priority_reason.contains("spiked"), "{}", ticket.priority_reason);
    assert_eq!(case.detail(&id).await.activity[0].kind, "raised");
    let more = (1_000..=1_300_u64).map(|number| EventBuilder::new(number, "a"));
    case.send(more.collect::<Vec<_>>()).await;
    assert_eq!(case.ticket(&id).await.priority, Priority::P2, "once");
}

async fn side_items_are_counted(case: &Case) {
    let first = case.one(EventBuilder::new(1, "a").attachment("one.log", b"first")).await;
    let mut sent = Submission::new(case.project, case.now());
    sent.counts.push(OutcomeCount {
        outcome: Outcome::RateLimited,
        reason: Reason::Key,
        category: "error",
        quantity: 3,
    });
    sent.discards.push(Discard { reason: "queue_overflow", category: "error", quantity: 4 });
    sent.sessions.push(SessionCount {
        release: "web@1.0".to_owned(),
        environment: String::new(),
        sessions: 5,
        errored: 1,
        crashed: 0,
    });
    sent.late_attachments.push((first.event_id, attachment("two.log", Some(b"second"))));
    sent.late_attachments.push((EventId([8; 16]), attachment("lost.log", None)));
    sent.findings.push(finding("api_key", 9, "attachment"));
    sent.quarantined.push(SealedInput {
        id: format!("{:032x}", case.project.0),
        reason: "redaction took too long".to_owned(),
        kind: "event",
        size: 10,
        sealed: vec![1, 2, 3],
    });
    let side = case.store.ingest(sent).await.unwrap().side;
    let fates: Vec<(Outcome, &str, u64)> =
        side.iter().map(|count| (count.outcome, count.category, count.quantity)).collect();
    let (accepted, filtered) = (Outcome::Accepted, Outcome::Filtered);
    let expected = [(accepted, "session", 1), (accepted, "attachment", 1), (filtered, "attachment", 1)];
    assert_eq!(fates, expected);
    let query = FindingQuery { project: Some(case.project), limit: 10, ..FindingQuery::default() };
    let found = case.store.findings(query).await.unwrap().items;
    assert_eq!(found.len(), 1);
    assert!(found[0].places.iter().all(|place| place.ticket_id.is_none()), "it is of no ticket: {found:?}");
    let outcomes = case.store.outcomes(case.project, case.now()).await.unwrap();
    let of = |word: &str, reason: &str| {
        outcomes.iter().find(|o| o.outcome == word && o.reason == reason).map(|o| o.quantity)
    };
    assert_eq!(of("rate_limited", "key"), Some(3));
    assert_eq!(of("sdk_discarded", "queue_overflow"), Some(4));
    let list = case.store.attachments(case.project, first.event_id).await.unwrap();
    let names: Vec<(u32, &str)> = list.iter().map(|info| (info.number, info.name.as_str())).collect();
    assert_eq!(names, [(0, "one.log"), (1, "two.log")]);
    let second = case.store.attachment(case.project, first.event_id, 1).await.unwrap().unwrap();
    assert_eq!(second.bytes.as_deref(), Some(b"second".as_slice()));
    assert!(case.store.attachment(case.project, first.event_id, 2).await.unwrap().is_none());
    let page = case.store.quarantine(Some(case.project), None, 10).await.unwrap();
    assert_eq!(page.items.len(), 1);
    // An event and its late attachment in one request.
    let mut both = submission(case.project, case.now(), [EventBuilder::new(2, "a")]);
    both.late_attachments.push((EventBuilder::new(2, "a").id(), attachment("three.log", Some(b"third"))));
    case.store.ingest(both).await.unwrap();
    assert_eq!(case.store.attachments(case.project, EventBuilder::new(2, "a").id()).await.unwrap().len(), 1);
}

async fn check_ins_move_monitors(case: &Case) {
    let check_in = |status: &'static str| CheckIn {
        slug: "backup".to_owned(),
        environment: "prod".to_owned(),
        status,
        duration_seconds: Some(2.5),
        check_in_id: None,
        config: Some(serde_json::json!({ "schedule": { "type": "interval", "value": 1, "unit": "hour" } })),
    };
    for status in ["in_progress", "ok", "nonsense"] {
        let mut sent = Submission::new(case.project, case.now());
        // What is not a status of the protocol is let go.
        sent.check_ins.push(check_in(if status == "nonsense" { "?" } else { status }));
        case.store.ingest(sent).await.unwrap();
    }
    let monitors = case.store.monitors(case.project).await.unwrap();
    assert_eq!((monitors[0].slug.as_str(), monitors[0].environment.as_str()), ("backup", "prod"));
    assert_eq!(monitors[0].state.status, MonitorStatus::Ok);
    assert!(late_monitors(case).await.is_empty());
    case.clock.advance(DAY);
    let late = late_monitors(case).await;
    assert_eq!((late.len(), late_monitors(case).await.len()), (1, 1), "late until its event is stored");
    let tick = MonitorTick {
        slug: late[0].slug.clone(),
        environment: late[0].environment.clone(),
        deadline: late[0].deadline,
    };
    let missed = |number| {
        let mut sent = submission(case.project, case.now(), [EventBuilder::new(number, "missed")]);
        sent.late_monitor = Some(tick.clone());
        sent
    };
    // Too many events of other kinds, a full disk: whatever fails the event leaves the monitor as it was.
    let mut twice = missed(1);
    twice.project = ProjectId(999_999);
    assert!(case.store.ingest(twice).await.unwrap().events.is_empty(), "no such monitor");
    assert_eq!(late_monitors(case).await.len(), 1);
    assert_eq!(case.store.ingest(missed(1)).await.unwrap().events[0].change, Change::New);
    assert!(late_monitors(case).await.is_empty(), "once");
    assert_eq!(case.store.monitors(case.project).await.unwrap()[0].state.status, MonitorStatus::Missed);
    assert!(case.store.ingest(missed(2)).await.unwrap().events.is_empty(), "nor twice");
    // Heard of in the meantime: nothing was missed after all.
    case.clock.advance(DAY);
    let late = late_monitors(case).await.remove(0);
    let mut heard = Submission::new(case.project, case.now());
    heard.check_ins.push(check_in("ok"));
    case.store.ingest(heard).await.unwrap();
    let mut untrue = missed(3);
    untrue.late_monitor = Some(MonitorTick { deadline: late.deadline, ..tick.clone() });
    assert!(case.store.ingest(untrue).await.unwrap().events.is_empty());
    assert_eq!(case.store.monitors(case.project).await.unwrap()[0].state.status, MonitorStatus::Ok);
    assert_eq!(case.list("").await.items[0].count, 1);
}

async fn late_monitors(case: &Case) -> Vec<LateMonitor> {
    let mut late = case.store.late_monitors(case.now()).await.unwrap();
    late.retain(|late| late.project == case.project);
    late
}
