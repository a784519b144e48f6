//! The credential store and the root key. Values are write-only over the network.

use super::Operation;
use crate::extract::{Input, Who};
use crate::problem::{ApiResult, Problem};
use actifix_app::App;
use actifix_app::ports::Rotation;
use actifix_app::secrets::{SecretName, SecretText};
use actifix_domain::access::Scope;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

type AppState = State<Arc<App>>;

pub(super) fn operations() -> Vec<Operation> {
    let admin = Scope::Admin;
    vec![
        Operation::get("/api/v1/secrets", "list_secrets", "Stored secrets, without values", admin, list),
        Operation::post("/api/v1/secrets", "set_secret", "Store a value, or replace it", admin, set).body(&[
            ("name", "string!", "lower-case letters, digits, . _ -"),
            ("value", "string!", "text, at most 64 KiB; no answer ever holds it"),
        ]),
        Operation::get("/api/v1/secrets/{name}", "get_secret", "One secret, without its value", admin, get),
        Operation::delete("/api/v1/secrets/{name}", "remove_secret", "Remove a secret", admin, remove)
            .empty(),
        Operation::post(
            "/api/v1/secrets/{name}/reveal",
            "reveal_secret",
            "Its value, through the home's own socket only",
            admin,
            reveal,
        )
        .body(&[(
            "password",
            "string",
            "of the administrator `admin`, once an administrator has one",
        )]),
        Operation::get("/api/v1/vault", "get_vault", "Where the root key comes from", admin, status),
        Operation::post(
            "/api/v1/vault/rotate",
            "rotate_vault",
            "A new root key, through the home's own socket only",
            admin,
            rotate,
        )
        .body(&[
            (
                "backend",
                "file|keyring|systemd|passphrase|environment?",
                "file, keyring, systemd, passphrase or environment; default the present one",
            ),
            ("key_file", "string?", "absolute path of the key file"),
            ("material", "string?", "the new key or passphrase, where the backend cannot be written to"),
        ]),
    ]
}

async fn list(State(app): AppState, who: Who) -> ApiResult<Response> {
    let items = app.secrets(&who.0).await?;
    Ok(Json(json!({ "items": items, "next_cursor": null })).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetSecret {
    name: String,
    value: String,
}

async fn set(State(app): AppState, who: Who, Input(input): Input<SetSecret>) -> ApiResult<Response> {
    let value = SecretText::new(input.value);
    let name: SecretName = input.name.parse().map_err(Problem::from)?;
    Ok(Json(json!(app.set_secret(&who.0, &name, &value).await?)).into_response())
}

async fn get(State(app): AppState, who: Who, Path(name): Path<String>) -> ApiResult<Response> {
    Ok(Json(json!(app.secret(&who.0, &named(&name)?).await?)).into_response())
}

async fn remove(State(app): AppState, who: Who, Path(name): Path<String>) -> ApiResult<Response> {
    app.remove_secret(&who.0, &named(&name)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reveal {
    password: Option<String>,
}

async fn reveal(
    State(app): AppState,
    who: Who,
    Path(name): Path<String>,
    Input(input): Input<Reveal>,
) -> ApiResult<Response> {
    let value = app.show_secret(&who.0, &named(&name)?, input.password.as_deref()).await?;
    Ok(Json(json!({ "name": name, "value": value.reveal() })).into_response())
}

async fn status(State(app): AppState, who: Who) -> ApiResult<Response> {
    Ok(Json(json!(app.vault_status(&who.0).await?)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotate {
    backend: Option<String>,
    key_file: Option<PathBuf>,
    material: Option<String>,
}

async fn rotate(State(app): AppState, who: Who, Input(input): Input<Rotate>) -> ApiResult<Response> {
    let rotation = Rotation {
        backend: input.backend,
        key_file: input.key_file,
        material: input.material.map(SecretText::new),
    };
    Ok(Json(json!(app.rotate_root_key(&who.0, rotation).await?)).into_response())
}

/// A name of the path that cannot be one names nothing.
fn named(name: &str) -> Result<SecretName, Problem> {
    super::path_id(name, "secret")
}
