//! Who asks, and typed input.

use crate::client::client;
use crate::cookies;
use crate::misfit::misfit;
use crate::problem::Problem;
use crate::server::Peer;
use actifix_app::App;
use actifix_app::jwt::AccessRefused;
use actifix_app::sessions::LiveSession;
use actifix_app::tokens::API_TOKEN_PREFIX;
use actifix_domain::access::Actor;
use actifix_domain::audit::Action;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Largest JSON body of the API, bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Whole numbers below it are exact as floating-point numbers (2^53).
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
/// Time for a whole body of the API to arrive, where no layer has said another; who takes longer holds a connection for
/// nothing.
const BODY_READ_MAX: Duration = Duration::from_secs(30);

/// The setting of it; put into every request's extensions by [`crate::layers::finish`].
#[derive(Clone, Copy, Debug)]
pub struct ReadTime(pub Duration);

impl ReadTime {
    pub(crate) fn of(extensions: &Extensions) -> Duration {
        extensions.get::<Self>().map_or(BODY_READ_MAX, |time| time.0)
    }
}

/// The authenticated actor. Nothing is trusted for where it comes from, except the home's own socket.
#[derive(Clone, Debug)]
pub struct Who(pub Actor);

/// A credential that was looked at already, by the limits, and was not good.
#[derive(Clone, Debug)]
pub struct Refused(pub Problem);

/// Whether the request came through the home's own socket.
pub fn is_local(extensions: &Extensions) -> bool {
    extensions.get::<ConnectInfo<Peer>>().is_some_and(|info| info.0 == Peer::Local)
}

impl FromRequestParts<Arc<App>> for Who {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        if let Some(Refused(problem)) = parts.extensions.get::<Refused>() {
            return Err(problem.clone());
        }
        // Whoever owns the home may do all; a command that names a session through its socket acts as that person.
        let named = cookies::value(&parts.headers, cookies::session_name(false)).is_some();
        if is_local(&parts.extensions) && !named {
            return Ok(Self(Actor::System));
        }
        if !parts.headers.contains_key(header::AUTHORIZATION) {
            return by_session(parts, app).await;
        }
        let Some(token) = bearer(&parts.headers) else {
            count_failure("authorization");
            return Err(Problem::unauthorized());
        };
        match by_bearer(app, token).await? {
            Ok(actor) => Ok(Self(actor)),
            Err(reason) => {
                app.record_refusal(None, Action::TokenRefused, "token", json!({ "reason": reason })).await;
                count_failure(reason);
                Err(Problem::unauthorized())
            }
        }
    }
}

/// The holder of an API token, or of a short-lived one; else why not, in a word.
async fn by_bearer(app: &App, token: &str) -> Result<Result<Actor, &'static str>, Problem> {
    if token.starts_with(API_TOKEN_PREFIX) {
        return Ok(app.authenticate_token(token).await?.ok_or("token"));
    }
    Ok(app.authenticate_access(token).await?.map_err(AccessRefused::as_str))
}

/// The words are few: they are values of a label.
fn count_failure(reason: &'static str) {
    actifix_app::auth_log::refused(reason);
}

/// The session behind a request that brought its cookie.
#[derive(Clone, Debug)]
pub struct Session(pub LiveSession);

/// A person, by the cookie of their session. The browser sends it whoever's page asks: what changes something must
/// come from a page of ours and name the session's token.
async fn by_session(parts: &mut Parts, app: &App) -> Result<Who, Problem> {
    let live = live_session(parts, app).await?;
    if !parts.method.is_safe() {
        let mut tokens = parts.headers.get_all(cookies::CSRF_HEADER).iter();
        let named = match (tokens.next().map(HeaderValue::to_str), tokens.next()) {
            (Some(Ok(token)), None) => app.is_csrf_token(&live, token),
            _ => false,
        };
        if !named || !cookies::is_same_origin(&parts.headers) {
            count_failure("csrf");
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "send the session's token in X-CSRF-Token, from a page of this server: GET /api/v1/auth/session tells it",
            ));
        }
    }
    let who = Who(live.actor.clone());
    parts.extensions.insert(Session(live));
    Ok(who)
}

/// The session of a request's cookie. Whoever changes something by it must prove besides that a page of ours asks.
pub(crate) async fn live_session(parts: &Parts, app: &App) -> Result<LiveSession, Problem> {
    let name = cookies::session_name(client(&parts.extensions).https);
    let Some(cookie) = cookies::value(&parts.headers, name) else {
        return Err(without_credential(parts));
    };
    app.authenticate_session(cookie).await?.ok_or_else(Problem::unauthorized)
}

/// A credential in the target would be in histories and logs of others: it is not looked at, and that is said.
fn without_credential(parts: &Parts) -> Problem {
    let query = parts.uri.query().unwrap_or_default();
    if !query.split('&').any(|pair| pair.starts_with("access_token=") || pair.starts_with("token=")) {
        return Problem::unauthorized();
    }
    count_failure("query");
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "a token in the address is not taken: send it as `Authorization: Bearer …`, and revoke this one, since addresses end up in logs",
    )
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A JSON body; an empty one reads as `{}`.
#[derive(Clone, Debug)]
pub struct Input<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Input<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let json = request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_none_or(|value| value.as_bytes().to_ascii_lowercase().starts_with(b"application/json"));
        let within = ReadTime::of(request.extensions());
        let bytes = read_body(request.into_body(), within).await?;
        if bytes.is_empty() {
            return parse(b"{}").map(Self);
        }
        if !json {
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json"));
        }
        parse(&bytes).map(Self)
    }
}

/// A whole body, within its size and its time.
pub(crate) async fn read_body(body: Body, within: Duration) -> Result<Bytes, Problem> {
    read_up_to(body, within, BODY_BYTES_MAX).await
}

/// The same, of another size.
pub(crate) async fn read_up_to(body: Body, within: Duration, bytes_max: usize) -> Result<Bytes, Problem> {
    match tokio::time::timeout(within, to_bytes(body, bytes_max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => {
            let detail = format!("the body is larger than {} MiB", bytes_max >> 20);
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail))
        }
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // Derived readers take a list of the members' values too; the contract knows objects only.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "the body is a list: send an object"));
    }
    serde_json::from_slice(bytes).or_else(|error| with_whole_numbers(bytes).ok_or(error)).map_err(|error| {
        // The parser's own text can repeat input; only places and what the reader wants are told.
        let what = match error.classify() {
            serde_json::error::Category::Data => match misfit::<T>(bytes) {
                Some(why) => format!("does not have the documented form: {why}"),
                None => "does not have the documented form".to_owned(),
            },
            _ => "is not valid JSON".to_owned(),
        };
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("the body {what} (line {}, column {})", error.line(), error.column()),
        )
    })
}

/// The same with `3.0` for `3`: in JSON Schema both are integers. None where that changes nothing or helps nothing.
fn with_whole_numbers<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let mut value: Value = serde_json::from_slice(bytes).ok()?;
    make_whole(&mut value).then(|| serde_json::from_value(value).ok()).flatten()
}

/// Whether a number was changed.
fn make_whole(value: &mut Value) -> bool {
    match value {
        Value::Number(number) => {
            let float = number.as_f64().filter(|_| number.is_f64());
            let Some(float) = float.filter(|float| float.fract() == 0.0 && float.abs() < WHOLE_MAX) else {
                return false;
            };
            #[allow(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
            let whole = float as i64;
            *number = whole.into();
            true
        }
        // Each of them, so not `any`.
        Value::Array(items) => items.iter_mut().map(make_whole).filter(|changed| *changed).count() > 0,
        Value::Object(members) => members.values_mut().map(make_whole).filter(|changed| *changed).count() > 0,
        _ => false,
    }
}

/// The version that a write was decided on (`If-Match`), if one is given.
pub fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let digits = quoted.unwrap_or(text);
    let version = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    version.map(Some).ok_or_else(|| {
        Problem::new(StatusCode::BAD_REQUEST, "If-Match: expected the ETag of the last answer, such as \"3\"")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends one byte, then nothing, and does not end.
    struct Stalled(bool);

    impl hyper::body::Body for Stalled {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _context: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
            if std::mem::replace(&mut self.0, true) {
                return std::task::Poll::Pending;
            }
            std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(Bytes::from_static(b"{")))))
        }
    }

    #[test]
    fn an_integer_may_be_written_with_a_fraction_of_nothing_and_an_object_is_no_list() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Form {
            minutes: Option<u32>,
            text: Option<String>,
        }
        let whole =
            |text: &str| parse::<Form>(text.as_bytes()).map(|form| form.minutes).map_err(|p| p.status);
        assert_eq!(whole(r#"{"minutes":3.0,"text":"a"}"#), Ok(Some(3)));
        assert_eq!(whole(r#"{"minutes":3e0}"#), Ok(Some(3)));
        for bad in [
            r#"{"minutes":3.5}"#,
            r#"{"minutes":-3.0}"#,
            r#"{"minutes":1e300}"#,
            r#"{"minutes":"3.0"}"#,
            r#"{"minutes":3,"minutes":3}"#,
            r#"{"minutes":3.0,"other":1}"#,
            "[3]",
            " [null,null]",
            "[]",
        ] {
            assert_eq!(whole(bad), Err(StatusCode::BAD_REQUEST), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let stalled = Body::new(Stalled(false));
        let refused = read_body(stalled, Duration::from_millis(20)).await.expect_err("a refusal");
        assert_eq!(refused.status, StatusCode::REQUEST_TIMEOUT);
        let large = Body::from(vec![b' '; BODY_BYTES_MAX + 1]);
        let refused = read_body(large, BODY_READ_MAX).await.expect_err("a refusal");
        assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(read_body(Body::from("{}"), BODY_READ_MAX).await.ok().as_deref(), Some(&b"{}"[..]));
    }
}
