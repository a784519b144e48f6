//! Errors on the wire: `application/problem+json` (RFC 9457) on every status of the API.

use actifix_app::error::{Error, FieldError};
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};

/// What is said where nothing of ours is.
pub const NO_SUCH_PATH: &str = "there is nothing at this path; /api/openapi.json lists all paths";
/// Type of the answer where what is stored was changed: no defect of the program, and trying again does not help.
pub const DAMAGED: &str = "urn:actifix:problem:damaged";

/// Result of a handler.
pub type ApiResult<T> = Result<T, Problem>;

/// One error, before the outermost layer adds the request's id and writes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// What happened, why, what to do.
    pub detail: String,
    /// Fields that were wrong.
    pub errors: Vec<FieldError>,
    /// `Retry-After`, seconds.
    pub retry_after: Option<u64>,
    /// Its type, where the status alone does not tell what to do.
    pub kind: Option<&'static str>,
    /// Further members of the document, which belong to its type.
    pub members: Vec<(&'static str, Value)>,
}

impl Problem {
    /// An error without further facts.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            kind: None,
            members: Vec::new(),
        }
    }

    /// No credential, or one that is not valid.
    pub fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "a valid API token is required: send `Authorization: Bearer afx_…`; make one with `actifix token create`",
        )
    }

    /// The one answer to every login that does not succeed.
    pub fn login_refused() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "name or password is wrong, or the account cannot be used")
    }

    /// The JSON document.
    pub fn body(&self, request_id: &str) -> Value {
        let mut map = Map::new();
        let kind = match self.kind {
            Some(kind) => kind.to_owned(),
            None => format!("urn:actifix:problem:{}", self.status.as_u16()),
        };
        map.insert("type".into(), json!(kind));
        map.insert("title".into(), json!(self.status.canonical_reason().unwrap_or("Error")));
        map.insert("status".into(), json!(self.status.as_u16()));
        map.insert("detail".into(), json!(self.detail));
        map.insert("request_id".into(), json!(request_id));
        if !self.errors.is_empty() {
            map.insert("errors".into(), json!(self.errors));
        }
        map.extend(self.members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        Value::Object(map)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, detail),
            Error::Forbidden { .. } => Self::new(StatusCode::FORBIDDEN, detail),
            Error::Invalid(errors) => Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail) },
            Error::Conflict { stale: true, .. } => Self::new(StatusCode::PRECONDITION_FAILED, detail),
            Error::Conflict { stale: false, .. } => Self::new(StatusCode::CONFLICT, detail),
            Error::Throttled { retry_after_seconds } => Self {
                retry_after: Some(retry_after_seconds),
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail)
            },
            Error::Unavailable { retry_after_seconds, .. } => Self {
                retry_after: Some(retry_after_seconds),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            },
            Error::Damaged { .. } => {
                Self { kind: Some(DAMAGED), ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail) }
            }
            Error::Internal(source) => {
                tracing::error!(error = %source, "internal error");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error, see the server's log")
            }
        }
    }
}

impl IntoResponse for Problem {
    /// An empty body with the problem attached; [`crate::layers::finish`] writes it out.
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"actifix\""));
        }
        response.extensions_mut().insert(self);
        response
    }
}
