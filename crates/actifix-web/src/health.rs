//! Liveness, readiness, metrics.

use crate::extract::Who;
use crate::problem::{ApiResult, Problem};
use actifix_app::App;
use actifix_app::ports::TokenRecord;
use actifix_domain::throttle::Brake;
use actifix_domain::time::Timestamp;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use std::fmt::Write;
use std::sync::Arc;

/// Tokens whose end is told; there may be more.
const TOKENS_TOLD_MAX: usize = 200;

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
    metrics::gauge!("actifix_db_last_checkpoint_timestamp_seconds").set(stats.checkpointed_at as f64);
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
    let mut body = handle.render();
    write_token_expiry(&mut body, &app.live_tokens(&who.0).await?, app.now());
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], body).into_response())
}

/// Writes when tokens end, those first that end first. Written anew each time and not kept as gauges: a token that was
/// revoked would be told of for ever, and each rotation would leave one more behind.
fn write_token_expiry(body: &mut String, tokens: &[TokenRecord], now: Timestamp) {
    let mut tokens: Vec<&TokenRecord> = tokens.iter().collect();
    tokens.sort_by_key(|token| token.expires_at);
    tokens.truncate(TOKENS_TOLD_MAX);
    if !tokens.is_empty() {
        body.push_str("# TYPE actifix_token_expires_seconds gauge\n");
    }
    for token in tokens {
        let (id, seconds) = (&token.id, token.expires_at.since(now) / 1_000_000);
        let _infallible = writeln!(body, "actifix_token_expires_seconds{{token=\"{id}\"}} {seconds}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actifix_domain::time::SECOND;

    #[test]
    fn tokens_that_end_first_are_told_first_and_no_more_than_so_many() {
        let now = Timestamp::default();
        let token = |number: i64| TokenRecord {
            id: format!("{number:016x}"),
            name: "a \"name\"\nof theirs".to_owned(),
            hash: [0; 32],
            scopes: [].into(),
            project: None,
            created_at: now,
            expires_at: now.plus(number * SECOND),
            revoked_at: None,
            replaced: false,
            last_used_at: None,
            warned_days: None,
        };
        let mut body = String::new();
        write_token_expiry(&mut body, &[], now);
        assert_eq!(body, "");
        let many: Vec<TokenRecord> = (1..=1_000).rev().map(token).collect();
        write_token_expiry(&mut body, &many, now);
        let lines: Vec<&str> = body.lines().collect();
        assert_eq!(lines.len(), TOKENS_TOLD_MAX + 1);
        assert_eq!(lines[1], "actifix_token_expires_seconds{token=\"0000000000000001\"} 1");
        assert!(!body.contains("name"), "people's words are no labels");
    }
}
