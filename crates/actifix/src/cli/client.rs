//! How commands reach the App: the server at `ACTIFIX_URL`, else the server that runs on this home (through its
//! socket), else the App itself in this process. All three speak the same API, so that each command exists once.

use super::error::exit;
use super::remote::{Remote, Wire, advised};
use super::{CliError, Global};
use crate::config::environment;
use crate::home::Home;
use crate::vault::Ask;
use crate::wire;
use actifix_protocol::json::clean;
use actifix_web::server::Peer;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use indicatif::ProgressBar;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;
use tokio::net::UnixStream;
use tower::ServiceExt;

/// Largest answer that a command reads, bytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// A request must be answered within this time.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The same of one that reads all that is kept.
const LONG_TIMEOUT: Duration = Duration::from_secs(4 * 3_600);

/// After this time people wonder.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the sign of life turns.
const SPIN_EVERY: Duration = Duration::from_millis(120);

/// A way to the App.
pub struct Client {
    transport: Transport,
}

enum Transport {
    Remote(Remote),
    Socket(Home),
    InProcess { router: Router, wired: Box<wire::Wired> },
}

/// A session of somebody, for what people do for themselves.
pub struct Person {
    cookie: String,
    csrf: String,
}

impl Client {
    /// Logs a person in, for requests of their own.
    pub async fn log_in(&self, name: &str, password: &str) -> Result<Person, CliError> {
        let body = serde_json::json!({ "username": name, "password": password });
        let bytes = Bytes::from(body.to_string());
        let (status, headers, bytes) =
            self.within(TIMEOUT, self.exchange(Method::POST, "/api/v1/auth/login", bytes, None)).await?;
        let answer = understood(status, &bytes, false)?;
        let cookie = headers
            .get_all("set-cookie")
            .iter()
            .filter_map(|line| line.to_str().ok()?.split(';').next())
            .find(|pair| !pair.contains("-device="))
            .ok_or_else(|| CliError::usage("the server began no session"))?;
        let csrf = super::output::text(&answer, "csrf_token").to_owned();
        Ok(Person { cookie: cookie.to_owned(), csrf })
    }

    /// POST as a person.
    pub async fn post_as(&self, person: &Person, path: &str, body: &Value) -> Result<Value, CliError> {
        let bytes = Bytes::from(body.to_string());
        let (status, _, bytes) =
            self.within(TIMEOUT, self.exchange(Method::POST, path, bytes, Some(person))).await?;
        understood(status, &bytes, false)
    }

    /// Chooses the way, by environment and home. A home that was named is made if there is none: for commands that
    /// put the first thing into one.
    pub async fn connect(global: &Global) -> Result<Self, CliError> {
        Self::choose(global, false).await
    }

    /// As [`Client::connect`], for commands that read or change what is there: a mistyped path makes nothing.
    pub async fn connect_existing(global: &Global) -> Result<Self, CliError> {
        Self::choose(global, true).await
    }

    /// A way to a server that runs already; none where nobody runs.
    pub async fn running(global: &Global) -> Result<Option<Self>, CliError> {
        if let Some(url) = environment("ACTIFIX_URL") {
            return Ok(Some(Self {
                transport: Transport::Remote(Remote::new(&url, &Home::at(&global.home))?),
            }));
        }
        let home = Home::at(&global.home);
        let served = is_served(&home).await?;
        Ok(served.then_some(Self { transport: Transport::Socket(home) }))
    }

    /// Whether a server runs on this home.
    pub async fn serves(home: &Home) -> bool {
        connect_socket(home).await.is_ok()
    }

    /// The process id of the server that runs on this home, if one does.
    pub async fn server_of(home: &Home) -> Option<i32> {
        connect_socket(home).await.ok()?.peer_cred().ok()?.pid()
    }

    /// Whether the App is in this process: no server runs.
    pub fn is_alone(&self) -> bool {
        matches!(self.transport, Transport::InProcess { .. })
    }

    /// Whether it is the server of this home that answers.
    pub fn is_of_home(&self) -> bool {
        matches!(self.transport, Transport::Socket(_))
    }

    async fn choose(global: &Global, existing: bool) -> Result<Self, CliError> {
        if let Some(url) = environment("ACTIFIX_URL") {
            return Ok(Self { transport: Transport::Remote(Remote::new(&url, &Home::at(&global.home))?) });
        }
        let home = Home::at(&global.home);
        if is_served(&home).await? {
            return Ok(Self { transport: Transport::Socket(home) });
        }
        // A command that runs in some directory by chance must not make a second installation there.
        if !home.exists() && (existing || global.home.as_os_str() == ".") {
            return Err(CliError::no_home(&home));
        }
        let is_new = !home.exists();
        let loaded = wire::load_config(&home)?;
        let last_url = crate::served::last_url(&home, &loaded);
        let wired = wire::open(&home, loaded, last_url, Ask::Terminal).await?;
        if is_new {
            super::output::note(format!("made a new installation in {}", home.root().display()));
        }
        let router = wired.api();
        Ok(Self { transport: Transport::InProcess { router, wired: Box::new(wired) } })
    }

    /// GET.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, CliError> {
        self.send(Method::GET, &with_query(path, query), None).await
    }

    /// GET of what takes as long as all that is kept is large.
    pub async fn get_long(&self, path: &str) -> Result<Value, CliError> {
        self.send_within(LONG_TIMEOUT, Method::GET, path, None).await
    }

    /// GET of what is no JSON; none where there is nothing at the path.
    pub async fn get_text(&self, path: &str) -> Result<Option<String>, CliError> {
        let (status, _, bytes) =
            self.within(TIMEOUT, self.exchange(Method::GET, path, Bytes::new(), None)).await?;
        Ok(status.is_success().then(|| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// POST.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// POST for work that takes as long as all that is kept is large.
    pub async fn post_long(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        self.send_within(LONG_TIMEOUT, Method::POST, path, Some(body)).await
    }

    /// PATCH.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        self.send(Method::PATCH, path, Some(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Result<Value, CliError> {
        self.send(Method::DELETE, path, None).await
    }

    /// Finishes: what was recorded in this process becomes durable.
    pub async fn close(self) -> Result<(), CliError> {
        match self.transport {
            Transport::InProcess { wired, .. } => wired.close().await,
            _ => Ok(()),
        }
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, CliError> {
        self.send_within(TIMEOUT, method, path, body).await
    }

    async fn send_within(
        &self,
        time: Duration,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, CliError> {
        let mut steps = path.split('?').next().unwrap_or_default().split('/');
        if steps.any(|step| matches!(step, "." | "..")) {
            // Whole, these mean another place to everybody who reads a path.
            return Err(CliError::usage("`.` and `..` are names of nothing here"));
        }
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let (status, _, bytes) = self.within(time, self.exchange(method, path, bytes, None)).await?;
        understood(status, &bytes, matches!(self.transport, Transport::Remote(_)))
    }

    async fn within<T>(
        &self,
        time: Duration,
        exchange: impl Future<Output = Result<T, CliError>>,
    ) -> Result<T, CliError> {
        patiently(tokio::time::timeout(time, exchange)).await.map_err(|_| {
            let seconds = time.as_secs();
            CliError::new(exit::UNAVAILABLE, format!("the server did not answer within {seconds} s"))
        })?
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        person: Option<&Person>,
    ) -> Result<Exchanged, CliError> {
        let unreachable = |error: std::io::Error| {
            CliError::new(exit::UNAVAILABLE, format!("server of this home: {}", advised(&error)))
        };
        let request = |host: &str, prefix: &str, token: Option<&str>| {
            let mut builder = Request::builder()
                .method(method.clone())
                .uri(format!("{prefix}{path}"))
                .header("host", host)
                .header("content-type", "application/json");
            if let Some(person) = person {
                builder = builder.header("cookie", &person.cookie).header("x-csrf-token", &person.csrf);
            } else if let Some(token) = token {
                builder = builder.header("authorization", format!("Bearer {token}"));
            }
            builder
                .body(Full::new(body.clone()))
                .map_err(|_| CliError::usage("an argument cannot stand in a path"))
        };
        match &self.transport {
            Transport::Remote(remote) => {
                let request = request(remote.authority(), remote.prefix(), Some(remote.token()))?;
                match remote.connect().await? {
                    Wire::Plain(stream) => exchange_over(TokioIo::new(stream), request).await,
                    Wire::Tls(stream) => exchange_over(TokioIo::new(stream), request).await,
                }
            }
            Transport::Socket(home) => {
                let stream = connect_socket(home).await.map_err(unreachable)?;
                exchange_over(TokioIo::new(stream), request("localhost", "", None)?).await
            }
            Transport::InProcess { router, .. } => {
                let mut request = request("localhost", "", None)?.map(Body::new);
                request.extensions_mut().insert(ConnectInfo(Peer::Local));
                let answer = router.clone().oneshot(request).await.map_err(CliError::other)?;
                collect(answer).await
            }
        }
    }
}

/// Shows on a terminal that something is still going on, once it takes longer than one expects.
async fn patiently<T>(work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = tokio::time::sleep(PATIENCE) => {}
    }
    let spinner = ProgressBar::new_spinner().with_message("working; Ctrl-C stops waiting");
    spinner.enable_steady_tick(SPIN_EVERY);
    let done = work.await;
    spinner.finish_and_clear();
    done
}

/// Connects to the socket of a home. What is said there may be a password or a secret, so that its directory and whoever
/// listens must be the caller's own: in a directory that somebody else made, the home of the present directory is theirs.
async fn connect_socket(home: &Home) -> std::io::Result<UnixStream> {
    let path = home.socket();
    let owner = check_private(home)?;
    let (_directory, short) = crate::lifecycle::short_socket_path(&path)?;
    let stream = UnixStream::connect(short).await?;
    let listener = stream.peer_cred()?.uid();
    if listener != owner && listener != 0 {
        return Err(not_ours(&path, "somebody else listens there"));
    }
    Ok(stream)
}

/// Whose the private directory of a home is: the caller's, or, where root names a home, its service's.
fn check_private(home: &Home) -> std::io::Result<u32> {
    use std::os::unix::fs::MetadataExt;
    let path = home.private();
    let meta = std::fs::symlink_metadata(&path)?;
    let user = rustix::process::geteuid().as_raw();
    let is_named = home.root() != std::path::Path::new(".");
    if !meta.is_dir() {
        return Err(not_ours(&path, "it is no directory"));
    }
    if meta.uid() != user && !(user == 0 && is_named) {
        return Err(not_ours(&path, &format!("it belongs to user {}", meta.uid())));
    }
    if meta.mode() & 0o022 != 0 {
        return Err(not_ours(&path, "others can write to it"));
    }
    Ok(meta.uid())
}

fn not_ours(path: &std::path::Path, why: &str) -> std::io::Error {
    let text = format!("{}: {why}: nothing is sent there; name another home with --home", path.display());
    std::io::Error::new(std::io::ErrorKind::PermissionDenied, text)
}

/// Whether a server of this home answers. A home that cannot be trusted is an error: nothing else is tried in it either.
async fn is_served(home: &Home) -> Result<bool, CliError> {
    match connect_socket(home).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(CliError::usage(error.to_string()))
        }
        Err(_) => Ok(false),
    }
}

/// Status, headers and body of an answer.
type Exchanged = (StatusCode, HeaderMap, Bytes);

/// What an answer says: its document, or the error that it is.
fn understood(status: StatusCode, bytes: &Bytes, by_token: bool) -> Result<Value, CliError> {
    if status.is_redirection() {
        return Err(CliError::usage(
            "ACTIFIX_URL: the server answers with a redirect, which is not followed with a token: set ACTIFIX_URL to the final address",
        ));
    }
    if bytes.is_empty() && status.is_success() {
        return Ok(Value::Null);
    }
    let answer: Value = serde_json::from_slice(bytes).map_err(|_| {
        CliError::new(exit::UNAVAILABLE, "the answer is not JSON: is ACTIFIX_URL an Actifix server?")
    })?;
    let answer = shown(answer);
    if status.is_success() {
        return Ok(answer);
    }
    let mut detail = super::output::text(&answer, "detail").to_owned();
    if detail.is_empty() {
        detail = format!("the server answered {status}");
    }
    if by_token && status == StatusCode::UNAUTHORIZED {
        detail = "ACTIFIX_TOKEN: the server does not know it: it was revoked, has expired, or is of another server; make one there with `actifix token create`".to_owned();
    }
    let wrong = answer.get("errors").and_then(Value::as_array);
    let fields = wrong.into_iter().flatten().map(|wrong| {
        (super::output::text(wrong, "field").to_owned(), super::output::text(wrong, "message").to_owned())
    });
    Err(CliError::from_answer(status.as_u16(), &detail, fields.collect()))
}

async fn exchange_over<I>(io: I, request: Request<Full<Bytes>>) -> Result<Exchanged, CliError>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(io).await.map_err(CliError::other)?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(CliError::other)?;
        collect(answer).await
    };
    tokio::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = connection => {
            ended.map_err(CliError::other)?;
            answer.await
        }
    }
}

async fn collect<B>(answer: Response<B>) -> Result<Exchanged, CliError>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = http_body_util::Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
    let bytes = body.collect().await.map_err(CliError::other)?.to_bytes();
    Ok((status, headers, bytes))
}

/// An answer as a terminal may see it. The server takes control characters out of events; a terminal must not depend
/// on every server, old rows and all, having done so.
fn shown(value: Value) -> Value {
    match value {
        Value::String(text) => match clean(&text) {
            Cow::Owned(cleaned) => Value::String(cleaned),
            Cow::Borrowed(_) => Value::String(text),
        },
        Value::Array(items) => Value::Array(items.into_iter().map(shown).collect()),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (clean(&name).into_owned(), shown(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other,
    }
}

/// Appends a query; names are ours, values are encoded.
fn with_query(path: &str, query: &[(&str, &str)]) -> String {
    let mut out = path.to_owned();
    for (place, (name, value)) in query.iter().enumerate() {
        out.push(if place == 0 && !path.contains('?') { '?' } else { '&' });
        out.push_str(name);
        out.push('=');
        out.push_str(&encoded(value));
    }
    out
}

/// Percent-encodes everything but letters, digits and `-._~`.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _infallible = write!(out, "%{byte:02X}");
        }
    }
    out
}
