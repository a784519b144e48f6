//! Address and secrets of a channel. They lie sealed, and no `Debug` shows them.

use super::sign::SigningSecret;
use crate::error::{Error, FieldError};
use actifix_domain::alert::AddressPolicy;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use url::{Host, Url};
use zeroize::Zeroize;

/// Longest address, bytes.
const URL_BYTES_MAX: usize = 2_048;
/// Longest token or password, bytes.
const TOKEN_BYTES_MAX: usize = 4_096;
/// Receivers of one mail.
const RECEIVERS_MAX: usize = 20;
/// Secrets that sign at the same time: the new one and the old one while receivers change over.
pub const SECRETS_MAX: usize = 2;

/// Who is told, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// JSON, signed by Standard Webhooks.
    Webhook,
    /// Slack's incoming webhooks.
    Slack,
    /// Discord's webhooks.
    Discord,
    /// Workflows of Microsoft Teams.
    Teams,
    /// A topic of ntfy.
    Ntfy,
    /// A chat of Telegram.
    Telegram,
    /// Mail by SMTP.
    Mail,
    /// Issues of a GitHub repository.
    Github,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Webhook,
        Self::Slack,
        Self::Discord,
        Self::Teams,
        Self::Ntfy,
        Self::Telegram,
        Self::Mail,
        Self::Github,
    ];

    /// The word used in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Slack => "slack",
            Self::Discord => "discord",
            Self::Teams => "teams",
            Self::Ntfy => "ntfy",
            Self::Telegram => "telegram",
            Self::Mail => "mail",
            Self::Github => "github",
        }
    }

    /// The kind that an address belongs to.
    pub fn of_host(host: &str) -> Self {
        let host = host.to_ascii_lowercase();
        let is = |name: &str| host == name || host.ends_with(&format!(".{name}"));
        if is("hooks.slack.com") {
            Self::Slack
        } else if is("discord.com") || is("discordapp.com") {
            Self::Discord
        } else if is("webhook.office.com") || is("logic.azure.com") || is("powerplatform.com") {
            Self::Teams
        } else if is("ntfy.sh") {
            Self::Ntfy
        } else {
            Self::Webhook
        }
    }
}

impl FromStr for Kind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| format!("unknown kind; one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// All that it takes to reach a channel.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelConfig {
    /// Form.
    pub kind: Kind,
    /// Address: https, of mail smtp (STARTTLS) or smtps.
    pub url: String,
    /// Token or password, where it is not part of the address.
    #[serde(default)]
    pub token: Option<String>,
    /// Name at the mail server.
    #[serde(default)]
    pub username: Option<String>,
    /// Telegram's chat, or GitHub's `owner/repository`.
    #[serde(default)]
    pub target: Option<String>,
    /// Sender of mail.
    #[serde(default)]
    pub from: Option<String>,
    /// Receivers of mail.
    #[serde(default)]
    pub to: Vec<String>,
    /// Secrets that sign, newest first.
    #[serde(default)]
    pub secrets: Vec<SigningSecret>,
    /// Seed of the Ed25519 key that signs besides (`whsk_…`).
    #[serde(default)]
    pub seed: Option<String>,
    /// Seeds that were replaced, and sign until they end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_seeds: Vec<SigningSecret>,
}

impl fmt::Debug for ChannelConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelConfig").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Drop for ChannelConfig {
    fn drop(&mut self) {
        self.url.zeroize();
        self.token.zeroize();
        self.seed.zeroize();
        self.secrets.iter_mut().chain(&mut self.former_seeds).for_each(|secret| secret.text.zeroize());
    }
}

impl ChannelConfig {
    /// Without anything but its address.
    pub fn new(kind: Kind, url: String) -> Self {
        Self {
            kind,
            url,
            token: None,
            username: None,
            target: None,
            from: None,
            to: Vec::new(),
            secrets: Vec::new(),
            seed: None,
            former_seeds: Vec::new(),
        }
    }

    /// Whether it can be used: at save, and again each time when it is opened. Texts never repeat the address.
    ///
    /// # Errors
    /// The first member that is not right, and what would be.
    pub fn validate(&self, policy: &AddressPolicy) -> Result<(), Error> {
        check_url(&self.url, self.kind, policy).map_err(|why| Error::invalid("url", why))?;
        for (field, value) in [("token", &self.token), ("username", &self.username), ("target", &self.target)]
        {
            if let Some(value) = value
                && (value.is_empty() || value.len() > TOKEN_BYTES_MAX || value.chars().any(char::is_control))
            {
                return Err(Error::invalid(
                    field,
                    format!("1 to {TOKEN_BYTES_MAX} bytes without control characters"),
                ));
            }
        }
        let needs = |field: &'static str, given: bool, why: &str| {
            if given { Ok(()) } else { Err(Error::invalid(field, why)) }
        };
        match self.kind {
            Kind::Telegram => {
                needs("token", self.token.is_some(), "the token of the bot")?;
                let token = self.token.as_deref().unwrap_or_default();
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_');
                needs(
                    "token",
                    token.chars().all(plain),
                    "letters, digits, `:`, `-` and `_`, as BotFather gives it",
                )?;
                needs("target", self.target.is_some(), "the id of the chat")?;
            }
            Kind::Github => {
                needs("token", self.token.is_some(), "a token that may write issues of the one repository")?;
                let target = self.target.as_deref().unwrap_or_default();
                needs("target", is_repository(target), "the repository as owner/name")?;
            }
            Kind::Mail => self.validate_mail()?,
            Kind::Ntfy => {
                let topic = Url::parse(&self.url).ok().and_then(|url| topic_of(&url));
                needs("url", topic.is_some(), "the address of the topic, such as https://ntfy.sh/my-topic")?;
            }
            _ => {}
        }
        let few = self.secrets.len() <= SECRETS_MAX && self.former_seeds.len() < SECRETS_MAX;
        needs("secrets", few, "two at most")
    }

    fn validate_mail(&self) -> Result<(), Error> {
        let mut wrong = Vec::new();
        let mut field = |name: &str, message: &str| {
            wrong.push(FieldError { field: name.to_owned(), message: message.to_owned() });
        };
        if !self.from.as_deref().is_some_and(is_mailbox) {
            field("from", "the sender's address, such as actifix@example.net");
        }
        if self.to.is_empty() || self.to.len() > RECEIVERS_MAX || !self.to.iter().all(|to| is_mailbox(to)) {
            field("to", "1 to 20 addresses, such as ops@example.net");
        }
        if self.username.is_some() != self.token.is_some() {
            field("token", "name and password of the mail server go together");
        }
        if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
    }

    /// What may be shown of the address: the host.
    pub fn place(&self) -> String {
        let host = Url::parse(&self.url).ok().and_then(|url| url.host_str().map(str::to_owned));
        match (host, self.kind, &self.target) {
            (Some(host), Kind::Github, Some(target)) => format!("{host}/{target}"),
            (Some(host), _, _) => format!("{host}/…"),
            (None, ..) => "…".to_owned(),
        }
    }

    /// Host and port, by which attempts under way are counted.
    pub fn host(&self) -> String {
        let url = Url::parse(&self.url).ok();
        url.and_then(|url| Some(format!("{}:{}", url.host_str()?, url.port_or_known_default().unwrap_or(0))))
            .unwrap_or_default()
    }
}

/// Server and topic of an address of ntfy.
pub(super) fn topic_of(url: &Url) -> Option<String> {
    let topic = url.path().trim_matches('/');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    (!topic.is_empty() && topic.len() <= 64 && topic.chars().all(plain)).then(|| topic.to_owned())
}

pub(crate) fn is_repository(text: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && part.len() <= 100
            && part != "."
            && part != ".."
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    text.split_once('/').is_some_and(|(owner, name)| plain(owner) && plain(name))
}

/// A plain address of mail: no name, no comment, no line break.
fn is_mailbox(text: &str) -> bool {
    let plain = |c: char| {
        c.is_ascii_graphic() && !matches!(c, '<' | '>' | '(' | ')' | ',' | ';' | ':' | '"' | '\\' | '[' | ']')
    };
    text.len() <= 254
        && text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && domain.contains('.')
                && !domain.starts_with('.')
                && !domain.contains('@')
                && text.chars().all(plain)
        })
}

/// Whether an address may be stored and used.
fn check_url(text: &str, kind: Kind, policy: &AddressPolicy) -> Result<(), String> {
    if text.is_empty() || text.len() > URL_BYTES_MAX {
        return Err(format!("1 to {URL_BYTES_MAX} bytes"));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("it holds blanks or control characters".to_owned());
    }
    let url = Url::parse(text).map_err(|_| "not an address: write it as https://host/path".to_owned())?;
    match (kind, url.scheme()) {
        (Kind::Mail, "smtp" | "smtps") => {}
        (Kind::Mail, _) => {
            return Err("smtp://host:587 (STARTTLS is required) or smtps://host:465".to_owned());
        }
        (_, "https") => {}
        _ => return Err("only https: what is sent must not be read on the way".to_owned()),
    }
    if !url.username().is_empty() || url.password().is_some() || authority(text).contains('@') {
        return Err("it names a user: give name and password or token apart".to_owned());
    }
    if url.fragment().is_some() {
        return Err("it holds a fragment (#), which is never sent".to_owned());
    }
    if url.port() == Some(0) {
        return Err("port 0 cannot be connected to".to_owned());
    }
    let private = || {
        Err("the host is not a public address: name its network in outbound.allow_private if it is meant"
            .to_owned())
    };
    // The parser has read octal, decimal and hexadecimal forms of addresses; of schemes other than http's it has not.
    let address = match url.host() {
        None => return Err("it names no host".to_owned()),
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        Some(Host::Domain(name)) => match Host::parse(name) {
            Ok(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Ok(Host::Domain(name)) => local_name(&name),
            _ => return Err("the host is not a name".to_owned()),
        },
    };
    match address {
        Some(address) if !policy.permits(address) => private(),
        _ => Ok(()),
    }
}

/// What stands between the slashes of an address and its path, as it was written: the parser drops a user without a name.
fn authority(text: &str) -> &str {
    let rest = text.split_once(':').map_or("", |(_, rest)| rest).trim_start_matches(['/', '\\']);
    rest.split(['/', '\\', '?', '#']).next().unwrap_or_default()
}

/// Names that mean this machine wherever they are asked for.
fn local_name(name: &str) -> Option<IpAddr> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    (name == "localhost" || name.ends_with(".localhost")).then_some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST))
}
