//! What this process really listens on, and the addresses of this machine, as the kernel tells.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Open files of this process that are looked at.
const FILES_MAX: usize = 1_000_000;
/// Lines of a table of the kernel that are read.
const LINES_MAX: usize = 200_000;
/// Addresses that are tried.
const ADDRESSES_MAX: usize = 32;
/// State of a socket that listens, in the tables of the kernel.
const LISTENS: &str = "0A";

/// Sockets of this process that listen; none where the system does not tell.
pub fn sockets() -> Option<Vec<SocketAddr>> {
    let open = fs::read_dir("/proc/self/fd").ok()?.take(FILES_MAX).flatten();
    let inodes: BTreeSet<u64> = open
        .filter_map(|entry| {
            let link = fs::read_link(entry.path()).ok()?;
            link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
        })
        .collect();
    let mut found = listening(&fs::read_to_string("/proc/self/net/tcp").ok()?, &inodes);
    // Without IPv6 there is no such table.
    found.extend(listening(&fs::read_to_string("/proc/self/net/tcp6").unwrap_or_default(), &inodes));
    Some(found)
}

fn listening(table: &str, inodes: &BTreeSet<u64>) -> Vec<SocketAddr> {
    let rows = table.lines().skip(1).take(LINES_MAX).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let inode: u64 = fields.get(9)?.parse().ok()?;
        let listens = *fields.get(3)? == LISTENS && inodes.contains(&inode);
        listens.then(|| address(fields.get(1)?)).flatten()
    });
    rows.collect()
}

/// `0100007F:1389`: words of 32 bits in the order of this machine, in hex.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::new();
    for place in (0..host.len()).step_by(8) {
        let word = u32::from_str_radix(host.get(place..place + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let ip = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Addresses of this machine in networks.
pub fn addresses() -> Vec<IpAddr> {
    let v4 = local_v4(&fs::read_to_string("/proc/self/net/fib_trie").unwrap_or_default());
    let v6 = local_v6(&fs::read_to_string("/proc/self/net/if_inet6").unwrap_or_default());
    let all: BTreeSet<IpAddr> =
        v4.into_iter().map(IpAddr::V4).chain(v6.into_iter().map(IpAddr::V6)).collect();
    all.into_iter().filter(|address| !address.is_loopback()).take(ADDRESSES_MAX).collect()
}

/// A line with an address is followed by what the address is: `/32 host LOCAL` is one of ours.
fn local_v4(trie: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut last: Option<Ipv4Addr> = None;
    for line in trie.lines().take(LINES_MAX).map(str::trim) {
        if let Some(rest) = line.strip_prefix("|-- ") {
            last = rest.parse().ok();
        } else if line.starts_with("/32 host LOCAL") {
            found.extend(last);
        }
    }
    found
}

/// Address in hex, and in the fourth column its reach; only those that are not of one link can be asked without more.
fn local_v6(table: &str) -> Vec<Ipv6Addr> {
    let rows = table.lines().take(LINES_MAX).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let bits = u128::from_str_radix(fields.first()?, 16).ok()?;
        (*fields.get(3)? == "00").then(|| Ipv6Addr::from_bits(bits))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_the_kernel_are_read() {
        let tcp = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                   0: 0100007F:1389 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 41 1\n\
                   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 42 1\n\
                   2: 0100007F:1389 0100007F:9999 01 00000000:00000000 00:00000000 00000000  0 0 41 1\n";
        assert_eq!(listening(tcp, &BTreeSet::from([41])), ["127.0.0.1:5001".parse().unwrap()]);
        assert_eq!(listening(tcp, &BTreeSet::from([41, 42])).len(), 2);
        let six = "00000000000000000000000001000000:1389";
        assert_eq!(address(six), Some("[::1]:5001".parse().unwrap()));
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.0\n        /24 link UNICAST\n     |-- 10.0.0.7\n        /32 host LOCAL\n";
        assert_eq!(local_v4(trie), [Ipv4Addr::new(10, 0, 0, 7)]);
        let six = "00000000000000000000000000000001 01 80 10 80 lo\nfe800000000000000000000000000001 02 40 20 80 eth0\n\
                   20010db8000000000000000000000007 02 40 00 80 eth0\n";
        assert_eq!(local_v6(six), ["2001:db8::7".parse::<Ipv6Addr>().unwrap()]);
    }

    #[test]
    fn a_socket_of_this_process_is_seen_while_it_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(sockets().unwrap().contains(&address));
        drop(listener);
        assert!(!sockets().unwrap().contains(&address));
    }
}
