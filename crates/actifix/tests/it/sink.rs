//! Receivers of alerts: servers with TLS on loopback that answer, hang at every phase, drip, break off, or lead astray.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::authority::Authority;

/// What is waited for must come within this time.
const DEADLINE: Duration = Duration::from_secs(60);
/// Connections of a sink that hangs end with the test.
const HANG: Duration = Duration::from_secs(120);

/// What a sink does with a request.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Answers with this status and these header lines.
    Answer(u16, String),
    /// Answers with this status and this body.
    Json(u16, &'static str),
    /// Takes the connection and says nothing.
    HangBeforeTls,
    /// Reads the request and says nothing.
    HangBeforeHead,
    /// Sends a head and nothing of the body that it promises.
    HangInBody,
    /// Sends its head one byte at a time, slowly.
    Drip,
    /// Breaks the connection off after reading.
    Reset,
    /// Sends what is no HTTP.
    Garbage,
    /// Sends a head of a megabyte.
    HugeHead,
    /// Sends a body without end.
    HugeBody,
    /// Speaks HTTP without TLS.
    Plain,
}

impl Behaviour {
    pub fn ok() -> Self {
        Self::Answer(200, String::new())
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    pub line: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

#[derive(Default)]
struct Shared {
    received: Mutex<Vec<Received>>,
    grown: Condvar,
}

/// One receiver.
pub struct Sink {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    behaviour: Arc<Mutex<Behaviour>>,
}

impl Sink {
    /// With a certificate of the authority for 127.0.0.1 and localhost.
    pub fn start(authority: &Authority, behaviour: Behaviour) -> Self {
        Self::start_as(authority, &["127.0.0.1", "localhost"], behaviour)
    }

    pub fn start_as(authority: &Authority, names: &[&str], behaviour: Behaviour) -> Self {
        Self::certified(&authority.issue(names, (2090, 1, 1)), behaviour)
    }

    /// With this certificate and its key.
    pub fn certified((cert, key): &(String, String), behaviour: Behaviour) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(cert.as_bytes()).expect("a certificate")],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key"),
            )
            .expect("a configuration");
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (shared, behaviour) = (Arc::new(Shared::default()), Arc::new(Mutex::new(behaviour)));
        let (inner, how) = (Arc::clone(&shared), Arc::clone(&behaviour));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, shared) = (Arc::clone(&config), Arc::clone(&inner));
                let behaviour = how.lock().expect("no test panicked").clone();
                std::thread::spawn(move || {
                    // Whoever hangs up first ends it; that is the test's affair.
                    let _ended = serve(stream, config, &shared, &behaviour);
                });
            }
        });
        Self { address, shared, behaviour }
    }

    pub fn url(&self) -> String {
        format!("https://{}/in/of/alerts", self.address)
    }

    pub fn will(&self, behaviour: Behaviour) {
        *self.behaviour.lock().expect("no test panicked") = behaviour;
    }

    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().expect("no sink panicked").clone()
    }

    /// Waits until so many requests came.
    #[track_caller]
    pub fn wait_for(&self, many: usize) -> Vec<Received> {
        let until = Instant::now() + DEADLINE;
        let mut received = self.shared.received.lock().expect("no sink panicked");
        while received.len() < many {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} of {many} requests came", received.len());
            received = self.shared.grown.wait_timeout(received, left).expect("no sink panicked").0;
        }
        received.clone()
    }
}

fn serve(
    mut stream: TcpStream,
    config: Arc<ServerConfig>,
    shared: &Shared,
    behaviour: &Behaviour,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(HANG))?;
    match behaviour {
        // Reads on until the other end gives up.
        Behaviour::HangBeforeTls => return read_to_end(&mut stream),
        Behaviour::Plain => return stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        _ => {}
    }
    let raw = stream.try_clone()?;
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut tls = StreamOwned::new(connection, stream);
    let request = read_request(&mut tls)?;
    shared.received.lock().expect("no sink panicked").push(request);
    shared.grown.notify_all();
    match behaviour {
        Behaviour::Answer(status, lines) => {
            let text = format!("HTTP/1.1 {status} Word\r\n{lines}Content-Length: 2\r\n\r\nok");
            tls.write_all(text.as_bytes())
        }
        Behaviour::Json(status, body) => {
            let head = format!("HTTP/1.1 {status} Word\r\nContent-Length: {}\r\n\r\n", body.len());
            tls.write_all(format!("{head}{body}").as_bytes())
        }
        Behaviour::HangBeforeHead => read_to_end(&mut tls),
        Behaviour::HangInBody => {
            tls.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")?;
            read_to_end(&mut tls)
        }
        Behaviour::Drip => {
            for byte in b"HTTP/1.1 200 OK\r\nX-A: 1\r\n".iter().chain(b"X-B: 2\r\n".iter().cycle()) {
                tls.write_all(&[*byte])?;
                tls.flush()?;
                std::thread::sleep(Duration::from_millis(300));
            }
            Ok(())
        }
        Behaviour::Reset => {
            rustix::net::sockopt::set_socket_linger(&raw, Some(Duration::ZERO))?;
            drop(tls);
            Ok(())
        }
        Behaviour::Garbage => tls.write_all(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"),
        Behaviour::HugeHead => {
            tls.write_all(b"HTTP/1.1 200 OK\r\nX-A: ")?;
            tls.write_all(&vec![b'a'; 1 << 20])
        }
        Behaviour::HugeBody => {
            tls.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            loop {
                tls.write_all(b"1000\r\n")?;
                tls.write_all(&[b'x'; 0x1000])?;
                tls.write_all(b"\r\n")?;
            }
        }
        Behaviour::HangBeforeTls | Behaviour::Plain => Ok(()),
    }
}

fn read_to_end(stream: &mut impl Read) -> std::io::Result<()> {
    let mut buffer = [0; 1_024];
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}

fn read_request(stream: &mut impl Read) -> std::io::Result<Received> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4_096];
    let head = loop {
        let read = stream.read(&mut buffer)?;
        bytes.extend_from_slice(&buffer[..read]);
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut lines = text.lines();
    let line = lines.next().unwrap_or_default().to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = bytes.split_off(head);
    while body.len() < length {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        body.extend_from_slice(&buffer[..read]);
    }
    Ok(Received { line, headers, body })
}
