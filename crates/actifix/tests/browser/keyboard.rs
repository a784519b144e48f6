//! Without a mouse: everything is reached by Tab, in the order in which it stands, and one sees where one is.

use crate::people::PASSWORD;
use crate::stage::Stage;
use crate::visitor::{DESK, PHONE, Visitor};

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";
/// Stops of a page; the longest has about half as many.
const STOPS_MAX: usize = 400;

/// Goes through a page by Tab alone.
#[track_caller]
fn every_stop(visitor: &Visitor, path: &str) {
    visitor.open(path);
    visitor.find("main");
    // A field may have the focus from the start; the walk begins before everything.
    visitor.run("document.activeElement.blur(); window.getSelection().removeAllRanges(); window.scrollTo(0, 0); document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex');");
    let (mut next, mut stops) = (0, 0);
    loop {
        visitor.press(TAB);
        let stop = visitor.run(include_str!("stop.js"));
        stops += 1;
        assert!(stops < STOPS_MAX, "{path}: Tab does not come to an end");
        if stop["body"] == true {
            break;
        }
        let (name, at) = (&stop["name"], stop["at"].as_i64().expect("a number"));
        assert_eq!(stop["ring"], true, "{path}: one does not see that {name} has the focus");
        assert_eq!(stop["seen"], true, "{path}: {name} has the focus under something else");
        if at < 0 {
            // A region that scrolls, which the browser itself lets people reach.
            continue;
        }
        if at == 0 && next > 0 {
            break;
        }
        assert_eq!(at, next, "{path}: after {next} stops comes {name}, of {}", stop["missing"]);
        next += 1;
        if stop["of"].as_i64() == Some(next) {
            break;
        }
    }
    let end = visitor.run(include_str!("stop.js"));
    assert_eq!(end["of"].as_i64(), Some(next), "{path}: Tab ends early, of {}", end["missing"]);
    assert!(next > 2, "{path}: {next} stops");
}

#[test]
fn everything_is_reached_by_tab_and_seen() {
    let stage = Stage::demo();
    let visitor = Visitor::new(stage.server.address);
    every_stop(&visitor, "/login");
    visitor.sign_in("/");
    for width in [DESK, PHONE] {
        visitor.size(width);
        for path in ["/", "/tickets", "/tickets/{ticket}", "/held", "/findings", "/projects/{project}"] {
            every_stop(&visitor, &stage.path(path));
        }
    }
}

#[test]
fn the_keys_work_and_stay_out_of_fields() {
    let stage = Stage::empty();
    let one = stage.ticket("OneError", "first");
    let two = stage.ticket("TwoError", "second");
    let mut visitor = Visitor::new(stage.server.address);
    // Sign in by keys alone: the name has the focus.
    visitor.open("/login?next=%2Ftickets");
    visitor.leave_by_keys(&format!("admin{TAB}{PASSWORD}{ENTER}"));
    visitor.find("table.tk");
    let current = |visitor: &Visitor| {
        visitor.run("return document.querySelector('tr[aria-current] .pick')?.value ?? null")
    };
    assert!(current(&visitor).is_null());
    visitor.press("j");
    assert_eq!(current(&visitor), two.as_str(), "the last one seen is first");
    visitor.press("jj");
    assert_eq!(current(&visitor), one.as_str(), "and there it stops");
    visitor.press("x");
    assert_eq!(visitor.run("return document.querySelectorAll('.pick:checked').length"), 1);
    visitor.press("?");
    visitor.find("#help");
    visitor.check_with_axe();
    visitor.press(ESCAPE);
    assert!(visitor.run("return document.querySelector('#help')").is_null());
    visitor.press("t");
    assert_eq!(visitor.run("return document.documentElement.dataset.theme"), "light");
    // In a field they are letters.
    visitor.press("/");
    visitor.press("jxt?");
    assert_eq!(visitor.run("return document.querySelector('#q').value"), "jxt?");
    assert_eq!(current(&visitor), one.as_str());
    assert_eq!(visitor.run("return document.documentElement.dataset.theme"), "light");
    visitor.press(ESCAPE);
    visitor.leave_by_keys(&format!("k{ENTER}"));
    visitor.see("h1", "TwoError");
    for (key, words) in [
        ("h", "Nothing is held"),
        ("f", "No leaked secret"),
        ("p", "Projects"),
        ("t", "Error and place"),
        ("o", "Needs you now"),
    ] {
        visitor.leave_by_keys(&format!("g{key}"));
        visitor.see("main", words);
    }
    // The link over the menu leads past it.
    visitor.open("/tickets");
    visitor.press(&format!("{TAB}{ENTER}"));
    assert_eq!(visitor.run("return document.activeElement.id"), "main");
    visitor.check();
}
