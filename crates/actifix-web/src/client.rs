//! Who sent a request, whatever stands between: computed once, in the outermost layer, and used everywhere.
//!
//! A header can be written by anybody. So `X-Forwarded-For` and `X-Forwarded-Proto` are read from peers only that the
//! operator named (`server.trusted_proxies`), from right to left, as each proxy appends what it saw; `X-Real-IP` and
//! `Forwarded` are never read, since common proxies pass on what a client wrote there.

use crate::server::{Peer, Tls};
use actifix_domain::network::Network;
use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap, HeaderName};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Proxies in a row that are followed; nobody has more.
const HOPS_MAX: usize = 32;

/// The other end of a request. Put into every request's extensions by [`crate::layers::finish`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Its address, in canonical form; none for the home's own socket and for commands in this process.
    pub address: Option<IpAddr>,
    /// The client's own connection was encrypted: TLS of ours, or of a trusted proxy that says so.
    pub https: bool,
    /// It came through the home's own socket, or from this process.
    pub local: bool,
    /// What it sent crossed a network in clear, if anything says so.
    pub plain: Option<Plain>,
}

/// How it is known that a request crossed a network in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain {
    /// A trusted proxy says that the client spoke plain HTTP to it.
    ToProxy,
    /// The client itself came from another machine without TLS, past the proxy.
    PastProxy,
    /// A trusted proxy on another machine does not say how the client came.
    Unsaid,
}

/// The peers whose forwarding headers are believed; none by default.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Arc<[Network]>);

impl TrustedProxies {
    /// These networks.
    pub fn new(networks: impl IntoIterator<Item = Network>) -> Self {
        Self(networks.into_iter().collect())
    }

    /// Whether `address`, in canonical form, is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Who sent a request with these headers, which came over the connection that `extensions` tell of.
    pub fn client(&self, extensions: &Extensions, headers: &HeaderMap) -> Client {
        let peer = match extensions.get::<ConnectInfo<Peer>>() {
            Some(ConnectInfo(Peer::Network(address))) => address.ip().to_canonical(),
            Some(ConnectInfo(Peer::Local)) => return Client { local: true, ..Client::default() },
            None => return Client::default(),
        };
        let encrypted = extensions.get::<Tls>().is_some();
        if !self.contains(peer) {
            let plain = (!encrypted && !peer.is_loopback()).then_some(Plain::PastProxy);
            return Client { address: Some(peer), https: encrypted, plain, ..Client::default() };
        }
        let proto = forwarded_proto(headers);
        Client {
            address: Some(self.walk(peer, headers)),
            https: proto == Some(Proto::Https) || (encrypted && proto.is_none()),
            local: false,
            plain: match proto {
                Some(Proto::Http) => Some(Plain::ToProxy),
                None if !encrypted && !peer.is_loopback() => Some(Plain::Unsaid),
                _ => None,
            },
        }
    }

    /// The right-most address that is not a proxy of ours. What cannot be read ends the walk at the last good one:
    /// what lies to its left was written by nobody whom we know.
    fn walk(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let lines = headers.get_all(&FORWARDED_FOR);
        let entries = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        let mut client = peer;
        for entry in entries.take(HOPS_MAX) {
            let Some(address) = forwarded_address(entry) else { break };
            client = address;
            if !self.contains(address) {
                break;
            }
        }
        client
    }
}

/// The client of a request; nobody in particular where no layer has computed it.
pub fn client(extensions: &Extensions) -> Client {
    extensions.get::<Client>().copied().unwrap_or_default()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proto {
    Http,
    Https,
}

/// What the nearest proxy says: the last value, since each proxy appends or overwrites. Anything else says nothing.
fn forwarded_proto(headers: &HeaderMap) -> Option<Proto> {
    let line = headers.get_all(&FORWARDED_PROTO).iter().next_back()?;
    let word = line.as_bytes().rsplit(|byte| *byte == b',').next()?.trim_ascii();
    match word {
        word if word.eq_ignore_ascii_case(b"https") => Some(Proto::Https),
        word if word.eq_ignore_ascii_case(b"http") => Some(Proto::Http),
        _ => None,
    }
}

/// `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:443`.
fn forwarded_address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
    let address = text
        .parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().filter(has_no_scope).map(|with_port| with_port.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6))?
        .to_canonical();
    let nowhere = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    (!nowhere.contains(&address)).then_some(address)
}

fn has_no_scope(address: &SocketAddr) -> bool {
    matches!(address, SocketAddr::V4(_)) || matches!(address, SocketAddr::V6(v6) if v6.scope_id() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn proxies(networks: &[&str]) -> TrustedProxies {
        TrustedProxies::new(networks.iter().map(|text| text.parse().unwrap()))
    }

    fn from(peer: &str, headers: &[(&str, &str)], trusted: &[&str]) -> Client {
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(Peer::Network(SocketAddr::new(peer.parse().unwrap(), 40_000))));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        proxies(trusted).client(&extensions, &map)
    }

    #[track_caller]
    fn address(peer: &str, forwarded: &[&str], expected: &str) {
        let headers: Vec<(&str, &str)> = forwarded.iter().map(|value| ("x-forwarded-for", *value)).collect();
        let client = from(peer, &headers, &["127.0.0.0/8", "::1", "10.0.0.0/8", "2001:db8:1::/48"]);
        assert_eq!(client.address, Some(expected.parse().unwrap()), "{forwarded:?} from {peer}");
    }

    #[test]
    fn a_stranger_is_what_its_connection_says() {
        let spoofed = [
            ("x-forwarded-for", "198.51.100.1"),
            ("x-real-ip", "198.51.100.2"),
            ("forwarded", "for=198.51.100.3;proto=https"),
            ("x-forwarded-proto", "https"),
        ];
        for trusted in [&[][..], &["10.0.0.0/8"][..]] {
            let client = from("203.0.113.9", &spoofed, trusted);
            let expected = Client {
                address: Some("203.0.113.9".parse().unwrap()),
                plain: Some(Plain::PastProxy),
                ..Client::default()
            };
            assert_eq!(client, expected);
        }
    }

    #[test]
    fn the_walk_goes_right_to_left_over_proxies_of_ours() {
        address("127.0.0.1", &[], "127.0.0.1");
        address("127.0.0.1", &["203.0.113.9"], "203.0.113.9");
        address("127.0.0.1", &["198.51.100.1, 203.0.113.9"], "203.0.113.9");
        address("127.0.0.1", &["198.51.100.1, 203.0.113.9, 10.0.0.3"], "203.0.113.9");
        address("127.0.0.1", &["198.51.100.1", "203.0.113.9 ,\t10.0.0.3"], "203.0.113.9");
        address("10.9.9.9", &["10.0.0.1, 10.0.0.2"], "10.0.0.1");
        address("::ffff:127.0.0.1", &["::ffff:203.0.113.9"], "203.0.113.9");
        address("::1", &["198.51.100.1", "2001:db8:2::7", "2001:db8:1::1"], "2001:db8:2::7");
    }

    #[test]
    fn ports_and_brackets_are_read_and_garbage_ends_the_walk() {
        for (entry, expected) in [
            ("203.0.113.9:51234", "203.0.113.9"),
            ("[2001:db8:2::7]", "2001:db8:2::7"),
            ("[2001:db8:2::7]:443", "2001:db8:2::7"),
            ("2001:db8:2::7", "2001:db8:2::7"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
        ] {
            address("127.0.0.1", &[&format!("198.51.100.1, {entry}")], expected);
        }
        for garbage in [
            "",
            "unknown",
            "_hidden",
            "for=203.0.113.9",
            "203.0.113",
            "203.0.113.9.9",
            "0xCB007109",
            "3405803785",
            "0313.0.113.9",
            "203.0.113.9:",
            "203.0.113.9:99999",
            "[203.0.113.9]",
            "[2001:db8:2::7",
            "2001:db8:2::7]",
            "fe80::1%eth0",
            "[fe80::1%1]:443",
            "\"203.0.113.9\"",
            "localhost",
            "0.0.0.0",
            "::",
            "\u{661}.2.3.4",
            "203.0.113.9 10.0.0.1",
        ] {
            address("127.0.0.1", &[&format!("198.51.100.1, {garbage}")], "127.0.0.1");
            address("127.0.0.1", &[&format!("198.51.100.1, {garbage}, 10.0.0.3")], "10.0.0.3");
        }
    }

    #[test]
    fn a_thousand_hops_are_not_followed() {
        let many = vec!["10.0.0.1"; 1_000].join(", ");
        address("127.0.0.1", &[&format!("203.0.113.9, {many}")], "10.0.0.1");
        let lines = vec!["10.0.0.1"; 90];
        address("127.0.0.1", &lines, "10.0.0.1");
    }

    #[test]
    fn the_scheme_is_what_the_nearest_trusted_proxy_says() {
        for (values, https, plain, plain_afar) in [
            (&["https"][..], true, None, None),
            (&["HTTPS"], true, None, None),
            (&["http"], false, Some(Plain::ToProxy), Some(Plain::ToProxy)),
            (&["https, http"], false, Some(Plain::ToProxy), Some(Plain::ToProxy)),
            (&["http", "https"], true, None, None),
            (&["wss"], false, None, Some(Plain::Unsaid)),
            (&[""], false, None, Some(Plain::Unsaid)),
            (&[], false, None, Some(Plain::Unsaid)),
        ] {
            let headers: Vec<_> = values.iter().map(|value| ("x-forwarded-proto", *value)).collect();
            let client = from("127.0.0.1", &headers, &["127.0.0.1"]);
            assert_eq!((client.https, client.plain), (https, plain), "{values:?}");
            let afar = from("10.0.0.2", &headers, &["10.0.0.2"]);
            assert_eq!((afar.https, afar.plain), (https, plain_afar), "{values:?}");
            let stranger = from("203.0.113.9", &headers, &["127.0.0.1"]);
            assert_eq!((stranger.https, stranger.plain), (false, Some(Plain::PastProxy)), "{values:?}");
            let neighbour = from("127.0.0.2", &headers, &["127.0.0.1"]);
            assert_eq!((neighbour.https, neighbour.plain), (false, None), "it never left this machine");
        }
    }
}
