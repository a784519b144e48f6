//! Logging in and out, one's own session and password.

use super::{Operation, Permission};
use crate::client::client;
use crate::cookies::{self, CSRF_HEADER};
use crate::extract::{Input, Session, Who};
use crate::problem::{ApiResult, Problem};
use actifix_app::App;
use axum::Json;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

type AppState = State<Arc<App>>;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/api/v1/auth/login", "log_in", "Begin a session", Permission::Open, log_in)
            .body(&[("username", "string!", "name of the account"), ("password", "string!", "its password")]),
        Operation::post("/api/v1/auth/logout", "log_out", "End the session", Permission::Anybody, log_out)
            .empty(),
        Operation::get(
            "/api/v1/auth/session",
            "get_session",
            "Who is logged in, and the token that unsafe requests name in X-CSRF-Token",
            Permission::Anybody,
            session,
        ),
        Operation::post(
            "/api/v1/auth/password",
            "set_own_password",
            "Set one's own password; ends all own sessions",
            Permission::Anybody,
            password,
        )
        .empty()
        .body(&[("current", "string!", "the present one"), ("password", "string!", "15 characters or more")]),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    username: String,
    password: String,
}

async fn log_in(
    State(app): AppState,
    headers: HeaderMap,
    extensions: Extensions,
    Input(login): Input<Login>,
) -> ApiResult<Response> {
    let client = client(&extensions);
    if !cookies::is_same_origin(&headers) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "a page of another origin cannot log in here"));
    }
    let device = cookies::value(&headers, cookies::device_name(client.https));
    let Ok(begun) = app.log_in(&login.username, &login.password, device).await? else {
        return Err(Problem::login_refused());
    };
    let mut response = Json(json!({
        "user": begun.user.name, "role": begun.user.role, "csrf_token": begun.csrf,
        "expires_at": begun.session.expires_at,
    }))
    .into_response();
    cookies::set_session(response.headers_mut(), begun.cookie.reveal(), client.https);
    cookies::set_device(response.headers_mut(), begun.device.reveal(), client.https);
    Ok(response)
}

async fn log_out(State(app): AppState, who: Who, extensions: Extensions) -> ApiResult<Response> {
    app.log_out(&who.0).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    cookies::clear_session(response.headers_mut(), client(&extensions).https);
    Ok(response)
}

async fn session(who: Who, extensions: Extensions) -> ApiResult<Response> {
    let Some(Session(live)) = extensions.get::<Session>() else {
        return Ok(Json(json!({ "actor": who.0.label(), "session": null })).into_response());
    };
    Ok(Json(json!({
        "actor": who.0.label(), "session": live.session, "csrf_token": live.csrf, "csrf_header": CSRF_HEADER.as_str(),
    }))
    .into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnPassword {
    current: String,
    password: String,
}

async fn password(State(app): AppState, who: Who, Input(input): Input<OwnPassword>) -> ApiResult<Response> {
    app.set_own_password(&who.0, &input.current, &input.password).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
