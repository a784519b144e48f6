//! Signals, programs that are watched, files that are followed.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Home, bare_command, finish};

#[test]
fn a_command_in_some_directory_makes_no_second_installation() {
    let nowhere = tempfile::tempdir().expect("a temporary directory");
    for arguments in
        [&["dsn"][..], &["record", "boom"], &["project", "create", "shop"], &["ingest", "logs", "-"]]
    {
        let mut command = bare_command();
        command.current_dir(nowhere.path()).args(arguments);
        let finished = finish(command, b"");
        assert_eq!(finished.code(), 2, "{arguments:?}: {}", finished.stderr);
        assert!(finished.stderr.contains("no home at "), "{}", finished.stderr);
        assert_eq!(fs::read_dir(nowhere.path()).expect("a folder").count(), 0, "{arguments:?}");
    }
}

/// A mistyped path is no home, and asking does not make it one.
#[test]
fn a_command_that_reads_makes_no_home_on_a_mistyped_path() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let typed = folder.path().join("actifx");
    for arguments in [
        &["dsn"][..],
        &["doctor"],
        &["doctor", "--production", "--json"],
        &["token", "list"],
        &["token", "keys", "list"],
        &["token", "revoke", "0123"],
        &["project", "list"],
        &["project", "show", "default"],
        &["project", "key", "list", "default"],
        &["project", "set", "default", "email=keep"],
        &["ticket", "list"],
        &["ticket", "show", "7K3QF"],
        &["events", "tail"],
        &["findings", "list"],
        &["quarantine", "list"],
        &["throttle", "status"],
        &["release", "list"],
        &["sourcemaps", "list", "--project", "default"],
        &["secrets", "list"],
        &["secrets", "status"],
        &["secrets", "remove", "smtp.password"],
        &["webhook", "list"],
        &["webhook", "deliveries", "ops"],
        &["user", "list"],
        &["identity", "list", "jo"],
        &["sessions", "list"],
        &["audit", "list"],
        &["audit", "verify"],
        &["retention", "show"],
        &["retention", "run", "--dry-run"],
        &["backup", "list"],
        &["backup", "create"],
        &["incident", "report", "--out", "report.tar.zst"],
        &["review", "weekly"],
        &["diagnostics"],
        &["export"],
        &["logs", "tail"],
    ] {
        let mut command = bare_command();
        command.arg("--home").arg(&typed).args(arguments);
        let finished = finish(command, b"");
        assert_eq!(finished.code(), 2, "{arguments:?}: {}{}", finished.stdout, finished.stderr);
        for words in [&format!("no home at {}", typed.display()), "`actifix serve` makes one", "--home"] {
            assert!(finished.stderr.contains(words), "{words:?}, {arguments:?}: {}", finished.stderr);
        }
        assert!(!typed.exists(), "{arguments:?} made {}", typed.display());
    }
}

#[test]
fn sighup_reloads_what_it_can_and_never_stops_the_server() {
    let home = Home::new();
    let mut server = home.serve();
    let log = home.path().join(".actifix/logs/actifix.log");
    let config = home.path().join("actifix.toml");
    let before = fs::read_to_string(&config).expect("a configuration file");
    fs::rename(&log, log.with_extension("old")).expect("a log file");

    assert!(server.hang_up(1).contains("log level info, log file opened anew"));
    assert!(fs::metadata(&log).is_ok(), "the log goes on under its name");

    let quiet = format!("{before}[server]\nlog_level = \"error\"\n[retention]\nevents_days = 3\n");
    fs::write(&config, quiet).unwrap();
    server.get("/api/v1/tickets");
    assert!(fs::read_to_string(&log).expect("a log").contains("/api/v1/tickets"));
    let said = server.hang_up(2);
    assert!(
        said.contains("log level error")
            && said.ends_with("restart is needed for changes of: retention.events_days"),
        "{said}"
    );
    let written = fs::read_to_string(&log).expect("a log");
    server.get("/api/v1/tickets");
    assert_eq!(fs::read_to_string(&log).expect("a log"), written, "requests are not logged any more");

    fs::write(&config, "[server]\nlog_levle = 1\n").unwrap();
    let said = server.hang_up(3);
    assert!(said.contains("nothing changed") && said.contains("log_level"), "{said}");
    server.get("/api/v1/tickets");
    assert!(server.is_alive());
}

fn watched(home: &Home, script: &str) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut command = home.command(&["run", "--", "sh", "-c", script]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    (child, stderr)
}

#[test]
fn signals_reach_the_program_that_is_run_and_its_end_is_recorded() {
    let home = Home::new();
    let (mut child, mut stderr) = watched(&home, "echo ready >&2; exec cat");
    let mut line = String::new();
    stderr.read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    kill_process(Pid::from_child(&child), Signal::TERM).expect("a signal is sent");
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).expect("text");
    assert_eq!(child.wait().expect("an end").code(), Some(143), "as a shell shows it: {rest}");
    assert!(rest.contains("recorded as ACT-"), "{rest}");
    let tickets = home.cli(&["ticket", "list", "--json"]).json();
    assert_eq!(tickets["items"][0]["title"], "sh was ended by signal 15: ready");
}

#[test]
fn a_program_that_left_a_child_behind_is_not_waited_for() {
    let home = Home::new();
    // The child lives as long as this test holds its standard input, and holds the standard error.
    let (mut child, mut stderr) =
        watched(&home, "exec 3<&0; cat <&3 >/dev/null & echo last words >&2; exit 3");
    let stdin = child.stdin.take().expect("a pipe");
    assert_eq!(child.wait().expect("an end").code(), Some(3));
    drop(stdin);
    let mut text = String::new();
    stderr.read_to_string(&mut text).expect("text");
    assert!(text.starts_with("last words\n") && text.contains("recorded as ACT-"), "{text}");
}

const TRACE: &str = "Traceback (most recent call last):\n  File \"/srv/shop/pay.py\", line 7, in pay\n    charge()\nPaymentError: declined\n";

#[test]
fn a_log_that_is_read_twice_counts_once() {
    let home = Home::new();
    let log = home.path().join("shop.log");
    // The same error twice, without a time: two events, whatever is read how often.
    fs::write(&log, [TRACE, "2026-11-24 10:00:00 INFO fine\n", TRACE].concat()).unwrap();
    let path = log.to_string_lossy().into_owned();
    for _ in 0..3 {
        home.cli(&["ingest", "logs", &path]).ok();
    }
    let tickets = home.cli(&["ticket", "list", "--json"]).json();
    assert_eq!(tickets["items"].as_array().map(Vec::len), Some(1), "{tickets}");
    assert_eq!(tickets["items"][0]["count"], 2, "{tickets}");
}

#[test]
fn a_log_is_followed_over_rotation_and_truncation() {
    let home = Home::new();
    let server = home.serve();
    let log = home.path().join("shop.log");
    fs::write(&log, TRACE).unwrap();
    let mut command = home.command(&["ingest", "logs", &log.to_string_lossy(), "--follow"]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the program starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert!(next().ends_with(" new"));
    fs::rename(&log, log.with_extension("log.1")).unwrap();
    fs::write(&log, TRACE.replace("PaymentError", "StockError")).unwrap();
    assert!(next().ends_with(" new"), "the file that took its place is read");
    fs::File::options().write(true).truncate(true).open(&log).unwrap().write_all(b"ERROR down\n").unwrap();
    assert!(next().ends_with(" new"), "and so is one that was emptied");
    kill_process(Pid::from_child(&child), Signal::INT).expect("a signal is sent");
    assert!(child.wait().expect("an end").success());
    assert_eq!(server.list("/api/v1/tickets").len(), 3);
}
