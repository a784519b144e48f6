//! What every store must do, whatever database is behind it. Each file is one noun; `run` takes a fresh store.

pub mod access;
pub mod accounts;
pub mod alert_bounds;
pub mod alerts;
pub mod answers;
pub mod audit;
pub mod care;
pub mod events;
pub mod factors;
pub mod identities;
pub mod ingest;
pub mod limits;
pub mod lists;
pub mod logins;
pub mod operations;
pub mod projects;
pub mod regressions;
pub mod releases;
pub mod secrets;
pub mod source_maps;
pub mod throttle;
pub mod tickets;
pub mod tokens;
pub mod views;

use crate::FakeClock;
use crate::fixtures::act;
use crate::fixtures::{EventBuilder, submission};
use actifix_app::ports::{
    ActivityEntry, Clock, Page, Recorded, Sort, Store, TicketDetail, TicketQuery, TicketSave,
};
use actifix_domain::id::{ProjectId, TicketId};
use actifix_domain::search::Search;
use actifix_domain::ticket::Ticket;
use actifix_domain::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One case: a store, a clock and a project of its own.
pub(crate) struct Case {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) project: ProjectId,
}

impl Case {
    pub(crate) async fn new(store: &Arc<dyn Store>, clock: &Arc<FakeClock>, name: &str) -> Self {
        let project =
            store.create_project(None, name, None, clock.now(), &act()).await.expect("a new project");
        Self { store: Arc::clone(store), clock: Arc::clone(clock), project: project.id }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Sends events in one request.
    pub(crate) async fn send(&self, events: impl IntoIterator<Item = EventBuilder>) -> Vec<Recorded> {
        self.store.ingest(submission(self.project, self.now(), events)).await.expect("ingest").events
    }

    /// Sends one event.
    pub(crate) async fn one(&self, event: EventBuilder) -> Recorded {
        self.send([event]).await.pop().expect("one answer")
    }

    pub(crate) async fn ticket(&self, id: &TicketId) -> Ticket {
        self.store.ticket(id).await.expect("ticket").expect("the ticket is there")
    }

    pub(crate) async fn detail(&self, id: &TicketId) -> TicketDetail {
        self.store.ticket_detail(id).await.expect("detail").expect("the ticket is there")
    }

    pub(crate) fn query(&self, search: &str) -> TicketQuery {
        TicketQuery {
            project: Some(self.project),
            search: Search::parse(search, self.now()).expect("a search"),
            user_hashes: BTreeMap::new(),
            sort: Sort::LastSeen,
            cursor: None,
            limit: 50,
            with_total: true,
        }
    }

    pub(crate) async fn list(&self, search: &str) -> Page<Ticket> {
        self.store.tickets(self.query(search)).await.expect("list")
    }

    /// Titles of a list, without the type of the error.
    pub(crate) async fn titles(&self, search: &str) -> Vec<String> {
        titles(&self.list(search).await)
    }

    pub(crate) fn entry(&self, kind: &str) -> ActivityEntry {
        ActivityEntry {
            at: self.now(),
            actor: "user jo".to_owned(),
            kind: kind.to_owned(),
            data: serde_json::json!({ "why": "a test" }),
        }
    }

    /// A save that changes nothing yet.
    pub(crate) async fn decision(&self, id: &TicketId, kind: &str) -> TicketSave {
        let detail = self.detail(id).await;
        let ticket = detail.ticket;
        TicketSave {
            id: ticket.id,
            expected_version: ticket.version,
            status: ticket.status,
            priority: ticket.priority,
            priority_reason: ticket.priority_reason,
            assignee: ticket.assignee,
            resolved_at: ticket.resolved_at,
            resolved_in: ticket.resolved_in,
            resolved_after: ticket.resolved_after,
            lease: detail.lease,
            approved: ticket.origins.approved,
            actor: self.entry(kind).actor,
            leases_max: None,
            activity: Some(self.entry(kind)),
        }
    }
}

pub(crate) fn titles(page: &Page<Ticket>) -> Vec<String> {
    page.items.iter().map(|ticket| ticket.title.trim_start_matches("Declined: ").to_owned()).collect()
}

pub(crate) fn id_of(recorded: &Recorded) -> TicketId {
    recorded.ticket_id.clone().expect("a ticket")
}
