//! Which backups need not be kept. Each function answers with names; what it does not name stays.

use crate::ports::{BackupView, UpkeepRun};
use actifix_domain::clock::is_of_another_clock;
use actifix_domain::time::Timestamp;
use serde_json::json;
use std::collections::BTreeSet;

/// Newest backups that were found whole and are kept whatever the plan says: two may turn out to be of no use.
const WHOLE_KEPT_MIN: usize = 3;
/// Backups that could not be restored, newest first: whoever looks for the reason needs a few, and a disk that was full for a
/// day fits into a few hourly tries.
const UNRESTORABLE_KEPT_MAX: usize = 7;
/// Backups that were made under a clock that is not believed: as many as the plan keeps days by default.
pub(crate) const DOUBTED_KEPT_MAX: usize = 7;
/// Their bytes: two of a database that is as large as events may become by default.
const DOUBTED_BYTES_MAX: u64 = 20 << 30;
/// In the record of a backup that was made while the clock was not believed: the newest time that was.
pub(super) const BELIEVED: &str = "clock_believed_until";

/// What the configuration asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Days of which the newest is kept.
    pub(super) daily: u32,
    /// Weeks of which the newest is kept.
    pub(super) weekly: u32,
}

impl Plan {
    /// Without any number none is ever removed.
    pub(super) const fn keeps_all(self) -> bool {
        self.daily == 0 && self.weekly == 0
    }

    /// Names that need not be kept. The newest backup of each of the last days and weeks that have one stays, and so do the
    /// newest of all and the newest that were found whole. What a clock that was ahead has dated stays until then, and takes
    /// nobody's place.
    pub(super) fn surplus(self, newest_first: &[BackupView], now: Timestamp) -> Vec<String> {
        let newest_first: Vec<&BackupView> =
            newest_first.iter().filter(|view| !is_of_another_clock(view.file.created_at, now)).collect();
        let mut kept: BTreeSet<&str> = BTreeSet::new();
        let newest_of = |length: i64, many: u32, kept: &mut BTreeSet<_>| {
            let mut seen: BTreeSet<i64> = BTreeSet::new();
            for view in &newest_first {
                // 1970-01-01 was a Thursday; weeks begin on Mondays.
                let number =
                    (view.file.created_at.day() + if length == 7 { 3 } else { 0 }).div_euclid(length);
                if seen.len() < usize::try_from(many).unwrap_or(usize::MAX) && seen.insert(number) {
                    kept.insert(view.file.name.as_str());
                }
            }
        };
        newest_of(1, self.daily, &mut kept);
        newest_of(7, self.weekly, &mut kept);
        kept.extend(newest_first.first().map(|view| view.file.name.as_str()));
        let whole = newest_first.iter().filter(|view| view.verified_at.is_some() && view.problem.is_none());
        kept.extend(whole.take(WHOLE_KEPT_MIN).map(|view| view.file.name.as_str()));
        let rest = newest_first.iter().filter(|view| !kept.contains(view.file.name.as_str()));
        rest.map(|view| view.file.name.clone()).collect()
    }
}

/// Names of those that could not be restored, but for the newest few.
pub(super) fn unrestorable(newest_first: &[BackupView]) -> Vec<String> {
    let found = newest_first.iter().filter(|view| view.problem.is_some());
    found.skip(UNRESTORABLE_KEPT_MAX).map(|view| view.file.name.clone()).collect()
}

/// Backups that were made since the clock is not believed, and those that are dated after all that was (`mark`); the one
/// made last first. Their dates tell nothing about their order, and `latest_first` does.
pub(super) fn doubted<'v>(
    views: &'v [BackupView],
    latest_first: &[UpkeepRun],
    mark: Timestamp,
) -> Vec<&'v BackupView> {
    let place = |view: &BackupView| latest_first.iter().position(|run| run.target == view.file.name);
    let made_since = |view: &BackupView| {
        let run = place(view).and_then(|place| latest_first.get(place));
        run.is_some_and(|run| run.detail.get(BELIEVED) == Some(&json!(mark)))
    };
    let mut doubted: Vec<&BackupView> = (views.iter())
        .filter(|view| is_of_another_clock(view.file.created_at, mark) || made_since(view))
        .collect();
    doubted.sort_by_key(|view| place(view).unwrap_or(usize::MAX));
    doubted
}

/// Names of those that are too many or too large, of backups to which no age can be given. The one made last stays, the
/// last that were found whole, and the first of these: it is nearest to the moment when the clock leapt.
pub(super) fn too_many(latest_first: &[&BackupView]) -> Vec<String> {
    let whole = || {
        let of = |view: &BackupView| view.verified_at.is_some() && view.problem.is_none();
        latest_first.iter().enumerate().filter(move |(_, view)| of(view)).map(|(place, _)| place)
    };
    let mut kept: BTreeSet<usize> = whole().take(WHOLE_KEPT_MIN).chain(whole().next_back()).collect();
    kept.insert(0);
    let size = |place: usize| latest_first.get(place).map_or(0, |view| view.file.size);
    let mut bytes: u64 = kept.iter().map(|place| size(*place)).sum();
    for place in 0..latest_first.len() {
        if kept.contains(&place) {
            continue;
        }
        bytes = bytes.saturating_add(size(place));
        if kept.len() >= DOUBTED_KEPT_MAX || bytes > DOUBTED_BYTES_MAX {
            break;
        }
        kept.insert(place);
    }
    let rest = latest_first.iter().enumerate().filter(|(place, _)| !kept.contains(place));
    rest.map(|(_, view)| view.file.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::{BackupFile, UpkeepKind};
    use actifix_domain::time::{DAY, HOUR};

    const START: i64 = 20_000 * DAY;
    const NOW: Timestamp = Timestamp::from_micros(START);

    fn at(hours_ago: i64, verified: bool) -> BackupView {
        let created_at = Timestamp::from_micros(START - hours_ago * HOUR);
        BackupView {
            file: BackupFile { name: format!("b{hours_ago:04}"), size: 1, created_at },
            verified_at: verified.then_some(created_at),
            problem: None,
        }
    }

    fn broken(hours_ago: i64) -> BackupView {
        BackupView { problem: Some("damaged".into()), ..at(hours_ago, false) }
    }

    fn plan(daily: u32, weekly: u32) -> Plan {
        Plan { daily, weekly }
    }

    #[test]
    fn seven_days_and_four_weeks_are_kept() {
        // Two a day, for 60 days.
        let all: Vec<BackupView> = (0..120).map(|half| at(half * 12 + 1, true)).collect();
        let gone = plan(7, 4).surplus(&all, NOW);
        let kept: Vec<i64> = all
            .iter()
            .filter(|view| !gone.contains(&view.file.name))
            .map(|view| (START - view.file.created_at.micros()) / HOUR)
            .collect();
        // The last one is of a Thursday; that of the Sunday before is among the days, those of two more Sundays follow. The
        // one of 13 hours ago is the third that was found whole.
        assert_eq!(kept, [1, 13, 25, 49, 73, 97, 121, 145, 265, 433]);
    }

    #[test]
    fn what_is_needed_never_goes() {
        assert_eq!(plan(1, 1).surplus(&[], NOW), Vec::<String>::new());
        assert!(plan(0, 0).keeps_all() && !plan(0, 1).keeps_all(), "0 and 0 is all");
        // The newest cannot be restored: the newest three that can are kept beyond the plan.
        let mut broken = at(1, true);
        broken.problem = Some("damaged".into());
        let list = [broken, at(2, false), at(3, true), at(4, true), at(5, true), at(6, true)];
        assert_eq!(plan(1, 0).surplus(&list, NOW), ["b0002", "b0006"]);
    }

    #[test]
    fn what_a_clock_that_was_ahead_has_dated_stays_and_takes_no_place() {
        let ahead: Vec<BackupView> = (1..=8).rev().map(|days| at(-1_000 - days * 24, true)).collect();
        let list: Vec<BackupView> =
            ahead.into_iter().chain((0..5).map(|days| at(days * 24 + 1, true))).collect();
        assert_eq!(plan(4, 0).surplus(&list, NOW), ["b0097"], "of those that are dated rightly, the fifth");
    }

    #[test]
    fn of_those_that_cannot_be_restored_the_newest_few_stay_and_of_others_all() {
        let list: Vec<BackupView> =
            (0..20).map(|hour| if hour % 2 == 0 { broken(hour) } else { at(hour, hour == 1) }).collect();
        assert_eq!(unrestorable(&list), ["b0014", "b0016", "b0018"]);
    }

    fn made(name: &str, believed: Option<Timestamp>) -> UpkeepRun {
        let detail = believed.map_or_else(|| json!({}), |mark| json!({ BELIEVED: mark }));
        UpkeepRun {
            kind: UpkeepKind::Backup,
            target: name.to_owned(),
            started_at: NOW,
            finished_at: NOW,
            ok: true,
            detail,
        }
    }

    #[test]
    fn what_is_doubted_is_told_by_its_record_or_by_a_date_after_all_that_was_believed() {
        let mark = NOW.plus(-10 * HOUR);
        // Made in this order: a day ago, then under a clock that went back two years, then under one that is ahead, then by
        // one that went back again; the last two of a former time that is over, and of nobody who noted it.
        let views =
            [at(24, true), at(17_000, true), at(-900, true), at(17_001, true), at(300, true), at(-50, true)];
        let believed_then = NOW.plus(-400 * HOUR);
        let runs = [
            made("b17001", Some(mark)),
            made("b-900", Some(mark)),
            made("b17000", Some(mark)),
            made("b0024", None),
            made("b0300", Some(believed_then)),
        ];
        let names: Vec<&str> =
            doubted(&views, &runs, mark).iter().map(|view| view.file.name.as_str()).collect();
        assert_eq!(names, ["b17001", "b-900", "b17000", "b-050"], "the one made last is first");
    }

    #[track_caller]
    fn kept(latest_first: &[BackupView]) -> Vec<&str> {
        let list: Vec<&BackupView> = latest_first.iter().collect();
        let gone = too_many(&list);
        let names = latest_first.iter().map(|view| view.file.name.as_str());
        names.filter(|name| !gone.iter().any(|gone| gone == name)).collect()
    }

    #[test]
    fn of_what_has_no_age_the_last_ones_and_the_first_whole_one_stay() {
        let many: Vec<BackupView> = (0..40).map(|hour| at(hour, (1..38).contains(&hour))).collect();
        assert_eq!(kept(&many), ["b0000", "b0001", "b0002", "b0003", "b0004", "b0005", "b0037"]);
        let none_tried: Vec<BackupView> = (0..40).map(|hour| at(hour, false)).collect();
        assert_eq!(kept(&none_tried), ["b0000", "b0001", "b0002", "b0003", "b0004", "b0005", "b0006"]);
        let mut broken_since: Vec<BackupView> = (0..30).map(broken).collect();
        broken_since.extend((30..40).map(|hour| at(hour, true)));
        assert_eq!(kept(&broken_since), ["b0000", "b0001", "b0002", "b0030", "b0031", "b0032", "b0039"]);
        assert_eq!(kept(&many[..5]).len(), 5);
        assert_eq!(too_many(&[]), Vec::<String>::new());
    }

    #[test]
    fn large_ones_are_fewer_and_the_needed_ones_stay_whatever_their_size() {
        let of = |gib: u64| {
            let mut list: Vec<BackupView> = (0..7).map(|hour| at(hour, true)).collect();
            list.iter_mut().for_each(|view| view.file.size = gib << 30);
            list
        };
        assert_eq!(kept(&of(2)).len(), 7);
        assert_eq!(kept(&of(4)), ["b0000", "b0001", "b0002", "b0003", "b0006"]);
        assert_eq!(kept(&of(50)), ["b0000", "b0001", "b0002", "b0006"]);
    }
}
