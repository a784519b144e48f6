//! Signing in by way of an OpenID Connect provider: authorization code with PKCE (RFC 7636), state, nonce, and the
//! provider's name in the answer (RFC 9207).
//!
//! What must be remembered between the start and the return travels sealed in a cookie of the browser that began, so
//! that nobody fills our memory, and no other browser can bring the answer. Each return is taken once. Whom an identity
//! belongs to is a row: it is made by an administrator, or with a new account where the configuration says so, and never by
//! a name or address that happens to be the same.

mod flow;
mod id_token;
mod people;
mod provider;

pub use flow::{SIGN_IN_MICROS, SafePath};
pub use people::GroupRole;
pub use provider::issuer_url;

use crate::app::App;
use crate::error::{Error, Result};
use crate::login::LoggedIn;
use crate::ports::{LoginKey, ProviderWire};
use crate::secrets::SecretText;
use actifix_domain::access::Role;
use actifix_domain::audit::Action;
use actifix_domain::login::LoginEnd;
use flow::Flow;
use provider::Provider;
use serde_json::json;
use std::sync::{Arc, OnceLock};
use url::Url;

/// Longest value of a parameter that a provider sends back, bytes.
const PARAMETER_BYTES_MAX: usize = 2 << 10;

/// What the configuration says about the provider.
#[derive(Clone, Debug)]
pub struct SignInSettings {
    /// The provider, exactly as it names itself.
    pub issuer: String,
    /// Who we are there.
    pub client_id: String,
    /// Our secret there; none for a public client.
    pub client_secret: Option<SecretText>,
    /// Further hosts that its endpoints may have.
    pub hosts: Vec<String>,
    /// A provider on this machine may speak plain HTTP: for tests.
    pub allow_loopback_http: bool,
    /// Scopes that are asked for, `openid` first.
    pub scopes: Vec<String>,
    /// Domains of verified addresses whose owners are let in; empty = any.
    pub allowed_domains: Vec<String>,
    /// Claim that lists groups.
    pub groups_claim: String,
    /// Groups whose members are let in, and as what; empty = any.
    pub group_roles: Vec<GroupRole>,
    /// Make an account for who is let in and has none.
    pub create_accounts: bool,
    /// Role of a new account where no group says another.
    pub default_role: Role,
}

/// Signing in by way of a provider, once the configuration was read.
pub(crate) struct SignIn {
    settings: SignInSettings,
    provider: Provider,
    callback: Url,
}

/// The place of [`SignIn`] in the App.
pub(crate) type SignInCell = OnceLock<SignIn>;

/// Where the browser goes, and what it keeps.
#[derive(Debug)]
pub struct Departure {
    /// The provider's page.
    pub location: Url,
    /// Value of the cookie.
    pub cookie: SecretText,
}

/// What the browser brings back.
#[derive(Clone, Debug, Default)]
pub struct Return {
    /// `state`
    pub state: Option<String>,
    /// `code`
    pub code: Option<SecretText>,
    /// `iss`
    pub issuer: Option<String>,
    /// `error`
    pub error: Option<String>,
}

/// The end of a sign-in that was let.
#[derive(Debug)]
pub struct Arrival {
    /// The session.
    pub login: LoggedIn,
    /// Where the person wanted to go.
    pub next: SafePath,
}

/// Why a sign-in is refused. The word goes into audit; the person hears the sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignInRefused {
    /// No cookie of ours, one of another sign-in, or an old one.
    #[error(
        "this sign-in was not begun in this browser, or more than 10 minutes ago: begin again at /auth/oidc/start"
    )]
    State,
    /// The same answer a second time.
    #[error("this sign-in was used already: begin again at /auth/oidc/start")]
    Replay,
    /// The provider says no.
    #[error("the provider did not let you in: begin again, or ask whoever runs it")]
    Provider,
    /// An answer of another provider than the one that was asked.
    #[error("the answer is of another provider than the one that was asked")]
    Issuer,
    /// The code was not taken, or what came for it is no identity that we accept.
    #[error(
        "the provider's answer is not a valid identity: begin again, or ask an administrator to look at the log"
    )]
    Identity,
    /// Not of an allowed domain or group, or the address is not verified.
    #[error("your account at the provider is not among those that are let in: ask an administrator")]
    NotAllowed,
    /// Let in, but without an account.
    #[error("there is no account for you here: ask an administrator to make and link one")]
    Unknown,
    /// The account was closed.
    #[error("your account is closed: ask an administrator")]
    Disabled,
}

impl SignInRefused {
    /// The word for audit and log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::State => "oidc_state",
            Self::Replay => "oidc_replay",
            Self::Provider => "oidc_provider",
            Self::Issuer => "oidc_issuer",
            Self::Identity => "oidc_identity",
            Self::NotAllowed => "oidc_not_allowed",
            Self::Unknown => "oidc_unknown",
            Self::Disabled => "oidc_disabled",
        }
    }
}

impl App {
    /// Turns signing in by way of a provider on; once.
    pub fn enable_sign_in(&self, settings: SignInSettings, wire: Arc<dyn ProviderWire>) -> Result<()> {
        let callback =
            Url::parse(&format!("{}/auth/oidc/callback", self.settings.public_url)).map_err(|_| {
                Error::conflict("server.public_url is not an address that a provider could send back to")
            })?;
        let sign_in = SignIn { provider: Provider::new(&settings, wire)?, settings, callback };
        self.sign_in.set(sign_in).map_err(|_| Error::conflict("signing in is enabled already"))
    }

    /// Whether people may sign in at a provider.
    pub fn offers_sign_in(&self) -> bool {
        self.sign_in.get().is_some()
    }

    /// Begins a sign-in. `next` is where the person goes afterwards.
    ///
    /// # Errors
    /// `NotFound` where there is no provider, `Unavailable` while it does not answer.
    pub async fn start_sign_in(&self, next: SafePath) -> Result<Departure> {
        let sign_in = self.sign_in()?;
        let metadata = sign_in.provider.metadata(self.clock.as_ref()).await?;
        let flow = Flow::begin(self.ids.as_ref(), self.now(), next);
        let mut location = metadata.authorization_endpoint.clone();
        location
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &sign_in.settings.client_id)
            .append_pair("redirect_uri", sign_in.callback.as_str())
            .append_pair("scope", &sign_in.settings.scopes.join(" "))
            .append_pair("state", flow.state())
            .append_pair("nonce", flow.nonce())
            .append_pair("code_challenge", &flow.challenge())
            .append_pair("code_challenge_method", "S256");
        Ok(Departure { location, cookie: flow.seal(self.vault.as_ref())? })
    }

    /// Ends a sign-in: the session of whom the provider names, or why there is none.
    ///
    /// # Errors
    /// As of [`App::start_sign_in`].
    pub async fn finish_sign_in(
        &self,
        cookie: Option<&str>,
        back: Return,
    ) -> Result<std::result::Result<Arrival, SignInRefused>> {
        let sign_in = self.sign_in()?;
        let ended = self.arrive(sign_in, cookie, back).await?;
        if let Err(refused) = &ended {
            crate::auth_log::refused("oidc");
            tracing::warn!(reason = refused.as_str(), "sign_in.refused");
            let target = format!("provider:{}", sign_in.settings.issuer);
            self.record_refusal(None, Action::LoginFailed, target, json!({ "reason": refused.as_str() }))
                .await;
        }
        Ok(ended)
    }

    async fn arrive(
        &self,
        sign_in: &SignIn,
        cookie: Option<&str>,
        back: Return,
    ) -> Result<std::result::Result<Arrival, SignInRefused>> {
        let now = self.now();
        let flow = cookie.and_then(|cookie| Flow::open(self.vault.as_ref(), cookie, now));
        let Some(flow) = flow.filter(|flow| flow.is_of(back.state.as_deref())) else {
            return Ok(Err(SignInRefused::State));
        };
        // What follows costs a request to the provider: it is counted on the network as a try to log in is.
        let network = crate::audit::address().map(|address| self.network_key(address));
        let keys: Vec<LoginKey> = network.into_iter().collect();
        self.take_login(&keys).await?;
        if !self.store.spend_sign_in(&flow.hash(), flow.expires_at(), now).await? {
            return Ok(Err(SignInRefused::Replay));
        }
        let metadata = sign_in.provider.metadata(self.clock.as_ref()).await?;
        let issuer = sign_in.provider.issuer();
        match back.issuer.as_deref() {
            Some(named) if named != issuer => return Ok(Err(SignInRefused::Issuer)),
            None if metadata.names_itself => return Ok(Err(SignInRefused::Issuer)),
            _ => {}
        }
        let code = back.code.filter(|code| (1..=PARAMETER_BYTES_MAX).contains(&code.reveal().len()));
        let (None, Some(code)) = (&back.error, code) else { return Ok(Err(SignInRefused::Provider)) };
        let exchanged = sign_in
            .provider
            .exchange(&metadata, &sign_in.settings, &code, &sign_in.callback, flow.verifier())
            .await?;
        let Some(id_token) = exchanged else { return Ok(Err(SignInRefused::Identity)) };
        let read = sign_in
            .provider
            .read_id_token(
                &metadata,
                id_token.reveal(),
                &sign_in.settings.client_id,
                flow.nonce(),
                self.clock.as_ref(),
            )
            .await?;
        let person = match read {
            Ok(person) => person,
            Err(why) => {
                tracing::warn!(why = %why, "sign_in.id_token_refused");
                return Ok(Err(SignInRefused::Identity));
            }
        };
        let user = match self.admit_person(&sign_in.settings, issuer, &person).await? {
            Ok(user) => user,
            Err(refused) => return Ok(Err(refused)),
        };
        let login = self.begin(user, "oidc").await?;
        let settled: Vec<_> = keys.into_iter().map(|key| (key, LoginEnd::Passed)).collect();
        self.store.settle_login(&settled).await?;
        Ok(Ok(Arrival { login, next: flow.into_next() }))
    }

    fn sign_in(&self) -> Result<&SignIn> {
        self.sign_in.get().ok_or(Error::NotFound { what: "sign-in provider ([oidc] of the configuration)" })
    }

    /// The provider that people may sign in with.
    pub fn sign_in_issuer(&self) -> Option<&str> {
        self.sign_in.get().map(|sign_in| sign_in.provider.issuer())
    }
}

#[cfg(test)]
mod tests;
