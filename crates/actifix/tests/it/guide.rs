//! The hardening guide and the pages that it leads to: every line stands for something, and every command works.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Home, Server, bare_command, finish};
use crate::http::Request;
use crate::people::PASSWORD;

const GUIDE: &str = include_str!("../../../../docs/SECURITY_HARDENING.md");
const MAP: &str = include_str!("../../../../docs/guide-map.md");
const SECURITY: &str = include_str!("../../../../SECURITY.md");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Lines of the guide: the section and the label of each, or its whole text.
fn lines_of(guide: &str) -> Vec<(String, String)> {
    let (mut section, mut lines) = (String::new(), Vec::new());
    for line in guide.lines() {
        if let Some(heading) = line.strip_prefix("## ").or_else(|| line.strip_prefix("### ")) {
            heading.clone_into(&mut section);
        }
        let numbered = line
            .split_once(". ")
            .filter(|(number, _)| number.len() == 1 && number.bytes().all(|b| b.is_ascii_digit()));
        let text = line
            .strip_prefix("- [ ] ")
            .or_else(|| line.strip_prefix("- "))
            .or(numbered.map(|(_, rest)| rest));
        let Some(text) = text else { continue };
        let label = match text.strip_prefix("**") {
            Some(rest) => rest.split("**").next().expect("a label"),
            None => text,
        };
        lines.push((section.clone(), label.to_owned()));
    }
    lines
}

#[test]
fn every_line_of_the_hardening_guide_leads_to_code_and_tests() {
    let mut tests = BTreeSet::new();
    for folder in ["crates", "xtask"] {
        crate::security_table::tests_in(&root().join(folder), &mut tests);
    }
    let rows: Vec<Vec<&str>> = MAP
        .lines()
        .filter(|line| line.starts_with('|') && !line.starts_with("| ---") && !line.starts_with("| section"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let lines = lines_of(GUIDE);
    assert!(lines.len() >= 85, "{} lines", lines.len());
    let mapped: BTreeSet<(String, String)> =
        rows.iter().map(|row| (row[0].to_owned(), row[1].to_owned())).collect();
    let stated: BTreeSet<(String, String)> = lines.into_iter().collect();
    let lost: Vec<_> = stated.symmetric_difference(&mapped).collect();
    assert!(lost.is_empty(), "in one of the two only: {lost:#?}");
    let home = Home::new();
    for row in rows {
        let [section, line, command, code, test] = row[..] else { panic!("{row:?}") };
        assert!(root().join(code.trim_matches('`')).exists(), "{section}, {line}: there is no {code}");
        assert!(tests.contains(test.trim_matches('`')), "{section}, {line}: there is no test {test}");
        if let Some(command) = command.trim_matches('`').strip_prefix("actifix ") {
            let mut arguments: Vec<&str> = command.split(' ').collect();
            arguments.push("--help");
            home.cli(&arguments).ok();
        } else {
            assert_eq!((command, section), ("", "Reporting security issues"), "{line}");
        }
    }
    // Whoever holds the guide against the code says so in both places.
    let updated =
        GUIDE.split("*Last updated: ").nth(1).and_then(|rest| rest.split('*').next()).expect("a date");
    let code = std::fs::read_to_string(root().join("crates/actifix-app/src/review.rs")).expect("a source");
    assert!(code.contains(&format!("GUIDE_REVIEWED: &str = \"{updated}\"")), "{updated}");
}

/// Commands in the prose of a page: each is one that exists.
#[track_caller]
pub(crate) fn check_inline(home: &Home, page: &str) {
    for code in page.split('`').skip(1).step_by(2) {
        let Some(rest) = code.strip_prefix("actifix ").filter(|_| !code.contains('\n')) else { continue };
        let is_word =
            |word: &&str| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') && !word.starts_with('-');
        let mut arguments: Vec<&str> = rest.split(' ').take_while(is_word).collect();
        arguments.push("--help");
        let done = home.cli(&arguments);
        assert_eq!(done.code(), 0, "{code}: {}", done.stderr);
    }
}

/// Runs every line of the `sh` blocks of a page against the server of a home, with programs of further `folders`; how
/// many there were.
pub(crate) fn run_page(server: &Server, page: &str, folders: &str, environment: &[(&str, &str)]) -> usize {
    let program = Path::new(env!("CARGO_BIN_EXE_actifix")).parent().expect("a directory");
    let path = format!("{}:{folders}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut run = 0;
    for block in page.split("```sh\n").skip(1) {
        for line in block.split("```").next().unwrap_or_default().lines() {
            let mut command = Command::new("sh");
            command.arg("-c").arg(line).env("PATH", &path).env("ACTIFIX_HOME", server.home.path());
            command.envs(environment.iter().copied()).current_dir(server.home.path());
            let done = finish(command, b"");
            assert_eq!(done.code(), 0, "{line}: {}{}", done.stdout, done.stderr);
            // `|| true` lets a command say that something is due, not that it does not work.
            assert!(!done.stderr.contains("error:"), "{line}: {}", done.stderr);
            run += 1;
        }
    }
    run
}

#[test]
fn the_commands_of_the_guide_and_its_runbooks_work() {
    let home = Home::with_config(
        "[server]\npublic_url = \"https://errors.example.net\"\ntrusted_proxies = [\"127.0.0.1\"]\n",
    );
    home.cli_stdin(&["admin", "set-password", "--stdin"], PASSWORD.as_bytes()).ok();
    // `scan --history` looks at a repository.
    let mut git = Command::new("git");
    git.args(["init", "-q"]).arg(home.path());
    finish(git, b"").ok();
    let server = home.serve();
    let (page, mut run) =
        (|name: &str| std::fs::read_to_string(root().join("docs").join(name)).expect("a page"), 0);
    for name in ["SECURITY_HARDENING.md", "monitoring.md", "maintenance.md", "incidents.md"] {
        let token = home.cli(&["token", "create", "--name", "t", "--role", "viewer", "--json"]).json();
        let (id, text) = (token["id"].as_str().expect("an id"), token["token"].as_str().expect("a token"));
        let environment = [("TOKEN_ID", id), ("LEAKED_TOKEN", text), ("NEW_PASSWORD", PASSWORD)];
        run += run_page(&server, &page(name), "/bin", &environment);
        check_inline(&home, &page(name));
    }
    assert!(run >= 35, "{run} commands");
}

#[test]
fn links_of_the_guide_and_its_runbooks_lead_somewhere() {
    for name in ["SECURITY_HARDENING.md", "guide-map.md", "incidents.md", "maintenance.md", "monitoring.md"] {
        let text = std::fs::read_to_string(root().join("docs").join(name)).expect("a page");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().expect("a path");
            assert!(file.is_empty() || root().join("docs").join(file).exists(), "{name}: {link}");
        }
    }
}

#[test]
fn what_is_said_about_reporting_holes_is_complete() {
    let flat = SECURITY.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "Do not open a public issue",
        "Write an e-mail to the maintainers",
        "how to reproduce it",
        "acknowledge within 3 working days",
        "wait for that before you tell anyone else",
        "90 days after your report",
        "goes to its operator",
    ] {
        assert!(flat.contains(part), "{part}");
    }
}

#[test]
fn an_instance_says_whom_to_tell_of_a_hole_and_until_when() {
    let target = "/.well-known/security.txt";
    let silent = Home::new();
    assert_eq!(silent.serve().send(&Request::get(target)).status, 404);
    let home = Home::with_config(
        "[security_txt]\ncontact = [\"mailto:security@example.net\"]\npolicy = \"https://example.net/policy\"\n",
    );
    let server = home.serve();
    let answer = server.send(&Request::get(target));
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("text/plain; charset=utf-8")),
        "{}",
        answer.text()
    );
    let text = answer.text();
    assert!(text.starts_with("Contact: mailto:security@example.net\n"), "{text}");
    let expires = text.lines().find_map(|line| line.strip_prefix("Expires: ")).expect("an end");
    let mut date = Command::new("date");
    date.args(["-d", expires, "+%s"]);
    let end: i64 = finish(date, b"").ok().trim().parse().expect("seconds");
    let now = i64::try_from(
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_secs(),
    )
    .expect("a time");
    assert!(end > now + 86_400 && end < now + 365 * 86_400, "{expires}");
    for wrong in [
        "contact = [\"http://example.net/report\"]",
        "contact = [\"security@example.net\"]",
        "contact = []\npolicy = \"https://example.net/\"",
        "contact = [\"mailto:a@example.net\"]\nexpires_days = 365",
        "contact = [\"mailto:a@example.net\"]\nexpires_days = 0",
        "contact = [\"mailto:a@example.net\"]\npolicy = \"http://example.net/\"",
    ] {
        let home = Home::with_config(&format!("[security_txt]\n{wrong}\n"));
        let checked = home.cli(&["config", "check"]);
        assert_eq!(checked.code(), 78, "{wrong}: {}", checked.stdout);
        assert!(checked.stderr.contains("security_txt."), "{wrong}: {}", checked.stderr);
    }
    let mut help = bare_command();
    help.args(["config", "schema"]);
    assert!(finish(help, b"").ok().contains("security_txt.contact"));
}
