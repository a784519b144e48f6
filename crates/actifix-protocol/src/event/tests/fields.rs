//! The rows of §10.2, one table each.

use super::{read, texts};
use crate::event::field;
use actifix_domain::event::{EventType, Level};
use serde_json::{Value, json};

#[test]
fn exceptions_come_in_every_form() {
    let one = json!({"type": "E", "value": "v"});
    for event in [
        json!({"exception": {"values": [one]}}),
        json!({"exception": {"values": [null, one, null]}}),
        json!({"exception": {"values": one}}),
        json!({"exception": [one]}),
        json!({"exception": one}),
        json!({"sentry.interfaces.Exception": one}),
        json!({"sentry.interfaces.Exception": {"values": [one]}}),
        json!({"exception": null, "sentry.interfaces.Exception": [one]}),
        json!({"exception": one, "sentry.interfaces.Exception": {"type": "Older"}}),
    ] {
        let found = read(event.clone());
        assert_eq!(found.exception.len(), 1, "{event}");
        let exception = &found.exception[0];
        assert_eq!((exception.exception_type.as_deref(), exception.value.as_deref()), (Some("E"), Some("v")));
        assert_eq!(found.event_type, EventType::Error);
    }
    for none in [
        json!({}),
        json!({"exception": null}),
        json!({"exception": {"values": null}}),
        json!({"exception": []}),
    ] {
        let found = read(none);
        assert!(found.exception.is_empty());
        assert_eq!(found.event_type, EventType::Default);
    }
}

#[test]
fn exception_values_of_any_type_become_text() {
    for (value, text) in [
        (json!({"code": 7}), Some(r#"{"code":7}"#)),
        (json!(42), Some("42")),
        (json!([1]), Some("[1]")),
        (json!(null), None),
        (json!("[redacted:card]"), Some("[redacted:card]")),
    ] {
        let event =
            read(json!({"exception": [{"type": null, "value": value, "module": "m", "thread_id": 9}]}));
        let exception = &event.exception[0];
        assert_eq!(exception.value.as_deref(), text);
        assert_eq!((exception.exception_type.as_deref(), exception.thread_id.as_deref()), (None, Some("9")));
    }
    assert_eq!(read(json!({"exception": ["boom"]})).exception[0].value.as_deref(), Some("boom"));
}

#[test]
fn long_chains_keep_what_is_nearest_to_the_catcher() {
    let chain: Vec<Value> = (0..80).map(|n| json!({"type": format!("E{n}")})).collect();
    let event = read(json!({ "exception": chain }));
    assert_eq!(event.exception.len(), 50);
    assert_eq!(event.last_exception().unwrap().exception_type.as_deref(), Some("E79"));
    assert_eq!(event.problems, ["30 exceptions of the chain were left out"]);
}

#[test]
fn mechanisms_say_whether_anyone_caught_it() {
    for (mechanism, unhandled) in [
        (json!({"type": "x", "handled": false}), true),
        (json!({"type": "x", "handled": "false"}), true),
        (json!({"type": "x", "handled": true}), false),
        (json!({"type": "x"}), false),
        (json!({"handled": null}), false),
        (json!({"handled": "[redacted:x]"}), false),
        (json!("generic"), false),
        (json!(null), false),
    ] {
        let event = read(json!({"exception": [{"type": "E", "mechanism": mechanism}]}));
        assert_eq!(event.is_unhandled(), unhandled, "{mechanism}");
    }
    let full = json!({"type": "cause", "synthetic": true, "exception_id": 2, "parent_id": "1",
        "source": "__cause__", "is_exception_group": true, "meta": {"signal": {"number": 11}}, "help_link": "h"});
    let event = read(json!({"exception": [{"type": "E", "mechanism": full}]}));
    let mechanism = event.exception[0].mechanism.clone().unwrap();
    assert_eq!((mechanism.exception_id, mechanism.parent_id), (Some(2), Some(1)));
    assert_eq!((mechanism.synthetic, mechanism.is_exception_group), (Some(true), Some(true)));
    assert_eq!(mechanism.meta["signal"]["number"], json!(11));
    assert_eq!(mechanism.data["help_link"], json!("h"));
}

#[test]
fn raw_stacks_count_only_where_there_is_no_other() {
    let stack = |name: &str| json!({"frames": [{"function": name}]});
    for (entry, function) in [
        (json!({"type": "E", "stacktrace": stack("a"), "raw_stacktrace": stack("b")}), "a"),
        (json!({"type": "E", "stacktrace": {"frames": null}, "raw_stacktrace": stack("b")}), "b"),
        (json!({"type": "E", "raw_stacktrace": stack("b")}), "b"),
    ] {
        let event = read(json!({ "exception": [entry] }));
        let frames = &event.exception[0].stacktrace.as_ref().unwrap().frames;
        assert_eq!(frames[0].function.as_deref(), Some(function));
    }
}

#[test]
fn stacks_come_in_every_form() {
    for (key, stack, frames) in [
        ("stacktrace", json!({"frames": [{"function": "f"}, null]}), 1),
        ("stacktrace", json!([{"function": "f"}]), 1),
        ("sentry.interfaces.Stacktrace", json!({"frames": [{"function": "f"}]}), 1),
        ("stacktrace", json!({"frames": null}), 0),
        ("stacktrace", json!(null), 0),
    ] {
        let mut event = json!({"message": "m"});
        event[key] = stack;
        assert_eq!(read(event).stacktrace.map_or(0, |s| s.frames.len()), frames, "{key}");
    }
    let event = read(json!({"stacktrace": "at f (x.js:1:2)"}));
    assert_eq!(event.stacktrace.unwrap().raw.as_deref(), Some("at f (x.js:1:2)"));
    let raven = read(json!({"exception": {"type": "E"}, "stacktrace": {"frames": [{"function": "f"}]}}));
    assert!(raven.stacktrace.is_none());
    assert_eq!(raven.exception[0].stacktrace.as_ref().unwrap().frames.len(), 1);
}

#[test]
fn frames_are_read_whatever_their_types() {
    let event = read(json!({"stacktrace": {"frames": [{
        "function": "f", "raw_function": "_f", "module": "m", "filename": "a.py", "abs_path": "/a.py",
        "lineno": "17", "colno": 3.0, "in_app": "true", "context_line": "", "pre_context": ["a", null],
        "post_context": null, "package": "p", "platform": "native", "instruction_addr": 4096,
        "symbol_addr": "0x1", "image_addr": "0x2", "addr_mode": "abs", "data": {"d": 1}, "trust": "cfi"
    }, {"lineno": -1, "colno": "[redacted:x]", "in_app": null, "data": "text"}, "a line of text"]}}));
    let frames = event.stacktrace.unwrap().frames;
    let first = &frames[0];
    assert_eq!((first.lineno, first.colno, first.in_app), (Some(17), Some(3), Some(true)));
    assert_eq!(first.context_line.as_deref(), Some(""));
    assert_eq!(first.pre_context, ["a", ""]);
    assert_eq!(first.instruction_addr.as_deref(), Some("0x1000"));
    assert_eq!(Value::Object(first.data.clone()), json!({"d": 1, "trust": "cfi"}));
    let second = &frames[1];
    assert_eq!((second.lineno, second.colno, second.in_app), (None, None, None));
    let data = json!({"lineno": -1, "colno": "[redacted:x]", "value": "text"});
    assert_eq!(Value::Object(second.data.clone()), data);
    assert_eq!(frames[2].data["value"], json!("a line of text"));
}

#[test]
fn long_stacks_lose_their_middle() {
    let frames: Vec<Value> = (0..250).map(|n| json!({ "lineno": n + 1 })).collect();
    let stack = read(json!({ "stacktrace": { "frames": frames } })).stacktrace.unwrap();
    let lines: Vec<u32> = stack.frames.iter().filter_map(|frame| frame.lineno).collect();
    assert_eq!((lines.len(), lines[24], lines[25], lines[99]), (100, 25, 176, 250));
    assert_eq!(stack.frames_left_out, Some(150));
}

#[test]
fn quoted_names_of_variables_lose_their_quotes() {
    let event = read(json!({"stacktrace": {"frames": [{"vars": {
        "'sku'": "'A-1'", "cart": [{"'qty'": "2"}], "'x'": 1, "x": 2, "'": 3
    }}]}}));
    let vars = Value::Object(event.stacktrace.unwrap().frames[0].vars.clone());
    assert_eq!(vars, json!({"sku": "'A-1'", "cart": [{"qty": "2"}], "'x'": 1, "x": 2, "'": 3}));
}

#[test]
fn messages_come_in_every_form() {
    for (event, message, formatted) in [
        (json!({"message": "m"}), None, Some("m")),
        (json!({"message": {"message": "t %s", "params": ["1"]}}), Some("t %s"), None),
        (json!({"logentry": {"message": "t", "formatted": "f"}}), Some("t"), Some("f")),
        (json!({"logentry": {"message": "t"}, "message": "f"}), Some("t"), Some("f")),
        (json!({"logentry": {"message": "t"}, "message": "t"}), Some("t"), None),
        (json!({"logentry": {"formatted": "f"}, "message": "older"}), None, Some("f")),
        (json!({"sentry.interfaces.Message": {"message": "t", "params": {"a": 1}}}), Some("t"), None),
        (json!({"logentry": "text"}), None, Some("text")),
        (json!({"message": 7}), None, Some("7")),
    ] {
        let entry = read(event.clone()).logentry.unwrap();
        assert_eq!((entry.message.as_deref(), entry.formatted.as_deref()), (message, formatted), "{event}");
    }
    assert_eq!(read(json!({"message": "", "logentry": null})).logentry, None);
    let entry = read(json!({"message": {"message": "t", "params": ["1", 2]}})).logentry.unwrap();
    assert_eq!(entry.params, Some(json!(["1", 2])));
}

#[test]
fn levels_are_words_or_numbers() {
    for (sent, level) in [
        (json!("fatal"), Level::Fatal),
        (json!("critical"), Level::Fatal),
        (json!("WARN"), Level::Warning),
        (json!("log"), Level::Info),
        (json!("debug"), Level::Debug),
        (json!(10), Level::Debug),
        (json!(20), Level::Info),
        (json!(30), Level::Warning),
        (json!(40), Level::Error),
        (json!(50), Level::Fatal),
        (json!("30"), Level::Warning),
        (json!("unheard-of"), Level::Error),
        (json!({}), Level::Error),
        (json!(null), Level::Error),
    ] {
        assert_eq!(read(json!({ "level": sent })).level, level, "{sent}");
    }
}

#[test]
fn breadcrumbs_come_in_both_forms_and_the_last_hundred_stay() {
    let crumbs: Vec<Value> =
        (0..130).map(|n| json!({"message": n.to_string(), "level": "warning"})).collect();
    for event in [
        json!({ "breadcrumbs": crumbs }),
        json!({"breadcrumbs": {"values": crumbs}}),
        json!({"sentry.interfaces.Breadcrumbs": {"values": crumbs}}),
    ] {
        let found = read(event).breadcrumbs;
        assert_eq!((found.len(), found[0].message.as_deref()), (100, Some("30")));
        assert_eq!(found[0].level, Some(Level::Warning));
    }
    let odd = json!({"breadcrumbs": [null, "text", {"type": "http", "category": "c", "data": "d",
        "level": "odd", "timestamp": "odd", "extra_field": 1}]});
    let found = read(odd).breadcrumbs;
    assert_eq!(found[0].message.as_deref(), Some("text"));
    let data = json!({"value": "d", "level": "odd", "timestamp": "odd", "extra_field": 1});
    assert_eq!(Value::Object(found[1].data.clone()), data);
}

#[test]
fn threads_keep_the_one_that_crashed() {
    let mut threads: Vec<Value> =
        (0..300).map(|n| json!({"id": n, "name": "t", "state": "BLOCKED"})).collect();
    threads[250]["crashed"] = json!(true);
    let event = read(json!({"threads": {"values": threads}}));
    assert_eq!(event.threads.len(), 200);
    assert!(event.threads.iter().any(|t| t.crashed == Some(true) && t.id.as_deref() == Some("250")));
    assert_eq!(event.problems, ["100 threads were left out"]);
}

#[test]
fn requests_give_pairs_whatever_the_form() {
    let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    };
    for (sent, expected) in [
        (json!("?a=1&b=x%20y&c"), pairs(&[("a", "1"), ("b", "x%20y"), ("c", "")])),
        (json!({"a": "1", "b": null}), pairs(&[("a", "1"), ("b", "")])),
        (json!({"a": ["1", 2]}), pairs(&[("a", "1"), ("a", "2")])),
        (json!([["a", "1"], ["b", 2], ["c"], null]), pairs(&[("a", "1"), ("b", "2"), ("c", "")])),
        (json!([{"key": "a", "value": "1"}, {"b": "2"}]), pairs(&[("a", "1"), ("b", "2")])),
        (json!(["a=1", "b=2"]), pairs(&[("a", "1"), ("b", "2")])),
        (json!("[redacted:query]"), pairs(&[("[redacted:query]", "")])),
        (json!({"a": {"x": 1}}), pairs(&[("a", r#"{"x":1}"#)])),
    ] {
        let event = read(json!({"request": {"query_string": sent}}));
        assert_eq!(event.request.unwrap().query_string, expected, "{sent}");
    }
    let event = read(json!({"sentry.interfaces.Http": {
        "url": "https://a.example.net/x", "method": "POST", "cookies": "sid=[redacted:cookie]; theme=dark",
        "headers": "Accept: */*\nHost: a:80", "data": {"k": [1]}, "env": {"E": 1}, "fragment": "f"}}));
    let request = event.request.unwrap();
    assert_eq!(request.cookies, pairs(&[("sid", "[redacted:cookie]"), ("theme", "dark")]));
    assert_eq!(request.headers, pairs(&[("Accept", "*/*"), ("Host", "a:80")]));
    assert_eq!(request.data, Some(json!({"k": [1]})));
    assert_eq!(event.other["request.fragment"], json!("f"));
    assert_eq!(
        read(json!({"request": "https://x.example.net"})).request.unwrap().url.unwrap(),
        "https://x.example.net"
    );
    let many: Vec<Value> = (0..300).map(|n| json!([n.to_string(), "v"])).collect();
    let headers = read(json!({"request": {"headers": many}})).request.unwrap().headers;
    assert_eq!((headers.len(), headers[199].1.as_str()), (200, "… 101 more left out"));
}

#[test]
fn users_keep_what_is_known() {
    let event = read(json!({"user": {"id": 7, "email": "e", "username": "u", "ip_address": "1.2.3.4",
        "geo": {"city": "c"}, "data": {"plan": "x"}, "segment": "s"}}));
    let user = event.user.unwrap();
    assert_eq!(user.id.as_deref(), Some("7"));
    assert_eq!(Value::Object(user.data), json!({"plan": "x", "segment": "s"}));
    assert_eq!(user.geo["city"], json!("c"));
    assert_eq!(read(json!({"user": "[redacted:x]"})).user.unwrap().data["value"], json!("[redacted:x]"));
    assert_eq!(read(json!({"user": {}})).user, None);
}

#[test]
fn tags_come_in_three_forms() {
    for sent in [
        json!({"a": "1", "n": 3, "none": null}),
        json!([["a", "1"], ["n", 3], ["none", null], null]),
        json!([{"key": "a", "value": "1"}, {"key": "n", "value": 3}, {"key": "none", "value": null}]),
    ] {
        let tags = read(json!({ "tags": sent })).tags;
        let found: Vec<(&str, &str)> = tags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(found, [("a", "1"), ("n", "3")], "{sent}");
    }
    let long = read(json!({"tags": {"k".repeat(300): "v".repeat(300)}})).tags;
    let (key, value) = long.into_iter().next().unwrap();
    assert_eq!((key.chars().count(), value.chars().count()), (200, 200));
    assert!(key.ends_with('…') && value.ends_with('…'));
    assert_eq!(read(json!({"tags": "[redacted:x]"})).other["tags"], json!("[redacted:x]"));
}

#[test]
fn contexts_extra_and_modules() {
    let event = read(json!({"contexts": {"os": {"name": "x"}, "odd": 7, "none": null, "empty": {}}}));
    assert_eq!(Value::Object(event.contexts), json!({"os": {"name": "x"}, "odd": {"value": 7}}));
    let big = json!({"contexts": {"a": {"blob": ["x".repeat(8_000), "x".repeat(8_000), "x".repeat(8_000),
        "x".repeat(8_000), "x".repeat(8_000), "x".repeat(8_000), "x".repeat(8_000), "x".repeat(8_000),
        "x".repeat(8_000)]}, "zzz": {"a": 1}, "trace": {"trace_id": "t"}}});
    let event = read(big);
    assert_eq!(event.contexts["trace"]["trace_id"], json!("t"));
    assert_eq!(event.contexts["…"], json!("… 1 more left out"));
    assert_eq!(Value::Object(read(json!({"extra": "text"})).extra), json!({"value": "text"}));
    for (sent, modules) in [
        (json!({"flask": "3.1", "x": null}), vec![("flask", "3.1"), ("x", "")]),
        (json!({"": ""}), vec![]),
        (json!(["flask==3.1", "x"]), vec![("flask", "3.1"), ("x", "")]),
        (json!([["flask", "3.1"]]), vec![("flask", "3.1")]),
        (json!([{"name": "flask", "version": "3.1"}]), vec![("flask", "3.1")]),
    ] {
        let found = read(json!({ "modules": sent })).modules;
        let found: Vec<(&str, &str)> = found.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(found, modules, "{sent}");
    }
}

#[test]
fn fingerprints_are_lists_of_text() {
    for (sent, parts) in [
        (json!("one"), vec!["one"]),
        (json!(["{{ default }}", null, 7, {"a": 1}]), vec!["{{ default }}", "7", r#"{"a":1}"#]),
        (json!([]), vec![]),
        (json!([""]), vec![]),
        (json!([null]), vec![]),
        (json!(""), vec![]),
    ] {
        assert_eq!(read(json!({ "fingerprint": sent })).fingerprint, parts, "{sent}");
    }
}

#[test]
fn releases_and_environments_are_checked() {
    for (sent, kept) in [
        (json!("shop@2.4.1"), Some("shop@2.4.1")),
        (json!(" 1.0\n"), Some("1.0")),
        (json!(7), Some("7")),
        (json!("a/b"), Some("a/b")),
        (json!("/a"), None),
        (json!("a/"), None),
        (json!("a\nb"), None),
        (json!("a\tb"), None),
        (json!(".."), None),
        (json!("x".repeat(251)), None),
        (json!(""), None),
    ] {
        assert_eq!(read(json!({ "release": sent })).release.as_deref(), kept, "{sent}");
    }
    assert_eq!(read(json!({"environment": "x".repeat(65)})).environment, None);
    assert_eq!(read(json!({"environment": "x".repeat(64)})).environment.unwrap().len(), 64);
}

#[test]
fn other_fields_and_their_older_names() {
    let event = read(json!({
        "platform": "python", "logger": "root", "transaction": "GET /", "culprit": "c", "site": "web-1",
        "version": "1.0", "dist": 7, "type": "error", "_meta": {"x": {"": {"rem": []}}}, "future": {"a": 1},
        "transaction_info": {"source": "route"}, "errors": [{"type": "invalid_data", "name": "x"}, {}],
        "sdk": {"name": "sentry.python", "version": "2", "integrations": ["a"], "packages": []},
        "debug_meta": {"images": [{"type": "elf"}, null], "sdk_info": {"sdk_name": "iOS"}},
    }));
    assert_eq!(event.server_name.as_deref(), Some("web-1"));
    assert_eq!((event.release.as_deref(), event.dist.as_deref()), (Some("1.0"), Some("7")));
    assert_eq!(event.culprit, "c");
    assert_eq!(event.event_type, EventType::Default);
    assert_eq!(event.sdk.unwrap().name.as_deref(), Some("sentry.python"));
    assert_eq!(event.debug_images, [json!({"type": "elf"})]);
    assert_eq!(event.problems, ["the SDK reported 2 problems with this event"]);
    assert_eq!(event.other["future"], json!({"a": 1}));
    assert_eq!(event.other["transaction_info"], json!({"source": "route"}));
    assert_eq!(event.other["debug_meta.sdk_info"]["sdk_name"], json!("iOS"));
    assert!(!event.other.contains_key("_meta"));
    let both = read(json!({"server_name": "a", "site": "b", "release": "1", "version": "2"}));
    assert_eq!((both.server_name.as_deref(), both.release.as_deref()), (Some("a"), Some("1")));
}

#[test]
fn no_field_is_lost_when_it_is_not_what_it_should_be() {
    let keys = [
        "exception",
        "logentry",
        "message",
        "stacktrace",
        "threads",
        "breadcrumbs",
        "request",
        "user",
        "tags",
        "contexts",
        "extra",
        "modules",
        "fingerprint",
        "sdk",
        "debug_meta",
        "platform",
        "logger",
        "transaction",
        "culprit",
        "server_name",
        "release",
        "dist",
        "environment",
        "level",
        "type",
        "event_id",
        "timestamp",
        "anything",
    ];
    for key in keys {
        for odd in
            [json!("[redacted:api_key]"), json!(["[redacted:api_key]"]), json!({"a": "[redacted:api_key]"})]
        {
            let event = read(json!({ key: odd }));
            let mut all = Vec::new();
            texts(&serde_json::to_value(&event).unwrap(), &mut all);
            assert!(all.iter().any(|text| text.contains("redacted:api_key")), "{key} {odd} → {event:?}");
        }
    }
}

#[test]
fn text_of_null_is_nothing() {
    assert_eq!(field::line(Value::Null), "");
}
