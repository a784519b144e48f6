mod captures;
mod fields;
mod speed;

use super::*;
use serde_json::json;

/// Payloads of the items of a type in a captured request.
pub(crate) fn captured_items(file: &str, wanted: &str) -> Vec<Value> {
    captures::items(file, wanted).1
}

/// 2026-11-24T10:00:00Z
const NOW: i64 = 1_795_514_400_000_000;

fn ctx() -> NormaliseContext<'static> {
    NormaliseContext {
        received_at: Timestamp::from_micros(NOW),
        sent_at: None,
        fallback_event_id: EventId([0xff; 16]),
        header_event_id: None,
        peer_ip: None,
        transport: Transport::Sentry,
    }
}

fn read(value: Value) -> Event {
    normalise(value, &ctx()).unwrap().event
}

fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|value| texts(value, found)),
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            found.push(key.clone());
            texts(value, found);
        }),
        _ => {}
    }
}

#[test]
fn transactions_are_no_events() {
    let found = normalise(json!({"type": "transaction", "spans": []}), &ctx());
    assert_eq!(found, Err(NotAnEvent::Transaction));
}

#[test]
fn the_header_id_wins_over_the_payload_and_that_over_a_new_one() {
    let payload = json!({"event_id": "A1B2C3D4-E5F6-0718-293A-4B5C6D7E8F90"});
    assert_eq!(read(payload.clone()).event_id.to_string(), "a1b2c3d4e5f60718293a4b5c6d7e8f90");
    let header = NormaliseContext { header_event_id: Some(EventId([7; 16])), ..ctx() };
    assert_eq!(normalise(payload, &header).unwrap().event.event_id, EventId([7; 16]));
    for bad in [json!({}), json!({"event_id": "nope"}), json!({"event_id": 7}), json!({"event_id": null})] {
        assert_eq!(read(bad).event_id, EventId([0xff; 16]));
    }
    assert_eq!(read(json!({"event_id": "nope"})).problems, ["the event id is not valid"]);
}

#[test]
fn times_are_corrected_and_bounded() {
    let at = |timestamp: Value, sent_at: Value| {
        let ctx = NormaliseContext { sent_at: Some(&sent_at), ..ctx() };
        let event = normalise(json!({ "timestamp": timestamp }), &ctx).unwrap().event;
        (event.timestamp.to_string(), event.client_timestamp)
    };
    let now = "2026-11-24T10:00:00.000000Z".to_owned();
    let drifted = at(json!("2026-08-26T09:59:00Z"), json!("2026-08-26T10:00:00Z"));
    assert_eq!(drifted, ("2026-11-24T09:59:00.000000Z".to_owned(), Some("2026-08-26T09:59:00Z".to_owned())));
    let ahead = at(json!("2026-11-24T12:59:00Z"), json!("2026-11-24T13:00:00Z"));
    assert_eq!(ahead.0, "2026-11-24T09:59:00.000000Z");
    // 54 minutes are no drift, they are delay.
    let late = at(json!("2026-11-24T09:05:00Z"), json!("2026-11-24T09:06:00Z"));
    assert_eq!(late, ("2026-11-24T09:05:00.000000Z".to_owned(), None));
    let exact = at(json!("2026-11-24T09:04:00Z"), json!("2026-11-24T09:05:00Z"));
    assert_eq!(exact.0, "2026-11-24T09:59:00.000000Z");
    // Out of bounds, unreadable, absent.
    for bad in ["2026-11-24T10:01:01Z", "2026-10-25T09:59:59Z", "garbage"] {
        assert_eq!(at(json!(bad), json!("garbage")), (now.clone(), Some(bad.to_owned())));
    }
    assert_eq!(at(json!("2026-11-24T10:01:00Z"), json!(null)).0, "2026-11-24T10:01:00.000000Z");
    assert_eq!(at(json!(null), json!(null)), (now, None));
}

#[test]
fn breadcrumbs_move_with_the_clock() {
    let sent_at = json!("2026-08-26T10:00:00Z");
    let ctx = NormaliseContext { sent_at: Some(&sent_at), ..ctx() };
    let event = json!({"breadcrumbs": [{"timestamp": "2026-08-26T09:58:00Z", "message": "x"}]});
    let event = normalise(event, &ctx).unwrap().event;
    let time = event.breadcrumbs[0].timestamp.unwrap().to_string();
    assert_eq!(time, "2026-11-24T09:58:00.000000Z");
}

#[test]
fn a_payload_that_is_no_map_is_kept_as_what_it_is() {
    let event = read(json!("it broke"));
    assert_eq!(event.logentry.unwrap().formatted.as_deref(), Some("it broke"));
    assert_eq!(read(json!([1, 2])).other["payload"], json!([1, 2]));
    assert!(!read(json!(null)).problems.is_empty());
}

#[test]
fn an_auto_address_is_that_of_the_peer_or_none() {
    let event = json!({"user": {"id": 7, "ip_address": "{{auto}}"}});
    let user = read(event.clone()).user.unwrap();
    assert_eq!((user.id.as_deref(), user.ip_address), (Some("7"), None));
    let keeps = NormaliseContext { peer_ip: Some("203.0.113.9".to_owned()), ..ctx() };
    let user = normalise(event.clone(), &keeps).unwrap().event.user.unwrap();
    assert_eq!(user.ip_address.as_deref(), Some("203.0.113.9"));
    let local = NormaliseContext { transport: Transport::Cli, ..keeps };
    assert_eq!(normalise(event, &local).unwrap().event.user.unwrap().ip_address, None);
    assert_eq!(read(json!({"user": {"ip_address": "{{auto}}"}})).user, None);
}

/// JSON of any shape, with the field names that mean something mixed in.
fn any_json() -> impl proptest::strategy::Strategy<Value = Value> {
    use proptest::prelude::*;
    let word = proptest::sample::select(vec![
        "exception",
        "values",
        "stacktrace",
        "frames",
        "vars",
        "lineno",
        "type",
        "value",
        "mechanism",
        "handled",
        "threads",
        "breadcrumbs",
        "data",
        "request",
        "headers",
        "cookies",
        "query_string",
        "user",
        "ip_address",
        "tags",
        "contexts",
        "extra",
        "modules",
        "fingerprint",
        "message",
        "logentry",
        "params",
        "level",
        "sdk",
        "timestamp",
        "release",
        "environment",
        "debug_meta",
        "images",
        "errors",
        "csp",
        "key",
        "name",
        "x",
        "raw_stacktrace",
        "pre_context",
        "frames_omitted",
        "event_id",
        "sentry.interfaces.Exception",
        "'q'",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|n| json!(n)),
        "\\PC{0,12}".prop_map(Value::from),
        "[a=&;:\\[\\]?. /]{0,9}".prop_map(Value::from),
        (8_100usize..9_000).prop_map(|n| Value::from("ü".repeat(n))),
        Just(json!("[redacted:api_key]")),
    ];
    leaf.prop_recursive(14, 160, 8, move |inner| {
        let key = prop_oneof![9 => word.clone().prop_map(str::to_owned), 1 => "\\PC{0,9}"];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::Array),
            proptest::collection::vec((key, inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(400))]

    #[test]
    fn no_json_panics_and_all_text_is_within_the_cuts(value in any_json()) {
        let Ok(found) = normalise(value, &ctx()) else { return Ok(()) };
        let stored = serde_json::to_value(&found.event).unwrap();
        let mut all = Vec::new();
        texts(&stored, &mut all);
        for text in all {
            proptest::prop_assert!(text.chars().count() <= 8_192);
        }
        let back: Event = serde_json::from_value(stored).unwrap();
        proptest::prop_assert_eq!(back, found.event);
    }
}
