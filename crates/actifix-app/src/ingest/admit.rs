//! Steps 3 to 6: redacted values become events, events get a key and a priority, all of it becomes one submission.

use super::Processed;
use super::decode::{Decoded, Shape};
use super::gate::Pass;
use super::redact::{Clean, CleanItem};
use super::redacted::Redacted;
use crate::app::App;
use crate::ports::{Admitted, Attachment, CheckIn, Discard, FindingRecord, SessionCount, Submission};
use actifix_domain::event::{Event, EventType, Level, LogEntry, Provenance, Transport};
use actifix_domain::id::{EventId, Fingerprint};
use actifix_domain::outcome::{Outcome, Reason};
use actifix_domain::project::{self, PersonalData, Project};
use actifix_domain::ticket::Priority;
use actifix_domain::{fingerprint, in_app, matcher, priority, title};
use actifix_protocol::event::{NormaliseContext, normalise};
use actifix_protocol::items::{self, CheckInStatus};
use actifix_protocol::security::{self, SecurityContext, SecurityReport};
use serde_json::{Value, json};

/// What is the same for all events of a request.
pub(crate) struct Source<'a> {
    pub project: &'a Project,
    pub provenance: Provenance,
    pub ceiling: Priority,
    /// Priority that the sender set, where it may.
    pub priority: Option<Priority>,
}

/// An event that is on its way to a key.
struct Draft {
    event: Redacted<Event>,
    user_hash: Option<u64>,
    /// Instead of the key that grouping gives.
    key: Option<Fingerprint>,
    attach_to: Option<EventId>,
    priority: Option<Priority>,
}

impl App {
    /// Limits after framing: what is over a limit ends here, the rest goes on.
    pub(super) fn limit(&self, pass: &Pass, mut decoded: Decoded) -> Decoded {
        let limited_kind =
            |shape: &Shape| !matches!(shape, Shape::Session | Shape::Sessions | Shape::ClientReport);
        let events = decoded.items.iter().filter(|item| limited_kind(&item.shape)).count();
        let now = actifix_domain::time::Timestamp::from_micros(self.clock.monotonic_micros());
        let Err(mut limited) = self.gate.admit_events(&pass.known, events as u64, now) else {
            return decoded;
        };
        limited.categories =
            vec!["error", "default", "security", "attachment", "feedback", "monitor", "log_item"];
        metrics::counter!("actifix_rate_limited_total", "class" => limited.reason.as_str()).increment(1);
        let (refused, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut decoded.items).into_iter().partition(|item| limited_kind(&item.shape));
        decoded.items = rest;
        decoded.count(Outcome::RateLimited, limited.reason, "error", refused.len() as u64);
        decoded.count(Outcome::RateLimited, limited.reason, "attachment", decoded.files.len() as u64);
        decoded.files.clear();
        decoded.limited = Some(limited);
        decoded
    }

    /// Makes the submission of a request that came with an ingest key.
    pub(super) fn admit(&self, pass: &Pass, clean: Clean) -> (Processed, Submission) {
        let source = Source {
            project: &pass.known.project,
            provenance: Self::provenance(pass, clean.rest.transport),
            ceiling: project::ceiling(&Self::key_actor(pass), pass.known.key.kind, pass.with_origin),
            priority: None,
        };
        let (processed, mut submission) = self.admit_from(&source, clean);
        submission.unlisted_origin =
            pass.unlisted_origin.clone().map(|origin| (pass.known.key.public_key.clone(), origin));
        (processed, submission)
    }

    /// Makes the submission of redacted values, whoever sent them.
    pub(super) fn admit_from(&self, source: &Source<'_>, clean: Clean) -> (Processed, Submission) {
        let Clean { rest, items, attachments, findings, quarantined, release, environment } = clean;
        let mut submission = Submission::new(source.project.id, rest.received_at);
        submission.counts = rest.counts.clone();
        submission.quarantined = quarantined;
        let mut drafts = Vec::new();
        for item in items {
            let security = SecurityContext {
                received_at: rest.received_at,
                release: release.clone(),
                environment: environment.clone(),
                user_agent: Some(&rest.user_agent),
            };
            self.draft(source, &rest, item, &security, &mut drafts, &mut submission);
        }
        for draft in drafts {
            submission.events.push(self.finish(source, draft));
        }
        let first = submission.events.first().map(|admitted| admitted.event.event_id);
        let id = first.or(rest.header_event_id);
        attach(&mut submission, rest.files_of.or(rest.header_event_id), attachments, findings);
        let processed = Processed {
            id,
            limited: rest.limited,
            fault: rest.fault,
            dropped_kinds: rest.dropped_kinds,
            rejected: rest.rejected,
        };
        (processed, submission)
    }

    /// One redacted value: an event to be, or counters.
    fn draft(
        &self,
        source: &Source<'_>,
        rest: &Decoded,
        item: CleanItem,
        security: &SecurityContext<'_>,
        drafts: &mut Vec<Draft>,
        submission: &mut Submission,
    ) {
        let received_at = rest.received_at;
        let sent_at = rest.sent_at.as_ref();
        let user_hash = item.user_hash;
        match item.shape {
            Shape::Event => self.draft_event(source, rest, item.value, user_hash, drafts, submission),
            Shape::Feedback => {
                if let Some(words) = items::feedback(item.value.into_inner(), received_at, sent_at) {
                    drafts.push(self.feedback(words));
                }
            }
            Shape::UserReport => {
                if let Some(words) = items::user_report(item.value.into_inner(), received_at) {
                    drafts.push(self.feedback(words));
                }
            }
            Shape::CheckIn => match items::check_in(item.value.into_inner(), received_at, sent_at) {
                Some(check_in) => self.check_in(check_in, drafts, submission),
                None => count(submission, Outcome::Invalid, Reason::Json, "monitor", 1),
            },
            Shape::ClientReport => {
                let report = items::client_report(&item.value);
                submission.discards.extend(report.discarded.iter().map(|entry| Discard {
                    reason: entry.reason,
                    category: entry.category,
                    quantity: entry.quantity,
                }));
            }
            Shape::Logs => {
                let records = items::log_records(item.value.into_inner());
                count(submission, Outcome::Invalid, Reason::TooLarge, "log_item", records.left_out as u64);
                for record in records.records {
                    self.draft_log(source, rest, record, drafts, submission);
                }
            }
            Shape::OtelLog => match items::otel_log(item.value.into_inner()) {
                Some(record) => self.draft_log(source, rest, record, drafts, submission),
                None => count(submission, Outcome::Invalid, Reason::Json, "log_item", 1),
            },
            Shape::Session => {
                submission.sessions.push(session_count(items::session(item.value.into_inner())))
            }
            Shape::Sessions => submission.sessions.push(session_count(items::sessions(&item.value))),
            Shape::Security { content_type } => {
                self.draft_security(&content_type, item.value, security, drafts, submission);
            }
        }
    }

    fn draft_event(
        &self,
        source: &Source<'_>,
        rest: &Decoded,
        value: Redacted<Value>,
        user_hash: Option<u64>,
        drafts: &mut Vec<Draft>,
        submission: &mut Submission,
    ) {
        let keeps_addresses = source.project.settings.ip == PersonalData::Keep;
        let context = NormaliseContext {
            received_at: rest.received_at,
            sent_at: rest.sent_at.as_ref(),
            fallback_event_id: self.ids.event_id(),
            // Several events in one envelope keep their own ids; only the first may take the header's.
            header_event_id: if drafts.is_empty() { rest.header_event_id } else { None },
            peer_ip: rest.peer.filter(|_| keeps_addresses).map(|peer| peer.to_string()),
            transport: rest.transport,
        };
        match normalise(value.into_inner(), &context) {
            Ok(normalised) => drafts.push(Draft {
                event: Redacted::mark(normalised.event),
                user_hash,
                key: None,
                attach_to: None,
                priority: None,
            }),
            Err(_) => count(submission, Outcome::Filtered, Reason::Unsupported, "transaction", 1),
        }
    }

    fn draft_log(
        &self,
        source: &Source<'_>,
        rest: &Decoded,
        record: items::LogRecord,
        drafts: &mut Vec<Draft>,
        submission: &mut Submission,
    ) {
        let event = if source.project.settings.logs_to_tickets { items::log_to_event(record) } else { None };
        match event {
            Some(value) => self.draft_event(source, rest, Redacted::mark(value), None, drafts, submission),
            None => count(submission, Outcome::Filtered, Reason::Unsupported, "log_item", 1),
        }
    }

    fn draft_security(
        &self,
        content_type: &str,
        value: Redacted<Value>,
        context: &SecurityContext<'_>,
        drafts: &mut Vec<Draft>,
        submission: &mut Submission,
    ) {
        let Ok(reports) = security::parse(content_type, value.into_inner(), context) else {
            return count(submission, Outcome::Filtered, Reason::Unsupported, "security", 1);
        };
        for report in reports {
            match report {
                SecurityReport::Event(draft) => drafts.push(Draft {
                    event: Redacted::mark(draft.into_event(self.ids.event_id())),
                    user_hash: None,
                    key: None,
                    attach_to: None,
                    priority: None,
                }),
                SecurityReport::Noise => count(submission, Outcome::Filtered, Reason::Noise, "security", 1),
                SecurityReport::Other => {
                    count(submission, Outcome::Filtered, Reason::Unsupported, "security", 1)
                }
            }
        }
    }

    /// Words of a user: on the ticket of their event, else on the project's one ticket for them.
    fn feedback(&self, words: items::Feedback) -> Draft {
        let event = Event {
            event_id: words.event_id.unwrap_or_else(|| self.ids.event_id()),
            event_type: EventType::Feedback,
            timestamp: words.timestamp,
            level: Level::Info,
            release: words.release,
            environment: words.environment,
            logentry: Some(LogEntry { message: Some("User feedback".to_owned()), ..LogEntry::default() }),
            contexts: [(
                "feedback".to_owned(),
                json!({
                    "message": words.message,
                    "contact_email": words.contact_email,
                    "name": words.name,
                    "url": words.url,
                    "associated_event_id": words.associated_event_id,
                }),
            )]
            .into_iter()
            .collect(),
            ..Event::default()
        };
        Draft {
            event: Redacted::mark(event),
            user_hash: None,
            key: Some(fingerprint::feedback_key()),
            attach_to: words.associated_event_id,
            priority: Some(Priority::P4),
        }
    }

    /// A heartbeat; a failed one is an event of the monitor's ticket.
    fn check_in(&self, check_in: items::CheckIn, drafts: &mut Vec<Draft>, submission: &mut Submission) {
        if check_in.status == CheckInStatus::Error {
            let event = super::special::monitor_event(
                self.ids.event_id(),
                &check_in.monitor_slug,
                format!("Monitor {} failed", check_in.monitor_slug),
                check_in.environment.clone(),
                check_in.release.clone(),
                check_in.timestamp,
            );
            drafts.push(Draft {
                key: Some(fingerprint::monitor_key(&check_in.monitor_slug)),
                event: Redacted::mark(event),
                user_hash: None,
                attach_to: None,
                priority: None,
            });
        }
        submission.check_ins.push(CheckIn {
            status: match check_in.status {
                CheckInStatus::Ok => "ok",
                CheckInStatus::InProgress => "in_progress",
                CheckInStatus::Error => "error",
            },
            environment: check_in.environment.unwrap_or_default(),
            duration_seconds: check_in.duration.map(|micros| micros as f64 / 1e6),
            check_in_id: check_in.check_in_id.and_then(|id| id.parse().ok()),
            config: check_in.monitor_config.as_ref().map(super::special::config_value),
            slug: check_in.monitor_slug,
        });
    }

    /// In-app, title, culprit, key, priority.
    fn finish(&self, source: &Source<'_>, draft: Draft) -> Admitted {
        let settings = &source.project.settings;
        let Draft { event, user_hash, key, attach_to, priority } = draft;
        let event = event.map(|mut event| {
            in_app::apply(&mut event, &settings.in_app_rules);
            event
        });
        // All three look at the culprit that the sender gave, so it is replaced only after them.
        let mut grouping = fingerprint::group(&event, &settings.fingerprint_rules);
        let (title, culprit) = (title::title(&event), title::culprit(&event));
        let event = event.map(|event| Event { title, culprit, ..event });
        if let Some(key) = key {
            grouping.key = key;
        }
        let rule = settings
            .priority_rules
            .iter()
            .find(|rule| matcher::all_match(&rule.matchers, &event))
            .map(|rule| rule.priority);
        let by_tag = event.tags.get(priority::TAG).and_then(|text| text.parse().ok());
        let explicit = priority.or(source.priority).or(by_tag);
        let (priority, priority_reason) =
            priority::derive(event.level, event.is_unhandled(), explicit, rule, source.ceiling);
        Admitted {
            provenance: source.provenance.clone(),
            grouping,
            attach_to,
            priority,
            priority_reason,
            ceiling: source.ceiling,
            user_hash,
            sample_after: settings.sample_after.unwrap_or(self.settings.sample_after),
            findings: Vec::new(),
            attachments: Vec::new(),
            event,
        }
    }

    /// An event of our own making (a missed run, say): our words only, no secrets to look for.
    pub(crate) fn admit_own_words(&self, source: &Source<'_>, event: Event, key: Fingerprint) -> Admitted {
        let event = Redacted::mark(event);
        self.finish(source, Draft { event, user_hash: None, key: Some(key), attach_to: None, priority: None })
    }
}

/// Files and findings go to the first event of the request, else to the earlier event that it names.
fn attach(
    submission: &mut Submission,
    event_id: Option<EventId>,
    attachments: Vec<Attachment>,
    findings: Vec<FindingRecord>,
) {
    match submission.events.first_mut() {
        Some(first) => {
            first.attachments = attachments;
            first.findings = findings;
        }
        None => match event_id {
            Some(event_id) => {
                submission.late_attachments = attachments.into_iter().map(|file| (event_id, file)).collect();
            }
            None => {
                count(submission, Outcome::Invalid, Reason::Framing, "attachment", attachments.len() as u64)
            }
        },
    }
}

fn count(
    submission: &mut Submission,
    outcome: Outcome,
    reason: Reason,
    category: &'static str,
    quantity: u64,
) {
    if quantity > 0 {
        submission.counts.push(crate::ports::OutcomeCount { outcome, reason, category, quantity });
    }
}

fn session_count(counters: items::SessionCounters) -> SessionCount {
    SessionCount {
        release: counters.release.unwrap_or_default(),
        environment: counters.environment.unwrap_or_default(),
        sessions: counters.sessions,
        errored: counters.errored,
        crashed: counters.crashed,
    }
}

/// Transport of events that a local command sends.
pub(super) fn transport_of(word: Option<&str>) -> Transport {
    match word {
        Some("cli") => Transport::Cli,
        Some("log") => Transport::Log,
        _ => Transport::Json,
    }
}
