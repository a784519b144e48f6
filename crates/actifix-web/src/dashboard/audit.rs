//! The audit log: searched, paged, proven.

use super::acts;
use super::forms::{Sent, Viewer};
use super::shell::{Nav, Shell, answer, render};
use super::text::{Marked, grouped, many, marked};
use actifix_app::App;
use actifix_app::error::Error;
use actifix_app::ports::{AuditQuery, AuditReport, AuditRow, Cursor};
use actifix_app::sessions::LiveSession;
use actifix_domain::audit::{Action, Verdict};
use actifix_domain::time::Timestamp;
use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;

/// Rows of a page.
const ROWS: u32 = 50;
/// Characters of a row's detail that are shown.
const DETAIL_CHARS: usize = 600;

struct Line {
    seq: String,
    at: String,
    short: String,
    actor: Marked,
    action: &'static str,
    target: Marked,
    network: String,
    result: &'static str,
    class: &'static str,
    detail: Marked,
}

/// What the page asks for. All of it stands in the address, so that a search can be sent to somebody.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ListQuery {
    since: String,
    until: String,
    ip: String,
    user: String,
    action: String,
    result: String,
    cursor: Option<Cursor>,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    s: Shell,
    query: ListQuery,
    actions: Vec<&'static str>,
    results: Vec<&'static str>,
    lines: Vec<Line>,
    next: Option<String>,
    first: bool,
    days: String,
    report: Option<Report>,
}

/// What a check of the whole log found.
struct Report {
    intact: bool,
    rows: String,
    first: String,
    last: String,
    witnessed: String,
    faults: Vec<String>,
}

impl From<AuditReport> for Report {
    fn from(report: AuditReport) -> Self {
        Self {
            intact: report.intact,
            rows: many(report.rows, "row"),
            first: grouped(report.first),
            last: grouped(report.last),
            witnessed: report.witnessed.map_or_else(|| "no witness".to_owned(), grouped),
            faults: report
                .faults
                .into_iter()
                .map(|fault| format!("{} at row {}: {}", fault.kind, grouped(fault.seq), fault.message))
                .collect(),
        }
    }
}

/// The log.
pub async fn list(State(app): State<Arc<App>>, viewer: Viewer, Query(query): Query<ListQuery>) -> Response {
    answer(page(&app, &viewer.0, query, None).await)
}

async fn page(
    app: &App,
    live: &LiveSession,
    query: ListQuery,
    report: Option<AuditReport>,
) -> Result<Response, Error> {
    let (found, problem) = match asked(&query) {
        Ok(asked) => {
            let found = app.audit_log(&live.actor, asked).await?;
            ((found.items, found.next_cursor), String::new())
        }
        Err(why) => {
            // Whoever may not read the log learns that first.
            app.audit_log(&live.actor, AuditQuery { limit: 1, ..AuditQuery::default() }).await?;
            ((Vec::new(), None), why.to_owned())
        }
    };
    let s = Shell::load(app, live, Nav::Audit, "Audit log").await?.refused(problem);
    let (items, next) = found;
    Ok(render(&AuditPage {
        actions: Action::ALL.iter().map(|action| action.as_str()).collect(),
        results: [Verdict::Ok, Verdict::Refused, Verdict::Failed].map(Verdict::as_str).to_vec(),
        lines: items.into_iter().map(line).collect(),
        next: next.map(|cursor| query.at(&s.base, Some(&cursor))),
        first: query.cursor.is_none(),
        days: many(app.settings().retention.audit_days.into(), "day"),
        report: report.map(Report::from),
        query,
        s,
    }))
}

fn line(row: AuditRow) -> Line {
    let record = row.record;
    let at = record.at.to_string();
    let detail = record.detail.to_string();
    Line {
        seq: grouped(row.seq),
        short: at.get(..19).unwrap_or_default().replace('T', " "),
        at,
        actor: marked(&record.actor, 120),
        action: record.action.as_str(),
        target: marked(&record.target, 200),
        network: record.network.unwrap_or_default(),
        result: record.result.as_str(),
        class: match record.result {
            Verdict::Ok => "",
            Verdict::Refused => "due",
            Verdict::Failed => "bad",
        },
        detail: marked(if detail == "{}" { "" } else { &detail }, DETAIL_CHARS),
    }
}

/// The question of a form.
fn asked(query: &ListQuery) -> Result<AuditQuery, &'static str> {
    let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    Ok(AuditQuery {
        since: time(&query.since)?,
        until: time(&query.until)?,
        network: text(&query.ip),
        user: text(&query.user),
        action: match query.action.as_str() {
            "" => None,
            word => Some(word.parse().map_err(|_| "action: choose one of the list")?),
        },
        result: match query.result.as_str() {
            "" => None,
            word => Some(word.parse().map_err(|_| "result: choose one of the list")?),
        },
        cursor: query.cursor.clone(),
        limit: ROWS,
        ..AuditQuery::default()
    })
}

/// A time, or a day: its beginning, UTC.
fn time(text: &str) -> Result<Option<Timestamp>, &'static str> {
    let text = text.trim();
    let time = match text.len() {
        0 => return Ok(None),
        10 => Timestamp::parse(&format!("{text}T00:00:00Z")),
        _ => Timestamp::parse(text),
    };
    time.map(Some).ok_or("times are written as 2026-11-24 or 2026-11-24T09:00:00Z, UTC")
}

impl ListQuery {
    fn at(&self, base: &str, cursor: Option<&Cursor>) -> String {
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("since", &self.since),
            ("until", &self.until),
            ("ip", &self.ip),
            ("user", &self.user),
            ("action", &self.action),
            ("result", &self.result),
        ] {
            if !value.is_empty() {
                pairs.append_pair(name, value);
            }
        }
        if let Some(Cursor(cursor)) = cursor {
            pairs.append_pair("cursor", cursor);
        }
        format!("{base}/audit?{}", pairs.finish())
    }
}

/// Proves the whole log.
pub async fn verify(State(app): State<Arc<App>>, sent: Sent) -> Response {
    let live = &sent.live;
    if sent.fields.get("act") != Some("verify") {
        return acts::failed(acts::unknown());
    }
    match app.verify_audit(&live.actor).await {
        Ok(report) => answer(page(&app, live, ListQuery::default(), Some(report)).await),
        Err(error) => acts::failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_and_nonsense_is_told() {
        let of = |text: &str| time(text).map(|at| at.map(|at| at.to_string()));
        assert_eq!(of(""), Ok(None));
        assert!(of("2026-11-24").unwrap().unwrap().starts_with("2026-11-24T00:00:00"));
        assert!(of(" 2026-11-24T09:00:00Z ").unwrap().unwrap().starts_with("2026-11-24T09:00:00"));
        for bad in ["yesterday", "2026-13-01", "24.11.2026"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
