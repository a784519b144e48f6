//! How long lists and searches take in a large store. Run it in release:
//! `cargo run --release -p actifix-store --example list_speed [TICKETS | DATA_DIR]`. A directory holds a database that
//! `fill` filled; of it also the time to open it is told, which a newer schema makes long.

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
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    let argument = std::env::args().nth(1).unwrap_or_else(|| "200000".to_owned());
    let Ok(tickets) = argument.parse() else { return of_filled(argument.into()).await };
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

/// The questions of `cargo xtask bench list`, and some harder ones.
async fn of_filled(dir: PathBuf) {
    let mut options = StoreOptions::new(dir, Arc::new(RealClock(Instant::now())), [7; 32]);
    options.throttle = ThrottleConfig { enabled: false, ..ThrottleConfig::default() };
    let started = Instant::now();
    let store = actifix_store::open(options).await.unwrap();
    println!("opened in {:.1?}", started.elapsed());
    let id = store.tickets(query(None, Sort::LastSeen, "", 1)).await.unwrap().items[0].id.to_string();
    let tail = format!("id:{}", &id[13..]);
    println!("{:>9} {:>9} {:>9} {:>9}  CPU time and time of a question, median and slowest", "", "", "", "");
    for (sort, search) in [
        (Sort::LastSeen, ""),
        (Sort::Count, ""),
        (Sort::Priority, "is:unresolved"),
        (Sort::LastSeen, "is:open priority:P2"),
        (Sort::LastSeen, "is:resolved"),
        (Sort::LastSeen, "priority:<=P1 level:fatal"),
        (Sort::LastSeen, "worker:7"),
        (Sort::LastSeen, "shard:s170"),
        (Sort::LastSeen, "release:shop@2.3.0 environment:staging"),
        (Sort::LastSeen, "release:shop@2.3.* environment:stag*"),
        (Sort::LastSeen, "level:fatal environment:staging release:shop@2.3.0 worker:0"),
        (Sort::LastSeen, "is:open !environment:production"),
        (Sort::LastSeen, "!worker:7 !release:shop@2.3.0 level:fatal"),
        (Sort::LastSeen, "is:regressed"),
        (Sort::LastSeen, "is:unresolved first_seen:-24h"),
        (Sort::LastSeen, "users:>500"),
        (Sort::LastSeen, "w1310"),
        (Sort::LastSeen, "declined"),
        (Sort::LastSeen, "failed w1310"),
        (Sort::LastSeen, "-declined"),
        (Sort::LastSeen, "basbasbas"),
        (Sort::LastSeen, "basketorder"),
        (Sort::LastSeen, "declined environment:staging level:fatal"),
        (Sort::LastSeen, "decli"),
        (Sort::LastSeen, "absentword"),
        (Sort::LastSeen, tail.as_str()),
    ] {
        let (mut times, mut used, mut page) = (Vec::new(), Vec::new(), None);
        for _ in 0..ROUNDS {
            let asked = query(None, sort, search, 50);
            let (before, started) = (cpu_nanos(), Instant::now());
            page = Some(store.tickets(asked).await.unwrap());
            times.push(started.elapsed());
            used.push(Duration::from_nanos(cpu_nanos() - before));
        }
        times.sort();
        used.sort();
        let page = page.unwrap();
        println!(
            "{:>9.2?} {:>9.2?} {:>9.2?} {:>9.2?}  {:>2} of {:?}{}  {sort:?} {search:?}",
            used[ROUNDS / 2],
            used[ROUNDS - 1],
            times[ROUNDS / 2],
            times[ROUNDS - 1],
            page.items.len(),
            page.total,
            if page.next_cursor.is_some() { ", more" } else { "" },
        );
    }
    store.close().await.unwrap();
}

fn query(project: Option<ProjectId>, sort: Sort, search: &str, limit: u32) -> TicketQuery {
    TicketQuery {
        project,
        search: Search::parse(search, NOW).unwrap(),
        user_hashes: BTreeMap::new(),
        sort,
        cursor: None,
        limit,
        with_total: true,
    }
}

/// What all threads of this process used, where the kernel tells: other load of the machine does not count.
fn cpu_nanos() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

async fn measure(store: &Arc<dyn Store>, project: Option<ProjectId>, sort: Sort, search: &str) {
    let (mut cursor, mut times, mut found, mut total) = (None, Vec::new(), 0, None);
    for round in 0..ROUNDS {
        let query = TicketQuery { cursor: cursor.take(), ..query(project, sort, search, 50) };
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
