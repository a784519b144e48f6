//! Corners of the wire: what is answered where something is missing, wrong or switched off (`ingest.md` §4-§9).

use serde_json::{Value, json};

use crate::harness::{Home, KEY_42, KEY_43, Server};
use crate::http::Request;

const PAGE: &str = "http://localhost:3000";

fn quantity(server: &Server, outcome: &str, category: &str) -> u64 {
    let outcomes = server.get("/api/v1/projects/42/outcomes");
    let of = |line: &&Value| line["outcome"] == outcome && line["category"] == category;
    outcomes["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter(of)
        .filter_map(|line| line["quantity"].as_u64())
        .sum()
}

/// Value of a metric whose line begins with this.
fn metric(server: &Server, line: &str) -> f64 {
    let text = server.call("GET", "/metrics", None).text();
    let found = text.lines().find_map(|known| known.strip_prefix(line));
    found.and_then(|value| value.trim().parse().ok()).unwrap_or(0.0)
}

#[test]
fn a_page_that_may_read_answers_may_read_refusals() {
    let home = Home::new();
    let server = home.serve();
    home.import_projects();
    let unknown = "0".repeat(32);
    let tunnel = format!("{{\"dsn\":\"http://{unknown}@x/42\"}}\n{{\"type\":\"event\"}}\n{{}}\n");
    let conflict = format!("{{\"dsn\":\"http://{KEY_43}@x/42\"}}\n{{\"type\":\"event\"}}\n{{}}\n");
    for (status, request) in [
        (405, Request::get("/api/42/envelope/")),
        (405, Request::new("PUT", &format!("/api/42/store/?sentry_key={KEY_42}"))),
        (401, Request::post("/api/42/envelope/", "{}\n")),
        (401, Request::post("/api/42/security/", "{}")),
        (403, Request::post("/api/42/envelope/", tunnel)),
        (403, Request::post("/api/42/envelope/", conflict)),
        (403, Request::post(&format!("/api/42/envelope/?sentry_key={unknown}"), "{}\n")),
    ] {
        let text = String::from_utf8_lossy(&request.to_bytes()).into_owned();
        let answer = server.send(&request.clone().header("Origin", PAGE));
        assert_eq!(answer.status, status, "{text}: {}", answer.text());
        assert_eq!(answer.header("vary"), Some("Origin"), "{text}");
        // A key that nobody has cannot say which page may read: then the project's keys are asked, where there are any.
        let expected =
            (!text.starts_with("POST /api/42/envelope/?") && !text.contains(&unknown)).then_some(PAGE);
        assert_eq!(answer.header("access-control-allow-origin"), expected, "{text}");
        assert_eq!(server.send(&request).header("access-control-allow-origin"), None, "{text}");
    }
}

#[test]
fn every_failed_authentication_is_counted() {
    let home = Home::new();
    let server = home.serve();
    home.import_projects();
    for target in
        ["/api/42/store/", "/api/42/security/", "/api/42/minidump/", "/v1/traces", "/api/42/envelope/"]
    {
        assert_eq!(server.send(&Request::post(target, "{}\n")).status, 401, "{target}");
    }
    assert_eq!(metric(&server, "actifix_auth_failures_total{reason=\"no_key\"}").to_string(), "5");
    let unknown = format!("{{\"dsn\":\"http://{}@x/42\"}}\n", "0".repeat(32));
    assert_eq!(server.send(&Request::post("/api/42/envelope/", unknown)).status, 403);
    assert_eq!(metric(&server, "actifix_auth_failures_total{reason=\"unknown_key\"}").to_string(), "1");
}

#[test]
fn a_refusal_of_a_tunnel_is_counted_on_its_key() {
    let home = Home::new();
    let server = home.serve();
    home.import_projects();
    home.cli(&["project", "key", "limit", "42", KEY_42, "1"]).ok();
    let tunnel =
        format!("{{\"dsn\":\"http://{KEY_42}@x/42\"}}\n{{\"type\":\"event\"}}\n{{\"message\":\"m\"}}\n");
    assert_eq!(server.send(&Request::post("/api/42/envelope/", tunnel.clone())).status, 200);
    let answer = server.send(&Request::post("/api/42/envelope/", tunnel).header("Origin", PAGE));
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (429, Some(PAGE)));
    // Refusals are written with the next tick of a worker, at the latest when the server stops.
    server.stop();
    let server = home.serve();
    assert_eq!(quantity(&server, "rate_limited", "error"), 1);
}

#[test]
fn the_longest_wait_is_told() {
    let home = Home::with_config("[limits]\nproject_per_hour = 2\n");
    let server = home.serve();
    home.import_projects();
    home.cli(&["project", "key", "limit", "42", KEY_42, "2"]).ok();
    let target = format!("/api/42/envelope/?sentry_key={KEY_42}");
    let event = "{\"type\":\"event\"}\n{\"message\":\"m\"}\n";
    // One request of two events: the coarse limit is on requests, and still has one.
    assert_eq!(server.send(&Request::post(&target, format!("{{}}\n{event}{event}"))).status, 200);
    let answer = server.send(&Request::post(&target, format!("{{}}\n{event}")));
    assert_eq!(answer.status, 429);
    let seconds: u64 = answer.header("retry-after").and_then(|text| text.parse().ok()).expect("Retry-After");
    assert!(seconds > 60, "the hour's bucket is as empty as the minute's: {seconds}");
}

#[test]
fn reports_of_another_content_type_are_refused() {
    let home = Home::new();
    let server = home.serve();
    home.import_projects();
    let target = format!("/api/42/security/?sentry_key={KEY_42}");
    for content_type in ["text/html", "application/xml", ""] {
        let request = Request::post(&target, "{\"csp-report\":{}}").header("Content-Type", content_type);
        let answer = server.send(&request);
        assert_eq!(answer.status, 415, "{content_type}: {}", answer.text());
    }
    let report = json!({ "csp-report": { "violated-directive": "img-src" } }).to_string();
    let request =
        Request::post(&target, report).header("Content-Type", "application/csp-report; charset=utf-8");
    assert_eq!(server.send(&request).status, 200);
}

#[test]
fn a_head_request_reports_nothing() {
    let home = Home::new();
    let server = home.serve();
    home.import_projects();
    for target in [
        format!("/api/42/cron/nightly/{KEY_42}/?status=error"),
        format!("/api/42/store/?sentry_key={KEY_42}&sentry_data=%7B%22message%22%3A%22m%22%7D"),
    ] {
        let answer = server.send(&Request::new("HEAD", &target));
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, POST, OPTIONS")), "{target}");
    }
    assert!(server.list("/api/v1/tickets?project=42").is_empty());
    assert_eq!(server.get("/api/v1/projects/42/monitors")["items"], json!([]));
}

#[test]
fn limits_of_the_wire_are_settable() {
    let home = Home::with_config(
        "[limits]\nitems_max = 2\njson_depth_max = 5\ncontainer_bytes_max = 50\ncheck_in_bytes_max = 60\n\
         client_report_bytes_max = 40\nevent_attachments_bytes_max = 10\nheader_line_bytes_max = 100\n\
         announce_dropped_kinds = false\n",
    );
    let server = home.serve();
    home.import_projects();
    let target = format!("/api/42/envelope/?sentry_key={KEY_42}");
    let send = |body: String| server.send(&Request::post(&target, body));
    let long = "x".repeat(100);
    let item = |kind: &str, payload: &str| format!("{{\"type\":\"{kind}\"}}\n{payload}\n");
    assert_eq!(send(format!("{{}}\n{}", item("span", "{}").repeat(3))).status, 413);
    assert_eq!(send(format!("{{\"x\":\"{long}\"}}\n{}", item("span", "{}"))).status, 413);
    for (kind, category) in [("log", "log_item"), ("check_in", "monitor"), ("client_report", "internal")] {
        assert_eq!(
            send(format!("{{}}\n{}", item(kind, &format!("{{\"x\":\"{long}\"}}")))).status,
            200,
            "{kind}"
        );
        assert_eq!(quantity(&server, "invalid", category), 1, "{kind}");
    }
    let files = item("event", "{\"message\":\"m\",\"extra\":{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":1}}}}}}");
    let answer =
        send(format!("{{}}\n{files}{{\"type\":\"attachment\",\"length\":11}}\n{}\n", "y".repeat(11)));
    assert_eq!(quantity(&server, "invalid", "attachment"), 1);
    let event = server.get(&format!("/api/v1/events/{}", answer.json()["id"].as_str().expect("an id")));
    assert!(event.to_string().contains("[truncated]"), "{event}");
    let answer = send(format!("{{}}\n{}", item("transaction", "{}")));
    assert_eq!((answer.status, answer.header("x-sentry-rate-limits")), (200, None));
    // What cannot work is refused at the start.
    for bad in ["items_max = 0", "request_read_seconds_max = 0", "in_flight_bytes_max = 1000"] {
        let home = Home::with_config(&format!("[limits]\n{bad}\n"));
        let checked = home.cli(&["config", "check"]);
        assert_eq!(checked.code(), 78, "{bad}: {}", checked.stderr);
    }
}

#[test]
fn an_ingest_request_is_logged_by_size_and_project() {
    let home = Home::new();
    let server = home.serve();
    home.import_projects();
    let body = "{}\n{\"type\":\"event\"}\n{\"message\":\"m\"}\n";
    let target = format!("/api/42/envelope/?sentry_key={KEY_42}");
    assert_eq!(server.send(&Request::post(&target, body)).status, 200);
    server.stop();
    let files = home.files();
    let log = files.iter().find(|(path, _)| path.ends_with("actifix.log")).expect("a log");
    let text = String::from_utf8_lossy(&log.1);
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let line = lines.into_iter().find(|line| line["route"] == "/api/{pid}/envelope/").expect("a line");
    assert_eq!((&line["project"], &line["body_bytes"]), (&json!(42), &json!(body.len())), "{line}");
    assert!(!text.contains(KEY_42), "queries are not logged");
}
