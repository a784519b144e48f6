//! Signing in by way of a provider: two pages of a browser, and who may open which account.

use super::Operation;
use crate::client::client;
use crate::cookies;
use crate::dashboard;
use crate::extract::{Input, Who};
use crate::problem::{ApiResult, Problem};
use actifix_app::App;
use actifix_app::audit::from_address;
use actifix_app::oidc::{Return, SafePath};
use actifix_app::secrets::SecretText;
use actifix_domain::access::Scope;
use axum::extract::{Path, RawQuery, State};
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

type AppState = State<Arc<App>>;

/// Where a sign-in begins.
pub(crate) const START: &str = "/auth/oidc/start";
/// Where it comes back to.
pub(crate) const CALLBACK: &str = "/auth/oidc/callback";
/// Longest query of either that is looked at, bytes.
const QUERY_BYTES_MAX: usize = 8 << 10;

pub(super) fn operations() -> Vec<Operation> {
    let admin = Scope::Admin;
    vec![
        Operation::get(
            "/api/v1/users/{name}/identities",
            "list_identities",
            "Who at the sign-in provider may open an account",
            admin,
            identities,
        ),
        Operation::post(
            "/api/v1/users/{name}/identities",
            "link_identity",
            "Let somebody at the sign-in provider open an account",
            admin,
            link,
        )
        .body(&[
            ("subject", "string!", "the claim `sub` of that person, as the provider shows it"),
            ("your_password", "string?", "yours, where you gave it more than 10 minutes ago"),
        ])
        .created(),
        Operation::delete(
            "/api/v1/users/{name}/identities",
            "unlink_identities",
            "Let nobody at the sign-in provider open an account; ends its sessions",
            admin,
            unlink,
        ),
    ]
}

/// The pages. They need no actor: who somebody is they find out.
pub fn pages(app: Arc<App>) -> Router {
    Router::new().route(START, get(start)).route(CALLBACK, get(callback)).with_state(app)
}

/// Parameters by name, each once.
fn parameters(query: Option<&str>) -> Result<Vec<(String, String)>, Problem> {
    let query = query.unwrap_or_default();
    let wrong = |why: &str| Problem::new(StatusCode::BAD_REQUEST, format!("the address has {why}"));
    if query.len() > QUERY_BYTES_MAX {
        return Err(wrong("a query of more than 8 KiB"));
    }
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    for (place, (name, _)) in pairs.iter().enumerate() {
        if pairs.iter().skip(place + 1).any(|(other, _)| other == name) {
            return Err(wrong("a parameter twice"));
        }
    }
    Ok(pairs)
}

fn take(pairs: &mut [(String, String)], name: &str) -> Option<String> {
    pairs.iter_mut().find(|(known, _)| known == name).map(|(_, value)| std::mem::take(value))
}

async fn start(
    State(app): AppState,
    RawQuery(query): RawQuery,
    extensions: Extensions,
) -> ApiResult<Response> {
    let mut pairs = parameters(query.as_deref())?;
    let next = match take(&mut pairs, "next") {
        None => SafePath::default(),
        Some(next) => SafePath::try_from(next).map_err(|why| {
            Problem::new(StatusCode::BAD_REQUEST, format!("next: {why}: give a path such as /tickets"))
        })?,
    };
    let departure = app.start_sign_in(next).await?;
    let location = HeaderValue::from_str(departure.location.as_str()).map_err(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the provider's address cannot be sent")
    })?;
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response();
    cookies::set_sign_in(response.headers_mut(), departure.cookie.reveal(), client(&extensions).https);
    Ok(response)
}

async fn callback(
    State(app): AppState,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    extensions: Extensions,
) -> Response {
    let client = client(&extensions);
    let ended = from_address(client.address, arrive(&app, query.as_deref(), &headers, client.https)).await;
    let mut response = ended.unwrap_or_else(IntoResponse::into_response);
    // Whatever became of it, it is over.
    cookies::clear_sign_in(response.headers_mut(), client.https);
    response
}

async fn arrive(app: &App, query: Option<&str>, headers: &HeaderMap, https: bool) -> ApiResult<Response> {
    let mut pairs = parameters(query)?;
    let back = Return {
        state: take(&mut pairs, "state"),
        code: take(&mut pairs, "code").map(SecretText::new),
        issuer: take(&mut pairs, "iss"),
        error: take(&mut pairs, "error"),
    };
    let cookie = cookies::sign_in(headers, https);
    let arrival = match app.finish_sign_in(cookie, back).await? {
        Ok(arrival) => arrival,
        Err(refused) => return Err(Problem::new(StatusCode::FORBIDDEN, refused.to_string())),
    };
    let mut response = onwards(&format!("{}{}", dashboard::base(app), arrival.next.as_str()));
    cookies::set_session(response.headers_mut(), arrival.login.cookie.reveal(), https);
    cookies::set_device(response.headers_mut(), arrival.login.device.reveal(), https);
    Ok(response)
}

/// A page that goes on by itself. A redirect would still count as one from the provider's page, and the browser would
/// keep the session's cookie, which is for requests of our own pages only, back.
fn onwards(path: &str) -> Response {
    let path = path.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"0;url={path}\">\
         <title>Signed in</title><p>Signed in. <a href=\"{path}\">Go on</a></p></html>\n"
    );
    ([(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))], page).into_response()
}

async fn identities(State(app): AppState, who: Who, Path(name): Path<String>) -> ApiResult<Response> {
    let items = app.identities(&who.0, &name).await?;
    Ok(Json(json!({ "items": items, "next_cursor": null })).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    subject: String,
    your_password: Option<String>,
}

async fn link(
    State(app): AppState,
    who: Who,
    Path(name): Path<String>,
    Input(input): Input<Link>,
) -> ApiResult<Response> {
    let actor = app.reconfirmed(&who.0, input.your_password.as_deref()).await?;
    let identity = app.link_identity(&actor, &name, &input.subject).await?;
    Ok((StatusCode::CREATED, Json(identity)).into_response())
}

async fn unlink(State(app): AppState, who: Who, Path(name): Path<String>) -> ApiResult<Response> {
    let unlinked = app.unlink_identities(&who.0, &name).await?;
    Ok(Json(json!({ "unlinked": unlinked })).into_response())
}
