//! Everything that can be done on the pages, as people do it; the API tells what became of it.

use serde_json::json;

use crate::drives::{self, assert_drove};
use crate::stage::Stage;
use crate::visitor::{PHONE, Visitor};
use crate::webdriver::Scripts;

/// Fits any button by what it does.
fn act(name: &str) -> String {
    format!("main button[name=act][value={name}]")
}

#[test]
fn a_ticket_is_worked_from_assignment_to_resolution() {
    for scripts in [Scripts::On, Scripts::Off] {
        let stage = Stage::empty();
        // By the public key, as anybody could: agents do not have it yet.
        let planted = json!({ "type": "PaymentError", "value": "card declined" });
        stage.store(&json!({ "exception": { "values": [planted] } }));
        let ticket = stage.first("PaymentError");
        let other = stage.ticket("GatewayError", "the gateway hung up");
        let mut visitor = Visitor::with(stage.server.address, scripts);
        visitor.sign_in(&format!("/tickets/{ticket}"));

        visitor.follow(&act("mine"));
        visitor.see("dd", "admin");
        assert_eq!(stage.of_ticket(&ticket, "assignee"), "admin");
        visitor.fill("#decide [name=assignee]", "mara");
        visitor.follow(&act("assign"));
        visitor.see("dd", "mara");
        visitor.choose("#decide [name=priority]", "P0");
        visitor.follow(&act("priority"));
        visitor.find(".title .p0");
        assert_eq!(stage.of_ticket(&ticket, "priority"), "P0");
        visitor.fill("#activity textarea", "the gateway was slow\n<b>not bold</b>");
        visitor.follow(&act("note"));
        visitor.see("blockquote", "<b>not bold</b>");
        visitor.follow(&act("approve"));
        visitor.see("p", "Agents may have it. admin approved it");
        visitor.follow(&act("unapprove"));
        visitor.see("p", "Agents do not get it.");
        visitor.follow(&act("ignore"));
        visitor.see("dd", "ignored");
        assert_eq!(stage.of_ticket(&ticket, "status"), "ignored");
        visitor.follow(&act("reopen"));
        visitor.see("dd", "open");
        visitor.fill("[name=from]", &other);
        visitor.follow(&act("merge"));
        visitor.see("li", &format!("merged {other} into it"));
        assert_eq!(stage.of_ticket(&ticket, "count"), 2);
        visitor.check();
        visitor.follow(&act("split"));
        visitor.see("li", "gave one of its keys a ticket of its own");
        assert!(visitor.run("return document.querySelector('[value=split]')").is_null(), "one key is left");
        visitor.check();

        // What is missing is said on a page, and nothing has changed.
        visitor.click("a[href='#resolve']");
        visitor.fill("[name=root_cause]", "the timeout was lowered by the release");
        visitor.expect_refusal(422);
        visitor.follow(&act("resolve"));
        visitor.see("h1", "This cannot be done");
        visitor.check();
        assert_eq!(stage.of_ticket(&ticket, "status"), "open");
        visitor.open(&format!("/tickets/{ticket}"));
        visitor.fill("[name=root_cause]", "the timeout was lowered by the release");
        visitor.fill("[name=commit]", "8be41d0");
        visitor.fill("[name=no_test_reason]", "the gateway is not ours");
        visitor.follow(&act("resolve"));
        visitor.see("li", "resolved it with evidence");
        let status = stage.of_ticket(&ticket, "status");
        assert!(status == "resolved" || status == "in_review", "{status}");
        visitor.check();
        assert_drove(&mut visitor, drives::TICKET);
    }
}

#[test]
fn two_people_on_one_ticket_do_not_overwrite_each_other() {
    let stage = Stage::empty();
    let ticket = stage.ticket("PaymentError", "card declined");
    let mut visitor = Visitor::new(stage.server.address);
    visitor.sign_in(&format!("/tickets/{ticket}"));
    stage.server.post(&format!("/api/v1/tickets/{ticket}/assign"), &json!({ "assignee": "mara" }));
    visitor.expect_refusal(412);
    visitor.follow(&act("ignore"));
    visitor.see("h1", "It changed meanwhile");
    visitor.check();
    visitor.check_with_axe();
    assert_eq!(stage.of_ticket(&ticket, "status"), "open");
}

#[test]
fn the_list_is_searched_filtered_sorted_and_paged() {
    for scripts in [Scripts::On, Scripts::Off] {
        let stage = Stage::demo();
        let mut visitor = Visitor::with(stage.server.address, scripts);
        visitor.sign_in("/tickets");
        visitor.fill("#q", "is:unresolved PaymentError");
        visitor.follow("form[role=search] button");
        visitor.see("a", "PaymentError");
        let found = rows(&visitor);
        assert!(found.contains(&stage.path("{ticket}").into()) && found.len() < 5, "{found:?}");
        assert_eq!(visitor.run("return document.querySelector('#q').value"), "is:unresolved PaymentError");
        visitor.follow_words("a", "Regressed");
        visitor.see("h2", "No ticket matches");
        visitor.follow_words("a", "All unresolved");
        visitor.find("table.tk");
        visitor.follow(".facets a[href*='held']");
        visitor.see("div", "225 match");
        visitor.check();
        let mut seen = rows(&visitor);
        assert_eq!(seen.len(), 25);
        visitor.follow("a[rel=next]");
        visitor.see("a", "First page");
        let second = rows(&visitor);
        assert!(second.iter().all(|id| !seen.contains(id)), "a row is on two pages");
        seen.extend(second);
        visitor.check();
        visitor.follow_words("a", "First page");
        visitor.find("a[rel=next]");
        assert!(rows(&visitor).iter().all(|id| seen.contains(id)));
        visitor.follow_words("nav[@class='facets']//a", "flood");
        visitor.find("form[role=search] input[name=project]");
        assert!(visitor.path().contains("project="), "{}", visitor.path());
        visitor.follow_words("nav[@class='facets']//a", "P2");
        visitor.find(".facets a[aria-current] .p2");
        visitor.check();
    }
}

fn rows(visitor: &Visitor) -> Vec<serde_json::Value> {
    let script = "return [...document.querySelectorAll('table.tk .pick')].map((box) => box.value)";
    visitor.run(script).as_array().expect("rows").clone()
}

#[test]
fn several_tickets_are_ignored_and_reopened_at_once() {
    for scripts in [Scripts::On, Scripts::Off] {
        let stage = Stage::empty();
        let tickets = ["OneError", "TwoError", "ThreeError"].map(|kind| stage.ticket(kind, "again"));
        let statuses = || tickets.each_ref().map(|id| stage.of_ticket(id, "status"));
        let mut visitor = Visitor::with(stage.server.address, scripts);
        visitor.sign_in("/tickets?q=");
        for id in &tickets[..2] {
            visitor.click(&format!(".pick[value='{id}']"));
        }
        visitor.follow(&act("ignore"));
        visitor.find(".pick");
        assert_eq!(statuses(), ["ignored", "ignored", "open"]);
        assert_eq!(
            visitor.path(),
            "/tickets?q=&done=ignored",
            "the list is as it was, and says what was done"
        );
        if scripts == Scripts::On {
            visitor.click("[data-all]");
        } else {
            for id in &tickets {
                visitor.click(&format!(".pick[value='{id}']"));
            }
        }
        visitor.follow(&act("mine"));
        visitor.see("span", "admin");
        for id in &tickets {
            assert_eq!(stage.of_ticket(id, "assignee"), "admin");
        }
        visitor.check();
        let choose = |visitor: &Visitor| {
            for id in &tickets[..2] {
                visitor.click(&format!(".pick[value='{id}']"));
            }
        };
        visitor.open("/tickets?q=");
        choose(&visitor);
        visitor.follow(&act("reopen"));
        assert_eq!(statuses(), ["open", "open", "open"]);
        choose(&visitor);
        visitor.follow(&act("assign"));
        visitor.see("h1", "Assign 2 tickets.");
        visitor.check();
        visitor.fill("[name=assignee]", "mara");
        visitor.follow(&act("assign"));
        visitor.see("div[@id='told']", "The chosen tickets are assigned.");
        assert_eq!(tickets.each_ref().map(|id| stage.of_ticket(id, "assignee")), ["mara", "mara", "admin"]);
        choose(&visitor);
        visitor.follow(&act("resolve"));
        visitor.see("h1", "Resolve 2 tickets.");
        visitor.fill("[name=root_cause]", "the timeout was lowered by the release");
        visitor.fill("[name=commit]", "8be41d0");
        visitor.fill("[name=no_test_reason]", "the gateway is not ours");
        visitor.follow(&act("resolve"));
        visitor.see("div[@id='told']", "The chosen tickets are resolved.");
        assert_eq!(stage.of_ticket(&tickets[2], "status"), "open");
        visitor.check();
        // A view is kept, leads back, and is forgotten.
        visitor.open("/tickets?q=is%3Aopen+ThreeError");
        visitor.click("#save > summary");
        visitor.fill("#view-name", "threes");
        visitor.follow(&act("save"));
        visitor.see("div[@id='told']", "The view is saved.");
        visitor.follow_words("nav//a", "Resolved");
        visitor.follow_words("a[@class='own']", "threes");
        assert_eq!(visitor.run("return document.querySelector('#q').value"), "is:open ThreeError");
        visitor.check();
        visitor.click("#save > summary");
        visitor.follow(&act("remove"));
        visitor.see("div[@id='told']", "The view is removed.");
        assert!(visitor.run("return document.querySelector('.views .own')").is_null());
        assert_drove(&mut visitor, drives::LIST);
    }
}

#[test]
fn held_tickets_are_let_in_and_the_brake_is_released() {
    for scripts in [Scripts::On, Scripts::Off] {
        let stage = Stage::demo();
        let held = |visitor: &Visitor| visitor.text("h1");
        let mut visitor = Visitor::with(stage.server.address, scripts);
        visitor.sign_in("/held");
        assert!(held(&visitor).starts_with("225 tickets are held"), "{}", held(&visitor));
        visitor.check();
        visitor.open(&stage.path("/tickets/{held}"));
        visitor.follow(&act("promote"));
        visitor.see("li", "let it in");
        let id = stage.path("{held}");
        assert_eq!(stage.of_ticket(&id, "status"), "open");
        visitor.open("/held");
        assert!(held(&visitor).starts_with("224 tickets are held"), "{}", held(&visitor));
        visitor.follow_words("section[contains(., 'flood')]//button", "Let the 10 oldest in");
        visitor.see("h1", "214 tickets are held");
        visitor.follow(&act("one"));
        visitor.see("h1", "213 tickets are held");
        visitor.follow_words("section[contains(., 'flood')]//button", "Release the brake");
        visitor.find("h1");
        visitor.check();
        let status = stage.server.get("/api/v1/throttle?project=flood");
        assert_eq!(status["throttle"]["brake"], "off", "{status}");
        assert_drove(&mut visitor, drives::HELD);
    }
}

#[test]
fn a_finding_is_resolved_with_a_note_and_opened_again() {
    for scripts in [Scripts::On, Scripts::Off] {
        let stage = Stage::demo();
        let open = || stage.server.list("/api/v1/findings?state=open").len();
        let before = open();
        let mut visitor = Visitor::with(stage.server.address, scripts);
        visitor.sign_in("/findings");
        visitor.fill("main section:first-of-type input[name=note]", "rotated at noon");
        visitor.follow("main section:first-of-type button[value=rotated]");
        visitor.see("a[@aria-current='page']", "Open");
        assert_eq!(open(), before - 1);
        visitor.check();
        visitor.follow_words("nav//a", "Rotated");
        visitor.see("dd", "rotated at noon");
        visitor.follow("main section:first-of-type button[value=open]");
        visitor.see("a[@aria-current='page']", "Open");
        assert_eq!(open(), before);
        visitor.follow("main section:first-of-type button[value=false_positive]");
        visitor.follow_words("nav//a", "No secret");
        visitor.find("main section button[value=open]");
        visitor.check();
        assert_drove(&mut visitor, drives::FINDINGS);
    }
}

#[test]
fn a_project_shows_its_dsn_keys_and_setup() {
    for scripts in [Scripts::On, Scripts::Off] {
        let stage = Stage::demo();
        let mut visitor = Visitor::with(stage.server.address, scripts);
        visitor.sign_in("/projects");
        visitor.follow_words("main//a", "default");
        let dsn = visitor.text("#dsn");
        assert_eq!(dsn, stage.home.cli(&["dsn"]).ok().trim());
        for (sdk, words) in [("Node", "@sentry/node"), ("Python", "sentry_sdk.init")] {
            visitor.follow_words("nav[@class='pickr']//a", sdk);
            visitor.see("nav[@class='pickr']//a[@aria-current]", sdk);
            let snippet = visitor.text("#snippet");
            assert!(snippet.contains(words), "{sdk}: {snippet}");
        }
        visitor.check();
        visitor.follow_words("main//a", "Tickets");
        visitor.find("table.tk");
        assert!(visitor.path().contains("project="), "{}", visitor.path());
    }
}

#[test]
fn copying_and_the_theme_are_the_scripts_comfort() {
    let stage = Stage::demo();
    let mut visitor = Visitor::new(stage.server.address);
    let allow = json!({ "permission": { "name": "clipboard-read" }, "setting": "granted" });
    visitor.session.devtools("Browser.setPermission", &allow).expect("a permission");
    visitor.sign_in(&stage.path("/tickets/{ticket}"));
    visitor.click("[data-copy=agent]");
    visitor.see("button", "Copied");
    let copied = visitor.run("return navigator.clipboard.readText()");
    let copied = copied.as_str().expect("text");
    assert!(copied.starts_with("Ticket ACT-") && copied.contains("UNTRUSTED"), "{copied}");
    visitor.click("[data-copy=tid]");
    let id = stage.path("{ticket}");
    let wait = "return new Promise((done) => { const look = () => navigator.clipboard.readText().then((text) => \
                text.startsWith('ACT-') ? done(text) : requestAnimationFrame(look)); look(); })";
    assert_eq!(visitor.run(wait), id.as_str());
    visitor.click("header details.wide > summary");
    visitor.click("[data-theme-button]");
    assert_eq!(visitor.run("return document.documentElement.dataset.theme"), "light");
    visitor.click("[data-theme-button]");
    // It is kept from page to page.
    visitor.open("/tickets");
    assert_eq!(visitor.run("return document.documentElement.dataset.theme"), "dark");
    assert_eq!(
        visitor.run("return getComputedStyle(document.body).backgroundColor"),
        "rgb(17, 20, 20)",
        "the dark paper"
    );
    visitor.check();
}

#[test]
fn a_ticket_is_worked_on_a_telephone() {
    let stage = Stage::demo();
    let mut visitor = Visitor::new(stage.server.address);
    visitor.size(PHONE);
    visitor.sign_in("/tickets?q=PaymentError");
    visitor.follow("table.tk a.t");
    visitor.find("section#trace");
    visitor.follow(&act("mine"));
    visitor.see("dd", "admin");
    visitor.fill("#activity textarea", "seen on the train");
    visitor.follow(&act("note"));
    visitor.see("blockquote", "seen on the train");
    visitor.click("main details.fr > summary");
    visitor.check();
}
