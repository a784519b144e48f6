//! What `sentry-cli` asks during a build: a subset of Sentry's web API, below `/api/0/`.
//!
//! The wire is another product's: paths, members and errors (`{"detail": …}`) are as that tool reads them, so these
//! operations are a table of their own and not part of our OpenAPI document. Permission is judged as for any other
//! operation. Its organization is whatever the tool was told: one installation is one organization.

mod bundles;
mod info;
mod releases;

use crate::api::{Operation, Permission, mount};
use crate::problem::Problem;
use actifix_app::App;
use actifix_app::error::Error;
use actifix_domain::access::{Actor, Scope};
use actifix_domain::project::Project;
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use serde_json::json;
use std::sync::Arc;

/// How every path of this API begins. SDKs never post below it: no project has the number 0.
pub const PREFIX: &str = "/api/0/";

/// Every operation of this API. All that write need [`Scope::ReleasesWrite`].
pub(crate) fn operations() -> Vec<Operation> {
    let modules: [fn() -> Vec<Operation>; 3] = [bundles::operations, info::operations, releases::operations];
    modules.iter().flat_map(|operations| operations()).collect()
}

/// The operations for the reference: method and path, what, scope.
pub fn reference() -> Vec<(String, &'static str, &'static str)> {
    let scope = |permission: Permission| match permission {
        Permission::Scope(scope) => scope.as_str(),
        Permission::Open | Permission::Anybody => "any",
    };
    let line = |one: Operation| (format!("{} {}", one.method, one.path), one.summary, scope(one.permission));
    operations().into_iter().map(line).collect()
}

/// Routes of this API, on the listeners of the module `api`. Each handler bounds the body that it reads.
pub fn router(app: Arc<App>) -> Router {
    mount(&app, operations()).layer(from_fn(tell_errors)).layer(DefaultBodyLimit::disable()).with_state(app)
}

/// The project that a request names, by name or number, for an actor that may write to it. A token that is bound to
/// another project hears that there is none.
pub(crate) async fn project(app: &App, actor: &Actor, name_or_id: &str) -> Result<Project, Problem> {
    match app.project_for(actor, Scope::ReleasesWrite, name_or_id).await {
        Err(Error::NotFound { .. }) => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "project not found: name one of `actifix project list` in SENTRY_PROJECT or --project",
        )),
        found => Ok(found?),
    }
}

/// Errors as `sentry-cli` prints them: one member, `detail`.
async fn tell_errors(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        *response.body_mut() = Body::from(json!({ "detail": problem.detail }).to_string());
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}
