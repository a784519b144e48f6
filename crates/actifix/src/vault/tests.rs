//! What an operator or an attacker meets at the vault of a home.

use super::rotate::{Step, Wish as Change, rotate};
use super::*;
use crate::system::SystemIds;
use actifix_app::secrets::SecretText;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);

fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(dir: &Path, has_data: bool, sources: &KeySources) -> Result<HomeVault, VaultError> {
    HomeVault::open(dir, has_data, sources, Arc::new(SystemIds), NOW)
}

fn plain() -> KeySources {
    KeySources::default()
}

fn given(text: &str) -> KeySources {
    KeySources { key: Some(SecretText::new(text.to_owned())), ..KeySources::default() }
}

fn key(pair: &str) -> KeySources {
    given(&pair.repeat(32))
}

fn change(backend: Option<&str>, key_file: Option<PathBuf>, material: Option<String>) -> Change {
    let material = material.map(SecretText::new);
    Change::from_port(Rotation { backend: backend.map(str::to_owned), key_file, material }).unwrap()
}

fn turn(dir: &Path, vault: &HomeVault, change: Change) -> Result<VaultStatus, VaultError> {
    rotate(dir, &vault.data, change, &SystemIds, NOW, &|_| Ok(()))
}

fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn sealed_bytes_open_again_and_only_unchanged() {
    let dir = home();
    let vault = open(dir.path(), false, &plain()).unwrap();
    let sealed = vault.seal("quarantine", b"hunter2").unwrap();
    assert!(!sealed.windows(7).any(|w| w == b"hunter2"));
    assert_eq!(Vault::open(&vault, "quarantine", &sealed).unwrap(), b"hunter2");
    assert!(Vault::open(&vault, "other", &sealed).is_err());
    for place in 0..sealed.len() {
        let mut bad = sealed.clone();
        bad[place] ^= 1;
        assert!(Vault::open(&vault, "quarantine", &bad).is_err(), "{place}");
    }
    assert!(Vault::open(&vault, "quarantine", b"short").is_err());
    assert_ne!(sealed, vault.seal("quarantine", b"hunter2").unwrap(), "a nonce is used once");
}

#[test]
fn wrong_absent_lost_and_damaged_are_told_apart() {
    let dir = home();
    drop(open(dir.path(), false, &plain()).unwrap());
    assert!(matches!(open(dir.path(), true, &key("ab")), Err(VaultError::Wrong { .. })));

    let path = dir.path().join(source::KEY_FILE);
    let text = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    private(&path, &"0".repeat(64));
    assert!(matches!(open(dir.path(), true, &plain()), Err(VaultError::Wrong { .. })));
    private(&path, &text[..40]);
    let cut = open(dir.path(), true, &plain()).unwrap_err();
    assert!(matches!(cut, VaultError::Malformed { .. }) && cut.to_string().contains("cut short"), "{cut}");
    fs::remove_file(&path).unwrap();
    for has_data in [false, true] {
        let absent = open(dir.path(), has_data, &plain()).unwrap_err();
        assert!(matches!(absent, VaultError::Absent { .. }), "{absent}");
        assert!(!path.exists(), "no new key is made in place of one that is gone");
    }
    drop(open(dir.path(), true, &given(&text)).expect("the copy of the key opens it"));

    private(&path, &text);
    let record = fs::read_to_string(dir.path().join(record::RECORD_FILE)).unwrap();
    for bad in
        [&record[..record.len() / 2], "", "{}", "[]", &record.replace("\"format\": 1", "\"format\": 2")]
    {
        fs::write(dir.path().join(record::RECORD_FILE), bad).unwrap();
        let damaged = open(dir.path(), true, &plain()).unwrap_err();
        assert!(matches!(damaged, VaultError::Damaged { .. }), "{damaged}");
    }
    fs::remove_file(dir.path().join(record::RECORD_FILE)).unwrap();
    assert!(matches!(open(dir.path(), true, &plain()), Err(VaultError::Lost { .. })));
}

#[test]
fn a_record_that_somebody_changed_does_not_open() {
    let dir = home();
    drop(open(dir.path(), false, &plain()).unwrap());
    let path = dir.path().join(record::RECORD_FILE);
    let text = fs::read_to_string(&path).unwrap();
    let record: serde_json::Value = serde_json::from_str(&text).unwrap();
    let data_key = record["current"]["data_key"].as_str().unwrap();
    let flipped = format!("{}{}", if data_key.starts_with('0') { "1" } else { "0" }, &data_key[1..]);
    fs::write(&path, text.replace(data_key, &flipped)).unwrap();
    assert!(matches!(open(dir.path(), true, &plain()), Err(VaultError::Damaged { .. })));
    let home_id = record["home_id"].as_str().unwrap();
    fs::write(&path, text.replace(home_id, "0000000000000000")).unwrap();
    assert!(matches!(open(dir.path(), true, &plain()), Err(VaultError::Damaged { .. })));
}

#[test]
fn no_error_and_no_debug_shows_a_key() {
    let dir = home();
    let secret = "5e".repeat(32);
    drop(open(dir.path(), false, &given(&secret)).unwrap());
    let wrong = open(dir.path(), true, &key("ab")).unwrap_err().to_string();
    let bad = open(dir.path(), true, &given("5e5e5e-not-hex")).unwrap_err().to_string();
    for text in [wrong, bad.clone(), format!("{:?}", given(&secret))] {
        assert!(!text.contains("abab") && !text.contains("5e5e"), "{text}");
    }
    assert!(bad.contains("64 hex digits"));
}

#[test]
fn the_place_is_recorded_and_never_exchanged_for_another() {
    let dir = home();
    drop(open(dir.path(), false, &key("ab")).unwrap());
    let absent = open(dir.path(), true, &plain()).unwrap_err();
    assert!(matches!(absent, VaultError::Absent { .. }) && absent.to_string().contains("ACTIFIX_MASTER_KEY"));
    // Neither a key file nor a credential that lies about is taken instead.
    private(&dir.path().join(source::KEY_FILE), &"ab".repeat(32));
    let lent = home();
    private(&lent.path().join(source::CREDENTIAL), &"ab".repeat(32));
    let sources = KeySources { credentials: Some(lent.path().to_owned()), ..KeySources::default() };
    assert!(matches!(open(dir.path(), true, &sources), Err(VaultError::Absent { .. })));
}

#[test]
fn both_variables_may_be_set_if_they_agree() {
    let dir = home();
    let path = dir.path().join("k");
    private(&path, &format!("{}\n", "ab".repeat(32)));
    let both = |text: &str| KeySources { file: Some(path.clone()), ..key(text) };
    drop(open(dir.path(), false, &both("ab")).unwrap());
    assert!(matches!(open(dir.path(), true, &both("cd")), Err(VaultError::Ambiguous)));
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(open(dir.path(), true, &both("ab")), Err(VaultError::Refused { .. })));
}

#[test]
fn a_systemd_credential_is_recorded_and_needed_again() {
    let (dir, lent) = (home(), home());
    private(&lent.path().join(source::CREDENTIAL), &"ab".repeat(32));
    let sources = KeySources { credentials: Some(lent.path().to_owned()), ..KeySources::default() };
    let sealed = open(dir.path(), false, &sources).unwrap().seal("p", b"x").unwrap();
    assert_eq!(Vault::open(&open(dir.path(), true, &sources).unwrap(), "p", &sealed).unwrap(), b"x");
    assert_eq!(HomeVault::inspect(dir.path(), true, &sources).backend, "systemd");
    let absent = open(dir.path(), true, &plain()).unwrap_err().to_string();
    assert!(absent.contains("CREDENTIALS_DIRECTORY"), "{absent}");
}

#[test]
fn a_fresh_home_takes_a_passphrase_from_the_variable_and_no_mistyped_key_for_one() {
    let dir = home();
    let mut typo = "ab".repeat(32);
    typo.replace_range(7..8, "O");
    for (bad, says) in [
        (&"ab".repeat(31)[..], "64 hex digits"),
        (&"ab".repeat(33)[..], "64 hex digits"),
        (typo.as_str(), "64 hex digits"),
        ("deadbeef", "or give a passphrase"),
        ("my passphrase", "15 to 1024 characters"),
        ("passwordpassword", "too many people"),
        ("qwertyuiopasdfgh!", "choose another"),
    ] {
        let refused = open(dir.path(), false, &given(bad)).unwrap_err().to_string();
        assert!(refused.contains(says) && refused.contains("ACTIFIX_MASTER_KEY"), "{refused}");
        assert!(!refused.contains(bad), "{refused}");
        assert!(!dir.path().join(record::RECORD_FILE).exists(), "nothing was made of {says}");
    }
    let mine = given("violet tractor hums quietly");
    let sealed = open(dir.path(), false, &mine).unwrap().seal("p", b"x").unwrap();
    assert_eq!(HomeVault::inspect(dir.path(), true, &mine).backend, "passphrase");
    assert_eq!(Vault::open(&open(dir.path(), true, &mine).unwrap(), "p", &sealed).unwrap(), b"x");
    let other = given("violet tractor hums loudly");
    assert!(matches!(open(dir.path(), true, &other), Err(VaultError::Wrong { .. })));
    assert!(matches!(open(dir.path(), true, &plain()), Err(VaultError::Absent { .. })));
}

#[test]
fn a_passphrase_opens_its_home_and_no_other_does() {
    let dir = home();
    let wish = Wish { backend: Some(Backend::Passphrase), key_file: None };
    let create =
        |sources: &KeySources| HomeVault::create(dir.path(), false, &wish, sources, Arc::new(SystemIds), NOW);
    assert!(matches!(create(&given("too short")), Err(VaultError::Passphrase { .. })));
    assert!(!dir.path().join(record::RECORD_FILE).exists());
    create(&given("correct horse battery")).unwrap();
    assert!(matches!(create(&given("correct horse battery")), Err(VaultError::Chosen { .. })), "once");
    drop(open(dir.path(), true, &given("correct horse battery")).unwrap());
    assert!(matches!(
        open(dir.path(), true, &given("incorrect horse battery")),
        Err(VaultError::Wrong { .. })
    ));
    assert!(matches!(open(dir.path(), true, &plain()), Err(VaultError::Absent { .. })));
    assert_eq!(HomeVault::inspect(dir.path(), true, &plain()).state, "absent");
}

#[test]
fn inspecting_changes_nothing() {
    let dir = home();
    let status = HomeVault::inspect(dir.path(), false, &plain());
    assert_eq!((status.state.as_str(), status.backend.as_str()), ("new", "none"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    assert_eq!(HomeVault::inspect(dir.path(), true, &plain()).state, "damaged");
}

/// A home of an older program: the root key itself was the parent of all other keys.
fn old_home(root: &Key) -> TempDir {
    let dir = home();
    private(&dir.path().join(source::KEY_FILE), &root.text());
    private(&dir.path().join(OLD_CHECK_FILE), &root.check());
    dir
}

#[test]
fn an_older_home_keeps_its_derived_keys_through_a_rotation() {
    let root = Key::random(&SystemIds);
    let dir = old_home(&root);
    let sealed = root.seal("answers", b"answers", b"kept", &SystemIds).unwrap();
    let vault = open(dir.path(), true, &plain()).unwrap();
    assert_eq!(vault.derive("finding-hash"), root.derive("finding-hash"));
    assert_eq!(Vault::open(&vault, "answers", &sealed).unwrap(), b"kept");
    turn(dir.path(), &vault, change(None, None, None)).unwrap();
    let after = open(dir.path(), true, &plain()).unwrap();
    assert_eq!(after.derive("finding-hash"), root.derive("finding-hash"));
    assert_eq!(Vault::open(&after, "answers", &sealed).unwrap(), b"kept");
    assert!(matches!(open(dir.path(), true, &given(&root.text())), Err(VaultError::Wrong { .. })));
}

#[test]
fn an_older_home_is_adopted_with_its_own_key_only() {
    let dir = old_home(&Key::random(&SystemIds));
    assert!(matches!(open(dir.path(), true, &key("ab")), Err(VaultError::Wrong { .. })));
    fs::remove_file(dir.path().join(source::KEY_FILE)).unwrap();
    assert!(matches!(open(dir.path(), true, &plain()), Err(VaultError::Absent { .. })));
    assert!(!dir.path().join(record::RECORD_FILE).exists());
}

/// Runs a rotation up to `last`, as if the process had been killed there.
fn cut_short(dir: &Path, vault: &HomeVault, change: Change, last: Step) {
    let stop = |step: Step| match step == last {
        true => Err(VaultError::Usage("killed".to_owned())),
        false => Ok(()),
    };
    let end = rotate(dir, &vault.data, change, &SystemIds, NOW, &stop);
    assert!(matches!(end, Err(VaultError::Usage(text)) if text == "killed"));
}

#[test]
fn a_rotation_that_was_killed_anywhere_leaves_one_key_that_opens() {
    for last in [Step::Begun, Step::Announced, Step::Placed, Step::Finished] {
        for moved in [false, true] {
            let dir = home();
            let vault = open(dir.path(), false, &plain()).unwrap();
            let sealed = vault.seal("p", b"x").unwrap();
            let old = fs::read_to_string(dir.path().join(source::KEY_FILE)).unwrap();
            let elsewhere = home();
            let path = moved.then(|| elsewhere.path().join("new.key"));
            cut_short(dir.path(), &vault, change(Some("file"), path.clone(), None), last);

            let again = open(dir.path(), true, &plain()).unwrap_or_else(|e| panic!("{last:?} {moved}: {e}"));
            assert_eq!(Vault::open(&again, "p", &sealed).unwrap(), b"x", "{last:?}");
            // That start brought the change to its end, one way or the other: one key opens the home, one does not.
            let taken_over = matches!(last, Step::Placed | Step::Finished);
            let with_old = open(dir.path(), true, &given(&old));
            assert_eq!(with_old.is_err(), taken_over, "{last:?} {moved}");
            assert_eq!(HomeVault::inspect(dir.path(), true, &plain()).pending, None);
            let old_file = dir.path().join(source::KEY_FILE);
            assert_eq!(old_file.exists(), !(moved && taken_over), "{last:?} {moved}");
            // And the next one works from there.
            let next = change(None, path.filter(|_| taken_over), None);
            turn(dir.path(), &again, next).unwrap();
            assert_eq!(Vault::open(&open(dir.path(), true, &plain()).unwrap(), "p", &sealed).unwrap(), b"x");
        }
    }
}

/// A rotation whose last step fails, after or before the new key came to its place.
fn failing(dir: &Path, vault: &HomeVault, change: Change, placed: bool) -> VaultError {
    let put = |private: &Path, record: &Record, root: &Key| {
        let next = record.next.as_ref().expect("both are named");
        if placed {
            keyfile::write(&source::key_file(private, next.key_file.as_ref()), root)?;
        }
        Err(VaultError::Usage("no more".to_owned()))
    };
    super::rotate::rotate_by(dir, &vault.data, change, &SystemIds, NOW, &|_| Ok(()), &put).unwrap_err()
}

#[test]
fn a_rotation_whose_last_step_fails_leaves_one_key_that_opens() {
    for placed in [false, true] {
        for moved in [false, true] {
            let dir = home();
            let vault = open(dir.path(), false, &plain()).unwrap();
            let sealed = vault.seal("p", b"x").unwrap();
            let elsewhere = home();
            let path = moved.then(|| elsewhere.path().join("new.key"));
            failing(dir.path(), &vault, change(Some("file"), path, None), placed);
            let again = open(dir.path(), true, &plain()).unwrap_or_else(|e| panic!("{placed} {moved}: {e}"));
            assert_eq!(Vault::open(&again, "p", &sealed).unwrap(), b"x", "{placed} {moved}");
            assert_eq!(HomeVault::inspect(dir.path(), true, &plain()).pending, None, "{placed} {moved}");
        }
    }
}

#[test]
fn no_key_is_changed_while_another_place_than_the_recorded_one_gives_it() {
    let dir = home();
    drop(open(dir.path(), false, &plain()).unwrap());
    let key = fs::read_to_string(dir.path().join(source::KEY_FILE)).unwrap();
    let vault = open(dir.path(), true, &given(&key)).unwrap();
    let refused = Vault::rotate(&vault, Rotation::default(), NOW).unwrap_err().to_string();
    assert!(refused.contains("ACTIFIX_MASTER_KEY"), "{refused}");
    drop(open(dir.path(), true, &given(&key)).expect("nothing was changed"));
    let vault = open(dir.path(), true, &plain()).unwrap();
    Vault::rotate(&vault, Rotation::default(), NOW).unwrap();
}

#[test]
fn a_key_that_is_brought_by_hand_takes_over_at_its_first_start() {
    let dir = home();
    let vault = open(dir.path(), false, &key("ab")).unwrap();
    let sealed = vault.seal("p", b"x").unwrap();
    let no_key = turn(dir.path(), &vault, change(None, None, None)).unwrap_err().to_string();
    assert!(no_key.contains("--new-key-file"), "{no_key}");
    let same = turn(dir.path(), &vault, change(None, None, Some("ab".repeat(32)))).unwrap_err();
    assert!(same.to_string().contains("the old one"));
    let status = turn(dir.path(), &vault, change(None, None, Some("cd".repeat(32)))).unwrap();
    assert_eq!(status.pending.as_deref(), Some("environment"));
    // Until the new key is used, either opens it, as often as you like.
    for _ in 0..2 {
        drop(open(dir.path(), true, &key("ab")).unwrap());
    }
    assert!(open(dir.path(), true, &key("ef")).is_err());
    let vault = open(dir.path(), true, &key("cd")).unwrap();
    assert_eq!(Vault::open(&vault, "p", &sealed).unwrap(), b"x");
    assert!(
        matches!(open(dir.path(), true, &key("ab")), Err(VaultError::Wrong { .. })),
        "the old one is out"
    );
}

#[test]
fn a_key_moves_between_backends() {
    let dir = home();
    let vault = open(dir.path(), false, &plain()).unwrap();
    let sealed = vault.seal("p", b"x").unwrap();
    let phrase = "correct horse battery";
    turn(dir.path(), &vault, change(Some("passphrase"), None, Some(phrase.to_owned()))).unwrap();
    drop(open(dir.path(), true, &plain()).expect("the key file opens it still"));
    let vault = open(dir.path(), true, &given(phrase)).unwrap();
    assert_eq!(Vault::open(&vault, "p", &sealed).unwrap(), b"x");
    assert!(!dir.path().join(source::KEY_FILE).exists(), "the old key is gone");
    turn(dir.path(), &vault, change(Some("file"), None, None)).unwrap();
    let vault = open(dir.path(), true, &plain()).unwrap();
    assert_eq!(Vault::open(&vault, "p", &sealed).unwrap(), b"x");
    assert!(open(dir.path(), true, &given(phrase)).is_err());
}

#[test]
fn a_key_file_has_a_sensible_place() {
    let root = home();
    let dir = root.path().join(".actifix");
    for folder in [".actifix/backups", "data", "keys"] {
        fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    let vault = open(&dir, false, &plain()).unwrap();
    let wish = |path: PathBuf| turn(&dir, &vault, change(None, Some(path), None));
    for bad in ["data/k", ".actifix/backups/k", "none/k"] {
        assert!(wish(root.path().join(bad)).is_err(), "{bad}");
    }
    assert!(wish("k".into()).unwrap_err().to_string().contains("absolute"));
    let theirs = root.path().join("keys/theirs");
    private(&theirs, "a key of somebody else");
    assert!(wish(theirs.clone()).unwrap_err().to_string().contains("exists"));
    assert_eq!(fs::read_to_string(&theirs).unwrap(), "a key of somebody else");
    wish(root.path().join("keys/ours")).unwrap();
    drop(open(&dir, true, &plain()).unwrap());
    let unknown = Change::from_port(Rotation { backend: Some("tpm".into()), ..Rotation::default() });
    assert!(unknown.is_err());
}

#[test]
fn two_first_starts_agree_on_one_key() {
    let dir = home();
    let derived: Vec<[u8; 32]> = std::thread::scope(|scope| {
        let starts: Vec<_> =
            (0..8).map(|_| scope.spawn(|| open(dir.path(), false, &plain()).unwrap().derive("p"))).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    assert!(derived.windows(2).all(|pair| pair[0] == pair[1]));
}
