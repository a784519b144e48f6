//! What is kept, what is deleted, what must not be.

use super::{Operation, path_id};
use crate::extract::{Input, Who};
use crate::problem::ApiResult;
use actifix_app::App;
use actifix_app::error::Error;
use actifix_domain::access::Scope;
use actifix_domain::id::TicketId;
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
        Operation::get(
            "/api/v1/retention",
            "get_retention",
            "What is kept, what is held, and the last run",
            admin,
            show,
        ),
        Operation::post(
            "/api/v1/retention/run",
            "run_retention",
            "Delete what is no longer kept",
            admin,
            run,
        )
        .body(&[
            ("dry_run", "boolean", "only count"),
            ("accept_clock", "boolean", "the clock is right, however far it leapt"),
        ]),
        Operation::get("/api/v1/retention/holds", "list_holds", "Legal holds, latest first", admin, holds),
        Operation::post(
            "/api/v1/retention/holds",
            "set_hold",
            "Keep a ticket or a whole project from retention",
            admin,
            hold,
        )
        .body(&[
            ("ticket", "string?", "id of a ticket; else a project"),
            ("project", "string?", "name or id; else a ticket"),
            ("reason", "string!", "why, at most 500 characters"),
        ])
        .created(),
        Operation::delete("/api/v1/retention/holds/{id}", "release_hold", "End a legal hold", admin, release)
            .empty(),
    ]
}

async fn show(State(app): AppState, who: Who) -> ApiResult<Response> {
    let (holds, last) = (app.holds(&who.0).await?, app.last_retention(&who.0).await?);
    let policy = &app.settings().retention;
    let jump = app.clock_jump().map(|jump| jump.to_string());
    Ok(Json(json!({ "policy": policy, "holds": holds, "last_run": last, "clock": jump })).into_response())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RunInput {
    dry_run: bool,
    accept_clock: bool,
}

async fn run(State(app): AppState, who: Who, Input(input): Input<RunInput>) -> ApiResult<Response> {
    let report = match (input.dry_run, input.accept_clock) {
        (true, true) => {
            return Err(Error::invalid("accept_clock", "not with dry_run, which believes it anyway").into());
        }
        (true, false) => app.count_retention(&who.0).await?,
        (false, accept_clock) => app.run_retention(&who.0, accept_clock).await?,
    };
    let jump = app.clock_jump().map(|jump| jump.to_string());
    Ok(Json(json!({ "dry_run": input.dry_run, "deleted": report, "clock": jump })).into_response())
}

async fn holds(State(app): AppState, who: Who) -> ApiResult<Response> {
    let items = app.holds(&who.0).await?;
    Ok(Json(json!({ "items": items, "next_cursor": null })).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HoldInput {
    ticket: Option<String>,
    project: Option<String>,
    reason: String,
}

async fn hold(State(app): AppState, who: Who, Input(input): Input<HoldInput>) -> ApiResult<Response> {
    let ticket = match &input.ticket {
        Some(text) => Some(path_id::<TicketId>(text, "ticket")?),
        None => None,
    };
    let hold = app.hold(&who.0, input.project.as_deref(), ticket.as_ref(), &input.reason).await?;
    Ok((StatusCode::CREATED, Json(hold)).into_response())
}

async fn release(State(app): AppState, who: Who, Path(id): Path<String>) -> ApiResult<Response> {
    let id = id.parse().map_err(|_| Error::NotFound { what: "legal hold" })?;
    app.release_hold(&who.0, id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
