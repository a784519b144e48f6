//! The texts of our answers (`ingest.md` §4, §8, §9). No text here ever repeats what a client sent.

use std::fmt::{self, Write as _};

use serde_json::json;

use crate::envelope::Category;
use crate::limits::ANSWER_CAUSES_MAX;

/// 401: no place of the request presents a key.
pub const MISSING_AUTH: &str = "missing authorization information";
/// 403: the places disagree.
pub const CONFLICTING_AUTH: &str = "conflicting authentication";
/// 403: unknown key, disabled key, key of another project. One text, so that nobody can tell them apart.
pub const DENIED: &str = "this key may not report to this project";
/// 403: the key does not admit this origin.
pub const ORIGIN_DENIED: &str = "this origin may not report with this key";
/// 404: no such path.
pub const NOT_FOUND: &str = "no such endpoint";
/// 405, with `Allow`.
pub const METHOD_NOT_ALLOWED: &str = "method not allowed";
/// 413.
pub const TOO_LARGE: &str = "request body too large";
/// 415: content encoding.
pub const UNSUPPORTED_ENCODING: &str = "unsupported content encoding";
/// 415: content type.
pub const UNSUPPORTED_TYPE: &str = "unsupported content type";
/// 400: no body at all.
pub const EMPTY_BODY: &str = "empty request body";
/// 400: JSON beyond repair.
pub const INVALID_JSON: &str = "invalid JSON";
/// 429.
pub const RATE_LIMITED: &str = "rate limit exceeded";
/// 503.
pub const OVERLOADED: &str = "server is busy, try again later";

/// Name of the header that carries [`RateLimits`].
pub const RATE_LIMITS_HEADER: &str = "x-sentry-rate-limits";
/// Name of the header that repeats the detail of an error.
pub const ERROR_HEADER: &str = "x-sentry-error";

/// Value of [`RATE_LIMITS_HEADER`] after an item of an unsupported kind: SDKs stop sending these for an hour.
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

/// To whom a rate limit applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The ingest key.
    Key,
    /// The project.
    Project,
    /// The whole instance.
    Instance,
}

impl Scope {
    /// The word of the protocol.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Project => "project",
            Self::Instance => "organization",
        }
    }
}

/// One limit that a client ran into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Whole seconds for which the categories are to be kept back.
    pub seconds: u64,
    /// What is limited; empty means all.
    pub categories: Vec<Category>,
    /// To whom it applies.
    pub scope: Scope,
    /// Why, one word of `[a-z_]`.
    pub reason: &'static str,
}

/// Value of `X-Sentry-Rate-Limits`: `<seconds>:<category>;<category>:<scope>:<reason>`, several joined by `, `.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimits(pub Vec<RateLimit>);

impl RateLimits {
    /// Value of `Retry-After`: the longest of the waits, at least one second.
    pub fn retry_after_seconds(&self) -> u64 {
        self.0.iter().map(|limit| limit.seconds).max().unwrap_or(0).max(1)
    }
}

impl fmt::Display for RateLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, limit) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{}:", limit.seconds)?;
            for (place, category) in limit.categories.iter().enumerate() {
                if place > 0 {
                    f.write_char(';')?;
                }
                f.write_str(category.as_str())?;
            }
            write!(f, ":{}:{}", limit.scope.as_str(), limit.reason)?;
        }
        Ok(())
    }
}

/// Body of an error answer: `{"detail":"…","causes":[…]}`, at most [`ANSWER_CAUSES_MAX`] causes.
pub fn error_body(detail: &str, causes: &[&str]) -> String {
    let causes: Vec<&str> = causes.iter().copied().take(ANSWER_CAUSES_MAX).collect();
    json!({ "detail": detail, "causes": causes }).to_string()
}

/// Body of a success answer: `{"id":"<32 hex>"}`, or `{}` without an event.
pub fn accepted_body(id: Option<actifix_domain::id::EventId>) -> String {
    id.map_or_else(|| "{}".to_owned(), |id| json!({ "id": id.to_string() }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_limit_header_lists_every_limit() {
        let limit = |seconds, categories: &[Category], scope| RateLimit {
            seconds,
            categories: categories.to_vec(),
            scope,
            reason: "quota",
        };
        let limits = RateLimits(vec![
            limit(60, &[Category::Error, Category::Attachment], Scope::Project),
            limit(2, &[], Scope::Key),
        ]);
        assert_eq!(limits.to_string(), "60:error;attachment:project:quota, 2::key:quota");
        assert_eq!(limits.retry_after_seconds(), 60);
        assert_eq!(RateLimits::default().to_string(), "");
        assert_eq!(RateLimits::default().retry_after_seconds(), 1);
    }

    #[test]
    fn bodies_are_the_json_that_sdks_expect() {
        assert_eq!(
            error_body(MISSING_AUTH, &[]),
            r#"{"causes":[],"detail":"missing authorization information"}"#
        );
        assert!(error_body("x", &["y"; 100]).matches("\"y\"").count() == ANSWER_CAUSES_MAX);
        assert_eq!(accepted_body(None), "{}");
        let id = "a1b2c3d4e5f60718293a4b5c6d7e8f90".parse().unwrap();
        assert_eq!(accepted_body(Some(id)), r#"{"id":"a1b2c3d4e5f60718293a4b5c6d7e8f90"}"#);
    }

    #[test]
    fn the_pixel_is_a_whole_gif() {
        assert!(PIXEL_GIF.starts_with(b"GIF89a\x01\0\x01\0") && PIXEL_GIF.ends_with(b"\x3B"));
    }
}
