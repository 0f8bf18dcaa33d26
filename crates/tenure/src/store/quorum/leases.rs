//! What this process has won of its quorum, and where: without it a renewal could not be topped
//! up, and a release would not know which node may still be granting.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::logic::{Acquire, FenceRule, Op, Step};
use crate::seam::Moment;
use crate::words::{Claim, Fence, Key, Label, Owner};

/// What a node has of a lease, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Holds,
    /// It said no, or was never reached.
    Missing,
    /// It has not answered yet, and is listened to.
    Awaited,
    /// It did not answer: a request that would grant may still be under way to it.
    Unsure,
}

#[derive(Debug, Clone)]
pub(super) struct Lease {
    pub(super) key: Key,
    pub(super) label: Label,
    pub(super) fence: Fence,
    /// Until when it is held for sure. Nothing is topped up after it.
    pub(super) valid_until: Moment,
    pub(super) standings: Vec<Standing>,
    /// It is being let go. What a node that was awaited then must be told when it answers.
    pub(super) closing: Option<Op>,
}

/// Leases by owner. What ends without a release is forgotten some time after its end.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    by_owner: HashMap<Owner, Lease>,
    sweep_at: usize,
}

const SWEEP_MIN: usize = 256;

impl Leases {
    pub(super) fn enter(&self, owner: Owner, lease: Lease, now: Moment) {
        let mut table = self.table();
        if table.by_owner.len() >= table.sweep_at.max(SWEEP_MIN) {
            table.by_owner.retain(|_, lease| lease.valid_until > now);
            table.sweep_at = table.by_owner.len() * 2;
        }
        table.by_owner.insert(owner, lease);
    }

    /// The lease has been let go. It stays in the book while nodes are awaited.
    pub(super) fn leave(&self, owner: &Owner) {
        let mut table = self.table();
        let is_awaited = |lease: &Lease| lease.standings.contains(&Standing::Awaited);
        if !table.by_owner.get(owner).is_some_and(is_awaited) {
            table.by_owner.remove(owner);
        }
    }

    /// What a node has said of a lease. Answers what it must be told, if the lease was let go
    /// while it was awaited.
    pub(super) fn stands(&self, owner: &Owner, node: usize, standing: Standing) -> Option<Op> {
        let mut table = self.table();
        let lease = table.by_owner.get_mut(owner)?;
        let before = std::mem::replace(&mut lease.standings[node], standing);
        let told = lease.closing.clone().filter(|_| before == Standing::Awaited);
        if lease.closing.is_some() && !lease.standings.contains(&Standing::Awaited) {
            table.by_owner.remove(owner);
        }
        told
    }

    /// The lease is about to be let go, so it is topped up no more. Answers where it stands;
    /// nodes that are awaited are told `closing` when they have answered.
    pub(super) fn close(&self, owner: &Owner, closing: Op) -> Vec<Standing> {
        let mut table = self.table();
        let Some(lease) = table.by_owner.get_mut(owner) else { return Vec::new() };
        lease.closing = Some(closing);
        lease.standings.clone()
    }

    pub(super) fn fence(&self, owner: &Owner) -> Option<Fence> {
        Some(self.table().by_owner.get(owner)?.fence)
    }

    pub(super) fn renewed(&self, owner: &Owner, valid_until: Moment) {
        if let Some(lease) = self.table().by_owner.get_mut(owner) {
            lease.valid_until = lease.valid_until.max(valid_until);
        }
    }

    /// What brings a lease to a node that has it no more; `None` once it is not valid for sure.
    /// From here on the node may grant at any time.
    pub(super) fn top_up(
        &self,
        owner: &Owner,
        node: usize,
        ttl: Duration,
        now: Moment,
    ) -> Option<Step> {
        let mut table = self.table();
        let lease = table.by_owner.get_mut(owner)?;
        if lease.closing.is_some() || now >= lease.valid_until {
            return None;
        }
        lease.standings[node] = Standing::Unsure;
        let (label, fence) = (lease.label.clone(), FenceRule::Carry(lease.fence));
        let (owner, claim) = (owner.clone(), Claim::MUTEX);
        let acquire = Acquire { owner, label, claim, ttl, queue: None, fence };
        Some(Step { key: lease.key.clone(), op: Op::Acquire(acquire) })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
