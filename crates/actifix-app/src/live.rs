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
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

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

/// Streams that are open, by session, and the counts that were read last.
#[derive(Default)]
pub(crate) struct Streams {
    open: Mutex<HashMap<String, usize>>,
    counts: tokio::sync::Mutex<Option<(i64, LiveCounts)>>,
}

/// A place among the streams, given back when dropped.
pub struct StreamPlace {
    app: Arc<App>,
    session: String,
}

impl std::fmt::Debug for StreamPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamPlace").field("session", &self.session).finish_non_exhaustive()
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut open = self.app.streams.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(many) = open.get_mut(&self.session) {
            *many = many.saturating_sub(1);
            if *many == 0 {
                open.remove(&self.session);
            }
        }
    }
}

impl App {
    /// Takes a place among the streams. `Throttled` where the session, or everybody together, has as many as there may be.
    pub fn open_stream(self: &Arc<Self>, live: &LiveSession) -> Result<StreamPlace> {
        Self::require(&live.actor, Scope::TicketsRead, None)?;
        let session = live.session.id.clone();
        let mut open = self.streams.open.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.get(&session).copied().unwrap_or_default();
        if own >= SESSION_STREAMS_MAX || open.values().sum::<usize>() >= STREAMS_MAX {
            return Err(Error::Throttled { retry_after_seconds: 30 });
        }
        open.insert(session.clone(), own + 1);
        Ok(StreamPlace { app: Arc::clone(self), session })
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
