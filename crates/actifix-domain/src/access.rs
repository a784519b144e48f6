//! Who acts, and what they may do.

use crate::id::{ProjectId, PublicKey};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// One right. A role is a set of these; a token may hold fewer than its maker, never more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Read tickets, events, findings, projects.
    #[serde(rename = "tickets:read")]
    TicketsRead,
    /// Claim, renew, release, note, complete.
    #[serde(rename = "tickets:work")]
    TicketsWork,
    /// Approve, ignore, assign, merge, split, reopen.
    #[serde(rename = "tickets:triage")]
    TicketsTriage,
    /// Record events through the JSON API.
    #[serde(rename = "events:write")]
    EventsWrite,
    /// Read metrics.
    #[serde(rename = "metrics:read")]
    MetricsRead,
    /// List, show, release and delete quarantined input.
    #[serde(rename = "quarantine")]
    Quarantine,
    /// Send what a build made: source maps, releases, deploys. What a token of a build server needs, and no more.
    #[serde(rename = "releases:write")]
    ReleasesWrite,
    /// Everything else: projects, keys, tokens, settings.
    #[serde(rename = "admin")]
    Admin,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 8] = [
        Self::TicketsRead,
        Self::TicketsWork,
        Self::TicketsTriage,
        Self::EventsWrite,
        Self::MetricsRead,
        Self::Quarantine,
        Self::ReleasesWrite,
        Self::Admin,
    ];

    /// The word used in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TicketsRead => "tickets:read",
            Self::TicketsWork => "tickets:work",
            Self::TicketsTriage => "tickets:triage",
            Self::EventsWrite => "events:write",
            Self::MetricsRead => "metrics:read",
            Self::Quarantine => "quarantine",
            Self::ReleasesWrite => "releases:write",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| format!("unknown scope; one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// A named set of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Works tickets within its lease; for tokens only.
    Agent,
    /// Works and triages tickets, releases quarantine.
    Operator,
    /// All.
    Admin,
}

impl Role {
    /// The role's scopes.
    pub fn scopes(self) -> BTreeSet<Scope> {
        let list: &[Scope] = match self {
            Self::Viewer => &[Scope::TicketsRead, Scope::MetricsRead],
            Self::Agent => &[Scope::TicketsRead, Scope::TicketsWork, Scope::EventsWrite],
            Self::Operator => &[
                Scope::TicketsRead,
                Scope::MetricsRead,
                Scope::TicketsWork,
                Scope::EventsWrite,
                Scope::TicketsTriage,
                Scope::Quarantine,
                Scope::ReleasesWrite,
            ],
            Self::Admin => &Scope::ALL,
        };
        list.iter().copied().collect()
    }

    /// The word used in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Agent => "agent",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Viewer, Self::Agent, Self::Operator, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| "unknown role; one of viewer, agent, operator, admin".to_owned())
    }
}

/// Who acts. Every use case takes one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// This process itself, or a local command that owns the home.
    System,
    /// Holder of an API token.
    Token {
        /// Id of the token's row.
        id: String,
        /// What it may do.
        scopes: BTreeSet<Scope>,
        /// Bound to one project, or all.
        project: Option<ProjectId>,
    },
    /// A person who logged in.
    User {
        /// Id of the account.
        id: String,
        /// Canonical name.
        name: String,
        /// What they may do: those of their role.
        scopes: BTreeSet<Scope>,
        /// Id of the session.
        session: String,
        /// When the password was last given in it.
        authenticated_at: Timestamp,
    },
    /// Holder of a short-lived access token, which a person or the holder of an API token got for their credential.
    Access {
        /// Id of the access token (`jti`).
        id: String,
        /// Who got it, with what they may do now: it never reaches further than they do.
        holder: Box<Self>,
        /// What it may do of that.
        scopes: BTreeSet<Scope>,
        /// Bound to one project, or wherever its holder may.
        project: Option<ProjectId>,
    },
    /// Holder of an ingest key. It can send events and nothing else.
    IngestKey {
        /// The key.
        key: PublicKey,
        /// Its project.
        project: ProjectId,
    },
}

impl Actor {
    /// Whether this actor holds `scope` in `project`; without one, over the whole installation, which one that is
    /// bound to a project never does.
    pub fn may(&self, scope: Scope, project: Option<ProjectId>) -> bool {
        match self {
            Self::System => true,
            Self::Token { scopes, project: bound, .. } => {
                scopes.contains(&scope) && bound.is_none_or(|bound| Some(bound) == project)
            }
            Self::User { scopes, .. } => scopes.contains(&scope),
            Self::Access { holder, scopes, project: bound, .. } => {
                scopes.contains(&scope)
                    && bound.is_none_or(|bound| Some(bound) == project)
                    && holder.may(scope, project)
            }
            Self::IngestKey { .. } => false,
        }
    }

    /// The project that this actor is confined to, if any.
    pub fn bound_project(&self) -> Option<ProjectId> {
        match self {
            Self::System | Self::User { .. } => None,
            Self::Token { project, .. } => *project,
            Self::Access { holder, project, .. } => project.or_else(|| holder.bound_project()),
            Self::IngestKey { project, .. } => Some(*project),
        }
    }

    /// How the actor is named in activity and audit.
    pub fn label(&self) -> String {
        match self {
            Self::System => "system".to_owned(),
            Self::Token { id, .. } => format!("token:{id}"),
            Self::User { name, .. } => format!("user:{name}"),
            // Its acts and its share of the limits are its holder's.
            Self::Access { holder, .. } => holder.label(),
            Self::IngestKey { project, .. } => format!("key:{project}"),
        }
    }

    /// As [`Actor::label`], but tells an access token from its holder: what was answered to one is not for the other.
    pub fn credential(&self) -> String {
        match self {
            Self::Access { id, .. } => format!("{} by {id}", self.label()),
            _ => self.label(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ingest_key_may_do_nothing_but_ingest() {
        let key = Actor::IngestKey { key: "abc".parse().unwrap(), project: ProjectId(1) };
        for scope in Scope::ALL {
            assert!(!key.may(scope, Some(ProjectId(1))));
            assert!(!key.may(scope, None));
        }
    }

    #[test]
    fn a_bound_token_stays_in_its_project() {
        let token =
            Actor::Token { id: "t".into(), scopes: Role::Admin.scopes(), project: Some(ProjectId(1)) };
        assert!(token.may(Scope::TicketsRead, Some(ProjectId(1))));
        assert!(!token.may(Scope::TicketsRead, Some(ProjectId(2))));
        for scope in Scope::ALL {
            assert!(token.may(scope, Some(ProjectId(1))));
            assert!(!token.may(scope, None), "{scope} over the whole installation needs an unbound token");
        }
    }

    #[test]
    fn an_access_token_reaches_no_further_than_its_holder_does_now() {
        let access = |holder: Actor, project| Actor::Access {
            id: "a".into(),
            holder: Box::new(holder),
            scopes: [Scope::TicketsRead, Scope::Admin].into(),
            project,
        };
        let token = |role: Role, project| Actor::Token { id: "t".into(), scopes: role.scopes(), project };
        let (one, two) = (Some(ProjectId(1)), Some(ProjectId(2)));
        let wide = access(token(Role::Admin, None), None);
        assert!(wide.may(Scope::Admin, None) && wide.may(Scope::TicketsRead, two));
        assert!(!wide.may(Scope::TicketsWork, one), "its holder may, it was not given that");
        let lowered = access(token(Role::Viewer, None), None);
        assert!(lowered.may(Scope::TicketsRead, one) && !lowered.may(Scope::Admin, one));
        for bound in [access(token(Role::Admin, None), one), access(token(Role::Admin, one), None)] {
            assert_eq!(bound.bound_project(), one);
            assert!(bound.may(Scope::Admin, one));
            assert!(!bound.may(Scope::Admin, two) && !bound.may(Scope::Admin, None));
        }
        assert_eq!(wide.label(), "token:t");
        assert_ne!(wide.credential(), "token:t");
    }

    #[test]
    fn agents_never_hold_triage_or_admin() {
        let scopes = Role::Agent.scopes();
        assert!(!scopes.contains(&Scope::TicketsTriage) && !scopes.contains(&Scope::Admin));
    }
}
