//! Senders that nobody knows yet, or that want more than their share: they must not cost the others anything.

use std::sync::Arc;

use serde_json::json;

use crate::captures::Encoding;
use crate::harness::{Home, KEY_42, KEY_43, Server};
use crate::http::{Connection, Framing, Request};
use crate::random::Random;

const KEYLESS: &str = "/api/42/envelope/";

fn start(config: &str) -> (Arc<Home>, Server) {
    let home = Home::with_config(config);
    let server = home.serve();
    home.import_projects();
    (home, server)
}

fn event(message: &str) -> String {
    format!("{{\"type\":\"event\"}}\n{}\n", json!({ "message": message, "level": "error" }))
}

/// A request of which only the first bytes are sent.
fn begin(server: &Server, target: &str, announced: usize, first: &[u8]) -> Connection {
    let mut connection = server.connect();
    let head = format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {announced}\r\n\r\n");
    connection.write(head.as_bytes()).expect("the head is taken");
    connection.write(first).expect("the first bytes are taken");
    connection
}

#[track_caller]
fn assert_accepted(server: &Server, key: &str, project: &str) {
    let target = format!("/api/{project}/envelope/?sentry_key={key}");
    let answer = server.send(&Request::post(&target, format!("{{}}\n{}", event("not shut out"))));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn bodies_that_are_only_announced_hold_no_room() {
    let (_home, server) = start("");
    let keyed = format!("/api/42/envelope/?sentry_key={KEY_42}");
    // Both keys are known from here on, so that requests get to their bodies in the order in which they came.
    assert_accepted(&server, KEY_42, "42");
    assert_accepted(&server, KEY_43, "43");
    // They promise 64 MiB together, which is the whole budget.
    let mut open = vec![begin(&server, &keyed, 4 << 20, b"")];
    open.extend((0..3).map(|_| begin(&server, KEYLESS, 20 << 20, b"")));
    assert_accepted(&server, KEY_43, "43");
    for _ in 0..8 {
        open.push(begin(&server, KEYLESS, 20 << 20, b"{\"sdk\":{\"name\":\""));
        open.push(begin(&server, &keyed, 20 << 20, b"{}\n"));
    }
    assert_accepted(&server, KEY_43, "43");
    drop(open);
}

#[test]
fn without_a_key_no_more_is_read_than_a_header_line() {
    let (_home, server) = start("");
    // 16 of them, each with 300 KiB of the 20 MiB that it announces: answered before the rest.
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(begin(&server, KEYLESS, 20 << 20, &vec![b'x'; 300 << 10]));
    }
    for mut connection in open {
        let answer = connection.read(false).expect("an answer before the body");
        assert_eq!(answer.status, 401, "{}", answer.text());
    }
    // A route that no envelope comes to needs no byte at all.
    let mut connection = begin(&server, "/api/42/store/", 1 << 20, b"");
    assert_eq!(connection.read(false).expect("an answer before the body").status, 401);
    // A bomb in two layers before the key is known: the inner one is cut.
    let bomb = Encoding::Gzip.encode(&Encoding::Gzip.encode(&vec![b'{'; 64 << 20]));
    let request = Request::post(KEYLESS, bomb).header("Content-Encoding", "gzip, gzip");
    assert_eq!(server.send(&request).status, 401);
    assert_accepted(&server, KEY_43, "43");
}

#[test]
fn an_unknown_key_in_the_header_is_refused_before_the_rest_is_sent() {
    let (_home, server) = start("");
    let header = format!("{{\"dsn\":\"http://{}@x/42\"}}\n", "0".repeat(32));
    let mut connection = begin(&server, KEYLESS, 20 << 20, header.as_bytes());
    assert_eq!(connection.read(false).expect("an answer before the body").status, 403);
}

#[test]
fn a_key_in_the_header_is_found_in_every_coding() {
    let (_home, server) = start("[throttle]\nenabled = false\n");
    // Neither the header line nor the rest compresses away: several frames, several looks.
    let noise = Random::seeded(7).text(b"0123456789abcdefghijklmnopqrstuvwxyz", 800_000);
    let (filler, rest) = noise.split_at(60_000);
    let body = format!(
        "{{\"filler\":\"{filler}\",\"dsn\":\"http://{KEY_42}@h/42\"}}\n{{\"type\":\"attachment\",\"length\":{}}}\n{rest}\n{}",
        rest.len(),
        event("through a tunnel"),
    );
    for encoding in [None, Some(Encoding::Gzip), Some(Encoding::Brotli), Some(Encoding::Zstd)] {
        for framing in [Framing::Sized, Framing::Chunked] {
            let bytes =
                encoding.map_or_else(|| body.clone().into_bytes(), |coding| coding.encode(body.as_bytes()));
            let mut request = Request::post(KEYLESS, bytes).framing(framing);
            if let Some(encoding) = encoding {
                request = request.header("Content-Encoding", encoding.header());
            }
            let answer = server.send(&request);
            assert_eq!(answer.status, 200, "{encoding:?} {framing:?}: {}", answer.text());
        }
    }
    assert_eq!(server.list("/api/v1/tickets?project=42")[0]["count"], 8);
}

#[test]
fn one_key_cannot_take_the_room_of_another() {
    let (_home, server) = start(
        "[limits]\nin_flight_bytes_max = 8388608\ncompressed_bytes_max = 3145728\nrequest_read_seconds_max = 3\n",
    );
    let keyed = format!("/api/42/envelope/?sentry_key={KEY_42}");
    let mut most = format!("{{}}\n{{\"type\":\"attachment\",\"length\":{}}}\n", 3 << 20).into_bytes();
    most.resize((3 << 20) - 1_000, b'a');
    // Half of 8 MiB is what one key may hold: of two requests of 3 MiB one finds too little and is told to come
    // again, or both do, when they grew side by side; who found enough holds on until its time is over.
    let open: Vec<Connection> = (0..2).map(|_| begin(&server, &keyed, 3 << 20, &most)).collect();
    assert_accepted(&server, KEY_43, "43");
    let mut statuses = Vec::new();
    for mut connection in open {
        let answer = connection.read(false).expect("an answer");
        assert_eq!(answer.header("retry-after").is_some(), answer.status == 503, "{}", answer.text());
        statuses.push(answer.status);
    }
    assert!(
        statuses.contains(&503) && statuses.iter().all(|status| [400, 503].contains(status)),
        "{statuses:?}"
    );
}
