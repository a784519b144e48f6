//! Start and stop of the server: listeners, the home's own socket, workers, signals.

use crate::certificate::Certificate;
use crate::cli::{CliError, exit};
use crate::config::{Exposure, Module};
use crate::home::Home;
use crate::site::DoorFact;
use crate::telemetry::Log;
use crate::wire::{self, Wired};
use crate::workers;
use actifix_web::Edge;
use actifix_web::client::TrustedProxies;
use actifix_web::cors::Origins;
use actifix_web::layers::Hosts;
use actifix_web::server::{Door, ServerLimits, listen, listen_local, serve};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use rustls::ServerConfig;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpSocket;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long listeners and workers may take to end: longer than the listeners' own drain, shorter than supervisors wait.
const STOP_DEADLINE: Duration = Duration::from_secs(12);
/// Longest path that a socket address holds, bytes, with room to spare.
const SOCKET_PATH_MAX: usize = 100;
/// Bounds of the ingest histogram, seconds.
const INGEST_BUCKETS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// A listener that is open.
#[derive(Debug)]
pub struct Bound {
    /// Name in the configuration.
    pub name: String,
    /// The address is taken; nobody listens there yet.
    pub socket: TcpSocket,
    /// Where it really listens.
    pub address: SocketAddr,
    /// What it carries.
    pub modules: Vec<Module>,
    /// How it can be reached.
    pub exposure: Exposure,
    /// Settings of TLS, if it speaks that.
    pub tls: Option<Arc<ServerConfig>>,
}

impl Bound {
    /// What a client calls it.
    pub fn url(&self) -> String {
        let scheme = if self.exposure == Exposure::Tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }
}

/// What a reload replaces while the server runs.
#[derive(Debug, Default)]
pub struct Live {
    /// `cors.allowed_origins`
    pub origins: Origins,
    /// Certificates of the listeners that have one.
    pub certificates: Vec<Certificate>,
}

/// The signals that steer a server. From the moment this exists they are kept until somebody asks, so that none is lost
/// while the server still starts.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Starts to receive.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Wake {
        tokio::select! {
            _ = self.terminate.recv() => Wake::Stop,
            _ = self.interrupt.recv() => Wake::Stop,
            _ = self.hangup.recv() => Wake::HangUp,
        }
    }
}

/// A server that runs.
pub struct Running {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    socket: PathBuf,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// SIGTERM, SIGINT.
    Stop,
    /// SIGHUP.
    HangUp,
}

/// Starts listeners and workers.
pub async fn start(
    home: &Home,
    wired: &Wired,
    bound: Vec<Bound>,
    (live, log): (&Arc<Live>, &Arc<Log>),
    metrics: PrometheusHandle,
) -> Result<Running, CliError> {
    wired.app.announce_figures().await?;
    wired.app.restore_limits().await?;
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let server = &wired.config.server;
    let proxies = TrustedProxies::new(server.trusted_proxies.iter().copied());
    let limits = ServerLimits {
        connections_max: crate::process::room_for(server.connections_max, bound.len()),
        connections_per_peer_max: server.connections_per_peer_max,
        header_timeout: Duration::from_secs(server.header_timeout_seconds),
        stall_timeout: Duration::from_secs(server.stall_timeout_seconds),
        proxies: proxies.clone(),
        ..ServerLimits::default()
    };
    let public_url = &wired.app.settings().public_url;
    let addresses = bound.iter().map(|bound| bound.address.ip());
    let edge = Edge {
        hosts: Hosts::new(public_url, addresses, &server.hosts),
        proxies,
        origins: live.origins.clone(),
        https_url: (public_url.starts_with("https://") && !server.allow_plain_http)
            .then(|| public_url.as_str().into()),
    };
    say_loudly(wired, &bound);
    let doors = bound.iter().map(|bound| DoorFact { name: bound.name.clone(), address: bound.address });
    wired.site.serves_at(doors.collect());
    for listener in bound {
        let modules = wire::modules(&listener.modules);
        let router = actifix_web::router(&wired.app, &modules, edge.clone(), Some(metrics.clone()));
        let socket = listen(listener.socket)
            .map_err(|error| cannot_listen(&listener.name, listener.address, error))?;
        tracing::info!(listener = listener.name, address = %listener.address, exposure = ?listener.exposure, "listening");
        tasks.spawn(serve(Door::Tcp(socket, listener.tls), router, limits.clone(), stopped.clone()));
    }
    let (door, _directory) = local_door(home).map_err(|error| CliError::io(&home.socket(), error))?;
    let everything = wire::modules(&crate::config::all_modules());
    let router = actifix_web::router(&wired.app, &everything, edge, Some(metrics.clone()));
    tasks.spawn(serve(door, router, limits, stopped.clone()));
    workers::start(&mut tasks, home, wired, (live, log), stopped);
    Ok(Running { stop, tasks, socket: home.socket() })
}

impl Running {
    /// Drains listeners, ends workers; whatever has not ended by [`STOP_DEADLINE`] is cut off. What was accepted is the
    /// writer's by then, and the store waits for that.
    pub async fn stop(mut self) {
        let _receivers_gone = self.stop.send(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_DEADLINE, all).await.is_err() {
            tracing::error!(tasks = self.tasks.len(), "stop: work that did not end in time is cut off");
            self.tasks.shutdown().await;
        }
        let _already_gone = std::fs::remove_file(&self.socket);
    }
}

/// The home's own socket. Who may open files of the owner may use it: its directory is 0700.
fn local_door(home: &Home) -> io::Result<(Door, File)> {
    let path = home.socket();
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (directory, short) = short_socket_path(&path)?;
    Ok((Door::Unix(listen_local(&short)?), directory))
}

/// A path to the socket that fits into an address, by way of an open directory where the real one is too long.
pub fn short_socket_path(path: &Path) -> io::Result<(File, PathBuf)> {
    let parent = path.parent().unwrap_or_else(|| Path::new("."));
    let directory = File::open(parent)?;
    if path.as_os_str().len() <= SOCKET_PATH_MAX {
        return Ok((directory, path.to_owned()));
    }
    let name = path.file_name().unwrap_or_default();
    let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
    Ok((directory, short))
}

/// An address at which nobody can listen: why, and what to do.
pub fn cannot_listen(name: &str, address: SocketAddr, error: io::Error) -> CliError {
    let section = name.to_ascii_uppercase();
    let (ip, port) = (address.ip(), address.port());
    let other = |port: u16| {
        let address = SocketAddr::new(ip, port);
        format!(
            "choose another port with ACTIFIX_LISTENERS__{section}__BIND={address}, or `bind` below [listeners.{name}] in actifix.toml"
        )
    };
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => {
            let next = port.checked_add(1).unwrap_or(5001);
            format!("another program listens there: stop it, or {}", other(next))
        }
        io::ErrorKind::PermissionDenied => {
            format!("ports below 1024 need a privilege that this process has not: {}", other(5001))
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: `ip addr` shows those it has".to_owned()
        }
        _ => format!("{error}: {}", other(port)),
    };
    CliError::new(exit::CANNOT_CREATE, format!("listeners.{name}.bind: {address}: {why}"))
}

/// What should worry whoever looks at log or metrics.
fn say_loudly(wired: &Wired, bound: &[Bound]) {
    let plain = bound.iter().filter(|bound| bound.exposure == Exposure::Plain);
    metrics::gauge!("actifix_plain_http_listeners").set(plain.clone().count() as f64);
    for bound in plain {
        tracing::warn!(listener = bound.name, address = %bound.address, "plain HTTP to the network is allowed");
    }
    let disabled = wired.app.settings().rate_limit_disabled;
    metrics::gauge!("actifix_rate_limit_disabled").set(if disabled { 1.0 } else { 0.0 });
}

/// Starts to keep figures.
pub fn install_metrics() -> Result<PrometheusHandle, CliError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full("actifix_ingest_seconds".to_owned()), &INGEST_BUCKETS)
        .and_then(|builder| {
            builder.set_buckets_for_metric(
                Matcher::Full("actifix_db_lock_wait_seconds".to_owned()),
                &INGEST_BUCKETS,
            )
        })
        .and_then(|builder| {
            builder.set_buckets_for_metric(
                Matcher::Full("actifix_db_lock_held_seconds".to_owned()),
                &INGEST_BUCKETS,
            )
        })
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(CliError::other)
}
