//! What the provider says about itself, and the exchange of a code for an identity. All of it comes over https from hosts
//! that the configuration names, is bounded, and is remembered for a while.

use super::SignInSettings;
use super::id_token::{self, IdTokenError, Keys, Person};
use crate::error::{Error, Result};
use crate::jws::{PublicKey, strict_object};
use crate::ports::{Clock, ProviderAnswer, ProviderRequest, ProviderWire};
use crate::secrets::SecretText;
use actifix_domain::time::{HOUR, MINUTE, SECOND};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use std::sync::Arc;
use tokio::sync::Mutex;
use url::form_urlencoded::{Serializer, byte_serialize};
use url::{Host, Url};

/// How long what the provider says about itself is believed.
const METADATA_MICROS: i64 = HOUR;
/// How long its keys are.
const KEYS_MICROS: i64 = 10 * MINUTE;
/// Keys are asked for anew because of an unknown id at most once in this time, whoever makes up ids.
const KEYS_AGAIN_MICROS: i64 = 30 * SECOND;
/// After a failure nobody asks again for so long.
const FAILURE_MICROS: i64 = 5 * SECOND;
/// Keys of a provider that are looked at.
const KEYS_MAX: usize = 100;

const NO_ANSWER: Error = Error::Unavailable {
    message: "the sign-in provider does not answer as it should, see the server's log",
    retry_after_seconds: 5,
};

/// What a provider says about itself (OpenID Connect Discovery).
pub(super) struct Metadata {
    pub authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    /// It names itself in each answer (RFC 9207).
    pub names_itself: bool,
    /// It takes our secret in the header, else in the form.
    basic: bool,
}

/// Something that was asked for, and when; none where that failed.
type Remembered<T> = Mutex<Option<(i64, Option<Arc<T>>)>>;

pub(super) struct Provider {
    issuer: String,
    hosts: Vec<String>,
    scheme: &'static str,
    wire: Arc<dyn ProviderWire>,
    metadata: Remembered<Metadata>,
    keys: Remembered<Keys>,
}

impl Provider {
    pub(super) fn new(settings: &SignInSettings, wire: Arc<dyn ProviderWire>) -> Result<Self> {
        let url = issuer_url(&settings.issuer, settings.allow_loopback_http)
            .map_err(|why| Error::conflict(format!("oidc.issuer: {why}")))?;
        let own = url.host_str().unwrap_or_default().to_owned();
        let hosts = settings.hosts.iter().cloned().chain([own]).collect();
        let scheme = if url.scheme() == "https" { "https" } else { "http" };
        let issuer = settings.issuer.clone();
        Ok(Self { issuer, hosts, scheme, wire, metadata: Mutex::default(), keys: Mutex::default() })
    }

    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What it says about itself; asked for by one of those who want to know, the others wait for that.
    pub(super) async fn metadata(&self, clock: &dyn Clock) -> Result<Arc<Metadata>> {
        let mut remembered = self.metadata.lock().await;
        let now = clock.monotonic_micros();
        match &*remembered {
            Some((at, Some(known))) if now.saturating_sub(*at) < METADATA_MICROS => {
                return Ok(Arc::clone(known));
            }
            Some((at, None)) if now.saturating_sub(*at) < FAILURE_MICROS => return Err(NO_ANSWER),
            _ => {}
        }
        let asked = self.discover().await;
        if let Err(why) = &asked {
            tracing::warn!(why, "sign_in.provider_not_discovered");
        }
        let known = asked.ok().map(Arc::new);
        *remembered = Some((now, known.clone()));
        known.ok_or(NO_ANSWER)
    }

    async fn discover(&self) -> std::result::Result<Metadata, &'static str> {
        let address = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let url = Url::parse(&address).map_err(|_| "the issuer is no address")?;
        let map = self.get(url).await?;
        let text = |name: &str| map.get(name).and_then(Value::as_str);
        // A provider that names another one would have us believe the answers of that one.
        if text("issuer") != Some(&self.issuer) {
            return Err("it names another issuer than oidc.issuer, to the letter");
        }
        let endpoint = |name: &str| {
            let url = text(name)
                .and_then(|text| Url::parse(text).ok())
                .ok_or("an endpoint is missing or no address")?;
            if self.may_ask(&url) {
                Ok(url)
            } else {
                Err("an endpoint is at a host that oidc.hosts does not name, or not https")
            }
        };
        let lists = |name: &str, value: &str| {
            map.get(name).and_then(Value::as_array).map(|list| list.iter().any(|item| item == value))
        };
        if lists("code_challenge_methods_supported", "S256") == Some(false) {
            return Err("it does not support PKCE with S256");
        }
        Ok(Metadata {
            authorization_endpoint: endpoint("authorization_endpoint")?,
            token_endpoint: endpoint("token_endpoint")?,
            jwks_uri: endpoint("jwks_uri")?,
            names_itself: map.get("authorization_response_iss_parameter_supported")
                == Some(&Value::Bool(true)),
            basic: lists("token_endpoint_auth_methods_supported", "client_secret_basic").unwrap_or(true),
        })
    }

    /// Whether the configuration lets us talk to this address.
    fn may_ask(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        url.scheme() == self.scheme
            && self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    }

    async fn get(&self, url: Url) -> std::result::Result<Map<String, Value>, &'static str> {
        let answer = self.send(ProviderRequest { url, form: None, authorization: None }).await?;
        if answer.status != 200 {
            return Err("it answered with another status than 200");
        }
        strict_object(&answer.body).map_err(|_| "its answer is not one JSON object with unique members")
    }

    async fn send(&self, request: ProviderRequest) -> std::result::Result<ProviderAnswer, &'static str> {
        if !self.may_ask(&request.url) {
            return Err("the address is not one of the provider's");
        }
        self.wire.exchange(request).await.map_err(|fault| fault.0)
    }

    /// Gives the code for an id token; none where the provider does not take it, or gives none.
    pub(super) async fn exchange(
        &self,
        metadata: &Metadata,
        settings: &SignInSettings,
        code: &SecretText,
        callback: &Url,
        verifier: &str,
    ) -> Result<Option<SecretText>> {
        let (form, authorization) = code_form(metadata, settings, code, callback, verifier);
        let request =
            ProviderRequest { url: metadata.token_endpoint.clone(), form: Some(form), authorization };
        let answer = self.send(request).await.map_err(no_answer)?;
        match answer.status {
            200 => {}
            400..=499 => {
                tracing::warn!(status = answer.status, "sign_in.code_refused");
                return Ok(None);
            }
            _ => return Err(no_answer("it answered the code with another status than 200")),
        }
        let Ok(map) = strict_object(&answer.body) else { return Ok(None) };
        Ok(map.get("id_token").and_then(Value::as_str).map(|text| SecretText::new(text.to_owned())))
    }

    /// Who an id token says it is, if the provider signed it for us and this sign-in.
    pub(super) async fn read_id_token(
        &self,
        metadata: &Metadata,
        text: &str,
        client_id: &str,
        nonce: &str,
        clock: &dyn Clock,
    ) -> Result<std::result::Result<Person, IdTokenError>> {
        let unverified = match id_token::parse(text) {
            Ok(unverified) => unverified,
            Err(error) => return Ok(Err(error)),
        };
        let mut keys = self.keys(metadata, KEYS_MICROS, clock).await?;
        if id_token::key_for(&keys, &unverified).is_none() {
            keys = self.keys(metadata, KEYS_AGAIN_MICROS, clock).await?;
        }
        let Some(key) = id_token::key_for(&keys, &unverified) else { return Ok(Err(IdTokenError::Key)) };
        let Ok(payload) = unverified.verify(key) else { return Ok(Err(IdTokenError::Signature)) };
        Ok(id_token::read(&payload, &self.issuer, client_id, nonce, clock.now()))
    }

    /// Its keys, not older than this.
    async fn keys(&self, metadata: &Metadata, age_micros: i64, clock: &dyn Clock) -> Result<Arc<Keys>> {
        let mut remembered = self.keys.lock().await;
        let now = clock.monotonic_micros();
        match &*remembered {
            Some((at, Some(known))) if now.saturating_sub(*at) < age_micros => return Ok(Arc::clone(known)),
            Some((at, None)) if now.saturating_sub(*at) < FAILURE_MICROS => return Err(NO_ANSWER),
            _ => {}
        }
        let asked = self.get(metadata.jwks_uri.clone()).await;
        let known = asked.map(|map| Arc::new(usable_keys(&map)));
        *remembered = Some((now, known.as_ref().ok().cloned()));
        known.map_err(no_answer)
    }
}

/// Body and `Authorization` of the request that gives a code for an id token.
fn code_form(
    metadata: &Metadata,
    settings: &SignInSettings,
    code: &SecretText,
    callback: &Url,
    verifier: &str,
) -> (SecretText, Option<SecretText>) {
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "authorization_code")
        .append_pair("code", code.reveal())
        .append_pair("redirect_uri", callback.as_str())
        .append_pair("code_verifier", verifier);
    let mut authorization = None;
    match &settings.client_secret {
        Some(secret) if metadata.basic => {
            // RFC 6749, 2.3.1: each is encoded as in a form before they are joined.
            let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let pair = format!("{}:{}", encoded(&settings.client_id), encoded(secret.reveal()));
            authorization = Some(SecretText::new(format!("Basic {}", STANDARD.encode(pair))));
        }
        Some(secret) => {
            form.append_pair("client_id", &settings.client_id).append_pair("client_secret", secret.reveal());
        }
        None => {
            form.append_pair("client_id", &settings.client_id);
        }
    }
    (SecretText::new(form.finish()), authorization)
}

fn no_answer(why: &'static str) -> Error {
    tracing::warn!(why, "sign_in.provider_failed");
    NO_ANSWER
}

/// The keys that verify signatures; a provider may list others, and kinds that we do not know.
fn usable_keys(map: &Map<String, Value>) -> Keys {
    let listed = map.get("keys").and_then(Value::as_array).into_iter().flatten().take(KEYS_MAX);
    let objects = listed.filter_map(Value::as_object);
    objects
        .filter_map(|jwk| {
            let id = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
            PublicKey::from_jwk(jwk).ok().map(|key| (id, key))
        })
        .collect()
}

/// The address of an issuer, if it can be one.
///
/// # Errors
/// Why not.
pub fn issuer_url(text: &str, allow_loopback_http: bool) -> std::result::Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "not a URL: write it as https://id.example.net")?;
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err("it holds a user, query or fragment");
    }
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => return Err("it names no host"),
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback && allow_loopback_http => Ok(url),
        _ => Err("not https"),
    }
}
