//! Cookies of sessions and devices, and what keeps other pages of a browser from using them.

use actifix_app::oidc::SIGN_IN_MICROS;
use actifix_app::sessions::SESSION_MICROS;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

/// Unsafe requests with a cookie name the session's token here.
pub const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");
/// Over https: the prefix binds the cookie to this host, this path, and encryption (RFC 6265bis).
const SESSION_SECURE: &str = "__Host-actifix";
/// Over plain HTTP on the loopback address, where a browser would not take the other.
const SESSION_PLAIN: &str = "actifix";
const DEVICE_SECURE: &str = "__Host-actifix-device";
const DEVICE_PLAIN: &str = "actifix-device";
const SIGN_IN_SECURE: &str = "__Host-actifix-sign-in";
const SIGN_IN_PLAIN: &str = "actifix-sign-in";
/// How pages look in this browser. The page's script changes it too, so it is not kept from it; it is no secret.
pub const LOOK: &str = "actifix-look";
/// A device is known for so long, seconds.
const DEVICE_SECONDS: i64 = 400 * 86_400;
/// Longest value that is looked at, bytes.
const VALUE_BYTES_MAX: usize = 256;
/// Longest value of a sign-in's cookie, which holds all that is remembered of it, bytes.
const SIGN_IN_BYTES_MAX: usize = 2 << 10;

/// Name of the session's cookie.
pub const fn session_name(https: bool) -> &'static str {
    if https { SESSION_SECURE } else { SESSION_PLAIN }
}

/// Name of the device's cookie.
pub const fn device_name(https: bool) -> &'static str {
    if https { DEVICE_SECURE } else { DEVICE_PLAIN }
}

/// The value of a cookie; none where it is there twice, which no browser of ours sends.
pub fn value<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    bounded_value(headers, name, VALUE_BYTES_MAX)
}

/// What is remembered of a sign-in that the provider sends back.
pub fn sign_in(headers: &HeaderMap, https: bool) -> Option<&str> {
    bounded_value(headers, sign_in_name(https), SIGN_IN_BYTES_MAX)
}

const fn sign_in_name(https: bool) -> &'static str {
    if https { SIGN_IN_SECURE } else { SIGN_IN_PLAIN }
}

fn bounded_value<'h>(headers: &'h HeaderMap, name: &str, bytes_max: usize) -> Option<&'h str> {
    let mut found = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(known, _)| *known == name)
        .map(|(_, value)| value);
    let value = found.next()?;
    (found.next().is_none() && value.len() <= bytes_max).then_some(value)
}

/// Whether a browser says that the request comes from a page of ours, or it comes from no browser. `Sec-Fetch-Site`
/// decides where it is sent; `Origin` where it is not.
pub fn is_same_origin(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let origin = origin.to_str().ok().and_then(|text| text.parse::<Uri>().ok());
    let authority = origin.as_ref().and_then(Uri::authority);
    authority.is_some_and(|authority| !host.is_empty() && authority.as_str().eq_ignore_ascii_case(host))
}

/// Sets the session's cookie.
pub fn set_session(headers: &mut HeaderMap, value: &str, https: bool) {
    set(headers, session_name(https), value, SESSION_MICROS / 1_000_000, https);
}

/// Sets the device's cookie.
pub fn set_device(headers: &mut HeaderMap, value: &str, https: bool) {
    set(headers, device_name(https), value, DEVICE_SECONDS, https);
}

/// Takes the session's cookie away.
pub fn clear_session(headers: &mut HeaderMap, https: bool) {
    set(headers, session_name(https), "", 0, https);
}

/// Sets the cookie of a sign-in. The provider's page sends the browser back, so it must come along from there (Lax).
pub fn set_sign_in(headers: &mut HeaderMap, value: &str, https: bool) {
    write(headers, sign_in_name(https), value, "Lax", SIGN_IN_MICROS / 1_000_000, https);
}

/// Sets how pages look; an empty value takes it away.
pub fn set_look(headers: &mut HeaderMap, value: &str, https: bool) {
    let (secure, seconds) =
        (if https { "; Secure" } else { "" }, if value.is_empty() { 0 } else { DEVICE_SECONDS });
    let text = format!("{LOOK}={value}; Path=/; SameSite=Strict; Max-Age={seconds}{secure}");
    if let Ok(line) = HeaderValue::from_str(&text) {
        headers.append(header::SET_COOKIE, line);
    }
}

/// Takes the cookie of a sign-in away.
pub fn clear_sign_in(headers: &mut HeaderMap, https: bool) {
    write(headers, sign_in_name(https), "", "Lax", 0, https);
}

fn set(headers: &mut HeaderMap, name: &str, value: &str, seconds: i64, https: bool) {
    write(headers, name, value, "Strict", seconds, https);
}

fn write(headers: &mut HeaderMap, name: &str, value: &str, same_site: &str, seconds: i64, https: bool) {
    let secure = if https { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite={same_site}; Max-Age={seconds}{secure}");
    if let Ok(mut line) = HeaderValue::from_str(&text) {
        line.set_sensitive(true);
        headers.append(header::SET_COOKIE, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    #[test]
    fn pages_of_other_origins_are_told_apart() {
        let host = ("host", "errors.example.net:8443");
        for good in [
            vec![host],
            vec![host, ("sec-fetch-site", "same-origin")],
            vec![host, ("sec-fetch-site", "none")],
            vec![host, ("origin", "https://errors.example.net:8443")],
        ] {
            assert!(is_same_origin(&headers(&good)), "{good:?}");
        }
        for bad in [
            vec![host, ("sec-fetch-site", "cross-site")],
            vec![host, ("sec-fetch-site", "same-site")],
            vec![host, ("sec-fetch-site", "cross-site"), ("origin", "https://errors.example.net:8443")],
            vec![host, ("origin", "https://errors.example.net")],
            vec![host, ("origin", "null")],
            vec![host, ("origin", "https://errors.example.net:8443.evil.example")],
            vec![("origin", "https://errors.example.net")],
        ] {
            assert!(!is_same_origin(&headers(&bad)), "{bad:?}");
        }
    }

    #[test]
    fn a_cookie_is_found_once_or_not_at_all() {
        assert_eq!(value(&headers(&[("cookie", "a=1; actifix=x")]), "actifix"), Some("x"));
        assert_eq!(value(&headers(&[("cookie", "actifix=x"), ("cookie", "actifix=y")]), "actifix"), None);
        assert_eq!(value(&headers(&[("cookie", "xactifix=x")]), "actifix"), None);
    }

    #[test]
    fn cookies_are_shut_to_scripts_other_sites_and_plain_connections() {
        let mut map = HeaderMap::new();
        set_session(&mut map, "v", true);
        let text = map.get("set-cookie").unwrap().to_str().unwrap();
        assert!(
            text.starts_with("__Host-actifix=v; Path=/; HttpOnly; SameSite=Strict; Max-Age=604800"),
            "{text}"
        );
        assert!(text.ends_with("; Secure") && !text.contains("Domain"), "{text}");
        let mut map = HeaderMap::new();
        set_session(&mut map, "v", false);
        let text = map.get("set-cookie").unwrap().to_str().unwrap();
        assert!(text.starts_with("actifix=v;") && !text.contains("Secure"), "{text}");
    }
}
