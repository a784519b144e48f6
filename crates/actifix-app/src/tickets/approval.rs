//! Which tickets agents may have: facts of the store, judged by the policy of their project.

use crate::app::App;
use crate::error::{Error, Result};
use actifix_domain::access::Actor;
use actifix_domain::approval::{AgentPolicy, Approval};
use actifix_domain::id::ProjectId;
use actifix_domain::ticket::Ticket;
use std::collections::HashMap;

impl App {
    /// Says of each ticket whether agents may have it.
    pub(super) async fn judge(&self, tickets: &mut [Ticket]) -> Result<()> {
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

/// Refuses an agent a ticket that was not let to agents; people may have any.
pub(super) fn check_approval(actor: &Actor, ticket: &Ticket) -> Result<()> {
    if super::is_agent(actor) && ticket.approval == Approval::NeedsApproval {
        return Err(Error::conflict(format!("needs approval: {}", ticket.approval_reason)));
    }
    Ok(())
}
