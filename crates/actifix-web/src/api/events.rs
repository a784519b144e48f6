//! Events: record one, read one.

use super::{Operation, path_id};
use crate::extract::{Input, Who};
use crate::problem::ApiResult;
use actifix_app::App;
use actifix_app::ingest::OwnEvent;
use actifix_domain::access::Scope;
use actifix_domain::id::EventId;
use actifix_domain::outcome::Outcome;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

type AppState = State<Arc<App>>;

/// An id is its sender's: two projects can have the same one.
const PROJECT: &[(&str, &str)] = &[("project", "name or id, where ids of several projects collide")];

const RECORD: &[(&str, &str, &str)] = &[
    ("message", "string!", "what went wrong"),
    ("type", "string?", "class of the error"),
    ("source", "string?", "FILE:LINE"),
    ("level", "debug|info|warning|error|fatal?", "default error"),
    ("priority", "priority?", "P0 to P4"),
    ("stacktrace", "string?", "text in the language's own form"),
    ("tags", "object", "short keys and values"),
    ("extra", "object", "anything"),
    ("release", "string?", "version of the program"),
    ("environment", "string?", "where it ran"),
    ("user", "object?", "id, email, username"),
    ("fingerprint", "strings", "grouping key of your own"),
    ("project", "string?", "name or id, default `default`"),
    ("event_id", "hex?", "identity: a repeat changes nothing"),
    ("event", "object?", "a whole event in the Sentry form, instead of the members above"),
];

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/api/v1/events", "record_event", "Record an error", Scope::EventsWrite, record)
            .body(RECORD)
            .created_or_known(),
        Operation::get(
            "/api/v1/events/{id}",
            "get_event",
            "One event with its body",
            Scope::TicketsRead,
            show,
        )
        .query(PROJECT),
        Operation::get(
            "/api/v1/events/{id}/attachments",
            "list_attachments",
            "Names and sizes",
            Scope::TicketsRead,
            attachments,
        )
        .query(PROJECT),
        Operation::get(
            "/api/v1/events/{id}/attachments/{number}",
            "get_attachment",
            "Content, redacted",
            Scope::TicketsRead,
            attachment,
        )
        .query(PROJECT),
    ]
}

async fn record(State(app): AppState, who: Who, Input(input): Input<OwnEvent>) -> ApiResult<Response> {
    let recorded = app.record(&who.0, input).await?;
    let status = if recorded.outcome == Outcome::Duplicate { StatusCode::OK } else { StatusCode::CREATED };
    let held = recorded.ticket_id.as_ref().filter(|_| recorded.outcome == Outcome::Held);
    let because = match held {
        Some(ticket) => app.held_because(&who.0, ticket).await?,
        None => None,
    };
    let mut body = json!(recorded);
    if let (Outcome::Held, Some(map)) = (recorded.outcome, body.as_object_mut()) {
        map.insert("held_because".into(), json!(because));
    }
    Ok((status, Json(body)).into_response())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct EventQuery {
    project: Option<String>,
}

async fn show(
    State(app): AppState,
    who: Who,
    Path(id): Path<String>,
    Query(query): Query<EventQuery>,
) -> ApiResult<Response> {
    let id: EventId = path_id(&id, "event")?;
    let event = app.event(&who.0, query.project.as_deref(), id).await?;
    let mut body: Value = serde_json::from_slice(&event.body).map_err(actifix_app::error::Error::internal)?;
    if let Some(map) = body.as_object_mut() {
        map.insert("project".into(), json!(event.project));
        map.insert("ticket_id".into(), json!(event.ticket_id));
        map.insert("received_at".into(), json!(event.received_at));
        map.insert("outcome".into(), json!(event.outcome));
        map.insert("provenance".into(), json!(event.provenance));
        let redactions: Vec<Value> =
            event.redactions.iter().map(|(rule, path)| json!({ "rule": rule, "path": path })).collect();
        map.insert("redactions".into(), json!(redactions));
    }
    Ok(Json(body).into_response())
}

async fn attachments(
    State(app): AppState,
    who: Who,
    Path(id): Path<String>,
    Query(query): Query<EventQuery>,
) -> ApiResult<Response> {
    let items = app.attachments(&who.0, query.project.as_deref(), path_id(&id, "event")?).await?;
    Ok(Json(json!({ "items": items, "next_cursor": null })).into_response())
}

async fn attachment(
    State(app): AppState,
    who: Who,
    Path((id, number)): Path<(String, String)>,
    Query(query): Query<EventQuery>,
) -> ApiResult<Response> {
    let (id, number) = (path_id(&id, "event")?, path_id(&number, "attachment")?);
    let attachment = app.attachment(&who.0, query.project.as_deref(), id, number).await?;
    let Some(bytes) = attachment.bytes else {
        return Err(actifix_app::error::Error::NotFound { what: "content of the attachment" }.into());
    };
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    // Never a type that a browser would render: the content is a stranger's.
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    Ok(response)
}
