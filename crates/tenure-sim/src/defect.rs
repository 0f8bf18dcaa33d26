//! Bugs that can be built into the simulated server, each one seen in a real lock. They exist to
//! prove that the judge finds them; a server without a defect never comes here.

use std::collections::VecDeque;
use std::time::Duration;

use tenure::Claim;
use tenure::Label;
use tenure::protocol::{
    Grant, Holder, KeyState, Op, Outcome, Place, Reply, RunEnd, Runs, StepContext,
};

/// A fault of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Defect {
    /// A renewal of a missing lease creates it (RedLock.net#48, redis-semaphore#175).
    RenewalRecreates,
    /// A request that comes late is served as if its owner had not let go.
    TombstonesIgnored,
    /// A release does not look whose lease it ends.
    ReleaseOfAnybody,
    /// Two grants get the same fence.
    FenceStands,
    /// The one who came last is granted first.
    LastComeFirst,
    /// A release forgets who waits.
    QueueForgotten,
    /// A lease of the dead never ends (Redisson and others without a ttl).
    LeaseForEver,
    /// A waiter's grant is never told, and its heartbeats are answered as if it stood in line.
    GrantUntold,
    /// A renewal after the first second finds nothing.
    RenewalRefused,
    /// The server's clock runs 3 % faster than the clients': beyond the allowance.
    ClockTooFast,
    /// A quorum's node that lost its memory grants at once.
    CountsAtOnce,
    /// A permit that comes back is counted twice.
    PermitCountedTwice,
    /// A quorum's node that was emptied while it ran grants at once: it looks at its uptime alone.
    TrustsUptime,
    /// A value is set for whoever holds: neither owner nor fence is looked at.
    ValueOfAnybody,
    /// A value replaces another one whatever its revision is.
    OlderValueWins,
    /// A begin does not look at the record of the last run.
    RecordIgnored,
    /// A run that was not finished is put on record as ok.
    UnfinishedIsOk,
}

impl Defect {
    /// Carries out a step by the machine, with the defect in it.
    pub(crate) fn apply(
        self,
        before: &KeyState,
        op: &Op,
        at: StepContext,
    ) -> (KeyState, (Reply, Vec<Grant>)) {
        let parts = Parts::of(before);
        match self {
            Self::RenewalRecreates => recreate(before.clone(), op, at),
            Self::TombstonesIgnored => Parts { tombstones: vec![], ..parts }.apply(op, at),
            Self::ReleaseOfAnybody => parts.apply(&release_of_anybody(before, op), at),
            Self::FenceStands => {
                let last = before.fence().get().saturating_sub(1);
                let at =
                    StepContext { fence_seed: if last == 0 { at.fence_seed } else { 0 }, ..at };
                Parts { fence: last, ..parts }.apply(op, at)
            }
            Self::LastComeFirst => {
                let mut parts = parts;
                if !matches!(op, Op::Acquire(_)) {
                    parts.queue = parts.queue.into_iter().rev().collect();
                }
                parts.apply(op, at)
            }
            Self::QueueForgotten => {
                let mut parts = parts;
                if matches!(op, Op::Release { .. }) {
                    parts.queue.clear();
                }
                parts.apply(op, at)
            }
            Self::LeaseForEver => {
                let (after, answer) = parts.apply(op, at);
                let mut parts = Parts::of(&after);
                for holder in &mut parts.holders {
                    holder.expires = holder.expires.max(at.now + Duration::from_secs(3_600));
                }
                (parts.build(), answer)
            }
            Self::GrantUntold => {
                let (after, (mut reply, _)) = parts.apply(op, at);
                let waits = matches!(op, Op::Acquire(a) if a.queue.is_some());
                if waits && matches!(reply, Reply::Granted { .. }) {
                    let look_in = Duration::from_secs(1);
                    reply = Reply::Queued { ahead: 0, look_in, blocker: None };
                }
                (after, (reply, vec![]))
            }
            Self::RenewalRefused => {
                let (after, (mut reply, grants)) = parts.apply(op, at);
                let second = Duration::from_secs(1);
                if let Op::Renew { owner, .. } = op
                    && before
                        .holders()
                        .iter()
                        .any(|h| h.owner == *owner && at.now.since(h.since) > second)
                {
                    reply = Reply::Gone;
                }
                (after, (reply, grants))
            }
            Self::PermitCountedTwice => count_twice(parts, op, at),
            Self::ValueOfAnybody => parts.apply(&value_of_anybody(before, op), at),
            Self::OlderValueWins => {
                let mut parts = parts;
                if matches!(op, Op::SetValue { .. }) {
                    parts.holders.iter_mut().for_each(|holder| holder.value = None);
                }
                parts.apply(op, at)
            }
            Self::RecordIgnored => {
                let mut after = parts.build();
                if matches!(op, Op::Begin { .. }) {
                    after = after.with_runs(None);
                }
                let answer = after.apply(op, at);
                (after, answer)
            }
            Self::UnfinishedIsOk => {
                let (after, answer) = parts.apply(op, at);
                (finish_unfinished(after), answer)
            }
            // Built in elsewhere: into its clock, and into its restart guard.
            Self::ClockTooFast | Self::CountsAtOnce | Self::TrustsUptime => parts.apply(op, at),
        }
    }
}

/// The contents of a resource, to be changed against its will.
struct Parts<'a> {
    of: &'a KeyState,
    holders: Vec<Holder>,
    queue: VecDeque<Place>,
    tombstones: Vec<tenure::protocol::Tombstone>,
    fence: u64,
}

impl<'a> Parts<'a> {
    fn of(resource: &'a KeyState) -> Self {
        Self {
            of: resource,
            holders: resource.holders().to_vec(),
            queue: resource.queue().clone(),
            tombstones: resource.tombstones().to_vec(),
            fence: resource.fence().get(),
        }
    }

    fn build(self) -> KeyState {
        let fence = tenure::Fence::new(self.fence);
        let until = self.of.fence_until();
        KeyState::from_parts(self.holders, self.queue, self.tombstones, fence, until)
            .with_runs(self.of.runs().cloned())
    }

    fn apply(self, op: &Op, at: StepContext) -> (KeyState, (Reply, Vec<Grant>)) {
        let mut after = self.build();
        let answer = after.apply(op, at);
        (after, answer)
    }
}

fn recreate(mut after: KeyState, op: &Op, at: StepContext) -> (KeyState, (Reply, Vec<Grant>)) {
    let (reply, grants) = after.apply(op, at);
    let Op::Renew { owner, ttl } = op else { return (after, (reply, grants)) };
    if !matches!(reply, Reply::Gone | Reply::Withdrawn) || !after.holders().is_empty() {
        return (after, (reply, grants));
    }
    let mut parts = Parts::of(&after);
    parts.holders.push(Holder {
        owner: owner.clone(),
        label: Label::new("re-created"),
        claim: Claim::EXCLUSIVE,
        fence: after.fence(),
        since: at.now,
        expires: at.now + *ttl,
        value: None,
    });
    (parts.build(), (Reply::Renewed, grants))
}

/// Meanwhile another one that holds a share is not seen.
fn count_twice(mut parts: Parts<'_>, op: &Op, at: StepContext) -> (KeyState, (Reply, Vec<Grant>)) {
    let Op::Release { owner, .. } = op else { return parts.apply(op, at) };
    let is_share = |holder: &Holder| !holder.claim.is_exclusive();
    let gives_back = parts.holders.iter().any(|h| h.owner == *owner && is_share(h));
    let unseen = parts.holders.iter().position(|h| h.owner != *owner && is_share(h));
    let unseen = unseen.filter(|_| gives_back).map(|index| parts.holders.remove(index));
    let (after, answer) = parts.apply(op, at);
    let mut parts = Parts::of(&after);
    parts.holders.extend(unseen);
    (parts.build(), answer)
}

fn release_of_anybody(before: &KeyState, op: &Op) -> Op {
    let Some(holder) = before.holders().first() else { return op.clone() };
    let mut op = op.clone();
    if let Op::Release { owner, .. } = &mut op {
        *owner = holder.owner.clone();
    }
    op
}

fn value_of_anybody(before: &KeyState, op: &Op) -> Op {
    let mut op = op.clone();
    if let (Some(holder), Op::SetValue { owner, fence, .. }) = (before.holders().first(), &mut op) {
        (*owner, *fence) = (holder.owner.clone(), holder.fence);
    }
    op
}

fn finish_unfinished(after: KeyState) -> KeyState {
    let mut runs = after.runs().cloned();
    if let Some(Runs { last, .. }) = &mut runs
        && after.holders().iter().all(|holder| holder.owner != last.owner)
    {
        last.end.get_or_insert(RunEnd { outcome: Outcome::Ok, took: Duration::ZERO });
    }
    after.with_runs(runs)
}
