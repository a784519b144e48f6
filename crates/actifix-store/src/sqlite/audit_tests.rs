//! What somebody who can write the database, but does not hold the root key, may try on the audit log.

#![allow(clippy::disallowed_methods, reason = "tests tamper with files")]

use super::{SqliteStore, StoreOptions};
use actifix_app::error::Error;
use actifix_app::ports::{AuditReport, AuditStore, CareStore, IngestStore, ProjectStore};
use actifix_domain::audit::{Action, AuditRecord};
use actifix_testkit::{EventBuilder, FakeClock, NOW, act, submission};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    fn head(&self) -> PathBuf {
        self.dir.path().join("audit.head")
    }

    fn open(&self) -> SqliteStore {
        let mut options =
            StoreOptions::new(self.dir.path().join("data"), Arc::new(FakeClock::at(NOW)), [7; 32]);
        options.audit_witness = Some(self.head());
        SqliteStore::open(options).unwrap()
    }

    /// A log of ten rows with a witness of all of them, closed.
    async fn filled(&self) {
        let store = self.open();
        append(&store, 1..=10).await;
        store.witness_audit().await.unwrap();
        shut(store).await;
    }

    /// Writes the database as an attacker does: without our triggers.
    fn tamper(&self, sql: &str) {
        let db = rusqlite::Connection::open(self.dir.path().join("data/actifix.db")).unwrap();
        db.execute_batch("DROP TRIGGER audit_is_not_edited; DROP TRIGGER audit_is_not_cut;").unwrap();
        db.execute_batch(sql).unwrap();
    }

    async fn verify(&self) -> AuditReport {
        let store = self.open();
        let report = store.verify_audit().await.unwrap();
        shut(store).await;
        report
    }
}

/// Ends a store and gives its lock back.
async fn shut(store: SqliteStore) {
    store.close().await.unwrap();
    drop(store);
}

async fn append(store: &SqliteStore, numbers: impl IntoIterator<Item = u32>) {
    let records = numbers
        .into_iter()
        .map(|number| AuditRecord::system(NOW, Action::LoginFailed, format!("user:{number}")));
    store.append_audit(records.collect()).await.unwrap();
}

#[track_caller]
fn assert_fault(report: &AuditReport, kind: &str, seq: u64) {
    assert!(!report.intact, "tampering was not found: {report:?}");
    let first = report.faults.first().unwrap();
    assert_eq!((first.kind, first.seq), (kind, seq), "{report:?}");
}

#[tokio::test]
async fn an_untouched_log_is_intact() {
    let bench = Bench::new();
    bench.filled().await;
    let report = bench.verify().await;
    assert_eq!((report.intact, report.rows, report.last, report.witnessed), (true, 10, 10, Some(10)));
}

#[tokio::test]
async fn an_edit_a_gap_another_order_and_a_forged_row_are_found_where_they_are() {
    for (sql, kind, seq) in [
        ("UPDATE audit SET target = 'user:nobody' WHERE seq = 4", "changed", 4),
        ("UPDATE audit SET network = '' WHERE seq = 4", "changed", 4),
        ("UPDATE audit SET at = at + 1 WHERE seq = 10", "changed", 10),
        ("DELETE FROM audit WHERE seq = 5", "missing", 5),
        ("DELETE FROM audit WHERE seq < 3", "missing", 1),
        (
            "UPDATE audit SET seq = 99 WHERE seq = 6; UPDATE audit SET seq = 6 WHERE seq = 7; \
             UPDATE audit SET seq = 7 WHERE seq = 99",
            "changed",
            6,
        ),
        ("DELETE FROM audit WHERE seq = 5; UPDATE audit SET seq = seq - 1 WHERE seq > 5", "changed", 5),
        (
            "INSERT INTO audit (seq, at, actor, action, target, result, detail, hash) \
             SELECT 11, at, actor, action, target, result, detail, hash FROM audit WHERE seq = 10",
            "changed",
            11,
        ),
        (
            "INSERT INTO audit_base (one, seq, hash, at, mac) SELECT 1, seq, hash, at, hash FROM audit WHERE seq = 3; \
             DELETE FROM audit WHERE seq <= 3",
            "base",
            3,
        ),
    ] {
        let bench = Bench::new();
        bench.filled().await;
        bench.tamper(sql);
        assert_fault(&bench.verify().await, kind, seq);
    }
}

#[tokio::test]
async fn a_log_that_is_cut_off_is_found_and_its_witness_is_not_written_over() {
    let bench = Bench::new();
    bench.filled().await;
    bench.tamper("DELETE FROM audit WHERE seq > 7");
    assert_fault(&bench.verify().await, "truncated", 8);
    // The server starts again and goes on writing: the evidence stays.
    let store = bench.open();
    store.witness_audit().await.unwrap();
    append(&store, 1..=2).await;
    store.witness_audit().await.unwrap();
    shut(store).await;
    assert_fault(&bench.verify().await, "truncated", 10);
}

#[tokio::test]
async fn a_log_that_was_put_back_and_went_on_is_found_as_a_fork() {
    let bench = Bench::new();
    let database = bench.dir.path().join("data/actifix.db");
    let store = bench.open();
    append(&store, 1..=5).await;
    shut(store).await;
    let older = std::fs::read(&database).unwrap();
    let store = bench.open();
    append(&store, 6..=8).await;
    store.witness_audit().await.unwrap();
    shut(store).await;
    for sidecar in ["-wal", "-shm"] {
        let _gone = std::fs::remove_file(database.with_extension(format!("db{sidecar}")));
    }
    std::fs::write(&database, older).unwrap();
    let store = bench.open();
    append(&store, 20..=29).await;
    store.witness_audit().await.unwrap();
    shut(store).await;
    assert_fault(&bench.verify().await, "forked", 8);
    // An operator who did that on purpose says so, and the log says that they did.
    let store = bench.open();
    let record = AuditRecord::system(NOW, Action::AuditWitnessRenewed, "audit");
    store.renew_witness(&record).await.unwrap();
    shut(store).await;
    let report = bench.verify().await;
    assert_eq!((report.intact, report.witnessed), (true, Some(16)), "{report:?}");
}

#[tokio::test]
async fn a_witness_that_is_gone_or_forged_is_found_and_not_made_anew() {
    let bench = Bench::new();
    bench.filled().await;
    let written = std::fs::read_to_string(bench.head()).unwrap();
    std::fs::remove_file(bench.head()).unwrap();
    assert_fault(&bench.verify().await, "witness", 10);
    let store = bench.open();
    store.witness_audit().await.unwrap();
    shut(store).await;
    assert!(!bench.head().exists());
    std::fs::write(bench.head(), written.replace("\"seq\":10", "\"seq\":3")).unwrap();
    bench.tamper("DELETE FROM audit WHERE seq > 3");
    assert_fault(&bench.verify().await, "witness", 3);
}

#[tokio::test]
async fn a_log_that_was_emptied_together_with_its_witness_is_found() {
    for rows in [0, 10] {
        let bench = Bench::new();
        let store = bench.open();
        append(&store, 1..=rows).await;
        store.witness_audit().await.unwrap();
        shut(store).await;
        bench.tamper("DELETE FROM audit; DELETE FROM audit_base;");
        std::fs::remove_file(bench.head()).unwrap();
        assert_fault(&bench.verify().await, "witness", 0);
        let store = bench.open();
        append(&store, 1..=3).await;
        store.witness_audit().await.unwrap();
        shut(store).await;
        assert_fault(&bench.verify().await, "witness", 3);
        assert!(!bench.head().exists(), "no new witness for what somebody began anew");
    }
    // Nor by saying that the log was never made.
    let bench = Bench::new();
    bench.filled().await;
    bench.tamper(
        "DROP TABLE audit; DROP TABLE audit_base; DELETE FROM schema_migrations WHERE number = 4; \
         PRAGMA user_version = 3;",
    );
    std::fs::remove_file(bench.head()).unwrap();
    assert_fault(&bench.verify().await, "witness", 0);
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_done_and_ingest_goes_on() {
    let bench = Bench::new();
    let store = bench.open();
    let project = store.create_project(None, "p", None, NOW, &act()).await.unwrap().id;
    store
        .write(|work| {
            Ok(work.db.execute_batch(
                "CREATE TRIGGER planted BEFORE INSERT ON audit BEGIN SELECT raise(ABORT, 'no'); END;",
            )?)
        })
        .await
        .unwrap();
    let refused = store.create_project(None, "q", None, NOW, &act()).await;
    assert!(
        matches!(refused, Err(Error::Unavailable { message: "the audit log cannot be written", .. })),
        "{refused:?}"
    );
    assert_eq!(store.project_by_name("q").await.unwrap(), None, "neither the change nor its record");
    store.ingest(submission(project, NOW, [EventBuilder::new(1, "a")])).await.unwrap();
    assert_eq!(store.stats().await.unwrap().events, 1);
}

#[tokio::test]
async fn our_own_code_cannot_edit_or_cut_the_log() {
    let bench = Bench::new();
    let store = bench.open();
    append(&store, 1..=3).await;
    for sql in ["UPDATE audit SET actor = 'x'", "DELETE FROM audit WHERE seq = 2"] {
        let refused = store.write(move |work| Ok(work.db.execute(sql, [])?)).await;
        assert!(refused.is_err(), "{sql}");
    }
}
