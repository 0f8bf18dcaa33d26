//! What can be asked of a key, and what it answers: the vocabulary between engine and stores.

use std::sync::Arc;
use std::time::Duration;

use crate::types::{Claim, Fence, Key, Label, Owner};

use super::{Guarded, Inspection};

/// One request to one key. A store carries it out as one atomic step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The key.
    pub key: Key,
    /// What is asked of it.
    pub op: Op,
}

/// A transition of a key. Every one may be repeated without harm.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Op {
    /// Claim it; repeated by a holder, refresh the lease; repeated by a waiter, a heartbeat.
    Acquire(Acquire),
    /// Let a lease last at least `ttl` from now. Never shortens, never creates.
    Renew {
        /// Whose lease.
        owner: Owner,
        /// How long it shall last from now on.
        ttl: Duration,
    },
    /// Give a lease, or a place in the queue, back.
    Release {
        /// Whose.
        owner: Owner,
        /// Keep the key taken until this long after the grant.
        min_hold: Duration,
        /// Refuse this owner for so long afterwards; needed if a request of its may still be
        /// under way.
        tombstone: Option<Duration>,
    },
    /// Release and acquire in one step, so that a process hands a key from one of its tasks to
    /// the next. What is acquired is a new grant with a new fence.
    Handoff {
        /// Who gives the lease back, as with [`Op::Release`].
        owner: Owner,
        /// As with [`Op::Release`].
        min_hold: Duration,
        /// As with [`Op::Release`].
        tombstone: Option<Duration>,
        /// Who claims. A handoff to oneself acquires nothing.
        to: Acquire,
        /// Ahead of the line, if `owner` held the lease until now and gives it up whole. If not,
        /// it is an acquire like any other.
        ahead: bool,
    },
    /// Undo an acquire whose outcome is unknown, also one that is still to arrive.
    Withdraw {
        /// Whose.
        owner: Owner,
        /// Refuse this owner for so long afterwards.
        tombstone: Duration,
    },
    /// Let a lease change hands, with its fence. The old owner is refused from now on.
    Transfer {
        /// The present holder.
        from: Owner,
        /// The next holder.
        to: Owner,
        /// The next holder's label.
        label: Label,
        /// How long the lease shall last from now on, at least.
        ttl: Duration,
    },
    /// Take the key from who holds it with a fence of at most `up_to`: repeated because a reply
    /// was lost, it does not hit the successor. What another library holds has no fence, and is
    /// left alone.
    Force {
        /// The largest fence that the caller has seen. A number beyond that reaches whoever
        /// holds when the request arrives, a successor as well.
        up_to: Fence,
    },
    /// Lift a lease's fence, and the key's, to at least this number: the second round of a quorum
    /// whose nodes granted with different ones. Does nothing where this owner holds no more.
    Raise {
        /// Whose lease.
        owner: Owner,
        /// The number that its fence shall have.
        fence: Fence,
    },
    /// Force and acquire in one step, ahead of the queue.
    Steal(Acquire),
    /// Look, and change nothing.
    Inspect,
}

impl Op {
    /// The owners that the step is about. Whether they are refused decides about it.
    pub fn owners(&self) -> impl Iterator<Item = &Owner> {
        let (one, other) = match self {
            Self::Acquire(acquire) | Self::Steal(acquire) => (Some(&acquire.owner), None),
            Self::Renew { owner, .. }
            | Self::Release { owner, .. }
            | Self::Withdraw { owner, .. }
            | Self::Raise { owner, .. } => (Some(owner), None),
            Self::Handoff { owner, to, .. } => (Some(owner), Some(&to.owner)),
            Self::Transfer { from, to, .. } => (Some(from), Some(to)),
            Self::Force { .. } | Self::Inspect => (None, None),
        };
        one.into_iter().chain(other)
    }
}

/// A claim with all that a grant needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acquire {
    /// Who claims.
    pub owner: Owner,
    /// Who to ask about it.
    pub label: Label,
    /// How much.
    pub claim: Claim,
    /// For how long.
    pub ttl: Duration,
    /// Stand in line if it is not free; `None`: do not.
    pub queue: Option<Queueing>,
    /// Which fence a grant gets that is not from the queue.
    pub fence: FenceRule,
}

/// Which fence a new grant gets. Whatever the rule, a key's fences only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FenceRule {
    /// One of the store's own: above the last one, and at least the store's clock.
    #[default]
    Mint,
    /// What a quorum proposes to all its nodes, so that they come to one number; one more than
    /// the last one where that is larger.
    Propose {
        /// The proposal.
        fence: Fence,
        /// The proposal counts as no farther than this from the store's clock: whatever clocks
        /// clients have, the fences that nodes have lost are below those that come later.
        within: Duration,
    },
    /// The fence of a lease that other nodes of a quorum have granted: none is minted.
    Carry(Fence),
}

/// How a claim stands in line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queueing {
    /// The place is kept for so long after a heartbeat; a grant from the queue lasts
    /// [`Acquire::claim_lease`] until the waiter confirms it.
    pub window: Duration,
    /// The heartbeat's number, echoed in the grant's push. The first is 1: whoever sends it has
    /// most likely no place yet. A store may be quick about that, but must not rely on it: the
    /// request can come after the next heartbeat.
    pub stamp: u64,
    /// Where a grant is announced; `None`: nowhere, the waiter looks by itself.
    pub inbox: Option<Arc<str>>,
}

impl Queueing {
    /// Whether its waiter has most likely no place yet.
    #[must_use]
    pub fn is_first_sign(&self) -> bool {
        self.stamp == 1
    }
}

impl Acquire {
    /// How long a grant from the queue lasts until it is confirmed: the window, or the ttl if
    /// that is shorter.
    #[must_use]
    pub fn claim_lease(&self) -> Option<Duration> {
        self.queue.as_ref().map(|queue| queue.window.min(self.ttl))
    }
}

/// What a key answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// Acquire, steal: held, with this fence (the same one if it was held before).
    Granted {
        /// The fencing token.
        fence: Fence,
    },
    /// Acquire: standing in line.
    Queued {
        /// How many stand in front.
        ahead: u32,
        /// Look again after this time, whatever else happens.
        look_in: Duration,
        /// Who is in the way.
        blocker: Option<Blocker>,
    },
    /// Acquire: not free, and no place was asked for.
    Busy {
        /// It may be free after this time.
        look_in: Duration,
        /// Who is in the way.
        blocker: Option<Blocker>,
    },
    /// Acquire: held by an owner with the same fixed value; waiting for it would be waiting
    /// for oneself. No place was taken.
    SelfHeld,
    /// Acquire, renew, raise: this owner was withdrawn or released; it gets nothing any more.
    Withdrawn,
    /// The key is something else; the text says what.
    Mismatch(Box<str>),
    /// The store would not carry out this step, and would not if it were repeated; the text says
    /// why. Other steps of the same call are not concerned. Acquire, steal, transfer: nothing was
    /// changed.
    Refused(Box<str>),
    /// As [`Reply::Refused`], but the store has no room for what this step would write, which may
    /// pass: its memory is full.
    Full(Box<str>),
    /// Renew: the lease lasts at least the asked time. Raise: done.
    Renewed,
    /// Release, withdraw: done; nothing is left of this owner but a remainder of `min_hold`.
    Released,
    /// Handoff: both parts' answers.
    HandedOff {
        /// What a release answers.
        released: Box<Reply>,
        /// What an acquire answers.
        acquired: Box<Reply>,
    },
    /// Transfer: done, with the fence of the lease.
    Transferred {
        /// The fencing token, unchanged.
        fence: Fence,
    },
    /// Force: so many holders lost the key.
    Forced {
        /// How many.
        holders: u32,
    },
    /// Renew, raise, transfer: this owner has no lease here. Release, withdraw: nor has anybody
    /// else.
    Gone,
    /// Release, withdraw: this owner has nothing here, but another holds the key.
    Others,
    /// A quorum: too few of its nodes answered to say. The step may have been carried out, and
    /// may be repeated; the text says what each node said.
    Unknown(Box<str>),
    /// Inspect.
    Inspected(Inspection),
}

/// Who stands in the way of a claim, for people to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// Who to ask.
    pub label: Label,
    /// For how long it has held the key.
    pub held_for: Duration,
    /// What each node of a quorum said; `None` for every other store.
    pub report: Option<Box<str>>,
    /// Nobody holds it, as far as is known: the store grants nothing new for now. The label is
    /// empty then.
    pub guarded: Option<Guarded>,
}

/// A grant that happened while somebody else's step ran: its waiter wants to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who was granted.
    pub owner: Owner,
    /// The new fencing token.
    pub fence: Fence,
    /// The number of the last heartbeat that the store had seen.
    pub stamp: u64,
    /// Where to announce it.
    pub inbox: Arc<str>,
}
