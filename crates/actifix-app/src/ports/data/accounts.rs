//! People and their sessions.

use actifix_domain::access::Role;
use actifix_domain::time::Timestamp;
use serde::Serialize;

/// A person who may log in.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct UserRecord {
    /// Id, safe to show; never given to another person.
    pub id: String,
    /// Canonical name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Verifier of the password, a PHC string of Argon2id over the peppered password.
    #[serde(skip)]
    pub verifier: String,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When the password was set.
    pub password_at: Timestamp,
    /// When it was closed.
    pub disabled_at: Option<Timestamp>,
    /// Failed logins in a row from unknown devices.
    pub failures: u32,
    /// Rises with each change.
    pub version: u64,
}

impl std::fmt::Debug for UserRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserRecord")
            .field("name", &self.name)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// A login that goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SessionRecord {
    /// SHA-256 of the cookie's value.
    #[serde(skip)]
    pub hash: [u8; 32],
    /// Id, safe to show.
    pub id: String,
    /// Whose it is.
    #[serde(skip)]
    pub user_id: String,
    /// Their name.
    pub user: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, to five minutes.
    pub seen_at: Timestamp,
    /// When the password was last given.
    pub authenticated_at: Timestamp,
    /// When it ends, however much it is used.
    pub expires_at: Timestamp,
    /// Address that it was begun from.
    pub network: Option<String>,
}

/// Which sessions are ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionsOf {
    /// One, by its id.
    One(String),
    /// All of a person, by user id.
    User(String),
    /// All of everybody.
    All,
}
