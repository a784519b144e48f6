//! The lockfile against the deny list of `deny.toml`, without cargo-deny and without a network.
//!
//! cargo-deny reads the same list; this makes its floors hold in every test run.

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

use super::Finding;

const RULE_FLOOR: &str = "dependency-floor";
const RULE_SOURCE: &str = "dependency-source";

const LOCKFILE: &str = "Cargo.lock";

/// Denied crates that the lockfile names although nothing builds them: cargo writes down the target of a weak feature
/// (`ring?/alloc`) whether or not it is chosen. Tolerated while this one package alone names them; cargo-deny reads what
/// is really built and holds the ban there.
const NAMED_ONLY: &[(&str, &str)] = &[("ring", "rustls-webpki")];

/// One entry of the deny list.
#[derive(Debug)]
struct Ban<'a> {
    name: &'a str,
    /// Versions below are refused; none: all are.
    floor: Option<Version>,
    reason: &'a str,
}

/// Major, minor, patch. What follows (`-rc.1`, `+zstd.1.5`) does not matter for a floor.
type Version = (u64, u64, u64);

pub fn check(deny: &str, lockfile: &str) -> Result<Vec<Finding>> {
    let deny: Table = deny.parse().context("cannot parse deny.toml")?;
    let bans = bans(&deny)?;
    let lock: Table = lockfile.parse().context("cannot parse Cargo.lock")?;
    let mut findings = Vec::new();
    for package in lock.get("package").and_then(Value::as_array).into_iter().flatten() {
        let field = |name| package.get(name).and_then(Value::as_str);
        let (Some(name), Some(version)) = (field("name"), field("version")) else {
            bail!("Cargo.lock has a package without name or version");
        };
        let line = line_of(lockfile, name, version);
        if field("source").is_some_and(|source| !source.starts_with("registry+")) {
            let why = format!(
                "`{name}` does not come from crates.io; only published versions are reviewed and kept"
            );
            findings.push(Finding::new(LOCKFILE, line, RULE_SOURCE, why));
        }
        let number = parse_version(version).with_context(|| format!("version {version} of {name}"))?;
        if is_named_only(&lock, name) {
            continue;
        }
        for ban in bans.iter().filter(|ban| ban.name == name && ban.floor.is_none_or(|floor| number < floor))
        {
            let why = format!("`{name}` {version} is on the deny list: {}", ban.reason);
            findings.push(Finding::new(LOCKFILE, line, RULE_FLOOR, why));
        }
    }
    Ok(findings)
}

fn is_named_only(lock: &Table, name: &str) -> bool {
    let Some((_, by)) = NAMED_ONLY.iter().find(|(named, _)| *named == name) else { return false };
    let packages = lock.get("package").and_then(Value::as_array).into_iter().flatten();
    let mut users = packages.filter(|package| {
        let list = package.get("dependencies").and_then(Value::as_array).into_iter().flatten();
        // `name`, or `name version` where there are several.
        list.filter_map(Value::as_str).any(|entry| entry.split(' ').next() == Some(name))
    });
    users.all(|user| user.get("name").and_then(Value::as_str) == Some(*by))
}

fn bans(deny: &Table) -> Result<Vec<Ban<'_>>> {
    let list = deny.get("bans").and_then(|bans| bans.get("deny")).and_then(Value::as_array);
    list.context("deny.toml has no [bans] deny list")?.iter().map(ban).collect()
}

fn ban(entry: &Value) -> Result<Ban<'_>> {
    let field = |name: &str| {
        let text = entry.get(name).and_then(Value::as_str);
        text.with_context(|| format!("an entry of the deny list has no `{name}`: {entry}"))
    };
    let (spec, reason) = (field("crate")?, field("reason")?);
    let (name, floor) = match spec.split_once('@') {
        None => (spec, None),
        Some((name, range)) => {
            let version = range.strip_prefix('<').and_then(parse_version);
            (name, Some(version.with_context(|| format!("`{spec}`: write `name` or `name@<1.2.3`"))?))
        }
    };
    Ok(Ban { name, floor, reason })
}

fn parse_version(text: &str) -> Option<Version> {
    let numbers = text.split(['-', '+']).next()?;
    let mut parts = numbers.split('.').map(|part| part.parse::<u64>().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}

fn line_of(lockfile: &str, name: &str, version: &str) -> usize {
    let (name, version) = (format!("name = \"{name}\""), format!("version = \"{version}\""));
    let mut pairs = lockfile.lines().zip(lockfile.lines().skip(1));
    pairs.position(|(first, second)| first == name && second == version).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENY: &str = r#"
        [bans]
        deny = [
            { crate = "h2@<0.4.16", reason = "floods" },
            { crate = "openssl", reason = "TLS is rustls" },
        ]
    "#;

    fn rules(packages: &[(&str, &str, &str)]) -> Vec<(&'static str, usize)> {
        let package = |(name, version, source): &(&str, &str, &str)| {
            format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nsource = \"{source}\"\n")
        };
        let findings = check(DENY, &packages.iter().map(package).collect::<String>()).unwrap();
        findings.iter().map(|finding| (finding.rule, finding.line)).collect()
    }

    const CRATES_IO: &str = "registry+index";

    #[test]
    fn versions_below_the_floor_are_refused_at_their_line() {
        let found =
            rules(&[("h2", "0.4.16", CRATES_IO), ("h2", "0.4.15", CRATES_IO), ("h2", "0.3.99", CRATES_IO)]);
        assert_eq!(found, [(RULE_FLOOR, 6), (RULE_FLOOR, 10)]);
        assert_eq!(
            rules(&[("h2", "0.4.16+x", CRATES_IO), ("h2", "0.10.0", CRATES_IO), ("h3", "0.1.0", CRATES_IO)]),
            []
        );
    }

    #[test]
    fn banned_crates_are_refused_in_every_version() {
        assert_eq!(rules(&[("openssl", "99.0.0", CRATES_IO)]), [(RULE_FLOOR, 2)]);
    }

    #[test]
    fn a_weak_feature_names_a_banned_crate_without_building_it() {
        let deny = "[bans]\ndeny = [{ crate = \"ring\", reason = \"aws-lc-rs\" }]";
        let package = |name: &str, on: &str| {
            format!("[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\ndependencies = [{on}]\n")
        };
        let lock = package("ring", "") + &package("rustls-webpki", "\"ring\"");
        assert!(check(deny, &lock).unwrap().is_empty());
        let lock = lock + &package("other", "\"ring 1.0.0\"");
        assert_eq!(check(deny, &lock).unwrap().len(), 1);
    }

    #[test]
    fn sources_other_than_the_registry_are_refused() {
        assert_eq!(rules(&[("a", "1.0.0", "git+somewhere")]), [(RULE_SOURCE, 2)]);
    }

    #[test]
    fn an_entry_that_tidy_cannot_check_is_an_error() {
        let deny = "[bans]\ndeny = [{ crate = \"h2@^0.3\", reason = \"x\" }]";
        assert!(check(deny, "").unwrap_err().to_string().contains("name@<1.2.3"));
        assert!(check("[bans]\ndeny = [{ crate = \"h2\" }]", "").unwrap_err().to_string().contains("reason"));
    }

    /// Advisories about crates that this program uses or would use: below the named version, or never.
    #[test]
    fn every_advisory_of_the_threat_model_has_its_floor() {
        let deny = crate::workspace::Workspace::locate().unwrap().read("deny.toml").unwrap();
        for (advisory, package, bad) in [
            ("RUSTSEC-2026-0258", "h2", "0.4.15"),
            ("RUSTSEC-2025-0055", "tracing-subscriber", "0.3.19"),
            ("RUSTSEC-2024-0363", "sqlx", "0.8.0"),
            ("RUSTSEC-2024-0433", "age", "0.11.0"),
            ("RUSTSEC-2026-0178", "tokio-postgres", "0.7.17"),
            ("RUSTSEC-2024-0421", "idna", "0.5.0"),
            ("RUSTSEC-2026-0009", "time", "0.3.46"),
            ("RUSTSEC-2026-0007", "bytes", "1.11.0"),
            ("CVE-2026-25537", "jsonwebtoken", "10.2.0"),
        ] {
            let line = deny.lines().find(|line| line.contains(advisory)).unwrap_or_default();
            assert!(line.contains(&format!("\"{package}")), "{advisory} is not among the bans");
            let lock =
                format!("[[package]]\nname = \"{package}\"\nversion = \"{bad}\"\nsource = \"{CRATES_IO}\"\n");
            let found = check(&deny, &lock).unwrap();
            assert_eq!(found.len(), 1, "{package} {bad} would pass");
        }
    }
}
