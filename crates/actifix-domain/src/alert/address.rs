//! Which addresses this program may connect to: those of the public internet, and networks that the operator names.
//!
//! An address that somebody stored is a way to make the server ask its own network. Names are judged by what they
//! resolve to, at the moment of the connection, so that neither a name with a private address nor one that changes
//! its address gets through; and each embedded form of an IPv4 address counts as that address.

use crate::network::Network;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What may be connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    /// `outbound.allow_private`
    pub allow_private: Vec<Network>,
}

impl AddressPolicy {
    /// Whether a connection to this address may be made.
    pub fn permits(&self, address: IpAddr) -> bool {
        is_public(address) || self.allow_private.iter().any(|network| network.contains(address))
    }

    /// Whether connections to all of these may be made, and there is one. A name with one bad address among good ones
    /// is refused as a whole: which of them is taken is not ours to say.
    pub fn permits_all(&self, addresses: &[IpAddr]) -> bool {
        !addresses.is_empty() && addresses.iter().all(|address| self.permits(*address))
    }
}

/// Whether an address is reachable over the public internet (IANA's special-purpose registries, RFC 6890 and its
/// successors), the IPv4 address inside of an IPv6 one included.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        // This network, private, loopback, link-local with the metadata services, private, multicast and reserved.
        (0 | 10 | 127, ..) | (169, 254, _) | (172, 16..=31, _) | (192, 168, _) | (224..=255, ..)
        // Shared by carriers (CGNAT), and benchmarks.
        | (100, 64..=127, _) | (198, 18..=19, _)
        // Protocol assignments, documentation, relays of 6to4, and AS112.
        | (192, 0, 0 | 2) | (192, 88, 99) | (198, 51, 100) | (203, 0, 113) | (192, 31, 196) | (192, 52, 193)
        | (192, 175, 48)
    );
    // Metadata services outside of the ranges above.
    !special && address != Ipv4Addr::new(168, 63, 129, 16)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = embedded_v4(address) {
        return is_public_v4(inner);
    }
    let [s0, s1, ..] = address.segments();
    // Only global unicast (2000::/3) is routed: not unspecified, loopback, unique local, link-local, multicast, nor
    // addresses that merely hold an IPv4 one (compatible, translated, NAT64 for local use).
    let global = s0 & 0xe000 == 0x2000;
    let special = matches!(
        (s0, s1),
        // IETF protocol assignments with Teredo, ORCHID and benchmarks; documentation.
        (0x2001, 0x0000..=0x01ff | 0x0db8)
        // 6to4, whose relays lead to any IPv4 address; documentation (RFC 9637).
        | (0x2002, _) | (0x3fff, 0x0000..=0x0fff)
    );
    global && !special
}

/// The IPv4 address that a connection to this IPv6 address really reaches: mapped, or NAT64 by the well-known prefix.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => None,
    }
}
