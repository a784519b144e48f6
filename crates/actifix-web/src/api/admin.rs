//! Projects, keys, tokens.

use super::{Operation, path_id, present, tagged};
use crate::extract::{Input, Who, if_match};
use crate::problem::{ApiResult, Problem};
use actifix_app::App;
use actifix_app::projects::KeyChange;
use actifix_app::tokens::NewToken;
use actifix_domain::access::{Role, Scope};
use actifix_domain::id::{ProjectId, PublicKey};
use actifix_domain::project::{KeyKind, ProjectKey};
use actifix_domain::time::DAY;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

type AppState = State<Arc<App>>;

const KEY: &[(&str, &str, &str)] = &[
    ("enabled", "boolean?", "disabled keys answer like unknown ones"),
    ("kind", "browser|server?", "browser (anyone may hold it, at most P1) or server (trusted with P0)"),
    ("rate_per_minute", "0..4294967295?", "events per minute, null = default"),
    ("allowed_origins", "strings?", "exact origins, *.host suffixes, or any; empty accepts all"),
    ("label", "string?", "name for people"),
];

pub(super) fn operations() -> Vec<Operation> {
    let mut all = project_operations();
    all.extend(key_and_token_operations());
    all
}

fn project_operations() -> Vec<Operation> {
    let read = Scope::TicketsRead;
    let admin = Scope::Admin;
    vec![
        Operation::get("/api/v1/projects", "list_projects", "Projects", read, projects),
        Operation::post(
            "/api/v1/projects",
            "create_project",
            "Make a project with one key",
            admin,
            create_project,
        )
        .body(&[
            ("name", "string!", "letters, digits, - _ ."),
            ("id", "1..?", "decimal id, default: next free"),
        ])
        .created(),
        Operation::get(
            "/api/v1/projects/{project}",
            "get_project",
            "One project by name or id",
            read,
            project,
        ),
        Operation::patch(
            "/api/v1/projects/{project}",
            "change_project",
            "Change settings",
            admin,
            change_project,
        )
        .versioned()
        .body(&[("settings", "object!", "settings to change; others stay")]),
        Operation::get(
            "/api/v1/projects/{project}/dsn",
            "get_dsn",
            "DSN of the first enabled key",
            read,
            dsn,
        ),
        Operation::get(
            "/api/v1/projects/{project}/monitors",
            "list_monitors",
            "Cron monitors",
            read,
            monitors,
        ),
        Operation::get(
            "/api/v1/projects/{project}/outcomes",
            "list_outcomes",
            "Items by fate, SDK discards too",
            read,
            outcomes,
        )
        .query(&[("hours", "how far back, 1 to 2,160, default 24")]),
    ]
}

fn key_and_token_operations() -> Vec<Operation> {
    let read = Scope::TicketsRead;
    let admin = Scope::Admin;
    vec![
        Operation::get(
            "/api/v1/projects/{project}/keys",
            "list_keys",
            "Ingest keys with their DSNs",
            read,
            keys,
        ),
        Operation::post(
            "/api/v1/projects/{project}/keys",
            "create_key",
            "Make a key, or take one over",
            admin,
            create_key,
        )
        .body(&[
            ("label", "string?", "name for people"),
            ("import", "string?", "public key of another tracker's DSN"),
        ])
        .created(),
        Operation::patch(
            "/api/v1/projects/{project}/keys/{key}",
            "change_key",
            "Change a key",
            admin,
            change_key,
        )
        .versioned()
        .body(KEY),
        Operation::post(
            "/api/v1/projects/{project}/keys/{key}/rotate",
            "rotate_key",
            "Replace a key, disable the old one",
            admin,
            rotate_key,
        )
        .versioned()
        .created(),
        Operation::get("/api/v1/tokens", "list_tokens", "API tokens, without their texts", admin, tokens),
        Operation::post(
            "/api/v1/tokens",
            "create_token",
            "Make a token, as a person with a session; its text is in this answer only",
            admin,
            create_token,
        )
        .body(&[
            ("name", "string!", "1 to 64 characters"),
            ("role", "viewer|operator|agent|admin?", "a set of scopes"),
            ("scopes", "scopes?", "instead of a role"),
            ("project", "string?", "bind it to one project"),
            ("days", "1..90?", "1 to 90, default 90"),
            ("password", "string?", "yours, where you gave it more than 10 minutes ago"),
        ])
        .created(),
        Operation::post(
            "/api/v1/tokens/{id}/rotate",
            "rotate_token",
            "Replace a token, as a person with a session; its text is in this answer only",
            admin,
            rotate_token,
        )
        .body(&[
            ("overlap_hours", "0..168?", "the old one stays good so long, 0 to 168, default 24"),
            ("password", "string?", "yours, where you gave it more than 10 minutes ago"),
        ])
        .created(),
        Operation::post(
            "/api/v1/tokens/{id}/revoke",
            "revoke_token",
            "Revoke a token at once; `all` revokes all",
            admin,
            revoke_token,
        ),
    ]
}

async fn projects(State(app): AppState, who: Who) -> ApiResult<Response> {
    let items = app.projects(&who.0).await?;
    Ok(Json(json!({ "items": items, "next_cursor": null })).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateProject {
    name: String,
    id: Option<i64>,
}

async fn create_project(
    State(app): AppState,
    who: Who,
    Input(input): Input<CreateProject>,
) -> ApiResult<Response> {
    let (project, key) = app.create_project(&who.0, input.id.map(ProjectId), &input.name).await?;
    let mut body = json!(project);
    if let Some(map) = body.as_object_mut() {
        map.insert("dsn".into(), json!(app.dsn_of(&key)?));
    }
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

async fn project(State(app): AppState, who: Who, Path(name): Path<String>) -> ApiResult<Response> {
    let project = app.project(&who.0, &name).await?;
    Ok(tagged(project.version, json!(project)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeProject {
    settings: serde_json::Map<String, Value>,
}

async fn change_project(
    State(app): AppState,
    who: Who,
    Path(name): Path<String>,
    headers: HeaderMap,
    Input(input): Input<ChangeProject>,
) -> ApiResult<Response> {
    let version = if_match(&headers)?;
    let project = app.change_project_settings(&who.0, &name, &input.settings, version).await?;
    Ok(tagged(project.version, json!(project)))
}

async fn dsn(State(app): AppState, who: Who, Path(name): Path<String>) -> ApiResult<Response> {
    Ok(Json(json!({ "dsn": app.dsn(&who.0, &name).await? })).into_response())
}

async fn monitors(State(app): AppState, who: Who, Path(name): Path<String>) -> ApiResult<Response> {
    let items = app.monitors(&who.0, &name).await?;
    Ok(Json(json!({ "items": items, "next_cursor": null })).into_response())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OutcomesQuery {
    hours: Option<u32>,
}

async fn outcomes(
    State(app): AppState,
    who: Who,
    Path(name): Path<String>,
    Query(query): Query<OutcomesQuery>,
) -> ApiResult<Response> {
    let hours = query.hours.unwrap_or(24);
    if !(1..=2_160).contains(&hours) {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "hours: 1 to 2,160"));
    }
    let from = app.now().plus(-i64::from(hours) * (DAY / 24));
    let items = app.outcomes(&who.0, &name, from).await?;
    Ok(Json(json!({ "items": items, "next_cursor": null })).into_response())
}

async fn keys(State(app): AppState, who: Who, Path(name): Path<String>) -> ApiResult<Response> {
    let mut items = Vec::new();
    for record in app.keys(&who.0, &name).await? {
        let mut item = key_json(&app, &record.key)?;
        if let Some(map) = item.as_object_mut() {
            map.insert("unlisted_origins".into(), json!(record.unlisted_origins));
        }
        items.push(item);
    }
    Ok(Json(json!({ "items": items, "next_cursor": null })).into_response())
}

fn key_json(app: &App, key: &ProjectKey) -> ApiResult<Value> {
    let mut body = json!(key);
    if let Some(map) = body.as_object_mut() {
        map.insert("dsn".into(), json!(app.dsn_of(key)?));
    }
    Ok(body)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateKey {
    label: Option<String>,
    import: Option<String>,
}

async fn create_key(
    State(app): AppState,
    who: Who,
    Path(name): Path<String>,
    Input(input): Input<CreateKey>,
) -> ApiResult<Response> {
    let import =
        match input.import {
            Some(text) => Some(text.parse::<PublicKey>().map_err(|error| {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("import: {error}"))
            })?),
            None => None,
        };
    let key = app.create_key(&who.0, &name, input.label.as_deref().unwrap_or_default(), import).await?;
    Ok((StatusCode::CREATED, Json(key_json(&app, &key)?)).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeKey {
    enabled: Option<bool>,
    kind: Option<KeyKind>,
    #[serde(default, deserialize_with = "present")]
    rate_per_minute: Option<Option<u32>>,
    allowed_origins: Option<Vec<String>>,
    label: Option<String>,
}

async fn change_key(
    State(app): AppState,
    who: Who,
    Path((name, key)): Path<(String, String)>,
    headers: HeaderMap,
    Input(input): Input<ChangeKey>,
) -> ApiResult<Response> {
    let change = KeyChange {
        enabled: input.enabled,
        kind: input.kind,
        rate_per_minute: input.rate_per_minute,
        allowed_origins: input.allowed_origins,
        label: input.label,
    };
    let version = if_match(&headers)?;
    let key = app.change_key(&who.0, &name, &path_id(&key, "key")?, change, version).await?;
    Ok(tagged(key.version, key_json(&app, &key)?))
}

async fn rotate_key(
    State(app): AppState,
    who: Who,
    Path((name, key)): Path<(String, String)>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let key = app.rotate_key(&who.0, &name, &path_id(&key, "key")?, if_match(&headers)?).await?;
    Ok((StatusCode::CREATED, Json(key_json(&app, &key)?)).into_response())
}

async fn tokens(State(app): AppState, who: Who) -> ApiResult<Response> {
    let items = app.tokens(&who.0).await?;
    Ok(Json(json!({ "items": items, "next_cursor": null })).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateToken {
    name: String,
    role: Option<Role>,
    scopes: Option<BTreeSet<Scope>>,
    project: Option<String>,
    days: Option<u32>,
    password: Option<String>,
}

async fn create_token(
    State(app): AppState,
    who: Who,
    Input(input): Input<CreateToken>,
) -> ApiResult<Response> {
    let actor = app.reconfirmed(&who.0, input.password.as_deref()).await?;
    let scopes = match (input.role, input.scopes) {
        (Some(role), None) => role.scopes(),
        (None, Some(scopes)) => scopes,
        _ => return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "give either role or scopes")),
    };
    let project = match &input.project {
        Some(name) => Some(app.project(&actor, name).await?.id),
        None => None,
    };
    let new = NewToken { name: input.name, scopes, project, days: input.days.unwrap_or(90) };
    let (record, text) = app.create_token(&actor, new).await?;
    let mut body = json!(record);
    if let Some(map) = body.as_object_mut() {
        map.insert("token".into(), json!(text.reveal()));
    }
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RotateToken {
    overlap_hours: Option<u32>,
    password: Option<String>,
}

async fn rotate_token(
    State(app): AppState,
    who: Who,
    Path(id): Path<String>,
    Input(input): Input<RotateToken>,
) -> ApiResult<Response> {
    let actor = app.reconfirmed(&who.0, input.password.as_deref()).await?;
    let (record, text) = app.rotate_token(&actor, &id, input.overlap_hours.unwrap_or(24)).await?;
    let mut body = json!(record);
    if let Some(map) = body.as_object_mut() {
        map.insert("token".into(), json!(text.reveal()));
    }
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

async fn revoke_token(State(app): AppState, who: Who, Path(id): Path<String>) -> ApiResult<Response> {
    let only = (id != "all").then_some(id.as_str());
    let revoked = app.revoke_tokens(&who.0, only).await?;
    Ok(Json(json!({ "revoked": revoked })).into_response())
}
