//! Attempts to log in: counted before they are looked at, in one transaction, so that no two take the same last one.

use super::writer::Work;
use crate::fault::Result;
use actifix_app::ports::{LoginKey, LoginSettled, LoginTaken};
use actifix_domain::login::{LoginCounter, LoginKind, PER_MINUTE_MAX};
use actifix_domain::time::{DAY, Timestamp};
use rusqlite::{Connection, params};

/// Counters of one kind; beyond it the ones that were used longest ago go, where their kind may be forgotten.
const COUNTERS_MAX: u32 = 10_000;
/// Counters that one attempt sweeps away.
const SWEPT_MAX: u32 = 64;

pub(crate) fn wait(db: &Connection, keys: &[LoginKey], per_minute: u32, now: Timestamp) -> Result<i64> {
    let mut longest = 0;
    for key in keys {
        longest = longest.max(counter(db, key)?.wait(key.kind, per_minute, now));
    }
    Ok(longest)
}

pub(crate) fn take(
    work: &mut Work<'_>,
    keys: &[LoginKey],
    per_minute: u32,
    now: Timestamp,
) -> Result<LoginTaken> {
    let micros = wait(work.db, keys, per_minute, now)?;
    if micros > 0 {
        return Ok(LoginTaken::Wait { micros });
    }
    let mut failures = None;
    for key in keys {
        let mut counter = counter(work.db, key)?;
        failures.get_or_insert(counter.failures);
        counter.charge(now);
        save(work.db, key, &counter)?;
        sweep(work.db, key.kind, now)?;
    }
    Ok(LoginTaken::Counted { failures: failures.unwrap_or(0) })
}

pub(crate) fn settle(work: &mut Work<'_>, settled: &[LoginSettled]) -> Result<()> {
    for (key, end) in settled {
        let mut counter = counter(work.db, key)?;
        counter.settle(*end);
        save(work.db, key, &counter)?;
    }
    Ok(())
}

pub(crate) fn failures(db: &Connection, keys: &[LoginKey]) -> Result<Vec<u32>> {
    keys.iter().map(|key| Ok(counter(db, key)?.failures)).collect()
}

pub(crate) fn forget(work: &mut Work<'_>, keys: &[LoginKey]) -> Result<()> {
    for key in keys {
        work.db
            .prepare_cached("DELETE FROM login_counters WHERE kind = ?1 AND id = ?2")?
            .execute(params![key.kind.number(), key.id.as_slice()])?;
    }
    Ok(())
}

fn counter(db: &Connection, key: &LoginKey) -> Result<LoginCounter> {
    let mut statement =
        db.prepare_cached("SELECT last, failures, attempts FROM login_counters WHERE kind = ?1 AND id = ?2")?;
    let mut rows = statement.query(params![key.kind.number(), key.id.as_slice()])?;
    let Some(row) = rows.next()? else { return Ok(LoginCounter::default()) };
    let bytes: Vec<u8> = row.get(2)?;
    let (numbers, _) = bytes.as_chunks::<8>();
    let most = usize::try_from(PER_MINUTE_MAX).unwrap_or(0);
    Ok(LoginCounter {
        last: Timestamp::from_micros(row.get(0)?),
        failures: row.get(1)?,
        attempts: numbers
            .iter()
            .take(most)
            .map(|number| Timestamp::from_micros(i64::from_le_bytes(*number)))
            .collect(),
    })
}

fn save(db: &Connection, key: &LoginKey, counter: &LoginCounter) -> Result<()> {
    let attempts: Vec<u8> = counter.attempts.iter().flat_map(|at| at.micros().to_le_bytes()).collect();
    db.prepare_cached(
        "INSERT INTO login_counters (kind, id, last, failures, attempts) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (kind, id) DO UPDATE SET last = excluded.last, failures = excluded.failures, \
         attempts = excluded.attempts",
    )?
    .execute(params![
        key.kind.number(),
        key.id.as_slice(),
        counter.last.micros(),
        counter.failures,
        attempts
    ])?;
    Ok(())
}

/// Forgets what says nothing any more, and what is too much: a flood of names and networks must not fill the disk.
/// What closes an account is never forgotten for the sake of others; there are no more of it than accounts.
fn sweep(db: &Connection, kind: LoginKind, now: Timestamp) -> Result<()> {
    if kind.is_kept() {
        return Ok(());
    }
    db.prepare_cached(
        "DELETE FROM login_counters WHERE kind = ?1 AND id IN (SELECT id FROM login_counters \
         WHERE kind = ?1 AND last < ?2 ORDER BY last LIMIT ?3)",
    )?
    .execute(params![kind.number(), now.plus(-DAY).micros(), SWEPT_MAX])?;
    let many: u32 = db
        .prepare_cached("SELECT count(*) FROM login_counters WHERE kind = ?1")?
        .query_row([kind.number()], |row| row.get(0))?;
    if many > COUNTERS_MAX {
        db.prepare_cached(
            "DELETE FROM login_counters WHERE kind = ?1 AND id IN (SELECT id FROM login_counters \
             WHERE kind = ?1 ORDER BY last LIMIT ?2)",
        )?
        .execute(params![kind.number(), SWEPT_MAX])?;
    }
    Ok(())
}
