//! The alarm clock of Linux: a timerfd of `CLOCK_BOOTTIME`, which rings as soon as the machine
//! wakes up.

use std::io;

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use super::Moment;

#[derive(Debug)]
pub(super) struct AlarmClock {
    timer: OwnedFd,
}

impl AlarmClock {
    pub(super) fn new() -> io::Result<Self> {
        let clock = TimerfdClockId::Boottime;
        Ok(Self { timer: rustix::time::timerfd_create(clock, TimerfdFlags::CLOEXEC)? })
    }

    /// Lets it ring at `at`, and not at the moment that was set before.
    pub(super) fn set(&self, at: Moment) {
        // A value of zero would disarm the timer.
        let micros = at.0.max(1);
        let value = Timespec {
            tv_sec: i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(micros % 1_000_000 * 1_000).unwrap_or(0),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once)
            .expect("a timerfd takes any absolute time");
    }

    /// Waits until it rings, or a little less: the caller looks at the time.
    pub(super) fn wait(&self) {
        let mut count = [0; 8];
        match rustix::io::read(&self.timer, &mut count) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => unreachable!("a timerfd of our own can be read: {e}"),
        }
    }
}
