//! What is around the App: its configuration, its files, the machine, and the server as others see it. Facts only; what
//! they mean is decided in `actifix_app::doctor`.

mod backups;
mod files;
mod machine;
mod names;
mod network;
mod probes;
mod processes;
mod repositories;

use crate::config::{Config, Module};
use crate::home::Home;
use crate::outbound::Outbound;
use crate::vault::HomeVault;
use crate::wire;
use actifix_app::doctor::{Deployment, ListenerFact};
use actifix_app::error::{Error, Result};
use actifix_app::ports::Surroundings;
use actifix_app::review::NameFact;
use actifix_store::files::Unsafe;
use async_trait::async_trait;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// One installation, as it can be looked at.
#[derive(Clone)]
pub struct Site {
    home: Home,
    config: Config,
    vault: Arc<HomeVault>,
    outbound: Arc<Outbound>,
    rate_limit_disabled: bool,
    /// What was wrong with files before this process put it right.
    mended: Vec<Unsafe>,
    shared: Arc<Shared>,
}

/// What changes while a server runs.
#[derive(Default)]
struct Shared {
    production: AtomicBool,
    doors: OnceLock<Vec<DoorFact>>,
    origins: Mutex<Option<Vec<String>>>,
}

/// A listener that is open.
#[derive(Clone, Debug)]
pub struct DoorFact {
    /// Its name in the configuration.
    pub name: String,
    /// Where it really listens.
    pub address: SocketAddr,
}

impl Site {
    pub fn new(
        home: &Home,
        config: &Config,
        vault: &Arc<HomeVault>,
        outbound: &Arc<Outbound>,
        mended: &[Unsafe],
    ) -> std::result::Result<Self, crate::cli::CliError> {
        Ok(Self {
            home: home.clone(),
            config: config.clone(),
            vault: Arc::clone(vault),
            outbound: Arc::clone(outbound),
            rate_limit_disabled: wire::rate_limit_disabled(),
            mended: mended.to_vec(),
            shared: Arc::default(),
        })
    }

    /// The server was started with `--production`.
    pub fn starts_in_production(&self) {
        self.shared.production.store(true, Ordering::Relaxed);
    }

    /// From now on a server listens here.
    pub fn serves_at(&self, doors: Vec<DoorFact>) {
        // The first ones stay: they are opened once.
        let _set_before = self.shared.doors.set(doors);
    }

    /// `cors.allowed_origins` was read again.
    pub fn reloaded(&self, origins: &[String]) {
        *self.shared.origins.lock().unwrap_or_else(PoisonError::into_inner) = Some(origins.to_vec());
    }

    fn listeners(&self) -> Vec<ListenerFact> {
        let doors = self.shared.doors.get();
        let listeners = self.config.listeners().into_iter().map(|(name, listener)| {
            let door = doors.and_then(|doors| doors.iter().find(|door| door.name == name));
            let people = |module: &Module| *module != Module::Ingest;
            ListenerFact {
                address: door.map_or(listener.bind, |door| door.address),
                tls: listener.tls.is_some(),
                serves_people: listener.modules.iter().any(people),
                name,
            }
        });
        listeners.collect()
    }

    fn origins(&self) -> Vec<String> {
        let reloaded = self.shared.origins.lock().unwrap_or_else(PoisonError::into_inner);
        reloaded.clone().unwrap_or_else(|| self.config.cors.allowed_origins.clone())
    }

    /// Requests of this machine that say so are taken to have come over HTTPS.
    fn trusts_loopback(&self) -> bool {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        self.config.server.trusted_proxies.iter().any(|network| network.contains(loopback))
    }

    fn limits(&self) -> Vec<(&'static str, u64)> {
        let limits = &self.config.limits;
        [
            ("limits.api_per_minute", limits.api_per_minute),
            ("limits.api_per_hour", limits.api_per_hour),
            ("limits.api_instance_per_day", limits.api_instance_per_day),
            ("limits.login_per_minute", limits.login_per_minute),
            ("limits.key_per_minute", limits.key_per_minute),
            ("limits.instance_per_day", limits.instance_per_day),
        ]
        .map(|(name, most)| (name, u64::from(most)))
        .to_vec()
    }

    /// All that is seen without asking the server. Blocks.
    fn look_here(&self, closely: bool) -> Result<Deployment> {
        let server = &self.config.server;
        // What this process put right at its start was wrong until then: whoever asks is told, once.
        let mended = if closely && self.shared.doors.get().is_none() { &self.mended[..] } else { &[] };
        Ok(Deployment {
            production: self.shared.production.load(Ordering::Relaxed),
            key: files::key_place(&self.home, &self.vault)?,
            planted: files::planted(&self.home),
            files: files::all(&self.home, mended),
            listeners: self.listeners(),
            public_url: server.public_url.clone(),
            trusted_proxies: !server.trusted_proxies.is_empty(),
            allow_plain_http: server.allow_plain_http,
            rate_limit_disabled: self.rate_limit_disabled,
            limits: self.limits(),
            allowed_origins: self.origins(),
            logs: files::logs(&self.home, self.config.retention.logs_bytes_max),
            backups: backups::look(&self.home, &self.config.backup),
            repositories: if closely {
                repositories::look(&self.home, &self.config.doctor.repositories)
            } else {
                Vec::new()
            },
            scanner_works: !closely || repositories::scanner_works(),
            machine: if closely { machine::look(&self.home) } else { Default::default() },
            live: None,
        })
    }
}

#[async_trait]
impl Surroundings for Site {
    async fn look(&self, probe: Option<&str>) -> Result<Deployment> {
        let (site, closely) = (self.clone(), probe.is_some());
        let looked = tokio::task::spawn_blocking(move || site.look_here(closely)).await;
        let mut deployment = looked.map_err(Error::internal)??;
        if let (Some(key), true) = (probe, self.shared.doors.get().is_some()) {
            deployment.live = Some(self.ask_server(&deployment, key).await);
        }
        Ok(deployment)
    }

    async fn names(&self) -> Vec<NameFact> {
        let server = &self.config.server;
        names::ask(&self.outbound, server.public_url.as_deref(), &server.hosts, &self.origins()).await
    }
}
