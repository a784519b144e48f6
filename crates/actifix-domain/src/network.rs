//! Addresses of peers: networks that an operator names, and what of an address tells one client from another.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// A network in CIDR notation, `10.0.0.0/8`; an address without a prefix is a network of its own.
///
/// IPv4-mapped IPv6 addresses count as the IPv4 addresses that they stand for, in the network and in what is asked of
/// it: else `::ffff:203.0.113.9` would be a stranger to the rule that names `203.0.113.9`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether `address` lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                net.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(net), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                net.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }

    /// Whether it holds every address of its family: as a list of trusted proxies it would trust everybody.
    pub const fn is_everything(&self) -> bool {
        self.prefix == 0
    }
}

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "expected an address or a network such as 10.0.0.0/8 or 2001:db8::/32";
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => {
                let digits = (1..=3).contains(&prefix.len()) && prefix.bytes().all(|b| b.is_ascii_digit());
                (address, Some(prefix.parse::<u8>().ok().filter(|_| digits).ok_or(FORM)?))
            }
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| FORM)?;
        let address = written.to_canonical();
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            // A prefix of a mapped address counts the 96 bits that the mapping takes.
            Some(prefix) if written.is_ipv6() && address.is_ipv4() => prefix.checked_sub(96).ok_or(FORM)?,
            Some(prefix) => prefix,
        };
        if prefix > bits {
            return Err(FORM);
        }
        let network = Self { address, prefix };
        let host_bits = match address {
            IpAddr::V4(v4) => v4.to_bits() & !u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0) != 0,
            IpAddr::V6(v6) => {
                v6.to_bits() & !u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0) != 0
            }
        };
        if host_bits {
            return Err("the address has bits beyond its prefix: write the first address of the network");
        }
        Ok(network)
    }
}

impl TryFrom<String> for Network {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// What one client can be told by: an IPv4 address, or the 64-bit network of an IPv6 one, since a client has all
/// addresses of its network to choose from.
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(network: &str, address: &str) -> bool {
        network.parse::<Network>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        for (network, address) in [
            ("10.0.0.0/8", "10.255.255.255"),
            ("10.0.0.0/8", "::ffff:10.1.2.3"),
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.0/120", "192.0.2.200"),
            ("0.0.0.0/0", "203.0.113.1"),
            ("2001:db8::/32", "2001:db8:ffff::1"),
            ("::1", "::1"),
            ("::/0", "2001:db8::1"),
        ] {
            assert!(within(network, address), "{address} is in {network}");
        }
        for (network, address) in [
            ("10.0.0.0/8", "11.0.0.0"),
            ("192.0.2.7", "192.0.2.8"),
            ("192.0.2.128/25", "192.0.2.127"),
            ("0.0.0.0/0", "2001:db8::1"),
            ("2001:db8::/32", "2001:db9::1"),
            ("::1", "127.0.0.1"),
            ("::/0", "10.0.0.1"),
        ] {
            assert!(!within(network, address), "{address} is not in {network}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "10.0.0.1/8",
            "10.0.0/8",
            "localhost",
            "::/129",
            "*",
            "10.0.0.0/8/8",
            " 10.0.0.0/8",
            "010.0.0.0/8",
            "::ffff:10.0.0.0/8",
            "fe80::1%eth0",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        assert!("0.0.0.0/0".parse::<Network>().unwrap().is_everything());
        assert_eq!("::ffff:10.0.0.0/104".parse::<Network>().unwrap().to_string(), "10.0.0.0/8");
    }

    #[test]
    fn a_client_is_its_address_or_its_network_of_64_bits() {
        let of = |text: &str| client_network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
