//! What may be named where: the pure crates' silence, ports, SQL, environment, files, listeners.

use std::sync::LazyLock;

use regex::Regex;

use super::Finding;
use super::source::SourceFile;

const RULE_PURE: &str = "pure-crate";
const RULE_PORT: &str = "arc-dyn";
const RULE_SQL: &str = "sql-outside-store";
const RULE_ENVIRONMENT: &str = "environment";
const RULE_FILE: &str = "file-create";
const RULE_LISTENER: &str = "listener";
const RULE_OUTBOUND: &str = "outbound";

const PURE_CRATES: &[&str] =
    &["crates/actifix-domain/src/", "crates/actifix-protocol/src/", "crates/actifix-secrets/src/"];

/// What reaches the world. Addresses as values (`std::net::IpAddr`) are pure and stay allowed.
const IMPURE_TOKENS: &[&str] = &[
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "Zoned::now",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "ToSocketAddrs",
    "tokio",
    "async",
    "await",
];

/// Traits that an `Arc<dyn>` may hold besides those declared in the application's `ports` module.
const PORTS: &[&str] = &["Store", "Clock", "Ids", "Vault", "Mailer", "WebhookSender"];

/// Tokens that only the named places may use. Tests, build scripts and xtask may use all of them.
const CONFINED: &[Confined] = &[
    Confined {
        rule: RULE_ENVIRONMENT,
        tokens: &["env::var", "env::var_os", "env::vars", "env::vars_os"],
        places: &["crates/actifix/src/config"],
        advice: "the environment is read by the config module alone; take the value as a parameter",
    },
    Confined {
        rule: RULE_FILE,
        tokens: &[
            "File::create",
            "File::create_new",
            "File::options",
            "OpenOptions",
            "fs::write",
            "fs::copy",
            "rustix::fs::open",
            "rustix::fs::openat",
        ],
        places: &["crates/actifix/src/", "crates/actifix-store/src/files.rs"],
        advice: "files are created with mode 0600 and O_NOFOLLOW by the store's `files` module; call it",
    },
    Confined {
        rule: RULE_OUTBOUND,
        tokens: &["TcpStream::connect", "UnixStream::connect", "reqwest"],
        places: &["crates/actifix/src/outbound", "crates/actifix/src/cli"],
        advice: "one module makes outbound connections (https, public address, deadline); go through its port",
    },
];

/// Calls that open a listener: in one file of the edges, which nobody else doubles.
const LISTENER_TOKENS: &[&str] =
    &["TcpListener::bind", "UnixListener::bind", "TcpSocket::new_v4", "TcpSocket::new_v6"];
const LISTENER_PLACES: &[&str] = &["crates/actifix/src/", "crates/actifix-web/src/"];

const SQL_PLACES: &[&str] = &["crates/actifix-store/"];

struct Confined {
    rule: &'static str,
    tokens: &'static [&'static str],
    places: &'static [&'static str],
    advice: &'static str,
}

pub fn check(file: &SourceFile, declared_ports: &[String]) -> Vec<Finding> {
    let mut findings = impure(file);
    findings.extend(shared_traits(file, declared_ports));
    findings.extend(sql(file));
    findings.extend(CONFINED.iter().flat_map(|confined| confined.check(file)));
    findings
}

/// All listeners are opened in one file, so that none escapes the checks made there.
pub fn check_listeners(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut home: Option<&str> = None;
    for file in files.iter().filter(|file| !file.is_automation()) {
        for at in LISTENER_TOKENS.iter().flat_map(|token| file.find_outside_tests(token)) {
            let allowed = LISTENER_PLACES.iter().any(|place| file.path.starts_with(place));
            let message = match home {
                _ if !allowed => {
                    "listeners are opened at the edge, after the bind rules were checked".to_owned()
                }
                Some(other) if other != file.path => format!("{other} opens listeners already; call it"),
                _ => {
                    home = Some(&file.path);
                    continue;
                }
            };
            findings.push(Finding::new(&file.path, file.line(at), RULE_LISTENER, message));
        }
    }
    findings
}

impl Confined {
    fn check(&self, file: &SourceFile) -> Vec<Finding> {
        if file.is_automation() || self.places.iter().any(|place| file.path.starts_with(place)) {
            return Vec::new();
        }
        let places =
            self.tokens.iter().flat_map(|token| file.find_outside_tests(token).map(move |at| (at, token)));
        places
            .map(|(at, token)| {
                Finding::new(&file.path, file.line(at), self.rule, format!("`{token}` here; {}", self.advice))
            })
            .collect()
    }
}

fn impure(file: &SourceFile) -> Vec<Finding> {
    if !PURE_CRATES.iter().any(|folder| file.path.starts_with(folder)) {
        return Vec::new();
    }
    let places =
        IMPURE_TOKENS.iter().flat_map(|token| file.find_outside_tests(token).map(move |at| (at, token)));
    places
        .map(|(at, token)| {
            let why =
                format!("`{token}` in a pure crate; take the value as a parameter, or move this to an edge");
            Finding::new(&file.path, file.line(at), RULE_PURE, why)
        })
        .collect()
}

/// `Arc<dyn Trait>` is how a port is shared; for anything else a type or a generic is clearer.
fn shared_traits(file: &SourceFile, declared_ports: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for at in file.find_outside_tests("Arc") {
        let Some(name) = trait_behind(&file.code, at + "Arc".len()) else { continue };
        if !PORTS.contains(&name) && !declared_ports.iter().any(|port| port == name) {
            let why =
                format!("`Arc<dyn {name}>` but `{name}` is no port; use the type, or declare it in ports.rs");
            findings.push(Finding::new(&file.path, file.line(at), RULE_PORT, why));
        }
    }
    findings
}

/// Last segment of the trait in `<dyn path::Trait`, if that is what follows.
fn trait_behind(code: &str, at: usize) -> Option<&str> {
    let rest = code.get(at..)?.trim_start().strip_prefix('<')?.trim_start();
    let path = rest.strip_prefix("dyn")?.strip_prefix(char::is_whitespace)?.trim_start();
    let end = path.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(path.len());
    path.get(..end)?.rsplit("::").next()
}

fn sql(file: &SourceFile) -> Vec<Finding> {
    if file.is_test || file.is_automation() || SQL_PLACES.iter().any(|place| file.path.starts_with(place)) {
        return Vec::new();
    }
    let statements =
        file.strings.iter().filter(|literal| !file.is_test_at(literal.at) && is_sql(&literal.text));
    statements
        .map(|literal| {
            let why = "SQL outside of actifix-store; add a verb to the Store port and write it there, twice";
            Finding::new(&file.path, file.line(literal.at), RULE_SQL, why)
        })
        .collect()
}

fn is_sql(text: &str) -> bool {
    static STATEMENT: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(concat!(
            r"\b(?:SELECT\s[^;]*\sFROM\s|INSERT\s+(?:OR\s+\w+\s+)?INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s",
            r"|(?:CREATE|ALTER|DROP)\s+(?:TABLE|INDEX|UNIQUE|TRIGGER|VIEW|VIRTUAL)\s|PRAGMA\s+\w)",
        ))
        .ok()
    });
    STATEMENT.as_ref().is_some_and(|statement| statement.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        let ports = vec!["ProjectStore".to_owned()];
        check(&SourceFile::new(path, text), &ports)
            .iter()
            .map(|finding| (finding.rule, finding.line))
            .collect()
    }

    const DOMAIN: &str = "crates/actifix-domain/src/a.rs";
    const APP: &str = "crates/actifix-app/src/a.rs";

    #[test]
    fn pure_crates_name_no_world() {
        for token in IMPURE_TOKENS {
            let found = rules(DOMAIN, &format!("fn f() {{ {token} }}"));
            assert!(found.contains(&(RULE_PURE, 1)), "{token}");
        }
        assert_eq!(rules(DOMAIN, "use std::net::IpAddr;\nfn instant() {} // std::fs"), []);
        assert_eq!(rules(DOMAIN, "#[cfg(test)]\nmod tests { use std::fs; }"), []);
        assert_eq!(rules(APP, "use std::time::Instant; async fn f() {}"), []);
    }

    #[test]
    fn arcs_hold_ports_only() {
        assert_eq!(rules(APP, "struct A { a: Arc<dyn Plugin> }"), [(RULE_PORT, 1)]);
        assert_eq!(rules(APP, "\nfn f(a: Arc< dyn crate::x::Handler + Send >) {}"), [(RULE_PORT, 2)]);
        assert_eq!(rules(APP, "struct A { a: Arc<dyn Store>, b: Arc<dyn crate::ports::ProjectStore> }"), []);
        assert_eq!(rules(APP, "struct A { a: Arc<Config>, b: Box<dyn Plugin>, c: Arc<dynamic::A> }"), []);
    }

    #[test]
    fn sql_lives_in_the_store() {
        let insert = "fn f() { run(\"INSERT INTO a VALUES ($1)\") }";
        assert_eq!(rules(APP, insert), [(RULE_SQL, 1)]);
        assert_eq!(rules(APP, "fn f() { run(\"SELECT a,\n b FROM c WHERE 1\") }"), [(RULE_SQL, 1)]);
        assert_eq!(rules(APP, "fn f() { run(\"PRAGMA user_version\") }"), [(RULE_SQL, 1)]);
        assert_eq!(rules("crates/actifix-store/src/sqlite/a.rs", insert), []);
        assert_eq!(rules("crates/actifix/tests/it/a.rs", insert), []);
        assert_eq!(rules(APP, "fn f() { say(\"SELECT a project\") } // DELETE FROM a"), []);
    }

    #[test]
    fn confined_calls_stay_in_their_place() {
        for confined in CONFINED {
            for token in confined.tokens {
                let text = format!("fn f() {{ {token}(a) }}");
                assert!(rules(APP, &text).contains(&(confined.rule, 1)), "{token}");
                for place in confined.places {
                    let path =
                        if place.ends_with(".rs") { (*place).to_owned() } else { format!("{place}/a.rs") };
                    let found = rules(&path, &text);
                    assert!(!found.iter().any(|(rule, _)| *rule == confined.rule), "{token} in {path}");
                }
                for path in ["crates/actifix/tests/it/a.rs", "crates/actifix-web/build.rs", "xtask/src/a.rs"]
                {
                    assert_eq!(rules(path, &text), []);
                }
            }
        }
    }

    #[test]
    fn listeners_are_opened_in_one_file_of_an_edge() {
        let bind = "fn f() { TcpListener::bind(a) }";
        let found = |files: &[(&str, &str)]| {
            let files: Vec<SourceFile> =
                files.iter().map(|(path, text)| SourceFile::new(path, text)).collect();
            check_listeners(&files).iter().map(|finding| finding.path.clone()).collect::<Vec<_>>()
        };
        let (web, binary) = ("crates/actifix-web/src/server.rs", "crates/actifix/src/listen.rs");
        assert!(found(&[(web, bind), (APP, "")]).is_empty());
        assert!(found(&[(web, "fn f() { TcpListener::bind(a); TcpListener::bind(b) }")]).is_empty());
        assert_eq!(found(&[(web, bind), (binary, bind)]), [binary]);
        assert_eq!(found(&[(APP, bind)]), [APP]);
        assert!(found(&[(binary, bind), ("crates/actifix/tests/it/a.rs", bind)]).is_empty());
    }
}
