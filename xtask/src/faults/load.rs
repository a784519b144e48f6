//! Clients that send events and write down what was acknowledged, and the comparison with what is there afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::http::{Begun, Client, Outcome};
use super::node::Node;

/// Groups over which events are spread.
const GROUPS: u64 = 7;

/// Numbers that look random and come again with the same seed.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn seeded(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    pub fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

/// What clients know.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Ids that were given to a socket.
    pub sent: BTreeSet<String>,
    /// Ids that were answered with 200, and when, in seconds of the wall clock.
    pub acknowledged: BTreeMap<String, f64>,
    /// Answers of other kinds, by status.
    pub refused: BTreeMap<u16, u64>,
    /// 503 without `Retry-After`.
    pub without_retry_after: u64,
    /// Connections that ended within an answer.
    pub half: u64,
}

/// How clients send.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub clients: u64,
    /// Events of each, at most.
    pub each: u64,
    pub seed: u64,
    /// Between two events of a client.
    pub pause: Duration,
    /// Bytes of noise in each event.
    pub noise_bytes: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self { clients: 4, each: u64::MAX, seed: 1, pause: Duration::ZERO, noise_bytes: 400 }
    }
}

/// An envelope of one event.
pub fn envelope(id: &str, group: u64, noise_bytes: usize) -> Vec<u8> {
    let mut random = Random::seeded(id.bytes().map(u64::from).sum());
    let mut noise = String::with_capacity(noise_bytes + 16);
    while noise.len() < noise_bytes {
        let bits = random.next();
        noise.extend(
            (0..16).map(|place| char::from(b'a' + u8::try_from(bits >> (4 * place) & 15).unwrap_or(0))),
        );
    }
    let letter = char::from(b'A' + u8::try_from(group % 26).unwrap_or(0));
    let event = json!({
        "event_id": id,
        "exception": { "values": [{
            "type": format!("Fault{letter}"),
            "value": "while something broke",
            "stacktrace": { "frames": [{ "function": "work", "module": "app.jobs", "in_app": true }] }
        }] },
        "extra": { "noise": noise },
    });
    format!("{{\"event_id\":\"{id}\"}}\n{{\"type\":\"event\"}}\n{event}\n").into_bytes()
}

/// Sends one event; its status, or none where no answer came.
pub fn send(
    client: &mut Client,
    key: &str,
    id: &str,
    noise_bytes: usize,
    ledger: &Mutex<Ledger>,
) -> Option<u16> {
    let group = id.bytes().map(u64::from).sum::<u64>() % GROUPS;
    lock(ledger).sent.insert(id.to_owned());
    let path = format!("/api/1/envelope/?sentry_key={key}");
    let outcome = client.exchange("POST", &path, "", &envelope(id, group, noise_bytes));
    let mut ledger = lock(ledger);
    match outcome {
        Outcome::Answered(answer) if answer.status == 200 => {
            ledger.acknowledged.insert(id.to_owned(), wall_seconds());
            Some(200)
        }
        Outcome::Answered(answer) => {
            *ledger.refused.entry(answer.status).or_default() += 1;
            ledger.without_retry_after +=
                u64::from(answer.status == 503 && answer.header("retry-after").is_none());
            Some(answer.status)
        }
        Outcome::Nothing => None,
        Outcome::Half => {
            ledger.half += 1;
            None
        }
    }
}

/// An event that the server has begun to read.
#[derive(Debug)]
pub struct BegunEvent {
    id: String,
    request: Begun,
}

impl BegunEvent {
    pub fn begin(node: &Node, seed: u64, ledger: &Mutex<Ledger>) -> Result<Self> {
        let mut random = Random::seeded(seed);
        let id = format!("{:016x}{:016x}", random.next(), random.next());
        lock(ledger).sent.insert(id.clone());
        let path = format!("/api/1/envelope/?sentry_key={}", node.home.key);
        let request = node.client()?.begin(&path, envelope(&id, 0, 400))?;
        Ok(Self { id, request })
    }

    /// Sends the rest; it must be taken.
    pub fn finish(self, ledger: &Mutex<Ledger>) -> Result<()> {
        let answer = self.request.finish()?;
        if answer.status != 200 {
            bail!("what was begun was answered with {} {}", answer.status, answer.text());
        }
        lock(ledger).acknowledged.insert(self.id, wall_seconds());
        Ok(())
    }
}

/// Sends until `stop`, or until each client has sent its share or lost the server for good. Refused clients go on.
pub fn run(node: &Node, plan: Plan, ledger: &Mutex<Ledger>, stop: &AtomicBool, acknowledged: &AtomicU64) {
    let (address, key) = (node.address, node.home.key.as_str());
    std::thread::scope(|scope| {
        for number in 0..plan.clients {
            scope.spawn(move || {
                let mut random = Random::seeded(plan.seed ^ (number << 48));
                let mut client = None;
                for _ in 0..plan.each {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let open = match client.take() {
                        Some(open) => Ok(open),
                        None => Client::open(address),
                    };
                    // Nobody listens any more.
                    let Ok(mut open) = open else { return };
                    let id = format!("{:016x}{:016x}", random.next(), random.next());
                    match send(&mut open, key, &id, plan.noise_bytes, ledger) {
                        Some(200) => {
                            acknowledged.fetch_add(1, Ordering::Relaxed);
                            client = Some(open);
                        }
                        Some(_) => client = Some(open),
                        None => {}
                    }
                    if !plan.pause.is_zero() {
                        std::thread::sleep(plan.pause);
                    }
                }
            });
        }
    });
}

/// Runs clients beside `work`, which ends them.
pub fn beside<T>(
    node: &Node,
    plan: Plan,
    ledger: &Mutex<Ledger>,
    work: impl FnOnce(&AtomicU64) -> Result<T>,
) -> Result<T> {
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let clients = scope.spawn(|| run(node, plan, ledger, &stop, &acknowledged));
        let done = work(&acknowledged);
        stop.store(true, Ordering::Relaxed);
        clients.join().map_err(|_| anyhow::anyhow!("a client panicked"))?;
        done
    })
}

/// Waits until a figure is reached; an error after a minute.
pub fn until(what: &str, mut reached: impl FnMut() -> Result<bool>) -> Result<()> {
    for _ in 0..6_000 {
        if reached()? {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    bail!("waited a minute in vain: {what}")
}

/// Ids that are stored, with how often, by the API.
pub fn stored(node: &Node) -> Result<BTreeMap<String, u64>> {
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    for ticket in node.list("/api/v1/tickets?project=1")? {
        let id = ticket.get("id").and_then(Value::as_str).context("a ticket without an id")?;
        let events = node.list(&format!("/api/v1/tickets/{id}/events"))?;
        let count = ticket.get("count").and_then(Value::as_u64).context("a ticket without a count")?;
        if events.len() as u64 != count {
            bail!("{id} counts {count} events, {} are stored", events.len());
        }
        for event in events {
            let id = event.get("event_id").and_then(Value::as_str).context("an event without an id")?;
            *found.entry(id.to_owned()).or_default() += 1;
        }
    }
    Ok(found)
}

/// Every acknowledged event is there, none twice, none that nobody sent.
pub fn compare(node: &Node, ledger: &Mutex<Ledger>) -> Result<()> {
    let stored = stored(node)?;
    let ledger = lock(ledger);
    let lost = ledger.acknowledged.keys().filter(|id| !stored.contains_key(*id)).count();
    let twice = stored.values().filter(|times| **times != 1).count();
    let unknown = stored.keys().filter(|id| !ledger.sent.contains(*id)).count();
    if lost + twice + unknown > 0 {
        bail!(
            "of {} acknowledged events {lost} are lost; {twice} are stored more than once, {unknown} were sent by nobody",
            ledger.acknowledged.len()
        );
    }
    Ok(())
}

/// Sends all again that was not acknowledged, as a client does; each must be taken now.
pub fn send_again(node: &Node, ledger: &Mutex<Ledger>) -> Result<usize> {
    let open: Vec<String> = {
        let ledger = lock(ledger);
        ledger.sent.iter().filter(|id| !ledger.acknowledged.contains_key(*id)).cloned().collect()
    };
    let mut client = node.client()?;
    for id in &open {
        let status = send(&mut client, &node.home.key, id, 400, ledger);
        if status != Some(200) {
            bail!("an event that was sent again was answered with {status:?}");
        }
    }
    Ok(open.len())
}

/// What clients saw, in words.
pub fn told(ledger: &Mutex<Ledger>) -> String {
    let ledger = lock(ledger);
    format!("{} acknowledged of {} sent, none lost or doubled", ledger.acknowledged.len(), ledger.sent.len())
}

pub fn lock(ledger: &Mutex<Ledger>) -> std::sync::MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The wall clock, as a tracer prints it.
pub fn wall_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
