//! Whether the wall clock is believed: what is deleted by its age waits while it is not.
//!
//! Expiry of what lets somebody in (sessions, tokens, answers to a challenge) goes by the clock whatever it says: there
//! the safe side is the other one.

use crate::app::App;
use crate::error::Result;
use actifix_domain::clock::{AHEAD_MAX, Jump, MARK_EVERY};
use actifix_domain::time::{SECOND, Timestamp};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The newest time that was believed, as this process knows it.
#[derive(Default)]
pub(crate) struct ClockMark(Mutex<Known>);

#[derive(Clone, Copy, Default)]
struct Known {
    mark: Option<Timestamp>,
    /// A leap was told.
    told: bool,
}

impl ClockMark {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl App {
    /// Remembers the time if it can be believed. Called before anything is written by it, when nothing is logged yet.
    pub async fn meet_clock(&self) -> Result<()> {
        self.look_at_clock(false).await.map(|_| ())
    }

    /// The same each minute; says what is wrong with the clock, and when it begins and ends tells it to the log.
    pub async fn observe_clock(&self) -> Result<Option<Jump>> {
        self.look_at_clock(true).await
    }

    async fn look_at_clock(&self, tell: bool) -> Result<Option<Jump>> {
        let now = self.now();
        let known = self.clock_mark.known().mark;
        let known = if known.is_some() { known } else { self.store.clock_mark().await? };
        let mark = match known {
            Some(mark) if now.since(mark) < MARK_EVERY || Jump::between(mark, now).is_some() => mark,
            _ => {
                self.store.set_clock_mark(now).await?;
                now
            }
        };
        let jump = Jump::between(mark, now);
        self.note_clock(mark, jump, tell);
        Ok(jump)
    }

    /// Somebody says that the clock is right: from now on it is believed.
    pub(crate) async fn accept_clock(&self) -> Result<()> {
        let now = self.now();
        self.store.set_clock_mark(now).await?;
        self.note_clock(now, None, true);
        Ok(())
    }

    fn note_clock(&self, mark: Timestamp, jump: Option<Jump>, tell: bool) {
        let told_before = {
            let mut known = self.clock_mark.known();
            let told = if tell { jump.is_some() } else { known.told };
            std::mem::replace(&mut *known, Known { mark: Some(mark), told }).told
        };
        let seconds = jump.map_or(0, |jump| jump.micros() / SECOND);
        metrics::gauge!("actifix_clock_jump_seconds").set(seconds as f64);
        match jump.filter(|_| tell) {
            Some(jump) if !told_before => tracing::error!(
                why = %jump,
                "clock.jumped: nothing is deleted by its age; set the clock, or if it is right: actifix retention run --accept-clock"
            ),
            None if tell && told_before => tracing::info!("clock.believed"),
            _ => {}
        }
    }

    /// What was wrong with the clock when it was looked at last, by the time that it shows now.
    pub fn clock_jump(&self) -> Option<Jump> {
        self.clock_mark.known().mark.and_then(|mark| Jump::between(mark, self.now()))
    }

    /// Until when the clock is believed without another look; none before the first look.
    pub fn clock_believed_until(&self) -> Option<Timestamp> {
        self.clock_mark.known().mark.map(|mark| mark.plus(AHEAD_MAX))
    }
}
