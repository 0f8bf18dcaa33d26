//! First come, first served: what one step may do to the line, and whom it must tell.

use std::collections::BTreeSet;

use tenure::protocol::{Op, Place, Reply};
use tenure::{Claim, Owner};

use super::checks::{Taken, Verdict, ensure, fits};

impl Taken<'_> {
    /// First come, first served: who left the line for a lease stood in front of all who stayed,
    /// and nobody was granted past a line that goes on waiting.
    pub(crate) fn line_is_kept(&self) -> Verdict {
        let takes_away = matches!(self.op, Op::Force { .. } | Op::Steal(_));
        let held = |owner: &Owner| self.held_after(owner).map(|h| &h.owner);
        let left = match self.op {
            Op::Release { owner, .. } | Op::Withdraw { owner, .. } | Op::Finish { owner, .. } => {
                [Some(owner), None]
            }
            Op::Transfer { to, .. } => [held(to), None],
            Op::Steal(acquire) => [held(&acquire.owner), None],
            Op::Handoff { owner, to, ahead: true, .. } => [Some(owner), held(&to.owner)],
            Op::Handoff { owner, .. } => [Some(owner), None],
            _ => [None, None],
        };
        let stayed: Vec<_> = self.after.queue().iter().map(|p| &p.owner).collect();
        // It would never fit.
        let is_possible = |p: &&Place| match self.op {
            Op::SetLimit { limit } => !self.is_limit_changed() || fits_alone(p.claim, *limit),
            _ => true,
        };
        let places = self.live_places().filter(is_possible);
        let mut served = places.map(|p| &p.owner).filter(|o| !left.contains(&Some(*o)));
        let mut last_fence = self.before.fence();
        let mut next = served.next();
        // Served, or served and robbed in the same step, or served and handed over.
        while let Some(owner) = next.filter(|o| !stayed.contains(o)) {
            let heir = match self.op {
                Op::Transfer { from, to, .. } if from == owner && self.handed_over() => to,
                _ => owner,
            };
            match self.held_after(heir) {
                Some(h) => {
                    ensure!(h.fence > last_fence, "{heir:?} was served out of turn");
                    last_fence = h.fence;
                }
                None if takes_away && self.buried_until(owner).is_some() => {}
                None => return Err(format!("{owner:?} was alive and lost its place")),
            }
            next = served.next();
        }
        let expected: Vec<_> = next.into_iter().chain(served).collect();
        ensure!(stayed.starts_with(&expected), "the line was {expected:?} and is {stayed:?}");
        let joined = &stayed[expected.len()..];
        let asked = match self.op {
            Op::Acquire(acquire) | Op::Handoff { to: acquire, .. } if acquire.queue.is_some() => {
                Some(&acquire.owner)
            }
            _ => None,
        };
        ensure!(joined.iter().all(|o| Some(*o) == asked), "{joined:?} never asked for a place");
        self.nobody_overtook_the_line()
    }

    pub(crate) fn nobody_overtook_the_line(&self) -> Verdict {
        for place in self.after.queue() {
            let old = self.before.queue().iter().find(|p| p.owner == place.owner);
            if let Some(old) = old.filter(|p| p.alive_until > self.now()) {
                ensure!(old.since == place.since, "{:?} waits anew", place.owner);
                let is_kept = self.is_kept(old.claim, place.claim);
                ensure!(is_kept, "{:?} waits for something else", place.owner);
                ensure!(old.stamp <= place.stamp, "an older heartbeat of {:?} won", place.owner);
                ensure!(
                    old.alive_until <= place.alive_until || asks(self.op, &place.owner),
                    "the place of {:?} was shortened",
                    place.owner
                );
            }
        }
        if let (Op::Acquire(acquire), Reply::Granted { .. }) = (self.op, self.reply) {
            let waited = self.live_places().any(|p| p.owner == acquire.owner);
            let held = self.live_holders().any(|h| h.owner == acquire.owner);
            ensure!(
                waited || held || self.after.queue().is_empty(),
                "{:?} was granted past the line",
                acquire.owner
            );
        }
        if let Some(head) = self.after.queue().front() {
            ensure!(!fits(self.after, head.claim), "the head waits for nothing");
        }
        Ok(())
    }

    pub(crate) fn grants_are_announced(&self) -> Verdict {
        let mut fences = BTreeSet::new();
        for grant in self.grants {
            let place = self.live_places().find(|p| p.owner == grant.owner);
            let Some(place) = place else {
                return Err(format!("{:?} was told of a grant and did not wait", grant.owner));
            };
            ensure!(place.stamp == grant.stamp, "a grant with another stamp");
            ensure!(place.inbox.as_ref() == Some(&grant.inbox), "a grant to another inbox");
            ensure!(grant.fence > self.before.fence(), "an announced fence that is not new");
            ensure!(fences.insert(grant.fence), "the same fence announced twice");
        }
        for place in self.live_places().filter(|p| p.inbox.is_some()) {
            let Some(holder) = self.held_after(&place.owner) else {
                continue;
            };
            let announced = self.grants.iter().any(|g| g.fence == holder.fence);
            let by_itself = matches!(self.op, Op::Steal(a) if a.owner == place.owner)
                || matches!(self.op, Op::Transfer { to, .. } if *to == place.owner)
                || matches!(self.op, Op::Handoff { to, ahead: true, .. }
                    if to.owner == place.owner);
            ensure!(announced || by_itself, "{:?} was not told of its grant", place.owner);
        }
        Ok(())
    }
}

fn fits_alone(claim: Claim, limit: u32) -> bool {
    claim.is_exclusive() || claim.units() <= limit
}

fn asks(op: &Op, owner: &Owner) -> bool {
    matches!(op, Op::Acquire(a) | Op::Handoff { to: a, .. } if a.owner == *owner)
}
