//! Rules are data: how the TOML files are read, and what is wrong with one is said with file and line.
use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, OnceLock};

use regex::bytes::{Regex, RegexBuilder};
use toml::Spanned;

mod data;
#[cfg(test)]
mod lead;

pub use data::Severity;
pub(crate) use data::{Boundary, Checksum, Detector, Lead, Leads, RawRule, RuleFile, Strength};

/// Bounds of a rule file, so that a hostile or broken one is refused instead of being slow.
const RULES_MAX: usize = 2_000;
const KEYWORDS_MAX: usize = 64;
const KEYWORD_BYTES_MAX: usize = 64;
const PATTERN_BYTES_MAX: usize = 1_024;
const WINDOW_MAX: usize = 4_096;
/// Compiled size of one pattern.
const REGEX_BYTES_MAX: usize = 1 << 20;

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

/// A rule as TOML, with the place of itself and of its pattern in the text.
type Located = Spanned<RawRule<Spanned<String>>>;

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
    /// What the pattern demands of each keyword, where it is known.
    pub(crate) leads: Leads,
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

    /// What the pattern demands at least where `keyword` (in lower case) stands.
    pub(crate) fn lead(&self, keyword: &str) -> Lead {
        let own = self.keywords.iter().zip(&self.leads).filter(|(own, _)| own.eq_ignore_ascii_case(keyword));
        own.map(|(_, lead)| *lead)
            .reduce(|a, b| Lead { from: a.from.min(b.from), behind: a.behind.min(b.behind) })
            .unwrap_or_default()
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

/// The rules of the files that were read so far. An id that comes again replaces the earlier rule, `disable` removes
/// rules.
#[derive(Default)]
pub(crate) struct Reading {
    rules: Vec<Rule>,
    ids: HashSet<Arc<str>>,
}

impl Reading {
    /// Reads a file that somebody wrote.
    ///
    /// # Errors
    /// The first problem with its line.
    pub(crate) fn toml(&mut self, name: &str, text: &str) -> Result<(), RuleError> {
        let error = |offset: usize, problem: String| located(name, text, offset, problem);
        let file: RuleFile<Located> = toml::from_str(text)
            .map_err(|err| error(err.span().map_or(0, |span| span.start), err.message().to_owned()))?;
        let starts: Vec<usize> = file.rule.iter().map(|raw| raw.span().start).collect();
        let plain = RuleFile {
            vendor: file.vendor,
            fix: file.fix,
            unbroken: file.unbroken,
            disable: file.disable,
            rule: file.rule.into_iter().map(|raw| plain(raw.into_inner())).collect(),
        };
        self.file(plain, Vec::new()).map_err(|(number, problem)| {
            let start = number.and_then(|number| starts.get(number)).copied().unwrap_or(0);
            error(start, problem)
        })
    }

    /// Takes in the rules of a file.
    ///
    /// # Errors
    /// The first problem, with the number of the rule that has it.
    pub(crate) fn file(
        &mut self,
        file: RuleFile<RawRule<String>>,
        leads: Vec<Leads>,
    ) -> Result<(), (Option<usize>, String)> {
        let mut leads = leads.into_iter();
        for id in &file.disable {
            if !self.ids.remove(id.as_str()) {
                return Err((None, format!("disable: there is no rule `{id}`")));
            }
            self.rules.retain(|rule| *rule.id != **id);
        }
        let mut seen: HashSet<Arc<str>> = HashSet::new();
        for (number, raw) in file.rule.into_iter().enumerate() {
            let error = |problem: String| (Some(number), problem);
            if seen.contains(raw.id.as_str()) {
                return Err(error(format!("rule `{}` stands twice in this file", raw.id)));
            }
            check(&raw).map_err(|problem| error(format!("rule `{}`: {problem}", raw.id)))?;
            let leads = leads.next().unwrap_or_default();
            let rule = build(raw, leads, &file.vendor, &file.fix, file.unbroken);
            seen.insert(Arc::clone(&rule.id));
            if !self.ids.insert(Arc::clone(&rule.id)) {
                self.rules.retain(|old| old.id != rule.id);
            }
            self.rules.push(rule);
            if self.rules.len() > RULES_MAX {
                return Err(error(format!("more than {RULES_MAX} rules")));
            }
        }
        Ok(())
    }

    /// All rules, in the order they were read.
    pub(crate) fn finish(self) -> Vec<Rule> {
        self.rules
    }
}

/// The rule without its place in a text.
fn plain(raw: RawRule<Spanned<String>>) -> RawRule<String> {
    RawRule {
        pattern: raw.pattern.map(Spanned::into_inner),
        id: raw.id,
        description: raw.description,
        severity: raw.severity,
        keywords: raw.keywords,
        secret_group: raw.secret_group,
        before: raw.before,
        window: raw.window,
        unbroken: raw.unbroken,
        boundary: raw.boundary,
        entropy: raw.entropy,
        checksum: raw.checksum,
        allow: raw.allow,
        chosen: raw.chosen,
        redact_only: raw.redact_only,
        pair: raw.pair,
        pair_severity: raw.pair_severity,
        detector: raw.detector,
        names: raw.names,
        suffixes: raw.suffixes,
        strength: raw.strength,
        tier: raw.tier,
        fix: raw.fix,
        examples: raw.examples,
        counter_examples: raw.counter_examples,
    }
}

/// Compiles all patterns of rule files that nobody tested before.
///
/// # Errors
/// The first broken pattern with its file and line.
pub(crate) fn check_patterns(sources: &[(&str, &str)]) -> Result<(), RuleError> {
    for (name, text) in sources {
        // A file that cannot be read is reported by `read`.
        let Ok(file) = toml::from_str::<RuleFile<Located>>(text) else { continue };
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

fn check(raw: &RawRule<String>) -> Result<(), String> {
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
            if pattern.len() > PATTERN_BYTES_MAX {
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

fn build(raw: RawRule<String>, leads: Leads, vendor: &str, fix: &str, unbroken: usize) -> Rule {
    let tier = raw.tier.unwrap_or(match raw.detector {
        Detector::Name | Detector::Authorization | Detector::Cookie | Detector::QueryToken => 2,
        Detector::SecretWord => 3,
        _ => 1,
    });
    let mut pattern = raw.pattern.unwrap_or_default();
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
        leads,
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
