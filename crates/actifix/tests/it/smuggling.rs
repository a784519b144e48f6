//! Requests that two readers could take for different ones (`security.md`: "Production: reverse proxy"; ASVS 4.1.4,
//! 4.2): framing, paths, methods, ranges, on our own listener. The same through nginx and Caddy is in `proxies`.

use std::io::{Read, Write};

use crate::harness::{Home, KEY_42, Server};
use crate::http::Request;
use crate::network::partition;
use crate::tls::connect_from;

/// What stands behind a request whose end is unclear: if it is answered, it was smuggled.
pub const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Framings whose end two readers see at different places, each with [`SMUGGLED`] behind or within.
pub fn framings() -> Vec<(&'static str, String)> {
    let chunk = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    let end = format!("0\r\n\r\n{SMUGGLED}");
    vec![
        ("CL.TE", format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n{end}", end.len())),
        ("TE.CL", format!("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}")),
        (
            "TE.TE, the second unknown",
            format!("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n{end}"),
        ),
        (
            "TE.TE, the first unknown",
            format!("Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{end}"),
        ),
        ("a coding that only begins so", format!("Transfer-Encoding: chunkedx\r\n\r\n{end}")),
        ("a coding behind a vertical tab", format!("Transfer-Encoding: \u{b}chunked\r\n\r\n{end}")),
        ("a coding in quotes", format!("Transfer-Encoding: \"chunked\"\r\n\r\n{end}")),
        ("chunked, not last", format!("Transfer-Encoding: chunked, identity\r\n\r\n{end}")),
        (
            "a space before the colon",
            format!("Transfer-Encoding : chunked\r\nContent-Length: 4\r\n\r\n{end}"),
        ),
        ("a folded line", format!("Transfer-Encoding:\r\n chunked\r\nContent-Length: 4\r\n\r\n{end}")),
        ("two lengths", format!("Content-Length: 0\r\nContent-Length: {}\r\n\r\n{SMUGGLED}", SMUGGLED.len())),
        ("a list of lengths", format!("Content-Length: 0, {}\r\n\r\n{SMUGGLED}", SMUGGLED.len())),
        ("a length with a sign", format!("Content-Length: +0\r\n\r\n{SMUGGLED}")),
        ("a length in hex", format!("Content-Length: 0x0\r\n\r\n{SMUGGLED}")),
        ("a chunk size with 0x", format!("Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n{SMUGGLED}")),
        ("a chunk size with a sign", format!("Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n{SMUGGLED}")),
        (
            "a chunk size that overflows",
            format!("Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n{SMUGGLED}"),
        ),
        (
            "a line feed alone ends a chunk",
            format!("Transfer-Encoding: chunked\r\n\r\n1\n0\r\n0\n\n{SMUGGLED}"),
        ),
        (
            "a carriage return alone in a header",
            format!("X: a\rContent-Length: 0\r\nContent-Length: 1\r\n\r\n{SMUGGLED}"),
        ),
        ("a byte of zero in a header", format!("X: a\0b\r\nContent-Length: 0\r\n\r\n{SMUGGLED}")),
    ]
}

/// Spellings of a path that a reader might take for the plain one. `{}` is what a proxy serves us below.
pub const SPELLINGS: [&str; 22] = [
    "//api/v1/projects",
    "/api//v1/projects",
    "/./api/v1/projects",
    "/api/./v1/projects",
    "/api/x/../v1/projects",
    "/healthz/../api/v1/projects",
    "/healthz/..%2fapi/v1/projects",
    "/healthz/%2e%2e/api/v1/projects",
    "/healthz/%252e%252e/api/v1/projects",
    "/api/%2e/v1/projects",
    "/api%2fv1%2fprojects",
    "/api/v1/%70rojects",
    "/api/v1/projects/",
    "/API/v1/projects",
    "/Api/V1/Projects",
    "/api/v1/projects%00",
    "/api/v1/projects%20",
    "/api/v1/projects;x=1",
    "/healthz;/../api/v1/projects",
    "/api\\v1\\projects",
    "/api/v1/projects%3Flimit=1",
    "/healthz%23/../api/v1/projects",
];

/// Headers by which some servers let a client name another method or path.
pub const OVERRIDES: [&str; 8] = [
    "X-HTTP-Method-Override: DELETE",
    "X-HTTP-Method: DELETE",
    "X-Method-Override: DELETE",
    "X-Original-URL: /healthz",
    "X-Rewrite-URL: /healthz",
    "X-Forwarded-Host: evil.example",
    "X-Host: evil.example",
    "X-Forwarded-Prefix: /healthz",
];

fn all_answers(server: &Server, bytes: &[u8]) -> String {
    let mut stream = connect_from([127, 0, 0, 1], server.address).expect("a connection");
    stream.write_all(bytes).expect("written");
    stream.shutdown(std::net::Shutdown::Write).expect("half closed");
    let mut text = Vec::new();
    let _reset = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn a_body_whose_end_is_unclear_hides_no_request() {
    let home = Home::new();
    let server = home.serve();
    home.import_projects();
    for target in
        [format!("/api/42/store/?sentry_key={KEY_42}"), "/api/v1/projects".to_owned(), "/healthz".to_owned()]
    {
        for (what, framing) in framings() {
            let text = all_answers(
                &server,
                format!("POST {target} HTTP/1.1\r\nHost: localhost\r\n{framing}").as_bytes(),
            );
            let answers = text.matches("HTTP/1.1 ").count();
            assert!(answers <= 1, "{what} at {target}: {text}");
            // One answer to both, or none: but never a success of a request that was cut in two.
            assert!(answers == 0 || !text.contains("HTTP/1.1 2"), "{what} at {target}: {text}");
        }
    }
    // HTTP/1.0 has no chunks.
    let old = "POST /healthz HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let text = all_answers(&server, format!("{old}{SMUGGLED}").as_bytes());
    assert!(text.matches("HTTP/1.").count() <= 1 && !text.contains(" 200 "), "{text}");
    // Two requests that are two are answered twice.
    let both = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2);
    assert_eq!(all_answers(&server, both.as_bytes()).matches("HTTP/1.1 200").count(), 2);
}

#[test]
fn a_path_has_one_spelling() {
    let home = Home::new();
    let server = Server::start(home, &[("ACTIFIX_RATE_LIMIT_DISABLED", "1")]);
    let bearer = format!("Bearer {}", server.token());
    assert_eq!(server.call("GET", "/api/v1/projects", None).status, 200);
    for spelling in SPELLINGS {
        let with = server.send(&Request::get(spelling).header("Authorization", &bearer));
        let without = server.send(&Request::get(spelling));
        // Percent-encoded letters are the same path (RFC 3986, 6.2.2.2); nothing else is.
        let same = spelling == "/api/v1/%70rojects" && with.status == 200;
        assert!(same || [400, 404].contains(&with.status), "{spelling}: {}", with.status);
        assert!([400, 401, 404].contains(&without.status), "{spelling} without a token: {}", without.status);
        assert_eq!((with.header("location"), without.header("location")), (None, None), "{spelling}");
        assert!(!without.text().contains("default"), "{spelling}: {}", without.text());
    }
}

#[test]
fn only_the_request_line_names_method_and_path() {
    let home = Home::new();
    let server = Server::start(home, &[("ACTIFIX_RATE_LIMIT_DISABLED", "1")]);
    let bearer = format!("Bearer {}", server.token());
    for line in OVERRIDES {
        let (name, value) = line.split_once(": ").expect("a header");
        let request = |method: &str, path: &str| Request::new(method, path).header(name, value);
        let closed = server.send(&request("GET", "/api/v1/projects"));
        assert_eq!(closed.status, 401, "{line}");
        let read = server.send(&request("GET", "/api/v1/projects").header("Authorization", &bearer));
        assert_eq!(read.status, 200, "{line}");
        assert!(!read.text().contains("evil.example"), "{line}");
        let kept = server.send(
            &request("POST", "/api/v1/secrets/nothing")
                .header("Authorization", &bearer)
                .body("_method=DELETE"),
        );
        assert_eq!(kept.status, 405, "{line}");
    }
}

#[test]
fn methods_that_a_path_does_not_take_are_named_and_nothing_is_echoed() {
    let home = Home::new();
    let server = Server::start(home, &[("ACTIFIX_RATE_LIMIT_DISABLED", "1")]);
    let bearer = format!("Bearer {}", server.token());
    let ask = |method: &str, path: &str| {
        server.send(&Request::new(method, path).header("Authorization", &bearer).header("X-Echo", "canary"))
    };
    for method in ["TRACE", "TRACK", "CONNECT", "PUT", "PROPFIND", "OPTIONS", "get", "DELETE"] {
        let answer = ask(method, "/api/v1/projects");
        assert_eq!(answer.status, 405, "{method}: {}", answer.text());
        let allow = answer.header("allow").unwrap_or_default();
        assert!(
            allow.contains("GET") && allow.contains("POST") && !allow.contains("DELETE"),
            "{method}: {allow}"
        );
        assert!(!answer.text().contains("canary"), "{method}");
    }
    let head = ask("HEAD", "/api/v1/projects");
    let get = ask("GET", "/api/v1/projects");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-type"), get.header("content-type"));
    assert_eq!(server.send(&Request::new("HEAD", "/api/v1/projects")).status, 401);
    assert_eq!(server.send(&Request::new("OPTIONS", "/api/v1/projects")).status, 401);
}

#[test]
fn ranges_are_not_served() {
    let home = Home::new();
    let server = home.serve();
    let bearer = format!("Bearer {}", server.token());
    let whole = server.call("GET", "/api/openapi.json", None);
    let many: String = (0..1_300).map(|n| format!("5-{n},")).collect();
    for range in
        ["bytes=0-0", "bytes=-1", "bytes=5-2", "lines=1-2", "bytes=0-,0-,0-", &format!("bytes={many}0-")]
    {
        let answer = server
            .send(&Request::get("/api/openapi.json").header("Authorization", &bearer).header("Range", range));
        assert_eq!((answer.status, answer.body.len()), (200, whole.body.len()), "{range}");
        assert_eq!(answer.header("content-range"), None);
    }
}

#[test]
fn a_thousand_hops_and_garbage_name_nobody() {
    let home = Home::with_config("[server]\ntrusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\n");
    let server = home.serve();
    let of = |value: &str| {
        let answer = server.send(&Request::get("/api/v1/tickets").header("X-Forwarded-For", value));
        assert_eq!(answer.status, 401, "{} bytes", value.len());
        partition(&answer)
    };
    let real = of("203.0.113.9");
    let hops = vec!["10.1.2.3"; 1_000].join(", ");
    assert_ne!(of(&format!("203.0.113.9, {hops}")), real, "nobody is a thousand proxies away");
    assert_eq!(of(&format!("{hops}, 203.0.113.9")), real);
    assert_eq!(of(&format!("{}, 203.0.113.9", "garbage,".repeat(2_000))), real);
    let proxy = partition(&server.send(&Request::get("/api/v1/tickets")));
    for garbage in [
        "\u{fffd}",
        "', '",
        "999.1.1.1",
        "127.0.0.1:70000",
        "<script>",
        "%31",
        "fe80::1%25eth0",
        "203.0.113.9;x",
    ] {
        assert_eq!(of(&format!("203.0.113.9, {garbage}")), proxy, "{garbage}");
    }
}
