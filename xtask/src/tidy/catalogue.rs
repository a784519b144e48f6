//! All rules by name, with what they ask and why. `docs/reference/tidy.md` is generated from it.

/// One line of the house rules.
#[derive(Debug)]
pub struct Rule {
    pub name: &'static str,
    /// What must be so.
    pub asks: &'static str,
    pub why: &'static str,
}

const fn rule(name: &'static str, asks: &'static str, why: &'static str) -> Rule {
    Rule { name, asks, why }
}

pub const RULES: &[Rule] = &[
    rule(
        "crate-graph",
        "crates depend on each other only as ARCHITECTURE.md draws it",
        "an arrow more is a wall less",
    ),
    rule(
        "pure-dependency",
        "domain, protocol and secrets have no runtime, I/O, clock or randomness among their dependencies",
        "they are reasoned about, fuzzed and tested without a world around them",
    ),
    rule(
        "edge-dependency",
        "SQL, HTTP, argument and catch-all error libraries stay in the crates that own that concern",
        "a concern in two places is decided twice",
    ),
    rule(
        "manifest",
        "versions and lints are inherited from the root manifest",
        "one place to read, one to update",
    ),
    rule("dependency-floor", "no locked version is on the deny list of deny.toml", "known holes stay closed"),
    rule(
        "dependency-source",
        "every dependency comes from crates.io",
        "published versions are kept and reviewed",
    ),
    rule(
        "pure-crate",
        "no file system, network, environment, clock, thread or async in domain, protocol and secrets outside of tests",
        "what the same input always answers can be replayed",
    ),
    rule("arc-dyn", "`Arc<dyn>` holds port traits only", "dynamic dispatch marks the walls, nothing else"),
    rule("sql-outside-store", "SQL is written in actifix-store", "two databases are kept equal side by side"),
    rule(
        "environment",
        "environment variables are read by the config module",
        "configuration has one list of names",
    ),
    rule(
        "file-create",
        "files are created in named modules only",
        "mode, O_NOFOLLOW and exclusive creation are decided once",
    ),
    rule("listener", "one file opens listeners, at an edge", "no port opens past the bind rules"),
    rule("outbound", "one module opens outbound connections", "the address guard cannot be walked around"),
    rule(
        "glob-import",
        "no glob imports; tests may import `super::*`",
        "a reader sees where a name comes from",
    ),
    rule(
        "module-name",
        "no utils, helpers, common, prelude, misc",
        "a name without meaning collects everything",
    ),
    rule("module-layout", "`foo.rs` beside `foo/`, no mod.rs", "files are told apart by their name"),
    rule(
        "file-length",
        "700 lines at most without inline tests, 500 wished",
        "a file is read in one sitting",
    ),
    rule("function-length", "100 lines at most, about 70 wished", "a function is read on one screen"),
    rule("unfinished", "no todo!, unimplemented!, dbg!", "what is merged is finished"),
    rule("marker-comment", "no comments that postpone work", "open work is an issue, with a reason"),
    rule("ignored-test", "no ignored tests", "a test that does not run proves nothing"),
    rule("print", "printing is for the CLI", "a server's words go through its redacting log"),
    rule(
        "secret-literal",
        "no complete secret outside of testdata, not even an invented one",
        "neither people nor scanners can tell a sample from a leak",
    ),
    rule("machine-path", "no path of somebody's machine outside of testdata", "the tree works everywhere"),
    rule(
        "decision-number",
        "decisions are numbered without gap and titled with their number",
        "they are cited by number",
    ),
];
