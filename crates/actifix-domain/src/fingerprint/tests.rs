#![allow(clippy::indexing_slicing)]

use super::{
    EXPLANATION_LINE_CHARS_MAX, EXPLANATION_LINES_MAX, Explanation, Grouping, Step, feedback_key, flood_key,
    group, hash_lines, monitor_key,
};
use crate::event::{Csp, Event, Exception, Frame, Level, LogEntry, Mechanism, Stacktrace, Thread};
use crate::in_app;
use crate::project::FingerprintRule;
use crate::title;
use proptest::prelude::any;
use proptest::{prop_assert, prop_assert_eq, prop_assert_ne, proptest};

/// The parts of the captured SDK requests that grouping reads, with the key each must have.
const CAPTURED: &str = include_str!("../../testdata/grouping.json");

#[derive(serde::Deserialize)]
struct Captured {
    name: String,
    key: String,
    culprit: Option<String>,
    event: Event,
}

fn captured() -> Vec<Captured> {
    let mut all: Vec<Captured> = serde_json::from_str(CAPTURED).unwrap();
    for one in &mut all {
        in_app::apply(&mut one.event, &[]);
    }
    all
}

fn capture(name: &str) -> Event {
    captured().into_iter().find(|one| one.name == name).unwrap().event
}

fn lines(event: &Event) -> Vec<String> {
    group(event, &[]).lines
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn frame(module: &str, function: &str) -> Frame {
    Frame { module: text(module), function: text(function), in_app: Some(true), ..Frame::default() }
}

fn stack(frames: Vec<Frame>) -> Option<Stacktrace> {
    Some(Stacktrace { frames, ..Stacktrace::default() })
}

fn thrown(name: &str, value: &str, frames: Vec<Frame>) -> Event {
    let exception = Exception {
        exception_type: text(name),
        value: text(value),
        stacktrace: stack(frames),
        ..Exception::default()
    };
    Event { platform: text("python"), exception: vec![exception], ..Event::default() }
}

#[test]
fn a_separator_in_a_name_forges_no_frame() {
    let key = |frames: Vec<Frame>| group(&thrown("E", "x", frames), &[]).key;
    let pairs = [
        (("a", "b|c"), ("a|b", "c")),
        (("a\\", "b|c"), ("a|b\\", "c")),
        (("1|a", "b"), ("a", "b")),
        (("3|a|b", "c"), ("a|b", "c")),
    ];
    for ((module, function), (other_module, other_function)) in pairs {
        assert_ne!(
            key(vec![frame(module, function)]),
            key(vec![frame(other_module, other_function)]),
            "{module} {function}"
        );
    }
    assert_eq!(lines(&thrown("E", "x", vec![frame("a", "b|c")])), ["e:E", "f:1|a|b|c"]);
    assert_eq!(lines(&thrown("E", "x", vec![frame("a", "b")])), ["e:E", "f:a|b"]);
}

#[test]
fn the_line_vectors_of_the_specification_hold() {
    let key = |lines: &[&str]| hash_lines(lines).to_string();
    assert_eq!(key(&["e:Declined", "f:app.pay|charge"]), "dd08451314e807d9bd09df684f916b01");
    assert_eq!(key(&["m:ratio out of range"]), "f1783e333a0857b4d90b9930560c26f5");
    assert_eq!(key(&["m:invoice %s for customer %s rejected by %s"]), "db9f411ca9cdccf5df6f0aa68cf55ea1");
    assert_eq!(
        key(&[
            "e:PaymentError",
            "f:orders|place_order",
            "e:ConnectionError",
            "f:orders|place_order",
            "f:orders|charge"
        ]),
        "484eaabb24e40a73a824daeee94f6db2"
    );
    let default = key(&["e:ZeroDivisionError", "f:__main__|fingerprint_default"]);
    assert_eq!(default, "a33ca142ba933cca4b3ff7780dbce263");
    let part = format!("c:{default}");
    assert_eq!(key(&[part.as_str(), "c:acme"]), "a021a9a0dd92534c332e8c9fbe2bb60d");
    assert_eq!(key(&[part.as_str(), "c:globex"]), "2d97225e8a6a44ffc28ec1b8645a0884");
    assert_eq!(key(&["c:db-down"]), "ca72661333b83ea629b3f1fc4917a050");
    assert_eq!(key(&["p:img-src", "p:https://tracker.example.net"]), "2b25362c3f5fe468d7ad98842ccf7579");
    assert_eq!(key(&["e:ValueError", "f:app.pay|charge"]), "852513c7df73b1539a8e6924db87199c");
}

#[test]
fn captured_requests_have_the_keys_and_culprits_of_the_specification() {
    for one in captured() {
        let grouping = group(&one.event, &[]);
        assert_eq!(grouping.key.to_string(), one.key, "{}: {:#?}", one.name, grouping.lines);
        if let Some(culprit) = one.culprit {
            assert_eq!(title::culprit(&one.event), culprit, "{}", one.name);
        }
    }
}

#[test]
fn captured_requests_are_explained_line_by_line() {
    assert_eq!(
        lines(&capture("py-exception-group")),
        [
            "e:FileNotFoundError",
            "f:__main__|exception_group",
            "e:TimeoutError",
            "v:no answer from <ip> in <dur>",
            "e:ValueError",
            "f:__main__|exception_group"
        ]
    );
    assert_eq!(
        lines(&capture("node-error-cause")),
        [
            "e:StockError",
            "f:run.cjs|cause",
            "f:svc.cjs|fetchStock",
            "e:TypeError",
            "f:run.cjs|cause",
            "f:svc.cjs|fetchStock",
            "e:Error",
            "f:run.cjs|cause",
            "f:svc.cjs|fetchStock"
        ]
    );
    assert_eq!(lines(&capture("py-thread-unhandled")), ["e:RuntimeError", "f:__main__|worker"]);
    assert_eq!(lines(&capture("rust-panic")), ["e:panic", "f:|rs::main"]);
    let mut legacy = capture("hand-legacy-shapes");
    assert_eq!(lines(&legacy), ["c:single-string"]);
    legacy.fingerprint.clear();
    assert_eq!(lines(&legacy), ["e:ValueError", "f:app.pay|charge"]);
}

#[test]
fn explanations_read_like_a_sentence_and_survive_storage() {
    let sentence = |event: &Event, rules: &[FingerprintRule]| {
        let explanation = group(event, rules).explanation;
        let stored = serde_json::to_string(&explanation).unwrap();
        let read: Explanation = serde_json::from_str(&stored).unwrap();
        assert_eq!(read, explanation);
        assert_eq!(explanation.version, "actifix-group/1");
        read.sentence()
    };
    assert_eq!(
        sentence(&capture("py-flask-chained-exception"), &[]),
        "grouped by exception type and in-app frames: PaymentError in orders.place_order and one more exception"
    );
    assert_eq!(
        sentence(&capture("browser-click-error"), &[]),
        "grouped by exception type and in-app frames: TypeError at main-10-error.html in checkout"
    );
    assert_eq!(
        sentence(&thrown("TimeoutError", "no answer in 5 s", Vec::new()), &[]),
        "grouped by exception type and text: TimeoutError: no answer in <dur>"
    );
    let rule = FingerprintRule {
        matchers: vec!["type:Timeout*".to_owned()],
        fingerprint: vec!["timeouts".to_owned(), "{{ level }}".to_owned()],
    };
    assert_eq!(
        sentence(&thrown("TimeoutError", "x", Vec::new()), &[rule]),
        "grouped by the project's fingerprint: timeouts, error (fingerprint rule 1 of the project)"
    );
    assert_eq!(
        sentence(&capture("py-logging-error-params"), &[]),
        "grouped by the text of the message: invoice %s for customer %s rejected by %s"
    );
}

#[test]
fn explanations_are_bounded_and_keys_are_not() {
    let mut event = Event { fingerprint: vec!["x".repeat(5_000); 100], ..Event::default() };
    let long = group(&event, &[]);
    assert_eq!(long.explanation.lines.len(), EXPLANATION_LINES_MAX);
    assert!(long.explanation.lines.iter().all(|line| line.chars().count() == EXPLANATION_LINE_CHARS_MAX));
    event.fingerprint.push("y".to_owned());
    assert_ne!(group(&event, &[]).key, long.key);
}

#[test]
fn ids_times_and_numbers_do_not_tell_events_apart_but_places_do() {
    let key = |event: &Event| group(event, &[]).key;
    let bare = |text: &str| thrown("KeyError", text, Vec::new());
    assert_eq!(key(&bare("user 5 at 10.0.0.1")), key(&bare("user 812 at [redacted:ip]")));
    let at = |function: &str| thrown("KeyError", "'x'", vec![frame("orders", function)]);
    assert_ne!(key(&at("load")), key(&at("save")));
    assert_eq!(key(&at("load")), key(&at("load")));
}

#[test]
fn variables_of_a_fingerprint_are_filled_in() {
    let mut event = thrown("KeyError", "no 5", vec![frame("orders", "A.<locals>.load")]);
    event.logentry =
        Some(LogEntry { message: text("m %s"), formatted: text("m 1\nx"), ..LogEntry::default() });
    event.transaction = text("POST /cart");
    event.level = Level::Fatal;
    event.tags.insert("queue".to_owned(), "mail".to_owned());
    for (part, expected) in [
        ("{{ type }}/{{value}}", "c:KeyError/no 5"),
        ("{{ message }}", "c:m 1 x"),
        ("{{ module }}.{{ function }}", "c:orders.load"),
        ("{{ transaction }} {{  level}} [{{ logger }}]", "c:POST /cart fatal []"),
        ("{{ tags.queue }}{{ tags.other }}", "c:mail"),
        ("{{ unknown }} {{ tags. }} {{ {{ level }} }}", "c:{{ unknown }} {{ tags. }} {{ fatal }}"),
        ("{{ level", "c:{{ level"),
    ] {
        event.fingerprint = vec![part.to_owned()];
        assert_eq!(lines(&event), [expected], "{part}");
    }
    event.fingerprint = vec!["{{default}}".to_owned()];
    assert_eq!(lines(&event), ["e:KeyError", "f:orders|load"]);
    let key = hash_lines(&["e:KeyError", "f:orders|load"]);
    event.fingerprint = vec!["a-{{   default }}".to_owned()];
    assert_eq!(lines(&event), [format!("c:a-{key}")]);
    assert_eq!(group(&event, &[]).explanation.step, Step::Fingerprint);
}

#[test]
fn the_first_rule_of_the_project_that_matches_wins_over_the_sender() {
    let rule = |matcher: &str, part: &str| FingerprintRule {
        matchers: vec![matcher.to_owned()],
        fingerprint: vec![part.to_owned()],
    };
    let mut event = thrown("KeyError", "x", vec![frame("orders", "load")]);
    event.fingerprint = vec!["sent".to_owned()];
    let rules = [rule("type:Value*", "no"), rule("module:orders", "first"), rule("type:*", "second")];
    let grouping = group(&event, &rules);
    assert_eq!((grouping.lines, grouping.explanation.rule), (vec!["c:first".to_owned()], Some(1)));
    let grouping = group(&event, &[rule("type:*", "{{ default }}")]);
    assert_eq!(grouping.lines, ["e:KeyError", "f:orders|load"]);
    assert_eq!((grouping.explanation.step, grouping.explanation.rule), (Step::Exceptions, Some(0)));
}

#[test]
fn policy_reports_are_grouped_by_directive_and_origin() {
    for (blocked, expected) in [
        ("https://tracker.example.net:8443/p.gif?u=5", "p:https://tracker.example.net"),
        ("https://u@[2001:db8::1]:443/x", "p:https://[2001:db8::1]"),
        ("inline", "p:inline"),
    ] {
        let csp = Csp { directive: "img-src".to_owned(), blocked: blocked.to_owned(), ..Csp::default() };
        assert_eq!(lines(&Event { csp: Some(csp), ..Event::default() }), ["p:img-src", expected]);
    }
}

#[test]
fn what_has_no_type_is_grouped_by_text_then_stack_then_place() {
    let mut event = thrown("Error", "Object captured with keys: a", vec![frame("x", "run")]);
    event.exception[0].mechanism = Some(Mechanism { synthetic: Some(true), ..Mechanism::default() });
    assert_eq!(lines(&event), ["m:Object captured with keys: a"]);
    event.exception[0].value = None;
    assert_eq!(lines(&event), ["s:", "f:x|run"]);
    event.threads = vec![
        Thread { current: Some(true), stacktrace: stack(vec![frame("x", "idle")]), ..Thread::default() },
        Thread { crashed: Some(true), stacktrace: stack(vec![frame("x", "boom")]), ..Thread::default() },
    ];
    assert_eq!(lines(&event), ["s:", "f:x|boom"]);
    let bare = Event { transaction: text("GET /\nx"), culprit: "sent".to_owned(), ..Event::default() };
    assert_eq!(lines(&bare), ["z:GET / x"]);
    assert_eq!(lines(&Event { transaction: None, ..bare }), ["z:sent"]);
    assert_eq!(lines(&Event::default()), ["z:error"]);
}

#[test]
fn exception_groups_count_by_their_members_in_any_order() {
    let one = |name: &str, group: bool| Exception {
        exception_type: text(name),
        value: text("x"),
        mechanism: Some(Mechanism { is_exception_group: Some(group), ..Mechanism::default() }),
        ..Exception::default()
    };
    let event = |list: Vec<Exception>| Event { exception: list, ..Event::default() };
    let members = ["e:A", "v:x", "e:B", "v:x"];
    assert_eq!(
        lines(&event(vec![one("B", false), one("A", false), one("B", false), one("G", true)])),
        members
    );
    assert_eq!(
        lines(&event(vec![one("A", false), one("G", true), one("B", false), one("G", true)])),
        members
    );
    assert_eq!(lines(&event(vec![one("H", true), one("G", true)])), ["e:G", "v:x", "e:H", "v:x"]);
    let many = ["F", "E", "D", "C", "B", "A"].map(|name| one(name, false));
    assert_eq!(lines(&event([many.to_vec(), vec![one("G", true)]].concat())).len(), 10);
    assert_eq!(lines(&event(many.to_vec())).first().unwrap(), "e:A");
}

#[test]
fn frames_are_the_own_ones_folded_and_at_most_eight() {
    let calls = |names: &[&str]| thrown("E", "x", names.iter().map(|name| frame("m", name)).collect());
    let names = |event: &Event| lines(event).split_off(1).join(" ").replace("f:m|", "");
    assert_eq!(names(&calls(&["a", "b", "b", "b", "c"])), "a b c");
    assert_eq!(names(&calls(&["r", "a", "b", "a", "b", "a", "b", "c"])), "r a b c");
    assert_eq!(names(&calls(&["a", "b", "c", "d", "a", "b", "c", "d"])), "a b c d");
    assert_eq!(names(&calls(&["a", "b", "c", "d", "e", "f", "g", "h", "i"])), "b c d e f g h i");
    let mut event = calls(&["lib", "?", "Error: x"]);
    let frames = &mut event.exception[0].stacktrace.as_mut().unwrap().frames;
    frames[0].in_app = Some(false);
    assert_eq!(lines(&event), ["e:E", "v:x"], "left out frames do not bring library frames back");
    let frames = &mut event.exception[0].stacktrace.as_mut().unwrap().frames;
    frames[1].context_line = text("   return cart[17]");
    assert_eq!(names(&event), "~return cart[<num>]");
    let frames = &mut event.exception[0].stacktrace.as_mut().unwrap().frames;
    frames[1].context_line = Some("x".repeat(121));
    assert_eq!(lines(&event), ["e:E", "v:x"]);
    let frames = &mut event.exception[0].stacktrace.as_mut().unwrap().frames;
    frames[1].in_app = Some(false);
    frames[2].in_app = Some(false);
    assert_eq!(names(&event), "lib");
}

#[test]
fn near_keys_need_a_type_and_a_frame() {
    let near = |event: &Event| group(event, &[]).near_key;
    let event = thrown("KeyError", "x", vec![frame("a", "outer"), frame("a", "inner")]);
    assert_eq!(near(&event), Some(hash_lines(&["n:KeyError", "f:a|inner"])));
    assert_eq!(near(&thrown("KeyError", "y", vec![frame("a", "inner")])), near(&event));
    assert_eq!(near(&thrown("KeyError", "x", Vec::new())), None);
    assert_eq!(near(&Event::default()), None);
}

#[test]
fn special_keys_differ_from_each_other_and_from_messages() {
    let keys = [monitor_key("nightly"), monitor_key("hourly"), feedback_key(), flood_key()];
    assert_eq!(keys[0], hash_lines(&["k:nightly"]));
    assert!(keys.iter().enumerate().all(|(at, key)| !keys[at + 1..].contains(key)));
}

fn any_event(texts: &[String]) -> Event {
    let at = |index: usize| texts.get(index % texts.len().max(1)).cloned();
    let mut event = thrown("", "", Vec::new());
    event.platform = at(7).filter(|text| text.len() % 2 == 0).or_else(|| text("native"));
    event.exception[0].exception_type = at(0);
    event.exception[0].value = at(1);
    event.exception[0].stacktrace = stack(vec![
        Frame { function: at(2), module: at(3), filename: at(4), ..Frame::default() },
        Frame { function: at(5), context_line: at(6), abs_path: at(3), ..Frame::default() },
    ]);
    event
}

proptest! {
    #[test]
    fn grouping_is_deterministic_and_holds_no_forged_line(
        texts in proptest::collection::vec(any::<String>(), 8),
        part in any::<String>(),
    ) {
        let mut event = any_event(&texts);
        in_app::apply(&mut event, &[]);
        for fingerprint in [Vec::new(), vec![part.clone(), "{{ value }}{{ default }}".to_owned()]] {
            event.fingerprint = fingerprint;
            let Grouping { key, lines, near_key, explanation } = group(&event, &[]);
            prop_assert!(lines.iter().all(|line| !line.contains(['\n', '\r', '\t']) && !line.contains("  ")));
            prop_assert_eq!(key, hash_lines(&lines));
            let again = group(&event.clone(), &[]);
            prop_assert_eq!((again.key, again.near_key), (key, near_key));
            prop_assert!(!explanation.sentence().is_empty());
        }
        prop_assert!(title::title(&event).chars().count() <= crate::event::TITLE_CHARS_MAX);
        prop_assert!(!title::culprit(&event).contains('\n'));
    }

    #[test]
    fn a_text_cannot_pretend_to_be_two_lines(a in "[a-z]{1,9}", b in "[a-z]{1,9}") {
        let forged = Event { fingerprint: vec![format!("{a}\nc:{b}")], ..Event::default() };
        let real = Event { fingerprint: vec![a, b], ..Event::default() };
        prop_assert_ne!(group(&forged, &[]).key, group(&real, &[]).key);
    }
}
