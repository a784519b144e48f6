//! The service and the package. Nothing here starts the service: that takes systemd as process 1. Instead the unit is
//! judged by systemd's own tools, and what a real server asks of the kernel is held against what the unit lets it ask.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::harness::{Finished, Home, Server, finish};
use crate::http::Request;

const UNIT: &str = include_str!("../../../../packaging/actifix.service");
/// Tenths of a point that systemd may find exposed.
const EXPOSURE_MAX: &str = "15";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn systemd_analyze(arguments: &[&str], unit: &Path) -> Finished {
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).arg(unit).env("SYSTEMD_PAGER", "").env("LC_ALL", "C");
    let there = Command::new("systemd-analyze").arg("--version").stdout(Stdio::null()).status();
    assert!(there.is_ok(), "systemd-analyze is missing: run `cargo xtask install-tools`, or install systemd");
    finish(command, b"")
}

/// The unit with the program of this build.
fn unit() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("actifix.service");
    let text = UNIT.replace("/usr/bin/actifix", env!("CARGO_BIN_EXE_actifix"));
    assert_ne!(text, UNIT);
    std::fs::write(&path, text).expect("a file");
    (dir, path)
}

#[test]
fn the_service_is_hardened_as_systemd_judges_it() {
    let (_dir, path) = unit();
    let verified = systemd_analyze(&["verify", "--man=no"], &path);
    assert_eq!((verified.code(), verified.stderr.trim()), (0, ""), "{}", verified.stdout);
    let judged = systemd_analyze(&["security", "--offline=true", "--threshold", EXPOSURE_MAX], &path);
    assert_eq!(judged.code(), 0, "{}\n{}", judged.stdout, judged.stderr);
    // The judge must be one that says no.
    let open = path.with_file_name("open.service");
    std::fs::write(&open, "[Service]\nExecStart=/bin/true\n").expect("a file");
    let judged = systemd_analyze(&["security", "--offline=true", "--threshold", EXPOSURE_MAX], &open);
    assert_ne!(judged.code(), 0, "{}", judged.stdout);
}

fn setting(name: &str) -> Vec<&'static str> {
    UNIT.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('=')).collect()
}

#[test]
fn the_service_does_what_the_program_and_the_guide_say() {
    assert_eq!(setting("LoadCredentialEncrypted"), ["actifix-root-key"], "as the vault asks for it");
    let guide = include_str!("../../../../docs/guides/secrets.md");
    assert!(guide.contains("LoadCredentialEncrypted=actifix-root-key"), "and as the guide makes it");
    assert_eq!(setting("RestartPreventExitStatus"), ["78"]);
    assert_eq!(setting("LimitCORE"), ["0"]);
    assert_eq!(setting("UMask"), ["0077"]);
    assert!(setting("ExecStart")[0].ends_with("--home /var/lib/actifix serve --production"));
    for secret in ["ACTIFIX_MASTER_KEY", "Environment="] {
        assert!(!UNIT.contains(secret), "nothing secret goes by the environment: {secret}");
    }
}

/// Names of the calls of a group, with those of the groups in it.
fn calls(group: &str, groups: &str) -> BTreeSet<String> {
    let body = groups.split(&format!("{group}\n")).nth(1).expect("a group of systemd");
    let mut found = BTreeSet::new();
    for line in body.lines().take_while(|line| line.starts_with(' ')).map(str::trim) {
        if line.starts_with('@') {
            found.extend(calls(line, groups));
        } else if !line.starts_with('#') {
            found.insert(line.to_owned());
        }
    }
    found
}

/// What the unit lets a process call: the first list allows, the others take away.
fn allowed(groups: &str) -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    for filter in setting("SystemCallFilter") {
        let (takes, words) = filter.strip_prefix('~').map_or((false, filter), |words| (true, words));
        for word in words.split_whitespace() {
            let named = if word.starts_with('@') { calls(word, groups) } else { [word.to_owned()].into() };
            if takes {
                allowed.retain(|call| !named.contains(call));
            } else {
                allowed.extend(named);
            }
        }
    }
    allowed
}

#[test]
fn heavy_a_server_calls_nothing_that_the_service_forbids() {
    let mut command = Command::new("systemd-analyze");
    command.args(["syscall-filter", "--no-pager"]).env("LC_ALL", "C");
    let groups = finish(command, b"").ok();
    let allowed = allowed(&groups);
    assert!(allowed.contains("openat") && !allowed.contains("mount") && !allowed.contains("chown"));
    let home = Home::new();
    let trace = tempfile::NamedTempFile::new().expect("a file");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", "signal=none", "-o"]).arg(trace.path());
    command.arg(env!("CARGO_BIN_EXE_actifix")).arg("--home").arg(home.path()).arg("serve");
    let server = Server::run(Arc::clone(&home), command);
    home.cli_stdin(&["admin", "set-password", "--stdin"], crate::people::PASSWORD.as_bytes()).ok();
    let key = home.cli(&["backup", "keygen", "--out", &home.path().join("k").display().to_string()]).ok();
    home.cli(&["backup", "create", "--recipient", key.trim()]).ok();
    home.cli(&["backup", "verify"]).ok();
    home.cli(&["record", "an error"]).ok();
    home.cli(&["doctor"]).ok();
    assert_eq!(server.send(&Request::get("/healthz")).status, 200);
    crate::people::login(&server, "admin", crate::people::PASSWORD);
    // The child of strace is the server; strace ends with it.
    let children = format!("/proc/{0}/task/{0}/children", server.pid());
    let child = std::fs::read_to_string(children).expect("a child").trim().parse().expect("a number");
    let pid = rustix::process::Pid::from_raw(child).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal is sent");
    server.wait_for_end();
    let text = std::fs::read_to_string(trace.path()).expect("a trace");
    let seen: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split_once(' ')?.1.trim().split_once('('))
        .map(|(name, _)| name)
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
        .collect();
    assert!(seen.contains("openat") && seen.contains("accept4"), "{seen:?}");
    // SQLite gives files to the owner of the database where it runs as root, which the service does not.
    let as_root = |name: &str| name == "fchown" && rustix::process::geteuid().is_root();
    let forbidden: Vec<&&str> =
        seen.iter().filter(|name| !allowed.contains(**name) && !as_root(name)).collect();
    assert!(forbidden.is_empty(), "the service would end these with EPERM: {forbidden:?}");
    // Memory that can be written is never made to run (MemoryDenyWriteExecute).
    let both = text.lines().find(|line| line.contains("PROT_WRITE") && line.contains("PROT_EXEC"));
    assert_eq!(both, None);
    let families = setting("RestrictAddressFamilies")[0];
    for line in text.lines().filter(|line| line.contains(" socket(") || line.contains("socketpair(")) {
        let family = line.split_once('(').and_then(|(_, rest)| rest.split(',').next()).expect("a family");
        assert!(families.split(' ').any(|known| known == family), "{line}");
    }
}

#[test]
fn the_package_names_files_that_are_there_and_scripts_that_a_shell_reads() {
    let manifest = include_str!("../../Cargo.toml");
    let (_, deb) = manifest.split_once("[package.metadata.deb]").expect("the section");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let assets: Vec<Vec<&str>> = deb
        .lines()
        .filter(|line| line.starts_with("    [\""))
        .map(|line| line.split('"').skip(1).step_by(2).collect())
        .collect();
    assert!(assets.len() >= 6, "{assets:?}");
    for asset in &assets {
        let [from, to, mode] = asset[..] else { panic!("{asset:?}") };
        assert!(!to.starts_with('/') && (mode == "644" || mode == "755"), "{asset:?}");
        if from == "target/release/actifix" {
            continue;
        }
        let there = match from.strip_suffix("*.md") {
            Some(directory) => folder.join(directory).is_dir(),
            None => folder.join(from).is_file(),
        };
        assert!(there, "{from}");
    }
    // Without one the package would describe itself as made from a crate.
    let (package, _) = manifest.split_once("\n[").expect("the first section");
    let described = package.lines().find_map(|line| line.strip_prefix("description = \""));
    assert!(described.is_some_and(|text| (20..=80).contains(&text.len())), "one line for lists of packages");
    // Pages that the pages of the package lead to lie beside them as they do here.
    let docs = root().join("docs");
    for page in std::fs::read_dir(&docs).expect("pages").map(|entry| entry.expect("a page").path()) {
        let Ok(text) = std::fs::read_to_string(&page) else { continue };
        let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for link in
            links.filter(|link| link.ends_with(".md") && !link.contains(':') && !link.starts_with(".."))
        {
            let folder = link.rsplit_once('/').map_or("", |(folder, _)| folder);
            let carried = assets.iter().any(|asset| {
                asset[0].ends_with(&format!(
                    "docs/{}*.md",
                    if folder.is_empty() { String::new() } else { format!("{folder}/") }
                ))
            });
            assert!(carried, "{}: {link} is not in the package", page.display());
        }
    }
    let carries =
        |to: &str, from: &str| assets.iter().any(|asset| asset[0].ends_with(from) && asset[1] == to);
    assert!(carries("usr/lib/systemd/system/", "actifix.service"));
    assert!(carries("usr/lib/sysusers.d/actifix.conf", "actifix.sysusers"));
    assert!(
        carries("etc/actifix/", "actifix.toml")
            && deb.contains("conf-files = [\"/etc/actifix/actifix.toml\"]")
    );
    for script in ["postinst", "prerm", "postrm"] {
        let path = root().join("packaging/debian").join(script);
        let mut command = Command::new("sh");
        command.arg("-n").arg(&path);
        finish(command, b"").ok();
        let text = std::fs::read_to_string(&path).expect("a script");
        assert!(text.contains("\nset -e\n"), "{script} ends at the first error");
        assert!(!text.contains("rm -r"), "{script} deletes nobody's data");
    }
    let users = include_str!("../../../../packaging/actifix.sysusers");
    assert!(users.contains("u actifix - ") && users.contains("/usr/sbin/nologin"));
}

#[test]
fn the_configuration_of_the_package_is_one_that_the_program_reads() {
    let home = Home::new();
    let text = include_str!("../../../../packaging/actifix.toml");
    let linked = home.path().join("elsewhere.toml");
    std::fs::write(&linked, text).expect("a file");
    std::fs::remove_file(home.path().join("actifix.toml")).expect("a file");
    std::os::unix::fs::symlink(&linked, home.path().join("actifix.toml")).expect("a link");
    home.cli(&["config", "check"]).ok();
    home.cli(&["project", "create", "spare"]).ok();
    // As the package lays it: the link to it is no fault.
    let report = home.cli(&["doctor", "--json"]).json();
    let checks = report["checks"].as_array().expect("checks");
    let modes = checks.iter().find(|check| check["id"] == "db_mode").expect("the check");
    assert_eq!(modes["state"], "pass", "{modes}");
    // What is commented out is good as well, once it is filled in.
    let filled: String = text
        .lines()
        .map(|line| {
            format!("{}\n", line.strip_prefix('#').filter(|rest| rest.contains(" = ")).unwrap_or(line))
        })
        .collect();
    let recipient =
        home.cli(&["backup", "keygen", "--out", &home.path().join("k").display().to_string()]).ok();
    let filled = filled
        .replace("age1…", recipient.trim())
        .replace("/var/lib/actifix", &home.path().display().to_string());
    std::fs::write(&linked, filled).expect("a file");
    home.cli(&["config", "check"]).ok();
}
