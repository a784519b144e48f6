//! The second half of a login: a code of the second factor.
//!
//! Who gave the right password gets a challenge, and nobody else: an answer to a challenge needs the password no more,
//! for a few minutes. Codes have counters of their own, so that who knows the password cannot guess on for free, and
//! cannot shut out a device that was here before.

use super::{LoggedIn, Login, Refused, same};
use crate::app::App;
use crate::error::{Error, Result};
use crate::factors::Code;
use crate::ports::{LoginKey, UserRecord};
use crate::sessions::SessionText;
use actifix_domain::access::Actor;
use actifix_domain::audit::Action;
use actifix_domain::login::{FAILURES_MAX, LoginEnd, LoginKind};
use actifix_domain::time::{MINUTE, SECOND, Timestamp};
use serde_json::json;

/// How long a challenge may be answered.
pub const CHALLENGE_MICROS: i64 = 5 * MINUTE;

/// What is asked of whoever gave the right password of an account with a second factor.
#[derive(Debug)]
pub struct Challenge {
    /// What the answer names.
    pub text: SessionText,
    /// Seconds in which it must come.
    pub expires_in_seconds: i64,
    /// A code came with the password, and it was wrong, late, early, or used before.
    pub wrong: bool,
}

impl App {
    /// Ends a login with a code: of an authenticator app, or one of the recovery codes.
    ///
    /// # Errors
    /// `Throttled` beyond a budget, before the code is looked at.
    pub async fn answer_challenge(
        &self,
        challenge: &str,
        code: &str,
        device: Option<&str>,
    ) -> Result<std::result::Result<Login, Refused>> {
        let Some(user) = self.challenged(challenge).await? else { return Ok(Err(Refused)) };
        self.second_half(&user, Some(code), device).await
    }

    /// What follows the right password.
    pub(super) async fn second_half(
        &self,
        user: &UserRecord,
        code: Option<&str>,
        device: Option<&str>,
    ) -> Result<std::result::Result<Login, Refused>> {
        if !user.second_factor {
            return Ok(Ok(Login::In(Box::new(self.begin(user.clone(), "password").await?))));
        }
        let target = format!("user:{}", user.name);
        let Some(code) = code else {
            let actor = claimed(user);
            self.record_act(&actor, Action::LoginChallenged, target, json!({})).await?;
            return Ok(Ok(Login::CodeNeeded(self.challenge(user, false))));
        };
        let device = match device {
            Some(text) => self.known_device(user, text).await?,
            None => None,
        };
        let key = self.code_key(user, device.as_deref());
        let failures = match self.admit_code(key).await {
            Ok(failures) => failures,
            Err(error) => {
                if matches!(error, Error::Throttled { .. }) {
                    self.login_throttled(target).await;
                }
                return Err(error);
            }
        };
        if failures < FAILURES_MAX {
            let taken = self.take_code(&claimed(user), user, code).await?;
            if taken != Code::Wrong {
                self.store.settle_login(&[(key, LoginEnd::Right)]).await?;
                let begun: LoggedIn = self.begin(user.clone(), "second_factor").await?;
                return Ok(Ok(Login::In(Box::new(begun))));
            }
        }
        if failures + 1 == FAILURES_MAX && device.is_none() {
            self.account_locked(user).await;
        }
        self.login_failed(target, "code").await;
        Ok(Ok(Login::CodeNeeded(self.challenge(user, true))))
    }

    async fn admit_code(&self, key: LoginKey) -> Result<u32> {
        self.glance(&[key]).await?;
        self.take_login(&[key]).await
    }

    fn code_key(&self, user: &UserRecord, device: Option<&str>) -> LoginKey {
        match device {
            Some(device) => self.login_key(LoginKind::DeviceCode, device.as_bytes()),
            None => self.login_key(LoginKind::Code, user.id.as_bytes()),
        }
    }

    fn challenge(&self, user: &UserRecord, wrong: bool) -> Challenge {
        let until = self.now().plus(CHALLENGE_MICROS).micros();
        let mac = self.challenge_mac(user, until);
        let text = SessionText::from_text(format!("{}.{until}.{mac}", user.id));
        Challenge { text, expires_in_seconds: CHALLENGE_MICROS / SECOND, wrong }
    }

    /// Whose challenge it is; nobody's when it is not one of ours, is over, or the account was changed since.
    async fn challenged(&self, text: &str) -> Result<Option<UserRecord>> {
        let mut parts = text.splitn(3, '.');
        let (Some(id), Some(until), Some(mac)) = (parts.next(), parts.next(), parts.next()) else {
            return Ok(None);
        };
        let Ok(until) = until.parse::<i64>() else { return Ok(None) };
        let left = Timestamp::from_micros(until).since(self.now());
        if id.len() != 16 || !(0..=CHALLENGE_MICROS).contains(&left) {
            return Ok(None);
        }
        let Some(user) = self.store.user_by_id(id).await? else { return Ok(None) };
        let right = same(mac.as_bytes(), self.challenge_mac(&user, until).as_bytes());
        Ok((right && user.disabled_at.is_none() && user.second_factor).then_some(user))
    }

    fn challenge_mac(&self, user: &UserRecord, until: i64) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.challenge_key);
        for part in [user.id.as_bytes(), user.verifier.as_bytes()] {
            hasher.update(&part.len().to_le_bytes()).update(part);
        }
        let hash = hasher.update(&user.epoch.to_le_bytes()).update(&until.to_le_bytes()).finalize();
        hash.to_hex().to_string()
    }
}

/// The person that a record is about who has proven only a part yet.
fn claimed(user: &UserRecord) -> Actor {
    Actor::User {
        id: user.id.clone(),
        name: user.name.clone(),
        scopes: [].into(),
        session: String::new(),
        authenticated_at: Timestamp::default(),
    }
}
