//! Logging in and out, one's own session and password.

mod totp;

use super::{Operation, Permission};
use crate::client::client;
use crate::cookies::{self, CSRF_HEADER};
use crate::extract::{Input, Session, Who};
use crate::problem::{ApiResult, Problem};
use actifix_app::App;
use actifix_app::login::{Challenge, Login as End, Refused};
use axum::Json;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

type AppState = State<Arc<App>>;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/api/v1/auth/login", "log_in", "Begin a session", Permission::Open, log_in).body(&[
            ("username", "string?", "name of the account"),
            ("password", "string?", "its password"),
            ("code", "string?", "of the second factor, where the account has one"),
            ("challenge", "string?", "of a former answer, with `code`, instead of name and password"),
        ]),
        Operation::post("/api/v1/auth/logout", "log_out", "End the session", Permission::Anybody, log_out)
            .empty(),
        Operation::get(
            "/api/v1/auth/session",
            "get_session",
            "Who is logged in, and the token that unsafe requests name in X-CSRF-Token",
            Permission::Anybody,
            session,
        ),
        Operation::post(
            "/api/v1/auth/password",
            "set_own_password",
            "Set one's own password; ends all own sessions",
            Permission::Anybody,
            password,
        )
        .empty()
        .body(&[("current", "string!", "the present one"), ("password", "string!", "15 characters or more")]),
        Operation::get(
            "/api/v1/auth/totp",
            "get_totp",
            "Whether a login of one's own asks for a second factor",
            Permission::Anybody,
            totp::state,
        ),
        Operation::post(
            "/api/v1/auth/totp",
            "begin_totp",
            "Begin to use one-time passwords (RFC 6238: SHA-1, 6 digits, 30 s); confirm within 10 minutes",
            Permission::Anybody,
            totp::begin,
        )
        .body(&[("password", "string!", "one's own")])
        .created(),
        Operation::post(
            "/api/v1/auth/totp/confirm",
            "confirm_totp",
            "Prove that the secret arrived; ends all other own sessions. The recovery codes are shown once",
            Permission::Anybody,
            totp::confirm,
        )
        .body(&[("code", "string!", "of the authenticator app")]),
        Operation::post(
            "/api/v1/auth/totp/disable",
            "disable_totp",
            "Ask for no second factor any more",
            Permission::Anybody,
            totp::disable,
        )
        .empty()
        .body(&[("password", "string!", "one's own"), ("code", "string!", "of the app, or a recovery code")]),
        Operation::post(
            "/api/v1/auth/totp/recovery-codes",
            "renew_recovery_codes",
            "Make new recovery codes; the former are void",
            Permission::Anybody,
            totp::recovery_codes,
        )
        .body(&[("password", "string!", "one's own"), ("code", "string!", "of the app, or a recovery code")]),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    username: Option<String>,
    password: Option<String>,
    code: Option<String>,
    challenge: Option<String>,
}

/// Problem type of a login whose password was right, of an account with a second factor.
const CODE_NEEDED: &str = "urn:actifix:problem:second-factor";

async fn log_in(
    State(app): AppState,
    headers: HeaderMap,
    extensions: Extensions,
    Input(login): Input<Login>,
) -> ApiResult<Response> {
    let client = client(&extensions);
    if !cookies::is_same_origin(&headers) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "a page of another origin cannot log in here"));
    }
    let device = cookies::value(&headers, cookies::device_name(client.https));
    let end = match login {
        Login { username: Some(name), password: Some(password), code, challenge: None } => {
            app.log_in(&name, &password, code.as_deref(), device).await?
        }
        Login { username: None, password: None, code: Some(code), challenge: Some(challenge) } => {
            app.answer_challenge(&challenge, &code, device).await?
        }
        _ => {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "send username and password, with code where the account has a second factor; or challenge and code",
            ));
        }
    };
    let begun = match end {
        Ok(End::In(begun)) => begun,
        Ok(End::CodeNeeded(challenge)) => return Err(code_needed(&challenge)),
        Err(Refused) => return Err(Problem::login_refused()),
    };
    let mut response = Json(json!({
        "user": begun.user.name, "role": begun.user.role, "csrf_token": begun.csrf,
        "expires_at": begun.session.expires_at,
    }))
    .into_response();
    cookies::set_session(response.headers_mut(), begun.cookie.reveal(), client.https);
    cookies::set_device(response.headers_mut(), begun.device.reveal(), client.https);
    Ok(response)
}

/// Told to whoever gave the right password, and to nobody else.
fn code_needed(challenge: &Challenge) -> Problem {
    let detail = if challenge.wrong {
        "the code is wrong, or was used before: send the next one with the challenge"
    } else {
        "a code of the second factor is needed: send it with the challenge"
    };
    Problem {
        kind: Some(CODE_NEEDED),
        members: vec![
            ("challenge", json!(challenge.text.reveal())),
            ("expires_in_seconds", json!(challenge.expires_in_seconds)),
        ],
        ..Problem::new(StatusCode::UNAUTHORIZED, detail)
    }
}

async fn log_out(State(app): AppState, who: Who, extensions: Extensions) -> ApiResult<Response> {
    app.log_out(&who.0).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    cookies::clear_session(response.headers_mut(), client(&extensions).https);
    Ok(response)
}

async fn session(who: Who, extensions: Extensions) -> ApiResult<Response> {
    let Some(Session(live)) = extensions.get::<Session>() else {
        return Ok(Json(json!({ "actor": who.0.label(), "session": null })).into_response());
    };
    Ok(Json(json!({
        "actor": who.0.label(), "session": live.session, "csrf_token": live.csrf, "csrf_header": CSRF_HEADER.as_str(),
    }))
    .into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnPassword {
    current: String,
    password: String,
}

async fn password(State(app): AppState, who: Who, Input(input): Input<OwnPassword>) -> ApiResult<Response> {
    app.set_own_password(&who.0, &input.current, &input.password).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
