//! Steps 3 to 6: redacted values become events, events get a key and a priority, all of it becomes one submission.

use super::Processed;
use super::decode::{Decoded, RawItem, Shape};
use super::gate::Pass;
use super::redact::Clean;
use super::redacted::Redacted;
use crate::app::App;
use crate::ports::{Admitted, Attachment, CheckIn, Discard, FindingRecord, SessionCount, Submission};
use actifix_domain::event::{Event, EventType, Level, LogEntry, Provenance, Transport};
use actifix_domain::id::{EventId, Fingerprint};
use actifix_domain::outcome::{Outcome, Reason};
use actifix_domain::project::{PersonalData, Project};
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
    /// Keyed hash of the sender's address.
    pub peer: Option<u64>,
}

/// An event that is on its way to a key.
struct Draft {
    event: Redacted<Event>,
    user_hash: Option<u64>,
    /// Instead of the key that grouping gives.
    key: Option<Fingerprint>,
    attach_to: Option<EventId>,
    priority: Option<Priority>,
    findings: Vec<FindingRecord>,
}

impl Draft {
    fn of(event: Redacted<Event>) -> Self {
        Self { event, user_hash: None, key: None, attach_to: None, priority: None, findings: Vec::new() }
    }
}

/// What a redacted value came to. Every item has one of these, so that none is dropped silently.
enum Fate {
    /// An event; the store decides about it.
    Event(Box<Draft>),
    /// Counters of the submission; the store decides about them.
    Side,
    /// Nothing more is done with it.
    Ended(Outcome, Reason, &'static str),
}

impl Fate {
    fn event(draft: Draft) -> Self {
        Self::Event(Box::new(draft))
    }
}

/// What is the same for all items of a request.
struct Common<'a> {
    source: &'a Source<'a>,
    rest: &'a Decoded,
    security: SecurityContext<'a>,
}

impl App {
    /// Limits after framing: what is over a limit ends here, the rest goes on. Each record and report counts; events
    /// pass first.
    pub(super) fn limit(&self, pass: &Pass, mut decoded: Decoded) -> Decoded {
        let wanted = decoded.items.iter().filter(|item| item.shape.is_limited()).count() as u64;
        let now = actifix_domain::time::Timestamp::from_micros(self.clock.monotonic_micros());
        let (passed, limited) = self.gate.admit_events(&pass.known, wanted, now);
        let Some(mut limited) = limited else { return decoded };
        limited.categories =
            vec!["error", "default", "security", "attachment", "feedback", "monitor", "log_item"];
        let refused = wanted.saturating_sub(passed);
        let key = self.limited_name(pass.known.key.public_key.as_str().as_bytes());
        self.was_limited(limited.reason.as_str(), key, refused);
        let events = decoded.items.iter().filter(|item| item.shape == Shape::Event).count() as u64;
        let (mut events_left, mut others_left) = (passed.min(events), passed.saturating_sub(events));
        let mut kept = Vec::with_capacity(decoded.items.len());
        for item in std::mem::take(&mut decoded.items) {
            let left = if item.shape == Shape::Event { &mut events_left } else { &mut others_left };
            if !item.shape.is_limited() {
                kept.push(item);
            } else if *left > 0 {
                *left -= 1;
                kept.push(item);
            } else {
                decoded.count(Outcome::RateLimited, limited.reason, item.shape.category(), 1);
            }
        }
        decoded.items = kept;
        if passed == 0 {
            let files = std::mem::take(&mut decoded.files).len() as u64;
            decoded.count(Outcome::RateLimited, limited.reason, "attachment", files);
        }
        if decoded.transport == Transport::Otlp && passed > 0 {
            // A client of OTLP sends a batch again as a whole after 429; of a partial success it lets go.
            decoded.rejected.0 = decoded.rejected.0.saturating_add(refused);
            let told = &mut decoded.rejected.1;
            told.push_str(if told.is_empty() { "" } else { "; " });
            told.push_str(actifix_protocol::answer::RATE_LIMITED);
        } else {
            decoded.limited = Some(limited);
        }
        decoded
    }

    /// Makes the submission of redacted values, whoever sent them.
    pub(super) fn admit(&self, source: &Source<'_>, clean: Clean) -> (Processed, Submission) {
        let Clean { rest, items, attachments, findings, quarantined, release, environment } = clean;
        let mut submission = Submission::new(source.project.id, rest.received_at);
        submission.counts.clone_from(&rest.counts);
        submission.quarantined = quarantined;
        let security = SecurityContext {
            received_at: rest.received_at,
            release,
            environment,
            user_agent: Some(&rest.user_agent),
        };
        let common = Common { source, rest: &rest, security };
        for item in items {
            let (item, found) = item.map(|clean| (clean.raw, clean.findings)).split();
            match self.draft(&common, item, &mut submission) {
                Fate::Event(mut draft) => {
                    draft.findings = found;
                    submission.events.push(self.finish(source, *draft));
                }
                Fate::Side => submission.findings.extend(found),
                Fate::Ended(outcome, reason, category) => {
                    count(&mut submission, outcome, reason, category, 1);
                    submission.findings.extend(found);
                }
            }
        }
        let first = submission.events.first().map(|admitted| admitted.event.event_id);
        let id = rest.first_event().or(first).or(rest.header_event_id);
        attach(&mut submission, &rest, attachments, findings);
        let processed = Processed {
            id,
            limited: rest.limited,
            fault: rest.fault,
            dropped_kinds: rest.dropped_kinds,
            rejected: rest.rejected,
        };
        (processed, submission)
    }

    /// One redacted value: an event to be, or counters, or the end of it.
    fn draft(&self, common: &Common<'_>, item: Redacted<RawItem>, submission: &mut Submission) -> Fate {
        let rest = common.rest;
        let (shape, user_hash, event_id) = (item.shape, item.user_hash, item.event_id);
        let notes = item.notes.clone();
        let (received_at, sent_at) = (rest.received_at, rest.sent_at.as_ref());
        let value = item.map(|item| item.value);
        let broken = Fate::Ended(Outcome::Invalid, Reason::Json, shape.category());
        match shape {
            Shape::Event => match self.draft_event(common, value, user_hash, event_id) {
                Fate::Event(mut draft) => {
                    draft.event = draft.event.map(|mut event| {
                        event.problems.extend(notes);
                        event
                    });
                    Fate::Event(draft)
                }
                other => other,
            },
            Shape::Feedback => match value.and_then(|value| items::feedback(value, received_at, sent_at)) {
                Some(words) => self.feedback(rest, words),
                None => broken,
            },
            Shape::UserReport => match value.and_then(|value| items::user_report(value, received_at)) {
                Some(words) => self.feedback(rest, words),
                None => broken,
            },
            Shape::CheckIn => match value.and_then(|value| items::check_in(value, received_at, sent_at)) {
                Some(check_in) => self.check_in(check_in, submission),
                None => broken,
            },
            Shape::ClientReport => {
                let report = items::client_report(&value);
                submission.discards.extend(report.discarded.iter().map(|entry| Discard {
                    reason: entry.reason,
                    category: entry.category,
                    quantity: entry.quantity,
                }));
                Fate::Ended(Outcome::Accepted, Reason::None, shape.category())
            }
            Shape::Log => match value.and_then(items::log_record) {
                Some(record) => self.draft_log(common, record),
                None => broken,
            },
            Shape::OtelLog => match value.and_then(items::otel_log) {
                Some(record) => self.draft_log(common, record),
                None => broken,
            },
            Shape::Session => {
                submission.sessions.push(session_count(items::session(value.into_inner())));
                Fate::Side
            }
            Shape::Sessions => {
                submission.sessions.push(session_count(items::sessions(&value)));
                Fate::Side
            }
            Shape::Security => self.draft_security(common, value),
        }
    }

    fn draft_event(
        &self,
        common: &Common<'_>,
        value: Redacted<Value>,
        user_hash: Option<u64>,
        event_id: Option<EventId>,
    ) -> Fate {
        let rest = common.rest;
        let keeps_addresses = common.source.project.settings.ip == PersonalData::Keep;
        let context = NormaliseContext {
            received_at: rest.received_at,
            sent_at: rest.sent_at.as_ref(),
            fallback_event_id: self.ids.event_id(),
            header_event_id: event_id,
            peer_ip: rest.peer.filter(|_| keeps_addresses).map(|peer| peer.to_string()),
            transport: rest.transport,
        };
        match value.and_then(|value| normalise(value, &context).ok()) {
            Some(normalised) => {
                Fate::event(Draft { user_hash, ..Draft::of(normalised.map(|normalised| normalised.event)) })
            }
            None => Fate::Ended(Outcome::Filtered, Reason::Unsupported, "transaction"),
        }
    }

    fn draft_log(&self, common: &Common<'_>, record: Redacted<items::LogRecord>) -> Fate {
        let wanted = common.source.project.settings.logs_to_tickets;
        match record.and_then(|record| items::log_to_event(record).filter(|_| wanted)) {
            Some(value) => self.draft_event(common, value, None, None),
            None => Fate::Ended(Outcome::Filtered, Reason::Unsupported, "log_item"),
        }
    }

    fn draft_security(&self, common: &Common<'_>, value: Redacted<Value>) -> Fate {
        let report = value.map(|value| security::read(value, &common.security));
        match &*report {
            SecurityReport::Noise => Fate::Ended(Outcome::Filtered, Reason::Noise, "security"),
            SecurityReport::Other => Fate::Ended(Outcome::Filtered, Reason::Unsupported, "security"),
            SecurityReport::Event(_) => {
                let id = self.ids.event_id();
                let event = report.and_then(|report| match report {
                    SecurityReport::Event(draft) => Some(draft.into_event(id)),
                    SecurityReport::Noise | SecurityReport::Other => None,
                });
                match event {
                    Some(event) => Fate::event(Draft::of(event)),
                    None => Fate::Ended(Outcome::Filtered, Reason::Unsupported, "security"),
                }
            }
        }
    }

    /// Words of a user: on the ticket of their event, else on the project's one ticket for them.
    fn feedback(&self, rest: &Decoded, words: Redacted<items::Feedback>) -> Fate {
        // The header names the feedback unless it names an event beside it.
        let own = rest.header_event_id.filter(|_| rest.first_event().is_none());
        let attach_to = words.associated_event_id;
        let event = words.map(|words| Event {
            event_id: words.event_id.or(own).unwrap_or_else(|| self.ids.event_id()),
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
        });
        Fate::event(Draft {
            key: Some(fingerprint::feedback_key()),
            attach_to,
            priority: Some(Priority::P4),
            ..Draft::of(event)
        })
    }

    /// A heartbeat; a failed one is an event of the monitor's ticket.
    fn check_in(&self, check_in: Redacted<items::CheckIn>, submission: &mut Submission) -> Fate {
        let failed = (check_in.status == CheckInStatus::Error).then(|| {
            let key = fingerprint::monitor_key(&check_in.monitor_slug);
            let event = check_in.clone().map(|check_in| {
                super::special::monitor_event(
                    self.ids.event_id(),
                    &check_in.monitor_slug,
                    format!("Monitor {} failed", check_in.monitor_slug),
                    check_in.environment.clone(),
                    check_in.release.clone(),
                    check_in.timestamp,
                )
            });
            Fate::event(Draft { key: Some(key), ..Draft::of(event) })
        });
        let check_in = check_in.into_inner();
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
        failed.unwrap_or(Fate::Side)
    }

    /// In-app, title, culprit, key, priority.
    fn finish(&self, source: &Source<'_>, draft: Draft) -> Admitted {
        let settings = &source.project.settings;
        let Draft { event, user_hash, key, attach_to, priority, findings } = draft;
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
            peer: source.peer,
            user_hash,
            sample_after: settings.sample_after.unwrap_or(self.settings.sample_after),
            findings,
            attachments: Vec::new(),
            event,
        }
    }

    /// An event of our own making (a missed run, say): our words only, no secrets to look for.
    pub(crate) fn admit_own_words(&self, source: &Source<'_>, event: Event, key: Fingerprint) -> Admitted {
        self.finish(source, Draft { key: Some(key), ..Draft::of(Redacted::mark(event)) })
    }
}

/// Files, and what was found in them, go to their event where it is one of the request, else to it by name.
fn attach(
    submission: &mut Submission,
    rest: &Decoded,
    attachments: Vec<Attachment>,
    findings: Vec<FindingRecord>,
) {
    let owner = rest.event_of_files();
    let named = submission.events.iter().position(|admitted| Some(admitted.event.event_id) == owner);
    // A header may name an event that is not there, but a request without one for an earlier event means its first.
    let place = named.or((rest.files_of.is_none() && rest.first_event().is_none()).then_some(0));
    match (place.and_then(|place| submission.events.get_mut(place)), owner) {
        (Some(event), _) => {
            event.attachments = attachments;
            event.findings.extend(findings);
        }
        (None, owner) => {
            submission.findings.extend(findings);
            match owner {
                Some(owner) => {
                    submission.late_attachments = attachments.into_iter().map(|file| (owner, file)).collect();
                }
                None => {
                    let files = attachments.len() as u64;
                    count(submission, Outcome::Invalid, Reason::Framing, "attachment", files);
                }
            }
        }
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
