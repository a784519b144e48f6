//! `/.well-known/security.txt`: open, since whoever found a hole has no account.

use actifix_app::App;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;

pub fn router(app: Arc<App>) -> Router {
    Router::new().route("/.well-known/security.txt", get(file)).with_state(app)
}

async fn file(State(app): State<Arc<App>>) -> Response {
    let settings = app.settings();
    match &settings.security_txt {
        Some(file) => {
            let text = file.render(app.now(), &settings.public_url);
            ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
