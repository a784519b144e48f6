//! Whom an identity of a provider belongs to here, and who is let in.

use super::id_token::Person;
use super::{SignInRefused, SignInSettings};
use crate::accounts::{ADMIN, canonical_name};
use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::{IdentityRecord, UserRecord};
use actifix_domain::access::{Actor, Role, Scope};
use actifix_domain::audit::Action;
use serde_json::json;
use std::str::FromStr;

/// Members of a group of the provider, and what they are here. Never administrators: those are made by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRole {
    /// Name of the group, as the claim has it.
    pub group: String,
    /// Role here.
    pub role: Role,
}

impl FromStr for GroupRole {
    type Err = &'static str;

    /// `GROUP=ROLE`; the last `=` divides.
    fn from_str(text: &str) -> std::result::Result<Self, &'static str> {
        let form = "expected GROUP=viewer or GROUP=operator; administrators are made by hand";
        let (group, role) = text.rsplit_once('=').ok_or(form)?;
        let role = match role.trim() {
            "viewer" => Role::Viewer,
            "operator" => Role::Operator,
            _ => return Err(form),
        };
        let group = group.trim().to_owned();
        if group.is_empty() || group.len() > 200 { Err(form) } else { Ok(Self { group, role }) }
    }
}

/// The widest role that a person's groups give; none where they give none.
fn role_of_groups(settings: &SignInSettings, person: &Person) -> Option<Role> {
    let groups = person.groups(&settings.groups_claim);
    let given = settings.group_roles.iter().filter(|given| groups.contains(&given.group.as_str()));
    given.map(|given| given.role).max_by_key(|role| role.scopes().len())
}

/// Whether the domain of an address is one of these: all of it, after the one `@`.
fn is_of_domain(email: &str, domains: &[String]) -> bool {
    let mut parts = email.split('@');
    let (Some(local), Some(domain), None) = (parts.next(), parts.next(), parts.next()) else { return false };
    !local.is_empty() && domains.iter().any(|known| known.eq_ignore_ascii_case(domain))
}

impl App {
    /// The account that a person may open now.
    pub(super) async fn admit_person(
        &self,
        settings: &SignInSettings,
        issuer: &str,
        person: &Person,
    ) -> Result<std::result::Result<UserRecord, SignInRefused>> {
        let by_domain = settings.allowed_domains.is_empty()
            || person
                .verified_email
                .as_deref()
                .is_some_and(|email| is_of_domain(email, &settings.allowed_domains));
        let role = role_of_groups(settings, person);
        let by_group = settings.group_roles.is_empty() || role.is_some();
        if !by_domain || !by_group {
            return Ok(Err(SignInRefused::NotAllowed));
        }
        let Some(user) = self.store.identity(issuer, &person.subject).await? else {
            if !settings.create_accounts {
                return Ok(Err(SignInRefused::Unknown));
            }
            return self.create_person(issuer, person, role.unwrap_or(settings.default_role)).await;
        };
        if user.disabled_at.is_some() {
            return Ok(Err(SignInRefused::Disabled));
        }
        // Where groups give roles they say it each time; who is an administrator was made so by hand and stays that.
        match role.filter(|role| user.role != Role::Admin && user.role != *role) {
            None => Ok(Ok(user)),
            Some(role) => {
                let change = crate::accounts::UserChange { role: Some(role), ..Default::default() };
                self.change_user(&Actor::System, &user.name, change).await.map(|view| Ok(view.user))
            }
        }
    }

    /// A new account, named as the provider names its owner. An account that has the name already is somebody's, and
    /// whether it is theirs is for an administrator to say. The administrator's name is taken before there is one: the
    /// first `admin set-password` makes whoever has it the administrator.
    async fn create_person(
        &self,
        issuer: &str,
        person: &Person,
        role: Role,
    ) -> Result<std::result::Result<UserRecord, SignInRefused>> {
        let email_name = person.verified_email.as_deref().and_then(|email| email.split('@').next());
        let wished = person.preferred_name.as_deref().or(email_name).unwrap_or_default();
        let Ok(name) = crate::accounts::new_name(wished) else { return Ok(Err(SignInRefused::Unknown)) };
        if name == ADMIN {
            return Ok(Err(SignInRefused::Unknown));
        }
        // Nobody knows this password: the account is opened by the provider, or by one that an administrator sets.
        let password = self.random_password();
        let user = self.new_user(name, role, &password).await?;
        let identity = self.identity_of(issuer, &person.subject, &user);
        let target = format!("user:{}", user.name);
        let records = [
            self.audit(
                &Actor::System,
                Action::UserCreated,
                &target,
                None,
                json!({ "role": role, "by": "oidc" }),
            ),
            self.audit(&Actor::System, Action::IdentityLinked, &target, None, json!({ "issuer": issuer })),
        ];
        match self.store.link_identity(&identity, Some(&user), &records).await {
            Ok(()) => Ok(Ok(user)),
            Err(Error::Conflict { .. }) => Ok(Err(SignInRefused::Unknown)),
            Err(error) => Err(error),
        }
    }

    /// Lets somebody at the provider open an account.
    pub async fn link_identity(&self, actor: &Actor, name: &str, subject: &str) -> Result<IdentityRecord> {
        Self::require(actor, Scope::Admin, None)?;
        self.require_person(actor)?;
        let fits =
            (1..=255).contains(&subject.len()) && subject.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if !fits {
            return Err(Error::invalid(
                "subject",
                "1 to 255 printable ASCII characters, as the provider names the person",
            ));
        }
        let issuer = self
            .sign_in_issuer()
            .ok_or_else(|| Error::conflict("no provider is configured: set [oidc] first"))?;
        let user = self.account(name).await?;
        let identity = self.identity_of(issuer, subject, &user);
        let target = format!("user:{}", user.name);
        let audit = self.audit(actor, Action::IdentityLinked, target, None, json!({ "issuer": issuer }));
        self.store.link_identity(&identity, None, &[audit]).await?;
        Ok(identity)
    }

    /// Who at a provider may open an account.
    pub async fn identities(&self, actor: &Actor, name: &str) -> Result<Vec<IdentityRecord>> {
        Self::require(actor, Scope::Admin, None)?;
        let user = self.account(name).await?;
        self.store.identities(&user.id).await
    }

    /// Takes all identities from an account and ends its sessions.
    pub async fn unlink_identities(&self, actor: &Actor, name: &str) -> Result<u64> {
        Self::require(actor, Scope::Admin, None)?;
        let user = self.account(name).await?;
        let target = format!("user:{}", user.name);
        let audit = self.audit(actor, Action::IdentityUnlinked, &target, None, json!({}));
        let gone = self.store.unlink_identities(&user.id, &audit).await?;
        let audit = self.audit(actor, Action::SessionKilled, target, None, json!({}));
        self.store.end_sessions(crate::ports::SessionsOf::User(user.id), &audit).await?;
        self.access_cache.forget();
        Ok(gone)
    }

    async fn account(&self, name: &str) -> Result<UserRecord> {
        self.store.user(&canonical_name(name)).await?.ok_or(Error::NotFound { what: "account" })
    }

    fn identity_of(&self, issuer: &str, subject: &str, user: &UserRecord) -> IdentityRecord {
        IdentityRecord {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            user_id: user.id.clone(),
            created_at: self.now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_domain_counts() {
        let domains = ["example.net".to_owned()];
        for good in ["jo@example.net", "JO@EXAMPLE.NET", "a+b@example.net"] {
            assert!(is_of_domain(good, &domains), "{good}");
        }
        for bad in [
            "",
            "jo",
            "@example.net",
            "jo@",
            "jo@evil.example",
            "jo@sub.example.net",
            "jo@example.net.evil.example",
            "jo@evil.example@example.net",
            "jo@example.net@evil.example",
            "jo@exa\u{440}mple.net",
            "jo@example.net ",
        ] {
            assert!(!is_of_domain(bad, &domains), "{bad}");
        }
    }

    #[test]
    fn no_group_makes_administrators() {
        assert_eq!("ops=operator".parse(), Ok(GroupRole { group: "ops".into(), role: Role::Operator }));
        assert_eq!(
            "cn=ops,dc=x=viewer".parse(),
            Ok(GroupRole { group: "cn=ops,dc=x".into(), role: Role::Viewer })
        );
        for bad in ["ops", "ops=admin", "ops=agent", "=viewer", "ops=", "ops=Viewer"] {
            assert!(bad.parse::<GroupRole>().is_err(), "{bad}");
        }
    }
}
