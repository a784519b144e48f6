//! A key of ours alone, by which the doctor tries whether too many requests are refused: with windows of its own, so
//! that nobody's quota is used, and gone when the try ends.

use super::{Decision, Id, Limiter, quota, seconds};
use crate::app::App;
use actifix_domain::sliding::Window;
use actifix_domain::time::MINUTE;
use std::sync::PoisonError;

/// Header field that names the key.
pub const PROBE_HEADER: &str = "x-actifix-probe";
/// Requests that the key may make in a minute.
pub const PROBE_PER_MINUTE: u32 = 2;
const KIND_PROBE: u8 = 8;

/// The key that is tried now, by its hash, and what was used of it.
#[derive(Debug)]
pub(super) struct Probe {
    id: Id,
    minute: Window,
}

impl Limiter {
    fn try_probe(&self, key: &[u8], now: i64) -> Option<Decision> {
        let asked = self.id(KIND_PROBE, key);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Probe { id, minute } = state.probe.as_mut().filter(|probe| probe.id == asked)?;
        let limit = u64::from(PROBE_PER_MINUTE);
        let wait = minute.wait(limit, MINUTE, now);
        let admitted = wait == 0;
        if admitted {
            minute.add(MINUTE, now);
        }
        let [a, b, c, d, e, f, g, h, ..] = *id;
        Some(Decision {
            admitted,
            retry_after_seconds: seconds(wait),
            quotas: vec![quota("minute", minute, limit, MINUTE, now)],
            partition: [a, b, c, d, e, f, g, h],
        })
    }
}

/// What became of a request that named the key of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probed {
    /// It named another key, or nobody tries anything now: it is a request like any other.
    Stranger,
    /// It may go on.
    Admitted,
    /// It came too soon.
    Refused(Decision),
}

impl App {
    /// Begins a try: the key that its requests name. An earlier one is over.
    pub(crate) fn begin_probe(&self) -> String {
        let mut random = [0u8; 32];
        self.ids.random(&mut random);
        let key = hex::encode(random);
        let id = self.limiter.id(KIND_PROBE, key.as_bytes());
        let mut state = self.limiter.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.probe = Some(Probe { id, minute: Window::default() });
        key
    }

    /// Ends it.
    pub(crate) fn end_probe(&self) {
        self.limiter.state.lock().unwrap_or_else(PoisonError::into_inner).probe = None;
    }

    /// Decides about a request that names a key of a try. Where limits are switched off it is let through, as all are.
    pub fn limit_probe(&self, key: &[u8]) -> Probed {
        match self.limiter.try_probe(key, self.clock.monotonic_micros()) {
            None => Probed::Stranger,
            Some(decision) if decision.admitted || self.limiter.disabled => Probed::Admitted,
            Some(decision) => Probed::Refused(decision),
        }
    }
}
