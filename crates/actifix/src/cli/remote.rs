//! The way of a command to a server elsewhere: HTTPS with the platform's authorities, or plain HTTP within this machine.

use super::CliError;
use super::error::exit;
use crate::config::{environment, secret_variable};
use crate::home::Home;
use crate::outbound::read_roots;
use crate::wire;
use rustls::pki_types::ServerName;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::{Host, Url};

/// Time for a connection and its handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A server that is named by URL.
pub struct Remote {
    url: Url,
    authority: String,
    prefix: String,
    token: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// An open connection.
pub enum Wire {
    /// Within this machine.
    Plain(TcpStream),
    /// Anywhere.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Remote {
    /// From `ACTIFIX_URL` and `ACTIFIX_TOKEN`. Authorities besides those of the platform: `outbound.extra_ca`.
    ///
    /// # Errors
    /// What is wrong with either; the token is named by neither.
    pub fn new(text: &str, home: &Home) -> Result<Self, CliError> {
        let wrong = |why: &str| CliError::usage(format!("ACTIFIX_URL: {why}"));
        let url = Url::parse(text).map_err(|_| wrong("not a URL: write it as https://errors.example.net"))?;
        let host = url.host().ok_or_else(|| wrong("it names no host"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("it names a user: give the token in ACTIFIX_TOKEN"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it holds a query or fragment: give the address only"));
        }
        let tls = match url.scheme() {
            "https" => {
                let name = match &host {
                    Host::Domain(name) => {
                        ServerName::try_from((*name).to_owned()).map_err(|_| wrong("not a host name"))?
                    }
                    Host::Ipv4(address) => ServerName::from(std::net::IpAddr::V4(*address)),
                    Host::Ipv6(address) => ServerName::from(std::net::IpAddr::V6(*address)),
                };
                Some((connector(home)?, name))
            }
            "http" if is_loopback(&host) => None,
            "http" => {
                return Err(wrong(
                    "a token is never sent in clear over a network: use https://, or an SSH tunnel to a loopback address",
                ));
            }
            _ => return Err(wrong("only https, and http to a loopback address")),
        };
        let token = secret_variable("ACTIFIX_TOKEN", Path::new("."), &environment)
            .map_err(|error| CliError::usage(error.to_string()))?
            .ok_or_else(|| {
                CliError::usage(
                    "ACTIFIX_TOKEN is not set: make one with `actifix token create` on the server",
                )
            })?;
        let token = token.reveal().to_owned();
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        let prefix = url.path().trim_end_matches('/').to_owned();
        Ok(Self { authority, prefix, token, tls, url })
    }

    /// What stands in the Host header.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// What stands before each path.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The credential.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// The server cannot be reached, or is not the one that its certificate names.
    pub async fn connect(&self) -> Result<Wire, CliError> {
        let unreachable =
            |why: String| CliError::new(exit::UNAVAILABLE, format!("server {}: {why}", self.authority));
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, self.open()).await;
        connected
            .map_err(|_| {
                unreachable(
                    "no connection within 10 s: is ACTIFIX_URL right, and does a firewall let you through?"
                        .to_owned(),
                )
            })?
            .map_err(|error| unreachable(advised(&error)))
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "the one connection of a command, to the server that its user named"
    )]
    async fn open(&self) -> std::io::Result<Wire> {
        let addresses = self.url.socket_addrs(|| None)?;
        let stream = TcpStream::connect(addresses.as_slice()).await?;
        match &self.tls {
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await?;
                Ok(Wire::Tls(Box::new(stream)))
            }
            // A name that means another machine after all.
            None if !stream.peer_addr()?.ip().to_canonical().is_loopback() => {
                Err(std::io::Error::other("not a loopback address: use https://"))
            }
            None => Ok(Wire::Plain(stream)),
        }
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.to_canonical().is_loopback(),
    }
}

/// TLS 1.2 and 1.3, HTTP/1.1, trusting the platform's authorities and those of `outbound.extra_ca`, which is read of a
/// home that `--home` or `ACTIFIX_HOME` names, or from `ACTIFIX_OUTBOUND__EXTRA_CA`.
fn connector(home: &Home) -> Result<TlsConnector, CliError> {
    // The present directory may be somebody else's: a file in it does not say whom to trust with a token.
    let is_named = home.root() != Path::new(".");
    let loaded = if is_named { wire::load_config(home)? } else { wire::load_environment()? };
    let extra = loaded.config.outbound.extra_ca.map(|path| home.root().join(path));
    let roots = read_roots(extra.as_deref()).map_err(CliError::config)?;
    if roots.certificates().is_empty() {
        return Err(CliError::config(
            "no certificate authorities are installed: install ca-certificates, or set outbound.extra_ca",
        ));
    }
    roots.connector().map_err(CliError::config)
}

/// Why there is no connection, and what to do.
pub fn advised(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::NotFound => {
            "nobody listens there: is the server running? `actifix serve` starts it".to_owned()
        }
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => {
            "the connection was cut: is this an Actifix server, and https or http right?".to_owned()
        }
        _ => error.to_string(),
    }
}
