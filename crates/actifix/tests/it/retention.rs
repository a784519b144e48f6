//! What goes, what must stay, what is taken out and taken over; and what a full disk leaves possible.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::{Home, Server, finish};
use crate::http::Request;
use crate::setup::tamper;

#[test]
fn a_hold_is_set_shown_and_released_and_each_is_recorded() {
    let home = Home::new();
    home.cli(&["record", "held for a case"]).ok();
    let ticket =
        home.cli(&["ticket", "list", "--json"]).json()["items"][0]["id"].as_str().unwrap().to_owned();
    let hold = home.cli(&["retention", "hold", "--ticket", &ticket, "--reason", "case 17", "--json"]).json();
    assert_eq!((hold["id"].as_u64(), hold["ticket"].as_str()), (Some(1), Some(ticket.as_str())), "{hold}");
    assert_eq!(home.cli(&["retention", "hold", "--ticket", &ticket, "--reason", "again"]).code(), 2);
    assert_eq!(home.cli(&["retention", "hold", "--reason", "nothing"]).code(), 2);
    let shown = home.cli(&["retention", "show"]).ok();
    assert!(
        shown.contains("case 17") && shown.contains(&ticket) && shown.contains("retention.events_days"),
        "{shown}"
    );
    home.cli(&["retention", "run"]).ok();
    let shown = home.cli(&["retention", "show", "--json"]).json();
    assert_eq!(shown["last_run"]["ok"], json!(true), "{shown}");
    home.cli(&["retention", "release", "1"]).ok();
    assert_eq!(home.cli(&["retention", "release", "1"]).code(), 2);
    let audit = home.cli(&["audit", "list", "--json"]).ok();
    assert!(audit.contains("hold.set") && audit.contains("hold.released"), "{audit}");
}

#[test]
fn quarantine_of_a_held_project_is_not_deleted_by_hand() {
    let home = Home::new();
    let server = home.serve();
    let id = crate::fates::quarantined(&server);
    home.cli(&["retention", "hold", "--project", "42", "--reason", "case"]).ok();
    let refused = home.cli(&["quarantine", "delete", &id]);
    assert_eq!(refused.code(), 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("legal hold"), "{}", refused.stderr);
    home.cli(&["retention", "release", "1"]).ok();
    home.cli(&["quarantine", "delete", &id]).ok();
}

#[test]
fn csv_is_safe_for_spreadsheets_and_lines_hold_whole_events() {
    let home = Home::new();
    home.cli(&["record", "=cmd|' /C calc'!A0"]).ok();
    home.cli(&["record", "plain, \"quoted\" text"]).ok();
    let csv = home.cli(&["export", "--what", "tickets", "--format", "csv"]).ok();
    assert!(csv.starts_with("\"id\",\"project\",\"title\","), "{csv}");
    assert!(csv.contains(",\"'=cmd|' /C calc'!A0\",") && !csv.contains("\"=cmd"), "{csv}");
    assert!(csv.contains("\"plain, \"\"quoted\"\" text\""), "{csv}");
    let lines = home.cli(&["export"]).ok();
    let events: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(events.len(), 2);
    assert!(
        events.iter().all(|event| event["ticket_id"].is_string() && event["logentry"].is_object()),
        "{lines}"
    );
    let out = home.path().join("out.csv");
    let path = out.to_str().unwrap();
    home.cli(&["export", "--what", "events", "--format", "csv", "--out", path]).ok();
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(home.cli(&["export", "--out", path]).code(), 73, "nothing is written over");
}

fn secret() -> String {
    format!("AKIA{}", "Z7QH4MNPRT2VWX3Y")
}

#[test]
fn events_of_other_trackers_come_in_redacted_and_once() {
    let home = Home::new();
    home.cli(&["record", "our own"]).ok();
    let sentry = json!([
        { "eventID": "9999aaaaca8b46d797c23c6077c6ff01", "dateCreated": "2026-11-01T10:00:00Z", "platform": "python",
          "title": "ValueError: bad", "tags": [{ "key": "level", "value": "fatal" }],
          "entries": [{ "type": "exception", "data": { "values": [{ "type": "ValueError",
              "value": format!("bad key {}", secret()),
              "stacktrace": { "frames": [{ "filename": "a.py", "function": "f", "lineNo": 2, "inApp": true }] } }] } }] },
        { "event_id": "9999aaaaca8b46d797c23c6077c6ff02", "platform": "go", "message": "stored json" }
    ]);
    let path = home.path().join("sentry.json");
    fs::write(&path, sentry.to_string()).unwrap();
    let import =
        |tracker: &str, path: &Path| home.cli(&["import", tracker, path.to_str().unwrap(), "--json"]).json();
    assert_eq!(import("sentry", &path), json!({ "new": 2, "known": 0, "refused": 0 }));
    assert_eq!(
        import("sentry", &path),
        json!({ "new": 0, "known": 2, "refused": 0 }),
        "a second time changes nothing"
    );
    let bugsink = home.path().join("bugsink.jsonl");
    let line = json!({ "id": "b", "event_id": "9999aaaaca8b46d797c23c6077c6ff03", "data": { "message": "of bugsink" } });
    fs::write(&bugsink, format!("{line}\n\n{line:#}\n")).unwrap();
    assert_eq!(import("bugsink", &bugsink), json!({ "new": 1, "known": 1, "refused": 0 }));
    let tickets = home.cli(&["ticket", "list", "--json"]).json();
    assert_eq!(tickets["items"].as_array().unwrap().len(), 4, "{tickets}");
    let event = home.cli(&["events", "show", "9999aaaaca8b46d797c23c6077c6ff01", "--json"]).json();
    assert_eq!(event["level"], "fatal");
    assert_eq!(event["exception"][0]["stacktrace"]["frames"][0]["lineno"], 2, "{event}");
    fs::remove_file(&path).unwrap();
    for (file, bytes) in home.files() {
        let found = bytes.windows(secret().len()).any(|part| part == secret().as_bytes());
        assert!(!found, "{} holds the secret", file.display());
    }
    for (text, why) in [("[1]", "no object"), ("{\"a\": ", "not JSON"), ("[{\"name\": 1}]", "not an event")] {
        fs::write(&path, text).unwrap();
        let refused = home.cli(&["import", "sentry", path.to_str().unwrap()]);
        assert_eq!(refused.code(), 2, "{text}");
        assert!(refused.stderr.contains(why), "{text}: {}", refused.stderr);
    }
}

/// Runs the commands of a page, one shell per block, in a directory of its own.
fn run_page(page: &str, replacements: &dyn Fn(&str) -> String, home: &Home, dir: &Path) -> usize {
    let mut blocks = 0;
    for part in page.split("```sh\n").skip(1) {
        let script = replacements(part.split("```").next().unwrap());
        let mut command = Command::new("bash");
        command.current_dir(dir).args(["-euo", "pipefail", "-c"]);
        command.arg(format!("actifix() {{ {} \"$@\"; }}\n{script}", env!("CARGO_BIN_EXE_actifix")));
        command.env("ACTIFIX_HOME", home.path()).env("NO_COLOR", "1");
        if let Ok(key) = fs::read_to_string(dir.join("backup.key")) {
            let line = key.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
            command.env("ACTIFIX_BACKUP__RECIPIENTS", line);
        }
        let done = finish(command, b"");
        assert_eq!(done.code(), 0, "{script}\n{}{}", done.stdout, done.stderr);
        blocks += 1;
    }
    blocks
}

#[test]
fn the_commands_of_the_pages_work() {
    let home = Home::new();
    home.cli(&["record", "for the pages"]).ok();
    let dir = tempfile::tempdir().unwrap();
    let backups = home.path().join(".actifix/backups");
    let with_name = |script: &str| {
        let newest = fs::read_dir(&backups).ok().and_then(|mut entries| entries.next());
        match newest {
            Some(entry) => script.replace("actifix-….tar.zst.age", entry.unwrap().path().to_str().unwrap()),
            None => script.to_owned(),
        }
    };
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/backups.md"));
    assert_eq!(run_page(page, &with_name, &home, dir.path()), 5);
    assert!(dir.path().join("restored/data/actifix.db").exists());
    fs::write(dir.path().join("events.json"), "[]").unwrap();
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/retention.md"));
    fs::write(dir.path().join("empty"), "").unwrap();
    let as_is = |script: &str| script.replace("import bugsink events.jsonl", "import bugsink empty");
    assert_eq!(run_page(page, &as_is, &home, dir.path()), 4);
}

/// Words that no compression makes small.
fn noise(seed: u64) -> Value {
    let mut state = seed;
    let mut fields = serde_json::Map::new();
    for field in 0..40 {
        let mut text = String::new();
        while text.len() < 6_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            for place in 0..8 {
                text.push(char::from(b'a' + (state >> (8 + 5 * place) & 15) as u8));
            }
            text.push(' ');
        }
        fields.insert(format!("f{field}"), json!(text));
    }
    Value::Object(fields)
}

#[test]
fn heavy_a_full_disk_lets_people_log_in_delete_and_run_retention() {
    let home = Home::with_config(
        "[throttle]\nenabled = false\n[limits]\nsample_after = 0\n[retention]\nevents_bytes_max = 100000\n",
    );
    home.cli(&["record", "first"]).ok();
    let password = "a long enough passphrase 17";
    home.cli_stdin(&["admin", "set-password", "--stdin"], password.as_bytes()).ok();
    let server = small_disk(&home);
    let send = |number: u64| {
        let body = json!({ "message": "noise", "event": { "message": format!("noise {}", number % 3), "extra": noise(number) } });
        let request = Request::new("POST", "/api/v1/events")
            .header("Authorization", &format!("Bearer {}", server.token()))
            .header("Content-Type", "application/json")
            .body(body.to_string());
        server.send(&request).status
    };
    let mut accepted = 0u64;
    let refused = loop {
        match send(accepted) {
            201 => accepted += 1,
            other => break other,
        }
        assert!(accepted < 2_000, "the disk never filled");
    };
    assert_eq!(refused, 503, "after {accepted} events");
    for round in 0..5 {
        assert_eq!(send(5_000 + round), 503);
        let login = json!({ "username": "admin", "password": password });
        let request = Request::new("POST", "/api/v1/auth/login")
            .header("Content-Type", "application/json")
            .body(login.to_string());
        assert_eq!(server.send(&request).status, 200, "logging in, round {round}");
    }
    let list = server.list("/api/v1/tickets");
    assert!(!list.is_empty(), "reads work");
    let id = list[0]["id"].as_str().unwrap();
    server.post(&format!("/api/v1/tickets/{id}/notes"), &json!({ "text": "the disk is full" }));
    let done = server.post("/api/v1/retention/run", &json!({}));
    assert!(done["deleted"]["events"].as_u64().unwrap() > 0, "{done}");
    // Room again: it goes on by itself.
    fs::write(home.path().join("free"), "now\n").unwrap();
    let mut tries = 0u64;
    while send(9_000 + tries) != 201 {
        tries += 1;
        assert!(tries < 100_000, "it does not recover");
    }
    let (status, printed) = server.stop();
    assert_eq!(status.code(), Some(0), "{}", String::from_utf8_lossy(&printed));
    println!("{accepted} events filled the disk, {tries} refused until there was room again");
}

/// A server whose data lies on a disk of 112 MiB, 72 of which somebody else uses until the file `free` is written.
fn small_disk(home: &Arc<Home>) -> Server {
    let script = "set -e; cp -a \"$1/data\" \"$1/seed\"; mount -t tmpfs -o size=112m,mode=0700 tmpfs \"$1/data\"; \
        cp -a \"$1/seed/.\" \"$1/data/\"; head -c 75497472 /dev/zero > \"$1/data/ballast\"; chmod 600 \"$1/data/ballast\"; \
        mkfifo \"$1/free\"; (read -r _ < \"$1/free\"; rm \"$1/data/ballast\") >/dev/null 2>&1 & exec \"$2\" --home \"$1\" serve";
    let mut command = Command::new("unshare");
    command.args(["-rm", "bash", "-c", script, "bash"]).arg(home.path()).arg(env!("CARGO_BIN_EXE_actifix"));
    command.env("NO_COLOR", "1").env("ACTIFIX_RATE_LIMIT_DISABLED", "1");
    Server::run(Arc::clone(home), command)
}

#[test]
fn a_clock_that_leapt_deletes_nothing_until_somebody_says_that_it_is_right() {
    let home = Home::new();
    home.cli(&["record", &format!("bad key {}", secret())]).ok();
    let findings = || home.cli(&["findings", "list", "--json"]).json()["items"].as_array().unwrap().len();
    let of_day = |days: i64| days * 86_400_000_000;
    // What a clock that is ten years ahead makes of a home: all is old, and was written long ago.
    tamper(
        &home,
        &format!(
            "UPDATE findings SET last_seen = last_seen - {ten}; UPDATE clock_mark SET at = at - {ten}",
            ten = of_day(3_650)
        ),
    );
    let refused = home.cli(&["retention", "run"]);
    assert_eq!(refused.code(), 2, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("3650 days ahead") && refused.stderr.contains("retention run --accept-clock"),
        "{}",
        refused.stderr
    );
    assert_eq!(findings(), 1);
    for shown in [home.cli(&["retention", "run", "--dry-run"]).ok(), home.cli(&["retention", "show"]).ok()] {
        assert!(
            shown.contains("3650 days ahead") && shown.contains("nothing is deleted by its age"),
            "{shown}"
        );
    }
    let doctor: Value = serde_json::from_str(&home.cli(&["doctor", "--json"]).stdout).unwrap();
    let clock = doctor["checks"].as_array().unwrap().iter().find(|check| check["id"] == "clock").unwrap();
    assert_ne!(clock["state"], "pass", "{clock}");
    assert!(clock["evidence"].as_str().unwrap().contains("3650 days ahead"), "{clock}");
    let server = home.serve();
    let figures = server.call("GET", "/metrics", None).text();
    let jump = figures.lines().find_map(|line| line.strip_prefix("actifix_clock_jump_seconds "));
    assert!(jump.unwrap().parse::<f64>().unwrap() > 3e8, "{jump:?}");
    assert_eq!(home.cli(&["retention", "run"]).code(), 2, "the server refuses as well");
    assert_eq!(findings(), 1);
    assert_eq!(home.cli(&["retention", "run", "--dry-run", "--accept-clock"]).code(), 2);
    let done = home.cli(&["retention", "run", "--accept-clock"]).ok();
    assert!(done.contains("1 finding") && !done.contains("ahead"), "{done}");
    assert_eq!(findings(), 0);
    let figures = server.call("GET", "/metrics", None).text();
    assert!(figures.contains("actifix_clock_jump_seconds 0\n"), "{figures}");
    home.cli(&["retention", "run"]).ok();
}
