//! The sentry's clock and its one alarm. A sentry has no engine and no threads, so it reads
//! the clock of the machine itself: the same `CLOCK_BOOTTIME` that `tenure` counts deadlines
//! on, which is one clock for all processes of a host and goes on while the machine sleeps.

use std::io;
use std::time::{Duration, SystemTime};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec,
};
use tenure::runtime::Moment;

/// The moment now.
#[allow(clippy::disallowed_methods, reason = "the sentry is an edge of its own")]
pub(crate) fn now() -> Moment {
    let time = rustix::time::clock_gettime(ClockId::Boottime);
    Moment::from_micros(
        time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_nsec.unsigned_abs() / 1_000,
    )
}

/// The time of day now.
#[allow(clippy::disallowed_methods, reason = "for people and logs; nothing is decided by it")]
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}

/// A time as a log or a program reads it: RFC 3339, UTC, with milliseconds.
pub(crate) fn timestamp(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

/// A time of day for people: `12:00:31 UTC`.
pub(crate) fn time_of_day(at: SystemTime) -> String {
    let whole = humantime::format_rfc3339_seconds(at).to_string();
    format!("{} UTC", whole.get(11..19).unwrap_or(&whole))
}

/// Blocks the thread for a short time.
#[allow(clippy::disallowed_methods, reason = "where there is no runtime yet")]
pub(crate) fn sleep(span: Duration) {
    std::thread::sleep(span);
}

/// A file descriptor that becomes readable at the moment it is set to.
#[derive(Debug)]
pub(crate) struct Alarm(OwnedFd);

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        let clock = TimerfdClockId::Boottime;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self(rustix::time::timerfd_create(clock, flags)?))
    }

    /// Rings at `at`, at once if it has passed; never for `None`. Forgets what was set before.
    pub(crate) fn set(&self, at: Option<Moment>) -> io::Result<()> {
        // Zero means never.
        let micros = at.map_or(0, |at| at.as_micros().max(1));
        let it_value = Timespec {
            tv_sec: i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(micros % 1_000_000 * 1_000).unwrap_or(0),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        rustix::time::timerfd_settime(&self.0, TimerfdTimerFlags::ABSTIME, &once)?;
        Ok(())
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
