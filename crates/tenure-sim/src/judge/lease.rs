//! One guard in a program's hands, as the program may understand it: valid from the moment that
//! it was handed out until it was let go, announced lost, or its deadline came.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tenure::runtime::Moment;
use tenure::{Claim, Fence, Owner};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// A guard under observation.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) owner: Owner,
    /// That of its grant; a change of its claim brings another one.
    pub(crate) fence: Fence,
    /// The part of the key that its program counts on.
    pub(crate) claim: Claim,
    /// When the program asked for an upgrade that has not been answered.
    pub(crate) upgrading: Option<u64>,
    /// The outcome of a change of its claim is unknown.
    pub(crate) is_unsure: bool,
    handle: Weak<tenure::Lease>,
    token: CancellationToken,
    /// As last seen between two polls of its process.
    pub(crate) deadline: Moment,
    /// The true time of that deadline.
    pub(crate) until: u64,
    pub(crate) lost: Option<u64>,
    pub(crate) let_go: Option<u64>,
    pub(crate) taken: Option<Taken>,
    /// The store said *gone* at this true time, and the engine heard it.
    pub(crate) told_gone: Option<u64>,
    /// The longest time that a renewal may ask for.
    pub(crate) longest: Duration,
    /// By `max_hold`, or because its `Locks` is being closed, or its quorum says *gone*.
    pub(crate) may_end_early: bool,
    /// Servers that have said so.
    pub(crate) gone_at: BTreeSet<usize>,
    /// The true time.
    pub(crate) handed_at: u64,
}

/// The server took the lease away (an operator, a restart without memory): its holder cannot
/// know before its next renewal, and no renewal may reach further than this.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) latest_deadline: Moment,
    /// By a restart without memory: with the lease it forgot that its owner is served already,
    /// and may grant a request of its again that is under way.
    pub(crate) forgotten: bool,
}

/// The changes between two looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) extended: bool,
    /// The deadline moved although it had passed, or the loss was taken back.
    pub(crate) revived: bool,
    pub(crate) newly_lost: bool,
}

impl Lease {
    pub(crate) fn new(
        handle: &Arc<tenure::Lease>,
        claim: Claim,
        clock: Clock,
        handed_at: u64,
    ) -> Self {
        let deadline = handle.deadline();
        Self {
            owner: handle.owner().clone(),
            fence: handle.fence(),
            claim,
            upgrading: None,
            is_unsure: false,
            handle: Arc::downgrade(handle),
            token: handle.lost_token(),
            deadline,
            until: clock.when_moment(deadline),
            lost: None,
            let_go: None,
            taken: None,
            told_gone: None,
            longest: Duration::ZERO,
            may_end_early: false,
            gone_at: BTreeSet::new(),
            handed_at,
        }
    }

    /// The fence that its program has now.
    pub(crate) fn fence_now(&self) -> Fence {
        self.handle.upgrade().map_or(self.fence, |handle| handle.fence())
    }

    /// Whether its program may still act on it at the true time `at`.
    pub(crate) fn is_valid(&self, at: u64) -> bool {
        self.let_go.is_none() && self.lost.is_none() && at < self.until
    }

    /// Looks at the guard, between two polls of its process.
    pub(crate) fn look(&mut self, clock: Clock, now: u64) -> Turn {
        let deadline = match self.handle.upgrade() {
            Some(handle) if self.let_go.is_none() => handle.deadline(),
            _ => self.deadline,
        };
        let extended = deadline > self.deadline;
        let lost = self.token.is_cancelled();
        let over = self.lost.is_some() || now >= self.until;
        let turn = Turn {
            extended,
            revived: over && extended || self.lost.is_some() && !lost,
            newly_lost: lost && self.lost.is_none(),
        };
        if turn.newly_lost {
            self.lost = Some(now);
        }
        if deadline != self.deadline {
            self.deadline = deadline;
            self.until = clock.when_moment(deadline);
        }
        turn
    }

    /// The server has taken it away at the true time `now`.
    pub(crate) fn take(&mut self, clock: Clock, now: u64, forgotten: bool) {
        let latest_deadline = (clock.moment(now) + self.longest).max(self.deadline);
        let taken = self.taken.get_or_insert(Taken { latest_deadline, forgotten });
        taken.forgotten |= forgotten;
    }
}
