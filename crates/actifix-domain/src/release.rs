//! Order of releases: which of two is the later one (`product.md`, status).

use std::cmp::Ordering;

/// Longest release name that is compared by version, in bytes; longer ones are ordered by first seen.
pub const RELEASE_BYTES_MAX: usize = 1_000;
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
