//! When a delivery that failed is tried again.

use crate::time::{HOUR, SECOND};
use serde::{Deserialize, Serialize};

/// First upper bound of the delay, microseconds; doubles with each failure in a row.
const DELAY_MICROS_BASE: i64 = 5 * SECOND;
/// Longest delay of our own choice, microseconds.
pub const DELAY_MICROS_MAX: i64 = HOUR;
/// Longest delay that a receiver may ask for, microseconds.
const RETRY_AFTER_MICROS_MAX: i64 = 6 * HOUR;
/// Longest wait of any kind: a time that lies further off was written by a clock that was ahead.
pub const WAIT_MICROS_MAX: i64 = RETRY_AFTER_MICROS_MAX;
/// Failures in a row after which the channel counts as unreachable and only one probe at a time is sent.
pub const BREAKER_STREAK: u32 = 5;
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
    /// The handshake failed, or the certificate is not good for the name.
    Tls,
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

    /// Whether the message rather than the way is at fault, so that trying it for a day is of no use.
    pub const fn is_of_message(self) -> bool {
        matches!(self, Self::Refused)
    }
}

/// Microseconds until the next attempt: a random part of a bound that doubles with the failures in a row (full
/// jitter), and not less than what the receiver asked for. `random` is any number from the generator.
pub fn delay_micros(streak: u32, random: u64, retry_after_seconds: Option<u64>) -> i64 {
    let doubled = DELAY_MICROS_BASE.saturating_mul(1_i64 << streak.saturating_sub(1).min(20));
    let bound = doubled.min(DELAY_MICROS_MAX);
    let span = u64::try_from(bound - SECOND).unwrap_or(1).max(1);
    let jitter = SECOND + i64::try_from(random % span).unwrap_or(0);
    let asked = retry_after_seconds.map_or(0, |seconds| {
        i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(SECOND).min(RETRY_AFTER_MICROS_MAX)
    });
    jitter.max(asked)
}
