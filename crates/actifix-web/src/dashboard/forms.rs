//! Who looks at a page, and the fields of a form.

use super::shell::base;
use crate::client::client;
use crate::cookies;
use crate::extract::{ReadTime, Session, live_session, read_body};
use crate::problem::Problem;
use actifix_app::App;
use actifix_app::sessions::LiveSession;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use std::sync::Arc;

/// Fields that one form may have; a page of 100 chosen rows and its buttons stays below.
const FIELDS_MAX: usize = 300;

/// The person behind a page.
#[derive(Debug)]
pub struct Viewer(pub LiveSession);

impl FromRequestParts<Arc<App>> for Viewer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        if let Some(Session(live)) = parts.extensions.get::<Session>() {
            return Ok(Self(live.clone()));
        }
        match live_session(parts, app).await {
            Ok(live) => Ok(Self(live)),
            Err(problem) if problem.status == StatusCode::UNAUTHORIZED => Err(to_login(app, parts)),
            Err(problem) => Err(problem.into_response()),
        }
    }
}

/// To the login page, and back after it. A link in another site's page or in a mail comes without the cookie, which
/// is for our own pages only: then the same address is asked for once more, from a page of ours.
fn to_login(app: &App, parts: &Parts) -> Response {
    let from_elsewhere = parts
        .headers
        .get("sec-fetch-site")
        .is_some_and(|site| matches!(site.as_bytes(), b"cross-site" | b"same-site"));
    if from_elsewhere && parts.method.is_safe() {
        let again = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Actifix</title>\
                     <meta http-equiv=\"refresh\" content=\"0\"></head><body></body></html>";
        return Html(again).into_response();
    }
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let login = format!("{}/login", base(app));
    if path == "/" || !parts.method.is_safe() {
        see(&login)
    } else {
        see(&format!("{login}?next={}", encoded(path)))
    }
}

/// A value as it stands in a query.
pub fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A redirect that the browser follows with GET. `place` is a path of ours.
pub fn see(place: &str) -> Response {
    let place = HeaderValue::from_str(place).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
}

/// Fields of a form, from a page of ours: whoever's page sends it must know the token of the session.
#[derive(Debug)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// The one value of a field; none when it is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).filter(|v| !v.is_empty())
    }

    /// All values of a field.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Reads the fields of a form, whoever sent it.
pub async fn read_fields(request: Request) -> Result<Fields, Problem> {
    let form = request.headers().get(header::CONTENT_TYPE).is_some_and(|value| {
        value.as_bytes().to_ascii_lowercase().starts_with(b"application/x-www-form-urlencoded")
    });
    if !form {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send a form"));
    }
    let within = ReadTime::of(request.extensions());
    let bytes = read_body(request.into_body(), within).await?;
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(&bytes)
        .take(FIELDS_MAX + 1)
        .map(|(k, v)| (k.into_owned(), v.into_owned()))
        .collect();
    if fields.len() > FIELDS_MAX {
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the form has too many fields"));
    }
    Ok(Fields(fields))
}

/// A person, and a form that they sent from a page of ours.
#[derive(Debug)]
pub struct Sent {
    /// Who.
    pub live: LiveSession,
    /// What.
    pub fields: Fields,
}

impl FromRequest<Arc<App>> for Sent {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let Viewer(live) = Viewer::from_request_parts(&mut parts, app).await?;
        let same_origin = cookies::is_same_origin(&parts.headers);
        let fields =
            read_fields(Request::from_parts(parts, body)).await.map_err(IntoResponse::into_response)?;
        let known = fields.get("csrf").is_some_and(|token| app.is_csrf_token(&live, token));
        if !known || !same_origin {
            actifix_app::auth_log::refused("csrf");
            let problem = Problem::new(
                StatusCode::FORBIDDEN,
                "this form did not come from a page of this session: load the page again and repeat",
            );
            return Err(problem.into_response());
        }
        Ok(Self { live, fields })
    }
}

/// A path of ours to go to after a form: nothing that a browser could read as another host.
pub fn own_path(text: &str) -> Option<&str> {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let lower = text.to_ascii_lowercase();
    let odd = text.starts_with("//") || lower.contains("%5c") || lower.starts_with("/%2f");
    (text.starts_with('/') && plain && !odd && text.len() <= 2_000).then_some(text)
}

/// Whether the page is asked for over https.
pub fn is_https(extensions: &axum::http::Extensions) -> bool {
    client(extensions).https
}

/// The cookie of this device, if it has one.
pub fn device(headers: &HeaderMap, https: bool) -> Option<String> {
    cookies::value(headers, cookies::device_name(https)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn only_paths_of_ours_are_gone_to() {
        for good in ["/", "/tickets?q=is%3Aopen", "/tickets/ACT-1"] {
            assert_eq!(own_path(good), Some(good));
        }
        for bad in [
            "",
            "tickets",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/%5cevil",
            "/%2Fevil",
            "/a\r\nb",
            "javascript:alert(1)",
            "/%5C/evil.example",
        ] {
            assert_eq!(own_path(bad), None, "{bad}");
        }
    }
}
