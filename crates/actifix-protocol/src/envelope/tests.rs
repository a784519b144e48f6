use std::io::{self, Read};

use serde_json::json;

use super::*;
use crate::limits::{KIB, MIB};

const ID: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f90";

fn keep_all(_: &ItemHeader) -> Want {
    Want::Keep { max: u64::MAX }
}

fn read(bytes: impl AsRef<[u8]>) -> Result<Envelope, EnvelopeError> {
    EnvelopeReader::open(bytes.as_ref(), &Limits::default())?.read_items(keep_all)
}

/// By the limits of each kind, as the pipeline does it.
fn by_kind(bytes: impl AsRef<[u8]>, limits: &Limits) -> Result<Envelope, EnvelopeError> {
    EnvelopeReader::open(bytes.as_ref(), limits)?.read_items(|header| header.kind().want(limits))
}

fn payloads(envelope: &Envelope) -> Vec<(&str, &[u8])> {
    envelope.items.iter().map(|item| (item.header.item_type.as_str(), item.payload.as_slice())).collect()
}

#[test]
fn payloads_come_out_exactly_in_both_forms() {
    type Payloads = Vec<(&'static str, &'static [u8])>;
    let table: [(&[u8], Payloads); 12] = [
        (b"{}", vec![]),
        (b"{}\n", vec![]),
        (b"{}\n\n\r\n \n", vec![]),
        (b"{}\n{\"type\":\"event\"}\n{\"a\":1}", vec![("event", b"{\"a\":1}")]),
        (b"{}\n{\"type\":\"event\"}\n{\"a\":1}\n\n\n", vec![("event", b"{\"a\":1}")]),
        (b"{}\r\n{\"type\":\"event\"}\r\n{\"a\":1}\r\n", vec![("event", b"{\"a\":1}\r")]),
        (b"{}\n{\"type\":\"event\",\"length\":null}\n{}\n", vec![("event", b"{}")]),
        (b"{}\n{\"type\":\"a\",\"length\":0}\n\n{\"type\":\"b\"}\nx", vec![("a", b""), ("b", b"x")]),
        (b"{}\n{\"type\":\"a\",\"length\":0}", vec![("a", b"")]),
        (b"{}\n{\"type\":\"a\"}\n\n{\"type\":\"b\"}\nx", vec![("a", b""), ("b", b"x")]),
        (
            b"{}\n{\"type\":\"a\",\"length\":19}\nx\n{\"type\":\"event\"}\n\n{\"type\":\"b\",\"length\":2}\n\xff\x00\n",
            vec![("a", b"x\n{\"type\":\"event\"}\n"), ("b", b"\xff\x00")],
        ),
        (b"\xEF\xBB\xBF{}\n{\"type\":\"a\",\"length\":\"2\"}\n\n\n\n{\"type\":\"b\",\"length\":1.0}\ny", vec![("a", b"\n\n"), ("b", b"y")]),
    ];
    for (bytes, want) in table {
        assert_eq!(payloads(&read(bytes).unwrap()), want, "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn a_length_that_is_no_length_counts_as_absent() {
    for length in ["-1", "true", "1.5", "\"x\"", "{}", "[2]", "\"\"", "NaN"] {
        let bytes = format!("{{}}\n{{\"type\":\"a\",\"length\":{length}}}\nxyz\n");
        assert_eq!(payloads(&read(bytes).unwrap()), [("a", &b"xyz"[..])], "{length}");
    }
}

#[test]
fn faults_are_400_and_what_was_whole_before_is_kept() {
    let before = "{}\n{\"type\":\"event\"}\n{}\n";
    for (after, fault) in [
        ("not json\n", EnvelopeFault::ItemHeader),
        ("[1]\nx", EnvelopeFault::ItemHeader),
        ("{\"length\":1}\nx\n", EnvelopeFault::ItemType),
        ("{\"type\":7}\nx\n", EnvelopeFault::ItemType),
        ("{\"type\":null}\nx\n", EnvelopeFault::ItemType),
        ("{\"type\":\"event\",\"length\":5000}\nx", EnvelopeFault::Length),
        ("{\"type\":\"attachment\",\"length\":5}", EnvelopeFault::Length),
        ("{\"type\":\"future\",\"length\":5000}\nx", EnvelopeFault::Length),
        ("{\"type\":\"event\",\"length\":1}\nxy\n", EnvelopeFault::Length),
        ("{\"type\":\"event\",\"length\":1}\nx\r\n", EnvelopeFault::Length),
        ("{\"type\":\"future\",\"length\":99999999999999999999}\nx", EnvelopeFault::Length),
    ] {
        let error = by_kind(format!("{before}{after}"), &Limits::default()).unwrap_err();
        if after.contains("\"event\",\"length\":5000") || fault != EnvelopeFault::Length {
            assert_eq!(error.fault, fault, "{after}");
        }
        assert_eq!((error.fault.status(), error.fault.reason()), (400, Reason::Framing), "{after}");
        assert!(error.fault.keeps_partial());
        assert_eq!(payloads(&error.partial), [("event", &b"{}"[..])], "{after}");
    }
    for (bytes, fault) in [
        ("", EnvelopeFault::Empty),
        ("\n{}\n", EnvelopeFault::Header),
        ("garbage", EnvelopeFault::Header),
        ("[]\n", EnvelopeFault::Header),
        ("null\n", EnvelopeFault::Header),
        ("{\"a\":\n", EnvelopeFault::Header),
    ] {
        let error = read(bytes).unwrap_err();
        assert_eq!((error.fault, error.fault.status()), (fault, 400), "{bytes}");
        assert!(error.partial.items.is_empty());
    }
}

#[test]
fn a_bad_header_member_never_costs_the_event() {
    let dsn = format!("https://{ID}@errors.example.net/42");
    let good = json!({"event_id": ID, "dsn": dsn, "sdk": {"name": "x"}, "sent_at": "2026-11-24T10:00:00Z",
        "trace": {"public_key": "k"}, "future": [1]});
    let header = read(good.to_string()).unwrap().header;
    assert_eq!(header.event_id.unwrap().to_string(), ID);
    assert_eq!(header.dsn.unwrap().public_key().as_str(), ID);
    assert_eq!(
        (header.sdk, header.sent_at),
        (Some(json!({"name":"x"})), Some(json!("2026-11-24T10:00:00Z")))
    );
    assert_eq!(
        (header.trace, header.other.get("future")),
        (Some(json!({"public_key":"k"})), Some(&json!([1])))
    );
    for bad in [
        json!({"event_id": 7, "dsn": {}, "sent_at": "garbage"}),
        json!({"event_id": "xyz", "dsn": "http://nokey/1", "sent_at": null}),
        json!({"event_id": null, "dsn": null, "sdk": null, "trace": null}),
    ] {
        let envelope = read(format!("{bad}\n{{\"type\":\"event\"}}\n{{}}\n")).unwrap();
        assert_eq!(
            (envelope.header.event_id, envelope.header.dsn, envelope.items.len()),
            (None, None, 1),
            "{bad}"
        );
    }
    let upper = json!({"event_id": "A1B2C3D4-E5F6-0718-293A-4B5C6D7E8F90"});
    assert_eq!(read(upper.to_string()).unwrap().header.event_id.unwrap().to_string(), ID);
}

#[test]
fn the_header_alone_can_be_read_first() {
    let bytes = format!("{{\"dsn\":\"https://{ID}@h.example.net/1\"}}\n{{\"type\":\"event\"}}\n{{}}");
    let reader = EnvelopeReader::open(bytes.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(reader.header().dsn.as_ref().unwrap().public_key().as_str(), ID);
    assert_eq!(reader.read_items(keep_all).unwrap().items.len(), 1);
}

#[test]
fn item_headers_tell_what_they_know() {
    let header = json!({"type":"attachment","length":1,"filename":"a\u{202e}b","content_type":"text/plain",
        "attachment_type":"event.attachment","item_count":3});
    let envelope = read(format!("{{}}\n{header}\nx")).unwrap();
    let item = &envelope.items[0].header;
    assert_eq!((item.kind(), item.length), (ItemKind::Attachment, Some(1)));
    assert_eq!((item.filename.as_deref(), item.content_type.as_deref()), (Some("ab"), Some("text/plain")));
    assert_eq!(item.attachment_type.as_deref(), Some("event.attachment"));
    assert_eq!(item.other.get("item_count"), Some(&json!(3)));
}

#[test]
fn kinds_have_the_fate_of_the_table() {
    let processed = [
        "event",
        "feedback",
        "user_report",
        "attachment",
        "check_in",
        "client_report",
        "log",
        "otel_log",
        "session",
        "sessions",
        "security",
        "raw_security",
    ];
    let dropped = [
        "transaction",
        "span",
        "otel_span",
        "otel_traces_data",
        "statsd",
        "metric_buckets",
        "metric_meta",
        "trace_metric",
        "profile",
        "profile_chunk",
        "replay_event",
        "replay_recording",
        "replay_video",
        "nel",
        "form_data",
        "unreal_report",
    ];
    for word in processed {
        assert_eq!((ItemKind::of(word).fate(), ItemKind::of(word).as_str()), (Fate::Process, word));
    }
    for word in dropped {
        assert_eq!((ItemKind::of(word).fate(), ItemKind::of(word).as_str()), (Fate::Drop, word));
    }
    assert_eq!(ItemKind::ALL.len(), processed.len() + dropped.len());
    for word in ["", "Event", "future_thing", "unknown"] {
        assert_eq!((ItemKind::of(word), ItemKind::of(word).fate()), (ItemKind::Unknown, Fate::Drop));
    }
    let limited: Vec<_> =
        ItemKind::ALL.iter().filter(|kind| !kind.is_limited()).map(|kind| kind.as_str()).collect();
    assert_eq!(limited, ["client_report", "session", "sessions"]);
    for category in crate::answer::DROP_KINDS.split(':').nth(1).unwrap().split(';') {
        assert!(
            ItemKind::ALL.iter().any(|k| k.fate() == Fate::Drop && k.category().as_str() == category),
            "{category}"
        );
    }
}

#[test]
fn dropped_kinds_pass_by_and_are_reported() {
    let long_type = "t".repeat(1000);
    let bytes = format!(
        "{{}}\n{{\"type\":\"{long_type}\"}}\nzz\n{{\"type\":\"statsd\",\"length\":3}}\na\nb\n{{\"type\":\"event\"}}\n{{}}\n"
    );
    let envelope = by_kind(bytes, &Limits::default()).unwrap();
    assert_eq!(payloads(&envelope), [("event", &b"{}"[..])]);
    let dropped: Vec<_> =
        envelope.dropped.iter().map(|d| (d.item_type.len(), d.kind, d.reason, d.length)).collect();
    assert_eq!(
        dropped,
        [
            (ITEM_TYPE_CHARS_MAX, ItemKind::Unknown, Reason::Unsupported, 2),
            (6, ItemKind::Statsd, Reason::Unsupported, 3)
        ]
    );
}

#[test]
fn an_oversized_event_refuses_the_request_in_both_forms() {
    let big = "x".repeat(MIB as usize + 1);
    for kind in ["event", "feedback", "user_report", "security", "raw_security"] {
        for header in
            [format!("{{\"type\":\"{kind}\"}}"), format!("{{\"type\":\"{kind}\",\"length\":{}}}", big.len())]
        {
            let error = by_kind(format!("{{}}\n{header}\n{big}\n"), &Limits::default()).unwrap_err();
            assert_eq!((error.fault, error.fault.status()), (EnvelopeFault::EventTooLarge, 413), "{header}");
            assert!(!error.fault.keeps_partial());
            assert_eq!(error.fault.reason(), Reason::TooLarge);
        }
    }
    let fits = by_kind(format!("{{}}\n{{\"type\":\"event\"}}\n{}\n", &big[1..]), &Limits::default()).unwrap();
    assert_eq!(fits.items[0].payload.len() as u64, MIB);
}

#[test]
fn other_oversized_items_are_dropped_alone() {
    let limits = Limits::default();
    for (kind, max) in [
        ("attachment", 10 * MIB),
        ("log", MIB),
        ("otel_log", MIB),
        ("check_in", 100 * KIB),
        ("client_report", 4 * KIB),
        ("sessions", MIB),
    ] {
        let fits = "y".repeat(max as usize);
        for length in ["", ",\"length\":"] {
            let item = |payload: &str| {
                let length =
                    if length.is_empty() { String::new() } else { format!("{length}{}", payload.len()) };
                format!("{{\"type\":\"{kind}\"{length}}}\n{payload}\n")
            };
            let bytes =
                format!("{{}}\n{}{}{{\"type\":\"event\"}}\n{{}}\n", item(&fits), item(&format!("{fits}y")));
            let envelope = by_kind(bytes, &limits).unwrap();
            assert_eq!(envelope.items.len(), 2, "{kind}");
            assert_eq!(envelope.items[0].payload.len() as u64, max);
            let dropped = &envelope.dropped[0];
            assert_eq!(
                (dropped.item_type.as_str(), dropped.reason, dropped.length),
                (kind, Reason::TooLarge, max + 1)
            );
        }
    }
}

#[test]
fn attachments_of_one_event_share_a_budget() {
    let payload = "z".repeat(9 * MIB as usize);
    let item = format!("{{\"type\":\"attachment\",\"length\":{}}}\n{payload}\n", payload.len());
    let small = "{\"type\":\"attachment\",\"length\":4}\ntiny\n";
    let envelope = by_kind(format!("{{}}\n{}{small}", item.repeat(4)), &Limits::default()).unwrap();
    let kept: usize = envelope.items.iter().map(|item| item.payload.len()).sum();
    assert_eq!((envelope.items.len(), kept, envelope.dropped.len()), (3, 2 * payload.len() + 4, 2));
    assert!(kept as u64 <= 25 * MIB);
}

#[test]
fn headers_and_counts_have_bounds() {
    let long = "h".repeat(64 * KIB as usize);
    for bytes in
        [format!("{{\"a\":\"{long}\"}}\n"), format!("{{}}\n{{\"type\":\"event\",\"a\":\"{long}\"}}\n{{}}\n")]
    {
        let error = read(bytes).unwrap_err();
        assert_eq!((error.fault, error.fault.status()), (EnvelopeFault::HeaderTooLarge, 413));
    }
    let crowded = format!("{{\"type\":\"event\",\"a\":[{}0]}}", "0,".repeat(30_000));
    for bytes in [format!("{crowded}\n"), format!("{{}}\n{crowded}\n{{}}\n")] {
        assert_eq!(read(bytes).unwrap_err().fault, EnvelopeFault::HeaderTooLarge);
    }
    let item = "{\"type\":\"future\"}\nx\n";
    assert_eq!(read(format!("{{}}\n{}", item.repeat(500))).unwrap().items.len(), 500);
    let error = read(format!("{{}}\n{}", item.repeat(501))).unwrap_err();
    assert_eq!((error.fault, error.fault.status()), (EnvelopeFault::TooManyItems, 413));
}

/// Gives an endless envelope in small pieces, and counts what it gave.
struct Endless {
    given: u64,
    head: &'static [u8],
}

impl Read for &mut Endless {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = out.len().min(7000);
        let from = if self.head.is_empty() { &[b'x'; 7000][..] } else { self.head };
        let count = count.min(from.len());
        out[..count].copy_from_slice(&from[..count]);
        if !self.head.is_empty() {
            self.head = &self.head[count..];
        }
        self.given += count as u64;
        Ok(count)
    }
}

#[test]
fn an_endless_stream_is_read_no_further_than_its_limit() {
    let limits = Limits::default();
    for (head, most) in [
        (&b""[..], 128 * KIB),
        (b"{}\n", 192 * KIB),
        (b"{}\n{\"type\":\"event\"}\n", MIB + 64 * KIB),
        (b"{}\n{\"type\":\"event\",\"length\":2000000}\n", 64 * KIB),
        (b"{}\n{\"type\":\"replay_video\"}\n", limits.decoded_bytes_max + 64 * KIB),
        (b"{}\n{\"type\":\"attachment\"}\n", limits.decoded_bytes_max + 64 * KIB),
        (b"{}\n{\"type\":\"attachment\",\"length\":900000000000}\n", limits.decoded_bytes_max + 64 * KIB),
    ] {
        let mut endless = Endless { given: 0, head };
        let read = |endless| {
            EnvelopeReader::open(endless, &limits)?.read_items(|header| header.kind().want(&limits))
        };
        let error: EnvelopeError = read(&mut endless).unwrap_err();
        assert_eq!(error.fault.status(), 413, "{}", String::from_utf8_lossy(head));
        assert!(endless.given <= most, "{} of {most}", endless.given);
    }
}

#[test]
fn a_stream_that_breaks_keeps_what_came_before() {
    struct Breaks(io::Cursor<Vec<u8>>);
    impl Read for Breaks {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            match self.0.read(out)? {
                0 => Err(DecodeError::Corrupt.into()),
                count => Ok(count),
            }
        }
    }
    let bytes = b"{}\n{\"type\":\"event\"}\n{\"a\":1}\n{\"type\":\"attachment\",\"length\":10}\nabc".to_vec();
    let reader = EnvelopeReader::open(Breaks(io::Cursor::new(bytes)), &Limits::default()).unwrap();
    let error = reader.read_items(keep_all).unwrap_err();
    assert_eq!((error.fault, error.fault.status()), (EnvelopeFault::Decode(DecodeError::Corrupt), 400));
    assert_eq!(error.fault.reason(), Reason::Encoding);
    assert_eq!(payloads(&error.partial), [("event", &b"{\"a\":1}"[..])]);
}

#[test]
fn one_byte_at_a_time_gives_the_same_envelope() {
    struct Drip<'a>(&'a [u8]);
    impl Read for Drip<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = out.len().min(1);
            self.0.read(&mut out[..count])
        }
    }
    let bytes = b"{}\n\n{\"type\":\"a\",\"length\":5}\n1\n2\n3\n{\"type\":\"event\"}\n{\"x\":\"y\"}\r\n{\"type\":\"span\"}\nq\n";
    let dripping = EnvelopeReader::open(Drip(bytes), &Limits::default()).unwrap();
    assert_eq!(dripping.read_items(keep_all), read(bytes));
}

#[test]
fn a_header_is_known_as_soon_as_its_line_is_there_and_never_before() {
    let limits = Limits { header_line_bytes_max: 100, ..Limits::default() };
    let of = |bytes: &[u8]| header_of_prefix(bytes, &limits);
    let whole = format!("{{\"event_id\":\"{ID}\"}}\n{{\"type\":\"event\"}}\nx");
    let line = whole.find('\n').unwrap();
    for end in 0..=line {
        assert_eq!(of(&whole.as_bytes()[..end]), Ok(None), "{end}");
    }
    for end in line + 1..whole.len() {
        assert_eq!(of(&whole.as_bytes()[..end]).unwrap().unwrap().event_id, ID.parse().ok(), "{end}");
    }
    assert_eq!(of(&[b'{'; 101]), Err(EnvelopeFault::HeaderTooLarge));
    assert_eq!(of(b"nonsense\n"), Err(EnvelopeFault::Header));
    // A stream that was cut may still go on.
    let broken = header_of_prefix(Broken, &limits);
    assert_eq!(broken, Ok(None));
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(DecodeError::Corrupt.into())
    }
}
