//! The command line: what it prints, what it exits with, and that it needs no explanation of its errors.

use std::fs;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::{Home, Server, bare_command, finish};
use crate::http::Request;

fn started() -> (Arc<Home>, Server) {
    let home = Home::new();
    let server = home.serve();
    (home, server)
}

#[track_caller]
fn refused(finished: crate::harness::Finished, code: i32, says: &str) {
    assert_eq!(finished.code(), code, "stdout: {}\nstderr: {}", finished.stdout, finished.stderr);
    assert!(finished.stderr.contains(says), "{says:?} is not in: {}", finished.stderr);
}

/// `error: …` on one line, for errors of ours.
#[track_caller]
fn refused_in_one_line(finished: crate::harness::Finished, code: i32, says: &str) {
    assert!(finished.stderr.starts_with("error: "), "{}", finished.stderr);
    assert_eq!(finished.stderr.trim_end().lines().count(), 1, "{}", finished.stderr);
    refused(finished, code, says);
}

#[test]
fn record_says_what_became_of_it() {
    let (home, _server) = started();
    let record = |more: &[&str]| {
        let mut arguments = vec!["record", "disk is full", "--type", "DiskError", "--source", "backup.sh:17"];
        arguments.extend(more);
        home.cli(&arguments).ok().trim().to_owned()
    };
    let first = record(&["--priority", "P0"]);
    let (id, word) = first.split_once(' ').expect("an id and a word");
    assert_eq!(word, "new");
    assert!(is_ticket_id(id), "{id}");
    assert_eq!(record(&[]), format!("{id} seen (2)"));
    let ticket = home.cli(&["ticket", "show", id, "--json"]).json();
    assert_eq!(ticket["priority"], "P0", "the command line may set it: {ticket}");
    assert_eq!(ticket["title"], "DiskError: disk is full");
    assert_eq!(ticket["count"], 2);

    complete(&home, id, &["--resolved-in", "backup@2.0.0"]);
    assert_eq!(
        record(&["--release", "backup@1.9.0"]),
        format!("{id} seen (3)"),
        "an older release does not reopen"
    );
    assert_eq!(record(&["--release", "backup@2.0.1"]), format!("{id} regressed"));
    let ticket = home.cli(&["ticket", "show", id, "--json"]).json();
    assert_eq!(
        (ticket["status"].as_str(), ticket["regressions"].as_u64()),
        (Some("open"), Some(1)),
        "{ticket}"
    );

    let answer = home.cli(&["record", "another", "--json"]).json();
    assert_eq!(
        (answer["outcome"].as_str(), answer["change"].as_str()),
        (Some("accepted"), Some("new")),
        "{answer}"
    );
    let stack = "Traceback (most recent call last):\n  File \"/srv/app/jobs.py\", line 9, in nightly\n    run()\nValueError: bad row\n";
    let with_stack =
        home.cli_stdin(&["record", "bad row", "--stack", "-", "--json"], stack.as_bytes()).json();
    let event =
        home.cli(&["events", "show", with_stack["event_id"].as_str().expect("an id"), "--json"]).json();
    assert_eq!(event["exception"][0]["type"], "ValueError", "{event}");
    assert_eq!(event["exception"][0]["stacktrace"]["frames"][0]["function"], "nightly");
    assert_eq!(event["provenance"]["transport"], "cli");
    assert_eq!(event["provenance"]["origin_class"], "token");
    // Held is told as well: two P4 a day, the third waits.
    for (number, word) in ["new", "new", "held"].iter().enumerate() {
        let text = ["first", "second", "third"][number];
        let line = home.cli(&["record", text, "--priority", "P4"]).ok();
        assert!(line.trim_end().ends_with(word), "{text}: {line}");
    }
}

fn is_ticket_id(id: &str) -> bool {
    let parts: Vec<&str> = id.split('-').collect();
    parts.len() == 3
        && parts[0] == "ACT"
        && parts[1].len() == 8
        && parts[1].bytes().all(|b| b.is_ascii_digit())
        && parts[2].len() == 5
        && parts[2].bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase() && !b"ILOU".contains(&b))
}

fn complete(home: &Home, id: &str, more: &[&str]) -> Value {
    let mut arguments = vec![
        "ticket",
        "complete",
        id,
        "--root-cause",
        "the disk had no room left",
        "--commit",
        "3f2a91c0",
        "--no-test-reason",
        "a full disk is not tested",
        "--json",
    ];
    arguments.extend(more);
    home.cli(&arguments).json()
}

#[test]
fn run_passes_the_exit_code_on_and_records_the_end_of_stderr() {
    let (home, _server) = started();
    let good = home.cli(&["run", "--", "sh", "-c", "echo out; echo err >&2"]);
    assert_eq!((good.code(), good.stdout.as_str()), (0, "out\n"), "{}", good.stderr);
    assert!(good.stderr.contains("err\n"));
    assert_eq!(home.cli(&["ticket", "list", "--json"]).json()["items"].as_array().map(Vec::len), Some(0));

    let bad = home.cli(&["run", "--", "sh", "-c", "echo 'cannot open orders.csv' >&2; exit 17"]);
    assert_eq!(bad.code(), 17, "{}", bad.stderr);
    assert!(
        bad.stderr.starts_with("cannot open orders.csv\n"),
        "the program's own words come first: {}",
        bad.stderr
    );
    let event = only_event(&home);
    assert!(event.to_string().contains("cannot open orders.csv"), "{event}");
    assert_eq!(event["title"], "sh exited with 17: cannot open orders.csv");

    let trace = "Traceback (most recent call last):\\n  File \"/srv/app/jobs.py\", line 9, in nightly\\n    run()\\nRuntimeError: no rows\\n";
    let traced = home.cli(&["run", "--", "sh", "-c", &format!("printf '{trace}' >&2; exit 1")]);
    assert_eq!(traced.code(), 1);
    let tickets = home.cli(&["ticket", "list", "--json"]).json();
    assert!(tickets.to_string().contains("RuntimeError: no rows"), "{tickets}");

    let killed = home.cli(&["run", "--", "sh", "-c", "kill -9 $$"]);
    assert_eq!(killed.code(), 128 + 9, "{}", killed.stderr);
    // Its secrets are no more kept than anybody's.
    let token = ["gh", "p_", &"Zq7".repeat(12)].concat();
    let leaking =
        home.cli(&["run", "--", "sh", "-c", &format!("echo 'auth with {token} failed' >&2; exit 2")]);
    assert_eq!(leaking.code(), 2);
    let stored = home.cli(&["ticket", "list", "--json"]).json();
    let id = stored["items"][0]["id"].as_str().expect("a ticket").to_owned();
    let shown = home.cli(&["ticket", "show", &id]).ok();
    assert!(!shown.contains(&token) && !home.cli(&["findings", "list"]).ok().contains(&token));
    // A program that vanished is heard of too, with the codes of a shell.
    let gone = home.cli(&["run", "--", "/nonexistent/nightly"]);
    assert_eq!(gone.code(), 127, "{}", gone.stderr);
    assert_eq!(home.cli(&["run", "--", "/"]).code(), 126);
    let tickets = home.cli(&["ticket", "list", "--json"]).json().to_string();
    assert!(tickets.contains("nightly could not be started: No such file"), "{tickets}");
}

#[test]
fn different_failures_of_one_interpreter_are_different_tickets() {
    let (home, _server) = started();
    for script in [
        "echo 'no rows in 7 s' >&2; exit 3",
        "echo 'no rows in 9 s' >&2; exit 3",
        "echo 'disk full' >&2; exit 3",
    ] {
        assert_eq!(home.cli(&["run", "--", "sh", "-c", script]).code(), 3);
    }
    let tickets = home.cli(&["ticket", "list", "--json", "--sort", "count"]).json();
    let counts: Vec<&Value> =
        tickets["items"].as_array().into_iter().flatten().map(|one| &one["count"]).collect();
    assert_eq!(counts, [2, 1], "{tickets}");
}

fn only_event(home: &Home) -> Value {
    let tickets = home.cli(&["ticket", "list", "--json"]).json();
    assert_eq!(tickets["items"].as_array().map(Vec::len), Some(1), "{tickets}");
    let id = tickets["items"][0]["id"].as_str().expect("an id");
    let ticket = home.cli(&["ticket", "show", id, "--json"]).json();
    home.cli(&["events", "show", ticket["latest_event"].as_str().expect("an event"), "--json"]).json()
}

/// A log of each language with one stack trace; type, function of the crash.
const LOGS: &[(&str, &str, &str, &str)] = &[
    (
        "python",
        "2026-11-24 09:47:29,123 INFO started\n2026-11-24 09:47:30,001 ERROR job failed\nTraceback (most recent call last):\n  File \"/srv/shop/jobs.py\", line 28, in nightly\n    return load(rows)\n  File \"/srv/shop/load.py\", line 7, in load\n    raise ValueError(\"bad row\")\nValueError: bad row\n2026-11-24 09:47:31,000 INFO next\n",
        "ValueError",
        "load",
    ),
    (
        "javascript",
        "TypeError: Cannot read properties of undefined (reading 'total')\n    at parseCart (/srv/shop/cart.js:12:9)\n    at Server.handle (/srv/shop/server.js:40:3)\n    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)\n",
        "TypeError",
        "parseCart",
    ),
    (
        "java",
        "Exception in thread \"main\" java.lang.IllegalStateException: order 17 is closed\n\tat com.example.shop.Orders.close(Orders.java:31)\n\tat com.example.shop.Main.main(Main.java:8)\nCaused by: java.io.IOException: broken pipe\n\tat com.example.shop.Net.send(Net.java:77)\n\t... 2 more\n",
        "IllegalStateException",
        "close",
    ),
    (
        "go",
        "panic: runtime error: index out of range [3] with length 2\n\ngoroutine 1 [running]:\nmain.pick(...)\n\t/srv/shop/main.go:14\nmain.main()\n\t/srv/shop/main.go:9 +0x1d\nexit status 2\n",
        "",
        "pick",
    ),
    (
        "ruby",
        "/srv/shop/cart.rb:12:in `total': undefined method `price' for nil (NoMethodError)\n\tfrom /srv/shop/cart.rb:20:in `checkout'\n\tfrom app.rb:3:in `<main>'\n",
        "NoMethodError",
        "total",
    ),
    (
        "dotnet",
        "Unhandled exception. System.InvalidOperationException: cart is empty\n   at Shop.Cart.Total(Int32 id) in /srv/shop/Cart.cs:line 31\n   at Shop.Program.Main(String[] args) in /srv/shop/Program.cs:line 9\n",
        "System.InvalidOperationException",
        "Total",
    ),
    (
        "rust",
        "thread 'main' panicked at src/main.rs:17:5:\nno rows left\nstack backtrace:\n   0: rust_begin_unwind\n             at /rustc/abc/library/std/src/panicking.rs:647:5\n   1: shop::pick\n             at ./src/main.rs:17:5\n   2: shop::main\n             at ./src/main.rs:9:5\nnote: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.\n",
        "panic",
        "shop::pick",
    ),
    (
        "php",
        "PHP Fatal error:  Uncaught RuntimeException: no stock in /srv/shop/cart.php:31\nStack trace:\n#0 /srv/shop/index.php(9): Cart->total()\n#1 {main}\n  thrown in /srv/shop/cart.php on line 31\n",
        "RuntimeException",
        "total",
    ),
];

/// What telemetry says of the same failures: the language and the exception's type as its library names it.
const TELEMETRY: &[(&str, &str, &str)] = &[
    ("java", "java", "java.lang.IllegalStateException"),
    ("go", "go", "runtime.boundsError"),
    ("dotnet", "dotnet", "System.InvalidOperationException"),
    ("rust", "rust", "panic"),
    ("php", "php", "RuntimeException"),
    ("ruby", "ruby", "NoMethodError"),
];

/// One failure that comes by two doors is one ticket (`docs/decisions/0011`).
#[test]
fn logs_and_telemetry_of_one_failure_are_one_ticket() {
    let (home, server) = started();
    for (language, sdk, error_type) in TELEMETRY {
        let (_, log, ..) = LOGS.iter().find(|(name, ..)| name == language).expect("a log");
        home.cli(&["project", "create", language]).ok();
        home.cli_stdin(&["ingest", "logs", "-", "--project", language, "--json"], log.as_bytes()).json();
        let events = home.cli(&["ticket", "list", "--project", language, "--json"]).json();
        let ticket =
            home.cli(&["ticket", "show", events["items"][0]["id"].as_str().expect("an id"), "--json"]).json();
        let event = ticket["latest_event"].as_str().expect("an event");
        let event = home.cli(&["events", "show", event, "--project", language, "--json"]).json();
        let message =
            event["exception"].as_array().and_then(|chain| chain.last()).expect("an exception")["value"]
                .clone();
        let text = |key: &str, value: &Value| json!({ "key": key, "value": { "stringValue": value } });
        let batch = json!({ "resourceLogs": [{
            "resource": { "attributes": [text("telemetry.sdk.language", &json!(sdk))] },
            "scopeLogs": [{ "logRecords": [{ "severityNumber": 17, "attributes": [
                text("exception.type", &json!(error_type)),
                text("exception.message", &message),
                text("exception.stacktrace", &json!(log)),
            ] }] }]
        }] });
        let key = home.cli(&["project", "key", "list", language, "--json"]).json();
        let key = key["items"][0]["public_key"].as_str().expect("a key").to_owned();
        let request = crate::http::Request::post(&format!("/v1/logs?sentry_key={key}"), batch.to_string())
            .header("Content-Type", "application/json");
        assert_eq!(server.send(&request).status, 200);
        let tickets = home.cli(&["ticket", "list", "--project", language, "--json"]).json();
        let counts: Vec<_> = tickets["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|ticket| (&ticket["title"], &ticket["count"]))
            .collect();
        assert_eq!(counts.len(), 1, "{language}: {counts:?}");
        assert_eq!(counts[0].1, 2, "{language}: {counts:?}");
    }
}

#[test]
fn logs_of_every_language_become_events() {
    let (home, _server) = started();
    for (language, log, error_type, function) in LOGS {
        home.cli(&["project", "create", &format!("of-{language}")]).ok();
        let project = format!("of-{language}");
        let path = home.path().join(format!("{language}.log"));
        fs::write(&path, log).expect("a log");
        let from_file =
            home.cli(&["ingest", "logs", &path.to_string_lossy(), "--project", &project, "--json"]).json();
        assert_eq!(from_file["events"], 1, "{language}: one trace is one event");
        let from_stdin =
            home.cli_stdin(&["ingest", "logs", "-", "--project", &project, "--json"], log.as_bytes()).json();
        assert_eq!(from_stdin["events"], 1, "{language}");
        let tickets = home.cli(&["ticket", "list", "--project", &project, "--json"]).json();
        assert_eq!(tickets["items"].as_array().map(Vec::len), Some(1), "{language}: {tickets}");
        assert_eq!(tickets["items"][0]["count"], 2, "{language}");
        let id = tickets["items"][0]["id"].as_str().expect("an id");
        let ticket = home.cli(&["ticket", "show", id, "--json"]).json();
        let event = ticket["latest_event"].as_str().expect("an event");
        let event = home.cli(&["events", "show", event, "--project", &project, "--json"]).json();
        let last = event["exception"].as_array().and_then(|chain| chain.last().cloned()).unwrap_or_default();
        if !error_type.is_empty() {
            assert_eq!(last["type"], *error_type, "{language}: {event}");
        }
        assert!(last.to_string().contains(function), "{language}: {event}");
        assert!(
            ticket["culprit"].as_str().unwrap_or_default().contains(function),
            "{language}: {}",
            ticket["culprit"]
        );
        assert_eq!(event["provenance"]["transport"], "log", "{language}");
    }
}

#[test]
fn json_lines_and_plain_lines_become_events() {
    let (home, _server) = started();
    let lines = concat!(
        "{\"level\":\"info\",\"msg\":\"fine\"}\n",
        "{\"level\":\"error\",\"msg\":\"payment refused\",\"logger\":\"shop.pay\",\"order\":17}\n",
        "{\"severity\":\"CRITICAL\",\"message\":\"no database\"}\n",
        "not json at all\n",
    );
    let json =
        home.cli_stdin(&["ingest", "logs", "-", "--format", "json", "--json"], lines.as_bytes()).json();
    assert_eq!(json["events"], 2, "{json}");
    let titles = home.cli(&["ticket", "list", "--json"]).json().to_string();
    assert!(
        titles.contains("payment refused") && titles.contains("no database") && !titles.contains("fine"),
        "{titles}"
    );
    let plain = "2026-11-24T09:47:29Z WARN slow\n2026-11-24T09:47:30Z ERROR lost the queue\n";
    let all = home.cli_stdin(&["ingest", "logs", "-", "--min-level", "warning"], plain.as_bytes());
    assert_eq!(all.code(), 0, "{}", all.stderr);
    assert_eq!(all.stdout.lines().count(), 2, "one line per event: {}", all.stdout);
    refused_in_one_line(home.cli(&["ingest", "logs", "/nonexistent/app.log"]), 74, "/nonexistent/app.log");
    refused_in_one_line(home.cli(&["ingest", "logs", "-", "--min-level", "loud"]), 2, "--min-level");
}

#[test]
fn tickets_are_claimed_completed_and_reopened() {
    let (home, _server) = started();
    let recorded = home.cli(&["record", "cart is empty", "--json"]).json();
    let id = recorded["ticket_id"].as_str().expect("an id");
    let lease = home.cli(&["ticket", "claim", id, "--minutes", "5", "--json"]).json();
    let (lease_id, fence) = (lease["lease_id"].as_str().expect("an id"), lease["fence"].to_string());
    assert_eq!(status(&home, id), "in_progress");
    refused_in_one_line(home.cli(&["ticket", "claim", id]), 2, "leased by");
    let renewed = home.cli(&["ticket", "renew", id, "--lease", lease_id, "--fence", &fence, "--json"]).json();
    assert!(renewed["expires_at"].as_str() > lease["expires_at"].as_str(), "{renewed}");
    home.cli(&[
        "ticket",
        "note",
        id,
        "happens only behind the proxy",
        "--lease",
        lease_id,
        "--fence",
        &fence,
    ])
    .ok();

    // Nothing is resolved without evidence, and all that is missing is named at once.
    let bare =
        home.cli(&["ticket", "complete", id, "--root-cause", "x", "--lease", lease_id, "--fence", &fence]);
    for field in ["--root-cause", "--commit", "--test"] {
        assert!(bare.stderr.contains(field), "{field}: {}", bare.stderr);
    }
    refused_in_one_line(bare, 2, "--root-cause");
    let proof = json!({
        "command": "cargo test cart",
        "before": { "exit_code": 101, "output_digest": "a".repeat(64), "commit": "1111111" },
        "after": { "exit_code": 0, "output_digest": "b".repeat(64), "commit": "2222222" },
    });
    let never_failed = proof.to_string().replace("101", "0");
    let arguments = |test: &str| {
        vec![
            "ticket".to_owned(),
            "complete".into(),
            id.into(),
            "--root-cause".into(),
            "the total was not summed".into(),
            "--commit".into(),
            "2222222".into(),
            "--test".into(),
            test.into(),
            "--lease".into(),
            lease_id.into(),
            "--fence".into(),
            fence.clone(),
            "--json".into(),
        ]
    };
    let call = |test: &str| {
        let owned = arguments(test);
        home.cli(&owned.iter().map(String::as_str).collect::<Vec<_>>())
    };
    refused(call(&never_failed), 2, "test");
    assert_eq!(status(&home, id), "in_progress");
    let done = call(&proof.to_string()).json();
    assert_eq!(done["status"], "resolved", "{done}");
    let shown = home.cli(&["ticket", "show", id]).ok();
    for text in ["resolved", "happens only behind the proxy"] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    home.cli(&["ticket", "reopen", id]).ok();
    assert_eq!(status(&home, id), "open");
    home.cli(&["ticket", "ignore", id]).ok();
    assert_eq!(status(&home, id), "ignored");
    let again = home.cli(&["record", "cart is empty"]).ok();
    assert!(again.contains("seen (2)"), "on an ignored ticket events only count: {again}");
    assert_eq!(status(&home, id), "ignored");
    home.cli(&["ticket", "reopen", id]).ok();
    let assigned = home.cli(&["ticket", "assign", id, "bob", "--json"]).json();
    assert_eq!(assigned["assignee"], "bob");
    let lease = home.cli(&["ticket", "claim", id, "--json"]).json();
    let fence = lease["fence"].to_string();
    let lease_id = lease["lease_id"].as_str().expect("an id");
    home.cli(&["ticket", "release", id, "--lease", lease_id, "--fence", &fence, "--reason", "not mine"]).ok();
    assert_eq!(status(&home, id), "open");
    refused_in_one_line(
        home.cli(&["ticket", "renew", id, "--lease", lease_id, "--fence", &fence]),
        2,
        "lease",
    );
    refused_in_one_line(home.cli(&["ticket", "show", "ACT-20261124-ZZZZZ"]), 2, "not found");
    refused_in_one_line(home.cli(&["ticket", "show", "nonsense"]), 2, "not found");
}

fn status(home: &Home, id: &str) -> String {
    home.cli(&["ticket", "show", id, "--json"]).json()["status"].as_str().expect("a status").to_owned()
}

#[test]
fn tickets_are_found_merged_and_split() {
    let (home, _server) = started();
    let record = |text: &str, more: &[&str]| {
        let mut arguments = vec!["record", text, "--json"];
        arguments.extend(more);
        home.cli(&arguments).json()["ticket_id"].as_str().expect("an id").to_owned()
    };
    let a = record(
        "alpha broke",
        &[
            "--priority",
            "P1",
            "--release",
            "web@5.1.0",
            "--environment",
            "production",
            "--tag",
            "tenant=acme",
        ],
    );
    let b = record("beta broke", &["--level", "fatal", "--tag", "tenant=globex"]);
    let c = record("gamma complained", &["--level", "warning"]);
    let found = |search: &str| -> Vec<String> {
        let page = home.cli(&["ticket", "list", &format!("--search={search}"), "--json"]).json();
        let items = page["items"].as_array().expect("items");
        assert_eq!(
            page["total"].as_u64(),
            Some(items.len() as u64),
            "{search}: the count matches the filter: {page}"
        );
        let mut ids: Vec<String> =
            items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()).collect();
        ids.sort();
        ids
    };
    let sorted = |ids: &[&String]| {
        let mut ids: Vec<String> = ids.iter().map(|id| (*id).clone()).collect();
        ids.sort();
        ids
    };
    assert_eq!(found("broke"), sorted(&[&a, &b]));
    assert_eq!(found("is:open"), sorted(&[&a, &b, &c]));
    assert_eq!(found("-broke"), sorted(&[&c]));
    assert_eq!(found("priority:<=P1"), sorted(&[&a, &b]));
    assert_eq!(found("priority:P3"), sorted(&[&c]));
    assert_eq!(found("level:fatal"), sorted(&[&b]));
    assert_eq!(found("release:web@5.*"), sorted(&[&a]));
    assert_eq!(found("environment:production"), sorted(&[&a]));
    assert_eq!(found("tenant:acme"), sorted(&[&a]));
    assert_eq!(found("is:open -tenant:acme broke"), sorted(&[&b]));
    assert_eq!(found("\"gamma complained\""), sorted(&[&c]));
    assert_eq!(found("nothing of this kind"), Vec::<String>::new());
    let by_priority = home.cli(&["ticket", "list", "--priority", "P0,P1", "--json"]).json();
    assert_eq!(by_priority["items"].as_array().map(Vec::len), Some(2));
    let table = home.cli(&["ticket", "list"]).ok();
    assert!(table.contains(&a) && !table.contains('\u{1b}'), "no colours in a pipe: {table:?}");
    refused_in_one_line(home.cli(&["ticket", "list", "--search", "is:nonsense"]), 2, "is:");

    home.cli(&["ticket", "merge", &a, &b]).ok();
    let merged = home.cli(&["ticket", "show", &a, "--json"]).json();
    assert_eq!(merged["count"], 2, "{merged}");
    let keys = merged["fingerprints"].as_array().expect("keys").clone();
    assert_eq!(keys.len(), 2, "{merged}");
    let again = record("beta broke", &["--level", "fatal"]);
    assert_eq!(again, a, "merges redirect keys");
    let other = keys.iter().find(|key| **key != merged["fingerprint"]).expect("the other key");
    let split = home.cli(&["ticket", "split", &a, other.as_str().expect("text"), "--json"]).json();
    let split_id = split["id"].as_str().expect("an id").to_owned();
    assert_ne!(split_id, a);
    assert_eq!(record("beta broke", &["--level", "fatal"]), split_id, "splits pin them");
    let shown = home.cli(&["ticket", "show", &a]).ok();
    assert!(shown.contains("grouping"), "why grouped so is told: {shown}");
}

#[test]
fn projects_keys_and_tokens() {
    let (home, server) = started();
    let made = home.cli(&["project", "create", "shop", "--id", "4711"]).ok();
    assert!(made.contains("4711") && made.contains("DSN http://"), "{made}");
    for name in ["shop", "4711"] {
        assert_eq!(home.cli(&["project", "show", name, "--json"]).json()["id"], 4711);
    }
    refused_in_one_line(home.cli(&["project", "create", "shop"]), 2, "exists");
    refused_in_one_line(home.cli(&["project", "create", "bad name!"]), 2, "NAME");
    refused_in_one_line(home.cli(&["project", "show", "nobody"]), 2, "not found");
    refused_in_one_line(home.cli(&["project", "set", "shop", "emial=keep"]), 2, "there are agent_min_events");
    let set = home.cli(&["project", "set", "shop", "email=keep", "sample_after=7", "--json"]).json();
    assert_eq!(
        (set["settings"]["email"].as_str(), set["settings"]["sample_after"].as_u64()),
        (Some("keep"), Some(7))
    );

    let dsn = home.cli(&["dsn", "shop"]).ok();
    let send = |key: &str| {
        let body = "{}\n{\"type\":\"event\"}\n{\"message\":\"x\"}\n";
        server.send(&Request::post(&format!("/api/4711/envelope/?sentry_key={key}"), body)).status
    };
    let key = dsn.split("//").nth(1).and_then(|rest| rest.split('@').next()).expect("a key").to_owned();
    assert!(
        key.len() == 32 && key.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()),
        "{key}"
    );
    assert_eq!(dsn.trim(), format!("http://{key}@{}/4711", server.address));
    assert_eq!(send(&key), 200);
    let rotated = home.cli(&["project", "key", "rotate", "shop", &key, "--json"]).json();
    let new = rotated["public_key"].as_str().expect("a key").to_owned();
    assert_eq!((send(&key), send(&new)), (403, 200), "the old key is off at once");
    home.cli(&["project", "key", "disable", "shop", &new]).ok();
    assert_eq!(send(&new), 403);
    home.cli(&["project", "key", "enable", "shop", &new]).ok();
    assert_eq!(send(&new), 200);
    let imported = "9".repeat(32);
    home.cli(&["project", "key", "import", "shop", &imported]).ok();
    assert_eq!(send(&imported), 200);
    home.cli(&["project", "key", "kind", "shop", &imported, "server"]).ok();
    let fatal = "{}\n{\"type\":\"event\"}\n{\"message\":\"down\",\"level\":\"fatal\"}\n";
    for (key, priority, origin) in [(&new, "P1", false), (&imported, "P0", false), (&imported, "P1", true)] {
        let message = format!("down for {priority} {origin} {}", key == &new);
        let body = fatal.replace("down", &message.replace(' ', "-"));
        let mut request = Request::post(&format!("/api/4711/envelope/?sentry_key={key}"), body);
        if origin {
            request = request.header("Origin", "https://shop.example.net");
        }
        let id = server.send(&request).json()["id"].as_str().expect("an id").to_owned();
        let event = server.get(&format!("/api/v1/events/{id}"));
        let ticket = server.get(&format!("/api/v1/tickets/{}", event["ticket_id"].as_str().expect("an id")));
        assert_eq!(ticket["priority"], priority, "a browser cannot cry P0: {ticket}");
    }
    let listed = home.cli(&["project", "key", "list", "shop"]).ok();
    assert!(listed.contains(&imported), "{listed}");

    let token = home
        .cli(&["token", "create", "--name", "ci", "--role", "viewer", "--expires", "1d", "--json"])
        .json();
    let text = token["token"].as_str().expect("a token").to_owned();
    let read = || {
        server
            .send(&Request::get("/api/v1/tickets").header("Authorization", &format!("Bearer {text}")))
            .status
    };
    assert_eq!(read(), 200);
    let write = Request::post("/api/v1/projects", "{\"name\":\"x\"}")
        .header("Authorization", &format!("Bearer {text}"));
    assert_eq!(
        server.send(&write.header("Content-Type", "application/json")).status,
        403,
        "a viewer only reads"
    );
    let listed = home.cli(&["token", "list"]).ok();
    assert!(listed.contains("ci") && !listed.contains(&text), "{listed}");
    home.cli(&["token", "revoke", token["id"].as_str().expect("an id")]).ok();
    assert_eq!(read(), 401, "revoked at once");
    assert!(home.files().iter().all(|(_, bytes)| !bytes.windows(text.len()).any(|w| w == text.as_bytes())));
    refused_in_one_line(home.cli(&["token", "create", "--name", "x", "--role", "emperor"]), 2, "--role: ");
    refused_in_one_line(
        home.cli(&["token", "create", "--name", "x", "--role", "viewer", "--expires", "91d"]),
        2,
        "--expires: 1 to 90",
    );
}

#[test]
fn mistakes_are_told_with_their_codes() {
    let home = Home::new();
    refused_in_one_line(home.cli(&["nonsense"]), 2, "unknown command");
    refused_in_one_line(home.cli(&["record"]), 2, "MESSAGE");
    refused_in_one_line(home.cli(&["record", "x", "--priority", "P9"]), 2, "--priority");
    refused_in_one_line(home.cli(&["ticket", "list", "--nonsense"]), 2, "--nonsense");
    // A server that is not there.
    let mut away = bare_command();
    away.args(["ticket", "list"]).env("ACTIFIX_URL", "http://127.0.0.1:9").env("ACTIFIX_TOKEN", "afx_x");
    refused_in_one_line(finish(away, b""), 69, "server");
    let mut no_token = bare_command();
    no_token.args(["ticket", "list"]).env("ACTIFIX_URL", "http://127.0.0.1:9");
    refused_in_one_line(finish(no_token, b""), 2, "ACTIFIX_TOKEN");
    // A home that cannot be made.
    let mut nowhere = bare_command();
    nowhere.args(["--home", "/proc/nowhere", "serve"]).env("ACTIFIX_LISTENERS__MAIN__BIND", "127.0.0.1:0");
    let finished = finish(nowhere, b"");
    assert!(matches!(finished.code(), 73 | 74), "{} {}", finished.code(), finished.stderr);
    // The same as JSON for programs.
    let json = home.cli(&["ticket", "show", "nonsense", "--json"]);
    let error: Value = serde_json::from_str(&json.stderr).expect("JSON on stderr");
    assert_eq!(error["code"], 2);
    assert!(json.stdout.is_empty());
}

#[test]
fn configuration_mistakes_name_the_nearest_key() {
    for (text, says) in [
        ("[throttle]\nenable = true\n", "throttle.enabled"),
        ("[limits]\nkey_per_minute = \"many\"\n", "limits.key_per_minute"),
        ("[servr]\npublic_url = \"http://x\"\n", "server.public_url"),
        ("[throttle]\np2_per_hour = -1\n", "throttle.p2_per_hour"),
        ("[throttle\n", "line"),
    ] {
        let home = Home::with_config(text);
        for command in [&["config", "check"][..], &["serve"], &["record", "x"]] {
            refused_in_one_line(home.cli(command), 78, says);
        }
    }
    let home = Home::new();
    let mut command = home.command(&["config", "check"]);
    command.env("ACTIFIX_THROTTLE__ENABLE", "false");
    refused_in_one_line(finish(command, b""), 78, "throttle.enabled");
    let mut command = home.command(&["serve"]);
    command.env("ACTIFIX_LISTENERS__MAIN__BIND", "0.0.0.0:0");
    refused_in_one_line(finish(command, b""), 78, "listeners.main.bind");

    let shown = home.cli(&["config", "show", "--json"]).json();
    assert_eq!(shown["throttle.p2_per_hour"]["value"], 15, "{shown}");
    assert_eq!(shown["listeners.main.bind"]["source"], "actifix.toml");
    let schema = home.cli(&["config", "schema"]).ok();
    assert!(schema.contains("throttle.p2_per_hour") && schema.contains("retention.events_days"));
    home.cli(&["config", "check"]).ok();
}

#[test]
fn help_completions_and_man_pages() {
    let home = Home::new();
    let help = home.cli(&["--help"]).ok();
    for command in [
        "serve",
        "dsn",
        "record",
        "run",
        "ingest",
        "ticket",
        "project",
        "throttle",
        "quarantine",
        "findings",
        "config",
        "retention",
        "backup",
        "export",
        "import",
    ] {
        assert!(help.contains(command), "{command}: {help}");
        let own = home.cli(&[command, "--help"]).ok();
        assert!(own.contains("Usage:"), "{own}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(home.cli(&["completions", shell]).ok().contains("actifix"));
    }
    assert!(home.cli(&["man"]).ok().contains(".TH"));
    let folder = home.path().join("man");
    home.cli(&["man", "--out", &folder.to_string_lossy()]).ok();
    let pages = fs::read_dir(&folder).expect("a folder").count();
    assert!(pages > 30, "{pages} pages");
    assert!(home.cli(&["--version"]).ok().starts_with("actifix "));
}

/// Which secret leaked, how often, since when, from where, what to do, and what became of it.
#[test]
fn findings_tell_all_that_it_takes_to_act() {
    let (home, _server) = started();
    let token = ["gh", "p_", &"Zq7".repeat(12)].concat();
    for _ in 0..3 {
        home.cli(&["record", &format!("auth with {token} failed")]).ok();
    }
    let list = home.cli(&["findings", "list", "--json"]).json();
    let finding = &list["items"][0];
    assert_eq!(
        (&finding["rule"], &finding["count"], &finding["state"]),
        (&json!("github_token"), &json!(3), &json!("open"))
    );
    let fix = finding["fix"].as_str().expect("an advice").to_owned();
    assert!(fix.contains("https://github.com/"), "{fix}");
    let id = finding["id"].as_str().expect("an id");
    let ticket = finding["places"][0]["ticket_id"].as_str().expect("a ticket");
    let shown = home.cli(&["findings", "show", id]).ok();
    for part in ["3 times", "first 2", "state: open", "ghp_", &fix, ticket] {
        assert!(shown.contains(part), "{part:?} in:\n{shown}");
    }
    let resolve =
        |state: &str| home.cli(&["findings", "resolve", id, "--state", state, "--note", "done", "--json"]);
    for (word, state) in
        [("rotated", "rotated"), ("false-positive", "false_positive"), ("false_positive", "false_positive")]
    {
        let resolved = resolve(word).json();
        assert_eq!((&resolved["state"], &resolved["fix"]), (&json!(state), &json!(fix)));
        assert_eq!(home.cli(&["findings", "show", id, "--json"]).json()["state"], state);
    }
    assert!(home.cli(&["findings", "list", "--state", "open"]).ok().contains("No secrets"));
    assert!(home.cli(&["findings", "list", "--state", "false-positive"]).ok().contains(id));
    assert_eq!(resolve("gone").code(), 2);
    let all = format!("{list}{shown}");
    assert!(!all.contains(&token));
}

/// Every command that reads and writes also works without a server, on the home itself.
#[test]
fn commands_work_without_a_server() {
    let home = Home::new();
    let line = home.cli(&["record", "offline"]).ok();
    assert!(line.trim_end().ends_with(" new"), "{line}");
    assert!(home.cli(&["record", "offline"]).ok().trim_end().ends_with(" seen (2)"));
    assert!(home.cli(&["dsn"]).ok().contains("://"));
    let tickets = home.cli(&["ticket", "list", "--json"]).json();
    assert_eq!(tickets["items"][0]["count"], 2);
    home.cli(&["throttle", "status"]).ok();
    home.cli(&["findings", "list"]).ok();
    home.cli(&["quarantine", "list"]).ok();
    home.cli(&["retention", "show"]).ok();
    let dry = home.cli(&["retention", "run", "--dry-run", "--json"]).json();
    assert_eq!(dry["dry_run"], true);
    let server = home.serve();
    assert_eq!(server.list("/api/v1/tickets")[0]["count"], 2, "and the server finds what they left");
}
