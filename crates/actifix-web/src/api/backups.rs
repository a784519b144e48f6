//! Backups: list, make, restore on trial.

use super::Operation;
use crate::extract::{Input, Who};
use crate::problem::ApiResult;
use actifix_app::App;
use actifix_domain::access::Scope;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

type AppState = State<Arc<App>>;

pub(super) fn operations() -> Vec<Operation> {
    let admin = Scope::Admin;
    vec![
        Operation::get("/api/v1/backups", "list_backups", "Backups, newest first", admin, list),
        Operation::post(
            "/api/v1/backups",
            "create_backup",
            "Make a backup now; answers when it is on the disk",
            admin,
            create,
        )
        .body(&[("recipients", "strings", "further age recipients (age1…), at most 16")])
        .created(),
        Operation::get(
            "/api/v1/backups/runs",
            "list_backup_runs",
            "Backups, verifications and restores that were done, latest first, at most 200",
            admin,
            runs,
        ),
        Operation::post(
            "/api/v1/backups/{name}/verify",
            "verify_backup",
            "Restore it into a temporary home and look at everything; `latest` is the newest",
            admin,
            verify,
        ),
        Operation::get(
            "/api/v1/integrity",
            "get_integrity",
            "What the last look for damaged rows and pages found",
            admin,
            last_integrity,
        ),
        Operation::post(
            "/api/v1/integrity/check",
            "check_integrity",
            "Look through everything for damaged rows and pages now",
            admin,
            integrity,
        ),
    ]
}

async fn list(State(app): AppState, who: Who) -> ApiResult<Response> {
    let items = app.list_backups(&who.0).await?;
    Ok(Json(json!({ "items": items, "next_cursor": null })).into_response())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CreateInput {
    recipients: Vec<String>,
}

async fn create(State(app): AppState, who: Who, Input(input): Input<CreateInput>) -> ApiResult<Response> {
    let file = app.create_backup(&who.0, input.recipients).await?;
    Ok((StatusCode::CREATED, Json(file)).into_response())
}

async fn runs(State(app): AppState, who: Who) -> ApiResult<Response> {
    let items = app.backup_runs(&who.0).await?;
    Ok(Json(json!({ "items": items, "next_cursor": null })).into_response())
}

async fn verify(State(app): AppState, who: Who, Path(name): Path<String>) -> ApiResult<Response> {
    let name = (name != "latest").then_some(name);
    Ok(Json(app.verify_backup(&who.0, name.as_deref()).await?).into_response())
}

async fn last_integrity(State(app): AppState, who: Who) -> ApiResult<Response> {
    Ok(Json(json!({ "last": app.last_integrity(&who.0).await? })).into_response())
}

async fn integrity(State(app): AppState, who: Who) -> ApiResult<Response> {
    Ok(Json(app.check_integrity(&who.0).await?).into_response())
}
