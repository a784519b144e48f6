//! Backups: what a disaster, a bad disk or a thief meets.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::harness::{Finished, Home, KEY_42, Server, bare_command, finish};
use crate::http::{Connection, Request};

const CLIENTS: usize = 4;
/// Acknowledgements before and after the backup.
const ENOUGH: usize = 400;
/// All bodies are kept; no limit gets in the way.
const CONFIG: &str = "[throttle]\nenabled = false\n[limits]\nsample_after = 0\n";

/// A key beside the home: its file and its recipient.
pub struct Key {
    _dir: tempfile::TempDir,
    pub file: PathBuf,
    pub recipient: String,
}

pub fn key(home: &Home) -> Key {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("backup.key");
    let made = home.cli(&["backup", "keygen", "--out", file.to_str().expect("a path")]).ok();
    let recipient = made.trim().to_owned();
    assert!(recipient.starts_with("age1"), "{recipient}");
    Key { _dir: dir, file, recipient }
}

fn record(home: &Home, message: &str) {
    home.cli(&["record", message]).ok();
}

/// A home with one event and one backup.
pub fn backed_up() -> (std::sync::Arc<Home>, Key, PathBuf) {
    let home = Home::with_config(CONFIG);
    record(&home, "before the backup");
    let key = key(&home);
    let name = home.cli(&["backup", "create", "--recipient", &key.recipient]).ok();
    let path = home.path().join(".actifix/backups").join(name.trim());
    assert!(path.exists(), "{name}");
    (home, key, path)
}

fn restore(home: &Home, backup: &Path, key: &Path, into: &Path) -> Finished {
    let mut command = bare_command();
    command.arg("--home").arg(into).args(["backup", "restore"]).arg(backup).arg("--identity").arg(key);
    let _ = home;
    finish(command, b"")
}

fn verify(backup: &Path, key: &Path) -> Finished {
    let mut command = bare_command();
    command.args(["backup", "verify"]).arg(backup).arg("--identity").arg(key).arg("--json");
    finish(command, b"")
}

fn on(home: &Path, arguments: &[&str]) -> Finished {
    let mut command = bare_command();
    command.arg("--home").arg(home).args(arguments);
    finish(command, b"")
}

fn shell(script: &str, arguments: &[&Path]) -> Finished {
    let mut command = Command::new("bash");
    command.args(["-c", script, "bash"]).args(arguments);
    finish(command, b"")
}

fn names(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).expect("a directory");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[derive(Default)]
struct Client {
    sent: Mutex<Vec<String>>,
    acknowledged: AtomicUsize,
}

#[test]
fn heavy_a_backup_under_load_restores_to_the_acknowledged_state_at_its_mark() {
    let home = Home::with_config(CONFIG);
    let server = home.serve_busy();
    home.import_projects();
    let key = key(&home);
    let clients: Vec<Client> = (0..CLIENTS).map(|_| Client::default()).collect();
    let stop = AtomicBool::new(false);
    let total = || clients.iter().map(|client| client.acknowledged.load(Ordering::Acquire)).sum::<usize>();
    let (before, name, after) = std::thread::scope(|scope| {
        for (number, client) in clients.iter().enumerate() {
            let (server, stop) = (&server, &stop);
            scope.spawn(move || load(server, number, client, stop));
        }
        wait_until(|| total() >= ENOUGH);
        let before: Vec<usize> =
            clients.iter().map(|client| client.acknowledged.load(Ordering::Acquire)).collect();
        let name = home.cli(&["backup", "create", "--recipient", &key.recipient]).ok().trim().to_owned();
        let after: Vec<usize> =
            clients.iter().map(|client| client.sent.lock().expect("no panic").len()).collect();
        let goal = total() + ENOUGH;
        wait_until(|| total() >= goal);
        stop.store(true, Ordering::Release);
        (before, name, after)
    });
    let verdict = home.cli(&["backup", "verify", &name, "--json"]).json();
    assert_eq!((&verdict["intact"], &verdict["audit_verified"]), (&json!(true), &json!(true)), "{verdict}");
    let noted = verdict["counts"]["events"].as_u64().expect("a count");
    // The drill is in the audit log and in the table.
    let audit = home.cli(&["audit", "list", "--action", "backup.done", "--json"]).json().to_string();
    assert!(
        audit.contains("\"created\"") && audit.contains("\"verified\"") && audit.contains(&name),
        "{audit}"
    );
    let runs = server.get("/api/v1/backups/runs").to_string();
    assert!(runs.contains("verification") && runs.contains(&name), "{runs}");
    let metrics = server.call("GET", "/metrics", None).text();
    assert!(
        metrics.lines().any(|line| line.starts_with("actifix_backup_last_verified_timestamp_seconds 1.")
            || line.starts_with("actifix_backup_last_verified_timestamp_seconds 1")),
        "{metrics}"
    );
    let into = tempfile::tempdir().expect("a directory");
    let into = into.path().join("home");
    restore(&home, &home.path().join(".actifix/backups").join(&name), &key.file, &into).ok();
    fs::copy(home.path().join(".actifix/root.key"), into.join(".actifix/root.key")).expect("the root key");
    let listed = on(&into, &["export", "--project", "42"]).ok();
    let restored: BTreeSet<String> = listed
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).expect("JSON")["event_id"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(restored.len() as u64, noted, "every event is there once");
    for (number, client) in clients.iter().enumerate() {
        let sent = client.sent.lock().expect("no panic");
        let has = |place: usize| restored.contains(&sent[place]);
        let cut = (0..sent.len()).take_while(|place| has(*place)).count();
        assert!((cut..sent.len()).all(|place| !has(place)), "client {number}: there is a hole at {cut}");
        assert!(cut >= before[number], "client {number}: {cut} of {} acknowledged before", before[number]);
        assert!(cut <= after[number], "client {number}: {cut}, {} were sent when it was done", after[number]);
    }
    assert!(restored.len() < clients.iter().map(|client| client.sent.lock().unwrap().len()).sum());
    // The audit log of the new home is whole, and tells of the restore.
    on(&into, &["audit", "verify"]).ok();
    assert!(on(&into, &["audit", "list", "--json"]).ok().contains("\"restored\""));
}

fn load(server: &Server, number: usize, client: &Client, stop: &AtomicBool) {
    let mut connection: Connection = server.connect();
    for place in 0u64.. {
        if stop.load(Ordering::Acquire) {
            return;
        }
        let id = format!("{number:08x}{place:024x}");
        client.sent.lock().expect("no panic").push(id.clone());
        let event = json!({ "event_id": id, "message": format!("load {}", place % 7), "extra": { "p": "x".repeat(500) } });
        let body = format!("{{\"event_id\":\"{id}\"}}\n{{\"type\":\"event\"}}\n{event}\n");
        let target = format!("/api/42/envelope/?sentry_key={KEY_42}");
        let answer = connection.exchange(&Request::post(&target, body).to_bytes()).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        client.acknowledged.fetch_add(1, Ordering::Release);
    }
}

/// Waits for what must come. The bound is far beyond what it takes, so that only what never comes meets it.
#[track_caller]
pub fn wait_until(done: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !done() {
        assert!(began.elapsed() < std::time::Duration::from_secs(100), "it does not come");
        std::thread::yield_now();
    }
}

#[test]
fn stock_age_opens_it_and_neither_the_root_key_nor_clear_text_is_in_it() {
    let (home, key, path) = backed_up();
    let out = tempfile::tempdir().expect("a directory");
    shell(
        "set -o pipefail; age -d -i \"$1\" \"$2\" | zstd -dq | tar x -C \"$3\"",
        &[&key.file, &path, out.path()],
    )
    .ok();
    assert_eq!(
        names(out.path()),
        [".actifix", "actifix.toml", "data", "digests.json", "manifest.json", "seal.json"]
            .map(str::to_owned)
            .into()
    );
    let count = "import sqlite3,sys; d=sqlite3.connect(sys.argv[1]); \
        print(d.execute('pragma integrity_check').fetchone()[0], d.execute('select count(*) from events').fetchone()[0])";
    let mut python = Command::new("python3");
    python.args(["-c", count]).arg(out.path().join("data/actifix.db"));
    assert_eq!(finish(python, b"").ok().trim(), "ok 1");
    let root_key = fs::read_to_string(home.path().join(".actifix/root.key")).expect("a root key");
    let clear = shell("set -o pipefail; age -d -i \"$1\" \"$2\" | zstd -dq", &[&key.file, &path]).ok();
    assert!(!clear.contains(root_key.trim()), "the root key is in the backup");
    assert!(clear.contains("before the backup"), "what was recorded is");
    let bytes = fs::read(&path).expect("a backup");
    for text in ["SQLite format 3", "manifest.json", "before the backup"] {
        assert!(!bytes.windows(text.len()).any(|part| part == text.as_bytes()), "{text}");
    }
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(names(path.parent().unwrap()).len(), 1, "nothing else is left");
}

#[test]
fn what_is_damaged_or_for_others_is_never_put_back() {
    let (home, key, path) = backed_up();
    let whole = fs::read(&path).expect("a backup");
    let dir = tempfile::tempdir().expect("a directory");
    let copy = dir.path().join(path.file_name().unwrap());
    assert_eq!(verify(&path, &key.file).json()["intact"], json!(true));
    let mut damaged: Vec<(String, Vec<u8>)> = Vec::new();
    for part in [0, 1, 20, whole.len() / 2, whole.len() - 17, whole.len() - 1] {
        damaged.push((format!("cut to {part}"), whole[..part].to_vec()));
    }
    for part in 0..40 {
        let place = part * (whole.len() - 1) / 39;
        let mut bytes = whole.clone();
        bytes[place] ^= 0x10;
        damaged.push((format!("flipped at {place}"), bytes));
    }
    damaged.push(("longer".to_owned(), [whole.as_slice(), &[0; 64]].concat()));
    damaged.push(("a plain database".to_owned(), b"SQLite format 3\0 and more".to_vec()));
    let into = dir.path().join("home");
    for (what, bytes) in damaged {
        fs::write(&copy, &bytes).expect("a copy");
        let done = verify(&copy, &key.file);
        assert!(matches!(done.code(), 1 | 2), "{what}: {} {}", done.code(), done.stderr);
        assert!(!done.stdout.contains("\"intact\":true"), "{what}");
        let done = restore(&home, &copy, &key.file, &into);
        assert!(matches!(done.code(), 1 | 2), "{what}: {} {}", done.code(), done.stderr);
        assert!(
            done.stderr.starts_with("error: ") && done.stderr.trim().lines().count() == 1,
            "{}",
            done.stderr
        );
        assert!(names(&into).is_empty(), "{what}: {:?}", names(&into));
    }
    fs::write(&copy, &whole).expect("a copy");
    let stranger = self::key(&home);
    let done = verify(&copy, &stranger.file);
    assert_eq!(done.code(), 2, "{}", done.stderr);
    assert!(done.stderr.contains("other recipients"), "{}", done.stderr);
    assert_eq!(names(dir.path()).len(), 2, "temporary homes are removed: {:?}", names(dir.path()));
    // On the server, a damaged one is named and the one before is still there.
    let mut bytes = whole.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).expect("a backup");
    assert_eq!(home.cli(&["backup", "verify"]).code(), 1);
    let listed = home.cli(&["backup", "list", "--json"]).json();
    assert!(listed["items"][0]["problem"].as_str().unwrap().contains("damaged"), "{listed}");
}

#[test]
fn a_restore_overwrites_nothing_and_can_be_begun_again() {
    let (home, key, path) = backed_up();
    let done = restore(&home, &path, &key.file, home.path());
    assert_eq!(done.code(), 73, "{}", done.stderr);
    assert!(done.stderr.contains("never writes over"), "{}", done.stderr);
    let dir = tempfile::tempdir().expect("a directory");
    let into = dir.path().join("home");
    // A restore that was cut short before its last step.
    fs::create_dir_all(into.join(".actifix")).expect("a directory");
    fs::write(into.join(".actifix/restored.json"), "{}").expect("a note");
    fs::write(into.join(".actifix/vault.json"), "{").expect("half a record");
    restore(&home, &path, &key.file, &into).ok();
    fs::copy(home.path().join(".actifix/root.key"), into.join(".actifix/root.key")).expect("the root key");
    let listed = on(&into, &["ticket", "list", "--json"]).json();
    assert_eq!(listed["items"][0]["title"], "before the backup", "{listed}");
    let again = restore(&home, &path, &key.file, &into);
    assert_eq!(again.code(), 73, "{}", again.stderr);
    // A home that never was one of a restore, with a vault of its own.
    let other = dir.path().join("other");
    fs::create_dir_all(other.join(".actifix")).expect("a directory");
    fs::write(other.join(".actifix/vault.json"), "{}").expect("a record");
    assert_eq!(restore(&home, &path, &key.file, &other).code(), 73);
}

#[test]
fn two_in_the_same_moment_are_two_and_nobody_makes_one_that_nobody_can_read() {
    let (home, key, first) = backed_up();
    let second = home.cli(&["backup", "create", "--recipient", &key.recipient]).ok();
    assert_ne!(first.file_name().unwrap().to_str().unwrap(), second.trim());
    assert_eq!(home.cli(&["backup", "list", "--json"]).json()["items"].as_array().unwrap().len(), 2);
    let none = home.cli(&["backup", "create"]);
    assert_eq!(none.code(), 2, "{}", none.stderr);
    assert!(none.stderr.contains("backup keygen"), "{}", none.stderr);
    // Whoever asked was told; the installation has no failed backup, and nobody is woken.
    let audit = home.cli(&["audit", "list", "--action", "backup.done", "--json"]).json().to_string();
    assert!(!audit.contains("\"failed\""), "{audit}");
    let server = home.serve();
    let refused = server.call("POST", "/api/v1/backups", Some(&json!({})));
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(refused.text().contains("backup keygen"), "{}", refused.text());
    let runs = server.get("/api/v1/backups/runs").to_string();
    assert!(!runs.contains("\"ok\":false"), "{runs}");
    let metrics = server.call("GET", "/metrics", None).text();
    assert!(metrics.contains("actifix_backup_failures_total{step=\"create\"} 0"), "{metrics}");
    server.stop();
    let log = fs::read_to_string(home.path().join(".actifix/logs/actifix.log")).expect("a log");
    assert!(log.contains("backup.refused") && !log.contains("backup.failed"), "{log}");
    let secret = fs::read_to_string(&key.file).expect("a key").lines().last().unwrap().to_owned();
    let wrong = home.cli(&["backup", "create", "--recipient", &secret]);
    assert_eq!(wrong.code(), 2);
    assert!(
        wrong.stderr.contains("secret side") && !wrong.stderr.contains(&secret[20..40]),
        "{}",
        wrong.stderr
    );
}

/// What was said, and the name.
fn made_by(done: Finished) -> (String, String) {
    (done.stderr.clone(), done.ok().trim().to_owned())
}

#[test]
fn a_recipient_that_came_after_the_start_is_told_to_wait_for_the_next_one() {
    let home = Home::with_config(CONFIG);
    let (one, two) = (key(&home), key(&home));
    let file = home.path().join("actifix.toml");
    let before = fs::read_to_string(&file).expect("a configuration");
    let configure = |recipient: &str| {
        let text = format!("{before}\n[backup]\nrecipients = [\"{recipient}\"]\n");
        fs::write(&file, text).expect("a configuration");
    };
    let server = home.serve();
    configure(&one.recipient);
    let none = home.cli(&["backup", "create"]);
    assert_eq!(none.code(), 2, "{}", none.stderr);
    let said = &none.stderr;
    assert!(said.contains("was empty at the start") && said.contains("restart the server"), "{said}");
    server.stop();

    let server = home.serve_busy();
    let verified = |item: &Value| item["verified_at"].is_string();
    wait_until(|| server.list("/api/v1/backups").iter().any(verified));
    configure(&two.recipient);
    let (said, name) = made_by(home.cli(&["backup", "create"]));
    assert!(said.contains(&one.recipient) && !said.contains(&two.recipient), "{said}");
    assert!(said.contains("restart the server"), "{said}");
    let path = home.path().join(".actifix/backups").join(&name);
    assert_eq!((verify(&path, &one.file).code(), verify(&path, &two.file).code()), (0, 2));
    server.stop();

    let (said, name) = made_by(home.cli(&["backup", "create"]));
    assert!(said.contains(&two.recipient) && !said.contains("restart"), "{said}");
    let path = home.path().join(".actifix/backups").join(&name);
    assert_eq!((verify(&path, &one.file).code(), verify(&path, &two.file).code()), (2, 0));
}

#[test]
fn a_full_disk_or_a_kill_leaves_the_backups_that_were_there() {
    let (home, key, first) = backed_up();
    let dir = first.parent().unwrap();
    let script = "mount -t tmpfs -o size=8k tmpfs \"$1\" && exec \"$2\" --home \"$3\" backup create --recipient \"$4\"";
    let mut command = Command::new("unshare");
    command.args(["-rm", "bash", "-c", script, "bash"]).arg(dir).arg(env!("CARGO_BIN_EXE_actifix"));
    command.arg(home.path()).arg(&key.recipient).env("NO_COLOR", "1").stdin(Stdio::null());
    let full = finish(command, b"");
    assert_eq!(full.code(), 75, "{} {}", full.stdout, full.stderr);
    assert!(full.stderr.contains("disk of the backups is full"), "{}", full.stderr);
    assert_eq!(names(dir).len(), 1);
    let audit = home.cli(&["audit", "list", "--action", "backup.done", "--json"]).json().to_string();
    assert!(audit.contains("\"failed\""), "{audit}");
    // What a kill leaves is no backup, and goes with the next start.
    let part = dir.join(format!(".{}.part", first.file_name().unwrap().to_str().unwrap()));
    fs::write(&part, "half").expect("a part");
    fs::create_dir(dir.join(".verify-x1")).expect("a temporary home");
    fs::write(dir.join("notes.txt"), "mine").expect("a file of somebody");
    assert_eq!(home.cli(&["backup", "list", "--json"]).json()["items"].as_array().unwrap().len(), 1);
    let server = home.serve();
    wait_until(|| !part.exists());
    server.stop();
    assert_eq!(
        names(dir),
        [first.file_name().unwrap().to_str().unwrap(), "notes.txt"].map(str::to_owned).into()
    );
}

#[test]
fn the_server_makes_and_verifies_them_by_itself() {
    let home = Home::with_config("");
    let key = key(&home);
    let server = Server::start(
        home.clone(),
        &[("ACTIFIX_BACKUP__RECIPIENTS", &key.recipient), ("ACTIFIX_RATE_LIMIT_DISABLED", "1")],
    );
    let verified = || {
        let list = server.get("/api/v1/backups");
        list["items"].as_array().unwrap().iter().filter(|item| item["verified_at"].is_string()).count()
    };
    wait_until(|| verified() == 1);
    let listed: BTreeMap<String, Value> =
        serde_json::from_value(server.get("/api/v1/backups")["items"][0].clone()).unwrap();
    let path = home.path().join(".actifix/backups").join(listed["name"].as_str().unwrap());
    assert_eq!(verify(&path, &key.file).json()["intact"], json!(true), "the operator's key opens it too");
}
