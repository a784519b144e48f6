//! Rows to domain types and back.

use super::{check, marks};
use crate::fault::{Fault, Result};
use actifix_app::ports::{Cursor, Lease, Page};
use actifix_domain::approval::{Approval, Origins, PEERS_MAX};
use actifix_domain::id::{Fingerprint, ProjectId, TicketId};
use actifix_domain::ticket::{Priority, Status, Ticket};
use actifix_domain::time::Timestamp;
use rusqlite::types::{FromSql, ValueRef};
use rusqlite::{Connection, Row, params};
use std::str::FromStr;

/// A ticket as its row holds it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TicketRow {
    pub(crate) seq: i64,
    pub(crate) ticket: Ticket,
    pub(crate) latest_event_seq: Option<i64>,
    pub(crate) latest_transient: bool,
    pub(crate) hour: i64,
    pub(crate) hour_count: u64,
    pub(crate) day: i64,
    pub(crate) day_count: u64,
    pub(crate) indexed_hour: i64,
    pub(crate) lease: Option<Lease>,
    pub(crate) last_fence: u64,
    /// What it may have; see [`marks`].
    pub(crate) marks: i64,
}

/// Columns of [`TicketRow`], in the order in which [`ticket_row`] reads them.
pub(crate) const TICKET_COLUMNS: &str = "seq, project_id, ticket_id, fingerprint, near_key, title, culprit, level, \
     status, priority, priority_reason, event_count, user_count, first_seen, last_seen, first_release, last_release, \
     platform, unhandled, resolved_at, resolved_in, regressions, raised, assignee, created_at, version, \
     latest_event_seq, latest_transient, hour, hour_count, day, day_count, indexed_hour, lease_id, lease_fence, lease_holder, \
     lease_since, lease_expires_at, last_fence, approved, trusted_count, peers, resolved_after, marks, row_check";

/// Reads columns one after the other.
pub(crate) struct Columns<'a, 'r> {
    row: &'a Row<'r>,
    next: usize,
}

impl<'a, 'r> Columns<'a, 'r> {
    pub(crate) fn new(row: &'a Row<'r>) -> Self {
        Self { row, next: 0 }
    }

    pub(crate) fn take<T: FromSql>(&mut self) -> Result<T> {
        let place = self.next;
        self.next += 1;
        Ok(self.row.get(place)?)
    }

    pub(crate) fn skip(&mut self) {
        self.next += 1;
    }

    /// A text column through its parser.
    pub(crate) fn parse<T: FromStr>(&mut self) -> Result<T> {
        self.parse_optional()?.ok_or_else(|| Fault::Defect("a column is empty that must not be".to_owned()))
    }

    /// A text column that may be null.
    pub(crate) fn parse_optional<T: FromStr>(&mut self) -> Result<Option<T>> {
        let place = self.next;
        self.next += 1;
        let text = match self.row.get_ref(place)? {
            ValueRef::Null => return Ok(None),
            ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        };
        match text.and_then(|text| text.parse().ok()) {
            Some(value) => Ok(Some(value)),
            None => Err(Fault::Defect(format!("column {place} does not hold what it should"))),
        }
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp> {
        Ok(Timestamp::from_micros(self.take()?))
    }

    pub(crate) fn time_optional(&mut self) -> Result<Option<Timestamp>> {
        Ok(self.take::<Option<i64>>()?.map(Timestamp::from_micros))
    }

    /// A count; what is stored is never negative.
    pub(crate) fn count(&mut self) -> Result<u64> {
        Ok(u64::try_from(self.take::<i64>()?).unwrap_or(0))
    }

    pub(crate) fn priority(&mut self) -> Result<Priority> {
        priority(self.take()?)
    }

    pub(crate) fn json<T: serde::de::DeserializeOwned>(&mut self) -> Result<T> {
        Ok(serde_json::from_str(&self.take::<String>()?)?)
    }
}

/// A priority from its number.
pub(crate) fn priority(number: i64) -> Result<Priority> {
    u8::try_from(number)
        .ok()
        .and_then(Priority::from_number)
        .ok_or_else(|| Fault::Defect(format!("priority {number}")))
}

/// A count for SQL.
pub(crate) fn quantity(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Reads [`TICKET_COLUMNS`].
pub(crate) fn ticket_row(row: &Row<'_>) -> Result<TicketRow> {
    let mut c = Columns::new(row);
    let seq = c.take()?;
    let mut ticket = Ticket {
        project: ProjectId(c.take()?),
        id: c.parse()?,
        fingerprint: c.parse()?,
        near_key: c.parse_optional()?,
        title: c.take()?,
        culprit: c.take()?,
        level: c.parse()?,
        status: c.parse()?,
        priority: c.priority()?,
        priority_reason: c.take()?,
        count: c.count()?,
        users: c.count()?,
        first_seen: c.time()?,
        last_seen: c.time()?,
        first_release: c.take()?,
        last_release: c.take()?,
        platform: c.take()?,
        unhandled: c.take()?,
        resolved_at: c.time_optional()?,
        resolved_in: c.take()?,
        resolved_after: None,
        regressions: c.take()?,
        raised: c.take()?,
        assignee: c.take()?,
        approval: Approval::default(),
        approval_reason: String::new(),
        origins: Origins::default(),
        created_at: c.time()?,
        version: c.count()?,
    };
    let (latest_event_seq, latest_transient) = (c.take()?, c.take()?);
    let (hour, hour_count, day, day_count) = (c.take()?, c.count()?, c.take()?, c.count()?);
    let (indexed_hour, lease, last_fence) = (c.take()?, lease(&mut c)?, c.count()?);
    ticket.origins =
        Origins { approved: c.take()?, trusted_events: c.count()?, peers: peers(&c.take::<Vec<u8>>()?) };
    ticket.resolved_after = c.take()?;
    let marks = c.take()?;
    let row = TicketRow {
        seq,
        ticket,
        latest_event_seq,
        latest_transient,
        hour,
        hour_count,
        day,
        day_count,
        indexed_hour,
        lease,
        last_fence,
        marks,
    };
    match c.take::<Option<i64>>()? {
        Some(noted) if noted != check::ticket(&row) => Err(Fault::damaged("tickets", seq)),
        _ => Ok(row),
    }
}

/// Hashes of addresses, eight bytes each.
fn peers(bytes: &[u8]) -> Vec<u64> {
    let (hashes, _) = bytes.as_chunks::<8>();
    hashes.iter().take(PEERS_MAX).map(|hash| u64::from_le_bytes(*hash)).collect()
}

fn lease(c: &mut Columns<'_, '_>) -> Result<Option<Lease>> {
    let (id, fence, holder, since, expires): (Option<String>, Option<i64>, Option<String>, _, _) =
        (c.take()?, c.take()?, c.take()?, c.time_optional()?, c.time_optional()?);
    Ok(match (id, fence, holder, since, expires) {
        (Some(lease_id), Some(fence), Some(holder), Some(since), Some(expires_at)) => {
            Some(Lease { lease_id, fence: u64::try_from(fence).unwrap_or(0), holder, since, expires_at })
        }
        _ => None,
    })
}

/// Writes a new ticket.
pub(crate) fn insert_ticket(db: &Connection, row: &TicketRow) -> Result<()> {
    let sql = const_insert();
    write_ticket(db, sql, row)
}

/// Writes a known ticket back.
pub(crate) fn update_ticket(db: &Connection, row: &TicketRow) -> Result<()> {
    // Identity, project and birth never change.
    const SQL: &str = "UPDATE tickets SET fingerprint = ?4, near_key = ?5, title = ?6, culprit = ?7, level = ?8, \
         status = ?9, priority = ?10, priority_reason = ?11, event_count = ?12, user_count = ?13, first_seen = ?14, \
         last_seen = ?15, first_release = ?16, last_release = ?17, platform = ?18, unhandled = ?19, \
         resolved_at = ?20, resolved_in = ?21, regressions = ?22, raised = ?23, assignee = ?24, version = ?26, \
         latest_event_seq = ?27, latest_transient = ?28, hour = ?29, hour_count = ?30, day = ?31, day_count = ?32, \
         indexed_hour = ?33, lease_id = ?34, lease_fence = ?35, lease_holder = ?36, lease_since = ?37, \
         lease_expires_at = ?38, last_fence = ?39, approved = ?40, \
         trusted_count = ?41, peers = ?42, resolved_after = ?43, marks = ?44, row_check = ?45 \
         WHERE seq = ?1 AND project_id = ?2 AND ticket_id = ?3 AND created_at = ?25";
    write_ticket(db, SQL, row)
}

fn const_insert() -> &'static str {
    static SQL: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    SQL.get_or_init(|| {
        let places: Vec<String> = (1..=45).map(|place| format!("?{place}")).collect();
        format!("INSERT INTO tickets ({TICKET_COLUMNS}) VALUES ({})", places.join(", "))
    })
}

fn write_ticket(db: &Connection, sql: &str, row: &TicketRow) -> Result<()> {
    let (t, lease) = (&row.ticket, row.lease.as_ref());
    let changed = db.prepare_cached(sql)?.execute(params![
        row.seq,
        t.project.0,
        t.id.as_str(),
        Hex::of(&t.fingerprint.0).as_str(),
        t.near_key.map(|key| key.to_string()),
        t.title,
        t.culprit,
        t.level.as_str(),
        t.status.as_str(),
        t.priority.number(),
        t.priority_reason,
        quantity(t.count),
        quantity(t.users),
        t.first_seen.micros(),
        t.last_seen.micros(),
        t.first_release,
        t.last_release,
        t.platform,
        t.unhandled,
        t.resolved_at.map(Timestamp::micros),
        t.resolved_in,
        t.regressions,
        t.raised,
        t.assignee,
        t.created_at.micros(),
        quantity(t.version),
        row.latest_event_seq,
        row.latest_transient,
        row.hour,
        quantity(row.hour_count),
        row.day,
        quantity(row.day_count),
        row.indexed_hour,
        lease.map(|lease| lease.lease_id.as_str()),
        lease.map(|lease| quantity(lease.fence)),
        lease.map(|lease| lease.holder.as_str()),
        lease.map(|lease| lease.since.micros()),
        lease.map(|lease| lease.expires_at.micros()),
        quantity(row.last_fence),
        t.origins.approved,
        quantity(t.origins.trusted_events),
        t.origins.peers.iter().flat_map(|hash| hash.to_le_bytes()).collect::<Vec<u8>>(),
        t.resolved_after,
        marks::of(row),
        check::ticket(row),
    ])?;
    if changed == 1 { Ok(()) } else { Err(Fault::Defect(format!("ticket {} is gone", t.id))) }
}

/// A ticket by its number.
pub(crate) fn ticket_by_seq(db: &Connection, seq: i64) -> Result<Option<TicketRow>> {
    static SQL: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let sql = SQL.get_or_init(|| format!("SELECT {TICKET_COLUMNS} FROM tickets WHERE seq = ?1"));
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([seq])?;
    rows.next()?.map(ticket_row).transpose()
}

/// Number of a ticket by its id, or by the id of one that was merged into it.
pub(crate) fn ticket_seq(db: &Connection, id: &TicketId) -> Result<Option<i64>> {
    const SQL: &str = "SELECT seq FROM tickets WHERE ticket_id = ?1 \
         UNION ALL SELECT ticket_seq FROM ticket_aliases WHERE ticket_id = ?1 LIMIT 1";
    let mut statement = db.prepare_cached(SQL)?;
    let mut rows = statement.query([id.as_str()])?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
}

/// A ticket by its id, or by the id of one that was merged into it.
pub(crate) fn ticket_by_id(db: &Connection, id: &TicketId) -> Result<Option<TicketRow>> {
    match ticket_seq(db, id)? {
        Some(seq) => ticket_by_seq(db, seq),
        None => Ok(None),
    }
}

/// Moves a counter.
pub(crate) fn add_to_counter(db: &Connection, project: ProjectId, name: &str, delta: i64) -> Result<()> {
    if delta != 0 {
        db.prepare_cached(
            "INSERT INTO counters (project_id, name, quantity) VALUES (?1, ?2, ?3) \
             ON CONFLICT (project_id, name) DO UPDATE SET quantity = quantity + excluded.quantity",
        )?
        .execute(params![project.0, name, delta])?;
    }
    Ok(())
}

/// A counter of one project.
pub(crate) fn counter(db: &Connection, project: ProjectId, name: &str) -> Result<u64> {
    sum(db, "SELECT quantity FROM counters WHERE project_id = ?1 AND name = ?2", params![project.0, name])
}

/// A counter over all projects.
pub(crate) fn counter_total(db: &Connection, name: &str) -> Result<u64> {
    sum(db, "SELECT sum(quantity) FROM counters WHERE name = ?1", params![name])
}

fn sum(db: &Connection, sql: &str, values: impl rusqlite::Params) -> Result<u64> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let found: Option<i64> = rows.next()?.map(|row| row.get(0)).transpose()?.flatten();
    Ok(found.and_then(|sum| u64::try_from(sum).ok()).unwrap_or(0))
}

/// Name of the counter of tickets with a status and priority.
pub(crate) fn ticket_counter(status: Status, priority: Priority) -> String {
    format!("tickets:{}:{}", status.as_str(), priority.as_str())
}

/// Reverse of [`ticket_counter`].
pub(crate) fn parse_ticket_counter(name: &str) -> Option<(Status, Priority)> {
    let (status, priority) = name.strip_prefix("tickets:")?.split_once(':')?;
    Some((status.parse().ok()?, priority.parse().ok()?))
}

/// Name of the counter of would-be new tickets of a priority that the throttle ever refused.
pub(crate) fn held_total(priority: Priority) -> String {
    format!("held_total:{}", priority.as_str())
}

/// Counter of stored events.
pub(crate) const EVENTS: &str = "events";
/// Counter of bytes of stored bodies and attachments.
pub(crate) const EVENT_BYTES: &str = "event_bytes";
/// Counter of quarantined inputs.
pub(crate) const QUARANTINE: &str = "quarantine";
/// Counter of bytes of quarantined inputs.
pub(crate) const QUARANTINE_BYTES: &str = "quarantine_bytes";
/// Counter of inputs for which the quarantine had no room.
pub(crate) const QUARANTINE_REFUSED: &str = "quarantine_refused";
/// Counter of events on held tickets.
pub(crate) const HELD_EVENTS: &str = "held_events";
/// Counter of events whose ticket was beyond the cap of held ones.
pub(crate) const BEYOND_CAP: &str = "beyond_cap";
/// Counter of findings.
pub(crate) const FINDINGS: &str = "findings";

/// 16 bytes as hex without an allocation.
pub(crate) struct Hex([u8; 32]);

impl Hex {
    pub(crate) fn of(bytes: &[u8; 16]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble & 15)).copied().unwrap_or(b'0');
        let mut text = [b'0'; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            if let [high, low] = pair {
                *high = digit(byte >> 4);
                *low = digit(*byte);
            }
        }
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Hex of a fingerprint.
pub(crate) fn key_hex(key: Fingerprint) -> Hex {
    Hex::of(&key.0)
}

/// A place in a list: the number that it is sorted by, and the one that breaks ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(pub(crate) i64, pub(crate) i64);

impl Place {
    /// Before every row of a descending list.
    pub(crate) const TOP: Self = Self(i64::MAX, i64::MAX);

    /// As a cursor; `list` names the list and its order, so that a cursor of another list is refused.
    pub(crate) fn cursor(self, list: &str) -> Cursor {
        Cursor(format!("{list}.{}.{}", self.0, self.1))
    }

    /// From a cursor of the same list.
    pub(crate) fn parse(cursor: Option<&Cursor>, list: &str) -> Result<Self> {
        let Some(Cursor(text)) = cursor else { return Ok(Self::TOP) };
        let numbers = text.strip_prefix(list).and_then(|rest| rest.strip_prefix('.'));
        let place = numbers.and_then(|rest| {
            let (first, second) = rest.split_once('.')?;
            Some(Self(first.parse().ok()?, second.parse().ok()?))
        });
        place.ok_or_else(|| {
            Fault::App(actifix_app::error::Error::invalid(
                "cursor",
                "not a cursor of this list; start without one",
            ))
        })
    }
}

/// Longest page of any list.
pub(crate) const PAGE_MAX: u32 = 200;

/// A page size within its bounds.
pub(crate) fn page_size(limit: u32) -> usize {
    usize::try_from(limit.clamp(1, PAGE_MAX)).unwrap_or(200)
}

/// One row more than a page, which tells whether there is a next one.
pub(crate) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

/// Cuts what was read, one more than `limit`, to a page. The first of each pair is what places are made of.
pub(crate) fn page<K, T>(
    mut found: Vec<(K, T)>,
    limit: usize,
    total: Option<u64>,
    list: &str,
    place: impl Fn(&(K, T)) -> Place,
) -> Page<T> {
    let more = found.len() > limit;
    found.truncate(limit);
    let next_cursor = found.last().filter(|_| more).map(|last| place(last).cursor(list));
    Page { items: found.into_iter().map(|(_, item)| item).collect(), next_cursor, total }
}
