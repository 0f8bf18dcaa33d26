//! The scope of exploring: the rules of the protocol, as they are or with one of them broken, and
//! the size of the world.

/// How a round comes to its fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ballot {
    /// Nodes answer `max(stored + 1, proposal)`; answers that differ are settled by writing the
    /// largest to a majority that still holds.
    WriteBack,
    /// The same, but the largest is taken without being written.
    NoWriteBack,
    /// Each node counts by itself, and the largest answer is taken.
    PlainMaximum,
}

/// When a node that forgot is counted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejoin {
    AtOnce,
    /// Once it has been known for longer than the longest lease.
    Known,
    /// The same, and a round that won without it has written its fence there.
    KnownAndFence,
    /// The same, or a top-up has.
    KnownAndTopUp,
}

/// The part of clocks in the fences that are proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clocks {
    /// Nothing: a proposal is any number.
    Any,
    /// A node that grants so long after it forgot exceeds any fence from before, since its clock
    /// and those that the earlier fences came from agree.
    Agree,
}

/// The owner whose name a round carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owners {
    PerRound,
    /// The next try of a client carries the name of the last one.
    PerClient,
}

/// The handling of a top-up: the lease is given to a node that lacks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TopUp {
    /// Counted by the next renewal; refused by a node that has not been known for long enough.
    NextTime,
    /// Counted by the renewal that adds it.
    AtOnce,
    /// Taken also by a node that has not been known for long enough.
    OfTheYoung,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) ballot: Ballot,
    pub(crate) rejoin: Rejoin,
    pub(crate) clocks: Clocks,
    pub(crate) owners: Owners,
    pub(crate) top_up: TopUp,
    /// Whether growing fences are demanded beside exclusion.
    pub(crate) fences: bool,
}

/// The protocol as it is meant.
pub(crate) const SOUND: Rules = Rules {
    ballot: Ballot::WriteBack,
    rejoin: Rejoin::Known,
    clocks: Clocks::Agree,
    owners: Owners::PerRound,
    top_up: TopUp::NextTime,
    fences: true,
};

/// How much of the world is explored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope {
    /// Clients that are busy at the same time.
    pub(crate) clients: usize,
    /// Rounds that they begin between them.
    pub(crate) rounds: u8,
    /// The largest number that a client proposes.
    pub(crate) proposals: u8,
    /// Renewals of one lease.
    pub(crate) renewals: u8,
    /// How often nodes forget.
    pub(crate) crashes: u8,
}
