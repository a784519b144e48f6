//! The report of an incident: what the audit log says happened, in order, with what is missing in it marked, signed.

use super::IncidentState;
use crate::app::App;
use crate::error::{Error, Result};
use crate::evidence::Signature;
use crate::ports::{AuditQuery, AuditReport, AuditRow};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::audit::Action;
use actifix_domain::project::ProjectSettings;
use actifix_domain::time::{HOUR, SECOND, Timestamp};
use actifix_domain::words::plural;
use serde::Serialize;
use serde_json::{Value, json};

/// Rows of a report; the latest are kept.
pub const ROWS_MAX: usize = 20_000;
/// A log in which nothing stands for so long says so: the server may have been off.
const QUIET: i64 = 6 * HOUR;
/// Clocks are set by so much without anybody's doing.
const SLACK: i64 = 2 * SECOND;

/// A place at which the log does not tell everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// `missing`: rows are not there; `clock_back`: the clock was turned back; `quiet`: nothing was recorded for hours;
    /// `start`: earlier rows are not in the report.
    pub kind: &'static str,
    /// Number of the row after it.
    pub seq: u64,
    /// What it is.
    pub what: String,
}

/// A report with its signature.
#[derive(Clone, Debug, Serialize)]
pub struct IncidentReport {
    /// JSON, to the letter as it is signed.
    pub document: String,
    /// Signature over it.
    pub signature: Signature,
}

impl App {
    /// The report from `since` on, by default of the last 7 days. That it was made is recorded first.
    pub async fn incident_report(
        &self,
        actor: &Actor,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<IncidentReport> {
        Self::require(actor, Scope::Admin, None)?;
        let now = self.now();
        let since = since.unwrap_or_else(|| now.plus(-7 * 24 * HOUR));
        if until.is_some_and(|until| until <= since) {
            return Err(Error::invalid("until", "later than since"));
        }
        let detail = json!({ "step": "report", "since": since, "until": until });
        self.record_act(actor, Action::IncidentStep, "incident", detail).await?;
        let verification = self.store.verify_audit().await?;
        let (rows, cut) = self.rows_of(since, until).await?;
        let state: IncidentState = self.incident(actor).await?;
        let period = Period { since, until, now, cut };
        let document = self.write_report(&rows, &period, &verification, &state);
        let signature = self.evidence.sign(document.as_bytes())?;
        Ok(IncidentReport { document, signature })
    }

    /// Rows of the period, oldest first, and whether some are left out.
    async fn rows_of(&self, since: Timestamp, until: Option<Timestamp>) -> Result<(Vec<AuditRow>, bool)> {
        let (mut rows, mut cursor) = (Vec::new(), None);
        loop {
            let query = AuditQuery { since: Some(since), until, cursor, limit: 200, ..AuditQuery::default() };
            let page = self.store.audit_log(query).await?;
            rows.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() || rows.len() >= ROWS_MAX {
                break;
            }
        }
        let cut = cursor.is_some() || rows.len() > ROWS_MAX;
        rows.truncate(ROWS_MAX);
        rows.reverse();
        Ok((rows, cut))
    }

    fn write_report(
        &self,
        rows: &[AuditRow],
        period: &Period,
        found: &AuditReport,
        state: &IncidentState,
    ) -> String {
        let mut gaps = gaps(rows);
        if period.cut {
            let what =
                format!("only the latest {ROWS_MAX} rows of the period are here: ask for a shorter one");
            gaps.insert(0, Gap { kind: "start", seq: rows.first().map_or(0, |row| row.seq), what });
        }
        let document = json!({
            "format": 1,
            "kind": "actifix incident report",
            "installation": self.installation,
            "program": env!("CARGO_PKG_VERSION"),
            "made_at": period.now,
            "since": period.since,
            "until": period.until,
            "audit_log": found,
            "gaps": gaps,
            "state": state,
            "timeline": rows.iter().map(|row| self.told_row(row)).collect::<Vec<_>>(),
        });
        format!("{document:#}\n")
    }

    /// Rows are redacted when they are written; rules are better today than they were then.
    fn told_row(&self, row: &AuditRow) -> Value {
        let mut row = row.clone();
        if self.redact_value(&ProjectSettings::default(), &mut row.record.detail).is_err() {
            row.record.detail = json!({ "cut": true });
        }
        json!(row)
    }
}

struct Period {
    since: Timestamp,
    until: Option<Timestamp>,
    now: Timestamp,
    cut: bool,
}

/// Where a log, oldest row first, does not tell everything.
pub fn gaps(rows: &[AuditRow]) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for (before, after) in rows.iter().zip(rows.iter().skip(1)) {
        let seq = after.seq;
        let missing = after.seq.saturating_sub(before.seq).saturating_sub(1);
        if missing > 0 {
            let what = format!("{} missing after row {}", plural(missing, "row is", "rows are"), before.seq);
            gaps.push(Gap { kind: "missing", seq, what });
        }
        let passed = after.record.at.since(before.record.at);
        if passed < -SLACK {
            let what = format!(
                "the clock was turned back by {} s: times before and after are not of one clock",
                -passed / SECOND
            );
            gaps.push(Gap { kind: "clock_back", seq, what });
        } else if passed >= QUIET {
            let what = format!("nothing was recorded for {} h", passed / HOUR);
            gaps.push(Gap { kind: "quiet", seq, what });
        }
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;
    use actifix_domain::audit::AuditRecord;

    fn row(seq: u64, seconds: i64) -> AuditRow {
        let at = Timestamp::from_micros(seconds * SECOND);
        AuditRow { seq, record: AuditRecord::system(at, Action::LoginOk, "x"), hash: String::new() }
    }

    #[test]
    fn holes_a_clock_that_went_back_and_silence_are_marked() {
        let day = 86_400;
        let rows = [
            row(4, 100),
            row(5, 99),
            row(6, 200),
            row(9, 210),
            row(10, 100),
            row(11, 100 + day),
            row(12, 101 + day),
        ];
        let kinds: Vec<_> = gaps(&rows).into_iter().map(|gap| (gap.kind, gap.seq)).collect();
        assert_eq!(kinds, [("missing", 9), ("clock_back", 10), ("quiet", 11)]);
        assert_eq!(gaps(&[]), []);
        assert_eq!(gaps(&[row(1, 0)]), []);
    }
}
