//! One decision about one ticket: load, check, change, save.

use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::{TicketDetail, TicketSave};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::id::TicketId;
use actifix_domain::ticket::Ticket;
use serde_json::Value;

/// Tries of a decision whose ticket moved in the meantime.
const SAVE_TRIES: u32 = 5;

/// Kind and details of the line that a decision leaves in the ticket's history; none only for a renewed lease.
pub(super) type Line = Option<(&'static str, Value)>;

impl App {
    /// Loads, lets `change` decide on the loaded state, saves. When the ticket moved in between it is decided anew on
    /// what it is now, unless the caller named the version that it decided on.
    pub(super) async fn decide(
        &self,
        actor: &Actor,
        scope: Scope,
        id: &TicketId,
        expected_version: Option<u64>,
        mut change: impl FnMut(&TicketDetail, &mut TicketSave) -> Result<Line>,
    ) -> Result<Ticket> {
        let mut tries = 0;
        loop {
            tries += 1;
            let detail = self.visible_ticket(actor, scope, id).await?;
            if expected_version.is_some_and(|expected| expected != detail.ticket.version) {
                return Err(Error::stale());
            }
            let mut save = save_of(&detail, actor);
            let line = change(&detail, &mut save)?;
            save.activity = line.map(|(kind, data)| self.activity(actor, kind, data));
            match self.store.save_ticket(save).await {
                Err(Error::Conflict { stale: true, .. }) if expected_version.is_none() => {
                    if tries >= SAVE_TRIES {
                        // Not a stale version: the caller named none.
                        return Err(Error::conflict("the ticket changes all the time: try again"));
                    }
                }
                result => return self.judged(result?).await,
            }
        }
    }
}

/// The decision that changes nothing.
fn save_of(detail: &TicketDetail, actor: &Actor) -> TicketSave {
    let ticket = &detail.ticket;
    TicketSave {
        id: ticket.id.clone(),
        expected_version: ticket.version,
        status: ticket.status,
        priority: ticket.priority,
        priority_reason: ticket.priority_reason.clone(),
        assignee: ticket.assignee.clone(),
        resolved_at: ticket.resolved_at,
        resolved_in: ticket.resolved_in.clone(),
        resolved_after: ticket.resolved_after.clone(),
        lease: detail.lease.clone(),
        approved: ticket.origins.approved,
        actor: actor.label(),
        leases_max: None,
        activity: None,
    }
}
