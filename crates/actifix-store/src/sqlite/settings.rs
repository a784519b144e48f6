//! What the configuration said at the last start, so that its changes stand in the audit log.

use super::audit;
use super::writer::Work;
use crate::fault::Result;
use actifix_domain::audit::{Action, AuditRecord};
use rusqlite::params;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Settings that are remembered; a configuration has far fewer.
const SETTINGS_MAX: usize = 2_000;

pub(crate) fn note(
    work: &mut Work<'_>,
    settings: &BTreeMap<String, String>,
    record: &AuditRecord,
) -> Result<Vec<String>> {
    let before = seen(work)?;
    let names: BTreeSet<&String> = settings.keys().chain(before.keys()).take(SETTINGS_MAX).collect();
    let mut changed = Vec::new();
    for name in names {
        let (old, new) = (before.get(name), settings.get(name));
        if old == new {
            continue;
        }
        match new {
            Some(new) => work
                .db
                .prepare_cached(
                    "INSERT INTO settings_seen (name, value) VALUES (?1, ?2) \
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                )?
                .execute(params![name, new])?,
            None => work.db.prepare_cached("DELETE FROM settings_seen WHERE name = ?1")?.execute([name])?,
        };
        // Where nothing was seen before there is nothing that changed.
        if !before.is_empty() {
            let change = AuditRecord {
                action: Action::SettingChanged,
                target: format!("setting:{name}"),
                detail: json!({ "before": old, "after": new }),
                ..record.clone()
            };
            audit::append(work, &change.bounded())?;
            changed.push(name.clone());
        }
    }
    audit::append(work, record)?;
    Ok(changed)
}

fn seen(work: &Work<'_>) -> Result<BTreeMap<String, String>> {
    let mut statement = work.db.prepare_cached("SELECT name, value FROM settings_seen ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut seen = BTreeMap::new();
    while let Some(row) = rows.next()? {
        seen.insert(row.get(0)?, row.get(1)?);
    }
    Ok(seen)
}
