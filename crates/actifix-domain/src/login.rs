//! Attempts to log in: how many are looked at, and what failing costs.
//!
//! An attempt is counted before it is looked at, and as a failure: of many at once none can slip by while the others
//! are still being looked at. How it ended corrects that afterwards. Times are wall time, since counts outlive the
//! process; a clock that was put back is never the reason for a longer wait.

use crate::time::{MINUTE, SECOND, Timestamp};

/// Failures in a row that close an account, or what stands for it, until somebody opens it again. NIST SP 800-63B-4
/// lets at most so many be tried.
pub const FAILURES_MAX: u32 = 100;
/// Longest wait that failures cost, seconds.
pub const WAIT_SECONDS_MAX: i64 = 300;
/// Most attempts a minute that can be told exactly.
pub const PER_MINUTE_MAX: u32 = 600;

/// Whose attempts are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LoginKind {
    /// Passwords of an account, from devices that it does not know.
    Account,
    /// Passwords of a name that nobody has. It is treated as an account, so that nobody can tell.
    Name,
    /// Passwords of an account from a device that logged in before.
    Device,
    /// Passwords from a client's network, whatever account they are for.
    Network,
    /// The password of somebody who is logged in and must give it again.
    Session,
    /// Second factors of an account, from devices that it does not know.
    Code,
    /// Second factors of an account from a device that logged in before.
    DeviceCode,
}

impl LoginKind {
    /// All kinds.
    pub const ALL: [Self; 7] =
        [Self::Account, Self::Name, Self::Device, Self::Network, Self::Session, Self::Code, Self::DeviceCode];

    /// The number that stands for it where it is kept.
    pub const fn number(self) -> u8 {
        match self {
            Self::Account => 1,
            Self::Name => 2,
            Self::Device => 3,
            Self::Network => 4,
            Self::Session => 5,
            Self::Code => 6,
            Self::DeviceCode => 7,
        }
    }

    /// Failures in a row that cost no wait yet. Many people may share a network.
    const fn free(self) -> u32 {
        match self {
            Self::Network => 20,
            _ => 5,
        }
    }

    /// Longest wait, seconds. An account that was unlocked must not wait long for what others of its network did.
    const fn wait_seconds_max(self) -> i64 {
        match self {
            Self::Network => 60,
            _ => WAIT_SECONDS_MAX,
        }
    }

    /// Whether its count must outlast any flood of others: it is what closes an account.
    pub const fn is_kept(self) -> bool {
        matches!(self, Self::Account | Self::Code)
    }
}

/// What is counted of one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoginCounter {
    /// Attempts of the last minute, oldest first.
    pub attempts: Vec<Timestamp>,
    /// Failures in a row.
    pub failures: u32,
    /// The last attempt.
    pub last: Timestamp,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginEnd {
    /// It was right: failures are forgotten.
    Right,
    /// It was right, which says nothing about the others of the same network: this one was no failure.
    Passed,
    /// It was not looked at.
    Unseen,
}

impl LoginCounter {
    /// Microseconds until the next attempt may be made; 0 is now.
    pub fn wait(&self, kind: LoginKind, per_minute: u32, now: Timestamp) -> i64 {
        let limit = usize::try_from(per_minute.clamp(1, PER_MINUTE_MAX)).unwrap_or(1);
        let recent = self.recent(now);
        let minute = match recent.len().checked_sub(limit).and_then(|place| recent.get(place)) {
            Some(first) => MINUTE - now.since(*first),
            None => 0,
        };
        // What lies ahead was written before the clock was put back.
        let since = now.since(self.last).max(0);
        let pause = pause(self.failures.saturating_sub(kind.free())).min(kind.wait_seconds_max() * SECOND);
        minute.max(pause - since).max(0)
    }

    /// Counts an attempt that is about to be looked at, as a failure until it is known to be none.
    pub fn charge(&mut self, now: Timestamp) {
        self.attempts = self.recent(now);
        self.attempts.push(now);
        self.failures = self.failures.saturating_add(1);
        self.last = now;
    }

    /// Corrects the count when it is known how an attempt ended.
    pub fn settle(&mut self, end: LoginEnd) {
        match end {
            LoginEnd::Right => self.failures = 0,
            LoginEnd::Passed => self.failures = self.failures.saturating_sub(1),
            LoginEnd::Unseen => {
                self.failures = self.failures.saturating_sub(1);
                self.attempts.pop();
            }
        }
    }

    /// Attempts of the last minute. What lies ahead was written before the clock was put back, and counts as now.
    fn recent(&self, now: Timestamp) -> Vec<Timestamp> {
        self.attempts.iter().map(|at| (*at).min(now)).filter(|at| now.since(*at) < MINUTE).collect()
    }
}

/// The wait after so many failures beyond the free ones: 2 s, 4 s, 8 s and so on.
fn pause(failures: u32) -> i64 {
    match failures {
        0 => 0,
        more => (1i64 << more.min(20)).min(WAIT_SECONDS_MAX) * SECOND,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::HOUR;

    const NOW: Timestamp = Timestamp::from_micros(1_795_513_649_000_000);

    fn at(micros: i64) -> Timestamp {
        NOW.plus(micros)
    }

    /// Attempts that are let in when one is made at each of these times, all of which fail or all of which are right.
    #[track_caller]
    fn let_in(end: Option<LoginEnd>, kind: LoginKind, per_minute: u32, times: &[i64]) -> Vec<i64> {
        let mut counter = LoginCounter::default();
        let mut seen = Vec::new();
        for time in times {
            if counter.wait(kind, per_minute, at(*time)) == 0 {
                counter.charge(at(*time));
                if let Some(end) = end {
                    counter.settle(end);
                }
                seen.push(*time);
            }
        }
        seen
    }

    #[test]
    fn waits_grow_with_failures_and_end() {
        let wait = |failures| {
            LoginCounter { failures, last: NOW, ..LoginCounter::default() }.wait(LoginKind::Account, 10, NOW)
        };
        assert_eq!([0, 5, 6, 7, 8].map(wait), [0, 0, 2, 4, 8].map(|seconds| seconds * SECOND));
        assert_eq!(wait(u32::MAX), WAIT_SECONDS_MAX * SECOND);
        let network = LoginCounter { failures: 20, last: NOW, ..LoginCounter::default() };
        assert_eq!(network.wait(LoginKind::Network, 10, NOW), 0, "many people share a network");
        assert_eq!(network.wait(LoginKind::Account, 10, NOW), WAIT_SECONDS_MAX * SECOND);
    }

    #[test]
    fn a_minute_is_exact_wherever_it_begins() {
        let right = Some(LoginEnd::Right);
        let times: Vec<i64> = (0..40).map(|tick| tick * 3 * SECOND).collect();
        let seen = let_in(right, LoginKind::Account, 10, &times);
        for from in &times {
            let within = seen.iter().filter(|time| (*from..from + MINUTE).contains(time)).count();
            assert!(within <= 10, "{within} in the minute from {from}");
        }
        assert_eq!(seen.len(), 20);
        assert_eq!(let_in(right, LoginKind::Account, 10, &[0; 50]).len(), 10);
    }

    #[test]
    fn who_fails_at_once_many_times_is_slowed_before_any_of_it_is_known_to_fail() {
        assert_eq!(let_in(None, LoginKind::Account, 10, &[0; 50]).len(), 6);
        assert_eq!(let_in(None, LoginKind::Network, 10, &[0; 50]).len(), 10);
        // Over a day, the waits leave few.
        let every_second: Vec<i64> = (0..24 * 3_600).map(|second| second * SECOND).collect();
        let seen = let_in(None, LoginKind::Account, 10, &every_second).len();
        assert!((250..310).contains(&seen), "{seen}");
    }

    #[test]
    fn what_ended_otherwise_is_no_failure() {
        let mut counter = LoginCounter { failures: 50, ..LoginCounter::default() };
        counter.charge(NOW);
        counter.settle(LoginEnd::Passed);
        assert_eq!((counter.failures, counter.attempts.len()), (50, 1));
        counter.charge(NOW);
        counter.settle(LoginEnd::Unseen);
        assert_eq!((counter.failures, counter.attempts.len()), (50, 1));
        counter.charge(NOW);
        counter.settle(LoginEnd::Right);
        assert_eq!((counter.failures, counter.attempts.len()), (0, 2));
    }

    #[test]
    fn a_clock_that_was_put_back_locks_nobody_out() {
        let mut counter = LoginCounter::default();
        (0..10).for_each(|_| counter.charge(at(2 * HOUR)));
        counter.settle(LoginEnd::Right);
        assert!(counter.wait(LoginKind::Account, 10, NOW) <= MINUTE, "not two hours");
        let mut failed = LoginCounter { failures: 30, last: at(2 * HOUR), ..LoginCounter::default() };
        assert_eq!(failed.wait(LoginKind::Account, 10, NOW), WAIT_SECONDS_MAX * SECOND);
        failed.charge(NOW);
        assert_eq!(failed.wait(LoginKind::Account, 10, at(WAIT_SECONDS_MAX * SECOND)), 0);
    }
}
