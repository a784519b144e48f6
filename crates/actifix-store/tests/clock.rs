//! A clock that leaps deletes nothing: the use cases of the App on a real database.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use actifix_app::App;
use actifix_app::app::AppSettings;
use actifix_app::error::Error;
use actifix_app::ports::{
    AuditQuery, BackupFile, BackupShelf, BackupVerdict, Clock, RetentionReport, SnapshotFacts, SnapshotSink,
    Store, UpkeepKind,
};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::clock::{AHEAD_MAX, BEHIND_MAX};
use actifix_domain::id::ProjectId;
use actifix_domain::time::{DAY, HOUR, Timestamp};
use actifix_store::StoreOptions;
use actifix_testkit::{
    EventBuilder, FakeClock, NOW, OpenVault, OrderedIds, act, finding, settings, submission,
};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// Backups as names and sizes; each is whole unless it is said that none is.
#[derive(Default)]
struct Shelf {
    files: Mutex<Vec<BackupFile>>,
    /// Made since the beginning, so that names never meet.
    made: Mutex<u64>,
    is_broken: Mutex<bool>,
}

impl Shelf {
    fn names(&self) -> BTreeSet<String> {
        self.files.lock().unwrap().iter().map(|file| file.name.clone()).collect()
    }
}

/// A place for one backup on a shelf.
struct Draft(Arc<Shelf>, Timestamp);

impl SnapshotSink for Draft {
    fn begin(&mut self, _facts: &SnapshotFacts) -> std::io::Result<()> {
        Ok(())
    }
    fn page(&mut self, _page: &[u8]) -> std::io::Result<()> {
        Ok(())
    }
    fn finish(self: Box<Self>) -> std::io::Result<BackupFile> {
        let mut made = self.0.made.lock().unwrap();
        *made += 1;
        let file = BackupFile { name: format!("{:04}", *made), size: 1, created_at: self.1 };
        self.0.files.lock().unwrap().push(file.clone());
        Ok(file)
    }
}

/// The same shelf for every process.
struct Kept(Arc<Shelf>);

impl BackupShelf for Kept {
    fn recipients(&self) -> Vec<String> {
        Vec::new()
    }
    fn begin(&self, at: Timestamp, _recipients: &[String]) -> Result<Box<dyn SnapshotSink>, Error> {
        Ok(Box::new(Draft(Arc::clone(&self.0), at)))
    }
    fn list(&self) -> Result<Vec<BackupFile>, Error> {
        let mut files = self.0.files.lock().unwrap().clone();
        files.sort_by(|a, b| (b.created_at, &b.name).cmp(&(a.created_at, &a.name)));
        Ok(files)
    }
    fn verify(&self, name: &str) -> Result<BackupVerdict, Error> {
        let intact = !*self.0.is_broken.lock().unwrap();
        let faults = if intact { Vec::new() } else { vec!["damaged".to_owned()] };
        Ok(BackupVerdict { name: name.to_owned(), intact, faults, ..BackupVerdict::default() })
    }
    fn remove(&self, name: &str) -> Result<(), Error> {
        let mut files = self.0.files.lock().unwrap();
        let place = files.iter().position(|file| file.name == name).expect("what is removed is there");
        files.remove(place);
        Ok(())
    }
    fn tidy(&self) -> Result<(), Error> {
        Ok(())
    }
}

struct Bench {
    /// None while no process has the home.
    opened: Option<(Arc<App>, Arc<dyn Store>)>,
    clock: Arc<FakeClock>,
    dir: TempDir,
    shelf: Arc<Shelf>,
    project: ProjectId,
}

impl Bench {
    async fn new() -> Self {
        let (dir, clock) = (TempDir::new().unwrap(), Arc::new(FakeClock::at(NOW)));
        let shelf = Arc::new(Shelf::default());
        let (app, store) = Self::open(&dir, &clock, &shelf).await;
        let project = store.create_project(None, "shop", None, NOW, &act()).await.unwrap().id;
        let event = EventBuilder::new(1, "a").finding(finding("aws", 1, "/a")).at(NOW);
        store.ingest(submission(project, NOW, [event])).await.unwrap();
        Self { opened: Some((app, store)), clock, dir, shelf, project }
    }

    async fn open(dir: &TempDir, clock: &Arc<FakeClock>, shelf: &Arc<Shelf>) -> (Arc<App>, Arc<dyn Store>) {
        let options = StoreOptions::new(dir.path().join("data"), clock.clone(), [7; 32]);
        let store = actifix_store::open(options).await.unwrap();
        let app = App::new(
            Arc::clone(&store),
            clock.clone(),
            Arc::new(OrderedIds::default()),
            Arc::new(OpenVault),
            AppSettings { backup_every_hours: Some(24), ..settings() },
        );
        app.keep_backups_on(Arc::new(Kept(Arc::clone(shelf))));
        app.observe_clock().await.unwrap();
        (app, store)
    }

    fn app(&self) -> &Arc<App> {
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
        self.opened = Some(Self::open(&self.dir, &self.clock, &self.shelf).await);
    }

    async fn run(&self) -> Result<RetentionReport, Error> {
        self.app().run_retention(&Actor::System, false).await
    }

    /// Lets days go by, on each of which a backup is due.
    async fn backups_of(&self, days: usize) {
        for _ in 0..days {
            self.clock.advance(DAY);
            self.app().tend_backups().await.unwrap();
        }
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
    bench.opened = Some(Bench::open(&bench.dir, &bench.clock, &bench.shelf).await);
    Bench::refused(bench.run().await, "100 days ahead");
}

fn names(range: std::ops::RangeInclusive<u64>) -> BTreeSet<String> {
    range.map(|number| format!("{number:04}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_stay_few_while_the_clock_is_not_believed_and_those_of_before_stay() {
    let mut bench = Bench::new().await;
    bench.backups_of(4).await;
    let before = names(1..=4);
    assert_eq!(bench.shelf.names(), before);

    bench.clock.set_wall(NOW.plus(3_650 * DAY));
    bench.backups_of(30).await;
    bench.restart().await;
    bench.backups_of(10).await;
    // Of the 40 the first one, which is nearest to what was believed, and the last six.
    let ahead: BTreeSet<String> = &names(5..=5) | &names(39..=44);
    assert_eq!(bench.shelf.names(), &before | &ahead);
    let log = bench.store().audit_log(AuditQuery { limit: 200, ..AuditQuery::default() }).await.unwrap();
    let why = |detail: &serde_json::Value| detail["why"] == "too many under a clock that is not believed";
    assert_eq!(log.items.iter().filter(|row| why(&row.record.detail)).count(), 33);

    // Then it goes back by years: what is made now is dated before everything, and is no older for that.
    bench.clock.set_wall(NOW.plus(-700 * DAY));
    bench.backups_of(20).await;
    let behind: BTreeSet<String> = &names(5..=5) | &names(59..=64);
    assert_eq!(bench.shelf.names(), &before | &behind);

    // None that can be restored is made any more: the last good ones stay.
    *bench.shelf.is_broken.lock().unwrap() = true;
    bench.backups_of(20).await;
    let broken: BTreeSet<String> = &(&names(5..=5) | &names(62..=64)) | &names(82..=84);
    assert_eq!(bench.shelf.names(), &before | &broken);

    // Set right, the plan goes on, and finds all that it would have kept.
    *bench.shelf.is_broken.lock().unwrap() = false;
    bench.clock.set_wall(NOW.plus(5 * DAY));
    bench.backups_of(1).await;
    let left = bench.shelf.names();
    assert!(before.is_subset(&left) && left.contains("0085"), "{left:?}");
    bench.backups_of(60).await;
    let left = bench.shelf.names();
    assert!(left.len() <= 7 + 4 + 7 && left.contains("0145"), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_that_cannot_be_restored_do_not_fill_the_disk() {
    let bench = Bench::new().await;
    bench.backups_of(3).await;
    *bench.shelf.is_broken.lock().unwrap() = true;
    bench.backups_of(30).await;
    assert_eq!(
        bench.shelf.names(),
        &names(1..=3) | &names(27..=33),
        "the whole ones, and the last of the others"
    );
}
