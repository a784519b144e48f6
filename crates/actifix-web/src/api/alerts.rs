//! Rules of alerts, and mutes of tickets.

use super::{Operation, path_id};
use crate::extract::{Input, Who};
use crate::problem::ApiResult;
use actifix_app::App;
use actifix_domain::access::Scope;
use actifix_domain::alert::{AlertRule, Mute};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::sync::Arc;

type AppState = State<Arc<App>>;

const RULE: &[(&str, &str, &str)] = &[
    ("name", "string!", "lower-case letters, digits, . _ -; one of the same name is replaced"),
    ("project", "integer", "only this project"),
    ("enabled", "boolean", "default true"),
    (
        "triggers",
        "strings!",
        "new, regressed, raised, rate, spike, users, brake, finding, resolved, doctor, expiry, backup",
    ),
    ("rate", "object", "for the trigger rate: `{\"count\": 100, \"minutes\": 10}`"),
    ("users", "integer", "for the trigger users: how many"),
    (
        "when",
        "object",
        "conditions: priority_min, level_min, environment, release and source (lists of globs), tags (name: glob)",
    ),
    ("endpoints", "strings", "names of channels; default all"),
    ("cooldown_minutes", "integer", "the same is not said again within, 0 to 10080, default 60"),
    ("burst", "integer", "messages within digest_minutes, 1 to 100, default 10; the rest goes into a digest"),
    ("digest_minutes", "integer", "1 to 1440, default 10"),
    ("quiet", "object", "`{\"hours\": \"22:00-07:00 Europe/Berlin\", \"except\": \"P0\"}`"),
];

pub(super) fn operations() -> Vec<Operation> {
    let (admin, triage) = (Scope::Admin, Scope::TicketsTriage);
    vec![
        Operation::get(
            "/api/v1/alert-rules",
            "list_alert_rules",
            "Rules that hold; the defaults where there are no others",
            admin,
            list,
        ),
        Operation::post("/api/v1/alert-rules", "save_alert_rule", "Add or replace a rule", admin, save)
            .body(RULE),
        Operation::post(
            "/api/v1/alert-rules/dry-run",
            "dry_run_alert_rule",
            "What a rule would have said in the last seven days",
            admin,
            dry_run,
        )
        .body(RULE),
        Operation::delete("/api/v1/alert-rules/{name}", "remove_alert_rule", "Remove a rule", admin, remove)
            .empty(),
        Operation::post(
            "/api/v1/tickets/{id}/mute",
            "mute_ticket",
            "Say nothing about it until one of these comes true; without any for good",
            triage,
            mute,
        )
        .body(&[
            ("until", "string", "time (RFC 3339)"),
            ("until_count", "integer", "it has so many events"),
            ("until_regression", "boolean", "it comes back after being resolved"),
        ]),
        Operation::post(
            "/api/v1/tickets/{id}/unmute",
            "unmute_ticket",
            "Say again what the rules say",
            triage,
            unmute,
        ),
    ]
}

async fn list(State(app): AppState, who: Who) -> ApiResult<Response> {
    let items = app.rules(&who.0).await?;
    Ok(Json(json!({ "items": items, "next_cursor": null })).into_response())
}

async fn save(State(app): AppState, who: Who, Input(rule): Input<AlertRule>) -> ApiResult<Response> {
    Ok(Json(json!(app.save_rule(&who.0, rule).await?)).into_response())
}

async fn dry_run(State(app): AppState, who: Who, Input(rule): Input<AlertRule>) -> ApiResult<Response> {
    Ok(Json(json!(app.dry_run_rule(&who.0, rule).await?)).into_response())
}

async fn remove(State(app): AppState, who: Who, Path(name): Path<String>) -> ApiResult<Response> {
    app.remove_rule(&who.0, &name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn mute(
    State(app): AppState,
    who: Who,
    Path(id): Path<String>,
    Input(mute): Input<Mute>,
) -> ApiResult<Response> {
    let mute = app.mute_ticket(&who.0, &path_id(&id, "ticket")?, Some(mute)).await?;
    Ok(Json(json!({ "mute": mute })).into_response())
}

async fn unmute(State(app): AppState, who: Who, Path(id): Path<String>) -> ApiResult<Response> {
    let mute = app.mute_ticket(&who.0, &path_id(&id, "ticket")?, None).await?;
    Ok(Json(json!({ "mute": mute })).into_response())
}
