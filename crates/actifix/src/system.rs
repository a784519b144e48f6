//! The real clock and the real generator. The only place that asks the operating system for either.

use actifix_app::ports::{Clock, Ids};
use actifix_domain::id::EventId;
use actifix_domain::time::Timestamp;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Starts the monotonic count.
    #[allow(clippy::disallowed_methods, reason = "this is the implementation of the Clock port")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the implementation of the Clock port")]
    fn now(&self) -> Timestamp {
        let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
        };
        Timestamp::from_micros(micros)
    }

    fn monotonic_micros(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_micros()).unwrap_or(i64::MAX)
    }
}

/// The operating system's generator.
#[derive(Debug)]
pub struct SystemIds;

impl Ids for SystemIds {
    fn event_id(&self) -> EventId {
        let mut bytes = [0u8; 16];
        self.random(&mut bytes);
        let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
        *version = (*version & 0x0f) | 0x40;
        *variant = (*variant & 0x3f) | 0x80;
        EventId(bytes)
    }

    #[allow(clippy::disallowed_methods, reason = "this is the implementation of the Ids port")]
    fn random(&self, out: &mut [u8]) {
        if let Err(error) = getrandom::fill(out) {
            // Without random numbers neither ids nor keys are safe: stop at once rather than go on weakly.
            tracing::error!(error = %error, "the operating system gives no random numbers");
            std::process::abort();
        }
    }
}
