//! Leases: time-limited claims with a rising fencing number (`agents.md` §4).

use super::{apply, is_agent, save_of};
use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::{Lease, TicketDetail, TicketSave};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::id::TicketId;
use actifix_domain::lifecycle::Command;
use actifix_domain::ticket::{Status, Ticket};
use actifix_domain::time::{MINUTE, Timestamp};
use serde_json::{Value, json};

/// Minutes of a lease unless asked otherwise.
pub const LEASE_MINUTES_DEFAULT: u32 = 30;
/// Longest lease, renewals included, minutes.
pub const LEASE_MINUTES_MAX: u32 = 240;

/// What an agent names with each write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseProof {
    /// Id of the lease.
    pub lease_id: String,
    /// Its fencing number.
    pub fence: u64,
}

impl App {
    /// Takes a lease on an open ticket.
    pub async fn claim(&self, actor: &Actor, id: &TicketId, minutes: Option<u32>) -> Result<(Ticket, Lease)> {
        let minutes = minutes.unwrap_or(LEASE_MINUTES_DEFAULT);
        if !(1..=LEASE_MINUTES_MAX).contains(&minutes) {
            return Err(Error::invalid("minutes", format!("1 to {LEASE_MINUTES_MAX}")));
        }
        let now = self.now();
        let detail = self.visible_ticket(actor, Scope::TicketsWork, id).await?;
        if let Some(lease) = live(&detail, now) {
            return Err(Error::conflict(format!(
                "leased by {} until {}: wait, or let its holder release it",
                lease.holder, lease.expires_at
            )));
        }
        let mut save = save_of(&detail);
        // An expired lease leaves the ticket in progress: the next claim takes it over from open.
        let from = if save.status == Status::InProgress { Status::Open } else { save.status };
        save.status = apply(from, Command::Claim)?;
        let mut random = [0u8; 16];
        self.ids.random(&mut random);
        let lease = Lease {
            lease_id: random.iter().map(|byte| format!("{byte:02x}")).collect(),
            fence: detail.last_fence + 1,
            holder: actor.label(),
            since: now,
            expires_at: now.plus(i64::from(minutes) * MINUTE),
        };
        save.lease = Some(lease.clone());
        save.activity =
            Some(self.activity(actor, "claimed", json!({ "fence": lease.fence, "minutes": minutes })));
        let ticket = self.store.save_ticket(save).await?;
        Ok((ticket, lease))
    }

    /// Prolongs a lease from now on.
    pub async fn renew(
        &self,
        actor: &Actor,
        id: &TicketId,
        proof: Option<&LeaseProof>,
        minutes: Option<u32>,
    ) -> Result<(Ticket, Lease)> {
        let minutes = minutes.unwrap_or(LEASE_MINUTES_DEFAULT);
        if !(1..=LEASE_MINUTES_MAX).contains(&minutes) {
            return Err(Error::invalid("minutes", format!("1 to {LEASE_MINUTES_MAX}")));
        }
        let now = self.now();
        let detail = self.visible_ticket(actor, Scope::TicketsWork, id).await?;
        let mut lease = check_lease(actor, &detail, proof, now)?
            .ok_or_else(|| Error::conflict("the ticket is not leased: claim it first"))?;
        let last = lease.since.plus(i64::from(LEASE_MINUTES_MAX) * MINUTE);
        lease.expires_at = now.plus(i64::from(minutes) * MINUTE).min(last);
        if lease.expires_at <= now {
            return Err(Error::conflict(
                "the lease has reached its longest life: release it, then claim again",
            ));
        }
        let mut save = save_of(&detail);
        save.lease = Some(lease.clone());
        let ticket = self.store.save_ticket(save).await?;
        Ok((ticket, lease))
    }

    /// Gives a ticket back.
    pub async fn release(
        &self,
        actor: &Actor,
        id: &TicketId,
        proof: Option<&LeaseProof>,
        reason: &str,
    ) -> Result<Ticket> {
        let reason = self.redact_text(reason);
        self.decide_leased(actor, id, proof, |save| {
            if save.lease.is_none() {
                return Err(Error::conflict("the ticket is not leased"));
            }
            save.status = apply(save.status, Command::Release)?;
            save.lease = None;
            Ok(("released", json!({ "reason": reason })))
        })
        .await
    }

    /// A decision of whoever works on the ticket: an agent needs its live lease, people do not.
    pub(super) async fn decide_leased(
        &self,
        actor: &Actor,
        id: &TicketId,
        proof: Option<&LeaseProof>,
        mut change: impl FnMut(&mut TicketSave) -> Result<(&'static str, Value)>,
    ) -> Result<Ticket> {
        let detail = self.visible_ticket(actor, Scope::TicketsWork, id).await?;
        let lease = check_lease(actor, &detail, proof, self.now())?;
        if is_agent(actor) && lease.is_none() {
            return Err(Error::conflict("an agent needs a lease for this: claim the ticket first"));
        }
        let mut save = save_of(&detail);
        let (kind, data) = change(&mut save)?;
        save.activity = Some(self.activity(actor, kind, data));
        self.store.save_ticket(save).await
    }
}

fn live(detail: &TicketDetail, now: Timestamp) -> Option<&Lease> {
    detail.lease.as_ref().filter(|lease| lease.expires_at > now)
}

/// The live lease if the actor holds it. Agents must name it; a stale or foreign one is a clear conflict.
fn check_lease(
    actor: &Actor,
    detail: &TicketDetail,
    proof: Option<&LeaseProof>,
    now: Timestamp,
) -> Result<Option<Lease>> {
    let lease = live(detail, now);
    match (proof, lease) {
        (Some(proof), Some(lease)) if proof.lease_id == lease.lease_id && proof.fence == lease.fence => {
            Ok(Some(lease.clone()))
        }
        (Some(_), _) => {
            Err(Error::conflict("the lease is over or belongs to somebody else: claim the ticket again"))
        }
        (None, Some(lease))
            if is_agent(actor) || lease.holder != actor.label() && !actor.may(Scope::TicketsTriage, None) =>
        {
            Err(Error::conflict(format!(
                "leased by {} until {}: name lease_id and fence",
                lease.holder, lease.expires_at
            )))
        }
        (None, lease) => Ok(lease.cloned()),
    }
}
