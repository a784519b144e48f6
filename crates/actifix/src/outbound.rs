//! The only way out of the house: TLS to a permitted address, without redirects, without a proxy, bounded. What hangs
//! is cut by the deadline of the attempt, which stands around every step here.

mod connect;
mod handshake;
mod http;
mod mail;
mod probe;
mod provider;
mod roots;

pub use connect::{Lookup, system_lookup};
pub use probe::{Ask, NotCertified, Place, Told};
pub use roots::{Roots, read_roots};

use actifix_app::ports::{Courier, OutboundAnswer, OutboundMail, OutboundRequest};
use actifix_domain::alert::{AddressPolicy, ENDPOINTS_MAX, Failure};
use async_trait::async_trait;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tokio_rustls::TlsConnector;

/// Names that are asked for at the same time, each once: as many as there may be channels, so that resolvers that hang
/// keep nobody waiting. The platform's resolver blocks a thread until it answers or gives up, whatever our deadline.
const LOOKUPS_MAX: usize = ENDPOINTS_MAX;

/// Sends to other people's servers.
pub struct Outbound {
    policy: AddressPolicy,
    extra_ca: Option<PathBuf>,
    /// Made when something is sent for the first time: reading the platform's authorities takes longer than most
    /// commands.
    trust: OnceLock<Option<Trust>>,
    lookup: Lookup,
    lookups: Arc<connect::Lookups>,
}

/// Who is believed.
struct Trust {
    tls: TlsConnector,
    roots: Roots,
}

impl Outbound {
    /// With the addresses that may be connected to, and a file of authorities besides those of the platform.
    ///
    /// # Errors
    /// One line that names the file and what is wrong with it.
    pub fn new(policy: AddressPolicy, extra_ca: Option<PathBuf>, lookup: Lookup) -> Result<Self, String> {
        let out = Self { policy, extra_ca, trust: OnceLock::new(), lookup, lookups: Arc::default() };
        if out.extra_ca.is_some() {
            let trust = Trust::new(out.extra_ca.as_deref())?;
            let _first = out.trust.set(Some(trust));
        }
        Ok(out)
    }

    fn trust(&self) -> Result<&Trust, Failure> {
        let trust = self.trust.get_or_init(|| match Trust::new(self.extra_ca.as_deref()) {
            Ok(trust) => Some(trust),
            Err(error) => {
                tracing::error!(error, "outbound.no_trust");
                None
            }
        });
        trust.as_ref().ok_or(Failure::Unusable)
    }
}

impl Trust {
    fn new(extra_ca: Option<&Path>) -> Result<Self, String> {
        let roots = read_roots(extra_ca)?;
        Ok(Self { tls: handshake::connector(&roots)?, roots })
    }
}

#[async_trait]
impl Courier for Outbound {
    async fn send(&self, request: OutboundRequest) -> Result<OutboundAnswer, Failure> {
        http::send(self, request).await
    }

    async fn mail(&self, mail: OutboundMail) -> Result<(), Failure> {
        mail::send(self, mail).await
    }
}
