//! Names of the configuration, asked for at the resolver of this machine.

use crate::outbound::Outbound;
use actifix_app::review::{NAMES_MAX, NameFact};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use url::{Host, Url};

/// They are asked for at once, and none takes longer; what hangs has no answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// Asks for each name at the same time.
pub(super) async fn ask(
    outbound: &Arc<Outbound>,
    public_url: Option<&str>,
    hosts: &[String],
    origins: &[String],
) -> Vec<NameFact> {
    let mut found = named(public_url, hosts, origins);
    let mut tasks = JoinSet::new();
    for (place, fact) in found.iter().enumerate() {
        let (outbound, name) = (Arc::clone(outbound), fact.name.clone());
        tasks.spawn(async move {
            let asked = tokio::time::timeout(DEADLINE, outbound.addresses_of(&name)).await;
            (place, asked.ok().flatten())
        });
    }
    while let Some(done) = tasks.join_next().await {
        if let Ok((place, addresses)) = done
            && let Some(fact) = found.get_mut(place)
        {
            fact.addresses = addresses;
        }
    }
    found
}

/// The names, each once; addresses and names of this machine itself are none.
fn named(public_url: Option<&str>, hosts: &[String], origins: &[String]) -> Vec<NameFact> {
    let of_url = |text: &String| Url::parse(text).ok().and_then(|url| url.host_str().map(str::to_owned));
    let public = public_url.map(str::to_owned);
    let keyed = (public.iter().filter_map(of_url).map(|name| ("server.public_url", name)))
        .chain(hosts.iter().map(|host| ("server.hosts", without_port(host))))
        .chain(origins.iter().filter_map(of_url).map(|name| ("cors.allowed_origins", name)));
    let mut found: Vec<NameFact> = Vec::new();
    for (key, name) in keyed {
        let Ok(Host::Domain(name)) = Host::parse(&name) else { continue };
        let name = name.trim_end_matches('.').to_owned();
        let is_local = name == "localhost" || name.ends_with(".localhost");
        if !is_local && found.len() < NAMES_MAX && found.iter().all(|fact| fact.name != name) {
            found.push(NameFact { name, key, addresses: None });
        }
    }
    found
}

fn without_port(host: &str) -> String {
    let digits = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match host.rsplit_once(':') {
        Some((name, port)) if digits(port) => name.to_owned(),
        _ => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actifix_domain::alert::AddressPolicy;
    use std::io;
    use std::net::SocketAddr;

    fn lookup(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match name {
            "errors.example.net" => Ok(vec![SocketAddr::from(([93, 184, 215, 14], port))]),
            _ => Err(io::Error::other("no such name")),
        }
    }

    #[tokio::test]
    async fn names_are_asked_for_once_and_addresses_not_at_all() {
        let outbound = Arc::new(Outbound::new(AddressPolicy::default(), None, lookup).unwrap());
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let found = ask(
            &outbound,
            Some("https://errors.example.net:8443/base"),
            &texts(&["errors.example.net:8443", "10.0.0.1", "localhost", "old.example.net"]),
            &texts(&[
                "https://errors.example.net",
                "http://app.localhost:3000",
                "https://[::1]",
                "https://shop.example.net",
            ]),
        )
        .await;
        let told: Vec<(&str, &str, bool)> =
            found.iter().map(|fact| (fact.name.as_str(), fact.key, fact.addresses.is_some())).collect();
        assert_eq!(
            told,
            [
                ("errors.example.net", "server.public_url", true),
                ("old.example.net", "server.hosts", false),
                ("shop.example.net", "cors.allowed_origins", false),
            ]
        );
        assert_eq!(found[0].addresses.as_deref(), Some(&["93.184.215.14".parse().unwrap()][..]));
    }

    #[test]
    fn as_many_as_are_asked_for_and_no_more() {
        let many = |count: usize| {
            let hosts: Vec<String> = (0..count).map(|number| format!("h{number}.example.net")).collect();
            named(None, &hosts, &[]).len()
        };
        assert_eq!((many(NAMES_MAX), many(NAMES_MAX + 1)), (NAMES_MAX, NAMES_MAX));
    }
}
