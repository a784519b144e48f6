//! The login Keychain of macOS: one generic password per key.

use super::Fault;
use security_framework::base::Error;
use security_framework::passwords::{delete_generic_password, get_generic_password, set_generic_password};
use zeroize::Zeroizing;

/// What entries are found by.
const SERVICE: &str = "actifix root key";
/// `errSecItemNotFound`
const NOT_FOUND: i32 = -25_300;
/// `errSecAuthFailed`, `errSecInteractionNotAllowed`, `errSecInteractionRequired`, `errSecUserCanceled`
const LOCKED: [i32; 4] = [-25_293, -25_308, -25_315, -128];

pub fn fetch(home_id: &str, key_id: &str) -> Result<Zeroizing<String>, Fault> {
    let bytes = get_generic_password(SERVICE, &account(home_id, key_id)).map_err(fault)?;
    String::from_utf8(bytes)
        .map(Zeroizing::new)
        .map_err(|_| Fault::Unreachable("its entry is not a key".to_owned()))
}

pub fn store(home_id: &str, key_id: &str, key: &str) -> Result<(), Fault> {
    set_generic_password(SERVICE, &account(home_id, key_id), key.as_bytes()).map_err(fault)
}

pub fn remove(home_id: &str, key_id: &str) -> Result<(), Fault> {
    match delete_generic_password(SERVICE, &account(home_id, key_id)) {
        Err(error) if error.code() == NOT_FOUND => Ok(()),
        other => other.map_err(fault),
    }
}

fn account(home_id: &str, key_id: &str) -> String {
    format!("{home_id}/{key_id}")
}

fn fault(error: Error) -> Fault {
    match error.code() {
        NOT_FOUND => Fault::Absent,
        code if LOCKED.contains(&code) => Fault::Locked,
        _ => Fault::Unreachable(error.to_string()),
    }
}
