//! The server's own log, as an operator and an attacker meet it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Home, Server, finish};
use crate::http::Request;
use crate::people::{PASSWORD, try_login, with_admin};

const ENVIRONMENT: [(&str, &str); 3] = [
    ("ACTIFIX_SERVER__LOG_LEVEL", "trace"),
    ("ACTIFIX_LIMITS__API_PER_MINUTE", "1000000"),
    ("ACTIFIX_LIMITS__API_PER_HOUR", "1000000"),
];

/// Every line of the log's files, oldest first.
fn lines(home: &Home) -> Vec<String> {
    let dir = home.path().join(".actifix/logs");
    let mut names: Vec<String> = fs::read_dir(&dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .filter(|name| name.starts_with("actifix"))
        .collect();
    // A compressed file whose source is still there is told once.
    names.sort();
    let all: Vec<String> = names.clone();
    names.retain(|name| !name.ends_with(".part") && !all.contains(&format!("{name}.zst")));
    names.sort_by_key(|name| (name == "actifix.log", name.clone()));
    let mut lines = Vec::new();
    for name in names {
        let bytes = fs::read(dir.join(&name)).expect("a file");
        let bytes =
            if name.ends_with(".zst") { zstd::decode_all(bytes.as_slice()).expect("zstd") } else { bytes };
        let text = String::from_utf8(bytes).expect("text");
        assert!(text.is_empty() || text.ends_with('\n'), "{name} ends within a line");
        lines.extend(text.lines().map(str::to_owned));
    }
    lines
}

fn metric(server: &Server, name: &str) -> Option<f64> {
    let text = server.call("GET", "/metrics", None).text();
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[test]
fn the_log_is_private_redacted_and_one_line_whatever_comes() {
    let home = Home::new();
    home.cli_stdin(&["admin", "set-password", "--stdin"], PASSWORD.as_bytes()).ok();
    let server = Server::start(home.clone(), &ENVIRONMENT);
    let canary = ["gh", "p_", "16C7e42F292c6912E7710c838347Ae178B4a"].concat();
    let evil = "x\u{2028}{\"level\":\"FORGED\"}\u{202e}\u{200b}y";
    // Names that the log tells of: a token that ends soon is logged by its name.
    let body = json!({ "name": format!("{evil} {canary}"), "scopes": ["tickets:read"], "expires_days": 1 });
    server.call("POST", "/api/v1/tokens", Some(&body));
    for text in [canary.as_str(), "\u{1b}[2J\u{1b}]0;owned\u{7}", evil, "a\r\nb\r\n{\"level\":\"FORGED\"}"] {
        let one_line: String = text.chars().filter(|c| !c.is_control()).collect();
        try_login(&server, &one_line, &canary, None);
        server.post("/api/v1/events", &json!({ "message": text, "extra": { "token": canary } }));
        let path: String = one_line.bytes().map(|byte| format!("%{byte:02x}")).collect();
        server.send(&Request::get(&format!("/{path}?access_token={canary}")).header("User-Agent", &canary));
        server.send(&Request::get("/api/v1/tickets").header("Authorization", &format!("Bearer {canary}")));
        server.call("GET", &format!("/api/v1/events/{path}"), None);
    }
    server.stop();
    let log = lines(&home);
    assert!(log.len() > 20, "{} lines", log.len());
    for line in &log {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_ne!(value["level"], "FORGED", "{line}");
        assert!(
            !line
                .chars()
                .any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202e}' | '\u{200b}'))
        );
        assert!(!line.contains(&canary[4..20]) && !line.contains(PASSWORD), "{line}");
    }
    for (path, mode) in
        [(".actifix/logs", 0o700), (".actifix/logs/actifix.log", 0o600), (".actifix/logs/auth.log", 0o600)]
    {
        let found = fs::metadata(home.path().join(path)).expect(path).permissions().mode() & 0o777;
        assert_eq!(found, mode, "{path}");
    }
    // For people, and as it is.
    let told = home.cli(&["logs", "tail", "--lines", "10000"]).ok();
    assert!(told.lines().count() >= log.len() && !told.contains('\u{1b}') && !told.contains("{\""), "{told}");
    let raw = home.cli(&["logs", "tail", "--lines", "5", "--json"]).ok();
    assert_eq!(raw.lines().count(), 5);
    assert!(raw.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}

#[test]
fn heavy_a_server_that_is_killed_while_its_log_turns_leaves_whole_lines() {
    let home = Home::with_config("[retention]\nlogs_bytes_max = 1048576\n");
    let dir = home.path().join(".actifix/logs");
    for round in 0..5 {
        let server = Server::start(home.clone(), &ENVIRONMENT);
        let token = server.token();
        let stop = std::sync::atomic::AtomicBool::new(false);
        let closed = || {
            fs::read_dir(&dir)
                .expect("a directory")
                .flatten()
                .filter(|entry| entry.file_name().to_string_lossy().contains("-0"))
                .count()
        };
        let before = (closed(), newest(&dir));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut connection = server.connect();
                    let request = Request::get("/api/v1/projects")
                        .header("Authorization", &format!("Bearer {token}"))
                        .to_bytes();
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        if connection.exchange(&request).is_err() {
                            break;
                        }
                    }
                });
            }
            // Some files later, and at no particular moment within one.
            while newest(&dir) < before.1 + 3 + round {
                std::thread::yield_now();
            }
            let pid =
                rustix::process::Pid::from_raw(i32::try_from(server.pid()).expect("a pid")).expect("a pid");
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("a signal is sent");
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        server.kill();
        let log = lines(&home);
        let starts = log
            .iter()
            .filter(|line| serde_json::from_str::<Value>(line).expect("JSON")["message"] == "listening");
        assert!(starts.count() <= round as usize + 1);
        let size: u64 = fs::read_dir(&dir)
            .expect("a directory")
            .flatten()
            .map(|entry| entry.metadata().map_or(0, |meta| meta.len()))
            .sum();
        assert!(size <= 1 << 20, "{size} bytes");
    }
}

/// Number of the newest closed file.
fn newest(dir: &Path) -> u64 {
    let names = fs::read_dir(dir).expect("a directory").flatten();
    let numbers = names.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        name.strip_prefix("actifix-")?.get(..6)?.parse().ok()
    });
    numbers.max().unwrap_or(0)
}

#[test]
fn losing_the_log_stops_nothing_and_is_counted() {
    let home = Home::new();
    let server = home.serve();
    let dir = home.path().join(".actifix/logs");
    assert_eq!(metric(&server, "actifix_log_lines_lost_total"), Some(0.0));
    fs::rename(&dir, home.path().join(".actifix/logs-away")).expect("a rename");
    // Neither a directory nor writable: what a full or foreign disk is to the log.
    fs::write(&dir, "in the way").expect("a file");
    for number in 0..5 {
        let answer =
            server.post("/api/v1/events", &json!({ "message": format!("while the log is lost {number}") }));
        assert!(answer["event_id"].is_string());
    }
    assert!(metric(&server, "actifix_log_lines_lost_total").is_some_and(|lost| lost >= 5.0));
    fs::remove_file(&dir).expect("a file");
    server.post("/api/v1/events", &json!({ "message": "after it" }));
    assert!(!lines(&home).is_empty(), "the log is made anew");
    assert_eq!(server.get("/api/v1/tickets")["items"].as_array().map(Vec::len), Some(2));
}

#[test]
fn bounds_of_the_log_are_checked_and_shown() {
    let home = Home::new();
    for (value, code) in [
        ("0", 0),
        ("1048576", 0),
        ("18446744073709551615", 0),
        ("1048575", 78),
        ("1", 78),
        ("-1", 78),
        ("\"x\"", 78),
    ] {
        fs::write(home.path().join("actifix.toml"), format!("[retention]\nlogs_bytes_max = {value}\n"))
            .expect("a file");
        let checked = home.cli(&["config", "check"]);
        // TOML knows no integers beyond 63 bits.
        let code = if value.len() > 19 { 78 } else { code };
        assert_eq!(checked.code(), code, "{value}: {}", checked.stderr);
    }
    fs::remove_file(home.path().join("actifix.toml")).expect("a file");
    home.cli(&["project", "create", "spare"]).ok();
    let shown = home.cli(&["retention", "show"]).ok();
    assert!(shown.contains("retention.logs_days") && shown.contains("500,000,000"), "{shown}");
}

#[test]
fn tail_goes_on_over_the_end_of_a_file() {
    use std::io::{BufRead, BufReader};
    let home = Home::new();
    home.cli(&["project", "create", "spare"]).ok();
    let dir = home.path().join(".actifix/logs");
    let log = dir.join("actifix.log");
    let line = |number: u32| {
        format!(
            "{{\"timestamp\":\"2026-11-30T20:00:00.000000Z\",\"level\":\"INFO\",\"message\":\"line {number}\"}}\n"
        )
    };
    fs::write(dir.join("actifix-000001.log"), line(1)).expect("a file");
    fs::write(dir.join("actifix-000002.log.zst"), zstd::encode_all(line(2).as_bytes(), 1).expect("zstd"))
        .expect("a file");
    fs::write(&log, line(3)).expect("a file");
    let mut child = home
        .command(&["logs", "tail", "--follow", "--lines", "3"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut reader = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut next = || reader.next().expect("a line").expect("a line");
    for number in 1..=3 {
        assert!(next().ends_with(&format!("line {number}")));
    }
    let append = |text: String| {
        let mut old = fs::read(&log).expect("a file");
        old.extend(text.bytes());
        fs::write(&log, old).expect("a file");
    };
    append(line(4));
    assert!(next().ends_with("line 4"));
    // More is written to the old file, then another takes its name: none is left out.
    append(line(5));
    fs::rename(&log, dir.join("actifix-000003.log")).expect("a rename");
    fs::write(&log, line(6)).expect("a file");
    assert!(next().ends_with("line 5"));
    assert!(next().ends_with("line 6"));
    child.kill().expect("a signal is sent");
    child.wait().expect("the program ends");
}

/// What fail2ban does with a line, by its own rules: the date is cut out, `<ADDR>` is an address.
const FILTER: &str = r#"
import configparser, datetime, re, sys
conf = configparser.RawConfigParser()
conf.read(sys.argv[1])
rule = conf["Definition"]["failregex"].replace("<ADDR>", r"(?P<ip>[0-9a-fA-F:.]+)")
date = conf["Definition"]["datepattern"].lstrip("^").replace("%%", "%").replace("\\.", ".")
for line in sys.stdin:
    line = line.rstrip("\n")
    stamp, rest = line.split(" ", 1)
    datetime.datetime.strptime(stamp, date)
    found = re.search(rule, rest)
    print(found.group("ip") if found else "-")
"#;

#[test]
fn the_filter_of_fail2ban_knows_the_lines_of_a_real_server() {
    let (home, server) = with_admin();
    try_login(&server, "admin", "wrong wrong wrong wrong", None);
    try_login(&server, "nobody\" address=192.0.2.66", "wrong wrong wrong wrong", None);
    server.send(&Request::get("/api/v1/tickets").header("Authorization", "Bearer nonsense"));
    server.send(&Request::get("/api/v1/tickets?access_token=x"));
    let (_, _) = server.stop();
    let log = fs::read_to_string(home.path().join(".actifix/logs/auth.log")).expect("a log");
    assert!(log.lines().count() >= 4, "{log}");
    let filter =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../monitoring/fail2ban/filter.d/actifix.conf");
    let mut command = Command::new("python3");
    command.args(["-c", FILTER]).arg(&filter);
    // Lines that are none of ours, and such as somebody could try to have written.
    let forged = "2026-11-30T20:15:00.123456Z actifix auth failure reason=login address=203.0.113.9 address=192.0.2.66\n\
                  2026-11-30T20:15:00.123456Z something else address=192.0.2.66\n";
    let said = finish(command, format!("{log}{forged}").as_bytes()).ok();
    let found: Vec<&str> = said.lines().collect();
    let (ours, theirs) = found.split_at(log.lines().count());
    assert!(ours.iter().all(|address| *address == "127.0.0.1"), "{said}\n{log}");
    assert_eq!(theirs, ["-", "-"]);
    // The real thing, where it is installed.
    if let Ok(output) =
        Command::new("fail2ban-regex").arg(home.path().join(".actifix/logs/auth.log")).arg(&filter).output()
    {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let matched = format!("{} matched, 0 missed", log.lines().count());
        assert!(text.contains(&matched), "{text}");
    }
    // The log for people holds no address.
    let people = fs::read_to_string(home.path().join(".actifix/logs/actifix.log")).expect("a log");
    assert!(
        people.lines().filter(|line| !line.contains("\"listening\"")).all(|line| !line.contains("127.0.0.1"))
    );
}
