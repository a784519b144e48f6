//! Power failures: the server is killed at random moments under load, and whatever it had acknowledged is there
//! afterwards, once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::json;

use crate::harness::{Home, KEY_42, Server};
use crate::http::{Connection, Request};
use crate::random::Random;

const ROUNDS: usize = 100;
const CLIENTS: usize = 4;
/// Groups over which the events are spread.
const GROUPS: usize = 7;
/// Most acknowledgements that are waited for before the kill.
const ACKNOWLEDGED_MAX: usize = 60;

/// All bodies are kept, so that each event can be asked for; no limit gets in the way.
const CONFIG: &str = "[throttle]\nenabled = false\n[limits]\nsample_after = 0\n";

#[derive(Default)]
struct Ledger {
    /// Ids that were given to a socket, with their group.
    sent: Mutex<BTreeMap<String, usize>>,
    /// Ids that were answered with 200.
    acknowledged: Mutex<BTreeSet<String>>,
}

#[test]
fn heavy_what_was_acknowledged_survives_kill_9() {
    let started = Instant::now();
    let home = Home::with_config(CONFIG);
    let ledger = Ledger::default();
    let mut random = Random::seeded(0xdead_0001);
    let mut start_seconds = 0.0;
    let mut server = home.serve();
    home.import_projects();
    for round in 0..ROUNDS {
        load_until_killed(server, &ledger, random.next(), random.below(ACKNOWLEDGED_MAX));
        let starting = Instant::now();
        server = Server::start(std::sync::Arc::clone(&home), &[]);
        start_seconds += starting.elapsed().as_secs_f64();
        // Half-way marks find a loss near its cause; the whole is compared at the end.
        if round % 25 == 24 {
            compare(&server, &ledger);
        }
    }
    compare(&server, &ledger);
    let before = server.list("/api/v1/tickets?project=42");
    send_again(&server, &ledger);
    compare(&server, &ledger);
    let after = server.list("/api/v1/tickets?project=42");
    let counts = |tickets: &[serde_json::Value]| -> BTreeMap<String, u64> {
        let pairs = tickets.iter().map(|t| (t["id"].to_string(), t["count"].as_u64().expect("a count")));
        pairs.collect()
    };
    // What was sent without an answer may have been lost, and counts now.
    for (id, count) in counts(&before) {
        assert!(counts(&after)[&id] >= count);
    }
    let total: u64 = counts(&after).values().sum();
    assert_eq!(
        total,
        ledger.sent.lock().expect("no client panicked").len() as u64,
        "sent again, each event counts once"
    );
    println!(
        "{ROUNDS} kills: {} sent, {} acknowledged, mean restart {:.0} ms, {:.1} s in all",
        ledger.sent.lock().expect("no client panicked").len(),
        ledger.acknowledged.lock().expect("no client panicked").len(),
        start_seconds * 1000.0 / ROUNDS as f64,
        started.elapsed().as_secs_f32()
    );
}

fn envelope(id: &str, group: usize) -> Vec<u8> {
    let event = json!({
        "event_id": id,
        "exception": { "values": [{
            "type": format!("Crash{}", (b'A' + group as u8) as char),
            "value": "while the power failed",
            "stacktrace": { "frames": [{ "function": "work", "module": "app.jobs", "in_app": true }] }
        }] },
        "extra": { "padding": "x".repeat(2_000) },
    });
    let target = format!("/api/42/envelope/?sentry_key={KEY_42}");
    let body = format!("{{\"event_id\":\"{id}\"}}\n{{\"type\":\"event\"}}\n{event}\n");
    Request::post(&target, body).to_bytes()
}

/// Clients send as fast as they are answered; after so many acknowledgements of this round the server dies.
fn load_until_killed(server: Server, ledger: &Ledger, seed: u64, enough: usize) {
    let stop = AtomicBool::new(false);
    let acknowledged = AtomicUsize::new(0);
    let address = server.address;
    let (reached, wait) = std::sync::mpsc::sync_channel::<()>(1);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (stop, acknowledged, reached) = (&stop, &acknowledged, reached.clone());
            scope.spawn(move || {
                let mut random = Random::seeded(seed ^ (client as u64) << 32);
                let Ok(mut connection) = Connection::open(address) else { return };
                while !stop.load(Ordering::Relaxed) {
                    let id = format!("{:016x}{:016x}", random.next(), random.next());
                    let group = random.below(GROUPS);
                    ledger.sent.lock().expect("no client panicked").insert(id.clone(), group);
                    // An error is the crash: nothing was acknowledged.
                    let Ok(answer) = connection.exchange(&envelope(&id, group)) else { return };
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    ledger.acknowledged.lock().expect("no client panicked").insert(id);
                    if acknowledged.fetch_add(1, Ordering::Relaxed) + 1 >= enough {
                        let _already_said = reached.try_send(());
                    }
                }
            });
        }
        drop(reached);
        wait.recv().expect("the clients are answered");
        server.kill();
        stop.store(true, Ordering::Relaxed);
    });
}

/// Every acknowledged event is stored, none twice, none that nobody sent, and the counts say the same.
fn compare(server: &Server, ledger: &Ledger) {
    let sent = ledger.sent.lock().expect("no client panicked").clone();
    let acknowledged = ledger.acknowledged.lock().expect("no client panicked").clone();
    let mut stored: BTreeMap<String, usize> = BTreeMap::new();
    let mut total = 0;
    let tickets = server.list("/api/v1/tickets?project=42");
    assert!(tickets.len() <= GROUPS, "{} tickets of {GROUPS} groups", tickets.len());
    for ticket in &tickets {
        let id = ticket["id"].as_str().expect("an id");
        let events = server.list(&format!("/api/v1/tickets/{id}/events"));
        let count = ticket["count"].as_u64().expect("a count");
        assert_eq!(events.len() as u64, count, "{id} counts {count}, {} are stored", events.len());
        total += count;
        for event in events {
            *stored.entry(event["event_id"].as_str().expect("an id").to_owned()).or_default() += 1;
        }
    }
    let lost: Vec<&String> = acknowledged.iter().filter(|id| !stored.contains_key(*id)).collect();
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged events are lost: {lost:?}",
        lost.len(),
        acknowledged.len()
    );
    let twice: Vec<_> = stored.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "stored more than once: {twice:?}");
    let unknown: Vec<_> = stored.keys().filter(|id| !sent.contains_key(*id)).collect();
    assert!(unknown.is_empty(), "nobody sent {unknown:?}");
    assert!(total >= acknowledged.len() as u64 && total <= sent.len() as u64);
}

/// What a client does after an error: it sends again. Known events are answered and change nothing.
fn send_again(server: &Server, ledger: &Ledger) {
    let sent = ledger.sent.lock().expect("no client panicked").clone();
    let mut connection = server.connect();
    for (id, group) in sent {
        let answer = connection.exchange(&envelope(&id, group)).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["id"], id.as_str());
    }
}

#[test]
fn a_stop_finishes_what_was_begun() {
    let home = Home::with_config(CONFIG);
    let server = home.serve();
    home.import_projects();
    let target = format!("/api/42/envelope/?sentry_key={KEY_42}");
    let body = "{}\n{\"type\":\"event\"}\n{\"message\":\"before the stop\"}\n";
    assert_eq!(server.send(&Request::post(&target, body)).status, 200);
    let (status, printed) = server.stop();
    assert_eq!(status.code(), Some(0), "{}", String::from_utf8_lossy(&printed));
    // The database was folded together, and commands work without a server.
    let listed = home.cli(&["ticket", "list", "--project", "42", "--json"]).json();
    assert_eq!(listed["items"][0]["title"], "before the stop", "{listed}");
    let left: Vec<_> =
        home.files().into_iter().filter(|(path, _)| path.to_string_lossy().ends_with("-journal")).collect();
    assert!(left.is_empty());
}

#[test]
fn everything_in_the_home_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    // Whatever mask somebody started it with.
    let mut command = std::process::Command::new("bash");
    command
        .args(["-c", "umask 000; exec \"$@\"", "bash", env!("CARGO_BIN_EXE_actifix"), "--home"])
        .arg(home.path());
    command.arg("serve").env("NO_COLOR", "1");
    let server = Server::run(std::sync::Arc::clone(&home), command);
    home.import_projects();
    let body = "{}\n{\"type\":\"event\"}\n{\"message\":\"x\"}\n";
    assert_eq!(
        server.send(&Request::post(&format!("/api/42/envelope/?sentry_key={KEY_42}"), body)).status,
        200
    );
    let mut folders = vec![home.path().join("data"), home.path().join(".actifix")];
    let mut looked_at = 0;
    while let Some(folder) = folders.pop() {
        let mode = |path: &std::path::Path| {
            std::fs::symlink_metadata(path).expect("an entry").permissions().mode() & 0o777
        };
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let entry = entry.expect("an entry");
            looked_at += 1;
            if entry.file_type().expect("a type").is_dir() {
                folders.push(entry.path());
            } else {
                assert_eq!(mode(&entry.path()) & 0o177, 0, "{}", entry.path().display());
            }
        }
    }
    assert!(looked_at >= 4, "database, log, socket and throttle history at least");
}
