//! What SDKs post to. Reads the request, asks the App, writes its answer; nothing is decided here but HTTP.

mod read;

use actifix_app::App;
use actifix_app::ingest::{
    AnswerBody, ByteRoom, Delivery, IngestAnswer, Kind, Knock, OtlpSignal, Pass, Refusal, credentials,
};
use actifix_domain::id::{EventId, ProjectId};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, post};
use bytes::Bytes;
use read::Reader;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

type Params = Path<HashMap<String, String>>;

const EXPOSED: &str = "x-sentry-error, x-sentry-rate-limits, retry-after";
const ALLOWED_HEADERS: &str = "x-sentry-auth, x-requested-with, x-forwarded-for, origin, referer, accept, \
     content-type, authentication, authorization, content-encoding, transfer-encoding, sentry-trace, baggage, traceparent";

/// Routes of the module `ingest`.
pub fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for (path, route) in routes() {
        router = router.route(path, route.clone()).route(&format!("{path}/"), route);
    }
    router.with_state(app)
}

/// Every ingest path without its optional trailing slash, with what it takes.
fn routes() -> Vec<(&'static str, MethodRouter<Arc<App>>)> {
    vec![
        ("/api/{pid}/envelope", posts(|_| Some(Kind::Envelope))),
        ("/api/{pid}/store", store()),
        ("/api/store", store()),
        ("/api/{pid}/security", posts(|_| Some(Kind::Security))),
        ("/api/{pid}/csp-report", posts(|_| Some(Kind::Security))),
        ("/api/{pid}/minidump", posts(|_| Some(Kind::Minidump))),
        ("/api/{pid}/unreal/{key}", posts(|_| Some(Kind::Unreal))),
        (
            "/api/{pid}/events/{event_id}/attachments",
            posts(|path| path.get("event_id")?.parse::<EventId>().ok().map(Kind::Attachments)),
        ),
        ("/api/{pid}/cron/{slug}/{key}", cron()),
        ("/api/{pid}/integration/otlp/v1/logs", posts(|_| Some(Kind::Otlp(OtlpSignal::Logs)))),
        ("/api/{pid}/integration/otlp/v1/traces", posts(|_| Some(Kind::Otlp(OtlpSignal::Traces)))),
        ("/api/{pid}/otlp/v1/traces", posts(|_| Some(Kind::Otlp(OtlpSignal::Traces)))),
        ("/api/{pid}/otlp/v1/logs", posts(|_| Some(Kind::Otlp(OtlpSignal::Logs)))),
        ("/v1/logs", posts(|_| Some(Kind::Otlp(OtlpSignal::Logs)))),
        ("/v1/traces", posts(|_| Some(Kind::Otlp(OtlpSignal::Traces)))),
        ("/api/{pid}/otlp/v1/metrics", posts(|_| Some(Kind::Ignored("metric_bucket")))),
        ("/v1/metrics", posts(|_| Some(Kind::Ignored("metric_bucket")))),
        ("/api/{pid}/nel", posts(|_| Some(Kind::Ignored("nel")))),
    ]
}

fn posts(kind: fn(&HashMap<String, String>) -> Option<Kind>) -> MethodRouter<Arc<App>> {
    let handler = move |State(app): State<Arc<App>>,
                        path: Params,
                        query: RawQuery,
                        request: Request<Body>| async move {
        match kind(&path.0) {
            Some(kind) => receive(&app, kind, &path.0, query.0.as_deref().unwrap_or_default(), request).await,
            None => write(&IngestAnswer::error(404, "no such event"), None, Facts::default()),
        }
    };
    other_methods(post(handler), "POST, OPTIONS")
}

fn store() -> MethodRouter<Arc<App>> {
    let handler = |State(app): State<Arc<App>>, path: Params, query: RawQuery, request: Request<Body>| async move {
        let kind = if request.method() == Method::GET { Kind::StoreQuery } else { Kind::Store };
        receive(&app, kind, &path.0, query.0.as_deref().unwrap_or_default(), request).await
    };
    other_methods(post(handler).get(handler), "GET, POST, OPTIONS")
}

fn cron() -> MethodRouter<Arc<App>> {
    let handler = |State(app): State<Arc<App>>, path: Params, query: RawQuery, request: Request<Body>| async move {
        let slug = path.0.get("slug").cloned().unwrap_or_default();
        receive(&app, Kind::Cron { slug }, &path.0, query.0.as_deref().unwrap_or_default(), request).await
    };
    other_methods(post(handler).get(handler), "GET, POST, OPTIONS")
}

/// What the log tells about a request besides its line (`ingest.md` §1.5); put into the answer's extensions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Project of the key; none without a valid one.
    pub project: Option<ProjectId>,
    /// Bytes of the body that were read.
    pub body_bytes: u64,
}

async fn receive(
    app: &Arc<App>,
    kind: Kind,
    path: &HashMap<String, String>,
    query: &str,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let headers = parts.headers;
    let peer = crate::client::client(&parts.extensions).address;
    if parts.method == Method::HEAD {
        // Routing takes it for a GET, which reports something: a link checker must not.
        return not_allowed(app, path, query, &headers, peer, "GET, POST, OPTIONS").await;
    }
    // Exporters of metrics bring the key as those of traces do.
    let bearer = matches!(kind, Kind::Otlp(_) | Kind::Ignored("metric_bucket"));
    let mut knock = knock(path, query, &headers, bearer, peer);
    let mut facts = Facts::default();
    let taken = match take(app, &kind, &mut knock, &headers, body, peer, &mut facts).await {
        Ok(taken) => taken,
        Err(refusal) => {
            app.count_refusal(&knock, &kind, &refusal).await;
            let answer = app.refused(&kind, content_type(&headers), &refusal);
            return refuse(app, &knock, &answer, facts).await;
        }
    };
    let (pass, body, room) = taken;
    let echo = pass.echo_origin;
    let delivery = Delivery {
        kind,
        content_encoding: content_encoding(&headers),
        content_type: content_type(&headers).to_owned(),
        user_agent: text(&headers, &header::USER_AGENT).unwrap_or_default().to_owned(),
        query: query.to_owned(),
        peer,
        body,
    };
    let answer = app.deliver(pass, delivery).await;
    drop(room);
    write(&answer, knock.origin.filter(|_| echo), facts)
}

/// Authenticates, by the first bytes of the body if nothing else names a key, and reads the body.
async fn take(
    app: &Arc<App>,
    kind: &Kind,
    knock: &mut Knock<'_>,
    headers: &HeaderMap,
    body: Body,
    peer: Option<IpAddr>,
    facts: &mut Facts,
) -> Result<(Pass, Bytes, ByteRoom), Refusal> {
    let known = app.knock(knock).await?;
    if known.is_none() && !kind.may_hold_key(content_type(headers)) {
        return Err(Refusal::NoKey);
    }
    let room = app.byte_room(peer, known.as_ref());
    let mut reader = Reader::new(app, headers, body, room, known.is_some())?;
    let pass = match known {
        Some(pass) => pass,
        None => {
            let named = reader.header_key(&content_encoding(headers)).await;
            facts.body_bytes = reader.read();
            knock.add_key(named?.ok_or(Refusal::NoKey)?);
            let pass = app.knock(knock).await?.ok_or(Refusal::NoKey)?;
            reader.admit(&pass.known.key.public_key).await?;
            pass
        }
    };
    facts.project = Some(pass.known.project.id);
    let (body, room) = reader.rest().await?;
    facts.body_bytes = u64::try_from(body.len()).unwrap_or(u64::MAX);
    Ok((pass, body, room))
}

/// An answer to a request that was not taken: its page may read it where it might have read another.
async fn refuse(app: &App, knock: &Knock<'_>, answer: &IngestAnswer, facts: Facts) -> Response<Body> {
    let echo = app.preflight(knock).await;
    write(answer, knock.origin.filter(|_| echo), facts)
}

/// What the request shows of itself before its body.
fn knock<'a>(
    path: &HashMap<String, String>,
    query: &str,
    headers: &'a HeaderMap,
    bearer: bool,
    address: Option<IpAddr>,
) -> Knock<'a> {
    let sentry_auth = text(headers, &HeaderName::from_static("x-sentry-auth"));
    let authorization = text(headers, &header::AUTHORIZATION);
    Knock {
        path_project: path.get("pid").map(|pid| pid.parse::<ProjectId>().ok()),
        keys: credentials(sentry_auth, authorization, query, path.get("key").map(String::as_str), bearer),
        origin: text(headers, &header::ORIGIN),
        referer: text(headers, &header::REFERER),
        address,
    }
}

async fn preflight(
    State(app): State<Arc<App>>,
    path: Params,
    query: RawQuery,
    request: Request<Body>,
) -> Response<Body> {
    let (headers, address) = (request.headers(), crate::client::client(request.extensions()).address);
    let knock = knock(&path.0, query.0.as_deref().unwrap_or_default(), headers, false, address);
    let echo = app.preflight(&knock).await;
    let mut response = Response::new(Body::empty());
    let out = response.headers_mut();
    out.insert(header::VARY, HeaderValue::from_static("Origin"));
    out.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, GET, OPTIONS"));
    out.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS));
    out.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
    if echo && let Some(origin) = headers.get(header::ORIGIN) {
        out.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        out.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
    response
}

async fn not_allowed(
    app: &App,
    path: &HashMap<String, String>,
    query: &str,
    headers: &HeaderMap,
    address: Option<IpAddr>,
    allow: &'static str,
) -> Response<Body> {
    let knock = knock(path, query, headers, false, address);
    let answer = IngestAnswer::error(405, format!("method not allowed, use {allow}"));
    let mut response = refuse(app, &knock, &answer, Facts::default()).await;
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// The answer to every method that a route does not take.
fn other_methods(route: MethodRouter<Arc<App>>, allow: &'static str) -> MethodRouter<Arc<App>> {
    let handler = move |State(app): State<Arc<App>>,
                        path: Params,
                        query: RawQuery,
                        request: Request<Body>| async move {
        let address = crate::client::client(request.extensions()).address;
        let query = query.0.as_deref().unwrap_or_default();
        not_allowed(&app, &path.0, query, request.headers(), address, allow).await
    };
    route.options(preflight).fallback(handler)
}

/// Writes an answer out; `origin` is echoed when the page may read it.
fn write(answer: &IngestAnswer, origin: Option<&str>, facts: Facts) -> Response<Body> {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (content_type, body) = match &answer.body {
        AnswerBody::Empty => (None, Vec::new()),
        AnswerBody::Id(Some(id)) => (Some("application/json"), format!("{{\"id\":\"{id}\"}}").into_bytes()),
        AnswerBody::Id(None) => (Some("application/json"), b"{}".to_vec()),
        AnswerBody::IdText(id) => (Some("text/plain; charset=utf-8"), id.hyphenated().into_bytes()),
        AnswerBody::Gif => (Some("image/gif"), actifix_app::ingest::PIXEL.to_vec()),
        AnswerBody::Bytes { content_type, bytes } => (Some(*content_type), bytes.clone()),
        AnswerBody::Error { detail, causes } => (
            Some("application/json"),
            serde_json::json!({ "detail": detail, "causes": causes }).to_string().into_bytes(),
        ),
    };
    let mut response = (status, body).into_response();
    response.extensions_mut().insert(facts);
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    if let Some(content_type) = content_type {
        set(header::CONTENT_TYPE, content_type);
    }
    set(header::VARY, "Origin");
    if let AnswerBody::Error { detail, .. } = &answer.body {
        set(HeaderName::from_static("x-sentry-error"), detail);
    }
    if let Some(seconds) = answer.retry_after {
        set(header::RETRY_AFTER, &seconds.to_string());
    }
    if let Some(limits) = &answer.rate_limits {
        set(HeaderName::from_static("x-sentry-rate-limits"), limits);
    }
    if let Some(origin) = origin {
        set(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        set(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
    response
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn content_type(headers: &HeaderMap) -> &str {
    text(headers, &header::CONTENT_TYPE).unwrap_or_default()
}

/// All codings in order; several header lines count as one list.
fn content_encoding(headers: &HeaderMap) -> String {
    let lines: Vec<&str> =
        headers.get_all(header::CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok()).collect();
    lines.join(",")
}
