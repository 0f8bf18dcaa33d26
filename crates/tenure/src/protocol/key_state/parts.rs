//! The parts of a key's state: leases, places in the queue, and owners that are refused. They are
//! plain data; the transitions are elsewhere.

use std::sync::Arc;
use std::time::Duration;

use crate::types::{Claim, Fence, Label, Owner, StoreTime, Value};

/// A lease as the store sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The owner that holds.
    pub owner: Owner,
    /// The name for people.
    pub label: Label,
    /// The units that it holds, and their limit.
    pub claim: Claim,
    /// Its fencing token.
    pub fence: Fence,
    /// The time of the grant.
    pub since: StoreTime,
    /// The end of the lease, unless it is renewed.
    pub expires: StoreTime,
    /// The value beside the claim.
    pub value: Option<Value>,
}

impl Holder {
    /// The time until which a release at `now` leaves the key taken. If the store's clock was set
    /// back since the grant, that must not lengthen it.
    pub(super) fn kept_until(&self, min_hold: Duration, now: StoreTime) -> StoreTime {
        self.since.min(now) + min_hold
    }
}

/// A waiter's place in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The owner that waits.
    pub owner: Owner,
    /// The name for people.
    pub label: Label,
    /// The units that it wants, and their limit.
    pub claim: Claim,
    /// Time for which a grant lasts until the waiter confirms it.
    pub claim_lease: Duration,
    /// The time at which it took the place.
    pub since: StoreTime,
    /// The time at which the place is forgotten, unless another heartbeat comes.
    pub alive_until: StoreTime,
    /// The number of the last heartbeat.
    pub stamp: u64,
    /// The inbox in which a grant is announced, if there is one.
    pub inbox: Option<Arc<str>>,
    /// The value that the lease begins with.
    pub value: Option<Value>,
}

/// An owner that gets nothing any more, so that its late requests do no harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// The owner that is refused.
    pub owner: Owner,
    /// The end of the refusal.
    pub until: StoreTime,
}
