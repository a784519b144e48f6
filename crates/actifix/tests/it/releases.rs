//! Releases: what `sentry-cli` and events tell of them, suspect commits, and tickets that the next release fixes.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Finished, Home, Server, finish};
use crate::http::{Answer, Request};
use crate::leaks::Needles;
use crate::pages::{page, submit};
use crate::people::{PASSWORD, login, with_admin};
use crate::random::Random;
use crate::sdk::place;

const LETTERS_DIGITS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x>";
const AUTHOR: &str = "Mara Quill";

/// A program as a build server runs it: in a folder, with nothing of ours but what is given.
fn as_build(folder: &Path, program: &Path, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", folder).env("GIT_CONFIG_NOSYSTEM", "1").envs(environment.iter().copied());
    command.current_dir(folder);
    command
}

/// A checkout in which builds run.
struct Checkout {
    folder: TempDir,
    email: String,
}

impl Checkout {
    fn new(email: &str) -> Self {
        let checkout = Self { folder: tempfile::tempdir().expect("a folder"), email: email.to_owned() };
        checkout.git(&["init", "--quiet", "--initial-branch", "main"]);
        checkout
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut command = as_build(self.folder.path(), Path::new("git"), &[]);
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), AUTHOR).env(format!("GIT_{role}_EMAIL"), &self.email);
        }
        finish(
            {
                command.args(arguments);
                command
            },
            b"",
        )
        .ok()
        .trim()
        .to_owned()
    }

    /// Writes files and commits them; the id of the commit.
    fn commit(&self, message: &str, files: &[(&str, &str)]) -> String {
        for (name, text) in files {
            let path = self.folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn sentry_cli(&self, server: &Server, project: &str, token: &str, arguments: &[&str]) -> Finished {
        let program = place("ACTIFIX_TEST_NODE_MODULES", "node/node_modules").join(".bin/sentry-cli");
        assert!(program.exists(), "{} is missing: run `cargo xtask install-tools`", program.display());
        let url = format!("http://{}", server.address);
        let environment = [
            ("SENTRY_URL", url.as_str()),
            ("SENTRY_ORG", "actifix"),
            ("SENTRY_PROJECT", project),
            ("SENTRY_AUTH_TOKEN", token),
            ("SENTRY_DISABLE_UPDATE_CHECK", "1"),
        ];
        let mut command = as_build(self.folder.path(), &program, &environment);
        command.args(arguments);
        finish(command, b"")
    }
}

fn build_token(home: &Home, project: &str) -> String {
    let arguments = ["token", "create", "--name", "build", "--scope", "releases:write", "--project", project];
    home.cli(&arguments).ok().trim().to_owned()
}

/// An error of `release` whose innermost own frame lies in `file`; its ticket.
fn fails(server: &Server, message: &str, release: Option<&str>, file: &str) -> Value {
    let stack = format!(
        "Traceback (most recent call last):\n  File \"/srv/app/shop/web.py\", line 7, in handle\n    pay(cart)\n  \
         File \"{file}\", line 3, in charge\n    raise Declined\nDeclined: {message}"
    );
    let event = json!({ "message": message, "type": "Declined", "release": release, "stacktrace": stack });
    server.post("/api/v1/events", &event)
}

fn ticket_of(recorded: &Value) -> String {
    recorded["ticket_id"].as_str().expect("a ticket").to_owned()
}

#[test]
fn heavy_sentry_cli_tells_what_is_in_a_release_and_the_ticket_names_the_suspect() {
    let (home, server) = with_admin();
    let mut random = Random::seeded(0x5e1e);
    let secret = ["sk_", "live_", &random.text(LETTERS_DIGITS, 24)].concat();
    let email = format!("{}@people.example", random.text(b"abcdefghijklmnopqrstuvwxyz", 12));
    home.cli(&["project", "set", "default", "repository=https://github.com/acme/shop"]).ok();
    let token = build_token(&home, "default");
    let checkout = Checkout::new(&email);
    let cli = |arguments: &[&str]| checkout.sentry_cli(&server, "default", &token, arguments).ok();
    checkout.commit("begin", &[("shop/web.py", "pay(cart)\n"), ("README.md", "a shop\n")]);
    let former = checkout.commit("charge the card", &[("shop/pay.py", "charge()\n")]);
    cli(&["releases", "new", "shop@1.0.0"]);
    let said = cli(&["releases", "set-commits", "--local", "shop@1.0.0"]);
    assert!(said.contains("Success! Set commits for release shop@1.0.0"), "{said}");
    cli(&["releases", "finalize", "shop@1.0.0"]);
    cli(&["deploys", "new", "--release", "shop@1.0.0", "--env", "production", "--name", "first"]);
    assert!(cli(&["deploys", "list", "--release", "shop@1.0.0"]).contains("production"));
    let first = server.get("/api/v1/releases/shop@1.0.0");
    assert_eq!(first["commits"].as_array().expect("commits").len(), 2, "{first}");
    assert_eq!(first["commits"][0]["id"], former);
    assert_eq!(first["commits"][0]["paths"], json!(["shop/pay.py"]));
    assert_eq!(first["commits"][0]["author"], AUTHOR);
    assert_eq!(first["commits"][0]["author_email"], Value::Null);
    assert_eq!(first["deploys"][0]["environment"], "production");
    assert_eq!(first["deploys"][0]["name"], "first");
    assert!(first["release"]["released_at"].is_string(), "{first}");
    // The next build sends what is new since, and a secret with it.
    let docs = checkout.commit("say more", &[("README.md", "a shop that sells\n")]);
    let suspect = checkout.commit(
        &format!("retry with the key {secret}\n\nAsked by {email}"),
        &[("shop/pay.py", "charge(retry=True)\n")],
    );
    cli(&["releases", "new", "shop@1.1.0"]);
    cli(&["releases", "set-commits", "--auto", "shop@1.1.0"]);
    let second = server.get("/api/v1/releases/shop@1.1.0");
    let ids: Vec<&Value> =
        second["commits"].as_array().expect("commits").iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, [&json!(suspect), &json!(docs)]);
    assert!(cli(&["releases", "list"]).contains("shop@1.1.0"));
    assert!(cli(&["releases", "info", "shop@1.1.0"]).contains("shop@1.1.0"));

    let ticket = ticket_of(&fails(&server, "card", Some("shop@1.1.0"), "/srv/app/shop/pay.py"));
    let shown = server.get(&format!("/api/v1/tickets/{ticket}"));
    let suspects = shown["suspect_commits"].as_array().expect("suspects");
    assert_eq!(suspects.len(), 1, "the other commit changed no file of the stack: {suspects:?}");
    assert_eq!(suspects[0]["id"], suspect);
    assert_eq!(suspects[0]["files"], json!(["shop/pay.py"]));
    assert_eq!(suspects[0]["why"], "it changed the file in which it failed");
    assert_eq!(suspects[0]["author"], AUTHOR);
    let link = format!("https://github.com/acme/shop/commit/{suspect}");
    assert_eq!(suspects[0]["url"], link);
    let told = home.cli(&["ticket", "show", &ticket]).ok();
    assert!(told.contains("suspect commits") && told.contains(&suspect[..12]), "{told}");
    let context = server.get(&format!("/api/v1/tickets/{ticket}/context"));
    assert_eq!(context["untrusted"]["suspect_commits"][0]["id"], suspect);
    assert!(!context["server"].to_string().contains("retry with"), "what was written is not ours");
    let browser = login(&server, "admin", PASSWORD);
    let html = page(&server, &browser, &format!("/tickets/{ticket}")).text();
    assert!(html.contains("Suspect commits") && html.contains(&format!("href=\"{link}\"")), "{html}");
    let html = page(&server, &browser, "/releases/shop@1.1.0").text();
    assert!(html.contains(&ticket) && html.contains("say more") && html.contains(AUTHOR), "{html}");
    assert!(page(&server, &browser, "/releases").text().contains("/releases/shop%401.1.0?project=1"));
    let told = home.cli(&["release", "show", "shop@1.1.0"]).ok();
    assert!(told.contains(&ticket) && told.contains("say more"), "{told}");

    // Nothing of the secret and of the author's address is anywhere.
    let (answers, printed) = (server.answers(), server.printed());
    let files = home.files();
    server.stop();
    let needles =
        Needles::new([("secret".to_owned(), secret.as_str()), ("email".to_owned(), email.as_str())]);
    let mut leaks = needles.search_files(&files);
    leaks.extend(needles.search_files(&home.files()));
    leaks.extend(needles.search("answers", &answers));
    leaks.extend(needles.search("output", &printed));
    assert!(leaks.is_empty(), "{leaks:?}");
}

#[test]
fn heavy_commits_are_named_and_cleared_as_sentry_cli_is_told() {
    let (home, server) = with_admin();
    home.cli(&["project", "create", "web"]).ok();
    home.cli(&["project", "set", "default", "repository=https://github.com/acme/shop"]).ok();
    let checkout = Checkout::new("mara@people.example");
    let first = checkout.commit("begin", &[("a.py", "a\n")]);
    let (bound, wide) = (
        build_token(&home, "default"),
        home.cli(&["token", "create", "--name", "wide", "--scope", "releases:write"]).ok().trim().to_owned(),
    );
    let cli = |token: &str, arguments: &[&str]| {
        let whole = [&["releases", "set-commits", "shop@1"], arguments].concat();
        checkout.sentry_cli(&server, "default", token, &whole)
    };
    let commits = |project: &str| -> Vec<(String, String)> {
        let detail = server.call("GET", &format!("/api/v1/releases/shop@1?project={project}"), None).json();
        let text = |commit: &Value, name: &str| commit[name].as_str().expect("a text").to_owned();
        let list = detail["commits"].as_array().cloned().unwrap_or_default();
        list.iter().map(|commit| (text(commit, "id"), text(commit, "message"))).collect()
    };
    // Named by id: nothing else is known of it.
    let said = cli(&bound, &["--commit", &format!("acme/shop@{first}")]).ok();
    assert!(said.contains("acme/shop") && said.contains(&first[..12]), "{said}");
    assert_eq!(commits("default"), [(first.clone(), String::new())]);
    let shown = home.cli(&["release", "show", "shop@1", "--project", "default"]).ok();
    assert!(shown.contains(&first[..12]), "{shown}");
    // A repository that is none of its projects', and a name that only a checkout could tell the commit of.
    let unknown = cli(&bound, &["--commit", &format!("acme/other@{first}")]);
    assert!(unknown.code() != 0 && unknown.stderr.contains("Unknown repo"), "{}", unknown.stderr);
    let head = cli(&bound, &["--commit", "acme/shop"]);
    assert!(head.code() != 0 && head.stderr.contains("--commit REPOSITORY@ID"), "{}", head.stderr);
    assert_eq!(commits("default").len(), 1, "what was refused changes nothing");
    // A release of two projects: each takes the commit of its own repository; without one it is called as the project.
    let of_web = "8be41d0aa18be41d0aa18be41d0aa18be41d0aa1";
    let list = "/api/0/organizations/o/releases/";
    let both = json!({ "version": "shop@1", "projects": ["web"] });
    assert_eq!(build(&server, &wide, "POST", list, &both).status, 201);
    let both = ["--commit", &format!("web@{of_web}"), "--commit", &format!("acme/shop@{first}")];
    cli(&wide, &both).ok();
    assert_eq!(commits("web"), [(of_web.to_owned(), String::new())]);
    assert_eq!(commits("default"), [(first.clone(), String::new())]);
    // As the checkout tells it, and cleared again.
    cli(&bound, &["--auto", "--ignore-missing"]).ok();
    assert_eq!(commits("default"), [(first, "begin".to_owned())]);
    let said = cli(&bound, &["--clear"]).ok();
    assert!(said.contains("Clearing commits"), "{said}");
    assert_eq!(commits("default"), []);
    assert_eq!(commits("web").len(), 1, "a bound token says nothing of other projects");
    // A tool that asks nothing first is told as well.
    let heads = json!({ "refs": [{ "repository": "acme/other", "commit": of_web, "previousCommit": null }] });
    let refused = build(&server, &bound, "PUT", &format!("{list}shop@1/"), &heads);
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains("actifix project set"), "{}", refused.text());
}

#[test]
fn one_rule_says_what_a_release_may_be_called() {
    let (home, server) = with_admin();
    let token = build_token(&home, "default");
    let ticket = ticket_of(&fails(&server, "card", None, "shop/pay.py"));
    let by_build = |name: &str| {
        let body = json!({ "version": name });
        build(&server, &token, "POST", "/api/0/projects/o/default/releases/", &body).status
    };
    let by_upload = |name: &str| {
        let chunk = "0".repeat(40);
        let body = json!({ "checksum": chunk, "chunks": [chunk], "projects": ["default"], "version": name });
        build(&server, &token, "POST", "/api/0/organizations/o/artifactbundle/assemble/", &body).status
    };
    let by_person = |name: &str| {
        let body = json!({ "root_cause": "the timeout was two seconds", "no_commit_reason": "none at all",
            "no_test_reason": "none at all", "resolved_in": name });
        let path = format!("/api/v1/tickets/{ticket}");
        let status = server.call("POST", &format!("{path}/complete"), Some(&body)).status;
        if status == 200 {
            assert_eq!(server.get(&path)["resolved_in"], name);
            server.post(&format!("{path}/reopen"), &json!({}));
        }
        status
    };
    let by_event = |name: &str| {
        let event = json!({ "message": "m", "release": name });
        let recorded = server.post("/api/v1/events", &json!({ "event": event }));
        let stored = server.get(&format!("/api/v1/events/{}", recorded["event_id"].as_str().expect("an id")));
        (stored["release"].clone(), stored["problems"].to_string().contains("the release is not valid"))
    };
    let long = "x".repeat(250);
    for good in ["shop@1.0.0", "1.2.3.4", "feature/x@1", "a b", "\u{1f980}", &long] {
        assert_eq!(by_event(good), (json!(good), false), "{good}");
        assert_eq!((by_build(good), by_upload(good), by_person(good)), (201, 200, 200), "{good}");
    }
    let long = "x".repeat(251);
    for bad in ["/x", "x/", ".", "..", "a\nb", "a\tb", &long] {
        assert_eq!(by_event(bad), (Value::Null, true), "{bad:?}");
        assert_eq!((by_build(bad), by_upload(bad), by_person(bad)), (422, 422, 422), "{bad:?}");
    }
    // What an event would not keep as it is, nobody else may say either.
    let key = ["sk_", "live_", &Random::seeded(11).text(LETTERS_DIGITS, 24)].concat();
    for secret in [key.as_str(), "mara.quill@people.example", "a\u{200b}b"] {
        assert_ne!(by_event(secret).0, json!(secret));
        assert_eq!((by_build(secret), by_upload(secret), by_person(secret)), (422, 422, 422), "{secret:?}");
    }
}

#[test]
fn heavy_the_commands_of_the_guide_work() {
    let (home, server) = with_admin();
    let guide = include_str!("../../../../docs/guides/releases.md");
    let ticket = ticket_of(&fails(&server, "card", Some("shop@1.3.0"), "shop/pay.py"));
    let checkout = Checkout::new("mara@people.example");
    checkout.commit("begin", &[("shop/pay.py", "charge()\n")]);
    let tools = place("ACTIFIX_TEST_NODE_MODULES", "node/node_modules").join(".bin");
    let own = Path::new(env!("CARGO_BIN_EXE_actifix")).parent().expect("a folder");
    let blocks: Vec<&str> =
        guide.split("```sh\n").skip(1).map(|rest| rest.split("```").next().expect("an end")).collect();
    assert_eq!(blocks.len(), 4);
    let script = format!("set -eu\n{}", blocks.concat())
        .replace("http://127.0.0.1:5001", &format!("http://{}", server.address))
        .replace("7K3QF", &ticket);
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{}:{path}", own.display(), tools.display());
    let home_folder = home.path().display().to_string();
    let environment =
        [("PATH", path.as_str()), ("ACTIFIX_HOME", &home_folder), ("SENTRY_DISABLE_UPDATE_CHECK", "1")];
    let mut command = as_build(checkout.folder.path(), Path::new("sh"), &environment);
    command.args(["-c", &script]);
    let said = finish(command, b"").ok();
    assert!(said.contains("Set commits for release shop@1.4.0") && said.contains("production"), "{said}");
    let release = server.get("/api/v1/releases/shop@1.4.0");
    assert_eq!(release["commits"].as_array().expect("commits").len(), 1);
    let ticket = server.get(&format!("/api/v1/tickets/{ticket}"));
    assert_eq!((&ticket["status"], &ticket["resolved_after"]), (&json!("resolved"), &json!("shop@1.3.0")));
}

#[test]
fn a_ticket_that_the_next_release_fixes_is_reopened_by_a_newer_release_alone() {
    let (home, server) = with_admin();
    // Each fails in a file of its own: two tickets.
    let event = |message: &str, release: Option<&str>| {
        fails(&server, message, release, &format!("shop/{message}.py"))
    };
    let status = |id: &str| server.get(&format!("/api/v1/tickets/{id}"));
    let complete = |id: &str| {
        let arguments = [
            "ticket",
            "complete",
            id,
            "--root-cause",
            "the timeout was two seconds",
            "--commit",
            "3f2a91c",
            "--no-test-reason",
            "configuration only",
            "--in-next-release",
            "--json",
        ];
        home.cli(&arguments)
    };
    // Without a release there is no next one.
    let without = ticket_of(&server.post("/api/v1/events", &json!({ "message": "none", "type": "None" })));
    let refused = complete(&without);
    assert_ne!(refused.code(), 0);
    assert!(refused.stderr.contains("no release yet"), "{}", refused.stderr);
    let id = ticket_of(&event("card", Some("shop@1.9.0")));
    event("other", Some("shop@1.10.0"));
    assert_eq!(complete(&id).json()["resolved_after"], "shop@1.10.0");
    for release in [Some("shop@1.9.0"), Some("shop@1.10.0"), Some("shop@1.9.9"), None] {
        assert_eq!(event("card", release)["change"], "seen", "{release:?}");
    }
    let back = event("card", Some("shop@1.11.0"));
    assert_eq!((back["change"].as_str(), ticket_of(&back)), (Some("regressed"), id.clone()));
    assert_eq!(server.get("/api/v1/releases/shop@1.11.0")["regressed"][0]["id"], id);
    // By the form of the page; and this time the next release comes without the error.
    let browser = login(&server, "admin", PASSWORD);
    let path = format!("/tickets/{id}");
    assert!(page(&server, &browser, &path).text().contains("name=\"in_next_release\""));
    let fields = [
        ("csrf", browser.csrf.as_str()),
        ("act", "resolve"),
        ("root_cause", "the timeout was two seconds"),
        ("commit", "3f2a91c"),
        ("no_test_reason", "configuration only"),
        ("in_next_release", "yes"),
    ];
    assert_eq!(submit(&server, &browser, &path, &fields).status, 303);
    assert!(page(&server, &browser, &path).text().contains("Fixed in the release after"));
    event("other", Some("shop@1.12.0"));
    let shown = status(&id);
    assert_eq!((&shown["status"], &shown["resolved_in"]), (&json!("resolved"), &json!("shop@1.12.0")));
    assert_eq!(shown["resolved_after"], Value::Null);
    let html = page(&server, &browser, "/releases/shop@1.12.0").text();
    assert!(html.contains("Fixed in it") && html.contains(&id), "{html}");
    assert_eq!(event("card", Some("shop@1.11.0"))["change"], "seen");
    assert_eq!(event("card", Some("shop@1.12.0"))["change"], "regressed");
    // Both at once mean nothing.
    let body = json!({
        "root_cause": "the timeout was two seconds", "no_commit_reason": "none at all", "no_test_reason": "none at all",
        "resolved_in": "shop@2", "in_next_release": true,
    });
    assert_eq!(server.call("POST", &format!("/api/v1/tickets/{id}/complete"), Some(&body)).status, 422);
    assert_eq!(status(&id)["status"], "open");
}

/// Sends as a build does.
fn build(server: &Server, token: &str, method: &str, path: &str, body: &Value) -> Answer {
    let request = Request::new(method, path).header("Authorization", &format!("Bearer {token}"));
    let request = if method == "GET" {
        request
    } else {
        request.header("Content-Type", "application/json").body(body.to_string())
    };
    server.send(&request)
}

/// Every way to ask about a release as `sentry-cli` does.
const ASKED: [(&str, &str); 16] = [
    ("GET", "/api/0/organizations/o/repos/"),
    ("GET", "/api/0/organizations/o/releases/"),
    ("POST", "/api/0/organizations/o/releases/"),
    ("GET", "/api/0/projects/o/default/releases/"),
    ("POST", "/api/0/projects/o/default/releases/"),
    ("GET", "/api/0/organizations/o/releases/shop@1/"),
    ("PUT", "/api/0/organizations/o/releases/shop@1/"),
    ("GET", "/api/0/projects/o/default/releases/shop@1/"),
    ("PUT", "/api/0/projects/o/default/releases/shop@1/"),
    ("GET", "/api/0/organizations/o/releases/shop@1/commits/"),
    ("GET", "/api/0/projects/o/default/releases/shop@1/commits/"),
    ("GET", "/api/0/organizations/o/releases/shop@1/previous-with-commits/"),
    ("GET", "/api/0/organizations/o/releases/shop@1/deploys/"),
    ("POST", "/api/0/organizations/o/releases/shop@1/deploys/"),
    ("DELETE", "/api/0/projects/o/default/releases/shop@1/"),
    ("DELETE", "/api/0/organizations/o/releases/shop@1/"),
];

#[test]
fn a_token_of_another_scope_or_project_tells_and_learns_nothing() {
    let (home, server) = with_admin();
    home.cli(&["project", "create", "other"]).ok();
    fails(&server, "card", Some("shop@1"), "shop/pay.py");
    let body = json!({
        "version": "shop@1", "projects": ["default"], "environment": "production",
        "commits": [{ "id": "8be41d0aa1", "message": "planted", "timestamp": "2026-11-24T09:00:00Z" }],
    });
    let before = server.get("/api/v1/releases/shop@1");
    let reader = home.cli(&["token", "create", "--name", "reader", "--role", "viewer"]).ok();
    let agent = home.cli(&["token", "create", "--name", "agent", "--role", "agent"]).ok();
    for (method, path) in ASKED {
        let open =
            Request::new(method, path).header("Content-Type", "application/json").body(body.to_string());
        let answer = server.send(&open);
        assert_eq!(answer.status, 401, "{method} {path}");
        assert!(answer.json()["detail"].is_string(), "{method} {path}: {}", answer.text());
        for token in [&reader, &agent] {
            assert_eq!(build(&server, token.trim(), method, path, &body).status, 403, "{method} {path}");
        }
    }
    // A token of the other project: what is named is not there, and what is listed is its own.
    let foreign = build_token(&home, "other");
    for (method, path) in ASKED {
        let answer = build(&server, &foreign, method, path, &body);
        let text = answer.text();
        let own = path.ends_with("/repos/") && text.contains("other") && !text.contains("default");
        let nothing =
            matches!(answer.status, 404) || (method == "GET" && (own || matches!(text.trim(), "[]" | "{}")));
        assert!(nothing, "{method} {path}: {} {text}", answer.status);
    }
    assert_eq!(server.get("/api/v1/releases/shop@1"), before, "nothing changed");
    // What a build may do is all that its token may.
    let token = build_token(&home, "default");
    for path in ["/api/v1/tickets", "/api/v1/releases", "/api/v1/releases/shop@1", "/api/v1/projects"] {
        assert_eq!(build(&server, &token, "GET", path, &json!({})).status, 403, "{path}");
    }
    // The same name in two projects: each token tells of its own, and a reader must say which.
    assert_eq!(build(&server, &foreign, "POST", "/api/0/projects/o/other/releases/", &body).status, 201);
    let other = server.get("/api/v1/releases/shop@1?project=other");
    assert_eq!((&other["release"]["commits"], &other["release"]["events"]), (&json!(1), &json!(0)));
    assert_eq!(server.get("/api/v1/releases/shop@1?project=default"), before);
    let which = server.call("GET", "/api/v1/releases/shop@1", None);
    assert_eq!(which.status, 409);
    assert!(which.text().contains("project"), "{}", which.text());
    let bound = server.mint(&json!({ "name": "b", "role": "viewer", "project": "other" }));
    let bound = bound["token"].as_str().expect("a token");
    let seen = build(&server, bound, "GET", "/api/v1/releases/shop@1", &json!({})).json();
    assert_eq!(seen["release"]["project"], other["release"]["project"]);
    let listed = build(&server, bound, "GET", "/api/v1/releases", &json!({})).json();
    assert_eq!(listed["items"].as_array().expect("items").len(), 1);
    for path in ["/api/v1/releases?project=default", "/api/v1/releases/shop@1?project=default"] {
        assert_eq!(build(&server, bound, "GET", path, &json!({})).status, 404, "{path}");
    }
    let log = home.cli(&["audit", "list", "--action", "release.saved", "--json"]).json();
    assert_eq!(log["items"][0]["target"], "release:shop@1");
}

#[test]
fn what_a_build_says_is_bounded_and_checked() {
    let (home, server) = with_admin();
    let token = build_token(&home, "default");
    let releases = "/api/0/projects/o/default/releases/";
    let send = |method: &str, path: &str, body: &Value| build(&server, &token, method, path, body);
    let key = ["sk_", "live_", &Random::seeded(7).text(LETTERS_DIGITS, 24)].concat();
    let long = "x".repeat(251);
    for version in ["", "/x", "x/", "a\nb", ".", "..", long.as_str(), key.as_str()] {
        let answer = send("POST", releases, &json!({ "version": version }));
        assert_eq!(answer.status, 422, "{version:?}: {}", answer.text());
        let detail = answer.json()["detail"].as_str().expect("a reason").to_owned();
        assert!(detail.contains("version") && (version.len() < 3 || !detail.contains(version)), "{detail}");
    }
    assert_eq!(send("POST", releases, &json!({})).status, 422, "no version");
    assert_eq!(send("POST", "/api/0/organizations/o/releases/", &json!({ "version": "a@1" })).status, 422);
    assert_eq!(send("PUT", "/api/0/organizations/o/releases/a@1/", &json!({ "url": "x" })).status, 404);
    assert_eq!(send("POST", releases, &json!({ "version": "a@1" })).status, 201);
    let one = "/api/0/organizations/o/releases/a@1/";
    for (body, status) in [
        (json!({ "commits": [{ "id": "main" }] }), 422),
        (json!({ "commits": [{ "id": "--upload-pack=x" }] }), 422),
        (json!({ "commits": [{ "id": "8be41d0aa1", "timestamp": "yesterday" }] }), 400),
        (json!({ "commits": "all" }), 400),
        (json!({ "refs": [{ "repository": "acme/shop", "commit": "8be41d0aa1" }] }), 422),
        (json!({ "refs": [{ "repository": "default", "commit": "main" }] }), 422),
        (json!({ "refs": [{ "commit": "8be41d0aa1" }] }), 400),
        (json!({ "refs": vec![json!({ "repository": "default", "commit": "8be41d0aa1" }); 51] }), 422),
        (json!({ "url": "x".repeat(501) }), 422),
        (json!({ "commits": [{ "id": "8be41d0aa1", "message": "x".repeat(5 << 20) }] }), 413),
    ] {
        let answer = send("PUT", one, &body);
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    let deploys = format!("{one}deploys/");
    assert_eq!(send("POST", &deploys, &json!({ "environment": " " })).status, 422);
    assert_eq!(send("POST", &deploys, &json!({ "environment": "x".repeat(65) })).status, 422);
    assert_eq!(server.get("/api/v1/releases/a@1")["release"]["deploys"], 0);
    // More than is kept: the newest stay, and what is left out is told.
    let commits: Vec<Value> = (0..600)
        .map(|number| {
            let paths: Vec<Value> =
                (0..250).map(|file| json!({ "path": format!("f{file}"), "type": "M" })).collect();
            let paths = if number == 599 { paths } else { Vec::new() };
            json!({
                "id": format!("{number:040x}"), "message": "m".repeat(1_200), "author_name": "a".repeat(300),
                "timestamp": format!("2026-11-24T{:02}:{:02}:00+00:00", number / 60, number % 60),
                "patch_set": paths,
            })
        })
        .collect();
    assert_eq!(send("PUT", one, &json!({ "commits": commits })).status, 200);
    let kept = server.get("/api/v1/releases/a@1");
    let list = kept["commits"].as_array().expect("commits");
    assert_eq!(list.len(), 500);
    assert_eq!(list[0]["id"], format!("{:040x}", 599));
    assert_eq!(
        (list[0]["paths"].as_array().expect("paths").len(), &list[0]["paths_left_out"]),
        (200, &json!(50))
    );
    assert_eq!(list[0]["message"].as_str().expect("text").len(), 1_000);
    assert_eq!(list[0]["author"].as_str().expect("text").len(), 128);
    // The setting of the repository is an address and nothing else.
    for bad in [
        "http://github.com/acme/shop",
        "javascript:alert(1)",
        "https://u:p@github.com/a/b",
        "https://x/\"><b>",
    ] {
        let body = json!({ "settings": { "repository": bad } });
        let answer = server.call("PATCH", "/api/v1/projects/default", Some(&body));
        assert_eq!(answer.status, 422, "{bad}");
        assert!(!answer.text().contains("javascript:"), "what was refused is not repeated");
    }
    home.cli(&["project", "set", "default", "repository=https://gitlab.example.net/a/b.git"]).ok();
    let settings = server.get("/api/v1/projects/default")["settings"].clone();
    assert_eq!(settings["repository"], "https://gitlab.example.net/a/b");
}

#[test]
fn the_address_of_an_author_is_kept_only_where_the_project_keeps_personal_data() {
    let (home, server) = with_admin();
    let token = build_token(&home, "default");
    let email = "mara.quill@people.example";
    let body = json!({
        "version": "a@1",
        "commits": [{ "id": "8be41d0aa1", "author_name": email, "author_email": email, "message": format!("for {email}") }],
    });
    let told = |setting: &str| {
        home.cli(&["project", "set", "default", &format!("email={setting}")]).ok();
        let answer = build(&server, &token, "POST", "/api/0/projects/o/default/releases/", &body);
        assert_eq!(answer.status, 201, "{}", answer.text());
        server.get("/api/v1/releases/a@1")["commits"][0].clone()
    };
    let masked = told("mask");
    assert_eq!(masked["author_email"], Value::Null);
    assert!(!masked.to_string().contains(email), "{masked}");
    let hashed = told("hash");
    let text = hashed["author_email"].as_str().expect("a hash");
    assert!(text.starts_with("[redacted:email:") && !hashed.to_string().contains(email), "{hashed}");
    assert_eq!(told("keep")["author_email"], email);
}

#[test]
fn releases_of_strangers_are_text_on_every_page() {
    let (home, server) = with_admin();
    let token = build_token(&home, "default");
    let hostile = HOSTILE;
    let recorded = fails(&server, "card", Some(hostile), &format!("shop/{hostile}.py"));
    let path =
        url::form_urlencoded::byte_serialize(hostile.as_bytes()).collect::<String>().replace('+', "%20");
    let one = format!("/api/0/organizations/o/releases/{path}/");
    let commit = json!({
        "id": "8be41d0aa1", "author_name": hostile, "message": hostile,
        "patch_set": [{ "path": format!("shop/{hostile}.py"), "type": "M" }, { "path": "shop/web.py", "type": "M" }],
    });
    let answer = build(&server, &token, "PUT", &one, &json!({ "url": hostile, "commits": [commit] }));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let deploy = json!({ "environment": hostile, "name": hostile, "url": hostile });
    assert_eq!(build(&server, &token, "POST", &format!("{one}deploys/"), &deploy).status, 201);
    let browser = login(&server, "admin", PASSWORD);
    let ticket = ticket_of(&recorded);
    for page_path in
        ["/releases".to_owned(), format!("/releases/{path}?project=1"), format!("/tickets/{ticket}")]
    {
        let answer = page(&server, &browser, &page_path);
        let text = answer.text();
        assert_eq!(answer.status, 200, "{page_path}");
        assert!(text.contains("&lt;script&gt;alert(1)"), "{page_path}: {text}");
        assert!(!text.contains("<script>alert") && !text.contains("<img src=x"), "{page_path}: {text}");
    }
    let html = page(&server, &browser, &format!("/tickets/{ticket}")).text();
    assert!(html.contains("Suspect commits"), "{html}");
    assert_eq!(page(&server, &browser, "/releases/nothing").status, 404);
    assert_eq!(page(&server, &browser, "/releases?project=nothing").status, 404);
}

#[test]
fn what_strangers_name_ships_nothing_and_what_ran_is_not_removed() {
    let (home, server) = with_admin();
    let token = build_token(&home, "default");
    let id = ticket_of(&fails(&server, "card", Some("shop@1.0.0"), "shop/pay.py"));
    let key = server.get("/api/v1/projects/default/keys")["items"][0]["public_key"].clone();
    let stranger = |release: &str| {
        let path = format!("/api/1/store/?sentry_key={}", key.as_str().expect("a key"));
        let event = json!({ "message": "noise", "release": release });
        let answer = server.send(&Request::post(&path, event.to_string()));
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    // The border of what comes next is what was told by somebody who is trusted.
    stranger("shop@9998.0.0");
    let arguments = ["--root-cause", "the timeout was two seconds", "--commit", "3f2a91c"];
    let further = ["--no-test-reason", "configuration only", "--in-next-release", "--json"];
    let complete = [&["ticket", "complete", &id], &arguments[..], &further[..]].concat();
    assert_eq!(home.cli(&complete).json()["resolved_after"], "shop@1.0.0");
    stranger("shop@9999.0.0");
    let shown = server.get(&format!("/api/v1/tickets/{id}"));
    assert_eq!((&shown["resolved_in"], &shown["resolved_after"]), (&Value::Null, &json!("shop@1.0.0")));
    assert_eq!(server.get("/api/v1/releases/shop@9999.0.0")["release"]["events"], 1);
    // What ran stays; what was only told of can go.
    let path = |version: &str| format!("/api/0/organizations/o/releases/{version}/");
    let refused = build(&server, &token, "DELETE", &path("shop@1.0.0"), &json!({}));
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(refused.text().contains("never ran"), "{}", refused.text());
    let told = json!({ "version": "shop@1.1.0", "projects": ["default"] });
    assert_eq!(build(&server, &token, "POST", "/api/0/organizations/o/releases/", &told).status, 201);
    assert_eq!(server.get(&format!("/api/v1/tickets/{id}"))["resolved_in"], "shop@1.1.0");
    assert_eq!(build(&server, &token, "DELETE", &path("shop@1.1.0"), &json!({})).status, 204);
}

#[test]
fn a_request_that_means_more_projects_than_its_bound_is_refused_whole() {
    let (home, server) = with_admin();
    let token = home.cli(&["token", "create", "--name", "build", "--scope", "releases:write"]).ok();
    let send = |method: &str, path: &str, body: &Value| build(&server, token.trim(), method, path, body);
    let (list, one) = ("/api/0/organizations/o/releases/", "/api/0/organizations/o/releases/all@1/");
    for number in 0..51 {
        let name = format!("shop-{number}");
        assert!(server.post("/api/v1/projects", &json!({ "name": name })).is_object());
        assert_eq!(send("POST", list, &json!({ "version": "all@1", "projects": [name] })).status, 201);
    }
    for (method, body) in [("PUT", json!({ "url": "https://example.net/1" })), ("DELETE", json!({}))] {
        let refused = send(method, one, &body);
        assert_eq!(refused.status, 422, "{}", refused.text());
        assert!(refused.text().contains("51 projects"), "{}", refused.text());
    }
    let named = json!({ "url": "https://example.net/1", "projects": ["shop-0"] });
    assert_eq!(send("PUT", one, &named).status, 200);
    let shown = |project: &str| server.get(&format!("/api/v1/releases/all@1?project={project}"));
    assert_eq!(shown("shop-0")["release"]["url"], "https://example.net/1");
    assert_eq!(shown("shop-1")["release"]["url"], Value::Null);
}
