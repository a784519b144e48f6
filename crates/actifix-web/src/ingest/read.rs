//! Reads a body into bounded memory, in bounded time.

use actifix_app::ingest::{ByteRoom, Refusal};
use actifix_domain::outcome::Reason;
use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use std::time::Duration;

/// A request's body must be complete within this time.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The whole body as sent; refused over `limit` bytes, before it is read where the length is announced.
pub async fn body(
    body: Body,
    headers: &HeaderMap,
    limit: u64,
    room: &mut ByteRoom,
) -> Result<Bytes, Refusal> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(Refusal::TooLarge("request"));
    }
    if let Some(length) = announced {
        room.grow(length).await?;
    }
    match tokio::time::timeout(READ_TIMEOUT, collect(body, announced, limit, room)).await {
        Ok(result) => result,
        Err(_) => Err(broken("the request body took longer than 30 s")),
    }
}

async fn collect(
    mut body: Body,
    announced: Option<u64>,
    limit: u64,
    room: &mut ByteRoom,
) -> Result<Bytes, Refusal> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| broken("the request body ended early"))?;
        let Ok(data) = frame.into_data() else { continue };
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        let total = u64::try_from(whole.len()).unwrap_or(u64::MAX).saturating_add(length);
        if total > limit {
            return Err(Refusal::TooLarge("request"));
        }
        if announced.is_none() {
            room.grow(length).await?;
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

fn broken(detail: &str) -> Refusal {
    Refusal::Broken { reason: Reason::Framing, detail: detail.to_owned() }
}
