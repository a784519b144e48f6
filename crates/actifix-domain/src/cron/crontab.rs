//! Five-field crontab expressions and the next time that they name.

use super::Zone;
use crate::time::Timestamp;
use jiff::civil::{Date, date};
use std::fmt;
use std::str::FromStr;

/// Longest expression, in bytes.
const EXPRESSION_BYTES_MAX: usize = 256;
/// Days that are searched: 29 February lies at most 8 years ahead (1896 to 1904, 2096 to 2104).
const DAYS_AHEAD_MAX: u32 = 8 * 366 + 1;
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Why a text is no crontab expression. Words of ours only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a crontab expression: {0}")]
pub struct CrontabError(&'static str);

/// `minute hour day-of-month month day-of-week`, or `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`,
/// `@yearly`, `@annually`.
///
/// A field is `*`, a value, `a-b`, each with `/step`, or a list of these; months and weekdays also by their English
/// three letters; weekday 0 and 7 are Sunday. When both day fields are restricted, either one is enough (POSIX).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crontab {
    text: String,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    either_day: bool,
}

impl Crontab {
    /// First time after `after` that it names, on the wall clock of `zone`. None if there is none in the years that
    /// a clock can show.
    ///
    /// A time that the start of summer time skips comes later by the gap; one that its end repeats comes once.
    pub fn next_after(&self, after: Timestamp, zone: &Zone) -> Option<Timestamp> {
        let local = zone.local(after)?;
        let mut day = local.date();
        // Minutes of the first day that lie before `after` are skipped by comparing the results, since the wall clock
        // does not always go forward.
        for _ in 0..DAYS_AHEAD_MAX {
            if self.names_day(day)
                && let Some(time) = self.first_of_day(day, after, zone)
            {
                return Some(time);
            }
            day = day.tomorrow().ok()?;
        }
        None
    }

    fn first_of_day(&self, day: Date, after: Timestamp, zone: &Zone) -> Option<Timestamp> {
        // At most 24 × 60 candidates; hours wholly in the past are passed over by their last minute.
        for hour in ones(self.hours) {
            if zone.instant(day.at(hour, 59, 0, 0)).is_some_and(|end| end <= after) {
                continue;
            }
            for minute in ones(self.minutes) {
                if let Some(time) = zone.instant(day.at(hour, minute, 0, 0))
                    && time > after
                {
                    return Some(time);
                }
            }
        }
        None
    }

    fn names_day(&self, day: Date) -> bool {
        let has = |mask: u64, bit: i8| mask & bit_of(u32::from(bit.unsigned_abs())) != 0;
        let by_month = has(self.days, day.day());
        let by_week = has(self.weekdays, day.weekday().to_sunday_zero_offset());
        has(self.months, day.month())
            && if self.either_day { by_month || by_week } else { by_month && by_week }
    }
}

impl FromStr for Crontab {
    type Err = CrontabError;

    fn from_str(text: &str) -> Result<Self, CrontabError> {
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(CrontabError("longer than 256 bytes"));
        }
        let text = text.trim();
        let expression = match text {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            other => other,
        };
        let mut fields = expression.split_ascii_whitespace();
        let mut next = || fields.next().ok_or(CrontabError("fewer than five fields"));
        let (minute, hour, day, month, weekday) = (next()?, next()?, next()?, next()?, next()?);
        if fields.next().is_some() {
            return Err(CrontabError("more than five fields"));
        }
        let weekdays = field(weekday, 0, 7, &WEEKDAYS, 0)?;
        let crontab = Self {
            text: text.to_owned(),
            minutes: field(minute, 0, 59, &[], 0)?,
            hours: field(hour, 0, 23, &[], 0)?,
            days: field(day, 1, 31, &[], 0)?,
            months: field(month, 1, 12, &MONTHS, 1)?,
            weekdays: (weekdays | (weekdays >> 7)) & 0x7f,
            either_day: !is_star(day) && !is_star(weekday),
        };
        if !crontab.happens() {
            return Err(CrontabError("no such day in any year"));
        }
        Ok(crontab)
    }
}

impl Crontab {
    fn happens(&self) -> bool {
        let mut day = date(2024, 1, 1);
        for _ in 0..DAYS_AHEAD_MAX {
            if self.names_day(day) {
                return true;
            }
            match day.tomorrow() {
                Ok(next) => day = next,
                Err(_) => return false,
            }
        }
        false
    }
}

impl fmt::Display for Crontab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_star(field: &str) -> bool {
    field.starts_with(['*', '?'])
}

const fn bit_of(number: u32) -> u64 {
    if number < 64 { 1 << number } else { 0 }
}

/// Numbers of the bits that are set, ascending; they are hours or minutes.
fn ones(mask: u64) -> impl Iterator<Item = i8> {
    (0..60_i8).filter(move |number| mask & bit_of(u32::from(number.unsigned_abs())) != 0)
}

fn field(text: &str, min: u32, max: u32, names: &[&str], first_name: u32) -> Result<u64, CrontabError> {
    let mut mask = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(number(step).ok_or(CrontabError("a step is no number"))?)),
            None => (part, None),
        };
        if step == Some(0) {
            return Err(CrontabError("a step is 0"));
        }
        let value = |text: &str| {
            let named = names.iter().zip(first_name..).find(|(name, _)| name.eq_ignore_ascii_case(text));
            let value = named.map(|(_, value)| value).or_else(|| number(text));
            value.filter(|value| (min..=max).contains(value)).ok_or(CrontabError("a value is out of range"))
        };
        let (from, to) = if range == "*" || range == "?" {
            // 7 is Sunday again; a star with a step must not meet it twice.
            (min, if max == 7 { 6 } else { max })
        } else if let Some((from, to)) = range.split_once('-') {
            (value(from)?, value(to)?)
        } else {
            let from = value(range)?;
            (from, if step.is_some() { max } else { from })
        };
        if from > to {
            return Err(CrontabError("a range ends before it starts"));
        }
        let step = usize::try_from(step.unwrap_or(1)).unwrap_or(usize::MAX);
        mask |= (from..=to).step_by(step).fold(0, |mask, number| mask | bit_of(number));
    }
    Ok(mask)
}

fn number(text: &str) -> Option<u32> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}
