//! Names by which this installation is known, or which it trusts: whether each still leads where it may.
//!
//! A name that was given up can be registered by somebody else, and who holds a listed origin reads answers of the API.

use super::items::Item;
use actifix_domain::alert::AddressPolicy;
use std::net::IpAddr;

/// Names that are asked for.
pub const NAMES_MAX: usize = 20;

/// A name of the configuration, and what the resolver of this machine says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameFact {
    /// The name.
    pub name: String,
    /// The key that holds it.
    pub key: &'static str,
    /// Its addresses; none where there was no answer.
    pub addresses: Option<Vec<IpAddr>>,
}

/// The line of the list.
pub(super) fn item(found: &[NameFact], policy: &AddressPolicy) -> Item {
    const ID: &str = "names";
    const LINE: &str = "Check that configured names still lead where they may";
    if found.is_empty() {
        let evidence = vec!["no names are configured: only addresses, or localhost".to_owned()];
        return Item::judged(ID, LINE, evidence, false, "");
    }
    if found.iter().all(|fact| fact.addresses.as_ref().is_none_or(Vec::is_empty)) {
        let names: Vec<&str> = found.iter().map(|fact| fact.name.as_str()).collect();
        let evidence = vec![format!(
            "skipped: no name could be looked up ({}), so this machine seems to be offline",
            names.join(", ")
        )];
        let next = "look at them from a machine with DNS: `getent ahosts NAME`; sign with --record --by NAME";
        return Item::look(ID, LINE, evidence, next);
    }
    let mut wrong = false;
    let evidence = found.iter().map(|fact| {
        let (told, is_wrong) = judge(fact, policy);
        wrong |= is_wrong;
        format!("{} ({}): {told}", fact.name, fact.key)
    });
    let evidence = evidence.collect();
    let next = "mend DNS, take names that are not yours any more out of the configuration, or name networks of your own in outbound.allow_private";
    Item::judged(ID, LINE, evidence, wrong, next)
}

fn judge(fact: &NameFact, policy: &AddressPolicy) -> (String, bool) {
    let addresses = fact.addresses.as_deref().unwrap_or_default();
    if addresses.is_empty() {
        return ("has no address: whoever registers it could speak for you".to_owned(), true);
    }
    let list = |addresses: &[IpAddr]| {
        let texts: Vec<String> = addresses.iter().take(NAMES_MAX).map(ToString::to_string).collect();
        texts.join(", ")
    };
    let strange: Vec<IpAddr> =
        addresses.iter().copied().filter(|address| !policy.permits(*address)).collect();
    if strange.is_empty() {
        return (list(addresses), false);
    }
    (format!("{}, neither public nor in outbound.allow_private", list(&strange)), true)
}

#[cfg(test)]
mod tests {
    use super::super::ItemState;
    use super::*;

    fn fact(name: &str, addresses: Option<&[&str]>) -> NameFact {
        let parsed = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        NameFact { name: name.to_owned(), key: "server.public_url", addresses: addresses.map(parsed) }
    }

    #[test]
    fn names_that_lead_nowhere_or_astray_are_due() {
        let good = fact("errors.example.net", Some(&["93.184.215.14", "2606:4700::1111"]));
        let policy = AddressPolicy { allow_private: vec!["10.1.0.0/16".parse().unwrap()] };
        for (facts, state, told) in [
            (vec![], ItemState::Pass, "no names are configured"),
            (vec![good.clone()], ItemState::Pass, "93.184.215.14"),
            (vec![fact("intern.example.net", Some(&["10.1.2.3"]))], ItemState::Pass, "10.1.2.3"),
            (vec![fact("intern.example.net", Some(&["10.2.2.3"]))], ItemState::Due, "neither public nor"),
            (
                vec![good.clone(), fact("moved.example.net", Some(&["127.0.0.1"]))],
                ItemState::Due,
                "127.0.0.1",
            ),
            (
                vec![good.clone(), fact("mixed.example.net", Some(&["93.184.215.14", "192.168.0.1"]))],
                ItemState::Due,
                "192.168.0.1, neither",
            ),
            (vec![good.clone(), fact("gone.example.net", None)], ItemState::Due, "has no address"),
            (vec![good, fact("gone.example.net", Some(&[]))], ItemState::Due, "has no address"),
        ] {
            let item = item(&facts, &policy);
            assert_eq!(item.state, state, "{facts:?}");
            assert!(
                !item.by_person && item.evidence.iter().any(|line| line.contains(told)),
                "{told}: {item:?}"
            );
        }
    }

    #[test]
    fn offline_nothing_is_judged_and_that_is_said() {
        let facts = [fact("a.example.net", None), fact("b.example.net", Some(&[]))];
        let item = item(&facts, &AddressPolicy::default());
        assert!(item.by_person && item.state == ItemState::Due, "somebody else has to look: {item:?}");
        assert!(
            item.evidence[0].starts_with("skipped: no name could be looked up (a.example.net, b."),
            "{item:?}"
        );
    }
}
