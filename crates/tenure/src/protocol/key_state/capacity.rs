//! Whether a claim fits beside the others, and when it will. It changes nothing.

use std::time::Duration;

use crate::types::{Claim, StoreTime};

use super::super::request::Reply;
use super::KeyState;

impl KeyState {
    pub(super) fn used(&self) -> u64 {
        self.holders.iter().map(|h| u64::from(h.claim.units())).sum()
    }

    pub(super) fn fits(&self, claim: Claim) -> bool {
        self.used() + u64::from(claim.units()) <= u64::from(claim.limit())
    }

    pub(super) fn mismatch(&self, claim: Claim) -> Option<Reply> {
        let live = self.holders.first().map(|h| h.claim).or(self.queue.front().map(|p| p.claim));
        live.filter(|live| live.limit() != claim.limit()).map(|live| other_limit(live, claim))
    }

    /// Time after which `claim`, behind the first `ahead` places, fits if nobody does anything
    /// until then. By then enough leases have ended and enough places have been forgotten that all
    /// claims left in front fit beside it.
    pub(super) fn look_in(&self, claim: Claim, ahead: usize, now: StoreTime) -> Duration {
        let leases = self.holders.iter().map(|h| (h.expires, h.claim.units()));
        let places = self.queue.iter().take(ahead).map(|p| (p.alive_until, p.claim.units()));
        let mut in_front: Vec<_> = leases.chain(places).collect();
        in_front.sort_unstable();
        let mut used: u64 = in_front.iter().map(|(_, units)| u64::from(*units)).sum();
        for (end, units) in in_front {
            used -= u64::from(units);
            if used + u64::from(claim.units()) <= u64::from(claim.limit()) {
                return end.since(now);
            }
        }
        Duration::ZERO
    }
}

pub(super) fn other_limit(live: Claim, asked: Claim) -> Reply {
    let (live, asked) = (live.limit(), asked.limit());
    Reply::Mismatch(
        format!("it is in use with a limit of {live}, and a limit of {asked} was asked for").into(),
    )
}
