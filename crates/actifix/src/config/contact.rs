//! `[security_txt]`: whom to tell of a security hole of this instance.

use actifix_app::security_txt::SecurityTxt;
use serde::{Deserialize, Serialize};

/// `[security_txt]`; without a contact there is no such file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecurityTxtConfig {
    /// `mailto:`, `https:` or `tel:`, the preferred one first.
    pub contact: Vec<String>,
    /// Page with the terms of disclosure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Where the key for encrypted mail is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// Page with thanks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledgments: Option<String>,
    /// Languages, such as `en, de`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_languages: Option<String>,
    /// Days until it expires.
    pub expires_days: u32,
}

impl Default for SecurityTxtConfig {
    fn default() -> Self {
        Self {
            contact: Vec::new(),
            policy: None,
            encryption: None,
            acknowledgments: None,
            preferred_languages: None,
            expires_days: 180,
        }
    }
}

impl SecurityTxtConfig {
    /// The file; none where nobody is named.
    ///
    /// # Errors
    /// The key that is wrong, and why.
    pub fn file(&self) -> Result<Option<SecurityTxt>, String> {
        if *self == Self::default() {
            return Ok(None);
        }
        let file = SecurityTxt {
            contacts: self.contact.clone(),
            policy: self.policy.clone(),
            encryption: self.encryption.clone(),
            acknowledgments: self.acknowledgments.clone(),
            preferred_languages: self.preferred_languages.clone(),
            days: self.expires_days,
        };
        file.validate().map_err(|why| format!("security_txt.{why}"))?;
        Ok(Some(file))
    }
}
