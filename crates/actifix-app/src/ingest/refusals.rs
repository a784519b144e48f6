//! Requests whose key was refused: a DSN that was mistyped, switched off or mixed up. Their sender gets the same
//! answer for all of these, so that the operator must learn the difference: from the log, a metric, and a bounded
//! list that `actifix throttle status` shows. No key is kept anywhere here.

use super::{Knock, Refusal};
use crate::app::App;
use crate::error::Result;
use actifix_domain::access::{Actor, Scope};
use actifix_domain::id::ProjectId;
use actifix_domain::time::{HOUR, Timestamp};
use actifix_protocol::auth;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Different refusals that are told apart; strangers choose the project of the path, so further ones are summed up.
const REFUSALS_MAX: usize = 256;
/// One kind of refusal is logged again after this time.
const LOG_EVERY: i64 = HOUR;

/// Why a key was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyFault {
    /// None anywhere in the request.
    NoKey,
    /// Several that differ.
    Conflict,
    /// Nobody has this key.
    UnknownKey,
    /// The key is switched off.
    DisabledKey,
    /// The key is of another project than the path names.
    WrongProject,
}

impl KeyFault {
    /// The word of metrics, log and API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoKey => "no_key",
            Self::Conflict => "conflict",
            Self::UnknownKey => "unknown_key",
            Self::DisabledKey => "disabled_key",
            Self::WrongProject => "wrong_project",
        }
    }
}

/// Refused requests of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedRequests {
    /// Why.
    pub reason: KeyFault,
    /// Project of the key, where the key is known.
    pub project: Option<ProjectId>,
    /// Project of the path; none where it names none, or too many different ones were named.
    pub asked_project: Option<ProjectId>,
    /// How many.
    pub count: u64,
    /// The first one.
    pub first_seen: Timestamp,
    /// The last one.
    pub last_seen: Timestamp,
}

type Which = (KeyFault, Option<ProjectId>, Option<ProjectId>);

struct Seen {
    requests: RefusedRequests,
    logged_at: Timestamp,
}

/// Refusals since the start.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<Which, Seen>>);

impl Refusals {
    /// Counts one; the sum so far where it is time to log it.
    fn add(&self, which: Which, now: Timestamp) -> Option<RefusedRequests> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (reason, project, _) = which;
        let which = if seen.contains_key(&which) || seen.len() < REFUSALS_MAX {
            which
        } else {
            (reason, project, None)
        };
        let (_, _, asked_project) = which;
        let is_new = !seen.contains_key(&which);
        let entry = seen.entry(which).or_insert_with(|| Seen {
            requests: RefusedRequests {
                reason,
                project,
                asked_project,
                count: 0,
                first_seen: now,
                last_seen: now,
            },
            logged_at: now,
        });
        entry.requests.count += 1;
        entry.requests.last_seen = now;
        if is_new || now.since(entry.logged_at) >= LOG_EVERY {
            entry.logged_at = now;
            return Some(entry.requests);
        }
        None
    }

    fn list(&self) -> Vec<RefusedRequests> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<RefusedRequests> = seen.values().map(|seen| seen.requests).collect();
        all.sort_by_key(|requests| std::cmp::Reverse(requests.last_seen));
        all
    }
}

impl App {
    /// Counts a request whose key was refused, and logs it now and then.
    pub(super) async fn count_key_refusal(&self, knock: &Knock<'_>, refusal: &Refusal) {
        let (reason, project) = match refusal {
            Refusal::NoKey => (KeyFault::NoKey, None),
            Refusal::ConflictingKeys => (KeyFault::Conflict, None),
            // Which key it was is not looked up: that is what there was too much of.
            Refusal::TooManyKeys { .. } => (KeyFault::UnknownKey, None),
            _ => self.fault_of(knock).await,
        };
        crate::auth_log::refused(reason.as_str());
        let asked = knock.path_project.flatten();
        if let Some(sum) = self.refusals.add((reason, project, asked), self.now()) {
            tracing::warn!(
                reason = reason.as_str(),
                project = project.map(|id| id.0),
                asked_project = asked.map(|id| id.0),
                count = sum.count,
                "ingest.key_refused"
            );
        }
    }

    /// What is wrong with a key that was refused, and whose it is.
    async fn fault_of(&self, knock: &Knock<'_>) -> (KeyFault, Option<ProjectId>) {
        let Ok(Some(key)) = auth::resolve(&knock.keys) else { return (KeyFault::UnknownKey, None) };
        match self.known_key(&key).await {
            Ok(Some(known)) if known.key.enabled => (KeyFault::WrongProject, Some(known.project.id)),
            Ok(Some(known)) => (KeyFault::DisabledKey, Some(known.project.id)),
            _ => (KeyFault::UnknownKey, None),
        }
    }

    /// Requests whose key was refused since the start, the last first: of a project, and of none that exists.
    ///
    /// # Errors
    /// The project is none of the actor's.
    pub async fn refused_requests(&self, actor: &Actor, project: &str) -> Result<Vec<RefusedRequests>> {
        let project = self.project(actor, project).await?;
        Self::require(actor, Scope::TicketsRead, Some(project.id))?;
        let known: Vec<ProjectId> = self.store.projects().await?.iter().map(|project| project.id).collect();
        let bound = actor.bound_project().is_some();
        let mut all = self.refusals.list();
        all.retain(|requests| {
            let about = |id: Option<ProjectId>| id == Some(project.id);
            let nobodys = requests.project.is_none()
                && requests.asked_project.is_none_or(|asked| !known.contains(&asked));
            about(requests.project) || about(requests.asked_project) || (nobodys && !bound)
        });
        if bound {
            // Whoever may see one project must not learn which others there are.
            for requests in &mut all {
                requests.project = requests.project.filter(|id| *id == project.id);
                requests.asked_project = requests.asked_project.filter(|id| *id == project.id);
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);

    #[test]
    fn strangers_cannot_make_the_list_grow() {
        let refusals = Refusals::default();
        for id in 0..10_000 {
            refusals.add((KeyFault::UnknownKey, None, Some(ProjectId(id))), NOW);
        }
        let list = refusals.list();
        assert_eq!(list.len(), REFUSALS_MAX + 1);
        let rest = list.iter().find(|one| one.asked_project.is_none()).map(|one| one.count);
        assert_eq!(rest, Some(10_000 - 256));
    }

    #[test]
    fn one_kind_is_logged_once_an_hour() {
        let refusals = Refusals::default();
        let which = (KeyFault::DisabledKey, Some(ProjectId(7)), Some(ProjectId(7)));
        assert_eq!(refusals.add(which, NOW).map(|sum| sum.count), Some(1));
        assert_eq!(refusals.add(which, NOW.plus(HOUR - 1)), None);
        assert_eq!(refusals.add(which, NOW.plus(HOUR)).map(|sum| sum.count), Some(3));
    }
}
