//! What pages are told while somebody looks at them: counts, never text of events.

use crate::app::App;
use crate::error::{Error, Result};
use crate::sessions::LiveSession;
use crate::tickets::ListTickets;
use actifix_domain::access::{Actor, Scope};
use actifix_domain::throttle::Brake;
use actifix_domain::ticket::{Priority, Status};
use actifix_domain::time::{SECOND, Timestamp};
use serde::Serialize;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Streams of one session: a few windows. A browser closes those that nobody sees.
pub const SESSION_STREAMS_MAX: usize = 4;
/// Streams of the whole installation.
pub const STREAMS_MAX: usize = 200;
/// Counts are read once in this time, however many look.
const COUNTS_MICROS: i64 = SECOND;

/// Counts of the installation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LiveCounts {
    /// Stored events.
    pub events: u64,
    /// Unresolved tickets.
    pub unresolved: u64,
    /// Those of P0 and P1.
    pub urgent: u64,
    /// Held tickets.
    pub held: u64,
    /// The brake of some project is on.
    pub brake: bool,
}

/// Counts of a list since it was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ListCounts {
    /// Tickets that match and had events since; capped as totals are.
    pub changed: u64,
    /// Tickets that match and did not exist before.
    pub new: u64,
}

/// Streams that are open, oldest first within a session, and the counts that were read last.
#[derive(Default)]
pub(crate) struct Streams {
    open: Mutex<HashMap<String, VecDeque<Arc<Notify>>>>,
    counts: tokio::sync::Mutex<Option<(i64, LiveCounts)>>,
}

/// A place among the streams, given back when dropped.
pub struct StreamPlace {
    streams: Arc<Streams>,
    session: String,
    over: Arc<Notify>,
}

impl std::fmt::Debug for StreamPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamPlace").field("session", &self.session).finish_non_exhaustive()
    }
}

impl StreamPlace {
    /// Ends when a newer stream of the same session takes the place.
    pub async fn taken(&self) {
        self.over.notified().await;
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut open = self.streams.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.session) {
            own.retain(|over| !Arc::ptr_eq(over, &self.over));
            if own.is_empty() {
                open.remove(&self.session);
            }
        }
    }
}

impl Streams {
    /// A place for a session. Beyond its share the oldest of its own goes: whoever loads a page anew has left the former
    /// one, which nobody may have noticed yet. None where everybody together has as many as there may be.
    fn enter(self: &Arc<Self>, session: &str) -> Option<StreamPlace> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.values().map(VecDeque::len).sum();
        let own = open.get(session).map_or(0, VecDeque::len);
        if all >= STREAMS_MAX && own < SESSION_STREAMS_MAX {
            return None;
        }
        let places = open.entry(session.to_owned()).or_default();
        if own >= SESSION_STREAMS_MAX
            && let Some(oldest) = places.pop_front()
        {
            oldest.notify_one();
        }
        let over = Arc::new(Notify::new());
        places.push_back(Arc::clone(&over));
        Some(StreamPlace { streams: Arc::clone(self), session: session.to_owned(), over })
    }
}

impl App {
    /// Takes a place among the streams. `Throttled` where everybody together has as many as there may be.
    pub fn open_stream(&self, live: &LiveSession) -> Result<StreamPlace> {
        Self::require(&live.actor, Scope::TicketsRead, None)?;
        self.streams.enter(&live.session.id).ok_or(Error::Throttled { retry_after_seconds: 30 })
    }

    /// Counts of the installation, at most a second old.
    pub async fn live_counts(&self, actor: &Actor) -> Result<LiveCounts> {
        Self::require(actor, Scope::MetricsRead, None)?;
        let mut last = self.streams.counts.lock().await;
        let now = self.clock.monotonic_micros();
        if let Some((at, counts)) = *last
            && now.saturating_sub(at) < COUNTS_MICROS
        {
            return Ok(counts);
        }
        let stats = self.store.stats().await?;
        let of = |wanted: &dyn Fn(Status, Priority) -> bool| -> u64 {
            stats.tickets.iter().filter(|(status, of, _)| wanted(*status, *of)).map(|(.., many)| many).sum()
        };
        let open = |status| matches!(status, Status::Open | Status::InProgress | Status::InReview);
        let counts = LiveCounts {
            events: stats.events,
            unresolved: of(&|status, _| open(status)),
            urgent: of(&|status, of| open(status) && matches!(of, Priority::P0 | Priority::P1)),
            held: of(&|status, _| status == Status::Held),
            brake: stats.brake != Brake::Off,
        };
        *last = Some((now, counts));
        Ok(counts)
    }

    /// How many tickets of a list changed since.
    pub async fn list_changes(
        &self,
        actor: &Actor,
        project: Option<&str>,
        search: &str,
        since: Timestamp,
    ) -> Result<ListCounts> {
        let count = async |word: &str| {
            let list = ListTickets {
                project: project.map(str::to_owned),
                search: format!("{search} {word}:>{since}"),
                limit: 1,
                ..ListTickets::default()
            };
            Ok::<_, Error>(self.tickets(actor, list).await?.total.unwrap_or_default())
        };
        Ok(ListCounts { changed: count("last_seen").await?, new: count("first_seen").await? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_over(place: &StreamPlace) -> bool {
        let mut taken = std::pin::pin!(place.taken());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        taken.as_mut().poll(&mut context).is_ready()
    }

    #[test]
    fn a_session_has_its_share_and_everybody_together_theirs() {
        let streams = Arc::new(Streams::default());
        let own: Vec<_> = (0..SESSION_STREAMS_MAX).map(|_| streams.enter("a").unwrap()).collect();
        assert!(!own.iter().any(is_over));
        let newest = streams.enter("a").unwrap();
        let over: Vec<bool> = own.iter().map(is_over).collect();
        assert_eq!(over, [true, false, false, false], "the oldest goes");
        assert!(!is_over(&newest));
        let others: Vec<_> =
            (SESSION_STREAMS_MAX..STREAMS_MAX).map(|n| streams.enter(&format!("s{n}")).unwrap()).collect();
        assert!(streams.enter("late").is_none());
        assert!(streams.enter("a").is_some(), "within its own share");
        drop(others);
        assert!(streams.enter("late").is_some());
        drop((own, newest));
        assert!(streams.open.lock().unwrap().is_empty());
    }
}
