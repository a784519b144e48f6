//! A vault that keeps nothing secret: it tells purposes apart, and what it did not seal it does not open.

use actifix_app::error::{Error, Result};
use actifix_app::ports::Vault;

/// Seals by writing the purpose before what is clear.
#[derive(Debug, Default)]
pub struct OpenVault;

impl Vault for OpenVault {
    fn derive(&self, purpose: &'static str) -> [u8; 32] {
        let mut key = [7; 32];
        for (slot, byte) in key.iter_mut().zip(purpose.bytes()) {
            *slot ^= byte;
        }
        key
    }

    fn seal(&self, purpose: &'static str, clear: &[u8]) -> Result<Vec<u8>> {
        Ok([purpose.as_bytes(), b"\0", clear].concat())
    }

    fn open(&self, purpose: &'static str, sealed: &[u8]) -> Result<Vec<u8>> {
        sealed
            .strip_prefix(purpose.as_bytes())
            .and_then(|rest| rest.strip_prefix(b"\0"))
            .map(<[u8]>::to_vec)
            .ok_or_else(|| Error::internal("this vault did not seal that"))
    }
}
