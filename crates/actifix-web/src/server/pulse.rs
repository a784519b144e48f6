//! What a connection is doing: told by its requests and its stream, asked by the accept loop and by its own deadline.

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::sync::Notify;

/// Counters of one connection.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// Requests that are being answered.
    answering: AtomicUsize,
    /// Answers whose bodies are on their way.
    sending: AtomicUsize,
    /// Answers that go on for as long as somebody looks, and say little: they are open, and stand still most of the time.
    streaming: AtomicUsize,
    /// Requests so far.
    seen: AtomicUsize,
    /// Bytes written so far.
    moved: AtomicU64,
    /// Told when another peer needs the place; once.
    evicted: Notify,
    is_evicted: AtomicBool,
}

/// A look at it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    answering: usize,
    sending: usize,
    streaming: usize,
    seen: usize,
    moved: u64,
}

impl Pulse {
    /// A request is being answered until what this gives is dropped.
    pub(super) fn answering(pulse: &Arc<Self>) -> Answering {
        pulse.seen.fetch_add(1, Ordering::Relaxed);
        pulse.answering.fetch_add(1, Ordering::Relaxed);
        Answering(Arc::clone(pulse))
    }

    /// So many bytes were taken by the kernel.
    pub(super) fn moved(&self, bytes: u64) {
        self.moved.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn look(&self) -> Look {
        Look {
            answering: self.answering.load(Ordering::Relaxed),
            sending: self.sending.load(Ordering::Relaxed),
            streaming: self.streaming.load(Ordering::Relaxed),
            seen: self.seen.load(Ordering::Relaxed),
            moved: self.moved.load(Ordering::Relaxed),
        }
    }

    /// Asks the connection to go, unless it has something to do. A stream begins anew elsewhere.
    pub(super) fn evict(&self) -> bool {
        let now = self.look();
        if now.answering > 0 || now.sending > 0 || self.is_evicted.swap(true, Ordering::Relaxed) {
            return false;
        }
        self.evicted.notify_one();
        true
    }

    /// Ends when the connection was asked to go.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

impl Look {
    /// Nothing to do now, no request since, and next to nothing taken: answers can lie in the library still.
    pub(super) const fn is_idle_since(&self, before: &Self, bytes_min: u64) -> bool {
        let taken = self.moved.saturating_sub(before.moved);
        self.answering == 0
            && self.sending == 0
            && self.streaming == 0
            && self.seen == before.seen
            && taken < bytes_min
    }

    /// There were answers to take at both looks, and fewer than `bytes_min` were taken in between.
    pub(super) const fn is_stuck_since(&self, before: &Self, bytes_min: u64) -> bool {
        let taken = self.moved.saturating_sub(before.moved);
        self.answering == 0 && self.sending > 0 && before.sending > 0 && taken < bytes_min
    }
}

/// Counts a request as being answered.
pub(super) struct Answering(Arc<Pulse>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answering.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Marks an answer that goes on for as long as somebody looks: in its extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streaming;

/// A body that counts as on its way until the connection is done with it.
pub(super) struct Sending {
    body: Body,
    pulse: Arc<Pulse>,
    streams: bool,
}

impl Sending {
    pub(super) fn new(body: Body, pulse: &Arc<Pulse>, streams: bool) -> Self {
        let sending = Self { body, pulse: Arc::clone(pulse), streams };
        sending.counter().fetch_add(1, Ordering::Relaxed);
        sending
    }

    fn counter(&self) -> &AtomicUsize {
        if self.streams { &self.pulse.streaming } else { &self.pulse.sending }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.counter().fetch_sub(1, Ordering::Relaxed);
    }
}

impl hyper::body::Body for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_idle_or_stuck_or_neither() {
        let pulse = Arc::new(Pulse::default());
        let start = pulse.look();
        assert!(pulse.look().is_idle_since(&start, 10));
        let answering = Pulse::answering(&pulse);
        assert!(!pulse.look().is_idle_since(&start, 10) && !pulse.evict());
        let sending = Sending::new(Body::empty(), &pulse, false);
        drop(answering);
        let first = pulse.look();
        assert!(!first.is_stuck_since(&start, 10), "it had nothing to take before");
        assert!(pulse.look().is_stuck_since(&first, 10) && !pulse.evict());
        pulse.moved(10);
        assert!(!pulse.look().is_stuck_since(&first, 10));
        drop(sending);
        let last = pulse.look();
        assert!(!last.is_idle_since(&start, 10), "there was a request");
        assert!(!last.is_idle_since(&first, 10), "something was taken");
        assert!(pulse.look().is_idle_since(&last, 10));
        let stream = Sending::new(Body::empty(), &pulse, true);
        let streaming = pulse.look();
        assert!(!pulse.look().is_idle_since(&streaming, 10), "somebody looks");
        assert!(!pulse.look().is_stuck_since(&streaming, 10), "a stream stands still most of the time");
        drop(stream);
        assert!(pulse.look().is_idle_since(&last, 10));
        assert!(pulse.evict());
        assert!(!pulse.evict(), "it is on its way already");
    }
}
