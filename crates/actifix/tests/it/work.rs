//! What people and agents do with tickets, keys and findings: by their rights, on the version that they saw, and with
//! no secret of theirs kept.

use serde_json::{Value, json};

use crate::harness::{Home, Server};
use crate::http::{Answer, Request};

fn started() -> (std::sync::Arc<Home>, Server) {
    let home = Home::with_config("[throttle]\nenabled = false\n");
    let server = home.serve();
    (home, server)
}

fn recorded(server: &Server, message: &str) -> String {
    let made = server.post("/api/v1/events", &json!({ "message": message, "type": message }));
    made["ticket_id"].as_str().expect("a ticket").to_owned()
}

/// A request with a token, a body and perhaps the version that it was decided on.
fn ask(
    server: &Server,
    token: &str,
    method: &str,
    path: &str,
    body: &Value,
    version: Option<&str>,
) -> Answer {
    let mut request = Request::new(method, path)
        .header("Authorization", &format!("Bearer {token}"))
        .header("Content-Type", "application/json")
        .body(body.to_string());
    if let Some(version) = version {
        request = request.header("If-Match", version);
    }
    server.send(&request)
}

#[test]
fn secrets_in_the_words_of_people_are_not_kept() {
    let (home, server) = started();
    let secret = ["sk", "_live_", &"4Kq".repeat(8)].concat();
    // What only this project calls secret.
    let ours = ["hush", "puppy", "1907"].concat();
    let settings = json!({ "settings": { "sensitive_keys": ["larder_word"] } });
    assert_eq!(server.call("PATCH", "/api/v1/projects/default", Some(&settings)).status, 200);
    let id = recorded(&server, "OneError");
    let said = |text: &str| format!("use {text}");
    let assign = server.post(&format!("/api/v1/tickets/{id}/assign"), &json!({ "assignee": said(&secret) }));
    assert!(assign["assignee"].as_str().is_some_and(|name| name.starts_with("use [redacted")), "{assign}");
    let patch = json!({ "assignee": said(&secret) });
    assert_eq!(server.call("PATCH", &format!("/api/v1/tickets/{id}"), Some(&patch)).status, 200);
    let note = json!({ "text": format!("larder_word={ours} and {secret}") });
    server.post(&format!("/api/v1/tickets/{id}/notes"), &note);
    let evidence = json!({ "root_cause": format!("larder_word={ours}"), "no_commit_reason": said(&secret),
        "no_test_reason": "there is none as yet" });
    server.post(&format!("/api/v1/tickets/{id}/complete"), &evidence);
    let key = server.post("/api/v1/projects/default/keys", &json!({ "label": said(&secret) }));
    let path = format!("/api/v1/projects/default/keys/{}", key["public_key"].as_str().expect("a key"));
    assert_eq!(server.call("PATCH", &path, Some(&json!({ "label": said(&secret) }))).status, 200);
    server.mint(&json!({ "name": said(&secret), "role": "viewer" }));
    let named = server.call("POST", "/api/v1/projects", Some(&json!({ "name": secret })));
    assert_eq!(named.status, 422, "{}", named.text());
    server.get(&format!("/api/v1/tickets/{id}"));
    server.get("/api/v1/tokens");
    server.get("/api/v1/projects/default/keys");
    let answers = server.answers();
    let (_, printed) = server.stop();
    for word in [&secret, &ours] {
        let holds = |bytes: &[u8]| bytes.windows(word.len()).any(|window| window == word.as_bytes());
        assert!(!holds(&answers), "an answer repeats it");
        assert!(!holds(&printed), "the log repeats it");
        for (path, bytes) in home.files() {
            assert!(!holds(&bytes), "{} holds it", path.display());
        }
    }
}

/// What stands together in a text is redacted together, though its parts are stored apart.
#[test]
fn secrets_in_the_names_of_exceptions_are_not_kept() {
    let (home, server) = started();
    let part = |seed: &str, many: usize| seed.repeat(many);
    let mail = ["SG", ".", &part("aB3", 7), "x.", &part("Zq8", 14), "y"].concat();
    let word = ["correct", "horse", "battery"].join(".");
    let header = ["eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiI0MiJ9", &part("Wq9", 14)].join(".");
    let java = |head: &str| {
        format!("Exception in thread \"main\" {head}\n\tat com.example.Main.main(Main.java:8)\n")
    };
    let python = |last: &str| {
        format!("Traceback (most recent call last):\n  File \"/srv/a.py\", line 9, in f\n    g()\n{last}\n")
    };
    let logs = [
        java(&format!("{mail}: boom")),
        java(&format!("{header}: boom")),
        python(&format!("{mail}: boom")),
        python(&format!("db.password: {word}")),
        python(&format!("password: {word}")),
    ];
    for log in &logs {
        home.cli_stdin(&["ingest", "logs", "-"], log.as_bytes()).ok();
        server.post("/api/v1/events", &json!({ "message": "boom", "stacktrace": log }));
    }
    let key = server.get("/api/v1/projects/default/keys")["items"][0]["public_key"]
        .as_str()
        .expect("a key")
        .to_owned();
    for name in [&mail, &header] {
        let text = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
        let record = json!({ "severityNumber": 17, "attributes": [text("exception.type", name), text("exception.message", "x")] });
        let body = json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [record] }] }] });
        let request = Request::post(&format!("/v1/logs?sentry_key={key}"), body.to_string())
            .header("Content-Type", "application/json");
        assert_eq!(server.send(&request).status, 200);
    }
    server.list("/api/v1/tickets");
    let answers = server.answers();
    let (_, printed) = server.stop();
    let tails = [&mail, &header].map(|text| text.rsplit('.').next().expect("a tail").to_owned());
    for word in tails.iter().chain([&word]) {
        let holds = |bytes: &[u8]| bytes.windows(word.len()).any(|window| window == word.as_bytes());
        assert!(!holds(&answers) && !holds(&printed), "{word} is shown");
        for (path, bytes) in home.files() {
            assert!(!holds(&bytes), "{} holds {word}", path.display());
        }
    }
}

#[test]
fn a_token_of_one_project_sees_nothing_of_the_installation() {
    let (home, server) = started();
    home.cli(&["project", "create", "other"]).ok();
    let make = |scopes: &[&str], project: Option<&str>| {
        let mut body = json!({ "name": "t", "scopes": scopes });
        if let Some(project) = project {
            body["project"] = json!(project);
        }
        server.mint(&body)["token"].as_str().expect("a token").to_owned()
    };
    let all =
        ["tickets:read", "tickets:work", "tickets:triage", "events:write", "metrics:read", "quarantine"];
    let bound = make(&all, Some("other"));
    let free = make(&["metrics:read"], None);
    let status = |token: &str, path: &str| ask(&server, token, "GET", path, &json!({}), None).status;
    assert_eq!((status(&free, "/metrics"), status(&bound, "/metrics")), (200, 403));
    // In its own project it works, lists and leases included.
    for path in ["/api/v1/tickets", "/api/v1/findings", "/api/v1/quarantine", "/api/v1/throttle/history"] {
        assert_eq!(status(&bound, path), 200, "{path}");
    }
    assert_eq!(status(&bound, "/api/v1/throttle?project=other"), 200);
    assert_eq!(status(&bound, "/api/v1/throttle"), 404);
    let body = json!({ "message": "x", "project": "other" });
    let made = ask(&server, &bound, "POST", "/api/v1/events", &body, None).json();
    let path = format!("/api/v1/tickets/{}", made["ticket_id"].as_str().expect("a ticket"));
    let post = |token: &str, verb: &str, body: Value| {
        ask(&server, token, "POST", &format!("{path}/{verb}"), &body, None).status
    };
    assert_eq!(post(&server.token(), "claim", json!({})), 200);
    assert_eq!(post(&bound, "notes", json!({ "text": "triage may write beside a lease" })), 200);
}

#[test]
fn every_write_may_name_its_version() {
    let (_home, server) = started();
    let token = server.token();
    let id = recorded(&server, "OneError");
    let other = recorded(&server, "TwoError");
    let path = format!("/api/v1/tickets/{id}");
    let version = || format!("\"{}\"", server.get(&path)["version"]);
    let stale = version();
    server.post(&format!("{path}/notes"), &json!({ "text": "the ticket moves on" }));
    let leased = |answer: &Answer| {
        let lease = answer.json();
        json!({ "lease_id": lease["lease_id"], "fence": lease["fence"] })
    };
    let mut lease = json!({});
    let key = server.get(&path)["fingerprint"].clone();
    let done = json!({ "root_cause": "nobody had tried it", "no_commit_reason": "it was a setting",
        "no_test_reason": "it was a setting" });
    let writes = [
        ("notes", json!({ "text": "a note" }), 200),
        ("approve", json!({}), 200),
        ("assign", json!({ "assignee": "jo" }), 200),
        ("claim", json!({}), 200),
        ("renew", Value::Null, 200),
        ("release", Value::Null, 200),
        ("merge", json!({ "from": [other] }), 200),
        ("split", json!({ "fingerprint": key }), 422),
        ("complete", done, 200),
        ("reopen", json!({}), 200),
        ("ignore", json!({}), 200),
    ];
    for (verb, body, fresh) in writes {
        let body = if body.is_null() { lease.clone() } else { body };
        let path = format!("{path}/{verb}");
        let refused = ask(&server, &token, "POST", &path, &body, Some(&stale));
        assert_eq!(refused.status, 412, "{verb}: {}", refused.text());
        let nonsense = ask(&server, &token, "POST", &path, &body, Some("nonsense"));
        assert_eq!(nonsense.status, 400, "{verb}: {}", nonsense.text());
        let answer = ask(&server, &token, "POST", &path, &body, Some(&version()));
        assert_eq!(answer.status, fresh, "{verb}: {}", answer.text());
        if fresh == 200 {
            assert_eq!(answer.header("etag"), Some(version().as_str()), "{verb}");
        }
        if verb == "claim" {
            lease = leased(&answer);
        }
    }
}

#[test]
fn keys_and_findings_have_versions_too() {
    let (_home, server) = started();
    let token = server.token();
    let key = server.post("/api/v1/projects/default/keys", &json!({ "label": "web" }));
    let path = format!("/api/v1/projects/default/keys/{}", key["public_key"].as_str().expect("a key"));
    let first = format!("\"{}\"", key["version"]);
    let changed = ask(&server, &token, "PATCH", &path, &json!({ "label": "shop" }), Some(&first));
    assert_eq!(changed.status, 200, "{}", changed.text());
    let second = changed.header("etag").expect("an ETag").to_owned();
    assert_ne!(first, second);
    assert_eq!(ask(&server, &token, "PATCH", &path, &json!({ "enabled": false }), Some(&first)).status, 412);
    let rotate = format!("{path}/rotate");
    assert_eq!(ask(&server, &token, "POST", &rotate, &json!({}), Some(&first)).status, 412);
    assert_eq!(ask(&server, &token, "POST", &rotate, &json!({}), Some(&second)).status, 201);
    let keys = server.get("/api/v1/projects/default/keys")["items"].as_array().expect("keys").clone();
    let enabled =
        |label: &str| keys.iter().filter(|key| key["label"] == label && key["enabled"] == true).count();
    assert_eq!((keys.len(), enabled("shop")), (3, 1), "{keys:?}");

    let secret = ["sk", "_live_", &"8Pz".repeat(8)].concat();
    recorded(&server, &format!("token {secret}"));
    let finding = server.get("/api/v1/findings")["items"][0]["id"].as_str().expect("a finding").to_owned();
    let path = format!("/api/v1/findings/{finding}");
    let read = server.call("GET", &path, None);
    let first = read.header("etag").expect("an ETag").to_owned();
    let resolve = |state: &str, version: Option<&str>| {
        ask(&server, &token, "POST", &format!("{path}/resolve"), &json!({ "state": state }), version)
    };
    assert_eq!(resolve("rotated", Some(&first)).status, 200);
    assert_eq!(resolve("open", Some(&first)).status, 412);
    assert_eq!(server.get(&path)["state"], "rotated");
    assert_eq!(resolve("open", None).status, 200, "without one there is no check");
}

#[test]
fn settings_that_are_not_named_stay() {
    let (_home, server) = started();
    let path = "/api/v1/projects/default";
    let change = |settings: Value| server.call("PATCH", path, Some(&json!({ "settings": settings })));
    assert_eq!(change(json!({ "email": "hash" })).status, 200);
    assert_eq!(change(json!({ "sensitive_keys": ["pin"] })).status, 200);
    let settings = server.get(path)["settings"].clone();
    assert_eq!((&settings["email"], &settings["sensitive_keys"]), (&json!("hash"), &json!(["pin"])));
    for wrong in [json!({ "nonsense": 1 }), json!({ "email": 3 }), json!({ "sensitive_keys": ["x"] })] {
        let answer = change(wrong);
        assert_eq!(answer.status, 422, "{}", answer.text());
    }
    assert_eq!(server.get(path)["settings"], settings);
}

/// Value of a metric without labels, or with exactly these.
#[track_caller]
fn metric(server: &Server, name: &str) -> f64 {
    let text = server.call("GET", "/metrics", None).text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in:\n{text}"))
}

#[test]
fn metrics_tell_of_the_throttle_and_of_the_process() {
    let home = Home::with_config("[throttle]\np4_per_day = 1\n");
    let server = home.serve();
    assert_eq!(metric(&server, "actifix_throttle_state"), 0.0);
    for number in 0..4 {
        let body = json!({ "message": "x", "type": format!("Kind{}", ["a", "b", "c", "d"][number]), "priority": "P4" });
        server.post("/api/v1/events", &body);
    }
    assert_eq!(metric(&server, "actifix_throttle_held_total{priority=\"P4\"}"), 3.0);
    assert_eq!(metric(&server, "actifix_throttle_held_total{priority=\"P0\"}"), 0.0);
    assert_eq!(metric(&server, "actifix_tickets{status=\"held\",priority=\"P4\"}"), 3.0);
    let promoted = server.post("/api/v1/throttle/promote", &json!({ "limit": 3 }));
    assert_eq!(promoted["promoted"].as_array().map(Vec::len), Some(3), "{promoted}");
    assert_eq!(metric(&server, "actifix_tickets{status=\"held\",priority=\"P4\"}"), 0.0, "none is told too");
    assert_eq!(metric(&server, "actifix_throttle_held_total{priority=\"P4\"}"), 3.0);
    for (name, least) in [
        ("process_cpu_seconds_total", 0.0),
        ("process_resident_memory_bytes", 1e6),
        ("process_virtual_memory_bytes", 1e6),
        ("process_open_fds", 3.0),
        ("process_max_fds", 64.0),
        ("process_threads", 2.0),
        ("process_start_time_seconds", 1.7e9),
    ] {
        assert!(metric(&server, name) >= least, "{name}");
    }
    // A restart forgets no count.
    server.kill();
    let server = home.serve();
    assert_eq!(metric(&server, "actifix_throttle_held_total{priority=\"P4\"}"), 3.0);
}

#[test]
fn asking_for_readiness_is_no_way_to_load_the_disk() {
    let (_home, server) = started();
    let mut connection = server.connect();
    let before = metric(&server, "actifix_wal_size_bytes");
    let asked = Request::get("/readyz").to_bytes();
    for _ in 0..300 {
        assert_eq!(connection.exchange(&asked).expect("an answer").status, 200);
    }
    let grown = metric(&server, "actifix_wal_size_bytes") - before;
    assert!(grown < 300.0 * 4_096.0 / 4.0, "300 questions wrote {grown} bytes");
}

#[test]
fn the_contract_says_which_writes_take_a_version() {
    let (_home, server) = started();
    let contract = server.get("/api/openapi.json");
    let mut versioned = 0;
    for (path, methods) in contract["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let takes = parameters.iter().any(|parameter| parameter["name"] == "If-Match");
            let of_a_ticket = path.starts_with("/api/v1/tickets/{id}") && method != "get";
            // Whom a ticket is told to is no field of it.
            let of_a_ticket = of_a_ticket && !path.ends_with("mute");
            assert!(takes || !of_a_ticket, "{method} {path}");
            versioned += usize::from(takes);
        }
    }
    assert_eq!(versioned, 16);
}
