//! Hooks: ours before a commit and before a push, beside those of others, and under the `pre-commit` tool.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Finished, finish};
use crate::random::Random;
use crate::scan::{Tree, clean, stripe_key};

const BINARY: &str = env!("CARGO_BIN_EXE_actifix");

#[track_caller]
fn exits(finished: &Finished, code: i32) {
    assert_eq!(finished.code(), code, "stdout: {}\nstderr: {}", finished.stdout, finished.stderr);
}

fn program(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn commit(tree: &Tree, folder: &Path) -> Finished {
    finish(tree.git_command(folder, &["commit", "--quiet", "--message", "m"]), b"")
}

#[test]
fn a_commit_with_a_secret_is_refused() {
    let mut random = Random::seeded(40);
    let tree = Tree::repository();
    exits(&tree.run(&["hook", "status"]), 1);
    exits(&tree.run(&["hook", "install"]), 0);
    exits(&tree.run(&["hook", "status"]), 0);
    let key = stripe_key(&mut random);
    tree.write("a.txt", format!("{key}\n"));
    tree.git(&["add", "--all"]);
    let refused = commit(&tree, tree.path());
    exits(&refused, 1);
    let told = refused.stdout + &refused.stderr;
    assert!(told.contains("a.txt:1:1: ") && told.contains("Nothing was committed"), "{told}");
    assert!(!told.contains(&key));

    tree.write("a.txt", "fine\n");
    tree.git(&["add", "--all"]);
    let accepted = commit(&tree, tree.path());
    exits(&accepted, 0);
    assert_eq!(accepted.stdout + &accepted.stderr, "", "a clean commit says nothing");

    // A partial commit has an index of its own, which the hook has to read.
    tree.write("b.txt", "b\n");
    tree.git(&["add", "--all"]);
    tree.write("a.txt", stripe_key(&mut random));
    exits(&finish(tree.git_command(tree.path(), &["commit", "-qm", "m", "a.txt"]), b""), 1);
    exits(&finish(tree.git_command(tree.path(), &["commit", "-qm", "m", "b.txt"]), b""), 0);
    // `commit --all` stages in an index of its own as well.
    exits(&finish(tree.git_command(tree.path(), &["commit", "-qam", "m"]), b""), 1);

    exits(&tree.run(&["hook", "remove"]), 0);
    exits(&commit_all(&tree), 0);
}

#[test]
fn a_hook_says_what_is_there() {
    let tree = Tree::repository();
    let says = |command: &str, code: i32, word: &str| {
        let finished = tree.run(&["hook", command]);
        exits(&finished, code);
        assert!(finished.stdout.contains(word), "{command}: {}", finished.stdout);
    };
    says("status", 1, "pre-commit: not installed");
    says("remove", 0, "pre-commit: not installed, so nothing was removed");
    says("install", 0, "installed ");
    says("install", 0, "already installed: ");
    says("status", 0, "pre-commit: installed");
    says("remove", 0, "removed ");
    says("status", 1, "pre-commit: not installed");
}

fn commit_all(tree: &Tree) -> Finished {
    finish(tree.git_command(tree.path(), &["commit", "-qam", "m"]), b"")
}

#[test]
fn a_hook_that_was_there_is_kept_and_runs_first() {
    let mut random = Random::seeded(41);
    let tree = Tree::repository();
    let hook = tree.path().join(".git/hooks/pre-commit");
    let theirs = "#!/bin/sh\necho ran >> ran.log\n[ ! -e veto ]\n";
    program(&hook, theirs);
    exits(&tree.run(&["hook", "status"]), 1);
    exits(&tree.run(&["hook", "remove"]), 2);
    exits(&tree.run(&["hook", "install"]), 0);
    exits(&tree.run(&["hook", "install"]), 0);
    tree.write("a.txt", stripe_key(&mut random));
    tree.git(&["add", "a.txt"]);
    exits(&commit(&tree, tree.path()), 1);
    tree.write("a.txt", "fine");
    tree.git(&["add", "a.txt"]);
    tree.write("veto", "");
    exits(&commit(&tree, tree.path()), 1);
    fs::remove_file(tree.path().join("veto")).unwrap();
    exits(&commit(&tree, tree.path()), 0);
    assert_eq!(fs::read_to_string(tree.path().join("ran.log")).unwrap(), "ran\nran\nran\n");
    exits(&tree.run(&["hook", "remove"]), 0);
    assert_eq!(fs::read_to_string(&hook).unwrap(), theirs);
}

#[test]
fn a_hook_without_its_program_refuses() {
    let tree = Tree::repository();
    exits(&tree.run(&["hook", "install"]), 0);
    let hook = tree.path().join(".git/hooks/pre-commit");
    let text = fs::read_to_string(&hook).unwrap();
    fs::write(&hook, text.replace(BINARY, "/nowhere/actifix")).unwrap();
    tree.write("a.txt", "fine");
    tree.git(&["add", "a.txt"]);
    let mut command = tree.git_command(tree.path(), &["commit", "--quiet", "--message", "m"]);
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
    let refused = finish(command, b"");
    exits(&refused, 1);
    assert!(refused.stderr.contains("actifix is gone, so nothing was scanned"), "{}", refused.stderr);
}

#[test]
fn hooks_go_where_git_looks_for_them() {
    let mut random = Random::seeded(42);
    let tree = Tree::repository();
    tree.write("a.txt", "a");
    tree.commit_all("first");
    tree.git(&["config", "core.hooksPath", "tools/hooks"]);
    exits(&tree.run(&["hook", "install"]), 0);
    assert!(tree.path().join("tools/hooks/pre-commit").exists());
    tree.write("a.txt", stripe_key(&mut random));
    exits(&commit_all(&tree), 1);

    let shared = Tree::new();
    tree.git(&["config", "core.hooksPath", shared.path().to_str().unwrap()]);
    let refused = tree.run(&["hook", "install"]);
    exits(&refused, 2);
    assert!(refused.stderr.contains("--shared"), "{}", refused.stderr);
    exits(&tree.run(&["hook", "install", "--shared"]), 0);
    exits(&commit_all(&tree), 1);
    tree.git(&["config", "--unset", "core.hooksPath"]);

    // All working trees share the hooks of their repository.
    let worktree = tree.path().join("wt");
    tree.git(&["worktree", "add", "--quiet", "wt", "-b", "wt"]);
    exits(&tree.run_in(&worktree, &["hook", "install"], b""), 0);
    assert!(tree.path().join(".git/hooks/pre-commit").exists());
    fs::write(worktree.join("k.txt"), stripe_key(&mut random)).unwrap();
    tree.git_in(&worktree, &["add", "k.txt"]);
    exits(&commit(&tree, &worktree), 1);
    exits(&commit_all(&tree), 1);

    // A submodule has hooks of its own.
    let other = Tree::repository();
    other.write("lib.txt", "lib");
    other.commit_all("lib");
    let host = Tree::repository();
    let source = other.path().to_str().unwrap();
    host.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", source, "lib"]);
    let module = host.path().join("lib");
    exits(&host.run_in(&module, &["hook", "install"], b""), 0);
    assert!(host.path().join(".git/modules/lib/hooks/pre-commit").exists());
    fs::write(module.join("k.txt"), stripe_key(&mut random)).unwrap();
    host.git_in(&module, &["add", "k.txt"]);
    exits(&commit(&host, &module), 1);
}

#[test]
fn a_commit_message_with_a_secret_is_refused() {
    let key = stripe_key(&mut Random::seeded(43));
    let tree = Tree::repository();
    exits(&tree.run(&["hook", "install", "--type", "commit-msg"]), 0);
    let message = format!("use {key}");
    let arguments = ["commit", "--quiet", "--allow-empty", "--message"];
    let with =
        |message: &str| finish(tree.git_command(tree.path(), &[&arguments[..], &[message]].concat()), b"");
    exits(&with(&message), 1);
    exits(&with("fine"), 0);
}

#[test]
fn a_server_refuses_a_push_that_brings_a_secret() {
    let mut random = Random::seeded(44);
    let server = Tree::new();
    server.git(&["init", "--quiet", "--bare", "--initial-branch", "main"]);
    exits(&server.run(&["hook", "install", "--type", "pre-receive"]), 0);
    let tree = Tree::repository();
    tree.git(&["remote", "add", "origin", server.path().to_str().unwrap()]);
    tree.write("a.txt", "a\n");
    tree.commit_all("first");
    let push = |arguments: &[&str]| {
        finish(tree.git_command(tree.path(), &[&["push", "--quiet", "origin"][..], arguments].concat()), b"")
    };
    exits(&push(&["main"]), 0);

    // What the pusher writes does not count: no markers, no configuration.
    let key = stripe_key(&mut random);
    tree.write("k.txt", format!("{key} # actifix:allow stripe_key it is mine\n"));
    tree.write(".actifix-scan.toml", "[[allow]]\npaths = [\"*\"]\nreason = \"mine\"\n");
    tree.commit_all("second");
    // Removed in the next commit: it is in the history all the same.
    fs::remove_file(tree.path().join("k.txt")).unwrap();
    tree.commit_all("third");
    let refused = push(&["main"]);
    exits(&refused, 1);
    assert!(refused.stderr.contains("k.txt:1:1 in commit"), "{}", refused.stderr);
    assert!(!refused.stderr.contains(&key));
    exits(&push(&["main:refs/heads/other"]), 1);
    tree.git(&["tag", "--annotate", "--message", "t", "v1"]);
    exits(&push(&["v1"]), 1);

    // What the administrator accepts counts.
    server.write("accepted.toml", "[[allow]]\npaths = [\"k.txt\"]\nreason = \"a test\"\n");
    let install = ["hook", "install", "--type", "pre-receive", "--config", "accepted.toml"];
    exits(&server.run(&install), 0);
    exits(&push(&["main:refs/heads/accepted"]), 0);
    server.git(&["update-ref", "-d", "refs/heads/accepted"]);
    server.write("accepted.toml", "[[allow]]\n");
    exits(&server.run(&install), 2);
    exits(&server.run(&["hook", "install", "--type", "pre-receive"]), 0);

    tree.git(&["tag", "--delete", "v1"]);
    tree.git(&["reset", "--quiet", "--hard", "HEAD~2"]);
    for number in 0..200 {
        // Enough objects that git keeps them as a pack instead of one by one.
        tree.write(&format!("d/{number}.txt"), format!("{number}\n"));
    }
    tree.commit_all("many");
    exits(&push(&["main"]), 0);
    tree.git(&["tag", "--annotate", "--message", &format!("use {key}"), "v2"]);
    exits(&push(&["v2"]), 1);
    exits(&push(&["main:refs/heads/side"]), 0);
    exits(&push(&["--delete", "side"]), 0);
}

/// The Python of the tests has the `pre-commit` tool, see `cargo xtask install-tools`.
fn pre_commit(tree: &Tree, folder: &Path, arguments: &[&str]) -> Finished {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/test-tools/python/bin/python");
    let python =
        std::env::var_os("ACTIFIX_TEST_PYTHON").map_or_else(|| PathBuf::from(default), PathBuf::from);
    assert!(python.exists(), "{} is missing: run `cargo xtask install-tools`", python.display());
    let mut command = Command::new(python);
    clean(&mut command);
    command.current_dir(folder).args(["-m", "pre_commit"]).args(arguments);
    command.env("PATH", path_with_binary()).env("PRE_COMMIT_HOME", tree.path().join(".cache"));
    finish(command, b"")
}

fn path_with_binary() -> std::ffi::OsString {
    let folder = Path::new(BINARY).parent().unwrap().to_owned();
    let old = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&old))).unwrap()
}

#[test]
fn the_pre_commit_tool_runs_our_hooks_in_a_strangers_repository() {
    let mut random = Random::seeded(45);
    // The hooks come from a repository, as the tool clones it.
    let ours = Tree::repository();
    let hooks = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.pre-commit-hooks.yaml");
    ours.write(".pre-commit-hooks.yaml", fs::read(hooks).unwrap());
    let revision = ours.commit_all("hooks");
    let tree = Tree::repository();
    let home = Tree::new();
    let config = format!(
        "repos:\n- repo: {}\n  rev: {revision}\n  hooks:\n  - id: actifix\n  - id: actifix-message\n  - id: actifix-tree\n",
        ours.path().display()
    );
    tree.write(".pre-commit-config.yaml", config);
    tree.write("a.txt", "a\n");
    tree.git(&["add", "--all"]);
    let run = |arguments: &[&str]| pre_commit(&home, tree.path(), arguments);
    exits(&run(&["run"]), 0);
    tree.commit_all("first");

    let key = stripe_key(&mut random);
    tree.write("a.txt", format!("a\n{key}\n"));
    exits(&run(&["run"]), 0);
    tree.git(&["add", "--all"]);
    // The tool puts unstaged changes aside; what is staged is what counts.
    tree.write("a.txt", "a\n");
    let refused = run(&["run"]);
    exits(&refused, 1);
    assert!(refused.stdout.contains("a.txt:2:1: ") && !refused.stdout.contains(&key), "{}", refused.stdout);

    tree.write("a.txt", format!("a\n{key}\n"));
    exits(&run(&["run", "--hook-stage", "manual", "--all-files"]), 1);
    tree.write("message", &key);
    exits(&run(&["run", "--hook-stage", "commit-msg", "--commit-msg-filename", "message"]), 1);
    tree.write("message", "fine");
    exits(&run(&["run", "--hook-stage", "commit-msg", "--commit-msg-filename", "message"]), 0);
}

/// The script of a step in `action.yml`.
fn action_script(step: &str) -> String {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../action.yml")).unwrap();
    let after = text.split(&format!("- name: {step}\n")).nth(1).expect("the step");
    let block = after.split("run: |\n").nth(1).expect("a script");
    block
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with("        "))
        .fold(String::new(), |script, line| script + line.strip_prefix("        ").unwrap_or_default() + "\n")
}

#[test]
fn the_github_action_annotates_what_a_push_brings() {
    let mut random = Random::seeded(46);
    let tree = Tree::repository();
    tree.write("a.txt", format!("{}\n", stripe_key(&mut random)));
    let before = tree.commit_all("first");
    tree.write("b.txt", format!("{}\n", stripe_key(&mut random)));
    tree.commit_all("second");
    let script = action_script("Scan");
    let run = |folder: &Path, scope: &str, before: &str| {
        let mut command = Command::new("bash");
        clean(&mut command);
        command.current_dir(folder).args(["-c", &script]).env("PATH", path_with_binary());
        command.env("SCOPE", scope).env("BEFORE", before).env("BASELINE", "").env("CONFIG", "");
        finish(command, b"")
    };
    let changes = run(tree.path(), "changes", &before);
    exits(&changes, 1);
    assert!(changes.stdout.starts_with("::error file=b.txt,line=1,"), "{}", changes.stdout);
    assert_eq!(changes.stdout.lines().count(), 1);
    // A new branch has no commit before, a forced push one that is gone.
    for before in ["", "0000000000000000000000000000000000000000", "1111111111111111111111111111111111111111"]
    {
        assert_eq!(run(tree.path(), "changes", before).stdout.lines().count(), 2, "{before}");
    }
    assert_eq!(run(tree.path(), "history", "").stdout.lines().count(), 2);
    assert_eq!(run(tree.path(), "tree", "").stdout.lines().count(), 2);
    exits(&run(tree.path(), "everything", ""), 2);
    let shallow = Tree::new();
    let url = format!("file://{}", tree.path().display());
    shallow.git(&["clone", "--quiet", "--depth", "1", &url, "."]);
    let refused = run(shallow.path(), "changes", &before);
    exits(&refused, 2);
    assert!(refused.stdout.contains("fetch-depth: 0"), "{}", refused.stdout);
    // The other step leaves an installed program alone.
    let mut command = Command::new("bash");
    command
        .args(["-c", &action_script("Build actifix unless it is installed")])
        .env("PATH", path_with_binary());
    exits(&finish(command, b""), 0);
}
