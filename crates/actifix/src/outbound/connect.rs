//! A connection to a permitted address. The name is asked for once and the connection made to an address of that
//! answer, so that no second answer can lead elsewhere; and the other end is looked at once more when it stands.

use super::{LOOKUPS_MAX, Outbound};
use actifix_domain::alert::Failure;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use url::Host;

/// Addresses of a name that are tried.
const ADDRESSES_TRIED_MAX: usize = 4;
/// Addresses of a name that are judged.
const ADDRESSES_MAX: usize = 64;
/// Time for one of several addresses, so that a dead one leaves time for the next.
const ADDRESS_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Asks for the addresses of a name; blocks.
pub type Lookup = fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

/// The platform's resolver.
pub fn system_lookup(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((name, port).to_socket_addrs()?.take(ADDRESSES_MAX).collect())
}

type Answer = Option<Result<Vec<SocketAddr>, Failure>>;

/// Names that are being asked for. Each has one thread at most, until the resolver gives up, not until we do.
#[derive(Default)]
pub(super) struct Lookups {
    asked: Mutex<HashMap<String, watch::Receiver<Answer>>>,
}

/// The duty to ask for a name; it is free again when this is dropped, whatever became of it.
struct Ask {
    name: String,
    tell: watch::Sender<Answer>,
    lookups: Arc<Lookups>,
}

impl Ask {
    /// Frees the name before the answer is heard, so that who asks after hearing it asks anew.
    fn answer(self, found: Result<Vec<SocketAddr>, Failure>) {
        let tell = self.tell.clone();
        drop(self);
        // Nobody may have waited for it.
        let _heard = tell.send(Some(found));
    }
}

impl Drop for Ask {
    fn drop(&mut self) {
        self.lookups.names().remove(&self.name);
    }
}

impl Lookups {
    /// Where the answer will come, and the duty to ask where nobody does yet. `Dns` where too many are asked for.
    fn join(self: &Arc<Self>, name: &str) -> Result<(watch::Receiver<Answer>, Option<Ask>), Failure> {
        let mut asked = self.names();
        if let Some(answer) = asked.get(name) {
            return Ok((answer.clone(), None));
        }
        if asked.len() >= LOOKUPS_MAX {
            return Err(Failure::Dns);
        }
        let (tell, answer) = watch::channel(None);
        asked.insert(name.to_owned(), answer.clone());
        drop(asked);
        let ask = Ask { name: name.to_owned(), tell, lookups: Arc::clone(self) };
        Ok((answer, Some(ask)))
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, watch::Receiver<Answer>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a connection may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// To what the policy permits.
    Policy,
    /// To this machine only.
    Loopback,
    /// To what the operator's own configuration names: the public address, listeners.
    Named,
}

impl Outbound {
    /// Connects to a host as it stands in an address, where the policy permits it.
    ///
    /// # Errors
    /// `Forbidden` where one of its addresses is not permitted; `Dns`, `Connect`.
    pub(super) async fn connect(&self, host: &Host<String>, port: u16) -> Result<TcpStream, Failure> {
        self.connect_within(Reach::Policy, host, port).await
    }

    /// Connects to a host within a reach; errors as of [`Self::connect`].
    pub(super) async fn connect_within(
        &self,
        reach: Reach,
        host: &Host<String>,
        port: u16,
    ) -> Result<TcpStream, Failure> {
        let addresses = match host {
            Host::Ipv4(address) => vec![SocketAddr::new(IpAddr::V4(*address), port)],
            Host::Ipv6(address) => vec![SocketAddr::new(IpAddr::V6(*address), port)],
            Host::Domain(name) => self.resolve(name, port).await?,
        };
        let ips: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
        if ips.is_empty() {
            return Err(Failure::Dns);
        }
        if port == 0 || !self.permits_all(reach, &ips) {
            return Err(Failure::Forbidden);
        }
        for address in addresses.iter().take(ADDRESSES_TRIED_MAX) {
            if let Ok(stream) = self.open(reach, *address).await {
                return Ok(stream);
            }
        }
        Err(Failure::Connect)
    }

    /// The addresses of a name; none where there is no answer. Nothing is connected to.
    pub async fn addresses_of(&self, name: &str) -> Option<Vec<IpAddr>> {
        let found = self.resolve(name, 0).await.ok()?;
        Some(found.iter().map(SocketAddr::ip).collect())
    }

    fn permits_all(&self, reach: Reach, addresses: &[IpAddr]) -> bool {
        match reach {
            Reach::Policy => self.policy.permits_all(addresses),
            Reach::Named => true,
            Reach::Loopback => addresses.iter().all(|address| address.to_canonical().is_loopback()),
        }
    }

    /// Asks for a name, or waits for the answer of whoever asks for it already.
    async fn resolve(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        let (mut answer, ask) = self.lookups.join(name)?;
        if let Some(ask) = ask {
            let lookup = self.lookup;
            tokio::task::spawn_blocking(move || {
                let found = lookup(&ask.name, port).map_err(|_| Failure::Dns);
                ask.answer(found);
            });
        }
        let found = answer.wait_for(Option::is_some).await.map_err(|_| Failure::Dns)?.clone();
        let mut addresses = found.unwrap_or(Err(Failure::Dns))?;
        addresses.iter_mut().for_each(|address| address.set_port(port));
        Ok(addresses)
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that connects out, after the address was judged"
    )]
    async fn open(&self, reach: Reach, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = tokio::time::timeout(ADDRESS_TIMEOUT, TcpStream::connect(address))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        if !self.permits_all(reach, &[stream.peer_addr()?.ip()]) {
            return Err(io::Error::other("another address than the one that was judged"));
        }
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actifix_domain::alert::AddressPolicy;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn out(allowed: &[&str], lookup: Lookup) -> Outbound {
        let allow_private = allowed.iter().map(|network| network.parse().unwrap()).collect();
        Outbound::new(AddressPolicy { allow_private }, None, lookup).unwrap()
    }

    fn addresses(texts: &[&str], port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), port)).collect())
    }

    /// Where a name leads, by its first word.
    fn strange(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match name.split('.').next().unwrap_or_default() {
            "private" => addresses(&["10.0.0.1"], port),
            "loopback" => addresses(&["127.0.0.1"], port),
            "mapped" => addresses(&["::ffff:127.0.0.1"], port),
            "nat64" => addresses(&["64:ff9b::7f00:1"], port),
            "sixtofour" => addresses(&["2002:7f00:1::"], port),
            "shared" => addresses(&["100.64.0.1"], port),
            "metadata" => addresses(&["169.254.169.254"], port),
            "mixed" => addresses(&["93.184.215.14", "2606:4700::1111", "192.168.0.1"], port),
            "empty" => Ok(Vec::new()),
            _ => Err(io::Error::other("no such name")),
        }
    }

    fn host(text: &str) -> Host<String> {
        url::Url::parse(&format!("https://{text}/")).unwrap().host().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_name_with_one_address_that_is_not_public_is_refused_as_a_whole() {
        let out = out(&[], strange);
        for name in ["private", "loopback", "mapped", "nat64", "sixtofour", "shared", "metadata", "mixed"] {
            let refused = out.connect(&host(&format!("{name}.example.net")), 443).await.unwrap_err();
            assert_eq!(refused, Failure::Forbidden, "{name}");
        }
        for literal in ["127.0.0.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:10.0.0.1]", "0"] {
            assert_eq!(out.connect(&host(literal), 443).await.unwrap_err(), Failure::Forbidden, "{literal}");
        }
        for name in ["empty", "unknown"] {
            let refused = out.connect(&host(&format!("{name}.example.net")), 443).await.unwrap_err();
            assert_eq!(refused, Failure::Dns, "{name}");
        }
        assert_eq!(out.connect(&host("mixed.example.net"), 0).await.unwrap_err(), Failure::Forbidden);
    }

    static ASKED: AtomicUsize = AtomicUsize::new(0);

    /// A permitted address at first, the one that it is after from then on.
    fn rebinding(_name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let first = ASKED.fetch_add(1, Ordering::SeqCst) == 0;
        addresses(if first { &["127.0.0.2"] } else { &["127.0.0.1"] }, port)
    }

    #[tokio::test]
    async fn a_name_that_changes_its_address_leads_where_it_led_when_it_was_judged() {
        let listener = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let out = out(&["127.0.0.2"], rebinding);
        let stream = out.connect(&host("rebinding.example.net"), port).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
        assert_eq!(ASKED.load(Ordering::SeqCst), 1, "asked once for one connection");
        assert_eq!(out.connect(&host("rebinding.example.net"), port).await.unwrap_err(), Failure::Forbidden);
    }

    #[test]
    fn resolvers_that_hang_keep_no_other_name_waiting() {
        let lookups = Arc::new(Lookups::default());
        let mut asks = Vec::new();
        for number in 0..actifix_domain::alert::ENDPOINTS_MAX {
            // Attempts that gave up on it do not add up to threads.
            for _ in 0..3 {
                asks.extend(lookups.join(&format!("hangs{number}.example.net")).unwrap().1);
            }
        }
        assert_eq!(asks.len(), actifix_domain::alert::ENDPOINTS_MAX, "one for each channel there may be");
        assert_eq!(lookups.join("another.example.net").err(), Some(Failure::Dns), "bounded");
        drop(asks.pop());
        assert!(lookups.join("another.example.net").unwrap().1.is_some());
    }
}
