//! The redaction of one envelope: counts, findings and the values to look for elsewhere.
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::echo::Echoes;
use super::memory::Lent;
use super::node::{Node, Part};
use super::text::Place;
use crate::detect::words::Named;
use crate::engine::Engine;
use crate::finding::{self, Finding, Report};
use crate::settings::{BudgetExceeded, FREE_WORK, Settings};
use crate::table::Found;

/// So many times the values that a session remembers may be handed to its successor.
const SPILLED_FACTOR: usize = 4;

/// Redacts the parts of one envelope. First give it every part with [`Session::value`] and [`Session::text`], then
/// every part again with the `echo_` methods; [`Session::finish`] tells what was done.
pub struct Session<'e> {
    pub(crate) engine: &'e Engine,
    pub(crate) settings: &'e Settings,
    /// The part of the envelope that was given last.
    path: String,
    pub(crate) echoes: Echoes,
    /// What is known from before.
    pub(crate) memory: Lent<'e>,
    /// The keywords of the text at hand; kept for its memory.
    pub(crate) lists: Found,
    /// Set when a value could not be remembered; the next call that can fail does.
    echoes_full: bool,
    /// Values that there was no room for, for the successor.
    spilled: Echoes,
    /// Not even there was room.
    spilled_lost: bool,
    findings: Vec<Finding>,
    counts: Vec<u64>,
    /// Work done, in bytes looked at, and the bound on it so far; 0 if there is nothing to redact with.
    work: u64,
    work_max: u64,
    /// Bytes of input so far; more work is granted for them.
    pub(crate) input: u64,
    /// Decoded views looked at so far.
    pub(crate) views: u64,
}

impl fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the path nor the echoes: both could tell secrets.
        f.debug_struct("Session")
            .field("findings", &self.findings.len())
            .field("work", &self.work)
            .finish_non_exhaustive()
    }
}

impl<'e> Session<'e> {
    pub(crate) fn new(engine: &'e Engine, settings: &'e Settings) -> Self {
        Self {
            engine,
            settings,
            path: String::new(),
            echoes: Echoes::default(),
            memory: engine.memories.lend(settings),
            lists: Found::default(),
            echoes_full: false,
            spilled: Echoes::default(),
            spilled_lost: false,
            findings: Vec::new(),
            counts: Vec::new(),
            work: 0,
            work_max: if engine.is_broken() { 0 } else { settings.budget.bytes_max.min(FREE_WORK) },
            input: 0,
            views: 0,
        }
    }

    /// Redacts a JSON value in place, keys included. `path` names it in findings, e.g. `event`.
    ///
    /// # Errors
    /// The budget is used up: the value is only partly redacted and must not be stored.
    pub fn value(&mut self, path: &str, value: &mut Value) -> Result<(), BudgetExceeded> {
        self.enter(path);
        self.walk(value, &Node::root(path))?;
        self.settled()
    }

    /// Redacts free text in place: attachments, file names, header values.
    ///
    /// # Errors
    /// The budget is used up: the text is only partly redacted and must not be stored.
    pub fn text(&mut self, path: &str, text: &mut String) -> Result<(), BudgetExceeded> {
        self.enter(path);
        self.string(text, &Node::root(path))?;
        self.settled()
    }

    /// Redacts one field of a known name in place, e.g. a form field or a header: as the value of that key in a map.
    ///
    /// # Errors
    /// The budget is used up: the text is only partly redacted and must not be stored.
    pub fn field(&mut self, path: &str, name: &str, text: &mut String) -> Result<(), BudgetExceeded> {
        self.enter(path);
        let mut value = Value::String(std::mem::take(text));
        let root = Node::root(path);
        let done = self.entry(name, &mut value, &root.below(Part::Same, Place::default()));
        if let Value::String(redacted) = value {
            *text = redacted;
        }
        done?;
        self.settled()
    }

    /// Second pass: replaces in a JSON value what was found secret anywhere in this session.
    pub fn echo_value(&mut self, value: &mut Value) {
        if self.echoes.is_empty() {
            return;
        }
        self.path.clear();
        self.echo_walk(value, 0);
    }

    /// Second pass over a text.
    pub fn echo_text(&mut self, text: &mut String) {
        if let Some(redacted) = self.echo(text) {
            *text = redacted;
        }
    }

    /// A session that goes on where this one is used up, with a whole budget and all values that this one had no room
    /// for: the part that failed is redacted on by it, and both look for echoes in the end. `None` when values were
    /// lost, because one part held too many: it must not be stored.
    pub fn successor(&mut self) -> Option<Self> {
        let echoes = std::mem::take(&mut self.spilled);
        (!self.spilled_lost).then(|| Self { echoes, ..Self::new(self.engine, self.settings) })
    }

    /// Takes the findings since the last call, so that a caller knows which part of the envelope they are from. Their
    /// bound counts anew; [`Session::finish`] does not list them again.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    /// What was done.
    pub fn finish(self) -> Report {
        let mut redactions = BTreeMap::new();
        for (rule, count) in self.engine.rules().zip(&self.counts) {
            if *count > 0 {
                redactions.insert(rule.id().to_owned(), *count);
            }
        }
        Report { findings: self.findings, redactions }
    }

    /// The sensitive reading of a name.
    pub(crate) fn named(&self, name: &[u8]) -> Option<Named> {
        self.memory.names.get(name, |name| self.engine.named(self.settings, name))
    }

    fn enter(&mut self, path: &str) {
        self.path.clear();
        self.path.push_str(&Node::root(path).path());
    }

    #[inline]
    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), BudgetExceeded> {
        // A string costs something even if it is empty.
        self.work = self.work.saturating_add(bytes as u64 + 8);
        if self.work <= self.work_max { Ok(()) } else { self.overdrawn() }
    }

    /// Grants more for the input so far.
    #[cold]
    fn overdrawn(&mut self) -> Result<(), BudgetExceeded> {
        if self.engine.is_broken() {
            return Err(BudgetExceeded::NoRules);
        }
        let budget = &self.settings.budget;
        let granted = budget.work_per_byte_max.saturating_mul(self.input).saturating_add(FREE_WORK);
        self.work_max = granted.min(budget.bytes_max);
        if self.work <= self.work_max {
            return Ok(());
        }
        // What is small must not pass after something large did not.
        self.work = u64::MAX;
        Err(BudgetExceeded::Bytes { max: self.work_max })
    }

    /// What is left of the work that the input so far allows.
    pub(crate) fn work_left(&mut self) -> usize {
        let budget = &self.settings.budget;
        let granted = budget.work_per_byte_max.saturating_mul(self.input).saturating_add(FREE_WORK);
        usize::try_from(granted.min(budget.bytes_max).saturating_sub(self.work)).unwrap_or(usize::MAX)
    }

    /// The work done so far, in bytes looked at: what [`crate::Budget`] bounds.
    pub fn work(&self) -> u64 {
        self.work
    }

    fn settled(&self) -> Result<(), BudgetExceeded> {
        let max = self.settings.budget.echoes_max;
        if self.echoes_full { Err(BudgetExceeded::Echoes { max }) } else { Ok(()) }
    }

    /// Remembers a secret for the echo pass.
    pub(crate) fn remember(&mut self, value: &str, rule: u16) -> Result<(), BudgetExceeded> {
        self.remember_late(value, rule);
        self.settled()
    }

    /// The same where nothing can fail: the public method in progress reports it at its end.
    pub(crate) fn remember_late(&mut self, value: &str, rule: u16) {
        let max = self.settings.budget.echoes_max;
        if !self.echoes.remember(value, rule, max) {
            self.echoes_full = true;
            self.spilled_lost |= !self.spilled.remember(value, rule, max.saturating_mul(SPILLED_FACTOR));
        }
    }

    /// Counts a replacement and keeps a finding while there is room.
    pub(crate) fn note(&mut self, rule: u16, value: &str, keep: bool, node: &Node<'_>) {
        if self.counts.is_empty() {
            self.counts = vec![0; self.engine.rules().count()];
        }
        if let Some(count) = self.counts.get_mut(usize::from(rule)) {
            *count += 1;
        }
        if !keep || self.findings.len() >= self.settings.budget.findings_max {
            return;
        }
        if let Some(rule) = self.engine.rule(rule) {
            self.findings.push(Finding {
                rule: Arc::clone(&rule.id),
                severity: rule.severity,
                path: node.path(),
                masked: finding::mask(value),
                hash: finding::hash(&self.settings.hash_key, value.as_bytes()),
            });
        }
    }

    #[inline]
    fn echo(&mut self, text: &str) -> Option<String> {
        if self.echoes.may_stand_in(text.as_bytes()) { self.replace_echoes(text) } else { None }
    }

    #[cold]
    fn replace_echoes(&mut self, text: &str) -> Option<String> {
        // A value that came to light during this pass has the matcher compiled anew.
        let cost = self.echoes.compile_cost();
        if self.charge(cost).is_err() {
            return Some("[redacted:over_budget]".to_owned());
        }
        let found = self.echoes.find(text);
        if found.is_empty() {
            return None;
        }
        let path = self.path.clone();
        let node = Node::root(&path);
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for (start, end, rule) in found {
            let (Some(before), Some(value)) = (text.get(done..start), text.get(start..end)) else { continue };
            out.push_str(before);
            out.push_str("[redacted:");
            out.push_str(self.engine.rule(rule).map_or("secret", |rule| rule.id()));
            out.push(']');
            self.note(rule, value, false, &node);
            done = end;
        }
        out.push_str(text.get(done..).unwrap_or(""));
        // The replacement may have freed a token that was glued to the value.
        match self.redact(&out, Place::default(), &node) {
            Ok((Some(again), _)) => Some(again),
            Ok((None, _)) => Some(out),
            Err(_) => Some("[redacted:over_budget]".to_owned()),
        }
    }

    fn echo_walk(&mut self, value: &mut Value, depth: usize) {
        if depth > self.settings.budget.depth_max {
            *value = Value::String("[redacted:over_budget]".to_owned());
            return;
        }
        match value {
            Value::String(text) => self.echo_text(text),
            Value::Number(number) => {
                // Short numbers are the rule, and to spell them costs more than all else here.
                if number.as_u64().is_some_and(|number| number < 10_000_000) {
                    return;
                }
                let text = number.to_string();
                if let Some(redacted) = self.echo(&text) {
                    *value = Value::String(redacted);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.echo_walk(item, depth + 1)),
            Value::Object(map) => {
                let mut renamed = Vec::new();
                for (key, item) in map.iter_mut() {
                    if let Some(redacted) = self.echo(key) {
                        renamed.push((key.clone(), redacted));
                    }
                    self.echo_walk(item, depth + 1);
                }
                if !renamed.is_empty() {
                    super::walk::rename(map, renamed);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }
}
