//! What builds tell: that there is a release, what is in it, where it went. Their words are those of strangers: they are
//! redacted like events before anything is kept.

use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::ReleaseChange;
use actifix_domain::access::{Actor, Scope};
use actifix_domain::audit::Action;
use actifix_domain::commit::{
    self, AUTHOR_CHARS_MAX, COMMITS_MAX, Commit, MESSAGE_CHARS_MAX, PATH_CHARS_MAX, PATHS_IN_ALL_MAX,
    PATHS_MAX,
};
use actifix_domain::id::ProjectId;
use actifix_domain::project::{PersonalData, Project, ProjectSettings};
use actifix_domain::release::{Deploy, Release};
use actifix_domain::time::Timestamp;
use actifix_protocol::json::clean;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::sync::Arc;

/// Longest environment, characters; as events may name it.
const ENVIRONMENT_CHARS_MAX: usize = 64;
/// Longest name of a deploy, characters.
const NAME_CHARS_MAX: usize = 100;
/// Longest address of a page, characters.
const URL_CHARS_MAX: usize = 500;
/// Projects that one request may name.
const PROJECTS_MAX: usize = 50;
/// Commits that one request may bring; the newest [`COMMITS_MAX`] are kept.
const COMMITS_SENT_MAX: usize = 10_000;

/// Of which projects a release is meant.
#[derive(Clone, Copy, Debug)]
pub enum Of<'a> {
    /// Names or ids of projects.
    Projects(&'a [String]),
    /// Every project that has it and that the actor may write to.
    All,
}

/// What a build says of a release.
#[derive(Clone, Debug, Default)]
pub struct ReleaseInput {
    /// When it was finished.
    pub released_at: Option<Timestamp>,
    /// A page about it.
    pub url: Option<String>,
    /// What is in it.
    pub commits: Option<CommitsInput>,
}

/// What a build says of the commits of a release.
#[derive(Clone, Debug)]
pub enum CommitsInput {
    /// All of them; none clears what was said before.
    Listed(Vec<CommitInput>),
    /// Only which ones it was built from: each goes to the projects of its repository.
    Heads(Vec<HeadInput>),
}

/// The commit of a repository that a release was built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadInput {
    /// Name of the repository, as [`Repository::name`].
    pub repository: String,
    /// Id of the commit.
    pub commit: String,
}

/// A repository as builds know it. Nothing is read from it: what is in a release, builds say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// The project that is built of it.
    pub project: ProjectId,
    /// `acme/shop` where the project names its repository, else the name of the project.
    pub name: String,
    /// Its address, where the project names it.
    pub url: Option<String>,
    /// When the project was made.
    pub created_at: Timestamp,
}

impl Repository {
    fn of(project: &Project) -> Self {
        let url = project.settings.repository.clone();
        let name = url.as_deref().and_then(commit::repository_name).unwrap_or(&project.name).to_owned();
        Self { project: project.id, name, url, created_at: project.created_at }
    }
}

/// A commit as it was sent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CommitInput {
    /// Its id.
    pub id: String,
    /// Who wrote it.
    pub author: Option<String>,
    /// Their address.
    pub author_email: Option<String>,
    /// What they said.
    pub message: String,
    /// When.
    pub at: Option<Timestamp>,
    /// Files that it changed.
    pub paths: Vec<String>,
}

/// A deploy as it was sent.
#[derive(Clone, Debug, Default)]
pub struct DeployInput {
    /// Where to.
    pub environment: String,
    /// A name for people.
    pub name: Option<String>,
    /// A page about it.
    pub url: Option<String>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it was done; now, where it does not say.
    pub finished_at: Option<Timestamp>,
}

impl App {
    /// Makes a release, or says more of one that there is. With `create` those that a project does not have are made.
    /// One answer per project.
    pub async fn tell_release(
        self: &Arc<Self>,
        actor: &Actor,
        of: Of<'_>,
        version: &str,
        input: ReleaseInput,
        create: bool,
    ) -> Result<Vec<Release>> {
        let projects = self.projects_of(actor, of, version).await?;
        if let Some(CommitsInput::Heads(heads)) = &input.commits {
            check_heads(&projects, heads)?;
        }
        let mut told = Vec::with_capacity(projects.len());
        for project in projects {
            self.check_release("version", &project.settings, version)?;
            let sent = match &input.commits {
                Some(CommitsInput::Listed(sent)) => Some(sent.clone()),
                Some(CommitsInput::Heads(heads)) => heads_of(&project, heads),
                None => None,
            };
            let commits = match sent {
                Some(sent) => Some(self.kept(&project.settings, sent).await?),
                None => None,
            };
            let detail =
                json!({ "released_at": input.released_at, "commits": commits.as_ref().map(Vec::len) });
            let audit = self.audit(actor, Action::ReleaseSaved, target(version), Some(project.id), detail);
            let url = self.optional("url", &project.settings, input.url.as_deref(), URL_CHARS_MAX)?;
            let change = ReleaseChange { released_at: input.released_at, url, commits, create };
            let saved = self.store.save_release(project.id, version, change, self.now(), &audit).await?;
            told.push(saved.ok_or(Error::NotFound { what: "release" })?);
        }
        Ok(told)
    }

    /// A release as builds see it, in each project that is meant.
    pub async fn told_release(&self, actor: &Actor, of: Of<'_>, version: &str) -> Result<Vec<Release>> {
        let meant = self.projects_of(actor, of, version).await?;
        let mut found = self.store.releases_named(version).await?;
        found.retain(|release| meant.iter().any(|project| project.id == release.project));
        if found.is_empty() { Err(Error::NotFound { what: "release" }) } else { Ok(found) }
    }

    /// Releases as builds see them, the latest first seen first; at most 100.
    pub async fn told_releases(&self, actor: &Actor, project: Option<&str>) -> Result<Vec<Release>> {
        let asked = match project {
            Some(name) => Some(self.project_for(actor, Scope::ReleasesWrite, name).await?.id),
            None => None,
        };
        let project = Self::confine(actor, Scope::ReleasesWrite, asked)?;
        let query = crate::ports::ReleaseQuery { project, cursor: None, limit: 100, trusted_only: false };
        Ok(self.store.releases(query).await?.items)
    }

    /// The release before this one of which commits are known, with the id of its newest: where a build begins to
    /// count. None where there is none.
    pub async fn previous_release(&self, actor: &Actor, version: &str) -> Result<Option<(Release, String)>> {
        let project = match Self::confine(actor, Scope::ReleasesWrite, None)? {
            Some(project) => project,
            None => match self.store.releases_named(version).await?.as_slice() {
                // Several projects may be built of one repository; what the first of them knows will do.
                [first, ..] => first.project,
                [] => return Ok(None),
            },
        };
        self.store.previous_with_commits(project, version).await
    }

    /// Repositories as builds may name them: one of each project that the actor may write to.
    pub async fn told_repositories(&self, actor: &Actor) -> Result<Vec<Repository>> {
        let projects = match Self::confine(actor, Scope::ReleasesWrite, None)? {
            Some(project) => self.store.project(project).await?.into_iter().collect(),
            None => self.store.projects().await?,
        };
        Ok(projects.iter().map(Repository::of).collect())
    }

    /// Commits of a release as builds see them.
    pub async fn told_commits(&self, actor: &Actor, of: Of<'_>, version: &str) -> Result<Vec<Commit>> {
        for release in self.told_release(actor, of, version).await? {
            let detail = self.store.release_detail(release.project, version).await?;
            if let Some(detail) = detail.filter(|detail| !detail.commits.is_empty()) {
                return Ok(detail.commits);
            }
        }
        Ok(Vec::new())
    }

    /// Says that a release was brought somewhere.
    pub async fn tell_deploy(
        &self,
        actor: &Actor,
        of: Of<'_>,
        version: &str,
        input: DeployInput,
    ) -> Result<Deploy> {
        let projects = self.projects_of(actor, of, version).await?;
        let mut told = None;
        for project in projects {
            let settings = &project.settings;
            let environment =
                self.optional("environment", settings, Some(&input.environment), ENVIRONMENT_CHARS_MAX)?;
            let deploy = Deploy {
                id: 0,
                environment: environment
                    .ok_or_else(|| Error::invalid("environment", "where the release was brought"))?,
                name: self.optional("name", settings, input.name.as_deref(), NAME_CHARS_MAX)?,
                url: self.optional("url", settings, input.url.as_deref(), URL_CHARS_MAX)?,
                started_at: input.started_at,
                finished_at: input.finished_at.unwrap_or_else(|| self.now()),
            };
            let detail = json!({ "environment": deploy.environment });
            let audit = self.audit(actor, Action::ReleaseDeployed, target(version), Some(project.id), detail);
            let added = self.store.add_deploy(project.id, version, deploy, &audit).await?;
            told = told.or(added);
        }
        told.ok_or(Error::NotFound { what: "release" })
    }

    /// Deploys of a release, the latest first.
    pub async fn told_deploys(&self, actor: &Actor, of: Of<'_>, version: &str) -> Result<Vec<Deploy>> {
        let mut deploys = Vec::new();
        for release in self.told_release(actor, of, version).await? {
            deploys.extend(self.store.deploys(release.project, version).await?);
        }
        deploys.sort_by_key(|deploy| Reverse(deploy.id));
        Ok(deploys)
    }

    /// Removes a release with its deploys and commits; its events and tickets stay.
    pub async fn remove_release(&self, actor: &Actor, of: Of<'_>, version: &str) -> Result<()> {
        let mut gone = false;
        for project in self.projects_of(actor, of, version).await? {
            let audit =
                self.audit(actor, Action::ReleaseRemoved, target(version), Some(project.id), json!({}));
            gone |= self.store.remove_release(project.id, version, &audit).await?;
        }
        if gone { Ok(()) } else { Err(Error::NotFound { what: "release" }) }
    }

    /// The projects that are meant. A bound actor is in its own, whatever else has a release of the name.
    async fn projects_of(&self, actor: &Actor, of: Of<'_>, version: &str) -> Result<Vec<Project>> {
        let bound = actor.bound_project();
        Self::require(actor, Scope::ReleasesWrite, bound)?;
        let mut projects: Vec<Project> = Vec::new();
        match of {
            Of::Projects(names) => {
                if names.is_empty() || names.len() > PROJECTS_MAX {
                    return Err(Error::invalid(
                        "projects",
                        format!("1 to {PROJECTS_MAX} names or ids of projects"),
                    ));
                }
                for name in names {
                    let project = self.project_for(actor, Scope::ReleasesWrite, name).await?;
                    if !projects.iter().any(|known| known.id == project.id) {
                        projects.push(project);
                    }
                }
            }
            Of::All => {
                let having: Vec<ProjectId> = match bound {
                    Some(bound) => vec![bound],
                    None => self.store.releases_named(version).await?.iter().map(|one| one.project).collect(),
                };
                if having.len() > PROJECTS_MAX {
                    let message = format!(
                        "{} projects have a release of this name, more than the {PROJECTS_MAX} of one request: name \
                         those that you mean, or use a token of one project",
                        having.len()
                    );
                    return Err(Error::invalid("projects", message));
                }
                for id in having {
                    projects.extend(self.store.project(id).await?);
                }
            }
        }
        if projects.is_empty() { Err(Error::NotFound { what: "release" }) } else { Ok(projects) }
    }

    /// A short text, redacted; an empty one is none.
    fn optional(
        &self,
        field: &'static str,
        settings: &ProjectSettings,
        text: Option<&str>,
        chars_max: usize,
    ) -> Result<Option<String>> {
        let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
        if text.chars().nth(chars_max).is_some() || text.chars().any(char::is_control) {
            return Err(Error::invalid(
                field,
                format!("at most {chars_max} characters, no control characters"),
            ));
        }
        Ok(Some(self.redact_text(settings, text)))
    }

    /// Commits as they are kept: the newest first, cut to their bounds, redacted. Work for the processor, off the
    /// threads that answer.
    async fn kept(
        self: &Arc<Self>,
        settings: &ProjectSettings,
        mut sent: Vec<CommitInput>,
    ) -> Result<Vec<Commit>> {
        if sent.len() > COMMITS_SENT_MAX {
            return Err(Error::invalid("commits", format!("at most {COMMITS_SENT_MAX}")));
        }
        if sent.iter().any(|commit| !commit::is_valid_id(&commit.id)) {
            return Err(Error::invalid("commits", "an id is not one of a commit: 7 to 64 hex digits"));
        }
        sent.sort_by_key(|commit| Reverse(commit.at));
        sent.truncate(COMMITS_MAX);
        let (app, settings) = (Arc::clone(self), settings.clone());
        let permit = Arc::clone(&self.gate.decoders).acquire_owned().await.map_err(Error::internal)?;
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            app.redacted(&settings, sent)
        });
        work.await.map_err(Error::internal)?
    }

    fn redacted(&self, settings: &ProjectSettings, mut sent: Vec<CommitInput>) -> Result<Vec<Commit>> {
        let mut room = PATHS_IN_ALL_MAX;
        let mut left_out = Vec::with_capacity(sent.len());
        for commit in &mut sent {
            if settings.email == PersonalData::Mask {
                commit.author_email = None;
            }
            for text in [&mut commit.author, &mut commit.author_email].into_iter().flatten() {
                *text = clean(text).trim().to_owned();
            }
            commit.message = clean(&commit.message).trim().to_owned();
            let all = commit.paths.len();
            commit.paths.retain(|path| path.chars().nth(PATH_CHARS_MAX).is_none());
            commit.paths.truncate(PATHS_MAX.min(room));
            commit.paths.iter_mut().for_each(|path| *path = clean(path).into_owned());
            room -= commit.paths.len();
            left_out.push(u32::try_from(all - commit.paths.len()).unwrap_or(u32::MAX));
        }
        let texts: Vec<_> = sent
            .iter()
            .map(|commit| json!([commit.message, commit.author, commit.author_email, commit.paths]))
            .collect();
        let mut texts = Value::Array(texts);
        self.redact_value(settings, &mut texts)?;
        type Texts = (String, Option<String>, Option<String>, Vec<String>);
        let texts: Vec<Texts> = serde_json::from_value(texts).map_err(Error::internal)?;
        let commits = sent.into_iter().zip(texts).zip(left_out).map(|((commit, texts), paths_left_out)| {
            let (message, author, author_email, paths) = texts;
            // Cut after redaction: a part of a secret is one that no rule knows.
            let cut = |text: String, chars_max: usize| text.chars().take(chars_max).collect::<String>();
            let person = |text: Option<String>| {
                text.filter(|text| !text.is_empty()).map(|text| cut(text, AUTHOR_CHARS_MAX))
            };
            Commit {
                id: commit.id.to_ascii_lowercase(),
                author: person(author),
                author_email: person(author_email),
                message: cut(message, MESSAGE_CHARS_MAX),
                at: commit.at,
                paths,
                paths_left_out,
            }
        });
        Ok(commits.collect())
    }
}

/// Whether heads name commits, of repositories of the projects that are meant.
fn check_heads(projects: &[Project], heads: &[HeadInput]) -> Result<()> {
    if heads.len() > PROJECTS_MAX {
        return Err(Error::invalid("refs", format!("at most {PROJECTS_MAX}")));
    }
    for head in heads {
        if !commit::is_valid_id(&head.commit) {
            let message = "name the commit by its id (`--commit REPOSITORY@ID`, 7 to 64 hex digits): repositories are not \
                 read here";
            return Err(Error::invalid("refs", message));
        }
        if !projects.iter().any(|project| Repository::of(project).name == head.repository) {
            let message = "no project that has this release is built of a repository of that name: set `repository` of the \
                 project (`actifix project set`), or send the commits with `set-commits --local`";
            return Err(Error::invalid("refs", message));
        }
    }
    Ok(())
}

/// Commits of a project among the heads of several; none where nothing is said of its repository. Without any head what
/// was said before is cleared.
fn heads_of(project: &Project, heads: &[HeadInput]) -> Option<Vec<CommitInput>> {
    let name = Repository::of(project).name;
    let own: Vec<_> = (heads.iter())
        .filter(|head| head.repository == name)
        .map(|head| CommitInput { id: head.commit.clone(), ..CommitInput::default() })
        .collect();
    (heads.is_empty() || !own.is_empty()).then_some(own)
}

/// A release as the audit log names it.
fn target(version: &str) -> String {
    format!("release:{version}")
}
