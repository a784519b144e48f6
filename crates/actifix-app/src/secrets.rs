//! The credential store: values under a name, each sealed under the vault. Configuration refers to them by name.
//!
//! A value goes in and is not shown again: over the network it is write-only. This process and who owns the home
//! (the System actor) can read it.

use crate::accounts::ADMIN;
use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::{Rotation, SealedSecret, SecretRecord, VaultStatus};
use actifix_domain::access::{Actor, Role, Scope};
use actifix_domain::audit::{Action, AuditRecord};
use serde_json::{Value, json};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Largest value, bytes of UTF-8.
pub const SECRET_BYTES_MAX: usize = 64 << 10;
/// Longest name, characters.
pub const SECRET_NAME_MAX: usize = 64;
/// Vault purpose of stored secrets.
const SECRETS: &str = "stored-secret";

/// Text that must not be seen. No `Debug` prints it, and its memory is overwritten when it is let go.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes the text over without a copy.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Gives the text away. The only way to see it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// Name of a stored secret: a letter or digit, then up to 63 of lower-case letters, digits, `.`, `_`, `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretName(String);

impl SecretName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SecretName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let mut bytes = text.bytes();
        let fits = bytes.next().is_some_and(plain)
            && bytes.all(|byte| plain(byte) || matches!(byte, b'.' | b'_' | b'-'))
            && text.len() <= SECRET_NAME_MAX;
        if fits {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::invalid(
            "name",
            "1 to 64 lower-case letters, digits, `.`, `_`, `-`, the first one a letter or digit",
        ))
    }
}

impl App {
    /// Names, sizes and times of all secrets, by name.
    pub async fn secrets(&self, actor: &Actor) -> Result<Vec<SecretRecord>> {
        Self::require(actor, Scope::Admin, None)?;
        self.store.secrets().await
    }

    /// Name, size and times of one.
    pub async fn secret(&self, actor: &Actor, name: &SecretName) -> Result<SecretRecord> {
        Self::require(actor, Scope::Admin, None)?;
        let found = self.store.secret(name.as_str()).await?.ok_or(Error::NotFound { what: "secret" })?;
        Ok(found.record)
    }

    /// Stores a value, or replaces the one under this name.
    pub async fn set_secret(
        &self,
        actor: &Actor,
        name: &SecretName,
        value: &SecretText,
    ) -> Result<SecretRecord> {
        Self::require(actor, Scope::Admin, None)?;
        check_value(value)?;
        // The name is sealed with the value, so that rows cannot be exchanged for one another.
        let clear = Zeroizing::new([name.as_str().as_bytes(), &[0], value.reveal().as_bytes()].concat());
        let sealed = self.vault.seal(SECRETS, &clear)?;
        let size = u64::try_from(value.reveal().len()).unwrap_or(u64::MAX);
        let audit = self.secret_audit(actor, name, json!({ "act": "set", "size": size }));
        let record = self.store.save_secret(name.as_str(), sealed, size, self.now(), &audit).await?;
        tracing::info!(name = name.as_str(), "secret.set");
        Ok(record)
    }

    /// Removes a secret.
    pub async fn remove_secret(&self, actor: &Actor, name: &SecretName) -> Result<()> {
        Self::require(actor, Scope::Admin, None)?;
        let audit = self.secret_audit(actor, name, json!({ "act": "removed" }));
        if !self.store.remove_secret(name.as_str(), &audit).await? {
            return Err(Error::NotFound { what: "secret" });
        }
        tracing::info!(name = name.as_str(), "secret.removed");
        Ok(())
    }

    /// The value of a secret, for a person to see: only the owner of the home. Once an administrator has a password it
    /// takes that as well, so that an unattended terminal does not show it.
    pub async fn show_secret(
        &self,
        actor: &Actor,
        name: &SecretName,
        password: Option<&str>,
    ) -> Result<SecretText> {
        only_local(actor)?;
        self.confirm_administrator(password).await?;
        self.reveal_secret(actor, name).await
    }

    /// The value of a secret, for this process to use. No token ever reads one.
    pub async fn reveal_secret(&self, actor: &Actor, name: &SecretName) -> Result<SecretText> {
        only_local(actor)?;
        let found = self.store.secret(name.as_str()).await?.ok_or(Error::NotFound { what: "secret" })?;
        // First the record: what cannot be recorded is not shown.
        let target = format!("secret:{name}");
        self.record_act(actor, Action::SecretChanged, target, json!({ "act": "read" })).await?;
        let value = self.open_secret(name, &found)?;
        tracing::info!(name = name.as_str(), "secret.read");
        Ok(value)
    }

    /// Requires the password of an administrator, if one has any: that of `admin`, else of the first by name.
    async fn confirm_administrator(&self, password: Option<&str>) -> Result<()> {
        let users = self.store.users().await?;
        let mut admins =
            users.into_iter().filter(|user| user.role == Role::Admin && user.disabled_at.is_none());
        let Some(first) = admins.next() else { return Ok(()) };
        let person =
            if first.name == ADMIN { first } else { admins.find(|user| user.name == ADMIN).unwrap_or(first) };
        let password = password
            .ok_or(Error::Forbidden { needs: "the password of an administrator, in the field password" })?;
        let actor = Actor::User {
            id: person.id,
            name: person.name,
            scopes: person.role.scopes(),
            session: "local".to_owned(),
            authenticated_at: person.created_at,
        };
        self.confirm_password(&actor, password).await
    }

    /// Where the root key comes from, and since when.
    pub async fn vault_status(&self, actor: &Actor) -> Result<VaultStatus> {
        Self::require(actor, Scope::Admin, None)?;
        self.vault.status()
    }

    /// Gives the installation a new root key. What is sealed stays readable, before, after and in between.
    pub async fn rotate_root_key(&self, actor: &Actor, rotation: Rotation) -> Result<VaultStatus> {
        only_local(actor)?;
        let detail = json!({ "act": "key_rotation_begun", "backend": rotation.backend });
        self.record_act(actor, Action::SecretChanged, "root-key", detail).await?;
        let (vault, now) = (Arc::clone(&self.vault), self.now());
        // Files are synced and a keyring is waited for: not on the threads that answer others.
        let rotated = tokio::task::spawn_blocking(move || vault.rotate(rotation, now));
        let status = rotated.await.map_err(Error::internal)??;
        let detail = json!({
            "act": "key_rotated", "backend": status.backend, "key_id": status.key_id, "pending": status.pending,
        });
        self.record_act(actor, Action::SecretChanged, "root-key", detail).await?;
        tracing::info!(backend = status.backend, key_id = status.key_id, "vault.rotated");
        Ok(status)
    }

    /// Proves that the database belongs to this vault; a fresh database is marked with it.
    pub async fn bind_vault(&self) -> Result<()> {
        let mut mark = [0u8; 16];
        for (slot, byte) in mark.iter_mut().zip(self.vault.derive("database-mark")) {
            *slot = byte;
        }
        if self.store.vault_mark(mark).await? == mark {
            return Ok(());
        }
        Err(Error::conflict(
            "the database was sealed with other keys than those of this home: put back the .actifix/vault.json and the root key that it was made with",
        ))
    }

    fn secret_audit(&self, actor: &Actor, name: &SecretName, detail: Value) -> AuditRecord {
        self.audit(actor, Action::SecretChanged, format!("secret:{name}"), None, detail)
    }

    pub(crate) fn open_secret(&self, name: &SecretName, found: &SealedSecret) -> Result<SecretText> {
        let clear = Zeroizing::new(self.vault.open(SECRETS, &found.sealed)?);
        let value = clear.strip_prefix(name.as_str().as_bytes()).and_then(|rest| rest.strip_prefix(&[0]));
        let Some(value) = value else {
            return Err(Error::conflict(
                "the sealed value belongs to another name: the database was changed",
            ));
        };
        let text = std::str::from_utf8(value).map_err(|_| Error::internal("a stored secret is not text"))?;
        Ok(SecretText::new(text.to_owned()))
    }
}

fn only_local(actor: &Actor) -> Result<()> {
    match actor {
        Actor::System => Ok(()),
        _ => Err(Error::Forbidden { needs: "a command on the server's own machine" }),
    }
}

fn check_value(value: &SecretText) -> Result<()> {
    let text = value.reveal();
    if text.is_empty() || text.len() > SECRET_BYTES_MAX {
        return Err(Error::invalid("value", format!("1 to {SECRET_BYTES_MAX} bytes of text")));
    }
    if text.contains('\0') {
        return Err(Error::invalid("value", "text without NUL; encode binary values, such as with base64"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        let longest = "a".repeat(64);
        for good in ["a", "0", "smtp.password", "slack-webhook_2", longest.as_str()] {
            assert_eq!(SecretName::from_str(good).unwrap().as_str(), good);
        }
        let long = "a".repeat(65);
        for bad in ["", ".a", "-a", "_a", "A", "a b", "a/b", "ä", "a\n", "../a", long.as_str()] {
            assert!(SecretName::from_str(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_are_bounded_text_and_never_printed() {
        let largest = SecretText::new("x".repeat(SECRET_BYTES_MAX));
        assert!(check_value(&largest).is_ok());
        for bad in [String::new(), "x".repeat(SECRET_BYTES_MAX + 1), "a\0b".to_owned()] {
            let error = check_value(&SecretText::new(bad)).unwrap_err().to_string();
            assert!(!error.contains("a\0b") && !error.contains("xx"), "{error}");
        }
        assert_eq!(format!("{:?}", SecretText::new("hunter2".into())), "SecretText(…)");
    }
}
