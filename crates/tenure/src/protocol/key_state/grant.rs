//! The start of a lease: by an acquire, or for the head of the queue. Every fence is minted here
//! and nowhere else.

use std::time::Duration;

use crate::types::{Claim, Fence};

use super::super::request::{Acquire, FenceRule, Grant};
use super::{Holder, KeyState, StepContext};

impl KeyState {
    /// Hands free units to the head of the queue, in the same step that freed them. So the key is
    /// never free for a newcomer while others wait.
    pub(super) fn grant_from_queue(&mut self, at: StepContext, grants: &mut Vec<Grant>) {
        while self.queue.front().is_some_and(|head| self.fits(head.claim)) {
            let Some(head) = self.queue.pop_front() else {
                return;
            };
            let fence = self.mint(FenceRule::Mint, at);
            if let Some(inbox) = head.inbox {
                grants.push(Grant { owner: head.owner.clone(), fence, stamp: head.stamp, inbox });
            }
            self.add(Holder {
                owner: head.owner,
                label: head.label,
                claim: head.claim,
                fence,
                since: at.now,
                expires: at.now + head.claim_lease,
                value: head.value,
            });
        }
    }

    pub(super) fn grant(
        &mut self,
        acquire: &Acquire,
        claim: Claim,
        ttl: Duration,
        at: StepContext,
    ) -> Fence {
        let fence = self.mint(acquire.fence, at);
        self.add(Holder {
            owner: acquire.owner.clone(),
            label: acquire.label.clone(),
            claim,
            fence,
            since: at.now,
            expires: at.now + ttl,
            value: acquire.value.clone(),
        });
        fence
    }

    /// Most keys have one holder: room for four would be most of a held lock's memory.
    fn add(&mut self, holder: Holder) {
        if self.holders.is_empty() {
            self.holders.reserve_exact(1);
        }
        self.holders.push(holder);
    }

    pub(super) fn mint(&mut self, rule: FenceRule, at: StepContext) -> Fence {
        let least = match rule {
            FenceRule::Mint => at.fence_seed,
            FenceRule::Propose { fence, within } => {
                let within = u64::try_from(within.as_micros()).unwrap_or(u64::MAX);
                let (seed, asked) = (at.fence_seed, fence.get());
                asked.clamp(seed.saturating_sub(within), seed.saturating_add(within))
            }
            FenceRule::Carry(fence) => {
                self.fence = self.fence.max(fence);
                return fence;
            }
        };
        let fence = Fence::new((self.fence.get() + 1).max(least));
        debug_assert!(fence > self.fence);
        self.fence = fence;
        fence
    }
}
