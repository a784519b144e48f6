//! What is done in the task that brings the events, so that the writer only decides and writes.

use crate::fault::Result;
use crate::sqlite::body::{self, Body};
use actifix_app::ports::{
    Admitted, Attachment, AttachmentInfo, CheckIn, Discard, FindingRecord, MonitorTick, OutcomeCount,
    SealedInput, SessionCount, Submission,
};
use actifix_domain::audit::AuditRecord;
use actifix_domain::event::{Event, Level};
use actifix_domain::fingerprint::Explanation;
use actifix_domain::id::{EventId, Fingerprint, ProjectId, PublicKey};
use actifix_domain::ticket::Priority;
use actifix_domain::time::Timestamp;

/// Keys of facets per ticket; further ones are not counted.
pub(crate) const FACET_KEYS_MAX: usize = 50;
/// Longest value of a facet, characters.
const FACET_CHARS_MAX: usize = 200;
/// Words of an event that are searched beside title and culprit, characters.
const TEXT_CHARS_MAX: usize = 1_024;
/// Attachments of one event.
pub(crate) const ATTACHMENTS_MAX: usize = 50;

/// A submission, ready for the writer.
pub(crate) struct Prepared {
    pub(crate) project: ProjectId,
    pub(crate) received_at: Timestamp,
    pub(crate) events: Vec<PreparedEvent>,
    pub(crate) late_attachments: Vec<(EventId, PreparedAttachment)>,
    pub(crate) counts: Vec<OutcomeCount>,
    pub(crate) discards: Vec<Discard>,
    pub(crate) sessions: Vec<SessionCount>,
    pub(crate) check_ins: Vec<CheckIn>,
    pub(crate) late_monitor: Option<MonitorTick>,
    pub(crate) quarantined: Vec<SealedInput>,
    pub(crate) findings: Vec<FindingRecord>,
    pub(crate) released: Option<String>,
    pub(crate) audit: Option<AuditRecord>,
    pub(crate) unlisted_origin: Option<(PublicKey, String)>,
    /// What it weighs in the queue, bytes, about.
    pub(crate) size_bytes: usize,
}

/// An event without what only its body holds.
pub(crate) struct PreparedEvent {
    pub(crate) id: EventId,
    pub(crate) timestamp: Timestamp,
    pub(crate) level: Level,
    pub(crate) title: String,
    pub(crate) culprit: String,
    pub(crate) text: String,
    pub(crate) platform: Option<String>,
    pub(crate) release: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) unhandled: bool,
    pub(crate) category: &'static str,
    /// Environment, release and tags, at most [`FACET_KEYS_MAX`] keys.
    pub(crate) facets: Vec<(String, String)>,
    pub(crate) key: Fingerprint,
    pub(crate) near_key: Option<Fingerprint>,
    pub(crate) explanation: Explanation,
    pub(crate) attach_to: Option<EventId>,
    pub(crate) priority: Priority,
    pub(crate) priority_reason: String,
    pub(crate) ceiling: Priority,
    pub(crate) user_hash: Option<u64>,
    pub(crate) sample_after: u32,
    pub(crate) findings: Vec<FindingRecord>,
    pub(crate) attachments: Vec<PreparedAttachment>,
    /// Attachments beyond [`ATTACHMENTS_MAX`].
    pub(crate) attachments_cut: usize,
    pub(crate) body: Body,
}

/// An attachment with its content compressed.
pub(crate) struct PreparedAttachment {
    pub(crate) info: AttachmentInfo,
    pub(crate) content: Option<Body>,
}

/// Serialises, compresses and weighs.
pub(crate) fn prepare(submission: Submission) -> Result<Prepared> {
    let mut size_bytes = 1_024;
    let mut events = Vec::with_capacity(submission.events.len());
    for admitted in submission.events {
        let event = prepare_event(admitted)?;
        size_bytes += weight(&event);
        events.push(event);
    }
    let mut late_attachments = Vec::with_capacity(submission.late_attachments.len());
    for (event, attachment) in submission.late_attachments {
        let attachment = prepare_attachment(attachment)?;
        size_bytes += attachment.content.as_ref().map_or(0, |content| content.data.len()) + 512;
        late_attachments.push((event, attachment));
    }
    size_bytes += submission.quarantined.iter().map(|input| input.sealed.len() + 512).sum::<usize>();
    Ok(Prepared {
        project: submission.project,
        received_at: submission.received_at,
        events,
        late_attachments,
        counts: submission.counts,
        discards: submission.discards,
        sessions: submission.sessions,
        check_ins: submission.check_ins,
        late_monitor: submission.late_monitor,
        quarantined: submission.quarantined,
        findings: submission.findings,
        released: submission.released,
        audit: submission.audit,
        unlisted_origin: submission.unlisted_origin,
        size_bytes,
    })
}

fn prepare_event(admitted: Admitted) -> Result<PreparedEvent> {
    let redactions: Vec<(String, String)> =
        admitted.findings.iter().map(|finding| (finding.rule.clone(), finding.path.clone())).collect();
    let body = body::close(&admitted.event, &admitted.provenance, &redactions)?;
    let category = admitted.category();
    let attachments_cut = admitted.attachments.len().saturating_sub(ATTACHMENTS_MAX);
    let attachments = admitted
        .attachments
        .into_iter()
        .take(ATTACHMENTS_MAX)
        .map(prepare_attachment)
        .collect::<Result<Vec<_>>>()?;
    let event = admitted.event.into_inner();
    Ok(PreparedEvent {
        id: event.event_id,
        timestamp: event.timestamp,
        level: event.level,
        text: words(&event),
        facets: facets(&event),
        unhandled: event.is_unhandled(),
        category,
        title: event.title,
        culprit: event.culprit,
        platform: event.platform,
        release: event.release,
        environment: event.environment,
        key: admitted.grouping.key,
        near_key: admitted.grouping.near_key,
        explanation: admitted.grouping.explanation,
        attach_to: admitted.attach_to,
        priority: admitted.priority,
        priority_reason: admitted.priority_reason,
        ceiling: admitted.ceiling,
        user_hash: admitted.user_hash,
        sample_after: admitted.sample_after,
        findings: admitted.findings,
        attachments,
        attachments_cut,
        body,
    })
}

fn prepare_attachment(attachment: Attachment) -> Result<PreparedAttachment> {
    let content = attachment.bytes.as_deref().map(body::compress).transpose()?;
    Ok(PreparedAttachment { info: attachment.info, content })
}

/// Values that the ticket's page counts, one per key: a tag that is named like the event's own release or environment
/// would count the event twice.
pub(crate) fn facets(event: &Event) -> Vec<(String, String)> {
    let own = [("environment", event.environment.as_ref()), ("release", event.release.as_ref())];
    let own: Vec<(&str, &String)> = own.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    let tags = event.tags.iter().map(|(key, value)| (key.as_str(), value));
    let further = tags.filter(|(key, _)| !own.iter().any(|(known, value)| known == key && !value.is_empty()));
    own.iter()
        .copied()
        .chain(further)
        .filter(|(key, value)| !key.is_empty() && !value.is_empty())
        .take(FACET_KEYS_MAX)
        .map(|(key, value)| (cut(key, FACET_CHARS_MAX), cut(value, FACET_CHARS_MAX)))
        .collect()
}

/// Exception values and the message: what somebody remembers of an error.
pub(crate) fn words(event: &Event) -> String {
    let mut text = String::new();
    let message =
        event.logentry.as_ref().and_then(|entry| entry.formatted.as_ref().or(entry.message.as_ref()));
    let values = event.exception.iter().rev().filter_map(|exception| exception.value.as_ref());
    for part in values.chain(message) {
        if text.len() >= TEXT_CHARS_MAX {
            break;
        }
        text.push_str(&cut(part, TEXT_CHARS_MAX));
        text.push(' ');
    }
    for name in [&event.title, &event.culprit] {
        push_parts(&mut text, name);
    }
    text
}

/// Adds the parts of names like `PaymentError` or `place_order2`, which the index takes for one word each.
fn push_parts(text: &mut String, name: &str) {
    let mut before = ' ';
    for c in name.chars().take(TEXT_CHARS_MAX) {
        let starts = (c.is_uppercase() && before.is_lowercase())
            || (c.is_alphabetic() && before.is_ascii_digit())
            || (c.is_ascii_digit() && before.is_alphabetic());
        if starts {
            text.push(' ');
        }
        text.push(if c == '_' { ' ' } else { c });
        before = c;
    }
    text.push(' ');
}

fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned(),
        None => text.to_owned(),
    }
}

fn weight(event: &PreparedEvent) -> usize {
    let contents: usize = event
        .attachments
        .iter()
        .map(|a| a.content.as_ref().map_or(0, |content| content.data.len()) + 512)
        .sum();
    let facets: usize = event.facets.iter().map(|(key, value)| key.len() + value.len() + 64).sum();
    event.body.data.len() + contents + facets + event.title.len() + event.text.len() + 2_048
}
