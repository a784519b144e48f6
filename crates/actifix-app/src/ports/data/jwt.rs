//! Short-lived access tokens and the keys that sign them.

use super::{SessionRecord, TokenRecord, UserRecord};
use actifix_domain::access::Scope;
use actifix_domain::id::ProjectId;
use actifix_domain::time::Timestamp;
use serde::Serialize;
use std::collections::BTreeSet;

/// A key that signs access tokens, or did until lately.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct SigningKeyRecord {
    /// Id (`kid`), safe to show.
    pub id: String,
    /// The public half, Ed25519.
    #[serde(skip)]
    pub public: [u8; 32],
    /// The private half under the vault.
    #[serde(skip)]
    pub sealed: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From then on it verifies nothing; none for the one that signs.
    pub retires_at: Option<Timestamp>,
}

impl std::fmt::Debug for SigningKeyRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKeyRecord")
            .field("id", &self.id)
            .field("created_at", &self.created_at)
            .field("retires_at", &self.retires_at)
            .finish_non_exhaustive()
    }
}

/// Whose credential an access token was got for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HolderId {
    /// An API token, by its id.
    Token(String),
    /// A session, by its id.
    Session(String),
}

/// The row of an access token. It is deleted when the token is revoked, and some time after it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRecord {
    /// Id (`jti`), safe to show.
    pub id: String,
    /// Which key signed it.
    pub key_id: String,
    /// Whose it is.
    pub holder: HolderId,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// Bound to one project.
    pub project: Option<ProjectId>,
    /// The holder's epoch when it was given out: another one ends it.
    pub epoch: u64,
    /// When it was given out.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// The holder of an access token as the rows say now.
#[derive(Clone, Debug)]
pub enum Holder {
    /// An API token.
    Token(TokenRecord),
    /// A session and whose it is.
    Session(SessionRecord, UserRecord),
}
