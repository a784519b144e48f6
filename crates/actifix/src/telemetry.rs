//! The program's own log: JSON lines in `.actifix/logs/actifix.log`, redacted by the same engine as events.
//!
//! Losing the log never stops ingest: a failed write is counted and forgotten.

use crate::vault::HomeVault;
use actifix_app::ports::Vault;
use actifix_secrets::{Engine, HashKey, Settings};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

/// A log file is closed and renamed at this size, bytes.
pub const FILE_BYTES_MAX: u64 = 50 << 20;
/// Name of the file that is written.
pub const FILE_NAME: &str = "actifix.log";
/// Closed files that are kept; with the open one at most 500 MB in all.
const FILES_KEPT: u32 = 9;
/// Longest line, bytes; longer ones are cut.
const LINE_BYTES_MAX: usize = 64 << 10;
/// What is redacted of a line before it is cut, bytes: far more, so that no half of a secret is left at the cut.
const READ_BYTES_MAX: usize = 1 << 20;

/// Bytes of all files together.
pub const fn bytes_max() -> u64 {
    FILE_BYTES_MAX * (FILES_KEPT as u64 + 1)
}

/// The log while it is written.
pub struct Log {
    file: Arc<LogFile>,
    filter: reload::Handle<EnvFilter, Registry>,
}

impl Log {
    /// Writes into a new file if the old one was moved away, and says from now on what `level` tells.
    pub fn reload(&self, level: &str) -> anyhow::Result<()> {
        *self.file.open.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.filter.reload(filter(level)?)?;
        Ok(())
    }
}

fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    Ok(EnvFilter::try_new(format!("{level},hyper=warn,h2=warn"))?)
}

/// Starts logging into `dir`. `level` is one of the words of `server.log_level`.
pub fn start(dir: &Path, level: &str, vault: &HomeVault) -> anyhow::Result<Log> {
    let (filter, handle) = reload::Layer::new(filter(level)?);
    let file = Arc::new(LogFile {
        path: dir.join(FILE_NAME),
        engine: Engine::builtin(),
        settings: Settings { hash_key: HashKey(vault.derive("log-hash")), ..Settings::default() },
        open: Mutex::new(None),
    });
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_ansi(false)
        .with_writer(LogWriter(Arc::clone(&file)));
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .map_err(|error| anyhow::anyhow!("log: {error}"))?;
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        // The message of a panic may hold anything; its place is enough to find it.
        tracing::error!(place, "panic");
    }));
    Ok(Log { file, filter: handle })
}

struct LogFile {
    path: PathBuf,
    engine: Arc<Engine>,
    settings: Settings,
    open: Mutex<Option<(File, u64)>>,
}

impl LogFile {
    fn write_line(&self, line: &[u8]) -> io::Result<()> {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches('\n');
        let read = text.floor_char_boundary(READ_BYTES_MAX.min(text.len()));
        let (mut clean, _) = self.engine.redact_text(text.get(..read).unwrap_or_default(), &self.settings);
        clean.truncate(clean.floor_char_boundary(LINE_BYTES_MAX.min(clean.len())));
        clean.push('\n');
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let length = u64::try_from(clean.len()).unwrap_or(u64::MAX);
        if let Some((_, size)) = open.as_ref()
            && size.saturating_add(length) > FILE_BYTES_MAX
        {
            *open = None;
            self.rotate()?;
        }
        if open.is_none() {
            let file = crate::files::append(&self.path)?;
            let size = file.metadata()?.len();
            *open = Some((file, size));
        }
        if let Some((file, size)) = open.as_mut() {
            // One write per line, so that lines of two processes are never torn.
            file.write_all(clean.as_bytes())?;
            *size += length;
        }
        Ok(())
    }

    fn rotate(&self) -> io::Result<()> {
        let numbered = |number: u32| self.path.with_extension(format!("{number}.log"));
        for number in (1..FILES_KEPT).rev() {
            match std::fs::rename(numbered(number), numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        std::fs::rename(&self.path, numbered(1))
    }
}

#[derive(Clone)]
struct LogWriter(Arc<LogFile>);

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.write_line(line).is_err() {
            metrics::counter!("actifix_log_lines_lost_total").increment(1);
        }
        Ok(line.len())
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
