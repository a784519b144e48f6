//! Incident response, reviews, limits that were reached, facts for support.

use super::Operation;
use crate::extract::{Input, Who};
use crate::problem::{ApiResult, Problem};
use actifix_app::App;
use actifix_app::error::Error;
use actifix_app::incident::{Done, Kind};
use actifix_app::secrets::SecretText;
use actifix_domain::access::Scope;
use actifix_domain::review::Period;
use actifix_domain::time::Timestamp;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

type AppState = State<Arc<App>>;

pub(super) fn operations() -> Vec<Operation> {
    let mut all = incident_operations();
    all.extend(care_operations());
    all
}

fn incident_operations() -> Vec<Operation> {
    let admin = Scope::Admin;
    vec![
        Operation::get("/api/v1/incident", "get_incident", "Where incident response stands", admin, status),
        Operation::post(
            "/api/v1/incident/lockdown",
            "lock_down",
            "End every session and token; nobody logs in and no token is made until it is lifted on the server's machine",
            admin,
            lock_down,
        )
        .body(&[("stop_ingest", "boolean", "tell SDKs to wait as well")]),
        Operation::post(
            "/api/v1/incident/lift",
            "lift_lockdown",
            "End the lockdown; only on the server's machine",
            admin,
            lift,
        ),
        Operation::post(
            "/api/v1/incident/rotate",
            "rotate_credentials",
            "Replace what opens something; only on the server's machine",
            admin,
            rotate,
        )
        .body(&[("kinds", "strings!", "of tokens, sessions, jwt-keys, webhook-secrets, dsn-keys, root-key")]),
        Operation::post(
            "/api/v1/incident/leaked",
            "revoke_leaked",
            "Find what a leaked credential is, revoke it, list what it touched; only on the server's machine",
            admin,
            leaked,
        )
        .body(&[("credential", "string!", "the credential; never shown again")]),
        Operation::post(
            "/api/v1/incident/report",
            "make_incident_report",
            "A signed timeline from the audit log, with what is missing in it marked",
            admin,
            report,
        )
        .body(&[
            ("since", "string?", "RFC 3339; default 7 days ago"),
            ("until", "string?", "RFC 3339; default now"),
        ]),
    ]
}

fn care_operations() -> Vec<Operation> {
    let admin = Scope::Admin;
    vec![
        Operation::get("/api/v1/reviews", "list_reviews", "Reviews that were signed, latest first", admin, reviews)
            .query(&[("period", "weekly, monthly or quarterly")]),
        Operation::post(
            "/api/v1/reviews/{name}",
            "review",
            "Look at each line of the guide's weekly, monthly or quarterly list; with a name it is signed and kept",
            admin,
            review,
        )
        .body(&[("by", "string?", "who signs, 1 to 64 characters")]),
        Operation::get(
            "/api/v1/limits",
            "get_limits",
            "Who ran into limits most since the start, by hashed name, at most 50",
            Scope::MetricsRead,
            limits,
        ),
        Operation::get(
            "/api/v1/diagnostics",
            "get_diagnostics",
            "Counts, states and versions for whoever helps: no event, address, person or path",
            admin,
            diagnostics,
        ),
    ]
}

async fn status(State(app): AppState, who: Who) -> ApiResult<Response> {
    Ok(Json(app.incident(&who.0).await?).into_response())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LockInput {
    stop_ingest: bool,
}

async fn lock_down(State(app): AppState, who: Who, Input(input): Input<LockInput>) -> ApiResult<Response> {
    Ok(Json(told(app.lock_down(&who.0, input.stop_ingest).await?)).into_response())
}

async fn lift(State(app): AppState, who: Who) -> ApiResult<Response> {
    Ok(Json(app.lift_lockdown(&who.0).await?).into_response())
}

// Who may not is told so first, whatever they sent.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RotateInput {
    kinds: Vec<String>,
}

async fn rotate(State(app): AppState, who: Who, Input(input): Input<RotateInput>) -> ApiResult<Response> {
    let kinds: Result<Vec<Kind>, String> =
        input.kinds.iter().take(Kind::ALL.len() + 1).map(|kind| kind.parse()).collect();
    let kinds = kinds.map_err(|why| Error::invalid("kinds", why))?;
    Ok(Json(told(app.rotate_all(&who.0, &kinds).await?)).into_response())
}

fn told(done: Done) -> Value {
    let shown: Vec<Value> =
        done.shown.iter().map(|(name, secret)| json!({ "for": name, "secret": secret.reveal() })).collect();
    json!({ "state": done.state, "shown_once": shown })
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LeakedInput {
    credential: String,
}

async fn leaked(State(app): AppState, who: Who, Input(input): Input<LeakedInput>) -> ApiResult<Response> {
    let leaked = app.revoke_leaked(&who.0, &SecretText::new(input.credential)).await?;
    let mut answer = json!(leaked);
    if let (Some(members), Some(secret)) = (answer.as_object_mut(), &leaked.shown) {
        members.insert("shown_once".to_owned(), json!(secret.reveal()));
    }
    Ok(Json(answer).into_response())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ReportInput {
    since: Option<String>,
    until: Option<String>,
}

async fn report(State(app): AppState, who: Who, Input(input): Input<ReportInput>) -> ApiResult<Response> {
    let time = |text: Option<String>, field: &str| {
        text.map(|text| {
            Timestamp::parse(&text)
                .ok_or_else(|| Error::invalid(field, "RFC 3339, such as 2026-11-24T09:47:29Z"))
        })
        .transpose()
    };
    let (since, until) = (time(input.since, "since")?, time(input.until, "until")?);
    Ok(Json(app.incident_report(&who.0, since, until).await?).into_response())
}

#[derive(Debug, Deserialize)]
struct ReviewsQuery {
    period: Option<String>,
}

async fn reviews(State(app): AppState, who: Who, Query(query): Query<ReviewsQuery>) -> ApiResult<Response> {
    let period = query.period.map(|text| text.parse::<Period>()).transpose();
    let period = period.map_err(|why| Error::invalid("period", why))?;
    let items = app.reviews(&who.0, period).await?;
    Ok(Json(json!({ "items": items, "next_cursor": null })).into_response())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ReviewInput {
    by: Option<String>,
}

async fn review(
    State(app): AppState,
    who: Who,
    Path(period): Path<String>,
    Input(input): Input<ReviewInput>,
) -> ApiResult<Response> {
    let period: Period = period.parse().map_err(|_| {
        Problem::new(StatusCode::NOT_FOUND, "review not found: there are weekly, monthly and quarterly ones")
    })?;
    Ok(Json(app.review(&who.0, period, input.by.as_deref()).await?).into_response())
}

async fn limits(State(app): AppState, who: Who) -> ApiResult<Response> {
    Ok(Json(json!({ "busiest": app.busiest(&who.0)? })).into_response())
}

async fn diagnostics(State(app): AppState, who: Who) -> ApiResult<Response> {
    Ok(Json(app.diagnostics(&who.0).await?).into_response())
}
