//! Names of backups: when one was begun, and four random bytes, so that two of one moment do not meet.

use actifix_domain::time::Timestamp;

/// Before the time.
const PREFIX: &str = "actifix-";
/// After the random part.
const SUFFIX: &str = ".tar.zst.age";

/// `actifix-20261130T154501.123456Z-1a2b3c4d.tar.zst.age`
pub(super) fn make(at: Timestamp, random: [u8; 4]) -> String {
    let time = at.to_string().replace(['-', ':'], "");
    format!("{PREFIX}{time}-{}{SUFFIX}", hex::encode(random))
}

/// When a backup of this name was begun; none if it is no name of a backup.
pub fn created_at(name: &str) -> Option<Timestamp> {
    let (time, random) = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.split_once('-')?;
    let (date, clock) = time.split_once('T')?;
    let part = |text: &str, from: usize, to: usize| text.get(from..to).map(str::to_owned);
    let text = format!(
        "{}-{}-{}T{}:{}:{}",
        part(date, 0, 4)?,
        part(date, 4, 6)?,
        date.get(6..)?,
        part(clock, 0, 2)?,
        part(clock, 2, 4)?,
        clock.get(4..)?
    );
    let at = Timestamp::parse(&text)?;
    let bytes: [u8; 4] = u32::from_str_radix(random, 16).ok()?.to_be_bytes();
    // Only exactly what `make` makes: such a name is no path and no option.
    (make(at, bytes) == name).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_time_and_others_are_none() {
        let at = Timestamp::parse("2026-11-30T15:45:01.123456Z").unwrap();
        let name = make(at, [0x1a, 0x2b, 0x3c, 0x4d]);
        assert_eq!(name, "actifix-20261130T154501.123456Z-1a2b3c4d.tar.zst.age");
        assert_eq!(created_at(&name), Some(at));
        for wrong in [
            "",
            "actifix.db",
            "actifix-20261130T154501.123456Z-1a2b3c4d.tar.zst",
            "actifix-20261130T154501.123456Z-1A2B3C4D.tar.zst.age",
            "actifix-20261130T154501Z-1a2b3c4d.tar.zst.age",
            "../actifix-20261130T154501.123456Z-1a2b3c4d.tar.zst.age",
            ".actifix-20261130T154501.123456Z-1a2b3c4d.tar.zst.age.part",
            "actifix-20261330T154501.123456Z-1a2b3c4d.tar.zst.age",
            "actifix-öö",
        ] {
            assert_eq!(created_at(wrong), None, "{wrong}");
        }
    }
}
