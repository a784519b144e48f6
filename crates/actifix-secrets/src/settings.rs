//! What a caller decides: personal data, the key of the hashes, the work budget, names of its own.
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use aho_corasick::AhoCorasick;

/// At most this many extra sensitive names are taken; more are ignored, so that a project cannot slow down ingest.
pub(crate) const SENSITIVE_KEYS_MAX: usize = 200;

/// What becomes of an e-mail or IP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PersonalData {
    /// Left as it is.
    Keep,
    /// Replaced by `[redacted:email]` or `[redacted:ip]`.
    #[default]
    Mask,
    /// Replaced by a token that holds the first 8 hex digits of a keyed hash, so that equal addresses can be counted.
    Hash,
}

/// The key of all value hashes. Without it, the hash of a short secret could be reversed by trying.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HashKey(pub [u8; 32]);

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(..)")
    }
}

/// Work that every session may do, however small its input.
pub(crate) const FREE_WORK: u64 = 4 << 20;

/// A deterministic bound on the work of one session: counts of bytes, never of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Work in bytes looked at, decoded forms, repeated passes and values after names included.
    pub bytes_max: u64,
    /// Work per byte of input, over an allowance of 4 MiB: input that costs more was made to. Usual events cost
    /// 1 to 5.
    pub work_per_byte_max: u64,
    /// Findings kept in the report. All findings are replaced, also those beyond this number.
    pub findings_max: usize,
    /// Nesting of JSON values.
    pub depth_max: usize,
    /// Values remembered for the echo pass.
    pub echoes_max: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            bytes_max: 256 << 20,
            work_per_byte_max: 48,
            findings_max: 500,
            depth_max: 256,
            echoes_max: 2_000,
        }
    }
}

/// The input could not be redacted, in most cases within its budget, so it must not be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BudgetExceeded {
    /// The engine has no usable rules, so nothing it lets through is redacted.
    #[error("the redaction rules could not be compiled")]
    NoRules,
    /// More work than [`Budget::bytes_max`] or [`Budget::work_per_byte_max`] allow.
    #[error("redaction looked at more than {max} bytes")]
    Bytes {
        /// The bound that was hit.
        max: u64,
    },
    /// Deeper than [`Budget::depth_max`].
    #[error("value is nested deeper than {max} levels")]
    Depth {
        /// The bound that was hit.
        max: usize,
    },
    /// More distinct secrets than [`Budget::echoes_max`]; some could stay unseen elsewhere in the envelope.
    #[error("more than {max} distinct secrets in one envelope")]
    Echoes {
        /// The bound that was hit.
        max: usize,
    },
}

/// Names that a project declares sensitive in addition to the built-in ones, compiled once.
#[derive(Clone, Default)]
pub struct SensitiveKeys {
    names: Arc<BTreeSet<String>>,
    matcher: Option<Arc<AhoCorasick>>,
}

impl SensitiveKeys {
    /// Compiles the names; case and separators do not matter (`cardHolder` is `card_holder`). At most 200 are taken.
    pub fn new<I, S>(names: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        let kept: Vec<String> = names
            .into_iter()
            .map(|name| name.as_ref().trim().to_owned())
            .filter(|name| !name.is_empty() && name.len() <= 128)
            .take(SENSITIVE_KEYS_MAX)
            .collect();
        let matcher = if kept.is_empty() {
            None
        } else {
            AhoCorasick::builder().ascii_case_insensitive(true).build(&kept).ok().map(Arc::new)
        };
        Self { names: Arc::new(kept.iter().map(|name| squash(name.as_bytes())).collect()), matcher }
    }

    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        !self.names.is_empty() && self.names.contains(&squash(name))
    }

    pub(crate) fn matcher(&self) -> Option<&AhoCorasick> {
        self.matcher.as_deref()
    }
}

/// The same names are found.
impl PartialEq for SensitiveKeys {
    fn eq(&self, other: &Self) -> bool {
        self.names == other.names
    }
}

impl Eq for SensitiveKeys {}

impl fmt::Debug for SensitiveKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names.iter()).finish()
    }
}

/// Lower-case letters and digits only, so that all spellings of a name compare equal.
fn squash(name: &[u8]) -> String {
    name.iter()
        .filter(|byte| byte.is_ascii_alphanumeric() || **byte >= 0x80)
        .map(|byte| char::from(byte.to_ascii_lowercase()))
        .collect()
}

/// How one project wants its data redacted.
#[derive(Clone, Debug)]
pub struct Settings {
    /// E-mail addresses.
    pub email: PersonalData,
    /// Public IP addresses. Loopback, private and link-local ones always stay.
    pub ip: PersonalData,
    /// Key of all hashes.
    pub hash_key: HashKey,
    /// Bound on the work.
    pub budget: Budget,
    /// Further sensitive names.
    pub sensitive_keys: SensitiveKeys,
    /// Exact values that tiers 2 and 3 and the personal-data masks leave alone. Token formats go regardless.
    pub allow: BTreeSet<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            email: PersonalData::Mask,
            ip: PersonalData::Mask,
            hash_key: HashKey([0; 32]),
            budget: Budget::default(),
            sensitive_keys: SensitiveKeys::default(),
            allow: BTreeSet::new(),
        }
    }
}
