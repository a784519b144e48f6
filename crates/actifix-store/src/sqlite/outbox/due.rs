//! Which deliveries have their turn, and which have waited too long.

use super::super::alerts;
use super::super::projects::collect;
use super::super::rows::Columns;
use super::super::writer::Work;
use crate::fault::Result;
use actifix_app::ports::{Expired, LeasedDelivery};
use actifix_domain::alert::{ENDPOINTS_MAX, WAIT_MICROS_MAX};
use actifix_domain::time::Timestamp;
use rusqlite::{Connection, params};
use std::collections::BTreeMap;

/// The oldest waiting delivery of each channel that may be attempted now: order holds per channel, and a channel that
/// fails holds up its own messages only. A time that lies further off than any wait (`?2`) was written by a clock that
/// was ahead, and means nothing.
const DUE: &str = "FROM endpoints e JOIN deliveries d ON d.seq = ( \
       SELECT min(seq) FROM deliveries WHERE endpoint_id = e.endpoint_id AND state = 'pending') \
     WHERE e.enabled = 1 AND (e.next_attempt_at IS NULL OR e.next_attempt_at <= ?1 OR e.next_attempt_at > ?2) \
       AND (d.leased_until IS NULL OR d.leased_until <= ?1 OR d.leased_until > ?2)";

/// Channels that have one, by its age.
pub(super) fn channels(db: &Connection, now: Timestamp) -> Result<Vec<String>> {
    let sql = format!("SELECT e.endpoint_id {DUE} ORDER BY d.seq LIMIT ?3");
    let most = i64::try_from(ENDPOINTS_MAX).unwrap_or(i64::MAX);
    collect(db, &sql, params![now.micros(), now.plus(WAIT_MICROS_MAX).micros(), most], |row| Ok(row.get(0)?))
}

/// Takes those of some channels.
pub(super) fn lease(
    work: &mut Work<'_>,
    now: Timestamp,
    until: Timestamp,
    only: &[String],
) -> Result<Vec<LeasedDelivery>> {
    let db = work.db;
    let sql = format!(
        "SELECT d.seq, d.delivery_id, d.endpoint_id, d.notice, d.ticket_id, d.attempts + 1, d.created_at, d.expires_at \
         {DUE} AND e.endpoint_id = ?3"
    );
    let mut taken = Vec::new();
    for endpoint in only.iter().take(ENDPOINTS_MAX) {
        let values = params![now.micros(), now.plus(WAIT_MICROS_MAX).micros(), endpoint];
        let due = collect(db, &sql, values, |row| {
            let mut c = Columns::new(row);
            let seq: i64 = c.take()?;
            let leased = LeasedDelivery {
                id: c.take()?,
                endpoint: c.take()?,
                notice: c.take()?,
                ticket: c.parse_optional()?,
                attempts: c.take()?,
                created_at: c.time()?,
                expires_at: c.time()?,
            };
            Ok((seq, leased))
        })?;
        for (seq, leased) in due {
            db.prepare_cached(
                "UPDATE deliveries SET leased_until = ?2, attempts = attempts + 1 WHERE seq = ?1",
            )?
            .execute(params![seq, until.micros()])?;
            taken.push(leased);
        }
    }
    Ok(taken)
}

/// Gives up what waited too long, at most `most`.
pub(super) fn expire(work: &mut Work<'_>, now: Timestamp, most: i64) -> Result<Vec<Expired>> {
    let db = work.db;
    let sql = "UPDATE deliveries SET state = 'dead', last_failure = coalesce(last_failure, 'expired'), \
           leased_until = NULL \
         WHERE seq IN (SELECT seq FROM deliveries WHERE state = 'pending' AND expires_at <= ?1 LIMIT ?2) \
         RETURNING endpoint_id, attempts = 0";
    let gone: Vec<(String, bool)> =
        collect(db, sql, params![now.micros(), most], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut counts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (endpoint, untried) in gone {
        let (count, never) = counts.entry(endpoint).or_default();
        *count += 1;
        *never += u64::from(untried);
    }
    let mut expired = Vec::new();
    for (id, (count, untried)) in counts {
        if let Some(endpoint) = alerts::by_id(db, &id)? {
            expired.push(Expired { endpoint, count, untried });
        }
    }
    Ok(expired)
}
