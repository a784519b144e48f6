//! Step 2: redaction. The only place that marks anything as [`Redacted`].
//!
//! All values and texts of one request are walked first, then every secret that was found is looked for everywhere
//! else in it (echo rule). What cannot be redacted within its budget is sealed away, never stored and never lost:
//! where it cannot be sealed the request fails.

use super::admit::Source;
use super::answer::Refusal;
use super::decode::{Decoded, RawFile, RawItem, Shape};
use super::passes::{Part, Passes};
use super::redacted::Redacted;
use super::rejoin;
use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::{Attachment, AttachmentInfo, FindingRecord, SealedInput};
use actifix_domain::event::Transport;
use actifix_domain::outcome::{Outcome, Reason};
use actifix_domain::project::{self, ProjectSettings};
use actifix_protocol::json::clean;
use actifix_protocol::limits::to_usize;
use actifix_secrets::{Budget, BudgetExceeded, HashKey, PersonalData, SensitiveKeys, Session, Settings};
use serde_json::Value;

/// Longest name of a file, characters.
const FILE_NAME_CHARS_MAX: usize = 255;

/// One value after redaction.
#[derive(Debug)]
pub(super) struct CleanItem {
    pub raw: RawItem,
    /// Secrets that were found in it.
    pub findings: Vec<FindingRecord>,
}

/// A request after redaction.
#[derive(Debug)]
pub(super) struct Clean {
    /// What needs no redaction: numbers, our own words, raw header values used for arithmetic only.
    pub rest: Decoded,
    pub items: Vec<Redacted<CleanItem>>,
    pub attachments: Vec<Attachment>,
    /// Secrets that were found in attachments.
    pub findings: Vec<FindingRecord>,
    pub quarantined: Vec<SealedInput>,
    /// `sentry_release` and `sentry_environment` of the query.
    pub release: Option<String>,
    pub environment: Option<String>,
}

impl App {
    /// Redacts a request as a whole, with so many times the usual budget.
    pub(super) fn redact(
        &self,
        source: &Source<'_>,
        factor: u64,
        mut decoded: Decoded,
    ) -> Result<Clean, Refusal> {
        let settings = self.redaction_settings(&source.project.settings, factor);
        let mut passes = Passes::new(&self.engine, &settings);
        let (mut items, mut failed) = (Vec::with_capacity(decoded.items.len()), Vec::new());
        let apart = decoded.transport != Transport::Sentry;
        for mut item in std::mem::take(&mut decoded.items) {
            item.apart = apart && item.shape == Shape::Event;
            match passes.redact(&mut item) {
                Ok(findings) => items.push(CleanItem { raw: item, findings }),
                Err(_) => failed.push(item),
            }
        }
        let mut quarantined = self.seal_items(source, &mut decoded, failed)?;
        let (mut files, mut findings) = (Vec::with_capacity(decoded.files.len()), Vec::new());
        for file in std::mem::take(&mut decoded.files) {
            let mut part = FilePart::new(file);
            match passes.redact(&mut part) {
                Ok(found) => {
                    findings.extend(found);
                    files.push(part);
                }
                Err(_) => quarantined.push(self.seal_file(source, &mut decoded, part.file)?),
            }
        }
        let query = |name: &str| query_value(&decoded.query, name).map(TextPart);
        let (mut release, mut environment) = (query("sentry_release"), query("sentry_environment"));
        for part in [&mut release, &mut environment].into_iter().flatten() {
            if passes.redact(part).is_err() {
                part.0.clear();
            }
        }
        items.iter_mut().for_each(|item| passes.echo(&mut item.raw));
        files.iter_mut().for_each(|part| passes.echo(part));
        [&mut release, &mut environment].into_iter().flatten().for_each(|part| passes.echo(part));
        for (rule, count) in passes.finish() {
            metrics::counter!("actifix_redactions_total", "rule" => rule).increment(count);
        }
        let text = |part: Option<TextPart>| part.map(|part| part.0).filter(|text| !text.is_empty());
        Ok(Clean {
            rest: decoded,
            items: items.into_iter().map(Redacted::mark).collect(),
            attachments: files
                .into_iter()
                .map(|part| self.attachment_of(part, &source.project.settings))
                .collect(),
            findings,
            quarantined,
            release: text(release),
            environment: text(environment),
        })
    }

    /// Seals what could not be redacted. The files of an event go with it, so that they are there when it is released.
    fn seal_items(
        &self,
        source: &Source<'_>,
        decoded: &mut Decoded,
        failed: Vec<RawItem>,
    ) -> Result<Vec<SealedInput>, Refusal> {
        let mut sealed = Vec::with_capacity(failed.len());
        for item in failed {
            let owns_files = decoded.files_of.is_none()
                && item.event_id.is_some()
                && item.event_id == decoded.event_of_files();
            let files = if owns_files { std::mem::take(&mut decoded.files) } else { Vec::new() };
            decoded.count(Outcome::Quarantined, Reason::Redaction, item.shape.category(), 1);
            decoded.count(Outcome::Quarantined, Reason::Redaction, "attachment", files.len() as u64);
            sealed.push(self.seal_item(source, decoded, item, files)?);
        }
        Ok(sealed)
    }

    /// Settings of the engine for a project.
    pub(crate) fn redaction_settings(&self, project: &ProjectSettings, factor: u64) -> Settings {
        let usual = Budget::default();
        Settings {
            email: personal(project.email),
            ip: personal(project.ip),
            hash_key: HashKey(self.finding_key),
            budget: Budget {
                bytes_max: usual.bytes_max.saturating_mul(factor),
                echoes_max: usual.echoes_max.saturating_mul(to_usize(factor)),
                ..usual
            },
            sensitive_keys: SensitiveKeys::new(&project.sensitive_keys),
            ..Settings::default()
        }
    }

    /// What is kept of a file: redacted text, or name and size, or the bytes where the project asks for them.
    fn attachment_of(&self, part: FilePart, project: &ProjectSettings) -> Attachment {
        let FilePart { file, text } = part;
        let digest = blake3::keyed_hash(&self.digest_key, &file.bytes);
        let minidump = file.attachment_type == "event.minidump";
        let keep_binary = if minidump { project.keep_minidumps } else { project.binary_attachments };
        let size = file.bytes.len() as u64;
        let bytes = match text {
            Some(text) => Some(text.into_bytes()),
            None if keep_binary => Some(file.bytes.into()),
            None => None,
        };
        Attachment {
            info: AttachmentInfo {
                number: 0,
                name: clean(&file.name).chars().take(FILE_NAME_CHARS_MAX).collect(),
                content_type: clean(&file.content_type).chars().take(FILE_NAME_CHARS_MAX).collect(),
                attachment_type: clean(&file.attachment_type).chars().take(FILE_NAME_CHARS_MAX).collect(),
                size,
                digest: digest.to_hex().chars().take(32).collect(),
                kept: bytes.is_some(),
            },
            bytes,
        }
    }

    /// Redacts one text that a person or tool wrote (notes, reasons).
    pub(crate) fn redact_text(&self, project: &ProjectSettings, text: &str) -> String {
        let settings = self.redaction_settings(project, 1);
        self.engine.redact_text(&clean(text), &settings).0
    }

    /// Redacts a value that a person or tool wrote (evidence).
    pub(crate) fn redact_value(&self, project: &ProjectSettings, value: &mut Value) -> Result<()> {
        let settings = self.redaction_settings(project, 1);
        let mut session = self.engine.session(&settings);
        session.value("evidence", value).map_err(|error| Error::invalid("body", error.to_string()))?;
        session.echo_value(value);
        Ok(())
    }
}

/// Members of a session item that tell one process or device from another.
const SESSION_IDS: [&str; 2] = ["sid", "did"];

impl Part for RawItem {
    fn redact(&mut self, session: &mut Session<'_>) -> Result<(), BudgetExceeded> {
        if self.apart {
            rejoin::redact_names(&mut self.value, session)?;
        }
        if let (Shape::Session, Some(members)) = (&self.shape, self.value.as_object_mut()) {
            // Ids of the protocol, new with each process: nothing of them is kept, and nobody could rotate them.
            SESSION_IDS.iter().for_each(|id| drop(members.remove(*id)));
        }
        session.value(path_of(&self.shape), &mut self.value)
    }

    fn echo(&mut self, session: &mut Session<'_>) {
        session.echo_value(&mut self.value);
    }

    fn weight(&self) -> u64 {
        weight(&self.value)
    }
}

/// A file, and its content as text where it can be read as such; only then can it be redacted.
struct FilePart {
    file: RawFile,
    text: Option<String>,
}

impl FilePart {
    fn new(mut file: RawFile) -> Self {
        file.name = clean(&file.name).into_owned();
        Self { text: readable(&file.bytes), file }
    }
}

impl Part for FilePart {
    fn redact(&mut self, session: &mut Session<'_>) -> Result<(), BudgetExceeded> {
        session.text("attachment.filename", &mut self.file.name)?;
        session.text("attachment.content_type", &mut self.file.content_type)?;
        session.text("attachment.attachment_type", &mut self.file.attachment_type)?;
        match &mut self.text {
            Some(text) => session.text("attachment", text),
            None => Ok(()),
        }
    }

    fn echo(&mut self, session: &mut Session<'_>) {
        session.echo_text(&mut self.file.name);
        if let Some(text) = &mut self.text {
            session.echo_text(text);
        }
    }

    fn weight(&self) -> u64 {
        self.file.bytes.len() as u64
    }
}

/// A word of the query.
struct TextPart(String);

impl Part for TextPart {
    fn redact(&mut self, session: &mut Session<'_>) -> Result<(), BudgetExceeded> {
        session.text("query", &mut self.0)
    }

    fn echo(&mut self, session: &mut Session<'_>) {
        session.echo_text(&mut self.0);
    }

    fn weight(&self) -> u64 {
        self.0.len() as u64
    }
}

/// Bytes of all texts of a value, about. Recursion is bounded by the parser's depth.
fn weight(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64 + 16,
        Value::Array(items) => items.iter().map(weight).sum::<u64>() + 16,
        Value::Object(map) => map.iter().map(|(key, item)| key.len() as u64 + 16 + weight(item)).sum(),
        _ => 16,
    }
}

/// The text of a file that can be read as text; such a file can be redacted.
fn readable(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)).ok()?;
    let binary = text.bytes().any(|b| b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r' | 0x1b | 0x0c));
    (!binary).then(|| clean(text).into_owned())
}

fn query_value(query: &str, name: &str) -> Option<String> {
    super::special::query_pairs(query).into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

fn personal(setting: project::PersonalData) -> PersonalData {
    match setting {
        project::PersonalData::Keep => PersonalData::Keep,
        project::PersonalData::Mask => PersonalData::Mask,
        project::PersonalData::Hash => PersonalData::Hash,
    }
}

/// Where a finding was: the first part of its path, also the kind of a quarantined value.
pub(super) fn path_of(shape: &Shape) -> &'static str {
    match shape {
        Shape::Event => "event",
        Shape::Feedback => "feedback",
        Shape::UserReport => "user_report",
        Shape::CheckIn => "check_in",
        Shape::ClientReport => "client_report",
        Shape::Log => "log",
        Shape::OtelLog => "otel_log",
        Shape::Session => "session",
        Shape::Sessions => "sessions",
        Shape::Security => "security",
    }
}
