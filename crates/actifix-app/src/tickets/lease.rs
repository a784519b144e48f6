//! Leases: time-limited claims with a rising fencing number (`agents.md` §4).

use super::approval::check_approval;
use super::decide::Line;
use super::{apply, is_agent};
use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::{Lease, TicketDetail, TicketSave};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::id::TicketId;
use actifix_domain::lifecycle::Command;
use actifix_domain::ticket::{Status, Ticket};
use actifix_domain::time::{MINUTE, Timestamp};
use serde_json::json;

/// Minutes of a lease unless asked otherwise.
pub const LEASE_MINUTES_DEFAULT: u32 = 30;
/// Longest lease, renewals included, minutes.
pub const LEASE_MINUTES_MAX: u32 = 240;

/// Leases that one agent's token may hold at a time.
pub const LEASES_MAX: u32 = 3;
/// Leases of agents that ended without evidence before a person has to look.
pub const FAILED_LEASES_MAX: usize = 3;

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
    pub async fn claim(
        &self,
        actor: &Actor,
        id: &TicketId,
        minutes: Option<u32>,
        expected_version: Option<u64>,
    ) -> Result<(Ticket, Lease)> {
        let minutes = lease_minutes(minutes)?;
        let mut random = [0u8; 16];
        self.ids.random(&mut random);
        let lease_id = hex::encode(random);
        let now = self.now();
        let mut taken = None;
        let change = |detail: &TicketDetail, save: &mut TicketSave| {
            check_approval(actor, detail)?;
            if let Some(lease) = live(detail, now) {
                return Err(Error::conflict(format!(
                    "leased by {} until {}: wait, or let its holder release it",
                    lease.holder, lease.expires_at
                )));
            }
            // An expired lease leaves the ticket in progress: the next claim takes it over from open.
            let from = if save.status == Status::InProgress { Status::Open } else { save.status };
            save.status = apply(from, Command::Claim)?;
            let lease = Lease {
                lease_id: lease_id.clone(),
                fence: detail.last_fence + 1,
                holder: actor.label(),
                since: now,
                expires_at: now.plus(i64::from(minutes) * MINUTE),
            };
            let by_agent = is_agent(actor);
            save.leases_max = by_agent.then_some(LEASES_MAX);
            let data = json!({ "fence": lease.fence, "minutes": minutes, "agent": by_agent });
            save.lease = Some(lease.clone());
            taken = Some(lease);
            Ok(Some(("claimed", data)))
        };
        let ticket = self.decide(actor, Scope::TicketsWork, id, expected_version, change).await?;
        Ok((ticket, taken.ok_or_else(|| Error::internal("a claim without a lease"))?))
    }

    /// Prolongs a lease from now on.
    pub async fn renew(
        &self,
        actor: &Actor,
        id: &TicketId,
        proof: Option<&LeaseProof>,
        minutes: Option<u32>,
        expected_version: Option<u64>,
    ) -> Result<(Ticket, Lease)> {
        let minutes = lease_minutes(minutes)?;
        let now = self.now();
        let mut renewed = None;
        let change = |detail: &TicketDetail, save: &mut TicketSave| {
            let mut lease = check_lease(actor, detail, proof, now)?
                .ok_or_else(|| Error::conflict("the ticket is not leased: claim it first"))?;
            let last = lease.since.plus(i64::from(LEASE_MINUTES_MAX) * MINUTE);
            lease.expires_at = now.plus(i64::from(minutes) * MINUTE).min(last);
            if lease.expires_at <= now {
                return Err(Error::conflict(
                    "the lease has reached its longest life: release it, then claim again",
                ));
            }
            save.lease = Some(lease.clone());
            renewed = Some(lease);
            Ok(None)
        };
        let ticket = self.decide(actor, Scope::TicketsWork, id, expected_version, change).await?;
        Ok((ticket, renewed.ok_or_else(|| Error::internal("a renewal without a lease"))?))
    }

    /// Gives a ticket back.
    pub async fn release(
        &self,
        actor: &Actor,
        id: &TicketId,
        proof: Option<&LeaseProof>,
        reason: &str,
        expected_version: Option<u64>,
    ) -> Result<Ticket> {
        let reason = self.redact_text(&self.settings_of_ticket(id).await?, reason);
        self.decide_leased(actor, id, proof, expected_version, |save| {
            if save.lease.is_none() {
                return Err(Error::conflict("the ticket is not leased"));
            }
            save.status = apply(save.status, Command::Release)?;
            save.lease = None;
            Ok(Some(("released", json!({ "reason": reason }))))
        })
        .await
    }

    /// A decision of whoever works on the ticket: an agent needs its live lease, people do not.
    pub(super) async fn decide_leased(
        &self,
        actor: &Actor,
        id: &TicketId,
        proof: Option<&LeaseProof>,
        expected_version: Option<u64>,
        mut change: impl FnMut(&mut TicketSave) -> Result<Line>,
    ) -> Result<Ticket> {
        let now = self.now();
        self.decide(actor, Scope::TicketsWork, id, expected_version, |detail, save| {
            let lease = check_lease(actor, detail, proof, now)?;
            if is_agent(actor) && lease.is_none() {
                return Err(Error::conflict("an agent needs a lease for this: claim the ticket first"));
            }
            change(save)
        })
        .await
    }
}

fn lease_minutes(asked: Option<u32>) -> Result<u32> {
    let minutes = asked.unwrap_or(LEASE_MINUTES_DEFAULT);
    if (1..=LEASE_MINUTES_MAX).contains(&minutes) {
        return Ok(minutes);
    }
    Err(Error::invalid("minutes", format!("1 to {LEASE_MINUTES_MAX}")))
}

fn live(detail: &TicketDetail, now: Timestamp) -> Option<&Lease> {
    detail.lease.as_ref().filter(|lease| lease.expires_at > now)
}

/// The live lease if the actor holds it. Agents must name it; a stale or foreign one is a clear conflict, and so is one
/// that somebody else names: its numbers stand in environments and logs, and are no credential.
fn check_lease(
    actor: &Actor,
    detail: &TicketDetail,
    proof: Option<&LeaseProof>,
    now: Timestamp,
) -> Result<Option<Lease>> {
    let lease = live(detail, now);
    match (proof, lease) {
        (Some(proof), Some(lease))
            if proof.lease_id == lease.lease_id
                && proof.fence == lease.fence
                && lease.holder == actor.label() =>
        {
            Ok(Some(lease.clone()))
        }
        (Some(_), _) => {
            Err(Error::conflict("the lease is over or belongs to somebody else: claim the ticket again"))
        }
        (None, Some(lease))
            if is_agent(actor)
                || lease.holder != actor.label()
                    && !actor.may(Scope::TicketsTriage, Some(detail.ticket.project)) =>
        {
            Err(Error::conflict(format!(
                "leased by {} until {}: name lease_id and fence",
                lease.holder, lease.expires_at
            )))
        }
        (None, lease) => Ok(lease.cloned()),
    }
}
