//! Limits of the API, as HTTP: who is charged, the answer 429, and the headers that tell what is left.
//!
//! The layer stands around every route but ingest and health, the ones that do not exist included, so that no spelling
//! of a path and no method goes uncounted. Header fields follow draft-ietf-httpapi-ratelimit-headers.

use crate::client::client;
use crate::dashboard;
use crate::extract::{Refused, Session, Who, live_session};
use crate::layers::tell_brake;
use crate::problem::Problem;
use actifix_app::App;
use actifix_app::audit::from_address;
use actifix_app::limits::{Decision, PROBE_HEADER, Principal, Probed};
use actifix_domain::access::Actor;
use actifix_domain::alert::is_name;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write;
use std::sync::Arc;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Counts a request on who sent it, or refuses it.
///
/// A network that used up what requests without a valid credential may do is refused before a credential is looked at,
/// unless that credential was good within the last hour: others of its network cannot shut its holder out.
pub async fn limit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let who = client(request.extensions());
    // The home's own socket is for its owner, who may open the database as well.
    if who.local {
        return next.run(request).await;
    }
    if let Some(key) = request.headers().get(PROBE_HEADER) {
        match app.limit_probe(key.as_bytes()) {
            Probed::Admitted => return StatusCode::NO_CONTENT.into_response(),
            Probed::Refused(decision) => return refused(&decision),
            Probed::Stranger => {}
        }
    }
    // The signature of its body is its credential: it is counted when that was looked at, on its source if it is good.
    if is_signed_request(&request) {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let credential =
        parts.headers.get(header::AUTHORIZATION).or_else(|| parts.headers.get(header::COOKIE)).cloned();
    let (mut decision, mut is_known) = (None, false);
    if let Some(credential) = credential {
        if let Some(decision) = app.limit_stranger(who.address, credential.as_bytes()) {
            return refused(&decision);
        }
        // A refusal is recorded with the address that it came from.
        match from_address(who.address, known(&mut parts, &app)).await {
            Ok(actor) => {
                app.prove_credential(credential.as_bytes());
                is_known = true;
                decision = Some(app.limit_request(Principal::Actor(&actor)));
            }
            // Routes that need an actor answer with this, without looking at the credential again.
            Err(problem) => {
                parts.extensions.insert(Refused(problem));
            }
        }
    }
    let decision = match decision {
        Some(decision) => decision,
        None => app.limit_request(Principal::Network(who.address)),
    };
    if let Some(decision) = decision.as_ref().filter(|decision| !decision.admitted) {
        return refused(decision);
    }
    let mut response = next.run(Request::from_parts(parts, body)).await;
    if let Some(decision) = &decision {
        tell(&mut response, decision);
    }
    if is_known {
        tell_brake(&app, &mut response);
    }
    response
}

/// `POST /hooks/NAME`, and no other spelling of it.
fn is_signed_request(request: &Request) -> bool {
    let name = request.uri().path().strip_prefix("/hooks/").unwrap_or_default();
    request.method() == Method::POST && is_name(name)
}

/// Whose credential a request brought; routes find them in its extensions. The form of a page names the token of its
/// session in its body, which the page reads: here it is enough whose session it is, and no right comes from that.
async fn known(parts: &mut Parts, app: &Arc<App>) -> Result<Actor, Problem> {
    let of_page = !parts.method.is_safe() && dashboard::is_page_path(parts.uri.path());
    if of_page && !parts.headers.contains_key(header::AUTHORIZATION) {
        let live = live_session(parts, app).await?;
        let actor = live.actor.clone();
        parts.extensions.insert(Session(live));
        return Ok(actor);
    }
    let known = Who::from_request_parts(parts, app).await?;
    parts.extensions.insert(known.clone());
    Ok(known.0)
}

pub(crate) fn refused(decision: &Decision) -> Response {
    let mut problem = Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too many requests: wait as long as Retry-After says; the RateLimit header tells what is left",
    );
    problem.retry_after = Some(decision.retry_after_seconds.max(1));
    let mut response = problem.into_response();
    tell(&mut response, decision);
    response
}

/// Writes `RateLimit-Policy` and `RateLimit`: lists of items, with quota and window, remaining and seconds.
fn tell(response: &mut Response, decision: &Decision) {
    let partition = STANDARD.encode(decision.partition);
    let (mut policy, mut state) = (String::new(), String::new());
    for quota in &decision.quotas {
        let separator = if policy.is_empty() { "" } else { ", " };
        let (name, limit, window) = (quota.name, quota.limit, quota.window_seconds);
        let _infallible = write!(policy, "{separator}\"{name}\";q={limit};w={window};pk=:{partition}:");
        let (remaining, eases) = (quota.remaining, quota.eases_seconds);
        let _infallible = write!(state, "{separator}\"{name}\";r={remaining};t={eases};pk=:{partition}:");
    }
    for (name, text) in [(POLICY, policy), (LIMIT, state)] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().insert(name, value);
        }
    }
}
