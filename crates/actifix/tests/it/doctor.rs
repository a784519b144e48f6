//! The doctor on real homes and servers: a fresh one is named open everywhere, its advice makes it good, and each thing
//! that is broken afterwards changes its check and no other (`security.md`: the rows "Box: …").

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::front::{Front, Mangle};
use crate::harness::{Finished, Home, Server, finish};
use crate::http::Request;
use crate::people::PASSWORD;
use crate::tls::{Authority, LATER};

/// The boxes of the guide's checklist.
const BOXES: [&str; 12] = [
    "admin_password",
    "secret_backend",
    "db_mode",
    "tls",
    "rate_limit",
    "secret_scan",
    "webhooks",
    "cors",
    "logs",
    "backup",
    "exposure",
    "headers",
];

/// A deployment that was made good by doing what the doctor said.
struct Deployed {
    home: Arc<Home>,
    authority: Authority,
    front: Front,
    /// Keys and the repository, beside the home.
    apart: TempDir,
    recipient: String,
}

impl Deployed {
    fn repo(&self) -> PathBuf {
        self.apart.path().join("shop")
    }

    /// `actifix.toml`, with further text.
    fn configure(&self, more: &str, origins: &str) {
        let (front, recipient, repo) = (self.front.url(), &self.recipient, self.repo());
        let text = format!(
            "[server]\npublic_url = \"{front}\"\ntrusted_proxies = [\"127.0.0.1\"]\n\
             [listeners.main]\nbind = \"127.0.0.1:0\"\n{more}\n\
             [cors]\nallowed_origins = [{origins}]\n\
             [outbound]\nextra_ca = \"ca.pem\"\n\
             [backup]\nrecipients = [\"{recipient}\"]\n\
             [doctor]\nrepositories = [\"{}\"]\n",
            repo.display()
        );
        fs::write(self.home.path().join("actifix.toml"), text).expect("a configuration");
    }

    fn serve(&self) -> Server {
        let server = Server::run(Arc::clone(&self.home), self.home.command(&["serve", "--production"]));
        self.front.leads_to(server.address);
        server
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }
}

const GOOD_ORIGIN: &str = "\"https://errors.example.net\"";

/// Does what the doctor advised on a fresh home, command by command.
fn deploy() -> Deployed {
    let home = Home::new();
    let authority = Authority::new();
    let front = Front::start(&authority.issue(&["localhost"], LATER));
    let apart = tempfile::tempdir().expect("a directory");
    home.cli_stdin(&["admin", "set-password", "--stdin"], PASSWORD.as_bytes()).ok();
    let place = |name: &str| apart.path().join(name).display().to_string();
    home.cli(&["secrets", "rotate-key", "--backend", "file", "--key-file", &place("root.key")]).ok();
    let recipient = home.cli(&["backup", "keygen", "--out", &place("backup.key")]).ok().trim().to_owned();
    let mut git = Command::new("git");
    git.args(["init", "--quiet"]).arg(apart.path().join("shop"));
    finish(git, b"").ok();
    fs::write(home.path().join("ca.pem"), &authority.pem).expect("a file");
    let deployed = Deployed { home, authority, front, apart, recipient };
    deployed.home.cli(&["hook", "install", "--repo", &deployed.repo().display().to_string()]).ok();
    deployed.configure("", GOOD_ORIGIN);
    deployed.home.cli(&["backup", "create"]).ok();
    fails(&deployed.home, "a backup that nobody tried", &["backup_verified"]);
    deployed.home.cli(&["backup", "verify"]).ok();
    deployed
}

fn examine(home: &Home) -> (Value, i32) {
    let done = home.cli(&["doctor", "--production", "--json"]);
    let code = done.code();
    (serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}")), code)
}

fn in_state(report: &Value, state: &str) -> BTreeSet<String> {
    let checks = report["checks"].as_array().expect("checks").iter();
    checks
        .filter(|check| check["state"] == state)
        .map(|check| check["id"].as_str().expect("an id").to_owned())
        .collect()
}

fn set(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[track_caller]
fn fails(home: &Home, what: &str, expected: &[&str]) {
    let (report, code) = examine(home);
    assert_eq!(in_state(&report, "fail"), set(expected), "{what}: {report:#}");
    assert_eq!(code, i32::from(!expected.is_empty()), "{what}");
    assert_eq!(report["healthy"], expected.is_empty(), "{what}");
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("a mode");
}

#[test]
fn a_fresh_home_is_told_every_open_box_and_the_advice_closes_all_of_them() {
    let home = Home::new();
    home.cli(&["project", "create", "spare"]).ok();
    let (report, code) = examine(&home);
    assert_eq!(code, 1);
    let open =
        ["admin_password", "secret_backend", "secret_scan", "tls", "cors", "backup", "backup_verified"];
    assert_eq!(in_state(&report, "fail"), set(&open), "{report:#}");
    // What only a running server can tell passes nowhere.
    let unknown = in_state(&report, "unknown");
    for id in ["headers", "rate_limit", "exposure", "integrity"] {
        assert!(unknown.contains(id), "{id}: {report:#}");
    }
    let guide = report["checks"].as_array().expect("checks").iter().filter(|check| check["guide"] == true);
    let guide: BTreeSet<String> =
        guide.map(|check| check["id"].as_str().expect("an id").to_owned()).collect();
    assert_eq!(guide, set(&BOXES));
    for check in report["checks"].as_array().expect("checks") {
        let open = check["state"] != "pass";
        assert_eq!(open, !check["advice"].as_str().expect("text").is_empty(), "{check}");
        assert!(!check["evidence"].as_str().expect("text").is_empty(), "{check}");
    }
    // On this machine alone none of it is a failure yet.
    let relaxed = home.cli(&["doctor", "--json"]);
    assert_eq!(relaxed.code(), 0, "{}", relaxed.stdout);
    assert_eq!(in_state(&relaxed.json(), "fail"), set(&[]));

    let deployed = deploy();
    let server = deployed.serve();
    let (report, code) = examine(&deployed.home);
    assert_eq!((code, in_state(&report, "fail")), (0, set(&[])), "{report:#}");
    let passed = in_state(&report, "pass");
    for id in BOXES {
        assert!(passed.contains(id), "{id}: {report:#}");
    }
    drop(server);
}

#[test]
fn what_is_broken_while_the_server_runs_changes_its_check_and_no_other() {
    let deployed = deploy();
    let home = &deployed.home;
    let server = deployed.serve();
    fails(home, "good", &[]);

    for (name, id, bad, good) in [
        ("data/actifix.db", "db_mode", 0o644, 0o600),
        ("data/actifix.db-wal", "db_mode", 0o640, 0o600),
        ("data/actifix.db-shm", "db_mode", 0o604, 0o600),
        ("data", "db_mode", 0o755, 0o700),
        ("actifix.toml", "db_mode", 0o666, 0o644),
        (".actifix/logs", "logs", 0o755, 0o700),
        (".actifix/logs/actifix.log", "logs", 0o644, 0o600),
        (".actifix/backups", "backup", 0o750, 0o700),
    ] {
        chmod(&deployed.path(name), bad);
        fails(home, name, &[id]);
        chmod(&deployed.path(name), good);
    }

    let plain = deployed.path(".actifix/backups/dump.sql");
    fs::write(&plain, "INSERT INTO users").expect("a file");
    // Nothing else is wrong with it.
    chmod(&plain, 0o600);
    fails(home, "a plain file among backups", &["backup"]);
    fs::remove_file(&plain).expect("a file");

    let identity = deployed.path("backup.key");
    fs::copy(deployed.apart.path().join("backup.key"), &identity).expect("a copy");
    fails(home, "the key of the backups in the home", &["backup"]);
    fs::remove_file(&identity).expect("a file");

    let aside = deployed.path("aside");
    fs::rename(deployed.path(".actifix/backups"), &aside).expect("a rename");
    fails(home, "no backups", &["backup_verified"]);
    fs::rename(&aside, deployed.path(".actifix/backups")).expect("a rename");

    let key = deployed.path(".actifix/root.key");
    fs::copy(deployed.apart.path().join("root.key"), &key).expect("a copy");
    chmod(&key, 0o400);
    fails(home, "a copy of the root key in the home", &["secret_backend"]);
    fs::remove_file(&key).expect("a file");

    let planted = format!("# smtp: {}{}\n", ["AK", "IA"].concat(), "QYLPMN5HHHFPZAM2");
    deployed.configure(&planted, GOOD_ORIGIN);
    fails(home, "a secret in the configuration", &["secret_backend"]);
    deployed.configure("", GOOD_ORIGIN);

    let repo = deployed.repo().display().to_string();
    home.cli(&["hook", "remove", "--repo", &repo]).ok();
    fails(home, "no hook", &["secret_scan"]);
    fs::create_dir_all(deployed.repo().join(".github/workflows")).expect("a folder");
    fs::write(deployed.repo().join(".github/workflows/ci.yml"), "steps:\n  - run: actifix scan\n")
        .expect("a file");
    fails(home, "a CI that scans", &[]);

    deployed.configure("", "\"http://localhost:3000\"");
    server.hang_up(1);
    fails(home, "an origin of localhost", &["cors"]);
    deployed.configure("", GOOD_ORIGIN);
    server.hang_up(2);

    for (what, pair) in [
        ("expired", deployed.authority.issue(&["localhost"], (2021, 1, 1))),
        ("another name", deployed.authority.issue(&["other.example.net"], LATER)),
        ("nobody vouches", Authority::new().issue(&["localhost"], LATER)),
    ] {
        deployed.front.shows(&pair);
        fails(home, what, &["tls"]);
    }
    deployed.front.shows(&deployed.authority.issue(&["localhost"], LATER));

    for mangle in [
        Mangle::Strip("x-frame-options"),
        Mangle::Strip("content-security-policy"),
        Mangle::Strip("strict-transport-security"),
        Mangle::Double("strict-transport-security"),
        Mangle::Double("x-content-type-options"),
    ] {
        deployed.front.mangles(mangle);
        fails(home, &format!("{mangle:?}"), &["headers"]);
    }
    deployed.front.mangles(Mangle::Nothing);

    let mut holder = Command::new("python3");
    holder.args([
        "-c",
        "import sqlite3,sys,time; f=open(sys.argv[1],'rb'); print('open',flush=True); time.sleep(300)",
    ]);
    holder.arg(deployed.path("data/actifix.db")).stdout(Stdio::piped());
    let mut child = holder.spawn().expect("python");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let (report, _) = examine(home);
    child.kill().expect("a child of ours");
    child.wait().expect("its end");
    assert_eq!(in_state(&report, "fail"), set(&["foreign_sqlite"]), "{report:#}");
    let evidence = told(&report, "foreign_sqlite");
    assert!(
        evidence.contains(&format!("process {}", child.id())) && evidence.contains("SQLite 3."),
        "{evidence}"
    );
    fails(home, "good again", &[]);
}

fn told(report: &Value, id: &str) -> String {
    let checks = report["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["id"] == id).expect("the check");
    check["evidence"].as_str().expect("text").to_owned()
}

#[test]
fn a_listener_on_every_address_is_told_and_one_for_sdks_alone_is_not() {
    let deployed = deploy();
    deployed.configure("[listeners.sdk]\nbind = \"0.0.0.0:0\"\nmodules = [\"ingest\"]", GOOD_ORIGIN);
    let server = deployed.serve();
    fails(&deployed.home, "ingest is open", &[]);
    server.stop();
    deployed.configure("[listeners.extra]\nbind = \"0.0.0.0:0\"", GOOD_ORIGIN);
    let _server = deployed.serve();
    fails(&deployed.home, "the API is open", &["exposure"]);
}

#[test]
fn what_is_broken_while_no_server_runs_changes_its_check_and_no_other() {
    let deployed = deploy();
    let home = &deployed.home;
    fails(home, "good", &[]);

    let mut command = home.command(&["doctor", "--production", "--json"]);
    command.env("ACTIFIX_RATE_LIMIT_DISABLED", "1");
    let report = serde_json::from_str::<Value>(&finish(command, b"").stdout).expect("JSON");
    assert_eq!(in_state(&report, "fail"), set(&["rate_limit"]), "{report:#}");

    // The command puts it right as it opens the home, and tells of it all the same.
    chmod(&deployed.path("data/actifix.db"), 0o644);
    fails(home, "a mode that was put right", &["db_mode"]);
    fails(home, "and is right", &[]);

    home.cli_stdin(&["webhook", "add", "ops", "--stdin", "--kind", "webhook"], b"https://93.184.215.14/x")
        .ok();
    fails(home, "a channel", &[]);
    let allowed = [("ACTIFIX_OUTBOUND__ALLOW_PRIVATE", "[\"10.0.0.0/8\"]")];
    let mut command = home.command(&["webhook", "add", "inner", "--stdin", "--kind", "webhook"]);
    command.envs(allowed);
    finish(command, b"https://10.0.0.7/x").ok();
    fails(home, "a channel to an address that is not allowed", &["webhooks"]);
    home.cli(&["webhook", "remove", "inner"]).ok();

    let weak = "UPDATE users SET verifier = '$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';";
    crate::setup::tamper(home, weak);
    fails(home, "a weak verifier", &["admin_password"]);
    crate::setup::tamper(home, "DELETE FROM users;");
    fails(home, "no administrator", &["admin_password"]);
    home.cli_stdin(&["admin", "set-password", "--stdin"], PASSWORD.as_bytes()).ok();
    fails(home, "set anew", &[]);

    crate::setup::tamper(
        home,
        "DROP TRIGGER audit_is_not_edited; UPDATE audit SET actor = 'user:innocent' WHERE seq = 2;",
    );
    fails(home, "an edited row of the audit log", &["audit_chain"]);
}

#[test]
fn a_check_that_begins_to_fail_is_a_figure_and_an_alert() {
    let authority = Authority::new();
    let sink = crate::sink::Sink::start(&authority, crate::sink::Behaviour::ok());
    let home = Home::with_config("[outbound]\nallow_private = [\"127.0.0.0/8\"]\nextra_ca = \"ca.pem\"\n");
    fs::write(home.path().join("ca.pem"), &authority.pem).expect("a file");
    let server = home.serve();
    home.cli_stdin(&["webhook", "add", "ops", "--stdin", "--kind", "webhook"], sink.url().as_bytes()).ok();
    home.cli(&["webhook", "rule", "add", "upkeep", "--on", "doctor", "--cooldown", "0"]).ok();
    let figure = |state: &str| {
        let text = server.call("GET", "/metrics", None).text();
        let line = format!("actifix_doctor_checks{{id=\"db_mode\",state=\"{state}\"}} ");
        text.lines().find_map(|found| found.strip_prefix(&line).map(str::to_owned)).unwrap_or_default()
    };
    home.cli(&["doctor"]).ok();
    assert_eq!((figure("pass").as_str(), figure("fail").as_str()), ("1", "0"));
    let database = home.path().join("data/actifix.db");
    for times in 1..=2 {
        chmod(&database, 0o644);
        assert_eq!(home.cli(&["doctor"]).code(), 1);
        // Another look at the same thing is no news.
        assert_eq!(home.cli(&["doctor"]).code(), 1);
        assert_eq!((figure("pass").as_str(), figure("fail").as_str()), ("0", "1"));
        let received = sink.wait_for(times);
        assert_eq!(received.len(), times);
        let body = String::from_utf8_lossy(&received[times - 1].body).into_owned();
        assert!(body.contains("db_mode") && body.contains("0644"), "{body}");
        chmod(&database, 0o600);
        home.cli(&["doctor"]).ok();
    }
    // Strictness of whoever asks changes no figure of the server.
    assert_eq!(home.cli(&["doctor", "--production"]).code(), 1);
    let text = server.call("GET", "/metrics", None).text();
    assert!(text.contains("actifix_doctor_checks{id=\"tls\",state=\"fail\"} 0"), "{text}");
    assert_eq!(sink.received().len(), 2);
}

#[test]
fn the_doctor_is_for_administrators_and_its_reserved_key_for_nobody_else() {
    let home = Home::new();
    let server = home.serve();
    let made = server.mint(&json!({ "name": "v", "role": "operator" }));
    let bearer = format!("Bearer {}", made["token"].as_str().expect("a token"));
    let refused = server.send(&Request::get("/api/v1/doctor").header("Authorization", &bearer));
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert_eq!(server.send(&Request::get("/api/v1/doctor")).status, 401);
    let wrong = server.call("GET", "/api/v1/doctor?production=yes", None);
    assert_eq!(wrong.status, 400, "{}", wrong.text());
    // A key of a stranger is none, before, while and after the doctor looks.
    let guess = Request::get("/api/v1/doctor").header("X-Actifix-Probe", &"0".repeat(64));
    assert_eq!(server.send(&guess).status, 401);
    let report = server.get("/api/v1/doctor");
    assert_eq!(report["production"], false);
    assert_eq!(server.send(&guess).status, 401);
    assert_eq!(in_state(&report, "fail"), set(&[]), "{report:#}");
    let strict = server.get("/api/v1/doctor?production=true");
    assert!(in_state(&strict, "fail").contains("tls"), "{strict:#}");
    // It leaves no trace in anybody's quota and none among failed logins.
    let audit = server.get("/api/v1/audit?action=login.failed");
    assert_eq!(audit["items"], json!([]));
}

#[test]
fn people_get_groups_marks_and_a_last_line() {
    let home = Home::new();
    home.cli(&["project", "create", "spare"]).ok();
    let Finished { stdout, .. } = home.cli(&["doctor", "--production"]);
    for heading in ["\nSecrets\n", "\nNetwork\n", "\nData\n", "\nOperation\n"] {
        assert!(stdout.contains(heading), "{stdout}");
    }
    assert!(stdout.starts_with("Access\n"), "{stdout}");
    assert!(stdout.contains("  FAIL    admin_password an admin password is set [critical]\n"), "{stdout}");
    assert!(stdout.contains("    -> run `actifix admin set-password`\n"), "{stdout}");
    let last = stdout.lines().last().unwrap_or_default();
    assert!(last.contains(" pass, ") && last.ends_with("7 fail; judged as a production server"), "{last}");
    assert!(!stdout.contains('\u{1b}'), "no colours in a pipe");
}
