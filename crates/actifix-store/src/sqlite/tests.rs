//! What only the inside can provoke.

use super::{SqliteStore, StoreOptions};
use crate::fault::Fault;
use actifix_app::error::Error;
use actifix_app::ports::{CareStore, IngestStore, ProjectStore};
use actifix_domain::outcome::Outcome;
use actifix_testkit::{EventBuilder, FakeClock, NOW, submission};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

fn fresh(told: &Arc<AtomicBool>) -> (TempDir, SqliteStore) {
    let dir = TempDir::new().unwrap();
    let mut options = StoreOptions::new(dir.path().join("data"), Arc::new(FakeClock::at(NOW)));
    let told = Arc::clone(told);
    options.on_fatal = Some(Box::new(move |_| told.store(true, Ordering::SeqCst)));
    let store = SqliteStore::open(options).unwrap();
    (dir, store)
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers_unaided() {
    let told = Arc::default();
    let (_dir, store) = fresh(&told);
    let project = store.create_project(None, "p", NOW).await.unwrap().id;
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
    assert!(stored.iter().all(|recorded| recorded.outcome == Outcome::Accepted));
    assert!(!told.load(Ordering::SeqCst), "that was not for good");
}

#[tokio::test]
async fn a_panic_undoes_its_transaction_and_nothing_else() {
    let told = Arc::default();
    let (_dir, store) = fresh(&told);
    let project = store.create_project(None, "p", NOW).await.unwrap().id;
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
    let project = store.create_project(None, "p", NOW).await.unwrap().id;
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
    let store = SqliteStore::open(StoreOptions::new(dir.path().join("data"), clock.clone())).unwrap();
    let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
    let result = store
        .read(move |db| {
            clock.advance(60 * 1_000_000);
            Ok(db.query_row(endless, [], |row| row.get::<_, i64>(0))?)
        })
        .await;
    assert!(matches!(result, Err(Error::Unavailable { .. })), "{result:?}");
}
