//! What is told about a secret without telling it.
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::rule::Severity;
use crate::settings::HashKey;

/// Longest field path in a finding, in bytes.
pub(crate) const PATH_BYTES_MAX: usize = 256;

/// A secret that was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable id of the rule.
    pub rule: Arc<str>,
    /// Severity of the rule.
    pub severity: Severity,
    /// Where it stood, e.g. `event.extra.password`; at most 256 bytes, itself redacted.
    pub path: String,
    /// At most the first four characters and `…`.
    pub masked: String,
    /// Keyed hash of the value: equal secrets have equal hashes.
    pub hash: [u8; 16],
}

/// Why the scanner does not report a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dropped {
    /// The offline checksum of the format is wrong.
    Checksum,
    /// A documented example, a placeholder or a repetition.
    Placeholder,
    /// It says where the secret is: a variable, a template, an address of a secret store.
    Reference,
    /// A name, a path or words of a program or a person.
    Identifier,
    /// A UUID or hash that is no credential.
    Hash,
    /// Too regular or too short for a secret.
    LowEntropy,
    /// A key that is made to be seen.
    Public,
    /// The rule is for redaction, which prefers to take too much.
    RedactOnly,
    /// A surer candidate covers the same bytes.
    Overlap,
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checksum => "its checksum is wrong",
            Self::Placeholder => "it is a documented example or a placeholder",
            Self::Reference => "it refers to where the secret is",
            Self::Identifier => "it is a name, a path or words",
            Self::Hash => "it is a UUID or a hash that is no credential",
            Self::LowEntropy => "it is too regular or too short for a secret",
            Self::Public => "it is a key that is made to be seen",
            Self::RedactOnly => "its rule is for redaction only",
            Self::Overlap => "a surer finding covers it",
        })
    }
}

/// A candidate in scanned bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// Stable id of the rule.
    pub rule: Arc<str>,
    /// Severity of the rule, higher where the other half of the credential stands near.
    pub severity: Severity,
    /// Tier 1 (format), 2 (name) or 3 (best effort).
    pub tier: u8,
    /// Bytes of the secret in the input; of an encoded one the whole word that holds it.
    pub span: Range<usize>,
    /// Whether the offline checksum of the format is right; none if the format has none.
    pub checksum: Option<bool>,
    /// A documented example, a placeholder or a repetition.
    pub placeholder: bool,
    /// Shannon entropy in bits per byte.
    pub entropy: f32,
    /// Whether the entropy is below what the rule asks for.
    pub low_entropy: bool,
    /// It was found in a decoded part: base64, hex, percent or JSON escapes.
    pub decoded: bool,
    /// Why it is not reported; none if it is.
    pub dropped: Option<Dropped>,
}

impl Match {
    /// Whether the scanner reports it.
    pub fn reported(&self) -> bool {
        self.dropped.is_none()
    }
}

/// What one session did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The first findings, up to `Budget::findings_max`, without personal data.
    pub findings: Vec<Finding>,
    /// All replacements by rule id, personal data and echoes included.
    pub redactions: BTreeMap<String, u64>,
}

/// Keyed hash of a value.
pub(crate) fn hash(key: &HashKey, value: &[u8]) -> [u8; 16] {
    let full = blake3::keyed_hash(&key.0, value);
    let mut short = [0; 16];
    for (to, from) in short.iter_mut().zip(full.as_bytes()) {
        *to = *from;
    }
    short
}

/// The first characters of a value: fewer for short ones, where four would be half of the secret.
pub(crate) fn mask(value: &str) -> String {
    let shown = match value.chars().take(16).count() {
        16.. => 4,
        8..16 => 2,
        _ => 0,
    };
    let mut masked: String = value.chars().take(shown).filter(|c| !c.is_control()).collect();
    masked.push('…');
    masked
}
