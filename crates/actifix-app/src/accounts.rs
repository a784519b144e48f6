//! People: made, given a role, closed, given a password. Passwords never come from arguments, the environment or a
//! web page that asks for the first one: whoever owns the home sets the first.

mod password;
mod verifier;

pub use password::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, check as check_password};
pub(crate) use verifier::{Caller, Permit, Verifiers, is_below_floor};

use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::{LoginKey, UserRecord};
use actifix_domain::access::{Actor, Role, Scope};
use actifix_domain::audit::Action;
use actifix_domain::login::{FAILURES_MAX, LoginEnd};
use serde::Serialize;
use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization;

/// Name of the account that `actifix admin set-password` makes.
pub const ADMIN: &str = "admin";
/// Longest name of an account, bytes.
const NAME_BYTES_MAX: usize = 64;
/// Tries of a change whose account moved in the meantime.
const SAVE_TRIES: u32 = 5;

/// What shall change on an account; `None` leaves it.
#[derive(Clone, Copy, Debug, Default)]
pub struct UserChange {
    /// Another role.
    pub role: Option<Role>,
    /// Closed or open.
    pub disabled: Option<bool>,
    /// Forget failed logins.
    pub unlock: bool,
}

/// An account, with what was tried at its door.
#[derive(Clone, Debug, Serialize)]
pub struct UserView {
    /// The account.
    #[serde(flatten)]
    pub user: UserRecord,
    /// Failed logins in a row from unknown devices.
    pub failures: u32,
    /// So many that only devices that it knows get in.
    pub locked: bool,
}

/// A name as it is compared and counted: NFC, without case and outer spaces. Another spelling is not another budget.
pub fn canonical_name(text: &str) -> String {
    text.trim().nfc().flat_map(char::to_lowercase).take(NAME_BYTES_MAX + 1).collect()
}

impl App {
    /// Makes an account for a person.
    pub async fn create_user(
        &self,
        actor: &Actor,
        name: &str,
        role: Role,
        password: &str,
    ) -> Result<UserView> {
        Self::require(actor, Scope::Admin, None)?;
        self.require_person(actor)?;
        let name = new_name(name)?;
        require_human(role)?;
        self.check_password(&name, password)?;
        let user = self.new_user(name, role, password).await?;
        let target = format!("user:{}", user.name);
        let audit = self.audit(actor, Action::UserCreated, target, None, json!({ "role": role }));
        self.store.add_user(&user, &audit).await?;
        self.view(user).await
    }

    /// An account that is not stored yet.
    pub(crate) async fn new_user(&self, name: String, role: Role, password: &str) -> Result<UserRecord> {
        let verifier = self.verifiers.make(password).await?;
        let mut id = [0u8; 8];
        self.ids.random(&mut id);
        let now = self.now();
        Ok(UserRecord {
            id: hex::encode(id),
            name,
            role,
            verifier,
            created_at: now,
            password_at: now,
            disabled_at: None,
            epoch: 1,
            version: 1,
            second_factor: false,
        })
    }

    /// Whether anybody can log in as an administrator.
    pub async fn has_admin(&self) -> Result<bool> {
        let users = self.store.users().await?;
        Ok(users.iter().any(|user| user.role == Role::Admin && user.disabled_at.is_none()))
    }

    /// All accounts.
    pub async fn users(&self, actor: &Actor) -> Result<Vec<UserView>> {
        Self::require(actor, Scope::Admin, None)?;
        self.views(self.store.users().await?).await
    }

    /// Accounts as they are shown.
    async fn views(&self, users: Vec<UserRecord>) -> Result<Vec<UserView>> {
        let keys: Vec<LoginKey> = users.iter().flat_map(|user| self.closing_keys(user)).collect();
        let failures = self.store.login_failures(&keys).await?;
        let (failures, _) = failures.as_chunks::<2>();
        let view = |(user, [passwords, codes]): (UserRecord, &[u32; 2])| {
            let failures = *passwords.max(codes);
            UserView { user, failures, locked: failures >= FAILURES_MAX }
        };
        Ok(users.into_iter().zip(failures).map(view).collect())
    }

    async fn view(&self, user: UserRecord) -> Result<UserView> {
        self.views(vec![user]).await?.pop().ok_or(Error::NotFound { what: "account" })
    }

    /// Whether what was issued to a person at `epoch` may still be used: the account is open, and nothing since ended
    /// all that was issued (password, role or state changed, sessions ended by hand).
    pub async fn is_current_epoch(&self, user_id: &str, epoch: u64) -> Result<bool> {
        let user = self.store.user_by_id(user_id).await?;
        Ok(user.is_some_and(|user| user.epoch == epoch && user.disabled_at.is_none()))
    }

    /// Sets the password of the account [`ADMIN`], which is made if there is none and opened if it is closed. An account
    /// that is no administrator's and that somebody at a provider opens is not made one: that person would be it.
    pub async fn set_admin_password(&self, actor: &Actor, password: &str) -> Result<UserView> {
        Self::require(actor, Scope::Admin, None)?;
        let Some(user) = self.store.user(ADMIN).await? else {
            return self.create_user(actor, ADMIN, Role::Admin, password).await;
        };
        if user.role != Role::Admin && !self.store.identities(&user.id).await?.is_empty() {
            return Err(Error::conflict(
                "the account admin is opened by somebody at the sign-in provider and is no administrator's: who that is \
                 would become the administrator; take it from them first with `actifix identity unlink admin`",
            ));
        }
        self.set_password(actor, ADMIN, password).await?;
        let change = UserChange { role: Some(Role::Admin), disabled: Some(false), unlock: true };
        self.change_user(actor, ADMIN, change).await
    }

    /// A password that nobody can guess: 130 bits, in groups that can be read aloud.
    pub fn random_password(&self) -> String {
        self.random_digits(26, 7)
    }

    /// Random digits of Crockford's base 32, five bits each, in groups: no letters that look like digits.
    pub(crate) fn random_digits(&self, many: usize, group: usize) -> String {
        const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let mut random = vec![0u8; many];
        self.ids.random(&mut random);
        let digit = |byte: &u8| DIGITS.get(usize::from(byte % 32)).copied().map_or('0', char::from);
        let digits: Vec<char> = random.iter().map(digit).collect();
        digits.chunks(group).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
    }

    /// Sets somebody's password; their sessions end at once.
    pub async fn set_password(&self, actor: &Actor, name: &str, password: &str) -> Result<UserView> {
        Self::require(actor, Scope::Admin, None)?;
        self.require_person(actor)?;
        let user = self.replace_password(actor, &canonical_name(name), password).await?;
        self.view(user).await
    }

    /// Sets the actor's own password, who gives the present one; all their sessions end at once.
    pub async fn set_own_password(&self, actor: &Actor, current: &str, password: &str) -> Result<UserRecord> {
        let Actor::User { name, .. } = actor else {
            return Err(Error::Forbidden { needs: "a person who logged in" });
        };
        self.confirm_password(actor, current).await?;
        self.replace_password(actor, name, password).await
    }

    async fn replace_password(&self, actor: &Actor, name: &str, password: &str) -> Result<UserRecord> {
        self.check_password(name, password)?;
        let verifier = self.verifiers.make(password).await?;
        let user = self
            .save(actor, Action::PasswordChanged, name, true, |user, now| {
                user.verifier.clone_from(&verifier);
                user.password_at = now;
                json!({})
            })
            .await?;
        // What was tried was the former password.
        self.store.settle_login(&self.closing_keys(&user).map(|key| (key, LoginEnd::Right))).await?;
        Ok(user)
    }

    /// Changes an account; its sessions end where it loses rights.
    pub async fn change_user(&self, actor: &Actor, name: &str, change: UserChange) -> Result<UserView> {
        Self::require(actor, Scope::Admin, None)?;
        self.require_person(actor)?;
        if let Some(role) = change.role {
            require_human(role)?;
        }
        let name = canonical_name(name);
        let mut changed = self.store.user(&name).await?.ok_or(Error::NotFound { what: "account" })?;
        if let Some(role) = change.role.filter(|role| *role != changed.role) {
            changed = self
                .save(actor, Action::UserRoleChanged, &name, true, |user, _| {
                    let before = std::mem::replace(&mut user.role, role);
                    json!({ "before": before, "after": role })
                })
                .await?;
        }
        if let Some(disabled) = change.disabled.filter(|disabled| *disabled != changed.disabled_at.is_some())
        {
            let action = if disabled { Action::UserDisabled } else { Action::UserEnabled };
            changed = self
                .save(actor, action, &name, disabled, |user, now| {
                    user.disabled_at = disabled.then_some(now);
                    json!({})
                })
                .await?;
        }
        if change.unlock {
            let keys = self.closing_keys(&changed);
            let failures = self.store.login_failures(&keys).await?;
            if failures.iter().any(|failures| *failures > 0) {
                let detail = json!({ "failures": failures });
                let target = format!("user:{name}");
                let audit = self.audit(actor, Action::UserUnlocked, target, None, detail);
                self.store.forget_login(&keys, &audit).await?;
            }
        }
        self.view(changed).await
    }

    /// Saves a change of an account, again where it moved in the meantime.
    async fn save(
        &self,
        actor: &Actor,
        action: Action,
        name: &str,
        end_sessions: bool,
        change: impl Fn(&mut UserRecord, actifix_domain::time::Timestamp) -> Value,
    ) -> Result<UserRecord> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut user = self.store.user(name).await?.ok_or(Error::NotFound { what: "account" })?;
            let detail = change(&mut user, self.now());
            let audit = self.audit(actor, action, format!("user:{name}"), None, detail);
            match self.store.save_user(&user, end_sessions, &audit).await {
                Err(Error::Conflict { stale: true, .. }) if tries < SAVE_TRIES => {}
                saved => {
                    self.access_cache.forget();
                    return saved;
                }
            }
        }
    }

    fn check_password(&self, name: &str, password: &str) -> Result<()> {
        let host = url::Url::parse(&self.settings.public_url)
            .ok()
            .and_then(|url| url.host_str().map(str::to_owned))
            .unwrap_or_default();
        password::check(password, &[name, &host, "actifix"])
            .map_err(|message| Error::invalid("password", message))
    }
}

pub(crate) fn new_name(text: &str) -> Result<String> {
    let name = canonical_name(text);
    let valid = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if valid { Ok(name) } else { Err(Error::invalid("name", "1 to 64 letters, digits, `.`, `_` or `-`")) }
}

fn require_human(role: Role) -> Result<()> {
    match role {
        Role::Agent => Err(Error::invalid("role", "agent is for tokens: viewer, operator or admin")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cve_2025_6004_other_spellings_of_a_name_are_the_same_name() {
        for text in ["admin", " Admin ", "ADMIN", "\tadmin\n", "aDmIn"] {
            assert_eq!(canonical_name(text), "admin");
        }
        assert_eq!(canonical_name("jose\u{301}"), canonical_name("JOS\u{c9}"));
        assert!(canonical_name(&"x".repeat(1 << 20)).len() <= NAME_BYTES_MAX + 1);
        assert!(new_name("a b").is_err() && new_name("").is_err() && new_name("-x").is_err());
    }
}
