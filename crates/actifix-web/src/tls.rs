//! TLS of our own: certificates that are checked when they are read, and replaced while the server runs.

use actifix_domain::time::{SECOND, Timestamp};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use std::sync::{Arc, PoisonError, RwLock};

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
        let (not_before, expires_at) = validity(first).ok_or(TlsError::Unreadable)?;
        if now >= expires_at {
            return Err(TlsError::Expired(expires_at.to_string()));
        }
        if now < not_before {
            return Err(TlsError::Early(not_before.to_string()));
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
    validity(certificate).map(|(_, end)| end)
}

/// Begin and end of a certificate's life (RFC 5280, 4.1): the fifth member of the signed part, behind an optional
/// version. Signatures are the library's business; this reads two times.
fn validity(certificate: &[u8]) -> Option<(Timestamp, Timestamp)> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    let (tag, certificate, _) = element(certificate)?;
    let (inner, mut rest, _) = element(certificate)?;
    if (tag, inner) != (SEQUENCE, SEQUENCE) {
        return None;
    }
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (tag, times, _) = element(rest)?;
    let (begin_tag, begin, times) = element(times)?;
    let (end_tag, end, _) = element(times)?;
    (tag == SEQUENCE).then_some(())?;
    Some((time(begin_tag, begin)?, time(end_tag, end)?))
}

/// Tag, content and what follows of the first DER element.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, mut rest) = rest.split_first()?;
    let length = match first {
        short @ 0..=0x7f => usize::from(*short),
        long @ 0x81..=0x84 => {
            let (digits, behind) = rest.split_at_checked(usize::from(long & 0x7f))?;
            rest = behind;
            digits.iter().try_fold(0usize, |sum, digit| Some(sum.checked_mul(256)? + usize::from(*digit)))?
        }
        _ => return None,
    };
    let (content, behind) = rest.split_at_checked(length)?;
    Some((*tag, content, behind))
}

/// `YYMMDDHHMMSSZ` (UTCTime) or `YYYYMMDDHHMMSSZ` (GeneralizedTime).
fn time(tag: u8, text: &[u8]) -> Option<Timestamp> {
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match (tag, text.len()) {
        (UTC_TIME, 12) => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i32 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        (GENERALIZED_TIME, 14) => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |from: usize| rest.get(from..from + 2)?.parse::<i64>().ok();
    let (month, day, hour, minute, second) = (part(0)?, part(2)?, part(4)?, part(6)?, part(8)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = ((days_from_civil(i64::from(year), month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(Timestamp::from_micros(seconds.checked_mul(SECOND)?))
}

/// Days since 1970-01-01 of a day of the Gregorian calendar; years begin in March, so that leap days come last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use actifix_domain::time::DAY;
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
        let far = super::tests::pair((2026, 1, 1), (2096, 2, 29));
        assert_eq!(load(&far, "2026-06-01T00:00:00Z"), Ok(at("2096-02-29T00:00:00Z")));
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
    fn days_are_counted_as_the_calendar_does() {
        for (year, month, day, text) in [
            (1970, 1, 1, "1970-01-01"),
            (2000, 2, 29, "2000-02-29"),
            (2100, 3, 1, "2100-03-01"),
            (2026, 12, 31, "2026-12-31"),
        ] {
            let expected = at(&format!("{text}T00:00:00Z")).micros() / DAY;
            assert_eq!(days_from_civil(year, month, day), expected, "{text}");
        }
    }

    #[test]
    fn no_bytes_make_the_reader_fail() {
        let pair = pair((2026, 1, 1), (2027, 1, 1));
        let der = CertificateDer::from_pem_slice(pair.0.as_bytes()).unwrap();
        for end in 0..der.len() {
            let _no_panic = validity(&der[..end]);
            let mut flipped = der.to_vec();
            flipped[end] ^= 0xff;
            let _no_panic = validity(&flipped);
        }
        assert_eq!(validity(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
