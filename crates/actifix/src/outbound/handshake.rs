//! TLS with somebody else, and in which way it failed.

use super::Roots;
use actifix_domain::alert::Failure;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsFault, OtherError, RootCertStore,
    SignatureScheme,
};
use std::io;
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// TLS 1.2 and 1.3 with HTTP/1.1, to whom these vouch for.
///
/// # Errors
/// What rustls says of its own defaults.
pub(super) fn connector(roots: &Roots) -> Result<TlsConnector, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config = if roots.store().is_empty() {
        // Nobody is believed.
        builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
    } else {
        let judge = WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots.store().clone()),
            Arc::clone(&provider),
        )
        .build()
        .map_err(|error| error.to_string())?;
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Telling { judge, provider }))
            .with_no_client_auth()
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The library's own judge, which also tells of a certificate that nobody vouches for whether it vouches for itself. It
/// never accepts what the judge refuses.
#[derive(Debug)]
struct Telling {
    judge: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
}

/// The certificate is signed by itself.
#[derive(Debug)]
struct SelfSigned;

impl std::fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the certificate is signed by itself")
    }
}

impl std::error::Error for SelfSigned {}

impl Telling {
    /// Whether the certificate is good when it is the only authority.
    fn vouches_for_itself(&self, end: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> bool {
        let mut own = RootCertStore::empty();
        if own.add(end.clone().into_owned()).is_err() {
            return false;
        }
        let judge = WebPkiServerVerifier::builder_with_provider(Arc::new(own), Arc::clone(&self.provider));
        let Ok(judge) = judge.build() else { return false };
        match judge.verify_server_cert(end, &[], name, &[], now) {
            Ok(_) => true,
            Err(TlsFault::InvalidCertificate(why)) => is_of_name(&why),
            Err(_) => false,
        }
    }
}

impl ServerCertVerifier for Telling {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsFault> {
        let refused = match self.judge.verify_server_cert(end, between, name, ocsp, now) {
            Err(TlsFault::InvalidCertificate(why)) => why,
            other => return other,
        };
        // An authority that has the name of one that is trusted, and another key, is one that nobody knows.
        let unknown = matches!(refused, CertificateError::UnknownIssuer | CertificateError::BadSignature);
        let by_itself = match &refused {
            _ if unknown => self.vouches_for_itself(end, name, now),
            // An authority shows its own certificate: what `openssl req -x509` makes.
            CertificateError::Other(OtherError(why)) => why.to_string() == "CaUsedAsEndEntity",
            _ => false,
        };
        Err(TlsFault::InvalidCertificate(match (by_itself, unknown) {
            (true, _) => CertificateError::Other(OtherError(Arc::new(SelfSigned))),
            (false, true) => CertificateError::UnknownIssuer,
            (false, false) => refused,
        }))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        end: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsFault> {
        self.judge.verify_tls12_signature(message, end, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        end: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsFault> {
        self.judge.verify_tls13_signature(message, end, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}

/// The class of a handshake that failed.
pub(super) fn class(error: &io::Error) -> Failure {
    let fault = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsFault>());
    match fault {
        Some(TlsFault::InvalidCertificate(why)) => of_certificate(why),
        _ => Failure::Tls,
    }
}

/// The class of a certificate that was refused.
pub(super) fn of_certificate(why: &CertificateError) -> Failure {
    match why {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Failure::TlsExpired,
        why if is_of_name(why) => Failure::TlsName,
        CertificateError::UnknownIssuer => Failure::TlsUnknownIssuer,
        CertificateError::Other(OtherError(why)) if why.downcast_ref::<SelfSigned>().is_some() => {
            Failure::TlsSelfSigned
        }
        _ => Failure::Tls,
    }
}

fn is_of_name(why: &CertificateError) -> bool {
    matches!(why, CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })
}
