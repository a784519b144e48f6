//! Which ingest key does a request present (`ingest.md` §4)?
//!
//! A request may carry its key in several places at once. All of them are collected first, then must agree: a
//! proxy and a server that look at different places would otherwise let one key pass for another.

use actifix_domain::id::PublicKey;
use url::form_urlencoded;

use crate::limits::{AUTH_HEADER_BYTES_MAX, AUTH_KEYS_MAX, AUTH_PAIRS_MAX};

/// One key as presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Has the form of an ingest key.
    Key(PublicKey),
    /// A key was presented, but it can be none of ours. The text is not kept.
    Malformed,
}

/// The presented keys give no single key; answer 403.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Two places name different keys.
    #[error("{}", crate::answer::CONFLICTING_AUTH)]
    Disagree,
    /// Only a text that can be no key: the same answer as for an unknown key.
    #[error("{}", crate::answer::DENIED)]
    Malformed,
}

/// All keys that one request presents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    found: Vec<Found>,
}

impl Credentials {
    /// Of the header `X-Sentry-Auth`; the scheme word `Sentry` may be missing.
    pub fn from_header(x_sentry_auth: &str) -> Self {
        let mut found = Self::default();
        found.add_header(x_sentry_auth);
        found
    }

    /// Adds what the header `X-Sentry-Auth` presents.
    pub fn add_header(&mut self, x_sentry_auth: &str) {
        if x_sentry_auth.len() > AUTH_HEADER_BYTES_MAX {
            self.push(Found::Malformed);
            return;
        }
        self.add_members(strip_scheme(x_sentry_auth, "sentry").unwrap_or(x_sentry_auth));
    }

    /// Adds what `Authorization: Sentry …` presents. Another scheme is for somebody else and ignored.
    pub fn add_authorization(&mut self, authorization: &str) {
        let Some(members) = strip_scheme(authorization, "sentry") else { return };
        if authorization.len() > AUTH_HEADER_BYTES_MAX {
            self.push(Found::Malformed);
            return;
        }
        self.add_members(members);
    }

    /// Adds what `Authorization: Bearer <ingest key>` presents; for OTLP routes only.
    pub fn add_bearer(&mut self, authorization: &str) {
        if let Some(key) = strip_scheme(authorization, "bearer") {
            self.add_key(key.trim());
        }
    }

    /// Adds `sentry_key` and `glitchtip_key` of a query string (without its `?`).
    pub fn add_query(&mut self, query: &str) {
        for (name, value) in form_urlencoded::parse(query.as_bytes()).take(AUTH_PAIRS_MAX) {
            if matches!(&*name, "sentry_key" | "glitchtip_key") {
                self.add_key(value.trim());
            }
        }
    }

    /// Adds the key that stands in the path, or any other bare key.
    pub fn add_key(&mut self, key: &str) {
        self.push(key.parse().map_or(Found::Malformed, Found::Key));
    }

    /// The keys in the order in which they were added.
    pub fn into_found(self) -> Vec<Found> {
        self.found
    }

    fn add_members(&mut self, members: &str) {
        for (name, value) in split_members(members).take(AUTH_PAIRS_MAX) {
            if name.eq_ignore_ascii_case("sentry_key") {
                self.add_key(&percent_decoded(value));
            }
        }
    }

    fn push(&mut self, found: Found) {
        if self.found.len() < AUTH_KEYS_MAX {
            self.found.push(found);
        } else if let Some(last) = self.found.last_mut() {
            // A flood of keys is no client of ours; do not let the ones beyond the bound go unseen.
            *last = Found::Malformed;
        }
    }
}

/// The one key on which all of `found` agree; `None` when there is none (answer 401).
///
/// # Errors
/// [`Conflict`], to be answered 403.
pub fn resolve(found: &[Found]) -> Result<Option<PublicKey>, Conflict> {
    let Some(first) = found.first() else { return Ok(None) };
    if found.iter().any(|other| other != first) {
        return Err(Conflict::Disagree);
    }
    match first {
        Found::Key(key) => Ok(Some(key.clone())),
        Found::Malformed => Err(Conflict::Malformed),
    }
}

/// What follows the scheme word; `None` when the header has another one.
fn strip_scheme<'a>(header: &'a str, scheme: &str) -> Option<&'a str> {
    let header = header.trim_start();
    let (word, rest) = header.split_at_checked(scheme.len())?;
    let separated = rest.is_empty() || rest.starts_with([' ', '\t', ',']);
    (separated && word.eq_ignore_ascii_case(scheme)).then_some(rest)
}

/// `name=value` pairs between commas; commas inside quotes do not count. Parts without `=` are passed over.
fn split_members(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .filter_map(|member| member.split_once('='))
    .map(|(name, value)| (name.trim(), value.trim().trim_matches('"').trim()))
}

/// `%41` becomes `A`; a `+` stays. Other text comes back as it is.
fn percent_decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let plus_kept = text.replace('+', "%2B");
    form_urlencoded::parse(plus_kept.replace('&', "%26").replace('=', "%3D").as_bytes())
        .next()
        .map(|(decoded, _)| decoded.into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f90";
    const OTHER: &str = "b1b2c3d4e5f60718293a4b5c6d7e8f91";

    fn key_of(found: &Credentials) -> Option<String> {
        resolve(&found.found).unwrap().map(|key| key.to_string())
    }

    #[test]
    fn the_auth_header_is_read_in_every_form_in_which_clients_write_it() {
        let table = [
            format!("Sentry sentry_version=7, sentry_key={KEY}, sentry_client=x/1"),
            format!("Sentry sentry_key={KEY},sentry_version=7"),
            format!("sentry   sentry_client = x/1 ,sentry_key = {KEY}"),
            format!("SENTRY SENTRY_KEY=\"{KEY}\", sentry_secret=\"a,b=c\""),
            format!("Sentry sentry_client=\"x,sentry_key={OTHER}\", sentry_key={KEY}"),
            format!("Sentry sentry_key=%61{}", &KEY[1..]),
            format!("Sentry,sentry_key={KEY},,garbage,=,"),
            format!("sentry_key={KEY}"),
        ];
        for header in table {
            assert_eq!(key_of(&Credentials::from_header(&header)).as_deref(), Some(KEY), "{header}");
        }
    }

    #[test]
    fn a_header_without_a_key_presents_none() {
        for header in ["", "Sentry", "Sentry sentry_version=7", "garbage", "Sentry sentry_keys=abc"] {
            assert_eq!(resolve(&Credentials::from_header(header).found), Ok(None), "{header}");
        }
    }

    #[test]
    fn authorization_counts_only_with_the_scheme_of_its_route() {
        let mut found = Credentials::default();
        found.add_authorization("Basic c2VudHJ5X2tleT1hYmM=");
        found.add_authorization(&format!("Bearer {KEY}"));
        found.add_authorization(&format!("SentryX sentry_key={KEY}"));
        assert_eq!(resolve(&found.found), Ok(None));
        found.add_authorization(&format!("Sentry sentry_key={KEY}"));
        assert_eq!(key_of(&found).as_deref(), Some(KEY));
        let mut bearer = Credentials::default();
        bearer.add_bearer(&format!("bearer  {KEY} "));
        bearer.add_bearer("Basic abc");
        assert_eq!(key_of(&bearer).as_deref(), Some(KEY));
    }

    #[test]
    fn all_places_must_name_the_same_key() {
        let all = |query: &str| {
            let mut found = Credentials::from_header(&format!("Sentry sentry_key={KEY}"));
            found.add_query(query);
            found.add_key(KEY);
            resolve(&found.found)
        };
        assert_eq!(
            all(&format!("sentry_version=7&sentry_key={KEY}&glitchtip_key={KEY}")),
            Ok(Some(KEY.parse().unwrap()))
        );
        assert_eq!(all(&format!("glitchtip_key={OTHER}")), Err(Conflict::Disagree));
        assert_eq!(all(&format!("sentry_key={KEY}&sentry_key={OTHER}")), Err(Conflict::Disagree));
        assert_eq!(all("sentry_key="), Err(Conflict::Disagree));
        assert_eq!(Conflict::Disagree.to_string(), "conflicting authentication");
    }

    #[test]
    fn a_text_that_can_be_no_key_is_answered_like_an_unknown_key() {
        let mut found = Credentials::default();
        found.add_query("sentry_key=..%2F..%2Fetc");
        assert_eq!(resolve(&found.found), Err(Conflict::Malformed));
        assert_eq!(Conflict::Malformed.to_string(), crate::answer::DENIED);
        assert!(!format!("{found:?}").contains("etc"));
    }

    #[test]
    fn floods_are_refused_not_searched() {
        let long = format!("Sentry {}sentry_key={KEY}", "a=b, ".repeat(AUTH_HEADER_BYTES_MAX));
        assert_eq!(resolve(&Credentials::from_header(&long).found), Err(Conflict::Malformed));
        let mut many = Credentials::default();
        for _ in 0..=AUTH_KEYS_MAX {
            many.add_key(KEY);
        }
        assert_eq!(resolve(&many.found), Err(Conflict::Disagree));
    }
}
