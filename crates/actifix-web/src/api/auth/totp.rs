//! One's own second factor.

use super::AppState;
use crate::extract::{Input, Who};
use crate::problem::ApiResult;
use actifix_app::factors::RecoveryCodes;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

pub(super) async fn state(State(app): AppState, who: Who) -> ApiResult<Response> {
    Ok(Json(app.own_factor(&who.0).await?).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Password {
    password: String,
}

pub(super) async fn begin(
    State(app): AppState,
    who: Who,
    Input(input): Input<Password>,
) -> ApiResult<Response> {
    let enrolment = app.begin_factor(&who.0, &input.password).await?;
    let body = json!({
        "secret": enrolment.secret.as_str(), "uri": enrolment.uri.as_str(), "expires_at": enrolment.expires_at,
    });
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Code {
    code: String,
}

pub(super) async fn confirm(
    State(app): AppState,
    who: Who,
    Input(input): Input<Code>,
) -> ApiResult<Response> {
    Ok(shown_once(&app.confirm_factor(&who.0, &input.code).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Both {
    password: String,
    code: String,
}

pub(super) async fn disable(
    State(app): AppState,
    who: Who,
    Input(input): Input<Both>,
) -> ApiResult<Response> {
    app.disable_factor(&who.0, &input.password, &input.code).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn recovery_codes(
    State(app): AppState,
    who: Who,
    Input(input): Input<Both>,
) -> ApiResult<Response> {
    Ok(shown_once(&app.renew_recovery_codes(&who.0, &input.password, &input.code).await?))
}

fn shown_once(codes: &RecoveryCodes) -> Response {
    Json(json!({ "recovery_codes": *codes.0 })).into_response()
}
