//! Releases: which there are, where they were brought, what is in them, what began and ended with them.

use super::forms::{Viewer, encoded};
use super::shell::{Nav, Shell, answer, render};
use super::text::{Marked, When, grouped, many, marked};
use super::tickets::{Row, rows};
use actifix_app::App;
use actifix_app::error::Error;
use actifix_app::ports::{Cursor, ReleaseDetail};
use actifix_app::releases::SuspectCommit;
use actifix_app::sessions::LiveSession;
use actifix_domain::commit::{self, Commit};
use actifix_domain::id::ProjectId;
use actifix_domain::project::Project;
use actifix_domain::release::{Deploy, Release};
use actifix_domain::ticket::Ticket;
use actifix_domain::time::Timestamp;
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;

/// Rows of a page.
const ROWS: u32 = 50;
/// Characters of a commit's id that are shown.
const ID_CHARS: usize = 12;
/// Characters of a version that are shown.
const VERSION_CHARS: usize = 250;
/// Commits that are shown; the API tells the others.
const COMMITS_SHOWN: usize = 100;

struct Line {
    href: String,
    version: Marked,
    project: String,
    first: When,
    last: Option<When>,
    events: String,
    new: String,
    regressions: String,
    deploys: String,
}

#[derive(Template)]
#[template(path = "releases.html")]
struct ReleasesPage {
    s: Shell,
    lines: Vec<Line>,
    projects: Vec<(String, String)>,
    project: String,
    first: bool,
    next: Option<String>,
}

/// What the list is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ListQuery {
    project: String,
    cursor: Option<Cursor>,
}

/// All releases, or those of one project.
pub async fn list(State(app): State<Arc<App>>, viewer: Viewer, Query(query): Query<ListQuery>) -> Response {
    answer(list_page(&app, &viewer.0, query).await)
}

async fn list_page(app: &App, live: &LiveSession, query: ListQuery) -> Result<Response, Error> {
    let first = query.cursor.is_none();
    let asked = Some(query.project.as_str()).filter(|name| !name.is_empty());
    let found = app.releases(&live.actor, asked, query.cursor, ROWS).await?;
    let projects = app.projects(&live.actor).await?;
    let s = Shell::load(app, live, Nav::Releases, "Releases").await?;
    let next = found.next_cursor.map(|Cursor(cursor)| {
        format!("{}/releases?project={}&cursor={}", s.base, encoded(&query.project), encoded(&cursor))
    });
    let lines = found.items.iter().map(|release| line(&s, release, &projects)).collect();
    let projects = projects.into_iter().map(|project| (project.id.to_string(), project.name)).collect();
    Ok(render(&ReleasesPage { lines, projects, project: query.project, first, next, s }))
}

fn line(s: &Shell, release: &Release, projects: &[Project]) -> Line {
    Line {
        href: href(&s.base, release.project, &release.version),
        version: marked(&release.version, VERSION_CHARS),
        project: name_of(projects, release.project),
        first: When::new(release.first_seen, s.now),
        last: release.last_seen.map(|at| When::new(at, s.now)),
        events: grouped(release.events),
        new: grouped(release.new_tickets),
        regressions: grouped(release.regressions),
        deploys: grouped(release.deploys),
    }
}

fn name_of(projects: &[Project], id: ProjectId) -> String {
    projects
        .iter()
        .find(|project| project.id == id)
        .map_or_else(|| id.to_string(), |project| project.name.clone())
}

/// The page of a release. In a path a blank is no plus.
pub fn href(base: &str, project: ProjectId, version: &str) -> String {
    format!("{base}/releases/{}?project={project}", encoded(version).replace('+', "%20"))
}

struct Brought {
    environment: Marked,
    name: Marked,
    url: Marked,
    at: When,
    took: String,
}

/// A commit, as this page and that of a ticket show it.
pub struct Change {
    /// Its id, shortened.
    pub id: String,
    /// Its page.
    pub url: Option<String>,
    /// First line of what its author said.
    pub message: Marked,
    /// Who that is.
    pub author: Marked,
    /// When.
    pub at: Option<When>,
    /// Files that matter.
    pub files: Vec<Marked>,
    /// How many files it changed; empty where that does not matter.
    pub many: String,
    /// Why it is suspected; empty where it is not.
    pub why: String,
}

struct Shown {
    title: &'static str,
    id: &'static str,
    none: &'static str,
    rows: Vec<Row>,
    all: u64,
}

#[derive(Template)]
#[template(path = "release.html")]
struct ReleasePage {
    s: Shell,
    version: Marked,
    project: String,
    project_id: String,
    first: When,
    last: Option<When>,
    released: Option<When>,
    url: Option<Marked>,
    events: String,
    regressions: String,
    sessions: String,
    deploys: Vec<Brought>,
    commits: Vec<Change>,
    more_commits: usize,
    lists: Vec<Shown>,
}

/// Which of several releases of one name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ShowQuery {
    project: String,
}

/// One release.
pub async fn show(
    State(app): State<Arc<App>>,
    viewer: Viewer,
    Path(version): Path<String>,
    Query(query): Query<ShowQuery>,
) -> Response {
    let page = async {
        let live = &viewer.0;
        let asked = Some(query.project.as_str()).filter(|name| !name.is_empty());
        let detail = app.release_detail(&live.actor, asked, &version).await?;
        let projects = app.projects(&live.actor).await?;
        let s = Shell::load(&app, live, Nav::Releases, &format!("Release {version}")).await?;
        let mut lists = Vec::with_capacity(3);
        for list in [&detail.new_tickets, &detail.regressed, &detail.resolved] {
            lists.push(rows(&app, &live.actor, list, &projects, s.now).await?);
        }
        Ok(render(&view(s, detail, &projects, lists)))
    };
    answer(page.await)
}

fn view(s: Shell, detail: ReleaseDetail, projects: &[Project], lists: Vec<Vec<Row>>) -> ReleasePage {
    let (release, now) = (&detail.release, s.now);
    let project = projects.iter().find(|project| project.id == release.project);
    let repository = project.and_then(|project| project.settings.repository.clone());
    let titles = [
        ("New tickets", "new", "No error began in it.", release.new_tickets),
        ("Came back with it", "regressed", "No resolved ticket came back with it.", release.regressions),
        ("Fixed in it", "resolved", "No ticket is resolved in it.", 0),
    ];
    let lists = titles.into_iter().zip(lists).map(|((title, id, none, all), rows)| Shown {
        title,
        id,
        none,
        all: all.max(rows.len() as u64),
        rows,
    });
    let sessions = detail.sessions;
    ReleasePage {
        version: marked(&release.version, VERSION_CHARS),
        project: name_of(projects, release.project),
        project_id: release.project.to_string(),
        first: When::new(release.first_seen, now),
        last: release.last_seen.map(|at| When::new(at, now)),
        released: release.released_at.map(|at| When::new(at, now)),
        url: release.url.as_deref().map(|url| marked(url, 300)),
        events: grouped(release.events),
        regressions: grouped(release.regressions),
        sessions: if sessions.sessions == 0 {
            String::new()
        } else {
            format!("{}, {} crashed", grouped(sessions.sessions), grouped(sessions.crashed))
        },
        deploys: detail.deploys.iter().map(|deploy| brought(deploy, now)).collect(),
        more_commits: detail.commits.len().saturating_sub(COMMITS_SHOWN),
        commits: detail
            .commits
            .iter()
            .take(COMMITS_SHOWN)
            .map(|commit| change(commit, repository.as_deref(), now))
            .collect(),
        lists: lists.collect(),
        s,
    }
}

fn brought(deploy: &Deploy, now: Timestamp) -> Brought {
    Brought {
        environment: marked(&deploy.environment, 64),
        name: marked(deploy.name.as_deref().unwrap_or_default(), 100),
        url: marked(deploy.url.as_deref().unwrap_or_default(), 300),
        at: When::new(deploy.finished_at, now),
        took: deploy.started_at.map(|at| super::text::span(deploy.finished_at.since(at))).unwrap_or_default(),
    }
}

fn change(commit: &Commit, repository: Option<&str>, now: Timestamp) -> Change {
    let files = commit.paths.len() as u64 + u64::from(commit.paths_left_out);
    Change {
        id: commit.id.chars().take(ID_CHARS).collect(),
        url: repository.and_then(|repository| commit::link(repository, &commit.id)),
        message: marked(commit.message.lines().next().unwrap_or_default(), 200),
        author: marked(commit.author.as_deref().unwrap_or_default(), 128),
        at: commit.at.map(|at| When::new(at, now)),
        files: Vec::new(),
        many: many(files, "file"),
        why: String::new(),
    }
}

/// A suspect, for the page of its ticket.
pub fn suspect(suspect: &SuspectCommit, now: Timestamp) -> Change {
    Change {
        id: suspect.id.chars().take(ID_CHARS).collect(),
        url: suspect.url.clone(),
        message: marked(&suspect.message, 200),
        author: marked(suspect.author.as_deref().unwrap_or_default(), 128),
        at: suspect.at.map(|at| When::new(at, now)),
        files: suspect.files.iter().map(|file| marked(file, 300)).collect(),
        many: String::new(),
        why: suspect.why.clone(),
    }
}

/// Where a release of a ticket is shown, with its name.
pub fn named(s: &Shell, ticket: &Ticket, version: Option<&String>) -> Option<(Marked, String)> {
    let version = version?;
    Some((marked(version, VERSION_CHARS), href(&s.base, ticket.project, version)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actifix_app::ports::SessionTotals;

    const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x>";

    fn release() -> Release {
        let at = Timestamp::from_micros(1_789_000_000_000_000);
        Release {
            project: ProjectId(1),
            version: HOSTILE.to_owned(),
            first_seen: at,
            last_seen: Some(at),
            recorded_at: at,
            released_at: Some(at),
            url: Some(HOSTILE.to_owned()),
            events: 1_234,
            new_tickets: 2,
            regressions: 1,
            deploys: 1,
            commits: 1,
            trusted: true,
        }
    }

    #[track_caller]
    fn check(html: &str, expected: &[&str]) {
        assert!(!html.contains("<script>alert") && !html.contains("<img src=x"), "{html}");
        for text in expected {
            assert!(html.contains(text), "{text}: {html}");
        }
    }

    #[test]
    fn what_builds_say_is_text() {
        let at = Timestamp::from_micros(1_789_000_000_000_000);
        let text = || Some(HOSTILE.to_owned());
        let detail = ReleaseDetail {
            release: release(),
            deploys: vec![Deploy {
                id: 1,
                environment: HOSTILE.to_owned(),
                name: text(),
                url: text(),
                started_at: Some(at),
                finished_at: at.plus(60_000_000),
            }],
            commits: vec![Commit {
                id: "8be41d0aa1".to_owned(),
                author: text(),
                author_email: text(),
                message: format!("{HOSTILE}\nsecond line"),
                at: Some(at),
                paths: vec![HOSTILE.to_owned()],
                paths_left_out: 1,
            }],
            sessions: SessionTotals { sessions: 10, errored: 1, crashed: 1 },
            new_tickets: Vec::new(),
            regressed: Vec::new(),
            resolved: Vec::new(),
        };
        let lists = vec![Vec::new(), Vec::new(), Vec::new()];
        let html = view(Shell::sample(), detail, &[], lists).render().expect("a page");
        check(&html, &["1,234", "2 files", "8be41d0aa1", "10, 1 crashed", "No error began in it."]);
    }

    #[test]
    fn names_of_releases_are_text_and_parts_of_paths() {
        let s = Shell::sample();
        let lines = vec![line(&s, &release(), &[])];
        let page = ReleasesPage {
            lines,
            projects: vec![("1".to_owned(), HOSTILE.to_owned())],
            project: HOSTILE.to_owned(),
            first: false,
            next: Some("/releases?cursor=x".to_owned()),
            s,
        };
        let html = page.render().expect("a page");
        check(&html, &["/releases/%3Cscript%3Ealert%281%29%3C%2Fscript%3E"]);
        assert_eq!(href("/x", ProjectId(7), "a b+c/d"), "/x/releases/a%20b%2Bc%2Fd?project=7");
    }
}
