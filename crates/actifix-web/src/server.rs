//! The accept loop: connections are counted, in all and per peer; handshakes, headers, requests and stalled answers
//! have deadlines; a stop drains.
//!
//! `axum::serve` is not used: it installs no timer, so a half-sent header would stay open for ever. HTTP/2 is spoken
//! over TLS only, where ALPN asks for it.

mod connection;
mod pulse;

use crate::client::TrustedProxies;
use actifix_domain::network::client_network;
use axum::Router;
use connection::Stream;
use pulse::Pulse;
pub(crate) use pulse::Streaming;
use rustls::ServerConfig;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Bounds of one listener.
#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// Connections open at the same time; a further one takes the place of an idle one of the peer that has most, or is
    /// closed at once.
    pub connections_max: usize,
    /// Connections of one address, or network of IPv6, at the same time; further ones are closed at once.
    pub connections_per_peer_max: usize,
    /// Peers that stand for many clients, and so have no bound of their own.
    pub proxies: TrustedProxies,
    /// A TLS handshake, and a request's headers, must be complete within this time; it also ends idle connections.
    pub header_timeout: Duration,
    /// Of an answer that waits for its reader, some KiB must be taken within this time.
    pub stall_timeout: Duration,
    /// Open requests get this long to finish after a stop.
    pub drain_timeout: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            connections_per_peer_max: 1_024,
            proxies: TrustedProxies::default(),
            header_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(8),
        }
    }
}

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 1_024;
/// An idle connection gives its place up within this time.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(1);
/// Wait after a failed `accept` (out of descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A network address.
    Network(SocketAddr),
    /// The home's own socket: a process that may open files of the owner.
    Local,
}

/// Put into the extensions of requests that came over TLS of our own.
#[derive(Clone, Copy, Debug)]
pub struct Tls;

/// Put into the extensions of every request: whether the server stops. What goes on for as long as somebody looks ends
/// then, so that the drain waits for nobody.
#[derive(Clone, Debug)]
pub(crate) struct Stopping(watch::Receiver<bool>);

impl Stopping {
    /// Ends when the server begins to stop.
    pub(crate) async fn begun(mut self) {
        stopped(&mut self.0).await;
    }
}

/// What a listener accepts connections from.
#[derive(Debug)]
pub enum Door {
    /// TCP; with TLS where there is a certificate to show.
    Tcp(TcpListener, Option<Arc<ServerConfig>>),
    /// The home's own socket.
    Unix(UnixListener),
}

/// Takes an address without listening there yet: nobody can connect before all that must hold has been checked.
///
/// # Errors
/// Of the system: the address is taken, or not of this machine.
pub fn reserve(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Opens a listener on an address that was taken. The only function of the program that does.
///
/// # Errors
/// Of the system: somebody else listens there.
#[allow(clippy::disallowed_methods, reason = "this is the one place that opens listeners")]
pub fn listen(socket: TcpSocket) -> io::Result<TcpListener> {
    socket.listen(BACKLOG)
}

/// Opens the home's own socket.
#[allow(clippy::disallowed_methods, reason = "this is the one place that opens listeners")]
pub fn listen_local(path: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(path)?;
    // Its directory keeps others out already; the mode says so too.
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(listener)
}

/// Accepts until `stop` turns true, then drains.
pub async fn serve(door: Door, router: Router, limits: ServerLimits, mut stop: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    let peers = Arc::new(Peers::default());
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&door) => accepted,
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(place) = peers.enter(peer, &limits) else {
                    refused("peer");
                    continue;
                };
                let Some(slot) = slot(&slots, &peers, &place).await else {
                    refused("all");
                    continue;
                };
                let pulse = Arc::clone(&place.pulse);
                let task = connection::serve(
                    stream,
                    peer,
                    router.clone(),
                    limits.clone(),
                    stop.clone(),
                    Arc::clone(&pulse),
                );
                let _task = connections.spawn(async move {
                    tokio::select! {
                        () = task => {}
                        () = pulse.evicted() => {}
                    }
                    drop((place, slot));
                });
            }
            Err(error) => {
                tracing::warn!(error = %error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(door);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain_timeout, drained).await.is_err() {
        tracing::warn!("open requests were cut off after the drain time");
    }
    connections.shutdown().await;
}

fn refused(reason: &'static str) {
    metrics::counter!("actifix_connections_refused_total", "reason" => reason).increment(1);
}

/// A slot for a new connection. When all are taken, an idle connection of the peer that has most gives its own up, so
/// that few peers with many connections cannot shut out all others.
async fn slot(slots: &Arc<Semaphore>, peers: &Peers, place: &Place) -> Option<OwnedSemaphorePermit> {
    if let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
        return Some(slot);
    }
    if !peers.make_room(place) {
        return None;
    }
    refused("evicted");
    tokio::time::timeout(ROOM_WAIT_MAX, Arc::clone(slots).acquire_owned()).await.ok()?.ok()
}

async fn accept(door: &Door) -> io::Result<(Stream, Peer)> {
    match door {
        Door::Tcp(listener, tls) => {
            let (stream, peer) = listener.accept().await?;
            // Answers are small: waiting to fill a packet would only add latency.
            let _best_effort = stream.set_nodelay(true);
            let stream = match tls {
                Some(config) => Stream::Tls(stream, TlsAcceptor::from(Arc::clone(config))),
                None => Stream::Tcp(stream),
            };
            Ok((stream, Peer::Network(peer)))
        }
        Door::Unix(listener) => {
            let (stream, _) = listener.accept().await?;
            Ok((Stream::Unix(stream), Peer::Local))
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A closed channel means that the owner is gone: stop as well.
    let _closed_or_true = stop.wait_for(|stop| *stop).await;
}

/// Open connections by peer, oldest first; at most as many as there are connections.
#[derive(Debug, Default)]
struct Peers(Mutex<HashMap<IpAddr, Vec<Arc<Pulse>>>>);

/// A place among the connections of a peer, given back when dropped.
struct Place {
    pulse: Arc<Pulse>,
    counted: Option<(Arc<Peers>, IpAddr)>,
}

impl Peers {
    fn enter(self: &Arc<Self>, peer: Peer, limits: &ServerLimits) -> Option<Place> {
        let pulse = Arc::new(Pulse::default());
        let address = match peer {
            Peer::Network(address) => address.ip().to_canonical(),
            Peer::Local => return Some(Place { pulse, counted: None }),
        };
        if limits.proxies.contains(address) {
            return Some(Place { pulse, counted: None });
        }
        let network = client_network(address);
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = open.entry(network).or_default();
        if connections.len() >= limits.connections_per_peer_max {
            return None;
        }
        connections.push(Arc::clone(&pulse));
        Some(Place { pulse, counted: Some((Arc::clone(self), network)) })
    }

    /// Asks the oldest idle connection of the peer that has most to go. A newcomer of that very peer gets no room.
    fn make_room(&self, newcomer: &Place) -> bool {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((network, connections)) = open.iter().max_by_key(|(_, connections)| connections.len())
        else {
            return false;
        };
        if newcomer.counted.as_ref().is_some_and(|(_, own)| own == network) {
            return false;
        }
        connections.iter().any(|pulse| pulse.evict())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((peers, network)) = &self.counted else { return };
        let mut open = peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connections) = open.get_mut(network) {
            connections.retain(|pulse| !Arc::ptr_eq(pulse, &self.pulse));
            if connections.is_empty() {
                open.remove(network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_has_its_share_of_connections_and_gives_it_back() {
        let limits = ServerLimits {
            connections_per_peer_max: 2,
            proxies: TrustedProxies::new(["10.0.0.1".parse().unwrap()]),
            ..ServerLimits::default()
        };
        let peers = Arc::new(Peers::default());
        let enter =
            |text: &str| peers.enter(Peer::Network(SocketAddr::new(text.parse().unwrap(), 1)), &limits);
        let first = enter("2001:db8::1").unwrap();
        let _second = enter("2001:db8::2").unwrap();
        assert!(enter("2001:db8::3").is_none(), "a network of 64 bits is one peer");
        let _other = enter("192.0.2.1").unwrap();
        drop(first);
        let _third = enter("2001:db8::3").unwrap();
        let proxy: Vec<_> = (0..5).map(|_| enter("10.0.0.1").unwrap()).collect();
        assert_eq!(proxy.len(), 5);
        assert!(peers.enter(Peer::Local, &limits).is_some());
        drop((_second, _other, _third));
        assert!(peers.0.lock().unwrap().is_empty());
    }

    #[test]
    fn a_newcomer_takes_the_place_of_an_idle_connection_of_the_largest_peer() {
        let limits = ServerLimits::default();
        let peers = Arc::new(Peers::default());
        let enter = |text: &str| {
            peers.enter(Peer::Network(SocketAddr::new(text.parse().unwrap(), 1)), &limits).unwrap()
        };
        let many: Vec<Place> = (0..3).map(|_| enter("192.0.2.1")).collect();
        let busy = Pulse::answering(&many[0].pulse);
        let other = enter("192.0.2.2");
        assert!(!peers.make_room(&many[2]), "the largest peer makes no room for itself");
        assert!(peers.make_room(&other));
        let evicted: Vec<bool> = many
            .iter()
            .map(|place| {
                let mut evicted = std::pin::pin!(place.pulse.evicted());
                let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                evicted.as_mut().poll(&mut context).is_ready()
            })
            .collect();
        assert_eq!(evicted, [false, true, false], "the oldest that is idle");
        let _rest: Vec<_> = many[1..].iter().map(|place| Pulse::answering(&place.pulse)).collect();
        assert!(!peers.make_room(&other), "nobody who is being answered has to go");
        drop(busy);
    }
}
