//! The redaction of the parts of one request: values, files, texts, each within a bounded effort.
//!
//! A session of the engine remembers a bounded number of secrets for the echo rule. A request with more of them (a
//! batch of log records, each with a password of its own, say) goes on with another session, so that nothing of it
//! is lost; all sessions look at all parts in the end. Beyond [`SESSIONS_MAX`] each part has one of its own.

use crate::ports::FindingRecord;
use actifix_secrets::{Budget, BudgetExceeded, Engine, Finding, Session, Settings, Severity};
use std::collections::BTreeMap;

/// Sessions that look at all parts of a request.
const SESSIONS_MAX: usize = 8;
/// Sessions of one part alone, after those.
const SESSIONS_ALONE_MAX: usize = 8;
/// Bytes that the engine may look at for one byte of a part alone; the usual budget of a request allows about five.
const ALONE_FACTOR: u64 = 8;
/// Bytes that it may look at for a part alone in any case.
const ALONE_BYTES_MIN: u64 = 64 * 1_024;
/// Findings of one request that are kept; all are replaced and counted.
const FINDINGS_MAX: usize = 1_000;

/// One part holds more secrets than can be looked for elsewhere.
const LOST: BudgetExceeded = BudgetExceeded::Echoes { max: usize::MAX };

/// One part of a request.
pub(super) trait Part {
    /// Replaces the secrets in it.
    fn redact(&mut self, session: &mut Session<'_>) -> Result<(), BudgetExceeded>;
    /// Replaces what the session found elsewhere.
    fn echo(&mut self, session: &mut Session<'_>);
    /// Bytes, about.
    fn weight(&self) -> u64;
}

/// All sessions of a request.
pub(super) struct Passes<'a> {
    engine: &'a Engine,
    settings: &'a Settings,
    sessions: Vec<Session<'a>>,
    /// The last session has seen nothing yet.
    fresh: bool,
    /// No further session may look at all parts.
    spent: bool,
    findings_left: usize,
    redactions: BTreeMap<String, u64>,
}

impl<'a> Passes<'a> {
    pub(super) fn new(engine: &'a Engine, settings: &'a Settings) -> Self {
        Self {
            engine,
            settings,
            sessions: vec![engine.session(settings)],
            fresh: true,
            spent: false,
            findings_left: FINDINGS_MAX,
            redactions: BTreeMap::new(),
        }
    }

    /// First pass over a part: what was found in it. After an error it is only partly redacted.
    pub(super) fn redact(&mut self, part: &mut impl Part) -> Result<Vec<FindingRecord>, BudgetExceeded> {
        let mut found = Vec::new();
        // Ends: each turn that goes on adds a session, or is the last.
        loop {
            let fresh = std::mem::take(&mut self.fresh);
            let Some(session) = self.sessions.last_mut().filter(|_| !self.spent) else { break };
            let done = part.redact(session);
            found.extend(session.take_findings().into_iter().map(record));
            match done {
                Ok(()) => return Ok(self.keep(found)),
                // What it replaced stays replaced: the next session goes on from there.
                Err(BudgetExceeded::Echoes { .. }) => {}
                // The parts before it used the budget up.
                Err(BudgetExceeded::Bytes { .. }) if !fresh => {}
                Err(why) => return Err(why),
            }
            let Some(next) = session.successor() else { return Err(LOST) };
            self.spent = self.sessions.len() >= SESSIONS_MAX;
            self.sessions.push(next);
            self.fresh = true;
        }
        self.alone(part, found)
    }

    /// Second pass, after the first went over all parts.
    pub(super) fn echo(&mut self, part: &mut impl Part) {
        for session in &mut self.sessions {
            part.echo(session);
        }
    }

    /// Replacements by rule.
    pub(super) fn finish(mut self) -> BTreeMap<String, u64> {
        for session in std::mem::take(&mut self.sessions) {
            self.count(session);
        }
        self.redactions
    }

    fn alone(
        &mut self,
        part: &mut impl Part,
        mut found: Vec<FindingRecord>,
    ) -> Result<Vec<FindingRecord>, BudgetExceeded> {
        let bytes_max = part.weight().saturating_mul(ALONE_FACTOR).saturating_add(ALONE_BYTES_MIN);
        let budget = Budget { bytes_max, ..self.settings.budget };
        let settings = Settings { budget, ..self.settings.clone() };
        let mut session = self.engine.session(&settings);
        for _ in 0..SESSIONS_ALONE_MAX {
            let done = part.redact(&mut session);
            part.echo(&mut session);
            found.extend(session.take_findings().into_iter().map(record));
            let next = session.successor();
            self.count(session);
            match (done, next) {
                (Ok(()), _) => return Ok(self.keep(found)),
                (Err(BudgetExceeded::Echoes { .. }), Some(next)) => session = next,
                (Err(why), _) => return Err(why),
            }
        }
        Err(LOST)
    }

    fn keep(&mut self, mut found: Vec<FindingRecord>) -> Vec<FindingRecord> {
        found.truncate(self.findings_left);
        self.findings_left -= found.len();
        found
    }

    fn count(&mut self, session: Session<'_>) {
        for (rule, count) in session.finish().redactions {
            *self.redactions.entry(rule).or_default() += count;
        }
    }
}

pub(crate) fn record(finding: Finding) -> FindingRecord {
    FindingRecord {
        rule: finding.rule.to_string(),
        severity: severity_word(finding.severity),
        path: finding.path,
        masked: finding.masked,
        hash: finding.hash,
    }
}

/// Words of the store and the API.
fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::High => "high",
        Severity::Medium => "medium",
        Severity::Low => "low",
    }
}
