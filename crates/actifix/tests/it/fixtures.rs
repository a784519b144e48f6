//! Every captured request of a real SDK, as sent and in every encoding and framing: what comes of it is what the
//! manifest says, and none of its secrets is anywhere afterwards.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::captures::{Capture, Encoding, Manifest};
use crate::harness::{Home, Server};
use crate::http::{Answer, Framing};
use crate::leaks::{Leak, Needles};

/// Without the throttle, so that each capture has a ticket of its own whatever came before it.
const CONFIG: &str = "[throttle]\nenabled = false\n";

/// Keys of whole captures (`ingest.md` §13.2).
const FINGERPRINTS: &[(&str, &str)] = &[
    ("hand-dsn-auth-implicit-length.http", "dd08451314e807d9bd09df684f916b01"),
    ("hand-unknown-items.http", "dd08451314e807d9bd09df684f916b01"),
    ("hand-clock-drift.http", "dd08451314e807d9bd09df684f916b01"),
    ("hand-bad-json-tokens.http", "f1783e333a0857b4d90b9930560c26f5"),
    ("py-logging-error-params.http", "db9f411ca9cdccf5df6f0aa68cf55ea1"),
    ("py-fingerprint-default-acme.http", "a021a9a0dd92534c332e8c9fbe2bb60d"),
    ("py-fingerprint-default-globex.http", "2d97225e8a6a44ffc28ec1b8645a0884"),
    ("csp-report-chromium.http", "2b25362c3f5fe468d7ad98842ccf7579"),
    ("py-flask-chained-exception.http", "e8e1fc1ffa8ac76d6b97446a6b492be0"),
    ("py-logging-exception-env.http", "c7a7806558bcc485225dd7642fc38e07"),
    ("py-exception-group.http", "a2ae891ca7a51f80d9ea0be647a4aea5"),
    ("py-thread-unhandled.http", "ed432d2e8051133400e5ec6b54015ed7"),
    ("py-attachments.http", "57ddfaee40c0bf7726367109eee40f1a"),
    ("py-brotli-sql-error.http", "c5365d6c2bf68af33f9676558587ff05"),
    ("node-error-cause.http", "b1886bce331205af9504592f740df89d"),
    ("node-unhandled-rejection.http", "e9aa1dce525c24b75c8ee87e429b6c28"),
    ("node8-http-request.http", "1a501e0ee616e51aed1c28ab14897500"),
    ("node-gzip-big-extra.http", "0a0caa6ff3beabf0df34c091c4a3e11b"),
    ("browser-click-error.http", "fae1c1b30665b5afec92d6f7d2607740"),
    ("rust-panic.http", "f246fc9f87285c14b6a36d13b72570ed"),
    ("hand-legacy-shapes.http", "4a87479a0b0d416237c55651474d2877"),
];

/// What one capture left.
struct Outcome<'a> {
    capture: &'a Capture,
    /// Events in full, with the ticket of each.
    events: Vec<(Value, Value)>,
    /// Those of monitors and feedback, which the manifest does not count as events.
    side_events: Vec<(Value, Value)>,
}

/// Sends everything once, checks everything, counts every mismatch before it fails.
fn replay(encoding: Option<Encoding>, framing: Framing) {
    let manifest = Manifest::load();
    let home = Home::with_config(CONFIG);
    let server = home.serve();
    home.import_projects();
    let mut counts = BTreeMap::new();
    let mut problems = Vec::new();
    let mut outcomes = Vec::new();
    // Values that are best effort in some capture are required ones in others: those go first, and are searched for.
    let is_best_effort = |capture: &&Capture| capture.must_not_persist.iter().any(|secret| secret.tier == 3);
    let (last, first): (Vec<&Capture>, Vec<&Capture>) = manifest.captures.iter().partition(is_best_effort);
    for capture in first.iter().chain(&last) {
        if last.first().is_some_and(|one| one.file == capture.file) {
            problems.extend(required_leaks(&manifest, &home, &server));
        }
        let bytes = match encoding {
            None if framing == Framing::Sized => capture.bytes(),
            None => {
                let parts = capture.parts();
                let sent = capture.encoding();
                let named = (sent != Encoding::Identity).then_some(sent);
                parts.request(parts.body.clone(), named, framing).to_bytes()
            }
            Some(encoding) => {
                let body = capture.plain_body();
                // A request without a body has none to encode.
                let (body, named) =
                    if body.is_empty() { (body, None) } else { (encoding.encode(&body), Some(encoding)) };
                capture.parts().request(body, named, framing).to_bytes()
            }
        };
        let answer = server.raw(&bytes);
        let (side_events, events) =
            new_events(&server, &mut counts).into_iter().partition(|(event, _)| is_side_event(event));
        let outcome = Outcome { capture, events, side_events };
        problems
            .extend(check(&server, &outcome, &answer).into_iter().map(|p| format!("{}: {p}", capture.file)));
        outcomes.push(outcome);
    }
    problems.extend(check_relations(&manifest, &outcomes));
    problems.extend(check_leaks(&manifest, &home, server));
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

fn is_side_event(event: &Value) -> bool {
    event["type"] == "feedback" || event["logger"] == "actifix.monitor"
}

/// Events that came since the last call, with their tickets.
fn new_events(server: &Server, counts: &mut BTreeMap<String, u64>) -> Vec<(Value, Value)> {
    let mut found = Vec::new();
    for ticket in server.list("/api/v1/tickets") {
        let id = ticket["id"].as_str().expect("an id").to_owned();
        let count = ticket["count"].as_u64().expect("a count");
        let before = counts.insert(id.clone(), count).unwrap_or(0);
        if count == before {
            continue;
        }
        let stored = server.get(&format!("/api/v1/tickets/{id}/events?limit=200"));
        let stored = stored["items"].as_array().expect("items");
        assert_eq!(stored.len() as u64, count, "{id}: the count is not the number of stored events");
        let detail = server.get(&format!("/api/v1/tickets/{id}"));
        // Newest first.
        for summary in &stored[..(count - before) as usize] {
            let event_id = summary["event_id"].as_str().expect("an event id");
            let event = server.get(&format!("/api/v1/events/{event_id}?project={}", ticket["project"]));
            found.push((event, detail.clone()));
        }
    }
    found
}

fn check(server: &Server, outcome: &Outcome<'_>, answer: &Answer) -> Vec<String> {
    let expect = &outcome.capture.expect;
    let mut problems = Vec::new();
    let mut differ = |what: &str, got: String, wanted: String| {
        if got != wanted {
            problems.push(format!("{what} is {got}, wanted {wanted}"));
        }
    };
    differ("status", format!("{} {}", answer.status, status_text(answer)), format!("{} ", expect.status));
    differ("events", outcome.events.len().to_string(), expect.events.to_string());
    let Some((event, ticket)) = outcome.events.first() else {
        problems.extend(check_side(server, outcome));
        return problems;
    };
    let exceptions = event["exception"].as_array().cloned().unwrap_or_default();
    let last = exceptions.last().cloned().unwrap_or_default();
    if let Some(wanted) = &expect.error_type {
        let got = last["type"].as_str().or(event["type"].as_str()).unwrap_or_default();
        differ("type", got.to_owned(), wanted.clone());
    }
    if let Some(wanted) = &expect.level {
        differ("level of the event", text(event, "level"), wanted.clone());
        differ("level of the ticket", text(ticket, "level"), wanted.clone());
    }
    if let Some(wanted) = expect.handled {
        differ("handled", last["mechanism"]["handled"].to_string(), wanted.to_string());
        differ("unhandled of the ticket", ticket["unhandled"].to_string(), (!wanted).to_string());
    }
    if let Some(wanted) = &expect.culprit {
        differ("culprit of the event", text(event, "culprit"), wanted.clone());
        differ("culprit of the ticket", text(ticket, "culprit"), wanted.clone());
    }
    if let Some(wanted) = &expect.logger {
        differ("logger", text(event, "logger"), wanted.clone());
    }
    if let Some(wanted) = &expect.chain {
        let got: Vec<&str> = exceptions.iter().map(|e| e["type"].as_str().unwrap_or_default()).collect();
        differ("chain", format!("{got:?}"), format!("{wanted:?}"));
    }
    for (name, title) in [("event", text(event, "title")), ("ticket", text(ticket, "title"))] {
        differ(
            &format!("empty title of the {name}"),
            title.trim().is_empty().to_string(),
            "false".to_owned(),
        );
    }
    if let Some((_, key)) = FINGERPRINTS.iter().find(|(file, _)| *file == outcome.capture.file) {
        differ("fingerprint", text(ticket, "fingerprint"), (*key).to_owned());
    }
    let mut readable = strings(event) + &strings(ticket);
    let path = format!("/api/v1/events/{}/attachments", text(event, "event_id"));
    let attachments = server.get(&path)["items"].as_array().cloned().unwrap_or_default();
    if let Some(wanted) = expect.attachments {
        differ("attachments", attachments.len().to_string(), wanted.to_string());
    }
    for attachment in &attachments {
        readable.push_str(&strings(attachment));
        if attachment["kept"] == true {
            let content = server.call("GET", &format!("{path}/{}", attachment["number"]), None);
            differ("status of an attachment", content.status.to_string(), "200".to_owned());
            readable.push_str(&content.text());
        }
    }
    for kept in &outcome.capture.must_keep {
        if !readable.contains(kept.as_str()) {
            problems.push(format!("{kept:?} was not kept"));
        }
    }
    problems.extend(check_side(server, outcome));
    problems
}

/// Check-ins and feedback, and what has to be readable of them.
fn check_side(server: &Server, outcome: &Outcome<'_>) -> Vec<String> {
    let expect = &outcome.capture.expect;
    let mut problems = Vec::new();
    let mut readable: String = outcome.side_events.iter().map(|(e, t)| strings(e) + &strings(t)).collect();
    if expect.checkins.is_some() {
        let monitors = server.get("/api/v1/projects/42/monitors");
        let failed = monitors["items"].as_array().into_iter().flatten().any(|monitor| {
            monitor["slug"] == "nightly-backup" && strings(&monitor["state"]).to_lowercase().contains("error")
        });
        if !failed {
            problems.push(format!("no failed monitor nightly-backup in {monitors}"));
        }
        let tickets: BTreeSet<String> = outcome.side_events.iter().map(|(_, t)| text(t, "id")).collect();
        if tickets.len() > 1 {
            problems.push(format!("one failed monitor opened {} tickets", tickets.len()));
        }
        readable.push_str(&strings(&monitors));
    } else if let Some(wanted) = expect.feedback {
        let got = outcome.side_events.iter().filter(|(event, _)| event["type"] == "feedback").count();
        if got != wanted {
            problems.push(format!("feedback is {got}, wanted {wanted}"));
        }
    } else if !outcome.side_events.is_empty() {
        problems.push(format!("{} events nobody asked for", outcome.side_events.len()));
    }
    // Log records are counted, not stored, unless the project wants tickets of them.
    if outcome.events.is_empty() && expect.logs.is_none() {
        for kept in &outcome.capture.must_keep {
            if !readable.contains(kept.as_str()) {
                problems.push(format!("{kept:?} was not kept"));
            }
        }
    }
    problems
}

fn check_relations(manifest: &Manifest, outcomes: &[Outcome<'_>]) -> Vec<String> {
    let ticket_of = |file: &String| {
        let outcome = outcomes.iter().find(|outcome| outcome.capture.file == *file)?;
        Some(text(&outcome.events.first()?.1, "id"))
    };
    let mut problems = Vec::new();
    for files in &manifest.relations.same_group {
        let tickets: Vec<_> = files.iter().map(ticket_of).collect();
        if tickets.iter().any(|ticket| ticket.is_none() || *ticket != tickets[0]) {
            problems.push(format!("not one group: {files:?}: {tickets:?}"));
        }
    }
    for files in &manifest.relations.different_group {
        let tickets: Vec<_> = files.iter().map(ticket_of).collect();
        let distinct: BTreeSet<_> = tickets.iter().flatten().collect();
        if distinct.len() != files.len() {
            problems.push(format!("not different groups: {files:?}: {tickets:?}"));
        }
    }
    problems
}

/// Secrets of tier 1 and 2 and personal values, with a name that may be shown.
fn required(manifest: &Manifest) -> BTreeSet<(String, &str)> {
    let secrets = manifest.captures.iter().flat_map(|capture| &capture.must_not_persist);
    let required =
        secrets.filter(|s| s.tier <= 2).map(|s| (format!("tier {} {}", s.tier, s.kind), s.value.as_str()));
    let personal = manifest.captures.iter().flat_map(|c| &c.pii).map(|p| (p.kind.clone(), p.value.as_str()));
    let all: BTreeSet<_> = required.chain(personal).collect();
    assert!(all.len() > 20, "the manifest names too few secrets");
    all
}

/// Looks for all required values in what the API said, in every file and in the output, while the server runs.
fn required_leaks(manifest: &Manifest, home: &Home, server: &Server) -> Vec<String> {
    read_everything(server);
    let needles = Needles::new(required(manifest));
    let mut leaks = needles.search("API answers", &server.answers());
    leaks.extend(needles.search_files(&home.files()));
    leaks.extend(needles.search("output", &server.printed()));
    leaks.iter().map(describe).collect()
}

/// The same after the stop, when the log of the database has been folded into it; counts what is left of tier 3.
fn check_leaks(manifest: &Manifest, home: &Home, server: Server) -> Vec<String> {
    read_everything(&server);
    let mut required = required(manifest);
    let secrets = manifest.captures.iter().flat_map(|capture| &capture.must_not_persist);
    let best_effort: BTreeSet<&str> = secrets.filter(|s| s.tier == 3).map(|s| s.value.as_str()).collect();
    // What may stay bare in one capture may be found bare.
    required.retain(|(_, value)| !best_effort.contains(value));
    let needles = Needles::new(required.iter().cloned());
    let tier_3 = Needles::new(best_effort.iter().map(|value| ((*value).to_owned(), *value)));

    let answers = server.answers();
    let (_, printed) = server.stop();
    let mut leaks = needles.search("API answers", &answers);
    leaks.extend(needles.search("output", &printed));
    leaks.extend(needles.search_files(&home.files()));
    let kept: BTreeSet<String> =
        tier_3.search("API answers", &answers).into_iter().map(|leak| leak.name).collect();
    println!(
        "{} required secrets and personal values looked for; tier 3: {} of {} values redacted",
        required.len(),
        best_effort.len() - kept.len(),
        best_effort.len()
    );
    leaks.iter().map(describe).collect()
}

fn describe(leak: &Leak) -> String {
    format!("LEAK of {} ({}) in {}: {}", leak.name, leak.form, leak.place, leak.around)
}

/// Asks every list and detail, so that whatever the API would show is among the answers.
fn read_everything(server: &Server) {
    for path in ["/api/v1/findings", "/api/v1/quarantine"] {
        for item in server.list(path) {
            server.get(&format!("{path}/{}", text(&item, "id")));
        }
    }
    for ticket in server.list("/api/v1/tickets") {
        server.get(&format!("/api/v1/tickets/{}/similar", text(&ticket, "id")));
    }
    for project in ["42", "43", "44", "47"] {
        for list in ["", "/keys", "/outcomes", "/monitors"] {
            server.get(&format!("/api/v1/projects/{project}{list}"));
        }
        server.get(&format!("/api/v1/throttle?project={project}"));
    }
    server.get("/api/v1/throttle/history");
    server.call("GET", "/metrics", None);
    server.call("GET", "/readyz", None);
}

fn status_text(answer: &Answer) -> String {
    if answer.status < 300 || answer.status == 400 { String::new() } else { answer.text() }
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_default().to_owned()
}

/// All keys and values of a document, one a line, as a reader sees them.
fn strings(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text}\n"),
        Value::Array(items) => items.iter().map(strings).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| format!("{key}\n{}", strings(value))).collect(),
        other => format!("{other}\n"),
    }
}

#[test]
fn as_sent() {
    replay(None, Framing::Sized);
}

#[test]
fn as_sent_but_chunked() {
    replay(None, Framing::Chunked);
}

#[test]
fn identity_sized() {
    replay(Some(Encoding::Identity), Framing::Sized);
}

#[test]
fn identity_chunked() {
    replay(Some(Encoding::Identity), Framing::Chunked);
}

#[test]
fn gzip_sized() {
    replay(Some(Encoding::Gzip), Framing::Sized);
}

#[test]
fn gzip_chunked() {
    replay(Some(Encoding::Gzip), Framing::Chunked);
}

#[test]
fn zlib_sized() {
    replay(Some(Encoding::Zlib), Framing::Sized);
}

#[test]
fn zlib_chunked() {
    replay(Some(Encoding::Zlib), Framing::Chunked);
}

#[test]
fn raw_deflate_sized() {
    replay(Some(Encoding::RawDeflate), Framing::Sized);
}

#[test]
fn raw_deflate_chunked() {
    replay(Some(Encoding::RawDeflate), Framing::Chunked);
}

#[test]
fn brotli_sized() {
    replay(Some(Encoding::Brotli), Framing::Sized);
}

#[test]
fn brotli_chunked() {
    replay(Some(Encoding::Brotli), Framing::Chunked);
}

#[test]
fn zstd_sized() {
    replay(Some(Encoding::Zstd), Framing::Sized);
}

#[test]
fn zstd_chunked() {
    replay(Some(Encoding::Zstd), Framing::Chunked);
}

/// With `logs_to_tickets` on, the error records of a log item become events; their secrets do not.
#[test]
fn log_items_become_tickets_where_the_project_asks_for_it() {
    let manifest = Manifest::load();
    let capture = manifest.captures.iter().find(|c| c.file == "py-log-items.http").expect("the capture");
    let home = Home::with_config(CONFIG);
    let server = home.serve();
    home.import_projects();
    home.cli(&["project", "set", "42", "logs_to_tickets=true"]).ok();
    assert_eq!(server.raw(&capture.bytes()).status, 200);
    let mut counts = BTreeMap::new();
    let events = new_events(&server, &mut counts);
    assert!(!events.is_empty() && events.len() <= 3, "{} events", events.len());
    let readable: String = events.iter().map(|(event, ticket)| strings(event) + &strings(ticket)).collect();
    for kept in &capture.must_keep {
        assert!(readable.contains(kept.as_str()), "{kept:?} was not kept: {readable}");
    }
    let values = capture.must_not_persist.iter().map(|f| (f.kind.clone(), f.value.as_str()));
    let needles = Needles::new(values.chain(capture.pii.iter().map(|p| (p.kind.clone(), p.value.as_str()))));
    let mut leaks = needles.search("API answers", &server.answers());
    leaks.extend(needles.search_files(&home.files()));
    let (_, printed) = server.stop();
    leaks.extend(needles.search("output", &printed));
    assert!(leaks.is_empty(), "{leaks:#?}");
}
