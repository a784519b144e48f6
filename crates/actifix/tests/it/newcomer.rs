//! The first hour: a demo, commands that explain themselves, mistakes that are told in one line.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::harness::{Finished, Home, KEY_42, Server, bare_command, finish};
use crate::http::Request;

#[track_caller]
fn in_one_line(finished: &Finished, says: &[&str]) {
    assert_eq!(finished.code(), 2, "{}{}", finished.stdout, finished.stderr);
    assert!(finished.stderr.starts_with("error: "), "{}", finished.stderr);
    assert_eq!(finished.stderr.trim_end().lines().count(), 1, "{}", finished.stderr);
    for words in says {
        assert!(finished.stderr.contains(words), "{words:?} is not in: {}", finished.stderr);
    }
}

fn record(home: &Home, text: &str) -> String {
    home.cli(&["record", text, "--json"]).json()["ticket_id"].as_str().expect("an id").to_owned()
}

#[test]
fn the_parsers_mistakes_are_one_line_with_the_nearest_name() {
    let home = Home::new();
    home.cli(&["project", "create", "spare"]).ok();
    for (arguments, says) in [
        (&["tickt"][..], &["tickt: unknown command", "did you mean `ticket`?"][..]),
        (&["ticket", "lst"], &["lst: unknown command", "`list`", "`actifix ticket --help`"]),
        (&["init"], &["init: unknown command", "`actifix serve` makes a home"]),
        (&["status"], &["status: unknown command", "`actifix doctor`"]),
        (&["login"], &["login: unknown command", "ACTIFIX_TOKEN"]),
        (&["ticket", "resolve", "7K3QF"], &["resolve: unknown command", "`actifix ticket complete`"]),
        (&["ticket"], &["a command is missing: list, show, claim"]),
        (&["ticket", "list", "--serach=x"], &["--serach: unknown option", "did you mean `--search`?"]),
        (
            &["serve", "--port", "8000"],
            &["--port: unknown option", "ACTIFIX_LISTENERS__MAIN__BIND=127.0.0.1:8000"],
        ),
        (&["serve", "--host=0.0.0.0"], &["--host: unknown option", "[listeners.main] in actifix.toml"]),
        (&["serve", "--prodution"], &["did you mean `--production`?"]),
        (&["ticket", "list", "--limit", "500"], &["--limit: ", "1..=200", "`actifix ticket list --help`"]),
        (&["ticket", "list", "--limit"], &["--limit: its value is missing"]),
        (&["ticket", "list", "--sort", "cuont"], &["--sort: ", "last_seen, first_seen, count", "`count`"]),
        (&["record"], &["MESSAGE: missing", "`actifix record <MESSAGE>`"]),
        (
            &["token", "create", "--name", "x", "--role", "emperor"],
            &["--role: ", "viewer, operator, agent, admin"],
        ),
        (
            &["token", "create", "--name", "x", "--role", "admin", "--scope", "admin"],
            &["--role: not together with --scope"],
        ),
        (
            &["token", "create", "--name", "x", "--scope", "tickets:read,ticket:work"],
            &[
                "--scope: \"ticket:work\"",
                "tickets:read, tickets:work, tickets:triage",
                "did you mean `tickets:work`?",
            ],
        ),
        (
            &["token", "create", "--name", "x", "--scope", "everything"],
            &["\"everything\"", "releases:write, admin"],
        ),
        (
            &["token", "create", "--name", "x", "--role", "viewer", "--expires", "91d"],
            &["--expires: 1 to 90 days"],
        ),
        (&["project", "set", "default", "email=kep"], &["keep, mask or hash"]),
        (&["ticket", "merge", "7K3QF", "no ticket"], &["not the id of a ticket"]),
    ] {
        in_one_line(&home.cli(arguments), says);
    }
    // A value in the wrong place may be a secret.
    let misplaced = ["hunter2", "correct", "horse"].join("-");
    let refused = home.cli(&["secrets", "set", "smtp.password", &misplaced]);
    in_one_line(&refused, &["one argument too many"]);
    assert!(!refused.stderr.contains(&misplaced), "{}", refused.stderr);
    let json: Value = serde_json::from_str(&home.cli(&["tickt", "--json"]).stderr).expect("JSON");
    assert_eq!(json["code"], 2, "{json}");
    // The name alone asks what there is.
    let bare = finish(bare_command(), b"");
    assert_eq!(bare.code(), 2);
    assert!(bare.stderr.contains("Usage: actifix") && bare.stderr.contains("Examples:"), "{}", bare.stderr);
}

#[test]
fn scopes_are_given_with_commas_or_one_by_one() {
    let home = Home::new();
    for scopes in
        [&["--scope", "tickets:read,metrics:read"][..], &["--scope", "tickets:read", "--scope=metrics:read"]]
    {
        let arguments = [&["token", "create", "--name", "x", "--json"][..], scopes].concat();
        assert_eq!(home.cli(&arguments).json()["scopes"], json!(["tickets:read", "metrics:read"]));
    }
}

#[test]
fn a_part_of_an_id_is_enough_where_it_is_the_only_one() {
    let home = Home::new();
    let _server = home.serve();
    let (one, other) = (record(&home, "the cart is empty"), record(&home, "no database"));
    let end = |id: &str| id[id.len() - 5..].to_owned();
    assert!(home.cli(&["ticket", "show", &end(&one)]).ok().contains("the cart is empty"));
    assert!(home.cli(&["ticket", "show", &one.to_lowercase()]).ok().contains("the cart is empty"));
    home.cli(&["ticket", "note", &end(&other), "only at night"]).ok();
    home.cli(&["ticket", "assign", &end(&one), "jo"]).ok();
    in_one_line(&home.cli(&["ticket", "show", "UUUUU"]), &["UUUUU not found", "ticket list"]);
    in_one_line(&home.cli(&["ticket", "show", "two words"]), &["not the id of a ticket", "7K3QF"]);
    // Every end of both: the day and what is before it are no end.
    let shared = one.chars().last().filter(|last| other.ends_with(*last));
    if let Some(shared) = shared {
        in_one_line(&home.cli(&["ticket", "show", &shared.to_string()]), &[&one, &other, "write more of it"]);
    }
    home.cli(&["ticket", "merge", &end(&one), &end(&other)]).ok();
    assert_eq!(
        home.cli(&["ticket", "show", &end(&other), "--json"]).json()["id"],
        one,
        "the old end still leads there"
    );

    for value in ["Zq7", "Xw4"] {
        let token = ["gh", "p_", &value.repeat(12)].concat();
        home.cli(&["record", &format!("auth with {token} failed")]).ok();
    }
    let findings = home.cli(&["findings", "list", "--json"]).json();
    let ids: Vec<&str> =
        findings["items"].as_array().expect("items").iter().filter_map(|item| item["id"].as_str()).collect();
    assert_eq!(ids.len(), 2, "{findings}");
    let start =
        (1..32).map(|length| &ids[0][..length]).find(|start| !ids[1].starts_with(start)).expect("a start");
    assert_eq!(home.cli(&["findings", "show", start, "--json"]).json()["id"], ids[0]);
    home.cli(&["findings", "resolve", start, "--state", "rotated"]).ok();
    in_one_line(&home.cli(&["findings", "show", "xyz"]), &["not the id of a finding"]);

    let token = home.cli(&["token", "create", "--name", "ci", "--role", "viewer", "--json"]).json();
    let id = token["id"].as_str().expect("an id");
    assert_eq!(home.cli(&["token", "revoke", &id[..10]]).ok(), "revoked 1 token\n");
}

/// One digit fits two of three tickets at the most likely; all of one day share what stands before.
#[test]
fn an_id_that_fits_several_names_them() {
    let home = Home::new();
    let _server = home.serve_busy();
    // Thirty-three tickets and thirty-two digits: two end alike.
    let ids: Vec<String> = (0..33_u8)
        .map(|number| {
            let kind = format!("Error{}{}", char::from(b'A' + number % 26), char::from(b'A' + number / 26));
            let arguments = ["record", "no answer", "--type", &kind, "--priority", "P1", "--json"];
            home.cli(&arguments).json()["ticket_id"].as_str().expect("an id").to_owned()
        })
        .collect();
    let last = |id: &str| id.chars().last().expect("a digit");
    let digit =
        ids.iter().map(|id| last(id)).find(|digit| ids.iter().filter(|id| last(id) == *digit).count() > 1);
    let digit = digit.expect("more tickets than digits");
    let two: Vec<&str> = ids.iter().filter(|id| last(id) == digit).take(2).map(String::as_str).collect();
    let refused = home.cli(&["ticket", "ignore", &digit.to_string()]);
    in_one_line(&refused, &["write more of it"]);
    assert!(two.iter().any(|id| refused.stderr.contains(id)), "{}", refused.stderr);
    assert_eq!(home.cli(&["ticket", "list", "--status", "ignored", "--json"]).json()["total"], 0);
}

/// The help of every command, outermost first.
fn pages(home: &Home) -> Vec<(String, String)> {
    let text = home.cli(&["reference", "cli"]).ok();
    text.split("\n## `")
        .skip(1)
        .map(|page| {
            let (name, rest) = page.split_once('`').expect("a name");
            (name.to_owned(), rest.to_owned())
        })
        .collect()
}

/// Command lines below "Example:", without remarks behind two blanks.
fn examples(page: &str) -> Vec<String> {
    let (_, rest) = page.rsplit_once("Example").unwrap_or(("", ""));
    let mut lines: Vec<String> = Vec::new();
    for line in rest.lines().skip(1).take_while(|line| !line.starts_with("```")) {
        let Some(line) = line.strip_prefix("  ").filter(|line| !line.trim().is_empty()) else { continue };
        match lines.last_mut().filter(|last| last.ends_with('\\')) {
            Some(last) => *last = format!("{} {}", last.trim_end_matches('\\').trim_end(), line.trim()),
            None => lines.push(line.to_owned()),
        }
    }
    lines.iter().map(|line| line.split("   ").next().unwrap_or(line).trim().to_owned()).collect()
}

#[test]
fn every_help_has_an_example_and_every_example_is_understood() {
    let home = Home::new();
    let pages = pages(&home);
    assert!(pages.len() > 60, "{}", pages.len());
    for (name, page) in &pages {
        let examples = examples(page);
        let is_ours = |example: &String| !commands_in(example).is_empty();
        assert!(examples.iter().any(is_ours), "`{name} --help` has no example");
        for words in examples.iter().flat_map(|example| commands_in(example)) {
            // With --help at its end only what the words mean is looked at: unknown commands and options.
            let arguments: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
            let told = home.cli(&arguments);
            assert_eq!(told.code(), 0, "{name}: {words:?}: {}", told.stderr);
        }
    }
}

/// Arguments of each `actifix` in a shell line; quoted text is one word.
fn commands_in(line: &str) -> Vec<Vec<String>> {
    let mut commands: Vec<Option<Vec<String>>> = vec![None];
    let mut word = String::new();
    let mut quote = None;
    let take = |word: &mut String, commands: &mut Vec<Option<Vec<String>>>| {
        let word = std::mem::take(word);
        match commands.last_mut() {
            Some(Some(arguments)) if !word.is_empty() => arguments.push(word),
            Some(open) if word == "actifix" || word.ends_with("$(actifix") => *open = Some(Vec::new()),
            _ => {}
        }
    };
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, ' ') => take(&mut word, &mut commands),
            (None, '|' | '>' | '<' | '&' | ';' | ')') => {
                take(&mut word, &mut commands);
                commands.push(None);
            }
            (_, c) => word.push(c),
        }
    }
    take(&mut word, &mut commands);
    commands
        .into_iter()
        .flatten()
        .map(|arguments| arguments.into_iter().take_while(|word| word != "--").collect())
        .collect()
}

/// Examples that this machine can run, with what stands for something of the reader's own replaced.
#[test]
fn documented_examples_work_as_they_stand() {
    const RUN: &[&str] = &[
        "actifix ticket ",
        "actifix findings ",
        "actifix throttle ",
        "actifix project ",
        "actifix token ",
        "actifix record ",
        "actifix config ",
        "actifix audit ",
        "actifix retention ",
        "actifix user ",
        "actifix sessions ",
        "actifix secrets list",
        "actifix secrets status",
        "actifix events show",
        "actifix logs tail --lines 50",
        "actifix quarantine list",
        "actifix dsn",
        "some-command 2>&1",
    ];
    // Need a person, a file of the reader's, or end what the others need.
    const NOT_RUN: &[&str] = &[
        "user create",
        "user passwd",
        "ticket complete",
        "user totp",
        "ticket renew",
        "ticket split",
        "token revoke",
        "--follow",
        "sessions kill",
        "audit export",
        "| jq",
    ];
    let home = Home::new();
    let _server = home.serve_busy();
    home.cli(&["project", "create", "shop"]).ok();
    let key = "a1b2c3d4e5f60718293a4b5c6d7e8f90";
    home.cli(&["project", "key", "import", "shop", key]).ok();
    home.cli_stdin(&["user", "create", "jo", "--stdin"], b"a long pass phrase of jo 7\n").ok();
    home.cli_stdin(&["admin", "set-password", "--stdin"], b"a long pass phrase of the admin 7\n").ok();
    let secret = ["gh", "p_", &"Zq7".repeat(12)].concat();
    let recorded =
        home.cli(&["record", &format!("auth with {secret} failed"), "--project", "shop", "--json"]).json();
    let event = recorded["event_id"].as_str().expect("an id").to_owned();
    let ticket = recorded["ticket_id"].as_str().expect("an id").to_owned();
    let findings = home.cli(&["findings", "list", "--json"]).json();
    let finding = findings["items"][0]["id"].as_str().expect("an id")[..6].to_owned();
    let folder = home.path().join("bin");
    fs::create_dir(&folder).expect("a folder");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_actifix"), folder.join("actifix")).expect("a link");
    let mut worked = 0;
    for (name, page) in pages(&home) {
        for example in examples(&page) {
            if !RUN.iter().any(|start| example.starts_with(start))
                || NOT_RUN.iter().any(|part| example.contains(part))
            {
                continue;
            }
            let other = record(
                &home,
                &format!("another failure, of {}", example.replace(|c: char| !c.is_ascii_alphabetic(), "")),
            );
            let token = home.cli(&["token", "create", "--name", "x", "--role", "viewer", "--json"]).json();
            let line = example
                .replace("ACT-20261124-7K3QF", &ticket)
                .replace("7K3QF", &ticket[ticket.len() - 5..])
                .replace("0M2XA", &other[other.len() - 5..])
                .replace("3f9a", &finding)
                .replace("0123456789abcdef", token["id"].as_str().expect("an id"))
                .replace("9ec79c33ec9942ab8353589fcb2e04dc", &event)
                .replace("tracker.example.net/42", "tracker.example.net/2")
                .replace("some-command 2>&1", "echo no such thing")
                .replace(" (the default again)", "")
                .replace(" (accept all again)", "")
                .replace("                                      ", "");
            if line.contains("key create")
                || line.contains("key import")
                || line.contains("project create")
                || line.contains("key rotate")
            {
                continue;
            }
            let mut command = Command::new("sh");
            command.args(["-c", &line]).env("ACTIFIX_HOME", home.path()).env("NO_COLOR", "1");
            let path = std::env::var("PATH").unwrap_or_default();
            command.env("PATH", format!("{}:{path}", folder.display())).stdin(Stdio::null());
            let finished = finish(command, b"");
            // An act that the ticket's state does not permit any more is an answer, not a misunderstanding.
            let refused = finished.code() == 2 && line.contains(&ticket[ticket.len() - 5..]);
            assert!(
                finished.code() == 0 || refused,
                "{name}: {line}: {} {}",
                finished.stdout,
                finished.stderr
            );
            worked += u32::from(finished.code() == 0);
        }
    }
    assert!(worked > 40, "only {worked} examples worked");
}

#[test]
fn nothing_that_is_read_by_a_person_is_json() {
    let home = Home::new();
    let _server = home.serve();
    record(&home, "the cart is empty");
    for arguments in [
        &["project", "show", "default"][..],
        &["project", "set", "default", "email=keep"],
        &["project", "list"],
        &["project", "key", "list", "default"],
        &["token", "list"],
        &["user", "list"],
        &["sessions", "list"],
        &["audit", "list"],
        &["findings", "list"],
        &["quarantine", "list"],
        &["throttle", "status"],
        &["secrets", "list"],
        &["secrets", "status"],
        &["config", "show"],
        &["config", "check"],
        &["config", "schema"],
        &["ticket", "list"],
        &["audit", "verify"],
    ] {
        let text = home.cli(arguments).ok();
        assert!(!text.trim_start().starts_with(['{', '[']), "{arguments:?}: {text}");
        assert!(!text.trim().is_empty(), "{arguments:?}");
        let json = home.cli(&[arguments, &["--json"]].concat()).json();
        assert!(json.is_object(), "{arguments:?}: {json}");
    }
    let empty = home.cli(&["findings", "list"]).ok();
    assert!(empty.contains("actifix scan"), "an empty list says what to do next: {empty}");
}

#[test]
fn a_whole_dsn_of_another_tracker_is_taken_over() {
    let home = Home::new();
    let server = home.serve();
    home.cli(&["project", "create", "shop", "--id", "42"]).ok();
    let dsn = format!("https://{KEY_42}@tracker.example.net/errors/42");
    home.cli(&["project", "key", "import", "shop", &dsn]).ok();
    let body = "{}\n{\"type\":\"event\"}\n{\"message\":\"x\"}\n";
    let envelope = Request::post(&format!("/api/42/envelope/?sentry_key={KEY_42}"), body);
    assert_eq!(server.send(&envelope).status, 200);
    in_one_line(&home.cli(&["project", "key", "import", "default", &dsn]), &["project 42", "--id 42"]);
    in_one_line(
        &home.cli(&["project", "key", "import", "shop", "https://tracker.example.net/42"]),
        &["KEY: ", "public key"],
    );
}

/// Who mistypes a DSN gets one answer for all mistakes; who runs the server is told which.
#[test]
fn refused_dsns_are_shown_to_the_operator() {
    let home = Home::new();
    let server = home.serve();
    home.import_projects();
    let unknown = "0".repeat(32);
    let post = |project: &str, key: &str| {
        server.send(&Request::post(&format!("/api/{project}/envelope/?sentry_key={key}"), "{}\n")).status
    };
    assert_eq!(post("42", &unknown), 403);
    assert_eq!(post("4242", &unknown), 403);
    assert_eq!(post("43", KEY_42), 403);
    home.cli(&["project", "key", "disable", "42", KEY_42]).ok();
    assert_eq!(post("42", KEY_42), 403);
    assert_eq!(server.send(&Request::post("/api/42/envelope/", "{}\n")).status, 401);
    for command in [&["throttle", "status", "--project", "42"][..], &["project", "show", "42"]] {
        let said = home.cli(command).ok();
        for line in [
            "1 request with a key that nobody has, to project 42",
            "1 request with a key that nobody has, to project 4242",
            "1 request with a key of project 42, to project 43",
            "1 request with a disabled key of project 42",
            "1 request without a key, to project 42",
        ] {
            assert!(said.contains(line), "{line:?} is not in: {said}");
        }
        assert!(!said.contains(&unknown), "{said}");
    }
    let elsewhere = home.cli(&["throttle", "status", "--project", "44"]).ok();
    assert!(elsewhere.contains("to project 4242") && !elsewhere.contains("disabled"), "{elsewhere}");
    let metrics = server.call("GET", "/metrics", None).text();
    for reason in ["unknown_key\"} 2", "wrong_project\"} 1", "disabled_key\"} 1", "no_key\"} 1"] {
        assert!(metrics.contains(&format!("actifix_auth_failures_total{{reason=\"{reason}")), "{reason}");
    }
    let log = fs::read_to_string(home.path().join(".actifix/logs/actifix.log")).expect("a log");
    assert_eq!(log.matches("ingest.key_refused").count(), 5, "{log}");
    assert!(!log.contains(&unknown) && !log.contains(KEY_42));
}

#[test]
fn a_rule_of_alerts_with_a_wrong_word_is_told_which_and_what_there_is() {
    let home = Home::new();
    for (options, says) in [
        (&["--on", "foo"][..], &["--on: unknown trigger", "new, regressed"][..]),
        (&["--on", "new", "--priority", "foo"], &["--priority: unknown priority", "P0, P1"]),
        (&["--on", "new", "--level", "foo"], &["--level: unknown level", "fatal"]),
        (&["--on", "new", "--quiet", "foo"], &["--quiet: ", "22:00-07:00"]),
        (&["--on", "new", "--quiet", "22:00-07:00", "--quiet-except", "foo"], &["--quiet-except: unknown"]),
    ] {
        in_one_line(&home.cli(&[&["webhook", "rule", "add", "x"][..], options].concat()), says);
    }
    let ticket = record(&home, "there is one");
    in_one_line(&home.cli(&["ticket", "merge", &ticket, "nope"]), &["ticket NOPE not found", "ticket list"]);
    in_one_line(
        &home.cli(&["user", "create", "jo", "--role", "foo"]),
        &["--role", "viewer, operator, admin"],
    );
}

#[test]
fn what_is_no_text_makes_no_tickets() {
    let home = Home::new();
    let _server = home.serve();
    let file = home.path().join("core.bin");
    fs::write(&file, b"\x7fELF\0\0\0FATAL panic: no such thing\nERROR x\n").expect("a file");
    in_one_line(&home.cli(&["ingest", "logs", &file.to_string_lossy()]), &["core.bin: not text"]);
    in_one_line(
        &home.cli_stdin(&["ingest", "logs", "-"], b"\x1f\x8b\x08\0\0FATAL\n"),
        &["standard input", "zcat"],
    );
    assert_eq!(home.cli(&["ticket", "list", "--json"]).json()["total"], 0);
}

#[test]
fn a_recorded_stack_keeps_what_its_exception_says() {
    let home = Home::new();
    let _server = home.serve();
    let stack = "Traceback (most recent call last):\n  File \"/srv/app/jobs.py\", line 9, in nightly\n    run()\nValueError: bad row 17\n";
    let recorded = home
        .cli_stdin(&["record", "the nightly import failed", "--stack", "-", "--json"], stack.as_bytes())
        .json();
    let shown = home.cli(&["ticket", "show", recorded["ticket_id"].as_str().expect("an id")]).ok();
    assert!(shown.starts_with("ValueError: bad row 17"), "{shown}");
    assert!(shown.contains("the nightly import failed"), "{shown}");
}

/// What is empty says what to do, and what waits says that it does.
#[test]
fn silence_is_explained() {
    let home = Home::new();
    let server = home.serve();
    assert!(home.cli(&["webhook", "list"]).ok().contains("`actifix webhook add NAME`"));
    assert!(home.cli(&["retention", "run", "--dry-run"]).ok().contains("would delete nothing"));
    let rules = home.cli(&["webhook", "rule", "list"]).ok();
    assert!(rules.contains("7 d") && rules.contains("none") && !rules.contains("10080"), "{rules}");
    // A flood need not be where one looks first.
    home.cli(&["project", "create", "shop"]).ok();
    for kind in ["AError", "BError", "CError"] {
        let event = serde_json::json!({ "message": "x", "type": kind, "priority": "P4", "project": "shop" });
        server.post("/api/v1/events", &event);
    }
    let nothing = home.cli(&["throttle", "promote"]).ok();
    assert!(nothing.contains("Nothing is held in this project."), "{nothing}");
    assert!(
        nothing.contains("1 ticket is held in project shop: actifix throttle status --project shop"),
        "{nothing}"
    );
    let mut tail = home.command(&["events", "tail"]);
    let mut child = tail.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let said =
        BufReader::new(child.stderr.take().expect("a pipe")).lines().next().expect("a line").expect("text");
    assert!(said.contains("waiting for new events; Ctrl-C ends"), "{said}");
    kill_process(Pid::from_child(&child), Signal::INT).expect("a signal is sent");
    child.wait().expect("an end");
}

/// The demo's flood uses up a budget of its own, and the demo ends with its terminal.
#[test]
fn a_demo_leaves_room_for_ones_own_errors_and_ends_with_its_terminal() {
    let home = Home::new();
    let mut command = home.command(&["serve", "--demo"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the demo starts");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let said =
        lines.by_ref().map_while(Result::ok).find(|line| line.starts_with("demo: ")).expect("a summary");
    assert!(said.contains("project `flood`") && said.contains("225 tickets are held"), "{said}");
    let own = home.cli(&["record", "my own first error"]).ok();
    assert!(own.trim_end().ends_with(" new"), "{own}");
    kill_process(Pid::from_child(&child), Signal::HUP).expect("a signal is sent");
    // Its pipe closes with it.
    assert!(lines.map_while(Result::ok).any(|line| line.contains("stopping")));
    assert_eq!(child.wait().expect("an end").code(), Some(0));
}

#[test]
fn what_the_server_runs_with_is_told_from_what_is_configured() {
    let home = Home::new();
    let server = home.serve();
    let text = home.cli(&["config", "show"]).ok();
    assert!(text.contains(&format!("http://{}", server.address)), "where it really listens: {text}");
    let config = home.path().join("actifix.toml");
    let before = fs::read_to_string(&config).expect("a file");
    let more = "[server]\nlog_level = \"debug\"\n[cors]\nallowed_origins = [\"https://shop.example.net\"]\n[retention]\nevents_days = 3\n";
    fs::write(&config, format!("{before}{more}")).expect("a file");
    let text = home.cli(&["config", "show"]).ok();
    assert!(text.contains("SIGHUP takes over: cors.allowed_origins, server.log_level"), "{text}");
    assert!(text.contains("a restart takes over: retention.events_days"), "{text}");
    let json = home.cli(&["config", "show", "--json"]).json();
    assert_eq!(
        (&json["retention.events_days"]["value"], &json["retention.events_days"]["running"]),
        (&3.into(), &90.into())
    );
    assert_eq!(json["server.log_level"]["takes_effect"], "on SIGHUP");

    let said = server.hang_up(1);
    assert!(said.contains("log level debug") && said.contains("cors.allowed_origins taken over"), "{said}");
    let text = home.cli(&["config", "show"]).ok();
    assert!(
        !text.contains("SIGHUP takes over") && text.contains("a restart takes over: retention.events_days"),
        "{text}"
    );
    // Who may read answers is a security setting.
    let audit = home.cli(&["audit", "list", "--action", "setting.changed", "--json"]).json();
    let rows = audit["items"].as_array().expect("items");
    let row = rows.iter().find(|row| row["target"] == "setting:cors.allowed_origins").expect("a row");
    assert_eq!(row["detail"]["after"], "[\"https://shop.example.net\"]", "{audit}");
    let log = fs::read_to_string(home.path().join(".actifix/logs/actifix.log")).expect("a log");
    let line = log.lines().find(|line| line.contains("config.reloaded")).expect("a line");
    assert!(line.contains("\"changed\":\"cors.allowed_origins server.log_level\""), "{line}");
    assert!(line.contains("\"restart_needed_for\":\"retention.events_days\""), "{line}");
    server.hang_up(2);
    let audit = home.cli(&["audit", "list", "--action", "setting.changed", "--json"]).json();
    assert_eq!(
        audit["items"].as_array().map(Vec::len),
        Some(rows.len()),
        "what did not change is not told again: {audit}"
    );
}

#[test]
fn a_dsn_leads_to_where_the_server_was() {
    let home = Home::new();
    home.cli(&["project", "create", "spare"]).ok();
    let unknown = home.cli(&["dsn"]);
    assert!(unknown.stderr.contains("chosen at the start"), "nobody knows the port yet: {}", unknown.stderr);
    let server = home.serve();
    let address = server.address;
    let running = home.cli(&["dsn"]);
    assert!(running.stderr.is_empty() && running.stdout.contains(&address.to_string()), "{}", running.stderr);
    let dsn = running.stdout.clone();
    server.stop();
    let stopped = home.cli(&["dsn"]);
    assert!(stopped.stderr.contains("no server runs"), "{}", stopped.stderr);
    assert_eq!(stopped.ok(), dsn);

    // Started with variables, asked without.
    let home = Home::with_config("");
    fs::remove_file(home.path().join("actifix.toml")).expect("a file");
    let server =
        Server::start(std::sync::Arc::clone(&home), &[("ACTIFIX_LISTENERS__MAIN__BIND", "127.0.0.1:0")]);
    let address = server.address;
    server.stop();
    assert!(home.cli(&["dsn"]).ok().contains(&address.to_string()));
    let mut elsewhere = home.command(&["dsn"]);
    elsewhere.env("ACTIFIX_SERVER__PUBLIC_URL", "https://errors.example.net");
    assert!(finish(elsewhere, b"").ok().contains("@errors.example.net/1"), "what is said wins");
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    for (key, value) in [
        ("server.log_level", "verbose"),
        ("server.public_url", "http:/errors.example.net"),
        ("server.public_url", "https://errors..example.net"),
    ] {
        let (section, name) = key.split_once('.').expect("a section");
        let home = Home::with_config(&format!("[{section}]\n{name} = \"{value}\""));
        for command in [&["config", "check"][..], &["serve"]] {
            let finished = home.cli(command);
            assert_eq!(finished.code(), 78, "{key} = {value}: {}", finished.stdout);
            assert!(
                finished.stderr.contains(key) && finished.stderr.trim_end().lines().count() == 1,
                "{}",
                finished.stderr
            );
        }
    }
}

/// An SDK says what it has scrubbed itself, by the names of what was secret: that is no leak.
#[test]
fn what_an_sdk_has_scrubbed_is_no_finding() {
    let home = Home::new();
    let server = home.serve();
    home.import_projects();
    let event = serde_json::json!({
        "message": "no answer", "extra": { "api_key": "[Filtered]" },
        "_meta": { "extra": { "api_key": { "": { "rem": [["!config", "s"]], "len": 12 } } } },
    });
    let request = Request::post(&format!("/api/42/store/?sentry_key={KEY_42}"), event.to_string());
    assert_eq!(server.send(&request).status, 200);
    let findings = home.cli(&["findings", "list", "--json"]).json();
    assert_eq!(findings["items"].as_array().map(Vec::len), Some(0), "{findings}");
}

#[test]
fn a_reader_that_has_read_enough_ends_a_command_in_peace() {
    let home = Home::new();
    record(&home, "the cart is empty");
    home.serve().stop();
    for arguments in [
        &["export"][..],
        &["export", "--what", "tickets"],
        &["export", "--format", "csv"],
        &["ticket", "list"],
        &["logs", "tail", "--follow"],
        &["completions", "bash"],
        &["man"],
        &["proxy-config", "nginx", "--name", "errors.example.net"],
    ] {
        let mut command = home.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a program");
        // As `head` does once it has its lines; here before the first.
        drop(child.stdout.take());
        let done = child.wait_with_output().expect("its end");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(0), "{arguments:?}: {said}");
        assert!(!said.contains("error"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_server_that_does_not_run_is_told_with_what_to_do() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let mut command = bare_command();
    command.args(["project", "list"]).env("ACTIFIX_URL", format!("http://{free}")).env("ACTIFIX_TOKEN", "t");
    let done = finish(command, b"");
    assert_eq!(done.code(), 69, "{}", done.stderr);
    assert!(done.stderr.contains("is the server running? `actifix serve`"), "{}", done.stderr);
}

#[test]
fn a_proxy_configuration_is_json_when_asked() {
    let home = Home::new();
    for proxy in ["nginx", "caddy"] {
        let arguments = ["proxy-config", proxy, "--name", "errors.example.net"];
        let text = home.cli(&arguments).ok();
        let json = home.cli(&[&arguments[..], &["--json"]].concat()).json();
        assert_eq!(json, json!({ "proxy": proxy, "name": "errors.example.net", "config": text }));
    }
}
