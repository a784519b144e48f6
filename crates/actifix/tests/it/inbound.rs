//! Signed requests into the house: who is believed about what, with the real binary.

use serde_json::{Value, json};

use crate::alerts::{hmac_hex, now, record, signed};
use crate::harness::{Home, Server};
use crate::http::Request;
use crate::sink::{Behaviour, Sink};
use crate::tls::Authority;

/// A source of GitHub that believes `acme/shop`; its secret.
fn source(home: &Home) -> String {
    let made = home
        .cli(&["webhook", "inbound", "add", "gh", "--kind", "github", "--target", "acme/shop", "--json"])
        .json();
    assert_eq!(made["target"], "acme/shop");
    made["secret"].as_str().unwrap().to_owned()
}

fn told(secret: &str, event: &str, delivery: &str, body: &Value) -> Request {
    let body = body.to_string();
    let tag = hex::encode(hmac_hex(secret.as_bytes(), body.as_bytes()));
    Request::post("/hooks/gh", body)
        .header("Content-Type", "application/json")
        .header("X-GitHub-Event", event)
        .header("X-GitHub-Delivery", delivery)
        .header("X-Hub-Signature-256", &format!("sha256={tag}"))
}

/// The form of times that GitHub uses.
fn ago(seconds: i64) -> String {
    actifix_domain::time::Timestamp::from_micros((now() - seconds) * 1_000_000).to_string()
}

fn merged(ticket: &str, number: u64, seconds: i64) -> Value {
    json!({
        "action": "closed",
        "sender": { "login": "jo" },
        "repository": { "full_name": "acme/shop", "default_branch": "main" },
        "pull_request": { "merged": true, "number": number, "title": "Refund once",
            "body": format!("Fixes {ticket}"), "merged_at": ago(seconds),
            "base": { "ref": "main", "repo": { "full_name": "acme/shop" } },
            "merge_commit_sha": "0123456789abcdef0123456789abcdef01234567" },
    })
}

fn status(server: &Server, ticket: &str) -> String {
    server.get(&format!("/api/v1/tickets/{ticket}"))["status"].as_str().unwrap().to_owned()
}

#[test]
fn github_resolves_by_a_merge_into_the_default_branch_of_its_repository_once() {
    let home = Home::new();
    let server = home.serve_busy();
    let ticket = record(&server, "to be fixed", "P2")["ticket_id"].as_str().unwrap().to_owned();
    let unbound = home.cli(&["webhook", "inbound", "add", "gh", "--kind", "github"]);
    assert!(unbound.code() == 2 && unbound.stderr.contains("owner/repository"), "{}", unbound.stderr);
    let secret = source(&home);
    let good = merged(&ticket, 7, 60);
    for (path, value, why) in [
        ("/repository/full_name", "eve/shop", "another repository"),
        ("/pull_request/base/repo/full_name", "eve/shop", "another repository"),
        ("/pull_request/base/ref", "playground", "default branch"),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(path).unwrap() = json!(value);
        let answer = server.send(&told(&secret, "pull_request", "d0", &bad)).json();
        assert_eq!(answer["tickets"], json!([]), "{path}");
        assert_eq!(answer["refused"][0]["ticket"], json!(ticket), "{path}");
        assert!(answer["refused"][0]["why"].as_str().unwrap().contains(why), "{answer}");
    }
    let old = merged(&ticket, 8, 4 * 86_400);
    assert_eq!(server.send(&told(&secret, "pull_request", "d1", &old)).status, 401, "merged four days ago");
    assert_ne!(status(&server, &ticket), "resolved");
    assert_eq!(server.send(&told("another secret of 16", "pull_request", "d2", &good)).status, 401);
    let answer = server.send(&told(&secret, "pull_request", "d3", &good)).json();
    assert_eq!((&answer["tickets"], &answer["refused"]), (&json!([ticket]), &json!([])));
    assert_eq!(server.send(&told(&secret, "pull_request", "d3", &good)).status, 401, "once");
    let again = server.send(&told(&secret, "pull_request", "d4", &good));
    assert_eq!(again.status, 401, "the id is not signed, the body is");
    assert_eq!(status(&server, &ticket), "resolved");
    let later = server.send(&told(&secret, "pull_request", "d5", &merged(&ticket, 9, 60))).json();
    assert_eq!(later["refused"], json!([{ "ticket": ticket, "why": "it is resolved already" }]));
}

#[test]
fn a_copied_marker_resolves_nothing_and_the_issue_of_the_ticket_does() {
    let authority = Authority::new();
    let config = "[outbound]\nallow_private = [\"127.0.0.0/8\"]\nextra_ca = \"ca.pem\"\n";
    let home = Home::with_config(config);
    std::fs::write(home.path().join("ca.pem"), &authority.pem).unwrap();
    let sink = Sink::start(&authority, Behaviour::Json(201, r#"{"number": 12}"#));
    let server = home.serve_busy();
    let address = format!("https://{}", sink.address);
    server.post(
        "/api/v1/webhooks",
        &json!({ "name": "issues", "kind": "github", "url": address, "token": "1234567890", "target": "acme/shop" }),
    );
    let secret = source(&home);
    let ticket = record(&server, "to be closed", "P0")["ticket_id"].as_str().unwrap().to_owned();
    sink.wait_for(1);
    // Only then is the issue known as that of the ticket.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while server.list("/api/v1/deliveries?state=delivered").is_empty() {
        assert!(std::time::Instant::now() < until, "the answer was not recorded");
    }
    let closed = |number: u64, reason: &str| {
        json!({ "action": "closed", "sender": { "login": "eve" }, "repository": { "full_name": "acme/shop" },
            "issue": { "number": number, "state_reason": reason, "closed_at": ago(5),
                "body": format!("<!-- actifix:{ticket} -->") } })
    };
    let answer = server.send(&told(&secret, "issues", "d1", &closed(13, "completed"))).json();
    assert_eq!(answer["tickets"], json!([]), "an issue of a stranger: {answer}");
    assert!(answer["refused"][0]["why"].as_str().unwrap().contains("opened"), "{answer}");
    assert_ne!(status(&server, &ticket), "resolved");
    let answer = server.send(&told(&secret, "issues", "d2", &closed(12, "duplicate"))).json();
    assert_eq!(answer["tickets"], json!([ticket]));
    assert_ne!(status(&server, &ticket), "resolved", "a duplicate is a note");
    let answer = server.send(&told(&secret, "issues", "d3", &closed(12, "completed"))).json();
    assert_eq!(answer["tickets"], json!([ticket]));
    assert_eq!(status(&server, &ticket), "resolved");
}

#[test]
fn strangers_do_not_shut_out_a_good_sender_of_their_address() {
    let home = Home::new();
    let server = Server::start(home.clone(), &[]);
    let ticket = record(&server, "to be noted", "P2")["ticket_id"].as_str().unwrap().to_owned();
    let made = home.cli(&["webhook", "inbound", "add", "ci", "--kind", "standard", "--json"]).json();
    let secret = made["secret"].as_str().unwrap().to_owned();
    let body = json!({ "type": "ticket.note", "data": { "ticket": ticket, "text": "seen" } }).to_string();
    let junk = Request::post("/hooks/ci", body.clone());
    let answers: Vec<u16> = (0..620).map(|_| server.send(&junk).status).collect();
    assert_eq!(answers.first(), Some(&401));
    assert_eq!(answers.last(), Some(&429), "refusals count on their address");
    assert_eq!(server.send(&signed(&secret, "m1", now(), &body)).status, 200);
}

#[test]
fn long_ids_of_messages_are_told_apart_by_all_of_them() {
    let home = Home::new();
    let server = home.serve_busy();
    let ticket = record(&server, "to be noted", "P2")["ticket_id"].as_str().unwrap().to_owned();
    let made = home.cli(&["webhook", "inbound", "add", "ci", "--kind", "standard", "--json"]).json();
    let secret = made["secret"].as_str().unwrap().to_owned();
    let body = json!({ "type": "ticket.note", "data": { "ticket": ticket, "text": "seen" } }).to_string();
    let id = |end: &str| format!("{}{end}", "m".repeat(300));
    for (id, expected) in [(id("1"), 200), (id("2"), 200), (id("1"), 401), ("m".repeat(1_025), 401)] {
        assert_eq!(server.send(&signed(&secret, &id, now(), &body)).status, expected, "{}", id.len());
    }
    let nobody = json!({ "type": "ticket.note", "data": { "ticket": "ACT-20261124-7K3QF", "text": "seen" } });
    let answer = server.send(&signed(&secret, "m3", now(), &nobody.to_string())).json();
    assert_eq!(answer["tickets"], json!([]));
    assert_eq!(answer["refused"][0]["ticket"], "ACT-20261124-7K3QF", "{answer}");
    assert!(!answer["refused"][0]["why"].as_str().unwrap().is_empty());
}
