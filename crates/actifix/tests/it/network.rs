//! Who can reach the server, as whom, and which pages may read its answers (`security.md`: "API binds 127.0.0.1" to
//! "Never *"). Clients are told apart by the partition key of the RateLimit header.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};

use serde_json::json;

use crate::harness::{Home, KEY_42, Server};
use crate::http::{Answer, Request};

/// The name under which the server counts whoever sent this.
#[track_caller]
pub fn partition(answer: &Answer) -> String {
    let header = answer.header("ratelimit").unwrap_or_else(|| panic!("no RateLimit: {answer:?}"));
    header.split("pk=:").nth(1).and_then(|rest| rest.split(':').next()).expect("a partition key").to_owned()
}

fn anonymous() -> Request {
    Request::get("/api/v1/tickets")
}

fn serve_args(home: &Home, arguments: &[&str], environment: &[(&str, &str)]) -> crate::harness::Finished {
    let mut command = home.command(arguments);
    command.envs(environment.iter().copied());
    crate::harness::finish(command, b"")
}

#[test]
fn headers_of_a_stranger_change_nothing() {
    let home = Home::with_config("[server]\ntrusted_proxies = [\"192.0.2.1\"]\n");
    let server = home.serve();
    let plain = partition(&server.send(&anonymous()));
    for (name, value) in [
        ("X-Forwarded-For", "198.51.100.1"),
        ("X-Forwarded-For", "198.51.100.1, 192.0.2.1"),
        ("X-Real-IP", "198.51.100.2"),
        ("Forwarded", "for=198.51.100.3;proto=https"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Proto", "http"),
        ("True-Client-IP", "198.51.100.4"),
    ] {
        let answer = server.send(&anonymous().header(name, value));
        assert_eq!((answer.status, partition(&answer)), (401, plain.clone()), "{name}: {value}");
        assert_eq!(answer.header("strict-transport-security"), None, "{name}: {value}");
    }
}

#[test]
fn a_trusted_proxy_names_the_client() {
    let home = Home::with_config("[server]\ntrusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\n");
    let server = home.serve();
    let of = |value: &str| partition(&server.send(&anonymous().header("X-Forwarded-For", value)));
    let proxy = partition(&server.send(&anonymous()));
    let client = of("203.0.113.9");
    assert_ne!(client, proxy);
    for same in [
        "203.0.113.9:51234",
        "198.51.100.1, 203.0.113.9",
        "203.0.113.9, 10.0.0.7",
        "::ffff:203.0.113.9",
        "evil, 203.0.113.9",
    ] {
        assert_eq!(of(same), client, "{same}");
    }
    for unreadable in ["unknown", "203.0.113.9, garbage", "_hidden", "0x1", ""] {
        assert_eq!(of(unreadable), proxy, "{unreadable}");
    }
    assert_eq!(of("2001:db8::1"), of("[2001:db8::2]:443"), "one network of 64 bits");
    let real =
        server.send(&anonymous().header("X-Real-IP", "203.0.113.9").header("Forwarded", "for=203.0.113.9"));
    assert_eq!(partition(&real), proxy);
}

#[test]
fn the_address_of_an_event_is_that_of_the_client() {
    let home = Home::with_config("[server]\ntrusted_proxies = [\"127.0.0.1\"]\n");
    let server = home.serve();
    home.import_projects();
    let settings = json!({ "settings": { "ip": "keep" } });
    assert_eq!(server.call("PATCH", "/api/v1/projects/42", Some(&settings)).status, 200);
    let event = json!({ "message": "m", "user": { "ip_address": "{{auto}}" } }).to_string();
    let request = Request::post(&format!("/api/42/store/?sentry_key={KEY_42}"), event);
    for (forwarded, expected) in [("198.51.100.7, 203.0.113.9", "203.0.113.9"), ("garbage", "127.0.0.1")] {
        let answer = server
            .send(&request.clone().header("X-Forwarded-For", forwarded).header("X-Real-IP", "198.51.100.8"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let id = answer.json()["id"].as_str().expect("an id").to_owned();
        let event = server.get(&format!("/api/v1/events/{id}")).to_string();
        assert!(event.contains(expected) && !event.contains("198.51.100."), "{event}");
    }
}

#[test]
fn https_is_known_by_a_trusted_proxy_on_every_status() {
    let home = Home::with_config(
        "[server]\ntrusted_proxies = [\"127.0.0.1\"]\npublic_url = \"https://errors.example.net/base\"\n[limits]\napi_per_minute = 40\n",
    );
    let server = home.serve();
    let token = format!("Bearer {}", server.token());
    let large = vec![b'x'; (1 << 20) + 1];
    let good = |request: Request| request.header("Authorization", &token);
    let mut requests = vec![
        (200, Request::get("/healthz")),
        (200, good(Request::get("/api/v1/projects"))),
        (200, good(Request::get("/metrics"))),
        (401, anonymous()),
        (404, good(Request::get("/api/v1/nothing"))),
        (404, Request::get("/nothing")),
        (405, good(Request::new("DELETE", "/api/v1/projects"))),
        (404, good(Request::get("/api/v1/projects/nobody"))),
        (421, good(Request::get("/api/v1/projects").header("Host", "evil.example"))),
        (415, good(Request::post("/api/v1/projects", "{}").header("Content-Type", "text/html"))),
        (413, good(Request::post("/api/v1/projects", large))),
        (400, good(Request::post("/api/v1/projects", "{").header("Content-Type", "application/json"))),
        (400, Request::get("/healthz").header("Host", "a").header("Host", "b")),
        (401, Request::post("/api/42/envelope/", "{}\n")),
        (405, Request::get("/api/42/envelope/")),
    ];
    requests.extend((0..60).map(|_| (0, good(Request::get("/api/v1/projects")))));
    requests.push((429, good(Request::get("/api/v1/projects"))));
    for (status, request) in requests {
        for (proto, hsts) in [("https", Some("max-age=63072000; includeSubDomains")), ("", None)] {
            let sent = if proto.is_empty() {
                request.clone()
            } else {
                request.clone().header("X-Forwarded-Proto", proto)
            };
            let answer = server.send(&sent);
            if status == 0 {
                continue;
            }
            assert_eq!(answer.status, status, "{sent:?}");
            assert_eq!(answer.header("strict-transport-security"), hsts, "{status} {proto}");
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("x-frame-options", "DENY"),
                ("referrer-policy", "no-referrer"),
                ("cross-origin-opener-policy", "same-origin"),
            ] {
                assert_eq!(answer.header(name), Some(value), "{status}");
                assert_eq!(answer.count(name), 1, "{status}");
            }
            assert!(
                answer
                    .header("content-security-policy")
                    .is_some_and(|csp| csp.starts_with("default-src 'none'"))
            );
        }
    }
}

#[test]
fn plain_http_through_a_proxy_is_refused_and_pages_are_sent_on() {
    let home = Home::with_config(
        "[server]\ntrusted_proxies = [\"127.0.0.1\"]\npublic_url = \"https://errors.example.net/base\"\n",
    );
    let server = home.serve();
    home.import_projects();
    let plain = |request: Request| server.send(&request.header("X-Forwarded-Proto", "http"));
    for request in [
        Request::get("/api/v1/tickets"),
        Request::get("/api/openapi.json"),
        Request::get("/metrics"),
        Request::get("/api"),
        Request::post(&format!("/api/42/envelope/?sentry_key={KEY_42}"), "{}\n"),
        Request::post(&format!("/api/42/store/?sentry_key={KEY_42}"), "{\"message\":\"m\"}"),
        Request::post("/v1/traces", "{}"),
        Request::post("/tickets", "x"),
        Request::get("//evil.example/a"),
    ] {
        let text = format!("{request:?}");
        let answer = plain(request);
        assert_eq!((answer.status, answer.header("location")), (403, None), "{text}");
        assert_eq!(answer.header("strict-transport-security"), None, "{text}");
    }
    for (target, location) in [
        ("/", "https://errors.example.net/base/"),
        ("/tickets?status=open", "https://errors.example.net/base/tickets?status=open"),
        ("/apiary", "https://errors.example.net/base/apiary"),
    ] {
        let answer = plain(Request::get(target));
        assert_eq!((answer.status, answer.header("location")), (308, Some(location)), "{target}");
    }
    assert_eq!(plain(Request::get("/healthz")).status, 200, "the proxy may ask whether we live");
    assert!(server.list("/api/v1/tickets?project=42").is_empty(), "nothing of it was taken");
}

#[test]
fn the_network_is_not_served_before_it_is_safe() {
    let far = |rest: &str| {
        let home = Home::new();
        std::fs::write(
            home.path().join("actifix.toml"),
            format!("[listeners.main]\nbind = \"0.0.0.0:0\"\n{rest}\n"),
        )
        .expect("a configuration");
        home
    };
    for (rest, needle) in [
        ("", "not a loopback address"),
        ("[server]\ntrusted_proxies = [\"10.0.0.1\"]", "no admin password is set"),
        ("[server]\nallow_plain_http = true", "no admin password is set"),
        ("tls = { cert = \"c.pem\", key = \"k.pem\" }", "no admin password is set"),
        ("[server]\ntrusted_proxies = [\"0.0.0.0/0\"]", "server.trusted_proxies"),
        ("[server]\ntrusted_proxies = [\"proxy.internal\"]", "server.trusted_proxies"),
        ("[cors]\nallowed_origins = [\"*\"]", "cors.allowed_origins"),
    ] {
        let home = far(rest);
        let refused = serve_args(&home, &["serve"], &[]);
        assert_eq!(refused.code(), 78, "{rest}: {}", refused.stderr);
        let errors: Vec<&str> = refused.stderr.lines().filter(|line| line.starts_with("error:")).collect();
        assert!(errors.len() == 1 && errors[0].contains(needle), "{rest}: {}", refused.stderr);
    }
    for bind in ["localhost:0", "0.0.0.0", "*:0", "example.net:0"] {
        let home = Home::new();
        let refused = serve_args(&home, &["serve"], &[("ACTIFIX_LISTENERS__MAIN__BIND", bind)]);
        assert_eq!(refused.code(), 78, "{bind}: {}", refused.stderr);
    }
    for bind in ["[::]:0", "[::ffff:0.0.0.0]:0"] {
        let refused = serve_args(&Home::new(), &["serve"], &[("ACTIFIX_LISTENERS__MAIN__BIND", bind)]);
        assert_eq!(refused.code(), 78, "{bind}: {}", refused.stderr);
    }
    // Variables of other programs say nothing.
    let home = Home::new();
    let server = Server::start(
        std::sync::Arc::clone(&home),
        &[("HOST", "0.0.0.0"), ("PORT", "80"), ("BIND", "0.0.0.0")],
    );
    assert_eq!(server.address.ip(), IpAddr::from([127, 0, 0, 1]));
    let elsewhere = SocketAddr::from(([127, 0, 0, 2], server.address.port()));
    assert!(TcpStream::connect(elsewhere).is_err(), "it listens where it was told and nowhere else");
}

#[test]
fn production_names_every_check_that_fails() {
    let home = Home::new();
    let refused = serve_args(&home, &["serve", "--production"], &[]);
    assert_eq!(refused.code(), 78, "{}", refused.stderr);
    for id in ["admin_password", "secret_backend", "tls", "cors"] {
        assert!(
            refused.stderr.lines().any(|line| line.starts_with(&format!("{id}: "))),
            "{id}: {}",
            refused.stderr
        );
    }
    let last = refused.stderr.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("error: --production: not ready (admin_password, secret_backend, tls, cors)"),
        "{last}"
    );
    // What others can read is theirs no more once the server looked at it.
    let note = home.path().join(".actifix/logs/stray.log");
    std::fs::write(&note, "x").expect("a file");
    std::fs::set_permissions(&note, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("a mode");
    let _refused = serve_args(&home, &["serve", "--production"], &[]);
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&note).expect("a file").permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_override_of_rate_limits_never_leaves_this_machine() {
    let home = Home::new();
    const NAME: &str = "ACTIFIX_RATE_LIMIT_DISABLED";
    for value in ["true", "0", " 1 ", "01"] {
        let server = Server::start(std::sync::Arc::clone(&home), &[(NAME, value)]);
        assert!(server.send(&anonymous()).header("ratelimit").is_some(), "{value:?}");
        assert!(server.call("GET", "/metrics", None).text().contains("\nactifix_rate_limit_disabled 0\n"));
        let (_, printed) = server.stop();
        let printed = String::from_utf8_lossy(&printed);
        let said = "WARNING: ACTIFIX_RATE_LIMIT_DISABLED is not `1`: rate limits stay on";
        assert!(printed.contains(said), "{value:?}: {printed}");
    }
    let checked = serve_args(&home, &["config", "check"], &[(NAME, "1")]);
    assert!(
        checked.code() == 0 && checked.stderr.contains("WARNING: rate limits are off"),
        "{}",
        checked.stderr
    );
    let refused = serve_args(&home, &["serve", "--production"], &[(NAME, "1")]);
    assert!(refused.code() == 78 && refused.stderr.contains(NAME), "{}", refused.stderr);
    let far = [
        (NAME, "1"),
        ("ACTIFIX_LISTENERS__MAIN__BIND", "0.0.0.0:0"),
        ("ACTIFIX_SERVER__ALLOW_PLAIN_HTTP", "true"),
    ];
    let checked = serve_args(&home, &["config", "check"], &far);
    assert_eq!(checked.code(), 78, "{}", checked.stderr);
    let refused = serve_args(&home, &["serve"], &far);
    assert!(refused.code() == 78 && refused.stderr.contains(NAME), "{}", refused.stderr);
    let server = Server::start(std::sync::Arc::clone(&home), &[(NAME, "1")]);
    assert_eq!(server.send(&anonymous()).header("ratelimit"), None);
    assert!(server.call("GET", "/metrics", None).text().contains("\nactifix_rate_limit_disabled 1\n"));
    let (_, printed) = server.stop();
    assert!(String::from_utf8_lossy(&printed).contains("WARNING: rate limits are off"));
}

#[test]
fn targets_that_two_readers_understand_differently_are_refused() {
    let home = Home::new();
    let server = home.serve();
    let head = |target: &str, lines: &str| {
        format!("GET {target} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n").into_bytes()
    };
    for (what, bytes) in [
        ("two hosts", head("/healthz", "Host: 127.0.0.1\r\nHost: evil.example\r\n")),
        ("two equal hosts", head("/healthz", "Host: 127.0.0.1\r\nHost: 127.0.0.1\r\n")),
        ("no host", head("/healthz", "")),
        ("a user in the host", head("/healthz", "Host: a@127.0.0.1\r\n")),
        ("a path in the host", head("/healthz", "Host: 127.0.0.1/a\r\n")),
        ("a list of hosts", head("/healthz", "Host: 127.0.0.1, evil.example\r\n")),
        ("an absolute target that disagrees", head("http://evil.example/healthz", "Host: 127.0.0.1\r\n")),
        ("an absolute target with a user", head("http://a@127.0.0.1/healthz", "Host: 127.0.0.1\r\n")),
        ("a port that is none", head("/healthz", "Host: 127.0.0.1:7401.evil\r\n")),
        ("a port that is a name", head("/healthz", "Host: 127.0.0.1:evil.example\r\n")),
        ("a port too large", head("/healthz", "Host: 127.0.0.1:65536\r\n")),
        ("a port with a sign", head("/healthz", "Host: 127.0.0.1:+80\r\n")),
        ("a port that is none after an IPv6 address", head("/healthz", "Host: [::1]:80.evil\r\n")),
        (
            "a target whose port is none",
            head("http://127.0.0.1:1.evil/healthz", "Host: 127.0.0.1:1.evil\r\n"),
        ),
        ("bytes in the host", [&b"GET /healthz HTTP/1.1\r\nHost: \xff\r\n\r\n"[..]].concat()),
    ] {
        assert_eq!(server.raw(&bytes).status, 400, "{what}");
    }
    let same = server.raw(&head("http://127.0.0.1:5001/healthz", "Host: 127.0.0.1:5001\r\n"));
    assert_eq!(same.status, 200, "an absolute target that agrees");
    let evil = server.raw(&head("http://evil.example/api/v1/tickets", "Host: evil.example\r\n"));
    assert_eq!(evil.status, 421);
    for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0", ""] {
        assert_eq!(server.send(&anonymous().header("Host", host)).status, 421, "{host}");
    }
    let home = Home::with_config(
        "[server]\nhosts = [\"errors.internal\"]\npublic_url = \"https://errors.example.net\"\n",
    );
    let server = home.serve();
    for host in ["errors.internal:5001", "errors.example.net", "ERRORS.example.net:443"] {
        assert_eq!(server.send(&anonymous().header("Host", host)).status, 401, "{host}");
    }
}

/// The library answers these itself, before there is a request that a layer of ours could see.
#[test]
fn what_is_no_request_gets_an_answer_without_content() {
    let server = Home::new().serve();
    let long = format!("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n{}\r\n", "X-More: x\r\n".repeat(200));
    for (bytes, status) in [
        (&b"\x16\x03\x01\x02\x00 <script>alert(1)</script>\r\n\r\n"[..], 400),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n<script>: x\r\n\r\n", 400),
        (long.as_bytes(), 431),
    ] {
        let answer = server.raw(bytes);
        assert_eq!((answer.status, answer.body.as_slice()), (status, &b""[..]));
        let names: Vec<&str> = answer.headers.iter().map(|(name, _)| name.as_str()).collect();
        let known = ["content-length", "date", "connection"];
        assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
    }
}

#[test]
fn only_pages_of_this_machine_read_answers_by_default() {
    let home = Home::new();
    let server = home.serve();
    let token = format!("Bearer {}", server.token());
    for origin in ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:8080"] {
        for request in
            [anonymous(), anonymous().header("Authorization", &token), Request::get("/api/v1/nothing")]
        {
            let answer = server.send(&request.header("Origin", origin));
            assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
            assert_eq!(answer.header("access-control-allow-credentials"), None);
        }
        let preflight = Request::new("OPTIONS", "/api/v1/tickets")
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "PATCH")
            .header("Access-Control-Request-Headers", "authorization");
        let answer = server.send(&preflight);
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, Some(origin)));
        assert!(
            answer.header("access-control-allow-methods").is_some_and(|methods| methods.contains("PATCH"))
        );
        assert!(
            answer
                .header("access-control-allow-headers")
                .is_some_and(|names| names.contains("authorization"))
        );
    }
    for origin in [
        "http://localhost.evil.example",
        "https://evil-localhost",
        "null",
        "file://",
        "http://localhost@evil.example",
        "HTTP://EVIL.example",
        "http://127.0.0.1.evil.example",
        "http://127.1",
        "http://localhost/",
        "http://localhost, http://evil.example",
        "",
    ] {
        for request in [
            anonymous().header("Authorization", &token),
            Request::new("OPTIONS", "/api/v1/tickets").header("Access-Control-Request-Method", "GET"),
        ] {
            let answer = server.send(&request.header("Origin", origin));
            assert!(
                !answer.headers.iter().any(|(name, _)| name.starts_with("access-control-")),
                "{origin}: {answer:?}"
            );
            assert_eq!(answer.header("vary"), Some("Origin"), "{origin}");
        }
    }
    let twice = anonymous().header("Origin", "http://localhost").header("Origin", "http://evil.example");
    assert_eq!(server.send(&twice).header("access-control-allow-origin"), None);
}

#[test]
fn listed_origins_replace_the_default_and_are_read_again_on_a_reload() {
    let config = |origin: &str| format!("[cors]\nallowed_origins = [\"{origin}\"]\n");
    let home = Home::with_config(&config("https://shop.example.net"));
    let server = home.serve();
    let reads = |origin: &str| {
        let answer = server.send(&anonymous().header("Origin", origin));
        assert_eq!(answer.header("vary"), Some("Origin"));
        answer.header("access-control-allow-origin").is_some()
    };
    assert!(reads("https://shop.example.net"));
    for origin in [
        "http://localhost:3000",
        "https://shop.example.net.evil.example",
        "https://shopxexample.net",
        "http://shop.example.net",
    ] {
        assert!(!reads(origin), "{origin}");
    }
    let text = format!("[listeners.main]\nbind = \"127.0.0.1:0\"\n{}", config("https://new.example.net"));
    std::fs::write(home.path().join("actifix.toml"), text).expect("a configuration");
    let said = server.hang_up(1);
    assert!(!said.contains("restart"), "{said}");
    assert!(reads("https://new.example.net") && !reads("https://shop.example.net"));
    std::fs::write(home.path().join("actifix.toml"), "[cors]\nallowed_origins = [\"*\"]\n")
        .expect("a configuration");
    assert!(server.hang_up(2).contains("nothing changed"));
    assert!(reads("https://new.example.net"), "a bad file changes nothing");
}

#[test]
fn no_answer_of_any_route_is_for_every_origin() {
    let home = Home::new();
    let server = home.serve();
    home.import_projects();
    let document = server.get("/api/openapi.json");
    let mut targets: Vec<String> = document["paths"].as_object().expect("paths").keys().cloned().collect();
    for ingest in [
        "/api/42/envelope/",
        "/api/42/store/",
        "/api/42/security/",
        "/api/42/minidump/",
        "/v1/traces",
        "/v1/logs",
        "/api/42/otlp/v1/traces",
        "/api/42/nel/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/",
        "/nothing",
        "/api/42/unreal/k/",
    ] {
        targets.push(ingest.to_owned());
        targets.push(format!("{ingest}?sentry_key={KEY_42}"));
    }
    let token = format!("Bearer {}", server.token());
    let mut seen = 0;
    for target in &targets {
        let target = target.replace(['{', '}'], "");
        for method in ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE"] {
            for origin in ["https://evil.example", "null", "*", "http://localhost:1"] {
                let request = Request::new(method, &target)
                    .header("Origin", origin)
                    .header("Authorization", &token)
                    .header("Access-Control-Request-Method", "POST");
                let answer = server.send(&request);
                let allowed: Vec<_> =
                    answer.headers.iter().filter(|(name, _)| name == "access-control-allow-origin").collect();
                assert!(
                    allowed.iter().all(|(_, value)| value == "http://localhost:1" && value == origin),
                    "{method} {target} {origin}: {allowed:?}"
                );
                assert!(allowed.len() <= 1 && answer.header("access-control-allow-credentials").is_none());
                seen += 1;
            }
        }
    }
    assert!(seen > 1_000, "{seen}");
}

#[test]
fn one_peer_has_a_bounded_number_of_connections() {
    let home = Home::with_config("[server]\nconnections_per_peer_max = 3\n");
    let server = home.serve();
    let mut open: Vec<TcpStream> = Vec::new();
    let ask = |stream: &mut TcpStream| -> bool {
        let _closed = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        let mut bytes = [0; 12];
        stream.read_exact(&mut bytes).is_ok() && &bytes == b"HTTP/1.1 200"
    };
    for _ in 0..3 {
        let mut stream = TcpStream::connect(server.address).expect("a connection");
        assert!(ask(&mut stream));
        open.push(stream);
    }
    let mut fourth = TcpStream::connect(server.address).expect("the kernel accepts");
    assert!(!ask(&mut fourth), "closed without an answer");
    drop(open);
    // The places come back when the server has noticed.
    let freed = (0..1_000).any(|_| ask(&mut TcpStream::connect(server.address).expect("a connection")));
    assert!(freed);
}

#[test]
fn modules_that_carry_nothing_yet_are_names_that_may_stand() {
    let home = Home::new();
    let text = "[listeners.pages]\nbind = \"127.0.0.1:0\"\nmodules = [\"dashboard\", \"mcp\"]\n";
    std::fs::write(home.path().join("actifix.toml"), text).expect("a configuration");
    let server = home.serve();
    assert_eq!(server.send(&Request::get("/healthz")).status, 200);
    assert_eq!(server.send(&Request::get("/tickets")).status, 303, "to the login");
    for target in ["/mcp", "/metrics", "/api/v1/tickets", "/api/openapi.json"] {
        assert_eq!(server.send(&Request::get(target)).status, 404, "{target}");
    }
}

#[test]
fn what_the_page_on_the_network_shows_works() {
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/network.md"));
    let blocks = |kind: &str| -> Vec<&str> {
        let fence = format!("```{kind}\n");
        page.split(fence.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
    };
    let configurations = blocks("toml");
    assert!(configurations.len() >= 5);
    for text in &configurations {
        let home = Home::new();
        std::fs::write(home.path().join("actifix.toml"), text).expect("a configuration");
        let checked = home.cli(&["config", "check"]);
        assert_eq!(checked.code(), 0, "{text}: {}", checked.stderr);
    }
    let home = Home::new();
    std::fs::write(home.path().join("actifix.toml"), configurations[0]).expect("a configuration");
    let commands: Vec<&str> = blocks("sh").into_iter().flat_map(str::lines).collect();
    assert!(commands.len() >= 4);
    for command in commands {
        let arguments: Vec<&str> = command.split_whitespace().skip(1).collect();
        assert!(command.starts_with("actifix "), "{command}");
        let done = home.cli(&arguments);
        assert_eq!(done.code(), 0, "{command}: {}", done.stderr);
        assert!(!done.stdout.is_empty(), "{command}");
    }
}

#[test]
fn cve_2026_20896_nothing_that_is_shipped_trusts_every_proxy() {
    let home = Home::new();
    let shown = home.cli(&["config", "show", "--json"]).json();
    assert_eq!(shown["server.trusted_proxies"]["value"], json!([]), "{shown}");
    for (what, text) in [
        ("README", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md"))),
        ("network.md", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/network.md"))),
    ] {
        let lines: Vec<&str> =
            text.lines().filter(|line| line.trim_start().starts_with("trusted_proxies")).collect();
        assert!(lines.iter().all(|line| !line.contains("/0") && !line.contains('*')), "{what}: {lines:?}");
    }
    for everything in ["*", "0.0.0.0/0", "::/0", "0.0.0.0/1", "any"] {
        let home = Home::with_config(&format!("[server]\ntrusted_proxies = [\"{everything}\"]\n"));
        let checked = home.cli(&["config", "check"]);
        assert!(checked.code() == 78 || everything == "0.0.0.0/1", "{everything}: {}", checked.stderr);
    }
    // What it prints for proxies overwrites what a client wrote.
    let home = Home::with_config("[server]\npublic_url = \"https://errors.example.net\"\n");
    let nginx = home.cli(&["proxy-config", "nginx"]).ok();
    assert!(
        nginx.contains("X-Forwarded-For $remote_addr;") && !nginx.contains("$proxy_add_x_forwarded_for"),
        "{nginx}"
    );
}

#[test]
fn ghsa_h6cc_no_setting_names_a_program_to_run() {
    let home = Home::new();
    let schema = home.cli(&["config", "schema"]).ok().to_lowercase();
    for word in ["command", "program", "executable", "exec\"", "script", "shell", "plugin", "binary"] {
        assert!(!schema.contains(&format!("{word}\"")) && !schema.contains(&format!("_{word}")), "{word}");
    }
    let server = home.serve();
    for settings in [
        json!({ "command": "id" }),
        json!({ "on_event": "id" }),
        json!({ "hook": "/bin/sh" }),
        json!({ "plugin": "x.so" }),
    ] {
        let answer = server.call("PATCH", "/api/v1/projects/default", Some(&json!({ "settings": settings })));
        assert_eq!(answer.status, 422, "{settings}: {}", answer.text());
    }
}

#[test]
fn ghsa_q78p_an_id_of_a_client_is_no_path() {
    let home = Home::new();
    let server = home.serve();
    home.import_projects();
    let names = |home: &Home| -> std::collections::BTreeSet<String> {
        home.files().into_iter().map(|(path, _)| path.display().to_string()).collect()
    };
    let canary = "q78pcanary";
    for id in [
        format!("../../../../tmp/{canary}"),
        format!("/tmp/{canary}"),
        format!("..%2f{canary}"),
        format!("{canary}\0"),
        format!("....//{canary}"),
        "0".repeat(33),
        "a".repeat(100_000),
    ] {
        let event = json!({ "event_id": id, "message": "m" });
        let answer =
            server.send(&Request::post(&format!("/api/42/store/?sentry_key={KEY_42}"), event.to_string()));
        assert!(answer.status < 500, "{}", answer.text());
        if answer.status == 200 {
            let given = answer.json()["id"].as_str().expect("an id").to_owned();
            assert!(given.len() == 32 && given.bytes().all(|byte| byte.is_ascii_hexdigit()), "{given}");
        }
        let own = server.call("POST", "/api/v1/events", Some(&event));
        assert_eq!(own.status, 400, "{}", own.text());
        let path: String = id.chars().take(200).filter(|c| c.is_ascii_graphic()).collect();
        for read in [
            format!("/api/v1/events/{}", path.replace('/', "%2f")),
            format!("/api/v1/events/{path}/attachments/0"),
        ] {
            let answer = server.call("GET", &read, None);
            assert!([400, 404].contains(&answer.status), "{read}: {}", answer.status);
        }
    }
    assert!(names(&home).iter().all(|name| !name.contains(canary)));
    assert!(!std::path::Path::new("/tmp").join(canary).exists());
}

#[test]
fn cve_2023_51442_no_two_homes_share_a_key_and_the_program_holds_none() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_actifix")).expect("the program");
    let mut keys = std::collections::BTreeSet::new();
    for _ in 0..2 {
        let home = Home::new();
        drop(home.serve());
        let status = home.cli(&["secrets", "status", "--json"]).json();
        let place = status["place"].as_str().expect("a place");
        let key = std::fs::read(place).unwrap_or_else(|error| panic!("{place}: {error}"));
        assert!(key.len() >= 32);
        let text = String::from_utf8_lossy(&key);
        // The key itself, whatever stands around it.
        let longest =
            text.split_whitespace().max_by_key(|word| word.len()).unwrap_or_default().as_bytes().to_vec();
        assert!(
            !program.windows(longest.len()).any(|window| window == longest),
            "the program holds the key of a home"
        );
        assert!(keys.insert((longest, status["key_id"].to_string())), "two homes have one key");
    }
}
