//! One pass over one text: the automaton says where something could be, the detectors look there.
use super::Span;
use super::memo::NameMemo;
use super::shape::{self, UserInfo};
use super::words::Named;
use crate::bytes::{at, is_token, run, slice, starts_token};
use crate::engine::{Engine, Trigger};
use crate::rule::{Boundary, Detector, Rule, Strength};
use crate::settings::Settings;
use crate::table::{Found, Hit, Seen, Walk};

/// Rules whose last match is remembered: a format does not stand inside of itself.
const MATCHED_MAX: usize = 4;
/// Starts of a JWT that are tried in one run of token bytes.
const JWT_TRIES_MAX: u32 = 4;
/// Work of the detectors in bytes of plain search: per byte of a pattern's window and of a token.
const PATTERN_WORK: usize = 3;
const SHAPE_WORK: usize = 2;
/// Longest piece of text that is followed for that.
const PIECE_BYTES_MAX: usize = 4_096;

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
    memo: &'a NameMemo,
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
    /// End of the values that were looked at and stay, and how many of them hang together.
    pub refused_end: usize,
    pub refused: u32,
    /// No cookie before this offset has pairs, no statement before this one rows of its own.
    pub cookie_done: usize,
    pub insert_done: usize,
    /// No program before this offset has a flag for its password, no header line of a table rows.
    pub tool_done: usize,
    pub header_done: usize,
    /// No parameters of a statement before this offset have to be looked at, no head of a grid.
    pub bound_done: usize,
    pub grid_done: usize,
    /// End of the header line of the last grid, and how many of its columns were followed.
    pub grid_head: (usize, u32),
    /// End of the last run of token bytes in which words were no JWT, and how many of them.
    jwt_run: (usize, u32),
    /// End of the last user information of a URL, and the next `@`, beyond the text if there is none.
    url_done: usize,
    next_at: usize,
    /// End of the last piece of text without blanks and quotes that a pattern was tried in.
    piece_end: usize,
    /// Where the last matches of some rules end.
    matched: [(u16, usize); MATCHED_MAX],
    matched_next: usize,
    /// Bytes looked at by the detectors; they stop at `work_max`.
    pub work: usize,
    pub work_max: usize,
}

impl<'a> Hunt<'a> {
    pub(crate) fn new(
        engine: &'a Engine,
        settings: &'a Settings,
        memo: &'a NameMemo,
        text: &'a [u8],
        code: bool,
    ) -> Self {
        Self {
            engine,
            settings,
            memo,
            text,
            code,
            spans: Vec::new(),
            marks: Marks::default(),
            covered: 0,
            name_done: 0,
            shape_done: 0,
            refused_end: 0,
            refused: 0,
            cookie_done: 0,
            insert_done: 0,
            tool_done: 0,
            header_done: 0,
            bound_done: 0,
            grid_done: 0,
            grid_head: (0, 0),
            jwt_run: (0, 0),
            piece_end: 0,
            url_done: 0,
            next_at: 0,
            matched: [(u16::MAX, 0); MATCHED_MAX],
            matched_next: 0,
            work: 0,
            work_max: usize::MAX,
        }
    }

    /// Looks at every hit. Overlapping search: plain search lets short keywords hide long ones.
    pub(crate) fn run(&mut self, found: &mut Found) {
        let walk = self.engine.start(self.text, found);
        self.go_on(walk, found);
    }

    /// The same after the search has begun.
    pub(crate) fn go_on(&mut self, walk: Walk, found: &mut Found) {
        let seen = self.engine.go_on(self.text, walk, found, |hits| self.hits(hits));
        self.hits(&found.hits);
        self.marks.seen = seen;
        self.marks.percent |= seen.percent();
        self.marks.escaped |= seen.escaped();
        self.marks.any |= seen.at_sign() || seen.hidden();
        if let Some(matcher) = self.settings.sensitive_keys.matcher() {
            (self.covered, self.name_done) = (0, 0);
            for hit in matcher.find_iter(self.text) {
                if self.work > self.work_max {
                    return;
                }
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
            if self.work > self.work_max {
                return;
            }
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
            Trigger::Tool => self.tool(start, end),
            Trigger::Piped => self.piped(start),
            Trigger::Call => self.call(end),
            Trigger::Oracle => self.oracle(end),
            Trigger::Pgpass => self.pgpass(end),
            Trigger::Form(form) => self.form_at(form, start, end),
        }
    }

    pub(crate) fn add(&mut self, start: usize, end: usize, rule: u16, echo: bool) {
        if start < end && end <= self.text.len() {
            self.spans.push(Span { start, end, rule, echo });
        }
    }

    /// The sensitive reading of a name, the project's own names included.
    pub(crate) fn named(&self, name: &[u8]) -> Option<Named> {
        self.memo.get(name, |name| self.engine.named(self.settings, name))
    }

    fn pem(&mut self, start: usize) {
        if start >= self.shape_done
            && let (Some((from, to)), Some(rule)) = (shape::pem(self.text, start), self.engine.special.pem)
        {
            self.add(from, to, rule, false);
            self.work += to - from;
            self.shape_done = to;
            self.covered = self.covered.max(to);
        }
    }

    fn jwt(&mut self, start: usize) {
        let (run_end, tries) = self.jwt_run;
        if start < self.shape_done || (start < run_end && tries >= JWT_TRIES_MAX) {
            return;
        }
        if let (Some((from, to)), Some(rule)) = (shape::jwt(self.text, start), self.engine.special.jwt) {
            self.add(from, to, rule, true);
            self.work += SHAPE_WORK * (to - from);
            self.shape_done = to;
            return;
        }
        let end = if start < run_end { run_end } else { shape::jwt_header_end(self.text, start) };
        self.work += SHAPE_WORK * (end - start);
        self.jwt_run = (end, if start < run_end { tries + 1 } else { 1 });
    }

    fn url(&mut self, end: usize) {
        if end < self.url_done {
            return;
        }
        if self.next_at < usize::MAX && (end > self.next_at || at(self.text, self.next_at) != b'@') {
            let rest = slice(self.text, end, self.text.len());
            self.next_at = memchr::memchr(b'@', rest).map_or(usize::MAX, |found| end + found);
        }
        let (info, looked) = shape::user_info(self.text, end, self.next_at);
        self.work += looked;
        let (rule, from, to) = match info {
            Some(UserInfo::Password(from, to)) => (self.engine.special.url_password, from, to),
            Some(UserInfo::Token(from, to)) => (self.engine.special.url_token, from, to),
            None => return,
        };
        self.url_done = to;
        if let Some(rule) = rule {
            self.add(from, to, rule, true);
        }
    }

    /// What a pattern costs at `keyword`: few go on beyond the unbroken piece of text that they begin in.
    fn pattern_work(&mut self, keyword: usize, window: usize) -> usize {
        if keyword >= self.piece_end {
            self.piece_end = run(self.text, keyword, PIECE_BYTES_MAX, |b| {
                b > b' ' && !matches!(b, b'"' | b'\'' | b'<' | b'>')
            })
            .max(keyword + 1);
        }
        PATTERN_WORK * window.min(self.piece_end - keyword)
    }

    fn rule(&mut self, index: u16, keyword: usize, keyword_end: usize) {
        let engine = self.engine;
        let Some(rule) = engine.rule(index) else { return };
        match rule.detector {
            Detector::Vendor => self.vendor(index, keyword, keyword_end),
            Detector::Near => self.near(index, keyword),
            _ => {
                let inside = self.matched.iter().any(|(rule, end)| *rule == index && keyword < *end);
                if inside || !could_match(rule, self.text, keyword, keyword_end) {
                    return;
                }
                self.work += self.pattern_work(keyword, rule.window);
                if let Some((start, end)) = rule_at(rule, self.text, keyword) {
                    self.add(start, end, index, true);
                    self.work += end - start;
                    if let Some(slot) = self.matched.get_mut(self.matched_next % MATCHED_MAX) {
                        *slot = (index, end);
                    }
                    self.matched_next = self.matched_next.wrapping_add(1);
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
        Self { rule, strength: Strength::Strong, detector: Detector::Name, chosen: true }
    }
}
