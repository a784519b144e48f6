//! Second factors: one-time passwords by time (RFC 6238: SHA-1, six digits, 30 seconds, as every authenticator app
//! knows them) and recovery codes.
//!
//! The secret is kept under the vault, bound to its owner; recovery codes are kept as keyed hashes. A code is good for
//! its time step and one before and after, once. Who begins an enrolment or ends one proves anew who they are.

use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::{FactorRecord, SessionsOf, UserRecord};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::audit::Action;
use actifix_domain::login::{LoginEnd, LoginKind};
use actifix_domain::time::{MINUTE, Timestamp};
use serde::Serialize;
use serde_json::json;
use std::fmt;
use totp_rs::{Algorithm, Builder, Totp};
use zeroize::Zeroizing;

/// Recovery codes of one enrolment.
pub const RECOVERY_CODES: usize = 10;
/// Digits of a recovery code; each holds five bits.
const RECOVERY_DIGITS: usize = 16;
/// An enrolment that is not confirmed within this time begins anew.
pub const ENROL_MICROS: i64 = 10 * MINUTE;
/// Bytes of a secret, as long as the hash.
const SECRET_BYTES: usize = 20;
/// Steps before and after the present one whose codes are good.
const SKEW_STEPS: u16 = 1;
/// Length of a time step, seconds.
const STEP_SECONDS: u64 = 30;
/// Longest code that is looked at, bytes.
const CODE_BYTES_MAX: usize = 64;
/// Wrong proofs in a row of somebody who is logged in that end the session: whoever took over an open browser gets no
/// more.
pub(crate) const CONFIRM_FAILURES_MAX: u32 = 10;
const PURPOSE: &str = "totp";

/// A secret that is about to be used, shown once to its owner. No `Debug` prints it.
pub struct Enrolment {
    /// The secret in base 32, to be typed in.
    pub secret: Zeroizing<String>,
    /// The same as an address that authenticator apps read, for a QR code.
    pub uri: Zeroizing<String>,
    /// It must be confirmed until then.
    pub expires_at: Timestamp,
}

impl fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Enrolment(…)")
    }
}

/// Recovery codes, shown once. No `Debug` prints them.
pub struct RecoveryCodes(pub Zeroizing<Vec<String>>);

impl fmt::Debug for RecoveryCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCodes(…)")
    }
}

/// State of a person's second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FactorView {
    /// Whether a login asks for it.
    pub enabled: bool,
    /// Since when.
    pub confirmed_at: Option<Timestamp>,
    /// Recovery codes that were not used yet.
    pub recovery_codes_left: u32,
}

/// What a code turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// A code of a time step, which is taken now.
    Step,
    /// A recovery code, which is used up now.
    Recovery,
    /// Wrong, late, early, or used before.
    Wrong,
}

impl App {
    /// State of the actor's own second factor.
    pub async fn own_factor(&self, actor: &Actor) -> Result<FactorView> {
        let (user, _) = self.person(actor).await?;
        let factor = self.store.factor(&user.id).await?.filter(|factor| factor.confirmed_at.is_some());
        Ok(FactorView {
            enabled: factor.is_some(),
            confirmed_at: factor.as_ref().and_then(|factor| factor.confirmed_at),
            recovery_codes_left: factor.map_or(0, |factor| factor.recovery_left),
        })
    }

    /// Begins the enrolment of a second factor, for whoever gives the password. Nothing is asked for yet.
    pub async fn begin_factor(&self, actor: &Actor, password: &str) -> Result<Enrolment> {
        let (user, _) = self.person(actor).await?;
        self.confirm_password(actor, password).await?;
        let mut secret = Zeroizing::new([0u8; SECRET_BYTES]);
        self.ids.random(secret.as_mut());
        let factor = FactorRecord {
            user_id: user.id.clone(),
            sealed: self.vault.seal(PURPOSE, &bound(&user.id, secret.as_ref()))?,
            created_at: self.now(),
            confirmed_at: None,
            last_step: 0,
            recovery_left: 0,
        };
        let audit = self.audit(actor, Action::TotpStarted, format!("user:{}", user.name), None, json!({}));
        self.store.begin_factor(&factor, &audit).await?;
        let totp = totp(secret.as_ref(), &user.name, &self.issuer())?;
        Ok(Enrolment {
            secret: Zeroizing::new(totp.secret().to_base32()),
            uri: Zeroizing::new(totp.to_url().map_err(Error::internal)?),
            expires_at: factor.created_at.plus(ENROL_MICROS),
        })
    }

    /// Ends the enrolment with a code that proves that the secret arrived; from now on each login asks for one. All
    /// other sessions end. Returns the recovery codes, which are shown never again.
    pub async fn confirm_factor(&self, actor: &Actor, code: &str) -> Result<RecoveryCodes> {
        let (user, session) = self.person(actor).await?;
        let begun = self.store.factor(&user.id).await?.filter(|factor| {
            factor.confirmed_at.is_none() && self.now().since(factor.created_at) < ENROL_MICROS
        });
        let factor = begun.ok_or_else(|| Error::conflict("no enrolment is under way: begin it again"))?;
        // Whoever has the session but not the secret must not guess it: it would give them the recovery codes.
        let failures = self.take_confirmation(session).await?;
        let Some(step) = self.step_of(&factor, code)? else {
            return Err(self
                .confirmation_failed(actor, &user.name, session, failures, "the right code")
                .await?);
        };
        let (codes, hashes) = self.new_recovery_codes(&user.id);
        let target = format!("user:{}", user.name);
        let audit = self.audit(actor, Action::TotpConfirmed, target, None, json!({}));
        self.store.confirm_factor(&factor, step, hashes, session, self.now(), &audit).await?;
        self.access_cache.forget();
        self.confirmation_was_right(session).await?;
        Ok(codes)
    }

    /// Ends the use of the actor's own second factor, for whoever gives the password and a code.
    pub async fn disable_factor(&self, actor: &Actor, password: &str, code: &str) -> Result<()> {
        let user = self.confirm_both(actor, password, code).await?;
        let target = format!("user:{}", user.name);
        let audit = self.audit(actor, Action::TotpRemoved, target, None, json!({}));
        self.store.remove_factor(&user.id, false, &audit).await?;
        self.access_cache.forget();
        Ok(())
    }

    /// Makes new recovery codes, for whoever gives the password and a code; the former are void.
    pub async fn renew_recovery_codes(
        &self,
        actor: &Actor,
        password: &str,
        code: &str,
    ) -> Result<RecoveryCodes> {
        let user = self.confirm_both(actor, password, code).await?;
        let (codes, hashes) = self.new_recovery_codes(&user.id);
        let target = format!("user:{}", user.name);
        let audit = self.audit(actor, Action::TotpCodesReplaced, target, None, json!({}));
        self.store.replace_recovery_codes(&user.id, hashes, &audit).await?;
        Ok(codes)
    }

    /// Ends the use of somebody's second factor, who lost it: an administrator's act. Their sessions end.
    pub async fn reset_factor(&self, actor: &Actor, name: &str) -> Result<()> {
        Self::require(actor, Scope::Admin, None)?;
        self.require_person(actor)?;
        let name = crate::accounts::canonical_name(name);
        let user = self.store.user(&name).await?.ok_or(Error::NotFound { what: "account" })?;
        let audit =
            self.audit(actor, Action::TotpRemoved, format!("user:{name}"), None, json!({ "reset": true }));
        let removed = self.store.remove_factor(&user.id, true, &audit).await?;
        self.access_cache.forget();
        if removed {
            let code = self.login_key(LoginKind::Code, user.id.as_bytes());
            self.store.settle_login(&[(code, LoginEnd::Right)]).await?;
            return Ok(());
        }
        Err(Error::NotFound { what: "second factor" })
    }

    /// Takes a code of a confirmed second factor: right once, and never again.
    pub(crate) async fn take_code(&self, actor: &Actor, user: &UserRecord, code: &str) -> Result<Code> {
        let Some(factor) = self.store.factor(&user.id).await?.filter(|factor| factor.confirmed_at.is_some())
        else {
            return Ok(Code::Wrong);
        };
        if let Some(step) = self.step_of(&factor, code)? {
            let taken = self.store.take_step(&user.id, step).await?;
            return Ok(if taken { Code::Step } else { Code::Wrong });
        }
        let Some(digits) = recovery_digits(code) else { return Ok(Code::Wrong) };
        let left = factor.recovery_left.saturating_sub(1);
        let detail = json!({ "left": left });
        let audit = self.audit(actor, Action::TotpRecovered, format!("user:{}", user.name), None, detail);
        let hash = self.recovery_hash(&user.id, &digits);
        let taken = self.store.take_recovery_code(&user.id, &hash, self.now(), &audit).await?;
        Ok(if taken { Code::Recovery } else { Code::Wrong })
    }

    /// The time step that a code belongs to, if it is one of those that are good now.
    fn step_of(&self, factor: &FactorRecord, code: &str) -> Result<Option<i64>> {
        let code = code.trim();
        if code.len() != 6 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(None);
        }
        let clear = Zeroizing::new(self.vault.open(PURPOSE, &factor.sealed)?);
        let owner = bound(&factor.user_id, &[]);
        let secret = clear
            .strip_prefix(owner.as_slice())
            .ok_or_else(|| Error::internal("a sealed secret belongs to somebody else"))?;
        let now = u64::try_from(self.now().micros() / 1_000_000).unwrap_or(0);
        let step = totp(secret, "", "")?.check(code, now);
        Ok(step.and_then(|step| i64::try_from(step).ok()))
    }

    /// Both proofs of who they are, of somebody who is logged in.
    async fn confirm_both(&self, actor: &Actor, password: &str, code: &str) -> Result<UserRecord> {
        let (user, session) = self.person(actor).await?;
        if !user.second_factor {
            return Err(Error::NotFound { what: "second factor" });
        }
        self.confirm_password(actor, password).await?;
        let failures = self.take_confirmation(session).await?;
        if self.take_code(actor, &user, code).await? == Code::Wrong {
            return Err(self
                .confirmation_failed(actor, &user.name, session, failures, "the right code")
                .await?);
        }
        self.confirmation_was_right(session).await?;
        Ok(user)
    }

    async fn take_confirmation(&self, session: &str) -> Result<u32> {
        let key = self.login_key(LoginKind::Session, session.as_bytes());
        self.glance(&[key]).await?;
        self.take_login(&[key]).await
    }

    pub(crate) async fn confirmation_was_right(&self, session: &str) -> Result<()> {
        let key = self.login_key(LoginKind::Session, session.as_bytes());
        self.store.settle_login(&[(key, LoginEnd::Right)]).await
    }

    /// Records a wrong proof of somebody who is logged in, and ends the session that brought too many.
    pub(crate) async fn confirmation_failed(
        &self,
        actor: &Actor,
        name: &str,
        session: &str,
        failures: u32,
        needs: &'static str,
    ) -> Result<Error> {
        let target = format!("user:{name}");
        self.record_refusal(Some(actor), Action::LoginFailed, target, json!({ "reason": "confirm" })).await;
        crate::auth_log::refused("confirm");
        if failures + 1 >= CONFIRM_FAILURES_MAX {
            let target = format!("session:{session}");
            let audit =
                self.audit(actor, Action::SessionKilled, target, None, json!({ "reason": "confirm" }));
            self.store.end_sessions(SessionsOf::One(session.to_owned()), &audit).await?;
            self.access_cache.forget();
        }
        Ok(Error::Forbidden { needs })
    }

    /// The account and session of a person who is logged in.
    async fn person<'a>(&self, actor: &'a Actor) -> Result<(UserRecord, &'a str)> {
        let Actor::User { id, session, .. } = actor else {
            return Err(Error::Forbidden { needs: "a person who logged in" });
        };
        let user = self.store.user_by_id(id).await?.ok_or(Error::NotFound { what: "account" })?;
        Ok((user, session))
    }

    fn new_recovery_codes(&self, user_id: &str) -> (RecoveryCodes, Vec<[u8; 32]>) {
        let codes: Vec<String> =
            (0..RECOVERY_CODES).map(|_| self.random_digits(RECOVERY_DIGITS, 4)).collect();
        let hash = |code: &String| recovery_digits(code).map(|digits| self.recovery_hash(user_id, &digits));
        let hashes = codes.iter().filter_map(hash).collect();
        (RecoveryCodes(Zeroizing::new(codes)), hashes)
    }

    fn recovery_hash(&self, user_id: &str, digits: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.recovery_key);
        *hasher.update(user_id.as_bytes()).update(b"\0").update(digits.as_bytes()).finalize().as_bytes()
    }

    /// What an authenticator app writes above its codes: the host that people know.
    fn issuer(&self) -> String {
        let host = url::Url::parse(&self.settings.public_url)
            .ok()
            .and_then(|url| url.host_str().map(|host| host.replace(':', ".")));
        host.map_or_else(|| "Actifix".to_owned(), |host| format!("Actifix {host}"))
    }
}

/// A secret with its owner before it: moved to another account it does not open.
fn bound(user_id: &str, secret: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Vec::with_capacity(user_id.len() + 1 + secret.len());
    bytes.extend_from_slice(user_id.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(secret);
    Zeroizing::new(bytes)
}

fn totp(secret: &[u8], name: &str, issuer: &str) -> Result<Totp> {
    Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(6)
        .with_skew(SKEW_STEPS)
        .with_step_duration(STEP_SECONDS)
        .with_secret(secret.to_vec())
        .with_account_name(name)
        .with_issuer((!issuer.is_empty()).then_some(issuer))
        .build()
        .map_err(Error::internal)
}

/// The digits of a recovery code, however its groups are written.
fn recovery_digits(text: &str) -> Option<Zeroizing<String>> {
    if text.len() > CODE_BYTES_MAX {
        return None;
    }
    let digits: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .map(|c| match c.to_ascii_lowercase() {
            // Crockford's base 32 has no letters that look like digits, so these were misread.
            'o' => '0',
            'i' | 'l' => '1',
            other => other,
        })
        .collect();
    (digits.len() == RECOVERY_DIGITS).then_some(Zeroizing::new(digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // Appendix B gives eight digits; six are their end.
        let secret = b"12345678901234567890";
        for (time, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let totp = totp(secret, "", "").unwrap();
            assert_eq!(totp.check(code, time), Some(time / STEP_SECONDS), "{time}");
            assert_eq!(totp.check(code, time + STEP_SECONDS), Some(time / STEP_SECONDS), "a step late");
            assert_eq!(totp.check(code, time + 2 * STEP_SECONDS), None, "two steps late");
            if let Some(early) = (time / STEP_SECONDS).checked_sub(2) {
                assert_eq!(totp.check(code, early * STEP_SECONDS), None, "two steps early");
            }
        }
    }

    #[test]
    fn a_recovery_code_is_read_as_people_write_it() {
        let digits = |text: &str| recovery_digits(text).map(|digits| digits.to_string());
        let right = Some("0123456789abcdef".to_owned());
        for text in ["0123-4567-89ab-cdef", "0123456789ABCDEF", " o123 4567 89ab cdef\n", "0l23456789abcdef"]
        {
            assert_eq!(digits(text), right, "{text}");
        }
        assert_eq!(digits("0123-4567-89ab-cde"), None);
        assert_eq!(digits(&"-".repeat(1 << 20)), None);
    }

    #[test]
    fn what_is_shown_once_is_in_no_debug_text() {
        let codes = RecoveryCodes(Zeroizing::new(vec!["hunter2".to_owned()]));
        assert_eq!(format!("{codes:?}"), "RecoveryCodes(…)");
        assert_eq!(hex::encode(bound("ab", &[7])), "61620007");
    }
}
