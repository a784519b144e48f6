//! Channels of alerts and their deliveries. Addresses and secrets go in, and come out masked or once.

use super::acts::{self, Done, End, Further, News, Once, Question};
use super::alerts::trigger_words;
use super::forms::{Fields, Sent, Viewer, encoded};
use super::shell::{Nav, Shell, answer, render};
use super::text::{Marked, When, are, counted, grouped, many, marked, span};
use actifix_app::App;
use actifix_app::alerts::{AddEndpoint, EndpointView, Rotated, Tested};
use actifix_app::error::Error;
use actifix_app::ports::{Cursor, DeliveryQuery, DeliveryView};
use actifix_app::sessions::LiveSession;
use actifix_domain::alert::explain;
use actifix_domain::time::Timestamp;
use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;

/// Kinds of channels, with what people call them.
const KINDS: [(&str, &str); 8] = [
    ("webhook", "Signed webhook"),
    ("slack", "Slack"),
    ("discord", "Discord"),
    ("teams", "Teams"),
    ("ntfy", "ntfy"),
    ("telegram", "Telegram"),
    ("mail", "Mail"),
    ("github", "GitHub issues"),
];
/// Rows of the log of deliveries.
const ROWS: u32 = 50;

struct Row {
    name: String,
    kind: String,
    place: Marked,
    project: String,
    on: bool,
    state: &'static str,
    class: &'static str,
    why: Marked,
    production: bool,
    fixed: bool,
    signed: bool,
    success: Option<When>,
    pending: String,
    oldest: String,
    dead: String,
}

#[derive(Template)]
#[template(path = "channels.html")]
struct ChannelsPage {
    s: Shell,
    sentence: (String, &'static str),
    rows: Vec<Row>,
    kinds: Vec<(&'static str, &'static str)>,
    projects: Vec<(String, String)>,
}

/// Channels.
pub async fn list(State(app): State<Arc<App>>, viewer: Viewer, Query(done): Query<Done>) -> Response {
    answer(page(&app, &viewer.0, done.into()).await)
}

async fn page(app: &App, live: &LiveSession, news: News) -> Result<Response, Error> {
    let channels = app.endpoints(&live.actor).await?;
    let projects = app.projects(&live.actor).await?;
    let s = Shell::load(app, live, Nav::Channels, "Channels").await?.news(news);
    let projects: Vec<(String, String)> =
        projects.into_iter().map(|project| (project.id.to_string(), project.name)).collect();
    let rows: Vec<Row> = channels.into_iter().map(|view| row(view, &projects, s.now)).collect();
    Ok(render(&ChannelsPage { sentence: sentence(&rows), rows, kinds: KINDS.to_vec(), projects, s }))
}

/// A fact about all channels, and what follows from it.
fn sentence(rows: &[Row]) -> (String, &'static str) {
    let number = |many: usize| u64::try_from(many).unwrap_or(u64::MAX);
    let noun = |many: usize| if many == 1 { "channel" } else { "channels" };
    let failing = rows.iter().filter(|row| row.class == "bad").count();
    let on = rows.iter().filter(|row| row.on).count();
    match (rows.len(), on, failing) {
        (0, ..) => ("Nobody is told of anything.".to_owned(), "Add a channel, then send a test to it."),
        (_, 0, _) => ("Every channel is switched off.".to_owned(), "Nobody is told of anything."),
        (_, on, 0) => (
            format!("{} {} {} on.", counted(number(on)), noun(on), are(number(on))),
            "Addresses and secrets go in and are not shown again.",
        ),
        (_, on, failing) => (
            format!(
                "{} of {on} {} {}.",
                counted(number(failing)),
                noun(on),
                if failing == 1 { "fails" } else { "fail" }
            ),
            "What waits is sent once the receiver answers.",
        ),
    }
}

fn row(view: EndpointView, projects: &[(String, String)], now: Timestamp) -> Row {
    let record = view.record;
    let (state, class) = match (record.enabled, view.breaker) {
        (false, _) => ("off", "due"),
        (true, "closed") => ("on", "ok"),
        (true, _) => ("waits after failures", "bad"),
    };
    let why = match (&record.disabled_reason, &record.last_failure, class) {
        (Some(reason), ..) => reason.clone(),
        (None, Some(failure), "bad") => format!("last failure: {}", failure_words(failure)),
        _ => String::new(),
    };
    Row {
        place: marked(&record.place, 200),
        project: match record.project.map(|id| id.to_string()) {
            Some(id) => projects.iter().find(|(known, _)| *known == id).map_or(id, |(_, name)| name.clone()),
            None => "all".to_owned(),
        },
        on: record.enabled,
        state,
        class,
        why: marked(&why, 200),
        production: record.production,
        fixed: record.from_environment,
        signed: record.kind == "webhook",
        success: record.last_success_at.map(|at| When::new(at, now)),
        pending: grouped(view.pending),
        oldest: view.oldest_pending_at.map(|at| span(now.since(at))).unwrap_or_default(),
        dead: grouped(view.dead),
        kind: record.kind,
        name: record.name,
    }
}

/// Makes, tries, switches, replaces the secrets of, and removes channels.
pub async fn act(State(app): State<Arc<App>>, sent: Sent) -> Response {
    let act = sent.fields.get("act").unwrap_or_default();
    let ended = match act {
        "add" => add(&app, &sent).await,
        _ => match known(&app, &sent).await {
            Ok(view) => match question(act, &view) {
                Some(question) if !acts::is_sure(&sent) => {
                    return acts::ask(&app, &sent.live, question).await;
                }
                _ => apply(&app, &sent, act, &view.record.name).await,
            },
            Err(error) => Err(error),
        },
    };
    acts::finish(&app, "/channels", ended, |news| page(&app, &sent.live, news)).await
}

/// How a test failed, in a sentence.
fn told(tested: &Tested) -> String {
    let status = tested.status.map(|status| format!(", status {status}")).unwrap_or_default();
    let word = tested.failure.unwrap_or("unknown");
    format!(
        "The test message was not delivered: {} ({word}{status}, after {} ms).",
        explain(word).unwrap_or("no reason was told"),
        tested.milliseconds
    )
}

async fn known(app: &App, sent: &Sent) -> Result<EndpointView, Error> {
    app.endpoint(&sent.live.actor, sent.fields.get("name").unwrap_or_default()).await
}

/// What is asked first: people are called out, or it cannot be taken back.
fn question(act: &str, view: &EndpointView) -> Option<Question> {
    let name = &view.record.name;
    let ask = |fact: String, consequence, button: String, further| Question {
        nav: Nav::Channels,
        path: "/channels",
        fact,
        consequence,
        button,
        fields: vec![("act", act.to_owned()), ("name", name.clone())],
        password: false,
        further,
    };
    match act {
        "test" if view.record.production => Some(ask(
            format!("Send a test to {name}?"),
            "People are called out by it. The message says that it is a test.",
            format!("Send a test to {name}"),
            None,
        )),
        "remove" => Some(ask(
            format!("Remove the channel {name}?"),
            "Its address and secrets are deleted, and what waits for it is not sent.",
            format!("Remove {name}"),
            None,
        )),
        "rotate" => Some(ask(
            format!("Replace the signing secret of {name}?"),
            "A new one is shown once. The former one signs too for the overlap.",
            format!("Replace the secret of {name}"),
            Some(Further::OVERLAP),
        )),
        _ => None,
    }
}

async fn apply(app: &Arc<App>, sent: &Sent, act: &str, name: &str) -> Result<End, Error> {
    let actor = &sent.live.actor;
    match act {
        "test" => {
            let tested = app.test_endpoint(actor, name, acts::is_sure(sent)).await?;
            Ok(if tested.delivered { End::Word("delivered") } else { End::Failed(told(&tested)) })
        }
        "on" | "off" => {
            app.switch_endpoint(actor, name, act == "on").await?;
            Ok(End::Word(if act == "on" { "on" } else { "off" }))
        }
        "remove" => app.remove_endpoint(actor, name).await.map(|()| End::Word("removed")),
        "rotate" => {
            let hours = acts::overlap(sent, || "whole hours, 0 to 168".to_owned())?;
            Ok(shown(name, &app.rotate_endpoint(actor, name, hours).await?))
        }
        _ => Err(acts::unknown()),
    }
}

fn shown(name: &str, secrets: &Rotated) -> End {
    let until = secrets.former_ends_at.map(|at| ("the former one signs too until", at.to_string()));
    End::Once(Box::new(Once {
        id: "secret",
        title: marked(&format!("Signing secret of {name}"), 100),
        advice: "The receiver verifies signatures with it.",
        ends: until,
        public_key: secrets.public_key.clone(),
        text: secrets.secret.reveal().to_owned(),
    }))
}

async fn add(app: &App, sent: &Sent) -> Result<End, Error> {
    let made = app.add_endpoint(&sent.live.actor, channel_of(&sent.fields)).await?;
    Ok(match &made.secrets {
        Some(secrets) => shown(&made.record.name, secrets),
        None => End::Word("added"),
    })
}

fn channel_of(fields: &Fields) -> AddEndpoint {
    let text = |name: &str| fields.get(name).map(|text| text.trim().to_owned());
    let to = fields.get("to").unwrap_or_default();
    AddEndpoint {
        name: text("name").unwrap_or_default(),
        kind: text("kind"),
        url: text("url"),
        token: text("token"),
        username: text("username"),
        target: text("target"),
        from: text("from"),
        to: to.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect(),
        project: text("project"),
        production: Some(fields.get("production").is_some()),
        ed25519: fields.get("ed25519").is_some(),
    }
}

/// Why a message did not arrive, for people, and the word of its class.
fn failure_words(class: &str) -> String {
    explain(class).map_or_else(|| class.to_owned(), |why| format!("{why} ({class})"))
}

struct Sending {
    id: String,
    made: When,
    channel: String,
    about: String,
    ticket: Option<String>,
    state: &'static str,
    class: &'static str,
    icon: &'static str,
    attempts: u32,
    failure: Marked,
    status: String,
    ended: bool,
}

#[derive(Template)]
#[template(path = "deliveries.html")]
struct DeliveriesPage {
    s: Shell,
    sentence: (String, String),
    rows: Vec<Sending>,
    channels: Vec<String>,
    channel: String,
    states: Vec<(&'static str, &'static str)>,
    state: String,
    next: Option<String>,
}

/// Which deliveries are shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct DeliveriesQuery {
    channel: String,
    state: String,
    cursor: Option<Cursor>,
    #[serde(flatten)]
    done: Done,
}

/// The log of deliveries.
pub async fn deliveries(
    State(app): State<Arc<App>>,
    viewer: Viewer,
    Query(query): Query<DeliveriesQuery>,
) -> Response {
    let news = News::from(query.done.clone());
    answer(deliveries_page(&app, &viewer.0, query, news).await)
}

async fn deliveries_page(
    app: &App,
    live: &LiveSession,
    query: DeliveriesQuery,
    news: News,
) -> Result<Response, Error> {
    let states = [("", "All"), ("pending", "Waiting"), ("delivered", "Delivered"), ("dead", "Given up")];
    let state = states.iter().find(|(word, _)| *word == query.state).map_or("", |(word, _)| word);
    let asked = DeliveryQuery {
        endpoint: Some(query.channel.clone()).filter(|name| !name.is_empty()),
        state: Some(state.to_owned()).filter(|word| !word.is_empty()),
        cursor: query.cursor,
        limit: ROWS,
    };
    let found = app.deliveries(&live.actor, asked).await?;
    let channels = app.endpoints(&live.actor).await?;
    let (dead, waiting) = channels.iter().fold((0, 0), |(dead, waiting), view| {
        (view.dead.saturating_add(dead), view.pending.saturating_add(waiting))
    });
    let channels = channels.into_iter().map(|view| view.record.name).collect();
    let s = Shell::load(app, live, Nav::Deliveries, "Deliveries").await?.news(news);
    let next = found.next_cursor.map(|Cursor(cursor)| {
        let (channel, cursor) = (encoded(&query.channel), encoded(&cursor));
        format!("{}/deliveries?channel={channel}&state={state}&cursor={cursor}", s.base)
    });
    let rows = found.items.into_iter().map(|delivery| sending(delivery, s.now)).collect();
    Ok(render(&DeliveriesPage {
        sentence: (
            match dead {
                0 => "No message was given up.".to_owned(),
                1 => "One message was given up.".to_owned(),
                dead => format!("{} were given up.", many(dead, "message")),
            },
            match waiting {
                0 => "None waits to be sent.".to_owned(),
                1 => "One waits to be sent.".to_owned(),
                waiting => format!("{} wait to be sent.", grouped(waiting)),
            },
        ),
        rows,
        channels,
        channel: query.channel,
        states: states.to_vec(),
        state: state.to_owned(),
        next,
        s,
    }))
}

fn sending(delivery: DeliveryView, now: Timestamp) -> Sending {
    let (state, class, icon) = match delivery.state.as_str() {
        "delivered" => ("delivered", "ok", "check"),
        "dead" => ("given up", "bad", "cross"),
        _ => ("waiting", "due", "clock"),
    };
    Sending {
        made: When::new(delivery.created_at, now),
        about: match (&delivery.trigger, delivery.test) {
            (_, true) => "test".to_owned(),
            (Some(trigger), false) => {
                trigger.parse().map_or_else(|_| trigger.clone(), |known| trigger_words(known).to_owned())
            }
            (None, false) => "digest".to_owned(),
        },
        ticket: delivery.ticket.map(|id| id.to_string()),
        state,
        class,
        icon,
        attempts: delivery.attempts,
        failure: marked(&delivery.last_failure.as_deref().map(failure_words).unwrap_or_default(), 200),
        status: delivery.last_status.map(|status| status.to_string()).unwrap_or_default(),
        ended: class != "due" && !delivery.test,
        channel: delivery.endpoint,
        id: delivery.id,
    }
}

/// Sends an ended delivery again.
pub async fn redeliver(State(app): State<Arc<App>>, sent: Sent) -> Response {
    let id = sent.fields.get("id").unwrap_or_default();
    let ended = match sent.fields.get("act") {
        Some("redeliver") => app.redeliver(&sent.live.actor, id).await.map(|()| End::Word("again")),
        _ => Err(acts::unknown()),
    };
    let all = DeliveriesQuery::default();
    acts::finish(&app, "/deliveries", ended, |news| deliveries_page(&app, &sent.live, all, news)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_receivers_answer_is_text() {
        let hostile = "<script>alert(1)</script>\"'><img src=x>";
        let at = Timestamp::from_micros(0);
        let delivery = DeliveryView {
            id: hostile.to_owned(),
            endpoint: hostile.to_owned(),
            trigger: Some(hostile.to_owned()),
            ticket: None,
            state: "dead".to_owned(),
            test: false,
            attempts: 3,
            last_failure: Some(hostile.to_owned()),
            last_status: Some(500),
            created_at: at,
            attempted_at: Some(at),
            expires_at: at,
        };
        let page = DeliveriesPage {
            s: Shell::sample(),
            sentence: (String::new(), String::new()),
            rows: vec![sending(delivery, at)],
            channels: vec![hostile.to_owned()],
            channel: hostile.to_owned(),
            states: vec![("dead", "Given up")],
            state: "dead".to_owned(),
            next: None,
        };
        let html = page.render().expect("a page");
        assert!(!html.contains("<script>alert") && !html.contains("<img src=x"), "{html}");
        assert!(html.contains("given up") && html.contains(">Send again</button>"), "{html}");
    }
}
