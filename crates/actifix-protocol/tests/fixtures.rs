//! Raw requests of real SDKs, in every coding, whole, cut and bent.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::Write as _;
use std::path::PathBuf;

use actifix_protocol::auth::{self, Credentials, Found};
use actifix_protocol::encoding::decoder;
use actifix_protocol::envelope::{
    Envelope, EnvelopeError, EnvelopeFault, EnvelopeReader, Want, header_of_prefix,
};
use actifix_protocol::json::{self, JsonLimits};
use actifix_protocol::legacy::store_body;
use actifix_protocol::limits::Limits;
use actifix_protocol::multipart;
use serde_json::Value;

struct Request {
    file: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    expect: Value,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    fn is(&self, route: &str) -> bool {
        self.path.contains(route)
    }

    fn decoded(&self) -> Vec<u8> {
        let limits = Limits::default();
        decoder(self.header("content-encoding"), &self.body, &limits).unwrap().read_all(50 << 20).unwrap()
    }

    fn types(&self) -> Vec<&str> {
        self.expect["items"].as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
    }
}

fn requests() -> Vec<Request> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/sentry"));
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let captures = manifest["captures"].as_array().unwrap().clone();
    assert!(captures.len() > 30);
    captures
        .into_iter()
        .map(|expect| {
            let file = expect["file"].as_str().unwrap().to_owned();
            let raw = std::fs::read(folder.join(&file)).unwrap();
            let split = raw.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
            let head = String::from_utf8(raw[..split].to_vec()).unwrap();
            let mut lines = head.split("\r\n");
            let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
            let headers = lines
                .map(|line| line.split_once(':').unwrap())
                .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
                .collect();
            Request { file, path, headers, body: raw[split + 4..].to_vec(), expect }
        })
        .collect()
}

fn framed(encoding: &str, body: &[u8], limits: &Limits) -> Result<Envelope, EnvelopeError> {
    let reader = decoder(encoding, body, limits).unwrap();
    EnvelopeReader::open(reader, limits)?.read_items(|_| Want::Keep { max: 20 << 20 })
}

fn types(envelope: &Envelope) -> Vec<&str> {
    envelope.items.iter().map(|item| item.header.item_type.as_str()).collect()
}

/// The body in every coding that clients use.
fn encodings(data: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let level = flate2::Compression::default();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
    gzip.write_all(data).unwrap();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), level);
    zlib.write_all(data).unwrap();
    let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), level);
    raw.write_all(data).unwrap();
    let mut br = Vec::new();
    let params = brotli::enc::BrotliEncoderParams { quality: 4, ..Default::default() };
    brotli::BrotliCompress(&mut &data[..], &mut br, &params).unwrap();
    vec![
        ("", data.to_vec()),
        ("gzip", gzip.finish().unwrap()),
        ("deflate", zlib.finish().unwrap()),
        ("deflate", raw.finish().unwrap()),
        ("br", br),
        ("zstd", zstd::encode_all(data, 3).unwrap()),
    ]
}

#[test]
fn every_envelope_has_the_items_of_the_manifest_in_every_coding() {
    let limits = Limits::default();
    let mut count = 0;
    for request in requests().iter().filter(|request| request.is("/envelope/")) {
        count += 1;
        let first = framed(request.header("content-encoding"), &request.body, &limits);
        if request.expect["expect"]["status"] == 400 {
            let error = first.unwrap_err();
            assert_eq!((error.fault, error.fault.status()), (EnvelopeFault::Length, 400), "{}", request.file);
            continue;
        }
        let first = first.unwrap();
        assert_eq!(types(&first), request.types(), "{}", request.file);
        for item in &first.items {
            if ["event", "feedback", "transaction", "session", "check_in", "log", "client_report"]
                .contains(&item.header.item_type.as_str())
            {
                let value = json::parse(&item.payload, &JsonLimits::default()).unwrap();
                assert!(value.is_object(), "{}", request.file);
            }
        }
        for (encoding, body) in encodings(&request.decoded()) {
            assert_eq!(framed(encoding, &body, &limits).unwrap(), first, "{} {encoding}", request.file);
        }
    }
    assert!(count >= 25, "{count}");
}

#[test]
fn every_request_presents_the_key_of_its_project() {
    for request in requests().iter().filter(|request| request.is("/api/")) {
        let mut found = Credentials::from_header(request.header("x-sentry-auth"));
        found.add_query(request.path.split_once('?').map_or("", |(_, query)| query));
        if let Some((_, rest)) = request.path.split_once("/cron/") {
            found.add_key(rest.split('/').nth(1).unwrap());
        }
        if request.is("otlp") {
            found.add_bearer(request.header("authorization"));
        }
        let mut found = found.into_found();
        if request.is("/envelope/") && found.is_empty() {
            let reader =
                decoder(request.header("content-encoding"), &request.body, &Limits::default()).unwrap();
            let header = header_of_prefix(reader, &Limits::default()).unwrap().unwrap();
            found.push(Found::Key(header.dsn.unwrap().public_key().clone()));
        }
        let key = auth::resolve(&found).unwrap().unwrap();
        let prefix = match request.path.split('/').nth(2).unwrap() {
            "42" => "a1b2",
            "43" => "b1b2",
            "44" => "c1b2",
            "47" => "91b2",
            other => panic!("{other}"),
        };
        assert!(key.as_str().starts_with(prefix), "{} {key}", request.file);
    }
}

#[test]
fn store_and_security_bodies_read_as_json() {
    let limits = Limits::default();
    let mut count = 0;
    for request in requests().iter().filter(|request| request.is("/store/") || request.is("/security/")) {
        count += 1;
        let decoded = request.decoded();
        let value = json::parse(&store_body(&decoded, &limits).unwrap(), &limits.json()).unwrap();
        if request.file == "hand-bad-json-tokens.http" {
            assert!(value["extra"]["ratio"].is_null() && value["contexts"]["x"]["inf"].is_null());
            assert_eq!(
                (value["tags"]["emoji"].as_str(), value["tags"]["nul"].as_str()),
                (Some("\u{fffd}"), Some("ab"))
            );
        }
    }
    assert_eq!(count, 4);
}

#[test]
fn the_minidump_form_has_its_fields() {
    let requests = requests();
    let request = requests.iter().find(|request| request.file == "hand-minidump.http").unwrap();
    let parts = multipart::parse(request.header("content-type"), &request.body).unwrap();
    let names: Vec<_> = parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "sentry[release]",
            "sentry[environment]",
            "sentry[tags][gpu]",
            "guid",
            "license_key",
            "upload_file_minidump"
        ]
    );
    assert!(parts[5].bytes.starts_with(b"MDMP"));
    assert_eq!(parts[5].filename.as_deref(), Some("a.dmp"));
}

/// Feeds bytes to everything that could be asked to read them.
fn read_somehow(request: &Request, encoding: &str, body: &[u8]) {
    let limits = Limits { decoded_bytes_max: 4 << 20, ..Limits::default() };
    if request.is("/envelope/") {
        let envelope = match framed(encoding, body, &limits) {
            Ok(envelope) => envelope,
            Err(error) => {
                assert!(matches!(error.fault.status(), 400 | 413), "{}", error.fault);
                *error.partial
            }
        };
        for item in &envelope.items {
            let _ = json::parse(&item.payload, &limits.json());
        }
    } else if let Ok(decoded) = decoder(encoding, body, &limits).unwrap().read_all(4 << 20) {
        if let Ok(json) = store_body(&decoded, &limits) {
            let _ = json::parse(&json, &limits.json());
        }
        let _ = multipart::parse(request.header("content-type"), &decoded);
    }
}

#[test]
fn requests_cut_at_every_97th_byte_never_panic() {
    for request in requests() {
        for (encoding, body) in encodings(&request.decoded()) {
            for cut in (0..body.len()).step_by(97) {
                read_somehow(&request, encoding, &body[..cut]);
            }
        }
    }
}

#[test]
fn requests_with_flipped_bits_never_panic() {
    let mut state = 0x5eed_u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    for request in requests() {
        for (encoding, body) in encodings(&request.decoded()) {
            for _ in 0..20 {
                let mut bent = body.clone();
                for _ in 0..=next() % 5 {
                    if !bent.is_empty() {
                        let at = next() % bent.len();
                        bent[at] ^= 1 << (next() % 8);
                    }
                }
                read_somehow(&request, encoding, &bent);
            }
        }
    }
}
