//! Debug ids: what a build writes into a script and its source map, so that the two find each other again.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A debug id: a UUID in any spelling. Shown in lower case with hyphens, as build tools print it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DebugId(pub [u8; 16]);

/// Digits of a UUID.
const DIGITS: usize = 32;

impl FromStr for DebugId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "a debug id has 32 hex digits, such as 6d891456-7828-5945-acf5-88acbfe016af";
        let (mut bytes, mut many) = ([0u8; 16], 0);
        for digit in text.trim().bytes().filter(|byte| *byte != b'-') {
            let value =
                char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok()).ok_or(WRONG)?;
            // What native programs append, the age of a build, says nothing for scripts.
            if many == DIGITS {
                break;
            }
            if let Some(byte) = bytes.get_mut(many / 2) {
                *byte = *byte << 4 | value;
            }
            many += 1;
        }
        if many == DIGITS { Ok(Self(bytes)) } else { Err(WRONG) }
    }
}

impl fmt::Display for DebugId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            if matches!(place, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl Serialize for DebugId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DebugId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_the_same_id() {
        let shown = "6d891456-7828-5945-acf5-88acbfe016af";
        for text in [
            shown,
            "6D89145678285945ACF588ACBFE016AF",
            " 6d891456-7828-5945-acf5-88acbfe016af-0",
            "6d89145678285945acf588acbfe016af1",
        ] {
            assert_eq!(text.parse::<DebugId>().unwrap().to_string(), shown, "{text}");
        }
        for wrong in ["", "6d89", "6d891456-7828-5945-acf5-88acbfe016ag", "../../etc/passwd", "é"] {
            assert!(wrong.parse::<DebugId>().is_err(), "{wrong}");
        }
    }
}
