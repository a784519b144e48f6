//! Events as other trackers give them out, turned into what their SDKs had sent.
//!
//! What comes out is a request like any other: it passes the same redaction, grouping and throttle, and an event whose id
//! is known counts once, so that a file may be imported again. Nothing here is trusted.
//!
//! Sentry: event objects of its API (`/api/0/…/events/{id}/`, with `entries`) and the stored JSON (`…/json/`).
//! Bugsink: events of its API (`/api/canonical/0/events/`, with `data`) and the raw JSON of its event page.

use serde_json::{Map, Value, json};

/// Events of one document: a list, or an object that holds one.
const EVENTS_MAX: usize = 100_000;
/// Tags of one event.
const TAGS_MAX: usize = 200;

/// Whose form it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracker {
    /// Bugsink.
    Bugsink,
    /// Sentry.
    Sentry,
}

/// The events in a JSON document: one, a list, or an answer of an API with a list in `results` or `items`.
///
/// # Errors
/// It is none of these.
pub fn events(tracker: Tracker, document: Value) -> Result<Vec<Map<String, Value>>, &'static str> {
    let list = match document {
        Value::Array(list) => list,
        Value::Object(mut object) => match object.remove("results").or_else(|| object.remove("items")) {
            Some(Value::Array(list)) => list,
            Some(_) => return Err("`results` is no list"),
            None => vec![Value::Object(object)],
        },
        _ => return Err("expected an event, or a list of them"),
    };
    if list.len() > EVENTS_MAX {
        return Err("more than 100,000 events in one document: give one event per line");
    }
    list.into_iter()
        .map(|item| match item {
            Value::Object(object) => event(tracker, object),
            _ => Err("an event is no object"),
        })
        .collect()
}

/// One event in the form in which SDKs send it.
fn event(tracker: Tracker, mut object: Map<String, Value>) -> Result<Map<String, Value>, &'static str> {
    match tracker {
        Tracker::Bugsink => {
            let outer_id = object.get("event_id").cloned();
            let inner = match object.remove("data") {
                Some(Value::Object(data)) => data,
                Some(Value::String(text)) => {
                    serde_json::from_str(&text).map_err(|_| "`data` of an event is no JSON object")?
                }
                Some(_) => return Err("`data` of an event is no JSON object"),
                None if is_event(&object) => object,
                None => return Err("an event without `data`: list them with their data"),
            };
            Ok(with_id(inner, outer_id))
        }
        Tracker::Sentry if object.contains_key("entries") => Ok(of_api(object)),
        Tracker::Sentry if is_event(&object) => Ok(object),
        Tracker::Sentry => Err("not an event of Sentry: it has neither `entries` nor `event_id`"),
    }
}

fn is_event(object: &Map<String, Value>) -> bool {
    ["event_id", "exception", "logentry", "message", "platform"].iter().any(|name| object.contains_key(*name))
}

fn with_id(mut event: Map<String, Value>, id: Option<Value>) -> Map<String, Value> {
    if let Some(id) = id.filter(Value::is_string) {
        event.entry("event_id").or_insert(id);
    }
    event
}

/// An answer of Sentry's API: interfaces lie in `entries`, some names are in camel case.
fn of_api(mut object: Map<String, Value>) -> Map<String, Value> {
    let mut event = Map::new();
    let mut take = |theirs: &str, ours: &str, event: &mut Map<String, Value>| {
        if let Some(value) = object.remove(theirs).filter(|value| !value.is_null()) {
            event.insert(ours.to_owned(), value);
        }
    };
    for (theirs, ours) in [
        ("eventID", "event_id"),
        ("dateCreated", "timestamp"),
        ("platform", "platform"),
        ("dist", "dist"),
        ("user", "user"),
        ("contexts", "contexts"),
        ("context", "extra"),
        ("packages", "modules"),
        ("sdk", "sdk"),
        ("culprit", "transaction"),
        ("fingerprints", "their_fingerprints"),
    ] {
        take(theirs, ours, &mut event);
    }
    // Hashes of their grouping mean nothing here.
    event.remove("their_fingerprints");
    if let Some(Value::Object(release)) = object.remove("release") {
        event.extend(release.get("version").cloned().map(|version| ("release".to_owned(), version)));
    }
    tags(object.remove("tags"), &mut event);
    for entry in object.remove("entries").and_then(|entries| entries.as_array().cloned()).unwrap_or_default()
    {
        interface(&entry, &mut event);
    }
    if !event.contains_key("exception")
        && !event.contains_key("logentry")
        && let Some(message) = object.remove("message").or_else(|| object.remove("title"))
    {
        event.insert("logentry".to_owned(), json!({ "message": message }));
    }
    event
}

fn tags(tags: Option<Value>, event: &mut Map<String, Value>) {
    let Some(Value::Array(list)) = tags else { return };
    let mut map = Map::new();
    for tag in list.iter().take(TAGS_MAX) {
        let (Some(key), Some(value)) = (tag.get("key").and_then(Value::as_str), tag.get("value")) else {
            continue;
        };
        match key {
            "level" | "environment" | "release" | "server_name" | "logger" => {
                event.entry(key).or_insert_with(|| value.clone());
            }
            _ => {
                map.insert(key.to_owned(), value.clone());
            }
        }
    }
    event.insert("tags".to_owned(), Value::Object(map));
}

fn interface(entry: &Value, event: &mut Map<String, Value>) {
    let (Some(kind), Some(data)) = (entry.get("type").and_then(Value::as_str), entry.get("data")) else {
        return;
    };
    let mut data = data.clone();
    let name = match kind {
        "exception" => {
            frames(&mut data);
            "exception"
        }
        "threads" => {
            frames(&mut data);
            "threads"
        }
        "stacktrace" => {
            frames_of(&mut data);
            "stacktrace"
        }
        "message" => {
            // `formatted` is the text, `message` its template.
            "logentry"
        }
        "breadcrumbs" => "breadcrumbs",
        "request" => {
            request(&mut data);
            "request"
        }
        "debugmeta" => "debug_meta",
        _ => return,
    };
    event.insert(name.to_owned(), data);
}

fn frames(data: &mut Value) {
    for value in data.get_mut("values").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(trace) = value.get_mut("stacktrace") {
            frames_of(trace);
        }
    }
}

/// Frames of the API have their own names for places and lines of source around them.
fn frames_of(trace: &mut Value) {
    for frame in trace.get_mut("frames").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(map) = frame.as_object_mut() else { continue };
        for (theirs, ours) in
            [("absPath", "abs_path"), ("lineNo", "lineno"), ("colNo", "colno"), ("inApp", "in_app")]
        {
            if let Some(value) = map.remove(theirs).filter(|value| !value.is_null()) {
                map.insert(ours.to_owned(), value);
            }
        }
        let line = map.get("lineno").and_then(Value::as_u64);
        let Some(Value::Array(context)) = map.remove("context") else { continue };
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for pair in &context {
            let (Some(number), Some(text)) = (pair.get(0).and_then(Value::as_u64), pair.get(1)) else {
                continue;
            };
            match line.map(|line| number.cmp(&line)) {
                Some(std::cmp::Ordering::Less) => before.push(text.clone()),
                Some(std::cmp::Ordering::Equal) => {
                    map.insert("context_line".to_owned(), text.clone());
                }
                _ => after.push(text.clone()),
            }
        }
        map.insert("pre_context".to_owned(), Value::Array(before));
        map.insert("post_context".to_owned(), Value::Array(after));
        if let Some(vars) = map.remove("vars").filter(Value::is_object) {
            map.insert("vars".to_owned(), vars);
        }
    }
}

fn request(data: &mut Value) {
    let Some(map) = data.as_object_mut() else { return };
    if let Some(query) = map.remove("query") {
        map.insert("query_string".to_owned(), query);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_sentrys_api_becomes_what_the_sdk_had_sent() {
        let answer = json!({
            "id": "1", "eventID": "9999aaaaca8b46d797c23c6077c6ff01", "dateCreated": "2026-11-01T10:00:00Z",
            "platform": "python", "message": "", "title": "ValueError: bad",
            "release": { "version": "shop@1.2" },
            "tags": [{ "key": "level", "value": "fatal" }, { "key": "browser", "value": "x" }],
            "user": { "id": "7" }, "fingerprints": ["c4"],
            "entries": [
                { "type": "exception", "data": { "values": [{ "type": "ValueError", "value": "bad", "stacktrace": {
                    "frames": [{ "absPath": "/srv/a.py", "filename": "a.py", "function": "f", "lineNo": 2, "inApp": true,
                        "context": [[1, "one"], [2, "two"], [3, "three"]], "vars": null }] } }] } },
                { "type": "request", "data": { "url": "http://x/", "query": [["a", "b"]] } },
                { "type": "spans", "data": [] }
            ]
        });
        let event = events(Tracker::Sentry, answer).unwrap().pop().unwrap();
        assert_eq!(
            Value::Object(event),
            json!({
                "event_id": "9999aaaaca8b46d797c23c6077c6ff01", "timestamp": "2026-11-01T10:00:00Z",
                "platform": "python", "release": "shop@1.2", "level": "fatal", "tags": { "browser": "x" },
                "user": { "id": "7" },
                "exception": { "values": [{ "type": "ValueError", "value": "bad", "stacktrace": { "frames": [{
                    "abs_path": "/srv/a.py", "filename": "a.py", "function": "f", "lineno": 2, "in_app": true,
                    "pre_context": ["one"], "context_line": "two", "post_context": ["three"] }] } }] },
                "request": { "url": "http://x/", "query_string": [["a", "b"]] }
            })
        );
    }

    #[test]
    fn bugsinks_events_lie_in_their_data() {
        let list = json!({ "next": null, "results": [
            { "id": "x", "event_id": "aa", "data": { "message": "one" } },
            { "id": "y", "event_id": "bb", "data": "{\"event_id\": \"cc\", \"message\": \"two\"}" },
            { "event_id": "dd", "platform": "go", "message": "three" }
        ]});
        let ids: Vec<Value> = events(Tracker::Bugsink, list)
            .unwrap()
            .into_iter()
            .map(|event| event.get("event_id").cloned().unwrap())
            .collect();
        assert_eq!(ids, ["aa", "cc", "dd"]);
        assert!(events(Tracker::Bugsink, json!({ "id": "x", "ingested_at": "…" })).is_err());
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for wrong in
            [json!(7), json!([7]), json!({}), json!({ "results": 1 }), json!([{ "name": "a project" }])]
        {
            assert!(events(Tracker::Sentry, wrong.clone()).is_err(), "{wrong}");
        }
    }
}
