//! Every form of every page is sent by some walk: what the templates offer is held against what the walks say they do, and
//! each walk against what its browser sent.

use std::collections::BTreeSet;
use std::path::Path;

use crate::visitor::Visitor;

/// Paths of forms, and the acts that each of them is sent with. A form without acts has the empty one.
pub type Acts = &'static [(&'static str, &'static [&'static str])];

pub const SIGNING_IN: Acts = &[("/login", &[""]), ("/logout", &[""])];
pub const TICKET: Acts = &[(
    "/tickets/{id}",
    &[
        "mine",
        "assign",
        "priority",
        "note",
        "approve",
        "unapprove",
        "ignore",
        "reopen",
        "merge",
        "split",
        "resolve",
    ],
)];
pub const LIST: Acts =
    &[("/tickets", &["mine", "ignore", "reopen", "assign", "resolve"]), ("/views", &["save", "remove"])];
pub const HELD: Acts = &[("/held", &["one", "promote", "reset"]), ("/tickets/{id}", &["promote"])];
pub const FINDINGS: Acts = &[("/findings", &["rotated", "false_positive", "open"])];
pub const PEOPLE: Acts = &[
    ("/users", &["create", "role", "password", "factor", "unlock", "disable", "enable"]),
    ("/tokens", &["create", "rotate", "revoke"]),
    ("/sessions", &["end", "all", "password"]),
    ("/display", &[""]),
];
pub const ALERTS: Acts = &[
    ("/channels", &["add", "test", "on", "off", "rotate", "remove"]),
    ("/alerts", &["try", "save", "remove"]),
    ("/deliveries", &["redeliver"]),
];
pub const UPKEEP: Acts = &[
    ("/backups", &["create", "verify", "integrity"]),
    ("/settings", &["try", "hold", "release"]),
    ("/audit", &["verify"]),
    ("/quarantine", &["release", "delete"]),
    ("/doctor", &["look"]),
];

/// Routes of the dashboard, as its router writes them.
const ROUTER: &str = include_str!("../../../actifix-web/src/dashboard.rs");
/// Templates whose forms go to a page of another name than theirs, where the form does not say to which.
const PLACES: [(&str, &str); 2] = [("ticket.html", "/tickets/{id}"), ("look.html", "/display")];
/// The form of a question sends once more what another form sent.
const QUESTION: &str = "confirm.html";
/// The one form whose act stands in a variable, and what that may be.
const ASKED_FOR_MORE: [&str; 2] = ["assign", "resolve"];

/// The browser sent each of these forms.
#[track_caller]
pub fn assert_drove(visitor: &mut Visitor, acts: Acts) {
    let sent: BTreeSet<(String, String)> = visitor
        .sent()
        .into_iter()
        .map(|(path, act)| {
            let path = path.split(['?', '#']).next().unwrap_or_default().to_owned();
            let of_ticket = path.strip_prefix("/tickets/").is_some_and(|id| !id.contains('/'));
            (if of_ticket { "/tickets/{id}".to_owned() } else { path }, act)
        })
        .collect();
    let missing: Vec<_> = flat(acts).difference(&sent).cloned().collect();
    assert!(missing.is_empty(), "never sent: {missing:?}, of {sent:?}");
}

fn flat(acts: Acts) -> BTreeSet<(String, String)> {
    let of = |(path, acts): &(&str, &[&str])| -> Vec<(String, String)> {
        acts.iter().map(|act| ((*path).to_owned(), (*act).to_owned())).collect()
    };
    acts.iter().flat_map(of).collect()
}

/// Forms of a template that are sent: path and act.
fn offered(name: &str, text: &str) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for form in text.split("<form ").skip(1) {
        let form = form.split("</form>").next().unwrap_or_default();
        let (head, body) = form.split_once('>').expect("a form has an end");
        if !head.contains("method=\"post\"") {
            continue;
        }
        let given = head.split("action=\"").nth(1).and_then(|rest| rest.split('"').next());
        let path = match given {
            Some(action) => action
                .trim_start_matches("{{ s.base }}")
                .trim_start_matches("{{ base }}")
                .split('#')
                .next()
                .unwrap_or_default()
                .to_owned(),
            None => PLACES.iter().find(|(template, _)| *template == name).map_or_else(
                || format!("/{}", name.trim_end_matches(".html")),
                |(_, path)| (*path).to_owned(),
            ),
        };
        let acts: Vec<&str> = body
            .split("name=\"act\" value=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().expect("a value has an end"))
            .collect();
        for act in &acts {
            match *act {
                "{{ act }}" => found.extend(ASKED_FOR_MORE.map(|act| (path.clone(), act.to_owned()))),
                act => {
                    found.insert((path.clone(), act.to_owned()));
                }
            }
        }
        if acts.is_empty() {
            found.insert((path, String::new()));
        }
    }
    found
}

#[test]
fn every_form_of_every_page_is_sent_by_a_walk() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../actifix-web/templates");
    let mut forms = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("templates") {
        let path = entry.expect("a template").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        if name != QUESTION {
            forms.extend(offered(&name, &std::fs::read_to_string(&path).expect("a template")));
        }
    }
    let walked: BTreeSet<(String, String)> =
        [SIGNING_IN, TICKET, LIST, HELD, FINDINGS, PEOPLE, ALERTS, UPKEEP]
            .into_iter()
            .flat_map(flat)
            .collect();
    assert_eq!(walked, forms, "left: what walks send; right: what pages offer");
    // Each of them has a route, and each route that takes forms has one of them.
    let routes: BTreeSet<String> = ROUTER
        .split(".route(\"")
        .skip(1)
        .filter(|route| route.contains("post("))
        .map(|route| route.split('"').next().expect("a path").to_owned())
        .collect();
    assert_eq!(routes, forms.into_iter().map(|(path, _)| path).collect());
}
