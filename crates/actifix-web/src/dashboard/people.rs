//! Accounts and sessions.

use super::acts::{self, Done, End, Further, News, Question};
use super::forms::{Sent, Viewer};
use super::shell::{Nav, Shell, answer, render};
use super::text::{When, are, counted};
use actifix_app::App;
use actifix_app::accounts::{ADMIN, PASSWORD_CHARS_MIN, UserChange, UserView};
use actifix_app::error::Error;
use actifix_app::sessions::LiveSession;
use actifix_domain::access::{Role, Scope};
use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;

/// Sessions that are shown.
const SESSIONS_SHOWN: usize = 200;
/// Accounts that are shown.
const USERS_SHOWN: usize = 200;

struct UserRow {
    name: String,
    role: &'static str,
    state: &'static str,
    second: bool,
    password: When,
    failures: u32,
    disabled: bool,
    locked: bool,
    me: bool,
}

#[derive(Template)]
#[template(path = "users.html")]
struct UsersPage {
    s: Shell,
    sentence: (String, String),
    rows: Vec<UserRow>,
    more: usize,
    chars_min: usize,
}

/// Accounts.
pub async fn users(State(app): State<Arc<App>>, viewer: Viewer, Query(done): Query<Done>) -> Response {
    answer(users_page(&app, &viewer.0, done.into()).await)
}

async fn users_page(app: &App, live: &LiveSession, news: News) -> Result<Response, Error> {
    let users = app.users(&live.actor).await?;
    let s = Shell::load(app, live, Nav::Users, "Users").await?.news(news);
    let more = users.len().saturating_sub(USERS_SHOWN);
    let row = |view: UserView| UserRow {
        me: view.user.name == s.user,
        role: view.user.role.as_str(),
        state: match (&view.user.disabled_at, view.locked) {
            (Some(_), _) => "closed",
            (None, true) => "locked",
            (None, false) => "open",
        },
        second: view.user.second_factor,
        password: When::new(view.user.password_at, s.now),
        failures: view.failures,
        disabled: view.user.disabled_at.is_some(),
        locked: view.locked,
        name: view.user.name,
    };
    let rows: Vec<UserRow> = users.into_iter().map(row).collect();
    let sentence = sentence(&rows);
    let rows = rows.into_iter().take(USERS_SHOWN).collect();
    Ok(render(&UsersPage { sentence, rows, more, chars_min: PASSWORD_CHARS_MIN, s }))
}

/// A fact about all accounts, and what follows from it.
fn sentence(rows: &[UserRow]) -> (String, String) {
    let number = |many: usize| u64::try_from(many).unwrap_or(u64::MAX);
    let noun = |many: usize| if many == 1 { "account" } else { "accounts" };
    let locked = rows.iter().filter(|row| row.locked).count();
    let open: Vec<&UserRow> = rows.iter().filter(|row| !row.disabled).collect();
    let without = open.iter().filter(|row| !row.second).count();
    let fact = match locked {
        0 => format!("{} {}.", counted(number(rows.len())), noun(rows.len())),
        locked => format!("{} {} {} locked.", counted(number(locked)), noun(locked), are(number(locked))),
    };
    let consequence = match without {
        0 => "Each asks for a second factor.".to_owned(),
        without if without == open.len() => "None asks for a second factor.".to_owned(),
        1 => "One asks for no second factor.".to_owned(),
        without => format!("{without} ask for no second factor."),
    };
    (fact, consequence)
}

/// What a form of the page wants with an account: its question, and the word for when it is done.
struct Wish {
    verb: &'static str,
    consequence: &'static str,
    done: &'static str,
    further: Option<Further>,
}

fn wish(act: &str) -> Option<Wish> {
    let wish = |verb, consequence, done| Some(Wish { verb, consequence, done, further: None });
    match act {
        "role" => wish(
            "Change the role of",
            "Their sessions end, and they log in again with the new rights.",
            "role",
        ),
        "disable" => {
            wish("Close the account", "Their sessions end at once and nobody logs in to it.", "disabled")
        }
        "enable" => wish("Open the account", "Whoever has its password can log in again.", "enabled"),
        "unlock" => wish("Unlock the account", "Devices that it does not know may try again.", "unlocked"),
        "factor" => wish(
            "Take the second factor from",
            "Their sessions end. A login asks for the password alone until they set a new one up.",
            "factor",
        ),
        "password" => Some(Wish {
            verb: "Set the password of",
            consequence: "Their sessions end.",
            done: "password",
            further: Some(Further { name: "password", label: "New password", kind: "password", value: "" }),
        }),
        _ => None,
    }
}

/// Makes and changes accounts.
pub async fn act_on_users(State(app): State<Arc<App>>, sent: Sent) -> Response {
    let act = sent.fields.get("act").unwrap_or_default();
    let ended = if act == "create" {
        create(&app, &sent).await.map(|()| "created")
    } else {
        let Some(wish) = wish(act) else { return acts::failed(acts::unknown()) };
        match known(&app, &sent).await {
            Err(error) => Err(error),
            Ok(name) if !acts::is_sure(&sent) => return ask(&app, &sent, wish, name).await,
            Ok(name) => change(&app, &sent, act, &name).await.map(|()| wish.done),
        }
    };
    acts::finish(&app, "/users", ended.map(End::Word), |news| users_page(&app, &sent.live, news)).await
}

/// The account that a form names. Whoever may not see accounts learns nothing.
async fn known(app: &App, sent: &Sent) -> Result<String, Error> {
    let wanted = sent.fields.get("name").unwrap_or_default();
    let users = app.users(&sent.live.actor).await?;
    let found = users.into_iter().find(|view| view.user.name == wanted);
    found.map(|view| view.user.name).ok_or(Error::NotFound { what: "account" })
}

async fn ask(app: &App, sent: &Sent, wish: Wish, name: String) -> Response {
    let act = sent.fields.get("act").unwrap_or_default();
    let mut fields = vec![("act", act.to_owned()), ("name", name.clone())];
    let mut fact = format!("{} {name}?", wish.verb);
    // The list of roles stands in the form of every act.
    let role = sent.fields.get("role").filter(|_| act == "role");
    if let Some(role) = role.and_then(|text| text.parse::<Role>().ok()) {
        fact = format!("Make {name} {}?", role.as_str());
        fields.push(("role", role.as_str().to_owned()));
    }
    let question = Question {
        nav: Nav::Users,
        path: "/users",
        fact,
        consequence: wish.consequence,
        button: format!("{} {name}", wish.verb),
        fields,
        password: true,
        further: wish.further,
    };
    acts::ask(app, &sent.live, question).await
}

fn role(sent: &Sent) -> Result<Role, Error> {
    let text = sent.fields.get("role").unwrap_or_default();
    text.parse().map_err(|_| Error::invalid("role", "viewer, operator or admin"))
}

async fn create(app: &App, sent: &Sent) -> Result<(), Error> {
    let (name, role) = (sent.fields.get("name").unwrap_or_default(), role(sent)?);
    let password = sent.fields.get("password").unwrap_or_default();
    let actor = app.reconfirmed(&sent.live.actor, acts::password(sent)).await?;
    app.create_user(&actor, name, role, password).await.map(|_| ())
}

async fn change(app: &App, sent: &Sent, act: &str, name: &str) -> Result<(), Error> {
    let actor = app.reconfirmed(&sent.live.actor, acts::password(sent)).await?;
    let change = match act {
        "role" => UserChange { role: Some(role(sent)?), ..UserChange::default() },
        "disable" => UserChange { disabled: Some(true), ..UserChange::default() },
        "enable" => UserChange { disabled: Some(false), ..UserChange::default() },
        "unlock" => UserChange { unlock: true, ..UserChange::default() },
        "factor" => return app.reset_factor(&actor, name).await,
        _ => {
            let password = sent.fields.get("password").unwrap_or_default();
            let set = if name == ADMIN {
                app.set_admin_password(&actor, password).await
            } else {
                app.set_password(&actor, name, password).await
            };
            return set.map(|_| ());
        }
    };
    app.change_user(&actor, name, change).await.map(|_| ())
}

struct SessionRow {
    id: String,
    user: String,
    begun: When,
    seen: When,
    ends: String,
    network: String,
    this: bool,
}

#[derive(Template)]
#[template(path = "sessions.html")]
struct SessionsPage {
    s: Shell,
    rows: Vec<SessionRow>,
    /// How many there are, in words.
    going: String,
    more: usize,
    all: bool,
    may_all: bool,
    chars_min: usize,
}

/// Whose sessions are shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct SessionsQuery {
    all: Option<String>,
    #[serde(flatten)]
    done: Done,
}

/// One's own sessions; for administrators all.
pub async fn sessions(
    State(app): State<Arc<App>>,
    viewer: Viewer,
    Query(query): Query<SessionsQuery>,
) -> Response {
    answer(sessions_page(&app, &viewer.0, query.all.is_some(), query.done.into()).await)
}

async fn sessions_page(app: &App, live: &LiveSession, all: bool, news: News) -> Result<Response, Error> {
    let sessions = app.sessions(&live.actor, all).await?;
    let s = Shell::load(app, live, Nav::Sessions, "Sessions").await?.news(news);
    let more = sessions.len().saturating_sub(SESSIONS_SHOWN);
    let going = match sessions.len() {
        1 => "One goes on".to_owned(),
        several => format!("{several} go on"),
    };
    let rows = sessions
        .into_iter()
        .take(SESSIONS_SHOWN)
        .map(|session| SessionRow {
            begun: When::new(session.created_at, s.now),
            seen: When::new(session.seen_at, s.now),
            ends: super::text::span(session.expires_at.since(s.now)),
            network: session.network.unwrap_or_else(|| "unknown".to_owned()),
            this: session.id == live.session.id,
            user: session.user,
            id: session.id,
        })
        .collect();
    let may_all = live.actor.may(Scope::Admin, None);
    Ok(render(&SessionsPage { rows, going, more, all, may_all, chars_min: PASSWORD_CHARS_MIN, s }))
}

/// Ends sessions, sets one's own password.
pub async fn act_on_sessions(State(app): State<Arc<App>>, sent: Sent) -> Response {
    let actor = &sent.live.actor;
    let id = sent.fields.get("id").unwrap_or_default();
    let ended = match sent.fields.get("act") {
        Some("end") => app.kill_session(actor, id).await.map(|()| "session"),
        Some("all") if acts::is_sure(&sent) => app.kill_all_sessions(actor).await.map(|_| "sessions"),
        Some("all") => match app.sessions(actor, true).await {
            Ok(sessions) => return ask_all(&app, &sent, sessions.len()).await,
            Err(error) => Err(error),
        },
        Some("password") => {
            let given = |name: &str| sent.fields.get(name).unwrap_or_default();
            app.set_own_password(actor, given("current"), given("password")).await.map(|_| "password")
        }
        _ => Err(acts::unknown()),
    };
    let all = sent.fields.get("from") == Some("all");
    let path = if all { "/sessions?all=yes" } else { "/sessions" };
    acts::finish(&app, path, ended.map(End::Word), |news| sessions_page(&app, &sent.live, all, news)).await
}

async fn ask_all(app: &App, sent: &Sent, many: usize) -> Response {
    let question = Question {
        nav: Nav::Sessions,
        path: "/sessions",
        fact: if many == 1 { "End the one session?".to_owned() } else { format!("End all {many} sessions?") },
        consequence: "Everybody logs in again, you too.",
        button: "End all sessions of everybody".to_owned(),
        fields: vec![("act", "all".to_owned())],
        password: false,
        further: None,
    };
    acts::ask(app, &sent.live, question).await
}
