//! Signing in and out.

use super::assets::NAMES;
use super::forms::{Sent, device, is_https, own_path, read_fields, see};
use super::shell::{base, render};
use crate::cookies;
use crate::problem::Problem;
use actifix_app::App;
use actifix_app::login::Login;
use askama::Template;
use axum::extract::{Query, Request, State};
use axum::http::{Extensions, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "login.html")]
struct Page {
    base: String,
    css: String,
    icons: String,
    next: String,
    name: String,
    problem: String,
    /// Of a first half that succeeded: a code is asked for.
    challenge: String,
    /// No account exists yet: what to run.
    first: bool,
    /// There is a sign-in provider.
    provider: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Next {
    next: String,
}

/// The form.
pub async fn form(State(app): State<Arc<App>>, Query(query): Query<Next>) -> Response {
    let first = matches!(app.has_admin().await, Ok(false));
    render(&Page { first, ..page(&app, &query.next, "", "") })
}

fn page(app: &App, next: &str, name: &str, problem: &str) -> Page {
    let base = base(app);
    Page {
        css: format!("{base}/assets/{}", NAMES.css),
        icons: format!("{base}/assets/{}", NAMES.icons),
        base,
        next: own_path(next).unwrap_or_default().to_owned(),
        name: name.to_owned(),
        problem: problem.to_owned(),
        challenge: String::new(),
        first: false,
        provider: app.offers_sign_in(),
    }
}

/// Begins a session.
pub async fn submit(State(app): State<Arc<App>>, request: Request) -> Response {
    let https = is_https(request.extensions());
    let same_origin = cookies::is_same_origin(request.headers());
    let device = device(request.headers(), https);
    let fields = match read_fields(request).await {
        Ok(fields) => fields,
        Err(problem) => return problem.into_response(),
    };
    if !same_origin {
        let problem = Problem::new(StatusCode::FORBIDDEN, "a page of another origin cannot sign in here");
        return problem.into_response();
    }
    let (name, password) =
        (fields.get("username").unwrap_or_default(), fields.get("password").unwrap_or_default());
    let next = fields.get("next").and_then(own_path).unwrap_or("/");
    let device = device.as_deref();
    let end = match (fields.get("challenge"), fields.get("code")) {
        (Some(challenge), Some(code)) => app.answer_challenge(challenge, code, device).await,
        _ => app.log_in(name, password, None, device).await,
    };
    let begun = match end {
        Ok(Ok(Login::In(begun))) => begun,
        Ok(Ok(Login::CodeNeeded(challenge))) => {
            let wrong = "The code is wrong, or was used before. Wait for the next one.";
            let problem = if challenge.wrong { wrong } else { "" };
            let challenge = challenge.text.reveal().to_owned();
            return refused(&Page { challenge, ..page(&app, next, name, problem) });
        }
        Ok(Err(_)) => {
            let why = "Name or password is wrong, or the account cannot be used.";
            return refused(&page(&app, next, name, why));
        }
        Err(error) => return Problem::from(error).into_response(),
    };
    let mut response = see(&format!("{}{next}", base(&app)));
    cookies::set_session(response.headers_mut(), begun.cookie.reveal(), https);
    cookies::set_device(response.headers_mut(), begun.device.reveal(), https);
    response
}

/// The form once more.
fn refused(page: &Page) -> Response {
    let mut response = render(page);
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response
}

/// Ends the session.
pub async fn leave(State(app): State<Arc<App>>, extensions: Extensions, sent: Sent) -> Response {
    if let Err(error) = app.log_out(&sent.live.actor).await {
        return Problem::from(error).into_response();
    }
    let mut response = see(&format!("{}/login", base(&app)));
    cookies::clear_session(response.headers_mut(), is_https(&extensions));
    response
}
