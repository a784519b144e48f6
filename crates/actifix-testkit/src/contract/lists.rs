//! Pages, orders and searches of the ticket list.

use super::{Case, id_of, titles};
use crate::fixtures::EventBuilder;
use crate::{FakeClock, NOW};
use actifix_app::ports::{Cursor, Sort, Store, TicketQuery};
use actifix_domain::event::Level;
use actifix_domain::id::ProjectId;
use actifix_domain::ticket::{Priority, Status};
use actifix_domain::time::{DAY, HOUR, MINUTE};
use std::sync::Arc;

/// All cases.
pub async fn run(store: Arc<dyn Store>, clock: Arc<FakeClock>) {
    pages_cover_everything_once(&Case::new(&store, &clock, "pages").await).await;
    orders(&Case::new(&store, &clock, "orders").await).await;
    searches(&Case::new(&store, &clock, "searches").await).await;
    texts(&Case::new(&store, &clock, "texts").await).await;
    words_are_found_in_a_crowd(&store, &clock).await;
    conditions_together(&Case::new(&store, &clock, "together").await).await;
    what_comes_later_is_found(&Case::new(&store, &clock, "later").await).await;
    hostile_values_are_only_values(&Case::new(&store, &clock, "hostile").await).await;
    projects_are_apart(&store, &clock).await;
}

async fn walk(case: &Case, query: TicketQuery) -> Vec<String> {
    let (mut query, mut found) = (query, Vec::new());
    for _ in 0..200 {
        let page = case.store.tickets(query.clone()).await.unwrap();
        found.extend(titles(&page));
        match page.next_cursor {
            Some(next) => query.cursor = Some(next),
            None => return found,
        }
    }
    panic!("the list does not end");
}

async fn pages_cover_everything_once(case: &Case) {
    for number in 0..57_u64 {
        let priority = Priority::ALL[usize::try_from(number % 5).unwrap()];
        let minutes = i64::try_from(number * 7 % 57).unwrap();
        let event = EventBuilder::new(number + 1, &format!("{number:02}"))
            .priority(priority)
            .at(NOW.plus(-minutes * MINUTE))
            .environment(if number % 2 == 0 { "even" } else { "odd" });
        case.one(event).await;
    }
    for sort in [Sort::LastSeen, Sort::FirstSeen, Sort::Count, Sort::Priority] {
        for (search, many) in
            [("", 57), ("environment:even", 29), ("-environment:even", 28), ("priority:P2", 11)]
        {
            let query = TicketQuery { limit: 10, sort, ..case.query(search) };
            let total = case.store.tickets(query.clone()).await.unwrap().total;
            assert_eq!(total, Some(many), "{sort:?} {search}");
            let mut found = walk(case, query).await;
            assert_eq!(u64::try_from(found.len()).unwrap(), many, "{sort:?} {search}");
            found.sort();
            found.dedup();
            assert_eq!(u64::try_from(found.len()).unwrap(), many, "{sort:?} {search}");
        }
    }
    let query = TicketQuery { cursor: Some(Cursor("nonsense".to_owned())), ..case.query("") };
    assert!(case.store.tickets(query).await.is_err());
    assert_eq!(case.list("is:resolved").await.total, Some(0));
}

async fn orders(case: &Case) {
    let at = |hours: i64| NOW.plus(-hours * HOUR);
    for (number, name, priority, hours, more) in [
        (1, "a", Priority::P3, 5, 2),
        (2, "b", Priority::P1, 4, 0),
        (3, "c", Priority::P2, 3, 5),
        (4, "d", Priority::P1, 2, 1),
    ] {
        case.one(EventBuilder::new(number, name).priority(priority).at(at(hours))).await;
        for again in 0..more {
            case.one(EventBuilder::new(number * 100 + again, name).at(at(hours))).await;
        }
    }
    case.one(EventBuilder::new(9, "a").at(at(0))).await;
    for (sort, expected) in [
        (Sort::LastSeen, ["a", "d", "c", "b"]),
        (Sort::FirstSeen, ["d", "c", "b", "a"]),
        (Sort::Count, ["c", "a", "d", "b"]),
        (Sort::Priority, ["d", "b", "c", "a"]),
    ] {
        for limit in [1, 2, 50] {
            let query = TicketQuery { sort, limit, ..case.query("") };
            assert_eq!(walk(case, query).await, expected, "{sort:?} by {limit}");
        }
    }
}

async fn searches(case: &Case) {
    let plain = EventBuilder::new(1, "plain")
        .release("web@5.1")
        .environment("production")
        .tag("browser", "Firefox 130");
    case.one(plain).await;
    let loud = EventBuilder::new(2, "loud")
        .release("api@2.0")
        .environment("staging")
        .tag("browser", "Chrome_129")
        .priority(Priority::P0)
        .at(NOW.plus(-2 * DAY))
        .with(|event| {
            event.level = Level::Fatal;
            event.platform = Some("node".to_owned());
        });
    case.one(loud).await;
    case.send((10..15_u64).map(|n| EventBuilder::new(n, "often").user(n)).collect::<Vec<_>>()).await;
    for (search, expected) in [
        ("is:open", vec!["often", "plain", "loud"]),
        ("is:unresolved", vec!["often", "plain", "loud"]),
        ("is:held,resolved", vec![]),
        ("priority:P0", vec!["loud"]),
        ("-priority:P0", vec!["often", "plain"]),
        ("level:fatal", vec!["loud"]),
        ("release:web@5.1", vec!["plain"]),
        ("release:web@*", vec!["plain"]),
        ("release:*5*", vec!["plain"]),
        ("release:\"\"", vec!["often"]),
        ("environment:staging", vec!["loud"]),
        ("-environment:staging", vec!["often", "plain"]),
        ("browser:\"Firefox 130\"", vec!["plain"]),
        ("browser:Chrome_*", vec!["loud"]),
        ("browser:ChromeX*", vec![]),
        ("browser:chrome*", vec![]),
        ("browser:F* environment:production", vec!["plain"]),
        ("browser:F* environment:staging", vec![]),
        ("platform:node", vec!["loud"]),
        ("count:>4", vec!["often"]),
        ("users:>=5", vec!["often"]),
        ("users:0", vec!["plain", "loud"]),
        ("last_seen:>-1h", vec!["often", "plain"]),
        ("-last_seen:>-1h", vec!["loud"]),
        ("first_seen:<-1d", vec!["loud"]),
        ("is:unassigned", vec!["often", "plain", "loud"]),
        ("is:assigned", vec![]),
        ("is:unhandled", vec![]),
        ("project:searches", vec!["often", "plain", "loud"]),
        ("project:other*", vec![]),
        ("-project:searches", vec![]),
    ] {
        let page = case.list(search).await;
        assert_eq!(titles(&page), expected, "{search}");
        assert_eq!(page.total, Some(u64::try_from(expected.len()).unwrap()), "{search}");
    }
    let id = case.list("loud").await.items[0].id.clone();
    let end = id.as_str().get(13..).unwrap_or_default();
    for search in [format!("id:{id}"), format!("id:{end}"), format!("id:{}", end.to_ascii_lowercase())] {
        assert_eq!(case.titles(&search).await, ["loud"], "{search}");
    }
    assert_eq!(case.titles(&format!("-id:{end}")).await, ["often", "plain"]);
    assert!(case.titles(&format!("id:{}", &id.as_str()[..12])).await.is_empty(), "the start is no end");
    let mut save = case.decision(&id, "resolved").await;
    save.status = Status::Resolved;
    save.resolved_at = Some(case.now());
    save.assignee = Some("jo".to_owned());
    case.store.save_ticket(save).await.unwrap();
    assert_eq!(case.titles("is:open").await, ["often", "plain"]);
    assert_eq!(case.titles("is:resolved assigned:j*").await, ["loud"]);
}

async fn texts(case: &Case) {
    case.one(EventBuilder::new(1, "x").title("PaymentError: no route to host")).await;
    let deep = EventBuilder::new(2, "y").title("Timeout").with(|event| {
        event.culprit = "jobs.mail_queue in drain".to_owned();
        event.exception[0].value = Some("the würzburg gateway did not answer".to_owned());
    });
    case.one(deep).await;
    for (search, expected) in [
        ("route", vec!["PaymentError: no route to host"]),
        ("ROUTE", vec!["PaymentError: no route to host"]),
        ("\"no route\"", vec!["PaymentError: no route to host"]),
        ("\"route no\"", vec![]),
        ("payment", vec!["PaymentError: no route to host"]),
        ("paymenterr", vec!["PaymentError: no route to host"]),
        ("gateway", vec!["Timeout"]),
        ("Würzburg", vec!["Timeout"]),
        ("mail", vec!["Timeout"]),
        ("drain timeout", vec!["Timeout"]),
        ("-timeout", vec!["PaymentError: no route to host"]),
        ("-gateway", vec!["PaymentError: no route to host"]),
        ("-paymenterr", vec!["Timeout"]),
        ("-\"no route\"", vec!["Timeout"]),
        ("-absent", vec!["Timeout", "PaymentError: no route to host"]),
        ("absent", vec![]),
    ] {
        assert_eq!(case.titles(search).await, expected, "{search}");
    }
    // The words of a later title are found from the next hour on.
    case.clock.advance(HOUR);
    case.one(EventBuilder::new(3, "x").title("Entirely different").at(case.now())).await;
    assert_eq!(case.titles("different").await, ["Entirely different"]);
}

/// A word that thousands of tickets have, in nothing but their messages, is still that word, and no project loses its
/// own among those of another.
async fn words_are_found_in_a_crowd(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let (crowd, small) = (Case::new(store, clock, "crowd").await, Case::new(store, clock, "small").await);
    let flapping = |number: u64, name: &str| {
        EventBuilder::new(number, name).title(name).with(|event| {
            event.exception[0].value = Some("a flapping socket".to_owned());
        })
    };
    small.send([flapping(1, "one"), EventBuilder::new(2, "two").title("two")]).await;
    for hundred in 0..21_u64 {
        let numbers = hundred * 500..hundred * 500 + 500;
        let events = numbers.map(|number| {
            let priority = Priority::ALL[usize::try_from(number % 5).unwrap()];
            flapping(number + 10, &format!("n{number}")).priority(priority)
        });
        crowd.send(events.collect::<Vec<_>>()).await;
    }
    crowd.one(EventBuilder::new(9, "calm").title("calm")).await;
    for (case, search, expected) in [
        (&small, "flapping", vec!["one"]),
        (&small, "-flapping", vec!["two"]),
        (&small, "flapp", vec!["one"]),
        (&crowd, "-flapping", vec!["calm"]),
        (&crowd, "-flapp", vec!["calm"]),
        (&crowd, "-\"flapping socket\"", vec!["calm"]),
    ] {
        // A page may look at a part only, and name the next.
        assert_eq!(walk(case, case.query(search)).await, expected, "{search}");
    }
    for search in ["flapping", "flapp", "flapping -calm", "\"flapping socket\""] {
        let page = crowd.list(search).await;
        assert_eq!((page.items.len(), page.next_cursor.is_some()), (50, true), "{search}");
        assert!(page.total.is_none_or(|total| total > 10_000), "{search}: {:?}", page.total);
    }
}

/// What the number of a ticket says about it in [`conditions_together`].
struct Made {
    number: u64,
}

impl Made {
    const MANY: u64 = 4_500;

    fn environment(&self) -> &'static str {
        if self.number.is_multiple_of(2) { "production" } else { "staging" }
    }

    fn release(&self) -> &'static str {
        if self.number.is_multiple_of(3) { "web@1" } else { "web@2" }
    }

    /// A value that only a few tickets have.
    fn shard(&self) -> u64 {
        self.number % 500
    }

    fn is_fatal(&self) -> bool {
        self.number.is_multiple_of(7)
    }

    fn priority(&self) -> Priority {
        Priority::ALL[usize::try_from(self.number % 5).unwrap()]
    }

    /// Scattered: not the order in which the tickets came.
    fn minutes_ago(&self) -> i64 {
        i64::try_from(self.number * 1_009 % Self::MANY).unwrap()
    }

    fn event(&self) -> EventBuilder {
        let (shard, fatal) = (self.shard(), self.is_fatal());
        EventBuilder::new(self.number + 1, &format!("t{}", self.number))
            .environment(self.environment())
            .release(self.release())
            .tag("shard", &format!("s{shard}"))
            .priority(self.priority())
            .at(NOW.plus(-self.minutes_ago() * MINUTE))
            .with(|event| {
                event.level = if fatal { Level::Fatal } else { Level::Error };
                event.exception[0].value = Some(format!("the gateway of shard{shard} did not answer"));
            })
    }
}

/// Values that thousands of tickets have, alone, together and negated, beside rare ones and words, in every order: the
/// pages hold exactly what fits, in order, and a number that is told is right.
async fn conditions_together(case: &Case) {
    let all: Vec<Made> = (0..Made::MANY).map(|number| Made { number }).collect();
    for some in all.chunks(500) {
        case.send(some.iter().map(Made::event)).await;
    }
    type Fits = fn(&Made) -> bool;
    let cases: [(&str, Fits); 19] = [
        ("environment:production", |t| t.environment() == "production"),
        ("!environment:production", |t| t.environment() == "staging"),
        ("environment:production release:web@2", |t| {
            t.environment() == "production" && t.release() == "web@2"
        }),
        ("environment:staging !release:web@2", |t| t.environment() == "staging" && t.release() == "web@1"),
        ("!environment:staging !release:web@1", |t| {
            t.environment() == "production" && t.release() == "web@2"
        }),
        ("environment:prod* release:web@2", |t| t.environment() == "production" && t.release() == "web@2"),
        ("priority:<=P1 level:fatal", |t| t.priority() <= Priority::P1 && t.is_fatal()),
        ("level:fatal environment:staging", |t| t.is_fatal() && t.environment() == "staging"),
        ("!level:fatal priority:P3", |t| !t.is_fatal() && t.priority() == Priority::P3),
        ("level:fatal,error priority:P4 release:web@1", |t| {
            t.priority() == Priority::P4 && t.release() == "web@1"
        }),
        ("shard:s7", |t| t.shard() == 7),
        ("shard:s7 environment:production", |t| t.shard() == 7 && t.environment() == "production"),
        ("shard:s7 !release:web@2", |t| t.shard() == 7 && t.release() == "web@1"),
        ("environment:production environment:staging", |_| false),
        ("is:unassigned is:open environment:staging level:fatal release:web@2", |t| {
            t.environment() == "staging" && t.is_fatal() && t.release() == "web@2"
        }),
        ("gateway level:fatal", Made::is_fatal),
        ("gateway shard7", |t| t.shard() == 7),
        ("!shard7 level:fatal", |t| t.shard() != 7 && t.is_fatal()),
        ("gateway !answer", |_| false),
    ];
    for (search, fits) in cases {
        let mut expected: Vec<&Made> = all.iter().filter(|made| fits(made)).collect();
        expected.sort_by_key(|made| made.minutes_ago());
        for sort in [Sort::LastSeen, Sort::FirstSeen, Sort::Priority] {
            if sort == Sort::Priority {
                expected.sort_by_key(|made| made.priority());
            }
            let wanted: Vec<String> = expected.iter().map(|made| format!("t{}", made.number)).collect();
            let query = TicketQuery { sort, limit: 200, ..case.query(search) };
            let total = case.store.tickets(query.clone()).await.unwrap().total;
            assert!(total.is_none_or(|total| total == wanted.len() as u64), "{search}: {total:?}");
            assert_eq!(walk(case, query).await, wanted, "{sort:?} {search}");
        }
        let counted = TicketQuery { sort: Sort::Count, limit: 200, ..case.query(search) };
        assert_eq!(walk(case, counted).await.len(), expected.len(), "{search}");
    }
}

/// A ticket is found by what it got after it was new: another level or environment, somebody who works on it, what was
/// merged into it; and no longer by what it lost.
async fn what_comes_later_is_found(case: &Case) {
    let many = (100..2_400_u64).map(|number| {
        EventBuilder::new(number, &format!("many{number}")).environment("production").at(NOW.plus(-DAY))
    });
    case.send(many.collect::<Vec<_>>()).await;
    let quiet = |number: u64, name: &str| EventBuilder::new(number, name).environment("test");
    let first = id_of(&case.one(quiet(1, "first")).await);
    let other = id_of(&case.one(quiet(2, "other").release("web@9")).await);
    let found = async |search: &str| {
        let query = TicketQuery { limit: 200, ..case.query(search) };
        let first_page = case.store.tickets(query).await.unwrap();
        titles(&first_page).into_iter().filter(|title| !title.starts_with("many")).collect::<Vec<_>>()
    };
    assert!(found("environment:production").await.is_empty());
    case.one(EventBuilder::new(3, "first").environment("production").at(NOW.plus(MINUTE)).with(|event| {
        event.level = Level::Fatal;
        event.platform = Some("node".to_owned());
    }))
    .await;
    for (search, expected) in [
        ("environment:production", vec!["first"]),
        ("environment:test", vec!["first", "other"]),
        ("level:fatal", vec!["first"]),
        ("platform:node", vec!["first"]),
        ("!level:fatal environment:test", vec!["other"]),
        ("is:assigned", vec![]),
    ] {
        assert_eq!(found(search).await, expected, "{search}");
    }
    let mut save = case.decision(&first, "assigned").await;
    save.assignee = Some("jo".to_owned());
    case.store.save_ticket(save).await.unwrap();
    assert_eq!(found("is:assigned").await, ["first"]);
    assert_eq!(found("assigned:jo environment:production").await, ["first"]);
    case.one(EventBuilder::new(4, "first").at(NOW.plus(2 * MINUTE))).await;
    assert!(found("level:fatal").await.is_empty(), "its latest event is an error");
    assert_eq!(found("environment:production is:assigned").await, ["first"], "it had such events");
    case.store.merge_tickets(&other, None, std::slice::from_ref(&first), case.entry("merged")).await.unwrap();
    for search in ["environment:production", "environment:production release:web@9"] {
        assert_eq!(case.titles(&format!("{search} environment:test")).await, ["first"], "{search}");
    }
}

async fn hostile_values_are_only_values(case: &Case) {
    let words = ["'; drop table tickets; --", "100%_\\", "\" OR 1", "[a-z]*?", "NEAR(a b)", "title : x"];
    for (number, word) in (1..).zip(words) {
        let event = EventBuilder::new(number, &format!("h{number}")).title(word).tag("k", word).release(word);
        case.one(event).await;
    }
    for word in words {
        let quoted = word.replace('\\', "\\\\").replace('"', "\\\"").replace('*', "\\*");
        for search in [format!("k:\"{quoted}\""), format!("release:\"{quoted}\"")] {
            assert_eq!(case.titles(&search).await, [word], "{search}");
        }
        for search in [format!("\"{quoted}\""), format!("-\"{quoted}\""), format!("k:\"{quoted}*\"")] {
            // Whatever it finds, it is a question, not a statement.
            case.list(&search).await;
        }
    }
    assert_eq!(case.titles("k:\"100%*\"").await, ["100%_\\"]);
    assert_eq!(case.list("").await.items.len(), words.len());
}

async fn projects_are_apart(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let (one, two) = (Case::new(store, clock, "one").await, Case::new(store, clock, "two").await);
    one.one(EventBuilder::new(1, "same").tag("apart", "yes")).await;
    two.one(EventBuilder::new(1, "same").tag("apart", "yes")).await;
    for case in [&one, &two] {
        for sort in [Sort::LastSeen, Sort::FirstSeen, Sort::Count, Sort::Priority] {
            let page = case.store.tickets(TicketQuery { sort, ..case.query("") }).await.unwrap();
            assert_eq!((page.items.len(), page.total), (1, Some(1)), "{sort:?}");
            assert_eq!(page.items[0].project, case.project);
        }
    }
    let all = TicketQuery { project: None, ..one.query("apart:yes") };
    assert_eq!(store.tickets(all.clone()).await.unwrap().items.len(), 2);
    let named = TicketQuery { project: None, ..one.query("apart:yes project:two") };
    assert_eq!(store.tickets(named).await.unwrap().items[0].project, two.project);
    let neither = TicketQuery { project: Some(ProjectId(999_999)), ..all };
    assert!(store.tickets(neither).await.unwrap().items.is_empty());
}
