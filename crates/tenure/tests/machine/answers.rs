//! An answer says what is so, and a refusal changes nothing.

use std::time::Duration;

use tenure::protocol::{Holder, KeyState, Op, Reply, StepContext};

use super::checks::{Taken, Verdict, ensure, shares};

impl Taken<'_> {
    pub(crate) fn reply_is_true(&self) -> Verdict {
        let now = self.now();
        match (self.op, self.reply) {
            (Op::Acquire(a) | Op::Steal(a), Reply::Granted { fence }) => {
                let holder = self.held_after(&a.owner);
                let granted = holder.is_some_and(|h| h.fence == *fence && h.expires >= now + a.ttl);
                ensure!(granted, "{:?} is told of a lease that it has not", a.owner);
                let old = self.live_holders().find(|h| h.owner == a.owner);
                ensure!(old.is_none_or(|h| h.fence == *fence), "a re-claim changed the fence");
            }
            (Op::Acquire(a), Reply::Queued { ahead, .. }) => {
                let place = self.after.queue().get(*ahead as usize);
                let window = a.queue.as_ref().map(|q| q.window).unwrap_or_default();
                ensure!(
                    place.is_some_and(|p| p.owner == a.owner && p.alive_until == now + window),
                    "{:?} does not stand where it is told",
                    a.owner
                );
            }
            (Op::Release { owner, .. } | Op::Withdraw { owner, .. }, reply) => {
                ensure!(!self.waits_after(owner), "{owner:?} let go and stands in line");
                let idle = self.after_time_alone();
                let had = idle.holders().iter().any(|h| h.owner == *owner)
                    || idle.queue().iter().any(|p| p.owner == *owner);
                let expected = match idle.holders().is_empty() {
                    _ if had => Reply::Released,
                    true => Reply::Gone,
                    false => Reply::Others,
                };
                ensure!(*reply == expected, "{expected:?} was due");
                self.min_hold_is_kept()?;
            }
            (Op::Transfer { to, ttl, .. }, Reply::Transferred { fence }) => {
                let holder = self.held_after(to);
                let handed = holder.is_some_and(|h| h.fence == *fence && h.expires >= now + *ttl);
                ensure!(handed && !self.waits_after(to), "{to:?} has not what it was handed");
            }
            // See below.
            (Op::Handoff { .. }, Reply::HandedOff { .. }) => {}
            (
                Op::Force { .. }
                | Op::Renew { .. }
                | Op::Transfer { .. }
                | Op::Resize { .. }
                | Op::SetLimit { .. }
                | Op::Begin { .. }
                | Op::Finish { .. }
                | Op::SetValue { .. },
                _,
            ) => {}
            (Op::Inspect, Reply::Inspected(seen)) => {
                ensure!(self.before == self.after, "a look changed something");
                let shown = seen.holders.iter().map(|h| (h.fence, h.value.as_ref()));
                let live = self.live_holders().map(|h| (h.fence, h.value.as_ref()));
                ensure!(shown.eq(live), "other holders are shown than there are");
                ensure!(seen.waiters.len() == self.live_places().count(), "waiters miscounted");
            }
            (Op::Acquire(_), Reply::Busy { .. } | Reply::SelfHeld)
            | (Op::Acquire(_) | Op::Steal(_), Reply::Withdrawn | Reply::Mismatch(_)) => {}
            (op, reply) => return Err(format!("{reply:?} is no answer to {op:?}")),
        }
        Ok(())
    }

    /// A pass does what a release and an acquire at the same moment would do, but for those whom
    /// it goes ahead of.
    pub(crate) fn pass_is_a_release_and_an_acquire(&self) -> Verdict {
        let (
            Op::Handoff { owner, min_hold, tombstone, to, ahead },
            Reply::HandedOff { released, acquired },
        ) = (self.op, self.reply)
        else {
            return Ok(());
        };
        let (owner, min_hold, tombstone) = (owner.clone(), *min_hold, *tombstone);
        let idle = self.after_time_alone();
        let held = idle.holders().iter().find(|h| h.owner == owner);
        let gave_up = held.is_some_and(|h| h.since + min_hold <= self.now());
        let robbed = idle.queue().iter().any(|p| p.owner != to.owner && p.owner != owner);
        let mut apart = self.before.clone();
        let release = Op::Release { owner: owner.clone(), min_hold, tombstone };
        let first = apart.apply(&release, self.at).0;
        ensure!(first == **released, "a release alone would answer {first:?}");
        if owner == to.owner {
            ensure!(apart == *self.after, "to oneself it is more than a release");
            ensure!(**acquired == Reply::Withdrawn, "it was passed to oneself");
            return Ok(());
        }
        let goes_ahead = *ahead && gave_up && !self.was_buried(&owner) && robbed;
        if !goes_ahead {
            let second = apart.apply(&Op::Acquire(to.clone()), self.at).0;
            ensure!(second == **acquired, "an acquire alone would answer {second:?}");
            // A place and a claim of one owner may differ in their values here, which are judged
            // elsewhere.
            let bare = |holder: &Holder| Holder { value: None, ..holder.clone() };
            let bare = |key: &KeyState| key.holders().iter().map(bare).collect::<Vec<_>>();
            ensure!(bare(&apart) == bare(self.after), "{apart:#?} was due");
            ensure!(apart.queue() == self.after.queue(), "{apart:#?} was due");
            return Ok(());
        }
        if let Reply::Granted { fence } = **acquired {
            let holder = self.held_after(&to.owner).map(|h| (h.fence, h.expires));
            let due = self.now() + to.ttl;
            let right = holder.is_some_and(|(f, e)| f == fence && e >= due);
            ensure!(right, "{:?} is told of a lease that it has not", to.owner);
        }
        Ok(())
    }

    pub(crate) fn min_hold_is_kept(&self) -> Verdict {
        let Op::Release { owner, min_hold, .. } = self.op else {
            return Ok(());
        };
        let idle = self.after_time_alone();
        if let Some(had) = idle.holders().iter().find(|h| h.owner == *owner) {
            let until = had.since + *min_hold;
            let left = self.held_after(owner).map(|h| h.expires);
            let due = (until > self.now()).then_some(until);
            ensure!(left == due, "min_hold leaves the key taken until {left:?}, not {due:?}");
        }
        Ok(())
    }

    pub(crate) fn refusals_change_nothing(&self) -> Verdict {
        let refused = match (self.op, self.reply) {
            (Op::Acquire(acquire), Reply::Busy { .. }) => acquire.queue.is_none(),
            (
                _,
                Reply::SelfHeld
                | Reply::Mismatch(_)
                | Reply::Withdrawn
                | Reply::AlreadyRan(_)
                | Reply::Refused(_),
            ) => true,
            (Op::Begin { .. }, Reply::Busy { .. }) => true,
            (Op::Release { tombstone, .. }, Reply::Gone | Reply::Others) => tombstone.is_none(),
            (Op::Renew { .. } | Op::Transfer { .. }, Reply::Gone) => true,
            _ => false,
        };
        let idle = self.after_time_alone();
        ensure!(!refused || *self.after == idle, "a refused request changed something");
        Ok(())
    }

    pub(crate) fn limits_are_compared(&self) -> Verdict {
        let (Op::Acquire(acquire) | Op::Steal(acquire)) = self.op else {
            return Ok(());
        };
        let steals = matches!(self.op, Op::Steal(_));
        let idle = self.after_time_alone();
        let holds = idle.holders().iter().any(|h| h.owner == acquire.owner);
        let waits = idle.queue().iter().any(|p| p.owner == acquire.owner);
        let asked = acquire.claim;
        // Those that hold lose the key, and agree with it no more.
        let queued = idle.queue().iter().map(|p| p.claim).filter(|c| !c.is_exclusive());
        let live: Vec<_> = if steals { queued.collect() } else { shares(&idle).collect() };
        let differs = live.iter().any(|live| live.limit() != asked.limit());
        let is_compared = !asked.is_exclusive() && !holds && (steals || !waits);
        let due = differs && is_compared && !self.was_buried(&acquire.owner);
        let refused = matches!(self.reply, Reply::Mismatch(_));
        ensure!(due == refused, "another limit is{} refused", if refused { "" } else { " not" });
        Ok(())
    }

    /// Waiting for a holder with the same fixed value would be waiting for oneself; but what is
    /// left of a `min_hold` ends by itself.
    pub(crate) fn own_value_is_not_waited_for(&self) -> Verdict {
        let Op::Acquire(acquire) = self.op else {
            return Ok(());
        };
        let idle = self.after_time_alone();
        let waits = idle.queue().iter().any(|p| p.owner == acquire.owner);
        let self_held = idle.holders().iter().any(|h| {
            h.owner.value() == acquire.owner.value()
                && h.owner != acquire.owner
                && !self.was_buried(&h.owner)
        });
        match self.reply {
            Reply::SelfHeld => ensure!(self_held && !waits, "nobody holds with that value"),
            Reply::Queued { .. } => ensure!(!self_held || waits, "it waits for itself"),
            _ => {}
        }
        Ok(())
    }

    /// The moment that is named is the first at which a look can succeed, if nothing else
    /// happens: not later (one would wait for nothing), and not earlier (one would look in vain).
    pub(crate) fn looks_are_named_in_time(&self) -> Verdict {
        let (Op::Acquire(acquire), Reply::Queued { look_in, .. } | Reply::Busy { look_in, .. }) =
            (self.op, self.reply)
        else {
            return Ok(());
        };
        ensure!(*look_in > Duration::ZERO, "a busy loop: look again at once");
        let place = self.after.queue().iter().find(|p| p.owner == acquire.owner);
        if place.is_some_and(|p| p.claim != acquire.claim) {
            // It is told about its place, and asks for something else once that has died.
            return Ok(());
        }
        let looks_at = |after: Duration| {
            let now = self.now() + after;
            let (reply, _) = self.after.clone().apply(self.op, StepContext { now, ..self.at });
            matches!(reply, Reply::Granted { .. })
        };
        ensure!(!looks_at(*look_in - Duration::from_micros(1)), "it was free before {look_in:?}");
        ensure!(!looks_at(*look_in / 2), "it was free before {look_in:?}");
        // A place that has died by then counts no more: others may have come in front.
        if place.is_none_or(|p| p.alive_until > self.now() + *look_in) {
            ensure!(looks_at(*look_in), "not free after {look_in:?}");
        }
        Ok(())
    }
}
