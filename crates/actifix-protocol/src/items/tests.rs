use super::*;
use crate::event::{NormaliseContext, normalise};
use actifix_domain::event::{Level, Transport};
use actifix_domain::id::EventId;
use actifix_domain::time::Timestamp;
use serde_json::{Value, json};

fn now() -> Timestamp {
    Timestamp::from_micros(1_795_514_400_000_000)
}

fn capture(file: &str, kind: &str) -> Value {
    crate::event::captured_items(file, kind).pop().unwrap()
}

#[test]
fn feedback_of_both_ages_is_read() {
    let found = feedback(capture("node-feedback.http", "feedback"), now(), None).unwrap();
    assert!(found.message.starts_with("It broke after I typed"));
    assert_eq!(found.name.as_deref(), Some("Ann"));
    assert_eq!(found.associated_event_id.unwrap().to_string(), "a428dee0d95846729a0b010959a80d55");
    assert_eq!(found.event_id.unwrap().to_string(), "2a1110be1ad7446cad0b0c58cca669b3");
    assert_eq!(found.environment.as_deref(), Some("staging"));
    let older = json!({"event_id": "a428dee0d95846729a0b010959a80d55", "name": "Ann", "email": "[redacted:email]",
        "comments": "broken"});
    let found = user_report(older, now()).unwrap();
    assert_eq!(
        (found.message.as_str(), found.contact_email.as_deref()),
        ("broken", Some("[redacted:email]"))
    );
    for empty in
        [json!(null), json!({}), json!({"contexts": {"feedback": {"message": "  "}}}), json!({"contexts": 7})]
    {
        assert_eq!(feedback(empty.clone(), now(), None), None);
        assert_eq!(user_report(empty, now()), None);
    }
}

#[test]
fn check_ins_are_read_from_items() {
    let found = check_in(capture("py-checkin-error.http", "check_in"), now(), None).unwrap();
    assert_eq!((found.monitor_slug.as_str(), found.status), ("nightly-backup", CheckInStatus::Error));
    assert_eq!((found.duration, found.release.as_deref()), (Some(485), Some("shop@2.4.1")));
    let config = found.monitor_config.unwrap();
    assert_eq!(config.schedule, Some(Schedule::Crontab("0 3 * * *".to_owned())));
    assert_eq!((config.checkin_margin_minutes, config.max_runtime_minutes), (Some(5), Some(30)));
    assert_eq!(config.timezone.as_deref(), Some("Europe/Berlin"));
    let interval = json!({"monitor_slug": "A B/../c", "status": "ok", "duration": -1,
        "monitor_config": {"schedule": {"type": "interval", "value": 2, "unit": "hour"}, "max_runtime": "[redacted:x]"}});
    let found = check_in(interval, now(), None).unwrap();
    assert_eq!((found.monitor_slug.as_str(), found.duration), ("a-b-..-c", None));
    let config = found.monitor_config.unwrap();
    assert_eq!(config.schedule, Some(Schedule::Interval { value: 2, unit: IntervalUnit::Hour }));
    for bad in [
        json!(null),
        json!({"status": "ok"}),
        json!({"monitor_slug": "x", "status": "missed"}),
        json!({"monitor_slug": "", "status": "ok"}),
        json!({"monitor_slug": "..", "status": "ok"}),
        json!({"monitor_slug": "x".repeat(129), "status": "ok"}),
        json!({"monitor_slug": 7, "status": "ok"}),
    ] {
        assert_eq!(check_in(bad.clone(), now(), None), None, "{bad}");
    }
}

#[test]
fn check_ins_are_read_from_urls() {
    let query = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    };
    let sent = query(&[("status", "error"), ("duration", "12.5"), ("environment", "production")]);
    let found = check_in_from_query("nightly-backup", &sent, now()).unwrap();
    assert_eq!((found.status, found.duration), (CheckInStatus::Error, Some(12_500_000)));
    assert_eq!(found.environment.as_deref(), Some("production"));
    assert_eq!(check_in_from_query("x", &[], now()).unwrap().status, CheckInStatus::Ok);
    assert_eq!(check_in_from_query("x", &query(&[("status", "nope")]), now()), None);
    let endless = query(&[("duration", "inf")]);
    assert_eq!(check_in_from_query("x", &endless, now()).unwrap().duration, None);
}

#[test]
fn client_reports_count_known_words_only() {
    let found = client_report(&capture("py-client-report.http", "client_report"));
    assert_eq!(found.discarded, [Discarded { reason: "before_send", category: "error", quantity: 3 }]);
    let odd = json!({"discarded_events": [
        {"reason": "<script>", "category": "x", "quantity": 1e12},
        {"reason": "queue_overflow", "category": "error", "quantity": -1},
        {"quantity": "[redacted:x]"}, 7, null]});
    let expected = [Discarded { reason: "other", category: "other", quantity: QUANTITY_MAX }];
    assert_eq!(client_report(&odd).discarded, expected);
    let many = json!({"discarded_events": vec![json!({"quantity": 1}); 500]});
    assert_eq!(client_report(&many).discarded.len(), REPORT_ENTRIES_MAX);
    assert_eq!(client_report(&json!(null)), ClientReport::default());
}

#[test]
fn sessions_are_counted_once() {
    let found = session(capture("py-session.http", "session"));
    assert_eq!(found.release.as_deref(), Some("shop@2.4.1"));
    assert_eq!((found.sessions, found.errored, found.crashed), (1, 1, 0));
    for (sent, counts) in [
        (json!({"init": true, "status": "ok", "errors": 0}), (1, 0, 0)),
        (json!({"init": false, "status": "ok", "errors": 1}), (0, 1, 0)),
        (json!({"status": "exited", "errors": 5}), (0, 0, 0)),
        (json!({"status": "crashed", "errors": 1}), (0, 0, 1)),
        (json!({"init": true, "status": "abnormal"}), (1, 0, 1)),
        (json!("[redacted:x]"), (0, 0, 0)),
    ] {
        let found = session(sent.clone());
        assert_eq!((found.sessions, found.errored, found.crashed), counts, "{sent}");
    }
    let found = sessions(&json!({"attrs": {"release": "r", "environment": "e"}, "aggregates": [
        {"started": "x", "exited": 10, "errored": 2, "crashed": 1}, {"abnormal": 1}, null]}));
    assert_eq!((found.sessions, found.errored, found.crashed), (14, 2, 2));
    assert_eq!(found.environment.as_deref(), Some("e"));
}

fn records_of(item: serde_json::Value) -> Vec<LogRecord> {
    log_list(item).records.into_iter().filter_map(log_record).collect()
}

#[test]
fn log_items_give_records_and_failures_become_events() {
    let found = records_of(capture("py-log-items.http", "log"));
    let severities: Vec<u8> = found.iter().map(|record| record.severity_number).collect();
    assert_eq!(severities, [9, 17, 17]);
    let mut records = found.into_iter();
    assert_eq!(log_to_event(records.next().unwrap()), None);
    let event = log_to_event(records.nth(1).unwrap()).unwrap();
    let ctx = NormaliseContext {
        received_at: now(),
        sent_at: None,
        fallback_event_id: EventId([1; 16]),
        header_event_id: None,
        peer_ip: None,
        transport: Transport::Sentry,
    };
    let event = normalise(event, &ctx).unwrap().event;
    assert_eq!((event.level, event.logger.as_deref()), (Level::Error, Some("shop.api")));
    let entry = event.logentry.unwrap();
    assert_eq!(entry.message.as_deref(), Some("upstream said 503 after %d tries"));
    assert_eq!(entry.formatted.as_deref(), Some("upstream said 503 after 3 tries"));
    assert_eq!(entry.params, Some(json!({"0": 3})));
    assert_eq!(event.release.as_deref(), Some("shop@2.4.1"));
    assert_eq!(event.server_name.as_deref(), Some("web-1"));
    assert_eq!(event.contexts["trace"]["trace_id"], json!("2a72e2a638044b419e8f507238550aa3"));
    let frame = &event.stacktrace.unwrap().frames[0];
    assert_eq!((frame.function.as_deref(), frame.lineno), (Some("logs_items"), Some(107)));
    assert_eq!(event.extra["thread.name"], json!("MainThread"));
    assert_eq!(event.timestamp.to_string(), "2026-11-24T09:48:19.988561Z");
}

#[test]
fn severities_come_from_numbers_or_words() {
    for (record, number) in [
        (json!({"level": "fatal"}), 21),
        (json!({"level": "warn"}), 13),
        (json!({"level": "trace"}), 5),
        (json!({"level": "[redacted:x]"}), 9),
        (json!({"severity_number": 18, "level": "info"}), 18),
        (json!({"severity_number": 99, "level": "error"}), 17),
    ] {
        let found = records_of(json!({"items": [record]}));
        assert_eq!(found[0].severity_number, number, "{record}");
    }
    let many = json!({"items": vec![json!({"body": "x"}); 1_200]});
    let found = log_list(many);
    assert_eq!((found.records.len(), found.left_out), (LOG_RECORDS_MAX, 200));
    assert_eq!(log_list(json!({"items": []})), LogList::default());
    // What is no record still is a member, so that it is counted.
    assert_eq!(log_list(json!({"items": "[redacted:x]"})).records.len(), 1);
    assert_eq!(records_of(json!({"items": "[redacted:x]"})), []);
}

#[test]
fn opentelemetry_records_are_read() {
    let record = otel_log(json!({"timeUnixNano": "1795514400123456789", "severityNumber": 17,
        "body": {"stringValue": "it broke"}, "traceId": "t", "spanId": "s", "attributes": [
            {"key": "exception.type", "value": {"stringValue": "E"}},
            {"key": "exception.message", "value": {"stringValue": "v"}},
            {"key": "exception.stacktrace", "value": {"stringValue": "at f"}},
            {"key": "n", "value": {"intValue": "7"}}, {"key": "x"}, null]}));
    let event = log_to_event(record.unwrap()).unwrap();
    assert_eq!(event["exception"]["values"][0]["type"], json!("E"));
    assert_eq!(event["exception"]["values"][0]["stacktrace"], json!("at f"));
    assert_eq!(event["logentry"]["formatted"], json!("it broke"));
    assert_eq!(event["contexts"]["trace"], json!({"trace_id": "t", "span_id": "s"}));
    assert_eq!(event["extra"], json!({"n": "7"}));
    let time = crate::when::parse(&event["timestamp"]).unwrap();
    assert_eq!(time.to_string(), "2026-11-24T10:00:00.123456Z");
    assert_eq!(otel_log(json!("[redacted:x]")), None);
}
