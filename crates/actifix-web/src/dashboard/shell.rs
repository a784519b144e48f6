//! What stands around every page: menu, person, status line; and pages that say what went wrong.

use super::acts::{Done, News, Once};
use super::assets::NAMES;
use super::look::Look;
use super::text::{grouped, many};
use crate::problem::{DAMAGED, NO_SUCH_PATH, Problem};
use actifix_app::App;
use actifix_app::error::Error;
use actifix_app::ports::StoreStats;
use actifix_app::sessions::{LiveSession, RECENT_MICROS};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::throttle::Brake;
use actifix_domain::ticket::Status;
use actifix_domain::time::Timestamp;
use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

/// Which entry of the menu a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nav {
    /// Overview.
    Overview,
    /// Tickets.
    Tickets,
    /// Held tickets.
    Held,
    /// Findings.
    Findings,
    /// Releases.
    Releases,
    /// Projects.
    Projects,
    /// Quarantine.
    Quarantine,
    /// Checklist of the deployment.
    Doctor,
    /// Rules of alerts.
    Alerts,
    /// Channels of alerts.
    Channels,
    /// Deliveries of alerts.
    Deliveries,
    /// Accounts.
    Users,
    /// API tokens.
    Tokens,
    /// Own sessions, and for administrators all.
    Sessions,
    /// The audit log.
    Audit,
    /// Backups.
    Backups,
    /// Settings and retention.
    Settings,
    /// Theme, density, keys.
    Look,
    /// What this program is made of.
    About,
}

/// An entry of the menu "System": page, name, path, the scope without which it is not shown.
type Entry = (Nav, &'static str, &'static str, Option<Scope>);

const SYSTEM: [Entry; 13] = [
    (Nav::Doctor, "Doctor", "/doctor", Some(Scope::Admin)),
    (Nav::Quarantine, "Quarantine", "/quarantine", Some(Scope::Quarantine)),
    (Nav::Alerts, "Alert rules", "/alerts", Some(Scope::Admin)),
    (Nav::Channels, "Channels", "/channels", Some(Scope::Admin)),
    (Nav::Deliveries, "Deliveries", "/deliveries", Some(Scope::Admin)),
    (Nav::Users, "Users", "/users", Some(Scope::Admin)),
    (Nav::Tokens, "Tokens", "/tokens", Some(Scope::Admin)),
    (Nav::Sessions, "Sessions", "/sessions", None),
    (Nav::Audit, "Audit log", "/audit", Some(Scope::Admin)),
    (Nav::Backups, "Backups", "/backups", Some(Scope::Admin)),
    (Nav::Settings, "Settings", "/settings", Some(Scope::Admin)),
    (Nav::Look, "Display", "/display", None),
    (Nav::About, "About", "/about", None),
];

/// What stands around a page.
#[derive(Debug)]
pub struct Shell {
    /// Title of the document.
    pub title: String,
    /// Entry of the menu.
    pub nav: Nav,
    /// Path in front of every link, without a slash at its end.
    pub base: String,
    /// Name of the person.
    pub user: String,
    /// Token that forms carry.
    pub csrf: String,
    /// Unresolved tickets.
    pub unresolved: String,
    /// Held tickets; empty when there are none.
    pub held: String,
    /// The brake is on.
    pub brake: &'static str,
    /// Stored events.
    pub events: String,
    /// Size of the database.
    pub disk: String,
    /// Submissions that wait.
    pub queue: usize,
    /// Hour and minute, UTC.
    pub clock: String,
    /// Version of the program.
    pub version: &'static str,
    /// All of the figures above.
    pub stats: StoreStats,
    /// Now.
    pub now: Timestamp,
    /// May decide about tickets.
    pub may_triage: bool,
    /// Entries of the menu "System" that this person may see.
    pub system: Vec<(Nav, &'static str, &'static str)>,
    /// The password was given lately: dangerous acts do not ask for it again.
    pub fresh: bool,
    /// How pages look in this browser.
    pub look: Look,
    /// What was done before this page; empty where nothing was.
    pub told: &'static str,
    /// What was not done, and why; empty where nothing went wrong.
    pub problem: String,
    /// A secret that this page shows and no other.
    pub once: Option<Once>,
}

impl Shell {
    /// Loads what every page shows.
    pub async fn load(app: &App, live: &LiveSession, nav: Nav, title: &str) -> Result<Self, Error> {
        let stats = app.stats(&live.actor).await?;
        let of = |statuses: &[Status]| -> u64 {
            stats.tickets.iter().filter(|(status, ..)| statuses.contains(status)).map(|(.., many)| many).sum()
        };
        let held = of(&[Status::Held]);
        let now = app.now();
        let (user, authenticated_at) = match &live.actor {
            Actor::User { name, authenticated_at, .. } => (name.clone(), *authenticated_at),
            _ => (String::new(), Timestamp::from_micros(0)),
        };
        let may = |scope| live.actor.may(scope, None);
        let shown = SYSTEM.into_iter().filter(|(.., scope)| scope.is_none_or(may));
        Ok(Self {
            title: title.to_owned(),
            nav,
            base: base(app),
            user,
            csrf: live.csrf.clone(),
            unresolved: grouped(of(&[Status::Open, Status::InProgress, Status::InReview])),
            held: if held > 0 { grouped(held) } else { String::new() },
            brake: match stats.brake {
                Brake::Off => "",
                Brake::Soft => "brake on: new P2 to P4 are held",
                Brake::Hard => "brake on: all new tickets are held",
            },
            events: grouped(stats.events),
            disk: bytes(stats.db_size_bytes.saturating_add(stats.wal_size_bytes)),
            queue: app.queue_depth(),
            clock: now.to_string().get(11..16).unwrap_or_default().to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            stats,
            now,
            may_triage: may(Scope::TicketsTriage),
            system: shown.map(|(nav, name, path, _)| (nav, name, path)).collect(),
            fresh: now.since(authenticated_at) < RECENT_MICROS,
            look: Look::current(),
            told: "",
            problem: String::new(),
            once: None,
        })
    }

    /// With what was done before it.
    pub fn done(mut self, done: &Done) -> Self {
        self.told = done.text();
        self
    }

    /// With what was not done, and why.
    pub fn refused(mut self, problem: String) -> Self {
        self.problem = problem;
        self
    }

    /// With all that an act left to be told.
    pub fn news(mut self, news: News) -> Self {
        self.told = news.done.text();
        self.problem = news.problem;
        self.once = news.once;
        self
    }

    /// Whether the page belongs to the menu "System".
    pub fn is_system(&self) -> bool {
        SYSTEM.iter().any(|(nav, ..)| *nav == self.nav)
    }

    /// Tickets of one status.
    pub fn of_status(&self, wanted: Status) -> u64 {
        self.stats.tickets.iter().filter(|(status, ..)| *status == wanted).map(|(.., many)| many).sum()
    }

    /// A file's address.
    pub fn css(&self) -> String {
        format!("{}/assets/{}", self.base, NAMES.css)
    }

    /// An icon's address.
    pub fn icon(&self, name: &str) -> String {
        format!("{}/assets/{}#{name}", self.base, NAMES.icons)
    }

    /// The script's address.
    pub fn script(&self) -> String {
        format!("{}/assets/{}", self.base, NAMES.script)
    }
}

#[cfg(test)]
impl Shell {
    /// What stands around a page of an administrator, for tests of templates.
    pub fn sample() -> Self {
        Self {
            title: "Sample".to_owned(),
            nav: Nav::Doctor,
            base: String::new(),
            user: "mara".to_owned(),
            csrf: "0".repeat(64),
            unresolved: "0".to_owned(),
            held: String::new(),
            brake: "",
            events: "0".to_owned(),
            disk: "0 B".to_owned(),
            queue: 0,
            clock: "03:13".to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            stats: StoreStats::default(),
            now: Timestamp::from_micros(1_790_000_000_000_000),
            may_triage: true,
            system: SYSTEM.iter().map(|(nav, name, path, _)| (*nav, *name, *path)).collect(),
            fresh: false,
            look: Look::default(),
            told: "",
            problem: String::new(),
            once: None,
        }
    }
}

/// The path that `public_url` adds in front of every other.
pub fn base(app: &App) -> String {
    let url = url::Url::parse(&app.settings().public_url);
    url.map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default()
}

/// Bytes in a unit that a person reads.
pub fn bytes(number: u64) -> String {
    match number {
        n if n < 10_000 => format!("{n} B"),
        n if n < 10_000_000 => format!("{} kB", n / 1_000),
        n if n < 10_000_000_000 => format!("{} MB", n / 1_000_000),
        n => format!("{} GB", n / 1_000_000_000),
    }
}

/// A page that could not be made: what, why, what to do.
#[derive(Template)]
#[template(path = "message.html")]
struct Message {
    base: String,
    css: String,
    look: Look,
    icons: String,
    status: u16,
    title: &'static str,
    detail: String,
    advice: &'static str,
    /// A command that helps, on the machine that runs Actifix.
    command: &'static str,
    /// The same may be asked again.
    again: bool,
    request_id: String,
}

/// Writes an error as a page.
pub fn message(app: &App, look: Look, problem: &Problem, request_id: &str) -> Option<String> {
    let base = base(app);
    let Words { title, detail, advice, command } = words(problem);
    let page = Message {
        css: format!("{base}/assets/{}", NAMES.css),
        icons: format!("{base}/assets/{}", NAMES.icons),
        base,
        look,
        status: problem.status.as_u16(),
        title,
        detail: sentence(&detail),
        advice,
        command,
        again: problem.retry_after.is_some() || (problem.status.is_server_error() && !is_damage(problem)),
        request_id: request_id.to_owned(),
    };
    page.render().ok()
}

fn is_damage(problem: &Problem) -> bool {
    problem.kind == Some(DAMAGED)
}

/// What a page says of an error: what, why, what to do, and a command where one helps.
struct Words {
    title: &'static str,
    detail: String,
    advice: &'static str,
    command: &'static str,
}

fn words(problem: &Problem) -> Words {
    let of_database = ["database", "disk"].iter().any(|word| problem.detail.contains(word));
    let is_damage = is_damage(problem);
    let (title, advice, command) = match problem.status {
        StatusCode::NOT_FOUND if problem.detail == NO_SUCH_PATH => {
            ("There is no such page", "The link that led here is old, or the address was mistyped.", "")
        }
        StatusCode::NOT_FOUND => {
            ("There is nothing here", "It may have been deleted by retention, or merged into another.", "")
        }
        StatusCode::FORBIDDEN => ("This may not be done", "", ""),
        StatusCode::METHOD_NOT_ALLOWED => ("This address is no page", "Nothing was changed.", ""),
        StatusCode::PAYLOAD_TOO_LARGE => {
            ("That is too much at once", "Nothing of it was saved. Go back, and send less.", "")
        }
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => (
            "It changed meanwhile",
            "Nothing of yours was saved. Go back, load the page again and look first.",
            "",
        ),
        StatusCode::TOO_MANY_REQUESTS => ("Too many requests", "Nothing was done.", ""),
        StatusCode::SERVICE_UNAVAILABLE if of_database => (
            "The database does not answer",
            "Events are refused with 503 meanwhile, and their SDKs send them again. Look at the disk, then run",
            "actifix doctor",
        ),
        StatusCode::SERVICE_UNAVAILABLE => ("Not now", "", ""),
        _ if is_damage => (
            "This is damaged",
            "The disk, or somebody, changed what is stored. Everything else goes on. What to do now says",
            "actifix doctor",
        ),
        status if status.is_server_error() => (
            "This did not work",
            "The log of the server says why, under the id of the request:",
            "actifix logs tail --lines 200",
        ),
        _ => ("This cannot be done", "", ""),
    };
    // Words for programs tell a person nothing.
    let detail = match (problem.status, problem.retry_after) {
        (StatusCode::NOT_FOUND, _) if problem.detail == NO_SUCH_PATH => {
            "nothing of this server has that address".to_owned()
        }
        (StatusCode::METHOD_NOT_ALLOWED, _) => "it takes what a form of another page sends".to_owned(),
        (StatusCode::TOO_MANY_REQUESTS, Some(seconds)) => {
            format!("wait {}, then try again", many(seconds, "second"))
        }
        _ => problem.detail.clone(),
    };
    Words { title, detail, advice, command }
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase).into_iter().flatten();
    let whole: String = first.chain(letters).collect();
    if whole.ends_with(['.', '!', '?']) { whole } else { whole + "." }
}

/// A page, or what says why there is none; [`crate::layers::finish`] writes that out.
pub fn answer(page: Result<Response, Error>) -> Response {
    page.unwrap_or_else(|error| Problem::from(error).into_response())
}

/// Renders a template.
pub fn render(page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => {
            tracing::error!(%error, "dashboard.template_failed");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the page could not be made").into_response()
        }
    }
}
