//! One request and its answer over a connection of its own: HTTP/1.1 over TLS. Nothing is followed and nothing kept.

use super::{Outbound, handshake};
use actifix_app::ports::{OutboundAnswer, OutboundRequest};
use actifix_domain::alert::Failure;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, DATE, HOST, HeaderMap, RETRY_AFTER, USER_AGENT};
use hyper::http::request::Builder;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::net::IpAddr;
use tokio::task::JoinSet;
use url::{Host, Url};

/// Bytes that are read of an answer to what we sent.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Bytes that are read of an answer to what we asked for.
const LIST_BYTES_MAX: usize = 4 << 20;
/// Bytes of the head of an answer.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// Fields of the head of an answer.
const HEAD_FIELDS_MAX: usize = 100;
/// Longest `Retry-After` that is believed, seconds.
const RETRY_AFTER_SECONDS_MAX: u64 = 86_400;

pub(super) async fn send(out: &Outbound, request: OutboundRequest) -> Result<OutboundAnswer, Failure> {
    let url = Url::parse(request.url.reveal()).map_err(|_| Failure::Unusable)?;
    if url.scheme() != "https" || !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::Forbidden);
    }
    let host = url.host().ok_or(Failure::Unusable)?.to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let name = server_name(&host)?;
    let most = if request.method == "GET" { LIST_BYTES_MAX } else { ANSWER_BYTES_MAX };
    let wire = built(request, &url)?;
    let stream = out.connect(&host, port).await?;
    let stream = out.trust()?.tls.connect(name, stream).await.map_err(|error| handshake::class(&error))?;
    exchange(TokioIo::new(stream), wire, most).await
}

/// What a certificate must name.
pub(super) fn server_name(host: &Host<String>) -> Result<ServerName<'static>, Failure> {
    Ok(match host {
        Host::Domain(name) => ServerName::try_from(name.clone()).map_err(|_| Failure::Unusable)?,
        Host::Ipv4(address) => ServerName::from(IpAddr::V4(*address)),
        Host::Ipv6(address) => ServerName::from(IpAddr::V6(*address)),
    })
}

/// One request and its answer, of whose body at most `most` bytes are read.
pub(super) async fn exchange<I>(
    io: I,
    wire: Request<Full<Bytes>>,
    most: usize,
) -> Result<OutboundAnswer, Failure>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEAD_FIELDS_MAX)
        .handshake(io)
        .await
        .map_err(|error| class(&error))?;
    // Ends with this function, whatever the other end does.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let answer = sender.send_request(wire).await.map_err(|error| class(&error))?;
    let status = answer.status().as_u16();
    let retry_after_seconds = retry_after(answer.headers());
    let body = read(answer.into_body(), most).await?;
    Ok(OutboundAnswer { status, retry_after_seconds, body })
}

fn built(request: OutboundRequest, url: &Url) -> Result<Request<Full<Bytes>>, Failure> {
    let method = Method::from_bytes(request.method.as_bytes()).map_err(|_| Failure::Unusable)?;
    let mut builder = head(method, url).header(CONTENT_LENGTH, request.body.len());
    for (name, value) in &request.headers {
        builder = builder.header(*name, value.reveal());
    }
    builder.body(Full::new(Bytes::from(request.body))).map_err(|_| Failure::Unusable)
}

/// The first line of a request, and who is asked by whom.
pub(super) fn head(method: Method, url: &Url) -> Builder {
    let mut target = url.path().to_owned();
    if let Some(query) = url.query() {
        target.push('?');
        target.push_str(query);
    }
    let authority = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    };
    Request::builder()
        .method(method)
        .uri(target)
        .header(HOST, authority)
        .header(USER_AGENT, concat!("actifix/", env!("CARGO_PKG_VERSION")))
}

/// The body as far as it is of use; what is beyond is not read.
async fn read(mut body: Incoming, most: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| class(&error))?;
        let Some(data) = frame.data_ref() else { continue };
        let room = most.saturating_sub(bytes.len());
        bytes.extend_from_slice(data.get(..room.min(data.len())).unwrap_or_default());
        if data.len() >= room {
            break;
        }
    }
    Ok(bytes)
}

/// Seconds, given as such or as a date. A date is measured by the clock that made it, which the answer tells; without
/// that nothing is known of it.
fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // What does not fit is long.
        return Some(text.parse().unwrap_or(RETRY_AFTER_SECONDS_MAX).min(RETRY_AFTER_SECONDS_MAX));
    }
    let date = |text: &str| httpdate::parse_http_date(text.trim()).ok();
    let now = date(headers.get(DATE)?.to_str().ok()?)?;
    let wait = date(text)?.duration_since(now).unwrap_or_default();
    Some(wait.as_secs().min(RETRY_AFTER_SECONDS_MAX))
}

fn class(error: &hyper::Error) -> Failure {
    if error.is_parse() || error.is_user() || error.is_parse_too_large() {
        Failure::Protocol
    } else {
        Failure::Broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_understood_in_both_forms_and_bounded() {
        let now = "Mon, 30 Nov 2026 12:00:00 GMT";
        for (text, date, seconds) in [
            ("120", None, Some(120)),
            ("0", None, Some(0)),
            ("99999999999", None, Some(RETRY_AFTER_SECONDS_MAX)),
            ("99999999999999999999999999", None, Some(RETRY_AFTER_SECONDS_MAX)),
            ("Mon, 30 Nov 2026 12:10:00 GMT", Some(now), Some(600)),
            ("Monday, 30-Nov-26 12:10:00 GMT", Some(now), Some(600)),
            ("Mon, 30 Nov 2026 11:00:00 GMT", Some(now), Some(0)),
            ("Mon, 30 Nov 2099 12:00:00 GMT", Some(now), Some(RETRY_AFTER_SECONDS_MAX)),
            ("Mon, 30 Nov 2026 12:10:00 GMT", None, None),
            ("", Some(now), None),
            ("-1", Some(now), None),
            ("1.5", Some(now), None),
            ("soon", Some(now), None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            if let Some(date) = date {
                headers.insert(DATE, date.parse().unwrap());
            }
            assert_eq!(retry_after(&headers), seconds, "{text}");
        }
    }
}
