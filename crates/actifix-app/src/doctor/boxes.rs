//! The boxes of the guide's checklist, but for those that ask the running server alone (`probes`).

use super::facts::{Area, Facts, KeyPlace, RateProbe, TlsProbe};
use super::{Found, Problem, START_IT, counted, named};
use actifix_domain::time::DAY;
use actifix_domain::words::many;
use std::net::IpAddr;

/// Days before its end from which on a certificate is too old: whoever renews by machine does so earlier.
const CERTIFICATE_WARNS_DAYS: i64 = 21;
/// Days before its end from which on nobody seems to renew it.
const CERTIFICATE_FAILS_DAYS: i64 = 7;

pub(super) fn admin_password(facts: &Facts) -> Found {
    let admins = &facts.kept.admins;
    if admins.is_empty() {
        return Found::of(
            vec![Problem::fail(
                "no account of an administrator has a password",
                "run `actifix admin set-password`",
            )],
            "",
        );
    }
    let weak = admins.iter().filter(|admin| admin.is_weak).map(|admin| {
        Problem::fail(
            format!("the password of {} is kept with less work than Argon2id 19 MiB, 2 passes", admin.name),
            format!(
                "set it anew: `actifix admin set-password`, for others `actifix user passwd {}`",
                admin.name
            ),
        )
    });
    let seen = format!(
        "{} with a password (Argon2id, peppered)",
        counted(admins.len(), "administrator", "administrators")
    );
    Found::of(weak.collect(), seen)
}

pub(super) fn secret_backend(facts: &Facts) -> Found {
    let (mut problems, mut seen) = (Vec::new(), String::new());
    match &facts.site.key {
        KeyPlace::Apart(place) => {
            seen = format!("the root key comes from {place}; the configuration holds references only");
        }
        KeyPlace::InHome(path) => problems.push(Problem::fail(
            format!("the root key lies in the home ({path}), beside the data that it seals"),
            "move it with `actifix secrets rotate-key --backend file --key-file /etc/actifix/root.key` (or another backend); if it is a copy only (`actifix secrets status` names the place in use), remove it",
        )),
    }
    for (line, rule) in &facts.site.planted {
        problems.push(Problem::fail(
            format!("line {line} of actifix.toml looks like a secret ({rule})"),
            "keep it with `actifix secrets set NAME`, write `secret:NAME` in its place, and replace it at its issuer: it was readable",
        ));
    }
    Found::of(problems, seen)
}

pub(super) fn secret_scan(facts: &Facts) -> Found {
    const INSTALL: &str = "run `actifix hook install --repo DIR` there, or let its CI run `actifix scan`";
    let repositories = &facts.site.repositories;
    let mut problems = Vec::new();
    if !facts.site.scanner_works {
        problems.push(Problem::fail(
            "the scanner does not find the secrets that it is tried on",
            "install an unchanged build of actifix, then try `actifix scan --stdin`",
        ));
    }
    if repositories.is_empty() {
        problems.push(Problem::fail(
            "no repository is named, and the home lies in none",
            "run `actifix hook install --repo DIR` in each repository, and list their directories in doctor.repositories",
        ));
    }
    for repository in repositories {
        let path = &repository.path;
        if let Some(why) = &repository.unreadable {
            problems.push(Problem::unknown(
                format!("{path}: {why}"),
                "let the server's user read the repository, or correct doctor.repositories",
            ));
        } else if repository.guards.is_empty() {
            problems.push(Problem::fail(format!("{path}: neither a hook nor CI scans its commits"), INSTALL));
        }
    }
    let guards = repositories.iter().flat_map(|repository| &repository.guards);
    Found::of(
        problems,
        format!("commits are scanned by {}; the scanner finds what it is tried on", named(guards)),
    )
}

pub(super) fn db_mode(facts: &Facts) -> Found {
    let problems = wrong_files(facts, Area::Data);
    let all = facts.site.files.iter().filter(|file| file.area == Area::Data).count();
    Found::of(
        problems,
        format!("{} are for their owner only", counted(all, "file or directory", "files and directories")),
    )
}

/// What is wrong with the files of an area.
fn wrong_files(facts: &Facts, area: Area) -> Vec<Problem> {
    let files = facts.site.files.iter().filter(|file| file.area == area);
    files
        .filter_map(|file| Some((&file.path, file.wrong.as_ref()?)))
        .map(|(path, wrong)| {
            Problem::fail(
                format!("{path}: {wrong}"),
                "make directories 0700 and files 0600, owned by the server's user: `chmod -R u=rwX,go= data .actifix` in the home",
            )
        })
        .collect()
}

pub(super) fn tls(facts: &Facts) -> Found {
    let mut problems = tls_problems(facts);
    let mut seen = String::new();
    if problems.is_empty() {
        match certificate(facts) {
            Ok(told) => seen = told,
            Err(problem) => problems.push(problem),
        }
    }
    Found::of(problems, seen)
}

/// The same before the server runs, without a look at the certificate.
pub(super) fn tls_settings(facts: &Facts) -> Found {
    Found::of(tls_problems(facts), "every listener has TLS, or a proxy in front")
}

fn tls_problems(facts: &Facts) -> Vec<Problem> {
    const SET: &str = "set server.public_url to the https address that clients use";
    let site = &facts.site;
    let mut problems = Vec::new();
    match site.public_url.as_deref() {
        None => problems.push(Problem::fail("server.public_url is not set", SET)),
        Some(url) if !url.to_ascii_lowercase().starts_with("https://") => {
            problems.push(Problem::fail("server.public_url is not https", SET));
        }
        Some(_) => {}
    }
    if site.allow_plain_http {
        problems.push(Problem::fail("server.allow_plain_http is set", "remove server.allow_plain_http"));
    }
    for listener in site.listeners.iter().filter(|listener| !listener.tls && !site.trusted_proxies) {
        let who = if listener.is_loopback() {
            "only this machine reaches it, and no proxy is named"
        } else {
            "others reach it in clear"
        };
        problems.push(Problem::fail(
            format!("listeners.{} speaks plain HTTP: {who}", listener.name),
            "set tls of the listener, or server.trusted_proxies to the proxy in front (`actifix proxy-config nginx`)",
        ));
    }
    problems
}

/// What is served at the public address.
fn certificate(facts: &Facts) -> Result<String, Problem> {
    let url = facts.site.public_url.as_deref().unwrap_or_default();
    match facts.site.live.as_ref().map(|live| live.tls.as_ref()) {
        None => Err(Problem::unknown(
            "the settings are right; no server runs, so that no certificate was seen",
            START_IT,
        )),
        Some(None) => Err(Problem::unknown(
            "the running server was started with another server.public_url",
            "restart it, then run `actifix doctor --production` again",
        )),
        Some(Some(TlsProbe::Unreached(why))) => Err(Problem::unknown(
            format!("{url} did not answer from here ({why})"),
            "let this machine reach server.public_url, or look at it from outside: `curl -v`",
        )),
        Some(Some(TlsProbe::Refused(why))) => Err(Problem::fail(
            format!("the certificate at {url} is refused: {why}"),
            "install a certificate of that name with its whole chain (an authority of your own: outbound.extra_ca), then `kill -HUP` the server",
        )),
        Some(Some(TlsProbe::Good { expires_at, protocol })) => {
            let days = expires_at.since(facts.kept.now) / DAY;
            let seen = format!(
                "{url}: chain and name are good, {} left, {protocol}",
                many(days.max(0).cast_unsigned(), "day")
            );
            let advice =
                "renew the certificate; a listener takes the new file over by itself or at `kill -HUP`";
            if days < CERTIFICATE_FAILS_DAYS {
                Err(Problem::fail(seen, advice))
            } else if days < CERTIFICATE_WARNS_DAYS {
                Err(Problem::warn(seen, advice))
            } else {
                Ok(seen)
            }
        }
    }
}

pub(super) fn rate_limit(facts: &Facts) -> Found {
    let mut problems = limit_problems(facts);
    let mut seen = set_limits(facts);
    // What is switched off need not be tried.
    if problems.is_empty() {
        match tried_limit(facts) {
            Ok(tried) => seen = format!("{tried}; {seen}"),
            Err(problem) => problems.push(problem),
        }
    }
    Found::of(problems, seen)
}

/// The same before the server runs, without a try.
pub(super) fn rate_limit_settings(facts: &Facts) -> Found {
    Found::of(limit_problems(facts), set_limits(facts))
}

fn set_limits(facts: &Facts) -> String {
    let set = facts.site.limits.iter().map(|(name, most)| format!("{name} {most}"));
    set.collect::<Vec<_>>().join(", ")
}

fn limit_problems(facts: &Facts) -> Vec<Problem> {
    let site = &facts.site;
    let mut problems = Vec::new();
    if site.rate_limit_disabled {
        problems.push(Problem::fail(
            "ACTIFIX_RATE_LIMIT_DISABLED=1 is set",
            "unset ACTIFIX_RATE_LIMIT_DISABLED and restart",
        ));
    }
    for (name, _) in site.limits.iter().filter(|(_, most)| *most == 0) {
        problems
            .push(Problem::fail(format!("{name} is 0"), format!("remove {name}, so that its default holds")));
    }
    problems
}

/// What became of the try.
fn tried_limit(facts: &Facts) -> Result<String, Problem> {
    let Some(live) = &facts.site.live else {
        return Err(Problem::unknown("the limits are set; no server runs, so that none was tried", START_IT));
    };
    match live.rate {
        RateProbe::Refused { at } => Ok(format!("request {at} of a reserved key was answered with 429")),
        RateProbe::Untried => {
            Err(Problem::unknown("the server did not answer when the limits were tried", START_IT))
        }
        RateProbe::NeverRefused { asked } => Err(Problem::fail(
            format!("{asked} requests of a reserved key, whose limit is lower, were all let through"),
            "look whether something in front answers instead (`actifix logs tail`), and install an unchanged build",
        )),
    }
}

pub(super) fn cors(facts: &Facts) -> Found {
    const ADVICE: &str =
        "list the https origins of your pages in cors.allowed_origins (`kill -HUP` takes it over)";
    let origins = &facts.site.allowed_origins;
    let mut problems = Vec::new();
    if origins.is_empty() {
        problems.push(Problem::fail(
            "cors.allowed_origins is empty: pages of localhost may read answers",
            ADVICE,
        ));
    }
    for origin in origins.iter().filter(|origin| !is_production_origin(origin)) {
        problems.push(Problem::fail(format!("cors.allowed_origins holds {origin}"), ADVICE));
    }
    Found::of(problems, format!("only {} may read answers", named(origins)))
}

fn is_production_origin(origin: &str) -> bool {
    let Some(rest) = origin.strip_prefix("https://") else { return false };
    let host = match rest.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => rest.split(':').next().unwrap_or_default(),
    };
    let loopback = host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    !(loopback || host == "localhost" || host.ends_with(".localhost"))
}

pub(super) fn webhooks(facts: &Facts) -> Found {
    let channels = &facts.kept.webhooks;
    let wrong = channels.iter().filter_map(|(name, wrong)| Some((name, wrong.as_ref()?)));
    let problems = wrong.map(|(name, wrong)| {
        Problem::fail(
            format!("webhook {name}: {wrong}"),
            format!("replace the channel: `actifix webhook remove {name}`, then add it with https"),
        )
    });
    let seen = format!(
        "{}, all of them https to addresses that are allowed",
        counted(channels.len(), "channel is switched on", "channels are switched on")
    );
    Found::of(problems.collect(), seen)
}

pub(super) fn logs(facts: &Facts) -> Found {
    let logs = &facts.site.logs;
    let mut problems = wrong_files(facts, Area::Logs);
    if !logs.is_there {
        problems.push(Problem::unknown("there is no log yet", START_IT));
    }
    if logs.bytes_max == 0 || logs.file_bytes_max == 0 {
        problems
            .push(Problem::fail("the log has no bound", "set retention.logs_bytes_max, such as 500000000"));
    } else if logs.bytes > logs.bytes_max || logs.largest_bytes > logs.file_bytes_max {
        problems.push(Problem::fail(
            format!(
                "the log has {} MiB, its largest file {} MiB: more than the bounds of {} and {} MiB",
                logs.bytes >> 20,
                logs.largest_bytes >> 20,
                logs.bytes_max >> 20,
                logs.file_bytes_max >> 20
            ),
            "remove what is not ours from .actifix/logs, and let the server rotate (no logrotate on that directory)",
        ));
    }
    let closed = logs.closed_at.map_or_else(String::new, |at| format!(", the last one {at}"));
    let seen = format!(
        "{} KiB of at most {} MiB, a new file each {} MiB, {} closed{closed}",
        logs.bytes >> 10,
        logs.bytes_max >> 20,
        logs.file_bytes_max >> 20,
        counted(logs.closed_files, "file", "files")
    );
    Found::of(problems, seen)
}

pub(super) fn backup(facts: &Facts) -> Found {
    let backups = &facts.site.backups;
    let mut problems = wrong_files(facts, Area::Backups);
    if backups.recipients == 0 {
        problems.push(Problem::fail(
            "backup.recipients was empty at the start: no backups are made",
            "run `actifix backup keygen --out FILE`, keep the file on another machine, put the recipient that it prints into backup.recipients, and restart",
        ));
    }
    for file in &backups.plain {
        problems.push(Problem::fail(
            format!("{file} in {} is not encrypted", backups.directory),
            "remove it, and make backups with `actifix backup create` only",
        ));
    }
    for file in &backups.identities {
        problems.push(Problem::fail(
            format!("{file} holds a key by which backups can be read"),
            "move it to another machine: whoever gets this one would read every backup",
        ));
    }
    if let Some(why) = &backups.unreadable {
        problems.push(Problem::unknown(
            format!("{}: {why}", backups.directory),
            "let the server's user read backup.directory",
        ));
    }
    let seen = format!(
        "encrypted for {}; everything in {} is age, and no key to it lies in the home",
        counted(backups.recipients, "recipient", "recipients"),
        backups.directory
    );
    Found::of(problems, seen)
}
