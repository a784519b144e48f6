use serde_json::json;

use super::*;

fn read(text: impl AsRef<[u8]>) -> Result<Value, JsonError> {
    parse(text.as_ref(), &JsonLimits::default())
}

#[test]
fn plain_json_reads_as_serde_reads_it() {
    for text in [
        r#"{"a":[1,-2,3.5,1e3,true,false,null,"x"],"b":{"c":{}},"d":[]}"#,
        "  [ 1 , { \"k\" : \"v\" } ]\r\n\t",
        "\"lonely\"",
        "0",
        "-0.5e-3",
        "[[[[]]]]",
        r#""\"\\\/\n\té\ud83d\ude00""#,
        "\"Grüße 日本語 🙂\"",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "-0",
        "1.7976931348623157e308",
    ] {
        assert_eq!(read(text).unwrap(), serde_json::from_str::<Value>(text).unwrap(), "{text}");
    }
}

#[test]
fn what_clients_get_wrong_is_repaired() {
    let table: [(&[u8], Value); 16] = [
        (b"{\"a\":NaN,\"b\":Infinity,\"c\":-Infinity}", json!({"a":null,"b":null,"c":null})),
        (br#""\ud83d""#, json!("\u{fffd}")),
        (br#""\ud83dx\ude00""#, json!("\u{fffd}x\u{fffd}")),
        (br#""\ud83d\u0041""#, json!("\u{fffd}A")),
        (br#""\ud83d\ud83d\ude00""#, json!("\u{fffd}😀")),
        (b"\"a\xffb\xc3\"", json!("a\u{fffd}b\u{fffd}")),
        (b"\"\xed\xa0\xbd\"", json!("\u{fffd}\u{fffd}\u{fffd}")),
        (b"\"a\\u0000b\0c\"", json!("abc")),
        (b"{\"k\":1,\"k\":2}", json!({"k":2})),
        (b"\xEF\xBB\xBF{}", json!({})),
        (b"\"raw\nline\tand\r\nmore\"", json!("raw\nline\tand\nmore")),
        (br#""\u001b[31mred\u001b[0m\r\n""#, json!("red\n")),
        (br#"{"pass\u200bword":"gh\u200dp_\u202ex"}"#, json!({"password":"ghp_x"})),
        (b"1e400", json!("1e400")),
        (b"18446744073709551616", json!("18446744073709551616")),
        (b"-9223372036854775809", json!("-9223372036854775809")),
    ];
    for (text, value) in table {
        assert_eq!(read(text).unwrap(), value, "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn a_secret_split_by_escapes_in_any_position_comes_out_whole() {
    let plain = "0123456789abcdefghijklmnop";
    for at in 0..plain.len() {
        for hidden in ["\\u200b", "\\u0007", "\\u001b[1m", "\\udb40\\udc41", "\u{7f}", "\u{2060}", "\u{ad}"] {
            let text = format!("\"{}{hidden}{}\"", &plain[..at], &plain[at..]);
            assert_eq!(read(&text).unwrap(), json!(plain), "{text}");
        }
    }
}

#[test]
fn every_ascii_byte_at_every_offset_of_a_word_is_classified() {
    for byte in 0u8..0x80 {
        for offset in 0..20 {
            let mut text = vec![b'"'];
            text.extend(vec![b'x'; offset]);
            match byte {
                b'"' | b'\\' => text.push(b'\\'),
                _ => {}
            }
            text.push(byte);
            text.extend(b"yyyyyyyyyyyyy\"");
            let kept = byte >= 0x20 && byte != 0x7f || byte == b'\t' || byte == b'\n';
            let middle = if kept { String::from(char::from(byte)) } else { String::new() };
            let want = format!("{}{middle}yyyyyyyyyyyyy", "x".repeat(offset));
            assert_eq!(read(&text).unwrap(), json!(want), "{byte:#x} {offset}");
        }
    }
}

#[test]
fn everything_else_is_refused_with_its_place() {
    let at = |at| Err(JsonError::Syntax { at });
    let table: [(&str, Result<Value, JsonError>); 27] = [
        ("", Err(JsonError::Empty)),
        (" \n", Err(JsonError::Empty)),
        ("{", Err(JsonError::Incomplete)),
        ("[1", Err(JsonError::Incomplete)),
        ("\"abc", Err(JsonError::Incomplete)),
        ("\"abc\\", Err(JsonError::Syntax { at: 4 })),
        ("{\"a\"", Err(JsonError::Incomplete)),
        ("{\"a\":", Err(JsonError::Incomplete)),
        ("[1,]", at(3)),
        ("{\"a\":1,}", at(7)),
        ("[1 2]", at(3)),
        ("{a:1}", at(1)),
        ("{'a':1}", at(1)),
        ("{\"a\" 1}", at(5)),
        ("[}", at(1)),
        ("{]", at(1)),
        ("[1}", at(2)),
        ("01", Err(JsonError::Trailing { at: 1 })),
        ("+1", at(0)),
        (".5", at(0)),
        ("1.", Err(JsonError::Trailing { at: 1 })),
        ("-", at(0)),
        ("tru", at(0)),
        ("nul", at(0)),
        ("\"\\x\"", at(1)),
        ("\"\\u12g4\"", at(1)),
        ("{} x", Err(JsonError::Trailing { at: 3 })),
    ];
    for (text, want) in table {
        let got = read(text);
        let both_refuse_numbers = ["01", "1."].contains(&text) && got.is_err();
        assert!(got == want || both_refuse_numbers, "{text}: {got:?}");
    }
    assert!(read("[1] [2]").is_err());
}

#[test]
fn depth_is_cut_where_it_is_allowed_to_end() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let depth_of = |value: &Value| {
        let mut depth = 0;
        let mut value = value;
        while let Value::Array(list) = value {
            depth += 1;
            value = &list[0];
        }
        (depth, value.clone())
    };
    assert_eq!(depth_of(&read(nested(100)).unwrap()), (100, json!(1)));
    assert_eq!(depth_of(&read(nested(101)).unwrap()), (100, json!(TRUNCATED)));
    assert_eq!(depth_of(&read(nested(10_000)).unwrap()), (100, json!(TRUNCATED)));
    assert_eq!(read(nested(10_001)), Err(JsonError::TooDeep));
    assert_eq!(read("[".repeat(5_000_000)), Err(JsonError::TooDeep));
    assert_eq!(read("[{\"a\":".repeat(2_000_000)), Err(JsonError::TooDeep));
}

#[test]
fn what_follows_a_cut_part_is_still_read() {
    let limits = JsonLimits { depth_max: 2, ..JsonLimits::default() };
    let text = br#"{"a":{"deep":{"x":["]}\"",{"y":"\\"}],"z":{}},"b":1},"c":[[["]"]],2]}"#;
    let want = json!({"a":{"deep":TRUNCATED,"b":1},"c":[TRUNCATED,2]});
    assert_eq!(parse(text, &limits).unwrap(), want);
    assert!(parse(br#"{"a":{"b":[}]}}"#, &limits).is_err());
    assert_eq!(parse(br#"{"a":{"b":["x"#, &limits), Err(JsonError::Incomplete));
    assert_eq!(parse(br#"{"a":{"b":["x\"#, &limits), Err(JsonError::Incomplete));
}

#[test]
fn values_are_counted_by_what_they_cost() {
    let limits = JsonLimits { values_max: 7, ..JsonLimits::default() };
    assert!(parse(b"[1,2,3]", &limits).is_ok());
    assert_eq!(parse(b"[1,2,3,4]", &limits), Err(JsonError::TooManyValues));
    assert_eq!(parse(b"[[1]]", &limits), Err(JsonError::TooManyValues));
    assert_eq!(parse(b"{\"a\":1}", &limits), Err(JsonError::TooManyValues));
    assert!(parse(b"[[],{},0]", &limits).is_ok());
    let million = format!("[{}0]", "0,".repeat(1_000_000));
    assert_eq!(read(million), Err(JsonError::TooManyValues));
}

#[test]
fn a_body_of_tiny_maps_is_refused_before_it_costs_a_hundred_times_its_size() {
    let tiny = format!("[{}{{}}]", "{\"\":0},".repeat(100_000));
    assert_eq!(read(&tiny), Err(JsonError::TooManyValues));
    let frame = r#"{"filename":"a.py","function":"f","lineno":1,"in_app":true,"vars":{"x":"1"}},"#;
    let dense = format!("[{}0]", frame.repeat((1 << 20) / frame.len()));
    assert!(read(&dense).is_ok(), "a full event of small frames still fits");
}

#[test]
fn a_huge_number_is_kept_short_and_a_tiny_one_is_zero() {
    let digits = "9".repeat(crate::limits::JSON_NUMBER_TEXT_BYTES_MAX);
    assert_eq!(read(&digits).unwrap(), json!(digits));
    assert_eq!(read(format!("{digits}9")).unwrap(), json!(TRUNCATED));
    assert_eq!(read("1e-999").unwrap(), json!(0.0));
    assert_eq!(read(format!("1.{}", "3".repeat(1_000_000))).unwrap(), json!(1.3333333333333333));
}

#[test]
fn many_keys_that_differ_or_do_not_are_all_one_map() {
    let text: String = (0..100_000).map(|n| format!("\"k{}\":{n},", n % 50_000)).collect();
    let value = read(format!("{{{}\"end\":1}}", text)).unwrap();
    assert_eq!(value.as_object().unwrap().len(), 50_001);
    assert_eq!(value["k0"], json!(50_000));
}

#[test]
fn bent_documents_never_panic() {
    let text = r#"{"a":[1,-2.5e3,"xé🙂\ud83d\ude00\n",{"b":null,"c":[true,false,NaN,-Infinity]}],"d":"q"}"#;
    let mut state = 3u64;
    for _ in 0..20_000 {
        let mut bent = text.as_bytes().to_vec();
        for _ in 0..2 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (state >> 33) as usize % bent.len();
            bent[at] = (state >> 56) as u8;
        }
        let _ = read(&bent);
        let _ = read(&bent[..(state >> 33) as usize % bent.len()]);
    }
}

proptest::proptest! {
    #[test]
    fn what_serde_reads_we_read_the_same_but_for_cleaning(text in "[\\[\\]{}\",:0-9a-z\\\\u.eE+ -]{0,40}") {
        if let Ok(value) = serde_json::from_str::<Value>(&text) {
            let ours = read(&text).unwrap();
            // Escapes may name what has to go; serde_json rounds long numbers more roughly than we do.
            let long_number = text.bytes().filter(u8::is_ascii_digit).count() > 15;
            if !["\\u", "\\b", "\\f", "\\r"].iter().any(|escape| text.contains(escape)) && !long_number {
                proptest::prop_assert_eq!(ours, value);
            }
        }
    }

    #[test]
    fn any_text_survives_but_for_what_has_to_go(text in proptest::prelude::any::<String>()) {
        let json = serde_json::to_string(&text).unwrap();
        proptest::prop_assert_eq!(read(&json).unwrap(), Value::from(clean(&text).into_owned()));
    }
}
