//! Every page, at every width, in both themes, with and without scripts.

use std::collections::BTreeSet;

use crate::stage::Stage;
use crate::visitor::{DESK, PHONE, SMALL_PHONE, Visitor};
use crate::webdriver::Scripts;

/// Every page for people who are signed in, and words that must be seen on it. Names in braces are filled in by the stage.
const PAGES: &[(&str, &str)] = &[
    ("/", "Where"),
    ("/tickets", "match"),
    ("/tickets?q=", "match"),
    ("/tickets?q=is%3Ahalf", "This search cannot be read"),
    ("/tickets?q=nothing-has-these-words", "No ticket matches"),
    ("/tickets?q=is%3Aheld&sort=count", "match"),
    ("/tickets/{ticket}", "Stack trace"),
    ("/tickets/{ticket}/events", "Stored events"),
    ("/tickets/{held}", "Let in"),
    ("/events/{event}", "One event"),
    ("/held", "Largest held tickets"),
    ("/findings", "Rotated"),
    ("/findings?state=all", "Rotated"),
    ("/findings?state=rotated", "No leaked secret here"),
    ("/releases", "First seen"),
    ("/releases/{release}", "New tickets"),
    ("/projects", "flood"),
    ("/projects/{project}", "Change only the DSN"),
    ("/projects/{project}?sdk=node", "Change only the DSN"),
    ("/quarantine", "1 entry could not be redacted"),
    ("/doctor", "Checked"),
    ("/alerts", "urgent-only"),
    ("/alerts?edit=urgent-only", "Rule urgent-only"),
    ("/channels", "Signed webhook"),
    ("/deliveries", "waiting"),
    ("/users", "jo"),
    ("/tokens", "deployment"),
    ("/sessions", "this one"),
    ("/sessions?all=yes", "Everybody's sessions"),
    ("/audit", "webhook.changed"),
    ("/backups", "There is no backup"),
    ("/settings", "Release the hold"),
    ("/display", "Display"),
    ("/about", "SQLite"),
];

/// Routes that are no pages for people who are signed in, and what they are instead.
const NO_PAGES: &[(&str, &str)] = &[
    ("/login", "is walked before anybody signs in"),
    ("/events/{id}/json", "data"),
    ("/about/sbom.json", "data"),
    ("/live", "a stream"),
    ("/assets/{name}", "files of pages"),
];

/// Routes of the dashboard, as its router writes them.
const ROUTER: &str = include_str!("../../../actifix-web/src/dashboard.rs");

/// Pages that say that something is not there, and with which status.
const REFUSALS: &[(&str, u16)] = &[
    ("/tickets/ACT-20000101-AAAAA", 404),
    ("/events/nothing", 404),
    ("/projects/nothing", 404),
    ("/nopage", 404),
    ("/logout", 405),
];

/// A page that is added gets its line above: it is a route of the router.
#[test]
fn every_page_of_the_router_is_walked() {
    let routes: BTreeSet<&str> = ROUTER
        .split(".route(\"")
        .skip(1)
        .filter(|route| route.contains("get("))
        .filter_map(|route| route.split('"').next())
        .collect();
    let ids = ["{ticket}", "{held}", "{event}"];
    let walked: BTreeSet<String> = PAGES
        .iter()
        .map(|(path, _)| {
            let path = path.split('?').next().unwrap_or_default();
            ids.iter()
                .fold(path.to_owned(), |path, id| path.replace(id, "{id}"))
                .replace("{project}", "{name}")
                .replace("{release}", "{version}")
        })
        .chain(NO_PAGES.iter().map(|(path, _)| (*path).to_owned()))
        .collect();
    assert_eq!(walked.iter().map(String::as_str).collect::<BTreeSet<_>>(), routes);
}

/// Opens a page; what is wrong with it.
#[track_caller]
fn visit(visitor: &mut Visitor, path: &str, words: &str) -> Vec<String> {
    visitor.open(path);
    let (text, mut problems) = visitor.inspect();
    if !text.contains(words) {
        problems.push(format!("{path} does not say {words:?}:\n{text}"));
    }
    problems
}

#[track_caller]
fn none(problems: &[String]) {
    assert!(problems.is_empty(), "{} problems\n{}", problems.len(), problems.join("\n"));
}

/// Every page at one width: what it says, whom it asks, whether it fits, and what axe-core finds in both themes.
fn walk_with_axe(width: u32) {
    let stage = Stage::furnished();
    let mut visitor = Visitor::new(stage.server.address);
    let mut problems = Vec::new();
    visitor.size(width);
    for dark in [false, true] {
        visitor.dark(dark);
        visitor.open("/login");
        problems.extend(visitor.inspect().1);
        problems.extend(visitor.axe());
    }
    visitor.sign_in("/");
    for (path, words) in PAGES {
        visitor.dark(false);
        problems.extend(visit(&mut visitor, &stage.path(path), words));
        problems.extend(visitor.axe());
        visitor.dark(true);
        problems.extend(visitor.axe());
    }
    for (path, status) in REFUSALS {
        visitor.dark(false);
        visitor.open_refused(path, *status);
        problems.extend(visitor.inspect().1);
        problems.extend(visitor.axe());
        visitor.dark(true);
        problems.extend(visitor.axe());
    }
    none(&problems);
}

#[test]
fn every_page_is_sound_on_a_desk() {
    walk_with_axe(DESK);
}

#[test]
fn every_page_is_sound_on_a_telephone() {
    walk_with_axe(PHONE);
}

#[test]
fn every_page_fits_the_smallest_telephone_with_everything_unfolded() {
    let stage = Stage::furnished();
    let mut visitor = Visitor::new(stage.server.address);
    visitor.size(SMALL_PHONE);
    visitor.open("/login");
    visitor.check();
    visitor.sign_in("/");
    let mut problems = Vec::new();
    for (path, words) in PAGES {
        problems.extend(visit(&mut visitor, &stage.path(path), words));
        visitor.run("for (const one of document.querySelectorAll('main details')) one.open = true;");
        problems.extend(visitor.inspect().1);
    }
    none(&problems);
}

#[test]
fn every_page_works_as_a_document() {
    let stage = Stage::furnished();
    let mut visitor = Visitor::with(stage.server.address, Scripts::Off);
    visitor.sign_in("/");
    let mut problems = Vec::new();
    for width in [DESK, PHONE] {
        visitor.size(width);
        for (path, words) in PAGES {
            problems.extend(visit(&mut visitor, &stage.path(path), words));
            // What only the script can do is not offered.
            let offered = visitor.run("return document.querySelectorAll('[data-copy]:not([hidden])').length");
            assert_eq!(offered, 0, "{path}");
        }
    }
    none(&problems);
}

#[test]
fn an_installation_without_events_says_how_to_begin() {
    let stage = Stage::empty();
    let mut visitor = Visitor::new(stage.server.address);
    visitor.sign_in("/");
    let mut problems = Vec::new();
    for width in [DESK, PHONE, SMALL_PHONE] {
        visitor.size(width);
        for (path, words) in [
            ("/", "Waiting for the first event"),
            ("/tickets", "No ticket matches"),
            ("/held", "Nothing is held"),
            ("/findings", "No leaked secret here"),
            ("/quarantine", "Nothing is in quarantine"),
            ("/alerts", "The default rules hold"),
            ("/channels", "Nobody is told of anything"),
            ("/deliveries", "No delivery here"),
            ("/tokens", "No token exists"),
            ("/audit?user=nobody-of-this-name", "No row matches"),
            ("/backups", "There is no backup"),
        ] {
            visitor.dark(false);
            problems.extend(visit(&mut visitor, path, words));
            problems.extend(visitor.axe());
            visitor.dark(true);
            problems.extend(visitor.axe());
        }
    }
    none(&problems);
}

/// A disk that fails under a running server: the page says what does not work, what is safe meanwhile, and what to do.
#[test]
fn a_database_that_fails_is_told_on_a_page() {
    let stage = Stage::empty();
    let mut visitor = Visitor::new(stage.server.address);
    visitor.sign_in("/projects");
    stage.spoil();
    let mut problems = Vec::new();
    for width in [DESK, SMALL_PHONE] {
        visitor.size(width);
        visitor.open_refused("/tickets", 503);
        let (text, found) = visitor.inspect();
        assert!(text.contains("The database does not answer.") && text.contains("send them again"), "{text}");
        problems.extend(found);
        problems.extend(visitor.axe());
    }
    visitor.expect_refusal(503);
    visitor.follow_words("a", "Try again");
    assert_eq!(visitor.path(), "/tickets");
    problems.extend(visitor.inspect().1);
    none(&problems);
}

/// The JSON of an event is data, not a page: it is shown as it is stored.
#[test]
fn the_stored_json_is_shown_as_data() {
    let stage = Stage::demo();
    let mut visitor = Visitor::new(stage.server.address);
    visitor.sign_in("/");
    visitor.open(&stage.path("/tickets/{ticket}"));
    visitor.follow_words("a", "JSON");
    let path = visitor.path();
    assert!(path.starts_with("/events/") && path.ends_with("/json"), "{path}");
    let text = visitor.text("body");
    let event: serde_json::Value = serde_json::from_str(&text).expect("the event in JSON");
    assert!(event["exception"].as_array().is_some_and(|chain| !chain.is_empty()), "{text}");
    // A document that names no icon is asked for one.
    visitor.expect_refusal(404);
    none(&visitor.heard());
}
