use super::*;

const TYPE: &str = "multipart/form-data; boundary=xyz";

fn names(body: &[u8]) -> Vec<(String, Vec<u8>)> {
    parse(TYPE, body).unwrap().into_iter().map(|part| (part.name, part.bytes.to_vec())).collect()
}

#[test]
fn fields_and_files_come_out_as_sent() {
    let body = b"preamble --xyz\r\n--xyz \t\r\nContent-Disposition: form-data; name=\"sentry[release]\"\r\n\r\nnative@1.4\r\n\
        --xyz\r\nContent-Disposition: form-data; name=\"f\"; filename=\"C:\\dumps\\a;b.dmp\"\r\nContent-Type: application/octet-stream\r\n\r\n\
        MDMP\0\r\n--xy\r\n--xyzzy\r\n--xyz--!\n\xff\r\n--xyz--\r\nepilogue";
    // The line `--xyz--!` closes the form by RFC 2046, whatever follows it.
    let parts = parse(TYPE, body).unwrap();
    assert_eq!(parts.len(), 2);
    assert_eq!((parts[0].name.as_str(), parts[0].bytes), ("sentry[release]", &b"native@1.4"[..]));
    assert_eq!(parts[1].filename.as_deref(), Some("a;b.dmp"));
    assert_eq!(parts[1].content_type.as_deref(), Some("application/octet-stream"));
    assert_eq!(parts[1].bytes, b"MDMP\0\r\n--xy\r\n--xyzzy");
}

#[test]
fn boundaries_are_found_in_every_way_of_writing_them() {
    let body = b"--xyz\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--xyz--";
    for content_type in [
        TYPE,
        "Multipart/Form-Data;charset=utf-8;  BOUNDARY=\"xyz\" ; x=y",
        "multipart/form-data; foo=\"a;boundary=no\"; boundary=xyz",
    ] {
        assert_eq!(parse(content_type, body).unwrap().len(), 1, "{content_type}");
    }
    let long = format!("multipart/form-data; boundary={}", "b".repeat(BOUNDARY_BYTES_MAX + 1));
    for (content_type, error) in [
        ("multipart/form-data", MultipartError::Boundary),
        ("multipart/form-data; boundary=", MultipartError::Boundary),
        ("multipart/mixed; boundary=xyz", MultipartError::Type),
        ("", MultipartError::Type),
        (&long, MultipartError::Boundary),
    ] {
        assert_eq!(parse(content_type, body), Err(error), "{content_type}");
    }
}

#[test]
fn bare_newlines_empty_parts_and_empty_forms_are_read() {
    assert_eq!(
        names(b"--xyz\nContent-Disposition: form-data; name=a\n\n1\n2\n--xyz--\n"),
        [("a".to_owned(), b"1\n2".to_vec())]
    );
    let empty = b"--xyz\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n--xyz--";
    assert_eq!(names(empty), [("a".to_owned(), Vec::new())]);
    assert_eq!(names(b"--xyz\r\nContent-Disposition: form-data; name=a\r\n\r\n--xyz--").len(), 1);
    assert!(names(b"--xyz--\r\n").is_empty());
}

#[test]
fn file_names_lose_folders_and_what_is_not_seen() {
    let file = |disposition: &str| {
        let body =
            format!("--xyz\r\nContent-Disposition: form-data; name=f; {disposition}\r\n\r\n1\r\n--xyz--");
        parse(TYPE, body.as_bytes()).unwrap()[0].filename.clone().unwrap()
    };
    assert_eq!(file("filename=\"../../etc/passwd\""), "passwd");
    assert_eq!(file("filename=\"a\\\"b.txt\""), "a\"b.txt");
    assert_eq!(file("filename=\"x\u{202e}gpj.exe\""), "xgpj.exe");
    assert_eq!(file("filename=plain.txt; filename*=UTF-8''na%C3%AFve%2fx.txt"), "x.txt");
    assert_eq!(file("filename*=UTF-8''%c3%a9; filename=e"), "é");
    assert_eq!(file(&format!("filename=\"{}\"", "x".repeat(900))).len(), PART_TEXT_CHARS_MAX);
}

#[test]
fn broken_and_oversized_forms_are_refused() {
    let part = "--xyz\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n";
    let many = format!("{}--xyz--", part.repeat(PARTS_MAX + 1));
    let header = format!("--xyz\r\nX: {}\r\n\r\n1\r\n--xyz--", "h".repeat(PART_HEADER_BYTES_MAX));
    let lines = format!("--xyz\r\n{}\r\n1\r\n--xyz--", "X: y\r\n".repeat(PART_HEADER_BYTES_MAX));
    for (body, error) in [
        ("", MultipartError::Incomplete),
        ("no delimiter", MultipartError::Incomplete),
        (part, MultipartError::Incomplete),
        ("--xyz\r\nContent-Disposition: form-data; name=a", MultipartError::Incomplete),
        ("--xyz\r\n\r\n1\r\n--xyz--", MultipartError::Header),
        ("--xyz\r\nnonsense\r\n\r\n1\r\n--xyz--", MultipartError::Header),
        ("--xyz\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--xyz--", MultipartError::Header),
        ("--xyz\r\nContent-Disposition: form-data; filename=a\r\n\r\n1\r\n--xyz--", MultipartError::Header),
        (&many, MultipartError::TooLarge),
        (&header, MultipartError::TooLarge),
        (&lines, MultipartError::TooLarge),
    ] {
        assert_eq!(parse(TYPE, body.as_bytes()), Err(error), "{}", &body[..body.len().min(80)]);
    }
}

#[test]
fn forms_cut_or_bent_anywhere_never_panic() {
    let body = b"--xyz\r\nContent-Disposition: form-data; name=\"a\"; filename=\"b\"\r\n\r\n1\r\n--xyz\r\nContent-Disposition: form-data; name=c\r\n\r\n2\r\n--xyz--";
    let mut state = 5u64;
    for cut in 0..body.len() {
        let _ = parse(TYPE, &body[..cut]);
        let mut bent = body.to_vec();
        for _ in 0..50 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bent[cut] = (state >> 56) as u8;
            let _ = parse(TYPE, &bent);
        }
    }
}
