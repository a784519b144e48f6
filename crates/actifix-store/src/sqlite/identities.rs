//! Accounts as a sign-in provider names their owners, and sign-ins that came back.

use super::SqliteStore;
use super::projects::collect;
use super::rows::Columns;
use super::writer::Work;
use super::{accounts, audit};
use crate::fault::Result;
use actifix_app::error::{Error, Result as AppResult};
use actifix_app::ports::{IDENTITIES_MAX, IdentityRecord, IdentityStore, UserRecord};
use actifix_domain::audit::AuditRecord;
use actifix_domain::time::Timestamp;
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// Sign-ins that are remembered; beyond that the one that ends first is forgotten.
const SPENT_MAX: i64 = 10_000;

#[async_trait]
impl IdentityStore for SqliteStore {
    async fn identity(&self, issuer: &str, subject: &str) -> AppResult<Option<UserRecord>> {
        let (issuer, subject) = (issuer.to_owned(), subject.to_owned());
        self.read(move |db| user_of(db, &issuer, &subject)).await
    }

    async fn identities(&self, user_id: &str) -> AppResult<Vec<IdentityRecord>> {
        let user_id = user_id.to_owned();
        self.read(move |db| of_user(db, &user_id)).await
    }

    async fn link_identity(
        &self,
        identity: &IdentityRecord,
        new_user: Option<&UserRecord>,
        records: &[AuditRecord],
    ) -> AppResult<()> {
        let (identity, new_user, records) = (identity.clone(), new_user.cloned(), records.to_vec());
        self.write(move |work| {
            if let Some(user) = &new_user {
                accounts::add(work, user)?;
            }
            link(work, &identity)?;
            for record in &records {
                audit::append(work, record)?;
            }
            Ok(())
        })
        .await
    }

    async fn unlink_identities(&self, user_id: &str, audit: &AuditRecord) -> AppResult<u64> {
        let user_id = user_id.to_owned();
        self.audited(audit, move |work| {
            let gone = work.db.execute("DELETE FROM identities WHERE user_id = ?1", [user_id])?;
            Ok(u64::try_from(gone).unwrap_or(0))
        })
        .await
    }

    async fn spend_sign_in(&self, hash: &[u8; 32], expires_at: Timestamp, now: Timestamp) -> AppResult<bool> {
        let hash = *hash;
        self.write(move |work| spend(work, &hash, expires_at, now)).await
    }
}

fn user_of(db: &Connection, issuer: &str, subject: &str) -> Result<Option<UserRecord>> {
    let user_id: Option<String> = db
        .prepare_cached("SELECT user_id FROM identities WHERE issuer = ?1 AND subject = ?2")?
        .query_row([issuer, subject], |row| row.get(0))
        .optional()?;
    match user_id {
        Some(user_id) => accounts::by_id(db, &user_id),
        None => Ok(None),
    }
}

fn of_user(db: &Connection, user_id: &str) -> Result<Vec<IdentityRecord>> {
    let sql = format!(
        "SELECT issuer, subject, user_id, created_at FROM identities WHERE user_id = ?1 \
         ORDER BY created_at, issuer, subject LIMIT {IDENTITIES_MAX}"
    );
    collect(db, &sql, [user_id], identity)
}

fn link(work: &mut Work<'_>, identity: &IdentityRecord) -> Result<()> {
    let db = work.db;
    if of_user(db, &identity.user_id)?.len() >= IDENTITIES_MAX {
        return Err(Error::conflict(format!(
            "the account has {IDENTITIES_MAX} identities, which is the most: unlink them first"
        ))
        .into());
    }
    let made = db
        .prepare_cached(
            "INSERT INTO identities (issuer, subject, user_id, created_at) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            identity.issuer,
            identity.subject,
            identity.user_id,
            identity.created_at.micros()
        ])?;
    if made == 0 {
        return Err(
            Error::conflict("this identity opens an account already: unlink it from that one first").into()
        );
    }
    Ok(())
}

fn spend(work: &mut Work<'_>, hash: &[u8; 32], expires_at: Timestamp, now: Timestamp) -> Result<bool> {
    let db = work.db;
    db.prepare_cached("DELETE FROM spent_sign_ins WHERE expires_at <= ?1")?.execute([now.micros()])?;
    db.prepare_cached(
        "DELETE FROM spent_sign_ins WHERE hash IN \
         (SELECT hash FROM spent_sign_ins ORDER BY expires_at DESC LIMIT -1 OFFSET ?1)",
    )?
    .execute([SPENT_MAX - 1])?;
    let first = db
        .prepare_cached(
            "INSERT INTO spent_sign_ins (hash, expires_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        )?
        .execute(params![hash.as_slice(), expires_at.micros()])?;
    Ok(first > 0)
}

fn identity(row: &Row<'_>) -> Result<IdentityRecord> {
    let mut c = Columns::new(row);
    Ok(IdentityRecord { issuer: c.take()?, subject: c.take()?, user_id: c.take()?, created_at: c.time()? })
}
