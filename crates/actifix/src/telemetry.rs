//! The program's own logs: JSON lines in `.actifix/logs/actifix.log`, redacted by the same engine as events, and one line
//! per refused login or token in `.actifix/logs/auth.log`, for programs that ban addresses.
//!
//! Losing the log never stops ingest: a failed write is counted and forgotten.

mod auth;
mod file;
mod line;
mod old;

pub use auth::TARGET as AUTH_TARGET;
pub use old::{closed, read_closed};

use crate::vault::HomeVault;
use actifix_app::ports::{Clock, RetentionPolicy, Vault};
use actifix_domain::time::Timestamp;
use actifix_secrets::{Engine, HashKey, Settings};
use auth::AuthLayer;
use file::{Bounds, LogFile};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

/// Name of the log, without its ending.
pub const LOG: &str = "actifix";
/// Name of the log of refused credentials.
pub const AUTH: &str = "auth";
/// Share of all bytes that the log of refused credentials may take.
const AUTH_SHARE: u64 = 10;

/// Bytes at which an open file is closed, where so many are kept in all.
pub fn file_bytes_max(total: u64) -> u64 {
    Bounds::new(0, total - total / AUTH_SHARE).file_bytes
}

/// The logs while they are written.
pub struct Log {
    files: [Arc<LogFile>; 2],
    filter: reload::Handle<EnvFilter, Registry>,
}

impl Log {
    /// Writes into new files if the old ones were moved away, and says from now on what `level` tells.
    pub fn reload(&self, level: &str) -> anyhow::Result<()> {
        self.files.iter().for_each(|file| file.reopen());
        self.filter.reload(filter(level)?)?;
        Ok(())
    }

    /// Says until when the clock is believed; while it is not, nothing is removed by its age.
    pub fn believe_until(&self, until: Option<Timestamp>) {
        self.files.iter().for_each(|file| file.believe_until(until));
    }

    /// Closes files that are old, compresses closed ones, removes what is no longer kept. Blocks; called now and then.
    pub fn tend(&self) {
        let mut bytes = 0;
        for file in &self.files {
            match file.tend() {
                Ok(kept) => bytes += kept,
                Err(error) => {
                    metrics::counter!("actifix_log_failures_total").increment(1);
                    tracing::error!(%error, "log.not_tended: old files of the log stay as they are");
                }
            }
        }
        metrics::gauge!("actifix_log_size_bytes").set(bytes as f64);
    }
}

fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    Ok(EnvFilter::try_new(format!("{level},hyper=warn,h2=warn,{AUTH_TARGET}=off"))?)
}

/// Starts logging into `dir`. `level` is one of the words of `server.log_level`.
pub fn start(
    dir: &Path,
    level: &str,
    vault: &HomeVault,
    policy: &RetentionPolicy,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Log> {
    let (filter, handle) = reload::Layer::new(filter(level)?);
    let auth_bytes = policy.logs_bytes_max / AUTH_SHARE;
    let open = |name, bytes| {
        let bounds = Bounds::new(policy.logs_days, bytes);
        Arc::new(LogFile::new(dir, name, bounds, Arc::clone(clock)))
    };
    let log = open(LOG, policy.logs_bytes_max - auth_bytes);
    let auth = open(AUTH, auth_bytes);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_ansi(false)
        .with_writer(LogWriter {
            file: Arc::clone(&log),
            engine: Engine::builtin(),
            settings: Arc::new(Settings {
                hash_key: HashKey(vault.derive("log-hash")),
                ..Settings::default()
            }),
        })
        .with_filter(filter);
    tracing_subscriber::registry()
        .with(lines)
        .with(AuthLayer::new(Arc::clone(&auth), Arc::clone(clock)))
        .try_init()
        .map_err(|error| anyhow::anyhow!("log: {error}"))?;
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        // The message of a panic may hold anything; its place is enough to find it.
        tracing::error!(place, "panic");
    }));
    for name in ["actifix_log_lines_lost_total", "actifix_log_failures_total", "actifix_log_rotations_total"]
    {
        metrics::counter!(name).increment(0);
    }
    Ok(Log { files: [log, auth], filter: handle })
}

#[derive(Clone)]
struct LogWriter {
    file: Arc<LogFile>,
    engine: Arc<Engine>,
    settings: Arc<Settings>,
}

impl Write for LogWriter {
    fn write(&mut self, raw: &[u8]) -> io::Result<usize> {
        self.file.append_or_count(line::safe(raw, &self.engine, &self.settings).as_bytes());
        Ok(raw.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
