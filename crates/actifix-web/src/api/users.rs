//! People and their sessions.

use super::{Operation, Permission};
use crate::extract::{Input, Who};
use crate::problem::ApiResult;
use actifix_app::App;
use actifix_app::accounts::UserChange;
use actifix_domain::access::{Role, Scope};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

type AppState = State<Arc<App>>;

pub(super) fn operations() -> Vec<Operation> {
    let admin = Scope::Admin;
    vec![
        Operation::get("/api/v1/users", "list_users", "Accounts", admin, users),
        Operation::post("/api/v1/users", "create_user", "Make an account", admin, create)
            .body(&[
                ("name", "string!", "letters, digits, . _ -"),
                ("role", "viewer|operator|admin!", "what they may do"),
                ("password", "string!", "15 characters or more"),
                ("your_password", "string?", "yours, where you gave it more than 10 minutes ago"),
            ])
            .created(),
        Operation::patch(
            "/api/v1/users/{name}",
            "change_user",
            "Change role or state; ends sessions where rights are lost",
            admin,
            change,
        )
        .body(&[
            ("role", "viewer|operator|admin?", "what they may do"),
            ("disabled", "boolean?", "closed accounts cannot log in"),
            ("unlock", "boolean", "forget failed logins"),
            ("your_password", "string?", "yours, where you gave it more than 10 minutes ago"),
        ]),
        Operation::post(
            "/api/v1/users/{name}/password",
            "set_password",
            "Set somebody's password; ends their sessions. Makes the account `admin` where there is none",
            admin,
            password,
        )
        .body(&[
            ("password", "string!", "15 characters or more"),
            ("your_password", "string?", "yours, where you gave it more than 10 minutes ago"),
        ]),
        Operation::post(
            "/api/v1/users/{name}/totp/reset",
            "reset_totp",
            "End the use of somebody's second factor, who lost it; ends their sessions",
            admin,
            reset_totp,
        )
        .empty()
        .body(&[("your_password", "string?", "yours, where you gave it more than 10 minutes ago")]),
        Operation::get(
            "/api/v1/sessions",
            "list_sessions",
            "One's own sessions",
            Permission::Anybody,
            sessions,
        )
        .query(&[("all", "true: of everybody, for administrators")]),
        Operation::delete(
            "/api/v1/sessions/{id}",
            "kill_session",
            "End a session, one's own or, as administrator, any; `all` ends all",
            Permission::Anybody,
            kill,
        )
        .empty(),
    ]
}

async fn users(State(app): AppState, who: Who) -> ApiResult<Response> {
    let items = app.users(&who.0).await?;
    Ok(Json(json!({ "items": items, "next_cursor": null })).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateUser {
    name: String,
    role: Role,
    password: String,
    your_password: Option<String>,
}

async fn create(State(app): AppState, who: Who, Input(input): Input<CreateUser>) -> ApiResult<Response> {
    let actor = app.reconfirmed(&who.0, input.your_password.as_deref()).await?;
    let user = app.create_user(&actor, &input.name, input.role, &input.password).await?;
    Ok((StatusCode::CREATED, Json(user)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeUser {
    role: Option<Role>,
    disabled: Option<bool>,
    #[serde(default)]
    unlock: bool,
    your_password: Option<String>,
}

async fn change(
    State(app): AppState,
    who: Who,
    Path(name): Path<String>,
    Input(input): Input<ChangeUser>,
) -> ApiResult<Response> {
    let actor = app.reconfirmed(&who.0, input.your_password.as_deref()).await?;
    let change = UserChange { role: input.role, disabled: input.disabled, unlock: input.unlock };
    Ok(Json(app.change_user(&actor, &name, change).await?).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetPassword {
    password: String,
    your_password: Option<String>,
}

async fn password(
    State(app): AppState,
    who: Who,
    Path(name): Path<String>,
    Input(input): Input<SetPassword>,
) -> ApiResult<Response> {
    let actor = app.reconfirmed(&who.0, input.your_password.as_deref()).await?;
    let user = if name == actifix_app::accounts::ADMIN {
        app.set_admin_password(&actor, &input.password).await?
    } else {
        app.set_password(&actor, &name, &input.password).await?
    };
    Ok(Json(user).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResetTotp {
    your_password: Option<String>,
}

async fn reset_totp(
    State(app): AppState,
    who: Who,
    Path(name): Path<String>,
    Input(input): Input<ResetTotp>,
) -> ApiResult<Response> {
    let actor = app.reconfirmed(&who.0, input.your_password.as_deref()).await?;
    app.reset_factor(&actor, &name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SessionsQuery {
    all: bool,
}

async fn sessions(State(app): AppState, who: Who, Query(query): Query<SessionsQuery>) -> ApiResult<Response> {
    let items = app.sessions(&who.0, query.all).await?;
    Ok(Json(json!({ "items": items, "next_cursor": null })).into_response())
}

async fn kill(State(app): AppState, who: Who, Path(id): Path<String>) -> ApiResult<Response> {
    if id == "all" {
        app.kill_all_sessions(&who.0).await?;
    } else {
        app.kill_session(&who.0, &id).await?;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}
