//! What a key can have: leases, places in line, and owners that are refused.

use std::sync::Arc;
use std::time::Duration;

use crate::types::{Claim, Fence, Label, Owner, StoreTime};

/// A lease in the store's eyes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Who holds.
    pub owner: Owner,
    /// Who to ask.
    pub label: Label,
    /// How much.
    pub claim: Claim,
    /// Its fencing token.
    pub fence: Fence,
    /// When it was granted.
    pub since: StoreTime,
    /// When it ends, unless renewed.
    pub expires: StoreTime,
}

impl Holder {
    /// Until when a release at `now` leaves it held. The store's clock can have been set back
    /// since the grant, which must not lengthen that.
    pub(super) fn kept_until(&self, min_hold: Duration, now: StoreTime) -> StoreTime {
        self.since.min(now) + min_hold
    }
}

/// A waiter's place in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Who waits.
    pub owner: Owner,
    /// Who to ask.
    pub label: Label,
    /// How much it wants.
    pub claim: Claim,
    /// How long a grant lasts until the waiter confirms it.
    pub claim_lease: Duration,
    /// When it came.
    pub since: StoreTime,
    /// When the place is forgotten, unless there is another heartbeat.
    pub alive_until: StoreTime,
    /// The number of the last heartbeat.
    pub stamp: u64,
    /// Where a grant is announced.
    pub inbox: Option<Arc<str>>,
}

/// An owner that gets nothing any more, whatever request of its is still under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// Who is refused.
    pub owner: Owner,
    /// Until when.
    pub until: StoreTime,
}
