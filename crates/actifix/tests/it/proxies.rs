//! What `actifix proxy-config` prints, run by the distribution's nginx and Caddy in front of a real server
//! (`security.md`: "Production: reverse proxy"). `cargo xtask install-tools` installs both.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use crate::harness::{Home, KEY_42, Server};
use crate::http::exchange as plain_exchange;
use crate::network::partition;
use crate::smuggling::{OVERRIDES, SPELLINGS, framings};
use crate::tls::{Authority, connect_from, exchange, exchange_over, get, write_private};

/// A proxy answers within this time of its start.
const START_DEADLINE: Duration = Duration::from_secs(30);
const NAME: &str = "localhost";

/// A proxy that runs.
struct Proxy {
    child: Child,
    https: SocketAddr,
    http: SocketAddr,
    client: Arc<ClientConfig>,
    _dir: tempfile::TempDir,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

fn printed(home: &Home, proxy: &str) -> String {
    home.cli(&["proxy-config", proxy]).ok()
}

#[track_caller]
fn replace(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from:?} is not in:\n{text}");
    text.replace(from, to)
}

impl Proxy {
    fn start(
        mut command: Command,
        dir: tempfile::TempDir,
        https: u16,
        http: u16,
        client: Arc<ClientConfig>,
    ) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.expect("the proxy is installed: cargo xtask install-tools");
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let mut proxy = Self { child, https: at(https), http: at(http), client, _dir: dir };
        let began = Instant::now();
        // It serves when it listens and a handshake succeeds.
        while exchange(proxy.https, Arc::clone(&proxy.client), NAME, &get("/healthz", "")).is_err() {
            assert!(began.elapsed() < START_DEADLINE, "the proxy does not answer");
            assert!(matches!(proxy.child.try_wait(), Ok(None)), "the proxy ended");
        }
        proxy
    }

    /// The printed configuration, with ports, certificate and paths of the test.
    fn nginx(home: &Home, server: SocketAddr) -> Self {
        let authority = Authority::new();
        let dir = tempfile::tempdir().expect("a directory");
        let (cert, key) = authority.issue(&[NAME], (2090, 1, 1));
        write_private(&dir.path().join("cert.pem"), &cert);
        write_private(&dir.path().join("key.pem"), &key);
        let (https, http) = (free_port(), free_port());
        let at = |name: &str| dir.path().join(name).display().to_string();
        let mut site = printed(home, "nginx");
        site = replace(&site, "127.0.0.1:0/", &format!("{server}/"));
        site = replace(&site, "listen 443 ", &format!("listen 127.0.0.1:{https} "));
        site = replace(&site, "listen 80;", &format!("listen 127.0.0.1:{http};"));
        site = replace(&site, "    listen [::]:443 ssl http2;\n", "");
        site = replace(&site, "    listen [::]:80;\n", "");
        site = replace(&site, &format!("/etc/letsencrypt/live/{NAME}/fullchain.pem"), &at("cert.pem"));
        site = replace(&site, &format!("/etc/letsencrypt/live/{NAME}/privkey.pem"), &at("key.pem"));
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("    {kind}_temp_path {};\n", at(kind)))
            .collect();
        let text = format!(
            "daemon off;\nmaster_process off;\npid {};\nerror_log {};\nevents {{}}\nhttp {{\n    access_log off;\n{paths}{site}}}\n",
            at("pid"),
            at("error.log")
        );
        std::fs::write(dir.path().join("nginx.conf"), text).expect("a configuration");
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-e").arg(at("error.log")).arg("-c").arg(at("nginx.conf"));
        Self::start(command, dir, https, http, authority.client(&[b"http/1.1"], crate::tls::BOTH))
    }

    fn caddy(home: &Home, server: SocketAddr) -> Self {
        let authority = Authority::new();
        let dir = tempfile::tempdir().expect("a directory");
        let (cert, key) = authority.issue(&[NAME], (2090, 1, 1));
        write_private(&dir.path().join("cert.pem"), &cert);
        write_private(&dir.path().join("key.pem"), &key);
        let (https, http) = (free_port(), free_port());
        let at = |name: &str| dir.path().join(name).display().to_string();
        let mut site = printed(home, "caddy");
        site = replace(&site, "reverse_proxy 127.0.0.1:0 ", &format!("reverse_proxy {server} "));
        let own = format!("https://{NAME}:{https} {{\n\ttls {} {}\n", at("cert.pem"), at("key.pem"));
        site = replace(&site, &format!("https://{NAME} {{\n"), &own);
        site = replace(&site, &format!("http://{NAME} {{"), &format!("http://{NAME}:{http} {{"));
        let text = format!(
            "{{\n\tadmin off\n\tauto_https disable_redirects\n\thttps_port {https}\n\thttp_port {http}\n\tstorage file_system {}\n}}\n{site}",
            at("storage")
        );
        let file = dir.path().join("Caddyfile");
        std::fs::write(&file, text).expect("a configuration");
        let mut command = Command::new("/usr/bin/caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
        command.env("HOME", dir.path()).env("XDG_DATA_HOME", dir.path()).env("XDG_CONFIG_HOME", dir.path());
        Self::start(command, dir, https, http, authority.client(&[b"http/1.1"], crate::tls::BOTH))
    }

    fn get(&self, target: &str, lines: &str) -> String {
        self.send(&get(target, lines))
    }

    fn send(&self, request: &str) -> String {
        exchange(self.https, Arc::clone(&self.client), NAME, request).expect("an answer").0
    }
}

fn status(text: &str) -> u16 {
    text.split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or_else(|| panic!("no status: {text}"))
}

fn partition_of(text: &str) -> String {
    let header = text
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with("ratelimit: "))
        .unwrap_or_else(|| panic!("{text}"));
    header.split("pk=:").nth(1).and_then(|rest| rest.split(':').next()).expect("a partition key").to_owned()
}

const CONFIG: &str =
    "[server]\ntrusted_proxies = [\"127.0.0.1\"]\npublic_url = \"https://localhost/errors\"\n";

fn story(start: fn(&Home, SocketAddr) -> Proxy) {
    let home = Home::with_config(CONFIG);
    let server = home.serve();
    home.import_projects();
    let proxy = start(&home, server.address);
    let token = format!("Authorization: Bearer {}\r\n", server.token());

    // The API, below the path of public_url, once with each header.
    let text = proxy.get("/errors/api/v1/projects", &token);
    assert_eq!(status(&text), 200, "{text}");
    let lower = text.to_ascii_lowercase();
    assert_eq!(
        lower.matches("strict-transport-security:").count(),
        1,
        "https is known, the header not doubled: {text}"
    );
    assert_eq!(lower.matches("x-frame-options:").count(), 1, "{text}");
    assert_ne!(status(&proxy.get("/api/v1/projects", &token)), 200, "not outside of the path");

    // An SDK's event, and one that is larger than others' default limit.
    let body = format!("{{\"message\":\"{}\"}}", "x".repeat(2 << 20));
    for body in ["{\"message\":\"m\"}", &body] {
        let request = format!(
            "POST /errors/api/42/store/?sentry_key={KEY_42} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let text = proxy.send(&request);
        assert!([200, 413].contains(&status(&text)) && text.contains("{\""), "our own answer: {text}");
    }

    // The client is who connected, whatever it writes.
    let real = partition_of(&proxy.get("/errors/api/v1/tickets", ""));
    for lines in [
        "X-Forwarded-For: 203.0.113.9\r\n",
        "X-Forwarded-For: 203.0.113.9, 127.0.0.1\r\nX-Forwarded-For: 127.0.0.1\r\n",
        "X-Real-IP: 203.0.113.9\r\n",
        "Forwarded: for=203.0.113.9;proto=http\r\n",
        "X-Forwarded-Proto: http\r\n",
        "X-Forwarded-For: 203.0.113.9, 127.0.0.1\r\nConnection: close, X-Forwarded-For\r\n",
    ] {
        let text = proxy.get("/errors/api/v1/tickets", lines);
        assert_eq!((status(&text), partition_of(&text)), (401, real.clone()), "{lines}");
    }
    let direct =
        partition(&plain_exchange(server.address, get("/api/v1/tickets", "").as_bytes()).expect("an answer"));
    assert_eq!(direct, real, "127.0.0.1 here and there");

    // Another client is another one, and the one that it is without a proxy.
    let far = || connect_from([127, 0, 0, 9], proxy.https).expect("a connection");
    let request = get("/errors/api/v1/tickets", "X-Forwarded-For: 127.0.0.1\r\n");
    let (through, _) = exchange_over(far(), Arc::clone(&proxy.client), NAME, &request).expect("an answer");
    let mut stream = connect_from([127, 0, 0, 9], server.address).expect("a connection");
    stream.write_all(get("/api/v1/tickets", "").as_bytes()).expect("written");
    let mut without = String::new();
    stream.read_to_string(&mut without).expect("an answer");
    assert_eq!(partition_of(&through), partition_of(&without));
    assert_ne!(partition_of(&through), real);

    // Plain HTTP: refused for programs, sent on for people.
    let plain = |target: &str| {
        plain_exchange(proxy.http, get(target, "X-Forwarded-Proto: https\r\n").as_bytes()).expect("an answer")
    };
    let api = plain("/errors/api/v1/tickets");
    assert_eq!(
        (api.status, api.header("location"), api.header("strict-transport-security")),
        (403, None, None)
    );
    let page = plain("/errors/tickets?status=open");
    assert_eq!(
        (page.status, page.header("location")),
        (308, Some("https://localhost/errors/tickets?status=open"))
    );

    // Smuggling: two lengths, a length and chunks, a bare line feed: one answer at most, and no second request.
    for framing in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /errors/api/v1/projects HTTP/1.1\r\nHost: localhost\r\n",
        "Content-Length: 5\r\nContent-Length: 60\r\n\r\n12345GET /errors/healthz HTTP/1.1\r\nHost: localhost\r\n",
        "Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\n12345GET /errors/healthz HTTP/1.1\r\nHost: localhost\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\nGET /errors/healthz HTTP/1.1\r\nHost: localhost\r\n",
    ] {
        let request = format!(
            "POST /errors/api/42/store/?sentry_key={KEY_42} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{framing}{token}\r\n"
        );
        let text = exchange(proxy.https, Arc::clone(&proxy.client), NAME, &request)
            .map_or(String::new(), |(text, _)| text);
        assert!(text.matches("HTTP/1.1 ").count() <= 1 && !text.contains("\"default\""), "{framing}: {text}");
    }

    // A restart: the proxy says so, and goes on by itself.
    server.stop();
    let away = status(&proxy.get("/errors/healthz", ""));
    assert!([502, 503].contains(&away), "{away}");
    drop(proxy);
}

#[test]
fn nginx_as_printed_keeps_clients_apart_and_headers_honest() {
    story(Proxy::nginx);
}

#[test]
fn caddy_as_printed_keeps_clients_apart_and_headers_honest() {
    story(Proxy::caddy);
}

#[test]
fn a_proxy_finds_a_server_again_after_its_restart() {
    let port = free_port();
    let home = Home::with_config(CONFIG);
    let bind = format!("127.0.0.1:{port}");
    let environment = [("ACTIFIX_LISTENERS__MAIN__BIND", bind.as_str())];
    let server = Server::start(Arc::clone(&home), &environment);
    let proxy = Proxy::nginx(&home, server.address);
    assert_eq!(status(&proxy.get("/errors/healthz", "")), 200);
    server.stop();
    assert_eq!(status(&proxy.get("/errors/healthz", "")), 502);
    let _server = Server::start(Arc::clone(&home), &environment);
    assert_eq!(status(&proxy.get("/errors/healthz", "")), 200);
}

#[test]
fn a_proxy_is_configured_for_a_name_that_can_stand_in_it() {
    let home = Home::new();
    let refused = home.cli(&["proxy-config", "nginx"]);
    assert!(refused.code() == 2 && refused.stderr.contains("server.public_url"), "{}", refused.stderr);
    for name in ["a;b", "a b", "", "a{b", "a\nb", "$host"] {
        assert_eq!(home.cli(&["proxy-config", "caddy", "--name", name]).code(), 2, "{name:?}");
    }
    let text = home.cli(&["proxy-config", "nginx", "--name", "errors.example.net"]);
    assert!(text.stderr.contains("trusted_proxies"), "{}", text.stderr);
    assert!(text.stdout.contains("server_name errors.example.net;"));
    assert!(
        text.stdout
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .all(|line| !line.contains("Strict-Transport"))
    );
}

/// Whatever a proxy makes of a request: none is hidden in another, none gets past the door by its spelling.
fn nothing_hides(start: fn(&Home, SocketAddr) -> Proxy) {
    let home = Home::with_config(CONFIG);
    let server = Server::start(Arc::clone(&home), &[("ACTIFIX_LIMITS__API_PER_MINUTE", "100000")]);
    home.import_projects();
    let proxy = start(&home, server.address);
    let token = format!("Authorization: Bearer {}\r\n", server.token());
    let real = partition_of(&proxy.get("/errors/api/v1/tickets", ""));
    for target in [format!("/errors/api/42/store/?sentry_key={KEY_42}"), "/errors/api/v1/projects".to_owned()]
    {
        for (what, framing) in framings() {
            let framing = framing.replace("/smuggled", "/errors/smuggled");
            let request =
                format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{framing}");
            let text = exchange(proxy.https, Arc::clone(&proxy.client), NAME, &request)
                .map_or(String::new(), |(text, _)| text);
            assert!(text.matches("HTTP/1.1 ").count() <= 1, "{what}: {text}");
            // Whoever comes next over the same connection to us gets their own answer.
            for _ in 0..2 {
                let next = proxy.get("/errors/healthz", "");
                assert!(status(&next) == 200 && next.ends_with("ok\n"), "{what}: {next}");
            }
        }
    }
    for spelling in SPELLINGS {
        let text = proxy.get(&format!("/errors{spelling}"), "");
        assert!([301, 400, 401, 403, 404, 405].contains(&status(&text)), "{spelling}: {text}");
        assert!(!text.contains("\"default\""), "{spelling}: {text}");
        let climbing = proxy.get(&format!("/errors/..{spelling}"), &token);
        assert!(!climbing.contains("\"default\""), "outside of the path: {spelling}: {climbing}");
    }
    for line in OVERRIDES {
        assert_eq!(status(&proxy.get("/errors/api/v1/projects", &format!("{line}\r\n"))), 401, "{line}");
        let text = proxy.get("/errors/api/v1/projects", &format!("{line}\r\n{token}"));
        assert!(status(&text) == 200 && !text.contains("evil.example"), "{line}: {text}");
    }
    for method in ["TRACE", "TRACK", "PROPFIND"] {
        let request = format!(
            "{method} /errors/api/v1/projects HTTP/1.1\r\nHost: localhost\r\nX-Echo: canary\r\n{token}Connection: close\r\n\r\n"
        );
        let text = proxy.send(&request);
        assert!([400, 405, 501].contains(&status(&text)) && !text.contains("canary"), "{method}: {text}");
    }
    let ranged = proxy.get("/errors/api/openapi.json", &format!("{token}Range: bytes=0-0,1-1\r\n"));
    assert_eq!(status(&ranged), 200);
    let hops = vec!["127.0.0.1"; 500].join(", ");
    for forwarded in [hops.as_str(), "garbage", "", "203.0.113.9, garbage", "999.1.1.1", "\u{b}"] {
        let text = proxy.get("/errors/api/v1/tickets", &format!("X-Forwarded-For: {forwarded}\r\n"));
        assert!(status(&text) == 400 || partition_of(&text) == real, "{forwarded}: {text}");
    }
    let named: String = home
        .files()
        .into_iter()
        .filter(|(path, _)| path.starts_with(home.path().join(".actifix/logs")))
        .map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned())
        .collect();
    assert!(named.contains("/healthz"), "requests are in the log");
    let hidden = named.lines().filter(|line| line.contains("unmatched") && line.contains("\"GET\"")).count();
    // Of these are the spellings only, which came as requests of their own.
    assert!(hidden <= 2 * SPELLINGS.len(), "{hidden} requests that nobody sent");
}

#[test]
fn nginx_lets_no_request_hide() {
    nothing_hides(Proxy::nginx);
}

#[test]
fn caddy_lets_no_request_hide() {
    nothing_hides(Proxy::caddy);
}
