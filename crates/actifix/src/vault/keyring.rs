//! The keyring of the login session: Secret Service on Linux, Keychain on macOS.
//!
//! A service on a bus may be locked, absent, or hang. It is never asked to show a dialog, and never waited for longer
//! than [`DEADLINE`].

use super::error::VaultError;
use super::key::Key;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

#[cfg(all(feature = "keyring", target_os = "macos"))]
mod macos;
#[cfg(all(feature = "keyring", target_os = "linux"))]
mod secret_service;

#[cfg(all(feature = "keyring", target_os = "macos"))]
use macos as keeper;
#[cfg(all(feature = "keyring", target_os = "linux"))]
use secret_service as keeper;

/// The keeper's name for people.
#[cfg(target_os = "macos")]
pub const NAME: &str = "the Keychain";
/// The keeper's name for people.
#[cfg(not(target_os = "macos"))]
pub const NAME: &str = "the Secret Service";

/// How long the keeper is waited for.
const DEADLINE: Duration = Duration::from_secs(3);

/// Why the keeper did not do it.
#[derive(Debug)]
pub enum Fault {
    /// There is no such entry.
    Absent,
    /// It has to be unlocked first.
    Locked,
    /// It cannot be reached.
    Unreachable(String),
}

/// The key of a home.
pub fn fetch(home_id: &str, key_id: &str) -> Result<Key, VaultError> {
    let (home, id) = (home_id.to_owned(), key_id.to_owned());
    let text = within_deadline(move || keeper::fetch(&home, &id))?;
    Key::parse(&text).ok_or_else(|| VaultError::Malformed { origin: NAME.to_owned() })
}

/// Stores a key beside those that are there.
pub fn store(home_id: &str, key: &Key) -> Result<(), VaultError> {
    let (home, key) = (home_id.to_owned(), key.clone());
    within_deadline(move || keeper::store(&home, &key.id(), &key.text()))
}

/// Removes a key that is not needed any more.
pub fn remove(home_id: &str, key_id: &str) {
    let (home, id) = (home_id.to_owned(), key_id.to_owned());
    if let Err(error) = within_deadline(move || keeper::remove(&home, &id)) {
        tracing::warn!(error = %error, "vault.old_key_not_removed");
    }
}

/// Runs `ask` on a thread of its own, which is left behind if the keeper hangs even beyond its own deadline.
fn within_deadline<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, VaultError> {
    let origin = NAME.to_owned();
    let (answer, answers) = sync_channel(1);
    let asking = std::thread::Builder::new().name("keyring".to_owned()).spawn(move || {
        let _nobody_waits_any_more = answer.send(ask());
    });
    if let Err(error) = asking {
        return Err(VaultError::Unreachable { origin, why: error.to_string() });
    }
    match answers.recv_timeout(DEADLINE) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Fault::Absent)) => Err(VaultError::Absent {
            origin: format!("{origin} has no entry for this home"),
            hint: "run as the user, and on the machine, that made it, or give the key in ACTIFIX_MASTER_KEY_FILE"
                .to_owned(),
        }),
        Ok(Err(Fault::Locked)) => Err(VaultError::Locked { origin }),
        Ok(Err(Fault::Unreachable(why))) => Err(VaultError::Unreachable { origin, why }),
        Err(RecvTimeoutError::Timeout) => Err(VaultError::NoAnswer { origin, seconds: DEADLINE.as_secs() }),
        Err(RecvTimeoutError::Disconnected) => {
            Err(VaultError::Unreachable { origin, why: "the conversation with it broke off".to_owned() })
        }
    }
}

/// A build without the feature, or a system without a keyring.
#[cfg(not(all(feature = "keyring", any(target_os = "linux", target_os = "macos"))))]
mod keeper {
    use super::Fault;
    use zeroize::Zeroizing;

    fn none<T>() -> Result<T, Fault> {
        Err(Fault::Unreachable("this actifix was built without the feature `keyring`".to_owned()))
    }

    pub fn fetch(_home_id: &str, _key_id: &str) -> Result<Zeroizing<String>, Fault> {
        none()
    }

    pub fn store(_home_id: &str, _key_id: &str, _key: &str) -> Result<(), Fault> {
        none()
    }

    pub fn remove(_home_id: &str, _key_id: &str) -> Result<(), Fault> {
        none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keeper_that_hangs_is_left_alone() {
        let (never, waits) = sync_channel::<()>(1);
        let result: Result<(), VaultError> = within_deadline(move || {
            let _never = waits.recv();
            Ok(())
        });
        assert!(matches!(result, Err(VaultError::NoAnswer { seconds: 3, .. })), "{result:?}");
        drop(never);
    }

    #[test]
    fn locked_absent_and_unreachable_are_told_apart() {
        let state = |fault: Fault| within_deadline::<()>(move || Err(fault)).unwrap_err().state();
        assert_eq!(state(Fault::Locked), "locked");
        assert_eq!(state(Fault::Absent), "absent");
        assert_eq!(state(Fault::Unreachable("x".into())), "unreachable");
    }
}
