//! The alarm clock of a system without timerfd. Its waits end early if the machine sleeps and the
//! wait does not count that, so it waits in slices and looks at the clock after each.

use std::io;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::{Moment, now};

/// Maximum time that the alarm is late after the machine has slept.
const SLICE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct AlarmClock {
    /// The moment at which it rings. A blocking mutex: it is held for a store or a load only.
    at: Mutex<Moment>,
    is_changed: Condvar,
}

impl AlarmClock {
    #[allow(clippy::unnecessary_wraps, reason = "Linux has a timer that may be refused")]
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { at: Mutex::new(Moment::NEVER), is_changed: Condvar::new() })
    }

    /// Lets it ring at `at`, and not at the moment that was set before.
    pub(super) fn set(&self, at: Moment) {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = at;
        self.is_changed.notify_one();
    }

    /// Waits until it rings. It rings once.
    pub(super) fn wait(&self) {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = at.since(now());
            if left.is_zero() {
                *at = Moment::NEVER;
                return;
            }
            let slice = if *at == Moment::NEVER { left } else { left.min(SLICE) };
            let waited = self.is_changed.wait_timeout(at, slice);
            at = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_rings_at_its_moment_also_if_it_is_set_to_an_earlier_one() {
        let clock = AlarmClock::new().expect("a clock");
        let begun = now();
        clock.set(begun + Duration::from_secs(3_600));
        // Longer than a slice, so that the wait goes through several.
        let at = begun + Duration::from_millis(250);
        std::thread::scope(|threads| {
            let rings = threads.spawn(|| {
                clock.wait();
                now()
            });
            clock.set(at);
            assert!(rings.join().expect("it rings") >= at);
        });
        clock.set(begun);
        clock.wait();
    }
}
