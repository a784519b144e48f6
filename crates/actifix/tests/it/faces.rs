//! One truth on every face: what the API answers, a page shows and a command prints is the same, and is so.

use serde_json::{Value, json};

use crate::harness::Server;
use crate::pages::{page, submit};
use crate::people::{Browser, PASSWORD, login, with_admin, with_admin_and};

fn recorded(server: &Server, kind: &str, priority: &str) -> Value {
    server.post("/api/v1/events", &json!({ "message": "no answer", "type": kind, "priority": priority }))
}

fn id(recorded: &Value) -> &str {
    recorded["ticket_id"].as_str().expect("an id")
}

#[track_caller]
fn says(text: &str, parts: &[&str], not: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    for part in not {
        assert!(!text.contains(part), "{part:?} is in:\n{text}");
    }
}

#[test]
fn the_hard_brake_is_named_where_it_holds_and_no_budget_is_blamed() {
    let (home, server) =
        with_admin_and("[throttle]\nbrake_new_per_minute = 2\nbrake_hard_new_per_minute = 3\n");
    for kind in ["AError", "BError", "CError"] {
        assert_eq!(recorded(&server, kind, "P1")["outcome"], "accepted");
    }
    const WHY: &str = "more than 3 new tickets in a minute hold tickets of every priority, P0 and P1 too";
    const UNTIL: &str = "when fewer than 2 new tickets a minute came for a whole minute";
    const BUDGET: &str = "the budget of new";

    let held = recorded(&server, "DError", "P0");
    assert_eq!(
        (&held["outcome"], &held["held_because"]["reason"]),
        (&json!("held"), &json!("brake_hard")),
        "{held}"
    );
    says(&held["held_because"].to_string(), &[WHY, UNTIL], &[BUDGET]);
    // One more event of a held ticket is told the same.
    says(&recorded(&server, "DError", "P0").to_string(), &[WHY], &[BUDGET]);
    let ticket = server.get(&format!("/api/v1/tickets/{}", id(&held)));
    assert_eq!((&ticket["status"], &ticket["held_because"]["priority"]), (&json!("held"), &json!("P0")));
    says(&ticket["held_because"].to_string(), &[WHY, UNTIL], &[BUDGET]);

    let told = home.cli(&["record", "no answer", "--type", "EError", "--priority", "P1"]);
    says(&told.stderr, &[WHY, UNTIL, "actifix throttle promote ACT-"], &[BUDGET]);
    says(&told.ok(), &[" held"], &[]);
    says(&home.cli(&["ticket", "show", id(&held)]).ok(), &[WHY, UNTIL], &[BUDGET]);
    let status = home.cli(&["throttle", "status"]).ok();
    says(
        &status,
        &["The brake is on, hard", "every priority are held, P0 and P1 too", WHY, "2 tickets are held"],
        &[BUDGET],
    );
    for priority in ["P0", "P1", "P2", "P3", "P4"] {
        let row = status.lines().find(|line| line.starts_with(priority)).expect("a row");
        assert!(row.ends_with("held: hard brake"), "{row}");
    }

    let browser = login(&server, "admin", PASSWORD);
    let shown = page(&server, &browser, "/held").text();
    says(&shown, &["P0, P1, P2, P3, P4", WHY, UNTIL, "They wait for the brake"], &[BUDGET]);
    says(&page(&server, &browser, &format!("/tickets/{}", id(&held))).text(), &[WHY, UNTIL], &[BUDGET]);
}

#[test]
fn a_budget_that_is_used_up_is_named_with_its_figures() {
    let (home, server) = with_admin_and("[throttle]\np3_per_4_hours = 1\n");
    assert_eq!(recorded(&server, "AError", "P3")["outcome"], "accepted");
    let held = recorded(&server, "BError", "P3");
    const WHY: &str = "the budget of new P3 tickets is used up: 1 ticket in 4 hours";
    assert_eq!(held["held_because"]["reason"], "priority_limit", "{held}");
    says(&home.cli(&["ticket", "show", id(&held)]).ok(), &[WHY, "when the budget frees, 20"], &["brake"]);
    let status = home.cli(&["throttle", "status"]).ok();
    says(&status, &["The brake is off.", "1 ticket is held with 1 event", WHY], &["1 tickets", "1 events"]);
    let rows = |end: &str| status.lines().filter(|line| line.starts_with('P') && line.ends_with(end)).count();
    assert_eq!((rows("held: budget"), rows("let in")), (1, 4), "{status}");
    let browser = login(&server, "admin", PASSWORD);
    says(
        &page(&server, &browser, "/held").text(),
        &["<dt>P3</dt>", WHY, "as the budget allows"],
        &["P0, P1"],
    );
    // Let in by hand it waits for nothing, and that is told.
    home.cli(&["throttle", "promote", id(&held)]).ok();
    assert_eq!(server.get(&format!("/api/v1/tickets/{}", id(&held)))["held_because"], Value::Null);
}

/// Sends an error by the public key, as anybody could.
fn planted(server: &Server, kind: &str) -> Value {
    let key = server.get("/api/v1/projects/default/keys")["items"][0]["public_key"].clone();
    let path = format!("/api/1/store/?sentry_key={}", key.as_str().expect("a key"));
    let event = json!({ "exception": { "values": [{ "type": kind, "value": "boom" }] } });
    let answer = server.send(&crate::http::Request::post(&path, event.to_string()));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let tickets = server.list("/api/v1/tickets");
    let found =
        tickets.into_iter().find(|ticket| ticket["title"].as_str().is_some_and(|t| t.starts_with(kind)));
    found.expect("a ticket")
}

fn approval(server: &Server, ticket: &Value) -> Value {
    server.get(&format!("/api/v1/tickets/{}", ticket["id"].as_str().expect("an id")))["approval"].clone()
}

#[test]
fn a_merge_that_ends_an_approval_says_so_on_every_face() {
    let (home, server) = with_admin();
    let browser = login(&server, "admin", PASSWORD);
    let names = ["AError", "BError", "CError", "DError", "EError", "FError"];
    let tickets: Vec<Value> = names.iter().map(|kind| planted(&server, kind)).collect();
    let ids: Vec<&str> = tickets.iter().map(|ticket| ticket["id"].as_str().expect("an id")).collect();
    let approve = |at: usize| home.cli(&["ticket", "approve", ids[at]]).ok();
    says(&approve(0), &["agents: approved (a person approved it)"], &[]);

    // What anyone sent to the other must not ride on it.
    let merged = home.cli(&["ticket", "merge", ids[0], ids[1]]);
    says(
        &merged.stderr,
        &[
            "the approval for agents ended",
            "agents: needs approval",
            &format!("actifix ticket approve {}", ids[0]),
        ],
        &[],
    );
    merged.ok();
    assert_eq!(approval(&server, &tickets[0]), "needs_approval");
    says(
        &home.cli(&["ticket", "show", ids[0]]).ok(),
        &[&format!("merged {} into it; the approval for agents ended", ids[1])],
        &[],
    );

    // The API answers with it, and a merge of two that are approved keeps it.
    approve(0);
    let merge = |into: usize, from: usize| {
        server.post(&format!("/api/v1/tickets/{}/merge", ids[into]), &json!({ "from": [ids[from]] }))
    };
    let answer = merge(0, 2);
    assert_eq!((&answer["approval_ended"], &answer["approval"]), (&json!(true), &json!("needs_approval")));
    approve(0);
    approve(3);
    let answer = merge(0, 3);
    assert_eq!((&answer["approval_ended"], &answer["approval"]), (&json!(false), &json!("approved")));
    let quiet = home.cli(&["ticket", "merge", ids[4], ids[5]]);
    assert!(quiet.stderr.is_empty(), "nothing ended: {}", quiet.stderr);

    // The page says it after the form.
    let path = format!("/tickets/{}", ids[0]);
    let sent =
        submit(&server, &browser, &path, &[("csrf", &browser.csrf), ("act", "merge"), ("from", ids[4])]);
    let place = sent.header("location").expect("a place").to_owned();
    let shown = page(&server, &browser, &place).text();
    says(
        &shown,
        &["Its approval for agents ended, since not all of them had one", "Let agents have it"],
        &[],
    );
}

#[test]
fn an_approval_is_shown_with_the_way_back() {
    let (home, server) = with_admin();
    let browser = login(&server, "admin", PASSWORD);
    let ticket = planted(&server, "AError");
    let id = ticket["id"].as_str().expect("an id");
    let path = format!("/tickets/{id}");
    let act = |word: &str| {
        let sent = submit(&server, &browser, &path, &[("csrf", &browser.csrf), ("act", word)]);
        assert_eq!(sent.status, 303, "{word}: {}", sent.text());
        page(&server, &browser, sent.header("location").expect("a place")).text()
    };
    let before = page(&server, &browser, &path).text();
    says(&before, &["Agents do not get it.", "Let agents have it"], &["Take it back from agents"]);
    let approved = act("approve");
    says(
        &approved,
        &["Agents may have it.", "admin approved it", "Take it back from agents"],
        &["Let agents have it"],
    );
    let back = act("unapprove");
    says(&back, &["Agents do not get it.", "Let agents have it"], &["Take it back from agents"]);
    assert_eq!(approval(&server, &ticket), "needs_approval");
    // The same by a command; what nobody approved cannot be taken back.
    home.cli(&["ticket", "approve", id]).ok();
    says(&home.cli(&["ticket", "approve", id, "--withdraw"]).ok(), &["agents: needs approval"], &[]);
    let twice = home.cli(&["ticket", "approve", id, "--withdraw"]);
    assert_eq!(twice.code(), 2, "{}", twice.stdout);
    says(&twice.stderr, &["nobody approved this ticket"], &[]);
    let audit = home.cli(&["audit", "list", "--action", "ticket.unapproved", "--json"]).json();
    assert_eq!(audit["items"].as_array().map(Vec::len), Some(2), "{audit}");
    // A ticket that agents have anyhow has nothing to decide.
    let trusted = recorded(&server, "BError", "P2");
    let shown =
        page(&server, &browser, &format!("/tickets/{}", trusted["ticket_id"].as_str().expect("an id")));
    says(
        &shown.text(),
        &["Agents may have it.", "a trusted sender reported it"],
        &["Let agents have it", "Take it back"],
    );
}

#[test]
fn the_history_of_a_ticket_is_sentences_with_values() {
    let (home, server) = with_admin();
    let browser = login(&server, "admin", PASSWORD);
    let ticket = recorded(&server, "AError", "P2");
    let id = id(&ticket);
    for arguments in [
        &["ticket", "claim", id, "--minutes", "45"][..],
        &["ticket", "note", id, "only at night"],
        &["ticket", "release", id, "--reason", "needs the payment team"],
        &["ticket", "assign", id, "jo"],
        &["ticket", "assign", id],
    ] {
        home.cli(arguments).ok();
    }
    server.call("PATCH", &format!("/api/v1/tickets/{id}"), Some(&json!({ "priority": "P1" })));
    let evidence = [
        "--root-cause",
        "the timeout was 2 s",
        "--commit",
        "3f2a91c",
        "--no-test-reason",
        "configuration only",
    ];
    home.cli(&[&["ticket", "complete", id][..], &evidence].concat()).ok();
    home.cli(&["ticket", "reopen", id]).ok();

    let terminal = home.cli(&["ticket", "show", id]).ok();
    let html = page(&server, &browser, &format!("/tickets/{id}")).text();
    let acts =
        html.split("<ol class=\"act\">").nth(1).and_then(|rest| rest.split("</ol>").next()).expect("a list");
    for sentence in [
        "took a lease of 45 minutes (fence 1)",
        "ended the lease",
        "needs the payment team",
        "only at night",
        "assigned it to jo",
        "took it from its assignee",
        "set its priority to P1",
        "resolved it with evidence",
        "the timeout was 2 s",
        "3f2a91c",
        "configuration only",
        "opened it again",
    ] {
        says(&terminal, &[sentence], &[]);
        says(acts, &[sentence], &[]);
    }
    let activity = terminal.split("\nactivity\n").nth(1).expect("the activity");
    for text in [activity, acts] {
        says(text, &["system"], &["{", "null", "\":", "evidence:", "&quot;"]);
    }
    for (label, value) in [("root cause", "the timeout was 2 s"), ("commit", "3f2a91c")] {
        says(activity, &[&format!("{label}: {value}")], &[]);
        says(acts, &[&format!("<dt>{label}</dt><dd>{value}</dd>")], &[]);
    }
}

/// The beginning of a secret, at most four characters, and the same wherever it is shown.
#[test]
fn a_finding_shows_no_more_of_its_value_than_the_contract_lets_it() {
    let (home, server) = with_admin();
    let browser = login(&server, "admin", PASSWORD);
    for (length, shown) in [(6, ""), (7, ""), (8, "Zk"), (15, "Zk"), (16, "ZkQ8"), (40, "ZkQ8")] {
        let value: String = "ZkQ8vX2mT5wY7bN3".chars().cycle().take(length).collect();
        let project = server.post("/api/v1/projects", &json!({ "name": format!("of-{length}") }));
        let event =
            json!({ "message": "no answer", "extra": { "db_password": value }, "project": project["name"] });
        server.post("/api/v1/events", &event);
        let found = server.get(&format!("/api/v1/findings?project={}", project["id"]));
        let finding = &found["items"][0];
        let masked = format!("{shown}…");
        assert_eq!(finding["masked"], masked, "{length}: {found}");
        let id = finding["id"].as_str().expect("an id");
        let terminal =
            [home.cli(&["findings", "show", id]).ok(), home.cli(&["findings", "list"]).ok()].concat();
        let html = page(&server, &browser, "/findings").text();
        says(&terminal, &[&masked], &[&value[..5]]);
        says(&html, &[&format!("<code>{masked}</code>")], &[&value[..5]]);
    }
}

/// Words that would be wrong after a 1.
const PLURALS: [&str; 24] = [
    "events",
    "times",
    "tickets",
    "users",
    "days",
    "hours",
    "minutes",
    "entries",
    "rows",
    "files",
    "tokens",
    "secrets",
    "projects",
    "releases",
    "frames",
    "backups",
    "sessions",
    "channels",
    "changes",
    "requests",
    "addresses",
    "items",
    "administrators",
    "findings",
];

/// Text of a page without its tags, so that `<b>1</b> events` is read as a person reads it.
fn plain(html: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for c in html.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            c if !inside => text.push(c),
            _ => {}
        }
    }
    text
}

#[track_caller]
fn counts_well(what: &str, text: &str) {
    let words: Vec<&str> = text.split_whitespace().collect();
    for pair in words.windows(2) {
        let [number, noun] = pair else { continue };
        let number = number.trim_matches(['(', '"', '+']);
        let noun = noun.trim_matches(['.', ',', ';', ':', ')', '"']);
        assert!(number != "1" || !PLURALS.contains(&noun), "{what}: 1 {noun}\n{text}");
    }
}

#[test]
fn one_is_never_a_plural() {
    let (home, server) =
        with_admin_and("[retention]\nquarantine_days = 1\naudit_days = 90\n[throttle]\np3_per_4_hours = 1\n");
    let browser: Browser = login(&server, "admin", PASSWORD);
    let token = ["gh", "p_", &"Zq7".repeat(12)].concat();
    let event =
        json!({ "message": format!("auth with {token} failed"), "type": "AError", "release": "web@1" });
    let ticket = server.post("/api/v1/events", &event);
    let id = id(&ticket);
    recorded(&server, "BError", "P3");
    let held = recorded(&server, "CError", "P3");
    assert_eq!(held["outcome"], "held");
    let finding = server.get("/api/v1/findings")["items"][0]["id"].as_str().expect("an id").to_owned();
    let one = format!("/tickets/{id}");
    for path in crate::pages::PAGES.iter().copied().chain([one.as_str(), "/releases", "/releases/web@1"]) {
        counts_well(path, &plain(&page(&server, &browser, path).text()));
    }
    for arguments in [
        &["ticket", "list", "--all"][..],
        &["ticket", "show", id],
        &["findings", "list"],
        &["findings", "show", &finding],
        &["throttle", "status"],
        &["project", "show", "default"],
        &["release", "list"],
        &["release", "show", "web@1"],
        &["retention", "show"],
        &["retention", "run", "--dry-run"],
        &["audit", "verify"],
        &["token", "list"],
        &["doctor"],
        &["review", "weekly"],
        &["webhook", "rule", "dry-run", "one", "--on", "new"],
    ] {
        let told = home.cli(arguments);
        assert!(told.code() < 2, "{arguments:?}: {}", told.stderr);
        counts_well(&format!("{arguments:?}"), &format!("{}{}", told.stdout, told.stderr));
    }
    let log = home.path().join("one.log");
    std::fs::write(&log, "ERROR only one of them\n").expect("a file");
    counts_well("ingest logs", &home.cli(&["ingest", "logs", &log.to_string_lossy()]).stderr);
    says(&home.cli(&["findings", "show", &finding]).ok(), &["sent once, "], &[]);
}
