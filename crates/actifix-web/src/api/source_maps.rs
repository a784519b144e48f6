//! Source maps of a project: what was uploaded, and its removal. Uploads come from `sentry-cli` ([`crate::sentry_api`]).

use super::Operation;
use crate::extract::Who;
use crate::problem::{ApiResult, Problem};
use actifix_app::App;
use actifix_app::ports::Cursor;
use actifix_domain::access::Scope;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;

type AppState = State<Arc<App>>;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/api/v1/projects/{project}/source-maps",
            "list_source_maps",
            "Uploads of source maps, latest first",
            Scope::TicketsRead,
            list,
        )
        .query(&[("cursor", "`next_cursor` of the last answer"), ("limit", "1 to 200, default 50")]),
        Operation::get(
            "/api/v1/projects/{project}/source-maps/usage",
            "source_map_usage",
            "What source maps of a project take, and what they may",
            Scope::TicketsRead,
            usage,
        ),
        Operation::delete(
            "/api/v1/projects/{project}/source-maps/{number}",
            "remove_source_maps",
            "Remove an upload: frames of later events stay minified",
            Scope::Admin,
            remove,
        )
        .empty(),
    ]
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ListQuery {
    cursor: Option<String>,
    limit: u32,
}

async fn list(
    State(app): AppState,
    who: Who,
    Path(project): Path<String>,
    Query(query): Query<ListQuery>,
) -> ApiResult<Response> {
    let cursor = query.cursor.map(Cursor);
    Ok(Json(app.source_maps(&who.0, &project, cursor, query.limit).await?).into_response())
}

async fn usage(State(app): AppState, who: Who, Path(project): Path<String>) -> ApiResult<Response> {
    Ok(Json(app.source_map_usage(&who.0, &project).await?).into_response())
}

async fn remove(
    State(app): AppState,
    who: Who,
    Path((project, number)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    let Ok(number) = number.parse() else {
        return Err(Problem::new(StatusCode::NOT_FOUND, "upload of source maps not found"));
    };
    app.remove_source_maps(&who.0, &project, number).await?;
    Ok(StatusCode::NO_CONTENT)
}
