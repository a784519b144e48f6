//! TLS of our own, and commands that speak it (`security.md`: "HTTPS always", "HSTS").

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

pub use crate::authority::Authority;
use crate::harness::{Home, Server, bare_command, finish};

pub const BOTH: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];
pub const LATER: (i32, u8, u8) = (2090, 1, 1);

pub fn write_private(path: &Path, text: &str) {
    let _absent = std::fs::remove_file(path);
    std::fs::write(path, text).expect("a file");
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).expect("a mode");
}

fn install(home: &Home, pair: &(String, String)) {
    write_private(&home.path().join("cert.pem"), &pair.0);
    write_private(&home.path().join("key.pem"), &pair.1);
}

pub fn tls_home(pair: &(String, String), more: &str) -> Arc<Home> {
    let home = Home::with_config(&format!("tls = {{ cert = \"cert.pem\", key = \"key.pem\" }}\n{more}"));
    install(&home, pair);
    home
}

/// A connection from an address of this machine.
pub fn connect_from(source: [u8; 4], target: SocketAddr) -> std::io::Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((source, 0)))?;
        socket.connect(target).await?.into_std()
    })?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(stream)
}

/// Sends a request over TLS and reads to the end.
pub fn exchange(
    address: SocketAddr,
    config: Arc<ClientConfig>,
    name: &str,
    request: &str,
) -> std::io::Result<(String, ClientConnection)> {
    exchange_over(connect_from([127, 0, 0, 1], address)?, config, name, request)
}

/// The same over a connection that is open; also gives what was negotiated.
pub fn exchange_over(
    stream: TcpStream,
    config: Arc<ClientConfig>,
    name: &str,
    request: &str,
) -> std::io::Result<(String, ClientConnection)> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let connection = ClientConnection::new(config, name).expect("a client");
    let mut tls = StreamOwned::new(connection, stream);
    tls.write_all(request.as_bytes())?;
    let mut text = Vec::new();
    match tls.read_to_end(&mut text) {
        // The far end may leave out its farewell.
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => return Err(error),
        _ => {}
    }
    let (connection, _) = tls.into_parts();
    Ok((String::from_utf8_lossy(&text).into_owned(), connection))
}

pub fn get(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n")
}

fn metric(server: &Server, authority: &Authority, name: &str) -> f64 {
    let lines = format!("Authorization: Bearer {}\r\n", server.token());
    let client = authority.client(&[], BOTH);
    let (text, _) = exchange(server.address, client, "localhost", &get("/metrics", &lines)).expect("metrics");
    let found = text.lines().find_map(|line| line.strip_prefix(name));
    found.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("{name} is not in {text}"))
}

#[test]
fn https_is_served_with_hsts_and_without_old_versions() {
    let authority = Authority::new();
    let home = tls_home(&authority.issue(&["localhost"], LATER), "");
    let server = home.serve();
    assert!(
        String::from_utf8_lossy(&server.printed())
            .contains(&format!("listening on https://{}", server.address))
    );
    for version in BOTH {
        let client = authority.client(&[b"http/1.1"], std::slice::from_ref(version));
        for (target, status) in [("/healthz", 200), ("/api/v1/tickets", 401), ("/nothing", 404)] {
            let (text, connection) =
                exchange(server.address, Arc::clone(&client), "localhost", &get(target, ""))
                    .expect("an answer");
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
            assert_eq!(
                text.matches("strict-transport-security: max-age=63072000; includeSubDomains\r\n").count(),
                1,
                "{text}"
            );
            assert_eq!(connection.protocol_version(), Some(version.version));
        }
    }
    // TLS 1.1 in a hello: refused by an alert, without an answer.
    let mut old = TcpStream::connect(server.address).expect("a connection");
    old.write_all(&[0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2]).expect("written");
    old.write_all(&[7; 32]).expect("written");
    old.write_all(&[0, 0, 2, 0, 0x2f, 1, 0]).expect("written");
    let mut answer = Vec::new();
    let _reset = old.read_to_end(&mut answer);
    assert_eq!(answer.first(), Some(&0x15), "an alert: {answer:?}");
    // Plain HTTP on the port gets nothing of ours.
    let mut plain = TcpStream::connect(server.address).expect("a connection");
    plain.write_all(get("/healthz", "").as_bytes()).expect("written");
    let mut answer = Vec::new();
    let _reset = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
    let expires =
        metric(&server, &authority, "actifix_tls_certificate_expires_timestamp_seconds{listener=\"main\"}");
    assert!(expires > 3.7e9 && expires < 3.8e9, "{expires}");
}

#[test]
fn a_silent_handshake_is_ended() {
    let authority = Authority::new();
    let home = tls_home(&authority.issue(&["localhost"], LATER), "");
    let server = home.serve();
    let began = Instant::now();
    let mut silent = TcpStream::connect(server.address).expect("a connection");
    silent.set_read_timeout(Some(Duration::from_secs(40))).expect("a timeout");
    silent.write_all(&[0x16, 3, 1]).expect("written");
    let mut byte = [0];
    let ended = silent.read(&mut byte);
    assert!(
        matches!(ended, Ok(0)) || ended.is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock)
    );
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[test]
fn http2_requests_of_one_connection_are_counted_each() {
    let authority = Authority::new();
    let home = tls_home(&authority.issue(&["localhost"], LATER), "[limits]\napi_per_minute = 5\n");
    let server = home.serve();
    let token = server.token();
    let client = authority.client(&[b"h2", b"http/1.1"], BOTH);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let statuses = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(server.address).await.expect("a connection");
        let name = ServerName::try_from("localhost").expect("a name");
        let stream =
            tokio_rustls::TlsConnector::from(client).connect(name, stream).await.expect("a handshake");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .expect("HTTP/2");
        tokio::spawn(connection);
        let mut requests = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let request = hyper::Request::get("https://localhost/api/v1/projects")
                .header("authorization", format!("Bearer {token}"))
                .body(Empty::<hyper::body::Bytes>::new())
                .expect("a request");
            let mut sender = sender.clone();
            requests.spawn(async move {
                let answer = sender.send_request(request).await.expect("an answer");
                assert!(answer.headers().contains_key("strict-transport-security"));
                let status = answer.status().as_u16();
                let _body = answer.into_body().collect().await.expect("a body");
                status
            });
        }
        requests.join_all().await
    });
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(200), count(429)), (5, 15), "{statuses:?}");
}

#[test]
fn a_renewed_certificate_is_shown_without_a_restart_and_a_bad_one_is_not() {
    let authority = Authority::new();
    let first = authority.issue(&["localhost"], LATER);
    let home = tls_home(&first, "");
    let server = home.serve();
    let shown = || {
        let client = authority.client(&[], BOTH);
        let (_, connection) =
            exchange(server.address, client, "localhost", &get("/healthz", "")).expect("an answer");
        connection.peer_certificates().expect("a certificate")[0].to_vec()
    };
    let der =
        |pair: &(String, String)| CertificateDer::from_pem_slice(pair.0.as_bytes()).expect("PEM").to_vec();
    assert_eq!(shown(), der(&first));
    let second = authority.issue(&["localhost"], LATER);
    install(&home, &second);
    server.hang_up(1);
    assert_eq!(shown(), der(&second));
    let other = authority.issue(&["localhost"], LATER);
    write_private(&home.path().join("cert.pem"), &other.0);
    let said = server.hang_up(2);
    assert!(said.contains("do not belong together"), "{said}");
    assert_eq!(shown(), der(&second), "the former one stays");
}

#[test]
fn what_cannot_be_shown_is_refused_at_the_start() {
    let authority = Authority::new();
    let good = authority.issue(&["localhost"], LATER);
    let expired = authority.issue(&["localhost"], (2021, 1, 1));
    let other = authority.issue(&["localhost"], LATER);
    for (pair, needle) in [
        (expired, "it expired on 2021-01-01"),
        ((good.0.clone(), other.1), "do not belong together"),
        ((good.1.clone(), good.1.clone()), "no certificate"),
        ((good.0.clone(), String::new()), "no private key"),
    ] {
        let refused = tls_home(&pair, "").cli(&["serve"]);
        assert_eq!(refused.code(), 78, "{}", refused.stderr);
        assert!(
            refused.stderr.contains("listeners.main.tls") && refused.stderr.contains(needle),
            "{}",
            refused.stderr
        );
        assert!(!refused.stderr.contains("PRIVATE"), "{}", refused.stderr);
    }
    let home = tls_home(&good, "");
    std::fs::set_permissions(home.path().join("key.pem"), PermissionsExt::from_mode(0o640)).expect("a mode");
    let refused = home.cli(&["serve"]);
    assert!(refused.code() == 78 && refused.stderr.contains("mode 0640"), "{}", refused.stderr);
    std::fs::remove_file(home.path().join("key.pem")).expect("removed");
    let refused = home.cli(&["serve"]);
    assert!(refused.code() == 78 && refused.stderr.contains("listeners.main.tls.key"), "{}", refused.stderr);
}

#[test]
fn commands_reach_a_server_over_https_that_they_can_trust() {
    let authority = Authority::new();
    let home = tls_home(&authority.issue(&["localhost"], LATER), "");
    let server = home.serve();
    let token = server.token();
    let ca = home.path().join("ca.pem");
    std::fs::write(&ca, &authority.pem).expect("a file");
    let elsewhere = tempfile::tempdir().expect("a directory");
    let run = |url: &str, ca: &str| {
        let mut command = bare_command();
        command.current_dir(elsewhere.path()).args(["project", "list", "--json"]);
        command.env("ACTIFIX_URL", url).env("ACTIFIX_TOKEN", &token);
        if !ca.is_empty() {
            command.env("ACTIFIX_OUTBOUND__EXTRA_CA", ca);
        }
        finish(command, b"")
    };
    let ca = ca.to_str().expect("a path");
    let port = server.address.port();
    let listed = run(&format!("https://localhost:{port}"), ca).json();
    assert_eq!(listed["items"][0]["name"], "default");
    let stranger = Authority::new();
    let other = home.path().join("other.pem");
    std::fs::write(&other, &stranger.pem).expect("a file");
    for (url, ca, code, needle) in [
        (format!("https://localhost:{port}"), "", 69, "certificate"),
        (format!("https://localhost:{port}"), other.to_str().expect("a path"), 69, "certificate"),
        (format!("https://127.0.0.1:{port}"), ca, 69, "certificate"),
        ("http://192.0.2.1:5001".to_owned(), ca, 2, "never sent in clear"),
        ("http://errors.example.net".to_owned(), ca, 2, "never sent in clear"),
        ("http://localhost.evil.example".to_owned(), ca, 2, "never sent in clear"),
        ("https://user:pass@localhost".to_owned(), ca, 2, "names a user"),
        ("ftp://localhost".to_owned(), ca, 2, "only https"),
        ("localhost".to_owned(), ca, 2, "ACTIFIX_URL"),
        (format!("https://localhost:{port}"), "/nowhere/ca.pem", 78, "outbound.extra_ca"),
    ] {
        let refused = run(&url, ca);
        assert_eq!(refused.code(), code, "{url}: {}", refused.stderr);
        assert!(refused.stderr.contains(needle), "{url}: {}", refused.stderr);
        assert!(!refused.stderr.contains(&token) && !refused.stderr.contains("pass"), "{}", refused.stderr);
    }
}

#[test]
fn a_redirect_is_not_followed_with_a_token() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let trap = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let (address, target) =
        (listener.local_addr().expect("an address"), trap.local_addr().expect("an address"));
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut read = [0; 4_096];
        let _request = stream.read(&mut read);
        let answer = format!(
            "HTTP/1.1 302 Found\r\nLocation: http://{target}/\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
        );
        stream.write_all(answer.as_bytes()).expect("written");
    });
    let mut command = bare_command();
    command
        .args(["project", "list"])
        .env("ACTIFIX_URL", format!("http://{address}"))
        .env("ACTIFIX_TOKEN", "t");
    let refused = finish(command, b"");
    answering.join().expect("answered");
    assert!(refused.code() == 2 && refused.stderr.contains("redirect"), "{}", refused.stderr);
    trap.set_nonblocking(true).expect("set");
    assert!(trap.accept().is_err(), "nobody came to the redirect's target");
}
