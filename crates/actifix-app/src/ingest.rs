//! The ingest pipeline: bytes become facts, facts are decided, decisions are kept.
//!
//! ```text
//! knock -> read -> decode -> apply source maps -> redact -> normalise -> group -> prioritise -> store (sample, throttle) -> answer
//! ```
//! Events of our own API and those that leave quarantine have no knock; from "apply source maps" on the way is the same.
//! What is not [`Redacted`] cannot be grouped or stored: the types of the stages see to it.

mod admit;
mod answer;
mod counters;
mod decode;
mod gate;
pub mod origin;
mod own;
mod passes;
mod quarantine;
mod redact;
mod redacted;
mod refusals;
mod rejoin;
mod room;
mod seal;
mod special;
mod symbolicate;

pub use answer::{AnswerBody, IngestAnswer, Limited, Refusal};
pub use decode::HeaderKey;
pub use gate::{Gate, Knock, Pass};
pub use own::{OwnEvent, UserInput};
pub use redacted::Redacted;
pub use refusals::{KeyFault, RefusedRequests};
pub use room::{ByteRoom, STRANGER_BYTES_MAX};

pub(crate) use admit::Source;
pub(crate) use counters::Counters;
pub(crate) use passes::record as finding_record;
pub(crate) use refusals::Refusals;
pub(crate) use special::monitor_event;

use counters::Tally;
use decode::Decoded;

use crate::app::App;
use crate::error::Error;
use crate::ports::{Ingested, Submission};
use actifix_domain::access::Actor;
use actifix_domain::event::{OriginClass, Provenance, Transport};
use actifix_domain::id::EventId;
use actifix_domain::project::{self, KeyKind};
use actifix_protocol::answer::{DROP_KINDS, PIXEL_GIF};
use actifix_protocol::auth::{Conflict, Credentials, Found};
use actifix_protocol::otlp;
use bytes::Bytes;
use std::net::IpAddr;
use std::sync::Arc;

/// A transparent pixel, the answer to very old browsers.
pub const PIXEL: &[u8] = &PIXEL_GIF;

/// Which endpoint a request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An envelope.
    Envelope,
    /// One event as JSON.
    Store,
    /// One event in the query.
    StoreQuery,
    /// Browser security reports.
    Security,
    /// A native crash.
    Minidump,
    /// An Unreal crash: counted only.
    Unreal,
    /// Attachments of an earlier event.
    Attachments(EventId),
    /// A heartbeat by URL.
    Cron {
        /// Name of the monitor.
        slug: String,
    },
    /// OpenTelemetry.
    Otlp(OtlpSignal),
    /// Counted, not stored; the category.
    Ignored(&'static str),
}

/// Which signal of OpenTelemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpSignal {
    /// Log records.
    Logs,
    /// Spans with exceptions.
    Traces,
}

/// One request with its body.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Endpoint.
    pub kind: Kind,
    /// `Content-Encoding`, all lines joined.
    pub content_encoding: String,
    /// `Content-Type`.
    pub content_type: String,
    /// `User-Agent`.
    pub user_agent: String,
    /// Query string without its `?`.
    pub query: String,
    /// The other end of the connection.
    pub peer: Option<IpAddr>,
    /// Body as sent.
    pub body: Bytes,
}

/// Keys found in headers, query and path; malformed ones count, as they were meant as keys.
pub fn credentials(
    sentry_auth: Option<&str>,
    authorization: Option<&str>,
    query: &str,
    path_key: Option<&str>,
    bearer: bool,
) -> Vec<Found> {
    let mut found = Credentials::default();
    if let Some(text) = sentry_auth {
        found.add_header(text);
    }
    if let Some(text) = authorization {
        found.add_authorization(text);
        if bearer {
            found.add_bearer(text);
        }
    }
    found.add_query(query);
    if let Some(key) = path_key {
        found.add_key(key);
    }
    found.into_found()
}

impl From<Conflict> for Refusal {
    fn from(conflict: Conflict) -> Self {
        match conflict {
            Conflict::Disagree => Self::ConflictingKeys,
            Conflict::Malformed => Self::UnknownKey,
        }
    }
}

impl Kind {
    /// Whether an envelope comes this way, whose header may hold the only key.
    pub fn may_hold_key(&self, content_type: &str) -> bool {
        match self {
            Self::Envelope => true,
            Self::Store => decode::is_envelope_type(content_type),
            _ => false,
        }
    }
}

/// What the CPU part of a request made of it.
struct Processed {
    /// First event id of the request, for the answer.
    id: Option<EventId>,
    /// Part of the request was over a limit.
    limited: Option<Limited>,
    /// The request was faulty, but what was whole before the fault counts.
    fault: Option<Refusal>,
    /// A kind was dropped that SDKs need not send.
    dropped_kinds: bool,
    /// OTLP records refused, with a text.
    rejected: (u64, String),
}

impl App {
    /// Takes one request through the pipeline.
    pub async fn deliver(self: &Arc<Self>, pass: Pass, delivery: Delivery) -> IngestAnswer {
        let started = self.clock.monotonic_micros();
        let kind = delivery.kind.clone();
        let content_type = delivery.content_type.clone();
        let answer = match self.process_and_store(pass, delivery).await {
            Ok(processed) => self.finished(&kind, &content_type, processed),
            Err(refusal) => self.refused(&kind, &content_type, &refusal),
        };
        let micros = self.clock.monotonic_micros().saturating_sub(started);
        metrics::histogram!("actifix_ingest_seconds").record(micros as f64 / 1e6);
        answer
    }

    /// The pipeline on one screen.
    async fn process_and_store(
        self: &Arc<Self>,
        pass: Pass,
        delivery: Delivery,
    ) -> Result<Processed, Refusal> {
        let (project, kind) = (pass.known.project.id, delivery.kind.clone());
        let counted = |refusal: Refusal| {
            self.counters.refused(project, category(&kind), &refusal);
            refusal
        };
        let permit = Arc::clone(&self.gate.decoders).acquire_owned().await;
        let permit = permit.map_err(|_| counted(Refusal::Internal))?;
        let app = Arc::clone(self);
        let received_at = self.now();
        // CPU work leaves the I/O threads; a panic in it costs this request alone.
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let decoded = app.decode(&pass, &delivery, received_at)?;
            let source = app.source(&pass, decoded.transport, delivery.peer);
            let mut decoded = app.limit(&pass, decoded);
            app.read_crashes(&mut decoded)?;
            let seen: Vec<_> =
                decoded.items.iter_mut().filter_map(|item| item.seen.take().map(|seen| *seen)).collect();
            let (processed, mut submission) = app.refine(&source, 1, decoded)?;
            let key = &pass.known.key.public_key;
            submission.unlisted_origin = pass.unlisted_origin.clone().map(|origin| (key.clone(), origin));
            let tally = Tally::of(&submission);
            // Serialising belongs here as well; only the wait for the disk does not.
            let pending = (!submission.is_empty()).then(|| app.store.enqueue(submission));
            Ok::<_, Refusal>((processed, seen, tally, pending))
        });
        let done = work.await.unwrap_or_else(|_| {
            metrics::counter!("actifix_panics_total").increment(1);
            Err(Refusal::Internal)
        });
        let (processed, seen, tally, pending) = done.map_err(counted)?;
        let stored = match pending {
            Some(Ok(pending)) => pending.await,
            Some(Err(error)) => Err(error),
            None => Ok(Ingested::default()),
        };
        match stored {
            Ok(ingested) => self.counters.stored(&tally, &ingested),
            Err(error) => {
                let refusal = refuse_error(&error);
                self.counters.refused_all(&tally, &refusal);
                return Err(refusal);
            }
        }
        if let Kind::Otlp(signal) = kind {
            self.gate.remember(project, signal, seen);
        }
        Ok(processed)
    }

    /// What is the same whichever way values came: frames as they were written, secrets out of them, events with their
    /// groups and priorities. Redaction may cost so many times the usual budget.
    fn refine(
        &self,
        source: &Source<'_>,
        factor: u64,
        mut decoded: Decoded,
    ) -> Result<(Processed, Submission), Refusal> {
        self.symbolicate(source.project, &mut decoded.items);
        let clean = self.redact(source, factor, decoded)?;
        Ok(self.admit(source, clean))
    }

    /// The answer to a request that was stored.
    fn finished(&self, kind: &Kind, content_type: &str, processed: Processed) -> IngestAnswer {
        let mut answer = match (&processed.fault, kind) {
            (Some(fault), _) => fault.answer(),
            (None, Kind::StoreQuery) => IngestAnswer::new(200, AnswerBody::Gif),
            (None, Kind::Security) => IngestAnswer::new(200, AnswerBody::Empty),
            (None, Kind::Cron { .. }) => IngestAnswer::new(202, AnswerBody::Empty),
            (None, Kind::Attachments(_)) => IngestAnswer::new(201, AnswerBody::Empty),
            (None, Kind::Minidump | Kind::Unreal) => match processed.id {
                Some(id) => IngestAnswer::new(200, AnswerBody::IdText(id)),
                None => IngestAnswer::new(200, AnswerBody::Empty),
            },
            (None, Kind::Otlp(signal)) => {
                let format = otlp::Format::of_content_type(content_type).unwrap_or(otlp::Format::Json);
                let kind = match signal {
                    OtlpSignal::Logs => otlp::Kind::Logs,
                    OtlpSignal::Traces => otlp::Kind::Traces,
                };
                let (rejected, message) = &processed.rejected;
                let bytes = otlp::answer(format, kind, *rejected, message);
                IngestAnswer::new(200, AnswerBody::Bytes { content_type: format.content_type(), bytes })
            }
            (None, _) => IngestAnswer::new(200, AnswerBody::Id(processed.id)),
        };
        if let Some(limited) = &processed.limited {
            answer = Refusal::Limited(limited.clone()).answer();
        } else if processed.dropped_kinds && answer.status == 200 && self.settings.announce_dropped_kinds {
            answer.rate_limits = Some(DROP_KINDS.to_owned());
        }
        answer
    }

    /// The answer to a refused request, in the client's own format.
    pub fn refused(&self, kind: &Kind, content_type: &str, refusal: &Refusal) -> IngestAnswer {
        let mut answer = refusal.answer();
        if let (Kind::Otlp(_), AnswerBody::Error { detail, .. }) = (kind, &answer.body) {
            let format = otlp::Format::of_content_type(content_type).unwrap_or(otlp::Format::Json);
            let code = match answer.status {
                401 => 16,
                403 => 7,
                429 => 8,
                503 => 14,
                _ => 3,
            };
            let bytes = otlp::error_body(format, code, detail);
            answer.body = AnswerBody::Bytes { content_type: format.content_type(), bytes };
        }
        answer
    }

    /// Counts a request that was refused before it could be read.
    pub async fn count_refusal(&self, knock: &Knock<'_>, kind: &Kind, refusal: &Refusal) {
        if refusal.reason().is_none() {
            return self.count_key_refusal(knock, refusal).await;
        }
        if let Some(Found::Key(key)) = knock.keys.first()
            && let Ok(Some(known)) = self.known_key(key).await
        {
            self.counters.refused(known.project.id, category(kind), refusal);
        }
    }

    /// Who sent a request with an ingest key, and how far they are trusted.
    fn source<'p>(&self, pass: &'p Pass, transport: Transport, peer: Option<IpAddr>) -> Source<'p> {
        let (key, project) = (&pass.known.key, &pass.known.project);
        let origin_class = match key.kind {
            KeyKind::Server if !pass.with_origin => OriginClass::Server,
            _ => OriginClass::Anyone,
        };
        let actor = Actor::IngestKey { key: key.public_key.clone(), project: project.id };
        Source {
            project,
            provenance: Provenance { key: Some(key.public_key.clone()), transport, origin_class },
            ceiling: project::ceiling(&actor, key.kind, pass.with_origin),
            priority: None,
            peer: peer.map(|peer| self.hash_of_peer(peer)),
        }
    }
}

/// Category of a whole request, for counting refusals.
fn category(kind: &Kind) -> &'static str {
    match kind {
        Kind::Security => "security",
        Kind::Attachments(_) => "attachment",
        Kind::Cron { .. } => "monitor",
        Kind::Ignored(category) => category,
        _ => "error",
    }
}

/// A store that cannot take it now is an answer of 503, whatever the cause.
pub(crate) fn refuse_error(error: &Error) -> Refusal {
    match error {
        Error::Unavailable { message, retry_after_seconds } => {
            Refusal::Overload { message, retry_after: *retry_after_seconds }
        }
        other => {
            tracing::error!(error = %other, source = ?std::error::Error::source(other).map(ToString::to_string), "ingest failed");
            Refusal::Internal
        }
    }
}
