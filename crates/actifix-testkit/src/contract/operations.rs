//! Incident response, reviews, facts for support; what was done for upkeep, and looks for damage.

use super::Case;
use crate::FakeClock;
use crate::fixtures::{EventBuilder, act};
use actifix_app::error::Error;
use actifix_app::ports::{
    AuditQuery, BackupFile, Clock, ReviewRecord, ScrubPlace, SnapshotFacts, SnapshotSink, Store, UpkeepKind,
    UpkeepRun,
};
use actifix_domain::review::Period;
use actifix_domain::time::MINUTE;
use serde_json::json;
use std::sync::{Arc, Mutex, PoisonError};

/// Runs that are kept of each kind.
const RUNS_MAX: u32 = 1_000;
/// Reviews that are told at once.
const REVIEWS_MAX: u32 = 200;

/// All cases.
pub async fn run(store: Arc<dyn Store>, clock: Arc<FakeClock>) {
    the_incident_is_saved_on_the_version_that_was_decided_on(&store).await;
    reviews_are_kept_to_the_letter(&store, &clock).await;
    runs_are_kept_by_kind_and_bounded(&store, &clock).await;
    facts_count_what_is_there(&Case::new(&store, &clock, "facts").await).await;
    a_snapshot_is_told_and_taken_whole(&Case::new(&store, &clock, "snapshot").await).await;
}

/// Number of the last row of the audit log.
async fn audit_rows(store: &Arc<dyn Store>) -> u64 {
    let query = AuditQuery { limit: 1, ..AuditQuery::default() };
    store.audit_log(query).await.unwrap().items.first().map_or(0, |row| row.seq)
}

async fn the_incident_is_saved_on_the_version_that_was_decided_on(store: &Arc<dyn Store>) {
    let first = store.incident().await.unwrap();
    assert_eq!((first.version, &first.state), (0, &json!(null)));
    assert!(matches!(
        store.save_incident(1, &json!({}), &act()).await,
        Err(Error::Conflict { stale: true, .. })
    ));
    let before = audit_rows(store).await;
    let locked = json!({ "level": "full", "why": "somebody is inside", "order": [1, 2, 3] });
    assert_eq!(store.save_incident(0, &locked, &act()).await.unwrap(), 1);
    assert_eq!(audit_rows(store).await, before + 1, "the record goes with it");
    // Of two who decided on the same version one is told; nothing is recorded of the other.
    let stale = store.save_incident(0, &json!({ "level": "none" }), &act()).await;
    assert!(matches!(stale, Err(Error::Conflict { stale: true, .. })), "{stale:?}");
    assert_eq!(audit_rows(store).await, before + 1);
    let kept = store.incident().await.unwrap();
    assert_eq!((kept.version, kept.state), (1, locked));
    assert_eq!(store.save_incident(1, &json!(null), &act()).await.unwrap(), 2);
    // So it is of all later versions.
    let before = audit_rows(store).await;
    let stale = store.save_incident(1, &json!({ "level": "none" }), &act()).await;
    assert!(matches!(stale, Err(Error::Conflict { stale: true, .. })), "{stale:?}");
    let kept = store.incident().await.unwrap();
    assert_eq!((kept.version, kept.state), (2, json!(null)));
    assert_eq!(audit_rows(store).await, before);
}

async fn reviews_are_kept_to_the_letter(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    assert_eq!(store.reviews(None, 10).await.unwrap(), []);
    let review = |period, number: u32| ReviewRecord {
        id: 0,
        period,
        reviewer: format!("jo {number}"),
        recorded_at: clock.now(),
        // Not as a writer of JSON would have it: what was signed is kept as it is.
        document: format!("{{ \"b\":{number},  \"a\" : \"ä\\u0041\" }}"),
        signature: "ab".repeat(64),
    };
    let mut ids = Vec::new();
    for (number, period) in [Period::Weekly, Period::Monthly, Period::Weekly].into_iter().enumerate() {
        clock.advance(MINUTE);
        let number = u32::try_from(number).unwrap();
        ids.push(store.add_review(&review(period, number), &act()).await.unwrap());
    }
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    let all = store.reviews(None, 10).await.unwrap();
    assert_eq!(all.iter().map(|kept| kept.id).collect::<Vec<_>>(), [ids[2], ids[1], ids[0]], "latest first");
    let weekly = store.reviews(Some(Period::Weekly), 10).await.unwrap();
    assert_eq!(weekly.iter().map(|kept| kept.id).collect::<Vec<_>>(), [ids[2], ids[0]]);
    let last = store.reviews(Some(Period::Weekly), 1).await.unwrap();
    assert_eq!(last, [ReviewRecord { id: ids[2], ..review(Period::Weekly, 2) }]);
    for number in 3..=REVIEWS_MAX {
        store.add_review(&review(Period::Quarterly, number), &act()).await.unwrap();
    }
    let told = store.reviews(None, u32::MAX).await.unwrap().len();
    assert_eq!(told, usize::try_from(REVIEWS_MAX).unwrap(), "not one more");
}

async fn runs_are_kept_by_kind_and_bounded(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let run = |kind, number: u32, ok| UpkeepRun {
        kind,
        target: format!("t{number}"),
        started_at: clock.now().plus(-MINUTE),
        finished_at: clock.now(),
        ok,
        detail: json!({ "number": number }),
    };
    let before = audit_rows(store).await;
    for (number, kind) in UpkeepKind::ALL.into_iter().enumerate() {
        let number = u32::try_from(number).unwrap();
        store.record_run(&run(kind, number, number % 2 == 0), None).await.unwrap();
        assert_eq!(store.runs(Some(kind), 9).await.unwrap(), [run(kind, number, number % 2 == 0)]);
    }
    assert_eq!(audit_rows(store).await, before, "a run without a record");
    store.record_run(&run(UpkeepKind::Backup, 77, true), Some(&act())).await.unwrap();
    assert_eq!(audit_rows(store).await, before + 1);
    let all = store.runs(None, 2).await.unwrap();
    let told: Vec<&str> = all.iter().map(|run| run.target.as_str()).collect();
    assert_eq!(told, ["t77", "t4"], "latest first, of all kinds");
    for number in 100..100 + RUNS_MAX {
        store.record_run(&run(UpkeepKind::Integrity, number, true), None).await.unwrap();
    }
    let kept = store.runs(Some(UpkeepKind::Integrity), u32::MAX).await.unwrap();
    assert_eq!(kept.len(), usize::try_from(RUNS_MAX).unwrap());
    assert_eq!(kept.last().map(|run| run.target.as_str()), Some("t100"), "the oldest went");
    assert_eq!(store.runs(Some(UpkeepKind::Backup), 9).await.unwrap().len(), 2, "of other kinds none");
}

async fn facts_count_what_is_there(case: &Case) {
    let before = case.store.database_facts().await.unwrap();
    case.send([EventBuilder::new(1, "a"), EventBuilder::new(2, "b")]).await;
    let facts = case.store.database_facts().await.unwrap();
    assert!(facts.schema_version > 0 && !facts.engine_version.is_empty());
    let more = |table: &str| facts.rows[table] - before.rows[table];
    assert_eq!((more("events"), more("tickets"), more("projects")), (2, 2, 0), "{facts:?}");
    // Looked through, nothing is damaged.
    let (mut place, mut rows) = (Some(ScrubPlace::Tickets(0)), 0);
    while let Some(from) = place {
        let step = case.store.scrub(from).await.unwrap();
        assert_eq!(step.damaged, []);
        rows += step.rows;
        place = step.next;
    }
    assert!(rows >= 4, "{rows} rows were looked at");
    assert_eq!(case.store.check_structure().await.unwrap(), Vec::<String>::new());
}

/// What came, for whoever looks after the sink is gone.
#[derive(Default)]
struct Seen {
    facts: Option<SnapshotFacts>,
    pages: u64,
    bytes: u64,
}

struct Counting(Arc<Mutex<Seen>>);

impl SnapshotSink for Counting {
    fn begin(&mut self, facts: &SnapshotFacts) -> std::io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).facts = Some(facts.clone());
        Ok(())
    }

    fn page(&mut self, page: &[u8]) -> std::io::Result<()> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.pages += 1;
        seen.bytes += page.len() as u64;
        // Nothing comes before it was told what comes.
        if seen.facts.is_none() { Err(std::io::Error::other("a page before the facts")) } else { Ok(()) }
    }

    fn finish(self: Box<Self>) -> std::io::Result<BackupFile> {
        Err(std::io::Error::other("nothing is kept"))
    }
}

async fn a_snapshot_is_told_and_taken_whole(case: &Case) {
    case.send([EventBuilder::new(1, "a")]).await;
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (facts, sink) = case.store.snapshot(Box::new(Counting(Arc::clone(&seen)))).await.unwrap();
    drop(sink);
    let stats = case.store.stats().await.unwrap();
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(seen.facts.as_ref(), Some(&facts));
    assert_eq!((seen.pages, seen.bytes), (facts.pages, facts.pages * facts.page_bytes));
    assert_eq!(
        (facts.counts["events"], u32::try_from(facts.schema_version).unwrap()),
        (stats.events, stats.schema_version)
    );
}
