//! Ids that count up, so that a test can be read.

use actifix_app::ports::Ids;
use actifix_domain::id::EventId;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts from 1; "random" bytes are the running number, repeated.
#[derive(Debug, Default)]
pub struct OrderedIds {
    next: AtomicU64,
}

impl OrderedIds {
    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::SeqCst) + 1
    }
}

impl Ids for OrderedIds {
    fn event_id(&self) -> EventId {
        EventId(u128::from(self.number()).to_be_bytes())
    }

    fn random(&self, out: &mut [u8]) {
        let number = self.number().to_be_bytes();
        for (slot, byte) in out.iter_mut().zip(number.iter().cycle()) {
            *slot = *byte;
        }
    }
}
