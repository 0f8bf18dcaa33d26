//! Changes of units and of the limit, in place. They end no lease.

use crate::types::{Claim, Fence, Owner};

use super::super::request::{FenceRule, Reply};
use super::{KeyState, StepContext};

impl KeyState {
    /// Gives the lease of `owner` other units. The caller grants what becomes free.
    pub(super) fn resize(
        &mut self,
        owner: &Owner,
        fence: Fence,
        from: Claim,
        to: Claim,
        at: StepContext,
    ) -> Reply {
        if self.is_buried(owner) {
            return Reply::Withdrawn;
        }
        let Some(index) = self.holders.iter().position(|h| h.owner == *owner) else {
            return Reply::Gone;
        };
        let held = &self.holders[index];
        let units = held.claim.units();
        let keeps_units = from.units() == to.units();
        if held.claim == to && !keeps_units {
            return Reply::Resized { fence: held.fence };
        }
        if (held.fence, units) != (fence, from.units()) {
            return Reply::Mismatch("its lease was changed since this was sent".into());
        }
        if let Some(mismatch) = self.mismatch(to) {
            return mismatch;
        }
        if to.units() > units {
            let others = self.used() - u64::from(units);
            let fits = others + u64::from(to.units()) <= u64::from(to.limit());
            if !self.queue.is_empty() || !fits {
                let look_in = self.look_in(to, self.queue.len(), Some(owner), at.now);
                return Reply::Busy { look_in, blocker: self.blocker(Some(owner), at.now) };
            }
        }
        if to.units() > units || keeps_units {
            // A late request from before this must not be taken for a new one.
            self.holders[index].fence = self.mint(FenceRule::Mint, at);
        }
        let held = &mut self.holders[index];
        held.claim = to;
        Reply::Resized { fence: held.fence }
    }

    /// Gives all shares another limit. The caller grants what fits now.
    pub(super) fn set_limit(&mut self, limit: u32) -> Reply {
        if Claim::new(1, limit).is_none() {
            return Reply::Mismatch(format!("a limit is from 1 to {}", Claim::MAX).into());
        }
        let was = self.limit();
        if was.is_some_and(|was| was != limit) {
            self.holders.iter_mut().for_each(|h| h.claim = h.claim.of(limit));
            self.queue.iter_mut().for_each(|p| p.claim = p.claim.of(limit));
            // It would never fit, and hold up all behind it.
            self.queue.retain(|p| p.claim.is_exclusive() || p.claim.units() <= limit);
        }
        Reply::LimitSet { was }
    }
}
