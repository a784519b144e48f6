//! Requests that nobody sends by accident: cut, flipped, blown up, nested, flooding. The server says no with a
//! 4xx, stays within its memory, and goes on serving.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::captures::{Encoding, Manifest};
use crate::harness::{Home, KEY_42, Server};
use crate::http::{Answer, Connection, Framing, Request};
use crate::random::Random;

/// Resident size that no input may push the server over, KiB.
const PEAK_KIB_MAX: u64 = 300 * 1024;
/// A bomb unpacks to this many bytes, four times what a request may hold.
const BOMB_BYTES: usize = 200 << 20;
/// What each of many packed dumps unpacks to; twice what a request may hold.
const DUMP_BYTES: usize = 100 << 20;
/// As many packed dumps as fit into one request.
const DUMPS: usize = 240;
/// Processor time for them. One dump alone costs a fraction of a second, all of them minutes.
const DUMPS_CPU_SECONDS_MAX: f64 = 15.0;
/// Clients that send at the same time.
const CLIENTS: usize = 4;

fn envelope_target() -> String {
    format!("/api/42/envelope/?sentry_key={KEY_42}")
}

fn store_target() -> String {
    format!("/api/42/store/?sentry_key={KEY_42}")
}

/// Sends all requests over some connections; a status of 500 and more is a problem, and so is no answer at all.
fn barrage(server: &Server, requests: &[(String, Vec<u8>)]) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let problems = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut connection: Option<Connection> = None;
                while let Some((name, bytes)) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut open = connection.take().unwrap_or_else(|| server.connect());
                    match open.exchange(bytes) {
                        Ok(answer) if answer.status >= 500 => {
                            let text = format!("{name}: {} {}", answer.status, answer.text());
                            problems.lock().expect("no client panicked").push(text);
                        }
                        Ok(answer) if answer.header("connection") != Some("close") => connection = Some(open),
                        Ok(_) => {}
                        Err(error) => {
                            problems
                                .lock()
                                .expect("no client panicked")
                                .push(format!("{name}: no answer: {error}"));
                        }
                    }
                }
            });
        }
    });
    problems.into_inner().expect("no client panicked")
}

#[track_caller]
fn assert_sound(mut server: Server, what: &str) {
    let peak = server.peak_kib();
    println!("{what}: peak resident size {} MiB", peak / 1024);
    assert!(server.is_alive(), "the server died");
    assert!(peak <= PEAK_KIB_MAX, "resident size reached {} MiB", peak / 1024);
    let capture =
        Manifest::load().captures.into_iter().find(|c| c.file == "hand-zstd.http").expect("a capture");
    assert_eq!(server.raw(&capture.bytes()).status, 200, "good requests must still be taken");
    let printed = String::from_utf8_lossy(&server.printed()).into_owned();
    assert!(!printed.contains("panicked"), "a panic: {printed}");
    let metrics = server.call("GET", "/metrics", None).text();
    let panics = metrics.lines().find(|line| line.starts_with("actifix_panics_total"));
    assert!(panics.is_none_or(|line| line.ends_with(" 0")), "{panics:?}");
}

#[test]
fn heavy_cut_requests_are_answered() {
    let started = Instant::now();
    let home = Home::new();
    let server = home.serve();
    home.import_projects();
    let mut requests = Vec::new();
    for capture in Manifest::load().captures {
        let parts = capture.parts();
        let sent = capture.encoding();
        let mut forms = vec![(sent, parts.body.clone())];
        if sent != Encoding::Identity {
            forms.push((Encoding::Identity, capture.plain_body()));
        }
        for (encoding, body) in forms {
            for end in (0..body.len()).step_by(97) {
                let named = (encoding != Encoding::Identity).then_some(encoding);
                let request = parts.request(body[..end].to_vec(), named, Framing::Sized);
                requests.push((format!("{} cut at {end} ({encoding:?})", capture.file), request.to_bytes()));
            }
        }
    }
    let problems = barrage(&server, &requests);
    assert!(
        problems.is_empty(),
        "{} of {}: {:#?}",
        problems.len(),
        requests.len(),
        &problems[..problems.len().min(10)]
    );
    println!("{} cut requests in {:.1} s", requests.len(), started.elapsed().as_secs_f32());
    assert_sound(server, "cut requests");
}

#[test]
fn heavy_flipped_bits_are_answered() {
    let started = Instant::now();
    let home = Home::new();
    let server = home.serve();
    home.import_projects();
    let mut random = Random::seeded(0x5eed_0001);
    let mut requests = Vec::new();
    for capture in Manifest::load().captures {
        let parts = capture.parts();
        let sent = capture.encoding();
        for flip in 0..200 {
            // In turn: in what is sent, and in what lies under its compression.
            let (encoding, mut body) = if flip % 2 == 0 {
                (sent, parts.body.clone())
            } else {
                (Encoding::Identity, capture.plain_body())
            };
            if body.is_empty() {
                continue;
            }
            for _ in 0..=random.below(4) {
                let place = random.below(body.len());
                body[place] ^= 1 << random.below(8);
            }
            let named = (encoding != Encoding::Identity).then_some(encoding);
            let request = parts.request(body, named, Framing::Sized);
            requests.push((format!("{} flip {flip}", capture.file), request.to_bytes()));
        }
    }
    let problems = barrage(&server, &requests);
    assert!(
        problems.is_empty(),
        "{} of {}: {:#?}",
        problems.len(),
        requests.len(),
        &problems[..problems.len().min(10)]
    );
    println!("{} flipped requests in {:.1} s", requests.len(), started.elapsed().as_secs_f32());
    assert_sound(server, "flipped bits");
}

/// Bits of the head: whatever comes back, it is no 5xx and the server stays.
#[test]
fn flipped_heads_do_no_harm() {
    let home = Home::new();
    let server = home.serve();
    home.import_projects();
    let mut random = Random::seeded(0x5eed_0002);
    for capture in Manifest::load().captures.iter().step_by(3) {
        let bytes = capture.bytes();
        let head = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("the end of the head");
        for _ in 0..10 {
            let mut flipped = bytes.clone();
            flipped[random.below(head)] ^= 1 << random.below(8);
            let mut connection = server.connect();
            let _closed = connection.write(&flipped);
            // A broken length makes the server wait for more: the end of what we send ends that.
            let _closed = connection.finish_writing();
            if let Ok(answer) = connection.read(false) {
                assert!(answer.status < 500, "{}: {} {}", capture.file, answer.status, answer.text());
            }
        }
    }
    assert_sound(server, "flipped heads");
}

#[test]
fn heavy_bombs_are_refused_in_bounded_memory() {
    let started = Instant::now();
    let home = Home::new();
    let server = home.serve();
    home.import_projects();
    let prefixes: [(&str, String, &[u8]); 4] = [
        ("zeros", envelope_target(), b""),
        ("an attachment", envelope_target(), b"{}\n{\"type\":\"attachment\",\"length\":209715100}\n"),
        ("an event", envelope_target(), b"{}\n{\"type\":\"event\"}\n"),
        ("a stored event", store_target(), b"{\"message\":\""),
    ];
    for encoding in [Encoding::Gzip, Encoding::Zlib, Encoding::RawDeflate, Encoding::Brotli, Encoding::Zstd] {
        for (name, target, prefix) in &prefixes {
            let mut plain = prefix.to_vec();
            plain.resize(BOMB_BYTES, if name.contains("stored") { b'a' } else { 0 });
            let packed = encoding.encode(&plain);
            drop(plain);
            let request = Request::post(target, packed).header("Content-Encoding", encoding.header());
            let before = server.peak_kib();
            let answer = server.send(&request);
            assert_eq!(answer.status, 413, "{encoding:?} of {name}: {}", answer.text());
            println!("{encoding:?} of {name}: peak {} -> {} MiB", before / 1024, server.peak_kib() / 1024);
        }
    }
    // Packed twice: small on the wire, large after the first step, a bomb after the second.
    let twice = Encoding::Gzip.encode(&Encoding::Gzip.encode(&vec![0; BOMB_BYTES]));
    let answer =
        server.send(&Request::post(&envelope_target(), twice).header("Content-Encoding", "gzip, gzip"));
    assert_eq!(answer.status, 413, "{}", answer.text());
    let thrice =
        Request::post(&envelope_target(), b"{}\n".to_vec()).header("Content-Encoding", "gzip, gzip, gzip");
    assert_eq!(server.send(&thrice).status, 415);
    println!("bombs in {:.1} s", started.elapsed().as_secs_f32());
    assert_sound(server, "bombs");
}

/// Gzip within gzip: a file of a request has no limits of its own besides those of the request, so that a few
/// kilobytes with a public key cost no more than any other request.
#[test]
fn heavy_packed_dumps_of_one_request_share_its_limits() {
    let home = Home::new();
    let server = home.serve();
    home.import_projects();
    let mut dump = b"MDMP".to_vec();
    dump.resize(DUMP_BYTES, 0);
    let packed = Encoding::Gzip.encode(&dump);
    drop(dump);
    let item = serde_json::json!({
        "type": "attachment", "attachment_type": "event.minidump", "filename": "dump", "length": packed.len(),
    });
    let mut envelope = b"{}\n".to_vec();
    for _ in 0..DUMPS {
        envelope.extend_from_slice(format!("{item}\n").as_bytes());
        envelope.extend_from_slice(&packed);
        envelope.push(b'\n');
    }
    let request = Request::post(&envelope_target(), Encoding::Gzip.encode(&envelope))
        .header("Content-Encoding", "gzip");
    let before = server.cpu_seconds();
    let answer = server.send(&request);
    let spent = server.cpu_seconds() - before;
    println!("{} KiB on the wire cost {spent:.2} s: {}", request.to_bytes().len() / 1024, answer.status);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(spent < DUMPS_CPU_SECONDS_MAX, "{spent} s");

    // The same in the form of a crash: refused, as it is nothing without its dump.
    let head = "--b\r\nContent-Disposition: form-data; name=\"upload_file_minidump\"; filename=\"d\"\r\n\r\n";
    let form = [head.as_bytes(), &packed, b"\r\n--b--\r\n"].concat();
    let request = Request::post(&format!("/api/42/minidump/?sentry_key={KEY_42}"), form)
        .header("Content-Type", "multipart/form-data; boundary=b");
    let answer = server.send(&request);
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("could not be unpacked within the limits"), "{}", answer.text());
    assert_sound(server, "packed dumps");
}

#[test]
fn too_large_requests_are_refused_before_they_are_read() {
    let home = Home::new();
    let server = home.serve();
    home.import_projects();
    let head =
        format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", envelope_target());
    let mut connection = server.connect();
    connection.write(head.as_bytes()).expect("the head is taken");
    assert_eq!(connection.read(false).expect("an answer before the body").status, 413);
    // The same without an announced length: refused as soon as it is too much.
    let body = vec![b'x'; 21 << 20];
    let answer = server.send(&Request::post(&envelope_target(), body).framing(Framing::Chunked));
    assert_eq!(answer.status, 413, "{}", answer.text());
    // An event over 1 MiB is refused, an attachment of that size next to a small event is not.
    let big = "x".repeat((1 << 20) + 100);
    let event = serde_json::json!({ "message": big }).to_string();
    assert_eq!(server.send(&Request::post(&store_target(), event.clone())).status, 413);
    let envelope = format!("{{}}\n{{\"type\":\"event\"}}\n{event}\n");
    assert_eq!(server.send(&Request::post(&envelope_target(), envelope)).status, 413);
    let attachment = "y".repeat((10 << 20) + 1);
    let envelope = format!(
        "{{}}\n{{\"type\":\"attachment\",\"filename\":\"big\",\"length\":{}}}\n{attachment}\n{{\"type\":\"event\"}}\n{{\"message\":\"small\"}}\n",
        attachment.len()
    );
    let answer = server.send(&Request::post(&envelope_target(), envelope));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(server.get(&format!("/api/v1/events/{id}"))["title"], "small");
    let listed = server.get(&format!("/api/v1/events/{id}/attachments"));
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(0), "{listed}");
    let many = format!("{{}}\n{}", "{\"type\":\"statsd\",\"length\":0}\n\n".repeat(501));
    let status = server.send(&Request::post(&envelope_target(), many)).status;
    assert_eq!(status, 413, "501 items are one too many");
    assert_sound(server, "large requests");
}

#[test]
fn deep_and_wide_json_is_bounded() {
    let home = Home::new();
    let server = home.serve();
    home.import_projects();
    let nested = |levels: usize, open: &str, close: &str| {
        format!(
            "{{\"message\":\"deep\",\"extra\":{{\"a\":{}1{}}}}}",
            open.repeat(levels),
            close.repeat(levels)
        )
    };
    for (levels, status) in [(90, 200), (127, 200), (129, 200), (9_000, 200), (10_100, 400), (100_000, 400)] {
        for (open, close) in [("[", "]"), ("{\"k\":", "}")] {
            let body = nested(levels, open, close);
            let answer = server.send(&Request::post(&store_target(), body));
            assert_eq!(answer.status, status, "{levels} levels of {open}: {}", answer.text());
        }
    }
    let unclosed = "[".repeat(500_000);
    assert_eq!(server.send(&Request::post(&store_target(), format!("{{\"extra\":{unclosed}"))).status, 400);
    let answer = server.send(&Request::post(&store_target(), nested(9_000, "[", "]")));
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    let event = server.get(&format!("/api/v1/events/{id}")).to_string();
    assert!(event.contains("[truncated]"), "deeper parts are marked");
    assert!(event.len() < 100_000, "{} bytes of a nested event", event.len());

    let keys = |count: usize| {
        let pairs: Vec<String> = (0..count).map(|n| format!("\"{n:x}\":0")).collect();
        format!(
            "{{\"message\":\"wide\",\"extra\":{{{}}},\"tags\":{{{}}}}}",
            pairs.join(","),
            pairs[..count / 10].join(",")
        )
    };
    let wide = keys(85_000);
    assert!(wide.len() < 1 << 20);
    let answer = server.send(&Request::post(&store_target(), wide));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    let event = server.get(&format!("/api/v1/events/{id}"));
    assert!(event["extra"].as_object().map_or(0, |map| map.len()) <= 201, "entries of a map are capped");
    let answer = server.send(&Request::post(&store_target(), keys(1_000_000)));
    assert_eq!(answer.status, 413, "{}", answer.text());
    let same = format!("{{\"message\":\"same\",\"extra\":{{{}\"b\":1}}}}", "\"a\":0,".repeat(100_000));
    assert_eq!(server.send(&Request::post(&store_target(), same)).status, 200);
    assert_sound(server, "deep and wide JSON");
}

#[test]
fn broken_http_is_refused() {
    let home = Home::new();
    let server = home.serve();
    home.import_projects();
    let target = envelope_target();
    let head = |lines: &str| format!("POST {target} HTTP/1.1\r\nHost: x\r\n{lines}\r\n").into_bytes();
    let flood: String = (0..5_000).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let long = format!("X-Long: {}\r\n", "a".repeat(1 << 20));
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("many headers", head(&flood)),
        ("a long header", head(&long)),
        ("a long target", format!("POST /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(1 << 20)).into_bytes()),
        (
            "no chunk size",
            [head("Transfer-Encoding: chunked\r\n"), b"zzz\r\nabc\r\n0\r\n\r\n".to_vec()].concat(),
        ),
        (
            "a huge chunk size",
            [head("Transfer-Encoding: chunked\r\n"), b"ffffffffffffffffff\r\nabc".to_vec()].concat(),
        ),
        ("a cut chunk", [head("Transfer-Encoding: chunked\r\n"), b"10\r\nabc".to_vec()].concat()),
        ("an early end", [head("Content-Length: 100\r\n"), b"{}\n".to_vec()].concat()),
        ("a length that is none", head("Content-Length: ten\r\n")),
        ("two lengths", [head("Content-Length: 3\r\nContent-Length: 4\r\n"), b"{}\n{".to_vec()].concat()),
        ("a negative length", head("Content-Length: -1\r\n")),
        ("half a head", b"POST /api/42/envelope/ HTTP/1.1\r\nHos".to_vec()),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("nothing", Vec::new()),
        ("a bare newline", b"\n\n\n\n".to_vec()),
        ("control bytes", head("X-Bad: a\x00b\r\n")),
    ];
    for (name, bytes) in cases {
        let mut connection = server.connect();
        let _closed = connection.write(&bytes);
        let _closed = connection.finish_writing();
        // Closing without an answer is an answer to bytes that are no request.
        if let Ok(answer) = connection.read(false) {
            assert!((400..500).contains(&answer.status), "{name}: {} {}", answer.status, answer.text());
        }
    }
    // Closed at once, many times: no slot is lost.
    for _ in 0..300 {
        let mut connection = server.connect();
        let _closed = connection.write(b"POST /api/42/envelope/ HTTP/1.1\r\nHost: x\r\nX-Half");
    }
    assert_sound(server, "broken HTTP");
}

#[test]
fn texts_that_confuse_parsers_are_taken() {
    let home = Home::new();
    let server = home.serve();
    home.import_projects();
    let texts: [&[u8]; 12] = [
        b"{\"message\":\"\\ud83d\"}",
        b"{\"message\":\"\\udc00\\ud800\"}",
        b"{\"message\":\"\xff\xfe\xc0\x80\"}",
        b"{\"message\":\"a\\u0000b\\u001b[31mred\"}",
        b"\xef\xbb\xbf{\"message\":\"with a mark\"}",
        b"{\"message\":NaN,\"level\":-Infinity}",
        b"{\"message\":\"x\",\"timestamp\":1e400}",
        b"{\"message\":\"x\",\"timestamp\":-99999999999999999999}",
        b"{\"message\":\"x\",\"extra\":{\"n\":123456789012345678901234567890}}",
        b"{\"message\":\"x\",\"level\":{\"a\":1},\"tags\":7,\"user\":\"u\",\"request\":[],\"exception\":3}",
        "{\"message\":\"\u{202e}evil\u{200b}\u{e0041}\"}".as_bytes(),
        b"{}",
    ];
    for text in texts {
        let answer: Answer = server.send(&Request::post(&store_target(), text.to_vec()));
        assert_eq!(answer.status, 200, "{}: {}", String::from_utf8_lossy(text), answer.text());
        let id = answer.json()["id"].as_str().expect("an id").to_owned();
        let event = server.get(&format!("/api/v1/events/{id}")).to_string();
        for bad in ["\\u0000", "\\u001b", "\u{202e}", "\u{200b}", "\u{e0041}"] {
            assert!(!event.contains(bad), "{bad:?} in {event}");
        }
    }
    for text in [&b""[..], b"{", b"nonsense", b"[1,2]", b"\"text\"", b"{\"message\":}", b"\x00\x01\x02"] {
        let answer = server.send(&Request::post(&store_target(), text.to_vec()));
        assert_eq!(answer.status, 400, "{}: {}", String::from_utf8_lossy(text), answer.text());
        assert!(answer.json()["detail"].is_string());
        assert!(answer.header("x-sentry-error").is_some());
    }
    assert_sound(server, "odd texts");
}
