//! API tokens: listed without their texts, made, replaced, revoked. A text is shown once, on the page that answers.

use super::acts::{self, Done, End, Further, News, Once, Question};
use super::forms::{Sent, Viewer};
use super::shell::{Nav, Shell, answer, render};
use super::text::{Marked, When, counted, marked, span};
use actifix_app::App;
use actifix_app::error::Error;
use actifix_app::ports::TokenRecord;
use actifix_app::sessions::LiveSession;
use actifix_app::tokens::{NewToken, OVERLAP_HOURS_MAX, TOKEN_DAYS_MAX, TokenText};
use actifix_domain::access::Role;
use actifix_domain::id::ProjectId;
use actifix_domain::project::Project;
use actifix_domain::time::Timestamp;
use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use std::sync::Arc;

/// Tokens that are shown.
const ROWS: usize = 200;

struct Row {
    id: String,
    name: Marked,
    scopes: String,
    project: String,
    made: When,
    used: Option<When>,
    ends: String,
    state: &'static str,
    lives: bool,
    soon: bool,
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    s: Shell,
    sentence: (String, String),
    rows: Vec<Row>,
    more: usize,
    projects: Vec<(String, String)>,
    days_max: u32,
}

/// Tokens.
pub async fn list(State(app): State<Arc<App>>, viewer: Viewer, Query(done): Query<Done>) -> Response {
    answer(page(&app, &viewer.0, done.into()).await)
}

async fn page(app: &App, live: &LiveSession, news: News) -> Result<Response, Error> {
    let tokens = app.tokens(&live.actor).await?;
    let projects = app.projects(&live.actor).await?;
    let s = Shell::load(app, live, Nav::Tokens, "Tokens").await?.news(news);
    let more = tokens.len().saturating_sub(ROWS);
    let rows: Vec<Row> = tokens.into_iter().map(|token| row(token, &projects, s.now)).collect();
    let sentence = sentence(&rows);
    let rows = rows.into_iter().take(ROWS).collect();
    let projects = projects.into_iter().map(|project| (project.id.to_string(), project.name)).collect();
    Ok(render(&TokensPage { sentence, rows, more, projects, days_max: TOKEN_DAYS_MAX, s }))
}

/// A fact about all tokens, and what follows from it.
fn sentence(rows: &[Row]) -> (String, String) {
    let number = |many: usize| u64::try_from(many).unwrap_or(u64::MAX);
    let good = rows.iter().filter(|row| row.state == "good").count();
    let soon = rows.iter().filter(|row| row.soon).count();
    let fact = match (rows.len(), good) {
        (0, _) => "No token exists.".to_owned(),
        (_, 1) => "One token is good.".to_owned(),
        (_, good) => format!("{} tokens are good.", counted(number(good))),
    };
    let consequence = match (rows.len(), soon) {
        (0, _) => "Programs and agents need one to use the API.".to_owned(),
        (_, 0) => "None of them ends within 14 days.".to_owned(),
        (_, 1) => "One of them ends within 14 days: rotate it.".to_owned(),
        (_, soon) => format!("{soon} of them end within 14 days: rotate them."),
    };
    (fact, consequence)
}

fn row(token: TokenRecord, projects: &[Project], now: Timestamp) -> Row {
    let left = token.expires_at.since(now);
    let state = match (&token.revoked_at, left <= 0, token.replaced) {
        (Some(_), ..) => "revoked",
        (None, true, _) => "ended",
        (None, false, true) => "replaced",
        (None, false, false) => "good",
    };
    let of = |id: ProjectId| projects.iter().find(|project| project.id == id);
    Row {
        name: marked(&token.name, 64),
        scopes: token.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", "),
        project: match token.project {
            Some(id) => of(id).map_or_else(|| id.to_string(), |project| project.name.clone()),
            None => "all".to_owned(),
        },
        made: When::new(token.created_at, now),
        used: token.last_used_at.map(|at| When::new(at, now)),
        ends: if left > 0 { format!("in {}", span(left)) } else { format!("{} ago", span(-left)) },
        lives: matches!(state, "good" | "replaced"),
        soon: state == "good" && left < 14 * actifix_domain::time::DAY,
        state,
        id: token.id,
    }
}

/// Makes, replaces and revokes tokens.
pub async fn act(State(app): State<Arc<App>>, sent: Sent) -> Response {
    let act = sent.fields.get("act").unwrap_or_default();
    let ended = match act {
        "create" => create(&app, &sent).await.map(shown),
        "rotate" | "revoke" => match known(&app, &sent).await {
            Ok(token) if !acts::is_sure(&sent) => return ask(&app, &sent, &token).await,
            Ok(token) if act == "rotate" => rotate(&app, &sent, &token).await.map(shown),
            Ok(token) => {
                app.revoke_tokens(&sent.live.actor, Some(&token.id)).await.map(|_| End::Word("revoked"))
            }
            Err(error) => Err(error),
        },
        _ => Err(acts::unknown()),
    };
    acts::finish(&app, "/tokens", ended, |news| page(&app, &sent.live, news)).await
}

fn shown((record, text): (TokenRecord, TokenText)) -> End {
    End::Once(Box::new(Once {
        id: "token",
        title: marked(&format!("The token {}", record.name), 100),
        advice: "Keep it where your program reads its secrets.",
        ends: Some(("good until", record.expires_at.to_string())),
        public_key: None,
        text: text.reveal().to_owned(),
    }))
}

async fn create(app: &App, sent: &Sent) -> Result<(TokenRecord, TokenText), Error> {
    let fields = &sent.fields;
    let role: Role = fields
        .get("role")
        .unwrap_or_default()
        .parse()
        .map_err(|_| Error::invalid("role", "viewer, operator, agent or admin"))?;
    let days = fields.get("days").unwrap_or("90").parse();
    let days = days.map_err(|_| Error::invalid("days", format!("a whole number, 1 to {TOKEN_DAYS_MAX}")))?;
    let actor = app.reconfirmed(&sent.live.actor, acts::password(sent)).await?;
    let project = match fields.get("project") {
        Some(name) => Some(app.project(&actor, name).await?.id),
        None => None,
    };
    let name = fields.get("name").unwrap_or_default().to_owned();
    app.create_token(&actor, NewToken { name, scopes: role.scopes(), project, days }).await
}

/// The token that a form names. Whoever may not see tokens learns nothing.
async fn known(app: &App, sent: &Sent) -> Result<TokenRecord, Error> {
    let id = sent.fields.get("id").unwrap_or_default();
    let tokens = app.tokens(&sent.live.actor).await?;
    tokens.into_iter().find(|token| token.id == id).ok_or(Error::NotFound { what: "token" })
}

async fn ask(app: &App, sent: &Sent, token: &TokenRecord) -> Response {
    let rotates = sent.fields.get("act") == Some("rotate");
    let (verb, consequence) = if rotates {
        ("Rotate", "A new token takes its place and is shown once. The old one stays good for the overlap.")
    } else {
        ("Revoke", "It is refused from this moment on, for good. Programs that use it need another one.")
    };
    let question = Question {
        nav: Nav::Tokens,
        path: "/tokens",
        fact: format!("{verb} the token {}?", token.name),
        consequence,
        button: format!("{verb} {}", token.name),
        fields: vec![("act", if rotates { "rotate" } else { "revoke" }.to_owned()), ("id", token.id.clone())],
        password: rotates,
        further: rotates.then_some(Further::OVERLAP),
    };
    acts::ask(app, &sent.live, question).await
}

async fn rotate(app: &App, sent: &Sent, token: &TokenRecord) -> Result<(TokenRecord, TokenText), Error> {
    let overlap = acts::overlap(sent, || format!("whole hours, 0 to {OVERLAP_HOURS_MAX}"))?;
    let actor = app.reconfirmed(&sent.live.actor, acts::password(sent)).await?;
    app.rotate_token(&actor, &token.id, overlap).await
}
