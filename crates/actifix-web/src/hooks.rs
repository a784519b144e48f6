//! `/hooks/{name}`: requests whose signature is their credential.

use crate::client::client;
use crate::extract::{ReadTime, read_body};
use crate::limits;
use crate::problem::Problem;
use actifix_app::App;
use actifix_app::audit::from_address;
use actifix_app::hooks::{HookHeaders, HookRefusal};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::json;
use std::sync::Arc;

/// The one route.
pub fn router(app: Arc<App>) -> Router {
    Router::new().route("/hooks/{name}", post(receive)).with_state(app)
}

async fn receive(State(app): State<Arc<App>>, Path(name): Path<String>, request: Request) -> Response {
    let address = client(request.extensions()).address;
    let (parts, body) = request.into_parts();
    let body = match read_body(body, ReadTime::of(&parts.extensions)).await {
        Ok(body) => body,
        Err(problem) => return problem.into_response(),
    };
    let headers = headers(&parts.headers);
    match from_address(address, app.receive_hook(&name, address, &headers, &body)).await {
        Ok(outcome) => Json(json!(outcome)).into_response(),
        Err(HookRefusal::Limited(decision)) => limits::refused(&decision),
        Err(HookRefusal::Unsigned) => {
            Problem::new(StatusCode::UNAUTHORIZED, "a signature of this source, made just now, is required")
                .into_response()
        }
        Err(HookRefusal::Failed(error)) => Problem::from(error).into_response(),
    }
}

/// Fields that are given once; one that is given twice counts as none.
fn headers(map: &HeaderMap) -> HookHeaders<'_> {
    let one = |name: &str| {
        let mut values = map.get_all(name).iter();
        let first = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(first)
    };
    HookHeaders {
        id: one("webhook-id"),
        timestamp: one("webhook-timestamp"),
        signature: one("webhook-signature"),
        github_event: one("x-github-event"),
        github_delivery: one("x-github-delivery"),
        github_signature: one("x-hub-signature-256"),
    }
}
