//! Files, other processes, damage: what an attacker, a bad disk or an old SQLite meets.

#![allow(clippy::disallowed_methods, reason = "tests damage files on purpose")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use actifix_app::error::Error;
use actifix_app::ports::{ScrubPlace, SnapshotFacts, SnapshotSink, Sort, Store, TicketQuery};
use actifix_domain::search::Search;
use actifix_store::files::{self, FileError};
use actifix_store::{OpenError, StoreOptions};
use actifix_testkit::{EventBuilder, FakeClock, NOW, act, submission};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
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

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A program with an SQLite of its own: Python's.
fn python(code: &str, database: &Path) -> Command {
    let mut command = Command::new("python3");
    command
        .args(["-c", code])
        .arg(database)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn a_second_name_of_a_data_file_is_refused() {
    for name in ["actifix.db", "actifix.db-wal", "actifix.lock"] {
        let dir = TempDir::new().unwrap();
        std::fs::create_dir(dir.path().join("data")).unwrap();
        let theirs = dir.path().join("theirs");
        std::fs::write(&theirs, "").unwrap();
        std::fs::hard_link(&theirs, dir.path().join("data").join(name)).unwrap();
        let error = refused(dir.path()).await;
        assert!(matches!(error, OpenError::File(FileError::Linked { .. })), "{name}: {error}");
    }
}

#[tokio::test]
async fn a_home_that_anybody_can_exchange_is_refused() {
    let dir = TempDir::new().unwrap();
    chmod(dir.path(), 0o777);
    let error = refused(dir.path()).await;
    assert!(matches!(error, OpenError::File(FileError::Parent { .. })), "{error}");
    chmod(dir.path(), 0o1777);
    open(dir.path()).await;
}

#[tokio::test]
async fn what_got_loose_is_tightened_and_what_is_foreign_is_told() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    let data = dir.path().join("data");
    let names = ["actifix.db", "actifix.db-wal", "actifix.db-shm", "actifix.lock", "installation"];
    for name in names {
        chmod(&data.join(name), 0o666);
    }
    chmod(&data, 0o755);
    std::os::unix::fs::symlink("/etc/passwd", data.join("link")).unwrap();
    std::fs::write(dir.path().join("outside"), "").unwrap();
    std::fs::hard_link(dir.path().join("outside"), data.join("second")).unwrap();
    let found = files::tend_tree(&data, 1_000);
    for name in names {
        assert_eq!(std::fs::metadata(data.join(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(found.iter().filter(|entry| entry.repaired).count(), names.len() + 1, "{found:?}");
    let bad: Vec<_> = found.iter().filter(|entry| !entry.repaired).collect();
    assert_eq!(bad.len(), 2, "{bad:?}");
    assert!(bad.iter().any(|entry| entry.what.contains("symbolic link")), "{bad:?}");
    assert!(bad.iter().any(|entry| entry.what.contains("second name")), "{bad:?}");
    assert_eq!(std::fs::metadata("/etc/passwd").unwrap().permissions().mode() & 0o777, 0o644);
    // The look must not have given up the engine's locks: nobody else gets in.
    others_stay_out(&data.join("actifix.db"));
    store.create_project(None, "p", None, NOW, &act()).await.unwrap();
}

fn others_stay_out(database: &Path) {
    let read = "import sqlite3,sys; print(sqlite3.connect(sys.argv[1], timeout=0).execute('select count(*) from projects').fetchall())";
    let write = "import sqlite3,sys; d=sqlite3.connect(sys.argv[1], timeout=0); d.execute('delete from projects'); d.commit()";
    let checkpoint = "import sqlite3,sys; sqlite3.connect(sys.argv[1], timeout=0).execute('pragma wal_checkpoint(truncate)').fetchall()";
    for code in [read, write, checkpoint] {
        let output = python(code, database).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains("database is locked"), "{code}: {text}");
    }
}

#[tokio::test]
async fn another_sqlite_gets_at_no_live_database() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    let project = store.create_project(None, "p", None, NOW, &act()).await.unwrap().id;
    let database = dir.path().join("data/actifix.db");
    others_stay_out(&database);
    store.ingest(submission(project, NOW, [EventBuilder::new(1, "a")])).await.unwrap();
    others_stay_out(&database);
    store.close().await.unwrap();
    drop(store);
    let count = "import sqlite3,sys; print(sqlite3.connect(sys.argv[1]).execute('select count(*) from events').fetchone()[0])";
    let output = python(count, &database).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "1",
        "at rest it is a database like any other"
    );
}

#[tokio::test]
async fn nobody_starts_beside_a_stranger_who_has_the_database_open() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    store.close().await.unwrap();
    drop(store);
    let hold = "import sqlite3,sys; d=sqlite3.connect(sys.argv[1]); d.execute('select 1 from projects').fetchall(); \
        print('in', flush=True); sys.stdin.read()";
    let mut stranger = python(hold, &dir.path().join("data/actifix.db")).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stranger.stdout.take().unwrap()), &mut line)
        .unwrap();
    assert_eq!(line.trim(), "in");
    let error = refused(dir.path()).await;
    let pid = i32::try_from(stranger.id()).unwrap();
    assert!(
        matches!(error, OpenError::File(FileError::Foreign { pid: found, .. }) if found == pid),
        "{error} (the stranger is {pid})"
    );
    drop(stranger.stdin.take());
    stranger.wait().unwrap();
    open(dir.path()).await;
}

/// Keeps the pages of a snapshot in memory.
struct Pages(Vec<u8>, Option<SnapshotFacts>);

impl SnapshotSink for Pages {
    fn begin(&mut self, facts: &SnapshotFacts) -> std::io::Result<()> {
        self.1 = Some(facts.clone());
        Ok(())
    }
    fn page(&mut self, page: &[u8]) -> std::io::Result<()> {
        self.0.extend_from_slice(page);
        Ok(())
    }
    fn finish(self: Box<Self>) -> std::io::Result<actifix_app::ports::BackupFile> {
        let path =
            std::env::temp_dir().join(format!("actifix-pages-{}-{}", std::process::id(), self.0.len()));
        std::fs::write(&path, &self.0)?;
        Ok(actifix_app::ports::BackupFile {
            name: path.display().to_string(),
            size: self.0.len() as u64,
            created_at: NOW,
        })
    }
}

#[tokio::test]
async fn a_snapshot_is_the_database_of_its_moment() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    let project = store.create_project(None, "p", None, NOW, &act()).await.unwrap().id;
    let many = (1..=200).map(|number| EventBuilder::new(number, "a").sample_after(0));
    store.ingest(submission(project, NOW, many)).await.unwrap();
    // Most of it lies in the write-ahead log still.
    let (facts, sink) = store.snapshot(Box::new(Pages(Vec::new(), None))).await.unwrap();
    store.ingest(submission(project, NOW, [EventBuilder::new(999, "later")])).await.unwrap();
    assert_eq!((facts.counts["events"], facts.counts["projects"]), (200, 1));
    let file = sink.finish().unwrap();
    assert_eq!(file.size, facts.pages * facts.page_bytes);
    let inspection = actifix_store::inspect(Path::new(&file.name), Some([7; 32])).unwrap();
    assert_eq!(inspection.faults, Vec::<String>::new());
    assert_eq!((&inspection.counts, inspection.audit), (&facts.counts, facts.audit));
    let wrong_key = actifix_store::inspect(Path::new(&file.name), Some([8; 32])).unwrap();
    assert!(!wrong_key.faults.is_empty(), "a log of another key is not believed");
    for suffix in ["", "-wal", "-shm"] {
        let _there_or_not = std::fs::remove_file(format!("{}{suffix}", file.name));
    }
}

/// Everything that a reader is shown, or that it was refused.
async fn shown(dir: &Path) -> Result<Vec<String>, String> {
    let store = actifix_store::open(options(dir)).await.map_err(|error| error.to_string())?;
    let told = |error: Error| match error {
        Error::Internal(source) => source.to_string(),
        other => other.to_string(),
    };
    let mut all = Vec::new();
    let query = TicketQuery {
        project: None,
        search: Search::default(),
        user_hashes: std::collections::BTreeMap::new(),
        sort: Sort::FirstSeen,
        cursor: None,
        limit: 200,
        with_total: false,
    };
    let tickets = store.tickets(query).await.map_err(told)?.items;
    for ticket in &tickets {
        all.push(format!("{ticket:?}"));
        for event in store.ticket_events(&ticket.id, None, 200).await.map_err(told)?.items {
            let body = store.event(Some(event.project), event.event_id).await.map_err(told)?;
            all.push(format!("{event:?} {body:?}"));
        }
    }
    let mut place = Some(ScrubPlace::Tickets(0));
    while let Some(from) = place {
        let step = store.scrub(from).await.map_err(told)?;
        if !step.damaged.is_empty() {
            return Err(format!("scrub: {:?}", step.damaged));
        }
        place = step.next;
    }
    let structure = store.check_structure().await.map_err(told)?;
    if structure.is_empty() { Ok(all) } else { Err(format!("structure: {structure:?}")) }
}

#[tokio::test]
async fn heavy_flipped_bytes_are_found_or_change_nothing_that_is_shown() {
    const SEEDS: u64 = 150;
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    let project = store.create_project(None, "p", None, NOW, &act()).await.unwrap().id;
    for group in 0..20u64 {
        let many = (0..8)
            .map(|number| EventBuilder::new(group * 100 + number, &format!("group {group}")).sample_after(0));
        store.ingest(submission(project, NOW, many)).await.unwrap();
    }
    store.close().await.unwrap();
    drop(store);
    let whole = shown(dir.path()).await.unwrap();
    assert!(whole.len() > 100, "{}", whole.len());
    let path = dir.path().join("data/actifix.db");
    let clean = std::fs::read(&path).unwrap();
    let (mut detected, mut harmless) = (0, 0);
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for seed in 0..SEEDS {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(seed | 1);
        let place = usize::try_from(state >> 16).unwrap() % clean.len();
        let mut bytes = clean.clone();
        bytes[place] ^= 1 << (state >> 60 & 7);
        std::fs::write(&path, &bytes).unwrap();
        for suffix in ["-wal", "-shm"] {
            let _there_or_not = std::fs::remove_file(dir.path().join(format!("data/actifix.db{suffix}")));
        }
        match shown(dir.path()).await {
            Err(_) => detected += 1,
            Ok(same) if same == whole => harmless += 1,
            Ok(_) => panic!(
                "seed {seed}: byte {place} of {} changed what is shown, and nobody noticed",
                clean.len()
            ),
        }
    }
    println!("{SEEDS} flips: {detected} detected, {harmless} without effect on what is shown");
    assert!(detected > 0);
}

/// The same at places where nothing but the hash of a row tells: in text, any letter is as good as another.
#[tokio::test]
async fn flipped_letters_of_stored_text_are_found_or_change_nothing_that_is_shown() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    let project = store.create_project(None, "p", None, NOW, &act()).await.unwrap().id;
    let many = (0..8).map(|number| EventBuilder::new(number, "marmalade").sample_after(0));
    store.ingest(submission(project, NOW, many)).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let whole = shown(dir.path()).await.unwrap();
    let path = dir.path().join("data/actifix.db");
    let clean = std::fs::read(&path).unwrap();
    let places: Vec<usize> = clean
        .windows(b"marmalade".len())
        .enumerate()
        .filter_map(|(place, found)| (found == b"marmalade").then_some(place))
        .collect();
    assert!(places.len() >= 8, "{places:?}");
    for place in places {
        let mut bytes = clean.clone();
        bytes[place] ^= 0x20;
        std::fs::write(&path, &bytes).unwrap();
        for suffix in ["-wal", "-shm"] {
            let _there_or_not = std::fs::remove_file(dir.path().join(format!("data/actifix.db{suffix}")));
        }
        let seen = shown(dir.path()).await;
        assert!(seen.as_ref().is_ok_and(|same| *same == whole) || seen.is_err(), "byte {place} was believed");
    }
}
