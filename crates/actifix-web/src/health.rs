//! Liveness, readiness, metrics.

use crate::extract::Who;
use crate::problem::{ApiResult, Problem};
use actifix_app::App;
use actifix_domain::throttle::Brake;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::Arc;

/// `/healthz` and `/readyz`: open, and without detail.
pub fn router(app: Arc<App>) -> Router {
    Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready)).with_state(app)
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    match app.ready().await {
        Ok(()) => "ready\n".into_response(),
        Err(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer").into_response(),
    }
}

/// `/metrics`: scope `metrics:read`.
pub fn metrics(app: Arc<App>, handle: PrometheusHandle) -> Router {
    Router::new()
        .route("/metrics", get(move |state: State<Arc<App>>, who: Who| scrape(state, who, handle.clone())))
        .with_state(app)
}

async fn scrape(State(app): State<Arc<App>>, who: Who, handle: PrometheusHandle) -> ApiResult<Response> {
    let stats = app.stats(&who.0).await?;
    metrics::gauge!("actifix_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    metrics::gauge!("actifix_db_size_bytes").set(stats.db_size_bytes as f64);
    metrics::gauge!("actifix_wal_size_bytes").set(stats.wal_size_bytes as f64);
    metrics::gauge!("actifix_quarantine_entries").set(stats.quarantine_entries as f64);
    metrics::gauge!("actifix_queue_depth").set(app.queue_depth() as f64);
    metrics::counter!("actifix_db_busy_total").absolute(stats.busy_total);
    for (status, priority, count) in &stats.tickets {
        metrics::gauge!("actifix_tickets", "status" => status.as_str(), "priority" => priority.as_str())
            .set(*count as f64);
    }
    metrics::gauge!("actifix_throttle_state").set(match stats.brake {
        Brake::Off => 0.0,
        Brake::Soft => 1.0,
        Brake::Hard => 2.0,
    });
    for (priority, count) in &stats.held_total {
        metrics::counter!("actifix_throttle_held_total", "priority" => priority.as_str()).absolute(*count);
    }
    for token in app.live_tokens().await? {
        let seconds = token.expires_at.since(app.now()) as f64 / 1e6;
        metrics::gauge!("actifix_token_expires_seconds", "token" => token.id).set(seconds);
    }
    let body = handle.render();
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], body).into_response())
}
