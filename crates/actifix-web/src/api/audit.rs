//! The audit log: asked for, proven.

use super::Operation;
use crate::extract::{Input, Who};
use crate::problem::{ApiResult, Problem};
use actifix_app::App;
use actifix_app::ports::{AuditQuery, Cursor};
use actifix_domain::access::Scope;
use actifix_domain::audit::{Action, Verdict};
use actifix_domain::time::Timestamp;
use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

type AppState = State<Arc<App>>;

pub(super) fn operations() -> Vec<Operation> {
    let admin = Scope::Admin;
    vec![
        Operation::get("/api/v1/audit", "list_audit", "Who did what, latest first", admin, list).query(&[
            ("since", "RFC 3339 time, not before"),
            ("until", "RFC 3339 time, before"),
            ("actor", "exact label, such as user:jo or token:ID"),
            ("action", "such as login.failed"),
            ("ip", "exact address of the client"),
            ("user", "name of a person, as actor or as target"),
            ("result", "ok, refused, failed"),
            ("project", "name or id"),
            ("cursor", "`next_cursor` of the last answer"),
            ("limit", "1 to 200, default 50"),
        ]),
        Operation::get(
            "/api/v1/audit/verify",
            "verify_audit",
            "Compare the whole log with its hashes and its witness",
            admin,
            verify,
        ),
        Operation::post(
            "/api/v1/audit/witness",
            "renew_audit_witness",
            "Begin the witness anew after a backup was put back",
            admin,
            renew,
        ),
    ]
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ListQuery {
    since: Option<String>,
    until: Option<String>,
    actor: Option<String>,
    action: Option<Action>,
    ip: Option<String>,
    user: Option<String>,
    result: Option<Verdict>,
    project: Option<String>,
    cursor: Option<Cursor>,
    limit: u32,
}

async fn list(State(app): AppState, who: Who, Query(query): Query<ListQuery>) -> ApiResult<Response> {
    let project = match &query.project {
        Some(name) => Some(app.project(&who.0, name).await?.id),
        None => None,
    };
    let query = AuditQuery {
        since: time("since", query.since.as_deref())?,
        until: time("until", query.until.as_deref())?,
        actor: query.actor,
        action: query.action,
        network: query.ip,
        user: query.user,
        result: query.result,
        project,
        cursor: query.cursor,
        limit: query.limit,
    };
    Ok(Json(app.audit_log(&who.0, query).await?).into_response())
}

fn time(field: &str, text: Option<&str>) -> ApiResult<Option<Timestamp>> {
    let Some(text) = text else { return Ok(None) };
    Timestamp::parse(text).map(Some).ok_or_else(|| {
        let detail = format!("{field}: expected an RFC 3339 time, such as 2026-11-24T09:00:00Z");
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    })
}

async fn verify(State(app): AppState, who: Who) -> ApiResult<Response> {
    Ok(Json(app.verify_audit(&who.0).await?).into_response())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RenewInput {}

async fn renew(State(app): AppState, who: Who, Input(_): Input<RenewInput>) -> ApiResult<Response> {
    let seq = app.renew_audit_witness(&who.0).await?;
    Ok(Json(json!({ "witnessed": seq })).into_response())
}
