//! TLS of our own: certificates that are checked when they are read, and replaced while the server runs.

use actifix_domain::time::{SECOND, Timestamp};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, InconsistentKeys, RootCertStore, ServerConfig};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Certificates of one chain.
const CHAIN_MAX: usize = 10;

/// Why a certificate cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The file of the certificate is not PEM.
    #[error("cert: no certificate in PEM form (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// More certificates than a chain has.
    #[error("cert: more than 10 certificates: give the server's and those that sign it")]
    TooMany,
    /// The certificate cannot be read.
    #[error("cert: the first certificate cannot be read")]
    Unreadable,
    /// The file of the key is not PEM.
    #[error("key: no private key in PEM form")]
    NoKey,
    /// A kind of key that we do not have.
    #[error("key: of a kind that is not supported: use ECDSA P-256, Ed25519 or RSA of 2048 bits or more")]
    KeyKind,
    /// Certificate and key are of two pairs.
    #[error("cert and key do not belong together: the certificate was made for another key")]
    Mismatch,
    /// It has ended.
    #[error("cert: it expired on {0}: renew it")]
    Expired(String),
    /// It has not begun.
    #[error("cert: it is valid from {0} on: is this machine's clock right?")]
    Early(String),
    /// The library refuses.
    #[error("TLS: {0}")]
    Library(String),
}

/// A certificate with its key, fit to be shown now.
#[derive(Clone, Debug)]
pub struct Identity {
    key: Arc<CertifiedKey>,
    /// End of the certificate's life.
    pub expires_at: Timestamp,
}

impl Identity {
    /// Reads two PEM texts and checks that they fit each other and the present.
    ///
    /// # Errors
    /// See [`TlsError`]; no text of it repeats what was read.
    pub fn from_pem(cert: &[u8], key: &[u8], now: Timestamp) -> Result<Self, TlsError> {
        let mut chain = Vec::new();
        for found in CertificateDer::pem_slice_iter(cert) {
            chain.push(found.map_err(|_| TlsError::NoCertificate)?.into_owned());
            if chain.len() > CHAIN_MAX {
                return Err(TlsError::TooMany);
            }
        }
        let first = chain.first().ok_or(TlsError::NoCertificate)?;
        let expires_at = ends_at(first).ok_or(TlsError::Unreadable)?;
        if now >= expires_at {
            return Err(TlsError::Expired(expires_at.to_string()));
        }
        let seconds = u64::try_from(now.seconds()).unwrap_or_default();
        let refused = refused_at(first, UnixTime::since_unix_epoch(Duration::from_secs(seconds)));
        if let Some(CertificateError::NotValidYetContext { not_before, .. }) = refused {
            return Err(TlsError::Early(timestamp(not_before).ok_or(TlsError::Unreadable)?.to_string()));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey)?;
        let key =
            CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(
                |error| match error {
                    rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch,
                    rustls::Error::InvalidCertificate(_) => TlsError::Unreadable,
                    _ => TlsError::KeyKind,
                },
            )?;
        Ok(Self { key: Arc::new(key), expires_at })
    }
}

/// The certificate that a listener shows, replaced as a whole.
#[derive(Debug)]
pub struct Shown(RwLock<Arc<CertifiedKey>>);

impl Shown {
    /// Starts with this one.
    pub fn new(identity: &Identity) -> Arc<Self> {
        Arc::new(Self(RwLock::new(Arc::clone(&identity.key))))
    }

    /// Shows another one from the next handshake on.
    pub fn replace(&self, identity: &Identity) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&identity.key);
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
///
/// # Errors
/// [`TlsError::Library`]
pub fn server_config(shown: Arc<Shown>) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Library(error.to_string()))?
        .with_no_client_auth()
        .with_cert_resolver(shown);
    // Ours is the order, strongest first: a client's list may be older than we are.
    config.ignore_client_order = true;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// When a certificate in DER form ends; none where it cannot be read.
pub fn ends_at(certificate: &[u8]) -> Option<Timestamp> {
    let end_of_time = UnixTime::since_unix_epoch(Duration::MAX);
    match refused_at(&CertificateDer::from(certificate), end_of_time)? {
        CertificateError::ExpiredContext { not_after, .. } => timestamp(not_after),
        _ => None,
    }
}

/// Why nobody would take a certificate at this time: its dates are looked at first, and here no authority would vouch for
/// it. So the library, which reads certificates anyway, tells when one begins and ends.
fn refused_at(certificate: &CertificateDer<'_>, time: UnixTime) -> Option<CertificateError> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let nobody = RootCertStore::empty();
    match verify_server_cert_signed_by_trust_anchor(&parsed, &nobody, &[], time, &[]) {
        Err(rustls::Error::InvalidCertificate(why)) => Some(why),
        _ => None,
    }
}

fn timestamp(time: UnixTime) -> Option<Timestamp> {
    i64::try_from(time.as_secs()).ok()?.checked_mul(SECOND).map(Timestamp::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn pair(from: (i32, u8, u8), to: (i32, u8, u8)) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["errors.example.net".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(to.0, to.1, to.2);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn load(pair: &(String, String), now: &str) -> Result<Timestamp, TlsError> {
        Identity::from_pem(pair.0.as_bytes(), pair.1.as_bytes(), at(now)).map(|identity| identity.expires_at)
    }

    #[test]
    fn a_certificate_is_good_between_its_days() {
        let pair = pair((2026, 1, 1), (2027, 2, 28));
        assert_eq!(load(&pair, "2026-06-01T00:00:00Z"), Ok(at("2027-02-28T00:00:00Z")));
        assert!(matches!(load(&pair, "2027-02-28T00:00:00Z"), Err(TlsError::Expired(_))));
        assert!(matches!(load(&pair, "2025-12-31T23:59:59Z"), Err(TlsError::Early(_))));
        for (until, end) in
            [((2096, 2, 29), "2096-02-29T00:00:00Z"), ((2250, 12, 31), "2250-12-31T00:00:00Z")]
        {
            let far = super::tests::pair((1975, 1, 1), until);
            assert_eq!(load(&far, "2026-06-01T00:00:00Z"), Ok(at(end)));
        }
    }

    #[test]
    fn what_does_not_fit_is_told_apart() {
        let one = pair((2026, 1, 1), (2027, 1, 1));
        let two = pair((2026, 1, 1), (2027, 1, 1));
        let now = "2026-06-01T00:00:00Z";
        assert_eq!(load(&(one.0.clone(), two.1), now), Err(TlsError::Mismatch));
        assert_eq!(load(&(one.1.clone(), one.1.clone()), now), Err(TlsError::NoCertificate));
        assert_eq!(load(&(one.0.clone(), one.0.clone()), now), Err(TlsError::NoKey));
        assert_eq!(load(&(String::new(), one.1.clone()), now), Err(TlsError::NoCertificate));
        assert_eq!(load(&(one.0.repeat(11), one.1.clone()), now), Err(TlsError::TooMany));
        let torn = one.0.replace("MII", "MIA");
        assert!(load(&(torn, one.1.clone()), now).is_err());
    }

    #[test]
    fn no_bytes_make_the_reader_fail() {
        let pair = pair((2026, 1, 1), (2027, 1, 1));
        let der = CertificateDer::from_pem_slice(pair.0.as_bytes()).unwrap();
        for end in 0..der.len() {
            let _no_panic = ends_at(&der[..end]);
            let mut flipped = der.to_vec();
            flipped[end] ^= 0xff;
            let _no_panic = ends_at(&flipped);
        }
        assert_eq!(ends_at(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
