//! What people are told where something is not as it should be: damaged rows, lines that nobody understands, a leaked value.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Home, finish};
use crate::http::Request;
use crate::pages::page;
use crate::people::{PASSWORD, login, with_admin};

/// Changes the file as a bad disk would: no check of ours is asked.
fn change(home: &Home, sql: &str) {
    let code = "import sqlite3,sys; d=sqlite3.connect(sys.argv[1]); d.executescript(sys.argv[2]); d.commit(); d.close()";
    let mut python = Command::new("python3");
    python.args(["-c", code]).arg(home.path().join("data/actifix.db")).arg(sql);
    finish(python, b"").ok();
}

#[test]
fn a_damaged_row_is_told_from_a_defect_and_nothing_of_it_is_served() {
    for (what, sql) in [
        ("changed", "UPDATE tickets SET title = 'canary-of-the-row' WHERE title LIKE 'first%'"),
        ("no text", "UPDATE tickets SET title = CAST(x'63616e617279ff' AS TEXT) WHERE title LIKE 'first%'"),
    ] {
        let (home, server) = with_admin();
        home.cli(&["record", "first of two"]).ok();
        home.cli(&["record", "second of two"]).ok();
        let tickets = server.list("/api/v1/tickets");
        let id = |title: &str| {
            let found = tickets.iter().find(|ticket| ticket["title"].as_str().unwrap().starts_with(title));
            found.expect("a ticket")["id"].as_str().expect("an id").to_owned()
        };
        let (first, second) = (id("first"), id("second"));
        server.stop();
        change(&home, sql);
        let server = home.serve();
        let path = format!("/api/v1/tickets/{first}");
        let answer = server.call("GET", &path, None);
        assert_eq!(answer.status, 500, "{what}: {}", answer.text());
        let problem: Value = serde_json::from_str(&answer.text()).expect("JSON");
        assert_eq!(problem["type"], "urn:actifix:problem:damaged", "{what}: {problem}");
        let detail = problem["detail"].as_str().expect("a text");
        assert!(detail.contains("is damaged") && detail.contains("actifix doctor"), "{what}: {detail}");
        // Everything else goes on.
        let listed = server.get("/api/v1/tickets").to_string();
        assert!(listed.contains(&second) && !listed.contains(&first), "{what}: {listed}");
        let admin = login(&server, "admin", PASSWORD);
        let shown = page(&server, &admin, &format!("/tickets/{first}"));
        let told = shown.text();
        assert_eq!(shown.status, 500, "{what}: {told}");
        assert!(told.contains("This is damaged") && told.contains("actifix doctor"), "{what}: {told}");
        assert!(!told.contains("Try again"), "{what}: trying again does not help");
        let command = home.cli(&["ticket", "show", &first]);
        assert!(command.code() != 0 && command.stderr.contains("is damaged"), "{what}: {}", command.stderr);
        for text in [answer.text(), listed, told, command.stderr] {
            assert!(!text.contains("canary"), "{what}: {text}");
        }
    }
}

#[test]
fn lines_of_a_log_that_nobody_understands_are_told() {
    let home = Home::new();
    let dated = home.cli_stdin(&["ingest", "logs", "-"], b"2026-01-01 ERROR something failed\n");
    assert!(dated.code() == 0 && dated.stderr.contains("1 event"), "{}", dated.stderr);
    let lines = b"{\"level\":\"error\",\"msg\":\"one\"}\n{\"level\":\"error\",\"msg\":\"two\"}\n";
    let plain = home.cli_stdin(&["ingest", "logs", "-", "--format", "plain"], lines);
    assert_eq!(plain.code(), 0, "{}", plain.stderr);
    for part in ["0 events", "2 lines not understood", "--format auto"] {
        assert!(plain.stderr.contains(part), "{part}: {}", plain.stderr);
    }
    let told =
        home.cli_stdin(&["ingest", "logs", "-", "--format", "json", "--json"], b"ERROR words\n").json();
    assert_eq!((&told["events"], &told["foreign_lines"]), (&json!(0), &json!(1)), "{told}");
}

#[test]
fn one_value_has_one_keyed_hash_wherever_it_leaks() {
    let home = Home::new();
    let server = home.serve();
    home.cli(&["project", "create", "other"]).ok();
    let one = ["gh", "p_", "16C7e42F292c6912E7710c838347Ae178B4a"].concat();
    for project in ["default", "other"] {
        server.post("/api/v1/events", &json!({ "message": format!("with {one}"), "project": project }));
    }
    let found = server.list("/api/v1/findings");
    assert_eq!(found.len(), 2, "{found:?}");
    let hash = found[0]["hash"].as_str().expect("a hash");
    assert!(hash.len() == 32 && found[1]["hash"] == hash && found[0]["id"] != found[1]["id"], "{found:?}");
    let shown = home.cli(&["findings", "show", found[0]["id"].as_str().expect("an id")]).ok();
    assert!(shown.contains(&format!("hash: {hash}")) && !shown.contains(&one), "{shown}");
    let answer = server.send(
        &Request::get("/api/openapi.json").header("Authorization", &format!("Bearer {}", server.token())),
    );
    assert!(answer.text().contains("\"hash\""), "the contract names it");
}
