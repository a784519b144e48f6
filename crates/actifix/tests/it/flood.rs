//! Floods of new errors: limits per priority, the brake, the cap on held tickets; counters stay exact, people can
//! still read, and a restart forgets nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Home, KEY_42, Server, finish};
use crate::http::{Connection, Request};

/// Different errors of the flood.
const FLOOD: usize = 5_000;
const CLIENTS: usize = 4;
/// A list must be answered within this time even during the flood (debug build, two cores).
const LIST_DEADLINE: Duration = Duration::from_secs(5);

fn envelope(error_type: &str, handled: bool) -> Vec<u8> {
    let event = json!({
        "exception": { "values": [{
            "type": error_type,
            "value": "flooded",
            "mechanism": { "type": "generic", "handled": handled },
            "stacktrace": { "frames": [{ "function": "work", "module": "app.jobs", "in_app": true }] }
        }] },
    });
    let body = format!("{{}}\n{{\"type\":\"event\"}}\n{event}\n");
    Request::post(&format!("/api/42/envelope/?sentry_key={KEY_42}"), body).to_bytes()
}

/// Letters only, so that no part of it is taken for a number.
fn name(prefix: &str, mut number: usize) -> String {
    let mut text = prefix.to_owned();
    for _ in 0..4 {
        text.push(char::from(b'a' + (number % 26) as u8));
        number /= 26;
    }
    text
}

/// Sends errors of the numbers `0..count` over some connections and gives the time it took.
fn flood(server: &Server, prefix: &str, count: usize, handled: bool, clients: usize) -> Duration {
    let started = Instant::now();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut connection = server.connect();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let answer =
                        connection.exchange(&envelope(&name(prefix, number), handled)).expect("an answer");
                    assert_eq!(answer.status, 200, "{}", answer.text());
                }
            });
        }
    });
    started.elapsed()
}

/// Tickets of project 42 by status, with the sum of their counts.
fn by_status(server: &Server) -> BTreeMap<String, (u64, u64)> {
    let mut sums: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for ticket in server.list("/api/v1/tickets?project=42") {
        let sum = sums.entry(ticket["status"].as_str().expect("a status").to_owned()).or_default();
        sum.0 += 1;
        sum.1 += ticket["count"].as_u64().expect("a count");
    }
    sums
}

fn held_total(status: &Value) -> u64 {
    status["held"]["held"].as_array().expect("held by priority").iter().filter_map(Value::as_u64).sum()
}

fn outcomes(server: &Server) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for item in server.get("/api/v1/projects/42/outcomes")["items"].as_array().expect("items") {
        *sums.entry(item["outcome"].as_str().expect("a word").to_owned()).or_default() +=
            item["quantity"].as_u64().expect("a number");
    }
    sums
}

#[test]
fn settings_of_the_throttle_are_taken_over_while_the_server_runs() {
    let home = Home::with_config("[throttle]\nenabled = false\n");
    let server = home.serve();
    home.import_projects();
    let file = home.path().join("actifix.toml");
    let before = std::fs::read_to_string(&file).expect("a configuration");
    let configure = |throttle: &str| {
        let text = before.replace("enabled = false", throttle);
        std::fs::write(&file, text).expect("a configuration");
    };
    let held = || by_status(&server).get("held").map_or(0, |(tickets, _)| *tickets);
    flood(&server, "First", 40, true, 1);
    assert_eq!(held(), 0, "it is off");

    configure("enabled = true\np2_per_hour = 3");
    let said = server.hang_up(1);
    assert!(said.contains("throttle.enabled, throttle.p2_per_hour taken over"), "{said}");
    flood(&server, "Second", 40, true, 1);
    assert_eq!(held(), 37);
    let status = server.get("/api/v1/throttle?project=42").to_string();
    assert!(status.contains("\"limit\":3"), "{status}");

    // What cannot work changes nothing.
    configure("enabled = false\nbrake_new_per_minute = 0");
    let said = server.hang_up(2);
    assert!(said.contains("nothing changed") && said.contains("brake_new_per_minute"), "{said}");
    flood(&server, "Third", 5, true, 1);
    assert_eq!(held(), 42);
    let audit = server.get("/api/v1/audit?action=setting.changed").to_string();
    assert!(audit.contains("throttle.p2_per_hour") && !audit.contains("brake_new_per_minute"), "{audit}");
}

#[test]
fn heavy_five_thousand_errors_in_a_minute() {
    let home = Home::with_config("[throttle]\nheld_max = 3000\n");
    let server = home.serve_busy();
    home.import_projects();
    let done = AtomicBool::new(false);
    let (took, slowest, looks) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| read_lists_until(&server, &done));
        let took = flood(&server, "Err", FLOOD, true, CLIENTS);
        done.store(true, Ordering::Relaxed);
        let (slowest, looks) = reader.join().expect("the reader reads");
        (took, slowest, looks)
    });
    println!(
        "{FLOOD} different errors in {:.1} s ({:.0}/s), {looks} lists beside it, slowest {} ms",
        took.as_secs_f32(),
        FLOOD as f32 / took.as_secs_f32(),
        slowest.as_millis()
    );
    assert!(took < Duration::from_secs(60), "the flood must fit into a minute, it took {took:?}");
    assert!(slowest < LIST_DEADLINE, "a list took {slowest:?}");

    // 15 P2 per hour are admitted, 3,000 are held, the others only counted, and one ticket stands for them.
    let status = home.cli(&["throttle", "status", "--project", "42", "--json"]).json();
    let sums = by_status(&server);
    let flood_ticket = flood_ticket(&server);
    assert_eq!(status["throttle"]["brake"], "hard", "{status}");
    assert_eq!(sums["held"], (3_000, 3_000), "{sums:?}");
    assert_eq!(sums["open"].0, 16, "15 tickets and the flood ticket: {sums:?}");
    assert_eq!(flood_ticket["priority"], "P1", "{flood_ticket}");
    assert_eq!(flood_ticket["title"], "Ticket flood");
    assert_eq!(held_total(&status), 3_000, "{status}");
    assert_eq!(status["held"]["beyond_cap"], FLOOD as u64 - 15 - 3_000, "{status}");
    let counted = flood_ticket["count"].as_u64().expect("a count");
    assert_eq!(counted, FLOOD as u64 - 15 - 3_000, "the flood ticket counts what it stands for");
    let fates = outcomes(&server);
    let total: u64 = fates.values().sum();
    assert_eq!(total, FLOOD as u64, "every event has one fate: {fates:?}");
    assert_eq!(fates["accepted"], 15, "{fates:?}");
    assert_eq!(fates["held"], FLOOD as u64 - 15, "{fates:?}");

    restart_forgets_nothing(&home, server, &status);
}

fn flood_ticket(server: &Server) -> Value {
    let tickets = server.list("/api/v1/tickets?project=42&status=open");
    let mut found = tickets.into_iter().filter(|ticket| ticket["title"] == "Ticket flood");
    let ticket = found.next().expect("a flood ticket");
    assert!(found.next().is_none(), "one ticket stands for all");
    ticket
}

/// Reads the ticket list over and over; gives the slowest answer and how many there were.
fn read_lists_until(server: &Server, done: &AtomicBool) -> (Duration, usize) {
    let token = server.token();
    let mut connection = server.connect();
    let (mut slowest, mut looks) = (Duration::ZERO, 0);
    loop {
        let finished = done.load(Ordering::Relaxed);
        let search = if looks % 2 == 0 {
            "/api/v1/tickets?limit=50"
        } else {
            "/api/v1/tickets?status=held&sort=count"
        };
        let request = Request::get(search).header("Authorization", &format!("Bearer {token}"));
        let started = Instant::now();
        let answer = connection.exchange(&request.to_bytes()).expect("an answer");
        // A token may be limited; that is an answer, and quick.
        assert!(matches!(answer.status, 200 | 429), "{} {}", answer.status, answer.text());
        slowest = slowest.max(started.elapsed());
        looks += 1;
        if finished {
            return (slowest, looks);
        }
    }
}

/// The file is whole JSON, bounded, and its decisions add up.
fn history_is_sound(home: &Home, decided: u64) {
    let path = home.path().join(".actifix/ticket_throttle_history.json");
    let bytes = std::fs::read(&path).expect("the history");
    assert!(bytes.len() < 4 << 20, "{} bytes", bytes.len());
    let history: Value = serde_json::from_slice(&bytes).expect("whole JSON");
    let text = history.to_string();
    assert!(text.contains("held") && text.contains("admitted"), "{text}");
    let listed = decisions(&history);
    assert_eq!(listed["admitted"] + listed["held"] + listed["counted"], decided, "{listed:?}");
    assert_eq!((listed["brake_soft"], listed["brake_hard"]), (1, 1), "{listed:?}");
}

/// Sums per decision, wherever in the document the records stand.
fn decisions(value: &Value) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    let mut rest = vec![value];
    while let Some(value) = rest.pop() {
        match value {
            Value::Array(items) => rest.extend(items),
            Value::Object(map) => {
                if let (Some(decision), Some(count)) =
                    (map.get("decision").and_then(Value::as_str), map.get("count").and_then(Value::as_u64))
                {
                    *sums.entry(decision.to_owned()).or_default() += count;
                }
                rest.extend(map.values());
            }
            _ => {}
        }
    }
    sums
}

/// By power failure and by a stop: limits used, brake, held tickets and counters are as before.
fn restart_forgets_nothing(home: &Arc<Home>, server: Server, before: &Value) {
    let tickets = by_status(&server);
    let fates = outcomes(&server);
    server.kill();
    let server = home.serve_busy();
    let after = home.cli(&["throttle", "status", "--project", "42", "--json"]).json();
    assert_eq!(after["held"], before["held"]);
    assert_eq!(after["throttle"]["brake"], before["throttle"]["brake"], "{after}");
    let used = |status: &Value| -> Vec<(String, u64)> {
        let uses = status["throttle"]["priorities"].as_array().expect("priorities").clone();
        uses.iter().map(|u| (u["priority"].to_string(), u["used"].as_u64().expect("used"))).collect()
    };
    assert_eq!(used(&after), used(before));
    assert_eq!(by_status(&server), tickets);
    assert_eq!(outcomes(&server), fates);
    // A new error is still held: neither brake nor budget began anew.
    let answer = server.raw(&envelope("Latecomer", true));
    assert_eq!(answer.status, 200);
    assert_eq!(outcomes(&server)["accepted"], fates["accepted"]);
    // A known one is never throttled.
    let open = server.list("/api/v1/tickets?project=42&status=open");
    let known = open.iter().find(|ticket| ticket["title"] != "Ticket flood").expect("an admitted ticket");
    let error_type = known["title"].as_str().and_then(|title| title.split(':').next()).expect("a type");
    assert_eq!(server.raw(&envelope(error_type, true)).status, 200);
    assert_eq!(outcomes(&server)["accepted"], fates["accepted"] + 1);

    // People may open what is held, oldest first, and one by name.
    let held_before = by_status(&server)["held"].0;
    let promoted = home.cli(&["throttle", "promote", "--project", "42", "--limit", "10", "--json"]).json();
    assert_eq!(promoted["promoted"].as_array().map(Vec::len), Some(10), "{promoted}");
    let one = server.get("/api/v1/tickets?project=42&status=held&limit=1")["items"][0]["id"].clone();
    let one = one.as_str().expect("an id");
    home.cli(&["throttle", "promote", one, "--project", "42"]).ok();
    assert_eq!(server.get(&format!("/api/v1/tickets/{one}"))["status"], "open");
    assert_eq!(by_status(&server)["held"].0, held_before - 11);
    let status = home.cli(&["throttle", "status", "--project", "42", "--json"]).json();
    server.stop();
    // Without a server the same is read from the home itself.
    let offline = home.cli(&["throttle", "status", "--project", "42", "--json"]).json();
    assert_eq!(offline["held"], status["held"]);
    history_is_sound(home, FLOOD as u64 + 1);
    home.cli(&["throttle", "reset", "--project", "42"]).ok();
    let status = home.cli(&["throttle", "status", "--project", "42", "--json"]).json();
    assert_eq!(status["throttle"]["brake"], "off", "{status}");
}

/// Who has a key or a credential reads the state of the brake beside every answer; strangers do not.
#[test]
fn answers_tell_the_emergency_brake() {
    const NAME: &str = "x-actifix-brake";
    let home = Home::with_config("[throttle]\nbrake_new_per_minute = 3\nbrake_hard_new_per_minute = 6\n");
    let server = home.serve_busy();
    home.import_projects();
    let of_api = |path: &str| server.call("GET", path, None).header(NAME).map(str::to_owned);
    let mut sent = 0;
    let mut of_ingest = || {
        sent += 1;
        let answer = server.raw(&envelope(&name("Flood", sent), false));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.header(NAME).map(str::to_owned)
    };
    assert_eq!(of_ingest().as_deref(), Some("off"));
    for path in ["/api/v1/tickets", "/api/v1/nothing", "/api/v1/tickets/ACT-20261124-ZZZZZ"] {
        assert_eq!(of_api(path).as_deref(), Some("off"), "{path}");
    }
    for _ in 0..4 {
        of_ingest();
    }
    while of_api("/api/v1/tickets").as_deref() != Some("soft") {}
    for _ in 0..4 {
        of_ingest();
    }
    while of_api("/api/v1/tickets").as_deref() != Some("hard") {}
    assert_eq!(of_ingest().as_deref(), Some("hard"));
    for stranger in [
        Request::get("/api/v1/tickets"),
        Request::get("/api/v1/nothing"),
        Request::post("/api/42/envelope/?sentry_key=00000000000000000000000000000000", "{}"),
    ] {
        let answer = server.send(&stranger);
        assert!((401..405).contains(&answer.status) && answer.header(NAME).is_none(), "{}", answer.status);
    }
    home.cli(&["throttle", "reset", "--project", "42"]).ok();
    while of_api("/api/v1/tickets").as_deref() != Some("off") {}
}

/// One connection, so that the order is known: where exactly the brake takes hold, and of whom.
#[test]
fn heavy_the_brake_takes_hold_where_it_should() {
    let home = Home::new();
    let server = home.serve_busy();
    home.import_projects();
    let started = Instant::now();
    let mut connection = server.connect();
    let mut post = |error_type: &str, handled: bool| {
        let answer = connection.exchange(&envelope(error_type, handled)).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["id"].as_str().expect("an id").to_owned()
    };
    let mut send = |error_type: &str, handled: bool| {
        let id = post(error_type, handled);
        server.get(&format!("/api/v1/events/{id}"))["outcome"].as_str().expect("an outcome").to_owned()
    };
    assert_eq!(send("SoonP", true), "accepted", "a P2 within its budget");
    for number in 0..199 {
        assert_eq!(send(&name("Unhandled", number), false), "accepted", "P1 number {number}");
    }
    assert_eq!(send("NumberTwoHundredOne", true), "held", "more than 200 within a minute hold P2");
    assert_eq!(send("StillFree", false), "accepted", "but not P1");
    assert_eq!(send("SoonP", true), "accepted", "and never a known ticket");
    let status = home.cli(&["throttle", "status", "--project", "42", "--json"]).json();
    assert_eq!(status["throttle"]["brake"], "soft", "{status}");
    // 202 would-be new tickets so far.
    for number in 202..1_000 {
        assert_eq!(send(&name("Unhandled", number), false), "accepted", "new ticket number {number}");
    }
    let before_last = started.elapsed();
    assert_eq!(send("NumberOneThousandOne", false), "held", "above 1,000 in a minute P1 is held too");
    assert!(before_last < Duration::from_secs(58), "too slow to be within one minute: {before_last:?}");
    let status = home.cli(&["throttle", "status", "--project", "42", "--json"]).json();
    assert_eq!(status["throttle"]["brake"], "hard", "{status}");
    assert_eq!((held_total(&status), status["held"]["events"].as_u64()), (2, Some(2)), "{status}");
    // A held ticket keeps one sample and goes on counting.
    post("NumberTwoHundredOne", true);
    let status = home.cli(&["throttle", "status", "--project", "42", "--json"]).json();
    assert_eq!((held_total(&status), status["held"]["events"].as_u64()), (2, Some(3)), "{status}");
    println!("1,001 new tickets over one connection in {:.1} s", started.elapsed().as_secs_f32());
    // Another project is not concerned.
    let body = "{}\n{\"type\":\"event\"}\n{\"message\":\"elsewhere\"}\n";
    let target = format!("/api/43/envelope/?sentry_key={}", crate::harness::KEY_43);
    let answer = server.send(&Request::post(&target, body));
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(server.get(&format!("/api/v1/events/{id}"))["outcome"], "accepted");
}

#[test]
fn each_priority_has_its_budget() {
    let home = Home::new();
    let server = home.serve_busy();
    home.import_projects();
    let target = format!("/api/42/envelope/?sentry_key={KEY_42}");
    for (level, priority, budget) in [("error", "P2", 15), ("warning", "P3", 5), ("info", "P4", 2)] {
        for number in 0..budget + 3 {
            let event = json!({ "message": name(level, number), "level": level });
            let answer =
                server.send(&Request::post(&target, format!("{{}}\n{{\"type\":\"event\"}}\n{event}\n")));
            let id = answer.json()["id"].as_str().expect("an id").to_owned();
            let event = server.get(&format!("/api/v1/events/{id}"));
            let wanted = if number < budget { "accepted" } else { "held" };
            assert_eq!(event["outcome"], wanted, "{priority} number {number}");
            let ticket =
                server.get(&format!("/api/v1/tickets/{}", event["ticket_id"].as_str().expect("an id")));
            assert_eq!(ticket["priority"], priority);
            assert_eq!(ticket["status"], if number < budget { "open" } else { "held" });
        }
    }
    let text = home.cli(&["throttle", "status", "--project", "42"]).ok();
    assert!(text.contains("9 tickets are held"), "{text}");
}

/// A storm of one group: counters exact, bodies sampled, others not starved.
#[test]
fn heavy_one_hot_group_is_sampled() {
    let home = Home::new();
    let server = home.serve_busy();
    home.import_projects();
    let mut connection = server.connect();
    let events = 600;
    for _ in 0..events {
        assert_eq!(connection.exchange(&envelope("Hot", true)).expect("an answer").status, 200);
    }
    let tickets = server.list("/api/v1/tickets?project=42");
    assert_eq!((tickets.len(), tickets[0]["count"].as_u64()), (1, Some(events)), "{tickets:?}");
    let fates = outcomes(&server);
    // The clock hour may turn in between: then up to 100 more are kept.
    let accepted = fates["accepted"];
    assert!((100..=210).contains(&accepted), "{fates:?}");
    assert_eq!(accepted + fates["sampled"], events, "{fates:?}");
    let id = tickets[0]["id"].as_str().expect("an id");
    let stored = server.list(&format!("/api/v1/tickets/{id}/events")).len() as u64;
    assert!(
        stored >= 100 && stored <= accepted + 5,
        "100, the powers of two and the latest are kept: {stored}"
    );
    let mut other: Connection = server.connect();
    assert_eq!(other.exchange(&envelope("Other", true)).expect("an answer").status, 200);
    assert_eq!(server.list("/api/v1/tickets?project=42").len(), 2);
}

#[test]
fn a_second_server_on_the_same_home_is_refused() {
    let home = Home::new();
    let server = home.serve_busy();
    let second = home.cli(&["serve"]);
    assert_eq!(second.code(), 75, "{}", second.stdout);
    // Also where it would ask for the very same port: that is not what is wrong.
    let mut there = home.command(&["serve"]);
    there.env("ACTIFIX_LISTENERS__MAIN__BIND", server.address.to_string());
    for refused in [second, finish(there, b"")] {
        let told = refused.stderr;
        assert!(told.starts_with("error: ") && told.trim_end().lines().count() == 1, "{told}");
        let pid = server.pid();
        for words in [
            &format!("pid {pid}"),
            &format!("http://{}", server.address),
            &format!("`kill {pid}`"),
            "--home DIR",
        ] {
            assert!(told.contains(words), "{words:?} is not in: {told}");
        }
    }
    // On a home of its own it is the port that is taken.
    let other = Home::new();
    let mut there = other.command(&["serve"]);
    there.env("ACTIFIX_LISTENERS__MAIN__BIND", server.address.to_string());
    let refused = finish(there, b"");
    assert_eq!(refused.code(), 73, "{}", refused.stderr);
    let address = server.address.to_string();
    for words in
        [&address, "another program listens there", "stop it", "ACTIFIX_LISTENERS__MAIN__BIND=127.0.0.1:"]
    {
        assert!(refused.stderr.contains(words), "{words:?} is not in: {}", refused.stderr);
    }
    // The first is unharmed, and so is its door for commands.
    assert!(home.cli(&["dsn"]).ok().starts_with("http://"));
    // Once it is gone, its place is free, also after a power failure.
    server.kill();
    let server = home.serve_busy();
    assert!(home.cli(&["dsn"]).ok().contains(&server.address.to_string()));
}
