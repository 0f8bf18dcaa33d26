//! Runs of a job that takes place once per tick, and the rule that says when the next is due. It is
//! plain data, but for the arithmetic of ticks.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::runtime::shown;
use crate::types::{Label, Owner};

/// The rule by which a run is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticks {
    /// The length of a tick.
    pub every: Duration,
    /// Where ticks begin.
    pub count: Count,
    /// Whether a run that failed leaves its tick to another.
    pub retry_failed: bool,
    /// The clock that counts.
    pub clock: TickClock,
}

/// Where the ticks of a job begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Count {
    /// At the multiples of the length since the beginning of 1970 (UTC).
    #[default]
    Grid,
    /// At the begin of the last run.
    LastRun,
}

/// The clock by which ticks are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TickClock {
    /// The store's own wall clock.
    #[default]
    Store,
    /// The time that a quorum proposes to all its nodes, so that they agree on the tick. A node
    /// refuses a proposal that is farther than this from its own clock.
    Proposed {
        /// Microseconds since 1970 (UTC).
        now: u64,
        /// The largest distance.
        within: Duration,
    },
}

/// A run of a job, as a store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The owner whose lease it was begun with.
    pub owner: Owner,
    /// The name for people.
    pub label: Label,
    /// When it was begun, in microseconds since 1970 (UTC). Of the runs of a key, this never goes
    /// back.
    pub begun: u64,
    /// The length of its tick. The record is kept for longer.
    pub every: Duration,
    /// Its end; `None` until its holder has told it.
    pub end: Option<RunEnd>,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEnd {
    /// How it went.
    pub outcome: Outcome,
    /// Time since it was begun.
    pub took: Duration,
}

/// How a run went, as its holder tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The work is done.
    Ok,
    /// The work failed. The text says why, in at most [`Label::MAX_BYTES`] bytes.
    Failed(Label),
}

/// The last run of a key, and the one before it for as long as the last may be withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runs {
    /// The last run.
    pub last: Run,
    /// The run before it, which is the last one again if that is withdrawn. `None` once the last
    /// one has ended.
    pub before: Option<Run>,
}

/// The last run of a key as people and programs see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRun {
    /// The owner whose lease it was begun with.
    pub owner: Owner,
    /// The label of the holder that runs or ran it.
    pub label: Label,
    /// When it was begun, by the clock of the store.
    pub begun: SystemTime,
    /// How it went.
    pub state: RunState,
    /// How long it took; `None` if its holder has not told its end.
    pub took: Option<Duration>,
}

/// The state of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunState {
    /// Its holder has the lease.
    Running,
    /// The work is done.
    Ok,
    /// The work failed, and the text says why.
    Failed(Label),
    /// Its lease has ended, and its holder has not told how it went: it died, lost the lock, or
    /// gave it back unfinished. This counts as failed.
    Unfinished,
}

impl Ticks {
    /// Whether a run that was begun at `begun` leaves room for another at `now`.
    pub(super) fn is_over(&self, begun: u64, now: u64) -> bool {
        let every = u64::try_from(self.every.as_micros()).unwrap_or(u64::MAX).max(1);
        match self.count {
            Count::Grid => now / every > begun / every,
            Count::LastRun => now >= begun.saturating_add(every),
        }
    }

    /// The time that counts; `None` if the proposal is too far from `wall`, the store's clock.
    pub(super) fn now(&self, wall: u64) -> Option<u64> {
        match self.clock {
            TickClock::Store => Some(wall),
            TickClock::Proposed { now, within } => {
                (u128::from(now.abs_diff(wall)) <= within.as_micros()).then_some(now)
            }
        }
    }
}

impl Run {
    /// When its tick is over at the latest, in microseconds since 1970 (UTC).
    pub(super) fn over_by(&self) -> u64 {
        self.begun.saturating_add(u64::try_from(self.every.as_micros()).unwrap_or(u64::MAX))
    }

    /// The run as it is shown.
    pub(super) fn view(&self, is_running: bool) -> LastRun {
        let state = match self.end.as_ref().map(|end| &end.outcome) {
            Some(Outcome::Ok) => RunState::Ok,
            Some(Outcome::Failed(why)) => RunState::Failed(why.clone()),
            None if is_running => RunState::Running,
            None => RunState::Unfinished,
        };
        LastRun {
            owner: self.owner.clone(),
            label: self.label.clone(),
            begun: SystemTime::UNIX_EPOCH + Duration::from_micros(self.begun),
            state,
            took: self.end.as_ref().map(|end| end.took),
        }
    }
}

impl Outcome {
    /// The work failed, and `why` says why. A text longer than [`Label::MAX_BYTES`] is cut, and
    /// control characters become `?`.
    pub fn failed(why: impl fmt::Display) -> Self {
        Self::Failed(Label::new(why.to_string()))
    }
}

/// A sentence for people: who began it, when (UTC), and how it ended.
impl fmt::Display for LastRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begun = self.begun.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        write!(f, "{} began it at {}, ", self.label, utc(begun.as_secs()))?;
        let took = shown(self.took.unwrap_or_default());
        match &self.state {
            RunState::Running => f.write_str("and is at it"),
            RunState::Ok => write!(f, "and was done after {took}"),
            RunState::Failed(why) => write!(f, "and failed after {took}: {why}"),
            RunState::Unfinished => f.write_str("and did not finish it"),
        }
    }
}

/// Date and time of day. (The date: Howard Hinnant, *chrono-Compatible Low-Level Date Algorithms*,
/// `civil_from_days`.)
fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{:02} UTC", second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_709_251_200, "2024-03-01 00:00:00 UTC"),
            (1_796_079_845, "2026-11-30 23:04:05 UTC"),
        ] {
            assert_eq!(utc(seconds), text);
        }
    }

    #[test]
    fn ticks_begin_on_the_grid_or_with_the_last_run() {
        let every = Duration::from_micros(100);
        let (retry_failed, clock) = (false, TickClock::Store);
        let over =
            |count, begun, now| Ticks { every, count, retry_failed, clock }.is_over(begun, now);
        assert!(!over(Count::Grid, 250, 299) && over(Count::Grid, 299, 300));
        assert!(!over(Count::Grid, 300, 299), "the clock was set back");
        assert!(!over(Count::LastRun, 250, 349) && over(Count::LastRun, 250, 350));
    }
}
