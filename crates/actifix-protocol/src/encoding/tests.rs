use std::io::{Read as _, Write as _};

use super::*;
use crate::limits::MIB;

const TEXT: &[u8] =
    b"{\"event_id\":\"00000000000000000000000000000001\"}\n{\"type\":\"event\"}\n{\"a\":1,\"a\":2}\n";

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(data).unwrap();
    out.finish().unwrap()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(data).unwrap();
    out.finish().unwrap()
}

fn raw_deflate(data: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(data).unwrap();
    out.finish().unwrap()
}

fn br(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let params = ::brotli::enc::BrotliEncoderParams { quality: 5, lgwin: 22, ..Default::default() };
    ::brotli::BrotliCompress(&mut &data[..], &mut out, &params).unwrap();
    out
}

fn zst(data: &[u8]) -> Vec<u8> {
    zstd::encode_all(data, 3).unwrap()
}

fn decoded(encoding: &str, body: &[u8]) -> Result<Vec<u8>, DecodeError> {
    decoder(encoding, body, &Limits::default())?.read_all(u64::MAX - 1)
}

#[test]
fn every_coding_and_every_list_of_two_is_undone() {
    let table = [
        ("", TEXT.to_vec()),
        ("identity", TEXT.to_vec()),
        (" , identity ,", TEXT.to_vec()),
        ("gzip", gzip(TEXT)),
        ("GZip", gzip(TEXT)),
        ("x-gzip", gzip(TEXT)),
        ("deflate", zlib(TEXT)),
        ("deflate", raw_deflate(TEXT)),
        ("br", br(TEXT)),
        ("zstd", zst(TEXT)),
        ("gzip, br", br(&gzip(TEXT))),
        ("deflate,zstd", zst(&raw_deflate(TEXT))),
        ("identity, zstd, identity, deflate", zlib(&zst(TEXT))),
        ("gzip", [gzip(&TEXT[..20]), gzip(&TEXT[20..])].concat()),
        ("zstd", [zst(&TEXT[..20]), zst(&TEXT[20..])].concat()),
        ("gzip", gzip(b"")),
        ("deflate", zlib(b"")),
    ];
    for (encoding, body) in table {
        let out = decoded(encoding, &body).unwrap();
        assert!(out == TEXT || body.len() < 25 && out.is_empty(), "{encoding}");
    }
}

#[test]
fn large_and_incompressible_bodies_come_out_whole() {
    let mut state = 1u64;
    let noise: Vec<u8> = (0..300_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect();
    for (encoding, body) in [
        ("gzip", gzip(&noise)),
        ("deflate", zlib(&noise)),
        ("deflate", raw_deflate(&noise)),
        ("br", br(&noise)),
        ("zstd", zst(&noise)),
    ] {
        assert!(decoded(encoding, &body).unwrap() == noise, "{encoding}");
    }
}

#[test]
fn unknown_codings_and_long_lists_are_415() {
    let long = "gzip,".repeat(100);
    for encoding in ["compress", "gzip;q=1", "gzip, gzip, gzip", "*", "utf-8", &long] {
        let error = decoder(encoding, TEXT, &Limits::default()).unwrap_err();
        assert_eq!((error, error.status()), (DecodeError::Unsupported, 415), "{encoding}");
    }
}

#[test]
fn a_cut_or_bent_stream_is_corrupt_and_never_too_large() {
    for (encoding, body) in [
        ("gzip", gzip(TEXT)),
        ("deflate", zlib(TEXT)),
        ("deflate", raw_deflate(TEXT)),
        ("br", br(TEXT)),
        ("zstd", zst(TEXT)),
    ] {
        for cut in 0..body.len() {
            assert_eq!(decoded(encoding, &body[..cut]), Err(DecodeError::Corrupt), "{encoding} {cut}");
        }
        let with_tail = [&body[..], b"tail"].concat();
        assert_eq!(decoded(encoding, &with_tail), Err(DecodeError::Corrupt), "{encoding}");
    }
}

#[test]
fn flipped_bits_never_panic() {
    let mut state = 7u64;
    for (encoding, body) in [
        ("gzip", gzip(TEXT)),
        ("deflate", zlib(TEXT)),
        ("deflate", raw_deflate(TEXT)),
        ("br", br(TEXT)),
        ("zstd", zst(TEXT)),
    ] {
        for _ in 0..2000 {
            let mut bent = body.clone();
            for _ in 0..3 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = (state >> 33) as usize % bent.len();
                bent[at] ^= 1 << (state >> 60 & 7);
            }
            let limits = Limits { decoded_bytes_max: 1 << 16, ..Limits::default() };
            if let Ok(out) = decoder(encoding, &bent, &limits).unwrap().read_all(1 << 20) {
                assert!(out.len() <= 1 << 16);
            }
        }
    }
}

/// 60 MiB of zeros (more than the cap), compressed without ever being in memory.
fn bomb(encoding: &str) -> Vec<u8> {
    let zeros = || std::io::repeat(0).take(60 * MIB);
    let mut out = Vec::new();
    match encoding {
        "gzip" => {
            flate2::read::GzEncoder::new(zeros(), flate2::Compression::fast()).read_to_end(&mut out).unwrap();
        }
        "deflate" => {
            flate2::read::ZlibEncoder::new(zeros(), flate2::Compression::fast())
                .read_to_end(&mut out)
                .unwrap();
        }
        "br" => {
            let params = ::brotli::enc::BrotliEncoderParams { quality: 1, lgwin: 22, ..Default::default() };
            ::brotli::BrotliCompress(&mut zeros(), &mut out, &params).unwrap();
        }
        _ => out = zstd::encode_all(zeros(), 1).unwrap(),
    }
    out
}

#[test]
fn bombs_stop_at_the_cap_however_they_are_packed() {
    let limits = Limits::default();
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        let body = bomb(encoding);
        assert!(body.len() < 2 << 20, "{encoding} {}", body.len());
        let mut reader = decoder(encoding, &body, &limits).unwrap();
        let mut chunk = vec![0; 64 * 1024];
        let mut seen = 0u64;
        let error = loop {
            match reader.read(&mut chunk) {
                Ok(0) => panic!("the bomb ended"),
                Ok(count) => seen += count as u64,
                Err(error) => break DecodeError::of(&error),
            }
        };
        assert_eq!((error, seen), (DecodeError::TooLarge, limits.decoded_bytes_max), "{encoding}");
        let nested = gzip(&body);
        let list = format!("{encoding}, gzip");
        let nested = decoder(&list, &nested, &limits).unwrap();
        assert_eq!(nested.read_all(MIB), Err(DecodeError::TooLarge));
    }
}

#[test]
fn the_cap_itself_is_allowed_and_one_byte_more_is_not() {
    let limits = |cap| Limits { decoded_bytes_max: cap, ..Limits::default() };
    for (encoding, body) in [("", TEXT.to_vec()), ("gzip", gzip(TEXT)), ("br", br(TEXT)), ("zstd", zst(TEXT))]
    {
        let fits = decoder(encoding, &body, &limits(TEXT.len() as u64)).unwrap();
        assert_eq!(fits.read_all(u64::MAX).unwrap(), TEXT, "{encoding}");
        let over = decoder(encoding, &body, &limits(TEXT.len() as u64 - 1)).unwrap();
        assert_eq!(over.read_all(u64::MAX), Err(DecodeError::TooLarge), "{encoding}");
    }
    let small = Limits { request_bytes_max: 10, ..Limits::default() };
    assert_eq!(decoder("", &[0; 11], &small).unwrap_err(), DecodeError::TooLarge);
}

#[test]
fn windows_that_need_much_memory_are_refused() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(&vec![b'x'; 1 << 20]).unwrap();
    let body = encoder.finish().unwrap();
    assert_eq!(decoded("zstd", &body), Err(DecodeError::Corrupt));
    let params = ::brotli::enc::BrotliEncoderParams {
        quality: 5,
        lgwin: 26,
        large_window: true,
        ..Default::default()
    };
    let mut body = Vec::new();
    ::brotli::BrotliCompress(&mut &TEXT[..], &mut body, &params).unwrap();
    assert_eq!(decoded("br", &body), Err(DecodeError::Corrupt));
}
