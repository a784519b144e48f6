//! Backups that were made before the root key was changed: whoever has the present one can put them back.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::backups::{Key, key};
use crate::harness::{Finished, Home, bare_command, finish};

/// A home that makes backups for a key, with one event.
fn home() -> (Arc<Home>, Key) {
    let home = Home::new();
    let key = key(&home);
    let config = format!("[backup]\nrecipients = [\"{}\"]\n", key.recipient);
    fs::write(home.path().join("actifix.toml"), config).expect("a configuration");
    home.cli(&["record", "before the rotation"]).ok();
    (home, key)
}

fn back_up(home: &Home) -> PathBuf {
    let name = home.cli(&["backup", "create"]).ok();
    home.path().join(".actifix/backups").join(name.trim())
}

fn key_id(home: &Home) -> String {
    home.cli(&["secrets", "status", "--json"]).json()["key_id"].as_str().expect("an id").to_owned()
}

/// Moves the root key to a new file and gives the note about it.
fn rotate(home: &Home, to: &Path) -> String {
    let to = to.to_str().expect("a path");
    let done = home.cli(&["secrets", "rotate-key", "--backend", "file", "--key-file", to]);
    assert_eq!(done.code(), 0, "{}", done.stderr);
    done.stderr
}

/// On another machine, as it were.
fn elsewhere(root_key: &Path, arguments: &[&str], backup: &Path, key: &Key) -> Finished {
    let mut command = bare_command();
    command.env("ACTIFIX_MASTER_KEY_FILE", root_key).args(arguments).arg(backup);
    command.arg("--identity").arg(&key.file);
    finish(command, b"")
}

fn copied(backups: &[&Path]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for backup in backups {
        fs::copy(backup, dir.path().join(backup.file_name().expect("a name"))).expect("a copy");
    }
    dir
}

#[test]
fn the_present_root_key_opens_what_was_backed_up_under_former_ones() {
    let (home, key) = home();
    let old = back_up(&home);
    let first = key_id(&home);
    let keys = tempfile::tempdir().expect("a directory");
    rotate(&home, &keys.path().join("second.key"));
    let present = keys.path().join("third.key");
    let told = rotate(&home, &present);
    assert!(told.contains("was made under it") && !told.contains("nothing needs"), "{told}");
    // Whoever looks on the server is told too.
    let name = old.file_name().unwrap().to_str().unwrap().to_owned();
    let verdict = home.cli(&["backup", "verify", &name, "--json"]).json();
    assert_eq!(verdict["former_root_key"], first.as_str(), "{verdict}");
    assert!(home.cli(&["backup", "verify", &name]).stderr.contains(&first));
    let newest = home.cli(&["backup", "verify", "--json"]).json();
    assert!(newest["former_root_key"].is_null() && newest["intact"] == true, "{newest}");
    // The machine burns; what was copied away is the backups, their key and the root key.
    let dir = copied(
        &fs::read_dir(old.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect::<Vec<_>>()
            .iter()
            .map(PathBuf::as_path)
            .collect::<Vec<_>>(),
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "one, and one after each rotation");
    drop(home);
    let old = dir.path().join(name);
    let judged = elsewhere(&present, &["backup", "verify", "--json"], &old, &key).json();
    assert_eq!((&judged["intact"], &judged["authenticity"]), (&true.into(), &"verified".into()), "{judged}");
    assert_eq!(judged["former_root_key"], first.as_str());
    let into = dir.path().join("restored");
    let done = elsewhere(&present, &["--home", into.to_str().unwrap(), "backup", "restore"], &old, &key);
    assert_eq!(done.code(), 0, "{}", done.stderr);
    // The new home takes the present key, and no other.
    let mut command = bare_command();
    command.arg("--home").arg(&into).args(["ticket", "list", "--json"]);
    command.env("ACTIFIX_MASTER_KEY_FILE", &present);
    let listed = finish(command, b"").json();
    assert_eq!(listed["items"][0]["title"], "before the rotation", "{listed}");
}

#[test]
fn a_backup_of_a_former_root_key_alone_names_the_key_that_it_takes() {
    let (home, key) = home();
    let old = back_up(&home);
    let first = key_id(&home);
    let keys = tempfile::tempdir().expect("a directory");
    let (former, present) = (keys.path().join("former.key"), keys.path().join("present.key"));
    fs::copy(home.path().join(".actifix/root.key"), &former).expect("a copy");
    rotate(&home, &present);
    let dir = copied(&[&old]);
    let alone = dir.path().join(old.file_name().unwrap());
    let into = dir.path().join("restored");
    let restore = ["--home", into.to_str().unwrap(), "backup", "restore"];
    let refused = elsewhere(&present, &restore, &alone, &key);
    assert_eq!(refused.code(), 1, "{}", refused.stderr);
    for part in [first.as_str(), "later backup of the same installation beside this file"] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    assert!(!into.join("data").exists());
    // The home that is still there will do, and so will the former key.
    let live = home.path().to_str().unwrap();
    let beside = dir.path().join("by-home");
    let by_home = ["--home", live, "backup", "restore", "--to", beside.to_str().unwrap()];
    assert_eq!(elsewhere(&present, &by_home, &alone, &key).code(), 0);
    assert_eq!(elsewhere(&former, &restore, &alone, &key).code(), 0);
}

#[test]
fn where_no_backup_follows_a_rotation_it_is_said_what_the_older_ones_take() {
    let home = Home::new();
    let key = key(&home);
    home.cli(&["record", "one"]).ok();
    home.cli(&["backup", "create", "--recipient", &key.recipient]).ok();
    let first = key_id(&home);
    let keys = tempfile::tempdir().expect("a directory");
    let told = rotate(&home, &keys.path().join("root.key"));
    assert!(
        told.contains("none could be made") && told.contains(&format!("keep a copy of {first}")),
        "{told}"
    );
    let doctor = home.cli(&["doctor", "--json"]).stdout;
    assert!(doctor.contains("the root key was changed after the newest backup"), "{doctor}");
}

#[test]
fn a_later_backup_of_somebody_else_makes_no_forged_one_genuine() {
    let (home, key) = home();
    let keys = tempfile::tempdir().expect("a directory");
    let (theirs, their_key) = self::home();
    let forged = back_up(&theirs);
    let present = keys.path().join("present.key");
    rotate(&home, &present);
    let dir = copied(&[&forged, &back_up(&home)]);
    let both = dir.path().join("both.key");
    let text =
        format!("{}{}", fs::read_to_string(&key.file).unwrap(), fs::read_to_string(&their_key.file).unwrap());
    fs::write(&both, text).unwrap();
    fs::set_permissions(&both, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut command = bare_command();
    command.env("ACTIFIX_MASTER_KEY_FILE", &present).args(["backup", "verify", "--json"]);
    command.arg(dir.path().join(forged.file_name().unwrap())).arg("--identity").arg(&both);
    let judged = serde_json::from_str::<serde_json::Value>(&finish(command, b"").stdout).expect("JSON");
    assert_eq!(judged["authenticity"], "failed", "{judged}");
    assert!(judged["faults"].to_string().contains("not that of this backup"), "{judged}");
}
