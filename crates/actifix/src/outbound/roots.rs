//! Which authorities are believed: those of the platform, and those of `outbound.extra_ca`.

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// Largest file of authorities, bytes.
const CA_BYTES_MAX: u64 = 4 << 20;

/// Certificates of authorities.
#[derive(Clone, Debug)]
pub struct Roots {
    store: RootCertStore,
    certificates: Vec<CertificateDer<'static>>,
}

impl Roots {
    /// TLS 1.2 and 1.3 with HTTP/1.1, to whom these vouch for.
    ///
    /// # Errors
    /// What rustls says of its own defaults.
    pub fn connector(&self) -> Result<TlsConnector, String> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(self.store.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsConnector::from(Arc::new(config)))
    }

    /// All together.
    pub fn store(&self) -> &RootCertStore {
        &self.store
    }

    /// One by one.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    fn add(&mut self, certificate: CertificateDer<'static>) -> bool {
        let added = self.store.add(certificate.clone()).is_ok();
        if added {
            self.certificates.push(certificate);
        }
        added
    }
}

/// Reads the platform's authorities and those of a PEM file.
///
/// # Errors
/// One line that names the file and what is wrong with it.
pub fn read_roots(extra: Option<&Path>) -> Result<Roots, String> {
    let mut roots = Roots { store: RootCertStore::empty(), certificates: Vec::new() };
    for certificate in rustls_native_certs::load_native_certs().certs {
        // Platforms carry some that nobody can use.
        let _usable = roots.add(certificate);
    }
    if let Some(path) = extra {
        let place = format!("outbound.extra_ca: {}", path.display());
        let pem = read(path).map_err(|error| format!("{place}: {error}"))?;
        let mut added = 0;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            if !certificate.is_ok_and(|certificate| roots.add(certificate)) {
                return Err(format!("{place}: holds what is no certificate"));
            }
            added += 1;
        }
        if added == 0 {
            return Err(format!("{place}: no certificate in PEM form"));
        }
    }
    Ok(roots)
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(CA_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}
