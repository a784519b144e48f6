//! Backups that somebody else made or changed, and who is told when one fails (`security.md`: "Encrypt backups").

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::backups::{backed_up, key, wait_until};
use crate::harness::{Finished, Home, Server, bare_command, finish};
use crate::sink::{Behaviour, Sink};
use crate::tls::Authority;

/// The parts of an archive, in their order.
type Parts = Vec<(String, Vec<u8>)>;

/// What somebody with the secret side of a key, or with a copy of what was encrypted, can read.
fn unpack(backup: &Path, key: &Path) -> Parts {
    let text = fs::read_to_string(key).expect("a key");
    let line = text.lines().find(|line| !line.starts_with('#')).expect("an identity");
    let identity: age::x25519::Identity = line.parse().expect("an identity");
    let file = fs::File::open(backup).expect("a backup");
    let clear = age::Decryptor::new(file)
        .expect("a head")
        .decrypt(std::iter::once(&identity as &dyn age::Identity))
        .expect("the right key");
    let mut archive = tar::Archive::new(zstd::stream::read::Decoder::new(clear).expect("zstd"));
    let mut parts = Parts::new();
    for entry in archive.entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a path").to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("bytes");
        parts.push((name, bytes));
    }
    parts
}

/// What anybody can make who knows a recipient. The hashes of the members are made anew.
fn pack(mut parts: Parts, recipient: &str, into: &Path) {
    let hashes: serde_json::Map<String, Value> = parts
        .iter()
        .take_while(|(name, _)| name != "digests.json")
        .map(|(name, bytes)| (name.clone(), json!(blake3::hash(bytes).to_hex().to_string())))
        .collect();
    part(&mut parts, "digests.json", |bytes| *bytes = serde_json::to_vec(&hashes).expect("JSON"));
    let recipient: age::x25519::Recipient = recipient.parse().expect("a recipient");
    let encryptor =
        age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient)).expect("a head");
    let sealed = encryptor.wrap_output(fs::File::create(into).expect("a file")).expect("a writer");
    let mut builder = tar::Builder::new(zstd::stream::write::Encoder::new(sealed, 1).expect("zstd"));
    for (name, bytes) in parts {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        builder.append_data(&mut header, name, bytes.as_slice()).expect("a member");
    }
    let sealed = builder.into_inner().expect("a tail").finish().expect("zstd");
    sealed.finish().expect("age").flush().expect("a file");
}

fn part(parts: &mut Parts, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let (_, bytes) = parts.iter_mut().find(|(known, _)| known == name).expect("the member");
    change(bytes);
}

/// Runs SQL on the database in the archive, as an attacker with Python would.
fn edit_database(parts: &mut Parts, sql: &str) {
    part(parts, "data/actifix.db", |bytes| {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.db");
        fs::write(&path, &*bytes).expect("a file");
        let code = "import sqlite3,sys; d=sqlite3.connect(sys.argv[1]); d.executescript(sys.argv[2]); d.commit(); d.close()";
        let mut python = Command::new("python3");
        python.args(["-c", code]).arg(&path).arg(sql);
        finish(python, b"").ok();
        *bytes = fs::read(&path).expect("a file");
    });
    let pages = parts.iter().find(|(name, _)| name == "data/actifix.db").expect("it").1.len() as u64;
    edit_manifest(parts, |manifest| {
        let bytes = manifest["page_bytes"].as_u64().expect("a size");
        manifest["pages"] = json!(pages / bytes);
    });
}

fn edit_manifest(parts: &mut Parts, change: impl FnOnce(&mut Value)) {
    part(parts, "manifest.json", |bytes| {
        let mut manifest: Value = serde_json::from_slice(bytes).expect("JSON");
        change(&mut manifest);
        *bytes = serde_json::to_vec(&manifest).expect("JSON");
    });
}

/// With the root key at hand, if one is given.
fn verify(backup: &Path, identity: &Path, root_key: Option<&Path>) -> Finished {
    let mut command = bare_command();
    command.args(["backup", "verify"]).arg(backup).arg("--identity").arg(identity).arg("--json");
    command.envs(root_key.map(|path| ("ACTIFIX_MASTER_KEY_FILE", path)));
    finish(command, b"")
}

fn restore(backup: &Path, identity: &Path, root_key: Option<&Path>, into: &Path) -> Finished {
    let mut command = bare_command();
    command.arg("--home").arg(into).args(["backup", "restore"]).arg(backup).arg("--identity").arg(identity);
    command.envs(root_key.map(|path| ("ACTIFIX_MASTER_KEY_FILE", path)));
    finish(command, b"")
}

fn faults(done: &Finished) -> String {
    let verdict: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{}", done.stderr));
    verdict["faults"].to_string()
}

#[test]
fn a_backup_that_somebody_else_made_is_refused_where_the_root_key_is() {
    let (home, key, path) = backed_up();
    let root_key = home.path().join(".actifix/root.key");
    let at_hand = Some(root_key.as_path());
    let verdict = verify(&path, &key.file, at_hand).json();
    assert_eq!((&verdict["authenticity"], &verdict["audit_verified"]), (&json!("verified"), &json!(true)));
    assert_eq!(home.cli(&["backup", "verify", "--json"]).json()["authenticity"], "verified");
    let elsewhere = verify(&path, &key.file, None);
    assert_eq!(elsewhere.json()["authenticity"], "not_checked");
    let dir = tempfile::tempdir().expect("a directory");
    let forge = |name: &str, change: &dyn Fn(&mut Parts)| -> PathBuf {
        let mut parts = unpack(&path, &key.file);
        change(&mut parts);
        let into = dir.path().join(name);
        pack(parts, &key.recipient, &into);
        into
    };
    let changed = forge("changed", &|parts| edit_database(parts, "UPDATE projects SET name = 'theirs'"));
    let unsealed = forge("unsealed", &|parts| {
        parts.retain(|(name, _)| name != "seal.json");
        edit_manifest(parts, |manifest| manifest["format"] = json!(1));
    });
    let cut = forge("cut", &|parts| parts.retain(|(name, _)| name != "seal.json"));
    // Whole, and of another installation.
    let (other, other_key, theirs) = backed_up();
    // Ours, and older than its name says.
    let renamed = dir.path().join("actifix-20991231T235959.000000Z-00000000.tar.zst.age");
    fs::copy(&path, &renamed).expect("a copy");
    for (backup, identity, told) in [
        (&changed, &key.file, "somebody else made or changed it"),
        (&unsealed, &key.file, "it has no seal"),
        (&cut, &key.file, "its end is missing"),
        (&theirs, &other_key.file, "the root key at hand is not that of this backup"),
        (&renamed, &key.file, "its name tells another time"),
    ] {
        let judged = verify(backup, identity, at_hand);
        assert_eq!(judged.code(), 1, "{told}: {}", judged.stderr);
        assert!(faults(&judged).contains(told), "{told}: {}", judged.stdout);
        let verdict: Value = serde_json::from_str(&judged.stdout).expect("JSON");
        // An old one of ours is ours.
        assert!(verdict["authenticity"] != "verified" || told.contains("name"), "{told}: {verdict}");
        let into = dir.path().join("home");
        let refused = restore(backup, identity, at_hand, &into);
        assert_eq!(refused.code(), 1, "{told}: {}", refused.stderr);
        assert!(!into.join("data").exists(), "{told}");
    }
    drop(other);
    // Where the root key is not, nobody can tell, and it is said so.
    let into = dir.path().join("elsewhere");
    let done = restore(&changed, &key.file, None, &into);
    assert_eq!(done.code(), 0, "{}", done.stderr);
    assert!(done.stderr.contains("authenticity not checked: root key absent"), "{}", done.stderr);
    let done = restore(&path, &key.file, at_hand, &dir.path().join("ours"));
    assert!(done.code() == 0 && !done.stderr.contains("authenticity"), "{}", done.stderr);
}

#[test]
fn what_was_planted_in_the_schema_is_never_put_back() {
    let (_home, key, path) = backed_up();
    let dir = tempfile::tempdir().expect("a directory");
    for (number, (sql, told)) in [
        (
            "CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM tickets; END",
            "a trigger that no release",
        ),
        ("CREATE VIEW v AS SELECT * FROM tickets", "a view that no release"),
        ("DROP TRIGGER audit_is_not_edited", "lacks the trigger audit_is_not_edited"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut parts = unpack(&path, &key.file);
        edit_database(&mut parts, sql);
        let forged = dir.path().join(format!("forged-{number}"));
        pack(parts, &key.recipient, &forged);
        let judged = verify(&forged, &key.file, None);
        assert!(judged.code() == 1 && faults(&judged).contains(told), "{sql}: {}", judged.stdout);
        let into = dir.path().join("home");
        let refused = restore(&forged, &key.file, None, &into);
        assert!(refused.code() == 1 && refused.stderr.contains(told), "{sql}: {}", refused.stderr);
        assert!(!into.join("data").exists());
    }
}

#[test]
fn failed_unreadable_and_overdue_backups_are_told() {
    let authority = Authority::new();
    let home = Home::with_config("[outbound]\nallow_private = [\"127.0.0.0/8\"]\nextra_ca = \"ca.pem\"\n");
    fs::write(home.path().join("ca.pem"), &authority.pem).expect("a file");
    let sink = Sink::start(&authority, Behaviour::ok());
    let key = key(&home);
    let environment = [
        ("ACTIFIX_BACKUP__RECIPIENTS", key.recipient.as_str()),
        ("ACTIFIX_BACKUP__DIRECTORY", "store"),
        ("ACTIFIX_RATE_LIMIT_DISABLED", "1"),
    ];
    let server = Server::start(home.clone(), &environment);
    let newest = || server.get("/api/v1/backups")["items"][0].clone();
    wait_until(|| newest()["verified_at"].is_string());
    home.cli_stdin(&["webhook", "add", "hook", "--stdin", "--kind", "webhook"], sink.url().as_bytes()).ok();
    let title = |number: usize| {
        let body = sink.wait_for(number).remove(number - 1).json();
        assert_eq!(body["type"], "alert.backup", "{body}");
        body["data"]["changes"][0]["title"].as_str().expect("a title").to_owned()
    };
    // No place to put it.
    let (store, aside) = (home.path().join("store"), home.path().join("aside"));
    fs::rename(&store, &aside).expect("a rename");
    fs::write(&store, "in the way").expect("a file");
    assert_ne!(home.cli(&["backup", "create"]).code(), 0);
    assert_eq!(title(1), "A backup could not be made");
    let log = fs::read_to_string(home.path().join(".actifix/logs/actifix.log")).expect("a log");
    let line = log.lines().find(|line| line.contains("backup.failed")).expect("a line");
    let line: Value = serde_json::from_str(line).expect("JSON");
    assert!(line.to_string().contains("\"why\":\"") && !line.to_string().contains("{\\\""), "{line}");
    // One that cannot be read any more.
    fs::remove_file(&store).expect("a file");
    fs::rename(&aside, &store).expect("a rename");
    let name = newest()["name"].as_str().expect("a name").to_owned();
    let path = store.join(&name);
    let mut bytes = fs::read(&path).expect("a backup");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).expect("a backup");
    assert_eq!(home.cli(&["backup", "verify"]).code(), 1);
    assert_eq!(title(2), format!("Backup {name} cannot be restored"));
    server.stop();
    // None for three days, and no place for one.
    let code = "import sqlite3,sys; d=sqlite3.connect(sys.argv[1]); \
        d.execute(\"update upkeep_runs set finished_at = finished_at - 3 * 86400 * 1000000 where kind = 'verification'\"); d.commit()";
    let mut python = Command::new("python3");
    python.args(["-c", code]).arg(home.path().join("data/actifix.db"));
    finish(python, b"").ok();
    fs::rename(&store, &aside).expect("a rename");
    fs::write(&store, "in the way").expect("a file");
    let server = Server::start(home.clone(), &environment);
    let told = title(3);
    assert!(told.starts_with("No backup was made and found whole since 2"), "{told}");
    let metrics = server.call("GET", "/metrics", None).text();
    assert!(metrics.lines().any(|line| line == "actifix_backup_overdue 1"), "{metrics}");
}

#[test]
fn backups_that_lie_elsewhere_are_tightened_and_other_files_there_are_left_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (home, _key, path) = backed_up();
    let elsewhere = tempfile::tempdir().expect("a directory");
    let store = elsewhere.path().join("store");
    fs::create_dir(&store).expect("a directory");
    let name = path.file_name().expect("a name");
    fs::copy(&path, store.join(name)).expect("a copy");
    fs::write(store.join("notes.txt"), "theirs").expect("a file");
    let chmod =
        |path: &Path, mode: u32| fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("a mode");
    chmod(&store.join(name), 0o666);
    chmod(&store.join("notes.txt"), 0o644);
    chmod(&store, 0o755);
    let place = store.to_str().expect("a path");
    let server = Server::start(home.clone(), &[("ACTIFIX_BACKUP__DIRECTORY", place)]);
    let mode = |path: &Path| fs::metadata(path).expect("it").permissions().mode() & 0o777;
    assert_eq!(
        (mode(&store), mode(&store.join(name)), mode(&store.join("notes.txt"))),
        (0o700, 0o600, 0o644)
    );
    drop(server);
}
