//! The rules that the judge checks: one name per promise.

use std::fmt;

/// A promise that the judge watches over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// Never more valid guards on one key than its limit, and an exclusive one alone.
    Exclusion,
    /// Fences are unique and grow with every grant.
    Fence,
    /// A guard never promises more than the store does, and is valid when it is handed out.
    Validity,
    /// Loss is announced by the deadline, and not long before.
    Announcement,
    /// Lost stays lost.
    Final,
    /// Nobody ends the lease of another.
    Successor,
    /// First come, first served.
    Order,
    /// A grant reaches its waiter within one heartbeat.
    Handover,
    /// An upgrade is answered at once, and never waits for others.
    Upgrade,
    /// A leader is seen with its own value, and never again with an older one.
    Value,
    /// One run of a job begins in a tick, and one on record as ok was held to its end.
    Once,
    /// Waiting ends: by a grant, at its limit, after a holder's death.
    Waiting,
    /// Nothing stays held by nobody, such as one key of a multi-lock that could not be had.
    Orphan,
    /// Over a good network nothing fails.
    Calm,
    /// Work gets done.
    Throughput,
    /// No task runs for ever without waiting.
    Spin,
    /// No assertion fails.
    Panic,
}

impl Rule {
    /// Those about locks. The other two, `Spin` and `Panic`, are about any program.
    pub const OF_LOCKS: [Self; 15] = [
        Self::Exclusion,
        Self::Fence,
        Self::Validity,
        Self::Announcement,
        Self::Final,
        Self::Successor,
        Self::Order,
        Self::Handover,
        Self::Upgrade,
        Self::Value,
        Self::Once,
        Self::Waiting,
        Self::Orphan,
        Self::Calm,
        Self::Throughput,
    ];
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
