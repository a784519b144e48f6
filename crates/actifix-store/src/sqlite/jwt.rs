//! Short-lived access tokens and the keys that sign them.

use super::SqliteStore;
use super::projects::collect;
use super::rows::{Columns, quantity};
use super::writer::Work;
use super::{accounts, tokens};
use crate::fault::{Fault, Result};
use actifix_app::error::{Error, Result as AppResult};
use actifix_app::ports::{AccessRecord, AccessStore, Holder, HolderId, SIGNING_KEYS_MAX, SigningKeyRecord};
use actifix_domain::audit::AuditRecord;
use actifix_domain::id::ProjectId;
use actifix_domain::time::{SECOND, Timestamp};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// Access tokens of one holder at the same time.
const PER_HOLDER_MAX: u32 = 1_000;
/// Access tokens of everybody at the same time.
const ACCESS_MAX: u32 = 20_000;
/// Ended access tokens that one new one sweeps away.
const SWEPT_MAX: u32 = 64;

const KEY: &str = "key_id, public, sealed, created_at, retires_at";
const ACCESS: &str =
    "access_id, key_id, token_id, session_id, scopes, project_id, epoch, created_at, expires_at";

#[async_trait]
impl AccessStore for SqliteStore {
    async fn signing_keys(&self, now: Timestamp) -> AppResult<Vec<SigningKeyRecord>> {
        self.read(move |db| signing_keys(db, now)).await
    }

    async fn replace_signing_key(
        &self,
        former: Option<&str>,
        former_retires_at: Timestamp,
        new: &SigningKeyRecord,
        audit: &AuditRecord,
    ) -> AppResult<()> {
        let (former, new) = (former.map(str::to_owned), new.clone());
        self.audited(audit, move |work| replace(work, former.as_deref(), former_retires_at, &new)).await
    }

    async fn holder(&self, id: &HolderId) -> AppResult<Option<Holder>> {
        let id = id.clone();
        self.read(move |db| holder(db, &id)).await
    }

    async fn add_access(&self, access: &AccessRecord, audit: &AuditRecord) -> AppResult<()> {
        let access = access.clone();
        self.audited(audit, move |work| add(work, &access)).await
    }

    async fn access(&self, id: &str) -> AppResult<Option<(AccessRecord, Holder)>> {
        let id = id.to_owned();
        self.read(move |db| access(db, &id)).await
    }

    async fn end_access(&self, id: &str, audit: &AuditRecord) -> AppResult<bool> {
        let id = id.to_owned();
        let end = move |work: &mut Work<'_>| {
            let mut statement = work.db.prepare_cached("DELETE FROM access_tokens WHERE access_id = ?1")?;
            Ok(statement.execute([id])? > 0)
        };
        self.audited_if(audit, |gone| *gone, end).await
    }
}

fn signing_keys(db: &Connection, now: Timestamp) -> Result<Vec<SigningKeyRecord>> {
    let sql = format!(
        "SELECT {KEY} FROM signing_keys WHERE retires_at IS NULL OR retires_at > ?1 \
         ORDER BY retires_at IS NULL DESC, retires_at DESC LIMIT {SIGNING_KEYS_MAX}"
    );
    collect(db, &sql, [now.micros()], signing_key)
}

/// Takes a key into use. Of two that try at once, the second finds another key than the one that it knew.
fn replace(
    work: &mut Work<'_>,
    former: Option<&str>,
    former_retires_at: Timestamp,
    new: &SigningKeyRecord,
) -> Result<()> {
    let db = work.db;
    let signs: Option<String> = db
        .query_row("SELECT key_id FROM signing_keys WHERE retires_at IS NULL", [], |row| row.get(0))
        .optional()?;
    if signs.as_deref() != former {
        return Err(
            Error::conflict("another key was taken into use meanwhile: look at the keys again").into()
        );
    }
    db.execute(
        "UPDATE signing_keys SET retires_at = ?1 WHERE retires_at IS NULL",
        [former_retires_at.micros()],
    )?;
    // Where the former one retires at once, so do those before it.
    let over =
        if former_retires_at <= new.created_at { Timestamp::from_micros(i64::MAX) } else { new.created_at };
    db.execute("DELETE FROM signing_keys WHERE retires_at <= ?1", [over.micros()])?;
    let left: i64 = db.query_row("SELECT count(*) FROM signing_keys", [], |row| row.get(0))?;
    if usize::try_from(left).unwrap_or(usize::MAX) >= SIGNING_KEYS_MAX {
        return Err(Error::conflict(
            "the key before the present one still verifies tokens: wait until it retires, or retire all at once",
        )
        .into());
    }
    let sql = format!("INSERT INTO signing_keys ({KEY}) VALUES (?1, ?2, ?3, ?4, ?5)");
    db.prepare_cached(&sql)?.execute(params![
        new.id,
        new.public.as_slice(),
        new.sealed,
        new.created_at.micros(),
        new.retires_at.map(Timestamp::micros),
    ])?;
    Ok(())
}

fn holder(db: &Connection, id: &HolderId) -> Result<Option<Holder>> {
    Ok(match id {
        HolderId::Token(id) => tokens::by_id(db, id)?.map(Holder::Token),
        HolderId::Session(id) => {
            accounts::session_by_id(db, id)?.map(|(session, user)| Holder::Session(session, user))
        }
    })
}

fn add(work: &mut Work<'_>, access: &AccessRecord) -> Result<()> {
    let db = work.db;
    let now = access.created_at.micros();
    db.prepare_cached(
        "DELETE FROM access_tokens WHERE access_id IN \
         (SELECT access_id FROM access_tokens WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
    )?
    .execute(params![now, SWEPT_MAX])?;
    let (column, id) = match &access.holder {
        HolderId::Token(id) => ("token_id", id),
        HolderId::Session(id) => ("session_id", id),
    };
    let of_holder = format!(
        "SELECT count(*), min(expires_at) FROM access_tokens WHERE {column} = ?1 AND expires_at > ?2"
    );
    let counted = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let of_holder = db.prepare_cached(&of_holder)?.query_row(params![id, now], counted)?;
    // Those that ended and wait to be swept away count here: this bounds the table.
    let all =
        db.prepare_cached("SELECT count(*), min(expires_at) FROM access_tokens")?.query_row([], counted)?;
    room(of_holder, PER_HOLDER_MAX, now)?;
    room(all, ACCESS_MAX, now)?;
    let (token_id, session_id) = match &access.holder {
        HolderId::Token(id) => (Some(id), None),
        HolderId::Session(id) => (None, Some(id)),
    };
    let sql = format!("INSERT INTO access_tokens ({ACCESS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
    db.prepare_cached(&sql)?.execute(params![
        access.id,
        access.key_id,
        token_id,
        session_id,
        serde_json::to_string(&access.scopes)?,
        access.project.map(|project| project.0),
        quantity(access.epoch),
        now,
        access.expires_at.micros(),
    ])?;
    Ok(())
}

/// Refuses one more than `most`, until the first of them ends.
fn room((many, first_ends): (u32, Option<i64>), most: u32, now: i64) -> Result<()> {
    if many < most {
        return Ok(());
    }
    let micros = first_ends.unwrap_or(now).saturating_sub(now).max(0);
    Err(Error::Throttled { retry_after_seconds: u64::try_from(micros / SECOND + 1).unwrap_or(1) }.into())
}

fn access(db: &Connection, id: &str) -> Result<Option<(AccessRecord, Holder)>> {
    let sql = format!("SELECT {ACCESS} FROM access_tokens WHERE access_id = ?1");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query([id])?;
    let Some(found) = rows.next()?.map(access_row).transpose()? else { return Ok(None) };
    Ok(holder(db, &found.holder)?.map(|holder| (found, holder)))
}

fn signing_key(row: &Row<'_>) -> Result<SigningKeyRecord> {
    let mut c = Columns::new(row);
    Ok(SigningKeyRecord {
        id: c.take()?,
        public: c
            .take::<Vec<u8>>()?
            .try_into()
            .map_err(|_| Fault::Defect("a signing key has a wrong length".to_owned()))?,
        sealed: c.take()?,
        created_at: c.time()?,
        retires_at: c.time_optional()?,
    })
}

fn access_row(row: &Row<'_>) -> Result<AccessRecord> {
    let mut c = Columns::new(row);
    Ok(AccessRecord {
        id: c.take()?,
        key_id: c.take()?,
        holder: match (c.take::<Option<String>>()?, c.take::<Option<String>>()?) {
            (Some(id), None) => HolderId::Token(id),
            (None, Some(id)) => HolderId::Session(id),
            _ => return Err(Fault::Defect("an access token has not one holder".to_owned())),
        },
        scopes: c.json()?,
        project: c.take::<Option<i64>>()?.map(ProjectId),
        epoch: c.count()?,
        created_at: c.time()?,
        expires_at: c.time()?,
    })
}
