//! Short-lived access tokens, and the keys that sign them.

use super::{Operation, Permission};
use crate::extract::{Input, Who};
use crate::problem::ApiResult;
use actifix_app::App;
use actifix_app::jwt::NewAccess;
use actifix_domain::access::Scope;
use actifix_domain::time::SECOND;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;

type AppState = State<Arc<App>>;

pub(super) fn operations() -> Vec<Operation> {
    let admin = Scope::Admin;
    vec![
        Operation::post(
            "/api/v1/auth/token",
            "issue_access_token",
            "Get a token of 15 minutes for a session or an API token, never wider than that",
            Permission::Anybody,
            issue,
        )
        .body(&[
            ("scopes", "scopes?", "some of one's own; default: all of them"),
            ("project", "string?", "bind it to one project, by name or id"),
        ]),
        Operation::delete(
            "/api/v1/auth/token",
            "revoke_access_token",
            "End the short-lived token that the request comes with",
            Permission::Anybody,
            revoke,
        )
        .empty(),
        Operation::get(
            "/api/v1/signing-keys",
            "list_signing_keys",
            "Keys that sign or verify short-lived tokens",
            admin,
            keys,
        ),
        Operation::post(
            "/api/v1/signing-keys/rotate",
            "rotate_signing_key",
            "Take a new key into use; the former one verifies for 16 minutes more",
            admin,
            rotate,
        )
        .body(&[("now", "boolean", "the former ones end at once, and with them all short-lived tokens")])
        .created(),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Issue {
    scopes: Option<BTreeSet<Scope>>,
    project: Option<String>,
}

async fn issue(State(app): AppState, who: Who, Input(input): Input<Issue>) -> ApiResult<Response> {
    let project = match &input.project {
        Some(name) => Some(app.project(&who.0, name).await?.id),
        None => None,
    };
    let (record, text) = app.issue_access(&who.0, NewAccess { scopes: input.scopes, project }).await?;
    let life = record.expires_at.since(record.created_at) / SECOND;
    Ok(Json(json!({
        "id": record.id, "access_token": text.reveal(), "token_type": "Bearer", "expires_in": life,
        "expires_at": record.expires_at, "scopes": record.scopes, "project": record.project,
    }))
    .into_response())
}

async fn revoke(State(app): AppState, who: Who) -> ApiResult<Response> {
    app.revoke_access(&who.0).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn keys(State(app): AppState, who: Who) -> ApiResult<Response> {
    let items = app.signing_keys(&who.0).await?;
    Ok(Json(json!({ "items": items, "next_cursor": null })).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotate {
    #[serde(default)]
    now: bool,
}

async fn rotate(State(app): AppState, who: Who, Input(input): Input<Rotate>) -> ApiResult<Response> {
    let key = app.rotate_signing_key(&who.0, input.now).await?;
    Ok((StatusCode::CREATED, Json(key)).into_response())
}
