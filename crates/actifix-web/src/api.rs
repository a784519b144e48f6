//! The JSON API. One table says what exists: the router and the OpenAPI document are both made from it.

mod admin;
mod alerts;
mod audit;
mod auth;
mod backups;
mod care;
mod doctor;
mod events;
mod form;
mod idempotency;
mod jwt;
pub(crate) mod oidc;
mod openapi;
mod operations;
mod releases;
mod retention;
mod schemas;
mod secrets;
mod source_maps;
mod tickets;
mod users;
mod webhooks;

use crate::client::client;
use crate::extract::{BODY_BYTES_MAX, Who};
use crate::problem::Problem;
use actifix_app::App;
use actifix_app::audit::from_address;
use actifix_app::error::Error;
use actifix_domain::access::Scope;
use actifix_domain::audit::Action;
use axum::extract::{DefaultBodyLimit, FromRequestParts, MatchedPath, Request, State};
use axum::handler::Handler;
use axum::http::{Extensions, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

pub use openapi::document;

/// What an operation asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    /// Nothing: logging in.
    Open,
    /// Any credential; the App decides by whose thing it is.
    Anybody,
    /// A right.
    Scope(Scope),
}

impl From<Scope> for Permission {
    fn from(scope: Scope) -> Self {
        Self::Scope(scope)
    }
}

/// One operation.
pub(crate) struct Operation {
    /// Method.
    pub method: Method,
    /// Path in axum's and OpenAPI's common form.
    pub path: &'static str,
    /// Unique name, `verb_noun`.
    pub id: &'static str,
    /// One line.
    pub summary: &'static str,
    /// What the actor must hold; checked before the handler and again, with the project, inside the App.
    pub permission: Permission,
    /// Query parameters with one line each.
    pub query: &'static [(&'static str, &'static str)],
    /// Members of the JSON body, with form and one line each.
    pub body: &'static [form::Member],
    /// Status of success.
    pub success: u16,
    /// 200 is a success too: nothing new was made.
    pub or_ok: bool,
    /// `If-Match` may name the version that the write was decided on.
    pub versioned: bool,
    /// The handler.
    pub handler: MethodRouter<Arc<App>>,
}

impl Operation {
    pub(crate) fn get<H, T>(
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        permission: impl Into<Permission>,
        run: H,
    ) -> Self
    where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        Self::new(Method::GET, path, id, summary, permission.into(), get(run))
    }

    pub(crate) fn post<H, T>(
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        permission: impl Into<Permission>,
        run: H,
    ) -> Self
    where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        Self::new(Method::POST, path, id, summary, permission.into(), post(run))
    }

    /// Only the wire of others has it.
    pub(crate) fn put<H, T>(
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        permission: impl Into<Permission>,
        run: H,
    ) -> Self
    where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        Self::new(Method::PUT, path, id, summary, permission.into(), put(run))
    }

    pub(crate) fn patch<H, T>(
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        permission: impl Into<Permission>,
        run: H,
    ) -> Self
    where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        Self::new(Method::PATCH, path, id, summary, permission.into(), patch(run))
    }

    pub(crate) fn delete<H, T>(
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        permission: impl Into<Permission>,
        run: H,
    ) -> Self
    where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        Self::new(Method::DELETE, path, id, summary, permission.into(), delete(run))
    }

    /// Parameters that it takes in the query. Every list takes those of paging.
    pub(crate) fn parameters(&self) -> Vec<form::Parameter> {
        let paging = if self.id.starts_with("list_") { form::WHOLE_LIST } else { &[] };
        let own = |name: &str| self.query.iter().any(|(known, _)| *known == name);
        self.query.iter().chain(paging.iter().filter(|(name, _)| !own(name))).copied().collect()
    }

    fn new(
        method: Method,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        permission: Permission,
        handler: MethodRouter<Arc<App>>,
    ) -> Self {
        Self {
            method,
            path,
            id,
            summary,
            permission,
            query: &[],
            body: &[],
            success: 200,
            or_ok: false,
            versioned: false,
            handler,
        }
    }

    pub(crate) const fn query(mut self, query: &'static [(&'static str, &'static str)]) -> Self {
        self.query = query;
        self
    }

    pub(crate) const fn body(mut self, body: &'static [form::Member]) -> Self {
        self.body = body;
        self
    }

    pub(crate) const fn versioned(mut self) -> Self {
        self.versioned = true;
        self
    }

    pub(crate) const fn created(mut self) -> Self {
        self.success = 201;
        self
    }

    /// 201, or 200 where it was there already.
    pub(crate) const fn created_or_known(mut self) -> Self {
        self.success = 201;
        self.or_ok = true;
        self
    }

    /// Answers with nothing.
    pub(crate) const fn empty(mut self) -> Self {
        self.success = 204;
        self
    }
}

/// Every operation of the API.
pub(crate) fn operations() -> Vec<Operation> {
    let mut all = events::operations();
    all.extend(tickets::operations());
    all.extend(releases::operations());
    all.extend(admin::operations());
    all.extend(care::operations());
    all.extend(retention::operations());
    all.extend(backups::operations());
    all.extend(doctor::operations());
    all.extend(secrets::operations());
    all.extend(source_maps::operations());
    all.extend(operations::operations());
    all.extend(audit::operations());
    all.extend(auth::operations());
    all.extend(jwt::operations());
    all.extend(oidc::operations());
    all.extend(users::operations());
    all.push(openapi::own_operation());
    all.extend(webhooks::operations());
    all.extend(alerts::operations());
    all
}

/// Routes of the module `api`.
pub fn router(app: Arc<App>) -> Router {
    mount(&app, operations()).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(app)
}

/// Routes of a table of operations, each behind the guard.
pub(crate) fn mount(app: &Arc<App>, operations: Vec<Operation>) -> Router<Arc<App>> {
    let mut by_path: BTreeMap<&'static str, MethodRouter<Arc<App>>> = BTreeMap::new();
    for operation in operations {
        let asked = Asked {
            method: operation.method.clone(),
            permission: operation.permission,
            query: operation.parameters().into(),
        };
        let guarded = operation.handler.layer(from_fn_with_state(
            Arc::clone(app),
            move |state: State<Arc<App>>, request: Request, next: Next| {
                guard(state, asked.clone(), request, next)
            },
        ));
        let merged = match by_path.remove(operation.path) {
            Some(known) => known.merge(guarded),
            None => guarded,
        };
        by_path.insert(operation.path, merged);
    }
    let mut router = Router::new();
    for (path, methods) in by_path {
        router = router.route(path, methods);
    }
    router
}

/// The one choke point: no handler runs before the actor is known and holds the route's scope.
async fn guard(State(app): State<Arc<App>>, asked: Asked, request: Request, next: Next) -> Response {
    let address = client(request.extensions()).address;
    if asked.permission != Permission::Open {
        return from_address(address, guarded(app, asked, request, next)).await;
    }
    match asked.check_query(&request) {
        Ok(()) => from_address(address, next.run(request)).await,
        Err(problem) => problem.into_response(),
    }
}

/// What the contract says that a request must be.
#[derive(Clone)]
struct Asked {
    method: Method,
    permission: Permission,
    query: Arc<[form::Parameter]>,
}

impl Asked {
    /// Holds the query of a request against the contract. The guard stands around methods that the path does not take
    /// as well: those are told so, whatever their query.
    fn check_query(&self, request: &Request) -> Result<(), Problem> {
        let taken = *request.method() == self.method
            || (self.method == Method::GET && *request.method() == Method::HEAD);
        if !taken {
            return Ok(());
        }
        let errors = form::check_query(request.uri().query().unwrap_or_default(), &self.query);
        let Some(first) = errors.first() else { return Ok(()) };
        let detail =
            format!("the query does not have the documented form: {}: {}", first.field, first.message);
        Err(Problem { errors, ..Problem::new(StatusCode::BAD_REQUEST, detail) })
    }
}

async fn guarded(app: Arc<App>, asked: Asked, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let who = match Who::from_request_parts(&mut parts, &app).await {
        Ok(who) => who,
        Err(problem) => return problem.into_response(),
    };
    let act = format!("{} {}", parts.method, route_of(&parts.extensions));
    // A bound token is judged in its own project here; the App judges it in the project that is asked for.
    let needs = match asked.permission {
        Permission::Scope(scope) if !who.0.may(scope, who.0.bound_project()) => Some(scope.as_str()),
        _ => None,
    };
    parts.extensions.insert(who.clone());
    let request = Request::from_parts(parts, body);
    let response = if let Some(needs) = needs {
        Problem::from(Error::Forbidden { needs }).into_response()
    } else if let Err(problem) = asked.check_query(&request) {
        problem.into_response()
    } else {
        if request.method() == Method::POST && request.headers().contains_key(idempotency::HEADER) {
            idempotency::run_once(Arc::clone(&app), who.0.clone(), request, next).await
        } else {
            next.run(request).await
        }
    };
    if response.status() == StatusCode::FORBIDDEN {
        app.record_refusal(Some(&who.0), Action::AccessRefused, act, json!({ "needs": needs })).await;
    }
    response
}

/// The route's pattern: ids and names of a path do not belong into records about who asked.
pub(crate) fn route_of(extensions: &Extensions) -> String {
    extensions.get::<MatchedPath>().map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned())
}

/// An id of the path that does not parse names nothing.
pub(crate) fn path_id<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::new(StatusCode::NOT_FOUND, format!("{what} not found")))
}

/// A JSON answer whose ETag is the version of what it shows, for `If-Match` of the next write.
pub(crate) fn tagged(version: u64, body: Value) -> Response {
    let mut response = Json(body).into_response();
    if let Ok(value) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}

/// Tells `null` from absent.
pub(crate) fn present<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}
