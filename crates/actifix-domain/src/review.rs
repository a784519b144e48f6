//! Regular reviews: when each of the guide's lists is due.
//!
//! Reckoned in UTC by the calendar, so that neither a change to summer time nor the end of a year moves a date.

use crate::time::{DAY, Timestamp};
use jiff::ToSpan;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Periods that are counted at most.
const MISSED_MAX: u32 = 1_000;

/// One of the guide's lists of maintenance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// Every 7 days.
    Weekly,
    /// Every calendar month.
    Monthly,
    /// Every third calendar month.
    Quarterly,
}

impl Period {
    /// All lists.
    pub const ALL: [Self; 3] = [Self::Weekly, Self::Monthly, Self::Quarterly];

    /// The word used in JSON, SQL and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Quarterly => "quarterly",
        }
    }

    /// When the `count`th review after one at `last` is due. A month without that day ends with its last one.
    pub fn due_after(self, last: Timestamp, count: u32) -> Timestamp {
        let months = match self {
            Self::Weekly => return last.plus(i64::from(count).saturating_mul(7 * DAY)),
            Self::Monthly => count,
            Self::Quarterly => count.saturating_mul(3),
        };
        let day = jiff::Timestamp::from_microsecond(last.micros()).ok();
        let due = day.and_then(|at| {
            at.to_zoned_datetime(jiff::tz::TimeZone::UTC)
                .checked_add(i32::try_from(months).ok()?.months())
                .ok()
        });
        due.map_or(last, |due| Timestamp::from_micros(due.timestamp().as_microsecond()))
    }

    /// Reviews that fell due since `last`: 0 while none is due, 1 when one is, more when some were left out. A clock that
    /// was turned back makes nothing due.
    pub fn due_since(self, last: Timestamp, now: Timestamp) -> u32 {
        (1..=MISSED_MAX)
            .take_while(|count| self.due_after(last, *count) <= now)
            .count()
            .try_into()
            .unwrap_or(MISSED_MAX)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Period {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|period| period.as_str() == text)
            .ok_or_else(|| "unknown period; one of weekly, monthly, quarterly".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[track_caller]
    fn check(period: Period, last: &str, now: &str, due: u32) {
        assert_eq!(period.due_since(at(last), at(now)), due, "{period} {last} {now}");
    }

    #[test]
    fn weeks_go_by_days_over_the_year_and_over_summer_time() {
        check(Period::Weekly, "2026-12-28T12:00:00Z", "2027-01-04T11:59:59Z", 0);
        check(Period::Weekly, "2026-12-28T12:00:00Z", "2027-01-04T12:00:00Z", 1);
        // In Europe the clocks were changed in between.
        check(Period::Weekly, "2026-10-24T00:30:00Z", "2026-10-31T00:29:59Z", 0);
        check(Period::Weekly, "2026-10-24T00:30:00Z", "2026-10-31T00:30:00Z", 1);
        check(Period::Weekly, "2026-01-01T00:00:00Z", "2026-01-29T00:00:00Z", 4);
    }

    #[test]
    fn months_and_quarters_go_by_the_calendar() {
        check(Period::Monthly, "2026-01-31T10:00:00Z", "2026-02-28T09:59:59Z", 0);
        check(Period::Monthly, "2026-01-31T10:00:00Z", "2026-02-28T10:00:00Z", 1);
        // Not a day earlier each month: March has its 31st again.
        check(Period::Monthly, "2026-01-31T10:00:00Z", "2026-03-30T10:00:00Z", 1);
        check(Period::Monthly, "2026-01-31T10:00:00Z", "2026-03-31T10:00:00Z", 2);
        check(Period::Monthly, "2028-01-31T00:00:00Z", "2028-02-29T00:00:00Z", 1);
        check(Period::Monthly, "2026-12-15T00:00:00Z", "2027-01-15T00:00:00Z", 1);
        check(Period::Quarterly, "2026-11-30T00:00:00Z", "2027-02-27T23:59:59Z", 0);
        check(Period::Quarterly, "2026-11-30T00:00:00Z", "2027-02-28T00:00:00Z", 1);
        check(Period::Quarterly, "2025-11-30T00:00:00Z", "2026-11-30T00:00:00Z", 4);
    }

    #[test]
    fn a_clock_that_was_turned_back_makes_nothing_due_and_an_endless_wait_ends() {
        check(Period::Weekly, "2026-06-01T00:00:00Z", "2025-06-01T00:00:00Z", 0);
        assert_eq!(
            Period::Weekly.due_since(Timestamp::from_micros(i64::MIN / 4), at("2026-06-01T00:00:00Z")),
            1_000
        );
        assert_eq!(Period::Monthly.due_since(at("1970-01-01T00:00:00Z"), at("2200-01-01T00:00:00Z")), 1_000);
    }
}
