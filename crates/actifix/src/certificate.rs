//! Certificates of listeners: read from files at the start, and again when those change.

use crate::config::TlsConfig;
use crate::home::Home;
use actifix_domain::time::Timestamp;
use actifix_web::tls::{Identity, Shown, server_config};
use rustls::ServerConfig;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Largest file of a certificate or key, bytes.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// What tells one state of a file from another.
type Stamp = [(u64, u64, i64, i64); 2];

/// The certificate of one listener.
#[derive(Debug)]
pub struct Certificate {
    listener: String,
    cert: PathBuf,
    key: PathBuf,
    shown: Arc<Shown>,
    stamp: Mutex<Stamp>,
}

impl Certificate {
    /// Reads the files of a listener. Relative paths begin in the home.
    ///
    /// # Errors
    /// One line that names the file, what is wrong and what to do; never what a file holds.
    pub fn load(home: &Home, listener: &str, tls: &TlsConfig, now: Timestamp) -> Result<Self, String> {
        let (cert, key) = (home.root().join(&tls.cert), home.root().join(&tls.key));
        let (identity, stamp) = read(listener, &cert, &key, now)?;
        let certificate = Self {
            listener: listener.to_owned(),
            cert,
            key,
            shown: Shown::new(&identity),
            stamp: Mutex::new(stamp),
        };
        certificate.observe(&identity);
        Ok(certificate)
    }

    /// The settings of its listener.
    ///
    /// # Errors
    /// The TLS library refuses.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, String> {
        server_config(Arc::clone(&self.shown))
            .map_err(|error| format!("listeners.{}.tls: {error}", self.listener))
    }

    /// Reads the files again and shows what they hold, if that is good; else the former one stays. True when there is
    /// a new one.
    ///
    /// # Errors
    /// As [`Certificate::load`].
    pub fn reload(&self, now: Timestamp) -> Result<bool, String> {
        let (identity, stamp) = read(&self.listener, &self.cert, &self.key, now)?;
        self.observe(&identity);
        let mut known = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == stamp {
            return Ok(false);
        }
        *known = stamp;
        self.shown.replace(&identity);
        Ok(true)
    }

    fn observe(&self, identity: &Identity) {
        metrics::gauge!("actifix_tls_certificate_expires_timestamp_seconds", "listener" => self.listener.clone())
            .set(identity.expires_at.seconds() as f64);
    }
}

/// What became of the certificates when they were read again.
#[derive(Debug, Default)]
pub struct Renewal {
    /// Listeners that have a new one.
    pub replaced: Vec<String>,
    /// What is wrong with others; they keep the former one.
    pub wrong: Vec<String>,
}

/// Reads all certificates again and logs what became of it.
pub fn reload_all(certificates: &[Certificate], now: Timestamp) -> Renewal {
    let mut renewal = Renewal::default();
    for certificate in certificates {
        match certificate.reload(now) {
            Ok(true) => {
                tracing::info!(listener = certificate.listener, "tls.certificate_replaced");
                renewal.replaced.push(certificate.listener.clone());
            }
            Ok(false) => {}
            Err(error) => {
                tracing::error!(listener = certificate.listener, error, "tls.certificate_refused");
                renewal.wrong.push(error);
            }
        }
    }
    renewal
}

fn read(listener: &str, cert: &Path, key: &Path, now: Timestamp) -> Result<(Identity, Stamp), String> {
    let at = |name: &str, path: &Path, why: String| {
        format!("listeners.{listener}.tls.{name}: {}: {why}", path.display())
    };
    let (cert_bytes, cert_meta) = read_file(cert).map_err(|why| at("cert", cert, why))?;
    let (key_bytes, key_meta) = read_file(key).map_err(|why| at("key", key, why))?;
    check_secret(&key_meta).map_err(|why| at("key", key, why))?;
    let identity = Identity::from_pem(&cert_bytes, &key_bytes, now).map_err(|error| {
        format!("listeners.{listener}.tls: {error} ({}, {})", cert.display(), key.display())
    })?;
    let stamp = |meta: &Metadata| (meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec());
    Ok((identity, [stamp(&cert_meta), stamp(&key_meta)]))
}

/// Links are followed: tools that renew certificates replace a link.
fn read_file(path: &Path) -> Result<(Vec<u8>, Metadata), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let meta = file.metadata().map_err(|error| error.to_string())?;
    if !meta.is_file() || meta.len() > FILE_BYTES_MAX {
        return Err("not a plain file of at most 256 KiB".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok((bytes, meta))
}

fn check_secret(meta: &Metadata) -> Result<(), String> {
    let mode = meta.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(format!("mode {mode:04o}: others can read the private key: chmod 600"));
    }
    let owner = meta.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(format!("belongs to user {owner}: change its owner to the user that runs this program"));
    }
    Ok(())
}
