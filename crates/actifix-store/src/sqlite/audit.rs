//! The audit log: rows that are only ever appended, chained by keyed hashes.

use super::projects::collect;
use super::rows::{self, Columns, Place, TicketRow, page_size, quantity};
use super::writer::Work;
use crate::fault::{Fault, Result, Weight};
use actifix_app::audit::{AuditChain, ChainRow};
use actifix_app::error::Error;
use actifix_app::ports::{
    ActivityEntry, AuditFault, AuditHead, AuditQuery, AuditReport, AuditRow, Page, TicketSave,
};
use actifix_domain::audit::{Action, AuditRecord, Verdict};
use actifix_domain::id::ProjectId;
use actifix_domain::ticket::Ticket;
use actifix_domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use serde_json::json;

/// Rows that one question of a check reads.
const CHECK_ROWS: u32 = 1_000;
/// Faults that a check names.
const FAULTS_MAX: usize = 20;
/// Rows that one step of pruning deletes.
const PRUNE_ROWS: u64 = 500;

const COLUMNS: &str = "seq, at, actor, action, target, project_id, network, result, detail, hash";

/// What the admin plane says while nothing can be recorded: what is not recorded is not done.
const UNWRITTEN: Error =
    Error::Unavailable { message: "the audit log cannot be written", retry_after_seconds: 30 };

/// Adds a record to the end of the chain, in the transaction of what it tells of.
pub(crate) fn append(work: &Work<'_>, record: &AuditRecord) -> Result<()> {
    match append_row(work.db, work.chain, record) {
        Err(fault) if fault.weight() == Weight::One => {
            metrics::counter!("actifix_audit_lost_total").increment(1);
            tracing::error!(error = %fault, "audit.not_written: the change is not made");
            Err(UNWRITTEN.into())
        }
        other => other,
    }
}

fn append_row(db: &Connection, chain: &AuditChain, record: &AuditRecord) -> Result<()> {
    let before = head(db, chain)?;
    let seq = before.seq + 1;
    let detail = record.detail.to_string();
    let hash = chain.next(
        &before.hash,
        &ChainRow {
            seq,
            at: record.at.micros(),
            actor: &record.actor,
            action: record.action.as_str(),
            target: &record.target,
            project: record.project.map(|project| project.0),
            network: record.network.as_deref(),
            result: record.result.as_str(),
            detail: &detail,
        },
    );
    let sql = format!("INSERT INTO audit ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
    db.prepare_cached(&sql)?.execute(params![
        quantity(seq),
        record.at.micros(),
        record.actor,
        record.action.as_str(),
        record.target,
        record.project.map(|project| project.0),
        record.network,
        record.result.as_str(),
        detail,
        hash.as_slice(),
    ])?;
    Ok(())
}

/// The record of a decision about a ticket: who, what, the state before and after.
pub(crate) fn of_ticket(
    work: &Work<'_>,
    before: &TicketRow,
    after: &TicketRow,
    save: &TicketSave,
    network: Option<String>,
    now: Timestamp,
) -> Result<()> {
    let state = |row: &TicketRow| {
        json!({
            "status": row.ticket.status, "priority": row.ticket.priority, "assignee": row.ticket.assignee,
            "approved": row.ticket.origins.approved, "resolved_in": row.ticket.resolved_in,
            "resolved_after": row.ticket.resolved_after,
            "lease": row.lease.as_ref().map(|lease| json!({
                "holder": lease.holder, "fence": lease.fence, "expires_at": lease.expires_at,
            })),
        })
    };
    // Only a renewed lease leaves no line.
    let entry = save.activity.as_ref();
    let (action, data) = match entry {
        Some(entry) => (Action::of_ticket(&entry.kind), entry.data.clone()),
        None => (Action::TicketRenewed, serde_json::Value::Null),
    };
    let record = AuditRecord {
        at: entry.map_or(now, |entry| entry.at),
        actor: save.actor.clone(),
        action,
        target: after.ticket.id.to_string(),
        project: Some(after.ticket.project),
        network,
        result: Verdict::Ok,
        detail: json!({ "before": state(before), "after": state(after), "data": data }),
    };
    append(work, &record.bounded())
}

/// The record of a merge or a split.
pub(crate) fn regrouped(
    work: &Work<'_>,
    ticket: &Ticket,
    entry: &ActivityEntry,
    network: Option<String>,
) -> Result<()> {
    let record = AuditRecord {
        at: entry.at,
        actor: entry.actor.clone(),
        action: Action::of_ticket(&entry.kind),
        target: ticket.id.to_string(),
        project: Some(ticket.project),
        network,
        result: Verdict::Ok,
        detail: json!({ "data": entry.data }),
    };
    append(work, &record.bounded())
}

/// The end of the log.
pub(crate) fn head(db: &Connection, chain: &AuditChain) -> Result<AuditHead> {
    let last = db
        .prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))
        .optional()?;
    match last {
        Some((seq, hash)) => Ok(AuditHead { seq: u64::try_from(seq).unwrap_or(0), hash: array(hash)? }),
        None => Ok(base(db)?.map_or(AuditHead { seq: 0, hash: chain.genesis() }, |base| base.head)),
    }
}

/// The end of the log as it is stored, where its key is not known: an empty log has the number 0 and no hash.
pub(crate) fn stored_head(db: &Connection) -> Result<AuditHead> {
    head(db, &AuditChain::new([0; 32])).map(|head| if head.seq == 0 { AuditHead::default() } else { head })
}

/// What stands for the rows that retention deleted.
struct Base {
    head: AuditHead,
    mac: [u8; 32],
}

fn base(db: &Connection) -> Result<Option<Base>> {
    let found = db
        .prepare_cached("SELECT seq, hash, mac FROM audit_base WHERE one = 1")?
        .query_row([], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Vec<u8>>(2)?))
        })
        .optional()?;
    let Some((seq, hash, mac)) = found else { return Ok(None) };
    let head = AuditHead { seq: u64::try_from(seq).unwrap_or(0), hash: array(hash)? };
    Ok(Some(Base { head, mac: array(mac)? }))
}

/// Hash of a row that is there, or that stands for those that are no longer.
pub(crate) fn hash_at(db: &Connection, chain: &AuditChain, seq: u64) -> Result<Option<[u8; 32]>> {
    if seq == 0 {
        return Ok(Some(chain.genesis()));
    }
    let found: Option<Vec<u8>> = db
        .prepare_cached("SELECT hash FROM audit WHERE seq = ?1")?
        .query_row([quantity(seq)], |row| row.get(0))
        .optional()?;
    match (found, base(db)?) {
        (Some(hash), _) => Ok(Some(array(hash)?)),
        (None, Some(base)) if base.head.seq == seq => Ok(Some(base.head.hash)),
        _ => Ok(None),
    }
}

pub(crate) fn list(db: &Connection, query: &AuditQuery) -> Result<Page<AuditRow>> {
    let limit = page_size(query.limit);
    let place = Place::parse(query.cursor.as_ref(), "audit")?;
    let mut sql = format!("SELECT {COLUMNS} FROM audit WHERE seq < ?1");
    let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(place.1)];
    let mut add = |condition: &str, value: Box<dyn ToSql>| {
        values.push(value);
        sql.push_str(&format!(" AND {}", condition.replace('#', &format!("?{}", values.len()))));
    };
    if let Some(since) = query.since {
        add("at >= #", Box::new(since.micros()));
    }
    if let Some(until) = query.until {
        add("at < #", Box::new(until.micros()));
    }
    if let Some(actor) = &query.actor {
        add("actor = #", Box::new(actor.clone()));
    }
    if let Some(action) = query.action {
        add("action = #", Box::new(action.as_str()));
    }
    if let Some(network) = &query.network {
        add("network = #", Box::new(network.clone()));
    }
    if let Some(user) = &query.user {
        add("(actor = # OR target = #)", Box::new(format!("user:{user}")));
    }
    if let Some(result) = query.result {
        add("result = #", Box::new(result.as_str()));
    }
    if let Some(project) = query.project {
        add("project_id = #", Box::new(project.0));
    }
    sql.push_str(&format!(" ORDER BY seq DESC LIMIT {}", limit + 1));
    let found = collect(db, &sql, rusqlite::params_from_iter(values), |row| Ok(((), stored(row)?.row()?)))?;
    Ok(rows::page(found, limit, None, "audit", |((), row)| Place(0, quantity(row.seq))))
}

/// A row as it lies there, before anybody believes it.
struct Stored {
    seq: u64,
    at: i64,
    actor: String,
    action: String,
    target: String,
    project: Option<i64>,
    network: Option<String>,
    result: String,
    detail: String,
    hash: Vec<u8>,
}

impl Stored {
    fn chained(&self) -> ChainRow<'_> {
        ChainRow {
            seq: self.seq,
            at: self.at,
            actor: &self.actor,
            action: &self.action,
            target: &self.target,
            project: self.project,
            network: self.network.as_deref(),
            result: &self.result,
            detail: &self.detail,
        }
    }

    fn row(self) -> Result<AuditRow> {
        let unknown = |what: &str| Fault::Defect(format!("{what} of an audit row"));
        Ok(AuditRow {
            seq: self.seq,
            hash: hex::encode(&self.hash),
            record: AuditRecord {
                at: Timestamp::from_micros(self.at),
                actor: self.actor,
                action: self.action.parse::<Action>().map_err(|_| unknown("action"))?,
                target: self.target,
                project: self.project.map(ProjectId),
                network: self.network,
                result: self.result.parse::<Verdict>().map_err(|_| unknown("result"))?,
                detail: serde_json::from_str(&self.detail)?,
            },
        })
    }
}

fn stored(row: &Row<'_>) -> Result<Stored> {
    let mut c = Columns::new(row);
    Ok(Stored {
        seq: c.count()?,
        at: c.take()?,
        actor: c.take()?,
        action: c.take()?,
        target: c.take()?,
        project: c.take()?,
        network: c.take()?,
        result: c.take()?,
        detail: c.take()?,
        hash: c.take()?,
    })
}

/// A check of the whole log that goes on from page to page.
pub(crate) struct Check {
    chain: AuditChain,
    witness: Option<AuditHead>,
    /// Number of the last row that retention had deleted when it began.
    base_seq: u64,
    before: AuditHead,
    report: AuditReport,
}

impl Check {
    /// Begins behind what retention deleted.
    pub(crate) fn begin(db: &Connection, chain: &AuditChain, witness: Option<AuditHead>) -> Result<Self> {
        let base = base(db)?;
        let before = base.as_ref().map_or(AuditHead { seq: 0, hash: chain.genesis() }, |base| base.head);
        let report = AuditReport { witnessed: witness.map(|head| head.seq), ..AuditReport::default() };
        let mut check = Self { chain: chain.clone(), witness, base_seq: before.seq, before, report };
        if base.is_some_and(|base| base.mac != chain.base_mac(base.head.seq, &base.head.hash)) {
            check.fault(
                "base",
                before.seq,
                "the row that stands for deleted rows was not written by this server",
            );
        }
        check.meet_witness();
        Ok(check)
    }

    /// Whether retention deleted rows since it began.
    pub(crate) fn is_overtaken(&self, db: &Connection) -> Result<bool> {
        Ok(base(db)?.map_or(0, |base| base.head.seq) != self.base_seq)
    }

    /// Reads the next page; whether there was one.
    pub(crate) fn page(&mut self, db: &Connection) -> Result<bool> {
        let sql = format!("SELECT {COLUMNS} FROM audit WHERE seq > ?1 ORDER BY seq LIMIT {CHECK_ROWS}");
        let found = collect(db, &sql, [quantity(self.before.seq)], stored)?;
        for row in &found {
            self.row(row)?;
        }
        Ok(!found.is_empty())
    }

    fn row(&mut self, row: &Stored) -> Result<()> {
        let expected = self.before.seq + 1;
        let follows = row.seq == expected;
        if !follows {
            let message = format!("rows {expected} to {} are missing", row.seq - 1);
            self.fault("missing", expected, message);
        }
        let hash = array(row.hash.clone())?;
        // Behind a gap the predecessor's hash is gone; the row is judged by those that follow it.
        if follows && hash != self.chain.next(&self.before.hash, &row.chained()) {
            self.fault("changed", row.seq, format!("row {} was changed, moved, or put in", row.seq));
        }
        self.before = AuditHead { seq: row.seq, hash };
        self.report.first = if self.report.rows == 0 { row.seq } else { self.report.first };
        self.report.rows += 1;
        self.report.last = row.seq;
        self.meet_witness();
        Ok(())
    }

    fn meet_witness(&mut self) {
        let Some(witness) = self.witness else { return };
        if witness.seq == self.before.seq && witness.hash != self.before.hash {
            let message =
                format!("the witness saw another row {}: this log was forked or put back", witness.seq);
            self.fault("forked", witness.seq, message);
        }
    }

    /// What was found, after the last page.
    pub(crate) fn end(mut self, witness_wanted: bool) -> AuditReport {
        let last = self.before.seq;
        match self.witness {
            Some(witness) if witness.seq > last => {
                let message = format!("rows {} to {} were cut off the end", last + 1, witness.seq);
                self.fault("truncated", last + 1, message);
            }
            None if witness_wanted => {
                let message = "the witness outside the database is missing or was not written by this server";
                self.fault("witness", last, message);
            }
            _ => {}
        }
        self.report.intact = self.report.faults.is_empty();
        self.report
    }

    fn fault(&mut self, kind: &'static str, seq: u64, message: impl Into<String>) {
        if self.report.faults.len() < FAULTS_MAX {
            self.report.faults.push(AuditFault { kind, seq, message: message.into() });
        }
    }
}

/// Numbers up to which rows are older than `before`; the last row stays, so that the chain goes on.
pub(crate) fn prunable(db: &Connection, before: Timestamp) -> Result<Option<(u64, u64)>> {
    let sql = "SELECT min(seq), (SELECT min(seq) FROM audit WHERE at >= ?1), max(seq) FROM audit";
    let (first, keep, last): (Option<i64>, Option<i64>, Option<i64>) =
        db.query_row(sql, [before.micros()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let (Some(first), Some(last)) = (first, last) else { return Ok(None) };
    let up_to = keep.unwrap_or(last).min(last) - 1;
    let found =
        (up_to >= first).then(|| (u64::try_from(first).unwrap_or(0), u64::try_from(up_to).unwrap_or(0)));
    Ok(found)
}

/// Deletes rows from the old end, at most [`PRUNE_ROWS`] and none behind `up_to`; how many.
pub(crate) fn prune(work: &mut Work<'_>, first: u64, up_to: u64, now: Timestamp) -> Result<u64> {
    let db = work.db;
    let last = up_to.min(first.saturating_add(PRUNE_ROWS - 1));
    let hash = hash_at(db, work.chain, last)?.ok_or(Error::NotFound { what: "audit row" })?;
    let mac = work.chain.base_mac(last, &hash);
    db.execute(
        "INSERT INTO audit_base (one, seq, hash, at, mac) VALUES (1, ?1, ?2, ?3, ?4) ON CONFLICT (one) DO UPDATE SET \
         seq = excluded.seq, hash = excluded.hash, at = excluded.at, mac = excluded.mac",
        params![quantity(last), hash.as_slice(), now.micros(), mac.as_slice()],
    )?;
    let gone = db.execute("DELETE FROM audit WHERE seq <= ?1", [quantity(last)])?;
    if last == up_to {
        let mut record = AuditRecord::system(now, Action::AuditPruned, "audit");
        record.detail = json!({ "up_to": up_to });
        append(work, &record)?;
    }
    Ok(u64::try_from(gone).unwrap_or(0))
}

fn array(bytes: Vec<u8>) -> Result<[u8; 32]> {
    bytes.try_into().map_err(|_| Fault::Defect("hash of an audit row has a wrong length".to_owned()))
}
