//! Step 2: redaction. The only place that marks anything as [`Redacted`].
//!
//! All values and texts of one request are walked first, then every secret that was found is looked for everywhere
//! else in it (echo rule). What cannot be redacted within its budget is sealed away, never stored.

use super::decode::{Decoded, RawFile, RawItem, Shape};
use super::gate::Pass;
use super::redacted::Redacted;
use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::{Attachment, AttachmentInfo, FindingRecord, SealedInput};
use actifix_domain::outcome::{Outcome, Reason};
use actifix_domain::project::{self, ProjectSettings};
use actifix_protocol::json::clean;
use actifix_secrets::{Budget, Finding, HashKey, PersonalData, SensitiveKeys, Session, Settings, Severity};
use serde_json::{Value, json};

/// Longest name of a file, characters.
const FILE_NAME_CHARS_MAX: usize = 255;
/// Vault purpose of quarantined input.
pub(super) const QUARANTINE: &str = "quarantine";
/// A released input may cost this many times the usual budget.
const RELEASE_FACTOR: u64 = 8;

/// One value after redaction.
#[derive(Debug)]
pub(super) struct CleanItem {
    pub shape: Shape,
    pub value: Redacted<Value>,
    pub user_hash: Option<u64>,
}

/// A request after redaction.
#[derive(Debug)]
pub(super) struct Clean {
    /// What needs no redaction: numbers, our own words, raw header values used for arithmetic only.
    pub rest: Decoded,
    pub items: Vec<CleanItem>,
    pub attachments: Vec<Attachment>,
    pub findings: Vec<FindingRecord>,
    pub quarantined: Vec<SealedInput>,
    /// `sentry_release` and `sentry_environment` of the query.
    pub release: Option<String>,
    pub environment: Option<String>,
}

impl App {
    /// Redacts a request as a whole.
    pub(super) fn redact(&self, pass: &Pass, decoded: Decoded) -> Clean {
        self.redact_with(
            &self.redaction_settings(&pass.known.project.settings, 1),
            decoded,
            &pass.known.project.settings,
        )
    }

    /// Redacts an event of our own API.
    pub(super) fn redact_own(&self, settings: &ProjectSettings, decoded: Decoded) -> Clean {
        self.redact_with(&self.redaction_settings(settings, 1), decoded, settings)
    }

    /// The budget of a request that a person released from quarantine.
    pub(super) fn redact_released(&self, settings: &ProjectSettings, decoded: Decoded) -> Clean {
        self.redact_with(&self.redaction_settings(settings, RELEASE_FACTOR), decoded, settings)
    }

    fn redact_with(&self, settings: &Settings, mut decoded: Decoded, project: &ProjectSettings) -> Clean {
        let mut session = self.engine.session(settings);
        let mut quarantined = Vec::new();
        let mut values: Vec<RawItem> = Vec::with_capacity(decoded.items.len());
        for mut item in std::mem::take(&mut decoded.items) {
            let path = path_of(&item.shape);
            // What was redacted before the budget ran out stays so: the sealed form is what is left.
            match session.value(path, &mut item.value) {
                Ok(()) => values.push(item),
                Err(_) => {
                    quarantined.extend(self.seal(&item));
                    decoded.count(Outcome::Quarantined, Reason::Redaction, "error", 1);
                }
            }
        }
        let mut files: Vec<(RawFile, Option<String>)> = Vec::with_capacity(decoded.files.len());
        for mut file in std::mem::take(&mut decoded.files) {
            let text = readable(&file.bytes);
            match redact_file(&mut session, &mut file, text) {
                Ok(text) => files.push((file, text)),
                Err(()) => decoded.count(Outcome::Quarantined, Reason::Redaction, "attachment", 1),
            }
        }
        let mut release = query_value(&decoded.query, "sentry_release");
        let mut environment = query_value(&decoded.query, "sentry_environment");
        for text in [&mut release, &mut environment].into_iter().flatten() {
            if session.text("query", text).is_err() {
                text.clear();
            }
        }
        for item in &mut values {
            session.echo_value(&mut item.value);
        }
        for (file, text) in &mut files {
            session.echo_text(&mut file.name);
            if let Some(text) = text {
                session.echo_text(text);
            }
        }
        let attachments =
            files.into_iter().map(|(file, text)| self.attachment_of(file, text, project)).collect();
        let report = session.finish();
        for (rule, count) in &report.redactions {
            metrics::counter!("actifix_redactions_total", "rule" => rule.clone()).increment(*count);
        }
        Clean {
            rest: decoded,
            items: values.into_iter().map(mark).collect(),
            attachments,
            findings: report.findings.into_iter().map(record).collect(),
            quarantined,
            release: release.filter(|text| !text.is_empty()),
            environment: environment.filter(|text| !text.is_empty()),
        }
    }

    /// Settings of the engine for a project.
    pub(super) fn redaction_settings(&self, project: &ProjectSettings, factor: u64) -> Settings {
        let usual = Budget::default();
        Settings {
            email: personal(project.email),
            ip: personal(project.ip),
            hash_key: HashKey(self.finding_key),
            budget: Budget { bytes_max: usual.bytes_max.saturating_mul(factor), ..usual },
            sensitive_keys: SensitiveKeys::new(&project.sensitive_keys),
            ..Settings::default()
        }
    }

    /// Seals a value that could not be redacted, with what is needed to try again.
    fn seal(&self, item: &RawItem) -> Option<SealedInput> {
        let kind = path_of(&item.shape);
        let clear = json!({ "kind": kind, "user_hash": item.user_hash, "value": item.value }).to_string();
        let sealed = self.vault.seal(QUARANTINE, clear.as_bytes()).ok()?;
        let mut id = [0u8; 16];
        self.ids.random(&mut id);
        Some(SealedInput {
            id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
            reason: "redaction did not finish within its budget".to_owned(),
            kind,
            size: clear.len() as u64,
            sealed,
        })
    }

    /// What is kept of a file: redacted text, or name and size, or the bytes where the project asks for them.
    fn attachment_of(&self, file: RawFile, text: Option<String>, project: &ProjectSettings) -> Attachment {
        let digest = blake3::keyed_hash(&self.digest_key, &file.bytes);
        let minidump = file.attachment_type == "event.minidump";
        let keep_binary = if minidump { project.keep_minidumps } else { project.binary_attachments };
        let size = file.bytes.len() as u64;
        let bytes = match text {
            Some(text) => Some(text.into_bytes()),
            None if keep_binary => Some(file.bytes),
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

fn mark(item: RawItem) -> CleanItem {
    CleanItem { shape: item.shape, value: Redacted::mark(item.value), user_hash: item.user_hash }
}

/// Redacts name, type and, if it is text, content of a file.
fn redact_file(
    session: &mut Session<'_>,
    file: &mut RawFile,
    text: Option<String>,
) -> Result<Option<String>, ()> {
    file.name = clean(&file.name).into_owned();
    session.text("attachment.filename", &mut file.name).map_err(|_| ())?;
    session.text("attachment.content_type", &mut file.content_type).map_err(|_| ())?;
    session.text("attachment.attachment_type", &mut file.attachment_type).map_err(|_| ())?;
    match text {
        Some(mut text) => session.text("attachment", &mut text).map_err(|_| ()).map(|()| Some(text)),
        None => Ok(None),
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

fn record(finding: Finding) -> FindingRecord {
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

/// Where a finding was: the first part of its path, also the kind of a quarantined value.
pub(super) fn path_of(shape: &Shape) -> &'static str {
    match shape {
        Shape::Event => "event",
        Shape::Feedback => "feedback",
        Shape::UserReport => "user_report",
        Shape::CheckIn => "check_in",
        Shape::ClientReport => "client_report",
        Shape::Logs => "log",
        Shape::OtelLog => "otel_log",
        Shape::Session => "session",
        Shape::Sessions => "sessions",
        Shape::Security { .. } => "security",
    }
}

/// Reverse of [`path_of`] for what may stand in quarantine.
pub(super) fn shape_of(kind: &str) -> Option<Shape> {
    Some(match kind {
        "event" => Shape::Event,
        "feedback" => Shape::Feedback,
        "user_report" => Shape::UserReport,
        "check_in" => Shape::CheckIn,
        "log" => Shape::Logs,
        "otel_log" => Shape::OtelLog,
        "security" => Shape::Security { content_type: "application/json".to_owned() },
        _ => return None,
    })
}
