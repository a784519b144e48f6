//! How long lists and searches take in a large store. Run it in release:
//! `cargo run --release -p actifix-store --example list_speed [TICKETS]`.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, clippy::indexing_slicing)]

use actifix_app::ports::{Clock, Sort, Store, TicketQuery};
use actifix_domain::event::Level;
use actifix_domain::id::{EventId, ProjectId};
use actifix_domain::search::Search;
use actifix_domain::throttle::ThrottleConfig;
use actifix_domain::ticket::Priority;
use actifix_domain::time::{SECOND, Timestamp};
use actifix_store::StoreOptions;
use actifix_testkit::{EventBuilder, NOW, act, submission};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

const ROUNDS: usize = 40;

struct RealClock(Instant);

impl Clock for RealClock {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn monotonic_micros(&self) -> i64 {
        i64::try_from(self.0.elapsed().as_micros()).unwrap()
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let tickets: u64 = std::env::args().nth(1).and_then(|arg| arg.parse().ok()).unwrap_or(200_000);
    let dir = std::env::current_dir().unwrap().join("target/list_speed");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    let mut options = StoreOptions::new(dir.join("data"), Arc::new(RealClock(Instant::now())), [7; 32]);
    options.throttle = ThrottleConfig { enabled: false, ..ThrottleConfig::default() };
    let store = actifix_store::open(options).await.unwrap();
    let small = store.create_project(None, "small", None, NOW, &act()).await.unwrap().id;
    let large = store.create_project(None, "large", None, NOW, &act()).await.unwrap().id;
    fill(&store, small, large, tickets).await;
    for (project, sort, search) in [
        (Some(large), Sort::LastSeen, "is:unresolved"),
        (None, Sort::LastSeen, ""),
        (Some(small), Sort::LastSeen, "is:unresolved"),
        (Some(large), Sort::Count, "is:open"),
        (Some(small), Sort::Count, ""),
        (Some(large), Sort::Priority, "is:open"),
        (Some(large), Sort::FirstSeen, "priority:<=P1"),
        (Some(large), Sort::LastSeen, "environment:production"),
        (Some(large), Sort::LastSeen, "customer:c77"),
        (Some(large), Sort::LastSeen, "customer:c77*"),
        (Some(large), Sort::LastSeen, "environment:nowhere"),
        (Some(large), Sort::LastSeen, "level:fatal"),
        (Some(large), Sort::LastSeen, "-environment:production -environment:staging"),
        (Some(large), Sort::LastSeen, "declined"),
        (Some(large), Sort::LastSeen, "kind4711"),
        (Some(large), Sort::LastSeen, "decli"),
        (Some(large), Sort::LastSeen, "absentword"),
    ] {
        measure(&store, project, sort, search).await;
    }
    store.close().await.unwrap();
    let _ = std::fs::remove_dir_all(&dir);
}

async fn measure(store: &Arc<dyn Store>, project: Option<ProjectId>, sort: Sort, search: &str) {
    let (mut cursor, mut times, mut found, mut total) = (None, Vec::new(), 0, None);
    for round in 0..ROUNDS {
        let query = TicketQuery {
            project,
            search: Search::parse(search, NOW).unwrap(),
            user_hashes: BTreeMap::new(),
            sort,
            cursor: cursor.take(),
            limit: 50,
            with_total: true,
        };
        let started = Instant::now();
        let page = store.tickets(query).await.unwrap();
        times.push(started.elapsed());
        if round == 0 {
            (found, total) = (page.items.len(), page.total);
        }
        cursor = page.next_cursor;
    }
    times.sort();
    let (median, worst) = (times[ROUNDS / 2], times[ROUNDS - 1]);
    println!("{median:>10.2?} {worst:>10.2?}  {found:>2} of {total:?}  {sort:?} {project:?} {search:?}");
}

async fn fill(store: &Arc<dyn Store>, small: ProjectId, large: ProjectId, tickets: u64) {
    let mut sent = Vec::new();
    for number in 0..tickets {
        let project = if number % 1_000 == 0 { small } else { large };
        let priority = Priority::ALL[usize::try_from(number % 5).unwrap()];
        let event = EventBuilder::new(number + 1, &format!("kind{number} of {}", number % 977))
            .with(|event| {
                let scattered = u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                event.event_id = EventId((scattered << 64 | u128::from(number)).to_be_bytes());
                event.level = if number % 20_000 == 7 { Level::Fatal } else { Level::Error };
            })
            .priority(priority)
            .at(NOW.plus(-i64::try_from(tickets - number).unwrap() * SECOND))
            .environment(if number % 3 == 0 { "production" } else { "staging" })
            .tag("customer", &format!("c{}", number % 5_000));
        sent.push((project, event));
        if sent.len() == 500 {
            for project in [small, large] {
                let events = sent.iter().filter(|(of, _)| *of == project).map(|(_, event)| event.clone());
                store.ingest(submission(project, NOW, events.collect::<Vec<_>>())).await.unwrap();
            }
            sent.clear();
        }
    }
}
