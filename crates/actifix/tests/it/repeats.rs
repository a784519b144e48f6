//! Requests that are sent again with the same `Idempotency-Key`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Home, Server};
use crate::http::{Answer, Request};
use crate::people::{PASSWORD, login, with_admin};

fn keyed(server: &Server, token: &str, path: &str, key: &str, body: &Value) -> Answer {
    let request = Request::post(path, body.to_string())
        .header("Authorization", &format!("Bearer {token}"))
        .header("Content-Type", "application/json")
        .header("Idempotency-Key", key);
    server.send(&request)
}

#[test]
fn a_repeat_changes_nothing_and_gets_the_first_answer() {
    let (home, server) = with_admin();
    // Who makes tokens is a person with a session.
    let browser = login(&server, "admin", PASSWORD);
    let keyed = |server: &Server, path: &str, key: &str, body: &Value| {
        let request = browser.request("POST", path, Some(body)).header("X-CSRF-Token", &browser.csrf);
        server.send(&request.header("Idempotency-Key", key))
    };
    let body = json!({ "name": "ci", "role": "viewer" });
    let first = keyed(&server, "/api/v1/tokens", "k-1", &body);
    assert_eq!(first.status, 201, "{}", first.text());
    assert_eq!(first.header("idempotency-replayed"), None);
    let again = keyed(&server, "/api/v1/tokens", "k-1", &body);
    assert_eq!((again.status, again.json()), (201, first.json()), "also what is shown once");
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.header("content-type"), first.header("content-type"));
    let named =
        |server: &Server| server.list("/api/v1/tokens").iter().filter(|token| token["name"] == "ci").count();
    assert_eq!(named(&server), 1);

    let other = keyed(&server, "/api/v1/tokens", "k-1", &json!({ "name": "cd", "role": "viewer" }));
    assert_eq!(other.status, 422, "another request under a used key: {}", other.text());
    assert!(other.text().contains("Idempotency-Key"));
    let elsewhere = keyed(&server, "/api/v1/projects", "k-1", &body);
    assert_eq!(elsewhere.status, 422, "{}", elsewhere.text());
    for bad in ["", "\u{e9}", &"k".repeat(256)] {
        let answer = keyed(&server, "/api/v1/tokens", bad, &body);
        assert_eq!(answer.status, 422, "{bad:?}: {}", answer.text());
    }
    assert_eq!(named(&server), 1);

    // The answer holds a token; on disk it is sealed. And it outlives the process.
    let secret = first.json()["token"].as_str().expect("a token").to_owned();
    server.stop();
    for (path, bytes) in home.files() {
        assert!(
            !bytes.windows(secret.len()).any(|window| window == secret.as_bytes()),
            "the token lies in {}",
            path.display()
        );
    }
    let server = home.serve();
    let later = keyed(&server, "/api/v1/tokens", "k-1", &body);
    assert_eq!((later.status, later.json()), (201, first.json()));
}

#[test]
fn a_key_belongs_to_one_actor_and_failures_are_not_kept() {
    let home = Home::new();
    let server = home.serve();
    let admin = server.token();
    let agent = server.mint(&json!({ "name": "a", "role": "agent" }));
    let agent = agent["token"].as_str().expect("a token").to_owned();
    let event = json!({ "message": "disk full" });
    let mine = keyed(&server, &admin, "/api/v1/events", "same", &event).json();
    let theirs = keyed(&server, &agent, "/api/v1/events", "same", &event).json();
    assert_ne!(mine["event_id"], theirs["event_id"], "another actor's key is another key");
    assert_eq!(keyed(&server, &agent, "/api/v1/events", "same", &event).json(), theirs);
    let ticket = mine["ticket_id"].as_str().expect("an id").to_owned();
    assert_eq!(server.get(&format!("/api/v1/tickets/{ticket}"))["count"], 2);

    let refused = keyed(&server, &admin, "/api/v1/events", "later", &json!({ "message": "" }));
    assert_eq!(refused.status, 422, "{}", refused.text());
    let mended = keyed(&server, &admin, "/api/v1/events", "later", &event);
    assert_eq!(mended.status, 201, "a failed request may be tried again: {}", mended.text());
}

#[test]
fn requests_at_the_same_time_happen_once() {
    let home = Home::new();
    let server = home.serve();
    let token = server.token();
    let body = json!({ "message": "one of many" });
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| keyed(&server, &token, "/api/v1/events", "race", &body)))
            .collect();
        senders.into_iter().map(|sender| sender.join().expect("no panic")).collect()
    });
    let made: BTreeSet<String> = answers
        .iter()
        .filter(|answer| answer.status == 201)
        .map(|answer| answer.json()["event_id"].to_string())
        .collect();
    assert_eq!(made.len(), 1, "one event");
    assert!(answers.iter().all(|answer| [201, 409].contains(&answer.status)));
    let tickets = server.list("/api/v1/tickets");
    assert_eq!(tickets.len(), 1);
    assert_eq!(tickets[0]["count"], 1);
}
