//! Clients that take their time, and many that do nothing (`security.md`, fault plan: "Slow clients", "10k
//! connections"). Deadlines are made short by configuration; a client paces itself by waiting for what the server says.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::harness::{Home, KEY_42, Server};
use crate::http::Request;
use crate::tls::connect_from;

/// A slow client sends a piece, then looks so long for an answer.
const PACE: Duration = Duration::from_millis(50);
/// Pieces after which a connection that is still open is a failure: a minute, for a deadline of a second.
const PIECES_MAX: usize = 1_200;
/// Clients of the crowd, and how many of them one address has.
const CROWD: usize = 10_000;
const PER_SOURCE: usize = 2_500;
/// The defaults of the server.
const ALL_MAX: usize = 4_096;
const PER_PEER_MAX: usize = 1_024;
/// Memory that 4,096 idle connections may take, KiB.
const CROWD_KIB_MAX: u64 = 128 * 1024;
/// The server has closed what it refuses within this time.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

fn short_deadlines() -> std::sync::Arc<Home> {
    Home::with_config(
        "[server]\nheader_timeout_seconds = 1\nstall_timeout_seconds = 1\n[limits]\nrequest_read_seconds_max = 1\n",
    )
}

fn connect(server: &Server, source: u8) -> TcpStream {
    connect_from([127, 0, 0, source], server.address).expect("a connection")
}

#[track_caller]
fn is_answered(server: &Server, source: u8) {
    let mut stream = connect(server, source);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("written");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
}

fn is_wait(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Sends piece after piece, and gives what the server had said when it closed the connection.
#[track_caller]
fn drip(server: &Server, stream: &mut TcpStream, piece: &[u8]) -> String {
    stream.set_read_timeout(Some(PACE)).expect("a timeout");
    let mut said = Vec::new();
    for number in 0..PIECES_MAX {
        if number % 5 == 0 {
            is_answered(server, 2);
        }
        let written = stream.write_all(piece);
        let mut chunk = [0; 4_096];
        match stream.read(&mut chunk) {
            Err(error) if is_wait(&error) && written.is_ok() => {}
            Ok(read) if read > 0 => said.extend_from_slice(&chunk[..read]),
            _ => return String::from_utf8_lossy(&said).into_owned(),
        }
    }
    panic!("still open after {PIECES_MAX} pieces; it said {:?}", String::from_utf8_lossy(&said));
}

#[test]
fn slowloris_headers_end_the_connection() {
    let home = short_deadlines();
    let server = home.serve();
    let mut stream = connect(&server, 1);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n").expect("written");
    let said = drip(&server, &mut stream, b"X-a: b\r\n");
    assert!(!said.starts_with("HTTP/1.1 200"), "{said}");
    // A request line that never ends, and a connection that says nothing at all.
    let mut stream = connect(&server, 1);
    drip(&server, &mut stream, b"G");
    let mut stream = connect(&server, 1);
    drip(&server, &mut stream, b"");
    // Between two requests too.
    let mut stream = connect(&server, 1);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").expect("written");
    assert!(drip(&server, &mut stream, b"").starts_with("HTTP/1.1 200"));
}

#[test]
fn slow_bodies_are_refused() {
    let home = short_deadlines();
    let server = home.serve();
    home.import_projects();
    let token = server.token();
    for (what, head, status) in [
        ("the API", format!("POST /api/v1/projects HTTP/1.1\r\nAuthorization: Bearer {token}\r\n"), "408"),
        (
            "the API, once",
            format!(
                "POST /api/v1/projects HTTP/1.1\r\nAuthorization: Bearer {token}\r\nIdempotency-Key: k\r\n"
            ),
            "408",
        ),
        ("the login", "POST /api/v1/auth/login HTTP/1.1\r\n".to_owned(), "408"),
        ("ingest", format!("POST /api/42/store/?sentry_key={KEY_42} HTTP/1.1\r\n"), "400"),
    ] {
        let mut stream = connect(&server, 1);
        let head = format!(
            "{head}Host: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("written");
        let said = drip(&server, &mut stream, b" ");
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {said}");
        // A chunk of one byte each.
        let mut stream = connect(&server, 1);
        let head = head.replace("Content-Length: 100000", "Transfer-Encoding: chunked");
        stream.write_all(head.as_bytes()).expect("written");
        let said = drip(&server, &mut stream, b"1\r\n \r\n");
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{what}, chunked: {said}");
    }
}

#[test]
fn answers_that_nobody_reads_end_the_connection() {
    let home = short_deadlines();
    let server = Server::start(home, &[("ACTIFIX_RATE_LIMIT_DISABLED", "1")]);
    let token = server.token();
    let before = server.resident_kib();
    let mut stream = connect(&server, 1);
    stream.set_write_timeout(Some(PACE)).expect("a timeout");
    let request =
        format!("GET /api/openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n");
    // Until the server reads no further, and then until it has closed.
    let mut blocked = 0;
    for _ in 0..100_000 {
        match stream.write(request.as_bytes()) {
            Ok(_) => {}
            Err(error) if is_wait(&error) => {
                blocked += 1;
                is_answered(&server, 2);
                assert!(blocked < PIECES_MAX, "still open");
            }
            Err(_) => break,
        }
    }
    assert!(blocked > 0, "it went on answering into nowhere");
    let grown = server.resident_kib().saturating_sub(before);
    assert!(grown < 24 * 1024, "grown by {grown} KiB");
}

#[test]
fn answers_that_are_read_byte_by_byte_end_the_connection() {
    let home = short_deadlines();
    let server = Server::start(home, &[("ACTIFIX_RATE_LIMIT_DISABLED", "1")]);
    let token = server.token();
    let mut stream = connect(&server, 1);
    let request =
        format!("GET /api/openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.set_write_timeout(Some(PACE)).expect("a timeout");
    let mut ended = false;
    for number in 0..100_000 {
        let mut byte = [0];
        match stream.write(request.as_bytes()) {
            Err(error) if is_wait(&error) => {
                assert!(stream.read(&mut byte).is_ok() || number > 0, "nothing to read");
            }
            Ok(_) => {}
            Err(_) => {
                ended = true;
                break;
            }
        }
    }
    assert!(ended, "still open");
    is_answered(&server, 2);
}

#[test]
fn a_client_that_closes_its_half_leaves_nothing_behind() {
    let home = Home::with_config("[server]\nheader_timeout_seconds = 1\nconnections_per_peer_max = 5\n");
    let server = home.serve();
    for _ in 0..50 {
        let mut whole = connect(&server, 3);
        whole.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").expect("written");
        whole.shutdown(Shutdown::Write).expect("half closed");
        let mut text = String::new();
        whole.read_to_string(&mut text).expect("the other half is closed too");
        assert!(text.starts_with("HTTP/1.1 200"), "{text:?}");
        let mut half = connect(&server, 3);
        half.write_all(b"POST /api/v1/projects HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
            .expect("written");
        half.shutdown(Shutdown::Write).expect("half closed");
        let mut rest = Vec::new();
        let _reset = half.read_to_end(&mut rest);
    }
    // More than its share of connections came and went: none of them is still counted.
    is_answered(&server, 3);
}

/// Connections from one address, opened as fast as the server takes them.
fn crowd(address: SocketAddr, source: u8, count: usize) -> Vec<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut streams = Vec::with_capacity(count);
        for _ in 0..count {
            let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
            socket.bind(SocketAddr::from(([127, 0, 0, source], 0))).expect("an address");
            let stream = socket.connect(address).await.expect("the kernel accepts");
            streams.push(stream.into_std().expect("a socket"));
        }
        streams
    })
}

/// How many the server has not closed.
fn still_open(streams: &mut [TcpStream]) -> usize {
    let is_open = |stream: &mut TcpStream| stream.read(&mut [0]).is_err_and(|error| is_wait(&error));
    streams.iter_mut().map(is_open).filter(|open| *open).count()
}

#[test]
fn heavy_ten_thousand_idle_connections_leave_room_for_others() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .expect("more files");
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    assert!(files > CROWD as u64 + 500, "{files} open files are too few for this test: raise the hard limit");
    let home = Home::with_config("[server]\nheader_timeout_seconds = 300\n");
    let server = home.serve();
    is_answered(&server, 9);
    let before = server.resident_kib();
    let mut sources: Vec<Vec<TcpStream>> =
        (2..).take(CROWD / PER_SOURCE).map(|source| crowd(server.address, source, PER_SOURCE)).collect();
    // What is over the share of an address is closed, the rest stays.
    let began = Instant::now();
    loop {
        let open: Vec<usize> = sources.iter_mut().map(|streams| still_open(streams)).collect();
        assert!(open.iter().all(|open| *open >= PER_PEER_MAX - 1), "{open:?}");
        if open.iter().all(|open| *open <= PER_PEER_MAX) {
            break;
        }
        assert!(began.elapsed() < SETTLED_WITHIN, "{open:?}");
    }
    // All places are taken now; who comes from elsewhere gets one all the same, again and again.
    for source in 9..109 {
        is_answered(&server, source);
    }
    let mut kept: Vec<TcpStream> = (9..109).map(|source| connect(&server, source)).collect();
    for stream in &mut kept {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").expect("written");
        let mut head = [0; 12];
        stream.read_exact(&mut head).expect("an answer");
        assert_eq!(&head, b"HTTP/1.1 200");
    }
    let open: usize = sources.iter_mut().map(|streams| still_open(streams)).sum::<usize>() + kept.len();
    assert!(open <= ALL_MAX, "{open}");
    let grown = server.resident_kib().saturating_sub(before);
    println!("{open} connections are open, {} KiB for all of them", grown);
    assert!(grown <= CROWD_KIB_MAX, "grown by {grown} KiB");
    // The owner's socket is no peer of anybody.
    server.home.cli(&["project", "list"]).ok();
    drop((sources, kept));
    let refused = server.call("GET", "/metrics", None).text();
    let count = |reason: &str| -> f64 {
        let name = format!("actifix_connections_refused_total{{reason=\"{reason}\"}}");
        refused
            .lines()
            .find_map(|line| line.strip_prefix(&name))
            .and_then(|rest| rest.trim().parse().ok())
            .unwrap_or(0.0)
    };
    assert!(count("peer") >= (CROWD - ALL_MAX) as f64 && count("evicted") >= 100.0, "{refused}");
}

#[test]
fn a_peer_that_has_most_gets_no_more_when_all_places_are_taken() {
    let home = Home::with_config("[server]\nconnections_max = 6\nconnections_per_peer_max = 5\n");
    let server = home.serve();
    let ask = |stream: &mut TcpStream| {
        let _closed = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        let mut head = [0; 12];
        let answered = stream.read_exact(&mut head).is_ok() && &head == b"HTTP/1.1 200";
        // The rest of the answer, so that the connection is idle.
        let mut rest = [0; 4_096];
        answered && stream.read(&mut rest).is_ok_and(|read| read > 0)
    };
    let mut many: Vec<TcpStream> = (0..5).map(|_| connect(&server, 2)).collect();
    assert!(many.iter_mut().all(ask));
    let mut other = connect(&server, 3);
    assert!(ask(&mut other));
    assert!(!ask(&mut connect(&server, 2)), "its share is used up");
    let mut third = connect(&server, 4);
    assert!(ask(&mut third), "the oldest of the largest peer went");
    assert_eq!(many.iter_mut().filter_map(|stream| ask(stream).then_some(())).count(), 4);
    assert!(ask(&mut other) && ask(&mut third), "who has few is left alone");
    assert!(!ask(&mut connect(&server, 2)), "the largest peer cannot push its own or others out");
    let answer = server.send(&Request::get("/healthz"));
    assert_eq!(answer.status, 200);
}
