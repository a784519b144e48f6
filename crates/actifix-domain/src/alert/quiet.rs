//! Hours of a day in which nothing is said, by a clock on the wall of somewhere.

use crate::ticket::Priority;
use crate::time::{MINUTE, Timestamp};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;
/// Minutes that are looked ahead for the end: two days, so that any shift of the clock is passed.
const AHEAD_MINUTES: i64 = 2 * 24 * 60;

/// What [`DailyHours`] look like, as a regular expression; a zone has besides to exist.
pub const HOURS_PATTERN: &str =
    "^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]( [A-Za-z0-9_+/-]{1,64})?$";

/// `22:00-07:00 Europe/Berlin`; without a zone UTC. May cross midnight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DailyHours {
    /// Minute of the day, included.
    from: u16,
    /// Minute of the day, not included.
    until: u16,
    zone: String,
}

/// Hours in which a rule holds back what it has to say, and tells it in one digest afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// When.
    pub hours: DailyHours,
    /// What is at least this urgent is said at once.
    #[serde(default)]
    pub except: Option<Priority>,
}

impl DailyHours {
    /// Whether `now` lies within them.
    pub fn contain(&self, now: Timestamp) -> bool {
        let minute = self.minute(now);
        if self.from < self.until {
            (self.from..self.until).contains(&minute)
        } else {
            minute >= self.from || minute < self.until
        }
    }

    /// The first full minute after `now` that lies outside.
    pub fn end_after(&self, now: Timestamp) -> Timestamp {
        let start = Timestamp::from_micros(now.micros().div_euclid(MINUTE) * MINUTE);
        (1..=AHEAD_MINUTES)
            .map(|ahead| start.plus(ahead * MINUTE))
            .find(|at| !self.contain(*at))
            .unwrap_or_else(|| start.plus(AHEAD_MINUTES * MINUTE))
    }

    /// Minute of the day on that wall.
    fn minute(&self, now: Timestamp) -> u16 {
        let zone = TimeZone::get(&self.zone).unwrap_or(TimeZone::UTC);
        let Ok(instant) = jiff::Timestamp::from_microsecond(now.micros()) else { return 0 };
        let wall = zone.to_datetime(instant);
        u16::try_from(i32::from(wall.hour()) * 60 + i32::from(wall.minute())).unwrap_or(0)
    }
}

impl FromStr for DailyHours {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "write it as 22:00-07:00, or with a time zone as in 22:00-07:00 Europe/Berlin";
        let (hours, zone) = text.split_once(' ').unwrap_or((text, "UTC"));
        let (from, until) = hours.split_once('-').ok_or(FORM)?;
        let (from, until) = (minute_of(from).ok_or(FORM)?, minute_of(until).ok_or(FORM)?);
        if from == until {
            return Err("from and until are the same: leave quiet hours out, or disable the rule".to_owned());
        }
        if zone.len() > 64 || TimeZone::get(zone).is_err() {
            return Err("unknown time zone: use a name such as Europe/Berlin or UTC".to_owned());
        }
        Ok(Self { from, until, zone: zone.to_owned() })
    }
}

fn minute_of(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hour) || !digits(minute) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (hour < 24 && minute < 60).then_some((hour * 60 + minute) % DAY_MINUTES)
}

impl fmt::Display for DailyHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock = |minute: u16| (minute / 60, minute % 60);
        let ((from_hour, from_minute), (until_hour, until_minute)) = (clock(self.from), clock(self.until));
        write!(f, "{from_hour:02}:{from_minute:02}-{until_hour:02}:{until_minute:02} {}", self.zone)
    }
}

impl TryFrom<String> for DailyHours {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<DailyHours> for String {
    fn from(hours: DailyHours) -> Self {
        hours.to_string()
    }
}
