//! The invariants of one step. Each is a function of the state before, the request and the state
//! after, and each says in words what was broken.

use std::collections::BTreeSet;
use std::time::Duration;

use tenure::protocol::{Grant, Holder, KeyState, Op, Place, Reply, StepContext};
use tenure::{Claim, Owner, StoreTime};

use super::acts::ms;

/// One step of the machine, with all that went in and came out.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    pub(crate) before: &'a KeyState,
    pub(crate) op: &'a Op,
    pub(crate) at: StepContext,
    pub(crate) after: &'a KeyState,
    pub(crate) reply: &'a Reply,
    pub(crate) grants: &'a [Grant],
}

pub(crate) type Verdict = Result<(), String>;

/// Ends a check with what was broken.
macro_rules! ensure {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err(format!($($what)+));
        }
    };
}

pub(crate) use ensure;

/// Carries out `op` and judges the step by every invariant there is.
pub(crate) fn take(resource: &mut KeyState, op: &Op, at: StepContext) -> Result<Reply, String> {
    let before = resource.clone();
    let (reply, grants) = resource.apply(op, at);
    let taken = Taken { before: &before, op, at, after: resource, reply: &reply, grants: &grants };
    taken.judge().map_err(|what| format!("{what}\n{taken:#?}"))?;
    Ok(reply)
}

/// The live shares, held and waited for.
pub(crate) fn shares(key: &KeyState) -> impl Iterator<Item = Claim> {
    let held = key.holders().iter().map(|h| h.claim);
    held.chain(key.queue().iter().map(|p| p.claim)).filter(|claim| !claim.is_exclusive())
}

/// The units of the shares that are held.
fn used(key: &KeyState) -> u64 {
    let held = key.holders().iter().map(|h| h.claim);
    held.filter(|claim| !claim.is_exclusive()).map(|claim| u64::from(claim.units())).sum()
}

/// Whether a claim fits beside the holders.
pub(crate) fn fits(key: &KeyState, claim: Claim) -> bool {
    if claim.is_exclusive() {
        return key.holders().is_empty();
    }
    let is_held_whole = key.holders().iter().any(|h| h.claim.is_exclusive());
    !is_held_whole && used(key) + u64::from(claim.units()) <= u64::from(claim.limit())
}

impl Taken<'_> {
    fn judge(&self) -> Verdict {
        if *self.op == Op::Inspect {
            return self.reply_is_true();
        }
        self.is_within_the_limit()?;
        self.fences_grow()?;
        self.leases_stand()?;
        self.renewal_neither_shortens_nor_creates()?;
        self.line_is_kept()?;
        self.grants_are_announced()?;
        self.buried_owners_get_nothing()?;
        self.tombstones_are_set()?;
        self.reply_is_true()?;
        self.pass_is_a_release_and_an_acquire()?;
        self.resize_is_due()?;
        self.limit_is_set()?;
        self.runs_are_due()?;
        self.runs_are_kept()?;
        self.leases_begin_with_their_values()?;
        self.value_is_set()?;
        self.refusals_change_nothing()?;
        self.limits_are_compared()?;
        self.own_value_is_not_waited_for()?;
        self.repeating_changes_nothing()?;
        self.looks_are_named_in_time()
    }

    pub(crate) fn now(&self) -> StoreTime {
        self.at.now
    }

    pub(crate) fn live_holders(&self) -> impl Iterator<Item = &Holder> {
        self.before.holders().iter().filter(|h| h.expires > self.now())
    }

    pub(crate) fn live_places(&self) -> impl Iterator<Item = &Place> {
        self.before.queue().iter().filter(|p| p.alive_until > self.now())
    }

    pub(crate) fn was_buried(&self, owner: &Owner) -> bool {
        let now = self.now();
        self.before.tombstones().iter().any(|t| t.owner == *owner && t.until > now)
    }

    pub(crate) fn held_after(&self, owner: &Owner) -> Option<&Holder> {
        self.after.holders().iter().find(|h| h.owner == *owner)
    }

    pub(crate) fn handed_over(&self) -> bool {
        matches!(self.reply, Reply::Transferred { .. })
            && matches!(self.op, Op::Transfer { from, .. } if self.held_after(from).is_none())
    }

    pub(crate) fn waits_after(&self, owner: &Owner) -> bool {
        self.after.queue().iter().any(|p| p.owner == *owner)
    }

    pub(crate) fn buried_until(&self, owner: &Owner) -> Option<StoreTime> {
        self.after.tombstones().iter().find(|t| t.owner == *owner).map(|t| t.until)
    }

    /// The state after the same time and no request: a stranger asked for nothing.
    pub(crate) fn after_time_alone(&self) -> KeyState {
        let stranger = Owner::from_parts("stranger", u64::MAX);
        let mut resource = self.before.clone();
        resource.apply(&Op::Renew { owner: stranger, ttl: ms(1) }, self.at);
        resource
    }

    fn is_within_the_limit(&self) -> Verdict {
        let holders = self.after.holders();
        let limits: BTreeSet<_> = shares(self.after).map(Claim::limit).collect();
        ensure!(limits.len() <= 1, "live shares with the limits {limits:?} on one key");
        let exclusive = holders.iter().any(|h| h.claim.is_exclusive());
        ensure!(!exclusive || holders.len() == 1, "another holds beside an exclusive claim");
        let used = if exclusive { 0 } else { used(self.after) };
        let limit = limits.first().copied().unwrap_or(0);
        // Under a limit that became smaller, nobody gets more until enough came back.
        let idle = self.after_time_alone();
        let had = |h: &Holder| {
            let old = idle.holders().iter().find(|old| old.fence == h.fence);
            old.is_some_and(|old| old.claim.units() >= h.claim.units())
        };
        let is_within = used <= u64::from(limit) || holders.iter().all(had);
        ensure!(is_within, "{used} units held of {limit}");
        let owners = holders.iter().map(|h| &h.owner);
        let mut seen = BTreeSet::new();
        for owner in owners.chain(self.after.queue().iter().map(|p| &p.owner)) {
            ensure!(seen.insert(owner.clone()), "{owner:?} stands there twice");
        }
        Ok(())
    }

    fn fences_grow(&self) -> Verdict {
        ensure!(self.after.fence() >= self.before.fence(), "the fence went back");
        let mut seen = BTreeSet::new();
        for holder in self.after.holders() {
            let fence = holder.fence;
            ensure!(seen.insert(fence), "two holders with the fence {fence}");
            ensure!(fence <= self.after.fence(), "the fence {fence} is not on record");
            let same = self.before.holders().iter().find(|h| h.fence == fence);
            if let Some(old) = same {
                ensure!(old.expires > self.now(), "an ended lease lives on with its fence {fence}");
                ensure!(old.since == holder.since, "a kept fence for a new lease");
                continue;
            }
            ensure!(fence > self.before.fence(), "a new grant with the old fence {fence}");
            ensure!(fence.get() >= self.at.fence_seed, "a fence below the clock's");
            let is_resized = matches!(self.op, Op::Resize { owner, .. } if *owner == holder.owner);
            ensure!(is_resized || holder.since == self.now(), "a new grant that began in the past");
        }
        Ok(())
    }

    /// Nobody but its owner, `force` or `steal` ends or shortens a live lease.
    fn leases_stand(&self) -> Verdict {
        for old in self.live_holders() {
            let may_end = match self.op {
                Op::Release { owner, .. }
                | Op::Withdraw { owner, .. }
                | Op::Finish { owner, .. }
                | Op::Handoff { owner, .. } => *owner == old.owner,
                Op::Transfer { from, .. } => *from == old.owner,
                Op::Force { up_to } => old.fence <= *up_to,
                Op::Steal(acquire) => acquire.owner != old.owner,
                _ => false,
            };
            if may_end {
                continue;
            }
            let Some(new) = self.held_after(&old.owner) else {
                return Err(format!("the lease of {:?} was ended by another", old.owner));
            };
            ensure!(new.expires >= old.expires, "the lease of {:?} was shortened", old.owner);
            if matches!(self.op, Op::Resize { owner, .. } if *owner == old.owner) {
                self.is_resized_as_told(old, new)?;
                continue;
            }
            ensure!(new.fence == old.fence, "{:?} lost its fence", old.owner);
            ensure!(self.is_kept(old.claim, new.claim), "the claim of {:?} changed", old.owner);
        }
        Ok(())
    }

    fn renewal_neither_shortens_nor_creates(&self) -> Verdict {
        let Op::Renew { owner, ttl } = self.op else {
            return Ok(());
        };
        let idle = self.after_time_alone();
        let had = idle.holders().iter().find(|h| h.owner == *owner);
        let owners = |r: &KeyState| r.holders().iter().map(|h| h.owner.clone()).collect::<Vec<_>>();
        ensure!(owners(&idle) == owners(self.after), "a renewal made or ended a lease");
        let expected = match had {
            _ if self.was_buried(owner) => Reply::Withdrawn,
            Some(_) => Reply::Renewed,
            None => Reply::Gone,
        };
        ensure!(*self.reply == expected, "{expected:?} was due");
        if let (Reply::Renewed, Some(had)) = (self.reply, had) {
            let expires = self.held_after(owner).map(|h| h.expires);
            let due = had.expires.max(self.now() + *ttl);
            ensure!(expires == Some(due), "renewed until {expires:?} instead of {due:?}");
        }
        Ok(())
    }

    /// No ghost: an owner with a tombstone comes to nothing, whatever is asked in its name.
    fn buried_owners_get_nothing(&self) -> Verdict {
        let now = self.now();
        for tombstone in self.before.tombstones().iter().filter(|t| t.until > now) {
            let owner = &tombstone.owner;
            ensure!(!self.waits_after(owner), "the ghost of {owner:?} stands in line");
            ensure!(self.buried_until(owner) >= Some(tombstone.until), "a tombstone was lost");
            if let Some(holder) = self.held_after(owner) {
                let old = self.before.holders().iter().find(|h| h.fence == holder.fence);
                let shrunk = old.is_some_and(|h| holder.expires <= h.expires);
                let released = matches!(
                    self.op,
                    Op::Release { owner: o, .. } | Op::Handoff { owner: o, .. } if o == owner
                );
                ensure!(shrunk || (released && old.is_some()), "the ghost of {owner:?} holds");
            }
            let refused = match self.op {
                Op::Acquire(a) | Op::Steal(a) if a.owner == *owner => {
                    *self.reply == Reply::Withdrawn
                }
                Op::Begin { acquire, .. } if acquire.owner == *owner => {
                    !matches!(self.reply, Reply::Granted { .. })
                }
                Op::Handoff { to, .. } if to.owner == *owner => matches!(
                    self.reply,
                    Reply::HandedOff { acquired, .. } if **acquired == Reply::Withdrawn
                ),
                Op::Transfer { to, .. } if to == owner => *self.reply == Reply::Withdrawn,
                Op::Transfer { from, to, .. } if from == owner => {
                    matches!(self.reply, Reply::Gone | Reply::Withdrawn)
                        || self.held_after(to).is_some()
                }
                _ => true,
            };
            ensure!(refused, "{owner:?} was withdrawn and is answered {:?}", self.reply);
        }
        Ok(())
    }

    fn tombstones_are_set(&self) -> Verdict {
        let now = self.now();
        let minute = now + Duration::from_secs(60);
        let need = |owner: &Owner, until: StoreTime| -> Verdict {
            ensure!(
                until <= now || self.buried_until(owner) >= Some(until),
                "{owner:?} needs a tombstone until {until:?}"
            );
            Ok(())
        };
        match (self.op, self.reply) {
            (Op::Withdraw { owner, tombstone }, _) => {
                ensure!(self.held_after(owner).is_none(), "{owner:?} was withdrawn and holds");
                need(owner, now + *tombstone)?;
            }
            (Op::Release { owner, tombstone, .. } | Op::Handoff { owner, tombstone, .. }, _) => {
                need(owner, now + tombstone.unwrap_or_default())?;
                if self.held_after(owner).is_some() {
                    need(owner, minute)?;
                }
            }
            (Op::Transfer { from, to, ttl, .. }, Reply::Transferred { .. }) if from != to => {
                let handed = self.live_holders().any(|h| h.owner == *from)
                    && self.held_after(from).is_none();
                if handed {
                    need(from, minute.max(now + *ttl))?;
                }
            }
            (Op::Finish { owner, tombstone, .. }, _) => {
                ensure!(self.held_after(owner).is_none(), "{owner:?} has finished and holds");
                need(owner, now + tombstone.unwrap_or_default())?;
            }
            (Op::Force { up_to }, _) => {
                for old in self.live_holders().filter(|h| h.fence <= *up_to) {
                    ensure!(self.held_after(&old.owner).is_none(), "force left {:?}", old.owner);
                    need(&old.owner, minute.max(old.expires))?;
                }
            }
            (Op::Steal(acquire), Reply::Granted { .. }) => {
                let fresh = !self.live_holders().any(|h| h.owner == acquire.owner);
                for old in self.live_holders().filter(|h| fresh && h.owner != acquire.owner) {
                    let kept = self.held_after(&old.owner).is_some();
                    let by_line = self.live_places().any(|p| p.owner == acquire.owner);
                    ensure!(!kept || by_line, "steal left {:?}", old.owner);
                    if !kept {
                        need(&old.owner, minute.max(old.expires))?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn repeating_changes_nothing(&self) -> Verdict {
        if matches!(self.op, Op::Force { up_to } if *up_to > self.before.fence()) {
            // It asked for whoever it might meet, and meets the next one now.
            return Ok(());
        }
        let mut again = self.after.clone();
        let (reply, grants) = again.apply(self.op, self.at);
        ensure!(again == *self.after, "repeated at once, it changed something: {again:#?}");
        ensure!(grants.is_empty(), "repeated at once, it granted {grants:?}");
        let same = match (self.op, self.reply, &reply) {
            // A lease that was given back is gone, and the answer says so.
            (Op::Release { .. } | Op::Withdraw { .. }, Reply::Released, again) => {
                matches!(again, Reply::Released | Reply::Gone | Reply::Others)
            }
            (Op::Finish { .. }, Reply::Released, again) => {
                matches!(again, Reply::Released | Reply::Gone | Reply::Others)
            }
            // A release may hand the key on: it is another's from then on.
            (Op::Release { .. } | Op::Withdraw { .. } | Op::Finish { .. }, Reply::Gone, again) => {
                matches!(again, Reply::Gone | Reply::Others)
            }
            (
                Op::Handoff { .. },
                Reply::HandedOff { acquired, .. },
                Reply::HandedOff { acquired: again, .. },
            ) => acquired == again,
            (Op::Force { .. }, Reply::Forced { .. }, again) => {
                *again == Reply::Forced { holders: 0 }
            }
            (Op::SetLimit { limit }, Reply::LimitSet { was: Some(_) }, again) => {
                // Those that waited for more than that are gone, and may have been all.
                let was = shares(self.after).next().is_some().then_some(*limit);
                *again == Reply::LimitSet { was }
            }
            // The lease has another fence by then, and that is all that was asked for.
            (Op::Resize { from, to, .. }, Reply::Resized { .. }, again)
                if from.units() == to.units() =>
            {
                matches!(again, Reply::Mismatch(_))
            }
            (_, first, again) => first == again,
        };
        ensure!(same, "repeated at once, it answered {reply:?}");
        Ok(())
    }
}
