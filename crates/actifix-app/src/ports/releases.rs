//! Releases, their deploys and commits.

use super::{Cursor, Page};
use crate::error::Result;
use actifix_domain::audit::AuditRecord;
use actifix_domain::commit::Commit;
use actifix_domain::id::ProjectId;
use actifix_domain::release::{Deploy, Release};
use actifix_domain::ticket::Ticket;
use actifix_domain::time::Timestamp;
use async_trait::async_trait;
use serde::Serialize;

/// A question to the list of releases, the latest first seen first.
#[derive(Clone, Debug, Default)]
pub struct ReleaseQuery {
    /// Only this project.
    pub project: Option<ProjectId>,
    /// Where to go on.
    pub cursor: Option<Cursor>,
    /// 1 to 200.
    pub limit: u32,
    /// Only those that somebody trusted told of.
    pub trusted_only: bool,
}

/// What a build says of a release; `None` leaves it.
#[derive(Clone, Debug, Default)]
pub struct ReleaseChange {
    /// When it was finished.
    pub released_at: Option<Timestamp>,
    /// A page about it.
    pub url: Option<String>,
    /// Its commits, the newest first, in the place of those before.
    pub commits: Option<Vec<Commit>>,
    /// Make it where there is none.
    pub create: bool,
}

/// How runs of a release went, of the last 400 days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SessionTotals {
    /// Sessions.
    pub sessions: u64,
    /// Of these with an error that was handled.
    pub errored: u64,
    /// Of these that crashed.
    pub crashed: u64,
}

/// What the page of a release shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReleaseDetail {
    /// The release.
    pub release: Release,
    /// Where it was brought, the latest first.
    pub deploys: Vec<Deploy>,
    /// Its commits, the newest first.
    pub commits: Vec<Commit>,
    /// How runs of it went.
    pub sessions: SessionTotals,
    /// Tickets whose first event was of it, the latest first; at most 50.
    pub new_tickets: Vec<Ticket>,
    /// Tickets that came back with it; at most 50.
    pub regressed: Vec<Ticket>,
    /// Tickets that it fixes; at most 50.
    pub resolved: Vec<Ticket>,
}

/// Releases of projects. Those of events are made with the events.
#[async_trait]
pub trait ReleaseStore {
    /// A page of releases.
    async fn releases(&self, query: ReleaseQuery) -> Result<Page<Release>>;
    /// One with all that its page shows.
    async fn release_detail(&self, project: ProjectId, version: &str) -> Result<Option<ReleaseDetail>>;
    /// The release of this name in each project that has it, by project.
    async fn releases_named(&self, version: &str) -> Result<Vec<Release>>;
    /// Names of the releases of a project of which a trusted sender or a build told, with when each was first seen; at most
    /// [`actifix_domain::release::RELEASES_MAX`].
    async fn known_releases(&self, project: ProjectId) -> Result<Vec<(String, Timestamp)>>;
    /// Makes or changes a release; none where there is none and none shall be made. Tickets that the next release
    /// resolves are resolved in it, where it is new and later than what was known. `Conflict` where the project has
    /// as many as it may have, or is under a legal hold and commits would be replaced.
    async fn save_release(
        &self,
        project: ProjectId,
        version: &str,
        change: ReleaseChange,
        now: Timestamp,
        audit: &AuditRecord,
    ) -> Result<Option<Release>>;
    /// Removes a release with its deploys and commits; false when there is none. `Conflict` where events of it are known,
    /// or its project is under a legal hold.
    async fn remove_release(&self, project: ProjectId, version: &str, audit: &AuditRecord) -> Result<bool>;
    /// The release before this one that has commits, with the id of its newest.
    async fn previous_with_commits(
        &self,
        project: ProjectId,
        version: &str,
    ) -> Result<Option<(Release, String)>>;
    /// Commits that came with a release, by the release that holds them: its own, else those of releases between the
    /// one before of which events are known and this one.
    async fn commits_leading_to(
        &self,
        project: ProjectId,
        version: &str,
    ) -> Result<Vec<(String, Vec<Commit>)>>;
    /// Adds a deploy; none where there is no such release.
    async fn add_deploy(
        &self,
        project: ProjectId,
        version: &str,
        deploy: Deploy,
        audit: &AuditRecord,
    ) -> Result<Option<Deploy>>;
    /// Deploys of a release, the latest first.
    async fn deploys(&self, project: ProjectId, version: &str) -> Result<Vec<Deploy>>;
}
