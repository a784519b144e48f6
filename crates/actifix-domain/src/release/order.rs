//! Order of releases: which of two is the later one (`product.md`, status).

use super::RELEASE_CHARS_MAX;
use crate::time::Timestamp;
use std::cmp::Ordering;

/// Longest release name that is compared by version, in bytes: any valid one.
const RELEASE_BYTES_MAX: usize = RELEASE_CHARS_MAX * char::MAX_LEN_UTF8;
/// Most numbers in a version (`1.2.3.4`).
const NUMBERS_MAX: usize = 4;

/// Compares two releases as semantic versions: `1.2.3`, `v1.2.3-rc.1`, `web@5.1.0`, `2026.11.24`, `1.2`.
///
/// Two to four numbers, an optional pre-release (earlier than the version without one, its parts compared as semver
/// 2.0.0 §11 says) and build metadata, which does not order. A package name before `@` must be the same on both
/// sides or missing on one. None: these two are not comparable by version (a commit id, another package), so first
/// seen decides. A single number is no version: it may be a short commit id.
pub fn compare(a: &str, b: &str) -> Option<Ordering> {
    if a == b {
        return Some(Ordering::Equal);
    }
    let (package_a, a) = split_package(a);
    let (package_b, b) = split_package(b);
    if let (Some(package_a), Some(package_b)) = (package_a, package_b)
        && package_a != package_b
    {
        return None;
    }
    Some(Version::parse(a)?.order(&Version::parse(b)?))
}

/// Whether `release` is later than `border`: by version, and where that is the same by the number of the build
/// (`web@1.2.3+46`). None: their names do not tell, so whichever was known first is the earlier one.
pub fn is_after(release: &str, border: &str) -> Option<bool> {
    if release == border {
        return Some(false);
    }
    match compare(release, border)? {
        Ordering::Equal => match (Build::of(release), Build::of(border)) {
            (Build::None, Build::None) => Some(false),
            (Build::Number(ours), Build::Number(theirs)) => Some(ours > theirs),
            _ => None,
        },
        order => Some(order == Ordering::Greater),
    }
}

/// The latest of the releases that a project knows, each with the time at which it was first seen. With `like`, the
/// release of what it is asked for, the latest of those that can be compared with that one: a project may build
/// several packages. Where names do not tell, the one that was seen last.
pub fn latest<'a>(known: &[(&'a str, Timestamp)], like: Option<&str>) -> Option<&'a str> {
    let (newest, _) = known.iter().max_by_key(|(_, first_seen)| *first_seen)?;
    let alike = like.and_then(|like| {
        Version::parse(split_package(like).1)?;
        known.iter().find(|(name, _)| compare(name, like).is_some())
    });
    let start = alike.map_or(*newest, |(name, _)| *name);
    let later = |latest, (name, _): &(&'a str, Timestamp)| {
        if is_after(name, latest) == Some(true) { *name } else { latest }
    };
    Some(known.iter().fold(start, later))
}

/// What follows the `+` of a version.
enum Build {
    None,
    Number(u64),
    Text,
}

impl Build {
    fn of(release: &str) -> Self {
        match split_package(release).1.split_once('+') {
            None => Self::None,
            Some((_, build)) => number(build).map_or(Self::Text, Self::Number),
        }
    }
}

fn split_package(release: &str) -> (Option<&str>, &str) {
    match release.rsplit_once('@') {
        Some((package, version)) if !package.is_empty() => (Some(package), version),
        _ => (None, release),
    }
}

struct Version<'a> {
    numbers: [u64; NUMBERS_MAX],
    pre: Option<&'a str>,
}

impl<'a> Version<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        if text.len() > RELEASE_BYTES_MAX {
            return None;
        }
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let text = text.split_once('+').map_or(text, |(version, _build)| version);
        if let Some(numbers) = day(text) {
            return Some(Self { numbers, pre: None });
        }
        let (core, pre) = match text.split_once('-') {
            Some((core, pre)) => (core, Some(pre)),
            None => (text, None),
        };
        let mut numbers = [0; NUMBERS_MAX];
        let mut count = 0;
        for part in core.split('.') {
            *numbers.get_mut(count)? = number(part)?;
            count += 1;
        }
        let pre_is_valid = pre.is_none_or(|pre| {
            pre.split('.')
                .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
        });
        (count >= 2 && pre_is_valid).then_some(Self { numbers, pre })
    }

    fn order(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| match (self.pre, other.pre) {
            (None, None) => Ordering::Equal,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => order_pre(a, b),
        })
    }
}

fn order_pre(a: &str, b: &str) -> Ordering {
    let (mut parts_a, mut parts_b) = (a.split('.'), b.split('.'));
    loop {
        let order = match (parts_a.next(), parts_b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(a), Some(b)) => match (number(a), number(b)) {
                (Some(a), Some(b)) => a.cmp(&b),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => a.cmp(b),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// `2026-11-24`, and with a fourth number `2026-11-24.2`. A version whose pre-release looks so begins with two numbers.
fn day(text: &str) -> Option<[u64; NUMBERS_MAX]> {
    let (date, rest) = text.split_at_checked(10)?;
    let mut parts = date.split('-');
    let mut next = |digits: usize| parts.next().filter(|part| part.len() == digits).and_then(number);
    let (year, month, day) = (next(4)?, next(2)?, next(2)?);
    let further = match rest.strip_prefix('.') {
        Some(further) => number(further)?,
        None if rest.is_empty() => 0,
        None => return None,
    };
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then_some([year, month, day, further])
}

/// A decimal number that fits; `parse` alone would take a leading `+`.
fn number(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_versions_of_the_forms_that_sdks_send() {
        let ordered = [
            "web@1.0.0-alpha",
            "1.0.0-alpha.1",
            "web@1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "v1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "web@1.2",
            "1.2.0.1",
            "1.10.0",
            "2026.01.05",
            "2026.11.24",
        ];
        for (i, a) in ordered.iter().enumerate() {
            for (j, b) in ordered.iter().enumerate() {
                assert_eq!(compare(a, b), Some(i.cmp(&j)), "{a} and {b}");
            }
        }
    }

    #[test]
    fn build_metadata_and_missing_numbers_do_not_order() {
        assert_eq!(compare("1.2.3+5", "web@1.2.3+4"), Some(Ordering::Equal));
        assert_eq!(compare("1.2", "1.2.0"), Some(Ordering::Equal));
    }

    #[test]
    fn days_are_ordered() {
        let ordered = ["web@2026-01-05", "2026-11-24", "web@2026-11-24.1", "2026-11-24.12", "2027-01-01"];
        for (i, a) in ordered.iter().enumerate() {
            for (j, b) in ordered.iter().enumerate() {
                assert_eq!(compare(a, b), Some(i.cmp(&j)), "{a} and {b}");
            }
        }
        for odd in ["2026-13-01", "2026-11-32", "2026-11-2", "2026-11-24-1", "2026-11-24.", "20261124"] {
            assert_eq!(compare(odd, "2026-11-24"), None, "{odd}");
        }
    }

    #[test]
    fn builds_of_one_version_are_later_by_their_number() {
        for (release, border, after) in [
            ("web@1.2.3+46", "web@1.2.3+45", Some(true)),
            ("web@1.2.3+100", "web@1.2.3+99", Some(true)),
            ("web@1.2.3+45", "1.2.3+45", Some(false)),
            ("web@1.2.4+1", "web@1.2.3+45", Some(true)),
            ("1.2", "1.2.0", Some(false)),
            ("1.2.3-rc.1", "1.2.3", Some(false)),
            ("same", "same", Some(false)),
            // Names do not tell.
            ("1.2.3+abc", "1.2.3+def", None),
            ("1.2.3+5", "1.2.3", None),
            ("def5678", "abc1234", None),
            ("1235", "1234", None),
        ] {
            assert_eq!(is_after(release, border), after, "{release} after {border}");
        }
    }

    #[test]
    fn the_latest_is_of_the_same_package_and_the_greatest_version() {
        let at = |second: i64| Timestamp::from_micros(second * 1_000_000);
        let known = [
            ("web@2.0.0", at(1)),
            ("web@1.9.5", at(5)),
            ("api@7.0.0", at(4)),
            ("web@2.1.0-rc.1", at(2)),
            ("abc1234", at(3)),
        ];
        assert_eq!(latest(&known, Some("web@1.0.0")), Some("web@2.1.0-rc.1"));
        assert_eq!(latest(&known, Some("api@1.0.0")), Some("api@7.0.0"));
        // Without one to be like, and of one that is no version: what was seen last, and what is later than that.
        assert_eq!(latest(&known, None), Some("web@2.1.0-rc.1"));
        assert_eq!(latest(&[("abc1234", at(1)), ("def5678", at(2))], Some("abc1234")), Some("def5678"));
        assert_eq!(latest(&[], Some("web@1.0.0")), None);
    }

    #[test]
    fn what_is_no_version_is_not_ordered() {
        for (a, b) in [
            ("a1b2c3d", "1.2.3"),
            ("1234567", "7654321"),
            ("web@1.2.3", "api@1.2.4"),
            ("1.2.3.4.5", "1.2.3"),
            ("1..2", "1.2"),
            ("1.2-", "1.2"),
            ("99999999999999999999.1", "1.2"),
            ("+1.2", "1.2"),
            ("", "1.2"),
            ("@1.2.x", "1.2"),
        ] {
            assert_eq!(compare(a, b), None, "{a} and {b}");
        }
        assert_eq!(compare("same", "same"), Some(Ordering::Equal));
    }
}
