//! What a database file that was put back from a backup is worth. Nothing is changed in it.

use super::scrub::{self, open_apart};
use super::{audit, migrate, schema, snapshot};
use crate::fault::{Fault, Result};
use actifix_app::audit::AuditChain;
use actifix_app::ports::{AuditHead, ScrubPlace};
use std::collections::BTreeMap;
use std::path::Path;

/// Faults that are told.
const FAULTS_MAX: usize = 20;

/// What was found.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// What is wrong; empty is good.
    pub faults: Vec<String>,
    /// Rows of every table.
    pub counts: BTreeMap<String, u64>,
    /// Rows that were compared with their hash, bodies opened.
    pub rows: u64,
    /// The end of the audit log.
    pub audit: AuditHead,
    /// Whether the chain of the audit log was computed anew: only with its key.
    pub audit_verified: bool,
}

/// Reads all of the database at `path`. Blocks.
///
/// # Errors
/// It cannot be read at all.
pub fn inspect(path: &Path, audit_key: Option<[u8; 32]>) -> std::result::Result<Inspection, String> {
    look(path, audit_key).map_err(|fault| fault.to_string())
}

fn look(path: &Path, audit_key: Option<[u8; 32]>) -> Result<Inspection> {
    let db = open_apart(path)?;
    // Before anything of it is evaluated: whoever made the file may have planted what acts when it is read.
    let mut faults = schema::differences(&db)?;
    if faults.is_empty() {
        faults = scrub::structure_of(&db, None)?;
    }
    if !faults.is_empty() {
        // What hangs together wrongly must not be walked: counts and rows would be wrong too.
        faults.truncate(FAULTS_MAX);
        let audit = AuditHead { seq: 0, hash: [0; 32] };
        return Ok(Inspection { faults, counts: BTreeMap::new(), rows: 0, audit, audit_verified: false });
    }
    migrate::check_known(&db).map_err(|error| Fault::Defect(error.to_string()))?;
    let (mut place, mut rows) = (Some(ScrubPlace::Tickets(0)), 0);
    while let Some(from) = place {
        let step = scrub::step(&db, from)?;
        rows += step.rows;
        for damaged in step.damaged.iter().take(FAULTS_MAX.saturating_sub(faults.len())) {
            faults.push(format!("row {} of {} is damaged", damaged.row, damaged.table));
        }
        place = step.next;
    }
    let head = audit::stored_head(&db)?;
    if let Some(key) = audit_key {
        let chain = AuditChain::new(key);
        let mut check = audit::Check::begin(&db, &chain, None)?;
        while check.page(&db)? {}
        let report = check.end(false);
        faults.extend(report.faults.iter().take(FAULTS_MAX).map(|fault| format!("audit log: {fault:?}")));
    }
    Ok(Inspection {
        faults,
        counts: snapshot::counts(&db)?,
        rows,
        audit: head,
        audit_verified: audit_key.is_some(),
    })
}
