//! Isolated input: listed with why, let through the pipeline again, deleted.

use super::acts::{self, Done, End, News, Question};
use super::forms::{Sent, Viewer, encoded};
use super::shell::{Nav, Shell, answer, bytes, render};
use super::text::{Marked, When, many, marked, plural};
use actifix_app::App;
use actifix_app::error::Error;
use actifix_app::ports::{Cursor, QuarantineEntry};
use actifix_app::sessions::LiveSession;
use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows of a page.
const ROWS: u32 = 50;

struct Row {
    id: String,
    project: String,
    came: When,
    reason: Marked,
    kind: Marked,
    size: String,
}

#[derive(Template)]
#[template(path = "quarantine.html")]
struct QuarantinePage {
    s: Shell,
    total: String,
    days: String,
    rows: Vec<Row>,
    next: Option<String>,
}

/// Where the reader is.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ListQuery {
    cursor: Option<Cursor>,
    #[serde(flatten)]
    done: Done,
}

/// The list.
pub async fn list(State(app): State<Arc<App>>, viewer: Viewer, Query(query): Query<ListQuery>) -> Response {
    answer(page(&app, &viewer.0, query.cursor, query.done.into()).await)
}

async fn page(app: &App, live: &LiveSession, cursor: Option<Cursor>, news: News) -> Result<Response, Error> {
    let found = app.quarantine(&live.actor, None, cursor, ROWS).await?;
    let projects = app.projects(&live.actor).await?;
    let names: BTreeMap<_, _> = projects.iter().map(|project| (project.id, project.name.as_str())).collect();
    let s = Shell::load(app, live, Nav::Quarantine, "Quarantine").await?.news(news);
    let row = |entry: QuarantineEntry| Row {
        project: names.get(&entry.project).copied().unwrap_or_default().to_owned(),
        came: When::new(entry.received_at, s.now),
        reason: marked(&entry.reason, 200),
        kind: marked(&entry.kind, 40),
        size: bytes(entry.size),
        id: entry.id,
    };
    let rows = found.items.into_iter().map(row).collect();
    let next =
        found.next_cursor.map(|Cursor(cursor)| format!("{}/quarantine?cursor={}", s.base, encoded(&cursor)));
    let days = many(app.settings().retention.quarantine_days.into(), "day");
    let total = plural(s.stats.quarantine_entries, "entry", "entries");
    Ok(render(&QuarantinePage { total, days, rows, next, s }))
}

/// Releases or deletes an entry, after a question.
pub async fn act(State(app): State<Arc<App>>, sent: Sent) -> Response {
    let actor = &sent.live.actor;
    let id = sent.fields.get("id").unwrap_or_default();
    let (act, verb, word, consequence) = match sent.fields.get("act") {
        Some("release") => (
            "release",
            "Release",
            "released",
            "It goes through redaction again with a larger budget. What is clean of it is stored as an event; what is not stays here.",
        ),
        Some("delete") => (
            "delete",
            "Delete",
            "deleted",
            "It is gone for good. What was in it was never stored as an event.",
        ),
        _ => return acts::failed(acts::unknown()),
    };
    let entry = match app.quarantined(actor, id).await {
        Ok(entry) => entry,
        Err(error) => return acts::failed(error),
    };
    if !acts::is_sure(&sent) {
        let question = Question {
            nav: Nav::Quarantine,
            path: "/quarantine",
            fact: format!("{verb} the entry {}?", entry.id),
            consequence,
            button: format!("{verb} {}", entry.id),
            fields: vec![("act", act.to_owned()), ("id", entry.id)],
            password: false,
            further: None,
        };
        return acts::ask(&app, &sent.live, question).await;
    }
    let done = match act {
        "release" => app.release_quarantined(actor, id).await.map(|_| End::Word(word)),
        _ => app.delete_quarantined(actor, id).await.map(|()| End::Word(word)),
    };
    acts::finish(&app, "/quarantine", done, |news| page(&app, &sent.live, None, news)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use actifix_domain::time::Timestamp;

    #[test]
    fn reasons_are_text() {
        let hostile = "<script>alert(1)</script>\u{202E}\"'><img src=x>";
        let at = Timestamp::from_micros(0);
        let row = Row {
            id: hostile.to_owned(),
            project: hostile.to_owned(),
            came: When::new(at, at),
            reason: marked(hostile, 200),
            kind: marked(hostile, 200),
            size: "1 B".to_owned(),
        };
        let s = Shell::sample().refused(hostile.to_owned());
        let page = QuarantinePage {
            s,
            total: "1 entry".to_owned(),
            days: "30 days".to_owned(),
            rows: vec![row],
            next: None,
        };
        let html = page.render().expect("a page");
        assert!(!html.contains("<script>alert") && !html.contains("<img src=x"), "{html}");
        assert!(html.contains("Not done.") && html.contains(">Release</button>"), "{html}");
    }
}
