//! Findings, quarantine, throttle.

use super::{Operation, path_id, tagged};
use crate::extract::{Input, Who, if_match};
use crate::problem::ApiResult;
use actifix_app::App;
use actifix_app::ports::{Cursor, FindingQuery, FindingState};
use actifix_domain::access::Scope;
use actifix_domain::id::TicketId;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

type AppState = State<Arc<App>>;

pub(super) fn operations() -> Vec<Operation> {
    let mut all = finding_operations();
    all.extend(flood_operations());
    all
}

fn finding_operations() -> Vec<Operation> {
    let read = Scope::TicketsRead;
    vec![
        Operation::get(
            "/api/v1/findings",
            "list_findings",
            "Secrets found in events, never their values",
            read,
            findings,
        )
        .query(&[
            ("project", "name or id"),
            ("state", "open, rotated, false_positive"),
            ("rule", "rule id"),
            ("id", "what the id begins with, in hex digits"),
            ("cursor", "`next_cursor` of the last answer"),
            ("limit", "1 to 200, default 50"),
        ]),
        Operation::get(
            "/api/v1/findings/{id}",
            "get_finding",
            "One leaked secret and where it came from",
            read,
            finding,
        ),
        Operation::post(
            "/api/v1/findings/{id}/resolve",
            "resolve_finding",
            "Say what became of it",
            Scope::TicketsTriage,
            resolve,
        )
        .versioned()
        .body(&[
            ("state", "open|rotated|false_positive!", "what became of it"),
            ("note", "string", "at most 1,000 characters"),
        ]),
        Operation::get(
            "/api/v1/quarantine",
            "list_quarantine",
            "Input that could not be redacted",
            Scope::Quarantine,
            quarantine,
        )
        .query(&[
            ("project", "name or id"),
            ("cursor", "`next_cursor` of the last answer"),
            ("limit", "1 to 200, default 50"),
        ]),
        Operation::get(
            "/api/v1/quarantine/{id}",
            "get_quarantined",
            "One entry, without its content",
            Scope::Quarantine,
            quarantined,
        ),
        Operation::post(
            "/api/v1/quarantine/{id}/release",
            "release_quarantined",
            "Run it through the pipeline again",
            Scope::Quarantine,
            release,
        ),
        Operation::delete(
            "/api/v1/quarantine/{id}",
            "delete_quarantined",
            "Delete it",
            Scope::Quarantine,
            delete_one,
        )
        .empty(),
    ]
}

fn flood_operations() -> Vec<Operation> {
    let read = Scope::TicketsRead;
    vec![
        Operation::get(
            "/api/v1/throttle",
            "get_throttle",
            "Throttle, brake and held tickets of a project",
            read,
            throttle,
        )
        .query(&[("project", "name or id, default `default`")]),
        Operation::get(
            "/api/v1/throttle/history",
            "list_throttle_history",
            "Latest decisions",
            read,
            history,
        ),
        Operation::post(
            "/api/v1/throttle/reset",
            "reset_throttle",
            "Forget windows, release the brake",
            Scope::Admin,
            reset,
        )
        .empty()
        .body(&[("project", "string", "name or id, default `default`")]),
        Operation::post(
            "/api/v1/throttle/promote",
            "promote_held",
            "Open held tickets now",
            Scope::TicketsTriage,
            promote,
        )
        .body(&[
            ("project", "string?", "name or id, default `default`"),
            ("ticket", "ticket?", "only this one"),
            ("limit", "1..1000?", "the oldest n, 1 to 1,000, default 50"),
        ]),
    ]
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FindingsQuery {
    project: Option<String>,
    state: Option<FindingState>,
    rule: Option<String>,
    id: Option<String>,
    cursor: Option<Cursor>,
    limit: u32,
}

async fn findings(State(app): AppState, who: Who, Query(query): Query<FindingsQuery>) -> ApiResult<Response> {
    let project = match &query.project {
        Some(name) => Some(app.project(&who.0, name).await?.id),
        None => None,
    };
    let query = FindingQuery {
        project,
        state: query.state,
        rule: query.rule,
        id: query.id,
        cursor: query.cursor,
        limit: query.limit,
    };
    Ok(Json(app.findings(&who.0, query).await?).into_response())
}

async fn finding(State(app): AppState, who: Who, Path(id): Path<String>) -> ApiResult<Response> {
    let finding = app.finding(&who.0, &id).await?;
    Ok(tagged(finding.version, json!(finding)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResolveInput {
    state: FindingState,
    #[serde(default)]
    note: String,
}

async fn resolve(
    State(app): AppState,
    who: Who,
    Path(id): Path<String>,
    headers: HeaderMap,
    Input(input): Input<ResolveInput>,
) -> ApiResult<Response> {
    let version = if_match(&headers)?;
    let finding = app.set_finding_state(&who.0, &id, input.state, &input.note, version).await?;
    Ok(tagged(finding.version, json!(finding)))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct QuarantineQuery {
    project: Option<String>,
    cursor: Option<Cursor>,
    limit: u32,
}

async fn quarantine(
    State(app): AppState,
    who: Who,
    Query(query): Query<QuarantineQuery>,
) -> ApiResult<Response> {
    let page = app.quarantine(&who.0, query.project.as_deref(), query.cursor, query.limit).await?;
    Ok(Json(page).into_response())
}

async fn quarantined(State(app): AppState, who: Who, Path(id): Path<String>) -> ApiResult<Response> {
    Ok(Json(app.quarantined(&who.0, &id).await?).into_response())
}

async fn release(State(app): AppState, who: Who, Path(id): Path<String>) -> ApiResult<Response> {
    Ok(Json(app.release_quarantined(&who.0, &id).await?).into_response())
}

async fn delete_one(State(app): AppState, who: Who, Path(id): Path<String>) -> ApiResult<Response> {
    app.delete_quarantined(&who.0, &id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ProjectQuery {
    project: String,
}

impl Default for ProjectQuery {
    fn default() -> Self {
        Self { project: "default".to_owned() }
    }
}

async fn throttle(State(app): AppState, who: Who, Query(query): Query<ProjectQuery>) -> ApiResult<Response> {
    let (view, held) = app.throttle(&who.0, &query.project).await?;
    let refused = app.refused_requests(&who.0, &query.project).await?;
    Ok(Json(json!({ "throttle": view, "held": held, "refused": refused })).into_response())
}

async fn history(State(app): AppState, who: Who) -> ApiResult<Response> {
    let items = app.throttle_history(&who.0).await?;
    Ok(Json(json!({ "items": items, "next_cursor": null })).into_response())
}

async fn reset(State(app): AppState, who: Who, Input(input): Input<ProjectQuery>) -> ApiResult<Response> {
    app.reset_throttle(&who.0, &input.project).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PromoteInput {
    project: Option<String>,
    ticket: Option<String>,
    limit: Option<u32>,
}

async fn promote(State(app): AppState, who: Who, Input(input): Input<PromoteInput>) -> ApiResult<Response> {
    let ticket = match &input.ticket {
        Some(text) => Some(path_id::<TicketId>(text, "ticket")?),
        None => None,
    };
    let project = input.project.as_deref().unwrap_or("default");
    let promoted = app.promote(&who.0, project, ticket.as_ref(), input.limit.unwrap_or(50)).await?;
    Ok(Json(json!({ "promoted": promoted })).into_response())
}
