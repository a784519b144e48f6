//! Requests to ourselves, as somebody outside would make them: to the addresses that the operator's own configuration
//! names, and to no other. What comes back is looked at and thrown away.

use super::connect::Reach;
use super::http::{head, server_name};
use super::{Outbound, handshake};
use actifix_domain::alert::Failure;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::{CertificateError, Error as TlsFault};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::client::TlsStream;
use url::{Host, Url};

/// A whole exchange, from the name to the head of the answer, takes no longer.
const DEADLINE: Duration = Duration::from_secs(5);
/// Bytes of the head of an answer.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// Fields of the head of an answer.
const FIELDS_MAX: usize = 100;

/// One request.
#[derive(Clone, Debug)]
pub struct Ask {
    pub method: Method,
    /// Path below the base.
    pub path: &'static str,
    /// Further header fields; `host` replaces the usual one.
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Ask {
    pub fn new(method: Method, path: &'static str) -> Self {
        Self { method, path, headers: Vec::new(), body: Vec::new() }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

/// What was answered.
#[derive(Clone, Debug)]
pub struct Told {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

/// What was seen of a certificate.
#[derive(Clone, Debug)]
pub struct Certified {
    /// The server's own certificate, DER.
    pub certificate: Vec<u8>,
    /// Version of the protocol.
    pub protocol: String,
}

/// Why a handshake came to nothing.
#[derive(Clone, Debug)]
pub enum NotCertified {
    /// The certificate is refused; why.
    Refused(String),
    /// Nobody answered; why.
    Unreached(&'static str),
}

/// A place of ours.
#[derive(Clone, Debug)]
pub enum Place {
    /// The public address: https.
    Public(Url),
    /// A listener with TLS, which the public address names.
    Tls(SocketAddr, Url),
    /// A listener without.
    Plain(SocketAddr),
}

impl Outbound {
    /// The certificate at an https address, judged as any client would.
    pub async fn certificate(&self, url: &Url) -> Result<Certified, NotCertified> {
        let shaken = tokio::time::timeout(DEADLINE, self.shake(&Place::Public(url.clone()))).await;
        let stream = shaken.map_err(|_| NotCertified::Unreached("no answer within 5 s"))??;
        let (_, session) = stream.get_ref();
        let first = session.peer_certificates().and_then(|chain| chain.first());
        let certificate = first.map(|first| first.as_ref().to_vec()).unwrap_or_default();
        let protocol = session.protocol_version().and_then(|version| version.as_str()).unwrap_or("TLS");
        Ok(Certified { certificate, protocol: protocol.to_owned() })
    }

    /// One request and the head of its answer, over a connection of its own.
    ///
    /// # Errors
    /// Why there is none, in a few words.
    pub async fn ask(&self, place: &Place, ask: &Ask) -> Result<Told, &'static str> {
        let asked = tokio::time::timeout(DEADLINE, self.ask_now(place, ask)).await;
        asked.unwrap_or(Err("no answer within 5 s"))
    }

    async fn ask_now(&self, place: &Place, ask: &Ask) -> Result<Told, &'static str> {
        match place {
            Place::Plain(address) => {
                let base = Url::parse(&format!("http://{address}")).map_err(|_| "no address")?;
                let stream = self.connect_to(*address).await.map_err(words)?;
                exchange(TokioIo::new(stream), built(ask, &base)?).await
            }
            Place::Tls(_, base) | Place::Public(base) => {
                let stream = self.shake(place).await.map_err(|fault| match fault {
                    NotCertified::Refused(_) => "its certificate is refused",
                    NotCertified::Unreached(why) => why,
                })?;
                exchange(TokioIo::new(stream), built(ask, base)?).await
            }
        }
    }

    async fn shake(&self, place: &Place) -> Result<TlsStream<TcpStream>, NotCertified> {
        let unreached = |failure| NotCertified::Unreached(words(failure));
        let (stream, base) = match place {
            Place::Plain(_) => return Err(NotCertified::Unreached("it speaks no TLS")),
            Place::Tls(address, base) => (self.connect_to(*address).await, base),
            Place::Public(base) => {
                let host = base.host().ok_or(NotCertified::Unreached("no host"))?.to_owned();
                let port = base.port_or_known_default().unwrap_or(443);
                (self.connect_within(Reach::Named, &host, port).await, base)
            }
        };
        let host = base.host().ok_or(NotCertified::Unreached("no host"))?.to_owned();
        let name = server_name(&host).map_err(unreached)?;
        let stream = stream.map_err(unreached)?;
        let trust = self.trust().map_err(unreached)?;
        trust.tls.connect(name, stream).await.map_err(|error| refused(&error))
    }

    async fn connect_to(&self, address: SocketAddr) -> Result<TcpStream, Failure> {
        let host = match address {
            SocketAddr::V4(v4) => Host::Ipv4(*v4.ip()),
            SocketAddr::V6(v6) => Host::Ipv6(*v6.ip()),
        };
        self.connect_within(Reach::Named, &host, address.port()).await
    }
}

/// Why a handshake failed. Words of our own: those of the library are for programmers.
fn refused(error: &std::io::Error) -> NotCertified {
    let fault = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsFault>());
    NotCertified::Refused(match fault {
        Some(TlsFault::InvalidCertificate(why)) => match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "it has expired".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "it is not valid yet".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "it is for another name".to_owned()
            }
            CertificateError::UnknownIssuer => {
                "nobody who is trusted vouches for it, or its chain is not whole".to_owned()
            }
            CertificateError::Revoked => "it was revoked".to_owned(),
            why if handshake::of_certificate(why) == Failure::TlsSelfSigned => {
                "it is signed by itself, and by nobody who is trusted".to_owned()
            }
            other => format!("{other:?}"),
        },
        Some(other) => other.to_string(),
        None => return NotCertified::Unreached("the connection ended within the handshake"),
    })
}

const fn words(failure: Failure) -> &'static str {
    match failure {
        Failure::Dns => "its name is not known here",
        Failure::Connect => "no connection",
        Failure::Timeout => "no answer in time",
        Failure::Unusable => "it cannot be asked",
        _ => "no answer",
    }
}

fn built(ask: &Ask, base: &Url) -> Result<Request<Full<Bytes>>, &'static str> {
    let mut url = base.clone();
    url.set_path(&format!("{}{}", base.path().trim_end_matches('/'), ask.path));
    let mut request = head(ask.method.clone(), &url)
        .header(CONTENT_LENGTH, ask.body.len())
        .body(Full::new(Bytes::from(ask.body.clone())))
        .map_err(|_| "the request cannot be written")?;
    for (name, value) in &ask.headers {
        let value = value.parse().map_err(|_| "the request cannot be written")?;
        if *name == HOST.as_str() {
            request.headers_mut().insert(HOST, value);
        } else {
            request.headers_mut().append(*name, value);
        }
    }
    Ok(request)
}

async fn exchange<I>(io: I, request: Request<Full<Bytes>>) -> Result<Told, &'static str>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(FIELDS_MAX)
        .handshake(io)
        .await
        .map_err(|_| "no HTTP")?;
    // Ends with this function, whatever the other end does.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let answer = sender.send_request(request).await.map_err(|_| "the connection ended before the answer")?;
    let fields = answer.headers().iter();
    let headers = fields.map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    Ok(Told { status: answer.status().as_u16(), headers: headers.collect() })
}
