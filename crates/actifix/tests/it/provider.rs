//! A small OpenID Connect provider on the loopback address that does what a test tells it, attacks included.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub const CLIENT: &str = "actifix-test";

/// Names a key of the provider, and how a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    Rs256,
    Es256,
    EdDsa,
}

type Change = Box<dyn Fn(&mut Value) + Send>;
type Whole = Box<dyn Fn(&str) -> String + Send>;

/// What it does otherwise than a good provider.
#[derive(Default)]
pub struct Mischief {
    pub discovery: Option<Change>,
    pub claims: Option<Change>,
    pub header: Option<Change>,
    /// Makes another token of the good one.
    pub token: Option<Whole>,
    /// Answers the code so.
    pub answer: Option<(u16, String)>,
}

/// A person of the provider.
#[derive(Clone, Debug)]
pub struct Person {
    pub claims: Value,
}

impl Person {
    pub fn new(subject: &str, more: Value) -> Self {
        let mut claims = json!({ "sub": subject });
        let members = more.as_object().expect("an object").clone();
        claims.as_object_mut().expect("an object").extend(members);
        Self { claims }
    }
}

struct Granted {
    person: Person,
    nonce: String,
    challenge: String,
    redirect_uri: String,
}

struct Keys {
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

struct State {
    issuer: String,
    secret: String,
    keys: Keys,
    signed: Mutex<Signed>,
    mischief: Mutex<Mischief>,
    codes: Mutex<HashMap<String, Granted>>,
    asked: Mutex<Vec<String>>,
    stop: AtomicBool,
    tls: Option<Arc<ServerConfig>>,
}

/// Runs until it is dropped.
pub struct Provider {
    pub address: SocketAddr,
    state: Arc<State>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Provider {
    pub fn start() -> Self {
        Self::with_tls(None)
    }

    /// Certificate and key, both PEM, for `localhost`.
    pub fn with_tls(pem: Option<(&str, &str)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let tls = pem.map(|(certificate, key)| {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate")];
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let config = ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .expect("a configuration");
            Arc::new(config)
        });
        let issuer = match &tls {
            Some(_) => format!("https://localhost:{}", address.port()),
            None => format!("http://{address}"),
        };
        let state = Arc::new(State {
            issuer,
            secret: format!("se/cret {}&=", address.port()),
            keys: Keys {
                rsa: RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"),
                ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"),
                ed: Ed25519KeyPair::generate().expect("a key"),
            },
            signed: Mutex::new(Signed::Es256),
            mischief: Mutex::default(),
            codes: Mutex::default(),
            asked: Mutex::default(),
            stop: AtomicBool::new(false),
            tls,
        });
        let served = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if served.stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let _client_gone = serve(&served, stream);
            }
        });
        Self { address, state, thread: Some(thread) }
    }

    pub fn issuer(&self) -> &str {
        &self.state.issuer
    }

    pub fn secret(&self) -> &str {
        &self.state.secret
    }

    /// Signs in this way from now on.
    pub fn sign_with(&self, signed: Signed) {
        *self.state.signed.lock().expect("no panic") = signed;
    }

    /// Behaves so from now on.
    pub fn behave(&self, mischief: Mischief) {
        *self.state.mischief.lock().expect("no panic") = mischief;
    }

    /// Paths that were asked for.
    pub fn asked(&self) -> Vec<String> {
        self.state.asked.lock().expect("no panic").clone()
    }

    /// A person agrees: the code that the browser carries back.
    pub fn grant(&self, asked: &HashMap<String, String>, person: &Person) -> String {
        assert_eq!(asked["client_id"], CLIENT);
        assert_eq!(
            (asked["response_type"].as_str(), asked["code_challenge_method"].as_str()),
            ("code", "S256")
        );
        assert!(asked["scope"].split(' ').any(|scope| scope == "openid"));
        let code = format!("code-{}", self.state.codes.lock().expect("no panic").len());
        let granted = Granted {
            person: person.clone(),
            nonce: asked["nonce"].clone(),
            challenge: asked["code_challenge"].clone(),
            redirect_uri: asked["redirect_uri"].clone(),
        };
        self.state.codes.lock().expect("no panic").insert(code.clone(), granted);
        code
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        // Wakes the thread.
        let _nobody = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

fn serve(state: &State, stream: TcpStream) -> std::io::Result<()> {
    match &state.tls {
        None => exchange(state, stream),
        Some(config) => {
            let connection = ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
            exchange(state, StreamOwned::new(connection, stream))
        }
    }
}

fn exchange(state: &State, stream: impl Read + Write) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.by_ref().take(64 << 10).read_line(&mut line)? == 0 {
            return Ok(());
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let header = |name: &str| {
        head.iter()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
    };
    let length = header("content-length").and_then(|(_, text)| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let target = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or("/").to_owned();
    state.asked.lock().expect("no panic").push(target.clone());
    let (status, answer) = match target.as_str() {
        "/.well-known/openid-configuration" => (200, discovery(state).to_string()),
        "/jwks" => (200, keys(state).to_string()),
        "/token" => {
            let authorization = header("authorization").map(|(_, value)| value.to_owned());
            token(state, authorization.as_deref(), &String::from_utf8_lossy(&body))
        }
        _ => (404, String::new()),
    };
    let location = if status == 302 { "Location: /.well-known/openid-configuration\r\n" } else { "" };
    let answer = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{location}Content-Length: {}\r\nConnection: close\r\n\r\n{answer}",
        answer.len()
    );
    let stream = reader.get_mut();
    stream.write_all(answer.as_bytes())?;
    stream.flush()
}

fn discovery(state: &State) -> Value {
    let issuer = &state.issuer;
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    });
    if let Some(change) = &state.mischief.lock().expect("no panic").discovery {
        change(&mut document);
    }
    document
}

fn keys(state: &State) -> Value {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    // PKCS#1 of a key of 2,048 bits: a sequence of the modulus, at a fixed place, and the exponent 65,537.
    let rsa = state.keys.rsa.public_key().as_ref();
    assert_eq!((rsa.len(), &rsa[265..]), (270, &[2, 3, 1, 0, 1][..]));
    let point = state.keys.ec.public_key().as_ref();
    json!({ "keys": [
        { "kty": "oct", "kid": "shared", "k": encode(b"not for signatures") },
        { "kty": "RSA", "kid": "rsa", "alg": "RS256", "use": "sig",
          "n": encode(&rsa[9..265]), "e": "AQAB" },
        { "kty": "EC", "kid": "ec", "crv": "P-256", "use": "sig", "x": encode(&point[1..33]), "y": encode(&point[33..]) },
        { "kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": encode(state.keys.ed.public_key().as_ref()) },
    ] })
}

fn token(state: &State, authorization: Option<&str>, body: &str) -> (u16, String) {
    let refused = |why: &str| (400, json!({ "error": why }).to_string());
    let form: HashMap<String, String> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let expected =
        format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(CLIENT), encoded(&state.secret))));
    if authorization != Some(expected.as_str()) {
        return refused("invalid_client");
    }
    if let Some(answer) = &state.mischief.lock().expect("no panic").answer {
        return answer.clone();
    }
    // A code is good once.
    let code = form.get("code").cloned().unwrap_or_default();
    let Some(granted) = state.codes.lock().expect("no panic").remove(&code) else {
        return refused("invalid_grant");
    };
    let verifier = form.get("code_verifier").cloned().unwrap_or_default();
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    if challenge != granted.challenge || form.get("redirect_uri") != Some(&granted.redirect_uri) {
        return refused("invalid_grant");
    }
    (
        200,
        json!({ "access_token": "unused", "token_type": "Bearer", "id_token": id_token(state, &granted) })
            .to_string(),
    )
}

fn id_token(state: &State, granted: &Granted) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
    let mut claims = json!({
        "iss": state.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": granted.nonce,
    });
    let person = granted.person.claims.as_object().expect("an object").clone();
    claims.as_object_mut().expect("an object").extend(person);
    let signed = *state.signed.lock().expect("no panic");
    let mut header = match signed {
        Signed::Rs256 => json!({ "alg": "RS256", "kid": "rsa", "typ": "JWT" }),
        Signed::Es256 => json!({ "alg": "ES256", "kid": "ec" }),
        Signed::EdDsa => json!({ "alg": "EdDSA", "kid": "ed" }),
    };
    let mischief = state.mischief.lock().expect("no panic");
    if let Some(change) = &mischief.claims {
        change(&mut claims);
    }
    if let Some(change) = &mischief.header {
        change(&mut header);
    }
    let text = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let random = SystemRandom::new();
    let signature = match signed {
        Signed::Rs256 => {
            let mut bytes = vec![0; state.keys.rsa.public_modulus_len()];
            state
                .keys
                .rsa
                .sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut bytes)
                .expect("a signature");
            bytes
        }
        Signed::Es256 => state.keys.ec.sign(&random, text.as_bytes()).expect("a signature").as_ref().to_vec(),
        Signed::EdDsa => state.keys.ed.sign(text.as_bytes()).as_ref().to_vec(),
    };
    let good = format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature));
    match &mischief.token {
        Some(change) => change(&good),
        None => good,
    }
}
