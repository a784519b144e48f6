//! Settings as they apply, with where they come from; what is kept and what would go; legal holds.

use super::acts::{self, Done, End, News};
use super::forms::{Sent, Viewer};
use super::shell::{Nav, Shell, answer, bytes, render};
use super::text::{Marked, When, counted, grouped, many, marked};
use actifix_app::App;
use actifix_app::error::Error;
use actifix_app::ports::{RetentionPolicy, RetentionReport};
use actifix_app::sessions::LiveSession;
use actifix_domain::id::TicketId;
use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Characters of a value that are shown.
const VALUE_CHARS: usize = 300;
/// Holds that are shown.
const HOLDS_SHOWN: usize = 100;

struct Line {
    key: String,
    value: Marked,
    source: String,
    set: bool,
}

struct Hold {
    id: u64,
    of: String,
    ticket: bool,
    reason: Marked,
    who: Marked,
    at: When,
}

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    s: Shell,
    sections: Vec<(String, Vec<Line>)>,
    /// How many are not at their defaults, in words.
    set: String,
    kept: Vec<(&'static str, String)>,
    would: Option<Vec<(&'static str, String)>>,
    last: Option<When>,
    holds: Vec<Hold>,
}

/// Settings.
pub async fn show(State(app): State<Arc<App>>, viewer: Viewer, Query(done): Query<Done>) -> Response {
    answer(page(&app, &viewer.0, done.into(), None).await)
}

async fn page(
    app: &App,
    live: &LiveSession,
    news: News,
    would: Option<RetentionReport>,
) -> Result<Response, Error> {
    let actor = &live.actor;
    let settings = app.settings_in_effect(actor)?;
    let mut sections: BTreeMap<&str, Vec<Line>> = BTreeMap::new();
    for setting in settings {
        let section = setting.key.split_once('.').map_or("", |(section, _)| section);
        sections.entry(section).or_default().push(Line {
            value: marked(&setting.value, VALUE_CHARS),
            set: setting.source != "default",
            source: setting.source.clone(),
            key: setting.key.clone(),
        });
    }
    let last = app.last_retention(actor).await?;
    let projects = app.projects(actor).await?;
    let s = Shell::load(app, live, Nav::Settings, "Settings").await?.news(news);
    let holds = app.holds(actor).await?.into_iter().take(HOLDS_SHOWN).map(|hold| Hold {
        id: hold.id,
        ticket: hold.ticket.is_some(),
        of: match &hold.ticket {
            Some(ticket) => ticket.to_string(),
            None => projects
                .iter()
                .find(|project| project.id == hold.project)
                .map_or_else(|| hold.project.to_string(), |project| project.name.clone()),
        },
        reason: marked(&hold.reason, 500),
        who: marked(&hold.actor, 100),
        at: When::new(hold.created_at, s.now),
    });
    Ok(render(&SettingsPage {
        set: {
            let set = settings.iter().filter(|setting| setting.source != "default").count() as u64;
            format!("{} {}", counted(set), if set == 1 { "setting is" } else { "settings are" })
        },
        sections: sections.into_iter().map(|(name, lines)| (name.to_owned(), lines)).collect(),
        kept: kept(&app.settings().retention),
        would: would.map(|report| would_go(&report)),
        last: last.map(|run| When::new(run.finished_at, s.now)),
        holds: holds.collect(),
        s,
    }))
}

fn kept(policy: &RetentionPolicy) -> Vec<(&'static str, String)> {
    let days = |days: u32| many(days.into(), "day");
    vec![
        ("events", format!("{}, {} in all", days(policy.events_days), bytes(policy.events_bytes_max))),
        ("resolved tickets", days(policy.resolved_tickets_days)),
        ("quarantine", days(policy.quarantine_days)),
        ("findings", days(policy.findings_days)),
        ("unused source maps", days(policy.source_maps_days)),
        ("audit log", days(policy.audit_days)),
        ("backups", format!("{} daily, {} weekly", policy.backups_daily, policy.backups_weekly)),
    ]
}

fn would_go(report: &RetentionReport) -> Vec<(&'static str, String)> {
    vec![
        ("events", format!("{} ({})", grouped(report.events), bytes(report.event_bytes))),
        ("tickets", grouped(report.tickets)),
        ("quarantine entries", grouped(report.quarantine)),
        ("findings", grouped(report.findings)),
        ("uploads of source maps", grouped(report.source_maps)),
        ("rows of the audit log", grouped(report.audit)),
        ("ids of events without a body", grouped(report.remembered_ids)),
        ("kept by a legal hold", grouped(report.held_events)),
    ]
}

/// Counts what retention would delete; sets and releases holds.
pub async fn act(State(app): State<Arc<App>>, sent: Sent) -> Response {
    let ended = match sent.fields.get("act") {
        Some("try") => match app.count_retention(&sent.live.actor).await {
            Ok(report) => {
                let jump = app.clock_jump().map(|jump| format!("{jump}: it waits until that is set right"));
                let news = News::problem(jump.unwrap_or_default());
                return answer(page(&app, &sent.live, news, Some(report)).await);
            }
            Err(error) => Err(error),
        },
        Some("hold") => hold(&app, &sent).await.map(|()| "held"),
        Some("release") => {
            let id = sent.fields.get("id").and_then(|id| id.parse().ok());
            match id {
                Some(id) => app.release_hold(&sent.live.actor, id).await.map(|()| "unheld"),
                // Whoever may not see holds learns that first.
                None => app.holds(&sent.live.actor).await.and(Err(Error::NotFound { what: "legal hold" })),
            }
        }
        _ => Err(acts::unknown()),
    };
    acts::finish(&app, "/settings", ended.map(End::Word), |news| page(&app, &sent.live, news, None)).await
}

async fn hold(app: &App, sent: &Sent) -> Result<(), Error> {
    let fields = &sent.fields;
    let reason = fields.get("reason").unwrap_or_default();
    let what = fields.get("what").map(str::trim).unwrap_or_default();
    let held = match what.parse::<TicketId>() {
        Ok(ticket) => app.hold(&sent.live.actor, None, Some(&ticket), reason).await,
        Err(_) => app.hold(&sent.live.actor, Some(what), None, reason).await,
    };
    held.map(|_| ())
}
