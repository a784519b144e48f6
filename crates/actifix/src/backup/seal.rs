//! Who made a backup: a keyed hash over the hashes of all that is in it.

use super::read::Unpacked;
use crate::home::Home;
use crate::vault::{HomeVault, KeySources};
use actifix_app::ports::{Authenticity, BackupVerdict};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What the vault derives the key of seals for.
pub const SEAL_PURPOSE: &str = "backup-seal";
/// Keeps what is hashed here apart from all else.
const CONTEXT: &[u8] = b"actifix backup seal 1\n";

/// The last member of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seal {
    /// BLAKE3 of the hashes of all other members, keyed, hex.
    blake3_keyed: String,
}

/// The seal over `digests`, as the bytes stand in the archive.
pub(super) fn make(key: &[u8; 32], digests: &[u8]) -> Seal {
    Seal { blake3_keyed: compute(key, digests).to_hex().to_string() }
}

fn compute(key: &[u8; 32], digests: &[u8]) -> blake3::Hash {
    blake3::Hasher::new_keyed(key).update(CONTEXT).update(digests).finalize()
}

/// By what a backup is judged.
pub enum Trust<'a> {
    /// Keys of the vault that is open here.
    Keys {
        /// Of the chain of the audit log.
        audit: [u8; 32],
        /// Of the seal.
        seal: [u8; 32],
    },
    /// The root key that is at hand, if there is one: in the environment, or the key file of this home.
    AtHand {
        /// The home.
        home: &'a Home,
        /// The environment.
        sources: &'a KeySources,
    },
}

impl Trust<'_> {
    /// Judges who made what was unpacked into `staged`, and gives the key of its audit log's chain where that can be had.
    pub(super) fn judge(
        &self,
        unpacked: &Unpacked,
        staged: &Path,
        verdict: &mut BackupVerdict,
    ) -> Option<[u8; 32]> {
        let (audit, seal) = match self {
            Self::Keys { audit, seal } => (*audit, *seal),
            Self::AtHand { home, sources } => {
                let record = Home::at(staged).private();
                let purposes = ["audit", SEAL_PURPOSE];
                match HomeVault::derive_of_backup(&record, &home.private(), sources, purposes) {
                    Ok(Some([audit, seal])) => (audit, seal),
                    Ok(None) => return None,
                    Err(why) => {
                        verdict.authenticity = Authenticity::Failed;
                        verdict
                            .faults
                            .push(format!("the root key at hand is not that of this backup: {why}"));
                        return None;
                    }
                }
            }
        };
        // Hashes of this kind are compared in constant time.
        let found = unpacked.seal.as_ref().and_then(|seal| blake3::Hash::from_hex(&seal.blake3_keyed).ok());
        if found.is_some_and(|found| found == compute(&seal, &unpacked.digests)) {
            verdict.authenticity = Authenticity::Verified;
        } else {
            verdict.authenticity = Authenticity::Failed;
            verdict.faults.push(match found {
                Some(_) => {
                    "its seal is not of this installation: somebody else made or changed it".to_owned()
                }
                None => "it has no seal: somebody else made it, or a release before seals".to_owned(),
            });
        }
        Some(audit)
    }
}
