//! The list of tickets: one search text is all its state, so that every view is an address.

use super::acts::{self, Done};
use super::forms::{Sent, Viewer, encoded, see};
use super::shell::{Nav, Shell, answer, base, render};
use super::text::{Title, When, grouped, spark, title};
use actifix_app::App;
use actifix_app::error::Error;
use actifix_app::ports::{Cursor, Page, Sort};
use actifix_app::sessions::LiveSession;
use actifix_app::tickets::ListTickets;
use actifix_domain::access::Actor;
use actifix_domain::id::TicketId;
use actifix_domain::project::Project;
use actifix_domain::ticket::{Priority, Status, Ticket};
use actifix_domain::time::Timestamp;
use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows of a page.
const ROWS: u32 = 25;
/// What is looked at first.
const DEFAULT_SEARCH: &str = "is:unresolved";
/// Views that everybody has: name and search.
const VIEWS: [(&str, &str); 6] = [
    ("Unresolved", "is:unresolved"),
    ("P0 and P1, nobody on it", "is:unresolved priority:P0,P1 is:unassigned"),
    ("New in 24 h", "is:unresolved first_seen:-24h"),
    ("Regressed", "is:regressed"),
    ("In review", "is:in_review"),
    ("Resolved", "is:resolved"),
];

/// The state of the list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ListQuery {
    q: Option<String>,
    project: Option<String>,
    sort: Sort,
    cursor: Option<Cursor>,
    #[serde(flatten)]
    done: Done,
}

/// What a search may go on with; the list of a field replaces all of its text, so each stands after what is there.
const TERMS: [&str; 11] = [
    "is:unassigned",
    "is:regressed",
    "is:unhandled",
    "is:in_review",
    "priority:<=P1",
    "level:fatal",
    "environment:production",
    "first_seen:-24h",
    "last_seen:-1h",
    "count:>100",
    "users:>10",
];
/// Projects among the suggestions.
const SUGGESTED_PROJECTS: usize = 8;

/// One row.
pub struct Row {
    pub id: String,
    pub priority: &'static str,
    pub class: &'static str,
    pub title: Title,
    pub plain: String,
    pub project: String,
    pub culprit: String,
    pub flag: &'static str,
    pub count: String,
    pub users: String,
    pub seen: When,
    pub trend: (String, String),
    pub assignee: Option<String>,
    pub status: &'static str,
}

struct Link {
    name: String,
    href: String,
    count: String,
    current: bool,
    class: &'static str,
}

#[derive(Template)]
#[template(path = "tickets.html")]
struct ListPage {
    s: Shell,
    q: String,
    project: String,
    views: Vec<Link>,
    statuses: Vec<Link>,
    priorities: Vec<Link>,
    projects: Vec<Link>,
    sorts: Vec<Link>,
    rows: Vec<Row>,
    total: String,
    next: Option<String>,
    first: bool,
    problem: String,
    here: String,
    /// Views of one's own.
    saved: Vec<Link>,
    suggestions: Vec<String>,
    /// When the list was read, for counts of what came since.
    since: String,
    /// The first page of the list, as it is now.
    again: String,
}

/// The page.
pub async fn list(State(app): State<Arc<App>>, viewer: Viewer, Query(query): Query<ListQuery>) -> Response {
    answer(page(&app, &viewer.0, query, String::new()).await)
}

async fn page(app: &App, live: &LiveSession, query: ListQuery, refused: String) -> Result<Response, Error> {
    let since = app.now();
    let q = query.q.clone().unwrap_or_else(|| DEFAULT_SEARCH.to_owned());
    let asked = ListTickets {
        project: query.project.clone().filter(|name| !name.is_empty()),
        search: q.clone(),
        sort: query.sort,
        cursor: query.cursor.clone(),
        limit: ROWS,
        ..ListTickets::default()
    };
    let (found, problem) = match app.tickets(&live.actor, asked).await {
        Ok(found) => (found, String::new()),
        Err(Error::Invalid(fields)) => {
            let why = fields.into_iter().map(|field| field.message).collect::<Vec<_>>().join("; ");
            (Page { items: Vec::new(), next_cursor: None, total: Some(0) }, why)
        }
        Err(error) => return Err(error),
    };
    let total = match found.total {
        Some(total) if total > Page::<Ticket>::TOTAL_MAX => "more than 10,000".to_owned(),
        Some(total) => grouped(total),
        None => "some".to_owned(),
    };
    let title = if total == "1" { "1 ticket".to_owned() } else { format!("{total} tickets") };
    let s = Shell::load(app, live, Nav::Tickets, &title).await?;
    let s = s.done(&query.done).refused(refused);
    let projects = app.projects(&live.actor).await?;
    let here = Here { base: &s.base, query: &query, q: &q };
    let own = app.saved_views(&live.actor).await?;
    let page = ListPage {
        saved: own.iter().map(|view| here.link(&view.name, &view.search, q == view.search)).collect(),
        suggestions: suggestions(&q, &projects),
        since: since.to_string(),
        again: here.at(&q, query.project.as_deref(), query.sort, None),
        views: VIEWS.iter().map(|(name, search)| here.link(name, search, q == *search)).collect(),
        statuses: statuses(&here, &s),
        priorities: priorities(&here, &s),
        projects: here.projects(&projects),
        sorts: here.sorts(),
        rows: rows(app, &live.actor, &found.items, &projects, s.now).await?,
        next: found
            .next_cursor
            .map(|cursor| here.at(&q, query.project.as_deref(), query.sort, Some(&cursor))),
        first: query.cursor.is_none(),
        here: here.at(&q, query.project.as_deref(), query.sort, query.cursor.as_ref()),
        project: query.project.clone().unwrap_or_default(),
        q,
        total,
        problem,
        s,
    };
    Ok(render(&page))
}

/// Rows of tickets with the last 24 hours of each.
pub async fn rows(
    app: &App,
    actor: &Actor,
    tickets: &[Ticket],
    projects: &[Project],
    now: Timestamp,
) -> Result<Vec<Row>, Error> {
    let names: BTreeMap<_, _> = projects.iter().map(|project| (project.id, project.name.as_str())).collect();
    let ids: Vec<TicketId> = tickets.iter().map(|ticket| ticket.id.clone()).collect();
    let trends = app.trends(actor, &ids).await?;
    let row = |ticket: &Ticket| Row {
        id: ticket.id.to_string(),
        priority: ticket.priority.as_str(),
        class: priority_class(ticket.priority),
        title: title(&ticket.title),
        plain: ticket.title.chars().take(60).collect(),
        project: names
            .get(&ticket.project)
            .map_or_else(|| ticket.project.to_string(), |name| (*name).to_owned()),
        culprit: ticket.culprit.clone(),
        flag: flag(ticket, now),
        count: grouped(ticket.count),
        users: if ticket.users == 0 { "–".to_owned() } else { grouped(ticket.users) },
        seen: When::new(ticket.last_seen, now),
        trend: spark(trends.get(&ticket.id).unwrap_or(&[0; 24])),
        assignee: ticket.assignee.clone(),
        status: status_word(ticket.status),
    };
    Ok(tickets.iter().map(row).collect())
}

fn flag(ticket: &Ticket, now: Timestamp) -> &'static str {
    match ticket {
        t if t.status == Status::Open && t.regressions > 0 => "regressed",
        t if t.raised => "raised",
        t if now.since(t.first_seen) < actifix_domain::time::HOUR => "new",
        _ => "",
    }
}

/// Class of a priority's mark.
pub const fn priority_class(priority: Priority) -> &'static str {
    match priority {
        Priority::P0 => "p0",
        Priority::P1 => "p1",
        Priority::P2 => "p2",
        Priority::P3 => "p3",
        Priority::P4 => "p4",
    }
}

/// A status as people read it.
pub const fn status_word(status: Status) -> &'static str {
    match status {
        Status::Open => "open",
        Status::Held => "held",
        Status::InProgress => "in progress",
        Status::InReview => "in review",
        Status::Resolved => "resolved",
        Status::Ignored => "ignored",
    }
}

/// Where the reader stands, to make addresses of other places.
struct Here<'a> {
    base: &'a str,
    query: &'a ListQuery,
    q: &'a str,
}

impl Here<'_> {
    fn at(&self, q: &str, project: Option<&str>, sort: Sort, cursor: Option<&Cursor>) -> String {
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        pairs.append_pair("q", q);
        if let Some(project) = project.filter(|name| !name.is_empty()) {
            pairs.append_pair("project", project);
        }
        if sort != Sort::default() {
            pairs.append_pair("sort", sort_word(sort));
        }
        if let Some(Cursor(cursor)) = cursor {
            pairs.append_pair("cursor", cursor);
        }
        format!("{}/tickets?{}", self.base, pairs.finish())
    }

    fn link(&self, name: &str, search: &str, current: bool) -> Link {
        let href = self.at(search, self.query.project.as_deref(), self.query.sort, None);
        Link { name: name.to_owned(), href, count: String::new(), current, class: "" }
    }

    fn projects(&self, projects: &[Project]) -> Vec<Link> {
        let chosen = self.query.project.as_deref().unwrap_or_default();
        let link = |name: &str, project: Option<&str>| Link {
            name: name.to_owned(),
            href: self.at(self.q, project, self.query.sort, None),
            count: String::new(),
            current: project.unwrap_or_default() == chosen,
            class: "",
        };
        let mut links = vec![link("all", None)];
        links.extend(projects.iter().take(20).map(|project| link(&project.name, Some(&project.name))));
        links
    }

    fn sorts(&self) -> Vec<Link> {
        [
            ("last seen", Sort::LastSeen),
            ("first seen", Sort::FirstSeen),
            ("events", Sort::Count),
            ("priority", Sort::Priority),
        ]
        .into_iter()
        .map(|(name, sort)| Link {
            name: name.to_owned(),
            href: self.at(self.q, self.query.project.as_deref(), sort, None),
            count: String::new(),
            current: self.query.sort == sort,
            class: "",
        })
        .collect()
    }

    /// Counts are of the whole installation: they are shown where nothing else narrows the list.
    fn counts_hold(&self) -> bool {
        self.query.project.as_deref().unwrap_or_default().is_empty()
            && self.q.split_whitespace().all(|term| term.starts_with("is:") || term.starts_with("priority:"))
    }
}

const fn sort_word(sort: Sort) -> &'static str {
    match sort {
        Sort::LastSeen => "last_seen",
        Sort::FirstSeen => "first_seen",
        Sort::Count => "count",
        Sort::Priority => "priority",
    }
}

fn statuses(here: &Here<'_>, s: &Shell) -> Vec<Link> {
    Status::ALL
        .into_iter()
        .map(|status| {
            let wanted = format!("is:{}", status.as_str());
            let current = here.q.split_whitespace().any(|term| term == wanted);
            let search = with_term(here.q, "is:", if current { DEFAULT_SEARCH } else { &wanted });
            let count = if here.counts_hold() { grouped(s.of_status(status)) } else { String::new() };
            Link { count, ..here.link(status_word(status), &search, current) }
        })
        .collect()
}

fn priorities(here: &Here<'_>, s: &Shell) -> Vec<Link> {
    let statuses: Vec<Status> = Status::ALL
        .into_iter()
        .filter(|status| match here.q.split_whitespace().find(|term| term.starts_with("is:")) {
            None => true,
            Some("is:unresolved") => {
                matches!(status, Status::Open | Status::InProgress | Status::InReview)
            }
            Some(term) => term == format!("is:{}", status.as_str()),
        })
        .collect();
    Priority::ALL
        .into_iter()
        .map(|priority| {
            let wanted = format!("priority:{}", priority.as_str());
            let current = here.q.split_whitespace().any(|term| term == wanted);
            let search = with_term(here.q, "priority:", if current { "" } else { &wanted });
            let matching =
                s.stats.tickets.iter().filter(|(status, of, _)| statuses.contains(status) && *of == priority);
            let many: u64 = matching.map(|(.., many)| many).sum();
            let count = if here.counts_hold() { grouped(many) } else { String::new() };
            Link { count, class: priority_class(priority), ..here.link(priority.as_str(), &search, current) }
        })
        .collect()
}

fn suggestions(q: &str, projects: &[Project]) -> Vec<String> {
    let terms = TERMS.iter().map(|term| (*term).to_owned());
    let named = projects.iter().take(SUGGESTED_PROJECTS).map(|project| format!("project:{}", project.name));
    terms
        .chain(named)
        .filter(|term| !q.split_whitespace().any(|known| known == term))
        .map(|term| format!("{} {term}", q.trim()).trim().to_owned())
        .collect()
}

/// The search with every term of one kind replaced by `term`. Quoted text is left alone.
fn with_term(q: &str, prefix: &str, term: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut quoted = false;
    for word in q.split(' ') {
        let starts_inside = quoted;
        quoted ^= word.matches('"').count() % 2 == 1;
        if !starts_inside && word.starts_with(prefix) || word.is_empty() {
            continue;
        }
        out.push(word.to_owned());
    }
    if !term.is_empty() {
        out.insert(0, term.to_owned());
    }
    out.join(" ")
}

/// Keeps a search under a name, or forgets one.
pub async fn act_on_views(State(app): State<Arc<App>>, sent: Sent) -> Response {
    let (actor, fields) = (&sent.live.actor, &sent.fields);
    let name = fields.get("name").unwrap_or_default();
    let q = fields.get("q").unwrap_or_default();
    let result = match fields.get("act") {
        Some("save") => app.save_view(actor, name, q).await.map(|()| "view"),
        Some("remove") => app.remove_view(actor, name).await.map(|()| "unview"),
        _ => Err(acts::unknown()),
    };
    match result {
        Ok(word) => see(&format!("{}/tickets?q={}&done={word}", base(&app), encoded(q))),
        Err(error) => {
            let query = ListQuery { q: Some(q.to_owned()), ..ListQuery::default() };
            acts::again(error, |why| page(&app, &sent.live, query, why)).await
        }
    }
}

/// How a person is named on tickets.
pub fn name_of(actor: &Actor) -> String {
    match actor {
        Actor::User { name, .. } => name.clone(),
        other => other.label(),
    }
}

#[cfg(test)]
mod tests {
    use super::with_term;

    #[test]
    fn one_term_is_exchanged_and_quoted_text_stays() {
        assert_eq!(with_term("is:unresolved foo", "is:", "is:held"), "is:held foo");
        assert_eq!(with_term("\"the is:open word\" is:open", "is:", ""), "\"the is:open word\"");
        assert_eq!(with_term("", "priority:", "priority:P1"), "priority:P1");
    }
}
