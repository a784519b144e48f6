//! Who may do what: every operation of the contract with every credential and transport. What is not allowed by the
//! table of roles is refused, and ids of another project name nothing.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Home, Server};
use crate::http::Request;
use crate::random::Random;

const PASSWORD: &str = "violet tractor hums quietly";

/// One operation of the contract.
struct Op {
    method: String,
    path: String,
    id: String,
    /// The scope that it needs; none where any credential will do.
    scope: Option<String>,
}

fn scopes(role: &str) -> BTreeSet<&'static str> {
    let agent = ["tickets:read", "tickets:work", "events:write"];
    let operator = ["metrics:read", "tickets:triage", "quarantine", "releases:write"];
    match role {
        "viewer" => ["tickets:read", "metrics:read"].into(),
        "agent" => agent.into(),
        "operator" => agent.into_iter().chain(operator).collect(),
        "admin" => agent.into_iter().chain(operator).chain(["admin"]).collect(),
        _ => panic!("an unknown role"),
    }
}

fn operations(contract: &Value) -> Vec<Op> {
    let mut all = Vec::new();
    for (path, methods) in contract["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let text = operation["description"].as_str().unwrap_or_default();
            if text.starts_with("Open") {
                assert_eq!(path, "/api/v1/auth/login", "only the login is open");
                continue;
            }
            all.push(Op {
                method: method.to_uppercase(),
                path: path.clone(),
                id: operation["operationId"].as_str().expect("an id").to_owned(),
                scope: text.split('`').nth(1).map(str::to_owned),
            });
        }
    }
    assert!(all.len() > 50, "{} operations", all.len());
    all
}

/// What `sentry-cli` asks: other paths and other errors, and the same guard. They are no part of our contract, so the
/// reference names them.
fn of_builds(home: &Home) -> Vec<Op> {
    let reference = home.cli(&["reference", "api"]).ok();
    let all: Vec<Op> = (reference.lines())
        .filter_map(|line| {
            let (operation, rest) = line.strip_prefix("| `")?.split_once('`')?;
            let (method, path) = operation.split_once(' ').filter(|(_, path)| path.starts_with("/api/0/"))?;
            let scope = rest.rsplit('`').nth(1).filter(|scope| *scope != "any");
            let (method, path, scope) = (method.to_owned(), path.to_owned(), scope.map(str::to_owned));
            Some(Op { id: format!("{method} {path}"), method, path, scope })
        })
        .collect();
    assert!(all.len() >= 20, "{} operations", all.len());
    assert_eq!(all.iter().filter(|op| op.scope.is_none()).count(), 1, "only who one is may be asked by all");
    all
}

/// The path with ids of the project `default`.
fn filled(path: &str, ticket: &str, event: &str) -> String {
    let id = if path.contains("/tickets/") {
        ticket
    } else if path.contains("/events/") {
        event
    } else {
        "0123456789abcdef0123456789abcdef"
    };
    path.replace("{org}", "any")
        .replace("{project}", "default")
        .replace("{key}", &"0".repeat(32))
        .replace("{number}", "0")
        .replace("{name}", "nobody")
        .replace("{version}", "shop@1")
        .replace("{id}", id)
}

fn request(op: &Op, path: &str) -> Request {
    let request = Request::new(&op.method, path);
    if op.method == "GET" { request } else { request.header("Content-Type", "application/json").body("{}") }
}

fn token(server: &Server, role: &str, project: Option<&str>) -> String {
    let body = json!({ "name": role, "role": role, "project": project });
    format!("Bearer {}", server.mint(&body)["token"].as_str().expect("a token"))
}

fn session(home: &Home, server: &Server, role: &str) -> (String, String) {
    let name = format!("a-{role}");
    home.cli_stdin(&["user", "create", &name, "--role", role, "--stdin"], PASSWORD.as_bytes()).ok();
    let body = json!({ "username": name, "password": PASSWORD }).to_string();
    let answer =
        server.send(&Request::post("/api/v1/auth/login", body).header("Content-Type", "application/json"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let cookie = answer.header("set-cookie").expect("a cookie").split(';').next().expect("a pair").to_owned();
    assert!(cookie.starts_with("actifix="), "{cookie}");
    (cookie, answer.json()["csrf_token"].as_str().expect("a token").to_owned())
}

/// These end what the next line of the table needs.
fn ends_the_session(op: &Op) -> bool {
    matches!(op.id.as_str(), "log_out" | "revoke_access_token")
}

/// What outlives a short-lived token is not made with one: refused, or not even looked at.
fn makes_what_lasts(op: &Op) -> bool {
    let ids = ["create_token", "rotate_token", "create_user", "change_user", "set_password", "link_identity"];
    ids.contains(&op.id.as_str())
}

/// An access token for the holder of a request's credential.
fn short_lived(server: &Server, with: impl Fn(Request) -> Request) -> String {
    let request = Request::post("/api/v1/auth/token", "{}").header("Content-Type", "application/json");
    let answer = server.send(&with(request));
    assert_eq!(answer.status, 200, "{}", answer.text());
    format!("Bearer {}", answer.json()["access_token"].as_str().expect("a token"))
}

/// Operations that nobody may do over the network, whatever they hold: the root key and clear secrets stay at home.
fn stays_at_home(op: &Op) -> bool {
    let ids = ["reveal_secret", "rotate_vault", "rotate_credentials", "lift_lockdown", "revoke_leaked"];
    ids.contains(&op.id.as_str())
}

/// What makes or changes people and tokens is for people: a token would outlive itself as one.
fn needs_a_person(op: &Op) -> bool {
    matches!(op.id.as_str(), "change_user" | "reset_totp" | "rotate_token")
}

#[test]
fn ghsa_cc8w_every_operation_is_closed_to_every_credential_that_does_not_hold_its_scope() {
    let home = Home::new();
    let server = Server::start(home.clone(), &[("ACTIFIX_RATE_LIMIT_DISABLED", "1")]);
    let recorded = server.post("/api/v1/events", &json!({ "message": "one" }));
    let (ticket, event) = (recorded["ticket_id"].as_str().unwrap(), recorded["event_id"].as_str().unwrap());
    let mut ops = operations(&server.get("/api/openapi.json"));
    ops.extend(of_builds(&home));
    let key = server.get("/api/v1/projects/default/keys")["items"][0]["public_key"].clone();
    let key = key.as_str().expect("a key").to_owned();
    let admin = token(&server, "admin", None);
    let bare = admin.trim_start_matches("Bearer ");
    let short = short_lived(&server, |request| request.header("Authorization", &admin));
    let short = short.trim_start_matches("Bearer ");
    for op in &ops {
        let path = filled(&op.path, ticket, event);
        let what = format!("{} {}", op.method, op.path);
        for (how, request) in [
            ("nothing", request(op, &path)),
            ("a token in the query", request(op, &format!("{path}?token={bare}&access_token={bare}"))),
            ("a token in a cookie", request(op, &path).header("Cookie", &format!("actifix={bare}"))),
            ("an ingest key", request(op, &path).header("Authorization", &format!("Bearer {key}"))),
            (
                "an ingest header",
                request(op, &path).header("X-Sentry-Auth", &format!("Sentry sentry_key={key}")),
            ),
            ("basic", request(op, &path).header("Authorization", &format!("Basic {bare}"))),
            (
                "two headers",
                request(op, &path).header("Authorization", &admin).header("Authorization", &admin),
            ),
            (
                "an unsigned JWT",
                request(op, &path).header("Authorization", "Bearer eyJhbGciOiJub25lIn0.e30."),
            ),
            ("a JWT in the query", request(op, &format!("{path}?token={short}&access_token={short}"))),
            ("a JWT in a cookie", request(op, &path).header("Cookie", &format!("actifix={short}"))),
            (
                "a JWT without its signature",
                request(op, &path).header(
                    "Authorization",
                    &format!("Bearer {}.", short.rsplit_once('.').expect("three parts").0),
                ),
            ),
        ] {
            let answer = server.send(&request);
            assert_eq!(answer.status, 401, "{what} with {how}");
            assert!(answer.json()["detail"].is_string(), "{what} with {how}: {}", answer.text());
        }
    }
    for role in ["viewer", "agent", "operator", "admin"] {
        let (held, bearer) = (scopes(role), token(&server, role, None));
        let session = (role != "agent").then(|| session(&home, &server, role));
        let of_token = short_lived(&server, |request| request.header("Authorization", &bearer));
        let of_session = session.as_ref().map(|(cookie, csrf)| {
            short_lived(&server, |request| request.header("Cookie", cookie).header("X-CSRF-Token", csrf))
        });
        for op in &ops {
            let path = filled(&op.path, ticket, event);
            let what = format!("{} {} as {role}", op.method, op.path);
            // Done once, it ends every credential of this table; `incidents` tries it.
            if op.id == "lock_down" && role == "admin" {
                continue;
            }
            let allowed = !stays_at_home(op) && op.scope.as_deref().is_none_or(|scope| held.contains(scope));
            let by_token = server.send(&request(op, &path).header("Authorization", &bearer)).status;
            if !allowed || needs_a_person(op) {
                assert_eq!(by_token, 403, "{what} by token");
            } else if op.scope.is_some() {
                assert!(by_token != 401 && by_token != 403, "{what} by token: {by_token}");
            }
            for short in [Some(&of_token), of_session.as_ref()].into_iter().flatten() {
                if ends_the_session(op) {
                    continue;
                }
                let by_short = server.send(&request(op, &path).header("Authorization", short)).status;
                if !allowed {
                    assert_eq!(by_short, 403, "{what} by access token");
                } else if makes_what_lasts(op) || needs_a_person(op) {
                    assert!(matches!(by_short, 400 | 403), "{what} by access token: {by_short}");
                } else if op.scope.is_some() {
                    assert!(by_short != 401 && by_short != 403, "{what} by access token: {by_short}");
                }
            }
            let Some((cookie, csrf)) = &session else { continue };
            let plain = || request(op, &path).header("Cookie", cookie);
            if op.method != "GET" {
                assert_eq!(server.send(&plain()).status, 403, "{what} by session without its CSRF token");
            }
            if ends_the_session(op) {
                continue;
            }
            let by_session = server.send(&plain().header("X-CSRF-Token", csrf)).status;
            if !allowed {
                assert_eq!(by_session, 403, "{what} by session");
            } else if op.scope.is_some() {
                assert!(by_session != 401 && by_session != 403, "{what} by session: {by_session}");
            }
        }
    }
}

#[test]
fn ghsa_569v_ids_of_another_project_name_nothing() {
    let home = Home::new();
    let server = Server::start(home.clone(), &[("ACTIFIX_RATE_LIMIT_DISABLED", "1")]);
    let recorded = server.post("/api/v1/events", &json!({ "message": "one" }));
    let (ticket, event) = (recorded["ticket_id"].as_str().unwrap(), recorded["event_id"].as_str().unwrap());
    server.post("/api/v1/projects", &json!({ "name": "other" }));
    let bearer = token(&server, "admin", Some("other"));
    for op in operations(&server.get("/api/openapi.json")) {
        let path = filled(&op.path, ticket, event);
        let status = server.send(&request(&op, &path).header("Authorization", &bearer)).status;
        let what = format!("{} {}: {status}", op.method, op.path);
        if op.path.contains('{') {
            // 400 and 422: the body was looked at first, which tells nothing about the id.
            assert!(matches!(status, 400 | 403 | 404 | 422), "{what}");
        }
        let asked = format!("{path}?project=default");
        if op.method == "GET" && op.path.matches('/').count() == 3 {
            let answer = server.send(&request(&op, &asked).header("Authorization", &bearer));
            let text = answer.text();
            assert!(answer.status >= 400 || !text.contains(ticket), "{what}: {text}");
        }
    }
    let told = json!({ "version": "shop@1", "projects": ["default"] });
    let made = Request::post("/api/0/organizations/any/releases/", told.to_string())
        .header("Content-Type", "application/json")
        .header("Authorization", &token(&server, "operator", Some("default")));
    assert_eq!(server.send(&made).status, 201);
    let before = server.get("/api/v1/releases/shop@1");
    for op in of_builds(&home) {
        let path = filled(&op.path, ticket, event);
        let answer = server.send(&request(&op, &path).header("Authorization", &bearer));
        let (text, status) = (answer.text(), answer.status);
        if op.path.contains("{project}") || op.path.contains("{version}") && !op.path.contains("previous") {
            assert!(matches!(status, 400 | 404 | 422), "{}: {status} {text}", op.id);
        }
        assert!(!text.contains("shop@1") && !text.contains("default"), "{}: {text}", op.id);
    }
    // With bodies that would do it.
    for (method, path, body) in [
        ("POST", "/api/v1/events".to_owned(), json!({ "message": "x", "project": "default" })),
        ("POST", format!("/api/v1/tickets/{ticket}/notes"), json!({ "text": "x" })),
        ("POST", format!("/api/v1/tickets/{ticket}/ignore"), json!({})),
        ("PATCH", format!("/api/v1/tickets/{ticket}"), json!({ "priority": "P4" })),
        ("PATCH", "/api/v1/projects/default".to_owned(), json!({ "settings": { "sample_after": 1 } })),
        ("POST", "/api/v1/projects/default/keys".to_owned(), json!({ "label": "x" })),
        ("POST", "/api/v1/throttle/reset".to_owned(), json!({ "project": "default" })),
        ("POST", "/api/v1/tokens".to_owned(), json!({ "name": "x", "role": "viewer", "project": "default" })),
        ("POST", "/api/0/organizations/any/releases/".to_owned(), told.clone()),
        ("PUT", "/api/0/organizations/any/releases/shop@1/".to_owned(), told.clone()),
        (
            "PUT",
            "/api/0/organizations/any/releases/shop@1/".to_owned(),
            json!({ "url": "https://x.example" }),
        ),
        ("PUT", "/api/0/projects/any/default/releases/shop@1/".to_owned(), json!({ "refs": [] })),
        (
            "POST",
            "/api/0/organizations/any/releases/shop@1/deploys/".to_owned(),
            json!({ "environment": "e", "projects": ["default"] }),
        ),
        ("DELETE", "/api/0/projects/any/1/releases/shop@1/".to_owned(), json!({})),
    ] {
        let request = Request::new(method, &path)
            .header("Content-Type", "application/json")
            .header("Authorization", &bearer)
            .body(body.to_string());
        let status = server.send(&request).status;
        assert!(matches!(status, 403 | 404), "{method} {path}: {status}");
    }
    assert_eq!(server.get("/api/v1/releases/shop@1"), before, "nothing changed");
}

/// Things of a project by the parameter of a path that names them.
fn things(server: &Server, project: &str) -> Vec<(&'static str, String)> {
    let mut things = Vec::new();
    for number in 0..4 {
        let made = server.post(
            "/api/v1/events",
            &json!({ "message": format!("{project} failed in {number}"), "project": project,
                "fingerprint": [format!("{project}-{number}")] }),
        );
        things.push(("/tickets/", made["ticket_id"].as_str().expect("a ticket").to_owned()));
        things.push(("/events/", made["event_id"].as_str().expect("an event").to_owned()));
    }
    let key = server.get(&format!("/api/v1/projects/{project}/keys"))["items"][0]["public_key"].clone();
    things.push(("/keys/", key.as_str().expect("a key").to_owned()));
    things.push(("/projects/", project.to_owned()));
    let id = server.get(&format!("/api/v1/projects/{project}"))["id"].to_string();
    things.push(("/projects/", id));
    things
}

/// Random pairs of a thing and a credential that is bound to another project, by random operations, also with ids that
/// nobody has. Nothing is ever answered with it, and nothing of it changes.
#[test]
fn ghsa_g5vc_random_pairs_of_ids_and_projects_never_resolve() {
    let home = Home::new();
    let server = Server::start(home, &[("ACTIFIX_RATE_LIMIT_DISABLED", "1")]);
    let projects = ["default", "one", "two"];
    for project in &projects[1..] {
        server.post("/api/v1/projects", &json!({ "name": project }));
    }
    let owned: Vec<_> = projects.iter().map(|project| things(&server, project)).collect();
    let bearers: Vec<_> = projects.iter().map(|project| token(&server, "admin", Some(project))).collect();
    let ops: Vec<Op> = operations(&server.get("/api/openapi.json"))
        .into_iter()
        .chain(of_builds(&server.home))
        .filter(|op| {
            ["/tickets/{id}", "/events/{id}", "/{project}"].iter().any(|part| op.path.contains(part))
        })
        .collect();
    let state = |place: usize| -> Vec<Value> {
        owned[place]
            .iter()
            .filter(|(kind, _)| *kind == "/tickets/")
            .map(|(_, id)| server.get(&format!("/api/v1/tickets/{id}")))
            .collect()
    };
    let before: Vec<_> = (0..projects.len()).map(state).collect();
    let mut random = Random::seeded(0x5eed_0569);
    let mut asked = 0;
    for _ in 0..1_500 {
        let op = &ops[random.below(ops.len())];
        let (owner, stranger) = (random.below(projects.len()), random.below(projects.len()));
        if owner == stranger {
            continue;
        }
        let own = |kind: &str, random: &mut Random| {
            let of_kind: Vec<_> = owned[owner].iter().filter(|(known, _)| *known == kind).collect();
            of_kind[random.below(of_kind.len())].1.clone()
        };
        let invented = format!("{:032x}", random.below(usize::MAX));
        let id = match (random.below(4), op.path.contains("/tickets/")) {
            (0, true) => format!("ACT-20261124-{:05}", random.below(99_999)),
            (0, false) => invented,
            (_, true) => own("/tickets/", &mut random),
            (_, false) => own("/events/", &mut random),
        };
        let mut path = op
            .path
            .replace("{id}", &id)
            .replace("{project}", &own("/projects/", &mut random))
            .replace("{key}", &own("/keys/", &mut random))
            .replace("{org}", projects[owner])
            .replace("{version}", "shop@1")
            .replace("{number}", "0");
        if op.path.ends_with("/events/{id}") && random.below(2) == 0 {
            path = format!("{path}?project={}", projects[owner]);
        }
        let body = match random.below(3) {
            0 => json!({}),
            1 => json!({ "text": "x" }),
            _ => json!({ "settings": {} }),
        };
        let mut request = Request::new(&op.method, &path).header("Authorization", &bearers[stranger]);
        if op.method != "GET" {
            request = request.header("Content-Type", "application/json").body(body.to_string());
        }
        let answer = server.send(&request);
        let what =
            format!("{} {path} as {}: {} {}", op.method, projects[stranger], answer.status, answer.text());
        assert!(matches!(answer.status, 400 | 403 | 404 | 422), "{what}");
        for (_, thing) in &owned[owner] {
            assert!(thing.len() < 8 || !answer.text().contains(thing.as_str()), "{what}");
        }
        asked += 1;
    }
    assert!(asked > 800, "{asked}");
    let after: Vec<_> = (0..projects.len()).map(state).collect();
    assert_eq!(before, after, "nothing changed");
}
