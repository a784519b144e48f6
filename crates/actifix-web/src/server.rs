//! The accept loop: connections are counted, headers and requests have deadlines, and a stop drains.
//!
//! `axum::serve` is not used: it installs no timer, so a half-sent header would stay open for ever.

use axum::Router;
use axum::extract::connect_info::ConnectInfo;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower::Service;

/// Bounds of one listener.
#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// Connections open at the same time; further ones wait in the kernel's queue.
    pub connections_max: usize,
    /// A request's headers must be complete within this time; it also ends idle connections.
    pub header_timeout: Duration,
    /// Open requests get this long to finish after a stop.
    pub drain_timeout: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            header_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(8),
        }
    }
}

/// Headers per request.
const HEADERS_MAX: usize = 100;
/// Bytes of request line and headers together.
const HEAD_BYTES_MAX: usize = 64 * 1024;
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

/// What a listener accepts connections from.
#[derive(Debug)]
pub enum Door {
    /// TCP.
    Tcp(TcpListener),
    /// The home's own socket.
    Unix(UnixListener),
}

/// Opens a listener. The only function of the program that does.
#[allow(clippy::disallowed_methods, reason = "this is the one place that opens listeners")]
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
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
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let slot = tokio::select! {
            slot = Arc::clone(&slots).acquire_owned() => slot,
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let Ok(slot) = slot else { break };
        let accepted = tokio::select! {
            accepted = accept(&door) => accepted,
            () = stopped(&mut stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let watcher = graceful.watcher();
                let _task = connections.spawn(connection(
                    stream,
                    peer,
                    router.clone(),
                    limits.clone(),
                    watcher,
                    slot,
                ));
            }
            Err(error) => {
                tracing::warn!(error = %error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(door);
    if tokio::time::timeout(limits.drain_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("open requests were cut off after the drain time");
    }
    connections.shutdown().await;
}

enum Stream {
    Tcp(TcpStream),
    Unix(tokio::net::UnixStream),
}

async fn accept(door: &Door) -> io::Result<(Stream, Peer)> {
    match door {
        Door::Tcp(listener) => {
            let (stream, peer) = listener.accept().await?;
            // Answers are small: waiting to fill a packet would only add latency.
            let _best_effort = stream.set_nodelay(true);
            Ok((Stream::Tcp(stream), Peer::Network(peer)))
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

async fn connection(
    stream: Stream,
    peer: Peer,
    router: Router,
    limits: ServerLimits,
    watcher: hyper_util::server::graceful::Watcher,
    slot: OwnedSemaphorePermit,
) {
    match stream {
        Stream::Tcp(stream) => serve_one(TokioIo::new(stream), peer, router, &limits, watcher).await,
        Stream::Unix(stream) => serve_one(TokioIo::new(stream), peer, router, &limits, watcher).await,
    }
    drop(slot);
}

async fn serve_one<I>(
    io: I,
    peer: Peer,
    router: Router,
    limits: &ServerLimits,
    watcher: hyper_util::server::graceful::Watcher,
) where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().call(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(io, service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(error = %error, "connection ended");
    }
}
