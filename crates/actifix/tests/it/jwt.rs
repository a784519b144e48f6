//! Short-lived access tokens from outside: got, used, narrowed, ended; and forged ones, which nobody takes.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::harness::{Home, Server};
use crate::http::{Answer, Request};

const PASSWORD: &str = "nine lamps in the rain";
const OTHER: &str = "violet tractor hums quietly";

fn bearer(method: &str, path: &str, token: &str, body: Option<&Value>) -> Request {
    let request = Request::new(method, path).header("Authorization", &format!("Bearer {token}"));
    match body {
        Some(body) => request.header("Content-Type", "application/json").body(body.to_string()),
        None => request,
    }
}

fn status(server: &Server, token: &str) -> u16 {
    server.send(&bearer("GET", "/api/v1/tickets", token, None)).status
}

/// An API token: its id and text.
fn api_token(server: &Server, body: Value) -> (String, String) {
    let made = server.mint(&body);
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    (text("id"), text("token"))
}

fn issue(server: &Server, token: &str, body: &Value) -> Answer {
    server.send(&bearer("POST", "/api/v1/auth/token", token, Some(body)))
}

#[track_caller]
fn access(server: &Server, token: &str, body: &Value) -> String {
    let answer = issue(server, token, body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["access_token"].as_str().expect("a token").to_owned()
}

fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).expect("a part");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

/// What a browser holds after a login.
struct Login {
    cookie: String,
    csrf: String,
}

impl Login {
    fn of(server: &Server, name: &str, password: &str) -> Self {
        let body = json!({ "username": name, "password": password }).to_string();
        let answer = server
            .send(&Request::post("/api/v1/auth/login", body).header("Content-Type", "application/json"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let cookie =
            answer.header("set-cookie").expect("a cookie").split(';').next().expect("a pair").to_owned();
        let csrf = answer.json()["csrf_token"].as_str().expect("a token").to_owned();
        Self { cookie, csrf }
    }

    fn post(&self, server: &Server, path: &str, body: &Value) -> Answer {
        let request = Request::post(path, body.to_string())
            .header("Content-Type", "application/json")
            .header("Cookie", &self.cookie)
            .header("X-CSRF-Token", &self.csrf);
        server.send(&request)
    }

    #[track_caller]
    fn access(&self, server: &Server, body: &Value) -> String {
        let answer = self.post(server, "/api/v1/auth/token", body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["access_token"].as_str().expect("a token").to_owned()
    }
}

/// More logins than anybody may make in a minute are needed here.
fn serve(home: &Arc<Home>) -> Server {
    Server::start(Arc::clone(home), &[("ACTIFIX_RATE_LIMIT_DISABLED", "1")])
}

fn with_admin() -> (Arc<Home>, Server) {
    let home = Home::new();
    home.cli_stdin(&["admin", "set-password", "--stdin"], PASSWORD.as_bytes()).ok();
    let server = serve(&home);
    (home, server)
}

#[test]
fn an_access_token_says_what_it_is_and_does_what_its_holder_may() {
    let home = Home::new();
    let server = home.serve();
    let (id, token) = api_token(&server, json!({ "name": "t", "role": "operator" }));
    let answer = issue(&server, &token, &json!({})).json();
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(900)));
    let text = answer["access_token"].as_str().expect("a token");
    let header = part(text, 0);
    let names: Vec<&str> = header.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(names, ["alg", "kid", "typ"]);
    assert_eq!((&header["alg"], &header["typ"]), (&json!("EdDSA"), &json!("actifix-access+jwt")));
    let claims = part(text, 1);
    let mut names: Vec<&str> = claims.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["aud", "epoch", "exp", "iat", "iss", "jti", "nbf", "project", "scopes", "sub"]);
    let number = |name: &str| claims[name].as_i64().expect("a number");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
    assert_eq!((number("exp") - number("iat"), number("nbf")), (900, number("iat")));
    assert!(number("iat").abs_diff(i64::try_from(now).expect("a time")) < 60);
    assert_eq!(claims["sub"], format!("token:{id}"));
    assert_eq!(claims["jti"], answer["id"]);
    assert_eq!(status(&server, text), 200);
    let noted = json!({ "message": "by an access token" });
    let recorded = server.send(&bearer("POST", "/api/v1/events", text, Some(&noted)));
    assert_eq!(recorded.status, 201, "{}", recorded.text());
    assert_eq!(server.send(&bearer("GET", "/api/v1/users", text, None)).status, 403);
    // It outlives a restart, in which the address changes; and what it does is its holder's act.
    server.stop();
    let server = home.serve();
    assert_eq!(status(&server, text), 200);
    let row = server
        .list("/api/v1/audit?action=token.issued")
        .into_iter()
        .find(|row| row["target"] == format!("access:{}", answer["id"].as_str().expect("an id")))
        .expect("a record");
    assert_eq!((&row["actor"], &row["network"]), (&json!(format!("token:{id}")), &json!("127.0.0.1")));
}

#[test]
fn ghsa_683j_an_access_token_is_never_wider_than_what_it_was_got_for() {
    let home = Home::new();
    let server = serve(&home);
    server.post("/api/v1/projects", &json!({ "name": "shop" }));
    let (_, viewer) = api_token(&server, json!({ "name": "v", "role": "viewer" }));
    let (_, bound) = api_token(&server, json!({ "name": "b", "role": "admin", "project": "shop" }));
    for (token, body, expected) in [
        (&viewer, json!({ "scopes": ["admin"] }), 403),
        (&viewer, json!({ "scopes": ["tickets:read", "tickets:work"] }), 403),
        (&viewer, json!({ "scopes": [] }), 422),
        (&viewer, json!({ "scopes": ["root"] }), 400),
        (&viewer, json!({ "scopes": "admin" }), 400),
        (&viewer, json!({ "role": "admin" }), 400),
        (&viewer, json!({ "expires_in": 86400 }), 400),
        (&viewer, json!({ "project": "nowhere" }), 404),
        (&bound, json!({ "project": "default" }), 404),
    ] {
        let answer = issue(&server, token, &body);
        assert_eq!(answer.status, expected, "{body}: {}", answer.text());
    }
    let of_bound = access(&server, &bound, &json!({}));
    assert_eq!(
        part(&of_bound, 1)["project"],
        part(&access(&server, &bound, &json!({ "project": "shop" })), 1)["project"]
    );
    assert_eq!(server.send(&bearer("GET", "/api/v1/projects/default", &of_bound, None)).status, 404);
    assert_eq!(server.send(&bearer("GET", "/api/v1/projects/shop", &of_bound, None)).status, 200);
    assert_eq!(server.send(&bearer("GET", "/api/v1/users", &of_bound, None)).status, 403);
    // Narrowed by wish.
    let admin = server.token();
    let narrow = access(&server, &admin, &json!({ "scopes": ["tickets:read"], "project": "shop" }));
    assert_eq!(server.send(&bearer("GET", "/api/v1/tickets?project=shop", &narrow, None)).status, 200);
    assert_eq!(server.send(&bearer("GET", "/api/v1/tickets?project=default", &narrow, None)).status, 404);
    assert_eq!(server.send(&bearer("GET", "/api/v1/tokens", &narrow, None)).status, 403);
    // What is short makes nothing that lasts, not even another one like itself.
    let wide = access(&server, &admin, &json!({}));
    assert_eq!(server.send(&bearer("GET", "/api/v1/tokens", &wide, None)).status, 200);
    for (path, body) in [
        ("/api/v1/auth/token", json!({})),
        ("/api/v1/tokens", json!({ "name": "x", "role": "viewer" })),
        ("/api/v1/tokens/0123456789abcdef/rotate", json!({})),
        ("/api/v1/users", json!({ "name": "x", "role": "admin", "password": OTHER })),
        ("/api/v1/users/admin/password", json!({ "password": OTHER })),
        ("/api/v1/auth/password", json!({ "current": PASSWORD, "password": OTHER })),
        ("/api/v1/auth/logout", json!({})),
    ] {
        let answer = server.send(&bearer("POST", path, &wide, Some(&body)));
        assert_eq!(answer.status, 403, "{path}: {}", answer.text());
    }
    // The command line has no credential that could be exchanged.
    let mut command = home.command(&["dsn"]);
    command.env("ACTIFIX_URL", format!("http://{}", server.address)).env("ACTIFIX_TOKEN", &wide);
    crate::harness::finish(command, b"").ok();
}

#[test]
fn ghsa_6j4w_an_access_token_ends_at_once_with_what_it_was_got_for() {
    let (home, server) = with_admin();
    home.cli_stdin(&["user", "create", "jo", "--role", "operator", "--stdin"], OTHER.as_bytes()).ok();
    let of_session = |act: &dyn Fn(&Login)| {
        let login = Login::of(&server, "jo", OTHER);
        let token = login.access(&server, &json!({}));
        // Twice: the second one is answered from memory.
        assert_eq!((status(&server, &token), status(&server, &token)), (200, 200));
        act(&login);
        assert_eq!(status(&server, &token), 401);
    };
    let command = |arguments: &'static [&'static str]| {
        let home = Arc::clone(&home);
        move |_: &Login| {
            home.cli_stdin(arguments, OTHER.as_bytes()).ok();
        }
    };
    of_session(&command(&["user", "set-role", "jo", "viewer"]));
    of_session(&command(&["user", "passwd", "jo", "--stdin"]));
    of_session(&command(&["sessions", "kill", "--all"]));
    of_session(&command(&["token", "keys", "rotate", "--now"]));
    of_session(&command(&["identity", "unlink", "jo"]));
    of_session(&|login| {
        assert_eq!(login.post(&server, "/api/v1/auth/logout", &json!({})).status, 204);
    });
    of_session(&|login| {
        let body = json!({ "current": OTHER, "password": OTHER });
        assert_eq!(login.post(&server, "/api/v1/auth/password", &body).status, 204);
    });
    of_session(&|login| {
        let id = server.send(&Request::get("/api/v1/auth/session").header("Cookie", &login.cookie)).json();
        let path = format!("/api/v1/sessions/{}", id["session"]["id"].as_str().expect("an id"));
        assert_eq!(server.call("DELETE", &path, None).status, 204);
    });
    of_session(&command(&["user", "disable", "jo"]));
    let of_token = |act: &dyn Fn(&str, &str)| {
        let (id, token) = api_token(&server, json!({ "name": "t", "role": "viewer" }));
        let short = access(&server, &token, &json!({}));
        assert_eq!((status(&server, &short), status(&server, &short)), (200, 200));
        act(&id, &short);
        assert_eq!(status(&server, &short), 401);
    };
    of_token(&|id, _| {
        server.post(&format!("/api/v1/tokens/{id}/revoke"), &json!({}));
    });
    of_token(&|id, _| {
        home.cli(&["token", "rotate", id, "--overlap", "0h"]).ok();
    });
    of_token(&|_, short| {
        assert_eq!(server.send(&bearer("DELETE", "/api/v1/auth/token", short, None)).status, 204);
    });
    of_token(&|_, _| {
        server.call("POST", "/api/v1/signing-keys/rotate", Some(&json!({ "now": true })));
    });
}

#[test]
fn two_keys_verify_during_a_change_and_a_third_waits() {
    let home = Home::new();
    let server = serve(&home);
    let (_, token) = api_token(&server, json!({ "name": "t", "role": "viewer" }));
    let first = access(&server, &token, &json!({}));
    home.cli(&["token", "keys", "rotate"]).ok();
    let second = access(&server, &token, &json!({}));
    assert_ne!(part(&first, 0)["kid"], part(&second, 0)["kid"]);
    assert_eq!((status(&server, &first), status(&server, &second)), (200, 200));
    let keys = home.cli(&["token", "keys", "list", "--json"]).json();
    let keys = keys["items"].as_array().expect("items");
    assert_eq!(keys.len(), 2);
    assert_eq!((&keys[0]["id"], &keys[0]["retires_at"]), (&part(&second, 0)["kid"], &Value::Null));
    assert!(keys[1]["retires_at"].is_string());
    let third = home.cli(&["token", "keys", "rotate"]);
    assert_ne!(third.code(), 0, "{}", third.stdout);
    assert!(third.stderr.contains("still verifies"), "{}", third.stderr);
    assert_eq!((status(&server, &first), status(&server, &second)), (200, 200));
    home.cli(&["token", "keys", "rotate", "--now"]).ok();
    assert_eq!((status(&server, &first), status(&server, &second)), (401, 401));
    assert_eq!(status(&server, &access(&server, &token, &json!({}))), 200);
    // Of many that change it at once, none leaves more than two, and one at least did.
    let codes: Vec<u16> = std::thread::scope(|scope| {
        let rotate = || server.call("POST", "/api/v1/signing-keys/rotate", Some(&json!({}))).status;
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(rotate)).collect();
        threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    });
    assert_eq!(codes.iter().filter(|code| **code == 201).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == 409).count(), 3, "{codes:?}");
    assert_eq!(server.get("/api/v1/signing-keys")["items"].as_array().expect("items").len(), 2);
    let (_, printed) = server.stop();
    for (path, bytes) in home.files() {
        for token in [&first, &second] {
            let found = bytes.windows(40).any(|window| window == &token.as_bytes()[token.len() - 40..]);
            assert!(!found, "an access token is in {}", path.display());
        }
    }
    assert!(!String::from_utf8_lossy(&printed).contains(&first[first.len() - 40..]));
}

/// A token of three parts, signed with a key of our own making.
fn sign(header: &Value, claims: &Value, seed: u8) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encode(header), encode(claims));
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a key");
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(pair.sign(text.as_bytes())))
}

fn failures(server: &Server) -> Vec<(String, u64)> {
    let text = server.call("GET", "/metrics", None).text();
    text.lines()
        .filter_map(|line| line.strip_prefix("actifix_auth_failures_total{reason=\""))
        .filter_map(|line| line.split_once("\"} "))
        .map(|(reason, count)| (reason.to_owned(), count.parse().expect("a count")))
        .collect()
}

#[test]
fn cve_2026_33322_forged_tokens_are_refused_and_counted() {
    let home = Home::new();
    let server = serve(&home);
    let (_, token) = api_token(&server, json!({ "name": "t", "role": "admin" }));
    let good = access(&server, &token, &json!({}));
    assert_eq!(status(&server, &good), 200);
    let parts: Vec<&str> = good.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("three parts") };
    let (head, body) = (part(&good, 0), part(&good, 1));
    let with = |name: &str, value: Value| {
        let mut head = head.clone();
        head[name] = value;
        head
    };
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode([9; 32]) });
    let elsewhere = Home::new().serve();
    let other = access(&elsewhere, &elsewhere.token(), &json!({}));
    let forged: Vec<(&str, String)> = vec![
        ("none", format!("{}.{claims}.", encode(&with("alg", json!("none"))))),
        ("None", format!("{}.{claims}.", encode(&with("alg", json!("None"))))),
        ("nOnE with a signature", format!("{}.{claims}.{signature}", encode(&with("alg", json!("nOnE"))))),
        ("HS256", format!("{}.{claims}.{signature}", encode(&with("alg", json!("HS256"))))),
        ("another key", sign(&head, &body, 1)),
        ("another key that the token brings", sign(&with("jwk", jwk), &body, 9)),
        ("a key at an address", sign(&with("jku", json!("http://127.0.0.1:1/keys")), &body, 1)),
        ("a certificate at an address", sign(&with("x5u", json!("http://127.0.0.1:1/cert")), &body, 1)),
        ("a certificate", sign(&with("x5c", json!(["MIIB"])), &body, 1)),
        ("kid as a path", sign(&with("kid", json!("../../../../../dev/null")), &body, 1)),
        ("kid as SQL", sign(&with("kid", json!("x' UNION SELECT 'a")), &body, 1)),
        ("an unknown kid", sign(&with("kid", json!("0123456789abcdef")), &body, 1)),
        ("crit", sign(&with("crit", json!(["exp"])), &body, 1)),
        ("b64", sign(&with("b64", json!(false)), &body, 1)),
        ("typ", sign(&with("typ", json!("JWT")), &body, 1)),
        ("claims of another", format!("{header}.{}.{signature}", encode(&json!({ "sub": "admin" })))),
        ("no signature", format!("{header}.{claims}.")),
        ("two parts", format!("{header}.{claims}")),
        ("five parts", format!("{header}.{claims}.{signature}.{signature}.{signature}")),
        ("padding", format!("{good}=")),
        ("white space", format!("{header}. {claims}.{signature}")),
        ("a long one", format!("{good}{}", "A".repeat(40_000))),
        ("JSON", json!({ "protected": header, "payload": claims, "signature": signature }).to_string()),
        ("of another installation", other),
    ];
    let before: u64 = failures(&server).iter().map(|(_, count)| count).sum();
    for (what, token) in &forged {
        let answer = server.send(&bearer("GET", "/api/v1/tickets", token, None));
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"actifix\""), "{what}");
        assert_eq!(answer.json()["status"], 401, "{what}");
    }
    for (what, request) in [
        ("in the query", Request::get(&format!("/api/v1/tickets?access_token={good}"))),
        ("in a form", Request::post("/api/v1/events", format!("access_token={good}"))),
        ("in a cookie", Request::get("/api/v1/tickets").header("Cookie", &format!("actifix={good}"))),
        ("as basic", Request::get("/api/v1/tickets").header("Authorization", &format!("Basic {good}"))),
        ("as a token of ingest", Request::get("/api/v1/tickets").header("X-Sentry-Auth", &good)),
    ] {
        assert_eq!(server.send(&request).status, 401, "{what}");
    }
    // More than a head may have is refused before it is looked at.
    let huge = server.send(&bearer("GET", "/api/v1/tickets", &"A".repeat(100_000), None));
    assert!(matches!(huge.status, 401 | 431), "{}", huge.status);
    let after = failures(&server);
    let counted: u64 = after.iter().map(|(_, count)| count).sum();
    assert!(counted >= before + forged.len() as u64 + 2, "{after:?}");
    let met = after.iter().filter(|(_, count)| *count > 0);
    let reasons: Vec<&str> = met.map(|(reason, _)| reason.as_str()).collect();
    for reason in
        ["jwt_shape", "jwt_header", "jwt_algorithm", "jwt_key", "jwt_signature", "query", "authorization"]
    {
        assert!(reasons.contains(&reason), "{reason}: {reasons:?}");
    }
    assert!(after.len() < 20, "words of ours, never of a token: {after:?}");
    let refused = server.list("/api/v1/audit?action=token.refused");
    assert!(!refused.is_empty());
    assert_eq!(status(&server, &good), 200);
}
