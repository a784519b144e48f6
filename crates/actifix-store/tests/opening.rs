//! Files, locks, schema: what an operator meets when a store is opened.

#![allow(clippy::disallowed_methods, reason = "tests damage files on purpose")]
#![allow(clippy::unwrap_used, clippy::panic)]

use actifix_app::ports::Store;
use actifix_domain::outcome::Outcome;
use actifix_domain::ticket::Priority;
use actifix_store::{OpenError, SchemaError, StoreOptions};
use actifix_testkit::{EventBuilder, FakeClock, NOW, act, submission};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

fn options(dir: &Path) -> StoreOptions {
    StoreOptions::new(dir.join("data"), Arc::new(FakeClock::at(NOW)), [7; 32])
}

async fn open(dir: &Path) -> Arc<dyn Store> {
    actifix_store::open(options(dir)).await.unwrap()
}

async fn refused(dir: &Path) -> OpenError {
    match actifix_store::open(options(dir)).await {
        Err(error) => error,
        Ok(_) => panic!("it opened"),
    }
}

fn mode(path: PathBuf) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    let project = store.create_project(None, "p", None, NOW, &act()).await.unwrap().id;
    let p4 = |number, name: &str| EventBuilder::new(number, name).priority(Priority::P4).sample_after(1);
    let send = |store: Arc<dyn Store>, event: EventBuilder| async move {
        store.ingest(submission(project, NOW, [event])).await.unwrap().events.pop().unwrap()
    };
    for number in 1..=4 {
        send(Arc::clone(&store), p4(number, "a")).await;
    }
    send(Arc::clone(&store), p4(5, "b")).await;
    assert_eq!(send(Arc::clone(&store), p4(6, "c")).await.outcome, Outcome::Held);
    let before = (store.stats().await.unwrap().events, store.throttle(project, NOW).await.unwrap());
    store.close().await.unwrap();
    drop(store);

    let store = open(dir.path()).await;
    assert_eq!(store.stats().await.unwrap().events, before.0);
    assert_eq!(store.throttle(project, NOW).await.unwrap(), before.1);
    let sampled = send(Arc::clone(&store), p4(3, "a")).await;
    assert_eq!(sampled.outcome, Outcome::Duplicate, "the id of a sampled event is remembered");
    let next = send(Arc::clone(&store), p4(7, "a")).await;
    assert_eq!((next.outcome, next.count), (Outcome::Sampled, 5), "the counter of the hour goes on");
    assert_eq!(send(Arc::clone(&store), p4(8, "d")).await.outcome, Outcome::Held, "so does the budget");
}

#[tokio::test]
async fn what_was_answered_survives_without_a_close() {
    let dir = TempDir::new().unwrap();
    let copy = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    let project = store.create_project(None, "p", None, NOW, &act()).await.unwrap().id;
    store.ingest(submission(project, NOW, [EventBuilder::new(1, "a")])).await.unwrap();
    // What is on disk now is what a kill would leave.
    std::fs::create_dir(copy.path().join("data")).unwrap();
    for name in ["actifix.db", "actifix.db-wal", "installation"] {
        std::fs::copy(dir.path().join("data").join(name), copy.path().join("data").join(name)).unwrap();
    }
    let again = open(copy.path()).await;
    let recorded = again.ingest(submission(project, NOW, [EventBuilder::new(1, "a")])).await.unwrap();
    assert_eq!(recorded.events[0].outcome, Outcome::Duplicate);
    assert_eq!(again.stats().await.unwrap().events, 1);
}

#[tokio::test]
async fn a_second_server_is_told_the_pid_of_the_first() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    let message = refused(dir.path()).await.to_string();
    assert!(message.contains(&format!("pid {}", std::process::id())), "{message}");
    store.close().await.unwrap();
    drop(store);
    open(dir.path()).await;
}

#[tokio::test]
async fn all_files_are_private_whatever_the_umask() {
    let dir = TempDir::new().unwrap();
    rustix::process::umask(rustix::fs::Mode::empty());
    let store = open(dir.path()).await;
    store.create_project(None, "p", None, NOW, &act()).await.unwrap();
    let data = dir.path().join("data");
    assert_eq!(mode(data.clone()), 0o700);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&data).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(mode(entry.path()), 0o600, "{:?}", entry.path());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(
        names,
        [
            "actifix.db",
            "actifix.db-shm",
            "actifix.db-wal",
            "actifix.lock",
            "installation",
            "reserve",
            "unclosed"
        ]
    );
}

#[tokio::test]
async fn files_that_others_could_read_are_repaired() {
    let dir = TempDir::new().unwrap();
    drop(open(dir.path()).await);
    let data = dir.path().join("data");
    std::fs::set_permissions(&data, PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(data.join("actifix.db"), PermissionsExt::from_mode(0o644)).unwrap();
    let _store = open(dir.path()).await;
    assert_eq!((mode(data.clone()), mode(data.join("actifix.db"))), (0o700, 0o600));
}

#[tokio::test]
async fn links_are_refused() {
    let outside = TempDir::new().unwrap();
    let target = outside.path().join("theirs");
    std::fs::write(&target, "").unwrap();
    for name in ["actifix.db", "actifix.lock", "actifix.db-wal", "installation"] {
        let dir = TempDir::new().unwrap();
        std::fs::create_dir(dir.path().join("data")).unwrap();
        symlink(&target, dir.path().join("data").join(name)).unwrap();
        let error = refused(dir.path()).await;
        // A marker that is a link is a marker: the database is missing then.
        let fine = error.to_string().contains("symbolic link") || matches!(error, OpenError::Lost { .. });
        assert!(fine, "{name}: {error}");
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "", "{name}");
    }
    let dir = TempDir::new().unwrap();
    symlink(outside.path(), dir.path().join("data")).unwrap();
    assert!(refused(dir.path()).await.to_string().contains("symbolic link"));
}

#[tokio::test]
async fn a_database_that_went_missing_is_not_begun_anew() {
    for lose in [|db: &Path| std::fs::remove_file(db).unwrap(), |db: &Path| std::fs::write(db, "").unwrap()] {
        let dir = TempDir::new().unwrap();
        let store = open(dir.path()).await;
        store.close().await.unwrap();
        drop(store);
        lose(&dir.path().join("data/actifix.db"));
        let error = refused(dir.path()).await;
        assert!(matches!(error, OpenError::Lost { .. }), "{error}");
        assert!(error.to_string().contains("missing or empty"), "{error}");
    }
}

#[tokio::test]
async fn newer_changed_and_foreign_schemas_are_refused() {
    let dir = TempDir::new().unwrap();
    drop(open(dir.path()).await);
    let db = rusqlite::Connection::open(dir.path().join("data/actifix.db")).unwrap();
    db.execute("UPDATE schema_migrations SET checksum = 'other'", []).unwrap();
    let error = refused(dir.path()).await;
    assert!(matches!(error, OpenError::Schema(SchemaError::Changed { number: 1 })), "{error}");
    db.pragma_update(None, "user_version", 99).unwrap();
    let error = refused(dir.path()).await;
    assert!(matches!(error, OpenError::Schema(SchemaError::Newer { found: 99, .. })), "{error}");
    assert!(error.to_string().contains("schema 99"), "{error}");
    db.pragma_update(None, "application_id", 7).unwrap();
    assert!(matches!(refused(dir.path()).await, OpenError::Schema(SchemaError::Foreign { found: 7 })));
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_kept() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    store.close().await.unwrap();
    drop(store);
    let path = dir.path().join("data/actifix.db");
    let garbage = vec![0x5a; 8_192];
    std::fs::write(&path, &garbage).unwrap();
    let error = refused(dir.path()).await;
    assert!(matches!(error, OpenError::Damaged(_)), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), garbage);
}

/// What a kill leaves after two submissions, in a directory of its own.
async fn killed() -> TempDir {
    let (dir, copy) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let store = open(dir.path()).await;
    let project = store.create_project(None, "p", None, NOW, &act()).await.unwrap().id;
    for number in 1..=4 {
        store.ingest(submission(project, NOW, [EventBuilder::new(number, "a")])).await.unwrap();
    }
    std::fs::create_dir(copy.path().join("data")).unwrap();
    for entry in std::fs::read_dir(dir.path().join("data")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "reserve" {
            std::fs::copy(entry.path(), copy.path().join("data").join(entry.file_name())).unwrap();
        }
    }
    copy
}

#[tokio::test]
async fn a_log_that_went_missing_is_not_passed_over() {
    for lose in
        [|log: &Path| std::fs::remove_file(log).unwrap(), |log: &Path| std::fs::write(log, "").unwrap()]
    {
        let dir = killed().await;
        let data = dir.path().join("data");
        lose(&data.join("actifix.db-wal"));
        let error = refused(dir.path()).await;
        assert!(matches!(error, OpenError::LogLost { .. }), "{error}");
        assert!(error.to_string().contains("unclosed"), "{error}");
        // Whoever knows what is lost may go on.
        std::fs::remove_file(data.join("unclosed")).unwrap();
        let store = open(dir.path()).await;
        assert_eq!(store.stats().await.unwrap().events, 0, "they were in the log alone");
    }
    let dir = killed().await;
    let store = open(dir.path()).await;
    assert_eq!(store.stats().await.unwrap().events, 4);
    store.close().await.unwrap();
    assert!(!dir.path().join("data/unclosed").exists(), "an orderly end needs no log");
}

#[tokio::test]
async fn a_byte_that_flipped_in_the_log_is_refused_where_the_engine_would_forget_what_follows() {
    let dir = killed().await;
    let path = dir.path().join("data/actifix.db-wal");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = refused(dir.path()).await;
    assert!(error.to_string().contains("write-ahead log is not what was written"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "and kept");
}
