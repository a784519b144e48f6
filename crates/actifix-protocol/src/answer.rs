//! The texts of our answers (`ingest.md` §4, §8, §9). No text here ever repeats what a client sent.

/// 401: no place of the request presents a key.
pub const MISSING_AUTH: &str = "missing authorization information";
/// 403: the places disagree.
pub const CONFLICTING_AUTH: &str = "conflicting authentication";
/// 403: unknown key, disabled key, key of another project. One text, so that nobody can tell them apart.
pub const DENIED: &str = "unknown ingest key, or not one of this project";
/// 403: the key does not admit this origin.
pub const ORIGIN_DENIED: &str = "origin is not allowed for this key";
/// 415: content type.
pub const UNSUPPORTED_TYPE: &str = "unsupported content type";
/// 400: no body at all.
pub const EMPTY_BODY: &str = "empty request body";
/// 429.
pub const RATE_LIMITED: &str = "rate limit reached";

/// Value of `X-Sentry-Rate-Limits` after an item of an unsupported kind: SDKs stop sending these for an hour.
pub const DROP_KINDS: &str =
    "3600:transaction;span;profile;replay;profile_chunk;metric_bucket;trace_metric:project:unsupported";

/// A transparent GIF of one pixel, for the reports that very old browsers send as an image request.
pub const PIXEL_GIF: [u8; 42] = [
    b'G', b'I', b'F', b'8', b'9', b'a', // signature
    1, 0, 1, 0, 0x80, 0, 0, // 1 x 1, a table of two colours
    0, 0, 0, 0, 0, 0, // both black
    0x21, 0xF9, 4, 1, 0, 0, 0, 0, // colour 0 is transparent
    0x2C, 0, 0, 0, 0, 1, 0, 1, 0, 0, // one image over all of it
    2, 1, 0x44, 0, 0x3B, // one pixel of colour 0, end
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pixel_is_a_whole_gif() {
        assert!(PIXEL_GIF.starts_with(b"GIF89a\x01\0\x01\0") && PIXEL_GIF.ends_with(b"\x3B"));
    }
}
