//! What stands around every route: request id, security headers, host check, one log line.

use crate::client::{Plain, TrustedProxies};
use crate::dashboard;
use crate::extract::ReadTime;
use crate::ingest::Facts;
use crate::problem::{NO_SUCH_PATH, Problem};
use crate::sentry_api;
use actifix_app::App;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::uri::{Authority, PathAndQuery};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::future::poll_fn;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// The id of a request, shown in its answer and in the log.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// Two years. Told over HTTPS only: over plain HTTP anybody on the way could have written it.
const HSTS: &str = "max-age=63072000; includeSubDomains";

/// State of the emergency brake: `off`, `soft`, `hard`.
const BRAKE: HeaderName = HeaderName::from_static("x-actifix-brake");

/// What a page may load and do: its own stylesheet, icons and script, forms to itself; nothing inline, nobody else's.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; \
                           form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Whether the listener carries pages for people: only there an error can be one, with its stylesheet and its links.
#[derive(Clone, Copy, Debug)]
pub struct HasPages(pub bool);

/// Outermost: gives the request an id, writes problems out, sets headers on every status, logs one line.
pub async fn finish(
    State((app, proxies, pages)): State<(Arc<App>, TrustedProxies, HasPages)>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = app.monotonic_micros();
    let id = app.request_id();
    let client = proxies.client(request.extensions(), request.headers());
    request.extensions_mut().insert(client);
    let read_seconds = app.settings().limits.request_read_seconds_max;
    request.extensions_mut().insert(ReadTime(Duration::from_secs(read_seconds)));
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = request.method().clone();
    let ingest = is_ingest_path(request.uri());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let look = dashboard::Look::of(request.headers());
    let wants_page = pages.0 && accepts_page(&request);
    let mut response = contain(next.run(request)).await;
    write_problem(&mut response, &id, ingest, wants_page.then_some((&*app, look)));
    if response.extensions().get::<Facts>().is_some_and(|facts| facts.project.is_some()) {
        tell_brake(&app, &mut response);
    }
    let page = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    let headers = response.headers_mut();
    if client.https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    }
    for (name, value) in SECURITY_HEADERS {
        if ingest && name == HeaderName::from_static("cross-origin-resource-policy") {
            continue;
        }
        headers.insert(name, HeaderValue::from_static(value));
    }
    if page {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    // What was refused before anybody asked who may read it must not be kept for another origin either.
    headers.entry(header::VARY).or_insert(HeaderValue::from_static("Origin"));
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
    let micros = app.monotonic_micros().saturating_sub(started);
    if ingest {
        let facts = response.extensions_mut().remove::<Facts>().unwrap_or_default();
        let project = facts.project.map(|project| project.0);
        tracing::info!(method = %method, route, status = response.status().as_u16(), project, body_bytes = facts.body_bytes, duration_us = micros, request_id = id, "request");
    } else {
        tracing::info!(method = %method, route, status = response.status().as_u16(), duration_us = micros, request_id = id, "request");
    }
    response
}

/// Whether somebody reads the answer in a browser. Paths of programs answer programs, whatever opens them.
fn accepts_page(request: &Request) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html")) && !is_for_machines(request.uri().path())
}

/// What programs ask: their paths, and all below them.
fn is_for_machines(path: &str) -> bool {
    ["/api", "/v1", "/metrics", "/mcp", "/hooks", "/healthz", "/readyz"]
        .iter()
        .any(|prefix| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// Tells how the emergency brake is; of callers who are known alone, since whoever floods would learn that it works.
pub(crate) fn tell_brake(app: &App, response: &mut Response) {
    response.headers_mut().insert(BRAKE, HeaderValue::from_static(app.brake().as_str()));
}

/// Runs the rest behind a wall: a defect costs the request that met it, is counted, and is told as one. The message of
/// the panic went to the log, redacted; the client learns nothing of it.
async fn contain(rest: impl Future<Output = Response>) -> Response {
    let mut rest = pin!(rest);
    let outcome = poll_fn(|cx| {
        // What a panic leaves behind is behind locks that say so, and behind transactions that are rolled back.
        match catch_unwind(AssertUnwindSafe(|| rest.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Some),
            Err(_) => Poll::Ready(None),
        }
    });
    outcome.await.unwrap_or_else(|| {
        metrics::counter!("actifix_panics_total").increment(1);
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "a defect of this server: its log says more under the request id; please report it",
        )
        .into_response()
    })
}

/// Error answers without a document of their own get one, so that 404 and 405 look like all others; a person who asked
/// for a page gets a page.
fn write_problem(
    response: &mut Response,
    request_id: &str,
    ingest: bool,
    page_of: Option<(&App, dashboard::Look)>,
) {
    let attached = response.extensions_mut().remove::<Problem>();
    let status = response.status();
    let problem = match attached {
        Some(problem) => problem,
        None if status.is_client_error() || status.is_server_error() => {
            let has_document = response.headers().get(header::CONTENT_TYPE).is_some_and(|value| {
                value.as_bytes().starts_with(b"application/") || value.as_bytes().starts_with(b"text/html")
            });
            // Ingest answers bring their own document; a path that does not exist has none.
            if has_document || (ingest && status != StatusCode::NOT_FOUND) {
                return;
            }
            Problem::new(status, default_detail(status))
        }
        None => return,
    };
    let page = page_of.and_then(|(app, look)| dashboard::message(app, look, &problem, request_id));
    let (content_type, body) = match page {
        Some(page) => ("text/html; charset=utf-8", page),
        None => ("application/problem+json", problem.body(request_id).to_string()),
    };
    *response.body_mut() = Body::from(body);
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
}

fn default_detail(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => NO_SUCH_PATH,
        StatusCode::METHOD_NOT_ALLOWED => "this path does not take this method; see the Allow header",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "send application/json",
        StatusCode::PAYLOAD_TOO_LARGE => "the body is too large",
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => "the request could not be read",
        _ => "the request failed",
    }
}

/// Paths that SDKs post to: their answers follow the Sentry protocol. `/api/0/` is what build tools ask: no project has
/// that number.
fn is_ingest_path(uri: &Uri) -> bool {
    let path = uri.path();
    if path.starts_with(sentry_api::PREFIX) {
        return false;
    }
    path.starts_with("/v1/")
        || path
            .strip_prefix("/api/")
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()) || rest.starts_with("store"))
}

/// Host names that a browser may have meant: a page of another name that resolves to us gets 421.
#[derive(Clone, Debug, Default)]
pub struct Hosts(Arc<Vec<String>>);

impl Hosts {
    /// The names of `public_url` and of the listeners' addresses, of this machine, and `further` ones.
    pub fn new(public_url: &str, addresses: impl IntoIterator<Item = IpAddr>, further: &[String]) -> Self {
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned()];
        names.extend_from_slice(further);
        if let Some(host) = public_url.parse::<Uri>().ok().as_ref().and_then(Uri::host) {
            names.push(host.to_ascii_lowercase());
        }
        // "All addresses" is none that a client would name.
        for address in addresses.into_iter().filter(|address| !address.is_unspecified()) {
            names.push(match address {
                IpAddr::V4(v4) => v4.to_string(),
                IpAddr::V6(v6) => format!("[{v6}]"),
            });
        }
        Self(Arc::new(names))
    }

    fn admits(&self, host: &str) -> bool {
        let (name, _) = split_port(host);
        self.0.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// Refuses requests for another host (421), so that DNS rebinding reaches nothing.
pub async fn check_host(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let local = crate::extract::is_local(request.extensions());
    if local || target_host(&request).is_ok_and(|host| hosts.admits(&host)) {
        return next.run(request).await;
    }
    Problem::new(
        StatusCode::MISDIRECTED_REQUEST,
        "this server is not known by that name: set server.public_url to the address that clients use, or add the name to server.hosts",
    )
    .into_response()
}

/// Refuses requests that name their target in a way that two readers could understand differently (RFC 9112, 3.2).
///
/// Over HTTP/2 the target alone names the host; from here on the header does as well, so that whoever compares it, with
/// the origin of a page for one, need not know the difference.
pub async fn check_target(mut request: Request, next: Next) -> Response {
    match target_host(&request) {
        Ok(host) => {
            if !host.is_empty()
                && !request.headers().contains_key(header::HOST)
                && let Ok(value) = HeaderValue::from_str(&host)
            {
                request.headers_mut().insert(header::HOST, value);
            }
            next.run(request).await
        }
        Err(why) => Problem::new(StatusCode::BAD_REQUEST, why).into_response(),
    }
}

/// The host that a request is meant for; empty when it names none.
fn target_host(request: &Request) -> Result<String, &'static str> {
    let mut named = request.headers().get_all(header::HOST).iter();
    let host = match (named.next(), named.next()) {
        (Some(_), Some(_)) => return Err("more than one Host header"),
        (None, _) if request.version() == Version::HTTP_11 => return Err("no Host header"),
        (host, _) => host.map(|value| value.to_str().unwrap_or("@")).unwrap_or_default(),
    };
    if !host.is_empty() && (host.contains('@') || host.parse::<Authority>().is_err() || !has_true_port(host))
    {
        return Err("the Host header is not a host name with an optional port");
    }
    let Some(authority) = request.uri().authority() else { return Ok(host.to_owned()) };
    if authority.as_str().contains('@') {
        return Err("the target names a user");
    }
    if !has_true_port(authority.as_str()) {
        return Err("the port of the target is not a number up to 65535");
    }
    if !host.is_empty() && !authority.as_str().eq_ignore_ascii_case(host) {
        return Err("the Host header and the target name different hosts");
    }
    Ok(authority.as_str().to_owned())
}

/// Name and port of a host; the colons within brackets are of its address.
fn split_port(host: &str) -> (&str, Option<&str>) {
    let after_v6 = host.rfind(']').map_or(0, |end| end + 1);
    match host.get(after_v6..).and_then(|tail| tail.rfind(':')) {
        Some(colon) => {
            let (name, port) = host.split_at(after_v6 + colon);
            (name, port.get(1..))
        }
        None => (host, None),
    }
}

/// Whether what stands where a port may be is one. The parser of the library lets `127.0.0.1:7401.evil` pass.
fn has_true_port(host: &str) -> bool {
    let (_, port) = split_port(host);
    port.is_none_or(|port| {
        port.bytes().all(|b| b.is_ascii_digit()) && (port.is_empty() || port.parse::<u16>().is_ok())
    })
}

/// Refuses what crossed a network in clear, to a proxy or past it, where clients should use HTTPS. Credentials and events
/// that were sent so are lost already: they get no redirect that would hide it. A page that a person typed the address
/// of does.
pub async fn refuse_plain(
    State(https_url): State<Option<Arc<str>>>,
    request: Request,
    next: Next,
) -> Response {
    let plain = crate::client::client(request.extensions()).plain;
    let (Some(https_url), Some(plain)) = (https_url, plain) else { return next.run(request).await };
    let path = request.uri().path();
    if matches!(path, "/healthz" | "/readyz") {
        return next.run(request).await;
    }
    let for_machines = is_for_machines(path);
    let rest = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let location = HeaderValue::from_str(&format!("{https_url}{rest}"));
    // Two slashes or a backslash at the start would name another host to some readers.
    let safe = rest.starts_with('/') && !rest.starts_with("//") && !rest.contains('\\');
    // A redirect by way of a proxy that never says `https` would lead round in a circle.
    let page = matches!(*request.method(), Method::GET | Method::HEAD)
        && !for_machines
        && safe
        && plain != Plain::Unsaid;
    match location {
        Ok(location) if page => {
            (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, location)]).into_response()
        }
        _ => Problem::new(
            StatusCode::FORBIDDEN,
            match plain {
                Plain::Unsaid => "the proxy does not say how you came: let it send X-Forwarded-Proto",
                _ => "plain HTTP: use the https address of this server; what was sent in clear, renew",
            },
        )
        .into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;
    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use tower::ServiceExt;

    #[tokio::test]
    async fn a_defect_costs_one_request_and_tells_nothing() {
        async fn broken(request: Request) -> &'static str {
            tokio::task::yield_now().await;
            assert_ne!(request.uri().path(), "/broken", "the words of the panic");
            "fine"
        }
        let router = Router::new()
            .fallback(broken)
            .layer(axum::middleware::from_fn(|request, next: Next| contain(next.run(request))));
        for (path, status) in [("/broken", 500), ("/", 200), ("/broken", 500)] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let mut answer = router.clone().oneshot(request).await.unwrap();
            write_problem(&mut answer, "r1", false, None);
            assert_eq!(answer.status(), status, "{path}");
            let bytes = axum::body::to_bytes(answer.into_body(), 1_000).await.unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains("words of the panic"));
        }
    }

    #[tokio::test]
    async fn a_page_of_ours_is_known_over_http2_by_its_origin() {
        let origin = |headers: axum::http::HeaderMap| async move {
            if crate::cookies::is_same_origin(&headers) { "ours" } else { "another" }
        };
        let router = Router::new().fallback(origin).layer(axum::middleware::from_fn(check_target));
        for (page, expected) in [("https://errors.example.net", "ours"), ("https://evil.example", "another")]
        {
            let request = Request::get("https://errors.example.net/tickets")
                .version(Version::HTTP_2)
                .header("origin", page)
                .body(Body::empty())
                .unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            let bytes = axum::body::to_bytes(answer.into_body(), 100).await.unwrap();
            assert_eq!(bytes, expected.as_bytes(), "{page}");
        }
    }

    #[tokio::test]
    async fn nothing_that_crossed_a_network_in_clear_is_served() {
        let https_url: Option<Arc<str>> = Some("https://errors.example.net".into());
        let router =
            Router::new().fallback(|| async { "served" }).layer(from_fn_with_state(https_url, refuse_plain));
        for (plain, page, machine) in [
            (None, 200, 200),
            (Some(Plain::ToProxy), 308, 403),
            (Some(Plain::PastProxy), 308, 403),
            (Some(Plain::Unsaid), 403, 403),
        ] {
            for (target, expected) in [
                ("/tickets", page),
                ("/", page),
                ("/api/v1/tickets", machine),
                ("/api/42/envelope/", machine),
                ("/metrics", machine),
                ("/v1/traces", machine),
                ("/healthz", 200),
            ] {
                let mut request = Request::get(target).body(Body::empty()).unwrap();
                request.extensions_mut().insert(Client { plain, ..Client::default() });
                let status = router.clone().oneshot(request).await.unwrap().status();
                assert_eq!(status, expected, "{plain:?} {target}");
            }
        }
    }

    #[test]
    fn only_known_hosts_are_admitted() {
        let hosts = Hosts::new(
            "https://errors.example.net/base",
            ["127.0.0.1".parse().unwrap(), "0.0.0.0".parse().unwrap()],
            &["errors.internal".to_owned()],
        );
        for good in [
            "localhost:5001",
            "127.0.0.1:5001",
            "[::1]:5001",
            "errors.example.net",
            "ERRORS.example.net:443",
            "errors.internal:5001",
        ] {
            assert!(hosts.admits(good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:5001",
            "errors.example.net.evil",
            "0.0.0.0:5001",
        ] {
            assert!(!hosts.admits(bad), "{bad}");
        }
    }
}
