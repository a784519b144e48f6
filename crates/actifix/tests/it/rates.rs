//! Limits of the API (`security.md`: "Per-minute limits" to "Override only for testing").

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Home, KEY_42, Server};
use crate::http::{Answer, Request};
use crate::people::{PASSWORD, with_admin_and};

/// Counters are written once a second; a loaded machine may be slow.
const TICK_DEADLINE: Duration = Duration::from_secs(30);

fn with_token(request: Request, token: &str) -> Request {
    request.header("Authorization", &format!("Bearer {token}"))
}

fn new_token(home: &Home, role: &str) -> String {
    let made = home.cli(&["token", "create", "--name", "t", "--role", role, "--json"]).json();
    made["token"].as_str().expect("a token").to_owned()
}

fn projects(server: &Server, token: &str) -> Answer {
    server.send(&with_token(Request::get("/api/v1/projects"), token))
}

/// A number among the parameters of an item of a header that is a list.
fn parameter(answer: &Answer, header: &str, item: &str, name: &str) -> u64 {
    let text = answer.header(header).unwrap_or_else(|| panic!("no {header}: {answer:?}"));
    let found = text.split(", ").find(|part| part.starts_with(&format!("\"{item}\";"))).expect("the item");
    let value =
        found.split(';').find_map(|part| part.strip_prefix(&format!("{name}="))).expect("the parameter");
    value.parse().expect("a number")
}

fn metric(server: &Server, line: &str) -> f64 {
    // Through the home's socket one could not: this is a token of its own, so that it is not limited itself.
    let text = projects_metrics(server);
    text.lines()
        .find_map(|known| known.strip_prefix(line))
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or(0.0)
}

fn projects_metrics(server: &Server) -> String {
    let token = new_token(&server.home, "viewer");
    server.send(&with_token(Request::get("/metrics"), &token)).text()
}

#[test]
fn one_more_than_the_limit_is_refused_and_told_when_to_come_back() {
    let home = Home::with_config("[limits]\napi_per_minute = 5\napi_per_hour = 50\n");
    let server = home.serve();
    let token = new_token(&home, "viewer");
    for left in (0..5).rev() {
        let answer = projects(&server, &token);
        assert_eq!(answer.status, 200);
        let policy = |item, name| parameter(&answer, "ratelimit-policy", item, name);
        assert_eq!((policy("minute", "q"), policy("minute", "w")), (5, 60));
        assert_eq!((policy("hour", "q"), policy("hour", "w")), (50, 3_600));
        assert_eq!(parameter(&answer, "ratelimit", "minute", "r"), left);
        assert!((1..=61).contains(&parameter(&answer, "ratelimit", "minute", "t")));
        assert_eq!(answer.count("ratelimit"), 1);
    }
    let answer = projects(&server, &token);
    assert_eq!((answer.status, answer.header("content-type")), (429, Some("application/problem+json")));
    let seconds: u64 = answer.header("retry-after").and_then(|text| text.parse().ok()).expect("Retry-After");
    assert!((50..=61).contains(&seconds), "{seconds}");
    assert_eq!(parameter(&answer, "ratelimit", "minute", "r"), 0);
    let problem = answer.json();
    assert_eq!(
        (&problem["status"], &problem["type"]),
        (&Value::from(429), &Value::from("urn:actifix:problem:429"))
    );
    assert!(problem["request_id"].as_str().is_some_and(|id| id.len() == 16));
    // Many tokens of one address are many.
    assert_eq!(projects(&server, &new_token(&home, "viewer")).status, 200);
    assert!(metric(&server, "actifix_rate_limited_total{class=\"api\"}") >= 1.0);
}

#[test]
fn every_spelling_and_every_method_counts() {
    let home = Home::with_config("[limits]\napi_per_minute = 12\n");
    let server = home.serve();
    let token = new_token(&home, "admin");
    let left = |method: &str, target: &str| {
        let answer = server.send(&with_token(Request::new(method, target), &token));
        (answer.status, parameter(&answer, "ratelimit", "minute", "r"))
    };
    let variants = [
        ("GET", "/api/v1/projects"),
        ("HEAD", "/api/v1/projects"),
        ("OPTIONS", "/api/v1/projects"),
        ("GET", "/api/v1/projects/"),
        ("GET", "/API/V1/projects"),
        ("GET", "//api/v1/projects"),
        ("GET", "/api/v1/./projects"),
        ("GET", "/api/v1/%70rojects"),
        ("TRACE", "/api/v1/projects"),
        ("GET", "/metrics"),
        ("GET", "/api/openapi.json"),
        ("DELETE", "/nothing"),
    ];
    for (place, (method, target)) in variants.into_iter().enumerate() {
        let (status, remaining) = left(method, target);
        assert_ne!(status, 429, "{method} {target}");
        assert_eq!(remaining, 11 - place as u64, "{method} {target}");
    }
    for (method, target) in variants {
        assert_eq!(left(method, target).0, 429, "{method} {target}");
    }
    // Ingest and health have limits of their own.
    home.import_projects();
    let event = Request::post(&format!("/api/42/store/?sentry_key={KEY_42}"), "{\"message\":\"m\"}");
    assert_eq!(server.send(&event).status, 200);
    assert_eq!(server.send(&Request::get("/healthz")).status, 200);
}

#[test]
fn fifty_connections_at_once_get_exactly_the_limit() {
    let home = Home::with_config("[limits]\napi_per_minute = 100\n");
    let server = home.serve();
    let token = new_token(&home, "viewer");
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..50)
            .map(|_| scope.spawn(|| (0..4).map(|_| projects(&server, &token).status).collect::<Vec<_>>()))
            .collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    });
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(200), count(429)), (100, 100));
}

#[test]
fn who_shows_no_good_credential_is_limited_by_network_before_it_is_looked_at() {
    let home =
        Home::with_config("[limits]\napi_per_minute = 8\n[server]\ntrusted_proxies = [\"127.0.0.1\"]\n");
    let server = home.serve();
    let proven = new_token(&home, "viewer");
    let fresh = new_token(&home, "viewer");
    let from =
        |address: &str, request: Request| server.send(&request.header("X-Forwarded-For", address)).status;
    let projects = || Request::get("/api/v1/projects");
    assert_eq!(from("2001:db8::1", with_token(projects(), &proven)), 200);
    let bad = format!("afx_{}", "A".repeat(40));
    let attempts: Vec<u16> = (0..12)
        .map(|hop| {
            let request = if hop % 2 == 0 { projects() } else { with_token(projects(), &bad) };
            from(&format!("2001:db8::{:x}", hop + 1), request)
        })
        .collect();
    assert_eq!(attempts[..8], [401; 8], "hops within a network of 64 bits are one client");
    assert_eq!(attempts[8..], [429; 4]);
    assert_eq!(from("2001:db8::9", with_token(projects(), &fresh)), 429, "not even looked at");
    assert_eq!(
        from("2001:db8::9", with_token(projects(), &proven)),
        200,
        "nobody shuts out who was known before"
    );
    assert_eq!(from("2001:db8:0:1::1", with_token(projects(), &fresh)), 200);
    assert!(metric(&server, "actifix_rate_limited_total{class=\"anonymous\"}") >= 5.0);
    // Preflights are requests too.
    let preflight = || {
        Request::new("OPTIONS", "/api/v1/tickets")
            .header("Origin", "http://localhost")
            .header("Access-Control-Request-Method", "GET")
    };
    assert_eq!((0..10).filter(|_| from("203.0.113.5", preflight()) == 429).count(), 2);
}

/// The two limits of a login count different things: requests, which cost little and are many, and attempts at passwords.
#[test]
fn a_network_that_floods_cannot_log_in_and_no_attempt_is_charged_for_it() {
    let (_home, server) = with_admin_and(
        "[limits]\napi_per_minute = 6\nlogin_per_minute = 3\n[server]\ntrusted_proxies = [\"127.0.0.1\"]\n",
    );
    let login = |address: &str, password: &str| {
        let body = json!({ "username": "admin", "password": password }).to_string();
        let request = Request::post("/api/v1/auth/login", body).header("Content-Type", "application/json");
        server.send(&request.header("X-Forwarded-For", address)).status
    };
    for _ in 0..6 {
        let request = Request::get("/api/v1/projects").header("X-Forwarded-For", "203.0.113.5");
        assert_eq!(server.send(&request).status, 401);
    }
    for _ in 0..9 {
        assert_eq!(login("203.0.113.5", PASSWORD), 429, "nothing of the flooding network is looked at");
    }
    // Of those nothing was counted on the account: it has all of its three attempts.
    let elsewhere = [login("198.51.100.7", "not this one, at all"), login("198.51.100.7", PASSWORD)];
    assert_eq!(elsewhere, [401, 200]);
}

#[test]
fn attempts_to_log_in_have_a_limit_of_their_own() {
    let home = Home::with_config("[limits]\nlogin_per_minute = 3\n");
    let server = home.serve();
    let login = |name: &str| {
        let body = format!("{{\"username\":\"{name}\",\"password\":\"not this one\"}}");
        let request = Request::post("/api/v1/auth/login", body).header("Content-Type", "application/json");
        server.send(&request).status
    };
    let statuses: Vec<u16> = ["a", "b", "c", "d", "e"].into_iter().map(login).collect();
    assert_eq!(statuses, [401, 401, 401, 429, 429], "whatever name is tried");
    assert!(metric(&server, "actifix_rate_limited_total{class=\"login\"}") >= 2.0);
    assert_eq!(server.send(&Request::get("/api/v1/projects")).status, 401, "other requests go on");
}

#[test]
fn the_hour_and_the_day_survive_a_crash() {
    let home = Home::with_config("[limits]\napi_per_minute = 1000\napi_per_hour = 10\n");
    let server = home.serve();
    let token = new_token(&home, "viewer");
    assert_eq!((0..12).filter(|_| projects(&server, &token).status == 200).count(), 10);
    // It is written with the next tick.
    let writes = || metric(&server, "actifix_limit_writes_total");
    let (before, began) = (writes(), Instant::now());
    while writes() <= before {
        assert!(began.elapsed() < TICK_DEADLINE, "what was used is never written");
    }
    server.kill();
    let server = home.serve();
    assert_eq!(projects(&server, &token).status, 429, "no second hour");
    assert_eq!(projects(&server, &new_token(&home, "viewer")).status, 200);
    server.stop();
    let server = Server::start(Arc::clone(&home), &[]);
    assert_eq!(projects(&server, &token).status, 429);
}

#[test]
fn the_day_of_the_instance_keeps_a_reserve_for_administrators() {
    let home = Home::with_config("[limits]\napi_instance_per_day = 20\napi_admin_reserve_percent = 25\n");
    let server = home.serve();
    let (viewer, admin) = (new_token(&home, "viewer"), new_token(&home, "admin"));
    assert_eq!((0..20).filter(|_| projects(&server, &viewer).status == 200).count(), 15);
    assert_eq!((0..9).filter(|_| projects(&server, &admin).status == 200).count(), 5);
    let refused = projects(&server, &viewer);
    assert!(
        refused
            .header("retry-after")
            .and_then(|text| text.parse::<u64>().ok())
            .is_some_and(|seconds| seconds > 80_000)
    );
    assert_eq!(parameter(&refused, "ratelimit", "day", "r"), 0);
    // Who owns the home is not limited by it.
    home.cli(&["project", "list"]).ok();
}
