//! Rules are data: how the TOML files are read, and what is wrong with one is said with file and line.
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, OnceLock};

use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;
use toml::Spanned;

/// Bounds of a rule file, so that a hostile or broken one is refused instead of being slow.
const RULES_MAX: usize = 2_000;
const KEYWORDS_MAX: usize = 64;
const KEYWORD_BYTES_MAX: usize = 64;
const PATTERN_BYTES_MAX: usize = 1_024;
const WINDOW_MAX: usize = 4_096;
/// Compiled size of one pattern.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// How bad it is that such a value got out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
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

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

/// A rule file to be added to the built-in ones.
#[derive(Clone, Debug)]
pub struct RuleSource {
    /// Name of the file, for error messages.
    pub name: String,
    /// Its text, TOML.
    pub text: String,
}

/// What is wrong with a rule file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct RuleError {
    /// Name of the file.
    pub file: String,
    /// Line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
}

/// How a rule finds its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Detector {
    /// `pattern` at each keyword.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Checksum {
    /// The last 6 characters are the CRC32 of what stands between the first `_`-ended prefix and them, in base62.
    Crc32Base62Body,
    /// The last 6 characters are the CRC32 of all before them, prefix included, in base62.
    Crc32Base62All,
}

/// How sure a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
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
    Strong,
}

/// Bytes that may not follow a token of fixed length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Boundary {
    /// Letters and digits.
    Alnum,
    /// Letters, digits, `_`, `-`.
    Token,
    /// Anything may follow.
    None,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    #[serde(default)]
    vendor: String,
    #[serde(default)]
    fix: String,
    /// Default of the rules in this file.
    #[serde(default)]
    unbroken: usize,
    #[serde(default)]
    disable: Vec<String>,
    #[serde(default)]
    rule: Vec<Spanned<RawRule>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    id: String,
    description: String,
    severity: Severity,
    #[serde(default)]
    keywords: Vec<String>,
    pattern: Option<Spanned<String>>,
    #[serde(default)]
    secret_group: usize,
    #[serde(default)]
    before: usize,
    #[serde(default = "window_default")]
    window: usize,
    unbroken: Option<usize>,
    #[serde(default = "boundary_default")]
    boundary: Boundary,
    #[serde(default)]
    entropy: f32,
    checksum: Option<Checksum>,
    #[serde(default)]
    allow: Vec<String>,
    /// People choose such values: shorter and plainer ones count too.
    #[serde(default)]
    chosen: bool,
    /// For redaction only: the scanner does not report what the rule finds.
    #[serde(default)]
    redact_only: bool,
    /// Rules of which a finding close by makes this one `pair_severity`.
    #[serde(default)]
    pair: Vec<String>,
    #[serde(default = "pair_severity_default")]
    pair_severity: Severity,
    #[serde(default = "detector_default")]
    detector: Detector,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    suffixes: Vec<String>,
    #[serde(default = "strength_default")]
    strength: Strength,
    tier: Option<u8>,
    #[serde(default)]
    fix: String,
    #[serde(default)]
    examples: Vec<Vec<String>>,
    #[serde(default)]
    counter_examples: Vec<Vec<String>>,
}

const fn window_default() -> usize {
    512
}
const fn pair_severity_default() -> Severity {
    Severity::Critical
}
const fn boundary_default() -> Boundary {
    Boundary::Alnum
}
const fn detector_default() -> Detector {
    Detector::Pattern
}
const fn strength_default() -> Strength {
    Strength::Strong
}

/// One rule of the engine.
pub struct Rule {
    pub(crate) id: Arc<str>,
    pub(crate) description: String,
    pub(crate) severity: Severity,
    pub(crate) vendor: String,
    pub(crate) fix: String,
    pub(crate) tier: u8,
    pub(crate) keywords: Vec<String>,
    pub(crate) pattern: String,
    pub(crate) secret_group: usize,
    pub(crate) before: usize,
    pub(crate) window: usize,
    /// Bytes from the keyword on that are no white space and no quote: a test that costs less than the pattern.
    pub(crate) unbroken: usize,
    /// The pattern ignores case, so the keyword may stand in any.
    pub(crate) any_case: bool,
    pub(crate) boundary: Boundary,
    pub(crate) entropy: f32,
    pub(crate) checksum: Option<Checksum>,
    pub(crate) allow: Vec<String>,
    /// People choose such values: the scanner reports shorter and plainer ones too.
    pub(crate) chosen: bool,
    /// The scanner does not report what the rule finds.
    pub(crate) redact_only: bool,
    /// Rules of which a finding close by raises this one to `pair_severity`.
    pub(crate) pair: Vec<String>,
    pub(crate) pair_severity: Severity,
    pub(crate) detector: Detector,
    pub(crate) names: Vec<String>,
    pub(crate) suffixes: Vec<String>,
    pub(crate) strength: Strength,
    pub(crate) examples: Vec<Vec<String>>,
    pub(crate) counter_examples: Vec<Vec<String>>,
    regex: OnceLock<Option<Regex>>,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule").field("id", &self.id).field("severity", &self.severity).finish_non_exhaustive()
    }
}

impl Rule {
    /// Stable id, `[a-z0-9_]{1,64}`; it stands in the replacement `[redacted:<id>]`.
    pub fn id(&self) -> &str {
        &self.id
    }
    /// One line for people.
    pub fn description(&self) -> &str {
        &self.description
    }
    /// How bad a leak is.
    pub fn severity(&self) -> Severity {
        self.severity
    }
    /// Who issues such values; empty for generic rules.
    pub fn vendor(&self) -> &str {
        &self.vendor
    }
    /// What to do after a leak, with the address of the page to do it on where there is one.
    pub fn fix(&self) -> &str {
        &self.fix
    }
    /// Tier 1 to 3, see the crate documentation.
    pub fn tier(&self) -> u8 {
        self.tier
    }
    /// Text that the rule has to find, in pieces (`{62:36}` stands for 36 base62 characters).
    pub fn examples(&self) -> &[Vec<String>] {
        &self.examples
    }
    /// Text that the rule has to leave alone, in pieces.
    pub fn counter_examples(&self) -> &[Vec<String>] {
        &self.counter_examples
    }

    /// The compiled pattern; compiled at first use, because most processes meet few vendors.
    pub(crate) fn regex(&self) -> Option<&Regex> {
        self.regex.get_or_init(|| compile(&self.pattern, self.before > 0).ok()).as_ref()
    }
}

fn compile(pattern: &str, floating: bool) -> Result<Regex, regex::Error> {
    let anchored = if floating { pattern.to_owned() } else { format!("^(?:{pattern})") };
    RegexBuilder::new(&anchored)
        .unicode(false)
        .size_limit(REGEX_BYTES_MAX)
        .dfa_size_limit(REGEX_BYTES_MAX)
        .build()
}

/// Reads rule files in order. An id that comes again replaces the earlier rule, `disable` removes rules.
///
/// # Errors
/// The first problem with its file and line.
pub(crate) fn read(sources: &[(&str, &str)]) -> Result<Vec<Rule>, RuleError> {
    let mut rules: Vec<Rule> = Vec::new();
    for (name, text) in sources {
        let error = |offset: usize, problem: String| located(name, text, offset, problem);
        let file: RuleFile = toml::from_str(text)
            .map_err(|err| error(err.span().map_or(0, |span| span.start), err.message().to_owned()))?;
        for id in &file.disable {
            if !rules.iter().any(|rule| *rule.id == **id) {
                return Err(error(0, format!("disable: there is no rule `{id}`")));
            }
            rules.retain(|rule| *rule.id != **id);
        }
        let mut seen = BTreeSet::new();
        for raw in file.rule {
            let start = raw.span().start;
            let raw = raw.into_inner();
            if !seen.insert(raw.id.clone()) {
                return Err(error(start, format!("rule `{}` stands twice in this file", raw.id)));
            }
            check(&raw).map_err(|problem| error(start, format!("rule `{}`: {problem}", raw.id)))?;
            let rule = build(raw, &file.vendor, &file.fix, file.unbroken);
            rules.retain(|old| old.id != rule.id);
            rules.push(rule);
            if rules.len() > RULES_MAX {
                return Err(error(start, format!("more than {RULES_MAX} rules")));
            }
        }
    }
    Ok(rules)
}

/// Compiles all patterns of rule files that nobody tested before.
///
/// # Errors
/// The first broken pattern with its file and line.
pub(crate) fn check_patterns(sources: &[(&str, &str)]) -> Result<(), RuleError> {
    for (name, text) in sources {
        // A file that cannot be read is reported by `read`.
        let Ok(file) = toml::from_str::<RuleFile>(text) else { continue };
        for raw in file.rule {
            let raw = raw.into_inner();
            if let Some(pattern) = &raw.pattern {
                compile(pattern.get_ref(), raw.before > 0).map_err(|err| {
                    located(name, text, pattern.span().start, format!("rule `{}`: {err}", raw.id))
                })?;
            }
        }
    }
    Ok(())
}

fn located(file: &str, text: &str, offset: usize, problem: String) -> RuleError {
    let line = 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    RuleError { file: file.to_owned(), line, problem }
}

fn check(raw: &RawRule) -> Result<(), String> {
    let id_ok = (1..=64).contains(&raw.id.len())
        && raw.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !id_ok {
        return Err("the id must match [a-z0-9_]{1,64}".to_owned());
    }
    if raw.keywords.len() > KEYWORDS_MAX || raw.names.len() > 200 || raw.suffixes.len() > 200 {
        return Err(format!("more than {KEYWORDS_MAX} keywords or 200 names"));
    }
    for keyword in &raw.keywords {
        if !(2..=KEYWORD_BYTES_MAX).contains(&keyword.len()) {
            return Err(format!("keyword `{keyword}` must have 2 to {KEYWORD_BYTES_MAX} bytes"));
        }
    }
    if raw.window > WINDOW_MAX || raw.before > WINDOW_MAX {
        return Err(format!("window and before must not exceed {WINDOW_MAX} bytes"));
    }
    if raw.tier.is_some_and(|tier| !(1..=3).contains(&tier)) {
        return Err("tier must be 1, 2 or 3".to_owned());
    }
    match raw.detector {
        Detector::Pattern | Detector::Vendor | Detector::Near => {
            let Some(pattern) = &raw.pattern else { return Err("pattern is missing".to_owned()) };
            if pattern.get_ref().len() > PATTERN_BYTES_MAX {
                return Err(format!("pattern is longer than {PATTERN_BYTES_MAX} bytes"));
            }
            if raw.keywords.is_empty() {
                return Err("a pattern needs keywords, without them it would run everywhere".to_owned());
            }
        }
        Detector::Name if raw.names.is_empty() && raw.suffixes.is_empty() => {
            return Err("names and suffixes are missing".to_owned());
        }
        _ => {}
    }
    Ok(())
}

fn build(raw: RawRule, vendor: &str, fix: &str, unbroken: usize) -> Rule {
    let tier = raw.tier.unwrap_or(match raw.detector {
        Detector::Name | Detector::Authorization | Detector::Cookie | Detector::QueryToken => 2,
        Detector::SecretWord => 3,
        _ => 1,
    });
    let mut pattern = raw.pattern.map(Spanned::into_inner).unwrap_or_default();
    if matches!(raw.detector, Detector::Vendor | Detector::Near) {
        pattern = format!("(?:{pattern})$");
    }
    let any_case = pattern.contains("(?i");
    Rule {
        id: raw.id.into(),
        description: raw.description,
        severity: raw.severity,
        vendor: vendor.to_owned(),
        fix: if raw.fix.is_empty() { fix.to_owned() } else { raw.fix },
        tier,
        keywords: raw.keywords,
        pattern,
        secret_group: raw.secret_group,
        before: raw.before,
        window: raw.window,
        unbroken: if raw.before > 0 { 0 } else { raw.unbroken.unwrap_or(unbroken) },
        any_case,
        boundary: raw.boundary,
        entropy: raw.entropy,
        checksum: raw.checksum,
        allow: raw.allow,
        chosen: raw.chosen,
        redact_only: raw.redact_only,
        pair: raw.pair,
        pair_severity: raw.pair_severity,
        detector: raw.detector,
        names: raw.names.iter().map(|name| name.to_ascii_lowercase()).collect(),
        suffixes: raw.suffixes.iter().map(|name| name.to_ascii_lowercase()).collect(),
        strength: raw.strength,
        examples: raw.examples,
        counter_examples: raw.counter_examples,
        regex: OnceLock::new(),
    }
}
