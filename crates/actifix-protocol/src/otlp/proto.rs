//! The messages of the OpenTelemetry protocol that are read or answered, declared by hand.
//!
//! Field numbers are those of `opentelemetry/proto/{common,resource,logs,trace}/v1` and `google.rpc.Status`;
//! fields that nothing here uses are left out, decoders skip them. Texts are bytes: a sender with broken
//! UTF-8 must not lose its report. The messages around the records are walked by [`super::wire`] instead, so
//! that records are decoded one by one: a request of two-byte records would else grow a hundredfold in memory.

use prost::{Message, Oneof};

/// `Resource`.
#[derive(Clone, PartialEq, Message)]
pub struct Resource {
    /// Facts about the process.
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
}

/// `InstrumentationScope`.
#[derive(Clone, PartialEq, Message)]
pub struct Scope {
    /// Name of the library or logger.
    #[prost(bytes = "vec", tag = "1")]
    pub name: Vec<u8>,
}

/// `KeyValue`.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    /// Dotted name.
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    /// Absent counts as empty.
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

/// `AnyValue`.
#[derive(Clone, PartialEq, Message)]
pub struct AnyValue {
    /// Empty when none is set.
    #[prost(oneof = "Any", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub value: Option<Any>,
}

/// What an [`AnyValue`] holds.
#[derive(Clone, PartialEq, Oneof)]
pub enum Any {
    /// `string_value`
    #[prost(bytes, tag = "1")]
    Text(Vec<u8>),
    /// `bool_value`
    #[prost(bool, tag = "2")]
    Bool(bool),
    /// `int_value`
    #[prost(int64, tag = "3")]
    Int(i64),
    /// `double_value`
    #[prost(double, tag = "4")]
    Double(f64),
    /// `array_value`
    #[prost(message, tag = "5")]
    Array(ArrayValue),
    /// `kvlist_value`
    #[prost(message, tag = "6")]
    Map(KeyValueList),
    /// `bytes_value`
    #[prost(bytes, tag = "7")]
    Bytes(Vec<u8>),
}

/// `ArrayValue`.
#[derive(Clone, PartialEq, Message)]
pub struct ArrayValue {
    /// Members.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<AnyValue>,
}

/// `KeyValueList`.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValueList {
    /// Members.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<KeyValue>,
}

/// `LogRecord`.
#[derive(Clone, PartialEq, Message)]
pub struct LogRecord {
    /// When it happened, nanoseconds since the epoch; 0 = unknown.
    #[prost(fixed64, tag = "1")]
    pub time_unix_nano: u64,
    /// When it was seen, nanoseconds since the epoch; 0 = unknown.
    #[prost(fixed64, tag = "11")]
    pub observed_time_unix_nano: u64,
    /// 1 to 24; 0 = unknown.
    #[prost(int32, tag = "2")]
    pub severity_number: i32,
    /// The source's own word.
    #[prost(bytes = "vec", tag = "3")]
    pub severity_text: Vec<u8>,
    /// The message, mostly a text.
    #[prost(message, optional, tag = "5")]
    pub body: Option<AnyValue>,
    /// Facts about the record.
    #[prost(message, repeated, tag = "6")]
    pub attributes: Vec<KeyValue>,
    /// 16 bytes or none.
    #[prost(bytes = "vec", tag = "9")]
    pub trace_id: Vec<u8>,
    /// 8 bytes or none.
    #[prost(bytes = "vec", tag = "10")]
    pub span_id: Vec<u8>,
    /// Names the kind of event.
    #[prost(bytes = "vec", tag = "12")]
    pub event_name: Vec<u8>,
}

/// `Span`, without what is dropped.
#[derive(Clone, PartialEq, Message)]
pub struct Span {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    /// 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    /// What happened during the span.
    #[prost(message, repeated, tag = "11")]
    pub events: Vec<SpanEvent>,
}

/// `Span.Event`.
#[derive(Clone, PartialEq, Message)]
pub struct SpanEvent {
    /// When, nanoseconds since the epoch.
    #[prost(fixed64, tag = "1")]
    pub time_unix_nano: u64,
    /// `exception` for those of interest.
    #[prost(bytes = "vec", tag = "2")]
    pub name: Vec<u8>,
    /// Facts about it.
    #[prost(message, repeated, tag = "3")]
    pub attributes: Vec<KeyValue>,
}

/// `ExportLogsServiceResponse` and `ExportTraceServiceResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct ExportResponse {
    /// Absent when all was taken.
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<PartialSuccess>,
}

/// `ExportLogsPartialSuccess` and `ExportTracePartialSuccess`.
#[derive(Clone, PartialEq, Message)]
pub struct PartialSuccess {
    /// How many records or spans were refused.
    #[prost(int64, tag = "1")]
    pub rejected: i64,
    /// Why.
    #[prost(string, tag = "2")]
    pub error_message: String,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
pub struct RpcStatus {
    /// A `google.rpc.Code`.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// For the sender's developer.
    #[prost(string, tag = "2")]
    pub message: String,
}
