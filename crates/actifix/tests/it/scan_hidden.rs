//! What somebody who wants to get a secret past the scanner tries, and what the scanner says when it saw nothing.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::harness::{Finished, bare_command, finish};
use crate::random::Random;
use crate::scan::{Tree, clean, stripe_key};

#[track_caller]
fn exits(finished: &Finished, code: i32) {
    assert_eq!(finished.code(), code, "stdout: {}\nstderr: {}", finished.stdout, finished.stderr);
}

/// Paths of findings, each with what of it holds the secret.
#[track_caller]
fn parts(tree: &Tree, arguments: &[&str]) -> Vec<(String, String)> {
    let report = tree.report(arguments);
    let text = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|one| (text(one, "path"), text(one, "part"))).collect()
}

fn content(path: &str) -> Vec<(String, String)> {
    vec![(path.to_owned(), "content".to_owned())]
}

fn wide(text: &str, unit: usize, little: bool) -> Vec<u8> {
    let put = |byte: u8| {
        let mut bytes = vec![0; unit];
        bytes[if little { 0 } else { unit - 1 }] = byte;
        bytes
    };
    text.bytes().flat_map(put).collect()
}

#[test]
fn a_byte_in_a_file_switches_no_scan_off() {
    let mut random = Random::seeded(40);
    let noise: Vec<u8> = (0..3_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8 | 0x80).collect();
    let line = |random: &mut Random| format!("t={}\n", stripe_key(random));
    for shape in 0..10 {
        let text = line(&mut random);
        let bytes = match shape {
            0 => ["a\0b\n", &text].concat().into_bytes(),
            1 => [b"\xff\xfe", text.as_bytes()].concat(),
            2 => [b"\xfe\xff\xff", text.as_bytes()].concat(),
            3 => [&noise, &b"\0"[..], text.as_bytes(), &noise].concat(),
            4 => [&noise, &b"\0"[..], &wide(&text, 2, true)[..], &noise].concat(),
            5 => wide(&["one more line of text\n", &text].concat(), 4, true),
            6 => wide(&["one more line of text\n", &text].concat(), 4, false),
            7 => [&b"\xff\xfe\0\0"[..], &wide(&text, 4, true)].concat(),
            8 => [wide(&"words ".repeat(4_000), 2, true), text.into_bytes()].concat(),
            _ => [vec![b' '; 9_000], wide(&text, 2, true)].concat(),
        };
        let tree = Tree::repository();
        tree.commit_all("empty");
        tree.write("f", &bytes);
        let piped = tree.run_in(tree.path(), &["scan", "--stdin"], &bytes);
        exits(&piped, 1);
        assert_eq!(parts(&tree, &[]), content("f"), "shape {shape}");
        tree.git(&["add", "--all"]);
        assert_eq!(parts(&tree, &["--staged"]), content("f"), "shape {shape}, staged");
        tree.commit_all("it is in");
        assert_eq!(parts(&tree, &["--history"]), content("f"), "shape {shape}, history");
        // The same secret in a file that only grew was committed before.
        tree.write("f", [&bytes[..], &b"\0\0\0\0more"[..]].concat());
        tree.git(&["add", "--all"]);
        assert_eq!(parts(&tree, &["--staged"]), [], "shape {shape}, not again");
    }
}

#[test]
fn binary_files_are_told_and_names_in_them_are_no_secrets() {
    let tree = Tree::repository();
    let noise: Vec<u8> = (0..9_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let name = format!("password = \"{}\"", ["Kq8vTz31", "LmWp77aa"].concat());
    tree.write("image.png", [&noise, &b"\0"[..], name.as_bytes(), &noise].concat());
    let report = tree.report(&[]);
    assert_eq!((&report["summary"]["files"], &report["summary"]["binary"]), (&1.into(), &1.into()));
    let told = tree.run(&["scan"]);
    assert!(told.stderr.contains("1 binary, searched for tokens of known formats only"), "{}", told.stderr);
    tree.git(&["add", "--all"]);
    exits(&tree.run(&["scan", "--staged"]), 0);
}

#[test]
fn everything_that_a_push_takes_is_scanned() {
    let mut random = Random::seeded(41);
    let blob_of = |tree: &Tree, text: &str| {
        let finished =
            finish(tree.git_command(tree.path(), &["hash-object", "-w", "--stdin"]), text.as_bytes());
        finished.stdout.trim().to_owned()
    };
    let start = || {
        let tree = Tree::repository();
        tree.write("a", "base\n");
        tree.commit_all("base");
        tree
    };
    let tree = start();
    let blob = blob_of(&tree, &stripe_key(&mut random));
    tree.git(&["tag", "blob", &blob]);
    assert_eq!(parts(&tree, &["--history"]), content("refs/tags/blob"));
    assert_eq!(parts(&tree, &["--history"]), content("refs/tags/blob"), "and again");

    let tree = start();
    tree.write("s", stripe_key(&mut random));
    tree.git(&["add", "s"]);
    let top = tree.git(&["write-tree"]).trim().to_owned();
    tree.git(&["tag", "-a", "-m", "x", "top", &top]);
    assert_eq!(parts(&tree, &["--history"]), content("refs/tags/top/s"));

    let tree = start();
    tree.write("s", stripe_key(&mut random));
    let bad = tree.commit_all("s");
    tree.git(&["replace", "-f", &bad, "HEAD~1"]);
    assert_eq!(parts(&tree, &["--history"]), content("s"), "a replacement hides nothing");

    let tree = start();
    let author = format!("user.name={}", stripe_key(&mut random));
    let mut commit = tree.git_command(
        tree.path(),
        &["-c", &author, "-c", "user.email=a@example.com", "commit", "--quiet", "--allow-empty", "-m", "x"],
    );
    for name in ["AUTHOR", "COMMITTER"] {
        commit.env_remove(format!("GIT_{name}_NAME"));
    }
    exits(&finish(commit, b""), 0);
    assert_eq!(parts(&tree, &["--history"]), content("COMMIT_HEADER"));
    assert_eq!(parts(&tree, &["--history"]), content("COMMIT_HEADER"), "and again");
}

#[test]
fn names_are_scanned_and_never_told_whole() {
    let mut random = Random::seeded(42);
    let tree = Tree::repository();
    tree.commit_all("base");
    let (folder, file, branch) = (stripe_key(&mut random), stripe_key(&mut random), stripe_key(&mut random));
    tree.write(&format!("{folder}/x/{file}.txt"), "nothing\n");
    let masked = [["sk", "_l…/x/sk_l….txt"].concat(), ["sk", "_l…"].concat()];
    let told = |arguments: &[&str], count: usize| {
        let finished = tree.run(&[&["scan"], arguments].concat());
        exits(&finished, 1);
        for secret in [&folder, &file, &branch] {
            assert!(!finished.stdout.contains(secret.as_str()), "{arguments:?}");
            assert!(!finished.stderr.contains(secret.as_str()), "{arguments:?}: {}", finished.stderr);
        }
        let found = parts(&tree, arguments);
        assert_eq!(found.len(), count, "{found:?}");
        assert!(found.iter().all(|(path, part)| part == "name" && !path.contains("live")), "{found:?}");
        found.into_iter().map(|(path, _)| path).collect::<Vec<_>>()
    };
    let mut wanted = masked.to_vec();
    wanted.sort();
    assert_eq!(told(&[], 2), wanted);
    tree.git(&["add", "--all"]);
    assert_eq!(told(&["--staged"], 2).first(), Some(&masked[0]));
    tree.commit_all("names");
    assert_eq!(told(&["--history"], 2), wanted);
    assert_eq!(told(&["--history"], 2), wanted, "and again");
    tree.git(&["branch", &branch]);
    let mut refs = told(&["--history"], 3);
    refs.retain(|path| path.starts_with("refs/"));
    assert_eq!(refs, [["refs/heads/sk", "_l…"].concat()]);
}

#[test]
fn targets_of_links_are_scanned() {
    let tree = Tree::new();
    symlink(stripe_key(&mut Random::seeded(43)), tree.path().join("link")).unwrap();
    assert_eq!(parts(&tree, &[]), content("link"));
}

#[test]
fn a_server_refuses_what_a_tag_brings() {
    let mut random = Random::seeded(44);
    let tree = Tree::repository();
    tree.write("a", "base\n");
    tree.commit_all("base");
    let server = tree.path().join(".server.git");
    tree.git(&["init", "--quiet", "--bare", server.to_str().unwrap()]);
    let repo = server.to_str().unwrap();
    let install = tree.run(&["hook", "install", "--type", "pre-receive", "--repo", repo]);
    exits(&install, 0);
    tree.git(&["push", "--quiet", repo, "main"]);
    let stored = |text: &str| {
        let command = tree.git_command(tree.path(), &["hash-object", "-w", "--stdin"]);
        finish(command, text.as_bytes()).stdout.trim().to_owned()
    };
    let push = |what: &str| finish(tree.git_command(tree.path(), &["push", repo, what]), b"");
    tree.git(&["tag", "good", &stored("nothing")]);
    exits(&push("good"), 0);
    tree.git(&["tag", "bad", &stored(&stripe_key(&mut random))]);
    let refused = push("bad");
    assert!(refused.code() != 0 && refused.stderr.contains("refs/tags/bad:1:1"), "{}", refused.stderr);
    let name = format!("HEAD:refs/heads/{}", stripe_key(&mut random));
    let refused = push(&name);
    assert!(refused.code() != 0 && refused.stderr.contains("in the name"), "{}", refused.stderr);
}

#[test]
fn objects_beside_the_repository_are_read() {
    let tree = Tree::repository();
    tree.commit_all("base");
    tree.write("a", stripe_key(&mut Random::seeded(45)));
    let aside = tree.path().join("aside");
    fs::create_dir(&aside).unwrap();
    let with = |mut command: std::process::Command| {
        command.env("GIT_OBJECT_DIRECTORY", &aside);
        command.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", tree.path().join(".git/objects"));
        finish(command, b"")
    };
    exits(&with(tree.git_command(tree.path(), &["add", "a"])), 0);
    let scan = || {
        let mut command = bare_command();
        clean(&mut command);
        command.current_dir(tree.path()).args(["scan", "--staged"]);
        command
    };
    exits(&with(scan()), 1);
    exits(&finish(scan(), b""), 2);
}

#[test]
fn what_cannot_be_read_is_named() {
    let tree = Tree::repository();
    tree.commit_all("base");
    tree.git(&["config", "core.repositoryFormatVersion", "1"]);
    tree.git(&["config", "extensions.refStorage", "reftable"]);
    for how in ["--staged", "--history"] {
        let finished = tree.run(&["scan", how]);
        exits(&finished, 2);
        assert!(finished.stderr.contains("reftable"), "{}", finished.stderr);
    }
    let tree = Tree::repository();
    tree.commit_all("base");
    let finished = tree.run(&["scan", "--history", "nope..HEAD"]);
    exits(&finished, 2);
    assert_eq!(finished.stderr.matches("nope..HEAD").count(), 1, "{}", finished.stderr);
    assert!(finished.stderr.contains("main..HEAD"), "{}", finished.stderr);
}

#[test]
fn a_configuration_that_comes_with_the_commit_is_told() {
    let tree = Tree::repository();
    tree.commit_all("base");
    let write = |disable: &str| {
        tree.write(
            ".actifix-scan.toml",
            format!("disable = [{disable}]\n[[allow]]\npaths = [\"vendor/**\"]\nreason = \"not ours\"\n"),
        );
        tree.git(&["add", "--all"]);
    };
    write("\"stripe_key\"");
    tree.write("a", "nothing");
    let staged = tree.run(&["scan", "--staged"]);
    exits(&staged, 0);
    for word in ["switches off", "rule stripe_key", "everything in vendor/**"] {
        assert!(staged.stderr.contains(word), "{word}: {}", staged.stderr);
    }
    tree.commit_all("config");
    write("\"stripe_key\", \"jwt\"");
    let staged = tree.run(&["scan", "--staged"]);
    assert!(
        staged.stderr.contains("rule jwt") && !staged.stderr.contains("rule stripe_key"),
        "{}",
        staged.stderr
    );
    let explained = tree.run(&["scan", "--explain"]);
    assert!(explained.stderr.contains("configuration: rule stripe_key"), "{}", explained.stderr);
    assert!(explained.stderr.contains("nothing else looked like a secret"), "{}", explained.stderr);
}

#[test]
fn a_scan_says_how_much_it_saw() {
    let mut random = Random::seeded(46);
    let tree = Tree::repository();
    tree.write("a", stripe_key(&mut random));
    tree.commit_all("one");
    let history = |more: &[&str]| tree.run(&[&["scan", "--history"], more].concat()).stderr;
    let first = history(&[]);
    assert!(first.contains("1 secret found in 1 file, ") && first.contains(", 1 commit\n"), "{first}");
    let second = history(&[]);
    assert!(second.contains("1 commit was read by a former scan"), "{second}");
    assert_eq!(history(&["--anew"]), first);
    let help = tree.run(&["scan", "--help"]).stdout;
    assert!(help.contains("actifix/scanned.json") && help.contains("--anew"), "{help}");

    fs::create_dir(tree.path().join("empty")).unwrap();
    let empty = tree.run(&["scan", "empty"]);
    exits(&empty, 0);
    assert!(empty.stderr.contains("warning: nothing was scanned"), "{}", empty.stderr);
    let quiet = tree.run(&["scan", "--quiet", "empty"]);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    let beside = tree.run_in(&tree.path().join("empty"), &["scan", "--history", "../empty"], b"");
    exits(&beside, 1);
}
