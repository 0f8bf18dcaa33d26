//! Whether a claim fits beside the others, and when it will. It changes nothing.

use std::time::Duration;

use crate::types::{Claim, Owner, StoreTime};

use super::super::request::Reply;
use super::KeyState;

impl KeyState {
    pub(super) fn used(&self) -> u64 {
        self.holders.iter().map(|h| u64::from(h.claim.units())).sum()
    }

    pub(super) fn fits(&self, claim: Claim) -> bool {
        self.used() + u64::from(claim.units()) <= u64::from(claim.limit())
    }

    /// The limit on which all shares of the key agree, those that are held and those that are
    /// waited for.
    pub(super) fn limit(&self) -> Option<u32> {
        let held = self.holders.iter().map(|h| h.claim);
        limit_of(held).or_else(|| self.queued_limit())
    }

    /// The limit of the shares that are waited for.
    pub(super) fn queued_limit(&self) -> Option<u32> {
        limit_of(self.queue.iter().map(|p| p.claim))
    }

    /// The refusal of a share with another limit. An exclusive claim agrees with every limit.
    pub(super) fn mismatch(&self, claim: Claim) -> Option<Reply> {
        // A queue of exclusive claims may be long, and then is looked through for nothing.
        if claim.is_exclusive() {
            return None;
        }
        self.limit().and_then(|live| other_limit(live, claim))
    }

    /// Time after which `claim`, behind the first `ahead` places and in place of `own`'s lease,
    /// fits if nobody does anything until then. By then enough leases have ended and enough places
    /// have been forgotten that all claims left in front fit beside it.
    pub(super) fn look_in(
        &self,
        claim: Claim,
        ahead: usize,
        own: Option<&Owner>,
        now: StoreTime,
    ) -> Duration {
        let others = self.holders.iter().filter(|h| Some(&h.owner) != own);
        let leases = others.map(|h| (h.expires, h.claim.units()));
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

/// The limit of the shares among some claims.
fn limit_of(mut claims: impl Iterator<Item = Claim>) -> Option<u32> {
    claims.find(|claim| !claim.is_exclusive()).map(Claim::limit)
}

/// The refusal of a claim beside shares with this limit, if it is a share with another one.
pub(super) fn other_limit(live: u32, claim: Claim) -> Option<Reply> {
    let asked = claim.limit();
    let why =
        || format!("it is in use with a limit of {live}, and a limit of {asked} was asked for");
    (!claim.is_exclusive() && live != asked).then(|| Reply::Mismatch(why().into()))
}
