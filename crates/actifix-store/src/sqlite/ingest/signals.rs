//! Changes that some rule listens for. Where none does, this costs a look at a bit.

use super::{Batch, PreparedEvent};
use crate::fault::Result;
use crate::sqlite::outbox;
use actifix_domain::alert::{Interest, Signal, Trigger};
use actifix_domain::id::ProjectId;
use actifix_domain::ticket::Ticket;
use actifix_domain::time::Timestamp;
use actifix_domain::words::many;
use std::sync::Arc;

impl Batch<'_, '_, '_> {
    /// Whether some rule listens for it in the project.
    pub(super) fn listens(&mut self, project: ProjectId, trigger: Trigger) -> Result<bool> {
        Ok(self.interest(project)?.has(trigger))
    }

    fn interest(&mut self, project: ProjectId) -> Result<Arc<Interest>> {
        outbox::interest(self.work, Some(project))
    }

    /// Writes down a change.
    pub(super) fn tell(&mut self, signal: Signal, ticket: Option<i64>) -> Result<()> {
        if let Some(project) = signal.project
            && self.listens(project, signal.trigger)?
        {
            self.signals.push((ticket, signal));
        }
        Ok(())
    }

    /// Writes down what an event did to its ticket.
    pub(super) fn tell_of(
        &mut self,
        trigger: Trigger,
        event: &PreparedEvent,
        seq: i64,
        at: Timestamp,
    ) -> Result<()> {
        let project = self.touched_mut(seq)?.known.row.ticket.project;
        if self.listens(project, trigger)? {
            let ticket = &self.touched_mut(seq)?.known.row.ticket;
            let signal = outbox::of_event(trigger, at, ticket, event);
            self.signals.push((Some(seq), signal));
        }
        Ok(())
    }

    /// Counts an event for the rates that rules ask for.
    pub(super) fn count_rates(&mut self, event: &PreparedEvent, seq: i64, at: Timestamp) -> Result<()> {
        let project = self.touched_mut(seq)?.known.row.ticket.project;
        let interest = self.interest(project)?;
        if interest.rates.is_empty() {
            return Ok(());
        }
        let ticket = &self.touched_mut(seq)?.known.row.ticket;
        let signal = outbox::of_event(Trigger::Rate, at, ticket, event);
        for watch in interest.rates.iter().filter(|watch| watch.counts(&signal)) {
            let name = watch.rule.name.as_str();
            let mut window = self.work.cache.take_rate(seq, name);
            let reached = window.count(watch.rate, at.micros());
            self.work.cache.put_rate(seq, name, window);
            if reached {
                let events = many(watch.rate.count.into(), "event");
                let detail = format!("{events} within {} min", watch.rate.minutes);
                let signal = Signal { rule: Some(name.to_owned()), detail, ..signal.clone() };
                self.signals.push((Some(seq), signal));
            }
        }
        Ok(())
    }

    /// Writes down that the users of a ticket reached what rules ask for.
    pub(super) fn tell_of_users(
        &mut self,
        ticket: &Ticket,
        latest: Option<&PreparedEvent>,
        seq: i64,
        before: u64,
    ) -> Result<()> {
        let interest = self.interest(ticket.project)?;
        for (name, users) in
            interest.users.iter().filter(|(_, users)| before < *users && ticket.users >= *users)
        {
            let (trigger, at) = (Trigger::Users, ticket.last_seen);
            let signal = match latest {
                Some(event) => outbox::of_event(trigger, at, ticket, event),
                None => Signal::of_ticket(trigger, at, ticket),
            };
            let detail = format!("{} met it", many(*users, "user"));
            self.signals.push((Some(seq), Signal { rule: Some(name.clone()), detail, ..signal }));
        }
        Ok(())
    }
}
