//! A step over several keys: acquires that are granted together or not at all. It looks at every
//! key before it takes the first one, and no claim of it ever stands in a queue.

use crate::types::{Fence, Key, StoreTime};

use super::super::request::{Acquire, Grant, Group, Op, Reply};
use super::{KeyState, StepContext};

/// The part of a group's step that falls to one key.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    /// Answer whether the acquire would be granted, and grant nothing.
    Look(&'a Acquire),
    /// Grant it. All keys were looked at before, in the same step.
    Take(&'a Acquire),
}

impl Group {
    /// Carries the step out, as part of one atomic step of a store: `on_key` lets the machine of
    /// that key apply a part ([`KeyState::apply_part`]). The keys are looked at in their order, up
    /// to the first that cannot be had. Keys are taken only if there is none such.
    ///
    /// # Errors
    /// That of `on_key`. The store must then undo what it has done.
    pub fn carry_out<'a, E>(
        &'a self,
        mut on_key: impl FnMut(&'a Key, Part<'a>) -> Result<Result<Fence, Reply>, E>,
    ) -> Result<Reply, E> {
        let blocked = |key: &Key, by| Reply::Blocked { key: key.clone(), by: Box::new(by) };
        for (key, acquire) in self.members() {
            if let Err(by) = on_key(key, Part::Look(acquire))? {
                return Ok(blocked(key, by));
            }
        }
        let mut fences = Vec::with_capacity(self.members().len());
        for (key, acquire) in self.members() {
            match on_key(key, Part::Take(acquire))? {
                Ok(fence) => fences.push(fence),
                Err(by) => {
                    debug_assert!(fences.is_empty(), "{key} was free, and is not: {by:?}");
                    return Ok(blocked(key, by));
                }
            }
        }
        Ok(Reply::AllGranted { fences })
    }
}

impl<'a> Part<'a> {
    /// The acquire that it is about.
    #[must_use]
    pub fn acquire(self) -> &'a Acquire {
        let (Self::Look(acquire) | Self::Take(acquire)) = self;
        acquire
    }
}

impl KeyState {
    /// Carries out one key's part of a group's step. Answers the fence of the lease, or of the last
    /// one if it only looks; or why the key cannot be had. Answers as well the grants that were
    /// made to waiters.
    #[cold]
    pub fn apply_part(
        &mut self,
        part: Part<'_>,
        at: StepContext,
    ) -> (Result<Fence, Reply>, Vec<Grant>) {
        match part {
            Part::Look(acquire) => {
                let grants = self.settle(at);
                let refusal = self.refusal(acquire, at.now);
                (refusal.map_or(Ok(self.fence()), Err), grants)
            }
            Part::Take(acquire) => {
                let (reply, grants) = self.apply(&Op::Acquire(acquire.clone()), at);
                let granted = match reply {
                    Reply::Granted { fence } => Ok(fence),
                    other => Err(other),
                };
                (granted, grants)
            }
        }
    }

    /// Removes what has expired, and grants what is free to those that wait.
    fn settle(&mut self, at: StepContext) -> Vec<Grant> {
        // A step that is refused does nothing else. (With two callers, the parts of `apply` would
        // be calls of their own, which costs a mutex 7 %.)
        let (_refused, grants) = self.apply(&Op::SetLimit { limit: 0 }, at);
        grants
    }

    /// Why an acquire without a place would not be granted; `None` if it would.
    fn refusal(&self, acquire: &Acquire, now: StoreTime) -> Option<Reply> {
        let Acquire { owner, claim, .. } = acquire;
        if self.is_buried(owner) {
            return Some(Reply::Withdrawn);
        }
        if self.holders.iter().any(|h| h.owner == *owner) {
            return None;
        }
        let mine = self.queue.iter().position(|p| p.owner == *owner);
        if mine.is_none() {
            let mismatch = self.mismatch(*claim);
            if mismatch.is_some() || (self.queue.is_empty() && self.fits(*claim)) {
                return mismatch;
            }
        }
        let claim = mine.map_or(*claim, |place| self.queue[place].claim);
        Some(self.busy(claim, mine, now))
    }
}
