//! Which tickets agents may have: facts of the store, judged by the policy of their project.

use super::lease::FAILED_LEASES_MAX;
use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::{ActivityEntry, TicketDetail};
use actifix_domain::access::Actor;
use actifix_domain::approval::{AgentPolicy, Approval};
use actifix_domain::id::ProjectId;
use actifix_domain::ticket::Ticket;
use std::collections::HashMap;

/// Lines of a ticket's history that are loaded.
const ACTIVITY_SHOWN: usize = 200;
/// What stands in the place of a title.
const HIDDEN: &str = "(hidden from agents: needs approval)";

impl App {
    /// Says of each ticket whether agents may have it.
    pub(crate) async fn judge(&self, tickets: &mut [Ticket]) -> Result<()> {
        let mut policies: HashMap<ProjectId, AgentPolicy> = HashMap::new();
        for ticket in tickets {
            let policy = match policies.get(&ticket.project) {
                Some(policy) => *policy,
                None => {
                    let policy = self.settings_of(ticket.project).await?.agent_policy();
                    policies.insert(ticket.project, policy);
                    policy
                }
            };
            (ticket.approval, ticket.approval_reason) = ticket.origins.judge(ticket.count, policy);
        }
        Ok(())
    }

    /// The same of one.
    pub(super) async fn judged(&self, mut ticket: Ticket) -> Result<Ticket> {
        self.judge(std::slice::from_mut(&mut ticket)).await?;
        Ok(ticket)
    }
}

/// Refuses an agent a ticket that was not let to agents, or that agents could not solve; people may have any.
pub(super) fn check_approval(actor: &Actor, detail: &TicketDetail) -> Result<()> {
    if !super::is_agent(actor) {
        return Ok(());
    }
    check_readable(&detail.ticket)?;
    if needs_person(detail) {
        return Err(Error::conflict(format!(
            "needs a person: {FAILED_LEASES_MAX} leases of agents ended without evidence; after `approve` agents may try again"
        )));
    }
    Ok(())
}

/// Refuses what a ticket's events say to an agent that was not let to it.
pub(super) fn check_readable(ticket: &Ticket) -> Result<()> {
    if is_kept_from(ticket) {
        return Err(Error::conflict(format!("needs approval: {}", ticket.approval_reason)));
    }
    Ok(())
}

/// Whether agents get neither the ticket nor its text.
pub(super) fn is_kept_from(ticket: &Ticket) -> bool {
    ticket.approval == Approval::NeedsApproval
}

/// Whether so many leases of agents ended without evidence since a person last decided about the ticket. The one that
/// goes on counts when it has ended.
pub(super) fn needs_person(detail: &TicketDetail) -> bool {
    let by_agent = |entry: &ActivityEntry| entry.data.get("agent") == Some(&serde_json::Value::Bool(true));
    let decided = |entry: &ActivityEntry| {
        matches!(entry.kind.as_str(), "approved" | "reopened" | "submitted" | "resolved")
    };
    let since: Vec<&ActivityEntry> = detail.activity.iter().take_while(|entry| !decided(entry)).collect();
    let claims = since.iter().filter(|entry| entry.kind == "claimed" && by_agent(entry)).count();
    // Where so much was written that the claims are out of sight, nobody decided for long.
    claims >= FAILED_LEASES_MAX || (claims == 0 && since.len() >= ACTIVITY_SHOWN && detail.last_fence > 0)
}

/// Takes what senders wrote out of a ticket; our own facts stay.
pub(super) fn hide_text(ticket: &mut Ticket) {
    ticket.title = HIDDEN.to_owned();
    ticket.culprit.clear();
    for text in [
        &mut ticket.first_release,
        &mut ticket.last_release,
        &mut ticket.resolved_in,
        &mut ticket.resolved_after,
        &mut ticket.platform,
        &mut ticket.assignee,
    ] {
        *text = None;
    }
}

/// The same of all that its page shows.
pub(super) fn hide_texts(detail: &mut TicketDetail) {
    hide_text(&mut detail.ticket);
    detail.facets.clear();
    detail.activity.clear();
    detail.grouping.rule = None;
    detail.grouping.lines.clear();
    detail.grouping.place = None;
    detail.suspect_commits.clear();
}
