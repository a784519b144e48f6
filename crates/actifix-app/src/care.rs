//! Findings, throttle: what keeps an installation healthy.

use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::{FindingQuery, FindingState, FindingView, HeldOverview, Page, StoreStats, ThrottleRecord};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::audit::Action;
use actifix_domain::id::{ProjectId, TicketId};
use actifix_domain::throttle::{Brake, ThrottleConfig, ThrottleView, Waiting};
use actifix_domain::ticket::{Status, Ticket};
use serde_json::json;
use std::sync::{Mutex, PoisonError};

/// Decisions of the throttle that are shown and written to its history file.
pub const HISTORY_MAX: u32 = 1_000;
/// Held tickets that one call promotes.
pub const PROMOTE_MAX: u32 = 1_000;

/// Characters of a finding's id.
const FINDING_ID_CHARS: usize = 32;

/// The strongest brake of all projects as it was seen last: every answer tells it, and none waits for the store.
#[derive(Default)]
pub(crate) struct BrakeSeen(Mutex<Brake>);

impl App {
    /// Looks at the brake; called by a worker.
    pub async fn observe_brake(&self) -> Result<()> {
        let now = self.store.brake(self.now()).await?;
        *self.brake.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
        Ok(())
    }

    /// The strongest emergency brake of all projects, at most a tick of the worker old.
    pub fn brake(&self) -> Brake {
        *self.brake.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A page of leaked secrets.
    pub async fn findings(&self, actor: &Actor, mut query: FindingQuery) -> Result<Page<FindingView>> {
        query.project = Self::confine(actor, Scope::TicketsRead, query.project)?;
        query.limit = match query.limit {
            0 => 50,
            limit @ 1..=200 => limit,
            _ => return Err(Error::invalid("limit", "1 to 200")),
        };
        if let Some(id) = &mut query.id {
            id.make_ascii_lowercase();
            if !(1..=FINDING_ID_CHARS).contains(&id.len()) || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(Error::invalid("id", format!("1 to {FINDING_ID_CHARS} hex digits")));
            }
        }
        let mut page = self.store.findings(query).await?;
        page.items.iter_mut().for_each(|finding| self.advise(finding));
        Ok(page)
    }

    /// Says where the secret is revoked: words of the rule, so that they are those of this program, not of an older one.
    fn advise(&self, finding: &mut FindingView) {
        if let Some(rule) = self.engine.rules().find(|rule| rule.id() == finding.rule) {
            rule.fix().clone_into(&mut finding.fix);
        }
    }

    /// One leaked secret.
    pub async fn finding(&self, actor: &Actor, id: &str) -> Result<FindingView> {
        let mut finding = self.store.finding(id).await?.ok_or(Error::NotFound { what: "finding" })?;
        Self::require_visible(actor, Scope::TicketsRead, finding.project, "finding")?;
        self.advise(&mut finding);
        Ok(finding)
    }

    /// Says what became of a leaked secret.
    pub async fn set_finding_state(
        &self,
        actor: &Actor,
        id: &str,
        state: FindingState,
        note: &str,
        expected_version: Option<u64>,
    ) -> Result<FindingView> {
        let finding = self.finding(actor, id).await?;
        Self::require(actor, Scope::TicketsTriage, Some(finding.project))?;
        if note.chars().count() > 1_000 {
            return Err(Error::invalid("note", "at most 1,000 characters"));
        }
        let note = self.redact_text(&self.settings_of(finding.project).await?, note);
        let detail = json!({ "before": finding.state, "after": state, "note": note });
        let audit = self.audit(
            actor,
            Action::FindingResolved,
            format!("finding:{id}"),
            Some(finding.project),
            detail,
        );
        let mut finding = self.store.set_finding_state(id, expected_version, state, &note, &audit).await?;
        self.advise(&mut finding);
        Ok(finding)
    }

    /// What the configuration says of the throttle from now on.
    pub fn set_throttle(&self, config: ThrottleConfig) {
        self.store.set_throttle(config);
    }

    /// State of a project's throttle.
    pub async fn throttle(&self, actor: &Actor, project: &str) -> Result<(ThrottleView, HeldOverview)> {
        let project = self.project(actor, project).await?;
        self.store.throttle(project.id, self.now()).await
    }

    /// What holds a ticket at the moment, if it is held: for whoever recorded the event that it is held with.
    pub async fn held_because(&self, actor: &Actor, id: &TicketId) -> Result<Option<Waiting>> {
        let ticket = self.store.ticket(id).await?.ok_or(Error::NotFound { what: "ticket" })?;
        Self::require_visible(actor, Scope::EventsWrite, ticket.project, "ticket")?;
        self.waiting(&ticket).await
    }

    /// The same of a ticket that was read.
    pub(crate) async fn waiting(&self, ticket: &Ticket) -> Result<Option<Waiting>> {
        if ticket.status != Status::Held {
            return Ok(None);
        }
        let (view, _) = self.store.throttle(ticket.project, self.now()).await?;
        Ok(view.waiting_of(ticket.priority))
    }

    /// Latest decisions of the throttle.
    pub async fn throttle_history(&self, actor: &Actor) -> Result<Vec<ThrottleRecord>> {
        let bound = Self::confine(actor, Scope::TicketsRead, None)?;
        let mut records = self.store.throttle_history(HISTORY_MAX).await?;
        records.retain(|record| bound.is_none_or(|bound| bound == record.project));
        Ok(records)
    }

    /// Forgets windows and releases the brake.
    pub async fn reset_throttle(&self, actor: &Actor, project: &str) -> Result<()> {
        let project = self.project(actor, project).await?;
        Self::require(actor, Scope::Admin, Some(project.id))?;
        let target = format!("project:{}", project.name);
        let audit = self.audit(actor, Action::ThrottleReset, target, Some(project.id), json!({}));
        self.store.reset_throttle(project.id, self.now(), &audit).await
    }

    /// Opens held tickets by hand: one, or the oldest `limit`.
    pub async fn promote(
        &self,
        actor: &Actor,
        project: &str,
        only: Option<&TicketId>,
        limit: u32,
    ) -> Result<Vec<TicketId>> {
        let project = self.project(actor, project).await?;
        Self::require(actor, Scope::TicketsTriage, Some(project.id))?;
        if !(1..=PROMOTE_MAX).contains(&limit) {
            return Err(Error::invalid("limit", format!("1 to {PROMOTE_MAX}")));
        }
        let target = only.map_or_else(|| format!("project:{}", project.name), ToString::to_string);
        let audit = self.audit(actor, Action::ThrottlePromoted, target, Some(project.id), json!({}));
        self.store.promote_held(project.id, only, limit, true, self.now(), Some(&audit)).await
    }

    /// Opens held tickets of all projects as budget frees; called by a worker.
    pub async fn promote_due(&self) -> Result<Vec<(ProjectId, TicketId)>> {
        let mut promoted = Vec::new();
        for project in self.store.projects().await? {
            let tickets =
                self.store.promote_held(project.id, None, PROMOTE_MAX, false, self.now(), None).await?;
            promoted.extend(tickets.into_iter().map(|ticket| (project.id, ticket)));
        }
        Ok(promoted)
    }

    /// Sizes and counts.
    pub async fn stats(&self, actor: &Actor) -> Result<StoreStats> {
        Self::require(actor, Scope::MetricsRead, None)?;
        self.store.stats().await
    }
}
