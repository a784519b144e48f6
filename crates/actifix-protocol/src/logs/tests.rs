#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{EVENT_LINES_MAX, LogEvent, LogFormat, LogOptions, LogReader};
use actifix_domain::event::Level;
use proptest::prelude::{any, prop_assert_eq, proptest};
use serde_json::{Value, json};

fn read(text: &str) -> Vec<LogEvent> {
    let mut reader = LogReader::new(LogOptions::default());
    let mut events: Vec<LogEvent> = text.lines().flat_map(|line| reader.push(line)).collect();
    events.extend(reader.flush());
    events
}

/// `level logger: message | Type: value (frames)`
fn show(event: &LogEvent) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let value = &event.value;
    let mut out = format!(
        "{} {}: {}",
        text(&value["level"]),
        text(&value["logger"]),
        text(&value["logentry"]["message"])
    );
    for exception in value["exception"]["values"].as_array().into_iter().flatten() {
        let frames = exception["stacktrace"]["frames"].as_array().map_or(0, Vec::len);
        let (name, text) = (text(&exception["type"]), text(&exception["value"]));
        out.push_str(&format!(" | {name}: {text} ({frames})"));
    }
    out.replace('\n', "\\n")
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let shown: Vec<String> = read(text).iter().map(show).collect();
    assert_eq!(shown, expected, "{text}");
}

#[test]
fn plain_layouts() {
    for (line, expected) in [
        (
            "2026-11-24 09:47:29,123 ERROR [shop.billing] order 88 failed",
            "error shop.billing: order 88 failed",
        ),
        (
            "2026-11-24 09:47:29,123 - shop.billing - ERROR - order 88 failed",
            "error shop.billing: order 88 failed",
        ),
        (
            "2026-11-24 09:47:29.123 ERROR 1234 --- [main] c.acme.Shop : order 88 failed",
            "error c.acme.Shop: order 88 failed",
        ),
        (
            "2026-11-24 09:47:29,123 [main] ERROR com.acme.Shop - order 88 failed",
            "error com.acme.Shop: order 88 failed",
        ),
        (
            "2026-11-24T09:47:29.123456Z ERROR shop::pay: order failed id=88",
            "error shop::pay: order failed id=88",
        ),
        ("2026-11-24 ERROR order 88 failed", "error -: order 88 failed"),
        ("[2026-11-24] ERROR: order 88 failed", "error -: order 88 failed"),
        ("2026-11-24 09:47 ERROR shop.billing: order 88 failed", "error shop.billing: order 88 failed"),
        ("ERROR:shop.billing:order 88 failed", "error shop.billing: order 88 failed"),
        ("ERROR: order 88 failed", "error -: order 88 failed"),
        ("[ERROR] order 88 failed", "error -: order 88 failed"),
        ("[error] order 88 failed", "error -: order 88 failed"),
        ("error: order 88 failed", "error -: order 88 failed"),
        ("CRITICAL order 88 failed", "fatal -: order 88 failed"),
        ("[09:47:29 ERR] order 88 failed", "error -: order 88 failed"),
        ("E1124 09:47:29.123456   12 pay.go:42] order 88 failed", "error pay.go: order 88 failed"),
        ("E, [2026-11-24T09:47:29.123456 #12] ERROR -- shop: order 88 failed", "error shop: order 88 failed"),
        ("2026/11/24 09:47:29 [error] 12#12: *1 open() failed", "error -: 12#12: *1 open() failed"),
        (
            "[Tue Nov 24 09:47:29.123456 2026] [php:error] [pid 12] order 88 failed",
            "error -: order 88 failed",
        ),
        ("Nov 24 09:47:29 web-1 shop[12]: ERROR order 88 failed", "error -: order 88 failed"),
        ("<11>Nov 24 09:47:29 web-1 shop[12]: order 88 failed", "error -: order 88 failed"),
        (
            "2026-11-24 09:47:29.123 UTC [12] ERROR:  relation \"x\" does not exist",
            "error -: relation \"x\" does not exist",
        ),
        ("[2026-11-24 09:47:29] production.ERROR: order 88 failed", "error -: order 88 failed"),
        (
            "time=2026-11-24T09:47:29Z level=error msg=\"order \\\"88\\\" failed\" component=pay id=7",
            "error pay: order \"88\" failed",
        ),
        ("\u{1b}[31mERROR\u{1b}[0m order 88 failed", "error -: order 88 failed"),
        ("web-1  | 2026-11-24 09:47:29 ERROR order 88 failed", "error -: order 88 failed"),
        ("2026-11-24T09:47:29.123456789Z stderr F ERROR order 88 failed", "error -: order 88 failed"),
        (
            "{\"log\":\"ERROR order 88 failed\\n\",\"stream\":\"stderr\",\"time\":\"2026-11-24T09:47:29Z\"}",
            "error -: order 88 failed",
        ),
        ("fail: Acme.Shop.Cart[0]\n      order 88 failed", "error Acme.Shop.Cart: order 88 failed"),
    ] {
        check(line, &[expected]);
    }
}

#[test]
fn times_are_read() {
    for (line, expected) in [
        ("2026-11-24 09:47:29,123 ERROR x", json!("2026-11-24T09:47:29.123")),
        ("2026-11-24T09:47:29+0100 ERROR x", json!("2026-11-24T09:47:29+01:00")),
        ("[Tue Nov 24 09:47:29.5 2026] [error] x", json!("2026-11-24T09:47:29.5")),
        ("[24/Nov/2026:09:47:29 +0000] ERROR x", json!("2026-11-24T09:47:29+00:00")),
        ("2026/11/24 ERROR x", json!("2026-11-24T00:00:00")),
        ("Nov 24 09:47:29 web-1 shop[12]: ERROR x", Value::Null),
        ("{\"level\":50,\"time\":1795513649123,\"msg\":\"x\"}", json!(1_795_513_649_123_u64)),
    ] {
        assert_eq!(read(line)[0].value["timestamp"], expected, "{line}");
    }
}

#[test]
fn quiet_lines_make_nothing() {
    check(
        "2026-11-24 09:47:29 INFO started\n2026-11-24 09:47:30 WARN slow\nplain words\n  indented\nError: could not connect\n{\"level\":\"info\",\"msg\":\"x\"}\n{\"a\":1}\n2026-11-24 09:47:31 the user got an ERROR from us\n",
        &[],
    );
    let mut reader = LogReader::new(LogOptions { min_level: Level::Warning, ..LogOptions::default() });
    assert!(reader.push("WARN slow").is_empty());
    assert_eq!(reader.flush()[0].value["level"], "warning");
}

#[test]
fn json_lines() {
    for (line, expected) in [
        (
            r#"{"level":"error","ts":1795513649.123,"logger":"pay","caller":"pay/pay.go:42","msg":"charge failed","error":"no funds"}"#,
            "error pay: charge failed",
        ),
        (
            r#"{"level":"ERROR","time":"2026-11-24T09:47:29Z","msg":"charge failed"}"#,
            "error -: charge failed",
        ),
        (
            r#"{"levelname":"ERROR","name":"shop","message":"charge failed","exc_info":"Traceback (most recent call last):\n  File \"/srv/a.py\", line 1, in f\n    x\nValueError: no funds"}"#,
            "error shop: charge failed | ValueError: no funds (1)",
        ),
        (
            r#"{"event":"charge failed","level":"error","logger":"shop","exception":"Traceback (most recent call last):\n  File \"/srv/a.py\", line 1, in f\nValueError: no funds"}"#,
            "error shop: charge failed | ValueError: no funds (1)",
        ),
        (
            r#"{"level":50,"time":1,"hostname":"web-1","err":{"type":"PayError","message":"no funds","stack":"PayError: no funds\n    at pay (/srv/a.js:1:2)"},"msg":"charge failed"}"#,
            "error -: charge failed | PayError: no funds (1)",
        ),
        (
            r#"{"name":"shop","level":60,"err":{"message":"no funds","name":"PayError"},"msg":"charge failed","v":0}"#,
            "fatal shop: charge failed | PayError: no funds (0)",
        ),
        (
            r#"{"@t":"2026-11-24T09:47:29Z","@m":"Order 88 failed","@mt":"Order {Id} failed","@l":"Error","@x":"System.Exception: no funds\n   at Acme.Pay.Charge() in /src/Pay.cs:line 9"}"#,
            "error -: Order {Id} failed | System.Exception: no funds (1)",
        ),
        (
            r#"{"instant":{"epochSecond":1795513649,"nanoOfSecond":5},"level":"ERROR","loggerName":"com.acme.Pay","message":"charge failed","thrown":{"name":"java.io.IOException","message":"no funds","extendedStackTrace":"java.io.IOException: no funds\n\tat com.acme.Pay.charge(Pay.java:9)"}}"#,
            "error com.acme.Pay: charge failed | IOException: no funds (1)",
        ),
        (
            r#"{"timestamp":"2026-11-24T09:47:29Z","level":"ERROR","fields":{"message":"charge failed","id":7},"target":"shop::pay"}"#,
            "error shop::pay: charge failed",
        ),
        (
            r#"{"@timestamp":"2026-11-24T09:47:29Z","log.level":"ERROR","log":{"logger":"com.acme.Pay"},"message":"charge failed","error":{"type":"java.io.IOException","message":"no funds","stack_trace":"java.io.IOException: no funds\n\tat com.acme.Pay.charge(Pay.java:9)"}}"#,
            "error com.acme.Pay: charge failed | IOException: no funds (1)",
        ),
        (
            r#"{"severity":"ERROR","message":"charge failed","stack_trace":"java.io.IOException: no funds\n\tat com.acme.Pay.charge(Pay.java:9)"}"#,
            "error -: charge failed | IOException: no funds (1)",
        ),
        (r#"{"PRIORITY":"3","MESSAGE":"charge failed","_HOSTNAME":"web-1"}"#, "error -: charge failed"),
        (
            r#"{"level":"info","msg":"late","stack":"PayError: no funds\n    at pay (/srv/a.js:1:2)"}"#,
            "info -: late | PayError: no funds (1)",
        ),
    ] {
        check(line, &[expected]);
    }
    let event =
        &read(r#"{"level":"error","msg":"x","hostname":"web-1","service":"shop","trace_id":"ab","id":7}"#)[0];
    assert_eq!(event.value["server_name"], "web-1");
    assert_eq!(event.value["tags"], json!({"service.name": "shop"}));
    assert_eq!(event.value["contexts"]["trace"], json!({"trace_id": "ab"}));
    assert_eq!(event.value["extra"], json!({"id": 7}));
}

#[test]
fn traces_join_the_line_before() {
    check(
        "2026-11-24 09:47:29,123 ERROR [shop] charge failed\nTraceback (most recent call last):\n  File \"/srv/a.py\", line 1, in f\n    x\nKeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"/srv/a.py\", line 3, in f\n    y\nValueError: no funds\nat all\n2026-11-24 09:47:30,000 INFO next\n",
        &["error shop: charge failed | KeyError: 'a' (1) | ValueError: no funds\\nat all (1)"],
    );
    check(
        "2026-11-24 09:47:29,123 [main] ERROR com.acme.Shop - charge failed\ncom.acme.PayException: no funds\n\tat com.acme.Shop.pay(Shop.java:9)\n\tat com.acme.Main.main(Main.java:2)\nCaused by: java.io.IOException: closed\n\tat com.acme.Db.read(Db.java:1)\n\t... 2 more\n2026-11-24 09:47:30 ERROR other\n",
        &[
            "error com.acme.Shop: charge failed | IOException: closed (3) | PayException: no funds (2)",
            "error -: other",
        ],
    );
    check(
        "2026-11-24T09:47:29Z ERROR charge failed TypeError: x is not a function\n    at pay (/srv/a.js:1:2)\n    at /srv/b.js:3:4\n",
        &["error -: charge failed TypeError: x is not a function | TypeError: x is not a function (2)"],
    );
    check(
        "fail: Acme.Shop[0]\n      charge failed\n      System.Exception: no funds\n         at Acme.Pay.Charge() in /src/Pay.cs:line 9\ninfo: Acme.Shop[0]\n      next\n",
        &["error Acme.Shop: charge failed | System.Exception: no funds (1)"],
    );
    check(
        "2026/11/24 09:47:29 http: panic serving 10.0.0.1:5000: order gone\ngoroutine 19 [running]:\npanic({0x1, 0x2})\n\t/usr/local/go/src/runtime/panic.go:890 +0x262\nmain.handler({0x1}, 0x2)\n\t/src/main.go:12 +0x1\n2026/11/24 09:47:30 next\n",
        &["error -: http: panic serving 10.0.0.1:5000: order gone | panic: order gone (1)"],
    );
    check(
        "E, [2026-11-24T09:47:29.1 #1] ERROR -- : RuntimeError (no funds):\n  \napp/pay.rb:3:in 'Cart#pay'\napp/main.rb:5:in '<main>'\n",
        &["error -: RuntimeError (no funds): | RuntimeError: no funds (2)"],
    );
    check(
        "Nov 24 09:47:29 web-1 shop[12]: Traceback (most recent call last):\nNov 24 09:47:29 web-1 shop[12]:   File \"/srv/a.py\", line 1, in f\nNov 24 09:47:29 web-1 shop[12]: ValueError: no funds\nNov 24 09:47:29 web-1 cron[9]: next\n",
        &["error -: Traceback (most recent call last): | ValueError: no funds (1)"],
    );
}

#[test]
fn traces_stand_alone() {
    for (text, level, expected) in [
        (
            "starting\nTraceback (most recent call last):\n  File \"/srv/a.py\", line 1, in f\n    x\nValueError: no funds\ndone\n",
            "error",
            "ValueError: no funds (1)",
        ),
        (
            "/srv/a.js:9\n    throw x\n    ^\n\nTypeError: no funds\n    at pay (/srv/a.js:1:2) {\n  code: 1\n}\n\nNode.js v20.1.0\n",
            "error",
            "TypeError: no funds (1)",
        ),
        (
            "Exception in thread \"main\" java.io.IOException: no funds\n\tat com.acme.Shop.pay(Shop.java:9)\n",
            "error",
            "IOException: no funds (1)",
        ),
        (
            "panic: no funds\n\ngoroutine 1 [running]:\nmain.main()\n\t/src/main.go:3 +0x1\nexit status 2\n",
            "fatal",
            "panic: no funds (1)",
        ),
        (
            "app/pay.rb:3:in 'Cart#pay': no funds (PayError)\n\tfrom app/main.rb:5:in '<main>'\n",
            "error",
            "PayError: no funds (2)",
        ),
        (
            "Unhandled exception. System.Exception: no funds\n   at Acme.Pay.Charge() in /src/Pay.cs:line 9\n",
            "error",
            "System.Exception: no funds (1)",
        ),
        (
            "thread 'main' panicked at src/main.rs:1:2:\nno funds\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\nother output\n",
            "fatal",
            "panic: no funds (1)",
        ),
        (
            "PHP Fatal error:  Uncaught PayError: no funds in /app/x.php:12\nStack trace:\n#0 /app/y.php(3): pay()\n#1 {main}\n  thrown in /app/x.php on line 12\n",
            "fatal",
            "PayError: no funds (2)",
        ),
    ] {
        check(text, &[&format!("{level} -: - | {expected}")]);
        assert_eq!(read(text)[0].value["exception"]["values"][0]["mechanism"]["handled"], false, "{text}");
    }
}

#[test]
fn place_in_the_log_is_told() {
    let events = read(
        "a\nb\nERROR x\n  more\nc\nTraceback (most recent call last):\n  File \"/srv/a.py\", line 1, in f\nValueError: y\n\n\nd\n",
    );
    let places: Vec<(u64, u64)> = events.iter().map(|event| (event.first_line_no, event.lines)).collect();
    assert_eq!(places, [(3, 2), (6, 3)]);
}

#[test]
fn long_events_are_cut_with_a_note() {
    let mut text = "ERROR x\n".to_owned();
    text.push_str(&"  more\n".repeat(2_000));
    let events = read(&text);
    assert_eq!(events[0].lines, 2_001);
    assert_eq!(events[0].value["extra"]["log.cut"], format!("[{} more lines cut]", 2_001 - EVENT_LINES_MAX));
    let huge = format!("ERROR {}\n", "a".repeat(1_000_000));
    assert!(read(&huge)[0].value.to_string().len() < 300_000);
}

#[test]
fn nested_headers_do_not_recurse() {
    for part in
        ["Nov 24 09:47:29 h a[1]: ", "<11>", "[", "2026-11-24 09:47:29 ", "a.b: ", "[cause]: ", "x=", "x "]
    {
        let line = part.repeat(100_000);
        let _ = read(&line);
        let _ = read(&format!("ERROR {line}\n  {line}\n"));
    }
}

#[test]
fn formats_are_kept_apart() {
    let text = "{\"level\":\"error\",\"msg\":\"x\"}\nERROR y\n";
    for (format, expected) in [(LogFormat::Json, "error -: x"), (LogFormat::Plain, "error -: y")] {
        let mut reader = LogReader::new(LogOptions { format, ..LogOptions::default() });
        let mut events = reader.feed(text.as_bytes());
        events.extend(reader.flush());
        assert_eq!(events.iter().map(show).collect::<Vec<_>>(), [expected]);
        assert_eq!(reader.foreign_lines(), 1, "{format:?}");
    }
    let mut reader = LogReader::new(LogOptions::default());
    reader.feed(b"2026-11-24 INFO fine\n\nERROR y\n  at f (/a.js:1:2)\n2026-11-24 quiet words\n");
    assert_eq!(reader.foreign_lines(), 0, "what is quiet or goes on is understood");
}

const LINES: [&str; 24] = [
    "2026-11-24 09:47:29,1 ERROR [x] y",
    "INFO z",
    "Traceback (most recent call last):",
    "  File \"/a.py\", line 1, in f",
    "ValueError: x",
    "",
    "During handling of the above exception, another exception occurred:",
    "    at f (/a.js:1:2)",
    "TypeError: x",
    "\tat a.b.C.d(C.java:1)",
    "Caused by: a.B: c",
    "panic: x",
    "goroutine 1 [running]:",
    "main.f(0x1)",
    "\t/a.go:1 +0x1",
    "a.rb:1:in 'A#b': x (E)",
    "thread 'x' panicked at a.rs:1:2:",
    "note: x",
    "Stack trace:",
    "#0 /a.php(1): b()",
    "{\"level\":\"error\",\"msg\":\"x\"}",
    "level=error msg=\"x",
    "Nov 24 09:47:29 h a[1]: x",
    "é€😀",
];

proptest! {
    #[test]
    fn any_text_never_panics(lines in proptest::collection::vec(any::<String>(), 0..20)) {
        let _ = read(&lines.join("\n"));
    }

    #[test]
    fn pieces_do_not_matter(picks in proptest::collection::vec(0..LINES.len(), 0..40), size in 1..50_usize) {
        let text: String = picks.iter().map(|at| format!("{}\n", LINES[*at])).collect();
        let mut reader = LogReader::new(LogOptions::default());
        let mut events: Vec<LogEvent> = text.as_bytes().chunks(size).flat_map(|chunk| reader.feed(chunk)).collect();
        events.extend(reader.flush());
        prop_assert_eq!(events, read(&text));
    }
}

#[test]
fn a_key_in_a_line_keeps_its_dashes() {
    let pem = ["-----BEGIN ", "PRIVATE KEY-----"].concat();
    for head in ["2026-11-24 10:00:00 ERROR shop.pay - ", "2026-11-24 10:00:00 ERROR ", "ERROR: "] {
        let events = read(&format!("{head}{pem}\\nMIIEvQ\\n"));
        let message = events[0].value["logentry"]["message"].as_str().unwrap();
        assert!(message.starts_with(&pem), "{head}: {message}");
    }
}

#[test]
fn a_long_message_is_left_for_redaction_to_see_whole() {
    let events = read(&format!("2026-11-24 10:00:00 ERROR shop.pay: {} the end", "x".repeat(20_000)));
    assert!(events[0].value["logentry"]["message"].as_str().unwrap().ends_with(" the end"));
}

#[test]
fn lines_that_are_no_text_are_skipped_and_counted() {
    let mut reader = LogReader::new(LogOptions::default());
    let mut events =
        reader.feed(b"ERROR before\n\x00\x00\x00ERROR after a power failure\nERR\x00OR \xff\x01\nERROR last");
    events.extend(reader.flush());
    let told: Vec<(u64, String)> =
        events.iter().map(|event| (event.first_line_no, event.value.to_string())).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    for ((line, text), (expected, words)) in
        told.iter().zip([(1, "before"), (2, "after a power failure"), (4, "last")])
    {
        assert!(*line == expected && text.contains(words) && !text.contains("\\u0000"), "{line} {text}");
    }
    assert_eq!(reader.binary_lines(), 1);
}
