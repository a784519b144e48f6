//! Commits that may have caused an error: those that came with the first release that has it, and changed files that its
//! stack goes through.

use crate::app::App;
use crate::error::{Error, Result};
use actifix_domain::commit::{self, Commit, own_files};
use actifix_domain::event::Event;
use actifix_domain::id::EventId;
use actifix_domain::ticket::Ticket;
use actifix_domain::time::Timestamp;
use serde::Serialize;
use std::sync::Arc;

/// A commit that may have caused an error. What it says is text of whoever wrote it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SuspectCommit {
    /// Its id.
    pub id: String,
    /// Release that it came with.
    pub release: String,
    /// Who wrote it.
    pub author: Option<String>,
    /// First line of what they said.
    pub message: String,
    /// When.
    pub at: Option<Timestamp>,
    /// Files of it that the stack goes through.
    pub files: Vec<String>,
    /// Why it is suspected, in words of ours.
    pub why: String,
    /// Its page, where the project names its repository.
    pub url: Option<String>,
}

impl App {
    /// Suspects of a ticket. They are a hint: a ticket can be read without, so what goes wrong is only logged.
    pub(crate) async fn suspects_or_none(
        &self,
        ticket: &Ticket,
        latest: Option<EventId>,
    ) -> Vec<SuspectCommit> {
        self.suspects_of(ticket, latest).await.unwrap_or_else(|error| {
            tracing::warn!(ticket = %ticket.id, error = %error, "suspects.failed");
            Vec::new()
        })
    }

    /// Suspects of a ticket, by the stack of its latest event, the likeliest first, at most [`commit::SUSPECTS_MAX`];
    /// none where nothing is known.
    async fn suspects_of(&self, ticket: &Ticket, latest: Option<EventId>) -> Result<Vec<SuspectCommit>> {
        let (Some(release), Some(latest)) = (&ticket.first_release, latest) else { return Ok(Vec::new()) };
        let sets = self.store.commits_leading_to(ticket.project, release).await?;
        if sets.is_empty() {
            return Ok(Vec::new());
        }
        let stored = self.store.event(Some(ticket.project), latest).await?;
        let Some(stored) = stored else { return Ok(Vec::new()) };
        let event: Event = serde_json::from_slice(&stored.body).map_err(Error::internal)?;
        let files = own_files(&event);
        let mut commits: Vec<Commit> = Vec::new();
        let mut releases: Vec<Arc<str>> = Vec::new();
        for (release, set) in sets {
            let release: Arc<str> = release.into();
            releases.extend(set.iter().map(|_| Arc::clone(&release)));
            commits.extend(set);
        }
        let repository = self.settings_of(ticket.project).await?.repository;
        let suspects = commit::rank(&files, &commits).into_iter().filter_map(|ranked| {
            let commit = commits.get(ranked.place)?;
            Some(SuspectCommit {
                id: commit.id.clone(),
                release: releases.get(ranked.place)?.to_string(),
                author: commit.author.clone(),
                message: commit.message.lines().next().unwrap_or_default().to_owned(),
                at: commit.at,
                files: ranked.files,
                why: ranked.why,
                url: repository.as_deref().and_then(|repository| commit::link(repository, &commit.id)),
            })
        });
        Ok(suspects.collect())
    }
}
