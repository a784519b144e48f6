//! The wire as an SDK sees it: authentication, CORS, methods, answers, limits (`ingest.md` §2-§9, §12).

use std::io::Write;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::{Home, KEY_42, KEY_43, KEY_47, Server};
use crate::http::{Answer, Request};

const OTHER_KEY: &str = "0123456789abcdef0123456789abcdef";
const PAGE: &str = "https://shop.example.net";

fn start() -> (Arc<Home>, Server) {
    let home = Home::with_config("[throttle]\nenabled = false\n");
    let server = home.serve();
    home.import_projects();
    (home, server)
}

fn event_envelope(message: &str) -> String {
    format!("{{}}\n{{\"type\":\"event\"}}\n{}\n", json!({ "message": message, "level": "error" }))
}

fn id_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    assert!(id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{id}");
    id
}

fn detail(answer: &Answer) -> String {
    let detail = answer.json()["detail"].as_str().expect("a detail").to_owned();
    assert_eq!(answer.header("x-sentry-error"), Some(detail.as_str()));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    detail
}

fn post(target: &str) -> Request {
    Request::post(target, event_envelope("hello"))
}

#[test]
fn the_key_is_taken_from_every_place() {
    let (_home, server) = start();
    let envelope = "/api/42/envelope/";
    let auth = "X-Sentry-Auth";
    let accepted = [
        post(envelope)
            .header(auth, &format!("Sentry sentry_key={KEY_42}, sentry_version=7, sentry_client=a/1")),
        post(envelope).header(auth, &format!("sentry sentry_version=7,sentry_key={KEY_42}")),
        post(envelope).header(
            auth,
            &format!("SENTRY   sentry_key=\"{KEY_42}\" ,  sentry_secret=abc, sentry_timestamp=1.5"),
        ),
        post(envelope).header(auth, &format!("Sentry sentry_key=%61{}, sentry_version=2", &KEY_42[1..])),
        post(envelope).header("Authorization", &format!("Sentry sentry_key={KEY_42}")),
        post(&format!("{envelope}?sentry_key={KEY_42}")),
        post(&format!("{envelope}?sentry_version=7&sentry_client=x%2F1&sentry_key={KEY_42}")),
        post(&format!("{envelope}?glitchtip_key={KEY_42}")),
        post(&format!("{envelope}?sentry_key={KEY_42}")).header(auth, &format!("Sentry sentry_key={KEY_42}")),
        // A scheme that is not ours is no credential.
        post(&format!("{envelope}?sentry_key={KEY_42}")).header("Authorization", "Basic YWxhZGRpbjpvcGVu"),
        post(&format!("{envelope}?sentry_key={KEY_42}")).header("Authorization", "Bearer something"),
        post(&format!("/api/42/envelope?sentry_key={KEY_42}")),
    ];
    for request in &accepted {
        let text = String::from_utf8_lossy(&request.to_bytes()).into_owned();
        let answer = server.send(request);
        assert_eq!(answer.status, 200, "{text}: {}", answer.text());
    }
    let dsn = format!("http://{KEY_42}:secret@whatever.example.org:8080/prefix/42");
    let tunnel =
        format!("{{\"dsn\":\"{dsn}\"}}\n{{\"type\":\"event\"}}\n{{\"message\":\"through a tunnel\"}}\n");
    id_of(&server.send(&Request::post(envelope, tunnel.clone())));
    // The header's key and the tunnel's key must agree.
    let conflicting = Request::post(&format!("/api/43/envelope/?sentry_key={KEY_43}"), tunnel);
    let answer = server.send(&conflicting);
    assert_eq!((answer.status, detail(&answer).as_str()), (403, "conflicting authentication"));
}

#[test]
fn keys_that_differ_conflict() {
    let (_home, server) = start();
    let query = format!("/api/42/envelope/?sentry_key={KEY_42}");
    for request in [
        post(&query).header("X-Sentry-Auth", &format!("Sentry sentry_key={KEY_43}")),
        post(&query).header("Authorization", &format!("Sentry sentry_key={OTHER_KEY}")),
        post(&format!("{query}&glitchtip_key={KEY_43}")),
        Request::get(&format!("/api/42/cron/backup/{KEY_42}/?status=ok&sentry_key={KEY_43}")),
    ] {
        let answer = server.send(&request);
        assert_eq!((answer.status, detail(&answer).as_str()), (403, "conflicting authentication"));
    }
}

#[test]
fn a_wrong_key_is_one_and_the_same_answer() {
    let (home, server) = start();
    let disabled = home.cli(&["project", "key", "create", "42", "--json"]).json();
    let disabled = disabled["public_key"].as_str().expect("a key").to_owned();
    home.cli(&["project", "key", "disable", "42", &disabled]).ok();
    let mut answers = Vec::new();
    for key in [OTHER_KEY, &disabled, KEY_43] {
        for target in ["/api/42/envelope/", "/api/42/store/", "/api/42/security/", "/api/42/minidump/"] {
            let answer = server.send(&post(&format!("{target}?sentry_key={key}")));
            assert_eq!(answer.status, 403, "{target}");
            answers.push(detail(&answer));
        }
        let by_dsn = format!("{{\"dsn\":\"http://{key}@x/42\"}}\n{{\"type\":\"event\"}}\n{{}}\n");
        let answer = server.send(&Request::post("/api/42/envelope/", by_dsn));
        assert_eq!(answer.status, 403);
        answers.push(detail(&answer));
    }
    // A project that does not exist, and one that is no number.
    for target in ["/api/4711/envelope/", "/api/42x/envelope/", "/api/99999999999999999999/envelope/"] {
        let answer = server.send(&post(&format!("{target}?sentry_key={KEY_42}")));
        assert!(matches!(answer.status, 403 | 404), "{target}: {}", answer.status);
        if answer.status == 403 {
            answers.push(detail(&answer));
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    home.cli(&["project", "key", "enable", "42", &disabled]).ok();
    id_of(&server.send(&post(&format!("/api/42/envelope/?sentry_key={disabled}"))));
}

#[test]
fn no_key_is_401() {
    let (_home, server) = start();
    for request in [
        post("/api/42/envelope/"),
        post("/api/42/store/"),
        post("/api/store/"),
        post("/api/42/security/"),
        post("/api/42/minidump"),
        post("/api/42/events/0123456789abcdef0123456789abcdef/attachments/"),
        Request::get("/api/42/store/?sentry_data=%7B%7D"),
        post("/api/42/nel/"),
        post("/api/42/envelope/").header("Authorization", "Basic YWxhZGRpbjpvcGVu"),
        post("/api/42/envelope/").header("X-Sentry-Auth", "Sentry sentry_version=7"),
    ] {
        let answer = server.send(&request);
        assert_eq!(answer.status, 401, "{}", String::from_utf8_lossy(&request.to_bytes()));
        assert_eq!(detail(&answer), "missing authorization information");
    }
    let answer = server.send(&Request::post("/v1/logs", "{}").header("Content-Type", "application/json"));
    assert_eq!(answer.status, 401);
    assert!(answer.json()["message"].is_string(), "OTLP answers a google.rpc.Status: {}", answer.text());
}

#[test]
fn no_ingest_key_reads() {
    let (_home, server) = start();
    let id = id_of(&server.send(&post(&format!("/api/42/envelope/?sentry_key={KEY_42}"))));
    for path in ["/api/v1/tickets", "/api/v1/projects", "/api/v1/tokens", &format!("/api/v1/events/{id}")] {
        for request in [
            Request::get(&format!("{path}?sentry_key={KEY_42}")),
            Request::get(path).header("Authorization", &format!("Bearer {KEY_42}")),
            Request::get(path).header("X-Sentry-Auth", &format!("Sentry sentry_key={KEY_42}")),
        ] {
            assert_eq!(server.send(&request).status, 401, "{path}");
        }
    }
}

/// Every CORS header of an answer.
fn cors(answer: &Answer) -> Vec<String> {
    answer.headers.iter().map(|(name, _)| name.clone()).filter(|n| n.starts_with("access-control-")).collect()
}

#[test]
fn an_empty_list_of_origins_accepts_all_and_lets_localhost_read() {
    let (home, server) = start();
    let target = format!("/api/47/envelope/?sentry_key={KEY_47}");
    for (origin, echoed) in [
        (PAGE, false),
        ("null", false),
        ("https://localhost.evil.example", false),
        ("http://localhost:3000", true),
        ("http://127.0.0.1:8080", true),
        ("http://[::1]:5173", true),
    ] {
        let answer = server.send(&post(&target).header("Origin", origin));
        assert_eq!(answer.status, 200, "{origin}: {}", answer.text());
        assert_eq!(answer.header("vary"), Some("Origin"));
        assert_eq!(answer.count("vary"), 1);
        assert_eq!(answer.header("access-control-allow-origin"), echoed.then_some(origin), "{origin}");
        assert_eq!(cors(&answer).is_empty(), !echoed, "{origin}: {:?}", cors(&answer));
        if echoed {
            let exposed = answer.header("access-control-expose-headers");
            assert_eq!(exposed, Some("x-sentry-error, x-sentry-rate-limits, retry-after"));
        }
    }
    let answer = server.send(&post(&target));
    assert_eq!(answer.header("vary"), Some("Origin"), "also without an Origin");
    // Errors are readable as well.
    let broken = Request::post(&target, "nonsense").header("Origin", "http://localhost:3000");
    let answer = server.send(&broken);
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("access-control-allow-origin"), Some("http://localhost:3000"));
    let keys = home.cli(&["project", "key", "list", "47", "--json"]).json();
    assert!(keys.to_string().contains(PAGE), "an origin that is not listed is named: {keys}");
}

#[test]
fn a_list_of_origins_admits_these_only() {
    let (home, server) = start();
    home.cli(&["project", "key", "origins", "47", KEY_47, PAGE, "*.example.org"]).ok();
    let target = format!("/api/47/envelope/?sentry_key={KEY_47}");
    for (origin, admitted) in [
        (PAGE, true),
        ("https://a.example.org", true),
        ("https://a.b.example.org:8443", true),
        ("https://example.com", false),
        ("http://shop.example.net", false),
        ("https://shop.example.net.evil.example", false),
        ("https://notexample.org", false),
        ("http://localhost:3000", false),
        ("null", false),
    ] {
        let answer = server.send(&post(&target).header("Origin", origin));
        assert_eq!(answer.status, if admitted { 200 } else { 403 }, "{origin}: {}", answer.text());
        assert_eq!(answer.header("access-control-allow-origin"), admitted.then_some(origin), "{origin}");
        assert_eq!(answer.header("vary"), Some("Origin"));
        assert!(answer.header("access-control-allow-credentials").is_none());
    }
    // Server SDKs send neither; a Referer stands for a missing Origin.
    id_of(&server.send(&post(&target)));
    assert_eq!(server.send(&post(&target).header("Referer", &format!("{PAGE}/cart?x=1"))).status, 200);
    assert_eq!(server.send(&post(&target).header("Referer", "https://example.com/a")).status, 403);
    // Refusals are summed up in memory; a stop writes them.
    server.stop();
    let server = home.serve();
    let outcomes = server.get("/api/v1/projects/47/outcomes");
    let refused: u64 = outcomes["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter(|o| o["outcome"] == "filtered" && o["reason"] == "origin")
        .filter_map(|o| o["quantity"].as_u64())
        .sum();
    assert_eq!(refused, 7, "{outcomes}");

    home.cli(&["project", "key", "origins", "47", KEY_47, "any"]).ok();
    for origin in [PAGE, "https://anything.example", "null", "http://localhost:1"] {
        let answer = server.send(&post(&target).header("Origin", origin));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
    }
}

#[test]
fn preflight_answers_by_key_or_project() {
    let (home, server) = start();
    home.cli(&["project", "key", "origins", "47", KEY_47, PAGE]).ok();
    let other = home.cli(&["project", "key", "create", "47", "--json"]).json();
    let other = other["public_key"].as_str().expect("a key").to_owned();
    let with_key = format!("/api/47/envelope/?sentry_key={KEY_47}");
    let with_other = format!("/api/47/envelope/?sentry_key={other}");
    for (target, origin, echoed) in [
        (with_key.as_str(), PAGE, true),
        (with_key.as_str(), "https://example.com", false),
        (with_other.as_str(), PAGE, false),
        ("/api/47/envelope/", PAGE, true),
        ("/api/47/envelope", PAGE, true),
        ("/api/47/store/", PAGE, true),
        ("/api/47/security/", PAGE, true),
        ("/api/47/integration/otlp/v1/logs", PAGE, true),
        ("/api/47/envelope/", "https://example.com", false),
        ("/api/42/envelope/", PAGE, false),
    ] {
        let request = Request::new("OPTIONS", target)
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "content-type,x-sentry-auth");
        let answer = server.send(&request);
        assert_eq!(answer.status, 200, "{target}");
        assert_eq!(
            answer.header("access-control-allow-origin"),
            echoed.then_some(origin),
            "{target} from {origin}"
        );
        assert_eq!(answer.header("vary"), Some("Origin"));
        assert!(answer.header("access-control-allow-credentials").is_none());
        if echoed {
            assert_eq!(answer.header("access-control-allow-methods"), Some("POST, GET, OPTIONS"));
            assert_eq!(answer.header("access-control-max-age"), Some("3600"));
            let allowed = answer.header("access-control-allow-headers").unwrap_or_default();
            for name in [
                "x-sentry-auth",
                "x-requested-with",
                "x-forwarded-for",
                "origin",
                "referer",
                "accept",
                "content-type",
                "authentication",
                "authorization",
                "content-encoding",
                "transfer-encoding",
                "sentry-trace",
                "baggage",
                "traceparent",
            ] {
                assert!(allowed.split(", ").any(|known| known == name), "{name} not in {allowed}");
            }
        }
    }
}

#[test]
fn methods_and_paths_that_do_not_exist() {
    let (_home, server) = start();
    for path in ["/api/42/envelope/", "/api/42/security/", "/api/42/minidump", "/v1/logs", "/api/42/envelope"]
    {
        for method in ["GET", "PUT", "DELETE"] {
            let answer = server.send(&Request::new(method, &format!("{path}?sentry_key={KEY_42}")));
            assert_eq!(answer.status, 405, "{method} {path}");
            let allow = answer.header("allow").unwrap_or_default();
            assert!(allow.contains("POST") && !allow.contains("GET"), "{method} {path}: Allow: {allow}");
        }
    }
    let answer = server.send(&Request::new("PUT", "/api/42/store/"));
    assert_eq!(answer.status, 405);
    for path in ["/api/42/nothing/", "/api/unknown", "/api/", "/api/42/", "/api/42/envelope/more/"] {
        for method in ["GET", "POST"] {
            let answer = server.send(&Request::new(method, path));
            assert_eq!(answer.status, 404, "{method} {path}");
            assert!(answer.json().is_object(), "{path}");
        }
    }
}

#[test]
fn trailing_slashes_are_optional_and_nothing_redirects() {
    let (_home, server) = start();
    for (path, good) in [
        ("/api/42/envelope", 200),
        ("/api/42/store", 200),
        ("/api/store", 200),
        ("/api/42/nel", 200),
        ("/v1/metrics", 200),
        ("/api/42/otlp/v1/metrics", 200),
    ] {
        for slash in ["", "/"] {
            let body = if path.ends_with("envelope") {
                event_envelope("slash")
            } else {
                "{\"message\":\"x\"}".to_owned()
            };
            let request = Request::post(&format!("{path}{slash}?sentry_key={KEY_42}"), body)
                .header("Content-Type", "application/json");
            let answer = server.send(&request);
            assert_eq!(answer.status, good, "{path}{slash}: {}", answer.text());
        }
    }
}

#[test]
fn expect_100_continue_is_honoured() {
    let (_home, server) = start();
    let body = event_envelope("patient");
    let head = format!(
        "POST /api/42/envelope/?sentry_key={KEY_42} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut connection = server.connect();
    connection.write(head.as_bytes()).expect("the head is taken");
    // The body is sent only after it: without it both sides would wait.
    let (status, _) = connection.read_head().expect("an interim answer");
    assert_eq!(status, 100, "the server must say that it wants the body");
    connection.write(body.as_bytes()).expect("the body is taken");
    let answer = connection.read(false).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    // A refusal comes instead of the 100.
    let head = head.replace(KEY_42, OTHER_KEY);
    let mut connection = server.connect();
    connection.write(head.as_bytes()).expect("the head is taken");
    let answer = connection.read(false).expect("an answer without a body sent");
    assert_eq!((answer.status, answer.interim.len()), (403, 0));
}

#[test]
fn the_same_id_twice_is_one_event() {
    let (_home, server) = start();
    let id = "0123456789abcdef0123456789abcdef";
    let hyphened = "01234567-89AB-CDEF-0123-456789ABCDEF";
    let target = format!("/api/42/envelope/?sentry_key={KEY_42}");
    let send = |event_id: &str, message: &str| {
        let event = json!({ "event_id": event_id, "message": message });
        server.send(&Request::post(
            &target,
            format!("{{\"event_id\":\"{event_id}\"}}\n{{\"type\":\"event\"}}\n{event}\n"),
        ))
    };
    assert_eq!(id_of(&send(id, "first")), id);
    assert_eq!(id_of(&send(id, "first")), id);
    assert_eq!(id_of(&send(hyphened, "quite another text")), id);
    let tickets = server.list("/api/v1/tickets?project=42");
    assert_eq!(tickets.len(), 1, "{tickets:?}");
    assert_eq!(tickets[0]["count"], 1);
    assert_eq!(tickets[0]["title"], "first");
    let outcomes = server.get("/api/v1/projects/42/outcomes");
    assert_eq!(quantity(&outcomes, "duplicate"), 2, "{outcomes}");
    assert_eq!(quantity(&outcomes, "accepted"), 1, "{outcomes}");
    // The same id in another project is another event.
    let event = format!("{{\"event_id\":\"{id}\"}}\n{{\"type\":\"event\"}}\n{{\"message\":\"elsewhere\"}}\n");
    assert_eq!(
        id_of(&server.send(&Request::post(&format!("/api/43/envelope/?sentry_key={KEY_43}"), event))),
        id
    );
    assert_eq!(server.list("/api/v1/tickets?project=43").len(), 1);
}

fn quantity(outcomes: &Value, outcome: &str) -> u64 {
    let items = outcomes["items"].as_array().expect("items");
    items.iter().filter(|item| item["outcome"] == outcome).filter_map(|item| item["quantity"].as_u64()).sum()
}

#[test]
fn store_takes_every_old_form() {
    let (_home, server) = start();
    let target = format!("/api/42/store/?sentry_key={KEY_42}");
    let plain = r#"{"message":"old client","level":"error"}"#;
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(plain.as_bytes()).expect("memory");
    let packed = STANDARD.encode(zlib.finish().expect("memory"));
    let form: String =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("sentry_data", plain).finish();
    let form_packed: String =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("sentry_data", &packed).finish();
    let urlencoded = "application/x-www-form-urlencoded";
    for (name, request) in [
        ("JSON", Request::post(&target, plain)),
        ("white space first", Request::post(&target, format!("\n  {plain}"))),
        (
            "base64 of zlib",
            Request::post(&target, packed.clone()).header("Content-Type", "application/octet-stream"),
        ),
        (
            "base64 of JSON",
            Request::post(&target, STANDARD.encode(plain)).header("Content-Type", "application/octet-stream"),
        ),
        ("a form", Request::post(&target, form).header("Content-Type", urlencoded)),
        ("a packed form", Request::post(&target, form_packed).header("Content-Type", urlencoded)),
        (
            "an envelope",
            Request::post(&target, event_envelope("old client"))
                .header("Content-Type", "application/x-sentry-envelope"),
        ),
        ("an empty encoding", Request::post(&target, plain).header("Content-Encoding", "")),
        ("without a project", Request::post(&format!("/api/store/?sentry_key={KEY_42}"), plain)),
    ] {
        let answer = server.send(&request);
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let event = server.get(&format!("/api/v1/events/{}", id_of(&answer)));
        assert_eq!(event["title"], "old client", "{name}");
    }
    let data: String = url::form_urlencoded::byte_serialize(plain.as_bytes()).collect();
    let answer = server.send(&Request::get(&format!("{target}&sentry_data={data}")));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("image/gif"));
    assert!(answer.body.starts_with(b"GIF8"), "{:?}", answer.body);
    let tickets = server.list("/api/v1/tickets?project=42");
    assert_eq!((tickets.len(), tickets[0]["count"].as_u64()), (1, Some(10)), "{tickets:?}");
    assert_eq!(server.send(&Request::post(&target, plain).header("Content-Encoding", "rot13")).status, 415);
}

#[test]
fn minidumps_attachments_and_heartbeats() {
    let (_home, server) = start();
    let manifest = crate::captures::Manifest::load();
    let capture = manifest.captures.iter().find(|c| c.file == "hand-minidump.http").expect("the capture");
    let answer = server.raw(&capture.bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = answer.text();
    assert_eq!(id.len(), 36, "{id}");
    let lengths: Vec<usize> = id.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12]);
    let plain_id = id.replace('-', "");
    let event = server.get(&format!("/api/v1/events/{plain_id}"));
    assert_eq!(event["level"], "fatal", "{event}");
    assert_eq!(event["platform"], "native");

    let multipart = "--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"notes.txt\"\r\n\r\nline one\r\n--b--\r\n";
    let target = format!("/api/42/events/{plain_id}/attachments/?sentry_key={KEY_42}");
    let request = Request::post(&target, multipart).header("Content-Type", "multipart/form-data; boundary=b");
    let answer = server.send(&request);
    assert_eq!(answer.status, 201, "{}", answer.text());
    let listed = server.get(&format!("/api/v1/events/{plain_id}/attachments"));
    assert!(listed.to_string().contains("notes.txt"), "{listed}");

    for (query, state) in
        [("status=ok&duration=3", "ok"), ("status=in_progress", "in_progress"), ("status=error", "error")]
    {
        for method in ["GET", "POST"] {
            let target = format!("/api/42/cron/nightly/{KEY_42}/?{query}&environment=production");
            let answer = server.send(&Request::new(method, &target));
            assert_eq!((answer.status, answer.body.len()), (202, 0), "{method} {query}");
        }
        let monitors = server.get("/api/v1/projects/42/monitors").to_string();
        assert!(monitors.contains("nightly") && monitors.contains(state), "{query}: {monitors}");
    }
    let unreal = Request::post(&format!("/api/42/unreal/{KEY_42}/"), "whatever");
    assert_eq!(server.send(&unreal).status, 200);
}

#[test]
fn dropped_kinds_are_answered_with_a_rest_for_the_sdk() {
    let (_home, server) = start();
    let target = format!("/api/42/envelope/?sentry_key={KEY_42}");
    let transaction = "{}\n{\"type\":\"transaction\"}\n{\"type\":\"transaction\",\"transaction\":\"/\"}\n";
    let answer = server.send(&Request::post(&target, transaction));
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"), "no event, no id");
    assert_eq!(
        answer.header("x-sentry-rate-limits"),
        Some(
            "3600:transaction;span;profile;replay;profile_chunk;metric_bucket;trace_metric:project:unsupported"
        )
    );
    let both = format!("{transaction}{{\"type\":\"event\"}}\n{{\"message\":\"beside it\"}}\n");
    let answer = server.send(&Request::post(&target, both));
    assert!(answer.header("x-sentry-rate-limits").is_some());
    id_of(&answer);
    let answer = server.send(&Request::post(&target, event_envelope("alone")));
    assert!(answer.header("x-sentry-rate-limits").is_none());
    for kind in ["future_thing", "profile", "replay_event", "statsd", "span"] {
        let envelope = format!("{{}}\n{{\"type\":\"{kind}\",\"length\":3}}\nabc\n");
        assert_eq!(server.send(&Request::post(&target, envelope)).status, 200, "{kind}");
    }
    let outcomes = server.get("/api/v1/projects/42/outcomes");
    assert_eq!(quantity(&outcomes, "filtered"), 7, "{outcomes}");
    assert_eq!(quantity(&outcomes, "accepted"), 2, "{outcomes}");
}

#[test]
fn a_limited_key_gets_429_and_a_time() {
    let (home, server) = start();
    home.cli(&["project", "key", "limit", "42", KEY_42, "1"]).ok();
    let target = format!("/api/42/envelope/?sentry_key={KEY_42}");
    id_of(&server.send(&Request::post(&target, event_envelope("one"))));
    let answer =
        server.send(&Request::post(&target, event_envelope("two")).header("Origin", "http://localhost:3000"));
    assert_eq!(answer.status, 429, "{}", answer.text());
    let seconds: u64 = answer.header("retry-after").and_then(|text| text.parse().ok()).expect("Retry-After");
    assert!((1..=60).contains(&seconds), "{seconds}");
    let limits = answer.header("x-sentry-rate-limits").expect("limits");
    let mut parts = limits.split(':');
    assert_eq!(parts.next().and_then(|text| text.parse().ok()), Some(seconds), "{limits}");
    assert_eq!(parts.nth(1), Some("key"), "{limits}");
    assert_eq!(answer.header("access-control-allow-origin"), Some("http://localhost:3000"));
    detail(&answer);
    // Another key is not concerned.
    id_of(
        &server
            .send(&Request::post(&format!("/api/43/envelope/?sentry_key={KEY_43}"), event_envelope("three"))),
    );
    // And the switch for emergencies switches it off.
    server.stop();
    let server = Server::start(Arc::clone(&home), &[("ACTIFIX_RATE_LIMIT_DISABLED", "1")]);
    let outcomes = server.get("/api/v1/projects/42/outcomes");
    assert_eq!((quantity(&outcomes, "accepted"), quantity(&outcomes, "rate_limited")), (1, 1), "{outcomes}");
    for n in 0..5 {
        id_of(&server.send(&Request::post(&target, event_envelope(&format!("free {n}")))));
    }
}

#[test]
fn what_was_whole_before_a_fault_counts() {
    let (_home, server) = start();
    let target = format!("/api/42/envelope/?sentry_key={KEY_42}");
    let envelope = format!("{}{{\"type\":\"event\",\"length\":1000}}\n{{}}\n", event_envelope("whole"));
    let answer = server.send(&Request::post(&target, envelope));
    assert_eq!(answer.status, 400, "{}", answer.text());
    detail(&answer);
    let tickets = server.list("/api/v1/tickets?project=42");
    assert_eq!(tickets.len(), 1, "{tickets:?}");
    assert_eq!(tickets[0]["title"], "whole");
    for broken in
        ["", "\n", "nonsense\n", "[]\n", "{}\n[]\nabc\n", "{}\n{}\nabc\n", "{}\n{\"length\":3}\nabc\n"]
    {
        let answer = server.send(&Request::post(&target, broken));
        assert_eq!(answer.status, 400, "{broken:?}: {}", answer.text());
        assert!(!detail(&answer).contains("nonsense"), "details never repeat what was sent");
    }
    let odd = "{\"sent_at\":\"garbage\",\"event_id\":7}\n\n\n{\"type\":\"event\",\"length\":null}\r\n{\"message\":\"odd\"}\r\n";
    id_of(&server.send(&Request::post(&target, odd)));
}

#[test]
fn a_path_prefix_of_a_proxy_stands_in_the_dsn() {
    let home = Home::with_config("[server]\npublic_url = \"https://errors.example.net/base/\"\n");
    let _server = home.serve();
    let dsn = home.cli(&["dsn"]).ok();
    assert!(dsn.starts_with("https://") && dsn.contains("@errors.example.net/base/"), "{dsn}");
    assert!(
        dsn.trim_end().rsplit('/').next().is_some_and(|id| id.bytes().all(|b| b.is_ascii_digit())),
        "{dsn}"
    );
}
