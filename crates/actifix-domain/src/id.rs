//! Identities. Each is a type of its own, parsed once at the edge, so that no text from a client is ever
//! used as a path, a key or SQL.

use crate::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// Why a text is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {what}: expected {expected}")]
pub struct IdError {
    /// Which kind of id was expected.
    pub what: &'static str,
    /// What it looks like.
    pub expected: &'static str,
}

/// Decimal number of a project; the last path segment of its DSN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProjectId(pub i64);

impl fmt::Display for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for ProjectId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        const ERR: IdError = IdError { what: "project id", expected: "1 to 18 decimal digits" };
        if text.is_empty() || text.len() > 18 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ERR);
        }
        text.parse().map(Self).map_err(|_| ERR)
    }
}

/// Public part of a DSN: 1 to 64 of `A-Za-z0-9_` (ours are 32 lower-case hex).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PublicKey(String);

impl PublicKey {
    /// The key's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PublicKey {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let fine =
            (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !fine {
            return Err(IdError { what: "ingest key", expected: "1 to 64 letters, digits or `_`" });
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// 16 bytes shown as 32 lower-case hex digits.
macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for byte in self.0 {
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_hex16(text)
                    .map(Self)
                    .ok_or(IdError { what: $what, expected: "32 hex digits, hyphens allowed" })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hex_id!(
    /// Identity of one event within its project; 32 hex, or 36 with hyphens, any case on input.
    EventId,
    "event id"
);
hex_id!(
    /// Grouping key of an event: the first 16 bytes of SHA-256 (`actifix-group/1`).
    Fingerprint,
    "fingerprint"
);

impl EventId {
    /// With hyphens in the places of a UUID, as minidump clients expect it.
    pub fn hyphenated(self) -> String {
        let hex = self.to_string();
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
    }
}

fn parse_hex16(text: &str) -> Option<[u8; 16]> {
    let mut out = [0u8; 16];
    let mut digits = 0usize;
    let hyphenated = text.len() == 36;
    if !hyphenated && text.len() != 32 {
        return None;
    }
    for (place, byte) in text.bytes().enumerate() {
        if hyphenated && matches!(place, 8 | 13 | 18 | 23) {
            if byte != b'-' {
                return None;
            }
            continue;
        }
        let value = char::from(byte).to_digit(16)?;
        let slot = out.get_mut(digits / 2)?;
        *slot = (*slot << 4) | u8::try_from(value).ok()?;
        digits += 1;
    }
    (digits == 32).then_some(out)
}

/// Crockford's base 32 alphabet: no I, L, O, U.
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Identity of a ticket: `ACT-YYYYMMDD-XXXXX` with five Crockford base 32 digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct TicketId(String);

impl TicketId {
    /// The id for a new ticket. Derived from project, fingerprint, day and attempt, so that it needs no
    /// random source; the store raises `attempt` when the id is taken.
    pub fn derive(project: ProjectId, fingerprint: Fingerprint, created: Timestamp, attempt: u32) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"actifix-ticket-id/1");
        hash.update(project.0.to_be_bytes());
        hash.update(fingerprint.0);
        hash.update(created.day().to_be_bytes());
        hash.update(attempt.to_be_bytes());
        let digest = hash.finalize();
        let tail: String = digest
            .iter()
            .take(5)
            .filter_map(|byte| CROCKFORD.get(usize::from(byte & 31)))
            .map(|b| char::from(*b))
            .collect();
        Self(format!("ACT-{}-{tail}", created.yyyymmdd()))
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TicketId {
    type Err = IdError;
    /// Case-insensitive; `I`, `L` read as 1 and `O` as 0, as Crockford asks.
    fn from_str(text: &str) -> Result<Self, IdError> {
        const ERR: IdError = IdError { what: "ticket id", expected: "ACT-YYYYMMDD-XXXXX" };
        let upper = text.trim().to_ascii_uppercase();
        let (day, tail) = upper.strip_prefix("ACT-").and_then(|rest| rest.split_once('-')).ok_or(ERR)?;
        let tail = tail.replace(['I', 'L'], "1").replace('O', "0");
        let fine = day.len() == 8
            && day.bytes().all(|b| b.is_ascii_digit())
            && tail.len() == 5
            && tail.bytes().all(|b| CROCKFORD.contains(&b));
        if fine { Ok(Self(format!("ACT-{day}-{tail}"))) } else { Err(ERR) }
    }
}

impl<'de> Deserialize<'de> for TicketId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_ids_are_read_in_both_forms_and_any_case() {
        let plain: EventId = "A1B2c3d4e5f60718293a4b5c6d7e8f90".parse().unwrap();
        let hyphens: EventId = "a1b2c3d4-e5f6-0718-293a-4b5c6d7e8f90".parse().unwrap();
        assert_eq!(plain, hyphens);
        assert_eq!(plain.to_string(), "a1b2c3d4e5f60718293a4b5c6d7e8f90");
        assert_eq!(plain.hyphenated(), "a1b2c3d4-e5f6-0718-293a-4b5c6d7e8f90");
        for bad in [
            "",
            "a1b2",
            "../../etc/passwd",
            "a1b2c3d4e5f60718293a4b5c6d7e8f9g",
            "a1b2c3d4+e5f6-0718-293a-4b5c6d7e8f90",
        ] {
            assert!(bad.parse::<EventId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ticket_ids_have_the_documented_form_and_read_leniently() {
        let id = TicketId::derive(
            ProjectId(1),
            Fingerprint([7; 16]),
            Timestamp::from_micros(1_795_513_649_000_000),
            0,
        );
        assert!(id.as_str().starts_with("ACT-20261124-"));
        assert_eq!(id.as_str().len(), 18);
        assert_eq!(id.as_str().to_lowercase().parse::<TicketId>().unwrap(), id);
        assert!("ACT-2026112-ABCDE".parse::<TicketId>().is_err());
        assert!("ACT-20261124-ABCDU".parse::<TicketId>().is_err());
    }

    #[test]
    fn project_ids_are_decimal_only() {
        assert_eq!("42".parse::<ProjectId>().unwrap(), ProjectId(42));
        for bad in ["", "-1", "+1", "1e3", "0x1", "9999999999999999999"] {
            assert!(bad.parse::<ProjectId>().is_err(), "{bad}");
        }
    }
}
