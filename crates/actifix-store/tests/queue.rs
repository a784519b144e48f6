//! The write queue under pressure: bounded, isolated, never answered before it is durable.

#![allow(clippy::unwrap_used)]

use actifix_app::error::{Error, Result};
use actifix_app::ports::{Recorded, Store};
use actifix_domain::id::ProjectId;
use actifix_domain::outcome::Outcome;
use actifix_domain::throttle::ThrottleConfig;
use actifix_store::{QueueLimits, StoreOptions};
use actifix_testkit::{EventBuilder, FakeClock, NOW, submission};
use rusqlite::Connection;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::task::JoinHandle;

struct Bench {
    dir: TempDir,
    store: Arc<dyn Store>,
    project: ProjectId,
}

impl Bench {
    async fn new(queue: QueueLimits) -> Self {
        let dir = TempDir::new().unwrap();
        let mut options = StoreOptions::new(dir.path().join("data"), Arc::new(FakeClock::at(NOW)));
        options.queue = queue;
        options.throttle = ThrottleConfig { enabled: false, ..ThrottleConfig::default() };
        let store = actifix_store::open(options).await.unwrap();
        let project = store.create_project(None, "p", NOW).await.unwrap().id;
        Self { dir, store, project }
    }

    /// A connection of another process, as it were.
    fn intruder(&self) -> Connection {
        Connection::open(self.dir.path().join("data/actifix.db")).unwrap()
    }

    fn send(&self, event: EventBuilder) -> JoinHandle<Result<Vec<Recorded>>> {
        let (store, project) = (Arc::clone(&self.store), self.project);
        tokio::spawn(async move { store.ingest(submission(project, NOW, [event])).await })
    }

    /// Lets the tasks run until `many` submissions wait.
    async fn until_waiting(&self, many: usize) {
        while self.store.queue_depth() < many {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_and_what_it_took_is_stored() {
    let bench = Bench::new(QueueLimits { submissions: 2, ..QueueLimits::default() }).await;
    let intruder = bench.intruder();
    intruder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (mut taken, mut refused) = (Vec::new(), 0);
    for number in 1..=20 {
        let sent = bench.send(EventBuilder::new(number, "a"));
        if bench.store.queue_depth() < 3 {
            taken.push(sent);
            bench.until_waiting(taken.len().min(2)).await;
            continue;
        }
        match sent.await.unwrap() {
            Err(Error::Unavailable { retry_after_seconds, .. }) => {
                assert!(retry_after_seconds > 0);
                refused += 1;
            }
            other => assert!(other.is_err(), "{other:?}"),
        }
    }
    assert!(refused > 0);
    intruder.execute_batch("ROLLBACK").unwrap();
    let mut stored = 0;
    for task in taken {
        match task.await.unwrap() {
            Ok(recorded) => stored += recorded.len(),
            Err(Error::Unavailable { .. }) => {}
            Err(other) => assert!(other.to_string().is_empty(), "{other}"),
        }
    }
    assert_eq!(bench.store.stats().await.unwrap().events, u64::try_from(stored).unwrap());
    assert!(stored >= 2);
    assert_eq!(bench.store.queue_depth(), 0);
}

#[tokio::test]
async fn bytes_are_bounded_too() {
    let bench = Bench::new(QueueLimits { bytes: 100_000, ..QueueLimits::default() }).await;
    let noise: String =
        (0..200_000_u64).map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    let large = EventBuilder::new(1, "a").with(|event| {
        event.extra.insert("noise".to_owned(), noise.into());
    });
    let refused = bench.send(large).await.unwrap();
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
    assert!(bench.send(EventBuilder::new(2, "a")).await.unwrap().is_ok(), "the bytes were given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poison_event_fails_alone() {
    let bench = Bench::new(QueueLimits::default()).await;
    let intruder = bench.intruder();
    intruder
        .execute_batch(
            "CREATE TRIGGER poison BEFORE INSERT ON events WHEN NEW.title = 'poison' \
             BEGIN SELECT RAISE(ABORT, 'poison'); END; BEGIN IMMEDIATE",
        )
        .unwrap();
    let mut sent = Vec::new();
    for number in 1..=40 {
        let title = if number == 17 { "poison" } else { "harmless" };
        sent.push(bench.send(EventBuilder::new(number, "a").title(title)));
    }
    bench.until_waiting(40).await;
    intruder.execute_batch("ROLLBACK; ").unwrap();
    let mut failed = Vec::new();
    for (number, task) in (1..).zip(sent) {
        match task.await.unwrap() {
            Ok(recorded) => assert_eq!(recorded[0].outcome, Outcome::Accepted),
            Err(error) => failed.push((number, error)),
        }
    }
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(matches!(failed[0], (17, Error::Internal(_))), "{failed:?}");
    assert_eq!(bench.store.stats().await.unwrap().events, 39);
    // Its id was not remembered: once the cause is gone it is taken.
    bench.intruder().execute_batch("DROP TRIGGER poison").unwrap();
    let again = bench.send(EventBuilder::new(17, "a").title("poison")).await.unwrap().unwrap();
    assert_eq!((again[0].outcome, again[0].count), (Outcome::Accepted, 40));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_finishes_what_was_taken() {
    let bench = Bench::new(QueueLimits::default()).await;
    let intruder = bench.intruder();
    intruder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let sent: Vec<_> = (1..=30).map(|number| bench.send(EventBuilder::new(number, "a"))).collect();
    bench.until_waiting(30).await;
    let store = Arc::clone(&bench.store);
    let closing = tokio::spawn(async move { store.close().await });
    intruder.execute_batch("ROLLBACK").unwrap();
    for task in sent {
        assert_eq!(task.await.unwrap().unwrap()[0].outcome, Outcome::Accepted);
    }
    closing.await.unwrap().unwrap();
}
