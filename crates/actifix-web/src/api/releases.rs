//! Releases, read only: builds tell of them as `sentry-cli` does.

use super::Operation;
use crate::extract::Who;
use crate::problem::ApiResult;
use actifix_app::App;
use actifix_app::ports::Cursor;
use actifix_domain::access::Scope;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;

const LIST: &[(&str, &str)] = &[
    ("project", "name or id"),
    ("cursor", "`next_cursor` of the last answer"),
    ("limit", "1 to 200, default 50"),
];
const PROJECT: &[(&str, &str)] =
    &[("project", "name or id; needed where several have a release of this name")];

pub(super) fn operations() -> Vec<Operation> {
    let read = Scope::TicketsRead;
    vec![
        Operation::get(
            "/api/v1/releases",
            "list_releases",
            "Releases, the latest first seen first",
            read,
            list,
        )
        .query(LIST),
        Operation::get(
            "/api/v1/releases/{version}",
            "get_release",
            "One release: deploys, commits, tickets that began in it, came back with it, are fixed by it",
            read,
            show,
        )
        .query(PROJECT),
    ]
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ListQuery {
    project: Option<String>,
    cursor: Option<Cursor>,
    limit: u32,
}

async fn list(State(app): State<Arc<App>>, who: Who, Query(query): Query<ListQuery>) -> ApiResult<Response> {
    let page = app.releases(&who.0, query.project.as_deref(), query.cursor, query.limit).await?;
    Ok(Json(page).into_response())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ShowQuery {
    project: Option<String>,
}

async fn show(
    State(app): State<Arc<App>>,
    who: Who,
    Path(version): Path<String>,
    Query(query): Query<ShowQuery>,
) -> ApiResult<Response> {
    let detail = app.release_detail(&who.0, query.project.as_deref(), &version).await?;
    Ok(Json(detail).into_response())
}
