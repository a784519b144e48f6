//! The end of the audit log, written down outside the database: whoever cuts rows off its end, or puts an older copy
//! of the database back, does not thereby change this file, and cannot compute what it should say.

use super::audit;
use crate::fault::Result;
use crate::files;
use actifix_app::audit::AuditChain;
use actifix_app::ports::AuditHead;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Largest file that is read, bytes.
const FILE_BYTES_MAX: u64 = 4 << 10;

#[derive(Serialize, Deserialize)]
struct Note {
    version: u32,
    seq: u64,
    hash: String,
    mac: String,
}

/// The file, and what this process wrote into it last.
#[derive(Debug)]
pub(crate) struct Witness {
    path: Option<PathBuf>,
    written: Mutex<Option<AuditHead>>,
}

impl Witness {
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self { path, written: Mutex::new(None) }
    }

    /// Whether there must be a file.
    pub(crate) const fn is_wanted(&self) -> bool {
        self.path.is_some()
    }

    /// What the file says; none where there is none that this server wrote.
    pub(crate) fn read(&self, chain: &AuditChain) -> Option<AuditHead> {
        let path = self.path.as_ref()?;
        let mut text = String::new();
        std::fs::File::open(path).ok()?.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
        let note: Note = serde_json::from_str(&text).ok()?;
        let (mut hash, mut mac) = ([0u8; 32], [0u8; 32]);
        hex::decode_to_slice(&note.hash, &mut hash).ok()?;
        hex::decode_to_slice(&note.mac, &mut mac).ok()?;
        (mac == chain.witness_mac(note.seq, &hash)).then_some(AuditHead { seq: note.seq, hash })
    }

    /// Writes `head` down, unless what was written before is no longer in the log: evidence is not written over.
    pub(crate) fn write(&self, db: &Connection, chain: &AuditChain, head: AuditHead) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if *written == Some(head) {
            return Ok(());
        }
        // A log that has begun was witnessed: a missing or foreign file is not replaced either.
        let fits = match self.read(chain) {
            Some(before) => {
                before.seq <= head.seq && audit::hash_at(db, chain, before.seq)? == Some(before.hash)
            }
            None => false,
        };
        metrics::gauge!("actifix_audit_intact").set(if fits { 1.0 } else { 0.0 });
        if !fits {
            tracing::error!(
                seq = head.seq,
                "audit.not_intact: the log is not the one that the witness saw; run `actifix audit verify`"
            );
            return Ok(());
        }
        if put(path, chain, head)? {
            *written = Some(head);
        }
        Ok(())
    }

    /// Begins anew with `head`, whatever the file says: for a log that has just begun, and for an operator who has
    /// put a backup back.
    pub(crate) fn begin(&self, chain: &AuditChain, head: AuditHead) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if put(path, chain, head)? {
            *written = Some(head);
        }
        Ok(())
    }

    /// Whether a file is there at all.
    pub(crate) fn is_there(&self) -> bool {
        self.path.as_ref().is_some_and(|path| std::fs::symlink_metadata(path).is_ok())
    }
}

/// What the file says of `head`.
pub(crate) fn text(chain: &AuditChain, head: AuditHead) -> Result<String> {
    let note = Note {
        version: 1,
        seq: head.seq,
        hash: hex::encode(head.hash),
        mac: hex::encode(chain.witness_mac(head.seq, &head.hash)),
    };
    Ok(format!("{}\n", serde_json::to_string(&note)?))
}

/// Whether it could be written.
fn put(path: &std::path::Path, chain: &AuditChain, head: AuditHead) -> Result<bool> {
    let text = text(chain, head)?;
    match files::replace_note(path, &text) {
        Ok(()) => Ok(true),
        Err(error) => {
            tracing::error!(error = %error, "audit.witness_not_written");
            Ok(false)
        }
    }
}
