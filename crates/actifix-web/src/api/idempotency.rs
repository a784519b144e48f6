//! `Idempotency-Key` on POSTs: the second request with a key gets the first one's answer.

use crate::extract::{ReadTime, read_body};
use crate::problem::Problem;
use actifix_app::App;
use actifix_app::error::Error;
use actifix_app::idempotency::{ANSWER_BYTES_MAX, Answer, Once};
use actifix_domain::access::Actor;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// The header.
pub(super) const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is a repeated one.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Headers that belong to an answer; the others are of the connection or the same everywhere.
const KEPT_HEADERS: [HeaderName; 3] = [header::CONTENT_TYPE, header::ETAG, header::LOCATION];

/// Runs the request unless it was run before.
#[allow(
    clippy::disallowed_methods,
    reason = "a client that hangs up must not cut the keeping of its answer off; bounded by the requests in flight"
)]
pub(super) async fn run_once(app: Arc<App>, actor: Actor, request: Request, next: Next) -> Response {
    // What is recorded in the task of its own names the same client.
    let address = actifix_app::audit::address();
    let work = async move { try_once(&app, &actor, request, next).await };
    let task = tokio::spawn(actifix_app::audit::from_address(address, work));
    match task.await {
        Ok(Ok(response)) => response,
        Ok(Err(problem)) => problem.into_response(),
        Err(error) => Problem::from(Error::internal(error)).into_response(),
    }
}

async fn try_once(app: &App, actor: &Actor, request: Request, next: Next) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let mut keys = parts.headers.get_all(HEADER).iter();
    let key = match (keys.next().map(HeaderValue::to_str), keys.next()) {
        (Some(Ok(key)), None) => key.to_owned(),
        _ => return Err(Error::invalid("Idempotency-Key", "expected one header of printable ASCII").into()),
    };
    let body = read_body(body, ReadTime::of(&parts.extensions)).await?;
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let version = parts.headers.get(header::IF_MATCH).map_or(&b""[..], HeaderValue::as_bytes);
    let identity = [parts.method.as_str().as_bytes(), path.as_bytes(), version, &body];
    let claim = match app.once(actor, &key, &identity).await? {
        Once::First(claim) => claim,
        Once::Again(answer) => return Ok(replay(answer)),
    };
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    if !response.status().is_success() {
        return Ok(response);
    }
    let (head, body) = response.into_parts();
    let body = to_bytes(body, ANSWER_BYTES_MAX).await.map_err(Error::internal)?;
    let headers = KEPT_HEADERS
        .iter()
        .filter_map(|name| {
            Some((name.as_str().to_owned(), head.headers.get(name)?.to_str().ok()?.to_owned()))
        })
        .collect();
    let answer = Answer { status: head.status.as_u16(), headers, body: body.to_vec() };
    if let Err(error) = app.keep_answer(claim, &answer).await {
        // What was asked for is done, and the client must hear so; a repeat would do it again.
        tracing::warn!(error = %error, "answer not kept");
    }
    Ok(Response::from_parts(head, Body::from(body)))
}

fn replay(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
