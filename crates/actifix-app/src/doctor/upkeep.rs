//! What the store tells: tokens, the audit log, backups, damage, alerts.

use super::facts::{Facts, RuleFact};
use super::{Found, Problem, counted, hours, named};
use crate::tokens::WARNED_DAYS;
use actifix_domain::time::{DAY, HOUR};
use actifix_domain::words::many;

/// Oldest engine that loses nothing: earlier ones can lose commits when two connections share a write-ahead log.
pub(super) const ENGINE_MIN: [u32; 3] = [3, 51, 3];
/// Hours after which a look for damage is late; one is made each day.
const INTEGRITY_HOURS_MAX: i64 = 50;
/// Failures in a row from which on a channel is taken to be broken.
const STREAK_FAILS: u32 = 5;
/// Time between two backups where none are configured.
const BACKUP_EVERY_HOURS: u32 = 24;

/// Warns: a token that ends is no reason not to start.
pub(super) fn token_expiry(facts: &Facts) -> Found {
    let problems = facts.kept.ending_tokens.iter().map(|token| {
        Problem::warn(
            format!("token {} ends in {} h", token.name, token.hours_left),
            format!("run `actifix token rotate {} --overlap 24h`", token.id),
        )
    });
    let [days, ..] = WARNED_DAYS;
    Found::of(problems.collect(), format!("no token ends within {days} days without a successor"))
}

pub(super) fn audit_chain(facts: &Facts) -> Found {
    const ADVICE: &str = "run `actifix audit verify`, keep the files as they are, and follow docs/ADMIN_AUTHENTICATION.md; after a restore: `actifix audit verify --renew-witness`";
    let Some(report) = &facts.kept.audit else {
        return Found::of(vec![Problem::unknown("the log was not read", "run `actifix audit verify`")], "");
    };
    if report.intact {
        let witnessed = report.witnessed.map_or_else(
            || "no witness".to_owned(),
            |row| format!("witnessed outside the database to row {row}"),
        );
        return Found::pass(format!(
            "{}, {} to {}, {witnessed}",
            many(report.rows, "row"),
            report.first,
            report.last
        ));
    }
    let faults = report.faults.iter();
    let problems: Vec<Problem> = faults
        .map(|fault| Problem::fail(format!("{} at row {}: {}", fault.kind, fault.seq, fault.message), ADVICE))
        .collect();
    if problems.is_empty() {
        return Found::of(vec![Problem::fail("the log is not intact", ADVICE)], "");
    }
    Found::of(problems, "")
}

pub(super) fn backup_verified(facts: &Facts) -> Found {
    const CREATE: &str = "run `actifix backup create`, then `actifix backup verify`";
    let kept = &facts.kept;
    let every = i64::from(kept.backup_every_hours.unwrap_or(BACKUP_EVERY_HOURS));
    let Some(newest) = kept.backups.first() else {
        let advice = format!("set backup.recipients (`actifix backup keygen --out FILE`), then {CREATE}");
        return Found::of(vec![Problem::fail("there is no backup", advice)], "");
    };
    let mut problems = Vec::new();
    if let Some(why) = &newest.problem {
        problems.push(Problem::fail(format!("{} cannot be restored: {why}", newest.file.name), CREATE));
    } else if newest.verified_at.is_none() {
        problems.push(Problem::fail(
            format!("{} was never restored on trial", newest.file.name),
            "run `actifix backup verify`",
        ));
    }
    let age = kept.now.since(newest.file.created_at);
    // One may fail and be tried again before somebody has to look.
    if age > 2 * every * HOUR {
        problems.push(Problem::fail(
            format!("the newest backup is {} h old; one is due each {every} h", hours(age)),
            CREATE,
        ));
    }
    if kept.root_key_since.is_some_and(|since| newest.file.created_at < since && since <= kept.now) {
        problems.push(Problem::fail(
            "the root key was changed after the newest backup: with the present one alone no backup opens",
            format!("keep the former root key, {CREATE}, and copy the new backup where the others are"),
        ));
    }
    let seen = format!("{}, {} h old, restored on trial and found whole", newest.file.name, hours(age));
    Found::of(problems, seen)
}

pub(super) fn integrity(facts: &Facts) -> Found {
    const WAIT: &str =
        "let the server run: it looks through everything once a day, and once after its first start";
    let Some(last) = facts.kept.integrity else {
        return Found::of(vec![Problem::unknown("nobody has looked for damage yet", WAIT)], "");
    };
    let age = facts.kept.now.since(last.at);
    if !last.intact {
        let advice = "stop the server, keep its files for analysis, and run `actifix backup restore` with a verified backup (docs/backups.md)";
        let evidence = format!("the look for damage {} h ago found some", hours(age));
        return Found::of(vec![Problem::fail(evidence, advice)], "");
    }
    if age > INTEGRITY_HOURS_MAX * HOUR {
        return Found::of(
            vec![Problem::warn(format!("the last look for damage was {} d ago", age / DAY), WAIT)],
            "",
        );
    }
    Found::pass(format!("looked through {} h ago, nothing is damaged", hours(age)))
}

pub(super) fn sqlite_version(facts: &Facts) -> Found {
    let found = &facts.kept.engine_version;
    let least = ENGINE_MIN.map(|part| part.to_string()).join(".");
    match version(found) {
        Some(parts) if parts >= ENGINE_MIN => {
            Found::pass(format!("SQLite {found}; {least} or later is needed"))
        }
        Some(_) => Found::of(
            vec![Problem::fail(
                format!("SQLite {found} can lose committed data; {least} or later is needed"),
                "install a build of actifix with the bundled SQLite",
            )],
            "",
        ),
        None => Found::of(
            vec![Problem::unknown(
                format!("the version of SQLite cannot be read: {found:?}"),
                "install a build of actifix with the bundled SQLite",
            )],
            "",
        ),
    }
}

/// `3.51.3` as numbers.
pub(super) fn version(text: &str) -> Option<[u32; 3]> {
    let mut parts = text.split('.').map(str::parse);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch))) => Some([major, minor, patch]),
        _ => None,
    }
}

pub(super) fn webhook_delivery(facts: &Facts) -> Found {
    let mut problems = Vec::new();
    for channel in &facts.kept.channels {
        let name = &channel.name;
        if let Some(why) = channel.disabled_reason.as_ref().filter(|_| !channel.enabled) {
            problems.push(Problem::fail(
                format!("webhook {name} was switched off: {why}"),
                format!("mend the receiver, then `actifix webhook enable {name}` and `actifix webhook test {name}`"),
            ));
        } else if channel.enabled && channel.streak > 0 {
            let last = channel.last_failure.as_deref().unwrap_or("not told");
            let evidence = format!(
                "webhook {name} failed {} in a row, last: {last}",
                many(channel.streak.into(), "time")
            );
            let advice = format!(
                "run `actifix webhook deliveries {name}`, mend the receiver, then `actifix webhook test {name}`"
            );
            problems.push(if channel.streak >= STREAK_FAILS {
                Problem::fail(evidence, advice)
            } else {
                Problem::warn(evidence, advice)
            });
        }
    }
    let enabled = facts.kept.channels.iter().filter(|channel| channel.enabled).count();
    Found::of(problems, format!("{}, none of them failing", counted(enabled, "channel", "channels")))
}

/// Rules that reach nobody any more: whoever trusts them hears nothing.
pub(super) fn alert_rules(facts: &Facts) -> Found {
    let open: Vec<_> = facts.kept.channels.iter().filter(|channel| channel.enabled).collect();
    if open.is_empty() {
        let advice = "add a channel: `actifix webhook add NAME --stdin`, then `actifix webhook test NAME`";
        return Found::of(
            vec![Problem::warn("no channel is switched on: nobody is told of anything", advice)],
            "",
        );
    }
    let rules = &facts.kept.rules;
    let reaches = |rule: &RuleFact| {
        open.iter().any(|channel| {
            let meant = rule.channels.is_empty() || rule.channels.contains(&channel.name);
            meant && (channel.project.is_none() || rule.project.is_none() || channel.project == rule.project)
        })
    };
    let mut problems = Vec::new();
    for rule in rules.iter().filter(|rule| rule.enabled) {
        let name = &rule.name;
        if rule.project_is_gone {
            problems.push(Problem::warn(
                format!("alert rule {name} is for a project that is gone"),
                format!("remove it: `actifix webhook rule remove {name}`"),
            ));
        } else if !reaches(rule) {
            problems.push(Problem::warn(
                format!("alert rule {name} reaches no channel that is switched on ({})", named(&rule.channels)),
                format!("name one that is (`actifix webhook list`), or remove it: `actifix webhook rule remove {name}`"),
            ));
        }
    }
    let enabled = rules.iter().filter(|rule| rule.enabled).count();
    if enabled == 0 {
        problems.push(Problem::warn(
            "every alert rule is switched off",
            "remove them, so that the defaults hold (`actifix webhook rule list`)",
        ));
    }
    Found::of(
        problems,
        format!(
            "{} by {}",
            counted(enabled, "rule speaks", "rules speak"),
            named(open.iter().map(|channel| &channel.name))
        ),
    )
}
