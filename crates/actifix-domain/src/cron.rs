//! Monitors: heartbeats of scheduled jobs (`check_in` items), when the next one is expected, and what its absence means.
//!
//! A pure state machine. The caller stores the state, asks [`MonitorState::deadline`] when to look again and opens or
//! counts the monitor's ticket for every [`Failure`] that comes out.

mod crontab;
mod schedule;

pub use crontab::{Crontab, CrontabError};
pub use schedule::{INTERVAL_MAX, MonitorConfig, Schedule, Unit, Zone};

use crate::id::EventId;
use crate::time::{MINUTE, SECOND, Timestamp};
use serde::{Deserialize, Serialize};

/// Longest duration that is believed, in seconds: a year.
const DURATION_SECONDS_MAX: f64 = 366.0 * 86_400.0;
/// How long before its time a check-in still counts as the expected one: clocks of two machines differ.
const EARLY_MAX_MICROS: i64 = MINUTE;

/// What a job says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckInStatus {
    /// It ran and is done.
    Ok,
    /// It has started.
    InProgress,
    /// It failed.
    Error,
}

impl CheckInStatus {
    /// From the word of the protocol; none for any other.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Ok, Self::InProgress, Self::Error].into_iter().find(|status| status.as_str() == text)
    }

    /// The word of the protocol.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::InProgress => "in_progress",
            Self::Error => "error",
        }
    }
}

/// Where a monitor stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MonitorStatus {
    /// Nothing was heard of it yet.
    #[default]
    Waiting,
    /// Its last run went well.
    Ok,
    /// It runs.
    InProgress,
    /// Its last run failed.
    Error,
    /// A run was expected and did not start.
    Missed,
    /// A run took longer than it may.
    Timeout,
}

impl MonitorStatus {
    /// The word used in JSON and SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Ok => "ok",
            Self::InProgress => "in_progress",
            Self::Error => "error",
            Self::Missed => "missed",
            Self::Timeout => "timeout",
        }
    }
}

/// One heartbeat.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckInFacts {
    /// What it says.
    pub status: CheckInStatus,
    /// Which run it is of.
    pub check_in_id: Option<EventId>,
    /// Seconds that the run took.
    pub duration_seconds: Option<f64>,
    /// Schedule and margins, when it brings them; otherwise those known stay.
    pub config: Option<MonitorConfig>,
}

/// A run that has started and not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its id, when the job gave one.
    pub check_in_id: Option<EventId>,
    /// When its start was received.
    pub started_at: Timestamp,
}

/// What is known of one monitor in one environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MonitorState {
    /// Where it stands.
    pub status: MonitorStatus,
    /// When it was last heard of.
    pub last_check_in: Option<Timestamp>,
    /// Seconds that the latest finished run took.
    pub duration_seconds: Option<f64>,
    /// The run going on; of several that overlap, the latest.
    pub run: Option<Run>,
    /// When the next run should start; none without a schedule.
    pub next_expected: Option<Timestamp>,
    /// Failures since the last good run.
    pub failures_in_row: u32,
    /// Schedule and margins.
    pub config: Option<MonitorConfig>,
}

/// Sort of failure; each is one event of the monitor's ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The job said so.
    Error,
    /// No run started in time.
    Missed,
    /// A run did not end in time.
    Timeout,
}

impl FailureKind {
    /// The word used in JSON and titles.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Missed => "missed",
            Self::Timeout => "timeout",
        }
    }
}

/// A failure of a monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Sort.
    pub kind: FailureKind,
    /// For a missed run when it should have started, for an overlong one when it started, else when it was reported.
    pub at: Timestamp,
}

impl Failure {
    /// Message of its event, without numbers that change from run to run.
    pub fn message(&self, slug: &str) -> String {
        match self.kind {
            FailureKind::Error => format!("Monitor {slug} reported an error"),
            FailureKind::Missed => format!("Monitor {slug} missed a run"),
            FailureKind::Timeout => format!("Monitor {slug} ran too long"),
        }
    }
}

impl MonitorState {
    /// Takes in one heartbeat received at `now`.
    pub fn on_check_in(&mut self, check_in: &CheckInFacts, now: Timestamp) -> Option<Failure> {
        let config_changed = check_in.config.is_some() && check_in.config != self.config;
        if let Some(config) = &check_in.config {
            self.config = Some(config.clone());
        }
        let continues = self.run.is_some_and(|run| match check_in.status {
            // Only an id tells a repeated start from the start of another run.
            CheckInStatus::InProgress => {
                check_in.check_in_id.is_some() && run.check_in_id == check_in.check_in_id
            }
            CheckInStatus::Ok | CheckInStatus::Error => {
                run.check_in_id.is_none()
                    || check_in.check_in_id.is_none()
                    || run.check_in_id == check_in.check_in_id
            }
        });
        // The end of a run that began in its slot says nothing about the next slot.
        if self.next_expected.is_none() || config_changed || !continues {
            self.next_expected = self.expected_after_start(now, config_changed);
        }
        self.last_check_in = Some(now);
        if check_in.status == CheckInStatus::InProgress {
            // A repeated start of the same run must not extend its time.
            if !continues {
                self.run = Some(Run { check_in_id: check_in.check_in_id, started_at: now });
            }
            self.status = MonitorStatus::InProgress;
            return None;
        }
        self.duration_seconds = duration(check_in.duration_seconds, self.run.filter(|_| continues), now);
        if continues {
            self.run = None;
        }
        if check_in.status == CheckInStatus::Ok {
            self.status = MonitorStatus::Ok;
            self.failures_in_row = 0;
            return None;
        }
        let failure = Failure { kind: FailureKind::Error, at: now };
        self.fail(failure);
        Some(failure)
    }

    /// The earliest time at which [`Self::due`] can have something to say; none while nothing is expected.
    pub fn deadline(&self) -> Option<Timestamp> {
        match (self.start_deadline(), self.run_deadline()) {
            (Some(start), Some(run)) => Some(start.min(run)),
            (start, run) => start.or(run),
        }
    }

    /// What has gone wrong by `now` without anyone saying so: a run that takes too long, or one that did not start.
    /// Changes nothing; [`Self::tick`] does.
    pub fn due(&self, now: Timestamp) -> Option<Failure> {
        if let (Some(run), Some(deadline)) = (self.run, self.run_deadline())
            && now > deadline
        {
            return Some(Failure { kind: FailureKind::Timeout, at: run.started_at });
        }
        match (self.next_expected, self.start_deadline()) {
            (Some(expected), Some(deadline)) if now > deadline => {
                Some(Failure { kind: FailureKind::Missed, at: expected })
            }
            _ => None,
        }
    }

    /// As [`Self::due`], and takes the failure in. However long nobody looked, runs that were missed meanwhile are one
    /// failure, and the next expected one lies in the future.
    pub fn tick(&mut self, now: Timestamp) -> Option<Failure> {
        let failure = self.due(now)?;
        match failure.kind {
            FailureKind::Timeout => self.run = None,
            FailureKind::Missed | FailureKind::Error => {
                self.next_expected = self.schedule_after(failure.at, now);
            }
        }
        self.fail(failure);
        Some(failure)
    }

    fn fail(&mut self, failure: Failure) {
        self.failures_in_row = self.failures_in_row.saturating_add(1);
        self.status = match failure.kind {
            FailureKind::Error => MonitorStatus::Error,
            FailureKind::Missed => MonitorStatus::Missed,
            FailureKind::Timeout => MonitorStatus::Timeout,
        };
    }

    fn start_deadline(&self) -> Option<Timestamp> {
        Some(self.next_expected?.plus(self.config.as_ref()?.margin_micros()))
    }

    fn run_deadline(&self) -> Option<Timestamp> {
        Some(self.run?.started_at.plus(self.config.as_ref()?.max_runtime_micros()))
    }

    /// When the run after one that starts at `now` is expected. One that comes a little early fills its slot, so
    /// that the slot is not missed a moment later.
    fn expected_after_start(&self, now: Timestamp, config_changed: bool) -> Option<Timestamp> {
        let config = self.config.as_ref()?;
        let slot = self.next_expected.filter(|expected| {
            !config_changed && config.fixed_slots() && expected.since(now) <= EARLY_MAX_MICROS
        });
        config.next_after(slot.map_or(now, |slot| slot.max(now)))
    }

    /// First expected time after `now`, for interval schedules counted on from the missed one.
    fn schedule_after(&self, missed: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let config = self.config.as_ref()?;
        config.next_after(missed).filter(|next| *next > now).or_else(|| config.next_after(now))
    }
}

/// Seconds of a run: as the job says, if that can be, else from its start to now.
fn duration(said: Option<f64>, run: Option<Run>, now: Timestamp) -> Option<f64> {
    let said = said.filter(|seconds| (0.0..=DURATION_SECONDS_MAX).contains(seconds));
    said.or_else(|| {
        let micros = now.since(run?.started_at).max(0);
        #[allow(clippy::cast_precision_loss)] // a run of 285 years would lose a microsecond
        let seconds = micros as f64 / SECOND as f64;
        Some(seconds)
    })
}

#[cfg(test)]
mod tests;
