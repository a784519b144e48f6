//! Logging in: slow for guessers, open for who was here before, and telling nobody which names exist.
//!
//! Unknown name, wrong password, closed account and locked account give one answer at one cost. Budgets: by network,
//! by account, and by device: a device that logged in before brings a signed cookie and has a budget of its own, so
//! that strangers who use up an account's budget, or lock it, do not lock its owner out.

use crate::accounts::{Verifiers, canonical_name};
use crate::app::App;
use crate::audit;
use crate::error::{Error, Result};
use crate::ports::{SessionRecord, UserRecord};
use crate::sessions::{SESSION_MICROS, SessionText, hash_of};
use actifix_domain::access::Actor;
use actifix_domain::audit::Action;
use actifix_domain::time::{MINUTE, SECOND};
use serde_json::json;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Failed logins in a row from unknown devices that lock an account for them.
pub const FAILURES_MAX: u32 = 100;
/// Failures in a row before each further one costs a wait.
const FAILURES_FREE: u32 = 5;
/// Longest wait, seconds.
const WAIT_SECONDS_MAX: i64 = 300;
/// Budgets that are remembered; the oldest go first.
const BUDGETS_MAX: usize = 10_000;

/// What a login gives.
#[derive(Debug)]
pub struct LoggedIn {
    /// Who.
    pub user: UserRecord,
    /// The session.
    pub session: SessionRecord,
    /// Value of the session's cookie.
    pub cookie: SessionText,
    /// Value of the device's cookie.
    pub device: SessionText,
    /// What unsafe requests name in `X-CSRF-Token`.
    pub csrf: String,
}

/// The answer to every login that does not succeed.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused;

/// Attempts of the last minute and failures in a row, by key.
#[derive(Default)]
pub(crate) struct LoginGate(Mutex<HashMap<String, Budget>>);

struct Budget {
    window: i64,
    used: u32,
    failures: u32,
    last_failure: i64,
}

impl LoginGate {
    /// Takes one attempt of each key, of `per_minute` that each has; seconds to wait where one of them has none left.
    fn take(&self, keys: &[String], per_minute: u32, now: i64) -> Result<(), u64> {
        let mut budgets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if budgets.len() + keys.len() > BUDGETS_MAX {
            budgets.retain(|_, budget| now - budget.last_failure.max(budget.window) < MINUTE * 10);
            if budgets.len() + keys.len() > BUDGETS_MAX {
                budgets.clear();
            }
        }
        let mut wait = 0;
        for key in keys {
            let budget = budgets.entry(key.clone()).or_insert(Budget {
                window: now,
                used: 0,
                failures: 0,
                last_failure: i64::MIN / 2,
            });
            if now - budget.window >= MINUTE {
                budget.window = now;
                budget.used = 0;
            }
            if budget.used >= per_minute {
                wait = wait.max(budget.window + MINUTE - now);
            }
            wait = wait.max(budget.last_failure.saturating_add(pause(budget.failures)) - now);
        }
        if wait > 0 {
            return Err(u64::try_from(wait / SECOND + 1).unwrap_or(1));
        }
        for key in keys {
            if let Some(budget) = budgets.get_mut(key) {
                budget.used += 1;
            }
        }
        Ok(())
    }

    fn failed(&self, key: &str, now: i64) {
        let mut budgets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(budget) = budgets.get_mut(key) {
            budget.failures = budget.failures.saturating_add(1);
            budget.last_failure = now;
        }
    }

    fn succeeded(&self, key: &str) {
        let mut budgets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(budget) = budgets.get_mut(key) {
            budget.failures = 0;
        }
    }

    /// Forgets what was counted for an account.
    pub(crate) fn forget(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&account_key(name));
    }
}

/// The wait after so many failures in a row: 2 s, 4 s, 8 s and so on.
fn pause(failures: u32) -> i64 {
    match failures.saturating_sub(FAILURES_FREE) {
        0 => 0,
        more => (1i64 << more.min(20)).min(WAIT_SECONDS_MAX) * SECOND,
    }
}

fn account_key(name: &str) -> String {
    format!("account {name}")
}

/// Addresses that one person has at their hands: one of IPv4, a /64 of IPv6.
fn network_key(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => format!("network {v4}"),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("network {a:x}:{b:x}:{c:x}:{d:x}/64")
        }
    }
}

impl App {
    /// Logs a person in. `device` is the value of the cookie that an earlier login left, if there is one.
    ///
    /// # Errors
    /// `Throttled` beyond a budget, before the password is looked at; `Unavailable` when too many log in at once.
    pub async fn log_in(
        &self,
        name: &str,
        password: &str,
        device: Option<&str>,
    ) -> Result<std::result::Result<LoggedIn, Refused>> {
        let name = canonical_name(name);
        let user = self.store.user(&name).await?;
        let known_device = match (&user, device) {
            (Some(user), Some(text)) => self.device_of(user, text),
            _ => None,
        };
        let budget = known_device.as_ref().map_or_else(|| account_key(&name), |id| format!("device {id}"));
        let mut keys = vec![budget.clone()];
        if let (Some(address), None) = (audit::address(), &known_device) {
            keys.push(network_key(address));
        }
        let target = format!("user:{name}");
        let now = self.clock.monotonic_micros();
        if let Err(retry_after_seconds) =
            self.login_gate.take(&keys, self.settings.api_limits.login_per_minute, now)
        {
            self.record_refusal(None, Action::LoginThrottled, target, json!({})).await;
            metrics::counter!("actifix_auth_failures_total", "reason" => "throttled").increment(1);
            return Err(Error::Throttled { retry_after_seconds });
        }
        // Longer ones are refused without looking at the account: the cost must not depend on who is asked for.
        let right = password.len() <= crate::accounts::PASSWORD_BYTES_MAX
            && self.verifiers.check(password, user.as_ref().map(|user| user.verifier.as_str())).await?;
        let reason = match &user {
            None => "unknown",
            Some(_) if !right => "password",
            Some(user) if user.disabled_at.is_some() => "disabled",
            Some(user) if user.failures >= FAILURES_MAX && known_device.is_none() => "locked",
            Some(user) => {
                self.login_gate.succeeded(&budget);
                let begun = self.begin(user.clone(), "password").await?;
                if Verifiers::is_weak(&begun.user.verifier) {
                    let stronger = self.verifiers.make(password).await?;
                    self.store.upgrade_verifier(&begun.user.id, &begun.user.verifier, &stronger).await?;
                }
                return Ok(Ok(begun));
            }
        };
        self.login_gate.failed(&budget, self.clock.monotonic_micros());
        if let (Some(user), "password", None) = (&user, reason, &known_device) {
            self.store.login_failed(&user.id).await?;
        }
        metrics::counter!("actifix_auth_failures_total", "reason" => "login").increment(1);
        tracing::warn!(reason, "login.failed");
        self.record_refusal(None, Action::LoginFailed, target, json!({ "reason": reason })).await;
        Ok(Err(Refused))
    }

    /// Begins a session of a person who proved who they are, and says how.
    pub(crate) async fn begin(&self, user: UserRecord, by: &'static str) -> Result<LoggedIn> {
        let (now, mut random) = (self.now(), [0u8; 32]);
        self.ids.random(&mut random);
        let cookie = SessionText::of(&random);
        let mut id = [0u8; 8];
        self.ids.random(&mut id);
        let session = SessionRecord {
            hash: hash_of(cookie.reveal()),
            id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
            user_id: user.id.clone(),
            user: user.name.clone(),
            created_at: now,
            seen_at: now,
            authenticated_at: now,
            expires_at: now.plus(SESSION_MICROS),
            network: audit::address().map(|address| address.to_string()),
        };
        let actor = Self::actor_of(&session, &user);
        let target = format!("session:{}", session.id);
        let record = self.audit(&actor, Action::LoginOk, target, None, json!({ "by": by }));
        self.store.begin_session(&session, &user.verifier, &record).await?;
        let mut device = [0u8; 16];
        self.ids.random(&mut device);
        let device = self.device_text(&user, &hex(&device));
        let csrf = self.csrf_of(&session);
        Ok(LoggedIn { user, session, cookie, device, csrf })
    }

    /// Requires that whoever acts proves anew that it is them.
    pub(crate) async fn confirm_password(&self, actor: &Actor, password: &str) -> Result<()> {
        let Actor::User { name, .. } = actor else {
            return Err(Error::Forbidden { needs: "a person who logged in" });
        };
        let keys = [account_key(name)];
        let now = self.clock.monotonic_micros();
        self.login_gate
            .take(&keys, self.settings.api_limits.login_per_minute, now)
            .map_err(|retry_after_seconds| Error::Throttled { retry_after_seconds })?;
        let user = self.store.user(name).await?;
        if self.verifiers.check(password, user.as_ref().map(|user| user.verifier.as_str())).await? {
            return Ok(());
        }
        self.login_gate.failed(&account_key(name), now);
        let target = format!("user:{name}");
        self.record_refusal(Some(actor), Action::LoginFailed, target, json!({ "reason": "confirm" })).await;
        Err(Error::Forbidden { needs: "the right password" })
    }

    /// Cookie of a device: an id and a keyed hash over it and the person. It opens nothing by itself.
    fn device_text(&self, user: &UserRecord, id: &str) -> SessionText {
        SessionText::from_text(format!("{id}.{}", self.device_mac(user, id)))
    }

    fn device_of(&self, user: &UserRecord, text: &str) -> Option<String> {
        let (id, mac) = text.split_once('.')?;
        let right = id.len() == 32 && same(mac.as_bytes(), self.device_mac(user, id).as_bytes());
        right.then(|| id.to_owned())
    }

    fn device_mac(&self, user: &UserRecord, id: &str) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.device_key);
        hasher.update(user.id.as_bytes()).update(b"\0").update(id.as_bytes());
        // A new password makes strangers of all devices.
        hasher.update(&user.password_at.micros().to_le_bytes());
        hasher.finalize().to_hex().to_string()
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares without telling by time where they differ.
pub(crate) fn same(left: &[u8], right: &[u8]) -> bool {
    // Both are hashed first: what time tells of digests tells nothing of what was hashed.
    blake3::hash(left) == blake3::hash(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PER_MINUTE: u32 = 10;

    #[test]
    fn waits_grow_with_failures_and_end() {
        assert_eq!((pause(0), pause(FAILURES_FREE)), (0, 0));
        assert_eq!(pause(FAILURES_FREE + 1), 2 * SECOND);
        assert_eq!(pause(FAILURES_FREE + 3), 8 * SECOND);
        assert_eq!(pause(u32::MAX), WAIT_SECONDS_MAX * SECOND);
    }

    #[test]
    fn a_budget_is_exact_and_comes_back() {
        let gate = LoginGate::default();
        let keys = ["account a".to_owned(), "network 192.0.2.1".to_owned()];
        let let_in = (0..50).filter(|_| gate.take(&keys, PER_MINUTE, 5).is_ok()).count();
        assert_eq!(let_in, PER_MINUTE as usize);
        assert!(gate.take(&["account a".to_owned()], PER_MINUTE, 5).is_err(), "from another network as well");
        assert!(gate.take(&["device d".to_owned()], PER_MINUTE, 5).is_ok(), "a known device has its own");
        assert!(gate.take(&keys, PER_MINUTE, 5 + MINUTE).is_ok());
        for number in 0..BUDGETS_MAX * 2 {
            let _either = gate.take(&[number.to_string()], PER_MINUTE, 5);
        }
        assert!(gate.0.lock().unwrap().len() <= BUDGETS_MAX);
    }

    #[test]
    fn hops_inside_a_64_are_one_network() {
        let key = |text: &str| network_key(text.parse().unwrap());
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }
}
