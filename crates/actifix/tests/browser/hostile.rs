//! Events that want to be more than text: nothing of them runs, loads, leads away, or breaks the page.

use serde_json::{Value, json};

use crate::stage::Stage;
use crate::visitor::{DESK, LARGEST_PAGE_BYTES_MAX, PHONE, SMALL_PHONE, Visitor};
use crate::webdriver::Scripts;

/// Markup and script for the places where text may end up: between tags, in attributes, in a title, in a script, in a
/// style, in an address. Each leaves a mark if it runs.
const MARKUP: [&str; 12] = [
    "</title><script>window.ranTitle=1</script>",
    "<img src=x onerror=window.ranImage=1>",
    "\"><svg onload=window.ranSvg=1>",
    "'><details open ontoggle=window.ranToggle=1>",
    "\" autofocus onfocus=\"window.ranFocus=1\" x=\"",
    "</pre></textarea></style><body onpageshow=window.ranShow=1>",
    "<iframe srcdoc='<script>parent.ranFrame=1</script>'></iframe>",
    "<form action=//evil.example><button>go</button></form>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<base href=//evil.example/><link rel=stylesheet href=//evil.example/x.css>",
    "javascript:window.ranLink=1",
    "{{ constructor.constructor('window.ranTemplate=1')() }} ${window.ranLiteral=1} &lt;script&gt;",
];

/// Turns the reading direction and does not turn it back.
const BIDI: &str = "\u{202e}gnp.exe\u{2066}\u{2067}\u{200f}\u{61c}\u{202b}";

fn hostile() -> String {
    MARKUP.join(" ")
}

/// An event of an SDK that is hostile in every field that a page shows.
fn event() -> Value {
    let (markup, long) = (hostile(), "W".repeat(3_000));
    let words = format!("{markup} {BIDI} {long}");
    let pairs = |prefix: &str| -> Value {
        (0..MARKUP.len())
            .map(|n| (format!("{prefix}{n}{}", MARKUP[n]), json!(words)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let frame = |n: usize| {
        json!({
            "function": format!("work{n}{markup}{long}"), "module": format!("app.{long}"),
            "filename": format!("app/{markup}{n}.py"), "abs_path": "javascript:window.ranPath=1", "lineno": 7,
            "in_app": n.is_multiple_of(2), "context_line": words, "pre_context": [words, markup], "post_context": [long],
            "vars": pairs("v"),
        })
    };
    json!({
        "platform": "python", "level": "fatal", "logger": words, "server_name": words, "transaction": words,
        "release": "1.0<script>window.ranRelease=1</script>", "environment": "production",
        "culprit": words, "message": words,
        "exception": { "values": [
            { "type": format!("Cause{BIDI}{}", "Z".repeat(200)), "value": words, "stacktrace": { "frames": [frame(0), frame(1)] } },
            { "type": "Hostile<script>window.ranType=1</script>", "value": words, "stacktrace": { "frames": [frame(2), frame(3)] } },
        ] },
        "breadcrumbs": { "values": [
            { "category": words, "message": words, "level": "error", "type": "http", "data": pairs("d") },
            { "category": "javascript:window.ranCrumb=1", "message": BIDI, "level": "warning" },
        ] },
        "request": { "url": format!("javascript:window.ranUrl=1//{long}{markup}"), "method": "<b>GET</b>",
            "headers": [["X-Hostile", words], ["Referer", "javascript:window.ranReferer=1"]], "data": words },
        "user": { "id": words, "username": markup, "email": "a<script>@b.example", "ip_address": "127.0.0.1" },
        "tags": pairs("t"), "extra": pairs("e"), "contexts": { "app": pairs("c"), "os": { "name": words } },
        "sdk": { "name": markup, "version": BIDI },
    })
}

/// Sends it as an SDK does, and gives the ticket.
fn send(stage: &Stage) -> String {
    stage.store(&event());
    stage.first("Hostile")
}

#[test]
fn nothing_of_an_event_runs_and_the_pages_hold() {
    let stage = Stage::empty();
    let ticket = send(&stage);
    let event = stage.server.get(&format!("/api/v1/tickets/{ticket}/events"))["items"][0]["event_id"].clone();
    let event = event.as_str().expect("an id");
    // The person's own words come from elsewhere too.
    let note = json!({ "text": format!("{} {BIDI} {}", hostile(), "W".repeat(2_000)) });
    stage.server.post(&format!("/api/v1/tickets/{ticket}/notes"), &note);
    let query = crate::visitor::encoded(&hostile());
    let paths = [
        "/".to_owned(),
        "/tickets".to_owned(),
        format!("/tickets?q={}", crate::visitor::encoded("is:unresolved Hostile")),
        format!("/tickets/{ticket}"),
        format!("/tickets/{ticket}/events"),
        format!("/events/{event}"),
    ];
    let mut problems = Vec::new();
    for scripts in [Scripts::On, Scripts::Off] {
        let mut visitor = Visitor::with(stage.server.address, scripts);
        visitor.bytes_max = LARGEST_PAGE_BYTES_MAX;
        visitor.sign_in("/");
        for width in [DESK, PHONE, SMALL_PHONE] {
            visitor.size(width);
            for path in &paths {
                visitor.open(path);
                visitor.find("main");
                visitor.run("for (const one of document.querySelectorAll('main details')) one.open = true;");
                visitor.run("for (const one of document.querySelectorAll('main *')) { one.focus(); one.dispatchEvent(new Event('mouseover')); }");
                problems.extend(visitor.inspect().1);
            }
            visitor.open(&format!("/tickets?q={query}"));
            problems.extend(visitor.inspect().1);
            visitor.open_refused(&format!("/projects/{query}"), 404);
            problems.extend(visitor.inspect().1);
            visitor.open(&format!("/login?next={query}&name={query}"));
            problems.extend(visitor.inspect().1);
        }
        visitor.open(&format!("/events/{event}/json"));
        assert_eq!(
            visitor.run("return Object.keys(window).filter((name) => name.startsWith('ran'))"),
            json!([])
        );
        // Text that turns the direction does not turn what stands around it.
        visitor.size(DESK);
        visitor.open("/tickets");
        let turned = visitor.run("return [...document.querySelectorAll('body, main, table')].filter((one) => getComputedStyle(one).direction !== 'ltr').length");
        assert_eq!(turned, 0);
    }
    let visitor = Visitor::new(stage.server.address);
    visitor.sign_in(&format!("/tickets/{ticket}"));
    problems.extend(visitor.axe());
    visitor.size(PHONE);
    problems.extend(visitor.axe());
    assert!(problems.is_empty(), "{} problems\n{}", problems.len(), problems.join("\n"));
}

/// security.md, advisories: one event with a flood of tags. What a page shows of it stays bounded.
#[test]
fn an_event_of_many_parts_makes_no_endless_page() {
    let stage = Stage::empty();
    let many = |prefix: &str| -> Value {
        (0..1_500)
            .map(|n| (format!("{prefix}{n}"), json!("x".repeat(100))))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let frames: Vec<Value> = (0..1_000)
        .map(|n| json!({ "function": format!("f{n}"), "filename": "a.py", "lineno": n, "in_app": true, "vars": { "a": "b".repeat(60) } }))
        .collect();
    let event = json!({
        "exception": { "values": [{ "type": "ManyError", "value": "v".repeat(50_000), "stacktrace": { "frames": frames } }] },
        "tags": many("t"), "extra": many("e"), "contexts": { "app": many("c") },
        "breadcrumbs": { "values": vec![json!({ "message": "m".repeat(100) }); 1_000] },
    });
    stage.store(&event);
    let ticket = stage.first("ManyError");
    let mut visitor = Visitor::new(stage.server.address);
    visitor.sign_in("/tickets");
    visitor.check();
    visitor.bytes_max = LARGEST_PAGE_BYTES_MAX;
    visitor.open(&format!("/tickets/{ticket}"));
    let text = visitor.check();
    assert!(text.contains("ManyError"), "{text}");
}
