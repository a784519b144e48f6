use super::*;
use serde_json::json;

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap_or_else(|| panic!("{text}"))
}

fn config(schedule: &str, zone: &str) -> MonitorConfig {
    MonitorConfig::from_value(&json!({
        "schedule": {"type": "crontab", "value": schedule}, "timezone": zone,
        "checkin_margin": 5, "max_runtime": 10,
    }))
    .unwrap()
}

#[test]
fn next_times_of_expressions() {
    for (expression, zone, after, next) in [
        ("* * * * *", "UTC", "2026-11-24T09:47:29Z", "2026-11-24T09:48:00Z"),
        ("0 * * * *", "UTC", "2026-11-24T09:00:00Z", "2026-11-24T10:00:00Z"),
        ("0 * * * *", "UTC", "2026-11-24T08:59:59.999999Z", "2026-11-24T09:00:00Z"),
        ("*/15 9-17 * * mon-fri", "UTC", "2026-11-27T17:45:00Z", "2026-11-30T09:00:00Z"),
        ("5/20 * * * *", "UTC", "2026-11-24T09:30:00Z", "2026-11-24T09:45:00Z"),
        ("0 0 29 2 *", "UTC", "2026-11-24T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"),
        ("0 0 13 * 5", "UTC", "2026-11-24T00:00:00Z", "2026-11-27T00:00:00Z"),
        ("0 0 1,15 JAN,jul ?", "UTC", "2026-11-24T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("0 0 * * 7", "UTC", "2026-11-24T00:00:00Z", "2026-11-29T00:00:00Z"),
        ("0 0 * * 5-7", "UTC", "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z"),
        ("@daily", "UTC", "2026-12-31T12:00:00Z", "2027-01-01T00:00:00Z"),
        ("@hourly", "UTC", "2026-12-31T23:30:00Z", "2027-01-01T00:00:00Z"),
        ("0 3 * * *", "Europe/Berlin", "2026-07-01T00:00:00Z", "2026-07-01T01:00:00Z"),
        ("0 3 * * *", "Europe/Berlin", "2026-12-01T00:00:00Z", "2026-12-01T02:00:00Z"),
        // 02:30 does not exist on 2026-03-29 and exists twice on 2026-10-25.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"),
    ] {
        let next_after = config(expression, zone).next_after(time(after));
        assert_eq!(next_after, Some(time(next)), "{expression} in {zone} after {after}");
    }
    assert_eq!(config("* * * * *", "UTC").next_after(Timestamp::from_micros(i64::MAX)), None);
}

#[test]
fn bad_expressions_are_refused() {
    for bad in [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 8",
        "5-1 * * * *",
        "*/0 * * * *",
        "*/x * * * *",
        "a * * * *",
        "1,,2 * * * *",
        "-1 * * * *",
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
        "@reboot",
        "+1 * * * *",
        "99999999999 * * * *",
    ] {
        assert!(bad.parse::<Crontab>().is_err(), "{bad}");
    }
    assert!(format!("{} * * * *", "1,".repeat(200)).parse::<Crontab>().is_err());
}

#[test]
fn intervals_count_from_the_run_before() {
    for (value, unit, next) in [
        (1, "minute", "2026-01-31T10:01:00Z"),
        (2, "hour", "2026-01-31T12:00:00Z"),
        (1, "day", "2026-02-01T10:00:00Z"),
        (1, "week", "2026-02-07T10:00:00Z"),
        (1, "month", "2026-02-28T10:00:00Z"),
        (1, "year", "2027-01-31T10:00:00Z"),
    ] {
        let config = MonitorConfig::from_value(
            &json!({"schedule": {"type": "interval", "value": value, "unit": unit}}),
        )
        .unwrap();
        assert_eq!(config.next_after(time("2026-01-31T10:00:00Z")), Some(time(next)), "{value} {unit}");
    }
}

#[test]
fn configs_as_sdks_send_them() {
    let bad = [
        (json!(null), "no schedule"),
        (json!({"schedule": {"type": "crontab"}}), "no value"),
        (json!({"schedule": {"type": "crontab", "value": 5}}), "must be a text"),
        (json!({"schedule": {"type": "crontab", "value": "x"}}), "fewer than five"),
        (json!({"schedule": {"type": "interval", "value": 0, "unit": "day"}}), "from 1 to"),
        (json!({"schedule": {"type": "interval", "value": 1e9, "unit": "day"}}), "from 1 to"),
        (json!({"schedule": {"type": "interval", "value": 1, "unit": "eon"}}), "unit must be"),
        (json!({"schedule": {"type": "moon", "value": 1}}), "type must be"),
        (
            json!({"schedule": {"type": "crontab", "value": "@daily"}, "timezone": "../etc/passwd"}),
            "timezone",
        ),
    ];
    for (value, why) in bad {
        let error = MonitorConfig::from_value(&value).unwrap_err();
        assert!(error.contains(why), "{value}: {error}");
    }
    let odd = MonitorConfig::from_value(&json!({
        "schedule": {"type": "crontab", "value": "@daily"},
        "checkin_margin": -5, "max_runtime": 4e18, "failure_issue_threshold": 2, "timezone": null,
    }))
    .unwrap();
    assert_eq!((odd.checkin_margin, odd.max_runtime, odd.zone.name()), (1, 30, "UTC"));
    let berlin = config("0 3 * * *", "Europe/Berlin");
    let copy: MonitorConfig = serde_json::from_str(&serde_json::to_string(&berlin).unwrap()).unwrap();
    assert_eq!(copy, berlin);
}

fn check_in(status: CheckInStatus, id: Option<u8>) -> CheckInFacts {
    let check_in_id = id.map(|n| format!("{n:032x}").parse().unwrap());
    CheckInFacts { status, check_in_id, duration_seconds: None, config: None }
}

fn started(schedule: &str, now: &str) -> MonitorState {
    let mut state = MonitorState::default();
    let first = CheckInFacts { config: Some(config(schedule, "UTC")), ..check_in(CheckInStatus::Ok, None) };
    assert_eq!(state.on_check_in(&first, time(now)), None);
    state
}

#[test]
fn a_run_that_does_not_start_is_missed_once_per_slot() {
    let mut state = started("0 * * * *", "2026-11-24T09:00:01Z");
    assert_eq!(state.next_expected, Some(time("2026-11-24T10:00:00Z")));
    assert_eq!(state.deadline(), Some(time("2026-11-24T10:05:00Z")));
    assert_eq!(state.tick(time("2026-11-24T10:05:00Z")), None, "within the margin");
    let failure = state.tick(time("2026-11-24T10:05:00.000001Z")).unwrap();
    assert_eq!(failure, Failure { kind: FailureKind::Missed, at: time("2026-11-24T10:00:00Z") });
    assert_eq!(failure.message("nightly"), "Monitor nightly missed a run");
    assert_eq!((state.status, state.failures_in_row), (MonitorStatus::Missed, 1));
    assert_eq!(state.tick(time("2026-11-24T10:06:00Z")), None, "told once");
    assert!(state.tick(time("2026-11-24T11:06:00Z")).is_some(), "the next slot is another one");
    assert!(state.tick(time("2026-12-24T11:30:00Z")).is_some(), "a month that nobody looked is one failure");
    assert_eq!(state.tick(time("2026-12-24T11:30:00Z")), None);
    assert_eq!(state.on_check_in(&check_in(CheckInStatus::Ok, None), time("2026-12-24T12:00:01Z")), None);
    assert_eq!((state.status, state.failures_in_row), (MonitorStatus::Ok, 0));
}

#[test]
fn a_run_that_takes_too_long_times_out_once() {
    let mut state = started("0 * * * *", "2026-11-24T09:00:01Z");
    state.on_check_in(&check_in(CheckInStatus::InProgress, Some(1)), time("2026-11-24T10:00:00Z"));
    assert_eq!(state.status, MonitorStatus::InProgress);
    state.on_check_in(&check_in(CheckInStatus::InProgress, Some(1)), time("2026-11-24T10:09:00Z"));
    assert_eq!(state.tick(time("2026-11-24T10:10:00Z")), None);
    let failure = state.tick(time("2026-11-24T10:10:01Z")).unwrap();
    assert_eq!((failure.kind, failure.at), (FailureKind::Timeout, time("2026-11-24T10:00:00Z")));
    assert_eq!(state.tick(time("2026-11-24T10:11:00Z")), None);
    assert_eq!(state.status, MonitorStatus::Timeout);
    state.on_check_in(&check_in(CheckInStatus::Ok, Some(1)), time("2026-11-24T10:30:00Z"));
    assert_eq!(state.status, MonitorStatus::Ok, "it did end");
    assert_eq!(state.next_expected, Some(time("2026-11-24T11:00:00Z")));
}

#[test]
fn the_end_of_a_run_gives_its_duration_and_moves_no_slot() {
    let mut state = started("*/5 * * * *", "2026-11-24T09:00:00Z");
    state.on_check_in(&check_in(CheckInStatus::InProgress, Some(1)), time("2026-11-24T09:05:00Z"));
    assert_eq!(state.next_expected, Some(time("2026-11-24T09:10:00Z")));
    state.on_check_in(&check_in(CheckInStatus::Ok, Some(1)), time("2026-11-24T09:12:30Z"));
    assert_eq!(state.duration_seconds, Some(450.0));
    assert_eq!(state.run, None);
    assert_eq!(state.next_expected, Some(time("2026-11-24T09:10:00Z")), "the run of 09:10 is still awaited");
    for (said, kept) in [(2.5, Some(2.5)), (-1.0, None), (f64::NAN, None), (1e300, None)] {
        let end = CheckInFacts { duration_seconds: Some(said), ..check_in(CheckInStatus::Ok, None) };
        state.on_check_in(&end, time("2026-11-24T09:13:00Z"));
        assert_eq!(state.duration_seconds, kept, "{said}");
    }
}

#[test]
fn a_job_whose_clock_is_a_little_ahead_fills_its_slot() {
    let mut state = started("0 * * * *", "2026-11-24T09:00:00Z");
    state.on_check_in(&check_in(CheckInStatus::Ok, None), time("2026-11-24T09:59:58Z"));
    assert_eq!(state.next_expected, Some(time("2026-11-24T11:00:00Z")));
}

#[test]
fn a_job_that_gives_no_ids_fills_each_slot_by_its_start() {
    let mut state = started("0 * * * *", "2026-11-24T09:00:00Z");
    for (start, next) in [("10:00:00", "11:00:00"), ("11:00:00", "12:00:00")] {
        let now = time(&format!("2026-11-24T{start}Z"));
        state.on_check_in(&check_in(CheckInStatus::InProgress, None), now);
        assert_eq!(state.next_expected, Some(time(&format!("2026-11-24T{next}Z"))));
        assert_eq!(state.run.map(|run| run.started_at), Some(now));
    }
}

#[test]
fn an_error_is_told_each_time_and_overlapping_runs_are_kept_apart() {
    let mut state = started("0 * * * *", "2026-11-24T09:00:00Z");
    for n in 1..=2 {
        let now = time("2026-11-24T09:30:00Z");
        let failure = state.on_check_in(&check_in(CheckInStatus::Error, None), now);
        assert_eq!(failure, Some(Failure { kind: FailureKind::Error, at: now }));
        assert_eq!((state.status, state.failures_in_row), (MonitorStatus::Error, n));
    }
    state.on_check_in(&check_in(CheckInStatus::InProgress, Some(1)), time("2026-11-24T10:00:00Z"));
    state.on_check_in(&check_in(CheckInStatus::Ok, Some(2)), time("2026-11-24T10:01:00Z"));
    assert!(state.run.is_some(), "the end of another run does not end this one");
    assert_eq!(state.tick(time("2026-11-24T10:11:00Z")).map(|f| f.kind), Some(FailureKind::Timeout));
}

#[test]
fn a_monitor_without_a_schedule_expects_nothing() {
    let mut state = MonitorState::default();
    assert_eq!(state.deadline(), None);
    state.on_check_in(&check_in(CheckInStatus::InProgress, Some(1)), time("2026-11-24T09:00:00Z"));
    assert_eq!(state.deadline(), None);
    assert_eq!(state.tick(time("2036-11-24T09:00:00Z")), None);
    let copy: MonitorState = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
    assert_eq!(copy, state);
}

#[test]
fn words_of_the_protocol() {
    for status in [CheckInStatus::Ok, CheckInStatus::InProgress, CheckInStatus::Error] {
        assert_eq!(CheckInStatus::parse(status.as_str()), Some(status));
    }
    for word in ["OK", "missed", "timeout", ""] {
        assert_eq!(CheckInStatus::parse(word), None, "{word}");
    }
}
