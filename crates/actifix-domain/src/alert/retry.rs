//! When a delivery that failed is tried again.

use crate::time::{HOUR, SECOND};
use serde::{Deserialize, Serialize};

/// First upper bound of the delay, microseconds; four times as long with each failure in a row, so that eight attempts reach
/// over a restart of the receiver as well as over an hour or two.
const DELAY_MICROS_BASE: i64 = 5 * SECOND;
/// Longest delay of our own choice, microseconds.
pub const DELAY_MICROS_MAX: i64 = HOUR;
/// Longest delay that a receiver may ask for, microseconds.
const RETRY_AFTER_MICROS_MAX: i64 = 6 * HOUR;
/// Longest wait of any kind: a time that lies further off was written by a clock that was ahead.
pub const WAIT_MICROS_MAX: i64 = RETRY_AFTER_MICROS_MAX;
/// Failures in a row after which the channel counts as unreachable and only one probe at a time is sent.
pub const BREAKER_STREAK: u32 = 5;
/// Attempts at a message; then it is given up, and a person may send it again.
pub const ATTEMPTS_MAX: u32 = 8;
/// Attempts at a message that the receiver says is wrong.
pub const ATTEMPTS_OF_REFUSED_MAX: u32 = 3;
/// Age at which a message that could not be delivered is given up, microseconds.
pub const DELIVERY_AGE_MICROS_MAX: i64 = 24 * HOUR;

/// Why an attempt failed. Words of ours; nothing of the address, the answer or the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The address is not https, or not a public one and not allowed.
    Forbidden,
    /// The name has no address, or no answer came in time.
    Dns,
    /// No connection.
    Connect,
    /// The handshake failed: the receiver speaks no TLS, or nothing that both know, or its certificate is of no use for
    /// another reason than those below.
    Tls,
    /// The certificate has expired, or is not valid yet.
    TlsExpired,
    /// The certificate is for another name.
    TlsName,
    /// Nobody who is trusted vouches for the certificate.
    TlsUnknownIssuer,
    /// Nobody but the certificate itself vouches for it.
    TlsSelfSigned,
    /// The deadline passed.
    Timeout,
    /// The connection broke before a whole answer.
    Broken,
    /// What came is no answer of the protocol, or larger than allowed.
    Protocol,
    /// A redirect; none is followed.
    Redirect,
    /// The receiver says that it does not want any more (410).
    Gone,
    /// The receiver asks for less (429).
    RateLimited,
    /// The receiver or what stands before it is in trouble (5xx, 408).
    Unavailable,
    /// The receiver says that the message is wrong (other 4xx).
    Refused,
    /// The stored address or secret cannot be used.
    Unusable,
}

impl Failure {
    /// The word used in JSON, SQL and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::TlsExpired => "tls_expired",
            Self::TlsName => "tls_name",
            Self::TlsUnknownIssuer => "tls_unknown_issuer",
            Self::TlsSelfSigned => "tls_self_signed",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Protocol => "protocol",
            Self::Redirect => "redirect",
            Self::Gone => "gone",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
            Self::Unusable => "unusable",
        }
    }

    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Forbidden,
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::TlsExpired,
        Self::TlsName,
        Self::TlsUnknownIssuer,
        Self::TlsSelfSigned,
        Self::Timeout,
        Self::Broken,
        Self::Protocol,
        Self::Redirect,
        Self::Gone,
        Self::RateLimited,
        Self::Unavailable,
        Self::Refused,
        Self::Unusable,
    ];

    /// The same for people: what happened, and what to do.
    pub const fn says(self) -> &'static str {
        match self {
            Self::Forbidden => {
                "its address is not https or not a public one: allow its network in outbound.allow_private"
            }
            Self::Dns => "its name has no address, or none was told in time: look at the name and at DNS",
            Self::Connect => "no connection: look at its port and at firewalls",
            Self::Tls => "the TLS handshake failed: look whether it speaks TLS 1.2 or 1.3 on this port",
            Self::TlsExpired => "its certificate has expired or is not valid yet: renew it, or set the clock",
            Self::TlsName => "its certificate is for another name: use the name of the certificate",
            Self::TlsUnknownIssuer => {
                "nobody who is trusted signed its certificate, or a part of the chain is missing: send the whole chain, or name the authority in outbound.extra_ca"
            }
            Self::TlsSelfSigned => {
                "its certificate signed itself: name it in outbound.extra_ca, or get one of an authority"
            }
            Self::Timeout => "no whole answer within outbound.timeout_seconds: look whether it is overloaded",
            Self::Broken => "the connection broke off before a whole answer",
            Self::Protocol => "what it answered is no HTTP, or too large: look at the address",
            Self::Redirect => "it leads elsewhere, where nothing is sent: use the address it leads to",
            Self::Gone => "it wants no more messages (410): make a new address there",
            Self::RateLimited => "it asks for less (429): messages wait as long as it says",
            Self::Unavailable => "it is in trouble: messages wait and are tried again",
            Self::Refused => {
                "it says that the message is wrong: look at kind, address, and token of the channel"
            }
            Self::Unusable => {
                "its stored address or secret cannot be used: remove the channel and add it anew"
            }
        }
    }

    /// What a status other than 2xx means.
    pub const fn of_status(status: u16) -> Self {
        match status {
            300..=399 => Self::Redirect,
            410 => Self::Gone,
            429 => Self::RateLimited,
            408 | 425 | 500..=599 => Self::Unavailable,
            400..=499 => Self::Refused,
            _ => Self::Protocol,
        }
    }

    /// Whether the message rather than the way is at fault, so that trying it often is of no use.
    pub const fn is_of_message(self) -> bool {
        matches!(self, Self::Refused)
    }
}

/// What a word of the log of deliveries says to people; none for words of other releases.
pub fn explain(word: &str) -> Option<&'static str> {
    match word {
        "expired" => Some("it waited a day without an attempt: the channel was off, or the server was"),
        "overflow" => Some("too many waited for this channel: the oldest were given up"),
        _ => Failure::ALL.into_iter().find(|failure| failure.as_str() == word).map(Failure::says),
    }
}

/// Microseconds until the next attempt: a random part of a bound that grows four times as long with the failures in a row (full
/// jitter), and not less than what the receiver asked for. `random` is any number from the generator.
pub fn delay_micros(streak: u32, random: u64, retry_after_seconds: Option<u64>) -> i64 {
    let grown = DELAY_MICROS_BASE.saturating_mul(1_i64 << (2 * streak.saturating_sub(1).min(10)));
    let bound = grown.min(DELAY_MICROS_MAX);
    let span = u64::try_from(bound - SECOND).unwrap_or(1).max(1);
    let jitter = SECOND + i64::try_from(random % span).unwrap_or(0);
    let asked = retry_after_seconds.map_or(0, |seconds| {
        i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(SECOND).min(RETRY_AFTER_MICROS_MAX)
    });
    jitter.max(asked)
}
