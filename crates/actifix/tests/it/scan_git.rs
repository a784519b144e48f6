//! What is staged, and what was committed: the scanner on repositories of every shape.

use std::fs;

use crate::harness::Finished;
use crate::random::Random;
use crate::scan::{Tree, stripe_key};

fn places(findings: Vec<(String, u64, String)>) -> Vec<(String, u64)> {
    findings.into_iter().map(|(path, line, _)| (path, line)).collect()
}

fn place(path: &str, line: u64) -> Vec<(String, u64)> {
    vec![(path.to_owned(), line)]
}

#[track_caller]
fn exits(finished: &Finished, code: i32) {
    assert_eq!(finished.code(), code, "stdout: {}\nstderr: {}", finished.stdout, finished.stderr);
}

#[test]
fn staged_is_the_index_not_the_working_tree() {
    let mut random = Random::seeded(20);
    let tree = Tree::repository();
    tree.write("a.txt", format!("old {}\n", stripe_key(&mut random)));
    // The first commit has no HEAD to compare with.
    tree.git(&["add", "a.txt"]);
    assert_eq!(places(tree.findings(&["--staged"])), place("a.txt", 1));
    tree.commit_all("first");
    assert_eq!(tree.findings(&["--staged"]), [], "nothing is staged");

    // Unstaged changes do not count, staged ones count even if the file is clean again.
    let old = fs::read_to_string(tree.path().join("a.txt")).unwrap();
    tree.write("a.txt", format!("{old}new {}\n", stripe_key(&mut random)));
    assert_eq!(tree.findings(&["--staged"]), []);
    tree.git(&["add", "a.txt"]);
    tree.write("a.txt", &old);
    assert_eq!(places(tree.findings(&["--staged"])), place("a.txt", 2), "the added line, not the old one");
}

#[test]
fn removed_moved_and_renamed_lines_add_nothing() {
    let mut random = Random::seeded(21);
    let tree = Tree::repository();
    let (one, two) = (stripe_key(&mut random), stripe_key(&mut random));
    tree.write("a.txt", format!("x\n{one}\ny\n{two}\nz\n"));
    tree.commit_all("first");
    tree.write("a.txt", format!("x\n{two}\ny\nz\n"));
    tree.git(&["add", "--all"]);
    assert_eq!(tree.findings(&["--staged"]), []);
    tree.git(&["mv", "a.txt", "b.txt"]);
    assert_eq!(tree.findings(&["--staged"]), [], "renamed and edited");
    let three = stripe_key(&mut random);
    tree.write("b.txt", format!("x\n{two}\ny\n{three}\n"));
    tree.git(&["add", "--all"]);
    assert_eq!(places(tree.findings(&["--staged"])), place("b.txt", 4));
    tree.git(&["rm", "--quiet", "--force", "b.txt"]);
    assert_eq!(tree.findings(&["--staged"]), [], "only deleted");
}

#[test]
fn a_merge_adds_what_neither_side_had() {
    let mut random = Random::seeded(22);
    let tree = Tree::repository();
    tree.write("a.txt", "a\n");
    tree.write("dir/b.txt", "b\n");
    tree.commit_all("base");
    tree.git(&["checkout", "--quiet", "-b", "side"]);
    tree.write("dir/b.txt", format!("b\n{}\n", stripe_key(&mut random)));
    tree.write("c.txt", stripe_key(&mut random));
    tree.commit_all("side");
    tree.git(&["checkout", "--quiet", "main"]);
    tree.write("a.txt", "a\nmain\n");
    tree.commit_all("main");
    tree.git(&["merge", "--quiet", "--no-commit", "--no-ff", "side"]);
    assert_eq!(tree.findings(&["--staged"]), [], "it was committed on the other side");
    let merged = fs::read_to_string(tree.path().join("dir/b.txt")).unwrap();
    tree.write("dir/b.txt", format!("{merged}{}\n", stripe_key(&mut random)));
    tree.git(&["add", "--all"]);
    assert_eq!(places(tree.findings(&["--staged"])), place("dir/b.txt", 3));
}

#[test]
fn large_staged_files_are_scanned_around_their_new_lines() {
    let mut random = Random::seeded(23);
    let tree = Tree::repository();
    let old = stripe_key(&mut random);
    let mut text = format!("{old}\n");
    while text.len() < 3 << 20 {
        text.push_str("a line that is long enough to matter and has nothing in it\n");
    }
    tree.write("big.txt", &text);
    tree.commit_all("big");
    let at = text.len() / 2 + text[text.len() / 2..].find('\n').unwrap() + 1;
    let line = text[..at].lines().count() as u64 + 1;
    text.insert_str(at, &format!("{}\n", stripe_key(&mut random)));
    tree.write("big.txt", &text);
    tree.git(&["add", "--all"]);
    assert_eq!(places(tree.findings(&["--staged"])), place("big.txt", line));
    let report = tree.report(&["--staged"]);
    assert!(report["summary"]["bytes"].as_u64().unwrap() < 256 << 10, "{report}");
}

#[test]
fn nothing_scanned_although_files_are_staged_is_an_error() {
    let tree = Tree::repository();
    tree.write("a.txt", "hello\n");
    tree.git(&["add", "--all"]);
    let blob = tree.git(&["rev-parse", ":a.txt"]).trim().to_owned();
    fs::remove_file(tree.path().join(".git/objects").join(&blob[..2]).join(&blob[2..])).unwrap();
    let finished = tree.run(&["scan", "--staged"]);
    exits(&finished, 2);
    assert!(finished.stderr.contains("1 file is staged and none could be scanned"), "{}", finished.stderr);

    let tree = Tree::repository();
    tree.write("a.txt", "hello\n");
    tree.commit_all("first");
    fs::remove_file(tree.path().join(".git/index")).unwrap();
    exits(&tree.run(&["scan", "--staged"]), 2);
    fs::write(tree.path().join(".git/index"), b"garbage").unwrap();
    exits(&tree.run(&["scan", "--staged"]), 2);
}

#[test]
fn worktrees_and_submodules_have_their_own_index() {
    let mut random = Random::seeded(24);
    let tree = Tree::repository();
    tree.write("a.txt", "a\n");
    tree.commit_all("first");
    tree.git(&["worktree", "add", "--quiet", "../wt", "-b", "wt"]);
    let worktree = tree.path().parent().unwrap().join("wt");
    let other = Tree::repository();
    other.write("lib.txt", "lib\n");
    other.commit_all("lib");
    let source = other.path().to_str().unwrap().to_owned();
    tree.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", &source, "vendor/lib"]);
    let report = tree.report(&["--staged"]);
    assert!(report["notes"][0].as_str().unwrap().contains("vendor/lib: a submodule"), "{report}");

    for folder in [worktree.clone(), tree.path().join("vendor/lib")] {
        fs::write(folder.join("k.txt"), stripe_key(&mut random)).unwrap();
        tree.git_in(&folder, &["add", "k.txt"]);
        let finished = tree.run_in(&folder, &["scan", "--staged"], b"");
        exits(&finished, 1);
        assert!(finished.stdout.starts_with("k.txt:1:1: "), "{}", finished.stdout);
    }
    fs::remove_dir_all(worktree).unwrap();
}

#[test]
fn a_history_tells_the_commit_that_brought_a_secret_in() {
    let mut random = Random::seeded(25);
    let tree = Tree::repository();
    tree.write("a.txt", "a\n");
    tree.commit_all("first");
    tree.write("conf/k.txt", format!("x\n{}\n", stripe_key(&mut random)));
    let second = tree.commit_all("second");
    // Edited, renamed and removed afterwards: still one finding, at its origin.
    let text = fs::read_to_string(tree.path().join("conf/k.txt")).unwrap();
    tree.write("conf/k.txt", format!("{text}more\n"));
    tree.commit_all("third");
    fs::remove_file(tree.path().join("conf/k.txt")).unwrap();
    tree.commit_all("fourth");
    for packed in [false, true] {
        if packed {
            tree.git(&["gc", "--quiet"]);
        }
        let report = tree.report(&["--history"]);
        let findings = report["findings"].as_array().unwrap();
        assert_eq!(findings.len(), 1, "{report}");
        assert_eq!(findings[0]["commit"], second.as_str());
        assert_eq!(
            (findings[0]["path"].as_str(), findings[0]["line"].as_u64()),
            (Some("conf/k.txt"), Some(2))
        );
        assert_eq!(
            report["summary"]["commits"],
            if packed { 0 } else { 4 },
            "the second scan reads what is new"
        );
    }
}

#[test]
fn a_second_scan_reports_the_same_and_reads_what_is_new() {
    let mut random = Random::seeded(26);
    let tree = Tree::repository();
    tree.write("a.txt", stripe_key(&mut random));
    tree.commit_all("first");
    let first = tree.findings(&["--history"]);
    assert_eq!(first.len(), 1);
    assert_eq!(tree.findings(&["--history"]), first);
    let state = fs::read_to_string(tree.path().join(".git/actifix/scanned.json")).unwrap();
    assert!(!state.contains("sk_"), "{state}");

    tree.write("b.txt", stripe_key(&mut random));
    tree.commit_all("second");
    let report = tree.report(&["--history"]);
    assert_eq!(report["findings"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        (report["summary"]["commits"].as_u64(), report["summary"]["files"].as_u64()),
        (Some(1), Some(2))
    );

    // Other rules: everything is new.
    tree.write("rules.toml", "disable = [\"jwt\"]\n");
    assert_eq!(tree.report(&["--history", "--config", "rules.toml"])["summary"]["commits"], 2);

    // A rewritten history has only what is in it.
    tree.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    assert_eq!(places(tree.findings(&["--history"])), place("a.txt", 1));
    tree.git(&["tag", "kept", "ORIG_HEAD"]);
    assert_eq!(tree.findings(&["--history"]).len(), 2, "a tag keeps it");
}

#[test]
fn ranges_have_only_what_they_bring() {
    let mut random = Random::seeded(27);
    let tree = Tree::repository();
    tree.write("a.txt", format!("{}\n", stripe_key(&mut random)));
    let first = tree.commit_all("first");
    let text = fs::read_to_string(tree.path().join("a.txt")).unwrap();
    tree.write("a.txt", format!("{text}{}\n", stripe_key(&mut random)));
    tree.commit_all("second");
    assert_eq!(places(tree.findings(&["--since-commit", &first])), place("a.txt", 2));
    assert_eq!(places(tree.findings(&["--history", &format!("{first}..HEAD")])), place("a.txt", 2));
    assert_eq!(places(tree.findings(&["--history", &first])), place("a.txt", 1));
    assert_eq!(tree.findings(&["--history", "HEAD..HEAD"]), []);
    exits(&tree.run(&["scan", "--history", "no-such-branch"]), 2);
    tree.git(&[
        "commit",
        "--quiet",
        "--allow-empty",
        "--message",
        &format!("use {}", stripe_key(&mut random)),
    ]);
    assert_eq!(places(tree.findings(&["--history", "HEAD~1..HEAD"])), place("COMMIT_MSG", 1));
}

#[test]
fn a_shallow_clone_says_so_and_remembers_nothing() {
    let tree = Tree::repository();
    for number in 0..3 {
        tree.write("a.txt", format!("{number}\n"));
        tree.commit_all("one more");
    }
    let url = format!("file://{}", tree.path().display());
    let clone = Tree::new();
    clone.git(&["clone", "--quiet", "--depth", "1", &url, "."]);
    let report = clone.report(&["--history"]);
    assert_eq!(report["summary"]["commits"], 1);
    assert!(report["notes"][0].as_str().unwrap().contains("shallow"), "{report}");
    assert!(!clone.path().join(".git/actifix").exists());
}

#[test]
fn an_empty_repository_is_clean() {
    let tree = Tree::repository();
    assert_eq!(tree.findings(&["--history"]), []);
    assert_eq!(tree.findings(&["--staged"]), []);
    let bare = Tree::new();
    bare.git(&["init", "--quiet", "--bare"]);
    assert_eq!(bare.findings(&["--history"]), []);
}

#[test]
fn our_own_repository_is_clean() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let tree = Tree::new();
    let finished = tree.run_in(root.as_ref(), &["scan", "--quiet"], b"");
    exits(&finished, 0);
    assert_eq!(finished.stdout, "");
}

/// A history of a few files with many versions each, by `git fast-import`; some versions bring a secret, some join two
/// halves of one. Gives the number of secrets.
fn import_many_versions(tree: &Tree, random: &mut Random) -> usize {
    const VERSIONS: usize = 300;
    let mut files: Vec<Vec<String>> = [300, 40, 40]
        .map(|lines| (0..lines).map(|_| random.text(b"abcdefghij klmnop", 60)).collect())
        .to_vec();
    let mut stream = String::new();
    let mut secrets = 0;
    for version in 0..VERSIONS {
        // The first file is long and stays clean.
        let number =
            if matches!(version % 20, 7 | 12) { 1 + random.below(files.len() - 1) } else { version % 3 };
        let lines = &mut files[number];
        let at = random.below(lines.len());
        match version % 20 {
            7 => {
                lines.insert(at, format!("key: {}", stripe_key(random)));
                secrets += 1;
            }
            // A key in two halves with a line between them, which the next version takes out.
            12 => {
                let key = stripe_key(random);
                let (head, tail) = key.split_at(14);
                lines.insert(0, format!("{head}~~~{tail}"));
            }
            13 => {
                for file in &mut files {
                    let joined = file[0].replace("~~~", "");
                    secrets += usize::from(joined != file[0]);
                    file[0] = joined;
                }
            }
            _ => lines[at] = random.text(b"abcdefghij klmnop", 60),
        }
        let time = 1_700_000_000 + version;
        stream.push_str(&format!(
            "commit refs/heads/main\ncommitter A <a@example.com> {time} +0000\ndata 1\nm\n"
        ));
        for (number, lines) in files.iter().enumerate() {
            let text = lines.join("\n");
            stream.push_str(&format!("M 100644 inline d/{number}.txt\ndata {}\n{text}\n", text.len()));
        }
    }
    let finished = crate::harness::finish(
        tree.git_command(tree.path(), &["-c", "fastimport.unpackLimit=100000", "fast-import", "--quiet"]),
        stream.as_bytes(),
    );
    exits(&finished, 0);
    secrets
}

#[test]
fn packs_and_loose_objects_give_the_same_findings() {
    let mut random = Random::seeded(28);
    let tree = Tree::repository();
    let secrets = import_many_versions(&tree, &mut random);
    let state = tree.path().join(".git/actifix/scanned.json");
    let scan = || {
        let _absent = fs::remove_file(&state);
        let report = tree.report(&["--history"]);
        let bytes = report["summary"]["bytes"].as_u64().unwrap();
        let text = |one: &serde_json::Value, key: &str| one[key].as_str().unwrap()[..12].to_owned();
        let findings: Vec<(String, String)> = report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (text(one, "fingerprint"), text(one, "commit")))
            .collect();
        (findings, report["summary"]["files"].clone(), bytes)
    };
    let (loose, files, loose_bytes) = scan();
    assert_eq!(loose.len(), secrets);
    assert!(!tree.git(&["count-objects", "-v"]).contains("count: 0\n"), "they are loose");
    tree.git(&["repack", "-a", "-d", "-f", "--quiet", "--depth", "40"]);
    tree.git(&["prune-packed"]);
    assert!(tree.git(&["count-objects", "-v"]).contains("count: 0\n"), "they are packed");
    let (packed, packed_files, packed_bytes) = scan();
    assert_eq!(packed, loose);
    assert_eq!(packed_files, files);
    assert!(
        packed_bytes < loose_bytes,
        "of a delta only what is new is scanned: {packed_bytes} of {loose_bytes}"
    );
}
