//! Handoff: a lease goes from one task of a process to the next in one step. It never grants more
//! than `owner` gives up.

use std::time::Duration;

use crate::types::{Claim, Owner, StoreTime};

use super::super::request::{Acquire, Grant, Reply};
use super::{KeyState, StepContext};

impl KeyState {
    /// Whether a release by `owner` at `now` would free its units. Only an owner that gives them
    /// up may name the next holder.
    pub(super) fn gives_up(&self, owner: &Owner, min_hold: Duration, now: StoreTime) -> bool {
        let holder = self.holders.iter().find(|h| h.owner == *owner);
        holder.is_some_and(|h| h.kept_until(min_hold, now) <= now) && !self.is_buried(owner)
    }

    /// Grants to `to` ahead of the queue, if its claim fits.
    pub(super) fn grant_ahead(&mut self, to: &Acquire, at: StepContext) {
        // A grant to its place in the queue would have been of that claim, and no shorter.
        let place = self.queue.iter().position(|p| p.owner == to.owner);
        let claim = place.map_or(to.claim, |index| self.queue[index].claim);
        if self.can_be_granted(to, claim) {
            let place = place.and_then(|index| self.queue.remove(index));
            let lease = place.map_or(to.ttl, |p| p.claim_lease.max(to.ttl));
            self.grant(to, claim, lease, at);
        }
    }

    /// The last part of a handoff: `owner` has released, and `to` claims.
    pub(super) fn handoff(
        &mut self,
        owner: &Owner,
        released: Reply,
        to: &Acquire,
        at: StepContext,
        grants: &mut Vec<Grant>,
    ) -> Reply {
        self.grant_from_queue(at, grants);
        // An acquire answers both ways, granted above or not. A handoff to the same owner would
        // grant again each time it is repeated.
        let acquired = if *owner == to.owner { Reply::Withdrawn } else { self.acquire(to, at) };
        Reply::HandedOff { released: Box::new(released), acquired: Box::new(acquired) }
    }

    fn can_be_granted(&self, to: &Acquire, claim: Claim) -> bool {
        let holds = self.holders.iter().any(|h| h.owner == to.owner);
        !holds && !self.is_buried(&to.owner) && self.mismatch(claim).is_none() && self.fits(claim)
    }
}
