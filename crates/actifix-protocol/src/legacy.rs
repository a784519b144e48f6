//! Bodies of `/store/` from before envelopes (`ingest.md` §6).

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use url::form_urlencoded;

use crate::encoding::{self, DecodeError};
use crate::limits::{Limits, to_usize};

/// Pairs of a form or query that are looked through for `sentry_data`.
const PAIRS_MAX: usize = 100;

/// The JSON text of one event, whatever an old client wrapped it in: nothing, base64 of zlib, base64 of JSON, or a
/// form with one of these as `sentry_data`. `body` has its content encoding undone already.
///
/// # Errors
/// [`DecodeError::TooLarge`] for an event over its limit, [`DecodeError::Corrupt`] for what is no base64 or no zlib.
pub fn store_body<'a>(body: &'a [u8], limits: &Limits) -> Result<Cow<'a, [u8]>, DecodeError> {
    if is_form(body) {
        let text = form_value(body).ok_or(DecodeError::Corrupt)?;
        return unwrapped(text.as_bytes(), limits).map(|bytes| Cow::Owned(bytes.into_owned()));
    }
    unwrapped(body, limits)
}

/// The JSON text of the event in a query string (`sentry_data=…`); `None` when the query has none.
///
/// # Errors
/// As for [`store_body`].
pub fn store_query(query: &str, limits: &Limits) -> Result<Option<Vec<u8>>, DecodeError> {
    match form_value(query.as_bytes()) {
        Some(text) => unwrapped(text.as_bytes(), limits).map(|bytes| Some(bytes.into_owned())),
        None => Ok(None),
    }
}

/// A form is known by its first name, not by the content type: browsers send forms as text/plain.
fn is_form(body: &[u8]) -> bool {
    const NAME: &[u8] = b"sentry_data=";
    let head = body.get(..body.len().min(FORM_HEAD_BYTES)).unwrap_or_default();
    !is_json(body) && (body.starts_with(NAME) || memchr::memmem::find(head, b"&sentry_data=").is_some())
}

/// Where a form must name its data, at the latest.
const FORM_HEAD_BYTES: usize = 4096;

fn form_value(form: &[u8]) -> Option<Cow<'_, str>> {
    form_urlencoded::parse(form)
        .take(PAIRS_MAX)
        .find(|(name, _)| name == "sentry_data")
        .map(|(_, value)| value)
}

fn is_json(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    matches!(body.first(), None | Some(b'{' | b'[' | b' ' | b'\t' | b'\r' | b'\n'))
}

fn unwrapped<'a>(body: &'a [u8], limits: &Limits) -> Result<Cow<'a, [u8]>, DecodeError> {
    if is_json(body) {
        return within(Cow::Borrowed(body), limits);
    }
    let decoded = from_base64(body).ok_or(DecodeError::Corrupt)?;
    if is_json(&decoded) {
        return within(Cow::Owned(decoded), limits);
    }
    encoding::inflate(&decoded, limits.event_bytes_max).map(Cow::Owned)
}

fn within<'a>(body: Cow<'a, [u8]>, limits: &Limits) -> Result<Cow<'a, [u8]>, DecodeError> {
    if body.len() > to_usize(limits.event_bytes_max) { Err(DecodeError::TooLarge) } else { Ok(body) }
}

/// Base64 of either alphabet, padded or not, in lines or not. A blank inside stands for the `+` that it was before a
/// form was decoded.
fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let packed: Vec<u8> = text
        .trim_ascii()
        .iter()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .map(|&byte| if byte == b' ' { b'+' } else { byte })
        .collect();
    let url_safe = packed.iter().any(|byte| matches!(byte, b'-' | b'_'));
    let alphabet = if url_safe { &URL_SAFE } else { &STANDARD };
    GeneralPurpose::new(alphabet, LENIENT).decode(packed).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD as B64, STANDARD_NO_PAD, URL_SAFE as B64_URL};
    use std::io::Write as _;

    const EVENT: &str = r#"{"message":"hällo ?>~ world, long enough to be worth it 0123456789 +/"}"#;

    fn zlib(data: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        out.write_all(data).unwrap();
        out.finish().unwrap()
    }

    fn form(value: &str) -> String {
        form_urlencoded::Serializer::new(String::new()).append_pair("sentry_data", value).finish()
    }

    #[test]
    fn every_wrapping_of_old_clients_gives_the_same_event() {
        let packed = B64.encode(zlib(EVENT.as_bytes()));
        let lines: Vec<String> =
            packed.as_bytes().chunks(76).map(|line| String::from_utf8(line.to_vec()).unwrap()).collect();
        let table = [
            EVENT.to_owned(),
            packed.clone(),
            lines.join("\r\n"),
            STANDARD_NO_PAD.encode(zlib(EVENT.as_bytes())),
            B64_URL.encode(zlib(EVENT.as_bytes())),
            B64.encode(EVENT),
            form(EVENT),
            form(&packed),
            format!("sentry_data={packed}"),
            format!("sentry_version=2&sentry_data={packed}"),
        ];
        for body in table {
            let bytes = store_body(body.as_bytes(), &Limits::default()).unwrap();
            assert_eq!(std::str::from_utf8(&bytes).unwrap(), EVENT, "{body}");
        }
    }

    #[test]
    fn white_space_and_a_byte_order_mark_belong_to_the_json() {
        for body in [format!(" \n{EVENT}"), format!("\u{feff}{EVENT}"), String::new()] {
            assert_eq!(&*store_body(body.as_bytes(), &Limits::default()).unwrap(), body.as_bytes());
        }
    }

    #[test]
    fn a_query_carries_an_event_too() {
        let limits = Limits::default();
        let query = format!("sentry_key=k&{}", form(EVENT));
        assert_eq!(store_query(&query, &limits).unwrap().unwrap(), EVENT.as_bytes());
        assert_eq!(store_query("sentry_key=k", &limits), Ok(None));
    }

    #[test]
    fn what_is_neither_is_refused_and_bombs_stop_at_the_limit() {
        let limits = Limits::default();
        for body in ["not base64!", "AAAA", "sentry_data=%%%"] {
            assert_eq!(store_body(body.as_bytes(), &limits), Err(DecodeError::Corrupt), "{body}");
        }
        let bomb = B64.encode(zlib(&vec![b' '; 8 << 20]));
        assert_eq!(store_body(bomb.as_bytes(), &limits), Err(DecodeError::TooLarge));
        let long = format!("{{{}", " ".repeat(1 << 20));
        assert_eq!(store_body(long.as_bytes(), &limits), Err(DecodeError::TooLarge));
    }
}
