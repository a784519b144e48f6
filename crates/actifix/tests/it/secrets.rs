//! The credential store and the root key, as an operator uses them and as an attacker looks for them.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::json;

use crate::harness::{Finished, Home, Server, finish};
use crate::http::Request;
use crate::leaks::Needles;
use crate::random::Random;

/// Exit code of a refused configuration.
const CONFIG: i32 = 78;

/// A value that looks like nothing else, made at run time.
fn canary() -> String {
    format!("cnry{}{}", "Q7wZ", std::process::id()).repeat(3)
}

fn set(home: &Home, name: &str, value: &str) {
    home.cli_stdin(&["secrets", "set", name, "--stdin"], value.as_bytes()).ok();
}

/// Runs a command of the home on a terminal of its own.
fn on_terminal(home: &Home, arguments: &str) -> Finished {
    let line = format!("{} --home {} {arguments}", env!("CARGO_BIN_EXE_actifix"), home.path().display());
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).env("NO_COLOR", "1");
    finish(command, b"")
}

fn state(home: &Home) -> (String, i32) {
    let done = home.cli(&["secrets", "status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&done.stdout).expect("JSON");
    (status["state"].as_str().expect("a state").to_owned(), done.code())
}

fn key_file(home: &Home) -> PathBuf {
    home.path().join(".actifix/root.key")
}

#[test]
fn a_secret_is_stored_listed_shown_on_a_terminal_and_removed() {
    let home = Home::new();
    let value = canary();
    set(&home, "smtp.password", &format!("{value}\n"));
    let listed = home.cli(&["secrets", "list", "--json"]).json();
    assert_eq!(listed["items"][0]["name"], "smtp.password");
    assert_eq!(listed["items"][0]["size"], value.len(), "the line break is none of it");
    assert!(!home.cli(&["secrets", "list"]).ok().contains(&value));

    let piped = home.cli(&["secrets", "get", "smtp.password"]);
    assert_eq!(piped.code(), 2, "{}", piped.stderr);
    assert!(!piped.stdout.contains(&value) && piped.stderr.contains("terminal"));
    assert!(on_terminal(&home, "secrets get smtp.password").stdout.contains(&value));
    let from_terminal = on_terminal(&home, "secrets get smtp.password | cat").stdout;
    assert!(!from_terminal.contains(&value) && from_terminal.contains("terminal"), "{from_terminal}");

    let empty = home.cli(&["secrets", "set", "other"]);
    assert_eq!(empty.code(), 2, "nothing came");
    assert!(empty.stderr.contains("standard input is empty"), "{}", empty.stderr);
    home.cli_stdin(&["secrets", "set", "piped"], b"two\nlines\n").ok();
    assert_eq!(
        home.cli(&["secrets", "list", "--json"]).json()["items"][0]["size"],
        9,
        "a key of several lines"
    );
    home.cli(&["secrets", "remove", "piped"]).ok();
    let by_argument = home.cli(&["secrets", "set", "other", &value]);
    assert_eq!(by_argument.code(), 2, "never by argument");
    assert!(!by_argument.stderr.contains("stored"));

    home.cli(&["secrets", "rotate-key"]).ok();
    home.cli(&["secrets", "remove", "smtp.password"]).ok();
    let log = home.cli(&["audit", "list", "--json"]).json();
    let rows = log["items"].as_array().expect("rows").iter().rev();
    let acts: Vec<&str> = rows
        .filter(|row| row["action"] == "secret.changed")
        .map(|row| row["detail"]["act"].as_str().expect("an act"))
        .collect();
    assert_eq!(acts, ["set", "read", "set", "removed", "key_rotation_begun", "key_rotated", "removed"]);
    assert!(!log.to_string().contains(&value));
    assert_ne!(home.cli(&["secrets", "remove", "smtp.password"]).code(), 0);
    assert_eq!(home.cli(&["secrets", "list", "--json"]).json()["items"], json!([]));
}

#[test]
fn values_and_names_have_bounds() {
    let home = Home::new();
    set(&home, "largest", &"x".repeat(64 << 10));
    for (name, value) in [
        ("large", vec![b'x'; (64 << 10) + 1]),
        ("huge", vec![b'x'; 4 << 20]),
        ("empty", Vec::new()),
        ("nul", b"a\0b".to_vec()),
        ("binary", vec![0xff, 0xfe]),
        ("Upper", b"x".to_vec()),
        ("../up", b"x".to_vec()),
    ] {
        let done = home.cli_stdin(&["secrets", "set", name, "--stdin"], &value);
        assert_eq!(done.code(), 2, "{name}: {}", done.stderr);
    }
    assert_eq!(home.cli(&["secrets", "list", "--json"]).json()["items"].as_array().map(Vec::len), Some(1));
}

#[test]
fn no_file_argument_or_environment_of_ours_holds_a_value() {
    let home = Home::new();
    let value = canary();
    set(&home, "before", &value);
    let server = home.serve();
    set(&home, "during", &value);
    assert!(on_terminal(&home, "secrets get during").stdout.contains(&value));
    home.cli(&["secrets", "rotate-key"]).ok();

    let needles = Needles::new([("value".to_owned(), value.as_str())]);
    let leaks = needles.search_files(&home.files());
    assert!(leaks.is_empty(), "{leaks:?}");
    for name in ["cmdline", "environ"] {
        let bytes = fs::read(format!("/proc/{}/{name}", server.pid())).unwrap_or_default();
        assert!(needles.search(name, &bytes).is_empty(), "{name}");
    }
    let printed = server.stop().1;
    assert!(needles.search("output", &printed).is_empty());
    let leaks = needles.search_files(&home.files());
    assert!(leaks.is_empty(), "after the end: {leaks:?}");
}

#[test]
fn over_the_network_values_go_in_and_never_out() {
    let home = Home::new();
    let server = home.serve();
    let value = canary();
    let body = json!({ "name": "slack", "value": value });
    let set = server.call("POST", "/api/v1/secrets", Some(&body));
    assert_eq!(set.status, 200, "{}", set.text());
    for (method, path) in [
        ("GET", "/api/v1/secrets"),
        ("GET", "/api/v1/secrets/slack"),
        ("POST", "/api/v1/secrets/slack/reveal"),
        ("GET", "/api/v1/vault"),
        ("POST", "/api/v1/vault/rotate"),
    ] {
        let answer = server.call(method, path, None);
        let refused = path.ends_with("reveal") || path.ends_with("rotate");
        assert_eq!(answer.status, if refused { 403 } else { 200 }, "{method} {path}: {}", answer.text());
        assert!(!answer.text().contains(&value), "{method} {path}");
        let viewer = home.cli(&["token", "create", "--name", "v", "--role", "viewer", "--json"]).json();
        let bearer = format!("Bearer {}", viewer["token"].as_str().expect("a token"));
        let answer = server.send(&Request::new(method, path).header("Authorization", &bearer));
        assert_eq!(answer.status, 403, "{method} {path}");
        assert_eq!(server.send(&Request::new(method, path)).status, 401, "{method} {path}");
    }
    assert!(on_terminal(&home, "secrets get slack").stdout.contains(&value));
    assert_eq!(server.call("DELETE", "/api/v1/secrets/slack", None).status, 204);
    assert_eq!(server.call("GET", "/api/v1/secrets/slack", None).status, 404);
}

#[test]
fn rows_cannot_be_exchanged_for_one_another() {
    let home = Home::new();
    set(&home, "harmless", "shown to everyone");
    set(&home, "dangerous", &canary());
    // What an attacker with write access to the database, and without the key, would do.
    let python = "import sqlite3,sys; d=sqlite3.connect(sys.argv[1]); \
        d.execute(\"UPDATE secrets SET sealed=(SELECT sealed FROM secrets WHERE name='dangerous') WHERE name='harmless'\"); \
        d.commit()";
    let mut command = Command::new("python3");
    command.args(["-c", python]).arg(home.path().join("data/actifix.db"));
    finish(command, b"").ok();
    let shown = on_terminal(&home, "secrets get harmless");
    assert_ne!(shown.code(), 0);
    assert!(!shown.stdout.contains(&canary()), "{}", shown.stdout);
}

#[test]
fn a_key_that_is_gone_cut_short_wrong_or_open_to_others_ends_the_start() {
    let home = Home::new();
    set(&home, "a", "value");
    let path = key_file(&home);
    let text = fs::read_to_string(&path).expect("a key");
    let refused = |what: &str, state_name: &str| {
        let done = home.cli(&["serve"]);
        assert_eq!(done.code(), CONFIG, "{what}: {}", done.stderr);
        assert!(done.stderr.starts_with("error: ") && done.stderr.trim().lines().count() == 1);
        assert_eq!(state(&home), (state_name.to_owned(), 1), "{what}");
        done.stderr
    };
    let write = |text: &str, mode: u32| {
        let _absent = fs::remove_file(&path);
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
    };
    fs::remove_file(&path).expect("removed");
    let absent = refused("absent", "absent");
    write(&"0".repeat(64), 0o400);
    let wrong = refused("wrong", "wrong_key");
    assert!(absent.contains("absent") && wrong.contains("wrong root key") && !wrong.contains("absent"));
    write(&text[..33], 0o400);
    assert!(refused("cut", "refused").contains("cut short"));
    write(&text, 0o644);
    assert!(refused("readable", "refused").contains("chmod 0400"));
    write(&text, 0o400);
    let elsewhere = home.path().join("moved");
    fs::rename(&path, &elsewhere).expect("moved");
    std::os::unix::fs::symlink(&elsewhere, &path).expect("a link");
    assert!(refused("link", "refused").contains("symbolic link"));
    fs::remove_file(&path).expect("removed");
    fs::rename(&elsewhere, &path).expect("moved");
    assert_eq!(state(&home), ("open".to_owned(), 0));
    assert!(on_terminal(&home, "secrets get a").stdout.contains("value"));
}

#[test]
fn a_copied_home_is_useless_without_its_key() {
    let home = Home::new();
    set(&home, "a", &canary());
    let thief = Home::new();
    for (path, bytes) in home.files() {
        let inner = path.strip_prefix(home.path()).expect("inside");
        if inner.ends_with("root.key") {
            continue;
        }
        let to = thief.path().join(inner);
        fs::create_dir_all(to.parent().expect("a parent")).expect("a folder");
        fs::write(&to, bytes).expect("a copy");
        fs::set_permissions(&to, Permissions::from_mode(0o600)).expect("a mode");
    }
    let done = on_terminal(&thief, "secrets get a");
    assert_eq!(done.code(), CONFIG, "{}", done.stdout);
    assert!(!done.stdout.contains(&canary()));
    assert!(!key_file(&thief).exists(), "no second key is made");
    // Not even with keys of the thief's own: the record of another home does not fit the database.
    let other = Home::new();
    set(&other, "b", "x");
    for name in ["root.key", "vault.json"] {
        let to = thief.path().join(".actifix").join(name);
        let _absent = fs::remove_file(&to);
        fs::write(&to, fs::read(other.path().join(".actifix").join(name)).expect("a file")).expect("a copy");
        fs::set_permissions(&to, Permissions::from_mode(0o400)).expect("a mode");
    }
    let done = thief.cli(&["secrets", "list"]);
    assert_eq!(done.code(), CONFIG, "{}", done.stderr);
    assert!(done.stderr.contains("sealed with other keys"), "{}", done.stderr);
}

#[test]
fn the_key_moves_while_the_server_runs_and_what_it_sealed_stays() {
    let home = Home::new();
    let value = canary();
    set(&home, "a", &value);
    let server = home.serve();
    let before = fs::read(key_file(&home)).expect("a key");
    home.cli(&["secrets", "rotate-key"]).ok();
    assert_ne!(fs::read(key_file(&home)).expect("a key"), before);
    let moved = home.path().join("keys");
    fs::create_dir(&moved).expect("a folder");
    let to = moved.join("root.key").display().to_string();
    home.cli(&["secrets", "rotate-key", "--backend", "file", "--key-file", &to]).ok();
    assert!(!key_file(&home).exists() && Path::new(&to).exists());
    set(&home, "b", &value);
    server.stop();
    for name in ["a", "b"] {
        assert!(on_terminal(&home, &format!("secrets get {name}")).stdout.contains(&value), "{name}");
    }
    let status = home.cli(&["secrets", "status", "--json"]).json();
    assert_eq!((status["place"].as_str(), status["pending"].as_str()), (Some(to.as_str()), None));
    assert!(status["key_id"].as_str().is_some_and(|id| id.len() == 16));
}

/// The first argument of a call: strace kills the process as it enters the n-th of these.
const CALLS: &str = "rename,renameat,renameat2,fsync,fdatasync,unlink,unlinkat";

#[test]
fn heavy_kill_9_at_every_step_of_a_rotation_leaves_a_home_that_opens() {
    let home = Home::new();
    let value = canary();
    set(&home, "a", &value);
    let mut finished = false;
    let mut random = Random::seeded(7);
    for step in 1..60 {
        let mut command = Command::new("strace");
        let inject = format!("inject={CALLS}:signal=KILL:when={step}");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={CALLS}"), "-e", &inject]);
        command.arg(env!("CARGO_BIN_EXE_actifix")).arg("--home").arg(home.path());
        command.args(["secrets", "rotate-key"]).stdin(Stdio::null());
        let done = finish(command, b"");
        finished = done.code() == 0;
        // Looking at it must not mend it, and every other time a second rotation follows at once.
        assert_eq!(state(&home).0, "open", "killed at call {step}");
        if random.below(2) == 0 {
            home.cli(&["secrets", "rotate-key"]).ok();
        }
        assert!(on_terminal(&home, "secrets get a").stdout.contains(&value), "killed at call {step}");
        if finished {
            break;
        }
    }
    assert!(finished, "the sweep reached the end of a rotation");
}

#[test]
fn two_processes_that_start_at_once_agree_on_one_key() {
    let home = Home::new();
    let children: Vec<_> = (0..6)
        .map(|_| {
            let mut command = home.command(&["secrets", "init", "--backend", "file"]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().expect("it starts")
        })
        .collect();
    let made = children
        .into_iter()
        .map(|mut child| child.wait().expect("it ends").success())
        .filter(|success| *success)
        .count();
    assert_eq!(made, 1, "one of them chose, the others were told");
    set(&home, "a", "value");
    assert_eq!(state(&home), ("open".to_owned(), 0));
}

/// Whoever changes a vault waits for whoever changes it now; the kernel tells who waits.
#[test]
fn a_vault_is_changed_by_one_process_at_a_time() {
    let home = Home::new();
    let private = home.path().join(".actifix");
    fs::create_dir_all(&private).expect("a directory");
    fs::set_permissions(&private, fs::Permissions::from_mode(0o700)).expect("its mode");
    let lock = fs::File::create(private.join("vault.lock")).expect("a lock");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("it is free");
    let mut command = home.command(&["secrets", "init", "--backend", "file"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("it starts");
    let waits = format!(" {} ", child.id());
    loop {
        let locks = fs::read_to_string("/proc/locks").expect("locks");
        if locks.lines().any(|line| line.contains("-> FLOCK") && line.contains(&waits)) {
            break;
        }
        assert_eq!(child.try_wait().expect("a child"), None, "it did not wait");
        std::thread::yield_now();
    }
    assert!(!private.join("vault.json").exists(), "nothing was changed meanwhile");
    drop(lock);
    assert!(child.wait().expect("it ends").success());
    assert_eq!(state(&home), ("open".to_owned(), 0));
}

#[test]
fn a_master_key_stays_in_its_process() {
    // What this process may leave of itself its children may as well, so that it is seen who takes that away.
    let most = rustix::process::getrlimit(rustix::process::Resource::Core).maximum;
    assert_ne!(most, Some(0), "nothing may be dumped here anyhow: raise the hard limit (ulimit -Hc)");
    let raised = rustix::process::Rlimit { current: most, maximum: most };
    rustix::process::setrlimit(rustix::process::Resource::Core, raised).expect("up to the hard limit");
    let home = Home::new();
    let key = "5e".repeat(32);
    let mut command = home.command(&["run", "--", "sh", "-c", "env; cat /proc/self/environ"]);
    command.env("ACTIFIX_MASTER_KEY", &key).env("ACTIFIX_MASTER_KEY_FILE", "/nowhere");
    let done = finish(command, b"");
    assert!(!done.stdout.contains(&key) && !done.stdout.contains("ACTIFIX_MASTER_KEY"), "{}", done.stdout);

    let server = Server::start(Arc::clone(&home), &[("ACTIFIX_MASTER_KEY", &key)]);
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).expect("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a line");
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    let needles = Needles::new([("key".to_owned(), key.as_str())]);
    assert!(needles.search_files(&home.files()).is_empty());
    assert!(needles.search("output", &server.stop().1).is_empty());
    let absent = home.cli(&["serve"]);
    assert_eq!(absent.code(), CONFIG);
    assert!(absent.stderr.contains("absent") && absent.stderr.contains("ACTIFIX_MASTER_KEY"));
}

/// A command without the rights of root: to the kernel all such processes of one user are equals.
fn without_rights(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all", "--", program]);
    command
}

fn environment_of(pid: u32) -> Finished {
    let mut command = without_rights("cat");
    command.arg(format!("/proc/{pid}/environ"));
    finish(command, b"")
}

#[test]
fn others_of_the_same_user_cannot_look_into_the_process() {
    let home = Home::new();
    let key = "5e".repeat(32);
    let mut plain = without_rights("cat");
    let mut plain = plain
        .env("ACTIFIX_MASTER_KEY", &key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    // It has replaced the program that dropped its rights once it copies its input.
    plain.stdin.as_mut().expect("a pipe").write_all(b"ready").expect("written");
    plain.stdout.as_mut().expect("a pipe").read_exact(&mut [0; 5]).expect("read");
    let seen = environment_of(plain.id());
    assert!(seen.stdout.contains(&key), "a process that does nothing is open: {}", seen.stderr);
    plain.kill().expect("killed");
    plain.wait().expect("it ends");

    let mut server = without_rights(env!("CARGO_BIN_EXE_actifix"));
    server.arg("--home").arg(home.path()).arg("serve").env("ACTIFIX_MASTER_KEY", &key);
    let mut server = server.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut said = BufReader::new(server.stdout.take().expect("a pipe")).lines();
    assert!(said.any(|line| line.expect("a line").contains("listening on")));
    let seen = environment_of(server.id());
    server.kill().expect("killed");
    server.wait().expect("it ends");
    assert!(!seen.stdout.contains(&key), "readable by another process of the user");
    assert!(seen.stderr.contains("denied") || seen.stderr.contains("permitted"), "{}", seen.stderr);
}

#[test]
fn a_passphrase_comes_by_file_or_standard_input() {
    let home = Home::new();
    let phrase = "correct horse battery";
    let short = home.cli_stdin(&["secrets", "init", "--backend", "passphrase"], b"short\n");
    assert_eq!(short.code(), CONFIG, "{}", short.stderr);
    let line = format!("{phrase}\n");
    home.cli_stdin(&["secrets", "init", "--backend", "passphrase"], line.as_bytes()).ok();
    let again = home.cli_stdin(&["secrets", "init", "--backend", "file"], b"");
    assert!(again.code() == CONFIG && again.stderr.contains("already"), "{}", again.stderr);
    assert_eq!(state(&home), ("absent".to_owned(), 1));
    let with = |phrase: &str| {
        let mut command = home.command(&["secrets", "set", "a", "--stdin"]);
        command.env("ACTIFIX_MASTER_KEY", phrase);
        finish(command, b"value")
    };
    let wrong = with("incorrect horse battery");
    assert!(wrong.code() == CONFIG && wrong.stderr.contains("wrong root key"), "{}", wrong.stderr);
    with(phrase).ok();
    assert!(Needles::new([("phrase".to_owned(), phrase)]).search_files(&home.files()).is_empty());
}

#[test]
fn a_first_start_with_a_passphrase_in_the_variable_makes_its_home_of_it() {
    let home = Home::new();
    let start = |phrase: &str| {
        let mut command = home.command(&["serve"]);
        command.env("ACTIFIX_MASTER_KEY", phrase);
        finish(command, b"")
    };
    for (weak, why) in [("a passphrase", "15 to 1024 characters"), ("passwordpassword", "too many people")] {
        let refused = start(weak);
        assert_eq!(refused.code(), CONFIG, "{}", refused.stderr);
        assert!(refused.stderr.contains(why) && !refused.stderr.contains(weak), "{}", refused.stderr);
    }
    let phrase = "violet tractor hums quietly";
    let server = Server::start(Arc::clone(&home), &[("ACTIFIX_MASTER_KEY", phrase)]);
    assert_eq!(server.get("/api/v1/vault")["backend"], "passphrase");
    server.stop();
    let wrong = start("violet tractor hums loudly");
    assert!(wrong.code() == CONFIG && wrong.stderr.contains("wrong root key"), "{}", wrong.stderr);
    Server::start(Arc::clone(&home), &[("ACTIFIX_MASTER_KEY", phrase)]).stop();
    assert!(Needles::new([("phrase".to_owned(), phrase)]).search_files(&home.files()).is_empty());
}

#[test]
fn a_client_takes_its_token_from_a_file() {
    let home = Home::new();
    let server = home.serve();
    let path = home.path().join("token");
    fs::write(&path, format!("{}\n", server.token())).expect("a file");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("a mode");
    let elsewhere = Home::new();
    let list = |extra: &[(&str, &str)]| {
        let mut command = elsewhere.command(&["secrets", "list", "--json"]);
        command.env("ACTIFIX_URL", format!("http://{}", server.address));
        command.env("ACTIFIX_TOKEN_FILE", &path).envs(extra.iter().copied());
        finish(command, b"")
    };
    list(&[]).json();
    list(&[("ACTIFIX_TOKEN", server.token().as_str())]).json();
    let differ = list(&[("ACTIFIX_TOKEN", "another")]);
    assert!(differ.code() == 2 && differ.stderr.contains("differ"), "{}", differ.stderr);
}
