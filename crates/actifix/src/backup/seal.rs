//! Who made a backup: a keyed hash over the hashes of all that is in it.

use super::read::Unpacked;
use super::{Identities, roots};
use crate::home::Home;
use crate::vault::{HomeVault, KeySources, Record};
use actifix_app::ports::{Authenticity, BackupVerdict};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What the vault derives the key of seals for.
pub const SEAL_PURPOSE: &str = "backup-seal";
/// What is derived to judge a backup.
const PURPOSES: [&str; 2] = ["audit", SEAL_PURPOSE];
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
        /// Id of the root key in use.
        root_key: Option<String>,
    },
    /// The root key that is at hand, if there is one: in the environment, or the key file of this home.
    AtHand {
        /// The home whose key file is looked for.
        home: &'a Home,
        /// The home of the installation as it is now, whose record may be under another root key.
        present: &'a Home,
        /// The environment.
        sources: &'a KeySources,
        /// The file of the backup: those beside it may tell under which root key it is now.
        backup: &'a Path,
        /// What opens them.
        identities: &'a Identities,
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
        let record = match Record::read(&Home::at(staged).private()) {
            Ok(record) => record,
            Err(why) => return fail(verdict, format!("its record of the root key cannot be read: {why}")),
        };
        let (audit, seal, renewed) = match self {
            Self::Keys { audit, seal, root_key } => {
                // Where the key of now is not known, none is known to be a former one.
                let is_former = |own: &_| root_key.as_ref().is_some_and(|now| now != own);
                verdict.former_root_key = record.map(|record| record.current.key_id).filter(is_former);
                (*audit, *seal, None)
            }
            Self::AtHand { home, present, sources, backup, identities } => {
                let given = match HomeVault::key_at_hand(&home.private(), sources) {
                    Ok(Some(given)) => given,
                    Ok(None) => return None,
                    Err(why) => return fail(verdict, format!("the root key at hand cannot be read: {why}")),
                };
                let Some(own) = record else {
                    return fail(verdict, "it has no record of a root key".to_owned());
                };
                match HomeVault::derive_by(&own, &given, PURPOSES) {
                    Ok([audit, seal]) => (audit, seal, None),
                    Err(why) => match roots::find(&own, &given, present, backup, identities, PURPOSES) {
                        Some((record, [audit, seal])) => {
                            verdict.former_root_key = Some(own.current.key_id);
                            (audit, seal, Some(record))
                        }
                        None => return fail(verdict, roots::missing(&own, &given, &why)),
                    },
                }
            }
        };
        // Hashes of this kind are compared in constant time.
        let found = unpacked.seal.as_ref().and_then(|seal| blake3::Hash::from_hex(&seal.blake3_keyed).ok());
        if found.is_some_and(|found| found == compute(&seal, &unpacked.digests)) {
            verdict.authenticity = Authenticity::Verified;
            // What is put back opens with the key at hand, not with one that is gone.
            if let Some(Err(why)) = renewed.map(|record| record.write(&Home::at(staged).private())) {
                return fail(verdict, format!("the record of the root key cannot be written: {why}"));
            }
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

fn fail(verdict: &mut BackupVerdict, why: String) -> Option<[u8; 32]> {
    verdict.authenticity = Authenticity::Failed;
    verdict.faults.push(why);
    None
}
