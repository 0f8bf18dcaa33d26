//! All that an engine keeps: leases, waiters, cleanups, and requests without an answer. This is the
//! one place that says in which order the tables are touched. It sends nothing.
//!
//! An owner that the store may know of stands in at least one table at every moment: what moves
//! enters its new table before it leaves the old one. A close sets its flag first, and looks into
//! the tables then. So it finds every owner; or that owner's task, which looks at the flag after it
//! has entered, finds the flag.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use crate::runtime::{Moment, Runtime, timeout};
use crate::types::{Key, Owner};

use super::in_flight::{InFlight, Tracked};
use super::lease::{LeaseEntry, LeaseState};
use super::local_queue::LocalQueue;
use super::poll_queue::PollQueue;
use super::schedule::{Schedule, TimerId};
use super::timer::{Cleanup, Timer};
use super::waiter::Waiter;

#[derive(Debug)]
pub(super) struct Tables {
    schedule: Schedule<Timer>,
    local_queue: LocalQueue,
    poll_queue: PollQueue,
    in_flight: InFlight,
    closed: AtomicBool,
}

impl Tables {
    /// `changed` wakes the keepalive task.
    pub(super) fn new(runtime: Arc<dyn Runtime>, changed: Arc<Notify>) -> Self {
        Self {
            schedule: Schedule::new(runtime, changed),
            local_queue: LocalQueue::default(),
            poll_queue: PollQueue::default(),
            in_flight: InFlight::default(),
            closed: AtomicBool::new(false),
        }
    }

    /// Counts a request that may leave something at the store.
    pub(super) fn track(&self) -> Tracked<'_> {
        self.in_flight.track()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// A lease was granted without waiting. Its request must be tracked until this has returned.
    pub(super) fn enter_lease(&self, lease: LeaseState) -> LeaseEntry {
        let lease = Arc::new(lease);
        let id = self.schedule.enter(lease.next_visit(), Timer::Lease(Arc::clone(&lease)));
        LeaseEntry { id, lease }
    }

    /// A waiter was granted a lease: the lease enters, then the waiter leaves. The next of its line
    /// goes to the store at `next_at`.
    pub(super) fn grant(&self, waiter: &Waiter, lease: LeaseState, next_at: Moment) -> LeaseEntry {
        let held = self.enter_lease(lease);
        self.leave_waiter(&waiter.acquire.owner, next_at);
        held
    }

    /// Ends the keeping of a lease. If something of it is left at the store, that must be tracked
    /// already.
    pub(super) fn leave_lease(&self, id: TimerId) {
        self.schedule.leave(id);
    }

    /// Lets a waiter in: to the store, or, if it stands `in_line`, behind earlier ones of this
    /// process. Its request must be tracked until this has returned.
    pub(super) fn enter_waiter(&self, waiter: &Arc<Waiter>, in_line: bool, now: Moment) {
        self.local_queue.enter(waiter, in_line, &self.schedule, now);
    }

    /// Lets a waiter out. Its claim must be tracked already, or be a lease by now. The next of its
    /// line goes to the store at `next_at`.
    pub(super) fn leave_waiter(&self, owner: &Owner, next_at: Moment) {
        self.local_queue.leave(owner, &self.schedule, next_at);
    }

    /// Enters a cleanup. It takes the place of what was tracked for it, until
    /// [`leave_cleanup`](Self::leave_cleanup).
    pub(super) fn enter_cleanup(&self, tracked: Tracked<'_>, cleanup: Cleanup, now: Moment) {
        let cleanup = Arc::new(cleanup);
        self.schedule.enter(now, Timer::Cleanup(Arc::clone(&cleanup)));
        tracked.enter();
        self.hurry_first(&cleanup.key, now);
    }

    /// A cleanup was answered, or what it undoes has ended by itself.
    pub(super) fn leave_cleanup(&self, id: TimerId) {
        if self.schedule.leave(id) {
            self.in_flight.finish();
        }
    }

    /// The first of the key's line in this process.
    pub(super) fn first_in_line(&self, key: &Key) -> Option<(TimerId, Arc<Waiter>)> {
        self.local_queue.first(key)
    }

    /// The waiter of this owner, if it stands at the store.
    pub(super) fn waiter_at_store(&self, owner: &Owner) -> Option<(TimerId, Arc<Waiter>)> {
        self.local_queue.at_store(owner)
    }

    /// The first of the key's line asks the store now, if it has put that off because a handoff was
    /// likely: there will be none.
    pub(super) fn hurry_first(&self, key: &Key, now: Moment) {
        if let Some((id, first)) = self.first_in_line(key)
            && !first.has_asked()
        {
            self.schedule.move_to(id, now);
        }
    }

    /// The first of the key's line asks the store now.
    pub(super) fn recheck_first(&self, key: &Key, now: Moment) {
        if let Some((id, _)) = self.first_in_line(key) {
            self.schedule.move_to(id, now);
        }
    }

    /// Every waiter at the store asks now.
    pub(super) fn recheck_all(&self, now: Moment) {
        for id in self.local_queue.all_at_store() {
            self.schedule.move_to(id, now);
        }
    }

    /// The leases on a key. It looks at every entry.
    pub(super) fn leases_of(&self, key: &Key) -> Vec<Arc<LeaseState>> {
        self.schedule.pick(|timer| match timer {
            Timer::Lease(lease) if lease.key == *key => Some(Arc::clone(lease)),
            Timer::Lease(_) | Timer::Waiter(_) | Timer::Cleanup(_) => None,
        })
    }

    /// All entries of the schedule, oldest first.
    pub(super) fn all(&self) -> Vec<(TimerId, Timer)> {
        self.schedule.all()
    }

    /// The wanted entries due by `until`, in order of time.
    pub(super) fn due(
        &self,
        until: Moment,
        is_wanted: impl Fn(Moment, &Timer) -> bool,
    ) -> Vec<(Moment, TimerId, Timer)> {
        self.schedule.due(until, is_wanted)
    }

    /// The keepalive task comes to this entry at `at`.
    pub(super) fn move_to(&self, id: TimerId, at: Moment) {
        self.schedule.move_to(id, at);
    }

    /// The keepalive task comes to this entry at `at`, or sooner.
    pub(super) fn bring_forward(&self, id: TimerId, at: Moment) {
        self.schedule.bring_forward(id, at);
    }

    /// The keepalive task has done what was due at `now`.
    pub(super) fn rest(&self, now: Moment) {
        self.schedule.rest(now);
    }

    /// The lines of those who poll.
    pub(super) fn poll_queue(&self) -> &PollQueue {
        &self.poll_queue
    }

    /// From here on everything that comes is refused, and nobody polls any more. Answers the
    /// waiters that stood behind others; all else is in [`all`](Self::all) now.
    pub(super) fn close(&self) -> Vec<Arc<Waiter>> {
        self.closed.store(true, Ordering::SeqCst);
        self.poll_queue.close();
        self.local_queue.drain()
    }

    /// Number of requests that may have left something at the store.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.count()
    }

    /// Ends when no request is in flight, or at `limit`. Answers how many are left.
    pub(super) async fn rest_until(&self, runtime: &dyn Runtime, limit: Moment) -> usize {
        match timeout(runtime, limit, self.in_flight.wait()).await {
            Some(()) => 0,
            None => self.in_flight.count(),
        }
    }
}
