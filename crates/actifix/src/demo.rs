//! `serve --demo`: captured requests of real SDKs and a flood, sent through the real pipeline.

use crate::cli::CliError;
use crate::wire::DEFAULT_PROJECT;
use actifix_app::App;
use actifix_app::ingest::{Delivery, Kind, Knock, OtlpSignal, Refusal};
use actifix_domain::access::Actor;
use actifix_domain::id::PublicKey;
use actifix_domain::time::{MINUTE, Timestamp};
use actifix_domain::words::plural;
use bytes::Bytes;
use std::fmt::Write as _;
use std::sync::Arc;

/// New groups of the flood: more than the emergency brake lets through in a minute.
const FLOOD: usize = 240;

/// Captures as they came over the wire. Their secrets are fakes made for this set.
const CAPTURES: [(&str, &[u8]); 10] = [
    ("envelope", include_bytes!("../../../testdata/sentry/py-flask-chained-exception.http")),
    ("envelope", include_bytes!("../../../testdata/sentry/py-thread-unhandled.http")),
    ("envelope", include_bytes!("../../../testdata/sentry/py-exception-group.http")),
    ("envelope", include_bytes!("../../../testdata/sentry/py-attachments.http")),
    ("envelope", include_bytes!("../../../testdata/sentry/node-error-cause.http")),
    ("envelope", include_bytes!("../../../testdata/sentry/node8-http-request.http")),
    ("envelope", include_bytes!("../../../testdata/sentry/browser-click-error.http")),
    ("envelope", include_bytes!("../../../testdata/sentry/rust-panic.http")),
    ("otlp", include_bytes!("../../../testdata/sentry/otlp-logs-exception-protobuf.http")),
    ("security", include_bytes!("../../../testdata/sentry/csp-report-chromium.http")),
];

/// The project of the flood: it must not use up the budget of the one that a newcomer's own errors go to.
pub const FLOOD_PROJECT: &str = "flood";

/// Fills the default project and one of the flood; returns one line that says what happened.
pub async fn fill(app: &Arc<App>) -> Result<String, CliError> {
    let key = key_of(app, DEFAULT_PROJECT).await?;
    for (kind, capture) in CAPTURES {
        let (headers, body) = split(capture)?;
        let kind = match kind {
            "otlp" => Kind::Otlp(OtlpSignal::Logs),
            "security" => Kind::Security,
            _ => Kind::Envelope,
        };
        send(app, &key, kind, headers, Bytes::from_static(body)).await?;
    }
    // A little in the past, so that the captures stay on top of the list.
    let flood_at = app.now().plus(-10 * MINUTE);
    if !app.projects(&Actor::System).await?.iter().any(|project| project.name == FLOOD_PROJECT) {
        app.create_project(&Actor::System, None, FLOOD_PROJECT).await?;
    }
    let key = key_of(app, FLOOD_PROJECT).await?;
    for number in 0..FLOOD {
        send(app, &key, Kind::Store, "", Bytes::from(flood_event(number, flood_at))).await?;
    }
    let (_, held) = app.throttle(&Actor::System, FLOOD_PROJECT).await?;
    let held: u64 = held.held.iter().sum();
    let findings = app.findings(&Actor::System, actifix_app::ports::FindingQuery::default()).await?;
    Ok(format!(
        "demo: {} captured SDK requests were sent, and a flood of {FLOOD} new errors to the project `{FLOOD_PROJECT}`; {} taken out, {} held",
        CAPTURES.len(),
        plural(findings.items.len() as u64, "secret was", "secrets were"),
        plural(held, "ticket is", "tickets are"),
    ))
}

async fn key_of(app: &Arc<App>, project: &str) -> Result<PublicKey, CliError> {
    let keys = app.keys(&Actor::System, project).await?;
    let enabled = keys.into_iter().find(|record| record.key.enabled);
    enabled
        .map(|record| record.key.public_key)
        .ok_or_else(|| CliError::config(format!("demo: the project {project} has no enabled key")))
}

async fn send(
    app: &Arc<App>,
    key: &PublicKey,
    kind: Kind,
    headers: &str,
    body: Bytes,
) -> Result<(), CliError> {
    let refused =
        |refusal: Option<Refusal>| CliError::other(format!("demo: the key was refused: {refusal:?}"));
    let pass = app.knock(&Knock::with_key(key.clone())).await.map_err(|refusal| refused(Some(refusal)))?;
    let pass = pass.ok_or_else(|| refused(None))?;
    let header = |name: &str| {
        headers
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default()
    };
    let delivery = Delivery {
        kind,
        content_encoding: header("content-encoding"),
        content_type: header("content-type"),
        user_agent: header("user-agent"),
        query: String::new(),
        peer: None,
        body,
    };
    let answer = app.deliver(pass, delivery).await;
    if answer.status >= 400 {
        return Err(CliError::other(format!("demo: a capture was answered {}", answer.status)));
    }
    Ok(())
}

/// Headers and body of a request as it was captured.
fn split(capture: &'static [u8]) -> Result<(&'static str, &'static [u8]), CliError> {
    let end = capture.windows(4).position(|window| window == b"\r\n\r\n");
    let parts = end.and_then(|end| Some((capture.get(..end)?, capture.get(end + 4..)?)));
    let (head, body) = parts.ok_or_else(|| CliError::other("demo: a capture has no body"))?;
    Ok((std::str::from_utf8(head).map_err(CliError::other)?, body))
}

/// A third-party script that goes wild: each error has a type of its own, so that grouping cannot fold them.
fn flood_event(number: usize, at: Timestamp) -> String {
    let mut name = String::new();
    let mut rest = number;
    for _ in 0..3 {
        let letter = u8::try_from(rest % 26).unwrap_or(0);
        let _infallible = write!(name, "{}", char::from(b'A' + letter));
        rest /= 26;
    }
    serde_json::json!({
        "platform": "javascript",
        "level": "error",
        "timestamp": at,
        "release": "shop-web@5.1.0",
        "environment": "production",
        "exception": { "values": [{
            "type": format!("Widget{name}Error"),
            "value": "tracker.example.net is not a function",
            "stacktrace": { "frames": [{
                "function": format!("render{name}"),
                "filename": "https://tracker.example.net/widget.js",
                "lineno": 1,
                "in_app": true
            }]}
        }]}
    })
    .to_string()
}
