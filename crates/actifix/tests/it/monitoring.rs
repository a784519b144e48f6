//! What a server serves to monitoring, held against the interface, the alert rules and the dashboard.

use std::collections::BTreeSet;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Home, Server};
use crate::http::Request;
use crate::people::{PASSWORD, try_login};

const RULES: &str = include_str!("../../../../monitoring/prometheus-rules.yml");
const DASHBOARD: &str = include_str!("../../../../monitoring/grafana.json");
const PAGE: &str = include_str!("../../../../docs/monitoring.md");

/// What is done once after the start must be done within this time.
const DEADLINE: Duration = Duration::from_secs(60);

/// The names of the interface, with the labels that each has.
const FIXED: [(&str, &[&str]); 22] = [
    ("actifix_events_total", &["project", "outcome"]),
    ("actifix_sdk_discarded_total", &["project", "reason", "category"]),
    ("actifix_ingest_seconds_bucket", &["le"]),
    ("actifix_queue_depth", &[]),
    ("actifix_tickets", &["status", "priority"]),
    ("actifix_redactions_total", &["rule"]),
    ("actifix_throttle_state", &[]),
    ("actifix_throttle_held_total", &["priority"]),
    ("actifix_auth_failures_total", &["reason"]),
    ("actifix_rate_limited_total", &["class"]),
    ("actifix_webhook_deliveries_total", &["endpoint", "result"]),
    ("actifix_webhook_oldest_pending_seconds", &[]),
    ("actifix_db_lock_wait_seconds_bucket", &["le"]),
    ("actifix_db_busy_total", &[]),
    ("actifix_db_size_bytes", &[]),
    ("actifix_wal_size_bytes", &[]),
    ("actifix_token_expires_seconds", &["token"]),
    ("actifix_backup_last_verified_timestamp_seconds", &[]),
    ("actifix_quarantine_entries", &[]),
    ("actifix_audit_head", &[]),
    ("actifix_build_info", &["version"]),
    ("process_resident_memory_bytes", &[]),
];

/// Words of a text that are names of metrics.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| word.starts_with("actifix_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

fn served(server: &Server) -> String {
    server.call("GET", "/metrics", None).text()
}

/// Lets a server meet what counts.
fn exercised() -> (std::sync::Arc<Home>, Server) {
    let home = Home::new();
    home.cli_stdin(&["admin", "set-password", "--stdin"], PASSWORD.as_bytes()).ok();
    home.cli_stdin(&["webhook", "add", "ops", "--stdin"], b"https://hooks.example.net/x").ok();
    let server = home.serve();
    let canary = ["gh", "p_", "16C7e42F292c6912E7710c838347Ae178B4a"].concat();
    server.post("/api/v1/events", &json!({ "message": format!("with {canary}") }));
    let dsn = home.cli(&["dsn"]).ok();
    let key = dsn.split("://").nth(1).and_then(|rest| rest.split('@').next()).expect("a key").to_owned();
    let report = json!({ "timestamp": 1, "discarded_events": [{ "reason": "sample_rate", "category": "error", "quantity": 3 }] });
    let envelope = format!("{{}}\n{{\"type\":\"client_report\"}}\n{report}\n");
    let sent = server.send(&Request::post(&format!("/api/1/envelope/?sentry_key={key}"), envelope));
    assert_eq!(sent.status, 200, "{}", sent.text());
    (home, server)
}

#[test]
fn every_metric_of_the_interface_the_rules_and_the_dashboard_is_served() {
    let (_home, server) = exercised();
    // The log of backups is read, and the first look at it all done, a moment after the start.
    let until = Instant::now() + DEADLINE;
    let told = loop {
        let text = served(&server);
        assert!(Instant::now() < until, "{text}");
        let late = [
            "actifix_backup_last_verified_timestamp_seconds",
            "actifix_audit_intact",
            "actifix_disk_free_bytes",
            "actifix_log_size_bytes",
            "actifix_retention_last_success_timestamp_seconds",
        ];
        if late.iter().all(|name| text.contains(name)) {
            break text;
        }
        std::thread::yield_now();
    };
    for (name, labels) in FIXED {
        let line = told
            .lines()
            .find(|line| {
                line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
            })
            .unwrap_or_else(|| panic!("{name} is not served:\n{told}"));
        let found: Vec<&str> = match line.split_once('{') {
            None => Vec::new(),
            Some((_, rest)) => rest
                .split('}')
                .next()
                .expect("labels")
                .split("\",")
                .map(|label| label.split('=').next().expect("a name"))
                .collect(),
        };
        let (mut found, mut wanted) = (found, labels.to_vec());
        found.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "{line}");
    }
    for (what, text, fewest) in [("rules", RULES, 20), ("dashboard", DASHBOARD, 25), ("page", PAGE, 40)] {
        let names = named(text);
        assert!(names.len() >= fewest, "{what}: {names:?}");
        for name in names {
            let known = |line: &str| {
                line.strip_prefix(name.as_str())
                    .is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
            };
            let is_histogram = told.contains(&format!("# TYPE {name} histogram"));
            // A counter of what happens seldom is served when it happened first; the page says which have labels of theirs.
            let seldom = ["actifix_integrity_faults", "actifix_retention_deleted_total", "process_"];
            if what == "page" && seldom.iter().any(|start| name.starts_with(start)) {
                continue;
            }
            assert!(is_histogram || told.lines().any(known), "{what}: {name} is not served:\n{told}");
        }
    }
}

#[test]
fn what_alert_rules_read_is_there_before_anything_has_happened() {
    let home = Home::new();
    home.serve().stop();
    home.cli_stdin(&["webhook", "add", "early", "--stdin"], b"https://hooks.example.net/x").ok();
    let server = home.serve();
    home.cli_stdin(&["webhook", "add", "late", "--stdin"], b"https://hooks.example.net/y").ok();
    let told = served(&server);
    for line in [
        "actifix_ingest_seconds_count 0",
        "actifix_redactions_total{rule=\"aws_access_key_id\"} 0",
        "actifix_sdk_discarded_total{project=\"1\",reason=\"network_error\",category=\"error\"} 0",
        "actifix_webhook_deliveries_total{endpoint=\"early\",result=\"timeout\"} 0",
        "actifix_webhook_deliveries_total{endpoint=\"late\",result=\"delivered\"} 0",
    ] {
        assert!(told.lines().any(|told| told == line), "{line}:\n{told}");
    }
}

#[test]
fn rules_and_dashboard_are_what_their_readers_expect() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().expect("a number")).collect();
    assert_eq!(ids.len(), panels.len());
    for panel in panels {
        for target in panel["targets"].as_array().expect("targets") {
            let query = target["expr"].as_str().expect("a query");
            let open = query.matches('(').count();
            assert!(open == query.matches(')').count() && !named(query).is_empty(), "{query}");
        }
    }
    // Each alert has a name of its own, a severity, a summary, and a runbook that is there.
    let alerts: Vec<&str> = RULES.split("- alert: ").skip(1).collect();
    let names: BTreeSet<&str> = alerts.iter().filter_map(|alert| alert.lines().next()).collect();
    assert!(alerts.len() >= 20 && names.len() == alerts.len());
    for alert in alerts {
        for part in ["expr: ", "severity: ", "summary: ", "runbook: docs/"] {
            assert!(alert.contains(part), "{part}: {alert}");
        }
        let runbook = alert.split("runbook: ").nth(1).and_then(|rest| rest.lines().next()).expect("a page");
        let (page, place) = runbook.split_once('#').unwrap_or((runbook, ""));
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{runbook} is not there"));
        let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            heading.chars().filter(|c| c.is_alphanumeric() || *c == ' ').collect::<String>().replace(' ', "-")
        });
        assert!(place.is_empty() || headings.into_iter().any(|heading| heading == place), "{runbook}");
    }
}

#[test]
fn who_reaches_limits_is_told_by_hashed_name() {
    let home = Home::with_config("[limits]\napi_per_minute = 5\nlogin_per_minute = 2\n");
    let server = home.serve();
    // A credential that was good lately is not taken for a stranger's.
    assert_eq!(server.get("/api/v1/limits")["busiest"], json!([]));
    let token = home.cli(&["token", "create", "--name", "loud", "--role", "viewer", "--json"]).json();
    let (text, id) = (token["token"].as_str().expect("a token"), token["id"].as_str().expect("an id"));
    for _ in 0..15 {
        server.send(&Request::get("/api/v1/tickets").header("Authorization", &format!("Bearer {text}")));
    }
    for _ in 0..6 {
        try_login(&server, "admin", "wrong wrong wrong wrong", None);
    }
    let told = server.get("/api/v1/limits");
    let busiest = told["busiest"].as_array().expect("a list");
    let of = |class: &str| {
        busiest.iter().find(|busy| busy["class"] == class).unwrap_or_else(|| panic!("{class}: {told}"))
    };
    assert_eq!(of("api")["count"], 10);
    assert!(of("login")["count"].as_u64().is_some_and(|count| count >= 1));
    assert!(!told.to_string().contains(id) && !told.to_string().contains("127.0.0.1"));
    let log = std::fs::read_to_string(home.path().join(".actifix/logs/actifix.log")).expect("a log");
    let limited: Vec<&str> =
        log.lines().filter(|line| line.contains("rate.limited") && line.contains("\"api\"")).collect();
    assert_eq!(limited.len(), 2, "the 1st and the 10th: {limited:?}");
}
