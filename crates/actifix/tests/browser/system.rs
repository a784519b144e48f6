//! The pages of the system, worked as an administrator does: every act of every form, with the script and without it; the
//! API, the receiver of alerts and other sessions tell what became of it.

use std::process::Command;

use crate::authority::Authority;
use crate::drives::{self, assert_drove};
use crate::harness::Home;
use crate::http::Request;
use crate::people::{OTHER, PASSWORD, login, try_login};
use crate::signing_in::with_factor;
use crate::sink::{Behaviour, Sink};
use crate::stage::{Stage, until};
use crate::visitor::Visitor;
use crate::webdriver::Scripts;

/// A password that nobody had before.
const NEW: &str = "amber kites over harbour";

/// Fits any button by what it does.
fn act(name: &str) -> String {
    format!("main button[name=act][value={name}]")
}

/// Answers a question with yes.
fn confirm(visitor: &Visitor, words: &str) {
    visitor.see("h1", words);
    visitor.follow("main form button.go");
}

/// What the page says was done.
#[track_caller]
fn told(visitor: &Visitor, words: &str) {
    assert_eq!(visitor.text("#told"), words);
}

/// The secret that the page shows once; another page does not.
#[track_caller]
fn shown_once(visitor: &mut Visitor, id: &str, path: &str) -> String {
    let secret = visitor.text(&format!("#shown #{id}"));
    visitor.check();
    visitor.open(path);
    assert!(!visitor.text("main").contains(&secret), "{path} shows it again");
    secret
}

fn accounts(stage: &Stage, visitor: &mut Visitor) {
    let server = &stage.server;
    visitor.open("/users");
    visitor.fill("#new [name=name]", "jo");
    visitor.choose("#new [name=role]", "operator");
    visitor.fill("#new [name=password]", OTHER);
    visitor.follow(&act("create"));
    told(visitor, "The account is made.");
    let of_jo = |act: &str| format!("#u-jo button[value={act}]");
    let (app, step) = with_factor(server, "jo");
    assert_eq!(try_login(server, "jo", "not the right one", None).status, 401);
    visitor.open("/users");
    visitor.follow(&of_jo("unlock"));
    confirm(visitor, "Unlock the account jo?");
    told(visitor, "Failed logins of the account are forgotten.");
    visitor.follow(&of_jo("factor"));
    confirm(visitor, "Take the second factor from jo?");
    told(visitor, "The second factor is no longer asked for; the sessions of that account ended.");
    drop((app, step));
    let jo = login(server, "jo", OTHER);
    visitor.choose("#u-jo select", "viewer");
    visitor.follow(&of_jo("role"));
    confirm(visitor, "Make jo viewer?");
    assert_eq!(jo.get(server, "/api/v1/auth/session").status, 401, "with the old rights nobody goes on");
    visitor.follow(&of_jo("password"));
    visitor.fill("main [name=password]", NEW);
    confirm(visitor, "Set the password of jo?");
    assert_eq!(try_login(server, "jo", OTHER, None).status, 401);
    login(server, "jo", NEW);
    visitor.follow(&of_jo("disable"));
    confirm(visitor, "Close the account jo?");
    told(visitor, "The account is closed and its sessions ended.");
    assert_eq!(try_login(server, "jo", NEW, None).status, 401);
    visitor.follow(&of_jo("enable"));
    confirm(visitor, "Open the account jo?");
    login(server, "jo", NEW);
    visitor.check();
    // What is refused is told on the page, with its form.
    visitor.fill("#new [name=name]", "jo");
    visitor.fill("#new [name=password]", OTHER);
    visitor.expect_refusal(409);
    visitor.follow(&act("create"));
    visitor.see("p", "Not done.");
    visitor.check();
}

fn tokens(stage: &Stage, visitor: &mut Visitor) {
    let works = |token: &str| {
        let bearer = format!("Bearer {token}");
        stage.server.send(&Request::get("/api/v1/tickets").header("Authorization", &bearer)).status == 200
    };
    visitor.open("/tokens");
    visitor.fill("#new [name=name]", "deployment");
    visitor.choose("#new [name=role]", "viewer");
    visitor.follow(&act("create"));
    let first = shown_once(visitor, "token", "/tokens");
    assert!(works(&first));
    let of_it =
        |words: &str| format!("tr[contains(., 'deployment') and contains(., 'good')]//button[.='{words}']");
    visitor.follow_words(&of_it("Rotate"), "Rotate");
    visitor.fill("[name=overlap]", "0");
    confirm(visitor, "Rotate the token deployment?");
    let second = shown_once(visitor, "token", "/tokens");
    assert!(works(&second) && !works(&first));
    visitor.follow_words(&of_it("Revoke"), "Revoke");
    confirm(visitor, "Revoke the token deployment?");
    told(visitor, "The token is revoked.");
    assert!(!works(&second));
    visitor.check();
}

fn display(visitor: &mut Visitor) {
    visitor.open("/display");
    visitor.click("[name=theme][value=dark]");
    visitor.click("[name=density][value=roomy]");
    visitor.follow("main button.go");
    told(visitor, "The display is changed in this browser.");
    let worn = "const { theme, density } = document.documentElement.dataset; return theme + ' ' + density";
    assert_eq!(visitor.run(worn), "dark roomy");
    visitor.check();
    visitor.click("[name=theme][value=system]");
    visitor.click("[name=density][value=dense]");
    visitor.follow("main button.go");
    assert_eq!(visitor.run(worn), "undefined undefined");
}

fn sessions(stage: &Stage, visitor: &mut Visitor) {
    let server = &stage.server;
    let other = login(server, "admin", PASSWORD);
    let goes_on = || other.get(server, "/api/v1/auth/session").status == 200;
    visitor.open("/sessions");
    assert!(goes_on());
    visitor.follow_words("tr[not(contains(., 'this one'))]//button", "End");
    told(visitor, "The session ended.");
    assert!(!goes_on());
    visitor.check();
    visitor.fill("[name=current]", PASSWORD);
    visitor.fill("[name=password]", NEW);
    visitor.follow(&act("password"));
    visitor.see("h1", "Sign in");
    visitor.check();
    enter(visitor, NEW);
    visitor.open("/sessions?all=yes");
    visitor.follow(&act("all"));
    confirm(visitor, "sessions?");
    visitor.see("h1", "Sign in");
    enter(visitor, NEW);
}

/// Signs in on the page of the login.
fn enter(visitor: &Visitor, password: &str) {
    visitor.fill("[name=username]", "admin");
    visitor.fill("[name=password]", password);
    visitor.follow("button[type=submit]");
    visitor.find("header.top");
}

fn people(scripts: Scripts) {
    let stage = Stage::empty();
    let mut visitor = Visitor::with(stage.server.address, scripts);
    visitor.sign_in("/");
    accounts(&stage, &mut visitor);
    tokens(&stage, &mut visitor);
    display(&mut visitor);
    sessions(&stage, &mut visitor);
    assert_drove(&mut visitor, drives::PEOPLE);
}

#[test]
fn accounts_tokens_and_sessions_are_kept() {
    people(Scripts::On);
}

#[test]
fn accounts_tokens_and_sessions_are_kept_without_scripts() {
    people(Scripts::Off);
}

fn channel(visitor: &mut Visitor, sink: &Sink) {
    visitor.open("/channels");
    visitor.fill("#new [name=name]", "ops");
    visitor.choose("#new [name=kind]", "Signed webhook");
    visitor.fill("#new [name=url]", &sink.url());
    visitor.follow(&act("add"));
    let secret = shown_once(visitor, "secret", "/channels");
    assert!(secret.starts_with("whsec_"), "{secret}");
    assert!(!visitor.text("main").contains("/in/of/alerts"), "an address goes in and does not come out");
    visitor.follow("#w-ops button[value=test]");
    confirm(visitor, "Send a test to ops?");
    told(visitor, "The receiver took the test message.");
    assert_eq!(sink.wait_for(1).len(), 1);
    sink.will(Behaviour::Answer(500, String::new()));
    visitor.follow("#w-ops button[value=test]");
    confirm(visitor, "Send a test to ops?");
    visitor.see("p", "The test message was not delivered");
    sink.will(Behaviour::ok());
    visitor.check();
    visitor.follow("#w-ops button[value=off]");
    told(visitor, "The channel is switched off.");
    visitor.follow("#w-ops button[value=on]");
    told(visitor, "The channel is switched on.");
    visitor.follow("#w-ops button[value=rotate]");
    confirm(visitor, "Replace the signing secret of ops?");
    assert_ne!(shown_once(visitor, "secret", "/channels"), secret);
}

fn rule(stage: &Stage, visitor: &mut Visitor) {
    let saved = || stage.server.list("/api/v1/alert-rules").iter().any(|rule| rule["name"] == "pay");
    visitor.open("/alerts");
    visitor.fill("#rule [name=name]", "pay");
    visitor.click("#rule [name=triggers][value=new]");
    visitor.choose("#rule [name=priority_min]", "P1");
    visitor.click("#rule [name=channels][value=ops]");
    visitor.follow(&act("try"));
    assert!(visitor.text("#trial").contains("1 message would have been sent"), "{}", visitor.text("#trial"));
    assert!(!saved());
    visitor.check();
    // What was written stands in the form: nothing has to be said twice.
    visitor.fill("#rule [name=users]", "many");
    visitor.expect_refusal(422);
    visitor.follow(&act("save"));
    visitor.see("p", "users: a whole number");
    visitor.check();
    visitor.fill("#rule [name=users]", "");
    visitor.follow(&act("save"));
    told(visitor, "The rule is saved.");
    assert!(saved());
    visitor.follow_words("a", "Edit");
    visitor.see("h2", "Rule pay");
}

fn deliveries(stage: &Stage, visitor: &mut Visitor, sink: &Sink) {
    let came = sink.received().len();
    stage.server.post(
        "/api/v1/events",
        &serde_json::json!({ "message": "told of", "type": "AlertError", "priority": "P0" }),
    );
    sink.wait_for(came + 1);
    until(|| !stage.server.list("/api/v1/deliveries?state=delivered").iter().all(|one| one["test"] == true));
    visitor.open("/deliveries?state=delivered");
    visitor.follow(&act("redeliver"));
    told(visitor, "The delivery waits to be sent again.");
    let all = sink.wait_for(came + 2);
    assert_eq!(all[came].header("webhook-id"), all[came + 1].header("webhook-id"), "it is the same message");
    visitor.check();
    visitor.open("/alerts");
    visitor.follow(&act("remove"));
    confirm(visitor, "Remove the rule pay?");
    told(visitor, "The rule is removed.");
    visitor.open("/channels");
    visitor.follow("#w-ops button[value=remove]");
    confirm(visitor, "Remove the channel ops?");
    visitor.see("h1", "Nobody is told of anything.");
    visitor.check();
}

fn alerts(scripts: Scripts) {
    let authority = Authority::new();
    let sink = Sink::start(&authority, Behaviour::ok());
    let ca = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(ca.path(), &authority.pem).expect("a certificate");
    let config =
        format!("[outbound]\nallow_private = [\"127.0.0.0/8\"]\nextra_ca = \"{}\"", ca.path().display());
    let stage = Stage::start_with(&config, &["serve"]);
    let urgent = serde_json::json!({ "message": "before", "type": "EarlyError", "priority": "P0" });
    stage.server.post("/api/v1/events", &urgent);
    let mut visitor = Visitor::with(stage.server.address, scripts);
    visitor.sign_in("/");
    channel(&mut visitor, &sink);
    rule(&stage, &mut visitor);
    deliveries(&stage, &mut visitor, &sink);
    assert_drove(&mut visitor, drives::ALERTS);
}

#[test]
fn channels_rules_and_deliveries_are_worked() {
    alerts(Scripts::On);
}

#[test]
fn channels_rules_and_deliveries_are_worked_without_scripts() {
    alerts(Scripts::Off);
}

fn quarantine(stage: &Stage, visitor: &mut Visitor) {
    let poisoned = || stage.server.list("/api/v1/tickets?search=poisoned").len();
    stage.poison(1);
    stage.poison(2);
    visitor.open("/quarantine");
    visitor.see("h1", "2 entries could not be redacted.");
    visitor.follow("main tbody tr:first-child button[value=delete]");
    confirm(visitor, "Delete the entry");
    told(visitor, "The entry is deleted.");
    assert_eq!(poisoned(), 0);
    visitor.see("h1", "1 entry could not be redacted.");
    visitor.check();
    visitor.follow(&act("release"));
    confirm(visitor, "Release the entry");
    told(visitor, "The entry went through the pipeline and is stored.");
    visitor.see("h1", "Nothing is in quarantine.");
    assert_eq!(poisoned(), 1);
    visitor.check();
}

fn settings(stage: &Stage, visitor: &mut Visitor) {
    let holds = || stage.server.list("/api/v1/retention/holds").len();
    visitor.open("/settings");
    visitor.follow(&act("try"));
    visitor.see("h3", "What would go now");
    visitor.fill("[name=what]", "default");
    visitor.fill("[name=reason]", "an inquiry <b>of March</b>");
    visitor.follow(&act("hold"));
    told(visitor, "The hold is set.");
    visitor.see("p", "an inquiry <b>of March</b>");
    assert_eq!(holds(), 1);
    visitor.check();
    visitor.follow(&act("release"));
    told(visitor, "The hold is released.");
    assert_eq!(holds(), 0);
}

/// The server makes and tries a backup of its own at first; who comes meanwhile is told to come again.
fn until_told(visitor: &mut Visitor, words: &str, mut act: impl FnMut(&mut Visitor)) {
    until(|| {
        // Also where it is refused.
        visitor.expect_refusal(409);
        act(visitor);
        let refused = visitor.run("return document.querySelector('#problem') !== null") == true;
        assert_eq!(visitor.heard(), Vec::<String>::new());
        !refused
    });
    told(visitor, words);
}

fn backups(stage: &Stage, visitor: &mut Visitor) {
    visitor.open("/backups");
    until_told(visitor, "A backup is on the disk.", |visitor| visitor.follow(&act("create")));
    let name = stage.server.list("/api/v1/backups")[0]["name"].as_str().expect("a name").to_owned();
    visitor.see("td", &name);
    until_told(visitor, "The backup was restored into a temporary home and is whole.", |visitor| {
        visitor.follow("main tbody tr:first-child button[value=verify]");
    });
    visitor.see("h1", "The newest backup is whole.");
    visitor.check();
    visitor.follow(&act("integrity"));
    told(visitor, "Every row and page was looked at; nothing is damaged.");
    visitor.check();
}

fn doctor(visitor: &mut Visitor) {
    let looked = "return document.querySelector('.say time').dateTime";
    visitor.open("/doctor");
    let first = visitor.run(looked);
    visitor.open("/doctor");
    assert_eq!(visitor.run(looked), first, "who only looks at the page probes nothing");
    visitor.follow(&act("look"));
    told(visitor, "Everything was checked anew.");
    assert_ne!(visitor.run(looked), first);
    visitor.check();
}

fn upkeep(scripts: Scripts) {
    let key = tempfile::tempdir().expect("a directory");
    let made: Command =
        Home::new().command(&["backup", "keygen", "--out", key.path().join("key").to_str().expect("a path")]);
    let recipient = crate::harness::finish(made, b"").ok();
    let config = format!("[backup]\nrecipients = [\"{}\"]", recipient.trim());
    let stage = Stage::start_with(&config, &["serve"]);
    let mut visitor = Visitor::with(stage.server.address, scripts);
    visitor.sign_in("/");
    quarantine(&stage, &mut visitor);
    settings(&stage, &mut visitor);
    visitor.open("/audit");
    visitor.follow(&act("verify"));
    visitor.see("p", "The log is whole.");
    visitor.check();
    backups(&stage, &mut visitor);
    doctor(&mut visitor);
    assert_drove(&mut visitor, drives::UPKEEP);
}

#[test]
fn quarantine_settings_backups_and_checks_are_worked() {
    upkeep(Scripts::On);
}

#[test]
fn quarantine_settings_backups_and_checks_are_worked_without_scripts() {
    upkeep(Scripts::Off);
}
