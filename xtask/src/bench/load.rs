//! Closed-loop load: each client sends, waits for the answer, sends again, until the window ends.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::client::Client;

/// Requests of one client in one window; bounds memory (4 bytes each).
const REQUESTS_MAX: usize = 4_000_000;
/// Stack of a client's thread, bytes.
const STACK: usize = 256 * 1024;

/// What a window of load saw.
#[derive(Debug, Default)]
pub struct Window {
    pub seconds: f64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Microseconds from the first byte sent to the last byte read, sorted.
    latencies: Vec<u32>,
    /// Bytes of answers' bodies, the largest.
    pub body_bytes_max: usize,
}

impl Window {
    pub fn answers(&self) -> u64 {
        self.statuses.values().sum()
    }

    pub fn with_status(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or(0)
    }

    pub fn per_second(&self) -> f64 {
        self.answers() as f64 / self.seconds
    }

    /// Milliseconds within which this share of the answers came; 1.0 is the slowest.
    pub fn latency_ms(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let place = ((last as f64) * share).ceil() as usize;
        f64::from(self.latencies.get(place.min(last)).copied().unwrap_or(0)) / 1e3
    }

    /// Fails unless every answer had this status: refused requests are fast, and would flatter the figures.
    pub fn require(&self, status: u16, what: &str) -> Result<()> {
        if self.answers() == 0 || self.with_status(status) != self.answers() {
            bail!("{what}: not every answer was {status}, answers by status: {:?}", self.statuses);
        }
        Ok(())
    }
}

/// Drives `clients` connections for `window`. `source(n)` makes the request writer of client `n`.
pub fn drive<S, W>(address: SocketAddr, clients: usize, window: Duration, source: S) -> Result<Window>
where
    S: Fn(usize) -> W + Sync,
    W: FnMut(&mut Vec<u8>),
{
    let started = Instant::now();
    let end = started + window;
    let parts = thread::scope(|scope| {
        let mut threads = Vec::with_capacity(clients);
        for number in 0..clients {
            let source = &source;
            let work = move || one_client(address, end, source(number));
            threads.push(thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work)?);
        }
        let join = |thread: thread::ScopedJoinHandle<'_, Result<Window>>| {
            thread.join().unwrap_or_else(|_| bail!("a client's thread panicked"))
        };
        threads.into_iter().map(join).collect::<Result<Vec<_>>>()
    })?;
    let mut whole = Window { seconds: started.elapsed().as_secs_f64(), ..Window::default() };
    for part in parts {
        whole.latencies.extend(part.latencies);
        whole.body_bytes_max = whole.body_bytes_max.max(part.body_bytes_max);
        for (status, count) in part.statuses {
            *whole.statuses.entry(status).or_default() += count;
        }
    }
    whole.latencies.sort_unstable();
    Ok(whole)
}

/// Sends each of `requests` in turn over one connection until `window` ends, at most `count` in all.
pub fn sequential(
    address: SocketAddr,
    window: Duration,
    count: usize,
    mut next: impl FnMut(&mut Vec<u8>),
) -> Result<Window> {
    let started = Instant::now();
    let mut left = count;
    let mut client = Client::new(address)?;
    let mut seen = Window::default();
    let mut request = Vec::new();
    while left > 0 && started.elapsed() < window {
        left -= 1;
        request.clear();
        next(&mut request);
        exchange(&mut client, &request, &mut seen)?;
    }
    seen.seconds = started.elapsed().as_secs_f64();
    seen.latencies.sort_unstable();
    Ok(seen)
}

fn one_client(address: SocketAddr, end: Instant, mut write: impl FnMut(&mut Vec<u8>)) -> Result<Window> {
    let mut client = Client::new(address)?;
    let mut seen = Window::default();
    let mut request = Vec::new();
    while Instant::now() < end && seen.latencies.len() < REQUESTS_MAX {
        request.clear();
        write(&mut request);
        exchange(&mut client, &request, &mut seen)?;
    }
    Ok(seen)
}

fn exchange(client: &mut Client, request: &[u8], seen: &mut Window) -> Result<()> {
    let sent = Instant::now();
    let answer = client.send(request)?;
    let micros = u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX);
    seen.body_bytes_max = seen.body_bytes_max.max(answer.body.len());
    *seen.statuses.entry(answer.status).or_default() += 1;
    seen.latencies.push(micros);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_latencies() {
        let window =
            Window { latencies: (1..=1000).map(|ms| ms * 1000).collect(), seconds: 2.0, ..Window::default() };
        assert!((window.latency_ms(0.5) - 501.0).abs() < 1.5);
        assert!((window.latency_ms(1.0) - 1000.0).abs() < 0.01);
        assert!(Window::default().latency_ms(0.99).abs() < 0.01);
    }
}
