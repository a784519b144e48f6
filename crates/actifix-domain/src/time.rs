//! Points in time as whole microseconds since the Unix epoch, UTC.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Microseconds in one second.
pub const SECOND: i64 = 1_000_000;
/// Microseconds in one minute.
pub const MINUTE: i64 = 60 * SECOND;
/// Microseconds in one hour.
pub const HOUR: i64 = 60 * MINUTE;
/// Microseconds in one day.
pub const DAY: i64 = 24 * HOUR;

/// A point in time, microseconds since 1970-01-01T00:00:00Z.
///
/// An integer keeps SQL, ordering and arithmetic exact; text is RFC 3339 with six digits and `Z`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Bounds of what can be printed: years -9999 to 9999.
const MICROS_MIN: i64 = -377_705_023_201_000_000;
const MICROS_MAX: i64 = 253_402_207_200_000_000;

impl Timestamp {
    /// From microseconds; clamped to the years -9999 to 9999 so that it can always be printed.
    pub const fn from_micros(micros: i64) -> Self {
        if micros < MICROS_MIN {
            Self(MICROS_MIN)
        } else if micros > MICROS_MAX {
            Self(MICROS_MAX)
        } else {
            Self(micros)
        }
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(SECOND)
    }

    /// The start of the UTC hour that holds this time, as hours since the epoch.
    pub const fn hour(self) -> i64 {
        self.0.div_euclid(HOUR)
    }

    /// Days since the epoch (UTC).
    pub const fn day(self) -> i64 {
        self.0.div_euclid(DAY)
    }

    /// This time moved by `micros` (may be negative), saturating.
    pub const fn plus(self, micros: i64) -> Self {
        Self::from_micros(self.0.saturating_add(micros))
    }

    /// `self - earlier` in microseconds, saturating.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// RFC 3339, as this program prints it (`2026-11-24T09:47:29.000000Z`).
    pub fn parse(text: &str) -> Option<Self> {
        let parsed: jiff::Timestamp = text.parse().ok()?;
        Some(Self::from_micros(parsed.as_microsecond()))
    }

    /// `YYYYMMDD` of the UTC day.
    pub fn yyyymmdd(self) -> String {
        let text = self.to_string();
        text.get(..10).unwrap_or("1970-01-01").replace('-', "")
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(ts) => write!(f, "{ts:.6}"),
            Err(_) => f.write_str("1970-01-01T00:00:00.000000Z"),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("expected an RFC 3339 time"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_parses_rfc3339_with_micros() {
        let t = Timestamp::from_micros(1_795_513_649_000_001);
        assert_eq!(t.to_string(), "2026-11-24T09:47:29.000001Z");
        assert_eq!(Timestamp::parse(&t.to_string()), Some(t));
        assert_eq!(t.yyyymmdd(), "20261124");
    }

    #[test]
    fn extremes_are_clamped_and_print() {
        for micros in [i64::MIN, i64::MAX, 0] {
            let t = Timestamp::from_micros(micros);
            assert_eq!(Timestamp::parse(&t.to_string()), Some(t), "{micros}");
        }
    }
}
