//! People and their sessions.

use actifix_domain::access::Role;
use actifix_domain::login::{LoginEnd, LoginKind};
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
    /// Rises when everything that was issued to them shall be over: with each change that ends their sessions, and
    /// when these are ended by hand. What names an earlier one is no longer good.
    #[serde(skip)]
    pub epoch: u64,
    /// Rises with each change.
    pub version: u64,
    /// Whether a login asks for a second factor. Set by the verbs of `FactorStore` alone.
    pub second_factor: bool,
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

/// Whose attempts to log in are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LoginKey {
    /// What it stands for.
    pub kind: LoginKind,
    /// A keyed hash that tells nothing about it.
    pub id: [u8; 16],
}

/// What became of an attempt that asked to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginTaken {
    /// It was counted.
    Counted {
        /// Failures in a row that the first of its counters had before it.
        failures: u32,
    },
    /// It was not counted: one of its counters has none left for so long.
    Wait {
        /// Microseconds, more than 0.
        micros: i64,
    },
}

/// How one counter of an attempt ends.
pub type LoginSettled = (LoginKey, LoginEnd);

/// The second factor of a person: one-time passwords of RFC 6238.
#[derive(Clone, PartialEq, Eq)]
pub struct FactorRecord {
    /// Whose it is.
    pub user_id: String,
    /// Its secret under the vault.
    pub sealed: Vec<u8>,
    /// When its enrolment began.
    pub created_at: Timestamp,
    /// Since when it is asked for.
    pub confirmed_at: Option<Timestamp>,
    /// The last time step whose code was taken.
    pub last_step: i64,
    /// Recovery codes that were not used yet.
    pub recovery_left: u32,
}

impl std::fmt::Debug for FactorRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FactorRecord").field("user_id", &self.user_id).finish_non_exhaustive()
    }
}
