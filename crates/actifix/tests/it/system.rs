//! Pages of the system as people of each role, an attacker, and a reader of the next page see them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::backups::wait_until;
use crate::fates::{poisoned, quarantined};
use crate::harness::{Home, Server};
use crate::http::Request;
use crate::pages::{form, page, submit};
use crate::people::{Browser, OTHER, PASSWORD, login, user, with_admin, with_admin_and};

/// Routes of the dashboard, as its router writes them.
const ROUTER: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../actifix-web/src/dashboard.rs"));

const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x>";

/// What it takes to see a page, and to send its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Needs {
    /// Nothing.
    Nothing,
    /// A session.
    Person,
    Operator,
    Admin,
    /// Nobody may: there is no such method.
    Never,
}

use Needs::{Admin, Never, Nothing, Operator, Person};

/// A path, what GET needs, and what its acts need.
type Route = (&'static str, Needs, &'static [(&'static str, Needs)]);

/// Every route.
const ROUTES: [Route; 30] = [
    ("/", Person, &[]),
    ("/login", Nothing, &[]),
    ("/logout", Never, &[]),
    (
        "/tickets",
        Person,
        &[
            ("mine", Operator),
            ("ignore", Operator),
            ("reopen", Operator),
            ("assign", Operator),
            ("resolve", Operator),
        ],
    ),
    ("/views", Never, &[("save", Person)]),
    ("/tickets/{id}", Person, &[("mine", Operator), ("note", Operator), ("approve", Operator)]),
    ("/tickets/{id}/events", Person, &[]),
    ("/events/{id}", Person, &[]),
    ("/events/{id}/json", Person, &[]),
    ("/held", Person, &[("promote", Operator), ("reset", Admin)]),
    ("/findings", Person, &[]),
    ("/releases", Person, &[]),
    ("/releases/{version}", Person, &[]),
    ("/projects", Person, &[]),
    ("/projects/{name}", Person, &[]),
    ("/quarantine", Operator, &[("release", Operator), ("delete", Operator)]),
    ("/doctor", Admin, &[("look", Admin)]),
    ("/alerts", Admin, &[("try", Admin), ("save", Admin), ("remove", Admin)]),
    (
        "/channels",
        Admin,
        &[
            ("add", Admin),
            ("test", Admin),
            ("on", Admin),
            ("off", Admin),
            ("rotate", Admin),
            ("remove", Admin),
        ],
    ),
    ("/deliveries", Admin, &[("redeliver", Admin)]),
    (
        "/users",
        Admin,
        &[
            ("create", Admin),
            ("role", Admin),
            ("disable", Admin),
            ("enable", Admin),
            ("unlock", Admin),
            ("factor", Admin),
            ("password", Admin),
        ],
    ),
    ("/tokens", Admin, &[("create", Admin), ("rotate", Admin), ("revoke", Admin)]),
    ("/sessions", Person, &[("all", Admin)]),
    ("/audit", Admin, &[("verify", Admin)]),
    ("/backups", Admin, &[("create", Admin), ("verify", Admin), ("integrity", Admin)]),
    ("/settings", Admin, &[("try", Admin), ("hold", Admin), ("release", Admin)]),
    ("/display", Person, &[("look", Person)]),
    ("/about", Person, &[]),
    ("/about/sbom.json", Person, &[]),
    ("/live", Person, &[]),
];

fn filled(path: &str, ticket: &str, event: &str) -> String {
    let id = if path.starts_with("/events") { event } else { ticket };
    path.replace("{id}", id).replace("{name}", "default").replace("{version}", "shop@1")
}

/// Fields that would do each act, if it were let.
fn fields<'a>(act: &'a str, csrf: &'a str, ticket: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("csrf", csrf),
        ("act", act),
        ("sure", "yes"),
        ("id", ticket),
        ("name", "admin"),
        ("project", "default"),
        ("what", "default"),
        ("reason", "because"),
        ("role", "viewer"),
        ("password", OTHER),
        ("q", "is:open"),
        ("text", "a note"),
        ("root_cause", "a cause that is long enough"),
        ("no_commit_reason", "there is none at all"),
        ("no_test_reason", "there is none at all"),
        ("assignee", "somebody"),
        ("triggers", "new"),
    ]
}

#[test]
fn every_route_of_the_dashboard_is_in_the_table() {
    let named: BTreeSet<&str> =
        ROUTER.split(".route(\"").skip(1).map(|rest| rest.split('"').next().expect("a path")).collect();
    let known: BTreeSet<&str> = ROUTES.iter().map(|(path, ..)| *path).chain(["/assets/{name}"]).collect();
    assert_eq!(named, known);
    for line in ROUTER.lines().filter(|line| line.contains(".route(\"")) {
        let path = line.split('"').nth(1).expect("a path");
        let Some((_, get, acts)) = ROUTES.iter().find(|(known, ..)| *known == path) else { continue };
        assert_eq!(line.contains("get("), *get != Never, "{line}");
        let open = matches!(path, "/login" | "/logout" | "/findings");
        assert_eq!(line.contains("post("), open || !acts.is_empty(), "{line}");
    }
}

#[test]
fn each_page_and_act_is_for_those_who_may() {
    let home = Home::new();
    home.cli_stdin(&["admin", "set-password", "--stdin"], PASSWORD.as_bytes()).ok();
    let server = Server::start(home.clone(), &[("ACTIFIX_RATE_LIMIT_DISABLED", "1")]);
    for role in ["viewer", "operator"] {
        user(&home, role, role);
    }
    let entry = quarantined(&server);
    let made = server.post("/api/v1/events", &json!({ "message": "one", "release": "shop@1" }));
    let (ticket, event) = (made["ticket_id"].as_str().unwrap(), made["event_id"].as_str().unwrap());
    for (role, holds, password) in
        [("viewer", Person, OTHER), ("operator", Operator, OTHER), ("admin", Admin, PASSWORD)]
    {
        let browser = login(&server, role, password);
        let menu = page(&server, &browser, "/").text();
        for (path, needs, acts) in &ROUTES {
            if *path == "/live" {
                continue;
            }
            let place = filled(path, ticket, event);
            if *needs != Never {
                let answer = page(&server, &browser, &place);
                let expected = if *needs <= holds { 200 } else { 403 };
                assert_eq!(answer.status, expected, "GET {place} as {role}: {}", answer.text());
                // What is not for somebody is not shown to them.
                if path.matches('/').count() == 1 && matches!(needs, Operator | Admin) {
                    let link = format!("href=\"{place}\"");
                    assert_eq!(menu.contains(&link), *needs <= holds, "{link} in the menu of {role}");
                }
            }
            for (act, needs) in acts.iter().filter(|(_, needs)| *needs > holds) {
                let id = if *path == "/quarantine" { entry.as_str() } else { ticket };
                let answer = submit(&server, &browser, &place, &fields(act, &browser.csrf, id));
                assert_eq!(answer.status, 403, "{act} on {place} as {role} ({needs:?}): {}", answer.text());
            }
        }
    }
    assert_eq!(server.get(&format!("/api/v1/tickets/{ticket}"))["status"], "open");
    assert_eq!(server.list("/api/v1/users").len(), 3);
    // The refusals are in the log, with who was refused.
    let refused = server.list("/api/v1/audit?action=access.refused&user=viewer");
    assert!(refused.iter().all(|row| row["actor"] == "user:viewer" && row["result"] == "refused"));
    assert!(refused.iter().any(|row| row["target"] == "GET /quarantine"), "{refused:?}");
}

/// What forms change, as the API tells it.
fn state(server: &Server) -> Vec<Value> {
    let mut all: Vec<Value> = [
        "/api/v1/users",
        "/api/v1/tokens",
        "/api/v1/webhooks",
        "/api/v1/alert-rules",
        "/api/v1/quarantine",
        "/api/v1/backups",
        "/api/v1/backups/runs",
        "/api/v1/retention",
        "/api/v1/integrity",
    ]
    .map(|path| server.get(path))
    .into();
    // Refusals are recorded; nothing else may be.
    all.push(server.get("/api/v1/audit?result=ok&limit=1")["items"][0]["seq"].clone());
    for times in all.iter_mut().filter_map(|value| value.get_mut("items")?.as_array_mut()).flatten() {
        if let Some(members) = times.as_object_mut() {
            members.remove("last_used_at");
        }
    }
    all
}

#[test]
fn forms_of_others_and_addresses_change_nothing() {
    let home = Home::new();
    home.cli_stdin(&["admin", "set-password", "--stdin"], PASSWORD.as_bytes()).ok();
    let server = Server::start(home.clone(), &[("ACTIFIX_RATE_LIMIT_DISABLED", "1")]);
    let entry = quarantined(&server);
    let made = server.post("/api/v1/events", &json!({ "message": "one" }));
    let (ticket, event) = (made["ticket_id"].as_str().unwrap(), made["event_id"].as_str().unwrap());
    let (browser, other) = (login(&server, "admin", PASSWORD), login(&server, "admin", PASSWORD));
    let before = state(&server);
    let mut asked = 0;
    for (path, needs, acts) in &ROUTES {
        let place = filled(path, ticket, event);
        for (act, _) in acts.iter() {
            let id = if *path == "/quarantine" { entry.as_str() } else { ticket };
            let send = |csrf: &str| form(&place, &fields(act, csrf, id)).header("Cookie", &browser.cookies());
            for (what, request) in [
                ("no token", send("")),
                ("a token of another session", send(&other.csrf)),
                ("another site", send(&browser.csrf).header("Sec-Fetch-Site", "cross-site")),
                ("another origin", send(&browser.csrf).header("Origin", "https://evil.example")),
            ] {
                let answer = server.send(&request.header("Accept", "text/html"));
                assert_eq!(answer.status, 403, "{act} on {place} with {what}");
                assert_eq!(answer.header("cache-control"), Some("no-store"));
            }
            // The same in an address: whoever follows a link does nothing by it.
            if *needs != Never {
                let query = url::form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(fields(act, &browser.csrf, id))
                    .finish();
                let answer = page(&server, &browser, &format!("{place}?{query}"));
                assert!(matches!(answer.status, 200 | 400), "{place}: {}", answer.status);
            }
            asked += 1;
        }
    }
    assert!(asked > 30, "{asked}");
    assert_eq!(state(&server), before);
    assert_eq!(server.get(&format!("/api/v1/tickets/{ticket}"))["status"], "open");
}

#[test]
fn what_cannot_be_taken_back_is_asked_with_its_name() {
    let (_home, server) = with_admin();
    let browser = login(&server, "admin", PASSWORD);
    let entry = quarantined(&server);
    let listed = page(&server, &browser, "/quarantine").text();
    assert!(listed.contains(&entry) && listed.contains("could not be redacted"), "{listed}");
    let act = |act: &str, sure: bool| {
        let mut fields = vec![("csrf", browser.csrf.as_str()), ("act", act), ("id", &entry)];
        if sure {
            fields.push(("sure", "yes"));
        }
        submit(&server, &browser, "/quarantine", &fields)
    };
    let asked = act("delete", false);
    assert_eq!(asked.status, 200);
    assert!(asked.text().contains(&format!(">Delete {entry}</button>")), "{}", asked.text());
    assert_eq!(server.list("/api/v1/quarantine").len(), 1, "asked is not done");
    let done = act("delete", true);
    assert_eq!((done.status, done.header("location")), (303, Some("/quarantine?done=deleted")));
    let empty = page(&server, &browser, "/quarantine?done=deleted").text();
    assert!(
        empty.contains("The entry is deleted.") && empty.contains("Nothing is in quarantine."),
        "{empty}"
    );
    assert_eq!(act("delete", true).status, 404);

    let other = poisoned(&server, "60");
    let fields = [("csrf", browser.csrf.as_str()), ("act", "release"), ("id", &other), ("sure", "yes")];
    assert_eq!(submit(&server, &browser, "/quarantine", &fields).status, 303);
    assert!(server.list("/api/v1/quarantine").is_empty());
    assert_eq!(server.list("/api/v1/tickets?search=poisoned").len(), 1);
}

fn cell(text: &str, id: &str) -> String {
    let after =
        text.split(&format!("<code id=\"{id}\">")).nth(1).unwrap_or_else(|| panic!("no {id}: {text}"));
    after.split('<').next().expect("its text").to_owned()
}

#[test]
fn a_token_is_shown_once_and_replaced_and_revoked() {
    let (_home, server) = with_admin();
    let browser = login(&server, "admin", PASSWORD);
    let act = |fields: &[(&str, &str)]| {
        let mut all = vec![("csrf", browser.csrf.as_str())];
        all.extend(fields);
        submit(&server, &browser, "/tokens", &all)
    };
    let made = act(&[("act", "create"), ("name", HOSTILE), ("role", "viewer"), ("days", "7")]);
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let (text, token) = (made.text(), cell(&made.text(), "token"));
    assert!(token.starts_with("afx_") && text.contains("It is not shown again"), "{text}");
    assert!(!text.contains("<script>alert") && !text.contains("<img src=x"), "{text}");
    let works = |token: &str| {
        let bearer = format!("Bearer {token}");
        server.send(&Request::get("/api/v1/tickets").header("Authorization", &bearer)).status
    };
    assert_eq!(works(&token), 200);
    let listed = page(&server, &browser, "/tokens").text();
    assert!(!listed.contains(&token) && listed.contains("&lt;script&gt;"), "{listed}");
    assert!(!listed.contains("<script>alert"), "{listed}");
    let id =
        server.list("/api/v1/tokens").iter().find(|row| row["name"] == HOSTILE).expect("it")["id"].clone();
    let id = id.as_str().expect("an id");
    // More than a person may give, and nonsense, are told on the page.
    for (field, value) in [("days", "91"), ("days", "soon"), ("role", "root"), ("project", "nowhere")] {
        let refused = act(&[
            ("act", "create"),
            ("name", "x"),
            (if field == "role" { "none" } else { "role" }, "viewer"),
            (field, value),
        ]);
        assert!(matches!(refused.status, 404 | 422), "{field}: {}", refused.text());
    }
    let asked = act(&[("act", "rotate"), ("id", id)]).text();
    assert!(asked.contains("Overlap, hours") && !asked.contains("<script>alert"), "{asked}");
    let rotated = act(&[("act", "rotate"), ("id", id), ("sure", "yes"), ("overlap", "0")]);
    assert_eq!(rotated.status, 201, "{}", rotated.text());
    let second = cell(&rotated.text(), "token");
    assert_eq!((works(&second), works(&token)), (200, 401));
    let rows = server.list("/api/v1/tokens");
    let live = rows.iter().filter(|row| row["name"] == HOSTILE && row["replaced"] == false);
    let id = live.map(|row| row["id"].as_str().expect("an id").to_owned()).next().expect("the new one");
    assert_eq!(act(&[("act", "revoke"), ("id", &id)]).status, 200);
    assert_eq!(works(&second), 200, "asked is not done");
    assert_eq!(act(&[("act", "revoke"), ("id", &id), ("sure", "yes")]).status, 303);
    assert_eq!(works(&second), 401);
    let log = server.home.path().join(".actifix/logs/actifix.log");
    assert!(!std::fs::read_to_string(log).expect("a log").contains(&token));
}

#[test]
fn accounts_and_sessions_are_kept_by_forms() {
    let (_home, server) = with_admin();
    let admin = login(&server, "admin", PASSWORD);
    let act = |path: &str, fields: &[(&str, &str)]| {
        let mut all = vec![("csrf", admin.csrf.as_str())];
        all.extend(fields);
        submit(&server, &admin, path, &all)
    };
    let made = act("/users", &[("act", "create"), ("name", "jo"), ("role", "operator"), ("password", OTHER)]);
    assert_eq!(made.header("location"), Some("/users?done=created"), "{}", made.text());
    let short =
        act("/users", &[("act", "create"), ("name", "kim"), ("role", "viewer"), ("password", "short")]);
    assert_eq!(short.status, 422);
    assert!(short.text().contains("Not done.") && short.text().contains("id=\"u-jo\""), "{}", short.text());
    let hostile =
        act("/users", &[("act", "create"), ("name", HOSTILE), ("role", "viewer"), ("password", OTHER)]);
    assert_eq!(hostile.status, 422);
    assert!(!hostile.text().contains("<script>alert"), "{}", hostile.text());

    let jo = login(&server, "jo", OTHER);
    assert_eq!(page(&server, &jo, "/quarantine").status, 200);
    let all = page(&server, &admin, "/sessions?all=yes").text();
    assert!(all.contains("<b>jo</b>") && all.contains("this one"), "{all}");
    assert_eq!(page(&server, &jo, "/sessions?all=yes").status, 403);
    assert_eq!(act("/users", &[("act", "role"), ("name", "jo"), ("role", "viewer")]).status, 200);
    assert_eq!(page(&server, &jo, "/").status, 200, "asked is not done");
    let role = act("/users", &[("act", "role"), ("name", "jo"), ("role", "viewer"), ("sure", "yes")]);
    assert_eq!(role.status, 303, "{}", role.text());
    assert_eq!(page(&server, &jo, "/").status, 303, "rights were lost, so the session ended");

    let (jo, second) = (login(&server, "jo", OTHER), login(&server, "jo", OTHER));
    let own = page(&server, &jo, "/sessions").text();
    let ids: Vec<&str> = own
        .split("name=\"id\" value=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().expect("an id"))
        .collect();
    assert_eq!(ids.len(), 2, "{own}");
    let this = own.find("this one").expect("a mark");
    let of_other = if own.find(ids[0]).expect("it") > this { ids[1] } else { ids[0] };
    let of_other = ids.iter().find(|id| **id == of_other).expect("the other");
    for id in &ids {
        let fields = [("csrf", jo.csrf.as_str()), ("act", "end"), ("id", id)];
        if id != of_other {
            continue;
        }
        assert_eq!(submit(&server, &jo, "/sessions", &fields).status, 303);
    }
    let left = [page(&server, &jo, "/").status, page(&server, &second, "/").status];
    assert_eq!(left.iter().filter(|status| **status == 200).count(), 1, "{left:?}");

    let closed = act("/users", &[("act", "disable"), ("name", "jo"), ("sure", "yes")]);
    assert_eq!(closed.status, 303);
    assert_eq!(crate::people::try_login(&server, "jo", OTHER, None).status, 401);
    assert!(page(&server, &admin, "/users").text().contains("closed"));
    assert_eq!(act("/users", &[("act", "enable"), ("name", "jo"), ("sure", "yes")]).status, 303);
    let jo = login(&server, "jo", OTHER);
    let new = "eleven quiet paper boats";
    let mine = [("csrf", jo.csrf.as_str()), ("act", "password"), ("current", OTHER), ("password", new)];
    let wrong = [("csrf", jo.csrf.as_str()), ("act", "password"), ("current", new), ("password", new)];
    let refused = submit(&server, &jo, "/sessions", &wrong);
    assert_eq!(refused.status, 403);
    assert!(!refused.text().contains(new));
    assert_eq!(submit(&server, &jo, "/sessions", &mine).status, 303);
    assert_eq!(page(&server, &jo, "/").status, 303, "all own sessions ended");
    login(&server, "jo", new);
}

#[test]
fn the_audit_log_is_searched_paged_and_proven() {
    let (_home, server) = with_admin();
    let admin = login(&server, "admin", PASSWORD);
    assert_eq!(crate::people::try_login(&server, "admin", OTHER, None).status, 401);
    let shown = page(&server, &admin, "/audit?user=admin&action=login.failed&ip=127.0.0.1").text();
    assert!(
        shown.contains("<code>login.failed</code>") && !shown.contains("<code>login.ok</code>"),
        "{shown}"
    );
    let none = page(&server, &admin, "/audit?since=2099-01-01").text();
    assert!(none.contains("No row matches"), "{none}");
    let odd = page(&server, &admin, "/audit?since=yesterday").text();
    assert!(odd.contains("times are written as"), "{odd}");
    let hostile = url::form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect::<String>();
    for field in ["since", "ip", "user", "action", "result", "done", "cursor"] {
        let answer = page(&server, &admin, &format!("/audit?{field}={hostile}"));
        assert!(!answer.text().contains("<script>alert"), "{field}: {}", answer.text());
    }
    for _ in 0..60 {
        server.call("POST", "/api/v1/throttle/reset", Some(&json!({})));
    }
    let first = page(&server, &admin, "/audit").text();
    let next = first.split("rel=\"next\" href=\"").nth(1).and_then(|rest| rest.split('"').next());
    let next =
        next.unwrap_or_else(|| panic!("no next page: {first}")).replace("&#38;", "&").replace("&amp;", "&");
    let older = page(&server, &admin, &next);
    assert_eq!(older.status, 200);
    assert!(older.text().contains(">Newest</a>"));
    let verify = |server: &Server, browser: &Browser| {
        let fields = [("csrf", browser.csrf.as_str()), ("act", "verify")];
        submit(server, browser, "/audit", &fields).text()
    };
    let text = verify(&server, &admin);
    assert!(text.contains("The log is whole."), "{text}");
}

#[test]
fn rules_are_tried_before_they_are_saved_and_channels_tell_no_address() {
    let (_home, server) = with_admin();
    let admin = login(&server, "admin", PASSWORD);
    let act = |path: &str, fields: &[(&str, &str)]| {
        let mut all = vec![("csrf", admin.csrf.as_str())];
        all.extend(fields);
        submit(&server, &admin, path, &all)
    };
    server.post("/api/v1/events", &json!({ "message": "told of", "type": "AlertError", "priority": "P0" }));
    let canary = ["path", "that", "is", "secret"].join("-");
    let url = format!("https://alerts.example.net/{canary}");
    let made = act(
        "/channels",
        &[("act", "add"), ("name", "ops"), ("kind", "webhook"), ("url", &url), ("production", "yes")],
    );
    assert_eq!(made.status, 201, "{}", made.text());
    let secret = cell(&made.text(), "secret");
    assert!(secret.starts_with("whsec_"), "{secret}");
    let listed = page(&server, &admin, "/channels").text();
    assert!(
        listed.contains("id=\"w-ops\"") && !listed.contains(&canary) && !listed.contains(&secret),
        "{listed}"
    );
    let odd = act("/channels", &[("act", "add"), ("name", "odd"), ("url", "http://alerts.example.net/x")]);
    assert_eq!(odd.status, 422);
    assert!(odd.text().contains("Not done."), "{}", odd.text());
    let ask = act("/channels", &[("act", "test"), ("name", "ops")]).text();
    assert!(ask.contains("People are called out by it."), "{ask}");

    let rule = [
        ("name", "pay"),
        ("enabled", "yes"),
        ("triggers", "new"),
        ("priority_min", "P1"),
        ("channels", "ops"),
        ("environment", HOSTILE),
    ];
    let with = |act: &'static str| {
        let mut fields = vec![("act", act)];
        fields.extend(rule.iter().filter(|(name, _)| *name != "environment"));
        fields
    };
    let tried = act("/alerts", &with("try")).text();
    assert!(tried.contains("<b>1 message</b>") && tried.contains("AlertError"), "{tried}");
    assert!(tried.contains("value=\"pay\""), "what was written stands in the form: {tried}");
    assert_eq!(server.list("/api/v1/alert-rules").iter().filter(|rule| rule["name"] == "pay").count(), 0);
    assert_eq!(act("/alerts", &with("save")).status, 303);
    let mut hostile = vec![("act", "save")];
    hostile.extend(rule);
    let answer = act("/alerts", &hostile);
    assert!(!answer.text().contains("<script>alert"), "{}", answer.text());
    for (field, value) in [("triggers", "never"), ("users", "many"), ("quiet", "at night"), ("name", "A B")] {
        let mut fields = with("save");
        fields.retain(|(name, _)| name != &field);
        fields.push((field, value));
        let refused = act("/alerts", &fields);
        assert_eq!(refused.status, 422, "{field}: {}", refused.text());
    }
    let edited = page(&server, &admin, "/alerts?edit=pay").text();
    assert!(edited.contains("<h2>Rule pay</h2>"), "{edited}");
    assert_eq!(act("/alerts", &[("act", "remove"), ("name", "pay")]).status, 200);
    assert_eq!(act("/alerts", &[("act", "remove"), ("name", "pay"), ("sure", "yes")]).status, 303);
    assert_eq!(act("/alerts", &[("act", "remove"), ("name", "default-new"), ("sure", "yes")]).status, 404);

    assert_eq!(act("/channels", &[("act", "off"), ("name", "ops")]).status, 303);
    assert!(page(&server, &admin, "/channels?done=off").text().contains("The channel is switched off."));
    assert_eq!(server.get("/api/v1/webhooks/ops")["enabled"], false);
    assert_eq!(page(&server, &admin, "/deliveries?state=dead&channel=ops").status, 200);
    assert_eq!(act("/deliveries", &[("act", "redeliver"), ("id", "none")]).status, 404);
    assert_eq!(act("/channels", &[("act", "remove"), ("name", "ops"), ("sure", "yes")]).status, 303);
    assert!(page(&server, &admin, "/channels").text().contains("Nobody is told of anything."));
}

#[test]
fn backups_settings_and_what_it_is_made_of_are_told() {
    let canary = ["hunter", "2", "typed"].concat();
    let config = format!(
        "[outbound]\nextra_ca = \"\"\n[retention]\nevents_days = 17\n[server]\nhosts = [\"{canary}.example.net\"]\n"
    );
    let (home, server) = with_admin_and(&config.replace("[outbound]\nextra_ca = \"\"\n", ""));
    let admin = login(&server, "admin", PASSWORD);
    let act = |path: &str, fields: &[(&str, &str)]| {
        let mut all = vec![("csrf", admin.csrf.as_str())];
        all.extend(fields);
        submit(&server, &admin, path, &all)
    };
    assert!(page(&server, &admin, "/backups").text().contains("There is no backup."));
    // Nobody could read it: that is told on the page, not by a bare error.
    let refused = act("/backups", &[("act", "create")]);
    assert!(matches!(refused.status, 409 | 422), "{}", refused.text());
    assert!(refused.text().contains("Not done.") && refused.text().contains("There is no backup."));
    assert_eq!(act("/backups", &[("act", "integrity")]).status, 303);
    assert!(page(&server, &admin, "/backups?done=intact").text().contains("nothing is damaged"));

    let settings = page(&server, &admin, "/settings").text();
    assert!(settings.contains("retention.events_days") && settings.contains(">17<"), "{settings}");
    assert!(settings.contains("actifix.toml") && settings.contains("17 days"), "{settings}");
    let counted = act("/settings", &[("act", "try")]).text();
    assert!(counted.contains("What would go now") && counted.contains("Nothing was deleted."), "{counted}");
    let held = act("/settings", &[("act", "hold"), ("what", "default"), ("reason", HOSTILE)]);
    assert_eq!(held.status, 303, "{}", held.text());
    let shown = page(&server, &admin, "/settings").text();
    assert!(shown.contains("&lt;script&gt;") && !shown.contains("<script>alert"), "{shown}");
    assert_eq!(act("/settings", &[("act", "hold"), ("what", "nowhere"), ("reason", "x")]).status, 404);
    let id = server.list("/api/v1/retention/holds")[0]["id"].to_string();
    assert_eq!(act("/settings", &[("act", "release"), ("id", &id)]).status, 303);
    assert!(server.list("/api/v1/retention/holds").is_empty());

    let about = page(&server, &admin, "/about").text();
    assert!(about.contains("<td>rustls</td>") && about.contains("SQLite"), "{about}");
    let sbom = page(&server, &admin, "/about/sbom.json").json();
    assert_eq!(sbom["bomFormat"], "CycloneDX");
    let lock = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock"));
    for of in sbom["components"].as_array().expect("components") {
        let line = format!("name = {}\nversion = {}\n", of["name"], of["version"]);
        assert!(lock.contains(&line), "{line}");
    }
    drop(home);
}

#[test]
fn a_backup_is_made_and_tried_by_a_form() {
    let dir = tempfile::tempdir().expect("a directory");
    let key = dir.path().join("backup.key");
    let made = Home::new().cli(&["backup", "keygen", "--out", key.to_str().expect("a path")]).ok();
    let (_home, server) = with_admin_and(&format!("[backup]\nrecipients = [\"{}\"]\n", made.trim()));
    let admin = login(&server, "admin", PASSWORD);
    let act = |fields: &[(&str, &str)]| {
        let mut all = vec![("csrf", admin.csrf.as_str())];
        all.extend(fields);
        submit(&server, &admin, "/backups", &all)
    };
    // The server makes and tries one of its own at first; who comes meanwhile is told to come again.
    let goes = |fields: &[(&str, &str)], to: &str| wait_until(|| act(fields).header("location") == Some(to));
    goes(&[("act", "create")], "/backups?done=backup");
    let name = server.list("/api/v1/backups")[0]["name"].as_str().expect("a name").to_owned();
    goes(&[("act", "verify"), ("name", &name)], "/backups?done=verified");
    let shown = page(&server, &admin, "/backups?done=verified").text();
    assert!(shown.contains("The newest backup is whole.") && shown.contains(&name), "{shown}");
    assert_eq!(act(&[("act", "verify"), ("name", "../../etc/passwd")]).status, 404);
}
