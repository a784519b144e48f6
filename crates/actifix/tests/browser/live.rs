//! What a page that stays open is told: counts change in place, rows do not move, and what is new is loaded when it is
//! asked for.

use crate::stage::Stage;
use crate::visitor::Visitor;

/// Where every row of the list stands, and how far the page is scrolled.
const PLACES: &str = "return [scrollY, ...[...document.querySelectorAll('table.tk tbody tr')].map((row) => \
    row.querySelector('.pick').value + ' ' + row.getBoundingClientRect().top)]";

fn count(visitor: &Visitor, name: &str) -> String {
    let script = format!("return document.querySelector('[data-count={name}]').textContent");
    visitor.run(&script).as_str().expect("text").to_owned()
}

#[test]
fn the_first_event_shows_itself_where_it_is_waited_for() {
    let stage = Stage::empty();
    let mut visitor = Visitor::new(stage.server.address);
    visitor.sign_in("/");
    visitor.see("div[@data-wait]", "Waiting for the first event.");
    visitor.find("[data-live] .dot:not(.off)");
    visitor.run("window.stays = true");
    stage.ticket("PaymentError", "card declined");
    visitor.see("div[@role='status']/a", "The first event came: open its ticket");
    assert_eq!(visitor.run("return window.stays"), true, "the page was not loaded again");
    assert_eq!(count(&visitor, "events"), "1");
    visitor.check();
    visitor.check_with_axe();
    visitor.follow_words("a", "The first event came");
    visitor.see("a", "PaymentError");
    visitor.check();
}

#[test]
fn a_list_says_what_is_new_and_does_not_jump() {
    let stage = Stage::empty();
    // Important enough that none of them is held.
    let event = |kind: &str, priority: &str| {
        let event = serde_json::json!({ "message": "again", "type": kind, "priority": priority });
        stage.server.post("/api/v1/events", &event);
    };
    for number in 0..25 {
        event(&format!("Error{}", char::from(b'A' + number)), "P1");
    }
    let mut visitor = Visitor::new(stage.server.address);
    visitor.sign_in("/tickets");
    visitor.find("[data-live] .dot:not(.off)");
    assert_eq!((count(&visitor, "events").as_str(), count(&visitor, "unresolved").as_str()), ("25", "25"));
    visitor.press("jj");
    visitor.run("window.scrollTo(0, 300)");
    let before = visitor.run(PLACES);
    assert!(before[0].as_u64().is_some_and(|scrolled| scrolled > 0), "{before}");
    event("OutageError", "P0");
    event("ErrorA", "P1");
    visitor.see("a[@data-fresh and not(@hidden)]", "2 tickets changed, 1 is new");
    assert_eq!(visitor.run(PLACES), before, "rows stay where they are");
    assert_eq!((count(&visitor, "events").as_str(), count(&visitor, "unresolved").as_str()), ("27", "26"));
    assert_eq!(
        visitor.run("return document.title"),
        "(1) 25 tickets · Actifix",
        "urgent ones are in the title"
    );
    visitor.check();
    visitor.check_with_axe();
    visitor.leave_by_keys(".");
    visitor.see("a", "OutageError");
    assert!(visitor.run("return document.querySelector('[data-fresh]').hidden") == true);
    // The overview says how many came, too.
    visitor.open("/");
    visitor.find("[data-live] .dot:not(.off)");
    event("ErrorB", "P1");
    visitor.see("a[@data-fresh and not(@hidden)]", "1 new event");
    visitor.check();
}

#[test]
fn a_page_says_when_it_is_told_nothing_any_more() {
    let stage = Stage::empty();
    stage.ticket("PaymentError", "card declined");
    let mut visitor = Visitor::new(stage.server.address);
    visitor.sign_in("/tickets");
    visitor.find("[data-live] .dot:not(.off)");
    // The session ends elsewhere: the stream ends, and nobody begins it again.
    stage.home.cli(&["sessions", "kill", "--all"]).ok();
    visitor.see("span[@data-live]", "not live");
    visitor.check();
    // So it does when the server is gone.
    visitor.sign_in("/tickets");
    visitor.find("[data-live] .dot:not(.off)");
    drop(stage);
    visitor.see("span[@data-live]", "not live");
}
