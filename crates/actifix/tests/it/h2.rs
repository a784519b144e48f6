//! HTTP/2 as an attacker speaks it, frame by frame (`security.md`, fault plan: "h2 attacks"): each flood ends in a
//! GOAWAY, in a closed connection, or in a server that reads no further; its memory stays flat and others are answered.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::harness::{Home, KEY_42, Server};
use crate::tls::{Authority, BOTH, LATER, connect_from, exchange_over, get, tls_home};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

const PROTOCOL_ERROR: u32 = 1;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

/// No flood may add more to the resident size, KiB.
const GROWTH_KIB_MAX: u64 = 24 * 1024;
/// The server must have ended a connection within this time.
const END_DEADLINE: Duration = Duration::from_secs(60);
/// Between two chunks the client looks so long for what the server said.
const LOOK: Duration = Duration::from_millis(1);

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a small payload").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A header block: method and path, the rest fixed, nothing indexed.
fn block(post: bool, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = vec![if post { 0x83 } else { 0x82 }, 0x87, 0x04];
    text(&mut bytes, path);
    bytes.push(0x01);
    text(&mut bytes, "localhost");
    for (name, value) in more {
        bytes.push(0x00);
        text(&mut bytes, name);
        text(&mut bytes, value);
    }
    bytes
}

/// A string of HPACK without Huffman: length in a prefix of seven bits, then bytes.
fn text(bytes: &mut Vec<u8>, text: &str) {
    let mut rest = text.len();
    if rest < 127 {
        bytes.push(rest as u8);
    } else {
        bytes.push(127);
        rest -= 127;
        while rest >= 128 {
            bytes.push((rest % 128 + 128) as u8);
            rest /= 128;
        }
        bytes.push(rest as u8);
    }
    bytes.extend_from_slice(text.as_bytes());
}

fn headers(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, stream, block)
}

fn stream_id(number: usize) -> u32 {
    u32::try_from(number).expect("a small number") * 2 + 1
}

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    /// The number that a RST_STREAM holds.
    fn code(&self) -> u32 {
        self.payload.get(..4).map_or(0, |bytes| u32::from_be_bytes(bytes.try_into().expect("four bytes")))
    }
}

/// How an attack ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    GoAway(u32),
    Closed,
    /// The server reads no further.
    Blocked,
    /// All was sent and taken.
    Open,
}

struct Attacker {
    tls: StreamOwned<ClientConnection, TcpStream>,
    buffer: Vec<u8>,
    seen: Vec<Frame>,
}

impl Attacker {
    fn connect(server: &Server, authority: &Authority, settings: &[u8]) -> Self {
        let stream = connect_from([127, 0, 0, 1], server.address).expect("a connection");
        stream.set_write_timeout(Some(Duration::from_secs(2))).expect("a timeout");
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(authority.client(&[b"h2"], BOTH), name).expect("a client");
        let mut attacker =
            Self { tls: StreamOwned::new(connection, stream), buffer: Vec::new(), seen: Vec::new() };
        attacker.tls.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("a preface");
        attacker.tls.write_all(&frame(SETTINGS, 0, 0, settings)).expect("settings");
        attacker.tls.write_all(&frame(SETTINGS, ACK, 0, &[])).expect("an acknowledgement");
        attacker
    }

    /// Takes what the server said until it says nothing for `wait`; tells how it ended, if it did.
    fn listen(&mut self, wait: Duration) -> Option<Ended> {
        self.tls.sock.set_read_timeout(Some(wait)).expect("a timeout");
        let mut chunk = [0; 16 * 1024];
        loop {
            match self.tls.read(&mut chunk) {
                Ok(0) => return Some(self.ended(Ended::Closed)),
                Ok(read) => self.buffer.extend_from_slice(&chunk[..read]),
                Err(error) if is_wait(&error) => {
                    self.parse();
                    return self.goaway().map(Ended::GoAway);
                }
                Err(_) => return Some(self.ended(Ended::Closed)),
            }
        }
    }

    /// A GOAWAY says more than the end that follows it.
    fn ended(&mut self, otherwise: Ended) -> Ended {
        self.parse();
        self.goaway().map_or(otherwise, Ended::GoAway)
    }

    fn parse(&mut self) {
        while let Some(head) = self.buffer.get(..9) {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            if self.buffer.len() < 9 + length {
                return;
            }
            let rest = self.buffer.split_off(9 + length);
            let whole = std::mem::replace(&mut self.buffer, rest);
            let stream = u32::from_be_bytes([whole[5], whole[6], whole[7], whole[8]]) & 0x7fff_ffff;
            let seen = Frame { kind: whole[3], flags: whole[4], stream, payload: whole[9..].to_vec() };
            // What is asked about later; the rest would only pile up.
            if matches!(seen.kind, GOAWAY | RST_STREAM | HEADERS)
                || (seen.kind == SETTINGS && seen.flags != ACK)
            {
                self.seen.push(seen);
            }
        }
    }

    fn goaway(&self) -> Option<u32> {
        let frame = self.seen.iter().find(|frame| frame.kind == GOAWAY)?;
        Some(u32::from_be_bytes(frame.payload[4..8].try_into().expect("a code")))
    }

    fn send(&mut self, bytes: &[u8]) -> Option<Ended> {
        match self.tls.write_all(bytes).and_then(|()| self.tls.flush()) {
            Ok(()) => None,
            Err(error) if is_wait(&error) => Some(Ended::Blocked),
            Err(_) => Some(self.listen(Duration::from_secs(2)).unwrap_or(Ended::Closed)),
        }
    }

    /// Sends up to `most` chunks, until the server has enough.
    fn flood(&mut self, most: usize, chunk: impl Fn(usize) -> Vec<u8>) -> Ended {
        for number in 0..most {
            if let Some(ended) = self.send(&chunk(number)) {
                return ended;
            }
            if let Some(ended) = self.listen(LOOK) {
                return ended;
            }
        }
        self.listen(Duration::from_secs(2)).unwrap_or(Ended::Open)
    }

    /// Waits until the server has ended the connection.
    #[track_caller]
    fn wait_for_end(&mut self) -> Ended {
        self.listen(END_DEADLINE).unwrap_or_else(|| panic!("the connection is still open"))
    }

    /// Waits until nothing more can be said, whatever was said before.
    #[track_caller]
    fn wait_for_close(&mut self) -> Ended {
        self.tls.sock.set_read_timeout(Some(END_DEADLINE)).expect("a timeout");
        let mut chunk = [0; 16 * 1024];
        loop {
            match self.tls.read(&mut chunk) {
                Ok(read) if read > 0 => {}
                Err(error) if is_wait(&error) => panic!("the connection is still open"),
                _ => return Ended::Closed,
            }
        }
    }
}

fn is_wait(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

struct Field {
    authority: Authority,
    server: Server,
    before_kib: u64,
}

impl Field {
    fn new(more: &str) -> Self {
        let authority = Authority::new();
        let home: Arc<Home> = tls_home(&authority.issue(&["localhost"], LATER), more);
        let server = home.serve();
        home.import_projects();
        let mut field = Self { authority, server, before_kib: 0 };
        for _ in 0..50 {
            field.others_are_answered();
        }
        field.before_kib = field.server.resident_kib();
        field
    }

    fn attacker(&self) -> Attacker {
        Attacker::connect(&self.server, &self.authority, &[])
    }

    #[track_caller]
    fn others_are_answered(&self) {
        let stream = connect_from([127, 0, 0, 2], self.server.address).expect("a connection");
        let client = self.authority.client(&[b"http/1.1"], BOTH);
        let (text, _) = exchange_over(stream, client, "localhost", &get("/healthz", "")).expect("an answer");
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    }

    /// The server is as it was before.
    #[track_caller]
    fn holds(mut self, what: &str, ended: &Ended) {
        self.others_are_answered();
        let grown = self.server.resident_kib().saturating_sub(self.before_kib);
        println!("{what}: {ended:?}, grown by {grown} KiB");
        assert!(grown <= GROWTH_KIB_MAX, "{what}: the resident size grew by {grown} KiB");
        assert!(self.server.is_alive());
        assert!(!String::from_utf8_lossy(&self.server.printed()).contains("panicked"));
    }
}

#[track_caller]
fn is_over(ended: &Ended) {
    assert!(matches!(ended, Ended::GoAway(code) if *code != 0) || *ended == Ended::Closed, "{ended:?}");
}

#[test]
fn cve_2023_44487_rapid_reset_ends_the_connection() {
    let field = Field::new("");
    let request = block(false, "/healthz", &[]);
    let mut attacker = field.attacker();
    let ended = attacker.flood(400, |number| {
        (0..50)
            .flat_map(|place| {
                let stream = stream_id(number * 50 + place);
                [headers(stream, END_STREAM, &request), frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())]
                    .concat()
            })
            .collect()
    });
    assert!(matches!(ended, Ended::GoAway(ENHANCE_YOUR_CALM) | Ended::Closed), "{ended:?}");
    field.holds("rapid reset", &ended);
}

#[test]
fn resets_one_by_one_are_requests_that_count() {
    let field = Field::new("[limits]\napi_per_minute = 20\n");
    let request = block(false, "/api/v1/projects", &[]);
    let mut attacker = field.attacker();
    let ended = attacker.flood(2_000, |number| {
        let stream = stream_id(number);
        [headers(stream, END_STREAM, &request), frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())].concat()
    });
    let stream = connect_from([127, 0, 0, 1], field.server.address).expect("a connection");
    let client = field.authority.client(&[b"http/1.1"], BOTH);
    let asked =
        exchange_over(stream, client, "localhost", &get("/api/v1/projects", "")).expect("an answer").0;
    assert!(asked.starts_with("HTTP/1.1 429"), "what was taken back was asked for: {asked}");
    field.holds("resets one by one", &ended);
}

#[test]
fn cve_2025_8671_made_you_reset_ends_the_connection() {
    let target = format!("/api/42/store/?sentry_key={KEY_42}");
    // Frames that make the server itself reset a stream.
    type Attack = fn(u32) -> Vec<u8>;
    let attacks: [(&str, Attack); 3] = [
        ("a window update of nothing", |stream| frame(WINDOW_UPDATE, 0, stream, &[0; 4])),
        ("a window that overflows", |stream| frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff])),
        ("more data than was announced", |stream| frame(DATA, END_STREAM, stream, b"{\"message\":\"m\"}")),
    ];
    for (what, attack) in attacks {
        let field = Field::new("");
        let request = block(true, &target, &[("content-length", "2")]);
        let mut attacker = field.attacker();
        let ended = attacker.flood(5_000, |number| {
            let stream = stream_id(number);
            [headers(stream, 0, &request), attack(stream)].concat()
        });
        is_over(&ended);
        field.holds(what, &ended);
    }
}

#[test]
fn data_behind_the_end_of_a_stream_ends_the_connection() {
    let field = Field::new("");
    let request = block(false, "/healthz", &[]);
    let mut attacker = field.attacker();
    let ended = attacker.flood(5_000, |number| {
        let stream = stream_id(number);
        [headers(stream, END_STREAM, &request), frame(DATA, 0, stream, b"x")].concat()
    });
    is_over(&ended);
    field.holds("data behind the end", &ended);
}

#[test]
fn a_continuation_flood_ends_the_connection() {
    for more in [&b""[..], &[0x00, 0x01, b'a', 0x01, b'b']] {
        let field = Field::new("");
        let mut attacker = field.attacker();
        assert_eq!(attacker.send(&frame(HEADERS, END_STREAM, 1, &block(false, "/healthz", &[]))), None);
        let payload = more.repeat(3_000);
        let ended = attacker.flood(20_000, |_| frame(CONTINUATION, 0, 1, &payload));
        is_over(&ended);
        field.holds("continuations", &ended);
    }
}

#[test]
fn an_empty_data_flood_ends_the_connection() {
    let field = Field::new("");
    let mut attacker = field.attacker();
    let target = format!("/api/42/store/?sentry_key={KEY_42}");
    assert_eq!(attacker.send(&headers(1, 0, &block(true, &target, &[]))), None);
    let ended = attacker.flood(1_000, |_| frame(DATA, 0, 1, &[]).repeat(500));
    is_over(&ended);
    field.holds("empty data", &ended);
}

#[test]
fn floods_of_settings_and_pings_do_not_pile_up() {
    for (what, one) in [
        ("settings", frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])),
        ("pings", frame(PING, 0, 0, b"12345678")),
        ("window updates", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("priorities", frame(2, 0, 1, &[0, 0, 0, 3, 200])),
        ("unknown frames", frame(0xfa, 0, 1, b"x")),
    ] {
        let field = Field::new("");
        let mut attacker = field.attacker();
        let ended = attacker.flood(100, |_| one.repeat(1_000));
        field.holds(what, &ended);
    }
}

#[test]
fn answers_to_a_flood_that_nobody_reads_stop_the_reading() {
    for (what, one) in [
        ("settings", frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])),
        ("pings", frame(PING, 0, 0, b"12345678")),
    ] {
        let field = Field::new("[server]\nstall_timeout_seconds = 1\n");
        let mut attacker = field.attacker();
        let chunk = one.repeat(1_000);
        let ended = (0..20_000).find_map(|_| attacker.send(&chunk)).unwrap_or(Ended::Open);
        assert_ne!(ended, Ended::Open, "{what}: 20 million were taken and answered into nowhere");
        field.holds(what, &ended);
    }
}

#[test]
fn an_hpack_bomb_is_refused_in_bounded_memory() {
    let field = Field::new("");
    let mut attacker = field.attacker();
    // One large entry for the dynamic table, then as many references to it as a frame holds.
    let mut first = block(false, "/healthz", &[]);
    first.push(0x40);
    text(&mut first, "a");
    text(&mut first, &"b".repeat(3_900));
    assert_eq!(attacker.send(&headers(1, END_STREAM, &first)), None);
    let mut bomb = block(false, "/healthz", &[]);
    bomb.extend(std::iter::repeat_n(0xbe, 16_000));
    let ended = attacker.flood(200, |number| headers(stream_id(number + 1), END_STREAM, &bomb));
    let served =
        attacker.seen.iter().filter(|frame| frame.kind == HEADERS && frame.payload.first() == Some(&0x88));
    assert!(served.count() <= 1, "only what came before the bomb is answered with 200");
    field.holds("an HPACK bomb", &ended);
}

#[test]
fn a_connection_has_a_bounded_number_of_streams() {
    let field = Field::new("");
    let mut attacker = field.attacker();
    let target = format!("/api/42/store/?sentry_key={KEY_42}");
    let open = block(true, &target, &[]);
    let all: Vec<u8> = (0..150).flat_map(|number| headers(stream_id(number), 0, &open)).collect();
    assert_eq!(attacker.send(&all), None);
    let ended = attacker.listen(Duration::from_secs(2));
    assert_eq!(ended, None, "the others of the connection go on");
    let most = attacker.seen.iter().find(|frame| frame.kind == SETTINGS).expect("settings");
    let told = most.payload.chunks_exact(6).find(|pair| pair[..2] == [0, 3]).expect("a limit");
    assert_eq!(told[2..], 100_u32.to_be_bytes());
    let refused: Vec<u32> = attacker
        .seen
        .iter()
        .filter(|frame| frame.kind == RST_STREAM && frame.code() == REFUSED_STREAM)
        .map(|frame| frame.stream)
        .collect();
    assert_eq!(refused, (100..150).map(stream_id).collect::<Vec<_>>());
    field.holds("150 streams", &Ended::Open);
}

#[test]
fn answers_that_are_never_taken_end_the_connection() {
    let field = Field::new("[server]\nheader_timeout_seconds = 1\n");
    let bearer = format!("Bearer {}", field.server.token());
    // A window of nothing: every answer waits.
    let mut attacker = Attacker::connect(&field.server, &field.authority, &[0, 4, 0, 0, 0, 0]);
    let request = block(false, "/api/openapi.json", &[("authorization", &bearer)]);
    let all: Vec<u8> = (0..100).flat_map(|number| headers(stream_id(number), END_STREAM, &request)).collect();
    assert_eq!(attacker.send(&all), None);
    let ended = attacker.wait_for_end();
    let answered = attacker.seen.iter().filter(|frame| frame.kind == HEADERS).count();
    assert!(answered > 50, "{answered} were being answered");
    assert_eq!(ended, Ended::Closed);
}

#[test]
fn answers_that_are_taken_byte_by_byte_end_the_connection() {
    let field = Field::new("[server]\nheader_timeout_seconds = 1\n");
    let bearer = format!("Bearer {}", field.server.token());
    let mut attacker = Attacker::connect(&field.server, &field.authority, &[0, 4, 0, 0, 0, 0]);
    let request = block(false, "/api/openapi.json", &[("authorization", &bearer)]);
    assert_eq!(attacker.send(&headers(1, END_STREAM, &request)), None);
    // One byte more for each look; a look waits for what the server says.
    let ended = (0..1_000).find_map(|_| {
        let sent = attacker.send(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]));
        sent.or_else(|| attacker.listen(Duration::from_millis(50)))
    });
    assert!(matches!(ended, Some(Ended::GoAway(0) | Ended::Closed)), "{ended:?}");
    assert!(matches!(attacker.wait_for_close(), Ended::Closed));
    field.holds("a dribble", &Ended::Closed);
}

#[test]
fn a_connection_that_asks_nothing_is_ended() {
    let field = Field::new("[server]\nheader_timeout_seconds = 1\n");
    let mut silent = field.attacker();
    assert!(matches!(silent.wait_for_end(), Ended::GoAway(0) | Ended::Closed));
    // Pings are no requests.
    let mut pinging = field.attacker();
    let ended = (0..1_000).find_map(|_| {
        pinging.send(&frame(PING, 0, 0, b"12345678")).or_else(|| pinging.listen(Duration::from_millis(50)))
    });
    assert!(matches!(ended, Some(Ended::GoAway(0) | Ended::Closed)), "{ended:?}");
}

#[test]
fn what_is_no_http2_is_told_so() {
    let field = Field::new("");
    for (what, bytes) in [
        ("a frame that is too large", frame(DATA, 0, 1, &vec![0; 20_000])),
        ("data without a stream", frame(DATA, 0, 7, b"x")),
        ("headers on stream 0", headers(0, END_STREAM, &block(false, "/healthz", &[]))),
        ("an even stream", headers(2, END_STREAM, &block(false, "/healthz", &[]))),
        ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, &[])),
        ("settings of five bytes", frame(SETTINGS, 0, 0, &[0; 5])),
        ("an index that does not exist", headers(1, END_STREAM, &[0xff, 0xff, 0xff, 0x0f])),
        ("no HTTP/2 at all", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
    ] {
        let mut attacker = field.attacker();
        let ended = attacker.flood(1, |_| bytes.clone());
        is_over(&ended);
        assert!(!matches!(ended, Ended::GoAway(0)), "{what}");
    }
    let mut attacker = field.attacker();
    let upper = headers(1, END_STREAM, &block(false, "/healthz", &[("Upper", "x")]));
    let ended = attacker.flood(1, |_| upper.clone());
    let reset = attacker.seen.iter().any(|frame| frame.kind == RST_STREAM && frame.code() == PROTOCOL_ERROR);
    assert!(reset || ended == Ended::GoAway(PROTOCOL_ERROR), "{:?}", attacker.seen);
    field.holds("broken frames", &Ended::Open);
}
