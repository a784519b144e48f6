//! Reads a body into bounded memory, in bounded time.

use actifix_app::App;
use actifix_app::ingest::{ByteRoom, HeaderKey, Refusal, STRANGER_BYTES_MAX};
use actifix_domain::id::PublicKey;
use actifix_domain::outcome::Reason;
use actifix_domain::time::SECOND;
use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use std::time::Duration;

/// Time in which an unknown sender must show its key, seconds: its room is shared with all others of its kind.
const STRANGER_SECONDS_MAX: u64 = 10;

/// A body that is being read. Room is made for what came, never for what is announced.
pub struct Reader<'a> {
    app: &'a App,
    body: Body,
    whole: BytesMut,
    room: ByteRoom,
    bytes_max: u64,
    /// By the monotonic clock, microseconds, as is the end.
    started: i64,
    ends_at: i64,
}

impl<'a> Reader<'a> {
    /// Starts; a length that is announced over the limit is refused before a byte is read. A sender that is not
    /// `known` has less time.
    pub fn new(
        app: &'a App,
        headers: &HeaderMap,
        body: Body,
        room: ByteRoom,
        known: bool,
    ) -> Result<Self, Refusal> {
        let limits = &app.settings().limits;
        let bytes_max = limits.request_bytes_max;
        let announced = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.parse::<u64>().ok());
        if announced.is_some_and(|length| length > bytes_max) {
            return Err(Refusal::TooLarge("request"));
        }
        let started = app.monotonic_micros();
        let mut reader =
            Self { app, body, whole: BytesMut::new(), room, bytes_max, started, ends_at: started };
        let seconds = limits.request_read_seconds_max;
        reader.end_after(if known { seconds } else { seconds.min(STRANGER_SECONDS_MAX) });
        Ok(reader)
    }

    /// Reads no further than the header line of an envelope, for the key that it may name.
    pub async fn header_key(&mut self, encoding: &str) -> Result<Option<PublicKey>, Refusal> {
        let mut look_at = 1;
        // Ends: each turn reads a frame, and the looks are at lengths that double.
        loop {
            let ended = !self.more().await?;
            if !ended && self.read() < look_at {
                continue;
            }
            match self.app.key_of_header(encoding, &self.whole, ended)? {
                HeaderKey::Key(key) => return Ok(Some(key)),
                HeaderKey::Incomplete if !ended && self.read() < STRANGER_BYTES_MAX => {
                    look_at = self.read().saturating_mul(2).min(STRANGER_BYTES_MAX);
                }
                HeaderKey::Incomplete | HeaderKey::None => return Ok(None),
            }
        }
    }

    /// What is read counts on this key from now on.
    pub async fn admit(&mut self, key: &PublicKey) -> Result<(), Refusal> {
        self.end_after(self.app.settings().limits.request_read_seconds_max);
        self.room.admit(key).await
    }

    /// Reads to the end. The room is to be kept as long as the bytes are.
    pub async fn rest(mut self) -> Result<(Bytes, ByteRoom), Refusal> {
        while self.more().await? {}
        Ok((self.whole.freeze(), self.room))
    }

    /// Bytes read so far.
    pub fn read(&self) -> u64 {
        u64::try_from(self.whole.len()).unwrap_or(u64::MAX)
    }

    fn end_after(&mut self, seconds: u64) {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        self.ends_at = self.started.saturating_add(seconds.saturating_mul(SECOND));
    }

    /// Reads one frame; false at the end.
    async fn more(&mut self) -> Result<bool, Refusal> {
        let left = self.ends_at.saturating_sub(self.app.monotonic_micros());
        let left = Duration::from_micros(u64::try_from(left).unwrap_or(0));
        let Ok(frame) = tokio::time::timeout(left, self.body.frame()).await else {
            return Err(broken("the request body took too long"));
        };
        let Some(frame) = frame else { return Ok(false) };
        let frame = frame.map_err(|_| broken("the request body ended early"))?;
        let Ok(data) = frame.into_data() else { return Ok(true) };
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        if self.read().saturating_add(length) > self.bytes_max {
            return Err(Refusal::TooLarge("request"));
        }
        self.room.grow(length).await?;
        self.whole.extend_from_slice(&data);
        Ok(true)
    }
}

fn broken(detail: &str) -> Refusal {
    Refusal::Broken { reason: Reason::Framing, detail: detail.to_owned() }
}
