use super::*;

/// With room for more than any of these tests unpacks.
fn parsed(bytes: &[u8]) -> Result<MinidumpFacts, MinidumpError> {
    parse(bytes, 1 << 20)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Builds a dump of one system: header, directory, then the streams.
struct Dump {
    big_endian: bool,
    data: Vec<u8>,
    streams: Vec<(u32, usize, usize)>,
}

const DATA_AT: usize = 32 + 12 * 8;

impl Dump {
    fn new(big_endian: bool) -> Self {
        Self { big_endian, data: Vec::new(), streams: Vec::new() }
    }

    fn n32(&self, number: u32) -> [u8; 4] {
        if self.big_endian { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    fn n64(&self, number: u64) -> [u8; 8] {
        if self.big_endian { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    fn n16(&self, number: u16) -> [u8; 2] {
        if self.big_endian { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    fn put(&mut self, bytes: &[u8]) -> usize {
        let at = DATA_AT + self.data.len();
        self.data.extend_from_slice(bytes);
        at
    }

    fn string(&mut self, text: &str) -> usize {
        let units: Vec<u16> = text.encode_utf16().collect();
        let mut bytes = self.n32(u32::try_from(units.len() * 2).unwrap()).to_vec();
        units.iter().for_each(|unit| bytes.extend(self.n16(*unit)));
        self.put(&bytes)
    }

    fn stream(&mut self, kind: u32, bytes: &[u8]) {
        let at = self.put(bytes);
        self.streams.push((kind, bytes.len(), at));
    }

    fn modules(&mut self, modules: &[(&str, u64, u32)], padded: bool) {
        let mut list = self.n32(u32::try_from(modules.len()).unwrap()).to_vec();
        if padded {
            list.extend([0; 4]);
        }
        for (name, base, size) in modules {
            let name = u32::try_from(self.string(name)).unwrap();
            let mut record = self.n32(0x5344_5352).to_vec();
            record.extend(self.n32(0x1122_3344));
            record.extend(self.n16(0x5566));
            record.extend(self.n16(0x7788));
            record.extend([1, 2, 3, 4, 5, 6, 7, 8]);
            record.extend(self.n32(10));
            let record = u32::try_from(self.put(&record)).unwrap();
            let mut module = self.n64(*base).to_vec();
            for number in [*size, 0, 0, name] {
                module.extend(self.n32(number));
            }
            module.extend([0; 52]);
            module.extend(self.n32(24));
            module.extend(self.n32(record));
            module.resize(108, 0);
            list.extend(module);
        }
        self.stream(4, &list);
    }

    fn exception(&mut self, code: u32, address: u64, unreachable: u64, context_at: usize) {
        let mut bytes = self.n32(77).to_vec();
        bytes.extend([0; 4]);
        bytes.extend(self.n32(code));
        bytes.extend([0; 12]);
        bytes.extend(self.n64(address));
        bytes.extend(self.n32(2));
        bytes.extend([0; 4]);
        bytes.extend(self.n64(1));
        bytes.extend(self.n64(unreachable));
        bytes.resize(160, 0);
        bytes.extend(self.n32(1_232));
        bytes.extend(self.n32(u32::try_from(context_at).unwrap()));
        self.stream(6, &bytes);
    }

    fn system(&mut self, cpu: u16, platform: u32, version: [u32; 3], build: &str) {
        let build = u32::try_from(self.string(build)).unwrap();
        let mut bytes = self.n16(cpu).to_vec();
        bytes.extend([0; 6]);
        for number in [version[0], version[1], version[2], platform, build] {
            bytes.extend(self.n32(number));
        }
        bytes.resize(56, 0);
        self.stream(7, &bytes);
    }

    fn threads(&mut self, threads: &[(u32, &str)]) {
        let mut list = self.n32(u32::try_from(threads.len()).unwrap()).to_vec();
        for (id, name) in threads {
            let at = self.string(name) as u64;
            list.extend(self.n32(*id));
            list.extend(self.n64(at));
        }
        self.stream(24, &list);
    }

    fn build(self) -> Vec<u8> {
        let mut out = if self.big_endian { b"PMDM".to_vec() } else { b"MDMP".to_vec() };
        out.extend(self.n32(0xa793));
        out.extend(self.n32(u32::try_from(self.streams.len()).unwrap()));
        out.extend(self.n32(32));
        out.resize(32, 0);
        for (kind, len, at) in &self.streams {
            out.extend(self.n32(*kind));
            out.extend(self.n32(u32::try_from(*len).unwrap()));
            out.extend(self.n32(u32::try_from(*at).unwrap()));
        }
        out.resize(DATA_AT, 0);
        out.extend(self.data);
        out
    }
}

fn linux(big_endian: bool) -> Vec<u8> {
    let mut dump = Dump::new(big_endian);
    let mut context = vec![0; 0xF8];
    context.extend(dump.n64(0x5000_1234));
    context.resize(1_232, 0);
    let context_at = dump.put(&context);
    dump.modules(&[("/usr/bin/app", 0x4000_0000, 0x1000), ("/lib/libfoo.so.1", 0x5000_0000, 0x2000)], true);
    dump.exception(11, 0x10, 0, context_at);
    dump.system(9, 0x8201, [0, 0, 0], "Linux 6.1.0 #1 SMP");
    dump.threads(&[(77, "worker\u{202e}-1"), (78, "gc")]);
    dump.build()
}

#[test]
fn a_crash_on_linux_is_named_by_signal_and_module_of_the_instruction() {
    for big_endian in [false, true] {
        let facts = parsed(&linux(big_endian)).unwrap();
        assert_eq!(facts.exception.as_deref(), Some("SIGSEGV"));
        assert_eq!((facts.crash_address, facts.crashing_thread), (Some(0x10), Some(77)));
        assert_eq!(facts.crashing_module.as_deref(), Some("libfoo.so.1"));
        assert_eq!((facts.os, facts.cpu), (Some("Linux"), Some("x86_64")));
        assert_eq!(facts.os_version.as_deref(), Some("Linux 6.1.0 #1 SMP"));
        assert_eq!(facts.threads, [(77, "worker-1".to_owned()), (78, "gc".to_owned())]);
        assert_eq!(facts.modules.len(), 2);
        assert_eq!((facts.modules[0].name.as_str(), facts.modules[0].size), ("/usr/bin/app", 0x1000));
        let debug_id = facts.modules[0].debug_id.as_deref();
        assert_eq!(debug_id, Some("11223344-5566-7788-0102-030405060708-a"));
    }
}

#[test]
fn a_crash_on_windows_tells_what_could_not_be_reached() {
    let mut dump = Dump::new(false);
    dump.system(9, 2, [10, 0, 19045], "");
    dump.exception(0xC000_0005, 0x40_0100, 0xdead, 0);
    dump.modules(&[("C:\\Program Files\\Shop\\shop.exe", 0x40_0000, 0x1000)], false);
    let facts = parsed(&dump.build()).unwrap();
    let event = to_event(facts.clone(), Value::Null);
    assert_eq!(event["exception"]["values"][0]["value"], json!("EXCEPTION_ACCESS_VIOLATION in shop.exe"));
    assert_eq!(facts.crash_address, Some(0xdead));
    assert_eq!(facts.os_version.as_deref(), Some("10.0.19045"));
}

#[test]
fn unknown_codes_are_shown_in_hex_and_dumps_on_request_are_no_crash() {
    for (code, name) in [(0xE123_4567, Some("0xe1234567")), (0, None), (u32::MAX, None)] {
        let mut dump = Dump::new(false);
        dump.exception(code, 0x10, 0, 0);
        assert_eq!(parsed(&dump.build()).unwrap().exception.as_deref(), name);
    }
}

#[test]
fn packed_dumps_are_unpacked_and_others_refused() {
    assert_eq!(parsed(&gzip(&linux(false))), parsed(&linux(false)));
    assert_eq!(parsed(b"\x1f\x8bgarbage"), Err(MinidumpError::Packed));
    assert_eq!(parsed(b"ELF"), Err(MinidumpError::Magic));
    assert_eq!(parsed(b""), Err(MinidumpError::Magic));
    assert_eq!(parsed(b"MDMP\x93\xa7"), Err(MinidumpError::Short));
}

#[test]
fn a_packed_dump_is_unpacked_within_what_its_request_has_left() {
    let dump = linux(false);
    let packed = gzip(&dump);
    assert!(parse(&packed, dump.len() as u64).is_ok());
    assert_eq!(parse(&packed, dump.len() as u64 - 1), Err(MinidumpError::Packed));
    assert_eq!(parse(&packed, 0), Err(MinidumpError::Packed));
    // What is too much is not unpacked to its end, to say no then.
    let mut state = 1u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    let large = gzip(&dump.iter().copied().chain(noise.take(1 << 20)).collect::<Vec<u8>>());
    let mut left = large.as_slice();
    assert_eq!(bytes::unpack(&mut left, 1_000), Err(MinidumpError::Packed));
    assert!(left.len() > large.len() / 2, "{} of {} bytes were not read", left.len(), large.len());
    // Whatever is no dump is known by its first bytes: what follows, broken here, is not looked at.
    let mut other = gzip(&[b"ELF and more".as_slice(), &[0; 100_000]].concat());
    other.truncate(other.len() - 20);
    assert_eq!(parsed(&other), Err(MinidumpError::Magic));
    assert!(is_dump(&packed) && is_dump(&dump) && !is_dump(&other) && !is_dump(b"") && !is_dump(b"\x1f\x8b"));
}

#[test]
fn the_captured_form_becomes_the_event_of_its_crash() {
    let folder = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/sentry");
    let bytes = std::fs::read(folder.join("hand-minidump.http")).unwrap();
    let start = bytes.windows(4).position(|four| four == b"MDMP").unwrap();
    let facts = parsed(&bytes[start..]).unwrap();
    assert_eq!(facts, MinidumpFacts::default());
    let fields = [("sentry[release]", "native@1.4"), ("sentry[tags][gpu]", "none"), ("guid", "5f1b")];
    let fields = fields.map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec();
    let event = to_event(facts, form_fields_to_value(fields, |text| serde_json::from_str(text).ok()));
    let ctx = crate::event::NormaliseContext {
        received_at: actifix_domain::time::Timestamp::from_micros(1_795_514_400_000_000),
        sent_at: None,
        fallback_event_id: actifix_domain::id::EventId([1; 16]),
        header_event_id: None,
        peer_ip: None,
        transport: actifix_domain::event::Transport::Sentry,
    };
    let event = crate::event::normalise(event, &ctx).unwrap().event;
    assert_eq!(event.last_exception().unwrap().exception_type.as_deref(), Some("minidump"));
    assert!(event.is_unhandled());
    assert_eq!(event.level, actifix_domain::event::Level::Fatal);
    assert_eq!(event.platform.as_deref(), Some("native"));
    assert_eq!(event.release.as_deref(), Some("native@1.4"));
    assert_eq!((event.tags["gpu"].as_str(), &event.extra["guid"]), ("none", &json!("5f1b")));
}

#[test]
fn form_fields_come_as_json_in_pieces_and_in_brackets() {
    let read = |fields: &[(&str, &str)]| {
        let fields = fields.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        form_fields_to_value(fields, |text| serde_json::from_str(text).ok())
    };
    let json_form =
        [("sentry", r#"{"release":"a","extra":{"x":1}}"#), ("sentry[release]", "b"), ("x", "2"), ("y", "3")];
    assert_eq!(read(&json_form), json!({"release": "b", "extra": {"x": 1, "y": "3"}}));
    let pieces = [("sentry__2", r#"ase":"a"}"#), ("sentry__1", r#"{"rele"#)];
    assert_eq!(read(&pieces), json!({"release": "a"}));
    let lists = [("sentry[fingerprint][0]", "a"), ("sentry[fingerprint][1]", "b"), ("sentry[tags][7]", "x")];
    assert_eq!(read(&lists), json!({"fingerprint": ["a", "b"], "tags": {"7": "x"}}));
    let broken = [("sentry", "{oops"), ("sentry[a][]", "v"), ("sentry[a", "w"), ("k\u{200b}", "v\u{7}")];
    assert_eq!(
        read(&broken),
        json!({"extra": {"sentry": "{oops", "sentry[a][]": "v", "sentry[a": "w", "k": "v"}})
    );
    assert_eq!(read(&[]), json!({}));
    let deep = format!("sentry{}", "[a]".repeat(1_000));
    assert_eq!(read(&[(deep.as_str(), "v")])["extra"][deep.as_str()], json!("v"));
}

#[test]
fn the_fields_of_the_program_are_laid_over_the_facts() {
    let facts = parsed(&linux(false)).unwrap();
    let fields = json!({"level": "error", "contexts": {"game": {"map": "x"}}, "platform": null});
    let event = to_event(facts, fields);
    assert_eq!((&event["level"], &event["platform"]), (&json!("error"), &json!("native")));
    assert_eq!(event["contexts"]["os"]["name"], json!("Linux"));
    assert_eq!(event["contexts"]["game"]["map"], json!("x"));
    assert_eq!(event["debug_meta"]["images"][1]["code_file"], json!("/lib/libfoo.so.1"));
}

proptest::proptest! {
    #[test]
    fn broken_dumps_never_panic(at in 0usize..2_500, byte: u8, cut in 0usize..3_000, big_endian: bool) {
        let mut dump = linux(big_endian);
        if let Some(place) = dump.get_mut(at) {
            *place = byte;
        }
        dump.truncate(cut.max(4));
        let _ = parsed(&dump);
    }

    #[test]
    fn hostile_offsets_never_panic(words in proptest::collection::vec(proptest::prelude::any::<u32>(), 0..200)) {
        let mut dump = b"MDMP".to_vec();
        dump.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        let _ = parsed(&dump);
    }

    #[test]
    fn huge_counts_are_bounded(kind in 3u32..25, len: u32, start in 40u32..60) {
        let mut dump = b"MDMP".to_vec();
        for word in [0, 4, 32, 0, 0, 0, 0, kind, len, start, kind, len, u32::MAX] {
            dump.extend(word.to_le_bytes());
        }
        dump.extend([0xff; 300]);
        if let Ok(facts) = parsed(&dump) {
            proptest::prop_assert!(facts.modules.len() <= MODULES_MAX && facts.threads.len() <= THREADS_MAX);
        }
    }
}
