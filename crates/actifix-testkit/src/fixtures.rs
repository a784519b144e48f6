//! Builders of what a store takes in.

use actifix_app::ingest::Redacted;
use actifix_app::ports::{Admitted, Attachment, AttachmentInfo, FindingRecord, Submission};
use actifix_domain::audit::{Action, AuditRecord};
use actifix_domain::event::{
    Event, EventType, Exception, Frame, Level, Mechanism, OriginClass, Provenance, Stacktrace, Transport,
};
use actifix_domain::fingerprint::{self, Explanation, Grouping, Step};
use actifix_domain::id::{EventId, Fingerprint, ProjectId};
use actifix_domain::ticket::Priority;
use actifix_domain::time::Timestamp;

/// A Tuesday: 2026-11-24T09:47:29Z.
pub const NOW: Timestamp = Timestamp::from_micros(1_795_513_649_000_000);

/// The record of some act, for verbs that want one.
pub fn act() -> AuditRecord {
    AuditRecord::system(NOW, Action::SettingChanged, "test")
}

/// Makes one event that passed the pipeline.
#[derive(Clone, Debug)]
pub struct EventBuilder {
    event: Event,
    key: Fingerprint,
    near_key: Option<Fingerprint>,
    attach_to: Option<EventId>,
    priority: Priority,
    ceiling: Priority,
    user_hash: Option<u64>,
    sample_after: u32,
    findings: Vec<FindingRecord>,
    attachments: Vec<Attachment>,
}

impl EventBuilder {
    /// Event number `number` of the error that `name` names; events with one name are one ticket.
    pub fn new(number: u64, name: &str) -> Self {
        let frame = Frame {
            function: Some("charge".to_owned()),
            module: Some("app.pay".to_owned()),
            lineno: Some(42),
            in_app: Some(true),
            context_line: Some(format!("    raise Declined({name:?})")),
            ..Frame::default()
        };
        let exception = Exception {
            exception_type: Some("Declined".to_owned()),
            value: Some(format!("card was declined: {name}")),
            mechanism: Some(Mechanism { handled: Some(true), ..Mechanism::default() }),
            stacktrace: Some(Stacktrace { frames: vec![frame], ..Stacktrace::default() }),
            ..Exception::default()
        };
        let event = Event {
            event_id: EventId(u128::from(number).to_be_bytes()),
            event_type: EventType::Error,
            timestamp: NOW,
            level: Level::Error,
            title: format!("Declined: {name}"),
            culprit: "app.pay in charge".to_owned(),
            platform: Some("python".to_owned()),
            exception: vec![exception],
            ..Event::default()
        };
        Self {
            event,
            key: fingerprint::hash_lines(&["c:", name]),
            near_key: Some(fingerprint::hash_lines(&["n:Declined"])),
            attach_to: None,
            priority: Priority::P2,
            ceiling: Priority::P0,
            user_hash: None,
            sample_after: 100,
            findings: Vec::new(),
            attachments: Vec::new(),
        }
    }

    /// Any change of the event itself.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Event)) -> Self {
        change(&mut self.event);
        self
    }

    /// When it happened.
    #[must_use]
    pub fn at(self, at: Timestamp) -> Self {
        self.with(|event| event.timestamp = at)
    }

    /// Its release.
    #[must_use]
    pub fn release(self, release: &str) -> Self {
        self.with(|event| event.release = Some(release.to_owned()))
    }

    /// Its environment.
    #[must_use]
    pub fn environment(self, environment: &str) -> Self {
        self.with(|event| event.environment = Some(environment.to_owned()))
    }

    /// One of its tags.
    #[must_use]
    pub fn tag(self, key: &str, value: &str) -> Self {
        self.with(|event| {
            event.tags.insert(key.to_owned(), value.to_owned());
        })
    }

    /// Its title.
    #[must_use]
    pub fn title(self, title: &str) -> Self {
        self.with(|event| event.title = title.to_owned())
    }

    /// Priority for a new ticket.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Most urgent priority that its sender may cause.
    #[must_use]
    pub fn ceiling(mut self, ceiling: Priority) -> Self {
        self.ceiling = ceiling;
        self
    }

    /// The user.
    #[must_use]
    pub fn user(mut self, hash: u64) -> Self {
        self.user_hash = Some(hash);
        self
    }

    /// Bodies kept before sampling.
    #[must_use]
    pub fn sample_after(mut self, many: u32) -> Self {
        self.sample_after = many;
        self
    }

    /// What it looks like from afar.
    #[must_use]
    pub fn near_key(mut self, key: Fingerprint) -> Self {
        self.near_key = Some(key);
        self
    }

    /// The event that it is about.
    #[must_use]
    pub fn attach_to(mut self, event: EventId) -> Self {
        self.attach_to = Some(event);
        self
    }

    /// A secret that was found in it.
    #[must_use]
    pub fn finding(mut self, finding: FindingRecord) -> Self {
        self.findings.push(finding);
        self
    }

    /// An attachment with its content.
    #[must_use]
    pub fn attachment(mut self, name: &str, bytes: &[u8]) -> Self {
        self.attachments.push(attachment(name, Some(bytes)));
        self
    }

    /// Its key.
    pub fn key(&self) -> Fingerprint {
        self.key
    }

    /// Its id.
    pub fn id(&self) -> EventId {
        self.event.event_id
    }

    /// Done.
    pub fn build(self) -> Admitted {
        let lines = vec![format!("c:{}", self.event.title)];
        Admitted {
            provenance: Provenance {
                key: None,
                transport: Transport::Sentry,
                origin_class: OriginClass::Server,
            },
            grouping: Grouping {
                key: self.key,
                near_key: self.near_key,
                lines: lines.clone(),
                explanation: Explanation {
                    version: fingerprint::VERSION.to_owned(),
                    step: Step::Fingerprint,
                    rule: None,
                    lines,
                    in_app: true,
                    place: None,
                },
            },
            attach_to: self.attach_to,
            priority: self.priority,
            priority_reason: "level error".to_owned(),
            ceiling: self.ceiling,
            user_hash: self.user_hash,
            sample_after: self.sample_after,
            findings: self.findings,
            attachments: self.attachments,
            event: Redacted::assume(self.event),
        }
    }
}

/// An attachment.
pub(crate) fn attachment(name: &str, bytes: Option<&[u8]>) -> Attachment {
    Attachment {
        info: AttachmentInfo {
            number: 0,
            name: name.to_owned(),
            content_type: "text/plain".to_owned(),
            attachment_type: "event.attachment".to_owned(),
            size: bytes.map_or(7, |bytes| u64::try_from(bytes.len()).unwrap()),
            digest: "00112233445566778899aabbccddeeff".to_owned(),
            kept: bytes.is_some(),
        },
        bytes: bytes.map(<[u8]>::to_vec),
    }
}

/// A finding of rule `rule` whose value has the keyed hash `hash`.
pub fn finding(rule: &str, hash: u8, path: &str) -> FindingRecord {
    FindingRecord {
        rule: rule.to_owned(),
        severity: "high",
        path: path.to_owned(),
        masked: "abcd…".to_owned(),
        hash: [hash; 16],
    }
}

/// A submission of events, received at `at`.
pub fn submission(
    project: ProjectId,
    at: Timestamp,
    events: impl IntoIterator<Item = EventBuilder>,
) -> Submission {
    let mut submission = Submission::new(project, at);
    submission.events = events.into_iter().map(EventBuilder::build).collect();
    submission
}
