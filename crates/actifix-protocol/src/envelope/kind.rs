//! Kinds of envelope items and what becomes of each (`ingest.md` §8).

use crate::envelope::Want;
use crate::limits::Limits;

/// What becomes of an item because of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It is read further.
    Process,
    /// It is answered as usual, counted as filtered (reason `unsupported`), and not stored.
    Drop,
}

/// Rate limit and report category of an item, in the words of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// Events.
    Error,
    /// What has no category of its own.
    Default,
    /// Browser security reports.
    Security,
    /// Attachments.
    Attachment,
    /// Feedback of users.
    Feedback,
    /// Check-ins.
    Monitor,
    /// Log records.
    LogItem,
    /// Sessions.
    Session,
    /// Transactions.
    Transaction,
    /// Spans.
    Span,
    /// Profiles.
    Profile,
    /// Parts of continuous profiles.
    ProfileChunk,
    /// Replays.
    Replay,
    /// Aggregated metrics.
    MetricBucket,
    /// Metrics tied to traces.
    TraceMetric,
    /// What SDKs tell about themselves.
    Internal,
}

impl Category {
    /// The word of the protocol.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Default => "default",
            Self::Security => "security",
            Self::Attachment => "attachment",
            Self::Feedback => "feedback",
            Self::Monitor => "monitor",
            Self::LogItem => "log_item",
            Self::Session => "session",
            Self::Transaction => "transaction",
            Self::Span => "span",
            Self::Profile => "profile",
            Self::ProfileChunk => "profile_chunk",
            Self::Replay => "replay",
            Self::MetricBucket => "metric_bucket",
            Self::TraceMetric => "trace_metric",
            Self::Internal => "internal",
        }
    }
}

/// Declares the kinds in one table: name, word of the protocol, fate, category.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $fate:ident, $category:ident;)*) => {
        /// Kind of an envelope item.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ItemKind {
            $($(#[$doc])* $name,)*
            /// Any type that is not in the list: from the future, or garbage.
            Unknown,
        }

        impl ItemKind {
            /// Every known kind.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The kind of a type word; exact, as the protocol's words are lower case.
            pub fn of(item_type: &str) -> Self {
                match item_type {
                    $($word => Self::$name,)*
                    _ => Self::Unknown,
                }
            }

            /// The word of the protocol; `unknown` for all unknown ones, so that labels stay bounded.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                    Self::Unknown => "unknown",
                }
            }

            /// What becomes of items of this kind.
            pub const fn fate(self) -> Fate {
                match self {
                    $(Self::$name => Fate::$fate,)*
                    Self::Unknown => Fate::Drop,
                }
            }

            /// The rate limit category of this kind.
            pub const fn category(self) -> Category {
                match self {
                    $(Self::$name => Category::$category,)*
                    Self::Unknown => Category::Default,
                }
            }
        }
    };
}

kinds! {
    /// An error or message event.
    Event = "event", Process, Error;
    /// Feedback of a user, as an event.
    Feedback = "feedback", Process, Feedback;
    /// Feedback of a user, older form.
    UserReport = "user_report", Process, Feedback;
    /// A file that belongs to the event.
    Attachment = "attachment", Process, Attachment;
    /// Heartbeat of a scheduled job.
    CheckIn = "check_in", Process, Monitor;
    /// What the SDK discarded on its side.
    ClientReport = "client_report", Process, Internal;
    /// A container of log records.
    Log = "log", Process, LogItem;
    /// A log record in the shape of OpenTelemetry.
    OtelLog = "otel_log", Process, LogItem;
    /// One session update.
    Session = "session", Process, Session;
    /// Session counts.
    Sessions = "sessions", Process, Session;
    /// A browser security report, parsed by a relay.
    Security = "security", Process, Security;
    /// A browser security report as the browser sent it.
    RawSecurity = "raw_security", Process, Security;
    /// A performance transaction.
    Transaction = "transaction", Drop, Transaction;
    /// Spans.
    Span = "span", Drop, Span;
    /// A span in the shape of OpenTelemetry.
    OtelSpan = "otel_span", Drop, Span;
    /// Spans in the protobuf of OpenTelemetry.
    OtelTracesData = "otel_traces_data", Drop, Span;
    /// Metrics as text.
    Statsd = "statsd", Drop, MetricBucket;
    /// Aggregated metrics.
    MetricBuckets = "metric_buckets", Drop, MetricBucket;
    /// Description of metrics.
    MetricMeta = "metric_meta", Drop, MetricBucket;
    /// Metrics tied to traces.
    TraceMetric = "trace_metric", Drop, TraceMetric;
    /// A profile of a transaction.
    Profile = "profile", Drop, Profile;
    /// A part of a continuous profile.
    ProfileChunk = "profile_chunk", Drop, ProfileChunk;
    /// Description of a replay.
    ReplayEvent = "replay_event", Drop, Replay;
    /// Recording of a replay.
    ReplayRecording = "replay_recording", Drop, Replay;
    /// Video of a replay.
    ReplayVideo = "replay_video", Drop, Replay;
    /// A network error report of a browser.
    Nel = "nel", Drop, Default;
    /// Form fields of a native crash, made by a relay only.
    FormData = "form_data", Drop, Default;
    /// A crash of the Unreal engine.
    UnrealReport = "unreal_report", Drop, Default;
}

impl ItemKind {
    /// Most bytes of one item of this kind.
    pub const fn bytes_max(self, limits: &Limits) -> u64 {
        match self {
            Self::Event | Self::Feedback | Self::UserReport | Self::Security | Self::RawSecurity => {
                limits.event_bytes_max
            }
            Self::Attachment => limits.attachment_bytes_max,
            Self::CheckIn => limits.check_in_bytes_max,
            Self::ClientReport => limits.client_report_bytes_max,
            _ => limits.container_bytes_max,
        }
    }

    /// True when an item of this kind over its limit refuses the whole request (413); others are dropped alone,
    /// so that a report about the SDK itself cannot cost the event beside it.
    pub const fn oversize_refuses_request(self) -> bool {
        matches!(self, Self::Event | Self::Feedback | Self::UserReport | Self::Security | Self::RawSecurity)
    }

    /// False for kinds that no rate limit refuses (`ingest.md` §9: sessions and client reports).
    pub const fn is_limited(self) -> bool {
        !matches!(self, Self::Session | Self::Sessions | Self::ClientReport)
    }

    /// Whether the framer is to hold items of this kind: those that are processed, up to their limit.
    pub const fn want(self, limits: &Limits) -> Want {
        match self.fate() {
            Fate::Process => Want::Keep { max: self.bytes_max(limits) },
            Fate::Drop => Want::Skip,
        }
    }
}
