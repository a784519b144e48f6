//! What only the inside can provoke.

#![allow(clippy::disallowed_methods, reason = "tests damage files and spawn their own tasks")]

use super::{QueueLimits, SqliteStore, StoreOptions};
use crate::fault::Fault;
use actifix_app::error::{Error, Result};
use actifix_app::ports::{
    ActivityEntry, CareStore, IngestStore, ProjectStore, Recorded, ReleaseStore, TicketStore, TokenRecord,
    TokenStore,
};
use actifix_domain::access::Scope;
use actifix_domain::id::ProjectId;
use actifix_domain::outcome::Outcome;
use actifix_domain::throttle::ThrottleConfig;
use actifix_domain::time::DAY;
use actifix_testkit::{EventBuilder, FakeClock, NOW, act, submission};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use tempfile::TempDir;
use tokio::task::JoinHandle;

fn fresh(told: &Arc<AtomicBool>) -> (TempDir, SqliteStore) {
    let dir = TempDir::new().unwrap();
    let mut options = StoreOptions::new(dir.path().join("data"), Arc::new(FakeClock::at(NOW)), [7; 32]);
    let told = Arc::clone(told);
    options.on_fatal = Some(Box::new(move |_| told.store(true, Ordering::SeqCst)));
    let store = SqliteStore::open(options).unwrap();
    (dir, store)
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers_unaided() {
    let told = Arc::default();
    let (_dir, store) = fresh(&told);
    let project = store.create_project(None, "p", None, NOW, &act()).await.unwrap().id;
    let limit = |pages: Option<i64>| {
        store.write(move |work| {
            let used: i64 = work.db.query_row("PRAGMA page_count", [], |row| row.get(0))?;
            work.db.pragma_update(None, "max_page_count", pages.unwrap_or(used))?;
            Ok(())
        })
    };
    limit(None).await.unwrap();
    let many = |from: u64| {
        submission(project, NOW, (from..from + 200).map(|n| EventBuilder::new(n, "a").sample_after(0)))
    };
    let refused = store.ingest(many(1)).await;
    assert!(matches!(refused, Err(Error::Unavailable { message: "the disk is full", .. })), "{refused:?}");
    assert_eq!(store.stats().await.unwrap().events, 0, "nothing of it is there");
    limit(Some(1_000_000)).await.unwrap();
    let stored = store.ingest(many(1)).await.unwrap();
    assert!(stored.events.iter().all(|recorded| recorded.outcome == Outcome::Accepted));
    assert!(!told.load(Ordering::SeqCst), "that was not for good");
}

#[tokio::test]
async fn with_little_room_left_events_wait_and_people_do_not() {
    let dir = TempDir::new().unwrap();
    let clock = Arc::new(FakeClock::at(NOW));
    let free = Arc::new(AtomicU64::new(1 << 40));
    let told = Arc::clone(&free);
    let mut options = StoreOptions::new(dir.path().join("data"), Arc::clone(&clock) as Arc<_>, [7; 32]);
    options.free_bytes = Box::new(move |_| Ok(told.load(Ordering::SeqCst)));
    let store = SqliteStore::open(options).unwrap();
    let project = store.create_project(None, "p", None, NOW, &act()).await.unwrap().id;
    let reserve = dir.path().join("data/reserve");
    assert!(reserve.exists());
    let send = |number| store.ingest(submission(project, NOW, [EventBuilder::new(number, "a")]));
    assert_eq!(send(1).await.unwrap().events.len(), 1);
    free.store(1 << 20, Ordering::SeqCst);
    clock.advance(2_000_000);
    let refused = send(2).await;
    assert!(matches!(refused, Err(Error::Unavailable { message: "the disk is full", .. })), "{refused:?}");
    assert!(!reserve.exists(), "its room is given back");
    store.create_project(None, "q", None, NOW, &act()).await.unwrap();
    free.store(1 << 30, Ordering::SeqCst);
    clock.advance(2_000_000);
    assert_eq!(
        send(2).await.unwrap().events[0].outcome,
        Outcome::Accepted,
        "it was refused, not half stored"
    );
    assert!(reserve.exists());
}

#[tokio::test]
async fn a_panic_undoes_its_transaction_and_nothing_else() {
    let told = Arc::default();
    let (_dir, store) = fresh(&told);
    let project = store.create_project(None, "p", None, NOW, &act()).await.unwrap().id;
    let result: Result<(), Error> = store
        .write(|work| {
            work.db.execute("DELETE FROM projects", [])?;
            panic!("a defect of ours");
        })
        .await;
    assert!(matches!(result, Err(Error::Internal(_))), "{result:?}");
    assert!(store.project(project).await.unwrap().is_some());
    assert!(store.ingest(submission(project, NOW, [EventBuilder::new(1, "a")])).await.is_ok());
}

#[tokio::test]
async fn after_a_failed_write_nothing_is_acknowledged() {
    let told: Arc<AtomicBool> = Arc::default();
    let (_dir, store) = fresh(&told);
    let project = store.create_project(None, "p", None, NOW, &act()).await.unwrap().id;
    let io = || {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
        Fault::Sql(rusqlite::Error::SqliteFailure(code, None))
    };
    let failed: Result<(), Error> = store.write(move |_| Err(io())).await;
    assert!(matches!(failed, Err(Error::Unavailable { .. })), "{failed:?}");
    assert!(told.load(Ordering::SeqCst), "whoever supervises the process is told");
    let refused = store.ingest(submission(project, NOW, [EventBuilder::new(1, "a")])).await;
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
    assert!(store.ready().await.is_err());
    assert!(store.project(project).await.unwrap().is_some(), "reading goes on");
    assert!(store.close().await.is_err());
}

#[tokio::test]
async fn a_read_that_takes_too_long_is_ended() {
    let dir = TempDir::new().unwrap();
    let clock = Arc::new(FakeClock::at(NOW));
    let store =
        SqliteStore::open(StoreOptions::new(dir.path().join("data"), clock.clone(), [7; 32])).unwrap();
    let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
    let result = store
        .read(move |db| {
            clock.advance(60 * 1_000_000);
            Ok(db.query_row(endless, [], |row| row.get::<_, i64>(0))?)
        })
        .await;
    assert!(matches!(result, Err(Error::Unavailable { .. })), "{result:?}");
}

#[tokio::test]
async fn tokens_that_have_ended_make_room_for_new_ones() {
    let told = Arc::default();
    let (_dir, store) = fresh(&told);
    let token = |number: u32, from: i64| TokenRecord {
        id: format!("t{number}"),
        name: "t".to_owned(),
        hash: std::array::from_fn(|place| number.to_le_bytes()[place % 4]),
        scopes: [Scope::TicketsRead].into(),
        project: None,
        created_at: NOW.plus(from),
        expires_at: NOW.plus(from + DAY),
        replaced: false,
        last_used_at: None,
        warned_days: None,
        revoked_at: None,
    };
    store
        .write(move |work| (0..1_000).try_for_each(|number| super::tokens::add(work, &token(number, 0))))
        .await
        .unwrap();
    let full = store.add_token(&token(1_000, 0), &act()).await;
    assert!(matches!(full, Err(Error::Conflict { .. })), "{full:?}");
    // A day later all of them have ended, none was revoked: rotation goes on, night after night.
    for number in 1_000..1_020 {
        store.add_token(&token(number, DAY), &act()).await.unwrap();
    }
    assert_eq!(store.tokens().await.unwrap().len(), 1_000);
    assert!(store.tokens().await.unwrap().iter().any(|row| row.id == "t1000"), "the living stay");
}

#[tokio::test]
async fn ghsa_5x67_a_merge_keeps_the_writer_for_a_bounded_time() {
    let told = Arc::default();
    let (_dir, store) = fresh(&told);
    let project = store.create_project(None, "p", None, NOW, &act()).await.unwrap().id;
    let events = [EventBuilder::new(1, "flooded"), EventBuilder::new(2, "small")];
    let made = store.ingest(submission(project, NOW, events)).await.unwrap();
    let [flooded, small] = made.events.as_slice() else { panic!("{made:?}") };
    let id = |recorded: &Recorded| recorded.ticket_id.clone().unwrap();
    let (flooded, small) = (id(flooded), id(small));
    store
        .write(|work| {
            let sql = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 20000) \
                 INSERT INTO events (seq, project_id, ticket_seq, event_id, fingerprint, timestamp, received_at, outcome, \
                 title, release, environment, body_bytes) SELECT (SELECT max(seq) FROM events) + n.x, project_id, ticket_seq, \
                 printf('%032x', n.x + 100), fingerprint, timestamp, received_at, outcome, title, release, environment, \
                 body_bytes FROM n, events WHERE seq = (SELECT min(seq) FROM events)";
            Ok(work.db.execute(sql, [])?)
        })
        .await
        .unwrap();
    let entry = || ActivityEntry {
        at: NOW,
        actor: "user:jo".to_owned(),
        kind: "merged".to_owned(),
        data: serde_json::Value::Null,
    };
    let refused = store.merge_tickets(&small, None, std::slice::from_ref(&flooded), entry()).await;
    assert!(
        matches!(&refused, Err(Error::Conflict { message, .. }) if message.contains("20000 stored events")),
        "{refused:?}"
    );
    store.merge_tickets(&flooded, None, std::slice::from_ref(&small), entry()).await.unwrap();
}

/// A store whose writer can be held.
struct Bench {
    _dir: TempDir,
    store: Arc<SqliteStore>,
    project: ProjectId,
}

impl Bench {
    async fn new(queue: QueueLimits) -> Self {
        let dir = TempDir::new().unwrap();
        let mut options = StoreOptions::new(dir.path().join("data"), Arc::new(FakeClock::at(NOW)), [7; 32]);
        options.queue = queue;
        options.throttle = ThrottleConfig { enabled: false, ..ThrottleConfig::default() };
        let store = Arc::new(SqliteStore::open(options).unwrap());
        let project = store.create_project(None, "p", None, NOW, &act()).await.unwrap().id;
        Self { _dir: dir, store, project }
    }

    /// Keeps the writer busy until something is sent to what this returns.
    async fn hold(&self) -> mpsc::Sender<()> {
        let (release, gate) = mpsc::channel::<()>();
        let (started, held) = tokio::sync::oneshot::channel();
        let store = Arc::clone(&self.store);
        tokio::spawn(async move {
            store
                .write(move |_| {
                    started.send(()).unwrap();
                    gate.recv().unwrap();
                    Ok(())
                })
                .await
        });
        held.await.unwrap();
        release
    }

    fn send(&self, event: EventBuilder) -> JoinHandle<Result<Vec<Recorded>>> {
        let (store, project) = (Arc::clone(&self.store), self.project);
        tokio::spawn(
            async move { store.ingest(submission(project, NOW, [event])).await.map(|done| done.events) },
        )
    }

    /// Lets the tasks run until `many` submissions wait behind the one that holds the writer.
    async fn until_waiting(&self, many: usize) {
        while self.store.queue_depth() < many + 1 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_and_what_it_took_is_stored() {
    let bench = Bench::new(QueueLimits { submissions: 2, ..QueueLimits::default() }).await;
    let release = bench.hold().await;
    let taken = [bench.send(EventBuilder::new(1, "a")), bench.send(EventBuilder::new(2, "a"))];
    bench.until_waiting(2).await;
    for number in 3..=10 {
        let refused = bench.send(EventBuilder::new(number, "a")).await.unwrap();
        assert!(matches!(refused, Err(Error::Unavailable { retry_after_seconds: 1.., .. })), "{refused:?}");
    }
    release.send(()).unwrap();
    for task in taken {
        assert_eq!(task.await.unwrap().unwrap()[0].outcome, Outcome::Accepted);
    }
    assert_eq!(bench.store.stats().await.unwrap().events, 2);
    assert!(bench.send(EventBuilder::new(3, "a")).await.unwrap().is_ok(), "there is room again");
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
    let run = |sql: &'static str| {
        bench.store.write(move |work| {
            work.db.execute_batch(sql)?;
            Ok(())
        })
    };
    run("CREATE TRIGGER poison BEFORE INSERT ON events WHEN NEW.title = 'poison' \
         BEGIN SELECT RAISE(ABORT, 'poison'); END")
    .await
    .unwrap();
    let release = bench.hold().await;
    let mut sent = Vec::new();
    for number in 1..=40 {
        let title = if number == 17 { "poison" } else { "harmless" };
        sent.push(bench.send(EventBuilder::new(number, "a").title(title)));
    }
    bench.until_waiting(40).await;
    release.send(()).unwrap();
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
    run("DROP TRIGGER poison").await.unwrap();
    let again = bench.send(EventBuilder::new(17, "a").title("poison")).await.unwrap().unwrap();
    assert_eq!((again[0].outcome, again[0].count), (Outcome::Accepted, 40));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_finishes_what_was_taken() {
    let bench = Bench::new(QueueLimits::default()).await;
    let release = bench.hold().await;
    let sent: Vec<_> = (1..=30).map(|number| bench.send(EventBuilder::new(number, "a"))).collect();
    bench.until_waiting(30).await;
    let store = Arc::clone(&bench.store);
    let closing = tokio::spawn(async move { store.close().await });
    release.send(()).unwrap();
    for task in sent {
        assert_eq!(task.await.unwrap().unwrap()[0].outcome, Outcome::Accepted);
    }
    closing.await.unwrap().unwrap();
}

#[tokio::test]
async fn releases_that_strangers_named_make_room_for_others_and_those_not_heard_of_go_first() {
    let (_dir, store) = fresh(&Arc::default());
    let project = store.create_project(None, "p", None, NOW, &act()).await.unwrap().id;
    let full = || {
        store.write(move |work| {
            let most = i64::try_from(actifix_domain::release::RELEASES_MAX).unwrap();
            work.db.execute("UPDATE counters SET quantity = ?1 WHERE name = 'releases'", [most])?;
            Ok(())
        })
    };
    let mut number = 0;
    let mut hear = |release: &str, trusted: bool, at: i64| {
        number += 1;
        let event = EventBuilder::new(number, "a").release(release).at(NOW.plus(at));
        let event = if trusted { event } else { event.from_anyone(1) };
        store.ingest(submission(project, NOW, [event]))
    };
    hear("told@1", true, -3 * DAY).await.unwrap();
    // More strange ones than go at once; the first of them is heard of again.
    for number in 0..102 {
        hear(&format!("strange@{number}"), false, -2 * DAY + number).await.unwrap();
    }
    hear("strange@0", false, -DAY).await.unwrap();
    full().await.unwrap();
    hear("told@2", true, 0).await.unwrap();
    let is_there = async |release: &str| store.release_detail(project, release).await.unwrap().is_some();
    for (release, there) in
        [("told@1", true), ("told@2", true), ("strange@0", true), ("strange@101", true), ("strange@1", false)]
    {
        assert_eq!(is_there(release).await, there, "{release}");
    }
    // Where none is left, trusted ones stay.
    store
        .write(move |work| {
            work.db.execute("UPDATE releases SET trusted = 1", [])?;
            Ok(())
        })
        .await
        .unwrap();
    full().await.unwrap();
    hear("told@3", true, 0).await.unwrap();
    assert!(!is_there("told@3").await && is_there("told@1").await);
}
