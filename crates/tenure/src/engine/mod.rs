//! The only code that waits, renews and announces loss: one store, one runtime, and all that this
//! process holds or awaits through them. It knows no handles: those who hold get entries.
//!
//! A file here names only those above it in this list; a test checks that.
//!
//! | file | what it is |
//! |---|---|
//! | `options`, `signal`, `renewal_failure` | plain parts |
//! | `lease`, `waiter`, `schedule` | what is held, what waits, what falls due |
//! | `local_queue`, `poll_queue`, `tables` | the tables, and the order in which they are touched |
//! | `error`, `mod` | errors; the engine itself, with its calls to the store |
//! | `cleanup`, `queue`, `release`, `renew` | what becomes of leases and waiters |
//! | `write` | commands on data under a lease |
//! | `contact`, `attempt`, `poll`, `acquire`, `group` | acquiring |
//! | `resize`, `value` | changing what a lease claims, and the value beside it |
//! | `run` | runs of a job |
//! | `keepalive` | the task in the background |

mod acquire;
mod attempt;
mod cleanup;
mod contact;
mod error;
mod group;
mod keepalive;
mod lease;
mod local_queue;
mod options;
mod poll;
mod poll_queue;
mod queue;
mod release;
mod renew;
mod renewal_failure;
mod resize;
mod run;
mod schedule;
mod signal;
mod tables;
mod value;
mod waiter;
mod write;

use std::sync::Arc;
#[cfg(tenure_mutants)]
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, OnceCell};
use tokio_util::sync::CancellationToken;

#[cfg(tenure_mutants)]
use crate::mutants;
use crate::observe;
use crate::process::{Forked, OfProcess, Process};
use crate::protocol::{Backoff, Inspection, Op, Reply, Request};
use crate::runtime::{Moment, Runtime, Task, answer_by, random_u32, shown};
use crate::store::{Capabilities, Finding, Store, StoreError, StoreErrorClass};
use crate::types::{ErrorKind, Key, Operation, Owner, Result};

use lease::Grant;
use renewal_failure::Outage;
use tables::{Tables, Tracked};

pub(crate) use acquire::{acquire, adopt, steal, try_acquire};
pub(crate) use attempt::check_acquire;
#[cfg(feature = "testing")]
pub(crate) use cleanup::lose;
pub(crate) use cleanup::{close, let_go, linger, release_dropped};
pub(crate) use error::Failing;
pub(crate) use group::{acquire_at_once, try_acquire_all};
pub(crate) use keepalive::start;
pub(crate) use lease::{LeaseEntry, LeaseState};
pub(crate) use options::{AcquireOptions, LeaseOptions, ttl_to_last};
pub use options::{LocksOptions, Renewal};
pub(crate) use release::give_back;
pub(crate) use renew::extend;
pub use renewal_failure::RenewalFailure;
pub(crate) use resize::{resize, settled};
pub(crate) use run::{Begun, begin, finish};
pub(crate) use value::set_value;
pub(crate) use write::write;

#[derive(Debug)]
pub(crate) struct Engine {
    /// The process that started it. A forked child uses none of it.
    process: Process,
    store: Arc<dyn Store>,
    runtime: Arc<dyn Runtime>,
    /// The store's, without secrets.
    name: Arc<str>,
    options: LocksOptions,
    tables: Tables,
    /// The address of this process's inbox, opened by the first contended acquire. `None` inside:
    /// this store cannot push.
    inbox: OnceCell<Option<Arc<str>>>,
    /// Where this process's heartbeats lie within their interval; random, so that processes that
    /// start together do not call together.
    phase: Duration,
    /// The part that the log has of renewals that fail.
    outage: Outage,
    /// Ends the tasks of this engine with it.
    gone: CancellationToken,
    #[cfg(tenure_mutants)]
    stale_clock: AtomicU64,
}

impl Engine {
    /// `changed` wakes the keepalive task.
    fn new(
        store: Arc<dyn Store>,
        runtime: Arc<dyn Runtime>,
        options: LocksOptions,
        changed: Arc<Notify>,
    ) -> Self {
        Self {
            process: Process::current(),
            name: store.name(),
            store,
            options,
            tables: Tables::new(Arc::clone(&runtime), changed),
            inbox: OnceCell::new(),
            phase: Duration::from_micros(random_u32(&*runtime).into()),
            runtime,
            outage: Outage::default(),
            gone: CancellationToken::new(),
            #[cfg(tenure_mutants)]
            stale_clock: Default::default(),
        }
    }

    pub(crate) fn now(&self) -> Moment {
        self.runtime.now()
    }

    /// Now, for the check of a lease.
    pub(crate) fn now_for_check(&self) -> Moment {
        #[cfg(tenure_mutants)]
        if mutants::has!(ClockBeforePause) {
            return Moment::from_micros(self.stale_clock.load(Ordering::Acquire));
        }
        self.now()
    }

    pub(crate) fn runtime(&self) -> &dyn Runtime {
        &*self.runtime
    }

    /// The store's name, without secrets.
    pub(crate) fn store_name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }

    /// Counts a request that may leave something at the store: closing waits for its end.
    pub(crate) fn track(&self) -> Tracked<'_> {
        self.tables.track()
    }

    /// Ends at `at`, and at once in a forked process.
    pub(crate) fn sleep_until(&self, at: Moment) -> OfProcess<Task> {
        OfProcess::new(self.runtime.sleep_until(at))
    }

    /// Makes the errors of an operation on this store.
    pub(crate) fn failing<'a>(
        &'a self,
        operation: Operation,
        key: impl Into<Option<&'a Key>>,
    ) -> Failing<'a> {
        Failing { operation, key: key.into(), store: &self.name }
    }

    /// Refuses a name that the store cannot tell from a part of another lock.
    fn check_key(&self, operation: Operation, key: &Key) -> Result<()> {
        let invalid = |why| self.failing(operation, key).with(ErrorKind::Invalid, why);
        self.store.check_key(key).map_err(invalid)
    }

    /// Sends one step for a caller, once.
    pub(crate) async fn request(&self, operation: Operation, key: &Key, op: Op) -> Result<Reply> {
        self.check_key(operation, key)?;
        let changes = !matches!(op, Op::Inspect);
        self.ask(key, op, self.now(), Moment::NEVER).await.map_err(|failure| {
            let may_hold = changes && failure.may_have_run;
            self.failing(operation, key).by_store(failure).with_may_hold(may_hold)
        })
    }

    /// Reads a page of the keys in use, for a caller.
    pub(crate) async fn list(
        &self,
        prefix: &str,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Inspection)>> {
        let failing = self.failing(Operation::Inspect, None);
        let until = self.now() + self.options.store_timeout;
        let page = OfProcess::new(self.store.list(prefix, after, limit));
        match answer_by(&*self.runtime, until, page).await {
            Some(Ok(page)) => page.map_err(|failure| failing.by_store(failure)),
            Some(Err(Forked)) => Err(failing.by_fork()),
            None => Err(failing.with(
                ErrorKind::Unavailable,
                format!("no answer within {}", shown(self.options.store_timeout)),
            )),
        }
    }

    /// The findings of the store.
    pub(crate) async fn examine(&self, ttl: Duration) -> Result<Vec<Finding>> {
        let found = OfProcess::new(self.store.examine(ttl)).await;
        found.map_err(|Forked| self.failing(Operation::Inspect, None).by_fork())
    }

    /// Sends one step at `sent`, which is now, and waits for its reply until `limit`, but no longer
    /// than the store's time limit. Reading the clock is a good part of a lock in memory, so the
    /// caller passes what it has read.
    async fn ask(
        &self,
        key: &Key,
        op: Op,
        sent: Moment,
        limit: Moment,
    ) -> Result<Reply, StoreError> {
        self.ask_last(vec![Request { key: key.clone(), op }], sent, limit).await
    }

    /// Sends steps as [`ask`](Self::ask) sends one, and answers the reply to the last of them.
    async fn ask_last(
        &self,
        steps: Vec<Request>,
        sent: Moment,
        limit: Moment,
    ) -> Result<Reply, StoreError> {
        let limit = limit.min(sent + self.options.store_timeout);
        // A claim can be refused for good, and its caller is told why. Every other step that is
        // refused has failed.
        let last = steps.len() - 1;
        let is_claim = matches!(
            steps[last].op,
            Op::Acquire(_)
                | Op::AcquireAll(_)
                | Op::Steal(_)
                | Op::Transfer { .. }
                | Op::Begin { .. }
        );
        let mut replies = self.call(steps, limit).await?;
        let reply = replies.swap_remove(last);
        let may_fail = !is_claim || matches!(reply, Reply::Unknown(_));
        if may_fail { StoreError::unless_failed(reply) } else { Ok(reply) }
    }

    /// Sends steps, and waits for their replies until `limit`.
    async fn call(&self, steps: Vec<Request>, limit: Moment) -> Result<Vec<Reply>, StoreError> {
        if !self.process.is_current() {
            return Err(Forked.into());
        }
        let asked = steps.len();
        let call = OfProcess::new(self.store.call(steps));
        let replies = match answer_by(&*self.runtime, limit, call).await {
            Some(replies) => replies.unwrap_or_else(|forked| Err(forked.into())),
            None => Err(timed_out()),
        };
        let replies = replies.inspect_err(|failure| self.tell_of(failure))?;
        debug_assert_eq!(replies.len(), asked, "one reply for each step");
        Ok(replies)
    }

    /// A forked process tells nothing of what it inherited.
    fn tell_of(&self, failure: &StoreError) {
        if failure.class != StoreErrorClass::Forked {
            let class = failure.class.label();
            observe::store_error(&*self.runtime, &self.name, class, &failure.message);
        }
    }

    fn random_owner(&self, value: Option<&str>) -> Owner {
        let mut random = [0; 28];
        self.runtime.random(&mut random);
        let owner = Owner::random(&random);
        match value {
            // It was checked with the other options.
            Some(value) => Owner::from_parts(value, owner.attempt()),
            None => owner,
        }
    }

    fn new_lease(
        &self,
        key: &Key,
        owner: &Owner,
        options: LeaseOptions,
        grant: Grant,
    ) -> LeaseState {
        LeaseState::new(key, owner, options, grant, &self.name, &self.runtime)
    }

    /// The pauses between tries while the store is out of reach.
    fn backoff(&self) -> Backoff {
        Backoff::new(Duration::from_millis(10), Duration::from_secs(1))
    }

    fn jitter(&self) -> u32 {
        random_u32(&*self.runtime)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.gone.cancel();
    }
}

fn timed_out() -> StoreError {
    StoreError {
        class: StoreErrorClass::Transient,
        message: "the store did not answer in time; is it up, and reachable from here?".into(),
        may_have_run: true,
        source: None,
    }
}
