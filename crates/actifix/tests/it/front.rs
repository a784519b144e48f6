//! A reverse proxy of tests: TLS on loopback before a server, which it can be told to change answers of.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Longest wait for either end.
const WAIT: Duration = Duration::from_secs(30);

/// What it does with the head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mangle {
    /// Passes it on.
    Nothing,
    /// Leaves this field out.
    Strip(&'static str),
    /// Sends this field twice.
    Double(&'static str),
}

struct State {
    target: Option<SocketAddr>,
    mangle: Mangle,
    config: Arc<ServerConfig>,
}

/// The proxy.
pub struct Front {
    pub port: u16,
    state: Arc<Mutex<State>>,
}

impl Front {
    /// With this certificate and key.
    pub fn start(pair: &(String, String)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = State { target: None, mangle: Mangle::Nothing, config: config(pair) };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (target, mangle, config) = {
                    let state = shared.lock().expect("no test panicked");
                    (state.target, state.mangle, Arc::clone(&state.config))
                };
                std::thread::spawn(move || {
                    // Whoever hangs up first ends it; that is the test's affair.
                    let _ended = pass_on(stream, target, mangle, config);
                });
            }
        });
        Self { port, state }
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// From now on this is the server behind it.
    pub fn leads_to(&self, target: SocketAddr) {
        self.state.lock().expect("no test panicked").target = Some(target);
    }

    pub fn mangles(&self, mangle: Mangle) {
        self.state.lock().expect("no test panicked").mangle = mangle;
    }

    pub fn shows(&self, pair: &(String, String)) {
        self.state.lock().expect("no test panicked").config = config(pair);
    }
}

fn config(pair: &(String, String)) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(pair.0.as_bytes()).expect("a certificate")],
            PrivateKeyDer::from_pem_slice(pair.1.as_bytes()).expect("a key"),
        )
        .expect("a configuration");
    Arc::new(config)
}

/// One request and its answer.
fn pass_on(
    stream: TcpStream,
    target: Option<SocketAddr>,
    mangle: Mangle,
    config: Arc<ServerConfig>,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(WAIT))?;
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut client = StreamOwned::new(connection, stream);
    let head = read_head(&mut client)?;
    let mut server = TcpStream::connect(target.ok_or(std::io::ErrorKind::NotConnected)?)?;
    server.set_read_timeout(Some(WAIT))?;
    let lines = head.trim_end().split("\r\n");
    let kept = lines.filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let mut request = kept.collect::<Vec<_>>().join("\r\n");
    request.push_str(
        "\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 203.0.113.9\r\nConnection: close\r\n\r\n",
    );
    server.write_all(request.as_bytes())?;
    let head = read_head(&mut server)?;
    let mut answer = Vec::new();
    for line in head.trim_end().split("\r\n") {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let times = match mangle {
            Mangle::Strip(field) if field == name => 0,
            Mangle::Double(field) if field == name => 2,
            _ => 1,
        };
        (0..times).for_each(|_| answer.extend_from_slice(format!("{line}\r\n").as_bytes()));
    }
    answer.extend_from_slice(b"\r\n");
    server.read_to_end(&mut answer)?;
    client.write_all(&answer)?;
    client.conn.send_close_notify();
    client.flush()
}

/// The head alone; requests of the doctor through here have no body.
fn read_head(stream: &mut impl Read) -> std::io::Result<String> {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
