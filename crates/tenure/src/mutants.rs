//! Faults that the simulation builds in on purpose, to prove that it would find them. No normal
//! build has them: without `--cfg tenure_mutants` `has` is the constant `false`.

#[cfg(tenure_mutants)]
thread_local! {
    static BUILT_IN: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

#[cfg(tenure_mutants)]
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
    /// An upgrade that others are in the way of asks again until they have gone.
    UpgradeWaits,
    /// A multi-lock of which one key cannot be had does not give back all the others.
    HalfRolledBack,
    /// A lost round of a quorum does not give back the grants of single nodes.
    PartialWinKept,
    /// A quorum's nodes mint by their own clocks, and the largest number counts without being
    /// written to a majority.
    PlainMaximum,
    /// A node that gets a lease back mints a new fence for it.
    TopUpMints,
}

/// Builds a fault into all that this thread runs, or takes it out again.
#[cfg(tenure_mutants)]
pub fn set(mutant: Option<Mutant>) {
    BUILT_IN.set(mutant);
}

#[cfg(tenure_mutants)]
pub(crate) fn is_set(mutant: Mutant) -> bool {
    BUILT_IN.get() == Some(mutant)
}

/// Whether this fault is built in.
macro_rules! has {
    ($mutant:ident) => {{
        #[cfg(tenure_mutants)]
        let is_set = $crate::mutants::is_set($crate::mutants::Mutant::$mutant);
        #[cfg(not(tenure_mutants))]
        let is_set = false;
        is_set
    }};
}

pub(crate) use has;
