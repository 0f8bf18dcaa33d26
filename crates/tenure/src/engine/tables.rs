//! All that an engine keeps: leases, waiters, cleanups, and requests without an answer. This is the
//! one place that says in which order the tables are touched. It sends nothing.
//!
//! An owner that the store may know of stands in at least one table at every moment: what moves
//! enters its new table before it leaves the old one. A close sets its flag first, and looks into
//! the tables then. So it finds every owner; or that owner's task, which looks at the flag after it
//! has entered, finds the flag.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::process::Process;
use crate::runtime::{Moment, Runtime, shielded, timeout};
use crate::types::{Claim, Key, Owner};

use super::lease::TimerId;
use super::lease::{LeaseEntry, LeaseState};
use super::local_queue::LocalQueue;
use super::poll_queue::PollQueue;
use super::schedule::Schedule;
use super::schedule::{Cleanup, Timer};
use super::waiter::Waiter;

#[derive(Debug)]
pub(super) struct Tables {
    schedule: Arc<Schedule>,
    /// Locked before the schedule.
    local_queue: Mutex<LocalQueue>,
    poll_queue: PollQueue,
    in_flight: InFlight,
    closed: AtomicBool,
}

/// The number of requests that may have left something at the store: calls without an answer yet,
/// releases and withdrawals to be repeated. Closing waits until it is zero.
///
/// The count and the flag of the close are sequentially consistent: of a caller that counts
/// and then looks whether it is closed, and a close that sets its flag and then looks at the
/// count, one sees the other.
#[derive(Debug)]
pub(super) struct InFlight {
    process: Process,
    count: AtomicUsize,
    /// Told when the count falls to zero. It does so with every lock in turn, so this is told only
    /// after somebody has begun to wait.
    none: Notify,
    is_awaited: AtomicBool,
}

/// One counted request, until it is dropped.
#[derive(Debug)]
#[must_use = "it is counted for as long as this lives"]
pub(crate) struct Tracked<'a>(&'a InFlight);

impl Default for InFlight {
    fn default() -> Self {
        let (count, none, is_awaited) = Default::default();
        Self { process: Process::current(), count, none, is_awaited }
    }
}

impl InFlight {
    pub(super) fn track(&self) -> Tracked<'_> {
        self.count.fetch_add(1, Ordering::SeqCst);
        Tracked(self)
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Ends the counting of a request whose [`Tracked`] was entered into the schedule.
    pub(super) fn finish(&self) {
        let was_last = self.count.fetch_sub(1, Ordering::SeqCst) == 1;
        if was_last && self.is_awaited.load(Ordering::SeqCst) {
            shielded(|| self.none.notify_waiters());
        }
    }

    /// Ends when the count is zero.
    pub(super) async fn wait(&self) {
        self.is_awaited.store(true, Ordering::SeqCst);
        loop {
            let none = self.none.notified();
            if self.count() == 0 {
                return;
            }
            none.await;
        }
    }
}

impl Tracked<'_> {
    /// From here on an entry of the schedule stands for it. The end of that entry calls
    /// [`InFlight::finish`].
    pub(super) fn enter(self) {
        std::mem::forget(self);
    }
}

impl Drop for Tracked<'_> {
    fn drop(&mut self) {
        if self.0.process.is_current() {
            self.0.finish();
        }
    }
}

impl Tables {
    /// `changed` wakes the keepalive task.
    pub(super) fn new(runtime: Arc<dyn Runtime>, changed: Arc<Notify>) -> Self {
        Self {
            schedule: Schedule::new(runtime, changed),
            local_queue: Mutex::default(),
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
        self.local_queue().enter(waiter, in_line, &self.schedule, now);
    }

    /// Lets a waiter out. Its claim must be tracked already, or be a lease by now. The next of its
    /// line goes to the store at `next_at`.
    pub(super) fn leave_waiter(&self, owner: &Owner, next_at: Moment) {
        self.local_queue().leave(owner, &self.schedule, next_at);
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

    fn local_queue(&self) -> MutexGuard<'_, LocalQueue> {
        self.local_queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a waiter of this process stands in line for the same claim.
    pub(super) fn is_waited_for(&self, key: &Key, claim: Claim) -> bool {
        let queue = self.local_queue();
        queue.first(key).is_some_and(|(_, waiter)| waiter.acquire.claim == claim)
    }

    /// The first of the key's line in this process.
    pub(super) fn first_in_line(&self, key: &Key) -> Option<(TimerId, Arc<Waiter>)> {
        self.local_queue().first(key)
    }

    /// The waiter of this owner, if it stands at the store.
    pub(super) fn waiter_at_store(&self, owner: &Owner) -> Option<(TimerId, Arc<Waiter>)> {
        self.local_queue().at_store(owner)
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
        let at_store = self.local_queue().all_at_store();
        for id in at_store {
            self.schedule.move_to(id, now);
        }
    }

    /// The leases on a key. It looks at every entry.
    pub(super) fn leases_of(&self, key: &Key) -> Vec<Arc<LeaseState>> {
        self.schedule.leases_of(key)
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
        self.local_queue().drain()
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
