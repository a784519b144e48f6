//! Stored secrets: sealed bytes under a name.

use super::SqliteStore;
use super::projects::collect;
use super::rows::Columns;
use super::writer::Work;
use crate::fault::{Fault, Result};
use actifix_app::error::{Error, Result as AppResult};
use actifix_app::ports::{SealedSecret, SecretRecord, SecretStore};
use actifix_domain::audit::AuditRecord;
use actifix_domain::time::Timestamp;
use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

/// Secrets of one installation.
const SECRETS_MAX: u32 = 1_000;

const COLUMNS: &str = "name, size, created_at, updated_at, version";

#[async_trait]
impl SecretStore for SqliteStore {
    async fn secrets(&self) -> AppResult<Vec<SecretRecord>> {
        self.read(all).await
    }

    async fn secret(&self, name: &str) -> AppResult<Option<SealedSecret>> {
        let name = name.to_owned();
        self.read(move |db| get(db, &name)).await
    }

    async fn save_secret(
        &self,
        name: &str,
        sealed: Vec<u8>,
        size: u64,
        now: Timestamp,
        audit: &AuditRecord,
    ) -> AppResult<SecretRecord> {
        let name = name.to_owned();
        self.audited(audit, move |work| save(work, &name, &sealed, size, now)).await
    }

    async fn remove_secret(&self, name: &str, audit: &AuditRecord) -> AppResult<bool> {
        let name = name.to_owned();
        self.audited_if(audit, |gone| *gone, move |work| remove(work, &name)).await
    }

    async fn vault_mark(&self, mark: [u8; 16]) -> AppResult<[u8; 16]> {
        self.write(move |work| marked(work, mark)).await
    }
}

fn all(db: &Connection) -> Result<Vec<SecretRecord>> {
    let sql = format!("SELECT {COLUMNS} FROM secrets ORDER BY name LIMIT {SECRETS_MAX}");
    collect(db, &sql, [], |row| record(&mut Columns::new(row)))
}

fn get(db: &Connection, name: &str) -> Result<Option<SealedSecret>> {
    let sql = format!("SELECT {COLUMNS}, sealed FROM secrets WHERE name = ?1");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query([name])?;
    rows.next()?.map(sealed).transpose()
}

fn save(work: &mut Work<'_>, name: &str, sealed: &[u8], size: u64, now: Timestamp) -> Result<SecretRecord> {
    let db = work.db;
    let others: u32 =
        db.query_row("SELECT count(*) FROM secrets WHERE name <> ?1", [name], |row| row.get(0))?;
    if others >= SECRETS_MAX {
        return Err(Error::conflict(format!(
            "there are {SECRETS_MAX} secrets, which is the most: remove one first"
        ))
        .into());
    }
    let size = i64::try_from(size).map_err(|_| Fault::Defect("size of a secret".to_owned()))?;
    db.prepare_cached(
        "INSERT INTO secrets (name, sealed, size, created_at, updated_at, version) \
         VALUES (?1, ?2, ?3, ?4, ?4, 1) ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed, \
         size = excluded.size, updated_at = excluded.updated_at, version = version + 1",
    )?
    .execute(params![name, sealed, size, now.micros()])?;
    let saved = get(db, name)?.ok_or_else(|| Fault::Defect("a secret vanished".to_owned()))?;
    Ok(saved.record)
}

fn remove(work: &mut Work<'_>, name: &str) -> Result<bool> {
    Ok(work.db.prepare_cached("DELETE FROM secrets WHERE name = ?1")?.execute([name])? > 0)
}

fn marked(work: &mut Work<'_>, mark: [u8; 16]) -> Result<[u8; 16]> {
    let db = work.db;
    db.prepare_cached("INSERT INTO vault_mark (only_row, mark) VALUES (1, ?1) ON CONFLICT DO NOTHING")?
        .execute([mark.as_slice()])?;
    let found: Vec<u8> = db.query_row("SELECT mark FROM vault_mark", [], |row| row.get(0))?;
    found.try_into().map_err(|_| Fault::Defect("the mark of the vault has a wrong length".to_owned()))
}

fn record(c: &mut Columns<'_, '_>) -> Result<SecretRecord> {
    Ok(SecretRecord {
        name: c.take()?,
        size: c.count()?,
        created_at: c.time()?,
        updated_at: c.time()?,
        version: c.count()?,
    })
}

fn sealed(row: &Row<'_>) -> Result<SealedSecret> {
    let mut c = Columns::new(row);
    Ok(SealedSecret { record: record(&mut c)?, sealed: c.take()? })
}
