//! The administrator's password, from the first one on: how it comes in, where it must not appear, and what becomes of
//! an installation whose accounts somebody else changed. Then the log of it all, when somebody damages that.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::{Finished, Home, KEY_42, Server, finish};
use crate::http::Request;
use crate::people::{OTHER, PASSWORD, login, try_login, user, with_admin, with_admin_and};

/// These tests log in more often than the default lets one network.
const MANY: &str = "[limits]\nlogin_per_minute = 100\n";

fn set(home: &Home, password: &[u8]) -> Finished {
    home.cli_stdin(&["admin", "set-password", "--stdin"], password)
}

/// What somebody with write access to the database does between two runs, past all that we would let them. While a
/// server runs, no other program can open it.
pub fn tamper(home: &Home, sql: &str) {
    let python =
        "import sqlite3,sys; d=sqlite3.connect(sys.argv[1]); d.executescript(sys.argv[2]); d.commit()";
    let mut command = Command::new("python3");
    command.args(["-c", python]).arg(home.path().join("data/actifix.db")).arg(sql);
    finish(command, b"").ok();
}

/// Runs a command on a terminal of its own, and types each text when its prompt is there. Returns what was shown.
pub fn at_prompts(home: &Home, arguments: &str, typed: &[(&str, &str)]) -> (bool, String) {
    let line = format!("{} --home {} {arguments}", env!("CARGO_BIN_EXE_actifix"), home.path().display());
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("script of util-linux");
    let mut input = child.stdin.take().expect("a pipe");
    let mut output = child.stdout.take().expect("a pipe");
    let (mut shown, mut byte) = (Vec::new(), [0u8]);
    for (prompt, text) in typed {
        while !shown.ends_with(prompt.as_bytes()) {
            assert_eq!(output.read(&mut byte).expect("a terminal"), 1, "no {prompt}: {shown:?}");
            shown.push(byte[0]);
        }
        input.write_all(text.as_bytes()).expect("a reader");
    }
    output.read_to_end(&mut shown).expect("a terminal");
    let status = child.wait().expect("its end");
    (status.success(), String::from_utf8_lossy(&shown).into_owned())
}

#[test]
fn ctrl_c_at_the_prompt_leaves_the_former_password() {
    let (home, server) = with_admin();
    let (first, again) = ("new password (not shown): ", "again: ");
    let answer = format!("{OTHER}\n");
    for typed in [
        &[(first, "\u{3}")][..],
        &[(first, &answer), (again, "\u{3}")],
        &[(first, &answer), (again, "something else entirely\n")],
        &[(first, "too short\n"), (again, "too short\n")],
    ] {
        let (done, shown) = at_prompts(&home, "admin set-password", typed);
        assert!(!done, "{typed:?}: {shown}");
        assert!(!shown.contains(OTHER) && !shown.contains("is set"), "{typed:?}: {shown}");
        login(&server, "admin", PASSWORD);
    }
    let (done, shown) = at_prompts(&home, "admin set-password", &[(first, &answer), (again, &answer)]);
    assert!(done && !shown.contains(OTHER), "{shown}");
    login(&server, "admin", OTHER);
    let refused = home.cli(&["admin", "set-password"]);
    assert_eq!(refused.code(), 2, "nobody to ask and nothing sent: {}", refused.stderr);
    assert!(refused.stderr.contains("standard input is empty"), "{}", refused.stderr);
}

#[test]
fn what_is_piped_in_is_taken_without_being_asked_for_and_is_one_line() {
    let (home, server) = with_admin();
    for command in [&["admin", "set-password"][..], &["user", "create", "jo"], &["user", "passwd", "jo"]] {
        for two in [format!("{OTHER}\n{PASSWORD}\n"), format!("{OTHER}\n\n"), format!("{OTHER}\r\n{OTHER}")] {
            let refused = home.cli_stdin(command, two.as_bytes());
            assert_eq!(refused.code(), 2, "{command:?}: {}", refused.stdout);
            assert!(refused.stderr.contains("more than one line"), "{}", refused.stderr);
            assert!(!refused.stderr.contains(OTHER), "{}", refused.stderr);
        }
        home.cli_stdin(command, format!("{OTHER}\r\n").as_bytes()).ok();
    }
    login(&server, "admin", OTHER);
    login(&server, "jo", OTHER);
    let added = home.cli_stdin(&["webhook", "add", "ops"], b"https://hooks.example.net/x");
    assert!(added.ok().contains("added ops"));
    let empty = home.cli(&["webhook", "add", "none"]);
    assert!(empty.code() == 2 && empty.stderr.contains("no address"), "{}", empty.stderr);
}

#[test]
fn of_passwords_that_are_set_at_once_one_is_left_whole() {
    for first in [true, false] {
        let home = Home::with_config(MANY);
        if !first {
            set(&home, PASSWORD.as_bytes()).ok();
        }
        let server = home.serve();
        let passwords: Vec<String> =
            (0..4).map(|number| format!("lamp number {number} in the rain")).collect();
        std::thread::scope(|scope| {
            for password in &passwords {
                scope.spawn(|| set(&home, password.as_bytes()));
            }
        });
        let good =
            passwords.iter().filter(|password| try_login(&server, "admin", password, None).status == 200);
        assert_eq!(good.count(), 1);
        let users = home.cli(&["user", "list", "--json"]).json();
        assert_eq!(users["items"].as_array().map(Vec::len), Some(1));
        assert_eq!(try_login(&server, "admin", PASSWORD, None).status, 401);
    }
}

#[test]
fn a_password_is_in_no_argument_environment_or_history_while_it_is_set() {
    let (home, server) = with_admin();
    let canary = "the canary sings at noon";
    let mut child = home
        .command(&["admin", "set-password", "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(canary.as_bytes()).expect("a reader");
    // It waits for the end of its input and has the password: that is when others look.
    for pid in [child.id(), server.pid()] {
        for file in ["cmdline", "environ", "status"] {
            let path = format!("/proc/{pid}/{file}");
            let text = std::fs::read(&path).expect("a process of ours");
            assert!(!text.windows(canary.len()).any(|part| part == canary.as_bytes()), "{path}");
        }
    }
    let mut ps = Command::new("ps");
    ps.args(["axeww", "-o", "args"]);
    assert!(!finish(ps, b"").ok().contains(canary), "ps");
    drop(input);
    let done = child.wait_with_output().expect("its end");
    assert!(done.status.success(), "{done:?}");
    for text in [&done.stdout, &done.stderr] {
        assert!(!String::from_utf8_lossy(text).contains(canary));
    }
    login(&server, "admin", canary);
    for arguments in [
        &["admin", "set-password", canary][..],
        &["admin", "set-password", "--password", canary],
        &["user", "create", "x", "--password", canary],
        &["user", "passwd", "admin", canary],
    ] {
        assert_eq!(home.cli(arguments).code(), 2, "no argument takes one: {arguments:?}");
    }
    let mut command = home.command(&["admin", "set-password"]);
    command.env("ACTIFIX_ADMIN_PASSWORD", OTHER).env("ACTIFIX_PASSWORD", OTHER).env("PASSWORD", OTHER);
    assert_ne!(finish(command, b"").code(), 0, "and no variable");
    login(&server, "admin", canary);
}

#[test]
fn asvs_6_2_passwords_of_any_characters_are_taken_whole_and_guessable_ones_are_not() {
    let home = Home::with_config(MANY);
    let server = home.serve();
    let large = vec![b'x'; 1 << 20];
    let lamps = "\u{1f4a1}".repeat(14);
    for bad in [
        &b""[..],
        b"\n",
        b"fourteen chars",
        &large,
        "a nul \0 in the middle of it".as_bytes(),
        lamps.as_bytes(),
        b"\xff\xfe not a text at all, whatever",
        b"aaaaaaaaaaaaaaaaaaaaaaa",
        b"qwertyuiopasdfghjkl",
    ] {
        let refused = set(&home, bad);
        let start = String::from_utf8_lossy(&bad[..bad.len().min(30)]).into_owned();
        assert_eq!(refused.code(), 2, "{start:?}: {} {}", refused.stdout, refused.stderr);
        assert!(bad.len() < 2 || !refused.stderr.contains(start.trim_end()), "{}", refused.stderr);
        assert_eq!(refused.stderr.trim().lines().count(), 1, "{}", refused.stderr);
    }
    // No rule of composition: 15 characters of whatever kind.
    let longest = "a lamp in the rain, ".repeat(51);
    for (good, others) in [
        ("ends in spaces   ", vec!["ends in spaces", "ends in spaces  "]),
        ("   begins in spaces", vec!["begins in spaces"]),
        ("\u{1f4a1}\u{1f327}\u{fe0f} lamp in rain", vec!["\u{1f4a1} lamp in rain"]),
        ("onlylowercaseletters", vec!["onlylowercaseletter", "ONLYLOWERCASELETTERS"]),
        ("cafe\u{301} au lait at noon", vec!["cafe au lait at noon"]),
        (&longest, vec![&longest[..72], &longest[..1_000]]),
    ] {
        set(&home, format!("{good}\n").as_bytes()).ok();
        login(&server, "admin", good);
        for other in others {
            assert_eq!(try_login(&server, "admin", other, None).status, 401, "{other:?} is not {good:?}");
        }
        home.cli(&["user", "unlock", "admin"]).ok();
    }
    set(&home, "cafe\u{301} au lait at noon".as_bytes()).ok();
    let browser = login(&server, "admin", "caf\u{e9} au lait at noon");
    // Not from the network either, and with no 5xx.
    for password in [json!("a nul \0 in the middle of it"), json!("x".repeat(900_000)), json!(7), Value::Null]
    {
        let body = json!({ "name": "someone", "role": "viewer", "password": password });
        let refused = browser.send(&server, "POST", "/api/v1/users", &body);
        assert!(matches!(refused.status, 400 | 422), "{}", refused.text());
    }
    let unreadable = try_login(&server, "admin", &"x".repeat(900_000), None);
    assert!(matches!(unreadable.status, 401 | 429), "{}", unreadable.text());
}

#[test]
fn an_old_database_without_an_administrator_does_not_leave_this_machine() {
    let home = Home::new();
    home.serve().stop();
    let old = std::fs::read(home.path().join("data/actifix.db")).expect("a database");
    set(&home, PASSWORD.as_bytes()).ok();
    let far = |home: &Home| {
        let mut command = home.command(&["serve"]);
        command
            .env("ACTIFIX_LISTENERS__MAIN__BIND", "0.0.0.0:0")
            .env("ACTIFIX_SERVER__TRUSTED_PROXIES", "[\"127.0.0.1\"]")
            .env("ACTIFIX_SERVER__PUBLIC_URL", "https://errors.example.net");
        finish(command, b"")
    };
    std::fs::write(home.path().join("data/actifix.db"), old).expect("a database");
    let refused = far(&home);
    assert_eq!(refused.code(), 78, "{}", refused.stderr);
    assert!(refused.stderr.contains("admin set-password"), "{}", refused.stderr);
    // On this machine it runs, and nobody gets in: not with the password of later, nor by making the first one.
    let server = home.serve();
    assert_eq!(try_login(&server, "admin", PASSWORD, None).status, 401);
    let body = json!({ "password": PASSWORD }).to_string();
    let first =
        Request::post("/api/v1/users/admin/password", body).header("Content-Type", "application/json");
    assert_eq!(server.send(&first).status, 401, "over the network nobody makes the first one");
    let verified = home.cli(&["audit", "verify"]);
    assert_eq!(verified.code(), 1, "that the log was put back with it is found: {}", verified.stdout);
    set(&home, OTHER.as_bytes()).ok();
    login(&server, "admin", OTHER);
}

#[test]
fn a_row_of_the_administrator_that_is_deleted_ends_what_hangs_on_it() {
    let (home, server) = with_admin();
    let browser = login(&server, "admin", PASSWORD);
    assert_eq!(browser.get(&server, "/api/v1/tickets").status, 200);
    server.stop();
    tamper(&home, "DELETE FROM users;");
    let server = home.serve();
    assert_eq!(browser.get(&server, "/api/v1/tickets").status, 401);
    assert_eq!(try_login(&server, "admin", PASSWORD, Some(&browser.device)).status, 401);
    assert_eq!(browser.send(&server, "POST", "/api/v1/projects", &json!({ "name": "p" })).status, 401);
    set(&home, OTHER.as_bytes()).ok();
    login(&server, "admin", OTHER);
    assert_eq!(
        browser.get(&server, "/api/v1/tickets").status,
        401,
        "the former one's session is not the new one's"
    );
    // A row that is emptied lets nobody in, and breaks nothing.
    let mut server = server;
    for verifier in ["", "x", "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAA"] {
        server.stop();
        tamper(&home, &format!("UPDATE users SET verifier = '{verifier}';"));
        server = home.serve();
        for password in ["", OTHER] {
            let refused = try_login(&server, "admin", password, None);
            assert!(matches!(refused.status, 401 | 429 | 500), "{verifier:?}: {}", refused.text());
            assert_eq!(refused.count("set-cookie"), 0);
        }
    }
}

#[test]
fn a_setting_that_was_changed_stands_in_the_log_from_the_next_start_on() {
    let home = Home::new();
    let config = home.path().join("actifix.toml");
    let write = |text: &str| {
        std::fs::write(&config, format!("[listeners.main]\nbind = \"127.0.0.1:0\"\n{text}\n"))
            .expect("a file");
    };
    let changes = || {
        let log = home.cli(&["audit", "list", "--action", "setting.changed", "--json"]).json();
        let rows = log["items"].as_array().expect("items").clone();
        rows.into_iter()
            .filter(|row| row["target"].as_str().is_some_and(|target| target.starts_with("setting:")))
            .map(|row| (row["target"].clone(), row["detail"].clone()))
            .collect::<Vec<_>>()
    };
    home.serve().stop();
    home.serve().stop();
    assert_eq!(changes(), [], "nothing was changed");
    write("[cors]\nallowed_origins = [\"https://a.example\"]\n[limits]\napi_per_minute = 7\n");
    let server = home.serve();
    let found = changes();
    assert_eq!(found.len(), 2, "{found:?}");
    let cors = found.iter().find(|(target, _)| target == "setting:cors.allowed_origins").expect("the list");
    assert_eq!(cors.1, json!({ "before": "[]", "after": "[\"https://a.example\"]" }));
    // What is taken over while it runs is recorded then.
    write("[cors]\nallowed_origins = [\"https://b.example\"]\n[limits]\napi_per_minute = 7\n");
    server.hang_up(1);
    let found = changes();
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(found[0].1["after"], "[\"https://b.example\"]");
    server.stop();
    Server::start(Arc::clone(&home), &[("ACTIFIX_RATE_LIMIT_DISABLED", "1")]).stop();
    assert!(changes().iter().any(|(target, _)| target == "setting:ACTIFIX_RATE_LIMIT_DISABLED"));
    let starts = home.cli(&["audit", "list", "--action", "server.started", "--json"]).json();
    assert_eq!(starts["items"].as_array().map(Vec::len), Some(5), "four starts and what was read again");
    assert!(home.cli(&["audit", "verify"]).code() == 0);
}

#[test]
fn an_audit_log_that_was_edited_thinned_reordered_or_cut_is_found_out() {
    let verify = |sql: &str| {
        let (home, server) = with_admin();
        for name in ["a", "b", "c", "d"] {
            home.cli(&["project", "create", name]).ok();
        }
        server.stop();
        home.cli(&["audit", "verify"]).ok();
        tamper(&home, "DROP TRIGGER audit_is_not_edited; DROP TRIGGER audit_is_not_cut;");
        tamper(&home, sql);
        let done = home.cli(&["audit", "verify"]);
        assert_eq!(done.code(), 1, "{sql}: {}", done.stdout);
        let again = home.serve();
        assert_eq!(home.cli(&["audit", "verify"]).code(), 1, "{sql}: a start does not heal it");
        again.stop();
        done.stdout
    };
    let second = "(SELECT seq FROM audit ORDER BY seq LIMIT 1 OFFSET 1)";
    for sql in [
        format!("UPDATE audit SET actor = 'user:innocent' WHERE seq = {second};"),
        format!("UPDATE audit SET at = at + 1 WHERE seq = {second};"),
        format!("UPDATE audit SET detail = '{{}}' WHERE seq = {second};"),
        format!("DELETE FROM audit WHERE seq = {second};"),
        "DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit);".to_owned(),
        "DELETE FROM audit WHERE seq > 2;".to_owned(),
        "DELETE FROM audit;".to_owned(),
        "UPDATE audit SET seq = -1 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = -1;"
            .to_owned(),
        "INSERT INTO audit SELECT seq + 1, at, actor, action, target, project_id, network, result, detail, hash FROM audit \
         WHERE seq = (SELECT max(seq) FROM audit);"
            .to_owned(),
    ] {
        let said = verify(&sql);
        assert!(!said.trim().is_empty());
    }
}

#[test]
fn while_the_log_cannot_be_written_nothing_is_administered_and_ingest_goes_on() {
    let (home, server) = with_admin_and(MANY);
    home.import_projects();
    user(&home, "jo", "viewer");
    let browser = login(&server, "admin", PASSWORD);
    let token = server.token();
    server.stop();
    tamper(
        &home,
        "CREATE TRIGGER planted BEFORE INSERT ON audit WHEN NEW.action NOT IN ('server.started', 'setting.changed') \
         AND NOT EXISTS (SELECT 1 FROM events WHERE title LIKE '%there is room%') \
         BEGIN SELECT raise(ABORT, 'full'); END;",
    );
    let server = home.serve();
    let body = json!({ "name": "planted" });
    let refused = browser.send(&server, "POST", "/api/v1/projects", &body);
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.header("retry-after").is_some());
    assert!(
        refused.json()["detail"].as_str().is_some_and(|text| text.contains("audit log")),
        "{}",
        refused.text()
    );
    for (method, path, body) in [
        ("POST", "/api/v1/tokens", json!({ "name": "t", "role": "viewer" })),
        ("PATCH", "/api/v1/users/jo", json!({ "disabled": true })),
        ("POST", "/api/v1/users/jo/password", json!({ "password": OTHER })),
        ("DELETE", "/api/v1/sessions/all", json!({})),
        ("POST", "/api/v1/auth/totp", json!({ "password": PASSWORD })),
    ] {
        assert_eq!(browser.send(&server, method, path, &body).status, 503, "{method} {path}");
    }
    assert_eq!(try_login(&server, "admin", PASSWORD, None).status, 503, "nobody gets in unrecorded");
    assert_ne!(set(&home, OTHER.as_bytes()).code(), 0);
    assert_eq!(
        try_login(&server, "admin", "wrong wrong wrong", None).status,
        401,
        "what is refused stays refused"
    );
    let event = Request::post(&format!("/api/42/store/?sentry_key={KEY_42}"), "{\"message\":\"still here\"}");
    assert_eq!(server.send(&event).status, 200);
    assert_eq!(browser.get(&server, "/api/v1/tickets").json()["items"].as_array().map(Vec::len), Some(1));
    let bearer = format!("Bearer {token}");
    let metrics = server.send(&Request::get("/metrics").header("Authorization", &bearer)).text();
    let lost = metrics.lines().find_map(|line| line.strip_prefix("actifix_audit_lost_total "));
    assert!(lost.and_then(|count| count.parse::<f64>().ok()).is_some_and(|count| count >= 7.0), "{lost:?}");
    let said: String = home
        .files()
        .into_iter()
        .filter(|(path, _)| path.to_string_lossy().contains(".actifix/logs"))
        .map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned())
        .collect();
    assert!(said.contains("audit"), "the log of the server says so");
    let room =
        Request::post(&format!("/api/42/store/?sentry_key={KEY_42}"), "{\"message\":\"there is room\"}");
    assert_eq!(server.send(&room).status, 200);
    assert_eq!(browser.send(&server, "POST", "/api/v1/projects", &body).status, 201, "it recovers unaided");
    login(&server, "admin", PASSWORD);
    home.cli(&["audit", "verify"]).ok();
}
