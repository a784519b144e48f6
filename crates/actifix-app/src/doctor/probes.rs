//! What the running server answers, held against the policy. The policy is written down here once more, and not taken
//! from the code that sets the headers: who changes one must see the other fail.

use super::facts::{Answer, Facts};
use super::{Found, Problem, START_IT, named};
use actifix_domain::words::many;
use std::collections::BTreeSet;

/// Fields that every answer has, once, with this value.
const EXACT: [(&str, &str); 4] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
];
/// Seconds of HSTS that are enough: two years.
const HSTS_SECONDS_MIN: u64 = 63_072_000;
/// Different statuses that must have been seen before anything is believed.
const STATUSES_MIN: usize = 8;
const POLICY: &str = "content-security-policy";
const HSTS: &str = "strict-transport-security";

pub(super) fn headers(facts: &Facts) -> Found {
    let Some(live) = &facts.site.live else {
        return Found::of(vec![Problem::unknown("no server runs, so that no answer was seen", START_IT)], "");
    };
    let mut problems: Vec<Problem> = live
        .silent
        .iter()
        .map(|why| {
            Problem::unknown(
                why.clone(),
                "let this machine reach its own addresses, then run `actifix doctor` again",
            )
        })
        .collect();
    for answer in &live.answers {
        let wrong = wrong_headers(answer);
        if !wrong.is_empty() {
            problems.push(Problem::fail(
                format!("{} {} ({}): {}", answer.place, answer.asked, answer.status, wrong.join(", ")),
                "let the proxy pass headers on as they are (`actifix proxy-config nginx` or `caddy` prints how)",
            ));
        }
    }
    let statuses: BTreeSet<u16> = live.answers.iter().map(|answer| answer.status).collect();
    if statuses.len() < STATUSES_MIN {
        problems.push(Problem::unknown(
            format!("only {} different statuses were answered", statuses.len()),
            "let a listener carry the API (`listeners.*.modules`), and look at what stands between",
        ));
    }
    let places: BTreeSet<&str> = live.answers.iter().map(|answer| answer.place.as_str()).collect();
    let statuses = statuses.iter().map(u16::to_string).collect::<Vec<_>>().join(" ");
    Found::of(
        problems,
        format!(
            "{} answers by {}, statuses {statuses}: each has the whole policy once",
            live.answers.len(),
            named(places)
        ),
    )
}

/// What is wrong with the headers of an answer.
fn wrong_headers(answer: &Answer) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, value) in EXACT {
        match answer.values(name).as_slice() {
            [only] if *only == value => {}
            found => wrong.push(amiss(name, found)),
        }
    }
    match answer.values(POLICY).as_slice() {
        [only] => wrong.extend(wrong_policy(only)),
        found => wrong.push(amiss(POLICY, found)),
    }
    match (answer.values(HSTS).as_slice(), answer.https) {
        ([only], true) if is_long(only) => {}
        ([], false) => {}
        ([_, ..], false) => wrong.push(format!("{HSTS} over plain HTTP")),
        (found, true) => wrong.push(amiss(HSTS, found)),
    }
    wrong
}

fn amiss(name: &str, found: &[&str]) -> String {
    match found {
        [] => format!("no {name}"),
        [one] => format!("{name} is {:?}", one.chars().take(60).collect::<String>()),
        more => format!("{name} {}", many(more.len() as u64, "time")),
    }
}

fn is_long(hsts: &str) -> bool {
    let mut parts = hsts.split(';').map(str::trim);
    let age =
        parts.next().and_then(|part| part.strip_prefix("max-age=")).and_then(|text| text.parse::<u64>().ok());
    age.is_some_and(|age| age >= HSTS_SECONDS_MIN)
        && parts.any(|part| part.eq_ignore_ascii_case("includeSubDomains"))
}

/// Nothing inline, nobody else's, in no frame.
fn wrong_policy(policy: &str) -> Option<String> {
    let directives: Vec<Vec<&str>> =
        policy.split(';').map(|directive| directive.split_whitespace().collect()).collect();
    let only_none = |name: &str| directives.iter().any(|words| words.as_slice() == [name, "'none'"]);
    for name in ["default-src", "frame-ancestors", "base-uri"] {
        if !only_none(name) {
            return Some(format!("{POLICY} without {name} 'none'"));
        }
    }
    let sources = directives.iter().flat_map(|words| words.iter().skip(1));
    let loose = sources.into_iter().find(|source| !matches!(**source, "'none'" | "'self'"));
    loose.map(|source| format!("{POLICY} lets {source} in"))
}

pub(super) fn exposure(facts: &Facts) -> Found {
    const NARROW: &str = "bind 127.0.0.1 behind the proxy (`actifix proxy-config nginx`), or the one address that the firewall guards; to be open for SDKs alone: listeners.*.modules = [\"ingest\"]";
    let site = &facts.site;
    let mut problems = Vec::new();
    for listener in site.listeners.iter().filter(|listener| !listener.is_loopback() && listener.serves_people)
    {
        let (name, address) = (&listener.name, listener.address);
        problems.push(if listener.is_everywhere() {
            Problem::fail(format!("listeners.{name} carries the API on every address ({address})"), NARROW)
        } else {
            Problem::warn(
                format!("listeners.{name} carries the API on {address}; whether a firewall limits who reaches it cannot be told"),
                NARROW,
            )
        });
    }
    match &site.live {
        None => problems
            .push(Problem::unknown("no server runs, so that its sockets were not looked at", START_IT)),
        Some(live) => {
            for listener in &live.leaking {
                problems.push(Problem::fail(
                    format!("{listener} is for this machine alone, and answers on an address of the network"),
                    "look for what passes it on (`ss -ltnp`, `iptables -t nat -L`), and end that",
                ));
            }
            match &live.sockets {
                None => problems.push(Problem::unknown(
                    "the system does not tell which sockets this process has",
                    "run the server on Linux with /proc mounted",
                )),
                Some(sockets) => {
                    let known = |socket: &std::net::SocketAddr| {
                        site.listeners.iter().any(|listener| listener.address.port() == socket.port())
                    };
                    for socket in sockets.iter().filter(|socket| !known(socket)) {
                        problems.push(Problem::fail(
                            format!(
                                "this process listens on {socket}, which no listener of the configuration is"
                            ),
                            "restart the server; if it is there again, install an unchanged build of actifix",
                        ));
                    }
                }
            }
        }
    }
    let listeners = site.listeners.iter().map(|listener| {
        let how = if listener.is_loopback() { "this machine only" } else { "the network" };
        format!("{} {} ({how})", listener.name, listener.address)
    });
    let tried = site.live.as_ref().map_or(0, |live| live.tried_from);
    Found::of(problems, format!("{}; tried from {tried} addresses of the network", named(listeners)))
}
