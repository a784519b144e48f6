//! Ways round the rules that a reviewer found once: what each of them gave away stays shut.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::harness::{Home, KEY_42, Server, bare_command, finish};
use crate::http::{Answer, Request};

/// Requests per minute that a network has by default.
const PER_MINUTE: usize = 600;
const PASSWORD: &str = "plum tango orbits 7 vessels";

fn ask(server: &Server, token: &str, method: &str, path: &str, body: &Value) -> Answer {
    let request = Request::new(method, path)
        .header("Authorization", &format!("Bearer {token}"))
        .header("Content-Type", "application/json")
        .body(body.to_string());
    server.send(&request)
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn audit(home: &Home, action: &str) -> Vec<Value> {
    let log = home.cli(&["audit", "list", "--json", "--limit", "200"]).json();
    let rows = log["items"].as_array().expect("rows").clone();
    rows.into_iter().filter(|row| row["action"] == action).collect()
}

#[test]
fn ghsa_683j_a_token_outlives_itself_neither_as_a_token_nor_as_a_person() {
    let home = Home::new();
    let server = home.serve();
    let made = server.mint(&json!({ "name": "ci", "role": "admin", "days": 1 }));
    let stolen = text(&made["token"]);
    let rotate = format!("/api/v1/tokens/{}/rotate", text(&made["id"]));
    for (method, path, body) in [
        ("POST", "/api/v1/tokens", json!({ "name": "mine", "role": "viewer", "days": 1 })),
        ("POST", rotate.as_str(), json!({})),
        ("POST", "/api/v1/users", json!({ "name": "ops2", "role": "admin", "password": PASSWORD })),
        ("POST", "/api/v1/users/admin/password", json!({ "password": PASSWORD })),
        ("PATCH", "/api/v1/users/admin", json!({ "role": "admin" })),
        ("POST", "/api/v1/users/admin/identities", json!({ "subject": "thief" })),
    ] {
        let refused = ask(&server, &stolen, method, path, &body);
        assert_eq!(refused.status, 403, "{method} {path}: {}", refused.text());
        assert!(refused.text().contains("a person who logged in"), "{}", refused.text());
    }
    assert_eq!(home.cli(&["user", "list", "--json"]).json()["items"], json!([]));
}

#[test]
fn keys_that_nobody_has_cost_a_network_so_many_look_ups_and_the_others_nothing() {
    let home = Home::new();
    let server = home.serve();
    home.import_projects();
    let known = format!("/api/42/store/?sentry_key={KEY_42}");
    let send = |target: &str| server.send(&Request::post(target, "{\"message\":\"m\"}"));
    assert_eq!(send(&known).status, 200);
    let mut connection = server.connect();
    let mut statuses = Vec::new();
    for number in 0..PER_MINUTE + 20 {
        let target = format!("/api/42/store/?sentry_key={number:032x}");
        let request = Request::post(&target, "{}").header("Origin", "https://shop.example");
        let answer = connection.exchange(&request.to_bytes()).expect("an answer");
        if answer.status == 429 {
            assert!(answer.header("retry-after").is_some());
        }
        statuses.push(answer.status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 403).count(), PER_MINUTE);
    assert_eq!(statuses.last(), Some(&429));
    assert_eq!(send(&known).status, 200, "a key that is known is not looked up as a stranger's");
    // Preflights of projects that are not there are look-ups as well.
    let preflight = Request::new("OPTIONS", "/api/987654/store/").header("Origin", "http://localhost:3000");
    assert_eq!(server.send(&preflight).header("access-control-allow-origin"), None);
}

#[test]
fn the_id_of_a_log_line_tells_nothing_about_the_line() {
    let named = "ab".repeat(16);
    let line = json!({ "event": { "message": "pin 4711", "event_id": named }, "transport": "log" });
    let stored = |server: &Server| text(&server.post("/api/v1/events", &line)["event_id"]);
    let home = Home::new();
    let server = home.serve();
    let first = stored(&server);
    assert_ne!(first, named, "who knows all but the pin cannot try it out");
    let again = server.post("/api/v1/events", &line);
    assert_eq!((&again["outcome"], text(&again["event_id"])), (&json!("duplicate"), first.clone()));
    assert_ne!(stored(&Home::new().serve()), first, "keyed by the home");
    for (path, bytes) in home.files() {
        let found = bytes.windows(named.len()).any(|window| window == named.as_bytes());
        assert!(!found, "what was sent lies in {}", path.display());
    }
}

#[test]
fn a_first_start_of_a_service_prints_no_token() {
    let server = Home::new().serve();
    let printed = String::from_utf8_lossy(&server.printed()).into_owned();
    assert!(printed.contains("token create") && !printed.contains("afx_"), "{printed}");
}

#[test]
fn commands_say_nothing_to_a_home_that_others_can_write_to() {
    let home = Home::new();
    let private = home.path().join(".actifix");
    std::fs::create_dir(&private).expect("a directory");
    std::fs::set_permissions(&private, PermissionsExt::from_mode(0o777)).expect("a mode");
    let trap = UnixListener::bind(private.join("actifix.sock")).expect("a socket");
    let knocked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&knocked);
    // Whoever knocks is let go at once, not kept waiting for an answer.
    std::thread::spawn(move || {
        while trap.accept().is_ok() {
            seen.store(true, Ordering::Release);
        }
    });
    let refused = home.cli_stdin(&["secrets", "set", "a", "--stdin"], b"a value");
    assert_eq!(refused.code(), 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("others can write to it"), "{}", refused.stderr);
    assert!(!knocked.load(Ordering::Acquire), "nobody knocked");
}

#[test]
fn a_configuration_that_lies_about_names_no_authority() {
    let home = Home::new();
    // Read, it would be a refused configuration: there is no such file.
    let text = "[outbound]\nextra_ca = \"/nowhere/evil.pem\"\n";
    std::fs::write(home.path().join("actifix.toml"), text).expect("a configuration");
    let run = |named: bool| {
        let mut command = if named { home.command(&["project", "list"]) } else { bare_command() };
        if !named {
            command.args(["project", "list"]);
        }
        command.current_dir(home.path()).env("ACTIFIX_URL", "https://127.0.0.1:9").env("ACTIFIX_TOKEN", "t");
        finish(command, b"")
    };
    let named = run(true);
    assert!(named.code() == 78 && named.stderr.contains("evil.pem"), "{}", named.stderr);
    let by_chance = run(false);
    assert!(by_chance.code() == 69 && !by_chance.stderr.contains("evil.pem"), "{}", by_chance.stderr);
}

#[test]
fn a_key_in_the_home_is_no_key_apart_whatever_a_variable_says() {
    let home = Home::new();
    home.cli_stdin(&["admin", "set-password", "--stdin"], PASSWORD.as_bytes()).ok();
    let apart = tempfile::tempdir().expect("a directory");
    let copy = apart.path().join("key");
    std::fs::copy(home.path().join(".actifix/root.key"), &copy).expect("a copy");
    let serve = || {
        let mut command = home.command(&["serve", "--production"]);
        command.env("ACTIFIX_MASTER_KEY_FILE", &copy);
        finish(command, b"").stderr
    };
    let said = serve();
    assert!(said.contains("secret_backend: the root key lies in the home"), "{said}");
    assert!(said.contains("rotate-key --backend file"), "{said}");
    // The advice of a start that was given the key would leave a home that the given key does not open.
    let mut command = home.command(&["secrets", "rotate-key"]);
    command.env("ACTIFIX_MASTER_KEY_FILE", &copy);
    let refused = finish(command, b"");
    assert_ne!(refused.code(), 0);
    assert!(refused.stderr.contains("not from the place that this home records"), "{}", refused.stderr);
    let place = apart.path().join("root.key");
    home.cli(&["secrets", "rotate-key", "--backend", "file", "--key-file", place.to_str().expect("a path")])
        .ok();
    let said = finish(home.command(&["serve", "--production"]), b"").stderr;
    assert!(said.contains("not ready") && !said.contains("secret_backend"), "{said}");
}

#[test]
fn a_secret_is_shown_for_the_password_of_the_administrator() {
    let home = Home::new();
    home.cli_stdin(&["secrets", "set", "a", "--stdin"], b"the value").ok();
    home.cli_stdin(&["admin", "set-password", "--stdin"], PASSWORD.as_bytes()).ok();
    let get = |typed: &str| {
        let answer = format!("{typed}\n");
        crate::setup::at_prompts(&home, "secrets get a", &[("Password of the administrator: ", &answer)]).1
    };
    let refused = get("not this password, another");
    assert!(!refused.contains("the value") && refused.contains("right password"), "{refused}");
    assert!(get(PASSWORD).contains("the value"));
    assert!(!get("").contains("the value"));
}

#[test]
fn the_log_names_who_renewed_a_lease_and_what_began_and_changed() {
    let home = Home::new();
    let server = home.serve();
    let made = server.post("/api/v1/events", &json!({ "message": "x", "type": "OneError" }));
    let path = format!("/api/v1/tickets/{}", text(&made["ticket_id"]));
    let token = |role: &str| server.mint(&json!({ "name": role, "role": role }));
    let (agent, operator) = (token("agent"), token("operator"));
    let claimed = ask(&server, &text(&agent["token"]), "POST", &format!("{path}/claim"), &json!({}));
    assert_eq!(claimed.status, 200, "{}", claimed.text());
    let renewed = ask(&server, &text(&operator["token"]), "POST", &format!("{path}/renew"), &json!({}));
    assert_eq!(renewed.status, 200, "{}", renewed.text());
    let rows = audit(&home, "ticket.renewed");
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!(text(&row["actor"]), format!("token:{}", text(&operator["id"])));
    assert_eq!(text(&row["detail"]["after"]["lease"]["holder"]), format!("token:{}", text(&agent["id"])));
    // By hand the record of a deletion comes before it.
    server.post("/api/v1/retention/run", &json!({}));
    let acts: Vec<Value> =
        audit(&home, "retention.run").iter().map(|row| row["detail"]["act"].clone()).collect();
    assert!(acts.contains(&json!("begun")), "{acts:?}");
}

#[test]
fn a_program_that_is_run_sees_no_credential_of_ours() {
    let home = Home::new();
    let server = home.serve();
    let mut command = home.command(&["run", "--", "env"]);
    command
        .env("ACTIFIX_URL", format!("http://{}", server.address))
        .env("ACTIFIX_TOKEN", server.token())
        .env("CREDENTIALS_DIRECTORY", home.path());
    let seen = finish(command, b"").ok();
    assert!(!seen.contains(&server.token()) && !seen.contains("CREDENTIALS_DIRECTORY"), "{seen}");
    let _home: Arc<Home> = home;
}

#[test]
fn a_start_and_a_reload_stand_in_the_log() {
    let home = Home::new();
    let server = Server::start(Arc::clone(&home), &[("ACTIFIX_RATE_LIMIT_DISABLED", "1")]);
    let started = audit(&home, "server.started");
    assert_eq!(started.len(), 1, "{started:?}");
    assert_eq!(started[0]["detail"]["rate_limit_disabled"], true, "the override is recorded with the start");
    let mut config = std::fs::read_to_string(home.path().join("actifix.toml")).expect("a configuration");
    config.push_str("[cors]\nallowed_origins = [\"https://shop.example\"]\n");
    std::fs::write(home.path().join("actifix.toml"), config).expect("a configuration");
    server.hang_up(1);
    let changed = audit(&home, "setting.changed");
    assert!(changed.iter().any(|row| row.to_string().contains("https://shop.example")), "{changed:?}");
}

#[test]
fn words_that_mean_something_else_are_no_ids() {
    let home = Home::new();
    let server = home.serve();
    server.token();
    for arguments in
        [&["token", "revoke", "all"][..], &["sessions", "kill", "all"], &["token", "revoke", ".."]]
    {
        let refused = home.cli(arguments);
        assert_eq!(refused.code(), 2, "{arguments:?}: {}", refused.stderr);
    }
    assert_eq!(server.call("GET", "/api/v1/tickets", None).status, 200, "the token was not revoked");
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("a mode");
}

#[test]
fn a_home_in_which_others_could_exchange_files_is_closed_to_them_and_told() {
    let home = Home::new();
    for (loose, closed) in [(0o775, 0o755), (0o770, 0o750), (0o777, 0o755)] {
        chmod(home.path(), loose);
        home.serve().stop();
        let mode = std::fs::metadata(home.path()).expect("a home").permissions().mode() & 0o7777;
        assert_eq!(mode, closed, "{loose:o}");
        let log = std::fs::read_to_string(home.path().join(".actifix/logs/actifix.log")).expect("a log");
        let said = format!("mode {loose:04o}");
        assert!(log.lines().any(|line| line.contains("files.repaired") && line.contains(&said)), "{log}");
    }
}

#[test]
fn a_configuration_that_others_can_change_is_not_believed() {
    let home = Home::new();
    home.cli(&["project", "create", "spare"]).ok();
    let path = home.path().join("actifix.toml");
    let refused = |what: &str| {
        for arguments in [&["config", "check"][..], &["project", "list"], &["serve"]] {
            let done = home.cli(arguments);
            assert_eq!(done.code(), 78, "{what} {arguments:?}: {}{}", done.stdout, done.stderr);
            assert!(done.stderr.contains("actifix.toml") && done.stderr.contains(what), "{}", done.stderr);
        }
    };
    for mode in [0o664, 0o646, 0o666, 0o620] {
        chmod(&path, mode);
        refused("`chmod go-w` it");
    }
    chmod(&path, 0o644);
    home.cli(&["config", "check"]).ok();
    // Only root can give a file away; others see the modes alone.
    if std::os::unix::fs::chown(&path, Some(12_345), None).is_ok() {
        refused("belongs to user 12345");
    }
}
