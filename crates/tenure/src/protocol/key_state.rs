//! The state machine of one key: holders, queue, fence. It never reads a clock, never waits and
//! knows no store; every store runs these transitions, each as one atomic step.

mod capacity;
mod grant;
mod group;
mod handoff;
mod parts;
mod run;
mod units;
mod value;

use std::collections::VecDeque;
use std::time::Duration;

use crate::types::{Claim, Fence, Label, Owner, StoreTime};

use super::inspection::{self, HolderView, Inspection, State, WaiterView};
use super::request::{Acquire, Blocker, Grant, Op, Reply};
use super::runs::Runs;

pub use group::Part;
pub use parts::{Holder, Place, Tombstone};

/// Minimum time for which the old owner of a transferred or forced lease is refused: longer than
/// any of its requests may be under way.
const TOMBSTONE_MIN: Duration = Duration::from_secs(60);

/// The store's clocks and settings for one step.
#[derive(Debug, Clone, Copy)]
pub struct StepContext {
    /// The store's clock, for leases.
    pub now: StoreTime,
    /// The smallest number that a new fence may have: the store's wall clock in microseconds, or
    /// more.
    pub fence_seed: u64,
    /// The store's wall clock, in microseconds since 1970 (UTC), for ticks.
    pub wall: u64,
    /// Time for which a fence is remembered after the last use of its key.
    pub retention: Duration,
}

/// The whole state of one key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyState {
    holders: Vec<Holder>,
    queue: VecDeque<Place>,
    tombstones: Vec<Tombstone>,
    fence: Fence,
    fence_until: StoreTime,
    /// The last run, if there ever was one. Boxed: few keys have runs.
    runs: Option<Box<Runs>>,
}

impl KeyState {
    /// Builds a state from the parts that a store has kept. Holders and places are in their order.
    #[must_use]
    pub fn from_parts(
        holders: Vec<Holder>,
        queue: VecDeque<Place>,
        tombstones: Vec<Tombstone>,
        fence: Fence,
        fence_until: StoreTime,
    ) -> Self {
        Self { holders, queue, tombstones, fence, fence_until, runs: None }
    }

    /// The same state with a record of the last run.
    #[must_use]
    pub fn with_runs(self, runs: Option<Runs>) -> Self {
        Self { runs: runs.map(Box::new), ..self }
    }

    /// Carries out one step. Answers the reply, and the grants that the step made to waiters.
    pub fn apply(&mut self, op: &Op, at: StepContext) -> (Reply, Vec<Grant>) {
        if matches!(op, Op::Inspect | Op::AcquireAll(_)) {
            return (self.changed_by_none(op, at.now), Vec::new());
        }
        let mut grants = Vec::new();
        self.purge(at.now);
        self.grant_from_queue(at, &mut grants);
        let reply = match op {
            Op::Acquire(acquire) => self.acquire(acquire, at),
            Op::Renew { owner, ttl } => self.renew(owner, *ttl, at.now),
            Op::Release { owner, min_hold, tombstone } => {
                self.release(owner, *min_hold, *tombstone, at.now)
            }
            Op::Handoff { owner, min_hold, tombstone, to, ahead } => {
                let goes_first = *ahead && self.gives_up(owner, *min_hold, at.now);
                let released = self.release(owner, *min_hold, *tombstone, at.now);
                if goes_first && *owner != to.owner {
                    self.grant_ahead(to, at);
                }
                self.handoff(owner, released, to, at, &mut grants)
            }
            Op::Withdraw { owner, tombstone } => {
                self.withdraw_run(owner);
                self.release(owner, Duration::ZERO, Some(*tombstone), at.now)
            }
            Op::Transfer { from, to, label, ttl } => self.transfer(from, to, label, *ttl, at.now),
            Op::Force { up_to } => self.force(*up_to, at.now),
            Op::Raise { owner, fence } => self.raise(owner, *fence),
            Op::Steal(acquire) => self.steal(acquire, at),
            Op::Resize { owner, fence, from, to } => self.resize(owner, *fence, *from, *to, at),
            Op::SetLimit { limit } => self.set_limit(*limit),
            Op::Begin { acquire, ticks } => self.begin(acquire, ticks, at),
            Op::Finish { owner, outcome, tombstone } => self.finish(owner, outcome, *tombstone, at),
            Op::SetValue { owner, fence, value } => self.set_value(owner, *fence, value),
            Op::Inspect | Op::AcquireAll(_) => unreachable!("answered above"),
        };
        self.grant_from_queue(at, &mut grants);
        // A key counts as used until its last lease ends, also if nobody renews it.
        let used_until = self.holders.iter().map(|h| h.expires).fold(at.now, StoreTime::max);
        self.fence_until = used_until.max(self.run_until(at)) + at.retention;
        debug_assert!(self.is_sound(), "{op:?} left {self:?}");
        (reply, grants)
    }

    /// Whether the state may be deleted: no claim, no tombstone, and the fence's time is over.
    #[must_use]
    pub fn is_forgettable(&self, now: StoreTime) -> bool {
        self.holders.iter().all(|h| h.expires <= now)
            && self.queue.iter().all(|p| p.alive_until <= now)
            && self.tombstones.iter().all(|t| t.until <= now)
            && (self.fence == Fence::default() || self.fence_until <= now)
    }

    /// The holders, the oldest first; some may have expired.
    #[must_use]
    pub fn holders(&self) -> &[Holder] {
        &self.holders
    }

    /// The queue, the next first; some places may have expired.
    #[must_use]
    pub fn queue(&self) -> &VecDeque<Place> {
        &self.queue
    }

    /// The owners that are refused.
    #[must_use]
    pub fn tombstones(&self) -> &[Tombstone] {
        &self.tombstones
    }

    /// Adds a tombstone. A store may keep tombstones elsewhere, and add those of [`Op::owners`] and
    /// of the holders before a step.
    pub fn add_tombstone(&mut self, tombstone: &Tombstone) {
        self.bury(&tombstone.owner, tombstone.until);
    }

    /// Takes all tombstones out.
    pub fn take_tombstones(&mut self) -> Vec<Tombstone> {
        std::mem::take(&mut self.tombstones)
    }

    /// The last fence that was minted.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// The last run, if there ever was one.
    #[must_use]
    pub fn runs(&self) -> Option<&Runs> {
        self.runs.as_deref()
    }

    /// The time until which the fence is remembered if nothing happens.
    #[must_use]
    pub fn fence_until(&self) -> StoreTime {
        self.fence_until
    }

    /// The state for people. It leaves out what has expired, and changes nothing.
    #[must_use]
    pub fn inspect(&self, now: StoreTime) -> Inspection {
        let holders: Vec<_> = self.holders.iter().filter(|h| h.expires > now).collect();
        let waiters: Vec<_> = self.queue.iter().filter(|p| p.alive_until > now).collect();
        let claims = holders.iter().map(|h| h.claim).chain(waiters.iter().map(|p| p.claim));
        let limit = inspection::limit_of(claims);
        let shown = |claim: Claim| if claim.is_exclusive() { limit } else { Some(claim.units()) };
        let units = |claim: Claim| shown(claim).unwrap_or_default();
        Inspection {
            state: if holders.is_empty() { State::Free } else { State::Held },
            limit,
            fence: (self.fence > Fence::default()).then_some(self.fence),
            holders: holders
                .into_iter()
                .map(|h| HolderView {
                    owner: h.owner.clone(),
                    label: h.label.clone(),
                    units: units(h.claim),
                    exclusive: h.claim.is_exclusive(),
                    fence: h.fence,
                    value: h.value.clone(),
                    since: now.since(h.since),
                    remaining: h.expires.since(now),
                    kept: self.is_buried(&h.owner),
                })
                .collect(),
            waiters: waiters
                .into_iter()
                .map(|p| WaiterView {
                    label: p.label.clone(),
                    units: units(p.claim),
                    exclusive: p.claim.is_exclusive(),
                    waiting: now.since(p.since),
                })
                .collect(),
            nodes: Vec::new(),
            guarded: None,
            last_run: self.last_run(now).map(Box::new),
            foreign: None,
            replica_of: None,
        }
    }

    /// The answer to a look, or to a step of several keys, whose parts come one by one
    /// (`Group::carry_out`).
    #[cold]
    fn changed_by_none(&self, op: &Op, now: StoreTime) -> Reply {
        match op {
            Op::Inspect => Reply::Inspected(self.inspect(now)),
            _ => Reply::Refused("one key cannot carry out a step of several".into()),
        }
    }

    fn acquire(&mut self, acquire: &Acquire, at: StepContext) -> Reply {
        if self.is_buried(&acquire.owner) {
            return Reply::Withdrawn;
        }
        if let Some(holder) = self.holder_mut(&acquire.owner) {
            holder.expires = holder.expires.max(at.now + acquire.ttl);
            return Reply::Granted { fence: holder.fence };
        }
        let mine = self.queue.iter().position(|p| p.owner == acquire.owner);
        if mine.is_none() {
            if let Some(mismatch) = self.mismatch(acquire.claim) {
                return mismatch;
            }
            if self.queue.is_empty() && self.fits(acquire.claim) {
                return Reply::Granted {
                    fence: self.grant(acquire, acquire.claim, acquire.ttl, at),
                };
            }
        }
        // A place keeps the claim with which it was taken.
        let claim = mine.map_or(acquire.claim, |i| self.queue[i].claim);
        let Some(queueing) = &acquire.queue else {
            return self.busy(claim, mine, at.now);
        };
        let value = acquire.owner.value();
        // A buried holder is the rest of a `min_hold`: it is not a lease, and ends by itself.
        let is_self = |h: &Holder| h.owner.value() == value && !self.is_buried(&h.owner);
        if mine.is_none() && self.holders.iter().any(is_self) {
            return Reply::SelfHeld;
        }
        let index = mine.unwrap_or(self.queue.len());
        let since = mine.map_or(at.now, |i| self.queue[i].since);
        // A heartbeat that was overtaken on the way must not bring an older number back.
        let stamp = mine.map_or(queueing.stamp, |i| self.queue[i].stamp.max(queueing.stamp));
        let place = Place {
            owner: acquire.owner.clone(),
            label: acquire.label.clone(),
            claim,
            claim_lease: queueing.window.min(acquire.ttl),
            since,
            alive_until: at.now + queueing.window,
            stamp,
            inbox: queueing.inbox.clone(),
            value: acquire.value.clone(),
        };
        match mine {
            Some(index) => self.queue[index] = place,
            None => self.queue.push_back(place),
        }
        Reply::Queued {
            ahead: u32::try_from(index).unwrap_or(u32::MAX),
            look_in: self.look_in(claim, index, None, at.now),
            blocker: self.blocker(None, at.now),
        }
    }

    /// The answer to a claim that does not wait; `mine` is its place if it has one all the same.
    fn busy(&self, claim: Claim, mine: Option<usize>, now: StoreTime) -> Reply {
        let ahead = mine.unwrap_or(self.queue.len());
        let look_in = self.look_in(claim, ahead, None, now);
        Reply::Busy { look_in, blocker: self.blocker(None, now) }
    }

    fn renew(&mut self, owner: &Owner, ttl: Duration, now: StoreTime) -> Reply {
        // The rest of a `min_hold` is still a holder, but its owner has released it.
        if self.is_buried(owner) {
            return Reply::Withdrawn;
        }
        match self.holder_mut(owner) {
            Some(holder) => {
                holder.expires = holder.expires.max(now + ttl);
                Reply::Renewed
            }
            None => Reply::Gone,
        }
    }

    fn raise(&mut self, owner: &Owner, fence: Fence) -> Reply {
        if self.is_buried(owner) {
            return Reply::Withdrawn;
        }
        let fence = fence.max(self.fence);
        let Some(holder) = self.holder_mut(owner) else {
            return Reply::Gone;
        };
        holder.fence = fence;
        self.fence = fence;
        Reply::Renewed
    }

    fn release(
        &mut self,
        owner: &Owner,
        min_hold: Duration,
        tombstone: Option<Duration>,
        now: StoreTime,
    ) -> Reply {
        if let Some(ttl) = tombstone {
            self.bury(owner, now + ttl);
        }
        let reply = if let Some(index) = self.queue.iter().position(|p| p.owner == *owner) {
            self.queue.remove(index);
            Reply::Released
        } else if let Some(index) = self.holders.iter().position(|h| h.owner == *owner) {
            let until = self.holders[index].kept_until(min_hold, now);
            if until > now {
                self.holders[index].expires = until;
                self.bury(owner, until.max(now + TOMBSTONE_MIN));
            } else {
                self.holders.remove(index);
            }
            Reply::Released
        } else if self.holders.is_empty() {
            Reply::Gone
        } else {
            Reply::Others
        };
        debug_assert!(self.queue.iter().all(|p| p.owner != *owner));
        reply
    }

    fn transfer(
        &mut self,
        from: &Owner,
        to: &Owner,
        label: &Label,
        ttl: Duration,
        now: StoreTime,
    ) -> Reply {
        if self.is_buried(to) {
            return Reply::Withdrawn;
        }
        if let Some(holder) = self.holder_mut(to) {
            holder.expires = holder.expires.max(now + ttl);
            return Reply::Transferred { fence: holder.fence };
        }
        if self.is_buried(from) {
            return Reply::Gone;
        }
        let Some(holder) = self.holder_mut(from) else {
            return Reply::Gone;
        };
        holder.owner = to.clone();
        holder.label = label.clone();
        // The adopter's own ttl replaces the time that the ticket had left. So an adopter that
        // dies, or never gets this answer, blocks the key no longer than that ttl.
        holder.expires = now + ttl;
        let fence = holder.fence;
        self.queue.retain(|p| p.owner != *to);
        self.bury(from, now + ttl.max(TOMBSTONE_MIN));
        Reply::Transferred { fence }
    }

    fn force(&mut self, up_to: Fence, now: StoreTime) -> Reply {
        let holders = std::mem::take(&mut self.holders).into_iter();
        let (forced, kept): (Vec<_>, Vec<_>) = holders.partition(|h| h.fence <= up_to);
        self.holders = kept;
        for holder in &forced {
            // A heartbeat or a repeated acquire of this owner may still be under way. It is
            // repeated until its owner knows that the lease has ended.
            self.bury(&holder.owner, holder.expires.max(now + TOMBSTONE_MIN));
        }
        Reply::Forced { holders: u32::try_from(forced.len()).unwrap_or(u32::MAX) }
    }

    fn steal(&mut self, acquire: &Acquire, at: StepContext) -> Reply {
        if self.is_buried(&acquire.owner) {
            return Reply::Withdrawn;
        }
        if let Some(holder) = self.holder_mut(&acquire.owner) {
            holder.expires = holder.expires.max(at.now + acquire.ttl);
            return Reply::Granted { fence: holder.fence };
        }
        let queued = self.queued_limit();
        if let Some(mismatch) = queued.and_then(|live| capacity::other_limit(live, acquire.claim)) {
            return mismatch;
        }
        self.force(self.fence, at.now);
        self.queue.retain(|p| p.owner != acquire.owner);
        Reply::Granted { fence: self.grant(acquire, acquire.claim, acquire.ttl, at) }
    }

    /// Removes what has expired. It grants nothing.
    fn purge(&mut self, now: StoreTime) {
        self.holders.retain(|h| h.expires > now);
        self.queue.retain(|p| p.alive_until > now);
        self.tombstones.retain(|t| t.until > now);
    }

    fn bury(&mut self, owner: &Owner, until: StoreTime) {
        match self.tombstones.iter_mut().find(|t| t.owner == *owner) {
            Some(tombstone) => tombstone.until = tombstone.until.max(until),
            None => self.tombstones.push(Tombstone { owner: owner.clone(), until }),
        }
    }

    fn is_buried(&self, owner: &Owner) -> bool {
        self.tombstones.iter().any(|t| t.owner == *owner)
    }

    fn holder_mut(&mut self, owner: &Owner) -> Option<&mut Holder> {
        self.holders.iter_mut().find(|h| h.owner == *owner)
    }

    /// The first holder, other than `own`.
    fn blocker(&self, own: Option<&Owner>, now: StoreTime) -> Option<Blocker> {
        let holder = self.holders.iter().find(|h| Some(&h.owner) != own)?;
        let held_for = now.since(holder.since);
        Some(Blocker { label: holder.label.clone(), held_for, report: None, guarded: None })
    }

    fn is_sound(&self) -> bool {
        let claims = || {
            let places = self.queue.iter().map(|p| (&p.owner, p.claim));
            self.holders.iter().map(|h| (&h.owner, h.claim)).chain(places)
        };
        let limit = self.limit();
        let is_held_whole = self.holders.iter().any(|h| h.claim.is_exclusive());
        let head_waits = self.queue.front().is_none_or(|head| !self.fits(head.claim));
        let mut owners: Vec<_> = claims().map(|(owner, _)| owner).collect();
        owners.sort_unstable();
        let unique = owners.windows(2).all(|pair| pair[0] != pair[1]);
        // Not that the units are within the limit: it may be smaller by now.
        (!is_held_whole || self.holders.len() == 1)
            && claims().all(|(_, claim)| claim.is_exclusive() || Some(claim.limit()) == limit)
            && head_waits
            && unique
    }
}
