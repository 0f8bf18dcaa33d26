//! The reasons for which a lease is lost, for the holder and for logs. They carry no data.

use std::fmt;

/// Why a lease can no longer be guaranteed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LostReason {
    /// The deadline passed without a confirmed renewal: the store was out of reach, the process
    /// was stopped, the machine slept, or renewal was off.
    Expired,
    /// The store has no such lease any more: it was forced, or the store forgot it.
    Gone,
    /// `max_hold` is over.
    MaxHold,
    /// The `Locks` was closed.
    Closed,
    /// Its guard was released, dropped or handed over.
    GivenBack,
    /// This process was forked after the lock was acquired. Its parent may hold it still.
    Forked,
}

impl fmt::Display for LostReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "its deadline passed without a confirmed renewal",
            Self::Gone => "the store no longer has it (it was forced, or the store forgot it)",
            Self::MaxHold => "its max_hold is over",
            Self::Closed => "the Locks was closed",
            Self::GivenBack => "it was given back",
            Self::Forked => "this process was forked, and the lock is still its parent's",
        })
    }
}
