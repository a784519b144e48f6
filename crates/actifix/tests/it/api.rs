//! The JSON API: its contract, its errors, its headers, its pages.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::{Home, Server};
use crate::http::{Answer, Request};

fn started() -> (Arc<Home>, Server) {
    let home = Home::with_config("[throttle]\nenabled = false\n");
    let server = home.serve();
    (home, server)
}

#[track_caller]
fn assert_problem(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{status}");
    let problem = answer.json();
    for member in ["type", "title", "detail", "request_id"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {problem}");
    }
    assert_eq!(problem["status"], status);
    assert_eq!(problem["request_id"].as_str(), answer.header("x-request-id"));
}

#[track_caller]
fn assert_headers(answer: &Answer) {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{} {name}", answer.status);
        assert_eq!(answer.count(name), 1);
    }
    let policy = answer.header("content-security-policy").unwrap_or_default();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(answer.header("server").is_none(), "the server does not say what it is");
    assert!(answer.header("x-request-id").is_some());
}

/// Paths of the contract with something in the place of their parameters.
fn filled(path: &str) -> String {
    path.replace("{project}", "default")
        .replace("{name}", "nothing")
        .replace("{key}", &"0".repeat(32))
        .replace("{number}", "0")
        .replace("{version}", "nothing")
        .replace(
            "{id}",
            if path.contains("tickets") { "ACT-20261124-ZZZZZ" } else { "0123456789abcdef0123456789abcdef" },
        )
}

#[test]
fn the_contract_is_what_the_router_does() {
    let (home, server) = started();
    let contract = server.get("/api/openapi.json");
    assert!(
        contract["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")),
        "{}",
        contract["openapi"]
    );
    let paths = contract["paths"].as_object().expect("paths");
    assert!(paths.len() > 30, "{} paths", paths.len());
    let mut ids = BTreeSet::new();
    for (path, methods) in paths {
        let methods = methods.as_object().expect("methods");
        assert!(!filled(path).contains('{'), "an unknown parameter in {path}");
        for (method, operation) in methods {
            let id = operation["operationId"].as_str().expect("an id").to_owned();
            assert!(ids.insert(id.clone()), "{id} is there twice");
            let method = method.to_uppercase();
            if id == "log_in" {
                continue;
            }
            // Without a credential each is closed, before it looks at anything.
            let body = if method == "GET" { "" } else { "{\"nonsense\":1}" };
            let anonymous =
                Request::new(&method, &filled(path)).header("Content-Type", "application/json").body(body);
            let answer = server.send(&anonymous);
            assert_problem(&answer, 401);
            assert!(
                answer.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")),
                "{path}"
            );
            if matches!(id.as_str(), "revoke_token" | "delete_quarantined" | "lock_down") {
                continue;
            }
            let answer = server.call(&method, &filled(path), (method != "GET").then(|| json!({})).as_ref());
            assert_ne!(answer.status, 405, "{method} {path}");
            assert!(answer.status < 500, "{method} {path}: {} {}", answer.status, answer.text());
            if answer.status == 404 {
                let detail = answer.json()["detail"].as_str().expect("a detail").to_owned();
                assert!(detail.contains("not found"), "{method} {path} has no handler: {detail}");
            }
        }
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            if methods.contains_key(&method.to_lowercase()) {
                continue;
            }
            let answer = server.call(method, &filled(path), None);
            assert_problem(&answer, 405);
            let allow = answer.header("allow").unwrap_or_default().to_uppercase();
            for (known, _) in methods {
                assert!(allow.contains(&known.to_uppercase()), "{path}: Allow: {allow}");
            }
        }
    }
    // Any credential may read the contract, none may not.
    let token = home.cli(&["token", "create", "--name", "m", "--scope", "metrics:read", "--json"]).json();
    let token = token["token"].as_str().expect("a token");
    let with = |path: &str| {
        server.send(&Request::get(path).header("Authorization", &format!("Bearer {token}"))).status
    };
    assert_eq!((with("/api/openapi.json"), with("/metrics"), with("/api/v1/tickets")), (200, 200, 403));
    for path in ["/api/v1/nothing", "/api/v1", "/nothing", "/api/v2/tickets"] {
        assert_eq!(server.call("GET", path, None).status, 404, "{path}");
    }
    assert_problem(&server.call("GET", "/api/v1/nothing", None), 404);
}

#[test]
fn errors_are_problems_and_every_answer_is_guarded() {
    let (home, server) = started();
    home.cli(&["record", "one"]).ok();
    let token = server.token();
    let bearer = format!("Bearer {token}");
    let authorised = |request: Request| request.header("Authorization", &bearer);
    let json_type = |request: Request| request.header("Content-Type", "application/json");
    let large = format!("{{\"message\":\"{}\"}}", "x".repeat(2 << 20));
    let cases: Vec<(u16, Request)> = vec![
        (200, authorised(Request::get("/api/v1/tickets"))),
        (200, Request::get("/healthz")),
        (200, Request::get("/readyz")),
        (401, Request::get("/api/v1/tickets")),
        (401, Request::get("/metrics")),
        (401, Request::get("/api/v1/tickets").header("Authorization", "Bearer nonsense")),
        (401, Request::get("/api/v1/tickets").header("Authorization", &format!("Basic {token}"))),
        (401, Request::get(&format!("/api/v1/tickets?token={token}"))),
        (404, authorised(Request::get("/api/v1/tickets/ACT-20261124-ZZZZZ"))),
        (404, authorised(Request::get("/api/v1/tickets/..%2f..%2fetc"))),
        (405, authorised(Request::new("DELETE", "/api/v1/tickets"))),
        (400, json_type(authorised(Request::post("/api/v1/events", "{\"message\":")))),
        (415, authorised(Request::post("/api/v1/events", "a=b").header("Content-Type", "text/plain"))),
        (413, json_type(authorised(Request::post("/api/v1/events", large)))),
        (422, json_type(authorised(Request::post("/api/v1/events", "{\"message\":\"\"}")))),
        (400, json_type(authorised(Request::post("/api/v1/events", "{\"message\":\"x\",\"nonsense\":1}")))),
        (
            404,
            json_type(authorised(Request::post(
                "/api/v1/events",
                "{\"message\":\"x\",\"project\":\"nobody\"}",
            ))),
        ),
        (421, authorised(Request::get("/api/v1/tickets").header("Host", "evil.example"))),
        (421, authorised(Request::get("/api/openapi.json").header("Host", "127.0.0.1.evil.example"))),
        (421, Request::get("/metrics").header("Host", "evil.example")),
        (200, Request::get("/healthz").header("Host", "any.example")),
    ];
    for (status, request) in cases {
        let text = String::from_utf8_lossy(&request.to_bytes()).chars().take(120).collect::<String>();
        let answer = server.send(&request);
        assert_eq!(answer.status, status, "{text}: {}", answer.text());
        assert_headers(&answer);
        if status >= 400 {
            assert_problem(&answer, status);
            assert!(
                !answer.text().contains("nonsense"),
                "an error does not repeat what was sent: {}",
                answer.text()
            );
        }
    }
    for (query, status) in [
        ("limit=0", 400),
        ("limit=200", 200),
        ("cursor=nonsense", 400),
        ("search=is:nonsense", 422),
        ("sort=nonsense", 400),
        ("limit=abc", 400),
        ("project=nobody", 404),
    ] {
        let answer = server.call("GET", &format!("/api/v1/tickets?{query}"), None);
        if status >= 400 {
            // A value that is none is the client's mistake, by whichever of the two words.
            assert!(matches!(answer.status, 400 | 404 | 422), "{query}: {}", answer.status);
            assert_problem(&answer, answer.status);
        } else {
            assert_eq!(answer.status, status, "{query}");
        }
    }
    let health = server.send(&Request::get("/healthz")).text();
    let ready = server.send(&Request::get("/readyz")).text();
    assert!(health.len() < 50 && ready.len() < 50, "no detail without a token: {health} {ready}");
    // Nothing of ours lets a foreign page read it.
    let answer =
        server.send(&authorised(Request::get("/api/v1/tickets").header("Origin", "https://evil.example")));
    assert!(answer.header("access-control-allow-origin").is_none());
}

#[test]
fn heavy_pages_are_complete_and_without_duplicates() {
    let home = Home::with_config("[throttle]\nenabled = false\n");
    let server = home.serve_busy();
    home.cli(&["project", "create", "other"]).ok();
    let word = |mut n: usize| {
        let mut text = String::from("Kind");
        for _ in 0..3 {
            text.push(char::from(b'a' + (n % 26) as u8));
            n /= 26;
        }
        text
    };
    for number in 0..500 {
        let times = 1 + usize::from(number % 50 == 0);
        for _ in 0..times {
            let project = if number % 10 == 0 { "other" } else { "default" };
            let body = json!({ "message": "page me", "type": word(number), "project": project,
                "priority": format!("P{}", number % 5) });
            let answer = server.call("POST", "/api/v1/events", Some(&body));
            assert_eq!(answer.status, 201, "{}", answer.text());
        }
    }
    for sort in ["last_seen", "first_seen", "count", "priority"] {
        for limit in [7, 50, 200] {
            let mut seen = Vec::new();
            let mut cursor = None::<String>;
            loop {
                let more = cursor.as_ref().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
                let page = server.get(&format!("/api/v1/tickets?sort={sort}&limit={limit}{more}"));
                let items = page["items"].as_array().expect("items");
                assert!(items.len() <= limit);
                assert_eq!(page["total"], 500, "{page}");
                seen.extend(items.iter().cloned());
                match page["next_cursor"].as_str() {
                    Some(next) => cursor = Some(next.to_owned()),
                    None => break,
                }
            }
            assert_ordered(sort, &seen);
            let ids: BTreeSet<&str> =
                seen.iter().map(|ticket| ticket["id"].as_str().expect("an id")).collect();
            assert_eq!((seen.len(), ids.len()), (500, 500), "sort {sort}, limit {limit}");
        }
    }
    assert_eq!(server.list("/api/v1/tickets?project=other").len(), 50);
    assert_eq!(server.list("/api/v1/tickets?priority=P0,P1").len(), 200);
    assert_eq!(server.list("/api/v1/tickets?search=type-nobody-has").len(), 0);
    // More than the most is the most, or an error; never more.
    let answer = server.call("GET", "/api/v1/tickets?limit=10000", None);
    if answer.status == 200 {
        assert!(answer.json()["items"].as_array().expect("items").len() <= 200);
    } else {
        assert_problem(&answer, 400);
    }
    // What comes in between neither repeats nor hides what was there.
    let first = server.get("/api/v1/tickets?sort=first_seen&limit=100");
    server.post("/api/v1/events", &json!({ "message": "late", "type": "Latecomer" }));
    let cursor = first["next_cursor"].as_str().expect("more");
    let second = server.get(&format!("/api/v1/tickets?sort=first_seen&limit=200&cursor={cursor}"));
    let ids = |page: &Value| -> BTreeSet<String> {
        page["items"].as_array().expect("items").iter().map(|t| t["id"].to_string()).collect()
    };
    assert!(ids(&first).is_disjoint(&ids(&second)));
}

fn assert_ordered(sort: &str, tickets: &[Value]) {
    for pair in tickets.windows(2) {
        let in_order = match sort {
            "count" => pair[0]["count"].as_u64() >= pair[1]["count"].as_u64(),
            "priority" => pair[0]["priority"].as_str() <= pair[1]["priority"].as_str(),
            other => pair[0][other].as_str() >= pair[1][other].as_str(),
        };
        assert!(in_order, "sort {sort}: {} before {}", pair[0], pair[1]);
    }
}

#[test]
fn writes_may_name_the_version_they_were_decided_on() {
    let (_home, server) = started();
    let made = server.post("/api/v1/events", &json!({ "message": "versioned" }));
    let path = format!("/api/v1/tickets/{}", made["ticket_id"].as_str().expect("an id"));
    let bearer = format!("Bearer {}", server.token());
    let patch = |version: Option<&str>, priority: &str| {
        let mut request = Request::new("PATCH", &path)
            .header("Authorization", &bearer)
            .header("Content-Type", "application/json")
            .body(json!({ "priority": priority }).to_string());
        if let Some(version) = version {
            request = request.header("If-Match", version);
        }
        server.send(&request)
    };
    let read = server.call("GET", &path, None);
    let tag = read.header("etag").expect("an ETag").to_owned();
    assert_eq!(tag, format!("\"{}\"", read.json()["version"]));
    let changed = patch(Some(&tag), "P1");
    assert_eq!(changed.status, 200, "{}", changed.text());
    let new_tag = changed.header("etag").expect("an ETag").to_owned();
    assert_ne!(new_tag, tag);
    assert_problem(&patch(Some(&tag), "P2"), 412);
    assert_eq!(server.get(&path)["priority"], "P1");
    assert_eq!(patch(Some(&new_tag), "P2").status, 200);
    assert_eq!(patch(None, "P3").status, 200, "without one there is no check");
    assert_problem(&patch(Some("nonsense"), "P3"), 400);
    let stale = Request::post(&format!("{path}/ignore"), "{}")
        .header("Authorization", &bearer)
        .header("Content-Type", "application/json")
        .header("If-Match", &tag);
    assert_problem(&server.send(&stale), 412);
}

#[test]
fn events_over_the_api_are_redacted_and_deduplicated() {
    let (_home, server) = started();
    let secret = ["sk", "_live_", &"9aZ".repeat(8)].concat();
    let body = json!({
        "message": format!("charge with {secret} failed"),
        "type": "PaymentError",
        "source": "pay.rs:31",
        "tags": { "tenant": "acme" },
        "extra": { "password": "correct-horse-battery", "kept": "gift wrap" },
        "user": { "id": "7", "email": "bob@example.com" },
        "release": "shop@1.2.3",
        "environment": "production",
        "fingerprint": ["payments"],
        "event_id": "00112233445566778899aabbccddeeff",
    });
    let first = server.call("POST", "/api/v1/events", Some(&body));
    assert_eq!(first.status, 201, "{}", first.text());
    let made = first.json();
    assert_eq!((made["outcome"].as_str(), made["change"].as_str()), (Some("accepted"), Some("new")));
    let event = server.get(&format!("/api/v1/events/{}", made["event_id"].as_str().expect("an id")));
    let text = event.to_string();
    assert!(
        !text.contains(&secret)
            && !text.contains("correct-horse-battery")
            && !text.contains("bob@example.com"),
        "{text}"
    );
    assert!(text.contains("gift wrap") && text.contains("[redacted:email]"), "{text}");
    assert_eq!(event["tags"]["tenant"], "acme");
    assert_eq!(event["provenance"]["transport"], "json");
    assert_eq!(event["exception"].as_array().map(Vec::len), Some(1));
    let second = server.call("POST", "/api/v1/events", Some(&body));
    assert_eq!(
        (second.status, second.json()["outcome"].as_str().map(str::to_owned)),
        (200, Some("duplicate".to_owned()))
    );
    let ticket = server.get(&format!("/api/v1/tickets/{}", made["ticket_id"].as_str().expect("an id")));
    assert_eq!(ticket["count"], 1);
    assert_eq!(ticket["users"], 1);
    for member in [
        "id",
        "project",
        "title",
        "culprit",
        "level",
        "status",
        "priority",
        "first_seen",
        "last_seen",
        "fingerprint",
        "version",
    ] {
        assert!(!ticket[member].is_null(), "{member}: {ticket}");
    }
    let findings = server.list("/api/v1/findings");
    assert!(findings.len() >= 2, "{findings:?}");
    let id = findings[0]["id"].as_str().expect("an id");
    let resolved = server
        .post(&format!("/api/v1/findings/{id}/resolve"), &json!({ "state": "rotated", "note": "new key" }));
    assert_eq!(resolved["state"], "rotated");
}

/// What is wrong with a value, by the schemas that the server publishes: unknown, missing and mistyped members.
fn check(contract: &Value, schema: &Value, value: &Value, place: &str, wrong: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.strip_prefix("#/components/schemas/").expect("a local reference");
        let named = &contract["components"]["schemas"][name];
        assert!(named.is_object(), "there is no schema {name}");
        return check(contract, named, value, place, wrong);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        if !(value.is_null() && any.iter().any(|form| form["type"] == "null")) {
            check(contract, &any[0], value, place, wrong);
        }
        return;
    }
    if schema["allOf"].is_array() {
        let (mut members, mut required) = (serde_json::Map::new(), Vec::new());
        flatten(contract, schema, &mut members, &mut required);
        let flat = json!({ "type": "object", "properties": members, "required": required });
        return check(contract, &flat, value, place, wrong);
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    let fits = kinds.iter().any(|kind| match *kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => value.is_null(),
    });
    if !fits {
        wrong.push(format!("{place}: {value} is not {kinds:?}"));
    }
    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
        check(contract, &schema["items"], item, &format!("{place}[{number}]"), wrong);
    }
    let (Some(members), Some(properties)) = (value.as_object(), schema["properties"].as_object()) else {
        return;
    };
    for (name, member) in members {
        match properties.get(name) {
            Some(form) => check(contract, form, member, &format!("{place}.{name}"), wrong),
            None => wrong.push(format!("{place}.{name} is not in the contract")),
        }
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !members.contains_key(name) {
            wrong.push(format!("{place}.{name} is missing"));
        }
    }
}

fn flatten(
    contract: &Value,
    schema: &Value,
    members: &mut serde_json::Map<String, Value>,
    required: &mut Vec<Value>,
) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.strip_prefix("#/components/schemas/").expect("a local reference");
        return flatten(contract, &contract["components"]["schemas"][name], members, required);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        flatten(contract, part, members, required);
    }
    members.extend(
        schema["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, form)| (name.clone(), form.clone())),
    );
    required.extend(schema["required"].as_array().into_iter().flatten().cloned());
}

#[test]
fn answers_have_the_form_that_the_contract_gives() {
    let home = Home::new();
    home.import_projects();
    let server = home.serve();
    for capture in crate::captures::Manifest::load().captures {
        server.raw(&capture.bytes());
    }
    let contract = server.get("/api/openapi.json");
    let mut wrong = Vec::new();
    let mut checked = BTreeSet::new();
    let mut see = |method: &str, template: &str, path: &str, body: Option<&Value>| -> Value {
        let answer = server.call(method, path, body);
        assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.text());
        let operation = &contract["paths"][template][method.to_lowercase()];
        let schema = operation["responses"]
            .as_object()
            .and_then(|responses| responses.iter().find(|(status, _)| status.starts_with('2')))
            .map(|(_, response)| response["content"]["application/json"]["schema"].clone())
            .expect("an answer");
        assert!(
            schema.as_object().is_some_and(|schema| !schema.is_empty()),
            "{method} {template} has no form"
        );
        checked.insert(operation["operationId"].to_string());
        let value = answer.json();
        check(&contract, &schema, &value, template, &mut wrong);
        value
    };
    let tickets = see("GET", "/api/v1/tickets", "/api/v1/tickets?limit=200", None);
    for ticket in tickets["items"].as_array().expect("items") {
        let path = format!("/api/v1/tickets/{}", ticket["id"].as_str().expect("an id"));
        see("GET", "/api/v1/tickets/{id}", &path, None);
        see("GET", "/api/v1/tickets/{id}/similar", &format!("{path}/similar"), None);
        let events = see("GET", "/api/v1/tickets/{id}/events", &format!("{path}/events"), None);
        for event in events["items"].as_array().expect("items") {
            let path = format!(
                "/api/v1/events/{}?project={}",
                event["event_id"].as_str().expect("an id"),
                event["project"]
            );
            see("GET", "/api/v1/events/{id}", &path, None);
            let path = path.replace('?', "/attachments?");
            see("GET", "/api/v1/events/{id}/attachments", &path, None);
        }
    }
    let first = tickets["items"][0]["id"].as_str().expect("an id").to_owned();
    for (action, body) in [
        ("claim", json!({})),
        ("notes", json!({ "text": "seen" })),
        ("approve", json!({})),
        ("assign", json!({ "assignee": "bob" })),
        ("ignore", json!({})),
        ("reopen", json!({})),
    ] {
        let template = format!("/api/v1/tickets/{{id}}/{action}");
        see("POST", &template, &format!("/api/v1/tickets/{first}/{action}"), Some(&body));
    }
    see(
        "PATCH",
        "/api/v1/tickets/{id}",
        &format!("/api/v1/tickets/{first}"),
        Some(&json!({ "priority": "P3" })),
    );
    see("POST", "/api/v1/events", "/api/v1/events", Some(&json!({ "message": "boom" })));
    let findings = see("GET", "/api/v1/findings", "/api/v1/findings", None);
    let finding = format!("/api/v1/findings/{}", findings["items"][0]["id"].as_str().expect("an id"));
    see("GET", "/api/v1/findings/{id}", &finding, None);
    let rotated = json!({ "state": "rotated" });
    see("POST", "/api/v1/findings/{id}/resolve", &format!("{finding}/resolve"), Some(&rotated));
    let hold = json!({ "project": "42", "reason": "case" });
    see("POST", "/api/v1/retention/holds", "/api/v1/retention/holds", Some(&hold));
    see("POST", "/api/v1/integrity/check", "/api/v1/integrity/check", Some(&json!({})));
    for path in [
        "projects",
        "retention",
        "retention/holds",
        "backups",
        "backups/runs",
        "integrity",
        "throttle",
        "throttle/history",
        "tokens",
    ] {
        let path = format!("/api/v1/{path}");
        see("GET", &path, &path, None);
    }
    let project = "/api/v1/projects/{project}";
    for part in ["", "/dsn", "/keys", "/outcomes"] {
        see("GET", &format!("{project}{part}"), &format!("/api/v1/projects/42{part}"), None);
    }
    see("PATCH", project, "/api/v1/projects/42", Some(&json!({ "settings": { "otlp_min_severity": 17 } })));
    see("POST", "/api/v1/projects", "/api/v1/projects", Some(&json!({ "name": "new" })));
    see("POST", "/api/v1/throttle/promote", "/api/v1/throttle/promote", Some(&json!({})));
    see("POST", "/api/v1/retention/run", "/api/v1/retention/run", Some(&json!({ "dry_run": true })));
    let made = server.mint(&json!({ "name": "ci", "role": "viewer" }));
    let answers = &contract["paths"]["/api/v1/tokens"]["post"]["responses"];
    let schema = &answers["201"]["content"]["application/json"]["schema"];
    check(&contract, schema, &made, "/api/v1/tokens", &mut wrong);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked.len() > 25, "{checked:?}");
}

/// What the contract does not name is refused, with the field that was wrong, and nothing is done.
#[test]
fn what_the_contract_does_not_name_is_refused() {
    let home = Home::new();
    let server = Server::start(Arc::clone(&home), &[("ACTIFIX_RATE_LIMIT_DISABLED", "1")]);
    home.cli(&["record", "one"]).ok();
    let contract = server.get("/api/openapi.json");
    let ticket = server.get("/api/v1/tickets")["items"][0]["id"].as_str().expect("a ticket").to_owned();
    for (path, methods) in contract["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let (method, path) = (method.to_uppercase(), filled(path).replace("ACT-20261124-ZZZZZ", &ticket));
            let body = (method != "GET").then(|| json!({}));
            for query in ["unknown=1", "limit=1&limit=2", "Limit=1", "cursor[]=1", "%00=1"] {
                let answer = server.call(&method, &format!("{path}?{query}"), body.as_ref());
                assert_problem(&answer, 400);
                assert!(answer.json()["errors"][0]["field"].is_string(), "{method} {path}?{query}");
            }
            let members = &operation["requestBody"]["content"]["application/json"]["schema"];
            let Some(properties) = members["properties"].as_object() else { continue };
            assert_eq!(members["additionalProperties"], false, "{method} {path}");
            for wrong in [json!({ "unknown_member": 1 }), json!([]), json!("x"), json!(1), json!([{}])] {
                assert_problem(&server.call(&method, &path, Some(&wrong)), 400);
            }
            for (name, schema) in properties {
                // A list is what no text, number or map is, and a number what no list is.
                let is_list = schema.to_string().contains("\"array\"");
                let wrong = if is_list { json!({ name: 7 }) } else { json!({ name: [[]] }) };
                let answer = server.call(&method, &path, Some(&wrong));
                assert!([400, 404].contains(&answer.status), "{method} {path} {wrong}: {}", answer.text());
            }
        }
    }
    for query in ["limit=0", "limit=201", "limit=x", "limit=", "sort=size", "status=a%20b", "limit=1&limit=1"]
    {
        assert_problem(&server.call("GET", &format!("/api/v1/tickets?{query}"), None), 400);
    }
    for version in ["x", "-1", "\"3", "3\"", "\"\"", "W/\"1\"", "1, 2", "99999999999999999999"] {
        let path = format!("/api/v1/tickets/{ticket}/approve");
        let bearer = format!("Bearer {}", server.token());
        let request = Request::post(&path, "{}").header("Authorization", &bearer).header("If-Match", version);
        assert_problem(&server.send(&request.header("Content-Type", "application/json")), 400);
    }
    assert_eq!(server.get(&format!("/api/v1/tickets/{ticket}"))["version"], 1, "nothing was done");
}
