//! Live counts: what a window that somebody looks at is told, and when that ends.

use serde_json::{Value, json};

use crate::harness::Server;
use crate::http::{Connection, Request};
use crate::people::{Browser, OTHER, PASSWORD, login, user, with_admin};

/// A stream that is open.
struct Stream {
    connection: Connection,
    text: String,
}

impl Stream {
    fn open(server: &Server, browser: &Browser, query: &str) -> Self {
        let request = Request::get(&format!("/live{query}"))
            .header("Cookie", &browser.cookies())
            .header("Sec-Fetch-Site", "same-origin");
        let mut connection = server.connect();
        connection.write(&request.to_bytes()).expect("a request");
        let (status, headers) = connection.read_head().expect("a head");
        let header = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, v)| v.as_str());
        assert_eq!(status, 200);
        assert_eq!(header("content-type"), Some("text/event-stream"));
        assert_eq!(header("cache-control"), Some("no-store"));
        Self { connection, text: String::new() }
    }

    /// The next counts that hold what is asked of them.
    fn counts(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let chunk = self.chunk().expect("the stream goes on");
            let Some(data) = chunk.split("event: counts\ndata: ").nth(1) else { continue };
            let counts: Value = serde_json::from_str(data.lines().next().expect("a line")).expect("JSON");
            if wanted(&counts) {
                return counts;
            }
        }
    }

    /// The next message; none at a clean end.
    fn chunk(&mut self) -> Option<String> {
        let chunk = self.connection.chunk().expect("a whole chunk");
        let text = String::from_utf8(chunk).expect("text");
        self.text.push_str(&text);
        (!text.is_empty()).then_some(text)
    }

    /// Everything until its clean end.
    fn rest(mut self) -> String {
        while self.chunk().is_some() {}
        self.text
    }
}

#[test]
fn a_window_is_told_how_many_and_never_what() {
    let (_home, server) = with_admin();
    let browser = login(&server, "admin", PASSWORD);
    let mut all = Stream::open(&server, &browser, "");
    assert_eq!(all.counts(|_| true)["events"], 0);
    let since = "2020-01-01T00:00:00Z";
    let mut list = Stream::open(&server, &browser, &format!("?q=is%3Aunresolved&since={since}"));
    assert_eq!(list.counts(|_| true)["changed"], 0);
    let canary = ["nobody", "may", "read", "this"].join("-");
    server.post("/api/v1/events", &json!({ "message": canary, "type": "LiveError", "priority": "P0" }));
    let told = all.counts(|counts| counts["events"] == 1);
    assert_eq!((&told["unresolved"], &told["urgent"], &told["held"]), (&json!(1), &json!(1), &json!(0)));
    assert_eq!(told.get("changed"), None, "no list was asked for");
    let told = list.counts(|counts| counts["changed"] == 1);
    assert_eq!(told["new"], 1);
    // Of what is older than the list nothing is new, and what cannot be read counts nothing.
    let mut later = Stream::open(&server, &browser, "?q=is%3Aunresolved&since=2099-01-01T00:00:00Z");
    assert_eq!(later.counts(|_| true)["changed"], 0);
    let mut odd = Stream::open(&server, &browser, "?q=is%3Anonsense&since=2020-01-01T00:00:00Z");
    assert_eq!(odd.counts(|_| true).get("changed"), None);
    for text in [&all.text, &list.text, &later.text, &odd.text] {
        assert!(!text.contains(&canary) && !text.contains("LiveError"), "{text}");
    }
}

#[test]
fn nobody_looks_without_a_session_or_from_another_page() {
    let (_home, server) = with_admin();
    let browser = login(&server, "admin", PASSWORD);
    let bearer = format!("Bearer {}", server.token());
    for (what, request, status) in [
        ("nothing", Request::get("/live"), 401),
        ("a token", Request::get("/live").header("Authorization", &bearer), 401),
        ("a token in the address", Request::get(&format!("/live?access_token={}", server.token())), 401),
        (
            "another site's page",
            Request::get("/live").header("Cookie", &browser.cookies()).header("Sec-Fetch-Site", "cross-site"),
            403,
        ),
        (
            "another origin",
            Request::get("/live")
                .header("Cookie", &browser.cookies())
                .header("Origin", "https://evil.example"),
            403,
        ),
    ] {
        assert_eq!(server.send(&request).status, status, "{what}");
    }
}

#[test]
fn a_stream_ends_with_its_session() {
    let (home, server) = with_admin();
    user(&home, "jo", "operator");
    let admin = login(&server, "admin", PASSWORD);
    let ended = |what: &str, end: &dyn Fn(&Browser)| {
        let browser = login(&server, "jo", OTHER);
        let mut stream = Stream::open(&server, &browser, "");
        stream.counts(|_| true);
        end(&browser);
        let text = stream.rest();
        assert!(text.ends_with("event: end\ndata: {}\n\n"), "{what}: {text}");
        let again = Request::get("/live").header("Cookie", &browser.cookies());
        assert_eq!(server.send(&again).status, 401, "{what}");
    };
    ended("logged out", &|browser| {
        assert_eq!(browser.send(&server, "POST", "/api/v1/auth/logout", &json!({})).status, 204);
    });
    ended("another role", &|_| {
        let change = json!({ "role": "viewer" });
        assert_eq!(admin.send(&server, "PATCH", "/api/v1/users/jo", &change).status, 200);
    });
    ended("closed", &|_| {
        let change = json!({ "disabled": true });
        assert_eq!(admin.send(&server, "PATCH", "/api/v1/users/jo", &change).status, 200);
    });
}

#[test]
fn one_session_has_a_few_windows_and_the_newest_are_served() {
    let (_home, server) = with_admin();
    let browser = login(&server, "admin", PASSWORD);
    let open = || {
        let mut stream = Stream::open(&server, &browser, "");
        stream.counts(|_| true);
        stream
    };
    let mut streams: Vec<Stream> = (0..5).map(|_| open()).collect();
    let oldest = streams.remove(0).rest();
    assert!(oldest.ends_with("event: end\ndata: {}\n\n"), "{oldest}");
    server.post("/api/v1/events", &json!({ "message": "one" }));
    for stream in &mut streams {
        stream.counts(|counts| counts["events"] == 1);
    }
}

#[test]
fn a_stop_waits_for_nobody_who_looks() {
    let (home, server) = with_admin();
    let browser = login(&server, "admin", PASSWORD);
    let mut streams: Vec<Stream> = (0..3).map(|_| Stream::open(&server, &browser, "")).collect();
    for stream in &mut streams {
        stream.counts(|_| true);
    }
    let (status, printed) = server.stop();
    assert!(status.success(), "{}", String::from_utf8_lossy(&printed));
    for stream in streams {
        let _clean_end = stream.rest();
    }
    let log = std::fs::read_to_string(home.path().join(".actifix/logs/actifix.log")).expect("a log");
    assert!(!log.contains("cut off after the drain time"), "{log}");
}
