//! The options of locks and leases, checked once, before anything is touched; and what is left of
//! the handoffs that they allow.

use std::sync::Arc;
use std::time::Duration;

use crate::protocol::timing;
use crate::runtime::{Moment, shown};
use crate::store::{Access, Capabilities};
use crate::types::{
    Claim, Error, ErrorKind, Key, Label, Operation, Owner, Result, TTL_MAX, TTL_MIN, Value,
};

/// Shortest interval of heartbeats, for the shortest ttls.
const HEARTBEAT_MIN: Duration = Duration::from_millis(10);

/// Shortest interval of renewal: a third of the shortest ttl, rounded down.
const RENEW_EVERY_MIN: Duration = Duration::from_millis(3);

/// When a lease is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Renewal {
    /// Every third of the ttl.
    #[default]
    Auto,
    /// Never: the lease ends with its ttl, unless it is extended by hand.
    Off,
    /// At this interval: at least 3 ms, and shorter than half the ttl.
    Every(Duration),
}

/// The options of one acquire, with every relation checked.
#[derive(Debug, Clone)]
pub(crate) struct AcquireOptions {
    pub(crate) key: Key,
    pub(crate) owner: Option<Arc<str>>,
    pub(crate) label: Label,
    pub(crate) claim: Claim,
    pub(crate) lease_options: LeaseOptions,
    /// Limit of the wait; `None`: without limit.
    pub(crate) wait: Option<Duration>,
    /// The value beside the claim.
    pub(crate) value: Option<Value>,
}

/// The options of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeaseOptions {
    pub(crate) ttl: Duration,
    pub(crate) renew_every: Option<Duration>,
    pub(crate) min_hold: Duration,
    pub(crate) max_hold: Option<Duration>,
}

impl LeaseOptions {
    /// How long a waiter's place outlives its last heartbeat: the ttl, but at least a second, or
    /// a hiccup would cost the place, and at most three, or a dead waiter would hold up the line.
    pub(crate) fn window(self) -> Duration {
        self.ttl.clamp(Duration::from_secs(1), Duration::from_secs(3))
    }

    /// How often a waiter shows that it lives. A grant from the queue lasts no longer than the
    /// ttl until it is confirmed: should its push be lost, a heartbeat must find it before.
    pub(crate) fn heartbeat(self) -> Duration {
        (self.window().min(self.ttl) / 3).max(HEARTBEAT_MIN)
    }

    /// How long a withdrawn owner is refused, since its requests may still arrive.
    pub(crate) fn tombstone(self) -> Duration {
        self.ttl.max(Duration::from_secs(60))
    }

    /// The end that `max_hold` sets for a lease held from `since` on. No renewal moves it.
    pub(super) fn end(self, since: Moment) -> Moment {
        self.max_hold.map_or(Moment::NEVER, |max| since + max)
    }

    pub(crate) fn check(
        ttl: Duration,
        renewal: Renewal,
        min_hold: Duration,
        max_hold: Option<Duration>,
    ) -> Result<Self, String> {
        check_ttl(ttl, TTL_MAX)?;
        let renew_every = match renewal {
            Renewal::Auto => Some(ttl / 3),
            Renewal::Off => None,
            Renewal::Every(every) if every.is_zero() => {
                return Err("the renewal interval is zero; use Renewal::Off to never renew".into());
            }
            Renewal::Every(every) if every < RENEW_EVERY_MIN => {
                return Err(format!(
                    "the renewal interval of {every} is below the limit of {least}",
                    every = shown(every),
                    least = shown(RENEW_EVERY_MIN)
                ));
            }
            Renewal::Every(every) if every.saturating_mul(2) >= ttl => {
                return Err(format!(
                    "the renewal interval of {every} is not shorter than half the ttl of \
                     {ttl}; one lost renewal would lose the lock",
                    every = shown(every),
                    ttl = shown(ttl)
                ));
            }
            Renewal::Every(every) => Some(every),
        };
        if min_hold > TTL_MAX {
            return Err(format!(
                "a min_hold of {min_hold} is above the limit of 30 days",
                min_hold = shown(min_hold)
            ));
        }
        if let Some(max) = max_hold {
            if max < TTL_MIN {
                return Err(format!(
                    "a max_hold of {max} is below the limit of {ttl_min}",
                    max = shown(max),
                    ttl_min = shown(TTL_MIN)
                ));
            }
            if max < min_hold {
                return Err(format!(
                    "max_hold ({max}) is shorter than min_hold ({min_hold})",
                    min_hold = shown(min_hold),
                    max = shown(max)
                ));
            }
        }
        Ok(Self { ttl, renew_every, min_hold, max_hold })
    }
}

fn check_ttl(ttl: Duration, ttl_max: Duration) -> Result<(), String> {
    if ttl < TTL_MIN {
        return Err(format!(
            "a ttl of {ttl} is below the limit of {ttl_min}",
            ttl = shown(ttl),
            ttl_min = shown(TTL_MIN)
        ));
    }
    if ttl > TTL_MAX {
        return Err(format!("a ttl of {ttl} is above the limit of 30 days", ttl = shown(ttl)));
    }
    if ttl > ttl_max {
        return Err(format!(
            "a ttl of {ttl} is above this store's limit of {ttl_max}; ask for less, or raise \
             a server's restart_guard, or a quorum's max_ttl, for everybody who uses the store",
            ttl = shown(ttl),
            ttl_max = shown(ttl_max)
        ));
    }
    Ok(())
}

/// The ttl to ask for, so that a lease lasts for `span`; or why this store cannot carry it.
pub(crate) fn ttl_to_last(span: Duration, store: &Capabilities) -> Result<Duration, String> {
    // The general limit is for the caller's span. A store's own limit is for the ttl that it
    // gets, which is a little longer.
    let ttl = if span > TTL_MAX { span } else { timing::ttl_for(span) };
    check_ttl(if store.ttl_max < TTL_MAX { ttl } else { span }, store.ttl_max)?;
    Ok(ttl)
}

impl AcquireOptions {
    /// Checks the limits of the store.
    pub(crate) fn fits(&self, store: &Capabilities) -> Result<(), String> {
        let (LeaseOptions { ttl, min_hold, .. }, ttl_max) = (self.lease_options, store.ttl_max);
        check_ttl(ttl, ttl_max)?;
        if self.claim.is_plain() && !store.plain_values {
            let why = if store.composite {
                "a quorum is several stores, and other programs know none or one of them"
            } else {
                "other programs find no such value in this store"
            };
            return Err(format!(
                "a plain value is a string on one Redis or Valkey server, where other programs \
                 know it: {why}; use redis://, redis+sentinel:// or redis+cluster://, or leave \
                 with_plain_value out"
            ));
        }
        if min_hold > ttl_max {
            return Err(format!(
                "a min_hold of {min_hold} is above this store's longest ttl of {ttl_max}",
                min_hold = shown(min_hold),
                ttl_max = shown(ttl_max)
            ));
        }
        Ok(())
    }

    /// Whether it waits in this process's line for the key, of which only the first stands at
    /// the store. A claim of a part of the limit stands at the store itself, since it may be
    /// granted beside others. So does an owner with a fixed value: it must be told at once that it
    /// would wait for itself.
    pub(crate) fn stands_in_line(&self) -> bool {
        self.owner.is_none() && self.wants_whole_key()
    }

    /// Whether it can be granted only while nobody else holds.
    pub(super) fn wants_whole_key(&self) -> bool {
        self.claim.units() == self.claim.limit()
    }

    /// Checks everything else.
    pub(crate) fn check(
        key: Key,
        owner: Option<Arc<str>>,
        label: Label,
        claim: Claim,
        lease_options: Result<LeaseOptions, String>,
        wait: Option<Duration>,
    ) -> Result<Self> {
        let invalid = |message: String| Error::new(ErrorKind::Invalid, Operation::Acquire, message);
        if let Some(value) = &owner {
            Owner::check(value).map_err(|e| invalid(e.to_string()).with_key(&key))?;
        }
        let lease_options = lease_options.map_err(|message| invalid(message).with_key(&key))?;
        Ok(Self { key, owner, label, claim, lease_options, wait, value: None })
    }
}

/// How a [`Locks`](crate::Locks) treats its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocksOptions {
    /// The time limit of one store call, and of the first contact.
    pub(super) store_timeout: Duration,
    pub(super) handoffs: HandoffLimit,
    access: Access,
}

impl Default for LocksOptions {
    fn default() -> Self {
        let (handoffs, access) = (HandoffLimit::default(), Access::default());
        Self { store_timeout: Duration::from_secs(5), handoffs, access }
    }
}

impl LocksOptions {
    /// The time limit of one store call, and how long the first contact of an acquire rides out
    /// transient faults. Default: 5 s.
    #[must_use]
    pub fn with_store_timeout(mut self, limit: Duration) -> Self {
        self.store_timeout = limit;
        self
    }

    /// How often in a row the tasks of this process may hand a key to each other while other
    /// processes wait for it, and for how long. Default: 16 times within 100 ms; then it is the
    /// next process's turn. Zero times: strictly first come, first served between processes.
    ///
    /// A handoff is an awaited release with a task waiting behind it. Each is a grant of its own
    /// with a new fence.
    #[must_use]
    pub fn with_local_handoffs(mut self, most: u32, span: Duration) -> Self {
        self.handoffs = HandoffLimit { handoffs: most, span };
        self
    }

    /// The purpose for which a store is opened. Default: locks. With [`Access::Looks`], `inspect`
    /// and `list` make and change nothing, and rights to read suffice.
    #[must_use]
    pub fn with_access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    pub(crate) fn access(self) -> Access {
        self.access
    }

    pub(crate) fn store_timeout(self) -> Duration {
        self.store_timeout
    }
}

/// The handoffs of a key within one process since its last grant by the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HandoffBudget {
    /// The grant.
    pub(super) since: Moment,
    pub(super) handoffs: u32,
    /// Whether the grant came from the store's queue, where others wait as well.
    pub(super) is_after_others: bool,
}

/// The limits of a budget, of which the first that is reached counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HandoffLimit {
    pub(super) handoffs: u32,
    pub(super) span: Duration,
}

impl Default for HandoffLimit {
    fn default() -> Self {
        Self { handoffs: 16, span: Duration::from_millis(100) }
    }
}

impl HandoffBudget {
    /// That of a grant by the store, at `since`.
    pub(super) fn new(since: Moment, is_after_others: bool) -> Self {
        Self { since, handoffs: 0, is_after_others }
    }

    /// The budget after one more handoff at `now`; `None` if it is used up.
    pub(super) fn next(self, now: Moment, limit: HandoffLimit) -> Option<Self> {
        let lasts = self.handoffs < limit.handoffs && now.since(self.since) < limit.span;
        lasts.then_some(Self { handoffs: self.handoffs + 1, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by simulation: with a ttl of 150 ms and a heartbeat every 333 ms, a grant whose
    /// push was lost ended unseen, and cost its waiter the place.
    #[test]
    fn several_heartbeats_fit_into_a_grant_from_the_queue() {
        for ttl in [30, 150, 999, 1_000, 3_000, 30_000].map(Duration::from_millis) {
            let lease_options =
                LeaseOptions::check(ttl, Renewal::Auto, Duration::ZERO, None).unwrap();
            assert!(lease_options.heartbeat() * 3 <= lease_options.window().min(ttl));
        }
    }

    #[test]
    fn a_budget_is_used_up_by_handoffs_or_by_time() {
        let limit = HandoffLimit { handoffs: 2, span: Duration::from_millis(100) };
        let at = |ms: u64| Moment::from_micros(ms * 1000);
        let budget = HandoffBudget::new(at(0), false);
        let last = budget.next(at(50), limit).and_then(|budget| budget.next(at(99), limit));
        assert_eq!(last, Some(HandoffBudget { handoffs: 2, ..budget }));
        assert_eq!(last.and_then(|budget| budget.next(at(99), limit)), None);
        assert_eq!(budget.next(at(100), limit), None);
        assert_eq!(budget.next(at(0), HandoffLimit { handoffs: 0, ..limit }), None);
    }
}
