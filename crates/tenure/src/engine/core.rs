//! One engine: a store, a runtime, and what is held or awaited through them by this process.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::{Notify, OnceCell};
use tokio_util::sync::CancellationToken;

use crate::process::{Forked, OfProcess, Process};
use crate::protocol::{Backoff, Op, Reply, Request};
use crate::runtime::{Moment, Runtime, Task, random_u32, shielded};
use crate::store::{Store, StoreError, StoreErrorClass};
use crate::types::{Error, ErrorKind, Fence, Key, Operation, Owner, Result};

use super::cleanup::Cleanup;
use super::handoff_budget::HandoffBudget;
use super::in_flight::{InFlight, Tracked};
use super::keepalive;
use super::lease::{LeaseEntry, LeaseState};
use super::local_queue::LocalQueue;
use super::options::{LeaseOptions, LocksOptions};
use super::poll::Polls;
use super::schedule::{Schedule, Timer, TimerId};
use super::waiter::Waiter;
use crate::observe;
use crate::protocol::validity;
use crate::types::LostReason;

/// For how long the next of a line puts off its place at the store, after a grant to the one in
/// front of it: longer than many a lock is held, and less than anybody notices.
const PLACE_PUT_OFF: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(crate) struct Engine {
    /// Whose it is: a child of it uses none of this.
    pub(crate) process: Process,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) runtime: Arc<dyn Runtime>,
    /// The store's, without secrets.
    pub(crate) name: Arc<str>,
    pub(crate) options: LocksOptions,
    pub(crate) schedule: Schedule,
    /// Who waits.
    pub(crate) local_queue: LocalQueue,
    /// Who waits where the store has no queue.
    pub(crate) polls: Polls,
    /// Opened with the first contended acquire; `None` inside: this store cannot push.
    inbox: OnceCell<Option<Arc<str>>>,
    closed: AtomicBool,
    /// What the store has not answered yet: closing waits for it.
    pub(crate) in_flight: InFlight,
    /// Ends the tasks of this engine with it.
    gone: CancellationToken,
    /// When the keepalive task last looked at the clock.
    pub(crate) turned_at: AtomicU64,
}

impl Engine {
    pub(crate) fn start(
        store: Arc<dyn Store>,
        runtime: &Arc<dyn Runtime>,
        options: LocksOptions,
    ) -> Arc<Self> {
        let changed = Arc::new(Notify::new());
        let gone = CancellationToken::new();
        // From the first lease on: the keepalive task may come to run later than that.
        let links = store.links();
        let engine = Arc::new(Self {
            process: Process::current(),
            name: store.name(),
            store,
            runtime: Arc::clone(runtime),
            options,
            schedule: Schedule::new(Arc::clone(runtime), Arc::clone(&changed)),
            local_queue: LocalQueue::default(),
            polls: Polls::default(),
            inbox: OnceCell::new(),
            closed: AtomicBool::new(false),
            in_flight: InFlight::default(),
            gone: gone.clone(),
            turned_at: AtomicU64::new(0),
        });
        runtime.spawn(Box::pin(keepalive::run(Arc::downgrade(&engine), changed, links, gone)));
        engine
    }

    pub(crate) fn now(&self) -> Moment {
        self.runtime.now()
    }

    pub(crate) fn random_owner(&self, value: Option<&str>) -> Owner {
        let mut random = [0; 28];
        self.runtime.random(&mut random);
        match value {
            // Its value was checked with the order.
            Some(value) => {
                let attempt = u64::from_le_bytes(random[20..].try_into().expect("eight bytes"));
                Owner::from_parts(value, attempt)
            }
            None => Owner::random(&random),
        }
    }

    /// The waits between tries while the store is out of reach.
    pub(crate) fn backoff(&self) -> Backoff {
        Backoff::new(Duration::from_millis(10), Duration::from_secs(1))
    }

    pub(crate) fn jitter(&self) -> u32 {
        random_u32(&*self.runtime)
    }

    /// Ends at `at`, and at once in a forked process.
    pub(crate) fn sleep_until(&self, at: Moment) -> OfProcess<Task> {
        OfProcess::new(self.runtime.sleep_until(at))
    }

    /// What a forked process is told that uses what it inherited.
    pub(crate) fn forked(&self, operation: Operation, key: Option<&Key>) -> Error {
        let error = Error::new(ErrorKind::Forked, operation, Forked.to_string());
        let error = error.with_store(&self.name);
        key.into_iter().fold(error, Error::with_key)
    }

    /// Sends steps, for at most `limit`.
    pub(crate) async fn call(
        &self,
        steps: Vec<Request>,
        limit: Moment,
    ) -> Result<Vec<Reply>, StoreError> {
        if !self.process.is_current() {
            return Err(Forked.into());
        }
        let asked = steps.len();
        let replies = tokio::select! {
            biased;
            replies = OfProcess::new(self.store.call(steps)) => {
                replies.unwrap_or_else(|forked| Err(forked.into()))
            }
            _ = self.sleep_until(limit) => Err(timed_out()),
        };
        let replies = replies.inspect_err(|error| self.tell_of(error))?;
        debug_assert_eq!(replies.len(), asked, "one reply for each step");
        Ok(replies)
    }

    /// A forked process tells nothing of what it inherited.
    fn tell_of(&self, error: &StoreError) {
        if error.class != StoreErrorClass::Forked {
            let class = error.class.label();
            observe::store_error(&*self.runtime, &self.name, class, &error.message);
        }
    }

    /// Sends one step, within the store's time limit.
    pub(crate) async fn ask(&self, key: &Key, op: Op, limit: Moment) -> Result<Reply, StoreError> {
        let limit = limit.min(self.now() + self.options.store_timeout);
        // Whoever claims is told why he was refused; what cannot be refused has failed then.
        let is_claim = matches!(op, Op::Acquire(_) | Op::Steal(_) | Op::Transfer { .. });
        let mut replies = self.call(vec![Request { key: key.clone(), op }], limit).await?;
        let reply = replies.swap_remove(0);
        if is_claim { StoreError::unless_known(reply) } else { StoreError::unless_failed(reply) }
    }

    /// Asks once, for a caller who waits for the answer.
    pub(crate) async fn request(&self, operation: Operation, key: &Key, op: Op) -> Result<Reply> {
        self.check_key(operation, key)?;
        let changes = !matches!(op, Op::Inspect);
        self.ask(key, op, Moment::NEVER).await.map_err(|failure| {
            let may_hold = changes && failure.may_have_run;
            self.store_error(operation, key, failure, may_hold)
        })
    }

    /// Refuses a name that the store cannot tell from a part of another lock.
    pub(crate) fn check_key(&self, operation: Operation, key: &Key) -> Result<()> {
        self.store.check_key(key).map_err(self.error(operation, key, ErrorKind::Invalid))
    }

    /// A reply that brings nothing: the key is something else, or no store should give it.
    pub(crate) fn unexpected(&self, operation: Operation, key: &Key, reply: &Reply) -> Error {
        if let Reply::Mismatch(what) = reply {
            return self.error(operation, key, ErrorKind::Mismatch)(what.to_string());
        }
        let message = format!("the store answered {reply:?}; this is a defect in the store");
        self.error(operation, key, ErrorKind::Internal)(message)
    }

    /// The address of this process's inbox, opened when it is first needed. Who waits for it has
    /// no place in line yet: past `patience` it does without.
    pub(crate) async fn inbox(self: &Arc<Self>, patience: Moment) -> Option<Arc<str>> {
        tokio::select! {
            biased;
            inbox = self.open_inbox() => inbox,
            () = self.runtime.sleep_until(patience) => None,
        }
    }

    async fn open_inbox(self: &Arc<Self>) -> Option<Arc<str>> {
        let opened = self.inbox.get_or_try_init(|| async {
            let limit = self.now() + self.options.store_timeout;
            let inbox = tokio::select! {
                biased;
                inbox = self.store.inbox() => inbox?,
                () = self.runtime.sleep_until(limit) => return Err(timed_out()),
            };
            let Some(mut inbox) = inbox else { return Ok::<_, StoreError>(None) };
            let (engine, gone) = (Arc::downgrade(self), self.gone.clone());
            self.runtime.spawn(Box::pin(async move {
                loop {
                    let push = tokio::select! {
                        biased;
                        () = gone.cancelled() => return,
                        push = inbox.pushes.recv() => match push {
                            Some(push) => Some(push),
                            None => return,
                        },
                        () = inbox.missed.notified() => None,
                    };
                    let Some(engine) = Weak::upgrade(&engine) else { return };
                    match push {
                        // It wakes a task of the program.
                        Some(push) => shielded(|| keepalive::push_arrived(&engine, &push)),
                        None => shielded(|| engine.look_again()),
                    };
                }
            }));
            Ok(Some(inbox.address))
        });
        match opened.await {
            Ok(address) => address.clone(),
            Err(error) => {
                observe::no_inbox(&*self.runtime, &error.to_string());
                None
            }
        }
    }

    pub(crate) fn enter_waiter(&self, waiter: &Arc<Waiter>, in_line: bool) {
        self.local_queue.enter(waiter, in_line, &self.schedule, self.now());
    }

    /// Lets every waiter that stands at the store look there now.
    pub(crate) fn look_again(&self) {
        let now = self.now();
        for id in self.local_queue.all_at_store() {
            self.schedule.move_to(id, now);
        }
    }

    pub(crate) fn leave_waiter(&self, owner: &Owner) {
        self.local_queue.leave(owner, &self.schedule, self.now());
    }

    /// The same for one that was granted a lease on these terms, at `now`. The next of its line
    /// asks for its place a little later: if the lease is handed on before that, it needs none,
    /// and the store is spared both its coming and its going. Where no handoff will go ahead of the
    /// line, it asks at once.
    pub(crate) fn grant_waiter(
        &self,
        owner: &Owner,
        lease_options: LeaseOptions,
        (now, budget): (Moment, HandoffBudget),
    ) {
        let is_passed_on = budget.next(now, self.options.handoffs).is_some();
        let later =
            if is_passed_on { PLACE_PUT_OFF.min(lease_options.ttl / 4) } else { Duration::ZERO };
        self.local_queue.leave(owner, &self.schedule, now + later);
    }

    /// The next of the key's line asks the store now, if it has put that off: there will be no
    /// pass to take it along.
    pub(crate) fn hurry_next(&self, key: &Key) {
        if let Some((id, next)) = self.local_queue.first(key)
            && !next.has_asked()
        {
            self.schedule.move_to(id, self.now());
        }
    }

    /// Takes a granted lease into the keepalive task's care, at `now`. One that comes after the
    /// close is given back at once: closing has listed what there was before it.
    pub(crate) fn enter_lease(
        self: &Arc<Self>,
        key: &Key,
        owner: &Owner,
        fence: Fence,
        lease_options: LeaseOptions,
        granted: (Moment, Duration),
        (now, budget): (Moment, HandoffBudget),
    ) -> LeaseEntry {
        let (key, owner) = (key.clone(), owner.clone());
        let at = (key, &self.name, &self.runtime);
        let lease = LeaseState::new(at, owner, fence, lease_options, granted, (now, budget));
        let first = lease.alarm().min(lease.next_renewal());
        let lease = Arc::new(lease);
        let id = self.schedule.enter(first, Timer::Lease(Arc::clone(&lease)));
        if self.is_closed() {
            self.close_lease(id, &lease);
        }
        LeaseEntry { id, lease }
    }

    fn close_lease(self: &Arc<Self>, id: TimerId, lease: &LeaseState) {
        let tracked = self.in_flight.track();
        lease.lose(LostReason::Closed);
        // Whoever has let go of it before gives it back, or has handed it over.
        if !lease.is_let_go() {
            self.release_later(tracked, lease);
        }
        self.schedule.leave(id);
    }

    /// The keepalive task has no more to do with this lease. What is left of it at the store must
    /// be tracked already.
    pub(crate) fn let_go(&self, held: &LeaseEntry) {
        if self.end_keeping(held) {
            self.tell_given_back(&held.lease);
        }
    }

    /// The same, and nobody is told of it yet. Answers whether there is something to tell.
    pub(crate) fn end_keeping(&self, held: &LeaseEntry) -> bool {
        let was_held = held.lease.let_go();
        self.schedule.leave(held.id);
        was_held
    }

    pub(crate) fn tell_given_back(&self, lease: &LeaseState) {
        let held_for = self.now().since(lease.since);
        observe::given_back(&*self.runtime, &self.name, &lease.key, lease.fence, held_for);
    }

    /// Declares every lease on `key` lost, as a test wants it.
    #[cfg(feature = "testing")]
    pub(crate) fn lose(&self, key: &Key) {
        for lease in self.schedule.leases_of(key) {
            lease.lose(LostReason::Gone);
        }
    }

    /// Gives a lease back in the background.
    pub(crate) fn release_later(self: &Arc<Self>, tracked: Tracked<'_>, lease: &LeaseState) {
        // A request that is under way yet may still arrive.
        let until = lease.reach().max(self.now()) + lease.lease_options.ttl;
        let recheck_queue = lease.handed_off.load(Ordering::Acquire);
        self.cleanup(tracked, lease.key.clone(), release_of(lease), (until, recheck_queue));
    }

    /// Withdraws an acquire in the background, whatever became of it. Only one with requests that
    /// may still arrive needs a tombstone, which the store has to keep.
    pub(crate) fn withdraw_later(
        self: &Arc<Self>,
        tracked: Tracked<'_>,
        key: &Key,
        owner: &Owner,
        (lease_options, may_arrive): (LeaseOptions, bool),
    ) {
        let owner = owner.clone();
        let op = if may_arrive {
            Op::Withdraw { owner, tombstone: lease_options.tombstone() }
        } else {
            Op::Release { owner, min_hold: Duration::ZERO, tombstone: None }
        };
        let longest = lease_options.ttl.max(lease_options.window());
        let until = self.now() + longest + validity::allowance(longest);
        self.cleanup(tracked, key.clone(), op, (until, false));
    }

    fn cleanup(
        self: &Arc<Self>,
        tracked: Tracked<'_>,
        key: Key,
        op: Op,
        (until, recheck_queue): (Moment, bool),
    ) {
        let (backoff, engine) = (Mutex::new(self.backoff()), Arc::clone(self));
        let cleanup = Arc::new(Cleanup { key, op, until, backoff, recheck_queue, _engine: engine });
        self.schedule.enter(self.now(), Timer::Cleanup(Arc::clone(&cleanup)));
        tracked.enter();
        self.hurry_next(&cleanup.key);
    }

    /// A cleanup has ended, by an answer or by its time.
    pub(crate) fn cleaned_up(&self, id: TimerId) {
        if self.schedule.leave(id) {
            self.in_flight.finish();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Refuses all that comes from here on, and gives back all that is held or awaited.
    pub(crate) fn close(self: &Arc<Self>) {
        self.closed.store(true, Ordering::SeqCst);
        self.polls.close();
        let closed = |waiter: &Waiter| {
            let error = self.error(Operation::Acquire, &waiter.key, ErrorKind::Closed);
            waiter.fail(error("this Locks was closed while waiting".into()));
        };
        for waiter in self.local_queue.drain() {
            closed(&waiter);
            self.withdraw_if_asked(&waiter);
        }
        for (id, timer) in self.schedule.all() {
            match timer {
                Timer::Lease(lease) => self.close_lease(id, &lease),
                Timer::Waiter(waiter) => {
                    closed(&waiter);
                    self.withdraw_if_asked(&waiter);
                    self.leave_waiter(&waiter.acquire.owner);
                }
                Timer::Cleanup(_) => {}
            }
        }
    }

    /// Withdraws the claim of one who waits no more, if the store may know of it. Its own caller
    /// may take its time with that, or never come to it.
    pub(crate) fn withdraw_if_asked(self: &Arc<Self>, waiter: &Waiter) {
        if waiter.has_asked() {
            let tracked = self.in_flight.track();
            let lease_options = (waiter.lease_options, waiter.may_arrive());
            self.withdraw_later(tracked, &waiter.key, &waiter.acquire.owner, lease_options);
        }
    }

    /// Ends when nothing is owed to the store, or at `limit`; answers how much is left.
    pub(crate) async fn rest(&self, limit: Moment) -> usize {
        tokio::select! {
            biased;
            () = self.in_flight.wait() => 0,
            () = self.runtime.sleep_until(limit) => self.in_flight.count(),
        }
    }

    /// An error about a key at this store.
    pub(crate) fn error<'a>(
        &'a self,
        operation: Operation,
        key: &'a Key,
        kind: ErrorKind,
    ) -> impl Fn(String) -> Error + 'a {
        move |message| Error::new(kind, operation, message).with_key(key).with_store(&self.name)
    }

    /// What a store's failure means to a caller.
    pub(crate) fn store_error(
        &self,
        operation: Operation,
        key: &Key,
        failure: StoreError,
        may_hold: bool,
    ) -> Error {
        failure.into_error(operation, &self.name).with_key(key).with_may_hold(may_hold)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.gone.cancel();
    }
}

/// The release of a lease on its terms.
pub(crate) fn release_of(lease: &LeaseState) -> Op {
    let tombstone =
        lease.needs_tombstone.load(Ordering::Acquire).then(|| lease.lease_options.tombstone());
    Op::Release { owner: lease.owner.clone(), min_hold: lease.lease_options.min_hold, tombstone }
}

fn timed_out() -> StoreError {
    StoreError {
        class: StoreErrorClass::Transient,
        message: "the store did not answer in time; is it up, and reachable from here?".into(),
        may_have_run: true,
        source: None,
    }
}
