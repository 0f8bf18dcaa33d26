//! The leases that this process has won of its quorum, and on which nodes. A renewal needs this to
//! top up a node, and a release to know which node may still be granting. It sends nothing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::protocol::{Acquire, FenceRule, Op, Request};
use crate::runtime::Moment;
use crate::types::{Claim, Fence, Key, Label, Owner, Value};

/// The state of a lease at one node, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Holds,
    /// It refused, or was never reached.
    Missing,
    /// It has not answered yet, and its answer is awaited.
    Awaited,
    /// It did not answer: a request that would grant may still be under way to it.
    Unsure,
    /// It has lost the lease, and a top-up is under way to it.
    Offered,
}

impl Standing {
    /// Whether a request that a release does not wait for may still grant.
    pub(super) fn may_grant(self) -> bool {
        matches!(self, Self::Unsure | Self::Offered)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Lease {
    pub(super) key: Key,
    pub(super) label: Label,
    pub(super) fence: Fence,
    /// The end of the time in which it is certainly held. Nothing is topped up after it.
    pub(super) valid_until: Moment,
    pub(super) standings: Vec<Standing>,
    /// The last value beside it that a majority has.
    pub(super) value: Option<Value>,
    /// The step that ends it, once it is being released: an awaited node gets it when it answers.
    pub(super) closing: Option<Op>,
}

/// Leases by owner. A lease that ends without a release is forgotten some time after its end.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    by_owner: HashMap<Owner, Lease>,
    sweep_at: usize,
}

/// The table is swept of ended leases when it has so many, or twice as many as the last sweep left.
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

    /// The lease has been released. It stays in the table while nodes are awaited.
    pub(super) fn leave(&self, owner: &Owner) {
        let mut table = self.table();
        let is_awaited = |lease: &Lease| lease.standings.contains(&Standing::Awaited);
        if !table.by_owner.get(owner).is_some_and(is_awaited) {
            table.by_owner.remove(owner);
        }
    }

    /// Enters a node's answer to the request that grants a lease, and to no other: the answer to a
    /// renewal does not end the wait for that to the acquire. Returns the step for the node, if the
    /// lease was released while the node was awaited.
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

    /// The lease is about to be released, so it is topped up no more. Returns its standings. Nodes
    /// that are awaited get `closing` when they have answered.
    pub(super) fn close(&self, owner: &Owner, closing: Op) -> Vec<Standing> {
        let mut table = self.table();
        let Some(lease) = table.by_owner.get_mut(owner) else { return Vec::new() };
        lease.closing = Some(closing);
        lease.standings.clone()
    }

    pub(super) fn fence(&self, owner: &Owner) -> Option<Fence> {
        Some(self.table().by_owner.get(owner)?.fence)
    }

    pub(super) fn value(&self, owner: &Owner) -> Option<Value> {
        self.table().by_owner.get(owner)?.value.clone()
    }

    /// A majority has this value beside the lease.
    pub(super) fn set_value(&self, owner: &Owner, value: &Value) {
        if let Some(lease) = self.table().by_owner.get_mut(owner)
            && lease.value.as_ref().is_none_or(|old| old.revision() < value.revision())
        {
            lease.value = Some(value.clone());
        }
    }

    pub(super) fn renewed(&self, owner: &Owner, valid_until: Moment) {
        if let Some(lease) = self.table().by_owner.get_mut(owner) {
            lease.valid_until = lease.valid_until.max(valid_until);
        }
    }

    /// The step that brings a lease back to a node that has lost it; `None` once the lease is not
    /// certainly valid, and while another request that grants it there is under way. From here on
    /// the node may grant at any time.
    pub(super) fn top_up(
        &self,
        owner: &Owner,
        node: usize,
        ttl: Duration,
        now: Moment,
    ) -> Option<Request> {
        let mut table = self.table();
        let lease = table.by_owner.get_mut(owner)?;
        if lease.closing.is_some() || now >= lease.valid_until {
            return None;
        }
        match lease.standings[node] {
            Standing::Awaited | Standing::Offered => return None,
            // The older request may still be under way, whatever becomes of the top-up.
            Standing::Unsure => {}
            Standing::Holds | Standing::Missing => lease.standings[node] = Standing::Offered,
        }
        let (label, fence) = (lease.label.clone(), FenceRule::Carry(lease.fence));
        let (owner, claim, value) = (owner.clone(), Claim::EXCLUSIVE, lease.value.clone());
        let acquire = Acquire { owner, label, claim, ttl, queue: None, fence, value };
        Some(Request { key: lease.key.clone(), op: Op::Acquire(acquire) })
    }

    /// Enters the result of a top-up.
    pub(super) fn topped_up(&self, owner: &Owner, node: usize, standing: Standing) {
        let mut table = self.table();
        let Some(lease) = table.by_owner.get_mut(owner) else { return };
        if lease.standings[node] == Standing::Offered {
            lease.standings[node] = standing;
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(10);

    /// A lease as the answers of three nodes have left it.
    fn book(standings: [Standing; 3]) -> (Leases, Owner) {
        let (leases, owner) = (Leases::default(), Owner::from_parts("owner", 1));
        let lease = Lease {
            key: Key::new("key").expect("a key"),
            label: Label::new("label"),
            fence: Fence::new(7),
            valid_until: Moment::from_micros(1_000),
            standings: standings.to_vec(),
            value: None,
            closing: None,
        };
        leases.enter(owner.clone(), lease, Moment::from_micros(0));
        (leases, owner)
    }

    fn closing(owner: &Owner) -> Op {
        Op::Release { owner: owner.clone(), min_hold: Duration::ZERO, tombstone: None }
    }

    #[test]
    fn one_request_that_grants_is_under_way_at_a_time() {
        use Standing::{Awaited, Holds, Missing, Offered, Unsure};
        let now = Moment::from_micros(1);
        for (standing, is_topped_up, then) in [
            (Holds, true, Holds),
            (Missing, true, Holds),
            (Awaited, false, Awaited),
            (Offered, false, Holds),
            (Unsure, true, Unsure),
        ] {
            let (leases, owner) = book([Holds, Holds, standing]);
            let step = leases.top_up(&owner, 2, TTL, now);
            assert_eq!(step.is_some(), is_topped_up, "{standing:?}");
            leases.topped_up(&owner, 2, Holds);
            assert_eq!(leases.close(&owner, closing(&owner)), [Holds, Holds, then]);
        }
    }

    #[test]
    fn nothing_is_topped_up_that_has_ended_or_is_being_let_go() {
        let (leases, owner) = book([Standing::Missing; 3]);
        assert!(leases.top_up(&owner, 0, TTL, Moment::from_micros(1_000)).is_none());
        leases.close(&owner, closing(&owner));
        assert!(leases.top_up(&owner, 0, TTL, Moment::from_micros(1)).is_none());
    }

    #[test]
    fn who_was_awaited_is_told_of_the_release() {
        use Standing::{Awaited, Holds};
        let (leases, owner) = book([Holds, Holds, Awaited]);
        leases.close(&owner, closing(&owner));
        leases.leave(&owner);
        assert_eq!(leases.stands(&owner, 2, Holds), Some(closing(&owner)));
        assert_eq!(leases.stands(&owner, 2, Holds), None, "and then the book forgets it");
    }
}
