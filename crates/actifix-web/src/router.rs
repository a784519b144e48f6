//! Every route on one screen, one block per module.

use crate::client::TrustedProxies;
use crate::cors::Origins;
use crate::layers::{self, HasPages, Hosts};
use crate::{api, contact, cors, dashboard, health, hooks, ingest, limits, sentry_api};
use actifix_app::App;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::Arc;

/// A group of routes that a listener can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// What SDKs post to.
    Ingest,
    /// `/api/v1`.
    Api,
    /// Pages for people.
    Dashboard,
    /// `/metrics`.
    Metrics,
}

/// What the routes know of the network around them.
#[derive(Clone, Debug, Default)]
pub struct Edge {
    /// Names that this server is known by.
    pub hosts: Hosts,
    /// Peers whose forwarding headers are believed.
    pub proxies: TrustedProxies,
    /// Origins whose pages may read answers of the API.
    pub origins: Origins,
    /// The address that clients use, where that is https: then nobody comes in clear through a proxy.
    pub https_url: Option<Arc<str>>,
}

/// The routes of a listener. Health is on every one.
pub fn router(app: &Arc<App>, modules: &[Module], edge: Edge, metrics: Option<PrometheusHandle>) -> Router {
    let mut guarded = Router::new();
    if modules.contains(&Module::Api) {
        guarded = guarded.merge(api::router(Arc::clone(app))).merge(api::oidc::pages(Arc::clone(app)));
        guarded = guarded.merge(hooks::router(Arc::clone(app))).merge(sentry_api::router(Arc::clone(app)));
    }
    if modules.contains(&Module::Dashboard) {
        guarded = guarded.merge(dashboard::router(Arc::clone(app)));
    }
    if modules.contains(&Module::Api) || modules.contains(&Module::Dashboard) {
        guarded = guarded.merge(contact::router(Arc::clone(app)));
    }
    if let (true, Some(handle)) = (modules.contains(&Module::Metrics), metrics) {
        guarded = guarded.merge(health::metrics(Arc::clone(app), handle));
    }
    // Around every path but those of ingest and health, whether or not there is something at it. Host names are checked
    // here: SDKs may know us by any name.
    let guarded = guarded
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(from_fn(cors::answer_preflight))
        .layer(from_fn_with_state(Arc::clone(app), limits::limit))
        .layer(from_fn_with_state(edge.hosts, layers::check_host))
        .layer(from_fn_with_state(edge.origins, cors::name_reader));
    let pages = HasPages(modules.contains(&Module::Dashboard));
    let mut router = Router::new().merge(guarded).merge(health::router(Arc::clone(app)));
    if modules.contains(&Module::Ingest) {
        // Bodies are bounded by the ingest reader, by its own and larger limits.
        router = router.merge(ingest::router(Arc::clone(app)).layer(DefaultBodyLimit::disable()));
    }
    router
        .layer(from_fn_with_state(edge.https_url, layers::refuse_plain))
        .layer(from_fn(layers::check_target))
        .layer(from_fn_with_state((Arc::clone(app), edge.proxies, pages), layers::finish))
}
