//! `/.well-known/security.txt` (RFC 9116): whom to tell of a security hole of this instance.
//!
//! It is its owner's, not this project's: where the owner says nothing there is none.

use actifix_domain::time::{DAY, Timestamp};
use url::Url;

/// Contacts that are told.
const CONTACTS_MAX: usize = 5;
/// Longest entry, bytes.
const ENTRY_BYTES_MAX: usize = 1_000;
/// RFC 9116 recommends less than a year: what is older may be nobody's any more.
const DAYS: std::ops::RangeInclusive<u32> = 1..=364;

/// What the owner of an instance says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityTxt {
    /// `mailto:`, `https:` or `tel:`, the preferred one first; at least one.
    pub contacts: Vec<String>,
    /// Page with the terms of disclosure.
    pub policy: Option<String>,
    /// Where the key for encrypted mail is.
    pub encryption: Option<String>,
    /// Page with thanks.
    pub acknowledgments: Option<String>,
    /// Languages, such as `en, de`.
    pub preferred_languages: Option<String>,
    /// Days until it expires, counted from the day on which it is asked for.
    pub days: u32,
}

impl SecurityTxt {
    /// Holds it against the RFC.
    ///
    /// # Errors
    /// The key that is wrong, and why.
    pub fn validate(&self) -> Result<(), String> {
        if self.contacts.is_empty() || self.contacts.len() > CONTACTS_MAX {
            return Err(format!("contact: 1 to {CONTACTS_MAX}"));
        }
        for contact in &self.contacts {
            check(contact, &["https", "mailto", "tel"]).map_err(|why| format!("contact: {why}"))?;
        }
        for (key, value) in [
            ("policy", &self.policy),
            ("encryption", &self.encryption),
            ("acknowledgments", &self.acknowledgments),
        ] {
            let schemes: &[&str] =
                if key == "encryption" { &["https", "dns", "openpgp4fpr"] } else { &["https"] };
            value
                .iter()
                .try_for_each(|value| check(value, schemes))
                .map_err(|why| format!("{key}: {why}"))?;
        }
        let is_language = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ',' | ' ');
        if self
            .preferred_languages
            .as_deref()
            .is_some_and(|text| text.is_empty() || !text.chars().all(is_language))
        {
            return Err(
                "preferred_languages: language tags with commas between them, such as en, de".to_owned()
            );
        }
        if !DAYS.contains(&self.days) {
            return Err(format!(
                "expires_days: {} to {}, less than a year (RFC 9116)",
                DAYS.start(),
                DAYS.end()
            ));
        }
        Ok(())
    }

    /// The file as it is served at `now` by the instance at `public_url`.
    pub fn render(&self, now: Timestamp, public_url: &str) -> String {
        let mut lines: Vec<String> =
            self.contacts.iter().map(|contact| format!("Contact: {contact}")).collect();
        // The same for a whole day, so that it can be cached and compared.
        let midnight = Timestamp::from_micros(now.day().saturating_mul(DAY));
        let ends = midnight.plus(i64::from(self.days) * DAY);
        lines.push(format!("Expires: {}Z", ends.to_string().get(..19).unwrap_or_default()));
        for (name, value) in [
            ("Encryption", &self.encryption),
            ("Acknowledgments", &self.acknowledgments),
            ("Preferred-Languages", &self.preferred_languages),
            ("Policy", &self.policy),
        ] {
            lines.extend(value.iter().map(|value| format!("{name}: {value}")));
        }
        if public_url.starts_with("https://") {
            lines.push(format!("Canonical: {public_url}/.well-known/security.txt"));
        }
        lines.join("\n") + "\n"
    }
}

fn check(text: &str, schemes: &[&str]) -> Result<(), String> {
    if text.len() > ENTRY_BYTES_MAX || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(format!("a URI of at most {ENTRY_BYTES_MAX} bytes, without blanks and line breaks"));
    }
    let form = || format!("a URI that begins with {}:", schemes.join(":, "));
    let url = Url::parse(text).map_err(|_| form())?;
    if url.scheme() == "http" {
        return Err(
            "http is not let: anybody on the way could give another address (RFC 9116); use https or mailto"
                .to_owned(),
        );
    }
    if !schemes.contains(&url.scheme()) || (url.scheme() == "mailto" && !url.path().contains('@')) {
        return Err(form());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> SecurityTxt {
        SecurityTxt {
            contacts: vec!["mailto:security@example.net".to_owned(), "https://example.net/report".to_owned()],
            policy: Some("https://example.net/policy".to_owned()),
            encryption: None,
            acknowledgments: None,
            preferred_languages: Some("en, de".to_owned()),
            days: 180,
        }
    }

    #[test]
    fn it_expires_in_the_future_and_in_less_than_a_year() {
        let now = Timestamp::parse("2026-11-30T20:31:00Z").unwrap();
        assert_eq!(file().validate(), Ok(()));
        assert_eq!(
            file().render(now, "https://errors.example.net"),
            "Contact: mailto:security@example.net\nContact: https://example.net/report\n\
             Expires: 2027-05-29T00:00:00Z\nPreferred-Languages: en, de\nPolicy: https://example.net/policy\n\
             Canonical: https://errors.example.net/.well-known/security.txt\n"
        );
        let mut longest = file();
        longest.days = 364;
        assert!(longest.render(now, "http://127.0.0.1:5001").contains("Expires: 2027-11-29T00:00:00Z\n"));
        assert!(!longest.render(now, "http://127.0.0.1:5001").contains("Canonical"));
    }

    #[test]
    fn what_the_rfc_does_not_let_is_refused() {
        let with = |change: &dyn Fn(&mut SecurityTxt)| {
            let mut changed = file();
            change(&mut changed);
            changed.validate().unwrap_err()
        };
        assert!(with(&|file| file.contacts.clear()).starts_with("contact: "));
        assert!(
            with(&|file| file.contacts = vec!["http://example.net/".to_owned()]).contains("http is not let")
        );
        for bad in [
            "security@example.net",
            "mailto:nobody",
            "javascript:alert(1)",
            "https://a\nContact: https://b",
            "",
        ] {
            assert!(with(&|file| file.contacts = vec![bad.to_owned()]).starts_with("contact: "), "{bad}");
        }
        assert!(
            with(&|file| file.policy = Some("http://example.net/".to_owned())).starts_with("policy: http")
        );
        for days in [0, 365, u32::MAX] {
            assert!(with(&|file| file.days = days).starts_with("expires_days: "), "{days}");
        }
        assert!(
            with(&|file| file.preferred_languages = Some("en\nX: y".to_owned())).starts_with("preferred")
        );
    }
}
