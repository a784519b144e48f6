//! Acts on chosen rows of the list.

use super::acts;
use super::forms::{Sent, own_path, see};
use super::shell::{Nav, Shell, answer, base, render};
use super::text::many;
use super::tickets::name_of;
use crate::problem::Problem;
use actifix_app::App;
use actifix_app::error::Error;
use actifix_app::tickets::{Completion, TicketChange};
use actifix_domain::access::Scope;
use actifix_domain::id::TicketId;
use actifix_domain::lifecycle::Evidence;
use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Tickets that one form acts on.
pub const BULK_MAX: usize = 100;

/// What is done with each. A word of ours from here on: what was sent is not for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Ignore,
    Reopen,
    Mine,
    Assign,
    Resolve,
}

impl Act {
    fn of(word: Option<&str>) -> Option<Self> {
        match word {
            Some("ignore") => Some(Self::Ignore),
            Some("reopen") => Some(Self::Reopen),
            Some("mine") => Some(Self::Mine),
            Some("assign") => Some(Self::Assign),
            Some("resolve") => Some(Self::Resolve),
            _ => None,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::Reopen => "reopen",
            Self::Mine => "mine",
            Self::Assign => "assign",
            Self::Resolve => "resolve",
        }
    }

    const fn done(self) -> &'static str {
        match self {
            Self::Ignore => "ignored",
            Self::Reopen => "reopened",
            Self::Mine => "mine",
            Self::Assign => "assigned",
            Self::Resolve => "resolved",
        }
    }

    /// More has to be said first.
    const fn asks(self) -> bool {
        matches!(self, Self::Assign | Self::Resolve)
    }
}

#[derive(Template)]
#[template(path = "bulk.html")]
struct BulkPage {
    s: Shell,
    act: &'static str,
    resolves: bool,
    ids: Vec<String>,
    /// How many, with the thing.
    chosen: String,
    here: String,
}

/// Acts on the chosen rows.
pub async fn act(State(app): State<Arc<App>>, sent: Sent) -> Response {
    let Some(act) = Act::of(sent.fields.get("act")) else {
        let error = Error::invalid("act", "ignore, reopen, mine, assign or resolve");
        return Problem::from(error).into_response();
    };
    let mut ids: Vec<TicketId> = sent.fields.all("id").filter_map(|id| id.parse().ok()).collect();
    ids.dedup();
    if ids.len() > BULK_MAX {
        return acts::failed(Error::invalid("id", format!("at most {BULK_MAX} tickets at once")));
    }
    if ids.is_empty() {
        return back(&app, &sent, "none");
    }
    if act.asks() && !acts::is_sure(&sent) {
        return answer(ask(&app, &sent, act, &ids, String::new()).await);
    }
    let (mut done, mut refused) = (0, None);
    for id in &ids {
        match apply(&app, &sent, act, id).await {
            // What stands so already needs nothing.
            Ok(()) => done += 1,
            Err(Error::Conflict { .. }) if !act.asks() => done += 1,
            Err(error) => {
                refused = Some((id, error));
                break;
            }
        }
    }
    tracing::info!(act = act.word(), done, "dashboard.bulk");
    match refused {
        None => back(&app, &sent, act.done()),
        Some((_, error)) if done == 0 && act.asks() => {
            acts::again(error, |why| ask(&app, &sent, act, &ids, why)).await
        }
        Some((_, error)) if done == 0 => acts::failed(error),
        Some((id, error)) => {
            let problem = Problem::from(error);
            let detail = format!("{done} of {} are done; then {id}: {}", ids.len(), problem.detail);
            Problem { detail, ..problem }.into_response()
        }
    }
}

async fn apply(app: &App, sent: &Sent, act: Act, id: &TicketId) -> Result<(), Error> {
    let (actor, fields) = (&sent.live.actor, &sent.fields);
    let text = |name: &str| fields.get(name).map(str::to_owned);
    let assign = async |to: String| {
        let change = TicketChange { assignee: Some(Some(to)), ..TicketChange::default() };
        app.change_ticket(actor, id, change, None).await
    };
    let done = match act {
        Act::Ignore => app.ignore(actor, id, None).await,
        Act::Reopen => app.reopen(actor, id, None).await,
        Act::Mine => assign(name_of(actor)).await,
        Act::Assign => match text("assignee").map(|name| name.trim().to_owned()) {
            Some(name) if !name.is_empty() => assign(name).await,
            _ => Err(Error::invalid("assignee", "the name of somebody")),
        },
        Act::Resolve => {
            let evidence = Evidence {
                root_cause: text("root_cause").unwrap_or_default(),
                commit: text("commit"),
                no_commit_reason: text("no_commit_reason"),
                test: None,
                no_test_reason: text("no_test_reason"),
            };
            let completion = Completion {
                evidence,
                resolved_in: text("resolved_in"),
                in_next_release: fields.get("in_next_release") == Some("yes"),
            };
            app.complete(actor, id, completion, None, None).await
        }
    };
    done.map(|_| ())
}

/// Who it shall be, or what proves that they are resolved.
async fn ask(app: &App, sent: &Sent, act: Act, ids: &[TicketId], why: String) -> Result<Response, Error> {
    let resolves = act == Act::Resolve;
    let title = if resolves { "Resolve tickets" } else { "Assign tickets" };
    let s = Shell::load(app, &sent.live, Nav::Tickets, title).await?.refused(why);
    if !s.may_triage {
        return Err(Error::Forbidden { needs: Scope::TicketsTriage.as_str() });
    }
    Ok(render(&BulkPage {
        act: act.word(),
        resolves,
        chosen: many(u64::try_from(ids.len()).unwrap_or(u64::MAX), "ticket"),
        ids: ids.iter().map(ToString::to_string).collect(),
        here: sent.fields.get("here").and_then(own_path).unwrap_or_default().to_owned(),
        s,
    }))
}

/// Back to the list that the form stood on.
fn back(app: &App, sent: &Sent, word: &str) -> Response {
    let list = format!("{}/tickets", base(app));
    let here = sent.fields.get("here").and_then(own_path).filter(|here| here.starts_with(&list));
    let here = here.unwrap_or(&list);
    let join = if here.contains('?') { '&' } else { '?' };
    see(&format!("{here}{join}done={word}"))
}
