//! Work on tickets: read, claim, decide, merge, split. Counts and times come from events alone.

mod approval;
mod context;
mod decide;
mod history;
mod lease;

pub use context::TicketContext;
pub use history::Told;
pub use lease::{FAILED_LEASES_MAX, LEASE_MINUTES_DEFAULT, LEASE_MINUTES_MAX, LEASES_MAX, LeaseProof};

use self::approval::{check_readable, hide_text, hide_texts, is_kept_from};
use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::{
    ActivityEntry, Attachment, AttachmentInfo, Cursor, EventSummary, Page, Sort, StoredEvent, TicketDetail,
    TicketQuery,
};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::id::{EventId, Fingerprint, ProjectId, TicketId};
use actifix_domain::lifecycle::{self, Command, Evidence, EvidencePolicy};
use actifix_domain::project::ProjectSettings;
use actifix_domain::search::{Condition, Search};
use actifix_domain::ticket::{Priority, Status, Ticket};
use actifix_domain::time::HOUR;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Largest page.
pub const PAGE_MAX: u32 = 200;
/// Longest note, characters.
pub const NOTE_CHARS_MAX: usize = 10_000;
/// Tickets that one merge may take over.
pub const MERGE_MAX: usize = 50;
/// Similar tickets that are listed.
const SIMILAR_MAX: u32 = 10;

/// What a list of tickets is asked for.
#[derive(Clone, Debug, Default)]
pub struct ListTickets {
    /// Project name or id.
    pub project: Option<String>,
    /// Search text.
    pub search: String,
    /// Only these statuses.
    pub status: Option<String>,
    /// Only these priorities.
    pub priority: Option<String>,
    /// Order.
    pub sort: Sort,
    /// Where to go on.
    pub cursor: Option<Cursor>,
    /// 1 to [`PAGE_MAX`]; 0 = 50.
    pub limit: u32,
}

/// Fields of a ticket that people set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TicketChange {
    /// New priority.
    pub priority: Option<Priority>,
    /// New assignee; `Some(None)` clears it.
    pub assignee: Option<Option<String>>,
}

/// Proof that a ticket is resolved, and where the fix ships.
#[derive(Clone, Debug)]
pub struct Completion {
    /// The evidence.
    pub evidence: Evidence,
    /// Release that fixes it.
    pub resolved_in: Option<String>,
    /// The next release fixes it, whatever its name will be: events of releases that are known now do not reopen it.
    pub in_next_release: bool,
}

/// What became of several tickets.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The ticket that stayed.
    pub ticket: Ticket,
    /// Some of them were approved for agents, but not all: what anyone sent to the others must not ride on that, and the
    /// ticket is approved no more.
    pub approval_ended: bool,
}

impl App {
    /// A page of tickets and the number of matches.
    pub async fn tickets(&self, actor: &Actor, list: ListTickets) -> Result<Page<Ticket>> {
        let asked = match &list.project {
            Some(name) => Some(self.project(actor, name).await?.id),
            None => None,
        };
        let project = Self::confine(actor, Scope::TicketsRead, asked)?;
        let mut text = list.search;
        for (key, value) in [("is", &list.status), ("priority", &list.priority)] {
            if let Some(value) = value {
                text = format!("{text} {key}:{value}");
            }
        }
        let search = Search::parse(text.trim(), self.now())
            .map_err(|error| Error::invalid("search", error.to_string()))?;
        let user_hashes = search
            .terms
            .iter()
            .filter_map(|term| match &term.cond {
                Condition::User(name) => Some((name.clone(), self.hash_of_user(name))),
                _ => None,
            })
            .collect();
        let limit = if list.limit == 0 { 50 } else { list.limit };
        if limit > PAGE_MAX {
            return Err(Error::invalid("limit", format!("1 to {PAGE_MAX}")));
        }
        let mut page = self
            .store
            .tickets(TicketQuery {
                project,
                search,
                sort: list.sort,
                cursor: list.cursor,
                limit,
                with_total: true,
                user_hashes,
            })
            .await?;
        self.judge(&mut page.items).await?;
        hide_from(actor, &mut page.items);
        Ok(page)
    }

    /// One ticket with all that its page shows.
    pub async fn ticket(&self, actor: &Actor, id: &TicketId) -> Result<TicketDetail> {
        let mut detail = self.visible_ticket(actor, Scope::TicketsRead, id).await?;
        detail.held_because = self.waiting(&detail.ticket).await?;
        detail.needs_person = approval::needs_person(&detail);
        if works_as_agent(actor, detail.ticket.project) && is_kept_from(&detail.ticket) {
            hide_texts(&mut detail);
            return Ok(detail);
        }
        detail.suspect_commits = self.suspects_or_none(&detail.ticket, detail.latest_event).await;
        Ok(detail)
    }

    /// Events of the last 24 clock hours of each ticket that the actor may see, oldest hour first.
    pub async fn trends(&self, actor: &Actor, ids: &[TicketId]) -> Result<BTreeMap<TicketId, [u64; 24]>> {
        // Nothing but numbers, of ids that the actor was shown; a bound token sees its own project's only.
        let bound = Self::confine(actor, Scope::TicketsRead, None)?;
        let now = self.now();
        let mut trends = BTreeMap::new();
        for (id, hours) in self.store.trends(ids, now.plus(-24 * HOUR)).await? {
            if bound.is_some() && self.visible_row(actor, &id).await.is_err() {
                continue;
            }
            let mut counts = [0u64; 24];
            for hour in hours {
                let back = usize::try_from(now.hour() - hour.hour.hour()).ok();
                if let Some(count) =
                    back.and_then(|back| 23usize.checked_sub(back)).and_then(|at| counts.get_mut(at))
                {
                    *count = count.saturating_add(hour.count);
                }
            }
            trends.insert(id, counts);
        }
        Ok(trends)
    }

    /// Tickets that look alike.
    pub async fn similar_tickets(&self, actor: &Actor, id: &TicketId) -> Result<Vec<Ticket>> {
        let ticket = self.visible_row(actor, id).await?;
        let Some(near_key) = ticket.near_key else { return Ok(Vec::new()) };
        let mut similar = self.store.similar(ticket.project, near_key, SIMILAR_MAX + 1).await?;
        similar.retain(|other| other.id != ticket.id);
        similar.truncate(SIMILAR_MAX as usize);
        self.judge(&mut similar).await?;
        hide_from(actor, &mut similar);
        Ok(similar)
    }

    /// Stored events of a ticket.
    pub async fn ticket_events(
        &self,
        actor: &Actor,
        id: &TicketId,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<EventSummary>> {
        let ticket = self.visible_row(actor, id).await?;
        if works_as_agent(actor, ticket.project) {
            check_readable(&self.judged(ticket.clone()).await?)?;
        }
        let limit = if limit == 0 { 50 } else { limit };
        if limit > PAGE_MAX {
            return Err(Error::invalid("limit", format!("1 to {PAGE_MAX}")));
        }
        self.store.ticket_events(&ticket.id, cursor, limit).await
    }

    /// One event with its body.
    pub async fn event(&self, actor: &Actor, project: Option<&str>, id: EventId) -> Result<StoredEvent> {
        let asked = match project {
            Some(name) => Some(self.project(actor, name).await?.id),
            None => None,
        };
        let project = Self::confine(actor, Scope::TicketsRead, asked)?;
        let event = self.store.event(project, id).await?.ok_or(Error::NotFound { what: "event" })?;
        if works_as_agent(actor, event.project)
            && let Some(ticket) = self.store.ticket(&event.ticket_id).await?
        {
            check_readable(&self.judged(ticket).await?)?;
        }
        Ok(event)
    }

    /// Attachments of an event; `project` where ids of several projects collide.
    pub async fn attachments(
        &self,
        actor: &Actor,
        project: Option<&str>,
        id: EventId,
    ) -> Result<Vec<AttachmentInfo>> {
        let event = self.event(actor, project, id).await?;
        self.store.attachments(event.project, id).await
    }

    /// One attachment; `project` as in [`App::attachments`].
    pub async fn attachment(
        &self,
        actor: &Actor,
        project: Option<&str>,
        id: EventId,
        number: u32,
    ) -> Result<Attachment> {
        let event = self.event(actor, project, id).await?;
        self.store.attachment(event.project, id, number).await?.ok_or(Error::NotFound { what: "attachment" })
    }

    /// Sets priority or assignee.
    pub async fn change_ticket(
        &self,
        actor: &Actor,
        id: &TicketId,
        mut change: TicketChange,
        expected_version: Option<u64>,
    ) -> Result<Ticket> {
        if change == TicketChange::default() {
            return Err(Error::invalid("body", "at least one of priority, assignee"));
        }
        if let Some(Some(name)) = &mut change.assignee {
            check_text("assignee", name, 100)?;
            *name = self.redact_text(&self.settings_of_ticket(id).await?, name);
        }
        let label = actor.label();
        self.decide(actor, Scope::TicketsTriage, id, expected_version, |_, save| {
            if let Some(priority) = change.priority {
                save.priority = priority;
                save.priority_reason = format!("set by {label}");
            }
            if let Some(assignee) = &change.assignee {
                save.assignee.clone_from(assignee);
            }
            let data = json!({ "priority": change.priority, "assignee": change.assignee });
            Ok(Some(("changed", data)))
        })
        .await
    }

    /// Adds a note; its text is redacted like an event.
    pub async fn add_note(
        &self,
        actor: &Actor,
        id: &TicketId,
        text: &str,
        proof: Option<&LeaseProof>,
        expected_version: Option<u64>,
    ) -> Result<Ticket> {
        check_text("text", text, NOTE_CHARS_MAX)?;
        let text = self.redact_text(&self.settings_of_ticket(id).await?, text);
        self.decide_leased(actor, id, proof, expected_version, |_| {
            Ok(Some(("note", json!({ "text": text }))))
        })
        .await
    }

    /// Gives the evidence that a ticket is resolved: an agent's leads to review, a person's resolves.
    pub async fn complete(
        &self,
        actor: &Actor,
        id: &TicketId,
        completion: Completion,
        proof: Option<&LeaseProof>,
        expected_version: Option<u64>,
    ) -> Result<Ticket> {
        if let Err(missing) = completion.evidence.check(&EvidencePolicy::default()) {
            let fields = missing.into_iter().map(|missing| crate::error::FieldError {
                field: missing.field.to_owned(),
                message: missing.why.to_owned(),
            });
            return Err(Error::Invalid(fields.collect()));
        }
        let by_agent = is_agent(actor);
        let now = self.now();
        let mut evidence = serde_json::to_value(&completion.evidence).map_err(Error::internal)?;
        let settings = self.settings_of_ticket(id).await?;
        self.redact_value(&settings, &mut evidence)?;
        let resolved_in = completion.resolved_in;
        if let Some(release) = &resolved_in {
            self.check_release("resolved_in", &settings, release)?;
        }
        let resolved_after = match (completion.in_next_release, &resolved_in) {
            (true, Some(_)) => {
                let message = "name the release that ships the fix, or leave it to the next one: not both";
                return Err(Error::invalid("in_next_release", message));
            }
            (true, None) => {
                let scope = Scope::TicketsWork;
                let ticket = self.visible_ticket(actor, scope, id).await?.ticket;
                Some(self.latest_release(&ticket).await?)
            }
            (false, _) => None,
        };
        self.decide_leased(actor, id, proof, expected_version, |save| {
            save.status = apply(save.status, Command::Complete { by_agent })?;
            if save.status == Status::Resolved {
                save.resolved_at = Some(now);
                save.resolved_in.clone_from(&resolved_in);
                save.resolved_after.clone_from(&resolved_after);
            }
            save.lease = None;
            let kind = if save.status == Status::Resolved { "resolved" } else { "submitted" };
            let mut data = json!({ "evidence": evidence, "resolved_in": resolved_in });
            if let (Some(border), Some(map)) = (&resolved_after, data.as_object_mut()) {
                map.insert("in_next_release_after".to_owned(), json!(border));
            }
            Ok(Some((kind, data)))
        })
        .await
    }

    /// Lets agents have the ticket (`agents.md` §1).
    pub async fn approve(&self, actor: &Actor, id: &TicketId, version: Option<u64>) -> Result<Ticket> {
        self.decide(actor, Scope::TicketsTriage, id, version, |_, save| {
            save.approved = true;
            Ok(Some(("approved", Value::Null)))
        })
        .await
    }

    /// Takes an approval back: from now on agents get the ticket only if its events suffice.
    pub async fn unapprove(&self, actor: &Actor, id: &TicketId, version: Option<u64>) -> Result<Ticket> {
        self.decide(actor, Scope::TicketsTriage, id, version, |_, save| {
            if !save.approved {
                return Err(Error::conflict("nobody approved this ticket: there is nothing to take back"));
            }
            save.approved = false;
            Ok(Some(("unapproved", Value::Null)))
        })
        .await
    }

    /// Opens a resolved, reviewed or ignored ticket again.
    pub async fn reopen(&self, actor: &Actor, id: &TicketId, version: Option<u64>) -> Result<Ticket> {
        self.decide(actor, Scope::TicketsTriage, id, version, |_, save| {
            save.status = apply(save.status, Command::Reopen)?;
            save.resolved_at = None;
            save.resolved_in = None;
            save.resolved_after = None;
            save.lease = None;
            Ok(Some(("reopened", Value::Null)))
        })
        .await
    }

    /// From now on its events only count.
    pub async fn ignore(&self, actor: &Actor, id: &TicketId, version: Option<u64>) -> Result<Ticket> {
        self.decide(actor, Scope::TicketsTriage, id, version, |_, save| {
            save.status = apply(save.status, Command::Ignore)?;
            save.lease = None;
            Ok(Some(("ignored", Value::Null)))
        })
        .await
    }

    /// Moves other tickets into this one; their keys follow. An approval for agents ends unless all of them have one.
    pub async fn merge(
        &self,
        actor: &Actor,
        into: &TicketId,
        from: &[TicketId],
        expected_version: Option<u64>,
    ) -> Result<Merged> {
        if from.is_empty() || from.len() > MERGE_MAX {
            return Err(Error::invalid("from", format!("1 to {MERGE_MAX} ticket ids")));
        }
        let target = self.visible_ticket(actor, Scope::TicketsTriage, into).await?.ticket;
        let (mut any_approved, mut all_approved) = (target.origins.approved, target.origins.approved);
        for id in from {
            let other = self.visible_ticket(actor, Scope::TicketsTriage, id).await?.ticket;
            if other.id == target.id {
                return Err(Error::invalid("from", "a ticket cannot be merged into itself"));
            }
            if other.project != target.project {
                return Err(Error::conflict("tickets of different projects cannot be merged"));
            }
            any_approved |= other.origins.approved;
            all_approved &= other.origins.approved;
        }
        let names: Vec<&str> = from.iter().map(TicketId::as_str).collect();
        let approval_ended = any_approved && !all_approved;
        let mut data = json!({ "from": names });
        if let (true, Some(map)) = (approval_ended, data.as_object_mut()) {
            map.insert("approval_ended".to_owned(), true.into());
        }
        let activity = self.activity(actor, "merged", data);
        let ticket = self.store.merge_tickets(&target.id, expected_version, from, activity).await?;
        Ok(Merged { ticket: self.judged(ticket).await?, approval_ended })
    }

    /// Pins one of a ticket's keys to a ticket of its own.
    pub async fn split(
        &self,
        actor: &Actor,
        id: &TicketId,
        fingerprint: Fingerprint,
        expected_version: Option<u64>,
    ) -> Result<Ticket> {
        let detail = self.visible_ticket(actor, Scope::TicketsTriage, id).await?;
        if expected_version.is_some_and(|expected| expected != detail.ticket.version) {
            return Err(Error::stale());
        }
        if !detail.fingerprints.contains(&fingerprint) {
            return Err(Error::invalid("fingerprint", "not a key of this ticket; its page lists them"));
        }
        if detail.fingerprints.len() < 2 {
            return Err(Error::conflict("the ticket has one key only: there is nothing to split off"));
        }
        let activity = self.activity(actor, "split", json!({ "fingerprint": fingerprint }));
        let split =
            self.store.split_ticket(&detail.ticket.id, expected_version, fingerprint, activity).await?;
        self.judged(split).await
    }

    pub(crate) async fn visible_ticket(
        &self,
        actor: &Actor,
        scope: Scope,
        id: &TicketId,
    ) -> Result<TicketDetail> {
        let detail = self.store.ticket_detail(id).await?;
        let Some(mut detail) = detail else {
            Self::require(actor, scope, actor.bound_project())?;
            return Err(Error::NotFound { what: "ticket" });
        };
        Self::require_visible(actor, scope, detail.ticket.project, "ticket")?;
        self.judge(std::slice::from_mut(&mut detail.ticket)).await?;
        Ok(detail)
    }

    /// A ticket that may be read, without all that its page shows, and not judged.
    async fn visible_row(&self, actor: &Actor, id: &TicketId) -> Result<Ticket> {
        let Some(ticket) = self.store.ticket(id).await? else {
            Self::require(actor, Scope::TicketsRead, actor.bound_project())?;
            return Err(Error::NotFound { what: "ticket" });
        };
        Self::require_visible(actor, Scope::TicketsRead, ticket.project, "ticket")?;
        Ok(ticket)
    }

    pub(crate) fn activity(&self, actor: &Actor, kind: &str, data: Value) -> ActivityEntry {
        ActivityEntry { at: self.now(), actor: actor.label(), kind: kind.to_owned(), data }
    }

    /// How words about a ticket are redacted: as its project says. For a ticket that is not there it does not matter.
    pub(crate) async fn settings_of_ticket(&self, id: &TicketId) -> Result<ProjectSettings> {
        match self.store.ticket(id).await? {
            Some(ticket) => self.settings_of(ticket.project).await,
            None => Ok(ProjectSettings::default()),
        }
    }
}

/// An agent works within a lease and cannot triage; people and the local operator can.
fn is_agent(actor: &Actor) -> bool {
    match actor {
        Actor::Token { scopes, .. } => !scopes.contains(&Scope::TicketsTriage),
        Actor::Access { scopes, holder, .. } => !scopes.contains(&Scope::TicketsTriage) || is_agent(holder),
        Actor::System | Actor::User { .. } | Actor::IngestKey { .. } => false,
    }
}

/// An agent that may work on tickets of the project: it acts on what it reads, and reads what it was let to.
fn works_as_agent(actor: &Actor, project: ProjectId) -> bool {
    is_agent(actor) && actor.may(Scope::TicketsWork, Some(project))
}

/// The same where no project is asked for: whatever is listed may be of one that it works in.
pub(crate) fn may_work_as_agent(actor: &Actor) -> bool {
    is_agent(actor) && actor.may(Scope::TicketsWork, actor.bound_project())
}

pub(crate) fn hide_from(actor: &Actor, tickets: &mut [Ticket]) {
    for ticket in
        tickets.iter_mut().filter(|ticket| works_as_agent(actor, ticket.project) && is_kept_from(ticket))
    {
        hide_text(ticket);
    }
}

fn apply(status: Status, command: Command) -> Result<Status> {
    lifecycle::apply(status, command).map_err(|refused| Error::conflict(refused.to_string()))
}

fn check_text(field: &'static str, text: &str, chars_max: usize) -> Result<()> {
    let chars = text.chars().count();
    if chars == 0 || chars > chars_max || text.trim().is_empty() {
        return Err(Error::invalid(field, format!("1 to {chars_max} characters")));
    }
    Ok(())
}
