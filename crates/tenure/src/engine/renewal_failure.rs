//! Renewals that fail: what is known of them at a lease, and how often the log of a store has them.
//! It renews nothing and never decides that a lease is lost.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::runtime::Moment;

use super::signal::Signal;

/// Shortest time between two events about renewals that fail, of one store.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Why a lease cannot be renewed at the moment: see [`Lease::failing`](crate::Lease::failing).
/// Renewals are tried again until the deadline.
///
/// Its text says what went wrong, without secrets, and not which lock or store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalFailure {
    since: Moment,
    at: Moment,
    message: Arc<str>,
}

impl RenewalFailure {
    /// When the first renewal was sent that has failed, or was not answered in time.
    #[must_use]
    pub fn since(&self) -> Moment {
        self.since
    }

    /// When it was known that the last renewal has failed.
    #[must_use]
    pub fn at(&self) -> Moment {
        self.at
    }
}

impl fmt::Display for RenewalFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The failing renewals of one lease. It outlives the loss of the lease, whose cause it is.
#[derive(Debug, Default)]
pub(super) struct Failing {
    /// `None` again once a renewal was confirmed.
    last: Mutex<Option<RenewalFailure>>,
    signal: Signal,
}

impl Failing {
    /// The signal is to be given afterwards.
    pub(super) fn set(&self, sent: Moment, at: Moment, message: &str) {
        let mut last = self.last();
        let since = last.as_ref().map_or(sent, |last| last.since);
        *last = Some(RenewalFailure { since, at, message: message.into() });
    }

    pub(super) fn clear(&self) -> Option<RenewalFailure> {
        self.last().take()
    }

    pub(super) fn get(&self) -> Option<RenewalFailure> {
        self.last().clone()
    }

    pub(super) fn signal(&self) -> &Signal {
        &self.signal
    }

    fn last(&self) -> MutexGuard<'_, Option<RenewalFailure>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The events of a store about renewals that fail: one a minute at most, and one when they work
/// again.
#[derive(Debug, Default)]
pub(super) struct Outage(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    last: Option<Moment>,
    /// A failure was told, and no end of it so far.
    is_open: bool,
}

impl Outage {
    /// A renewal has failed. Answers whether that is to be told.
    pub(super) fn goes_on(&self, now: Moment) -> bool {
        let mut told = self.told();
        let is_due = told.last.is_none_or(|last| now.since(last) >= TELL_EVERY);
        if is_due {
            *told = Told { last: Some(now), is_open: true };
        }
        is_due
    }

    /// A lease that failed was renewed. Answers whether that is to be told.
    pub(super) fn ends(&self) -> bool {
        std::mem::take(&mut self.told().is_open)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_one_failure_a_minute_and_its_end_once() {
        let outage = Outage::default();
        let at = |secs: u64| Moment::from_micros(secs * 1_000_000);
        assert!(outage.goes_on(at(100)));
        assert!(!outage.goes_on(at(159)));
        assert!(outage.ends());
        assert!(!outage.ends());
        assert!(!outage.goes_on(at(159)), "an outage that comes and goes does not flood the log");
        assert!(!outage.ends(), "a failure that was not told has no end to tell");
        assert!(outage.goes_on(at(160)));
        assert!(outage.ends());
    }

    #[test]
    fn the_first_renewal_that_failed_is_remembered() {
        let failing = Failing::default();
        let at = Moment::from_micros;
        failing.set(at(1), at(2), "one");
        failing.set(at(3), at(4), "two");
        let last = failing.get().expect("it fails");
        assert_eq!((last.since(), last.at(), &*last.to_string()), (at(1), at(4), "two"));
        assert_eq!(failing.clear(), Some(last));
        assert_eq!(failing.get(), None);
    }
}
