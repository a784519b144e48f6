//! Channels of alerts, their deliveries, and sources of signed requests. Addresses, tokens and secrets go in and are
//! not shown again.

use super::Operation;
use crate::extract::{Input, Who};
use crate::problem::ApiResult;
use actifix_app::App;
use actifix_app::alerts::{AddEndpoint, Rotated};
use actifix_app::hooks::AddHook;
use actifix_app::ports::{Cursor, DeliveryQuery};
use actifix_domain::access::Scope;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;

type AppState = State<Arc<App>>;

/// Hours for which a former secret signs beside the new one, unless asked otherwise.
const OVERLAP_HOURS: u32 = 24;

pub(super) fn operations() -> Vec<Operation> {
    let mut all = endpoint_operations();
    all.extend(delivery_operations());
    all.extend(inbound_operations());
    all
}

fn endpoint_operations() -> Vec<Operation> {
    let admin = Scope::Admin;
    vec![
        Operation::get(
            "/api/v1/webhooks",
            "list_webhooks",
            "Channels of alerts, without secrets",
            admin,
            list,
        ),
        Operation::post(
            "/api/v1/webhooks",
            "add_webhook",
            "Add a channel; its secret is shown once",
            admin,
            add,
        )
        .created()
        .body(&[
            ("name", "name!", "lower-case letters, digits, . _ -"),
            (
                "kind",
                "webhook|slack|discord|teams|ntfy|telegram|mail|github?",
                "its form; default by the address",
            ),
            ("url", "string?", "https address; of mail smtp://host:587 or smtps://host:465"),
            ("token", "string?", "token of ntfy, Telegram or GitHub, password of mail"),
            ("username", "string?", "name at the mail server"),
            ("target", "string?", "Telegram's chat id, GitHub's owner/repository"),
            ("from", "string?", "sender of mail"),
            ("to", "strings..20", "receivers of mail"),
            ("project", "string?", "only alerts of this project: its name or id"),
            ("production", "boolean?", "people are called out by it: tests must be confirmed; default true"),
            ("ed25519", "boolean", "kind webhook: sign with Ed25519 besides HMAC-SHA256"),
        ]),
        Operation::get("/api/v1/webhooks/{name}", "get_webhook", "One channel and how it does", admin, get),
        Operation::delete("/api/v1/webhooks/{name}", "remove_webhook", "Remove a channel", admin, remove)
            .empty(),
        Operation::post(
            "/api/v1/webhooks/{name}/test",
            "test_webhook",
            "Send a message that says it is a test",
            admin,
            test,
        )
        .body(&[("confirm", "boolean", "yes, although it is a channel of production")]),
        Operation::post("/api/v1/webhooks/{name}/enable", "enable_webhook", "Switch it on", admin, enable),
        Operation::post(
            "/api/v1/webhooks/{name}/disable",
            "disable_webhook",
            "Switch it off",
            admin,
            disable,
        ),
        Operation::post(
            "/api/v1/webhooks/{name}/rotate",
            "rotate_webhook",
            "Replace its signing secret; the new one is shown once",
            admin,
            rotate,
        )
        .body(&[(
            "overlap_hours",
            "0..168?",
            "hours for which the former one signs too, 0 to 168, default 24",
        )]),
    ]
}

fn delivery_operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/api/v1/deliveries",
            "list_deliveries",
            "The log of deliveries",
            Scope::Admin,
            deliveries,
        )
        .query(&[
            ("webhook", "name of a channel"),
            ("state", "pending, delivered or dead"),
            ("cursor", "`next_cursor` of the last answer"),
            ("limit", "1 to 200, default 50"),
        ]),
        Operation::post(
            "/api/v1/deliveries/{id}/redeliver",
            "redeliver",
            "Send an ended delivery again, with its id",
            Scope::Admin,
            redeliver,
        )
        .empty(),
    ]
}

fn inbound_operations() -> Vec<Operation> {
    let admin = Scope::Admin;
    vec![
        Operation::get("/api/v1/inbound", "list_inbound", "Sources of signed requests", admin, list_inbound),
        Operation::post(
            "/api/v1/inbound",
            "add_inbound",
            "Add a source; its secret is shown once",
            admin,
            add_inbound,
        )
        .created()
        .body(&[
            ("name", "name!", "requests come to /hooks/NAME"),
            ("kind", "github|standard!", "who signs: GitHub, or somebody by Standard Webhooks"),
            ("project", "string?", "the project whose tickets it may work on; default `default`"),
            ("target", "string?", "kind github: the one repository that is believed, owner/repository"),
            ("secret", "string?", "where the sender has one already; by default a new one is made"),
        ]),
        Operation::delete(
            "/api/v1/inbound/{name}",
            "remove_inbound",
            "Remove a source",
            admin,
            remove_inbound,
        )
        .empty(),
    ]
}

async fn list(State(app): AppState, who: Who) -> ApiResult<Response> {
    let items = app.endpoints(&who.0).await?;
    Ok(Json(json!({ "items": items, "next_cursor": null })).into_response())
}

async fn add(State(app): AppState, who: Who, Input(input): Input<AddEndpoint>) -> ApiResult<Response> {
    let made = app.add_endpoint(&who.0, input).await?;
    let view = app.endpoint(&who.0, &made.record.name).await?;
    let mut body = json!(view);
    if let (Some(members), Some(secrets)) = (body.as_object_mut(), &made.secrets) {
        members.extend(once(secrets));
    }
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// What is shown now and never again.
fn once(secrets: &Rotated) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("secret".into(), json!(secrets.secret.reveal()));
    members.insert("public_key".into(), json!(secrets.public_key));
    members.insert("former_ends_at".into(), json!(secrets.former_ends_at));
    members
}

async fn get(State(app): AppState, who: Who, Path(name): Path<String>) -> ApiResult<Response> {
    Ok(Json(json!(app.endpoint(&who.0, &name).await?)).into_response())
}

async fn remove(State(app): AppState, who: Who, Path(name): Path<String>) -> ApiResult<Response> {
    app.remove_endpoint(&who.0, &name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Test {
    confirm: bool,
}

async fn test(
    State(app): AppState,
    who: Who,
    Path(name): Path<String>,
    Input(input): Input<Test>,
) -> ApiResult<Response> {
    Ok(Json(json!(app.test_endpoint(&who.0, &name, input.confirm).await?)).into_response())
}

async fn enable(State(app): AppState, who: Who, Path(name): Path<String>) -> ApiResult<Response> {
    app.switch_endpoint(&who.0, &name, true).await?;
    get(State(app), who, Path(name)).await
}

async fn disable(State(app): AppState, who: Who, Path(name): Path<String>) -> ApiResult<Response> {
    app.switch_endpoint(&who.0, &name, false).await?;
    get(State(app), who, Path(name)).await
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Rotate {
    overlap_hours: Option<u32>,
}

async fn rotate(
    State(app): AppState,
    who: Who,
    Path(name): Path<String>,
    Input(input): Input<Rotate>,
) -> ApiResult<Response> {
    let hours = input.overlap_hours.unwrap_or(OVERLAP_HOURS);
    let rotated = app.rotate_endpoint(&who.0, &name, hours).await?;
    Ok(Json(Value::Object(once(&rotated))).into_response())
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Deliveries {
    webhook: Option<String>,
    state: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

async fn deliveries(State(app): AppState, who: Who, Query(query): Query<Deliveries>) -> ApiResult<Response> {
    let query = DeliveryQuery {
        endpoint: query.webhook,
        state: query.state,
        cursor: query.cursor.map(Cursor),
        limit: query.limit.unwrap_or(0),
    };
    Ok(Json(json!(app.deliveries(&who.0, query).await?)).into_response())
}

async fn redeliver(State(app): AppState, who: Who, Path(id): Path<String>) -> ApiResult<Response> {
    app.redeliver(&who.0, &id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn list_inbound(State(app): AppState, who: Who) -> ApiResult<Response> {
    let items = app.hooks(&who.0).await?;
    Ok(Json(json!({ "items": items, "next_cursor": null })).into_response())
}

async fn add_inbound(State(app): AppState, who: Who, Input(input): Input<AddHook>) -> ApiResult<Response> {
    let (record, secret) = app.add_hook(&who.0, input).await?;
    let mut body = json!(record);
    if let Some(members) = body.as_object_mut() {
        members.insert("secret".into(), json!(secret.reveal()));
        let url = format!("{}/hooks/{}", app.settings().public_url, record.name);
        members.insert("url".into(), json!(url));
    }
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

async fn remove_inbound(State(app): AppState, who: Who, Path(name): Path<String>) -> ApiResult<Response> {
    app.remove_hook(&who.0, &name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
