//! The way to the sign-in provider: HTTPS with the platform's authorities to a permitted address, one request to a
//! connection, no redirects, and bounds on time and size. Which hosts may be asked was decided before
//! (`actifix_app::oidc`).

use actifix_app::ports::{
    PROVIDER_BODY_BYTES_MAX, ProviderAnswer, ProviderFault, ProviderRequest, ProviderWire,
};
use actifix_domain::alert::AddressPolicy;
use async_trait::async_trait;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

/// A whole exchange, from the name to the last byte of the answer, takes no longer.
const DEADLINE: Duration = Duration::from_secs(10);
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;

/// Talks to the provider.
pub struct HttpsProvider {
    tls: TlsConnector,
    policy: AddressPolicy,
}

impl fmt::Debug for HttpsProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpsProvider").finish_non_exhaustive()
    }
}

impl HttpsProvider {
    /// Trusts what the connector trusts, and connects to what the policy permits.
    pub const fn new(tls: TlsConnector, policy: AddressPolicy) -> Self {
        Self { tls, policy }
    }

    async fn send(&self, request: ProviderRequest) -> Result<ProviderAnswer, ProviderFault> {
        let url = request.url.clone();
        let message = message(request)?;
        let addresses = addresses(&url).await?;
        let hosts: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
        if url.scheme() == "http" {
            // For tests, by configuration, and only to this machine.
            if !hosts.iter().all(|address| address.to_canonical().is_loopback()) {
                return Err(ProviderFault("plain HTTP to another machine"));
            }
            return exchange(TokioIo::new(connect(&addresses).await?), message).await;
        }
        if !self.policy.permits_all(&hosts) {
            return Err(ProviderFault(
                "its address is not a public one: name its network in outbound.allow_private",
            ));
        }
        let stream = connect(&addresses).await?;
        let stream =
            self.tls.connect(server_name(&url)?, stream).await.map_err(|_| {
                ProviderFault("no TLS, or a certificate that is not trusted or for another name")
            })?;
        exchange(TokioIo::new(stream), message).await
    }
}

#[async_trait]
impl ProviderWire for HttpsProvider {
    async fn exchange(&self, request: ProviderRequest) -> Result<ProviderAnswer, ProviderFault> {
        match tokio::time::timeout(DEADLINE, self.send(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(ProviderFault("no whole answer within 10 s")),
        }
    }
}

fn message(request: ProviderRequest) -> Result<Request<Full<Bytes>>, ProviderFault> {
    const WRONG: ProviderFault = ProviderFault("the request cannot be written");
    let authority = match (request.url.host(), request.url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_string(),
        (None, _) => return Err(WRONG),
    };
    let target = match request.url.query() {
        Some(query) => format!("{}?{query}", request.url.path()),
        None => request.url.path().to_owned(),
    };
    let method = if request.form.is_some() { "POST" } else { "GET" };
    let mut builder = Request::builder()
        .method(method)
        .uri(target)
        .header(HOST, authority)
        .header(ACCEPT, "application/json");
    if let Some(authorization) = &request.authorization {
        let mut value = HeaderValue::from_str(authorization.reveal()).map_err(|_| WRONG)?;
        value.set_sensitive(true);
        builder = builder.header(AUTHORIZATION, value);
    }
    let body = match &request.form {
        Some(form) => {
            builder = builder.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
            Bytes::copy_from_slice(form.reveal().as_bytes())
        }
        None => Bytes::new(),
    };
    builder.body(Full::new(body)).map_err(|_| WRONG)
}

#[allow(
    clippy::disallowed_methods,
    reason = "to the provider that the operator named, on the hosts that they listed"
)]
async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, ProviderFault> {
    TcpStream::connect(addresses).await.map_err(|_| ProviderFault("no connection"))
}

/// What the name means now: these are judged and connected to, and the name is not asked for again.
async fn addresses(url: &Url) -> Result<Vec<SocketAddr>, ProviderFault> {
    let port = url.port_or_known_default().ok_or(ProviderFault("an address without a port"))?;
    match url.host() {
        Some(Host::Ipv4(address)) => Ok(vec![SocketAddr::new(IpAddr::V4(address), port)]),
        Some(Host::Ipv6(address)) => Ok(vec![SocketAddr::new(IpAddr::V6(address), port)]),
        Some(Host::Domain(name)) => {
            let found = tokio::net::lookup_host((name, port)).await;
            Ok(found.map_err(|_| ProviderFault("its name is not known"))?.take(ADDRESSES_MAX).collect())
        }
        None => Err(ProviderFault("an address without a host")),
    }
}

fn server_name(url: &Url) -> Result<ServerName<'static>, ProviderFault> {
    match url.host() {
        Some(Host::Domain(name)) => {
            ServerName::try_from(name.to_owned()).map_err(|_| ProviderFault("its name is no host name"))
        }
        Some(Host::Ipv4(address)) => Ok(ServerName::from(IpAddr::V4(address))),
        Some(Host::Ipv6(address)) => Ok(ServerName::from(IpAddr::V6(address))),
        None => Err(ProviderFault("an address without a host")),
    }
}

async fn exchange<I>(io: I, message: Request<Full<Bytes>>) -> Result<ProviderAnswer, ProviderFault>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    const ENDED: ProviderFault = ProviderFault("the connection ended before the answer");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(|_| ENDED)?;
    let answer = async {
        let answer = sender.send_request(message).await.map_err(|_| ENDED)?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), PROVIDER_BODY_BYTES_MAX).collect().await;
        let body = body.map_err(|_| ProviderFault("an answer of more than 256 KiB, or cut off"))?;
        Ok(ProviderAnswer { status, body: body.to_bytes().to_vec() })
    };
    tokio::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = connection => {
            ended.map_err(|_| ENDED)?;
            answer.await
        }
    }
}
