//! Faults that the simulation builds in on purpose, to prove that it would find them. No normal
//! build has them: without `--cfg tenure_mutants` the switch is a constant `false`.

/// A fault to build in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// A lease is counted from the reply instead of from the request.
    ValidityFromReply,
    /// Validity is checked with a clock that was read before a pause.
    ClockBeforePause,
    /// An acquire that was given up is not withdrawn.
    NoWithdrawal,
    /// A push counts from its arrival, whatever heartbeat it answers.
    StalePush,
    /// A lease that is gone at the store is not lost before its deadline.
    IgnoreGone,
    /// The alarm for the deadline waits for the renewal in flight.
    AlarmWaitsForCall,
    /// A renewal that is answered after the deadline counts.
    LateRenewal,
    /// A lost round of a quorum does not give back the grants of single nodes.
    PartialWinKept,
    /// A quorum's nodes mint by their own clocks, and the largest number counts without being
    /// written to a majority.
    PlainMaximum,
    /// A node that gets a lease back mints a new fence for it.
    TopUpMints,
}

#[cfg(tenure_mutants)]
mod switch {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Mutant;

    thread_local! {
        static BUILT_IN: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Builds a fault into all that this thread runs, or takes it out again.
    pub fn set(mutant: Option<Mutant>) {
        BUILT_IN.set(mutant);
    }

    pub(crate) fn is_set(mutant: Mutant) -> bool {
        BUILT_IN.get() == Some(mutant)
    }

    /// An earlier reading of the clock in microseconds, for [`Mutant::ClockBeforePause`].
    #[derive(Debug, Default)]
    pub(crate) struct StaleClock(AtomicU64);

    impl StaleClock {
        pub(crate) fn note(&self, micros: u64) {
            self.0.store(micros, Ordering::Release);
        }

        pub(crate) fn noted(&self) -> Option<u64> {
            Some(self.0.load(Ordering::Acquire))
        }
    }
}

#[cfg(tenure_mutants)]
pub use switch::set;

#[cfg(tenure_mutants)]
pub(crate) use switch::{StaleClock, is_set};

#[cfg(not(tenure_mutants))]
pub(crate) const fn is_set(_: Mutant) -> bool {
    false
}

#[cfg(not(tenure_mutants))]
#[derive(Debug, Default)]
pub(crate) struct StaleClock(());

#[cfg(not(tenure_mutants))]
#[allow(clippy::unused_self, reason = "with the cfg it is used")]
impl StaleClock {
    pub(crate) const fn note(&self, _: u64) {}

    pub(crate) const fn noted(&self) -> Option<u64> {
        None
    }
}
