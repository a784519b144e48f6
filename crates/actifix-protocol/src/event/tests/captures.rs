//! Requests of real SDKs, framed by a reader as simple as it can be.

use super::{NOW, read, texts};
use crate::event::{NormaliseContext, normalise};
use crate::when;
use actifix_domain::event::{Event, Transport};
use actifix_domain::id::EventId;
use serde_json::Value;
use std::io::Read;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/sentry")
}

fn manifest() -> Vec<Value> {
    let text = std::fs::read_to_string(folder().join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&text).unwrap();
    manifest["captures"].as_array().unwrap().clone()
}

fn body(file: &str) -> Vec<u8> {
    let bytes = std::fs::read(folder().join(file)).unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let body = &bytes[end + 4..];
    let mut out = Vec::new();
    if head.contains("content-encoding: gzip") {
        flate2::read::GzDecoder::new(body).read_to_end(&mut out).unwrap();
    } else if head.contains("content-encoding: br") {
        brotli_decompressor::Decompressor::new(body, 4_096).read_to_end(&mut out).unwrap();
    } else if head.contains("content-encoding: zstd") {
        out = zstd::decode_all(body).unwrap();
    } else {
        out = body.to_vec();
    }
    out
}

/// Envelope header and the payloads of items of a type.
pub(crate) fn items(file: &str, wanted: &str) -> (Value, Vec<Value>) {
    let bytes = body(file);
    let mut rest = bytes.as_slice();
    let header: Value = serde_json::from_slice(line(&mut rest)).unwrap();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let head = line(&mut rest);
        if head.is_empty() {
            continue;
        }
        let head: Value = serde_json::from_slice(head).unwrap();
        let payload = match head["length"].as_u64() {
            Some(length) => {
                let (payload, tail) = rest.split_at(usize::try_from(length).unwrap());
                rest = tail;
                payload
            }
            None => line(&mut rest),
        };
        if head["type"] == wanted {
            found.push(serde_json::from_slice(payload).unwrap());
        }
    }
    (header, found)
}

fn line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let found = &rest[..end];
    *rest = &rest[(end + 1).min(rest.len())..];
    found
}

fn event_of(file: &str, path: &str) -> Event {
    let (header, payload) = if path.contains("/store/") {
        (Value::Null, serde_json::from_slice(&body(file)).unwrap())
    } else {
        let (header, mut events) = items(file, "event");
        (header, events.pop().unwrap())
    };
    let sent_at = header.get("sent_at");
    let received_at = sent_at.and_then(when::parse).filter(|_| !file.contains("drift"));
    let ctx = NormaliseContext {
        received_at: received_at.unwrap_or(actifix_domain::time::Timestamp::from_micros(NOW)),
        sent_at,
        fallback_event_id: EventId([0xff; 16]),
        header_event_id: header["event_id"].as_str().and_then(|id| id.parse().ok()),
        peer_ip: None,
        transport: Transport::Sentry,
    };
    normalise(payload, &ctx).unwrap().event
}

#[test]
fn every_capture_of_an_event_reads_as_its_manifest_says() {
    let mut seen = 0;
    for capture in manifest() {
        let file = capture["file"].as_str().unwrap();
        let path = capture["path"].as_str().unwrap();
        let has_event = capture["items"].as_array().unwrap().iter().any(|item| item == "event");
        let readable = capture["expect"]["events"] == 1 && file != "hand-bad-json-tokens.http";
        if !readable || !(has_event || path.contains("/store/")) {
            continue;
        }
        seen += 1;
        let event = event_of(file, path);
        let expect = &capture["expect"];
        if let Some(level) = expect["level"].as_str() {
            assert_eq!(event.level.as_str(), level, "{file}");
        }
        if let Some(handled) = expect["handled"].as_bool() {
            assert_eq!(event.is_unhandled(), !handled, "{file}");
        }
        if let Some(logger) = expect["logger"].as_str() {
            assert_eq!(event.logger.as_deref(), Some(logger), "{file}");
        }
        if let Some(class) = expect["type"].as_str() {
            let last = event.last_exception().unwrap();
            assert_eq!(last.exception_type.as_deref(), Some(class), "{file}");
        }
        if let Some(chain) = expect["chain"].as_array() {
            let found: Vec<&str> =
                event.exception.iter().filter_map(|e| e.exception_type.as_deref()).collect();
            assert_eq!(found, chain.iter().filter_map(Value::as_str).collect::<Vec<_>>(), "{file}");
        }
        let stored = serde_json::to_value(&event).unwrap();
        let mut all = Vec::new();
        texts(&stored, &mut all);
        for keep in capture["must_keep"].as_array().unwrap().iter().filter_map(Value::as_str) {
            // Attachments are not part of the event.
            let attached = ["settings.ini", "log line 1"].contains(&keep);
            assert!(attached || all.iter().any(|text| text.contains(keep)), "{file}: {keep} is lost");
        }
        assert!(event.problems.is_empty(), "{file}: {:?}", event.problems);
        assert_ne!(event.event_id, EventId([0xff; 16]), "{file}");
        assert!(all.iter().all(|text| text.chars().count() <= 8_192), "{file}");
    }
    assert!(seen >= 20, "only {seen} captures");
}

#[test]
fn the_drifted_capture_lies_one_minute_before_receipt() {
    let event = event_of("hand-clock-drift.http", "/envelope/");
    assert_eq!(event.timestamp.micros(), NOW - 60_000_000);
    assert_eq!(event.client_timestamp.as_deref(), Some("2026-08-26T09:59:00Z"));
}

#[test]
fn the_legacy_capture_has_all_its_shapes_read() {
    let event = event_of("hand-legacy-shapes.http", "/store/");
    assert_eq!(event.timestamp.to_string(), "2026-11-24T10:00:00.000000Z");
    assert_eq!(event.exception[0].value.as_deref(), Some("bad value"));
    assert_eq!(event.logentry.unwrap().message.as_deref(), Some("order %s failed: %s"));
    assert_eq!(event.fingerprint, ["single-string"]);
    assert_eq!(event.tags.keys().collect::<Vec<_>>(), ["env", "n"]);
    assert_eq!(event.user.unwrap().id.as_deref(), Some("7"));
    assert!(event.modules.is_empty());
    assert_eq!(event.request.unwrap().headers[1], ("Accept".to_owned(), "*/*".to_owned()));
}

#[test]
fn the_group_capture_keeps_its_tree() {
    let event = event_of("py-exception-group.http", "/envelope/");
    let ids: Vec<_> = event.exception.iter().filter_map(|e| e.mechanism.as_ref()?.exception_id).collect();
    assert_eq!(ids.len(), 5);
}

#[test]
fn the_transaction_capture_is_none() {
    let (_, payloads) = items("py-transaction.http", "transaction");
    let event = payloads.into_iter().next().unwrap();
    assert_eq!(event["type"], "transaction");
    assert!(normalise(event, &super::ctx()).is_err());
    let _ = read(Value::Null);
}
