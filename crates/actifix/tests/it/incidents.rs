//! Incident response, as the operator and whoever stole something meet it.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use crate::harness::{Home, Server};
use crate::http::{Answer, Request};
use crate::people::{PASSWORD, bearer, login, try_login, with_admin, with_admin_and};
use crate::random::Random;
use crate::scan::stripe_key;
use crate::setup::tamper;

/// Limits that no test reaches.
const BUSY: &str = "[limits]\napi_per_minute = 1000000\napi_per_hour = 1000000\nlogin_per_minute = 600\n";

fn send_event(server: &Server, dsn: &str) -> Answer {
    let (key, project) = parts(dsn);
    let body = json!({ "message": "from an SDK" }).to_string();
    server.send(&Request::post(&format!("/api/{project}/store/?sentry_key={key}"), body))
}

fn parts(dsn: &str) -> (String, String) {
    let rest = dsn.trim().split("://").nth(1).expect("a DSN");
    let (key, rest) = rest.split_once('@').expect("a key");
    (key.to_owned(), rest.rsplit('/').next().expect("a project").to_owned())
}

fn steps(home: &Home) -> Vec<Value> {
    let rows = home.cli(&["audit", "list", "--action", "incident.step", "--json"]).json();
    rows["items"].as_array().expect("items").clone()
}

#[test]
fn everything_that_opens_something_is_replaced_and_each_step_is_recorded() {
    let (home, server) = with_admin_and(BUSY);
    home.cli(&["project", "create", "shop"]).ok();
    let hook = home
        .cli_stdin(&["webhook", "add", "ops", "--stdin", "--json"], b"https://hooks.example.net/x")
        .json();
    let inbound = home.cli(&["webhook", "inbound", "add", "ci", "--kind", "standard", "--json"]).json();
    let (token, browser) = (server.token(), login(&server, "admin", PASSWORD));
    let jwt = browser.access(&server);
    let dsns: Vec<String> = ["default", "shop"].iter().map(|name| home.cli(&["dsn", name]).ok()).collect();
    let key = home.cli(&["secrets", "status", "--json"]).json()["key_id"].clone();
    assert_eq!((bearer(&server, &token).status, bearer(&server, &jwt).status), (200, 200));

    let begun = Instant::now();
    let done = home.cli(&["incident", "rotate", "--all", "--json"]);
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    let code = done.code();
    let said: Value = serde_json::from_str(&done.stdout).expect("JSON");
    assert_eq!(code, 0, "{said}");
    let stages: Vec<(&str, &str)> = said["state"]["last"]["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .map(|step| (step["kind"].as_str().expect("a kind"), step["stage"].as_str().expect("a stage")))
        .collect();
    let all = ["tokens", "sessions", "jwt-keys", "webhook-secrets", "dsn-keys", "root-key"];
    assert_eq!(stages, all.map(|kind| (kind, "done")));

    assert_eq!(bearer(&server, &token).status, 401);
    assert_eq!(bearer(&server, &jwt).status, 401);
    assert_eq!(browser.get(&server, "/api/v1/tickets").status, 401);
    for (old, name) in dsns.iter().zip(["default", "shop"]) {
        let new = home.cli(&["dsn", name]).ok();
        assert_ne!(&new, old);
        assert_eq!(send_event(&server, old).status, 403, "{name}");
        assert_eq!(send_event(&server, &new).status, 200, "{name}");
    }
    let shown = said["shown_once"].as_array().expect("secrets");
    let names: Vec<&str> = shown.iter().map(|shown| shown["for"].as_str().expect("a name")).collect();
    assert_eq!(names, ["webhook ops", "hook ci"]);
    for (shown, old) in shown.iter().zip([&hook, &inbound]) {
        assert!(old["secret"].is_string() && shown["secret"] != old["secret"]);
    }
    assert_ne!(home.cli(&["secrets", "status", "--json"]).json()["key_id"], key);
    // One order, six steps, one end; nothing of it is a secret.
    let rows = steps(&home);
    let words: Vec<&str> =
        rows.iter().rev().map(|row| row["detail"]["step"].as_str().expect("a step")).collect();
    assert_eq!(
        words,
        ["ordered", "tokens", "sessions", "jwt-keys", "webhook-secrets", "dsn-keys", "root-key", "finished"]
    );
    home.cli(&["audit", "verify"]).ok();
    let status = home.cli(&["incident", "status", "--json"]).json();
    for secret in shown.iter().map(|shown| shown["secret"].as_str().expect("a secret")) {
        assert!(!status.to_string().contains(secret) && !json!(rows).to_string().contains(secret));
    }
    // The home opens with the new key.
    server.stop();
    home.serve().stop();
    assert_eq!(home.cli(&["incident", "rotate", "--kind", "nothing"]).code(), 2);
    assert_eq!(home.cli(&["incident", "rotate"]).code(), 2);
}

#[test]
fn only_the_owner_of_the_machine_rotates_lifts_and_names_leaks() {
    let (home, server) = with_admin_and(BUSY);
    let browser = login(&server, "admin", PASSWORD);
    for (path, body) in [
        ("/api/v1/incident/rotate", json!({ "kinds": ["tokens"] })),
        ("/api/v1/incident/lift", json!({})),
        ("/api/v1/incident/leaked", json!({ "credential": "something that leaked" })),
    ] {
        assert_eq!(server.call("POST", path, Some(&body)).status, 403, "{path}");
        assert_eq!(browser.send(&server, "POST", path, &body).status, 403, "{path}");
    }
    assert_eq!(bearer(&server, &server.token()).status, 200);
    assert!(steps(&home).is_empty());
}

#[test]
fn a_lockdown_ends_everything_survives_a_kill_and_is_lifted_on_the_machine_alone() {
    let (home, server) = with_admin_and(BUSY);
    let (token, browser) = (server.token(), login(&server, "admin", PASSWORD));
    let jwt = browser.access(&server);
    let dsn = home.cli(&["dsn"]).ok();
    // Any administrator may shut the doors.
    let shut = browser.send(&server, "POST", "/api/v1/incident/lockdown", &json!({}));
    assert_eq!(shut.status, 200, "{}", shut.text());
    let closed = |server: &Server| {
        assert_eq!((bearer(server, &token).status, bearer(server, &jwt).status), (401, 401));
        assert_eq!(browser.get(server, "/api/v1/tickets").status, 401);
        // The right password and a wrong one get the same answer.
        for password in [PASSWORD, "wrong wrong wrong wrong"] {
            let answer = try_login(server, "admin", password, None);
            assert_eq!(answer.status, 503, "{}", answer.text());
            assert!(answer.header("retry-after").is_some());
        }
        let refused = home.cli(&["token", "create", "--name", "x", "--role", "admin"]);
        assert_eq!(refused.code(), 75, "{}", refused.stderr);
        assert!(refused.stderr.contains("actifix incident lift"), "{}", refused.stderr);
    };
    closed(&server);
    assert_eq!(send_event(&server, &dsn).status, 200, "events are taken on");
    server.kill();
    let server = home.serve();
    closed(&server);
    assert!(home.cli(&["incident", "status"]).ok().starts_with("LOCKED DOWN since "));
    let again = home.cli(&["incident", "lockdown", "--stop-ingest"]);
    assert_eq!(again.code(), 0, "{}", again.stderr);
    let refused = send_event(&server, &dsn);
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.header("retry-after").is_some());
    server.kill();
    let server = home.serve();
    assert_eq!(send_event(&server, &dsn).status, 503);
    home.cli(&["incident", "lift"]).ok();
    assert_eq!(home.cli(&["incident", "lift"]).code(), 2, "there is nothing to lift");
    assert_eq!(send_event(&server, &dsn).status, 200);
    login(&server, "admin", PASSWORD);
    assert_eq!(bearer(&server, &token).status, 401, "what was ended stays ended");
    home.cli(&["token", "create", "--name", "x", "--role", "viewer"]).ok();
    home.cli(&["audit", "verify"]).ok();
}

#[test]
fn a_leaked_credential_is_found_revoked_and_never_shown() {
    let (home, server) = with_admin_and(BUSY);
    let token = home.cli(&["token", "create", "--name", "ci", "--role", "operator", "--json"]).json();
    let (text, id) = (token["token"].as_str().expect("a token"), token["id"].as_str().expect("an id"));
    let made = server.send(
        &Request::post("/api/v1/events", json!({ "message": "by the token" }).to_string())
            .header("Content-Type", "application/json")
            .header("Authorization", &format!("Bearer {text}")),
    );
    let ticket = made.json()["ticket_id"].as_str().expect("a ticket").to_owned();
    let note = format!("/api/v1/tickets/{ticket}/notes");
    let noted = server.send(
        &Request::post(&note, json!({ "text": "x" }).to_string())
            .header("Content-Type", "application/json")
            .header("Authorization", &format!("Bearer {text}")),
    );
    assert!(noted.status < 300, "{}", noted.text());
    let leak = |text: &str| {
        let done =
            home.cli_stdin(&["incident", "rotate", "--leaked", "--json"], format!("{text}\n").as_bytes());
        assert!(!done.stdout.contains(text) && !done.stderr.contains(text), "it is shown: {}", done.stdout);
        let code = done.code();
        let said: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{}", done.stderr));
        (
            code,
            said["state"].as_str().expect("a state").to_owned(),
            said["kind"].as_str().expect("a kind").to_owned(),
            said,
        )
    };
    let (code, state, kind, said) = leak(text);
    assert_eq!((code, state.as_str(), kind.as_str()), (0, "revoked", "token"), "{said}");
    assert!(said["name"].as_str().expect("a name").contains(id));
    let acts: Vec<&str> = said["touched"]
        .as_array()
        .expect("acts")
        .iter()
        .map(|row| row["action"].as_str().expect("an act"))
        .collect();
    assert!(acts.contains(&"ticket.noted"), "{acts:?}");
    assert_eq!(bearer(&server, text).status, 401);
    assert_eq!(leak(text).1, "dead");

    let browser = login(&server, "admin", PASSWORD);
    let jwt = browser.access(&server);
    assert_eq!(leak(&jwt).2, "access_token");
    assert_eq!(bearer(&server, &jwt).status, 401);
    assert_eq!(browser.get(&server, "/api/v1/tickets").status, 200, "the session goes on");
    let jwt = browser.access(&server);
    assert_eq!(leak(&browser.session).2, "session");
    assert_eq!(browser.get(&server, "/api/v1/tickets").status, 401);
    assert_eq!(bearer(&server, &jwt).status, 401, "what was got for the session ends with it");

    let dsn = home.cli(&["dsn"]).ok();
    assert_eq!(leak(dsn.trim()).2, "dsn_key");
    assert_eq!(send_event(&server, &dsn).status, 403);
    assert_eq!(send_event(&server, &home.cli(&["dsn"]).ok()).status, 200);

    let url = "https://hooks.slack.example.net/services/T0/B0/secretpart";
    let hook = home
        .cli_stdin(&["webhook", "add", "ops", "--kind", "webhook", "--stdin", "--json"], url.as_bytes())
        .json();
    let secret = hook["secret"].as_str().expect("a secret");
    let (code, state, kind, said) = leak(secret);
    assert_eq!((code, state.as_str(), kind.as_str()), (0, "revoked", "webhook_secret"), "{said}");
    assert!(said["shown_once"].as_str().is_some_and(|new| new.starts_with("whsec_") && new != secret));
    let (code, state, kind, _) = leak(url);
    assert_eq!((code, state.as_str(), kind.as_str()), (1, "foreign", "webhook_address"));
    let inbound = home.cli(&["webhook", "inbound", "add", "ci", "--kind", "standard", "--json"]).json();
    assert_eq!(leak(inbound["secret"].as_str().expect("a secret")).2, "hook_secret");

    home.cli_stdin(&["secrets", "set", "smtp.password", "--stdin"], b"a pass phrase of the mail server").ok();
    assert_eq!(leak("a pass phrase of the mail server").2, "stored_secret");
    // Of somebody else: the rule that knows its form says where it is revoked, and events that held it are named.
    let foreign = stripe_key(&mut Random::seeded(18));
    home.cli(&["record", &format!("token {foreign}")]).ok();
    let (code, state, kind, said) = leak(&foreign);
    assert_eq!((code, state.as_str()), (1, "unknown"), "{said}");
    assert!(kind.starts_with("stripe"), "{kind}");
    assert_eq!(said["seen_in_findings"].as_array().map(Vec::len), Some(1), "{said}");
    assert_eq!(leak("nothing that anybody knows").1, "unknown");
    assert_eq!(home.cli_stdin(&["incident", "rotate", "--leaked"], b"short").code(), 2);
    // It lies nowhere in the clear.
    server.stop();
    for (path, bytes) in home.files() {
        for value in [text, jwt.as_str(), secret, foreign.as_str(), "a pass phrase of the mail server"] {
            assert!(
                !bytes.windows(value.len()).any(|window| window == value.as_bytes()),
                "{}",
                path.display()
            );
        }
    }
}

/// A home with so many ingest keys, each of a project of its own.
fn with_keys(many: usize) -> (Arc<Home>, Server) {
    let home = Home::with_config(BUSY);
    let server = home.serve();
    let mut connection = server.connect();
    for number in 0..many {
        let request = Request::post("/api/v1/projects", json!({ "name": format!("p{number}") }).to_string())
            .header("Content-Type", "application/json")
            .header("Authorization", &format!("Bearer {}", server.token()));
        let answer = connection.exchange(&request.to_bytes()).expect("an answer");
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    (home, server)
}

/// Of each project: enabled keys, and all.
fn keys(server: &Server, many: usize) -> Vec<(usize, usize)> {
    (0..many)
        .map(|number| {
            let keys = server.list(&format!("/api/v1/projects/p{number}/keys"));
            (keys.iter().filter(|key| key["enabled"] == true).count(), keys.len())
        })
        .collect()
}

#[test]
fn heavy_a_rotation_that_is_killed_goes_on_and_of_two_operators_one_wins() {
    const MANY: usize = 300;
    let (home, server) = with_keys(MANY);
    let order = || {
        let mut command = home.command(&["incident", "rotate", "--kind", "dsn-keys"]);
        command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("the program starts")
    };
    let first = order();
    let rotated = |server: &Server| {
        server.get("/api/v1/audit?action=key.rotated&limit=200")["items"].as_array().map_or(0, Vec::len)
    };
    while rotated(&server) < 20 {
        std::thread::yield_now();
    }
    // Another one comes while the first is at it.
    let second = home.cli(&["incident", "rotate", "--kind", "dsn-keys"]);
    assert_eq!(second.code(), 2, "{}", second.stdout);
    assert!(second.stderr.contains("is at it"), "{}", second.stderr);
    server.kill();
    assert!(!first.wait_with_output().expect("the program ends").status.success());
    let server = home.serve();
    let state = || server.get("/api/v1/incident");
    crate::backups::wait_until(|| state()["job"].is_null());
    let done = state();
    assert_eq!(done["last"]["resumed"], 1, "{done}");
    assert_eq!(done["last"]["steps"][0]["stage"], "done");
    assert!(keys(&server, MANY).iter().all(|counts| *counts == (1, 2)), "each was replaced once");
    server.stop();
    home.cli(&["audit", "verify"]).ok();
}

#[test]
fn a_report_is_signed_complete_and_says_what_is_missing() {
    let (home, server) = with_admin();
    try_login(&server, "admin", "wrong wrong wrong wrong", None);
    let file = home.path().join("report.tar.zst");
    let path = file.to_str().expect("a path");
    let said = home.cli(&["incident", "report", "--out", path, "--json"]).json();
    assert_eq!(said["audit_log_intact"], true);
    let key = said["public_key"].as_str().expect("a key");
    home.cli(&["incident", "verify", path, "--key", key]).ok();
    assert_eq!(home.cli(&["incident", "verify", path, "--key", &"0".repeat(64)]).code(), 1);
    let mut tar = std::process::Command::new("tar");
    tar.args(["-xO", "--zstd", "-f", path, "report.json"]);
    let report: Value = crate::harness::finish(tar, b"").json();
    let actions: Vec<&str> = report["timeline"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| row["action"].as_str().expect("an act"))
        .collect();
    assert!(actions.contains(&"login.failed") && actions.contains(&"server.started"), "{actions:?}");
    let times: Vec<&str> = report["timeline"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| row["at"].as_str().expect("a time"))
        .collect();
    assert!(times.windows(2).all(|pair| pair[0] <= pair[1]) && times.iter().all(|time| time.ends_with('Z')));
    assert_eq!(report["gaps"], json!([]));
    // Nothing is written over; one byte more is another report.
    assert_eq!(home.cli(&["incident", "report", "--out", path]).code(), 73);
    let mut bytes = fs::read(&file).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).expect("a file");
    assert_eq!(home.cli(&["incident", "verify", path]).code(), 1);
    server.stop();
    // Somebody took a row out of the log, and turned the clock.
    tamper(
        &home,
        "DROP TRIGGER audit_is_not_edited; DROP TRIGGER audit_is_not_cut; DELETE FROM audit WHERE action = 'login.failed';",
    );
    let other = home.path().join("second.tar.zst");
    let done = home.cli(&["incident", "report", "--out", other.to_str().expect("a path"), "--json"]);
    assert_eq!(done.code(), 1, "{}", done.stderr);
    let said: Value = serde_json::from_str(&done.stdout).expect("JSON");
    assert_eq!((&said["audit_log_intact"], said["gaps"].as_u64()), (&json!(false), Some(1)), "{said}");
}

#[test]
fn what_is_told_for_support_holds_no_secret_and_is_whole() {
    let (home, server) = with_admin();
    let canary = ["gh", "p_", "16C7e42F292c6912E7710c838347Ae178B4a"].concat();
    home.cli(&["record", &format!("secret event text {canary}")]).ok();
    home.cli_stdin(&["webhook", "add", "ops", "--stdin"], b"https://hooks.example.net/services/pathsecret")
        .ok();
    home.cli_stdin(&["secrets", "set", "smtp.password", "--stdin"], b"a pass phrase of the mail server").ok();
    let token = server.token();
    let file = home.path().join("d.tar.zst");
    let said = home.cli(&["diagnostics", "--out", file.to_str().expect("a path"), "--json"]).json();
    let members: Vec<&str> = said["members"]
        .as_array()
        .expect("names")
        .iter()
        .map(|name| name.as_str().expect("a name"))
        .collect();
    for name in ["facts.json", "platform.json", "config.json", "files.json", "metrics.txt", "log-tail.jsonl"]
    {
        assert!(members.contains(&name), "{name}: {members:?}");
    }
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    let mut tar = std::process::Command::new("tar");
    tar.args(["-xO", "--zstd", "-f"]).arg(&file);
    let text = crate::harness::finish(tar, b"").ok();
    let dsn = home.cli(&["dsn"]).ok();
    let (key, _) = parts(&dsn);
    for secret in [
        canary.as_str(),
        "pathsecret",
        "a pass phrase of the mail server",
        token.as_str(),
        PASSWORD,
        "secret event text",
        key.as_str(),
    ] {
        assert!(!text.contains(secret), "{secret}");
    }
    for fact in ["\"schema_version\"", "\"tickets\": 1", "actifix_build_info", "\"intact\": true"] {
        assert!(text.contains(fact), "{fact}: {text}");
    }
    // For somebody: stock age opens it.
    let keys = home.path().join("k");
    let recipient = home.cli(&["backup", "keygen", "--out", keys.to_str().expect("a path")]).ok();
    let sealed = home.path().join("d.tar.zst.age");
    home.cli(&["diagnostics", "--out", sealed.to_str().expect("a path"), "--recipient", recipient.trim()])
        .ok();
    let mut shell = std::process::Command::new("bash");
    shell.args(["-c", "age -d -i \"$1\" \"$2\" | zstd -dc | tar t", "bash"]).arg(&keys).arg(&sealed);
    assert!(crate::harness::finish(shell, b"").ok().lines().any(|name| name == "manifest.json"));
}
