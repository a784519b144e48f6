//! One pass over one text: the automaton says where something could be, the detectors look there.
use super::Span;
use super::shape::{self, UserInfo};
use super::words::Named;
use crate::bytes::{at, is_token, slice, starts_token};
use crate::engine::{Engine, Trigger};
use crate::rule::{Boundary, Detector, Rule, Strength};
use crate::settings::Settings;
use crate::table::{Hit, Seen, Walk};

/// What else there is to do with a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// A percent escape.
    pub percent: bool,
    /// A JSON escape that hides letters: `\u0041`, `\/`.
    pub escaped: bool,
    /// A word of a sensitive name.
    pub name: bool,
    /// Anything at all.
    pub any: bool,
    /// Kinds of bytes.
    pub seen: Seen,
}

/// The state of one pass.
pub(crate) struct Hunt<'a> {
    pub engine: &'a Engine,
    pub settings: &'a Settings,
    pub text: &'a [u8],
    /// The text is a line of source code.
    pub code: bool,
    pub spans: Vec<Span>,
    pub marks: Marks,
    /// Names before this offset belong to a value already taken.
    pub covered: usize,
    /// End of the last name looked at.
    pub name_done: usize,
    /// No later PEM, JWT or rule needs to look before this offset.
    shape_done: usize,
}

impl<'a> Hunt<'a> {
    pub(crate) fn new(engine: &'a Engine, settings: &'a Settings, text: &'a [u8], code: bool) -> Self {
        Self {
            engine,
            settings,
            text,
            code,
            spans: Vec::new(),
            marks: Marks::default(),
            covered: 0,
            name_done: 0,
            shape_done: 0,
        }
    }

    /// Looks at every hit. Overlapping search: plain search lets short keywords hide long ones.
    pub(crate) fn run(&mut self) {
        let mut hits = Vec::new();
        let walk = self.engine.start(self.text, &mut hits);
        self.go_on(walk, &mut hits);
    }

    /// The same after the search has begun.
    pub(crate) fn go_on(&mut self, walk: Walk, hits: &mut Vec<Hit>) {
        let seen = self.engine.go_on(self.text, walk, hits, |hits| self.hits(hits));
        self.hits(hits);
        self.marks.seen = seen;
        self.marks.any |= seen.at_sign();
        if let Some(matcher) = self.settings.sensitive_keys.matcher() {
            (self.covered, self.name_done) = (0, 0);
            for hit in matcher.find_iter(self.text) {
                self.marks.name = true;
                self.name(hit.start(), hit.end(), true);
            }
        }
    }

    /// Looks at what the keywords ask for.
    fn hits(&mut self, hits: &[Hit]) {
        self.marks.any |= !hits.is_empty();
        let engine = self.engine;
        for hit in hits {
            for trigger in engine.triggers(hit) {
                self.dispatch(*trigger, hit.start, hit.end);
            }
        }
    }

    #[inline]
    fn dispatch(&mut self, trigger: Trigger, start: usize, end: usize) {
        match trigger {
            Trigger::Percent => self.marks.percent = true,
            Trigger::Escaped => self.marks.escaped = true,
            Trigger::Name { whole } => {
                self.marks.name = true;
                self.name(start, end, whole);
            }
            Trigger::Rule(rule) => self.rule(rule, start, end),
            Trigger::Pem => self.pem(start),
            Trigger::Jwt => self.jwt(start),
            Trigger::Url => self.url(end),
            Trigger::Bearer => {
                if let (Some((from, to)), Some(rule)) =
                    (super::auth::bearer(self.text, end), self.engine.special.authorization)
                {
                    self.add(from, to, rule, true);
                }
            }
            Trigger::Basic => {
                if let (Some((from, to)), Some(rule)) =
                    (super::auth::basic(self.text, end), self.engine.special.authorization)
                {
                    self.add(from, to, rule, true);
                }
            }
            Trigger::Insert => self.insert(end),
            Trigger::IdentifiedBy => self.identified_by(end),
            Trigger::UserFlag => self.user_flag(end),
            Trigger::Query => self.query(end),
        }
    }

    pub(crate) fn add(&mut self, start: usize, end: usize, rule: u16, echo: bool) {
        if start < end && end <= self.text.len() {
            self.spans.push(Span { start, end, rule, echo });
        }
    }

    /// The sensitive reading of a name, the project's own names included.
    pub(crate) fn named(&self, name: &[u8]) -> Option<Named> {
        self.engine.named(self.settings, name)
    }

    fn pem(&mut self, start: usize) {
        if start >= self.shape_done
            && let (Some((from, to)), Some(rule)) = (shape::pem(self.text, start), self.engine.special.pem)
        {
            self.add(from, to, rule, false);
            self.shape_done = to;
            self.covered = self.covered.max(to);
        }
    }

    fn jwt(&mut self, start: usize) {
        if start >= self.shape_done
            && let (Some((from, to)), Some(rule)) = (shape::jwt(self.text, start), self.engine.special.jwt)
        {
            self.add(from, to, rule, true);
            self.shape_done = to;
        }
    }

    fn url(&mut self, end: usize) {
        let (rule, from, to) = match shape::user_info(self.text, end) {
            Some(UserInfo::Password(from, to)) => (self.engine.special.url_password, from, to),
            Some(UserInfo::Token(from, to)) => (self.engine.special.url_token, from, to),
            None => return,
        };
        if let Some(rule) = rule {
            self.add(from, to, rule, true);
        }
    }

    fn rule(&mut self, index: u16, keyword: usize, keyword_end: usize) {
        let engine = self.engine;
        let Some(rule) = engine.rule(index) else { return };
        match rule.detector {
            Detector::Vendor => self.vendor(index, keyword, keyword_end),
            Detector::Near => self.near(index, keyword),
            _ => {
                if could_match(rule, self.text, keyword, keyword_end)
                    && let Some((start, end)) = rule_at(rule, self.text, keyword)
                {
                    self.add(start, end, index, true);
                }
            }
        }
    }
}

/// The tests that cost less than a pattern: the start of a token, the case of the keyword, enough bytes in one piece.
/// Short keywords (`pat`, `re_`) stand in every path.
#[inline]
fn could_match(rule: &Rule, text: &[u8], keyword: usize, keyword_end: usize) -> bool {
    let unbroken = || {
        let end = keyword.saturating_add(rule.unbroken);
        text.get(keyword..end)
            .is_some_and(|part| part.iter().all(|b| *b > b' ' && !matches!(b, b'"' | b'\'' | b',' | b')')))
    };
    let case = || {
        let found = slice(text, keyword, keyword_end);
        rule.any_case || rule.keywords.iter().any(|want| want.as_bytes() == found)
    };
    let starts = rule.before > 0 || !at(text, keyword).is_ascii_alphanumeric() || starts_token(text, keyword);
    starts && unbroken() && case()
}

/// Runs a rule's pattern at one of its keywords, on a bounded window.
pub(crate) fn rule_at(rule: &Rule, text: &[u8], keyword: usize) -> Option<(usize, usize)> {
    let from = keyword.saturating_sub(rule.before);
    if rule.before == 0 && at(text, keyword).is_ascii_alphanumeric() && !starts_token(text, keyword) {
        return None;
    }
    let window = slice(text, from, keyword.saturating_add(rule.window));
    let regex = rule.regex()?;
    let (whole, secret) = if rule.secret_group == 0 {
        let found = regex.find(window)?;
        (found, found)
    } else {
        let captures = regex.captures(window)?;
        (captures.get(0)?, captures.get(rule.secret_group)?)
    };
    let end = from + whole.end();
    let next = at(text, end);
    let glued = match rule.boundary {
        Boundary::Alnum => next.is_ascii_alphanumeric(),
        Boundary::Token => is_token(next),
        Boundary::None => false,
    };
    let cut = end == from + window.len();
    let start_ok = rule.before == 0 || starts_token(text, from + whole.start());
    if (glued && !cut) || !start_ok {
        return None;
    }
    let mut secret_end = from + secret.end();
    if cut && secret.end() == whole.end() {
        // The window was too short for a long token: take all of it.
        secret_end = crate::bytes::run(text, secret_end, 8_192, is_token);
    }
    Some((from + secret.start(), secret_end))
}

impl Named {
    /// A name that the project declared.
    pub(crate) fn custom(rule: u16) -> Self {
        Self { rule, strength: Strength::Strong, detector: Detector::Name }
    }
}
