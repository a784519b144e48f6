//! What people keep and choose: views, rows of the list, how pages look.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::http::Request;
use crate::pages::{page, submit};
use crate::people::{Browser, OTHER, PASSWORD, login, user, with_admin};

#[test]
fn a_list_is_kept_under_a_name_by_each_for_themselves() {
    let (home, server) = with_admin();
    user(&home, "jo", "viewer");
    let (admin, jo) = (login(&server, "admin", PASSWORD), login(&server, "jo", OTHER));
    let save = |browser: &Browser, act: &str, name: &str, q: &str| {
        let fields = [("csrf", browser.csrf.as_str()), ("act", act), ("name", name), ("q", q)];
        submit(&server, browser, "/views", &fields)
    };
    let name = "<img src=x onerror=alert(1)>\"'";
    let saved = save(&admin, "save", name, "is:open priority:P1");
    assert_eq!(
        saved.header("location"),
        Some("/tickets?q=is%3Aopen+priority%3AP1&done=view"),
        "{}",
        saved.text()
    );
    let shown = page(&server, &admin, "/tickets").text();
    assert!(shown.contains("&lt;img src=x") || shown.contains("&#60;img src=x"), "{shown}");
    assert!(!shown.contains("<img src=x"), "{shown}");
    assert!(!page(&server, &jo, "/tickets").text().contains("img src=x"), "another's is not shown");
    assert_eq!(save(&jo, "remove", name, "").status, 404);
    assert_eq!(save(&jo, "save", "mine", "is:nonsense").status, 422);
    assert_eq!(save(&jo, "save", "", "is:open").status, 422);
    for number in 0..20 {
        assert_eq!(save(&jo, "save", &format!("view {number}"), "is:open").status, 303);
    }
    let one_more = save(&jo, "save", "one more", "is:open");
    assert_eq!(one_more.status, 409);
    assert!(one_more.text().contains("remove one first"), "{}", one_more.text());
    assert_eq!(save(&admin, "remove", name, "").status, 303);
    assert!(!page(&server, &admin, "/tickets").text().contains("img src=x"));
}

#[test]
fn many_tickets_are_worked_by_one_form() {
    let (_home, server) = with_admin();
    let admin = login(&server, "admin", PASSWORD);
    let ids: Vec<String> = (0..3)
        .map(|number| {
            let event = json!({ "message": format!("bulk {number}"), "fingerprint": [format!("b{number}")] });
            server.post("/api/v1/events", &event)["ticket_id"].as_str().expect("an id").to_owned()
        })
        .collect();
    let act = |act: &str, more: &[(&str, &str)]| {
        let mut fields = vec![("csrf", admin.csrf.as_str()), ("act", act), ("here", "/tickets?q=is%3Aopen")];
        fields.extend(ids.iter().map(|id| ("id", id.as_str())));
        fields.extend(more);
        submit(&server, &admin, "/tickets", &fields)
    };
    let all = |member: &str| -> Vec<Value> {
        ids.iter().map(|id| server.get(&format!("/api/v1/tickets/{id}"))[member].clone()).collect()
    };
    let asked = act("resolve", &[]);
    assert_eq!(asked.status, 200);
    assert!(asked.text().contains("Resolve 3 tickets"), "{}", asked.text());
    let evidence = [
        ("sure", "yes"),
        ("root_cause", "the gateway closed too early"),
        ("no_commit_reason", "fixed by a setting of the gateway"),
        ("no_test_reason", "the gateway is not ours to test"),
    ];
    let short = act("resolve", &[("sure", "yes"), ("root_cause", "x")]);
    assert_eq!(short.status, 422, "{}", short.text());
    assert!(short.text().contains("Not done.") && short.text().contains("Root cause"), "{}", short.text());
    assert_eq!(all("status"), ["open", "open", "open"]);
    let given = act("assign", &[("sure", "yes"), ("assignee", "kim")]);
    assert_eq!(given.header("location"), Some("/tickets?q=is%3Aopen&done=assigned"), "{}", given.text());
    assert_eq!(all("assignee"), ["kim", "kim", "kim"]);
    assert_eq!(act("resolve", &evidence).header("location"), Some("/tickets?q=is%3Aopen&done=resolved"));
    assert_eq!(all("status"), ["resolved", "resolved", "resolved"]);
    assert_eq!(act("reopen", &[]).status, 303);
    assert_eq!(act("ignore", &[]).status, 303);
    assert_eq!(all("status"), ["ignored", "ignored", "ignored"]);
    // More than a page of them is refused whole, and a way back to another host is not taken.
    let many: Vec<String> = (0..101).map(|number| format!("ACT-20261124-{number:05}")).collect();
    let mut fields = vec![("csrf", admin.csrf.as_str()), ("act", "ignore")];
    fields.extend(many.iter().map(|id| ("id", id.as_str())));
    assert_eq!(submit(&server, &admin, "/tickets", &fields).status, 422);
    for here in ["//evil.example/tickets", "https://evil.example", "/\\evil.example", "/logout"] {
        let fields = [("csrf", admin.csrf.as_str()), ("act", "mine"), ("here", here)];
        let place = submit(&server, &admin, "/tickets", &fields);
        assert_eq!(place.header("location"), Some("/tickets?done=none"), "{here}");
    }
}

#[test]
fn how_pages_look_is_one_of_few_words() {
    let (_home, server) = with_admin();
    let admin = login(&server, "admin", PASSWORD);
    let set = [("csrf", admin.csrf.as_str()), ("theme", "dark"), ("density", "roomy"), ("keys", "off")];
    let answer = submit(&server, &admin, "/display", &set);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/display?done=look")));
    assert!(answer.header("set-cookie").expect("a cookie").starts_with("actifix-look=dark.roomy.keyless;"));
    let with = |look: &str, path: &str| {
        let cookies = format!("{}; actifix-look={look}", admin.cookies());
        server.send(&Request::get(path).header("Accept", "text/html").header("Cookie", &cookies)).text()
    };
    let dark = with("dark.roomy.keyless", "/");
    assert!(dark.contains("<html lang=\"en\" data-theme=\"dark\" data-density=\"roomy\">"), "{dark}");
    assert!(dark.contains("data-keys=\"off\""));
    assert!(with("dark", "/tickets/ACT-20000101-AAAAA").contains("data-theme=\"dark\""), "errors too");
    let odd = with("\"><script>alert(1)</script>", "/");
    assert!(odd.contains("<html lang=\"en\">") && !odd.contains("<script>alert"), "{odd}");
    let evil = [("csrf", admin.csrf.as_str()), ("theme", "x; Domain=evil.example")];
    let cookie = submit(&server, &admin, "/display", &evil);
    assert!(cookie.header("set-cookie").expect("a cookie").starts_with("actifix-look=;"));
}

#[test]
fn one_stylesheet_and_one_script_stay_small() {
    let (_home, server) = with_admin();
    let admin = login(&server, "admin", PASSWORD);
    let html = page(&server, &admin, "/").text();
    let mut bytes = 0;
    let files: BTreeSet<&str> = html
        .split("/assets/")
        .skip(1)
        .map(|rest| rest.split(['"', '#']).next().expect("a name"))
        .filter(|name| name.ends_with(".css") || name.ends_with(".js"))
        .collect();
    assert_eq!(files.len(), 2, "{files:?}");
    for name in files {
        let file = server.send(&Request::get(&format!("/assets/{name}")));
        assert_eq!(file.status, 200);
        bytes += file.text().len();
    }
    assert!(bytes <= 60_000, "{bytes}");
    assert!(html.matches("<script").count() == 1 && html.matches("stylesheet").count() == 1);
}
