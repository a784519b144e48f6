//! The shape of rule files. The build script reads the built-in ones by it, the engine what the script made of them and
//! the files of users.
use serde::{Deserialize, Serialize};

/// How bad it is that such a value got out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a look.
    Low,
    /// Access to something small, or an identifier that helps an attacker.
    Medium,
    /// Access to a service.
    High,
    /// Access to production, money or other people's data.
    Critical,
}

/// How a rule finds its values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Detector {
    /// `pattern` at each keyword.
    #[default]
    Pattern,
    /// The value of a credential whose name holds a keyword, the vendor's name; `pattern` is all of the value.
    Vendor,
    /// Words that `pattern` matches as a whole near an identifier that starts with a keyword.
    Near,
    /// Value of a name in `names` or ending in one of `suffixes`.
    Name,
    /// The detectors below are code; the rule carries their id, severity and texts.
    Pem,
    Jwt,
    Card,
    UrlPassword,
    UrlToken,
    Authorization,
    Cookie,
    QueryToken,
    SecretWord,
    /// Names that the project declared.
    Custom,
    Email,
    Ip,
}

/// Offline check of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Checksum {
    /// The last 6 characters are the CRC32 of what stands between the first `_`-ended prefix and them, in base62.
    Crc32Base62Body,
    /// The last 6 characters are the CRC32 of all before them, prefix included, in base62.
    Crc32Base62All,
}

/// How sure a name is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Strength {
    /// Only random-looking values: the name speaks of a secret, not for one (`token_id`, `is_password`).
    #[serde(skip)]
    About,
    /// Only values that look like a secret (`auth`, `session`).
    Weak,
    /// All values in maps and assignments; in prose (`token: unexpected end`) only what looks like a secret.
    Prose,
    /// All values.
    #[default]
    Strong,
}

/// Least numbers of bytes of runs (letters, digits and `_-+/`) where a keyword stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lead {
    /// From the keyword's first byte on.
    pub from: usize,
    /// Right behind the keyword.
    pub behind: usize,
}

/// One for each keyword of a rule.
pub(crate) type Leads = Vec<Lead>;

/// Bytes that may not follow a token of fixed length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Boundary {
    /// Letters and digits.
    #[default]
    Alnum,
    /// Letters, digits, `_`, `-`.
    Token,
    /// Anything may follow.
    None,
}

/// One file; `R` is a rule, with its place in the text or without.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "R: Deserialize<'de>"))]
pub(crate) struct RuleFile<R> {
    #[serde(default)]
    pub vendor: String,
    #[serde(default)]
    pub fix: String,
    /// Default of the rules in this file.
    #[serde(default)]
    pub unbroken: usize,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disable: Vec<String>,
    #[serde(default)]
    pub rule: Vec<R>,
}

/// One rule as it stands in a file; `P` is the pattern, with its place in the text or without.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "P: Deserialize<'de>"))]
pub(crate) struct RawRule<P> {
    pub id: String,
    pub description: String,
    pub severity: Severity,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub pattern: Option<P>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub secret_group: usize,
    #[serde(default, skip_serializing_if = "is_default")]
    pub before: usize,
    #[serde(default = "window_default")]
    pub window: usize,
    #[serde(default, skip_serializing_if = "is_default")]
    pub unbroken: Option<usize>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub boundary: Boundary,
    #[serde(default, skip_serializing_if = "is_default")]
    pub entropy: f32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub checksum: Option<Checksum>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// People choose such values: shorter and plainer ones count too.
    #[serde(default, skip_serializing_if = "is_default")]
    pub chosen: bool,
    /// For redaction only: the scanner does not report what the rule finds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub redact_only: bool,
    /// Rules of which a finding close by makes this one `pair_severity`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pair: Vec<String>,
    #[serde(default = "pair_severity_default")]
    pub pair_severity: Severity,
    #[serde(default, skip_serializing_if = "is_default")]
    pub detector: Detector,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suffixes: Vec<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub strength: Strength,
    #[serde(default, skip_serializing_if = "is_default")]
    pub tier: Option<u8>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fix: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Vec<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counter_examples: Vec<Vec<String>>,
}

const fn window_default() -> usize {
    512
}

const fn pair_severity_default() -> Severity {
    Severity::Critical
}

const fn none<P>() -> Option<P> {
    None
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
