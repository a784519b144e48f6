//! Which web pages may read answers of the API. `*` is never sent, and never accepted as a setting.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::{Arc, PoisonError, RwLock};
use url::{Host, Origin, Url};

/// Longest `Origin` that is looked at, bytes.
const ORIGIN_BYTES_MAX: usize = 300;
const METHODS: &str = "GET, POST, PATCH, PUT, DELETE";
const HEADERS: &str = "authorization, content-type, idempotency-key, if-match";
const EXPOSED: &str =
    "etag, idempotency-replayed, ratelimit, ratelimit-policy, retry-after, x-actifix-brake, x-request-id";
/// How long a browser may remember a preflight, seconds: a change of the list takes effect within this time.
const MAX_AGE: &str = "600";

/// The list of origins, replaced as a whole on a reload.
#[derive(Clone, Debug, Default)]
pub struct Origins(Arc<RwLock<Vec<Origin>>>);

impl Origins {
    /// These; none = every origin of this machine.
    pub fn new(allowed: &[String]) -> Self {
        let origins = Self::default();
        origins.replace(allowed);
        origins
    }

    /// Takes another list over; entries that [`check_entry`] refuses are left out.
    pub fn replace(&self, allowed: &[String]) {
        let parsed = allowed.iter().filter_map(|entry| parse(entry)).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = parsed;
    }

    /// Whether pages of this origin may read answers.
    pub fn admit(&self, origin: &HeaderValue) -> bool {
        let Some(origin) = origin.to_str().ok().and_then(parse) else { return false };
        let allowed = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if allowed.is_empty() { is_localhost(&origin) } else { allowed.contains(&origin) }
    }
}

/// Whether a text may stand in the list.
///
/// # Errors
/// What is wrong with it.
pub fn check_entry(entry: &str) -> Result<(), String> {
    if entry.contains('*') {
        return Err("`*` would let every page read answers: list the exact origins".to_owned());
    }
    match parse(entry) {
        Some(_) => Ok(()),
        None => Err(format!(
            "{entry:?} is not an origin: write scheme, host and, unless it is the default, port, as in https://shop.example.net"
        )),
    }
}

/// An origin of the web: exactly as it is serialised, but for the case of its letters. None for `null`, files, and for
/// all that a URL may hold besides.
fn parse(text: &str) -> Option<Origin> {
    if text.len() > ORIGIN_BYTES_MAX {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let origin = url.origin();
    let explicit_default = match url.scheme() {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    let serialised = origin.ascii_serialization();
    let exact = text.eq_ignore_ascii_case(&serialised)
        || text.strip_suffix(explicit_default).is_some_and(|rest| rest.eq_ignore_ascii_case(&serialised));
    exact.then_some(origin)
}

fn is_localhost(origin: &Origin) -> bool {
    match origin {
        Origin::Tuple(_, Host::Domain(name), _) => name == "localhost",
        Origin::Tuple(_, Host::Ipv4(address), _) => *address == std::net::Ipv4Addr::LOCALHOST,
        Origin::Tuple(_, Host::Ipv6(address), _) => *address == std::net::Ipv6Addr::LOCALHOST,
        Origin::Opaque(_) => false,
    }
}

/// Says on every answer of the API who may read it. A cache must not give one origin's answer to another.
pub async fn name_reader(State(origins): State<Origins>, request: Request, next: Next) -> Response {
    let origin = single(request.headers(), &header::ORIGIN).filter(|origin| origins.admit(origin)).cloned();
    let preflight = is_preflight(&request);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if preflight {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(HEADERS));
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
        } else {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }
    response
}

/// Answers preflights, which no route takes. It stands within the limits, so that they count.
pub async fn answer_preflight(request: Request, next: Next) -> Response {
    if is_preflight(&request) {
        return StatusCode::NO_CONTENT.into_response();
    }
    next.run(request).await
}

fn is_preflight(request: &Request) -> bool {
    let headers = request.headers();
    request.method() == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The value of a header that is there once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(allowed: &[&str], origin: &str) -> bool {
        let allowed: Vec<String> = allowed.iter().map(|entry| (*entry).to_owned()).collect();
        Origins::new(&allowed).admit(&HeaderValue::from_bytes(origin.as_bytes()).unwrap())
    }

    #[test]
    fn without_a_list_only_pages_of_this_machine_read_answers() {
        for good in [
            "http://localhost",
            "http://localhost:3000",
            "https://localhost:8443",
            "http://127.0.0.1:5173",
            "https://[::1]:1",
            "HTTP://LocalHost:3000",
        ] {
            assert!(admits(&[], good), "{good}");
        }
        for bad in [
            "http://localhost.evil.example",
            "https://evil-localhost",
            "http://localhost@evil.example",
            "http://evil.example#localhost",
            "null",
            "",
            "file://",
            "file://localhost",
            "ftp://localhost",
            "http://127.0.0.1.evil.example",
            "http://127.0.0.2",
            "http://127.1",
            "http://0x7f000001",
            "http://2130706433",
            "http://[::ffff:127.0.0.1]",
            "http://localhost/",
            "http://localhost:99999",
            "http://localhost:",
            "http:localhost",
            "http:\\\\localhost",
            "http://localhost, http://evil.example",
            "localhost",
            "http://localhost.",
            "moz-extension://localhost",
            "http://local%68ost",
            " http://localhost",
        ] {
            assert!(!admits(&[], bad), "{bad}");
        }
    }

    #[test]
    fn a_list_is_compared_as_origins_never_as_text_or_pattern() {
        let list = ["https://shop.example.net", "https://b\u{fc}cher.example", "http://app.example:8080"];
        // What is not written as it is serialised is refused when the configuration is read.
        assert!(check_entry(list[1]).is_err());
        for good in [
            "https://shop.example.net",
            "https://SHOP.example.net",
            "https://shop.example.net:443",
            "http://app.example:8080",
        ] {
            assert!(admits(&list, good), "{good}");
        }
        for bad in [
            "http://shop.example.net",
            "https://shop.example.net:8443",
            "https://shopxexample.net",
            "https://shop.example.net.evil.example",
            "https://evil.shop.example.net",
            "https://shop.example.net/",
            "https://u@shop.example.net",
            "https://shop.example.net?",
            "http://app.example",
            "null",
            "http://localhost:3000",
        ] {
            assert!(!admits(&list, bad), "{bad}");
        }
    }

    #[test]
    fn only_exact_origins_stand_in_the_list() {
        for bad in [
            "*",
            "https://*",
            "https://*.example.net",
            "null",
            "",
            "https://",
            "shop.example.net",
            "https://shop.example.net/",
            "https://shop.example.net/a",
            "https://u@shop.example.net",
            "ftp://shop.example.net",
            "file:///etc",
            "javascript:alert(1)",
        ] {
            assert!(check_entry(bad).is_err(), "{bad}");
        }
        for good in [
            "https://shop.example.net",
            "http://localhost:3000",
            "https://xn--bcher-kva.example",
            "https://[2001:db8::1]:8443",
        ] {
            assert_eq!(check_entry(good), Ok(()), "{good}");
        }
    }
}
