//! A clock that only moves when told.

use actifix_app::ports::Clock;
use actifix_domain::time::Timestamp;
use std::sync::atomic::{AtomicI64, Ordering};

/// Time in the hands of a test.
#[derive(Debug)]
pub struct FakeClock {
    wall: AtomicI64,
    monotonic: AtomicI64,
}

impl FakeClock {
    /// Starts at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self { wall: AtomicI64::new(now.micros()), monotonic: AtomicI64::new(0) }
    }

    /// Lets time go by, microseconds.
    pub fn advance(&self, micros: i64) -> Timestamp {
        self.monotonic.fetch_add(micros.max(0), Ordering::SeqCst);
        Timestamp::from_micros(self.wall.fetch_add(micros, Ordering::SeqCst) + micros)
    }

    /// Sets wall time alone, as an operator does.
    pub fn set_wall(&self, now: Timestamp) {
        self.wall.store(now.micros(), Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.wall.load(Ordering::SeqCst))
    }

    fn monotonic_micros(&self) -> i64 {
        self.monotonic.load(Ordering::SeqCst)
    }
}
