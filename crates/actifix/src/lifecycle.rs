//! Start and stop of the server: listeners, the home's own socket, workers, signals.

use crate::cli::CliError;
use crate::config::Module;
use crate::home::Home;
use crate::wire::{self, Wired};
use crate::workers;
use actifix_web::Edge;
use actifix_web::client::TrustedProxies;
use actifix_web::layers::Hosts;
use actifix_web::server::{Door, ServerLimits, listen_local, serve};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Longest path that a socket address holds, bytes, with room to spare.
const SOCKET_PATH_MAX: usize = 100;
/// Bounds of the ingest histogram, seconds.
const INGEST_BUCKETS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// A listener that is open.
#[derive(Debug)]
pub struct Bound {
    /// Name in the configuration.
    pub name: String,
    /// The socket.
    pub socket: TcpListener,
    /// Where it really listens.
    pub address: SocketAddr,
    /// What it carries.
    pub modules: Vec<Module>,
}

/// A server that runs.
pub struct Running {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    socket: PathBuf,
}

/// Starts listeners and workers.
pub async fn start(home: &Home, wired: &Wired, bound: Vec<Bound>) -> Result<Running, CliError> {
    let metrics = install_metrics()?;
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let limits =
        ServerLimits { connections_max: wired.config.server.connections_max, ..ServerLimits::default() };
    let edge = Edge {
        hosts: Hosts::new(&wired.app.settings().public_url, bound.iter().map(|bound| bound.address.ip())),
        proxies: TrustedProxies::new(wired.config.server.trusted_proxies.iter().copied()),
    };
    for listener in bound {
        let modules = wire::modules(&listener.modules);
        let router = actifix_web::router(&wired.app, &modules, edge.clone(), Some(metrics.clone()));
        tracing::info!(listener = listener.name, address = %listener.address, "listening");
        tasks.spawn(serve(Door::Tcp(listener.socket), router, limits.clone(), stopped.clone()));
    }
    let (door, _directory) = local_door(home).map_err(|error| CliError::io(&home.socket(), error))?;
    let everything = wire::modules(&crate::config::all_modules());
    let router = actifix_web::router(&wired.app, &everything, edge, Some(metrics.clone()));
    tasks.spawn(serve(door, router, limits, stopped.clone()));
    workers::start(&mut tasks, home, wired, stopped);
    Ok(Running { stop, tasks, socket: home.socket() })
}

impl Running {
    /// Returns when SIGTERM or SIGINT arrives. SIGHUP calls `reload`.
    pub async fn wait_for_stop(&self, reload: impl Fn()) {
        let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()))
        else {
            tracing::error!("signals cannot be received: only kill -9 will stop this process");
            return std::future::pending().await;
        };
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                _ = hangup.recv() => reload(),
            }
        }
    }

    /// Drains listeners, ends workers.
    pub async fn stop(mut self) {
        let _receivers_gone = self.stop.send(true);
        while self.tasks.join_next().await.is_some() {}
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

fn install_metrics() -> Result<PrometheusHandle, CliError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full("actifix_ingest_seconds".to_owned()), &INGEST_BUCKETS)
        .and_then(|builder| {
            builder.set_buckets_for_metric(
                Matcher::Full("actifix_db_lock_wait_seconds".to_owned()),
                &INGEST_BUCKETS,
            )
        })
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(CliError::other)
}
