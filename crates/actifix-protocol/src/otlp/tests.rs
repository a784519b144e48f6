#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::proto::{
    Any, AnyValue, KeyValue, LogRecord, PartialSuccess, Resource, RpcStatus, Scope, Span, SpanEvent,
};
use super::{Format, Kind, OtlpError, answer, decode_logs, decode_traces, error_body};
use actifix_domain::id::ProjectId;
use proptest::prelude::{any, proptest};
use prost::Message;
use serde_json::{Value, json};
use std::io::Read as _;

const PROJECT: ProjectId = ProjectId(42);
const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// The requests around the records, which the program itself never builds.
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    groups: Vec<Group>,
}

#[derive(Clone, PartialEq, Message)]
struct Group {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<ScopeGroup>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeGroup {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    records: Vec<Vec<u8>>,
}

fn request<R: Message>(resource: Vec<KeyValue>, records: Vec<R>) -> Vec<u8> {
    let records = records.iter().map(Message::encode_to_vec).collect();
    let scope = ScopeGroup { scope: Some(Scope { name: b"shop.otel".to_vec() }), records };
    let group = Group { resource: Some(Resource { attributes: resource }), scopes: vec![scope] };
    Request { groups: vec![group] }.encode_to_vec()
}

fn text(key: &str, value: &str) -> KeyValue {
    pair(key, Any::Text(value.as_bytes().to_vec()))
}

fn pair(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.as_bytes().to_vec(), value: Some(AnyValue { value: Some(value) }) }
}

/// Body of a captured request, decompressed.
fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/../../testdata/sentry/{name}.http", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).unwrap();
    let at = bytes.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&bytes[..at]).to_ascii_lowercase();
    let body = &bytes[at + 4..];
    if !head.contains("content-encoding: gzip") {
        return body.to_vec();
    }
    let mut out = Vec::new();
    flate2::read::MultiGzDecoder::new(body).read_to_end(&mut out).unwrap();
    out
}

fn frames(exception: &Value) -> Vec<String> {
    let frames = exception["stacktrace"]["frames"].as_array().cloned().unwrap_or_default();
    let show = |frame: &Value| {
        format!("{}|{}", frame["module"].as_str().unwrap_or("-"), frame["function"].as_str().unwrap_or("-"))
    };
    frames.iter().map(show).collect()
}

#[test]
fn captured_python_log_record() {
    let batch = decode_logs(PROJECT, PROTOBUF, &fixture("otlp-logs-exception-protobuf"), 17).unwrap();
    assert_eq!((batch.events.len(), batch.ignored, batch.rejected), (1, 0, 0));
    let event = &batch.events[0].value;
    let chain = event["exception"]["values"].as_array().unwrap();
    assert_eq!(chain.len(), 2);
    assert_eq!(chain[0]["type"], "ConnectionError");
    assert_eq!(frames(&chain[0]), ["orders|place_order", "orders|charge"]);
    assert_eq!((&chain[1]["type"], &chain[1]["module"]), (&json!("PaymentError"), &json!("orders")));
    assert_eq!(chain[1]["value"], "order 88 could not be paid");
    assert_eq!(frames(&chain[1]), ["__main__|<module>", "orders|place_order"]);
    assert_eq!(event["level"], "error");
    assert_eq!(event["release"], "4.2.0");
    assert_eq!(event["environment"], "production");
    assert_eq!(event["server_name"], "web-1");
    assert_eq!(event["platform"], "python");
    assert_eq!(event["logger"], "shop.otel");
    assert_eq!(event["tags"]["service.name"], "shop-otel");
    assert!(event["logentry"]["message"].as_str().unwrap().starts_with("order failed for "));
    assert_eq!(event["extra"]["code.function.name"], "<module>");
    assert!(event["timestamp"].as_str().unwrap().starts_with("2026-"));
    assert_eq!(event["event_id"].as_str().unwrap().len(), 32);
}

#[test]
fn captured_python_span() {
    let batch = decode_traces(PROJECT, PROTOBUF, &fixture("otlp-traces-exception-protobuf")).unwrap();
    let event = &batch.events[0].value;
    let last = &event["exception"]["values"][0];
    assert_eq!((&last["type"], &last["module"]), (&json!("OperationalError"), &json!("sqlite3")));
    assert_eq!(last["value"], "no such table: users");
    assert_eq!(
        frames(last),
        [
            "opentelemetry.trace|use_span",
            "opentelemetry.sdk.trace|start_as_current_span",
            "__main__|<module>",
            "orders|report_sql"
        ]
    );
    assert_eq!(event["contexts"]["trace"]["trace_id"].as_str().unwrap().len(), 32);
    assert_eq!(event["contexts"]["trace"]["span_id"].as_str().unwrap().len(), 16);
    assert_eq!(batch.events[0].dedupe.exception_type, "OperationalError");
    // The span itself is dropped, with what its attributes hold.
    assert_eq!(event["extra"].get("http.url"), None);
}

#[test]
fn captured_node_log_record() {
    let batch = decode_logs(PROJECT, JSON, &fixture("otlp-logs-exception-json"), 17).unwrap();
    let event = &batch.events[0].value;
    let last = &event["exception"]["values"][0];
    assert_eq!(last["type"], "TypeError");
    assert_eq!(last["value"], "i.sku.toUpperCase is not a function");
    assert_eq!(
        frames(last),
        [
            "task_queues|process.processTicksAndRejections",
            "otlp|?",
            "svc|Object.parseCart",
            "-|Array.map",
            "svc|?"
        ]
    );
    assert_eq!(event["platform"], "javascript");
    assert_eq!(event["extra"]["user.id"], "u-1");
}

fn record() -> LogRecord {
    LogRecord {
        time_unix_nano: 1_795_514_038_185_000_000,
        severity_number: 17,
        severity_text: b"ERROR".to_vec(),
        body: Some(AnyValue { value: Some(Any::Text(b"order failed".to_vec())) }),
        attributes: vec![
            text("exception.type", "shop.PayError"),
            text("exception.message", "no funds"),
            pair("n", Any::Int(9_007_199_254_740_993)),
            pair("f", Any::Double(1.5)),
            pair("b", Any::Bool(true)),
            pair("raw", Any::Bytes(vec![1, 2, 3])),
            text("code.function.name", "charge"),
            text("code.file.path", "/srv/pay.py"),
            pair("code.line.number", Any::Int(7)),
        ],
        trace_id: vec![0xab; 16],
        span_id: vec![0xcd; 8],
        ..LogRecord::default()
    }
}

#[test]
fn json_and_protobuf_give_the_same_event() {
    let protobuf = request(vec![text("service.version", "1.2")], vec![record()]);
    let json_body = json!({
        "unknownField": [1],
        "resourceLogs": [{
            "resource": {"attributes": [{"key": "service.version", "value": {"stringValue": "1.2"}}]},
            "scopeLogs": [{
                "scope": {"name": "shop.otel", "version": null},
                "logRecords": [{
                    "timeUnixNano": "1795514038185000000", "severityNumber": 17, "severityText": "ERROR",
                    "body": {"stringValue": "order failed"},
                    "traceId": "AB".repeat(16), "spanId": "cd".repeat(8), "flags": 1,
                    "attributes": [
                        {"key": "exception.type", "value": {"stringValue": "shop.PayError"}},
                        {"key": "exception.message", "value": {"stringValue": "no funds"}},
                        {"key": "n", "value": {"intValue": "9007199254740993"}},
                        {"key": "f", "value": {"doubleValue": 1.5}},
                        {"key": "b", "value": {"boolValue": true}},
                        {"key": "raw", "value": {"bytesValue": "AQID"}},
                        {"key": "code.function.name", "value": {"stringValue": "charge"}},
                        {"key": "code.file.path", "value": {"stringValue": "/srv/pay.py"}},
                        {"key": "code.line.number", "value": {"intValue": 7}},
                    ],
                }],
            }],
        }],
    });
    let from_protobuf = decode_logs(PROJECT, "application/x-protobuf; charset=x", &protobuf, 17).unwrap();
    let from_json = decode_logs(PROJECT, JSON, json_body.to_string().as_bytes(), 17).unwrap();
    assert_eq!(from_protobuf, from_json);
    let event = &from_json.events[0].value;
    let last = &event["exception"]["values"][0];
    assert_eq!(
        (&last["module"], &last["type"], &last["value"]),
        (&json!("shop"), &json!("PayError"), &json!("no funds"))
    );
    assert_eq!(
        last["stacktrace"]["frames"],
        json!([{"function": "charge", "filename": "pay.py", "abs_path": "/srv/pay.py", "lineno": 7}])
    );
    assert_eq!(event["extra"], json!({"n": 9_007_199_254_740_993_i64, "f": 1.5, "b": true, "raw": "AQID"}));
    assert_eq!(event["contexts"]["trace"], json!({"trace_id": "ab".repeat(16), "span_id": "cd".repeat(8)}));
    assert_eq!(event["timestamp"], "2026-11-24T09:53:58.185000Z");
}

#[test]
fn severity_decides_for_records_without_exception() {
    let at = |severity_number: i32| LogRecord {
        severity_number,
        body: Some(AnyValue { value: Some(Any::Text(b"disk full".to_vec())) }),
        ..LogRecord::default()
    };
    let body = request(Vec::new(), vec![at(0), at(9), at(16), at(17), at(21)]);
    let batch = decode_logs(PROJECT, PROTOBUF, &body, 17).unwrap();
    assert_eq!(batch.ignored, 3);
    let levels: Vec<&str> = batch.events.iter().map(|event| event.value["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["error", "fatal"]);
    assert_eq!(batch.events[0].value["logentry"], json!({"message": "disk full"}));
    assert_eq!(decode_logs(PROJECT, PROTOBUF, &body, 13).unwrap().events.len(), 3);
    // An exception counts at any severity.
    let mut quiet = record();
    quiet.severity_number = 13;
    let batch = decode_logs(PROJECT, PROTOBUF, &request(Vec::new(), vec![quiet]), 17).unwrap();
    assert_eq!(batch.events[0].value["level"], "warning");
}

#[test]
fn same_failure_as_record_and_as_span_event() {
    let span = Span {
        trace_id: vec![0xab; 16],
        span_id: vec![0xcd; 8],
        events: vec![
            SpanEvent { name: b"cache miss".to_vec(), ..SpanEvent::default() },
            SpanEvent {
                time_unix_nano: 1_795_514_040_185_000_000,
                name: b"exception".to_vec(),
                attributes: vec![
                    text("exception.type", "shop.PayError"),
                    text("exception.message", "no funds"),
                ],
            },
        ],
    };
    let traces = decode_traces(PROJECT, PROTOBUF, &request(Vec::new(), vec![span, Span::default()])).unwrap();
    assert_eq!((traces.events.len(), traces.ignored), (1, 1));
    let logs = decode_logs(PROJECT, PROTOBUF, &request(Vec::new(), vec![record()]), 17).unwrap();
    let (log, span) = (&logs.events[0].dedupe, &traces.events[0].dedupe);
    assert!(log.is_same_failure(span));
    let mut later = span.clone();
    later.at = later.at.map(|at| at.plus(9 * actifix_domain::time::SECOND));
    assert!(!log.is_same_failure(&later));
    let mut other = span.clone();
    other.span_id = "00".repeat(8);
    assert!(!log.is_same_failure(&other));
}

#[test]
fn retries_keep_their_id_and_projects_differ() {
    let body = request(Vec::new(), vec![record()]);
    let id = |project: i64| {
        let batch = decode_logs(ProjectId(project), PROTOBUF, &body, 17).unwrap();
        batch.events[0].value["event_id"].as_str().unwrap().to_owned()
    };
    assert_eq!(id(42), id(42));
    assert_ne!(id(42), id(43));
}

#[test]
fn unknown_stack_is_kept_as_text_and_template_is_used() {
    let mut record = record();
    record.attributes.push(text("exception.stacktrace", "in the belly of a whale"));
    record.attributes.push(text("message_template.text", "order {id} failed"));
    let batch = decode_logs(PROJECT, PROTOBUF, &request(Vec::new(), vec![record]), 17).unwrap();
    let event = &batch.events[0].value;
    assert_eq!(event["exception"]["values"][0]["stacktrace"], json!({"raw": "in the belly of a whale"}));
    assert_eq!(event["logentry"], json!({"message": "order {id} failed", "formatted": "order failed"}));
}

#[test]
fn bounds_are_counted() {
    let small = LogRecord { severity_number: 17, ..LogRecord::default() };
    let mut records = vec![small; 10_003];
    records[0].attributes = vec![text("x", &"a".repeat(super::RECORD_BYTES_MAX))];
    let batch = decode_logs(PROJECT, PROTOBUF, &request(Vec::new(), records), 17).unwrap();
    assert_eq!((batch.events.len(), batch.rejected), (9_999, 4));
    assert_eq!(batch.problems, ["record too large", "more records than a request may have"]);
    let json_body =
        format!("{{\"resourceLogs\":[{{\"scopeLogs\":[{{\"logRecords\":[{}0]}}]}}]}}", "0,".repeat(20_000));
    let batch = decode_logs(PROJECT, JSON, json_body.as_bytes(), 17).unwrap();
    assert_eq!((batch.events.len(), batch.rejected), (0, 20_001));

    let mut deep = AnyValue { value: Some(Any::Text(b"x".to_vec())) };
    for _ in 0..30 {
        deep = AnyValue { value: Some(Any::Array(super::proto::ArrayValue { values: vec![deep] })) };
    }
    let deep = LogRecord {
        severity_number: 17,
        attributes: vec![KeyValue { key: b"deep".to_vec(), value: Some(deep) }],
        ..LogRecord::default()
    };
    let batch = decode_logs(PROJECT, PROTOBUF, &request(Vec::new(), vec![deep]), 17).unwrap();
    let text = batch.events[0].value["extra"]["deep"].to_string();
    assert!(text.contains("[truncated]") && text.matches('[').count() == 16, "{text}");
    assert_eq!(batch.problems, ["attributes or frames cut"]);
}

#[test]
fn small_input_does_not_grow_large() {
    let many = vec![AnyValue::default(); 500_000];
    let wide = LogRecord {
        severity_number: 17,
        attributes: vec![pair("wide", Any::Array(super::proto::ArrayValue { values: many }))],
        ..LogRecord::default()
    };
    let batch = decode_logs(PROJECT, PROTOBUF, &request(Vec::new(), vec![wide; 4]), 17).unwrap();
    let sizes: Vec<usize> = batch
        .events
        .iter()
        .map(|event| event.value["extra"]["wide"].as_array().map_or(0, Vec::len))
        .collect();
    assert!(sizes.iter().sum::<usize>() <= super::VALUES_MAX, "{sizes:?}");
    assert_eq!(batch.problems, ["attributes or frames cut"]);
}

#[test]
fn broken_bodies_are_refused_by_format() {
    assert_eq!(decode_logs(PROJECT, "text/plain", b"", 17), Err(OtlpError::UnsupportedContentType));
    assert_eq!(OtlpError::UnsupportedContentType.status(), 415);
    let whole = fixture("otlp-logs-exception-protobuf");
    assert_eq!(decode_logs(PROJECT, PROTOBUF, &whole[..whole.len() - 1], 17), Err(OtlpError::BadProtobuf));
    assert_eq!(decode_logs(PROJECT, JSON, b"{\"resourceLogs\":", 17), Err(OtlpError::BadJson));
    assert_eq!(OtlpError::BadJson.status(), 400);
    assert_eq!(decode_logs(PROJECT, PROTOBUF, b"", 17).unwrap(), super::OtlpBatch::default());
    assert_eq!(decode_logs(PROJECT, JSON, b"{}", 17).unwrap(), super::OtlpBatch::default());
    let broken_text = b"{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"severityNumber\":17,\"body\":{\"stringValue\":\"\xff!\"}}]}]}]}";
    let batch = decode_logs(PROJECT, JSON, broken_text, 17).unwrap();
    assert_eq!(batch.events[0].value["logentry"]["message"], "\u{fffd}!");
}

#[test]
fn answers_in_both_formats() {
    assert_eq!(answer(Format::Json, Kind::Logs, 0, ""), b"{}");
    assert_eq!(answer(Format::Protobuf, Kind::Logs, 0, ""), b"");
    let json_answer: Value =
        serde_json::from_slice(&answer(Format::Json, Kind::Traces, 3, "too many")).unwrap();
    assert_eq!(json_answer, json!({"partialSuccess": {"rejectedSpans": "3", "errorMessage": "too many"}}));
    let bytes = answer(Format::Protobuf, Kind::Logs, 3, "too many");
    let decoded = super::proto::ExportResponse::decode(bytes.as_slice()).unwrap();
    assert_eq!(
        decoded.partial_success,
        Some(PartialSuccess { rejected: 3, error_message: "too many".to_owned() })
    );
    let status = RpcStatus::decode(error_body(Format::Protobuf, 3, "bad").as_slice()).unwrap();
    assert_eq!((status.code, status.message.as_str()), (3, "bad"));
    let status: Value = serde_json::from_slice(&error_body(Format::Json, 14, "later")).unwrap();
    assert_eq!(status, json!({"code": 14, "message": "later"}));
}

#[test]
fn cut_and_flipped_requests_never_panic() {
    for (name, content_type) in [
        ("otlp-logs-exception-protobuf", PROTOBUF),
        ("otlp-traces-exception-protobuf", PROTOBUF),
        ("otlp-logs-exception-json", JSON),
    ] {
        let body = fixture(name);
        for at in 0..body.len() {
            let _ = decode_logs(PROJECT, content_type, &body[..at], 17);
            let mut flipped = body.clone();
            flipped[at] ^= 0x15;
            let _ = decode_logs(PROJECT, content_type, &flipped, 17);
            let _ = decode_traces(PROJECT, content_type, &flipped);
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_never_panic(body in any::<Vec<u8>>(), min in any::<i32>()) {
        let _ = decode_logs(PROJECT, PROTOBUF, &body, min);
        let _ = decode_traces(PROJECT, PROTOBUF, &body);
        let _ = decode_logs(PROJECT, JSON, &body, min);
    }
}

#[test]
fn what_a_reader_does_not_see_is_taken_out_of_every_text() {
    let hidden = "pass\u{200b}wo\u{1b}[31mrd=x\u{202e}y\0";
    let record = LogRecord {
        severity_number: 17,
        severity_text: hidden.into(),
        event_name: hidden.into(),
        body: Some(AnyValue { value: Some(Any::Text(hidden.into())) }),
        attributes: vec![
            text("exception.type", hidden),
            text("exception.message", hidden),
            text("exception.stacktrace", hidden),
            text(hidden, hidden),
            text("code.function", hidden),
        ],
        ..LogRecord::default()
    };
    let resource = vec![text("host.name", hidden), text("service.name", hidden), text(hidden, hidden)];
    let batch = decode_logs(PROJECT, PROTOBUF, &request(resource, vec![record]), 17).unwrap();
    let shown = batch.events[0].value.to_string();
    for bad in ["\u{200b}", "\u{202e}", "\\u001b", "\\u0000"] {
        assert!(!shown.contains(bad), "{bad:?} in {shown}");
    }
    assert!(shown.matches("password=xy").count() >= 7, "{shown}");
}

#[test]
fn a_long_fact_of_the_process_goes_whole() {
    // Redaction comes later: half of a token would pass it.
    let long = format!("{} {}", "h".repeat(500), "t0ken".repeat(10));
    let record = LogRecord {
        severity_number: 17,
        body: Some(AnyValue { value: Some(Any::Text(b"x".to_vec())) }),
        ..LogRecord::default()
    };
    let batch =
        decode_logs(PROJECT, PROTOBUF, &request(vec![text("host.name", &long)], vec![record]), 17).unwrap();
    assert_eq!(batch.events[0].value["server_name"], "[truncated]");
}
