//! The ingest server with a store that keeps nothing: what HTTP and pipeline cost without a database.
//!
//! `cargo xtask bench` starts it, reads its address and its key from the first lines, and sends it the same load as
//! the real one. Every event is decoded, redacted, normalised and grouped; then it is dropped.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for measuring, never in a release"
)]

mod floor_store;

use actifix_app::App;
use actifix_app::app::AppSettings;
use actifix_app::error::{Error, Result};
use actifix_app::ports::{Clock, Ids, Vault};
use actifix_domain::bucket::RateLimits;
use actifix_domain::id::EventId;
use actifix_domain::time::Timestamp;
use actifix_web::layers::Hosts;
use actifix_web::server::{Door, ServerLimits, listen, reserve, serve};
use actifix_web::{Edge, Module};
use floor_store::{KEY, NullStore};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

struct RealClock(Instant);

impl Clock for RealClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap())
    }

    fn monotonic_micros(&self) -> i64 {
        i64::try_from(self.0.elapsed().as_micros()).unwrap()
    }
}

/// Counts; nobody has to guess these ids.
struct CountedIds(AtomicU64);

impl Ids for CountedIds {
    fn event_id(&self) -> EventId {
        let mut id = [0; 16];
        self.random(&mut id);
        EventId(id)
    }

    fn random(&self, out: &mut [u8]) {
        let number = self.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for (slot, byte) in out.iter_mut().zip(number.to_be_bytes().into_iter().cycle()) {
            *slot = byte;
        }
    }
}

/// Derives fixed keys and seals nothing: the load holds nothing to seal.
struct FixedVault;

impl Vault for FixedVault {
    fn derive(&self, purpose: &'static str) -> [u8; 32] {
        let mut key = [7; 32];
        for (slot, byte) in key.iter_mut().zip(purpose.bytes()) {
            *slot ^= byte;
        }
        key
    }

    fn seal(&self, _purpose: &'static str, _clear: &[u8]) -> Result<Vec<u8>> {
        Err(Error::Unavailable { message: "the floor seals nothing", retry_after_seconds: 1 })
    }

    fn open(&self, _purpose: &'static str, _sealed: &[u8]) -> Result<Vec<u8>> {
        Err(Error::Unavailable { message: "the floor opens nothing", retry_after_seconds: 1 })
    }
}

#[tokio::main]
async fn main() {
    let socket = listen(reserve(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let settings = AppSettings {
        public_url: format!("http://{address}"),
        limits: Default::default(),
        announce_dropped_kinds: true,
        rates: RateLimits::default(),
        api_limits: Default::default(),
        rate_limit_disabled: true,
        sample_after: 0,
        retention: Default::default(),
        backup_every_hours: None,
        decode_parallel: std::thread::available_parallelism().map_or(2, usize::from),
        outbound: Default::default(),
        outbound_timeout_seconds: 5,
        in_effect: Vec::new(),
        cors_origins: Vec::new(),
        security_txt: None,
    };
    let clock = Arc::new(RealClock(Instant::now()));
    let ids = Arc::new(CountedIds(AtomicU64::new(1)));
    let app = App::new(Arc::new(NullStore), clock, ids, Arc::new(FixedVault), settings);
    let hosts = Hosts::new(&app.settings().public_url, [address.ip()], &[]);
    let router = actifix_web::router(&app, &[Module::Ingest], Edge { hosts, ..Edge::default() }, None);
    println!("listening on http://{address}");
    println!("DSN          http://{KEY}@{address}/1");
    println!("Point an SDK at it, nothing is kept");
    let (_stop, stopped) = watch::channel(false);
    // Runs until it is killed: it has nothing to lose.
    serve(Door::Tcp(socket, None), router, ServerLimits::default(), stopped).await;
}
