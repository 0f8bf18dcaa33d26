//! Requests to a key and their replies: the data between engine and stores. It is plain data and
//! carries out nothing.

mod group;

use std::sync::Arc;
use std::time::Duration;

use crate::types::{Claim, Fence, Key, Label, Owner, Value};

use super::runs::{LastRun, Outcome, Ticks};
use super::{Guarded, Inspection};

pub use group::Group;

/// One request to a key, or to several. A store carries it out as one atomic step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The key; of several, the first.
    pub key: Key,
    /// The transition that is asked for.
    pub op: Op,
}

/// A transition of a key. Each may be repeated without harm.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Op {
    /// Claim the key. Repeated by its holder, it refreshes the lease; repeated by a waiter, it is a
    /// heartbeat.
    Acquire(Acquire),
    /// Let a lease last at least `ttl` from now. It never shortens and never creates a lease.
    Renew {
        /// The holder.
        owner: Owner,
        /// Time for which the lease lasts from now on, at least.
        ttl: Duration,
    },
    /// Give a lease, or a place in the queue, back.
    Release {
        /// The holder or waiter.
        owner: Owner,
        /// Keep the key taken for this time after the grant.
        min_hold: Duration,
        /// Refuse this owner for this time afterwards. It is needed if a request of this owner may
        /// still be under way.
        tombstone: Option<Duration>,
    },
    /// Release and acquire in one step, so that a process hands a key from one of its tasks to
    /// the next. The acquire makes a new grant with a new fence.
    Handoff {
        /// The owner that releases, as with [`Op::Release`].
        owner: Owner,
        /// As with [`Op::Release`].
        min_hold: Duration,
        /// As with [`Op::Release`].
        tombstone: Option<Duration>,
        /// The claim of the next task. A handoff to the same owner acquires nothing.
        to: Acquire,
        /// Whether the claim goes ahead of the queue. It does so only if `owner` held the lease
        /// until now and frees all of its units; otherwise it is an acquire like any other.
        ahead: bool,
    },
    /// Undo an acquire whose outcome is unknown, also if it is still to arrive.
    Withdraw {
        /// The owner that claimed.
        owner: Owner,
        /// Refuse this owner for this time afterwards.
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
        /// Time for which the lease lasts from now on.
        ttl: Duration,
    },
    /// Take the key from all holders with a fence of at most `up_to`. So a request that is repeated
    /// after a lost reply does not hit the successor. A lock of another library has no fence and is
    /// left alone.
    Force {
        /// The largest fence that the caller has seen. A larger number also reaches a successor
        /// that holds when the request arrives.
        up_to: Fence,
    },
    /// Raise the fence of a lease, and of its key, to at least this number: the second round of a
    /// quorum whose nodes granted with different fences. It does nothing if this owner does not
    /// hold any more.
    Raise {
        /// The holder.
        owner: Owner,
        /// The least number that its fence must have.
        fence: Fence,
    },
    /// Force and acquire in one step, ahead of the queue.
    Steal(Acquire),
    /// Change the units of a lease in place. Fewer are always possible, without a gap, and keep the
    /// fence; the units that become free are granted to the queue in the same step. More are given
    /// only if they fit at once and nobody waits, so two that want more never wait for each other;
    /// the lease gets a new, larger fence then. By its fence and its old units, a request that
    /// arrives after a later change is known, and does nothing. With as many units as before the
    /// lease gets a new fence and nothing else, so that requests from before it do nothing.
    Resize {
        /// The holder.
        owner: Owner,
        /// Its fence, as it knows it.
        fence: Fence,
        /// Its claim, as it knows it. Only the units count: an administrator may have changed the
        /// limit.
        from: Claim,
        /// The claim that it shall have.
        to: Claim,
    },
    /// Change the limit of all live shares, as an administrator does. Those that wait are granted
    /// at once as far as they fit; a waiter that wants more than there are now loses its place.
    /// Holders keep their units: a smaller limit takes effect as units come back. Later claims
    /// must state the new limit, until no share is held or waited for. Then the next claim says
    /// the limit, as ever.
    SetLimit {
        /// The new limit, from 1 to [`Claim::MAX`].
        limit: u32,
    },
    /// Acquire several keys together: all of them are granted, or none. A store that carries no
    /// step over several keys refuses it ([`Capabilities::groups`](crate::store::Capabilities)).
    AcquireAll(Group),
    /// Acquire for a run of a job that takes place once per tick, and put it on record, in one
    /// step. It is granted only if a run is due: none is under way, and none had the present tick,
    /// or that one failed and may be retried. It never waits. Each owner has one run at most.
    Begin {
        /// The claim. Its place in the queue is ignored.
        acquire: Acquire,
        /// The rule by which a run is due.
        ticks: Ticks,
    },
    /// Put the outcome of a run on record and release, in one step. It records nothing if the lease
    /// has ended: such a run has failed. A withdrawal, in place of this, undoes the run, so that
    /// its tick is as free as before.
    Finish {
        /// The owner that has begun the run.
        owner: Owner,
        /// How it went.
        outcome: Outcome,
        /// As with [`Op::Release`].
        tombstone: Option<Duration>,
    },
    /// Replace the value beside a lease by one with a larger revision. A request that is repeated,
    /// or arrives after a later one or after the lease has ended, does nothing.
    SetValue {
        /// The holder.
        owner: Owner,
        /// Its fence, as it knows it.
        fence: Fence,
        /// The value, whose revision is at least 1: the one that the lease began with, or the lack
        /// of one, has 0.
        value: Value,
    },
    /// Look, and change nothing.
    Inspect,
}

impl Request {
    /// The step that acquires all keys of a group.
    #[must_use]
    pub fn acquire_all(group: Group) -> Self {
        Self { key: group.first().clone(), op: Op::AcquireAll(group) }
    }
}

impl Op {
    /// The owners that the step is about. Their tombstones decide whether it is refused.
    pub fn owners(&self) -> impl Iterator<Item = &Owner> {
        let (one, other) = match self {
            Self::Acquire(acquire) | Self::Steal(acquire) | Self::Begin { acquire, .. } => {
                (Some(&acquire.owner), None)
            }
            Self::Renew { owner, .. }
            | Self::Release { owner, .. }
            | Self::Withdraw { owner, .. }
            | Self::Raise { owner, .. }
            | Self::Resize { owner, .. }
            | Self::Finish { owner, .. }
            | Self::SetValue { owner, .. } => (Some(owner), None),
            Self::Handoff { owner, to, .. } => (Some(owner), Some(&to.owner)),
            Self::Transfer { from, to, .. } => (Some(from), Some(to)),
            Self::Force { .. } | Self::SetLimit { .. } | Self::AcquireAll(_) | Self::Inspect => {
                (None, None)
            }
        };
        let group = if let Self::AcquireAll(group) = self { group.members() } else { &[] };
        let all = group.iter().map(|(_, acquire)| &acquire.owner);
        one.into_iter().chain(other).chain(all)
    }
}

/// A claim with all that a grant needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acquire {
    /// The owner that claims.
    pub owner: Owner,
    /// The name for people.
    pub label: Label,
    /// The units that are claimed, and their limit.
    pub claim: Claim,
    /// Time for which the lease lasts.
    pub ttl: Duration,
    /// How to wait if the key is not free; `None`: do not wait.
    pub queue: Option<Queueing>,
    /// The fence of a grant that is made at once, and not later from the queue.
    pub fence: FenceRule,
    /// The value beside the claim, which the lease begins with.
    pub value: Option<Value>,
}

/// Which fence a new grant gets. By every rule, the fences of a key only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FenceRule {
    /// The store's own number: above the last fence, and at least the store's clock.
    #[default]
    Mint,
    /// A number that a quorum proposes to all its nodes, so that they agree on one. A node whose
    /// last fence plus one is larger takes that.
    Propose {
        /// The proposal.
        fence: Fence,
        /// The proposal counts as no farther than this from the store's clock. So the fences that
        /// a node has lost are below all later ones, whatever the clocks of clients say.
        within: Duration,
    },
    /// The fence of a lease that other nodes of a quorum have granted. No fence is minted.
    Carry(Fence),
}

/// How a claim stands in line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queueing {
    /// Time for which the place is kept after a heartbeat. A grant from the queue lasts
    /// [`Acquire::claim_lease`] until the waiter confirms it.
    pub window: Duration,
    /// The number of this heartbeat, repeated in the push of a grant. The first is 1: its sender
    /// most likely has no place yet. A store may take a shorter way then, but must not rely on it,
    /// since the first request can arrive after the second.
    pub stamp: u64,
    /// Where a grant is announced; `None`: nowhere, and the waiter asks again by itself.
    pub inbox: Option<Arc<str>>,
}

impl Acquire {
    /// Time for which a grant from the queue lasts until it is confirmed: the window, or the ttl if
    /// that is shorter.
    #[must_use]
    pub fn claim_lease(&self) -> Option<Duration> {
        self.queue.as_ref().map(|queue| queue.window.min(self.ttl))
    }
}

/// The answer of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// Acquire, steal: held, with this fence (the same one if it was held before).
    Granted {
        /// The fencing token.
        fence: Fence,
    },
    /// Acquire all: each is held.
    AllGranted {
        /// The fencing tokens, in the order of the keys.
        fences: Vec<Fence>,
    },
    /// Acquire all: none was granted.
    Blocked {
        /// The first key that cannot be had.
        key: Key,
        /// The answer that an acquire of this key alone would have got.
        by: Box<Reply>,
    },
    /// Acquire: standing in line.
    Queued {
        /// The number of waiters in front.
        ahead: u32,
        /// Time after which to ask again, whatever else happens.
        look_in: Duration,
        /// The first holder.
        blocker: Option<Blocker>,
    },
    /// Acquire: not free, and no place was asked for. Resize: there is no room for more units, or
    /// others wait for them; nothing was changed.
    Busy {
        /// Time after which the key may be free.
        look_in: Duration,
        /// The first holder.
        blocker: Option<Blocker>,
    },
    /// Acquire: held by an owner with the same fixed value, which would wait for itself. No place
    /// was taken.
    SelfHeld,
    /// Acquire, begin, renew, raise, resize, set the value: this owner was withdrawn or released;
    /// it gets nothing any more.
    Withdrawn,
    /// The key is in use in another way; the text says how. Resize: the lease was changed otherwise
    /// since, or shares have another limit. Set the value: the lease was changed since, or has a
    /// later value.
    Mismatch(Box<str>),
    /// The store refused this step, and would refuse it again; the text says why. Other steps of
    /// the same call are not affected. Acquire, steal, transfer: nothing was changed.
    Refused(Box<str>),
    /// As [`Reply::Refused`], but because the store has no room for what this step would write (its
    /// memory is full), which may pass.
    Full(Box<str>),
    /// Renew: the lease lasts at least the asked time. Raise: done.
    Renewed,
    /// Release, withdraw: done; nothing is left of this owner but a remainder of `min_hold`.
    /// Finish: the same, and it has no run on record.
    Released,
    /// Handoff: the answers of both parts.
    HandedOff {
        /// The answer to the release.
        released: Box<Reply>,
        /// The answer to the acquire.
        acquired: Box<Reply>,
    },
    /// Resize: the lease has the units that were asked for.
    Resized {
        /// The fencing token: the same one if there are fewer units than before, else a new one.
        fence: Fence,
    },
    /// Set the limit: done.
    LimitSet {
        /// The limit before; `None`: there are no shares, and nothing was changed.
        was: Option<u32>,
    },
    /// Set the value: the lease has it, or has had it.
    ValueSet,
    /// Transfer: done, with the fence of the lease.
    Transferred {
        /// The fencing token, unchanged.
        fence: Fence,
    },
    /// Force: the key was taken from its holders.
    Forced {
        /// The number of holders that lost it.
        holders: u32,
    },
    /// Begin: no run is due, because of this one. Nothing was changed.
    AlreadyRan(Box<LastRun>),
    /// Finish: the outcome is on record, by this step or by the same one before.
    Finished,
    /// Renew, raise, resize, set the value, transfer: this owner has no lease here. Release,
    /// withdraw, finish: this owner has nothing here, and nobody holds the key.
    Gone,
    /// Release, withdraw, finish: this owner has nothing here, but another holds the key.
    Others,
    /// A quorum: too few of its nodes answered to say. The step may have been carried out, and
    /// may be repeated; the text has the answer of each node.
    Unknown(Box<str>),
    /// Inspect: the state of the key.
    Inspected(Inspection),
}

/// The holder that blocks a claim, for people to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// The name for people.
    pub label: Label,
    /// Time since its grant.
    pub held_for: Duration,
    /// The answer of each node of a quorum; `None` for every other store.
    pub report: Option<Box<str>>,
    /// Set if the store grants nothing new for now, and nobody is known to hold the key. The label
    /// is empty then.
    pub guarded: Option<Guarded>,
}

/// A grant that was made in the step of another owner: its waiter must be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The new holder.
    pub owner: Owner,
    /// The new fencing token.
    pub fence: Fence,
    /// The number of the last heartbeat that the store had seen.
    pub stamp: u64,
    /// The inbox in which it is announced.
    pub inbox: Arc<str>,
}
