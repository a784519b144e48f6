//! The compiled rules.
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::detect::fold;
use crate::detect::forms::Form;
use crate::detect::words::{Named, Names};
use crate::finding::{Finding, Match};
use crate::redact::memory::Memories;
use crate::redact::session::Session;
use crate::rule::{Detector, Reading, Rule, RuleError, RuleSource};
use crate::settings::Settings;
use crate::table::{Found, Hit, RUN_MIN, Seen, Stands, Table, Walk, Word};

/// What a keyword asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trigger {
    Percent,
    Escaped,
    Pem,
    Jwt,
    Url,
    Bearer,
    Basic,
    Insert,
    IdentifiedBy,
    UserFlag,
    Query,
    /// A program with a flag for a password.
    Tool,
    /// A program that reads a password from another.
    Piped,
    /// A function whose third argument is a password.
    Call,
    Oracle,
    Pgpass,
    Form(Form),
    /// `whole`: only as a word of its own.
    Name {
        whole: bool,
    },
    Rule(u16),
}

/// Where the rules of the coded detectors are; none if the rule was disabled.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Special {
    pub pem: Option<u16>,
    pub jwt: Option<u16>,
    pub card: Option<u16>,
    pub url_password: Option<u16>,
    pub url_token: Option<u16>,
    pub authorization: Option<u16>,
    pub cookie: Option<u16>,
    pub query_token: Option<u16>,
    pub secret_word: Option<u16>,
    pub custom: Option<u16>,
    pub email: Option<u16>,
    pub ip: Option<u16>,
}

/// All rules, compiled. Build it once and share it.
pub struct Engine {
    rules: Vec<Rule>,
    table: Table,
    /// What each keyword of the table asks for.
    triggers: Vec<Box<[Trigger]>>,
    names: Names,
    pub(crate) special: Special,
    /// What sessions know from earlier ones.
    pub(crate) memories: Memories,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("rules", &self.rules.len()).finish_non_exhaustive()
    }
}

impl Engine {
    /// The engine with the built-in rules, built at first use (some milliseconds).
    pub fn builtin() -> Arc<Self> {
        static BUILTIN: OnceLock<Arc<Engine>> = OnceLock::new();
        Arc::clone(BUILTIN.get_or_init(|| {
            // A test reads all built-in rules, so this cannot fail in a release. If it did, an engine without rules
            // refuses every input.
            Arc::new(Self::from_rules(&[]).unwrap_or_else(|_| Self::assemble(Vec::new())))
        }))
    }

    /// The built-in rules and then `extra` ones: an id that comes again replaces the earlier rule.
    ///
    /// # Errors
    /// The first broken rule, with file and line.
    pub fn from_rules(extra: &[RuleSource]) -> Result<Self, RuleError> {
        let own: Vec<(&str, &str)> =
            extra.iter().map(|source| (source.name.as_str(), source.text.as_str())).collect();
        crate::rule::check_patterns(&own)?;
        let broken = |file: &str, problem: String| RuleError { file: file.to_owned(), line: 1, problem };
        let mut rules = Reading::default();
        for file in crate::builtin::files().map_err(|error| broken("rules", error.to_string()))? {
            rules.file(file.rules, file.leads).map_err(|(_, problem)| broken(file.name, problem))?;
        }
        for (name, text) in own {
            rules.toml(name, text)?;
        }
        Ok(Self::assemble(rules.finish()))
    }

    /// The rules in the order they were read.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// The secrets in some bytes, by position. Documented examples, placeholders, references, identifiers and tokens with a
    /// wrong checksum are left out, other than in redaction; personal data is no secret.
    ///
    /// ```
    /// use actifix_secrets::Engine;
    ///
    /// let found = Engine::builtin().scan(b"db.password = 'q7Lm9xTz'");
    /// assert_eq!(&*found[0].rule, "password");
    /// assert_eq!(found[0].span, 15..23);
    /// ```
    pub fn scan(&self, text: &[u8]) -> Vec<Match> {
        let mut found = self.candidates(text);
        found.retain(Match::reported);
        found
    }

    /// All candidates in some bytes, by position, each with the reason why [`Engine::scan`] leaves it out, if there is one.
    pub fn candidates(&self, text: &[u8]) -> Vec<Match> {
        crate::scan::candidates(self, text)
    }

    /// Redacts one text on its own.
    pub fn redact_text(&self, text: &str, settings: &Settings) -> (String, Vec<Finding>) {
        let mut session = self.session(settings);
        let mut out = text.to_owned();
        if session.text("", &mut out).is_err() {
            // Text that cannot be redacted must not come out of here.
            return ("[redacted:over_budget]".to_owned(), session.finish().findings);
        }
        session.echo_text(&mut out);
        (out, session.finish().findings)
    }

    /// Starts the redaction of one envelope.
    pub fn session<'e>(&'e self, settings: &'e Settings) -> Session<'e> {
        Session::new(self, settings)
    }

    /// Whether there is nothing to redact with: every session then fails, instead of letting everything through.
    pub(crate) fn is_broken(&self) -> bool {
        self.rules.is_empty()
    }

    pub(crate) fn rule(&self, index: u16) -> Option<&Rule> {
        self.rules.get(usize::from(index))
    }

    /// The sensitive reading of a name.
    pub(crate) fn named(&self, settings: &Settings, name: &[u8]) -> Option<Named> {
        // `[redacted:private_key]` as a key is no name of a private key.
        if memchr::memmem::find(name, b"[redacted:").is_some() {
            return None;
        }
        if settings.sensitive_keys.contains(name) {
            return self.special.custom.map(Named::custom);
        }
        if !name.is_ascii()
            && let Some(view) = std::str::from_utf8(name).ok().and_then(fold::fold)
            && view.text.is_ascii()
        {
            return self.named(settings, view.text.as_bytes());
        }
        self.names.lookup(name)
    }

    /// What stands in a key: (anything for the text detectors, a word of a sensitive name). One cheap pass that most
    /// keys end with.
    pub(crate) fn key_marks(&self, settings: &Settings, key: &str) -> (bool, bool) {
        if is_schema_name(key) {
            return (false, settings.sensitive_keys.contains(key.as_bytes()));
        }
        let (any, name, seen) = self.marks(key.as_bytes());
        // Keys of six bytes hold nothing to redact, addresses and card numbers have digits.
        let text = key.len() > 6 && (any || seen.at_sign() || seen.digit());
        (
            text || !key.is_ascii() || settings.sensitive_keys.matcher().is_some(),
            name || !key.is_ascii() || settings.sensitive_keys.contains(key.as_bytes()),
        )
    }

    /// Whether a word of a sensitive name stands in a key: the cheap test before the exact one.
    pub(crate) fn has_name(&self, settings: &Settings, key: &[u8]) -> bool {
        !key.is_ascii() || self.marks(key).1 || settings.sensitive_keys.contains(key)
    }

    /// Collects the first keywords of a text that stand where they may, overlapping ones too: in most texts all.
    #[inline]
    pub(crate) fn start(&self, text: &[u8], found: &mut Found) -> Walk {
        self.table.start(text, found)
    }

    /// Collects the rest and brings them in order; very many go to `full`.
    #[inline]
    pub(crate) fn go_on(&self, text: &[u8], walk: Walk, found: &mut Found, full: impl FnMut(&[Hit])) -> Seen {
        self.table.go_on(text, walk, found, full)
    }

    /// What a keyword asks for.
    #[inline]
    pub(crate) fn triggers(&self, hit: &Hit) -> &[Trigger] {
        self.triggers.get(usize::from(hit.keyword)).map_or(&[], |triggers| triggers)
    }

    /// (a keyword at all, a word of a sensitive name, kinds of bytes) of a short text.
    fn marks(&self, text: &[u8]) -> (bool, bool, Seen) {
        let (mut any, mut name) = (false, false);
        let mut look = |hits: &[Hit]| {
            any |= !hits.is_empty();
            name |= hits
                .iter()
                .flat_map(|hit| self.triggers(hit))
                .any(|trigger| matches!(trigger, Trigger::Name { .. }));
        };
        let mut found = Found::default();
        let walk = self.start(text, &mut found);
        let seen = self.go_on(text, walk, &mut found, &mut look);
        look(&found.hits);
        (any || seen.hidden(), name, seen)
    }

    fn assemble(rules: Vec<Rule>) -> Self {
        let mut keywords: BTreeMap<String, Vec<Trigger>> = BTreeMap::new();
        let mut want = |keyword: &str, trigger: Trigger| {
            let triggers = keywords.entry(keyword.to_ascii_lowercase()).or_default();
            if !triggers.contains(&trigger) {
                triggers.push(trigger);
            }
        };
        let mut special = Special::default();
        for (index, rule) in rules.iter().enumerate() {
            let Ok(index) = u16::try_from(index) else { break };
            place(rule, index, &mut special, &mut want);
        }
        for (keyword, trigger) in FIXED {
            want(keyword, *trigger);
        }
        for (keyword, trigger) in crate::detect::forms::keywords() {
            want(keyword, trigger);
        }
        for name in crate::detect::command::tool_names() {
            want(name, Trigger::Tool);
        }
        drop_covered_names(&mut keywords);
        let words: Vec<Word<'_>> = keywords
            .iter()
            .map(|(text, triggers)| Word { text, stands: stands(&rules, text, triggers) })
            .collect();
        // Only an absurd number of keywords can fail: the bounds on rules exclude it.
        let Some(table) = Table::new(&words) else { return Self::assemble(Vec::new()) };
        let triggers = keywords.into_values().map(Vec::into_boxed_slice).collect();
        let names = Names::new(&rules);
        Self { rules, table, triggers, names, special, memories: Memories::default() }
    }
}

/// Where a keyword counts.
fn stands(rules: &[Rule], keyword: &str, triggers: &[Trigger]) -> Stands {
    let first = keyword.starts_with(|first: char| first.is_ascii_alphanumeric());
    let of = |trigger: &Trigger| match trigger {
        Trigger::Rule(index) => rules.get(usize::from(*index)).filter(|rule| begins(rule)),
        _ => None,
    };
    let all = |demands: fn(&Rule, &str) -> bool| {
        triggers.iter().all(|trigger| of(trigger).is_some_and(|rule| demands(rule, keyword)))
    };
    let is_run = |byte: u8| crate::bytes::is_base64(byte);
    if !first || !all(|_, _| true) {
        Stands::Anywhere
    } else if all(|rule, keyword| long_from(rule, keyword) >= RUN_MIN) {
        Stands::InRun
    } else if !keyword.bytes().last().is_some_and(is_run)
        && all(|rule, keyword| rule.lead(keyword).behind >= RUN_MIN)
    {
        Stands::BeforeRun
    } else {
        Stands::First
    }
}

/// Whether what a rule finds begins with its keyword, at the start of a token.
fn begins(rule: &Rule) -> bool {
    rule.before == 0 && rule.detector != Detector::Vendor
}

/// How long the token is at least that begins with a keyword.
fn long_from(rule: &Rule, keyword: &str) -> usize {
    // The pattern of the others is that of another word, and the identifier itself has so many letters and digits.
    if rule.detector == Detector::Near { rule.unbroken } else { rule.lead(keyword).from }
}

/// Keywords of the coded detectors; the search tells of the shortest escapes by itself.
const FIXED: &[(&str, Trigger)] = &[
    ("\\u00", Trigger::Escaped),
    // Cyrillic, and the words for a password that `fold` knows, in JSON of ASCII only.
    ("\\u04", Trigger::Escaped),
    ("\\u0142", Trigger::Escaped),
    ("\\u5bc6\\u78", Trigger::Escaped),
    ("\\u30d1\\u30b9", Trigger::Escaped),
    ("\\ube44\\ubc00", Trigger::Escaped),
    ("-----begin ", Trigger::Pem),
    ("-----begin+", Trigger::Percent),
    ("eyj", Trigger::Jwt),
    ("://", Trigger::Url),
    ("bearer ", Trigger::Bearer),
    ("basic ", Trigger::Basic),
    ("insert into", Trigger::Insert),
    ("insert ignore into", Trigger::Insert),
    ("replace into", Trigger::Insert),
    ("identified by", Trigger::IdentifiedBy),
    (" -u ", Trigger::UserFlag),
    (" --user ", Trigger::UserFlag),
    (" --proxy-user ", Trigger::UserFlag),
    ("'-u', ", Trigger::UserFlag),
    ("\"-u\",", Trigger::UserFlag),
    ("\"-u\", ", Trigger::UserFlag),
    ("?key=", Trigger::Query),
    ("&key=", Trigger::Query),
    ("?sig=", Trigger::Query),
    ("&sig=", Trigger::Query),
    ("?code=", Trigger::Query),
    ("&code=", Trigger::Query),
    ("signature=", Trigger::Query),
    ("passw0rd", Trigger::Name { whole: false }),
    ("chpasswd", Trigger::Piped),
    ("sudo -s", Trigger::Piped),
    ("new pdo(", Trigger::Call),
    ("pdo->__construct(", Trigger::Call),
    ("pdo::__construct(", Trigger::Call),
    ("mysqli(", Trigger::Call),
    ("mysqli_connect(", Trigger::Call),
    ("mysql_connect(", Trigger::Call),
    ("jdbc:oracle:thin:", Trigger::Oracle),
    ("jdbc:oracle:oci:", Trigger::Oracle),
    ("sqlplus ", Trigger::Oracle),
    (":5432:", Trigger::Pgpass),
    ("*:*:", Trigger::Pgpass),
];

fn place(rule: &Rule, index: u16, special: &mut Special, want: &mut impl FnMut(&str, Trigger)) {
    let slot = match rule.detector {
        Detector::Pattern | Detector::Vendor | Detector::Near => {
            for keyword in &rule.keywords {
                want(keyword, Trigger::Rule(index));
            }
            return;
        }
        Detector::Name => None,
        Detector::Pem => Some(&mut special.pem),
        Detector::Jwt => Some(&mut special.jwt),
        Detector::Card => Some(&mut special.card),
        Detector::UrlPassword => Some(&mut special.url_password),
        Detector::UrlToken => Some(&mut special.url_token),
        Detector::Authorization => Some(&mut special.authorization),
        Detector::Cookie => Some(&mut special.cookie),
        Detector::QueryToken => Some(&mut special.query_token),
        Detector::SecretWord => Some(&mut special.secret_word),
        Detector::Custom => Some(&mut special.custom),
        Detector::Email => Some(&mut special.email),
        Detector::Ip => Some(&mut special.ip),
    };
    if let Some(slot) = slot {
        *slot = slot.or(Some(index));
    }
    for suffix in &rule.suffixes {
        want(suffix, Trigger::Name { whole: false });
    }
    for name in &rule.names {
        if name.contains(' ') {
            for glue in ["", "_", "-", ".", " "] {
                want(&name.replace(' ', glue), Trigger::Name { whole: true });
            }
            // `one-time code`
            if name.matches(' ').count() == 2 {
                want(&name.replacen(' ', "-", 1), Trigger::Name { whole: true });
            }
        } else {
            want(name, Trigger::Name { whole: true });
        }
    }
}

/// Removes names whose last part is found as a suffix anyway: `db_password` by `password`.
fn drop_covered_names(keywords: &mut BTreeMap<String, Vec<Trigger>>) {
    let suffix = Trigger::Name { whole: false };
    let suffixes: Vec<String> = keywords
        .iter()
        .filter(|(_, triggers)| triggers.contains(&suffix))
        .map(|(keyword, _)| keyword.clone())
        .collect();
    for (keyword, triggers) in keywords.iter_mut() {
        let covered = suffixes.iter().any(|suffix| keyword.ends_with(suffix.as_str()) && keyword != suffix);
        triggers.retain(|trigger| !(covered && matches!(trigger, Trigger::Name { .. })));
        if triggers.contains(&suffix) {
            triggers.retain(|trigger| *trigger != Trigger::Name { whole: true });
        }
    }
    keywords.retain(|_, triggers| !triggers.is_empty());
}

/// Names of the event schema that every frame repeats; a test says that there is nothing to find in them.
#[cfg(test)]
const SCHEMA_NAMES: &[&str] = &[
    "abs_path",
    "category",
    "colno",
    "context_line",
    "data",
    "filename",
    "function",
    "id",
    "in_app",
    "instruction_addr",
    "level",
    "lineno",
    "message",
    "method",
    "module",
    "name",
    "package",
    "post_context",
    "pre_context",
    "self",
    "stacktrace",
    "timestamp",
    "type",
    "url",
    "value",
    "values",
    "vars",
    "version",
];

#[inline]
fn is_schema_name(key: &str) -> bool {
    matches!(
        key,
        "abs_path"
            | "category"
            | "colno"
            | "context_line"
            | "data"
            | "filename"
            | "function"
            | "id"
            | "in_app"
            | "instruction_addr"
            | "level"
            | "lineno"
            | "message"
            | "method"
            | "module"
            | "name"
            | "package"
            | "post_context"
            | "pre_context"
            | "self"
            | "stacktrace"
            | "timestamp"
            | "type"
            | "url"
            | "value"
            | "values"
            | "vars"
            | "version"
    )
}

#[cfg(test)]
mod agree;

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference: every pattern tried at every byte, without keywords, cheap tests or windows around them.
    fn everywhere(engine: &Engine, text: &[u8]) -> Vec<(String, usize, usize)> {
        let mut found = Vec::new();
        for rule in engine.rules().filter(|rule| rule.detector == Detector::Pattern && rule.before == 0) {
            for pos in 0..text.len() {
                let keyword =
                    rule.keywords.iter().any(|keyword| crate::bytes::has(text, pos, keyword.as_bytes()));
                let span = if keyword { crate::detect::hunt::rule_at(rule, text, pos) } else { None };
                // Only at the start of a token: the rest is most of the text and tells nothing.
                let starts = crate::bytes::starts_token(text, pos);
                let regex = rule.regex().filter(|_| starts);
                let bare = regex.and_then(|regex| regex.find(&text[pos..])).map(|found| pos + found.start());
                if bare == Some(pos) {
                    assert!(
                        keyword || rule.any_case,
                        "{}: its pattern matches without its keywords",
                        rule.id()
                    );
                }
                if let Some((start, end)) = span {
                    found.push((rule.id().to_owned(), start, end));
                }
            }
        }
        found.sort();
        found.dedup();
        found
    }

    #[test]
    fn the_automaton_finds_what_the_patterns_find() {
        let engine = Engine::builtin();
        let body = "aB3dE6gH9jK2mN5pQ8sT1vW4xY7zC0fR";
        let prefixes: Vec<&str> = engine
            .rules()
            .filter(|rule| rule.before == 0)
            .flat_map(|rule| rule.keywords.iter().map(String::as_str))
            .collect();
        for (index, prefix) in prefixes.iter().enumerate() {
            let other = prefixes[(index * 7 + 3) % prefixes.len()];
            for text in [
                format!("x={prefix}{body}{body} {other}{body}"),
                format!("{other}{prefix}{body}"),
                format!(
                    "?a={prefix}{body}{body}{body}&b={other}0123456789abcdef0123456789abcdef\\n{prefix}{body}"
                ),
            ] {
                let ids: Vec<(String, usize, usize)> = engine
                    .candidates(text.as_bytes())
                    .iter()
                    .filter(|found| {
                        engine.rules().any(|rule| {
                            rule.id == found.rule && rule.detector == Detector::Pattern && rule.before == 0
                        })
                    })
                    .map(|found| (found.rule.to_string(), found.span.start, found.span.end))
                    .collect();
                let mut ids = ids;
                ids.sort();
                assert_eq!(ids, everywhere(&engine, text.as_bytes()), "{text}");
            }
        }
    }

    #[test]
    fn names_of_the_schema_hold_no_keyword() {
        let engine = Engine::builtin();
        for name in SCHEMA_NAMES {
            assert!(is_schema_name(name));
            assert!(!engine.has_name(&Settings::default(), name.as_bytes()), "{name}");
            assert_eq!(engine.redact_text(name, &Settings::default()).0, *name);
        }
    }
}
