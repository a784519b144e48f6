//! People and their sessions.

use super::projects::collect;
use super::rows::{Columns, quantity};
use super::writer::Work;
use crate::fault::{Fault, Result};
use actifix_app::error::Error;
use actifix_app::ports::{SessionRecord, SessionsOf, UserRecord};
use actifix_domain::access::Role;
use actifix_domain::time::Timestamp;
use rusqlite::{Connection, Row, params};

/// People of one installation.
const USERS_MAX: i64 = 1_000;
/// Sessions of one person; the oldest makes room.
const SESSIONS_PER_USER_MAX: i64 = 50;
/// Sessions that are listed.
const SESSIONS_SHOWN: u32 = 1_000;
/// Ended sessions that one new one sweeps away.
const SWEPT_MAX: u32 = 64;

const USER: &str = "user_id, name, role, verifier, created_at, password_at, disabled_at, epoch, version";
/// Whether a second factor is asked for: a fact about another table, which is read with the account.
const FACTOR: &str = "EXISTS (SELECT 1 FROM second_factors f WHERE f.user_id = users.user_id \
     AND f.confirmed_at IS NOT NULL)";
const SESSION: &str = "s.hash, s.session_id, s.user_id, u.name, s.created_at, s.seen_at, s.authenticated_at, \
     s.expires_at, s.network";

pub(crate) fn add(work: &mut Work<'_>, user: &UserRecord) -> Result<()> {
    let many: i64 = work.db.query_row("SELECT count(*) FROM users", [], |row| row.get(0))?;
    if many >= USERS_MAX {
        return Err(Error::conflict(format!("there are {USERS_MAX} accounts, which is the most")).into());
    }
    let sql = format!(
        "INSERT INTO users ({USER}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1) ON CONFLICT DO NOTHING"
    );
    let made = work.db.prepare_cached(&sql)?.execute(params![
        user.id,
        user.name,
        user.role.as_str(),
        user.verifier,
        user.created_at.micros(),
        user.password_at.micros(),
        user.disabled_at.map(Timestamp::micros),
        quantity(user.epoch),
    ])?;
    if made == 0 {
        return Err(Error::conflict("an account with this name exists: choose another").into());
    }
    Ok(())
}

pub(crate) fn by_name(db: &Connection, name: &str) -> Result<Option<UserRecord>> {
    one(db, "name", name)
}

pub(crate) fn by_id(db: &Connection, id: &str) -> Result<Option<UserRecord>> {
    one(db, "user_id", id)
}

fn one(db: &Connection, column: &str, value: &str) -> Result<Option<UserRecord>> {
    let sql = format!("SELECT {USER}, {FACTOR} FROM users WHERE {column} = ?1");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query([value])?;
    rows.next()?.map(user).transpose()
}

pub(crate) fn all(db: &Connection) -> Result<Vec<UserRecord>> {
    collect(db, &format!("SELECT {USER}, {FACTOR} FROM users ORDER BY name LIMIT {USERS_MAX}"), [], user)
}

/// Saves what was decided on the account's version; with `end_sessions` all its logins end with it.
pub(crate) fn save(work: &mut Work<'_>, changed: &UserRecord, end_sessions: bool) -> Result<UserRecord> {
    let had_admin = has_admin(work.db)?;
    let saved = work
        .db
        .prepare_cached(
            "UPDATE users SET role = ?2, verifier = ?3, password_at = ?4, disabled_at = ?5, \
             version = version + 1 WHERE user_id = ?1 AND version = ?6",
        )?
        .execute(params![
            changed.id,
            changed.role.as_str(),
            changed.verifier,
            changed.password_at.micros(),
            changed.disabled_at.map(Timestamp::micros),
            quantity(changed.version),
        ])?;
    // Here and not where it is decided: two administrators may close each other's account at once.
    if had_admin && !has_admin(work.db)? {
        return Err(Error::conflict("this is the last administrator: make another one first").into());
    }
    if end_sessions && saved > 0 {
        end(work, &SessionsOf::User(changed.id.clone()))?;
    }
    match one(work.db, "user_id", &changed.id)? {
        Some(known) if saved > 0 => Ok(known),
        Some(_) => Err(Error::stale().into()),
        None => Err(Error::NotFound { what: "account" }.into()),
    }
}

fn has_admin(db: &Connection) -> Result<bool> {
    let mut statement =
        db.prepare_cached("SELECT 1 FROM users WHERE role = ?1 AND disabled_at IS NULL LIMIT 1")?;
    Ok(statement.exists([Role::Admin.as_str()])?)
}

/// Takes a stronger verifier of the same password, unless that was changed meanwhile.
pub(crate) fn upgrade(work: &mut Work<'_>, user_id: &str, old: &str, new: &str) -> Result<()> {
    work.db
        .prepare_cached("UPDATE users SET verifier = ?3 WHERE user_id = ?1 AND verifier = ?2")?
        .execute([user_id, old, new])?;
    Ok(())
}

/// Begins a session of a person who is still what the login was decided on.
pub(crate) fn begin(work: &mut Work<'_>, session: &SessionRecord, user: &UserRecord) -> Result<()> {
    let db = work.db;
    let same = db
        .prepare_cached(
            "SELECT 1 FROM users WHERE user_id = ?1 AND verifier = ?2 AND epoch = ?3 AND disabled_at IS NULL",
        )?
        .exists(params![session.user_id, user.verifier, quantity(user.epoch)])?;
    if !same {
        return Err(Error::conflict("the account was changed meanwhile: log in again").into());
    }
    db.prepare_cached(
        "DELETE FROM sessions WHERE hash IN (SELECT hash FROM sessions WHERE expires_at <= ?1 LIMIT ?2)",
    )?
    .execute(params![session.created_at.micros(), SWEPT_MAX])?;
    db.prepare_cached(
        "DELETE FROM sessions WHERE hash IN (SELECT hash FROM sessions WHERE user_id = ?1 \
         ORDER BY seen_at DESC LIMIT -1 OFFSET ?2)",
    )?
    .execute(params![session.user_id, SESSIONS_PER_USER_MAX - 1])?;
    db.prepare_cached(
        "INSERT INTO sessions (hash, session_id, user_id, created_at, seen_at, authenticated_at, expires_at, network) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        session.hash.as_slice(),
        session.id,
        session.user_id,
        session.created_at.micros(),
        session.seen_at.micros(),
        session.authenticated_at.micros(),
        session.expires_at.micros(),
        session.network,
    ])?;
    Ok(())
}

pub(crate) fn session(db: &Connection, hash: &[u8; 32]) -> Result<Option<(SessionRecord, UserRecord)>> {
    let sql =
        format!("SELECT {SESSION} FROM sessions s JOIN users u ON u.user_id = s.user_id WHERE s.hash = ?1");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query([hash.as_slice()])?;
    let Some(found) = rows.next()?.map(session_row).transpose()? else { return Ok(None) };
    Ok(one(db, "user_id", &found.user_id)?.map(|user| (found, user)))
}

/// A session and whose it is, by its id.
pub(crate) fn session_by_id(db: &Connection, id: &str) -> Result<Option<(SessionRecord, UserRecord)>> {
    let sql = format!(
        "SELECT {SESSION} FROM sessions s JOIN users u ON u.user_id = s.user_id WHERE s.session_id = ?1"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query([id])?;
    let Some(found) = rows.next()?.map(session_row).transpose()? else { return Ok(None) };
    Ok(one(db, "user_id", &found.user_id)?.map(|user| (found, user)))
}

/// Says that a session was used, or that its password was given again.
pub(crate) fn touch(
    work: &mut Work<'_>,
    hash: &[u8; 32],
    seen_at: Timestamp,
    authenticated: bool,
) -> Result<()> {
    work.db
        .prepare_cached(
            "UPDATE sessions SET seen_at = max(seen_at, ?2), \
             authenticated_at = CASE WHEN ?3 THEN max(authenticated_at, ?2) ELSE authenticated_at END WHERE hash = ?1",
        )?
        .execute(params![hash.as_slice(), seen_at.micros(), authenticated])?;
    Ok(())
}

pub(crate) fn sessions(db: &Connection, user_id: Option<&str>, now: Timestamp) -> Result<Vec<SessionRecord>> {
    let sql = format!(
        "SELECT {SESSION} FROM sessions s JOIN users u ON u.user_id = s.user_id \
         WHERE s.expires_at > ?1 AND s.user_id = coalesce(?2, s.user_id) ORDER BY s.seen_at DESC LIMIT {SESSIONS_SHOWN}"
    );
    collect(db, &sql, params![now.micros(), user_id], session_row)
}

pub(crate) fn end(work: &mut Work<'_>, which: &SessionsOf) -> Result<u64> {
    let gone = match which {
        SessionsOf::One(id) => work.db.execute("DELETE FROM sessions WHERE session_id = ?1", [id])?,
        SessionsOf::User(id) => {
            work.db.execute("UPDATE users SET epoch = epoch + 1 WHERE user_id = ?1", [id])?;
            work.db.execute("DELETE FROM sessions WHERE user_id = ?1", [id])?
        }
        SessionsOf::All => {
            work.db.execute("UPDATE users SET epoch = epoch + 1", [])?;
            work.db.execute("DELETE FROM sessions", [])?
        }
    };
    Ok(u64::try_from(gone).unwrap_or(0))
}

/// Ends all sessions of a person but one, and what was issued to them.
pub(crate) fn end_others(work: &mut Work<'_>, user_id: &str, kept: &str) -> Result<()> {
    let db = work.db;
    db.execute("UPDATE users SET epoch = epoch + 1 WHERE user_id = ?1", [user_id])?;
    db.execute("DELETE FROM sessions WHERE user_id = ?1 AND session_id <> ?2", [user_id, kept])?;
    Ok(())
}

fn user(row: &Row<'_>) -> Result<UserRecord> {
    let mut c = Columns::new(row);
    Ok(UserRecord {
        id: c.take()?,
        name: c.take()?,
        role: c.parse()?,
        verifier: c.take()?,
        created_at: c.time()?,
        password_at: c.time()?,
        disabled_at: c.time_optional()?,
        epoch: c.count()?,
        version: c.count()?,
        second_factor: c.take()?,
    })
}

fn session_row(row: &Row<'_>) -> Result<SessionRecord> {
    let mut c = Columns::new(row);
    Ok(SessionRecord {
        hash: c
            .take::<Vec<u8>>()?
            .try_into()
            .map_err(|_| Fault::Defect("hash of a session has a wrong length".to_owned()))?,
        id: c.take()?,
        user_id: c.take()?,
        user: c.take()?,
        created_at: c.time()?,
        seen_at: c.time()?,
        authenticated_at: c.time()?,
        expires_at: c.time()?,
        network: c.take()?,
    })
}
