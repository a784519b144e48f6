//! Points in time as other people's programs write them (`ingest.md` §10.1).
//!
//! Own parser, because senders leave out the zone, use a space for `T`, or send numbers as text; one that
//! insists on RFC 3339 would put all of these at the time of receipt.

use actifix_domain::time::{DAY, HOUR, MINUTE, SECOND, Timestamp};
use serde_json::Value;

/// Numbers beyond this are milliseconds, not seconds: 1e11 s is the year 5138.
const SECONDS_MAX: f64 = 1e11;
/// Longest text looked at, in bytes; RFC 3339 with nine digits has 35.
const TEXT_BYTES_MAX: usize = 64;

/// Reads any of the forms of §10.1: RFC 3339 with or without zone (then UTC), with `T` or a space, Unix seconds
/// as integer, float or text, milliseconds when the number exceeds 1e11. Digits below the microsecond are cut.
pub fn parse(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Some(from_whole(whole)),
            None => from_unix(number.as_f64()?),
        },
        Value::String(text) => parse_text(text),
        _ => None,
    }
}

/// [`parse`] for text.
pub fn parse_text(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return None;
    }
    if let Some(found) = civil(text.as_bytes()) {
        return Some(found);
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Some(from_whole(whole));
    }
    from_unix(text.parse().ok()?)
}

fn from_whole(whole: i64) -> Timestamp {
    let unit = if whole.unsigned_abs() > 100_000_000_000 { SECOND / 1_000 } else { SECOND };
    Timestamp::from_micros(whole.saturating_mul(unit))
}

fn from_unix(number: f64) -> Option<Timestamp> {
    if !number.is_finite() {
        return None;
    }
    let seconds = if number.abs() > SECONDS_MAX { number / 1e3 } else { number };
    // `as` saturates, and so does `from_micros`: no number is out of range.
    Some(Timestamp::from_micros((seconds * 1e6).round() as i64))
}

/// What is left of a text while it is read from the left.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// Exactly `count` digits.
    fn digits(&mut self, count: usize) -> Option<i64> {
        let (head, tail) = self.0.split_at_checked(count)?;
        let mut number = 0i64;
        for byte in head {
            if !byte.is_ascii_digit() {
                return None;
            }
            number = number * 10 + i64::from(byte - b'0');
        }
        self.0 = tail;
        Some(number)
    }

    /// One byte out of `choices`, if it is next.
    fn one_of(&mut self, choices: &[u8]) -> Option<u8> {
        let (first, tail) = self.0.split_first()?;
        choices.contains(first).then(|| {
            self.0 = tail;
            *first
        })
    }

    /// Digits after the decimal point as microseconds; any number of them, six count.
    fn fraction(&mut self) -> Option<i64> {
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        let micros =
            head.iter().chain(std::iter::repeat(&b'0')).take(6).fold(0, |n, b| n * 10 + i64::from(b - b'0'));
        (count > 0).then_some(micros)
    }

    /// Offset from UTC in microseconds; nothing is UTC.
    fn zone(&mut self) -> Option<i64> {
        while self.one_of(b" ").is_some() {}
        if matches!(self.0, b"" | b"Z" | b"z" | b"UTC" | b"GMT") {
            return Some(0);
        }
        let sign = if self.one_of(b"+-")? == b'-' { -1 } else { 1 };
        let hours = self.digits(2)?;
        self.one_of(b":");
        let minutes = if self.0.is_empty() { 0 } else { self.digits(2)? };
        (self.0.is_empty() && hours < 24 && minutes < 60).then_some(sign * (hours * HOUR + minutes * MINUTE))
    }
}

/// `2026-11-24[T10:00[:00[.123]]][zone]`.
fn civil(text: &[u8]) -> Option<Timestamp> {
    let mut reader = Reader(text);
    let year = reader.digits(4)?;
    reader.one_of(b"-")?;
    let month = reader.digits(2)?;
    reader.one_of(b"-")?;
    let day = reader.digits(2)?;
    if !(1..=12).contains(&month) || day < 1 || day > days_of(year, month) {
        return None;
    }
    let midnight = days_from_epoch(year, month, day) * DAY;
    if reader.one_of(b"Tt ").is_none() {
        return reader.0.is_empty().then(|| Timestamp::from_micros(midnight));
    }
    let hour = reader.digits(2)?;
    reader.one_of(b":")?;
    let minute = reader.digits(2)?;
    let (mut second, mut micros) = (0, 0);
    if reader.one_of(b":").is_some() {
        second = reader.digits(2)?;
        if reader.one_of(b".,").is_some() {
            micros = reader.fraction()?;
        }
    }
    // 60: a leap second, which Unix time counts as the next one.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let local = midnight + hour * HOUR + minute * MINUTE + second * SECOND + micros;
    Some(Timestamp::from_micros(local - reader.zone()?))
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date of the Gregorian calendar; years start in March, so that the leap day is last.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let in_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + in_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_form_of_the_same_moment_is_read() {
        let expected = "2026-11-24T10:00:00.000000Z";
        for value in [
            json!("2026-11-24T10:00:00Z"),
            json!("2026-11-24t10:00:00z"),
            json!("2026-11-24T10:00:00"),
            json!("2026-11-24 10:00:00"),
            json!("2026-11-24 10:00:00 UTC"),
            json!("2026-11-24T10:00"),
            json!("2026-11-24T10:00:00.000000000Z"),
            json!("2026-11-24T12:00:00+02:00"),
            json!("2026-11-24T12:00:00+0200"),
            json!("2026-11-24T12:00:00 +02"),
            json!("2026-11-24T04:30:00-05:30"),
            json!(" 2026-11-24T10:00:00Z "),
            json!(1_795_514_400),
            json!(1_795_514_400.0),
            json!("1795514400"),
            json!("1795514400.0"),
            json!(1_795_514_400_000_i64),
            json!(1_795_514_400_000.0),
            json!("1795514400000"),
        ] {
            assert_eq!(parse(&value).map(|t| t.to_string()).as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn digits_below_a_second_are_kept_to_the_microsecond() {
        for (value, end) in [
            (json!("2026-11-24T10:00:00.1Z"), "00.100000Z"),
            (json!("2026-11-24T10:00:00.123456789Z"), "00.123456Z"),
            (json!("2026-11-24 10:00:00,988"), "00.988000Z"),
            (json!(1_795_514_400.4767113), "00.476711Z"),
            (json!(1_795_514_400_123_i64), "00.123000Z"),
        ] {
            let text = parse(&value).unwrap().to_string();
            assert!(text.ends_with(end), "{value} → {text}");
        }
        assert_eq!(parse(&json!("2024-02-29")).unwrap().to_string(), "2024-02-29T00:00:00.000000Z");
        assert_eq!(parse(&json!("1969-12-31T23:59:60Z")).unwrap().micros(), 0);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for value in [
            json!(null),
            json!(true),
            json!([]),
            json!(""),
            json!("garbage"),
            json!("NaN"),
            json!("inf"),
            json!("[redacted:card]"),
            json!("2026-13-01T00:00:00Z"),
            json!("2026-02-29T00:00:00Z"),
            json!("2026-11-24T25:00:00Z"),
            json!("2026-11-24T10:00:00.Z"),
            json!("2026-11-24T10:00:00Zürich"),
            json!("2026-11-24T10:00:00+99:00"),
        ] {
            assert_eq!(parse(&value), None, "{value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_the_printer(micros in -62_135_596_800_000_000_i64..253_402_207_200_000_000) {
            let time = Timestamp::from_micros(micros);
            proptest::prop_assert_eq!(parse_text(&time.to_string()), Some(time));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = parse_text(&text);
        }
    }
}
