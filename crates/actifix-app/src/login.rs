//! Logging in: slow for guessers, open for who was here before, and telling nobody which names exist.
//!
//! Unknown name, wrong password, closed account and locked account give one answer at one cost. Attempts are counted by
//! network and account, or by device (`gate`): a device that logged in before brings a signed cookie and has counts
//! of its own, so that strangers who use up an account's, or lock it, do not lock its owner out.

mod gate;
mod second;

pub use second::{CHALLENGE_MICROS, Challenge};

use crate::accounts::{Caller, PASSWORD_BYTES_MAX, Permit, Verifiers, canonical_name};
use crate::app::App;
use crate::audit;
use crate::error::{Error, Result};
use crate::ports::{LoginKey, SessionRecord, UserRecord};
use crate::sessions::{SESSION_MICROS, SessionText, hash_of};
use actifix_domain::access::Actor;
use actifix_domain::audit::Action;
use actifix_domain::login::{FAILURES_MAX, LoginKind};
use serde_json::json;

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

/// How far a login came that began with the right password.
#[derive(Debug)]
pub enum Login {
    /// All the way.
    In(Box<LoggedIn>),
    /// The account has a second factor: a code is missing, or was wrong.
    CodeNeeded(Challenge),
}

/// The answer to every login that does not succeed.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused;

impl App {
    /// Logs a person in. `code` is one of the second factor, where the account has one and it is at hand already;
    /// `device` is the value of the cookie that an earlier login left, if there is one.
    ///
    /// # Errors
    /// `Throttled` beyond a budget, before the password is looked at, and when too many log in at once.
    pub async fn log_in(
        &self,
        name: &str,
        password: &str,
        code: Option<&str>,
        device: Option<&str>,
    ) -> Result<std::result::Result<Login, Refused>> {
        // Before the password is looked at: in a lockdown nobody learns whether it is right.
        self.require_open()?;
        let name = canonical_name(name);
        let user = self.store.user(&name).await?;
        let known = match (&user, device) {
            (Some(user), Some(text)) => self.known_device(user, text).await?,
            _ => None,
        };
        let door = self.door(&name, user.as_ref(), known.as_deref());
        let target = match &user {
            Some(user) => format!("user:{}", user.name),
            // People type passwords where their name belongs: what nobody is called is not written down.
            None => "user:unknown".to_owned(),
        };
        let caller = if known.is_some() { Caller::Known } else { Caller::Stranger };
        let (permit, failures) = match self.admit_login(&door.keys(), caller).await {
            Ok(admitted) => admitted,
            Err(error) => {
                if matches!(error, Error::Throttled { .. }) {
                    self.login_throttled(target).await;
                }
                return Err(error);
            }
        };
        // Longer ones are refused without looking at the account: the cost must not depend on who is asked for.
        let right = password.len() <= PASSWORD_BYTES_MAX
            && self
                .verifiers
                .check(permit, password, user.as_ref().map(|user| user.verifier.as_str()))
                .await?;
        let reason = match &user {
            None => "unknown",
            Some(_) if !right => "password",
            Some(user) if user.disabled_at.is_some() => "disabled",
            Some(_) if failures >= FAILURES_MAX && known.is_none() => "locked",
            Some(user) => {
                self.login_was_right(&door).await?;
                let user = self.strengthened(user.clone(), password).await?;
                return self.second_half(&user, code, device).await;
            }
        };
        if let (Some(user), Some(FAILURES_MAX), None) = (&user, failures.checked_add(1), &known) {
            self.account_locked(user).await;
        }
        self.login_failed(target, reason).await;
        Ok(Err(Refused))
    }

    async fn login_failed(&self, target: String, reason: &'static str) {
        crate::auth_log::refused("login");
        tracing::warn!(reason, "login.failed");
        self.record_refusal(None, Action::LoginFailed, target, json!({ "reason": reason })).await;
    }

    /// The account with a verifier of today's strength, which needs the password.
    async fn strengthened(&self, mut user: UserRecord, password: &str) -> Result<UserRecord> {
        if Verifiers::is_weak(&user.verifier) {
            let stronger = self.verifiers.make(password).await?;
            self.store.upgrade_verifier(&user.id, &user.verifier, &stronger).await?;
            user.verifier = stronger;
        }
        Ok(user)
    }

    /// Lets an attempt in: first at a glance, then with leave to spend what it costs, then counted. Floods are so
    /// refused where that costs least, and nothing is written that is not looked at.
    async fn admit_login(&self, keys: &[LoginKey], caller: Caller) -> Result<(Permit, u32)> {
        self.glance(keys).await?;
        let permit = self.verifiers.permit(caller).await?;
        let failures = self.take_login(keys).await?;
        Ok((permit, failures))
    }

    async fn login_throttled(&self, target: String) {
        self.record_refusal(None, Action::LoginThrottled, target, json!({})).await;
        crate::auth_log::refused("throttled");
        let who = audit::address().map_or_else(|| "local".to_owned(), |address| address.to_string());
        self.was_limited("login", self.limited_name(who.as_bytes()), 1);
    }

    async fn account_locked(&self, user: &UserRecord) {
        tracing::error!(user = %user.name, "login.account_locked");
        crate::auth_log::refused("locked");
        let detail = json!({ "failures": FAILURES_MAX });
        self.record_refusal(None, Action::UserLocked, format!("user:{}", user.name), detail).await;
    }

    /// Begins a session of a person who proved who they are, and says how.
    pub(crate) async fn begin(&self, user: UserRecord, by: &'static str) -> Result<LoggedIn> {
        self.require_open()?;
        let (now, mut random) = (self.now(), [0u8; 32]);
        self.ids.random(&mut random);
        let cookie = SessionText::of(&random);
        let mut id = [0u8; 8];
        self.ids.random(&mut id);
        let session = SessionRecord {
            hash: hash_of(cookie.reveal()),
            id: hex::encode(id),
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
        self.store.begin_session(&session, &user, &record).await?;
        let mut device = [0u8; 16];
        self.ids.random(&mut device);
        let device = self.device_text(&user, &hex::encode(device));
        let csrf = self.csrf_of(&session);
        Ok(LoggedIn { user, session, cookie, device, csrf })
    }

    /// Requires that whoever acts proves anew that it is them.
    pub(crate) async fn confirm_password(&self, actor: &Actor, password: &str) -> Result<()> {
        let Actor::User { name, session, .. } = actor else {
            return Err(Error::Forbidden { needs: "a person who logged in" });
        };
        let key = self.login_key(LoginKind::Session, session.as_bytes());
        let (permit, failures) = self.admit_login(&[key], Caller::Known).await?;
        let user = self.store.user(name).await?;
        let right = password.len() <= PASSWORD_BYTES_MAX
            && self
                .verifiers
                .check(permit, password, user.as_ref().map(|user| user.verifier.as_str()))
                .await?;
        if right {
            return self.confirmation_was_right(session).await;
        }
        Err(self.confirmation_failed(actor, name, session, failures, "the right password").await?)
    }

    /// The id of a device that a person logged in with, unless that failed too often since.
    async fn known_device(&self, user: &UserRecord, text: &str) -> Result<Option<String>> {
        let Some(id) = self.device_of(user, text) else { return Ok(None) };
        let keys = [LoginKind::Device, LoginKind::DeviceCode].map(|kind| self.login_key(kind, id.as_bytes()));
        let failures = self.store.login_failures(&keys).await?;
        Ok(failures.iter().all(|failures| *failures < FAILURES_MAX).then_some(id))
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

/// Compares without telling by time where they differ.
pub(crate) fn same(left: &[u8], right: &[u8]) -> bool {
    // Both are hashed first: what time tells of digests tells nothing of what was hashed.
    blake3::hash(left) == blake3::hash(right)
}
