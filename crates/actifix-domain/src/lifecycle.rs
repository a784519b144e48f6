//! The status machine of a ticket: what events and commands do to it (`product.md`, `agents.md` §4).
//!
//! Both are pure tables. Who may give a command, whether a lease is valid and whether evidence is complete is decided
//! before; here is only what follows for the status.

mod evidence;

pub use evidence::{Evidence, EvidencePolicy, Missing, Need, TestProof, TestRun};

use crate::outcome::Change;
use crate::release;
use crate::ticket::{Status, Ticket};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// What an event needs to know of its ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketFacts<'a> {
    /// Where it stands.
    pub status: Status,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// Release that fixes it, when one was named.
    pub resolved_in: Option<&'a str>,
    /// Resolved in the next release: the latest one that was known then.
    pub resolved_after: Option<&'a str>,
}

impl<'a> From<&'a Ticket> for TicketFacts<'a> {
    fn from(ticket: &'a Ticket) -> Self {
        Self {
            status: ticket.status,
            resolved_at: ticket.resolved_at,
            resolved_in: ticket.resolved_in.as_deref(),
            resolved_after: ticket.resolved_after.as_deref(),
        }
    }
}

/// What a ticket needs to know of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventFacts<'a> {
    /// Corrected time of the event.
    pub at: Timestamp,
    /// When it was received.
    pub received_at: Timestamp,
    /// Release that reported it.
    pub release: Option<&'a str>,
    /// Order of its release and the fixing one by first seen; only used when [`needs_release_order`] says so.
    pub release_order: ReleaseOrder,
}

/// Order of an event's release and the fixing release by when each was first seen; with a ticket that the next release
/// fixes, whether the event's release was known at the resolution already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReleaseOrder {
    /// Not known: the time of the event decides.
    #[default]
    Unknown,
    /// The event's release is the older one.
    Earlier,
    /// The event's release is the fixing one or a later one.
    NotEarlier,
}

impl ReleaseOrder {
    /// From the times at which the two releases were first seen in the project.
    ///
    /// An event's release without a time is seen now for the first time. A fixing release without one is not out
    /// yet: then releases known before the resolution are older than it, those that came after are not.
    pub fn by_first_seen(
        event_release: Option<Timestamp>,
        fixing_release: Option<Timestamp>,
        resolved_at: Option<Timestamp>,
    ) -> Self {
        match (event_release, fixing_release.or(resolved_at)) {
            (None, _) => Self::NotEarlier,
            (Some(_), None) => Self::Unknown,
            (Some(event), Some(border)) if event < border => Self::Earlier,
            (Some(_), Some(_)) => Self::NotEarlier,
        }
    }

    /// The same for a ticket that the next release fixes, from when the event's release was first heard of, by our own
    /// clock: what was known at the resolution is earlier, all that came since is not.
    pub fn by_recorded(event_release: Option<Timestamp>, resolved_at: Option<Timestamp>) -> Self {
        match (event_release, resolved_at) {
            (None, _) => Self::NotEarlier,
            (Some(_), None) => Self::Unknown,
            (Some(event), Some(resolved_at)) if event <= resolved_at => Self::Earlier,
            (Some(_), Some(_)) => Self::NotEarlier,
        }
    }
}

/// What an event did to its ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventEffect {
    /// Where the ticket stands afterwards.
    pub status: Status,
    /// Seen or regressed.
    pub change: Change,
}

/// Whether [`on_event`] needs to know which of the two releases was seen first, because their names do not tell.
/// Spares the look-up for all other events.
pub fn needs_release_order(ticket: &TicketFacts<'_>, event_release: Option<&str>) -> bool {
    ticket.status == Status::Resolved
        && match (ticket.resolved_after, ticket.resolved_in, event_release) {
            (Some(border), _, Some(event)) => release::is_after(event, border).is_none(),
            (None, Some(fix), Some(event)) => release::compare(event, fix).is_none(),
            _ => false,
        }
}

/// Whether a release that nobody who is trusted told of before is the one that ships the fix of a ticket that the next
/// release resolves: later by version than all that was known then. Where names do not tell, it is, as it came later;
/// unless strangers named it before the resolution already.
pub fn ships_fix(resolved_after: &str, new_release: &str, known_before: bool) -> bool {
    release::is_after(new_release, resolved_after).unwrap_or(!known_before)
}

/// Effect of an event on a known ticket. Only a resolved one can change: it regresses (→ open) on an event of the
/// fixing release or a later one; where either has no release, on an event after the resolution. One that the next
/// release fixes regresses on an event of a release that is later than all that were known then, and on no other: an
/// event without a release may be of an old one. In every other status, and for an older release, events only count.
pub fn on_event(ticket: &TicketFacts<'_>, event: &EventFacts<'_>) -> EventEffect {
    let seen = EventEffect { status: ticket.status, change: Change::Seen };
    if ticket.status != Status::Resolved {
        return seen;
    }
    // A sender whose clock is ahead must not turn an old error into a regression.
    let at = event.at.min(event.received_at);
    let after_resolution = ticket.resolved_at.is_none_or(|resolved_at| at > resolved_at);
    let by_first_seen = match event.release_order {
        ReleaseOrder::Earlier => false,
        ReleaseOrder::NotEarlier => true,
        ReleaseOrder::Unknown => after_resolution,
    };
    let regressed = match (ticket.resolved_after, ticket.resolved_in, event.release) {
        (Some(_), _, None) => false,
        (Some(border), _, Some(release)) => release::is_after(release, border).unwrap_or(by_first_seen),
        (None, Some(fix), Some(release)) => match release::compare(release, fix) {
            Some(order) => order != Ordering::Less,
            None => by_first_seen,
        },
        (None, ..) => after_resolution,
    };
    if regressed { EventEffect { status: Status::Open, change: Change::Regressed } } else { seen }
}

/// Status of a ticket after it took another one over: nothing that is open hides behind what is resolved or held, and
/// nothing held behind what is resolved. An ignored one stays so: a person said that its events only count.
pub const fn merged(into: Status, from: Status) -> Status {
    match (into, from) {
        (Status::Held | Status::Resolved, Status::Open | Status::InProgress | Status::InReview) => {
            Status::Open
        }
        (Status::Resolved, Status::Held) => Status::Held,
        (into, _) => into,
    }
}

/// What a person or agent wants done with a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Take the lease.
    Claim,
    /// Give the lease back, or it expired.
    Release,
    /// Hand in complete evidence.
    Complete {
        /// By an agent; otherwise by a person.
        by_agent: bool,
    },
    /// Signed confirmation of the CI, where the project's policy has it.
    Confirm,
    /// A person lets agents have the ticket; the status stays.
    Approve,
    /// Work on it again.
    Reopen,
    /// Only count its events from now on.
    Ignore,
    /// Open it although the throttle held it.
    Promote,
}

impl Command {
    /// All commands.
    pub const ALL: [Self; 9] = [
        Self::Claim,
        Self::Release,
        Self::Complete { by_agent: true },
        Self::Complete { by_agent: false },
        Self::Confirm,
        Self::Approve,
        Self::Reopen,
        Self::Ignore,
        Self::Promote,
    ];

    /// The word used by the API, the command line and the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Release => "release",
            Self::Complete { .. } => "complete",
            Self::Confirm => "confirm",
            Self::Approve => "approve",
            Self::Reopen => "reopen",
            Self::Ignore => "ignore",
            Self::Promote => "promote",
        }
    }
}

/// A command that does not fit the ticket's status. Words of ours only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {what} this ticket: {why}; {hint}")]
pub struct Refused {
    /// The command.
    pub what: &'static str,
    /// Why not.
    pub why: &'static str,
    /// What would work.
    pub hint: &'static str,
}

/// Status after `command`, or why it is refused.
///
/// | | open | held | in_progress | in_review | resolved | ignored |
/// | --- | --- | --- | --- | --- | --- | --- |
/// | claim | in_progress | - | - | - | - | - |
/// | release | - | - | open | - | - | - |
/// | complete, agent | - | - | in_review | - | - | - |
/// | complete, person | resolved | - | resolved | resolved | - | - |
/// | confirm | - | - | - | resolved | - | - |
/// | approve | same | same | same | same | - | - |
/// | reopen | - | - | - | open | open | open |
/// | ignore | ignored | ignored | ignored | ignored | - | - |
/// | promote | - | open | - | - | - | - |
///
/// A person may complete without a lease: a lease keeps agents apart, and evidence is asked of both. An agent may
/// not, and cannot resolve. Ignoring a leased ticket ends its lease.
///
/// # Errors
/// The refusal, for people.
pub fn apply(status: Status, command: Command) -> Result<Status, Refused> {
    use Status::{Held, Ignored, InProgress, InReview, Open, Resolved};
    let refused = |why, hint| Err(Refused { what: command.as_str(), why, hint });
    match (command, status) {
        (Command::Claim, Open) => Ok(InProgress),
        (Command::Claim, InProgress) => {
            refused("somebody has the lease", "wait until it expires or take another")
        }
        (Command::Claim, InReview) => refused("it waits for review", "reopen it if the fix is not good"),

        (Command::Release, InProgress) => Ok(Open),
        (Command::Release, _) => refused("it has no lease", "there is nothing to give back"),

        (Command::Complete { by_agent: true }, InProgress) => Ok(InReview),
        (Command::Complete { by_agent: true }, Open) => refused("it has no lease", "claim it first"),
        (Command::Complete { by_agent: true }, InReview) => {
            refused("its evidence waits for a person", "a person completes or reopens it")
        }
        (Command::Complete { by_agent: false }, Open | InProgress | InReview)
        | (Command::Confirm, InReview) => Ok(Resolved),
        (Command::Confirm, Open | InProgress) => refused("no evidence was given yet", "complete it first"),

        (Command::Approve, Open | Held | InProgress | InReview) => Ok(status),

        (Command::Reopen, InReview | Resolved | Ignored) => Ok(Open),
        (Command::Reopen, Open) => refused("it is open", "nothing needs to be done"),
        (Command::Reopen, InProgress) => refused("it is being worked on", "release its lease"),

        (Command::Ignore, Open | Held | InProgress | InReview) => Ok(Ignored),

        (Command::Promote, Held) => Ok(Open),
        (Command::Promote, _) => refused("it is not held", "only a held ticket is promoted"),

        (_, Held) => refused("the throttle holds it", "promote it first"),
        (Command::Ignore, Ignored) => refused("it is ignored", "nothing needs to be done"),
        (_, Resolved) => refused("it is resolved", "reopen it first"),
        (_, Ignored) => refused("it is ignored", "reopen it first"),
    }
}

#[cfg(test)]
mod tests;
