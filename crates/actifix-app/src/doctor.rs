//! Whether a deployment is as the hardening guide says: one check per line, each with its evidence.
//!
//! `serve --production` refuses to start on a failed static check. Facts are gathered by the binary; what they mean is
//! decided here, so that each check can be broken by a test.

use crate::app::App;
use crate::error::Result;
use serde::Serialize;

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// It holds, but not as well as it could.
    Warn,
    /// It cannot be told; never taken for a pass.
    Unknown,
}

/// One line of the checklist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable name.
    pub id: &'static str,
    /// What should hold.
    pub title: &'static str,
    /// Whether it does.
    pub state: State,
    /// What was looked at, and what was seen. Never a secret.
    pub evidence: String,
    /// What to do; empty when it passes.
    pub advice: String,
}

impl Check {
    fn of(id: &'static str, title: &'static str, problems: Vec<(String, String)>, seen: String) -> Self {
        if problems.is_empty() {
            return Self { id, title, state: State::Pass, evidence: seen, advice: String::new() };
        }
        let (evidence, mut advice): (Vec<String>, Vec<String>) = problems.into_iter().unzip();
        advice.dedup();
        Self { id, title, state: State::Fail, evidence: evidence.join("; "), advice: advice.join("; ") }
    }
}

/// Where the root key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// The environment, a file elsewhere, or a credential store: named for people.
    Apart(String),
    /// A file within the home, where backups and copies of the home take it along.
    InHome(String),
}

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerFact {
    /// Its name.
    pub name: String,
    /// Only this machine can reach it.
    pub loopback: bool,
    /// It speaks TLS.
    pub tls: bool,
}

/// What the binary knows without asking anybody.
#[derive(Clone, Debug)]
pub struct StaticFacts {
    /// An administrator has a password.
    pub admin_password: bool,
    /// Where the root key is.
    pub key: KeyPlace,
    /// Files and directories that hold data, with what is wrong with each, if anything.
    pub files: Vec<(String, Option<String>)>,
    /// Listeners.
    pub listeners: Vec<ListenerFact>,
    /// `server.public_url`, if it is set.
    pub public_url: Option<String>,
    /// A trusted proxy is named.
    pub trusted_proxies: bool,
    /// `server.allow_plain_http`
    pub allow_plain_http: bool,
    /// `ACTIFIX_RATE_LIMIT_DISABLED=1`
    pub rate_limit_disabled: bool,
    /// `cors.allowed_origins`
    pub allowed_origins: Vec<String>,
    /// Tokens that end within [`crate::tokens::WARNED_DAYS`] and were not replaced: name, and hours left.
    pub ending_tokens: Vec<(String, i64)>,
    /// Channels of alerts that are switched on, and what is wrong with the address of each.
    pub webhooks: Vec<(String, Option<String>)>,
}

/// The checks that need nothing but the configuration and the files, in the order of the guide.
pub fn static_checks(facts: &StaticFacts) -> Vec<Check> {
    vec![
        admin_password(facts),
        secret_backend(facts),
        db_mode(facts),
        tls(facts),
        rate_limit(facts),
        cors(facts),
        webhooks(facts),
        token_expiry(facts),
    ]
}

fn problem(evidence: impl Into<String>, advice: impl Into<String>) -> (String, String) {
    (evidence.into(), advice.into())
}

fn admin_password(facts: &StaticFacts) -> Check {
    let mut problems = Vec::new();
    if !facts.admin_password {
        problems.push(problem(
            "no account of an administrator has a password",
            "run `actifix admin set-password`",
        ));
    }
    Check::of(
        "admin_password",
        "an admin password is set",
        problems,
        "an administrator has a password".to_owned(),
    )
}

fn secret_backend(facts: &StaticFacts) -> Check {
    let (mut problems, mut seen) = (Vec::new(), String::new());
    match &facts.key {
        KeyPlace::Apart(place) => seen = format!("the root key comes from {place}"),
        KeyPlace::InHome(path) => problems.push(problem(
            format!("the root key lies in the home ({path}), beside the data that it seals"),
            "move it with `actifix secrets rotate-key --backend file --key-file /etc/actifix/root.key` (or another backend); if it is a copy only (`actifix secrets status` names the place in use), remove it",
        )),
    }
    Check::of("secret_backend", "secrets are sealed under a key that is kept apart", problems, seen)
}

fn db_mode(facts: &StaticFacts) -> Check {
    let problems = facts
        .files
        .iter()
        .filter_map(|(path, wrong)| wrong.as_ref().map(|wrong| (path, wrong)))
        .map(|(path, wrong)| {
            problem(
                format!("{path}: {wrong}"),
                "make files 0600 and directories 0700, owned by the server's user",
            )
        })
        .collect();
    let seen = format!("{} files and directories are for their owner only", facts.files.len());
    Check::of("db_mode", "the database and all other data are for the owner only", problems, seen)
}

fn tls(facts: &StaticFacts) -> Check {
    let mut problems = Vec::new();
    match facts.public_url.as_deref() {
        None => problems.push(problem(
            "server.public_url is not set",
            "set server.public_url to the https address that clients use",
        )),
        Some(url) if !url.to_ascii_lowercase().starts_with("https://") => {
            problems.push(problem(
                "server.public_url is not https",
                "set server.public_url to the https address that clients use",
            ));
        }
        Some(_) => {}
    }
    if facts.allow_plain_http {
        problems.push(problem("server.allow_plain_http is set", "remove server.allow_plain_http"));
    }
    for listener in facts.listeners.iter().filter(|listener| !listener.tls && !facts.trusted_proxies) {
        let who = if listener.loopback {
            "only this machine reaches it, and no proxy is named"
        } else {
            "others reach it in clear"
        };
        problems.push(problem(
            format!("listeners.{} speaks plain HTTP: {who}", listener.name),
            "set tls of the listener, or server.trusted_proxies to the proxy in front (`actifix proxy-config nginx`)",
        ));
    }
    let seen = format!(
        "public address {}, {} listeners behind TLS",
        facts.public_url.as_deref().unwrap_or_default(),
        facts.listeners.len()
    );
    Check::of("tls", "clients come over HTTPS only", problems, seen)
}

fn rate_limit(facts: &StaticFacts) -> Check {
    let mut problems = Vec::new();
    if facts.rate_limit_disabled {
        problems.push(problem("ACTIFIX_RATE_LIMIT_DISABLED=1 is set", "unset ACTIFIX_RATE_LIMIT_DISABLED"));
    }
    Check::of(
        "rate_limit",
        "rates are limited",
        problems,
        "every limit is set and none is switched off".to_owned(),
    )
}

fn cors(facts: &StaticFacts) -> Check {
    const ADVICE: &str = "list the https origins of your pages in cors.allowed_origins";
    let mut problems = Vec::new();
    if facts.allowed_origins.is_empty() {
        problems.push(problem("cors.allowed_origins is empty: pages of localhost may read answers", ADVICE));
    }
    for origin in facts.allowed_origins.iter().filter(|origin| !is_production_origin(origin)) {
        problems.push(problem(format!("cors.allowed_origins holds {origin}"), ADVICE));
    }
    let seen = format!("{} https origins are listed", facts.allowed_origins.len());
    Check::of("cors", "only listed https origins may read answers", problems, seen)
}

fn is_production_origin(origin: &str) -> bool {
    let Some(rest) = origin.strip_prefix("https://") else { return false };
    let host = match rest.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => rest.split(':').next().unwrap_or_default(),
    };
    let loopback = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    !(loopback || host == "localhost" || host.ends_with(".localhost"))
}

fn webhooks(facts: &StaticFacts) -> Check {
    let wrong = facts.webhooks.iter().filter_map(|(name, wrong)| Some((name, wrong.as_ref()?)));
    let problems = wrong
        .map(|(name, wrong)| {
            let advice =
                format!("replace the channel: `actifix webhook remove {name}`, then add it with https");
            problem(format!("webhook {name}: {wrong}"), advice)
        })
        .collect();
    let seen = format!(
        "{} channels are switched on, all of them https to addresses that are allowed",
        facts.webhooks.len()
    );
    Check::of("webhooks", "webhook addresses are https", problems, seen)
}

/// Warns: a token that ends is no reason not to start.
fn token_expiry(facts: &StaticFacts) -> Check {
    let problems = facts.ending_tokens.iter().map(|(name, hours)| {
        problem(format!("token {name} ends in {hours} h"), "run `actifix token rotate ID --overlap 24h`")
    });
    let seen = "no token ends within 14 days".to_owned();
    let mut check = Check::of("token_expiry", "tokens are rotated before they end", problems.collect(), seen);
    if check.state == State::Fail {
        check.state = State::Warn;
    }
    check
}

impl App {
    /// Whether an administrator has a password, without which the server does not leave loopback.
    pub async fn admin_password_set(&self) -> Result<bool> {
        self.has_admin().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> StaticFacts {
        StaticFacts {
            admin_password: true,
            key: KeyPlace::Apart("ACTIFIX_MASTER_KEY_FILE".into()),
            files: vec![("data/actifix.db".into(), None)],
            listeners: vec![
                ListenerFact { name: "a".into(), loopback: true, tls: false },
                ListenerFact { name: "b".into(), loopback: false, tls: true },
            ],
            public_url: Some("https://errors.example.net".into()),
            trusted_proxies: true,
            allow_plain_http: false,
            rate_limit_disabled: false,
            allowed_origins: vec!["https://errors.example.net".into()],
            ending_tokens: Vec::new(),
            webhooks: vec![("ops".into(), None)],
        }
    }

    fn failed(facts: &StaticFacts) -> Vec<&'static str> {
        let checks = static_checks(facts);
        assert_eq!(checks.len(), 8);
        for check in &checks {
            assert_eq!(check.state == State::Pass, check.advice.is_empty(), "{check:?}");
            assert!(!check.evidence.is_empty(), "{check:?}");
        }
        checks.into_iter().filter(|check| check.state != State::Pass).map(|check| check.id).collect()
    }

    #[test]
    fn breaking_one_line_fails_exactly_its_check() {
        assert_eq!(failed(&good()), Vec::<&str>::new());
        type Break = fn(&mut StaticFacts);
        let breaks: [(&str, Break); 16] = [
            ("admin_password", |facts| facts.admin_password = false),
            ("secret_backend", |facts| facts.key = KeyPlace::InHome(".actifix/root.key".into())),
            ("db_mode", |facts| facts.files.push(("data/actifix.db-wal".into(), Some("mode 0644".into())))),
            ("tls", |facts| facts.public_url = None),
            ("tls", |facts| facts.public_url = Some("http://errors.example.net".into())),
            ("tls", |facts| facts.allow_plain_http = true),
            ("tls", |facts| facts.trusted_proxies = false),
            ("rate_limit", |facts| facts.rate_limit_disabled = true),
            ("cors", |facts| facts.allowed_origins.clear()),
            ("cors", |facts| facts.allowed_origins.push("http://errors.example.net".into())),
            ("cors", |facts| facts.allowed_origins.push("https://localhost:3000".into())),
            ("cors", |facts| facts.allowed_origins.push("https://[::1]".into())),
            ("cors", |facts| facts.allowed_origins.push("https://127.0.0.9:1".into())),
            ("cors", |facts| facts.allowed_origins.push("https://app.localhost".into())),
            ("token_expiry", |facts| facts.ending_tokens.push(("ci".into(), 30))),
            ("webhooks", |facts| facts.webhooks.push(("x".into(), Some("only https".into())))),
        ];
        for (id, break_it) in breaks {
            let mut facts = good();
            break_it(&mut facts);
            assert_eq!(failed(&facts), [id]);
        }
    }
}
