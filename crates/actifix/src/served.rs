//! What the server was told when it started: kept in its home, so that other commands can say what applies while it
//! runs, and where it was reached after it has ended.

use crate::config::{Config, Loaded, Module, Values};
use crate::home::Home;
use actifix_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read};

/// Largest record, bytes.
const BYTES_MAX: u64 = 1 << 20;

/// A record of a start, or of the last reload since.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Served {
    /// Base of DSNs.
    pub url: String,
    /// When the server started.
    pub started_at: Timestamp,
    /// Values that apply, passwords masked; secrets are references.
    pub values: Values,
}

impl Served {
    /// Writes it down.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, home: &Home) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        crate::files::replace(&home.served(), format!("{text}\n").as_bytes())
    }

    /// The record of a home; none where no server has run, or where it cannot be read: it is a comfort only.
    pub fn read(home: &Home) -> Option<Self> {
        let mut text = String::new();
        File::open(home.served()).ok()?.take(BYTES_MAX).read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }
}

/// Where the server of a home was reached last, if this configuration does not say where it will be: it was started
/// with other variables, or on a port that the system chose.
pub fn last_url(home: &Home, loaded: &Loaded) -> Option<String> {
    let config = &loaded.config;
    let said = loaded.sources.keys().any(|key| key.starts_with("listeners."));
    if config.server.public_url.is_some() || (said && !is_open(config)) {
        return None;
    }
    Served::read(home).map(|served| served.url)
}

/// Whether the port that ingest will be at is chosen at the start.
pub fn is_open(config: &Config) -> bool {
    let listeners = config.listeners();
    let ingest = listeners.values().find(|listener| listener.modules.contains(&Module::Ingest));
    config.server.public_url.is_none() && ingest.is_some_and(|listener| listener.bind.port() == 0)
}
