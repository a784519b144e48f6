//! The address that a program is given to report to.

use std::fmt;
use std::str::FromStr;

use actifix_domain::id::{ProjectId, PublicKey};
use url::Url;

use crate::limits::DSN_BYTES_MAX;

/// `{scheme}://{public_key}[:{secret}]@{host}[:port][/{prefix}]/{project_id}`.
///
/// The secret part of old DSNs is accepted and forgotten at once: nothing here can print it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dsn {
    /// Scheme, host, port and path prefix, without user info, query, fragment or trailing slash.
    base: String,
    key: PublicKey,
    project: ProjectId,
}

/// A text that is no DSN. Holds no part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DsnError {
    /// Longer than [`DSN_BYTES_MAX`].
    #[error("DSN longer than {DSN_BYTES_MAX} bytes")]
    TooLong,
    /// No absolute http or https URL with a host.
    #[error("DSN is not an http or https URL")]
    Url,
    /// The user part is no ingest key.
    #[error("DSN has no valid public key")]
    Key,
    /// The last path segment is not decimal digits.
    #[error("DSN has no valid project id")]
    Project,
}

impl Dsn {
    /// The DSN of a key of a project on a server reachable at `public_url` (scheme, host, optional path prefix).
    ///
    /// # Errors
    /// [`DsnError::Url`] when `public_url` is no http or https URL, [`DsnError::TooLong`] when it is too long.
    pub fn new(public_url: &str, key: &PublicKey, project: ProjectId) -> Result<Self, DsnError> {
        let url = parse_url(public_url)?;
        let path = url.path().trim_end_matches('/').to_owned();
        Ok(Self { base: base_of(&url, &path)?, key: key.clone(), project })
    }

    /// Reads a DSN as the SDKs do; query and fragment are ignored.
    ///
    /// # Errors
    /// See [`DsnError`].
    pub fn parse(text: &str) -> Result<Self, DsnError> {
        let url = parse_url(text.trim())?;
        let key = url.username().parse().map_err(|_| DsnError::Key)?;
        let path = url.path().trim_end_matches('/');
        let (prefix, project) = path.rsplit_once('/').ok_or(DsnError::Project)?;
        let project = project.parse().map_err(|_| DsnError::Project)?;
        Ok(Self { base: base_of(&url, prefix.trim_end_matches('/'))?, key, project })
    }

    /// The ingest key.
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// The project that the DSN names; the key, not this, decides where events go.
    pub fn project(&self) -> ProjectId {
        self.project
    }

    /// Where SDKs post envelopes: `…/api/{project}/envelope/`.
    pub fn envelope_url(&self) -> String {
        format!("{}/api/{}/envelope/", self.base, self.project)
    }
}

impl fmt::Display for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.base.split_once("://").unwrap_or(("https", &self.base));
        write!(f, "{scheme}://{}@{rest}/{}", self.key, self.project)
    }
}

impl FromStr for Dsn {
    type Err = DsnError;
    fn from_str(text: &str) -> Result<Self, DsnError> {
        Self::parse(text)
    }
}

fn parse_url(text: &str) -> Result<Url, DsnError> {
    if text.len() > DSN_BYTES_MAX {
        return Err(DsnError::TooLong);
    }
    let url = Url::parse(text).map_err(|_| DsnError::Url)?;
    let fine =
        matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty());
    if fine { Ok(url) } else { Err(DsnError::Url) }
}

fn base_of(url: &Url, prefix: &str) -> Result<String, DsnError> {
    let host = url.host_str().ok_or(DsnError::Url)?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Ok(format!("{}://{host}{port}{prefix}", url.scheme()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f90";

    #[test]
    fn every_shape_that_sdks_accept_names_key_project_and_endpoint() {
        let table = [
            (format!("https://{KEY}@errors.example.net/42"), "https://errors.example.net/api/42/envelope/"),
            (format!("http://{KEY}@127.0.0.1:8080/42"), "http://127.0.0.1:8080/api/42/envelope/"),
            (format!("http://{KEY}@[::1]:8080/42"), "http://[::1]:8080/api/42/envelope/"),
            (format!("https://{KEY}@h.example.net/a/b/42"), "https://h.example.net/a/b/api/42/envelope/"),
            (format!(" https://{KEY}@h.example.net/42/ "), "https://h.example.net/api/42/envelope/"),
            (format!("https://{KEY}@h.example.net/42?x=1#y"), "https://h.example.net/api/42/envelope/"),
        ];
        for (text, url) in table {
            let dsn = Dsn::parse(&text).unwrap();
            assert_eq!(
                (dsn.public_key().as_str(), dsn.project(), dsn.envelope_url().as_str()),
                (KEY, ProjectId(42), url)
            );
            assert_eq!(Dsn::parse(&dsn.to_string()).unwrap(), dsn);
        }
    }

    #[test]
    fn the_secret_part_of_an_old_dsn_is_forgotten() {
        let dsn = Dsn::parse(&format!("https://{KEY}:hunter2@h.example.net/42")).unwrap();
        assert!(!dsn.to_string().contains("hunter2") && !format!("{dsn:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_no_dsn_is_refused_without_repeating_it() {
        let long = format!("https://{KEY}@h.example.net/{}/42", "p".repeat(DSN_BYTES_MAX));
        let table = [
            ("", DsnError::Url),
            ("not a url", DsnError::Url),
            ("ftp://k@h/1", DsnError::Url),
            ("data:k@h/1", DsnError::Url),
            ("https://h.example.net/42", DsnError::Key),
            ("https://a-b@h.example.net/42", DsnError::Key),
            ("https://k@h.example.net", DsnError::Project),
            ("https://k@h.example.net/", DsnError::Project),
            ("https://k@h.example.net/shop", DsnError::Project),
            ("https://k@h.example.net/4%32", DsnError::Project),
            (&long, DsnError::TooLong),
        ];
        for (text, error) in table {
            assert_eq!(Dsn::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_new_dsn_keeps_the_path_prefix_of_the_public_url() {
        let key = KEY.parse().unwrap();
        let dsn = |url| Dsn::new(url, &key, ProjectId(7)).unwrap().to_string();
        assert_eq!(dsn("https://errors.example.net"), format!("https://{KEY}@errors.example.net/7"));
        assert_eq!(
            dsn("https://x.example.net:8443/errors/"),
            format!("https://{KEY}@x.example.net:8443/errors/7")
        );
        assert!(Dsn::new("errors.example.net", &key, ProjectId(7)).is_err());
    }
}
