//! Pages as a browser without script sees them, and as an attacker tries them.

use serde_json::json;

use crate::harness::{Home, Server};
use crate::http::{Answer, Request};
use crate::people::{Browser, PASSWORD, login, user, with_admin, with_admin_and};

/// Every page that shows something of the installation.
pub const PAGES: [&str; 20] = [
    "/",
    "/tickets",
    "/tickets?q=",
    "/held",
    "/findings",
    "/projects",
    "/projects/default",
    "/quarantine",
    "/doctor",
    "/alerts",
    "/channels",
    "/deliveries",
    "/users",
    "/tokens",
    "/sessions",
    "/audit",
    "/backups",
    "/settings",
    "/display",
    "/about",
];

pub fn form(path: &str, fields: &[(&str, &str)]) -> Request {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    Request::post(path, body).header("Content-Type", "application/x-www-form-urlencoded")
}

pub fn page(server: &Server, browser: &Browser, path: &str) -> Answer {
    server.send(&Request::get(path).header("Accept", "text/html").header("Cookie", &browser.cookies()))
}

pub fn submit(server: &Server, browser: &Browser, path: &str, fields: &[(&str, &str)]) -> Answer {
    server.send(
        &form(path, fields).header("Cookie", &browser.cookies()).header("Sec-Fetch-Site", "same-origin"),
    )
}

#[test]
fn nobody_sees_a_page_without_a_session() {
    let (_home, server) = with_admin();
    let event = json!({ "message": "seen by nobody", "type": "PageError" });
    let ticket = server.post("/api/v1/events", &event)["ticket_id"].as_str().expect("an id").to_owned();
    let one = format!("/tickets/{ticket}");
    for path in PAGES.iter().copied().chain([one.as_str()]) {
        let answer = server.send(&Request::get(path).header("Accept", "text/html"));
        assert_eq!(answer.status, 303, "{path}");
        let place = answer.header("location").expect("a location");
        assert!(place.starts_with("/login"), "{path}: {place}");
        assert!(!answer.text().contains("PageError"), "{path}");
    }
    for path in ["/tickets", one.as_str(), "/held", "/findings", "/logout"] {
        let answer = server.send(&form(path, &[("act", "ignore"), ("id", &ticket)]));
        assert_eq!(answer.status, 303, "{path}");
    }
    assert_eq!(server.get(&format!("/api/v1/tickets/{ticket}"))["status"], "open");
    // A token of the API opens no page, so that none has to stand in an address bar.
    let bearer = format!("Bearer {}", server.token());
    assert_eq!(server.send(&Request::get("/tickets").header("Authorization", &bearer)).status, 303);
}

#[test]
fn a_person_signs_in_by_a_form_and_works_a_ticket() {
    let (_home, server) = with_admin();
    let event = json!({ "message": "card declined", "type": "PaymentError" });
    let ticket = server.post("/api/v1/events", &event)["ticket_id"].as_str().expect("an id").to_owned();
    let shown = server.send(&Request::get("/login?next=/held").header("Accept", "text/html"));
    assert!(shown.text().contains("name=\"password\"") && shown.text().contains("value=\"/held\""));
    let wrong = server.send(&form("/login", &[("username", "admin"), ("password", "not the right one")]));
    assert_eq!(wrong.status, 401);
    assert!(wrong.text().contains("is wrong") && !wrong.text().contains("not the right one"));
    let foreign = form("/login", &[("username", "admin"), ("password", PASSWORD)]);
    assert_eq!(server.send(&foreign.header("Sec-Fetch-Site", "cross-site")).status, 403);
    for (next, place) in [("/held", "/held"), ("//evil.example", "/"), ("https://evil.example/", "/")] {
        let fields = [("username", "admin"), ("password", PASSWORD), ("next", next)];
        let answer = server.send(&form("/login", &fields));
        assert_eq!((answer.status, answer.header("location")), (303, Some(place)), "{next}");
        assert_eq!(answer.count("set-cookie"), 2);
    }

    let browser = login(&server, "admin", PASSWORD);
    let list = page(&server, &browser, "/tickets").text();
    assert!(list.contains("PaymentError:") && list.contains(&ticket), "{list}");
    assert!(page(&server, &browser, "/").text().contains("Open by priority"));
    let path = format!("/tickets/{ticket}");
    let act = |fields: &[(&str, &str)]| submit(&server, &browser, &path, fields).status;
    assert_eq!(act(&[("csrf", &browser.csrf), ("act", "mine")]), 303);
    assert_eq!(act(&[("csrf", &browser.csrf), ("act", "note"), ("text", "looking at it")]), 303);
    let shown = page(&server, &browser, &path).text();
    assert!(shown.contains("looking at it") && shown.contains("Why one ticket"), "{shown}");
    // What others sent stands inside the fence of what is copied for an agent, the reason of its grouping too.
    let copied = shown.split("<pre id=\"agent\"").nth(1).expect("the copy");
    let (ours, theirs) = copied.split_once(" UNTRUSTED").expect("a fence");
    assert!(!ours.contains("PaymentError") && theirs.contains("PaymentError"), "{ours}");
    let canary = ["hunter2", "is", "typed", "here"].join("-");
    let odd = submit(&server, &browser, "/tickets", &[("csrf", &browser.csrf), ("act", &canary)]);
    assert_eq!(odd.status, 422);
    let log = std::fs::read_to_string(server.home.path().join(".actifix/logs/actifix.log")).expect("a log");
    assert!(!log.contains(&canary), "what was sent is not for the log");
    // A resolution without a reason is refused, with what is missing, on a page.
    let refused = submit(
        &server,
        &browser,
        &path,
        &[("csrf", &browser.csrf), ("act", "resolve"), ("root_cause", "short")],
    );
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert_eq!(act(&[("csrf", &browser.csrf), ("act", "ignore")]), 303);
    assert_eq!(server.get(&format!("/api/v1/tickets/{ticket}"))["status"], "ignored");
}

#[test]
fn a_form_of_another_page_changes_nothing() {
    let (home, server) = with_admin();
    user(&home, "viewer1", "viewer");
    let event = json!({ "message": "planted", "type": "CsrfError" });
    let ticket = server.post("/api/v1/events", &event)["ticket_id"].as_str().expect("an id").to_owned();
    let path = format!("/tickets/{ticket}");
    let browser = login(&server, "admin", PASSWORD);
    let other = login(&server, "admin", PASSWORD);
    let ignore =
        |csrf: &str| form(&path, &[("csrf", csrf), ("act", "ignore")]).header("Cookie", &browser.cookies());
    for (what, request) in [
        ("no token", ignore("")),
        ("a token of another session", ignore(&other.csrf)),
        ("another site", ignore(&browser.csrf).header("Sec-Fetch-Site", "cross-site")),
        ("another origin", ignore(&browser.csrf).header("Origin", "https://evil.example")),
    ] {
        assert_eq!(server.send(&request).status, 403, "{what}");
    }
    assert_eq!(server.get(&format!("/api/v1{path}"))["status"], "open");
    // Honest forms are no failures, and what is done by them is recorded with where it came from.
    let failures = || {
        let bearer = format!("Bearer {}", server.token());
        let text = server.send(&Request::get("/metrics").header("Authorization", &bearer)).text();
        let line =
            text.lines().find_map(|line| line.strip_prefix("actifix_auth_failures_total{reason=\"csrf\"} "));
        line.map_or(0.0, |count| count.parse::<f64>().expect("a number"))
    };
    let before = failures();
    let act = [("csrf", browser.csrf.as_str()), ("act", "mine")];
    assert_eq!(submit(&server, &browser, &path, &act).status, 303);
    assert!(before >= 4.0, "{before}");
    assert_eq!(failures(), before);
    // Who may only read is offered no action, and has none.
    let viewer = login(&server, "viewer1", crate::people::OTHER);
    assert!(!page(&server, &viewer, &path).text().contains("value=\"ignore\""));
    assert_eq!(submit(&server, &viewer, &path, &[("csrf", &viewer.csrf), ("act", "ignore")]).status, 403);
    let log = home.cli(&["audit", "list", "--json"]).json();
    let of = |who: &str, action: &str| {
        let rows = log["items"].as_array().expect("items").iter();
        let mut found = rows.filter(|row| row["actor"] == who && row["action"] == action);
        found.next().unwrap_or_else(|| panic!("no {action} of {who}: {log}")).clone()
    };
    assert_eq!(of("user:viewer1", "access.refused")["target"], "POST /tickets/{id}");
    assert_eq!(of("user:admin", "ticket.changed")["network"], "127.0.0.1");
    assert_eq!(server.get(&format!("/api/v1{path}"))["status"], "open");
}

#[test]
fn text_of_events_stays_text_on_every_page() {
    let (_home, server) = with_admin();
    let hostile = "</title><script>alert(1)</script>\"><img src=x onerror=alert(2)>'";
    let event = json!({
        "message": hostile, "type": format!("E{hostile}"), "source": format!("a{hostile}.py:3"),
        "tags": { "browser": hostile, format!("k{hostile}"): "v" }, "extra": { hostile: { "deep": [hostile] } },
        "release": hostile, "environment": "production", "user": { "id": hostile, "email": hostile },
        "stacktrace": format!("Traceback (most recent call last):\n  File \"{hostile}\", line 3, in {hostile}\n    {hostile}\nE: {hostile}"),
    });
    let made = server.post("/api/v1/events", &event);
    let (ticket, id) =
        (made["ticket_id"].as_str().expect("an id"), made["event_id"].as_str().expect("an id"));
    let browser = login(&server, "admin", PASSWORD);
    let paths = [
        "/".to_owned(),
        "/tickets".to_owned(),
        format!(
            "/tickets?q={}",
            url::form_urlencoded::byte_serialize(hostile.as_bytes()).collect::<String>()
        ),
        format!("/tickets/{ticket}"),
        format!("/tickets/{ticket}/events"),
        format!("/events/{id}"),
        "/nothing<script>alert(1)</script>".to_owned(),
        "/projects/%3Cscript%3Ealert(1)%3C%2Fscript%3E".to_owned(),
    ];
    for path in &paths {
        let answer = page(&server, &browser, path);
        let text = answer.text();
        assert!(!text.contains("<script>alert") && !text.contains("<img src=x"), "{path}: {text}");
    }
    assert!(page(&server, &browser, &paths[3]).text().contains("&lt;script&gt;alert(1)"));
}

#[test]
fn pages_load_nothing_of_others_and_are_not_kept() {
    let (_home, server) = with_admin();
    let browser = login(&server, "admin", PASSWORD);
    for path in PAGES.iter().copied().chain(["/tickets/ACT-20000101-AAAAA", "/login"]) {
        let answer = page(&server, &browser, path);
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'self';"), "{path}: {policy}");
        assert!(policy.contains("connect-src 'self';"), "{path}: {policy}");
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        let text = answer.text();
        assert!(!text.contains("style=") && !text.contains(" onclick"), "{path}");
        assert!(!text.contains("=\"http") && !text.contains("=\"//"), "{path}: {text}");
        assert!(text.len() < 60_000, "{path}: {} bytes", text.len());
    }
    let missing = page(&server, &browser, "/tickets/ACT-20000101-AAAAA");
    assert_eq!(missing.status, 404);
    assert!(missing.text().contains("There is nothing here"));
    let login = server.send(&Request::get("/login")).text();
    let css = login.split("href=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a stylesheet");
    let file = server.send(&Request::get(css));
    assert_eq!((file.status, file.header("content-type")), (200, Some("text/css; charset=utf-8")));
    assert_eq!(file.header("cache-control"), Some("public, max-age=31536000, immutable"));
}

#[test]
fn every_way_goes_through_the_path_that_the_public_address_has() {
    let home = Home::with_config("[server]\npublic_url = \"http://127.0.0.1:5001/errors\"\n");
    home.cli_stdin(&["admin", "set-password", "--stdin"], PASSWORD.as_bytes()).ok();
    let server = home.serve();
    let to_login = server.send(&Request::get("/held").header("Accept", "text/html"));
    assert_eq!((to_login.status, to_login.header("location")), (303, Some("/errors/login?next=%2Fheld")));
    let fields = [("username", "admin"), ("password", PASSWORD), ("next", "/held")];
    let inside = server.send(&form("/login", &fields));
    assert_eq!((inside.status, inside.header("location")), (303, Some("/errors/held")));
    let browser = login(&server, "admin", PASSWORD);
    for path in PAGES {
        let text = page(&server, &browser, path).text();
        for place in
            text.split("href=\"").chain(text.split("action=\"")).filter(|part| !part.starts_with("<!doctype"))
        {
            let place = place.split('"').next().unwrap_or_default();
            assert!(place.starts_with("/errors/") || place.starts_with('#'), "{path}: {place}");
        }
    }
    let bulk = submit(&server, &browser, "/tickets", &[("csrf", &browser.csrf), ("act", "mine")]);
    assert_eq!((bulk.status, bulk.header("location")), (303, Some("/errors/tickets?done=none")));
}

#[test]
fn a_link_from_elsewhere_is_followed_once_more_with_the_cookie() {
    let (_home, server) = with_admin();
    let from_mail =
        Request::get("/held").header("Accept", "text/html").header("Sec-Fetch-Site", "cross-site");
    let answer = server.send(&from_mail);
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("http-equiv=\"refresh\"") && !answer.text().contains("Held"));
}

/// What a browser gets where there is no page is a page: what, why, where to go; a program gets a document of errors.
#[test]
fn an_error_is_a_page_for_people_and_a_document_for_programs() {
    let (_home, server) = with_admin_and("[limits]\napi_per_minute = 20\n");
    let browser = login(&server, "admin", PASSWORD);
    let as_page = |request: Request| {
        server.send(&request.header("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"))
    };
    let cookie = browser.cookies();
    let large = "x".repeat((1 << 20) + 1);
    let too_large = form("/held", &[("csrf", &browser.csrf), ("act", &large)]).header("Cookie", &cookie);
    let forged = form("/held", &[("csrf", "0"), ("act", "reset")]).header("Cookie", &cookie);
    for (request, status, words) in [
        (Request::get("/nopage"), 404, "There is no such page"),
        (Request::get("/nopage/below?x=1"), 404, "There is no such page"),
        (Request::get("/tickets/ACT-20260101-00000").header("Cookie", &cookie), 404, "There is nothing here"),
        (Request::get("/logout"), 405, "This address is no page"),
        (Request::new("PUT", "/nopage"), 404, "There is no such page"),
        (forged, 403, "This may not be done"),
        (too_large, 413, "That is too much at once"),
    ] {
        let answer = as_page(request);
        assert_eq!(answer.status, status, "{words}: {}", answer.text());
        let html = answer.text();
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{html}");
        for part in [words, "/assets/", "href=\"/tickets\"", "request <code>", "<html lang=\"en\""] {
            assert!(html.contains(part), "{part:?} is not in: {html}");
        }
        assert!(!html.contains("openapi") && !html.contains("Allow header"), "words for programs: {html}");
        assert!(
            answer
                .header("content-security-policy")
                .is_some_and(|policy| policy.contains("style-src 'self'"))
        );
    }
    for request in [
        Request::get("/nopage"),
        Request::get("/nopage").header("Accept", "application/json"),
        Request::get("/nopage").header("Accept", "*/*"),
        Request::get("/api/v1/nopage").header("Accept", "text/html"),
        Request::get("/api/nopage").header("Accept", "text/html"),
        Request::get("/hooks/nobody").header("Accept", "text/html"),
    ] {
        let answer = server.send(&request);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{}", answer.text());
        let problem = answer.json();
        assert_eq!(problem["status"], answer.status, "{problem}");
        assert!(problem["request_id"].is_string() && problem["detail"].is_string(), "{problem}");
    }
    let limited = (0..60)
        .map(|_| as_page(Request::get("/tickets").header("Cookie", &cookie)))
        .find(|answer| answer.status == 429)
        .expect("a limit");
    let seconds = limited.header("retry-after").expect("a time").to_owned();
    let html = limited.text();
    for part in ["Too many requests", &format!("Wait {seconds} second"), "Try again"] {
        assert!(html.contains(part), "{part:?} is not in: {html}");
    }
}

/// Where a listener carries no pages, an error could not have its stylesheet: it is a document there.
#[test]
fn a_listener_without_pages_answers_programs_alone() {
    let home = Home::with_config("modules = [\"ingest\", \"api\"]\n");
    let server = home.serve();
    for path in ["/", "/nopage", "/tickets"] {
        let answer = server.send(&Request::get(path).header("Accept", "text/html"));
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (404, Some("application/problem+json")),
            "{path}"
        );
    }
}
