//! Releases: what events and builds told of them.

mod build;
mod suspects;

pub use build::{CommitInput, CommitsInput, DeployInput, HeadInput, Of, ReleaseInput, Repository};
pub use suspects::SuspectCommit;

use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::{Cursor, Page, ReleaseDetail, ReleaseQuery};
use crate::tickets::{self, PAGE_MAX};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::id::ProjectId;
use actifix_domain::project::ProjectSettings;
use actifix_domain::release::{self, RELEASE_CHARS_MAX, Release};
use actifix_domain::ticket::Ticket;
use actifix_protocol::json::clean;
use serde_json::{Value, json};

impl App {
    /// A page of releases, the latest first seen first; of all projects that the actor may see, or of one.
    pub async fn releases(
        &self,
        actor: &Actor,
        project: Option<&str>,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<Release>> {
        let asked = match project {
            Some(name) => Some(self.project(actor, name).await?.id),
            None => None,
        };
        let project = Self::confine(actor, Scope::TicketsRead, asked)?;
        let limit = if limit == 0 { 50 } else { limit };
        if limit > PAGE_MAX {
            return Err(Error::invalid("limit", format!("1 to {PAGE_MAX}")));
        }
        // The names of others are anybody's words, which agents would read as ours.
        let trusted_only = tickets::may_work_as_agent(actor);
        self.store.releases(ReleaseQuery { project, cursor, limit, trusted_only }).await
    }

    /// One release with all that its page shows. Without a project the name must be that of one release that the actor
    /// may see.
    pub async fn release_detail(
        &self,
        actor: &Actor,
        project: Option<&str>,
        version: &str,
    ) -> Result<ReleaseDetail> {
        let asked = match project {
            Some(name) => Some(self.project(actor, name).await?.id),
            None => None,
        };
        let project = match Self::confine(actor, Scope::TicketsRead, asked)? {
            Some(project) => project,
            None => self.only_project(version).await?,
        };
        let found = self.store.release_detail(project, version).await?;
        let found = found.filter(|found| found.release.trusted || !tickets::may_work_as_agent(actor));
        let mut detail = found.ok_or(Error::NotFound { what: "release" })?;
        for list in [&mut detail.new_tickets, &mut detail.regressed, &mut detail.resolved] {
            self.show_to(actor, list).await?;
        }
        Ok(detail)
    }

    /// The project of the one release of this name.
    async fn only_project(&self, version: &str) -> Result<ProjectId> {
        match self.store.releases_named(version).await?.as_slice() {
            [] => Err(Error::NotFound { what: "release" }),
            [only] => Ok(only.project),
            several => Err(Error::conflict(format!(
                "{} projects have a release of this name: say which with `project`",
                several.len()
            ))),
        }
    }

    /// Judges tickets, and hides from agents what they were not let to.
    async fn show_to(&self, actor: &Actor, tickets: &mut [Ticket]) -> Result<()> {
        self.judge(tickets).await?;
        tickets::hide_from(actor, tickets);
        Ok(())
    }

    /// The latest release of the ticket's project, after which a fix is said to come; `Conflict` where none is known.
    pub(crate) async fn latest_release(&self, ticket: &Ticket) -> Result<String> {
        let known = self.store.known_releases(ticket.project).await?;
        let names: Vec<_> = known.iter().map(|(name, first_seen)| (name.as_str(), *first_seen)).collect();
        let latest = release::latest(&names, ticket.last_release.as_deref());
        latest.map(str::to_owned).ok_or_else(|| {
            Error::conflict(
                "the project has no release yet that a trusted sender told of, so there is no next one: tell of it with \
                 `sentry-cli releases new`, set `release` in the SDK of a server key, or resolve it without",
            )
        })
    }
    /// Whether a build, an upload or a person may name a release so: by the rule for events, and with nothing in it that
    /// an event would not keep.
    pub(crate) fn check_release(
        &self,
        field: &'static str,
        settings: &ProjectSettings,
        name: &str,
    ) -> Result<()> {
        if !release::is_valid_version(name) || clean(name) != name {
            return Err(Error::invalid(
                field,
                format!(
                    "1 to {RELEASE_CHARS_MAX} visible characters, no line break, no space or `/` at the ends"
                ),
            ));
        }
        // As in an event, so that both name it alike: four numbers are a version there, and no address.
        let mut named = json!({ "release": name });
        self.redact_value(settings, &mut named)?;
        if named.get("release").and_then(Value::as_str) != Some(name) {
            return Err(Error::invalid(
                field,
                "this looks like a secret or an address of a person; the name of a release is shown everywhere",
            ));
        }
        Ok(())
    }
}
