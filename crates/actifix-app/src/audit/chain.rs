//! The keyed hash that ties each row of the audit log to the one before.
//!
//! Keyed BLAKE3 (a MAC): whoever can write the database but does not hold the root key cannot compute the hash of a
//! row that they changed, nor of the rows after it.

use std::fmt;

/// One row as it is hashed: exactly what the database holds.
#[derive(Clone, Copy, Debug)]
pub struct ChainRow<'a> {
    /// Number of the row.
    pub seq: u64,
    /// When, microseconds.
    pub at: i64,
    /// Who.
    pub actor: &'a str,
    /// What.
    pub action: &'a str,
    /// To which thing.
    pub target: &'a str,
    /// In which project.
    pub project: Option<i64>,
    /// Address of the client.
    pub network: Option<&'a str>,
    /// How it ended.
    pub result: &'a str,
    /// Further facts, as stored.
    pub detail: &'a str,
}

/// The key of the chain.
#[derive(Clone)]
pub struct AuditChain {
    key: [u8; 32],
}

impl fmt::Debug for AuditChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditChain(…)")
    }
}

impl AuditChain {
    /// With a key that the vault derived for this purpose alone.
    pub const fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// What stands before the first row.
    pub fn genesis(&self) -> [u8; 32] {
        self.mac("genesis", &[])
    }

    /// The hash of `row`, whose predecessor's is `before`.
    pub fn next(&self, before: &[u8; 32], row: &ChainRow<'_>) -> [u8; 32] {
        let project = row.project.map(i64::to_le_bytes);
        self.mac(
            "row",
            &[
                before,
                &row.seq.to_le_bytes(),
                &row.at.to_le_bytes(),
                row.actor.as_bytes(),
                row.action.as_bytes(),
                row.target.as_bytes(),
                // Absent and empty must not look alike.
                &[u8::from(row.project.is_some()), u8::from(row.network.is_some())],
                project.as_ref().map_or(&[], |bytes| bytes.as_slice()),
                row.network.unwrap_or_default().as_bytes(),
                row.result.as_bytes(),
                row.detail.as_bytes(),
            ],
        )
    }

    /// Authenticates the row that stands for what retention deleted.
    pub fn base_mac(&self, seq: u64, hash: &[u8; 32]) -> [u8; 32] {
        self.mac("base", &[&seq.to_le_bytes(), hash])
    }

    /// Authenticates what the witness outside the database says.
    pub fn witness_mac(&self, seq: u64, hash: &[u8; 32]) -> [u8; 32] {
        self.mac("witness", &[&seq.to_le_bytes(), hash])
    }

    /// Keyed hash in which no part can pose as two, and no kind as another.
    fn mac(&self, kind: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(b"actifix-audit/1 ");
        for part in std::iter::once(&kind.as_bytes()).chain(parts) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        *hasher.finalize().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row<'a>() -> ChainRow<'a> {
        ChainRow {
            seq: 1,
            at: 2,
            actor: "user:jo",
            action: "login.ok",
            target: "t",
            project: None,
            network: None,
            result: "ok",
            detail: "{}",
        }
    }

    #[test]
    fn every_field_the_key_and_the_predecessor_change_the_hash() {
        let chain = AuditChain::new([1; 32]);
        let first = chain.next(&chain.genesis(), &row());
        let others = [
            chain.next(&[0; 32], &row()),
            AuditChain::new([2; 32]).next(&chain.genesis(), &row()),
            chain.next(&chain.genesis(), &ChainRow { seq: 2, ..row() }),
            chain.next(&chain.genesis(), &ChainRow { at: 3, ..row() }),
            chain.next(&chain.genesis(), &ChainRow { actor: "user:j", action: "ologin.ok", ..row() }),
            chain.next(&chain.genesis(), &ChainRow { target: "u", ..row() }),
            chain.next(&chain.genesis(), &ChainRow { project: Some(0), ..row() }),
            chain.next(&chain.genesis(), &ChainRow { network: Some(""), ..row() }),
            chain.next(&chain.genesis(), &ChainRow { result: "failed", ..row() }),
            chain.next(&chain.genesis(), &ChainRow { detail: "{ }", ..row() }),
        ];
        assert!(others.iter().all(|other| *other != first));
        assert_ne!(chain.base_mac(1, &first), chain.witness_mac(1, &first));
    }
}
