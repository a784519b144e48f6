//! Requests that may be repeated: what carries an `Idempotency-Key` happens once, and its answer is given again.
//!
//! Follows the IETF draft "The Idempotency-Key HTTP Header Field". Only answers of success are kept, since a request
//! that failed changed nothing and may be tried again. An answer may hold a token that is shown once, so it is
//! sealed. A server that dies between the change and the keeping of its answer does the change again on a repeat.

use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::KeptAnswer;
use actifix_domain::access::Actor;
use actifix_domain::time::DAY;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Longest key, bytes.
pub const KEY_BYTES_MAX: usize = 255;
/// Largest answer that is kept, bytes. None of ours comes near it.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;
/// How long an answer is kept.
const KEPT_MICROS: i64 = DAY;
/// Requests with a key that are at work at the same time.
const IN_FLIGHT_MAX: usize = 1_000;
/// Vault purpose.
const ANSWERS: &str = "answers";

/// An answer of success.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers that belong to it, by name.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

/// What a key says about a request.
#[derive(Debug)]
pub enum Once {
    /// It is new: do it, then [`App::keep_answer`].
    First(Claim),
    /// It was done: this was the answer.
    Again(Answer),
}

/// The right to do a request, until it is dropped.
#[derive(Debug)]
pub struct Claim {
    key: [u8; 32],
    request: [u8; 32],
    in_flight: Arc<InFlight>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.in_flight.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// Keys whose requests are at work.
#[derive(Debug, Default)]
pub(crate) struct InFlight(Mutex<HashSet<[u8; 32]>>);

impl App {
    /// Asks whether the request was done before. `request` is all that makes it what it is: method, path, body.
    ///
    /// # Errors
    /// `Invalid` for a malformed key or one that was used for another request, `Conflict` while the first request
    /// is at work, `Unavailable` when too many are.
    pub async fn once(&self, actor: &Actor, key: &str, request: &[&[u8]]) -> Result<Once> {
        if key.is_empty()
            || key.len() > KEY_BYTES_MAX
            || !key.bytes().all(|byte| (0x20..0x7f).contains(&byte))
        {
            return Err(Error::invalid(
                "Idempotency-Key",
                format!("expected 1 to {KEY_BYTES_MAX} printable ASCII characters, such as a UUID"),
            ));
        }
        let key = self.hash_parts(&[actor.credential().as_bytes(), key.as_bytes()]);
        let request = self.hash_parts(request);
        {
            let mut in_flight = self.in_flight.0.lock().unwrap_or_else(PoisonError::into_inner);
            if in_flight.len() >= IN_FLIGHT_MAX {
                return Err(Error::Unavailable {
                    message: "too many requests are at work",
                    retry_after_seconds: 1,
                });
            }
            if !in_flight.insert(key) {
                return Err(Error::conflict(
                    "the first request with this Idempotency-Key is still at work: try again in a second",
                ));
            }
        }
        let claim = Claim { key, request, in_flight: Arc::clone(&self.in_flight) };
        let Some(kept) = self.store.kept_answer(&key, self.now()).await? else {
            return Ok(Once::First(claim));
        };
        if kept.request != request {
            return Err(Error::invalid(
                "Idempotency-Key",
                "was used for another request in the last 24 hours: make a new key for each request",
            ));
        }
        let clear = self.vault.open(ANSWERS, &kept.sealed)?;
        serde_json::from_slice(&clear).map(Once::Again).map_err(Error::internal)
    }

    /// Keeps the answer of a request that was done.
    pub async fn keep_answer(&self, claim: Claim, answer: &Answer) -> Result<()> {
        let clear = serde_json::to_vec(answer).map_err(Error::internal)?;
        let sealed = self.vault.seal(ANSWERS, &clear)?;
        let now = self.now();
        let kept =
            KeptAnswer { key: claim.key, request: claim.request, sealed, expires_at: now.plus(KEPT_MICROS) };
        self.store.keep_answer(kept, now).await
    }

    /// Keyed hash in which no part can pose as two.
    fn hash_parts(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.answer_key);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        *hasher.finalize().as_bytes()
    }
}
