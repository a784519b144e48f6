//! `sentry-cli releases …` and `sentry-cli deploys …`.
//!
//! There a release belongs to the organization, here to a project: what is said of one without naming a project is said
//! of it in every project that has it and that the token may write to. A token that is bound to a project stays there.

use crate::api::Operation;
use crate::extract::{ReadTime, Who, read_up_to};
use crate::problem::{ApiResult, Problem};
use actifix_app::App;
use actifix_app::error::Error;
use actifix_app::releases::{
    CommitInput, CommitsInput, DeployInput, HeadInput, Of, ReleaseInput, Repository,
};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::release::{Deploy, Release};
use actifix_domain::time::Timestamp;
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;

/// Largest body, bytes: some thousand commits with their files.
const BODY_BYTES_MAX: usize = 4 << 20;

type AppState = State<Arc<App>>;

pub(super) fn operations() -> Vec<Operation> {
    let write = Scope::ReleasesWrite;
    let (organization, project) =
        ("/api/0/organizations/{org}/releases/", "/api/0/projects/{org}/{project}/releases/");
    let (of_all, of_one) = (
        "/api/0/organizations/{org}/releases/{version}/",
        "/api/0/projects/{org}/{project}/releases/{version}/",
    );
    let deploys = "/api/0/organizations/{org}/releases/{version}/deploys/";
    vec![
        Operation::get(
            "/api/0/organizations/{org}/repos/",
            "sentry_repos",
            "Repositories that commits may be of, one of each project",
            write,
            repos,
        )
        .query(&[("cursor", "accepted; there is nothing to page through")]),
        Operation::get(organization, "sentry_releases", "Releases", write, list),
        Operation::post(organization, "sentry_new_release", "Tell of a release", write, create).created(),
        Operation::get(project, "sentry_project_releases", "Releases of a project", write, list_of_project),
        Operation::post(project, "sentry_new_project_release", "Tell of a release", write, create_in_project)
            .created(),
        Operation::get(of_all, "sentry_release", "One release", write, show),
        Operation::put(of_all, "sentry_update_release", "Say more of a release", write, update),
        Operation::delete(of_all, "sentry_delete_release", "Remove a release", write, remove).empty(),
        Operation::get(of_one, "sentry_project_release", "One release", write, show_in_project),
        Operation::put(
            of_one,
            "sentry_update_project_release",
            "Say more of a release",
            write,
            update_in_project,
        ),
        Operation::delete(
            of_one,
            "sentry_delete_project_release",
            "Remove a release",
            write,
            remove_in_project,
        )
        .empty(),
        Operation::get(
            "/api/0/organizations/{org}/releases/{version}/commits/",
            "sentry_commits",
            "Commits of a release",
            write,
            commits,
        ),
        Operation::get(
            "/api/0/projects/{org}/{project}/releases/{version}/commits/",
            "sentry_project_commits",
            "Commits of a release",
            write,
            commits_in_project,
        ),
        Operation::get(
            "/api/0/organizations/{org}/releases/{version}/previous-with-commits/",
            "sentry_previous",
            "The release before it whose commits are known",
            write,
            previous,
        ),
        Operation::get(deploys, "sentry_deploys", "Where a release was brought", write, list_deploys),
        Operation::post(
            deploys,
            "sentry_new_deploy",
            "A release was brought somewhere",
            write,
            create_deploy,
        )
        .created(),
    ]
}

/// What the tool says of a release. Members that mean nothing here are passed over, as its other servers do.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sent {
    version: Option<String>,
    projects: Option<Vec<String>>,
    url: Option<String>,
    #[serde(rename = "dateReleased")]
    released: Option<String>,
    commits: Option<Vec<SentCommit>>,
    refs: Option<Vec<SentRef>>,
}

/// What `set-commits --commit REPOSITORY@ID` sends; `--clear` sends none.
#[derive(Debug, Deserialize)]
struct SentRef {
    repository: String,
    commit: String,
}

#[derive(Debug, Deserialize)]
struct SentCommit {
    id: String,
    author_name: Option<String>,
    author_email: Option<String>,
    message: Option<String>,
    timestamp: Option<String>,
    #[serde(default)]
    patch_set: Option<Vec<SentPatch>>,
}

#[derive(Debug, Deserialize)]
struct SentPatch {
    path: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SentDeploy {
    environment: String,
    name: Option<String>,
    url: Option<String>,
    projects: Option<Vec<String>>,
    #[serde(rename = "dateStarted")]
    started: Option<String>,
    #[serde(rename = "dateFinished")]
    finished: Option<String>,
}

impl Sent {
    fn input(self) -> Result<ReleaseInput, Problem> {
        let head = |sent: SentRef| HeadInput { repository: sent.repository, commit: sent.commit };
        let commits = match (self.commits, self.refs) {
            (Some(commits), _) => {
                let commits = commits.into_iter().map(SentCommit::input).collect::<Result<_, _>>()?;
                Some(CommitsInput::Listed(commits))
            }
            (None, Some(refs)) => Some(CommitsInput::Heads(refs.into_iter().map(head).collect())),
            (None, None) => None,
        };
        Ok(ReleaseInput { released_at: time("dateReleased", self.released)?, url: self.url, commits })
    }
}

impl SentCommit {
    fn input(self) -> Result<CommitInput, Problem> {
        Ok(CommitInput {
            id: self.id,
            author: self.author_name,
            author_email: self.author_email,
            message: self.message.unwrap_or_default(),
            at: time("timestamp", self.timestamp)?,
            paths: self.patch_set.unwrap_or_default().into_iter().map(|patch| patch.path).collect(),
        })
    }
}

fn time(name: &str, text: Option<String>) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let wrong = || Problem::new(StatusCode::BAD_REQUEST, format!("{name}: expected an RFC 3339 time"));
    Timestamp::parse(&text).map(Some).ok_or_else(wrong)
}

/// A JSON body of the tool.
async fn body<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    let within = ReadTime::of(request.extensions());
    let bytes = read_up_to(request.into_body(), within, BODY_BYTES_MAX).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        // The parser's own text can repeat input; only the place is told.
        let place = format!("line {}, column {}", error.line(), error.column());
        Problem::new(StatusCode::BAD_REQUEST, format!("the body is not what sentry-cli sends ({place})"))
    })
}

/// Repositories that commits may be of. The tool sends what it was told to (`--commit`, `--clear`) only if there is one.
/// Their provider is none that it knows: else it would believe that the server reads them, and with `--auto` send an id
/// instead of the commits of the checkout that it runs in.
async fn repos(State(app): AppState, Who(actor): Who) -> ApiResult<Json<Value>> {
    let repositories = app.told_repositories(&actor).await?;
    let repository = |one: Repository| {
        json!({
            "id": one.project.to_string(),
            "name": one.name,
            "url": one.url,
            "provider": { "id": "actifix", "name": "Actifix" },
            "status": "active",
            "dateCreated": one.created_at,
        })
    };
    Ok(Json(repositories.into_iter().map(repository).collect()))
}

async fn list(State(app): AppState, Who(actor): Who) -> ApiResult<Response> {
    let releases = app.told_releases(&actor, None).await?;
    answers(&app, &actor, releases).await
}

async fn list_of_project(
    State(app): AppState,
    Who(actor): Who,
    Path((_, project)): Path<(String, String)>,
) -> ApiResult<Response> {
    let project = super::project(&app, &actor, &project).await?;
    let releases = app.told_releases(&actor, Some(&project.id.to_string())).await?;
    answers(&app, &actor, releases).await
}

async fn create(State(app): AppState, Who(actor): Who, request: Request) -> ApiResult<Response> {
    let mut sent: Sent = body(request).await?;
    let projects = sent.projects.take().unwrap_or_default();
    made(&app, &actor, &projects, sent).await
}

async fn create_in_project(
    State(app): AppState,
    Who(actor): Who,
    Path((_, project)): Path<(String, String)>,
    request: Request,
) -> ApiResult<Response> {
    let project = super::project(&app, &actor, &project).await?;
    made(&app, &actor, &[project.id.to_string()], body(request).await?).await
}

async fn made(app: &Arc<App>, actor: &Actor, projects: &[String], mut sent: Sent) -> ApiResult<Response> {
    let version = sent.version.take().ok_or_else(|| Error::invalid("version", "the name of the release"))?;
    let told = app.tell_release(actor, Of::Projects(projects), &version, sent.input()?, true).await?;
    Ok((StatusCode::CREATED, Json(answer(app, actor, &told).await?)).into_response())
}

async fn show(
    State(app): AppState,
    Who(actor): Who,
    Path((_, version)): Path<(String, String)>,
) -> ApiResult<Response> {
    let found = app.told_release(&actor, Of::All, &version).await?;
    Ok(Json(answer(&app, &actor, &found).await?).into_response())
}

async fn show_in_project(
    State(app): AppState,
    Who(actor): Who,
    Path((_, project, version)): Path<(String, String, String)>,
) -> ApiResult<Response> {
    let found = app.told_release(&actor, Of::Projects(&[project]), &version).await?;
    Ok(Json(answer(&app, &actor, &found).await?).into_response())
}

async fn update(
    State(app): AppState,
    Who(actor): Who,
    Path((_, version)): Path<(String, String)>,
    request: Request,
) -> ApiResult<Response> {
    let mut sent: Sent = body(request).await?;
    let projects = sent.projects.take();
    let of = projects.as_deref().filter(|names| !names.is_empty()).map_or(Of::All, Of::Projects);
    let told = app.tell_release(&actor, of, &version, sent.input()?, false).await?;
    Ok(Json(answer(&app, &actor, &told).await?).into_response())
}

async fn update_in_project(
    State(app): AppState,
    Who(actor): Who,
    Path((_, project, version)): Path<(String, String, String)>,
    request: Request,
) -> ApiResult<Response> {
    let sent: Sent = body(request).await?;
    let told = app.tell_release(&actor, Of::Projects(&[project]), &version, sent.input()?, false).await?;
    Ok(Json(answer(&app, &actor, &told).await?).into_response())
}

async fn remove(
    State(app): AppState,
    Who(actor): Who,
    Path((_, version)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    app.remove_release(&actor, Of::All, &version).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_in_project(
    State(app): AppState,
    Who(actor): Who,
    Path((_, project, version)): Path<(String, String, String)>,
) -> ApiResult<StatusCode> {
    app.remove_release(&actor, Of::Projects(&[project]), &version).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn commits(
    State(app): AppState,
    Who(actor): Who,
    Path((_, version)): Path<(String, String)>,
) -> ApiResult<Response> {
    commits_of(&app, &actor, Of::All, &version).await
}

async fn commits_in_project(
    State(app): AppState,
    Who(actor): Who,
    Path((_, project, version)): Path<(String, String, String)>,
) -> ApiResult<Response> {
    commits_of(&app, &actor, Of::Projects(&[project]), &version).await
}

async fn commits_of(app: &App, actor: &Actor, of: Of<'_>, version: &str) -> ApiResult<Response> {
    let commits = app.told_commits(actor, of, version).await?;
    let ids: Vec<Value> = commits
        .iter()
        .map(|commit| json!({ "id": commit.id, "message": commit.message, "dateCreated": commit.at }))
        .collect();
    Ok(Json(ids).into_response())
}

async fn previous(
    State(app): AppState,
    Who(actor): Who,
    Path((_, version)): Path<(String, String)>,
) -> ApiResult<Response> {
    let Some((release, commit)) = app.previous_release(&actor, &version).await? else {
        return Ok(Json(json!({})).into_response());
    };
    let mut body = answer(&app, &actor, &[release]).await?;
    if let Some(map) = body.as_object_mut() {
        map.insert("lastCommit".to_owned(), json!({ "id": commit }));
    }
    Ok(Json(body).into_response())
}

async fn list_deploys(
    State(app): AppState,
    Who(actor): Who,
    Path((_, version)): Path<(String, String)>,
) -> ApiResult<Response> {
    let deploys = app.told_deploys(&actor, Of::All, &version).await?;
    Ok(Json(deploys.iter().map(deploy).collect::<Vec<_>>()).into_response())
}

async fn create_deploy(
    State(app): AppState,
    Who(actor): Who,
    Path((_, version)): Path<(String, String)>,
    request: Request,
) -> ApiResult<Response> {
    let sent: SentDeploy = body(request).await?;
    let input = DeployInput {
        environment: sent.environment,
        name: sent.name,
        url: sent.url,
        started_at: time("dateStarted", sent.started)?,
        finished_at: time("dateFinished", sent.finished)?,
    };
    let of = sent.projects.as_deref().filter(|names| !names.is_empty()).map_or(Of::All, Of::Projects);
    let told = app.tell_deploy(&actor, of, &version, input).await?;
    Ok((StatusCode::CREATED, Json(deploy(&told))).into_response())
}

fn deploy(deploy: &Deploy) -> Value {
    json!({
        "id": deploy.id.to_string(),
        "environment": deploy.environment,
        "name": deploy.name,
        "url": deploy.url,
        "dateStarted": deploy.started_at,
        "dateFinished": deploy.finished_at,
    })
}

/// Releases of one name as the one that the tool takes them for.
async fn answer(app: &App, actor: &Actor, releases: &[Release]) -> ApiResult<Value> {
    let mut projects = Vec::with_capacity(releases.len());
    for release in releases {
        let project = super::project(app, actor, &release.project.to_string()).await?;
        projects.push(json!({ "id": project.id.0, "slug": project.name, "name": project.name }));
    }
    Ok(json!({
        "version": releases.first().map(|release| &release.version),
        "url": releases.iter().find_map(|release| release.url.as_ref()),
        "dateCreated": releases.iter().map(|release| release.recorded_at).min(),
        "dateReleased": releases.iter().filter_map(|release| release.released_at).max(),
        "lastEvent": releases.iter().filter_map(|release| release.last_seen).max(),
        "newGroups": releases.iter().map(|release| release.new_tickets).sum::<u64>(),
        "commitCount": releases.iter().map(|release| release.commits).max(),
        "deployCount": releases.iter().map(|release| release.deploys).max(),
        "projects": projects,
    }))
}

async fn answers(app: &App, actor: &Actor, releases: Vec<Release>) -> ApiResult<Response> {
    let mut all = Vec::with_capacity(releases.len());
    for release in releases {
        all.push(answer(app, actor, &[release]).await?);
    }
    Ok(Json(all).into_response())
}
