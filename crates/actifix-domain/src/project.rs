//! Projects, their ingest keys and their settings.

use crate::access::Actor;
use crate::approval::AgentPolicy;
use crate::id::{ProjectId, PublicKey};
use crate::ticket::Priority;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Keys per project.
pub const KEYS_MAX: usize = 50;
/// Allowed origins per key.
pub const ORIGINS_MAX: usize = 100;
/// Rules per project and kind.
pub const RULES_MAX: usize = 200;

/// Who may hold a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// Anyone may hold it; its events reach at most P1.
    #[default]
    Browser,
    /// Its holder is trusted with P0.
    Server,
}

impl KeyKind {
    /// Most urgent priority that its events may have.
    pub const fn ceiling(self) -> Priority {
        match self {
            Self::Browser => Priority::P1,
            Self::Server => Priority::P0,
        }
    }
}

/// What is done with e-mail and IP addresses of people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PersonalData {
    /// Kept as sent.
    Keep,
    /// `[redacted:email]`, `[redacted:ip]`.
    #[default]
    Mask,
    /// `[redacted:email:<8 hex>]`, keyed.
    Hash,
}

/// One ingest key of a project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProjectKey {
    /// Its project.
    pub project: ProjectId,
    /// The public key of the DSN.
    pub public_key: PublicKey,
    /// A name for people.
    pub label: String,
    /// Who may hold it.
    pub kind: KeyKind,
    /// Disabled keys answer like unknown ones.
    pub enabled: bool,
    /// Exact origins, `*.host` suffixes or `any`; empty accepts all without CORS answers.
    pub allowed_origins: Vec<String>,
    /// Events per minute; none = the default of the instance.
    pub rate_per_minute: Option<u32>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Counts up with each write.
    pub version: u64,
}

/// A rule that sets the fingerprint of events that match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FingerprintRule {
    /// All must match: `type:`, `message:`, `function:`, `module:`, `path:`, `level:`, `logger:`, `transaction:`, `tags.x:` with a glob.
    pub matchers: Vec<String>,
    /// Parts, as an SDK would send them (`{{ default }}` and variables allowed).
    pub fingerprint: Vec<String>,
}

/// A rule that says whose code a frame is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InAppRule {
    /// `path:`, `module:` or `function:` with a glob.
    pub matcher: String,
    /// The application's own code, or not.
    pub in_app: bool,
}

/// A rule that sets the priority of events that match; the first match wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriorityRule {
    /// As in [`FingerprintRule`], also `environment:` and `release:`.
    pub matchers: Vec<String>,
    /// The priority, still under the actor's ceiling.
    pub priority: Priority,
}

/// Settings of a project. All have defaults; an SDK needs none of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProjectSettings {
    /// E-mail addresses.
    pub email: PersonalData,
    /// IP addresses.
    pub ip: PersonalData,
    /// Further key names whose values are secret.
    pub sensitive_keys: Vec<String>,
    /// Log records of severity error and above become events.
    pub logs_to_tickets: bool,
    /// Least OTLP severity number that becomes an event, 1-24.
    pub otlp_min_severity: u8,
    /// Keep the bytes of binary attachments.
    pub binary_attachments: bool,
    /// Keep minidumps.
    pub keep_minidumps: bool,
    /// Bodies kept per ticket and clock hour before sampling; 0 = all, none = the default of the instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_after: Option<u32>,
    /// Events that a ticket of unknown senders needs before agents get it without a person's approval.
    pub agent_min_events: u32,
    /// Different addresses that these must come from, at most 8.
    pub agent_min_peers: u8,
    /// `https` address of the linked repository, for links to its commits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Fingerprint rules, first match wins.
    pub fingerprint_rules: Vec<FingerprintRule>,
    /// In-app rules, last match wins.
    pub in_app_rules: Vec<InAppRule>,
    /// Priority rules, first match wins.
    pub priority_rules: Vec<PriorityRule>,
}

impl Default for ProjectSettings {
    fn default() -> Self {
        Self {
            email: PersonalData::Mask,
            ip: PersonalData::Mask,
            sensitive_keys: Vec::new(),
            logs_to_tickets: false,
            otlp_min_severity: 17,
            binary_attachments: false,
            keep_minidumps: false,
            sample_after: None,
            agent_min_events: 10,
            agent_min_peers: 3,
            repository: None,
            fingerprint_rules: Vec::new(),
            in_app_rules: Vec::new(),
            priority_rules: Vec::new(),
        }
    }
}

impl ProjectSettings {
    /// When agents get a ticket that only anyone's events speak of.
    pub const fn agent_policy(&self) -> AgentPolicy {
        AgentPolicy { min_events: self.agent_min_events, min_peers: self.agent_min_peers }
    }
}

/// One project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// Decimal id, part of its DSNs.
    pub id: ProjectId,
    /// Unique name: letters, digits, `-`, `_`, `.`; at most 64 characters, not only digits.
    pub name: String,
    /// Settings.
    pub settings: ProjectSettings,
    /// When it was made.
    pub created_at: Timestamp,
    /// Counts up with each write.
    pub version: u64,
}

impl Project {
    /// Whether `name` can name a project: it must not look like an id, since commands take both.
    pub fn is_valid_name(name: &str) -> bool {
        (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            && !name.bytes().all(|b| b.is_ascii_digit())
            && !name.starts_with(['-', '.'])
    }
}

/// Most urgent priority that `actor`'s events may have (`product.md`).
pub fn ceiling(actor: &Actor, key_kind: KeyKind, with_origin: bool) -> Priority {
    match actor {
        Actor::IngestKey { .. } if with_origin => KeyKind::Browser.ceiling(),
        Actor::IngestKey { .. } => key_kind.ceiling(),
        Actor::System | Actor::User { .. } | Actor::Token { .. } | Actor::Access { .. } => Priority::P0,
    }
}
