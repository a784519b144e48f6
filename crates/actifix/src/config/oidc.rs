//! `[oidc]`: the provider that people may sign in with.

use super::network::is_host;
use super::{Config, SecretRef};
use actifix_app::oidc::{GroupRole, SignInSettings, issuer_url};
use actifix_app::secrets::SecretText;
use actifix_domain::access::Role;
use serde::{Deserialize, Serialize};

/// Entries of one list.
const LIST_MAX: usize = 100;

/// `[oidc]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OidcConfig {
    /// The provider, as it names itself; none = nobody signs in so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Who we are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Our secret there; none for a public client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretRef>,
    /// Further hosts of its endpoints.
    pub hosts: Vec<String>,
    /// A provider on this machine may speak plain HTTP.
    pub allow_loopback_http: bool,
    /// Scopes besides `openid`.
    pub scopes: Vec<String>,
    /// Domains of verified addresses.
    pub allowed_domains: Vec<String>,
    /// Claim that lists groups.
    pub groups_claim: String,
    /// `GROUP=ROLE`.
    pub group_roles: Vec<String>,
    /// Make accounts.
    pub create_accounts: bool,
    /// Role of a new account.
    pub default_role: Role,
}

impl Default for OidcConfig {
    fn default() -> Self {
        Self {
            issuer: None,
            client_id: None,
            client_secret: None,
            hosts: Vec::new(),
            allow_loopback_http: false,
            scopes: vec!["email".to_owned(), "profile".to_owned()],
            allowed_domains: Vec::new(),
            groups_claim: "groups".to_owned(),
            group_roles: Vec::new(),
            create_accounts: false,
            default_role: Role::Viewer,
        }
    }
}

impl OidcConfig {
    /// What signing in takes, with the secret that was resolved; none where no provider is configured.
    ///
    /// # Errors
    /// The first value that cannot be right, by key, and what would be.
    pub fn settings(&self, client_secret: Option<SecretText>) -> Result<Option<SignInSettings>, String> {
        let Some(issuer) = self.issuer.clone() else {
            return match &self.client_id {
                Some(_) => Err("oidc.issuer: not set, but oidc.client_id is: name the provider".to_owned()),
                None => Ok(None),
            };
        };
        issuer_url(&issuer, self.allow_loopback_http).map_err(|why| format!("oidc.issuer: {why}"))?;
        let client_id = self.client_id.clone().filter(|id| !id.is_empty());
        let client_id = client_id
            .ok_or("oidc.client_id: not set: the provider gives it when you register this server")?;
        for (key, length) in [
            ("hosts", self.hosts.len()),
            ("scopes", self.scopes.len()),
            ("allowed_domains", self.allowed_domains.len()),
            ("group_roles", self.group_roles.len()),
        ] {
            if length > LIST_MAX {
                return Err(format!("oidc.{key}: {length} entries; at most {LIST_MAX}"));
            }
        }
        if let Some(host) = self.hosts.iter().chain(&self.allowed_domains).find(|host| !is_host(host)) {
            return Err(format!(
                "oidc.hosts, oidc.allowed_domains: {host:?} is not a name such as example.net"
            ));
        }
        let is_scope =
            |text: &String| !text.is_empty() && text.bytes().all(|byte| (0x21..0x7f).contains(&byte));
        if !self.scopes.iter().all(is_scope) {
            return Err("oidc.scopes: words without spaces, such as email".to_owned());
        }
        let parsed = self.group_roles.iter().map(|text| text.parse::<GroupRole>());
        let group_roles =
            parsed.collect::<Result<Vec<_>, _>>().map_err(|why| format!("oidc.group_roles: {why}"))?;
        if self.create_accounts && self.allowed_domains.is_empty() && group_roles.is_empty() {
            return Err("oidc.create_accounts: everybody whom the provider knows would get an account: set oidc.allowed_domains or oidc.group_roles".to_owned());
        }
        if !matches!(self.default_role, Role::Viewer | Role::Operator) {
            return Err("oidc.default_role: viewer or operator; administrators are made by hand".to_owned());
        }
        let openid = std::iter::once("openid".to_owned());
        let further = self.scopes.iter().filter(|scope| *scope != "openid").cloned();
        Ok(Some(SignInSettings {
            issuer,
            client_id,
            client_secret,
            hosts: self.hosts.clone(),
            allow_loopback_http: self.allow_loopback_http,
            scopes: openid.chain(further).collect(),
            allowed_domains: self.allowed_domains.clone(),
            groups_claim: self.groups_claim.clone(),
            group_roles,
            create_accounts: self.create_accounts,
            default_role: self.default_role,
        }))
    }
}

impl Config {
    /// What the types of `[oidc]` do not say.
    ///
    /// # Errors
    /// As of [`OidcConfig::settings`].
    pub fn validate_sign_in(&self) -> Result<(), String> {
        self.oidc.settings(None).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "issuer = \"https://id.example.net\"\nclient_id = \"us\"\n";

    fn check(text: &str) -> Result<Option<SignInSettings>, String> {
        toml::from_str::<OidcConfig>(text).map_err(|error| error.message().to_owned())?.settings(None)
    }

    #[test]
    fn nobody_becomes_administrator_and_not_everybody_gets_in_by_configuration() {
        assert!(check("").unwrap().is_none());
        let settings = check(GOOD).unwrap().unwrap();
        assert_eq!(settings.scopes, ["openid", "email", "profile"]);
        assert!(!settings.create_accounts);
        for (more, key) in [
            ("create_accounts = true", "oidc.create_accounts"),
            ("default_role = \"admin\"", "oidc.default_role"),
            ("default_role = \"agent\"", "oidc.default_role"),
            ("group_roles = [\"ops=admin\"]", "oidc.group_roles"),
            ("group_roles = [\"ops\"]", "oidc.group_roles"),
            ("allowed_domains = [\"*.example.net\"]", "oidc.allowed_domains"),
            ("allowed_domains = [\"jo@example.net\"]", "oidc.allowed_domains"),
            ("hosts = [\"https://keys.example.net\"]", "oidc.hosts"),
            ("scopes = [\"a b\"]", "oidc.scopes"),
            ("client_secret = \"hunter2\"", "secret:NAME"),
        ] {
            let refused = check(&format!("{GOOD}{more}")).unwrap_err();
            assert!(refused.contains(key) && !refused.contains("hunter2"), "{more}: {refused}");
        }
        for (text, key) in [
            ("client_id = \"us\"", "oidc.issuer"),
            ("issuer = \"https://id.example.net\"", "oidc.client_id"),
            ("issuer = \"http://id.example.net\"\nclient_id = \"us\"", "oidc.issuer"),
            ("issuer = \"http://127.0.0.1:1\"\nclient_id = \"us\"", "oidc.issuer"),
        ] {
            assert!(check(text).unwrap_err().contains(key), "{text}");
        }
        let made = format!("{GOOD}create_accounts = true\nallowed_domains = [\"example.net\"]");
        assert!(check(&made).unwrap().unwrap().create_accounts);
    }
}
