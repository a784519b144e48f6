//! Every item that is sent has exactly one outcome, and none is lost behind a 200 (`ingest.md` §8, §9).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::captures::Manifest;
use crate::harness::{Home, KEY_42, Server};
use crate::http::{Answer, Request};
use crate::leaks::Needles;

type Fates = BTreeMap<(String, String), u64>;

fn start() -> (Arc<Home>, Server) {
    let home = Home::with_config("[throttle]\nenabled = false\n");
    let server = home.serve();
    home.import_projects();
    (home, server)
}

fn to(path: &str, body: impl Into<Vec<u8>>) -> Request {
    let separator = if path.contains('?') { '&' } else { '?' };
    Request::post(&format!("/api/42{path}{separator}sentry_key={KEY_42}"), body)
}

fn json_to(path: &str, body: &Value) -> Request {
    to(path, body.to_string()).header("Content-Type", "application/json")
}

fn envelope(header: &Value, items: &[(Value, String)]) -> Request {
    to("/envelope/", envelope_body(header, items))
}

fn envelope_body(header: &Value, items: &[(Value, String)]) -> String {
    let mut body = format!("{header}\n");
    for (item, payload) in items {
        let mut item = item.clone();
        item["length"] = json!(payload.len());
        body.push_str(&format!("{item}\n{payload}\n"));
    }
    body
}

fn item(kind: &str, payload: &Value) -> (Value, String) {
    (json!({ "type": kind }), payload.to_string())
}

fn attachment(name: &str, content: &str) -> (Value, String) {
    (json!({ "type": "attachment", "filename": name }), content.to_owned())
}

/// Outcomes so far by fate and category.
fn fates(server: &Server) -> Fates {
    let mut fates = Fates::new();
    for line in server.get("/api/v1/projects/42/outcomes")["items"].as_array().expect("items") {
        let word = |name: &str| line[name].as_str().expect("a word").to_owned();
        if word("outcome") != "sdk_discarded" {
            *fates.entry((word("outcome"), word("category"))).or_default() +=
                line["quantity"].as_u64().expect("a quantity");
        }
    }
    fates
}

/// What one request added to the outcomes.
fn added(server: &Server, request: &Request) -> (Answer, Fates) {
    let before = fates(server);
    let answer = server.send(request);
    let mut after = fates(server);
    for (key, quantity) in before {
        *after.get_mut(&key).expect("outcomes never shrink") -= quantity;
    }
    after.retain(|_, quantity| *quantity > 0);
    (answer, after)
}

fn sums(list: &[(&str, &str, u64)]) -> Fates {
    list.iter()
        .map(|(outcome, category, many)| (((*outcome).to_owned(), (*category).to_owned()), *many))
        .collect()
}

/// A secret that no rule knows by its form, only by the name before it; another for each number.
fn password(number: usize) -> String {
    format!("tr0ub4dor-{:05x}-{number:05}", (number * 7_919) % 1_048_573)
}

fn assert_nothing_of(home: &Home, server: Server, secrets: &[String]) {
    let needles = Needles::new(secrets.iter().map(|secret| ("password".to_owned(), secret.as_str())));
    let mut leaks = needles.search("API answers", &server.answers());
    let (_, printed) = server.stop();
    leaks.extend(needles.search("output", &printed));
    leaks.extend(needles.search_files(&home.files()));
    assert!(leaks.is_empty(), "{leaks:#?}");
}

fn position(bytes: &[u8], needle: &[u8]) -> usize {
    bytes.windows(needle.len()).position(|window| window == needle).expect("it is there")
}

/// An event over its limit has the whole request refused: what the envelope held before it is refused too, and counts.
#[test]
fn items_before_an_oversized_event_are_counted_too() {
    let (home, server) = start();
    let before = fates(&server);
    let small = item("event", &json!({ "message": "small" }));
    let large = item("event", &json!({ "message": "x".repeat((1 << 20) + 100) }));
    let items = [
        small.clone(),
        attachment("a.log", "text"),
        item("session", &json!({ "init": true, "attrs": { "release": "a@1" } })),
        item("span", &json!({})),
        large,
        // Comes after the end of what is read: nobody knows of it.
        small,
    ];
    let answer = server.send(&envelope(&json!({}), &items));
    assert_eq!(answer.status, 413, "{}", answer.text());
    // Refusals are written by and by, at the latest with the end.
    server.stop();
    let server = home.serve();
    let mut after = fates(&server);
    for (key, quantity) in before {
        *after.get_mut(&key).expect("outcomes never shrink") -= quantity;
    }
    let expected = sums(&[
        ("invalid", "error", 2),
        ("invalid", "attachment", 1),
        ("invalid", "session", 1),
        ("filtered", "span", 1),
    ]);
    assert_eq!(after, expected);
    assert_eq!(server.list("/api/v1/tickets").len(), 0);
}

#[test]
fn every_item_of_every_kind_has_one_outcome() {
    let (_home, server) = start();
    let event = item("event", &json!({ "message": "one", "level": "error" }));
    let security =
        |body: Value| to("/security/", body.to_string()).header("Content-Type", "application/reports+json");
    let csp = json!({ "type": "csp-violation", "body": {
        "effectiveDirective": "img-src", "blockedURL": "https://t.example.net/x" } });
    let check_in = |status: &str| item("check_in", &json!({ "monitor_slug": "nightly", "status": status }));
    let empty_header = json!({});
    let alone = |item: (Value, String)| envelope(&empty_header, &[item]);
    let files = |many: usize| (0..many).map(|n| attachment(&format!("{n}.log"), "text")).collect::<Vec<_>>();
    let mut with_60_files = vec![event.clone()];
    with_60_files.extend(files(60));
    let lost = json!({ "event_id": "ab".repeat(16) });
    let multipart =
        "--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"n.txt\"\r\n\r\nx\r\n--b--\r\n";
    let late = to(&format!("/events/{}/attachments/", "cd".repeat(16)), multipart)
        .header("Content-Type", "multipart/form-data; boundary=b");
    let cases: Vec<(&str, Request, Fates)> = vec![
        ("an event", alone(event.clone()), sums(&[("accepted", "default", 1)])),
        (
            "an event with 60 files, of which 50 are kept",
            envelope(&empty_header, &with_60_files),
            sums(&[
                ("accepted", "default", 1),
                ("accepted", "attachment", 50),
                ("invalid", "attachment", 10),
            ]),
        ),
        (
            "files of an event that is not stored",
            envelope(&lost, &files(2)),
            sums(&[("filtered", "attachment", 2)]),
        ),
        ("the same by their own route", late, sums(&[("filtered", "attachment", 1)])),
        ("files of no event", envelope(&empty_header, &files(2)), sums(&[("invalid", "attachment", 2)])),
        ("feedback without words", alone(item("feedback", &json!({}))), sums(&[("invalid", "feedback", 1)])),
        (
            "a user report without words",
            alone(item("user_report", &json!({}))),
            sums(&[("invalid", "feedback", 1)]),
        ),
        (
            "a span before a fault",
            to("/envelope/", "{}\n{\"type\":\"span\"}\n{}\n[]\n"),
            sums(&[("filtered", "span", 1), ("invalid", "default", 1)]),
        ),
        ("a run that went well", alone(check_in("ok")), sums(&[("accepted", "monitor", 1)])),
        ("a run that began", alone(check_in("in_progress")), sums(&[("accepted", "monitor", 1)])),
        ("a run that failed", alone(check_in("error")), sums(&[("accepted", "default", 1)])),
        ("a run that does what no run does", alone(check_in("fine")), sums(&[("invalid", "monitor", 1)])),
        ("no report at all", security(json!([])), sums(&[("filtered", "security", 1)])),
        (
            "reports of three kinds, and what is none",
            security(json!([csp, { "type": "deprecation", "body": {} }, 7])),
            sums(&[("accepted", "security", 1), ("filtered", "security", 2)]),
        ),
        (
            "more reports than are read",
            security(Value::Array(vec![csp.clone(); 103])),
            // The second of its kind to the hundred-first: sampling begins.
            sums(&[("accepted", "security", 99), ("sampled", "security", 1), ("invalid", "security", 3)]),
        ),
        (
            "log records where the project does not want them, and what is none",
            alone(item("log", &json!({ "items": [{ "body": "a", "level": "error" }, { "body": "b" }, 7] }))),
            sums(&[("filtered", "log_item", 2), ("invalid", "log_item", 1)]),
        ),
        ("no log record", alone(item("log", &json!({ "items": [] }))), sums(&[("filtered", "log_item", 1)])),
        (
            "a session and a report of the SDK",
            envelope(
                &empty_header,
                &[item("session", &json!({ "init": true })), item("client_report", &json!({}))],
            ),
            sums(&[("accepted", "session", 1), ("accepted", "internal", 1)]),
        ),
    ];
    for (what, request, expected) in cases {
        let (answer, fates) = added(&server, &request);
        assert!(matches!(answer.status, 200 | 201 | 400), "{what}: {} {}", answer.status, answer.text());
        assert_eq!(fates, expected, "{what}");
    }
}

#[test]
fn a_container_is_limited_by_what_it_holds() {
    let (home, server) = start();
    home.cli(&["project", "set", "42", "logs_to_tickets=true"]).ok();
    home.cli(&["project", "key", "limit", "42", KEY_42, "5"]).ok();
    let records: Vec<Value> =
        (0..1_000).map(|n| json!({ "body": format!("failure {n}"), "level": "error" })).collect();
    let mixed = [
        item("log", &json!({ "items": records })),
        item("event", &json!({ "message": "passes first", "level": "error" })),
    ];
    let (answer, fates) = added(&server, &envelope(&json!({}), &mixed));
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert!(answer.header("retry-after").is_some() && answer.header("x-sentry-rate-limits").is_some());
    assert_eq!(fates, sums(&[("accepted", "default", 5), ("rate_limited", "log_item", 996)]));
    let titles: Vec<Value> =
        server.list("/api/v1/tickets?project=42").into_iter().map(|t| t["title"].clone()).collect();
    assert!(titles.contains(&json!("passes first")), "{titles:?}");

    // The same for reports, with a bucket of its own.
    let key = home.cli(&["project", "key", "create", "42", "--json"]).json();
    let key = key["public_key"].as_str().expect("a key").to_owned();
    home.cli(&["project", "key", "limit", "42", &key, "5"]).ok();
    let report = json!({ "type": "csp-violation", "body": { "effectiveDirective": "img-src" } });
    let many = Value::Array(vec![report; 100]);
    let request = Request::post(&format!("/api/42/security/?sentry_key={key}"), many.to_string())
        .header("Content-Type", "application/reports+json");
    let (answer, fates) = added(&server, &request);
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert_eq!(fates, sums(&[("accepted", "security", 5), ("rate_limited", "security", 95)]));
}

/// Log records of OTLP, each an event.
fn otlp(bodies: impl IntoIterator<Item = String>) -> Value {
    let record = |(n, body): (usize, String)| json!({ "timeUnixNano": format!("17955136490{n:08}"), "severityNumber": 17, "body": { "stringValue": body } });
    let records: Vec<Value> = bodies.into_iter().enumerate().map(record).collect();
    json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": records }] }] })
}

#[test]
fn what_a_limit_keeps_out_of_a_batch_is_told_to_its_sender() {
    let (home, server) = start();
    home.cli(&["project", "key", "limit", "42", KEY_42, "3"]).ok();
    let batch = otlp((0..10).map(|n| format!("failure {n}")));
    let request = json_to("/integration/otlp/v1/logs", &batch);
    let (answer, fates) = added(&server, &request);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = &answer.json()["partialSuccess"];
    assert!(matches!(told["rejectedLogRecords"].as_str(), Some("7")), "{told}");
    assert_eq!(fates, sums(&[("accepted", "default", 3), ("rate_limited", "error", 7)]));
    // Nothing passes: the client is to send it again.
    let (answer, fates) = added(&server, &request);
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (429, true), "{}", answer.text());
    assert_eq!(fates, sums(&[("rate_limited", "error", 10)]));
}

#[test]
fn a_failure_that_was_refused_is_not_the_duplicate_of_its_other_report() {
    let (home, server) = start();
    let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let attributes = json!([
        { "key": "exception.type", "value": { "stringValue": "PaymentError" } },
        { "key": "exception.message", "value": { "stringValue": "declined" } },
    ]);
    let log = json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [{
        "timeUnixNano": "1795513649000000000", "traceId": trace, "spanId": span, "attributes": attributes }] }] }] });
    let spans = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [{
        "traceId": trace, "spanId": span, "name": "charge",
        "events": [{ "name": "exception", "timeUnixNano": "1795513649000000000", "attributes": attributes }] }] }] }] });
    // A request of two events leaves nothing of the limit on events, and one on requests.
    home.cli(&["project", "key", "limit", "42", KEY_42, "2"]).ok();
    let two = [item("event", &json!({ "message": "a" })), item("event", &json!({ "message": "b" }))];
    assert_eq!(server.send(&envelope(&json!({}), &two)).status, 200);
    assert_eq!(server.send(&json_to("/integration/otlp/v1/logs", &log)).status, 429);
    home.cli(&["project", "key", "limit", "42", KEY_42, "10000"]).ok();
    let (answer, fates) = added(&server, &json_to("/integration/otlp/v1/traces", &spans));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(fates, sums(&[("accepted", "error", 1)]));
    let (_, fates) = added(&server, &json_to("/integration/otlp/v1/logs", &log));
    assert_eq!(fates, sums(&[("duplicate", "error", 1)]));
}

#[test]
fn a_batch_with_a_secret_in_each_of_4000_records_loses_none() {
    let (home, server) = start();
    let batch = otlp((0..4_000).map(|n| format!("login failed: password={} for user", password(n))));
    let (answer, fates) = added(&server, &json_to("/integration/otlp/v1/logs", &batch));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(fates.values().sum::<u64>(), 4_000, "{fates:?}");
    assert!(fates.keys().all(|(fate, _)| fate == "accepted" || fate == "sampled"), "{fates:?}");
    let tickets = server.list("/api/v1/tickets?project=42");
    assert_eq!(tickets.iter().filter_map(|ticket| ticket["count"].as_u64()).sum::<u64>(), 4_000);
    // The echo rule holds over all of them: the first secret stands bare in the last record.
    let mut bodies: Vec<String> = (0..4_000).map(|n| format!("password={}", password(n + 5_000))).collect();
    bodies.push(format!("and bare: {} and {}", password(5_001), password(8_998)));
    let (answer, fates) = added(&server, &json_to("/integration/otlp/v1/logs", &otlp(bodies)));
    assert_eq!((answer.status, fates.values().sum::<u64>()), (200, 4_001), "{fates:?}");
    let secrets = [password(0), password(1_999), password(3_999), password(5_001), password(8_998)];
    assert_nothing_of(&home, server, &secrets);
}

/// More secrets than any budget for one text allows.
pub fn unredactable() -> String {
    (0..12_000).map(|n| format!("password={}\n", password(n))).collect()
}

/// Sends what cannot be redacted to project 42; the id of its entry.
pub fn quarantined(server: &Server) -> String {
    server.home.import_projects();
    poisoned(server, "5f")
}

/// The same where the project is there already; `digits` begin the event's id.
pub fn poisoned(server: &Server, digits: &str) -> String {
    let event = json!({ "message": "poisoned", "extra": { "log": unredactable() } });
    let header = json!({ "event_id": digits.repeat(16) });
    assert_eq!(server.send(&envelope(&header, &[item("event", &event)])).status, 200);
    server.list("/api/v1/quarantine?project=42")[0]["id"].as_str().expect("an id").to_owned()
}

#[test]
fn what_cannot_be_redacted_is_sealed_and_comes_back_whole() {
    let (home, server) = start();
    let id = "5e".repeat(16);
    let header = json!({ "event_id": id, "sent_at": "2026-11-24T09:47:29Z" });
    let event = json!({
        "message": "poisoned", "level": "fatal", "user": { "id": "u-17" }, "extra": { "log": unredactable() } });
    let items = [item("event", &event), attachment("beside.log", "an innocent line")];
    let (answer, fates) = added(&server, &envelope(&header, &items));
    assert_eq!((answer.status, answer.json()["id"].as_str()), (200, Some(id.as_str())), "{}", answer.text());
    assert_eq!(fates, sums(&[("quarantined", "error", 1), ("quarantined", "attachment", 1)]));
    assert_eq!(server.call("GET", &format!("/api/v1/events/{id}"), None).status, 404);
    let entries = server.list("/api/v1/quarantine?project=42");
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0]["kind"], "event");

    // Two people release it at once: it is one event, with all that it came with.
    let path = format!("/api/v1/quarantine/{}/release", entries[0]["id"].as_str().expect("an id"));
    let mut statuses = std::thread::scope(|scope| {
        let release = || server.call("POST", &path, Some(&json!({}))).status;
        let both = [scope.spawn(release), scope.spawn(release)];
        both.map(|thread| thread.join().expect("an answer"))
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 404]);
    let stored = server.get(&format!("/api/v1/events/{id}"));
    assert_eq!((&stored["title"], &stored["level"]), (&json!("poisoned"), &json!("fatal")));
    let files = server.get(&format!("/api/v1/events/{id}/attachments"));
    assert_eq!(files["items"][0]["name"], "beside.log", "{files}");
    let tickets = server.list("/api/v1/tickets?project=42");
    assert_eq!(
        (tickets.len(), &tickets[0]["count"], &tickets[0]["users"]),
        (1, &json!(1), &json!(1)),
        "{tickets:?}"
    );
    assert!(server.list("/api/v1/quarantine?project=42").is_empty());
    assert_nothing_of(&home, server, &[password(0), password(9_000), password(11_999)]);
}

#[test]
fn a_file_that_cannot_be_redacted_is_sealed_with_its_event() {
    let (home, server) = start();
    let items =
        [item("event", &json!({ "message": "with a dump" })), attachment("dump.txt", &unredactable())];
    let (answer, fates) = added(&server, &envelope(&json!({}), &items));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(fates, sums(&[("accepted", "default", 1), ("quarantined", "attachment", 1)]));
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    let entries = server.list("/api/v1/quarantine?project=42");
    assert_eq!((entries.len(), &entries[0]["kind"]), (1, &json!("attachment")), "{entries:?}");
    let entry = entries[0]["id"].as_str().expect("an id");
    server.post(&format!("/api/v1/quarantine/{entry}/release"), &json!({}));
    let files = server.get(&format!("/api/v1/events/{id}/attachments"));
    assert_eq!(files["items"][0]["name"], "dump.txt", "{files}");
    assert!(server.list("/api/v1/quarantine?project=42").is_empty());
    assert_nothing_of(&home, server, &[password(0), password(9_000), password(11_999)]);
}

#[test]
fn two_projects_with_one_event_id_have_their_own_files() {
    let (home, server) = start();
    home.cli(&["project", "create", "other", "--id", "77"]).ok();
    let key = server.list("/api/v1/projects/77/keys")[0]["public_key"].as_str().expect("a key").to_owned();
    let id = "cd".repeat(16);
    for (project, key, text) in [("42", KEY_42, "of the first"), ("77", key.as_str(), "of the second")] {
        let event = item("event", &json!({ "event_id": id, "message": text }));
        let body = envelope_body(&json!({ "event_id": id }), &[event, attachment(text, text)]);
        let request = Request::post(&format!("/api/{project}/envelope/?sentry_key={key}"), body);
        assert_eq!(server.send(&request).status, 200);
    }
    for (project, text) in [("42", "of the first"), ("77", "of the second"), ("other", "of the second")] {
        let path = format!("/api/v1/events/{id}");
        assert_eq!(server.get(&format!("{path}?project={project}"))["title"], text);
        let files = server.get(&format!("{path}/attachments?project={project}"));
        assert_eq!(files["items"][0]["name"], text, "{project}");
        let file = server.call("GET", &format!("{path}/attachments/0?project={project}"), None);
        assert_eq!((file.status, file.body.as_slice()), (200, text.as_bytes()), "{project}");
    }
    let path = format!("/api/v1/events/{id}/attachments?project=nowhere");
    assert_eq!(server.call("GET", &path, None).status, 404);
}

#[test]
fn a_finding_names_the_ticket_of_the_event_that_held_it() {
    let (_home, server) = start();
    let events = [
        item("event", &json!({ "message": "innocent" })),
        item(
            "event",
            &json!({ "message": "leaky", "extra": { "note": format!("password={}", password(1)) } }),
        ),
    ];
    assert_eq!(server.send(&envelope(&json!({}), &events)).status, 200);
    let tickets = server.list("/api/v1/tickets?project=42");
    let leaky = tickets.iter().find(|ticket| ticket["title"] == "leaky").expect("the ticket");
    let findings = server.list("/api/v1/findings?project=42");
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0]["places"][0]["ticket_id"], leaky["id"], "{findings:?}");
    let redactions = |title: &str| {
        let ticket = tickets.iter().find(|ticket| ticket["title"] == title).expect("the ticket");
        let id = ticket["id"].as_str().expect("an id");
        server.get(&format!("/api/v1/tickets/{id}")).to_string().contains("password")
    };
    assert!(!redactions("innocent"));
    // What becomes no event still leaves its finding, of no ticket.
    let check_in =
        json!({ "monitor_slug": "nightly", "status": "ok", "note": format!("password={}", password(2)) });
    assert_eq!(server.send(&envelope(&json!({}), &[item("check_in", &check_in)])).status, 200);
    let findings = server.list("/api/v1/findings?project=42");
    let of_none: Vec<&Value> = findings.iter().filter(|f| f["places"][0]["ticket_id"].is_null()).collect();
    assert_eq!((findings.len(), of_none.len()), (2, 1), "{findings:?}");
}

#[test]
fn crashes_that_come_as_files_are_events() {
    let (_home, server) = start();
    let manifest = Manifest::load();
    let capture = manifest.captures.iter().find(|c| c.file == "hand-minidump.http").expect("the capture");
    let body = capture.plain_body();
    let dump = &body[position(&body, b"MDMP")..];
    let dump = &dump[..position(dump, b"\r\n--")];
    let envelope = |header: &Value, kind: &str, file: &[u8], beside: &str| {
        let item = json!({ "type": "attachment", "attachment_type": kind, "filename": "crash", "length": file.len() });
        let mut bytes = format!("{header}\n{beside}{item}\n").into_bytes();
        bytes.extend_from_slice(file);
        to("/envelope/", bytes)
    };
    let (alone, beside) = ("1a".repeat(16), "2b".repeat(16));
    let (answer, fates) =
        added(&server, &envelope(&json!({ "event_id": alone }), "event.minidump", dump, ""));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(fates, sums(&[("accepted", "error", 1), ("accepted", "attachment", 1)]));
    let event = server.get(&format!("/api/v1/events/{alone}"));
    assert_eq!((&event["platform"], &event["level"]), (&json!("native"), &json!("fatal")), "{event}");
    // A dump beside an event completes it: one crash, one event.
    let own = "{\"type\":\"event\"}\n{\"release\":\"shop@7.1\",\"tags\":{\"native\":\"yes\"}}\n";
    let request = envelope(&json!({ "event_id": beside }), "event.minidump", dump, own);
    let (_, fates) = added(&server, &request);
    assert_eq!(fates, sums(&[("accepted", "error", 1), ("accepted", "attachment", 1)]));
    let event = server.get(&format!("/api/v1/events/{beside}"));
    assert_eq!(
        (&event["release"], &event["exception"][0]["type"]),
        (&json!("shop@7.1"), &json!("minidump")),
        "{event}"
    );
    let report = "Process: Shop [7]\nException Type: EXC_BAD_ACCESS (SIGSEGV)\n";
    let request = envelope(&json!({}), "event.applecrashreport", report.as_bytes(), "");
    let (answer, fates) = added(&server, &request);
    assert_eq!(fates, sums(&[("accepted", "error", 1), ("accepted", "attachment", 1)]));
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    let title = server.get(&format!("/api/v1/events/{id}"))["title"].as_str().expect("a title").to_owned();
    assert!(title.contains("EXC_BAD_ACCESS (SIGSEGV) in Shop"), "{title}");
}
