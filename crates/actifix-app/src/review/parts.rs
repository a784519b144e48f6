//! What the program is made of, and what of it is new since somebody last looked.

use super::items::Item;
use actifix_domain::words::many;
use serde_json::Value;
use std::collections::BTreeMap;

/// Names that are listed.
const NAMED_MAX: usize = 20;
/// Licences that are counted by name.
const LICENCES_MAX: usize = 8;

/// One component of the program, as its bill of materials names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component {
    /// Name.
    pub name: &'static str,
    /// Version.
    pub version: &'static str,
    /// Licence, as an SPDX expression; empty when it names none.
    pub licence: &'static str,
}

/// The line of the list, and what the next review is compared with.
pub(super) fn item(components: &[Component], before: &Value) -> (Item, Vec<String>) {
    let mut evidence = vec![format!("this is actifix {}", env!("CARGO_PKG_VERSION"))];
    if components.is_empty() {
        evidence.push("what it is made of is not told".to_owned());
    } else {
        evidence.push(licences(components));
        evidence.extend(changes(components, before));
    }
    let next = "is there a newer release? in a checkout `cargo xtask deny --advisories` compares every dependency with RustSec; the page About gives the list as CycloneDX; sign with --record --by NAME";
    let known = components.iter().map(|of| format!("{} {}", of.name, of.version)).collect();
    (Item::look("dependencies", "Update dependencies", evidence, next), known)
}

fn licences(components: &[Component]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for of in components {
        *counts.entry(if of.licence.is_empty() { "NO LICENCE" } else { of.licence }).or_default() += 1;
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    // What has none comes first, then what most have.
    counts.sort_by_key(|(name, many)| (*name != "NO LICENCE", std::cmp::Reverse(*many)));
    let rest: usize = counts.iter().skip(LICENCES_MAX).map(|(_, many)| many).sum();
    let mut told: Vec<String> =
        counts.iter().take(LICENCES_MAX).map(|(name, many)| format!("{many} {name}")).collect();
    if rest > 0 {
        told.push(format!("{rest} others"));
    }
    format!("{}: {}", many(components.len() as u64, "component"), told.join(", "))
}

/// What came, went, and has another version than at the last review.
fn changes(components: &[Component], before: &Value) -> Option<String> {
    let before = before.get("components")?.as_array()?;
    let split = |text: &Value| {
        let (name, version) = text.as_str()?.split_once(' ')?;
        Some((name.to_owned(), version.to_owned()))
    };
    let mut was: BTreeMap<String, Vec<String>> = BTreeMap::new();
    before.iter().filter_map(split).for_each(|(name, version)| was.entry(name).or_default().push(version));
    let mut is: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    components.iter().for_each(|of| is.entry(of.name).or_default().push(of.version));
    let (mut came, mut moved) = (Vec::new(), Vec::new());
    for (name, versions) in &is {
        match was.get(*name) {
            None => came.push(format!("{name} {}", versions.join(" and "))),
            Some(former) if former != versions => {
                moved.push(format!("{name} {} (was {})", versions.join(" and "), former.join(" and ")));
            }
            Some(_) => {}
        }
    }
    let went: Vec<String> = was.keys().filter(|name| !is.contains_key(name.as_str())).cloned().collect();
    Some(format!(
        "since the last review: new {}; other versions {}; gone {}",
        listed(&came),
        listed(&moved),
        listed(&went)
    ))
}

fn listed(names: &[String]) -> String {
    match (names.len(), names.get(..NAMED_MAX)) {
        (0, _) => "none".to_owned(),
        (many, Some(first)) if many > NAMED_MAX => {
            format!("{}, and {} more", first.join(", "), many - NAMED_MAX)
        }
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const fn of(name: &'static str, version: &'static str, licence: &'static str) -> Component {
        Component { name, version, licence }
    }

    #[test]
    fn what_is_new_gone_or_of_another_version_is_told() {
        let now =
            [of("a", "1.0.0", "MIT"), of("b", "2.0.0", "MIT"), of("b", "3.0.0", "MIT"), of("d", "1.0.0", "")];
        let (item, known) = item(&now, &json!({ "components": ["a 1.0.0", "b 2.0.0", "c 0.1.0"] }));
        assert_eq!(item.evidence[1], "4 components: 1 NO LICENCE, 3 MIT");
        assert_eq!(
            item.evidence[2],
            "since the last review: new d 1.0.0; other versions b 2.0.0 and 3.0.0 (was 2.0.0); gone c"
        );
        let (later, _) = super::item(&now, &json!({ "components": known }));
        assert!(later.evidence[2].contains("new none; other versions none; gone none"), "{later:?}");
        let (first, _) = super::item(&now, &Value::Null);
        assert_eq!(first.evidence.len(), 2, "there is nothing to compare with");
    }

    #[test]
    fn long_lists_are_cut_and_say_so() {
        let names: Vec<String> = (0..NAMED_MAX + 3).map(|number| format!("n{number}")).collect();
        assert!(listed(&names).ends_with("n19, and 3 more"));
        assert_eq!(listed(&names[..NAMED_MAX]).matches(',').count(), NAMED_MAX - 1);
    }
}
