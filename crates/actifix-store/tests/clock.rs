//! A clock that leaps deletes nothing: the use cases of the App on a real database.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use actifix_app::App;
use actifix_app::error::Error;
use actifix_app::ports::{AuditQuery, Clock, RetentionReport, Store, UpkeepKind};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::clock::{AHEAD_MAX, BEHIND_MAX};
use actifix_domain::id::ProjectId;
use actifix_domain::time::{DAY, HOUR, Timestamp};
use actifix_store::StoreOptions;
use actifix_testkit::{
    EventBuilder, FakeClock, NOW, OpenVault, OrderedIds, act, finding, settings, submission,
};
use std::sync::Arc;
use tempfile::TempDir;

struct Bench {
    /// None while no process has the home.
    opened: Option<(Arc<App>, Arc<dyn Store>)>,
    clock: Arc<FakeClock>,
    dir: TempDir,
    project: ProjectId,
}

impl Bench {
    async fn new() -> Self {
        let (dir, clock) = (TempDir::new().unwrap(), Arc::new(FakeClock::at(NOW)));
        let (app, store) = Self::open(&dir, &clock).await;
        let project = store.create_project(None, "shop", None, NOW, &act()).await.unwrap().id;
        let event = EventBuilder::new(1, "a").finding(finding("aws", 1, "/a")).at(NOW);
        store.ingest(submission(project, NOW, [event])).await.unwrap();
        Self { opened: Some((app, store)), clock, dir, project }
    }

    async fn open(dir: &TempDir, clock: &Arc<FakeClock>) -> (Arc<App>, Arc<dyn Store>) {
        let options = StoreOptions::new(dir.path().join("data"), clock.clone(), [7; 32]);
        let store = actifix_store::open(options).await.unwrap();
        let app = App::new(
            Arc::clone(&store),
            clock.clone(),
            Arc::new(OrderedIds::default()),
            Arc::new(OpenVault),
            settings(),
        );
        app.observe_clock().await.unwrap();
        (app, store)
    }

    fn app(&self) -> &App {
        &self.opened.as_ref().expect("a process").0
    }

    fn store(&self) -> &Arc<dyn Store> {
        &self.opened.as_ref().expect("a process").1
    }

    /// The process ends.
    async fn end(&mut self) {
        let (app, store) = self.opened.take().expect("a process");
        drop(app);
        store.close().await.unwrap();
    }

    /// The process ends, and the next one finds what is durable.
    async fn restart(&mut self) {
        self.end().await;
        self.opened = Some(Self::open(&self.dir, &self.clock).await);
    }

    async fn run(&self) -> Result<RetentionReport, Error> {
        self.app().run_retention(&Actor::System, false).await
    }

    #[track_caller]
    fn refused(result: Result<RetentionReport, Error>, words: &str) {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Conflict { stale: false, .. }), "{error:?}");
        let said = error.to_string();
        assert!(said.contains(words) && said.contains("--accept-clock"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_years_ahead_deletes_nothing_also_after_a_restart() {
    let mut bench = Bench::new().await;
    bench.run().await.expect("nothing is wrong");
    bench.clock.set_wall(NOW.plus(3_650 * DAY));
    Bench::refused(bench.run().await, "3650 days ahead");
    // What is written meanwhile is dated by the wrong clock; it proves nothing.
    let event = EventBuilder::new(2, "b").at(bench.clock.now());
    bench.store().ingest(submission(bench.project, bench.clock.now(), [event])).await.unwrap();
    bench.restart().await;
    Bench::refused(bench.run().await, "3650 days ahead");
    let last = bench.store().runs(Some(UpkeepKind::Retention), 1).await.unwrap().pop().unwrap();
    assert!(!last.ok && last.detail["error"].as_str().unwrap().contains("nothing was deleted"), "{last:?}");
    let would = bench.app().count_retention(&Actor::System).await.unwrap();
    assert_eq!(would.findings, 1, "what would go can be looked at");
    // Set right, all goes on by itself.
    bench.clock.set_wall(NOW.plus(HOUR));
    bench.run().await.expect("the clock is right again");
    assert_eq!(bench.store().stats().await.unwrap().events, 2, "nothing was lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_that_a_right_clock_makes_are_followed_for_years() {
    let mut bench = Bench::new().await;
    for step in 0..40 {
        bench.clock.advance(AHEAD_MAX);
        if step % 7 == 0 {
            bench.restart().await;
        }
        bench.run().await.unwrap_or_else(|error| panic!("step {step}: {error}"));
    }
    bench.clock.advance(AHEAD_MAX + 1);
    Bench::refused(bench.run().await, "7 days ahead");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_went_back_is_told_and_a_person_can_accept_either() {
    let bench = Bench::new().await;
    bench.clock.set_wall(NOW.plus(-BEHIND_MAX - 1));
    Bench::refused(bench.run().await, "1 day behind");
    bench.clock.set_wall(NOW.plus(400 * DAY));
    Bench::refused(bench.run().await, "400 days ahead");
    let holder = |id: &str, scope| Actor::Token { id: id.into(), scopes: [scope].into(), project: None };
    let reader = holder("reader", Scope::TicketsRead);
    assert!(matches!(bench.app().run_retention(&reader, true).await, Err(Error::Forbidden { .. })));
    Bench::refused(bench.run().await, "400 days ahead");
    let admin = holder("ada", Scope::Admin);
    let report = bench.app().run_retention(&admin, true).await.unwrap();
    assert_eq!(report.findings, 1, "{report:?}");
    bench.run().await.expect("it is believed from now on");
    let query = AuditQuery { limit: 10, ..AuditQuery::default() };
    let log = bench.store().audit_log(query).await.unwrap();
    let accepted = |detail: &serde_json::Value| detail["clock_accepted"] == true;
    assert!(log.items.iter().any(|row| row.record.actor.contains("ada") && accepted(&row.record.detail)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_before_begins_with_the_last_thing_that_was_written() {
    let mut bench = Bench::new().await;
    let written: Timestamp = bench.clock.now();
    bench.end().await;
    let file = bench.dir.path().join("data/actifix.db");
    let db = rusqlite::Connection::open(file).unwrap();
    db.execute_batch(
        "DROP TABLE clock_mark; DELETE FROM schema_migrations WHERE number = 26; PRAGMA user_version = 23",
    )
    .unwrap();
    drop(db);
    bench.clock.set_wall(written.plus(100 * DAY));
    bench.opened = Some(Bench::open(&bench.dir, &bench.clock).await);
    Bench::refused(bench.run().await, "100 days ahead");
}
