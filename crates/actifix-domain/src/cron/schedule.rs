//! Schedule and margins of a monitor, as an SDK sends them in `monitor_config`.

use super::Crontab;
use crate::time::{MINUTE, Timestamp};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Span, civil};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use std::sync::LazyLock;

/// Largest number of units between two runs.
pub const INTERVAL_MAX: u32 = 10_000;
/// Longest margin and run time, in minutes: 31 days.
pub const MINUTES_MAX: u32 = 44_640;
/// Margin when none is sent, in minutes.
pub const MARGIN_DEFAULT_MINUTES: u32 = 1;
/// Longest run when none is sent, in minutes.
pub const MAX_RUNTIME_DEFAULT_MINUTES: u32 = 30;
/// Longest name of a zone, in bytes.
const ZONE_BYTES_MAX: usize = 64;

/// The zone database inside the program: a lookup does no I/O, and does not depend on the machine.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Unit of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// A day of the zone.
    Day,
    /// Seven days.
    Week,
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
}

impl Unit {
    /// All units.
    pub const ALL: [Self; 6] = [Self::Minute, Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    /// The word of the protocol.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

/// When a job runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// At the times that an expression names.
    Crontab(Crontab),
    /// A time after the run before.
    Interval {
        /// How many, 1 to [`INTERVAL_MAX`].
        value: u32,
        /// Of what.
        unit: Unit,
    },
}

/// An IANA time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// UTC.
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// By its IANA name (`Europe/Berlin`); none if there is no such zone.
    pub fn parse(name: &str) -> Option<Self> {
        if name.len() > ZONE_BYTES_MAX {
            return None;
        }
        ZONES.get(name).ok().map(Self)
    }

    /// Its IANA name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The wall clock at `time`.
    pub(super) fn local(&self, time: Timestamp) -> Option<civil::DateTime> {
        Some(self.0.to_datetime(jiff::Timestamp::from_microsecond(time.micros()).ok()?))
    }

    /// The instant at which the wall clock shows `local`: after a gap, and the first of two.
    pub(super) fn instant(&self, local: civil::DateTime) -> Option<Timestamp> {
        let instant = self.0.to_ambiguous_timestamp(local).compatible().ok()?;
        Some(Timestamp::from_micros(instant.as_microsecond()))
    }
}

/// Schedule and margins of a monitor. Its JSON form is the protocol's `monitor_config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitorConfig {
    /// When it runs.
    pub schedule: Schedule,
    /// How late it may start, in minutes.
    pub checkin_margin: u32,
    /// How long it may take, in minutes.
    pub max_runtime: u32,
    /// Zone of the schedule.
    pub zone: Zone,
}

impl MonitorConfig {
    /// From a `monitor_config` as SDKs send it. Margins that are missing or odd take their defaults.
    ///
    /// # Errors
    /// A sentence, when the schedule or the zone cannot be understood: a wrong guess would cry wolf.
    pub fn from_value(value: &Value) -> Result<Self, String> {
        let schedule = value.get("schedule").ok_or("monitor_config has no schedule")?;
        let field = schedule.get("value").ok_or("the schedule has no value")?;
        let schedule = match schedule.get("type").and_then(Value::as_str) {
            Some("crontab") => {
                let text = field.as_str().ok_or("a crontab schedule must be a text")?;
                Schedule::Crontab(text.parse().map_err(|error: super::CrontabError| error.to_string())?)
            }
            Some("interval") => {
                let value = field
                    .as_u64()
                    .and_then(|value| u32::try_from(value).ok())
                    .filter(|value| (1..=INTERVAL_MAX).contains(value))
                    .ok_or("an interval must be a number from 1 to 10,000")?;
                let word = schedule.get("unit").and_then(Value::as_str).unwrap_or("");
                let unit = Unit::ALL
                    .into_iter()
                    .find(|unit| unit.as_str() == word)
                    .ok_or("the unit must be minute, hour, day, week, month or year")?;
                Schedule::Interval { value, unit }
            }
            _ => return Err("the schedule's type must be crontab or interval".to_owned()),
        };
        let zone = match value.get("timezone") {
            None | Some(Value::Null) => Zone::utc(),
            Some(name) => name
                .as_str()
                .and_then(Zone::parse)
                .ok_or("the timezone is no IANA name such as Europe/Berlin")?,
        };
        let minutes = |key: &str, default: u32| {
            let sent = value.get(key).and_then(Value::as_u64).and_then(|minutes| u32::try_from(minutes).ok());
            sent.map_or(default, |minutes| minutes.min(MINUTES_MAX))
        };
        Ok(Self {
            schedule,
            checkin_margin: minutes("checkin_margin", MARGIN_DEFAULT_MINUTES),
            max_runtime: minutes("max_runtime", MAX_RUNTIME_DEFAULT_MINUTES).max(1),
            zone,
        })
    }

    /// The protocol's form.
    pub fn to_value(&self) -> Value {
        let schedule = match &self.schedule {
            Schedule::Crontab(crontab) => json!({"type": "crontab", "value": crontab.to_string()}),
            Schedule::Interval { value, unit } => {
                json!({"type": "interval", "value": value, "unit": unit.as_str()})
            }
        };
        json!({
            "schedule": schedule,
            "checkin_margin": self.checkin_margin,
            "max_runtime": self.max_runtime,
            "timezone": self.zone.name(),
        })
    }

    /// When the run after one at `time` is expected.
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        match &self.schedule {
            Schedule::Crontab(crontab) => crontab.next_after(time, &self.zone),
            Schedule::Interval { value, unit } => {
                let value = i64::from(*value);
                let span = match unit {
                    Unit::Minute => return Some(time.plus(value.saturating_mul(MINUTE))),
                    Unit::Hour => return Some(time.plus(value.saturating_mul(60 * MINUTE))),
                    Unit::Day => Span::new().try_days(value),
                    Unit::Week => Span::new().try_weeks(value),
                    Unit::Month => Span::new().try_months(value),
                    Unit::Year => Span::new().try_years(value),
                };
                self.zone.instant(self.zone.local(time)?.checked_add(span.ok()?).ok()?)
            }
        }
    }

    /// Whether runs have fixed places in time, rather than following the run before.
    pub(super) const fn fixed_slots(&self) -> bool {
        matches!(self.schedule, Schedule::Crontab(_))
    }

    pub(super) fn margin_micros(&self) -> i64 {
        i64::from(self.checkin_margin).saturating_mul(MINUTE)
    }

    pub(super) fn max_runtime_micros(&self) -> i64 {
        i64::from(self.max_runtime).saturating_mul(MINUTE)
    }
}

impl Serialize for MonitorConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for MonitorConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(&Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
